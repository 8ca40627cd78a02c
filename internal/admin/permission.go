package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"busybridge/internal/directory"
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
	// byViewer: who has RoleAdmin or RoleView there, in an organization or a realm.
	byViewer
	// byUser: the account itself, or administrators of its organization or realm.
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

	"New-AcceptedDomain":               byOwner,
	"Set-AcceptedDomain":               byOwner,
	"Remove-AcceptedDomain":            byOwner,
	"New-ExchangeServer":               byOwner,
	"Remove-ExchangeServer":            byOwner,
	"Set-WebServicesVirtualDirectory":  byOwner,
	"Set-AutodiscoverVirtualDirectory": byOwner,
	"Set-ClientAccessServer":           byOwner,
	"Set-ClientAccessService":          byOwner,
	"New-ExchangeCertificate":          byOwner,
	"Enable-ExchangeCertificate":       byOwner,
	"Remove-ExchangeCertificate":       byOwner,
	"Export-ExchangeCertificate":       byOwner,
	"Import-ExchangeCertificate":       byOwner,
	"Set-AuthConfig":                   byOwner,
	"Test-AuthCertificatePublication":  byOwner,
	"Undo-HybridConfiguration":         byOwner,
	"New-AuthServer":                   byOwner,
	"Set-AuthServer":                   byOwner,
	"Remove-AuthServer":                byOwner,

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
	"Set-AvailabilityConfig":            byAdmin,
	"Test-OAuthConnectivity":            byAdmin,
	"Test-FreeBusyConnectivity":         byAdmin,

	"New-Mailbox":                      byAdmin,
	"Enable-Mailbox":                   byAdmin,
	"Set-Mailbox":                      byAdmin,
	"Disable-Mailbox":                  byAdmin,
	"Remove-Mailbox":                   byAdmin,
	"New-MailUser":                     byAdmin,
	"Set-MailUser":                     byAdmin,
	"Remove-MailUser":                  byAdmin,
	"Set-MailboxCalendarConfiguration": byAdmin,
	"Add-MailboxFolderPermission":      byAdmin,
	"Set-MailboxFolderPermission":      byAdmin,
	"Remove-MailboxFolderPermission":   byAdmin,
	"New-MailboxCalendarSource":        byAdmin,
	"Set-MailboxCalendarSource":        byAdmin,
	"Remove-MailboxCalendarSource":     byAdmin,
	"Update-MailboxCalendarSource":     byAdmin,
	"Test-MailboxCalendarSource":       byAdmin,
	"Import-Calendar":                  byImporter,
	"Get-CalendarFolder":               byImporter,
	"Set-CalendarFolder":               byImporter,
	"Remove-CalendarFolder":            byImporter,
	"New-Account":                      byAdmin,
	"Set-Account":                      byAdmin,
	"Remove-Account":                   byAdmin,
	"New-ManagementRoleAssignment":     byAdmin,
	"Remove-ManagementRoleAssignment":  byAdmin,
	"New-LinkedUser":                   byAdmin,
	"Remove-LinkedUser":                byAdmin,
	"Set-OrganizationConfig":           byAdmin,
	"Set-Password":                     byUser,
	"New-AppPassword":                  byUser,
	"Remove-AppPassword":               byUser,
	"Add-ClientCertificate":            byOwner,
	"Remove-ClientCertificate":         byUser,

	"Undo-MsolHybridConfiguration":          byRealmAdmin,
	"New-RealmAccount":                      byRealmAdmin,
	"Set-RealmAccount":                      byRealmAdmin,
	"Remove-RealmAccount":                   byRealmAdmin,
	"New-MsolServicePrincipal":              byRealmAdmin,
	"Set-MsolServicePrincipal":              byRealmAdmin,
	"Remove-MsolServicePrincipal":           byRealmAdmin,
	"New-MsolServicePrincipalCredential":    byRealmAdmin,
	"Remove-MsolServicePrincipalCredential": byRealmAdmin,

	"Set-AzureADServicePrincipal":            byRealmAdmin,
	"New-AzureADServiceAppRoleAssignment":    byRealmAdmin,
	"Remove-AzureADServiceAppRoleAssignment": byRealmAdmin,

	"Get-AcceptedDomain":                 byViewer,
	"Get-AppPassword":                    byViewer,
	"Get-ClientCertificate":              byViewer,
	"Get-Account":                        byViewer,
	"Get-AuthConfig":                     byViewer,
	"Get-AuthServer":                     byViewer,
	"Get-AutodiscoverVirtualDirectory":   byViewer,
	"Get-AvailabilityAddressSpace":       byViewer,
	"Get-AvailabilityConfig":             byViewer,
	"Get-CalendarProcessing":             byViewer,
	"Get-ClientAccessServer":             byViewer,
	"Get-ClientAccessService":            byViewer,
	"Get-ExchangeCertificate":            byViewer,
	"Get-ExchangeServer":                 byViewer,
	"Get-IntraOrganizationConfiguration": byViewer,
	"Get-IntraOrganizationConnector":     byViewer,
	"Get-Mailbox":                        byViewer,
	"Get-MailboxCalendarConfiguration":   byViewer,
	"Get-MailboxCalendarSource":          byViewer,
	"Get-MailboxFolderPermission":        byViewer,
	"Get-MailUser":                       byViewer,
	"Get-ManagementRoleAssignment":       byViewer,
	"Get-OrganizationConfig":             byViewer,
	"Get-OrganizationRelationship":       byViewer,
	"Get-PartnerApplication":             byViewer,
	"Get-Recipient":                      byViewer,
	"Get-RoleGroup":                      byViewer,
	"Get-RoleGroupMember":                byViewer,
	"Get-User":                           byViewer,
	"Get-WebServicesVirtualDirectory":    byViewer,
	"Search-AdminAuditLog":               byViewer,

	"Connect-MsolService":                byViewer,
	"Get-MsolCompanyInformation":         byViewer,
	"Get-MsolDomain":                     byViewer,
	"Get-MsolServicePrincipal":           byViewer,
	"Get-MsolServicePrincipalCredential": byViewer,

	"Connect-AzureAD":                     byViewer,
	"Get-AzureADServicePrincipal":         byViewer,
	"Get-AzureADServiceAppRoleAssignment": byViewer,
	"Get-AzureADServiceAppRoleAssignedTo": byViewer,
}

