package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

// ErrForbidden is wrapped by every refusal for want of permission.
var ErrForbidden = errors.New("not allowed")

// A rule says who may run an operation; the operator of the deployment may run all.
type rule uint8

const (
	// byOperator: nobody else.
	byOperator rule = iota + 1
	// byOwner: administrators of the organization, unless it is hosted. There
	// the operation belongs to the operator: a tenant that could name domains,
	// hosts or token issuers could name those of its neighbours.
	byOwner
	// byAdmin: administrators of the organization.
	byAdmin
	// byRealmAdmin: administrators of the realm, or of the organization that is
	// its tenant.
	byRealmAdmin
	// byUser: the account itself, or administrators of its organization.
	byUser
	// byImporter: whose mailbox it is, or RoleImport in its organization.
	byImporter
)

// rules is the one table of who may do what. Whether a cmdlet exists for
// tenants of a cloud is column "In" of the cmdlet reference.
var rules = map[string]rule{
	"New-Organization":    byOperator,
	"New-Realm":           byOperator,
	"Add-VerifiedDomain":  byOperator,
	"Set-AuthorityConfig": byOperator,

	"New-AcceptedDomain":              byOwner,
	"New-ExchangeServer":              byOwner,
	"Set-WebServicesVirtualDirectory": byOwner,
	"New-ExchangeCertificate":         byOwner,
	"Set-AuthConfig":                  byOwner,
	"New-AuthServer":                  byOwner,
	"Set-AuthServer":                  byOwner,
	"Remove-AuthServer":               byOwner,

	"New-PartnerApplication":            byAdmin,
	"Set-PartnerApplication":            byAdmin,
	"Remove-PartnerApplication":         byAdmin,
	"New-IntraOrganizationConnector":    byAdmin,
	"Set-IntraOrganizationConnector":    byAdmin,
	"Remove-IntraOrganizationConnector": byAdmin,
	"New-OrganizationRelationship":      byAdmin,
	"Set-OrganizationRelationship":      byAdmin,
	"Remove-OrganizationRelationship":   byAdmin,
	"Add-AvailabilityAddressSpace":      byAdmin,
	"Remove-AvailabilityAddressSpace":   byAdmin,

	"New-Mailbox":                        byAdmin,
	"New-MailUser":                       byAdmin,
	"Set-MailboxCalendarConfiguration":   byAdmin,
	"Set-MailboxFolderPermission":        byAdmin,
	"New-Account":                        byAdmin,
	"Set-Password":                       byUser,
	"Import-Calendar":                    byImporter,
	"New-MsolServicePrincipal":           byRealmAdmin,
	"Set-MsolServicePrincipal":           byRealmAdmin,
	"New-MsolServicePrincipalCredential": byRealmAdmin,

	"Remove-MsolServicePrincipalCredential": byRealmAdmin,
}

// permit decides by the table. It looks at nothing of an organization that the
// actor does not belong to.
func (s *Service) permit(ctx context.Context, actor Actor, op string, sc scope) error {
	r, ok := rules[op]
	if !ok {
		return fmt.Errorf("%w: the operation is in no table", ErrForbidden)
	}
	if actor.System {
		return nil
	}
	here := sc.org != "" && actor.Org == sc.org
	admin := here && slices.Contains(actor.Roles, directory.RoleAdmin)
	switch r {
	case byOwner:
		if !admin {
			break
		}
		o, err := s.Store.Organization(ctx, sc.org)
		if err != nil {
			return err
		}
		if o.Tenant == "" {
			return nil
		}
		return fmt.Errorf("%w: in a hosted organization this belongs to the operator, not to %s", ErrForbidden, actor.Name)
	case byAdmin:
		if admin {
			return nil
		}
	case byRealmAdmin:
		if !slices.Contains(actor.Roles, directory.RoleAdmin) {
			break
		}
		if actor.Realm != "" && actor.Realm == sc.realm {
			return nil
		}
		o, err := s.Store.Organization(ctx, actor.Org)
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			return err
		}
		if err == nil && o.Tenant != "" && o.Tenant == sc.realm {
			return nil
		}
	case byUser:
		if admin || here && actor.Name == sc.account {
			return nil
		}
	case byImporter:
		if here && (slices.Contains(actor.Roles, directory.RoleImport) || admin) {
			return nil
		}
		if !here || sc.mailbox == nil {
			break
		}
		a, err := s.Store.Account(ctx, actor.Name)
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			return err
		}
		if err == nil && a.Enabled && a.Org == sc.org && a.Address != (smtpaddr.Address{}) && sc.mailbox.HasAddress(a.Address) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s has no role for it", ErrForbidden, actor.Name)
}

// permitView is permit for operations that only read. A refusal is recorded.
func (s *Service) permitView(ctx context.Context, actor Actor, op string, sc scope) error {
	if err := s.permit(ctx, actor, op, sc); err != nil {
		return s.finish(ctx, actor, op, sc, err)
	}
	return nil
}
