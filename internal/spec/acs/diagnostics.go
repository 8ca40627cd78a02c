package acs

import (
	"fmt"
	"strconv"
	"strings"
)

// Diagnostics is the value of the header x-ms-diagnostics (oauth-s2s 2.3):
//
//	2000006;reason="…";error_category="invalid_client"
type Diagnostics struct {
	ID       int
	Reason   string
	Category string
}

// DiagnosticsHeader is the name of the header.
const DiagnosticsHeader = "x-ms-diagnostics"

// String is the value on the wire. Quotes in the reason become apostrophes and
// whatever is not printable ASCII becomes "?", for clients parse it naively.
func (d Diagnostics) String() string {
	return fmt.Sprintf(`%d;reason="%s";error_category="%s"`, d.ID, headerText(d.Reason), headerText(d.Category))
}

// ParseDiagnostics reads a value, with or without space after the semicolons;
// error_type is read as error_category, as the documentation names it.
func ParseDiagnostics(s string) (Diagnostics, error) {
	id, rest, _ := strings.Cut(s, ";")
	n, err := strconv.Atoi(strings.TrimSpace(id))
	if err != nil || n < 0 {
		return Diagnostics{}, fmt.Errorf("%w diagnostics %q", ErrInvalid, clip(s))
	}
	d := Diagnostics{ID: n}
	for rest != "" {
		rest = strings.TrimLeft(rest, "; \t")
		name, after, ok := strings.Cut(rest, `="`)
		if !ok {
			break
		}
		value, after, ok := strings.Cut(after, `"`)
		if !ok {
			return Diagnostics{}, fmt.Errorf("%w diagnostics %q", ErrInvalid, clip(s))
		}
		switch strings.ToLower(name) {
		case "reason":
			d.Reason = value
		case "error_category", "error_type":
			d.Category = value
		}
		rest = after
	}
	return d, nil
}

func headerText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
	if len(s) > 500 {
		s = s[:500]
	}
	return s
}
