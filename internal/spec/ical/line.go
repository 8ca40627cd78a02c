package ical

import (
	"errors"
	"strings"
)

// lines splits text into content lines (RFC 5545 3.1). It looks at each octet a
// bounded number of times, whatever ends the lines.
type lines struct {
	s     string
	limit int // octets of a line
	pos   int // of what is still to be read
	count int // physical lines before pos
	lf    int // the first LF from pos on, or the end of s; before pos: not known

	// The line that next found.
	text  string // not empty
	start int    // where it begins
	line  int    // its number
	long  bool   // it is past the limit, and text only its beginning

	unfolded strings.Builder // the chunk that lines are put together in
}

// physical returns the next line without its end.
func (l *lines) physical() string {
	if l.lf < l.pos {
		if n := strings.IndexByte(l.s[l.pos:], '\n'); n >= 0 {
			l.lf = l.pos + n
		} else {
			l.lf = len(l.s)
		}
	}
	l.count++
	text := l.s[l.pos:l.lf]
	if cr := strings.IndexByte(text, '\r'); cr >= 0 {
		if l.pos += cr + 1; l.pos == l.lf {
			l.pos = min(l.pos+1, len(l.s))
		}
		return text[:cr]
	}
	l.pos = min(l.lf+1, len(l.s))
	return text
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
		l.count++
	}
	return false
}

// next finds the next line that is not empty.
func (l *lines) next() bool {
	if !l.blank() {
		return false
	}
	l.start, l.line = l.pos, l.count+1
	l.text = l.physical()
	l.long = len(l.text) > l.limit
	return true
}

// folded reports whether the line goes on; empty lines may come in between.
func (l *lines) folded() bool {
	if l.pos < len(l.s) && l.s[l.pos] > ' ' {
		return false
	}
	return l.blank() && (l.s[l.pos] == ' ' || l.s[l.pos] == '\t')
}

// unfold puts the whole line together.
func (l *lines) unfold() {
	b := &l.unfolded
	from := b.Len()
	write := func(s string) {
		if b.Cap()-b.Len() < len(s) {
			part := b.String()[from:]
			b.Reset() // what was handed out keeps the old chunk
			b.Grow(2*(len(part)+len(s)) + min(len(l.s)-l.pos, 8<<10))
			b.WriteString(part)
			from = 0
		}
		b.WriteString(s)
	}
	write(l.text)
	for l.folded() {
		if more := l.physical()[1:]; b.Len()-from+len(more) <= l.limit {
			write(more)
		} else {
			l.long = true
		}
	}
	l.text = b.String()[from:]
}

// soft reports whether a soft line break may be joined with the next line.
func (l *lines) soft() bool {
	if l.pos >= len(l.s) {
		return false
	}
	kind, _ := boundary(l.s[l.pos:])
	return kind == ""
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
func (p *parser) contentLine(s string, prop *Property) error {
	i := capitals(s)
	if prop.Name = s[:i]; i == 0 || i == len(s) || s[i] != ':' && s[i] != ';' {
		if i = strings.IndexAny(s, ":;"); i < 0 {
			return errNoColon
		}
		name := strings.TrimSpace(s[:i])
		if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
			name = name[dot+1:] // a group, as vCard has them
		}
		if !isName(name) {
			return errName
		}
		prop.Name = upper(name)
	}
	if prop.Name == "BEGIN" || prop.Name == "END" {
		return errName
	}
	if s[i] == ';' {
		var err error
		if s, i, err = p.parameters(s, i, prop); err != nil {
			return err
		}
	}
	prop.Value = s[i+1:]
	return nil
}

// parameters reads them from the semicolon at s[i] to the colon at rest[colon].
func (p *parser) parameters(s string, i int, prop *Property) (rest string, colon int, err error) {
	if cap(p.params)-len(p.params) < 8 {
		p.params = make([]Param, 0, 8+p.chunk(200))
	}
	first := len(p.params)
	for s[i] == ';' {
		s = s[i+1:]
		i = capitals(s)
		name := s[:i]
		if i == 0 || i == len(s) || s[i] != '=' && s[i] != ':' && s[i] != ';' {
			if i = strings.IndexAny(s, "=:;"); i < 0 {
				return "", 0, errNoColon
			}
			name = strings.TrimSpace(s[:i])
			if s[i] != '=' && name == "" { // a stray semicolon
				continue
			}
			if !isName(name) {
				return "", 0, errParam
			}
			name = upper(name)
		}
		if len(p.params)-first >= maxParams {
			return "", 0, errTooLarge
		}
		q := Param{Name: name}
		if s[i] != '=' { // a bare value, as in vCalendar 1.0
			q.Values = p.value(nil, "")
		} else {
			s = s[i+1:]
			if name == "TZID" && strings.HasPrefix(s, "(") {
				// Outlook writes display names, unquoted: TZID=(UTC+01:00) Amsterdam, Berlin:2026…
				if i = strings.LastIndexByte(s, ':'); i < 0 {
					return "", 0, errNoColon
				}
				q.Values = p.value(nil, s[:i])
			} else {
				for more := true; more; {
					v, n, err := paramValue(s)
					if err != nil {
						return "", 0, err
					}
					if q.Values = p.value(q.Values, v); len(q.Values) > maxParams {
						return "", 0, errTooLarge
					}
					if i, more = n, s[n] == ','; more {
						s = s[n+1:]
					}
				}
			}
		}
		p.params = append(p.params, q)
	}
	prop.Params = p.params[first:len(p.params):len(p.params)]
	return s, i, nil
}

// value appends to list, which is nil or the last of the chunk.
func (p *parser) value(list []string, v string) []string {
	if len(p.values) == cap(p.values) {
		p.values = append(make([]string, 0, 2*len(list)+4+p.chunk(200)), list...)
	}
	p.values = append(p.values, v)
	return p.values[len(p.values)-len(list)-1 : len(p.values) : len(p.values)]
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
	from := n
	for n < len(s) && s[n] != ',' && s[n] != ';' && s[n] != ':' {
		n++
	}
	if n == len(s) {
		return "", 0, errNoColon
	}
	if v = quoted; from < n {
		v = quoted + s[from:n]
	}
	if strings.IndexByte(v, '^') >= 0 {
		v = caretDecoder.Replace(v)
	}
	return v, n, nil
}

// RFC 6868 3.
var (
	caretDecoder = strings.NewReplacer("^n", "\n", "^^", "^", "^'", `"`)
	caretEncoder = strings.NewReplacer("\n", "^n", "^", "^^", `"`, "^'")
)

// capitals is the length of the name that s begins with, as most are written.
func capitals(s string) int {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && c != '-' && (c < '0' || c > '9') && c != '_' {
			return i
		}
	}
	return len(s)
}

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
