package exchangecmd

import (
	"context"
	"strings"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
)

// organizationConfig is the cmdlets of the organization itself (11.1, 11.2).
func (x *exchange) organizationConfig() []entry {
	return []entry{
		{in: everywhere, Command: interp.Command{
			Name: "Get-OrganizationConfig", New: func() interp.Cmdlet { return &getOrganizationConfig{x: x} },
			Synopsis:    "Shows the organization.",
			Description: "Settings that Exchange has for mail and for clients are left out. Exchange Web Services are not restricted by any setting: those are empty.",
			Examples:    []string{`Get-OrganizationConfig | Format-List Name,Guid`},
			Links:       []string{"Set-OrganizationConfig", "Get-AcceptedDomain", "Get-AuthConfig"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Set-OrganizationConfig", New: func() interp.Cmdlet { return &setOrganizationConfig{x: x} }, ShouldProcess: true,
			Synopsis:    "Accepts the settings that hold anyway, and refuses others.",
			Description: "Which programs may use Exchange Web Services, and how they sign in, is no setting of the organization here.",
			Examples:    []string{`Set-OrganizationConfig -OAuth2ClientProfileEnabled:$false`},
			Links:       []string{"Get-OrganizationConfig", "Set-WebServicesVirtualDirectory"},
		}},
	}
}

var organizationKind = kind{
	category: "ms-Exch-Configuration-Unit-Container", classes: []string{"top", "container", "msExchOrganizationContainer"}, version: version2013,
}

type getOrganizationConfig struct {
	x *exchange
	controller
}

// Run shows the organization.
func (p *getOrganizationConfig) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	b := k.bag("Microsoft.Exchange.Data.Directory.Management.OrganizationConfig").
		add("OrganizationId", k.organizationID(o)).add("Name", o.Name).add("Identity", o.Name).add("Guid", guid(string(o.ID))).add("ObjectVersion", o.Version)
	for _, name := range []string{"EwsAllowEntourage", "EwsAllowList", "EwsAllowMacOutlook", "EwsAllowOutlook", "EwsApplicationAccessPolicy", "EwsBlockList", "EwsEnabled"} {
		b.add(name, nil)
	}
	return k.Emit(b.add("OAuth2ClientProfileEnabled", false).add("LegacyExchangeDN", "/o="+strings.ReplaceAll(o.Name, "/", "-")).add("DisplayName", o.Name).
		add("IsMixedMode", mixed(o)).add("AdminDisplayVersion", organizationKind.version).add("IsValid", true).add("ExchangeVersion", organizationKind.version).
		add("DistinguishedName", base(o)).add("ObjectCategory", o.DefaultDomain()+"/Configuration/Schema/"+organizationKind.category).add("ObjectClass", organizationKind.classes).
		add("Id", o.Name).add("OriginatingServer", k.Server).add("ObjectState", unchanged).Object)
}

// mixed reports whether servers of several versions are there.
func mixed(o *directory.Organization) bool {
	for i := range o.Servers {
		if v := o.Servers[i].AdminDisplayVersion; v.Major != o.Servers[0].AdminDisplayVersion.Major {
			return true
		}
	}
	return false
}

type setOrganizationConfig struct {
	x                          *exchange
	OAuth2ClientProfileEnabled refused `ps:"OAuth2ClientProfileEnabled" help:"Only False is possible: clients sign in with passwords, servers with tokens."`
	EwsEnabled                 absent  `ps:"EwsEnabled" help:"Only $null is possible: Exchange Web Services are what this program offers."`
	EwsApplicationAccessPolicy absent  `ps:"EwsApplicationAccessPolicy" help:"Only $null is possible: programs are not told apart by the names that they give themselves."`
	EwsAllowList               absent  `ps:"EwsAllowList" help:"Only $null is possible: programs are not told apart by the names that they give themselves."`
	EwsBlockList               absent  `ps:"EwsBlockList" help:"Only $null is possible: programs are not told apart by the names that they give themselves."`
	EwsAllowOutlook            absent  `ps:"EwsAllowOutlook" help:"Only $null is possible: programs are not told apart by the names that they give themselves."`
	EwsAllowMacOutlook         absent  `ps:"EwsAllowMacOutlook" help:"Only $null is possible: programs are not told apart by the names that they give themselves."`
	MailTipsAllTipsEnabled     refused `ps:"MailTipsAllTipsEnabled" help:"Only False is possible: there are no MailTips."`
	controller
}

// Run changes nothing: what could be refused was refused when the parameters were bound.
func (p *setOrganizationConfig) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if ok, err := k.should("Setting organization configuration \"%s\".", o.Name); !ok {
		return err
	}
	return changed(k, o.Name, admin.Result[directory.Organization]{}, nil)
}
