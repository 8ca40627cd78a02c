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

// permissions are what opens a service: roles to an application that asks in its
// own name, scopes to one that acts for the user who signed in to it.
type permissions struct{ roles, scopes []string }

var permissionsOf = [...]permissions{
	// oauth-s2s 3.4; the second scope is what tokens for servers on premises have.
	EWS: {[]string{directory.RoleFullAccessAsApp.Value}, []string{"EWS.AccessAsUser.All", "user_impersonation"}},
	// getSchedule reference 8: the least has two names.
	Graph: {
		[]string{"Calendars.ReadBasic.All", "Calendars.ReadBasic", "Calendars.Read", "Calendars.ReadWrite"},
		[]string{"Calendars.ReadBasic", "Calendars.Read", "Calendars.ReadWrite"},
	},
}

// oneOf reports whether one of the names is among those that are wanted.
func oneOf(names, wanted []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(wanted, n) })
}

// isEntra reports whether an issuer is one of Entra: a URL, where those of
// server-to-server trust are principal names.
func isEntra(issuer string) bool { return strings.HasPrefix(issuer, "https://") }

// validateEntra does the steps for a token of Entra, kinds E and F of oauth-s2s
// 4.4. It is a signed token by itself; issuer, tenant and audience are written in
// other claims than those of server-to-server trust, and bind it as tightly.
func (v *Validator) validateEntra(ctx context.Context, t *jose.Token, issuer, host string, idx *index, now time.Time, seen *progress) (*Caller, error) {
	tenant, _ := t.Claims.Text("tid")
	a, claims := idx.entraAnchor(issuer, tenant) // 5
	if claims == nil {
		return nil, checkIssuer.fails("iss", nil, issuer)
	}
	if ver, _ := t.Claims.Text("ver"); ver != claims.version {
		return nil, checkIssuer.fails("ver", fmt.Errorf("the issuer makes tokens of version %s, this one says %q", claims.version, clip(ver)), issuer)
	}
	seen.anchor = a
	if err := v.verify(t, a, now); err != nil { // 6, 7
		return nil, err
	}
	expires, err := v.checkTimes(nil, t, now) // 8
	if err != nil {
		return nil, err
	}
	if err := v.checkEntraAudience(t, a, host); err != nil { // 9, 10
		return nil, err
	}
	// 11 and 12 are in the anchor: its realm is the tenant, which is in the issuer.
	app, _ := t.Claims.Text(claims.application) // 13
	if !directory.IsGUID(app) {
		return nil, checkCaller.fails(claims.application, errors.New("the token names no application"), app)
	}
	if err := checkProfileOf(t); err != nil {
		return nil, err
	}
	c := &Caller{Org: a.org, ApplicationID: app, Realm: tenant, Expires: expires}
	if scope, ok := t.Claims.Text("scp"); ok { // also of a public client, as mail programs are: the user signed in
		return v.entraUser(ctx, t, c, scope, now)
	}
	if class, _ := t.Claims.Text(claims.proof); class != "1" && class != "2" {
		return nil, checkCaller.fails(claims.proof, errors.New("the application did not prove who it is"), app)
	}
	if c.Application, err = entraPartner(a, app, tenant); err != nil { // 15
		return nil, err
	}
	seen.partner = c.Application
	if wanted := permissionsOf[v.cfg.Service].roles; !oneOf(roles(t), wanted) { // 17
		return nil, checkPermission.fails("roles", fmt.Errorf("it has not the role %s", strings.Join(wanted, " or ")), app)
	}
	c.AppOnly, c.Impersonates = true, v.cfg.Service == EWS
	return c, nil
}

// checkEntraAudience does steps 9 and 10: the audience is the host that was asked.
// In a hosted organization, Graph is known by its id, too: there is no other.
func (v *Validator) checkEntraAudience(t *jose.Token, a anchor, host string) error {
	text, isText := t.Claims.Text("aud")
	if v.cfg.Service == Graph && a.org.Tenant != "" && text == directory.GraphAppID {
		return nil
	}
	aud, err := url.Parse(text)
	if !isText || err != nil || aud.Scheme != "https" || aud.Host == "" || aud.User != nil || strings.Trim(aud.Path, "/") != "" || aud.RawQuery != "" || aud.Fragment != "" {
		return checkAudience.fails("aud", err, text)
	}
	if !acs.SameHost(aud.Host, host) {
		return checkHost.fails("aud", fmt.Errorf("the request was addressed to %s", host), aud.Host)
	}
	return nil
}

// entraClaims are the names that claims have in a version of tokens.
type entraClaims struct{ version, application, proof string }

var (
	claimsV1 = entraClaims{"1.0", "appid", "appidacr"}
	claimsV2 = entraClaims{"2.0", "azp", "azpacr"}
)

// checkProfileOf keeps the tokens of applications and of users apart. Roles are
// given to users, too: the token of a user who has some is not an application's.
// What kind it is says idtyp, which not every token has; then scp does, which only
// users' have, and an application's is about itself.
func checkProfileOf(t *jose.Token) error {
	scoped := t.Claims.Has("scp")
	kind, named := t.Claims.Get("idtyp")
	text, _ := kind.Text()
	oid, _ := t.Claims.Text("oid")
	sub, _ := t.Claims.Text("sub")
	switch {
	case !named && (scoped || oid != "" && oid == sub):
		return nil
	case named && (text == "app" && !scoped || text == "user" && scoped):
		return nil
	}
	return checkProfile.fails("idtyp", errors.New("neither an application's nor a user's access token"), clip(text))
}

// entraAnchor is step 5 for tokens of Entra: an enabled AuthServer of that type
// with the token's tenant, of which the issuer is the one in its metadata, or the
// one that the same login host names in tokens of version 2. It returns how the
// claims of the version are called; nil: there is none.
func (x *index) entraAnchor(issuer, tenant string) (anchor, *entraClaims) {
	for _, org := range x.byRealm[tenant] {
		for i := range org.AuthServers {
			s := &org.AuthServers[i]
			if !s.Enabled || s.Type != directory.AuthServerAzureAD || realmAt(org, s) != tenant || tenantOf(s.IssuerIdentifier) != tenant {
				continue
			}
			switch issuer {
			case s.IssuerIdentifier:
				return anchor{org: org, server: s}, &claimsV1
			case issuerV2Of(s, tenant):
				return anchor{org: org, server: s}, &claimsV2
			}
		}
	}
	return anchor{}, nil
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
	if wanted := permissionsOf[v.cfg.Service].scopes; !oneOf(strings.Fields(scope), wanted) { // 17
		return nil, checkPermission.fails("scp", fmt.Errorf("it has none of the scopes %s", strings.Join(wanted, ", ")), c.ApplicationID)
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
