package exchangecmd

import (
	"context"

	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
)

// availabilityConfig are the cmdlets of the availability configuration (8.4).
func (x *exchange) availabilityConfig() []entry {
	return []entry{
		{in: everywhere, Command: interp.Command{
			Name: "Get-AvailabilityConfig", New: func() interp.Cmdlet { return &getAvailabilityConfig{x: x} },
			Synopsis:    "Shows the accounts that other forests ask with.",
			Description: "They count when an account of this organization has the name: what is asked with it is another forest's question. It is answered with what calendars show everybody, to the PerUserAccount also with what they show its user, where he is a mail user here; and it is never forwarded.",
			Examples:    []string{`Get-AvailabilityConfig | Format-List`},
			Links:       []string{"Set-AvailabilityConfig", "Get-OrganizationRelationship"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Set-AvailabilityConfig", New: func() interp.Cmdlet { return &setAvailabilityConfig{x: x} }, ShouldProcess: true,
			Synopsis:    "Names the accounts that other forests ask with, and says what other organizations learn of addresses.",
			Description: "They count when an account of this organization has the name: what is asked with it is another forest's question. It is answered with what calendars show everybody, to the PerUserAccount also with what they show its user, where he is a mail user here; and it is never forwarded.",
			Examples:    []string{`Set-AvailabilityConfig -OrgWideAccount svc-freebusy@contoso.com`, `Set-AvailabilityConfig -RevealUnknownRecipients $true`},
			Links:       []string{"Get-AvailabilityConfig", "New-OrganizationRelationship"},
		}},
	}
}

var availabilityKind = kind{category: "ms-Exch-Availability-Config", classes: []string{"top", "container", "msExchContainer", "msExchAvailabilityConfig"}, version: versionServer}

type getAvailabilityConfig struct {
	x        *exchange
	Identity identity `ps:"Identity,position=0,pipeline=value|name,allownull,allowempty,wildcard" help:"Not needed: an organization has one."`
	controller
}

// Run shows the configuration.
func (p *getAvailabilityConfig) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	id, v := single(o, availabilityName), &o.AvailabilityConfig
	if p.Identity.given() && !p.Identity.matches(id, availabilityKind.dn(o, id.Name), o.Name) {
		if p.Identity.pattern() {
			return nil
		}
		return k.WriteError(k.notFound(p.Identity.text))
	}
	b := k.bag(configurationTypes+"AvailabilityConfig").add("PerUserAccount", v.PerUserAccount).add("OrgWideAccount", v.OrgWideAccount).
		add("RevealUnknownRecipients", v.RevealUnknownRecipients)
	if k.Hosted {
		b.add("AllowedTenantIds", []string{})
	}
	return k.Emit(b.tail(o, availabilityKind, id, unchanged))
}

type setAvailabilityConfig struct {
	x                *exchange
	PerUserAccount   identity    `ps:"PerUserAccount,allownull,allowempty" help:"The account that another forest asks with for one of its users (access method PerUserFB there); $null takes it away."`
	OrgWideAccount   identity    `ps:"OrgWideAccount,allownull,allowempty" help:"The account that another forest asks with for nobody in particular (access methods OrgWideFB and OrgWideFBBasic there); $null takes it away."`
	Reveal           bool        `ps:"RevealUnknownRecipients" help:"Whether other organizations learn that an address does not exist. The default is False: to them it looks like a calendar that they may not see. Not in Exchange."`
	AllowedTenantIDs multiValued `ps:"AllowedTenantIds,allownull,allowempty" help:"Refused unless empty: tenants ask each other by New-IntraOrganizationConnector here."`
	controller
}

// Run changes the configuration.
func (p *setAvailabilityConfig) Run(ctx context.Context, c *interp.Call) error {
	k, _, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if len(p.AllowedTenantIDs.apply(nil)) > 0 {
		return k.WriteError(k.invalid("AllowedTenantIds", "Tenants ask each other by connectors here. Use New-IntraOrganizationConnector."))
	}
	if ok, err := k.should(`Setting availability configuration "%s".`, availabilityName); !ok {
		return err
	}
	res, err := k.Admin.SetAvailabilityConfig(ctx, k.actor, k.Org, func(v *directory.AvailabilityConfig) error {
		assign(k, "PerUserAccount", &v.PerUserAccount, p.PerUserAccount.text)
		assign(k, "OrgWideAccount", &v.OrgWideAccount, p.OrgWideAccount.text)
		assign(k, "RevealUnknownRecipients", &v.RevealUnknownRecipients, p.Reveal)
		return nil
	})
	return changed(k, availabilityName, res, err)
}
