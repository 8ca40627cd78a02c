package trust_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
	"busybridge/internal/trust"
)

// An ask is a token request, and the tenant: what the table changes.
type ask struct {
	path      string
	assertion token
	req       acs.TokenRequest
	realm     *directory.Realm
	now       time.Time
}

func newAsk() *ask {
	return &ask{
		path: tenant, realm: testRealm(), now: start,
		assertion: token{
			header: map[string]any{"typ": "JWT", "alg": "RS256", "x5t": certKey("org").x5t()},
			claims: map[string]any{"aud": acsPID + "/" + acsHost + "@" + tenant, "iss": exchange + "@" + tenant, "nbf": "1768464000", "exp": "1768464300"},
			key:    certKey("org")},
		req: acs.TokenRequest{GrantType: acs.GrantJWTBearer, Resource: exchange + "/" + onprem + "@" + tenant},
	}
}

func (k *ask) issue(t testing.TB) (*acs.TokenResponse, error) {
	t.Helper()
	other := &directory.Realm{ID: tenantB, Version: 1, Domains: []directory.VerifiedDomain{{Name: "litware.com"}}, Principals: testRealm().Principals}
	a, _ := newAuthority(t, realms{k.realm, other}, fixed(k.now), nil)
	if k.req.Assertion == "" {
		k.req.Assertion = k.assertion.String()
	}
	return a.Issue(t.Context(), k.path, k.req)
}

