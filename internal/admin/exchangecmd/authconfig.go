package exchangecmd

import (
	"context"
	"fmt"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/trust"
)

// authConfig are the cmdlets of the organization's own signing certificates (4.9, 4.10).
func (x *exchange) authConfig() []entry {
	return []entry{
		{in: premises, Command: interp.Command{
			Name: "Get-AuthConfig", New: func() interp.Cmdlet { return &getAuthConfig{x: x} },
			Synopsis:    "Shows which certificates this organization signs its own tokens with.",
			Description: "The current certificate is the one that the other side must know. Its public part is in Cert:\\LocalMachine\\My.",
			Examples:    []string{`(Get-AuthConfig).CurrentCertificateThumbprint`},
			Links:       []string{"Set-AuthConfig", "New-ExchangeCertificate"},
		}},
		{in: premises, Command: interp.Command{
			Name: "Set-AuthConfig", New: func() interp.Cmdlet { return &setAuthConfig{x: x} }, ShouldProcess: true, DefaultSet: "AuthConfigSettings",
			Synopsis: "Changes the signing certificates, realm or service name of this organization.",
			Description: "To replace the certificate without a gap: make a new one (New-ExchangeCertificate), name it with NewCertificateThumbprint and a date " +
				"two days ahead or more, give its public part to the other side, and publish it with PublishCertificate. The certificate before stays known as previous.",
			Examples: []string{
				`Set-AuthConfig -NewCertificateThumbprint BC6BF924D6EF046E64F8D1987DC1D7D2F4C0042A -NewCertificateEffectiveDate 4/17/2027`,
				`Set-AuthConfig -PublishCertificate`, `Set-AuthConfig -ClearPreviousCertificate`,
			},
			Links: []string{"Get-AuthConfig", "New-ExchangeCertificate", "Test-AuthCertificatePublication"},
		}},
		{in: premises, Command: interp.Command{
			Name: "Test-AuthCertificatePublication", New: func() interp.Cmdlet { return &testPublication{x: x} },
			Synopsis: "Asks the authorization servers which certificates of this organization they know.",
			Description: "For the current and the next certificate it asks each enabled authorization server for a token, as free/busy questions do, and throws the token away. " +
				"Published is empty when the server could not be asked. Command is the line that makes a missing certificate known: run it in a session that is connected " +
				"to the directory (Connect-MsolService). The next certificate must be known there before it becomes current.",
			Examples: []string{`Test-AuthCertificatePublication`, `(Test-AuthCertificatePublication | Where-Object { $_.Published -eq $false }).Command`},
			Links:    []string{"Get-AuthConfig", "Set-AuthConfig", "Get-AuthServer"},
		}},
	}
}

const authConfigName = "Auth Configuration"

var authConfigKind = kind{category: "ms-Exch-Auth-Auth-Config", classes: []string{"top", "container", "msExchContainer", "msExchAuthAuthConfig"}, version: version2013}

type getAuthConfig struct {
	x *exchange
	controller
}

// Run shows the configuration.
func (p *getAuthConfig) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if err := k.warnKeys(o, ""); err != nil {
		return err
	}
	a, id := &o.AuthConfig, single(o, authConfigName)
	id.WhenCreated, id.WhenChanged = a.WhenCreated, a.WhenChanged
	b := k.bag(configurationTypes+"AuthConfig").
		add("CurrentCertificateThumbprint", a.CurrentCertificateThumbprint).add("PreviousCertificateThumbprint", a.PreviousCertificateThumbprint).
		add("NextCertificateThumbprint", a.NextCertificateThumbprint).add("NextCertificateEffectiveDate", nil)
	if t := a.NextCertificateEffectiveDate; t != nil {
		b.add("NextCertificateEffectiveDate", k.local(*t))
	}
	b.add("ServiceName", a.ServiceName).add("Realm", a.Realm)
	if k.later(o) {
		b.add("DeploymentId", "").add("IssuerIdentifier", "")
	}
	b.add("Name", id.Name).add("AdminDisplayName", "").add("ExchangeVersion", authConfigKind.version)
	return k.Emit(b.ids(o, authConfigKind, id, unchanged))
}

