package hostcmd

import (
	"context"
	"fmt"
	"strings"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

const matchInfo = "Microsoft.PowerShell.Commands.MatchInfo"

type selectString struct {
	h             *host
	Pattern       []string      `ps:"Pattern,mandatory,position=0" help:"Regular expressions, or texts with -SimpleMatch."`
	Path          []string      `ps:"Path,position=1,pipeline=name" help:"Files; wildcards are allowed."`
	LiteralPath   []string      `ps:"LiteralPath,alias=PSPath,pipeline=name" help:"Files, taken as they are."`
	InputObject   any           `ps:"InputObject,pipeline=value,allownull,allowempty" help:"Text to search, instead of files."`
	SimpleMatch   object.Switch `ps:"SimpleMatch" help:"Patterns are texts, not regular expressions."`
	CaseSensitive object.Switch `ps:"CaseSensitive" help:"Case matters."`
	Quiet         object.Switch `ps:"Quiet" help:"True for the first match, False when there is none."`
	List          object.Switch `ps:"List" help:"The first match of each file only."`
	NotMatch      object.Switch `ps:"NotMatch" help:"Lines that do not match."`
	AllMatches    object.Switch `ps:"AllMatches" help:"All matches of a line, not the first only."`
	Include       []string      `ps:"Include" help:"Only names that fit one of these patterns."`
	Exclude       []string      `ps:"Exclude" help:"No names that fit one of these patterns."`
	Encoding      string        `ps:"Encoding,values=ASCII|BigEndianUnicode|Default|OEM|String|Unicode|Unknown|UTF8" help:"How files are encoded when no mark in them says so; UTF-8 without it."`
	Context       []int         `ps:"Context" help:"How many lines before and after a match are kept; one number or two."`

	patterns []*object.Regex
	line     int // of text from the pipeline
	found    bool
}

// Begin reads the patterns.
func (p *selectString) Begin(_ context.Context, c *interp.Call) error {
	options := int64(1) // IgnoreCase
	if p.CaseSensitive {
		options = 0
	}
	for _, s := range p.Pattern {
		if p.SimpleMatch {
			s = quoteRegex(s)
		}
		re, err := object.CompileRegex(s, options)
		if err != nil {
			return object.NewError("InvalidRegex,"+class(c), object.InvalidArgument, object.TArgumentException, "The string %s is not a valid regular expression: %s", s, object.AsRecord(err).Message())
		}
		p.patterns = append(p.patterns, re)
	}
	for _, n := range p.Context {
		if n < 0 {
			return object.NewError("ContextOutOfRange,"+class(c), object.InvalidArgument, object.TPSArgument, "Context is one or two numbers from 0.")
		}
	}
	return nil
}

func quoteRegex(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`\*+?|{}[]()^$.# `, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Run searches one text, or files (Select-String).
func (p *selectString) Run(ctx context.Context, c *interp.Call) error {
	if p.found && bool(p.Quiet) {
		return nil
	}
	_, isItem := object.Base(p.InputObject).(*fileItem)
	if len(p.Path) == 0 && (len(p.LiteralPath) == 0 || !isItem && c.Bound("InputObject") && c.Piped()) {
		text := object.String(p.InputObject)
		p.line++
		_, err := p.search(ctx, c, []string{text}, p.line, nil)
		return err
	}
	keep, err := selection("", p.Include, p.Exclude)
	if err != nil {
		return p.h.fail(c, illegal(err.Error()), "")
	}
	return p.h.each(ctx, c, p.Path, p.LiteralPath, func(e entry) error {
		if e.folder() || e.cert != nil || !keep(e) || p.found && bool(p.Quiet) {
			return nil
		}
		b, err := p.h.Drive.read(e.at)
		if err != nil {
			return c.WriteError(p.h.fail(c, err, e.at.String()))
		}
		text, err := decode(b, p.Encoding)
		if err != nil {
			return c.WriteError(p.h.fail(c, err, e.at.String()))
		}
		_, err = p.search(ctx, c, textLines(text), 1, &e.at)
		return err
	})
}

// End says False when nothing was found and nothing but that was asked.
func (p *selectString) End(_ context.Context, c *interp.Call) error {
	if !bool(p.Quiet) || p.found {
		return nil
	}
	return c.Emit(false)
}

func (p *selectString) search(ctx context.Context, c *interp.Call, lines []string, first int, at *place) (bool, error) {
	before, after := 0, 0
	if len(p.Context) > 0 {
		before, after = p.Context[0], p.Context[len(p.Context)-1]
	}
	for i, line := range lines {
		if i%1024 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		pattern, matches, ok, err := p.match(line)
		if err != nil {
			return false, err
		}
		if ok == bool(p.NotMatch) {
			continue
		}
		p.found = true
		if p.Quiet {
			return true, c.Emit(true)
		}
		m := &matched{line: line, number: first + i, path: "InputStream", name: "InputStream"}
		if at != nil {
			m.path, m.name = at.String(), at.leaf()
		}
		if len(p.Context) > 0 {
			m.before, m.after = lines[max(0, i-before):i], lines[i+1:min(len(lines), i+1+after)]
		}
		if err := c.Emit(m.object(!bool(p.CaseSensitive), pattern, matches, len(p.Context) > 0)); err != nil {
			return false, err
		}
		if p.List {
			return true, nil
		}
	}
	return p.found, nil
}

// match is the first pattern that fits, with its matches.
func (p *selectString) match(line string) (pattern string, matches []any, ok bool, err error) {
	for i, re := range p.patterns {
		method := "Match"
		if p.AllMatches {
			method = "Matches"
		}
		v, err := object.CallMethod(nil, re, method, []any{line})
		if err != nil {
			return "", nil, false, err
		}
		items, isList := object.Items(v)
		if !isList {
			items = []any{v}
		}
		if len(items) == 0 {
			continue
		}
		if success, _ := object.Get(items[0], "Success"); !object.Bool(success) {
			continue
		}
		return p.Pattern[i], items, true, nil
	}
	return p.Pattern[0], nil, false, nil
}

// matched is a line that was found.
type matched struct {
	line, path, name string
	number           int
	before, after    []string
}

func (m *matched) object(ignoreCase bool, pattern string, matches []any, context bool) *object.Object {
	o := object.New(matchInfo, "System.Object").Add("IgnoreCase", ignoreCase).Add("LineNumber", int32(m.number)).Add("Line", m.line).
		Add("Filename", m.name).Add("Path", m.path).Add("Pattern", pattern)
	if context {
		o.Add("Context", object.New("Microsoft.PowerShell.Commands.MatchInfoContext", "System.Object").
			Add("PreContext", object.Strings(m.before...)).Add("PostContext", object.Strings(m.after...)))
	} else {
		o.Add("Context", nil)
	}
	o.Add("Matches", object.NewArray(matches...))
	o.Text = func() string { return m.text(context) }
	return o
}

// text is path:number:line; with context, matches are marked and other lines have their numbers, too.
func (m *matched) text(context bool) string {
	if m.path == "InputStream" && !context {
		return m.line
	}
	var b strings.Builder
	add := func(mark string, n int, line string) {
		if context {
			b.WriteString(mark + " ")
		}
		if m.path != "InputStream" {
			fmt.Fprintf(&b, "%s:%d:", m.path, n)
		}
		b.WriteString(line + "\n")
	}
	for i, line := range m.before {
		add(" ", m.number-len(m.before)+i, line)
	}
	add(">", m.number, m.line)
	for i, line := range m.after {
		add(" ", m.number+1+i, line)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (h *host) searching() []interp.Command {
	return []interp.Command{
		{Name: "Select-String", Module: moduleUtility, New: func() interp.Cmdlet { return &selectString{h: h} },
			Synopsis: "Finds lines in text and files.", Examples: []string{`Select-String -Pattern "ServiceName" -Path C:\*.ps1`, `Get-Command | Out-String -Stream | Select-String Connector`}, Links: []string{"Get-Content", "Where-Object"}},
		{Name: "Compare-Object", Module: moduleUtility, New: func() interp.Cmdlet { return &compareObject{SyncWindow: -1} },
			Synopsis: "Shows what two lists do not share.", Examples: []string{`Compare-Object (Get-Content old.txt) (Get-Content new.txt)`}, Links: []string{"Group-Object", "Sort-Object"}},
	}
}
