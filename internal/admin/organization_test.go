package admin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

type domainResult = admin.Result[directory.AcceptedDomain]

func TestAcceptedDomains(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID // contoso.com and *.contoso.com
	for _, d := range []string{"Fabrikam.com", "sub.contoso.com", "tailspintoys.com"} {
		ok[domainResult](w)(w.NewAcceptedDomain(ctx, system, org, directory.AcceptedDomain{DomainName: d}))
	}
	ok[recipientResult](w)(w.NewMailUser(ctx, system, org, admin.MailUserParams{
		Name: "a", Primary: "a@sub.contoso.com", Proxies: []string{"a@other.contoso.com"}, UPN: "a@fabrikam.com", ExternalAddress: "a@cloud.example",
	}))
	set := func(identity string, fn func(*directory.AcceptedDomain)) (domainResult, error) {
		return w.SetAcceptedDomain(ctx, system, org, identity, func(d *directory.AcceptedDomain) error { fn(d); return nil })
	}
	fabrikam := w.organization(org).AcceptedDomains[2]
	for _, identity := range []string{"fabrikam.com", "FABRIKAM.COM.", fabrikam.GUID, "CN=fabrikam.com,CN=Accepted Domains,DC=contoso,DC=com"} {
		if r := ok[domainResult](w)(set(identity, func(d *directory.AcceptedDomain) { d.DomainType = "InternalRelay" })); r.Object.DomainName != "fabrikam.com" || r.Object.DomainType != "InternalRelay" {
			t.Errorf("%s: %+v", identity, r.Object)
		}
	}
	for _, c := range []struct {
		name, identity string
		fn             func(*directory.AcceptedDomain)
		err            string
	}{
		{"another domain", "fabrikam.com", func(d *directory.AcceptedDomain) { d.DomainName = "x.example" }, "cannot be changed"},
		{"no default", "contoso.com", func(d *directory.AcceptedDomain) { d.Default = false }, "must be the default"},
		{"default with a wildcard", "*.contoso.com", func(d *directory.AcceptedDomain) { d.Default = true }, "cannot be the default"},
		{"type", "fabrikam.com", func(d *directory.AcceptedDomain) { d.DomainType = "Relay" }, "is none of"},
		{"name of another", "fabrikam.com", func(d *directory.AcceptedDomain) { d.Name = "Contoso.com" }, "is taken"},
		{"unknown", "nowhere.example", func(*directory.AcceptedDomain) {}, "no AcceptedDomain"},
	} {
		if _, err := set(c.identity, c.fn); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got error %v, want %q", c.name, err, c.err)
		}
	}
	remove := func(identity string) error { return what(w.RemoveAcceptedDomain(ctx, system, org, identity)) }
	for _, c := range []struct{ domain, err string }{
		{"contoso.com", "make another one the default first"},
		{"fabrikam.com", "in use by a@fabrikam.com"},       // a user principal name
		{"*.contoso.com", "in use by a@other.contoso.com"}, // and not by a@sub.contoso.com
		{"sub.contoso.com", ""},                            // the wildcard covers its addresses
		{"*.contoso.com", "in use by a@"},
		{"tailspintoys.com", ""},
		{"tailspintoys.com", "no AcceptedDomain"},
	} {
		if err := remove(c.domain); (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("remove %s: got error %v, want %q", c.domain, err, c.err)
		}
	}
	ok[domainResult](w)(set("fabrikam.com", func(d *directory.AcceptedDomain) { d.Default = true }))
	var got []string
	for _, d := range w.organization(org).AcceptedDomains {
		if got = append(got, d.DomainName); d.Default {
			got = append(got, "default")
		}
	}
	if d := cmp.Diff([]string{"contoso.com", "*.contoso.com", "fabrikam.com", "default"}, got); d != "" {
		t.Errorf("domains (-want +got):\n%s", d)
	}
	if err := remove("contoso.com"); err != nil {
		t.Errorf("the former default, which nobody uses: %v", err)
	}
}

func TestServers(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	for _, name := range []string{"MAIL", "LEGACY"} {
		ok[admin.Result[directory.Server]](w)(w.NewServer(ctx, system, org, directory.Server{
			Common: directory.Common{Name: name}, HostNames: []string{strings.ToLower(name) + ".contoso.com"}, AdminDisplayVersion: directory.OAuthVersion,
		}))
	}
	r := ok[admin.Result[directory.Server]](w)(w.SetServer(ctx, system, "Set-ClientAccessService", org, "mail.contoso.com", func(v *directory.Server) error {
		v.AutodiscoverSiteScope = []string{"Headquarters"}
		return nil
	}))
	if r.Object.Name != "MAIL" || len(r.Object.AutodiscoverSiteScope) != 1 || !r.Changed {
		t.Errorf("server: %+v", r)
	}
	if e := w.events(string(org))[0]; e.Operation != "Set-ClientAccessService" || e.Object != "ExchangeServer MAIL" {
		t.Errorf("audit: %+v", e)
	}
	if r := ok[admin.Result[directory.Server]](w)(w.RemoveServer(ctx, system, org, "legacy")); r.Object.Name != "LEGACY" || len(w.organization(org).Servers) != 1 {
		t.Errorf("removed: %+v", r)
	}
	if orgs, err := w.store.OrganizationsAt(ctx, "legacy.contoso.com"); err != nil || len(orgs) != 0 {
		t.Errorf("its host name leads to %v, %v", orgs, err)
	}
}

