package exchangecmd

import (
	"context"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
)

// appPasswords are the cmdlets of what programs sign in with. Exchange has none
// of them.
func (x *exchange) appPasswords() []entry {
	const about = "A program signs in with an app password instead of its owner's: it can be revoked alone, and it opens no administration. " +
		"It never waits because others guess passwords."
	const certificates = "A client with a certificate signs in without a password, where the server's configuration says tls.client_certificates. " +
		"Which authority issued the certificate does not matter: the account names it. It opens no administration."
	return []entry{
		{in: everywhere, Command: interp.Command{
			Name: "New-AppPassword", New: func() interp.Cmdlet { return &newAppPassword{x: x} }, ShouldProcess: true,
			Synopsis: "Makes an app password and shows it, this once.", Description: about,
			Examples: []string{`New-AppPassword -Name "Calendar on the phone"`, `New-AppPassword -User kim@contoso.com -Name Script | Select-Object -ExpandProperty Password`},
			Links:    []string{"Get-AppPassword", "Remove-AppPassword"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Get-AppPassword", New: func() interp.Cmdlet { return &getAppPassword{x: x} },
			Synopsis: "Shows the app passwords of an account, without the passwords.", Description: about,
			Examples: []string{`Get-AppPassword -User kim@contoso.com | Format-Table Name,LastUsed`},
			Links:    []string{"New-AppPassword", "Remove-AppPassword"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Remove-AppPassword", New: func() interp.Cmdlet { return &removeAppPassword{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis: "Revokes an app password, at once.", Description: about,
			Examples: []string{`Remove-AppPassword Script -User kim@contoso.com -Confirm:$false`},
			Links:    []string{"Get-AppPassword"},
		}},
		{in: premises, Command: interp.Command{
			Name: "Add-ClientCertificate", New: func() interp.Cmdlet { return &addClientCertificate{x: x} }, ShouldProcess: true,
			Synopsis: "Lets an account sign in with a certificate.", Description: certificates,
			Examples: []string{`Add-ClientCertificate -User kim@contoso.com -Fingerprint "9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08"`},
			Links:    []string{"Get-ClientCertificate", "Remove-ClientCertificate"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Get-ClientCertificate", New: func() interp.Cmdlet { return &getClientCertificate{x: x} },
			Synopsis: "Shows the certificates that an account can sign in with.", Description: certificates,
			Examples: []string{`Get-ClientCertificate -User kim@contoso.com`},
			Links:    []string{"Add-ClientCertificate", "Remove-ClientCertificate"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Remove-ClientCertificate", New: func() interp.Cmdlet { return &removeClientCertificate{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis: "Takes a certificate from an account, at once.", Description: certificates,
			Examples: []string{`Get-ClientCertificate -User kim@contoso.com | Remove-ClientCertificate -User kim@contoso.com`},
			Links:    []string{"Get-ClientCertificate"},
		}},
	}
}

// userName is the account that id names, or the one that runs the command when
// it is left out; "" when there is none, which has been reported. Somebody
// without a role knows only their own.
func (k *call) userName(id recipientID) (string, error) {
	switch {
	case !id.given() && k.actor.System:
		return "", k.WriteError(k.invalid("User", "Name the account: the operator has none of its own."))
	case !id.given() || strings.EqualFold(id.text, k.actor.Name):
		return k.actor.Name, nil
	}
	accounts, err := k.Admin.Accounts(k.ctx, k.actor, k.Name(), k.Org)
	if err != nil {
		return "", k.WriteError(k.fail(err))
	}
	a, err := k.account(accounts, id)
	if a == nil {
		return "", err
	}
	return a.UserName, nil
}

// beginFor is begin for a command about one account's means to sign in.
func (x *exchange) beginFor(ctx context.Context, c *interp.Call, id recipientID) (*call, *directory.Account, error) {
	k, err := x.begin(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	name, err := k.userName(id)
	if name == "" {
		return k, nil, err
	}
	a, err := k.Admin.SignInMeans(ctx, k.actor, k.Name(), k.Org, name)
	if err != nil {
		return k, nil, k.WriteError(k.fail(err))
	}
	return k, a, nil
}

func (k *call) appPassword(a *directory.Account, p *directory.AppPassword, password string) any {
	b := k.bag(configurationTypes+"AppPassword").add("Name", p.Name).add("User", a.UserName)
	if password != "" {
		b.add("Password", password)
	}
	return b.add("WhenCreated", k.local(p.WhenCreated)).add("LastUsed", k.local(p.LastUsed)).add("Guid", guid(p.ID)).add("Identity", p.Name).Object
}

type newAppPassword struct {
	x    *exchange
	Name string      `ps:"Name,mandatory,position=0,notempty" help:"What it is for: a name that no other app password of the account has."`
	User recipientID `ps:"User,allownull" help:"Whose: name of the account, or an identity of its mailbox. Your own when it is left out."`
	controller
}

// Run makes the app password.
func (p *newAppPassword) Run(ctx context.Context, c *interp.Call) error {
	k, a, err := p.x.beginFor(ctx, c, p.User)
	if a == nil {
		return err
	}
	if ok, err := k.should("Creating the app password \"%s\" of user \"%s\".", p.Name, a.UserName); !ok {
		return err
	}
	res, password, err := k.Admin.NewAppPassword(ctx, k.actor, k.Org, a.UserName, p.Name)
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	if err := k.WriteWarning("The password is shown only now. Give it to the program that it is for, and keep it nowhere else."); err != nil {
		return err
	}
	return k.Emit(k.appPassword(res.Object, &res.Object.AppPasswords[len(res.Object.AppPasswords)-1], password))
}

type getAppPassword struct {
	x        *exchange
	Identity string      `ps:"Identity,position=0,allownull,allowempty" help:"Name or GUID; all of the account when it is left out."`
	User     recipientID `ps:"User,allownull" help:"Whose: name of the account, or an identity of its mailbox. Your own when it is left out."`
	controller
}

// Run shows app passwords.
func (p *getAppPassword) Run(ctx context.Context, c *interp.Call) error {
	k, a, err := p.x.beginFor(ctx, c, p.User)
	if a == nil {
		return err
	}
	one := -1
	if p.Identity != "" {
		if one = a.AppPassword(p.Identity); one < 0 {
			return k.WriteError(k.notFound(p.Identity))
		}
	}
	for i := range a.AppPasswords {
		if one >= 0 && i != one {
			continue
		}
		if err := k.Emit(k.appPassword(a, &a.AppPasswords[i], "")); err != nil {
			return err
		}
	}
	return nil
}

type removeAppPassword struct {
	x        *exchange
	Identity string      `ps:"Identity,mandatory,position=0,pipeline=name,notempty" help:"Name or GUID."`
	User     recipientID `ps:"User,pipeline=name,allownull" help:"Whose: name of the account, or an identity of its mailbox. Your own when it is left out."`
	controller
}

// Run revokes the app password.
func (p *removeAppPassword) Run(ctx context.Context, c *interp.Call) error {
	k, a, err := p.x.beginFor(ctx, c, p.User)
	if a == nil {
		return err
	}
	i := a.AppPassword(p.Identity)
	if i < 0 {
		return k.WriteError(k.notFound(p.Identity))
	}
	if ok, err := k.should("Removing the app password \"%s\" of user \"%s\".", a.AppPasswords[i].Name, a.UserName); !ok {
		return err
	}
	res, err := k.Admin.RemoveAppPassword(ctx, k.actor, k.Org, a.UserName, a.AppPasswords[i].ID)
	return removed(k, res, err)
}

func (k *call) clientCertificate(a *directory.Account, fingerprint string) any {
	return k.bag(configurationTypes+"ClientCertificate").add("Fingerprint", fingerprint).add("User", a.UserName).add("Identity", fingerprint).Object
}

type addClientCertificate struct {
	x           *exchange
	Fingerprint string      `ps:"Fingerprint,mandatory,position=0,notempty" help:"The SHA-256 of the certificate in hex, as openssl x509 -noout -fingerprint -sha256 prints it."`
	User        recipientID `ps:"User,mandatory" help:"Whose: name of the account, or an identity of its mailbox."`
	controller
}

// Run names the certificate in the account.
func (p *addClientCertificate) Run(ctx context.Context, c *interp.Call) error {
	k, a, err := p.x.beginFor(ctx, c, p.User)
	if a == nil {
		return err
	}
	if ok, err := k.should("Letting user \"%s\" sign in with the certificate \"%s\".", a.UserName, p.Fingerprint); !ok {
		return err
	}
	res, err := k.Admin.AddClientCertificate(ctx, k.actor, k.Org, a.UserName, p.Fingerprint)
	if err != nil || !res.Changed {
		return changed(k, a.UserName, res, err)
	}
	return k.Emit(k.clientCertificate(res.Object, res.Object.Certificates[len(res.Object.Certificates)-1]))
}

type getClientCertificate struct {
	x    *exchange
	User recipientID `ps:"User,position=0,allownull" help:"Whose: name of the account, or an identity of its mailbox. Your own when it is left out."`
	controller
}

// Run shows certificates.
func (p *getClientCertificate) Run(ctx context.Context, c *interp.Call) error {
	k, a, err := p.x.beginFor(ctx, c, p.User)
	if a == nil {
		return err
	}
	for _, f := range a.Certificates {
		if err := k.Emit(k.clientCertificate(a, f)); err != nil {
			return err
		}
	}
	return nil
}

type removeClientCertificate struct {
	x           *exchange
	Fingerprint string      `ps:"Fingerprint,mandatory,position=0,pipeline=name,notempty" help:"Which certificate, as Get-ClientCertificate shows it."`
	User        recipientID `ps:"User,pipeline=name,allownull" help:"Whose: name of the account, or an identity of its mailbox. Your own when it is left out."`
	controller
}

// Run takes the certificate away.
func (p *removeClientCertificate) Run(ctx context.Context, c *interp.Call) error {
	k, a, err := p.x.beginFor(ctx, c, p.User)
	if a == nil {
		return err
	}
	if ok, err := k.should("Removing the certificate \"%s\" of user \"%s\".", p.Fingerprint, a.UserName); !ok {
		return err
	}
	res, err := k.Admin.RemoveClientCertificate(ctx, k.actor, k.Org, a.UserName, p.Fingerprint)
	return removed(k, res, err)
}
