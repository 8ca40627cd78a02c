package trust_test

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
	"busybridge/internal/spec/oidc"
	"busybridge/internal/trust"
)

// hybridApp is the dedicated application of contoso.com in its tenant.
const (
	hybridApp = "9f1e2d3c-4b5a-4697-8a7b-6c5d4e3f2a1b"
	stsIssuer = "https://sts.chinacloudapi.cn/" + tenant + "/"
	loginHost = "login.partner.microsoftonline.cn"
)

func entraServer(realm string) directory.AuthServer {
	return directory.AuthServer{
		Common: directory.Common{Name: "EvoSTS"}, Type: directory.AuthServerAzureAD, IssuerIdentifier: stsIssuer, Realm: realm, Enabled: true,
		TokenIssuingEndpoint:  "https://" + loginHost + "/common/oauth2/token",
		AuthorizationEndpoint: "https://" + loginHost + "/common/oauth2/authorize",
		CertificateStrings:    []string{certKey("as").base64()},
	}
}

// entra makes the bearer a token of Entra for the application, at a hosted
// organization of its tenant.
func (s *scene) entra() {
	s.org = hosted(s.org.ID, tenant, "contoso.com")
	s.org.AuthServers = append(s.org.AuthServers, entraServer(tenant))
	s.host, s.bare = cloud, true
	s.orgs = hosts{cloud: {s.org}}
	s.actor = token{
		header: map[string]any{"typ": "JWT", "alg": "RS256", "x5t": certKey("as").x5t(), "kid": certKey("as").x5t()},
		claims: map[string]any{"aud": "https://" + cloud, "iss": stsIssuer, "iat": start.Unix() - 300, "nbf": start.Unix() - 300, "exp": start.Unix() + 86400,
			"appid": hybridApp, "appidacr": "2", "idp": stsIssuer, "idtyp": "app", "oid": uuid.NewString(), "tid": tenant, "ver": "1.0",
			"roles": []string{"full_access_as_app"}},
		key: certKey("as")}
}