func TestAvailabilityConfig(t *testing.T) {
	w := newWorld(t)
	org := w.contoso().ID
	for i := range 2 {
		r := ok[admin.Result[directory.AvailabilityConfig]](w)(w.SetAvailabilityConfig(t.Context(), system, org, func(c *directory.AvailabilityConfig) error {
			c.OrgWideAccount = "svc@contoso.com"
			return nil
		}))
		if r.Changed != (i == 0) || r.Object.OrgWideAccount != "svc@contoso.com" || !cmp.Equal(w.organization(org).AvailabilityConfig, r.Object) {
			t.Errorf("time %d: %+v", i+1, r)
		}
	}
	if _, err := w.SetAvailabilityConfig(t.Context(), system, org, func(c *directory.AvailabilityConfig) error { c.PerUserAccount = "\x00"; return nil }); err == nil {
		t.Error("a control character was accepted")
	}
	if n := len(w.events(string(org))); n != 3 {
		t.Errorf("%d audit events, want those of setup, change and failure", n)
	}
}

func TestEWSAccess(t *testing.T) {
	const own = "9f1e2d3c-4b5a-4697-8a7b-6c5d4e3f2a1b"
	w := newWorld(t)
	org := w.contoso().ID
	for _, tt := range []struct {
		name    string
		change  func(*directory.EWSAccess)
		changed bool
		warning string
	}{
		{"nothing", func(*directory.EWSAccess) {}, false, ""},
		{"a list alone", func(a *directory.EWSAccess) { a.AllowedAppIDs = []string{strings.ToUpper(own)} }, true, "has no effect until"},
		{"in force", func(a *directory.EWSAccess) { a.Enabled = new(true) }, true, ""},
		{"once more", func(a *directory.EWSAccess) { a.Enabled = new(true) }, false, ""},
		{"closed", func(a *directory.EWSAccess) { a.Enabled = new(false) }, true, "closed to everybody"},
		{"open again", func(a *directory.EWSAccess) { a.Enabled, a.AllowedAppIDs = nil, nil }, true, ""},
	} {
		r := ok[admin.Result[directory.EWSAccess]](w)(w.SetEWSAccess(t.Context(), system, org, tt.change))
		if warned := strings.Join(r.Warnings, "\n"); r.Changed != tt.changed || (tt.warning == "") != (warned == "") || !strings.Contains(warned, tt.warning) {
			t.Errorf("%s: %+v, want changed %v, warning %q", tt.name, r, tt.changed, tt.warning)
		}
		if got := w.organization(org).AvailabilityConfig.EWS; !cmp.Equal(got, r.Object) || len(got.AllowedAppIDs) > 0 && got.AllowedAppIDs[0] != own {
			t.Errorf("%s: kept %+v, returned %+v", tt.name, got, r.Object)
		}
	}
	for _, ids := range [][]string{{"x"}, {own, own}, make([]string, 1001)} {
		if _, err := w.SetEWSAccess(t.Context(), system, org, func(a *directory.EWSAccess) { a.AllowedAppIDs = ids }); err == nil {
			t.Errorf("%.50q were accepted", ids)
		}
	}
	if _, err := w.SetPartnerApplication(t.Context(), system, org, "Exchange Online", false, func(p *directory.PartnerApplication) error { p.Enabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	r := ok[admin.Result[directory.EWSAccess]](w)(w.SetEWSAccess(t.Context(), system, org, func(a *directory.EWSAccess) { a.Enabled, a.AllowedAppIDs = new(true), []string{own} }))
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], directory.ExchangeAppID) {
		t.Errorf("a partner application that gets nothing: %q", r.Warnings)
	}
	e := w.events(string(org))[0]
	if e.Operation != "Set-OrganizationConfig" || e.Object != "OrganizationConfig" || !strings.Contains(e.After, own) || strings.Contains(e.Before, own) {
		t.Errorf("audit: %+v", e)
	}
}

