package app_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/app"
	"busybridge/internal/directory"
)

// present sends a bearer token to a handler, over a connection that was made for
// the host, and returns the answer's request id.
func present(t *testing.T, h http.Handler, host, token string) string {
	t.Helper()
	return presentOver(t, h, host, host, token)
}

func presentOver(t *testing.T, h http.Handler, connected, host, token string) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+host+"/ews/exchange.asmx", strings.NewReader(""))
	r.Header.Set("Authorization", "Bearer "+token)
	r.TLS = &tls.ConnectionState{ServerName: connected}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized || w.Header().Get("x-ms-diagnostics") == "" {
		t.Fatalf("status %d, diagnostics %q", w.Code, w.Header().Get("x-ms-diagnostics"))
	}
	return w.Header().Get("request-id")
}

// signed is a token with the claims and a signature of nobody's.
func signed(header, claims string) string {
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims)) + "." + enc.EncodeToString(bytes.Repeat([]byte{0xa5}, 256))
}

// counters are the values of a registry's counters, by name and label.
func counters(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]float64{}
	for _, f := range families {
		for _, x := range f.GetMetric() {
			name := f.GetName()
			for _, l := range x.GetLabel() {
				name += " " + l.GetValue()
			}
			if c := x.GetCounter(); c != nil && c.GetValue() > 0 {
				m[name] = c.GetValue()
			}
		}
	}
	return m
}

