package interp

import (
	"context"
	"strings"
	"time"

	"busybridge/internal/ps/object"
)

// A Call is one command while it runs: where it writes and what it was given.
type Call struct {
	Command  *Command // nil for a function
	e        *env
	name     string
	pos      object.Position
	bind     *binding
	input    map[*Param]any
	run      *pipelineRun
	index    int
	piped    bool
	impact   string
	function *function

	errorAction, warningAction, infoAction, verbose, debug string
	errorVar, warnVar, infoVar, outVar, pipeVar            string
	errs, warns, infos, outs                               []any
	yesToAll, noToAll                                      bool
}

// common reads the common parameters and puts their effect in place.
func (c *Call) common() {
	text := func(name string) string {
		for p, v := range c.bind.values {
			if p.Name == name && p.field == nil {
				return object.String(v)
			}
		}
		return ""
	}
	on := func(name string) string {
		for p, v := range c.bind.values {
			if p.Name == name && p.Switch && p.field == nil {
				if object.Bool(v) {
					return "Continue"
				}
				return "SilentlyContinue"
			}
		}
		return ""
	}
	if c.function != nil && !c.function.advanced {
		return
	}
	c.errorAction, c.warningAction, c.infoAction = text("ErrorAction"), text("WarningAction"), text("InformationAction")
	c.verbose, c.debug = on("Verbose"), on("Debug")
	c.errorVar, c.warnVar, c.infoVar, c.outVar, c.pipeVar = text("ErrorVariable"), text("WarningVariable"), text("InformationVariable"), text("OutVariable"), text("PipelineVariable")
	scope := c.e.scope
	out := c.e.out
	c.e.out = func(v any) error {
		if c.outVar != "" {
			c.outs = append(c.outs, v)
		}
		if c.pipeVar != "" {
			scope.set(c.pipeVar, v)
		}
		return out(v)
	}
	if c.function != nil && c.errorVar != "" {
		errors := c.e.streams.Error
		c.e.streams.Error = func(v any) error {
			c.errs = append(c.errs, v)
			return send(errors, v)
		}
	}
}

// preferences sets the preference variables of an advanced function's scope.
func (c *Call) preferences(s *Scope) {
	for name, v := range map[string]string{"ErrorActionPreference": c.errorAction, "WarningPreference": c.warningAction,
		"InformationPreference": c.infoAction, "VerbosePreference": c.verbose, "DebugPreference": c.debug} {
		if v != "" {
			s.set(name, v)
		}
	}
	if c.function != nil && c.function.shouldProcess {
		for _, p := range processParams {
			if v, ok := c.bind.values[p]; ok {
				if p.Name == "WhatIf" {
					s.set("WhatIfPreference", object.Bool(v))
				} else if !object.Bool(v) {
					s.set("ConfirmPreference", "None")
				} else {
					s.set("ConfirmPreference", "Low")
				}
			}
		}
	}
}

// close stores the variables that -OutVariable and the like name.
func (c *Call) close() error {
	scope := c.e.scope
	if c.function != nil && scope.parent != nil {
		scope = scope.parent
	}
	for _, v := range []struct {
		name  string
		items []any
	}{{c.outVar, c.outs}, {c.errorVar, c.errs}, {c.warnVar, c.warns}, {c.infoVar, c.infos}} {
		if v.name == "" {
			continue
		}
		name, items := v.name, v.items
		list := &object.List{}
		if strings.HasPrefix(name, "+") {
			name = name[1:]
			if old := scope.find(name); old != nil {
				if had, ok := object.Items(old.value); ok {
					list.Items = append(list.Items, had...)
				} else if old.value != nil {
					list.Items = append(list.Items, old.value)
				}
			}
		}
		list.Items = append(list.Items, items...)
		scope.set(name, list)
	}
	return nil
}

// blame makes err an error of this command at its place.
func (c *Call) blame(err error) error {
	if err == nil || passes(err) {
		return err
	}
	rec := object.AsRecord(err)
	c.place(rec)
	return &termError{rec: rec}
}

