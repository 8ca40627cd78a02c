package syntax

import (
	"strings"
	"unicode/utf8"
)

// startsExpression tells by the characters at pos whether a statement is an
// expression; otherwise it is a command.
func (p *parser) startsExpression() bool {
	r := p.peek()
	next := p.peekAt(p.pos + utf8.RuneLen(max(r, 0)))
	switch {
	case r == '$', r == '(', r == '{', r == '[', r == '!', r == ',', isSingle(r), isDouble(r):
		return true
	case r == '@':
		return true
	case isDash(r), r == '+':
		return true
	case isDigit(r), r == '.' && isDigit(next):
		end := p.numberEnd(p.pos)
		c := p.peekAt(end)
		if c == '`' {
			return isNewline(p.peekAt(end + 1))
		}
		return end > p.pos && (isWordEnd(c) || isDash(c) || strings.ContainsRune("[].+*/%=!<>#", c))
	}
	return false
}

// pipeline reads a pipeline or an assignment. block means that it is an
// assignment whose value ended with a block.
func (p *parser) pipeline() (s Stmt, block bool) {
	start := p.pos
	p.enter(start)
	defer p.leave()
	var pl Pipeline
	if p.startsExpression() {
		x := p.expression(false)
		p.skipBlanks()
		if op := p.assignOp(); op != "" {
			return p.assign(start, x, op)
		}
		e := &CommandExpr{X: x, Redirs: p.redirects()}
		e.Extent = p.from(start)
		pl.Elements = append(pl.Elements, e)
	} else {
		pl.Elements = append(pl.Elements, p.command())
	}
	for {
		p.skipBlanks()
		if p.peek() != '|' {
			break
		}
		if p.has("||") {
			p.unexpected()
		}
		p.pos++
		p.skipNewlines()
		if r := p.peek(); r == eof || p.endsStatement() || r == '|' {
			p.missing("EmptyPipeElement", "An empty pipe element is not allowed.")
		}
		if p.startsExpression() {
			p.fail(p.pos, p.tokenEnd(), "ExpressionsMustBeFirstInPipeline", "Expressions are only allowed as the first element of a pipeline.")
		}
		pl.Elements = append(pl.Elements, p.command())
	}
	if p.peek() == '&' {
		p.unexpected()
	}
	pl.Extent = p.from(start)
	return &pl, false
}

func (p *parser) assignOp() string {
	for _, op := range []string{"=", "+=", "-=", "*=", "/=", "%="} {
		if p.has(op) && !(op == "=" && p.has("==")) {
			p.pos += len(op)
			return op
		}
	}
	if r := p.peek(); r != '-' && isDash(r) && p.peekAt(p.pos+utf8.RuneLen(r)) == '=' {
		p.pos += utf8.RuneLen(r) + 1
		return "-="
	}
	if p.has("??=") {
		p.unexpected()
	}
	return ""
}

func (p *parser) assign(start int, target Expr, op string) (Stmt, bool) {
	if !assignable(target, true) {
		p.invalidTarget(target)
	}
	p.skipNewlines()
	if p.endsStatement() {
		p.missing("ExpectedValueExpression", "You must provide a value expression following the '"+op+"' operator.")
	}
	value, block := p.statement()
	s := &Assign{Target: target, Op: op, Value: value}
	s.Extent = p.from(start)
	return s, block
}

func (p *parser) invalidTarget(x Expr) {
	panic(&ParseError{Source: p.src, Extent: x.Span(), ID: "InvalidLeftHandSide",
		Text: "The assignment expression is not valid. The input to an assignment operator must be an object that is able to accept assignments, such as a variable or a property."})
}

func assignable(x Expr, list bool) bool {
	switch x := x.(type) {
	case *Variable, *Member, *Index:
		return true
	case *Cast:
		return assignable(x.X, false)
	case *Paren:
		// ($a, $b) = 1, 2
		if pl, ok := x.Stmt.(*Pipeline); ok && len(pl.Elements) == 1 {
			e, ok := pl.Elements[0].(*CommandExpr)
			return ok && len(e.Redirs) == 0 && assignable(e.X, true)
		}
	case *List:
		if !list || len(x.Items) < 2 {
			return false
		}
		for _, item := range x.Items {
			if !assignable(item, true) {
				return false
			}
		}
		return true
	}
	return false
}

