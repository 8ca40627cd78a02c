package trust

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
	"busybridge/internal/spec/oidc"
)

// The authority in the shape of Entra ID (oauth-s2s 1.5, 3.4): it is served at the
// login hosts, over the same realms and with the same keys as ACS. Its tokens have
// an https issuer, so that none of the two kinds is taken for the other.

// assertionAlgorithms are those that a client assertion may be signed with.
var assertionAlgorithms = []string{jose.RS256, jose.PS256}

// issuerV1 is the issuer of v1 tokens of a tenant (oauth-s2s 0.2).
func issuerV1(cfg *directory.AuthorityConfig, tenant string) string {
	return strings.TrimSuffix(cfg.Cloud.V1IssuerBase, "/") + "/" + tenant + "/"
}

// issuerV2 is the issuer of v2 tokens of a tenant.
func issuerV2(cfg *directory.AuthorityConfig, tenant string) string {
	return "https://" + cfg.Cloud.LoginHosts[0] + "/" + tenant + "/v2.0"
}

// Discovery is the discovery document of a tenant, which may be named by GUID,
// verified domain or oidc.CommonTenant. An unknown tenant, another host, and a
// cloud without issuer of this kind are directory.ErrNotFound.
func (a *Authority) Discovery(ctx context.Context, realm, host string, v oidc.Version) (*oidc.Configuration, error) {
	cfg, tenant, err := a.login(ctx, realm, host)
	if err != nil {
		return nil, fmt.Errorf("discovery document of %q: %w", realm, err)
	}
	at := "https://" + loginHost(cfg, host)
	d := &oidc.Configuration{
		TokenEndpoint: at + v.TokenPath(tenant), AuthMethods: []string{"private_key_jwt"}, AssertionAlgorithms: assertionAlgorithms,
		GrantTypes: []string{oidc.GrantClientCredentials}, ResponseTypes: []string{"code", "id_token", "code id_token", "token id_token", "token"},
		SubjectTypes: []string{"pairwise"}, SigningAlgorithms: []string{jose.RS256},
	}
	d.AuthorizationEndpoint = strings.TrimSuffix(d.TokenEndpoint, "token") + "authorize"
	issued := tenant
	if tenant == oidc.CommonTenant {
		issued = oidc.TenantTemplate
	}
	if v == oidc.V2 {
		d.Issuer, d.JWKSURI = issuerV2(cfg, issued), at+"/"+tenant+"/discovery/v2.0/keys"
	} else {
		d.Issuer, d.JWKSURI = issuerV1(cfg, issued), at+"/"+oidc.CommonTenant+"/discovery/keys"
	}
	return d, nil
}

// KeySet is the keys that tokens of a tenant are signed with, with errors as
// Discovery. All tenants share them; a key id is the x5t of the certificate, as in
// the documents of ACS and in the header of every token.
func (a *Authority) KeySet(ctx context.Context, realm, host string, v oidc.Version) (*oidc.KeySet, error) {
	cfg, tenant, err := a.login(ctx, realm, host)
	if err != nil {
		return nil, fmt.Errorf("keys of %q: %w", realm, err)
	}
	s := &oidc.KeySet{Keys: make([]oidc.Key, len(cfg.Certificates))}
	for i := range cfg.Certificates {
		s.Keys[i].Certificate = cfg.Certificates[i].DER
		if v == oidc.V2 {
			s.Keys[i].Issuer = issuerV2(cfg, oidc.TenantTemplate)
			if tenant != oidc.CommonTenant {
				s.Keys[i].Issuer = issuerV2(cfg, tenant)
			}
		}
	}
	return s, nil
}

// login finds the tenant of a document that a login host publishes.
func (a *Authority) login(ctx context.Context, realm, host string) (cfg *directory.AuthorityConfig, tenant string, err error) {
	if cfg, err = a.cfg.Authority(ctx); err != nil {
		return nil, "", err
	}
	if loginHost(cfg, host) == "" {
		return nil, "", fmt.Errorf("there is none at host %q: %w", host, directory.ErrNotFound)
	}
	if realm = strings.ToLower(realm); realm == oidc.CommonTenant {
		return cfg, realm, nil
	}
	r, err := a.cfg.Realms.Realm(ctx, realm)
	if err != nil {
		return nil, "", err
	}
	return cfg, r.ID, nil
}

