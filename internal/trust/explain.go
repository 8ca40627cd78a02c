package trust

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
)

// How a step of the validation came out.
const (
	StepPassed        = "passed"
	StepFailed        = "failed"
	StepNotApplicable = "does not apply"
	StepNotReached    = "not reached"
)

// An Explanation says what the steps of oauth-s2s 4.5 make of one token, and
// what to do about it. It holds no signature and no token.
type Explanation struct {
	Host         string       `json:"host"`
	At           time.Time    `json:"at"`
	Accepted     bool         `json:"accepted"`
	Organization string       `json:"organization,omitempty"` // whose trust anchor it named
	User         string       `json:"user,omitempty"`         // whom it speaks for, when it is accepted
	Kind         string       `json:"kind"`                   // oauth-s2s 4.4
	Tokens       []TokenText  `json:"tokens"`                 // outer before actor; as far as they can be read
	Steps        []Step       `json:"steps,omitempty"`        // 1 to 18; none for the token of a user
	Refusal      *RefusalText `json:"refusal,omitempty"`
	Advice       []string     `json:"advice,omitempty"` // what to do, most likely first
}

// A Step is one check.
type Step struct {
	Number int    `json:"step"`
	Name   string `json:"name"`
	State  string `json:"state"` // StepPassed, …
	Detail string `json:"detail,omitempty"`
}

// A RefusalText is why a token is refused: what the caller is told, and what it is not.
type RefusalText struct {
	Step     int    `json:"step"`
	ID       int    `json:"id"`
	Category string `json:"category"`
	Reason   string `json:"reason"`
	Claim    string `json:"claim,omitempty"`
	Cause    string `json:"cause,omitempty"` // not for the caller
}

// A TokenText is a decoded token.
type TokenText struct {
	Name           string   `json:"name"` // "outer token", "actor token", "token"
	Header         []Member `json:"header"`
	Claims         []Member `json:"claims"`
	SignatureBytes int      `json:"signatureBytes"`
}

// A Member is one member of header or claims: the value as it was written, cut
// to a bounded line, and what it means.
type Member struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Note  string `json:"note,omitempty"`
}

// stepNames are the checks in words, in their order.
var stepNames = [...]string{
	"the token has three parts of base64url and a bounded length",
	"header and claims are one strict JSON object each",
	"the algorithm is accepted, and alg none only around an actor token",
	"the actor token inside is signed and has none inside itself",
	"the issuer is an enabled AuthServer or a directly trusted partner",
	"the key is one of that issuer's",
	"the signature is the key's",
	"the token is valid now, and not for too long",
	"the audience is this application",
	"the audience is the host that was addressed",
	"the audience is a realm of the organization",
	"all names in the token are of one tenant",
	"the calling application has a name",
	"outer token and actor token agree, and the actor may speak for users",
	"the calling application is an enabled partner application",
	"the user exists here, and is one",
	"the partner application has permissions or a linked account",
	"without a user, the operation needs none",
}

// Explain does with the token what Validate does, by the same checks, and tells
// it. Nothing is remembered and nobody is told of a refusal or an unknown key.
// An error means that the token could not be checked.
func (v *Validator) Explain(ctx context.Context, token, host string) (*Explanation, error) {
	orgs, err := v.cfg.Organizations.OrganizationsAt(ctx, host)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return nil, fmt.Errorf("explain token: organizations at %q: %w", host, err)
	}
	quiet, err := NewValidator(ValidatorConfig{ // remembers nothing and has nobody to tell
		Organizations: v.cfg.Organizations, Recipients: v.cfg.Recipients, Now: v.cfg.Now,
		Skew: v.cfg.Skew, OuterLifetime: v.cfg.OuterLifetime, KnownFor: -1,
	})
	if err != nil {
		return nil, err
	}
	x := &Explanation{Host: host, At: v.cfg.Now(), Tokens: decode(token)}
	var (
		seen   progress
		caller *Caller
	)
	if len(orgs) == 0 {
		err = notServed(host)
	} else {
		caller, err = quiet.validate(ctx, token, host, quiet.index(host, orgs), x.At, &seen)
	}
	refused, isRefusal := errors.AsType[*TokenError](err)
	if err != nil && !isRefusal {
		return nil, fmt.Errorf("explain token: %w", err)
	}
	x.Kind = kindOf(&seen)
	if x.Accepted = err == nil; x.Accepted && caller.User != nil {
		x.User = caller.User.Primary.String()
	}
	if seen.anchor.org != nil {
		x.Organization = seen.anchor.org.Name
	}
	x.Steps = steps(&seen, caller, refused)
	if isRefusal {
		x.Refusal = refusalText(refused)
		x.Advice = advise(&advice{validator: v, x: x, seen: &seen, refused: refused, orgs: orgs, host: host})
	}
	return x, nil
}

