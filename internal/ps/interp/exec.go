package interp

import (
	"context"
	"errors"
	"strings"
	"time"

	"busybridge/internal/ps/object"
	"busybridge/internal/ps/syntax"
)

// guard runs f in a new block and keeps its nesting counters right.
func (e *env) guard(f func() error) error {
	depth, tries := e.s.depth, e.s.tries
	err := f()
	e.s.depth, e.s.tries = depth, tries
	return err
}

// body runs the statements of b. An error that ends only its statement is written, and the next statement runs, unless
// a try or the preference Stop asks for more.
func (e *env) body(b *syntax.Body) error {
	if b == nil {
		return nil
	}
	var traps []*syntax.Trap
	for _, s := range b.Stmts {
		if t, ok := s.(*syntax.Trap); ok {
			traps = append(traps, t)
		}
	}
	for _, s := range b.Stmts {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		err := e.stmt(s)
		if err == nil {
			continue
		}
		te, ok := err.(*termError)
		if !ok {
			return err
		}
		if len(traps) > 0 {
			handled, err := e.trap(traps, te)
			if err != nil {
				return err
			}
			if handled {
				continue
			}
		}
		if te.script || e.s.tries > 0 {
			return te
		}
		e.s.success = false
		switch e.preference("ErrorActionPreference") {
		case "Stop":
			te.script = true
			return te
		case "Ignore":
		case "SilentlyContinue":
			e.s.remember(te.rec)
		default:
			e.s.remember(te.rec)
			if err := send(e.streams.Error, te.rec); err != nil {
				return err
			}
		}
	}
	return nil
}

func send(s Stream, v any) error {
	if s == nil {
		return nil
	}
	return s(v)
}

// trap runs the trap for te; handled means that the next statement runs.
func (e *env) trap(traps []*syntax.Trap, te *termError) (handled bool, err error) {
	for _, t := range traps {
		if t.Type != nil {
			ty, err := e.typeOf(t.Type)
			if err != nil {
				return false, err
			}
			if te.rec.Exception == nil || !te.rec.Exception.Matches(ty) {
				continue
			}
		}
		e.s.remember(te.rec)
		te.seen = true
		inner := *e
		inner.scope = newScope(e.scope)
		inner.scope.set("_", te.rec)
		err := inner.body(t.Body)
		if f, ok := err.(*flowError); ok {
			switch f.kind {
			case "continue":
				return true, nil
			case "break":
				te.script = true
				return false, te
			}
		}
		if err != nil {
			return false, err
		}
		return true, send(e.streams.Error, te.rec)
	}
	return false, nil
}

func (e *env) stmt(s syntax.Stmt) error {
	switch s := s.(type) {
	case *syntax.Pipeline:
		return e.pipeline(s)
	case *syntax.Assign:
		_, err := e.assign(s)
		if err == nil {
			if x := plain(s.Value); x != nil {
				e.s.success = true
			}
		}
		return err
	case *syntax.If:
		for _, c := range s.Clauses {
			v, err := e.value(c.Cond)
			if err != nil {
				return err
			}
			if object.Bool(v) {
				return e.body(c.Body)
			}
		}
		return e.body(s.Else)
	case *syntax.While:
		return e.loop(s.Label, nil, s.Cond, nil, s.Body)
	case *syntax.For:
		if s.Init != nil {
			if err := e.quiet(s.Init); err != nil {
				return err
			}
		}
		return e.loop(s.Label, nil, s.Cond, s.Next, s.Body)
	case *syntax.Do:
		return e.loop(s.Label, s, nil, nil, s.Body)
	case *syntax.ForEach:
		return e.forEach(s)
	case *syntax.Switch:
		return e.switchStmt(s)
	case *syntax.Try:
		return e.try(s)
	case *syntax.Trap:
		return nil
	case *syntax.Function:
		return e.define(s)
	case *syntax.Flow:
		return e.flow(s)
	}
	return errors.New("interp: unknown statement")
}

// quiet runs the init or next part of for: its value is dropped.
func (e *env) quiet(s syntax.Stmt) error {
	return e.with(func(any) error { return nil }).stmt(s)
}

