package admin

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// signingYears is how long the certificate that setup makes is valid (oauth-s2s reference 6.1).
const signingYears = 5

// OrganizationParams describe a new organization.
type OrganizationParams struct {
	Name        string
	Domain      string   // the default accepted domain
	MoreDomains []string // further accepted domains
	// Tenant is the realm GUID of a hosted (cloud) organization; empty on premises.
	Tenant string
}

// NewOrganization makes an organization with what setup puts into a fresh one:
// an auth configuration with a signing certificate, and the partner application
// "Exchange Online", which is disabled on premises until somebody enables it
// (article step 2, cmdlet reference 4.5).
func (s *Service) NewOrganization(ctx context.Context, actor Actor, p OrganizationParams) (Result[*directory.Organization], error) {
	const op = "New-Organization"
	res := Result[*directory.Organization]{Changed: true}
	sc := scope{org: directory.OrgID(uuid.NewString()), object: "Organization " + p.Name}
	// Making a key takes long: not in the transaction, and not for everybody.
	var cert directory.Certificate
	err := s.permit(ctx, actor, op, sc)
	if err == nil {
		cert, err = s.signingCertificate()
	}
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	o := &directory.Organization{
		ID: sc.org, Name: p.Name, Tenant: strings.ToLower(p.Tenant),
		AuthConfig:   directory.AuthConfig{ServiceName: directory.ExchangeAppID, CurrentCertificateThumbprint: cert.Thumbprint},
		Certificates: []directory.Certificate{cert},
	}
	for i, d := range append([]string{p.Domain}, p.MoreDomains...) {
		d = pattern(d)
		o.AcceptedDomains = append(o.AcceptedDomains, directory.AcceptedDomain{
			Common: directory.Common{Name: d}, DomainName: d, DomainType: "Authoritative", Default: i == 0,
		})
	}
	o.PartnerApplications = []directory.PartnerApplication{{
		Common: directory.Common{Name: "Exchange Online"}, Enabled: o.Tenant != "", ApplicationIdentifier: directory.ExchangeAppID,
		UseAuthServer: true, LinkedAccount: o.DefaultDomain() + "/Users/Exchange Online-ApplicationAccount",
	}}
	err = s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		err := tx.CreateOrganization(ctx, o)
		return outcome{changed: true, after: o}, err
	})
	res.Object = o
	return res, err
}

func (s *Service) signingCertificate() (directory.Certificate, error) {
	now := s.Now()
	cert, err := s.NewCertificate(trust.ExchangeCertificateSubject, now, now.AddDate(signingYears, 0, 0))
	if err != nil {
		return cert, fmt.Errorf("signing certificate: %w", err)
	}
	cert.FriendlyName, cert.Services = "Microsoft Exchange Server Auth Certificate", []string{"SMTP"}
	return cert, nil
}
