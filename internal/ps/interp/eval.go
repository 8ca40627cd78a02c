package interp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"busybridge/internal/ps/object"
	"busybridge/internal/ps/syntax"
)

// env is where code runs: its scope, its output and its streams.
type env struct {
	s       *Session
	ctx     context.Context
	scope   *Scope
	out     func(any) error
	streams Streams
	src     *syntax.Source
	index   int    // place of the command in its pipeline
	command string // name of the innermost command, for error records
	invoked object.Position
}

// with is e with another output.
func (e *env) with(out func(any) error) *env {
	c := *e
	c.out = out
	return &c
}

// fault makes err an error with a place; errors on their way pass unchanged.
func (e *env) fault(err error, n syntax.Node) error {
	if err == nil || passes(err) {
		return err
	}
	rec := object.AsRecord(err)
	if rec.Position == nil && n != nil && !rec.Remote {
		p := position(e.src, n.Span())
		rec.Position = &p
	}
	return &termError{rec: rec}
}

// write sends v down the pipeline; a collection element by element.
func (e *env) write(v any) error { return unroll(v, e.out) }

func unroll(v any, out func(any) error) error {
	if v == object.Void {
		return nil
	}
	items, ok := object.Items(v)
	if !ok {
		return out(v)
	}
	for i := 0; i < len(items); i++ {
		if err := out(items[i]); err != nil {
			return err
		}
	}
	return nil
}

// collect runs f and gives what it wrote.
func (e *env) collect(f func(*env) error) ([]any, error) {
	items := []any{}
	err := f(e.with(func(v any) error {
		items = append(items, v)
		return nil
	}))
	return items, err
}

// plain returns the expression that a statement is, when it is nothing else.
func plain(s syntax.Stmt) syntax.Expr {
	if p, ok := s.(*syntax.Pipeline); ok && len(p.Elements) == 1 {
		if c, ok := p.Elements[0].(*syntax.CommandExpr); ok && len(c.Redirs) == 0 {
			return c.X
		}
	}
	return nil
}

// value is the value of a statement where one is needed: on the right of an assignment, in parentheses, as condition.
func (e *env) value(s syntax.Stmt) (any, error) {
	if x := plain(s); x != nil {
		v, err := e.eval(x)
		if v == object.Void {
			v = nil
		}
		return v, err
	}
	if a, ok := s.(*syntax.Assign); ok {
		return e.assign(a)
	}
	items, err := e.collect(func(e *env) error { return e.stmt(s) })
	return object.Collapse(items), err
}

func (e *env) text(v any) string {
	ofs := " "
	if o := e.scope.find("OFS"); o != nil {
		ofs = object.String(o.value)
	}
	return object.Join(v, ofs)
}

func (e *env) typeOf(t *syntax.TypeName) (*object.Type, error) {
	if ty, ok := object.FindType(t.String()); ok {
		return ty, nil
	}
	return nil, e.fault(object.UnknownType(t.String()), t)
}

// eval is the value of x. object.Void is the result of a method that returns nothing.
func (e *env) eval(x syntax.Expr) (any, error) {
	v, err := e.eval1(x)
	if err != nil {
		return nil, e.fault(err, x)
	}
	return v, nil
}

func (e *env) eval1(x syntax.Expr) (any, error) {
	switch x := x.(type) {
	case *syntax.Variable:
		return e.getVariable(x.Drive, x.Name)
	case *syntax.String:
		return x.Value, nil
	case *syntax.Number:
		if d, ok := x.Value.(*syntax.Decimal); ok {
			if d.Unscaled.IsInt64() {
				return object.NewDecimal(d.Unscaled.Int64(), d.Scale), nil
			}
			s := d.Unscaled.String()
			return object.ParseDecimal(s)
		}
		return x.Value, nil
	case *syntax.Expandable:
		var b strings.Builder
		for _, p := range x.Parts {
			if s, ok := p.(*syntax.String); ok {
				b.WriteString(s.Value)
				continue
			}
			v, err := e.eval(p)
			if err != nil {
				return nil, err
			}
			b.WriteString(e.text(v))
		}
		return b.String(), nil
	case *syntax.Paren:
		return e.value(x.Stmt)
	case *syntax.Sub:
		items, err := e.collect(func(e *env) error { return e.body(x.Body) })
		return object.Collapse(items), err
	case *syntax.Array:
		items, err := e.collect(func(e *env) error { return e.body(x.Body) })
		if err != nil {
			return nil, err
		}
		return object.NewArray(items...), nil
	case *syntax.List:
		items := make([]any, 0, len(x.Items))
		for _, item := range x.Items {
			v, err := e.eval(item)
			if err != nil {
				return nil, err
			}
			if v == object.Void {
				v = nil
			}
			items = append(items, v)
		}
		return object.NewArray(items...), nil
	case *syntax.Hash:
		return e.hash(x, object.NewHashtable())
	case *syntax.Block:
		return &ScriptBlock{script: x.Script}, nil
	case *syntax.TypeLit:
		t, err := e.typeOf(x.Type)
		return t, err
	case *syntax.Cast:
		return e.cast(x)
	case *syntax.Unary:
		return e.unary(x)
	case *syntax.Binary:
		return e.binary(x)
	case *syntax.Member:
		return e.member(x)
	case *syntax.Invoke:
		return e.invoke(x)
	case *syntax.Index:
		base, err := e.eval(x.X)
		if err != nil {
			return nil, err
		}
		i, err := e.eval(x.I)
		if err != nil {
			return nil, err
		}
		return object.Index(base, i)
	}
	return nil, fmt.Errorf("interp: no evaluation of %T", x)
}