// broken reports what a loop does after its body: go on, or stop with err.
func broken(err error, label string) (stop bool, out error) {
	f, ok := err.(*flowError)
	if !ok || f.kind != "break" && f.kind != "continue" {
		return err != nil, err
	}
	if f.label != "" && !strings.EqualFold(f.label, label) {
		return true, err
	}
	return f.kind == "break", nil
}

func (e *env) loop(label string, do *syntax.Do, cond, next syntax.Stmt, body *syntax.Body) error {
	for {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		if do == nil && cond != nil {
			v, err := e.value(cond)
			if err != nil {
				return err
			}
			if !object.Bool(v) {
				return nil
			}
		}
		if stop, err := broken(e.body(body), label); stop {
			return err
		}
		if next != nil {
			if err := e.quiet(next); err != nil {
				return err
			}
		}
		if do != nil {
			v, err := e.value(do.Cond)
			if err != nil {
				return err
			}
			if object.Bool(v) == do.Until {
				return nil
			}
		}
	}
}

func (e *env) forEach(s *syntax.ForEach) error {
	v, err := e.value(s.In)
	if err != nil {
		return err
	}
	if v == nil {
		return nil
	}
	items, ok := object.Items(v)
	if !ok {
		items = []any{v}
	}
	items = append([]any(nil), items...)
	for _, item := range items {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		if err := e.setVariable(s.Var.Drive, s.Var.Name, item, nil); err != nil {
			return e.fault(err, s.Var)
		}
		if stop, err := broken(e.body(s.Body), s.Label); stop {
			return err
		}
	}
	return nil
}

// withItem runs f with $_ set to item in the scope of e.
func (e *env) withItem(item any, f func() error) error {
	old := e.scope.local("_")
	e.scope.vars["_"] = &variable{name: "_", value: item}
	err := f()
	if old == nil {
		delete(e.scope.vars, "_")
	} else {
		e.scope.vars["_"] = old
	}
	return err
}

func (e *env) switchStmt(s *syntax.Switch) error {
	var items []any
	if s.File != nil {
		name, err := e.eval(s.File)
		if err != nil {
			return err
		}
		lines, err := e.s.readLines(object.String(name))
		if err != nil {
			return e.fault(err, s.File)
		}
		for _, l := range lines {
			items = append(items, l)
		}
	} else {
		v, err := e.value(s.Value)
		if err != nil {
			return err
		}
		var ok bool
		if items, ok = object.Items(v); !ok {
			items = []any{v}
		}
	}
	for _, item := range items {
		stop := false
		err := e.withItem(item, func() error {
			matched := false
			for _, c := range s.Clauses {
				ok, err := e.matches(s, c.Test, item)
				if err != nil {
					return err
				}
				if ok {
					matched = true
					if err := e.body(c.Body); err != nil {
						return err
					}
				}
			}
			if !matched {
				return e.body(s.Default)
			}
			return nil
		})
		if stop, err = broken(err, s.Label); stop {
			return err
		}
	}
	return nil
}

func (e *env) matches(s *syntax.Switch, test syntax.Expr, item any) (bool, error) {
	if b, ok := test.(*syntax.Block); ok {
		v, err := e.collect(func(e *env) error { return e.body(b.Script.End) })
		return object.Bool(object.Collapse(v)), err
	}
	v, err := e.eval(test)
	if err != nil {
		return false, err
	}
	if sb, ok := object.Base(v).(*ScriptBlock); ok {
		got, err := e.block(sb, item, nil)
		return object.Bool(object.Collapse(got)), err
	}
	c := object.Comparison{Name: "eq", CaseSensitive: s.CaseSensitive}
	a, b := item, v
	switch {
	case s.Regex:
		c.Name = "match"
	case s.Wildcard:
		c.Name = "like"
	case !object.IsNumber(object.Base(v)) || !object.IsNumber(object.Base(item)):
		if v == nil || item == nil {
			return v == nil && item == nil, nil
		}
		a, b = e.text(item), e.text(v)
	}
	if _, ok := object.Items(a); ok {
		a = e.text(a)
	}
	r, m, err := c.Apply(a, b)
	if err != nil {
		return false, e.fault(err, test)
	}
	if m != nil {
		e.scope.set("Matches", m.GroupsTable())
	}
	return object.Bool(r), nil
}

