package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
	"busybridge/internal/spec/smtpaddr"
)

// Organizations knows what is served under a host name.
type Organizations interface {
	// OrganizationsAt returns the organizations served under host: one on
	// premises, many in a cloud; none, or directory.ErrNotFound, when the host
	// is not served here. The slice is never changed in place. As long as
	// nothing changed it should be the same slice, for an index is kept with it.
	OrganizationsAt(ctx context.Context, host string) ([]*directory.Organization, error)
}

// Recipients looks addresses up. An unknown one is directory.ErrNotFound.
type Recipients interface {
	Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error)
}

// recipientsByID are Recipients that know mailboxes by their GUID, too.
type recipientsByID interface {
	RecipientByID(ctx context.Context, org directory.OrgID, id string) (*directory.Recipient, error)
}

// A Service is what the tokens of applications are checked for: each asks for
// permissions of its own.
type Service uint8

const (
	// EWS takes the tokens of partner organizations, and those of Entra with
	// full_access_as_app or a scope of EWS.
	EWS Service = iota
	// Graph takes those of Entra that let read calendars (getSchedule reference 8),
	// and no others.
	Graph
)

// A ValidatorConfig is what a Validator needs.
type ValidatorConfig struct {
	Service       Service          // whose tokens these are
	Organizations Organizations    // required
	Recipients    Recipients       // required
	Now           func() time.Time // required
	// UnknownKey is told, without waiting, when a token of a configured issuer
	// names a key that is not among the issuer's: see Refresher.UnknownKey.
	UnknownKey func(org directory.OrgID, authServer string)
	// UnknownPartnerKey is the same for a partner that is trusted directly: see
	// Follower.UnknownKey.
	UnknownPartnerKey func(org directory.OrgID, partner string)
	// Refused is told of every refused token before the answer goes out; may be
	// nil. It must not keep what the Refusal points to.
	Refused func(context.Context, *Refusal)
	// Skew is what clocks may differ by; default 5 minutes.
	Skew time.Duration
	// OuterLifetime is the longest exp - nbf of an outer token; default 12 h.
	OuterLifetime time.Duration
	// KnownFor is how long the result for a token is remembered; default 5 s,
	// negative: not at all. A change of the organization ends it at once, a
	// change of the user at the end of this time.
	KnownFor time.Duration
	// MaxKnown bounds the number of remembered results; default 8192.
	MaxKnown int
}

// maxSignedLifetime is the longest exp - nbf of a signed token: a day and the
// back-dating (oauth-s2s 4.5 step 8).
const maxSignedLifetime = 25 * time.Hour

// certificateGrace is how long an expired certificate of a trust anchor still
// verifies (step 7).
const certificateGrace = 24 * time.Hour

// A Validator checks the bearer tokens of partner organizations by the steps of
// oauth-s2s 4.5. It is safe for concurrent use.
type Validator struct {
	cfg    ValidatorConfig
	keys   verifiers
	prints *fingerprints
	known  *recent[knownKey, knownToken]
	// verified are signatures that hold, see signature; nil: none are remembered.
	verified *recent[verifiedKey, struct{}]
	users    *recent[userKey, knownUser] // nil: none are remembered

	mu      sync.Mutex
	indexes map[string]*index // by host; guarded by mu
}

// A knownKey is a token and the host that it was accepted for.
type knownKey struct {
	token fingerprint
	host  string
}

type knownToken struct {
	caller *Caller
	until  time.Time
}

