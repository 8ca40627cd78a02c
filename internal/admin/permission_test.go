package admin_test

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
)

func TestPermissions(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.authority()
	org := w.contoso().ID
	w.next = 0 // one certificate will do for both
	hosted := ok[admin.Result[*directory.Organization]](w)(w.NewOrganization(ctx, system, admin.OrganizationParams{Name: "Cloud", Domain: "fabrikam.com", Tenant: tenant})).Object.ID
	ok[admin.Result[*directory.Realm]](w)(w.NewRealm(ctx, system, admin.RealmParams{InitialDomain: "fabrikam.partner.onmschina.cn", ID: tenant}))
	other := ok[admin.Result[*directory.Realm]](w)(w.NewRealm(ctx, system, admin.RealmParams{InitialDomain: "tailspin.partner.onmschina.cn"})).Object.ID
	for _, name := range []string{"alice", "bob"} {
		ok[admin.Result[*directory.Recipient]](w)(w.NewMailbox(ctx, system, org, admin.MailboxParams{Name: name, Password: "correct horse", TimeZone: "China Standard Time"}))
	}
	actor := func(name string, org directory.OrgID, roles ...string) admin.Actor {
		return admin.Actor{Name: name + "@contoso.com", Org: org, Roles: roles}
	}
	operator := system
	owner := actor("admin", org, directory.RoleAdmin)
	tenantAdmin := actor("tadmin", hosted, directory.RoleAdmin)
	realmAdmin := admin.Actor{Name: "radmin", Realm: other, Roles: []string{directory.RoleAdmin}}
	viewer := actor("viewer", org, directory.RoleView)
	importer := actor("importer", org, directory.RoleImport)
	alice, bob, carol := actor("alice", org), actor("bob", org), actor("carol", org)
	stranger := actor("alice", hosted) // the name of another organization's account
	nobody := admin.Actor{}
	all := []admin.Actor{operator, owner, tenantAdmin, realmAdmin, viewer, importer, alice, bob, carol, stranger, nobody}

	connector := func(org directory.OrgID) func(admin.Actor) error {
		return func(a admin.Actor) error {
			_, err := w.SetIntraOrganizationConnector(ctx, a, org, "x", func(*directory.IntraOrganizationConnector) error { return nil })
			return err
		}
	}
	authServer := func(org directory.OrgID) func(admin.Actor) error {
		return func(a admin.Actor) error { _, err := w.RemoveAuthServer(ctx, a, org, "x"); return err }
	}
	principal := func(realm string) func(admin.Actor) error {
		return func(a admin.Actor) error {
			_, err := w.SetServicePrincipal(ctx, a, realm, "x", admin.ServicePrincipalChange{})
			return err
		}
	}
	for _, c := range []struct {
		name string
		op   func(admin.Actor) error
		may  []admin.Actor
	}{
		{"connector on premises", connector(org), []admin.Actor{operator, owner}},
		{"connector in the cloud", connector(hosted), []admin.Actor{operator, tenantAdmin}},
		{"auth server on premises", authServer(org), []admin.Actor{operator, owner}},
		{"auth server in the cloud", authServer(hosted), []admin.Actor{operator}},
		{"organization", func(a admin.Actor) error {
			_, err := w.NewOrganization(ctx, a, admin.OrganizationParams{})
			w.next = 0
			return err
		}, []admin.Actor{operator}},
		{"verified domain", func(a admin.Actor) error { _, err := w.AddVerifiedDomain(ctx, a, tenant, "x"); return err }, []admin.Actor{operator}},
		{"principal of the tenant", principal(tenant), []admin.Actor{operator, tenantAdmin}},
		{"principal of the tenant by domain", principal("fabrikam.partner.onmschina.cn"), []admin.Actor{operator, tenantAdmin}},
		{"principal of another tenant", principal(other), []admin.Actor{operator, realmAdmin}},
		{"principal of no tenant", principal("nowhere.example"), []admin.Actor{operator}},
		{"own password", func(a admin.Actor) error { _, err := w.SetPassword(ctx, a, org, "alice@contoso.com", "x"); return err }, []admin.Actor{operator, owner, alice}},
		{"own app passwords", func(a admin.Actor) error {
			_, err := w.RemoveAppPassword(ctx, a, org, "alice@contoso.com", "x")
			return err
		}, []admin.Actor{operator, owner, alice}},
		{"app passwords of an account", func(a admin.Actor) error {
			_, err := w.SignInMeans(ctx, a, "Get-AppPassword", org, "alice@contoso.com")
			return err
		}, []admin.Actor{operator, owner, viewer, alice}},
		{"certificates of accounts", func(a admin.Actor) error {
			_, err := w.AddClientCertificate(ctx, a, org, "alice@contoso.com", "x")
			return err
		}, []admin.Actor{operator, owner}},
		{"certificates of accounts in the cloud", func(a admin.Actor) error {
			_, err := w.AddClientCertificate(ctx, a, hosted, "alice@fabrikam.com", "x")
			return err
		}, []admin.Actor{operator}},
		{"import", func(a admin.Actor) error {
			_, err := w.ImportCalendar(ctx, a, org, "alice@contoso.com", "a.ics", strings.NewReader("x"))
			return err
		}, []admin.Actor{operator, owner, importer, alice}},
		{"import into nobody", func(a admin.Actor) error {
			_, err := w.ImportCalendar(ctx, a, org, "nobody@contoso.com", "a.ics", strings.NewReader("x"))
			return err
		}, []admin.Actor{operator, owner, importer}},
		{"calendars of a mailbox", func(a admin.Actor) error {
			return w.WithCalendar(ctx, a, "Remove-CalendarFolder", org, "alice@contoso.com", func(*directory.Recipient) (any, error) { return nil, nil })
		}, []admin.Actor{operator, owner, importer, alice}},
	} {
		for _, a := range all {
			may := false
			for _, m := range c.may {
				may = may || m.Name == a.Name && m.Org == a.Org
			}
			if err := c.op(a); errors.Is(err, admin.ErrForbidden) == may {
				t.Errorf("%s by %q of %q: %v", c.name, a.Name, a.Org, err)
			}
		}
	}
	// A refusal is in the actor's own trail, and nowhere else.
	for _, e := range w.events(string(org)) {
		if e.Actor == tenantAdmin.Name || e.Actor == realmAdmin.Name {
			t.Errorf("the trail of another organization has %+v", e)
		}
	}
	refused := 0
	for _, e := range w.events(string(hosted)) {
		if e.Actor == tenantAdmin.Name && strings.Contains(e.Outcome, "not allowed") {
			refused++
		}
	}
	if refused == 0 {
		t.Error("refusals are not in the audit trail")
	}
}