// command reads one command with its arguments.
func (p *parser) command() *Command {
	start := p.pos
	p.enter(start)
	defer p.leave()
	c := &Command{}
	r := p.peek()
	next := p.peekAt(p.pos + 1)
	if r == '&' && next != '&' || r == '.' && (isWordEnd(next) && next != '&' && next != '|' || next == '$' || isSingle(next) || isDouble(next)) {
		c.Op = string(p.next())
		p.skipBlanks()
		if p.endsStatement() || p.peek() == '|' || p.peek() == '&' {
			p.fail(start, start+1, "MissingExpression", "Missing expression after '"+c.Op+"' in pipeline element.")
		}
		c.Name = p.argumentItem()
	} else {
		switch {
		case r == '|':
			p.fail(p.pos, p.pos+1, "EmptyPipeElement", "An empty pipe element is not allowed.")
		case isWordEnd(r), r == '<', r == '>', r == ']', r == '=':
			p.unexpected()
		}
		c.Name = p.word()
	}
	if c.Name == nil {
		p.unexpected()
	}
	if s, ok := c.Name.(*String); ok && s.Bare && s.Value == "" {
		p.fail(start, p.pos, "UnexpectedToken", "Unexpected token '' in expression or statement.")
	}
	p.arguments(c)
	c.Extent = p.from(start)
	return c
}

func (p *parser) arguments(c *Command) {
	noParams := false
	for {
		p.skipBlanks()
		start := p.pos
		r := p.peek()
		switch {
		case p.endsStatement(), r == '|':
			return
		case r == '&':
			p.unexpected()
		case r == ',':
			p.fail(p.pos, p.pos+1, "MissingArgument", "Missing argument in parameter list.")
		case p.redirectAhead():
			c.Redirs = append(c.Redirs, p.redirect())
			continue
		case isDash(r) && !noParams:
			if a, ok := p.parameter(); ok {
				if a.Stop {
					noParams = true
				}
				c.Args = append(c.Args, a)
				continue
			}
		case r == '@' && isVariable(p.peekAt(p.pos+1)):
			p.pos++
			v := p.variableName(start)
			v.Splat = true
			c.Args = append(c.Args, Arg{Extent: v.Extent, Value: v})
			continue
		}
		value := p.argument()
		if value == nil {
			p.unexpected()
		}
		c.Args = append(c.Args, Arg{Extent: p.ext(start, p.pos), Value: value})
	}
}

// parameter reads -name, -name:value, -- or --%; ok is false when the dash
// begins a plain argument.
func (p *parser) parameter() (a Arg, ok bool) {
	start := p.pos
	raw := p.rawWord()
	body := normalizeDash(raw)
	if second, n := utf8.DecodeRuneInString(body[1:]); isDash(second) {
		switch body[1+n:] {
		case "":
			p.pos += len(raw)
			return Arg{Extent: p.ext(start, p.pos), Stop: true}, true
		case "%":
			p.pos += len(raw)
			p.skipBlanks()
			from := p.pos
			for r := p.peek(); r != eof && r != '|' && !isNewline(r); r = p.peek() {
				p.next()
			}
			text := strings.TrimRight(p.text[from:p.pos], " \t")
			return Arg{Extent: p.ext(start, p.pos), Verbatim: true, Value: &String{Extent: p.ext(from, p.pos), Value: text, Bare: true}}, true
		}
	}
	r := p.peekAt(p.pos + utf8.RuneLen(p.peek()))
	if !isIdentStart(r) && r != '?' {
		return a, false
	}
	i := p.pos + utf8.RuneLen(p.peek())
	from := i
	for ; ; i += utf8.RuneLen(r) {
		r = p.peekAt(i)
		if isSingle(r) || isDouble(r) {
			return a, false
		}
		if isWordEnd(r) || r == '.' || r == '[' || r == ':' {
			break
		}
	}
	a.Param = p.text[from:i]
	p.pos = i
	if r == ':' {
		p.pos++
		p.skipBlanks()
		a.Colon = true
		if p.endsStatement() || p.peek() == '|' || p.peek() == '&' || p.peek() == ',' {
			p.missing("ParameterRequiresArgument", "The parameter -"+a.Param+" requires an argument.")
		}
		if a.Value = p.argument(); a.Value == nil {
			p.unexpected()
		}
	}
	a.Extent = p.ext(start, p.pos)
	return a, true
}

