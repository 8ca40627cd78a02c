package trust

import (
	"context"
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

// userScopes let an application act in EWS for the user that signed in to it
// (oauth-s2s 3.4; the second is what tokens for servers on premises have).
var userScopes = []string{"EWS.AccessAsUser.All", "user_impersonation"}

// isEntra reports whether an issuer is one of Entra: a URL, where those of
// server-to-server trust are principal names.
func isEntra(issuer string) bool { return strings.HasPrefix(issuer, "https://") }

// validateEntra does the steps for a token of Entra, kinds E and F of oauth-s2s
// 4.4. It is a signed token by itself; issuer, tenant and audience are written in
// other claims than those of server-to-server trust, and bind it as tightly.
func (v *Validator) validateEntra(ctx context.Context, t *jose.Token, issuer, host string, idx *index, now time.Time, seen *progress) (*Caller, error) {
	tenant, _ := t.Claims.Text("tid")
	a, ok := idx.entraAnchor(issuer, tenant) // 5
	if !ok {
		return nil, checkIssuer.fails("iss", nil, issuer)
	}
	seen.anchor = a
	if err := v.verify(t, a, now); err != nil { // 6, 7
		return nil, err
	}
	expires, err := v.checkTimes(nil, t, now) // 8
	if err != nil {
		return nil, err
	}
	text, isText := t.Claims.Text("aud") // 9
	aud, err := url.Parse(text)
	if !isText || err != nil || aud.Scheme != "https" || aud.Host == "" || aud.User != nil || strings.Trim(aud.Path, "/") != "" || aud.RawQuery != "" || aud.Fragment != "" {
		return nil, checkAudience.fails("aud", err, text)
	}
	if !acs.SameHost(aud.Host, host) { // 10
		return nil, checkHost.fails("aud", fmt.Errorf("the request was addressed to %s", host), aud.Host)
	}
	// 11 and 12 are in the anchor: its realm is the tenant, which is in the issuer.
	app := applicationID(t) // 13
	if !directory.IsGUID(app) {
		return nil, checkCaller.fails("appid", errors.New("the token names no application"), app)
	}
	c := &Caller{Org: a.org, ApplicationID: app, Realm: tenant, Expires: expires}
	if scope, ok := t.Claims.Text("scp"); ok { // also of a public client, as mail programs are: the user signed in
		return v.entraUser(ctx, t, c, scope, now)
	}
	if class := claimText(t, "appidacr", "azpacr"); class != "1" && class != "2" {
		return nil, checkCaller.fails("appidacr", errors.New("the application did not prove who it is"), app)
	}
	if c.Application, err = entraPartner(a, app, tenant); err != nil { // 15
		return nil, err
	}
	seen.partner = c.Application
	if !slices.Contains(roles(t), directory.RoleFullAccessAsApp.Value) { // 17
		return nil, checkPermission.fails("roles", fmt.Errorf("it has not the role %s", directory.RoleFullAccessAsApp.Value), app)
	}
	c.AppOnly, c.Impersonates = true, true
	return c, nil
}

// entraAnchor is step 5 for tokens of Entra: an enabled AuthServer of that type
// with the token's tenant, of which the issuer is the one in its metadata, or the
// one that the same login host names in tokens of version 2.
func (x *index) entraAnchor(issuer, tenant string) (anchor, bool) {
	for _, org := range x.byRealm[tenant] {
		for i := range org.AuthServers {
			s := &org.AuthServers[i]
			if !s.Enabled || s.Type != directory.AuthServerAzureAD || realmAt(org, s) != tenant || tenantOf(s.IssuerIdentifier) != tenant {
				continue
			}
			if s.IssuerIdentifier == issuer || issuer == issuerV2Of(s, tenant) {
				return anchor{org: org, server: s}, true
			}
		}
	}
	return anchor{}, false
}

// entraKey is the key of a token of version 2, whose header has only the kid: in
// Entra it is the x5t (oauth-s2s 1.5).
func entraKey(t *jose.Token) (sum [20]byte, ok bool) {
	kid, _ := t.Header.Text("kid")
	return jose.ParseX5T(kid)
}

// tenantOf is the tenant in an issuer of version 1, https://sts…/<tenant>/.
func tenantOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return strings.Trim(u.Path, "/")
}

func issuerV2Of(s *directory.AuthServer, tenant string) string {
	u, err := url.Parse(s.TokenIssuingEndpoint)
	if err != nil || u.Host == "" {
		return ""
	}
	return "https://" + u.Host + "/" + tenant + "/v2.0"
}

// entraPartner is step 15 for an application of Entra. On premises it has to be
// a partner application. In a hosted organization the consent that its tenant
// gave to the role is enough, as in Exchange Online; an entry for it can still
// disable it there.
func entraPartner(a anchor, app, tenant string) (*directory.PartnerApplication, error) {
	disabled := false
	for i := range a.org.PartnerApplications {
		p := &a.org.PartnerApplications[i]
		if p.ApplicationIdentifier != app || p.Realm != "" && p.Realm != tenant {
			continue
		}
		if p.Enabled && p.UseAuthServer {
			return p, nil
		}
		disabled = true
	}
	if disabled || a.org.Tenant == "" {
		return nil, checkPartner.fails("appid", nil, app)
	}
	return &directory.PartnerApplication{Common: directory.Common{Name: app}, Enabled: true, ApplicationIdentifier: app, Realm: tenant, UseAuthServer: true}, nil
}

// entraUser is for a token that an application has for a user of the
// organization: steps 16 and 17. The user must have a mailbox here.
func (v *Validator) entraUser(ctx context.Context, t *jose.Token, c *Caller, scope string, now time.Time) (*Caller, error) {
	if err := v.resolveUser(ctx, t, c, false, now); err != nil { // 16
		return nil, err
	}
	if c.User.Type == directory.MailUser {
		return nil, checkUser.fails("upn", errors.New("the user's mailbox is not in this organization"))
	}
	if !slices.ContainsFunc(strings.Fields(scope), func(s string) bool { return slices.Contains(userScopes, s) }) { // 17
		return nil, checkPermission.fails("scp", fmt.Errorf("it has none of the scopes %s", strings.Join(userScopes, ", ")), c.ApplicationID)
	}
	c.OwnUser = true
	return c, nil
}

// roles are the application's, in the resource that the token is for.
func roles(t *jose.Token) []string {
	v, _ := t.Claims.Get("roles")
	list, _ := v.Texts() // anything but a list of strings is none
	return list
}

// applicationID is the application that a token of Entra was issued to: appid in
// version 1, azp in version 2.
func applicationID(t *jose.Token) string { return claimText(t, "appid", "azp") }

// claimText is the first of the claims that is there.
func claimText(t *jose.Token, names ...string) string {
	for _, n := range names {
		if s, ok := t.Claims.Text(n); ok {
			return s
		}
	}
	return ""
}
