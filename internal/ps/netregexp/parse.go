package netregexp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Limits of a pattern.
const (
	maxPattern = 64 << 10
	maxDepth   = 250
	maxRepeat  = 1<<31 - 1
)

type op uint8

const (
	opEmpty op = iota
	opChar
	opSet
	opCat
	opAlt
	opRepeat
	opGroup // capturing
	opBack
	opAssert // ^ $ \A \z \Z \G \b \B
	opLook   // look-around
	opAtomic
	opCond // (?(group)yes|no)
)

// A node is one element of the pattern's tree.
type node struct {
	op       op
	r        rune // opChar; opAssert: its letter
	fold     bool
	multi    bool // opAssert ^ $: at line ends
	set      *set
	sub      []*node
	min, max int // opRepeat; max -1: no limit
	lazy     bool
	group    int
	behind   bool // opLook
	negate   bool // opLook
}

type flags struct{ fold, multi, single, explicit, space bool }

type parser struct {
	src   []rune
	pos   int
	flags flags
	depth int

	unnamed int // groups without a name so far
	names   []string
	named   map[string]bool
	groups  []*groupRef
	numbers map[int]bool
	refs    []*groupRef
}

// A groupRef is a group or a reference whose number is known when the whole pattern is read: unnamed groups count
// first, named ones after them, as .NET does.
type groupRef struct {
	node   *node
	name   string
	number int // 0 for a named one
}

func (p *parser) fail(format string, args ...any) error {
	return fmt.Errorf("parsing \"%s\" - %s", string(p.src), fmt.Sprintf(format, args...))
}

func (p *parser) more() bool { return p.pos < len(p.src) }

func (p *parser) peek(s string) bool {
	return strings.HasPrefix(string(p.src[p.pos:min(len(p.src), p.pos+len(s))]), s)
}

func (p *parser) take(s string) bool {
	if p.peek(s) {
		p.pos += len([]rune(s))
		return true
	}
	return false
}

func (p *parser) alternatives() (*node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("Too deeply nested.")
	}
	defer func() { p.depth-- }()
	saved := p.flags
	defer func() { p.flags = saved }()
	var branches []*node
	for {
		cat, err := p.sequence()
		if err != nil {
			return nil, err
		}
		branches = append(branches, cat)
		if !p.take("|") {
			break
		}
	}
	if len(branches) == 1 {
		return branches[0], nil
	}
	return &node{op: opAlt, sub: branches}, nil
}

func (p *parser) sequence() (*node, error) {
	cat := &node{op: opCat}
	for p.more() {
		c := p.src[p.pos]
		if c == '|' || c == ')' {
			break
		}
		if p.flags.space {
			if unicode.IsSpace(c) {
				p.pos++
				continue
			}
			if c == '#' {
				for p.more() && p.src[p.pos] != '\n' {
					p.pos++
				}
				continue
			}
		}
		n, err := p.atom()
		if err != nil {
			return nil, err
		}
		if n == nil { // an inline option or comment
			continue
		}
		if n, err = p.quantified(n); err != nil {
			return nil, err
		}
		cat.sub = append(cat.sub, n)
	}
	return cat, nil
}

func (p *parser) quantified(n *node) (*node, error) {
	for p.more() {
		low, high := 0, -1
		switch p.src[p.pos] {
		case '*':
		case '+':
			low = 1
		case '?':
			high = 1
		case '{':
			l, h, width, ok := p.bounds()
			if !ok {
				return n, nil
			}
			if h >= 0 && l > h {
				return nil, p.fail("Illegal {x,y} with x > y.")
			}
			low, high = l, h
			p.pos += width - 1
		default:
			return n, nil
		}
		p.pos++
		if n.op == opRepeat && n.group == -1 {
			return nil, p.fail("Nested quantifier %c.", p.src[p.pos-1])
		}
		n = &node{op: opRepeat, sub: []*node{n}, min: low, max: high, lazy: p.take("?"), group: -1}
	}
	return n, nil
}

