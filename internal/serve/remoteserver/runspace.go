package remoteserver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"busybridge/internal/audit"
	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/psrp"
)

// A runspace runs the pipelines of one session, one after the other.
type runspace struct {
	*Runspace
	sh      *shell
	session *interp.Session // nil until the first pipeline; used by whoever has the shell's turn
	job     *command        // that has the turn
}

// open makes the session.
func (rs *runspace) open() error {
	if rs.session != nil {
		return nil
	}
	cfg, err := rs.Config()
	if err != nil {
		return err
	}
	cfg.NoCore, cfg.Files = true, nil
	cfg.Commands = append(rs.public(), cfg.Commands...)
	if h := rs.sh.host; !h.Null && !h.NullUI {
		cfg.Prompt = rs
	}
	rs.session, err = interp.New(cfg)
	return err
}

// offered is the command of that name, if the session has it and the account may
// run it now; nil: it looks as if there were none. Aliases, paths and names with
// a module are none.
func (rs *runspace) offered(ctx context.Context, name string) (*interp.Command, error) {
	c := rs.session.Lookup(name)
	if c == nil || !strings.EqualFold(c.Name, name) || isPublic(c.Name) {
		return c, nil
	}
	ok, err := rs.Permits(ctx, c.Name)
	if err != nil || !ok {
		return nil, err
	}
	return c, nil
}

// catalog lists what is offered and matches one of the patterns; none: all.
func (rs *runspace) catalog(ctx context.Context, names, modules []string) ([]*interp.Command, error) {
	var list []*interp.Command
	for _, c := range rs.session.Commands() {
		if !like(names, c.Name) || !like(modules, c.Module) {
			continue
		}
		o, err := rs.offered(ctx, c.Name)
		if err != nil {
			return nil, err
		}
		if o != nil {
			list = append(list, o)
		}
	}
	return list, nil
}

func like(patterns []string, s string) bool {
	for _, p := range patterns {
		if object.Like(s, p) {
			return true
		}
	}
	return len(patterns) == 0
}

// errStopped is why a pipeline ended that its client stopped, or whose session ended.
var errStopped = errors.New("the pipeline has been stopped")

// run runs the command's pipeline when its turn comes, and ends it.
func (c *command) run() {
	sh, srv := c.sh, c.sh.server
	defer c.cancel()
	select {
	case sh.turn <- struct{}{}:
		defer func() { <-sh.turn }()
	case <-c.ctx.Done():
		c.end(srv.cfg.Now(), 0, errStopped)
		return
	}
	begin := srv.cfg.Now()
	ctx, cancel := context.WithTimeoutCause(c.ctx, srv.cfg.Limits.Run, context.DeadlineExceeded)
	defer cancel()
	sh.runspace.job = c
	var objects int
	err := c.guarded(ctx, &objects)
	switch {
	case err != nil && c.ctx.Err() != nil:
		err = errStopped
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = object.NewError("OperationTimeout", object.OperationTimeout, object.TPSInvalidOperation, "The pipeline took longer than %v and was ended.", srv.cfg.Limits.Run)
	}
	c.end(begin, objects, err)
}

// guarded keeps a panic inside its pipeline.
func (c *command) guarded(ctx context.Context, objects *int) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err := c.sh.runspace.open(); err != nil {
		return err
	}
	if c.job.Query != nil {
		return c.describe(ctx, objects)
	}
	for _, statement := range c.job.Pipeline.Statements {
		if err := c.statement(ctx, statement, objects); err != nil {
			return err
		}
	}
	return nil
}