func TestEntraApplicationTokens(t *testing.T) {
	stranger := "aaaaaaaa-4b5a-4697-8a7b-6c5d4e3f2a1b"
	v2 := func(s *scene) {
		s.actor.header = map[string]any{"typ": "JWT", "alg": "RS256", "kid": certKey("as").x5t()}
		c := s.actor.claims
		c["iss"], c["azp"], c["azpacr"], c["ver"] = "https://"+loginHost+"/"+tenant+"/v2.0", hybridApp, "2", "2.0"
		delete(c, "appid")
		delete(c, "appidacr")
	}
	for _, tt := range []struct {
		name   string
		change func(*scene)
		id     int // 0: accepted
		step   int
	}{
		{"the application's token", func(*scene) {}, 0, 0},
		{"audience with a slash", func(s *scene) { s.actor.claims["aud"] = "https://" + cloud + "/" }, 0, 0},
		{"host in other letter case", func(s *scene) { s.actor.claims["aud"] = "https://Partner.Outlook.CN" }, 0, 0},
		{"version 2", v2, 0, 0},
		{"application with a secret", func(s *scene) { s.actor.claims["appidacr"] = "1" }, 0, 0},
		{"partner application of that id", func(s *scene) {
			s.org.PartnerApplications = append(s.org.PartnerApplications, directory.PartnerApplication{Enabled: true, UseAuthServer: true, ApplicationIdentifier: hybridApp})
		}, 0, 0},

		{"issuer of another tenant", func(s *scene) { s.actor.claims["iss"] = strings.Replace(stsIssuer, tenant, tenantB, 1) }, 2000009, 5},
		{"tenant swapped", func(s *scene) { s.actor.claims["tid"] = tenantB }, 2000009, 5},
		{"no tenant", func(s *scene) { delete(s.actor.claims, "tid") }, 2000009, 5},
		{"tenant is a list", func(s *scene) { s.actor.claims["tid"] = []string{tenant} }, 2000009, 5},
		{"issuer without the slash", func(s *scene) { s.actor.claims["iss"] = strings.TrimSuffix(stsIssuer, "/") }, 2000009, 5},
		{"issuer over http", func(s *scene) { s.actor.claims["iss"] = strings.Replace(stsIssuer, "https", "http", 1) }, 2000009, 5},
		{"issuer of another login host", func(s *scene) {
			v2(s)
			s.actor.claims["iss"] = "https://login.evil.example/" + tenant + "/v2.0"
		}, 2000009, 5},
		{"issuer is the authorization server of ACS", func(s *scene) { s.org.AuthServers = s.org.AuthServers[:1] }, 2000009, 5},
		{"server disabled", func(s *scene) { s.org.AuthServers[1].Enabled = false }, 2000009, 5},
		{"server of another tenant", func(s *scene) { s.org.AuthServers[1].Realm = tenantB }, 2000009, 5},
		{"around it an outer token", func(s *scene) {
			s.bare = false
			s.outer.claims["iss"], s.outer.claims["aud"] = stsIssuer, s.actor.claims["aud"]
		}, 2000009, 5},

		{"no key id", func(s *scene) { s.actor.header = map[string]any{"typ": "JWT", "alg": "RS256"} }, 2000000, 6},
		{"kid of the server, x5t of another", func(s *scene) { s.actor.header["x5t"] = certKey("stranger").x5t() }, 2000000, 6},
		{"an x5t that is none, kid of the server", func(s *scene) { s.actor.header["x5t"] = "AAAA" }, 2000000, 6},
		{"key of another anchor", func(s *scene) {
			s.actor.header["x5t"], s.actor.key = certKey("partner").x5t(), certKey("partner")
		}, 2000000, 6},
		{"signature of another key", func(s *scene) { s.actor.key = certKey("stranger") }, 2000000, 7},
		{"expired", func(s *scene) { s.now = start.Add(86400*time.Second + 5*time.Minute) }, 2000002, 8},
		{"not yet valid", func(s *scene) { s.now = start.Add(-11 * time.Minute) }, 2000002, 8},
		{"valid for ten years", func(s *scene) { s.actor.claims["exp"] = start.AddDate(10, 0, 0).Unix() }, 2000002, 8},

		{"audience is the application id", func(s *scene) { s.actor.claims["aud"] = exchange }, 2000003, 9},
		{"audience in the form of ACS", func(s *scene) { s.actor.claims["aud"] = exchange + "/" + cloud + "@" + tenant }, 2000003, 9},
		{"audience is a list", func(s *scene) { s.actor.claims["aud"] = []string{"https://" + cloud} }, 2000003, 9},
		{"audience over http", func(s *scene) { s.actor.claims["aud"] = "http://" + cloud }, 2000003, 9},
		{"audience with a path", func(s *scene) { s.actor.claims["aud"] = "https://" + cloud + "/ews" }, 2000003, 9},
		{"audience with a user", func(s *scene) { s.actor.claims["aud"] = "https://x@" + cloud }, 2000003, 9},
		{"audience with a query", func(s *scene) { s.actor.claims["aud"] = "https://" + cloud + "?" + cloud }, 2000003, 9},
		{"audience is Graph", func(s *scene) { s.actor.claims["aud"] = "https://microsoftgraph.chinacloudapi.cn" }, 2000003, 10},
		{"audience with a longer host", func(s *scene) { s.actor.claims["aud"] = "https://" + cloud + ".evil.example" }, 2000003, 10},

		{"no version", func(s *scene) { delete(s.actor.claims, "ver") }, 2000009, 5},
		{"version 2 by another issuer", func(s *scene) { s.actor.claims["ver"] = "2.0" }, 2000009, 5},
		{"version 1 by the issuer of version 2", func(s *scene) { v2(s); s.actor.claims["ver"] = "1.0" }, 2000009, 5},
		{"version 2 with the claims of version 1", func(s *scene) {
			v2(s)
			s.actor.claims["appid"] = hybridApp
			delete(s.actor.claims, "azp")
		}, 2000006, 13},
		{"not said what kind it is", func(s *scene) {
			delete(s.actor.claims, "idtyp")
			s.actor.claims["sub"] = s.actor.claims["oid"]
		}, 0, 0},
		{"not said what kind it is, and about somebody", func(s *scene) {
			delete(s.actor.claims, "idtyp")
			s.actor.claims["sub"] = "somebody"
		}, 2000001, 13},
		{"a user's, without scope", func(s *scene) { s.actor.claims["idtyp"] = "user" }, 2000001, 13},
		{"an application's, with scope", func(s *scene) { s.actor.claims["scp"] = "EWS.AccessAsUser.All" }, 2000001, 13},
		{"its kind is a list", func(s *scene) { s.actor.claims["idtyp"] = []string{"app"} }, 2000001, 13},

		{"no application", func(s *scene) { delete(s.actor.claims, "appid") }, 2000006, 13},
		{"application is no GUID", func(s *scene) { s.actor.claims["appid"] = "app" }, 2000006, 13},
		{"application without credential", func(s *scene) { s.actor.claims["appidacr"] = "0" }, 2000006, 13},
		{"credential not said", func(s *scene) { delete(s.actor.claims, "appidacr") }, 2000006, 13},
		{"partner application disabled", func(s *scene) {
			s.org.PartnerApplications = append(s.org.PartnerApplications, directory.PartnerApplication{UseAuthServer: true, ApplicationIdentifier: hybridApp})
		}, 2000006, 15},
		{"on premises it must be a partner application", func(s *scene) {
			s.org.Tenant = ""
			s.actor.claims["appid"] = stranger
		}, 2000006, 15},
		{"on premises it is one", func(s *scene) {
			s.org.Tenant = ""
			s.org.PartnerApplications = append(s.org.PartnerApplications, directory.PartnerApplication{Enabled: true, UseAuthServer: true, ApplicationIdentifier: hybridApp, Realm: tenant})
		}, 0, 0},
		{"no roles", func(s *scene) { delete(s.actor.claims, "roles") }, 2000008, 17},
		{"other roles", func(s *scene) { s.actor.claims["roles"] = []string{"Mail.Read", "full_access_as_app2"} }, 2000008, 17},
		{"roles as text", func(s *scene) { s.actor.claims["roles"] = "full_access_as_app" }, 2000008, 17},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene()
			s.entra()
			tt.change(s)
			c, err := s.validate(t)
			if tt.id != 0 {
				refusedAt(t, err, tt.id, tt.step)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.ApplicationID != hybridApp || c.Realm != tenant || !c.AppOnly || !c.Impersonates || c.OwnUser || c.User != nil || c.Application == nil {
				t.Errorf("caller %+v", c)
			}
		})
	}
}

