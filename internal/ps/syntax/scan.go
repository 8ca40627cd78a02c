package syntax

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// eof is what peek returns behind the last character.
const eof = rune(-1)

// parser reads text; off maps an offset in text to one in src.Text, since the
// text of a subexpression inside a string is parsed apart from the rest.
type parser struct {
	src   *Source
	text  string
	pos   int
	base  int
	off   []int32 // nil: base + offset
	depth int
	count *int // statements so far
}

func (p *parser) at(i int) int {
	if p.off == nil {
		return p.base + i
	}
	return int(p.off[min(i, len(p.off)-1)])
}

func (p *parser) ext(start, end int) Extent { return Extent{p.at(start), p.at(end)} }

// from is the extent of what was read since start, without trailing blanks.
func (p *parser) from(start int) Extent {
	end := p.pos
	for end > start {
		r, n := utf8.DecodeLastRuneInString(p.text[:end])
		if !isBlank(r) && !isNewline(r) {
			break
		}
		end -= n
	}
	return p.ext(start, end)
}

// fail stops the parse with an error over [start, end).
func (p *parser) fail(start, end int, id, text string) {
	panic(&ParseError{Source: p.src, Extent: p.ext(start, min(end, len(p.text))), ID: id, Text: text, Incomplete: start >= len(p.text)})
}

// missing stops the parse where something is absent. At the end of the text
// more input may bring it.
func (p *parser) missing(id, text string) {
	at := p.pos
	p.skipNewlines()
	incomplete := p.pos >= len(p.text)
	panic(&ParseError{Source: p.src, Extent: p.ext(at, at), ID: id, Text: text, Incomplete: incomplete})
}

// unsupported stops the parse at a feature outside the subset.
func (p *parser) unsupported(start, end int, what string) {
	p.fail(start, end, "NotSupported", what+" is not supported in this shell.")
}

func (p *parser) unexpected() {
	if p.pos >= len(p.text) {
		p.missing("IncompleteInput", "The script ends too early.")
	}
	end := p.tokenEnd()
	tok := p.text[p.pos:end]
	switch tok {
	case "&&", "||":
		p.fail(p.pos, end, "InvalidEndOfLine", "The token '"+tok+"' is not a valid statement separator in this version.")
	case "?", "??", "??=", "?.":
		p.unsupported(p.pos, end, "The operator '"+tok+"' (version 7)")
	case "<":
		p.fail(p.pos, end, "RedirectionNotSupported", "The '<' operator is reserved for future use.")
	case "&":
		p.fail(p.pos, end, "AmpersandNotAllowed", `The ampersand (&) character is not allowed. The & operator is reserved for future use; wrap an ampersand in double quotation marks ("&") to pass it as part of a string.`)
	}
	p.fail(p.pos, end, "UnexpectedToken", "Unexpected token '"+tok+"' in expression or statement.")
}

// tokenEnd returns about where the token at pos ends, for error texts.
func (p *parser) tokenEnd() int {
	i, r := p.pos, p.peek()
	switch {
	case isSingle(r) || isDouble(r):
		for i += utf8.RuneLen(r); i < len(p.text); {
			c, n := utf8.DecodeRuneInString(p.text[i:])
			i += n
			if isSingle(r) && isSingle(c) || isDouble(r) && isDouble(c) || isNewline(c) {
				break
			}
		}
		return i
	case isWordEnd(r):
		i++
		if (r == '&' || r == '|') && i < len(p.text) && rune(p.text[i]) == r {
			i++
		}
		return i
	case r == '?':
		for i < len(p.text) && strings.IndexByte("?.=", p.text[i]) >= 0 {
			i++
		}
		return i
	}
	for i < len(p.text) {
		c, n := utf8.DecodeRuneInString(p.text[i:])
		if isWordEnd(c) || isSingle(c) || isDouble(c) {
			break
		}
		i += n
	}
	return max(i, p.pos+1)
}

func (p *parser) peek() rune { return p.peekAt(p.pos) }