func (c *Call) place(rec *object.ErrorRecord) {
	if rec.Position == nil && !rec.Remote {
		p := c.pos
		rec.Position = &p
	}
	if rec.Activity == "" {
		rec.Activity = c.name
	}
	if rec.Invocation == nil {
		rec.Invocation = &object.Invocation{Command: c.name, Line: c.pos.Source, Position: c.pos}
	}
}

// done handles what Run returned: an error ends the pipeline.
func (c *Call) done(err error) error {
	if err == nil {
		return nil
	}
	err = c.blame(err)
	if te, ok := err.(*termError); ok {
		c.e.s.success = false
		keep(c.errorVar, &c.errs, te.rec)
		if cerr := c.close(); cerr != nil {
			return cerr
		}
	}
	return err
}

// Emit writes one object; a collection is one object, too.
func (c *Call) Emit(v any) error { return c.e.out(object.From(v)) }

// EmitAll writes the elements of a collection, or v itself when it is none.
func (c *Call) EmitAll(v any) error { return unroll(object.From(v), c.e.out) }

// keep puts v into the list of a variable when one was named.
func keep(variable string, list *[]any, v any) {
	if variable != "" {
		*list = append(*list, v)
	}
}

// WriteError reports an error that does not end the command, unless the caller asked for that; then the result is not
// nil and Run must return it.
func (c *Call) WriteError(err error) error {
	if err == nil {
		return nil
	}
	if passes(err) {
		return err
	}
	rec := object.AsRecord(err)
	c.place(rec)
	c.e.s.success = false
	action := c.errorAction
	if action == "" {
		action = c.e.preference("ErrorActionPreference")
	}
	if action != "Ignore" {
		keep(c.errorVar, &c.errs, rec)
	}
	switch action {
	case "Ignore":
		return nil
	case "Stop":
		if cerr := c.close(); cerr != nil {
			return cerr
		}
		return &termError{rec: rec, script: true}
	case "SilentlyContinue":
		c.e.s.remember(rec)
		return nil
	}
	c.e.s.remember(rec)
	return send(c.e.streams.Error, rec)
}

func (c *Call) message(m *Message, to Stream, action, preference, variable string, list *[]any) error {
	if action == "" {
		action = c.e.preference(preference)
	}
	if action != "Ignore" {
		keep(variable, list, m)
	}
	switch action {
	case "Ignore", "SilentlyContinue":
		return nil
	case "Stop":
		if err := send(to, m); err != nil {
			return err
		}
		r := object.NewError("ActionPreferenceStop", object.OperationStopped, object.TActionPreferenceStp,
			"The running command stopped because the preference variable \"%s\" or common parameter is set to Stop: %s", preference, m.Text)
		c.place(r)
		return &termError{rec: r, script: true}
	}
	return send(to, m)
}

// WriteWarning writes to the warning stream.
func (c *Call) WriteWarning(text string) error {
	return c.message(&Message{Kind: "Warning", Text: text}, c.e.streams.Warning, c.warningAction, "WarningPreference", c.warnVar, &c.warns)
}

// WriteVerbose writes to the verbose stream.
func (c *Call) WriteVerbose(text string) error {
	return c.message(&Message{Kind: "Verbose", Text: text}, c.e.streams.Verbose, c.verbose, "VerbosePreference", "", nil)
}

// WriteDebug writes to the debug stream.
func (c *Call) WriteDebug(text string) error {
	return c.message(&Message{Kind: "Debug", Text: text}, c.e.streams.Debug, c.debug, "DebugPreference", "", nil)
}

// WriteInformation writes to the information stream.
func (c *Call) WriteInformation(text string, tags ...string) error {
	return c.message(&Message{Kind: "Information", Text: text, Tags: tags}, c.e.streams.Information, c.infoAction, "InformationPreference", c.infoVar, &c.infos)
}

