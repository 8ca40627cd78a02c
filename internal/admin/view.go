package admin

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"busybridge/internal/audit"
	"busybridge/internal/directory"
)

// Operations that only read take the name of the cmdlet that reads: each is in
// the table of rules, and cmdlets that change read under their own name. They
// are not in the audit trail; refusals are.

// withheld stands for a secret whose reader may know only that there is one.
var withheld = directory.Secret("withheld")

// ViewOrganization is the organization, for an actor that may read it by op.
// Secrets are only for administrators.
func (s *Service) ViewOrganization(ctx context.Context, actor Actor, op string, org directory.OrgID) (*directory.Organization, error) {
	if err := s.permitView(ctx, actor, op, scope{org: org, object: "Organization"}); err != nil {
		return nil, err
	}
	o, err := s.Store.Organization(ctx, org)
	if err != nil || actor.System || actor.has(directory.RoleAdmin) {
		return o, err
	}
	o = o.Clone()
	for i := range o.Certificates {
		withhold(&o.Certificates[i].Key)
	}
	for i := range o.AddressSpaces {
		withhold(&o.AddressSpaces[i].Password)
	}
	return o, nil
}

func withhold(s *directory.Secret) {
	if len(*s) > 0 {
		*s = withheld
	}
}

// ViewRealm is the realm with the GUID or the verified domain.
func (s *Service) ViewRealm(ctx context.Context, actor Actor, op, realm string) (*directory.Realm, error) {
	sc, err := s.realmScope(ctx, actor, realm, "Realm")
	if err != nil {
		return nil, s.finish(ctx, actor, op, sc, err)
	}
	if err := s.permitView(ctx, actor, op, sc); err != nil {
		return nil, err
	}
	return s.Store.Realm(ctx, sc.realm)
}

// A RecipientFilter chooses recipients. The zero filter chooses all.
type RecipientFilter struct {
	Types []string                        // nil: any
	Match func(*directory.Recipient) bool // nil: any
	Limit int                             // 0: all
}

// Recipients streams the recipients of the organization by display name, in
// pages, so that the whole list is never in memory.
func (s *Service) Recipients(ctx context.Context, actor Actor, op string, org directory.OrgID, f RecipientFilter) iter.Seq2[*directory.Recipient, error] {
	return func(yield func(*directory.Recipient, error) bool) {
		if err := s.permitView(ctx, actor, op, scope{org: org, object: "Recipients"}); err != nil {
			yield(nil, err)
			return
		}
		n := 0
		for r, err := range s.Store.Recipients(ctx, org) {
			switch {
			case err != nil:
			case f.Types != nil && !slices.Contains(f.Types, r.Type), f.Match != nil && !f.Match(r):
				continue
			}
			if !yield(r, err) || err != nil {
				return
			}
			if n++; n == f.Limit {
				return
			}
		}
	}
}

// FindRecipient is the recipient of one of the types (none: any) that identity
// names: by any address, user principal name, GUID, name, alias, display name,
// logon name, distinguished or canonical name (cmdlet reference 3.1). One that
// names none is a *NotFoundError, one that names several an *AmbiguousError.
func (s *Service) FindRecipient(ctx context.Context, actor Actor, op string, org directory.OrgID, identity string, types ...string) (*directory.Recipient, error) {
	if err := s.permitView(ctx, actor, op, scope{org: org, object: "Recipient " + identity}); err != nil {
		return nil, err
	}
	return s.find(ctx, org, identity, types...)
}

// Accounts are the accounts of the organization by name, without password hashes.
func (s *Service) Accounts(ctx context.Context, actor Actor, op string, org directory.OrgID) ([]*directory.Account, error) {
	return s.accounts(ctx, actor, op, scope{org: org, object: "Accounts"})
}

// RealmAccounts are the accounts of the realm by name, without password hashes.
func (s *Service) RealmAccounts(ctx context.Context, actor Actor, op, realm string) ([]*directory.Account, error) {
	sc, err := s.realmScope(ctx, actor, realm, "Accounts")
	if err != nil {
		return nil, s.finish(ctx, actor, op, sc, err)
	}
	return s.accounts(ctx, actor, op, sc)
}

func (s *Service) accounts(ctx context.Context, actor Actor, op string, sc scope) ([]*directory.Account, error) {
	if err := s.permitView(ctx, actor, op, sc); err != nil {
		return nil, err
	}
	list, err := s.Store.Accounts(ctx, sc.owner())
	for _, a := range list {
		withholdHashes(a)
	}
	return list, err
}

func withholdHashes(a *directory.Account) {
	a.PasswordHash = ""
	for i := range a.AppPasswords {
		a.AppPasswords[i].Hash = ""
	}
}

// An AuditQuery chooses events. Lists are alternatives, without regard to case;
// an empty one is any.
type AuditQuery struct {
	From, Until time.Time // half-open; zero: no bound
	Operations  []string
	Objects     []string // "AuthServer ACS", or its name only
	Actors      []string
	Limit       int    // 0: all
	Realm       string // the trail of this realm instead of the organization's
}

// SearchAdminAuditLog streams what was changed, tried and refused, the newest
// first. The tokens that a realm issued are in its trail too, but not here.
func (s *Service) SearchAdminAuditLog(ctx context.Context, actor Actor, org directory.OrgID, q AuditQuery) iter.Seq2[audit.Event, error] {
	const op = "Search-AdminAuditLog"
	return func(yield func(audit.Event, error) bool) {
		sc, err := scope{org: org, object: "AdminAuditLog"}, error(nil)
		if q.Realm != "" {
			sc, err = s.realmScope(ctx, actor, q.Realm, sc.object)
		}
		if err == nil {
			err = s.permitView(ctx, actor, op, sc)
		}
		if err != nil {
			yield(audit.Event{}, err)
			return
		}
		n := 0
		for e, err := range s.Store.AuditEvents(ctx, audit.Filter{Org: sc.owner(), From: q.From, Until: q.Until}) {
			if err == nil && !q.matches(&e) {
				continue
			}
			if !yield(e, err) || err != nil {
				return
			}
			if n++; n == q.Limit {
				return
			}
		}
	}
}

func (q *AuditQuery) matches(e *audit.Event) bool {
	among := func(list []string, values ...string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(s string) bool {
			return slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(s, v) })
		})
	}
	_, name, _ := strings.Cut(e.Object, " ")
	return strings.Contains(e.Operation, "-") && // operations of administrators are named as cmdlets
		among(q.Operations, e.Operation) && among(q.Objects, e.Object, name) && among(q.Actors, e.Actor)
}

// realmScope is about the realm with the id or verified domain.
func (s *Service) realmScope(ctx context.Context, actor Actor, realm, object string) (scope, error) {
	sc := scope{realm: strings.ToLower(realm), object: object}
	if sc.realm == "" {
		return sc, fmt.Errorf("realm %q: %w", realm, directory.ErrNotFound)
	}
	if !directory.IsGUID(sc.realm) {
		switch r, err := s.Store.Realm(ctx, realm); {
		case err == nil:
			sc.realm = r.ID
		case !actor.System && errors.Is(err, directory.ErrNotFound):
			// permit refuses it: which domains have a realm is not for everybody.
		default:
			return sc, err
		}
	}
	return sc, nil
}
