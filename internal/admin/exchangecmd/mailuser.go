package exchangecmd

import (
	"cmp"
	"context"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/spec/smtpaddr"
)

// mailUsers are the cmdlets of mail users (12.2).
func (x *exchange) mailUsers() []entry {
	return []entry{
		{in: everywhere, tasks: recipientTasks, Command: interp.Command{
			Name: "Get-MailUser", New: func() interp.Cmdlet { return &getMailUser{x: x} }, DefaultSet: "Identity",
			Synopsis:    "Shows mail users: people whose mailbox is elsewhere.",
			Description: "Mail users are written as they are read, by display name. ExternalEmailAddress decides where their free/busy is asked for.",
			Examples:    []string{`Get-MailUser -ResultSize Unlimited | Format-Table Name,ExternalEmailAddress`},
			Links:       []string{"New-MailUser", "Get-Mailbox"},
		}},
		{in: everywhere, tasks: recipientTasks, Command: interp.Command{
			Name: "New-MailUser", New: func() interp.Cmdlet { return &newMailUser{x: x} }, ShouldProcess: true,
			Synopsis: "Creates a mail user: an entry of the address list whose calendar is elsewhere.",
			Description: "Questions for the mail user's free/busy go where ExternalEmailAddress says: its domain selects the intra-organization connector, " +
				"the organization relationship or the availability address space.",
			Examples: []string{`New-MailUser -Name "Chris Green" -Alias chris -ExternalEmailAddress chris@contoso.partner.mail.onmschina.cn`},
			Links:    []string{"Get-MailUser", "New-IntraOrganizationConnector"},
		}},
		{in: everywhere, tasks: recipientTasks, Command: interp.Command{
			Name: "Set-MailUser", New: func() interp.Cmdlet { return &setMailUser{x: x} }, ShouldProcess: true,
			Synopsis:    "Changes a mail user.",
			Description: "A new ExternalEmailAddress counts from the next question for free/busy on.",
			Examples:    []string{`Set-MailUser chris -ExternalEmailAddress chris@contoso.partner.mail.onmschina.cn`},
			Links:       []string{"Get-MailUser"},
		}},
		{in: everywhere, tasks: recipientTasks, Command: interp.Command{
			Name: "Remove-MailUser", New: func() interp.Cmdlet { return &removeMailUser{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis:    "Removes a mail user, with its account if it has one.",
			Description: "The permissions that others gave to it go with it. The mailbox elsewhere stays as it is.",
			Examples:    []string{`Remove-MailUser chris -Confirm:$false`},
			Links:       []string{"Get-MailUser"},
		}},
	}
}

var mailUserNoun = recipientNoun{
	class: recipientTypes + "MailUser",
	types: []string{directory.MailUser},
	properties: append([]string{
		"ExternalEmailAddress", "SamAccountName", "UserPrincipalName", "Alias", "OrganizationalUnit", "DisplayName", "EmailAddresses", "HiddenFromAddressListsEnabled",
		"LegacyExchangeDN", "EmailAddressPolicyEnabled", "PrimarySmtpAddress", "RecipientType", "RecipientTypeDetails", "WindowsEmailAddress",
	}, recipientTail...),
}

type getMailUser struct {
	x *exchange
	recipientQuery
}

// Run shows mail users.
func (p *getMailUser) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	return p.run(k, &mailUserNoun, nil, nil)
}

type newMailUser struct {
	x                    *exchange
	Name                 string               `ps:"Name,mandatory,position=0,notempty" help:"The name, and the display name unless that is given."`
	ExternalEmailAddress string               `ps:"ExternalEmailAddress,mandatory" help:"The target address: where the calendar is."`
	UserPrincipalName    string               `ps:"UserPrincipalName,alias=MicrosoftOnlineServicesID,notempty" help:"What the account signs in with. The default is the primary address."`
	Password             *object.SecureString `ps:"Password" help:"The account's password. There is no account without it."`
	Alias                string               `ps:"Alias,notempty" help:"The alias; without it, the name without characters that an address cannot have."`
	DisplayName          string               `ps:"DisplayName,notempty" help:"The display name."`
	FirstName            string               `ps:"FirstName" help:"The given name."`
	LastName             string               `ps:"LastName" help:"The surname."`
	SamAccountName       string               `ps:"SamAccountName,notempty" help:"A name of old that the mail user is found by, too. Nobody signs in with it."`
	PrimarySmtpAddress   string               `ps:"PrimarySmtpAddress,notempty" help:"The primary address; without it, the alias at the default accepted domain."`
	OrganizationalUnit   string               `ps:"OrganizationalUnit" help:"Accepted. There is one container: Users."`
	controller
}

// Run makes the mail user.
func (p *newMailUser) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	external, _, err := proxyAddress(p.ExternalEmailAddress)
	if err != nil {
		return k.WriteError(k.invalid("ExternalEmailAddress", "%s", err))
	}
	k.about = "CN=" + p.Name + "," + k.look(o).dn
	if ok, err := k.should("Creating mail user \"%s\" with external e-mail address \"%s\".", p.Name, external); !ok {
		return err
	}
	params := admin.MailUserParams{
		Name: p.Name, ExternalAddress: external.String(), UPN: p.UserPrincipalName, Alias: p.Alias, DisplayName: p.DisplayName, FirstName: p.FirstName,
		LastName: p.LastName, SamAccountName: p.SamAccountName, Primary: p.PrimarySmtpAddress,
	}
	if p.Password != nil {
		params.Password = p.Password.Reveal()
	}
	res, err := k.Admin.NewMailUser(ctx, k.actor, k.Org, params)
	return created(k, res, err, func(o *directory.Organization, r **directory.Recipient) any { return mailUserNoun.show(k.look(o), *r) })
}

