package admin

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/base64"
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
	var after *directory.Organization
	now := s.Now()
	err := s.run(ctx, actor, "Set-AuthConfig", scope{org: org, object: "AuthConfig"}, func(tx Tx) (outcome, error) {
		if err := c.check(); err != nil {
			return outcome{}, err
		}
		var before directory.AuthConfig
		var version int64
		o, err := tx.UpdateOrganization(ctx, org, func(o *directory.Organization) error {
			before, version = o.AuthConfig, o.Version
			return c.apply(o)
		})
		if err != nil {
			return outcome{}, err
		}
		after = o
		res = Result[directory.AuthConfig]{Object: o.AuthConfig, Changed: o.Version != version, Warnings: c.warnings(o, now)}
		return outcome{changed: res.Changed, before: before, after: o.AuthConfig}, nil
	})
	if err == nil && res.Changed {
		res.Warnings = append(res.Warnings, s.unpublished(ctx, after, c.put())...)
	}
	return res, err
}

// put is the certificate that the change puts to use, now or later; "" for none.
func (c *AuthConfigChange) put() string {
	switch {
	case c.CertificateThumbprint != "" || c.PublishCertificate:
		return trust.KeyCurrent
	case c.NewCertificateThumbprint != "":
		return trust.KeyNext
	}
	return ""
}

// unpublished warns of authorization servers that do not know a certificate that
// the organization signs with, or is going to.
func (s *Service) unpublished(ctx context.Context, o *directory.Organization, use string) (out []string) {
	if use == "" {
		return nil
	}
	for _, p := range s.publications(ctx, o) {
		if p.Use != use {
			continue
		}
		switch {
		case p.Missing():
			out = append(out, fmt.Sprintf("the auth server %q does not know the %s %s: until it does, it gives this organization no token for what that certificate signs. "+
				"Run there the line that this shows here: (Test-AuthCertificatePublication).Command", p.AuthServer, use, p.Thumbprint))
		case !p.Known:
			out = append(out, fmt.Sprintf("whether the auth server %q knows the %s %s could not be found out: %v. Run Test-AuthCertificatePublication later", p.AuthServer, use, p.Thumbprint, p.Err))
		}
	}
	return out
}

// A CertificatePublication says whether an authorization server knows one of the
// certificates of an organization.
type CertificatePublication struct {
	trust.Publication
	Use        string // trust.KeyCurrent or trust.KeyNext
	Thumbprint string
	// Command is what makes the certificate known, in a session with the directory
	// of the authorization server; empty when it is known.
	Command string
}

// TestAuthCertificatePublication asks the organization's authorization servers
// which of its current and next certificates they know.
func (s *Service) TestAuthCertificatePublication(ctx context.Context, actor Actor, org directory.OrgID) ([]CertificatePublication, error) {
	const op = "Test-AuthCertificatePublication"
	sc := scope{org: org, object: "AuthConfig"}
	err := s.permit(ctx, actor, op, sc)
	if err == nil && s.Published == nil {
		err = errors.New("this shell cannot ask other servers: run it where the server runs")
	}
	var o *directory.Organization
	if err == nil {
		o, err = s.Store.Organization(ctx, org)
	}
	if err != nil {
		return nil, s.finish(ctx, actor, op, sc, err)
	}
	return s.publications(ctx, o), nil
}

// publicationTimeout bounds the time that authorization servers are asked.
const publicationTimeout = 30 * time.Second

func (s *Service) publications(ctx context.Context, o *directory.Organization) (out []CertificatePublication) {
	if s.Published == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, publicationTimeout)
	defer cancel()
	a := &o.AuthConfig
	for _, u := range []struct{ use, thumbprint string }{{trust.KeyCurrent, a.CurrentCertificateThumbprint}, {trust.KeyNext, a.NextCertificateThumbprint}} {
		c := o.Certificate(u.thumbprint)
		if c == nil {
			continue
		}
		for _, p := range s.Published(ctx, o, u.thumbprint) {
			x := CertificatePublication{Publication: p, Use: u.use, Thumbprint: u.thumbprint}
			if !p.Known {
				x.Command = publishCommand(p.Application, c)
			}
			out = append(out, x)
		}
	}
	return out
}

// publishCommand is the line that makes a certificate of an application known to
// the authorization server (cmdlet reference 14.5, article step 4).
func publishCommand(application string, c *directory.Certificate) string {
	end := ""
	if cert, err := x509.ParseCertificate(c.DER); err == nil {
		end = fmt.Sprintf(" -EndDate %q", cert.NotAfter.UTC().Format("2006-01-02T15:04:05Z"))
	}
	return fmt.Sprintf("New-MsolServicePrincipalCredential -AppPrincipalId %s -Type Asymmetric -Usage Verify -Value %s%s",
		application, base64.StdEncoding.EncodeToString(c.DER), end)
}

// RollOver makes the next certificate current when its date has come, or the
// current one cannot sign any more. Result.Changed says whether it did.
func (s *Service) RollOver(ctx context.Context, actor Actor, org directory.OrgID) (Result[directory.AuthConfig], error) {
	var res Result[directory.AuthConfig]
	now := s.Now()
	err := s.run(ctx, actor, "Set-AuthConfig", scope{org: org, object: "AuthConfig"}, func(tx Tx) (outcome, error) {
		var before directory.AuthConfig
		o, err := tx.UpdateOrganization(ctx, org, func(o *directory.Organization) error {
			before = o.AuthConfig
			if !trust.NextDue(o, now) { // another node was first
				return nil
			}
			res.Changed = true
			return trust.PromoteNext(o)
		})
		if err != nil {
			return outcome{}, err
		}
		res.Object = o.AuthConfig
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

func (c *AuthConfigChange) apply(o *directory.Organization) error {
	a := &o.AuthConfig
	if t := thumbprint(c.CertificateThumbprint); t != "" {
		if err := trust.Promote(o, t); err != nil {
			return err
		}
	}
	if t := thumbprint(c.NewCertificateThumbprint); t != "" {
		at := c.NewCertificateEffectiveDate.UTC().Truncate(time.Microsecond)
		a.NextCertificateThumbprint, a.NextCertificateEffectiveDate = t, &at
	}
	if c.PublishCertificate {
		if err := trust.PromoteNext(o); err != nil {
			return err
		}
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
