package trust

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
	"busybridge/internal/spec/oidc"
	"busybridge/internal/spec/smtpaddr"
)

// A TokenEndpoint asks an authorization server for a token. An OAuth error is an
// *acs.Error. See authorityclient.Client.
type TokenEndpoint interface {
	RequestToken(ctx context.Context, url string, req acs.TokenRequest) (*acs.TokenResponse, error)
	// RequestApplicationToken asks Entra, whose answer has the same members.
	RequestApplicationToken(ctx context.Context, url string, req oidc.TokenRequest) (*acs.TokenResponse, error)
}

// A RequestError says at which step a token could not be had.
type RequestError struct {
	Step        string // "choose issuer", "sign assertion", "sign token", "request token", "read token"
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
// are kept until they expire, and renewed in the five minutes before; of many
// callers that need the same one a single request goes out. It is safe for concurrent use.
type Tokens struct {
	cfg        TokensConfig
	signers    signers
	actors     *recent[actorKey, actorToken]
	challenges *recent[string, acs.Challenge] // by scheme and host, see Transport
	bearers    *recent[bearerKey, bearer]
	forgotten  atomic.Uint64 // actor tokens: no bearer from before counts

	mu      sync.Mutex
	flights map[actorKey]*flight // guarded by mu
	wg      sync.WaitGroup       // of renewals
}

// An actorKey is what a cached actor token is for. The authority is the issuer;
// of a token that the organization issues itself it is the x5t of the certificate.
type actorKey struct {
	org                              directory.OrgID
	authority, tenant, pid, audience string
}

// A purpose is what a token is wanted for.
type purpose struct {
	org  *directory.Organization
	ch   acs.Challenge // of the resource
	host string        // of the resource, without port, or with one that is not 443
	as   *User         // nil: the token speaks for nobody
	// app is the server of Entra whose application of ours asks; nil: none.
	app *directory.AuthServer
}

// A way is how a token for a purpose is had: who issues it.
type way struct {
	key    actorKey
	org    *directory.Organization
	server *directory.AuthServer // nil: the organization itself
	sign   *signer               // only then
	// endpoint is where the server issues tokens.
	endpoint string
}

// issuer is the name of the authorization server, for errors.
func (w *way) issuer() string {
	if w.server == nil {
		return ""
	}
	return w.server.Name
}

type actorToken struct {
	text    string
	nameid  string // who the token says we are: the iss of outer tokens
	expires time.Time
	renew   time.Time // from when on a new one is asked for, see usable
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
		challenges: newRecent[string, acs.Challenge](cfg.MaxTokens/2 + 1),
		bearers:    newRecent[bearerKey, bearer](maxBearers), flights: make(map[actorKey]*flight)}, nil
}

// Bearer returns a token of org for the resource at host (without port, or with
// one that is not 443) that answered with ch: an outer token that speaks for as,
// or the actor token by itself when as is nil. Errors are *RequestError; they
// wrap ErrNoIssuer, ErrNoCertificate, an *acs.Error or what the endpoint gave.
func (t *Tokens) Bearer(ctx context.Context, org *directory.Organization, ch acs.Challenge, host string, as *User) (string, error) {
	return t.bearer(ctx, &purpose{org: org, ch: ch, host: host, as: as}, false, nil)
}

// bearer is Bearer with a trace, which may be nil. Fresh tells it to use no
// actor token that is kept.
func (t *Tokens) bearer(ctx context.Context, p *purpose, fresh bool, trace *Trace) (string, error) {
	remember := !fresh && trace == nil && p.app == nil && p.as != nil
	if remember {
		if text, ok := t.bearerKnown(p); ok {
			return text, nil
		}
	}
	forgotten := t.forgotten.Load()
	w, err := t.wayFor(p, trace)
	if err != nil {
		return "", err
	}
	var actor actorToken
	if fresh {
		// What is kept stays when this fails: others live on it.
		if actor, err = t.issue(ctx, w, trace); err == nil {
			err = t.keep(w, actor)
		}
	} else {
		actor, err = t.actor(ctx, w, trace)
	}
	if err != nil {
		trace.refused(err)
		return "", err
	}
	if p.as == nil || p.app != nil { // an application of Entra says in its request whom it acts for
		return actor.text, nil
	}
	text := t.outer(actor, w.key.audience, p.as)
	if remember {
		t.keepBearer(p, text, actor.renew, forgotten)
	}
	return text, nil
}

// Forget drops the cached actor token that Bearer would use: the resource has
// refused it.
func (t *Tokens) Forget(org *directory.Organization, ch acs.Challenge, host string, as *User) {
	t.forget(&purpose{org: org, ch: ch, host: host, as: as})
}

func (t *Tokens) forget(p *purpose) {
	if w, err := t.wayFor(p, nil); err == nil {
		t.actors.drop(w.key)
	}
	t.forgotten.Add(1)
}

