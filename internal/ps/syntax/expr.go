package syntax

import (
	"strings"
	"unicode/utf8"
)

// Ranks of the binary operators; a higher one binds tighter.
const (
	rankLogical = iota + 1
	rankBitwise
	rankComparison
	rankAdditive
	rankMultiplicative
	rankFormat
	rankRange
	rankComma
)

var dashOps = map[string]int{
	"and": rankLogical, "or": rankLogical, "xor": rankLogical,
	"band": rankBitwise, "bor": rankBitwise, "bxor": rankBitwise,
	"is": rankComparison, "isnot": rankComparison, "as": rankComparison, "shl": rankComparison, "shr": rankComparison, "join": rankComparison,
	"f": rankFormat,
}

// caseOps also exist with a c or an i in front.
var caseOps = map[string]bool{
	"eq": true, "ne": true, "gt": true, "ge": true, "lt": true, "le": true, "like": true, "notlike": true, "match": true, "notmatch": true,
	"contains": true, "notcontains": true, "in": true, "notin": true, "replace": true, "split": true,
}

// dashWord returns the lower-case name behind a dash at pos, and its length
// with the dash; "" when there is none.
func (p *parser) dashWord() (name string, n int) {
	r := p.peek()
	if !isDash(r) {
		return "", 0
	}
	i := p.pos + utf8.RuneLen(r)
	from := i
	for ; i < len(p.text) && (p.text[i]|0x20 >= 'a' && p.text[i]|0x20 <= 'z'); i++ {
	}
	if isIdent(p.peekAt(i)) {
		return "", 0
	}
	return strings.ToLower(p.text[from:i]), i - p.pos
}

// binaryOp returns the operator at pos, its rank and length; rank 0 for none.
func (p *parser) binaryOp() (op string, rank, n int) {
	r := p.peek()
	next := p.peekAt(p.pos + 1)
	switch {
	case isDash(r):
		name, n := p.dashWord()
		if name == "" {
			w := utf8.RuneLen(r)
			if c := p.peekAt(p.pos + w); c == '=' || isDash(c) {
				return "", 0, 0
			}
			return "-", rankAdditive, w
		}
		if rank := dashOps[name]; rank > 0 {
			return "-" + name, rank, n
		}
		if caseOps[name] {
			return "-" + name, rankComparison, n
		}
		if caseOps[name[1:]] {
			switch name[0] {
			case 'i':
				return "-" + name[1:], rankComparison, n
			case 'c':
				return "-" + name, rankComparison, n
			}
		}
		return "-", rankAdditive, utf8.RuneLen(r)
	case next == '=' && strings.ContainsRune("+*/%", r):
	case r == '+' && next != '+':
		return "+", rankAdditive, 1
	case r == '*' && next != '>', r == '/', r == '%':
		return string(r), rankMultiplicative, 1
	case r == '.' && next == '.':
		return "..", rankRange, 2
	}
	return "", 0, 0
}

// expression reads an expression. noComma is set where commas separate
// arguments.
func (p *parser) expression(noComma bool) Expr {
	p.skipBlanks()
	return p.binary(rankLogical, noComma)
}

func (p *parser) binary(min int, noComma bool) Expr {
	p.enter(p.pos)
	defer p.leave()
	start := p.pos
	var x Expr
	if noComma {
		x = p.unary()
	} else {
		x = p.list()
	}
	for chain := 0; ; chain++ {
		back := p.pos
		p.skipBlanks()
		op, rank, n := p.binaryOp()
		if rank < min || rank == 0 {
			p.pos = back
			return x
		}
		if chain > maxChain {
			p.fail(p.pos, p.pos+n, "ScriptTooComplicated", "The expression has too many operators.")
		}
		at := p.pos
		p.pos += n
		p.skipNewlines()
		if !p.operandAhead() {
			p.missing("ExpectedValueExpression", "You must provide a value expression following the '"+p.text[at:at+n]+"' operator.")
		}
		// The right side of a noComma expression still has no comma list.
		y := p.binary(rank+1, noComma)
		x = &Binary{Extent: p.ext(start, p.pos), Op: op, OpPos: p.ext(at, at+n), X: x, Y: y}
	}
}

