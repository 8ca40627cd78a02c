package trust

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
)

// Metadata reads metadata documents. See authorityclient.Client.
type Metadata interface {
	FetchMetadata(ctx context.Context, url string) (*acs.Document, error)
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

// refreshed returns s with what a newer document says. Name, what is enabled and
// a realm that was left open stay; another issuer or realm is an error.
func refreshed(s directory.AuthServer, doc *acs.Document, now time.Time) (directory.AuthServer, error) {
	n, err := AuthServerFrom(doc, s.Name, s.AuthMetadataURL, now)
	if err != nil {
		return s, err
	}
	if n.IssuerIdentifier != s.IssuerIdentifier || s.Realm != "" && n.Realm != s.Realm {
		return s, fmt.Errorf("%w: %s: issuer is now %s@%s, was %s@%s", ErrMetadata, s.AuthMetadataURL,
			n.IssuerIdentifier, n.Realm, s.IssuerIdentifier, s.Realm)
	}
	s.CertificateStrings, s.AllowedAudiences = n.CertificateStrings, n.AllowedAudiences
	s.TokenIssuingEndpoint, s.RefreshedAt = n.TokenIssuingEndpoint, now
	return s, nil
}

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
		Endpoints: []acs.Endpoint{{Location: "https://" + host + "/autodiscover/metadata/json/1",
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