func TestIssue(t *testing.T) {
	k := newAsk()
	a, log := newAuthority(t, realms{k.realm}, fixed(start.Add(500*time.Millisecond)), nil)
	k.req.Assertion, k.req.CorrelationID = k.assertion.String(), "af0b9e1c-304d-4cbe-8e59-57cc92c12dc3"
	resp, err := a.Issue(t.Context(), tenant, k.req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(resp)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"token_type":"Bearer","expires_in":"86400","not_before":"1768463700","expires_on":"1768550400","resource":"` + k.req.Resource + `","access_token":"` + resp.AccessToken + `"}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
	// The actor token is V2 of the vectors, with our key and resource.
	v2 := vectors(t)["V2"]
	for i, replace := range []*strings.Replacer{strings.NewReplacer("QhPBdD0Uon-YJkcJL72mXGUm_lo", certKey("as").x5t()), strings.NewReplacer(cloud, onprem)} {
		want, _ := base64.RawURLEncoding.DecodeString(strings.Split(v2, ".")[i])
		got, _ := base64.RawURLEncoding.DecodeString(strings.Split(resp.AccessToken, ".")[i])
		if d := cmp.Diff(replace.Replace(string(want)), string(got)); d != "" {
			t.Error(d)
		}
	}
	parsed, err := jose.ParseUnverified(resp.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.VerifyRS256(&certKey("as").key.PublicKey); err != nil {
		t.Error(err)
	}
	events := log.all()
	if len(events) != 1 || events[0].Operation != "IssueToken" || events[0].Outcome != "done" || events[0].Actor != exchange+"@"+tenant ||
		events[0].Org != tenant || events[0].RequestID != k.req.CorrelationID {
		t.Errorf("audit %+v", events)
	}
	if strings.Contains(events[0].After, k.req.Assertion[20:60]) || !strings.Contains(events[0].After, certKey("org").cert.Thumbprint) {
		t.Errorf("audit %s", events[0].After)
	}
}

// The table of oauth-s2s 3.3 and the attacks A40 to A45 of 8.4.
func TestIssueRefuses(t *testing.T) {
	claim := func(name string, v any) func(*ask) { return func(k *ask) { k.assertion.claims[name] = v } }
	resource := func(s string) func(*ask) { return func(k *ask) { k.req.Resource = s } }
	credential := func(f func(*directory.KeyCredential)) func(*ask) {
		return func(k *ask) { f(&k.realm.Principals[0].KeyCredentials[0]) }
	}
	for _, tt := range []struct {
		name   string
		change func(*ask)
		status int // 0: issued
		code   string
		aadsts int
		text   string // part of the description
	}{
		{"plain", func(*ask) {}, 0, "", 0, ""},
		{"the RFC's name of the grant", func(k *ask) { k.req.GrantType = acs.GrantJWTBearerRFC }, 0, "", 0, ""},
		{"bad grant type", func(k *ask) { k.req.GrantType = "password" }, 400, "unsupported_grant_type", 70003, "password"},
		{"no grant type", func(k *ask) { k.req.GrantType = "" }, 400, "invalid_request", 900144, "'grant_type'"},
		{"malformed assertion", func(k *ask) { k.req.Assertion = "x" }, 400, "invalid_request", 50027, ""},
		{"no resource", resource(""), 400, "invalid_request", 900144, "'resource'"},
		{"unknown tenant", func(k *ask) { k.path = "nowhere.test" }, 400, "invalid_request", 90002, "nowhere.test"},
		{"principal absent", func(k *ask) { k.assertion.claims["iss"] = "00000004-0000-0ff1-ce00-000000000000@" + tenant }, 400, "unauthorized_client", 700016, "00000004-"},
		{"principal disabled", func(k *ask) { k.realm.Principals[0].AccountEnabled = false }, 400, "unauthorized_client", 700016, exchange},
		{"expired", func(k *ask) { k.now = start.Add(10 * time.Minute) }, 401, "invalid_client", 700024, "2026-01-15T08:05:00Z"},
		{"expired within the skew", func(k *ask) { k.now = start.Add(10*time.Minute - time.Second) }, 0, "", 0, ""},
		{"not yet valid", func(k *ask) { k.now = start.Add(-5*time.Minute - time.Second) }, 401, "invalid_client", 700024, ""},
		{"valid for more than an hour", claim("exp", "1768467601"), 401, "invalid_client", 700024, "limit 1h0m0s"},
		{"valid for an hour", claim("exp", "1768467600"), 0, "", 0, ""},
		{"no exp", func(k *ask) { delete(k.assertion.claims, "exp") }, 401, "invalid_client", 700024, "exp is absent"},

		{"x5t unknown", func(k *ask) {
			k.assertion.header["x5t"], k.assertion.key = certKey("stranger").x5t(), certKey("stranger")
		}, 401, "invalid_client", 50012,
			"[Reason - The key was not found., Thumbprint of key used by client: '" + certKey("stranger").cert.Thumbprint + "'"},
		{"no x5t", func(k *ask) { delete(k.assertion.header, "x5t") }, 401, "invalid_client", 50012, ""},
		{"known key, bad signature", func(k *ask) { k.assertion.key = certKey("stranger") }, 401, "invalid_client", 50012, "verify the signature failed"},
		{"A40 credential has ended", credential(func(c *directory.KeyCredential) { c.EndDate = start.Add(-time.Second) }), 401, "invalid_client", 50012,
			"The key used is expired., Thumbprint of key used by client: '" + certKey("org").cert.Thumbprint + "', Found key 'Start=01/15/2026 07:00:00, End=01/15/2026 07:59:59'"},
		{"A40 credential ends now", credential(func(c *directory.KeyCredential) { c.EndDate = start }), 0, "", 0, ""},
		{"A40 credential begins later", credential(func(c *directory.KeyCredential) { c.StartDate = start.Add(time.Second) }), 401, "invalid_client", 50012, "expired"},
		{"A40 credential deleted", func(k *ask) { k.realm.Principals[0].KeyCredentials = nil }, 401, "invalid_client", 50012, "not found"},
		{"A40 usage Sign", credential(func(c *directory.KeyCredential) { c.Usage = "Sign" }), 401, "invalid_client", 50012, "not found"},
		{"A40 type Symmetric", credential(func(c *directory.KeyCredential) { c.Type = "Symmetric" }), 401, "invalid_client", 50012, "not found"},
		{"A40 credential of another principal", func(k *ask) {
			k.assertion.header["x5t"], k.assertion.key = certKey("partner").x5t(), certKey("partner")
		}, 401, "invalid_client", 50012, "not found"},
		{"A40 alg none", func(k *ask) { k.assertion.header["alg"], k.assertion.key = "none", nil }, 401, "invalid_client", 50027, ""},
		{"A40 alg HS256 with the certificate", func(k *ask) { k.assertion.header["alg"], k.assertion.key = "HS256", certKey("org").cert.DER }, 401, "invalid_client", 50027, ""},
		{"A41 audience of another tenant", claim("aud", acsPID+"/"+acsHost+"@"+tenantB), 401, "invalid_client", 700023, tenantB},
		{"A41 audience of a relying party", claim("aud", exchange+"/"+onprem+"@"+tenant), 401, "invalid_client", 700023, onprem},
		{"A41 audience by a verified domain", claim("aud", acsPID+"/"+acsHost+"@contoso.com"), 0, "", 0, ""},
		{"A41 actor token as assertion", func(k *ask) {
			k.assertion.claims["iss"] = acsPID + "@" + tenant
			k.assertion.header["x5t"], k.assertion.key = certKey("as").x5t(), certKey("as")
		}, 401, "invalid_client", 50027, "no application"},
		{"A42 host not registered", resource(exchange + "/mail2.contoso.com@" + tenant), 400, "invalid_resource", 500011,
			"The resource principal named " + exchange + "/mail2.contoso.com@" + tenant + " was not found in the tenant named " + tenant},
		{"A42 one label under the wildcard", resource(exchange + "/mail.eu.contoso.com@" + tenant), 0, "", 0, ""},
		{"A42 apex of the wildcard", resource(exchange + "/eu.contoso.com@" + tenant), 400, "invalid_resource", 500011, ""},
		{"A42 two labels under the wildcard", resource(exchange + "/a.b.eu.contoso.com@" + tenant), 400, "invalid_resource", 500011, ""},
		{"A42 the wildcard itself", resource(exchange + "/*.eu.contoso.com@" + tenant), 400, "invalid_resource", 500011, ""},
		{"A42 name of another principal", resource(exchange + "/sp.contoso.com@" + tenant), 400, "invalid_resource", 500011, ""},
		{"A42 the authority itself", resource(acsPID + "/" + acsHost + "@" + tenant), 400, "invalid_resource", 500011, ""},
		{"A42 disabled target", func(k *ask) {
			k.realm.Principals[1].AccountEnabled = false
			k.req.Resource = "00000003-0000-0ff1-ce00-000000000000/sp.contoso.com@" + tenant
		}, 400, "invalid_resource", 500011, ""},
		{"A42 no host", resource(exchange + "@" + tenant), 400, "invalid_resource", 500011, ""},
		{"A42 URL", resource("https://" + onprem), 400, "invalid_resource", 500011, ""},
		{"A42 letter case, port and dot", resource(exchange + "/Mail.Contoso.COM:443@" + tenant), 0, "", 0, ""},
		{"A42 other port", resource(exchange + "/" + onprem + ":8443@" + tenant), 400, "invalid_resource", 500011, ""},
		{"A44 realm parameter of another tenant", func(k *ask) { k.req.Realm = "litware.com" }, 400, "invalid_request", 90002, "litware.com"},
		{"A44 realm parameter by domain", func(k *ask) { k.req.Realm = "Contoso.com" }, 0, "", 0, ""},
		{"A44 path by domain", func(k *ask) { k.path = "CONTOSO.com" }, 0, "", 0, ""},
		{"A44 path of another tenant", func(k *ask) { k.path = "litware.com" }, 400, "invalid_request", 90002, "assertion"},
		{"A44 assertion of another tenant", claim("iss", exchange+"@"+tenantB), 400, "invalid_request", 90002, "assertion"},
		{"A44 resource of another tenant", resource(exchange + "/" + onprem + "@" + tenantB), 400, "invalid_request", 90002, "resource"},
		{"A45 iss by letter case", claim("iss", strings.ToUpper(exchange)+"@"+tenant), 401, "invalid_client", 50027, ""},
		{"A45 iss is a URN", claim("iss", "urn:uuid:"+exchange), 401, "invalid_client", 50027, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newAsk()
			tt.change(k)
			resp, err := k.issue(t)
			if tt.status == 0 {
				if err != nil || resp.Resource != k.req.Resource {
					t.Errorf("%+v, %v", resp, err)
				}
				return
			}
			e, ok := errors.AsType[*acs.Error](err)
			if !ok {
				t.Fatalf("%+v, %v: want an OAuth error", resp, err)
			}
			if e.Status != tt.status || e.Code != tt.code || !e.Has(tt.aadsts) || !strings.Contains(e.Description, tt.text) {
				t.Errorf("got %+v, want %d %s AADSTS%d %q", e, tt.status, tt.code, tt.aadsts, tt.text)
			}
			if e.TraceID == "" || e.CorrelationID == "" || e.Timestamp == "" || !strings.Contains(e.Description, "\r\nTrace ID: "+e.TraceID) {
				t.Errorf("trace of %+v", e)
			}
		})
	}
}