// IssueApp answers a token request that was posted to the endpoint of a tenant: an
// application asks for a token in its own name, by a client assertion (oauth-s2s
// 3.4). Refusals and records are those of Issue.
func (a *Authority) IssueApp(ctx context.Context, realm string, v oidc.Version, req oidc.TokenRequest) (*oidc.TokenResponse, error) {
	now := a.cfg.Now()
	cfg, err := a.cfg.Authority(ctx)
	if err != nil {
		return nil, fmt.Errorf("issue token: configuration: %w", err)
	}
	g := &appGrant{ask: req, version: v, grant: &grant{a: a, cfg: cfg, now: now, caller: req.ClientID,
		req: acs.TokenRequest{Resource: cmp.Or(req.Resource, req.Scope), CorrelationID: req.CorrelationID}}}
	asked := a.prints.ofAll("entra", realm, strconv.Itoa(int(v)), req.GrantType, req.ClientID, req.ClientAssertionType, req.ClientAssertion, req.Resource, req.Scope)
	t, err := g.answer(ctx, realm, asked, g.run)
	if err != nil {
		return nil, a.finish(ctx, g.grant, err, cfg.Cloud.LoginHosts[0])
	}
	return &oidc.TokenResponse{Version: v, TokenType: "Bearer", ExpiresIn: t.left(now), NotBefore: t.notBefore,
		ExpiresOn: t.expires, Resource: req.Resource, AccessToken: t.text}, nil
}

// An appGrant is one request by client assertion. Of the request, the grant keeps
// what is recorded.
type appGrant struct {
	*grant
	ask     oidc.TokenRequest
	version oidc.Version
}

func (g *appGrant) run(ctx context.Context, path string) (*issuedToken, error) {
	if err := g.complete(); err != nil {
		return nil, err
	}
	if path := strings.ToLower(path); path == oidc.CommonTenant || path == "organizations" || path == "consumers" {
		return nil, deny(400, "invalid_request", "AADSTS50059: No tenant-identifying information found in either the request or implied by any provided credentials.", 50059)
	}
	if err := g.tenant(ctx, path); err != nil {
		return nil, err
	}
	t, err := g.parse()
	if err != nil {
		return nil, err
	}
	id := strings.ToLower(g.ask.ClientID)
	at := slices.IndexFunc(g.realm.Principals, func(p directory.ServicePrincipal) bool { return p.AppPrincipalID == id })
	if at < 0 {
		return nil, deny(400, "unauthorized_client", fmt.Sprintf("AADSTS700016: Application with identifier '%s' was not found in the directory '%s'. "+
			"This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. "+
			"You may have sent your authentication request to the wrong tenant.", clip(g.ask.ClientID), g.realm.ID), 700016)
	}
	caller := &g.realm.Principals[at]
	if err := g.proof(t, caller); err != nil {
		return nil, err
	}
	if !caller.AccountEnabled {
		return nil, deny(400, "unauthorized_client", fmt.Sprintf("AADSTS7000112: Application '%s'(%s) is disabled.", caller.AppPrincipalID, caller.DisplayName), 7000112)
	}
	resource, audience, err := g.target()
	if err != nil {
		return nil, err
	}
	return g.issue(ctx, caller, resource, audience)
}

// complete checks that everything was sent, before anything is looked at.
func (g *appGrant) complete() error {
	switch {
	case g.ask.GrantType == "":
		return missing("grant_type")
	case g.ask.GrantType != oidc.GrantClientCredentials:
		return deny(400, "unsupported_grant_type", fmt.Sprintf("AADSTS70003: The app requested an unsupported grant type '%s'.", clip(g.ask.GrantType)), 70003)
	case g.ask.ClientID == "":
		return missing("client_id")
	case g.version == oidc.V2 && g.ask.Scope == "":
		return missing("scope")
	case g.version != oidc.V2 && g.ask.Resource == "":
		return missing("resource")
	case g.ask.ClientAssertion == "" && g.ask.HasSecret:
		return badClient("AADSTS7000215: Invalid client secret provided. Applications of this directory have certificates only: send a client assertion.", 7000215)
	case g.ask.ClientAssertion == "":
		return badClient("AADSTS7000216: 'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.", 7000216)
	case g.ask.ClientAssertionType == "":
		return missing("client_assertion_type")
	case g.ask.ClientAssertionType != oidc.AssertionTypeJWT:
		return deny(400, "invalid_request", fmt.Sprintf("AADSTS90023: The value '%s' of the parameter 'client_assertion_type' is not supported, expected '%s'.", clip(g.ask.ClientAssertionType), oidc.AssertionTypeJWT), 90023)
	}
	return nil
}