// bounds reads {n}, {n,} or {n,m} at the current place.
func (p *parser) bounds() (low, high, width int, ok bool) {
	end := slices.Index(p.src[p.pos:min(len(p.src), p.pos+30)], '}')
	if end < 0 {
		return 0, 0, 0, false
	}
	a, b, comma := strings.Cut(string(p.src[p.pos+1:p.pos+end]), ",")
	l, err := strconv.ParseUint(a, 10, 31)
	if err != nil {
		return 0, 0, 0, false
	}
	low, high = int(l), int(l)
	if comma {
		high = -1
		if b != "" {
			h, err := strconv.ParseUint(b, 10, 31)
			if err != nil {
				return 0, 0, 0, false
			}
			high = int(h)
		}
	}
	return low, high, end + 1, true
}

func (p *parser) atom() (*node, error) {
	c := p.src[p.pos]
	p.pos++
	switch c {
	case '.':
		s := &set{negate: true}
		if !p.flags.single {
			s.ranges = []rune{'\n', '\n'}
		}
		return &node{op: opSet, set: s}, nil
	case '^', '$':
		return &node{op: opAssert, r: c, multi: p.flags.multi}, nil
	case '[':
		s, err := p.class()
		if err != nil {
			return nil, err
		}
		return &node{op: opSet, set: s, fold: p.flags.fold}, nil
	case '(':
		return p.group()
	case '\\':
		return p.escape()
	case '*', '+', '?':
		return nil, p.fail("Quantifier {x,y} following nothing.")
	}
	return &node{op: opChar, r: c, fold: p.flags.fold}, nil
}

func (p *parser) close(n *node, err error) (*node, error) {
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, p.fail("Not enough )'s.")
	}
	return n, nil
}

func (p *parser) group() (*node, error) {
	if !p.take("?") {
		if p.flags.explicit {
			return p.close(p.alternatives())
		}
		p.unnamed++
		ref := &groupRef{node: &node{op: opGroup}, number: p.unnamed}
		p.groups = append(p.groups, ref)
		return p.capture(ref)
	}
	switch {
	case p.take(":"):
		return p.close(p.alternatives())
	case p.take(">"):
		return p.wrap(&node{op: opAtomic})
	case p.take("="):
		return p.wrap(&node{op: opLook})
	case p.take("!"):
		return p.wrap(&node{op: opLook, negate: true})
	case p.take("<="):
		return p.wrap(&node{op: opLook, behind: true})
	case p.take("<!"):
		return p.wrap(&node{op: opLook, behind: true, negate: true})
	case p.take("#"):
		for p.more() && !p.peek(")") {
			p.pos++
		}
		return p.close(nil, nil)
	case p.take("<"):
		return p.namedGroup('>')
	case p.take("'"):
		return p.namedGroup('\'')
	case p.peek("("):
		return p.conditional()
	}
	return p.options()
}

func (p *parser) wrap(n *node) (*node, error) {
	sub, err := p.alternatives()
	n.sub = []*node{sub}
	return p.close(n, err)
}

func (p *parser) capture(ref *groupRef) (*node, error) {
	sub, err := p.alternatives()
	ref.node.sub = []*node{sub}
	return p.close(ref.node, err)
}

func isWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Pc, r)
}

// name reads a group name up to end.
func (p *parser) name(end rune) (string, error) {
	start := p.pos
	for p.more() && isWord(p.src[p.pos]) {
		p.pos++
	}
	name := string(p.src[start:p.pos])
	if name == "" || !p.more() || p.src[p.pos] != end {
		if p.more() && p.src[p.pos] == '-' {
			return "", p.fail("Balancing groups are not supported.")
		}
		return "", p.fail("Invalid group name: Group names must begin with a word character.")
	}
	p.pos++
	return name, nil
}

func (p *parser) namedGroup(end rune) (*node, error) {
	name, err := p.name(end)
	if err != nil {
		return nil, err
	}
	ref := &groupRef{node: &node{op: opGroup}, name: name}
	if n, err := strconv.Atoi(name); err == nil {
		if n == 0 || n > 1000 {
			return nil, p.fail("Capture number cannot be zero or above 1000.")
		}
		ref.name, ref.number = "", n
		p.numbers[n] = true
	} else if !p.named[name] {
		p.named[name] = true
		p.names = append(p.names, name)
	}
	p.groups = append(p.groups, ref)
	return p.capture(ref)
}

// conditional reads (?(name)yes|no).
func (p *parser) conditional() (*node, error) {
	p.pos++
	name, err := p.name(')')
	if err != nil {
		return nil, p.fail("Conditions on an expression are not supported.")
	}
	n := &node{op: opCond}
	p.reference(n, name)
	body, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	n.sub = []*node{body, {op: opEmpty}}
	if body.op == opAlt {
		if len(body.sub) > 2 {
			return nil, p.fail("Too many | in (?()|).")
		}
		n.sub = body.sub
	}
	return p.close(n, nil)
}

