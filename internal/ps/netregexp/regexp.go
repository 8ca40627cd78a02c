// Package netregexp matches the regular expressions of .NET as far as scripts use them: named groups, look-around,
// back references, lazy and atomic groups, class subtraction, inline options. It backtracks like .NET, under a budget
// of steps in place of .NET's time-out.
//
// Not supported, and refused when compiled: balancing groups, conditions on an expression, right-to-left matching.
package netregexp

import (
	"errors"
	"slices"
	"strings"
	"unicode"
)

// Options are the numbers of .NET's RegexOptions.
type Options int

// The options that are honoured.
const (
	IgnoreCase      Options = 1
	Multiline       Options = 2
	ExplicitCapture Options = 4
	Singleline      Options = 16
	IgnoreSpace     Options = 32
)

// ErrBudget says that a match took too many steps.
var ErrBudget = errors.New("The RegEx engine has timed out while trying to match a pattern to an input string.")

// maxSteps bounds the work of one match; maxStack the depth of its recursion.
const (
	maxSteps = 20_000_000
	maxStack = 100_000
)

// A Regexp is a compiled pattern, safe for concurrent use.
type Regexp struct {
	pattern string
	options Options
	root    *node
	names   []string // by group number: "" when the group has a number only
}

// Compile reads a pattern.
func Compile(pattern string, options Options) (*Regexp, error) {
	p := &parser{src: []rune(pattern), named: map[string]bool{}, numbers: map[int]bool{}}
	if len(pattern) > maxPattern {
		p.src = p.src[:20]
		return nil, p.fail("The pattern is too long.")
	}
	p.flags = flags{options&IgnoreCase != 0, options&Multiline != 0, options&Singleline != 0, options&ExplicitCapture != 0, options&IgnoreSpace != 0}
	root, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	if p.more() {
		return nil, p.fail("Too many )'s.")
	}
	re := &Regexp{pattern: pattern, options: options, root: root}
	if err := p.number(re); err != nil {
		return nil, err
	}
	return re, nil
}

// number gives groups their numbers: unnamed ones from 1 in order, then named ones in order of appearance.
func (p *parser) number(re *Regexp) error {
	top := p.unnamed
	for n := range p.numbers {
		top = max(top, n)
	}
	re.names = make([]string, top+1)
	byName := map[string]int{}
	for _, name := range p.names {
		byName[name] = len(re.names)
		re.names = append(re.names, name)
	}
	resolve := func(g *groupRef) bool {
		g.node.group = g.number
		if g.name != "" {
			n, ok := byName[g.name]
			g.node.group = n
			return ok
		}
		return g.number <= top
	}
	for _, g := range p.groups {
		resolve(g)
	}
	for _, g := range p.refs {
		if !resolve(g) {
			if g.name != "" {
				return p.fail("Reference to undefined group name %s.", g.name)
			}
			return p.fail("Reference to undefined group number %d.", g.number)
		}
	}
	return nil
}

// String is the pattern.
func (re *Regexp) String() string { return re.pattern }

// Options is what it was compiled with.
func (re *Regexp) Options() Options { return re.options }

// Groups is the number of groups, the whole match counted.
func (re *Regexp) Groups() int { return len(re.names) }

// GroupName is the name of group n: its name or its number.
func (re *Regexp) GroupName(n int) string { return re.names[n] }

// GroupNumber is the number of the group with that name, -1 when there is none.
func (re *Regexp) GroupNumber(name string) int {
	if i := slices.Index(re.names, name); i > 0 && name != "" {
		return i
	}
	return -1
}

// A Match is where a pattern matched: pairs of rune positions per group, -1 for a group that took no part.
type Match struct {
	re    *Regexp
	input []rune
	caps  []int
}

// Group is the text of group n; ok is false when it took no part.
func (m *Match) Group(n int) (string, bool) {
	if n < 0 || 2*n >= len(m.caps) || m.caps[2*n] < 0 {
		return "", false
	}
	return string(m.input[m.caps[2*n]:m.caps[2*n+1]]), true
}

