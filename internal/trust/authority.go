package trust

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/fedmeta"
	"busybridge/internal/spec/jose"
)

// Realms looks tenants up by GUID or by a verified domain, in lower case. An
// unknown one is directory.ErrNotFound.
type Realms interface {
	Realm(ctx context.Context, idOrDomain string) (*directory.Realm, error)
}

// An AuthorityConfig is what an Authority needs.
type AuthorityConfig struct {
	Realms    Realms                                                    // required
	Authority func(context.Context) (*directory.AuthorityConfig, error) // required
	Audit     audit.Recorder                                            // required
	Now       func() time.Time                                          // required
	Log       *slog.Logger                                              // required
	// ShowAllDomains lists every verified domain of a tenant in its metadata, as
	// ACS does. Otherwise a document names the GUID and the domain that was
	// asked for, for the list tells a stranger all domains of a tenant.
	ShowAllDomains bool
	// ReuseFor is how long the token issued to a principal for a resource is
	// handed out again instead of a new one; default 5 minutes, negative: never.
	// At least three quarters of its life are left then. What can change is checked
	// each time, any change of the realm ends it, and how often a token was handed
	// out again is recorded within a second: see Flush.
	ReuseFor time.Duration
	// MaxSigning bounds the signatures made at one time, so that cheap requests
	// find a processor; default GOMAXPROCS-1, at least 1.
	MaxSigning int
	// MaxWaiting bounds the requests that wait for a signature; more are
	// answered temporarily_unavailable. Default 256.
	MaxWaiting int
}

// Limits of the authority (oauth-s2s 3.1, 3.2).
const (
	maxAssertionLifetime = time.Hour
	authoritySkew        = 5 * time.Minute
	backdating           = 5 * time.Minute
	defaultTokenLifetime = 24 * time.Hour
)

// Refused requests that are kept in the audit, for anybody may send them.
const (
	refusalsPerSecond = 20
	refusalBurst      = 200
)

// An Authority is the authorization server: it publishes the metadata of its
// tenants and issues actor tokens to their service principals. It is safe for
// concurrent use.
type Authority struct {
	cfg        AuthorityConfig
	signers    signers
	verifiers  verifiers
	queue      *signingQueue
	records    gate                                  // of tokens that were issued
	assertions *recent[[sha256.Size]byte, time.Time] // seen, with their exp
	issued     *reuse
	handouts   *recent[fingerprint, *handout] // by request
	prints     *fingerprints
	tallies    tallies
	refusals   *rate.Limiter
	unkept     atomic.Int64 // refusals not kept since the last one that was
}

// NewAuthority checks the configuration.
func NewAuthority(cfg AuthorityConfig) (*Authority, error) {
	if cfg.Realms == nil || cfg.Authority == nil || cfg.Audit == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("trust: an Authority needs Realms, Authority, Audit, Now and Log")
	}
	if cfg.MaxSigning <= 0 {
		cfg.MaxSigning = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = 256
	}
	prints, err := newFingerprints()
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	return &Authority{cfg: cfg, signers: newSigners(), verifiers: newVerifiers(), prints: prints, handouts: newRecent[fingerprint, *handout](4096),
		queue: newSigningQueue(cfg.MaxSigning, cfg.MaxWaiting), assertions: newRecent[[sha256.Size]byte, time.Time](8192),
		issued:   newReuse(orDefault(cfg.ReuseFor, 5*time.Minute), 4096),
		refusals: rate.NewLimiter(refusalsPerSecond, refusalBurst)}, nil
}

// Serves reports what is served at host (lower case, without port): ACS at its own
// host, Entra ID at the login hosts. In some clouds they are one (oauth-s2s 0.2).
func (a *Authority) Serves(ctx context.Context, host string) (isACS, isLogin bool, err error) {
	cfg, err := a.cfg.Authority(ctx)
	if err != nil {
		return false, false, fmt.Errorf("authority: configuration: %w", err)
	}
	return servesACS(cfg, host), loginHost(cfg, host) != "", nil
}

func servesACS(cfg *directory.AuthorityConfig, host string) bool {
	return acs.SameHost(cfg.Cloud.ACSHost, host)
}