func (e *env) hash(x *syntax.Hash, h *object.Hashtable) (any, error) {
	for _, p := range x.Pairs {
		k, err := e.eval(p.Key)
		if err != nil {
			return nil, err
		}
		if k == nil {
			return nil, object.NewError("InvalidNullKey", object.InvalidOperation, nil, "A null key is not allowed in a hash literal.")
		}
		v, err := e.value(p.Value)
		if err != nil {
			return nil, err
		}
		if _, ok := h.Get(k); ok {
			return nil, object.NewError("DuplicateKeyInHashLiteral", object.InvalidOperation, nil, "Item has already been added. Key in dictionary: '%s'  Key being added: '%s'", e.text(k), e.text(k))
		}
		h.Set(k, v)
	}
	return h, nil
}

func (e *env) cast(x *syntax.Cast) (any, error) {
	name := strings.ToLower(x.Type.String())
	if h, ok := x.X.(*syntax.Hash); ok && (name == "ordered" || name == "pscustomobject" || name == "system.management.automation.pscustomobject") {
		v, err := e.hash(h, object.NewOrdered())
		if err != nil || name == "ordered" {
			return v, err
		}
		return object.Convert(v, object.TCustom)
	}
	if name == "ordered" {
		return nil, object.NewError("OrderedAttributeOnlyOnHashLiteralNode", object.ParserError, nil, "The ordered attribute can be specified only on a hash literal node.")
	}
	t, err := e.typeOf(x.Type)
	if err != nil {
		return nil, err
	}
	v, err := e.eval(x.X)
	if err != nil {
		return nil, err
	}
	if t == object.TVoid {
		return object.Void, nil
	}
	if v == object.Void {
		v = nil
	}
	if t == object.TScriptBlock {
		if b, ok := object.Base(v).(*ScriptBlock); ok {
			return b, nil
		}
	}
	if t == object.TString {
		if _, ok := object.Items(v); ok {
			return e.text(v), nil
		}
	}
	return object.Convert(v, t)
}

func (e *env) unary(x *syntax.Unary) (any, error) {
	if x.Op == "++" || x.Op == "--" {
		old, err := e.eval(x.X)
		if err != nil {
			return nil, err
		}
		step := int32(1)
		if x.Op == "--" {
			step = -1
		}
		v, err := object.Increment(old, step)
		if err != nil {
			return nil, err
		}
		if err := e.store(x.X, v, nil); err != nil {
			return nil, err
		}
		if x.Postfix {
			if old == nil {
				old = int32(0)
			}
			return old, nil
		}
		return v, nil
	}
	v, err := e.eval(x.X)
	if err != nil {
		return nil, err
	}
	switch x.Op {
	case "!", "-not":
		return !object.Bool(v), nil
	case "-bnot":
		return object.BitNot(v)
	case "-":
		return object.Neg(v)
	case "+":
		return object.Plus(v)
	case "-split", "-csplit":
		return object.SplitFields(v), nil
	case "-join":
		return object.JoinWith(v, ""), nil
	}
	return nil, fmt.Errorf("interp: no operator %s", x.Op)
}

func (e *env) binary(x *syntax.Binary) (any, error) {
	a, err := e.eval(x.X)
	if err != nil {
		return nil, err
	}
	switch x.Op {
	case "-and", "-or":
		if object.Bool(a) != (x.Op == "-and") {
			return x.Op == "-or", nil
		}
		b, err := e.eval(x.Y)
		return object.Bool(b), err
	}
	b, err := e.eval(x.Y)
	if err != nil {
		return nil, err
	}
	return e.operate(x.Op, a, b)
}

