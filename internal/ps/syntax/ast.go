package syntax

import "strings"

// A Node is a part of the tree; Span is where it stands in the script's Source.
type Node interface{ Span() Extent }

// A Stmt is a statement: *Pipeline, *Assign, *If, *Switch, *ForEach, *For,
// *While, *Do, *Try, *Trap, *Function or *Flow.
type Stmt interface {
	Node
	stmt()
}

// An Expr is an expression: *Variable, *String, *Expandable, *Number, *Paren,
// *Sub, *Array, *List, *Hash, *Block, *TypeLit, *Cast, *Unary, *Binary,
// *Member, *Invoke or *Index.
type Expr interface {
	Node
	expr()
}

// A Script is a whole file, or the inside of a function or a script block.
type Script struct {
	Extent
	Source     *Source
	Text       string // as written, without the braces
	Attributes []*Attribute
	HasParams  bool
	Params     []*Param
	// Named means that the body consists of begin, process and end blocks;
	// otherwise everything is in End.
	Named               bool
	Begin, Process, End *Body
}

// A Body is a list of statements in braces (or a whole script).
type Body struct {
	Extent
	Stmts []Stmt
}

// An Attribute is [Name(args)] before a parameter or a param block. Names of
// named arguments and the positional ones keep their order.
type Attribute struct {
	Extent
	Name string
	Args []AttrArg
}

// An AttrArg is one argument of an attribute. Name is "" for a positional one;
// Value is nil for a name alone, which means $true.
type AttrArg struct {
	Name  string
	Value Expr
}

// A Param is one parameter of a param block or function head.
type Param struct {
	Extent
	Attributes []*Attribute
	Type       *TypeName // nil when not given; the last one when several are
	Name       string
	Default    Expr // nil when not given
}

// A TypeName is the inside of a type literal: Name[Args][,]….
type TypeName struct {
	Extent
	Name  string
	Args  []*TypeName
	Ranks []int // one per array suffix: 1 for [], 2 for [,]
}

// String returns the name as it is written between the brackets.
func (t *TypeName) String() string {
	var b strings.Builder
	b.WriteString(t.Name)
	if len(t.Args) > 0 {
		b.WriteByte('[')
		for i, a := range t.Args {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(a.String())
		}
		b.WriteByte(']')
	}
	for _, r := range t.Ranks {
		b.WriteString("[" + strings.Repeat(",", r-1) + "]")
	}
	return b.String()
}

// Statements.
type (
	// A Pipeline is one or more elements; only the first may be an expression.
	Pipeline struct {
		Extent
		Elements []Element
	}
	// An Assign stores the value of a statement. Target is a variable, member
	// or index, a list of such, or a cast of one.
	Assign struct {
		Extent
		Target Expr
		Op     string // =, +=, -=, *=, /=, %=
		Value  Stmt
	}
	// An If has one clause per if and elseif.
	If struct {
		Extent
		Clauses []IfClause
		Else    *Body
	}
	// A Switch runs the bodies of all matching clauses.
	Switch struct {
		Extent
		Label         string
		Regex         bool
		Wildcard      bool
		CaseSensitive bool
		File          Expr // -File, else nil
		Value         Stmt // nil with -File
		Clauses       []SwitchClause
		Default       *Body
	}
	// A ForEach is the statement, not the cmdlet.
	ForEach struct {
		Extent
		Label string
		Var   *Variable
		In    Stmt
		Body  *Body
	}
	// A For has all three parts optional.
	For struct {
		Extent
		Label            string
		Init, Cond, Next Stmt
		Body             *Body
	}
	// A While loops while Cond is true.
	While struct {
		Extent
		Label string
		Cond  Stmt
		Body  *Body
	}
	// A Do loops while Cond is true (or until, with Until).
	Do struct {
		Extent
		Label string
		Body  *Body
		Until bool
		Cond  Stmt
	}
	// A Try has catches or a finally or both.
	Try struct {
		Extent
		Body    *Body
		Catches []Catch
		Finally *Body
	}
	// A Trap handles the terminating errors of its block.
	Trap struct {
		Extent
		Type *TypeName // nil: all
		Body *Body
	}
	// A Function is a function or a filter.
	Function struct {
		Extent
		Name   string
		Filter bool
		Script *Script
	}
	// A Flow is break, continue, return, throw or exit.
	Flow struct {
		Extent
		Keyword string
		Label   Expr // break and continue; nil when absent
		Value   Stmt // return, throw and exit; nil when absent
	}
)

// An IfClause is a condition with its body.
type IfClause struct {
	Cond Stmt
	Body *Body
}

// A SwitchClause is a test (a *Block is a predicate) with its body.
type SwitchClause struct {
	Test Expr
	Body *Body
}

// A Catch handles the errors of its types, or all.
type Catch struct {
	Extent
	Types []*TypeName
	Body  *Body
}

