package trust

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
)

// A Trace is told what is done for one request of a Transport: the log of
// Test-OAuthConnectivity (cmdlet reference 10.1, oauth-s2s 7.3). Assertions are
// not in it, and of tokens only the header and claims that Exchange prints. It
// belongs to one request; a nil Trace costs nothing.
type Trace struct {
	// Line takes one line, without its end, in Exchange's words; required.
	Line func(text string)
	// RequestID goes along to the authorization server; "": none.
	RequestID string
	// OrganizationID is shown as the organization whose token is built.
	OrganizationID string

	// What was seen, for whoever explains the outcome.

	Challenge *acs.Challenge // of the other side; nil: it asked for no token
	Sent      bool           // a token was sent
	Issuer    string         // iss of the token that was sent
	// Delegation is whether the authorization server lets us speak for users.
	Delegation bool
	// AuthServer is the authorization server that was chosen, Resource what a token
	// was wanted for, Endpoint where it was asked for; "": it did not come to that.
	AuthServer, Resource, Endpoint string
	// Direct is whether the organization issued the token itself.
	Direct bool
	// Expires is when the token that was sent ends.
	Expires time.Time
}

func (t *Trace) entering() {
	if t != nil {
		t.Line("Information:[OAuthCredentials:Authenticate] entering")
	}
}

// challenged tells the challenge as it came: every scheme, as one line.
func (t *Trace) challenged(u *url.URL, h http.Header, ch acs.Challenge) {
	if t == nil {
		return
	}
	t.Line("Information:[OAuthCredentials:Authenticate] challenge from '" + u.Redacted() + "' received: " + OneLine(strings.Join(h.Values("WWW-Authenticate"), ",")))
	t.Line(fmt.Sprintf("Information:[OAuthCredentials:GetToken] client-id: '%s', realm: '%s', trusted_issuer: '%s'", OneLine(ch.ClientID), OneLine(ch.Realm), OneLine(ch.Issuers)))
}

func (t *Trace) building(ch acs.Challenge) {
	if t == nil {
		return
	}
	seen := ch // only now it needs a place of its own
	t.Challenge = &seen
	t.Line("Information:[OAuthCredentials:GetToken] Start building a token using organizationId '" + OneLine(t.OrganizationID) + "'")
	t.Line("Information:[OAuthTokenBuilder:GetAppToken] start building the apptoken")
	t.Line("Information:[OAuthTokenBuilder:GetAppToken] checking enabled auth servers")
}

// compared tells whether the other side trusts an authorization server of ours.
func (t *Trace) compared(s *directory.AuthServer, name acs.PrincipalName, trusted bool) {
	if t == nil {
		return
	}
	verb := "includes"
	if !trusted {
		verb = "does NOT include"
	}
	t.Line(fmt.Sprintf("Information:[OAuthTokenBuilder:GetAppToken] trusted_issuer %s the auth server '%s': %s,", verb, OneLine(s.Name), name))
}

func (t *Trace) noIssuer(ch acs.Challenge) {
	if t == nil {
		return
	}
	issuers := OneLine(ch.Issuers)
	t.Line("Error:[OAuthTokenBuilder:GetAppToken] unable to continue building token; no locally configured issuer was in the trusted_issuer list, realm from challenge was also empty. trust_issuers was " + issuers)
	t.Line("Error:The trusted issuers contained the following entries '" + issuers + "'. None of them are configured locally.")
}

func (t *Trace) chosen(org *directory.Organization, s *directory.AuthServer, tenant, audience, userDomain string) {
	if t == nil {
		return
	}
	t.AuthServer, t.Resource = s.Name, audience
	if org.Tenant != tenant {
		t.Line(fmt.Sprintf("Information:[OAuthTokenBuilder:GetAppToken] updating the tenant id with the auth server realm; current tenant id value is '%s', new value is '%s'", org.Tenant, tenant))
	}
	t.Line(fmt.Sprintf("Information:[OAuthTokenBuilder:GetAppToken] trying to get the apptoken from the auth server '%s' for resource '%s', tenantId '%s', userDomain '%s'",
		OneLine(s.Name), audience, tenant, OneLine(userDomain)))
}

