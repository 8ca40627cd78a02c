package trust

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
	"busybridge/internal/spec/smtpaddr"
)

// A TokenEndpoint asks an authorization server for a token. An OAuth error is an
// *acs.Error. See authorityclient.Client.
type TokenEndpoint interface {
	RequestToken(ctx context.Context, url string, req acs.TokenRequest) (*acs.TokenResponse, error)
}

// A RequestError says at which step a token could not be had.
type RequestError struct {
	Step        string // "choose issuer", "sign assertion", "request token", "read token"
	AuthServer  string // name; empty before one is chosen
	Code        string // of the authorization server's OAuth error, if it gave one
	Description string
	Err         error
}

// Error uses the words of Exchange for an OAuth error (oauth-s2s 3.3).
func (e *RequestError) Error() string {
	at := e.Step
	if e.AuthServer != "" {
		at = fmt.Sprintf("%s from %q", at, e.AuthServer)
	}
	if e.Code != "" {
		return at + ": " + e.Reason()
	}
	return fmt.Sprintf("%s: %v", at, e.Err)
}

// Reason is what Exchange says of it: without step and server, and without
// details of our own certificates.
func (e *RequestError) Reason() string {
	switch {
	case e.Code != "":
		return fmt.Sprintf("Unable to get the token from Auth Server. Error code: '%s'. Description: '%s'.", e.Code, e.Description)
	case errors.Is(e.Err, ErrNoCertificate):
		return "Missing signing certificate."
	}
	return strings.TrimPrefix(e.Err.Error(), ErrNoIssuer.Error()+": ")
}

func (e *RequestError) Unwrap() error { return e.Err }

// A User is whom an outer token speaks for (oauth-s2s 4.3).
type User struct {
	UPN, SMTP, SIP string
	NameID, NII    string // name identifier and its issuer; both may be empty
}

func (u *User) domain() string {
	for _, s := range []string{u.SMTP, u.UPN} {
		if a, err := smtpaddr.Parse(s); err == nil {
			return a.Domain()
		}
	}
	return ""
}

// A TokensConfig is what Tokens needs.
type TokensConfig struct {
	Endpoint TokenEndpoint    // required
	Now      func() time.Time // required
	Log      *slog.Logger     // required
	// MaxTokens bounds the actor tokens and the challenges kept; default 4096.
	MaxTokens int
	// AssertionLifetime is exp - nbf of an assertion; default 5 minutes.
	AssertionLifetime time.Duration
	// OuterLifetime is exp - nbf of an outer token; default 8 hours, as Exchange.
	OuterLifetime time.Duration
}

// renewBefore is how long before its expiry a cached actor token is replaced.
const renewBefore = 5 * time.Minute

// Tokens gets tokens for the requests of organizations to others. Actor tokens
// are kept until five minutes before they expire; of many callers that need the
// same one a single request goes out. It is safe for concurrent use.
type Tokens struct {
	cfg        TokensConfig
	signers    signers
	actors     *recent[actorKey, actorToken]
	challenges *recent[string, acs.Challenge] // by scheme and host, see Transport

	mu      sync.Mutex
	flights map[actorKey]*flight // guarded by mu
}

// An actorKey is what a cached actor token is for. The endpoint stands for the
// authorization server.
type actorKey struct {
	org                             directory.OrgID
	endpoint, tenant, pid, audience string
}

type actorToken struct {
	text    string
	nameid  string // who the token says we are: the iss of outer tokens
	expires time.Time
}

// A flight is one request for an actor token that is under way.
type flight struct {
	done  chan struct{}
	token actorToken
	err   error
	// abandoned: the caller that made the request gave up, its error is its own.
	abandoned bool
}

// NewTokens checks the configuration.
func NewTokens(cfg TokensConfig) (*Tokens, error) {
	if cfg.Endpoint == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("trust: Tokens needs Endpoint, Now and Log")
	}
	if cfg.MaxTokens <= 0 {
		cfg.MaxTokens = 4096
	}
	cfg.AssertionLifetime = orDefault(cfg.AssertionLifetime, 5*time.Minute)
	cfg.OuterLifetime = orDefault(cfg.OuterLifetime, 8*time.Hour)
	return &Tokens{cfg: cfg, signers: newSigners(), actors: newRecent[actorKey, actorToken](cfg.MaxTokens/2 + 1),
		challenges: newRecent[string, acs.Challenge](cfg.MaxTokens/2 + 1), flights: make(map[actorKey]*flight)}, nil
}

