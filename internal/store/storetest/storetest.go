// Package storetest is the conformance test of the stores: a new one is ready
// when Run passes.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

// A Store is everything of a store but calendars.
type Store interface {
	CreateOrganization(context.Context, *directory.Organization) error
	Organization(context.Context, directory.OrgID) (*directory.Organization, error)
	Organizations(context.Context) ([]*directory.Organization, error)
	OrganizationsAt(ctx context.Context, host string) ([]*directory.Organization, error)
	OrganizationByDomain(ctx context.Context, domain string) (*directory.Organization, error)
	OrganizationByTenant(ctx context.Context, tenant string) (*directory.Organization, error)
	UpdateOrganization(context.Context, directory.OrgID, func(*directory.Organization) error) (*directory.Organization, error)
	UpdateAuthServer(ctx context.Context, org directory.OrgID, name string, fn func(*directory.AuthServer) error) error

	CreateRecipient(context.Context, *directory.Recipient) error
	Recipient(context.Context, directory.OrgID, smtpaddr.Address) (*directory.Recipient, error)
	RecipientByID(ctx context.Context, org directory.OrgID, id string) (*directory.Recipient, error)
	RecipientByUPN(ctx context.Context, org directory.OrgID, upn string) (*directory.Recipient, error)
	RecipientsByName(ctx context.Context, org directory.OrgID, name string) ([]*directory.Recipient, error)
	Recipients(context.Context, directory.OrgID) iter.Seq2[*directory.Recipient, error]
	UpdateRecipient(ctx context.Context, org directory.OrgID, id string, fn func(*directory.Recipient) error) (*directory.Recipient, error)
	DeleteRecipient(ctx context.Context, org directory.OrgID, id string) error

	Account(ctx context.Context, userName string) (*directory.Account, error)
	Accounts(ctx context.Context, owner string) ([]*directory.Account, error)
	AccountByCertificate(ctx context.Context, fingerprint string) (*directory.Account, error)
	AccountsAt(ctx context.Context, org directory.OrgID, a smtpaddr.Address) ([]*directory.Account, error)
	NetworkSeen(ctx context.Context, userName string, network netip.Prefix) (time.Time, error)
	NoteNetwork(ctx context.Context, userName string, network netip.Prefix, at time.Time) error
	PutAccount(context.Context, *directory.Account) error
	DeleteAccount(ctx context.Context, owner, userName string) error

	CreateRealm(context.Context, *directory.Realm) error
	Realm(ctx context.Context, idOrDomain string) (*directory.Realm, error)
	Realms(context.Context) ([]*directory.Realm, error)
	UpdateRealm(ctx context.Context, id string, fn func(*directory.Realm) error) (*directory.Realm, error)
	AuthorityConfig(context.Context) (*directory.AuthorityConfig, error)
	SetAuthorityConfig(context.Context, *directory.AuthorityConfig) error

	Record(context.Context, audit.Event) error
	AuditEvents(context.Context, audit.Filter) iter.Seq2[audit.Event, error]

	Close() error
}

// A Database is where one test keeps its data.
type Database interface {
	// Open opens the database, made at the first call. It is closed after the
	// test if it is still open.
	Open(t testing.TB, now func() time.Time) Store
}

// Run runs every test, each with a database of its own.
func Run(t *testing.T, create func(testing.TB) Database) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *env)
	}{
		{"an organization comes back as it was kept", organizationRoundTrip},
		{"an update writes what differs, stamps it and grows the version", organizationUpdate},
		{"one auth server is updated by name", authServerUpdate},
		{"an update without a difference changes nothing", organizationNoChange},
		{"an update that fails or is not valid changes nothing", organizationAllOrNothing},
		{"a snapshot never changes", organizationSnapshot},
		{"lists keep their order", organizationOrder},
		{"names, domains and tenants are unique, and freed when removed", organizationUnique},
		{"domains and hosts lead to the organization", organizationLookups},
		{"concurrent updates lose nothing", concurrentUpdates},
		{"another process sees a change at once", otherProcess},
		{"a recipient is found by each address, id and user principal name", recipientLookups},
		{"recipients are found by each of their names, and by no older one", recipientNames},
		{"addresses are unique in the organization and freed when given up", recipientUnique},
		{"organizations do not see each other's recipients", recipientIsolation},
		{"recipients stream by name in pages", recipientStream},
		{"accounts are unique in the deployment", accounts},
		{"an account belongs to an organization or to a realm", realmAccounts},
		{"app passwords and certificates belong to an account", signInMeans},
		{"the networks of an account are noted", accountNetworks},
		{"a realm is found by its id and every verified domain", realms},
		{"the authority configuration keeps its keys", authority},
		{"audit events are kept by organization and come newest first", auditEvents},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := &env{t: t, db: create(t)}
			e.open()
			c.test(t, e)
		})
	}
}

// env is one test's store and clock.
type env struct {
	Store
	t     *testing.T
	db    Database
	mu    sync.Mutex
	ticks int
}

// clock goes on by a second with every reading, so that times can be told apart.
func (e *env) clock() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ticks++
	return now.Add(time.Duration(e.ticks) * time.Second)
}

func (e *env) open() { e.Store = e.db.Open(e.t, e.clock) }

func (e *env) reopen() {
	e.t.Helper()
	if err := e.Close(); err != nil {
		e.t.Fatal(err)
	}
	e.open()
}

func (e *env) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) wantErr(err, want error) {
	e.t.Helper()
	if !errors.Is(err, want) {
		e.t.Errorf("got error %v, want %v", err, want)
	}
}

