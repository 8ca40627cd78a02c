package exchangecmd

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// configuration is the cmdlet that computes what the two sides of a hybrid
// organization tell each other (7.5).
func (x *exchange) configuration() []entry {
	return []entry{{in: everywhere, Command: interp.Command{
		Name: "Get-IntraOrganizationConfiguration", New: func() interp.Cmdlet { return &getConfiguration{x: x} },
		Synopsis: "Shows the addresses that the other side's connector needs.",
		Description: "On premises these are the discovery endpoint and the address of Exchange Web Services, of the newest server that has an external URL. " +
			"In a hosted organization they are its discovery endpoint, its target address domain, and the domains that may be on premises. Nothing of it is stored.",
		Examples: []string{`Get-IntraOrganizationConfiguration`},
		Links:    []string{"New-IntraOrganizationConnector", "Set-WebServicesVirtualDirectory"},
	}}}
}

type getConfiguration struct {
	x                *exchange
	OrganizationGUID string   `ps:"OrganizationGuid,position=1,pipeline=value|name,allownull,allowempty" help:"One of several on-premises organizations of a tenant. There is one here: it may only be left out."`
	Organization     identity `ps:"Organization,allownull" help:"Reserved; it is always this organization."`
}

const configurationType = "Microsoft.Exchange.Management.SystemConfigurationTasks.IntraOrganizationConfiguration"

// configurationLines is its list view; the object itself has another order.
var configurationLines = []string{
	"OnlineDiscoveryEndpoint", "OnlineTargetAddress", "OnPremiseTargetAddresses", "OnPremiseDiscoveryEndpoint", "OnPremiseWebServiceEndpoint",
	"DeploymentIsCompleteIOCReady", "HasNonIOCReadyExchangeCASServerVersions", "HasNonIOCReadyExchangeMailboxServerVersions",
}

// Run shows the configuration.
func (p *getConfiguration) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if p.OrganizationGUID != "" {
		return k.WriteError(k.invalid("OrganizationGuid", "There is one on-premises organization. Leave the parameter out."))
	}
	server, web := frontServer(o)
	discovery := discoveryEndpoint(server, web)
	b := k.bag(configurationType)
	if k.Hosted {
		target, others := targetDomains(o)
		b.add("OnPremiseDiscoveryEndpoint", nil).add("OnPremiseWebServiceEndpoint", nil).add("DeploymentIsCompleteIOCReady", nil).
			add("HasNonIOCReadyExchangeCASServerVersions", nil).add("HasNonIOCReadyExchangeMailboxServerVersions", nil).
			add("OnlineDiscoveryEndpoint", uri(discovery)).add("OnlineTargetAddress", target).add("OnPremiseTargetAddresses", domains(others))
	} else {
		if server == nil {
			return k.WriteError(k.record("LocalizedException", "No server has an external URL for Exchange Web Services and is of %s or later. Set one: Set-WebServicesVirtualDirectory <server> -ExternalUrl https://<host>/ews/exchange.asmx.", directory.OAuthVersion))
		}
		// A server has the roles of both Client Access and Mailbox.
		old := slices.ContainsFunc(o.Servers, func(s directory.Server) bool { return s.AdminDisplayVersion.Less(directory.OAuthVersion) })
		if err := k.WriteWarning("The discovery endpoint " + discovery + " was derived from the addresses of server " + server.Name + ". Check that the other side can reach it."); err != nil {
			return err
		}
		b.add("OnPremiseDiscoveryEndpoint", uri(discovery)).add("OnPremiseWebServiceEndpoint", uri(server.ExternalURL)).add("DeploymentIsCompleteIOCReady", !old).
			add("HasNonIOCReadyExchangeCASServerVersions", old).add("HasNonIOCReadyExchangeMailboxServerVersions", old).
			add("OnlineDiscoveryEndpoint", nil).add("OnlineTargetAddress", nil).add("OnPremiseTargetAddresses", domains(nil))
	}
	return k.Emit(b.add("Identity", nil).add("IsValid", true).add("ObjectState", fresh).Object)
}

// frontServer is the newest server that knows OAuth and can be reached from outside, with its address.
func frontServer(o *directory.Organization) (found *directory.Server, web *url.URL) {
	for i := range o.Servers {
		s := &o.Servers[i]
		if s.ExternalURL == "" || s.AdminDisplayVersion.Less(directory.OAuthVersion) || found != nil && !found.AdminDisplayVersion.Less(s.AdminDisplayVersion) {
			continue
		}
		if u, err := object.ParseURI(s.ExternalURL); err == nil {
			found, web = s, u
		}
	}
	return found, web
}

// discoveryEndpoint is the Autodiscover address of a server: at its name for
// Autodiscover, else at the host of its web services.
func discoveryEndpoint(s *directory.Server, web *url.URL) string {
	if s == nil {
		return ""
	}
	host := web.Host
	if i := slices.IndexFunc(s.HostNames, func(h string) bool { return strings.HasPrefix(h, "autodiscover") }); i >= 0 {
		host = s.HostNames[i]
		if port := web.Port(); port != "" {
			host += ":" + port
		}
	}
	return "https://" + host + "/autodiscover/autodiscover.svc"
}

// targetDomains splits the accepted domains of a hosted organization: the one
// that target addresses have there, and those that may be on premises. The
// initial domain is neither.
func targetDomains(o *directory.Organization) (target string, others []string) {
	below := func(domain string, suffix func(directory.Cloud) string) bool {
		for _, c := range directory.Clouds {
			if strings.HasSuffix(domain, "."+suffix(c)) {
				return true
			}
		}
		return false
	}
	for _, d := range o.AcceptedDomains {
		switch {
		case below(d.DomainName, func(c directory.Cloud) string { return c.CoexistenceSuffix }):
			target = cmp.Or(target, d.DomainName)
		case !below(d.DomainName, func(c directory.Cloud) string { return c.InitialSuffix }):
			others = append(others, d.DomainName)
		}
	}
	return target, others
}