// loginHost is the login host that host is, or "". A cloud without an issuer of
// Entra's kind has none.
func loginHost(cfg *directory.AuthorityConfig, host string) string {
	at := slices.IndexFunc(cfg.Cloud.LoginHosts, func(h string) bool { return acs.SameHost(h, host) })
	if at < 0 || cfg.Cloud.V1IssuerBase == "" {
		return ""
	}
	return cfg.Cloud.LoginHosts[at]
}

// Metadata is the document of a tenant, which may be named by GUID or verified
// domain (oauth-s2s 1.1). An unknown tenant, and a host that is not the
// authorization server's, is directory.ErrNotFound.
func (a *Authority) Metadata(ctx context.Context, realm, host string) (*acs.Document, error) {
	cfg, err := a.cfg.Authority(ctx)
	if err != nil {
		return nil, fmt.Errorf("metadata of %q: %w", realm, err)
	}
	if !servesACS(cfg, host) {
		return nil, fmt.Errorf("metadata of %q: host %q is not that of ACS: %w", realm, host, directory.ErrNotFound)
	}
	realm = strings.ToLower(realm)
	r, err := a.cfg.Realms.Realm(ctx, realm)
	if err != nil {
		return nil, fmt.Errorf("metadata of %q: %w", realm, err)
	}
	c := cfg.Cloud
	d := &acs.Document{
		Version: "1.0", Realm: r.ID, Name: "sts",
		Issuer: acs.PrincipalName{PID: c.ACSPrincipalID, Realm: r.ID}.String(),
		Endpoints: []acs.Endpoint{{Location: "https://" + c.ACSHost + "/" + r.ID + "/tokens/OAuth/2",
			Protocol: "OAuth2", Usage: "issuance"}},
	}
	for _, v := range r.Domains {
		if a.cfg.ShowAllDomains || v.Name == realm {
			d.AllowedAudiences = append(d.AllowedAudiences, acs.Audience{PID: c.ACSPrincipalID, Host: c.ACSHost, Realm: v.Name}.String())
		}
	}
	d.AllowedAudiences = append(d.AllowedAudiences, acs.Audience{PID: c.ACSPrincipalID, Host: c.ACSHost, Realm: r.ID}.String())
	for i := range cfg.Certificates {
		d.Keys = append(d.Keys, acs.Key{Certificate: cfg.Certificates[i].DER})
	}
	return d, nil
}

// FederationMetadata is the document by which a tenant is known to readers of
// Entra's metadata (oauth-s2s 1.5): the login hosts publish it. The tenant may be
// named by GUID or verified domain; an unknown one, another host, and a cloud
// without issuer of this kind are directory.ErrNotFound.
func (a *Authority) FederationMetadata(ctx context.Context, realm, host string) (*fedmeta.Document, error) {
	cfg, err := a.cfg.Authority(ctx)
	if err != nil {
		return nil, fmt.Errorf("federation metadata of %q: %w", realm, err)
	}
	at := loginHost(cfg, host)
	if at == "" {
		return nil, fmt.Errorf("federation metadata of %q: there is none at host %q: %w", realm, host, directory.ErrNotFound)
	}
	r, err := a.cfg.Realms.Realm(ctx, strings.ToLower(realm))
	if err != nil {
		return nil, fmt.Errorf("federation metadata of %q: %w", realm, err)
	}
	d := &fedmeta.Document{ID: "_" + r.ID, EntityID: issuerV1(cfg, r.ID),
		Endpoint: "https://" + at + "/" + r.ID + "/wsfed"}
	for i := range cfg.Certificates {
		d.Certificates = append(d.Certificates, cfg.Certificates[i].DER)
	}
	return d, nil
}

