package authorityserver_test

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/serve/authorityserver"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/fedmeta"
	"busybridge/internal/spec/jose"
	"busybridge/internal/trust"
)

const (
	tenant = "4d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a"
	host   = "accounts.accesscontrol.chinacloudapi.cn"
	// roomsID is an application that takes tokens of version 2.
	roomsID = "dd02c40f-1325-46c2-a118-4659db8a55d5"
)

var start = time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)

type nothing struct{}

func (nothing) Record(context.Context, audit.Event) error { return nil }

type oneRealm struct{ realm *directory.Realm }

func (o oneRealm) Realm(_ context.Context, name string) (*directory.Realm, error) {
	if name != o.realm.ID && name != o.realm.Domains[0].Name {
		return nil, fmt.Errorf("realm %q: %w", name, directory.ErrNotFound)
	}
	return o.realm, nil
}

// newServer is an authority of contoso.com, and an assertion for ACS.
func newServer(t testing.TB) (http.Handler, string) {
	t.Helper()
	h, sign := newAuthority(t)
	var w jose.Writer
	w.Text("aud", directory.Clouds["21vianet"].ACSPrincipalID+"/"+host+"@"+tenant).Text("iss", directory.ExchangeAppID+"@"+tenant)
	w.Text("nbf", "1768464000").Text("exp", "1768464300")
	return h, sign(&w)
}

