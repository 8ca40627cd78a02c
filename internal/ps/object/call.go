package object

import (
	"errors"
	"strings"
)

// A signature is the parameter types of one overload; the last one repeats when more is set.
type signature struct {
	params []*Type
	more   bool
}

func sig(params ...*Type) signature { return signature{params, false} }

func variadic(params ...*Type) signature { return signature{params, true} }

func (s signature) takes(n int) bool {
	return n == len(s.params) || s.more && n >= len(s.params)-1
}

// A methodDef is one method of the closed tables. A method without signatures takes nothing.
type methodDef struct {
	name string
	sigs []signature
	call func(c *Context, this any, args []any) (any, error)
}

func method(name string, call func(c *Context, this any, a []any) (any, error), sigs ...signature) methodDef {
	if len(sigs) == 0 {
		sigs = []signature{{}}
	}
	return methodDef{name, sigs, call}
}

func (m methodDef) definition() string {
	var parts []string
	for _, s := range m.sigs {
		names := make([]string, len(s.params))
		for i, p := range s.params {
			names[i] = typeLabel(p)
			if s.more && i == len(s.params)-1 {
				names[i] = "Params " + names[i] + "[]"
			}
		}
		parts = append(parts, m.name+"("+strings.Join(names, ", ")+")")
	}
	return strings.Join(parts, ", ")
}

// bind picks the overload by number of arguments and converts them; with several of the same length the first
// whose conversions succeed wins.
func (m methodDef) bind(args []any) ([]any, error) {
	var first error
	matched := false
	for _, s := range m.sigs {
		if !s.takes(len(args)) {
			continue
		}
		matched = true
		out := make([]any, len(args))
		var failed error
		for i, a := range args {
			t := s.params[min(i, len(s.params)-1)]
			v, err := Convert(a, t)
			if err != nil {
				failed = NewError("MethodArgumentConversionInvalidCastArgument", NotSpecified, TMethodException,
					"Cannot convert argument \"%s\", with value: \"%s\", for \"%s\" to type \"%s\": \"%s\"", argumentName(i), String(a), m.name, t.Name, err)
				break
			}
			out[i] = v
		}
		if failed == nil {
			return out, nil
		}
		if first == nil {
			first = failed
		}
	}
	if !matched {
		return nil, NewError("MethodCountCouldNotFindBest", NotSpecified, TMethodException,
			"Cannot find an overload for \"%s\" and the argument count: \"%d\".", m.name, len(args))
	}
	return nil, first
}

func argumentName(i int) string { return String(int32(i)) }

// invocation wraps what a method failed with: Exception calling "m" with "n" argument(s): "...".
func invocation(name string, n int, err error) error {
	if r, ok := errors.AsType[*ErrorRecord](err); ok {
		if r.Exception.Class == nil || r.Exception.Type().Is(TRuntimeException) {
			return r
		}
		err = r.Exception
	}
	inner := asException(err)
	r := NewError(inner.Type().Title(), NotSpecified, tMethodInvocation, "Exception calling \"%s\" with \"%d\" argument(s): \"%s\"", name, n, inner.Message)
	r.Exception.Inner = inner
	return r
}

func failure(class *Type, message string) error { return &Exception{Class: class, Message: message} }

// CallMethod is v.name(args). A method that a collection lacks is called on each of its elements. [Void] means no
// result.
func CallMethod(c *Context, v any, name string, args []any) (any, error) {
	if v == nil {
		return nil, NewError("InvokeMethodOnNull", InvalidOperation, nil, "You cannot call a method on a null-valued expression.")
	}
	r, found, err := callOne(c, v, name, args)
	if found || err != nil {
		return r, err
	}
	if items, ok := Items(v); ok {
		if len(items) > 0 {
			return callEach(c, items, name, args)
		}
	}
	return nil, noMethod(v, name)
}

func noMethod(v any, name string) error {
	label := TypeOf(v).Name
	if o, ok := v.(*Object); ok {
		label = o.TypeNames()[0]
	}
	return NewError("MethodNotFound", InvalidOperation, nil, "Method invocation failed because [%s] does not contain a method named '%s'.", label, name)
}

func callEach(c *Context, items []any, name string, args []any) (any, error) {
	var out []any
	void := false
	for _, x := range items {
		if x == nil {
			return nil, NewError("InvokeMethodOnNull", InvalidOperation, nil, "You cannot call a method on a null-valued expression.")
		}
		r, found, err := callOne(c, x, name, args)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, noMethod(x, name)
		}
		if r == Void {
			void = true
			continue
		}
		if inner, ok := Items(r); ok {
			out = append(out, inner...)
		} else {
			out = append(out, r)
		}
	}
	if void && len(out) == 0 {
		return Void, nil
	}
	return Collapse(out), nil
}