// operandAhead reports whether an operand can begin at pos.
func (p *parser) operandAhead() bool {
	r := p.peek()
	switch {
	case isSingle(r), isDouble(r), isDigit(r), r == '$', r == '(', r == '{', r == '[', r == '!', r == ',', r == '@':
		return true
	case r == '.':
		return isDigit(p.peekAt(p.pos + 1))
	case r == '+':
		return true
	case isDash(r):
		name, _ := p.dashWord()
		return name == "" || unaryWords[name] != ""
	}
	return false
}

var unaryWords = map[string]string{"not": "-not", "bnot": "-bnot", "split": "-split", "isplit": "-split", "csplit": "-csplit", "join": "-join"}

// list reads unary operands joined by commas.
func (p *parser) list() Expr {
	start := p.pos
	first := p.unary()
	items := []Expr{first}
	for {
		back := p.pos
		p.skipBlanks()
		if p.peek() != ',' {
			p.pos = back
			break
		}
		p.pos++
		p.skipNewlines()
		if !p.operandAhead() {
			p.missing("MissingExpressionAfterToken", "Missing expression after ','.")
		}
		items = append(items, p.unary())
	}
	if len(items) == 1 {
		return first
	}
	return &List{Extent: p.ext(start, p.pos), Items: items}
}

func (p *parser) unary() Expr {
	start := p.pos
	p.enter(start)
	defer p.leave()
	r := p.peek()
	w := utf8.RuneLen(max(r, 0))
	next := p.peekAt(p.pos + w)
	operand := func(op string, n int) Expr {
		p.pos += n
		p.skipNewlines()
		if !p.operandAhead() {
			p.missing("MissingExpressionAfterOperator", "Missing expression after unary operator '"+op+"'.")
		}
		x := p.unary()
		if op == "++" || op == "--" {
			if !assignable(x, false) {
				p.invalidTarget(x)
			}
		}
		return &Unary{Extent: p.ext(start, p.pos), Op: op, X: x}
	}
	switch {
	case r == ',':
		p.pos++
		p.skipNewlines()
		if !p.operandAhead() {
			p.missing("MissingExpressionAfterOperator", "Missing expression after unary operator ','.")
		}
		x := p.unary()
		return &List{Extent: p.ext(start, p.pos), Items: []Expr{x}}
	case r == '!':
		return operand("!", 1)
	case r == '+' && next == '+':
		return operand("++", 2)
	case r == '+':
		return operand("+", 1)
	case isDash(r):
		if name, n := p.dashWord(); name != "" {
			if op := unaryWords[name]; op != "" {
				return operand(op, n)
			}
			return operand("-", w)
		}
		if isDash(next) {
			return operand("--", w+utf8.RuneLen(next))
		}
		if isDigit(next) || next == '.' && isDigit(p.peekAt(p.pos+w+1)) {
			return p.number(start)
		}
		return operand("-", w)
	case r == '[':
		if p.attributeAhead() {
			p.unsupported(start, p.tokenEnd(), "An attribute on a variable or expression")
		}
		t := p.typeLiteral()
		if p.has("::") {
			return p.incDec(start, p.postfix(start, &TypeLit{Extent: p.ext(start, p.pos), Type: t}, false))
		}
		back := p.pos
		p.skipBlanks()
		if p.peek() != ',' && p.operandAhead() {
			x := p.unary()
			return &Cast{Extent: p.ext(start, p.pos), Type: t, X: x}
		}
		p.pos = back
		return p.postfix(start, &TypeLit{Extent: p.ext(start, p.pos), Type: t}, false)
	case isDigit(r), r == '.' && isDigit(next):
		return p.number(start)
	}
	if !p.operandAhead() {
		p.unexpected()
	}
	return p.incDec(start, p.postfix(start, p.atom(), false))
}

