package trust

import (
	"context"
	"errors"
	"slices"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
)

// A Publication says whether an authorization server knows a certificate of the
// organization.
type Publication struct {
	AuthServer  string // name
	Application string // who the organization is there: a GUID
	Realm       string // the tenant there
	Known       bool
	// Err is why the certificate is not taken, or why that could not be found out.
	Err error
	// Asked is false when the server gave no answer about the certificate.
	Asked bool
}

// Missing reports whether the server was asked and does not take the certificate.
func (p Publication) Missing() bool { return p.Asked && !p.Known }

// Published asks each authorization server of which the organization requests
// tokens whether it takes assertions that are signed with the certificate. It asks
// for a token for the organization itself, which is thrown away: a server checks
// the key before the resource, so that an unknown resource is an answer, too
// (oauth-s2s 3.2). The list is empty when there is no such server.
func (t *Tokens) Published(ctx context.Context, org *directory.Organization, thumbprint string) (out []Publication) {
	as := org.Clone()
	as.AuthConfig.CurrentCertificateThumbprint = thumbprint
	for i := range as.AuthServers {
		server := &as.AuthServers[i]
		if !asked(server) {
			continue
		}
		p := Publication{AuthServer: server.Name, Application: serviceName(as), Realm: realmAt(as, server)}
		if server.Type == directory.AuthServerAzureAD {
			p.Application = server.ApplicationIdentifier
		}
		w, err := probe(as, server)
		if err == nil {
			_, err = t.issue(ctx, w, nil)
		}
		oauth, answered := errors.AsType[*acs.Error](err)
		switch {
		case err == nil, answered && (oauth.Code == "invalid_resource" || slices.Contains(oauth.Codes, 500011)):
			p.Known, p.Asked = true, true
		case answered && (oauth.Code == "invalid_client" || oauth.Code == "unauthorized_client"), errors.Is(err, ErrNoCertificate):
			p.Asked, p.Err = true, err
		default:
			p.Err = err
		}
		out = append(out, p)
	}
	return out
}

// asked reports whether the organization asks the server for tokens.
func asked(s *directory.AuthServer) bool {
	return s.Enabled && s.TokenIssuingEndpoint != "" && (isACS(s) || s.Type == directory.AuthServerAzureAD && s.ApplicationIdentifier != "")
}

// probe is the way to a token of the organization for itself.
func probe(o *directory.Organization, server *directory.AuthServer) (*way, error) {
	if server.Type == directory.AuthServerAzureAD {
		return applicationWay(&purpose{org: o, host: ownHost(o), app: server}, nil)
	}
	pid, realm := serviceName(o), realmAt(o, server)
	resource := acs.Audience{PID: pid, Host: ownHost(o), Realm: realm}.String()
	return &way{actorKey{o.ID, issuerKey(server), realm, pid, resource}, o, server, nil, server.TokenIssuingEndpoint}, nil
}

// ownHost is a host of the organization, for an audience.
func ownHost(o *directory.Organization) string {
	for i := range o.Servers {
		if s := &o.Servers[i]; s.ExternalURL != "" && len(s.HostNames) > 0 {
			return s.HostNames[0]
		}
	}
	return o.DefaultDomain()
}
