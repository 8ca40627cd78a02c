package authorityserver_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
	"busybridge/internal/spec/oidc"
)

const login = "https://login.partner.microsoftonline.cn"

// The login hosts publish the documents of Entra, and no other host does (oauth-s2s
// 0.2, 1.5).
func TestLoginDocuments(t *testing.T) {
	h, _ := newServer(t)
	const configuration, keys = "issuer token_endpoint authorization_endpoint jwks_uri", "keys"
	for target, members := range map[string]string{ // "": 404
		login + "/" + tenant + "/.well-known/openid-configuration":                           configuration,
		login + "/Contoso.com/.Well-Known/OpenID-Configuration":                              configuration,
		login + "/contoso.com/v2.0/.well-known/openid-configuration":                         configuration,
		login + "/common/v2.0/.well-known/openid-configuration":                              configuration,
		"https://login.chinacloudapi.cn:443/" + tenant + "/.well-known/openid-configuration": configuration,
		login + "/common/discovery/keys":                                                     keys,
		login + "/common/discovery/v2.0/keys":                                                keys,
		login + "/" + tenant + "/discovery/v2.0/keys":                                        keys,
		login + "/nowhere.test/.well-known/openid-configuration":                             "",
		login + "/nowhere.test/discovery/keys":                                               "",
		"https://" + host + "/" + tenant + "/.well-known/openid-configuration":               "",
		"https://" + host + "/common/discovery/keys":                                         "",
		"https://mail.contoso.com/" + tenant + "/.well-known/openid-configuration":           "",
	} {
		resp := do(t, h, "GET", target, "", nil)
		body, _ := io.ReadAll(resp.Body)
		var got map[string]json.RawMessage
		if err := json.Unmarshal(body, &got); err != nil || resp.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %v, %v, %s", target, err, resp.Header, body)
		}
		if members == "" {
			if resp.StatusCode != 404 {
				t.Errorf("%s: status %d: %s", target, resp.StatusCode, body)
			}
			continue
		}
		if resp.StatusCode != 200 {
			t.Errorf("%s: status %d: %s", target, resp.StatusCode, body)
		}
		for name := range strings.FieldsSeq(members) {
			if got[name] == nil {
				t.Errorf("%s: no %s in %s", target, name, body)
			}
		}
	}
	// What the document names is there.
	resp := do(t, h, "GET", login+"/contoso.com/v2.0/.well-known/openid-configuration", "", nil)
	var c oidc.Configuration
	if err := json.NewDecoder(resp.Body).Decode(&c); err != nil {
		t.Fatal(err)
	}
	if resp := do(t, h, "GET", c.JWKSURI, "", nil); resp.StatusCode != 200 {
		t.Errorf("%s: status %d", c.JWKSURI, resp.StatusCode)
	}
	if resp := do(t, h, "POST", c.TokenEndpoint, "", nil); resp.StatusCode != 400 {
		t.Errorf("%s: status %d", c.TokenEndpoint, resp.StatusCode)
	}
}

func TestApplicationToken(t *testing.T) {
	h, sign := newAuthority(t)
	at := func(v oidc.Version) string { return login + v.TokenPath(tenant) }
	assertion := func(aud string) string {
		var w jose.Writer
		w.Text("aud", aud).Text("iss", directory.ExchangeAppID).Text("sub", directory.ExchangeAppID).Text("jti", "1").Number("nbf", 1768464000).Number("exp", 1768464300)
		return sign(&w)
	}
	good := oidc.TokenRequest{GrantType: oidc.GrantClientCredentials, ClientID: directory.ExchangeAppID, ClientAssertionType: oidc.AssertionTypeJWT,
		ClientAssertion: assertion(at(oidc.V1)), Resource: "https://partner.outlook.cn", Scope: "https://partner.outlook.cn/.default"}
	with := func(change func(*oidc.TokenRequest)) string {
		req := good
		change(&req)
		return req.Encode()
	}
	for v, want := range map[oidc.Version][]string{
		oidc.V1: {"token_type:string", "expires_in:string", "ext_expires_in:string", "expires_on:string", "not_before:string", "resource:string", "access_token:string"},
		oidc.V2: {"token_type:string", "expires_in:number", "ext_expires_in:number", "access_token:string"},
	} {
		resp := do(t, h, "POST", at(v), good.Encode(), nil)
		body, _ := io.ReadAll(resp.Body)
		// A client of ACS reads both.
		got, err := acs.ParseTokenResponse(body)
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "no-store" || got.ExpiresIn.Hours() != 24 {
			t.Fatalf("%d %s: %v", resp.StatusCode, body, err)
		}
		if d := cmp.Diff(want, kinds(t, body)); d != "" {
			t.Errorf("v%d: %s", v, d)
		}
	}
	for _, tt := range []struct {
		name, target, body string
		contentType        string // "": a form
		status             int
		code               string
	}{
		{"bad signature", at(oidc.V1), with(func(r *oidc.TokenRequest) {
			r.ClientAssertion = r.ClientAssertion[:len(r.ClientAssertion)-8] + "AAAAAAAA"
		}), "", 401, "invalid_client"},
		{"unknown resource", at(oidc.V2), with(func(r *oidc.TokenRequest) { r.Scope = "https://evil.test/.default" }), "", 400, "invalid_resource"},
		{"resource at v2", at(oidc.V2), with(func(r *oidc.TokenRequest) { r.Scope = "" }), "", 400, "invalid_request"},
		{"common", login + oidc.V1.TokenPath("common"), good.Encode(), "", 400, "invalid_request"},
		{"empty", at(oidc.V1), "", "", 400, "invalid_request"},
		{"a secret", at(oidc.V1), with(func(r *oidc.TokenRequest) { r.ClientAssertion, r.ClientAssertionType = "", "" }) + "&client_secret=hunter2", "", 401, "invalid_client"},
		{"twice", at(oidc.V1), good.Encode() + "&client_id=x", "", 400, "invalid_request"},
		{"in the URL", at(oidc.V1) + "?" + good.Encode(), "", "", 400, "invalid_request"},
		{"JSON", at(oidc.V1), "{}", "application/json", 400, "invalid_request"},
		{"too large", at(oidc.V1), "x=" + strings.Repeat("a", 70<<10), "", 413, "invalid_request"},
		{"an assertion that is too long", at(oidc.V1), with(func(r *oidc.TokenRequest) { r.ClientAssertion = strings.Repeat("a", 17<<10) }), "", 400, "invalid_request"},
		{"at the host of ACS", "https://" + host + oidc.V1.TokenPath(tenant), good.Encode(), "", 404, ""},
		{"ACS at a login host", login + "/" + tenant + "/tokens/oauth/2", form(good.ClientAssertion), "", 404, ""},
		{"an assertion for Entra at ACS", "https://" + host + "/" + tenant + "/tokens/oauth/2", form(good.ClientAssertion), "", 401, "invalid_client"},
		{"another host", "https://mail.contoso.com" + oidc.V1.TokenPath(tenant), good.Encode(), "", 404, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := do(t, h, "POST", tt.target, tt.body, func(r *http.Request) {
				if tt.contentType != "" {
					r.Header.Set("Content-Type", tt.contentType)
				}
			})
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("status %d, %v: %s", resp.StatusCode, resp.Header, body)
			}
			if tt.code == "" {
				return
			}
			e, err := acs.ParseError(resp.StatusCode, body)
			if err != nil || e.Code != tt.code || !strings.HasPrefix(e.Description, "AADSTS") {
				t.Errorf("%s: %v", body, err)
			}
			if strings.Contains(string(body), url.QueryEscape(good.ClientAssertion[20:60])) || strings.Contains(string(body), "hunter2") {
				t.Error("a secret is in the answer")
			}
		})
	}
	if resp := do(t, h, "GET", at(oidc.V1), "", nil); resp.StatusCode != 405 {
		t.Errorf("GET: status %d", resp.StatusCode)
	}
}

