package admin

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/directory"
)

// SetAuthorityConfig says which cloud the authorization server is and what it
// signs with.
func (s *Service) SetAuthorityConfig(ctx context.Context, actor Actor, c *directory.AuthorityConfig) (Result[*directory.AuthorityConfig], error) {
	res := Result[*directory.AuthorityConfig]{Object: c.Clone(), Changed: true}
	err := s.run(ctx, actor, "Set-AuthorityConfig", scope{object: "AuthorityConfig " + c.Cloud.Name}, func(tx Tx) (outcome, error) {
		return outcome{changed: true, after: c}, tx.SetAuthorityConfig(ctx, c)
	})
	return res, err
}

// RealmParams describe a new realm.
type RealmParams struct {
	Name          string // default InitialDomain
	InitialDomain string // required, below the cloud's suffix, as contoso.partner.onmschina.cn
	ID            string // tenant GUID; default a new one
}

// NewRealm makes a realm with what every tenant has: its initial domain, and the
// service principal of Exchange with the names of the cloud's own hosts (oauth-s2s
// reference 5.1, cmdlet reference 14.2). The authority configuration says which
// cloud that is.
func (s *Service) NewRealm(ctx context.Context, actor Actor, p RealmParams) (Result[*directory.Realm], error) {
	res := Result[*directory.Realm]{Changed: true}
	id := cmp.Or(strings.ToLower(p.ID), uuid.NewString())
	sc := scope{realm: id, object: "Realm " + cmp.Or(p.Name, p.InitialDomain)}
	err := s.run(ctx, actor, "New-Realm", sc, func(tx Tx) (outcome, error) {
		a, err := s.Store.AuthorityConfig(ctx)
		if err != nil {
			return outcome{}, err
		}
		domain := pattern(p.InitialDomain)
		r := &directory.Realm{
			ID: id, Name: cmp.Or(p.Name, domain), Domains: []directory.VerifiedDomain{{Name: domain, Initial: true, Default: true}},
			ServiceHosts: serviceHosts(a.Cloud),
		}
		exchange := directory.ServicePrincipal{
			ObjectID: uuid.NewString(), AppPrincipalID: directory.ExchangeAppID, DisplayName: "Microsoft.Exchange",
			AccountEnabled: true, TrustedForDelegation: true, ServicePrincipalNames: []string{directory.ExchangeAppID},
		}
		for _, h := range r.ServiceHosts {
			if h != a.Cloud.GraphHost {
				exchange.ServicePrincipalNames = append(exchange.ServicePrincipalNames, directory.SPN{AppID: directory.ExchangeAppID, Host: h}.String())
			}
		}
		r.Principals = []directory.ServicePrincipal{exchange}
		res.Object = r
		return outcome{changed: true, after: r}, tx.CreateRealm(ctx, r)
	})
	return res, err
}