// end tells the client and the audit how the pipeline ended.
func (c *command) end(begin time.Time, objects int, err error) {
	sh, cfg := c.sh, &c.sh.server.cfg
	outcome, state, counted := audit.Done, psrp.Completed, commandDone
	rec, known := errors.AsType[*object.ErrorRecord](err)
	switch {
	case err == nil:
	case errors.Is(err, errStopped):
		outcome, state, counted = err.Error(), psrp.Stopped, commandStopped
	case known:
		outcome, state, counted = rec.ID+": "+rec.Message(), psrp.Failed, commandFailed
		if rec.ID == scriptsNotAllowed || rec.ID == interp.CommandNotFound("").ID {
			counted = commandRefused
		}
	default:
		outcome, state, counted = "internal error", psrp.Failed, commandBroken
		rec = object.NewError("InternalError", object.NotSpecified, object.TPSInvalidOperation, "An internal error occurred. Tell the administrator of the server: %s.", c.request)
		cfg.Log.Error("a pipeline failed", "session", sh.id, "command", c.id, "request", c.request, "err", err)
	}
	cfg.Metrics.command(counted)
	c.record(begin, objects, outcome)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var failed error
	if state == psrp.Stopped {
		failed = c.job.Stop()
	} else {
		failed = c.job.End(state, rec)
	}
	if failed != nil {
		cfg.Log.Warn("the end of a pipeline is not told", "session", sh.id, "command", c.id, "err", failed)
	}
	sh.held -= c.held
	c.held, c.input = 0, nil
	sh.happened()
}

const scriptsNotAllowed = "ScriptsNotAllowed"

// notScript is the answer to text (as a constrained endpoint of Windows gives it).
func notScript() error {
	return object.NewError(scriptsNotAllowed, object.ParserError, object.TParseException,
		"The syntax is not supported by this runspace. This can occur if the runspace is in no-language mode.")
}

// statement runs one pipeline of commands.
func (c *command) statement(ctx context.Context, list []psrp.Command, objects *int) error {
	rs := &c.sh.runspace
	in := interp.Invocation{Input: c.input}
	in.Streams = c.streams(ctx, list, objects)
	for i := range list {
		if list[i].Script {
			return notScript()
		}
	}
	for i := range list {
		cmd, err := rs.offered(ctx, list[i].Name)
		if err != nil {
			return err
		}
		if cmd == nil {
			return interp.CommandNotFound(list[i].Name)
		}
		v := interp.Invoked{Text: cmd.Name}
		for _, a := range joined(cmd, list[i].Arguments) {
			if assigns(a.Name) {
				return object.NewError("VariableReferenceNotAllowed", object.InvalidArgument, object.TPSInvalidOperation, "A session without language has no variables: -%s is not possible.", a.Name)
			}
			v.Arguments = append(v.Arguments, interp.Argument{Name: a.Name, Value: a.Value})
		}
		in.Commands = append(in.Commands, v)
	}
	return rs.session.Invoke(ctx, in, func(v any) error { return c.output(ctx, v, objects) })
}

// joined gives names that stand alone their values: true for a switch, else the
// argument behind it.
func joined(cmd *interp.Command, args []psrp.Argument) []psrp.Argument {
	var out []psrp.Argument
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case !a.Alone:
		case isSwitch(cmd, a.Name):
			a.Value = true
		case i+1 < len(args) && args[i+1].Name == "":
			i++
			a.Value = args[i].Value
		}
		out = append(out, a)
	}
	return out
}

// isSwitch reports whether a parameter's name, whole or shortened, is that of a switch.
func isSwitch(cmd *interp.Command, name string) bool {
	begins := false
	is := func(p string, sw bool) (done bool) {
		if strings.EqualFold(p, name) {
			begins = sw
			return true
		}
		begins = begins || sw && len(p) > len(name) && strings.EqualFold(p[:len(name)], name)
		return false
	}
	for _, p := range cmd.Params() {
		if is(p.Name, p.Switch) {
			return begins
		}
		for _, a := range p.Aliases {
			if is(a, p.Switch) {
				return begins
			}
		}
	}
	for _, p := range []string{"Verbose", "vb", "Debug", "db", "WhatIf", "wi", "Confirm", "cf"} {
		if is(p, true) {
			return true
		}
	}
	return begins
}