func (e *env) organization(name, domain string) *directory.Organization {
	e.t.Helper()
	o := Organization(name, domain)
	e.must(e.CreateOrganization(e.t.Context(), o))
	return o
}

// equal compares values as they are kept: an empty list is no list.
func equal(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b smtpaddr.Address) bool { return a == b })); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func organizationRoundTrip(t *testing.T, e *env) {
	want := e.organization("Contoso", "contoso.com")
	if want.Version != 1 {
		t.Errorf("version of a new organization is %d, want 1", want.Version)
	}
	if c := want.Connectors[0].Common; !directory.IsGUID(c.GUID) || c.WhenCreated.IsZero() || c.WhenChanged != c.WhenCreated {
		t.Errorf("a new connector has identity and times %+v", c)
	}
	for range 2 {
		got, err := e.Organization(t.Context(), want.ID)
		e.must(err)
		equal(t, "organization", want, got)
		if string(got.AddressSpaces[0].Password) != "correct horse" || len(got.Certificates[0].Key) == 0 {
			t.Error("a secret was lost")
		}
		e.reopen()
	}
	_, err := e.Organization(t.Context(), directory.OrgID(uuid.NewString()))
	e.wantErr(err, directory.ErrNotFound)
}

func organizationUpdate(t *testing.T, e *env) {
	was := e.organization("Contoso", "contoso.com")
	got, err := e.UpdateOrganization(t.Context(), was.ID, func(o *directory.Organization) error {
		o.Name = "Contoso Ltd."
		o.Connectors[0].Enabled = false
		o.AuthServers = nil
		o.AddressSpaces[0].Password = directory.Secret("battery staple")
		o.Relationships = append(o.Relationships, directory.OrganizationRelationship{
			Common: named("Tailspin"), DomainNames: []string{"tailspintoys.com"}, FreeBusyAccessLevel: "None",
		})
		return nil
	})
	e.must(err)
	if got.Version != was.Version+1 {
		t.Errorf("version %d after an update of version %d", got.Version, was.Version)
	}
	for _, c := range []struct {
		what    string
		changed bool
		was, is directory.Common
	}{
		{"changed connector", true, was.Connectors[0].Common, got.Connectors[0].Common},
		{"address space with another password", true, was.AddressSpaces[0].Common, got.AddressSpaces[0].Common},
		{"server", false, was.Servers[0].Common, got.Servers[0].Common},
	} {
		if c.is.WhenCreated != c.was.WhenCreated || c.is.WhenChanged.After(c.was.WhenChanged) != c.changed {
			t.Errorf("%s: times were %+v, are %+v", c.what, c.was, c.is)
		}
	}
	if added := got.Relationships[1]; !directory.IsGUID(added.GUID) || !added.WhenCreated.After(was.Relationships[0].WhenCreated) {
		t.Errorf("new relationship has identity and times %+v", added.Common)
	}
	for range 2 {
		is, err := e.Organization(t.Context(), was.ID)
		e.must(err)
		equal(t, "organization", got, is)
		e.reopen()
	}
}

func authServerUpdate(t *testing.T, e *env) {
	was := e.organization("Contoso", "contoso.com")
	name := was.AuthServers[0].Name
	disable := func(a *directory.AuthServer) error { a.Enabled = false; return nil }
	e.must(e.UpdateAuthServer(t.Context(), was.ID, name, disable))
	got, err := e.Organization(t.Context(), was.ID)
	e.must(err)
	want := was.Clone()
	want.Version++
	want.AuthServers[0].Enabled, want.AuthServers[0].WhenChanged = false, got.AuthServers[0].WhenChanged
	equal(t, "organization", want, got)
	e.wantErr(e.UpdateAuthServer(t.Context(), was.ID, "another", disable), directory.ErrNotFound)
	e.wantErr(e.UpdateAuthServer(t.Context(), "another", name, disable), directory.ErrNotFound)
}

func organizationNoChange(t *testing.T, e *env) {
	was := e.organization("Contoso", "contoso.com")
	got, err := e.UpdateOrganization(t.Context(), was.ID, func(o *directory.Organization) error {
		o.Connectors[0].Enabled = false
		o.Connectors[0].Enabled = true
		o.ID, o.Version = "another", 99
		return nil
	})
	e.must(err)
	equal(t, "organization", was, got)
}

func organizationAllOrNothing(t *testing.T, e *env) {
	was := e.organization("Contoso", "contoso.com")
	other := e.organization("Fabrikam", "fabrikam.com")
	stop := errors.New("stop")
	for _, c := range []struct {
		name string
		fn   func(*directory.Organization) error
		want error
	}{
		{"fn fails", func(o *directory.Organization) error { o.Name = "X"; return stop }, stop},
		{"not valid", func(o *directory.Organization) error {
			o.Name, o.Connectors[0].TargetAddressDomains = "X", []string{"UPPER.com"}
			return nil
		}, nil},
		{"a domain is taken after objects were written", func(o *directory.Organization) error {
			o.Connectors[0].Enabled = false
			o.AcceptedDomains = append(o.AcceptedDomains, directory.AcceptedDomain{Common: named("stolen"), DomainName: "fabrikam.com", DomainType: "Authoritative"})
			return nil
		}, directory.ErrExists},
		{"the name is taken", func(o *directory.Organization) error { o.Name = "FABRIKAM"; return nil }, directory.ErrExists},
	} {
		_, err := e.UpdateOrganization(t.Context(), was.ID, c.fn)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", c.name, err, c.want)
		}
		got, err := e.Organization(t.Context(), was.ID)
		e.must(err)
		equal(t, c.name, was, got)
	}
	got, err := e.OrganizationByDomain(t.Context(), "fabrikam.com")
	e.must(err)
	if got.ID != other.ID {
		t.Error("the domain went to the organization that could not have it")
	}
}

