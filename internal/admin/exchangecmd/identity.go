package exchangecmd

import (
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/ps/object"
)

// An identity names an object (3.1): text, or an object that has a property
// Identity. Null is no identity: Get- cmdlets then return everything.
type identity struct{ text string }

// BindPS implements interp.Binder.
func (i *identity) BindPS(v any) error {
	switch b := object.Base(v).(type) {
	case nil:
		i.text = ""
	case *object.Object:
		for _, name := range []string{"Identity", "DistinguishedName", "Guid", "Name"} {
			if p, ok := b.Get(name); ok && p != nil && object.String(p) != "" {
				i.text = object.String(p)
				return nil
			}
		}
		i.text = object.String(v)
	default:
		i.text = object.String(v)
	}
	return nil
}

func (i identity) String() string { return i.text }

// given reports whether it names anything.
func (i identity) given() bool { return i.text != "" }

// pattern reports whether it begins or ends with "*": one that matches nothing
// is no error.
func (i identity) pattern() bool {
	return strings.HasPrefix(i.text, "*") || strings.HasSuffix(i.text, "*")
}

// matches reports whether the identity names an object by name, GUID,
// distinguished name, or one of also.
func (i identity) matches(c *directory.Common, dn string, also ...string) bool {
	for _, s := range append([]string{c.Name, c.GUID, dn}, also...) {
		if s == "" {
			continue
		}
		if strings.EqualFold(s, i.text) || i.pattern() && object.Like(s, i.literal()) {
			return true
		}
	}
	return false
}

// literal is the pattern with every other special character taken literally.
func (i identity) literal() string {
	body := strings.Trim(i.text, "*")
	out := strings.NewReplacer("`", "``", "[", "`[", "]", "`]", "?", "`?", "*", "`*").Replace(body)
	if strings.HasPrefix(i.text, "*") {
		out = "*" + out
	}
	if strings.HasSuffix(i.text, "*") {
		out += "*"
	}
	return out
}

// list emits the objects of a list that id names, all when it names none. One
// that names nothing is an error unless it is a pattern.
func list[T any](k *call, id identity, items []T, match func(*T) bool, show func(*T) any) error {
	found := false
	for i := range items {
		if id.given() && !match(&items[i]) {
			continue
		}
		found = true
		if err := k.Emit(show(&items[i])); err != nil {
			return err
		}
	}
	if !found && id.given() && !id.pattern() {
		return k.WriteError(k.notFound(id.text))
	}
	return nil
}