// has reports whether the actor has one of the roles.
func (a Actor) has(roles ...string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(a.Roles, r) })
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
	allowed, err := s.allowed(ctx, actor, r, sc)
	if err != nil || allowed {
		return err
	}
	return fmt.Errorf("%w: %s has no role for it", ErrForbidden, actor.Name)
}

// Permits reports whether the actor has a role for the operation in its own
// organization or realm. Running it is decided anew, by what it is about.
func (s *Service) Permits(ctx context.Context, actor Actor, op string) (bool, error) {
	sc := scope{org: actor.Org, account: actor.Name}
	if actor.Org == "" {
		sc = scope{realm: actor.Realm, account: actor.Name}
	}
	err := s.permit(ctx, actor, op, sc)
	if errors.Is(err, ErrForbidden) {
		return false, nil
	}
	return err == nil, err
}

func (s *Service) allowed(ctx context.Context, actor Actor, r rule, sc scope) (bool, error) {
	here, err := s.belongs(ctx, actor, sc)
	if err != nil || !here {
		return false, err
	}
	admin := actor.has(directory.RoleAdmin)
	switch r {
	case byOwner:
		if !admin || sc.realm != "" {
			return false, nil
		}
		o, err := s.Store.Organization(ctx, sc.org)
		if err == nil && o.Tenant != "" {
			err = fmt.Errorf("%w: in a hosted organization this belongs to the operator, not to %s", ErrForbidden, actor.Name)
		}
		return err == nil, err
	case byAdmin:
		return admin && sc.realm == "", nil
	case byRealmAdmin:
		return admin && sc.realm != "", nil
	case byViewer:
		return admin || actor.has(directory.RoleView), nil
	case byUser:
		return admin || sc.account != "" && actor.Name == sc.account, nil
	case byImporter:
		if sc.realm != "" || admin || actor.has(directory.RoleImport) {
			return sc.realm == "", nil
		}
		return s.owns(ctx, actor, sc)
	}
	return false, nil
}

// belongs reports whether the actor is of the organization or realm that the
// operation is about. A tenant's organization is of its realm.
func (s *Service) belongs(ctx context.Context, actor Actor, sc scope) (bool, error) {
	if sc.realm == "" {
		return sc.org != "" && actor.Org == sc.org, nil
	}
	if actor.Org == "" {
		return actor.Realm == sc.realm, nil
	}
	o, err := s.Store.Organization(ctx, actor.Org)
	if errors.Is(err, directory.ErrNotFound) {
		return false, nil
	}
	return err == nil && o.Tenant == sc.realm, err
}

// owns reports whether the mailbox is the actor's own.
func (s *Service) owns(ctx context.Context, actor Actor, sc scope) (bool, error) {
	if sc.mailbox == nil {
		return false, nil
	}
	a, err := s.Store.Account(ctx, actor.Name)
	if errors.Is(err, directory.ErrNotFound) {
		return false, nil
	}
	return err == nil && a.Enabled && a.Org == sc.org && !a.Address.IsZero() && sc.mailbox.HasAddress(a.Address), err
}

// permitView is permit for operations that only read; a refusal is recorded.
// Operations that change may read for themselves, but that somebody may change
// what is theirs shows them nothing else.
func (s *Service) permitView(ctx context.Context, actor Actor, op string, sc scope) error {
	err := s.permit(ctx, actor, op, sc)
	if r := rules[op]; err == nil && (r == byUser || r == byImporter) && !actor.System && !actor.has(directory.RoleAdmin, directory.RoleView) {
		err = fmt.Errorf("%w: %s has no role that shows the organization", ErrForbidden, actor.Name)
	}
	return s.finish(ctx, actor, op, sc, err)
}