func (e *env) try(s *syntax.Try) (err error) {
	tries := e.s.tries
	if len(s.Catches) > 0 {
		e.s.tries++
	}
	err = e.body(s.Body)
	e.s.tries = tries
	if te, ok := err.(*termError); ok {
		c, cerr := e.catcher(s, te)
		switch {
		case cerr != nil:
			err = cerr
		case c != nil:
			if !te.seen {
				e.s.remember(te.rec)
			}
			err = e.withItem(te.rec, func() error {
				err := e.body(c.Body)
				if f, ok := err.(*termError); ok && f.rec == te.rec {
					f.seen = true
				}
				return err
			})
		}
	}
	if s.Finally != nil {
		if ferr := e.finally(s.Finally, err); ferr != nil {
			return ferr
		}
	}
	return err
}

// maxFinally bounds what a finally block does after Ctrl-C.
const maxFinally = 10 * time.Second

// finally runs b. After Ctrl-C it runs, too: for a while, and what it writes to the pipeline is dropped, since nobody
// takes it any more.
func (e *env) finally(b *syntax.Body, err error) error {
	if e.ctx.Err() == nil {
		return e.body(b)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), maxFinally)
	defer cancel()
	inner := e.with(func(any) error { return nil })
	inner.ctx = ctx
	if ferr := inner.body(b); err == nil {
		return ferr
	}
	return nil // what stopped the command counts
}

// catcher finds the catch block for te: the most derived matching type wins, then the one without type.
func (e *env) catcher(s *syntax.Try, te *termError) (*syntax.Catch, error) {
	var best *syntax.Catch
	depth := -1
	for i := range s.Catches {
		c := &s.Catches[i]
		if len(c.Types) == 0 && best == nil {
			best = c
		}
		for _, name := range c.Types {
			t, err := e.typeOf(name)
			if err != nil {
				return nil, err
			}
			if te.rec.Exception == nil || !te.rec.Exception.Matches(t) {
				continue
			}
			if d := len(t.Names()); d > depth {
				best, depth = c, d
			}
		}
	}
	return best, nil
}

func (e *env) flow(s *syntax.Flow) error {
	switch s.Keyword {
	case "break", "continue":
		label := ""
		if s.Label != nil {
			v, err := e.eval(s.Label)
			if err != nil {
				return err
			}
			label = object.String(v)
		}
		return &flowError{kind: s.Keyword, label: label}
	case "return":
		if s.Value != nil {
			if x := plain(s.Value); x != nil {
				v, err := e.eval(x)
				if err != nil {
					return err
				}
				if err := e.write(v); err != nil {
					return err
				}
			} else if err := e.stmt(s.Value); err != nil {
				return err
			}
		}
		return &flowError{kind: "return"}
	case "exit":
		code := int32(0)
		if s.Value != nil {
			v, err := e.value(s.Value)
			if err != nil {
				return err
			}
			n, err := object.Convert(v, object.TInt)
			if err == nil {
				code = n.(int32)
			}
		}
		return &flowError{kind: "exit", code: int(code)}
	}
	var v any
	if s.Value != nil {
		var err error
		if v, err = e.value(s.Value); err != nil {
			return err
		}
	} else if cur := e.scope.find("_"); cur != nil {
		// A bare throw in a catch block throws the same error again.
		if rec, ok := cur.value.(*object.ErrorRecord); ok {
			return &termError{rec: rec, script: true}
		}
	}
	rec := object.Thrown(v)
	if rec.Position == nil {
		p := position(e.src, s.Span())
		rec.Position = &p
	}
	return &termError{rec: rec, script: true}
}

// define makes a function of the current session; a scope before its name is dropped, since functions are global here.
func (e *env) define(f *syntax.Function) error {
	name := f.Name
	if i := strings.IndexByte(name, ':'); i > 0 {
		switch strings.ToLower(name[:i]) {
		case "global", "script", "local", "private", "function":
			name = name[i+1:]
		}
	}
	fn, err := e.newFunction(name, f.Script, f.Filter)
	if err != nil {
		return e.fault(err, f)
	}
	e.s.functions[strings.ToLower(name)] = fn
	return nil
}
