package trust

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
	"busybridge/internal/spec/oidc"
)

// applicationWay is a token of Entra for the organization's own application
// there (oauth-s2s 3.4). Its audience is the host that is asked, so that the
// challenge has no say in it.
func applicationWay(p *purpose, trace *Trace) (*way, error) {
	s := p.app
	fail := func(err error) (*way, error) {
		return nil, &RequestError{Step: "choose issuer", AuthServer: s.Name, Err: err}
	}
	tenant := realmAt(p.org, s)
	switch {
	case s.Type != directory.AuthServerAzureAD || !s.Enabled:
		return fail(errors.New("it is no enabled authorization server of Entra"))
	case s.ApplicationIdentifier == "":
		return fail(errors.New("it has no ApplicationIdentifier (Set-AuthServer -ApplicationIdentifier)"))
	case tenant == "":
		return fail(fmt.Errorf("its realm %q is not the organization's", s.Realm))
	}
	endpoint, err := tenantEndpoint(s, tenant)
	if err != nil {
		return fail(err)
	}
	resource := "https://" + p.host
	domain := ""
	if p.as != nil {
		domain = p.as.domain()
	}
	trace.chosen(p.org, s, tenant, resource, domain)
	return &way{actorKey{p.org.ID, issuerKey(s), tenant, s.ApplicationIdentifier, resource}, p.org, s, nil, endpoint}, nil
}

// tenantEndpoint is the token endpoint of the tenant. The object has that of
// every tenant, "common", for which an application has no token.
func tenantEndpoint(s *directory.AuthServer, tenant string) (string, error) {
	u, err := url.Parse(s.TokenIssuingEndpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("its token endpoint %q is no https URL", s.TokenIssuingEndpoint)
	}
	if rest, ok := strings.CutPrefix(u.Path, "/"+oidc.CommonTenant+"/"); ok {
		u.Path = "/" + tenant + "/" + rest
	}
	return u.String(), nil
}

// requestApplication signs a client assertion and exchanges it (oauth-s2s 3.4).
func (t *Tokens) requestApplication(ctx context.Context, by *way, trace *Trace) (actorToken, error) {
	now, key := t.cfg.Now(), by.key
	g, err := t.signers.current(by.org, now)
	if err != nil {
		return actorToken{}, &RequestError{Step: "sign assertion", AuthServer: by.server.Name, Err: err}
	}
	var w jose.Writer
	w.Text("aud", by.endpoint).Text("iss", key.pid).Text("sub", key.pid).Text("jti", uuid.NewString())
	w.Number("nbf", now.Unix()).Number("iat", now.Unix()).Number("exp", now.Add(t.cfg.AssertionLifetime).Unix())
	assertion, err := jose.SignRS256(g.key, g.x5t, "", &w)
	if err != nil {
		return actorToken{}, &RequestError{Step: "sign assertion", AuthServer: by.server.Name, Err: err}
	}
	trace.requesting(by.endpoint, key.audience)
	req := oidc.TokenRequest{GrantType: oidc.GrantClientCredentials, ClientID: key.pid, Resource: key.audience,
		ClientAssertionType: oidc.AssertionTypeJWT, ClientAssertion: assertion}
	if trace != nil {
		req.CorrelationID = trace.RequestID
	}
	resp, err := t.cfg.Endpoint.RequestApplicationToken(ctx, by.endpoint, req)
	if err != nil {
		return actorToken{}, refusedBy(by.server, err)
	}
	a, err := readApplication(resp, key.audience, now)
	if err != nil {
		return actorToken{}, &RequestError{Step: "read token", AuthServer: by.server.Name, Err: err}
	}
	t.cfg.Log.DebugContext(ctx, "application token issued", "authServer", by.server.Name, "resource", key.audience, "expires", a.expires)
	return a, nil
}

// readApplication checks that the token is for what was asked, so that a wrong
// one is not carried to a resource.
func readApplication(resp *acs.TokenResponse, audience string, now time.Time) (actorToken, error) {
	token, err := jose.ParseUnverified(resp.AccessToken)
	if err != nil {
		return actorToken{}, err
	}
	if aud, _ := token.Claims.Text("aud"); strings.TrimSuffix(aud, "/") != audience {
		return actorToken{}, fmt.Errorf("token is for %q, asked for %q", clip(aud), audience)
	}
	expires, err := expiryOf(token, resp, now)
	return actorToken{text: resp.AccessToken, expires: expires}, err
}
