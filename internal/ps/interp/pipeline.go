package interp

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"busybridge/internal/ps/format"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/syntax"
)

// A stage is a command at its place in a pipeline. Objects are pushed: each goes through all stages before the next.
type stage interface {
	begin() error
	process(v any) error
	end() error
}

// A pipelineRun is one pipeline while it runs.
type pipelineRun struct {
	stages []stage
	ended  int // stages whose end has run or must not run
}

// stopped reports whether err ends the stages before one of r; then they count as ended.
func (r *pipelineRun) stopped(err error) bool {
	s, ok := err.(*stopError)
	if ok = ok && s.run == r; ok {
		r.ended = s.stage
	}
	return ok
}

// from pushes v into stage i.
func (r *pipelineRun) from(i int) func(any) error {
	return func(v any) error { return r.stages[i].process(v) }
}

func (e *env) pipeline(p *syntax.Pipeline) error {
	first, isExpr := p.Elements[0].(*syntax.CommandExpr)
	if isExpr && len(p.Elements) == 1 && len(first.Redirs) == 0 {
		v, err := e.eval(first.X)
		if err != nil {
			return err
		}
		e.s.success = true
		if u, ok := first.X.(*syntax.Unary); ok && (u.Op == "++" || u.Op == "--") {
			return nil
		}
		return e.write(v)
	}
	run := &pipelineRun{stages: make([]stage, len(p.Elements))}
	e.s.success = true
	var closers []func() error
	for i := len(p.Elements) - 1; i >= 0; i-- {
		out := e.out
		if i+1 < len(p.Elements) {
			out = run.from(i + 1)
		}
		se := e.with(out)
		se.index = i
		closer, err := se.redirect(p.Elements[i].Redirects())
		if err != nil {
			return e.fault(err, p.Elements[i])
		}
		if closer != nil {
			closers = append(closers, closer)
		}
		if isExpr && i == 0 {
			run.stages[0] = &exprStage{se, first}
			continue
		}
		if run.stages[i], err = se.stage(p.Elements[i].(*syntax.Command), i > 0, run, i); err != nil {
			e.s.success = false
			return e.fault(err, p.Elements[i])
		}
	}
	err := e.drive(run, p)
	for _, c := range closers {
		if cerr := c(); cerr != nil && err == nil {
			err = e.fault(cerr, p)
		}
	}
	return err
}

func (e *env) drive(run *pipelineRun, p *syntax.Pipeline) error {
	for i, st := range run.stages {
		if err := st.begin(); err != nil && !run.stopped(err) {
			return e.fault(err, p.Elements[i])
		}
	}
	for i := run.ended; i < len(run.stages); i++ {
		err := run.stages[i].end()
		if run.stopped(err) {
			i = run.ended - 1
		} else if err != nil {
			return e.fault(err, p.Elements[i])
		}
	}
	return nil
}

// exprStage is an expression at the head of a pipeline.
type exprStage struct {
	e *env
	x *syntax.CommandExpr
}

func (s *exprStage) begin() error      { return nil }
func (s *exprStage) process(any) error { return nil }

func (s *exprStage) end() error {
	v, err := s.e.eval(s.x.X)
	if err != nil {
		return err
	}
	return s.e.write(v)
}