func refusalText(e *TokenError) *RefusalText {
	r := &RefusalText{Step: e.Step, ID: e.ID, Category: e.Category, Reason: OneLine(e.Reason), Claim: e.Claim}
	if e.Err != nil {
		r.Cause = OneLine(e.Err.Error())
	}
	return r
}

// Explain does with the token what Validate does, and tells it. The error is
// ErrNotUserToken when no provider of orgs made the token; others mean that it
// could not be checked.
func (u *UserTokens) Explain(ctx context.Context, token, host string, orgs []*directory.Organization) (*Explanation, error) {
	x := &Explanation{Host: host, At: u.cfg.Now(), Kind: "of a user, by an OpenID provider", Tokens: decode(token)}
	user, err := u.Validate(ctx, token, orgs)
	refused, isRefusal := errors.AsType[*TokenError](err)
	switch {
	case err == nil:
		x.Accepted, x.Organization, x.User = true, user.Org.Name, user.Address.String()
		return x, nil
	case !isRefusal:
		return nil, err
	}
	x.Refusal = refusalText(refused)
	switch refused.Step {
	case checkKey.step, checkSignature.step:
		x.Advice = []string{"The provider does not publish the key, or the token was altered. Compare kid with the keys at the provider's jwks_uri."}
	case checkTime.step:
		x.Advice = []string{"The program must get a fresh token from the provider. If it has one, compare the clocks."}
	default:
		x.Advice = []string{"Compare iss, aud and the claim that holds the address with openid in the configuration: issuers, audiences, address_claims."}
	}
	return x, nil
}

// kindOf is the kind of a token by its shape (oauth-s2s 4.4).
func kindOf(s *progress) string {
	switch {
	case s.actor == nil:
		return "not readable as a token for a server"
	case isEntra(claimed(s.actor, "iss")) && s.actor.Claims.Has("scp"):
		return "of an application for a user, by Entra ID"
	case isEntra(claimed(s.actor, "iss")):
		return "of an application alone, by Entra ID"
	case s.outer != nil && s.anchor.partner != nil:
		return "for a user, by a directly trusted partner"
	case s.anchor.partner != nil:
		return "of an application alone, by a directly trusted partner"
	case s.outer != nil:
		return "for a user, through an authorization server"
	}
	return "of an application alone, through an authorization server"
}

// steps are the 18 steps with their outcome. Each fails only when those before
// it have passed, so that the failed one tells of all others. At a host that is
// not served nothing else was looked at.
func steps(s *progress, c *Caller, refused *TokenError) []Step {
	out := make([]Step, len(stepNames))
	for i, name := range stepNames {
		n := i + 1
		st := Step{Number: n, Name: name, State: StepPassed}
		switch {
		case refused != nil && n == refused.Step:
			st.State = StepFailed
			st.Detail = OneLine(refused.Reason)
			if refused.Err != nil {
				st.Detail = OneLine(refused.Err.Error())
			}
		case refused != nil && (n > refused.Step || s.actor == nil && refused.Step > checkActor.step):
			st.State = StepNotReached
		case !applies(n, s, c):
			st.State = StepNotApplicable
		default:
			st.Detail = s.detail(n, c)
		}
		out[i] = st
	}
	return out
}

// applies reports whether there is something to check at a step that no token failed.
func applies(n int, s *progress, c *Caller) bool {
	switch n {
	case checkActor.step, checkOuter.step:
		return s.outer != nil || s.actor == nil
	case checkBinding.step:
		return s.anchor.server != nil
	case checkPartner.step:
		return !(isEntra(claimed(s.actor, "iss")) && s.actor.Claims.Has("scp")) // it is the user's own
	case checkUser.step:
		return s.outer != nil || c != nil && c.User != nil
	case len(stepNames):
		return c != nil && c.AppOnly
	}
	return true
}