// operate applies a binary operator without short circuit.
func (e *env) operate(op string, a, b any) (any, error) {
	if a == object.Void {
		a = nil
	}
	if b == object.Void {
		b = nil
	}
	switch op {
	case "+":
		return object.Add(a, b)
	case "-":
		return object.Sub(a, b)
	case "*":
		return object.Mul(a, b)
	case "/":
		return object.Div(a, b)
	case "%":
		return object.Mod(a, b)
	case "..":
		return object.Range(a, b)
	case "-xor":
		return object.Bool(a) != object.Bool(b), nil
	case "-band", "-bor", "-bxor", "-shl", "-shr":
		return object.Bitwise(op[1:], a, b)
	case "-f":
		args, ok := object.Items(b)
		if !ok {
			args = []any{b}
		}
		s, err := object.Format(object.String(a), args...)
		if err != nil {
			return nil, err
		}
		return s, nil
	case "-replace", "-creplace":
		return object.Replace(a, b, op[1] == 'c')
	case "-split", "-csplit":
		block := b
		if items, ok := object.Items(b); ok && len(items) > 0 {
			block = items[0]
		}
		if sb, ok := object.Base(block).(*ScriptBlock); ok {
			return e.splitBy(a, sb)
		}
		return object.Split(a, b, op[1] == 'c')
	case "-join":
		return object.JoinWith(a, object.String(b)), nil
	case "-is", "-isnot":
		t, err := asType(b)
		if err != nil {
			return nil, err
		}
		return object.IsA(a, t) == (op == "-is"), nil
	case "-as":
		t, err := asType(b)
		if err != nil {
			return nil, err
		}
		v, err := object.Convert(a, t)
		if err != nil {
			return nil, nil //nolint:nilerr // -as gives null on failure
		}
		return v, nil
	}
	c := object.Comparison{Name: op[1:]}
	if strings.HasPrefix(c.Name, "c") && c.Name != "contains" {
		c.Name, c.CaseSensitive = c.Name[1:], true
	}
	v, m, err := c.Apply(a, b)
	if err != nil {
		return nil, err
	}
	if m != nil {
		e.scope.set("Matches", m.GroupsTable())
	}
	return v, nil
}

func asType(v any) (*object.Type, error) {
	switch b := object.Base(v).(type) {
	case *object.Type:
		return b, nil
	case string:
		if t, ok := object.FindType(strings.Trim(b, "[]")); ok {
			return t, nil
		}
		return nil, object.UnknownType(b)
	}
	return nil, object.NewError("IsOperatorRequiresType", object.InvalidOperation, nil, "The right operand of '-is' must be a type.")
}

// splitBy is -split { predicate }: characters for which it holds separate.
func (e *env) splitBy(v any, sb *ScriptBlock) (any, error) {
	out := object.NewArray()
	items, ok := object.Items(v)
	if !ok {
		items = []any{v}
	}
	for _, item := range items {
		var part strings.Builder
		for _, r := range object.String(item) {
			got, err := e.block(sb, object.Char(r), nil)
			if err != nil {
				return nil, err
			}
			if object.Bool(object.Collapse(got)) {
				out.Items = append(out.Items, part.String())
				part.Reset()
				continue
			}
			part.WriteRune(r)
		}
		out.Items = append(out.Items, part.String())
	}
	return out, nil
}

func (e *env) memberName(x syntax.Expr) (any, error) {
	if s, ok := x.(*syntax.String); ok {
		return s.Value, nil
	}
	return e.eval(x)
}

// owner evaluates the left side of a member; a static one must be a type.
func (e *env) owner(x syntax.Expr, static bool) (any, *object.Type, error) {
	v, err := e.eval(x)
	if err != nil || !static {
		return v, nil, err
	}
	if t, ok := object.Base(v).(*object.Type); ok {
		return v, t, nil
	}
	return v, object.TypeOf(v), nil
}

func (e *env) member(x *syntax.Member) (any, error) {
	v, t, err := e.owner(x.X, x.Static)
	if err != nil {
		return nil, err
	}
	name, err := e.memberName(x.Name)
	if err != nil {
		return nil, err
	}
	if x.Static {
		return object.StaticGet(e.s.ctxObj, t, object.String(name))
	}
	if _, ok := name.(string); !ok {
		if h, ok := object.Base(v).(*object.Hashtable); ok {
			r, _ := h.Get(name)
			return r, nil
		}
	}
	r, _, err := object.GetMember(v, object.String(name))
	return r, err
}

