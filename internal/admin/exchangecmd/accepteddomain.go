package exchangecmd

import (
	"context"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// acceptedDomains are the cmdlets of the organization's mail domains (11.3).
func (x *exchange) acceptedDomains() []entry {
	return []entry{
		{in: everywhere, Command: interp.Command{
			Name: "Get-AcceptedDomain", New: func() interp.Cmdlet { return &getAcceptedDomain{x: x} },
			Synopsis:    "Shows the domains that the organization accepts mail for.",
			Description: "One of them is the default: new addresses are in it, and it names the organization's realm unless Set-AuthConfig says another.",
			Examples:    []string{`Get-AcceptedDomain | Where-Object {$_.DomainName -like "*.mail.onmicrosoft.com"} | Select-Object -ExpandProperty Name`},
			Links:       []string{"New-AcceptedDomain"},
		}},
		{in: premises, Command: interp.Command{
			Name: "New-AcceptedDomain", New: func() interp.Cmdlet { return &newAcceptedDomain{x: x} }, ShouldProcess: true,
			Synopsis:    "Adds a domain that addresses of the organization may be in.",
			Description: "A name that begins with *. stands for all subdomains. Mail is not moved here: the type is kept and shown.",
			Examples:    []string{`New-AcceptedDomain -Name "Contoso Domain" -DomainName contoso.com`},
			Links:       []string{"Get-AcceptedDomain"},
		}},
		{in: premises, Command: interp.Command{
			Name: "Set-AcceptedDomain", New: func() interp.Cmdlet { return &setAcceptedDomain{x: x} }, ShouldProcess: true,
			Synopsis:    "Changes the name or the type of an accepted domain, or makes it the default.",
			Description: "The domain itself can't be changed: add the new one and remove the old one.",
			Examples:    []string{`Set-AcceptedDomain fabrikam.com -MakeDefault $true`},
			Links:       []string{"Get-AcceptedDomain"},
		}},
		{in: premises, Command: interp.Command{
			Name: "Remove-AcceptedDomain", New: func() interp.Cmdlet { return &removeAcceptedDomain{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis:    "Removes a domain that is not the default, and that no address is in.",
			Description: "Give the addresses that are in it to another domain first.",
			Examples:    []string{`Remove-AcceptedDomain fabrikam.com -Confirm:$false`},
			Links:       []string{"Get-AcceptedDomain"},
		}},
	}
}

var acceptedDomainNoun = noun[directory.AcceptedDomain]{
	kind: kind{
		container: "CN=Accepted Domains,CN=Transport Settings", category: "ms-Exch-Accepted-Domain",
		classes: []string{"top", "msExchAcceptedDomain"}, version: versionServer,
	},
	list:   func(o *directory.Organization) []directory.AcceptedDomain { return o.AcceptedDomains },
	common: func(d *directory.AcceptedDomain) *directory.Common { return &d.Common },
	also:   func(d *directory.AcceptedDomain) []string { return []string{d.DomainName} },
}

func (k *call) acceptedDomain(o *directory.Organization, d *directory.AcceptedDomain) any {
	wild := strings.HasPrefix(d.DomainName, "*.")
	name := object.Wrap(d.DomainName).
		AddProperty(&object.Property{Name: "Domain", Value: strings.TrimPrefix(d.DomainName, "*."), Hidden: true}).
		AddProperty(&object.Property{Name: "IncludeSubDomains", Value: wild, Hidden: true})
	b := k.bag("Microsoft.Exchange.Data.Directory.SystemConfiguration.AcceptedDomain").
		add("DomainName", name).add("CatchAllRecipientID", nil).add("DomainType", d.DomainType).add("MatchSubDomains", wild).add("AddressBookEnabled", true).
		add("Default", d.Default)
	for _, no := range []string{"EmailOnly", "ExternallyManaged", "PendingRemoval", "PendingCompletion", "OutboundOnly", "IsCoexistenceDomain", "IsDefaultFederatedDomain"} {
		b.add(no, false)
	}
	return b.tail(o, acceptedDomainNoun.kind, &d.Common, unchanged)
}

type getAcceptedDomain struct {
	x        *exchange
	Identity identity `ps:"Identity,position=0,pipeline=value|name,allownull,allowempty" help:"Name, domain or GUID; all when it is left out."`
	controller
}

// Run shows domains.
func (p *getAcceptedDomain) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return acceptedDomainNoun.get(k, o, p.Identity, func(d *directory.AcceptedDomain) any { return k.acceptedDomain(o, d) })
}

// domainType is the type of -DomainType.
type domainType string

var tDomainType = enumeration(configurationTypes+"AcceptedDomainType", false, "Authoritative", "ExternalRelay", "InternalRelay")

// PSType is the enumeration.
func (domainType) PSType() *object.Type { return tDomainType }

type newAcceptedDomain struct {
	x          *exchange
	Name       string     `ps:"Name,mandatory,position=0,notempty" help:"A name that no other accepted domain has."`
	DomainName string     `ps:"DomainName,mandatory,notempty" help:"The domain, as contoso.com, or *.contoso.com for all below it."`
	DomainType domainType `ps:"DomainType,default=Authoritative" help:"Authoritative (the default), InternalRelay or ExternalRelay."`
	controller
}

// Run adds the domain.
func (p *newAcceptedDomain) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	k.about = acceptedDomainNoun.dn(o, p.Name)
	if ok, err := k.should("Creating Accepted Domain \"%s\" with domain name \"%s\".", p.Name, p.DomainName); !ok {
		return err
	}
	res, err := k.Admin.NewAcceptedDomain(ctx, k.actor, k.Org, directory.AcceptedDomain{
		Common: directory.Common{Name: p.Name}, DomainName: p.DomainName, DomainType: string(p.DomainType),
	})
	return created(k, res, err, func(o *directory.Organization, d *directory.AcceptedDomain) any { return k.acceptedDomain(o, d) })
}

type setAcceptedDomain struct {
	x           *exchange
	Identity    identity   `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which domain: name, domain or GUID."`
	Name        string     `ps:"Name,notempty" help:"A new name."`
	DomainType  domainType `ps:"DomainType,notempty" help:"A new type: Authoritative, InternalRelay or ExternalRelay."`
	MakeDefault bool       `ps:"MakeDefault" help:"True: make it the default domain, which new addresses are in. False does nothing."`
	controller
}

// Run changes the domain.
func (p *setAcceptedDomain) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	name, err := acceptedDomainNoun.name(k, o, p.Identity)
	if name == "" {
		return err
	}
	if ok, err := k.should("Setting Accepted Domain \"%s\".", name); !ok {
		return err
	}
	res, err := k.Admin.SetAcceptedDomain(ctx, k.actor, k.Org, name, func(d *directory.AcceptedDomain) error {
		assign(k, "Name", &d.Name, p.Name)
		assign(k, "DomainType", &d.DomainType, string(p.DomainType))
		d.Default = d.Default || p.MakeDefault
		return nil
	})
	return changed(k, name, res, err)
}

type removeAcceptedDomain struct {
	x        *exchange
	Identity identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which domain: name, domain or GUID."`
	controller
}

// Run removes the domain.
func (p *removeAcceptedDomain) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	name, err := acceptedDomainNoun.name(k, o, p.Identity)
	if name == "" {
		return err
	}
	if ok, err := k.should("Removing Accepted Domain \"%s\".", name); !ok {
		return err
	}
	res, err := k.Admin.RemoveAcceptedDomain(ctx, k.actor, k.Org, name)
	return removed(k, res, err)
}
