package lab

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"busybridge/internal/admin"
	"busybridge/internal/app/client"
	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// operator is who sets the world up.
var operator = admin.Actor{Name: "lab", System: true}

// The versions of the world's nodes. On premises is Exchange 2013 SP1, the
// first that knows connectors; the old server is Exchange 2010 SP3.
var (
	legacyVersion = directory.Version{Major: 14, Minor: 3, Build: 123, Revision: 4}
	cloudVersion  = directory.Version{Major: 15, Minor: 1, Build: 2507, Revision: 6}
)

const adminName = "administrator"

// populate fills the fresh stores: organizations, people, their calendars, and
// what a cloud has before anybody joins it. Nothing here belongs to the eight steps.
func (l *Lab) populate(ctx context.Context) error {
	if err := l.populateDirectory(ctx); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	if err := l.populateOrganization(ctx, onprem, admin.OrganizationParams{Name: "Contoso", Domain: domain}, []directory.Server{
		server("MAIL", directory.OAuthVersion, mailHost, discoverHost),
		server("MAIL2", directory.OAuthVersion, mail2Host),
		server("LEGACY", legacyVersion, legacyHost),
	}); err != nil {
		return fmt.Errorf("on premises: %w", err)
	}
	tenant, err := l.deployments[authorize].Store.Realm(ctx, initial)
	if err != nil {
		return err
	}
	cloudHosts := []string{l.cloud.EWSHost}
	for _, h := range l.hosts {
		if h.of == cloud && h.name != l.cloud.EWSHost {
			cloudHosts = append(cloudHosts, h.name)
		}
	}
	front := server("CLOUD", cloudVersion, cloudHosts...)
	front.EWSApplications = ewsApplications[l.o.Edition]
	if err := l.populateOrganization(ctx, cloud, admin.OrganizationParams{
		Name: "contoso", Domain: domain, MoreDomains: []string{initial, coexistence}, Tenant: tenant.ID,
	}, []directory.Server{front}); err != nil {
		return fmt.Errorf("cloud: %w", err)
	}
	if err := l.joinCloudToAuthority(ctx, tenant); err != nil {
		return fmt.Errorf("cloud: %w", err)
	}
	return l.saveState()
}

func server(name string, v directory.Version, hosts ...string) directory.Server {
	url := "https://" + hosts[0] + "/ews/exchange.asmx"
	return directory.Server{
		Common: directory.Common{Name: name}, HostNames: hosts, AdminDisplayVersion: v, InternalURL: url, ExternalURL: url,
		OAuthAuthentication: !v.Less(directory.OAuthVersion), BasicAuthentication: true,
	}
}

// populateDirectory makes the authorization server and the tenant's realm.
func (l *Lab) populateDirectory(ctx context.Context) error {
	d := l.deployments[authorize]
	now := l.o.Now()
	cert, err := trust.NewSigningCertificate("CN="+l.cloud.ACSHost, now, now.AddDate(5, 0, 0))
	if err != nil {
		return err
	}
	if _, err := d.Admin.SetAuthorityConfig(ctx, operator, &directory.AuthorityConfig{
		Cloud: l.cloud, Certificates: []directory.Certificate{cert}, TokenLifetime: 24 * time.Hour,
	}); err != nil {
		return err
	}
	if _, err := d.Admin.NewRealm(ctx, operator, admin.RealmParams{Name: "contoso", InitialDomain: initial}); err != nil {
		return err
	}
	if _, err := d.Admin.NewRealmAccount(ctx, operator, initial, l.administrator(authorize)); err != nil {
		return err
	}
	for _, name := range []string{domain, coexistence} {
		if _, err := d.Admin.AddVerifiedDomain(ctx, operator, initial, name); err != nil {
			return err
		}
	}
	return nil
}

// populateOrganization makes one organization with its people. The people of
// the other side are mail users here.
func (l *Lab) populateOrganization(ctx context.Context, name deploymentName, p admin.OrganizationParams, servers []directory.Server) error {
	d := l.deployments[name]
	res, err := d.Admin.NewOrganization(ctx, operator, p)
	if err != nil {
		return err
	}
	org := res.Object.ID
	for _, v := range servers {
		if _, err := d.Admin.NewServer(ctx, operator, org, v); err != nil {
			return err
		}
	}
	if _, err := d.Admin.NewAccount(ctx, operator, org, l.administrator(name)); err != nil {
		return err
	}
	// A password costs a fifth of a second of a processor on purpose: many at once.
	var g errgroup.Group
	for _, person := range people[name] {
		address := person.name + "@" + domain
		password := l.password(address)
		g.Go(func() error { return l.addMailbox(ctx, name, org, person, address, password) })
	}
	for _, person := range people[other(name)] {
		target := person.name + "@" + domain
		if name == onprem {
			target = person.name + "@" + coexistence
		}
		g.Go(func() error {
			_, err := d.Admin.NewMailUser(ctx, operator, org, admin.MailUserParams{Name: person.display, Alias: person.name, Primary: person.name + "@" + domain, ExternalAddress: target})
			return err
		})
	}
	return g.Wait()
}