func TestEntraUserTokens(t *testing.T) {
	user := func(s *scene) {
		s.entra()
		s.people = people{}
		s.people.add(s.org.ID, "kim", func(r *directory.Recipient) { r.Type = directory.UserMailbox }, "kim@contoso.com")
		s.people.add(s.org.ID, "alice", nil, "alice@contoso.com") // a mail user: her mailbox is elsewhere
		c := s.actor.claims
		delete(c, "roles")
		delete(c, "idtyp")
		c["scp"], c["upn"], c["unique_name"] = "Calendars.Read EWS.AccessAsUser.All", "kim@contoso.com", "kim@contoso.com"
	}
	for _, tt := range []struct {
		name     string
		change   func(*scene)
		id, step int
	}{
		{"the user's token", func(*scene) {}, 0, 0},
		{"scope of a server on premises", func(s *scene) { s.actor.claims["scp"] = "user_impersonation" }, 0, 0},
		{"a mail program, which is a public client", func(s *scene) { s.actor.claims["appidacr"] = "0" }, 0, 0},
		{"unknown user", func(s *scene) { s.actor.claims["upn"] = "nobody@contoso.com" }, 2000005, 16},
		{"no user", func(s *scene) { delete(s.actor.claims, "upn") }, 2000005, 16},
		{"mailbox elsewhere", func(s *scene) { s.actor.claims["upn"] = "alice@contoso.com" }, 2000005, 16},
		{"scope missing", func(s *scene) { s.actor.claims["scp"] = "Calendars.Read" }, 2000008, 17},
		{"scope is part of a word", func(s *scene) { s.actor.claims["scp"] = "XEWS.AccessAsUser.All" }, 2000008, 17},
		{"for another host", func(s *scene) { s.actor.claims["aud"] = "https://" + onprem }, 2000003, 10},
		{"roles do not make it an application's", func(s *scene) {
			s.actor.claims["scp"], s.actor.claims["roles"] = "", []string{"full_access_as_app"}
		}, 2000008, 17},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene()
			user(s)
			tt.change(s)
			c, err := s.validate(t)
			if tt.id != 0 {
				refusedAt(t, err, tt.id, tt.step)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !c.OwnUser || c.AppOnly || c.Impersonates || c.User == nil || c.User.ID != "kim" {
				t.Errorf("caller %+v", c)
			}
		})
	}
}

