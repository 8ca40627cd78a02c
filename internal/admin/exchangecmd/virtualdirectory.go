package exchangecmd

import (
	"context"
	"net/url"

	"github.com/google/uuid"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// virtualDirectories are the cmdlets of the addresses that servers answer at (6.1
// to 6.5).
func (x *exchange) virtualDirectories() []entry {
	var list []entry
	for _, d := range []*virtualDirectory{&webServices, &autodiscover} {
		list = append(list,
			entry{in: premises, Command: interp.Command{
				Name: "Get-" + d.noun, New: func() interp.Cmdlet { return &getVirtualDirectory{x: x, d: d} }, DefaultSet: "Identity",
				Synopsis:    "Shows where the servers offer " + d.service + ", and how callers may sign in.",
				Description: "Every server has one. AdminDisplayVersion tells whether the server knows connectors and tokens: Version 15.0 (Build 847.32) and later do.",
				Examples:    []string{`Get-` + d.noun + ` | Format-List AdminDisplayVersion,ExternalUrl`},
				Links:       []string{"Set-" + d.noun, "Get-ExchangeServer"},
			}},
			entry{in: premises, Command: interp.Command{
				Name: "Set-" + d.noun, ShouldProcess: true,
				New: func() interp.Cmdlet {
					if d == &webServices {
						return &setWebServices{setVirtualDirectory: setVirtualDirectory{x: x, d: d}}
					}
					return &setAutodiscover{setVirtualDirectory: setVirtualDirectory{x: x, d: d}}
				},
				Synopsis:    "Changes where a server offers " + d.service + ", and how callers may sign in.",
				Description: "How callers sign in is one setting for both directories of a server: with a token (OAuth) or with a password (Basic). Other ways are not spoken here.",
				Examples:    []string{`Set-` + d.noun + ` "MAIL1\` + d.name + `" ` + d.example},
				Links:       []string{"Get-" + d.noun},
			}})
	}
	return list
}

// A virtualDirectory is one of the two kinds that every server has one of.
type virtualDirectory struct {
	kind
	noun, service, name, class, example string
}

// under is the container of the directories of one server.
func (d *virtualDirectory) under(s *directory.Server) kind {
	kd := d.kind
	kd.container = "CN=HTTP,CN=Protocols,CN=" + s.Name + "," + administrativeGroup
	return kd
}

// common is the directory as an object of its own: what changes on the server changes on it.
func (d *virtualDirectory) common(s *directory.Server) directory.Common {
	c := s.Common
	c.Name = d.name
	if id, err := uuid.Parse(s.GUID); err == nil {
		c.GUID = uuid.NewSHA1(id, []byte(d.name)).String()
	}
	return c
}

func (d *virtualDirectory) id(s *directory.Server) string { return s.Name + `\` + d.name }

func (d *virtualDirectory) matches(o *directory.Organization, s *directory.Server, id identity) bool {
	c := d.common(s)
	also := []string{d.id(s)}
	for _, h := range s.HostNames {
		also = append(also, h+`\`+d.name)
	}
	return id.matches(&c, d.under(s).dn(o, d.name), also...)
}

const site = " (Default Web Site)"

var (
	webServices = virtualDirectory{
		kind: kind{category: "ms-Exch-Web-Services-Virtual-Directory", classes: []string{"top", "msExchVirtualDirectory", "msExchWebServicesVirtualDirectory"}, version: versionVDir},
		noun: "WebServicesVirtualDirectory", service: "Exchange Web Services", name: "EWS" + site, class: "ADWebServicesVirtualDirectory",
		example: "-ExternalUrl https://mail.contoso.com/ews/exchange.asmx",
	}
	autodiscover = virtualDirectory{
		kind: kind{category: "ms-Exch-Auto-Discover-Virtual-Directory", classes: []string{"top", "msExchVirtualDirectory", "msExchAutodiscoverVirtualDirectory"}, version: versionVDir},
		noun: "AutodiscoverVirtualDirectory", service: "Autodiscover", name: "Autodiscover" + site, class: "ADAutodiscoverVirtualDirectory",
		example: "-BasicAuthentication $false",
	}
)

func (k *call) virtualDirectory(o *directory.Organization, d *virtualDirectory, s *directory.Server) any {
	ews, c := d == &webServices, d.common(s)
	b := k.bag(configurationTypes + d.class)
	if ews {
		b.add("CertificateAuthentication", nil).add("InternalNLBBypassUrl", nil).add("GzipLevel", "Off").add("MRSProxyEnabled", false)
	}
	var methods []string
	if s.BasicAuthentication {
		methods = append(methods, "Basic")
	}
	if s.OAuthAuthentication {
		methods = append(methods, "OAuth")
	}
	b.add("Name", d.name).add("InternalAuthenticationMethods", methods).add("ExternalAuthenticationMethods", methods).
		add("LiveIdNegotiateAuthentication", nil).add("WSSecurityAuthentication", false).add("LiveIdBasicAuthentication", false).
		add("BasicAuthentication", s.BasicAuthentication).add("DigestAuthentication", false).add("WindowsAuthentication", false).
		add("OAuthAuthentication", s.OAuthAuthentication).add("AdfsAuthentication", false).add("MetabasePath", nil).add("Path", nil).
		add("ExtendedProtectionTokenChecking", "None").add("ExtendedProtectionFlags", []string{}).add("ExtendedProtectionSPNList", []string{}).
		add("AdminDisplayVersion", displayVersion(s.AdminDisplayVersion)).add("Server", s.Name)
	if ews {
		b.add("InternalUrl", uri(s.InternalURL)).add("ExternalUrl", uri(s.ExternalURL))
	} else {
		b.add("InternalUrl", nil).add("ExternalUrl", nil)
	}
	kd := d.under(s)
	b.add("AdminDisplayName", "").add("ExchangeVersion", kd.version).add("DistinguishedName", kd.dn(o, d.name)).add("Identity", d.id(s))
	return b.ids(o, kd, &c, computed)
}

type getVirtualDirectory struct {
	x         *exchange
	d         *virtualDirectory
	Identity  identity      `ps:"Identity,position=0,pipeline=value|name,set=Identity,allownull,allowempty" help:"As \"MAIL1\\EWS (Default Web Site)\", a name with * at its end, a distinguished name or a GUID; all when it is left out."`
	Server    identity      `ps:"Server,mandatory,set=Server" help:"Only the directory of this server: name, host name, distinguished name or GUID."`
	ADOnly    object.Switch `ps:"ADPropertiesOnly" help:"Accepted. There is no other web server configuration to ask for."`
	Mailboxes object.Switch `ps:"ShowMailboxVirtualDirectories" help:"Accepted. There are no directories at the back."`
	controller
}

// Run shows directories.
func (p *getVirtualDirectory) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	show := func(s *directory.Server) any { return k.virtualDirectory(o, p.d, s) }
	if p.Server.given() {
		return serverNoun.get(k, o, p.Server, show)
	}
	return list(k, p.Identity, o.Servers, func(s *directory.Server) bool { return p.d.matches(o, s, p.Identity) }, show)
}

type setVirtualDirectory struct {
	x                               *exchange
	d                               *virtualDirectory
	Identity                        identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which directory, as \"MAIL1\\EWS (Default Web Site)\", a distinguished name or a GUID."`
	OAuthAuthentication             bool     `ps:"OAuthAuthentication" help:"Whether tokens are accepted, at both directories of the server."`
	BasicAuthentication             bool     `ps:"BasicAuthentication" help:"Whether passwords are accepted, at both directories of the server."`
	WSSecurityAuthentication        refused  `ps:"WSSecurityAuthentication" help:"Only False is possible: delegation tokens are not spoken here."`
	WindowsAuthentication           refused  `ps:"WindowsAuthentication" help:"Only False is possible: NTLM and Negotiate are not spoken here."`
	DigestAuthentication            refused  `ps:"DigestAuthentication" help:"Only False is possible: it is not spoken here."`
	ExtendedProtectionFlags         refused  `ps:"ExtendedProtectionFlags" help:"Only None is possible: it belongs to Windows authentication."`
	ExtendedProtectionSPNList       absent   `ps:"ExtendedProtectionSPNList" help:"Only $null is possible: it belongs to Windows authentication."`
	ExtendedProtectionTokenChecking refused  `ps:"ExtendedProtectionTokenChecking" help:"Only None is possible: it belongs to Windows authentication."`
	controller
}

// change changes the server that the directory belongs to.
func (p *setVirtualDirectory) change(ctx context.Context, c *interp.Call, fn func(*call, *directory.Server)) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	var found *directory.Server
	for i := range o.Servers {
		switch s := &o.Servers[i]; {
		case p.Identity.pattern() || !p.d.matches(o, s, p.Identity):
		case found != nil:
			return k.WriteError(k.fail(&admin.AmbiguousError{Identity: p.Identity.text}))
		default:
			found = s
		}
	}
	if found == nil {
		return k.WriteError(k.notFound(p.Identity.text))
	}
	name := p.d.id(found)
	if ok, err := k.should("Setting %s virtual directory \"%s\".", p.d.service, name); !ok {
		return err
	}
	if err := k.ignoring("GzipLevel"); err != nil {
		return err
	}
	res, err := k.Admin.SetServer(ctx, k.actor, k.Name(), k.Org, found.GUID, func(s *directory.Server) error {
		assign(k, "OAuthAuthentication", &s.OAuthAuthentication, p.OAuthAuthentication)
		assign(k, "BasicAuthentication", &s.BasicAuthentication, p.BasicAuthentication)
		fn(k, s)
		return nil
	})
	return changed(k, name, res, err)
}

type setWebServices struct {
	setVirtualDirectory
	ExternalURL               *url.URL      `ps:"ExternalUrl,allownull" help:"The https address that the server has outside; $null: it is not reached from outside."`
	InternalURL               *url.URL      `ps:"InternalUrl,allownull" help:"The https address that the server has inside."`
	CertificateAuthentication refused       `ps:"CertificateAuthentication" help:"Only False is possible: clients do not sign in with certificates here."`
	InternalNLBBypassURL      absent        `ps:"InternalNLBBypassUrl" help:"Only $null is possible: it belongs to Exchange 2010."`
	MRSProxyEnabled           refused       `ps:"MRSProxyEnabled" help:"Only False is possible: mailboxes are not moved here."`
	GzipLevel                 ignored       `ps:"GzipLevel" help:"Has no effect: answers are small, and are not compressed."`
	Force                     object.Switch `ps:"Force" help:"Accepted. Nothing is asked but by -Confirm."`
}

// Run changes the directory.
func (p *setWebServices) Run(ctx context.Context, c *interp.Call) error {
	return p.change(ctx, c, func(k *call, s *directory.Server) {
		assign(k, "ExternalUrl", &s.ExternalURL, address(p.ExternalURL))
		assign(k, "InternalUrl", &s.InternalURL, address(p.InternalURL))
	})
}

type setAutodiscover struct {
	setVirtualDirectory
	ExternalURL absent `ps:"ExternalUrl" help:"Only $null is possible: it belongs to Exchange 2010."`
	InternalURL absent `ps:"InternalUrl" help:"Only $null is possible: it belongs to Exchange 2010. The address inside is AutoDiscoverServiceInternalUri of Set-ClientAccessServer."`
}

// Run changes the directory.
func (p *setAutodiscover) Run(ctx context.Context, c *interp.Call) error {
	return p.change(ctx, c, func(*call, *directory.Server) {})
}