// administrator is the account that configures a deployment. In the cloud one
// account has its mailboxes and its directory.
func (l *Lab) administrator(name deploymentName) admin.AccountParams {
	user := adminName + "@" + initial
	if name == onprem {
		user = adminName + "@" + domain
	}
	p := admin.AccountParams{UserName: user, Password: l.state.Passwords[user], Roles: []string{directory.RoleAdmin}}
	if p.Password == "" {
		p.Password = l.password(user)
	}
	return p
}

func other(name deploymentName) deploymentName {
	if name == onprem {
		return cloud
	}
	return onprem
}

func (l *Lab) addMailbox(ctx context.Context, name deploymentName, org directory.OrgID, p person, address, password string) error {
	d := l.deployments[name]
	params := admin.MailboxParams{Name: p.display, Alias: p.name, Primary: address, Type: p.kind, TimeZone: p.zone, Password: password}
	if params.TimeZone == "" {
		params.TimeZone = chinaZone
	}
	if name == cloud {
		params.Proxies = []string{p.name + "@" + coexistence, p.name + "@" + initial}
	}
	if _, err := d.Admin.NewMailbox(ctx, operator, org, params); err != nil {
		return err
	}
	if _, err := d.Admin.SetMailboxFolderPermission(ctx, operator, org, address, "Default", p.level); err != nil {
		return err
	}
	file := p.name + ".ics"
	data, err := calendars.ReadFile(path.Join("calendars", string(name), file))
	if err != nil {
		return err
	}
	sum, err := d.Admin.ImportCalendar(ctx, operator, org, address, file, bytes.NewReader(data))
	if err == nil && len(sum.Skipped) > 0 {
		err = fmt.Errorf("%s: %s", file, sum.Skipped[0].Reason)
	}
	return err
}

// joinCloudToAuthority is what the cloud's operator does for each tenant: the
// organization's own certificate is a credential of the shared Exchange service
// principal, and the organization trusts the authorization server for any realm.
func (l *Lab) joinCloudToAuthority(ctx context.Context, tenant *directory.Realm) error {
	org, err := l.organization(ctx, cloud)
	if err != nil {
		return err
	}
	der, err := currentCertificate(org)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	if _, err := l.deployments[authorize].Admin.NewServicePrincipalCredential(ctx, operator, tenant.ID, directory.ExchangeAppID, admin.CredentialParams{Value: der, EndDate: &cert.NotAfter}); err != nil {
		return err
	}
	a := l.deployments[cloud].Admin
	if _, err := a.NewAuthServer(ctx, operator, org.ID, directory.AuthServer{
		Common: directory.Common{Name: "ACS"}, AuthMetadataURL: l.metadataURL(tenant.ID), Enabled: true, AuthorizationEndpoint: l.cloud.AuthorizationURI,
	}); err != nil {
		return err
	}
	_, err = a.SetAuthServer(ctx, operator, org.ID, "ACS", false, func(s *directory.AuthServer) error {
		s.Realm = "" // any tenant that this cloud hosts
		s.AuthorizationEndpoint, s.IsDefaultAuthorizationEndpoint = l.cloud.AuthorizationURI, true
		return nil
	})
	if err != nil || l.o.Edition == Edition2014 {
		return err
	}
	_, err = a.NewAuthServer(ctx, operator, org.ID, directory.AuthServer{
		Common: directory.Common{Name: "EvoSTS"}, Type: directory.AuthServerAzureAD, Enabled: true,
		AuthMetadataURL: "https://" + l.cloud.LoginHosts[0] + "/" + tenant.ID + "/federationmetadata/2007-06/federationmetadata.xml",
	})
	if err != nil || l.o.Edition != Edition2026 {
		return err
	}
	_, err = l.deployments[authorize].Admin.NewServicePrincipal(ctx, operator, tenant.ID, directory.ServicePrincipal{
		AppPrincipalID: directory.GraphAppID, DisplayName: "Microsoft Graph", AccountEnabled: true,
		ServicePrincipalNames: []string{directory.GraphAppID + "/" + l.cloud.GraphHost},
	})
	return err
}

