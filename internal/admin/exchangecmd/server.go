package exchangecmd

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// servers are the cmdlets of servers and of their virtual directories (6).
func (x *exchange) servers() []entry {
	list := []entry{{in: premises, Command: interp.Command{
		Name: "Get-ExchangeServer", New: func() interp.Cmdlet { return &getServer{x: x} }, DefaultSet: "Identity",
		Synopsis:    "Shows the servers of the organization.",
		Description: "AdminDisplayVersion decides how a server asks other organizations: before 15.0 (Build 847.32) it knows availability address spaces only.",
		Examples:    []string{`Get-ExchangeServer | Format-Table Name,Fqdn,AdminDisplayVersion`},
		Links:       []string{"Get-WebServicesVirtualDirectory", "Get-ClientAccessServer"},
	}}}
	// The second pair is the name since 2016 of the same thing.
	for _, n := range []string{"ClientAccessServer", "ClientAccessService"} {
		list = append(list,
			entry{in: premises, Command: interp.Command{
				Name: "Get-" + n, New: func() interp.Cmdlet { return &getClientAccess{x: x} },
				Synopsis:    "Shows what clients inside need to find the servers: the address of Autodiscover.",
				Description: "Exchange publishes the address in Active Directory. Here it is kept and shown for who sets up clients or a load balancer.",
				Examples:    []string{`Get-` + n + ` | Format-List Name,AutoDiscoverServiceInternalUri`},
				Links:       []string{"Set-" + n},
			}},
			entry{in: premises, Command: interp.Command{
				Name: "Set-" + n, New: func() interp.Cmdlet { return &setClientAccess{x: x} }, ShouldProcess: true, DefaultSet: "Identity",
				Synopsis:    "Changes the address of Autodiscover that clients inside are given.",
				Description: "The server answers under all of its host names, whatever the address says.",
				Examples:    []string{`Set-` + n + ` mail1 -AutoDiscoverServiceInternalUri https://autodiscover.contoso.com/autodiscover/autodiscover.xml`},
				Links:       []string{"Get-" + n},
			}})
	}
	return append(list, x.virtualDirectories()...)
}

// administrativeGroup is where servers stand.
const administrativeGroup = "CN=Servers,CN=Exchange Administrative Group (FYDIBOHF23SPDLT),CN=Administrative Groups"

var serverNoun = noun[directory.Server]{
	kind: kind{
		container: administrativeGroup, category: "ms-Exch-Exchange-Server",
		classes: []string{"top", "server", "msExchExchangeServer"}, version: versionServer,
	},
	list:   func(o *directory.Organization) []directory.Server { return o.Servers },
	common: func(s *directory.Server) *directory.Common { return &s.Common },
	also:   func(s *directory.Server) []string { return s.HostNames },
}

// A serverVersion is AdminDisplayVersion as a value of the language: it prints
// as text, compares by its numbers, and has them as members.
type serverVersion directory.Version

var tServerVersion = &object.Type{Name: "Microsoft.Exchange.Data.ServerVersion", Base: object.TObject}

// PSType is the class of versions.
func (serverVersion) PSType() *object.Type { return tServerVersion }

func (v serverVersion) String() string { return directory.Version(v).String() }

// CompareTo orders versions; text is read as one.
func (v serverVersion) CompareTo(other any) (int, bool) {
	o, ok := other.(serverVersion)
	if !ok {
		parsed, err := directory.ParseVersion(object.String(other))
		if err != nil {
			return 0, false
		}
		o = serverVersion(parsed)
	}
	return slices.Compare([]int{v.Major, v.Minor, v.Build, v.Revision}, []int{o.Major, o.Minor, o.Build, o.Revision}), true
}

func displayVersion(v directory.Version) any {
	o := object.Wrap(serverVersion(v))
	for _, p := range []struct {
		name  string
		value int
	}{{"Major", v.Major}, {"Minor", v.Minor}, {"Build", v.Build}, {"Revision", v.Revision}} {
		o.Add(p.name, int32(p.value))
	}
	return o
}

// fqdn is the name that a server is reached by.
func fqdn(s *directory.Server) string {
	if len(s.HostNames) > 0 {
		return s.HostNames[0]
	}
	return s.Name
}

// domainOf is the domain that a host is in.
func domainOf(host string) string {
	_, domain, _ := strings.Cut(host, ".")
	return domain
}

func (k *call) server(o *directory.Organization, s *directory.Server) any {
	v := s.AdminDisplayVersion
	role := "Mailbox, ClientAccess"
	if v.Major > 15 || v.Major == 15 && v.Minor > 0 {
		role = "Mailbox"
	}
	b := k.bag(recipientTypes+"ExchangeServer").
		add("Name", s.Name).add("DataPath", nil).add("Domain", domainOf(fqdn(s))).add("Edition", "Unknown").
		add("ExchangeLegacyDN", "/o="+strings.ReplaceAll(o.Name, "/", "-")+"/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Configuration/cn=Servers/cn="+strings.ReplaceAll(s.Name, "/", "-")).
		add("Fqdn", fqdn(s)).add("CustomerFeedbackEnabled", nil).add("InternetWebProxy", nil).
		add("IsHubTransportServer", false).add("IsClientAccessServer", true).add("IsExchange2007OrLater", v.Major >= 8).add("IsEdgeServer", false).add("IsMailboxServer", true).
		add("IsE14OrLater", v.Major >= 14).add("IsE15OrLater", v.Major >= 15).add("IsProvisionedServer", false).add("IsUnifiedMessagingServer", false).
		add("IsFrontendTransportServer", false).add("NetworkAddress", addresses(s)).add("OrganizationalUnit", o.DefaultDomain()+"/"+s.Name).
		add("AdminDisplayVersion", displayVersion(v)).add("Site", nil).add("ServerRole", role).add("IsExchangeTrialEdition", false).add("IsExpiredExchangeTrialEdition", false).
		add("Identity", s.Name).add("IsValid", true).add("ExchangeVersion", serverNoun.version).add("DistinguishedName", serverNoun.dn(o, s.Name)).add("Guid", guid(s.GUID)).
		add("ObjectCategory", o.DefaultDomain()+"/Configuration/Schema/"+serverNoun.category).add("ObjectClass", serverNoun.classes)
	return b.when(s.WhenChanged, s.WhenCreated).add("OrganizationId", k.organizationID(o)).add("Id", s.Name).add("OriginatingServer", k.Server).add("ObjectState", unchanged).Object
}