func (p *parser) peekAt(i int) rune {
	if i >= len(p.text) {
		return eof
	}
	if c := p.text[i]; c < utf8.RuneSelf {
		return rune(c)
	}
	r, _ := utf8.DecodeRuneInString(p.text[i:])
	return r
}

func (p *parser) next() rune {
	if p.pos >= len(p.text) {
		return eof
	}
	r, n := utf8.DecodeRuneInString(p.text[p.pos:])
	p.pos += n
	return r
}

// has reports whether s stands at pos.
func (p *parser) has(s string) bool { return strings.HasPrefix(p.text[p.pos:], s) }

func isNewline(r rune) bool { return r == '\n' || r == '\r' }

func isBlank(r rune) bool {
	switch r {
	case ' ', '\t', '\v', '\f', '\u00A0', '\u0085':
		return true
	}
	return r > unicode.MaxLatin1 && unicode.Is(unicode.Z, r)
}

func isDash(r rune) bool {
	return r == '-' || r >= '\u2013' && r <= '\u2015'
}

func isSingle(r rune) bool { return r == '\'' || r >= '\u2018' && r <= '\u201B' }

func isDouble(r rune) bool { return r == '"' || r >= '\u201C' && r <= '\u201E' }

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

func isIdentStart(r rune) bool { return r == '_' || unicode.IsLetter(r) }

func isIdent(r rune) bool {
	return isIdentStart(r) || unicode.IsDigit(r)
}

func isVariable(r rune) bool { return isIdent(r) || r == '?' }

// isWordEnd tells the characters that end a word of command mode.
func isWordEnd(r rune) bool {
	switch r {
	case eof, 0, '(', ')', '{', '}', ';', ',', '|', '&':
		return true
	}
	return isNewline(r) || isBlank(r)
}

// skipBlanks skips white space, comments and continued line ends, but no
// newline.
func (p *parser) skipBlanks() {
	for {
		r := p.peek()
		switch {
		case isBlank(r):
			p.next()
		case r == '#':
			p.skipLine()
		case r == '<' && p.has("<#"):
			start := p.pos
			n := strings.Index(p.text[p.pos+2:], "#>")
			if n < 0 {
				p.pos = len(p.text)
				panic(&ParseError{Source: p.src, Extent: p.ext(start, start+2), ID: "MissingTerminatorMultiLineComment",
					Text: "The terminator '#>' is missing from the multiline comment.", Incomplete: true})
			}
			p.pos += 2 + n + 2
		case r == '`' && isNewline(p.peekAt(p.pos+1)):
			p.pos++
			p.newline()
		case r == '`' && p.pos+1 == len(p.text):
			p.pos++
			p.fail(p.pos, p.pos, "IncompleteInput", "The line is continued, but the script ends.")
		default:
			return
		}
	}
}

func (p *parser) skipLine() {
	for r := p.peek(); r != eof && !isNewline(r); r = p.peek() {
		p.next()
	}
}

// newline reads one LF, CR or CRLF.
func (p *parser) newline() bool {
	switch p.peek() {
	case '\r':
		p.pos++
		if p.peek() == '\n' {
			p.pos++
		}
		return true
	case '\n':
		p.pos++
		return true
	}
	return false
}

func (p *parser) skipNewlines() {
	for p.skipBlanks(); p.newline(); p.skipBlanks() {
	}
}

// skipSeparators skips newlines and semicolons and reports whether there were any.
func (p *parser) skipSeparators() bool {
	any := false
	for p.skipBlanks(); ; p.skipBlanks() {
		if p.peek() == ';' {
			p.pos++
		} else if !p.newline() {
			return any
		}
		any = true
	}
}

// endsStatement reports whether a statement cannot go on at pos.
func (p *parser) endsStatement() bool {
	switch r := p.peek(); r {
	case eof, ';', ')', '}':
		return true
	default:
		return isNewline(r)
	}
}