// NewValidator checks the configuration.
func NewValidator(cfg ValidatorConfig) (*Validator, error) {
	if cfg.Organizations == nil || cfg.Recipients == nil || cfg.Now == nil {
		return nil, errors.New("trust: a Validator needs Organizations, Recipients and Now")
	}
	cfg.Skew = orDefault(cfg.Skew, 5*time.Minute)
	cfg.OuterLifetime = orDefault(cfg.OuterLifetime, 12*time.Hour)
	cfg.KnownFor = orDefault(cfg.KnownFor, 5*time.Second)
	if cfg.MaxKnown <= 0 {
		cfg.MaxKnown = 8192
	}
	prints, err := newFingerprints()
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	v := &Validator{cfg: cfg, keys: newVerifiers(), prints: prints, known: newRecent[knownKey, knownToken](cfg.MaxKnown/2 + 1), indexes: make(map[string]*index)}
	if cfg.KnownFor > 0 {
		v.verified, v.users = newRecent[verifiedKey, struct{}](cfg.MaxKnown/2+1), newRecent[userKey, knownUser](cfg.MaxKnown/2+1)
	}
	return v, nil
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// Validate checks a bearer token that was presented to host (lower case, without
// port: the host that the request was addressed to). A refused token is a
// *TokenError; any other error means that it could not be checked. The Caller
// is shared between requests: do not change it.
func (v *Validator) Validate(ctx context.Context, token, host string) (*Caller, error) {
	orgs, err := v.cfg.Organizations.OrganizationsAt(ctx, host)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return nil, fmt.Errorf("validate token: organizations at %q: %w", host, err)
	}
	if len(orgs) == 0 {
		err := notServed(host)
		v.refused(ctx, err, host, v.cfg.Now(), nil, &progress{})
		return nil, err
	}
	idx, now := v.index(host, orgs), v.cfg.Now()
	key := knownKey{v.prints.of(token), host}
	if k, ok := v.known.get(key); ok && now.Before(k.until) && idx.current(k.caller.Org) {
		return k.caller, nil
	}
	var seen progress
	c, err := v.validate(ctx, token, host, idx, now, &seen)
	if err != nil {
		v.refused(ctx, err, host, now, orgs, &seen)
		return nil, err
	}
	until := now.Add(v.cfg.KnownFor)
	for _, end := range []time.Time{c.Expires.Add(v.cfg.Skew), c.until} {
		if !end.IsZero() && end.Before(until) {
			until = end
		}
	}
	if now.Before(until) {
		v.known.put(key, knownToken{c, until})
	}
	return c, nil
}

// validate does the steps in order, and leaves in seen how far it came.
func (v *Validator) validate(ctx context.Context, token, host string, idx *index, now time.Time, seen *progress) (*Caller, error) {
	outer, actor, err := parseBearer(token) // 1 to 4
	if err != nil {
		return nil, err
	}
	seen.outer, seen.actor = outer, actor
	issText, _ := actor.Claims.Text("iss")
	if outer == nil && isEntra(issText) {
		return v.validateEntra(ctx, actor, issText, host, idx, now, seen)
	}
	if v.cfg.Service != EWS {
		return nil, checkIssuer.fails("iss", errors.New("this service takes tokens of Entra only"), issText)
	}
	audText, audIsText := actor.Claims.Text("aud")
	audience, audErr := acs.ParseAudience(audText)
	iss, err := acs.ParsePrincipalName(issText)
	if err != nil {
		return nil, checkIssuer.fails("iss", err, issText)
	}
	a, ok := idx.anchor(iss, audience.Realm) // 5
	if !ok {
		return nil, checkIssuer.fails("iss", nil, issText)
	}
	seen.anchor = a
	if err := v.verify(actor, a, now); err != nil { // 6, 7
		return nil, err
	}
	expires, err := v.checkTimes(outer, actor, now) // 8
	if err != nil {
		return nil, err
	}
	if !audIsText || audErr != nil || audience.PID != serviceName(a.org) { // 9
		return nil, checkAudience.fails("aud", audErr, audText)
	}
	if !acs.SameHost(audience.Host, host) { // 10
		return nil, checkHost.fails("aud", fmt.Errorf("the request was addressed to %s", host), audience.Host)
	}
	if !a.ownRealm(audience.Realm) { // 11
		return nil, checkRealm.fails("aud", nil, audience.Realm)
	}
	callerText, _ := actor.Claims.Text("nameid")
	caller, callerErr := acs.ParsePrincipalName(callerText)
	if a.server != nil { // 12
		if err := checkTenant(outer, iss.Realm, audience.Realm, caller, callerErr); err != nil {
			return nil, err
		}
	}
	if callerErr != nil || a.server == nil && caller != iss { // 13
		return nil, checkCaller.fails("nameid", callerErr, callerText)
	}
	if outer != nil { // 14
		if err := checkAgreement(outer, actor, callerText, audText); err != nil {
			return nil, err
		}
	}
	partner := partnerFor(a, caller) // 15
	if partner == nil {
		return nil, checkPartner.fails("nameid", nil, callerText)
	}
	seen.partner = partner
	c := &Caller{Org: a.org, Application: partner, ApplicationID: caller.PID, Realm: caller.Realm,
		AppOnly: outer == nil, Expires: expires}
	if outer != nil { // 16
		if err := v.resolveUser(ctx, outer, c, a.partner != nil, now); err != nil {
			return nil, err
		}
	}
	if !permitted(a.org, partner, c.AppOnly) { // 17
		return nil, checkPermission.fails("", nil, partner.ApplicationIdentifier)
	}
	return c, nil // 18 is for the operation: Caller.AppOnly
}

