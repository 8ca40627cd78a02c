package app

import (
	"bytes"
	"context"
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
	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// A keyWorld is a deployment whose clock the test moves and whose log it reads.
type keyWorld struct {
	*Deployment
	t        *testing.T
	now      time.Time
	log      bytes.Buffer
	registry *prometheus.Registry
}

const keyDay = 24 * time.Hour

func newKeyWorld(t *testing.T, roles ...string) *keyWorld {
	t.Helper()
	w := &keyWorld{t: t, now: time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC), registry: prometheus.NewRegistry()}
	d, err := Open(t.Context(), Settings{
		StorePath: filepath.Join(t.TempDir(), "a.db"), SealKey: make([]byte, 32), Roles: roles, Now: func() time.Time { return w.now },
		Log: slog.New(slog.NewJSONHandler(&w.log, nil)), Registerer: w.registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	w.Deployment = d
	return w
}

// A node may have both roles: their routes do not collide. No organization is at
// the host, and no realm is there.
func TestBothRoles(t *testing.T) {
	w := newKeyWorld(t, RoleOrganization, RoleAuthority)
	for path, want := range map[string]int{"/ews/exchange.asmx": http.StatusMisdirectedRequest, "/nobody.example/metadata/json/1": http.StatusNotFound} {
		resp := httptest.NewRecorder()
		w.Handler().ServeHTTP(resp, httptest.NewRequest(http.MethodGet, "https://mail.contoso.com"+path, nil))
		if resp.Code != want {
			t.Errorf("%s: status %d, want %d", path, resp.Code, want)
		}
	}
}

// check looks after the keys, and returns the lines of the log that say so.
func (w *keyWorld) check() (lines []string) {
	w.t.Helper()
	w.log.Reset()
	if err := w.CheckKeys(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(w.log.String()) {
		var l struct{ Level, Msg, Use string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			w.t.Fatal(err)
		}
		lines = append(lines, strings.TrimSpace(l.Level+" "+l.Msg+" "+l.Use))
	}
	return lines
}

func (w *keyWorld) certificate(until time.Time) directory.Certificate {
	w.t.Helper()
	c, err := trust.NewSigningCertificate(trust.ExchangeCertificateSubject, w.now, until)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// organization makes one that signs with a certificate of the given life, and has
// a next one from effective on.
func (w *keyWorld) organization(life, effective time.Duration) directory.OrgID {
	w.t.Helper()
	res, err := w.Admin.NewOrganization(w.t.Context(), setupActor, admin.OrganizationParams{Name: "Contoso", Domain: "contoso.com"})
	if err != nil {
		w.t.Fatal(err)
	}
	current, next := w.certificate(w.now.Add(life)), w.certificate(w.now.AddDate(5, 0, 0))
	at := w.now.Add(effective)
	w.change(res.Object.ID, func(o *directory.Organization) {
		o.Certificates = []directory.Certificate{current, next}
		o.AuthConfig.CurrentCertificateThumbprint = current.Thumbprint
		if effective > 0 {
			o.AuthConfig.NextCertificateThumbprint, o.AuthConfig.NextCertificateEffectiveDate = next.Thumbprint, &at
		}
	})
	return res.Object.ID
}

func (w *keyWorld) change(id directory.OrgID, fn func(*directory.Organization)) {
	w.t.Helper()
	if _, err := w.Store.UpdateOrganization(w.t.Context(), id, func(o *directory.Organization) error { fn(o); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

// signs reports which of the two certificates the organization signs with.
func (w *keyWorld) signs(id directory.OrgID) string {
	w.t.Helper()
	o, err := w.Store.Organization(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, name := range []string{"first", "second"} {
		if o.Certificates[i].Thumbprint == o.AuthConfig.CurrentCertificateThumbprint {
			return name
		}
	}
	return "none"
}

// authServer is one that nobody answers for.
func authServer(n int, key directory.Certificate) directory.AuthServer {
	return directory.AuthServer{
		Common: directory.Common{Name: fmt.Sprint("ACS", n), GUID: fmt.Sprintf("a1b2c3d4-0001-4000-8000-%012d", n)}, Type: directory.AuthServerACS, Enabled: true,
		IssuerIdentifier: "00000001-0002-0000-c000-000000000000", Realm: fmt.Sprintf("4d2c1b0a-9f8e-4d7c-8b6a-%012d", n),
		TokenIssuingEndpoint: "https://127.0.0.1:1/tokens/OAuth/2", CertificateStrings: []string{base64.StdEncoding.EncodeToString(key.DER)},
	}
}

func TestExpiryIsToldOnceADay(t *testing.T) {
	w := newKeyWorld(t, RoleOrganization)
	w.organization(61*keyDay, 0)
	for _, c := range []struct {
		after time.Duration // since the check before
		want  []string
	}{
		{0, nil},
		{keyDay, []string{"WARN a key ends current certificate"}},
		{time.Minute, nil},
		{2 * time.Hour, nil},
		{20 * time.Hour, nil},
		{2 * time.Hour, []string{"WARN a key ends current certificate"}},
		{29 * keyDay, []string{"WARN a key ends current certificate"}},
		{23 * keyDay, []string{"ERROR a key ends current certificate"}},
		{time.Hour, nil},
		{7 * keyDay, []string{"ERROR a key ends current certificate"}}, // it has expired
		{keyDay, []string{"ERROR a key ends current certificate"}},
	} {
		w.now = w.now.Add(c.after)
		if d := cmp.Diff(c.want, w.check()); d != "" {
			t.Errorf("at %s: %s", w.now.Format(time.DateOnly), d)
		}
	}
	if s := w.log.String(); !strings.Contains(s, `"do":"make a new one with New-ExchangeCertificate`) || !strings.Contains(s, `"daysLeft":-`) {
		t.Errorf("the log does not say what to do: %s", s)
	}
}

func TestDaysLeftAreMeasured(t *testing.T) {
	w := newKeyWorld(t, RoleOrganization)
	org := w.organization(61*keyDay, 30*keyDay)
	w.change(org, func(o *directory.Organization) { // of two the first to end counts, and nobody misses a previous one
		short, long, previous := w.certificate(w.now.Add(5*keyDay)), w.certificate(w.now.Add(9*keyDay)), w.certificate(w.now.Add(keyDay))
		for i, c := range []directory.Certificate{long, short} {
			o.AuthServers = append(o.AuthServers, authServer(i, c))
		}
		o.Certificates = append(o.Certificates, previous)
		o.AuthConfig.PreviousCertificateThumbprint = previous.Thumbprint
	})
	days := func() map[string]float64 {
		t.Helper()
		families, err := w.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() != "busybridge_key_days_left" {
					continue
				}
				labels := map[string]string{}
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				out[labels["owner"]+": "+labels["use"]] = m.GetGauge().GetValue()
			}
		}
		return out
	}
	w.check()
	w.now = w.now.Add(36 * time.Hour) // a scrape does not wait for the next report
	if d := cmp.Diff(map[string]float64{"Contoso: current certificate": 59.5, "Contoso: next certificate": 1826 - 1.5, "Contoso: last key of auth server": 3.5}, days()); d != "" {
		t.Error(d)
	}
}

func TestCertificateTakesOverAtItsDate(t *testing.T) {
	w := newKeyWorld(t, RoleOrganization)
	org := w.organization(400*keyDay, 30*keyDay)
	w.now = w.now.Add(30*keyDay - time.Second)
	if got := w.check(); w.signs(org) != "first" || len(got) != 0 {
		t.Errorf("before its date the %s one signs: %q", w.signs(org), got)
	}
	w.now = w.now.Add(time.Second)
	if got := w.check(); w.signs(org) != "second" || len(got) != 1 {
		t.Errorf("at its date the %s one signs: %q", w.signs(org), got)
	}
	if got := w.check(); len(got) != 0 {
		t.Errorf("afterwards: %q", got)
	}
}

// An authorization server that does not answer, or does not know the next
// certificate, holds the roll-over up as long as the current one serves.
func TestRollOverWaitsForTheOtherSide(t *testing.T) {
	w := newKeyWorld(t, RoleOrganization)
	org := w.organization(40*keyDay, 30*keyDay)
	w.change(org, func(o *directory.Organization) {
		o.AuthServers = []directory.AuthServer{authServer(0, w.certificate(w.now.AddDate(5, 0, 0)))}
	})
	const waits = "WARN roll-over waits: the authorization server does not know the next certificate; run Test-AuthCertificatePublication and the command that it shows"
	w.now = w.now.Add(30 * keyDay)
	if got := w.check(); w.signs(org) != "first" || len(got) != 1 || got[0] != waits {
		t.Errorf("at its date the %s one signs: %q", w.signs(org), got)
	}
	w.now = w.now.Add(time.Minute)
	if got := w.check(); len(got) != 0 {
		t.Errorf("a minute later it asks again: %q", got)
	}
	w.now = w.now.Add(10 * time.Minute)
	if got := w.check(); w.signs(org) != "first" || len(got) != 1 {
		t.Errorf("ten minutes later the %s one signs: %q", w.signs(org), got)
	}
	w.now = w.now.Add(10 * keyDay) // the current one has expired: waiting helps nobody
	if w.check(); w.signs(org) != "second" {
		t.Errorf("after the end of the first one the %s one signs", w.signs(org))
	}
}

func TestAuthorityRollsOverByItself(t *testing.T) {
	w := newKeyWorld(t, RoleAuthority)
	if got := w.check(); len(got) != 0 {
		t.Errorf("without a configuration: %q", got)
	}
	first := w.certificate(w.now.Add(100 * keyDay))
	if _, err := w.Admin.SetAuthorityConfig(t.Context(), setupActor, &directory.AuthorityConfig{
		Cloud: directory.Clouds["21vianet"], Certificates: []directory.Certificate{first}, TokenLifetime: keyDay,
	}); err != nil {
		t.Fatal(err)
	}
	config := func() *directory.AuthorityConfig {
		t.Helper()
		a, err := w.Store.AuthorityConfig(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, c := range []struct {
		after     time.Duration
		published int
		first     bool // the first one signs
	}{{0, 1, true}, {39 * keyDay, 1, true}, {keyDay, 2, true}, {30*keyDay - time.Second, 2, true}, {time.Second, 2, false}, {2*keyDay - time.Second, 2, false}, {time.Second, 1, false}} {
		w.now = w.now.Add(c.after)
		w.check()
		a := config()
		if len(a.Certificates) != c.published || (a.Certificates[0].Thumbprint == first.Thumbprint) != c.first {
			t.Errorf("at %s: %d published, the first one signs: %v; want %d, %v", w.now, len(a.Certificates), !c.first, c.published, c.first)
		}
	}
	if got := w.check(); len(got) != 0 {
		t.Errorf("afterwards: %q", got)
	}
}
