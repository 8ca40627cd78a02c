package trust_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/oidc"
	"busybridge/internal/trust"
)

const day = 24 * time.Hour

// rolling is an organization whose next certificate is "partner", from at on.
func rolling(current, next string, at time.Time) *directory.Organization {
	o := onpremises()
	o.Certificates = []directory.Certificate{certKey(current).cert, certKey(next).cert}
	o.AuthConfig.CurrentCertificateThumbprint = certKey(current).cert.Thumbprint
	o.AuthConfig.NextCertificateThumbprint, o.AuthConfig.NextCertificateEffectiveDate = certKey(next).cert.Thumbprint, &at
	return o
}

func TestNextDue(t *testing.T) {
	at := start.Add(10 * day)
	for _, c := range []struct {
		name   string
		org    *directory.Organization
		now    time.Time
		due    bool
		change func(*directory.Organization)
	}{
		{"before its date", rolling("org", "partner", at), at.Add(-time.Second), false, nil},
		{"at its date", rolling("org", "partner", at), at, true, nil},
		{"without a next certificate", onpremises(), at, false, nil},
		{"before its date, when the current one has expired", rolling("short", "partner", at), start.Add(3 * day), true, nil},
		{"at its date, when it has expired itself", rolling("org", "short", at), at, false, nil},
		{"before its date, when there is no current one", rolling("org", "partner", at), start, true, func(o *directory.Organization) { o.AuthConfig.CurrentCertificateThumbprint = "" }},
		{"before its date, when the current one has no key", rolling("org", "partner", at), start, true, func(o *directory.Organization) { o.Certificates[0].Key = nil }},
	} {
		if c.change != nil {
			c.change(c.org)
		}
		if got := trust.NextDue(c.org, c.now); got != c.due {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

func TestPromoteNext(t *testing.T) {
	o := rolling("org", "partner", start)
	if err := trust.PromoteNext(o); err != nil {
		t.Fatal(err)
	}
	want := directory.AuthConfig{ServiceName: exchange, CurrentCertificateThumbprint: certKey("partner").cert.Thumbprint, PreviousCertificateThumbprint: certKey("org").cert.Thumbprint}
	if d := cmp.Diff(want, o.AuthConfig); d != "" {
		t.Error(d)
	}
	if err := trust.PromoteNext(o); !errors.Is(err, trust.ErrNoNext) {
		t.Errorf("twice: %v", err)
	}
	// Its key is another certificate's: what it signs does not verify.
	o = rolling("org", "partner", start)
	o.Certificates[1].Key = certKey("as").cert.Key
	if err := trust.PromoteNext(o); !errors.Is(err, trust.ErrNoCertificate) || o.AuthConfig.CurrentCertificateThumbprint != certKey("org").cert.Thumbprint {
		t.Errorf("a certificate became current with the key of another one (%v)", err)
	}
}

// steps is the story of an authorization server's certificates: which one signs,
// which are published.
func steps(a *directory.AuthorityConfig) (out []string) {
	for i := range a.Certificates {
		c := &a.Certificates[i]
		for _, name := range []string{"as", "org", "partner", "short"} {
			if certKey(name).cert.Thumbprint == c.Thumbprint {
				switch {
				case c.EffectiveAt != nil:
					name += " next"
				case c.RetiredAt != nil:
					name += " retired"
				}
				out = append(out, name)
			}
		}
	}
	return out
}

func TestSigningCertificatesOverlap(t *testing.T) {
	a := &directory.AuthorityConfig{Cloud: directory.Clouds["21vianet"], Certificates: []directory.Certificate{certKey("as").cert}, TokenLifetime: day}
	do := func(name string, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, steps(a)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if err := a.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	now := start
	do("staged", trust.StageSigning(a, certKey("org").cert, now.Add(2*day)), "as", "org next")
	if trust.SigningDue(a, now.Add(2*day-time.Second)) || !trust.SigningDue(a, now.Add(2*day)) {
		t.Error("the next certificate is due at another time than its date")
	}
	do("staged again", trust.StageSigning(a, certKey("partner").cert, now.Add(3*day)), "as", "partner next")
	now = now.Add(3 * day)
	do("promoted", trust.PromoteSigning(a, now), "partner", "as retired")
	do("the next round within a day", trust.StageSigning(a, certKey("org").cert, now), "partner", "as retired", "org next")
	do("promoted again", trust.PromoteSigning(a, now.Add(time.Hour)), "org", "partner retired", "as retired")
	// Tokens of a retired certificate live a day, and a day is for clocks and caches.
	if trust.DropRetired(a, now.Add(2*day-time.Second)) {
		t.Error("a certificate went while its tokens may be valid")
	}
	do("the first is dropped", dropped(a, now.Add(2*day)), "org", "partner retired")
	do("and the second", dropped(a, now.Add(2*day+time.Hour)), "org")
	if err := trust.PromoteSigning(a, now); !errors.Is(err, trust.ErrNoNext) {
		t.Errorf("promoted without a next one: %v", err)
	}

	// What cannot sign is not taken.
	broken := certKey("partner").cert
	broken.Key = certKey("as").cert.Key
	if err := trust.StageSigning(a, broken, now); !errors.Is(err, trust.ErrNoCertificate) {
		t.Errorf("staged with the key of another certificate: %v", err)
	}
	do("staged one that expires", trust.StageSigning(a, certKey("short").cert, now.Add(5*day)), "org", "short next")
	if err := trust.PromoteSigning(a, start.Add(10*day)); !errors.Is(err, trust.ErrNoCertificate) || trust.SigningDue(a, start.Add(10*day)) {
		t.Errorf("an expired certificate is to sign: %v", err)
	}

	// A certificate that no roll-over retired stays until it expires.
	a.Certificates = []directory.Certificate{certKey("as").cert, certKey("short").cert}
	if trust.DropRetired(a, start) {
		t.Error("a certificate went that may be in use")
	}
	do("expired", dropped(a, start.Add(3*day)), "as")
}

func dropped(a *directory.AuthorityConfig, now time.Time) error {
	if !trust.DropRetired(a, now) {
		return errors.New("nothing was dropped")
	}
	return nil
}

func TestNextSigningDate(t *testing.T) {
	end := endOf(t, certKey("as").cert)
	for _, c := range []struct{ left, ahead time.Duration }{ // ahead < 0: not yet
		{400 * day, -1}, {60*day + time.Second, -1}, {60 * day, 30 * day}, {32 * day, 30 * day},
		{32*day - time.Second, 4 * day}, {6 * day, 4 * day}, {5 * day, 2 * day}, {3 * day, 2 * day}, {day, 0}, {-day, 0},
	} {
		a := &directory.AuthorityConfig{Certificates: []directory.Certificate{certKey("as").cert}}
		now := end.Add(-c.left)
		at, ok := trust.NextSigningDate(a, now)
		if ok != (c.ahead >= 0) || ok && !at.Equal(now.Add(c.ahead)) {
			t.Errorf("with %v left: %v ahead, %v; want %v", c.left, at.Sub(now), ok, c.ahead)
		}
		a.Certificates = append(a.Certificates, certKey("org").cert)
		a.Certificates[1].EffectiveAt = &start
		if _, ok := trust.NextSigningDate(a, now); ok {
			t.Errorf("with %v left: another one, although the next is there", c.left)
		}
	}
}

func endOf(t *testing.T, c directory.Certificate) time.Time {
	t.Helper()
	o := onpremises()
	o.Certificates[0], o.AuthConfig.CurrentCertificateThumbprint = c, c.Thumbprint
	return trust.OrganizationKeys(o)[0].Ends
}

func TestKeyWarnings(t *testing.T) {
	ends := start
	for _, c := range []struct {
		left  time.Duration
		stage int // -1: silent
		days  int
	}{
		{61 * day, -1, 61}, {60*day + time.Second, -1, 60}, {60 * day, 60, 60}, {31 * day, 60, 31}, {30 * day, 30, 30}, {8 * day, 30, 8},
		{7 * day, 7, 7}, {time.Second, 7, 0}, {0, 0, 0}, {-time.Second, 0, -1}, {-day, 0, -1}, {-400 * day, 0, -400},
	} {
		u := trust.KeyUse{Use: trust.KeyCurrent, Key: "K", Ends: ends}
		now := ends.Add(-c.left)
		stage, ok := u.Stage(now)
		if ok != (c.stage >= 0) || ok && stage != c.stage || u.DaysLeft(now) != c.days || (u.Warning(now) != "") != ok {
			t.Errorf("%v left: stage %d %v, %d days, %q; want %d, %d days", c.left, stage, ok, u.DaysLeft(now), u.Warning(now), c.stage, c.days)
		}
		u.Replaced = true
		if w := u.Warning(now); w != "" {
			t.Errorf("%v left, and the next one ready: %s", c.left, w)
		}
	}
	silent := trust.KeyUse{Use: trust.KeyPrevious, Ends: ends}
	if w := silent.Warning(ends); w != "" {
		t.Errorf("previous: %s", w)
	}
	credential := trust.KeyUse{Use: trust.KeyCredential, Holder: "Exchange", Key: "K", Ends: ends}
	if credential.Warning(ends.Add(-day)) == "" || credential.Warning(ends) != "" {
		t.Error("a credential is to be warned of before its end and not afterwards")
	}
	got := trust.KeyUse{Use: trust.KeyAuthServer, Holder: "ACS", Key: "K", Ends: ends}.Warning(ends.Add(-7 * day))
	want := `the last key of auth server "ACS" (K) expires at 2026-01-15T08:00:00Z, in 7 days: run Set-AuthServer "ACS" -RefreshAuthMetadata; if its document has no newer key, ask its operator`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestKeysOfOrganizationAuthorityAndRealm(t *testing.T) {
	name := func(u trust.KeyUse) string {
		s := fmt.Sprintf("%s: %s %q", u.Owner, u.Use, u.Holder)
		for _, k := range []string{"as", "org", "partner", "short"} {
			if certKey(k).cert.Thumbprint == u.Key {
				s += " " + k
			}
		}
		if u.Replaced {
			s += " replaced"
		}
		return s
	}
	list := func(uses []trust.KeyUse) (out []string) {
		for _, u := range uses {
			out = append(out, name(u))
		}
		return out
	}
	o := rolling("short", "org", start.Add(day))
	o.AuthConfig.PreviousCertificateThumbprint = certKey("partner").cert.Thumbprint
	o.Certificates = append(o.Certificates, certKey("partner").cert)
	o.AuthServers[0].CertificateStrings = []string{certKey("short").base64(), certKey("as").base64(), "no base64"}
	o.AuthServers = append(o.AuthServers, directory.AuthServer{CertificateStrings: []string{certKey("as").base64()}}) // disabled
	if d := cmp.Diff([]string{
		`contoso: current certificate "" short replaced`, `contoso: next certificate "" org`, `contoso: previous certificate "" partner`,
		`contoso: last key of auth server "MicrosoftAzureACS" as`, `contoso: last key of partner application "Fabrikam" partner`,
	}, list(trust.OrganizationKeys(o))); d != "" {
		t.Error(d)
	}
	// The date of the next one is too late for the current one.
	if late := trust.OrganizationKeys(rolling("short", "org", start.Add(3*day))); late[0].Replaced {
		t.Error("a certificate that ends before the next one begins is not replaced")
	}

	a := &directory.AuthorityConfig{Cloud: directory.Clouds["21vianet"], Certificates: []directory.Certificate{certKey("short").cert, certKey("org").cert, certKey("as").cert}}
	at := start.Add(day)
	a.Certificates[2].EffectiveAt = &at
	if d := cmp.Diff([]string{
		`21vianet: signing certificate of the authorization server "" short replaced`, `21vianet: next signing certificate of the authorization server "" as`,
	}, list(trust.AuthorityKeys(a))); d != "" {
		t.Error(d)
	}
	r := &directory.Realm{Name: "contoso", Principals: []directory.ServicePrincipal{{DisplayName: "Exchange", KeyCredentials: []directory.KeyCredential{{KeyID: "K1", EndDate: at}}}}}
	if d := cmp.Diff([]trust.KeyUse{{Owner: "contoso", Use: trust.KeyCredential, Holder: "Exchange", Key: "K1", Ends: at}}, trust.RealmKeys(r)); d != "" {
		t.Error(d)
	}
}

// An answering endpoint gives one answer to every request for a token.
type answering struct {
	err   error
	asked []acs.TokenRequest
}

func (a *answering) RequestToken(_ context.Context, _ string, req acs.TokenRequest) (*acs.TokenResponse, error) {
	a.asked = append(a.asked, req)
	return nil, a.err
}

func (a *answering) RequestApplicationToken(context.Context, string, oidc.TokenRequest) (*acs.TokenResponse, error) {
	return nil, a.err
}

func TestPublished(t *testing.T) {
	for _, c := range []struct {
		name         string
		err          error
		known, asked bool
	}{
		{"the resource is unknown, so the key is known", &acs.Error{Status: 400, Code: "invalid_resource", Codes: []int{500011}}, true, true},
		{"the key is unknown", &acs.Error{Status: 401, Code: "invalid_client", Codes: []int{70002, 50012}}, false, true},
		{"the application is unknown", &acs.Error{Status: 400, Code: "unauthorized_client", Codes: []int{700016}}, false, true},
		{"the tenant is unknown", &acs.Error{Status: 400, Code: "invalid_request", Codes: []int{90002}}, false, false},
		{"busy", &acs.Error{Status: 503, Code: "temporarily_unavailable"}, false, false},
		{"unreachable", errors.New("connection refused"), false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &answering{err: c.err}
			tokens, err := trust.NewTokens(trust.TokensConfig{Endpoint: e, Now: func() time.Time { return start }, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			o := rolling("org", "partner", start)
			o.Servers[0].ExternalURL = "https://mail.contoso.com/ews/exchange.asmx"
			o.AuthServers = append(o.AuthServers, directory.AuthServer{Common: directory.Common{Name: "off"}, TokenIssuingEndpoint: "https://off.example/"})
			got := tokens.Published(t.Context(), o, o.AuthConfig.NextCertificateThumbprint)
			if len(got) != 1 || got[0].Known != c.known || got[0].Asked != c.asked || got[0].AuthServer != "MicrosoftAzureACS" || (got[0].Err != nil) == c.known {
				t.Fatalf("got %+v, want known %v, asked %v", got, c.known, c.asked)
			}
			if len(e.asked) != 1 || e.asked[0].Resource != exchange+"/mail.contoso.com@"+tenant {
				t.Fatalf("asked for %+v", e.asked)
			}
			first, _, _ := strings.Cut(e.asked[0].Assertion, ".")
			header, err := base64.RawURLEncoding.DecodeString(first)
			if want := fmt.Sprintf(`{"typ":"JWT","alg":"RS256","x5t":%q}`, certKey("partner").x5t()); err != nil || string(header) != want {
				t.Errorf("the assertion is signed by %s, want %s", header, want)
			}
		})
	}
}

func TestTestSignature(t *testing.T) {
	good := certKey("org").cert
	if err := trust.TestSignature(&good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*directory.Certificate){
		"no key":      func(c *directory.Certificate) { c.Key = nil },
		"no PKCS#8":   func(c *directory.Certificate) { c.Key = []byte("secret") },
		"another key": func(c *directory.Certificate) { c.Key = certKey("as").cert.Key },
		"no DER":      func(c *directory.Certificate) { c.DER = []byte("x") },
	} {
		c := good
		change(&c)
		if err := trust.TestSignature(&c); !errors.Is(err, trust.ErrNoCertificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
