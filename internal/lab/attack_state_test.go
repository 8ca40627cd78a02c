package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// acsServer is the AuthServer of the real authorization server.
func acsServer(o *directory.Organization) *directory.AuthServer {
	i := slices.IndexFunc(o.AuthServers, func(s directory.AuthServer) bool { return s.Type == directory.AuthServerACS })
	return &o.AuthServers[i]
}

func exchangeOnline(o *directory.Organization) *directory.PartnerApplication {
	i := slices.IndexFunc(o.PartnerApplications, func(p directory.PartnerApplication) bool { return p.Name == exchangeName })
	return &o.PartnerApplications[i]
}

func northwind(o *directory.Organization) *directory.PartnerApplication {
	i := slices.IndexFunc(o.PartnerApplications, func(p directory.PartnerApplication) bool { return p.Name == "Northwind" })
	return &o.PartnerApplications[i]
}

// on changes contoso on premises for the time of an attack.
func on(fn func(*scene, *directory.Organization)) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		s.change(t, onprem, s.premises, func(o *directory.Organization) { fn(s, o) })
	}
}

func same(*scene, *bearer) {}

func appOnly(_ *scene, b *bearer) { b.appOnly() }

// after is a token that was accepted, sent again after the world has changed.
func after(name string, w want, fn func(*scene)) []try {
	return []try{{name, func(s *scene, b *bearer) {
		text := b.token()
		b.text = func(string) string { return text }
		s.mustAccept(b)
		fn(s)
	}, w}}
}

