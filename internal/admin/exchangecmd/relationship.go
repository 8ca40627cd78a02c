package exchangecmd

import (
	"context"
	"net/url"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// relationships are the cmdlets of organization relationships (9.1 to 9.3).
func (x *exchange) relationships() []entry {
	return []entry{
		{in: everywhere, Command: interp.Command{
			Name: "New-OrganizationRelationship", New: func() interp.Cmdlet { return &newRelationship{x: x} }, ShouldProcess: true,
			Synopsis: "Says what the users of other domains may see, and where to ask them.",
			Description: "Inward, FreeBusyAccessEnabled and FreeBusyAccessLevel are the most that a caller of DomainNames sees; a calendar's own permissions can only lessen it. " +
				"Outward, questions for DomainNames go to TargetAutodiscoverEpr or TargetSharingEpr where no intra-organization connector has the domain.",
			Examples: []string{`New-OrganizationRelationship -Name "To Fabrikam" -DomainNames fabrikam.com,mail.fabrikam.com -FreeBusyAccessEnabled $true -FreeBusyAccessLevel LimitedDetails`},
			Links:    []string{"Get-OrganizationRelationship", "Set-OrganizationRelationship", "New-IntraOrganizationConnector"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Get-OrganizationRelationship", New: func() interp.Cmdlet { return &getRelationship{x: x} },
			Synopsis:    "Shows organization relationships.",
			Description: "The table shows what callers of its domains may see.",
			Examples:    []string{`Get-OrganizationRelationship | Format-List Name,DomainNames,FreeBusy*`},
			Links:       []string{"New-OrganizationRelationship"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Set-OrganizationRelationship", New: func() interp.Cmdlet { return &setRelationship{x: x} }, ShouldProcess: true,
			Synopsis:    "Changes an organization relationship.",
			Description: "DomainNames takes a whole new list, or what to add and to remove.",
			Examples: []string{
				`Set-OrganizationRelationship "To Fabrikam" -FreeBusyAccessLevel AvailabilityOnly`,
				`Set-OrganizationRelationship "To Fabrikam" -DomainNames @{Add="sales.fabrikam.com"}`,
			},
			Links: []string{"Get-OrganizationRelationship"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Remove-OrganizationRelationship", New: func() interp.Cmdlet { return &removeRelationship{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis:    "Removes an organization relationship.",
			Description: "Users of its domains see nothing from then on. To try that first, set Enabled to False.",
			Examples:    []string{`Remove-OrganizationRelationship "To Fabrikam" -Confirm:$false`},
			Links:       []string{"Get-OrganizationRelationship"},
		}},
	}
}

var relationshipNoun = noun[directory.OrganizationRelationship]{
	kind: kind{
		container: "CN=Federation", category: "ms-Exch-Fed-Sharing-Relationship",
		classes: []string{"top", "msExchFedSharingRelationship"}, version: "0.10 (14.0.100.0)",
	},
	list:   func(o *directory.Organization) []directory.OrganizationRelationship { return o.Relationships },
	common: func(v *directory.OrganizationRelationship) *directory.Common { return &v.Common },
}

func (k *call) relationship(o *directory.Organization, v *directory.OrganizationRelationship) any {
	b := k.bag(configurationTypes+"OrganizationRelationship").
		add("DomainNames", domains(v.DomainNames)).add("FreeBusyAccessEnabled", v.FreeBusyAccessEnabled).add("FreeBusyAccessLevel", v.FreeBusyAccessLevel).
		add("FreeBusyAccessScope", nil).add("MailboxMoveEnabled", v.MailboxMoveEnabled)
	if k.Hosted {
		b.add("MailboxMoveCapability", "None").add("OAuthApplicationId", nil)
	}
	tips := v.MailTipsAccessLevel
	if tips == "" {
		tips = "None"
	}
	return b.add("DeliveryReportEnabled", v.DeliveryReportEnabled).add("MailTipsAccessEnabled", v.MailTipsAccessEnabled).
		add("MailTipsAccessLevel", tips).add("MailTipsAccessScope", nil).add("PhotosEnabled", v.PhotosEnabled).
		add("TargetApplicationUri", uri(v.TargetApplicationURI)).add("TargetSharingEpr", uri(v.TargetSharingEpr)).add("TargetOwaURL", uri(v.TargetOwaURL)).
		add("TargetAutodiscoverEpr", uri(v.TargetAutodiscoverEpr)).add("OrganizationContact", v.OrganizationContact).
		add("Enabled", v.Enabled).add("ArchiveAccessEnabled", v.ArchiveAccessEnabled).tail(o, relationshipNoun.kind, &v.Common, unchanged)
}

// A relationshipFields is what New- and Set-OrganizationRelationship have in common.
type relationshipFields struct {
	Enabled               bool          `ps:"Enabled" help:"Whether it counts, inward and outward. The default is True."`
	FreeBusyAccessEnabled bool          `ps:"FreeBusyAccessEnabled" help:"Whether callers of these domains see free/busy here. The default is False."`
	FreeBusyAccessLevel   freeBusyLevel `ps:"FreeBusyAccessLevel" help:"The most that they see: None (the default), AvailabilityOnly (times), LimitedDetails (times, subject, location)."`
	FreeBusyAccessScope   identity      `ps:"FreeBusyAccessScope,allownull,allowempty" help:"Refused unless $null: who is visible is decided by each calendar's permissions, not by a group."`
	TargetApplicationURI  *url.URL      `ps:"TargetApplicationUri,pipeline=name,allownull" help:"The other side's federation address. Kept and shown: tokens are OAuth, not federation."`
	TargetAutodiscoverEpr *url.URL      `ps:"TargetAutodiscoverEpr,pipeline=name,allownull" help:"The https address of the other side's Autodiscover service."`
	TargetSharingEpr      *url.URL      `ps:"TargetSharingEpr,allownull" help:"The https address of the other side's Exchange Web Services; Autodiscover is skipped."`
	TargetOwaURL          *url.URL      `ps:"TargetOwaURL,pipeline=name,allownull" help:"The other side's web mail. Kept and shown; there is no web mail here."`
	OrganizationContact   string        `ps:"OrganizationContact" help:"The address of somebody to ask there. Kept and shown."`
	ArchiveAccessEnabled  bool          `ps:"ArchiveAccessEnabled" help:"Kept and shown; there are no archives here."`
	DeliveryReportEnabled bool          `ps:"DeliveryReportEnabled" help:"Kept and shown; no mail is moved here."`
	MailboxMoveEnabled    bool          `ps:"MailboxMoveEnabled" help:"Kept and shown; no mailboxes are moved here."`
	MailboxMoveCapability identity      `ps:"MailboxMoveCapability,allownull,allowempty" help:"Refused unless None: no mailboxes are moved here."`
	MailTipsAccessEnabled bool          `ps:"MailTipsAccessEnabled" help:"Kept and shown; there are no MailTips here."`
	MailTipsAccessLevel   mailTipsLevel `ps:"MailTipsAccessLevel" help:"None, Limited or All. Kept and shown."`
	MailTipsAccessScope   identity      `ps:"MailTipsAccessScope,allownull,allowempty" help:"Refused unless $null: there are no MailTips here."`
	OAuthApplicationID    string        `ps:"OAuthApplicationId" help:"Refused unless empty: callers are known by their partner application (New-PartnerApplication)."`
	PhotosEnabled         bool          `ps:"PhotosEnabled" help:"Kept and shown; there are no photos here."`
}

// refused is the error for a limit that would not be kept, or a way that is not there.
func (p *relationshipFields) refused(k *call) error {
	switch {
	case p.FreeBusyAccessScope.given():
		return k.invalid("FreeBusyAccessScope", "Who is visible is not decided by a group here, so everybody would be. Use Set-MailboxFolderPermission <mailbox>:\\Calendar -User Default -AccessRights None for the others.")
	case p.MailTipsAccessScope.given():
		return k.invalid("MailTipsAccessScope", "There are no MailTips here. Use $null.")
	case p.MailboxMoveCapability.given() && p.MailboxMoveCapability.text != "None":
		return k.invalid("MailboxMoveCapability", "No mailboxes are moved here. Use None.")
	case p.OAuthApplicationID != "":
		return k.invalid("OAuthApplicationId", "Callers are known by their partner application. Use New-PartnerApplication.")
	}
	return nil
}

func (p *relationshipFields) apply(k *call, v *directory.OrganizationRelationship) {
	assign(k, "Enabled", &v.Enabled, p.Enabled)
	assign(k, "FreeBusyAccessEnabled", &v.FreeBusyAccessEnabled, p.FreeBusyAccessEnabled)
	assign(k, "FreeBusyAccessLevel", &v.FreeBusyAccessLevel, string(p.FreeBusyAccessLevel))
	assign(k, "TargetApplicationUri", &v.TargetApplicationURI, address(p.TargetApplicationURI))
	assign(k, "TargetAutodiscoverEpr", &v.TargetAutodiscoverEpr, address(p.TargetAutodiscoverEpr))
	assign(k, "TargetSharingEpr", &v.TargetSharingEpr, address(p.TargetSharingEpr))
	assign(k, "TargetOwaURL", &v.TargetOwaURL, address(p.TargetOwaURL))
	assign(k, "OrganizationContact", &v.OrganizationContact, p.OrganizationContact)
	assign(k, "ArchiveAccessEnabled", &v.ArchiveAccessEnabled, p.ArchiveAccessEnabled)
	assign(k, "DeliveryReportEnabled", &v.DeliveryReportEnabled, p.DeliveryReportEnabled)
	assign(k, "MailboxMoveEnabled", &v.MailboxMoveEnabled, p.MailboxMoveEnabled)
	assign(k, "MailTipsAccessEnabled", &v.MailTipsAccessEnabled, p.MailTipsAccessEnabled)
	assign(k, "MailTipsAccessLevel", &v.MailTipsAccessLevel, string(p.MailTipsAccessLevel))
	assign(k, "PhotosEnabled", &v.PhotosEnabled, p.PhotosEnabled)
}

type newRelationship struct {
	x           *exchange
	Name        string      `ps:"Name,mandatory,position=0,notempty" help:"A name that no other relationship has, at most 64 characters."`
	DomainNames domainNames `ps:"DomainNames,mandatory,pipeline=value|name" help:"The domains of the other organization, at most 238. *.domain covers subdomains."`
	relationshipFields
	controller
}

// Run makes the relationship.
func (p *newRelationship) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if err := p.refused(k); err != nil {
		return k.WriteError(err)
	}
	if ok, err := k.should(`Creating organization relationship "%s".`, p.Name); !ok {
		return err
	}
	v := directory.OrganizationRelationship{Common: directory.Common{Name: p.Name}, Enabled: true, DomainNames: p.DomainNames.apply(nil)}
	p.apply(k, &v)
	k.about = relationshipNoun.dn(o, p.Name)
	res, err := k.Admin.NewOrganizationRelationship(ctx, k.actor, k.Org, v)
	return created(k, res, err, k.relationship)
}

type getRelationship struct {
	x        *exchange
	Identity identity `ps:"Identity,position=0,pipeline=value|name,allownull,allowempty,wildcard" help:"Name, distinguished name or GUID; all when it is left out."`
	controller
}

// Run shows relationships.
func (p *getRelationship) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return relationshipNoun.get(k, o, p.Identity, func(v *directory.OrganizationRelationship) any { return k.relationship(o, v) })
}

type setRelationship struct {
	x           *exchange
	Identity    identity      `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which relationship: name, distinguished name or GUID."`
	Name        string        `ps:"Name,notempty" help:"A new name."`
	DomainNames domainNames   `ps:"DomainNames" help:"The domains: a list, or @{Add=...; Remove=...}."`
	Force       object.Switch `ps:"Force" help:"Has no effect: nothing is asked."`
	relationshipFields
	controller
}

// Run changes the relationship.
func (p *setRelationship) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if err := p.refused(k); err != nil {
		return k.WriteError(err)
	}
	return relationshipNoun.set(k, o, p.Identity, `Setting organization relationship "%s".`, func(name string) (admin.Result[directory.OrganizationRelationship], error) {
		return k.Admin.SetOrganizationRelationship(ctx, k.actor, k.Org, name, func(v *directory.OrganizationRelationship) error {
			assign(k, "Name", &v.Name, p.Name)
			assign(k, "DomainNames", &v.DomainNames, p.DomainNames.apply(v.DomainNames))
			p.apply(k, v)
			return nil
		})
	})
}

type removeRelationship struct {
	x        *exchange
	Identity identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which relationship: name, distinguished name or GUID."`
	controller
}

// Run removes the relationship.
func (p *removeRelationship) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return relationshipNoun.remove(k, o, p.Identity, `Removing organization relationship "%s".`, k.Admin.RemoveOrganizationRelationship)
}