// serviceHosts are the hosts of the cloud's own services, each once.
func serviceHosts(c directory.Cloud) (hosts []string) {
	for _, h := range append(append([]string{c.EWSHost}, c.AutodiscoverHosts...), c.GraphHost) {
		if h != "" && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// changeRealm changes the realm with the id or verified domain.
func (s *Service) changeRealm(ctx context.Context, actor Actor, op, realm, object string, fn func(*directory.Realm) (outcome, error)) error {
	sc, err := s.realmScope(ctx, actor, realm, object)
	if err != nil {
		return s.finish(ctx, actor, op, sc, err)
	}
	return s.run(ctx, actor, op, sc, func(tx Tx) (o outcome, err error) {
		var version int64
		r, err := tx.UpdateRealm(ctx, sc.realm, func(r *directory.Realm) error {
			version = r.Version
			o, err = fn(r)
			return err
		})
		if err != nil {
			return outcome{}, err
		}
		o.changed = r.Version != version
		return o, nil
	})
}

// AddVerifiedDomain adds a domain to the realm. That it is the tenant's own is
// for the operator to know.
func (s *Service) AddVerifiedDomain(ctx context.Context, actor Actor, realm, domain string) (Result[directory.VerifiedDomain], error) {
	var res Result[directory.VerifiedDomain]
	domain = pattern(domain)
	err := s.changeRealm(ctx, actor, "Add-VerifiedDomain", realm, "Domain "+domain, func(r *directory.Realm) (outcome, error) {
		if i := slices.IndexFunc(r.Domains, func(d directory.VerifiedDomain) bool { return d.Name == domain }); i >= 0 {
			res = Result[directory.VerifiedDomain]{Object: r.Domains[i]}
			return outcome{}, nil
		}
		res = Result[directory.VerifiedDomain]{Object: directory.VerifiedDomain{Name: domain}, Changed: true}
		r.Domains = append(r.Domains, res.Object)
		return outcome{after: res.Object}, nil
	})
	return res, err
}

// principalObject names an application in the audit trail, however its identity was typed.
func principalObject(p *directory.ServicePrincipal) string {
	return "ServicePrincipal " + p.AppPrincipalID
}

// findPrincipal resolves an application id, an object id, a service principal
// name, or the part of one before the slash (cmdlet reference 14.2).
func findPrincipal(r *directory.Realm, identity string) (*directory.ServicePrincipal, error) {
	key := strings.ToLower(identity)
	if n, err := directory.ParseSPN(identity); err == nil {
		key = n.String()
	}
	for i := range r.Principals {
		p := &r.Principals[i]
		if p.AppPrincipalID == key || p.ObjectID == key || slices.Contains(p.ServicePrincipalNames, key) {
			return p, nil
		}
	}
	return nil, &NotFoundError{"service principal", identity}
}

// NewServicePrincipal adds an application to the realm (cmdlet reference 14.4).
// Its application id is made when there is none, and is always one of its names.
func (s *Service) NewServicePrincipal(ctx context.Context, actor Actor, realm string, p directory.ServicePrincipal) (Result[directory.ServicePrincipal], error) {
	res := Result[directory.ServicePrincipal]{Changed: true}
	p.ObjectID, p.AppPrincipalID = uuid.NewString(), cmp.Or(strings.ToLower(p.AppPrincipalID), uuid.NewString())
	err := s.changeRealm(ctx, actor, "New-MsolServicePrincipal", realm, "ServicePrincipal "+p.DisplayName, func(r *directory.Realm) (outcome, error) {
		names := p.ServicePrincipalNames
		p.ServicePrincipalNames = nil
		r.Principals = append(r.Principals, p)
		added := &r.Principals[len(r.Principals)-1]
		if err := setNames(r, added, names); err != nil {
			return outcome{}, err
		}
		res.Object = *added
		return outcome{after: *added}, nil
	})
	return res, err
}

// setNames replaces the names of p, in canonical form and each once. The entry
// equal to the application id stays (oauth-s2s reference 5.2). That no other
// principal has one of them is checked with the realm as a whole.
func setNames(r *directory.Realm, p *directory.ServicePrincipal, names []string) error {
	var list []string
	var errs []error
	for _, s := range names {
		n, err := r.CheckSPN(p.AppPrincipalID, s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if s = n.String(); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	if !slices.Contains(list, p.AppPrincipalID) {
		list = append([]string{p.AppPrincipalID}, list...)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	p.ServicePrincipalNames = list
	return nil
}

// RemoveServicePrincipal removes an application with its names and credentials
// (cmdlet reference 14.4).
func (s *Service) RemoveServicePrincipal(ctx context.Context, actor Actor, realm, identity string) (Result[directory.ServicePrincipal], error) {
	res := Result[directory.ServicePrincipal]{Changed: true}
	err := s.changeRealm(ctx, actor, "Remove-MsolServicePrincipal", realm, "ServicePrincipal "+identity, func(r *directory.Realm) (outcome, error) {
		p, err := findPrincipal(r, identity)
		if err != nil {
			return outcome{}, err
		}
		res.Object = *p
		r.Principals = slices.DeleteFunc(r.Principals, func(q directory.ServicePrincipal) bool { return q.ObjectID == res.Object.ObjectID })
		for i := range r.Principals { // its roles go with it
			q := &r.Principals[i]
			q.AppRoleAssignments = slices.DeleteFunc(q.AppRoleAssignments, func(a directory.AppRoleAssignment) bool { return a.ResourceID == res.Object.ObjectID })
		}
		return outcome{before: res.Object, object: principalObject(&res.Object)}, nil
	})
	return res, err
}

// ServicePrincipalChange is what SetServicePrincipal can be asked for; nil
// fields stay.
type ServicePrincipalChange struct {
	DisplayName    *string
	AccountEnabled *bool
	// ServicePrincipalNames replaces the list; the application id stays in it.
	ServicePrincipalNames *[]string
	TrustedForDelegation  *bool
	// AppRoles replaces the roles that the application offers, but for those of the
	// cloud's own; one that somebody has cannot go.
	AppRoles     *[]directory.AppRole
	TokenVersion *int
}

// SetServicePrincipal changes an application of the realm (cmdlet reference 14.3;
// article step 5).
func (s *Service) SetServicePrincipal(ctx context.Context, actor Actor, realm, identity string, c ServicePrincipalChange) (Result[directory.ServicePrincipal], error) {
	var res Result[directory.ServicePrincipal]
	err := s.changeRealm(ctx, actor, "Set-MsolServicePrincipal", realm, "ServicePrincipal "+identity, func(r *directory.Realm) (outcome, error) {
		p, err := findPrincipal(r, identity)
		if err != nil {
			return outcome{}, err
		}
		before, err := json.Marshal(p)
		if err != nil {
			return outcome{}, err
		}
		assign(&p.DisplayName, c.DisplayName)
		assign(&p.AccountEnabled, c.AccountEnabled)
		assign(&p.TrustedForDelegation, c.TrustedForDelegation)
		assign(&p.AppRoles, c.AppRoles)
		assign(&p.TokenVersion, c.TokenVersion)
		if c.ServicePrincipalNames != nil {
			if err := setNames(r, p, *c.ServicePrincipalNames); err != nil {
				return outcome{}, err
			}
		}
		after, err := json.Marshal(p)
		res = Result[directory.ServicePrincipal]{Object: *p, Changed: string(after) != string(before)}
		return outcome{before: json.RawMessage(before), after: json.RawMessage(after), object: principalObject(p)}, err
	})
	return res, err
}

func assign[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// CredentialParams describe a new key credential.
type CredentialParams struct {
	Value     []byte     // DER certificate, RSA of 2048 bits or more
	StartDate *time.Time // default now
	EndDate   *time.Time // default one year after the start, at most the certificate's end
}

// NewServicePrincipalCredential adds a certificate that assertions of the
// application may be signed with (cmdlet reference 14.5, oauth-s2s reference 5.2;
// article step 4). It warns when no end was given and the certificate lives longer
// than the credential.
func (s *Service) NewServicePrincipalCredential(ctx context.Context, actor Actor, realm, identity string, p CredentialParams) (Result[directory.KeyCredential], error) {
	res := Result[directory.KeyCredential]{Changed: true}
	err := s.changeRealm(ctx, actor, "New-MsolServicePrincipalCredential", realm, "ServicePrincipal "+identity, func(r *directory.Realm) (outcome, error) {
		principal, err := findPrincipal(r, identity)
		if err != nil {
			return outcome{}, err
		}
		cert, err := x509.ParseCertificate(p.Value)
		if err != nil {
			return outcome{}, fmt.Errorf("key credential: the value is no DER certificate: %w", err)
		}
		now := s.Now()
		if p.EndDate == nil && !now.Before(cert.NotAfter) {
			return outcome{}, fmt.Errorf("key credential: the certificate has expired at %s", cert.NotAfter.UTC().Format(time.RFC3339))
		}
		k := directory.KeyCredential{KeyID: uuid.NewString(), Type: "Asymmetric", Usage: "Verify", Value: p.Value, StartDate: now}
		assign(&k.StartDate, p.StartDate)
		if p.EndDate != nil {
			k.EndDate = *p.EndDate
		} else if k.EndDate = k.StartDate.AddDate(1, 0, 0); cert.NotAfter.Before(k.EndDate) {
			k.EndDate = cert.NotAfter
		} else if k.EndDate.Before(cert.NotAfter) {
			res.Warnings = []string{fmt.Sprintf("the credential ends at %s, but the certificate lives until %s: give an end date, or upload it again in time",
				k.EndDate.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))}
		}
		k.StartDate, k.EndDate = k.StartDate.UTC().Truncate(time.Microsecond), k.EndDate.UTC().Truncate(time.Microsecond)
		principal.KeyCredentials = append(principal.KeyCredentials, k)
		res.Object = k
		return outcome{after: k, object: principalObject(principal)}, nil
	})
	return res, err
}

// RemoveServicePrincipalCredential removes key credentials by their ids (cmdlet
// reference 14.6).
func (s *Service) RemoveServicePrincipalCredential(ctx context.Context, actor Actor, realm, identity string, keyIDs ...string) (Result[[]directory.KeyCredential], error) {
	res := Result[[]directory.KeyCredential]{Changed: true}
	err := s.changeRealm(ctx, actor, "Remove-MsolServicePrincipalCredential", realm, "ServicePrincipal "+identity, func(r *directory.Realm) (outcome, error) {
		principal, err := findPrincipal(r, identity)
		if err != nil {
			return outcome{}, err
		}
		for _, id := range keyIDs {
			i := slices.IndexFunc(principal.KeyCredentials, func(k directory.KeyCredential) bool { return strings.EqualFold(k.KeyID, id) })
			if i < 0 {
				return outcome{}, &NotFoundError{"key credential", id}
			}
			res.Object = append(res.Object, principal.KeyCredentials[i])
			principal.KeyCredentials = slices.Delete(principal.KeyCredentials, i, i+1)
		}
		return outcome{before: res.Object, object: principalObject(principal)}, nil
	})
	return res, err
}

// NewAppRoleAssignment gives an application a role of another one of the realm: the
// consent of its administrator (oauth-s2s reference 3.4).
func (s *Service) NewAppRoleAssignment(ctx context.Context, actor Actor, realm, principal, resource, roleID string) (Result[directory.AppRoleAssignment], error) {
	var res Result[directory.AppRoleAssignment]
	roleID = strings.ToLower(roleID)
	err := s.changeRealm(ctx, actor, "New-AzureADServiceAppRoleAssignment", realm, "ServicePrincipal "+principal, func(r *directory.Realm) (outcome, error) {
		p, err := findPrincipal(r, principal)
		if err != nil {
			return outcome{}, err
		}
		of, err := findPrincipal(r, resource)
		if err != nil {
			return outcome{}, err
		}
		if of.Role(roleID) == nil {
			return outcome{}, &NotFoundError{"app role", roleID}
		}
		if i := slices.IndexFunc(p.AppRoleAssignments, func(a directory.AppRoleAssignment) bool { return a.ResourceID == of.ObjectID && a.RoleID == roleID }); i >= 0 {
			return outcome{}, fmt.Errorf("app role %s of %q: %q has it already: %w", roleID, of.DisplayName, p.DisplayName, directory.ErrExists)
		}
		a := directory.AppRoleAssignment{ID: uuid.NewString(), ResourceID: of.ObjectID, RoleID: roleID, CreatedAt: s.Now().UTC().Truncate(time.Microsecond)}
		p.AppRoleAssignments = append(p.AppRoleAssignments, a)
		res = Result[directory.AppRoleAssignment]{Object: a, Changed: true}
		return outcome{after: a, object: principalObject(p)}, nil
	})
	return res, err
}

// RemoveAppRoleAssignment takes a role away from the application that has it.
// Tokens that were issued before keep it until they expire.
func (s *Service) RemoveAppRoleAssignment(ctx context.Context, actor Actor, realm, principal, id string) (Result[directory.AppRoleAssignment], error) {
	res := Result[directory.AppRoleAssignment]{Changed: true}
	err := s.changeRealm(ctx, actor, "Remove-AzureADServiceAppRoleAssignment", realm, "ServicePrincipal "+principal, func(r *directory.Realm) (outcome, error) {
		p, err := findPrincipal(r, principal)
		if err != nil {
			return outcome{}, err
		}
		i := slices.IndexFunc(p.AppRoleAssignments, func(a directory.AppRoleAssignment) bool { return strings.EqualFold(a.ID, id) })
		if i < 0 {
			return outcome{}, &NotFoundError{"app role assignment", id}
		}
		res.Object = p.AppRoleAssignments[i]
		p.AppRoleAssignments = slices.Delete(p.AppRoleAssignments, i, i+1)
		return outcome{before: res.Object, object: principalObject(p)}, nil
	})
	return res, err
}