// ident returns the name at pos without reading it.
func (p *parser) ident() string {
	i := p.pos
	for r := p.peekAt(i); isIdent(r); r = p.peekAt(i) {
		i += utf8.RuneLen(r)
	}
	return p.text[p.pos:i]
}

// rawWord returns the characters up to the end of the word at pos, unread.
func (p *parser) rawWord() string {
	i := p.pos
	for r := p.peekAt(i); !isWordEnd(r); r = p.peekAt(i) {
		i += utf8.RuneLen(r)
	}
	return p.text[p.pos:i]
}

func escape(r rune) rune {
	switch r {
	case '0':
		return 0
	case 'a':
		return '\a'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return '\v'
	}
	return r
}

// A text under construction: literal characters and expanded parts.
type textBuilder struct {
	p     *parser
	lit   strings.Builder
	start int // of lit
	parts []Expr
}

func (b *textBuilder) rune(r rune) {
	b.lit.WriteRune(r)
}

func (b *textBuilder) flush(end int) {
	if b.lit.Len() > 0 {
		b.parts = append(b.parts, &String{Extent: b.p.ext(b.start, end), Value: b.lit.String()})
		b.lit.Reset()
	}
}

func (b *textBuilder) add(start int, e Expr) {
	b.flush(start)
	b.parts = append(b.parts, e)
	b.start = b.p.pos
}

// expr returns a *String when nothing expands, else an *Expandable.
func (b *textBuilder) expr(e Extent, bare bool) Expr {
	for _, part := range b.parts {
		if _, ok := part.(*String); !ok {
			b.flush(b.p.pos)
			return &Expandable{Extent: e, Parts: b.parts, Bare: bare}
		}
	}
	return &String{Extent: e, Value: b.lit.String(), Bare: bare}
}

// dollar reads what begins with $ inside a text: a variable, a subexpression
// or the sign itself.
func (p *parser) dollar(b *textBuilder, here bool) {
	start := p.pos
	if p.has("$(") {
		b.add(start, p.textSub(here))
		return
	}
	if v := p.variable(); v != nil {
		b.add(start, v)
		return
	}
	p.pos++
	b.rune('$')
}

// textSub reads $( ) inside a text. Its end is found by counting brackets
// alone; outside here-strings an escaped or doubled quote becomes one quote.
// The text found is then parsed as a script.
func (p *parser) textSub(here bool) Expr {
	start := p.pos
	p.pos += 2
	var text strings.Builder
	var off []int32
	put := func(from, to int) {
		for i := from; i < to; i++ {
			off = append(off, int32(p.at(i)))
		}
		text.WriteString(p.text[from:to])
	}
	for level := 1; ; {
		at := p.pos
		r := p.next()
		switch {
		case r == eof:
			p.missing("MissingEndParenthesisInSubexpression", "Missing closing ')' in subexpression.")
		case r == '(':
			level++
		case r == ')':
			level--
		case !here && r == '`' && isDouble(p.peek()), !here && isDouble(r) && isDouble(p.peek()):
			if isDouble(r) {
				p.next()
				put(at, at+utf8.RuneLen(r))
				continue
			}
			at = p.pos
			p.next()
		}
		if level == 0 {
			break
		}
		put(at, p.pos)
	}
	off = append(off, int32(p.at(p.pos-1)))
	in := &parser{src: p.src, text: text.String(), off: off, depth: p.depth, count: p.count}
	in.enter(0)
	body := &Body{Extent: in.ext(0, len(in.text)), Stmts: in.statements()}
	if in.pos < len(in.text) {
		in.unexpected()
	}
	return &Sub{Extent: p.ext(start, p.pos), Body: body}
}

// enter goes one level deeper, counted until the matching leave.
func (p *parser) enter(start int) {
	if p.depth++; p.depth > maxDepth {
		p.fail(start, start+1, "ScriptTooComplicated", "The script is nested too deeply.")
	}
}

func (p *parser) leave() { p.depth-- }

