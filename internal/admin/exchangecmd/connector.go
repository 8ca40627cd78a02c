package exchangecmd

import (
	"context"
	"net/url"

	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
)

// connectors are the cmdlets of intra-organization connectors (7.1 to 7.4).
func (x *exchange) connectors() []entry {
	return []entry{
		{in: everywhere, Command: interp.Command{
			Name: "New-IntraOrganizationConnector", New: func() interp.Cmdlet { return &newConnector{x: x, Enabled: true} }, ShouldProcess: true,
			Synopsis: "Creates a connector that sends free/busy questions for some domains to another organization.",
			Description: "Questions for recipients whose target address is in one of TargetAddressDomains go to the organization behind DiscoveryEndpoint, " +
				"signed in with an OAuth token. It takes an authorization server (New-AuthServer) that both organizations trust.",
			Examples: []string{`New-IntraOrganizationConnector -Name ExchangeHybridOnPremisesToOnline -DiscoveryEndpoint https://partner.outlook.cn/autodiscover/autodiscover.svc -TargetAddressDomains contoso.partner.mail.onmschina.cn`},
			Links:    []string{"Get-IntraOrganizationConnector", "Set-IntraOrganizationConnector", "Test-OAuthConnectivity"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Get-IntraOrganizationConnector", New: func() interp.Cmdlet { return &getConnector{x: x} },
			Synopsis: "Shows intra-organization connectors.",
			Examples: []string{`Get-IntraOrganizationConnector | Format-List`},
			Links:    []string{"New-IntraOrganizationConnector"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Set-IntraOrganizationConnector", New: func() interp.Cmdlet { return &setConnector{x: x} }, ShouldProcess: true,
			Synopsis: "Changes an intra-organization connector.",
			Examples: []string{`Set-IntraOrganizationConnector ExchangeHybridOnPremisesToOnline -TargetAddressDomains @{Add="fabrikam.com"}`},
			Links:    []string{"Get-IntraOrganizationConnector"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Remove-IntraOrganizationConnector", New: func() interp.Cmdlet { return &removeConnector{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis: "Removes an intra-organization connector.",
			Examples: []string{`Remove-IntraOrganizationConnector ExchangeHybridOnPremisesToOnline -Confirm:$false`},
			Links:    []string{"Get-IntraOrganizationConnector"},
		}},
	}
}

var connectorKind = kind{
	container: "CN=Intra Organization Connectors", category: "ms-Exch-Intra-Organization-Connector",
	classes: []string{"top", "msExchIntraOrganizationConnector"}, version: version2013,
}

func (k *call) connector(o *directory.Organization, c *directory.IntraOrganizationConnector, state string) any {
	b := k.bag("Microsoft.Exchange.Data.Directory.SystemConfiguration.IntraOrganizationConnector").
		add("TargetAddressDomains", domains(c.TargetAddressDomains)).add("DiscoveryEndpoint", uri(c.DiscoveryEndpoint))
	if k.Hosted {
		b.add("TargetSharingEpr", uri(c.TargetSharingEpr))
	}
	return b.add("Enabled", c.Enabled).tail(o, connectorKind, &c.Common, state)
}

type newConnector struct {
	x                    *exchange
	Name                 string      `ps:"Name,mandatory,position=0,notempty" help:"A name that no other connector has."`
	DiscoveryEndpoint    *url.URL    `ps:"DiscoveryEndpoint,mandatory" help:"The https address of the other organization's Autodiscover service, ending in autodiscover.svc."`
	TargetAddressDomains multiValued `ps:"TargetAddressDomains,mandatory" help:"The domains of the target addresses that this connector serves. A domain belongs to one connector only."`
	Enabled              bool        `ps:"Enabled" help:"Whether the connector is used. The default is True."`
	TargetSharingEpr     *url.URL    `ps:"TargetSharingEpr" help:"The https address of the other organization's Exchange Web Services: Autodiscover is skipped."`
	controller
}

// Run makes the connector.
func (p *newConnector) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	if ok, err := k.should("Creating Intra-Organization Connector %q.", p.Name); !ok {
		return err
	}
	res, err := k.Admin.NewIntraOrganizationConnector(ctx, k.actor, k.Org, directory.IntraOrganizationConnector{
		Common: directory.Common{Name: p.Name}, TargetAddressDomains: p.TargetAddressDomains.set, DiscoveryEndpoint: address(p.DiscoveryEndpoint),
		TargetSharingEpr: address(p.TargetSharingEpr), Enabled: p.Enabled,
	})
	return created(k, res, err, func(o *directory.Organization, v *directory.IntraOrganizationConnector) any {
		return k.connector(o, v, unchanged)
	})
}

type getConnector struct {
	x        *exchange
	Identity identity `ps:"Identity,position=0,pipeline=value|name,allownull,allowempty" help:"Name, distinguished name or GUID; all when it is left out."`
	controller
}

// Run shows connectors.
func (p *getConnector) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	o, err := k.view()
	if err != nil {
		return err
	}
	return list(k, p.Identity, o.Connectors,
		func(v *directory.IntraOrganizationConnector) bool {
			return p.Identity.matches(&v.Common, connectorKind.dn(o, v.Name))
		},
		func(v *directory.IntraOrganizationConnector) any { return k.connector(o, v, unchanged) })
}

type setConnector struct {
	x                    *exchange
	Identity             identity    `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which connector: name, distinguished name or GUID."`
	Name                 string      `ps:"Name,notempty" help:"A new name."`
	DiscoveryEndpoint    *url.URL    `ps:"DiscoveryEndpoint" help:"A new Autodiscover address."`
	TargetAddressDomains multiValued `ps:"TargetAddressDomains" help:"The domains: a list, or @{Add=...; Remove=...}."`
	Enabled              bool        `ps:"Enabled" help:"Whether the connector is used."`
	TargetSharingEpr     *url.URL    `ps:"TargetSharingEpr,allownull" help:"A fixed address of Exchange Web Services; $null asks Autodiscover again."`
	controller
}

// Run changes the connector.
func (p *setConnector) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	if ok, err := k.should("Setting Intra-Organization Connector %q.", p.Identity); !ok {
		return err
	}
	res, err := k.Admin.SetIntraOrganizationConnector(ctx, k.actor, k.Org, p.Identity.text, func(v *directory.IntraOrganizationConnector) error {
		assign(k, "Name", &v.Name, p.Name)
		assign(k, "DiscoveryEndpoint", &v.DiscoveryEndpoint, address(p.DiscoveryEndpoint))
		assign(k, "TargetAddressDomains", &v.TargetAddressDomains, p.TargetAddressDomains.apply(v.TargetAddressDomains))
		assign(k, "Enabled", &v.Enabled, p.Enabled)
		assign(k, "TargetSharingEpr", &v.TargetSharingEpr, address(p.TargetSharingEpr))
		return nil
	})
	return changed(k, p.Identity.text, res, err)
}

type removeConnector struct {
	x        *exchange
	Identity identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which connector: name, distinguished name or GUID."`
	controller
}

// Run removes the connector.
func (p *removeConnector) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	if ok, err := k.should("Removing Intra-Organization Connector %q.", p.Identity); !ok {
		return err
	}
	res, err := k.Admin.RemoveIntraOrganizationConnector(ctx, k.actor, k.Org, p.Identity.text)
	return removed(k, res, err)
}