// redirect applies redirections to e; the closer closes the files.
func (e *env) redirect(list []*syntax.Redirect) (closer func() error, err error) {
	var files []func() error
	target := func(r *syntax.Redirect) (Stream, error) {
		v, err := e.eval(r.Target)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return func(any) error { return nil }, nil
		}
		file, err := e.s.openText(object.String(v), r.Append, false)
		if err != nil {
			return nil, err
		}
		w := e.s.Writer(file, 0)
		files = append(files, func() error {
			if err := w.Close(); err != nil {
				return err
			}
			return file.Close()
		})
		return w.Write, nil
	}
	for _, r := range list {
		if r.Merge {
			continue
		}
		sink, err := target(r)
		if err != nil {
			return nil, err
		}
		if r.From == 1 || r.From == 0 {
			e.out = sink
		}
		e.setStream(r.From, sink)
	}
	for _, r := range list {
		if r.Merge {
			e.setStream(r.From, e.out)
		}
	}
	if files == nil {
		return nil, nil
	}
	return func() error {
		for _, f := range files {
			if err := f(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func (e *env) setStream(n int, sink Stream) {
	for i, s := range map[int]*Stream{2: &e.streams.Error, 3: &e.streams.Warning, 4: &e.streams.Verbose, 5: &e.streams.Debug, 6: &e.streams.Information} {
		if n == 0 || n == i {
			*s = sink
		}
	}
}

// Format is items as text at the width of the screen.
func (s *Session) Format(items []any) (string, error) { return s.formatWidth(items, s.cfg.Width) }

func (s *Session) formatWidth(items []any, width int) (string, error) {
	var b strings.Builder
	w := s.Writer(&b, width)
	for _, v := range items {
		if err := w.Write(v); err != nil {
			return "", err
		}
	}
	err := w.Close()
	return b.String(), err
}

// Writer writes objects to w as the end of a pipeline shows them; width 0 is the screen's.
func (s *Session) Writer(w io.Writer, width int) *format.Writer {
	if width == 0 {
		width = s.cfg.Width
	}
	limit := 4
	if v, ok := s.Variable("FormatEnumerationLimit"); ok {
		if n, err := object.Convert(v, object.TInt); err == nil {
			limit = int(n.(int32))
		}
	}
	if s.cfg.Formatter == nil {
		return format.NewWriter(w, format.WriterOptions{Width: width, Limit: limit})
	}
	return s.cfg.Formatter.Writer(w, width, limit)
}

func (s *Session) readLines(name string) ([]string, error) {
	if s.cfg.Files == nil {
		return nil, object.NewError("FilesNotAvailable", object.InvalidOperation, nil, "Files are not available here.")
	}
	b, err := s.cfg.Files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	text, err := syntax.Decode(b)
	if err != nil {
		return nil, err
	}
	text = strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// arguments evaluates the arguments of a command.
func (e *env) arguments(c *syntax.Command) ([]argument, error) {
	var args []argument
	for _, a := range c.Args {
		switch v, isVar := a.Value.(*syntax.Variable); {
		case a.Stop:
			continue
		case a.Param != "":
			arg := argument{name: a.Param}
			if a.Colon {
				val, err := e.eval(a.Value)
				if err != nil {
					return nil, err
				}
				arg.value, arg.given, arg.written = val, true, written(a.Value)
			}
			args = append(args, arg)
			continue
		case isVar && v.Splat:
			more, err := e.splat(v)
			if err != nil {
				return nil, err
			}
			args = append(args, more...)
			continue
		}
		val, err := e.eval(a.Value)
		if err != nil {
			return nil, err
		}
		if val == object.Void {
			val = nil
		}
		args = append(args, argument{value: val, written: written(a.Value)})
	}
	return args, nil
}

// written is the text of a number literal, else "".
func written(x syntax.Expr) string {
	if n, ok := x.(*syntax.Number); ok {
		return n.Text
	}
	return ""
}

func (e *env) splat(v *syntax.Variable) ([]argument, error) {
	val, err := e.getVariable(v.Drive, v.Name)
	if err != nil {
		return nil, e.fault(err, v)
	}
	var args []argument
	if h, ok := object.Base(val).(*object.Hashtable); ok {
		for k, x := range h.All() {
			args = append(args, argument{name: object.String(k), value: x, given: true})
		}
		return args, nil
	}
	items, ok := object.Items(val)
	if !ok {
		if val == nil {
			return nil, nil
		}
		items = []any{val}
	}
	for _, x := range items {
		args = append(args, argument{value: x})
	}
	return args, nil
}

// stage makes the stage of a command. piped means that objects will come.
func (e *env) stage(c *syntax.Command, piped bool, run *pipelineRun, index int) (stage, error) {
	args, err := e.arguments(c)
	if err != nil {
		return nil, err
	}
	nv, err := e.eval(c.Name)
	if err != nil {
		return nil, err
	}
	pos := position(e.src, c.Span())
	if b, ok := object.Base(nv).(*ScriptBlock); ok {
		f, err := e.newFunction("", b.script, false)
		if err != nil {
			return nil, err
		}
		return e.functionStage(f, b, args, c.Op == ".", piped, pos)
	}
	name := object.String(nv)
	if name == "" {
		return nil, object.NewError("BadExpression", object.InvalidOperation, nil, "The expression after '%s' in a pipeline element produced an object that was not valid. It must result in a command name, a script block, or a CommandInfo object.", c.Op)
	}
	return e.namedStage(name, args, c.Op == ".", piped, pos, run, index)
}

func (e *env) namedStage(name string, args []argument, dot, piped bool, pos object.Position, run *pipelineRun, index int) (stage, error) {
	fn, cmd, script, err := e.resolve(name)
	switch {
	case err != nil:
		return nil, err
	case fn != nil:
		return e.functionStage(fn, nil, args, dot, piped, pos)
	case script != nil:
		f, err := e.newFunction(script.Source.Name, script, false)
		if err != nil {
			return nil, err
		}
		st, err := e.functionStage(f, nil, args, dot, piped, pos)
		if err == nil {
			st.file = true
		}
		return st, err
	}
	return e.cmdletStage(cmd, args, piped, pos, run, index)
}

// CommandNotFound is the error for a name that is no command.
func CommandNotFound(name string) *object.ErrorRecord {
	r := object.NewError("CommandNotFoundException", object.ObjectNotFound, object.TCommandNotFound,
		"The term '%s' is not recognized as the name of a cmdlet, function, script file, or operable program. Check the spelling of the name, or if a path was included, verify that the path is correct and try again.", name)
	r.TargetName, r.TargetType = name, "String"
	return r
}

// resolve finds what a name runs (7.1).
func (e *env) resolve(name string) (*function, *Command, *syntax.Script, error) {
	low := strings.ToLower(name)
	for range 10 {
		a, ok := e.s.aliases[low]
		if !ok {
			break
		}
		low = strings.ToLower(a)
	}
	for _, try := range []string{low, "get-" + low} {
		if f := e.s.functions[try]; f != nil {
			return f, nil, nil, nil
		}
		if c := e.s.commands[try]; c != nil {
			return nil, c, nil, nil
		}
		if module, rest, ok := strings.Cut(try, `\`); ok {
			if c := e.s.commands[rest]; c != nil && strings.EqualFold(c.Module, module) {
				return nil, c, nil, nil
			}
		}
		if strings.ContainsAny(try, `\/`) {
			break
		}
	}
	if strings.HasSuffix(low, ".ps1") && strings.ContainsAny(low, `\/`) && e.s.cfg.Files != nil {
		full := e.s.cfg.Files.FullName(name)
		if isFile, _ := e.s.cfg.Files.Stat(full); isFile {
			b, err := e.s.cfg.Files.ReadFile(full)
			if err != nil {
				return nil, nil, nil, err
			}
			text, err := syntax.Decode(b)
			if err != nil {
				return nil, nil, nil, err
			}
			script, err := syntax.Parse(full, text)
			if pe, ok := err.(*syntax.ParseError); ok {
				return nil, nil, nil, &termError{rec: ParseRecord(pe), script: true}
			}
			return nil, nil, script, err
		}
	}
	return nil, nil, nil, CommandNotFound(name)
}

// A cmdletStage runs a registered cmdlet.
type cmdletStage struct {
	call   *Call
	bind   *binding
	cmd    Cmdlet
	fields reflect.Value
	piped  bool
	empty  reflect.Value // the values that pipeline parameters have without input
}

func (e *env) cmdletStage(c *Command, args []argument, piped bool, pos object.Position, run *pipelineRun, index int) (stage, error) {
	cmd := c.New()
	b := &binding{e: e, command: c.Name, params: c.params, common: commonParams, advanced: true, defSet: c.DefaultSet}
	if c.ShouldProcess {
		b.common = append(append([]*Param{}, commonParams...), processParams...)
	}
	st := &cmdletStage{bind: b, cmd: cmd, fields: reflect.ValueOf(cmd).Elem(), piped: piped}
	ce := *e
	ce.command, ce.invoked = c.Name, pos
	st.call = &Call{e: &ce, Command: c, name: c.Name, pos: pos, bind: b, run: run, index: index, piped: piped, impact: c.Impact}
	if err := b.bind(e.defaults(c.Name, b, args)); err != nil {
		return nil, st.call.blame(err)
	}
	if err := b.finish(piped); err != nil {
		return nil, st.call.blame(err)
	}
	for _, p := range c.params {
		if _, ok := b.values[p]; ok || p.Default == "" {
			continue
		}
		v, err := b.convert(p, defaultValue(p))
		if err != nil {
			return nil, st.call.blame(err)
		}
		if err := st.set(p, v); err != nil {
			return nil, st.call.blame(err)
		}
	}
	for p, v := range b.values {
		if p.field == nil {
			continue
		}
		if err := st.set(p, v); err != nil {
			return nil, st.call.blame(err)
		}
	}
	st.empty = reflect.New(st.fields.Type()).Elem()
	st.empty.Set(st.fields)
	st.call.common()
	return st, nil
}

func defaultValue(p *Param) any {
	switch {
	case strings.EqualFold(p.Default, "true"):
		return true
	case strings.EqualFold(p.Default, "false"):
		return false
	case p.Type == nil:
		if v, ok := object.ParseNumber(p.Default); ok {
			return v
		}
	}
	return p.Default
}

// defaults adds what $PSDefaultParameterValues holds for the command.
func (e *env) defaults(command string, b *binding, args []argument) []argument {
	v := e.scope.find("PSDefaultParameterValues")
	if v == nil {
		return args
	}
	h, ok := object.Base(v.value).(*object.Hashtable)
	if !ok || h.Len() == 0 {
		return args
	}
	given := map[*Param]bool{}
	for _, a := range args {
		if a.name != "" {
			if p, err := b.find(a.name); err == nil && p != nil {
				given[p] = true
			}
		}
	}
	for k, val := range h.All() {
		cmd, param, ok := strings.Cut(object.String(k), ":")
		if !ok || !object.Like(command, cmd) {
			continue
		}
		p, err := b.find(param)
		if err != nil || p == nil || given[p] {
			continue
		}
		args = append(args, argument{name: p.Name, value: val, given: true})
	}
	return args
}

func (s *cmdletStage) set(p *Param, v any) error {
	if p.declared {
		return nil
	}
	if err := setField(s.fields.FieldByIndex(p.field), v); err != nil {
		inner := object.AsRecord(err)
		r := object.NewError("ParameterArgumentTransformationError", object.InvalidData, object.TArgumentTransform, "Cannot process argument transformation on parameter '%s'. %s", p.Name, inner.Message())
		r.Exception.Inner = inner.Exception
		return r
	}
	return nil
}

func (s *cmdletStage) begin() error {
	if b, ok := s.cmd.(Beginner); ok {
		return s.call.done(b.Begin(s.call.e.ctx, s.call))
	}
	return nil
}

func (s *cmdletStage) process(v any) error {
	if err := s.call.e.ctx.Err(); err != nil {
		return err
	}
	got, err := s.bind.input(v)
	if err != nil {
		if passes(err) {
			return err
		}
		return s.call.WriteError(err)
	}
	for _, p := range s.bind.params {
		if (p.ByValue || p.ByName) && !p.declared {
			if _, ok := s.bind.values[p]; !ok {
				s.fields.FieldByIndex(p.field).Set(s.empty.FieldByIndex(p.field))
			}
		}
	}
	for p, v := range got {
		if err := s.set(p, v); err != nil {
			return s.call.WriteError(err)
		}
	}
	s.call.input = got
	return s.call.done(s.cmd.Run(s.call.e.ctx, s.call))
}

func (s *cmdletStage) end() error {
	if !s.piped {
		if err := s.call.done(s.cmd.Run(s.call.e.ctx, s.call)); err != nil {
			return err
		}
	}
	if e, ok := s.cmd.(Ender); ok {
		if err := s.call.done(e.End(s.call.e.ctx, s.call)); err != nil {
			return err
		}
	}
	return s.call.close()
}

// A functionStage runs a function, a script block or a script file.
type functionStage struct {
	e     *env
	f     *function
	call  *Call
	bind  *binding
	block *ScriptBlock
	dot   bool
	piped bool
	file  bool
	input []any
	done  bool
}

func (e *env) functionStage(f *function, block *ScriptBlock, args []argument, dot, piped bool, pos object.Position) (*functionStage, error) {
	b := &binding{e: e, command: f.name, params: f.params, advanced: f.advanced, script: true, defSet: f.defaultSet}
	if f.advanced {
		b.common = commonParams
		if f.shouldProcess {
			b.common = append(append([]*Param{}, commonParams...), processParams...)
		}
	}
	fe := *e
	fe.src = f.script.Source
	fe.command, fe.invoked = f.name, pos
	st := &functionStage{e: &fe, f: f, bind: b, block: block, dot: dot, piped: piped}
	st.call = &Call{e: &fe, name: f.name, pos: pos, bind: b, piped: piped, impact: f.impact, function: f}
	if err := b.bind(args); err != nil {
		return nil, st.call.blame(err)
	}
	if err := b.finish(piped); err != nil {
		return nil, st.call.blame(err)
	}
	st.call.common()
	return st, nil
}

func (s *functionStage) begin() error {
	e := s.e
	if !s.dot {
		parent := e.scope
		if s.block != nil && s.block.scope != nil {
			parent = s.block.scope
		}
		e.scope = newScope(parent)
		e.scope.script = s.file
	}
	bound := object.NewHashtable()
	for _, p := range s.bind.order {
		bound.Set(p.Name, s.bind.values[p])
	}
	for _, p := range s.f.params {
		v, ok := s.bind.values[p]
		if !ok && p.initial != nil {
			var err error
			if v, err = e.eval(p.initial); err != nil {
				return err
			}
		}
		if err := s.setParam(p, v, ok); err != nil {
			return err
		}
	}
	e.scope.set("PSBoundParameters", bound)
	if !s.f.advanced {
		e.scope.set("args", object.NewArray(s.bind.extra...))
	} else {
		e.scope.set("PSCmdlet", s.call.object())
	}
	my := object.InvocationObject(s.f.name, s.call.pos)
	my.Add("MyCommand", object.New("System.Management.Automation.CommandInfo").Add("Name", s.f.name).Add("Path", s.f.script.Source.Name)).Add("BoundParameters", bound)
	e.scope.set("MyInvocation", my)
	if s.file {
		name := s.f.script.Source.Name
		e.scope.set("PSCommandPath", name)
		if i := strings.LastIndexAny(name, `\/`); i >= 0 {
			e.scope.set("PSScriptRoot", name[:i])
		}
	}
	s.call.preferences(e.scope)
	return s.body(s.f.script.Begin)
}

func (s *functionStage) setParam(p *Param, v any, bound bool) error {
	kind := p.Type
	if kind == object.TScriptBlock {
		kind = nil
	}
	if !bound && v == nil {
		switch {
		case p.Switch:
			v = object.Switch(false)
		case kind == object.TString:
			v = ""
		case kind != nil && kind.Is(object.TInt.Base):
		default:
			kind = nil
		}
	}
	low := strings.ToLower(p.Name)
	s.e.scope.vars[low] = &variable{name: p.Name}
	if kind == object.TSwitch {
		c, err := object.Convert(v, kind)
		if err != nil {
			return err
		}
		s.e.scope.vars[low].value = c
		return nil
	}
	return s.e.setVariable("", p.Name, v, kind)
}

func (s *functionStage) body(b *syntax.Body) error {
	if b == nil || s.done {
		return nil
	}
	if s.e.s.depth++; s.e.s.depth > maxCallDepth {
		s.e.s.depth--
		return &termError{script: true, rec: object.NewError("CallDepthOverflow", object.InvalidOperation, nil, "The script failed due to call depth overflow.")}
	}
	defer func() { s.e.s.depth-- }()
	err := s.e.body(b)
	if f, ok := err.(*flowError); ok && f.kind == "return" {
		return nil
	}
	if f, ok := err.(*flowError); ok && f.kind == "exit" && s.file {
		s.e.s.exitCode, s.done = f.code, true
		s.e.s.success = f.code == 0
		return nil
	}
	return err
}

func (s *functionStage) process(v any) error {
	if err := s.e.ctx.Err(); err != nil {
		return err
	}
	pipeParam := false
	for _, p := range s.f.params {
		pipeParam = pipeParam || p.ByValue || p.ByName
	}
	if pipeParam {
		got, err := s.bind.input(v)
		if err != nil {
			if passes(err) {
				return err
			}
			return s.call.WriteError(err)
		}
		for p, x := range got {
			if err := s.setParam(p, x, true); err != nil {
				return err
			}
		}
	} else if s.f.advanced {
		_, err := s.bind.input(v)
		return s.call.WriteError(err)
	}
	switch {
	case s.f.filter:
		s.e.scope.set("_", v)
		return s.body(s.f.script.End)
	case s.f.script.Process != nil:
		s.e.scope.set("_", v)
		return s.body(s.f.script.Process)
	}
	s.input = append(s.input, v)
	return nil
}

func (s *functionStage) end() error {
	if s.input != nil {
		s.e.scope.set("input", object.NewArray(s.input...))
	}
	switch {
	case s.f.filter:
		if !s.piped {
			if err := s.body(s.f.script.End); err != nil {
				return err
			}
		}
	default:
		if !s.piped {
			if err := s.body(s.f.script.Process); err != nil {
				return err
			}
		}
		if err := s.body(s.f.script.End); err != nil {
			return err
		}
	}
	return s.call.close()
}

// callScript runs a script with positional arguments.
func (e *env) callScript(script *syntax.Script, args []any, input []any, out func(any) error) error {
	f, err := e.newFunction("", script, false)
	if err != nil {
		return err
	}
	var list []argument
	for _, a := range args {
		list = append(list, argument{value: a})
	}
	ce := e.with(out)
	st, err := ce.functionStage(f, nil, list, false, input != nil, e.invoked)
	if err != nil {
		return e.fault(err, nil)
	}
	if err := st.begin(); err != nil {
		return err
	}
	for _, v := range input {
		if err := st.process(v); err != nil {
			return err
		}
	}
	return st.end()
}

// callBlock runs b with arguments; scoped means in a scope of its own.
func (e *env) callBlock(b *ScriptBlock, args, input []any, scoped bool) error {
	f, err := e.newFunction("", b.script, false)
	if err != nil {
		return err
	}
	var list []argument
	for _, a := range args {
		list = append(list, argument{value: a})
	}
	st, err := e.functionStage(f, b, list, !scoped, input != nil, e.invoked)
	if err != nil {
		return e.fault(err, nil)
	}
	if err := st.begin(); err != nil {
		return err
	}
	for _, v := range input {
		if err := st.process(v); err != nil {
			return err
		}
	}
	return st.end()
}

// block runs b for one object as Where-Object does: in the scope of e with $_ set. What return leaves is the block.
func (e *env) block(b *ScriptBlock, item any, extra map[string]any) ([]any, error) {
	return e.collect(func(e *env) error { return e.runBlock(b, item, extra) })
}

func (e *env) runBlock(b *ScriptBlock, item any, extra map[string]any) error {
	c := *e
	c.src = b.script.Source
	if b.scope != nil {
		c.scope = b.scope
	}
	for k, v := range extra {
		c.scope.set(k, v)
	}
	if e.s.depth++; e.s.depth > maxCallDepth {
		e.s.depth--
		return &termError{script: true, rec: object.NewError("CallDepthOverflow", object.InvalidOperation, nil, "The script failed due to call depth overflow.")}
	}
	defer func() { e.s.depth-- }()
	return c.withItem(item, func() error {
		for _, body := range []*syntax.Body{b.script.Begin, b.script.Process, b.script.End} {
			err := c.body(body)
			if f, ok := err.(*flowError); ok && f.kind == "return" {
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *env) blockArgs(b *ScriptBlock, item any, args []any) ([]any, error) {
	if len(args) == 0 && len(b.script.Params) == 0 {
		return e.block(b, item, nil)
	}
	return e.collect(func(e *env) error {
		return e.withItem(item, func() error { return e.callBlock(b, args, nil, true) })
	})
}

var errNotInPipeline = fmt.Errorf("interp: the command does not run in a pipeline")