// worldAttacks are tokens that would be in order in another world.
func worldAttacks() []attack {
	both := func(w want) []try { return []try{{"act-as", same, w}, {"app-only", appOnly, w}} }
	premises := func(fn func(*scene, *directory.Organization)) func(*scene) {
		return func(s *scene) { s.change(s.t, onprem, s.premises, func(o *directory.Organization) { fn(s, o) }) }
	}
	return []attack{
		{name: "A13 AuthServer disabled", tries: both(refused(2000009)), with: on(func(_ *scene, o *directory.Organization) { acsServer(o).Enabled = false })},
		{name: "A13 AuthServer deleted", tries: both(refused(2000009)), with: on(func(_ *scene, o *directory.Organization) {
			o.AuthServers = slices.DeleteFunc(o.AuthServers, func(s directory.AuthServer) bool { return s.Type == directory.AuthServerACS })
		})},
		{name: "A13 AuthServer of another realm", tries: both(refused(2000009)), with: on(func(s *scene, o *directory.Organization) { acsServer(o).Realm = s.other })},
		{name: "A13 key removed from metadata and refreshed", tries: both(refused(2000000)), with: replaceAuthorityKey},
		{name: "A14 the authority's key is the partner's pin", tries: both(refused(2000000)), with: on(func(s *scene, o *directory.Organization) {
			acsServer(o).CertificateStrings = []string{s.nobody.base64()}
			northwind(o).CertificateStrings = []string{s.authority.base64()}
		})},
		{name: "A33 partner application disabled", tries: both(refused(2000006)), with: on(func(_ *scene, o *directory.Organization) { exchangeOnline(o).Enabled = false })},
		{name: "A33 partner application of another realm", tries: both(refused(2000006)), with: on(func(s *scene, o *directory.Organization) { exchangeOnline(o).Realm = s.other })},
		{name: "A33 partner application of this realm", tries: both(accepted), with: on(func(s *scene, o *directory.Organization) { exchangeOnline(o).Realm = s.tenant })},
		{name: "A33 unknown application", tries: []try{
			application("SharePoint", refused(2000006), sharepoint), application("another", refused(2000006), thirdApp),
			application("the authorization server", refused(2000006), "00000001-0002-0000-c000-000000000000"),
			application("upper case", refused(2000006), "00000002-0000-0FF1-CE00-000000000000"),
			application("a URN", refused(2000006), "urn:uuid:"+directory.ExchangeAppID),
		}},
		{name: "A34 partner application that no authority vouches for", tries: both(refused(2000006)), with: on(func(s *scene, o *directory.Organization) {
			p := exchangeOnline(o)
			p.UseAuthServer, p.Realm, p.CertificateStrings = false, s.other, []string{s.partner.base64()}
		})},
		{name: "A37 no linked account, no permission", tries: both(refused(2000008)), with: on(func(_ *scene, o *directory.Organization) { exchangeOnline(o).LinkedAccount = "" })},
		{name: "A37 a linked account without UserApplication", tries: []try{{"act-as", same, refused(2000008)}, {"app-only", appOnly, accepted}},
			with: on(func(_ *scene, o *directory.Organization) { o.LinkedUsers[0].Roles = []string{"ArchiveApplication"} })},
		{name: "A37 a linked account without roles", tries: both(refused(2000008)), with: on(func(_ *scene, o *directory.Organization) { o.LinkedUsers[0].Roles = nil })},
		{name: "A37 permissions of other things", tries: both(refused(2000008)), with: on(func(_ *scene, o *directory.Organization) {
			p := exchangeOnline(o)
			p.LinkedAccount, p.ActAsPermissions, p.AppOnlyPermissions = "", []string{"Mail.Read", "MyCalendars.Read"}, []string{"Mail.Read", "Calendars"}
		})},
		{name: "A37 permission to act for users only", with: on(func(_ *scene, o *directory.Organization) {
			exchangeOnline(o).LinkedAccount, exchangeOnline(o).ActAsPermissions = "", []string{"Calendars.Read"}
		}), tries: []try{{"act-as", same, accepted}, {"app-only", appOnly, refused(2000008)}}},
		{name: "A37 permission to act for nobody only", with: on(func(_ *scene, o *directory.Organization) {
			exchangeOnline(o).LinkedAccount, exchangeOnline(o).AppOnlyPermissions = "", []string{"Calendars.Read"}
		}), tries: []try{{"act-as", same, refused(2000008)}, {"app-only", appOnly, accepted}}},
		{name: "A47 a token that is known, then the AuthServer is disabled", tries: after("again", refused(2000009), premises(func(_ *scene, o *directory.Organization) { acsServer(o).Enabled = false }))},
		{name: "A47 a token that is known, then its key goes", tries: after("again", refused(2000000), func(s *scene) { replaceAuthorityKey(s.t.(*testing.T), s) })},
		{name: "A47 a token that is known, then the application is disabled", tries: after("again", refused(2000006), premises(func(_ *scene, o *directory.Organization) { exchangeOnline(o).Enabled = false }))},
		{name: "A47 a token that is known, then its account goes", tries: after("again", refused(2000008), premises(func(_ *scene, o *directory.Organization) { exchangeOnline(o).LinkedAccount = "" }))},
		{name: "A47 a token that is known, then the roles of its account go", tries: after("again", refused(2000008), premises(func(_ *scene, o *directory.Organization) { o.LinkedUsers[0].Roles = nil }))},
		{name: "A47 a token that is known, then OAuth is switched off", tries: after("again", want{status: http.StatusUnauthorized, noOAuth: true}, premises(func(_ *scene, o *directory.Organization) {
			for i := range o.Servers {
				o.Servers[i].OAuthAuthentication = false
			}
		}))},
		{name: "A47 a token that is known, then its user is disabled", tries: after("again after 5 s", refused(2000005), func(s *scene) {
			set := func(ctx context.Context, enabled bool) {
				if _, err := s.deployments[onprem].Admin.SetMailUser(ctx, operator, s.premises, "kim@"+domain, func(r *directory.Recipient) error { r.Enabled = enabled; return nil }); err != nil {
					s.t.Error(err)
				}
			}
			// What is known of a user is known for 5 s.
			set(s.t.Context(), false)
			s.moved.Add(int64(5 * time.Second))
			s.t.Cleanup(func() {
				set(context.Background(), true)
				s.moved.Add(int64(5 * time.Second))
			})
		})},
		{name: "A47 a token that is known, then it expires", tries: after("again", refused(2000002), func(s *scene) { s.later(s.t, 8*time.Hour+5*time.Minute) })},
		{name: "A48 the partner is looked at before the user", with: on(func(_ *scene, o *directory.Organization) { exchangeOnline(o).Enabled = false }), tries: []try{
			{"a user that exists", same, refused(2000006)},
			outer("an unknown user", refused(2000006), func(_ *scene, f *forged) { f.person("nobody@"+domain, "") }),
		}},
	}
}

func application(name string, w want, pid string) try {
	return try{name, func(s *scene, b *bearer) {
		b.actor.claims.set("nameid", pid+"@"+s.tenant)
		b.outer.claims.set("iss", pid+"@"+s.tenant)
	}, w}
}

