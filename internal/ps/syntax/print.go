package syntax

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Print writes a script as source that parses to the same tree. Comments and
// layout are not kept; aliases and the case of names are.
func Print(s *Script) string {
	p := &printer{}
	p.script(s)
	return p.String()
}

// PrintExpr writes one expression as source.
func PrintExpr(e Expr) string {
	p := &printer{}
	p.expr(e)
	return p.String()
}

type printer struct {
	strings.Builder
	indent int
}

func (p *printer) put(parts ...string) {
	for _, s := range parts {
		p.WriteString(s)
	}
}

func (p *printer) line() {
	p.put("\n", strings.Repeat("    ", p.indent))
}

func (p *printer) script(s *Script) {
	p.header(s, true)
	if !s.Named {
		p.stmts(s.End.Stmts)
		return
	}
	for i, b := range []*Body{s.Begin, s.Process, s.End} {
		if b != nil {
			p.put([]string{"begin", "process", "end"}[i], " ")
			p.body(b)
			p.line()
		}
	}
}

func (p *printer) header(s *Script, params bool) {
	for _, a := range s.Attributes {
		p.attribute(a)
		p.line()
	}
	if params && s.HasParams {
		p.put("param")
		p.params(s.Params)
		p.line()
	}
}

func (p *printer) attribute(a *Attribute) {
	p.put("[", a.Name, "(")
	for i, arg := range a.Args {
		if i > 0 {
			p.put(", ")
		}
		p.put(arg.Name)
		if arg.Value != nil {
			if arg.Name != "" {
				p.put(" = ")
			}
			p.expr(arg.Value)
		}
	}
	p.put(")]")
}

func (p *printer) params(list []*Param) {
	p.put("(")
	for i, q := range list {
		if i > 0 {
			p.put(", ")
		}
		for _, a := range q.Attributes {
			p.attribute(a)
		}
		if q.Type != nil {
			p.put("[", q.Type.String(), "]")
		}
		p.put("${", escapeBraced(q.Name), "}")
		if q.Default != nil {
			p.put(" = ")
			p.expr(q.Default)
		}
	}
	p.put(")")
}

func (p *printer) stmts(list []Stmt) {
	for i, s := range list {
		if i > 0 {
			p.line()
		}
		p.stmt(s)
	}
}

func (p *printer) body(b *Body) {
	p.put("{")
	if len(b.Stmts) > 0 {
		p.indent++
		p.line()
		p.stmts(b.Stmts)
		p.indent--
		p.line()
	}
	p.put("}")
}

func (p *printer) braces(s *Script) {
	p.put("{")
	p.indent++
	p.line()
	p.script(s)
	p.indent--
	p.line()
	p.put("}")
}

func (p *printer) label(l string) {
	if l != "" {
		p.put(":", l, " ")
	}
}

func (p *printer) stmt(s Stmt) {
	switch s := s.(type) {
	case *Pipeline:
		for i, e := range s.Elements {
			if i > 0 {
				p.put(" | ")
			}
			p.element(e)
		}
		if verbatim(s.Elements[len(s.Elements)-1]) != nil {
			p.put("\n")
		}
	case *Assign:
		p.expr(s.Target)
		p.put(" ", s.Op, " ")
		p.stmt(s.Value)
	case *If:
		for i, c := range s.Clauses {
			if i > 0 {
				p.put(" else")
			}
			p.put("if (")
			p.stmt(c.Cond)
			p.put(") ")
			p.body(c.Body)
		}
		if s.Else != nil {
			p.put(" else ")
			p.body(s.Else)
		}
	case *Switch:
		p.switchStmt(s)
	case *ForEach:
		p.label(s.Label)
		p.put("foreach (")
		p.expr(s.Var)
		p.put(" in ")
		p.stmt(s.In)
		p.put(") ")
		p.body(s.Body)
	case *For:
		p.label(s.Label)
		p.put("for (")
		for i, part := range []Stmt{s.Init, s.Cond, s.Next} {
			if i > 0 {
				p.put("; ")
			}
			if part != nil {
				p.stmt(part)
			}
		}
		p.put(") ")
		p.body(s.Body)
	case *While:
		p.label(s.Label)
		p.put("while (")
		p.stmt(s.Cond)
		p.put(") ")
		p.body(s.Body)
	case *Do:
		p.label(s.Label)
		p.put("do ")
		p.body(s.Body)
		if s.Until {
			p.put(" until (")
		} else {
			p.put(" while (")
		}
		p.stmt(s.Cond)
		p.put(")")
	case *Try:
		p.put("try ")
		p.body(s.Body)
		for _, c := range s.Catches {
			p.put(" catch ")
			for i, t := range c.Types {
				if i > 0 {
					p.put(", ")
				}
				p.put("[", t.String(), "]")
			}
			p.put(" ")
			p.body(c.Body)
		}
		if s.Finally != nil {
			p.put(" finally ")
			p.body(s.Finally)
		}
	case *Trap:
		p.put("trap ")
		if s.Type != nil {
			p.put("[", s.Type.String(), "] ")
		}
		p.body(s.Body)
	case *Function:
		if s.Filter {
			p.put("filter ")
		} else {
			p.put("function ")
		}
		p.bare(s.Name, true)
		p.put(" ")
		p.braces(s.Script)
	case *Flow:
		p.put(s.Keyword)
		if s.Label != nil {
			p.put(" ")
			p.arg(s.Label)
		}
		if s.Value != nil {
			p.put(" ")
			p.stmt(s.Value)
		}
	default:
		panic(fmt.Sprintf("syntax: print of %T", s))
	}
}

