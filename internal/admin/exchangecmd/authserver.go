package exchangecmd

import (
	"context"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// authServers are the cmdlets of authorization servers (4.1 to 4.4).
func (x *exchange) authServers() []entry {
	return []entry{
		{in: premises, Command: interp.Command{
			Name: "New-AuthServer", New: func() interp.Cmdlet { return &newAuthServer{x: x} }, ShouldProcess: true, DefaultSet: "AuthMetadataUrl",
			Synopsis: "Makes this organization trust an authorization server.",
			Description: "With AuthMetadataUrl the document is fetched now, and issuer, realm, token endpoint and certificates are kept from it; " +
				"nothing is fetched when a token is used. Without, they are taken as given. Of the types, MicrosoftACS and AzureAD can be used here.",
			Examples: []string{
				`New-AuthServer -Name MicrosoftAzureACS -AuthMetadataUrl https://accounts.accesscontrol.chinacloudapi.cn/contoso.com/metadata/json/1`,
				`New-AuthServer -Name EvoSTS -Type AzureAD -AuthMetadataUrl https://login.partner.microsoftonline.cn/contoso.com/federationmetadata/2007-06/federationmetadata.xml`,
			},
			Links: []string{"Get-AuthServer", "Set-AuthServer", "Remove-AuthServer", "Test-OAuthConnectivity"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Get-AuthServer", New: func() interp.Cmdlet { return &getAuthServer{x: x} },
			Synopsis:    "Shows the authorization servers that this organization trusts.",
			Description: "In a hosted organization they belong to the operator of the service and can only be read.",
			Examples:    []string{`Get-AuthServer | Format-List`, `Get-AuthServer 00000001-0000-0000-c000-000000000000`},
			Links:       []string{"New-AuthServer", "Set-AuthServer"},
		}},
		{in: premises, Command: interp.Command{
			Name: "Set-AuthServer", New: func() interp.Cmdlet { return &setAuthServer{x: x} }, ShouldProcess: true, DefaultSet: "AuthMetadataUrl",
			Synopsis:    "Changes an authorization server, or reads its metadata again.",
			Description: "A new AuthMetadataUrl and RefreshAuthMetadata fetch the document now and replace issuer, realm, endpoints and certificates.",
			Examples:    []string{`Set-AuthServer MicrosoftAzureACS -Enabled $false`, `Set-AuthServer MicrosoftAzureACS -RefreshAuthMetadata`},
			Links:       []string{"Get-AuthServer"},
		}},
		{in: premises, Command: interp.Command{
			Name: "Remove-AuthServer", New: func() interp.Cmdlet { return &removeAuthServer{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis:    "Removes an authorization server.",
			Description: "Its tokens are refused from then on, and none are asked of it. To try that first, set Enabled to False.",
			Examples:    []string{`Remove-AuthServer MicrosoftAzureACS -Confirm:$false`},
			Links:       []string{"Get-AuthServer", "Set-AuthServer"},
		}},
	}
}

var authServerNoun = noun[directory.AuthServer]{
	kind: kind{
		container: "CN=Auth Servers,CN=Auth Configuration", category: "ms-Exch-Auth-Auth-Server",
		classes: []string{"top", "msExchAuthAuthServer"}, version: version2013,
	},
	list:   func(o *directory.Organization) []directory.AuthServer { return o.AuthServers },
	common: func(v *directory.AuthServer) *directory.Common { return &v.Common },
	also:   func(v *directory.AuthServer) []string { return []string{v.IssuerIdentifier} },
}

func (k *call) authServer(o *directory.Organization, v *directory.AuthServer) any {
	b := k.bag(configurationTypes+"AuthServer").
		add("IssuerIdentifier", v.IssuerIdentifier).add("CertificateStrings", v.CertificateStrings).
		add("CurrentEncryptedAppSecret", nil).add("PreviousEncryptedAppSecret", nil).
		add("TokenIssuingEndpoint", v.TokenIssuingEndpoint).add("AuthorizationEndpoint", v.AuthorizationEndpoint).
		add("ApplicationIdentifier", v.ApplicationIdentifier).add("AuthMetadataUrl", v.AuthMetadataURL).
		add("Realm", v.Realm).add("Type", v.Type).add("Enabled", v.Enabled)
	if len(v.DomainName) > 0 { // later than 2013
		b.add("DomainName", domains(v.DomainName))
	}
	if v.GraphBaseURL != "" {
		b.add("GraphBaseUrl", v.GraphBaseURL)
	}
	return b.add("IsDefaultAuthorizationEndpoint", v.IsDefaultAuthorizationEndpoint).tail(o, authServerNoun.kind, &v.Common, unchanged)
}

// An anyCertificate is the parameter that asks for a fetch without a check of the
// server's certificate. The check is always made.
type anyCertificate struct {
	TrustAnySSLCertificate object.Switch `ps:"TrustAnySSLCertificate,set=AuthMetadataUrl|NativeClientAuthServer" help:"Has no effect: the server's certificate is always verified. Add its authority to the trusted ones instead."`
}

func (p *anyCertificate) warn(k *call) error {
	if !p.TrustAnySSLCertificate {
		return nil
	}
	return k.WriteWarning("TrustAnySSLCertificate has no effect: the certificate of the server is verified all the same.")
}

type newAuthServer struct {
	x                     *exchange
	Name                  string         `ps:"Name,mandatory,position=0,notempty" help:"A name that no other authorization server has, at most 64 characters."`
	AuthMetadataURL       string         `ps:"AuthMetadataUrl,mandatory,set=AuthMetadataUrl|NativeClientAuthServer" help:"The https address of the metadata: of ACS the JSON document, with the type AzureAD the federation metadata."`
	Type                  authServerType `ps:"Type,mandatory,set=NativeClientAuthServer|AppSecret" help:"MicrosoftACS (the default) or AzureAD; the others have no use here and are refused."`
	IssuerIdentifier      string         `ps:"IssuerIdentifier,mandatory,set=AppSecret" help:"Who issues the tokens: of ACS its application id, of AzureAD an https address. Without AuthMetadataUrl only."`
	TokenIssuingEndpoint  string         `ps:"TokenIssuingEndpoint,mandatory,set=AppSecret" help:"The https address that issues tokens."`
	AuthorizationEndpoint string         `ps:"AuthorizationEndpoint,set=AppSecret" help:"The https address where people sign in."`
	ApplicationIdentifier string         `ps:"ApplicationIdentifier,set=AppSecret" help:"The id of this organization's application there."`
	AppSecret             string         `ps:"AppSecret,set=AppSecret" help:"Refused: assertions are signed with the certificate of Get-AuthConfig, never with a shared secret."`
	DomainName            multiValued    `ps:"DomainName" help:"The domains of one cloud organization, where several are connected."`
	GraphBaseURL          string         `ps:"GraphBaseUrl,set=AuthMetadataUrl" help:"The https address of the cloud's Graph: with it, the domains of DomainName are asked about there."`
	Enabled               bool           `ps:"Enabled,default=True" help:"Whether its tokens are accepted and asked for."`
	anyCertificate
	controller
}

// Run makes the authorization server.
func (p *newAuthServer) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if p.AppSecret != "" {
		return k.WriteError(k.invalid("AppSecret", "Assertions are signed with the certificate of Get-AuthConfig, never with a shared secret."))
	}
	if ok, err := k.should(`Creating authorization server "%s".`, p.Name); !ok {
		return err
	}
	if err := p.anyCertificate.warn(k); err != nil {
		return err
	}
	k.about = authServerNoun.dn(o, p.Name)
	res, err := k.Admin.NewAuthServer(ctx, k.actor, k.Org, directory.AuthServer{
		Common: directory.Common{Name: p.Name}, Type: string(p.Type), AuthMetadataURL: p.AuthMetadataURL, IssuerIdentifier: p.IssuerIdentifier,
		TokenIssuingEndpoint: p.TokenIssuingEndpoint, AuthorizationEndpoint: p.AuthorizationEndpoint, ApplicationIdentifier: p.ApplicationIdentifier,
		DomainName: p.DomainName.apply(nil), GraphBaseURL: p.GraphBaseURL, Enabled: p.Enabled,
	})
	return created(k, res, err, k.authServer)
}

type getAuthServer struct {
	x        *exchange
	Identity identity `ps:"Identity,position=0,pipeline=value|name,allownull,allowempty,wildcard" help:"Name, issuer identifier, distinguished name or GUID; all when it is left out."`
	controller
}

// Run shows authorization servers.
func (p *getAuthServer) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return authServerNoun.get(k, o, p.Identity, func(v *directory.AuthServer) any { return k.authServer(o, v) })
}

type setAuthServer struct {
	x                              *exchange
	Identity                       identity      `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which authorization server: name, issuer identifier, distinguished name or GUID."`
	AuthMetadataURL                string        `ps:"AuthMetadataUrl,notempty,set=AuthMetadataUrl|NativeClientAuthServer" help:"A new https address of the metadata; it is fetched now."`
	RefreshAuthMetadata            object.Switch `ps:"RefreshAuthMetadata,mandatory,set=RefreshAuthMetadata" help:"Fetch the document again and replace issuer, realm, endpoints and certificates."`
	IsDefaultAuthorizationEndpoint bool          `ps:"IsDefaultAuthorizationEndpoint,set=NativeClientAuthServer" help:"Name this server in authorization_uri when a request without a token is refused. At most one server has it."`
	ApplicationIdentifier          string        `ps:"ApplicationIdentifier,mandatory,set=AppSecret" help:"The id of this organization's application there."`
	GraphBaseURL                   string        `ps:"GraphBaseUrl,allownull,allowempty,set=AuthMetadataUrl|AppSecret" help:"The https address of the cloud's Graph: with it, the domains of DomainName are asked about there. Empty: by Exchange Web Services."`
	Name                           string        `ps:"Name,notempty" help:"A new name."`
	DomainName                     multiValued   `ps:"DomainName" help:"The domains of one cloud organization: a list, or @{Add=...; Remove=...}."`
	Enabled                        bool          `ps:"Enabled" help:"Whether its tokens are accepted and asked for."`
	anyCertificate
	controller
}

// Run changes the authorization server.
func (p *setAuthServer) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return authServerNoun.set(k, o, p.Identity, `Setting authorization server "%s".`, func(name string) (admin.Result[directory.AuthServer], error) {
		if err := p.anyCertificate.warn(k); err != nil {
			return admin.Result[directory.AuthServer]{}, err
		}
		return k.Admin.SetAuthServer(ctx, k.actor, k.Org, name, bool(p.RefreshAuthMetadata), func(v *directory.AuthServer) error {
			assign(k, "AuthMetadataUrl", &v.AuthMetadataURL, p.AuthMetadataURL)
			assign(k, "IsDefaultAuthorizationEndpoint", &v.IsDefaultAuthorizationEndpoint, p.IsDefaultAuthorizationEndpoint)
			assign(k, "ApplicationIdentifier", &v.ApplicationIdentifier, p.ApplicationIdentifier)
			assign(k, "GraphBaseUrl", &v.GraphBaseURL, p.GraphBaseURL)
			assign(k, "Name", &v.Name, p.Name)
			assign(k, "DomainName", &v.DomainName, p.DomainName.apply(v.DomainName))
			assign(k, "Enabled", &v.Enabled, p.Enabled)
			return nil
		})
	})
}

type removeAuthServer struct {
	x        *exchange
	Identity identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which authorization server: name, issuer identifier, distinguished name or GUID."`
	controller
}

// Run removes the authorization server.
func (p *removeAuthServer) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return authServerNoun.remove(k, o, p.Identity, `Removing authorization server "%s".`, k.Admin.RemoveAuthServer)
}
