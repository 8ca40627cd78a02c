package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/app/config"
	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// SetupParams say what Setup makes.
type SetupParams struct {
	Organization, Domain, Administrator, Password string   // with RoleOrganization
	Realm                                         string   // initial domain, with RoleAuthority
	VerifiedDomains                               []string // further ones
	RealmAdministrator, RealmPassword             string   // of the realm; may be empty
}

// Setup makes the first objects of a store. It returns a line for each thing
// that it made; what is there already stays.
func Setup(ctx context.Context, cfg *config.Config, log *slog.Logger, p SetupParams) (done []string, err error) {
	set, err := SettingsOf(cfg, log)
	if err != nil {
		return nil, err
	}
	d, err := Open(ctx, set)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if p.Organization != "" {
		lines, err := d.setupOrganization(ctx, cfg, p)
		done = append(done, lines...)
		if err != nil {
			return done, err
		}
	}
	if p.Realm != "" {
		lines, err := d.setupRealm(ctx, cfg, p)
		done = append(done, lines...)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

var setupActor = admin.Actor{Name: "setup", System: true}

func (d *Deployment) setupOrganization(ctx context.Context, cfg *config.Config, p SetupParams) (done []string, err error) {
	if !d.has(RoleOrganization) {
		return nil, fmt.Errorf("node.roles does not hold %s", RoleOrganization)
	}
	org, err := d.Store.OrganizationByDomain(ctx, p.Domain)
	if errors.Is(err, directory.ErrNotFound) {
		var res admin.Result[*directory.Organization]
		if res, err = d.Admin.NewOrganization(ctx, setupActor, admin.OrganizationParams{Name: p.Organization, Domain: p.Domain}); err == nil {
			org = res.Object
			done = append(done, fmt.Sprintf("organization %s with domain %s", org.Name, p.Domain))
		}
	}
	if err != nil {
		return done, err
	}
	if serverAt(org, cfg.Node.HostNames[0]) == nil {
		url := "https://" + cfg.Node.HostNames[0] + "/ews/exchange.asmx"
		name := serverName(cfg.Node.HostNames[0])
		if _, err := d.Admin.NewServer(ctx, setupActor, org.ID, directory.Server{
			Common: directory.Common{Name: name}, HostNames: cfg.Node.HostNames, AdminDisplayVersion: cfg.Node.Version,
			InternalURL: url, ExternalURL: url, OAuthAuthentication: !cfg.Node.Version.Less(directory.OAuthVersion), BasicAuthentication: true,
		}); err != nil {
			return done, err
		}
		done = append(done, fmt.Sprintf("server %s at %s", name, url))
	}
	switch _, err := d.Store.Account(ctx, p.Administrator); {
	case errors.Is(err, directory.ErrNotFound):
		if _, err := d.Admin.NewAccount(ctx, setupActor, org.ID, admin.AccountParams{UserName: p.Administrator, Password: p.Password, Roles: []string{directory.RoleAdmin}}); err != nil {
			return done, err
		}
		done = append(done, "administrator "+p.Administrator)
	case err != nil:
		return done, err
	}
	return done, nil
}

// serverName is the first label of a host name in capitals, as Windows names computers.
func serverName(host string) string {
	label, _, _ := strings.Cut(host, ".")
	return strings.ToUpper(label)
}

func (d *Deployment) setupRealm(ctx context.Context, cfg *config.Config, p SetupParams) (done []string, err error) {
	if !d.has(RoleAuthority) {
		return nil, fmt.Errorf("node.roles does not hold %s", RoleAuthority)
	}
	switch _, err := d.Store.AuthorityConfig(ctx); {
	case errors.Is(err, directory.ErrNotFound):
		now, values := d.set.Now(), cfg.CloudValues()
		cert, err := trust.NewSigningCertificate("CN="+values.ACSHost, now, now.AddDate(5, 0, 0))
		if err != nil {
			return nil, err
		}
		if _, err := d.Admin.SetAuthorityConfig(ctx, setupActor, &directory.AuthorityConfig{
			Cloud: values, Certificates: []directory.Certificate{cert}, TokenLifetime: 24 * time.Hour,
		}); err != nil {
			return nil, err
		}
		done = append(done, "authorization server "+values.ACSHost)
	case err != nil:
		return nil, err
	}
	realm, err := d.Store.Realm(ctx, p.Realm)
	if errors.Is(err, directory.ErrNotFound) {
		var res admin.Result[*directory.Realm]
		if res, err = d.Admin.NewRealm(ctx, setupActor, admin.RealmParams{InitialDomain: p.Realm}); err == nil {
			realm = res.Object
			done = append(done, fmt.Sprintf("realm %s (%s)", p.Realm, realm.ID))
		}
	}
	if err != nil {
		return done, err
	}
	for _, name := range p.VerifiedDomains {
		if slices.ContainsFunc(realm.Domains, func(v directory.VerifiedDomain) bool { return strings.EqualFold(v.Name, name) }) {
			continue
		}
		if _, err := d.Admin.AddVerifiedDomain(ctx, setupActor, realm.ID, name); err != nil {
			return done, err
		}
		done = append(done, "verified domain "+name)
	}
	if p.RealmAdministrator == "" {
		return done, nil
	}
	switch _, err := d.Store.Account(ctx, p.RealmAdministrator); {
	case errors.Is(err, directory.ErrNotFound):
		if _, err := d.Admin.NewRealmAccount(ctx, setupActor, realm.ID, admin.AccountParams{UserName: p.RealmAdministrator, Password: p.RealmPassword, Roles: []string{directory.RoleAdmin}}); err != nil {
			return done, err
		}
		done = append(done, "administrator of the realm "+p.RealmAdministrator)
	case err != nil:
		return done, err
	}
	return done, nil
}