// Bearer returns a token of org for the resource at host (without port, or with
// one that is not 443) that answered with ch: an outer token that speaks for as,
// or the actor token by itself when as is nil. Errors are *RequestError; they
// wrap ErrNoIssuer, ErrNoCertificate, an *acs.Error or what the endpoint gave.
func (t *Tokens) Bearer(ctx context.Context, org *directory.Organization, ch acs.Challenge, host string, as *User) (string, error) {
	return t.bearer(ctx, org, ch, host, as, false, nil)
}

// bearer is Bearer with a trace, which may be nil. Fresh tells it to use no
// actor token that is kept.
func (t *Tokens) bearer(ctx context.Context, org *directory.Organization, ch acs.Challenge, host string, as *User, fresh bool, trace *Trace) (string, error) {
	key, server, err := t.keyFor(org, ch, host, as, trace)
	if err != nil {
		return "", err
	}
	var actor actorToken
	if fresh {
		t.actors.drop(key)
		if actor, err = t.request(ctx, org, server, key, trace); err == nil {
			t.actors.put(key, actor)
		}
	} else {
		actor, err = t.actor(ctx, org, server, key, trace)
	}
	if err != nil {
		trace.refused(err)
		return "", err
	}
	if as == nil {
		return actor.text, nil
	}
	return t.outer(actor, key.audience, as), nil
}

// Forget drops the cached actor token that Bearer would use: the resource has
// refused it.
func (t *Tokens) Forget(org *directory.Organization, ch acs.Challenge, host string, as *User) {
	if key, _, err := t.keyFor(org, ch, host, as, nil); err == nil {
		t.actors.drop(key)
	}
}

func (t *Tokens) keyFor(org *directory.Organization, ch acs.Challenge, host string, as *User, trace *Trace) (actorKey, *directory.AuthServer, error) {
	domain := ""
	if as != nil {
		domain = as.domain()
	}
	server, err := chooseIssuer(org, ch, domain, trace)
	if err != nil {
		return actorKey{}, nil, &RequestError{Step: "choose issuer", Err: err}
	}
	tenant := realmAt(org, server)
	audience := acs.Audience{PID: ch.ClientID, Host: host, Realm: tenant}
	// The challenge is the resource's word: do not carry rubbish into a request.
	resource := audience.String()
	if parsed, err := acs.ParseAudience(resource); err != nil || parsed != audience {
		return actorKey{}, nil, &RequestError{Step: "choose issuer", AuthServer: server.Name,
			Err: fmt.Errorf("challenge of %q names client_id %q", host, ch.ClientID)}
	}
	trace.chosen(org, server, tenant, resource, domain)
	return actorKey{org.ID, server.TokenIssuingEndpoint, tenant, serviceName(org), resource}, server, nil
}

// actor returns the cached actor token, waits for the request under way, or
// makes the request. When the caller that makes it gives up, another one of
// those who wait goes on.
func (t *Tokens) actor(ctx context.Context, org *directory.Organization, server *directory.AuthServer, key actorKey, trace *Trace) (actorToken, error) {
	for {
		t.mu.Lock()
		if a, ok := t.actors.get(key); ok && t.cfg.Now().Before(a.expires.Add(-renewBefore)) {
			t.mu.Unlock()
			return a, nil
		}
		f := t.flights[key]
		if f == nil {
			f = &flight{done: make(chan struct{})}
			t.flights[key] = f
			t.mu.Unlock()
			return t.fly(ctx, org, server, key, f, trace)
		}
		t.mu.Unlock()
		select {
		case <-f.done:
			if !f.abandoned {
				return f.token, f.err
			}
		case <-ctx.Done():
			return actorToken{}, &RequestError{Step: "request token", AuthServer: server.Name, Err: context.Cause(ctx)}
		}
	}
}

func (t *Tokens) fly(ctx context.Context, org *directory.Organization, server *directory.AuthServer, key actorKey, f *flight, trace *Trace) (actorToken, error) {
	defer func() {
		t.mu.Lock()
		delete(t.flights, key)
		t.mu.Unlock()
		close(f.done)
	}()
	f.abandoned = true // also when request panics
	token, err := t.request(ctx, org, server, key, trace)
	f.token, f.err, f.abandoned = token, err, err != nil && ctx.Err() != nil
	if err == nil {
		t.actors.put(key, token)
	}
	return token, err
}