// replaceAuthorityKey gives the authorization server another key, and lets
// contoso on premises read it, until t ends.
func replaceAuthorityKey(t *testing.T, s *scene) {
	t.Helper()
	dir := s.deployments[authorize]
	was, err := dir.Store.AuthorityConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	was = was.Clone()
	next := was.Clone()
	now := s.now()
	fresh := newKey(t, s.Lab.cloud.ACSHost, now, now.AddDate(5, 0, 0))
	private, err := pkcs8(fresh)
	if err != nil {
		t.Fatal(err)
	}
	next.Certificates = []directory.Certificate{{Thumbprint: directory.Thumbprint(fresh.der), FriendlyName: "next", DER: fresh.der, Key: private}}
	set := func(ctx context.Context, c *directory.AuthorityConfig) {
		t.Helper()
		if _, err := dir.Admin.SetAuthorityConfig(ctx, operator, c); err != nil {
			t.Error(err)
		}
		org, err := s.deployments[onprem].Store.Organization(ctx, s.premises)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := s.deployments[onprem].Admin.SetAuthServer(ctx, operator, s.premises, acsServer(org).Name, true, nil); err != nil {
			t.Error(err)
		}
	}
	set(t.Context(), next)
	t.Cleanup(func() { set(context.Background(), was) })
}

// A curveKey is a key of P-256 with its certificate.
type curveKey struct {
	der []byte
	key *ecdsa.PrivateKey
}

// newCurveKey makes a key; by signs its certificate, nil: the key itself.
func newCurveKey(t testing.TB, by *signingKey, from time.Time) *curveKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: partnerRealm}, NotBefore: from, NotAfter: from.AddDate(1, 0, 0)}
	parent, signer := tmpl, any(key)
	if by != nil {
		if parent, err = x509.ParseCertificate(by.der); err != nil {
			t.Fatal(err)
		}
		signer = by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return &curveKey{der, key}
}

// es256 lets k sign the token.
func (f *forged) es256(k *curveKey) {
	f.header.set("alg", "ES256")
	f.header.set("x5t", trust.X5T(k.der))
	f.sign = func(in string) string { return b64(string(ecdsaSignature(k.key, in))) }
}

// delegated is a try of a token that the partner's delegate has signed.
func delegated(name string, w want, change func(*scene, *forged)) try {
	return actor(name, w, func(s *scene, f *forged) {
		f.es256(s.delegate)
		change(s, f)
	})
}