// incDec reads a ++ or -- behind an operand.
func (p *parser) incDec(start int, x Expr) Expr {
	back := p.pos
	p.skipBlanks()
	op, n := "", 0
	if r := p.peek(); r == '+' && p.has("++") {
		op, n = "++", 2
	} else if isDash(r) {
		w := utf8.RuneLen(r)
		if c := p.peekAt(p.pos + w); isDash(c) {
			op, n = "--", w+utf8.RuneLen(c)
		}
	}
	if op == "" {
		p.pos = back
		return x
	}
	if !assignable(x, false) {
		p.invalidTarget(x)
	}
	p.pos += n
	return &Unary{Extent: p.ext(start, p.pos), Op: op, Postfix: true, X: x}
}

// number reads a number of expression mode, a dash in front included.
func (p *parser) number(start int) Expr {
	i := p.pos
	if r := p.peek(); isDash(r) {
		i += utf8.RuneLen(r)
	}
	end := p.numberEnd(i)
	raw := p.text[start:end]
	v, ok := parseNumber(raw)
	if !ok || isIdent(p.peekAt(end)) {
		p.fail(start, p.tokenEnd(), "BadNumericConstant", "The numeric constant "+p.text[start:max(end, p.tokenEnd())]+" is not valid.")
	}
	p.pos = end
	return p.postfix(start, &Number{Extent: p.ext(start, end), Text: normalizeDash(raw), Value: v}, false)
}

// atom reads what a primary begins with.
func (p *parser) atom() Expr {
	start := p.pos
	r := p.peek()
	next := p.peekAt(p.pos + 1)
	switch {
	case r == '$' && next == '(':
		p.pos += 2
		body := p.subStatements(start, "MissingEndParenthesisInSubexpression", "Missing closing ')' in subexpression.")
		return &Sub{Extent: p.ext(start, p.pos), Body: body}
	case r == '$':
		if v := p.variable(); v != nil {
			return v
		}
	case r == '(':
		p.pos++
		p.skipNewlines()
		if p.peek() == ')' {
			p.fail(p.pos, p.pos+1, "ExpectedExpression", "An expression was expected after '('.")
		}
		if p.pos >= len(p.text) {
			p.missing("ExpectedExpression", "An expression was expected after '('.")
		}
		s, _ := p.pipeline()
		p.skipNewlines()
		if p.peek() != ')' {
			p.unclosed(start, "MissingEndParenthesisInExpression", "Missing closing ')' in expression.")
		}
		p.pos++
		return &Paren{Extent: p.ext(start, p.pos), Stmt: s}
	case r == '@' && next == '(':
		p.pos += 2
		body := p.subStatements(start, "MissingEndParenthesisInExpression", "Missing closing ')' in expression.")
		return &Array{Extent: p.ext(start, p.pos), Body: body}
	case r == '@' && next == '{':
		return p.hash()
	case r == '@' && (isSingle(next) || isDouble(next)):
		return p.hereString()
	case r == '@' && isVariable(next):
		end := p.tokenEnd()
		p.fail(start, end, "SplattingNotPermitted", "The splatting operator '@' cannot be used to reference variables in an expression. '"+p.text[start:end]+"' can be used only as an argument to a command.")
	case isSingle(r), isDouble(r):
		return p.quoted()
	case r == '{':
		p.pos++
		s := p.script()
		p.closeBrace(start)
		return &Block{Extent: p.ext(start, p.pos), Script: s}
	}
	p.unexpected()
	return nil
}

// subStatements reads statements up to the closing parenthesis.
func (p *parser) subStatements(open int, id, text string) *Body {
	start := p.pos
	b := &Body{Stmts: p.statements()}
	b.Extent = p.ext(start, p.pos)
	if p.peek() != ')' {
		p.unclosed(open, id, text)
	}
	p.pos++
	return b
}

