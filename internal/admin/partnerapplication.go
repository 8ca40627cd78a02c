package admin

import (
	"context"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
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
// identifier, realm and certificates come from the document, which is fetched now
// and pinned as they come; a warning asks to compare them.
func (s *Service) NewPartnerApplication(ctx context.Context, actor Actor, org directory.OrgID, p directory.PartnerApplication) (Result[directory.PartnerApplication], error) {
	return s.PinPartnerApplication(ctx, actor, org, p, "")
}

// PinPartnerApplication is NewPartnerApplication for a partner that has told the
// fingerprint of its keys: those of the document must have it.
func (s *Service) PinPartnerApplication(ctx context.Context, actor Actor, org directory.OrgID, p directory.PartnerApplication, expected string) (Result[directory.PartnerApplication], error) {
	const op = "New-PartnerApplication"
	sc := scope{org: org, object: partnerApplications.name + " " + p.Name}
	err := s.permit(ctx, actor, op, sc)
	switch {
	case err != nil:
	case p.ApplicationIdentifier != "" && p.AuthMetadataURL != "":
		err = errTwoSources
	case p.AuthMetadataURL != "":
		if p, err = s.directPartner(ctx, p); err == nil {
			err = compareFingerprint(expected, p.CertificateStrings)
		}
	case p.ApplicationIdentifier == "":
		err = errNoPartnerID
	default:
		p.UseAuthServer = true
	}
	if err != nil {
		return Result[directory.PartnerApplication]{}, s.finish(ctx, actor, op, sc, err)
	}
	res, err := create(ctx, s, actor, op, org, partnerApplications, p)
	if err == nil && expected == "" {
		res.Warnings = append(res.Warnings, pinWarnings(&res.Object, true)...)
	}
	return res, err
}

// SetPartnerApplication changes an application (cmdlet reference 4.7; article
// step 2). When fn changes the metadata URL, the document there is pinned in the
// place of the old one; with refresh, the pinned document is read again and
// followed as far as trust.FollowPartner allows. fn may be nil, and may be called
// twice.
func (s *Service) SetPartnerApplication(ctx context.Context, actor Actor, org directory.OrgID, identity string, refresh bool, fn func(*directory.PartnerApplication) error) (Result[directory.PartnerApplication], error) {
	var moved bool
	var lost error // the object was changed between the fetch and the transaction
	change := func(p *directory.PartnerApplication) error {
		was := p.AuthMetadataURL
		if fn != nil {
			if err := fn(p); err != nil {
				return err
			}
		}
		moved = p.AuthMetadataURL != was
		return nil
	}
	res, err := setFetched(ctx, s, actor, "Set-PartnerApplication", org, partnerApplications, identity, refresh, change, document[directory.PartnerApplication]{
		url: func(p *directory.PartnerApplication) string { return p.AuthMetadataURL },
		read: func(ctx context.Context, p directory.PartnerApplication) (directory.PartnerApplication, error) {
			n, err := s.directPartner(ctx, p)
			if err == nil && !moved {
				_, err = trust.FollowPartner(p, n, s.Now())
			}
			return n, err
		},
		apply: func(p *directory.PartnerApplication, next directory.PartnerApplication) {
			if moved {
				p.UseAuthServer, p.ApplicationIdentifier, p.IssuerIdentifier = false, next.ApplicationIdentifier, next.IssuerIdentifier
				p.Realm, p.CertificateStrings, p.PendingCertificateStrings = next.Realm, next.CertificateStrings, nil
				return
			}
			*p, lost = trust.FollowPartner(*p, next, s.Now())
		},
	})
	if err == nil && lost != nil {
		err = s.finish(ctx, actor, "Set-PartnerApplication", scope{org: org, object: partnerApplications.name + " " + identity}, lost)
	}
	if err == nil {
		res.Warnings = append(res.Warnings, pinWarnings(&res.Object, moved)...)
	}
	return res, err
}

// RemovePartnerApplication removes an application (cmdlet reference 4.8).
func (s *Service) RemovePartnerApplication(ctx context.Context, actor Actor, org directory.OrgID, identity string) (Result[directory.PartnerApplication], error) {
	return remove(ctx, s, actor, "Remove-PartnerApplication", org, partnerApplications, identity)
}