func (p *parser) reference(n *node, name string) {
	ref := &groupRef{node: n, name: name}
	if num, err := strconv.Atoi(name); err == nil {
		ref.name, ref.number = "", num
	}
	p.refs = append(p.refs, ref)
}

// options reads (?imnsx-imnsx) for the rest of the group, or (?imnsx-imnsx:...).
func (p *parser) options() (*node, error) {
	f, on := p.flags, true
	for p.more() {
		c := p.src[p.pos]
		p.pos++
		switch c {
		case 'i':
			f.fold = on
		case 'm':
			f.multi = on
		case 's':
			f.single = on
		case 'n':
			f.explicit = on
		case 'x':
			f.space = on
		case '-':
			on = false
		case ')':
			p.flags = f
			return nil, nil
		case ':':
			saved := p.flags
			p.flags = f
			n, err := p.close(p.alternatives())
			p.flags = saved
			return n, err
		default:
			return nil, p.fail("Unrecognized grouping construct.")
		}
	}
	return nil, p.fail("Unrecognized grouping construct.")
}

func (p *parser) escape() (*node, error) {
	if !p.more() {
		return nil, p.fail("Illegal \\ at end of pattern.")
	}
	c := p.src[p.pos]
	switch c {
	case 'A', 'z', 'Z', 'G', 'b', 'B':
		p.pos++
		return &node{op: opAssert, r: c}, nil
	case 'k':
		p.pos++
		end := '>'
		switch {
		case p.take("<"):
		case p.take("'"):
			end = '\''
		default:
			return nil, p.fail("Malformed \\k<...> named back reference.")
		}
		name, err := p.name(end)
		if err != nil {
			return nil, err
		}
		n := &node{op: opBack, fold: p.flags.fold}
		p.reference(n, name)
		return n, nil
	}
	if c >= '1' && c <= '9' {
		start := p.pos
		for p.more() && p.src[p.pos] >= '0' && p.src[p.pos] <= '9' && p.pos-start < 3 {
			p.pos++
		}
		n := &node{op: opBack, fold: p.flags.fold}
		p.reference(n, string(p.src[start:p.pos]))
		return n, nil
	}
	if s, ok, err := p.shorthand(); ok || err != nil {
		return &node{op: opSet, set: s}, err
	}
	r, err := p.charEscape()
	return &node{op: opChar, r: r, fold: p.flags.fold}, err
}

// shorthand reads \d \w \s \p{X} and their opposites after the backslash.
func (p *parser) shorthand() (*set, bool, error) {
	c := p.src[p.pos]
	s := &set{}
	switch c {
	case 'd', 'D':
		s.tables = []classRef{{table: unicode.Nd}}
	case 'w', 'W':
		s.tables = []classRef{{word: true}}
	case 's', 'S':
		s.tables = []classRef{{space: true}}
	case 'p', 'P':
		p.pos++
		if !p.take("{") {
			return nil, true, p.fail("Incomplete \\p{X} character escape.")
		}
		start := p.pos
		for p.more() && p.src[p.pos] != '}' {
			p.pos++
		}
		name := string(p.src[start:p.pos])
		if !p.take("}") {
			return nil, true, p.fail("Incomplete \\p{X} character escape.")
		}
		t, ok := unicode.Categories[name]
		if !ok {
			t, ok = unicode.Scripts[strings.TrimPrefix(name, "Is")]
		}
		if !ok {
			return nil, true, p.fail("Unknown property '%s'.", name)
		}
		s.tables = []classRef{{table: t}}
		s.negate = c == 'P'
		return s, true, nil
	default:
		return nil, false, nil
	}
	p.pos++
	s.negate = unicode.IsUpper(c)
	return s, true, nil
}