func organizationSnapshot(t *testing.T, e *env) {
	o := e.organization("Contoso", "contoso.com")
	before, err := e.Organization(t.Context(), o.ID)
	e.must(err)
	kept := before.Clone()
	_, err = e.UpdateOrganization(t.Context(), o.ID, func(o *directory.Organization) error {
		o.Connectors[0].TargetAddressDomains[0] = "changed.example"
		o.Certificates[0].Services[0] = "IIS"
		o.AddressSpaces[0].Password[0] = 'X'
		o.AuthConfig.NextCertificateEffectiveDate = new(now.AddDate(1, 0, 0))
		return nil
	})
	e.must(err)
	equal(t, "the older snapshot", kept, before)
	again, err := e.Organization(t.Context(), o.ID)
	e.must(err)
	if again.Connectors[0].TargetAddressDomains[0] != "changed.example" || string(again.AddressSpaces[0].Password) != "Xorrect horse" {
		t.Error("the change is not in the next snapshot")
	}
	third, err := e.Organization(t.Context(), o.ID)
	e.must(err)
	if third != again {
		t.Error("an unchanged organization was read again")
	}
}

func organizationOrder(t *testing.T, e *env) {
	o := e.organization("Contoso", "contoso.com")
	set := func(names ...string) {
		t.Helper()
		_, err := e.UpdateOrganization(t.Context(), o.ID, func(o *directory.Organization) error {
			was := o.Connectors
			o.Connectors = nil
			for _, n := range names {
				k := directory.IntraOrganizationConnector{Common: named(n), TargetAddressDomains: []string{n + ".example"}, DiscoveryEndpoint: "https://" + n + ".example/"}
				if i := slices.IndexFunc(was, func(k directory.IntraOrganizationConnector) bool { return k.Name == n }); i >= 0 {
					k = was[i]
				}
				o.Connectors = append(o.Connectors, k)
			}
			return nil
		})
		e.must(err)
		e.reopen()
		got, err := e.Organization(t.Context(), o.ID)
		e.must(err)
		var is []string
		for _, k := range got.Connectors {
			is = append(is, k.Name)
		}
		equal(t, "order", names, is)
	}
	set("a", "b", "c", "d")
	set("a", "c", "d")
	set("d", "x", "a", "c")
	set("c", "d", "b")
	set()
}

func organizationUnique(t *testing.T, e *env) {
	ctx := t.Context()
	first := e.organization("Contoso", "contoso.com")
	for _, c := range []struct {
		name   string
		change func(*directory.Organization)
	}{
		{"name without regard to case", func(o *directory.Organization) { o.Name = "CONTOSO" }},
		{"tenant", func(o *directory.Organization) { o.Tenant = first.Tenant }},
		{"id", func(o *directory.Organization) { o.ID = first.ID }},
		{"domain", func(o *directory.Organization) { o.AcceptedDomains[0].DomainName = "contoso.com" }},
	} {
		o := Organization("Fabrikam", "fabrikam.com")
		c.change(o)
		if err := e.CreateOrganization(ctx, o); !errors.Is(err, directory.ErrExists) {
			t.Errorf("%s: got error %v, want ErrExists", c.name, err)
		}
		if _, err := e.OrganizationByDomain(ctx, "fabrikam.com"); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s: something of the refused organization was kept: %v", c.name, err)
		}
	}
	_, err := e.UpdateOrganization(ctx, first.ID, func(o *directory.Organization) error {
		o.AcceptedDomains[0].DomainName = "contoso.net"
		return nil
	})
	e.must(err)
	o := Organization("Fabrikam", "fabrikam.com")
	o.AcceptedDomains[1].DomainName = "contoso.com"
	e.must(e.CreateOrganization(ctx, o))
}

func organizationLookups(t *testing.T, e *env) {
	ctx := t.Context()
	contoso := e.organization("Contoso", "contoso.com")
	fabrikam := Organization("Fabrikam", "fabrikam.com")
	fabrikam.Servers[0].HostNames = append(fabrikam.Servers[0].HostNames, "mail.contoso.com")
	e.must(e.CreateOrganization(ctx, fabrikam))
	for domain, want := range map[string]directory.OrgID{
		"contoso.com": contoso.ID, "CONTOSO.com.": contoso.ID, "a.contoso.com": contoso.ID, "a.b.contoso.com": contoso.ID,
		"fabrikam.com": fabrikam.ID, "com": "", "notcontoso.com": "", "tailspintoys.com": "",
	} {
		switch o, err := e.OrganizationByDomain(ctx, domain); {
		case want == "":
			if !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("%s: got %v, %v, want ErrNotFound", domain, o, err)
			}
		case err != nil || o.ID != want:
			t.Errorf("%s: got %v, %v", domain, o, err)
		}
	}
	if o, err := e.OrganizationByTenant(ctx, strings.ToUpper(contoso.Tenant)); err != nil || o.ID != contoso.ID {
		t.Errorf("tenant: got %v, %v", o, err)
	}
	for _, tenant := range []string{"", uuid.NewString()} {
		_, err := e.OrganizationByTenant(ctx, tenant)
		e.wantErr(err, directory.ErrNotFound)
	}
	for host, want := range map[string][]string{
		"mail.contoso.com": {"Contoso", "Fabrikam"}, "Mail.Fabrikam.com": {"Fabrikam"}, "mail.tailspintoys.com": nil,
	} {
		orgs, err := e.OrganizationsAt(ctx, host)
		e.must(err)
		var got []string
		for _, o := range orgs {
			got = append(got, o.Name)
		}
		equal(t, "organizations at "+host, want, got)
	}
	all, err := e.Organizations(ctx)
	e.must(err)
	equal(t, "all organizations", []*directory.Organization{contoso, fabrikam}, all)
}

