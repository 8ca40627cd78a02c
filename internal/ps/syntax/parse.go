package syntax

import (
	"strings"
	"unicode/utf8"
)

// Parse reads a whole script. name is the file it came from, "" for typed
// input. The error is a *ParseError or ErrTooLarge.
func Parse(name, text string) (script *Script, err error) {
	if len(text) > MaxSource {
		return nil, ErrTooLarge
	}
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	text = strings.TrimPrefix(text, "\uFEFF")
	p := &parser{src: &Source{Name: name, Text: text}, text: text, count: new(int)}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*ParseError)
			if !ok {
				panic(r)
			}
			script, err = nil, e
		}
	}()
	p.usings()
	script = p.script()
	if p.pos < len(p.text) {
		p.unexpected()
	}
	return script, nil
}

// usings skips "using namespace" lines: type names are found by their short
// names here anyway. The other kinds load code, which this shell does not do.
func (p *parser) usings() {
	for {
		p.skipSeparators()
		start := p.pos
		if !strings.EqualFold(p.rawWord(), "using") {
			return
		}
		p.pos += len("using")
		p.skipBlanks()
		if kind := p.rawWord(); !strings.EqualFold(kind, "namespace") {
			p.unsupported(start, p.pos+len(kind), "The statement 'using "+kind+"'")
		}
		p.word()
		p.skipBlanks()
		p.word()
		p.skipBlanks()
		if !p.endsStatement() {
			p.unexpected()
		}
	}
}

// script reads a script up to its end or a closing brace.
func (p *parser) script() *Script {
	start := p.pos
	s := &Script{Source: p.src}
	p.enter(start)
	p.paramBlock(s)
	p.skipSeparators()
	if w := strings.ToLower(p.rawWord()); isBlockName(w) {
		p.namedBlocks(s)
	} else {
		at := p.pos
		s.End = &Body{Stmts: p.statements()}
		s.End.Extent = p.from(at)
	}
	p.leave()
	s.Extent = p.ext(start, p.pos)
	s.Text = p.text[start:p.pos]
	return s
}

func isBlockName(w string) bool {
	return w == "begin" || w == "process" || w == "end" || w == "dynamicparam" || w == "clean"
}

func (p *parser) namedBlocks(s *Script) {
	s.Named = true
	for {
		p.skipSeparators()
		start := p.pos
		w := strings.ToLower(p.rawWord())
		if !isBlockName(w) {
			if p.pos < len(p.text) && p.peek() != '}' && p.peek() != ')' {
				p.unexpected()
			}
			return
		}
		p.pos += len(w)
		var to **Body
		switch w {
		case "begin":
			to = &s.Begin
		case "process":
			to = &s.Process
		case "end":
			to = &s.End
		default:
			p.unsupported(start, p.pos, "The block '"+w+"'")
		}
		if *to != nil {
			p.fail(start, p.pos, "DuplicateScriptCommandClause", "Script command clause '"+w+"' has already been defined.")
		}
		*to = p.block("MissingNamedStatementBlock", "Missing statement block after '"+w+"'.")
	}
}

// paramBlock reads the attributes and the param( ) at the start of a script,
// when they are there.
func (p *parser) paramBlock(s *Script) {
	p.skipSeparators()
	for p.peek() == '[' && p.attributeAhead() {
		s.Attributes = append(s.Attributes, p.attribute())
		p.skipNewlines()
	}
	if !strings.EqualFold(p.rawWord(), "param") {
		if len(s.Attributes) > 0 {
			a := s.Attributes[0]
			panic(&ParseError{Source: p.src, Extent: a.Extent, ID: "UnexpectedAttribute", Text: "Unexpected attribute '" + a.Name + "'.", Incomplete: p.pos >= len(p.text)})
		}
		return
	}
	p.pos += len("param")
	p.skipNewlines()
	if p.peek() != '(' {
		p.missing("MissingOpenParenthesisInParameterList", "Missing '(' after 'param' in parameter list.")
	}
	s.HasParams = true
	s.Params = p.params()
}