// assigns reports whether a parameter's name, shortened or not, is one of those that set variables.
func assigns(name string) bool {
	low := strings.ToLower(name)
	for _, p := range []struct{ alias, least string }{{"ov", "outv"}, {"ev", "errorv"}, {"wv", "warningv"}, {"iv", "informationv"}, {"pv", "pipelinev"}} {
		if low == p.alias || strings.HasPrefix(low, p.least) {
			return true
		}
	}
	return false
}

func (c *command) output(ctx context.Context, v any, objects *int) error {
	*objects++
	return c.send(ctx, func(j *psrp.Job) error { return j.Output(v) })
}

// streams are those of a statement. Errors that a command of it merges go with its results.
func (c *command) streams(ctx context.Context, list []psrp.Command, objects *int) interp.Streams {
	merged := false
	for _, cmd := range list {
		merged = merged || cmd.Merge.Error == psrp.OutputStream || cmd.Merge.My == psrp.ErrorStream && cmd.Merge.To == psrp.OutputStream
	}
	note := func(kind psrp.Type) interp.Stream {
		return func(v any) error {
			m, ok := v.(*interp.Message)
			if !ok {
				return nil
			}
			return c.send(ctx, func(j *psrp.Job) error { return j.Note(psrp.Note{Kind: kind, Text: m.Text}) })
		}
	}
	return interp.Streams{
		Error: func(v any) error {
			rec, ok := v.(*object.ErrorRecord)
			if !ok {
				rec = object.Thrown(v)
			}
			if merged {
				return c.output(ctx, rec, objects)
			}
			return c.send(ctx, func(j *psrp.Job) error { return j.Error(rec) })
		},
		Warning: note(psrp.WarningMessage), Verbose: note(psrp.VerboseMessage), Debug: note(psrp.DebugMessage),
		Information: func(v any) error {
			m, ok := v.(*interp.Message)
			if !ok {
				return nil
			}
			info := psrp.Information{Data: m.Text, Source: "busybridge", User: c.sh.user, At: c.sh.server.cfg.Now(), Tags: m.Tags}
			return c.send(ctx, func(j *psrp.Job) error { return j.Information(info) })
		},
		Progress: func(v any) error {
			m, ok := v.(*interp.Message)
			if !ok {
				return nil
			}
			p := psrp.Progress{Activity: m.Activity, Status: m.Text, Parent: -1, Percent: int32(m.Percent), Seconds: -1, Done: m.Percent >= 100}
			return c.send(ctx, func(j *psrp.Job) error { return j.Progress(p) })
		},
	}
}