// parse reads the assertion, which is from the application that asks.
func (g *appGrant) parse() (*jose.Token, error) {
	malformed := func(reason string) error {
		return badClient("AADSTS50027: JWT token is invalid or malformed. [Reason - "+reason+"]", 50027)
	}
	t, err := jose.ParseUnverified(g.ask.ClientAssertion)
	if err == nil {
		err = t.CheckHeader()
	}
	switch {
	case err != nil:
		return nil, deny(400, "invalid_request", "AADSTS50027: JWT token is invalid or malformed.", 50027)
	case !slices.Contains(assertionAlgorithms, t.Algorithm()):
		return nil, malformed("The algorithm is neither " + strings.Join(assertionAlgorithms, " nor ") + ".")
	}
	iss, _ := t.Claims.Text("iss")
	sub, _ := t.Claims.Text("sub")
	switch {
	case !strings.EqualFold(iss, g.ask.ClientID):
		return nil, badClient("AADSTS700021: Client assertion application identifier doesn't match 'client_id' parameter.", 700021)
	case sub != iss:
		return nil, malformed("The subject is not the issuer, which is the application.")
	}
	return t, nil
}

// proof checks the assertion's key, audience and times. A replay within its life is
// let pass and told; an assertion is known by its jti, or by its text.
func (g *appGrant) proof(t *jose.Token, p *directory.ServicePrincipal) error {
	refuse := func(why string) error {
		return badClient("AADSTS700027: Client assertion contains an invalid signature. [Reason - "+why+"]", 700027)
	}
	var names [2][]byte
	if t.Header.Has("x5t") {
		sum, ok := t.X5T()
		if !ok {
			return refuse("The x5t of the header is no SHA-1.")
		}
		names[0] = sum[:]
	}
	if t.Header.Has("x5t#S256") {
		sum, ok := t.X5TSHA256()
		if !ok {
			return refuse("The x5t#S256 of the header is no SHA-256.")
		}
		names[1] = sum[:]
	}
	if names[0] == nil && names[1] == nil {
		return refuse("The header has neither x5t nor x5t#S256.")
	}
	if why := g.signedBy(t, p, names[0], names[1], assertionAlgorithms...); why != "" {
		return refuse(why)
	}
	aud, _ := t.Claims.Text("aud")
	if !g.isOurs(aud) {
		return badClient(fmt.Sprintf("AADSTS700023: Client assertion audience claim does not match Realm issuer. Audience was '%s', expected '%s'.",
			clip(aud), "https://"+g.cfg.Cloud.LoginHosts[0]+g.version.TokenPath(g.realm.ID)), 700023)
	}
	nbf, exp, err := g.times(t)
	if err != nil {
		return badClient("AADSTS700024: Client assertion is not within its valid time range: "+err.Error()+".", 700024)
	}
	seen := sha256.Sum256([]byte(g.ask.ClientAssertion))
	if jti, ok := t.Claims.Text("jti"); ok {
		seen = sha256.Sum256([]byte(g.realm.ID + " " + p.ObjectID + " " + jti))
	}
	return g.life(nbf, exp, seen)
}

// times are when the assertion begins and ends to be valid. Libraries write when it
// begins as nbf, as iat, or not at all: then it is now.
func (g *appGrant) times(t *jose.Token) (nbf, exp time.Time, err error) {
	if exp, err = t.Claims.Time("exp"); err != nil {
		return nbf, exp, err
	}
	for _, name := range []string{"nbf", "iat"} {
		if !t.Claims.Has(name) {
			continue
		}
		if nbf, err = t.Claims.Time(name); err == nil && !nbf.Before(exp) {
			err = fmt.Errorf("exp is not after %s", name)
		}
		return nbf, exp, err
	}
	return g.now, exp, nil
}

// isOurs reports whether the audience of an assertion is this tenant: one of its
// token endpoints, at any login host, or its issuer.
func (g *appGrant) isOurs(aud string) bool {
	rest, ok := strings.CutPrefix(aud, "https://")
	host, path, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || loginHost(g.cfg, host) == "" {
		return false
	}
	realm, _, _ := strings.Cut(path, "/")
	if !names(g.realm, strings.ToLower(realm)) {
		return false
	}
	path = "/" + path
	return path == oidc.V1.TokenPath(realm) || path == oidc.V2.TokenPath(realm) || path == "/"+realm+"/v2.0"
}

