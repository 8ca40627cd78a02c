package ical

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits bound what Parse takes on. A zero field is its default.
type Limits struct {
	Bytes      int // of the input; 64 MiB
	Components int // 200,000
	Properties int // 3,000,000
	Depth      int // of components in components; 16. What lies deeper is left out.
	Line       int // octets of one unfolded line; 4 MiB. A longer line is left out.
	Problems   int // 1,000. Further ones are counted in a last Problem.
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field *int
		def   int
	}{{&l.Bytes, 64 << 20}, {&l.Components, 200_000}, {&l.Properties, 3_000_000}, {&l.Depth, 16}, {&l.Line, 4 << 20}, {&l.Problems, 1000}} {
		if *f.field <= 0 {
			*f.field = f.def
		}
	}
	return l
}

// The errors of Parse: input that is no calendar at all, and input past a limit.
var (
	ErrNotCalendar = errors.New("ical: not an iCalendar stream")
	ErrTooLarge    = errors.New("ical: calendar is too large")
)

// Parse reads a stream of components (RFC 5545 3.4). Lines may end in CRLF, LF
// or CR; the text may be UTF-8 or, with a byte order mark, UTF-16. A broken event
// takes no other with it: what belongs in a VCALENDAR closes whatever is open
// there, and what follows a stray END of the VCALENDAR still counts to it. The tree
// shares memory with nothing of the caller's.
func Parse(data []byte, limits Limits) (*Calendar, []Problem, error) {
	p := parser{limits: limits.withDefaults(), cal: &Calendar{}}
	if len(data) > p.limits.Bytes {
		return nil, nil, fmt.Errorf("%w: %d octets, limit %d", ErrTooLarge, len(data), p.limits.Bytes)
	}
	text, err := decode(data)
	if err != nil {
		return nil, nil, err
	}
	p.lines = lines{s: text, limit: p.limits.Line, lf: -1}
	if err := p.run(); err != nil {
		return nil, p.problems, err
	}
	if len(p.cal.Components) == 0 {
		return nil, p.problems, fmt.Errorf("%w: it has no component", ErrNotCalendar)
	}
	return p.cal, p.problems, nil
}

// decode returns data as text: without a byte order mark, UTF-16 as UTF-8.
func decode(data []byte) (string, error) {
	has := func(prefix string) bool { return len(data) >= len(prefix) && string(data[:len(prefix)]) == prefix }
	switch {
	case len(data) == 0:
		return "", fmt.Errorf("%w: it is empty", ErrNotCalendar)
	case has("\x1f\x8b"):
		return "", fmt.Errorf("%w: it is compressed with gzip", ErrNotCalendar)
	case has("\xff\xfe"), has("B\x00"):
		return decodeUTF16(data, 1, 0), nil
	case has("\xfe\xff"), has("\x00B"):
		return decodeUTF16(data, 0, 1), nil
	case has("\xef\xbb\xbf"):
		return string(data[3:]), nil
	}
	return string(data), nil
}

// decodeUTF16 reads units with their octets at hi and lo.
func decodeUTF16(data []byte, hi, lo int) string {
	var b strings.Builder
	b.Grow(len(data)/2 + len(data)/16)
	unit := func(i int) rune { return rune(data[i+hi])<<8 | rune(data[i+lo]) }
	for i := 0; i+1 < len(data); i += 2 {
		r := unit(i)
		if utf16.IsSurrogate(r) {
			pair := utf8.RuneError
			if i+3 < len(data) {
				pair = utf16.DecodeRune(r, unit(i+2))
			}
			if r = pair; r != utf8.RuneError {
				i += 2
			}
		}
		b.WriteRune(r)
	}
	return strings.TrimPrefix(b.String(), "\ufeff")
}

type parser struct {
	limits     Limits
	lines      lines
	cal        *Calendar
	stack      []open
	skip       []string       // names of open components below the depth limit
	skipped    map[string]int // how often each is in skip
	components int
	properties int
	problems   []Problem
	more       int        // problems beyond the limit
	last       *Component // the VCALENDAR that began last; nil: none
	behind     int        // the first root that came after it

	// The chunks that the tree is cut from. What is behind their length is free.
	nodes  []Component
	props  []Property
	owner  *Component // whose properties are the last of props,
	first  int        // from here on
	params []Param
	values []string
}

// open is a component whose END has not come.
type open struct {
	c     *Component
	start int
	uid   int  // its UID is Properties[uid-1]; 0: it has not come
	bad   bool // something in it was closed out of order
}

// chunk is how many things to make room for if there is one in each so many
// octets still to be read.
func (p *parser) chunk(octets int) int {
	return 1 + min((len(p.lines.s)-p.lines.pos)/octets, 511)
}

