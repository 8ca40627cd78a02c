package admin

import (
	"context"
	"encoding/base64"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
)

var partnerApplications = noun[directory.PartnerApplication]{
	name:   "PartnerApplication",
	list:   func(o *directory.Organization) *[]directory.PartnerApplication { return &o.PartnerApplications },
	common: func(p *directory.PartnerApplication) *directory.Common { return &p.Common },
	also: func(p *directory.PartnerApplication, identity string) bool {
		return p.ApplicationIdentifier == identity
	},
	normalize: func(*directory.PartnerApplication) {},
}

// NewPartnerApplication adds an application whose tokens are accepted (cmdlet
// reference 4.6, oauth-s2s reference 4.6). With an application identifier, auth
// servers vouch for it; with a metadata URL it is trusted directly, and its
// identifier, realm and certificates come from the document, which is fetched now.
func (s *Service) NewPartnerApplication(ctx context.Context, actor Actor, org directory.OrgID, p directory.PartnerApplication) (Result[directory.PartnerApplication], error) {
	const op = "New-PartnerApplication"
	sc := scope{org: org, object: partnerApplications.name + " " + p.Name}
	err := s.permit(ctx, actor, op, sc)
	switch {
	case err != nil:
	case p.ApplicationIdentifier != "" && p.AuthMetadataURL != "":
		err = errTwoSources
	case p.AuthMetadataURL != "":
		p, err = s.directPartner(ctx, p)
	case p.ApplicationIdentifier == "":
		err = errNoPartnerID
	default:
		p.UseAuthServer = true
	}
	if err != nil {
		return Result[directory.PartnerApplication]{}, s.finish(ctx, actor, op, sc, err)
	}
	return create(ctx, s, actor, op, org, partnerApplications, p)
}

// directPartner fills in what the partner's own document says. A document for
// every realm is refused unless p pins one.
func (s *Service) directPartner(ctx context.Context, p directory.PartnerApplication) (directory.PartnerApplication, error) {
	doc, err := s.fetch(ctx, p.AuthMetadataURL)
	if err != nil {
		return p, err
	}
	bad := func(err error) (directory.PartnerApplication, error) {
		return p, &MetadataError{p.AuthMetadataURL, err}
	}
	issuer, err := acs.ParsePrincipalName(doc.Issuer)
	if err != nil {
		return bad(err)
	}
	p.UseAuthServer, p.ApplicationIdentifier = false, doc.ServiceName
	if p.ApplicationIdentifier == "" {
		p.ApplicationIdentifier = issuer.PID
	}
	if p.IssuerIdentifier = issuer.PID; p.Realm == "" {
		if doc.Realm == acs.AnyRealm {
			return bad(errRealmOfAll)
		}
		p.Realm = doc.Realm
	}
	p.CertificateStrings = nil
	for _, k := range doc.Keys {
		p.CertificateStrings = append(p.CertificateStrings, base64.StdEncoding.EncodeToString(k.Certificate))
	}
	return p, nil
}

// SetPartnerApplication changes an application (cmdlet reference 4.7; article
// step 2). With refresh, or when fn changes the metadata URL, the document is
// fetched again. fn may be nil, and may be called twice.
func (s *Service) SetPartnerApplication(ctx context.Context, actor Actor, org directory.OrgID, identity string, refresh bool, fn func(*directory.PartnerApplication) error) (Result[directory.PartnerApplication], error) {
	return setFetched(ctx, s, actor, "Set-PartnerApplication", org, partnerApplications, identity, refresh, fn, document[directory.PartnerApplication]{
		url:  func(p *directory.PartnerApplication) string { return p.AuthMetadataURL },
		read: s.directPartner,
		apply: func(p *directory.PartnerApplication, next directory.PartnerApplication) {
			p.UseAuthServer, p.ApplicationIdentifier, p.IssuerIdentifier = false, next.ApplicationIdentifier, next.IssuerIdentifier
			p.Realm, p.CertificateStrings = next.Realm, next.CertificateStrings
		},
	})
}

// RemovePartnerApplication removes an application (cmdlet reference 4.8).
func (s *Service) RemovePartnerApplication(ctx context.Context, actor Actor, org directory.OrgID, identity string) (Result[directory.PartnerApplication], error) {
	return remove(ctx, s, actor, "Remove-PartnerApplication", org, partnerApplications, identity)
}
