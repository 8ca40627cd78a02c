package hybrid

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// The names that the article and its later editions give.
const (
	acsName       = "MicrosoftAzureACS"
	entraName     = "EvoSTS"
	exchangeName  = "Exchange Online"
	connectorHere = "ExchangeHybridOnPremisesToOnline"
	connectorBack = "ExchangeHybridOnlineToOnPremises"
	graphRoleID   = "8ba4a692-bc31-4128-9094-475872af8a53" // Calendars.ReadBasic.All
)

const (
	missing  = "missing"
	disabled = "disabled"
)

// oauth are the steps of the article in its edition.
func (b *builder) oauth() {
	d := b.d
	b.authServer("article step 1", acsName, directory.AuthServerACS, d.Hosts.ACS,
		"https://"+d.Hosts.ACS+"/"+d.Tenant+"/metadata/json/1", "tokens of the cloud's authorization server are accepted, and asked for there")
	entra := ""
	if d.Edition != Edition2014 {
		entra = b.authServer("article step 1", entraName, directory.AuthServerAzureAD, d.Hosts.Login,
			"https://"+d.Hosts.Login+"/"+d.Tenant+"/federationmetadata/2007-06/federationmetadata.xml", "the cloud takes tokens of Entra only")
	}
	b.partnerApplication()
	appID := directory.ExchangeAppID
	if d.Edition != Edition2014 {
		appID = b.application()
	}
	b.credentials(appID)
	if d.Edition != Edition2014 {
		b.role("article step 4", appID, directory.ExchangeAppID, directory.RoleFullAccessAsApp.ID, "it may ask Exchange Web Services for everybody")
		b.asApplication(entra, appID)
	}
	b.hosts()
	b.connector("article step 6", Here, connectorHere, &d.There, "questions about the cloud's addresses go there")
	b.connector("article step 7", There, connectorBack, &d.Here, "questions of the cloud about addresses on premises come here")
	if d.Here.OldServers {
		b.addressSpaces()
	}
	if d.Edition == Edition2026 {
		b.role("step 9 of 2026", appID, directory.GraphAppID, graphRoleID, "the cloud is closed to Exchange Web Services; the application may ask Graph")
		b.graph(entra)
	}
	b.relationship(Here, &d.Here, &d.There)
	b.relationship(There, &d.There, &d.Here)
}

// direct are the steps of direct trust, the same on both sides.
func (b *builder) direct() {
	d := b.d
	b.pin(Here, &d.There, b.st.ThereKeys)
	b.pin(There, &d.Here, b.st.HereKeys)
	b.connector("direct trust 2", Here, "To "+d.There.Domains[0], &d.There, "questions about the other side's addresses go there")
	b.connector("direct trust 2", There, "To "+d.Here.Domains[0], &d.Here, "questions about addresses here come here")
	b.relationship(Here, &d.Here, &d.There)
	b.relationship(There, &d.There, &d.Here)
}

// ours reports whether a metadata URL is that of our tenant at the host.
func (b *builder) ours(metadata, host string) bool {
	u, err := url.Parse(metadata)
	if err != nil || !strings.EqualFold(u.Hostname(), host) {
		return false
	}
	realm, _, _ := strings.Cut(strings.TrimPrefix(strings.ToLower(u.Path), "/"), "/")
	if realm == b.d.Tenant || slices.Contains(b.d.Here.Domains, realm) || slices.Contains(b.d.There.Domains, realm) {
		return true
	}
	return b.st.Tenant != nil && (realm == b.st.Tenant.ID || slices.ContainsFunc(b.st.Tenant.Domains, func(v directory.VerifiedDomain) bool { return v.Name == realm }))
}