// detail is what a passed step has found.
func (s *progress) detail(n int, c *Caller) string {
	if s.actor == nil {
		return ""
	}
	switch n {
	case checkAlgorithm.step:
		return OneLine(clip(s.actor.Algorithm()))
	case checkIssuer.step:
		if s.anchor.org == nil {
			return ""
		}
		return s.anchor.String() + " of " + s.anchor.org.Name
	case checkKey.step:
		return keyID(s.actor)
	case checkTime.step:
		if c != nil {
			return "until " + c.Expires.UTC().Format(time.RFC3339)
		}
	case checkHost.step:
		return addressedHost(s.actor)
	case checkCaller.step:
		pid, realm := s.caller()
		return pid + "@" + realm
	case checkPartner.step:
		if s.partner != nil {
			return fmt.Sprintf("PartnerApplication %q", s.partner.Name)
		}
	case checkUser.step:
		if c != nil && c.User != nil {
			return c.User.Primary.String()
		}
	case len(stepNames):
		return "free/busy needs no user; operations on a mailbox do"
	}
	return ""
}

// caller is the application that the token names, and its realm.
func (s *progress) caller() (pid, realm string) {
	if name, err := acs.ParsePrincipalName(claimed(s.actor, "nameid")); err == nil {
		return name.PID, name.Realm
	}
	if s.actor == nil {
		return "", ""
	}
	return OneLine(clip(applicationID(s.actor))), claimed(s.actor, "tid")
}

// String names the object that is the anchor.
func (a anchor) String() string {
	switch {
	case a.server != nil:
		return fmt.Sprintf("AuthServer %q", a.server.Name)
	case a.partner != nil:
		return fmt.Sprintf("PartnerApplication %q", a.partner.Name)
	}
	return "nothing"
}

// decode shows a token and the actor token in it, as far as they can be read.
func decode(token string) []TokenText {
	t, err := jose.ParseUnverified(token)
	if err != nil {
		return []TokenText{}
	}
	for _, name := range actorClaims {
		text, ok := t.Claims.Text(name)
		if !ok {
			continue
		}
		out := []TokenText{describeToken("outer token", t)}
		if actor, err := jose.ParseUnverified(text); err == nil {
			out = append(out, describeToken("actor token", actor))
		}
		return out
	}
	return []TokenText{describeToken("token", t)}
}

// AudienceHost is the host that a token says it is for: of the actor token in
// it, else its own; "" when it cannot be read. It checks nothing.
func AudienceHost(token string) string {
	t, err := jose.ParseUnverified(token)
	if err != nil {
		return ""
	}
	for _, name := range actorClaims {
		if text, ok := t.Claims.Text(name); ok {
			if actor, err := jose.ParseUnverified(text); err == nil {
				t = actor
			}
			break
		}
	}
	return addressedHost(t)
}

func addressedHost(t *jose.Token) string {
	text := claimed(t, "aud")
	if aud, err := acs.ParseAudience(text); err == nil {
		return aud.Host
	}
	if u, err := url.Parse(text); err == nil {
		return u.Hostname()
	}
	return ""
}

// actorClaims are where an outer token has its actor token.
var actorClaims = []string{"actortoken", "actort"}

func describeToken(name string, t *jose.Token) TokenText {
	out := TokenText{Name: name, Header: []Member{}, Claims: []Member{}, SignatureBytes: len(t.Signature)}
	for name, v := range t.Header.Members() {
		m := Member{Name: OneLine(clip(name)), Value: OneLine(clip(v.JSON()))}
		if text, ok := v.Text(); ok && name == "x5t" {
			if sum, ok := jose.ParseX5T(text); ok {
				m.Note = "thumbprint " + strings.ToUpper(hex.EncodeToString(sum[:]))
			}
		}
		out.Header = append(out.Header, m)
	}
	for name, v := range t.Claims.Members() {
		m := Member{Name: OneLine(clip(name)), Value: OneLine(clip(v.JSON()))}
		switch {
		case slices.Contains(actorClaims, name):
			m.Value = "…" // it holds a signature
			m.Note = "the actor token"
		case slices.Contains([]string{"nbf", "exp", "iat", "auth_time"}, name):
			if at, err := v.Time(); err == nil {
				m.Note = at.Format(time.RFC3339)
			}
		}
		out.Claims = append(out.Claims, m)
	}
	return out
}