// WriteHost writes text for the screen, as Write-Host does: preferences do not hide it.
func (c *Call) WriteHost(m *Message) error {
	m.Kind, m.Tags = "Information", []string{"PSHOST"}
	if c.infoAction == "Ignore" || c.infoAction == "SilentlyContinue" {
		return nil
	}
	keep(c.infoVar, &c.infos, m)
	return send(c.e.streams.Information, m)
}

// WriteProgress reports progress; percent is -1 when unknown.
func (c *Call) WriteProgress(activity, status string, percent int) error {
	if a := c.e.preference("ProgressPreference"); a == "SilentlyContinue" || a == "Ignore" {
		return nil
	}
	return send(c.e.streams.Progress, &Message{Kind: "Progress", Text: status, Activity: activity, Percent: percent})
}

// Bound reports whether the parameter was given, by argument or from the pipeline.
func (c *Call) Bound(name string) bool {
	for p := range c.bind.values {
		if strings.EqualFold(p.Name, name) {
			return true
		}
	}
	for p := range c.input {
		if strings.EqualFold(p.Name, name) {
			return true
		}
	}
	return false
}

// Piped reports whether the command stands behind another in a pipeline.
func (c *Call) Piped() bool { return c.piped }

// Position is where the command stands.
func (c *Call) Position() object.Position { return c.pos }

// Name is the command's name.
func (c *Call) Name() string { return c.name }

// Session is the session that the command runs in.
func (c *Call) Session() *Session { return c.e.s }

// Now is the time in the session's zone.
func (c *Call) Now() time.Time { return c.e.s.cfg.Now().In(c.e.s.cfg.Zone) }

// Files is the shell's drives; nil when there are none.
func (c *Call) Files() Files { return c.e.s.cfg.Files }

// Prompt asks the person at the terminal; nil when there is none.
func (c *Call) Prompt() Prompt { return c.e.s.cfg.Prompt }

// Variable reads a variable as the caller sees it.
func (c *Call) Variable(name string) any {
	v, err := c.e.getVariable("", name)
	if err != nil {
		return nil
	}
	return v
}

// SetVariable sets a variable in the caller's scope.
func (c *Call) SetVariable(name string, v any) error {
	return c.e.setVariable("", name, object.From(v), nil)
}

// Stop ends what runs before this command in the pipeline; Run must return the error.
func (c *Call) Stop() error {
	if c.run == nil {
		return errNotInPipeline
	}
	return &stopError{c.run, c.index}
}

// Block runs a script block for one object in the caller's scope, $_ being the object.
func (c *Call) Block(b *ScriptBlock, item any) ([]any, error) { return c.e.block(b, item, nil) }

// Invoke runs a script block with arguments and input in a scope of its own; what it writes goes to emit.
func (c *Call) Invoke(b *ScriptBlock, args, input []any, emit func(any) error) error {
	return c.e.with(emit).callBlock(b, args, input, true)
}

// RunText runs text in the caller's scope, as Invoke-Expression does.
func (c *Call) RunText(text string) error {
	b, err := c.e.s.newBlock(text)
	if err != nil {
		return err
	}
	return c.e.callBlock(b, nil, nil, false)
}

// ShouldProcess asks whether to act on target: false under -WhatIf, the person's answer under -Confirm.
func (c *Call) ShouldProcess(target, action string) (bool, error) {
	if action == "" {
		action = c.name
	}
	return c.ShouldProcessText("Performing the operation \""+action+"\" on target \""+target+"\".", "")
}

