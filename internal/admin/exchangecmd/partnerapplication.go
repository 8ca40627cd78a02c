package exchangecmd

import (
	"context"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// partnerApplications are the cmdlets of partner applications (4.5 to 4.8).
func (x *exchange) partnerApplications() []entry {
	return []entry{
		{in: everywhere, Command: interp.Command{
			Name: "New-PartnerApplication", New: func() interp.Cmdlet { return &newPartnerApplication{x: x} }, ShouldProcess: true, DefaultSet: "ACSTrustApplication",
			Synopsis: "Makes this organization accept the tokens of an application.",
			Description: "With ApplicationIdentifier an authorization server (New-AuthServer) vouches for the application. " +
				"With AuthMetadataUrl the application issues its tokens itself: its identifier, realm and certificates are fetched from the document now, and pinned. " +
				"Another organization is such an application, too: then no authorization server is needed. Compare the fingerprint of its keys with the partner, by telephone for one.",
			Examples: []string{
				`New-PartnerApplication -Name "Exchange Online 2" -ApplicationIdentifier 00000002-0000-0ff1-ce00-000000000000 -Realm cb52ada4-5045-4d00-a59a-c7896ef052a1`,
				`New-PartnerApplication -Name HRApp -AuthMetadataUrl https://hrapp.contoso.com/metadata/json/1`,
				`New-PartnerApplication -Name Fabrikam -AuthMetadataUrl https://mail.fabrikam.com/autodiscover/metadata/json/1 -ActAsPermissions Calendars.ReadBasic -Fingerprint "12345 67890 12345 67890 12345 67890"`,
			},
			Links: []string{"Get-PartnerApplication", "Set-PartnerApplication", "New-AuthServer"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Get-PartnerApplication", New: func() interp.Cmdlet { return &getPartnerApplication{x: x} },
			Synopsis:    "Shows the applications whose tokens this organization accepts.",
			Description: `A new organization has one, "Exchange Online". On premises it is disabled until Set-PartnerApplication enables it.`,
			Examples: []string{
				`Get-PartnerApplication | Format-List`,
				`Get-PartnerApplication | ?{$_.ApplicationIdentifier -eq "00000002-0000-0ff1-ce00-000000000000" -and $_.Realm -eq ""} | Set-PartnerApplication -Enabled $true`,
			},
			Links: []string{"Set-PartnerApplication"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Set-PartnerApplication", New: func() interp.Cmdlet { return &setPartnerApplication{x: x} }, ShouldProcess: true, DefaultSet: "ACSTrustApplication",
			Synopsis: "Changes a partner application, or reads its metadata again.",
			Description: "A new AuthMetadataUrl fetches the application's own document now and pins it. RefreshAuthMetadata reads it again: its keys are followed when one that is pinned is among them, as when a key is rolled over. " +
				"Otherwise they wait, shown as PendingFingerprint, and ApproveFingerprint pins them.",
			Examples: []string{`Set-PartnerApplication "Exchange Online" -Enabled $true`, `Set-PartnerApplication HRApp -RefreshAuthMetadata`},
			Links:    []string{"Get-PartnerApplication"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Remove-PartnerApplication", New: func() interp.Cmdlet { return &removePartnerApplication{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis:    "Removes a partner application: its tokens are refused from then on.",
			Description: "To try that first, set Enabled to False.",
			Examples:    []string{`Remove-PartnerApplication HRApp -Confirm:$false`},
			Links:       []string{"Get-PartnerApplication"},
		}},
	}
}

var partnerApplicationNoun = noun[directory.PartnerApplication]{
	kind: kind{
		container: "CN=Partner Applications,CN=Auth Configuration", category: "ms-Exch-Auth-Partner-Application",
		classes: []string{"top", "msExchAuthPartnerApplication"}, version: version2013,
	},
	list:   func(o *directory.Organization) []directory.PartnerApplication { return o.PartnerApplications },
	common: func(v *directory.PartnerApplication) *directory.Common { return &v.Common },
	also:   func(v *directory.PartnerApplication) []string { return []string{v.ApplicationIdentifier} },
}

func (k *call) partnerApplication(o *directory.Organization, v *directory.PartnerApplication) any {
	b := k.bag(configurationTypes+"PartnerApplication").
		add("Enabled", v.Enabled).add("ApplicationIdentifier", v.ApplicationIdentifier).add("CertificateStrings", v.CertificateStrings).
		add("AuthMetadataUrl", v.AuthMetadataURL).add("Realm", v.Realm).add("UseAuthServer", v.UseAuthServer).
		add("AcceptSecurityIdentifierInformation", v.AcceptSecurityIdentifierInformation).add("LinkedAccount", v.LinkedAccount)
	later := k.later(o)
	if later {
		b.add("DeploymentId", "")
	}
	b.add("IssuerIdentifier", v.IssuerIdentifier)
	if later {
		b.add("AccountType", "OrganizationalAccount")
	}
	if !v.UseAuthServer { // ours: keys that people compare
		b.add("PinnedFingerprint", directory.Fingerprint(v.CertificateStrings)).add("PendingFingerprint", directory.Fingerprint(v.PendingCertificateStrings))
	}
	return b.add("AppOnlyPermissions", listOrNull(v.AppOnlyPermissions)).add("ActAsPermissions", listOrNull(v.ActAsPermissions)).
		tail(o, partnerApplicationNoun.kind, &v.Common, unchanged)
}

// A partnerFields is what New- and Set-PartnerApplication have in common.
type partnerFields struct {
	AcceptSecurityIdentifierInformation bool        `ps:"AcceptSecurityIdentifierInformation" help:"Kept and shown. Callers are known by their addresses here, never by security identifiers."`
	AccountType                         accountType `ps:"AccountType" help:"OrganizationalAccount. ConsumerAccount is refused: an organization has no consumers."`
	ActAsPermissions                    []string    `ps:"ActAsPermissions,allownull,allowempty" help:"The permissions of tokens that speak for a user. Kept and shown; what a caller sees is decided by organization relationships and calendar permissions."`
	AppOnlyPermissions                  []string    `ps:"AppOnlyPermissions,allownull,allowempty" help:"The permissions of tokens that speak for no user. Kept and shown, as ActAsPermissions."`
	Enabled                             bool        `ps:"Enabled" help:"Whether its tokens are accepted. The default is True."`
	IssuerIdentifier                    string      `ps:"IssuerIdentifier" help:"The issuer of the application's own tokens; without it, the application itself."`
	LinkedAccount                       identity    `ps:"LinkedAccount,allownull,allowempty" help:"The linked user that stands for the application: its roles are what the application may do. See Get-User and New-ManagementRoleAssignment."`
}

func (p *partnerFields) check(k *call) error {
	if p.AccountType == "ConsumerAccount" {
		return k.invalid("AccountType", "An organization has no consumer accounts. Use OrganizationalAccount.")
	}
	return nil
}

func (p *partnerFields) apply(k *call, o *directory.Organization, v *directory.PartnerApplication) {
	assign(k, "AcceptSecurityIdentifierInformation", &v.AcceptSecurityIdentifierInformation, p.AcceptSecurityIdentifierInformation)
	assign(k, "ActAsPermissions", &v.ActAsPermissions, p.ActAsPermissions)
	assign(k, "AppOnlyPermissions", &v.AppOnlyPermissions, p.AppOnlyPermissions)
	assign(k, "Enabled", &v.Enabled, p.Enabled)
	assign(k, "IssuerIdentifier", &v.IssuerIdentifier, p.IssuerIdentifier)
	assign(k, "LinkedAccount", &v.LinkedAccount, p.LinkedAccount.text)
	if u := o.LinkedUser(v.LinkedAccount); u != nil {
		v.LinkedAccount = o.CanonicalName(u)
	}
}

// A partnerCertificate is anyCertificate with the parameter set of this noun.
type partnerCertificate struct {
	TrustAnySSLCertificate object.Switch `ps:"TrustAnySSLCertificate,set=AuthMetadataUrl" help:"Has no effect: the server's certificate is always verified. Add its authority to the trusted ones instead."`
}

func (p *partnerCertificate) warn(k *call) error { return (*anyCertificate)(p).warn(k) }

type newPartnerApplication struct {
	x                     *exchange
	Name                  string `ps:"Name,mandatory,position=0,notempty" help:"A name that no other partner application has, at most 64 characters."`
	ApplicationIdentifier string `ps:"ApplicationIdentifier,mandatory,set=ACSTrustApplication" help:"The id of an application that an authorization server vouches for."`
	Realm                 string `ps:"Realm,set=ACSTrustApplication" help:"Accept tokens of this realm only, beside those of accepted domains. Empty: any realm that the authorization server vouches for."`
	AuthMetadataURL       string `ps:"AuthMetadataUrl,mandatory,set=AuthMetadataUrl" help:"The https address of the metadata of an application that issues its own tokens."`
	Fingerprint           string `ps:"Fingerprint,notempty,set=AuthMetadataUrl" help:"The fingerprint of its keys, as the partner has told it: six groups of five digits. With other keys nothing is made. Without it, compare PinnedFingerprint afterwards."`
	partnerFields
	partnerCertificate
	controller
}

// Run makes the partner application.
func (p *newPartnerApplication) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if err := p.check(k); err != nil {
		return k.WriteError(err)
	}
	if ok, err := k.should(`Creating partner application "%s".`, p.Name); !ok {
		return err
	}
	if err := p.partnerCertificate.warn(k); err != nil {
		return err
	}
	v := directory.PartnerApplication{
		Common: directory.Common{Name: p.Name}, Enabled: true, ApplicationIdentifier: p.ApplicationIdentifier, Realm: p.Realm, AuthMetadataURL: p.AuthMetadataURL,
	}
	p.apply(k, o, &v)
	k.about = partnerApplicationNoun.dn(o, p.Name)
	res, err := k.Admin.PinPartnerApplication(ctx, k.actor, k.Org, v, p.Fingerprint)
	return created(k, res, err, k.partnerApplication)
}

type getPartnerApplication struct {
	x            *exchange
	Identity     identity `ps:"Identity,position=0,pipeline=value|name,allownull,allowempty,wildcard" help:"Name, application identifier, distinguished name or GUID; all when it is left out."`
	Organization identity `ps:"Organization,allownull" help:"Reserved; it is always this organization."`
	controller
}

// Run shows partner applications.
func (p *getPartnerApplication) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return partnerApplicationNoun.get(k, o, p.Identity, func(v *directory.PartnerApplication) any { return k.partnerApplication(o, v) })
}

type setPartnerApplication struct {
	x                     *exchange
	Identity              identity      `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which application: name, application identifier, distinguished name or GUID."`
	ApplicationIdentifier string        `ps:"ApplicationIdentifier,notempty,set=ACSTrustApplication" help:"A new application id."`
	Realm                 string        `ps:"Realm,set=ACSTrustApplication" help:"Accept tokens of this realm only; empty: any that the authorization server vouches for."`
	AuthMetadataURL       string        `ps:"AuthMetadataUrl,notempty,set=AuthMetadataUrl" help:"A new https address of the application's metadata; it is fetched now."`
	RefreshAuthMetadata   object.Switch `ps:"RefreshAuthMetadata,mandatory,set=RefreshAuthMetadata" help:"Fetch the application's document again. Its keys are followed when one that is pinned is among them; others wait as PendingFingerprint."`
	ApproveFingerprint    string        `ps:"ApproveFingerprint,mandatory,notempty,set=ApproveFingerprint" help:"Pin the keys that wait, which must have this fingerprint: the one that the partner has told, not the one that is shown here."`
	Name                  string        `ps:"Name,notempty" help:"A new name."`
	partnerFields
	partnerCertificate
	controller
}

// Run changes the partner application.
func (p *setPartnerApplication) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if err := p.check(k); err != nil {
		return k.WriteError(err)
	}
	return partnerApplicationNoun.set(k, o, p.Identity, `Setting partner application "%s".`, func(name string) (admin.Result[directory.PartnerApplication], error) {
		if err := p.partnerCertificate.warn(k); err != nil {
			return admin.Result[directory.PartnerApplication]{}, err
		}
		if p.ApproveFingerprint != "" {
			return k.Admin.ApprovePartnerKeys(ctx, k.actor, k.Org, name, p.ApproveFingerprint)
		}
		return k.Admin.SetPartnerApplication(ctx, k.actor, k.Org, name, bool(p.RefreshAuthMetadata), func(v *directory.PartnerApplication) error {
			assign(k, "ApplicationIdentifier", &v.ApplicationIdentifier, p.ApplicationIdentifier)
			assign(k, "Realm", &v.Realm, p.Realm)
			assign(k, "AuthMetadataUrl", &v.AuthMetadataURL, p.AuthMetadataURL)
			assign(k, "Name", &v.Name, p.Name)
			p.apply(k, o, v)
			return nil
		})
	})
}

type removePartnerApplication struct {
	x        *exchange
	Identity identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which application: name, application identifier, distinguished name or GUID."`
	controller
}

// Run removes the partner application.
func (p *removePartnerApplication) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return partnerApplicationNoun.remove(k, o, p.Identity, `Removing partner application "%s".`, k.Admin.RemovePartnerApplication)
}