// parseBearer does steps 1 to 4. The outer token is nil when the bearer is a
// signed token by itself.
func parseBearer(token string) (outer, actor *jose.Token, err error) {
	t, err := parseToken(token)
	if err != nil {
		return nil, nil, err
	}
	inner, hasInner, err := actorOf(t)
	if err != nil {
		return nil, nil, err
	}
	switch alg := t.Algorithm(); {
	case (alg == jose.RS256 || alg == jose.ES256) && !hasInner:
		return nil, t, nil
	case alg != jose.None || !hasInner || len(t.Signature) != 0:
		return nil, nil, checkAlgorithm.fails("alg", nil)
	}
	actor, err = parseToken(inner)
	if err != nil {
		return nil, nil, checkActor.fails("actortoken", err)
	}
	alg := actor.Algorithm()
	if _, nested, err := actorOf(actor); err != nil || nested || alg != jose.RS256 && alg != jose.ES256 {
		return nil, nil, checkActor.fails("actortoken", err)
	}
	return t, actor, nil
}

// parseToken does steps 1 and 2.
func parseToken(token string) (*jose.Token, error) {
	t, err := jose.ParseUnverified(token)
	if err == nil {
		err = t.CheckHeader()
	}
	switch {
	case err == nil:
		return t, nil
	case errors.Is(err, jose.ErrCompact):
		return nil, checkCompact.fails("", err)
	}
	return nil, checkJSON.fails("", err)
}

// actorOf returns the actor token in t. Live traffic says actortoken, MS-XOAUTH
// actort; both together are refused.
func actorOf(t *jose.Token) (string, bool, error) {
	long, hasLong := t.Claims.Get("actortoken")
	short, hasShort := t.Claims.Get("actort")
	switch {
	case hasLong && hasShort:
		return "", true, checkAlgorithm.fails("actort", errors.New("actort and actortoken together"))
	case hasShort:
		long = short
	case !hasLong:
		return "", false, nil
	}
	s, ok := long.Text()
	if !ok {
		return "", true, checkAlgorithm.fails("actortoken", errors.New("not a string"))
	}
	return s, true, nil
}