// Issue answers a token request that was posted to the endpoint of a tenant, by
// the six duties of oauth-s2s 3.2. A refusal is an *acs.Error. What was issued
// or refused is recorded; when it cannot be, nothing is issued.
func (a *Authority) Issue(ctx context.Context, realm string, req acs.TokenRequest) (*acs.TokenResponse, error) {
	now := a.cfg.Now()
	cfg, err := a.cfg.Authority(ctx)
	if err != nil {
		return nil, fmt.Errorf("issue token: configuration: %w", err)
	}
	g := &grant{a: a, cfg: cfg, now: now, req: req}
	t, err := g.answer(ctx, realm, a.prints.ofAll("acs", realm, req.GrantType, req.Assertion, req.Resource, req.Realm), g.run)
	if err != nil {
		return nil, a.finish(ctx, g, err, cfg.Cloud.ACSHost)
	}
	return &acs.TokenResponse{TokenType: "Bearer", ExpiresIn: t.left(now), NotBefore: t.notBefore,
		ExpiresOn: t.expires, Resource: req.Resource, AccessToken: t.text}, nil
}

// answer is the token for a request that came before, or what run finds. Asked
// stands for the request.
func (g *grant) answer(ctx context.Context, path string, asked fingerprint, run func(ctx context.Context, path string) (*issuedToken, error)) (*issuedToken, error) {
	if t, err := g.again(ctx, path, asked); t != nil || err != nil {
		return t, err
	}
	t, err := run(ctx, path)
	if err == nil {
		g.remember(asked, t)
	}
	return t, err
}

// finish records a refusal, which err is, and completes it as an answer of host.
// Any other error comes back as one.
func (a *Authority) finish(ctx context.Context, g *grant, err error, host string) error {
	refusal, refused := errors.AsType[*acs.Error](err)
	if !refused {
		return fmt.Errorf("issue token: %w", err)
	}
	if a.refusals.AllowN(g.now, 1) {
		g.unkept = a.unkept.Swap(0)
		if err := a.record(ctx, g, refusal.Code+": "+refusal.Description); err != nil {
			return fmt.Errorf("refuse token: audit: %w", err)
		}
	} else {
		a.unkept.Add(1)
	}
	correlation := g.req.CorrelationID
	if uuid.Validate(correlation) != nil {
		correlation = uuid.NewString()
	}
	return refusal.Finish(uuid.NewString(), correlation, host, g.now)
}

// issueToken is the operation that is recorded.
const issueToken = "IssueToken"

// record keeps what was done for a grant, without the assertion.
func (a *Authority) record(ctx context.Context, g *grant, outcome string) error {
	after, err := json.Marshal(struct {
		Resource   string `json:"resource"`
		Thumbprint string `json:"thumbprint,omitempty"`
		Replayed   bool   `json:"replayed,omitempty"`
		Unkept     int64  `json:"refusalsNotKept,omitempty"`
	}{clip(g.req.Resource), g.thumbprint, g.replayed, g.unkept})
	if err != nil {
		return err
	}
	e := audit.Event{At: g.now, Actor: clip(g.caller), Operation: issueToken, Object: "Token " + clip(g.req.Resource),
		After: string(after), Outcome: outcome, RequestID: clip(g.req.CorrelationID), Routine: outcome == audit.Done}
	if g.realm != nil {
		e.Org = g.realm.ID
	}
	return a.cfg.Audit.Record(ctx, e)
}

// A grant is one request on its way through the duties.
type grant struct {
	a   *Authority
	cfg *directory.AuthorityConfig
	now time.Time
	req acs.TokenRequest

	realm      *directory.Realm
	caller     string // iss of the assertion, as claimed
	thumbprint string // hex, of the key that the assertion names
	replayed   bool
	until      time.Time // when the first of the checks of time that passed fails; see holds
	unkept     int64
}

func (g *grant) run(ctx context.Context, path string) (*issuedToken, error) {
	switch {
	case g.req.GrantType == "":
		return nil, missing("grant_type")
	case g.req.GrantType != acs.GrantJWTBearer && g.req.GrantType != acs.GrantJWTBearerRFC:
		return nil, deny(400, "unsupported_grant_type", fmt.Sprintf("AADSTS70003: The app requested an unsupported grant type '%s'.", clip(g.req.GrantType)), 70003)
	case g.req.Assertion == "":
		return nil, missing("assertion")
	case g.req.Resource == "":
		return nil, missing("resource")
	}
	if err := g.tenant(ctx, path); err != nil { // duty 1
		return nil, err
	}
	t, iss, err := g.assertion() // duty 2
	if err != nil {
		return nil, err
	}
	caller := principal(g.realm, iss.PID)
	if caller == nil {
		return nil, deny(400, "unauthorized_client", fmt.Sprintf("AADSTS700016: Application with identifier '%s' was not found in the directory '%s'.", iss.PID, g.realm.ID), 700016)
	}
	if err := g.credential(t, caller); err != nil { // duty 3
		return nil, err
	}
	if err := g.claims(t); err != nil { // duty 4
		return nil, err
	}
	if err := g.resource(); err != nil { // duty 5
		return nil, err
	}
	return g.issue(ctx, caller) // duty 6
}