func concurrentUpdates(t *testing.T, e *env) {
	o := e.organization("Contoso", "contoso.com")
	r := Mailbox(o.ID, "a@contoso.com")
	e.must(e.CreateRecipient(t.Context(), r))
	const writers, each = 8, 5
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("w%d-%d", w, i)
				if _, err := e.UpdateOrganization(t.Context(), o.ID, func(o *directory.Organization) error {
					o.AcceptedDomains = append(o.AcceptedDomains, directory.AcceptedDomain{Common: named(name), DomainName: name + ".example", DomainType: "Authoritative"})
					return nil
				}); err != nil {
					t.Error(err)
				}
				if _, err := e.UpdateRecipient(t.Context(), o.ID, r.ID, func(r *directory.Recipient) error {
					r.Proxies = append(r.Proxies, smtpaddr.Must(name+"@contoso.com"))
					return nil
				}); err != nil {
					t.Error(err)
				}
				if _, err := e.Organization(t.Context(), o.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got, err := e.Organization(t.Context(), o.ID)
	e.must(err)
	box, err := e.Recipient(t.Context(), o.ID, r.Primary)
	e.must(err)
	if n := len(got.AcceptedDomains) - 2; n != writers*each || got.Version != 1+writers*each || len(box.Proxies) != 1+writers*each {
		t.Errorf("%d domains, version %d and %d proxies after %d updates", n, got.Version, len(box.Proxies), writers*each)
	}
}

func otherProcess(t *testing.T, e *env) {
	o := e.organization("Contoso", "contoso.com")
	realm := Realm("contoso.com")
	e.must(e.CreateRealm(t.Context(), realm))
	other := e.db.Open(t, e.clock)
	for i := range 3 {
		for _, s := range []Store{e.Store, other} {
			// Fill the caches of both.
			if _, err := s.Organization(t.Context(), o.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Realm(t.Context(), realm.ID); err != nil {
				t.Fatal(err)
			}
		}
		name := fmt.Sprint("Contoso ", i)
		_, err := e.UpdateOrganization(t.Context(), o.ID, func(o *directory.Organization) error { o.Name = name; return nil })
		e.must(err)
		_, err = e.UpdateRealm(t.Context(), realm.ID, func(r *directory.Realm) error { r.Name = name; return nil })
		e.must(err)
		got, err := other.Organization(t.Context(), o.ID)
		e.must(err)
		is, err := other.Realm(t.Context(), "contoso.com")
		e.must(err)
		if got.Name != name || is.Name != name {
			t.Errorf("the other store has organization %q and realm %q, want %q", got.Name, is.Name, name)
		}
	}
}

func recipientLookups(t *testing.T, e *env) {
	ctx := t.Context()
	o := e.organization("Contoso", "contoso.com")
	want := Mailbox(o.ID, "alice@contoso.com")
	want.UPN = "alice.upn@contoso.com"
	e.must(e.CreateRecipient(ctx, want))
	if !directory.IsGUID(want.ID) || want.WhenCreated.IsZero() {
		t.Errorf("a new recipient has id %q and time %v", want.ID, want.WhenCreated)
	}
	for range 2 {
		for _, a := range []string{"alice@contoso.com", "ALICE@Contoso.com", "alice@also.contoso.com"} {
			got, err := e.Recipient(ctx, o.ID, smtpaddr.Must(a))
			e.must(err)
			equal(t, a, want, got)
		}
		got, err := e.RecipientByID(ctx, o.ID, want.ID)
		e.must(err)
		equal(t, "by id", want, got)
		got, err = e.RecipientByUPN(ctx, o.ID, "Alice.UPN@contoso.com")
		e.must(err)
		equal(t, "by user principal name", want, got)
		e.reopen()
	}
	_, err := e.Recipient(ctx, o.ID, smtpaddr.Must("alice.upn@contoso.com"))
	e.wantErr(err, directory.ErrNotFound)
	_, err = e.RecipientByUPN(ctx, o.ID, "")
	e.wantErr(err, directory.ErrNotFound)
	_, err = e.RecipientByID(ctx, o.ID, uuid.NewString())
	e.wantErr(err, directory.ErrNotFound)

	got, err := e.UpdateRecipient(ctx, o.ID, want.ID, func(r *directory.Recipient) error {
		r.Org, r.ID, r.WhenCreated = "another", "another", time.Time{}
		r.DisplayName, r.Primary, r.UPN = "Alice B.", smtpaddr.Must("aliceb@contoso.com"), "aliceb@contoso.com"
		return nil
	})
	e.must(err)
	if got.Org != o.ID || got.ID != want.ID || got.WhenCreated != want.WhenCreated || !got.WhenChanged.After(want.WhenChanged) {
		t.Errorf("identity and times were %v %v %v %v, are %v %v %v %v", want.Org, want.ID, want.WhenCreated, want.WhenChanged, got.Org, got.ID, got.WhenCreated, got.WhenChanged)
	}
	is, err := e.Recipient(ctx, o.ID, got.Primary)
	e.must(err)
	equal(t, "changed", got, is)
	_, err = e.Recipient(ctx, o.ID, want.Primary)
	e.wantErr(err, directory.ErrNotFound)
	is, err = e.RecipientByUPN(ctx, o.ID, got.UPN)
	e.must(err)
	equal(t, "changed, by user principal name", got, is)
	_, err = e.RecipientByUPN(ctx, o.ID, want.UPN)
	e.wantErr(err, directory.ErrNotFound)
	again, err := e.UpdateRecipient(ctx, o.ID, want.ID, func(*directory.Recipient) error { return nil })
	e.must(err)
	equal(t, "not changed", got, again)

	e.must(e.DeleteRecipient(ctx, o.ID, want.ID))
	_, err = e.Recipient(ctx, o.ID, got.Primary)
	e.wantErr(err, directory.ErrNotFound)
	e.wantErr(e.DeleteRecipient(ctx, o.ID, want.ID), directory.ErrNotFound)
}

func recipientNames(t *testing.T, e *env) {
	ctx := t.Context()
	a, b := e.organization("Contoso", "contoso.com"), e.organization("Fabrikam", "fabrikam.com")
	alice, bob, other := Mailbox(a.ID, "alice@contoso.com"), Mailbox(a.ID, "bob@contoso.com"), Mailbox(b.ID, "alice@fabrikam.com")
	alice.DisplayName, bob.Alias = "Ältere", "ÄLTERE"
	for _, r := range []*directory.Recipient{alice, bob, other} {
		e.must(e.CreateRecipient(ctx, r))
	}
	find := func(name string, want ...string) {
		t.Helper()
		list, err := e.RecipientsByName(ctx, a.ID, name)
		e.must(err)
		var got []string
		for _, r := range list {
			got = append(got, r.Primary.String())
		}
		slices.Sort(got)
		equal(t, name, want, got)
	}
	for range 2 {
		find("ältere", "alice@contoso.com", "bob@contoso.com")
		find("ALICE", "alice@contoso.com")
		find("mailbox of alice", "alice@contoso.com")
		find("Sam-Bob", "bob@contoso.com")
		find("nobody")
		find("")
		find("alice@contoso.com")
		e.reopen()
	}
	_, err := e.UpdateRecipient(ctx, a.ID, bob.ID, func(r *directory.Recipient) error {
		r.Alias, r.Name, r.SamAccountName = "robert", "", "alice"
		return nil
	})
	e.must(err)
	find("ältere", "alice@contoso.com")
	find("mailbox of bob")
	find("bob", "bob@contoso.com")
	find("alice", "alice@contoso.com", "bob@contoso.com")
	e.must(e.DeleteRecipient(ctx, a.ID, alice.ID))
	find("ältere")
	find("alice", "bob@contoso.com")
}

func recipientUnique(t *testing.T, e *env) {
	ctx := t.Context()
	o := e.organization("Contoso", "contoso.com")
	alice, bob := Mailbox(o.ID, "alice@contoso.com"), Mailbox(o.ID, "bob@contoso.com")
	e.must(e.CreateRecipient(ctx, alice))
	e.must(e.CreateRecipient(ctx, bob))
	proxy := Mailbox(o.ID, "carol@contoso.com")
	proxy.Proxies = append(proxy.Proxies, alice.Proxies...)
	e.wantErr(e.CreateRecipient(ctx, proxy), directory.ErrExists)
	upn := Mailbox(o.ID, "carol@contoso.com")
	upn.UPN = alice.UPN
	e.wantErr(e.CreateRecipient(ctx, upn), directory.ErrExists)
	if _, err := e.Recipient(ctx, o.ID, smtpaddr.Must("carol@contoso.com")); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("something of a refused recipient was kept: %v", err)
	}
	invalid := Mailbox(o.ID, "carol@contoso.com")
	invalid.Calendar.TimeZone = "Moon Standard Time"
	if _, ok := errors.AsType[*directory.FieldError](e.CreateRecipient(ctx, invalid)); !ok {
		t.Error("an invalid recipient was kept")
	}
	steal := func(r *directory.Recipient) error { r.Proxies = alice.Proxies; return nil }
	_, err := e.UpdateRecipient(ctx, o.ID, bob.ID, steal)
	e.wantErr(err, directory.ErrExists)
	got, err := e.Recipient(ctx, o.ID, bob.Proxies[0])
	e.must(err)
	equal(t, "bob after a refused change", bob, got)
	_, err = e.UpdateRecipient(ctx, o.ID, alice.ID, func(r *directory.Recipient) error { r.Proxies = nil; return nil })
	e.must(err)
	_, err = e.UpdateRecipient(ctx, o.ID, bob.ID, steal)
	e.must(err)
	// Groups have no user principal name; several of them do not collide.
	for _, a := range []string{"g1@contoso.com", "g2@contoso.com"} {
		g := &directory.Recipient{Org: o.ID, Type: directory.MailGroup, DisplayName: a, Alias: a[:2], Primary: smtpaddr.Must(a), Members: []smtpaddr.Address{alice.Primary}}
		e.must(e.CreateRecipient(ctx, g))
	}
}

func recipientIsolation(t *testing.T, e *env) {
	ctx := t.Context()
	a, b := e.organization("Contoso", "contoso.com"), e.organization("Fabrikam", "fabrikam.com")
	in, out := Mailbox(a.ID, "alice@contoso.com"), Mailbox(b.ID, "alice@contoso.com")
	out.DisplayName = "the mail user of the other side"
	e.must(e.CreateRecipient(ctx, in))
	_, err := e.Recipient(ctx, b.ID, in.Primary)
	e.wantErr(err, directory.ErrNotFound)
	_, err = e.RecipientByID(ctx, b.ID, in.ID)
	e.wantErr(err, directory.ErrNotFound)
	_, err = e.RecipientByUPN(ctx, b.ID, in.UPN)
	e.wantErr(err, directory.ErrNotFound)
	_, err = e.UpdateRecipient(ctx, b.ID, in.ID, func(*directory.Recipient) error { return nil })
	e.wantErr(err, directory.ErrNotFound)
	e.wantErr(e.DeleteRecipient(ctx, b.ID, in.ID), directory.ErrNotFound)
	e.must(e.CreateRecipient(ctx, out)) // the same address in another organization
	for org, want := range map[directory.OrgID]*directory.Recipient{a.ID: in, b.ID: out} {
		var got []*directory.Recipient
		for r, err := range e.Recipients(ctx, org) {
			e.must(err)
			got = append(got, r)
		}
		equal(t, "recipients", []*directory.Recipient{want}, got)
	}
	e.must(e.DeleteRecipient(ctx, a.ID, in.ID))
	got, err := e.Recipient(ctx, b.ID, out.Primary)
	e.must(err)
	equal(t, "the other organization's recipient", out, got)
	stray := Mailbox(directory.OrgID(uuid.NewString()), "x@contoso.com")
	if e.CreateRecipient(ctx, stray) == nil {
		t.Error("a recipient of no organization was kept")
	}
}

func recipientStream(t *testing.T, e *env) {
	ctx := t.Context()
	o := e.organization("Contoso", "contoso.com")
	const n = 1003 // more than two pages
	for i := range n {
		r := Mailbox(o.ID, fmt.Sprintf("user%d@contoso.com", i))
		r.DisplayName = fmt.Sprintf("user %04d", (i*7919)%n)
		if i%3 == 0 {
			r.DisplayName = "same name"
		}
		e.must(e.CreateRecipient(ctx, r))
	}
	var got []string
	for r, err := range e.Recipients(ctx, o.ID) {
		e.must(err)
		got = append(got, r.DisplayName)
		if len(got) == 1 {
			// The store can be used while the stream is open.
			_, err := e.UpdateRecipient(ctx, o.ID, r.ID, func(r *directory.Recipient) error { r.Enabled = false; return nil })
			e.must(err)
		}
	}
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("%d recipients, sorted %t, want %d", len(got), slices.IsSorted(got), n)
	}
	got = got[:0]
	for r, err := range e.Recipients(ctx, o.ID) {
		e.must(err)
		if got = append(got, r.DisplayName); len(got) == 3 {
			break
		}
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range e.Recipients(stopped, o.ID) {
		e.wantErr(err, context.Canceled)
	}
}

func accounts(t *testing.T, e *env) {
	ctx := t.Context()
	o, other := e.organization("Contoso", "contoso.com"), e.organization("Fabrikam", "fabrikam.com")
	want := &directory.Account{
		Org: o.ID, UserName: "alice@contoso.com", PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
		Address: smtpaddr.Must("alice@contoso.com"), Roles: []string{directory.RoleAdmin}, Enabled: true,
	}
	e.must(e.PutAccount(ctx, want))
	for range 2 {
		got, err := e.Account(ctx, "Alice@CONTOSO.com")
		e.must(err)
		equal(t, "account", want, got)
		e.reopen()
	}
	want.Enabled, want.Roles, want.Address = false, nil, smtpaddr.Address{}
	e.must(e.PutAccount(ctx, want))
	got, err := e.Account(ctx, want.UserName)
	e.must(err)
	equal(t, "changed account", want, got)

	stolen := want.Clone()
	stolen.Org, stolen.Enabled = other.ID, true
	e.wantErr(e.PutAccount(ctx, stolen), directory.ErrExists)
	e.wantErr(e.DeleteAccount(ctx, string(other.ID), want.UserName), directory.ErrNotFound)
	list, err := e.Accounts(ctx, string(o.ID))
	e.must(err)
	equal(t, "accounts", []*directory.Account{want}, list)
	list, err = e.Accounts(ctx, string(other.ID))
	e.must(err)
	equal(t, "accounts of the other organization", []*directory.Account(nil), list)

	e.must(e.DeleteAccount(ctx, string(o.ID), want.UserName))
	for _, name := range []string{want.UserName, "no address", ""} {
		_, err := e.Account(ctx, name)
		e.wantErr(err, directory.ErrNotFound)
	}
	invalid := want.Clone()
	invalid.PasswordHash = "secret"
	if e.PutAccount(ctx, invalid) == nil {
		t.Error("an account with a plain password was kept")
	}
}

func realmAccounts(t *testing.T, e *env) {
	ctx := t.Context()
	o, r := e.organization("Contoso", "contoso.com"), Realm("contoso.com")
	e.must(e.CreateRealm(ctx, r))
	want := &directory.Account{
		Realm: r.ID, UserName: "admin@contoso.com", PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", Roles: []string{directory.RoleAdmin}, Enabled: true,
	}
	e.must(e.PutAccount(ctx, want))
	want.Enabled = false
	e.must(e.PutAccount(ctx, want))
	for range 2 {
		got, err := e.Account(ctx, "Admin@contoso.com")
		e.must(err)
		equal(t, "account of a realm", want, got)
		list, err := e.Accounts(ctx, r.ID)
		e.must(err)
		equal(t, "accounts of the realm", []*directory.Account{want}, list)
		e.reopen()
	}
	list, err := e.Accounts(ctx, string(o.ID))
	e.must(err)
	equal(t, "accounts of the organization", []*directory.Account(nil), list)
	for name, change := range map[string]func(*directory.Account){
		"taken by an organization": func(a *directory.Account) { a.Org, a.Realm = o.ID, "" },
		"of both":                  func(a *directory.Account) { a.Org = o.ID },
		"of nobody":                func(a *directory.Account) { a.Realm = "" },
		"of a realm that is not":   func(a *directory.Account) { a.Realm, a.UserName = uuid.NewString(), "x@contoso.com" },
		"with a mailbox":           func(a *directory.Account) { a.Address = smtpaddr.Must("admin@contoso.com") },
		"with a role of mailboxes": func(a *directory.Account) { a.Roles = []string{directory.RoleImpersonation} },
	} {
		a := want.Clone()
		if change(a); e.PutAccount(ctx, a) == nil {
			t.Errorf("an account %s was kept", name)
		}
	}
	e.wantErr(e.DeleteAccount(ctx, string(o.ID), want.UserName), directory.ErrNotFound)
	e.wantErr(e.DeleteAccount(ctx, "", want.UserName), directory.ErrNotFound)
	e.must(e.DeleteAccount(ctx, r.ID, want.UserName))
	_, err = e.Account(ctx, want.UserName)
	e.wantErr(err, directory.ErrNotFound)
}

func signInMeans(t *testing.T, e *env) {
	ctx := t.Context()
	o, other := e.organization("Contoso", "contoso.com"), e.organization("Fabrikam", "fabrikam.com")
	first, second := strings.Repeat("0a", 32), strings.Repeat("0b", 32)
	account := func(org directory.OrgID, name string) *directory.Account {
		return &directory.Account{Org: org, UserName: name, PasswordHash: "$argon2id$x", Address: smtpaddr.Must(name), Enabled: true}
	}
	want := account(o.ID, "alice@contoso.com")
	want.AppPasswords = []directory.AppPassword{
		{ID: uuid.NewString(), Name: "phone", Hash: "$sha256$eA", WhenCreated: now, LastUsed: now.Add(time.Hour)},
		{ID: uuid.NewString(), Name: "script", Hash: "$sha256$eQ", WhenCreated: now},
	}
	want.Certificates = []string{first, second}
	e.must(e.PutAccount(ctx, want))
	found := func(what, fingerprint string, want *directory.Account) {
		t.Helper()
		got, err := e.AccountByCertificate(ctx, fingerprint)
		e.must(err)
		equal(t, what, want, got)
	}
	for range 2 {
		found("account of the first certificate", first, want)
		found("account of the second certificate", second, want)
		at, err := e.AccountsAt(ctx, o.ID, want.Address)
		e.must(err)
		equal(t, "accounts of an address", []*directory.Account{want}, at)
		e.reopen()
	}
	if at, err := e.AccountsAt(ctx, other.ID, want.Address); err != nil || at != nil {
		t.Errorf("accounts of an address elsewhere: %v, %v", at, err)
	}
	bob := account(other.ID, "bob@fabrikam.com")
	bob.Certificates = []string{second}
	e.wantErr(e.PutAccount(ctx, bob), directory.ErrExists)
	_, err := e.Account(ctx, bob.UserName)
	e.wantErr(err, directory.ErrNotFound)

	want.Certificates, want.AppPasswords = want.Certificates[:1], want.AppPasswords[1:]
	e.must(e.PutAccount(ctx, want))
	found("account with less", first, want)
	e.must(e.PutAccount(ctx, bob))
	found("account that has the certificate now", second, bob)
	e.must(e.DeleteAccount(ctx, string(o.ID), want.UserName))
	for _, f := range []string{first, "", "x"} {
		_, err := e.AccountByCertificate(ctx, f)
		e.wantErr(err, directory.ErrNotFound)
	}
}

func accountNetworks(t *testing.T, e *env) {
	ctx := t.Context()
	o := e.organization("Contoso", "contoso.com")
	const alice = "alice@contoso.com"
	put := func() {
		t.Helper()
		e.must(e.PutAccount(ctx, &directory.Account{Org: o.ID, UserName: alice, PasswordHash: "$argon2id$x", Enabled: true}))
	}
	seen := func(what, user string, network netip.Prefix, want time.Time) {
		t.Helper()
		got, err := e.NetworkSeen(ctx, user, network)
		e.must(err)
		equal(t, what, want, got)
	}
	put()
	home, away := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/64")
	e.must(e.NoteNetwork(ctx, alice, home, now))
	e.must(e.NoteNetwork(ctx, alice, home, now.Add(time.Hour)))
	put()
	for range 2 {
		seen("home", alice, home, now.Add(time.Hour))
		seen("away", alice, away, time.Time{})
		seen("home of another", "bob@contoso.com", home, time.Time{})
		e.reopen()
	}
	e.must(e.NoteNetwork(ctx, "nobody@contoso.com", home, now))
	seen("home of nobody", "nobody@contoso.com", home, time.Time{})

	e.must(e.NoteNetwork(ctx, alice, away, now.Add(2*time.Hour)))
	for i := range 63 { // with away as many as are kept
		e.must(e.NoteNetwork(ctx, alice, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32), now.Add(3*time.Hour)))
	}
	seen("home, which was longest ago", alice, home, time.Time{})
	seen("away", alice, away, now.Add(2*time.Hour))

	e.must(e.DeleteAccount(ctx, string(o.ID), alice))
	put()
	seen("away, of an account that is new", alice, away, time.Time{})
}