type setMailUser struct {
	x                             *exchange
	Identity                      recipientID `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which mail user: name, alias, address, user principal name, GUID or distinguished name."`
	ExternalEmailAddress          string      `ps:"ExternalEmailAddress,notempty" help:"A new target address."`
	Name                          string      `ps:"Name,notempty" help:"A new name."`
	Alias                         string      `ps:"Alias,notempty" help:"A new alias. Addresses stay as they are."`
	DisplayName                   string      `ps:"DisplayName,notempty" help:"A new display name."`
	PrimarySmtpAddress            string      `ps:"PrimarySmtpAddress,notempty" help:"A new primary address. The old one stays as a further address."`
	WindowsEmailAddress           string      `ps:"WindowsEmailAddress,notempty" help:"The same as PrimarySmtpAddress."`
	EmailAddresses                multiValued `ps:"EmailAddresses" help:"All addresses, SMTP: in capitals before the primary one; or @{Add=\"smtp:a@contoso.com\"; Remove=\"smtp:b@contoso.com\"}."`
	EmailAddressPolicyEnabled     refused     `ps:"EmailAddressPolicyEnabled" help:"Only False is possible: there are no address policies, and addresses can always be set."`
	SamAccountName                string      `ps:"SamAccountName,notempty" help:"A new name of old."`
	HiddenFromAddressListsEnabled bool        `ps:"HiddenFromAddressListsEnabled" help:"Whether address lists leave the mail user out. The free/busy can be asked for all the same."`
	ExchangeGuid                  ignored     `ps:"ExchangeGuid" help:"Has no effect: no mailbox is ever moved back."`
	controller
}

// Run changes the mail user.
func (p *setMailUser) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	var external smtpaddr.Address
	if p.ExternalEmailAddress != "" {
		if external, _, err = proxyAddress(p.ExternalEmailAddress); err != nil {
			return k.WriteError(k.invalid("ExternalEmailAddress", "%s", err))
		}
	}
	r, look, err := k.recipient(p.Identity, mailUserNoun.types)
	if r == nil {
		return err
	}
	name := recipientView{look, r}.identityText()
	if ok, err := k.should("Setting mail user \"%s\".", name); !ok {
		return err
	}
	if err := k.ignoring("ExchangeGuid"); err != nil {
		return err
	}
	res, err := k.Admin.SetMailUser(ctx, k.actor, k.Org, r.ID, func(r *directory.Recipient) error {
		k.names(r, p.Name, p.DisplayName)
		assign(k, "Alias", &r.Alias, p.Alias)
		assign(k, "SamAccountName", &r.SamAccountName, p.SamAccountName)
		assign(k, "HiddenFromAddressListsEnabled", &r.HiddenFromAddressLists, p.HiddenFromAddressListsEnabled)
		assign(k, "ExternalEmailAddress", &r.ExternalAddress, external)
		return k.addresses(r, cmp.Or(p.PrimarySmtpAddress, p.WindowsEmailAddress), p.EmailAddresses)
	})
	return changed(k, name, res, err)
}

type removeMailUser struct {
	x               *exchange
	Identity        recipientID   `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which mail user: name, alias, address, user principal name, GUID or distinguished name."`
	IgnoreLegalHold object.Switch `ps:"IgnoreLegalHold" help:"Accepted. Nothing is ever held."`
	controller
}

// Run removes the mail user.
func (p *removeMailUser) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	return k.drop(p.Identity, mailUserNoun.types, "Removing mail user Identity:\"%s\" will remove the Active Directory user object.", k.Admin.RemoveMailUser)
}