// tenant finds the realm of the path; a realm parameter must name the same one.
func (g *grant) tenant(ctx context.Context, path string) error {
	r, err := g.a.cfg.Realms.Realm(ctx, strings.ToLower(path))
	if errors.Is(err, directory.ErrNotFound) {
		return deny(400, "invalid_request", fmt.Sprintf("AADSTS90002: Tenant '%s' not found.", clip(path)), 90002)
	}
	if err != nil {
		return err
	}
	g.realm = r
	if g.req.Realm != "" && !names(r, strings.ToLower(g.req.Realm)) {
		return g.disagrees("realm parameter", g.req.Realm)
	}
	return nil
}

func (g *grant) disagrees(what, realm string) error {
	return deny(400, "invalid_request", fmt.Sprintf("AADSTS90002: Tenant '%s' of the %s is not the tenant '%s' of the endpoint.", clip(realm), what, g.realm.ID), 90002)
}

// assertion reads the assertion and who it says it is from.
func (g *grant) assertion() (*jose.Token, acs.PrincipalName, error) {
	t, err := jose.ParseUnverified(g.req.Assertion)
	if err == nil {
		err = t.CheckHeader()
	}
	if err != nil {
		return nil, acs.PrincipalName{}, deny(400, "invalid_request", "AADSTS50027: JWT token is invalid or malformed.", 50027)
	}
	if t.Algorithm() != jose.RS256 {
		return nil, acs.PrincipalName{}, badClient("AADSTS50027: JWT token is invalid or malformed. [Reason - The algorithm is not RS256.]", 50027)
	}
	text, _ := t.Claims.Text("iss")
	g.caller = text
	iss, err := acs.ParsePrincipalName(text)
	if err != nil || !directory.IsGUID(iss.PID) || iss.PID == g.cfg.Cloud.ACSPrincipalID {
		return nil, iss, badClient(fmt.Sprintf("AADSTS50027: JWT token is invalid or malformed. [Reason - The issuer '%s' is no application of a tenant.]", clip(text)), 50027)
	}
	if !names(g.realm, iss.Realm) {
		return nil, iss, g.disagrees("assertion", iss.Realm)
	}
	return t, iss, nil
}

// credential finds the key among those of the principal and checks the signature.
func (g *grant) credential(t *jose.Token, p *directory.ServicePrincipal) error {
	sum, ok := t.X5T()
	if !ok {
		return badKey("The header has no x5t.")
	}
	if why := g.signedBy(t, p, sum[:], nil, jose.RS256); why != "" {
		return badKey(why)
	}
	return nil
}

// signedBy finds the key credential that is known by the SHA-1 and the SHA-256 of
// its certificate, one of which may be nil, and checks the signature. It returns
// what is wrong with it, or "".
func (g *grant) signedBy(t *jose.Token, p *directory.ServicePrincipal, sum, sum256 []byte, algorithms ...string) string {
	named := sum
	if named == nil {
		named = sum256
	}
	g.thumbprint = strings.ToUpper(hex.EncodeToString(named))
	by := fmt.Sprintf(", Thumbprint of key used by client: '%s'", g.thumbprint)
	var stale *directory.KeyCredential
	for i := range p.KeyCredentials {
		k := &p.KeyCredentials[i]
		if !strings.EqualFold(k.Type, "Asymmetric") || !strings.EqualFold(k.Usage, "Verify") {
			continue
		}
		c := g.a.verifiers.certificate(k.Value)
		if c.key == nil || sum != nil && !bytes.Equal(c.sum[:], sum) {
			continue
		}
		if other := sha256.Sum256(k.Value); sum256 != nil && !bytes.Equal(other[:], sum256) {
			continue
		}
		if g.now.Before(k.StartDate) || g.now.After(k.EndDate) || g.now.Before(c.notBefore) || g.now.After(c.notAfter) {
			stale = k
			continue
		}
		if t.Verify(c.key, algorithms...) != nil {
			return "The key was found, but use of the key to verify the signature failed." + by
		}
		g.holds(k.EndDate.Add(1)) // both ends count
		g.holds(c.notAfter.Add(1))
		return ""
	}
	if stale != nil {
		const layout = "01/02/2006 15:04:05"
		return fmt.Sprintf("The key used is expired.%s, Found key 'Start=%s, End=%s'", by,
			stale.StartDate.UTC().Format(layout), stale.EndDate.UTC().Format(layout))
	}
	return "The key was not found." + by
}

