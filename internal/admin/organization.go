package admin

import (
	"context"
	"fmt"
	"slices"
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
	o.LinkedUsers = []directory.LinkedUser{{Common: directory.Common{Name: directory.ExchangeOnlineAccount}, Roles: directory.ApplicationRoles()}}
	o.PartnerApplications = []directory.PartnerApplication{{
		Common: directory.Common{Name: "Exchange Online"}, Enabled: o.Tenant != "", ApplicationIdentifier: directory.ExchangeAppID,
		UseAuthServer: true, LinkedAccount: o.CanonicalName(&o.LinkedUsers[0]),
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

// SetEWSAccess changes who may use Exchange Web Services (cmdlet reference 11.2).
func (s *Service) SetEWSAccess(ctx context.Context, actor Actor, org directory.OrgID, fn func(*directory.EWSAccess)) (Result[directory.EWSAccess], error) {
	var res Result[directory.EWSAccess]
	err := s.run(ctx, actor, "Set-OrganizationConfig", scope{org: org, object: "OrganizationConfig"}, func(tx Tx) (outcome, error) {
		var before directory.EWSAccess
		var version int64
		o, err := tx.UpdateOrganization(ctx, org, func(o *directory.Organization) error {
			before, version = o.AvailabilityConfig.EWS, o.Version
			fn(&o.AvailabilityConfig.EWS)
			for i, id := range o.AvailabilityConfig.EWS.AllowedAppIDs {
				o.AvailabilityConfig.EWS.AllowedAppIDs[i] = strings.ToLower(id)
			}
			return nil
		})
		if err != nil {
			return outcome{}, err
		}
		res = Result[directory.EWSAccess]{Object: o.AvailabilityConfig.EWS, Changed: o.Version != version, Warnings: ewsWarnings(o)}
		return outcome{changed: res.Changed, before: before, after: o.AvailabilityConfig.EWS}, nil
	})
	return res, err
}

// ewsWarnings are what an administrator may not have meant.
func ewsWarnings(o *directory.Organization) []string {
	a := o.AvailabilityConfig.EWS
	switch {
	case a.Enabled != nil && !*a.Enabled:
		return []string{"Exchange Web Services are closed to everybody now: free/busy, too, is answered to nobody."}
	case a.Enabled == nil && len(a.AllowedAppIDs) > 0:
		return []string{"EwsAllowedAppIDs has no effect until EwsEnabled is True."}
	case len(a.AllowedAppIDs) > 0 && !slices.Contains(a.AllowedAppIDs, directory.ExchangeAppID) &&
		slices.ContainsFunc(o.PartnerApplications, func(p directory.PartnerApplication) bool {
			return p.Enabled && p.ApplicationIdentifier == directory.ExchangeAppID
		}):
		return []string{fmt.Sprintf("The application of Exchange, %s, is a partner application and not among EwsAllowedAppIDs: organizations that ask with it get no free/busy.", directory.ExchangeAppID)}
	}
	return nil
}
