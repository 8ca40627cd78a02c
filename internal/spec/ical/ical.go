// Package ical reads and writes iCalendar (RFC 5545) and what calendar programs
// take for it, and computes from it when somebody is busy.
//
// Parse turns octets into a tree and keeps what it can: a bad property costs
// that property, a bad event that event, each with a Problem. Groups puts the
// components of one UID together, and an Expander finds their instances in a
// span of time.
package ical

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// A Calendar is a parsed stream. Components are its roots: one VCALENDAR as a
// rule, sometimes several.
type Calendar struct {
	Components []*Component
}

// A Component is BEGIN:Name ... END:Name. Line is that of its BEGIN, 1-based.
type Component struct {
	Name       string // upper case
	Line       int
	Properties []Property
	Components []*Component

	raw string // its lines as they came; "" if it was not closed in order
}

// A Property is one content line, unfolded. Value is as it stands in the file:
// Text undoes the escapes of a TEXT value.
type Property struct {
	Name   string // upper case, without a group prefix
	Params []Param
	Value  string
	Line   int
}

// A Param is one parameter; its Values are decoded (RFC 6868) and never nil.
type Param struct {
	Name   string // upper case
	Values []string
}

// A Problem is something that was left out, or read other than written.
type Problem struct {
	Line   int    // 1-based; 0: not known
	UID    string // of the event; "" if not known
	Reason string
}

// Get returns the first property of that name, nil if there is none.
func (c *Component) Get(name string) *Property {
	for i := range c.Properties {
		if c.Properties[i].Name == name {
			return &c.Properties[i]
		}
	}
	return nil
}

// All yields every property of that name.
func (c *Component) All(name string) iter.Seq[*Property] {
	return func(yield func(*Property) bool) {
		for i := range c.Properties {
			if p := &c.Properties[i]; p.Name == name && !yield(p) {
				return
			}
		}
	}
}

// text is the decoded text of the first property of that name, or "".
func (c *Component) text(name string) string {
	if p := c.Get(name); p != nil {
		return p.Text()
	}
	return ""
}

// word is the value of the first property of that name as a keyword.
func (c *Component) word(name string) string {
	if p := c.Get(name); p != nil {
		return strings.ToUpper(strings.TrimSpace(p.Value))
	}
	return ""
}

// Param returns the value of a parameter, several joined by commas, or "".
func (p *Property) Param(name string) string {
	for i := range p.Params {
		if q := &p.Params[i]; q.Name == name {
			if len(q.Values) == 1 {
				return q.Values[0]
			}
			return strings.Join(q.Values, ",")
		}
	}
	return ""
}

// Text decodes a TEXT value (RFC 5545 3.3.11), and quoted-printable of vCalendar
// 1.0. Octets that are not UTF-8 are taken as ISO 8859-1.
func (p *Property) Text() string {
	v := p.Value
	if p.quotedPrintable() && strings.IndexByte(v, '=') >= 0 {
		v = decodeQuotedPrintable(v)
	}
	if strings.IndexByte(v, '\\') >= 0 {
		b := make([]byte, 0, len(v))
		for i := 0; i < len(v); i++ {
			c := v[i]
			if c == '\\' && i+1 < len(v) {
				i++
				if c = v[i]; c == 'n' || c == 'N' {
					c = '\n'
				}
			}
			b = append(b, c)
		}
		v = string(b)
	}
	if utf8.ValidString(v) {
		return v
	}
	r := make([]rune, len(v))
	for i := range len(v) {
		r[i] = rune(v[i])
	}
	return string(r)
}

func (p *Property) quotedPrintable() bool {
	for i := range p.Params {
		q := &p.Params[i]
		if q.Name == "QUOTED-PRINTABLE" || q.Name == "ENCODING" && strings.EqualFold(q.Values[0], "QUOTED-PRINTABLE") {
			return true
		}
	}
	return false
}

func decodeQuotedPrintable(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '=' && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