// authServer returns the name that it has.
func (b *builder) authServer(step, name, kind, host, metadata, why string) string {
	logins := []string{host}
	if c, ok := directory.Clouds[b.d.Cloud]; ok && kind == directory.AuthServerAzureAD {
		logins = append(logins, c.LoginHosts...)
	}
	var found *directory.AuthServer
	if o := b.st.Here; o != nil {
		for i := range o.AuthServers {
			s := &o.AuthServers[i]
			if s.Type == kind && slices.ContainsFunc(logins, func(h string) bool { return b.ours(s.AuthMetadataURL, h) }) {
				found = s
			}
		}
		if i := slices.IndexFunc(o.AuthServers, func(s directory.AuthServer) bool { return strings.EqualFold(s.Name, name) }); found == nil && i >= 0 {
			found = &o.AuthServers[i]
			b.conflict("the authorization server %q is there, with metadata of %s instead of %s; remove it (Remove-AuthServer %s) or give it another name", found.Name, found.AuthMetadataURL, metadata, quote(found.Name))
			return found.Name
		}
	}
	if found != nil {
		if name = found.Name; !found.Enabled {
			b.add(Step{Number: step, Differs: disabled, Why: why, target: target{Here, kindAuthServer, name},
				Commands: []string{"Set-AuthServer -Identity " + quote(name) + " -Enabled $true"},
				run: of(Here, func(ctx context.Context, s *Side, a *admin.Service) error {
					_, err := a.SetAuthServer(ctx, s.Actor, s.Org, name, false, func(v *directory.AuthServer) error { v.Enabled = true; return nil })
					return err
				})})
		}
		return name
	}
	typed := ""
	if kind == directory.AuthServerAzureAD {
		typed = " -Type AzureAD"
	}
	b.add(Step{Number: step, Differs: missing, Why: why, target: target{Here, kindAuthServer, name},
		Commands: []string{"New-AuthServer -Name " + quote(name) + typed + " -AuthMetadataUrl " + quote(metadata)},
		Back:     []string{"Remove-AuthServer -Identity " + quote(name) + " -Confirm:$false"},
		run: of(Here, func(ctx context.Context, s *Side, a *admin.Service) error {
			_, err := a.NewAuthServer(ctx, s.Actor, s.Org, directory.AuthServer{Common: directory.Common{Name: name}, Type: kind, AuthMetadataURL: metadata, Enabled: true})
			return err
		})})
	return name
}

// server is the authorization server that is there, or as it will be.
func (b *builder) server(name string) directory.AuthServer {
	if o := b.st.Here; o != nil {
		for _, s := range o.AuthServers {
			if s.Name == name {
				return s
			}
		}
	}
	return directory.AuthServer{Common: directory.Common{Name: name}}
}

func (b *builder) partnerApplication() {
	const step, why = "article step 2", "the application of Exchange Online may ask here"
	name, account := exchangeName, ""
	if o := b.st.Here; o != nil {
		for _, p := range o.PartnerApplications {
			if p.ApplicationIdentifier != directory.ExchangeAppID || p.Realm != "" || !p.UseAuthServer {
				continue
			}
			if name = p.Name; p.Enabled {
				return
			}
			b.add(Step{Number: step, Differs: disabled, Why: why, target: target{Here, kindPartner, name},
				Commands: []string{"Set-PartnerApplication -Identity " + quote(name) + " -Enabled $true"},
				run: of(Here, func(ctx context.Context, s *Side, a *admin.Service) error {
					_, err := a.SetPartnerApplication(ctx, s.Actor, s.Org, name, false, func(v *directory.PartnerApplication) error { v.Enabled = true; return nil })
					return err
				})})
			return
		}
		if u := o.LinkedUser(directory.ExchangeOnlineAccount); u != nil {
			account = o.CanonicalName(u)
		}
	}
	command := "New-PartnerApplication -Name " + quote(name) + " -ApplicationIdentifier " + quote(directory.ExchangeAppID)
	if account != "" {
		command += " -LinkedAccount " + quote(account)
	}
	b.add(Step{Number: step, Differs: missing, Why: why, target: target{Here, kindPartner, name}, Commands: []string{command},
		Back: []string{"Remove-PartnerApplication -Identity " + quote(name) + " -Confirm:$false"},
		run: of(Here, func(ctx context.Context, s *Side, a *admin.Service) error {
			_, err := a.NewPartnerApplication(ctx, s.Actor, s.Org, directory.PartnerApplication{
				Common: directory.Common{Name: name}, Enabled: true, ApplicationIdentifier: directory.ExchangeAppID, LinkedAccount: account})
			return err
		})})
}