// advice is what an explanation knows when it says what to do.
type advice struct {
	validator *Validator
	x         *Explanation
	seen      *progress
	refused   *TokenError
	orgs      []*directory.Organization
	host      string
}

// advise says what to do about a refusal, for the administrator of the
// organization that refused.
func advise(a *advice) []string {
	if len(a.orgs) == 0 {
		return []string{fmt.Sprintf("No organization is served at %s. Name the host that the request was sent to.", a.host)}
	}
	switch a.refused.Step {
	case checkCompact.step:
		return []string{"Copy all that stands behind \"Bearer \" in the Authorization header, without line ends: three parts with two dots between. A token has at most " + fmt.Sprint(jose.MaxToken) + " bytes."}
	case checkJSON.step:
		return []string{"The program that made the token writes it wrongly, or the text was damaged when it was copied. Header and claims must be one JSON object each, no member twice, typ JWT or absent, no crit."}
	case checkAlgorithm.step, checkActor.step:
		return []string{"A token for a server is signed, and its algorithm one of those that this organization takes from its issuer; or it is unsigned (alg none, nothing behind the last dot) and has exactly one signed actor token inside, as actortoken or actort.",
			"If the calling server is not Exchange or busybridge, compare what it sends with MS-XOAUTH 2.2."}
	case checkIssuer.step:
		return a.issuer()
	case checkKey.step:
		return a.key()
	case checkSignature.step:
		return []string{"If the cause names the certificate's dates, the issuer signs with a certificate that is not valid: it must put a new one to use, and " + a.refresh() + " follows it. Compare the clocks, too.",
			"Else the token was altered on its way, or another key signed it: take it as an attack until the calling server shows that it sent exactly this token."}
	case checkTime.step:
		return a.times()
	case checkAudience.step:
		if a.entra() {
			return []string{fmt.Sprintf("A token of Entra ID for this server has the audience https://%s: the calling server must ask for that resource, or for the scope https://%s/.default.", a.host, a.host)}
		}
		return []string{"The calling server asked for a token for something else. The audience must be ONE text of the form APPLICATION/HOST@REALM, with " + serviceNames(a.orgs) + " as application: look at the challenge that it read, and at resource in its request for the token."}
	case checkHost.step:
		return []string{fmt.Sprintf("The token is for another host than %s. A token is good for exactly the host that it names.", a.host),
			"If a proxy changes the Host header, let it send X-Forwarded-Host and put it into trusted_proxies. If the calling server was sent to another name, compare InternalUrl and ExternalUrl of Get-WebServicesVirtualDirectory with the ServicePrincipalNames of Get-MsolServicePrincipal."}
	case checkRealm.step:
		return []string{"The realm in the audience must be the realm of the AuthServer, that of Get-AuthConfig, or an accepted domain that is written out: one with * does not count. See Get-AcceptedDomain."}
	case checkBinding.step:
		return []string{"The token mixes tenants. No honest server does that: take it as an attack, and ask who had the calling application's keys."}
	case checkCaller.step:
		if a.entra() {
			return []string{"appid (azp in version 2) must be the application, and appidacr (azpacr) 1 or 2: it proved who it is. A public client gets no access.",
				"An application's token has idtyp app, or no scp and the same oid and sub; a user's has scp. An ID token is neither: ask for an access token."}
		}
		return []string{"nameid must be APPLICATION@REALM; of a partner that is trusted directly it must be its issuer."}
	case checkOuter.step:
		return []string{"The calling server put an actor token into an outer token that does not belong to it: iss must be the actor's nameid, aud the actor's aud, letter by letter.",
			"If trustedfordelegation is the fault, the authorization server does not let the application speak for users: see TrustedForDelegation in Get-MsolServicePrincipal."}
	case checkPartner.step:
		return a.partner()
	case checkUser.step:
		return a.user()
	case checkPermission.step:
		if a.entra() {
			return []string{"The application needs the app role full_access_as_app of this resource, and the consent of the tenant's administrator; for a signed-in user the scope EWS.AccessAsUser.All."}
		}
		return []string{fmt.Sprintf("Give the application a linked account with the role UserApplication, or permissions: Set-PartnerApplication %s -LinkedAccount NAME and New-ManagementRoleAssignment -Role UserApplication -User NAME, or -ActAsPermissions Calendars.Read (for users), -AppOnlyPermissions Calendars.Read (without).", quoted(a.seen.partner))}
	}
	return nil
}

