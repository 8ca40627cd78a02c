package trust

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	gojose "github.com/go-jose/go-jose/v4"

	"busybridge/internal/directory"
	"busybridge/internal/spec/jose"
	"busybridge/internal/spec/smtpaddr"
)

// ErrNotUserToken: no provider of the organizations made the token.
var ErrNotUserToken = errors.New("not a token of a user")

// A UserIssuer is the OpenID provider of an organization's users.
type UserIssuer struct {
	Domain   string // an accepted domain of the organization
	Issuer   string // https URL, exactly as in tokens
	Audience string // one of aud
	// AddressClaim holds the user's address: "email", which counts only together
	// with email_verified, or what else the provider vouches for, such as "upn".
	AddressClaim string
}

// Documents fetches JSON over verified TLS, within a bound of its own.
type Documents interface {
	FetchJSON(ctx context.Context, address string) ([]byte, error)
}

// A UserTokensConfig is what UserTokens needs.
type UserTokensConfig struct {
	Issuers   []UserIssuer
	Documents Documents        // required
	Now       func() time.Time // required
	Log       *slog.Logger     // required
	// Ticks wake Run; default MachineTicks.
	Ticks Ticks
}

// UserTokens checks bearer tokens of users: ID tokens and JWT access tokens (RFC
// 9068) of OpenID providers. It is safe for concurrent use.
type UserTokens struct {
	cfg  UserTokensConfig
	keys map[string]*providerKeys // by issuer
}

// A UserToken is whom an accepted token speaks for.
type UserToken struct {
	Org     *directory.Organization
	Issuer  string
	Subject string
	Address smtpaddr.Address // in an accepted domain of Org
	Expires time.Time
}

// Unknown is the refusal of a user who is not there.
func (u *UserToken) Unknown() error { return checkUser.fails("", nil) }

// userAlgorithms are those that a provider may sign with.
var userAlgorithms = []string{string(gojose.RS256), string(gojose.PS256), string(gojose.ES256)}

// NewUserTokens checks the configuration. It asks no provider.
func NewUserTokens(cfg UserTokensConfig) (*UserTokens, error) {
	if cfg.Documents == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("trust: UserTokens need Documents, Now and Log")
	}
	if cfg.Ticks == nil {
		cfg.Ticks = MachineTicks
	}
	u := &UserTokens{cfg: cfg, keys: make(map[string]*providerKeys)}
	for _, i := range cfg.Issuers {
		if i.Domain == "" || i.Issuer == "" || i.Audience == "" || i.AddressClaim == "" {
			return nil, fmt.Errorf("trust: provider %q of %q needs Domain, Issuer, Audience and AddressClaim", i.Issuer, i.Domain)
		}
		if u.keys[i.Issuer] == nil {
			u.keys[i.Issuer] = &providerKeys{issuer: i.Issuer, cfg: &u.cfg}
		}
	}
	return u, nil
}