func (p *parser) problem(line int, format string, args ...any) {
	if len(p.problems) >= p.limits.Problems {
		p.more++
		return
	}
	p.problems = append(p.problems, Problem{Line: line, UID: p.uid(), Reason: fmt.Sprintf(format, args...)})
}

// uid is that of the component being read, if it has come already.
func (p *parser) uid() string {
	for _, o := range p.stack {
		if o.uid > 0 {
			return o.c.Properties[o.uid-1].Text()
		}
	}
	return ""
}

func (p *parser) run() error {
	l := &p.lines
	for l.next() {
		if l.folded() && !p.ends(l.text) {
			l.unfold()
		}
		text, line := l.text, l.line
		if text[0] == ' ' || text[0] == '\t' { // nothing that it could continue
			trimmed := strings.TrimLeft(text, " \t")
			if trimmed == "" {
				continue
			}
			if len(p.stack) == 0 {
				text = trimmed
			}
		}
		kind, name := boundary(text)
		switch {
		case kind == begin:
			if err := p.begin(upper(strings.TrimSpace(name)), line); err != nil {
				return err
			}
		case kind == end:
			p.end(upper(strings.TrimSpace(name)), line)
		case len(p.skip) > 0:
		case len(p.stack) == 0:
			p.problem(line, "line %s is outside of any component", clip(text))
		case l.long:
			p.problem(line, "line is longer than %d octets", p.limits.Line)
		default:
			if err := p.property(text, line); err != nil {
				return err
			}
		}
	}
	if n := len(p.stack); n > 0 {
		// The event that was being read may have lost its end: it is left out.
		o := p.stack[0]
		if n > 1 {
			p.problem(p.stack[1].c.Line, "%s is not closed at the end of the input", p.stack[1].c.Name)
			o.c.Components = o.c.Components[:len(o.c.Components)-1]
		} else {
			p.problem(o.c.Line, "%s is not closed at the end of the input", o.c.Name)
		}
	}
	if p.more > 0 {
		p.problems = append(p.problems, Problem{Reason: fmt.Sprintf("%d more problems", p.more)})
	}
	return nil
}

const (
	begin = "BEGIN:"
	end   = "END:"
)