// entra reports whether the token says that Entra ID issued it.
func (a *advice) entra() bool { return isEntra(claimed(a.seen.actor, "iss")) }

func quoted(p *directory.PartnerApplication) string {
	if p == nil {
		return "NAME"
	}
	return "'" + strings.ReplaceAll(p.Name, "'", "''") + "'"
}

// refresh is the command that reads the issuer's keys again.
func (a *advice) refresh() string {
	switch an := a.seen.anchor; {
	case an.server != nil:
		return fmt.Sprintf("Set-AuthServer '%s' -RefreshAuthMetadata", strings.ReplaceAll(an.server.Name, "'", "''"))
	case an.partner != nil:
		return fmt.Sprintf("Set-PartnerApplication %s -RefreshAuthMetadata", quoted(an.partner))
	}
	return "Set-AuthServer -RefreshAuthMetadata"
}

// issuer looks for what is nearly the issuer.
func (a *advice) issuer() []string {
	text := claimed(a.seen.actor, "iss")
	pid, realm := text, claimed(a.seen.actor, "tid")
	if !isEntra(text) {
		iss, err := acs.ParsePrincipalName(text)
		if err != nil {
			return []string{fmt.Sprintf("iss is %q and should be APPLICATION@REALM.", text)}
		}
		pid, realm = iss.PID, iss.Realm
	}
	var out []string
	for _, org := range a.orgs {
		for i := range org.AuthServers {
			s := &org.AuthServers[i]
			switch {
			case s.IssuerIdentifier != pid:
			case !s.Enabled:
				out = append(out, fmt.Sprintf("AuthServer %q of %s has this issuer and is disabled: Set-AuthServer '%s' -Enabled $true lets its tokens in.", s.Name, org.Name, s.Name))
			default:
				out = append(out, fmt.Sprintf("AuthServer %q of %s has this issuer and the realm %q, the token the realm %q: it is of another tenant, or the AuthServer was made from another tenant's metadata.", s.Name, org.Name, realmAt(org, s), realm))
			}
		}
		for i := range org.PartnerApplications {
			p := &org.PartnerApplications[i]
			if p.Realm != realm || realm == "" {
				continue
			}
			switch {
			case p.UseAuthServer:
				out = append(out, fmt.Sprintf("PartnerApplication %q of %s is vouched for by an authorization server, and this token is signed by the partner itself.", p.Name, org.Name))
			case !p.Enabled:
				out = append(out, fmt.Sprintf("PartnerApplication %q of %s is disabled: Set-PartnerApplication %s -Enabled $true lets its tokens in.", p.Name, org.Name, quoted(p)))
			}
		}
		if aud, err := acs.ParseAudience(claimed(a.seen.actor, "aud")); err == nil && aud.PID != serviceName(org) &&
			slices.ContainsFunc(org.AuthServers, func(s directory.AuthServer) bool { return s.IssuerIdentifier == aud.PID }) {
			out = append(out, "This is an assertion: it asks an authorization server for a token, and is no token for a server.")
		}
		if len(out) >= maxHints {
			break
		}
	}
	return append(out[:min(len(out), maxHints)], "If you trust the issuer, make an AuthServer from its metadata: New-AuthServer -Name ACS -AuthMetadataUrl URL. Compare IssuerIdentifier and Realm in Get-AuthServer | Format-List.")
}

// maxHints bounds the objects that are named in one explanation.
const maxHints = 5

