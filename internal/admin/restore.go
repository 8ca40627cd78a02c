package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"busybridge/internal/directory"
)

// A Change is one object before and after somebody changed it, as JSON. Nothing
// is nil: it was not there.
type Change struct {
	Kind   string          `json:"kind"` // as in the audit trail: AuthServer, ServicePrincipal, …
	ID     string          `json:"id"`   // GUID
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

var (
	errNoKind    = errors.New("objects of this kind are not restored")
	errNoRemoved = errors.New("an object that was removed is not made anew")
)

// RestoreObject takes one change of an object of the organization back. One that
// the change had made is removed. Of one that was changed, what the change had
// touched is as before, and what others have changed since stays; when nobody
// has, it is what it was, times included.
func (s *Service) RestoreObject(ctx context.Context, actor Actor, org directory.OrgID, c Change) (changed bool, err error) {
	err = s.run(ctx, actor, "Undo-HybridConfiguration", scope{org: org, object: c.Kind + " " + c.ID}, func(tx Tx) (outcome, error) {
		var version int64
		var was outcome
		o, err := tx.RestoreOrganization(ctx, org, func(o *directory.Organization) (err error) {
			version = o.Version
			switch c.Kind {
			case authServers.name:
				was, err = restore(authServers.list(o), func(v *directory.AuthServer) string { return v.GUID }, c)
			case partnerApplications.name:
				was, err = restore(partnerApplications.list(o), func(v *directory.PartnerApplication) string { return v.GUID }, c)
			case connectors.name:
				was, err = restore(connectors.list(o), func(v *directory.IntraOrganizationConnector) string { return v.GUID }, c)
			case relationships.name:
				was, err = restore(relationships.list(o), func(v *directory.OrganizationRelationship) string { return v.GUID }, c)
			case addressSpaces.name:
				if len(c.Before) > 0 { // its password is in no Change
					return errNoKind
				}
				was, err = restore(addressSpaces.list(o), func(v *directory.AvailabilityAddressSpace) string { return v.GUID }, c)
			default:
				err = errNoKind
			}
			return err
		})
		if err != nil {
			return outcome{}, err
		}
		changed = o.Version != version
		was.changed = changed
		return was, nil
	})
	return changed, err
}

// RestoreServicePrincipal is RestoreObject for an application of a realm.
func (s *Service) RestoreServicePrincipal(ctx context.Context, actor Actor, realm string, c Change) (changed bool, err error) {
	err = s.changeRealm(ctx, actor, "Undo-MsolHybridConfiguration", realm, "ServicePrincipal "+c.ID, func(r *directory.Realm) (outcome, error) {
		if c.Kind != "ServicePrincipal" {
			return outcome{}, errNoKind
		}
		out, err := restore(&r.Principals, func(p *directory.ServicePrincipal) string { return p.ObjectID }, c)
		changed = out.changed
		return out, err
	})
	return changed, err
}

// restore takes c back in the list that holds the object.
func restore[T any](list *[]T, id func(*T) string, c Change) (outcome, error) {
	at := slices.IndexFunc(*list, func(v T) bool { return id(&v) == c.ID })
	switch {
	case at < 0 && len(c.After) == 0:
		return outcome{}, errNoRemoved
	case at < 0: // somebody has removed it
		return outcome{}, nil
	case len(c.Before) == 0:
		out := outcome{changed: true, before: (*list)[at]}
		*list = slices.Delete(*list, at, at+1)
		return out, nil
	}
	now, err := json.Marshal((*list)[at])
	if err != nil {
		return outcome{}, err
	}
	var v [3]any
	for i, b := range [][]byte{c.Before, c.After, now} {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&v[i]); err != nil {
			return outcome{}, fmt.Errorf("change of %s %s: %w", c.Kind, c.ID, err)
		}
	}
	merged, err := json.Marshal(revert(v[0], v[1], v[2]))
	if err != nil {
		return outcome{}, err
	}
	var is T
	if err := json.Unmarshal(merged, &is); err != nil {
		return outcome{}, fmt.Errorf("change of %s %s: %w", c.Kind, c.ID, err)
	}
	if id(&is) != c.ID {
		return outcome{}, fmt.Errorf("change of %s %s is of another object", c.Kind, c.ID)
	}
	out := outcome{changed: !reflect.DeepEqual((*list)[at], is), before: json.RawMessage(now), after: is}
	(*list)[at] = is
	return out, nil
}

// revert is now without what changed from before to after. What is another value
// by now stays.
func revert(before, after, now any) any {
	switch {
	case reflect.DeepEqual(after, now):
		return before
	case reflect.DeepEqual(before, after):
		return now
	}
	switch n := now.(type) {
	case map[string]any:
		b, okBefore := before.(map[string]any)
		a, okAfter := after.(map[string]any)
		if !okBefore || !okAfter {
			return now
		}
		out := maps.Clone(n)
		for k := range a {
			v, had := b[k]
			switch is, has := n[k]; {
			case !had && reflect.DeepEqual(a[k], is):
				delete(out, k)
			case has:
				out[k] = revert(v, a[k], is)
			}
		}
		for k, v := range b {
			if _, kept := a[k]; !kept && n[k] == nil {
				out[k] = v
			}
		}
		return out
	case []any:
		b, _ := before.([]any)
		a, _ := after.([]any)
		has := func(l []any, v any) bool {
			return slices.ContainsFunc(l, func(x any) bool { return reflect.DeepEqual(x, v) })
		}
		out := slices.DeleteFunc(slices.Clone(n), func(v any) bool { return has(a, v) && !has(b, v) })
		for i, v := range b {
			if !has(a, v) && !has(out, v) {
				out = slices.Insert(out, min(i, len(out)), v)
			}
		}
		if len(out) == 0 && before == nil {
			return nil
		}
		return out
	}
	return now
}
