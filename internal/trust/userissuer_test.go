package trust_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

const staff = "https://id.contoso.com/realms/staff"

// A provider is an OpenID provider whose documents are asked for.
type provider struct {
	t   testing.TB
	at  time.Time
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey

	mu      sync.Mutex
	set     gojose.JSONWebKeySet
	err     error
	issuer  string // that the document names
	signIn  any    // authorization_endpoint
	fetched []string
}

// Each test has its own provider, and they share its key, which takes long to make.
var providerKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func newProvider(t testing.TB) *provider {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, at: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), rsa: providerKey(), ec: ec, issuer: staff}
	p.set.Keys = []gojose.JSONWebKey{
		{Key: p.rsa.Public(), KeyID: "r1", Algorithm: "RS256", Use: "sig"},
		{Key: p.ec.Public(), KeyID: "e1", Use: "sig"},
		{Key: p.rsa.Public(), KeyID: "enc", Use: "enc"},
		{Key: []byte("a secret that is in the set by mistake"), KeyID: "h1"},
	}
	return p
}

func (p *provider) FetchJSON(ctx context.Context, address string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetched = append(p.fetched, strings.TrimPrefix(address, "https://id.contoso.com"))
	if p.err != nil {
		return nil, p.err
	}
	if _, ok := ctx.Deadline(); !ok {
		p.t.Error("without a time limit")
	}
	switch address {
	case staff + "/.well-known/openid-configuration":
		return json.Marshal(map[string]any{"issuer": p.issuer, "jwks_uri": "https://id.contoso.com/keys", "authorization_endpoint": p.signIn, "x": []int{1}})
	case "https://id.contoso.com/keys":
		return json.Marshal(p.set)
	}
	return nil, fmt.Errorf("nothing at %s", address)
}

func (p *provider) tokens(issuers ...trust.UserIssuer) *trust.UserTokens {
	p.t.Helper()
	if issuers == nil {
		issuers = []trust.UserIssuer{{Domain: "contoso.com", Issuer: staff, Audience: "busybridge", AddressClaim: "email"}}
	}
	u, err := trust.NewUserTokens(trust.UserTokensConfig{Issuers: issuers, Documents: p, Now: func() time.Time { return p.at }, Log: slog.New(slog.NewTextHandler(p.t.Output(), nil))})
	if err != nil {
		p.t.Fatal(err)
	}
	return u
}

// claims are those of a good token, changed: nil takes one out.
func (p *provider) claims(change map[string]any) map[string]any {
	c := map[string]any{"iss": staff, "aud": "busybridge", "sub": "4711", "iat": p.at.Unix(), "exp": p.at.Add(time.Hour).Unix(), "email": "Alice@contoso.com", "email_verified": true}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign makes the token; the signature is raw, over what it is given.
func (p *provider) sign(header, claims any, signature func(string) []byte) string {
	var parts []string
	for _, v := range []any{header, claims} {
		b, err := json.Marshal(v)
		if err != nil {
			p.t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(b))
	}
	text := strings.Join(parts, ".")
	return text + "." + base64.RawURLEncoding.EncodeToString(signature(text))
}

func (p *provider) rs256(key *rsa.PrivateKey) func(string) []byte {
	return func(s string) []byte {
		sum := sha256.Sum256([]byte(s))
		b, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		if err != nil {
			p.t.Fatal(err)
		}
		return b
	}
}

func (p *provider) es256(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	x, y, err := ecdsa.Sign(rand.Reader, p.ec, sum[:])
	if err != nil {
		p.t.Fatal(err)
	}
	return append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...)
}