// Span is the place of group n in runes.
func (m *Match) Span(n int) (start, end int) { return m.caps[2*n], m.caps[2*n+1] }

// Find is the first match of re in input from rune position from on, nil when there is none.
func (re *Regexp) Find(input []rune, from int) (*Match, error) {
	m := &matcher{in: input, start: from, caps: make([]int, 2*len(re.names))}
	for at := from; at <= len(input); at++ {
		for i := range m.caps {
			m.caps[i] = -1
		}
		end := -1
		if m.run(re.root, at, func(i int) bool { end = i; return true }) {
			m.caps[0], m.caps[1] = at, end
			return &Match{re, input, m.caps}, nil
		}
		if m.err != nil {
			return nil, m.err
		}
	}
	return nil, nil
}

// All calls yield for every match in order until it returns false; an empty match moves on by one.
func (re *Regexp) All(input []rune, yield func(*Match) bool) error {
	for at := 0; at <= len(input); {
		m, err := re.Find(input, at)
		if err != nil || m == nil {
			return err
		}
		if !yield(m) {
			return nil
		}
		if at = m.caps[1]; m.caps[1] == m.caps[0] {
			at++
		}
	}
	return nil
}

// MatchString reports whether re matches somewhere in s.
func (re *Regexp) MatchString(s string) (bool, error) {
	m, err := re.Find([]rune(s), 0)
	return m != nil, err
}

// Replace puts replacement for every match: $1 ${name} $& $` $' $+ $_ $$ stand for what .NET says.
func (re *Regexp) Replace(s, replacement string) (string, error) {
	parts := re.replacement(replacement)
	return re.ReplaceFunc(s, -1, func(m *Match) (string, error) {
		var b strings.Builder
		for _, p := range parts {
			p(&b, m)
		}
		return b.String(), nil
	})
}

// maxReplaced bounds the length of a replaced text.
const maxReplaced = 64 << 20

