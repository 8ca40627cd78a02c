package shell

import (
	"strings"

	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/psrp"
	"busybridge/internal/ps/syntax"
)

// plain turns the text of a script block into commands with values, as
// Invoke-Command sends it to a session without language: pipelines of commands
// whose arguments are constants or the block's own parameters. ok is false for
// anything else, which has to go as a script.
func plain(text string, args []hostcmd.Argument) (statements [][]psrp.Command, ok bool) {
	script, err := syntax.Parse("", text)
	if err != nil || script.Named || len(script.End.Stmts) == 0 {
		return nil, false
	}
	c := constants{"true": true, "false": false, "null": nil}
	for _, p := range script.Params {
		switch {
		case len(args) > 0 && args[0].Name == "":
			c[strings.ToLower(p.Name)], args = args[0].Value, args[1:]
		case p.Default != nil:
			if c[strings.ToLower(p.Name)], ok = c.value(p.Default); !ok {
				return nil, false
			}
		default:
			c[strings.ToLower(p.Name)] = nil
		}
	}
	if len(args) > 0 { // they would be $args
		return nil, false
	}
	for _, st := range script.End.Stmts {
		p, isPipeline := st.(*syntax.Pipeline)
		if !isPipeline {
			return nil, false
		}
		var list []psrp.Command
		for _, e := range p.Elements {
			cmd, ok := c.command(e)
			if !ok {
				return nil, false
			}
			list = append(list, cmd)
		}
		statements = append(statements, list)
	}
	return statements, true
}

// constants are the values of the variables that have one.
type constants map[string]any

func (c constants) command(e syntax.Element) (psrp.Command, bool) {
	cmd, ok := e.(*syntax.Command)
	if !ok || cmd.Op == "." || len(cmd.Redirs) > 0 {
		return psrp.Command{}, false
	}
	name, ok := c.value(cmd.Name)
	text, isText := name.(string)
	if !ok || !isText {
		return psrp.Command{}, false
	}
	out := psrp.Command{Name: text}
	for _, a := range cmd.Args {
		switch {
		case a.Stop || a.Verbatim:
			return psrp.Command{}, false
		case a.Value == nil:
			out.Arguments = append(out.Arguments, psrp.Argument{Name: a.Param, Alone: true})
			continue
		}
		v, ok := c.value(a.Value)
		if !ok {
			return psrp.Command{}, false
		}
		out.Arguments = append(out.Arguments, psrp.Argument{Name: a.Param, Value: v})
	}
	return out, true
}

// value is what a constant expression stands for.
func (c constants) value(x syntax.Expr) (any, bool) {
	switch x := x.(type) {
	case *syntax.String:
		return x.Value, true
	case *syntax.Number:
		return x.Value, true
	case *syntax.Variable:
		v, ok := c[strings.ToLower(x.Name)]
		return v, ok && x.Drive == "" && !x.Splat
	case *syntax.Expandable:
		var b strings.Builder
		for _, p := range x.Parts {
			v, ok := c.value(p)
			if !ok {
				return nil, false
			}
			b.WriteString(object.String(v))
		}
		return b.String(), true
	case *syntax.List:
		var list []any
		for _, i := range x.Items {
			v, ok := c.value(i)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		return object.NewArray(list...), true
	case *syntax.Array:
		if len(x.Body.Stmts) == 0 {
			return object.NewArray(), true
		}
		if len(x.Body.Stmts) > 1 {
			return nil, false
		}
		v, ok := c.statement(x.Body.Stmts[0])
		if _, list := object.Items(v); ok && !list {
			v = object.NewArray(v)
		}
		return v, ok
	case *syntax.Paren:
		return c.statement(x.Stmt)
	}
	return nil, false
}

func (c constants) statement(st syntax.Stmt) (any, bool) {
	p, ok := st.(*syntax.Pipeline)
	if !ok || len(p.Elements) != 1 {
		return nil, false
	}
	e, ok := p.Elements[0].(*syntax.CommandExpr)
	if !ok || len(e.Redirs) > 0 {
		return nil, false
	}
	return c.value(e.X)
}