func (p *provider) ps256(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	b, err := rsa.SignPSS(rand.Reader, p.rsa, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func userOrganizations() []*directory.Organization {
	contoso := &directory.Organization{ID: "a", Name: "Contoso", AcceptedDomains: []directory.AcceptedDomain{{DomainName: "contoso.com", Default: true}, {DomainName: "*.contoso.com"}}}
	litware := &directory.Organization{ID: "b", Name: "Litware", AcceptedDomains: []directory.AcceptedDomain{{DomainName: "litware.com", Default: true}}}
	return []*directory.Organization{contoso, litware}
}

func TestUserTokens(t *testing.T) {
	p := newProvider(t)
	type m = map[string]any
	rs, es := m{"alg": "RS256", "kid": "r1"}, m{"alg": "ES256", "kid": "e1"}
	good := func(s string) []byte { return p.rs256(p.rsa)(s) }
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(p.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	hs := func(key []byte) func(string) []byte {
		return func(s string) []byte { h := hmac.New(sha256.New, key); h.Write([]byte(s)); return h.Sum(nil) }
	}
	none := func(string) []byte { return nil }
	for _, tt := range []struct {
		name      string
		header    m
		claims    m
		signature func(string) []byte
		want      int // id of the TokenError; 0: accepted
		claim     string
	}{
		{"good", rs, nil, good, 0, ""},
		{"ES256", es, nil, p.es256, 0, ""},
		{"an access token (RFC 9068)", m{"alg": "RS256", "kid": "r1", "typ": "at+jwt"}, m{"aud": []string{"x", "busybridge"}}, good, 0, ""},
		{"no kid", m{"alg": "RS256"}, nil, good, 0, ""},
		{"verified as a text, as some providers write it", rs, m{"email_verified": "true"}, good, 0, ""},
		{"below an accepted domain with a wildcard", rs, m{"email": "alice@sales.contoso.com"}, good, 0, ""},

		{"alg none", m{"alg": "none"}, nil, none, trust.InvalidToken, "alg"},
		{"HS256 with the public key", m{"alg": "HS256", "kid": "r1"}, nil, hs(public), trust.InvalidToken, "alg"},
		{"HS256 with a secret of the set", m{"alg": "HS256", "kid": "h1"}, nil, hs([]byte("a secret that is in the set by mistake")), trust.InvalidToken, "alg"},
		{"RS384", m{"alg": "RS384", "kid": "r1"}, nil, good, trust.InvalidToken, "alg"},
		{"PS256 with a key that is for RS256", m{"alg": "PS256", "kid": "r1"}, nil, p.ps256, trust.InvalidSignature, "kid"},
		{"a key for encryption", m{"alg": "RS256", "kid": "enc"}, nil, good, trust.InvalidSignature, "kid"},
		{"an unknown key", m{"alg": "RS256", "kid": "r2"}, nil, good, trust.InvalidSignature, "kid"},
		{"another key by the name of this one", rs, nil, p.rs256(other), trust.InvalidSignature, ""},
		{"a key in the header", m{"alg": "RS256", "jwk": gojose.JSONWebKey{Key: other.Public()}}, nil, p.rs256(other), trust.InvalidSignature, ""},
		{"a place of keys in the header", m{"alg": "RS256", "kid": "r9", "jku": "https://evil.test/keys"}, nil, p.rs256(other), trust.InvalidSignature, "kid"},
		{"no signature", rs, nil, none, trust.InvalidSignature, ""},
		{"crit", m{"alg": "RS256", "kid": "r1", "crit": []string{"exp"}}, nil, good, trust.InvalidSignature, ""},
		{"a logout token", m{"alg": "RS256", "kid": "r1", "typ": "logout+jwt"}, nil, good, trust.InvalidToken, "typ"},

		{"expired", rs, m{"exp": p.at.Add(-time.Second).Unix()}, good, trust.TokenExpired, "exp"},
		{"without an end", rs, m{"exp": nil}, good, trust.TokenExpired, "exp"},
		{"not yet valid", rs, m{"nbf": p.at.Add(6 * time.Minute).Unix()}, good, trust.TokenExpired, "nbf"},
		{"exp is no number", rs, m{"exp": "tomorrow"}, good, trust.InvalidToken, ""},
		{"another audience", rs, m{"aud": "calendar"}, good, trust.InvalidResource, "aud"},
		{"an audience that begins alike", rs, m{"aud": "busybridge2"}, good, trust.InvalidResource, "aud"},
		{"no audience", rs, m{"aud": nil}, good, trust.InvalidResource, "aud"},
		{"no address", rs, m{"email": nil}, good, trust.InvalidUser, "email"},
		{"two addresses", rs, m{"email": []string{"alice@contoso.com"}}, good, trust.InvalidUser, "email"},
		{"an address that nobody verified", rs, m{"email_verified": false}, good, trust.InvalidUser, "email_verified"},
		{"an address without a word about it", rs, m{"email_verified": nil}, good, trust.InvalidUser, "email_verified"},
		{"verified in so many words", rs, m{"email_verified": "yes"}, good, trust.InvalidUser, "email_verified"},
		{"an address of a neighbour", rs, m{"email": "bob@litware.com"}, good, trust.InvalidUser, "email"},
		{"an address of a look-alike", rs, m{"email": "alice@evilcontoso.com"}, good, trust.InvalidUser, "email"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := p.tokens()
			p.fetched = nil
			got, err := u.Validate(t.Context(), p.sign(tt.header, p.claims(tt.claims), tt.signature), userOrganizations())
			for _, f := range p.fetched {
				if f != "/realms/staff/.well-known/openid-configuration" && f != "/keys" {
					t.Errorf("asked for %s", f)
				}
			}
			if tt.want == 0 {
				if err != nil || got.Org.ID != "a" || got.Subject != "4711" || !strings.HasPrefix(got.Address.String(), "alice@") || !got.Expires.After(p.at) {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			e, ok := errors.AsType[*trust.TokenError](err)
			if !ok || e.ID != tt.want || e.Claim != tt.claim || e.Category == "" {
				t.Errorf("got %v, want %d (%s)", err, tt.want, tt.claim)
			}
		})
	}
}

// What is no token of a configured provider is for the partners' checks.
func TestNotTheTokenOfAUser(t *testing.T) {
	p := newProvider(t)
	rs := map[string]any{"alg": "RS256", "kid": "r1"}
	orgs := userOrganizations()
	entra := userOrganizations()
	entra[0].AuthServers = []directory.AuthServer{{Enabled: true, Type: directory.AuthServerAzureAD, IssuerIdentifier: staff}}
	token := p.sign(rs, p.claims(nil), p.rs256(p.rsa))
	for _, tt := range []struct {
		name, token string
		orgs        []*directory.Organization
	}{
		{"no token", "x", orgs},
		{"two dots", "a.b.c", orgs},
		{"too long", token + strings.Repeat("x", 17<<10), orgs},
		{"another issuer", p.sign(rs, p.claims(map[string]any{"iss": staff + "/"}), p.rs256(p.rsa)), orgs},
		{"a claim twice", p.sign(rs, json.RawMessage(`{"iss":"`+staff+`","iss":"`+staff+`"}`), p.rs256(p.rsa)), orgs},
		{"the host serves other organizations", token, orgs[1:]},
		{"an application's, of a server that the organization trusts", p.sign(rs, p.claims(map[string]any{"aud": "00000002-0000-0ff1-ce00-000000000000/mail.contoso.com@x"}), p.rs256(p.rsa)), entra},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := p.tokens().Validate(t.Context(), tt.token, tt.orgs); !errors.Is(err, trust.ErrNotUserToken) {
				t.Errorf("got %v", err)
			}
		})
	}
	if len(p.fetched) != 0 {
		t.Errorf("asked for %v", p.fetched)
	}
}

// Two organizations have one provider: the audience and the address say whose it is.
func TestSharedProvider(t *testing.T) {
	p := newProvider(t)
	one := func(domain, audience, claim string) trust.UserIssuer {
		return trust.UserIssuer{Domain: domain, Issuer: staff, Audience: audience, AddressClaim: claim}
	}
	sign := func(aud, upn string) string {
		return p.sign(map[string]any{"alg": "RS256", "kid": "r1"}, p.claims(map[string]any{"aud": aud, "upn": upn}), p.rs256(p.rsa))
	}
	apart := p.tokens(one("contoso.com", "for-contoso", "upn"), one("litware.com", "for-litware", "upn"))
	same := p.tokens(one("contoso.com", "bb", "upn"), one("litware.com", "bb", "upn"))
	for _, tt := range []struct {
		name     string
		u        *trust.UserTokens
		aud, upn string
		want     directory.OrgID
	}{
		{"first audience", apart, "for-contoso", "a@contoso.com", "a"},
		{"second audience", apart, "for-litware", "b@litware.com", "b"},
		{"address of the other", apart, "for-litware", "a@contoso.com", ""},
		{"one audience, first address", same, "bb", "a@contoso.com", "a"},
		{"one audience, second address", same, "bb", "b@litware.com", "b"},
		{"one audience, address of nobody", same, "bb", "x@fabrikam.com", ""},
	} {
		got, err := tt.u.Validate(t.Context(), sign(tt.aud, tt.upn), userOrganizations())
		if tt.want == "" {
			if e, ok := errors.AsType[*trust.TokenError](err); !ok || e.ID != trust.InvalidUser {
				t.Errorf("%s: %v", tt.name, err)
			}
		} else if err != nil || got.Org.ID != tt.want {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

// Keys are read when they are needed, not more often than once a minute, and
// the last good ones count for a day.
func TestProviderKeys(t *testing.T) {
	p := newProvider(t)
	u := p.tokens()
	validate := func(kid string) error {
		_, err := u.Validate(t.Context(), p.sign(map[string]any{"alg": "RS256", "kid": kid}, p.claims(nil), p.rs256(p.rsa)), userOrganizations())
		return err
	}
	refused := func(err error) bool { _, ok := errors.AsType[*trust.TokenError](err); return ok }
	step := func(what string, after time.Duration, kid string, fetches int, ok func(error) bool) {
		t.Helper()
		p.at, p.fetched = p.at.Add(after), nil
		if err := validate(kid); !ok(err) || len(p.fetched) != fetches {
			t.Errorf("%s: %v, %d fetches", what, err, len(p.fetched))
		}
	}
	good := func(err error) bool { return err == nil }
	broken := func(err error) bool { return errors.Is(err, errBroken) && !refused(err) }
	p.err = errBroken
	step("the provider does not answer", 0, "r1", 1, broken)
	p.err = nil
	step("too early to ask again", 30*time.Second, "r1", 0, broken)
	step("the first time", 30*time.Second, "r1", 2, good)
	step("again", 30*time.Second, "r1", 0, good)
	step("an unknown key, soon after", 0, "r2", 0, refused)
	step("an unknown key", 30*time.Second, "r2", 2, refused)
	step("an unknown key again", 30*time.Second, "r2", 0, refused)
	p.set.Keys[0].KeyID = "r2"
	step("the new key", 30*time.Second, "r2", 2, good)
	step("the old key is gone", 0, "r1", 0, refused)
	step("an hour later", time.Hour, "r2", 2, good)
	p.err = errBroken
	step("the provider is gone", time.Hour, "r2", 1, good)
	step("for hours", 22*time.Hour, "r2", 1, good)
	step("for a day", time.Hour, "r2", 1, broken)
	p.err, p.issuer = nil, "https://evil.test"
	step("it is another provider now", time.Hour, "r2", 1, func(err error) bool {
		return err != nil && !refused(err) && strings.Contains(err.Error(), `issuer is "https://evil.test"`)
	})
}

func FuzzUserToken(f *testing.F) {
	p := newProvider(f)
	u, err := trust.NewUserTokens(trust.UserTokensConfig{Issuers: []trust.UserIssuer{{Domain: "contoso.com", Issuer: staff, Audience: "busybridge", AddressClaim: "email"}},
		Documents: p, Now: func() time.Time { return p.at }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	good := p.sign(map[string]any{"alg": "RS256", "kid": "r1"}, p.claims(nil), p.rs256(p.rsa))
	for _, s := range []string{good, good + "x", strings.ToUpper(good), "a.b.c", p.sign(map[string]any{"alg": "none"}, p.claims(nil), func(string) []byte { return nil })} {
		f.Add(s)
	}
	orgs := userOrganizations()
	f.Fuzz(func(t *testing.T, token string) {
		if got, err := u.Validate(t.Context(), token, orgs); err == nil && token != good {
			t.Errorf("%q is accepted for %s", token, got.Address)
		}
	})
}

// Whatever a provider publishes, a token of another key is not accepted.
func FuzzProvider(f *testing.F) {
	p := newProvider(f)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	token := p.sign(map[string]any{"alg": "RS256"}, p.claims(nil), p.rs256(other))
	keys, err := json.Marshal(p.set)
	if err != nil {
		f.Fatal(err)
	}
	const doc = `{"issuer":"` + staff + `","jwks_uri":"https://id.contoso.com/keys"}`
	f.Add([]byte(doc), keys)
	f.Add([]byte(doc), []byte(`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB"},{},null]}`))
	f.Add([]byte(`{"issuer":"`+staff+`","jwks_uri":"http://169.254.169.254/"}`), []byte(`[]`))
	f.Add([]byte(`{"issuer":[]}`), []byte(`{"keys":{}}`))
	orgs := userOrganizations()
	f.Fuzz(func(t *testing.T, doc, keys []byte) {
		u, err := trust.NewUserTokens(trust.UserTokensConfig{Issuers: []trust.UserIssuer{{Domain: "contoso.com", Issuer: staff, Audience: "busybridge", AddressClaim: "email"}},
			Documents: published{doc, keys}, Now: func() time.Time { return p.at }, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Validate(t.Context(), token, orgs); err == nil {
			t.Errorf("accepted with %q and %q", doc, keys)
		}
	})
}

// published is what a provider may publish: the configuration and the keys.
type published [2][]byte

func (p published) FetchJSON(_ context.Context, address string) ([]byte, error) {
	if strings.HasSuffix(address, "/.well-known/openid-configuration") {
		return p[0], nil
	}
	if !strings.HasPrefix(address, "https://") {
		return nil, fmt.Errorf("asked for %s", address)
	}
	return p[1], nil
}

// TestProviderIsReadBeforeAnybodyAsks: the task reads what the provider publishes,
// keeps it while the provider is away, and knows where its users sign in.
func TestProviderIsReadBeforeAnybodyAsks(t *testing.T) {
	const signIn = staff + "/protocol/openid-connect/auth?kind=a%20b"
	p := newProvider(t)
	p.signIn = signIn
	wake := make(chan time.Time)
	u, err := trust.NewUserTokens(trust.UserTokensConfig{
		Issuers:   []trust.UserIssuer{{Domain: "contoso.com", Issuer: staff, Audience: "busybridge", AddressClaim: "email"}},
		Documents: p, Now: func() time.Time { p.mu.Lock(); defer p.mu.Unlock(); return p.at }, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Ticks: func(time.Duration) (<-chan time.Time, func()) { return wake, func() {} },
	})
	if err != nil {
		t.Fatal(err)
	}
	at := []*directory.Organization{{AcceptedDomains: []directory.AcceptedDomain{{DomainName: "contoso.com"}}}}
	if uri := u.AuthorizationURI(at); uri != "" {
		t.Errorf("before anything was read: %q", uri)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- u.Run(ctx) }()
	for _, step := range []struct {
		name    string
		passes  time.Duration
		down    error
		fetches int // after it
	}{
		{"the start", 0, nil, 2}, {"a minute later", time.Minute, nil, 2}, {"after an hour", time.Hour, nil, 4},
		{"the provider is away", 2 * time.Hour, errors.New("away"), 5}, {"it is back", time.Minute, nil, 7},
	} {
		p.mu.Lock()
		p.at, p.err = p.at.Add(step.passes), step.down
		p.mu.Unlock()
		if step.passes > 0 {
			wake <- p.at
		}
		wake <- p.at // who is woken again has done what it was woken for before
		p.mu.Lock()
		fetches := len(p.fetched)
		p.mu.Unlock()
		if uri := u.AuthorizationURI(at); uri != signIn || fetches != step.fetches {
			t.Errorf("%s: %q after %d fetches, want %q after %d", step.name, uri, fetches, signIn, step.fetches)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	fetched := len(p.fetched)
	if _, err := u.Validate(t.Context(), p.sign(map[string]any{"alg": "RS256", "kid": "r1"}, p.claims(nil), p.rs256(p.rsa)), at); err != nil || len(p.fetched) != fetched {
		t.Errorf("a token: %v, %d fetches", err, len(p.fetched)-fetched)
	}
}

func TestAuthorizationURI(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signIn any
		want   string
	}{
		{"a URL", "https://id.contoso.com/auth", "https://id.contoso.com/auth"},
		{"none", nil, ""}, {"a list", []string{"https://id.contoso.com/auth"}, ""}, {"over http", "http://id.contoso.com/auth", ""},
		{"no host", "https:///auth", ""}, {"relative", "/auth", ""}, {"with a user", "https://a:b@id.contoso.com/auth", ""},
		{"a line end", "https://id.contoso.com/auth\r\nX: y", ""}, {"long", "https://id.contoso.com/" + strings.Repeat("a", 2000), ""},
		{"a quote", `https://id.contoso.com/"a`, "https://id.contoso.com/%22a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t)
			p.signIn = tt.signIn
			u := p.tokens()
			at := []*directory.Organization{{AcceptedDomains: []directory.AcceptedDomain{{DomainName: "contoso.com"}}}}
			if _, err := u.Validate(t.Context(), p.sign(map[string]any{"alg": "RS256", "kid": "r1"}, p.claims(nil), p.rs256(p.rsa)), at); err != nil {
				t.Fatal(err)
			}
			if got := u.AuthorizationURI(at); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if got := u.AuthorizationURI([]*directory.Organization{{AcceptedDomains: []directory.AcceptedDomain{{DomainName: "fabrikam.com"}}}}); got != "" {
				t.Errorf("for another organization: %q", got)
			}
		})
	}
	p := newProvider(t)
	u := p.tokens(trust.UserIssuer{Domain: "contoso.com", Issuer: staff, Audience: "a", AddressClaim: "email"}, trust.UserIssuer{Domain: "fabrikam.com", Issuer: "https://id.fabrikam.com", Audience: "a", AddressClaim: "email"})
	both := []*directory.Organization{{AcceptedDomains: []directory.AcceptedDomain{{DomainName: "contoso.com"}}}, {AcceptedDomains: []directory.AcceptedDomain{{DomainName: "fabrikam.com"}}}}
	if got := u.AuthorizationURI(both); got != "" {
		t.Errorf("two providers: %q", got)
	}
}