// direct tells that the organization issues the token itself.
func (t *Trace) direct(own acs.PrincipalName, audience string) {
	if t != nil {
		t.Direct, t.Resource = true, audience
		t.Line(fmt.Sprintf("Information:[OAuthTokenBuilder:GetAppToken] trusted_issuer includes this organization '%s': issuing the actor token for resource '%s' itself", own, audience))
	}
}

func (t *Trace) requesting(endpoint, audience string) {
	if t != nil {
		t.Endpoint = endpoint
		t.Line(fmt.Sprintf("Information:[TokenBuildRequest:GetActorTokenFromAuthServer] Sending token request to '%s' for the resource '%s' with token: <redacted>", OneLine(endpoint), audience))
	}
}

func (t *Trace) refused(err error) {
	if t == nil {
		return
	}
	text := err.Error()
	if e, ok := err.(*RequestError); ok {
		text = e.Reason()
	}
	t.Line("Error:" + OneLine(text))
}

func (t *Trace) presenting(u *url.URL, token string) {
	if t == nil {
		return
	}
	t.Sent = true
	text, err := t.describe(token)
	if err != nil {
		text = "<not readable>"
	}
	t.Line(fmt.Sprintf("Information:[OAuthCredentials:Authenticate] send request to '%s' with the bearer token: '%s'", u.Redacted(), text))
}

// describe is header and claims of a token, its actor token behind it.
func (t *Trace) describe(token string) (string, error) {
	outer, err := jose.ParseUnverified(token)
	if err != nil {
		return "", err
	}
	t.Expires, _ = outer.Claims.Time("exp")
	inner, ok := outer.Claims.Text("actortoken")
	if !ok {
		t.Issuer, _ = outer.Claims.Text("iss")
		return header(outer) + claims(outer, "oid", "iss", "aud", "nbf", "exp"), nil
	}
	actor, err := jose.ParseUnverified(inner)
	if err != nil {
		return "", err
	}
	t.Issuer, _ = actor.Claims.Text("iss")
	delegation, _ := actor.Claims.Get("trustedfordelegation")
	t.Delegation = delegation.IsTrue()
	return header(outer) + claims(outer, "iss", "aud", "nbf", "exp") + "; actor: " + header(actor) + claims(actor, "oid", "iss", "aud", "nbf", "exp"), nil
}

// header writes the members that a header of ours has; what else an issuer put
// there is not shown.
func header(t *jose.Token) string {
	var w jose.Writer
	for _, name := range []string{"typ", "alg", "x5t", "kid"} {
		if s, ok := t.Header.Text(name); ok {
			w.Text(name, clip(s))
		}
	}
	return string(w.Bytes()) + "."
}

// claims writes those that are there, times as strings whatever they were.
func claims(t *jose.Token, names ...string) string {
	var b strings.Builder
	for _, name := range names {
		s, ok := t.Claims.Text(name)
		if !ok {
			at, err := t.Claims.Time(name)
			if err != nil {
				continue
			}
			s = unixText(at)
		}
		fmt.Fprintf(&b, "%q: %q ", name, OneLine(s))
	}
	return b.String()
}

// tokenText is how every token begins: base64 of {" in its header.
var tokenText = regexp.MustCompile(`\beyJ[\w-]+(\.[\w-]*)*`)

// OneLine makes what another server said fit to be shown: one line of bounded
// length, without what looks like a token, for a server may repeat ours.
func OneLine(s string) string {
	const limit = 4096
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool {
		return r <= ' ' || 0x7f <= r && r < 0xa0 || r == 0x2028 || r == 0x2029
	}), " ")
	s = tokenText.ReplaceAllString(s, "<redacted>")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
