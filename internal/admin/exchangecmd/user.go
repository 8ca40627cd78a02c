package exchangecmd

import (
	"context"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
)

// users is the cmdlet of accounts.
func (x *exchange) users() []entry {
	return []entry{{in: everywhere, tasks: recipientTasks, Command: interp.Command{
		Name: "Get-User", New: func() interp.Cmdlet { return &getUser{x: x} },
		Synopsis:    "Shows the accounts that can sign in, with or without a mailbox, and the linked users that stand for applications.",
		Description: "Set-Mailbox changes the password of an account with a mailbox, and whether it may sign in; Get-ManagementRoleAssignment shows what it may do.",
		Examples:    []string{`Get-User | Format-Table UserPrincipalName,RecipientTypeDetails,AccountDisabled`},
		Links:       []string{"Get-Mailbox", "Enable-Mailbox", "Get-ManagementRoleAssignment"},
	}}}
}

// detailsOf is RecipientTypeDetails of an account; r is its mailbox or mail user, nil: none.
func detailsOf(a *directory.Account, r *directory.Recipient) string {
	switch {
	case r != nil:
		return r.Type
	case !a.Enabled:
		return "DisabledUser"
	}
	return "User"
}

func (k *call) user(l *recipientLook, a *directory.Account, r *directory.Recipient) any {
	kind := "User"
	name, _, _ := strings.Cut(a.UserName, "@")
	v := directory.Recipient{DisplayName: name, UPN: a.UserName}
	if r != nil {
		kind, v = recipientType(r.Type), *r
	}
	identity := a.UserName // what Enable-Mailbox takes
	b := k.bag(recipientTypes+"User").add("Name", v.CommonName()).add("DisplayName", v.DisplayName).add("FirstName", v.FirstName).add("LastName", v.LastName).
		add("SamAccountName", samAccountName(&v)).add("UserPrincipalName", a.UserName).add("AccountDisabled", !a.Enabled).
		add("RecipientType", kind).add("RecipientTypeDetails", detailsOf(a, r)).add("WindowsEmailAddress", smtpAddress(v.Primary))
	if r != nil {
		b.add("Guid", guid(r.ID))
		identity = recipientView{l, r}.identityText()
	}
	return b.add("Identity", identity).add("IsValid", true).add("OrganizationId", l.tenantDN).add("OriginatingServer", k.Server).add("ObjectState", unchanged).Object
}

type getUser struct {
	x                    *exchange
	Identity             recipientID        `ps:"Identity,position=0,pipeline=value|name,allownull,allowempty" help:"The user name, or an identity of the mailbox; all when it is left out."`
	RecipientTypeDetails []recipientDetails `ps:"RecipientTypeDetails" help:"Only these kinds, as UserMailbox, User (no mailbox), DisabledUser or LinkedUser."`
	ResultSize           resultSize         `ps:"ResultSize,notempty" help:"How many accounts at most, or Unlimited. The default is 1000."`
	controller
}

// Run shows accounts by user name.
func (p *getUser) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	accounts, err := k.Admin.Accounts(ctx, k.actor, k.Name(), k.Org)
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	o, err := k.view()
	if err != nil {
		return err
	}
	linked := o.LinkedUsers
	if p.Identity.given() {
		if u := o.LinkedUser(p.Identity.text); u != nil {
			return k.Emit(k.linkedUser(o, u))
		}
		a, err := k.account(accounts, p.Identity)
		if a == nil {
			return err
		}
		accounts, linked = []*directory.Account{a}, nil
	}
	look, limit, warning := k.look(o), p.ResultSize.limit, moreThanAsked
	if !k.Bound("ResultSize") {
		limit, warning = defaultResults, moreThanDefault
	}
	count := 0
	for _, a := range accounts {
		var r *directory.Recipient
		if !a.Address.IsZero() {
			if r, err = k.Admin.FindRecipient(ctx, k.actor, k.Name(), k.Org, a.Address.String()); err != nil {
				return k.WriteError(k.fail(err))
			}
		}
		if len(p.RecipientTypeDetails) > 0 && !slices.Contains(p.RecipientTypeDetails, recipientDetails(detailsOf(a, r))) {
			continue
		}
		if limit > 0 && count == limit {
			return k.WriteWarning(warning)
		}
		count++
		if err := k.Emit(k.user(look, a, r)); err != nil {
			return err
		}
	}
	for i := range linked {
		if len(p.RecipientTypeDetails) > 0 && !slices.Contains(p.RecipientTypeDetails, linkedUserDetails) {
			break
		}
		if limit > 0 && count == limit {
			return k.WriteWarning(warning)
		}
		count++
		if err := k.Emit(k.linkedUser(o, &linked[i])); err != nil {
			return err
		}
	}
	return nil
}