// verify does steps 6 and 7: the key is looked for only among those of the
// anchor, and kid is not asked.
func (v *Validator) verify(t *jose.Token, a anchor, now time.Time) error {
	if t.Algorithm() == jose.ES256 {
		return v.verifyDelegate(t, a, now)
	}
	sum, ok := t.X5T()
	if !ok && a.server != nil && a.server.Type == directory.AuthServerAzureAD && !t.Header.Has("x5t") {
		sum, ok = entraKey(t)
	}
	if !ok {
		return checkKey.fails("x5t", errors.New("the header has no x5t of 20 bytes"))
	}
	c := v.keys.find(a.certificates(), sum)
	if c == nil {
		if v.cfg.UnknownKey != nil && a.server != nil {
			v.cfg.UnknownKey(a.org.ID, a.server.Name)
		}
		if v.cfg.UnknownPartnerKey != nil && a.partner != nil && a.partner.AuthMetadataURL != "" {
			v.cfg.UnknownPartnerKey(a.org.ID, a.partner.Name)
		}
		return checkKey.fails("x5t", errors.New("no key of the issuer has this x5t"))
	}
	if !v.validAt(c, now) {
		return checkSignature.fails("", fmt.Errorf("the issuer's certificate is valid from %s to %s",
			c.notBefore.Format(time.RFC3339), c.notAfter.Format(time.RFC3339)))
	}
	if err := v.signature(t, c, c.key, jose.RS256); err != nil {
		return checkSignature.fails("", err)
	}
	return nil
}

// checkTimes does step 8 and returns the earlier expiry.
func (v *Validator) checkTimes(outer, actor *jose.Token, now time.Time) (time.Time, error) {
	one := func(t *jose.Token, limit time.Duration) (time.Time, error) {
		nbf, exp, err := t.Times()
		switch {
		case err != nil:
			return exp, checkTime.fails("exp", err)
		case exp.Sub(nbf) > limit:
			return exp, checkTime.fails("exp", fmt.Errorf("valid for %v, limit %v", exp.Sub(nbf), limit))
		case now.Before(nbf.Add(-v.cfg.Skew)):
			return exp, checkTime.fails("nbf", fmt.Errorf("not valid before %s", nbf.Format(time.RFC3339)))
		case !now.Before(exp.Add(v.cfg.Skew)):
			return exp, checkTime.fails("exp", fmt.Errorf("expired at %s", exp.Format(time.RFC3339)))
		}
		return exp, nil
	}
	expires, err := one(actor, maxSignedLifetime)
	if err != nil || outer == nil {
		return expires, err
	}
	exp, err := one(outer, v.cfg.OuterLifetime)
	if exp.Before(expires) {
		expires = exp
	}
	return expires, err
}

// checkTenant does step 12: every name in a token of an authorization server is
// of one tenant (CVE-2025-55241). Names that cannot be read fail in later steps.
func checkTenant(outer *jose.Token, realm, audience string, caller acs.PrincipalName, callerErr error) error {
	if audience != realm {
		return checkBinding.fails("aud", nil, audience)
	}
	if callerErr == nil && caller.Realm != realm {
		return checkBinding.fails("nameid", nil, caller.Realm)
	}
	if outer == nil {
		return nil
	}
	text, _ := outer.Claims.Text("iss")
	if iss, err := acs.ParsePrincipalName(text); err == nil && iss.Realm != realm {
		return checkBinding.fails("outer iss", nil, iss.Realm)
	}
	text, _ = outer.Claims.Text("aud")
	if aud, err := acs.ParseAudience(text); err == nil && aud.Realm != realm {
		return checkBinding.fails("outer aud", nil, aud.Realm)
	}
	return nil
}

// checkAgreement does step 14.
func checkAgreement(outer, actor *jose.Token, caller, audience string) error {
	if iss, _ := outer.Claims.Text("iss"); iss != caller {
		return checkOuter.fails("outer iss", nil)
	}
	if aud, _ := outer.Claims.Text("aud"); aud != audience {
		return checkOuter.fails("outer aud", nil)
	}
	if d, _ := actor.Claims.Get("trustedfordelegation"); !d.IsTrue() {
		return checkOuter.fails("trustedfordelegation", nil)
	}
	return nil
}