// wayFor chooses who issues the token (oauth-s2s 2.2): Entra, where an
// application of ours there is to ask; else an authorization server that both
// sides trust; else the organization itself, where the resource trusts it.
func (t *Tokens) wayFor(p *purpose, trace *Trace) (*way, error) {
	if p.app != nil {
		return applicationWay(p, trace)
	}
	domain := ""
	if p.as != nil {
		domain = p.as.domain()
	}
	server, err := chooseIssuer(p.org, p.ch, domain, trace)
	if err != nil {
		if p.trustsUs() {
			return t.directWay(p, trace)
		}
		trace.noIssuer(p.ch)
		return nil, &RequestError{Step: "choose issuer", Err: err}
	}
	tenant := realmAt(p.org, server)
	resource, err := p.resource(tenant)
	if err != nil {
		return nil, &RequestError{Step: "choose issuer", AuthServer: server.Name, Err: err}
	}
	trace.chosen(p.org, server, tenant, resource, domain)
	return &way{actorKey{p.org.ID, issuerKey(server), tenant, serviceName(p.org), resource}, p.org, server, nil, server.TokenIssuingEndpoint}, nil
}

// resource is the audience of a token for the purpose. The challenge is the
// resource's word: rubbish in it is not carried into a request.
func (p *purpose) resource(realm string) (string, error) {
	audience := acs.Audience{PID: p.ch.ClientID, Host: p.host, Realm: realm}
	resource := audience.String()
	if parsed, err := acs.ParseAudience(resource); err != nil || parsed != audience {
		return "", fmt.Errorf("challenge of %q names client_id %q, realm %q", p.host, p.ch.ClientID, p.ch.Realm)
	}
	return resource, nil
}

// actor returns the cached actor token, waits for the request under way, or
// makes the request. When the caller that makes it gives up, another one of
// those who wait goes on.
func (t *Tokens) actor(ctx context.Context, w *way, trace *Trace) (actorToken, error) {
	key := w.key
	for {
		t.mu.Lock()
		if a, ok := t.usable(ctx, w); ok {
			t.mu.Unlock()
			return a, nil
		}
		f := t.flights[key]
		if f == nil {
			f = &flight{done: make(chan struct{})}
			t.flights[key] = f
			t.mu.Unlock()
			return t.fly(ctx, w, f, trace)
		}
		t.mu.Unlock()
		select {
		case <-f.done:
			if !f.abandoned {
				return f.token, f.err
			}
		case <-ctx.Done():
			return actorToken{}, &RequestError{Step: "request token", AuthServer: w.issuer(), Err: context.Cause(ctx)}
		}
	}
}

func (t *Tokens) fly(ctx context.Context, w *way, f *flight, trace *Trace) (actorToken, error) {
	defer func() {
		t.mu.Lock()
		delete(t.flights, w.key)
		t.mu.Unlock()
		close(f.done)
	}()
	f.abandoned = true // also when request panics
	token, err := t.issue(ctx, w, trace)
	if err == nil {
		err = t.keep(w, token)
	}
	if err != nil {
		t.postpone(w.key)
	}
	f.token, f.err, f.abandoned = token, err, err != nil && ctx.Err() != nil
	return token, err
}

// issue has the token made, in its way.
func (t *Tokens) issue(ctx context.Context, w *way, trace *Trace) (actorToken, error) {
	switch {
	case w.server == nil:
		return t.selfIssue(w)
	case w.server.Type == directory.AuthServerAzureAD:
		return t.requestApplication(ctx, w, trace)
	}
	return t.request(ctx, w, trace)
}

// request signs an assertion (oauth-s2s 3.1) and exchanges it (3.2).
func (t *Tokens) request(ctx context.Context, by *way, trace *Trace) (actorToken, error) {
	now, server, key := t.cfg.Now(), by.server, by.key
	g, err := t.signers.current(by.org, now)
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
	trace.requesting(by.endpoint, key.audience)
	req := acs.TokenRequest{GrantType: acs.GrantJWTBearer, Assertion: assertion, Resource: key.audience}
	if trace != nil {
		req.CorrelationID = trace.RequestID
	}
	resp, err := t.cfg.Endpoint.RequestToken(ctx, by.endpoint, req)
	if err != nil {
		return actorToken{}, refusedBy(server, err)
	}
	a, err := readActor(resp, key.audience, now)
	if err != nil {
		return actorToken{}, &RequestError{Step: "read token", AuthServer: server.Name, Err: err}
	}
	t.cfg.Log.DebugContext(ctx, "actor token issued", "authServer", server.Name, "resource", key.audience, "expires", a.expires)
	return a, nil
}

// refusedBy is the error of a request for a token that failed.
func refusedBy(server *directory.AuthServer, err error) *RequestError {
	e := &RequestError{Step: "request token", AuthServer: server.Name, Err: err}
	if oauth, ok := errors.AsType[*acs.Error](err); ok {
		e.Code, e.Description = oauth.Code, oauth.Description
	}
	return e
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
	expires, err := expiryOf(token, resp, now)
	return actorToken{text: resp.AccessToken, nameid: nameid, expires: expires}, err
}

// expiryOf is the earlier of what the token and the answer say.
func expiryOf(token *jose.Token, resp *acs.TokenResponse, now time.Time) (time.Time, error) {
	_, exp, err := token.Times()
	if err != nil {
		return exp, err
	}
	expires := resp.ExpiresOn
	if expires.IsZero() {
		expires = now.Add(resp.ExpiresIn)
	}
	if exp.Before(expires) {
		expires = exp
	}
	if !now.Before(expires) {
		return expires, fmt.Errorf("token has expired at %s", expires.Format(time.RFC3339))
	}
	return expires, nil
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