// boundary returns begin or end and what follows it; kind is "" for other lines.
func boundary(s string) (kind, rest string) {
	switch s[0] {
	case 'B', 'b':
		kind = begin
	case 'E', 'e':
		kind = end
	default:
		return "", ""
	}
	if rest, ok := cutFold(s, kind); ok {
		return kind, rest
	}
	return "", ""
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// ends reports whether a line ends an open component. Such a line is whole: one
// behind it that looks like its continuation comes from a broken neighbour.
func (p *parser) ends(text string) bool {
	kind, name := boundary(text)
	if kind == end {
		name = upper(strings.TrimSpace(name))
		for _, o := range p.stack {
			if o.c.Name == name {
				return true
			}
		}
	}
	return false
}

// inCalendar reports whether name is that of parts of a VCALENDAR and of nothing
// else. They close whatever is open below it: an END is missing.
func inCalendar(name string) bool {
	switch name {
	case "VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "VAVAILABILITY":
		return true
	}
	return false
}

func (p *parser) begin(name string, line int) error {
	if !isName(name) {
		p.problem(line, "BEGIN:%s is no component name", clip(name))
		return nil
	}
	if name == "VCALENDAR" {
		p.cut(0, line)
	} else if inCalendar(name) {
		p.cut(p.inside(), line)
	}
	if len(p.stack) >= p.limits.Depth {
		return p.skipTo(name, line)
	}
	if p.components++; p.components > p.limits.Components {
		return fmt.Errorf("%w: more than %d components", ErrTooLarge, p.limits.Components)
	}
	if len(p.nodes) == cap(p.nodes) {
		p.nodes = make([]Component, 0, p.chunk(300))
	}
	p.nodes = append(p.nodes, Component{Name: name, Line: line})
	c := &p.nodes[len(p.nodes)-1]
	if n := len(p.stack); n > 0 {
		parent := p.stack[n-1].c
		parent.Components = append(parent.Components, c)
	} else {
		p.cal.Components = append(p.cal.Components, c)
		if name == "VCALENDAR" {
			p.last, p.behind = c, len(p.cal.Components)
		}
	}
	p.stack = append(p.stack, open{c: c, start: p.lines.start})
	return nil
}

// skipTo opens a component that lies too deep.
func (p *parser) skipTo(name string, line int) error {
	if len(p.skip) == 0 {
		p.problem(line, "components are nested more than %d deep", p.limits.Depth)
	}
	if p.skipped == nil {
		p.skipped = map[string]int{}
	}
	p.skipped[name]++
	if p.skip = append(p.skip, name); len(p.skip) > p.limits.Components {
		return fmt.Errorf("%w: more than %d components", ErrTooLarge, p.limits.Components)
	}
	return nil
}

// unskip closes the last of those.
func (p *parser) unskip() string {
	name := p.skip[len(p.skip)-1]
	p.skip = p.skip[:len(p.skip)-1]
	if p.skipped[name]--; p.skipped[name] == 0 {
		delete(p.skipped, name)
	}
	return name
}

// inside is 1 within a VCALENDAR, which is always the outermost, else 0.
func (p *parser) inside() int {
	if len(p.stack) > 0 && p.stack[0].c.Name == "VCALENDAR" {
		return 1
	}
	return 0
}

// cut closes the components from stack[i] on, if there are any.
func (p *parser) cut(i, line int) {
	if i >= len(p.stack) {
		return
	}
	p.problem(line, "%s of line %d has no END", p.stack[i].c.Name, p.stack[i].c.Line)
	p.close(i)
}

// close drops the stack down to i components; they end without an END.
func (p *parser) close(i int) {
	for len(p.skip) > 0 {
		p.unskip()
	}
	p.stack = p.stack[:i]
	for j := range p.stack {
		p.stack[j].bad = true
	}
}

func (p *parser) end(name string, line int) {
	if p.skipped[name] > 0 {
		for p.unskip() != name {
		}
		return
	}
	for i := len(p.stack) - 1; i >= 0; i-- {
		if o := p.stack[i]; o.c.Name == name {
			if i < len(p.stack)-1 || len(p.skip) > 0 {
				p.problem(line, "%s of line %d has no END", p.stack[len(p.stack)-1].c.Name, p.stack[len(p.stack)-1].c.Line)
				p.close(i + 1)
				o.bad = true
			}
			if !o.bad {
				o.c.raw = p.lines.s[o.start:p.lines.pos]
			}
			p.stack = p.stack[:i]
			return
		}
	}
	p.problem(line, "END:%s without its BEGIN", clip(name))
	if name == "VCALENDAR" && p.last != nil {
		p.adopt()
	}
}

// adopt puts into the last VCALENDAR what came since its END, which was not the
// right one, for here is another.
func (p *parser) adopt() {
	p.close(0)
	alone := p.cal.Components[:p.behind]
	for _, c := range p.cal.Components[p.behind:] {
		if inCalendar(c.Name) {
			p.last.Components = append(p.last.Components, c)
			p.last.raw = ""
		} else {
			alone = append(alone, c)
		}
	}
	p.cal.Components, p.behind = alone, len(alone)
}

func (p *parser) property(text string, line int) error {
	if p.properties++; p.properties > p.limits.Properties {
		return fmt.Errorf("%w: more than %d properties", ErrTooLarge, p.limits.Properties)
	}
	prop := Property{Line: line}
	if err := p.contentLine(text, &prop); err != nil {
		p.problem(line, "line %s is left out: %v", clip(text), err)
		return nil
	}
	if prop.Params != nil && strings.HasSuffix(prop.Value, "=") && prop.quotedPrintable() {
		prop.Value = p.softBreaks(prop.Value)
	}
	o := &p.stack[len(p.stack)-1]
	p.add(o.c, prop)
	if o.uid == 0 && prop.Name == "UID" {
		o.uid = len(o.c.Properties)
	}
	return nil
}

// add appends to the properties of c, in the chunk while they are the last there.
func (p *parser) add(c *Component, prop Property) {
	n := len(c.Properties)
	if p.owner != c {
		if n > 0 { // a component came in between
			c.Properties = append(c.Properties, prop)
			return
		}
		p.owner, p.first = c, len(p.props)
	}
	if len(p.props) == cap(p.props) {
		chunk := make([]Property, n, 2*n+p.chunk(40))
		copy(chunk, c.Properties)
		p.props, p.first = chunk, 0
	}
	p.props = append(p.props, prop)
	c.Properties = p.props[p.first:len(p.props):len(p.props)]
}

// softBreaks joins the lines of a quoted-printable value (vCalendar 1.0).
func (p *parser) softBreaks(v string) string {
	b := []byte(v)
	for len(b) > 0 && b[len(b)-1] == '=' {
		b = b[:len(b)-1]
		if !p.lines.soft() {
			continue
		}
		if more := p.lines.physical(); len(b)+len(more) <= p.limits.Line {
			b = append(b, more...)
		}
	}
	return string(b)
}

func clip(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return fmt.Sprintf("%q", s)
}
