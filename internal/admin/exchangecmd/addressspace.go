package exchangecmd

import (
	"context"
	"fmt"
	"net/url"

	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// addressSpaces are the cmdlets of availability address spaces (8.1 to 8.3).
func (x *exchange) addressSpaces() []entry {
	return []entry{
		{in: everywhere, Command: interp.Command{
			Name: "Add-AvailabilityAddressSpace", New: func() interp.Cmdlet { return &addAddressSpace{x: x} }, ShouldProcess: true,
			Synopsis: "Says how servers that know no OAuth ask for the free/busy of a domain.",
			Description: "With the access method InternalProxy they hand the question to a newer server of this organization, which has the connector for the domain. " +
				"With the others they ask another forest themselves, with an account of it: Autodiscover first, then Exchange Web Services. " +
				"There is one address space for each domain; to change it, remove it and add it again. The command warns when no question can be sent by what it added.",
			Examples: []string{
				`Add-AvailabilityAddressSpace -AccessMethod InternalProxy -ProxyUrl https://mail.contoso.com/ews/exchange.asmx -ForestName contoso.partner.mail.onmschina.cn -UseServiceAccount $True`,
				`Add-AvailabilityAddressSpace -AccessMethod OrgWideFB -ForestName fabrikam.com -Credentials (Get-Credential) -TargetAutodiscoverEpr https://mail.fabrikam.com/autodiscover/autodiscover.xml`,
			},
			Links: []string{"Get-AvailabilityAddressSpace", "Remove-AvailabilityAddressSpace", "Set-AvailabilityConfig", "Get-WebServicesVirtualDirectory", "New-IntraOrganizationConnector"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Get-AvailabilityAddressSpace", New: func() interp.Cmdlet { return &getAddressSpace{x: x} },
			Synopsis:    "Shows availability address spaces.",
			Description: "Of credentials only the user name is shown.",
			Examples:    []string{`Get-AvailabilityAddressSpace | Format-List`},
			Links:       []string{"Add-AvailabilityAddressSpace"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Remove-AvailabilityAddressSpace", New: func() interp.Cmdlet { return &removeAddressSpace{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis:    "Removes an availability address space.",
			Description: "Servers that know no OAuth have no way to the domain from then on.",
			Examples:    []string{`Remove-AvailabilityAddressSpace contoso.partner.mail.onmschina.cn -Confirm:$false`},
			Links:       []string{"Get-AvailabilityAddressSpace"},
		}},
	}
}

const availabilityName = "Availability Configuration"

var addressSpaceNoun = noun[directory.AvailabilityAddressSpace]{
	kind: kind{
		container: "CN=" + availabilityName, category: "ms-Exch-Availability-Address-Space",
		classes: []string{"top", "msExchAvailabilityAddressSpace"}, version: versionServer,
	},
	list:   func(o *directory.Organization) []directory.AvailabilityAddressSpace { return o.AddressSpaces },
	common: func(v *directory.AvailabilityAddressSpace) *directory.Common { return &v.Common },
}

func (k *call) addressSpace(o *directory.Organization, v *directory.AvailabilityAddressSpace) any {
	return k.bag(configurationTypes+"AvailabilityAddressSpace").
		add("ForestName", v.ForestName).add("UserName", v.UserName).add("UseServiceAccount", v.UseServiceAccount).add("AccessMethod", v.AccessMethod).
		add("ProxyUrl", uri(v.ProxyURL)).add("TargetAutodiscoverEpr", uri(v.TargetAutodiscoverEpr)).add("ParentPathId", addressSpaceNoun.container).
		tail(o, addressSpaceNoun.kind, &v.Common, unchanged)
}

type addAddressSpace struct {
	x                     *exchange
	AccessMethod          accessMethod       `ps:"AccessMethod,mandatory" help:"InternalProxy: hand the question to a newer server of this organization. PerUserFB: ask another forest for the user who asks; OrgWideFB and OrgWideFBBasic: for nobody in particular, the latter by HTTP Basic only. OrgWideFBToken and PublicFolder are refused."`
	ForestName            string             `ps:"ForestName,mandatory" help:"The mail domain whose users are looked up this way. It becomes the object's name."`
	ProxyURL              *url.URL           `ps:"ProxyUrl" help:"The https address of the newer server's Exchange Web Services; with InternalProxy only. The server is one of this organization, Version 15.0 (Build 847.32) or later."`
	UseServiceAccount     bool               `ps:"UseServiceAccount" help:"Sign in as the organization's own servers do among each other. InternalProxy needs it; another forest does not know the account."`
	Credentials           *object.Credential `ps:"Credentials" help:"User name and password of an account of the other forest, which it has to name in Set-AvailabilityConfig. The password is kept encrypted and never shown."`
	TargetAutodiscoverEpr *url.URL           `ps:"TargetAutodiscoverEpr" help:"The https address of the other forest's Autodiscover service; autodiscover.<forest name> when it is left out."`
	TargetServiceEpr      string             `ps:"TargetServiceEpr" help:"Refused, as the access method OrgWideFBToken that it belongs to."`
	TargetTenantID        string             `ps:"TargetTenantId" help:"Refused, as the access method OrgWideFBToken that it belongs to."`
	controller
}

// refused is the error for a way of asking that is not possible here.
func (p *addAddressSpace) refused(k *call) error {
	switch {
	case p.AccessMethod == "OrgWideFBToken" || p.TargetServiceEpr != "" || p.TargetTenantID != "":
		return k.invalid("AccessMethod", "OrgWideFBToken asks from tenant to tenant, which is not possible here. Use New-IntraOrganizationConnector.")
	case p.AccessMethod == "PublicFolder":
		return k.invalid("AccessMethod", "PublicFolder asks free/busy folders of Exchange 2003, which are not kept here. Use InternalProxy.")
	}
	return nil
}

// Run adds the address space.
func (p *addAddressSpace) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if err := p.refused(k); err != nil {
		return k.WriteError(err)
	}
	if ok, err := k.should(`Creating availability address space "%s".`, p.ForestName); !ok {
		return err
	}
	v := directory.AvailabilityAddressSpace{
		ForestName: p.ForestName, AccessMethod: string(p.AccessMethod), UseServiceAccount: p.UseServiceAccount,
		ProxyURL: address(p.ProxyURL), TargetAutodiscoverEpr: address(p.TargetAutodiscoverEpr),
	}
	if p.Credentials != nil {
		v.UserName = p.Credentials.UserName
		if p.Credentials.Password != nil {
			v.Password = directory.Secret(p.Credentials.Password.Reveal())
		}
	}
	k.about = addressSpaceNoun.dn(o, p.ForestName)
	res, err := k.Admin.AddAvailabilityAddressSpace(ctx, k.actor, k.Org, v)
	if err == nil {
		if reason := res.Object.Check(o); reason != nil {
			res.Warnings = append(res.Warnings, fmt.Sprintf("No question is sent to %s: %v", v.ForestName, reason))
		}
	}
	return created(k, res, err, k.addressSpace)
}

type getAddressSpace struct {
	x        *exchange
	Identity identity `ps:"Identity,position=0,pipeline=value|name,allownull,allowempty,wildcard" help:"The forest name, distinguished name or GUID; all when it is left out."`
	controller
}

// Run shows address spaces.
func (p *getAddressSpace) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return addressSpaceNoun.get(k, o, p.Identity, func(v *directory.AvailabilityAddressSpace) any { return k.addressSpace(o, v) })
}

type removeAddressSpace struct {
	x        *exchange
	Identity identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which address space: forest name, distinguished name or GUID."`
	controller
}

// Run removes the address space.
func (p *removeAddressSpace) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return addressSpaceNoun.remove(k, o, p.Identity, `Removing availability address space "%s".`, k.Admin.RemoveAvailabilityAddressSpace)
}