func refusedAt(t *testing.T, err error, id, step int) {
	t.Helper()
	te, ok := errors.AsType[*trust.TokenError](err)
	if !ok || te.ID != id || te.Step != step {
		t.Errorf("got %v, want %d at step %d", err, id, step)
	}
}

// entraEndpoint is a trust.TokenEndpoint in front of an authority's login host.
type entraEndpoint struct {
	*endpoint
	asked []oidc.TokenRequest
	urls  []string
	lie   func(*acs.TokenResponse) // may be nil
}

func (e *entraEndpoint) RequestApplicationToken(ctx context.Context, url string, req oidc.TokenRequest) (*acs.TokenResponse, error) {
	e.asked, e.urls = append(e.asked, req), append(e.urls, url)
	r, err := e.authority.IssueApp(ctx, e.realm, oidc.V1, req)
	if err != nil {
		return nil, err
	}
	resp := &acs.TokenResponse{TokenType: r.TokenType, ExpiresIn: r.ExpiresIn, NotBefore: r.NotBefore, ExpiresOn: r.ExpiresOn, Resource: r.Resource, AccessToken: r.AccessToken}
	if e.lie != nil {
		e.lie(resp)
	}
	return resp, nil
}

// hybrid is contoso.com on premises with its application in Entra, and the login
// host of its tenant.
func hybrid(t *testing.T, change func(*directory.Organization)) (*trust.Transport, *entraEndpoint) {
	t.Helper()
	return hybridAt(t, fixed(start), slog.New(slog.NewTextHandler(t.Output(), nil)), change)
}

func hybridAt(t *testing.T, now func() time.Time, log *slog.Logger, change func(*directory.Organization)) (*trust.Transport, *entraEndpoint) {
	t.Helper()
	realm := testRealm()
	realm.ServiceHosts = []string{cloud}
	realm.Principals = append(realm.Principals, directory.ServicePrincipal{
		ObjectID: "a1b2c3d4-0009-4000-8000-00000000e0a1", AppPrincipalID: hybridApp, DisplayName: "ExchangeServerApp", AccountEnabled: true,
		ServicePrincipalNames: []string{hybridApp}, KeyCredentials: realm.Principals[0].KeyCredentials,
		AppRoleAssignments: []directory.AppRoleAssignment{{ID: uuid.NewString(), ResourceID: realm.Principals[0].ObjectID, RoleID: directory.RoleFullAccessAsApp.ID}},
	})
	a, _ := newAuthority(t, realms{realm}, now, nil)
	e := &entraEndpoint{endpoint: &endpoint{authority: a, realm: tenant}}
	org := onpremises()
	s := entraServer(tenant)
	s.ApplicationIdentifier, s.DomainName = hybridApp, []string{"contoso.partner.mail.onmschina.cn", "contoso.com"}
	org.AuthServers = append(org.AuthServers, s)
	if change != nil {
		change(org)
	}
	tokens, err := trust.NewTokens(trust.TokensConfig{Endpoint: e, Now: now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return &trust.Transport{Tokens: tokens, Org: org, As: alice, Application: &org.AuthServers[1]}, e
}

// reaching sends the requests of tr for any host to s.
func reaching(t *testing.T, s *resource, tr *trust.Transport) *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	base.TLSClientConfig.ServerName = "example.com" // of the test server's certificate
	base.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}
	t.Cleanup(base.CloseIdleConnections)
	tr.Base = base
	return &http.Client{Transport: tr}
}

