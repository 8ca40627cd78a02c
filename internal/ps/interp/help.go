package interp

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/ps/object"
)

// Syntax is the command's syntax line for each parameter set.
func (c *Command) Syntax() string {
	var sets []string
	for _, p := range c.params {
		for _, s := range p.Sets {
			if !hasFold(sets, s) {
				sets = append(sets, s)
			}
		}
	}
	if sets == nil {
		sets = []string{""}
	}
	var lines []string
	for _, set := range sets {
		var b strings.Builder
		b.WriteString(c.Name)
		params := slices.Clone(c.params)
		slices.SortStableFunc(params, func(x, y *Param) int { return rank(x) - rank(y) })
		for _, p := range params {
			if set != "" && !p.in([]string{set}) {
				continue
			}
			b.WriteString(" " + p.syntax())
		}
		if c.ShouldProcess {
			b.WriteString(" [-WhatIf] [-Confirm]")
		}
		b.WriteString(" [<CommonParameters>]")
		lines = append(lines, b.String())
	}
	return strings.Join(lines, "\n\n")
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

func (p *Param) syntax() string {
	s := "-" + p.Name
	if p.Position >= 0 {
		s = "[" + s + "]"
	}
	if !p.Switch {
		s += " <" + p.shortType() + ">"
	}
	if !p.Mandatory {
		s = "[" + s + "]"
	}
	return s
}

func (p *Param) shortType() string {
	switch {
	case p.Type == nil:
		return "Object"
	case p.Type.Elem != nil && p.Type.Is(object.TArray):
		return (&Param{Type: p.Type.Elem}).shortType() + "[]"
	}
	switch p.Type {
	case object.TInt, object.TLong, object.TBool, object.TString, object.TDouble:
		return p.Type.Title()
	}
	return p.Type.Title()
}

// GetHelp is Get-Help (16.5).
type GetHelp struct {
	Name      string        `ps:"Name,position=0,pipeline=name"`
	Full      object.Switch `ps:"Full"`
	Detailed  object.Switch `ps:"Detailed"`
	Examples  object.Switch `ps:"Examples"`
	Parameter []string      `ps:"Parameter"`
	Online    object.Switch `ps:"Online"`
}

// Run writes the help text of a command, or lists the commands that a pattern names.
func (g *GetHelp) Run(_ context.Context, c *Call) error {
	s := c.e.s
	if g.Name == "" {
		return c.Emit("TOPIC\n    Get-Help\n\nSHORT DESCRIPTION\n    Shows help about commands. Type Get-Command to list them and Get-Help <name> -Full for one.\n")
	}
	if cmd := s.Lookup(g.Name); cmd != nil {
		if len(g.Parameter) > 0 {
			return g.parameters(c, cmd)
		}
		return c.Emit(cmd.help(bool(g.Full), bool(g.Detailed), bool(g.Examples)))
	}
	found := false
	for _, cmd := range s.Commands() {
		if object.Like(cmd.Name, g.Name) || !object.HasWildcard(g.Name) && strings.Contains(strings.ToLower(cmd.Name), strings.ToLower(g.Name)) {
			found = true
			o := object.New("HelpInfoShort").Add("Name", cmd.Name).Add("Category", "Cmdlet").Add("Module", cmd.Module).Add("Synopsis", cmd.Synopsis)
			if err := c.Emit(o); err != nil {
				return err
			}
		}
	}
	if f := s.functions[strings.ToLower(g.Name)]; f != nil {
		found = true
		line := f.name
		for _, p := range f.params {
			line += " " + p.syntax()
		}
		if err := c.Emit("NAME\n    " + f.name + "\n\nSYNTAX\n    " + line + "\n"); err != nil {
			return err
		}
	}
	if found {
		return nil
	}
	r := object.NewError("HelpNotFound,Microsoft.PowerShell.Commands.GetHelpCommand", object.ObjectNotFound, nil, "Get-Help could not find %s in a help file in this session.", g.Name)
	r.Reason = "HelpNotFoundException"
	return c.WriteError(r)
}

func (g *GetHelp) parameters(c *Call, cmd *Command) error {
	found := false
	for _, p := range cmd.params {
		if slices.ContainsFunc(g.Parameter, func(x string) bool { return object.Like(p.Name, x) }) {
			found = true
			if err := c.Emit(p.help("")); err != nil {
				return err
			}
		}
	}
	if found {
		return nil
	}
	return c.WriteError(object.NewError("NoParametersFound,Microsoft.PowerShell.Commands.GetHelpCommand", object.ObjectNotFound, nil, "No parameter matches criteria %s.", strings.Join(g.Parameter, ", ")))
}

func (p *Param) help(indent string) string {
	yes := func(b bool) string {
		if b {
			return "true"
		}
		return "false"
	}
	position := "Named"
	if p.Position >= 0 {
		position = fmt.Sprint(p.Position)
	}
	var from []string
	if p.ByValue {
		from = append(from, "ByValue")
	}
	if p.ByName {
		from = append(from, "ByPropertyName")
	}
	input := "false"
	if from != nil {
		input = "true (" + strings.Join(from, ", ") + ")"
	}
	head := "-" + p.Name
	if !p.Switch {
		head += " <" + p.shortType() + ">"
	}
	lines := []string{head}
	if p.Help != "" {
		lines = append(lines, "    "+p.Help)
	}
	lines = append(lines, "", "    Required?                    "+yes(p.Mandatory), "    Position?                    "+position,
		"    Default value                "+p.Default, "    Accept pipeline input?       "+input, "    Aliases                      "+strings.Join(p.Aliases, ", "))
	if len(p.Values) > 0 {
		lines = append(lines, "    Accepted values              "+strings.Join(p.Values, ", "))
	}
	for i := range lines {
		if lines[i] != "" {
			lines[i] = strings.TrimRight(indent+lines[i], " ")
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func (c *Command) help(full, detailed, examples bool) string {
	var b strings.Builder
	section := func(title, text string) {
		if text == "" {
			return
		}
		b.WriteString("\n" + title + "\n")
		for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
			b.WriteString(strings.TrimRight("    "+line, " ") + "\n")
		}
	}
	section("NAME", c.Name)
	section("SYNOPSIS", c.Synopsis)
	if !examples {
		section("SYNTAX", c.Syntax())
		description := c.Description
		if description == "" {
			description = c.Synopsis
		}
		section("DESCRIPTION", description)
	}
	if full || detailed {
		var p strings.Builder
		for _, q := range c.params {
			p.WriteString(q.help("") + "\n")
		}
		p.WriteString("<CommonParameters>\n    This cmdlet supports the common parameters: Verbose, Debug, ErrorAction, ErrorVariable, WarningAction,\n    WarningVariable, OutBuffer, PipelineVariable, and OutVariable.")
		section("PARAMETERS", p.String())
	}
	if full || detailed || examples {
		for i, e := range c.Examples {
			section(fmt.Sprintf("EXAMPLE %d", i+1), e)
		}
	}
	if !examples {
		section("RELATED LINKS", strings.Join(c.Links, "\n"))
		section("REMARKS", "For the parameters, type: Get-Help "+c.Name+" -Full")
	}
	return b.String()
}