// principal is the application in the tenant; nil: it is not there, or not known.
func (b *builder) principal(appID string) *directory.ServicePrincipal {
	if b.st.Tenant != nil {
		for i := range b.st.Tenant.Principals {
			if p := &b.st.Tenant.Principals[i]; p.AppPrincipalID == appID {
				return p
			}
		}
	}
	return nil
}

// application is the organization's own; its id is returned.
func (b *builder) application() string {
	d := b.d
	const step, why = "article step 4", "the cloud answers no application that all organizations share: this one is the organization's own"
	p := b.principal(d.ApplicationID)
	if p == nil && b.st.Tenant != nil {
		var named []*directory.ServicePrincipal
		for i := range b.st.Tenant.Principals {
			if q := &b.st.Tenant.Principals[i]; q.DisplayName == d.Application {
				named = append(named, q)
			}
		}
		switch len(named) {
		case 0:
		case 1:
			p = named[0]
		default:
			b.conflict("%d applications of the tenant are called %q: say which by application_id", len(named), d.Application)
			return d.ApplicationID
		}
	}
	if p != nil {
		b.enablePrincipal(step, why, p)
		return p.AppPrincipalID
	}
	b.add(Step{Number: step, Differs: missing, Why: why, target: target{Tenant, kindPrincipal, d.ApplicationID},
		Commands: []string{"New-MsolServicePrincipal -DisplayName " + quote(d.Application) + " -AppPrincipalId " + quote(d.ApplicationID)},
		Back:     []string{"Remove-MsolServicePrincipal -AppPrincipalId " + quote(d.ApplicationID)},
		run: in(func(ctx context.Context, r *Realm, a *admin.Service) error {
			_, err := a.NewServicePrincipal(ctx, r.Actor, r.ID, directory.ServicePrincipal{DisplayName: d.Application, AppPrincipalID: d.ApplicationID, AccountEnabled: true})
			return err
		})})
	return d.ApplicationID
}

func (b *builder) enablePrincipal(step, why string, p *directory.ServicePrincipal) {
	if p.AccountEnabled {
		return
	}
	id := p.AppPrincipalID
	b.add(Step{Number: step, Differs: disabled, Why: why, target: target{Tenant, kindPrincipal, id},
		Commands: []string{"Set-MsolServicePrincipal -AppPrincipalId " + quote(id) + " -AccountEnabled $true"},
		run: in(func(ctx context.Context, r *Realm, a *admin.Service) error {
			yes := true
			_, err := a.SetServicePrincipal(ctx, r.Actor, r.ID, id, admin.ServicePrincipalChange{AccountEnabled: &yes})
			return err
		})})
}

