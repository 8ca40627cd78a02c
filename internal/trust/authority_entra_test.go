package trust_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
	"busybridge/internal/spec/oidc"
	"busybridge/internal/trust"
)

const (
	gateway       = "dd02c40f-1325-46c2-a118-4659db8a55d5" // the tenant's own application
	gatewayObject = "a1b2c3d4-0009-4000-8000-00000000e0a1"
	v1Endpoint    = "https://" + loginHost + "/" + tenant + "/oauth2/token"
	v2Endpoint    = "https://" + loginHost + "/" + tenant + "/oauth2/v2.0/token"
)

// entraRealm is testRealm with an application of its own that may use EWS.
func entraRealm() *directory.Realm {
	r := testRealm()
	r.ServiceHosts = []string{cloud}
	r.Principals[0].ServicePrincipalNames = append(r.Principals[0].ServicePrincipalNames, "https://"+onprem)
	r.Principals = append(r.Principals, directory.ServicePrincipal{
		ObjectID: gatewayObject, AppPrincipalID: gateway, DisplayName: "ExchangeServerApp-1", AccountEnabled: true,
		ServicePrincipalNames: []string{gateway, "https://gateway.contoso.com"},
		KeyCredentials: []directory.KeyCredential{{KeyID: "k3", Type: "Asymmetric", Usage: "Verify", Value: certKey("org").cert.DER,
			StartDate: start.Add(-time.Hour), EndDate: start.Add(365 * 24 * time.Hour)}},
		AppRoleAssignments: []directory.AppRoleAssignment{{ID: "a1", ResourceID: r.Principals[0].ObjectID, RoleID: directory.RoleFullAccessAsApp.ID}},
	})
	return r
}

// An appAsk is a token request of an application, and the tenant: what the tables
// change.
type appAsk struct {
	path      string
	version   oidc.Version
	assertion token
	req       oidc.TokenRequest
	realm     *directory.Realm
	now       time.Time
}

func newAppAsk() *appAsk {
	return &appAsk{
		path: tenant, version: oidc.V1, realm: entraRealm(), now: start,
		assertion: token{
			header: map[string]any{"typ": "JWT", "alg": "RS256", "x5t": certKey("org").x5t()},
			claims: map[string]any{"aud": v1Endpoint, "iss": gateway, "sub": gateway, "jti": "6a2f7c1e", "nbf": start.Unix(), "iat": start.Unix(), "exp": start.Unix() + 300},
			key:    certKey("org")},
		req: oidc.TokenRequest{GrantType: oidc.GrantClientCredentials, ClientID: gateway, ClientAssertionType: oidc.AssertionTypeJWT,
			Resource: "https://" + cloud, Scope: "https://" + cloud + "/.default"},
	}
}

func (k *appAsk) issue(t testing.TB) (*oidc.TokenResponse, error) {
	t.Helper()
	other := &directory.Realm{ID: tenantB, Version: 1, Domains: []directory.VerifiedDomain{{Name: "litware.com"}}, Principals: entraRealm().Principals}
	a, _ := newAuthority(t, realms{k.realm, other}, fixed(k.now), nil)
	return a.IssueApp(t.Context(), k.path, k.version, k.ask())
}

func (k *appAsk) ask() oidc.TokenRequest {
	req := k.req
	if req.ClientAssertion == "" && !req.HasSecret {
		req.ClientAssertion = k.assertion.String()
	}
	return req
}

// payload is the text of a token's claims, without what is different each time.
func payload(t testing.TB, compact string) string {
	t.Helper()
	parsed, err := jose.ParseUnverified(compact)
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.VerifyRS256(&certKey("as").key.PublicKey); err != nil {
		t.Error(err)
	}
	uti, _ := parsed.Claims.Text("uti")
	if raw, err := base64.RawURLEncoding.DecodeString(uti); err != nil || len(raw) != 16 {
		t.Errorf("uti %q", uti)
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(text), uti, "UTI", 1)
}