// An Element of a pipeline is a *Command or a *CommandExpr.
type Element interface {
	Node
	element()
	// Redirects returns the element's redirections in order.
	Redirects() []*Redirect
}

// A Command is a name with arguments.
type Command struct {
	Extent
	Op     string // "&", "." or ""
	Name   Expr
	Args   []Arg
	Redirs []*Redirect
}

// A CommandExpr is an expression as the first element of a pipeline.
type CommandExpr struct {
	Extent
	X      Expr
	Redirs []*Redirect
}

// An Arg is a parameter name, an argument, or both with a colon between.
type Arg struct {
	Extent
	Param string // without dash; "" for an argument
	Colon bool   // -Param:value
	Value Expr   // nil for a parameter without colon; a *Variable with Splat for @name
	Stop  bool   // the -- that ends parameters

	// Verbatim means that Value is the rest of the line behind --%.
	Verbatim bool
}

// A Redirect sends a stream to a file or to the success stream.
type Redirect struct {
	Extent
	From   int // 1 to 6, or 0 for all
	Append bool
	Merge  bool // n>&1
	Target Expr // nil with Merge
}

// Expressions.
type (
	// A Variable is $Name or $Drive:Name (Drive is a scope or a drive).
	Variable struct {
		Extent
		Drive string
		Name  string
		Splat bool
	}
	// A String is a text without expansion. Bare means a word of command mode.
	String struct {
		Extent
		Value string
		Bare  bool
	}
	// An Expandable is a text with variables and subexpressions; Parts are
	// *String, *Variable and *Sub.
	Expandable struct {
		Extent
		Parts []Expr
		Bare  bool
	}
	// A Number has the value of its literal: int32, int64, float64 or *Decimal.
	Number struct {
		Extent
		Text  string
		Value any
	}
	// A Paren is a pipeline or an assignment in parentheses.
	Paren struct {
		Extent
		Stmt Stmt
	}
	// A Sub is $( ).
	Sub struct {
		Extent
		Body *Body
	}
	// An Array is @( ).
	Array struct {
		Extent
		Body *Body
	}
	// A List is a, b, c; one item for the unary comma.
	List struct {
		Extent
		Items []Expr
	}
	// A Hash is @{ }.
	Hash struct {
		Extent
		Pairs []HashPair
	}
	// A Block is a script block.
	Block struct {
		Extent
		Script *Script
	}
	// A TypeLit is [Type].
	TypeLit struct {
		Extent
		Type *TypeName
	}
	// A Cast is [Type]X.
	Cast struct {
		Extent
		Type *TypeName
		X    Expr
	}
	// A Unary is an operator with one operand. Op is !, -not, -bnot, +, -, ++,
	// --, -split, -csplit or -join.
	Unary struct {
		Extent
		Op      string
		Postfix bool
		X       Expr
	}
	// A Binary is an operator with two operands. Op is in lower case; the i of
	// the explicitly case-insensitive forms is dropped.
	Binary struct {
		Extent
		Op    string
		OpPos Extent
		X, Y  Expr
	}
	// A Member is X.Name or X::Name. Name is a *String for a plain name.
	Member struct {
		Extent
		X      Expr
		Name   Expr
		Static bool
	}
	// An Invoke is a method call.
	Invoke struct {
		Extent
		X      Expr
		Name   Expr
		Static bool
		Args   []Expr
	}
	// An Index is X[I].
	Index struct {
		Extent
		X, I Expr
	}
)

// A HashPair is one entry of a hash literal.
type HashPair struct {
	Key   Expr // a *String with Bare for a plain name
	Value Stmt
}

func (*Pipeline) stmt() {}
func (*Assign) stmt()   {}
func (*If) stmt()       {}
func (*Switch) stmt()   {}
func (*ForEach) stmt()  {}
func (*For) stmt()      {}
func (*While) stmt()    {}
func (*Do) stmt()       {}
func (*Try) stmt()      {}
func (*Trap) stmt()     {}
func (*Function) stmt() {}
func (*Flow) stmt()     {}

func (*Variable) expr()   {}
func (*String) expr()     {}
func (*Expandable) expr() {}
func (*Number) expr()     {}
func (*Paren) expr()      {}
func (*Sub) expr()        {}
func (*Array) expr()      {}
func (*List) expr()       {}
func (*Hash) expr()       {}
func (*Block) expr()      {}
func (*TypeLit) expr()    {}
func (*Cast) expr()       {}
func (*Unary) expr()      {}
func (*Binary) expr()     {}
func (*Member) expr()     {}
func (*Invoke) expr()     {}
func (*Index) expr()      {}

func (*Command) element()     {}
func (*CommandExpr) element() {}

// Redirects returns the redirections.
func (c *Command) Redirects() []*Redirect { return c.Redirs }

// Redirects returns the redirections.
func (c *CommandExpr) Redirects() []*Redirect { return c.Redirs }