// attributeAhead tells [Name( from a type literal without reading it.
func (p *parser) attributeAhead() bool {
	i := p.pos + 1
	skip := func() {
		for isBlank(p.peekAt(i)) {
			i += utf8.RuneLen(p.peekAt(i))
		}
	}
	skip()
	from := i
	for r := p.peekAt(i); isIdent(r) || r == '.'; r = p.peekAt(i) {
		i += utf8.RuneLen(r)
	}
	if i == from {
		return false
	}
	skip()
	return p.peekAt(i) == '('
}

func (p *parser) attribute() *Attribute {
	start := p.pos
	p.pos++
	p.skipBlanks()
	a := &Attribute{}
	for isIdent(p.peek()) || p.peek() == '.' {
		a.Name += string(p.next())
	}
	p.skipBlanks()
	p.pos++ // (
	p.skipNewlines()
	for p.peek() != ')' {
		a.Args = append(a.Args, p.attrArg())
		p.skipNewlines()
		if p.peek() != ',' {
			break
		}
		p.pos++
		p.skipNewlines()
		if p.peek() == ')' {
			p.missing("MissingExpressionAfterToken", "Missing expression after ','.")
		}
	}
	p.expect(')', "MissingEndParenthesisInExpression", "Missing closing ')' in expression.")
	p.skipBlanks()
	p.expect(']', "EndSquareBracketExpectedAtEndOfAttribute", "Missing ] at end of attribute or type literal.")
	a.Extent = p.ext(start, p.pos)
	return a
}

func (p *parser) attrArg() AttrArg {
	if isIdentStart(p.peek()) {
		name := p.ident()
		p.pos += len(name)
		p.skipBlanks()
		if p.peek() != '=' {
			return AttrArg{Name: name}
		}
		p.pos++
		p.skipNewlines()
		return AttrArg{Name: name, Value: p.expression(true)}
	}
	return AttrArg{Value: p.expression(true)}
}

func (p *parser) expect(r rune, id, text string) {
	if p.peek() != r {
		p.missing(id, text)
	}
	p.next()
}

// params reads ( param, … ).
func (p *parser) params() []*Param {
	p.pos++
	var list []*Param
	seen := map[string]bool{}
	for p.skipNewlines(); p.peek() != ')'; p.skipNewlines() {
		if len(list) > 0 {
			if p.peek() != ',' {
				p.missing("MissingEndParenthesisInFunctionParameterList", "Missing ')' in function parameter list.")
			}
			p.pos++
			p.skipNewlines()
		}
		q := p.param()
		if key := strings.ToLower(q.Name); seen[key] {
			panic(&ParseError{Source: p.src, Extent: q.Extent, ID: "DuplicateFormalParameter", Text: "Duplicate parameter $" + q.Name + " in parameter list."})
		} else {
			seen[key] = true
		}
		list = append(list, q)
	}
	p.pos++
	return list
}

func (p *parser) param() *Param {
	start := p.pos
	q := &Param{}
	for p.peek() == '[' {
		if p.attributeAhead() {
			q.Attributes = append(q.Attributes, p.attribute())
		} else {
			q.Type = p.typeLiteral()
		}
		p.skipNewlines()
	}
	at := p.pos
	if p.peek() != '$' {
		p.missing("MissingEndParenthesisInFunctionParameterList", "Missing ')' in function parameter list.")
	}
	v := p.variable()
	// A scope in front of the name is read over: a parameter is always local.
	if v == nil {
		p.fail(at, p.tokenEnd(), "InvalidFunctionParameter", "The parameter name is not valid.")
	}
	q.Name = v.Name
	q.Extent = p.ext(start, p.pos)
	p.skipNewlines()
	if p.peek() == '=' {
		p.pos++
		p.skipNewlines()
		q.Default = p.expression(true)
		q.Extent = p.ext(start, p.pos)
	}
	return q
}

