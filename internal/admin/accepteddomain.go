package admin

import (
	"context"
	"errors"
	"fmt"

	"busybridge/internal/directory"
)

var (
	errDefaultDomain = errors.New("it is the default domain: make another one the default first")
	errDomainName    = errors.New("the domain itself cannot be changed: add the new one and remove this one")
	errNoDefault     = errors.New("one domain must be the default: make another one the default instead")
)

var acceptedDomains = noun[directory.AcceptedDomain]{
	name:      "AcceptedDomain",
	list:      func(o *directory.Organization) *[]directory.AcceptedDomain { return &o.AcceptedDomains },
	common:    func(d *directory.AcceptedDomain) *directory.Common { return &d.Common },
	also:      func(d *directory.AcceptedDomain, identity string) bool { return d.DomainName == pattern(identity) },
	normalize: func(d *directory.AcceptedDomain) { d.DomainName = pattern(d.DomainName) },
	settle: func(o *directory.Organization, was, d *directory.AcceptedDomain) error {
		switch {
		case d.DomainName != was.DomainName:
			return errDomainName
		case was.Default && !d.Default:
			return errNoDefault
		}
		for i := range o.AcceptedDomains {
			if other := &o.AcceptedDomains[i]; d.Default && other != d {
				other.Default = false
			}
		}
		return nil
	},
	spare: func(ctx context.Context, tx Tx, o *directory.Organization, d *directory.AcceptedDomain) error {
		if d.Default {
			return errDefaultDomain
		}
		var left []string
		for i := range o.AcceptedDomains {
			left = append(left, o.AcceptedDomains[i].DomainName)
		}
		a, err := tx.AddressIn(ctx, o.ID, d.DomainName, left...)
		if err == nil && a != "" {
			err = fmt.Errorf("it is in use by %s", a)
		}
		return err
	},
}

// NewAcceptedDomain adds a mail domain (cmdlet reference 11.3). An empty type is
// Authoritative, an empty name the domain.
func (s *Service) NewAcceptedDomain(ctx context.Context, actor Actor, org directory.OrgID, d directory.AcceptedDomain) (Result[directory.AcceptedDomain], error) {
	if d.DomainType == "" {
		d.DomainType = "Authoritative"
	}
	if d.Name == "" {
		d.Name = pattern(d.DomainName)
	}
	return create(ctx, s, actor, "New-AcceptedDomain", org, acceptedDomains, d)
}

// SetAcceptedDomain changes name, type, or which one is the default: one that
// becomes it takes it from the other.
func (s *Service) SetAcceptedDomain(ctx context.Context, actor Actor, org directory.OrgID, identity string, fn func(*directory.AcceptedDomain) error) (Result[directory.AcceptedDomain], error) {
	return set(ctx, s, actor, "Set-AcceptedDomain", org, acceptedDomains, identity, fn)
}

// RemoveAcceptedDomain removes a domain that is not the default and that no
// address or user principal name is in.
func (s *Service) RemoveAcceptedDomain(ctx context.Context, actor Actor, org directory.OrgID, identity string) (Result[directory.AcceptedDomain], error) {
	return remove(ctx, s, actor, "Remove-AcceptedDomain", org, acceptedDomains, identity)
}