func TestRefusalIsRecorded(t *testing.T) {
	k := newAsk()
	k.req.Resource = exchange + "/evil.test@" + tenant
	k.req.Assertion = k.assertion.String()
	a, log := newAuthority(t, realms{k.realm}, fixed(start), nil)
	if _, err := a.Issue(t.Context(), tenant, k.req); err == nil {
		t.Fatal("issued")
	}
	e := log.all()
	if len(e) != 1 || !strings.HasPrefix(e[0].Outcome, "invalid_resource: AADSTS500011") || !strings.Contains(e[0].Object, "evil.test") {
		t.Errorf("%+v", e)
	}
	// Anybody can be refused: a flood is counted, not kept.
	for range 1000 {
		if _, err := a.Issue(t.Context(), "nowhere.test", k.req); err == nil {
			t.Fatal("issued")
		}
	}
	if n := len(log.all()); n > 250 {
		t.Errorf("%d events of a flood are kept", n)
	}
}

func TestNothingIsIssuedWithoutARecord(t *testing.T) {
	k := newAsk()
	k.req.Assertion = k.assertion.String()
	a, log := newAuthority(t, realms{k.realm}, fixed(start), nil)
	log.err = errBroken
	if resp, err := a.Issue(t.Context(), tenant, k.req); resp != nil || !errors.Is(err, errBroken) {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestReplayIsAnsweredAndTold(t *testing.T) {
	k := newAsk()
	k.req.Assertion = k.assertion.String()
	a, log := newAuthority(t, realms{k.realm}, fixed(start), nil)
	for range 2 {
		if _, err := a.Issue(t.Context(), tenant, k.req); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := log.all()
	if len(e) != 2 || strings.Contains(e[0].After, "replayed") || !strings.Contains(e[1].After, `"replayed":true`) {
		t.Errorf("%+v", e)
	}
}

func TestReuse(t *testing.T) {
	now := start
	realm := testRealm()
	a, _ := newAuthority(t, realms{realm}, func() time.Time { return now }, func(c *trust.AuthorityConfig) { c.ReuseFor = 3 * time.Minute })
	get := func() *acs.TokenResponse {
		t.Helper()
		k := newAsk()
		k.assertion.claims["nbf"], k.assertion.claims["exp"] = now.Unix(), now.Unix()+300
		k.req.Assertion = k.assertion.String()
		resp, err := a.Issue(t.Context(), tenant, k.req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	first := get()
	now = start.Add(2 * time.Minute)
	again := get()
	if again.AccessToken != first.AccessToken || again.ExpiresIn != first.ExpiresIn-2*time.Minute || !again.ExpiresOn.Equal(first.ExpiresOn) {
		t.Errorf("%+v after %+v", again, first)
	}
	realm.Version++
	if get().AccessToken == first.AccessToken {
		t.Error("reused after a change of the realm")
	}
	second := get()
	now = start.Add(5 * time.Minute)
	if get().AccessToken == second.AccessToken {
		t.Error("reused for too long")
	}
}

// At most MaxSigning signatures at one time, at most MaxWaiting waiting.
func TestSigningIsBounded(t *testing.T) {
	k := newAsk()
	k.req.Assertion = k.assertion.String()
	a, _ := newAuthority(t, realms{k.realm}, fixed(start), func(c *trust.AuthorityConfig) { c.MaxSigning, c.MaxWaiting, c.ReuseFor = 1, 1, -1 })
	var wg sync.WaitGroup
	var mu sync.Mutex
	issued, busy := 0, 0
	for range 40 {
		wg.Go(func() {
			_, err := a.Issue(t.Context(), tenant, k.req)
			mu.Lock()
			defer mu.Unlock()
			if e, ok := errors.AsType[*acs.Error](err); ok && e.Status == 503 && e.Code == "temporarily_unavailable" {
				busy++
			} else if err == nil {
				issued++
			} else {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if issued == 0 || issued+busy != 40 {
		t.Errorf("%d issued, %d told to come again", issued, busy)
	}
}

func TestAuthorityWithoutUsableCertificate(t *testing.T) {
	k := newAsk()
	k.req.Assertion = k.assertion.String()
	a, _ := newAuthority(t, realms{k.realm}, fixed(start), func(c *trust.AuthorityConfig) {
		c.Authority = func(context.Context) (*directory.AuthorityConfig, error) {
			return &directory.AuthorityConfig{Cloud: directory.Clouds["21vianet"]}, nil
		}
	})
	if _, err := a.Issue(t.Context(), tenant, k.req); !errors.Is(err, trust.ErrNoCertificate) {
		t.Errorf("%v", err)
	}
}

func TestAuthorityMetadata(t *testing.T) {
	a, _ := newAuthority(t, realms{testRealm()}, fixed(start), nil)
	all, _ := newAuthority(t, realms{testRealm()}, fixed(start), func(c *trust.AuthorityConfig) { c.ShowAllDomains = true })
	audience := func(realm string) string { return acsPID + "/" + acsHost + "@" + realm }
	for _, tt := range []struct {
		a         *trust.Authority
		realm     string
		host      string
		audiences []string
	}{
		{a, tenant, acsHost, []string{audience(tenant)}},
		{a, "Contoso.com", acsHost, []string{audience("contoso.com"), audience(tenant)}},
		{all, tenant, acsHost, []string{audience("contoso.partner.onmschina.cn"), audience("contoso.com"), audience(tenant)}},
	} {
		d, err := tt.a.Metadata(t.Context(), tt.realm, tt.host)
		if err != nil {
			t.Fatal(err)
		}
		want := &acs.Document{Version: "1.0", Name: "sts", Realm: tenant, Issuer: acsPID + "@" + tenant, AllowedAudiences: tt.audiences,
			Keys:      []acs.Key{{Certificate: certKey("as").cert.DER}},
			Endpoints: []acs.Endpoint{{Location: "https://" + acsHost + "/" + tenant + "/tokens/OAuth/2", Protocol: "OAuth2", Usage: "issuance"}}}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Errorf("%s: %s", tt.realm, diff)
		}
		s, err := trust.AuthServerFrom(d, "ACS", "https://"+acsHost+"/contoso.com/metadata/json/1", start)
		if err != nil {
			t.Fatal(err)
		}
		if s.IssuerIdentifier != acsPID || s.Realm != tenant || s.TokenIssuingEndpoint != d.Endpoints[0].Location || !s.Enabled ||
			s.Type != directory.AuthServerACS || len(s.CertificateStrings) != 1 || !s.RefreshedAt.Equal(start) {
			t.Errorf("%+v", s)
		}
	}
	for _, at := range [][2]string{{"nowhere.test", acsHost}, {tenant, onprem}, {tenant, loginHost}, {"", acsHost}} {
		if _, err := a.Metadata(t.Context(), at[0], at[1]); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%v: %v", at, err)
		}
	}
}
