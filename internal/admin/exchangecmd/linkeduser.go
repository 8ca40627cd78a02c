package exchangecmd

import (
	"context"

	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
)

// linkedUserCommands are the cmdlets of the accounts that stand for applications.
// Exchange makes them by tools of its own; the names are in its manner.
func (x *exchange) linkedUserCommands() []entry {
	const about = "Nobody signs in with a linked user. Its roles are what the partner applications may do whose LinkedAccount it is: UserApplication to act as users, any role to ask without a user."
	return []entry{
		{in: everywhere, Command: interp.Command{
			Name: "New-LinkedUser", New: func() interp.Cmdlet { return &newLinkedUser{x: x} }, ShouldProcess: true,
			Synopsis: "Makes an account that stands for applications.", Description: about + " A new one has none.",
			Examples: []string{`New-LinkedUser -Name Fabrikam`},
			Links:    []string{"Get-User", "Remove-LinkedUser", "New-ManagementRoleAssignment", "Set-PartnerApplication"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Remove-LinkedUser", New: func() interp.Cmdlet { return &removeLinkedUser{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis: "Removes an account that stands for applications.", Description: about + " One that a partner application names stays.",
			Examples: []string{`Remove-LinkedUser Fabrikam -Confirm:$false`},
			Links:    []string{"Get-User", "New-LinkedUser", "Set-PartnerApplication"},
		}},
	}
}

// linkedUser is one as Get-User shows it.
func (k *call) linkedUser(o *directory.Organization, u *directory.LinkedUser) any {
	return k.bag(recipientTypes+"User").add("Name", u.Name).add("DisplayName", u.Name).add("FirstName", "").add("LastName", "").
		add("SamAccountName", u.Name).add("UserPrincipalName", "").add("AccountDisabled", true).
		add("RecipientType", "User").add("RecipientTypeDetails", linkedUserDetails).add("WindowsEmailAddress", "").
		add("Guid", guid(u.GUID)).add("Identity", o.CanonicalName(u)).add("IsValid", true).
		add("OrganizationId", k.look(o).tenantDN).add("OriginatingServer", k.Server).add("ObjectState", unchanged).Object
}

const linkedUserDetails = "LinkedUser"

type newLinkedUser struct {
	x    *exchange
	Name string `ps:"Name,mandatory,position=0,notempty" help:"What it is called; partner applications name it so."`
	controller
}

// Run makes the linked user.
func (p *newLinkedUser) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if ok, err := k.should(`Creating linked user "%s".`, p.Name); !ok {
		return err
	}
	res, err := k.Admin.NewLinkedUser(ctx, k.actor, k.Org, p.Name)
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	return k.Emit(k.linkedUser(o, &res.Object))
}

type removeLinkedUser struct {
	x        *exchange
	Identity identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Its name, or its GUID."`
	controller
}

// Run removes the linked user.
func (p *removeLinkedUser) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	u := o.LinkedUser(p.Identity.text)
	if u == nil {
		return k.WriteError(k.notFound(p.Identity.text))
	}
	if ok, err := k.should(`Removing linked user "%s".`, u.Name); !ok {
		return err
	}
	res, err := k.Admin.RemoveLinkedUser(ctx, k.actor, k.Org, u.GUID)
	return removed(k, res, err)
}