// The claims of oauth-s2s 3.4, member by member.
func TestIssueApp(t *testing.T) {
	const life = `"iat":1768463700,"nbf":1768463700,"exp":1768550400`
	const v1 = `{"aud":"https://partner.outlook.cn","iss":"https://sts.chinacloudapi.cn/` + tenant + `/",` + life + `,"app_displayname":"ExchangeServerApp-1","appid":"` + gateway +
		`","appidacr":"2","idp":"https://sts.chinacloudapi.cn/` + tenant + `/","idtyp":"app","oid":"` + gatewayObject + `","roles":["full_access_as_app"],"sub":"` + gatewayObject +
		`","tid":"` + tenant + `","uti":"UTI","ver":"1.0"}`
	const v2 = `{"aud":"` + exchange + `","iss":"https://` + loginHost + `/` + tenant + `/v2.0",` + life + `,"azp":"` + gateway +
		`","azpacr":"2","idtyp":"app","oid":"` + gatewayObject + `","roles":["full_access_as_app"],"sub":"` + gatewayObject + `","tid":"` + tenant + `","uti":"UTI","ver":"2.0"}`
	for _, tt := range []struct {
		name           string
		change         func(*appAsk)
		answer, claims string
	}{
		{"v1", nil, `{"token_type":"Bearer","expires_in":"86400","ext_expires_in":"86400","expires_on":"1768550400","not_before":"1768463700","resource":"https://partner.outlook.cn","access_token":"TOKEN"}`, v1},
		{"v2 endpoint, v1 token", func(k *appAsk) { k.version = oidc.V2 }, `{"token_type":"Bearer","expires_in":86400,"ext_expires_in":86400,"access_token":"TOKEN"}`, v1},
		{"the resource takes v2 tokens", func(k *appAsk) { k.version, k.realm.Principals[0].TokenVersion = oidc.V2, 2 }, `{"token_type":"Bearer","expires_in":86400,"ext_expires_in":86400,"access_token":"TOKEN"}`, v2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newAppAsk()
			if tt.change != nil {
				tt.change(k)
			}
			resp, err := k.issue(t)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := json.Marshal(resp)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.answer, strings.Replace(string(answer), resp.AccessToken, "TOKEN", 1)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.claims, payload(t, resp.AccessToken)); d != "" {
				t.Error(d)
			}
			header, _ := base64.RawURLEncoding.DecodeString(strings.Split(resp.AccessToken, ".")[0])
			want := `{"typ":"JWT","alg":"RS256","x5t":"` + certKey("as").x5t() + `","kid":"` + certKey("as").x5t() + `"}`
			if d := cmp.Diff(want, string(header)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRolesOfAnApplication(t *testing.T) {
	own := directory.AppRole{ID: "2e1d0c9b-0001-4000-8000-000000000001", Value: "Rooms.Read", DisplayName: "Rooms", Enabled: true}
	give := func(k *appAsk, resource int, role string) {
		k.realm.Principals[2].AppRoleAssignments = append(k.realm.Principals[2].AppRoleAssignments,
			directory.AppRoleAssignment{ID: "a2", ResourceID: k.realm.Principals[resource].ObjectID, RoleID: role})
	}
	for _, tt := range []struct {
		name   string
		change func(*appAsk)
		want   string
	}{
		{"consent", func(*appAsk) {}, `"roles":["full_access_as_app"],`},
		{"no consent", func(k *appAsk) { k.realm.Principals[2].AppRoleAssignments = nil }, ""},
		{"consent for another resource", func(k *appAsk) {
			k.realm.Principals[2].AppRoleAssignments[0].ResourceID = k.realm.Principals[1].ObjectID
		}, ""},
		{"two roles", func(k *appAsk) {
			k.realm.Principals[0].AppRoles = []directory.AppRole{own}
			give(k, 0, own.ID)
		}, `"roles":["full_access_as_app","Rooms.Read"],`},
		{"a role that is disabled", func(k *appAsk) {
			k.realm.Principals[0].AppRoles = []directory.AppRole{{ID: own.ID, Value: own.Value}}
			give(k, 0, own.ID)
		}, `"roles":["full_access_as_app"],`},
		{"a role that is gone", func(k *appAsk) { give(k, 0, own.ID) }, `"roles":["full_access_as_app"],`},
		{"of another application with the name of Exchange's role", func(k *appAsk) {
			k.realm.Principals[1].AppRoles = []directory.AppRole{{ID: own.ID, Value: "full_access_as_app", Enabled: true}}
			k.realm.Principals[2].AppRoleAssignments = nil
			give(k, 1, own.ID)
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newAppAsk()
			tt.change(k)
			resp, err := k.issue(t)
			if err != nil {
				t.Fatal(err)
			}
			_, after, _ := strings.Cut(payload(t, resp.AccessToken), `"oid":"`+gatewayObject+`",`)
			got, _, _ := strings.Cut(after, `"sub"`)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// The errors of Entra, each beside what is let pass.
func TestIssueAppRefuses(t *testing.T) {
	claim := func(name string, v any) func(*appAsk) { return func(k *appAsk) { k.assertion.claims[name] = v } }
	header := func(name string, v any) func(*appAsk) { return func(k *appAsk) { k.assertion.header[name] = v } }
	resource := func(s string) func(*appAsk) { return func(k *appAsk) { k.req.Resource = s } }
	scope := func(s string) func(*appAsk) {
		return func(k *appAsk) { k.version, k.req.Scope, k.assertion.claims["aud"] = oidc.V2, s, v2Endpoint }
	}
	without := func(m func(*appAsk) map[string]any, name string) func(*appAsk) {
		return func(k *appAsk) { delete(m(k), name) }
	}
	claims := func(k *appAsk) map[string]any { return k.assertion.claims }
	headers := func(k *appAsk) map[string]any { return k.assertion.header }
	sum256 := sha256.Sum256(certKey("org").cert.DER)
	x5t256 := base64.RawURLEncoding.EncodeToString(sum256[:])
	other256 := sha256.Sum256(certKey("partner").cert.DER)
	// signed is an assertion with a header that the library writes.
	signed := func(h jose.Header) func(*appAsk) {
		return func(k *appAsk) {
			var w jose.Writer
			w.Text("aud", v1Endpoint).Text("iss", gateway).Text("sub", gateway).Text("jti", "6a2f7c1e").Number("nbf", start.Unix()).Number("exp", start.Unix()+300)
			var err error
			if k.req.ClientAssertion, err = jose.Sign(certKey("org").key, h, &w); err != nil {
				panic(err)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*appAsk)
		status int // 0: issued
		code   string
		aadsts int
		text   string // part of the description
	}{
		{"plain", func(*appAsk) {}, 0, "", 0, ""},
		{"bad grant type", func(k *appAsk) { k.req.GrantType = "password" }, 400, "unsupported_grant_type", 70003, "password"},
		{"no grant type", func(k *appAsk) { k.req.GrantType = "" }, 400, "invalid_request", 900144, "'grant_type'"},
		{"the grant of ACS", func(k *appAsk) { k.req.GrantType = acs.GrantJWTBearer }, 400, "unsupported_grant_type", 70003, ""},
		{"no client_id", func(k *appAsk) { k.req.ClientID = "" }, 400, "invalid_request", 900144, "'client_id'"},
		{"no resource", resource(""), 400, "invalid_request", 900144, "'resource'"},
		{"no scope", scope(""), 400, "invalid_request", 900144, "'scope'"},
		{"no proof", func(k *appAsk) { k.req.ClientAssertion, k.assertion = " ", token{} }, 400, "invalid_request", 50027, ""},
		{"a secret", func(k *appAsk) { k.req.HasSecret = true }, 401, "invalid_client", 7000215, "certificates only"},
		{"no assertion type", func(k *appAsk) { k.req.ClientAssertionType = "" }, 400, "invalid_request", 900144, "'client_assertion_type'"},
		{"assertion type of SAML", func(k *appAsk) {
			k.req.ClientAssertionType = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
		}, 400, "invalid_request", 90023, "saml2"},

		{"tenant by domain", func(k *appAsk) { k.path = "Contoso.com" }, 0, "", 0, ""},
		{"tenant of nobody", func(k *appAsk) { k.path = "nowhere.test" }, 400, "invalid_request", 90002, "nowhere.test"},
		{"common", func(k *appAsk) { k.path = "common" }, 400, "invalid_request", 50059, ""},
		{"organizations", func(k *appAsk) { k.path = "Organizations" }, 400, "invalid_request", 50059, ""},
		{"another tenant's endpoint", func(k *appAsk) { k.path = tenantB }, 401, "invalid_client", 700023, v1Endpoint},
		{"an application of nobody", func(k *appAsk) {
			k.req.ClientID, k.assertion.claims["iss"], k.assertion.claims["sub"] = tenantB, tenantB, tenantB
		}, 400, "unauthorized_client", 700016, tenantB},
		{"disabled", func(k *appAsk) { k.realm.Principals[2].AccountEnabled = false }, 400, "unauthorized_client", 7000112, "ExchangeServerApp-1"},
		{"disabled, asked by a stranger", func(k *appAsk) {
			k.realm.Principals[2].AccountEnabled, k.assertion.key = false, certKey("stranger")
		}, 401, "invalid_client", 700027, ""},
		{"client_id in capitals", func(k *appAsk) { k.req.ClientID = strings.ToUpper(gateway) }, 0, "", 0, ""},

		{"malformed", func(k *appAsk) { k.req.ClientAssertion = "x" }, 400, "invalid_request", 50027, ""},
		{"crit", header("crit", []string{"b64"}), 400, "invalid_request", 50027, ""},
		{"alg none", func(k *appAsk) { k.assertion.header["alg"], k.assertion.key = "none", nil }, 401, "invalid_client", 50027, "algorithm"},
		{"HS256 with the certificate", func(k *appAsk) { k.assertion.header["alg"], k.assertion.key = "HS256", certKey("org").cert.DER }, 401, "invalid_client", 50027, "algorithm"},
		{"RS384", header("alg", "RS384"), 401, "invalid_client", 50027, "algorithm"},
		{"ES256", header("alg", "ES256"), 401, "invalid_client", 50027, "algorithm"},
		{"RS256 that says PS256", header("alg", "PS256"), 401, "invalid_client", 700027, "verify the signature failed"},
		{"iss of another application", claim("iss", exchange), 401, "invalid_client", 700021, ""},
		{"sub of another application", claim("sub", exchange), 401, "invalid_client", 50027, "subject"},
		{"no sub", without(claims, "sub"), 401, "invalid_client", 50027, "subject"},
		{"issuer of ACS", claim("iss", gateway+"@"+tenant), 401, "invalid_client", 700021, ""},

		{"RS256, x5t#S256", signed(jose.Header{Algorithm: jose.RS256, X5TSHA256: x5t256}), 0, "", 0, ""},
		{"PS256, x5t#S256", signed(jose.Header{Algorithm: jose.PS256, X5TSHA256: x5t256}), 0, "", 0, ""},
		{"PS256, x5t", signed(jose.Header{Algorithm: jose.PS256, X5T: certKey("org").x5t()}), 0, "", 0, ""},
		{"both thumbprints", signed(jose.Header{Algorithm: jose.PS256, X5T: certKey("org").x5t(), X5TSHA256: x5t256}), 0, "", 0, ""},
		{"thumbprints of two certificates", signed(jose.Header{Algorithm: jose.RS256, X5T: certKey("org").x5t(),
			X5TSHA256: base64.RawURLEncoding.EncodeToString(other256[:])}), 401, "invalid_client", 700027, "not found"},
		{"PS256 that says RS256", func(k *appAsk) {
			signed(jose.Header{Algorithm: jose.PS256, X5TSHA256: x5t256})(k)
			_, rest, _ := strings.Cut(k.req.ClientAssertion, ".")
			k.req.ClientAssertion = base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"RS256","x5t":"`+certKey("org").x5t()+`"}`)) + "." + rest
		}, 401, "invalid_client", 700027, "verify the signature failed"},
		{"no thumbprint", without(headers, "x5t"), 401, "invalid_client", 700027, "neither"},
		{"kid only", func(k *appAsk) {
			delete(k.assertion.header, "x5t")
			k.assertion.header["kid"] = certKey("org").x5t()
		}, 401, "invalid_client", 700027, "neither"},
		{"x5t of 32 bytes", header("x5t", x5t256), 401, "invalid_client", 700027, "no SHA-1"},
		{"x5t#S256 of 20 bytes", header("x5t#S256", certKey("org").x5t()), 401, "invalid_client", 700027, "no SHA-256"},
		{"a stranger's key", func(k *appAsk) {
			k.assertion.header["x5t"], k.assertion.key = certKey("stranger").x5t(), certKey("stranger")
		}, 401, "invalid_client", 700027, "[Reason - The key was not found., Thumbprint of key used by client: '" + certKey("stranger").cert.Thumbprint + "'"},
		{"another application's key", func(k *appAsk) {
			k.assertion.header["x5t"], k.assertion.key = certKey("partner").x5t(), certKey("partner")
		}, 401, "invalid_client", 700027, "not found"},
		{"bad signature", func(k *appAsk) { k.assertion.key = certKey("stranger") }, 401, "invalid_client", 700027, "verify the signature failed"},
		{"the credential has ended", func(k *appAsk) { k.realm.Principals[2].KeyCredentials[0].EndDate = start.Add(-time.Second) }, 401, "invalid_client", 700027, "expired"},
		{"the credential is gone", func(k *appAsk) { k.realm.Principals[2].KeyCredentials = nil }, 401, "invalid_client", 700027, "not found"},

		{"aud v2 at v1", claim("aud", v2Endpoint), 0, "", 0, ""},
		{"aud by domain and the older host", claim("aud", "https://login.chinacloudapi.cn/contoso.com/oauth2/token"), 0, "", 0, ""},
		{"aud is the issuer", claim("aud", "https://"+loginHost+"/"+tenant+"/v2.0"), 0, "", 0, ""},
		{"aud of another tenant", claim("aud", strings.Replace(v1Endpoint, tenant, tenantB, 1)), 401, "invalid_client", 700023, ""},
		{"aud of common", claim("aud", "https://"+loginHost+"/common/oauth2/token"), 401, "invalid_client", 700023, ""},
		{"aud of another host", claim("aud", strings.Replace(v1Endpoint, loginHost, "evil.test", 1)), 401, "invalid_client", 700023, ""},
		{"aud of a host below", claim("aud", strings.Replace(v1Endpoint, loginHost, loginHost+".evil.test", 1)), 401, "invalid_client", 700023, ""},
		{"aud with a user", claim("aud", strings.Replace(v1Endpoint, "https://", "https://"+loginHost+"@evil.test/", 1)), 401, "invalid_client", 700023, ""},
		{"aud over http", claim("aud", strings.Replace(v1Endpoint, "https", "http", 1)), 401, "invalid_client", 700023, ""},
		{"aud with a query", claim("aud", v1Endpoint+"?x"), 401, "invalid_client", 700023, ""},
		{"aud is a list", claim("aud", []string{v1Endpoint}), 401, "invalid_client", 700023, ""},
		{"aud of ACS", claim("aud", acsPID+"/"+acsHost+"@"+tenant), 401, "invalid_client", 700023, ""},
		{"aud of a resource", claim("aud", "https://"+cloud), 401, "invalid_client", 700023, ""},

		{"expired", func(k *appAsk) { k.now = start.Add(10 * time.Minute) }, 401, "invalid_client", 700024, "2026-01-15T08:05:00Z"},
		{"expired within the skew", func(k *appAsk) { k.now = start.Add(10*time.Minute - time.Second) }, 0, "", 0, ""},
		{"not yet valid", func(k *appAsk) { k.now = start.Add(-5*time.Minute - time.Second) }, 401, "invalid_client", 700024, ""},
		{"valid for more than an hour", claim("exp", start.Unix()+3601), 401, "invalid_client", 700024, "limit 1h0m0s"},
		{"valid for more than an hour since iat", func(k *appAsk) {
			delete(k.assertion.claims, "nbf")
			k.assertion.claims["exp"] = start.Unix() + 3601
		}, 401, "invalid_client", 700024, "limit 1h0m0s"},
		{"times as strings", func(k *appAsk) { k.assertion.claims["nbf"], k.assertion.claims["exp"] = "1768464000", "1768464300" }, 0, "", 0, ""},
		{"no nbf", without(claims, "nbf"), 0, "", 0, ""},
		{"neither nbf nor iat", func(k *appAsk) { delete(k.assertion.claims, "nbf"); delete(k.assertion.claims, "iat") }, 0, "", 0, ""},
		{"no exp", without(claims, "exp"), 401, "invalid_client", 700024, "exp is absent"},
		{"exp before nbf", claim("exp", start.Unix()-1), 401, "invalid_client", 700024, "exp is not after nbf"},
		{"exp before iat", func(k *appAsk) {
			delete(k.assertion.claims, "nbf")
			k.assertion.claims["iat"], k.assertion.claims["exp"] = start.Unix()+200, start.Unix()+100
		}, 401, "invalid_client", 700024, "exp is not after iat"},
		{"nbf is no time", claim("nbf", "soon"), 401, "invalid_client", 700024, "nbf"},

		{"resource with a slash", resource("https://" + cloud + "/"), 0, "", 0, ""},
		{"resource by application id", resource(exchange), 0, "", 0, ""},
		{"resource by application id and host", resource(exchange + "/" + cloud), 0, "", 0, ""},
		{"resource under a wildcard", resource(exchange + "/mail.eu.contoso.com"), 0, "", 0, ""},
		{"resource of a registered URL", resource("https://" + onprem), 0, "", 0, ""},
		{"resource of the application itself", resource("https://gateway.contoso.com"), 0, "", 0, ""},
		{"resource not registered", resource("https://mail2.contoso.com"), 400, "invalid_resource", 500011,
			"The resource principal named https://mail2.contoso.com was not found in the tenant named " + tenant},
		{"resource under a wildcard, by URL", resource("https://mail.eu.contoso.com"), 400, "invalid_resource", 500011, ""},
		{"resource is a wildcard", resource(exchange + "/*.eu.contoso.com"), 400, "invalid_resource", 500011, ""},
		{"resource with a path", resource("https://" + cloud + "/EWS"), 400, "invalid_resource", 500011, ""},
		{"resource over http", resource("http://" + cloud), 400, "invalid_resource", 500011, ""},
		{"resource on another port", resource("https://" + cloud + ":8443"), 400, "invalid_resource", 500011, ""},
		{"resource of ACS's form", resource(exchange + "/" + cloud + "@" + tenant), 400, "invalid_resource", 500011, ""},
		{"resource of an application that is absent", resource("00000004-0000-0ff1-ce00-000000000000"), 400, "invalid_resource", 500011, ""},
		{"resource is disabled", func(k *appAsk) { k.realm.Principals[0].AccountEnabled = false }, 400, "invalid_resource", 500014, cloud},
		{"scope", scope("https://" + cloud + "/.default"), 0, "", 0, ""},
		{"scope of a resource with a slash", scope("https://" + cloud + "//.default"), 0, "", 0, ""},
		{"scope by application id", scope(exchange + "/.default"), 0, "", 0, ""},
		{"one role as scope", scope("https://" + cloud + "/full_access_as_app"), 400, "invalid_scope", 1002012, "full_access_as_app"},
		{"two scopes", scope("https://" + cloud + "/.default https://gateway.contoso.com/.default"), 400, "invalid_scope", 28000, ""},
		{"spaces as scope", scope("  "), 400, "invalid_scope", 1002012, ""},
		{"scope of nothing", scope("/.default"), 400, "invalid_resource", 500011, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newAppAsk()
			tt.change(k)
			resp, err := k.issue(t)
			if tt.status == 0 {
				if err != nil {
					t.Fatal(err)
				}
				if tid := payload(t, resp.AccessToken); !strings.Contains(tid, `"tid":"`+tenant+`"`) {
					t.Errorf("claims %s", tid)
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
			if e.TraceID == "" || e.CorrelationID == "" || !strings.HasPrefix(e.URI, "https://"+loginHost+"/error?code=") {
				t.Errorf("trace of %+v", e)
			}
		})
	}
}

// A host of the cloud is Exchange's, also when an application of the tenant has
// taken its name.
func TestHostsOfTheCloudAreExchanges(t *testing.T) {
	k := newAppAsk()
	k.realm.Principals[2].ServicePrincipalNames = append(k.realm.Principals[2].ServicePrincipalNames, "https://"+cloud, gateway+"/"+cloud)
	k.realm.Principals[2].AppRoles = []directory.AppRole{{ID: "2e1d0c9b-0001-4000-8000-000000000001", Value: "Everything", Enabled: true}}
	k.realm.Principals[2].AppRoleAssignments = []directory.AppRoleAssignment{{ID: "a1", ResourceID: gatewayObject, RoleID: "2e1d0c9b-0001-4000-8000-000000000001"}}
	k.realm.Principals[0], k.realm.Principals[2] = k.realm.Principals[2], k.realm.Principals[0]
	resp, err := k.issue(t)
	if err != nil {
		t.Fatal(err)
	}
	if p := payload(t, resp.AccessToken); strings.Contains(p, "roles") {
		t.Errorf("claims %s", p)
	}
}

func TestIssueAppIsRecorded(t *testing.T) {
	k := newAppAsk()
	a, log := newAuthority(t, realms{k.realm}, fixed(start), func(c *trust.AuthorityConfig) { c.ReuseFor = -1 })
	k.req.CorrelationID = "af0b9e1c-304d-4cbe-8e59-57cc92c12dc3"
	first := k.ask()
	// The same jti in another assertion is a replay, too.
	k.assertion.claims["exp"] = start.Unix() + 299
	second := k.ask()
	k.assertion.claims["jti"] = "another"
	third := k.ask()
	fourth := k.ask()
	fourth.Resource = "https://evil.test"
	for _, req := range []oidc.TokenRequest{first, second, third} {
		if _, err := a.IssueApp(t.Context(), tenant, oidc.V1, req); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.IssueApp(t.Context(), tenant, oidc.V1, fourth); err == nil {
		t.Fatal("issued")
	}
	type event struct {
		Outcome  string
		Replayed bool
	}
	var got []event
	for _, e := range log.all() {
		if e.Operation != "IssueToken" || e.Actor != gateway || e.Org != tenant || e.RequestID != k.req.CorrelationID ||
			strings.Contains(e.After, first.ClientAssertion[40:80]) || !strings.Contains(e.After, certKey("org").cert.Thumbprint) {
			t.Errorf("%+v", e)
		}
		outcome, _, _ := strings.Cut(e.Outcome, ":")
		got = append(got, event{outcome, strings.Contains(e.After, `"replayed":true`)})
	}
	if d := cmp.Diff([]event{{"done", false}, {"done", true}, {"done", false}, {"invalid_resource", true}}, got); d != "" {
		t.Error(d)
	}
	log.err = errBroken
	if resp, err := a.IssueApp(t.Context(), tenant, oidc.V1, first); resp != nil || !errors.Is(err, errBroken) {
		t.Errorf("without a record: %v, %v", resp, err)
	}
}

// Tokens of the two kinds, of two audiences and of two principals are never handed
// out for each other.
func TestTokensAreNotSubstituted(t *testing.T) {
	realm := entraRealm()
	now := start
	a, _ := newAuthority(t, realms{realm}, func() time.Time { return now }, nil)
	app := func(change func(*appAsk)) string {
		t.Helper()
		k := newAppAsk()
		if change != nil {
			change(k)
		}
		resp, err := a.IssueApp(t.Context(), tenant, k.version, k.ask())
		if err != nil {
			t.Fatal(err)
		}
		return resp.AccessToken
	}
	of := func(id string) func(*appAsk) {
		return func(k *appAsk) { k.req.ClientID, k.assertion.claims["iss"], k.assertion.claims["sub"] = id, id, id }
	}
	k := newAsk()
	k.req.Assertion = k.assertion.String()
	actor, err := a.Issue(t.Context(), tenant, k.req)
	if err != nil {
		t.Fatal(err)
	}
	first := app(nil)
	if again := app(nil); again != first {
		t.Error("the same request was signed twice")
	}
	if again := app(func(k *appAsk) { k.version = oidc.V2 }); again != first {
		t.Error("the endpoint's version makes another token")
	}
	seen := map[string]string{first: "the first", actor.AccessToken: "the actor token"}
	for name, change := range map[string]func(*appAsk){
		"another principal": of(exchange),
		"the same host of ACS's form": func(k *appAsk) {
			of(exchange)(k)
			k.req.Resource = exchange + "/" + onprem
		},
		"another audience": func(k *appAsk) { k.req.Resource = "https://" + onprem },
		"with a slash":     func(k *appAsk) { k.req.Resource = "https://" + cloud + "/" },
	} {
		got := app(change)
		if other, ok := seen[got]; ok {
			t.Errorf("%s: got the token of %s", name, other)
		}
		seen[got] = name
	}
	realm.Version++
	realm.Principals[2].AppRoleAssignments = nil
	if got := app(nil); got == first || strings.Contains(payload(t, got), "roles") {
		t.Error("a token has the role that was taken away")
	}
}

func TestDiscovery(t *testing.T) {
	a, _ := newAuthority(t, realms{entraRealm()}, fixed(start), nil)
	const algorithms = `"token_endpoint_auth_methods_supported":["private_key_jwt"],"token_endpoint_auth_signing_alg_values_supported":["RS256","PS256"],"grant_types_supported":["client_credentials"],` +
		`"response_types_supported":["code","id_token","code id_token","token id_token","token"],"subject_types_supported":["pairwise"],"id_token_signing_alg_values_supported":["RS256"]}`
	for _, tt := range []struct {
		realm, host string
		version     oidc.Version
		want        string // "": not found
	}{
		{"Contoso.com", loginHost, oidc.V1, `{"issuer":"https://sts.chinacloudapi.cn/` + tenant + `/","token_endpoint":"` + v1Endpoint + `","authorization_endpoint":"https://` + loginHost + `/` + tenant + `/oauth2/authorize",` +
			`"jwks_uri":"https://` + loginHost + `/common/discovery/keys",` + algorithms},
		{tenant, "login.chinacloudapi.cn", oidc.V2, `{"issuer":"https://` + loginHost + `/` + tenant + `/v2.0","token_endpoint":"https://login.chinacloudapi.cn/` + tenant + `/oauth2/v2.0/token",` +
			`"authorization_endpoint":"https://login.chinacloudapi.cn/` + tenant + `/oauth2/v2.0/authorize","jwks_uri":"https://login.chinacloudapi.cn/` + tenant + `/discovery/v2.0/keys",` + algorithms},
		{"common", loginHost, oidc.V2, `{"issuer":"https://` + loginHost + `/{tenantid}/v2.0","token_endpoint":"https://` + loginHost + `/common/oauth2/v2.0/token",` +
			`"authorization_endpoint":"https://` + loginHost + `/common/oauth2/v2.0/authorize","jwks_uri":"https://` + loginHost + `/common/discovery/v2.0/keys",` + algorithms},
		{"nowhere.test", loginHost, oidc.V1, ""},
		{tenant, acsHost, oidc.V1, ""},
		{tenant, onprem, oidc.V2, ""},
	} {
		d, err := a.Discovery(t.Context(), tt.realm, tt.host, tt.version)
		if tt.want == "" {
			if !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("%s at %s: %+v, %v", tt.realm, tt.host, d, err)
			}
			if s, err := a.KeySet(t.Context(), tt.realm, tt.host, tt.version); !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("keys of %s at %s: %+v, %v", tt.realm, tt.host, s, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s at %s: %v", tt.realm, tt.host, err)
			continue
		}
		got, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, string(got)); d != "" {
			t.Errorf("%s at %s: %s", tt.realm, tt.host, d)
		}
	}
}

func TestKeySet(t *testing.T) {
	a, _ := newAuthority(t, realms{entraRealm()}, fixed(start), nil)
	key := certKey("as")
	n, x5t := base64.RawURLEncoding.EncodeToString(key.key.N.Bytes()), key.x5t()
	member := `{"kty":"RSA","use":"sig","kid":"` + x5t + `","x5t":"` + x5t + `","n":"` + n + `","e":"AQAB","x5c":["` + key.base64() + `"]`
	for _, tt := range []struct {
		realm   string
		version oidc.Version
		want    string
	}{
		{"common", oidc.V1, `{"keys":[` + member + `}]}`},
		{"contoso.com", oidc.V1, `{"keys":[` + member + `}]}`},
		{"common", oidc.V2, `{"keys":[` + member + `,"issuer":"https://` + loginHost + `/{tenantid}/v2.0"}]}`},
		{"contoso.com", oidc.V2, `{"keys":[` + member + `,"issuer":"https://` + loginHost + `/` + tenant + `/v2.0"}]}`},
	} {
		s, err := a.KeySet(t.Context(), tt.realm, loginHost, tt.version)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, string(got)); d != "" {
			t.Errorf("%s: %s", tt.realm, d)
		}
	}
}

// ACS and Entra have hosts of their own, but for the cloud where they are one
// (oauth-s2s 0.2).
func TestHostsOfTheAuthority(t *testing.T) {
	for _, tt := range []struct {
		cloud, host    string
		change         func(*directory.Cloud)
		isACS, isLogin bool
	}{
		{"21vianet", acsHost, nil, true, false},
		{"21vianet", loginHost, nil, false, true},
		{"21vianet", "Login.ChinaCloudAPI.cn", nil, false, true},
		{"21vianet", cloud, nil, false, false},
		{"21vianet", "", nil, false, false},
		{"usgov", "login.microsoftonline.us", nil, true, true},
		{"21vianet", loginHost, func(c *directory.Cloud) { c.V1IssuerBase = "" }, false, false},
	} {
		a, _ := newAuthority(t, realms{entraRealm()}, fixed(start), func(c *trust.AuthorityConfig) {
			cfg := authorityConfig()
			cfg.Cloud = directory.Clouds[tt.cloud]
			if tt.change != nil {
				tt.change(&cfg.Cloud)
			}
			c.Authority = func(context.Context) (*directory.AuthorityConfig, error) { return cfg, nil }
		})
		isACS, isLogin, err := a.Serves(t.Context(), tt.host)
		if err != nil || isACS != tt.isACS || isLogin != tt.isLogin {
			t.Errorf("%s, %q: %t, %t, %v", tt.cloud, tt.host, isACS, isLogin, err)
		}
	}
}