// claims checks audience and times. A replay within its life is let pass and
// told, for legitimate clients do send an assertion again.
func (g *grant) claims(t *jose.Token) error {
	text, _ := t.Claims.Text("aud")
	aud, err := acs.ParseAudience(text)
	if err != nil || aud.PID != g.cfg.Cloud.ACSPrincipalID || !acs.SameHost(aud.Host, g.cfg.Cloud.ACSHost) || !names(g.realm, aud.Realm) {
		return badClient(fmt.Sprintf("AADSTS700023: Client assertion audience claim does not match Realm issuer. Audience was '%s'.", clip(text)), 700023)
	}
	nbf, exp, err := t.Times()
	if err != nil {
		return badClient("AADSTS700024: Client assertion is not within its valid time range: "+err.Error()+".", 700024)
	}
	return g.life(nbf, exp, sha256.Sum256([]byte(g.req.Assertion)))
}

// life checks that an assertion is valid now, and for how long. Seen stands for the
// assertion among those that were sent before.
func (g *grant) life(nbf, exp time.Time, seen [sha256.Size]byte) error {
	switch {
	case exp.Sub(nbf) > maxAssertionLifetime:
		return badClient(fmt.Sprintf("AADSTS700024: Client assertion is not within its valid time range: it is valid for %v, limit %v.", exp.Sub(nbf), maxAssertionLifetime), 700024)
	case g.now.Before(nbf.Add(-authoritySkew)) || !g.now.Before(exp.Add(authoritySkew)):
		return badClient(fmt.Sprintf("AADSTS700024: Client assertion is not within its valid time range. Current time: %s, assertion valid from %s, expiry time of assertion %s.",
			g.now.UTC().Format(time.RFC3339), nbf.Format(time.RFC3339), exp.Format(time.RFC3339)), 700024)
	}
	if _, g.replayed = g.a.assertions.get(seen); g.replayed {
		g.sentBefore(g.realm.ID, g.caller)
	}
	g.a.assertions.put(seen, exp)
	g.holds(exp.Add(authoritySkew))
	return nil
}

func (g *grant) sentBefore(realm, caller string) {
	g.a.cfg.Log.Info("assertion was sent before", "realm", realm, "caller", caller)
}

// resource checks that the audience asked for is registered in the tenant.
func (g *grant) resource() error {
	aud, err := acs.ParseAudience(g.req.Resource)
	if err != nil {
		return g.noResource(g.req.Resource)
	}
	if !names(g.realm, aud.Realm) {
		return g.disagrees("resource", aud.Realm)
	}
	if p := principal(g.realm, aud.PID); p == nil || !coversHost(p, aud) {
		return g.noResource(g.req.Resource)
	}
	return nil
}

// noResource: there is no application of this name in the tenant.
func (g *grant) noResource(name string) error {
	return deny(400, "invalid_resource", fmt.Sprintf("AADSTS500011: The resource principal named %s was not found in the tenant named %s. "+
		"This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. "+
		"You might have sent your authentication request to the wrong tenant.", clip(name), g.realm.ID), 500011)
}