func (l *Lab) metadataURL(realm string) string {
	return "https://" + l.cloud.ACSHost + "/" + realm + "/metadata/json/1"
}

// organization is the one organization of a deployment.
func (l *Lab) organization(ctx context.Context, name deploymentName) (*directory.Organization, error) {
	return l.deployments[name].Organization(ctx, "")
}

// currentCertificate is the certificate that the organization signs with, without its key.
func currentCertificate(org *directory.Organization) ([]byte, error) {
	if c := org.Certificate(org.AuthConfig.CurrentCertificateThumbprint); c != nil {
		return c.DER, nil
	}
	return nil, fmt.Errorf("organization %s has no current certificate", org.Name)
}

// Join runs the steps of the edition. It does nothing in a world that is joined already.
func (l *Lab) Join(ctx context.Context) error {
	var r Report
	if err := l.join(ctx, &r); err != nil {
		return err
	}
	if r.Failed > 0 {
		for _, c := range r.Checks {
			if !c.OK {
				return fmt.Errorf("%s: %s", c.Name, c.Error)
			}
		}
	}
	return nil
}

// join runs the steps of the edition through the shell; what it was told to
// break it breaks. A step that fails is in the report, and the next ones run all
// the same.
func (l *Lab) join(ctx context.Context, r *Report) (err error) {
	if l.state.Joined {
		r.add(l.o.Out, "the world in "+l.o.Dir+" is joined already", "", nil)
		l.broken.set(l.o.Fault)
		return nil
	}
	t := l.transcript(&indent{to: l.o.Out})
	defer func() { err = errors.Join(err, t.close()) }()
	for _, s := range stepsOf(l.o.Steps) {
		if s.leftOut(l.o.Fault) {
			fmt.Fprintf(l.o.Out, "left out  %s\n", s.name)
			continue
		}
		r.add(l.o.Out, s.name, "", l.runStep(ctx, t, s))
	}
	if f, ok := knownFault(l.o.Fault); ok && f.afterSteps() {
		if err := l.Break(ctx, f.Name); err != nil {
			return err
		}
	}
	l.state.Joined = r.Failed == 0
	return l.saveState()
}

// describe fills lab.json and writes it.
func (l *Lab) describe() error {
	for _, name := range []deploymentName{onprem, cloud} {
		for _, p := range people[name] {
			node := p.node
			switch {
			case name == cloud:
				node = l.cloud.EWSHost
			case node == "":
				node = mailHost
			}
			address := p.name + "@" + domain
			l.file.Mailboxes = append(l.file.Mailboxes, client.LabMailbox{Address: address, Org: string(name), Node: node, User: address, Password: l.state.Passwords[address]})
		}
	}
	for _, name := range []deploymentName{onprem, cloud, authorize} {
		a := l.administrator(name)
		l.file.Administrators = append(l.file.Administrators, client.LabAdmin{Org: string(name), User: a.UserName, Password: a.Password})
	}
	l.file.URLs = map[string]string{
		"ews_onprem":          "https://" + mailHost + "/EWS/Exchange.asmx",
		"ews_legacy":          "https://" + legacyHost + "/EWS/Exchange.asmx",
		"ews_cloud":           "https://" + l.cloud.EWSHost + "/EWS/Exchange.asmx",
		"graph_onprem":        "https://" + mailHost + "/v1.0",
		"graph_cloud":         "https://" + l.cloud.GraphHost + "/v1.0",
		"autodiscover_onprem": "https://" + discoverHost + "/autodiscover/autodiscover.svc",
		"autodiscover_cloud":  "https://" + l.cloud.AutodiscoverHosts[0] + "/autodiscover/autodiscover.svc",
		"metadata":            l.metadataURL(domain),
		"token":               "https://" + l.cloud.ACSHost + "/" + domain + "/tokens/OAuth/2",
		"metadata_onprem":     "https://" + discoverHost + "/autodiscover/metadata/json/1",
		"metadata_cloud":      "https://" + l.cloud.EWSHost + "/autodiscover/metadata/json/1",
	}
	return writeJSON(filepath.Join(l.o.Dir, client.LabFileName), l.file)
}