var plainEscapes = map[rune]rune{'a': 7, 'e': 27, 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

func (p *parser) charEscape() (rune, error) {
	c := p.src[p.pos]
	p.pos++
	if r, ok := plainEscapes[c]; ok {
		return r, nil
	}
	hex := func(n int) (rune, error) {
		if p.pos+n > len(p.src) {
			return 0, p.fail("Insufficient hexadecimal digits.")
		}
		v, err := strconv.ParseUint(string(p.src[p.pos:p.pos+n]), 16, 32)
		if err != nil {
			return 0, p.fail("Insufficient hexadecimal digits.")
		}
		p.pos += n
		return rune(v), nil
	}
	switch {
	case c == 'x':
		return hex(2)
	case c == 'u':
		return hex(4)
	case c == 'c':
		if !p.more() || unicode.ToUpper(p.src[p.pos]) < '@' || unicode.ToUpper(p.src[p.pos]) > '_' {
			return 0, p.fail("Unrecognized control character.")
		}
		p.pos++
		return unicode.ToUpper(p.src[p.pos-1]) - '@', nil
	case c == '0':
		v := rune(0)
		for i := 0; i < 2 && p.more() && p.src[p.pos] >= '0' && p.src[p.pos] <= '7'; i++ {
			v = v*8 + p.src[p.pos] - '0'
			p.pos++
		}
		return v, nil
	case isWord(c):
		return 0, p.fail("Unrecognized escape sequence \\%c.", c)
	}
	return c, nil
}

// class reads a bracket expression after its [.
func (p *parser) class() (*set, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("Too deeply nested.")
	}
	defer func() { p.depth-- }()
	s := &set{negate: p.take("^")}
	for first := true; ; first = false {
		if !p.more() {
			return nil, p.fail("Unterminated [] set.")
		}
		if p.src[p.pos] == ']' && !first {
			p.pos++
			return s, nil
		}
		if p.peek("-[") && !first {
			p.pos += 2
			sub, err := p.class()
			if err != nil {
				return nil, err
			}
			s.minus = sub
			if !p.take("]") {
				return nil, p.fail("A subtraction must be the last element in a character class.")
			}
			return s, nil
		}
		low, isClass, err := p.classChar(s)
		if err != nil {
			return nil, err
		}
		if p.peek("-") && p.pos+1 < len(p.src) && p.src[p.pos+1] != ']' && p.src[p.pos+1] != '[' {
			if isClass { // [\w-.]: the dash stands for itself
				continue
			}
			p.pos++
			high, isClass, err := p.classChar(s)
			if err != nil {
				return nil, err
			}
			if isClass {
				return nil, p.fail("Cannot include class \\%c in character range.", p.src[p.pos-1])
			}
			if high < low {
				return nil, p.fail("[x-y] range in reverse order.")
			}
			s.ranges = append(s.ranges, low, high)
			continue
		}
		if !isClass {
			s.ranges = append(s.ranges, low, low)
		}
	}
}

func (p *parser) classChar(s *set) (r rune, isClass bool, err error) {
	c := p.src[p.pos]
	p.pos++
	if c != '\\' {
		return c, false, nil
	}
	if !p.more() {
		return 0, false, p.fail("Illegal \\ at end of pattern.")
	}
	if p.src[p.pos] == 'b' {
		p.pos++
		return '\b', false, nil
	}
	sub, ok, err := p.shorthand()
	if err != nil {
		return 0, false, err
	}
	if ok {
		ref := sub.tables[0]
		ref.negate = sub.negate
		s.tables = append(s.tables, ref)
		return 0, true, nil
	}
	r, err = p.charEscape()
	return r, false, err
}

// A set is a class of characters.
type set struct {
	negate bool
	ranges []rune // pairs
	tables []classRef
	minus  *set
}

type classRef struct {
	table       *unicode.RangeTable
	word, space bool
	negate      bool
}

func (s *set) contains(r rune, fold bool) bool {
	in := s.holds(r)
	if !in && fold {
		for f := unicode.SimpleFold(r); f != r && !in; f = unicode.SimpleFold(f) {
			in = s.holds(f)
		}
	}
	return in != s.negate && (s.minus == nil || !s.minus.contains(r, fold))
}

func (s *set) holds(r rune) bool {
	for i := 0; i < len(s.ranges); i += 2 {
		if s.ranges[i] <= r && r <= s.ranges[i+1] {
			return true
		}
	}
	for _, t := range s.tables {
		var in bool
		switch {
		case t.word:
			in = isWord(r)
		case t.space:
			in = unicode.IsSpace(r)
		default:
			in = unicode.Is(t.table, r)
		}
		if in != t.negate {
			return true
		}
	}
	return false
}