// addresses is NetworkAddress: the host names by TCP.
func addresses(s *directory.Server) []string {
	out := []string{"netbios:" + s.Name}
	for _, h := range s.HostNames {
		out = append(out, "ncacn_ip_tcp:"+h)
	}
	return out
}

type getServer struct {
	x        *exchange
	Identity identity      `ps:"Identity,position=0,pipeline=value|name,set=Identity,allownull,allowempty" help:"Name, host name, distinguished name or GUID; all when it is left out."`
	Domain   string        `ps:"Domain,mandatory,set=Domain,notempty" help:"Only servers whose host is in this domain."`
	Status   object.Switch `ps:"Status" help:"Accepted. There are no domain controllers to show."`
	controller
}

// Run shows servers.
func (p *getServer) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if p.Domain == "" {
		return serverNoun.get(k, o, p.Identity, func(s *directory.Server) any { return k.server(o, s) })
	}
	for i := range o.Servers {
		if s := &o.Servers[i]; strings.EqualFold(domainOf(fqdn(s)), p.Domain) {
			if err := k.Emit(k.server(o, s)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k *call) clientAccess(o *directory.Organization, s *directory.Server) any {
	return k.bag(recipientTypes+"ClientAccessServer").
		add("Name", s.Name).add("Fqdn", fqdn(s)).add("ClientAccessArray", nil).add("OutlookAnywhereEnabled", false).
		add("AutoDiscoverServiceCN", s.Name).add("AutoDiscoverServiceClassName", "ms-Exchange-AutoDiscover-Service").
		add("AutoDiscoverServiceInternalUri", uri(s.AutodiscoverInternalURI)).add("AutoDiscoverServiceGuid", guid("77378f46-2c66-4aa9-a6a6-3e7a48b19596")).
		add("AutoDiscoverSiteScope", slices.Clone(s.AutodiscoverSiteScope)).add("AlternateServiceAccountConfiguration", nil).
		tail(o, serverNoun.kind, &s.Common, unchanged)
}

type getClientAccess struct {
	x                *exchange
	Identity         identity      `ps:"Identity,position=0,pipeline=value|name,allownull,allowempty" help:"Name, host name, distinguished name or GUID; all when it is left out."`
	CredentialStatus object.Switch `ps:"IncludeAlternateServiceAccountCredentialStatus" help:"Accepted. There are no alternate service accounts."`
	CredentialSecret object.Switch `ps:"IncludeAlternateServiceAccountCredentialPassword" help:"Accepted. There are no alternate service accounts."`
	controller
}

// Run shows servers as clients see them.
func (p *getClientAccess) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	return serverNoun.get(k, o, p.Identity, func(s *directory.Server) any { return k.clientAccess(o, s) })
}

type setClientAccess struct {
	x                              *exchange
	Identity                       identity    `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which server: name, host name, distinguished name or GUID."`
	AutoDiscoverServiceInternalURI *url.URL    `ps:"AutoDiscoverServiceInternalUri,set=Identity,allownull" help:"The https address of Autodiscover inside; $null clears it."`
	AutoDiscoverSiteScope          multiValued `ps:"AutoDiscoverSiteScope,set=Identity,allownull,allowempty" help:"The sites that the server answers for. They are kept and shown; nothing here depends on them."`
	Array                          ignored     `ps:"Array,set=Identity" help:"Has no effect: it is reserved in Exchange, too."`
	AlternateServiceAccount        refused     `ps:"AlternateServiceAccountCredential,set=AlternateServiceAccount" help:"Refused: nobody signs in with Kerberos here."`
	RemoveAlternate                refused     `ps:"RemoveAlternateServiceAccountCredentials,set=AlternateServiceAccount" help:"Refused: there are no alternate service accounts."`
	CleanUpAlternate               refused     `ps:"CleanUpInvalidAlternateServiceAccountCredentials,set=AlternateServiceAccount" help:"Refused: there are no alternate service accounts."`
	controller
}

// Run changes the server.
func (p *setClientAccess) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	name, err := serverNoun.name(k, o, p.Identity)
	if name == "" {
		return err
	}
	if ok, err := k.should("Setting client access server \"%s\".", name); !ok {
		return err
	}
	if err := k.ignoring("Array"); err != nil {
		return err
	}
	res, err := k.Admin.SetServer(ctx, k.actor, k.Name(), k.Org, name, func(s *directory.Server) error {
		assign(k, "AutoDiscoverServiceInternalUri", &s.AutodiscoverInternalURI, address(p.AutoDiscoverServiceInternalURI))
		assign(k, "AutoDiscoverSiteScope", &s.AutodiscoverSiteScope, p.AutoDiscoverSiteScope.apply(s.AutodiscoverSiteScope))
		return nil
	})
	return changed(k, name, res, err)
}
