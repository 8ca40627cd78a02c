package exchangecmd

import (
	"context"
	"strings"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/object"
)

// An identity names an object (3.1): text, or an object that has a property
// Identity. Null is no identity: Get- cmdlets then return everything.
type identity struct{ text string }

// ParameterType is what help calls the type.
func (identity) ParameterType() string { return "IdParameter" }

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

// A noun is a kind of object that the organization holds a list of.
type noun[T any] struct {
	kind
	list   func(*directory.Organization) []T
	common func(*T) *directory.Common
	also   func(*T) []string // further identities of the kind; nil: none
}

func (n noun[T]) matches(o *directory.Organization, v *T, id identity) bool {
	var also []string
	if n.also != nil {
		also = n.also(v)
	}
	c := n.common(v)
	return id.matches(c, n.dn(o, c.Name), also...)
}

// get is the work of a Get- cmdlet over the list.
func (n noun[T]) get(k *call, o *directory.Organization, id identity, show func(*T) any) error {
	return list(k, id, n.list(o), func(v *T) bool { return n.matches(o, v, id) }, show)
}

// name is the name of the one object that id names, "" when there is not exactly
// one, which has been reported then. A wildcard names nothing here.
func (n noun[T]) name(k *call, o *directory.Organization, id identity) (string, error) {
	name, items := "", n.list(o)
	for i := range items {
		switch c := n.common(&items[i]); {
		case id.pattern() && !strings.EqualFold(c.Name, id.text) || !n.matches(o, &items[i], id):
		case name != "":
			return "", k.WriteError(k.fail(&admin.AmbiguousError{Identity: id.text}))
		default:
			name = c.Name
		}
	}
	if name == "" {
		return "", k.WriteError(k.notFound(id.text))
	}
	return name, nil
}

// set is the work of a Set- cmdlet: change gets the name of the object that id
// names, once the sentence, which has a place for it, has been agreed to.
func (n noun[T]) set(k *call, o *directory.Organization, id identity, sentence string, change func(name string) (admin.Result[T], error)) error {
	name, err := n.name(k, o, id)
	if name == "" {
		return err
	}
	if ok, err := k.should(sentence, name); !ok {
		return err
	}
	res, err := change(name)
	return changed(k, name, res, err)
}

// remove is the work of a Remove- cmdlet.
func (n noun[T]) remove(k *call, o *directory.Organization, id identity, sentence string, op func(context.Context, admin.Actor, directory.OrgID, string) (admin.Result[T], error)) error {
	name, err := n.name(k, o, id)
	if name == "" {
		return err
	}
	if ok, err := k.should(sentence, name); !ok {
		return err
	}
	res, err := op(k.ctx, k.actor, k.Org, name)
	return removed(k, res, err)
}