// credentials are the certificates that the organization signs with, now and next.
func (b *builder) credentials(appID string) {
	const step, why = "article steps 3 and 4", "assertions signed with the organization's certificate are believed"
	o := b.st.Here
	if o == nil {
		b.add(Step{Number: step, Why: why, target: target{Tenant, kindPrincipal, appID}, Commands: []string{
			"# export the certificate of (Get-AuthConfig).CurrentCertificateThumbprint, here, to C:\\OAuthCert.cer, then:",
			"$value = [System.Convert]::ToBase64String([System.IO.File]::ReadAllBytes('C:\\OAuthCert.cer'))",
			"New-MsolServicePrincipalCredential -AppPrincipalId " + quote(appID) + " -Type asymmetric -Usage Verify -Value $value"}})
		if b.st.Tenant != nil {
			b.conflict("the certificate of the organization here is not known, for it cannot be read: upload it as the step says")
			b.plan.Steps[len(b.plan.Steps)-1].Foreign = true
		}
		return
	}
	p := b.principal(appID)
	if p != nil && appID == directory.ExchangeAppID {
		b.enablePrincipal(step, "the Exchange service principal is asked for tokens", p)
	}
	for _, which := range []struct{ name, print string }{{"current", o.AuthConfig.CurrentCertificateThumbprint}, {"next", o.AuthConfig.NextCertificateThumbprint}} {
		k := o.Certificate(which.print)
		if which.print == "" {
			continue
		}
		if k == nil {
			b.conflict("the %s certificate %s of the organization here is not in its store: see Get-AuthConfig and Get-ExchangeCertificate", which.name, which.print)
			continue
		}
		cert, err := x509.ParseCertificate(k.DER)
		if err != nil || !b.st.At.Before(cert.NotAfter) {
			b.conflict("the %s certificate %s of the organization here has expired or cannot be read: make another with New-ExchangeCertificate and Set-AuthConfig", which.name, which.print)
			continue
		}
		if p != nil && slices.ContainsFunc(p.KeyCredentials, func(c directory.KeyCredential) bool {
			return string(c.Value) == string(k.DER) && b.st.At.Before(c.EndDate) && !b.st.At.Before(c.StartDate)
		}) {
			continue
		}
		der, end := k.DER, cert.NotAfter.UTC()
		value, id := quote(base64.StdEncoding.EncodeToString(der)), quote(appID)
		b.add(Step{Number: step, Differs: "no key credential for the " + which.name + " certificate " + which.print, Why: why, target: target{Tenant, kindPrincipal, appID},
			Commands: []string{"New-MsolServicePrincipalCredential -AppPrincipalId " + id + " -Type asymmetric -Usage Verify -Value " + value + " -EndDate " + quote(end.Format(time.RFC3339))},
			Back: []string{"Get-MsolServicePrincipalCredential -AppPrincipalId " + id + " -ReturnKeyValues $true | Where-Object {$_.Value -eq " + value +
				"} | ForEach-Object {Remove-MsolServicePrincipalCredential -AppPrincipalId " + id + " -KeyIds $_.KeyId}"},
			run: in(func(ctx context.Context, r *Realm, a *admin.Service) error {
				_, err := a.NewServicePrincipalCredential(ctx, r.Actor, r.ID, appID, admin.CredentialParams{Value: der, EndDate: &end})
				return err
			})})
	}
}

// role gives the application a role of another one.
func (b *builder) role(step, appID, resourceID, roleID, why string) {
	p, of := b.principal(appID), b.principal(resourceID)
	if b.st.Tenant != nil && of == nil {
		b.conflict("the tenant has no service principal %s, whose role %s is needed", resourceID, roleID)
		return
	}
	if p != nil && slices.ContainsFunc(p.AppRoleAssignments, func(a directory.AppRoleAssignment) bool { return a.ResourceID == of.ObjectID && a.RoleID == roleID }) {
		return
	}
	b.add(Step{Number: step, Differs: "has not the role " + roleID + " of " + resourceID, Why: why, target: target{Tenant, kindPrincipal, appID},
		Commands: []string{"$app = Get-MsolServicePrincipal -AppPrincipalId " + quote(appID), "$resource = Get-MsolServicePrincipal -AppPrincipalId " + quote(resourceID),
			"New-AzureADServiceAppRoleAssignment -ObjectId $app.ObjectId -PrincipalId $app.ObjectId -ResourceId $resource.ObjectId -Id " + quote(roleID)},
		run: in(func(ctx context.Context, r *Realm, a *admin.Service) error {
			_, err := a.NewAppRoleAssignment(ctx, r.Actor, r.ID, appID, resourceID, roleID)
			return err
		})})
}

