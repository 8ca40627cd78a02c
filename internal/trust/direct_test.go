package trust_test

import (
	"context"
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
	"busybridge/internal/trust"
)

// fabrikam is the organization that onpremises trusts directly, as it is itself:
// it has no authorization server.
func fabrikam() *directory.Organization {
	o := onpremises()
	o.ID, o.Name = "33333333-3333-4333-8333-333333333333", "fabrikam"
	o.AcceptedDomains = []directory.AcceptedDomain{{DomainName: "fabrikam.com", Default: true}}
	o.AuthConfig.CurrentCertificateThumbprint, o.Certificates = certKey("partner").cert.Thumbprint, []directory.Certificate{certKey("partner").cert}
	o.AuthServers, o.PartnerApplications = nil, nil
	return o
}

// What one side signs itself is accepted by the side that has pinned its key.
func TestDirectTokensAreMintedAndAccepted(t *testing.T) {
	s := newScene()
	tokens := newTokens(t, &endpoint{}, fixed(start))
	ch := trust.ChallengeFor([]*directory.Organization{s.org})
	fred := &trust.User{UPN: "fred@fabrikam.com", SMTP: "fred@fabrikam.com"}
	mint := func(ch acs.Challenge, as *trust.User) string {
		text, err := tokens.Bearer(t.Context(), fabrikam(), ch, onprem, as)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	validate := func(text string) (*trust.Caller, error) {
		return s.validator(t).Validate(t.Context(), text, onprem)
	}
	for name, ch := range map[string]acs.Challenge{"realm not named": ch, "realm named": {ClientID: ch.ClientID, TrustedIssuers: ch.TrustedIssuers, Realm: "contoso.com"}} {
		c, err := validate(mint(ch, fred))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c.Realm != "fabrikam.com" || c.AppOnly || c.User != nil || c.SMTP != "fred@fabrikam.com" || c.Application.Name != "Fabrikam" {
			t.Errorf("%s: caller %+v", name, c)
		}
	}
	s.people.add(s.org.ID, "fred", nil, "fred@fabrikam.com")
	if c, err := validate(mint(ch, fred)); err != nil || c.User == nil || c.User.ID != "fred" {
		t.Errorf("a user who is known: %+v, %v", c, err)
	}
	if c, err := validate(mint(ch, nil)); err != nil || !c.AppOnly {
		t.Errorf("app-only: %+v, %v", c, err)
	}
	_, err := validate(mint(ch, &trust.User{UPN: "nobody@contoso.com", SMTP: "fred@fabrikam.com"}))
	if err != nil {
		t.Errorf("one address is known: %v", err)
	}
	_, err = validate(mint(ch, &trust.User{UPN: "nobody@contoso.com"}))
	refusedAt(t, err, 2000005, 16)
	_, err = validate(mint(ch, &trust.User{UPN: "nobody@contoso.com", SMTP: "who@fabrikam.com"}))
	refusedAt(t, err, 2000005, 16)

	// Whoever does not name fabrikam.com gets no token of it.
	_, err = tokens.Bearer(t.Context(), fabrikam(), acs.Challenge{ClientID: exchange, TrustedIssuers: []acs.PrincipalName{{PID: exchange, Realm: "*"}, {PID: exchange, Realm: "tailspin.com"}}}, onprem, nil)
	if !errors.Is(err, trust.ErrNoIssuer) {
		t.Errorf("a stranger: %v", err)
	}
	// An authorization server that both know goes before.
	both := fabrikam()
	both.AuthServers = onpremises().AuthServers
	var asked int
	e := endpointFunc(func(context.Context, string, acs.TokenRequest) (*acs.TokenResponse, error) {
		asked++
		return nil, errors.New("no")
	})
	if _, err := newTokens(t, e, fixed(start)).Bearer(t.Context(), both, ch, onprem, nil); err == nil || asked != 1 {
		t.Errorf("asked the authorization server %d times, %v", asked, err)
	}
}

func TestDirectTokensNeedACertificate(t *testing.T) {
	o := fabrikam()
	o.Certificates = nil
	_, err := newTokens(t, &endpoint{}, fixed(start)).Bearer(t.Context(), o, trust.ChallengeFor([]*directory.Organization{onpremises()}), onprem, nil)
	if re, ok := errors.AsType[*trust.RequestError](err); !ok || re.Step != "sign token" || re.Reason() != "Missing signing certificate." {
		t.Errorf("got %v", err)
	}
}

func documentOf(realm string, keys ...string) *acs.Document {
	d := &acs.Document{Realm: realm, ServiceName: exchange, Issuer: exchange + "@" + realm}
	for _, k := range keys {
		d.Keys = append(d.Keys, acs.Key{Certificate: certKey(k).cert.DER})
	}
	return d
}

func base64s(keys ...string) (out []string) {
	for _, k := range keys {
		out = append(out, certKey(k).base64())
	}
	return out
}

func TestPartnerFrom(t *testing.T) {
	got, err := trust.PartnerFrom(documentOf("fabrikam.com", "partner", "org"), directory.PartnerApplication{AuthMetadataURL: "https://x", UseAuthServer: true})
	want := directory.PartnerApplication{AuthMetadataURL: "https://x", ApplicationIdentifier: exchange, IssuerIdentifier: exchange, Realm: "fabrikam.com",
		CertificateStrings: base64s("partner", "org")}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	noIssuer := documentOf("fabrikam.com", "partner")
	noIssuer.Issuer = exchange
	for name, tt := range map[string]struct {
		doc   *acs.Document
		realm string
		want  string
	}{
		"no issuer":                   {noIssuer, "", "issuer"},
		"every realm":                 {documentOf("*", "partner"), "", "realm is *"},
		"another realm than is meant": {documentOf("evil.example", "partner"), "fabrikam.com", `want "fabrikam.com"`},
		"no key":                      {documentOf("fabrikam.com"), "", "no signing key"},
	} {
		if _, err := trust.PartnerFrom(tt.doc, directory.PartnerApplication{Realm: tt.realm}); !errors.Is(err, trust.ErrMetadata) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p, err := trust.PartnerFrom(documentOf("*", "partner"), directory.PartnerApplication{Realm: "fabrikam.com"}); err != nil || p.Realm != "fabrikam.com" {
		t.Errorf("every realm, one is meant: %+v, %v", p, err)
	}
}

func TestFollowPartner(t *testing.T) {
	type keys struct{ pinned, pending []string }
	for name, tt := range map[string]struct {
		was  keys
		now  []string
		at   time.Time
		want keys
	}{
		"the same":                     {keys{[]string{"partner"}, nil}, []string{"partner"}, start, keys{[]string{"partner"}, nil}},
		"the same, expired":            {keys{[]string{"short"}, nil}, []string{"short"}, start.Add(72 * time.Hour), keys{[]string{"short"}, nil}},
		"a next one is announced":      {keys{[]string{"partner"}, nil}, []string{"partner", "org"}, start, keys{[]string{"partner", "org"}, nil}},
		"the old one is gone":          {keys{[]string{"partner", "org"}, nil}, []string{"org"}, start, keys{[]string{"org"}, nil}},
		"all others":                   {keys{[]string{"partner"}, nil}, []string{"stranger"}, start, keys{[]string{"partner"}, []string{"stranger"}}},
		"in common is what expired":    {keys{[]string{"short"}, nil}, []string{"short", "stranger"}, start.Add(72 * time.Hour), keys{[]string{"short"}, []string{"short", "stranger"}}},
		"the pinned ones are back":     {keys{[]string{"partner"}, []string{"stranger"}}, []string{"partner"}, start, keys{[]string{"partner"}, nil}},
		"what waits is no pin":         {keys{[]string{"partner"}, []string{"stranger"}}, []string{"stranger", "org"}, start, keys{[]string{"partner"}, []string{"stranger", "org"}}},
		"pinned and waiting, together": {keys{[]string{"partner"}, []string{"stranger"}}, []string{"partner", "stranger"}, start, keys{[]string{"partner", "stranger"}, nil}},
	} {
		p := directory.PartnerApplication{ApplicationIdentifier: exchange, IssuerIdentifier: exchange, Realm: "fabrikam.com",
			CertificateStrings: base64s(tt.was.pinned...), PendingCertificateStrings: base64s(tt.was.pending...)}
		n, err := trust.PartnerFrom(documentOf("fabrikam.com", tt.now...), p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := trust.FollowPartner(p, n, tt.at)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff([2][]string{base64s(tt.want.pinned...), base64s(tt.want.pending...)}, [2][]string{got.CertificateStrings, got.PendingCertificateStrings}); d != "" {
			t.Errorf("%s: %d pinned, %d waiting", name, len(got.CertificateStrings), len(got.PendingCertificateStrings))
		}
		for what, change := range map[string]func(*directory.PartnerApplication){
			"realm": func(p *directory.PartnerApplication) { p.Realm = "evil.example" }, "issuer": func(p *directory.PartnerApplication) { p.IssuerIdentifier = "x" },
			"application": func(p *directory.PartnerApplication) { p.ApplicationIdentifier = "x" },
		} {
			other := n
			change(&other)
			if got, err := trust.FollowPartner(p, other, tt.at); !errors.Is(err, trust.ErrMetadata) || !cmp.Equal(got, p) {
				t.Errorf("%s, another %s: %v", name, what, err)
			}
		}
	}
}

func TestFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := onpremises() // Exchange Online, and Fabrikam
		o.PartnerApplications[1].AuthMetadataURL = "https://mail.fabrikam.com/autodiscover/metadata/json/1"
		begin := time.Now()
		var mu sync.Mutex // guards at and fail
		var at []time.Duration
		fail := true
		f, err := trust.NewFollower(trust.FollowerConfig{
			Organizations: func(context.Context) ([]*directory.Organization, error) { return []*directory.Organization{o}, nil },
			Follow: func(_ context.Context, org directory.OrgID, name string) error {
				if org != o.ID || name != "Fabrikam" {
					t.Errorf("followed %s of %s", name, org)
				}
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Since(begin))
				if fail {
					return errors.New("not there")
				}
				return nil
			},
			Now: time.Now, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		take := func(wait time.Duration) []time.Duration {
			time.Sleep(wait)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			got := at
			at, fail = nil, false
			return got
		}
		if d := cmp.Diff([]time.Duration{0}, take(time.Minute)); d != "" {
			t.Error("at the start:", d)
		}
		if d := cmp.Diff([]time.Duration{15 * time.Minute}, take(4*time.Hour)); d != "" {
			t.Error("again after a failure:", d)
		}
		for range 3 {
			f.UnknownKey(o.ID, "Fabrikam") // once a minute at most
		}
		if d := cmp.Diff([]time.Duration{4*time.Hour + time.Minute}, take(time.Minute)); d != "" {
			t.Error("unknown keys:", d)
		}
		if got := take(7 * time.Hour); len(got) != 0 {
			t.Error("too early:", got)
		}
		if got := take(2 * time.Hour); len(got) != 1 {
			t.Error("after eight hours:", got)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
