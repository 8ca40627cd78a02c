package soap

import "unicode/utf8"

// AppendText appends s as character data: markup is escaped, and what XML 1.0
// forbids, invalid UTF-8 included, is replaced by U+FFFD. Parsers give back the
// same text.
func AppendText(b []byte, s string) []byte { return appendEscaped(b, s, &textEscapes) }

// AppendAttr appends s as an attribute value, without the quotes (write ").
func AppendAttr(b []byte, s string) []byte { return appendEscaped(b, s, &attrEscapes) }

const (
	plain     = ""
	forbidden = "\ufffd"
)

// The replacement of each ASCII character, plain for itself.
var (
	textEscapes = escapes(map[byte]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '\r': "&#xD;", '\n': plain, '\t': plain})
	attrEscapes = escapes(map[byte]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '"': "&quot;", '\r': "&#xD;", '\n': "&#xA;", '\t': "&#x9;"})
)

func escapes(m map[byte]string) (t [utf8.RuneSelf]string) {
	for c := range byte(0x20) {
		t[c] = forbidden
	}
	for c, s := range m {
		t[c] = s
	}
	return t
}

func appendEscaped(b []byte, s string, table *[utf8.RuneSelf]string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		n, with := 1, plain
		if c < utf8.RuneSelf {
			with = table[c]
		} else {
			var r rune
			if r, n = utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && n == 1 || r == 0xfffe || r == 0xffff {
				with = forbidden
			}
		}
		if with != plain {
			b = append(append(b, s[start:i]...), with...)
			start = i + n
		}
		i += n
	}
	return append(b, s[start:]...)
}