// variable reads the variable at pos, or returns nil when $ begins none.
func (p *parser) variable() *Variable {
	start := p.pos
	p.pos++
	v := p.variableName(start)
	if v == nil {
		p.pos = start
	}
	return v
}

func (p *parser) variableName(start int) *Variable {
	r := p.peek()
	if r == '{' {
		return p.bracedVariable(start)
	}
	if r == '$' || r == '^' || r == '?' && !isVariable(p.peekAt(p.pos+1)) {
		p.pos++
		return &Variable{Extent: p.ext(start, p.pos), Name: string(r)}
	}
	from := p.pos
	for {
		switch r := p.peek(); {
		case isVariable(r):
			p.next()
			continue
		case r == ':' && p.pos > from && p.peekAt(p.pos+1) != ':':
			if !isVariable(p.peekAt(p.pos + 1)) {
				p.fail(start, p.pos+1, "InvalidVariableReferenceWithDrive",
					"Variable reference is not valid. ':' was not followed by a valid variable name character. Consider using ${} to delimit the name.")
			}
			p.pos++
			continue
		}
		break
	}
	if p.pos == from {
		return nil
	}
	return p.namedVariable(start, p.text[from:p.pos])
}

func (p *parser) namedVariable(start int, name string) *Variable {
	v := &Variable{Extent: p.ext(start, p.pos), Name: name}
	if drive, rest, ok := strings.Cut(name, ":"); ok && drive != "" && rest != "" {
		v.Drive, v.Name = drive, rest
	}
	return v
}

func (p *parser) bracedVariable(start int) *Variable {
	p.pos++
	var name strings.Builder
	for {
		switch r := p.next(); r {
		case eof:
			p.missing("IncompleteDollarVariableReference", "The braced variable name is missing the closing '}'.")
		case '}':
			if name.Len() == 0 {
				p.fail(start, p.pos, "EmptyVariableReference", "Empty ${} variable reference, there should be a name between the braces.")
			}
			return p.namedVariable(start, name.String())
		case '`':
			if c := p.next(); c != eof {
				name.WriteRune(escape(c))
			}
		case '{':
			p.fail(p.pos-1, p.pos, "OpenBraceNeedsToBeBackTickedInVariableName", "The use of a { inside a braced variable name requires an escape character (`).")
		default:
			name.WriteRune(r)
		}
	}
}

// quoted reads a string in single or double quotes, or a here-string.
func (p *parser) quoted() Expr {
	start := p.pos
	b := &textBuilder{p: p, start: start}
	p.readQuoted(b)
	return b.expr(p.ext(start, p.pos), false)
}

// readQuoted adds the inside of a quoted string at pos to b.
func (p *parser) readQuoted(b *textBuilder) {
	open := p.next()
	if isSingle(open) {
		for {
			switch r := p.next(); {
			case r == eof:
				p.fail(p.pos, p.pos, "TerminatorExpectedAtEndOfString", "The string is missing the terminator: '.")
			case isSingle(r):
				if !isSingle(p.peek()) {
					return
				}
				p.next()
				b.rune(r)
			default:
				b.rune(r)
			}
		}
	}
	for {
		switch r := p.peek(); {
		case r == eof:
			p.fail(p.pos, p.pos, "TerminatorExpectedAtEndOfString", `The string is missing the terminator: ".`)
		case isDouble(r):
			p.next()
			if !isDouble(p.peek()) {
				return
			}
			p.next()
			b.rune(r)
		case r == '$':
			p.dollar(b, false)
		case r == '`':
			p.next()
			if c := p.next(); c != eof {
				b.rune(escape(c))
			}
		default:
			p.next()
			b.rune(r)
		}
	}
}