// callOne calls an own method of v; found is false when there is none.
func callOne(c *Context, v any, name string, args []any) (r any, found bool, err error) {
	low := strings.ToLower(name)
	if o, ok := v.(*Object); ok {
		if m, ok := o.Methods[low]; ok {
			r, err := m.Call(c, o, args)
			if err != nil {
				return nil, true, invocation(m.Name, len(args), err)
			}
			return r, true, nil
		}
	}
	b := Base(v)
	if a, ok := b.(Adapted); ok {
		r, err := a.Call(c, name, args)
		if err == nil {
			return r, true, nil
		}
		if !errors.Is(err, ErrNoMember) {
			return nil, true, invocation(name, len(args), err)
		}
	}
	for t := TypeOf(b); t != nil; t = t.Base {
		if m := findMethod(methods(t), low); m != nil {
			r, err := m.run(c, b, args)
			return r, true, err
		}
	}
	switch low {
	case "where", "foreach":
		r, err := collectionMethod(c, v, low, args)
		return r, true, err
	}
	if _, isList := Items(b); isList && low != "gettype" && low != "tostring" && low != "equals" && low != "gethashcode" {
		return nil, false, nil
	}
	if m := findMethod(methods(TObject), low); m != nil {
		r, err := m.run(c, v, args)
		return r, true, err
	}
	return nil, false, nil
}

func findMethod(table []methodDef, low string) *methodDef {
	for i := range table {
		if strings.EqualFold(table[i].name, low) {
			return &table[i]
		}
	}
	return nil
}

func (m *methodDef) run(c *Context, this any, args []any) (any, error) {
	bound, err := m.bind(args)
	if err != nil {
		return nil, err
	}
	r, err := m.call(c, this, bound)
	if err != nil {
		return nil, invocation(m.name, len(args), err)
	}
	return r, nil
}

// collectionMethod is .Where and .ForEach, which every value has.
func collectionMethod(c *Context, v any, name string, args []any) (any, error) {
	items, ok := Items(v)
	if !ok {
		items = []any{v}
	}
	if len(args) == 0 {
		return nil, NewError("MethodCountCouldNotFindBest", NotSpecified, TMethodException, "Cannot find an overload for \"%s\" and the argument count: \"0\".", name)
	}
	list := func(out []any) *List { return &List{Kind: TCollection, Items: out} }
	if name == "where" {
		return where(c, items, args, list)
	}
	out := []any{}
	block := Base(args[0])
	if t, ok := block.(*Type); ok {
		for _, x := range items {
			r, err := Convert(x, t)
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
		return list(out), nil
	}
	if member, ok := block.(string); ok {
		for _, x := range items {
			if r, found := property(x, member); found {
				if len(args) > 1 {
					if err := Set(x, member, args[1]); err != nil {
						return nil, err
					}
					continue
				}
				out = append(out, r)
				continue
			}
			r, err := CallMethod(c, x, member, args[1:])
			if err != nil {
				return nil, err
			}
			if r != Void {
				out = append(out, r)
			}
		}
		return list(out), nil
	}
	for _, x := range items {
		r, err := c.invoke(block, x, args[1:])
		if err != nil {
			return nil, err
		}
		out = append(out, r...)
	}
	return list(out), nil
}

func (c *Context) invoke(block, item any, args []any) ([]any, error) {
	if c == nil || c.Invoke == nil {
		return nil, errors.New("Script blocks cannot run here.")
	}
	return c.Invoke(block, item, args)
}

// where is .Where({..}, mode, count).
func where(c *Context, items, args []any, list func([]any) *List) (any, error) {
	mode, limit := "default", 0
	if len(args) > 1 {
		mode = strings.ToLower(String(args[1]))
	}
	if len(args) > 2 {
		n, err := Convert(args[2], TInt)
		if err != nil {
			return nil, err
		}
		limit = int(n.(int32))
	}
	out, rest := []any{}, []any{}
	until := false
	for _, x := range items {
		var ok bool
		if !until {
			r, err := c.invoke(Base(args[0]), x, nil)
			if err != nil {
				return nil, err
			}
			ok = Bool(NewArray(r...))
		}
		switch mode {
		case "default":
			if ok {
				out = append(out, x)
			}
			if limit > 0 && len(out) == limit {
				return list(out), nil
			}
		case "first":
			if ok {
				out = append(out, x)
			}
			if len(out) == max(limit, 1) {
				return list(out), nil
			}
		case "last":
			if ok {
				out = append(out, x)
			}
			if len(out) > max(limit, 1) {
				out = out[1:]
			}
		case "until":
			if ok {
				return list(out), nil
			}
			out = append(out, x)
			if limit > 0 && len(out) == limit {
				return list(out), nil
			}
		case "skipuntil":
			until = until || ok
			if until {
				out = append(out, x)
			}
			if limit > 0 && len(out) == limit {
				return list(out), nil
			}
		case "split":
			if ok && (limit == 0 || len(out) < limit) {
				out = append(out, x)
			} else {
				rest = append(rest, x)
			}
		default:
			return nil, NewError("InvalidWhereMode", InvalidArgument, nil,
				"Cannot convert value \"%s\" to type \"System.Management.Automation.WhereOperatorSelectionMode\" due to enumeration values that are not valid. Specify one of the following enumeration values and try again. The possible enumeration values are \"Default,First,Last,SkipUntil,Until,Split\".", String(args[1]))
		}
	}
	if mode == "split" {
		return NewArray(list(out), list(rest)), nil
	}
	return list(out), nil
}