// newAuthority is an authority of contoso.com, and how its application signs.
func newAuthority(t testing.TB) (http.Handler, func(*jose.Writer) string) {
	t.Helper()
	certificate := func(name string) directory.Certificate {
		c, err := trust.NewSigningCertificate(name, start, start.Add(24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	as, own := certificate("as"), certificate("own")
	realm := &directory.Realm{ID: tenant, Domains: []directory.VerifiedDomain{{Name: "contoso.com"}}, ServiceHosts: []string{"partner.outlook.cn"},
		Principals: []directory.ServicePrincipal{{ObjectID: "o", AppPrincipalID: directory.ExchangeAppID, AccountEnabled: true,
			ServicePrincipalNames: []string{directory.ExchangeAppID + "/mail.contoso.com", directory.ExchangeAppID + "/partner.outlook.cn"},
			KeyCredentials:        []directory.KeyCredential{{Type: "Asymmetric", Usage: "Verify", Value: own.DER, StartDate: start, EndDate: start.Add(time.Hour)}}}, {ObjectID: "r", AppPrincipalID: roomsID, AccountEnabled: true, ServicePrincipalNames: []string{"https://rooms.contoso.com"}, TokenVersion: 2}}}
	a, err := trust.NewAuthority(trust.AuthorityConfig{Realms: oneRealm{realm}, Audit: nothing{}, Now: func() time.Time { return start },
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Authority: func(context.Context) (*directory.AuthorityConfig, error) {
			return &directory.AuthorityConfig{Cloud: directory.Clouds["21vianet"], Certificates: []directory.Certificate{as}}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := authorityserver.New(authorityserver.Config{Authority: a})
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(own.Key)
	if err != nil {
		t.Fatal(err)
	}
	return mount.New(mount.Config{Routes: s.Routes(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Metrics: mount.NewMetrics(prometheus.NewRegistry()), Now: time.Now, MaxInFlight: 10}), func(w *jose.Writer) string {
			assertion, err := jose.SignRS256(key.(*rsa.PrivateKey), trust.X5T(own.DER), "", w)
			if err != nil {
				t.Fatal(err)
			}
			return assertion
		}
}

func do(t *testing.T, h http.Handler, method, target, body string, change func(*http.Request)) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func form(assertion string) string {
	return acs.TokenRequest{GrantType: acs.GrantJWTBearer, Assertion: assertion, Resource: directory.ExchangeAppID + "/mail.contoso.com@" + tenant}.Encode()
}

func TestMetadata(t *testing.T) {
	h, _ := newServer(t)
	for target, status := range map[string]int{
		"https://" + host + "/" + tenant + "/metadata/json/1":                               200,
		"https://" + host + "/contoso.com/metadata/json/1":                                  200,
		"https://" + host + "/Contoso.COM/Metadata/JSON/1":                                  200,
		"https://" + host + ":443/metadata/json/1?realm=" + tenant:                          200,
		"https://" + host + "/metadata/json/1?realm=contoso.com":                            200,
		"https://login.partner.microsoftonline.cn/contoso.com/metadata/json/1":              404,
		"https://" + host + "/nowhere.test/metadata/json/1":                                 404,
		"https://" + host + "/metadata/json/1":                                              404,
		"https://mail.contoso.com/contoso.com/metadata/json/1":                              404,
		"https://mail.contoso.com/metadata/json/1?realm=contoso.com":                        404,
		"https://" + host + "/contoso.com/metadata/json/2":                                  404,
		"https://" + host + "/" + strings.Repeat("a", 300) + ".contoso.com/metadata/json/1": 404,
	} {
		resp := do(t, h, "GET", target, "", nil)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != status {
			t.Errorf("%s: status %d: %s", target, resp.StatusCode, body)
			continue
		}
		if status != 200 {
			continue
		}
		d, err := acs.ParseDocument(body)
		if err != nil || d.Realm != tenant || len(d.Keys) != 1 || resp.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %+v, %v, %v", target, d, err, resp.Header)
		}
	}
}

func TestFederationMetadata(t *testing.T) {
	h, _ := newServer(t)
	const path, login = "/federationmetadata/2007-06/federationmetadata.xml", "https://login.chinacloudapi.cn"
	for target, status := range map[string]int{
		login + "/contoso.com" + path: 200,
		login + "/" + tenant + "/FederationMetadata/2007-06/FederationMetadata.xml": 200,
		"https://login.partner.microsoftonline.cn/contoso.com" + path:               200,
		login + "/nowhere.test" + path:                                              404,
		"https://" + host + "/contoso.com" + path:                                   404,
		"https://mail.contoso.com/contoso.com" + path:                               404,
		login + "/contoso.com/federationmetadata/2006-12/federationmetadata.xml":    404,
	} {
		resp := do(t, h, "GET", target, "", nil)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != status {
			t.Errorf("%s: status %d: %s", target, resp.StatusCode, body)
			continue
		}
		if status != 200 {
			continue
		}
		d, err := fedmeta.Parse(body)
		if err != nil || d.EntityID != "https://sts.chinacloudapi.cn/"+tenant+"/" || d.Tenant() != tenant || len(d.Certificates) != 1 ||
			resp.Header.Get("Content-Type") != "application/xml; charset=utf-8" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %+v, %v, %v", target, d, err, resp.Header)
		}
	}
}

func TestToken(t *testing.T) {
	h, assertion := newServer(t)
	const id = "af0b9e1c-304d-4cbe-8e59-57cc92c12dc3"
	at := "https://" + host + "/" + tenant + "/tokens/OAuth/2"
	resp := do(t, h, "POST", at, form(assertion), nil)
	body, _ := io.ReadAll(resp.Body)
	got, err := acs.ParseTokenResponse(body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d %s: %v", resp.StatusCode, body, err)
	}
	if got.ExpiresOn.Sub(got.NotBefore) != 86700*time.Second {
		t.Errorf("%+v", got)
	}
	var texts map[string]string
	if err := json.Unmarshal(body, &texts); err != nil {
		t.Errorf("not all values are strings: %v", err)
	}
	header := map[string]string{"Cache-Control": "no-store", "Pragma": "no-cache", "Content-Type": "application/json; charset=utf-8"}
	for name, want := range header {
		if d := cmp.Diff(want, resp.Header.Get(name)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}

	for _, tt := range []struct {
		name, target, body string
		change             func(*http.Request)
		status             int
		code               string
	}{
		{"by domain", "https://" + host + "/contoso.com/tokens/oauth/2", form(assertion), nil, 200, ""},
		{"charset in the content type", at, form(assertion), func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		}, 200, ""},
		{"bad signature", at, form(assertion[:len(assertion)-8] + "AAAAAAAA"), nil, 401, "invalid_client"},
		{"unknown host name", at, strings.Replace(form(assertion), "mail.", "evil.", 1), nil, 400, "invalid_resource"},
		{"empty", at, "", nil, 400, "invalid_request"},
		{"bad grant", at, "grant_type=password", nil, 400, "unsupported_grant_type"},
		{"twice", at, form(assertion) + "&assertion=x", nil, 400, "invalid_request"},
		{"bad escape", at, "grant_type=%zz", nil, 400, "invalid_request"},
		{"in the URL", at + "?" + form(assertion), "", nil, 400, "invalid_request"},
		{"JSON", at, "{}", func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 400, "invalid_request"},
		{"too large", at, "x=" + strings.Repeat("a", 70<<10), nil, 413, "invalid_request"},
		{"unknown tenant", "https://" + host + "/nowhere.test/tokens/oauth/2", form(assertion), nil, 400, "invalid_request"},
		{"another host", "https://mail.contoso.com/" + tenant + "/tokens/oauth/2", form(assertion), nil, 404, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := do(t, h, "POST", tt.target, tt.body, func(r *http.Request) {
				r.Header.Set("client-request-id", id)
				if tt.change != nil {
					tt.change(r)
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
			if e.CorrelationID != id && e.TraceID != "" {
				t.Errorf("correlation id %q", e.CorrelationID)
			}
			if strings.Contains(string(body), url.QueryEscape(assertion[20:60])) {
				t.Error("the assertion is in the answer")
			}
		})
	}
	if resp := do(t, h, "GET", at, "", nil); resp.StatusCode != 405 {
		t.Errorf("GET: status %d", resp.StatusCode)
	}
}