func (e *env) invoke(x *syntax.Invoke) (any, error) {
	v, t, err := e.owner(x.X, x.Static)
	if err != nil {
		return nil, err
	}
	n, err := e.memberName(x.Name)
	if err != nil {
		return nil, err
	}
	name := object.String(n)
	args := make([]any, len(x.Args))
	for i, a := range x.Args {
		if args[i], err = e.eval(a); err != nil {
			return nil, err
		}
		if args[i] == object.Void {
			args[i] = nil
		}
	}
	if err := e.ctx.Err(); err != nil {
		return nil, err
	}
	old := e.s.run
	e.s.run = e
	defer func() { e.s.run = old }()
	if x.Static {
		if t == object.TScriptBlock && strings.EqualFold(name, "Create") && len(args) == 1 {
			return e.s.newBlock(object.String(args[0]))
		}
		return object.CallStatic(e.s.ctxObj, t, name, args)
	}
	if b, ok := object.Base(v).(*ScriptBlock); ok {
		switch strings.ToLower(name) {
		case "invoke", "invokereturnasis":
			items, err := e.collect(func(e *env) error { return e.callBlock(b, args, nil, true) })
			if err != nil {
				return nil, err
			}
			return object.Collapse(items), nil
		case "tostring":
			return b.String(), nil
		case "getnewclosure":
			return b.closure(e.scope), nil
		}
	}
	r, err := object.CallMethod(e.s.ctxObj, v, name, args)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// invokeFor runs a block for .Where and .ForEach.
func (s *Session) invokeFor(block, item any, args []any) ([]any, error) {
	b, ok := object.Base(block).(*ScriptBlock)
	if !ok {
		return nil, errors.New("A script block is needed.") // shown as it stands
	}
	return s.run.blockArgs(b, item, args)
}

// assign runs an assignment and gives the value assigned.
func (e *env) assign(a *syntax.Assign) (any, error) {
	v, err := e.value(a.Value)
	if err != nil {
		return nil, e.fault(err, a)
	}
	if a.Op != "=" {
		old, err := e.current(a.Target)
		if err != nil {
			return nil, e.fault(err, a)
		}
		if v, err = e.operate(a.Op[:1], old, v); err != nil {
			return nil, e.fault(err, a)
		}
	}
	if err := e.store(a.Target, v, nil); err != nil {
		return nil, e.fault(err, a)
	}
	return v, nil
}

// current is what a compound assignment starts from: a variable counts only when it is local.
func (e *env) current(target syntax.Expr) (any, error) {
	if c, ok := target.(*syntax.Cast); ok {
		return e.current(c.X)
	}
	if v, ok := target.(*syntax.Variable); ok && v.Drive == "" {
		return valueOf(e.scope.local(v.Name)), nil
	}
	return e.eval(target)
}

// store assigns v to a target.
func (e *env) store(target syntax.Expr, v any, kind *object.Type) error {
	switch t := target.(type) {
	case *syntax.Variable:
		return e.setVariable(t.Drive, t.Name, v, kind)
	case *syntax.Cast:
		ty, err := e.typeOf(t.Type)
		if err != nil {
			return err
		}
		return e.store(t.X, v, ty)
	case *syntax.Paren:
		if x := plain(t.Stmt); x != nil {
			return e.store(x, v, kind)
		}
	case *syntax.List:
		items, ok := object.Items(v)
		if !ok {
			items = []any{v}
		}
		for i, target := range t.Items {
			var item any
			switch last := i == len(t.Items)-1; {
			case last && len(items) > i+1:
				item = object.NewArray(items[i:]...)
			case i < len(items):
				item = items[i]
			}
			if err := e.store(target, item, kind); err != nil {
				return err
			}
		}
		return nil
	case *syntax.Member:
		if t.Static {
			return object.NewError("PropertyAssignmentException", object.InvalidOperation, nil, "Static properties cannot be set here.")
		}
		base, err := e.eval(t.X)
		if err != nil {
			return err
		}
		name, err := e.memberName(t.Name)
		if err != nil {
			return err
		}
		if v, err = converted(v, kind); err != nil {
			return err
		}
		return object.Set(base, object.String(name), v)
	case *syntax.Index:
		base, err := e.eval(t.X)
		if err != nil {
			return err
		}
		i, err := e.eval(t.I)
		if err != nil {
			return err
		}
		if v, err = converted(v, kind); err != nil {
			return err
		}
		return object.SetIndex(base, i, v)
	}
	return fmt.Errorf("interp: cannot assign to %T", target)
}

func converted(v any, t *object.Type) (any, error) {
	if t == nil {
		return v, nil
	}
	return object.Convert(v, t)
}