// argument reads one argument: an item or a comma list of items.
func (p *parser) argument() Expr {
	start := p.pos
	first := p.argumentItem()
	if first == nil {
		return nil
	}
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
		r := p.peek()
		if r == eof || p.endsStatement() || r == '|' || r == ',' || r == '&' {
			p.missing("MissingArgument", "Missing argument in parameter list.")
		}
		item := p.argumentItem()
		if item == nil {
			p.unexpected()
		}
		items = append(items, item)
	}
	if len(items) == 1 {
		return first
	}
	return &List{Extent: p.ext(start, p.pos), Items: items}
}

// argumentItem reads a word or a primary; nil when none begins at pos.
func (p *parser) argumentItem() Expr {
	p.enter(p.pos)
	defer p.leave()
	r := p.peek()
	switch {
	case r == '$':
		start := p.pos
		if p.has("$(") {
			return p.postfix(start, p.atom(), true)
		}
		v := p.variable()
		if v == nil {
			return p.word()
		}
		// What goes on without a break is a word that begins with the variable.
		if c := p.peek(); !isWordEnd(c) && c != '.' && c != '[' && !(c == '`' && isNewline(p.peekAt(p.pos+1))) {
			p.pos = start
			return p.word()
		}
		return p.postfix(start, v, true)
	case r == '(', r == '{', isSingle(r), isDouble(r):
		return p.postfix(p.pos, p.atom(), true)
	case r == '@':
		if next := p.peekAt(p.pos + 1); next == '(' || next == '{' || isSingle(next) || isDouble(next) {
			return p.postfix(p.pos, p.atom(), true)
		}
		if isVariable(p.peekAt(p.pos + 1)) {
			p.fail(p.pos, p.tokenEnd(), "SplattingNotPermitted", "The splatting operator '@' cannot be used to reference variables in an expression. '"+p.text[p.pos:p.tokenEnd()]+"' can be used only as an argument to a command.")
		}
		p.fail(p.pos, p.pos+1, "UnrecognizedToken", "Unrecognized token in source text.")
	case isWordEnd(r):
		return nil
	case r == '<':
		p.unexpected()
	}
	return p.word()
}

// redirectAhead reports whether a redirection begins at pos.
func (p *parser) redirectAhead() bool {
	r := p.peek()
	return r == '>' || (r >= '1' && r <= '6' || r == '*') && p.peekAt(p.pos+1) == '>'
}

func (p *parser) redirects() []*Redirect {
	var list []*Redirect
	for p.skipBlanks(); p.redirectAhead(); p.skipBlanks() {
		list = append(list, p.redirect())
	}
	return list
}

func (p *parser) redirect() *Redirect {
	start := p.pos
	r := &Redirect{From: 1}
	if c := p.next(); c != '>' {
		r.From = 0
		if c != '*' {
			r.From = int(c - '0')
		}
		p.next()
	}
	switch {
	case p.peek() == '>':
		p.pos++
		r.Append = true
	case p.peek() == '&':
		p.pos++
		to := p.next()
		if to != '1' || r.From == 1 {
			p.fail(start, p.pos, "RedirectionNotSupported", "The '"+p.text[start:p.pos]+"' operator is reserved for future use.")
		}
		r.Merge = true
		r.Extent = p.ext(start, p.pos)
		return r
	}
	p.skipBlanks()
	if r.Target = p.argumentItem(); r.Target == nil {
		p.missing("MissingFileSpecification", "Missing file specification after redirection operator.")
	}
	r.Extent = p.ext(start, p.pos)
	return r
}