// first is the first error of a stream.
func first[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		return err
	}
	return nil
}

// what is the error of an operation.
func what[T any](_ T, err error) error { return err }

// operation runs a method of Service with arguments that get it past its
// permission, or not. The realm is the tenant's.
type operation struct {
	name string
	run  func(ctx context.Context, a admin.Actor, org directory.OrgID, realm string) error
	may  string // who of the organization besides administrators: viewer, importer; operator: not even those
}

func (w *world) operations() []operation {
	recipient := func(*directory.Recipient) error { return nil }
	account := func(*directory.Account) error { return nil }
	type c = context.Context
	type a = admin.Actor
	type o = directory.OrgID
	return []operation{
		{"NewOrganization", func(ctx c, a a, _ o, _ string) error {
			return what(w.NewOrganization(ctx, a, admin.OrganizationParams{}))
		}, "operator"},
		{"NewRealm", func(ctx c, a a, _ o, _ string) error { return what(w.NewRealm(ctx, a, admin.RealmParams{})) }, "operator"},
		{"AddVerifiedDomain", func(ctx c, a a, _ o, realm string) error { return what(w.AddVerifiedDomain(ctx, a, realm, "x")) }, "operator"},
		{"SetAuthorityConfig", func(ctx c, a a, _ o, _ string) error {
			return what(w.SetAuthorityConfig(ctx, a, &directory.AuthorityConfig{}))
		}, "operator"},

		{"NewAcceptedDomain", func(ctx c, a a, org o, _ string) error {
			return what(w.NewAcceptedDomain(ctx, a, org, directory.AcceptedDomain{}))
		}, "owner"},
		{"SetAcceptedDomain", func(ctx c, a a, org o, _ string) error {
			return what(w.SetAcceptedDomain(ctx, a, org, "x", func(*directory.AcceptedDomain) error { return nil }))
		}, "owner"},
		{"RemoveAcceptedDomain", func(ctx c, a a, org o, _ string) error { return what(w.RemoveAcceptedDomain(ctx, a, org, "x")) }, "owner"},
		{"NewServer", func(ctx c, a a, org o, _ string) error { return what(w.NewServer(ctx, a, org, directory.Server{})) }, "owner"},
		{"SetServer", func(ctx c, a a, org o, _ string) error {
			return what(w.SetServer(ctx, a, "Set-ClientAccessService", org, "x", func(*directory.Server) error { return nil }))
		}, "owner"},
		{"RemoveServer", func(ctx c, a a, org o, _ string) error { return what(w.RemoveServer(ctx, a, org, "x")) }, "owner"},
		{"NewExchangeCertificate", func(ctx c, a a, org o, _ string) error {
			return what(w.NewExchangeCertificate(ctx, a, org, admin.CertificateParams{Services: []string{"x"}}))
		}, "owner"},
		{"EnableExchangeCertificate", func(ctx c, a a, org o, _ string) error {
			return what(w.EnableExchangeCertificate(ctx, a, org, "x", nil))
		}, "owner"},
		{"RemoveExchangeCertificate", func(ctx c, a a, org o, _ string) error { return what(w.RemoveExchangeCertificate(ctx, a, org, "x")) }, "owner"},
		{"ImportExchangeCertificate", func(ctx c, a a, org o, _ string) error {
			return what(w.ImportExchangeCertificate(ctx, a, org, admin.ImportParams{}))
		}, "owner"},
		{"ExportExchangeCertificate", func(ctx c, a a, org o, _ string) error {
			return what(w.ExportExchangeCertificate(ctx, a, org, "x", ""))
		}, "owner"},
		{"TestAuthCertificatePublication", func(ctx c, a a, org o, _ string) error {
			return what(w.TestAuthCertificatePublication(ctx, a, org))
		}, "owner"},
		{"RollOver", func(ctx c, a a, org o, _ string) error { return what(w.RollOver(ctx, a, org)) }, "owner"},
		{"StageAuthorityCertificate", func(ctx c, a a, _ o, _ string) error {
			return what(w.StageAuthorityCertificate(ctx, a, time.Time{}))
		}, "operator"},
		{"PublishAuthorityCertificate", func(ctx c, a a, _ o, _ string) error {
			return what(w.PublishAuthorityCertificate(ctx, a))
		}, "operator"},
		{"RollOverAuthority", func(ctx c, a a, _ o, _ string) error { return what(w.RollOverAuthority(ctx, a)) }, "operator"},
		{"SetAuthConfig", func(ctx c, a a, org o, _ string) error {
			return what(w.SetAuthConfig(ctx, a, org, admin.AuthConfigChange{PublishCertificate: true}))
		}, "owner"},
		{"NewAuthServer", func(ctx c, a a, org o, _ string) error {
			return what(w.NewAuthServer(ctx, a, org, directory.AuthServer{}))
		}, "owner"},
		{"SetAuthServer", func(ctx c, a a, org o, _ string) error { return what(w.SetAuthServer(ctx, a, org, "x", true, nil)) }, "owner"},
		{"RemoveAuthServer", func(ctx c, a a, org o, _ string) error { return what(w.RemoveAuthServer(ctx, a, org, "x")) }, "owner"},
		{"RestoreObject", func(ctx c, a a, org o, _ string) error {
			return what(w.RestoreObject(ctx, a, org, admin.Change{Kind: "AuthServer"}))
		}, "owner"},

		{"NewPartnerApplication", func(ctx c, a a, org o, _ string) error {
			return what(w.NewPartnerApplication(ctx, a, org, directory.PartnerApplication{}))
		}, ""},
		{"SetPartnerApplication", func(ctx c, a a, org o, _ string) error {
			return what(w.SetPartnerApplication(ctx, a, org, "x", true, nil))
		}, ""},
		{"PinPartnerApplication", func(ctx c, a a, org o, _ string) error {
			return what(w.PinPartnerApplication(ctx, a, org, directory.PartnerApplication{}, "x"))
		}, ""},
		{"ApprovePartnerKeys", func(ctx c, a a, org o, _ string) error { return what(w.ApprovePartnerKeys(ctx, a, org, "x", "x")) }, ""},
		{"OwnFingerprint", func(ctx c, a a, org o, _ string) error { return what(w.OwnFingerprint(ctx, a, org)) }, "viewer"},
		{"RemovePartnerApplication", func(ctx c, a a, org o, _ string) error { return what(w.RemovePartnerApplication(ctx, a, org, "x")) }, ""},
		{"NewIntraOrganizationConnector", func(ctx c, a a, org o, _ string) error {
			return what(w.NewIntraOrganizationConnector(ctx, a, org, directory.IntraOrganizationConnector{}))
		}, ""},
		{"SetIntraOrganizationConnector", func(ctx c, a a, org o, _ string) error {
			return what(w.SetIntraOrganizationConnector(ctx, a, org, "x", func(*directory.IntraOrganizationConnector) error { return nil }))
		}, ""},
		{"RemoveIntraOrganizationConnector", func(ctx c, a a, org o, _ string) error {
			return what(w.RemoveIntraOrganizationConnector(ctx, a, org, "x"))
		}, ""},
		{"NewOrganizationRelationship", func(ctx c, a a, org o, _ string) error {
			return what(w.NewOrganizationRelationship(ctx, a, org, directory.OrganizationRelationship{}))
		}, ""},
		{"SetOrganizationRelationship", func(ctx c, a a, org o, _ string) error {
			return what(w.SetOrganizationRelationship(ctx, a, org, "x", func(*directory.OrganizationRelationship) error { return nil }))
		}, ""},
		{"RemoveOrganizationRelationship", func(ctx c, a a, org o, _ string) error {
			return what(w.RemoveOrganizationRelationship(ctx, a, org, "x"))
		}, ""},
		{"AddAvailabilityAddressSpace", func(ctx c, a a, org o, _ string) error {
			return what(w.AddAvailabilityAddressSpace(ctx, a, org, directory.AvailabilityAddressSpace{}))
		}, ""},
		{"RemoveAvailabilityAddressSpace", func(ctx c, a a, org o, _ string) error {
			return what(w.RemoveAvailabilityAddressSpace(ctx, a, org, "x"))
		}, ""},
		{"SetAvailabilityConfig", func(ctx c, a a, org o, _ string) error {
			return what(w.SetAvailabilityConfig(ctx, a, org, func(*directory.AvailabilityConfig) error { return nil }))
		}, ""},

		{"SetEWSAccess", func(ctx c, a a, org o, _ string) error {
			return what(w.SetEWSAccess(ctx, a, org, func(*directory.EWSAccess) {}))
		}, ""},

		{"NewMailbox", func(ctx c, a a, org o, _ string) error {
			return what(w.NewMailbox(ctx, a, org, admin.MailboxParams{Name: "x"}))
		}, ""},
		{"EnableMailbox", func(ctx c, a a, org o, _ string) error {
			return what(w.EnableMailbox(ctx, a, org, "x@contoso.com", admin.MailboxParams{}))
		}, ""},
		{"SetMailbox", func(ctx c, a a, org o, _ string) error { return what(w.SetMailbox(ctx, a, org, "alice", recipient)) }, ""},
		{"DisableMailbox", func(ctx c, a a, org o, _ string) error { return what(w.DisableMailbox(ctx, a, org, "x")) }, ""},
		{"RemoveMailbox", func(ctx c, a a, org o, _ string) error { return what(w.RemoveMailbox(ctx, a, org, "x")) }, ""},
		{"NewMailUser", func(ctx c, a a, org o, _ string) error {
			return what(w.NewMailUser(ctx, a, org, admin.MailUserParams{}))
		}, ""},
		{"SetMailUser", func(ctx c, a a, org o, _ string) error { return what(w.SetMailUser(ctx, a, org, "x", recipient)) }, ""},
		{"RemoveMailUser", func(ctx c, a a, org o, _ string) error { return what(w.RemoveMailUser(ctx, a, org, "x")) }, ""},
		{"SetMailboxCalendarConfiguration", func(ctx c, a a, org o, _ string) error {
			return what(w.SetMailboxCalendarConfiguration(ctx, a, org, "alice", func(*directory.CalendarConfiguration) error { return nil }))
		}, ""},
		{"AddMailboxFolderPermission", func(ctx c, a a, org o, _ string) error {
			return what(w.AddMailboxFolderPermission(ctx, a, org, "alice", "Default", freebusy.LevelFull))
		}, ""},
		{"SetMailboxFolderPermission", func(ctx c, a a, org o, _ string) error {
			return what(w.SetMailboxFolderPermission(ctx, a, org, "x", "Default", freebusy.LevelFull))
		}, ""},
		{"RemoveMailboxFolderPermission", func(ctx c, a a, org o, _ string) error {
			return what(w.RemoveMailboxFolderPermission(ctx, a, org, "x", "Default"))
		}, ""},
		{"NewAccount", func(ctx c, a a, org o, _ string) error { return what(w.NewAccount(ctx, a, org, admin.AccountParams{})) }, ""},
		{"NewLinkedUser", func(ctx c, a a, org o, _ string) error { return what(w.NewLinkedUser(ctx, a, org, "")) }, ""},
		{"RemoveLinkedUser", func(ctx c, a a, org o, _ string) error { return what(w.RemoveLinkedUser(ctx, a, org, "x")) }, ""},
		{"NewApplicationRoleAssignment", func(ctx c, a a, org o, _ string) error {
			return what(w.NewApplicationRoleAssignment(ctx, a, org, "x", directory.RoleUserApplication))
		}, ""},
		{"RemoveApplicationRoleAssignment", func(ctx c, a a, org o, _ string) error {
			return what(w.RemoveApplicationRoleAssignment(ctx, a, org, "x", directory.RoleUserApplication))
		}, ""},
		{"SetAccount", func(ctx c, a a, org o, _ string) error {
			return what(w.SetAccount(ctx, a, org, "alice@contoso.com", account))
		}, ""},
		{"NewManagementRoleAssignment", func(ctx c, a a, org o, _ string) error {
			return what(w.NewManagementRoleAssignment(ctx, a, org, "x@contoso.com", directory.RoleView))
		}, ""},
		{"RemoveManagementRoleAssignment", func(ctx c, a a, org o, _ string) error {
			return what(w.RemoveManagementRoleAssignment(ctx, a, org, "x@contoso.com", directory.RoleView))
		}, ""},
		{"RemoveAccount", func(ctx c, a a, org o, _ string) error { return what(w.RemoveAccount(ctx, a, org, "x@contoso.com")) }, ""},
		{"NewManagementRoleAssignment", func(ctx c, a a, org o, _ string) error {
			return what(w.NewManagementRoleAssignment(ctx, a, org, "x@contoso.com", directory.RoleView))
		}, ""},
		{"RemoveManagementRoleAssignment", func(ctx c, a a, org o, _ string) error {
			return what(w.RemoveManagementRoleAssignment(ctx, a, org, "x@contoso.com", directory.RoleView))
		}, ""},
		{"SetPassword", func(ctx c, a a, org o, _ string) error {
			return what(w.SetPassword(ctx, a, org, "alice@contoso.com", "short"))
		}, ""},
		{"NewAppPassword", func(ctx c, a a, org o, _ string) error {
			_, _, err := w.NewAppPassword(ctx, a, org, "alice@contoso.com", "x")
			return err
		}, ""},
		{"RemoveAppPassword", func(ctx c, a a, org o, _ string) error {
			return what(w.RemoveAppPassword(ctx, a, org, "alice@contoso.com", "x"))
		}, ""},
		{"AddClientCertificate", func(ctx c, a a, org o, _ string) error {
			return what(w.AddClientCertificate(ctx, a, org, "alice@contoso.com", "x"))
		}, "owner"},
		{"RemoveClientCertificate", func(ctx c, a a, org o, _ string) error {
			return what(w.RemoveClientCertificate(ctx, a, org, "alice@contoso.com", "x"))
		}, ""},
		{"SignInMeans", func(ctx c, a a, org o, _ string) error {
			return what(w.SignInMeans(ctx, a, "Get-AppPassword", org, "alice@contoso.com"))
		}, "viewer"},
		{"ImportCalendar", func(ctx c, a a, org o, _ string) error {
			return what(w.ImportCalendar(ctx, a, org, "alice", "a.ics", strings.NewReader("x")))
		}, "importer"},
		{"WithCalendar", func(ctx c, a a, org o, _ string) error {
			return w.WithCalendar(ctx, a, "Set-CalendarFolder", org, "alice", func(*directory.Recipient) (any, error) { return nil, nil })
		}, "importer"},
		{"NewCalendarSource", func(ctx c, a a, org o, _ string) error {
			return what(w.NewCalendarSource(ctx, a, org, "alice", directory.CalendarSource{}))
		}, ""},
		{"SetCalendarSource", func(ctx c, a a, org o, _ string) error {
			return what(w.SetCalendarSource(ctx, a, org, "x", func(*directory.CalendarSource) error { return nil }))
		}, ""},
		{"RemoveCalendarSource", func(ctx c, a a, org o, _ string) error { return what(w.RemoveCalendarSource(ctx, a, org, "x")) }, ""},
		{"UpdateCalendarSource", func(ctx c, a a, org o, _ string) error { return what(w.UpdateCalendarSource(ctx, a, org, "x")) }, ""},
		{"TestCalendarSource", func(ctx c, a a, org o, _ string) error { return what(w.TestCalendarSource(ctx, a, org, "x")) }, ""},
		{"CalendarSources", func(ctx c, a a, org o, _ string) error {
			return what(w.CalendarSources(ctx, a, "Get-MailboxCalendarSource", org, ""))
		}, "viewer"},

		{"NewRealmAccount", func(ctx c, a a, _ o, realm string) error {
			return what(w.NewRealmAccount(ctx, a, realm, admin.AccountParams{}))
		}, "realm"},
		{"SetRealmAccount", func(ctx c, a a, _ o, realm string) error {
			return what(w.SetRealmAccount(ctx, a, realm, "x@contoso.com", account))
		}, "realm"},
		{"RemoveRealmAccount", func(ctx c, a a, _ o, realm string) error { return what(w.RemoveRealmAccount(ctx, a, realm, "x")) }, "realm"},
		{"SetRealmPassword", func(ctx c, a a, _ o, realm string) error {
			return what(w.SetRealmPassword(ctx, a, realm, "x", "short"))
		}, "realm"},
		{"NewServicePrincipal", func(ctx c, a a, _ o, realm string) error {
			return what(w.NewServicePrincipal(ctx, a, realm, directory.ServicePrincipal{}))
		}, "realm"},
		{"SetServicePrincipal", func(ctx c, a a, _ o, realm string) error {
			return what(w.SetServicePrincipal(ctx, a, realm, "x", admin.ServicePrincipalChange{}))
		}, "realm"},
		{"RemoveServicePrincipal", func(ctx c, a a, _ o, realm string) error { return what(w.RemoveServicePrincipal(ctx, a, realm, "x")) }, "realm"},
		{"RestoreServicePrincipal", func(ctx c, a a, _ o, realm string) error {
			return what(w.RestoreServicePrincipal(ctx, a, realm, admin.Change{Kind: "ServicePrincipal"}))
		}, "realm"},
		{"NewServicePrincipalCredential", func(ctx c, a a, _ o, realm string) error {
			return what(w.NewServicePrincipalCredential(ctx, a, realm, "x", admin.CredentialParams{}))
		}, "realm"},
		{"RemoveServicePrincipalCredential", func(ctx c, a a, _ o, realm string) error {
			return what(w.RemoveServicePrincipalCredential(ctx, a, realm, "x"))
		}, "realm"},
		{"NewAppRoleAssignment", func(ctx c, a a, _ o, realm string) error {
			return what(w.NewAppRoleAssignment(ctx, a, realm, "x", "y", "z"))
		}, "realm"},
		{"RemoveAppRoleAssignment", func(ctx c, a a, _ o, realm string) error {
			return what(w.RemoveAppRoleAssignment(ctx, a, realm, "x", "y"))
		}, "realm"},

		{"ViewOrganization", func(ctx c, a a, org o, _ string) error {
			return what(w.ViewOrganization(ctx, a, "Get-AuthServer", org))
		}, "viewer"},
		{"Recipients", func(ctx c, a a, org o, _ string) error {
			return first(w.Recipients(ctx, a, "Get-Mailbox", org, admin.RecipientFilter{}))
		}, "viewer"},
		{"FindRecipient", func(ctx c, a a, org o, _ string) error {
			return what(w.FindRecipient(ctx, a, "Get-Recipient", org, "alice"))
		}, "viewer"},
		{"Accounts", func(ctx c, a a, org o, _ string) error { return what(w.Accounts(ctx, a, "Get-Account", org)) }, "viewer"},
		{"SearchAdminAuditLog", func(ctx c, a a, org o, _ string) error {
			return first(w.SearchAdminAuditLog(ctx, a, org, admin.AuditQuery{}))
		}, "viewer"},
		{"ViewRealm", func(ctx c, a a, _ o, realm string) error {
			return what(w.ViewRealm(ctx, a, "Get-MsolServicePrincipal", realm))
		}, "realm viewer"},
		{"RealmAccounts", func(ctx c, a a, _ o, realm string) error { return what(w.RealmAccounts(ctx, a, "Get-Account", realm)) }, "realm viewer"},
		{"SearchAdminAuditLog", func(ctx c, a a, org o, realm string) error {
			return first(w.SearchAdminAuditLog(ctx, a, org, admin.AuditQuery{Realm: realm}))
		}, "realm viewer"},
	}
}