// send queues a message for the client. While too much waits there, it waits, too:
// a client that does not fetch its results stops its own pipeline.
func (c *command) send(ctx context.Context, queue func(*psrp.Job) error) error {
	sh := c.sh
	asked := false
	for {
		sh.mu.Lock()
		waiting := sh.pool.Out().Len()
		for _, o := range sh.order {
			waiting += o.job.Out().Len()
		}
		var err error
		if full := waiting >= sh.server.cfg.Limits.Memory/4; !full && ctx.Err() == nil {
			err = queue(c.job)
			switch {
			case !errors.Is(err, clixml.ErrNoKey) || sh.keyed:
				sh.happened()
				sh.mu.Unlock()
				return err
			case !asked: // a secret wants out: the client gives a key for it
				asked = true
				if err = sh.pool.RequestKey(); err != nil {
					sh.mu.Unlock()
					return err
				}
				sh.happened()
			}
		}
		changed := sh.changed
		sh.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// describe answers which commands there are.
func (c *command) describe(ctx context.Context, objects *int) error {
	q := c.job.Query
	var list []psrp.CommandInfo
	if q.Types == 0 || q.Types&psrp.CmdletCommand != 0 {
		found, err := c.sh.runspace.catalog(ctx, q.Names, q.Modules)
		if err != nil {
			return err
		}
		for _, cmd := range found {
			list = append(list, describe(cmd))
		}
	}
	*objects = len(list) + 1
	return c.send(ctx, func(j *psrp.Job) error { return j.Commands(list) })
}

// describe is a command as it is told to makers of proxies.
func describe(cmd *interp.Command) psrp.CommandInfo {
	i := psrp.CommandInfo{Name: cmd.Name, Module: cmd.Module, Type: psrp.CmdletCommand}
	for _, p := range cmd.Params() {
		t := "System.Object"
		switch {
		case p.Switch:
			t = "System.Management.Automation.SwitchParameter"
		case p.Type != nil:
			t = p.Type.Name
		}
		i.Parameters = append(i.Parameters, psrp.ParameterInfo{Name: p.Name, Type: t, Aliases: p.Aliases, Switch: p.Switch})
	}
	for _, name := range common {
		i.Parameters = append(i.Parameters, psrp.ParameterInfo{Name: name, Type: "System.Object", Switch: name == "Verbose" || name == "Debug"})
	}
	if cmd.ShouldProcess {
		for _, name := range []string{"WhatIf", "Confirm"} {
			i.Parameters = append(i.Parameters, psrp.ParameterInfo{Name: name, Type: "System.Management.Automation.SwitchParameter", Switch: true})
		}
	}
	return i
}

// common are the parameters that every cmdlet has. A client takes a command that
// lists all of them for a cmdlet.
var common = []string{"Verbose", "Debug", "ErrorAction", "WarningAction", "InformationAction", "ErrorVariable", "WarningVariable", "InformationVariable", "OutVariable", "OutBuffer", "PipelineVariable"}

// ask calls the host of the client, and waits for the person there.
func (rs *runspace) ask(ctx context.Context, m psrp.Method, args ...any) (any, error) {
	sh := rs.sh
	sh.mu.Lock()
	id, err := rs.job.job.Call(m, args...)
	answer := make(chan psrp.HostReply, 1)
	sh.replies[id] = answer
	sh.happened()
	sh.mu.Unlock()
	defer func() {
		sh.mu.Lock()
		delete(sh.replies, id)
		sh.mu.Unlock()
	}()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, sh.server.cfg.Limits.HostCallWait)
	defer cancel()
	select {
	case r := <-answer:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Value, nil
	case <-ctx.Done():
		return nil, object.NewError("HostCallFailed", object.OperationTimeout, object.TPSInvalidOperation, "The client did not answer the question.")
	}
}

// Line implements interp.Prompt.
func (rs *runspace) Line(ctx context.Context, prompt string) (string, error) {
	if err := rs.show(ctx, psrp.Write, prompt); err != nil {
		return "", err
	}
	v, err := rs.ask(ctx, psrp.ReadLine)
	return object.String(v), err
}

// Secret implements interp.Prompt.
func (rs *runspace) Secret(ctx context.Context, prompt string) (string, error) {
	if err := rs.show(ctx, psrp.Write, prompt); err != nil {
		return "", err
	}
	v, err := rs.ask(ctx, psrp.ReadLineSecure)
	if s, ok := v.(*object.SecureString); ok {
		return s.Reveal(), err
	}
	return object.String(v), err
}

// Choice implements interp.Prompt.
func (rs *runspace) Choice(ctx context.Context, caption, message string, labels []string, def int) (int, error) {
	v, err := rs.ask(ctx, psrp.PromptForChoice, caption, message, psrp.Choices(labels, make([]string, len(labels))), int32(def))
	if err != nil {
		return 0, err
	}
	n, err := object.Convert(v, object.TInt)
	if err != nil {
		return 0, err
	}
	if i := int(n.(int32)); i >= 0 && i < len(labels) {
		return i, nil
	}
	return def, nil
}

// show calls a method of the host that has no answer.
func (rs *runspace) show(ctx context.Context, m psrp.Method, args ...any) error {
	return rs.job.send(ctx, func(j *psrp.Job) error {
		_, err := j.Call(m, args...)
		return err
	})
}
