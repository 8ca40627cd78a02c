package exchangecmd

import (
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/ps/object"
)

// A multiValued is a list-valued parameter (MVP, 3.7): a value, several values,
// or on Set- cmdlets @{Add=…; Remove=…}.
type multiValued struct {
	set         []string
	add, remove []string
	edits       bool
}

// ParameterType is what help calls the type.
func (multiValued) ParameterType() string { return "MultiValuedProperty" }

// BindPS implements interp.Binder.
func (m *multiValued) BindPS(v any) error {
	*m = multiValued{}
	h, ok := object.Base(v).(*object.Hashtable)
	if !ok {
		m.set = texts(v)
		return nil
	}
	m.edits = true
	for k, v := range h.All() {
		switch strings.ToLower(object.String(k)) {
		case "add":
			m.add = texts(v)
		case "remove":
			m.remove = texts(v)
		case "@odata.type":
		default:
			return fmt.Errorf("A list is changed by @{Add=...; Remove=...}: %q is neither Add nor Remove.", object.String(k)) // shown as it stands
		}
	}
	return nil
}

// texts is v as a list of strings; null is none. An element that is an object
// with a Domain (7.2) is that.
func texts(v any) []string {
	if v == nil {
		return nil
	}
	items, ok := object.Items(object.Base(v))
	if !ok {
		items = []any{v}
	}
	out := make([]string, 0, len(items))
	for _, i := range items {
		if o, ok := i.(*object.Object); ok && o.Base == nil {
			if d, ok := o.Get("Domain"); ok {
				i = d
			}
		}
		if s := object.String(i); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// A domainNames is a list of domains that an object in the pipeline carries in a
// property DomainNames (9.1).
type domainNames struct{ multiValued }

// BindPS implements interp.Binder.
func (d *domainNames) BindPS(v any) error {
	if o, ok := v.(*object.Object); ok && o.Base == nil {
		if list, ok := o.Get("DomainNames"); ok {
			v = list
		}
	}
	return d.multiValued.BindPS(v)
}

// apply is the list after the change; without regard to case, each value once.
func (m *multiValued) apply(now []string) []string {
	if !m.edits {
		return slices.Clone(m.set)
	}
	out := slices.Clone(now)
	same := func(s string) func(string) bool { return func(o string) bool { return strings.EqualFold(s, o) } }
	for _, s := range m.remove {
		out = slices.DeleteFunc(out, same(s))
	}
	for _, s := range m.add {
		if !slices.ContainsFunc(out, same(s)) {
			out = append(out, s)
		}
	}
	return out
}

// A domain is an element of a list of domains: it compares and prints as a
// string, and has a member Domain (7.2).
func domains(names []string) *object.Array {
	items := make([]any, len(names))
	for i, n := range names {
		items[i] = object.Wrap(n).Add("Domain", n)
	}
	return &object.Array{Items: items}
}
