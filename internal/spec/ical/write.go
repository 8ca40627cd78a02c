package ical

import (
	"strings"
	"unicode/utf8"
)

// Append appends c as it is written: CRLF, lines folded at 75 octets between
// characters (RFC 5545 3.1). Parse reads it back to the same tree.
func Append(b []byte, c *Component) []byte {
	b = appendLine(b, "BEGIN:"+c.Name)
	var line strings.Builder
	for i := range c.Properties {
		p := &c.Properties[i]
		line.Reset()
		line.WriteString(p.Name)
		for _, q := range p.Params {
			line.WriteByte(';')
			line.WriteString(q.Name)
			line.WriteByte('=')
			for j, v := range q.Values {
				if j > 0 {
					line.WriteByte(',')
				}
				v = caretEncoder.Replace(v)
				if strings.ContainsAny(v, ",;:") || strings.HasPrefix(v, "(") {
					line.WriteByte('"')
					line.WriteString(v)
					line.WriteByte('"')
				} else {
					line.WriteString(v)
				}
			}
		}
		line.WriteByte(':')
		line.WriteString(p.Value)
		b = appendLine(b, line.String())
	}
	for _, sub := range c.Components {
		b = Append(b, sub)
	}
	return appendLine(b, "END:"+c.Name)
}

// appendLine folds s and ends it.
func appendLine(b []byte, s string) []byte {
	for room := 75; len(s) > room; room = 74 {
		n := room
		for n > room-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		if !utf8.RuneStart(s[n]) { // not UTF-8
			n = room
		}
		b = append(b, s[:n]...)
		b = append(b, "\r\n "...)
		s = s[n:]
	}
	b = append(b, s...)
	return append(b, "\r\n"...)
}

// EscapeText writes s as a TEXT value (RFC 5545 3.3.11). Control characters
// other than tab and line feed are dropped.
func EscapeText(s string) string {
	b := make([]byte, 0, len(s)+len(s)/8)
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\' || c == ';' || c == ',':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c >= ' ' && c != 0x7f || c == '\t':
			b = append(b, c)
		}
	}
	return string(b)
}

// source is the component as it came, or as Append writes it.
func (c *Component) source() string {
	if c.raw != "" {
		return c.raw
	}
	return string(Append(nil, c))
}

const prodID = "-//busybridge//EN"

// Text returns g as a calendar of its own: the lines of its components as they
// came, with the VTIMEZONEs they name.
func (g *Group) Text() []byte {
	b := []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:" + prodID + "\r\n")
	components := g.components()
	for _, z := range g.zones.named(components) {
		b = appendSource(b, z)
	}
	for _, c := range components {
		b = appendSource(b, c)
	}
	return append(b, "END:VCALENDAR\r\n"...)
}

func appendSource(b []byte, c *Component) []byte {
	src := c.source()
	b = append(b, src...)
	if !strings.HasSuffix(src, "\n") && !strings.HasSuffix(src, "\r") {
		b = append(b, "\r\n"...)
	}
	return b
}
