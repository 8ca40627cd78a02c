package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

// A NotFoundError is an identity that names nothing.
type NotFoundError struct{ Noun, Identity string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("no %s %q", e.Noun, e.Identity) }
func (e *NotFoundError) Unwrap() error { return directory.ErrNotFound }

// An AmbiguousError is an identity that names several objects.
type AmbiguousError struct{ Noun, Identity string }

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%q matches several objects of %s", e.Identity, e.Noun)
}

// A noun is a kind of object in a list of an organization.
type noun[T any] struct {
	name   string
	list   func(*directory.Organization) *[]T
	common func(*T) *directory.Common
	// also reports whether identity names the object in a way of its own kind.
	also func(v *T, identity string) bool
	// normalize brings values into canonical form, in place; the rest is for Validate.
	normalize func(*T)
	// settle refuses a change, or changes the rest of the organization with it. May be nil.
	settle func(o *directory.Organization, was, is *T) error
	// spare refuses a removal; o is what would be left. May be nil.
	spare func(ctx context.Context, tx Tx, o *directory.Organization, v *T) error
}

// find resolves an identity: name, GUID, distinguished name (cmdlet reference
// 3.1), or what the kind knows besides.
func (n noun[T]) find(o *directory.Organization, identity string) (int, error) {
	name, ok := rdn(identity)
	if !ok {
		name = identity
	}
	list := *n.list(o)
	key := directory.FoldKey(name)
	if i := slices.IndexFunc(list, func(v T) bool {
		c := n.common(&v)
		return directory.FoldKey(c.Name) == key || strings.EqualFold(c.GUID, identity)
	}); i >= 0 {
		return i, nil
	}
	found := -1
	for i := range list {
		if n.also == nil || !n.also(&list[i], identity) {
			continue
		}
		if found >= 0 {
			return 0, &AmbiguousError{n.name, identity}
		}
		found = i
	}
	if found < 0 {
		return 0, &NotFoundError{n.name, identity}
	}
	return found, nil
}

// create adds v to its list.
func create[T any](ctx context.Context, s *Service, actor Actor, op string, org directory.OrgID, n noun[T], v T) (Result[T], error) {
	var res Result[T]
	name := n.common(&v).Name
	err := s.run(ctx, actor, op, scope{org: org, object: n.name + " " + name}, func(tx Tx) (outcome, error) {
		n.normalize(&v)
		o, err := tx.UpdateOrganization(ctx, org, func(o *directory.Organization) error {
			list := n.list(o)
			*list = append(*list, v)
			return nil
		})
		if err != nil {
			return outcome{}, err
		}
		list := *n.list(o)
		res = Result[T]{Object: list[len(list)-1], Changed: true}
		return outcome{changed: true, after: res.Object}, nil
	})
	return res, err
}

// A document is the metadata document that an object is made from.
type document[T any] struct {
	url   func(*T) string
	read  func(context.Context, T) (T, error) // fetches it
	apply func(*T, T)                         // what was read replaces what the object has
}

// setFetched is set for an object with a metadata document. With refresh, or
// when fn changes its URL, the document is fetched again, before the transaction.
// fn may be nil, and may be called twice.
func setFetched[T any](ctx context.Context, s *Service, actor Actor, op string, org directory.OrgID, n noun[T], identity string, refresh bool, fn func(*T) error, d document[T]) (Result[T], error) {
	if fn == nil {
		fn = func(*T) error { return nil }
	}
	sc := scope{org: org, object: n.name + " " + identity}
	next, err := fetchNext(ctx, s, actor, op, sc, n, identity, refresh, fn, d)
	if err != nil {
		return Result[T]{}, s.finish(ctx, actor, op, sc, err)
	}
	return set(ctx, s, actor, op, org, n, identity, func(v *T) error {
		if err := fn(v); err != nil || next == nil {
			return err
		}
		if d.url(v) != d.url(next) {
			return errMovedAgain
		}
		d.apply(v, *next)
		return nil
	})
}

// fetchNext fetches the document that the change asks for; nil: none.
func fetchNext[T any](ctx context.Context, s *Service, actor Actor, op string, sc scope, n noun[T], identity string, refresh bool, fn func(*T) error, d document[T]) (*T, error) {
	if err := s.permit(ctx, actor, op, sc); err != nil {
		return nil, err
	}
	o, err := s.Store.Organization(ctx, sc.org)
	if err != nil {
		return nil, err
	}
	o = o.Clone()
	at, err := n.find(o, identity)
	if err != nil {
		return nil, err
	}
	v := &(*n.list(o))[at]
	was := d.url(v)
	if err := fn(v); err != nil {
		return nil, err
	}
	switch url := d.url(v); {
	case url == "" && refresh:
		return nil, errNoURL
	case url == "" || !refresh && url == was:
		return nil, nil
	}
	next, err := d.read(ctx, *v)
	return &next, err
}

// set changes the object that identity names. Its GUID stays.
func set[T any](ctx context.Context, s *Service, actor Actor, op string, org directory.OrgID, n noun[T], identity string, fn func(*T) error) (Result[T], error) {
	var res Result[T]
	err := s.run(ctx, actor, op, scope{org: org, object: n.name + " " + identity}, func(tx Tx) (outcome, error) {
		// The lists of before and of after must not share memory: before is JSON at once.
		var before json.RawMessage
		var at int
		var version int64
		var object string
		o, err := tx.UpdateOrganization(ctx, org, func(o *directory.Organization) (err error) {
			version = o.Version
			if at, err = n.find(o, identity); err != nil {
				return err
			}
			v := &(*n.list(o))[at]
			if before, err = json.Marshal(v); err != nil {
				return err
			}
			was := *v
			if err := fn(v); err != nil {
				return err
			}
			n.common(v).GUID = n.common(&was).GUID
			n.normalize(v)
			object = n.name + " " + n.common(&was).Name
			if n.settle != nil {
				return n.settle(o, &was, v)
			}
			return nil
		})
		if err != nil {
			return outcome{}, err
		}
		res = Result[T]{Object: (*n.list(o))[at], Changed: o.Version != version}
		return outcome{res.Changed, before, res.Object, object}, nil
	})
	return res, err
}

// remove takes the object that identity names out of its list.
func remove[T any](ctx context.Context, s *Service, actor Actor, op string, org directory.OrgID, n noun[T], identity string) (Result[T], error) {
	var res Result[T]
	err := s.run(ctx, actor, op, scope{org: org, object: n.name + " " + identity}, func(tx Tx) (outcome, error) {
		_, err := tx.UpdateOrganization(ctx, org, func(o *directory.Organization) error {
			at, err := n.find(o, identity)
			if err != nil {
				return err
			}
			list := n.list(o)
			res = Result[T]{Object: (*list)[at], Changed: true}
			*list = slices.Delete(*list, at, at+1)
			if n.spare != nil {
				return n.spare(ctx, tx, o, &res.Object)
			}
			return nil
		})
		return outcome{changed: true, before: res.Object, object: n.name + " " + n.common(&res.Object).Name}, err
	})
	return res, err
}

// pattern is the canonical form of a domain that may begin with "*.". What is
// no domain stays as it is: Validate says so, with the name of the field.
func pattern(s string) string {
	base, wild := strings.CutPrefix(strings.TrimSpace(s), "*.")
	d, err := smtpaddr.ParseDomain(base)
	switch {
	case err != nil:
		return s
	case wild:
		return "*." + d
	}
	return d
}

func patterns(list []string) []string {
	out := slices.Clone(list)
	for i := range out {
		out[i] = pattern(out[i])
	}
	return out
}