// statements reads statements up to the end, or to a bracket that it leaves.
func (p *parser) statements() []Stmt {
	list := []Stmt{}
	for {
		p.skipSeparators()
		if p.endsStatement() {
			return list
		}
		s, block := p.statement()
		list = append(list, s)
		p.skipBlanks()
		if !block && !p.endsStatement() {
			p.unexpected()
		}
	}
}

// block reads { statements }.
func (p *parser) block(id, text string) *Body {
	p.skipNewlines()
	start := p.pos
	if p.peek() != '{' {
		p.missing(id, text)
	}
	p.pos++
	b := &Body{Stmts: p.statements()}
	p.closeBrace(start)
	b.Extent = p.ext(start, p.pos)
	return b
}

func (p *parser) closeBrace(open int) {
	if p.peek() == '}' {
		p.pos++
		return
	}
	if p.pos < len(p.text) {
		p.unexpected()
	}
	panic(&ParseError{Source: p.src, Extent: p.ext(open, open+1), ID: "MissingEndCurlyBrace", Text: "Missing closing '}' in statement block or type definition.", Incomplete: true})
}

// reserved words begin statements that the subset leaves out or that stand
// nowhere by themselves.
var reserved = map[string]string{
	"class": "class", "enum": "enum", "workflow": "workflow", "data": "data", "using": "using", "configuration": "configuration",
	"inlinescript": "inlinescript", "parallel": "parallel", "sequence": "sequence",
	"from": "", "define": "", "var": "",
	"begin": "", "process": "", "end": "", "dynamicparam": "", "param": "", "else": "", "elseif": "", "catch": "", "finally": "", "until": "", "in": "",
}

// statement reads one statement. block means that it ended with a block, after
// which no separator is needed.
func (p *parser) statement() (s Stmt, block bool) {
	start := p.pos
	if *p.count++; *p.count > maxStatements {
		p.fail(start, start+1, "ScriptTooComplicated", "The script has too many statements.")
	}
	p.enter(start)
	defer p.leave()
	label := ""
	if p.peek() == ':' && isIdentStart(p.peekAt(p.pos+1)) {
		p.pos++
		label = p.ident()
		p.pos += len(label)
		p.skipNewlines()
	}
	word := strings.ToLower(p.rawWord())
	switch word {
	case "foreach", "for", "while", "do", "switch":
		p.pos += len(word)
		switch word {
		case "foreach":
			s = p.forEach(start, label)
		case "for":
			s = p.forLoop(start, label)
		case "while":
			s = p.while(start, label)
		case "do":
			// The condition of do ends with a bracket, not with a block.
			return p.do(start, label), false
		case "switch":
			s = p.switchStmt(start, label)
		}
		return s, true
	}
	if label != "" {
		p.fail(start, p.pos, "UnexpectedToken", "Unexpected token ':"+label+"' in expression or statement.")
	}
	switch word {
	case "if":
		p.pos += len(word)
		return p.ifStmt(start), true
	case "try":
		p.pos += len(word)
		return p.try(start), true
	case "trap":
		p.pos += len(word)
		p.skipNewlines()
		t := &Trap{}
		if p.peek() == '[' {
			t.Type = p.typeLiteral()
		}
		t.Body = p.block("MissingTrapStatement", "Missing statement block after 'trap'.")
		t.Extent = p.ext(start, p.pos)
		return t, true
	case "function", "filter":
		p.pos += len(word)
		return p.function(start, word == "filter"), true
	case "break", "continue", "return", "throw", "exit":
		p.pos += len(word)
		return p.flow(start, word), false
	}
	if what, ok := reserved[word]; ok {
		end := p.pos + len(word)
		if what != "" {
			p.unsupported(start, end, "The keyword '"+what+"'")
		}
		if word == "from" || word == "define" || word == "var" {
			p.fail(start, end, "ReservedKeywordNotAllowed", "The '"+word+"' keyword is not supported in this version of the language.")
		}
		p.fail(start, end, "UnexpectedToken", "Unexpected token '"+p.text[start:end]+"' in expression or statement.")
	}
	return p.pipeline()
}