// hereString reads @' or @" up to the closing mark at the start of a line.
func (p *parser) hereString() Expr {
	start := p.pos
	p.pos++
	double := isDouble(p.next())
	for isBlank(p.peek()) {
		p.next()
	}
	if p.peek() == eof {
		p.fail(p.pos, p.pos, "TerminatorExpectedAtEndOfString", "The here-string has no text.")
	}
	if !p.newline() {
		p.fail(p.pos, p.tokenEnd(), "UnexpectedCharactersAfterHereStringHeader", "No characters are allowed after a here-string header but before the end of the line.")
	}
	b := &textBuilder{p: p, start: p.pos}
	closes := func() bool {
		r := p.peek()
		return (double && isDouble(r) || !double && isSingle(r)) && p.peekAt(p.pos+utf8.RuneLen(r)) == '@'
	}
	if closes() {
		p.next()
		p.next()
		return b.expr(p.ext(start, p.pos), false)
	}
	for {
		at := p.pos
		r := p.peek()
		switch {
		case r == eof:
			p.fail(p.pos, p.pos, "TerminatorExpectedAtEndOfString", `The string is missing the terminator: `+map[bool]string{true: `"@`, false: `'@`}[double]+".")
		case isNewline(r):
			p.newline()
			if closes() {
				p.next()
				p.next()
				e := b.expr(p.ext(start, p.pos), false)
				return e
			}
			b.lit.WriteString(p.text[at:p.pos])
		case double && r == '$':
			p.dollar(b, true)
		case double && r == '`':
			p.next()
			if c := p.next(); c != eof {
				b.rune(escape(c))
			}
		default:
			p.next()
			b.rune(r)
		}
	}
}

// word reads a word of command mode. Quoted parts inside are joined,
// variables and subexpressions expand.
func (p *parser) word() Expr {
	start := p.pos
	b := &textBuilder{p: p, start: start}
	plain := true
	for {
		r := p.peek()
		if isWordEnd(r) {
			break
		}
		switch {
		case r == '`':
			c := p.peekAt(p.pos + 1)
			if c == eof || isNewline(c) {
				// A continued line ends the word.
				if p.pos == start {
					p.skipBlanks()
				}
				return p.wordExpr(b, start, plain)
			}
			p.next()
			p.next()
			b.rune(escape(c))
			plain = false
		case isSingle(r), isDouble(r):
			p.readQuoted(b)
			plain = false
		case r == '$':
			p.dollar(b, false)
		default:
			p.next()
			b.rune(r)
		}
	}
	return p.wordExpr(b, start, plain)
}

func (p *parser) wordExpr(b *textBuilder, start int, plain bool) Expr {
	if plain {
		raw := p.text[start:p.pos]
		if v, ok := parseNumber(raw); ok {
			return &Number{Extent: p.ext(start, p.pos), Text: normalizeDash(raw), Value: v}
		}
	}
	return b.expr(p.ext(start, p.pos), true)
}

func normalizeDash(s string) string {
	if r, n := utf8.DecodeRuneInString(s); isDash(r) {
		return "-" + s[n:]
	}
	return s
}

// A Decimal is Unscaled / 10^Scale; the scale keeps trailing zeros (1.10d).
type Decimal struct {
	Unscaled *big.Int
	Scale    int
}

// numberEnd returns where a number that begins at i ends, or i.
// A sign is not part of it here.
func (p *parser) numberEnd(i int) int {
	t := p.text
	start := i
	digit := func(j int) bool { return j < len(t) && t[j] >= '0' && t[j] <= '9' }
	if i+1 < len(t) && t[i] == '0' && (t[i+1] == 'x' || t[i+1] == 'X') {
		j := i + 2
		for j < len(t) && strings.IndexByte("0123456789abcdefABCDEF", t[j]) >= 0 {
			j++
		}
		if j == i+2 {
			return start
		}
		i = j
		if i < len(t) && (t[i] == 'l' || t[i] == 'L') {
			i++
		}
		return p.multiplierEnd(i)
	}
	for digit(i) {
		i++
	}
	if i < len(t) && t[i] == '.' && digit(i+1) {
		for i++; digit(i); i++ {
		}
	}
	if i == start {
		return start
	}
	if i < len(t) && (t[i] == 'e' || t[i] == 'E') {
		j := i + 1
		if j < len(t) && (t[j] == '+' || t[j] == '-') {
			j++
		}
		if digit(j) {
			for i = j; digit(i); i++ {
			}
		}
	}
	if i < len(t) && strings.IndexByte("dDlL", t[i]) >= 0 {
		i++
	}
	return p.multiplierEnd(i)
}