// asApplication: here, the cloud is asked as the application.
func (b *builder) asApplication(name, appID string) {
	s := b.server(name)
	add := lacking(s.DomainName, slices.Concat(b.d.There.Domains, b.d.Here.Domains))
	if s.ApplicationIdentifier == appID && len(add) == 0 {
		return
	}
	command := "Set-AuthServer -Identity " + quote(name) + " -ApplicationIdentifier " + quote(appID)
	differs := fmt.Sprintf("ApplicationIdentifier is %q, want %q", s.ApplicationIdentifier, appID)
	if len(add) > 0 {
		command += " -DomainName @{Add=" + quoteAll(add) + "}"
		differs += "; DomainName lacks " + strings.Join(add, ", ")
	}
	b.add(Step{Number: "article step 4a", Differs: differs, Why: "questions to the cloud are asked as the organization's own application",
		target: target{Here, kindAuthServer, name}, Commands: []string{command},
		run: of(Here, func(ctx context.Context, side *Side, a *admin.Service) error {
			_, err := a.SetAuthServer(ctx, side.Actor, side.Org, name, false, func(v *directory.AuthServer) error {
				v.ApplicationIdentifier = appID
				v.DomainName = append(v.DomainName, lacking(v.DomainName, add)...)
				return nil
			})
			return err
		})})
}

func (b *builder) graph(name string) {
	base := "https://" + b.d.Hosts.Graph
	s := b.server(name)
	if s.GraphBaseURL == base {
		return
	}
	b.add(Step{Number: "step 10 of 2026", Differs: fmt.Sprintf("GraphBaseUrl is %q, want %q", s.GraphBaseURL, base), Why: "questions to the cloud go to Graph",
		target: target{Here, kindAuthServer, name}, Commands: []string{"Set-AuthServer -Identity " + quote(name) + " -GraphBaseUrl " + quote(base)},
		run: of(Here, func(ctx context.Context, side *Side, a *admin.Service) error {
			_, err := a.SetAuthServer(ctx, side.Actor, side.Org, name, false, func(v *directory.AuthServer) error { v.GraphBaseURL = base; return nil })
			return err
		})})
}