// condition reads ( pipeline ).
func (p *parser) condition(after string) Stmt {
	p.skipNewlines()
	if p.peek() != '(' {
		p.missing("MissingOpenParenthesisInIfStatement", "Missing '(' after '"+after+"' in "+after+" statement.")
	}
	open := p.pos
	p.pos++
	p.skipNewlines()
	if p.peek() == ')' {
		p.missing("IfStatementMissingCondition", "Missing condition in "+after+" statement after '"+after+" ('.")
	}
	s, _ := p.pipeline()
	p.skipNewlines()
	if p.peek() != ')' {
		p.unclosed(open, "MissingEndParenthesisAfterStatement", "Missing closing ')' after expression in '"+after+"' statement.")
	}
	p.pos++
	return s
}

// unclosed reports a bracket that is not closed, or what stands in its way.
func (p *parser) unclosed(open int, id, text string) {
	at := p.pos
	if p.pos >= len(p.text) {
		at = open
	}
	panic(&ParseError{Source: p.src, Extent: p.ext(at, at+1), ID: id, Text: text, Incomplete: p.pos >= len(p.text)})
}

func (p *parser) ifStmt(start int) Stmt {
	s := &If{}
	word := "if"
	for {
		c := IfClause{Cond: p.condition(word)}
		c.Body = p.block("MissingStatementBlock", "Missing statement block after "+word+" ( condition ).")
		s.Clauses = append(s.Clauses, c)
		word = p.lookahead("elseif", "else")
		if word == "else" {
			s.Else = p.block("MissingStatementBlockAfterElse", "Missing statement block after 'else' keyword.")
		}
		if word != "elseif" {
			s.Extent = p.ext(start, p.pos)
			return s
		}
	}
}

// lookahead looks over newlines for one of the words and reads it. When none
// is there it steps back and returns "".
func (p *parser) lookahead(words ...string) string {
	back := p.pos
	p.skipNewlines()
	w := p.rawWord()
	// A type may follow catch without a blank.
	if i := strings.IndexByte(w, '['); i > 0 {
		w = w[:i]
	}
	for _, word := range words {
		if strings.EqualFold(w, word) {
			p.pos += len(word)
			return word
		}
	}
	p.pos = back
	return ""
}

func (p *parser) forEach(start int, label string) Stmt {
	p.skipBlanks()
	p.noFlags("foreach")
	p.skipNewlines()
	open := p.pos
	p.expect('(', "MissingOpenParenthesisAfterKeyword", "Missing opening '(' after keyword 'foreach'.")
	p.skipNewlines()
	var v *Variable
	if p.peek() == '$' {
		v = p.variable()
	}
	if v == nil {
		p.missing("MissingVariableNameAfterForeach", "Missing variable name after foreach.")
	}
	p.skipNewlines()
	if !strings.EqualFold(p.rawWord(), "in") {
		p.missing("MissingInInForeach", "Missing 'in' after variable in foreach loop.")
	}
	p.pos += len("in")
	p.skipNewlines()
	if p.peek() == ')' {
		p.missing("MissingForeachExpression", "Missing expression after 'in' in foreach loop.")
	}
	in, _ := p.pipeline()
	p.skipNewlines()
	if p.peek() != ')' {
		p.unclosed(open, "MissingEndParenthesisAfterForeach", "Missing closing ')' after expression in foreach loop.")
	}
	p.pos++
	s := &ForEach{Label: label, Var: v, In: in, Body: p.block("MissingForeachStatement", "Missing statement body in foreach loop.")}
	s.Extent = p.ext(start, p.pos)
	return s
}

