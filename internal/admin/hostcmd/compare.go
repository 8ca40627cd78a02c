package hostcmd

import (
	"context"
	"strings"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

type compareObject struct {
	ReferenceObject  []any         `ps:"ReferenceObject,mandatory,position=0,allowempty" help:"The first list."`
	DifferenceObject []any         `ps:"DifferenceObject,mandatory,position=1,pipeline=value,allowempty" help:"The second list."`
	Property         []any         `ps:"Property" help:"Properties that are compared, instead of the objects' texts."`
	SyncWindow       int           `ps:"SyncWindow" help:"How many places apart equal objects may stand; without it, anywhere."`
	IncludeEqual     object.Switch `ps:"IncludeEqual" help:"What both lists have, too."`
	ExcludeDifferent object.Switch `ps:"ExcludeDifferent" help:"Only what both lists have; use it with -IncludeEqual."`
	PassThru         object.Switch `ps:"PassThru" help:"The objects themselves, with the side as a further property."`
	CaseSensitive    object.Switch `ps:"CaseSensitive" help:"Case matters."`
	Culture          string        `ps:"Culture" help:"Accepted; texts are compared as en-US does."`

	second []any
}

// Run keeps one object of the second list (Compare-Object).
func (p *compareObject) Run(_ context.Context, _ *interp.Call) error {
	p.second = append(p.second, p.DifferenceObject...)
	return nil
}

// End compares. Equal ones come first, then what only the second list has, then
// what only the first one has.
func (p *compareObject) End(ctx context.Context, c *interp.Call) error {
	waiting := map[string][]int{} // places in the first list, by key
	for i, v := range p.ReferenceObject {
		k, err := p.key(c, v)
		if err != nil {
			return err
		}
		waiting[k] = append(waiting[k], i)
	}
	taken := make([]bool, len(p.ReferenceObject))
	var right []any
	for i, v := range p.second {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		k, err := p.key(c, v)
		if err != nil {
			return err
		}
		at := -1
		for n, j := range waiting[k] {
			if p.SyncWindow < 0 || max(i-j, j-i) <= p.SyncWindow {
				at = j
				waiting[k] = append(waiting[k][:n:n], waiting[k][n+1:]...)
				break
			}
		}
		if at < 0 {
			right = append(right, v)
			continue
		}
		taken[at] = true
		if p.IncludeEqual {
			if err := p.emit(c, p.ReferenceObject[at], "=="); err != nil {
				return err
			}
		}
	}
	if p.ExcludeDifferent {
		return nil
	}
	for _, v := range right {
		if err := p.emit(c, v, "=>"); err != nil {
			return err
		}
	}
	for i, v := range p.ReferenceObject {
		if !taken[i] {
			if err := p.emit(c, v, "<="); err != nil {
				return err
			}
		}
	}
	return nil
}

// values is what is compared of an object: named properties, or calculated ones.
func (p *compareObject) values(c *interp.Call, v any) (names []string, values []any, err error) {
	for _, prop := range p.Property {
		switch x := object.Base(prop).(type) {
		case *interp.ScriptBlock:
			out, err := c.Block(x, v)
			if err != nil {
				return nil, nil, err
			}
			names, values = append(names, x.String()), append(values, object.Collapse(out))
		default:
			n := object.String(x)
			got, _ := object.Get(v, n)
			names, values = append(names, n), append(values, got)
		}
	}
	return names, values, nil
}

func (p *compareObject) key(c *interp.Call, v any) (string, error) {
	text := object.String(v)
	if len(p.Property) > 0 {
		_, values, err := p.values(c, v)
		if err != nil {
			return "", err
		}
		parts := make([]string, len(values))
		for i, x := range values {
			parts[i] = object.String(x)
		}
		text = strings.Join(parts, "\x00")
	}
	if !p.CaseSensitive {
		text = strings.ToLower(text)
	}
	return text, nil
}

func (p *compareObject) emit(c *interp.Call, v any, side string) error {
	if p.PassThru {
		o := object.Wrap(v)
		if bag, ok := v.(*object.Object); ok {
			o = bag.Copy()
		}
		return c.Emit(o.Add("SideIndicator", side))
	}
	o := object.New()
	if len(p.Property) == 0 {
		o.Add("InputObject", v)
	} else {
		names, values, err := p.values(c, v)
		if err != nil {
			return err
		}
		for i, n := range names {
			o.Add(n, values[i])
		}
	}
	return c.Emit(o.Add("SideIndicator", side))
}