// Every operation of the service refuses whoever has no role for it, and there
// is none without permission.
func TestEveryOperationRefuses(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.authority()
	premises := w.contoso().ID
	w.next = 0
	hosted := ok[admin.Result[*directory.Organization]](w)(w.NewOrganization(ctx, system, admin.OrganizationParams{Name: "Cloud", Domain: "fabrikam.com", Tenant: tenant})).Object.ID
	ok[admin.Result[*directory.Realm]](w)(w.NewRealm(ctx, system, admin.RealmParams{InitialDomain: "fabrikam.partner.onmschina.cn", ID: tenant}))
	other := ok[admin.Result[*directory.Realm]](w)(w.NewRealm(ctx, system, admin.RealmParams{InitialDomain: "tailspin.partner.onmschina.cn"})).Object.ID
	for _, org := range []directory.OrgID{premises, hosted} {
		ok[admin.Result[*directory.Recipient]](w)(w.NewMailbox(ctx, system, org, admin.MailboxParams{Name: "alice", Type: directory.RoomMailbox, TimeZone: "UTC"}))
	}
	operations := w.operations()
	known := []string{"Permits"} // decides, and does nothing
	for _, o := range operations {
		known = append(known, o.name)
	}
	service := reflect.TypeOf(w.Service)
	for i := range service.NumMethod() {
		m := service.Method(i)
		for j := range m.Type.NumIn() {
			if m.Type.In(j) == reflect.TypeFor[admin.Actor]() && !slices.Contains(known, m.Name) {
				t.Errorf("%s is not in this test", m.Name)
			}
		}
	}
	actors := map[string]admin.Actor{
		"operator":     system,
		"nobody":       {},
		"roleless":     {Name: "r@contoso.com", Org: premises},
		"viewer":       {Name: "v@contoso.com", Org: premises, Roles: []string{directory.RoleView}},
		"importer":     {Name: "i@contoso.com", Org: premises, Roles: []string{directory.RoleImport}},
		"impersonator": {Name: "p@contoso.com", Org: premises, Roles: []string{directory.RoleImpersonation}},
		"admin":        {Name: "a@contoso.com", Org: premises, Roles: []string{directory.RoleAdmin}},
		"tenant":       {Name: "a@fabrikam.com", Org: hosted, Realm: tenant, Roles: []string{directory.RoleAdmin}},
		"tenantview":   {Name: "v@fabrikam.com", Org: hosted, Realm: tenant, Roles: []string{directory.RoleView}},
		// Realm does not count for an account of an organization: its tenant does.
		"liar":      {Name: "l@contoso.com", Org: premises, Realm: tenant, Roles: []string{directory.RoleAdmin}},
		"realm":     {Name: "a@realm.example", Realm: tenant, Roles: []string{directory.RoleAdmin}},
		"realmview": {Name: "v@realm.example", Realm: tenant, Roles: []string{directory.RoleView}},
		"stranger":  {Name: "s@realm.example", Realm: other, Roles: []string{directory.RoleAdmin}},
	}
	// Who may, of the organization on premises, of the hosted one, and of its realm.
	type set = []string
	may := map[string][2]set{
		"operator": {{"operator"}, {"operator"}},
		"owner":    {{"operator", "admin", "liar"}, {"operator"}},
		"":         {{"operator", "admin", "liar"}, {"operator", "tenant"}},
		"importer": {{"operator", "admin", "liar", "importer"}, {"operator", "tenant"}},
		"viewer":   {{"operator", "admin", "liar", "viewer"}, {"operator", "tenant", "tenantview"}},
		"realm":    {{"operator", "tenant", "realm"}, {"operator", "tenant", "realm"}},
		"realm viewer": {
			{"operator", "tenant", "tenantview", "realm", "realmview"},
			{"operator", "tenant", "tenantview", "realm", "realmview"},
		},
	}
	state := func() any {
		var recipients []*directory.Recipient
		for r, err := range w.Recipients(ctx, system, "Get-Mailbox", premises, admin.RecipientFilter{}) {
			recipients = append(recipients, ok[*directory.Recipient](w)(r, err))
		}
		return []any{w.organization(premises).Version, w.organization(hosted).Version, recipients, ok[*directory.Realm](w)(w.store.Realm(ctx, tenant)).Version}
	}
	before := state()
	for _, o := range operations {
		for i, org := range []directory.OrgID{premises, hosted} {
			for name, a := range actors {
				w.next = 0
				allowed := slices.Contains(may[o.may][i], name)
				if err := o.run(ctx, a, org, tenant); errors.Is(err, admin.ErrForbidden) == allowed {
					t.Errorf("%s in organization %d by %s: %v", o.name, i, name, err)
				}
			}
		}
	}
	if after := state(); !reflect.DeepEqual(before, after) {
		t.Errorf("something was changed: %v, %v", before, after)
	}
	// Whom it was refused to finds it in the own trail; others hear nothing of it.
	for owner, members := range map[string]set{string(premises): {"r@", "v@", "i@", "p@", "a@", "l@", "system"}, string(hosted): {"a@f", "v@f", "system"}, tenant: {"a@realm", "v@realm", "a@f", "system"}, other: {"s@", "system"}} {
		for _, e := range w.events(owner) {
			if !slices.ContainsFunc(members, func(m string) bool { return strings.HasPrefix(e.Actor, m) }) {
				t.Errorf("the trail of %s has %s by %s: %s", owner, e.Operation, e.Actor, e.Outcome)
			}
		}
	}
}