// ShouldProcessText is ShouldProcess with the command's own sentence.
func (c *Call) ShouldProcessText(sentence, caption string) (bool, error) {
	whatIf, confirm := object.Bool(c.Variable("WhatIfPreference")), false
	asked := false
	for _, p := range processParams {
		v, ok := c.bind.values[p]
		switch {
		case !ok:
		case p.Name == "WhatIf":
			whatIf = object.Bool(v)
		default:
			asked, confirm = true, object.Bool(v)
		}
	}
	if whatIf {
		return false, c.WriteHost(&Message{Text: "What if: " + sentence})
	}
	if !asked {
		rank := map[string]int{"none": 9, "low": 1, "medium": 2, "high": 3}
		impact := strings.ToLower(c.impact)
		if impact == "" {
			impact = "medium"
		}
		limit := rank[strings.ToLower(object.String(c.Variable("ConfirmPreference")))]
		confirm = limit > 0 && rank[impact] >= limit && impact != "none"
	}
	if !confirm || c.yesToAll {
		return true, nil
	}
	if c.noToAll {
		return false, nil
	}
	if c.e.s.cfg.Prompt == nil {
		return false, object.NewError("InvalidOperation", object.InvalidOperation, object.TPSInvalidOperation,
			"%s is in NonInteractive mode. Read and Prompt functionality is not available. Use -Confirm:$false to run the command without a question.", "Windows PowerShell")
	}
	if caption == "" {
		caption = "Confirm\nAre you sure you want to perform this action?"
	}
	n, err := c.e.s.cfg.Prompt.Choice(c.e.ctx, caption, sentence, []string{"&Yes", "Yes to &All", "&No", "No to A&ll", "&Suspend"}, 0)
	if err != nil {
		return false, err
	}
	switch n {
	case 1:
		c.yesToAll = true
	case 3:
		c.noToAll = true
	}
	return n == 0 || n == 1, nil
}

// object is $PSCmdlet.
func (c *Call) object() *object.Object {
	o := object.New("System.Management.Automation.PSScriptCmdlet")
	set := ""
	if len(c.bind.sets) > 0 {
		set = c.bind.sets[0]
		if hasFold(c.bind.sets, c.bind.defSet) {
			set = c.bind.defSet
		}
	} else {
		set = "__AllParameterSets"
	}
	o.Add("ParameterSetName", set)
	text := func(args []any, i int) string {
		if i < len(args) {
			return object.String(args[i])
		}
		return ""
	}
	o.AddMethod("ShouldProcess", func(_ *object.Context, _ *object.Object, args []any) (any, error) {
		if len(args) >= 3 {
			return c.ShouldProcessText(text(args, 0), text(args, 2))
		}
		return c.ShouldProcess(text(args, 0), text(args, 1))
	})
	o.AddMethod("ShouldContinue", func(_ *object.Context, _ *object.Object, args []any) (any, error) {
		if c.e.s.cfg.Prompt == nil {
			return true, nil
		}
		n, err := c.e.s.cfg.Prompt.Choice(c.e.ctx, text(args, 1), text(args, 0), []string{"&Yes", "&No"}, 0)
		return n == 0, err
	})
	write := func(name string, f func(args []any) error) {
		o.AddMethod(name, func(_ *object.Context, _ *object.Object, args []any) (any, error) { return object.Void, f(args) })
	}
	write("WriteVerbose", func(a []any) error { return c.WriteVerbose(text(a, 0)) })
	write("WriteWarning", func(a []any) error { return c.WriteWarning(text(a, 0)) })
	write("WriteDebug", func(a []any) error { return c.WriteDebug(text(a, 0)) })
	write("WriteObject", func(a []any) error {
		if len(a) == 0 {
			return nil
		}
		if len(a) > 1 && object.Bool(a[1]) {
			return c.EmitAll(a[0])
		}
		return c.Emit(a[0])
	})
	record := func(a []any) *object.ErrorRecord {
		if len(a) > 0 {
			if r, ok := object.Base(a[0]).(*object.ErrorRecord); ok {
				return r
			}
		}
		return object.Thrown(text(a, 0))
	}
	write("WriteError", func(a []any) error { return c.WriteError(record(a)) })
	write("ThrowTerminatingError", func(a []any) error {
		r := record(a)
		c.place(r)
		return &termError{rec: r}
	})
	return o
}

// sleep waits for d or until ctx ends.
func (s *Session) sleep(ctx context.Context, d time.Duration) error {
	if s.cfg.Sleep != nil {
		return s.cfg.Sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
