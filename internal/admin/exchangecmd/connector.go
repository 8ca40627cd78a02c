package exchangecmd

import (
	"context"
	"net/url"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
)

// connectors are the cmdlets of intra-organization connectors (7.1 to 7.4).
func (x *exchange) connectors() []entry {
	return []entry{
		{in: everywhere, Command: interp.Command{
			Name: "New-IntraOrganizationConnector", New: func() interp.Cmdlet { return &newConnector{x: x} }, ShouldProcess: true,
			Synopsis: "Creates a connector that sends free/busy questions for some domains to another organization.",
			Description: "Questions for recipients whose target address is in one of TargetAddressDomains go to the organization behind DiscoveryEndpoint, " +
				"signed in with an OAuth token. It takes an authorization server (New-AuthServer) that both organizations trust.",
			Examples: []string{`New-IntraOrganizationConnector -Name ExchangeHybridOnPremisesToOnline -DiscoveryEndpoint https://partner.outlook.cn/autodiscover/autodiscover.svc -TargetAddressDomains contoso.partner.mail.onmschina.cn`},
			Links:    []string{"Get-IntraOrganizationConnector", "Set-IntraOrganizationConnector", "Test-OAuthConnectivity"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Get-IntraOrganizationConnector", New: func() interp.Cmdlet { return &getConnector{x: x} },
			Synopsis:    "Shows intra-organization connectors.",
			Description: "The domains are those of target addresses, not of primary addresses.",
			Examples:    []string{`Get-IntraOrganizationConnector | Format-List`},
			Links:       []string{"New-IntraOrganizationConnector"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Set-IntraOrganizationConnector", New: func() interp.Cmdlet { return &setConnector{x: x} }, ShouldProcess: true,
			Synopsis:    "Changes an intra-organization connector.",
			Description: "TargetAddressDomains takes a whole new list, or what to add and to remove.",
			Examples:    []string{`Set-IntraOrganizationConnector ExchangeHybridOnPremisesToOnline -TargetAddressDomains @{Add="fabrikam.com"}`},
			Links:       []string{"Get-IntraOrganizationConnector"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Remove-IntraOrganizationConnector", New: func() interp.Cmdlet { return &removeConnector{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis:    "Removes an intra-organization connector.",
			Description: "Its domains fall back to organization relationships. To try that first, set Enabled to False.",
			Examples:    []string{`Remove-IntraOrganizationConnector ExchangeHybridOnPremisesToOnline -Confirm:$false`},
			Links:       []string{"Get-IntraOrganizationConnector"},
		}},
	}
}

var connectorNoun = noun[directory.IntraOrganizationConnector]{
	kind: kind{
		container: "CN=Intra Organization Connectors", category: "ms-Exch-Intra-Organization-Connector",
		classes: []string{"top", "msExchIntraOrganizationConnector"}, version: version2013,
	},
	list:   func(o *directory.Organization) []directory.IntraOrganizationConnector { return o.Connectors },
	common: func(v *directory.IntraOrganizationConnector) *directory.Common { return &v.Common },
}

func (k *call) connector(o *directory.Organization, v *directory.IntraOrganizationConnector) any {
	b := k.bag(configurationTypes+"IntraOrganizationConnector").
		add("TargetAddressDomains", domains(v.TargetAddressDomains)).add("DiscoveryEndpoint", uri(v.DiscoveryEndpoint))
	if k.Hosted || v.TargetSharingEpr != "" {
		b.add("TargetSharingEpr", uri(v.TargetSharingEpr))
	}
	return b.add("Enabled", v.Enabled).tail(o, connectorNoun.kind, &v.Common, unchanged)
}

type newConnector struct {
	x                    *exchange
	Name                 string      `ps:"Name,mandatory,position=0,notempty" help:"A name that no other connector has, at most 64 characters."`
	DiscoveryEndpoint    *url.URL    `ps:"DiscoveryEndpoint,mandatory" help:"The https address of the other organization's Autodiscover service, ending in autodiscover.svc."`
	TargetAddressDomains multiValued `ps:"TargetAddressDomains,mandatory" help:"The domains of the target addresses that this connector serves. A domain belongs to one connector only."`
	Enabled              bool        `ps:"Enabled,default=True" help:"Whether the connector is used."`
	TargetSharingEpr     *url.URL    `ps:"TargetSharingEpr" help:"The https address of the other organization's Exchange Web Services: Autodiscover is skipped."`
	Organization         identity    `ps:"Organization,allownull" help:"Reserved; it is always this organization."`
	controller
}

// Run makes the connector.
func (p *newConnector) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if ok, err := k.should(`Creating intra-organization connector "%s".`, p.Name); !ok {
		return err
	}
	k.about = connectorNoun.dn(o, p.Name)
	res, err := k.Admin.NewIntraOrganizationConnector(ctx, k.actor, k.Org, directory.IntraOrganizationConnector{
		Common: directory.Common{Name: p.Name}, TargetAddressDomains: p.TargetAddressDomains.apply(nil), DiscoveryEndpoint: address(p.DiscoveryEndpoint),
		TargetSharingEpr: address(p.TargetSharingEpr), Enabled: p.Enabled,
	})
	return created(k, res, err, k.connector)
}

type getConnector struct {
	x        *exchange
	Identity identity `ps:"Identity,position=0,pipeline=value|name,allownull,allowempty,wildcard" help:"Name, distinguished name or GUID; all when it is left out."`
	controller
}

// Run shows connectors.
func (p *getConnector) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return connectorNoun.get(k, o, p.Identity, func(v *directory.IntraOrganizationConnector) any { return k.connector(o, v) })
}

type setConnector struct {
	x                    *exchange
	Identity             identity    `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which connector: name, distinguished name or GUID."`
	Name                 string      `ps:"Name,notempty" help:"A new name."`
	DiscoveryEndpoint    *url.URL    `ps:"DiscoveryEndpoint,allownull" help:"A new Autodiscover address."`
	TargetAddressDomains multiValued `ps:"TargetAddressDomains" help:"The domains: a list, or @{Add=...; Remove=...}."`
	Enabled              bool        `ps:"Enabled" help:"Whether the connector is used. Without it the domains fall back to organization relationships."`
	TargetSharingEpr     *url.URL    `ps:"TargetSharingEpr,allownull" help:"A fixed address of Exchange Web Services; $null asks Autodiscover again."`
	controller
}

// Run changes the connector.
func (p *setConnector) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return connectorNoun.set(k, o, p.Identity, `Setting intra-organization connector "%s".`, func(name string) (admin.Result[directory.IntraOrganizationConnector], error) {
		return k.Admin.SetIntraOrganizationConnector(ctx, k.actor, k.Org, name, func(v *directory.IntraOrganizationConnector) error {
			assign(k, "Name", &v.Name, p.Name)
			assign(k, "DiscoveryEndpoint", &v.DiscoveryEndpoint, address(p.DiscoveryEndpoint))
			assign(k, "TargetAddressDomains", &v.TargetAddressDomains, p.TargetAddressDomains.apply(v.TargetAddressDomains))
			assign(k, "Enabled", &v.Enabled, p.Enabled)
			assign(k, "TargetSharingEpr", &v.TargetSharingEpr, address(p.TargetSharingEpr))
			return nil
		})
	})
}

type removeConnector struct {
	x        *exchange
	Identity identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which connector: name, distinguished name or GUID."`
	controller
}

// Run removes the connector.
func (p *removeConnector) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return connectorNoun.remove(k, o, p.Identity, `Removing intra-organization connector "%s".`, k.Admin.RemoveIntraOrganizationConnector)
}
