package trust_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/oidc"
	"busybridge/internal/trust"
)

var alice = &trust.User{UPN: "alice@contoso.com", SMTP: "alice@contoso.com", SIP: "alice@contoso.com",
	NameID: "10032000A1B2C3D4", NII: "urn:federation:MicrosoftOnline"}

// cloudChallenge is that of 21Vianet's Exchange Online.
func cloudChallenge() acs.Challenge {
	return acs.Challenge{ClientID: exchange, Issuers: acsPID + "@*", TrustedIssuers: []acs.PrincipalName{{PID: acsPID, Realm: "*"}}}
}

func newTokens(t testing.TB, e trust.TokenEndpoint, now func() time.Time) *trust.Tokens {
	t.Helper()
	k, err := trust.NewTokens(trust.TokensConfig{Endpoint: e, Now: now, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The bearer is V3 of the vectors, with our actor token in it.
func TestBearerIsVectorV3(t *testing.T) {
	a, _ := newAuthority(t, realms{testRealm()}, fixed(start), nil)
	tokens := newTokens(t, &endpoint{authority: a, realm: tenant}, fixed(start))
	org := onpremises()
	app, err := tokens.Bearer(t.Context(), org, cloudChallenge(), cloud, nil)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := tokens.Bearer(t.Context(), org, cloudChallenge(), cloud, alice)
	if err != nil {
		t.Fatal(err)
	}
	v := vectors(t)
	want, _ := base64.RawURLEncoding.DecodeString(strings.Split(v["V3"], ".")[1])
	got, _ := base64.RawURLEncoding.DecodeString(strings.Split(outer, ".")[1])
	if d := cmp.Diff(strings.Replace(string(want), v["V2"], app, 1), string(got)); d != "" {
		t.Error(d)
	}
	if !strings.HasPrefix(outer, strings.Split(v["V3"], ".")[0]+".") || !strings.HasSuffix(outer, ".") {
		t.Errorf("outer token %.60s", outer)
	}
	// And the cloud takes it.
	s := newScene()
	s.org.AcceptedDomains[0].DomainName = "contoso.com"
	s.orgs, s.host = hosts{cloud: {s.org}}, cloud
	s.people.add(s.org.ID, "alice", nil, "alice@contoso.com")
	if c, err := s.validator(t).Validate(t.Context(), outer, cloud); err != nil || c.User.ID != "alice" {
		t.Errorf("%+v, %v", c, err)
	}
}

// The assertion is V1 of the vectors, with our key.
func TestAssertionIsVectorV1(t *testing.T) {
	var got acs.TokenRequest
	tokens := newTokens(t, endpointFunc(func(_ context.Context, url string, req acs.TokenRequest) (*acs.TokenResponse, error) {
		if want := "https://" + acsHost + "/" + tenant + "/tokens/OAuth/2"; url != want {
			t.Errorf("asked %s, want %s", url, want)
		}
		got = req
		return nil, errBroken
	}), fixed(start))
	if _, err := tokens.Bearer(t.Context(), onpremises(), cloudChallenge(), cloud, alice); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	v1 := strings.Split(vectors(t)["V1"], ".")
	parts := strings.Split(got.Assertion, ".")
	if parts[1] != v1[1] {
		p, _ := base64.RawURLEncoding.DecodeString(parts[1])
		t.Errorf("claims %s", p)
	}
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	if want := `{"typ":"JWT","alg":"RS256","x5t":"` + certKey("org").x5t() + `"}`; string(header) != want {
		t.Errorf("header %s, want %s", header, want)
	}
	got.Assertion = ""
	want := acs.TokenRequest{GrantType: acs.GrantJWTBearer, Resource: exchange + "/" + cloud + "@" + tenant}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

type endpointFunc func(context.Context, string, acs.TokenRequest) (*acs.TokenResponse, error)

func (f endpointFunc) RequestToken(ctx context.Context, url string, req acs.TokenRequest) (*acs.TokenResponse, error) {
	return f(ctx, url, req)
}

func (endpointFunc) RequestApplicationToken(context.Context, string, oidc.TokenRequest) (*acs.TokenResponse, error) {
	return nil, errors.New("no application asks here")
}

// The rules of oauth-s2s 2.2.
func TestChooseIssuer(t *testing.T) {
	name := func(pid, realm string) []acs.PrincipalName { return []acs.PrincipalName{{PID: pid, Realm: realm}} }
	for _, tt := range []struct {
		name   string
		org    *directory.Organization
		change func(*directory.Organization)
		ch     acs.Challenge
		want   string // resource realm; empty: no issuer
		server string // token endpoint, when it matters
	}{
		{"any realm", onpremises(), nil, cloudChallenge(), tenant, ""},
		{"the realm", onpremises(), nil, acs.Challenge{ClientID: exchange, TrustedIssuers: name(acsPID, tenant)}, tenant, ""},
		{"another realm", onpremises(), nil, acs.Challenge{ClientID: exchange, TrustedIssuers: name(acsPID, tenantB)}, "", ""},
		{"another cloud", onpremises(), nil, acs.Challenge{ClientID: exchange, TrustedIssuers: name("00000001-0000-0000-c000-000000000000", "*")}, "", ""},
		{"nobody", onpremises(), nil, acs.Challenge{ClientID: exchange}, "", ""},
		{"disabled", onpremises(), func(o *directory.Organization) { o.AuthServers[0].Enabled = false }, cloudChallenge(), "", ""},
		{"of Entra", onpremises(), func(o *directory.Organization) { o.AuthServers[0].Type = directory.AuthServerAzureAD }, cloudChallenge(), "", ""},
		{"hosted", hosted("x", tenantB, "litware.com"), nil, acs.Challenge{ClientID: exchange, TrustedIssuers: name(acsPID, tenantB)}, tenantB, ""},
		{"hosted, but another tenant's", hosted("x", tenantB, "litware.com"), nil, acs.Challenge{ClientID: exchange, TrustedIssuers: name(acsPID, tenant)}, "", ""},
		{"the one for the user's domain", onpremises(), func(o *directory.Organization) {
			second := o.AuthServers[0]
			second.Realm, second.TokenIssuingEndpoint, second.DomainName = tenantB, "https://second.test/", []string{"contoso.com"}
			o.AuthServers = append(o.AuthServers, second)
		}, cloudChallenge(), tenantB, "https://second.test/"},
		{"without client_id", onpremises(), nil, acs.Challenge{TrustedIssuers: name(acsPID, "*")}, "", ""},
		{"with a hostile client_id", onpremises(), nil, acs.Challenge{ClientID: "x/evil.test@y", TrustedIssuers: name(acsPID, "*")}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.change != nil {
				tt.change(tt.org)
			}
			var resource, server string
			tokens := newTokens(t, endpointFunc(func(_ context.Context, url string, req acs.TokenRequest) (*acs.TokenResponse, error) {
				resource, server = req.Resource, url
				return nil, errBroken
			}), fixed(start))
			tt.ch.Issuers = "as it came"
			_, err := tokens.Bearer(t.Context(), tt.org, tt.ch, cloud, alice)
			re, ok := errors.AsType[*trust.RequestError](err)
			if !ok {
				t.Fatalf("%v", err)
			}
			if tt.want == "" {
				if resource != "" || re.Step != "choose issuer" {
					t.Errorf("asked for %q, %v", resource, err)
				}
				return
			}
			if _, realm, _ := strings.Cut(resource, "@"); realm != tt.want || tt.server != "" && server != tt.server {
				t.Errorf("asked %s for %q, %v", server, resource, err)
			}
		})
	}
	_, err := newTokens(t, endpointFunc(nil), fixed(start)).Bearer(t.Context(), onpremises(), acs.Challenge{ClientID: exchange, Issuers: "00000001-0002-0000-c000-000000000000@x"}, cloud, nil)
	want := "The trusted issuers contained the following entries '00000001-0002-0000-c000-000000000000@x'. None of them are configured locally."
	if !errors.Is(err, trust.ErrNoIssuer) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v", err)
	}
}

// What lab --once has to name: each cause in the error.
func TestCausesAreNamed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*directory.Organization, *directory.Realm)
		is     error
		code   int // AADSTS
		text   string
	}{
		{"wrong key credential", func(_ *directory.Organization, r *directory.Realm) {
			r.Principals[0].KeyCredentials[0].Value = certKey("stranger").cert.DER
		}, nil, 50012, "Error code: 'invalid_client'. Description: 'AADSTS70002: Error validating credentials. AADSTS50012: Client assertion contains an invalid signature. [Reason - The key was not found., Thumbprint of key used by client: '" + certKey("org").cert.Thumbprint},
		{"missing host name", func(_ *directory.Organization, r *directory.Realm) {
			r.Principals[0].ServicePrincipalNames = []string{exchange}
		}, nil, 500011, exchange + "/" + cloud + "@" + tenant},
		{"expired credential", func(_ *directory.Organization, r *directory.Realm) {
			r.Principals[0].KeyCredentials[0].EndDate = start.Add(-time.Hour)
		}, nil, 50012, "The key used is expired."},
		{"expired certificate", func(o *directory.Organization, _ *directory.Realm) {
			c, err := trust.NewSigningCertificate("old", start.Add(-48*time.Hour), start.Add(-time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			o.Certificates, o.AuthConfig.CurrentCertificateThumbprint = []directory.Certificate{c}, c.Thumbprint
		}, trust.ErrNoCertificate, 0, "expired"},
		{"no certificate", func(o *directory.Organization, _ *directory.Realm) { o.AuthConfig.CurrentCertificateThumbprint = "" },
			trust.ErrNoCertificate, 0, "missing signing certificate"},
		{"no private key", func(o *directory.Organization, _ *directory.Realm) { o.Certificates[0].Key = nil },
			trust.ErrNoCertificate, 0, "no private key"},
		{"another's private key", func(o *directory.Organization, _ *directory.Realm) { o.Certificates[0].Key = certKey("as").cert.Key },
			trust.ErrNoCertificate, 0, "not the RSA key of the certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			org, realm := onpremises(), testRealm()
			tt.change(org, realm)
			a, _ := newAuthority(t, realms{realm}, fixed(start), nil)
			_, err := newTokens(t, &endpoint{authority: a, realm: tenant}, fixed(start)).Bearer(t.Context(), org, cloudChallenge(), cloud, alice)
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is no %v", err, tt.is)
			}
			if oauth, ok := errors.AsType[*acs.Error](err); tt.code != 0 && (!ok || !oauth.Has(tt.code)) {
				t.Errorf("%v: want AADSTS%d", err, tt.code)
			}
			if err == nil || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), "MicrosoftAzureACS") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestActorTokenIsKeptUntilFiveMinutesBeforeItsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shift := time.Until(start)
		now := func() time.Time { return time.Now().Add(shift) }
		a, _ := newAuthority(t, realms{testRealm()}, now, nil)
		e := &endpoint{authority: a, realm: tenant}
		tokens := newTokens(t, e, now)
		get := func(host string, as *trust.User) {
			t.Helper()
			if _, err := tokens.Bearer(t.Context(), onpremises(), cloudChallenge(), host, as); err != nil {
				t.Fatal(err)
			}
		}
		get(cloud, alice)
		get(cloud, nil)
		get(cloud, &trust.User{SMTP: "bob@contoso.com"})
		if n := e.count(); n != 1 {
			t.Errorf("%d requests for one resource", n)
		}
		get(onprem, alice)
		if n := e.count(); n != 2 {
			t.Errorf("%d requests for two resources", n)
		}
		time.Sleep(24*time.Hour - 5*time.Minute - time.Second)
		get(cloud, alice)
		if n := e.count(); n != 2 {
			t.Errorf("%d requests a second before the renewal", n)
		}
		time.Sleep(time.Second)
		get(cloud, alice) // by the old one: the request goes on beside
		synctest.Wait()
		if n := e.count(); n != 3 {
			t.Errorf("%d requests at the renewal", n)
		}
		tokens.Forget(onpremises(), cloudChallenge(), cloud, alice)
		get(cloud, alice)
		if n := e.count(); n != 4 {
			t.Errorf("%d requests after Forget", n)
		}
	})
}

func TestOneRequestServesManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newAuthority(t, realms{testRealm()}, fixed(start), nil)
		e := &endpoint{authority: a, realm: tenant, before: func(ctx context.Context) error { time.Sleep(time.Second); return nil }}
		tokens := newTokens(t, e, fixed(start))
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := tokens.Bearer(t.Context(), onpremises(), cloudChallenge(), cloud, alice); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := e.count(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// When the caller whose request is under way gives up, another one goes on; a
// refusal is shared.
func TestGivingUpSpoilsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newAuthority(t, realms{testRealm()}, fixed(start), nil)
		e := &endpoint{authority: a, realm: tenant, before: func(ctx context.Context) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		tokens := newTokens(t, e, fixed(start))
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := tokens.Bearer(hasty, onpremises(), cloudChallenge(), cloud, alice); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("hasty: %v", err)
			}
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				if _, err := tokens.Bearer(t.Context(), onpremises(), cloudChallenge(), cloud, alice); err != nil {
					t.Errorf("patient: %v", err)
				}
			})
		}
		waits, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		wg.Go(func() {
			if _, err := tokens.Bearer(waits, onpremises(), cloudChallenge(), cloud, alice); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("one who waits: %v", err)
			}
		})
		wg.Wait()
		// The hasty one, the one who went on, and at most one who waited.
		if n := e.count(); n < 2 || n > 3 {
			t.Errorf("%d requests", n)
		}
	})
}

