package admin

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// CertificateParams describe a new self-signed certificate.
type CertificateParams struct {
	Subject      string    // default that of the auth certificate
	FriendlyName string    // default Microsoft Exchange
	Services     []string  // IIS, SMTP, …
	NotAfter     time.Time // default five years from now
}

// NewExchangeCertificate makes a self-signed RSA certificate in the
// organization's own store (cmdlet reference 5.2). Set-AuthConfig puts it to use.
func (s *Service) NewExchangeCertificate(ctx context.Context, actor Actor, org directory.OrgID, p CertificateParams) (Result[directory.Certificate], error) {
	const op = "New-ExchangeCertificate"
	res := Result[directory.Certificate]{Changed: true}
	now := s.Now()
	p.Subject = cmp.Or(p.Subject, trust.ExchangeCertificateSubject)
	if p.NotAfter.IsZero() {
		p.NotAfter = now.AddDate(signingYears, 0, 0)
	}
	sc := scope{org: org, object: "ExchangeCertificate " + p.Subject}
	err := s.permit(ctx, actor, op, sc)
	if err == nil {
		p.Services, err = parseServices(p.Services)
	}
	if err == nil {
		res.Object, err = s.NewCertificate(p.Subject, now, p.NotAfter)
	}
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	res.Object.FriendlyName, res.Object.Services = cmp.Or(p.FriendlyName, "Microsoft Exchange"), p.Services
	return res, s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		_, err := tx.UpdateOrganization(ctx, org, func(o *directory.Organization) error {
			o.Certificates = append(o.Certificates, res.Object)
			return nil
		})
		return outcome{changed: true, after: res.Object}, err
	})
}

// An AuthConfigChange is what Set-AuthConfig can be asked for (cmdlet reference
// 4.10); only one of the groups at once.
type AuthConfigChange struct {
	// CertificateThumbprint becomes current now; what was current becomes previous.
	CertificateThumbprint string

	// NewCertificateThumbprint becomes current at NewCertificateEffectiveDate.
	NewCertificateThumbprint    string
	NewCertificateEffectiveDate time.Time

	// PublishCertificate rolls over: next becomes current, current previous.
	PublishCertificate bool
	// ClearPreviousCertificate forgets the previous thumbprint.
	ClearPreviousCertificate bool

	Realm, ServiceName *string
}

// earlyWarning is the time that partners are given to read a new certificate.
const earlyWarning = 48 * time.Hour

var errOneGroup = errors.New("current certificate, next certificate, publication, and realm or service name are changed one by one")

// SetAuthConfig changes the organization's own signing certificates, realm or
// service name (cmdlet reference 4.10, oauth-s2s reference 6.2).
func (s *Service) SetAuthConfig(ctx context.Context, actor Actor, org directory.OrgID, c AuthConfigChange) (Result[directory.AuthConfig], error) {
	var res Result[directory.AuthConfig]
	now := s.Now()
	err := s.run(ctx, actor, "Set-AuthConfig", scope{org: org, object: "AuthConfig"}, func(tx Tx) (outcome, error) {
		if err := c.check(); err != nil {
			return outcome{}, err
		}
		var before directory.AuthConfig
		var version int64
		o, err := tx.UpdateOrganization(ctx, org, func(o *directory.Organization) error {
			before, version = o.AuthConfig, o.Version
			return c.apply(&o.AuthConfig)
		})
		if err != nil {
			return outcome{}, err
		}
		res = Result[directory.AuthConfig]{Object: o.AuthConfig, Changed: o.Version != version, Warnings: c.warnings(o, now)}
		return outcome{changed: res.Changed, before: before, after: o.AuthConfig}, nil
	})
	return res, err
}

func (c *AuthConfigChange) check() error {
	groups := 0
	for _, asked := range []bool{
		c.CertificateThumbprint != "", c.NewCertificateThumbprint != "",
		c.PublishCertificate || c.ClearPreviousCertificate, c.Realm != nil || c.ServiceName != nil,
	} {
		if asked {
			groups++
		}
	}
	switch {
	case groups > 1:
		return errOneGroup
	case (c.NewCertificateThumbprint == "") != c.NewCertificateEffectiveDate.IsZero():
		return errors.New("a next certificate and its effective date belong together")
	}
	return nil
}

func (c *AuthConfigChange) apply(a *directory.AuthConfig) error {
	if t := thumbprint(c.CertificateThumbprint); t != "" && t != a.CurrentCertificateThumbprint {
		a.PreviousCertificateThumbprint, a.CurrentCertificateThumbprint = a.CurrentCertificateThumbprint, t
	}
	if t := thumbprint(c.NewCertificateThumbprint); t != "" {
		at := c.NewCertificateEffectiveDate.UTC().Truncate(time.Microsecond)
		a.NextCertificateThumbprint, a.NextCertificateEffectiveDate = t, &at
	}
	if c.PublishCertificate {
		if a.NextCertificateThumbprint == "" {
			return errors.New("there is no next certificate to publish")
		}
		a.PreviousCertificateThumbprint, a.CurrentCertificateThumbprint = a.CurrentCertificateThumbprint, a.NextCertificateThumbprint
		a.NextCertificateThumbprint, a.NextCertificateEffectiveDate = "", nil
	}
	if c.ClearPreviousCertificate {
		a.PreviousCertificateThumbprint = ""
	}
	if c.Realm != nil {
		a.Realm = *c.Realm
	}
	if c.ServiceName != nil {
		a.ServiceName = strings.ToLower(*c.ServiceName)
	}
	return nil
}

func (c *AuthConfigChange) warnings(o *directory.Organization, now time.Time) (out []string) {
	a := &o.AuthConfig
	if c.NewCertificateThumbprint != "" && c.NewCertificateEffectiveDate.Before(now.Add(earlyWarning)) {
		out = append(out, fmt.Sprintf("the next certificate becomes current in less than %d hours: partners may not know it by then", int(earlyWarning.Hours())))
	}
	if k := o.Certificate(a.CurrentCertificateThumbprint); k != nil && (c.CertificateThumbprint != "" || c.PublishCertificate) {
		if cert, err := x509.ParseCertificate(k.DER); err == nil && !now.Before(cert.NotAfter) {
			out = append(out, fmt.Sprintf("the current certificate %s has expired at %s", k.Thumbprint, cert.NotAfter.UTC().Format(time.RFC3339)))
		}
	}
	return out
}
