package ical

import "bytes"

// WithoutStamps is text without its DTSTAMP lines: many servers write the time of
// the answer there, so that the same calendar is never the same text. It is text
// itself when it has none.
func WithoutStamps(text []byte) []byte {
	const name = "DTSTAMP"
	var out []byte // nil: nothing was left out yet
	from := 0
	for at := 0; at < len(text); {
		end := len(text)
		if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		line := text[at:end]
		if len(line) > len(name) && (line[len(name)] == ':' || line[len(name)] == ';') && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if out == nil {
				out = make([]byte, 0, len(text))
			}
			out = append(out, text[from:at]...)
			from = end
		}
		at = end
	}
	if out == nil {
		return text
	}
	return append(out, text[from:]...)
}
