package ical

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
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
// or CR; the text may be UTF-8 or, with a byte order mark, UTF-16. The tree
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
	p.lines = lines{s: text, limit: p.limits.Line}
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
	unit := func(hi, lo int) string {
		u := make([]uint16, len(data)/2)
		for i := range u {
			u[i] = uint16(data[2*i+hi])<<8 | uint16(data[2*i+lo])
		}
		return strings.TrimPrefix(string(utf16.Decode(u)), "\ufeff")
	}
	has := func(prefix string) bool { return len(data) >= len(prefix) && string(data[:len(prefix)]) == prefix }
	switch {
	case len(data) == 0:
		return "", fmt.Errorf("%w: it is empty", ErrNotCalendar)
	case has("\x1f\x8b"):
		return "", fmt.Errorf("%w: it is compressed with gzip", ErrNotCalendar)
	case has("\xff\xfe"), has("B\x00"):
		return unit(1, 0), nil
	case has("\xfe\xff"), has("\x00B"):
		return unit(0, 1), nil
	case has("\xef\xbb\xbf"):
		return string(data[3:]), nil
	}
	return string(data), nil
}

// lines splits text into unfolded content lines.
type lines struct {
	s     string
	limit int
	pos   int // of the next physical line
	line  int // number of physical lines read
}

// physical returns the next line without its end.
func (l *lines) physical() string {
	rest := l.s[l.pos:]
	l.line++
	n := strings.IndexByte(rest, '\n')
	if n < 0 {
		n = len(rest)
	}
	if cr := strings.IndexByte(rest[:n], '\r'); cr >= 0 {
		next := cr + 1
		if next < len(rest) && rest[next] == '\n' {
			next++
		}
		l.pos += next
		return rest[:cr]
	}
	l.pos += min(n+1, len(rest))
	return rest[:n]
}

// blank skips empty lines and reports whether anything is left.
func (l *lines) blank() bool {
	for l.pos < len(l.s) {
		switch l.s[l.pos] {
		case '\r':
			l.pos++
			if l.pos < len(l.s) && l.s[l.pos] == '\n' {
				l.pos++
			}
		case '\n':
			l.pos++
		default:
			return true
		}
		l.line++
	}
	return false
}

// next returns a content line, its number and where it starts; long is true for
// one past the limit, whose text is then only its beginning.
func (l *lines) next() (text string, line, start int, long, ok bool) {
	if !l.blank() {
		return "", 0, 0, false, false
	}
	start, line = l.pos, l.line+1
	text = l.physical()
	var b []byte
	for l.blank() && (l.s[l.pos] == ' ' || l.s[l.pos] == '\t') {
		if b == nil {
			b = append(make([]byte, 0, len(text)+160), text...)
		}
		if more := l.physical()[1:]; len(b)+len(more) <= l.limit {
			b = append(b, more...)
		} else {
			long = true
		}
	}
	if b != nil {
		text = string(b)
	}
	return text, line, start, long || len(text) > l.limit, true
}

type parser struct {
	limits     Limits
	lines      lines
	cal        *Calendar
	stack      []open
	skip       []string // names of open components below the depth limit
	components int
	properties int
	problems   []Problem
	more       int // problems beyond the limit

	params []Param  // chunks that properties take their parameters from
	values []string // and parameters their values
}

// open is a component whose END has not come.
type open struct {
	c     *Component
	start int
	bad   bool // something in it was closed out of order
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
		if u := o.c.Get("UID"); u != nil {
			return u.Text()
		}
	}
	return ""
}