// Run reads what the providers publish until ctx ends, so that nobody has to wait
// for it: at the start, and again before it is too old.
func (u *UserTokens) Run(ctx context.Context) error {
	tick, stop := u.cfg.Ticks(providerPause)
	defer stop()
	for {
		for _, p := range u.keys {
			if ctx.Err() == nil {
				_, _ = p.get(ctx, false) // which logs it; who needs the keys is told
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
}

// AuthorizationURI is where users of the organizations sign in: what their provider
// publishes as authorization_endpoint. "": they have none, several, or it was not
// read yet.
func (u *UserTokens) AuthorizationURI(orgs []*directory.Organization) string {
	found := ""
	for i := range u.cfg.Issuers {
		issuer := &u.cfg.Issuers[i]
		if issuer.Issuer == found || !slices.ContainsFunc(orgs, func(o *directory.Organization) bool { return accepts(o, issuer.Domain) }) {
			continue
		}
		if found != "" {
			return ""
		}
		found = issuer.Issuer
	}
	if found == "" {
		return ""
	}
	return u.keys[found].authorizationURI()
}

// Validate returns whom the token speaks for at a host that serves orgs. A
// refused token is a *TokenError; ErrNotUserToken is for others to check.
func (u *UserTokens) Validate(ctx context.Context, token string, orgs []*directory.Organization) (*UserToken, error) {
	t, err := jose.ParseUnverified(token) // strict: size, base64, no member twice
	if err != nil {
		return nil, ErrNotUserToken
	}
	iss, _ := t.Claims.Text("iss")
	if u.keys[iss] == nil {
		return nil, ErrNotUserToken
	}
	// The same issuer may serve several organizations, each with its audience.
	refused := ErrNotUserToken
	for i := range u.cfg.Issuers {
		issuer := &u.cfg.Issuers[i]
		at := slices.IndexFunc(orgs, func(o *directory.Organization) bool { return accepts(o, issuer.Domain) })
		if issuer.Issuer != iss || at < 0 {
			continue
		}
		if !hasAudience(t, issuer.Audience) {
			// An application's token of the same issuer is for the Validator.
			if !trustsIssuer(orgs[at], iss) && errors.Is(refused, ErrNotUserToken) {
				aud, _ := t.Claims.Text("aud")
				refused = checkAudience.fails("aud", nil, aud)
			}
			continue
		}
		user, err := u.check(ctx, token, t, issuer, orgs[at])
		if err == nil {
			return user, nil
		}
		refused = err
	}
	return nil, refused
}

// accepts reports whether the domain itself is one of the organization's.
func accepts(o *directory.Organization, domain string) bool {
	return slices.ContainsFunc(o.AcceptedDomains, func(d directory.AcceptedDomain) bool { return d.DomainName == domain })
}

func trustsIssuer(o *directory.Organization, iss string) bool {
	return slices.ContainsFunc(o.AuthServers, func(s directory.AuthServer) bool { return s.Enabled && s.IssuerIdentifier == iss })
}

// hasAudience reads aud, which is a text or a list of texts (RFC 7519 4.1.3).
func hasAudience(t *jose.Token, want string) bool {
	v, ok := t.Claims.Get("aud")
	if !ok {
		return false
	}
	if s, ok := v.Text(); ok {
		return s == want
	}
	list, _ := v.Texts()
	return slices.Contains(list, want)
}

func (u *UserTokens) check(ctx context.Context, token string, t *jose.Token, issuer *UserIssuer, org *directory.Organization) (*UserToken, error) {
	switch typ, _ := t.Header.Text("typ"); strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "", "jwt", "at+jwt":
	default: // a logout token, say, is signed by the same key
		return nil, checkJSON.fails("typ", nil)
	}
	if !slices.Contains(userAlgorithms, t.Algorithm()) {
		return nil, checkAlgorithm.fails("alg", nil)
	}
	keys := &keySet{of: u.keys[issuer.Issuer]}
	verifier := oidc.NewVerifier(issuer.Issuer, keys, &oidc.Config{ClientID: issuer.Audience, SupportedSigningAlgs: userAlgorithms, Now: u.cfg.Now})
	id, err := verifier.Verify(ctx, token)
	expired, isExpired := errors.AsType[*oidc.TokenExpiredError](err)
	switch {
	case keys.failed != nil:
		return nil, fmt.Errorf("validate token of a user: %w", keys.failed)
	case errors.Is(keys.refused, errUnknownKey):
		return nil, checkKey.fails("kid", keys.refused)
	case keys.refused != nil:
		return nil, checkSignature.fails("", keys.refused)
	case isExpired:
		return nil, checkTime.fails("exp", expired)
	case err != nil: // what is left of Verify's checks: nbf, and claims of a wrong type
		if nbf, failed := t.Claims.Time("nbf"); failed == nil && u.cfg.Now().Before(nbf) {
			return nil, checkTime.fails("nbf", err)
		}
		return nil, checkJSON.fails("", err)
	}
	text, _ := t.Claims.Text(issuer.AddressClaim)
	if verified, _ := t.Claims.Get("email_verified"); issuer.AddressClaim == "email" && !verified.IsTrue() {
		return nil, checkUser.fails("email_verified", errors.New("the provider does not say that the address was verified"))
	}
	a, err := smtpaddr.Parse(text)
	if err != nil {
		return nil, checkUser.fails(issuer.AddressClaim, err)
	}
	if !org.Accepts(a.Domain()) {
		return nil, checkUser.fails(issuer.AddressClaim, fmt.Errorf("%s is no accepted domain of %s", a.Domain(), org.Name))
	}
	return &UserToken{Org: org, Issuer: id.Issuer, Subject: id.Subject, Address: a, Expires: id.Expiry}, nil
}

// How long the keys of a provider are used.
const (
	providerRefresh = time.Hour        // they are read again
	providerKeep    = 24 * time.Hour   // the last good ones count while the provider does not answer
	providerPause   = time.Minute      // between two attempts, whatever tokens ask for
	providerWait    = 10 * time.Second // for the provider
	maxProviderKeys = 64
)

var (
	errUnknownKey = errors.New("the provider has no such key")
	errWrongKey   = errors.New("the signature does not verify")
)

// A keySet verifies one token with the keys of a provider. Verify of go-oidc
// keeps only the text of an error, so it is told here.
type keySet struct {
	of      *providerKeys
	refused error // the token's fault
	failed  error // the provider's, or ours
}

// VerifySignature implements oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.RS256, gojose.PS256, gojose.ES256})
	if err != nil {
		k.refused = err
		return nil, err
	}
	header := jws.Signatures[0].Header
	for _, force := range []bool{false, true} {
		keys, err := k.of.get(ctx, force)
		if err != nil {
			k.failed = err
			return nil, err
		}
		k.refused = errUnknownKey
		for _, key := range keys {
			if header.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
				continue
			}
			if payload, err := jws.Verify(key.Key); err == nil {
				k.refused = nil
				return payload, nil
			}
			k.refused = errWrongKey
		}
		if !errors.Is(k.refused, errUnknownKey) {
			break
		}
	}
	return nil, k.refused
}

