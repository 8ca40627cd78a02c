package trust_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/oidc"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// The names of the test vectors (oauth-s2s reference, section 10).
const (
	tenant   = "4d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a"
	tenantB  = "5e3d2c1b-0a9f-4e8d-9c7b-6a5f4e3d2c1b"
	exchange = directory.ExchangeAppID
	acsPID   = "00000001-0002-0000-c000-000000000000"
	acsHost  = "accounts.accesscontrol.chinacloudapi.cn"
	cloud    = "partner.outlook.cn"
	onprem   = "mail.contoso.com"
)

var start = time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)

func vectors(t testing.TB) map[string]string {
	t.Helper()
	data, err := os.ReadFile("../spec/jose/testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			m[name] = value
		}
	}
	return m
}

// A testKey is a certificate with its key, made once for all tests.
type testKey struct {
	cert directory.Certificate
	key  *rsa.PrivateKey
}

func (k *testKey) base64() string { return base64.StdEncoding.EncodeToString(k.cert.DER) }
func (k *testKey) x5t() string    { return trust.X5T(k.cert.DER) }

var testKeys = sync.OnceValue(func() map[string]*testKey {
	m := make(map[string]*testKey)
	for name, until := range map[string]time.Duration{"as": 5 * 365 * 24 * time.Hour, "org": 5 * 365 * 24 * time.Hour,
		"partner": 5 * 365 * 24 * time.Hour, "stranger": 5 * 365 * 24 * time.Hour, "short": 48 * time.Hour} {
		c, err := trust.NewSigningCertificate("CN="+name, start.Add(-time.Hour), start.Add(until))
		if err != nil {
			panic(err)
		}
		key, err := x509.ParsePKCS8PrivateKey(c.Key)
		if err != nil {
			panic(err)
		}
		m[name] = &testKey{c, key.(*rsa.PrivateKey)}
	}
	return m
})

func certKey(name string) *testKey { return testKeys()[name] }

// onpremises is the organization contoso.com that trusts the authorization
// server for the tenant, and fabrikam.com directly.
func onpremises() *directory.Organization {
	return &directory.Organization{
		ID: "11111111-1111-4111-8111-111111111111", Name: "contoso", Version: 1,
		AcceptedDomains: []directory.AcceptedDomain{{DomainName: "contoso.com", Default: true}, {DomainName: "*.lab.contoso.com"}},
		AuthConfig:      directory.AuthConfig{ServiceName: exchange, CurrentCertificateThumbprint: certKey("org").cert.Thumbprint},
		Certificates:    []directory.Certificate{certKey("org").cert},
		AuthServers: []directory.AuthServer{{
			Common: directory.Common{Name: "MicrosoftAzureACS"}, Type: directory.AuthServerACS, IssuerIdentifier: acsPID, Realm: tenant,
			TokenIssuingEndpoint: "https://" + acsHost + "/" + tenant + "/tokens/OAuth/2", Enabled: true,
			AuthMetadataURL:    "https://" + acsHost + "/contoso.com/metadata/json/1",
			CertificateStrings: []string{certKey("as").base64()},
			AllowedAudiences:   []string{acsPID + "/" + acsHost + "@contoso.com", acsPID + "/" + acsHost + "@" + tenant},
		}},
		LinkedUsers: []directory.LinkedUser{
			{Common: directory.Common{Name: directory.ExchangeOnlineAccount}, Roles: directory.ApplicationRoles()},
			{Common: directory.Common{Name: "Fabrikam"}, Roles: []string{directory.RoleUserApplication}},
		},
		PartnerApplications: []directory.PartnerApplication{
			{Common: directory.Common{Name: "Exchange Online"}, Enabled: true, ApplicationIdentifier: exchange, UseAuthServer: true,
				LinkedAccount: "contoso.com/Users/Exchange Online-ApplicationAccount"},
			{Common: directory.Common{Name: "Fabrikam"}, Enabled: true, ApplicationIdentifier: exchange, Realm: "fabrikam.com",
				CertificateStrings: []string{certKey("partner").base64()}, LinkedAccount: "contoso.com/Users/Fabrikam"},
		},
		Servers: []directory.Server{{Common: directory.Common{Name: "MAIL"}, HostNames: []string{onprem}, OAuthAuthentication: true}},
	}
}

// hosted is an organization of a cloud, with an authorization server of any realm.
func hosted(id directory.OrgID, tenant, domain string) *directory.Organization {
	org := onpremises()
	org.ID, org.Name, org.Tenant = id, domain, tenant
	org.AcceptedDomains = []directory.AcceptedDomain{{DomainName: domain, Default: true}}
	org.AuthServers[0].Realm = ""
	org.PartnerApplications = org.PartnerApplications[:1]
	org.Servers[0].HostNames = []string{cloud}
	return org
}

// people is a directory of recipients by organization and address.
type people map[directory.OrgID]map[string]*directory.Recipient

func (p people) Recipient(_ context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error) {
	if r := p[org][a.String()]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("recipient %s: %w", a, directory.ErrNotFound)
}

