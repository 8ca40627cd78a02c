package trust

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/fedmeta"
)

// Metadata reads metadata documents: those of ACS, and the federation metadata
// of Entra. See authorityclient.Client.
type Metadata interface {
	FetchMetadata(ctx context.Context, url string) (*acs.Document, error)
	FetchFederationMetadata(ctx context.Context, url string) (*fedmeta.Document, error)
}

// ErrMetadata: a metadata document cannot be used for what it was fetched for.
var ErrMetadata = errors.New("metadata document cannot be used")

// AuthServerFrom makes the AuthServer of an authorization server's document
// (oauth-s2s 1.4). It is enabled. GUID and WhenCreated are for the caller.
func AuthServerFrom(doc *acs.Document, name, metadataURL string, now time.Time) (directory.AuthServer, error) {
	issuer, err := acs.ParsePrincipalName(doc.Issuer)
	if err != nil {
		return directory.AuthServer{}, fmt.Errorf("%w: %s: issuer: %w", ErrMetadata, metadataURL, err)
	}
	endpoint := doc.TokenEndpoint()
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "":
		return directory.AuthServer{}, fmt.Errorf("%w: %s: token endpoint %q is no https URL", ErrMetadata, metadataURL, endpoint)
	case doc.Realm == "" || doc.Realm == acs.AnyRealm || issuer.Realm != doc.Realm:
		return directory.AuthServer{}, fmt.Errorf("%w: %s: realm %q, issuer %s: want one realm", ErrMetadata, metadataURL, doc.Realm, issuer)
	case len(doc.Keys) == 0:
		return directory.AuthServer{}, errors.Join(append([]error{fmt.Errorf("%w: %s: no signing key", ErrMetadata, metadataURL)}, doc.Refused...)...)
	}
	s := directory.AuthServer{
		Common: directory.Common{Name: name, WhenCreated: now, WhenChanged: now},
		Type:   directory.AuthServerACS, IssuerIdentifier: issuer.PID, Realm: doc.Realm,
		TokenIssuingEndpoint: endpoint, AuthMetadataURL: metadataURL, Enabled: true,
		AllowedAudiences: doc.AllowedAudiences, RefreshedAt: now,
	}
	for _, k := range doc.Keys {
		s.CertificateStrings = append(s.CertificateStrings, base64.StdEncoding.EncodeToString(k.Certificate))
	}
	return s, nil
}

// FederationServerFrom makes the AuthServer of an Entra issuer's federation
// metadata (oauth-s2s 1.4). The endpoints stand in no such document: they are
// those for every tenant at the host that the document came from. Tokens of
// server-to-server trust are neither asked from such a server nor accepted of it;
// it advertises the address where people sign in.
func FederationServerFrom(doc *fedmeta.Document, name, metadataURL string, now time.Time) (directory.AuthServer, error) {
	fail := func(format string, args ...any) (directory.AuthServer, error) {
		return directory.AuthServer{}, fmt.Errorf("%w: %s: %s", ErrMetadata, metadataURL, fmt.Sprintf(format, args...))
	}
	at, err := url.Parse(metadataURL)
	if err != nil || at.Host == "" {
		return fail("no URL")
	}
	issuer, err := url.Parse(doc.EntityID)
	realm := strings.ToLower(doc.Tenant())
	switch {
	case err != nil || issuer.Scheme != "https" || issuer.Host == "" || issuer.User != nil:
		return fail("entityID %q is no https URL", doc.EntityID)
	case !directory.IsGUID(realm):
		return fail("entityID %q names no tenant: put the tenant or one of its domains into the metadata URL", doc.EntityID)
	case len(doc.Certificates) == 0:
		_, err := fail("no signing key")
		return directory.AuthServer{}, errors.Join(append([]error{err}, doc.Refused...)...)
	}
	s := directory.AuthServer{
		Common: directory.Common{Name: name, WhenCreated: now, WhenChanged: now},
		Type:   directory.AuthServerAzureAD, IssuerIdentifier: doc.EntityID, Realm: realm,
		TokenIssuingEndpoint:  "https://" + at.Host + "/common/oauth2/token",
		AuthorizationEndpoint: "https://" + at.Host + "/common/oauth2/authorize",
		AuthMetadataURL:       metadataURL, Enabled: true, RefreshedAt: now,
	}
	for _, der := range doc.Certificates {
		s.CertificateStrings = append(s.CertificateStrings, base64.StdEncoding.EncodeToString(der))
	}
	return s, nil
}

