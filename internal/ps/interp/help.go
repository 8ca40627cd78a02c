package interp

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/ps/format"
	"busybridge/internal/ps/object"
)

// sets are the command's parameter sets, the default one first; one without a name when there are none.
func (c *Command) sets() []string {
	var sets []string
	for _, p := range c.params {
		for _, s := range p.Sets {
			if !hasFold(sets, s) {
				sets = append(sets, s)
			}
		}
	}
	if sets == nil {
		return []string{""}
	}
	slices.SortStableFunc(sets, func(a, b string) int {
		switch def := c.DefaultSet; {
		case strings.EqualFold(a, def) == strings.EqualFold(b, def):
			return 0
		case strings.EqualFold(a, def):
			return -1
		}
		return 1
	})
	return sets
}

// Syntax is the command's syntax line for each parameter set, as Get-Help shows it.
func (c *Command) Syntax() string { return strings.Join(c.syntax((*Param).shortType), "\n\n") }

func (c *Command) syntax(typeName func(*Param) string) []string {
	params := slices.Clone(c.params)
	slices.SortStableFunc(params, func(x, y *Param) int { return rank(x) - rank(y) })
	var lines []string
	for _, set := range c.sets() {
		var b strings.Builder
		b.WriteString(c.Name)
		for _, p := range params {
			if set == "" || p.in([]string{set}) {
				b.WriteString(" " + p.syntax(typeName))
			}
		}
		if c.ShouldProcess {
			b.WriteString(" [-WhatIf] [-Confirm]")
		}
		b.WriteString(" [<CommonParameters>]")
		lines = append(lines, b.String())
	}
	return lines
}

// rank orders parameters for a syntax line: by position, then mandatory ones, then the rest.
func rank(p *Param) int {
	switch {
	case p.Position >= 0:
		return p.Position
	case p.Mandatory:
		return 1000
	}
	return 2000
}

func (p *Param) syntax(typeName func(*Param) string) string {
	s := "-" + p.Name
	if p.Position >= 0 {
		s = "[" + s + "]"
	}
	if !p.Switch {
		s += " <" + typeName(p) + ">"
	}
	if !p.Mandatory {
		s = "[" + s + "]"
	}
	return s
}

// shortType is the name of the type in help.
func (p *Param) shortType() string {
	switch {
	case p.shown != "":
		return p.shown
	case p.Type == nil:
		return "Object"
	case p.Type.Elem != nil && p.Type.Is(object.TArray):
		return p.Type.Elem.Title() + "[]"
	}
	return p.Type.Title()
}

// shellType is the name of the type in Get-Command -Syntax: the language's own where there is one.
func (p *Param) shellType() string {
	t, suffix := p.Type, ""
	if t == nil || p.shown != "" {
		return p.shortType()
	}
	if t.Elem != nil && t.Is(object.TArray) {
		t, suffix = t.Elem, "[]"
	}
	if t.Short != "" && t != object.TScriptBlock && t != object.TObject && t != object.TCredential {
		return t.Short + suffix
	}
	return p.shortType()
}

// GetHelp is Get-Help (16.5).
type GetHelp struct {
	Name      string        `ps:"Name,position=0,pipeline=name,wildcard" help:"The command, or a pattern for its name."`
	Full      object.Switch `ps:"Full" help:"Everything there is to say."`
	Detailed  object.Switch `ps:"Detailed" help:"What the parameters are for, and examples."`
	Examples  object.Switch `ps:"Examples" help:"The examples only."`
	Parameter []string      `ps:"Parameter,wildcard" help:"These parameters only."`
	Online    object.Switch `ps:"Online" help:"Refused: there are no pages to open."`
}