func realms(t *testing.T, e *env) {
	ctx := t.Context()
	want := Realm("contoso.partner.onmschina.cn")
	want.Domains = append(want.Domains, directory.VerifiedDomain{Name: "contoso.com"})
	e.must(e.CreateRealm(ctx, want))
	for range 2 {
		for _, key := range []string{want.ID, strings.ToUpper(want.ID), "contoso.com", "Contoso.Com", "contoso.partner.onmschina.cn"} {
			got, err := e.Realm(ctx, key)
			e.must(err)
			equal(t, key, want, got)
		}
		e.reopen()
	}
	for _, key := range []string{uuid.NewString(), "fabrikam.com", "sub.contoso.com", "", "no domain", "*.contoso.com"} {
		_, err := e.Realm(ctx, key)
		e.wantErr(err, directory.ErrNotFound)
	}
	second := Realm("fabrikam.com")
	second.Domains = append(second.Domains, directory.VerifiedDomain{Name: "contoso.com"})
	e.wantErr(e.CreateRealm(ctx, second), directory.ErrExists)
	second.Domains = second.Domains[:1]
	e.must(e.CreateRealm(ctx, second))
	before, err := e.Realm(ctx, want.ID)
	e.must(err)
	kept := before.Clone()
	got, err := e.UpdateRealm(ctx, want.ID, func(r *directory.Realm) error {
		r.Domains = r.Domains[:1]
		r.Principals[0].ServicePrincipalNames = r.Principals[0].ServicePrincipalNames[:1]
		r.ServiceHosts = nil
		return nil
	})
	e.must(err)
	equal(t, "the older snapshot", kept, before)
	if got.Version != want.Version+1 {
		t.Errorf("version %d after an update of version %d", got.Version, want.Version)
	}
	is, err := e.Realm(ctx, want.ID)
	e.must(err)
	equal(t, "changed realm", got, is)
	_, err = e.Realm(ctx, "contoso.com")
	e.wantErr(err, directory.ErrNotFound)
	_, err = e.UpdateRealm(ctx, second.ID, func(r *directory.Realm) error { r.Principals[0].ServicePrincipalNames = nil; return nil })
	if _, ok := errors.AsType[*directory.FieldError](err); !ok {
		t.Errorf("an invalid realm was kept: %v", err)
	}
	all, err := e.Realms(ctx)
	e.must(err)
	if len(all) != 2 {
		t.Errorf("%d realms, want 2", len(all))
	}
}