func (p *parser) run() error {
	for {
		text, line, start, long, ok := p.lines.next()
		if !ok {
			break
		}
		if len(p.stack) == 0 {
			text = strings.TrimLeft(text, " \t")
		}
		if len(text) > 4 && (text[0] == 'B' || text[0] == 'b' || text[0] == 'E' || text[0] == 'e') {
			if name, ok := cutFold(text, "BEGIN:"); ok {
				if err := p.begin(strings.ToUpper(strings.TrimSpace(name)), line, start); err != nil {
					return err
				}
				continue
			}
			if name, ok := cutFold(text, "END:"); ok {
				p.end(strings.ToUpper(strings.TrimSpace(name)), line)
				continue
			}
		}
		switch {
		case len(p.skip) > 0:
		case len(p.stack) == 0:
			p.problem(line, "line %s is outside of any component", clip(text))
		case long:
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

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

func (p *parser) begin(name string, line, start int) error {
	if !isName(name) {
		p.problem(line, "BEGIN:%s is no component name", clip(name))
		return nil
	}
	if len(p.stack) >= p.limits.Depth {
		if len(p.skip) == 0 {
			p.problem(line, "components are nested more than %d deep", p.limits.Depth)
		}
		if p.skip = append(p.skip, name); len(p.skip) > p.limits.Components {
			return fmt.Errorf("%w: more than %d components", ErrTooLarge, p.limits.Components)
		}
		return nil
	}
	// These are parts of a calendar and of nothing else: an END is missing.
	if topLevel[name] {
		for i, o := range p.stack {
			if topLevel[o.c.Name] && (o.c.Name != "VCALENDAR" || name == "VCALENDAR") {
				p.problem(line, "%s of line %d has no END", o.c.Name, o.c.Line)
				p.close(i)
				break
			}
		}
	}
	if p.components++; p.components > p.limits.Components {
		return fmt.Errorf("%w: more than %d components", ErrTooLarge, p.limits.Components)
	}
	c := &Component{Name: name, Line: line}
	if n := len(p.stack); n > 0 {
		parent := p.stack[n-1].c
		parent.Components = append(parent.Components, c)
	} else {
		p.cal.Components = append(p.cal.Components, c)
	}
	p.stack = append(p.stack, open{c: c, start: start})
	return nil
}

var topLevel = map[string]bool{
	"VCALENDAR": true, "VEVENT": true, "VTODO": true, "VJOURNAL": true, "VFREEBUSY": true, "VTIMEZONE": true, "VAVAILABILITY": true,
}

// close drops the stack down to i components; they end without an END.
func (p *parser) close(i int) {
	p.stack = p.stack[:i]
	for j := range p.stack {
		p.stack[j].bad = true
	}
}

func (p *parser) end(name string, line int) {
	for i := len(p.skip) - 1; i >= 0; i-- {
		if p.skip[i] == name {
			p.skip = p.skip[:i]
			return
		}
	}
	for i := len(p.stack) - 1; i >= 0; i-- {
		if o := p.stack[i]; o.c.Name == name {
			if i < len(p.stack)-1 || len(p.skip) > 0 {
				p.problem(line, "%s of line %d has no END", p.stack[len(p.stack)-1].c.Name, p.stack[len(p.stack)-1].c.Line)
				p.skip = p.skip[:0]
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
}

func (p *parser) property(text string, line int) error {
	if p.properties++; p.properties > p.limits.Properties {
		return fmt.Errorf("%w: more than %d properties", ErrTooLarge, p.limits.Properties)
	}
	prop, err := p.contentLine(text)
	if err != nil {
		p.problem(line, "line %s is left out: %v", clip(text), err)
		return nil
	}
	prop.Line = line
	if strings.HasSuffix(prop.Value, "=") && prop.quotedPrintable() {
		prop.Value = p.softBreaks(prop.Value)
	}
	c := p.stack[len(p.stack)-1].c
	if c.Properties == nil {
		c.Properties = make([]Property, 0, 12)
	}
	c.Properties = append(c.Properties, prop)
	return nil
}

// softBreaks joins the lines of a quoted-printable value (vCalendar 1.0).
func (p *parser) softBreaks(v string) string {
	b := []byte(v)
	for len(b) > 0 && b[len(b)-1] == '=' {
		b = b[:len(b)-1]
		if p.lines.pos >= len(p.lines.s) {
			continue
		}
		if more := p.lines.physical(); len(b)+len(more) <= p.limits.Line {
			b = append(b, more...)
		}
	}
	return string(b)
}

var (
	errNoColon  = errors.New("it has no colon")
	errName     = errors.New("its name is not valid")
	errParam    = errors.New("a parameter name is not valid")
	errQuote    = errors.New("a quoted parameter is not closed")
	errTooLarge = errors.New("it has too many parameters")
)

const maxParams = 200

// contentLine reads name *(";" param) ":" value (RFC 5545 3.1).
func (p *parser) contentLine(s string) (Property, error) {
	i := strings.IndexAny(s, ":;")
	if i < 0 {
		return Property{}, errNoColon
	}
	name := strings.TrimSpace(s[:i])
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		name = name[dot+1:] // a group, as vCard has them
	}
	if !isName(name) || strings.EqualFold(name, "BEGIN") || strings.EqualFold(name, "END") {
		return Property{}, errName
	}
	prop := Property{Name: upper(name)}
	if s[i] == ':' {
		prop.Value = s[i+1:]
		return prop, nil
	}
	if cap(p.params)-len(p.params) < 8 {
		p.params = make([]Param, 0, 1024)
	}
	if cap(p.values)-len(p.values) < 8 {
		p.values = make([]string, 0, 1024)
	}
	first := len(p.params)
	for s[i] == ';' {
		s = s[i+1:]
		if i = strings.IndexAny(s, "=:;"); i < 0 {
			return Property{}, errNoColon
		}
		name := strings.TrimSpace(s[:i])
		if s[i] != '=' && name == "" { // a stray semicolon
			continue
		}
		if !isName(name) {
			return Property{}, errParam
		}
		if len(p.params)-first >= maxParams {
			return Property{}, errTooLarge
		}
		q := Param{Name: upper(name)}
		from := len(p.values)
		if s[i] != '=' { // a bare value, as in vCalendar 1.0
			p.values = append(p.values, "")
		} else {
			s = s[i+1:]
			if q.Name == "TZID" && strings.HasPrefix(s, "(") {
				// Outlook writes display names, unquoted: TZID=(UTC+01:00) Amsterdam, Berlin:2026…
				if i = strings.LastIndexByte(s, ':'); i < 0 {
					return Property{}, errNoColon
				}
				p.values = append(p.values, s[:i])
			} else {
				for {
					v, n, err := paramValue(s)
					if err != nil {
						return Property{}, err
					}
					p.values = append(p.values, v)
					if len(p.values)-from > maxParams {
						return Property{}, errTooLarge
					}
					if i = n; s[i] != ',' {
						break
					}
					s = s[i+1:]
				}
			}
		}
		q.Values = p.values[from:len(p.values):len(p.values)]
		p.params = append(p.params, q)
	}
	prop.Params = p.params[first:len(p.params):len(p.params)]
	prop.Value = s[i+1:]
	return prop, nil
}

// paramValue reads up to the comma, semicolon or colon at s[n]. Text behind a
// closing quote belongs to the value: real files have it.
func paramValue(s string) (v string, n int, err error) {
	quoted := ""
	if strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s[1:], '"')
		if end < 0 {
			return "", 0, errQuote
		}
		quoted, n = s[1:end+1], end+2
	}
	i := strings.IndexAny(s[n:], ",;:")
	if i < 0 {
		return "", 0, errNoColon
	}
	v = s[n : n+i]
	if quoted != "" {
		if v = quoted + v; len(v) == len(quoted) {
			v = quoted
		}
	}
	if strings.IndexByte(v, '^') >= 0 {
		v = caretDecoder.Replace(v)
	}
	return v, n + i, nil
}

// RFC 6868 3.
var (
	caretDecoder = strings.NewReplacer("^n", "\n", "^^", "^", "^'", `"`)
	caretEncoder = strings.NewReplacer("\n", "^n", "^", "^^", `"`, "^'")
)

// isName reports whether s is a property, parameter or component name; "_"
// is in names of some programs.
func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != ""
}

// upper is strings.ToUpper for a name, without a copy where it is upper already.
func upper(s string) string {
	for i := range len(s) {
		if s[i] >= 'a' && s[i] <= 'z' {
			return strings.ToUpper(s)
		}
	}
	return s
}

func clip(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return fmt.Sprintf("%q", s)
}