func (p *printer) switchStmt(s *Switch) {
	p.label(s.Label)
	p.put("switch ")
	for _, f := range []struct {
		on   bool
		flag string
	}{{s.Regex, "-Regex "}, {s.Wildcard, "-Wildcard "}, {s.CaseSensitive, "-CaseSensitive "}} {
		if f.on {
			p.put(f.flag)
		}
	}
	if s.File != nil {
		p.put("-File ")
		p.arg(s.File)
	} else {
		p.put("(")
		p.stmt(s.Value)
		p.put(")")
	}
	p.put(" {")
	p.indent++
	for _, c := range s.Clauses {
		p.line()
		p.arg(c.Test)
		p.put(" ")
		p.body(c.Body)
	}
	if s.Default != nil {
		p.line()
		p.put("default ")
		p.body(s.Default)
	}
	p.indent--
	p.line()
	p.put("}")
}

func (p *printer) element(e Element) {
	switch e := e.(type) {
	case *CommandExpr:
		p.expr(e.X)
	case *Command:
		if e.Op != "" {
			p.put(e.Op, " ")
			p.arg(e.Name)
		} else {
			p.word(e.Name, true)
		}
		for _, a := range e.Args {
			if !a.Verbatim {
				p.put(" ")
			}
			switch {
			case a.Stop:
				p.put("--")
				continue
			case a.Verbatim:
				continue // comes last
			case a.Param != "":
				p.put("-", a.Param)
				if !a.Colon {
					continue
				}
				p.put(":")
			}
			p.arg(a.Value)
		}
	}
	for _, r := range e.Redirects() {
		p.put(" ")
		if r.From == 0 {
			p.put("*")
		} else {
			p.put(string(rune('0' + r.From)))
		}
		switch {
		case r.Merge:
			p.put(">&1")
			continue
		case r.Append:
			p.put(">> ")
		default:
			p.put("> ")
		}
		p.arg(r.Target)
	}
	if a := verbatim(e); a != nil {
		p.put(" --% ", a.Value.(*String).Value)
	}
}

// verbatim returns the argument behind --%, nil when there is none.
func verbatim(e Element) *Arg {
	if c, ok := e.(*Command); ok && len(c.Args) > 0 && c.Args[len(c.Args)-1].Verbatim {
		return &c.Args[len(c.Args)-1]
	}
	return nil
}

// arg writes an expression in command mode.
func (p *printer) arg(e Expr) {
	switch e := e.(type) {
	case *String:
		if e.Bare {
			p.word(e, false)
			return
		}
	case *Expandable:
		if e.Bare {
			p.word(e, false)
			return
		}
	case *List:
		for i, item := range e.Items {
			if i > 0 {
				p.put(", ")
			}
			p.arg(item)
		}
		return
	case *Variable:
		if e.Splat {
			p.put("@")
			if e.Drive != "" {
				p.put(e.Drive, ":")
			}
			p.put(e.Name)
			return
		}
	}
	p.expr(e)
}

// word writes a bare word; name is set for a command's name.
func (p *printer) word(e Expr, name bool) {
	switch e := e.(type) {
	case *String:
		p.bare(e.Value, name)
	case *Expandable:
		for i, part := range e.Parts {
			if s, ok := part.(*String); ok {
				if text := s.Value; i == 0 && isDigit(rune(text[0])) {
					p.put(text[:1], "''")
					p.bareText(text[1:], false)
				} else {
					p.bareText(text, true)
				}
				continue
			}
			p.textPart(part)
			if i == 0 && len(e.Parts) == 1 {
				p.put("''")
			}
		}
	case *Number:
		p.put(e.Text)
	default:
		p.expr(e)
	}
}

func (p *printer) bare(s string, name bool) {
	r, _ := utf8.DecodeRuneInString(s)
	if s == "" || isDigit(r) {
		// Escaping a digit would make another character of it; the empty quotes keep it from being a number.
		n := min(1, len(s))
		p.put(s[:n], "''")
		p.bareText(s[n:], false)
		return
	}
	_, isNumber := parseNumber(s)
	p.bareText(s, true)
	if w := strings.ToLower(s); name && isKeyword(w) || isNumber || strings.EqualFold(s, "default") {
		p.put("''")
	}
}

func isKeyword(w string) bool {
	switch w {
	case "foreach", "for", "while", "do", "switch", "if", "try", "trap", "function", "filter", "break", "continue", "return", "throw", "exit":
		return true
	}
	_, ok := reserved[w]
	return ok
}