// ReplaceFunc puts f(match) for at most limit matches, all when limit is negative.
func (re *Regexp) ReplaceFunc(s string, limit int, f func(*Match) (string, error)) (string, error) {
	in := []rune(s)
	var b strings.Builder
	last := 0
	var failed error
	err := re.All(in, func(m *Match) bool {
		if limit == 0 {
			return false
		}
		limit--
		b.WriteString(string(in[last:m.caps[0]]))
		last = m.caps[1]
		t, err := f(m)
		b.WriteString(t)
		if failed = err; b.Len() > maxReplaced {
			failed = errors.New("The replaced text is too long.")
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return "", err
	}
	b.WriteString(string(in[last:]))
	return b.String(), nil
}

type writer = func(b *strings.Builder, m *Match)

// replacement reads a replacement text once.
func (re *Regexp) replacement(text string) []writer {
	r := []rune(text)
	var parts []writer
	literal := func(s string) { parts = append(parts, func(b *strings.Builder, _ *Match) { b.WriteString(s) }) }
	group := func(n int) {
		parts = append(parts, func(b *strings.Builder, m *Match) { s, _ := m.Group(n); b.WriteString(s) })
	}
	for i := 0; i < len(r); i++ {
		if r[i] != '$' || i+1 == len(r) {
			literal(string(r[i]))
			continue
		}
		c := r[i+1]
		switch {
		case c == '$':
			literal("$")
			i++
		case c == '&':
			group(0)
			i++
		case c == '`':
			parts = append(parts, func(b *strings.Builder, m *Match) { b.WriteString(string(m.input[:m.caps[0]])) })
			i++
		case c == '\'':
			parts = append(parts, func(b *strings.Builder, m *Match) { b.WriteString(string(m.input[m.caps[1]:])) })
			i++
		case c == '_':
			parts = append(parts, func(b *strings.Builder, m *Match) { b.WriteString(string(m.input)) })
			i++
		case c == '+':
			group(len(re.names) - 1)
			i++
		case c >= '0' && c <= '9':
			n, width := 0, 0
			for j := i + 1; j < len(r) && r[j] >= '0' && r[j] <= '9' && n < 10000; j++ {
				n = n*10 + int(r[j]-'0')
				width++
			}
			if n < len(re.names) {
				group(n)
				i += width
			} else {
				literal("$")
			}
		case c == '{':
			end := slices.Index(r[i:], '}')
			n := -1
			if end > 0 {
				n = re.lookup(string(r[i+2 : i+end]))
			}
			if n < 0 {
				literal("$")
				break
			}
			group(n)
			i += end
		default:
			literal("$")
		}
	}
	return parts
}

// lookup is the group a name or number in braces stands for, -1 when there is none.
func (re *Regexp) lookup(name string) int {
	if n := re.GroupNumber(name); n >= 0 {
		return n
	}
	n := 0
	for _, c := range name {
		if c < '0' || c > '9' || n > 10000 {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	if name == "" || n >= len(re.names) {
		return -1
	}
	return n
}

// Split cuts s at the matches into at most limit parts (0: no limit); captured groups are kept between the parts.
func (re *Regexp) Split(s string, limit int) ([]string, error) {
	in := []rune(s)
	var parts []string
	last, count := 0, 1
	err := re.All(in, func(m *Match) bool {
		if limit > 0 && count >= limit {
			return false
		}
		count++
		parts = append(parts, string(in[last:m.caps[0]]))
		last = m.caps[1]
		for g := 1; g < len(re.names); g++ {
			if t, ok := m.Group(g); ok {
				parts = append(parts, t)
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return append(parts, string(in[last:])), nil
}

// Escape makes every character of s stand for itself.
func Escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch r {
		case '\t':
			b.WriteString(`\t`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\f':
			b.WriteString(`\f`)
		case '\\', '*', '+', '?', '|', '{', '[', '(', ')', '^', '$', '.', '#', ' ':
			b.WriteRune('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// A matcher runs one search. Nodes call the rest of the pattern as a continuation.
type matcher struct {
	in           []rune
	start        int // where the search began, for \G
	caps         []int
	steps, depth int
	err          error
}

func (m *matcher) run(n *node, i int, next func(int) bool) bool {
	if m.err != nil {
		return false
	}
	m.steps++
	m.depth++
	defer func() { m.depth-- }()
	if m.steps > maxSteps || m.depth > maxStack {
		m.err = ErrBudget
		return false
	}
	switch n.op {
	case opEmpty:
		return next(i)
	case opChar, opSet:
		return i < len(m.in) && n.one(m.in[i]) && next(i+1)
	case opCat:
		return m.cat(n.sub, i, next)
	case opAlt:
		for _, s := range n.sub {
			if m.run(s, i, next) {
				return true
			}
		}
		return false
	case opRepeat:
		if sub := n.single(); sub != nil {
			return m.simple(n, sub, i, next)
		}
		return m.repeat(n, i, 0, -1, next)
	case opGroup:
		g := 2 * n.group
		return m.run(n.sub[0], i, func(j int) bool {
			s, e := m.caps[g], m.caps[g+1]
			m.caps[g], m.caps[g+1] = i, j
			if next(j) {
				return true
			}
			m.caps[g], m.caps[g+1] = s, e
			return false
		})
	case opBack:
		s, e := m.caps[2*n.group], m.caps[2*n.group+1]
		if s < 0 || i+e-s > len(m.in) {
			return false
		}
		for k := s; k < e; k++ {
			a, b := m.in[k], m.in[i+k-s]
			if a != b && !(n.fold && foldEqual(a, b)) {
				return false
			}
		}
		return next(i + e - s)
	case opAssert:
		return m.assert(n, i) && next(i)
	case opLook:
		saved := slices.Clone(m.caps)
		ok := false
		if n.behind {
			ok = m.behind(n.sub[0], i)
		} else {
			ok = m.run(n.sub[0], i, func(int) bool { return true })
		}
		if n.negate {
			copy(m.caps, saved)
			return !ok && m.err == nil && next(i)
		}
		if ok && next(i) {
			return true
		}
		copy(m.caps, saved)
		return false
	case opAtomic:
		saved := slices.Clone(m.caps)
		end := -1
		if m.run(n.sub[0], i, func(j int) bool { end = j; return true }) && next(end) {
			return true
		}
		copy(m.caps, saved)
		return false
	case opCond:
		if m.caps[2*n.group] >= 0 {
			return m.run(n.sub[0], i, next)
		}
		return m.run(n.sub[1], i, next)
	}
	return false
}

func (m *matcher) cat(sub []*node, i int, next func(int) bool) bool {
	switch len(sub) {
	case 0:
		return next(i)
	case 1:
		return m.run(sub[0], i, next)
	}
	// Plain characters need no continuation.
	if s := sub[0]; s.op == opChar || s.op == opSet {
		if m.steps++; i >= len(m.in) || !s.one(m.in[i]) {
			return false
		}
		return m.cat(sub[1:], i+1, next)
	}
	return m.run(sub[0], i, func(j int) bool { return m.cat(sub[1:], j, next) })
}

// single is the repeated element when it takes exactly one character.
func (n *node) single() *node {
	s := n.sub[0]
	if s.op == opCat && len(s.sub) == 1 {
		s = s.sub[0]
	}
	if s.op == opChar || s.op == opSet {
		return s
	}
	return nil
}

func (m *matcher) simple(n, sub *node, i int, next func(int) bool) bool {
	limit := len(m.in) - i
	if n.max >= 0 {
		limit = min(limit, n.max)
	}
	if n.lazy {
		for k := 0; ; k++ {
			if k >= n.min && next(i+k) {
				return true
			}
			if m.steps++; k >= limit || m.err != nil || !sub.one(m.in[i+k]) {
				return false
			}
		}
	}
	k := 0
	for k < limit && sub.one(m.in[i+k]) {
		k++
	}
	m.steps += k
	for ; k >= n.min; k-- {
		if next(i + k) {
			return true
		}
		if m.steps++; m.steps > maxSteps {
			m.err = ErrBudget
		}
		if m.err != nil {
			return false
		}
	}
	return false
}

// repeat tries the sub-pattern count times so far; last is where the latest round began, so that empty rounds end.
func (m *matcher) repeat(n *node, i, count, last int, next func(int) bool) bool {
	again := func() bool {
		if n.max >= 0 && count >= n.max || i == last && count >= n.min {
			return false
		}
		return m.run(n.sub[0], i, func(j int) bool { return m.repeat(n, j, min(count+1, maxRepeat-1), i, next) })
	}
	if count < n.min {
		return again()
	}
	if n.lazy {
		return next(i) || again()
	}
	return again() || next(i)
}

// behind matches n so that it ends at i.
func (m *matcher) behind(n *node, i int) bool {
	for at := i; at >= 0; at-- {
		if m.run(n, at, func(j int) bool { return j == i }) {
			return true
		}
		if m.err != nil {
			return false
		}
	}
	return false
}

func (m *matcher) assert(n *node, i int) bool {
	switch n.r {
	case '^':
		return i == 0 || n.multi && m.in[i-1] == '\n'
	case '$':
		return i == len(m.in) || m.in[i] == '\n' && (n.multi || i == len(m.in)-1)
	case 'A':
		return i == 0
	case 'z':
		return i == len(m.in)
	case 'Z':
		return i == len(m.in) || i == len(m.in)-1 && m.in[i] == '\n'
	case 'G':
		return i == m.start
	}
	before := i > 0 && isWord(m.in[i-1])
	after := i < len(m.in) && isWord(m.in[i])
	return (before != after) == (n.r == 'b')
}

func (n *node) one(r rune) bool {
	if n.op == opSet {
		return n.set.contains(r, n.fold)
	}
	return r == n.r || n.fold && foldEqual(r, n.r)
}

func foldEqual(a, b rune) bool {
	if a < 0x80 && b < 0x80 {
		return a|0x20 == b|0x20 && 'a' <= a|0x20 && a|0x20 <= 'z'
	}
	return unicode.ToLower(a) == unicode.ToLower(b)
}