// target finds the application that the token is for, and what its audience is
// called.
func (g *appGrant) target() (*directory.ServicePrincipal, string, error) {
	name := g.ask.Resource
	if g.version == oidc.V2 {
		scopes := strings.Fields(g.ask.Scope)
		switch {
		case len(scopes) > 1:
			return nil, "", deny(400, "invalid_scope", fmt.Sprintf("AADSTS28000: Provided value for the input parameter scope is not valid because it contains more than one resource. Scope %s is not valid.", clip(g.ask.Scope)), 28000)
		case len(scopes) == 0 || !strings.HasSuffix(scopes[0], oidc.DefaultScope):
			return nil, "", deny(400, "invalid_scope", fmt.Sprintf("AADSTS1002012: The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", clip(g.ask.Scope)), 1002012)
		}
		name = strings.TrimSuffix(scopes[0], oidc.DefaultScope)
	}
	p := g.application(name)
	switch {
	case p == nil:
		return nil, "", g.noResource(name)
	case !p.AccountEnabled:
		return nil, "", deny(400, "invalid_resource", fmt.Sprintf("AADSTS500014: The service principal for resource '%s' is disabled. This indicate that a subscription within the tenant has lapsed, "+
			"or that the administrator for this tenant has disabled the application, preventing tokens from being issued for it.", clip(name)), 500014)
	case p.TokenVersion == 2:
		return p, p.AppPrincipalID, nil
	case directory.IsGUID(strings.ToLower(name)):
		return p, strings.ToLower(name), nil
	}
	return p, name, nil
}

// application finds who is called name: by its id, by <id>/<host>, or by
// https://<host>. The cloud's own hosts are Exchange's, and one is Graph's, whoever
// says they are his.
func (g *appGrant) application(name string) *directory.ServicePrincipal {
	n, err := directory.ParseSPN(name)
	if err != nil || strings.HasPrefix(n.Host, "*.") {
		return nil
	}
	own := n.AppID == "" && n.Port == 0 && slices.Contains(g.realm.ServiceHosts, n.Host)
	if own {
		n.AppID = directory.ExchangeAppID
		if n.Host == g.cfg.Cloud.GraphHost && n.Host != g.cfg.Cloud.EWSHost {
			n.AppID = directory.GraphAppID
		}
	}
	for i := range g.realm.Principals {
		switch p := &g.realm.Principals[i]; {
		case n.AppID == "":
			if slices.ContainsFunc(p.ServicePrincipalNames, func(s string) bool {
				m, err := directory.ParseSPN(s)
				return err == nil && m.AppID == "" && m.Covers(n.Host, n.Port)
			}) {
				return p
			}
		case n.AppID != p.AppPrincipalID:
		case n.Host == "" || coversHost(p, acs.Audience{PID: n.AppID, Host: authorityOf(n)}):
			return p
		}
	}
	return nil
}

// authorityOf is the host of a name, with its port if that is not the usual one.
func authorityOf(n directory.SPN) string {
	if n.Port == 0 {
		return n.Host
	}
	return net.JoinHostPort(n.Host, fmt.Sprint(n.Port))
}

// issue signs the token of oauth-s2s 3.4, in the version that the resource takes.
// An application without a role there gets a token without roles: what it may do is
// for the resource to say.
func (g *appGrant) issue(ctx context.Context, caller, resource *directory.ServicePrincipal, audience string) (*issuedToken, error) {
	v2 := resource.TokenVersion == 2
	issuer := issuerV1(g.cfg, g.realm.ID)
	if v2 {
		issuer = issuerV2(g.cfg, g.realm.ID)
	}
	// A space is in no resource of ACS: no token of one kind is handed out for the other.
	return g.token(ctx, caller, "app "+audience, func(w *jose.Writer, from, until int64) {
		w.Text("aud", audience).Text("iss", issuer)
		w.Number("iat", from).Number("nbf", from).Number("exp", until)
		if v2 {
			w.Text("azp", caller.AppPrincipalID).Text("azpacr", byCertificate)
		} else {
			w.Text("app_displayname", caller.DisplayName)
			w.Text("appid", caller.AppPrincipalID).Text("appidacr", byCertificate).Text("idp", issuer)
		}
		w.Text("idtyp", "app").Text("oid", caller.ObjectID)
		if roles := granted(caller, resource); len(roles) > 0 {
			w.Texts("roles", roles)
		}
		uti := make([]byte, 16)
		rand.Read(uti)
		w.Text("sub", caller.ObjectID).Text("tid", g.realm.ID).Text("uti", base64.RawURLEncoding.EncodeToString(uti))
		if v2 {
			w.Text("ver", "2.0")
		} else {
			w.Text("ver", "1.0")
		}
	})
}

// byCertificate says how the application proved who it is (oauth-s2s 3.4).
const byCertificate = "2"

// granted are the values of the roles that the caller has at the resource.
func granted(caller, resource *directory.ServicePrincipal) []string {
	var roles []string
	for _, a := range caller.AppRoleAssignments {
		if a.ResourceID != resource.ObjectID {
			continue
		}
		if role := resource.Role(a.RoleID); role != nil && role.Enabled {
			roles = append(roles, role.Value)
		}
	}
	return roles
}
