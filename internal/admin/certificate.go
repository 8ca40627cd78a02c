package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// services are those that a certificate can be enabled for (cmdlet reference 5.2).
var services = []string{"IMAP", "POP", "UM", "IIS", "SMTP", "Federation", "UMCallRouter"}

// parseServices brings names into canonical form; None is no service.
func parseServices(names []string) ([]string, error) {
	var out []string
	for _, n := range names {
		if strings.EqualFold(n, "None") {
			continue
		}
		i := slices.IndexFunc(services, func(s string) bool { return strings.EqualFold(s, n) })
		switch {
		case i < 0:
			return nil, fmt.Errorf("service %q is none of %s", n, strings.Join(services, ", "))
		case !slices.Contains(out, services[i]):
			out = append(out, services[i])
		}
	}
	return out, nil
}

// thumbprint is a thumbprint as objects have it: Windows shows it in lower case and with spaces.
func thumbprint(s string) string { return strings.ToUpper(strings.ReplaceAll(s, " ", "")) }

// EnableExchangeCertificate adds services to those that the certificate is for.
func (s *Service) EnableExchangeCertificate(ctx context.Context, actor Actor, org directory.OrgID, print string, names []string) (Result[directory.Certificate], error) {
	return s.changeCertificate(ctx, actor, "Enable-ExchangeCertificate", org, print, func(o *directory.Organization, at int) (bool, error) {
		more, err := parseServices(names)
		if err != nil {
			return false, err
		}
		k := &o.Certificates[at]
		changed := false
		for _, n := range more {
			if !slices.Contains(k.Services, n) {
				k.Services, changed = append(k.Services, n), true
			}
		}
		return changed, nil
	})
}

// RemoveExchangeCertificate removes a certificate with its key. One that the
// organization signs with, did or will, stays.
func (s *Service) RemoveExchangeCertificate(ctx context.Context, actor Actor, org directory.OrgID, print string) (Result[directory.Certificate], error) {
	return s.changeCertificate(ctx, actor, "Remove-ExchangeCertificate", org, print, func(o *directory.Organization, at int) (bool, error) {
		print := o.Certificates[at].Thumbprint
		for _, use := range []struct{ what, print string }{
			{"current", o.AuthConfig.CurrentCertificateThumbprint}, {"next", o.AuthConfig.NextCertificateThumbprint}, {"previous", o.AuthConfig.PreviousCertificateThumbprint},
		} {
			if use.print == print {
				return false, fmt.Errorf("it is the %s certificate of the auth configuration: change that with Set-AuthConfig first", use.what)
			}
		}
		o.Certificates = slices.Delete(o.Certificates, at, at+1)
		return true, nil
	})
}

// changeCertificate changes or removes the certificate with the thumbprint.
func (s *Service) changeCertificate(ctx context.Context, actor Actor, op string, org directory.OrgID, print string, fn func(o *directory.Organization, at int) (changed bool, err error)) (Result[directory.Certificate], error) {
	var res Result[directory.Certificate]
	print = thumbprint(print)
	err := s.run(ctx, actor, op, scope{org: org, object: "ExchangeCertificate " + print}, func(tx Tx) (outcome, error) {
		var before directory.Certificate
		o, err := tx.UpdateOrganization(ctx, org, func(o *directory.Organization) (err error) {
			at := slices.IndexFunc(o.Certificates, func(k directory.Certificate) bool { return k.Thumbprint == print })
			if at < 0 {
				return &NotFoundError{"certificate", print}
			}
			before = o.Certificates[at]
			before.Services = slices.Clone(before.Services)
			res.Changed, err = fn(o, at)
			return err
		})
		if err != nil {
			return outcome{}, err
		}
		out := outcome{changed: res.Changed, before: before}
		res.Object = before
		if k := o.Certificate(print); k != nil {
			res.Object, out.after = *k, *k
		}
		return out, nil
	})
	return res, err
}

// ImportParams describe a certificate that was made elsewhere.
type ImportParams struct {
	Data         []byte // PEM, PKCS#12 or DER; see trust.ReadKeyFile
	Password     string
	FriendlyName string   // default: its common name
	Services     []string // IIS, SMTP, …
	Exportable   bool     // the private key may leave the store again
}

// ImportExchangeCertificate puts a certificate into the organization's own store,
// with its private key when the file holds it. Set-AuthConfig puts it to use.
func (s *Service) ImportExchangeCertificate(ctx context.Context, actor Actor, org directory.OrgID, p ImportParams) (Result[directory.Certificate], error) {
	const op = "Import-ExchangeCertificate"
	res := Result[directory.Certificate]{Changed: true}
	sc := scope{org: org, object: "ExchangeCertificate"}
	err := s.permit(ctx, actor, op, sc) // before the work that a password costs
	if err == nil {
		p.Services, err = parseServices(p.Services)
	}
	if err == nil {
		res.Object, err = trust.ReadKeyFile(p.Data, p.Password)
	}
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	c := &res.Object
	c.FriendlyName, c.Services, c.Exportable = cmp.Or(p.FriendlyName, c.FriendlyName), p.Services, p.Exportable && len(c.Key) > 0
	sc.object += " " + c.Thumbprint
	return res, s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		_, err := tx.UpdateOrganization(ctx, org, func(o *directory.Organization) error {
			if o.Certificate(c.Thumbprint) != nil {
				return fmt.Errorf("a certificate with thumbprint %s is there already: %w", c.Thumbprint, directory.ErrExists)
			}
			o.Certificates = append(o.Certificates, *c)
			return nil
		})
		return outcome{changed: true, after: *c}, err
	})
}

// ExportExchangeCertificate is the certificate as DER; under a password it is PEM
// with the private key, encrypted, when the certificate was imported exportable.
// That a key left the store is in the audit trail.
func (s *Service) ExportExchangeCertificate(ctx context.Context, actor Actor, org directory.OrgID, print, password string) (out []byte, err error) {
	const op = "Export-ExchangeCertificate"
	print = thumbprint(print)
	sc := scope{org: org, object: "ExchangeCertificate " + print}
	if err := s.permit(ctx, actor, op, sc); err != nil {
		return nil, s.finish(ctx, actor, op, sc, err)
	}
	o, err := s.Store.Organization(ctx, org)
	if err != nil {
		return nil, s.finish(ctx, actor, op, sc, err)
	}
	c := o.Certificate(print)
	switch {
	case c == nil:
		return nil, s.finish(ctx, actor, op, sc, &NotFoundError{"certificate", print})
	case password == "":
		return c.DER, nil
	case !c.Exportable:
		return nil, s.finish(ctx, actor, op, sc, errors.New("its private key never leaves the store, for it was made here or imported without PrivateKeyExportable; without a password the public part is exported"))
	}
	// The work that the password costs is done before the transaction.
	if out, err = trust.WriteKeyFile(c, password); err != nil {
		return nil, s.finish(ctx, actor, op, sc, err)
	}
	if err := s.run(ctx, actor, op, sc, func(Tx) (outcome, error) {
		return outcome{changed: true, after: struct{ PrivateKey string }{"exported"}}, nil
	}); err != nil {
		return nil, err
	}
	return out, nil
}