func authority(t *testing.T, e *env) {
	ctx := t.Context()
	_, err := e.AuthorityConfig(ctx)
	e.wantErr(err, directory.ErrNotFound)
	want := &directory.AuthorityConfig{Cloud: directory.Clouds["21vianet"], Certificates: []directory.Certificate{signing()}, TokenLifetime: time.Hour}
	e.must(e.SetAuthorityConfig(ctx, want))
	for range 2 {
		got, err := e.AuthorityConfig(ctx)
		e.must(err)
		equal(t, "authority", want, got)
		e.reopen()
	}
	want = want.Clone()
	want.TokenLifetime = 2 * time.Hour
	e.must(e.SetAuthorityConfig(ctx, want))
	got, err := e.AuthorityConfig(ctx)
	e.must(err)
	equal(t, "changed authority", want, got)
	if e.SetAuthorityConfig(ctx, &directory.AuthorityConfig{}) == nil {
		t.Error("an empty configuration was kept")
	}
}

func auditEvents(t *testing.T, e *env) {
	ctx := t.Context()
	const n = 1203
	var want []audit.Event
	for i := range n {
		ev := audit.Event{
			At: now.Add(time.Duration(i/2) * time.Microsecond), Org: "contoso", Actor: "system", Operation: fmt.Sprint("Op", i%3),
			Object: fmt.Sprint(i), Before: "{}", After: `{"a":1}`, Outcome: "done", RequestID: "r",
		}
		e.must(e.Record(ctx, ev))
		want = append(want, ev)
	}
	slices.Reverse(want)
	e.must(e.Record(ctx, audit.Event{Org: "fabrikam", Operation: "Op0", Outcome: "done"}))
	e.reopen()
	read := func(f audit.Filter) (out []audit.Event) {
		for ev, err := range e.AuditEvents(ctx, f) {
			e.must(err)
			out = append(out, ev)
		}
		return out
	}
	keep := func(ok func(audit.Event) bool) (out []audit.Event) {
		for _, ev := range want {
			if ok(ev) {
				out = append(out, ev)
			}
		}
		return out
	}
	from, until := now.Add(10*time.Microsecond), now.Add(20*time.Microsecond)
	for _, c := range []struct {
		name   string
		filter audit.Filter
		want   []audit.Event
	}{
		{"all", audit.Filter{Org: "contoso"}, want},
		{"limit over a page", audit.Filter{Org: "contoso", Limit: 701}, want[:701]},
		{"limit", audit.Filter{Org: "contoso", Limit: 1}, want[:1]},
		{"operation", audit.Filter{Org: "contoso", Operation: "Op1"}, keep(func(ev audit.Event) bool { return ev.Operation == "Op1" })},
		{"half-open span", audit.Filter{Org: "contoso", From: from, Until: until}, keep(func(ev audit.Event) bool { return !ev.At.Before(from) && ev.At.Before(until) })},
		{"actor nobody", audit.Filter{Org: "contoso", Actor: "nobody"}, nil},
		{"no organization", audit.Filter{}, nil},
	} {
		equal(t, c.name, c.want, read(c.filter))
	}
	if got := read(audit.Filter{Org: "fabrikam"}); len(got) != 1 || got[0].At.IsZero() {
		t.Errorf("the other organization has %+v", got)
	}
}