func TestViewersSeeNoSecrets(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	ok[admin.Result[directory.AvailabilityAddressSpace]](w)(w.AddAvailabilityAddressSpace(ctx, system, org, directory.AvailabilityAddressSpace{
		ForestName: "old.example", AccessMethod: "OrgWideFB", UserName: `old\svc`, Password: directory.Secret("correct horse"),
	}))
	ok[admin.Result[*directory.Account]](w)(w.NewAccount(ctx, system, org, admin.AccountParams{UserName: "a@contoso.com", Password: "correct horse"}))
	for role, secrets := range map[string]bool{directory.RoleAdmin: true, directory.RoleView: false} {
		a := admin.Actor{Name: "x@contoso.com", Org: org, Roles: []string{role}}
		o := ok[*directory.Organization](w)(w.ViewOrganization(ctx, a, "Get-ExchangeCertificate", org))
		key, password := o.Certificates[0].Key, o.AddressSpaces[0].Password
		if (string(password) == "correct horse") != secrets || reflect.DeepEqual(key, certificates()[0].Key) != secrets {
			t.Errorf("%s: password %q", role, []byte(password))
		}
		if len(key) == 0 || len(password) == 0 {
			t.Errorf("%s does not see that there is a secret", role)
		}
		for _, account := range ok[[]*directory.Account](w)(w.Accounts(ctx, a, "Get-User", org)) {
			if account.PasswordHash != "" {
				t.Errorf("%s sees a password hash", role)
			}
		}
	}
	if string(w.organization(org).AddressSpaces[0].Password) != "correct horse" {
		t.Error("what was withheld is gone from the snapshot")
	}
	// That somebody may change what is theirs shows them nothing else.
	for _, op := range []string{"Set-Password", "Import-Calendar"} {
		a := admin.Actor{Name: "a@contoso.com", Org: org, Roles: []string{directory.RoleImport}}
		if _, err := w.ViewOrganization(ctx, a, op, org); !errors.Is(err, admin.ErrForbidden) {
			t.Errorf("organization by %s: %v", op, err)
		}
	}
	if _, err := w.ViewOrganization(ctx, system, "Get-Nothing", org); !errors.Is(err, admin.ErrForbidden) {
		t.Errorf("an operation that is in no table: %v", err)
	}
	if _, err := w.SetServer(ctx, system, "Set-Mailbox", org, "MAIL", func(*directory.Server) error { return nil }); err == nil || !strings.Contains(err.Error(), "changes no server") {
		t.Errorf("a server by another operation: %v", err)
	}
}