// request signs an assertion (oauth-s2s 3.1) and exchanges it (3.2).
func (t *Tokens) request(ctx context.Context, org *directory.Organization, server *directory.AuthServer, key actorKey, trace *Trace) (actorToken, error) {
	now := t.cfg.Now()
	g, err := t.signers.current(org, now)
	if err != nil {
		return actorToken{}, &RequestError{Step: "sign assertion", AuthServer: server.Name, Err: err}
	}
	audience, err := assertionAudience(server, key.tenant)
	if err != nil {
		return actorToken{}, &RequestError{Step: "sign assertion", AuthServer: server.Name, Err: err}
	}
	var w jose.Writer
	w.Text("aud", audience).Text("iss", acs.PrincipalName{PID: key.pid, Realm: key.tenant}.String())
	w.Text("nbf", unixText(now)).Text("exp", unixText(now.Add(t.cfg.AssertionLifetime)))
	assertion, err := jose.SignRS256(g.key, g.x5t, "", &w)
	if err != nil {
		return actorToken{}, &RequestError{Step: "sign assertion", AuthServer: server.Name, Err: err}
	}
	trace.requesting(key.endpoint, key.audience)
	req := acs.TokenRequest{GrantType: acs.GrantJWTBearer, Assertion: assertion, Resource: key.audience}
	if trace != nil {
		req.CorrelationID = trace.RequestID
	}
	resp, err := t.cfg.Endpoint.RequestToken(ctx, key.endpoint, req)
	if err != nil {
		e := &RequestError{Step: "request token", AuthServer: server.Name, Err: err}
		if oauth, ok := errors.AsType[*acs.Error](err); ok {
			e.Code, e.Description = oauth.Code, oauth.Description
		}
		return actorToken{}, e
	}
	a, err := readActor(resp, key.audience, now)
	if err != nil {
		return actorToken{}, &RequestError{Step: "read token", AuthServer: server.Name, Err: err}
	}
	t.cfg.Log.DebugContext(ctx, "actor token issued", "authServer", server.Name, "resource", key.audience, "expires", a.expires)
	return a, nil
}

// readActor checks that the token is for what was asked, so that a wrong one is
// not carried to a resource, and takes the earlier of the two expiries.
func readActor(resp *acs.TokenResponse, audience string, now time.Time) (actorToken, error) {
	token, err := jose.ParseUnverified(resp.AccessToken)
	if err != nil {
		return actorToken{}, err
	}
	if aud, _ := token.Claims.Text("aud"); aud != audience {
		return actorToken{}, fmt.Errorf("token is for %q, asked for %q", aud, audience)
	}
	nameid, ok := token.Claims.Text("nameid")
	if !ok {
		return actorToken{}, errors.New("token has no nameid")
	}
	_, exp, err := token.Times()
	if err != nil {
		return actorToken{}, err
	}
	expires := resp.ExpiresOn
	if expires.IsZero() {
		expires = now.Add(resp.ExpiresIn)
	}
	if exp.Before(expires) {
		expires = exp
	}
	if !now.Before(expires) {
		return actorToken{}, fmt.Errorf("token has expired at %s", expires.Format(time.RFC3339))
	}
	return actorToken{resp.AccessToken, nameid, expires}, nil
}

// outer wraps an actor token (oauth-s2s 4.3), with the times as strings.
func (t *Tokens) outer(actor actorToken, audience string, as *User) string {
	now := t.cfg.Now()
	var w jose.Writer
	w.Text("aud", audience).Text("iss", actor.nameid)
	w.Text("nbf", unixText(now)).Text("exp", unixText(now.Add(t.cfg.OuterLifetime)))
	for _, m := range [...][2]string{{"nameid", as.NameID}, {"nii", as.NII}, {"upn", as.UPN}, {"smtp", as.SMTP}, {"sip", as.SIP}} {
		if m[1] != "" {
			w.Text(m[0], m[1])
		}
	}
	return jose.Unsigned(w.Text("actortoken", actor.text))
}

// assertionAudience is the audience of s for the tenant: one that its metadata
// lists, else issuer and host of its token endpoint.
func assertionAudience(s *directory.AuthServer, tenant string) (string, error) {
	for _, a := range s.AllowedAudiences {
		if strings.HasSuffix(a, "@"+tenant) {
			return a, nil
		}
	}
	u, err := url.Parse(s.TokenIssuingEndpoint)
	if err != nil || u.Hostname() == "" {
		return "", fmt.Errorf("auth server has no token endpoint: %q", s.TokenIssuingEndpoint)
	}
	return acs.Audience{PID: s.IssuerIdentifier, Host: u.Hostname(), Realm: tenant}.String(), nil
}

func unixText(t time.Time) string { return fmt.Sprint(t.Unix()) }