// noFlags refuses -Parallel and the like.
func (p *parser) noFlags(word string) {
	if isDash(p.peek()) {
		p.unsupported(p.pos, p.tokenEnd(), "The flag '"+p.rawWord()+"' of '"+word+"'")
	}
}

func (p *parser) forLoop(start int, label string) Stmt {
	s := &For{Label: label}
	p.skipNewlines()
	open := p.pos
	p.expect('(', "MissingOpenParenthesisAfterKeyword", "Missing opening '(' after keyword 'for'.")
	part := func() Stmt {
		p.skipNewlines()
		if p.peek() == ';' || p.peek() == ')' {
			return nil
		}
		st, _ := p.pipeline()
		p.skipBlanks()
		return st
	}
	sep := func() bool {
		p.skipNewlines()
		if p.peek() != ';' {
			return false
		}
		p.pos++
		return true
	}
	s.Init = part()
	// A newline separates the parts as well as a semicolon does.
	if sep() || p.peek() != ')' && s.Init != nil {
		s.Cond = part()
		if sep() || p.peek() != ')' && s.Cond != nil {
			s.Next = part()
		}
	}
	p.skipNewlines()
	if p.peek() != ')' {
		p.unclosed(open, "MissingEndParenthesisAfterStatement", "Missing closing ')' after expression in 'for' statement.")
	}
	p.pos++
	s.Body = p.block("MissingLoopStatement", "Missing statement body in 'for' loop.")
	s.Extent = p.ext(start, p.pos)
	return s
}

func (p *parser) while(start int, label string) Stmt {
	s := &While{Label: label, Cond: p.condition("while")}
	s.Body = p.block("MissingLoopStatement", "Missing statement body in 'while' loop.")
	s.Extent = p.ext(start, p.pos)
	return s
}

func (p *parser) do(start int, label string) Stmt {
	s := &Do{Label: label, Body: p.block("MissingLoopStatement", "Missing statement body in 'do' loop.")}
	word := p.lookahead("while", "until")
	if word == "" {
		p.missing("MissingWhileOrUntilInDoWhile", "Missing while or until keyword in do loop.")
	}
	s.Until = word == "until"
	s.Cond = p.condition(word)
	s.Extent = p.ext(start, p.pos)
	return s
}

func (p *parser) switchStmt(start int, label string) Stmt {
	s := &Switch{Label: label}
	for p.skipNewlines(); isDash(p.peek()); p.skipNewlines() {
		at := p.pos
		p.next()
		flag := p.ident()
		p.pos += len(flag)
		is := func(name string) bool {
			return flag != "" && len(flag) <= len(name) && strings.EqualFold(flag, name[:len(flag)])
		}
		switch {
		case is("regex"):
			s.Regex, s.Wildcard = true, false
		case is("wildcard"):
			s.Wildcard, s.Regex = true, false
		case is("exact"):
			s.Regex, s.Wildcard = false, false
		case is("casesensitive"):
			s.CaseSensitive = true
		case is("file"):
			p.skipBlanks()
			s.File = p.argumentItem()
			if s.File == nil {
				p.missing("MissingFilenameOption", "The -file option must be followed by a file name.")
			}
		case is("parallel"):
			p.unsupported(at, p.pos, "The flag '-Parallel' of 'switch'")
		default:
			p.fail(at, p.pos, "InvalidSwitchFlag", "The parameter -"+flag+" is not valid for the switch statement.")
		}
	}
	if s.File == nil {
		s.Value = p.condition("switch")
	}
	p.skipNewlines()
	open := p.pos
	p.expect('{', "MissingCurlyBraceInSwitchStatement", "Missing opening '{' in switch statement.")
	for p.skipSeparators(); p.peek() != '}'; p.skipSeparators() {
		if p.pos >= len(p.text) {
			p.unclosed(open, "MissingEndCurlyBrace", "Missing closing '}' in switch statement.")
		}
		at := p.pos
		test := p.argumentItem()
		if test == nil {
			p.unexpected()
		}
		body := p.block("MissingSwitchStatementClause", "Missing statement block in switch statement clause.")
		if str, ok := test.(*String); ok && str.Bare && strings.EqualFold(str.Value, "default") {
			if s.Default != nil {
				p.fail(at, at+len("default"), "MultipleSwitchDefaultClausesAllowed", "A switch statement must have only one default clause.")
			}
			s.Default = body
			continue
		}
		s.Clauses = append(s.Clauses, SwitchClause{test, body})
	}
	p.pos++
	s.Extent = p.ext(start, p.pos)
	return s
}