// lacking are those of want that have does not hold.
func lacking(have, want []string) (out []string) {
	for _, w := range want {
		if !slices.Contains(have, w) && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// hosts are the names that tokens for the organization here are issued for.
func (b *builder) hosts() {
	p := b.principal(directory.ExchangeAppID)
	if p == nil && b.st.Tenant != nil {
		b.conflict("the tenant has no service principal of Exchange, %s", directory.ExchangeAppID)
		return
	}
	var want []string
	for _, h := range b.d.Here.ServicePrincipalNames {
		n, err := directory.ParseSPN(directory.ExchangeAppID + "/" + h)
		if err != nil {
			b.conflict("here.service_principal_names: %v", err)
			return
		}
		want = append(want, n.String())
	}
	if p != nil {
		want = lacking(p.ServicePrincipalNames, want)
	}
	if len(want) == 0 {
		return
	}
	// edit is what changes the list of names by a method of lists.
	edit := func(method string) []string {
		lines := []string{"$p = Get-MsolServicePrincipal -ServicePrincipalName " + quote(directory.ExchangeAppID)}
		for _, w := range want {
			lines = append(lines, "[void]$p.ServicePrincipalNames."+method+"("+quote(w)+")")
		}
		return append(lines, "Set-MsolServicePrincipal -ObjectId $p.ObjectId -ServicePrincipalNames $p.ServicePrincipalNames")
	}
	b.add(Step{Number: "article step 5", Differs: "ServicePrincipalNames lack " + strings.Join(want, ", "), Why: "tokens for the hosts here are issued",
		target: target{Tenant, kindPrincipal, directory.ExchangeAppID}, Commands: edit("Add"), Back: edit("Remove"),
		run: in(func(ctx context.Context, r *Realm, a *admin.Service) error {
			realm, err := a.ViewRealm(ctx, r.Actor, "Get-MsolServicePrincipal", r.ID)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(realm.Principals, func(p directory.ServicePrincipal) bool { return p.AppPrincipalID == directory.ExchangeAppID })
			if i < 0 {
				return &admin.NotFoundError{Noun: "service principal", Identity: directory.ExchangeAppID}
			}
			names := realm.Principals[i].ServicePrincipalNames
			names = slices.Concat(names, lacking(names, want))
			_, err = a.SetServicePrincipal(ctx, r.Actor, r.ID, directory.ExchangeAppID, admin.ServicePrincipalChange{ServicePrincipalNames: &names})
			return err
		})})
}

func (b *builder) organization(where string) *directory.Organization {
	if where == There {
		return b.st.There
	}
	return b.st.Here
}

// connector leads from where to the domains of to.
func (b *builder) connector(step, where, name string, to *Organization, why string) {
	var found *directory.IntraOrganizationConnector
	if o := b.organization(where); o != nil {
		for i := range o.Connectors {
			c := &o.Connectors[i]
			serves := slices.ContainsFunc(to.Domains, func(d string) bool { return slices.Contains(c.TargetAddressDomains, d) })
			if strings.EqualFold(c.Name, name) || serves {
				if found != nil {
					b.conflict("the connectors %q and %q, %s, both stand for %s: leave one", found.Name, c.Name, where, strings.Join(to.Domains, ", "))
					return
				}
				found = c
			}
		}
	}
	if found == nil {
		b.add(Step{Number: step, Differs: missing, Why: why, target: target{where, kindConnector, name},
			Commands: []string{"New-IntraOrganizationConnector -Name " + quote(name) + " -DiscoveryEndpoint " + quote(to.Autodiscover) + " -TargetAddressDomains " + quoteAll(to.Domains)},
			Back:     []string{"Remove-IntraOrganizationConnector -Identity " + quote(name) + " -Confirm:$false"},
			run: of(where, func(ctx context.Context, s *Side, a *admin.Service) error {
				_, err := a.NewIntraOrganizationConnector(ctx, s.Actor, s.Org, directory.IntraOrganizationConnector{
					Common: directory.Common{Name: name}, TargetAddressDomains: slices.Clone(to.Domains), DiscoveryEndpoint: to.Autodiscover, Enabled: true})
				return err
			})})
		return
	}
	name = found.Name
	command := "Set-IntraOrganizationConnector -Identity " + quote(name)
	var differs []string
	if !strings.EqualFold(found.DiscoveryEndpoint, to.Autodiscover) {
		command += " -DiscoveryEndpoint " + quote(to.Autodiscover)
		differs = append(differs, fmt.Sprintf("DiscoveryEndpoint is %s, want %s", found.DiscoveryEndpoint, to.Autodiscover))
	}
	add := lacking(found.TargetAddressDomains, to.Domains)
	if len(add) > 0 {
		command += " -TargetAddressDomains @{Add=" + quoteAll(add) + "}"
		differs = append(differs, "TargetAddressDomains lack "+strings.Join(add, ", "))
	}
	if !found.Enabled {
		command += " -Enabled $true"
		differs = append(differs, disabled)
	}
	if len(differs) == 0 {
		return
	}
	endpoint := found.DiscoveryEndpoint
	if !strings.EqualFold(endpoint, to.Autodiscover) {
		endpoint = to.Autodiscover
	}
	b.add(Step{Number: step, Differs: strings.Join(differs, "; "), Why: why, target: target{where, kindConnector, name}, Commands: []string{command},
		run: of(where, func(ctx context.Context, s *Side, a *admin.Service) error {
			_, err := a.SetIntraOrganizationConnector(ctx, s.Actor, s.Org, name, func(v *directory.IntraOrganizationConnector) error {
				v.DiscoveryEndpoint, v.Enabled = endpoint, true
				v.TargetAddressDomains = append(v.TargetAddressDomains, lacking(v.TargetAddressDomains, add)...)
				return nil
			})
			return err
		})})
}

// addressSpaces lead servers that know no connectors to one that does.
func (b *builder) addressSpaces() {
	const step, why = "article step 8", "servers that know address spaces only hand questions about the cloud to one that knows connectors"
	proxy := b.d.Here.EWS
	for _, forest := range b.d.There.Domains {
		if o := b.st.Here; o != nil {
			if i := slices.IndexFunc(o.AddressSpaces, func(a directory.AvailabilityAddressSpace) bool { return strings.EqualFold(a.ForestName, forest) }); i >= 0 {
				if a := &o.AddressSpaces[i]; a.AccessMethod != "InternalProxy" || !strings.EqualFold(a.ProxyURL, proxy) {
					b.conflict("the address space %s is there, with AccessMethod %s and ProxyUrl %q; want InternalProxy and %q: Remove-AvailabilityAddressSpace %s, or leave old_servers out", forest, a.AccessMethod, a.ProxyURL, proxy, quote(forest))
				}
				continue
			}
		}
		b.add(Step{Number: step, Differs: missing, Why: why, target: target{Here, kindSpace, forest},
			Commands: []string{"Add-AvailabilityAddressSpace -AccessMethod InternalProxy -ProxyUrl " + quote(proxy) + " -ForestName " + quote(forest) + " -UseServiceAccount $true"},
			Back:     []string{"Remove-AvailabilityAddressSpace -Identity " + quote(forest) + " -Confirm:$false"},
			run: of(Here, func(ctx context.Context, s *Side, a *admin.Service) error {
				_, err := a.AddAvailabilityAddressSpace(ctx, s.Actor, s.Org, directory.AvailabilityAddressSpace{
					ForestName: forest, AccessMethod: "InternalProxy", ProxyURL: proxy, UseServiceAccount: true})
				return err
			})})
	}
}

// relationship bounds what the partner sees of this side.
func (b *builder) relationship(where string, own, partner *Organization) {
	if own.Level == "" {
		return
	}
	const step, why = "level", "the most that the other side sees here"
	name := "Free/busy for " + partner.Domains[0]
	var found *directory.OrganizationRelationship
	if o := b.organization(where); o != nil {
		for i := range o.Relationships {
			r := &o.Relationships[i]
			if strings.EqualFold(r.Name, name) || slices.ContainsFunc(partner.Domains, func(d string) bool { return slices.Contains(r.DomainNames, d) }) {
				found = r
			}
		}
	}
	if found == nil {
		b.add(Step{Number: step, Differs: missing, Why: why, target: target{where, kindRelation, name},
			Commands: []string{"New-OrganizationRelationship -Name " + quote(name) + " -DomainNames " + quoteAll(partner.Domains) + " -FreeBusyAccessEnabled $true -FreeBusyAccessLevel " + own.Level},
			Back:     []string{"Remove-OrganizationRelationship -Identity " + quote(name) + " -Confirm:$false"},
			run: of(where, func(ctx context.Context, s *Side, a *admin.Service) error {
				_, err := a.NewOrganizationRelationship(ctx, s.Actor, s.Org, directory.OrganizationRelationship{
					Common: directory.Common{Name: name}, DomainNames: slices.Clone(partner.Domains), Enabled: true, FreeBusyAccessEnabled: true, FreeBusyAccessLevel: own.Level})
				return err
			})})
		return
	}
	name = found.Name
	add := lacking(found.DomainNames, partner.Domains)
	if found.Enabled && found.FreeBusyAccessEnabled && found.FreeBusyAccessLevel == own.Level && len(add) == 0 {
		return
	}
	command := "Set-OrganizationRelationship -Identity " + quote(name) + " -Enabled $true -FreeBusyAccessEnabled $true -FreeBusyAccessLevel " + own.Level
	differs := fmt.Sprintf("FreeBusyAccessLevel is %s, want %s", levelNow(found), own.Level)
	if len(add) > 0 {
		command += " -DomainNames @{Add=" + quoteAll(add) + "}"
		differs += "; DomainNames lack " + strings.Join(add, ", ")
	}
	b.add(Step{Number: step, Differs: differs, Why: why, target: target{where, kindRelation, name}, Commands: []string{command},
		run: of(where, func(ctx context.Context, s *Side, a *admin.Service) error {
			_, err := a.SetOrganizationRelationship(ctx, s.Actor, s.Org, name, func(v *directory.OrganizationRelationship) error {
				v.Enabled, v.FreeBusyAccessEnabled, v.FreeBusyAccessLevel = true, true, own.Level
				v.DomainNames = append(v.DomainNames, lacking(v.DomainNames, add)...)
				return nil
			})
			return err
		})})
}

func levelNow(r *directory.OrganizationRelationship) string {
	if !r.Enabled || !r.FreeBusyAccessEnabled {
		return "not in force"
	}
	return r.FreeBusyAccessLevel
}

// pin makes where trust the keys of the other side.
func (b *builder) pin(where string, other *Organization, keys string) {
	const step, why = "direct trust 1", "tokens that the other side has signed itself are accepted"
	name := other.Domains[0]
	var found *directory.PartnerApplication
	if o := b.organization(where); o != nil {
		for i := range o.PartnerApplications {
			p := &o.PartnerApplications[i]
			if !p.UseAuthServer && strings.EqualFold(p.AuthMetadataURL, other.Document) {
				found = p
			} else if strings.EqualFold(p.Name, name) {
				b.conflict("a partner application %q is there, %s, for something else: rename it with Set-PartnerApplication -Name", p.Name, where)
				return
			}
		}
	}
	set := func(differs, command string, run func(context.Context, *Side, *admin.Service) error) {
		b.add(Step{Number: step, Differs: differs, Why: why, target: target{where, kindPartner, name}, Commands: []string{command}, run: of(where, run)})
	}
	if found == nil {
		if keys == "" {
			b.conflict("the fingerprint of the keys at %s is not known: ask for that of its trust show (Get-PartnerApplication), by telephone, and put it into the file", other.Document)
			return
		}
		set(missing, "New-PartnerApplication -Name "+quote(name)+" -AuthMetadataUrl "+quote(other.Document)+" -Fingerprint "+quote(keys)+
			" -ActAsPermissions "+quote(trust.FreeBusyPermission)+" -AppOnlyPermissions "+quote(trust.FreeBusyPermission), func(ctx context.Context, s *Side, a *admin.Service) error {
			_, err := a.PinPartnerApplication(ctx, s.Actor, s.Org, directory.PartnerApplication{
				Common: directory.Common{Name: name}, Enabled: true, AuthMetadataURL: other.Document,
				ActAsPermissions: []string{trust.FreeBusyPermission}, AppOnlyPermissions: []string{trust.FreeBusyPermission},
			}, keys)
			return err
		})
		b.plan.Steps[len(b.plan.Steps)-1].Back = []string{"Remove-PartnerApplication -Identity " + quote(name) + " -Confirm:$false"}
		return
	}
	name = found.Name
	switch pending := directory.Fingerprint(found.PendingCertificateStrings); {
	case len(found.PendingCertificateStrings) > 0 && directory.SameFingerprint(keys, pending):
		set("the keys "+pending+" wait for approval", "Set-PartnerApplication -Identity "+quote(name)+" -ApproveFingerprint "+quote(keys), func(ctx context.Context, s *Side, a *admin.Service) error {
			_, err := a.ApprovePartnerKeys(ctx, s.Actor, s.Org, name, keys)
			return err
		})
	case keys != "" && !directory.SameFingerprint(keys, directory.Fingerprint(found.CertificateStrings)):
		set("the keys that are pinned are others than "+keys, "Set-PartnerApplication -Identity "+quote(name)+" -RefreshAuthMetadata", func(ctx context.Context, s *Side, a *admin.Service) error {
			_, err := a.SetPartnerApplication(ctx, s.Actor, s.Org, name, true, nil)
			return err
		})
	}
	if !found.Enabled {
		set(disabled, "Set-PartnerApplication -Identity "+quote(name)+" -Enabled $true", func(ctx context.Context, s *Side, a *admin.Service) error {
			_, err := a.SetPartnerApplication(ctx, s.Actor, s.Org, name, false, func(v *directory.PartnerApplication) error { v.Enabled = true; return nil })
			return err
		})
	}
}
