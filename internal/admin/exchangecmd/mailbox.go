package exchangecmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/wintz"
)

// mailboxes are the cmdlets of mailboxes (12.1).
func (x *exchange) mailboxes() []entry {
	return []entry{
		{in: everywhere, tasks: recipientTasks, Command: interp.Command{
			Name: "Get-Mailbox", New: func() interp.Cmdlet { return &getMailbox{x: x} }, DefaultSet: "Identity",
			Synopsis: "Shows mailboxes.",
			Description: "Mailboxes are written as they are read, by display name, so that a pipeline over all of them takes little memory. " +
				"Quotas are Unlimited, for no mail is kept here.",
			Examples: []string{`Get-Mailbox kim@contoso.com | Format-List`, `Get-Mailbox -ResultSize Unlimited -Filter "RecipientTypeDetails -eq 'RoomMailbox'" | Format-Table Name,PrimarySmtpAddress`},
			Links:    []string{"New-Mailbox", "Set-Mailbox", "Get-MailboxCalendarConfiguration", "Get-MailboxFolderPermission"},
		}},
		{in: everywhere, tasks: recipientTasks, Command: interp.Command{
			Name: "New-Mailbox", New: func() interp.Cmdlet { return &newMailbox{x: x} }, ShouldProcess: true,
			Synopsis: "Creates a mailbox, whose calendar is kept here, and the account that signs in to it.",
			Description: "The calendar begins with AvailabilityOnly for everybody in the organization and nothing for others, and with working days from 8:00 to 17:00 " +
				"in the time zone of this session: see Set-MailboxCalendarConfiguration and Set-MailboxFolderPermission.",
			Examples: []string{
				`New-Mailbox -Name "Kim Akers" -Alias kim -UserPrincipalName kim@contoso.com -Password (Read-Host "Password" -AsSecureString)`,
				`New-Mailbox -Name "Room 1" -Room -ResourceCapacity 12`,
			},
			Links: []string{"Get-Mailbox", "New-MailUser", "Set-MailboxCalendarConfiguration"},
		}},
		{in: everywhere, tasks: recipientTasks, Command: interp.Command{
			Name: "Set-Mailbox", New: func() interp.Cmdlet { return &setMailbox{x: x} }, ShouldProcess: true,
			Synopsis:    "Changes a mailbox.",
			Description: "Its account, and the permissions that others gave to it, follow when its addresses or its user principal name change. What Exchange has for mail alone is refused or has no effect: the help of each parameter says which.",
			Examples:    []string{`Set-Mailbox kim -EmailAddresses @{Add="smtp:k.akers@contoso.com"}`, `Get-Mailbox room1 | Set-Mailbox -ResourceCapacity 20`},
			Links:       []string{"Get-Mailbox"},
		}},
		{in: everywhere, tasks: recipientTasks, Command: interp.Command{
			Name: "Enable-Mailbox", New: func() interp.Cmdlet { return &enableMailbox{x: x} }, ShouldProcess: true,
			Synopsis:    "Creates a mailbox for an account that has none.",
			Description: "Accounts without a mailbox are those of administrators, and what Disable-Mailbox leaves.",
			Examples:    []string{`Enable-Mailbox kim@contoso.com`},
			Links:       []string{"New-Mailbox", "Disable-Mailbox"},
		}},
		{in: everywhere, tasks: recipientTasks, Command: interp.Command{
			Name: "Disable-Mailbox", New: func() interp.Cmdlet { return &disableMailbox{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis:    "Removes a mailbox with its calendar, and keeps the account.",
			Description: "The calendar is gone at once: there is nothing to connect again.",
			Examples:    []string{`Disable-Mailbox kim@contoso.com -Confirm:$false`},
			Links:       []string{"Enable-Mailbox", "Remove-Mailbox"},
		}},
		{in: everywhere, tasks: recipientTasks, Command: interp.Command{
			Name: "Remove-Mailbox", New: func() interp.Cmdlet { return &removeMailbox{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis:    "Removes a mailbox with its calendar and its account.",
			Description: "They are gone at once: there is no retention time, and nothing to connect again.",
			Examples:    []string{`Remove-Mailbox kim@contoso.com -Confirm:$false`},
			Links:       []string{"Get-Mailbox"},
		}},
	}
}

var mailboxNoun = recipientNoun{
	class: recipientTypes + "Mailbox",
	types: directory.MailboxTypes(),
	properties: append([]string{
		"Database", "DeliverToMailboxAndForward", "ExchangeGuid", "ForwardingAddress", "ForwardingSmtpAddress", "IsMailboxEnabled", "Languages", "ProhibitSendQuota",
		"ProhibitSendReceiveQuota", "IsResource", "IsLinked", "IsShared", "LinkedMasterAccount", "ResourceCapacity", "ResourceCustom", "ResourceType", "SamAccountName",
		"ServerName", "IssueWarningQuota", "UserPrincipalName", "SharingPolicy", "Alias", "OrganizationalUnit", "DisplayName", "EmailAddresses", "GrantSendOnBehalfTo",
		"HiddenFromAddressListsEnabled", "LegacyExchangeDN", "EmailAddressPolicyEnabled", "PrimarySmtpAddress", "RecipientType", "RecipientTypeDetails", "WindowsEmailAddress",
	}, recipientTail...),
}

type getMailbox struct {
	x *exchange
	recipientQuery
	RecipientTypeDetails     []recipientDetails `ps:"RecipientTypeDetails" help:"Only these kinds: UserMailbox, RoomMailbox, EquipmentMailbox, SharedMailbox."`
	Database                 string             `ps:"Database,pipeline=name,set=DatabaseSet,notempty" help:"There are no databases to choose from: no name is found."`
	Server                   string             `ps:"Server,set=ServerSet,notempty" help:"Only mailboxes of this server. Servers of an organization share one store, so that each has all of them."`
	Archive                  object.Switch      `ps:"Archive" help:"Only mailboxes with an archive: there are none."`
	Arbitration              object.Switch      `ps:"Arbitration" help:"Only system mailboxes: there are none."`
	Credential               *object.Credential `ps:"Credential" help:"Accepted. The session's own account reads the directory."`
	IgnoreDefaultScope       object.Switch      `ps:"IgnoreDefaultScope" help:"Accepted. There is one scope: the organization."`
	ReadFromDomainController object.Switch      `ps:"ReadFromDomainController" help:"Accepted. There is one store, and it is always asked."`
}

// Run shows mailboxes.
func (p *getMailbox) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	switch {
	case err != nil:
		return err
	case p.Database != "":
		return k.WriteError(k.record("ManagementObjectNotFoundException", "Couldn't find database \"%s\". Make sure you have typed it correctly.", p.Database))
	case bool(p.Archive || p.Arbitration):
		return nil
	case p.Server != "":
		if name, err := serverNoun.name(k, o, identity{p.Server}); name == "" {
			return err
		}
	}
	return p.run(k, &mailboxNoun, p.RecipientTypeDetails, nil)
}

// A mailboxKind says which kind of mailbox to make: a user's without any.
type mailboxKind struct {
	Room      object.Switch `ps:"Room,set=Room" help:"Make a room."`
	Equipment object.Switch `ps:"Equipment,set=Equipment" help:"Make a resource that is no room."`
	Shared    object.Switch `ps:"Shared,set=Shared" help:"Make a mailbox that several people share."`
}

func (m mailboxKind) kind() string {
	switch {
	case bool(m.Room):
		return directory.RoomMailbox
	case bool(m.Equipment):
		return directory.EquipmentMailbox
	case bool(m.Shared):
		return directory.SharedMailbox
	}
	return directory.UserMailbox
}

// zone is the Windows time zone of the session.
func (k *call) zone() string {
	if zone, ok := wintz.Windows(k.Call.Now().Location().String()); ok {
		return zone
	}
	return "UTC"
}

type newMailbox struct {
	x                  *exchange
	Name               string               `ps:"Name,mandatory,position=0,pipeline=value|name,notempty" help:"The name, and the display name unless that is given."`
	UserPrincipalName  string               `ps:"UserPrincipalName,alias=MicrosoftOnlineServicesID,notempty" help:"What the account signs in with, as kim@contoso.com. The default is the primary address."`
	Password           *object.SecureString `ps:"Password" help:"The account's password. A user mailbox needs one; others have no account without it."`
	Alias              string               `ps:"Alias,notempty" help:"The alias; without it, the name without characters that an address cannot have."`
	DisplayName        string               `ps:"DisplayName,notempty" help:"The display name."`
	FirstName          string               `ps:"FirstName" help:"The given name."`
	LastName           string               `ps:"LastName" help:"The surname."`
	SamAccountName     string               `ps:"SamAccountName,notempty" help:"A name of old that the mailbox is found by, too. Nobody signs in with it."`
	PrimarySmtpAddress string               `ps:"PrimarySmtpAddress,notempty" help:"The primary address; without it, the alias at the default accepted domain."`
	mailboxKind
	ResourceCapacity         int     `ps:"ResourceCapacity" help:"How many people a room or resource has place for."`
	OrganizationalUnit       string  `ps:"OrganizationalUnit" help:"Accepted. There is one container: Users."`
	Database                 string  `ps:"Database" help:"Accepted. There are no databases to choose from."`
	SharingPolicy            absent  `ps:"SharingPolicy" help:"Refused: there are no sharing policies."`
	ResetPasswordOnNextLogon refused `ps:"ResetPasswordOnNextLogon" help:"Refused: nobody is made to change a password."`
	controller
}

// Run makes the mailbox.
func (p *newMailbox) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	look := k.look(o)
	k.about = "CN=" + p.Name + "," + look.dn
	params := admin.MailboxParams{
		Name: p.Name, UPN: p.UserPrincipalName, Alias: p.Alias, DisplayName: p.DisplayName, FirstName: p.FirstName, LastName: p.LastName,
		SamAccountName: p.SamAccountName, Primary: p.PrimarySmtpAddress, ResourceCapacity: p.ResourceCapacity, TimeZone: k.zone(), Type: p.kind(),
	}
	if params.Password, err = k.password(p.Password, params.Type == directory.UserMailbox); err != nil {
		return err
	}
	who := ""
	if p.UserPrincipalName != "" {
		who = ` with User Principal Name "` + p.UserPrincipalName + `"`
	}
	if ok, err := k.should("Creating mailbox \"%s\"%s in organizational unit \"%s\".", p.Name, who, look.canonical); !ok {
		return err
	}
	res, err := k.Admin.NewMailbox(ctx, k.actor, k.Org, params)
	return created(k, res, err, func(o *directory.Organization, r **directory.Recipient) any { return mailboxNoun.show(k.look(o), *r) })
}

// password is the password that was given; one that is needed is asked for, as
// mandatory parameters are.
func (k *call) password(given *object.SecureString, needed bool) (string, error) {
	switch {
	case given != nil:
		return given.Reveal(), nil
	case !needed:
		return "", nil
	case k.Prompt() != nil:
		return k.Prompt().Secret(k.ctx, "Supply values for the following parameters:\nPassword: ")
	}
	return "", object.NewError("MissingMandatoryParameter", object.InvalidArgument, object.TParameterBinding,
		"Cannot process command because of one or more missing mandatory parameters: Password.")
}

type setMailbox struct {
	x                             *exchange
	Identity                      recipientID          `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which mailbox: name, alias, address, user principal name, GUID or distinguished name."`
	Name                          string               `ps:"Name,notempty" help:"A new name."`
	Alias                         string               `ps:"Alias,notempty" help:"A new alias. Addresses stay as they are."`
	DisplayName                   string               `ps:"DisplayName,notempty" help:"A new display name."`
	PrimarySmtpAddress            string               `ps:"PrimarySmtpAddress,notempty" help:"A new primary address. The old one stays as a further address."`
	WindowsEmailAddress           string               `ps:"WindowsEmailAddress,notempty" help:"The same as PrimarySmtpAddress."`
	EmailAddresses                multiValued          `ps:"EmailAddresses" help:"All addresses, SMTP: in capitals before the primary one; or @{Add=\"smtp:a@contoso.com\"; Remove=\"smtp:b@contoso.com\"}."`
	EmailAddressPolicyEnabled     refused              `ps:"EmailAddressPolicyEnabled" help:"Only False is possible: there are no address policies, and addresses can always be set."`
	UserPrincipalName             string               `ps:"UserPrincipalName,alias=MicrosoftOnlineServicesID,notempty" help:"A new user principal name."`
	SamAccountName                string               `ps:"SamAccountName,notempty" help:"A new name of old."`
	Password                      *object.SecureString `ps:"Password" help:"A new password of the mailbox's account."`
	AccountDisabled               bool                 `ps:"AccountDisabled" help:"Whether the mailbox's account is kept from signing in."`
	HiddenFromAddressListsEnabled bool                 `ps:"HiddenFromAddressListsEnabled" help:"Whether address lists leave the mailbox out. Its free/busy can be asked for all the same."`
	Type                          mailboxSubType       `ps:"Type" help:"Make it another kind of mailbox: Regular, Room, Equipment or Shared."`
	ResourceCapacity              int                  `ps:"ResourceCapacity,allownull" help:"How many people a room or resource has place for; $null: not known."`
	ForwardingAddress             absent               `ps:"ForwardingAddress" help:"Refused: no mail is moved here."`
	ForwardingSMTPAddress         absent               `ps:"ForwardingSmtpAddress" help:"Refused: no mail is moved here."`
	DeliverToMailboxAndForward    refused              `ps:"DeliverToMailboxAndForward" help:"Refused: no mail is moved here."`
	GrantSendOnBehalfTo           absent               `ps:"GrantSendOnBehalfTo" help:"Refused: no mail is sent here."`
	SharingPolicy                 absent               `ps:"SharingPolicy" help:"Refused: there are no sharing policies."`
	ResourceCustom                ignored              `ps:"ResourceCustom" help:"Has no effect: it is not kept."`
	CustomAttribute1              ignored              `ps:"CustomAttribute1" help:"Has no effect: it is not kept."`
	Languages                     ignored              `ps:"Languages" help:"Has no effect: it is not kept."`
	controller
}

// mailboxSubType is the type of -Type.
type mailboxSubType string

var tMailboxSubType = enumeration("Microsoft.Exchange.Data.Directory.Recipient.ConvertibleMailboxSubType", false, "Regular", "Room", "Equipment", "Shared")

// PSType is the enumeration.
func (mailboxSubType) PSType() *object.Type { return tMailboxSubType }

// subTypes are the kinds of mailbox by their name in -Type.
var subTypes = map[mailboxSubType]string{
	"Regular": directory.UserMailbox, "Room": directory.RoomMailbox, "Equipment": directory.EquipmentMailbox, "Shared": directory.SharedMailbox,
}

// Run changes the mailbox.
func (p *setMailbox) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	r, look, err := k.recipient(p.Identity, mailboxNoun.types)
	if r == nil {
		return err
	}
	name := recipientView{look, r}.identityText()
	if ok, err := k.should("Setting mailbox \"%s\".", name); !ok {
		return err
	}
	if err := k.ignoring("ResourceCustom", "CustomAttribute1", "Languages"); err != nil {
		return err
	}
	res, err := k.Admin.SetMailbox(ctx, k.actor, k.Org, r.ID, func(r *directory.Recipient) error {
		k.names(r, p.Name, p.DisplayName)
		assign(k, "Alias", &r.Alias, p.Alias)
		assign(k, "SamAccountName", &r.SamAccountName, p.SamAccountName)
		assign(k, "UserPrincipalName", &r.UPN, strings.ToLower(p.UserPrincipalName))
		assign(k, "HiddenFromAddressListsEnabled", &r.HiddenFromAddressLists, p.HiddenFromAddressListsEnabled)
		assign(k, "Type", &r.Type, subTypes[p.Type])
		assign(k, "ResourceCapacity", &r.ResourceCapacity, p.ResourceCapacity)
		return k.addresses(r, cmp.Or(p.PrimarySmtpAddress, p.WindowsEmailAddress), p.EmailAddresses)
	})
	if err == nil && p.Password != nil {
		res.Changed = true
		_, err = k.Admin.SetPassword(ctx, k.actor, k.Org, res.Object.UPN, p.Password.Reveal())
	}
	if err == nil && k.Bound("AccountDisabled") {
		var account admin.Result[*directory.Account]
		account, err = k.Admin.SetAccount(ctx, k.actor, k.Org, res.Object.UPN, func(a *directory.Account) error {
			a.Enabled = !p.AccountDisabled
			return nil
		})
		res.Changed = res.Changed || account.Changed
	}
	return changed(k, name, res, err)
}

// recipient is the one recipient of types that id names, with what shows it; nil
// when there is none, which has been reported.
func (k *call) recipient(id recipientID, types []string) (*directory.Recipient, *recipientLook, error) {
	r, err := k.Admin.FindRecipient(k.ctx, k.actor, k.Name(), k.Org, id.key(), types...)
	if err != nil {
		return nil, nil, k.WriteError(k.fail(err))
	}
	o, err := k.view()
	if err != nil {
		return nil, nil, err
	}
	return r, k.look(o), nil
}

// drop ends a cmdlet that takes a recipient away: the sentence has a place for it.
func (k *call) drop(id recipientID, types []string, sentence string,
	do func(context.Context, admin.Actor, directory.OrgID, string) (admin.Result[*directory.Recipient], error),
) error {
	r, look, err := k.recipient(id, types)
	if r == nil {
		return err
	}
	if ok, err := k.should(sentence, recipientView{look, r}.identityText()); !ok {
		return err
	}
	res, err := do(k.ctx, k.actor, k.Org, r.ID)
	return removed(k, res, err)
}

// names sets name and display name; the name stays when only the other changes.
func (k *call) names(r *directory.Recipient, name, display string) {
	r.Name = r.CommonName()
	assign(k, "Name", &r.Name, name)
	assign(k, "DisplayName", &r.DisplayName, display)
	if r.Name == r.DisplayName {
		r.Name = ""
	}
}

var errTwoPrimary = errors.New("EmailAddresses and a primary address can't be set at the same time: write SMTP: before the primary one of EmailAddresses")

// addresses sets the addresses of a recipient, as EmailAddresses or
// PrimarySmtpAddress of a Set- cmdlet say.
func (k *call) addresses(r *directory.Recipient, primary string, list multiValued) error {
	switch {
	case primary != "" && k.Bound("EmailAddresses"):
		return errTwoPrimary
	case primary != "":
		a, err := smtpaddr.Parse(primary)
		if err == nil {
			setPrimary(r, a)
		}
		return err
	case k.Bound("EmailAddresses"):
		return list.applyTo(r)
	}
	return nil
}

// setPrimary makes a the primary address; the old one stays as a further address.
func setPrimary(r *directory.Recipient, a smtpaddr.Address) {
	if a == r.Primary {
		return
	}
	r.Proxies = append(slices.DeleteFunc(slices.Clone(r.Proxies), func(p smtpaddr.Address) bool { return p == a }), r.Primary)
	r.Primary = a
}

// applyTo makes the list the addresses of r. SMTP: in capitals marks the primary
// one; without it, in a list that replaces all, the first is.
func (m *multiValued) applyTo(r *directory.Recipient) error {
	if !m.edits {
		r.Primary, r.Proxies = smtpaddr.Address{}, nil
		return addAddresses(r, m.set)
	}
	for _, s := range m.remove {
		a, _, err := proxyAddress(s)
		switch {
		case err != nil:
			return err
		case a == r.Primary:
			return fmt.Errorf("the primary address %s can't be removed: set another one first", a)
		}
		r.Proxies = slices.DeleteFunc(slices.Clone(r.Proxies), func(p smtpaddr.Address) bool { return p == a })
	}
	return addAddresses(r, m.add)
}

func addAddresses(r *directory.Recipient, list []string) error {
	marked := false
	for _, s := range list {
		a, primary, err := proxyAddress(s)
		switch {
		case err != nil:
			return err
		case primary && marked:
			return fmt.Errorf("%s: there is another primary address in the list", a)
		case r.Primary.IsZero():
			r.Primary, marked = a, primary
		case primary:
			setPrimary(r, a)
			marked = true
		case !r.HasAddress(a):
			r.Proxies = append(r.Proxies, a)
		}
	}
	return nil
}

// proxyAddress reads one element of EmailAddresses.
func proxyAddress(s string) (a smtpaddr.Address, primary bool, err error) {
	if kind, rest, ok := strings.Cut(s, ":"); ok {
		if !strings.EqualFold(kind, "smtp") {
			return a, false, fmt.Errorf("address \"%s\": only SMTP addresses are kept here", s)
		}
		primary, s = kind == "SMTP", rest
	}
	a, err = smtpaddr.Parse(s)
	return a, primary, err
}

type enableMailbox struct {
	x                  *exchange
	Identity           identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which account: its user name, as kim@contoso.com."`
	Alias              string   `ps:"Alias,notempty" help:"The alias; without it, what stands before the @ of the user name."`
	DisplayName        string   `ps:"DisplayName,notempty" help:"The display name; without it, what stands before the @ of the user name."`
	PrimarySmtpAddress string   `ps:"PrimarySmtpAddress,notempty" help:"The primary address; without it, the alias at the default accepted domain."`
	mailboxKind
	Database string  `ps:"Database" help:"Accepted. There are no databases to choose from."`
	Archive  refused `ps:"Archive" help:"Refused: there are no archives."`
	controller
}

// Run makes the mailbox.
func (p *enableMailbox) Run(ctx context.Context, c *interp.Call) error {
	k, _, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if ok, err := k.should("Enabling mailbox for user \"%s\".", p.Identity); !ok {
		return err
	}
	name, _, _ := strings.Cut(p.Identity.text, "@")
	res, err := k.Admin.EnableMailbox(ctx, k.actor, k.Org, p.Identity.text, admin.MailboxParams{
		Name: name, Alias: p.Alias, DisplayName: p.DisplayName, Primary: p.PrimarySmtpAddress, TimeZone: k.zone(), Type: p.kind(),
	})
	return created(k, res, err, func(o *directory.Organization, r **directory.Recipient) any { return mailboxNoun.show(k.look(o), *r) })
}

type disableMailbox struct {
	x               *exchange
	Identity        recipientID   `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which mailbox: name, alias, address, user principal name, GUID or distinguished name."`
	IgnoreLegalHold object.Switch `ps:"IgnoreLegalHold" help:"Accepted. Nothing is ever held."`
	Archive         refused       `ps:"Archive" help:"Refused: there are no archives."`
	controller
}

// Run removes the mailbox and keeps the account.
func (p *disableMailbox) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	return k.drop(p.Identity, mailboxNoun.types, "Disabling mailbox \"%s\" will remove the Exchange properties from the Active Directory user object and the mailbox from the database.", k.Admin.DisableMailbox)
}

type removeMailbox struct {
	x                    *exchange
	Identity             recipientID   `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which mailbox: name, alias, address, user principal name, GUID or distinguished name."`
	Permanent            *bool         `ps:"Permanent" help:"Only True is possible, and the default: the calendar is deleted with the mailbox."`
	Force                object.Switch `ps:"Force" help:"Accepted. -Confirm:$false is what leaves the question out."`
	Database             absent        `ps:"Database" help:"Refused: there are no databases with disconnected mailboxes."`
	StoreMailboxIdentity absent        `ps:"StoreMailboxIdentity" help:"Refused: there are no disconnected mailboxes."`
	controller
}

// Run removes the mailbox.
func (p *removeMailbox) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	if p.Permanent != nil && !*p.Permanent {
		return k.WriteError(k.invalid("Permanent", "The calendar of a mailbox can't be kept without the mailbox."))
	}
	return k.drop(p.Identity, mailboxNoun.types, "Removing mailbox Identity:\"%s\" will remove the Active Directory user object and the mailbox from the database.", k.Admin.RemoveMailbox)
}