// What the organization asks Entra for is accepted by the organization that it is for.
func TestApplicationTokensAreMintedAndAccepted(t *testing.T) {
	s := newResource(t)
	tr, e := hybrid(t, nil)
	c := reaching(t, s, tr)
	for range 2 {
		if status, err := post(t, c, "https://"+cloud+"/ews/exchange.asmx"); err != nil || status != 200 {
			t.Fatalf("status %d, %v", status, err)
		}
	}
	if d := cmp.Diff([]string{"empty", "token", "token"}, s.seen); d != "" {
		t.Error("requests:", d)
	}
	if d := cmp.Diff([]string{"https://" + loginHost + "/" + tenant + "/oauth2/token"}, e.urls); d != "" {
		t.Error("token requests:", d)
	}
	req := e.asked[0]
	assertion, err := jose.ParseUnverified(req.ClientAssertion)
	if err != nil {
		t.Fatal(err)
	}
	for claim, want := range map[string]string{"aud": e.urls[0], "iss": hybridApp, "sub": hybridApp} {
		if got, _ := assertion.Claims.Text(claim); got != want {
			t.Errorf("%s of the assertion is %q, want %q", claim, got, want)
		}
	}
	if jti, _ := assertion.Claims.Text("jti"); uuid.Validate(jti) != nil {
		t.Errorf("jti %q", jti)
	}
	nbf, exp, err := assertion.Times()
	if err != nil || !nbf.Equal(start) || exp.Sub(nbf) != 5*time.Minute {
		t.Errorf("assertion from %v to %v, %v", nbf, exp, err)
	}
	req.ClientAssertion = ""
	if d := cmp.Diff(oidc.TokenRequest{GrantType: "client_credentials", ClientID: hybridApp, Resource: "https://" + cloud,
		ClientAssertionType: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, req); d != "" {
		t.Error("token request:", d)
	}
	v := newScene()
	v.entra()
	v.actorText = s.token
	caller, err := v.validate(t)
	if err != nil {
		t.Fatal(err)
	}
	if caller.ApplicationID != hybridApp || !caller.Impersonates {
		t.Errorf("caller %+v", caller)
	}
}

func TestApplicationTokensFail(t *testing.T) {
	for _, tt := range []struct {
		name   string
		org    func(*directory.Organization)
		entra  func(*entraEndpoint)
		step   string
		reason string
	}{
		{"no application", func(o *directory.Organization) { o.AuthServers[1].ApplicationIdentifier = "" }, nil, "choose issuer", "ApplicationIdentifier"},
		{"disabled", func(o *directory.Organization) { o.AuthServers[1].Enabled = false }, nil, "choose issuer", "no enabled"},
		{"server of ACS", func(o *directory.Organization) { o.AuthServers[1].Type = directory.AuthServerACS }, nil, "choose issuer", "no enabled"},
		{"realm of another tenant", func(o *directory.Organization) { o.Tenant = tenantB }, nil, "choose issuer", "realm"},
		{"no endpoint", func(o *directory.Organization) {
			o.AuthServers[1].TokenIssuingEndpoint = "http://x/common/oauth2/token"
		}, nil, "choose issuer", "https"},
		{"no certificate", func(o *directory.Organization) { o.Certificates = nil }, nil, "sign assertion", "Missing signing certificate."},
		{"unknown application", func(o *directory.Organization) { o.AuthServers[1].ApplicationIdentifier = uuid.NewString() }, nil, "request token", "AADSTS700016"},
		{"token for another resource", nil, func(e *entraEndpoint) {
			e.lie = func(r *acs.TokenResponse) {
				s := newScene()
				s.entra()
				s.actor.claims["aud"] = "https://" + onprem
				r.AccessToken = s.actor.String()
			}
		}, "read token", "asked for"},
		{"no token", nil, func(e *entraEndpoint) { e.lie = func(r *acs.TokenResponse) { r.AccessToken = "opaque" } }, "read token", "segments"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newResource(t)
			tr, e := hybrid(t, tt.org)
			if tt.entra != nil {
				tt.entra(e)
			}
			_, err := post(t, reaching(t, s, tr), "https://"+cloud+"/ews/exchange.asmx")
			re, ok := errors.AsType[*trust.RequestError](err)
			if !ok || re.Step != tt.step || !strings.Contains(re.Reason(), tt.reason) {
				t.Fatalf("got %v, want step %q, %q", err, tt.step, tt.reason)
			}
			if strings.Contains(err.Error(), base64.RawURLEncoding.EncodeToString([]byte(`{"alg`))) {
				t.Error("a token is in the error")
			}
		})
	}
}