func TestCertificates(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	current := w.organization(org).AuthConfig.CurrentCertificateThumbprint
	if _, err := w.NewExchangeCertificate(ctx, system, org, admin.CertificateParams{Services: []string{"HTTP"}}); err == nil || !strings.Contains(err.Error(), `service "HTTP" is none of`) {
		t.Errorf("an unknown service: %v", err)
	}
	spare := ok[admin.Result[directory.Certificate]](w)(w.NewExchangeCertificate(ctx, system, org, admin.CertificateParams{Services: []string{"none"}})).Object
	spaced := strings.ToLower(spare.Thumbprint[:2] + " " + spare.Thumbprint[2:])
	enable := func(services ...string) (admin.Result[directory.Certificate], error) {
		return w.EnableExchangeCertificate(ctx, system, org, spaced, services)
	}
	for _, c := range []struct {
		services []string
		want     []string
		changed  bool
	}{
		{[]string{"smtp", "IIS", "SMTP"}, []string{"SMTP", "IIS"}, true},
		{[]string{"IIS"}, []string{"SMTP", "IIS"}, false},
		{[]string{"None"}, []string{"SMTP", "IIS"}, false},
		{[]string{"umcallrouter"}, []string{"SMTP", "IIS", "UMCallRouter"}, true},
	} {
		r := ok[admin.Result[directory.Certificate]](w)(enable(c.services...))
		if d := cmp.Diff(c.want, r.Object.Services); d != "" || r.Changed != c.changed {
			t.Errorf("%q: changed %t, services (-want +got):\n%s", c.services, r.Changed, d)
		}
	}
	if _, err := enable("HTTP"); err == nil {
		t.Error("an unknown service was enabled")
	}
	ok[admin.Result[directory.AuthConfig]](w)(w.SetAuthConfig(ctx, system, org, admin.AuthConfigChange{CertificateThumbprint: spare.Thumbprint}))
	for use, print := range map[string]string{"current": spare.Thumbprint, "previous": current} {
		if _, err := w.RemoveExchangeCertificate(ctx, system, org, print); err == nil || !strings.Contains(err.Error(), "the "+use+" certificate") {
			t.Errorf("%s certificate: %v", use, err)
		}
	}
	ok[admin.Result[directory.AuthConfig]](w)(w.SetAuthConfig(ctx, system, org, admin.AuthConfigChange{ClearPreviousCertificate: true}))
	r := ok[admin.Result[directory.Certificate]](w)(w.RemoveExchangeCertificate(ctx, system, org, current))
	if r.Object.Thumbprint != current || len(w.organization(org).Certificates) != 1 {
		t.Errorf("removed %+v", r.Object.Thumbprint)
	}
	if e := w.events(string(org))[0]; !strings.Contains(e.Before, `"key":"(secret)"`) || e.After != "" {
		t.Errorf("audit: before %s, after %s", e.Before, e.After)
	}
	if _, err := w.RemoveExchangeCertificate(ctx, system, org, current); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestRemoveServicePrincipal(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.authority()
	realm := ok[admin.Result[*directory.Realm]](w)(w.NewRealm(ctx, system, admin.RealmParams{InitialDomain: "contoso.partner.onmschina.cn"})).Object.ID
	const name = "https://mail.contoso.partner.onmschina.cn"
	p := ok[admin.Result[directory.ServicePrincipal]](w)(w.NewServicePrincipal(ctx, system, realm, directory.ServicePrincipal{DisplayName: "Hybrid", ServicePrincipalNames: []string{name}})).Object
	r := ok[admin.Result[directory.ServicePrincipal]](w)(w.RemoveServicePrincipal(ctx, system, realm, name))
	if r.Object.ObjectID != p.ObjectID || !r.Changed || r.Object.DisplayName != "Hybrid" {
		t.Errorf("removed %+v", r)
	}
	if left := ok[*directory.Realm](w)(w.store.Realm(ctx, realm)).Principals; len(left) != 1 || left[0].AppPrincipalID != directory.ExchangeAppID {
		t.Errorf("left: %+v", left)
	}
	if e := w.events(realm)[0]; !strings.Contains(e.Before, "Hybrid") || e.After != "" {
		t.Errorf("audit: %+v", e)
	}
	if _, err := w.RemoveServicePrincipal(ctx, system, realm, p.AppPrincipalID); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// What is removed is gone for the one who gets its address next.
func TestAddressIsFreeAgain(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	p := admin.MailboxParams{Name: "alice", Password: "correct horse", TimeZone: "UTC"}
	was := ok[recipientResult](w)(w.NewMailbox(ctx, system, org, p)).Object
	ok[recipientResult](w)(w.RemoveMailbox(ctx, system, org, "alice"))
	p.Password = "battery staple"
	is := ok[recipientResult](w)(w.NewMailbox(ctx, system, org, p)).Object
	if was.ID == is.ID || is.Primary != smtpaddr.Must("alice@contoso.com") {
		t.Errorf("was %+v, is %+v", was, is)
	}
	if _, err := w.SignIn(ctx, "alice@contoso.com", "correct horse"); !errors.Is(err, admin.ErrSignIn) {
		t.Errorf("the old password: %v", err)
	}
}