func (p people) RecipientByID(_ context.Context, org directory.OrgID, id string) (*directory.Recipient, error) {
	for _, r := range p[org] {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, fmt.Errorf("recipient %s: %w", id, directory.ErrNotFound)
}

func (p people) add(org directory.OrgID, id string, change func(*directory.Recipient), addresses ...string) {
	r := &directory.Recipient{Org: org, ID: id, Type: directory.MailUser, Primary: smtpaddr.Must(addresses[0]), Enabled: true}
	if change != nil {
		change(r)
	}
	if p[org] == nil {
		p[org] = make(map[string]*directory.Recipient)
	}
	for _, a := range addresses {
		p[org][a] = r
	}
}

// hosts says which organizations are at a host.
type hosts map[string][]*directory.Organization

func (h hosts) OrganizationsAt(_ context.Context, host string) ([]*directory.Organization, error) {
	if orgs := h[host]; orgs != nil {
		return orgs, nil
	}
	return nil, fmt.Errorf("host %q: %w", host, directory.ErrNotFound)
}

// A token is what a test writes: two JSON objects and a key.
type token struct {
	header, claims map[string]any
	key            any // *testKey; []byte for HMAC; nil for no signature
	signature      string
	raw            func(string) string // last change to the text of the claims
}

func (k token) String() string {
	header, claims := marshal(k.header), marshal(k.claims)
	if k.raw != nil {
		claims = k.raw(claims)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	switch key := k.key.(type) {
	case *testKey:
		sum := sha256.Sum256([]byte(text))
		sig, err := rsa.SignPKCS1v15(rand.Reader, key.key, crypto.SHA256, sum[:])
		if err != nil {
			panic(err)
		}
		return text + "." + base64.RawURLEncoding.EncodeToString(sig)
	case []byte:
		return text + "." + base64.RawURLEncoding.EncodeToString(mac(key, text))
	}
	return text + "." + k.signature
}

func marshal(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

// auditLog keeps events in memory.
type auditLog struct {
	mu     sync.Mutex
	events []audit.Event
	err    error
}

// forget drops what was recorded.
func (l *auditLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = l.events[:0]
}

func (l *auditLog) Record(_ context.Context, e audit.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.events = append(l.events, e)
	}
	return l.err
}

func (l *auditLog) all() []audit.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]audit.Event(nil), l.events...)
}

// realms is a directory of realms.
type realms []*directory.Realm

func (s realms) Realm(_ context.Context, name string) (*directory.Realm, error) {
	for _, r := range s {
		if r.ID == name {
			return r, nil
		}
		for _, d := range r.Domains {
			if d.Name == name {
				return r, nil
			}
		}
	}
	return nil, fmt.Errorf("realm %q: %w", name, directory.ErrNotFound)
}

func testRealm() *directory.Realm {
	return &directory.Realm{
		ID: tenant, Name: "contoso", Version: 1,
		Domains: []directory.VerifiedDomain{{Name: "contoso.partner.onmschina.cn", Initial: true}, {Name: "contoso.com", Default: true}},
		Principals: []directory.ServicePrincipal{
			{ObjectID: "a1b2c3d4-0001-4000-8000-00000000e0a1", AppPrincipalID: exchange, DisplayName: "Office 365 Exchange Online",
				AccountEnabled: true, TrustedForDelegation: true,
				ServicePrincipalNames: []string{exchange, exchange + "/" + cloud, exchange + "/" + onprem, exchange + "/*.eu.contoso.com"},
				KeyCredentials: []directory.KeyCredential{{KeyID: "k1", Type: "Asymmetric", Usage: "Verify", Value: certKey("org").cert.DER,
					StartDate: start.Add(-time.Hour), EndDate: start.Add(365 * 24 * time.Hour)}}},
			{ObjectID: "a1b2c3d4-0003-4000-8000-00000000e0a1", AppPrincipalID: "00000003-0000-0ff1-ce00-000000000000", DisplayName: "SharePoint",
				AccountEnabled: true, ServicePrincipalNames: []string{"00000003-0000-0ff1-ce00-000000000000/sp.contoso.com"},
				KeyCredentials: []directory.KeyCredential{{KeyID: "k2", Type: "Asymmetric", Usage: "Verify", Value: certKey("partner").cert.DER,
					StartDate: start.Add(-time.Hour), EndDate: start.Add(365 * 24 * time.Hour)}}},
		},
	}
}

func authorityConfig() *directory.AuthorityConfig {
	return &directory.AuthorityConfig{Cloud: directory.Clouds["21vianet"], Certificates: []directory.Certificate{certKey("as").cert}}
}

// newAuthority is an authority over the realms, with the clock at now.
func newAuthority(t testing.TB, rs realms, now func() time.Time, change func(*trust.AuthorityConfig)) (*trust.Authority, *auditLog) {
	t.Helper()
	log, snapshot := new(auditLog), authorityConfig()
	cfg := trust.AuthorityConfig{Realms: rs, Audit: log, Now: now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Authority: func(context.Context) (*directory.AuthorityConfig, error) { return snapshot, nil }}
	if change != nil {
		change(&cfg)
	}
	a, err := trust.NewAuthority(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Flush(context.Background()) }) // its timer must not outlive t.Output
	return a, log
}

// endpoint is a trust.TokenEndpoint in front of an authority of one realm.
type endpoint struct {
	authority *trust.Authority
	realm     string
	before    func(context.Context) error // may be nil

	mu    sync.Mutex
	calls int
}

func (e *endpoint) RequestToken(ctx context.Context, _ string, req acs.TokenRequest) (*acs.TokenResponse, error) {
	e.mu.Lock()
	e.calls++
	e.mu.Unlock()
	if e.before != nil {
		if err := e.before(ctx); err != nil {
			return nil, err
		}
	}
	return e.authority.Issue(ctx, e.realm, req)
}

func (e *endpoint) RequestApplicationToken(context.Context, string, oidc.TokenRequest) (*acs.TokenResponse, error) {
	return nil, errors.New("no application asks here")
}

func (e *endpoint) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls
}

func fixed(at time.Time) func() time.Time { return func() time.Time { return at } }

var errBroken = errors.New("store is broken")

type broken struct{}

func (broken) Recipient(context.Context, directory.OrgID, smtpaddr.Address) (*directory.Recipient, error) {
	return nil, errBroken
}