type setAuthConfig struct {
	x                                  *exchange
	CertificateThumbprint              thumbprint    `ps:"CertificateThumbprint,mandatory,set=CurrentCertificateParameter" help:"Sign with this certificate from now on; the one before becomes previous."`
	NewCertificateThumbprint           thumbprint    `ps:"NewCertificateThumbprint,mandatory,set=NewCertificateParameter" help:"The certificate to sign with from NewCertificateEffectiveDate on."`
	NewCertificateEffectiveDate        time.Time     `ps:"NewCertificateEffectiveDate,mandatory,set=NewCertificateParameter" help:"When it becomes current, in this session's time zone. Less than 48 hours ahead must be confirmed."`
	PublishCertificate                 object.Switch `ps:"PublishCertificate,set=PublishAuthCertificateParameter" help:"The next certificate becomes current now, the current one previous."`
	ClearPreviousCertificate           object.Switch `ps:"ClearPreviousCertificate,set=PublishAuthCertificateParameter" help:"Forget the previous certificate."`
	SkipImmediateCertificateDeployment object.Switch `ps:"SkipImmediateCertificateDeployment,set=CurrentCertificateParameter|NewCertificateParameter" help:"Has no effect: the nodes of a deployment share one store."`
	Server                             identity      `ps:"Server,set=CurrentCertificateParameter|NewCertificateParameter" help:"Has no effect: the nodes of a deployment share one store."`
	Realm                              string        `ps:"Realm,set=AuthConfigSettings" help:"This organization's own realm. Empty: the default accepted domain."`
	ServiceName                        string        `ps:"ServiceName,notempty,set=AuthConfigSettings" help:"The id that this organization calls its own. It is the same everywhere: do not change it."`
	Force                              object.Switch `ps:"Force,set=CurrentCertificateParameter|NewCertificateParameter|PublishAuthCertificateParameter" help:"Neither ask nor warn about an early date."`
	controller
}

const soon = 48 * time.Hour

// Run changes the configuration.
func (p *setAuthConfig) Run(ctx context.Context, c *interp.Call) error {
	k, _, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	change := admin.AuthConfigChange{
		CertificateThumbprint: p.CertificateThumbprint.text, NewCertificateThumbprint: p.NewCertificateThumbprint.text,
		PublishCertificate: bool(p.PublishCertificate), ClearPreviousCertificate: bool(p.ClearPreviousCertificate),
	}
	if k.Bound("Realm") {
		change.Realm = &p.Realm
	}
	if k.Bound("ServiceName") {
		change.ServiceName = &p.ServiceName
	}
	if k.Bound("NewCertificateEffectiveDate") {
		if change.NewCertificateEffectiveDate, err = k.instant(p.NewCertificateEffectiveDate); err != nil {
			return err
		}
	}
	if ok, err := k.should(`Setting auth configuration "%s".`, authConfigName); !ok {
		return err
	}
	if at := change.NewCertificateEffectiveDate; !at.IsZero() && at.Before(k.Now().Add(soon)) {
		question := fmt.Sprintf("The new certificate becomes current in less than %d hours; the other side may not know it by then. Continue?", int(soon.Hours()))
		if ok, err := k.sure(p.Force, question); !ok {
			return err
		}
	}
	res, err := k.Admin.SetAuthConfig(ctx, k.actor, k.Org, change)
	if p.Force {
		res.Warnings = nil
	}
	return changed(k, authConfigName, res, err)
}

// warnKeys warns of certificates of the organization that end soon: of all that it
// signs with, or of the one with the thumbprint.
func (k *call) warnKeys(o *directory.Organization, thumbprint string) error {
	for _, u := range trust.OrganizationKeys(o) {
		own := u.Use == trust.KeyCurrent || u.Use == trust.KeyNext
		if w := u.Warning(k.Now()); own && w != "" && (thumbprint == "" || thumbprint == u.Key) {
			if err := k.WriteWarning(sentences(w)); err != nil {
				return err
			}
		}
	}
	return nil
}

type testPublication struct {
	x *exchange
	controller
}

const publicationType = "Busybridge.AuthCertificatePublication"

// Run asks.
func (p *testPublication) Run(ctx context.Context, c *interp.Call) error {
	k, _, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	list, err := k.Admin.TestAuthCertificatePublication(ctx, k.actor, k.Org)
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	if len(list) == 0 {
		return k.WriteWarning("This organization has no certificate to sign with, or no authorization server that it asks for tokens: there is nothing to compare.")
	}
	for _, v := range list {
		o := object.New(publicationType, "System.Object").Add("AuthServer", v.AuthServer).Add("Certificate", publicationUses[v.Use]).Add("Thumbprint", v.Thumbprint)
		var published any
		if v.Asked {
			published = v.Known
		}
		detail := ""
		if v.Err != nil {
			detail = sentences(v.Err.Error())
		}
		if err := k.Emit(o.Add("Published", published).Add("Detail", detail).Add("Command", v.Command)); err != nil {
			return err
		}
	}
	return nil
}

var publicationUses = map[string]string{trust.KeyCurrent: "Current", trust.KeyNext: "Next"}
