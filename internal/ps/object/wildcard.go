package object

import "strings"

// A Wildcard is a compiled -like pattern: * ? [a-z] [abc] with the backtick as escape; it matches whole texts.
type Wildcard struct {
	parts []wildPart
	exact bool
}

type wildPart struct {
	kind byte // '*' '?' '[' or 'c'
	r    rune
	set  []rune // pairs
}

// CompileWildcard reads a pattern. A bracket without an end is an error.
func CompileWildcard(pattern string, caseSensitive bool) (*Wildcard, error) {
	w := &Wildcard{exact: caseSensitive}
	r := []rune(pattern)
	if !caseSensitive {
		r = []rune(foldString(pattern))
	}
	for i := 0; i < len(r); i++ {
		switch c := r[i]; c {
		case '*':
			if n := len(w.parts); n == 0 || w.parts[n-1].kind != '*' {
				w.parts = append(w.parts, wildPart{kind: '*'})
			}
		case '?':
			w.parts = append(w.parts, wildPart{kind: '?'})
		case '`':
			if i+1 < len(r) {
				i++
				c = r[i]
			}
			w.parts = append(w.parts, wildPart{kind: 'c', r: c})
		case '[':
			end := i + 1
			for first := true; end < len(r) && (r[end] != ']' || first); end, first = end+1, false {
				if r[end] == '`' {
					end++
				}
			}
			if end >= len(r) {
				return nil, NewError("RuntimeException", NotSpecified, class("System.Management.Automation.WildcardPatternException", "", TRuntimeException),
					"The specified wildcard character pattern is not valid: %s", pattern)
			}
			p := wildPart{kind: '['}
			for j := i + 1; j < end; j++ {
				if r[j] == '`' {
					j++
				}
				low, high := r[j], r[j]
				if j+2 < end && r[j+1] == '-' {
					high = r[j+2]
					j += 2
				}
				p.set = append(p.set, low, high)
			}
			w.parts = append(w.parts, p)
			i = end
		default:
			w.parts = append(w.parts, wildPart{kind: 'c', r: c})
		}
	}
	return w, nil
}

// HasWildcard reports whether s has a character that a wildcard pattern gives a meaning to.
func HasWildcard(s string) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '`':
			i++
		case '*', '?', '[':
			return true
		}
	}
	return false
}

// Match reports whether the whole of s fits.
func (w *Wildcard) Match(s string) bool {
	if !w.exact {
		s = foldString(s)
	}
	text := []rune(s)
	// Greedy with one place to come back to: a later star makes an earlier one final.
	i, p, star, mark := 0, 0, -1, 0
	for i < len(text) {
		switch {
		case p < len(w.parts) && w.parts[p].kind == '*':
			star, mark = p, i
			p++
		case p < len(w.parts) && w.parts[p].one(text[i]):
			i++
			p++
		case star >= 0:
			mark++
			i, p = mark, star+1
		default:
			return false
		}
	}
	for p < len(w.parts) && w.parts[p].kind == '*' {
		p++
	}
	return p == len(w.parts)
}

func (p wildPart) one(r rune) bool {
	switch p.kind {
	case '?':
		return true
	case 'c':
		return p.r == r
	}
	for i := 0; i < len(p.set); i += 2 {
		if p.set[i] <= r && r <= p.set[i+1] {
			return true
		}
	}
	return false
}

// Like is s -like pattern without regard to case; a pattern that is not valid matches itself only.
func Like(s, pattern string) bool {
	w, err := CompileWildcard(pattern, false)
	if err != nil {
		return strings.EqualFold(s, pattern)
	}
	return w.Match(s)
}