func (p *parser) hash() Expr {
	start := p.pos
	p.pos += 2
	h := &Hash{}
	seen := map[string]bool{}
	for p.skipSeparators(); p.peek() != '}'; p.skipSeparators() {
		if p.pos >= len(p.text) {
			p.unclosed(start, "IncompleteHashLiteral", "The hash literal was incomplete.")
		}
		at := p.pos
		var key Expr
		if isIdentStart(p.peek()) {
			name := p.ident()
			p.pos += len(name)
			key = &String{Extent: p.ext(at, p.pos), Value: name, Bare: true}
		} else if p.operandAhead() {
			key = p.unary()
		} else {
			p.fail(at, p.tokenEnd(), "InvalidKeyInHashLiteral", "Missing key in the hash literal.")
		}
		if s, ok := key.(*String); ok {
			k := strings.ToLower(s.Value)
			if seen[k] {
				panic(&ParseError{Source: p.src, Extent: key.Span(), ID: "DuplicateKeyInHashLiteral", Text: "Duplicate keys '" + s.Value + "' are not allowed in hash literals."})
			}
			seen[k] = true
		}
		p.skipBlanks()
		if p.peek() != '=' {
			p.missing("MissingEqualsInHashLiteral", "Missing '=' operator after key in hash literal.")
		}
		p.pos++
		p.skipNewlines()
		if p.endsStatement() {
			p.missing("MissingStatementInHashLiteral", "Missing statement after '=' in hash literal.")
		}
		value, block := p.statement()
		h.Pairs = append(h.Pairs, HashPair{key, value})
		p.skipBlanks()
		if !block && !p.endsStatement() {
			p.unexpected()
		}
		if p.peek() == ')' {
			p.unexpected()
		}
	}
	p.pos++
	h.Extent = p.ext(start, p.pos)
	return h
}

// postfix reads the members, calls and indexes that follow x without a blank.
func (p *parser) postfix(start int, x Expr, command bool) Expr {
	for chain := 0; ; chain++ {
		if chain > maxChain {
			p.fail(p.pos, p.pos+1, "ScriptTooComplicated", "The expression has too many members.")
		}
		r := p.peek()
		next := p.peekAt(p.pos + 1)
		static := r == ':' && next == ':'
		switch {
		case static, r == '.' && next != '.':
			at := p.pos
			p.pos++
			if static {
				p.pos++
			}
			if !command {
				p.skipNewlines()
			}
			x = p.member(start, at, x, static)
		case r == '[':
			at := p.pos
			p.pos++
			p.skipNewlines()
			if p.peek() == ']' {
				p.fail(p.pos, p.pos+1, "MissingArrayIndexExpression", "Array index expression is missing or not valid.")
			}
			i := p.expression(false)
			p.skipNewlines()
			if p.peek() != ']' {
				p.unclosed(at, "MissingEndSquareBracket", "Missing ] at end of array index expression.")
			}
			p.pos++
			x = &Index{Extent: p.ext(start, p.pos), X: x, I: i}
		case r == '?' && next == '.' || r == '?' && next == '[':
			p.unexpected()
		default:
			return x
		}
	}
}

func (p *parser) member(start, op int, x Expr, static bool) Expr {
	at := p.pos
	r := p.peek()
	var name Expr
	if _, number := x.(*Number); number && isDigit(r) {
		p.fail(op, p.pos, "MissingPropertyName", "Missing property name after reference operator.")
	}
	switch {
	case isIdent(r):
		n := p.ident()
		p.pos += len(n)
		name = &String{Extent: p.ext(at, p.pos), Value: n, Bare: true}
	case r == '$', r == '(', isSingle(r), isDouble(r):
		name = p.atom()
	default:
		if p.pos < len(p.text) {
			p.fail(op, p.pos, "MissingPropertyName", "Missing property name after reference operator.")
		}
		p.missing("MissingPropertyName", "Missing property name after reference operator.")
	}
	switch p.peek() {
	case '(':
		call := &Invoke{X: x, Name: name, Static: static}
		call.Args = p.methodArgs()
		call.Extent = p.ext(start, p.pos)
		return call
	case '{':
		call := &Invoke{X: x, Name: name, Static: static, Args: []Expr{p.atom()}}
		call.Extent = p.ext(start, p.pos)
		return call
	}
	return &Member{Extent: p.ext(start, p.pos), X: x, Name: name, Static: static}
}