func (p *parser) try(start int) Stmt {
	s := &Try{Body: p.block("MissingTryStatementBlock", "The Try statement is missing its statement block.")}
	for {
		back := p.pos
		if p.lookahead("catch") == "" {
			break
		}
		at := p.pos - len("catch")
		if len(s.Catches) > 0 && s.Catches[len(s.Catches)-1].Types == nil {
			p.pos = back
			p.skipNewlines()
			p.fail(at, at+len("catch"), "EmptyCatchNotLast", "Catch block must be the last catch block.")
		}
		c := Catch{}
		for p.skipNewlines(); p.peek() == '['; p.skipNewlines() {
			c.Types = append(c.Types, p.typeLiteral())
			p.skipNewlines()
			if p.peek() != ',' {
				break
			}
			p.pos++
			if p.skipNewlines(); p.peek() != '[' {
				p.missing("MissingTypeLiteralToken", "Missing type literal token.")
			}
		}
		c.Body = p.block("MissingCatchHandlerBlock", "The Catch block is missing its statement block.")
		c.Extent = p.ext(at, p.pos)
		s.Catches = append(s.Catches, c)
	}
	if p.lookahead("finally") != "" {
		s.Finally = p.block("MissingFinallyStatementBlock", "The Finally block is missing its statement block.")
	}
	if s.Catches == nil && s.Finally == nil {
		p.missing("MissingCatchOrFinally", "The Try statement is missing its Catch or Finally block.")
	}
	s.Extent = p.ext(start, p.pos)
	return s
}

func (p *parser) function(start int, filter bool) Stmt {
	p.skipBlanks()
	at := p.pos
	if isWordEnd(p.peek()) {
		p.missing("MissingNameAfterKeyword", "Missing name after 'function' keyword.")
	}
	name, ok := p.word().(*String)
	if !ok || name.Value == "" {
		p.fail(at, p.pos, "MissingNameAfterKeyword", "Missing name after 'function' keyword.")
	}
	f := &Function{Name: name.Value, Filter: filter}
	p.skipNewlines()
	var head []*Param
	hasHead := p.peek() == '('
	if hasHead {
		head = p.params()
		p.skipNewlines()
	}
	open := p.pos
	if p.peek() != '{' {
		p.missing("MissingFunctionBody", "Missing function body in function declaration.")
	}
	p.pos++
	f.Script = p.script()
	p.closeBrace(open)
	if hasHead {
		// () before a param block is allowed; two lists are not.
		if f.Script.HasParams && len(head) > 0 {
			p.fail(open, open+1, "OnlyOneParameterListAllowed", "Only one parameter list is allowed for a function.")
		}
		if !f.Script.HasParams {
			f.Script.HasParams, f.Script.Params = true, head
		}
	}
	f.Extent = p.ext(start, p.pos)
	return f
}

func (p *parser) flow(start int, word string) Stmt {
	s := &Flow{Keyword: word}
	p.skipBlanks()
	if !p.endsStatement() {
		if word == "break" || word == "continue" {
			if s.Label = p.argumentItem(); s.Label == nil {
				p.unexpected()
			}
		} else {
			s.Value, _ = p.pipeline()
		}
	}
	s.Extent = p.from(start)
	return s
}