// What a session offers follows the roles; what no table names is offered to nobody.
func TestPermits(t *testing.T) {
	w := newWorld(t)
	org := w.contoso().ID
	for _, tt := range []struct {
		op    string
		actor admin.Actor
		want  bool
	}{
		{"Get-Mailbox", admin.Actor{Name: "v", Org: org, Roles: []string{directory.RoleView}}, true},
		{"Set-Mailbox", admin.Actor{Name: "v", Org: org, Roles: []string{directory.RoleView}}, false},
		{"Set-Mailbox", admin.Actor{Name: "a", Org: org, Roles: []string{directory.RoleAdmin}}, true},
		{"New-Organization", admin.Actor{Name: "a", Org: org, Roles: []string{directory.RoleAdmin}}, false},
		{"New-MsolServicePrincipal", admin.Actor{Name: "a", Org: org, Roles: []string{directory.RoleAdmin}}, false},
		{"New-MsolServicePrincipal", admin.Actor{Name: "r", Realm: tenant, Roles: []string{directory.RoleAdmin}}, true},
		{"Set-Mailbox", admin.Actor{Name: "r", Realm: tenant, Roles: []string{directory.RoleAdmin}}, false},
		{"Get-Nothing", admin.Actor{Name: "a", Org: org, Roles: []string{directory.RoleAdmin}}, false},
		{"Get-Mailbox", admin.Actor{Name: "u", Org: org}, false},
	} {
		if got := ok[bool](w)(w.Permits(t.Context(), tt.actor, tt.op)); got != tt.want {
			t.Errorf("%s for %v: %v", tt.op, tt.actor, got)
		}
	}
}