// partnerFor does step 15: an entry for the caller's realm goes before one for
// any realm.
func partnerFor(a anchor, caller acs.PrincipalName) *directory.PartnerApplication {
	if a.server == nil {
		return a.partner
	}
	var found *directory.PartnerApplication
	for i := range a.org.PartnerApplications {
		p := &a.org.PartnerApplications[i]
		if !p.Enabled || !p.UseAuthServer || p.ApplicationIdentifier != caller.PID {
			continue
		}
		switch p.Realm {
		case caller.Realm:
			return p
		case "":
			found = p
		}
	}
	return found
}

// resolveUser does step 16: every claim that names an entry of the organization
// must name the same one. Under direct trust a user of the partner may be unknown
// here, for nobody synchronizes the two directories: one all of whose addresses are
// outside of the organization's domains is let in as nobody in particular.
func (v *Validator) resolveUser(ctx context.Context, outer *jose.Token, c *Caller, direct bool, now time.Time) error {
	c.UPN, _ = outer.Claims.Text("upn")
	c.SMTP, _ = outer.Claims.Text("smtp")
	sip, _ := outer.Claims.Text("sip")
	names := []string{c.UPN, c.SMTP, strings.TrimPrefix(sip, "sip:")}
	// Without a name identifier issuer nameid is the UPN (MS-XOAUTH).
	if !outer.Claims.Has("nii") {
		nameid, _ := outer.Claims.Text("nameid")
		names = append(names, nameid)
	}
	take := func(r *directory.Recipient, err error) error {
		switch {
		case errors.Is(err, directory.ErrNotFound) || err == nil && r.Type == directory.MailGroup:
			return nil
		case err != nil:
			return fmt.Errorf("validate token: look up user: %w", err)
		case c.User != nil && c.User.ID != r.ID:
			return checkAmbiguous.fails("", nil)
		}
		c.User = r
		return nil
	}
	for i, name := range names {
		a, err := smtpaddr.Parse(name)
		if err != nil || contains(names[:i], name) {
			continue
		}
		if err := take(v.recipient(ctx, c, a, now)); err != nil {
			return err
		}
	}
	if byID, ok := v.cfg.Recipients.(recipientsByID); ok {
		if id := mailboxOf(outer, c); id != "" {
			if err := take(byID.RecipientByID(ctx, c.Org.ID, id)); err != nil {
				return err
			}
		}
	}
	if c.User == nil && direct && foreign(c.Org, names) {
		return nil
	}
	if c.User == nil || !c.User.Enabled {
		return checkUser.fails("", nil)
	}
	return nil
}

// mailboxOf is the GUID of a mailbox in msexchuid, <GUID>@<realm> (MS-XOAUTH); "":
// there is none, or its realm is neither the organization's nor the caller's.
func mailboxOf(outer *jose.Token, c *Caller) string {
	text, _ := outer.Claims.Text("msexchuid")
	id, realm, _ := strings.Cut(strings.ToLower(text), "@")
	if !directory.IsGUID(id) || realm != c.Realm && !(anchor{org: c.Org}).ownRealm(realm) {
		return ""
	}
	return id
}

// foreign reports whether the names hold an address, and none in a domain of org.
func foreign(org *directory.Organization, names []string) bool {
	found := false
	for _, name := range names {
		if a, err := smtpaddr.Parse(name); err == nil {
			if org.Accepts(a.Domain()) {
				return false
			}
			found = true
		}
	}
	return found
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// permitted does step 17: the roles of the linked account or the listed permissions
// must cover calendars.
func permitted(o *directory.Organization, p *directory.PartnerApplication, appOnly bool) bool {
	if u := o.LinkedUser(p.LinkedAccount); u != nil && (slices.Contains(u.Roles, directory.RoleUserApplication) || appOnly && len(u.Roles) > 0) {
		return true
	}
	list := p.ActAsPermissions
	if appOnly {
		list = p.AppOnlyPermissions
	}
	for _, name := range list {
		if name == "full_access_as_app" || strings.HasPrefix(name, "Calendars.") {
			return true
		}
	}
	return false
}