// directAttacks are tokens of a partner that is trusted without an authorization
// server (kinds C and D).
func directAttacks() []attack {
	direct := (*scene).directFor
	iss := func(name string, w want, issuer string) try {
		return try{name, func(_ *scene, b *bearer) {
			b.actor.claims.set("iss", issuer)
			b.actor.claims.set("nameid", issuer)
			b.outer.claims.set("iss", issuer)
		}, w}
	}
	aud := func(name string, w want, realm string) try {
		return audience(name, w, func(*scene) any { return directory.ExchangeAppID + "/" + mailHost + "@" + realm })
	}
	return []attack{
		{name: "direct trust: issuer", start: direct, tries: []try{
			iss("of another realm", refused(2000009), directory.ExchangeAppID+"@"+otherDomain),
			iss("below the partner's realm", refused(2000009), directory.ExchangeAppID+"@a."+partnerRealm),
			iss("any realm", refused(2000009), directory.ExchangeAppID+"@*"),
			iss("our own realm", refused(2000009), directory.ExchangeAppID+"@"+domain),
			iss("another application", refused(2000009), sharepoint+"@"+partnerRealm),
			iss("upper case", refused(2000009), "00000002-0000-0FF1-CE00-000000000000@"+partnerRealm),
			{"speaks for another caller", func(s *scene, b *bearer) {
				b.actor.claims.set("nameid", directory.ExchangeAppID+"@"+s.tenant)
				b.outer.claims.set("iss", directory.ExchangeAppID+"@"+s.tenant)
			}, refused(2000006)},
			{"no caller", func(_ *scene, b *bearer) { b.actor.claims.del("nameid") }, refused(2000006)},
			{"app-only", appOnly, accepted},
		}},
		{name: "direct trust: keys", start: direct, tries: []try{
			signedBy("the authority's", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.authority, s.authority }),
			signedBy("our own", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.org, s.org }),
			signedBy("nobody's, with the partner's x5t", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.nobody, s.partner }),
			actor("unsigned", refused(2000001), func(_ *scene, f *forged) { f.header.set("alg", "none"); f.key = nil }),
			hmacWith("the certificate", func(s *scene) []byte { return s.partner.der }),
			{"the partner speaks as the authority", func(s *scene, b *bearer) {
				b.toTenant(s, s.tenant, mailHost)
			}, refused(2000000)},
		}},
		{name: "direct trust: audience", start: direct, tries: []try{
			aud("the partner's realm", accepted, partnerRealm),
			aud("below a wildcard domain", refused(2000004), "x.lab."+domain),
			aud("a wildcard domain as it is written", refused(2000004), "*.lab."+domain),
			aud("another domain", refused(2000004), otherDomain),
			aud("any realm", refused(2000004), "*"),
			aud("upper case", refused(2000004), "CONTOSO.COM"),
			audienceHost("another host", refused(2000003), mail2Host),
		}},
		{name: "A33 direct trust: disabled", start: direct, tries: []try{{"act-as", same, refused(2000009)}, {"app-only", appOnly, refused(2000009)}},
			with: on(func(_ *scene, o *directory.Organization) { northwind(o).Enabled = false })},
		{name: "A34 direct trust: self-issued where an authority vouches", start: direct, tries: []try{{"act-as", same, refused(2000009)}},
			with: on(func(_ *scene, o *directory.Organization) {
				northwind(o).UseAuthServer, northwind(o).CertificateStrings = true, nil
			})},
		{name: "direct trust: another key is pinned", start: direct, tries: []try{{"act-as", same, refused(2000000)}, {"app-only", appOnly, refused(2000000)}},
			with: on(func(s *scene, o *directory.Organization) {
				northwind(o).CertificateStrings = []string{s.nobody.base64()}
			})},
		{name: "A47 direct trust: known, then the pin goes", start: direct, tries: after("again", refused(2000000), func(s *scene) {
			s.change(s.t, onprem, s.premises, func(o *directory.Organization) { northwind(o).CertificateStrings = []string{s.nobody.base64()} })
		})},
		{name: "direct trust: ES256", start: direct, with: on(func(s *scene, o *directory.Organization) {
			northwind(o).DelegateStrings = []string{base64.StdEncoding.EncodeToString(s.delegate.der), base64.StdEncoding.EncodeToString(s.pretender.der)}
		}), tries: []try{
			delegated("a key that the pinned certificate vouches for", accepted, func(s *scene, f *forged) {}),
			delegated("a key that vouches for itself", refused(2000000), func(s *scene, f *forged) { f.es256(s.pretender) }),
			delegated("another key, with its x5t", refused(2000000), func(s *scene, f *forged) {
				f.es256(s.pretender)
				f.header.set("x5t", trust.X5T(s.delegate.der))
			}),
			delegated("with the x5t of the pinned certificate", refused(2000000), func(s *scene, f *forged) { f.header.set("x5t", s.partner.x5t()) }),
			delegated("no x5t", refused(2000000), func(_ *scene, f *forged) { f.header.del("x5t") }),
			delegated("said to be RS256", refused(2000000), func(_ *scene, f *forged) { f.header.set("alg", "RS256") }),
			delegated("said to be ES384", refused(2000001), func(_ *scene, f *forged) { f.header.set("alg", "ES384") }),
			delegated("HS256 with its certificate", refused(2000001), func(s *scene, f *forged) { f.header.set("alg", "HS256"); f.sign = hs(s.delegate.der) }),
			delegated("a signature of zeros", refused(2000000), func(_ *scene, f *forged) { f.sign = func(string) string { return b64(string(make([]byte, 64))) } }),
			delegated("no signature", refused(2000000), func(_ *scene, f *forged) { f.sign = func(string) string { return "" } }),
			delegated("a signature in DER", refused(2000000), func(s *scene, f *forged) {
				f.sign = func(in string) string {
					sum := sha256.Sum256([]byte(in))
					sig, err := ecdsa.SignASN1(rand.Reader, s.delegate.key, sum[:])
					if err != nil {
						panic(err)
					}
					return b64(string(sig))
				}
			}),
			delegated("x5c of the key", refused(2000000), func(s *scene, f *forged) {
				f.es256(s.pretender)
				f.header.add("x5c", []string{base64.StdEncoding.EncodeToString(s.pretender.der), s.partner.base64()})
			}),
			{"the authority's issuer", func(s *scene, b *bearer) {
				*b = *s.bearerFor(mailHost)
				b.actor.es256(s.delegate)
			}, refused(2000001)},
		}},
		{name: "direct trust: ES256 after another key is pinned", start: direct, with: on(func(s *scene, o *directory.Organization) {
			northwind(o).CertificateStrings = []string{s.nobody.base64()}
			northwind(o).DelegateStrings = []string{base64.StdEncoding.EncodeToString(s.delegate.der)}
		}), tries: []try{delegated("the key", refused(2000000), func(*scene, *forged) {})}},
		{name: "direct trust: ES256 that nobody announced", start: direct, tries: []try{delegated("the key", refused(2000000), func(*scene, *forged) {})}},
		{name: "A27 direct trust: times", start: direct, tries: []try{
			actor("a day and an hour and a second", refused(2000002), func(s *scene, f *forged) { f.valid(s, -time.Hour, 24*time.Hour+time.Second) }),
			actor("texts", accepted, func(s *scene, f *forged) {
				f.claims.set("nbf", fmt.Sprint(s.now().Unix()))
				f.claims.set("exp", fmt.Sprint(s.now().Add(time.Hour).Unix()))
			}),
		}},
	}
}
