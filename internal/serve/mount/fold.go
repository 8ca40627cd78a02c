package mount

import (
	"net/http"
	"net/url"
	"strings"
)

// foldPath makes the path of r lower case, for Exchange's clients differ in it
// (EWS reference 1.1). An escaped slash stays escaped. Only ASCII is folded.
func foldPath(r *http.Request) {
	u := *r.URL
	u.Path = asciiLower(u.Path)
	if u.RawPath != "" {
		parts := strings.Split(u.RawPath, "/")
		for i, p := range parts {
			s, err := url.PathUnescape(p)
			if err != nil {
				s = p // net/http refused such a URL before
			}
			parts[i] = url.PathEscape(asciiLower(s))
		}
		u.RawPath = strings.Join(parts, "/")
	}
	r.URL = &u
}

func asciiLower(s string) string {
	upper := false
	for i := range len(s) {
		upper = upper || 'A' <= s[i] && s[i] <= 'Z'
	}
	if !upper {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// literalsFolded reports whether the path of a pattern is in lower case
// outside its {wildcards}.
func literalsFolded(path string) bool {
	for path != "" {
		lit, rest, _ := strings.Cut(path, "{")
		if asciiLower(lit) != lit {
			return false
		}
		_, path, _ = strings.Cut(rest, "}")
	}
	return true
}