// key lists the keys that there are.
func (a *advice) key() []string {
	if p := a.seen.anchor.partner; p != nil && len(p.PendingCertificateStrings) > 0 {
		f := directory.Fingerprint(p.PendingCertificateStrings)
		return []string{fmt.Sprintf("The partner has new keys that wait for approval. Ask it for their fingerprint, by another way than mail; if it is %s, run: Set-PartnerApplication %s -ApproveFingerprint '%s'.", f, quoted(p), f)}
	}
	var have []string
	for _, text := range a.seen.anchor.certificates() {
		if der, err := base64.StdEncoding.DecodeString(text); err == nil && len(have) < maxHints {
			have = append(have, X5T(der))
		}
	}
	list := "none"
	if len(have) > 0 {
		list = strings.Join(have, ", ")
	}
	return []string{fmt.Sprintf("The issuer signs with a key that %s does not have, as after a change of its keys: %s reads them again. Its keys here: %s.", a.seen.anchor, a.refresh(), list),
		"If the key is unknown after that, too, the token is not from this issuer."}
}

// times says as of when the token could be looked at.
func (a *advice) times() []string {
	out := []string{fmt.Sprintf("A token that was used in time only needs no care: ask for the failing request's own. Else compare the clocks of both sides; they may differ by %v.", a.validator.cfg.Skew)}
	var from, until time.Time
	for _, t := range []*jose.Token{a.seen.actor, a.seen.outer} {
		if t == nil {
			continue
		}
		nbf, exp, err := t.Times()
		if err != nil {
			return []string{"nbf and exp must be whole seconds since 1970, written as numbers or digits, nbf before exp. The program that made the token writes them wrongly."}
		}
		if from.IsZero() || nbf.After(from) {
			from = nbf
		}
		if until.IsZero() || exp.Before(until) {
			until = exp
		}
	}
	if from.Before(until) && (a.x.At.Before(from) || !a.x.At.Before(until)) {
		at := from.UTC().Format(time.RFC3339)
		out = append(out, fmt.Sprintf("To see what the later steps say, explain it as of %s (--at %s).", at, at))
	}
	return out
}

// partner looks for what is nearly the partner application.
func (a *advice) partner() []string {
	pid, realm := a.seen.caller()
	if a.seen.anchor.org == nil {
		return nil
	}
	var out []string
	for i := range a.seen.anchor.org.PartnerApplications {
		p := &a.seen.anchor.org.PartnerApplications[i]
		switch {
		case p.ApplicationIdentifier != pid:
		case !p.Enabled:
			out = append(out, fmt.Sprintf("PartnerApplication %q is disabled: Set-PartnerApplication %s -Enabled $true.", p.Name, quoted(p)))
		case !p.UseAuthServer:
			out = append(out, fmt.Sprintf("PartnerApplication %q is trusted directly: tokens of an authorization server are not taken for it.", p.Name))
		case p.Realm != "" && p.Realm != realm:
			out = append(out, fmt.Sprintf("PartnerApplication %q is for the realm %q only, the caller's is %q.", p.Name, p.Realm, realm))
		}
	}
	if len(out) == 0 {
		out = append(out, fmt.Sprintf("Nobody made a partner application of it. If it shall have access: New-PartnerApplication -Name NAME -ApplicationIdentifier %s.", pid))
	}
	return out[:min(len(out), maxHints)]
}

// user says which names were looked up.
func (a *advice) user() []string {
	var names []string
	for _, name := range []string{"upn", "smtp", "sip", "nameid"} {
		if s := claimed(a.seen.outer, name); s != "" {
			names = append(names, name+" "+s)
		}
	}
	if a.refused.Reason == checkAmbiguous.reason {
		return []string{fmt.Sprintf("The names in the token are of different entries here (%s). Find them with Get-Recipient, and give all names to one of them.", strings.Join(names, ", "))}
	}
	return []string{fmt.Sprintf("None of the names in the token (%s) is an enabled mailbox or mail user of %s. Get-Recipient ADDRESS shows what there is; New-MailUser makes the entry that directory synchronization would make.", strings.Join(names, ", "), a.x.Organization)}
}

// serviceNames are the applications that the organizations call their own.
func serviceNames(orgs []*directory.Organization) string {
	var out []string
	for _, org := range orgs {
		if s := serviceName(org); !slices.Contains(out, s) && len(out) < maxHints {
			out = append(out, s)
		}
	}
	return strings.Join(out, " or ")
}
