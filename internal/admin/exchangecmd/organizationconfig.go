package exchangecmd

import (
	"context"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// organizationConfig is the cmdlets of the organization itself (11.1, 11.2).
func (x *exchange) organizationConfig() []entry {
	return []entry{
		{in: everywhere, Command: interp.Command{
			Name: "Get-OrganizationConfig", New: func() interp.Cmdlet { return &getOrganizationConfig{x: x} },
			Synopsis:    "Shows the organization.",
			Description: "Settings that Exchange has for mail and for clients are left out. Programs are not told apart by the names that they give themselves: the settings for those are empty.",
			Examples:    []string{`Get-OrganizationConfig | Format-List Name,Guid`},
			Links:       []string{"Set-OrganizationConfig", "Get-AcceptedDomain", "Get-AuthConfig"},
		}},
		{in: everywhere, Command: interp.Command{
			Name: "Set-OrganizationConfig", New: func() interp.Cmdlet { return &setOrganizationConfig{x: x} }, ShouldProcess: true,
			Synopsis: "Says who may use Exchange Web Services.",
			Description: "Free/busy is asked for by Exchange Web Services. The other settings are accepted where they hold anyway. A change counts from the next question on.\n\n" +
				"A server of a cloud may be closed to applications besides. One that is closed to all but those which the organization names needs EwsEnabled True and the application in EwsAllowedAppIDs.",
			Examples: []string{
				`Set-OrganizationConfig -EwsEnabled $true -EwsAllowedAppIDs @{Add="9f1e2d3c-4b5a-4697-8a7b-6c5d4e3f2a1b"}`,
				`Set-OrganizationConfig -OAuth2ClientProfileEnabled:$false`,
			},
			Links: []string{"Get-OrganizationConfig", "Set-WebServicesVirtualDirectory"},
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
	for _, name := range []string{"EwsAllowEntourage", "EwsAllowList", "EwsAllowMacOutlook", "EwsAllowOutlook"} {
		b.add(name, nil)
	}
	b.add("EwsAllowedAppIDs", o.AvailabilityConfig.EWS.AllowedAppIDs).add("EwsApplicationAccessPolicy", nil).add("EwsBlockList", nil)
	if e := o.AvailabilityConfig.EWS.Enabled; e != nil {
		b.add("EwsEnabled", *e)
	} else {
		b.add("EwsEnabled", nil)
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

// A perhaps is True, False or null, which is neither.
type perhaps struct{ value *bool }

// ParameterType is what help calls the type.
func (perhaps) ParameterType() string { return "Boolean" }

// BindPS implements interp.Binder.
func (p *perhaps) BindPS(v any) error {
	if *p = (perhaps{}); object.Base(v) == nil {
		return nil
	}
	b, err := object.ConvertArgument(v, object.TBool)
	if is, ok := b.(bool); ok {
		p.value = &is
	}
	return err
}

type setOrganizationConfig struct {
	x                          *exchange
	EwsEnabled                 perhaps     `ps:"EwsEnabled,allownull" help:"False: nobody may use Exchange Web Services, and nobody gets free/busy. $null, the default, and True: users may, and applications as EwsAllowedAppIDs and the server say."`
	EwsAllowedAppIDs           multiValued `ps:"EwsAllowedAppIDs,allownull,allowempty" help:"The ids of the applications that alone may use Exchange Web Services with a token, when EwsEnabled is True. Empty: all that the server is not closed to. Exchange Server has no such setting, the cloud has."`
	OAuth2ClientProfileEnabled refused     `ps:"OAuth2ClientProfileEnabled" help:"Only False is possible: clients sign in with passwords, servers with tokens."`
	EwsApplicationAccessPolicy absent      `ps:"EwsApplicationAccessPolicy" help:"Only $null is possible: programs are not told apart by the names that they give themselves."`
	EwsAllowList               absent      `ps:"EwsAllowList" help:"Only $null is possible: programs are not told apart by the names that they give themselves."`
	EwsBlockList               absent      `ps:"EwsBlockList" help:"Only $null is possible: programs are not told apart by the names that they give themselves."`
	EwsAllowOutlook            absent      `ps:"EwsAllowOutlook" help:"Only $null is possible: programs are not told apart by the names that they give themselves."`
	EwsAllowMacOutlook         absent      `ps:"EwsAllowMacOutlook" help:"Only $null is possible: programs are not told apart by the names that they give themselves."`
	MailTipsAllTipsEnabled     refused     `ps:"MailTipsAllTipsEnabled" help:"Only False is possible: there are no MailTips."`
	controller
}

// Run changes who may use Exchange Web Services. What else could be refused was
// refused when the parameters were bound.
func (p *setOrganizationConfig) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if ok, err := k.should("Setting organization configuration \"%s\".", o.Name); !ok {
		return err
	}
	res, err := k.Admin.SetEWSAccess(ctx, k.actor, k.Org, func(a *directory.EWSAccess) {
		assign(k, "EwsEnabled", &a.Enabled, p.EwsEnabled.value)
		if k.Bound("EwsAllowedAppIDs") {
			a.AllowedAppIDs = p.EwsAllowedAppIDs.apply(a.AllowedAppIDs)
		}
	})
	return changed(k, o.Name, res, err)
}
