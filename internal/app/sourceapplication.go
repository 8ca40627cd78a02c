package app

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/source/syncsource"
	"busybridge/internal/spec/oidc"
	"busybridge/internal/trust"
)

// sourceApplication signs the questions for a source in as the application that it
// names, which knows the organization's current certificate. That the application
// is in some tenant does not make the organization trust that tenant: the server
// that issues its tokens is none of the organization's AuthServers.
func (d *Deployment) sourceApplication(ctx context.Context, v *directory.CalendarSource) (http.RoundTripper, error) {
	org, err := d.Store.Organization(ctx, v.Org)
	if err != nil {
		return nil, err
	}
	if org.Tenant != "" { // it would count as the only realm
		alike := *org
		alike.Tenant, org = "", &alike
	}
	return tokenFaults{&trust.Transport{Base: d.safe, Tokens: d.tokens, Org: org, Application: &directory.AuthServer{
		Common: directory.Common{Name: "of source " + v.Name}, Type: directory.AuthServerAzureAD, Enabled: true, Realm: v.Server.Tenant,
		ApplicationIdentifier: v.UserName, TokenIssuingEndpoint: strings.TrimSuffix(v.Server.Login, "/") + oidc.V1.TokenPath(v.Server.Tenant),
	}}}, nil
}

// tokenFaults makes faults of why there is no token.
type tokenFaults struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t tokenFaults) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	e, ok := errors.AsType[*trust.RequestError](err)
	if !ok {
		return resp, err
	}
	if e.Code == "" && e.Step == "request token" { // it was not asked, or says nothing
		f := *safehttp.FaultOf(e.Err)
		f.Err = errors.New("the authorization server: " + f.Err.Error())
		return nil, &f
	}
	return nil, &safehttp.FaultError{Fault: syncsource.FaultToken, Err: errors.New(e.Error())}
}