func (p *parser) multiplierEnd(i int) int {
	if i+1 < len(p.text) && (p.text[i+1]|0x20) == 'b' && strings.IndexByte("kmgtp", p.text[i]|0x20) >= 0 {
		return i + 2
	}
	return i
}

// parseNumber returns the value of a whole literal, a dash in front included.
func parseNumber(s string) (any, bool) {
	if s == "" || len(s) > 400 {
		return nil, false
	}
	neg := false
	if r, n := utf8.DecodeRuneInString(s); isDash(r) {
		neg, s = true, s[n:]
	}
	q := &parser{text: s}
	if s == "" || !isDigit(rune(s[0])) && s[0] != '.' || q.numberEnd(0) != len(s) {
		return nil, false
	}
	mult := int64(1)
	if n := len(s); n > 2 && s[n-1]|0x20 == 'b' {
		if i := strings.IndexByte("kmgtp", s[n-2]|0x20); i >= 0 {
			mult, s = 1<<(10*(i+1)), s[:n-2]
		}
	}
	suffix := byte(0)
	if c := s[len(s)-1] | 0x20; c == 'l' || c == 'd' && !isHex(s) {
		suffix, s = c, s[:len(s)-1]
	}
	if isHex(s) {
		return hexNumber(s[2:], neg, mult, suffix)
	}
	if suffix == 'd' {
		return decimalNumber(s, neg, mult)
	}
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, false
		}
		f *= float64(mult)
		if neg {
			f = -f
		}
		if suffix == 'l' {
			if f = math.RoundToEven(f); math.Abs(f) >= 1<<63 {
				return nil, false
			}
			return int64(f), true
		}
		return f, true
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, false
	}
	return integer(n, neg, mult, suffix)
}

func isHex(s string) bool { return len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' }

// maxDecimal is 2^96 - 1, the largest decimal.
var maxDecimal = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 96), big.NewInt(1))

func integer(n *big.Int, neg bool, mult int64, suffix byte) (any, bool) {
	if n.Mul(n, big.NewInt(mult)); neg {
		n.Neg(n)
	}
	switch {
	case suffix != 'l' && n.IsInt64() && n.Int64() == int64(int32(n.Int64())):
		return int32(n.Int64()), true
	case n.IsInt64():
		return n.Int64(), true
	case suffix == 'l':
		return nil, false
	case n.CmpAbs(maxDecimal) <= 0:
		return &Decimal{Unscaled: n}, true
	}
	f, _ := new(big.Float).SetInt(n).Float64()
	return f, !math.IsInf(f, 0)
}

// hexNumber reads two's complement: eight digits are an int, sixteen a long.
func hexNumber(s string, neg bool, mult int64, suffix byte) (any, bool) {
	u, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return nil, false
	}
	v := int64(u)
	if len(s) <= 8 && suffix != 'l' {
		v = int64(int32(uint32(u)))
	}
	n := big.NewInt(v)
	return integer(n, neg, mult, suffix)
}

func decimalNumber(s string, neg bool, mult int64) (any, bool) {
	mant, exp := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || e > 40 || e < -40 {
			return nil, false
		}
		mant, exp = s[:i], e
	}
	whole, frac, _ := strings.Cut(mant, ".")
	n, ok := new(big.Int).SetString(whole+frac, 10)
	if !ok {
		return nil, false
	}
	scale := len(frac) - exp
	for ; scale < 0; scale++ {
		n.Mul(n, big.NewInt(10))
	}
	n.Mul(n, big.NewInt(mult))
	if n.CmpAbs(maxDecimal) > 0 || scale > 28 {
		return nil, false
	}
	if neg {
		n.Neg(n)
	}
	return &Decimal{Unscaled: n, Scale: scale}, true
}