// Each refused token has one record and is counted; a flood of them fills
// neither the store nor hides another kind; and no log and no record has a token.
func TestRefusedTokensAreRecordedAndBounded(t *testing.T) {
	var log bytes.Buffer
	reg, now := prometheus.NewRegistry(), time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)
	set := app.Settings{
		StorePath: filepath.Join(t.TempDir(), "a.db"), SealKey: make([]byte, 32), Roles: []string{app.RoleOrganization}, Now: func() time.Time { return now },
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Registerer: reg,
	}
	d, err := app.Open(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	org, err := d.Admin.NewOrganization(t.Context(), operator, admin.OrganizationParams{Name: "Contoso", Domain: contoso})
	if err != nil {
		t.Fatal(err)
	}
	url := "https://" + mailHost + "/ews/exchange.asmx"
	if _, err := d.Admin.NewServer(t.Context(), operator, org.Object.ID, directory.Server{Common: directory.Common{Name: "MAIL"}, HostNames: []string{mailHost},
		AdminDisplayVersion: directory.OAuthVersion, InternalURL: url, ExternalURL: url, OAuthAuthentication: true}); err != nil {
		t.Fatal(err)
	}
	const key = "ABXvwUWlLTv0cpOEoJWYdcSDnhA"
	stranger := signed(`{"typ":"JWT","alg":"RS256","x5t":"`+key+`"}`, `{"iss":"x@y","aud":"a/b@c","nameid":"n@m","nbf":1,"exp":2}`)
	ids := []string{present(t, d.Handler(), mailHost, "garbage"), present(t, d.Handler(), mailHost, stranger), present(t, d.Handler(), mailHost, stranger)}
	list, err := d.RefusedTokens(t.Context(), org.Object.ID, now.Add(-time.Hour), 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 3 {
		t.Fatalf("%d records for 3 refused tokens: %v", len(list), list)
	}
	for i, want := range []string{ // the newest first
		`{"step":5,"id":2000009,"category":"invalid_issuer","claim":"iss","keyId":"` + key + `","alg":"RS256","iss":"x@y","aud":"a/b@c","nameid":"n@m","verified":false}`,
		`{"step":5,"id":2000009,"category":"invalid_issuer","claim":"iss","keyId":"` + key + `","alg":"RS256","iss":"x@y","aud":"a/b@c","nameid":"n@m","verified":false}`,
		`{"step":1,"id":2000001,"category":"invalid_token","verified":false}`,
	} {
		r := list[i]
		if diff := cmp.Diff(want, string(r.Details)); diff != "" {
			t.Error(diff)
		}
		if r.Host != mailHost || r.RequestID != ids[2-i] || !r.At.Equal(now) || r.Caller != "" {
			t.Errorf("%+v, want request %s", r, ids[2-i])
		}
	}
	const flood = 500
	for range flood {
		present(t, d.Handler(), mailHost, "garbage")
	}
	present(t, d.Handler(), mailHost, stranger)
	presentOver(t, d.Handler(), "other.contoso.com", mailHost, stranger) // refused before the validator sees it
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"busybridge_tokens_refused_total invalid_token": flood + 1, "busybridge_tokens_refused_total invalid_issuer": 3, "busybridge_tokens_refused_total invalid_resource": 1, "busybridge_refusals_unlisted_total": flood + 1 - 100}
	got := counters(t, reg)
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s is %v, want %v", name, got[name], n)
		}
	}
	set.Registerer = nil
	if d, err = app.Open(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if list, err = d.RefusedTokens(t.Context(), org.Object.ID, now.Add(-time.Hour), 0); err != nil {
		t.Fatal(err)
	}
	single, counted := map[int]int{}, 0
	for _, r := range list {
		var details struct{ Step, Count int }
		if err := json.Unmarshal(r.Details, &details); err != nil {
			t.Fatal(err)
		}
		if counted += details.Count; details.Count == 0 {
			single[details.Step]++
		}
	}
	if single[1] != 100 || single[5] != 3 || single[10] != 1 || counted != flood+1-100 {
		t.Errorf("records by step %v, %d counted", single, counted)
	}
	records := fmt.Sprint(list)
	// Where two organizations share the host, it is nobody's.
	tenant := admin.OrganizationParams{Name: "Litware", Domain: "litware.com"}
	other, err := d.Admin.NewOrganization(t.Context(), operator, tenant)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Store.UpdateOrganization(t.Context(), other.Object.ID, func(o *directory.Organization) error {
		o.Servers = append(o.Servers, directory.Server{Common: directory.Common{Name: "MAIL"}, HostNames: []string{mailHost}, AdminDisplayVersion: directory.OAuthVersion, OAuthAuthentication: true})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	present(t, d.Handler(), mailHost, stranger)
	if list, err = d.RefusedTokens(t.Context(), other.Object.ID, now.Add(-time.Hour), 1); err != nil || len(list) != 1 || !list[0].Unknown {
		t.Errorf("%+v, %v", list, err)
	}
	for _, secret := range []string{"garbage", stranger, strings.Split(stranger, ".")[2][:24], "eyJ0eXAi"} {
		if strings.Contains(log.String(), secret) || strings.Contains(records, secret) {
			t.Errorf("%.20q is in a log or a record", secret)
		}
	}
}

// A token that was really sent is explained against the organization that got
// it, as its server judged; explaining it is no refusal.
func TestExplainTokenThatWasSent(t *testing.T) {
	h := newHybrid(t)
	var token string
	capture := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " "); scheme == "Bearer" && rest != "" {
			token = rest
		}
		h.online.Handler().ServeHTTP(w, r)
	})
	h.online.instead.Store(&capture)
	ask := exchangecmd.OAuthTest{Service: "EWS", TargetURI: "https://" + vianet.EWSHost + "/ews/exchange.asmx", Mailbox: h.mailbox(h.onprem, alice)}
	if rep := h.test(h.onprem, ask); token == "" {
		t.Fatalf("no token was sent: %+v", rep)
	}
	question := func() app.TokenQuestion { return app.TokenQuestion{Token: token, Org: h.online.organization(t)} }
	refused := func() []app.RefusedToken {
		list, err := h.online.RefusedTokens(t.Context(), h.online.org, time.Time{}, 0)
		h.must(err)
		return list
	}
	x, err := h.online.ExplainToken(t.Context(), question())
	h.must(err)
	if !x.Accepted || x.Host != vianet.EWSHost || len(refused()) != 0 {
		t.Fatalf("%+v, refused %v", x, refused())
	}
	q := question()
	q.At = time.Now().Add(72 * time.Hour)
	if x, err = h.online.ExplainToken(t.Context(), q); err != nil || x.Refusal == nil || x.Refusal.Step != 8 {
		t.Errorf("in three days: %+v, %v", x, err)
	}
	q = question()
	q.Host = "MAIL.elsewhere.test"
	if x, err = h.online.ExplainToken(t.Context(), q); err != nil || x.Refusal == nil || x.Refusal.Step != 10 {
		t.Errorf("at a host of nobody: %+v, %v", x, err)
	}
	// Against the other organization the token is for a host that is not its own.
	q = question()
	q.Org = h.onprem.organization(t)
	if x, err = h.onprem.ExplainToken(t.Context(), q); err != nil || x.Host != mailHost || x.Refusal == nil || x.Refusal.Step != 10 {
		t.Errorf("against the sender: %+v, %v", x, err)
	}
	h.changeOrg(h.online, func(o *directory.Organization) { o.PartnerApplications[0].Enabled = false })
	if x, err = h.online.ExplainToken(t.Context(), question()); err != nil || x.Refusal == nil || x.Refusal.Step != 15 {
		t.Errorf("partner disabled: %+v, %v", x, err)
	}
	if list := refused(); len(list) != 0 {
		t.Errorf("to explain is recorded as a refusal: %v", list)
	}
	h.test(h.onprem, ask)
	list := refused()
	if len(list) == 0 || list[0].Caller != directory.ExchangeAppID+"@"+h.realm || !strings.Contains(string(list[0].Details), `"step":15`) {
		t.Errorf("refused in earnest: %v", list)
	}
}
