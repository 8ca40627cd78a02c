package interp

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteReference writes the reference page of commands as Markdown: for each module a table of its cmdlets, for each
// cmdlet its syntax and a table of its parameters. elsewhere is what Exchange, MSOnline, AzureAD and Windows PowerShell have:
// cmdlet to parameters. What is in it and not among commands is marked as missing, what is only here as our own. The
// page depends on nothing else.
func WriteReference(w io.Writer, commands []Command, elsewhere map[string][]string) error {
	list := slices.Clone(commands)
	for i := range list {
		if err := list[i].describe(); err != nil {
			return err
		}
	}
	slices.SortStableFunc(list, func(a, b Command) int {
		return cmp.Or(strings.Compare(a.Module, b.Module), strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)))
	})
	list = slices.CompactFunc(list, func(a, b Command) bool { return a.Module == b.Module && strings.EqualFold(a.Name, b.Name) })
	r := &referencePage{w: bufio.NewWriter(w), elsewhere: map[string][]string{}}
	for name, params := range elsewhere {
		r.elsewhere[strings.ToLower(name)] = params
	}
	r.head(list, elsewhere)
	for i := 0; i < len(list); {
		n := i
		for n < len(list) && list[n].Module == list[i].Module {
			n++
		}
		r.module(list[i:n])
		i = n
	}
	return r.w.Flush()
}

type referencePage struct {
	w         *bufio.Writer
	elsewhere map[string][]string // by lower-case name
}

func (r *referencePage) printf(format string, args ...any) { fmt.Fprintf(r.w, format, args...) }

// cellOf is text in a cell of a table.
func cellOf(s string) string {
	return strings.NewReplacer("|", `\|`, "\r", "", "\n", " ", "<", "&lt;", ">", "&gt;").Replace(strings.TrimSpace(s))
}

// missing are the parameters of c elsewhere that it does not have here, by name.
func (r *referencePage) missing(c *Command) []string {
	var out []string
	for _, name := range r.elsewhere[strings.ToLower(c.Name)] {
		if !slices.ContainsFunc(slices.Concat(c.params, CommonParams(c.ShouldProcess)), func(p *Param) bool { return strings.EqualFold(p.Name, name) || hasFold(p.Aliases, name) }) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (r *referencePage) head(list []Command, elsewhere map[string][]string) {
	here := map[string]bool{}
	params, known, gone := 0, 0, 0
	for i := range list {
		c := &list[i]
		for _, name := range append([]string{c.Name}, c.Aliases...) {
			here[strings.ToLower(name)] = true
		}
		params += len(c.params)
		known += len(r.elsewhere[strings.ToLower(c.Name)])
		gone += len(r.missing(c))
	}
	var absent []string
	for name := range elsewhere {
		if !here[strings.ToLower(name)] {
			absent = append(absent, name)
		}
	}
	slices.Sort(absent)
	r.printf("# Cmdlets\n\n<!-- Generated from the code by its tests. Do not edit. -->\n\n")
	r.printf("The management shell has %d cmdlets with %d parameters, beside the common ones. ", len(list), params)
	r.printf("Exchange, MSOnline, AzureAD and Windows PowerShell have %d parameters for those of them that are theirs; %d of these are missing here.\n", known, gone)
	r.printf("`Get-Help NAME -Full` says the same in the shell. A parameter or cmdlet marked *own* exists only here.\n\n")
	if len(absent) > 0 {
		r.printf("Cmdlets that are missing: `%s`.\n\n", strings.Join(absent, "`, `"))
	}
	r.printf("Required parameters are marked with R, positions count from 0, pipeline input is by value (V) or by property name (N).\n")
}

func (r *referencePage) module(list []Command) {
	name := list[0].Module
	if name == "" {
		name = "Without a module"
	}
	r.printf("\n## %s\n\n| cmdlet | what it does |\n| --- | --- |\n", name)
	for i := range list {
		c := &list[i]
		own := ""
		if _, ok := r.elsewhere[strings.ToLower(c.Name)]; !ok && len(r.elsewhere) > 0 {
			own = " *own*"
		}
		r.printf("| [%s](#%s)%s | %s |\n", c.Name, strings.ToLower(c.Name), own, cellOf(c.Synopsis))
	}
	for i := range list {
		r.cmdlet(&list[i])
	}
}

func (r *referencePage) cmdlet(c *Command) {
	r.printf("\n### %s\n", c.Name)
	if c.Description != "" {
		r.printf("\n%s\n", strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(strings.TrimSpace(c.Description)))
	}
	if len(c.Aliases) > 0 {
		r.printf("\nAlso called `%s`.\n", strings.Join(c.Aliases, "`, `"))
	}
	theirs, known := r.elsewhere[strings.ToLower(c.Name)]
	if params := c.helpParams(); len(params) > 0 {
		r.printf("\n| parameter | type | | position | pipeline | what it is |\n| --- | --- | --- | --- | --- | --- |\n")
		for _, p := range params {
			r.param(p, known && !hasFold(theirs, p.Name) && p.Name != "WhatIf" && p.Name != "Confirm")
		}
	}
	if missing := r.missing(c); len(missing) > 0 {
		r.printf("\nMissing: `-%s`.\n", strings.Join(missing, "`, `-"))
	}
}

func (r *referencePage) param(p *Param, own bool) {
	marks := ""
	if p.Mandatory {
		marks = "R"
	}
	position, input := "", ""
	if p.Position >= 0 {
		position = fmt.Sprint(p.Position)
	}
	if p.ByValue {
		input = "V"
	}
	if p.ByName {
		input += "N"
	}
	kind := p.shortType()
	if p.Switch {
		kind = "switch"
	}
	help := cellOf(p.Help)
	if len(p.Values) > 0 {
		help += " One of `" + strings.Join(p.Values, "`, `") + "`."
	}
	if p.Default != "" {
		help += " Default: `" + p.Default + "`."
	}
	if len(p.Aliases) > 0 {
		help += " Alias: `-" + strings.Join(p.Aliases, "`, `-") + "`."
	}
	if own {
		help += " *own*"
	}
	r.printf("| `-%s` | %s | %s | %s | %s | %s |\n", p.Name, cellOf(kind), marks, position, input, strings.TrimSpace(help))
}