// A token that is not what was asked for is not carried to the resource.
func TestLyingAuthority(t *testing.T) {
	good := newScene().actor
	for name, change := range map[string]func(*acs.TokenResponse, map[string]any){
		"another audience": func(_ *acs.TokenResponse, c map[string]any) { c["aud"] = exchange + "/evil.test@" + tenant },
		"no nameid":        func(_ *acs.TokenResponse, c map[string]any) { delete(c, "nameid") },
		"expired":          func(_ *acs.TokenResponse, c map[string]any) { c["exp"] = start.Unix() },
		"expired by word":  func(r *acs.TokenResponse, _ map[string]any) { r.ExpiresOn = start },
		"no token":         func(r *acs.TokenResponse, _ map[string]any) { r.AccessToken = "x" },
	} {
		tokens := newTokens(t, endpointFunc(func(_ context.Context, _ string, req acs.TokenRequest) (*acs.TokenResponse, error) {
			k := good
			k.claims = map[string]any{"aud": req.Resource, "nbf": start.Unix(), "exp": start.Unix() + 3600, "nameid": exchange + "@" + tenant}
			r := &acs.TokenResponse{TokenType: "Bearer", ExpiresIn: time.Hour}
			change(r, k.claims)
			if r.AccessToken == "" {
				r.AccessToken = k.String()
			}
			return r, nil
		}), fixed(start))
		_, err := tokens.Bearer(t.Context(), onpremises(), cloudChallenge(), onprem, alice)
		if re, ok := errors.AsType[*trust.RequestError](err); !ok || re.Step != "read token" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChallengeFor(t *testing.T) {
	one := onpremises()
	one.AuthServers = append(one.AuthServers,
		directory.AuthServer{Type: directory.AuthServerAzureAD, IssuerIdentifier: "https://sts.windows.net/x/", Enabled: true,
			IsDefaultAuthorizationEndpoint: true, AuthorizationEndpoint: "https://login.windows.net/common/oauth2/authorize"},
		directory.AuthServer{Type: directory.AuthServerACS, IssuerIdentifier: "off", Realm: "r"})
	a, b := hosted("a", tenant, "contoso.com"), hosted("b", tenantB, "litware.com")
	b.PartnerApplications = one.PartnerApplications
	for _, tt := range []struct {
		orgs []*directory.Organization
		want string
	}{
		{[]*directory.Organization{one}, `Bearer client_id="` + exchange + `", trusted_issuers="` + acsPID + "@" + tenant + "," + exchange + `@fabrikam.com", authorization_uri="https://login.windows.net/common/oauth2/authorize"`},
		{[]*directory.Organization{a}, `Bearer client_id="` + exchange + `", trusted_issuers="` + acsPID + `@*"`},
		{[]*directory.Organization{a, b}, `Bearer client_id="` + exchange + `", trusted_issuers="` + acsPID + `@*"`},
		{nil, `Bearer client_id="` + exchange + `"`},
	} {
		if d := cmp.Diff(tt.want, trust.ChallengeFor(tt.orgs).String()); d != "" {
			t.Error(d)
		}
	}
}

func TestOrganizationDocument(t *testing.T) {
	org := onpremises()
	expired, err := trust.NewSigningCertificate("expired", start.Add(-48*time.Hour), start.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	org.Certificates = append(org.Certificates, certKey("partner").cert, certKey("stranger").cert, expired)
	org.AuthConfig.NextCertificateThumbprint, org.AuthConfig.PreviousCertificateThumbprint = certKey("partner").cert.Thumbprint, certKey("stranger").cert.Thumbprint
	d, err := trust.OrganizationDocument(org, onprem, start)
	if err != nil {
		t.Fatal(err)
	}
	want := &acs.Document{ID: "_" + string(org.ID), Version: "1.0", Name: "Exchange", Realm: "contoso.com", ServiceName: exchange,
		Issuer: exchange + "@contoso.com", AllowedAudiences: []string{exchange + "@contoso.com"},
		Keys:      []acs.Key{{Certificate: certKey("org").cert.DER}, {Certificate: certKey("partner").cert.DER}, {Certificate: certKey("stranger").cert.DER}},
		Endpoints: []acs.Endpoint{{Location: "https://" + onprem + "/autodiscover/metadata/json/1", Protocol: "OAuth2", Usage: "metadata"}}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	org.AuthConfig.PreviousCertificateThumbprint = expired.Thumbprint
	if d, err = trust.OrganizationDocument(org, onprem, start); err != nil || len(d.Keys) != 2 {
		t.Errorf("%d keys, %v", len(d.Keys), err)
	}
	if _, err := trust.AuthServerFrom(d, "x", "https://x", start); !errors.Is(err, trust.ErrMetadata) {
		t.Errorf("an organization is no authorization server: %v", err)
	}
}

func TestNewSigningCertificate(t *testing.T) {
	c := certKey("org").cert
	if c.Thumbprint != directory.Thumbprint(c.DER) || len(c.Thumbprint) != 40 || len(c.Key) == 0 {
		t.Errorf("%+v", c)
	}
	v := vectors(t)
	der, err := base64.StdEncoding.DecodeString(v["org-cert"])
	if err != nil || directory.Thumbprint(der) != "0015EFC145A52D3BF4729384A0959875C4839E10" || trust.X5T(der) != "ABXvwUWlLTv0cpOEoJWYdcSDnhA" {
		t.Error("thumbprint of the vector")
	}
	if _, err := trust.NewSigningCertificate("CN=", start, start.Add(time.Hour)); err == nil {
		t.Error("made without a subject")
	}
	b, err := json.Marshal(struct{ S any }{c.Key.String()})
	if err != nil || strings.Contains(string(b), string(c.Key)) {
		t.Error("key is shown")
	}
}