// Run writes the help text of a command, or lists the commands that a pattern names.
func (g *GetHelp) Run(_ context.Context, c *Call) error {
	s := c.e.s
	if g.Online {
		return object.NewError("InvalidOperation,Microsoft.PowerShell.Commands.GetHelpCommand", object.InvalidOperation, object.TPSInvalidOperation,
			"The online version of this Help topic cannot be displayed because the Internet address (URI) of the Help topic is not specified in the command code or in the help file for the command.")
	}
	if g.Name == "" {
		return c.Emit("TOPIC\n    Get-Help\n\nSHORT DESCRIPTION\n    Shows help about commands. Type Get-Command to list them and Get-Help <name> -Full for one.\n")
	}
	if cmd := s.Lookup(g.Name); cmd != nil {
		return g.show(c, cmd)
	}
	if f := s.functions[strings.ToLower(g.Name)]; f != nil {
		return g.show(c, f.asCommand())
	}
	var found []*Command
	for _, cmd := range s.Commands() {
		if object.Like(cmd.Name, g.Name) || !object.HasWildcard(g.Name) && strings.Contains(strings.ToLower(cmd.Name), strings.ToLower(g.Name)) {
			found = append(found, cmd)
		}
	}
	switch len(found) {
	case 0:
		r := object.NewError("HelpNotFound,Microsoft.PowerShell.Commands.GetHelpCommand", object.ObjectNotFound, nil, "Get-Help could not find %s in a help file in this session.", g.Name)
		r.Reason = "HelpNotFoundException"
		return c.WriteError(r)
	case 1:
		return g.show(c, found[0])
	}
	for _, cmd := range found {
		if err := c.Emit(object.New("HelpInfoShort", "System.Object").Add("Name", cmd.Name).Add("Category", cmd.kind()).Add("Module", cmd.Module).Add("Synopsis", cmd.Synopsis)); err != nil {
			return err
		}
	}
	return nil
}

// kind is Cmdlet or Function.
func (c *Command) kind() string {
	if c.Kind != "" {
		return c.Kind
	}
	return "Cmdlet"
}

// asCommand is a function of a script as help sees it.
func (f *function) asCommand() *Command {
	return &Command{Name: f.name, Kind: "Function", params: f.params, ShouldProcess: f.shouldProcess, DefaultSet: f.defaultSet}
}

func (g *GetHelp) show(c *Call, cmd *Command) error {
	if len(g.Parameter) > 0 {
		return g.parameters(c, cmd)
	}
	t := helpText{c: cmd, width: c.e.s.cfg.Width}
	view := ""
	switch {
	case bool(g.Full):
		view = "#FullView"
		t.full()
	case bool(g.Detailed):
		view = "#DetailedView"
		t.detailed()
	case bool(g.Examples):
		view = "#ExamplesView"
		t.head()
		t.examples()
	default:
		t.short()
	}
	text := t.b.String()
	o := object.New("MamlCommandHelpInfo"+view, "MamlCommandHelpInfo", "HelpInfo", "System.Object")
	o.Add("Name", cmd.Name).Add("Category", cmd.kind()).Add("Synopsis", cmd.Synopsis).Add("ModuleName", cmd.Module)
	o.Add("Syntax", cmd.Syntax()).Add("Description", cmd.about()).Add("Examples", object.Strings(cmd.Examples...)).Add("RelatedLinks", object.Strings(cmd.Links...))
	o.Text = func() string { return text }
	return c.Emit(o)
}

func (g *GetHelp) parameters(c *Call, cmd *Command) error {
	found := false
	for _, p := range cmd.helpParams() {
		if !slices.ContainsFunc(g.Parameter, func(x string) bool { return object.Like(p.Name, x) }) {
			continue
		}
		found = true
		t := helpText{c: cmd, width: c.e.s.cfg.Width}
		t.param(p, "", true)
		if err := c.Emit(t.b.String()); err != nil {
			return err
		}
	}
	if found {
		return nil
	}
	return c.WriteError(object.NewError("NoParametersFound,Microsoft.PowerShell.Commands.GetHelpCommand", object.ObjectNotFound, nil, "No parameter matches criteria %s.", strings.Join(g.Parameter, ", ")))
}

func (c *Command) about() string {
	if c.Description != "" {
		return c.Description
	}
	return c.Synopsis
}

// helpParams are the parameters that help explains: the command's own, and the two of commands that change something.
func (c *Command) helpParams() []*Param {
	if !c.ShouldProcess {
		return c.params
	}
	return append(slices.Clone(c.params),
		&Param{Name: "WhatIf", Aliases: []string{"wi"}, Switch: true, Position: -1, Help: "Tells what would be done and does nothing."},
		&Param{Name: "Confirm", Aliases: []string{"cf"}, Switch: true, Position: -1, Help: "Asks before anything is done; -Confirm:$false does not ask."})
}

// helpText collects the sections of a help text, laid out as in Windows PowerShell 5.1.
type helpText struct {
	c     *Command
	width int
	b     strings.Builder
}

// lines writes paragraphs with an indent, broken at blanks.
func (t *helpText) lines(indent, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		for _, part := range format.Wrap(line, max(20, t.width-len(indent)-1)) {
			t.b.WriteString(strings.TrimRight(indent+part, " ") + "\n")
		}
	}
}

func (t *helpText) section(title, text string) {
	if text == "" {
		return
	}
	t.b.WriteString("\n" + title + "\n")
	t.lines("    ", text)
}