// providerKeys are the signing keys of a provider, read by OpenID Discovery.
type providerKeys struct {
	issuer string
	cfg    *UserTokensConfig

	mu      sync.Mutex
	keys    []gojose.JSONWebKey // guarded by mu; replaced whole
	read    time.Time           // when keys were; guarded by mu
	tried   time.Time           // when that was last tried; guarded by mu
	err     error               // of the last try; guarded by mu
	signIn  string              // authorization_endpoint; guarded by mu
	reading chan struct{}       // closed when the try that goes on has ended; nil: none does; guarded by mu
}

// get returns the keys, reading them where that is due, or asked for by force.
// One reads, for all; who has keys that still count does not wait for it.
func (p *providerKeys) get(ctx context.Context, force bool) ([]gojose.JSONWebKey, error) {
	now := p.cfg.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	usable := func() bool { return p.keys != nil && now.Sub(p.read) < providerKeep }
	due := force || p.keys == nil || now.Sub(p.read) >= providerRefresh
	switch {
	case due && p.reading == nil && now.Sub(p.tried) >= providerPause:
		p.tried, p.reading = now, make(chan struct{})
		p.mu.Unlock()
		keys, signIn, err := p.fetch(context.WithoutCancel(ctx)) // others wait for it
		p.mu.Lock()
		if p.err = err; err == nil {
			p.keys, p.signIn, p.read = keys, signIn, now
		} else {
			p.cfg.Log.WarnContext(ctx, "keys of an OpenID provider could not be read", "issuer", p.issuer, "err", err)
		}
		close(p.reading)
		p.reading = nil
	case p.reading != nil && (force || !usable()):
		reading := p.reading
		p.mu.Unlock()
		var err error
		select {
		case <-reading:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		p.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
	if !usable() {
		return nil, fmt.Errorf("keys of %s: %w", p.issuer, p.err)
	}
	return p.keys, nil
}

func (p *providerKeys) authorizationURI() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signIn
}

// fetch reads the document of the provider, and then its keys.
func (p *providerKeys) fetch(ctx context.Context) (keys []gojose.JSONWebKey, signIn string, err error) {
	ctx, cancel := context.WithTimeout(ctx, providerWait)
	defer cancel()
	data, err := p.cfg.Documents.FetchJSON(ctx, strings.TrimSuffix(p.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, "", err
	}
	at, signIn, err := parseProvider(data, p.issuer)
	if err != nil {
		return nil, "", err
	}
	if data, err = p.cfg.Documents.FetchJSON(ctx, at); err != nil {
		return nil, "", err
	}
	keys, err = parseProviderKeys(data)
	return keys, signIn, err
}

// maxSignInURI bounds authorization_endpoint: it goes into a header.
const maxSignInURI = 1024

// parseProvider returns jwks_uri of the document (OpenID Connect Discovery 4.3), and
// authorization_endpoint if it is an https URL that a header can hold.
func parseProvider(data []byte, issuer string) (keys, signIn string, err error) {
	o, err := jose.ParseObject(data)
	if err != nil {
		return "", "", fmt.Errorf("openid configuration: %w", err)
	}
	if iss, _ := o.Text("issuer"); iss != issuer {
		return "", "", fmt.Errorf("openid configuration: issuer is %q, want %q", clip(iss), issuer)
	}
	keys, _ = o.Text("jwks_uri")
	if !strings.HasPrefix(keys, "https://") {
		return "", "", fmt.Errorf("openid configuration: jwks_uri %q is no https URL", clip(keys))
	}
	if text, _ := o.Text("authorization_endpoint"); len(text) <= maxSignInURI {
		if at, err := url.Parse(text); err == nil && at.Scheme == "https" && at.Host != "" && at.User == nil {
			signIn = at.String()
		}
	}
	return keys, signIn, nil
}

// parseProviderKeys takes the public keys that sign, and leaves others: a set
// may hold keys of kinds that are not known here (RFC 7517 5).
func parseProviderKeys(data []byte) ([]gojose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if n := len(set.Keys); n > maxProviderKeys {
		return nil, fmt.Errorf("keys: %d, want at most %d", n, maxProviderKeys)
	}
	var keys []gojose.JSONWebKey
	for _, raw := range set.Keys {
		var k gojose.JSONWebKey
		if k.UnmarshalJSON(raw) != nil || k.Use != "" && k.Use != "sig" {
			continue
		}
		switch key := k.Key.(type) {
		case *rsa.PublicKey:
			if key.N.BitLen() < jose.MinModulus {
				continue
			}
		case *ecdsa.PublicKey:
		default:
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("keys: none that can sign tokens")
	}
	return keys, nil
}