func (p *parser) methodArgs() []Expr {
	open := p.pos
	p.pos++
	args := []Expr{}
	for p.skipNewlines(); p.peek() != ')'; p.skipNewlines() {
		if len(args) > 0 {
			if p.peek() != ',' {
				p.unclosed(open, "MissingEndParenthesisInMethodCall", "Missing ')' in method call.")
			}
			p.pos++
			p.skipNewlines()
		}
		if !p.operandAhead() {
			if p.pos >= len(p.text) {
				p.unclosed(open, "MissingEndParenthesisInMethodCall", "Missing ')' in method call.")
			}
			if len(args) > 0 {
				p.missing("MissingExpressionAfterToken", "Missing expression after ','.")
			}
			p.unexpected()
		}
		args = append(args, p.expression(true))
	}
	p.pos++
	return args
}

// typeLiteral reads [Name], [Name[]], [Name[A,B]].
func (p *parser) typeLiteral() *TypeName {
	start := p.pos
	p.pos++
	t := p.typeName()
	p.skipBlanks()
	if p.peek() != ']' {
		if p.pos < len(p.text) && p.peek() == ',' {
			p.unsupported(start, p.pos, "A type name with an assembly")
		}
		p.unclosed(start, "EndSquareBracketExpectedAtEndOfType", "Missing ] at end of type token.")
	}
	p.pos++
	t.Extent = p.ext(start, p.pos)
	return t
}

func (p *parser) typeName() *TypeName {
	start := p.pos
	p.enter(start)
	defer p.leave()
	p.skipBlanks()
	at := p.pos
	for r := p.peek(); isIdent(r) || p.pos > at && (r == '.' || r == '+' || r == '`' || r == '-'); r = p.peek() {
		p.next()
	}
	if p.pos == at {
		p.missing("MissingTypename", "Missing type name after '['.")
	}
	t := &TypeName{Name: strings.TrimRight(p.text[at:p.pos], ".+`-")}
	if len(t.Name) != p.pos-at {
		p.fail(at, p.pos, "MissingTypename", "The type name '"+p.text[at:p.pos]+"' is not valid.")
	}
	for p.peek() == '[' {
		p.pos++
		p.skipBlanks()
		if r := p.peek(); r == ']' || r == ',' {
			rank := 1
			for ; p.peek() == ','; rank++ {
				p.pos++
				p.skipBlanks()
			}
			if p.peek() != ']' {
				p.unclosed(start, "EndSquareBracketExpectedAtEndOfType", "Missing ] at end of type token.")
			}
			p.pos++
			t.Ranks = append(t.Ranks, rank)
			continue
		}
		if len(t.Args) > 0 || len(t.Ranks) > 0 {
			p.fail(p.pos, p.pos+1, "MissingTypename", "The type name is not valid.")
		}
		for {
			var a *TypeName
			if p.peek() == '[' {
				a = p.typeLiteral()
			} else {
				a = p.typeName()
			}
			t.Args = append(t.Args, a)
			p.skipBlanks()
			if p.peek() != ',' {
				break
			}
			p.pos++
			p.skipBlanks()
		}
		if p.peek() != ']' {
			p.unclosed(start, "EndSquareBracketExpectedAtEndOfType", "Missing ] at end of type token.")
		}
		p.pos++
	}
	t.Extent = p.ext(start, p.pos)
	return t
}