// issue signs the token of oauth-s2s 4.1, or hands out the last one again.
func (g *grant) issue(ctx context.Context, caller *directory.ServicePrincipal) (*issuedToken, error) {
	return g.token(ctx, caller, g.req.Resource, func(w *jose.Writer, from, until int64) {
		authority := acs.PrincipalName{PID: g.cfg.Cloud.ACSPrincipalID, Realm: g.realm.ID}.String()
		w.Text("aud", g.req.Resource).Text("iss", authority)
		w.Number("iat", from).Number("nbf", from).Number("exp", until)
		w.Text("identityprovider", authority)
		w.Text("nameid", acs.PrincipalName{PID: caller.AppPrincipalID, Realm: g.realm.ID}.String())
		w.Text("oid", caller.ObjectID).Text("sub", caller.ObjectID)
		w.Text("trustedfordelegation", strconv.FormatBool(caller.TrustedForDelegation))
	})
}

// token is a token for the caller with the claims that write adds, signed now or
// lately. Resource tells it from the caller's other tokens of the same realm.
func (g *grant) token(ctx context.Context, caller *directory.ServicePrincipal, resource string, write func(w *jose.Writer, from, until int64)) (*issuedToken, error) {
	if len(g.cfg.Certificates) == 0 {
		return nil, fmt.Errorf("authority: %w", ErrNoCertificate)
	}
	s, err := g.a.signers.of(&g.cfg.Certificates[0], g.now)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	lifetime := orDefault(g.cfg.TokenLifetime, defaultTokenLifetime)
	key := issuedKey{g.realm.ID, g.realm.Version, caller.ObjectID, resource, s.x5t, lifetime}
	t, again, err := g.a.issued.token(ctx, key, g.now, func() (*issuedToken, error) {
		from := g.now.Add(-backdating).Truncate(time.Second)
		until := from.Add(backdating + lifetime)
		var w jose.Writer
		write(&w, from.Unix(), until.Unix())
		text, err := g.a.sign(ctx, s, &w)
		if err != nil {
			return nil, err
		}
		// It is recorded before anybody has it: others wait for it, too.
		g.a.records.pass(g.a.queue.busy())
		if err := g.a.record(ctx, g, audit.Done); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		return &issuedToken{text, g.now, from, until}, nil
	})
	if err == nil && again {
		err = g.a.count(ctx, g.tallyKey(t), g.now, g.replayed)
	}
	if err != nil {
		return nil, err
	}
	g.holds(s.notAfter)
	return t, nil
}

// left is what is left of the token's life, in whole seconds.
func (t *issuedToken) left(now time.Time) time.Duration {
	return t.expires.Sub(now.Truncate(time.Second)).Truncate(time.Second)
}

// sign waits for a place among the signatures under way.
func (a *Authority) sign(ctx context.Context, s *signer, w *jose.Writer) (string, error) {
	text, err := a.queue.do(ctx, func() (string, error) { return jose.SignRS256(s.key, s.x5t, s.x5t, w) })
	if errors.Is(err, errBusy) {
		return "", deny(503, "temporarily_unavailable", "AADSTS90033: A transient error has occurred. Please try again.", 90033)
	}
	return text, err
}

// principal finds the enabled principal of an application.
func principal(r *directory.Realm, appID string) *directory.ServicePrincipal {
	for i := range r.Principals {
		if p := &r.Principals[i]; p.AppPrincipalID == appID && p.AccountEnabled {
			return p
		}
	}
	return nil
}

// names reports whether realm is the GUID or a verified domain of r.
func names(r *directory.Realm, realm string) bool {
	return realm == r.ID || slices.ContainsFunc(r.Domains, func(d directory.VerifiedDomain) bool { return d.Name == realm })
}

// The errors of oauth-s2s 3.3.

func deny(status int, code, description string, codes ...int) error {
	return &acs.Error{Status: status, Code: code, Description: description, Codes: codes}
}

func missing(parameter string) error {
	return deny(400, "invalid_request", fmt.Sprintf("AADSTS900144: The request body must contain the following parameter: '%s'.", parameter), 900144)
}

func badClient(description string, code int) error {
	return deny(401, "invalid_client", description, code)
}

func badKey(reason string) error {
	return deny(401, "invalid_client", "AADSTS70002: Error validating credentials. AADSTS50012: Client assertion contains an invalid signature. [Reason - "+reason+"]", 70002, 50012)
}

// clip shortens text from outside for messages and records.
func clip(s string) string {
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError { // a line of its own would look like ours
			return '?'
		}
		return r
	}, s)
}