func (t *helpText) head() {
	t.section("NAME", t.c.Name)
	t.section("SYNOPSIS", t.c.Synopsis)
	t.b.WriteString("\n")
}

func (t *helpText) body() {
	t.head()
	t.section("SYNTAX", t.c.Syntax())
	t.b.WriteString("\n")
	t.section("DESCRIPTION", t.c.about())
	t.b.WriteString("\n")
}

func (t *helpText) short() {
	t.body()
	t.section("RELATED LINKS", strings.Join(t.c.Links, "\n"))
	t.remarks()
}

func (t *helpText) detailed() {
	t.body()
	t.params(false)
	t.examples()
	t.remarks()
}

func (t *helpText) full() {
	t.body()
	t.params(true)
	var in []string
	for _, p := range t.c.params {
		if name := p.typeFull(); (p.ByValue || p.ByName) && !slices.Contains(in, name) {
			in = append(in, name)
		}
	}
	if in == nil {
		in = []string{"None"}
	}
	t.section("INPUTS", strings.Join(in, "\n"))
	t.b.WriteString("\n")
	t.examples()
	t.section("RELATED LINKS", strings.Join(t.c.Links, "\n"))
}

func (p *Param) typeFull() string {
	if p.Type == nil {
		return p.shortType()
	}
	return p.Type.Name
}

func (t *helpText) params(full bool) {
	t.b.WriteString("\nPARAMETERS\n")
	for _, p := range t.c.helpParams() {
		t.param(p, "    ", full)
		t.b.WriteString("\n")
	}
	t.b.WriteString("    <CommonParameters>\n")
	names := make([]string, len(commonParams))
	for i, p := range commonParams {
		names[i] = p.Name
	}
	last := len(names) - 1
	t.lines("        ", "This cmdlet supports the common parameters: "+strings.Join(names[:last], ", ")+", and "+names[last]+".")
}

// param explains one parameter; full adds how it takes its value.
func (t *helpText) param(p *Param, indent string, full bool) {
	head := "-" + p.Name + " [<SwitchParameter>]"
	if !p.Switch {
		head = "-" + p.Name + " <" + p.shortType() + ">"
	}
	t.lines(indent, head)
	if p.Help != "" {
		t.lines(indent+"    ", p.Help)
	}
	if !full {
		return
	}
	t.b.WriteString("\n")
	fact := func(name, value string) {
		t.b.WriteString(strings.TrimRight(fmt.Sprintf("%s    %-29s%s", indent, name, value), " ") + "\n")
	}
	fact("Required?", word(p.Mandatory))
	fact("Position?", p.place())
	fact("Default value", p.initialText())
	fact("Accept pipeline input?", p.input())
	fact("Accept wildcard characters?", word(p.Wildcard))
	if len(p.Aliases) > 0 {
		fact("Aliases", strings.Join(p.Aliases, ", "))
	}
	if len(p.Values) > 0 {
		fact("Accepted values", strings.Join(p.Values, ", "))
	}
	if len(p.Sets) > 0 {
		fact("Parameter sets", strings.Join(p.Sets, ", "))
	}
}

func word(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func (p *Param) place() string {
	if p.Position >= 0 {
		return fmt.Sprint(p.Position)
	}
	return "named"
}

func (p *Param) initialText() string {
	switch {
	case p.Default != "":
		return p.Default
	case p.Switch:
		return "False"
	}
	return ""
}

func (p *Param) input() string {
	switch {
	case p.ByValue && p.ByName:
		return "true (ByValue, ByPropertyName)"
	case p.ByValue:
		return "true (ByValue)"
	case p.ByName:
		return "true (ByPropertyName)"
	}
	return "false"
}

func (t *helpText) examples() {
	for i, e := range t.c.Examples {
		fmt.Fprintf(&t.b, "\n    -------------------------- EXAMPLE %d --------------------------\n\n", i+1)
		for line := range strings.SplitSeq(strings.TrimRight(e, "\n"), "\n") { // code is not broken
			t.b.WriteString(strings.TrimRight("    PS C:\\>"+line, " ") + "\n")
		}
		t.b.WriteString("\n")
	}
}

func (t *helpText) remarks() {
	name := strings.ToLower(t.c.Name)
	t.section("REMARKS", fmt.Sprintf("To see the examples, type: \"get-help %[1]s -examples\".\nFor more information, type: \"get-help %[1]s -detailed\".\nFor technical information, type: \"get-help %[1]s -full\".", name))
}