// ReadAuthServer fetches the metadata of s and makes the AuthServer of it, in
// the form that its type says. It keeps nothing of s but name, type and URL.
func ReadAuthServer(ctx context.Context, m Metadata, s directory.AuthServer, now time.Time) (directory.AuthServer, error) {
	switch {
	case isACS(&s):
		doc, err := m.FetchMetadata(ctx, s.AuthMetadataURL)
		if err != nil {
			return directory.AuthServer{}, err
		}
		return AuthServerFrom(doc, s.Name, s.AuthMetadataURL, now)
	case s.Type == directory.AuthServerAzureAD:
		doc, err := m.FetchFederationMetadata(ctx, s.AuthMetadataURL)
		if err != nil {
			return directory.AuthServer{}, err
		}
		return FederationServerFrom(doc, s.Name, s.AuthMetadataURL, now)
	}
	return directory.AuthServer{}, fmt.Errorf("%w: the type %q is none of %s, %s", ErrMetadata, s.Type, directory.AuthServerACS, directory.AuthServerAzureAD)
}

// refreshed returns s with what n, made of a newer document, says. Name, what is
// enabled and a realm that was left open stay; another issuer or realm is an error.
func refreshed(s, n directory.AuthServer, now time.Time) (directory.AuthServer, error) {
	if n.IssuerIdentifier != s.IssuerIdentifier || s.Realm != "" && n.Realm != s.Realm {
		return s, fmt.Errorf("%w: %s: issuer is now %s@%s, was %s@%s", ErrMetadata, s.AuthMetadataURL,
			n.IssuerIdentifier, n.Realm, s.IssuerIdentifier, s.Realm)
	}
	s.CertificateStrings, s.AllowedAudiences = n.CertificateStrings, n.AllowedAudiences
	s.TokenIssuingEndpoint, s.RefreshedAt = n.TokenIssuingEndpoint, now
	if n.AuthorizationEndpoint != "" {
		s.AuthorizationEndpoint = n.AuthorizationEndpoint
	}
	return s, nil
}

// DocumentPath is where an organization publishes its document.
const DocumentPath = "/autodiscover/metadata/json/1"

// OrganizationDocument is what org publishes under host at
// /autodiscover/metadata/json/1 (oauth-s2s 1.2): its current, next and previous
// certificates, without those that have expired.
func OrganizationDocument(org *directory.Organization, host string, now time.Time) (*acs.Document, error) {
	service := serviceName(org)
	realm := org.Realm()
	if realm == "" {
		return nil, fmt.Errorf("metadata document of %s: the organization has no realm and no default accepted domain", org.Name)
	}
	issuer := acs.PrincipalName{PID: service, Realm: realm}.String()
	d := &acs.Document{
		ID: "_" + string(org.ID), Version: "1.0", Name: "Exchange", Realm: realm, ServiceName: service, Issuer: issuer,
		AllowedAudiences: []string{issuer},
		Endpoints: []acs.Endpoint{{Location: "https://" + host + DocumentPath,
			Protocol: "OAuth2", Usage: "metadata"}},
	}
	a := &org.AuthConfig
	seen := make(map[string]bool)
	for _, thumbprint := range []string{a.CurrentCertificateThumbprint, a.NextCertificateThumbprint, a.PreviousCertificateThumbprint} {
		if thumbprint == "" || seen[thumbprint] {
			continue
		}
		seen[thumbprint] = true
		for i := range org.Certificates {
			c := &org.Certificates[i]
			if c.Thumbprint != thumbprint {
				continue
			}
			cert, err := x509.ParseCertificate(c.DER)
			if err != nil {
				return nil, fmt.Errorf("metadata document of %s: certificate %s: %w", org.Name, thumbprint, err)
			}
			if now.Before(cert.NotAfter) {
				d.Keys = append(d.Keys, acs.Key{Certificate: c.DER})
			}
		}
	}
	return d, nil
}

// serviceName is the application id that org calls its own.
func serviceName(org *directory.Organization) string {
	if org.AuthConfig.ServiceName != "" {
		return org.AuthConfig.ServiceName
	}
	return directory.ExchangeAppID
}