// transport hands requests to a server in this process.
type transport struct{ http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	t.ServeHTTP(w, r)
	return w.Result(), nil
}

// A library of others finds the keys by the documents and takes tokens of both
// versions.
func TestAnotherLibraryTakesTheTokens(t *testing.T) {
	h, sign := newAuthority(t)
	ctx := gooidc.ClientContext(t.Context(), &http.Client{Transport: transport{h}})
	for _, tt := range []struct {
		version                    oidc.Version
		discovery, issuer          string
		resource, audience, answer string
	}{
		{oidc.V1, login + "/" + tenant, "https://sts.chinacloudapi.cn/" + tenant + "/", "https://partner.outlook.cn", "https://partner.outlook.cn", "1.0"},
		{oidc.V2, login + "/" + tenant + "/v2.0", login + "/" + tenant + "/v2.0", "https://rooms.contoso.com", roomsID, "2.0"},
	} {
		provider, err := gooidc.NewProvider(gooidc.InsecureIssuerURLContext(ctx, tt.issuer), tt.discovery)
		if err != nil {
			t.Fatal(err)
		}
		var w jose.Writer
		w.Text("aud", provider.Endpoint().TokenURL).Text("iss", directory.ExchangeAppID).Text("sub", directory.ExchangeAppID).Number("nbf", 1768464000).Number("exp", 1768464300)
		resp := do(t, h, "POST", provider.Endpoint().TokenURL, oidc.TokenRequest{GrantType: oidc.GrantClientCredentials, ClientID: directory.ExchangeAppID,
			ClientAssertionType: oidc.AssertionTypeJWT, ClientAssertion: sign(&w), Resource: tt.resource, Scope: tt.resource + oidc.DefaultScope}.Encode(), nil)
		body, _ := io.ReadAll(resp.Body)
		got, err := acs.ParseTokenResponse(body)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		now := func() time.Time { return start }
		token, err := provider.VerifierContext(ctx, &gooidc.Config{ClientID: tt.audience, Now: now}).Verify(ctx, got.AccessToken)
		if err != nil {
			t.Fatalf("v%d: %v", tt.version, err)
		}
		var claims struct{ Tid, Ver string }
		if err := token.Claims(&claims); err != nil || claims.Tid != tenant || claims.Ver != tt.answer || token.Subject != "o" {
			t.Errorf("v%d: %+v, %+v, %v", tt.version, claims, token, err)
		}
		if _, err := provider.VerifierContext(ctx, &gooidc.Config{ClientID: "https://evil.test", Now: now}).Verify(ctx, got.AccessToken); err == nil {
			t.Errorf("v%d: taken for another audience", tt.version)
		}
	}
}

// kinds are the members of a JSON object in order, each with its type.
func kinds(t *testing.T, body []byte) (list []string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(body)))
	for name := ""; ; {
		v, err := d.Token()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		switch v := v.(type) {
		case json.Delim:
		case string:
			if name == "" {
				name = v
				continue
			}
			list, name = append(list, name+":string"), ""
		case float64:
			list, name = append(list, name+":number"), ""
		}
	}
}