// bareText writes the characters of a word with the escapes that they need.
func (p *printer) bareText(s string, first bool) {
	for _, r := range s {
		switch {
		case r == 0:
			p.put("`0")
		case r == '\n':
			p.put("`n")
		case r == '\r':
			p.put("`r")
		case unicode.IsLetter(r), isDigit(r), r == '_', !first && strings.ContainsRune(`-\/:.?*=%`, r):
			p.WriteRune(r)
		default:
			p.WriteByte('`')
			p.WriteRune(r)
		}
		first = false
	}
}

func quoteSingle(s string) string {
	if strings.IndexFunc(s, isSingle) < 0 {
		return "'" + s + "'"
	}
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		if isSingle(r) {
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}

func escapeBraced(s string) string {
	return strings.NewReplacer("`", "``", "{", "`{", "}", "`}").Replace(s)
}

func (p *printer) variable(v *Variable) {
	name := v.Name
	if v.Drive != "" {
		name = v.Drive + ":" + v.Name
	}
	if v.Drive == "" && (name == "$" || name == "^" || name == "?") {
		p.put("$", name)
		return
	}
	p.put("${", escapeBraced(name), "}")
}

// textPart writes a variable or subexpression inside a text.
func (p *printer) textPart(e Expr) {
	switch e := e.(type) {
	case *Variable:
		// In a text, $$ and the like could run on into the next character.
		if e.Drive == "" && (e.Name == "$" || e.Name == "^" || e.Name == "?") {
			p.put("${", e.Name, "}")
			return
		}
		p.variable(e)
	case *Sub:
		in := &printer{}
		in.stmts(e.Body.Stmts)
		text := in.String()
		// The reader finds the end by counting brackets: balance those that
		// stand in strings.
		level, low := 0, 0
		for _, c := range text {
			switch c {
			case '(':
				level++
			case ')':
				level--
				low = min(low, level)
			}
		}
		if low < 0 {
			text = "<#" + strings.Repeat("(", -low) + "#>" + text
			level -= low
		}
		if level > 0 {
			text += "\n<#" + strings.Repeat(")", level) + "#>"
		}
		p.put("$(")
		for _, r := range text {
			if isDouble(r) {
				p.put("`")
			}
			p.WriteRune(r)
		}
		p.put(")")
	}
}

func (p *printer) expandable(e *Expandable) {
	p.put(`"`)
	for _, part := range e.Parts {
		s, ok := part.(*String)
		if !ok {
			p.textPart(part)
			continue
		}
		for _, r := range s.Value {
			switch {
			case r == 0:
				p.put("`0")
				continue
			case r == '`', r == '$', isDouble(r):
				p.put("`")
			}
			p.WriteRune(r)
		}
	}
	p.put(`"`)
}

func (p *printer) expr(e Expr) {
	switch e := e.(type) {
	case *Variable:
		p.variable(e)
	case *String:
		if e.Bare && plainName(e.Value) {
			p.put(e.Value)
			return
		}
		p.put(quoteSingle(e.Value))
	case *Expandable:
		p.expandable(e)
	case *Number:
		p.put(e.Text)
	case *Paren:
		p.put("(")
		p.stmt(e.Stmt)
		p.put(")")
	case *Sub:
		p.put("$(")
		p.stmts(e.Body.Stmts)
		p.put(")")
	case *Array:
		p.put("@(")
		p.stmts(e.Body.Stmts)
		p.put(")")
	case *List:
		if len(e.Items) == 1 {
			p.put(",")
			p.expr(e.Items[0])
			return
		}
		for i, item := range e.Items {
			if i > 0 {
				p.put(", ")
			}
			p.expr(item)
		}
	case *Hash:
		p.put("@{")
		p.indent++
		for _, pair := range e.Pairs {
			p.line()
			p.expr(pair.Key)
			p.put(" = ")
			p.stmt(pair.Value)
		}
		p.indent--
		p.line()
		p.put("}")
	case *Block:
		p.braces(e.Script)
	case *TypeLit:
		p.put("[", e.Type.String(), "]")
	case *Cast:
		p.put("[", e.Type.String(), "]")
		p.expr(e.X)
	case *Unary:
		if e.Postfix {
			p.expr(e.X)
			p.put(e.Op)
			return
		}
		p.put(e.Op, " ")
		p.expr(e.X)
	case *Binary:
		p.expr(e.X)
		p.put(" ", e.Op, " ")
		p.expr(e.Y)
	case *Member:
		p.expr(e.X)
		p.memberName(e.Name, e.Static)
	case *Invoke:
		p.expr(e.X)
		p.memberName(e.Name, e.Static)
		p.put("(")
		for i, a := range e.Args {
			if i > 0 {
				p.put(", ")
			}
			p.expr(a)
		}
		p.put(")")
	case *Index:
		p.expr(e.X)
		p.put("[")
		p.expr(e.I)
		p.put("]")
	default:
		panic(fmt.Sprintf("syntax: print of %T", e))
	}
}

func (p *printer) memberName(name Expr, static bool) {
	if static {
		p.put("::")
	} else {
		p.put(".")
	}
	p.expr(name)
}

func plainName(s string) bool {
	for _, r := range s {
		if !isIdent(r) {
			return false
		}
	}
	return s != ""
}
