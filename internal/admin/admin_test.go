package admin_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/admin"
	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/fedmeta"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/store/sqlitestore"
	"busybridge/internal/trust"
)

var now = time.Date(2014, 5, 6, 7, 8, 9, 0, time.UTC)

// certificates are made once: a key takes long.
var certificates = sync.OnceValue(func() (list []directory.Certificate) {
	for _, until := range []time.Time{now.AddDate(5, 0, 0), now.AddDate(0, 6, 0), now.Add(-time.Second)} {
		c, err := trust.NewSigningCertificate(trust.ExchangeCertificateSubject, now.AddDate(-1, 0, 0), until)
		if err != nil {
			panic(err)
		}
		list = append(list, c)
	}
	return list
})

// world is a service over a store of its own.
type world struct {
	*admin.Service
	store      *sqlitestore.Store
	t          *testing.T
	docs       map[string]*acs.Document
	federation map[string]*fedmeta.Document
	next       int // certificate that NewCertificate makes
	files      []string
}

var system = admin.Actor{Name: "system", System: true, RequestID: "r-1"}

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "a.db"), sqlitestore.Options{
		Now: func() time.Time { return now }, SealKey: make([]byte, 32), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w := &world{store: store, t: t, docs: map[string]*acs.Document{}}
	w.Service, err = admin.New(admin.Config{
		Store: admin.Over(store), Calendars: w, Metadata: w, Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		NewCertificate: func(string, time.Time, time.Time) (directory.Certificate, error) {
			w.next++
			return certificates()[w.next-1], nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) FetchMetadata(_ context.Context, url string) (*acs.Document, error) {
	if d, ok := w.docs[url]; ok {
		return d, nil
	}
	return nil, errors.New("the underlying connection was closed")
}

func (w *world) FetchFederationMetadata(_ context.Context, url string) (*fedmeta.Document, error) {
	if d, ok := w.federation[url]; ok {
		return d, nil
	}
	return nil, errors.New("the underlying connection was closed")
}

func (w *world) Import(_ context.Context, mailbox *directory.Recipient, name string, r io.Reader) (directory.ImportSummary, error) {
	b, err := io.ReadAll(r)
	w.files = append(w.files, fmt.Sprintf("%s %s %s", mailbox.Primary, name, b))
	return directory.ImportSummary{File: name, Events: 1, Added: 1}, err
}

// ok returns the result of an operation that must succeed.
func ok[T any](w *world) func(T, error) T {
	return func(v T, err error) T {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
		return v
	}
}

func (w *world) contoso() *directory.Organization {
	w.t.Helper()
	return ok[admin.Result[*directory.Organization]](w)(w.NewOrganization(w.t.Context(), system, admin.OrganizationParams{
		Name: "Contoso", Domain: "Contoso.com", MoreDomains: []string{"*.contoso.com"},
	})).Object
}

func (w *world) organization(id directory.OrgID) *directory.Organization {
	w.t.Helper()
	return ok[*directory.Organization](w)(w.store.Organization(w.t.Context(), id))
}

func (w *world) events(owner string) (out []audit.Event) {
	w.t.Helper()
	for e, err := range w.store.AuditEvents(w.t.Context(), audit.Filter{Org: owner}) {
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func acsDocument(realm string, cert directory.Certificate) *acs.Document {
	return &acs.Document{
		Version: "1.0", Realm: realm, Name: "sts", Issuer: "00000001-0002-0000-c000-000000000000@" + realm,
		Endpoints: []acs.Endpoint{{Location: "https://accounts.accesscontrol.chinacloudapi.cn/" + realm + "/tokens/OAuth/2", Protocol: "OAuth2", Usage: "issuance"}},
		Keys:      []acs.Key{{Certificate: cert.DER}},
	}
}

const (
	tenant      = "cb52ada4-5045-4d00-a59a-c7896ef052a1"
	metadataURL = "https://accounts.accesscontrol.chinacloudapi.cn/contoso.com/metadata/json/1"
)

func TestNewOrganization(t *testing.T) {
	w := newWorld(t)
	o := w.contoso()
	cert := certificates()[0]
	want := &directory.Organization{
		ID: o.ID, Name: "Contoso", Version: 1,
		AcceptedDomains: []directory.AcceptedDomain{
			{Common: directory.Common{Name: "contoso.com"}, DomainName: "contoso.com", DomainType: "Authoritative", Default: true},
			{Common: directory.Common{Name: "*.contoso.com"}, DomainName: "*.contoso.com", DomainType: "Authoritative"},
		},
		AuthConfig: directory.AuthConfig{
			ServiceName: directory.ExchangeAppID, CurrentCertificateThumbprint: cert.Thumbprint, WhenCreated: now, WhenChanged: now,
		},
		Certificates: []directory.Certificate{{
			Thumbprint: cert.Thumbprint, FriendlyName: "Microsoft Exchange Server Auth Certificate", DER: cert.DER, Key: cert.Key, Services: []string{"SMTP"},
		}},
		LinkedUsers: []directory.LinkedUser{{Common: directory.Common{Name: "Exchange Online-ApplicationAccount"}, Roles: directory.ApplicationRoles()}},
		PartnerApplications: []directory.PartnerApplication{{
			Common: directory.Common{Name: "Exchange Online"}, ApplicationIdentifier: directory.ExchangeAppID, UseAuthServer: true,
			LinkedAccount: "contoso.com/Users/Exchange Online-ApplicationAccount",
		}},
	}
	identity := cmpopts.IgnoreFields(directory.Common{}, "GUID", "WhenCreated", "WhenChanged")
	if d := cmp.Diff(want, w.organization(o.ID), identity, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("a fresh organization (-want +got):\n%s", d)
	}
	events := w.events(string(o.ID))
	if len(events) != 1 || events[0].Operation != "New-Organization" || events[0].Outcome != "done" || events[0].Before != "" || events[0].RequestID != "r-1" {
		t.Errorf("audit: %+v", events)
	}
	if key := base64.StdEncoding.EncodeToString(cert.Key); strings.Contains(events[0].After, key) || !strings.Contains(events[0].After, "(secret)") {
		t.Error("the private key is in the audit trail")
	}

	hosted := ok[admin.Result[*directory.Organization]](w)(w.NewOrganization(t.Context(), system, admin.OrganizationParams{
		Name: "Contoso online", Domain: "contoso.partner.onmschina.cn", Tenant: strings.ToUpper(tenant),
	})).Object
	if !hosted.PartnerApplications[0].Enabled || hosted.Realm() != tenant {
		t.Errorf("hosted: Exchange Online enabled %t, realm %q", hosted.PartnerApplications[0].Enabled, hosted.Realm())
	}
	_, err := w.NewOrganization(t.Context(), system, admin.OrganizationParams{Name: "CONTOSO", Domain: "fabrikam.com"})
	if !errors.Is(err, directory.ErrExists) {
		t.Errorf("second organization of a name: %v", err)
	}
}

func TestArticleSteps(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	w.docs[metadataURL] = acsDocument(tenant, certificates()[1])

	// Step 1.
	a := ok[admin.Result[directory.AuthServer]](w)(w.NewAuthServer(ctx, system, org, directory.AuthServer{
		Common: directory.Common{Name: "MicrosoftAzureACS"}, AuthMetadataURL: metadataURL, Enabled: true,
	})).Object
	want := directory.AuthServer{
		Common: a.Common, Type: directory.AuthServerACS, Enabled: true, AuthMetadataURL: metadataURL, Realm: tenant,
		IssuerIdentifier:     "00000001-0002-0000-c000-000000000000",
		TokenIssuingEndpoint: "https://accounts.accesscontrol.chinacloudapi.cn/" + tenant + "/tokens/OAuth/2",
		CertificateStrings:   []string{base64.StdEncoding.EncodeToString(certificates()[1].DER)}, RefreshedAt: now,
	}
	if d := cmp.Diff(want, a, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("step 1 (-want +got):\n%s", d)
	}
	// Step 2, twice: the second changes nothing.
	for i, identity := range []string{"exchange online", directory.ExchangeAppID} {
		r := ok[admin.Result[directory.PartnerApplication]](w)(w.SetPartnerApplication(ctx, system, org, identity, false,
			func(p *directory.PartnerApplication) error { p.Enabled = true; return nil }))
		if !r.Object.Enabled || r.Changed != (i == 0) {
			t.Errorf("step 2, time %d: enabled %t, changed %t", i+1, r.Object.Enabled, r.Changed)
		}
	}
	// Step 6 and its siblings.
	c := ok[admin.Result[directory.IntraOrganizationConnector]](w)(w.NewIntraOrganizationConnector(ctx, system, org, directory.IntraOrganizationConnector{
		Common:               directory.Common{Name: "ExchangeHybridOnPremisesToOnline"},
		DiscoveryEndpoint:    "https://partner.outlook.cn/autodiscover/autodiscover.svc",
		TargetAddressDomains: []string{"Contoso.partner.mail.onmschina.CN"}, Enabled: true,
	})).Object
	if c.TargetAddressDomains[0] != "contoso.partner.mail.onmschina.cn" {
		t.Errorf("step 6: domains %q", c.TargetAddressDomains)
	}
	for _, identity := range []string{c.Name, strings.ToUpper(c.GUID), "CN=ExchangeHybridOnPremisesToOnline,CN=Intra Organization Connectors,DC=contoso"} {
		r := ok[admin.Result[directory.IntraOrganizationConnector]](w)(w.SetIntraOrganizationConnector(ctx, system, org, identity,
			func(c *directory.IntraOrganizationConnector) error { c.Enabled = !c.Enabled; return nil }))
		if !r.Changed {
			t.Errorf("set by %q changed nothing", identity)
		}
	}
	// Step 8.
	s := ok[admin.Result[directory.AvailabilityAddressSpace]](w)(w.AddAvailabilityAddressSpace(ctx, system, org, directory.AvailabilityAddressSpace{
		ForestName: "contoso.partner.mail.onmschina.cn", AccessMethod: "InternalProxy", UseServiceAccount: true, ProxyURL: "https://mail.contoso.com/ews/exchange.asmx",
	})).Object
	if s.Name != s.ForestName {
		t.Errorf("step 8: name %q", s.Name)
	}
	ok[admin.Result[directory.OrganizationRelationship]](w)(w.NewOrganizationRelationship(ctx, system, org, directory.OrganizationRelationship{
		Common: directory.Common{Name: "Fabrikam"}, DomainNames: []string{"fabrikam.com"}, Enabled: true,
	}))
	r := ok[admin.Result[directory.OrganizationRelationship]](w)(w.SetOrganizationRelationship(ctx, system, org, "Fabrikam",
		func(r *directory.OrganizationRelationship) error {
			r.DomainNames = append(r.DomainNames, "Tailspintoys.com")
			return nil
		})).Object
	if d := cmp.Diff([]string{"fabrikam.com", "tailspintoys.com"}, r.DomainNames); d != "" || r.FreeBusyAccessLevel != "None" {
		t.Errorf("relationship: level %q, domains (-want +got):\n%s", r.FreeBusyAccessLevel, d)
	}
	ok[admin.Result[directory.Server]](w)(w.NewServer(ctx, system, org, directory.Server{
		Common: directory.Common{Name: "MAIL"}, HostNames: []string{"Mail.contoso.com"}, AdminDisplayVersion: directory.OAuthVersion,
	}))
	v := ok[admin.Result[directory.Server]](w)(w.SetServer(ctx, system, "Set-WebServicesVirtualDirectory", org, `MAIL\EWS (Default Web Site)`,
		func(v *directory.Server) error {
			v.ExternalURL = "https://mail.contoso.com/ews/exchange.asmx"
			return nil
		})).Object
	if v.HostNames[0] != "mail.contoso.com" || v.ExternalURL == "" {
		t.Errorf("server: %+v", v)
	}
	// Everything can be removed again; before stays in the audit trail.
	for _, remove := range []func() error{
		func() error { _, err := w.RemoveAuthServer(ctx, system, org, a.IssuerIdentifier); return err },
		func() error { _, err := w.RemovePartnerApplication(ctx, system, org, "Exchange Online"); return err },
		func() error { _, err := w.RemoveIntraOrganizationConnector(ctx, system, org, c.Name); return err },
		func() error { _, err := w.RemoveOrganizationRelationship(ctx, system, org, "Fabrikam"); return err },
		func() error { _, err := w.RemoveAvailabilityAddressSpace(ctx, system, org, s.Name); return err },
	} {
		if err := remove(); err != nil {
			t.Error(err)
		}
		if err := remove(); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("removed twice: %v", err)
		}
	}
	events := w.events(string(org))
	for _, e := range events {
		if e.Outcome == "done" && strings.HasPrefix(e.Operation, "Remove-") && (e.Before == "" || e.After != "") {
			t.Errorf("audit event of %s: before %q, after %q", e.Operation, e.Before, e.After)
		}
		if e.Outcome == "done" && strings.HasPrefix(e.Operation, "Set-") && (e.Before == "" || e.After == "" || e.Before == e.After) {
			t.Errorf("audit event of %s: before %q, after %q", e.Operation, e.Before, e.After)
		}
	}
	if n := 1 + 1 + 1 + 1 + 3 + 1 + 2 + 2 + 2*5; len(events) != n {
		t.Errorf("%d audit events, want %d: each change one, no change none, each failure one", len(events), n)
	}
}

func TestAuthServerMetadata(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	add := func(name, url string) error {
		_, err := w.NewAuthServer(ctx, system, org, directory.AuthServer{Common: directory.Common{Name: name}, AuthMetadataURL: url, Enabled: true})
		return err
	}
	err := add("ACS", metadataURL)
	me, typed := errors.AsType[*admin.MetadataError](err)
	if !typed || me.Error() != "Cannot acquire auth metadata document from '"+metadataURL+"'. Error: the underlying connection was closed" {
		t.Errorf("unreachable: %v", err)
	}
	w.docs[metadataURL] = acsDocument("*", certificates()[0])
	if err := add("ACS", metadataURL); err == nil || len(w.organization(org).AuthServers) != 0 {
		t.Errorf("a document of no realm: %v", err)
	}
	w.docs[metadataURL] = acsDocument(tenant, certificates()[0])
	if err := add("ACS", metadataURL); err != nil {
		t.Fatal(err)
	}
	if err := add("acs", metadataURL); !errors.Is(err, directory.ErrExists) {
		t.Errorf("second of a name: %v", err)
	}
	w.docs[metadataURL] = acsDocument(tenant, certificates()[1])
	set := func(refresh bool, fn func(*directory.AuthServer) error) (admin.Result[directory.AuthServer], error) {
		return w.SetAuthServer(ctx, system, org, "ACS", refresh, fn)
	}
	key := func(i int) string { return base64.StdEncoding.EncodeToString(certificates()[i].DER) }
	r := ok[admin.Result[directory.AuthServer]](w)(set(false, func(a *directory.AuthServer) error { a.Enabled = false; return nil }))
	if r.Object.CertificateStrings[0] != key(0) || !r.Changed || r.Object.Enabled {
		t.Errorf("without refresh: changed %t, %+v", r.Changed, r.Object)
	}
	r = ok[admin.Result[directory.AuthServer]](w)(set(true, nil))
	if r.Object.CertificateStrings[0] != key(1) || r.Object.Enabled || !r.Changed {
		t.Errorf("refresh: changed %t, %+v", r.Changed, r.Object)
	}
	if r = ok[admin.Result[directory.AuthServer]](w)(set(true, nil)); r.Changed {
		t.Error("a refresh of the same document at the same time changed something")
	}
	// A realm that was left open stays open.
	ok[admin.Result[directory.AuthServer]](w)(set(false, func(a *directory.AuthServer) error { a.Realm = ""; return nil }))
	if r = ok[admin.Result[directory.AuthServer]](w)(set(true, nil)); r.Object.Realm != "" {
		t.Errorf("realm is %q after a refresh", r.Object.Realm)
	}
	before := w.organization(org)
	const other = "https://login.partner.microsoftonline.cn/contoso.com/metadata/json/1"
	move := func(a *directory.AuthServer) error { a.AuthMetadataURL = other; return nil }
	if _, err := set(false, move); err == nil || !strings.Contains(err.Error(), "Cannot acquire auth metadata document from '"+other) {
		t.Errorf("a new URL that cannot be read: %v", err)
	}
	if w.organization(org) != before {
		t.Error("a failed refresh changed something")
	}
	w.docs[other] = acsDocument(tenant, certificates()[0])
	if r := ok[admin.Result[directory.AuthServer]](w)(set(false, move)); r.Object.CertificateStrings[0] != key(0) || r.Object.AuthMetadataURL != other {
		t.Errorf("moved: %+v", r.Object)
	}
	if _, err := w.NewAuthServer(ctx, system, org, directory.AuthServer{Common: directory.Common{Name: "EvoSTS"}, Type: directory.AuthServerAzureAD, AuthMetadataURL: other}); err == nil {
		t.Error("federation metadata was taken for the other kind")
	}
	ok[admin.Result[directory.AuthServer]](w)(w.NewAuthServer(ctx, system, org, directory.AuthServer{
		Common: directory.Common{Name: "EvoSTS"}, Type: directory.AuthServerAzureAD, IssuerIdentifier: "https://sts.chinacloudapi.cn/" + tenant + "/", Realm: tenant,
	}))
	if _, err := w.SetAuthServer(ctx, system, org, "EvoSTS", true, nil); err == nil {
		t.Error("refreshed without a metadata URL")
	}
}

func TestPartnerApplicationForms(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	const url = "https://mail.fabrikam.com/autodiscover/metadata/json/1"
	doc := &acs.Document{Realm: "fabrikam.com", ServiceName: directory.ExchangeAppID, Issuer: directory.ExchangeAppID + "@fabrikam.com", Keys: []acs.Key{{Certificate: certificates()[0].DER}}}
	w.docs[url] = doc
	add := func(p directory.PartnerApplication) (admin.Result[directory.PartnerApplication], error) {
		p.Name, p.Enabled = "Fabrikam", true
		return w.NewPartnerApplication(ctx, system, org, p)
	}
	for name, p := range map[string]directory.PartnerApplication{
		"both forms":        {ApplicationIdentifier: directory.ExchangeAppID, AuthMetadataURL: url},
		"neither form":      {},
		"cannot be fetched": {AuthMetadataURL: "https://nowhere.example/"},
		"same application":  {ApplicationIdentifier: directory.ExchangeAppID},
	} {
		if _, err := add(p); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	doc.Realm = "*"
	if _, err := add(directory.PartnerApplication{AuthMetadataURL: url}); err == nil || !strings.Contains(err.Error(), "realm is *") {
		t.Errorf("a document of every realm: %v", err)
	}
	p := ok[admin.Result[directory.PartnerApplication]](w)(add(directory.PartnerApplication{AuthMetadataURL: url, Realm: "fabrikam.com"})).Object
	if p.UseAuthServer || p.Realm != "fabrikam.com" || p.ApplicationIdentifier != directory.ExchangeAppID || len(p.CertificateStrings) != 1 {
		t.Errorf("direct trust: %+v", p)
	}
	doc.Keys = append(doc.Keys, acs.Key{Certificate: certificates()[1].DER})
	r := ok[admin.Result[directory.PartnerApplication]](w)(w.SetPartnerApplication(ctx, system, org, "Fabrikam", true, nil))
	if len(r.Object.CertificateStrings) != 2 || r.Object.Realm != "fabrikam.com" || !r.Changed {
		t.Errorf("refreshed: changed %t, %+v", r.Changed, r.Object)
	}
	if _, err := w.SetPartnerApplication(ctx, system, org, directory.ExchangeAppID, false, nil); err == nil {
		t.Error("an application id that two objects have named one of them")
	} else if _, ambiguous := errors.AsType[*admin.AmbiguousError](err); !ambiguous {
		t.Errorf("ambiguous identity: %v", err)
	}
}

func TestAuthConfig(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	var prints []string
	prints = append(prints, w.organization(org).AuthConfig.CurrentCertificateThumbprint)
	for range 2 {
		c := ok[admin.Result[directory.Certificate]](w)(w.NewExchangeCertificate(ctx, system, org, admin.CertificateParams{})).Object
		prints = append(prints, c.Thumbprint)
	}
	realm := "contoso.net"
	type state struct {
		Current, Previous, Next int // certificate, from 1; 0: none
		Realm                   string
		Warnings                int
		Changed                 bool
	}
	number := func(p string) int {
		for i := range prints {
			if prints[i] == p {
				return i + 1
			}
		}
		return 0
	}
	spaced := strings.ToLower(prints[1][:2] + " " + prints[1][2:])
	for _, c := range []struct {
		name   string
		change admin.AuthConfigChange
		want   state
		err    string
	}{
		{"next", admin.AuthConfigChange{NewCertificateThumbprint: spaced, NewCertificateEffectiveDate: now.AddDate(0, 1, 0)}, state{1, 0, 2, "", 0, true}, ""},
		{"next again", admin.AuthConfigChange{NewCertificateThumbprint: prints[1], NewCertificateEffectiveDate: now.AddDate(0, 1, 0)}, state{1, 0, 2, "", 0, false}, ""},
		{"next soon warns", admin.AuthConfigChange{NewCertificateThumbprint: prints[1], NewCertificateEffectiveDate: now.Add(47 * time.Hour)}, state{1, 0, 2, "", 1, true}, ""},
		{"next without date", admin.AuthConfigChange{NewCertificateThumbprint: prints[1]}, state{}, "belong together"},
		{"two groups", admin.AuthConfigChange{CertificateThumbprint: prints[1], PublishCertificate: true}, state{}, "one by one"},
		{"publish", admin.AuthConfigChange{PublishCertificate: true}, state{2, 1, 0, "", 0, true}, ""},
		{"publish again", admin.AuthConfigChange{PublishCertificate: true}, state{}, "no next certificate"},
		{"clear", admin.AuthConfigChange{ClearPreviousCertificate: true}, state{2, 0, 0, "", 0, true}, ""},
		{"current that has expired warns", admin.AuthConfigChange{CertificateThumbprint: prints[2]}, state{3, 2, 0, "", 1, true}, ""},
		{"current again", admin.AuthConfigChange{CertificateThumbprint: prints[0]}, state{1, 3, 0, "", 0, true}, ""},
		{"unknown thumbprint", admin.AuthConfigChange{CertificateThumbprint: strings.Repeat("A", 40)}, state{}, "no certificate has this thumbprint"},
		{"realm", admin.AuthConfigChange{Realm: &realm}, state{1, 3, 0, realm, 0, true}, ""},
	} {
		r, err := w.SetAuthConfig(ctx, system, org, c.change)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got error %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		a := w.organization(org).AuthConfig
		got := state{number(a.CurrentCertificateThumbprint), number(a.PreviousCertificateThumbprint), number(a.NextCertificateThumbprint), a.Realm, len(r.Warnings), r.Changed}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

func TestMailboxes(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	r := ok[admin.Result[*directory.Recipient]](w)(w.NewMailbox(ctx, system, org, admin.MailboxParams{
		Name: "Alice Example", Password: "correct horse", TimeZone: "China Standard Time", Proxies: []string{"a.example@sub.contoso.com"},
	})).Object
	want := &directory.Recipient{
		Org: org, ID: r.ID, Type: directory.UserMailbox, DisplayName: "Alice Example", Alias: "AliceExample", Enabled: true,
		Primary: smtpaddr.Must("aliceexample@contoso.com"), Proxies: []smtpaddr.Address{smtpaddr.Must("a.example@sub.contoso.com")}, UPN: "aliceexample@contoso.com",
		Calendar:    directory.CalendarConfiguration{TimeZone: "China Standard Time", WorkDays: 0b0111110, WorkStart: 480, WorkEnd: 1020},
		Permissions: []directory.Permission{{User: "Default", Level: freebusy.LevelTime}, {User: "Anonymous", Level: freebusy.LevelNone}},
		WhenCreated: now, WhenChanged: now,
	}
	address := cmp.Comparer(func(a, b smtpaddr.Address) bool { return a == b })
	if d := cmp.Diff(want, ok[*directory.Recipient](w)(w.store.RecipientByUPN(ctx, org, r.UPN)), address, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("mailbox (-want +got):\n%s", d)
	}
	a := ok[*directory.Account](w)(w.store.Account(ctx, r.UPN))
	if match, _, err := trust.VerifyPassword(ctx, a.PasswordHash, "correct horse"); err != nil || !match || a.Address != r.Primary || !a.Enabled {
		t.Errorf("account %+v: password matches %t, %v", a, match, err)
	}
	for _, e := range w.events(string(org)) {
		if strings.Contains(e.After, "correct horse") || strings.Contains(e.After, "argon2id") {
			t.Errorf("audit event of %s holds the password or its hash", e.Operation)
		}
	}
	ok[admin.Result[*directory.Recipient]](w)(w.NewMailbox(ctx, system, org, admin.MailboxParams{Name: "Room 1", Type: directory.RoomMailbox, TimeZone: "China Standard Time"}))
	u := ok[admin.Result[*directory.Recipient]](w)(w.NewMailUser(ctx, system, org, admin.MailUserParams{Name: "Bob", ExternalAddress: "SMTP:bob@contoso.partner.mail.onmschina.cn"})).Object
	if u.ExternalAddress != smtpaddr.Must("bob@contoso.partner.mail.onmschina.cn") || u.Primary != smtpaddr.Must("bob@contoso.com") || u.IsMailbox() {
		t.Errorf("mail user: %+v", u)
	}
	for name, p := range map[string]admin.MailboxParams{
		"no password":            {Name: "C", TimeZone: "China Standard Time"},
		"short password":         {Name: "C", TimeZone: "China Standard Time", Password: "1234567"},
		"password is the name":   {Name: "Carol1234", TimeZone: "China Standard Time", Password: "carol1234"},
		"foreign domain":         {Name: "C", TimeZone: "China Standard Time", Password: "correct horse", Primary: "c@fabrikam.com"},
		"foreign proxy":          {Name: "C", TimeZone: "China Standard Time", Password: "correct horse", Proxies: []string{"c@fabrikam.com"}},
		"no time zone":           {Name: "C", Type: directory.RoomMailbox},
		"unknown time zone":      {Name: "C", Type: directory.RoomMailbox, TimeZone: "Moon Standard Time"},
		"no name":                {Type: directory.RoomMailbox, TimeZone: "China Standard Time"},
		"a mail user":            {Name: "C", Type: directory.MailUser, TimeZone: "China Standard Time"},
		"address that is taken":  {Name: "C", Type: directory.RoomMailbox, TimeZone: "China Standard Time", Primary: "bob@contoso.com"},
		"account that is there ": {Name: "C", Type: directory.RoomMailbox, TimeZone: "China Standard Time", Primary: "c@contoso.com", UPN: r.UPN},
	} {
		if _, err := w.NewMailbox(ctx, system, org, p); err == nil {
			t.Errorf("%s: a mailbox was made", name)
		}
	}
	if _, err := w.store.Recipient(ctx, org, smtpaddr.Must("c@contoso.com")); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("something of a refused mailbox was kept: %v", err)
	}

	zone := func(identity, name string) (admin.Result[*directory.Recipient], error) {
		return w.SetMailboxCalendarConfiguration(ctx, system, org, identity, func(c *directory.CalendarConfiguration) error { c.TimeZone = name; return nil })
	}
	for _, identity := range []string{"A.Example@sub.contoso.com", r.UPN, strings.ToUpper(r.ID)} {
		if got := ok[admin.Result[*directory.Recipient]](w)(zone(identity, "Tokyo Standard Time")); got.Object.Calendar.TimeZone != "Tokyo Standard Time" || got.Changed != (identity == "A.Example@sub.contoso.com") {
			t.Errorf("zone by %s: changed %t, %+v", identity, got.Changed, got.Object.Calendar)
		}
	}
	if _, err := zone(r.UPN, "Moon Standard Time"); err == nil {
		t.Error("an unknown zone was set")
	}
	for _, identity := range []string{"nobody@contoso.com", u.Primary.String(), "Alice", ""} {
		if _, err := zone(identity, "Tokyo Standard Time"); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("mailbox %q: %v", identity, err)
		}
	}
	ok[admin.Result[*directory.Recipient]](w)(w.AddMailboxFolderPermission(ctx, system, org, r.UPN, "Bob", freebusy.LevelTime))
	for _, c := range []struct {
		user    string
		level   freebusy.Level
		changed bool
	}{
		{"default", freebusy.LevelNone, true}, {"Default", freebusy.LevelNone, false},
		{"bob@contoso.com", freebusy.LevelLimited, true}, {"BOB@contoso.com", freebusy.LevelLimited, false},
	} {
		if got := ok[admin.Result[*directory.Recipient]](w)(w.SetMailboxFolderPermission(ctx, system, org, r.UPN, c.user, c.level)); got.Changed != c.changed {
			t.Errorf("permission of %s: changed %t", c.user, got.Changed)
		}
	}
	got := ok[*directory.Recipient](w)(w.store.Recipient(ctx, org, r.Primary))
	wantPermissions := []directory.Permission{{User: "Default", Level: freebusy.LevelNone}, {User: "Anonymous", Level: freebusy.LevelNone}, {User: "bob@contoso.com", Level: freebusy.LevelLimited}}
	if d := cmp.Diff(wantPermissions, got.Permissions); d != "" {
		t.Errorf("permissions (-want +got):\n%s", d)
	}
	if _, err := w.SetMailboxFolderPermission(ctx, system, org, r.UPN, "nobody@fabrikam.com", freebusy.LevelTime); err == nil || !strings.Contains(err.Error(), `The user "nobody@fabrikam.com"`) {
		t.Errorf("permission of nobody: %v", err)
	}
}

func TestAccounts(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	p := admin.AccountParams{UserName: "Admin@contoso.com", Password: "correct horse", Roles: []string{directory.RoleAdmin}}
	ok[admin.Result[*directory.Account]](w)(w.NewAccount(ctx, system, org, p))
	if _, err := w.NewAccount(ctx, system, org, p); !errors.Is(err, directory.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	p.UserName, p.Roles = "x@contoso.com", []string{"Emperor"}
	if _, err := w.NewAccount(ctx, system, org, p); err == nil {
		t.Error("an unknown role was given")
	}
	p.Roles, p.Address = nil, smtpaddr.Must("nobody@contoso.com")
	if _, err := w.NewAccount(ctx, system, org, p); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("account of a mailbox that is not there: %v", err)
	}
	ok[admin.Result[*directory.Account]](w)(w.SetPassword(ctx, system, org, "ADMIN@contoso.com", "battery staple"))
	a := ok[*directory.Account](w)(w.store.Account(ctx, "admin@contoso.com"))
	if match, _, err := trust.VerifyPassword(ctx, a.PasswordHash, "battery staple"); err != nil || !match {
		t.Errorf("new password: %t, %v", match, err)
	}
	if _, err := w.SetPassword(ctx, system, org, "admin@contoso.com", "short"); !errors.Is(err, admin.ErrPassword) {
		t.Errorf("short password: %v", err)
	}
	if _, err := w.SetPassword(ctx, system, org, "nobody@contoso.com", "correct horse"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("nobody's password: %v", err)
	}
}

func (w *world) authority() {
	w.t.Helper()
	ok[admin.Result[*directory.AuthorityConfig]](w)(w.SetAuthorityConfig(w.t.Context(), system, &directory.AuthorityConfig{
		Cloud: directory.Clouds["21vianet"], Certificates: certificates()[:1], TokenLifetime: time.Hour,
	}))
}

func TestRealm(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	if _, err := w.NewRealm(ctx, system, admin.RealmParams{InitialDomain: "contoso.partner.onmschina.cn"}); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a realm of no cloud: %v", err)
	}
	w.authority()
	r := ok[admin.Result[*directory.Realm]](w)(w.NewRealm(ctx, system, admin.RealmParams{InitialDomain: "Contoso.partner.onmschina.cn", ID: tenant})).Object
	wantNames := []string{
		directory.ExchangeAppID, directory.ExchangeAppID + "/partner.outlook.cn", directory.ExchangeAppID + "/autodiscover-s.partner.outlook.cn",
	}
	if d := cmp.Diff(wantNames, r.Principals[0].ServicePrincipalNames); d != "" || r.ID != tenant {
		t.Errorf("realm %s, names of Exchange (-want +got):\n%s", r.ID, d)
	}
	for i := range 2 {
		if got := ok[admin.Result[directory.VerifiedDomain]](w)(w.AddVerifiedDomain(ctx, system, "contoso.partner.onmschina.cn", "Contoso.com")); got.Changed != (i == 0) {
			t.Errorf("domain, time %d: changed %t", i+1, got.Changed)
		}
	}
	// Step 5: what is there, and one more.
	names := append(r.Principals[0].ServicePrincipalNames, directory.ExchangeAppID+"/*.Contoso.com")
	set := func(identity string, names ...string) (admin.Result[directory.ServicePrincipal], error) {
		return w.SetServicePrincipal(ctx, system, "contoso.com", identity, admin.ServicePrincipalChange{ServicePrincipalNames: &names})
	}
	for i, identity := range []string{directory.ExchangeAppID, r.Principals[0].ObjectID, directory.ExchangeAppID + "/partner.outlook.cn"} {
		got := ok[admin.Result[directory.ServicePrincipal]](w)(set(identity, names...))
		if d := cmp.Diff(append(wantNames, directory.ExchangeAppID+"/*.contoso.com"), got.Object.ServicePrincipalNames); d != "" || got.Changed != (i == 0) {
			t.Errorf("step 5 by %s: changed %t, names (-want +got):\n%s", identity, got.Changed, d)
		}
	}
	before := ok[*directory.Realm](w)(w.store.Realm(ctx, tenant))
	for _, bad := range []string{
		directory.ExchangeAppID + "/*.com", directory.ExchangeAppID + "/*", directory.ExchangeAppID + "/mail.fabrikam.com", directory.ExchangeAppID + "/a.*.contoso.com",
		"00000003-0000-0ff1-ce00-000000000000/mail.contoso.com", "mail.contoso.com", "http://mail.contoso.com", "https://*.contoso.com", "",
	} {
		if _, err := set(directory.ExchangeAppID, bad); err == nil {
			t.Errorf("the name %q was accepted", bad)
		}
	}
	if ok[*directory.Realm](w)(w.store.Realm(ctx, tenant)) != before {
		t.Error("a refused name changed the realm")
	}
	got := ok[admin.Result[directory.ServicePrincipal]](w)(set(directory.ExchangeAppID))
	if d := cmp.Diff([]string{directory.ExchangeAppID}, got.Object.ServicePrincipalNames); d != "" {
		t.Errorf("an empty list leaves (-want +got):\n%s", d)
	}
	// The cloud's own hosts can be given back.
	ok[admin.Result[directory.ServicePrincipal]](w)(set(directory.ExchangeAppID, wantNames...))
	p := ok[admin.Result[directory.ServicePrincipal]](w)(w.NewServicePrincipal(ctx, system, tenant, directory.ServicePrincipal{
		DisplayName: "Hybrid", AccountEnabled: true, ServicePrincipalNames: []string{"https://Mail.contoso.com:443/"},
	})).Object
	if d := cmp.Diff([]string{p.AppPrincipalID, "https://mail.contoso.com"}, p.ServicePrincipalNames); d != "" {
		t.Errorf("new principal (-want +got):\n%s", d)
	}
	if _, err := set(directory.ExchangeAppID, "https://mail.contoso.com"); err == nil {
		t.Error("a name of another principal was accepted")
	}
	if _, err := set("nobody"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	off := false
	if got := ok[admin.Result[directory.ServicePrincipal]](w)(w.SetServicePrincipal(ctx, system, tenant, p.AppPrincipalID, admin.ServicePrincipalChange{AccountEnabled: &off})); got.Object.AccountEnabled || len(got.Object.ServicePrincipalNames) != 2 {
		t.Errorf("disabled: %+v", got.Object)
	}
}

func TestKeyCredentials(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.authority()
	realm := ok[admin.Result[*directory.Realm]](w)(w.NewRealm(ctx, system, admin.RealmParams{InitialDomain: "contoso.partner.onmschina.cn"})).Object.ID
	long, short, expired := certificates()[0], certificates()[1], certificates()[2]
	at := func(years, months int) *time.Time { t := now.AddDate(years, months, 0); return &t }
	early, beforeNow := now.AddDate(-2, 0, 0), now.AddDate(0, -1, 0)
	var kept []string
	for _, c := range []struct {
		name     string
		params   admin.CredentialParams
		start    time.Time
		end      time.Time
		warnings int
		err      string
	}{
		{"defaults: one year, and a warning", admin.CredentialParams{Value: long.DER}, now, now.AddDate(1, 0, 0), 1, ""},
		{"defaults: the certificate ends first", admin.CredentialParams{Value: short.DER}, now, now.AddDate(0, 6, 0), 0, ""},
		{"dates of the certificate", admin.CredentialParams{Value: long.DER, StartDate: at(0, 0), EndDate: at(5, 0)}, now, now.AddDate(5, 0, 0), 0, ""},
		{"past dates of an expired certificate", admin.CredentialParams{Value: expired.DER, StartDate: at(-1, 0), EndDate: &beforeNow}, now.AddDate(-1, 0, 0), beforeNow, 0, ""},
		{"end after the certificate's", admin.CredentialParams{Value: short.DER, EndDate: at(1, 0)}, now, now, 0, "after the certificate ends"},
		{"start before the certificate's", admin.CredentialParams{Value: long.DER, StartDate: &early}, now, now, 0, "before the certificate becomes valid"},
		{"end before start", admin.CredentialParams{Value: long.DER, StartDate: at(1, 0), EndDate: at(0, 1)}, now, now, 0, "not after the start"},
		{"expired certificate", admin.CredentialParams{Value: expired.DER}, now, now, 0, "has expired"},
		{"no certificate", admin.CredentialParams{Value: []byte("x")}, now, now, 0, "no DER certificate"},
	} {
		r, err := w.NewServicePrincipalCredential(ctx, system, realm, directory.ExchangeAppID, c.params)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got error %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil || !r.Object.StartDate.Equal(c.start) || !r.Object.EndDate.Equal(c.end) || len(r.Warnings) != c.warnings {
			t.Errorf("%s: %s to %s, warnings %q, %v", c.name, r.Object.StartDate, r.Object.EndDate, r.Warnings, err)
		}
		kept = append(kept, r.Object.KeyID)
	}
	if _, err := w.RemoveServicePrincipalCredential(ctx, system, realm, directory.ExchangeAppID, kept[0], tenant); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a key that is not there: %v", err)
	}
	r := ok[admin.Result[[]directory.KeyCredential]](w)(w.RemoveServicePrincipalCredential(ctx, system, realm, directory.ExchangeAppID, strings.ToUpper(kept[1]), kept[0]))
	if len(r.Object) != 2 {
		t.Errorf("removed %d", len(r.Object))
	}
	left := ok[*directory.Realm](w)(w.store.Realm(ctx, realm)).Principals[0].KeyCredentials
	if len(left) != len(kept)-2 || left[0].KeyID != kept[2] {
		t.Errorf("%d keys are left", len(left))
	}
}

func TestImportCalendar(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	ok[admin.Result[*directory.Recipient]](w)(w.NewMailbox(ctx, system, org, admin.MailboxParams{Name: "room", Type: directory.RoomMailbox, TimeZone: "China Standard Time"}))
	sum := ok[directory.ImportSummary](w)(w.ImportCalendar(ctx, system, org, "Room@contoso.com", "a.ics", strings.NewReader("BEGIN")))
	if d := cmp.Diff([]string{"room@contoso.com a.ics BEGIN"}, w.files); d != "" || sum.Added != 1 {
		t.Errorf("summary %+v, files (-want +got):\n%s", sum, d)
	}
	if e := w.events(string(org))[0]; e.Operation != "Import-Calendar" || e.Outcome != "done" || !strings.Contains(e.After, `"added":1`) {
		t.Errorf("audit: %+v", e)
	}
}

// broken is a store whose audit trail cannot be written.
type broken struct{ admin.Store }

func (b broken) Change(ctx context.Context, fn func(admin.Tx) error) error {
	return b.Store.Change(ctx, func(tx admin.Tx) error { return fn(brokenTx{tx}) })
}

type brokenTx struct{ admin.Tx }

var errFull = errors.New("disk is full")

func (brokenTx) Record(context.Context, audit.Event) error { return errFull }
func (broken) Record(context.Context, audit.Event) error   { return errFull }

func TestNothingChangesWithoutAuditEvent(t *testing.T) {
	w := newWorld(t)
	org := w.contoso().ID
	s, err := admin.New(admin.Config{
		Store: broken{admin.Over(w.store)}, Calendars: w, Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.NewAcceptedDomain(t.Context(), system, org, directory.AcceptedDomain{DomainName: "contoso.net"})
	if !errors.Is(err, errFull) || len(w.organization(org).AcceptedDomains) != 2 {
		t.Errorf("%d domains, %v", len(w.organization(org).AcceptedDomains), err)
	}
	ok[admin.Result[directory.AcceptedDomain]](w)(w.NewAcceptedDomain(t.Context(), system, org, directory.AcceptedDomain{DomainName: "contoso.net"}))
	if _, err := admin.New(admin.Config{}); err == nil {
		t.Error("an empty configuration was accepted")
	}
}
