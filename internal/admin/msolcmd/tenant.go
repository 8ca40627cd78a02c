package msolcmd

import (
	"context"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

const typeDomain = "Microsoft.Online.Administration.Domain"

// tenant are the cmdlets of the directory as a whole (14.7, 14.8).
func (o *online) tenant() []interp.Command {
	return []interp.Command{
		{
			Name: "Get-MsolDomain", New: func() interp.Cmdlet { return &getDomain{o: o} }, DefaultSet: "ListDomains",
			Synopsis:    "Shows the domains of the directory.",
			Description: "Modern equivalents: Get-AzureADDomain, Get-MgDomain.",
			Examples:    []string{`Get-MsolDomain`, `Get-MsolDomain -DomainName contoso.com`}, Links: []string{"Get-MsolCompanyInformation"},
		},
		{
			Name: "Get-MsolCompanyInformation", New: func() interp.Cmdlet { return &getCompany{o: o} },
			Synopsis:    "Shows the directory itself. ObjectId is the tenant id, the realm in every token.",
			Description: "Modern equivalents: Get-AzureADTenantDetail, Get-MgOrganization.",
			Examples:    []string{`(Get-MsolCompanyInformation).ObjectId`}, Links: []string{"Get-MsolDomain"},
		},
	}
}

type getDomain struct {
	o              *online
	DomainName     string `ps:"DomainName,mandatory,pipeline=name,set=GetDomain" help:"One domain."`
	Status         string `ps:"Status,set=ListDomains,values=Verified|Unverified|PendingDeletion" help:"Only domains in this state. All domains of a directory here are verified."`
	Authentication string `ps:"Authentication,set=ListDomains,values=Managed|Federated" help:"Only domains that sign in so. All domains here are managed."`
	Capability     string `ps:"Capability,set=ListDomains,values=None|Email|Sharepoint|OfficeCommunicationsOnline|SharePointDefault|FullRedelegation|SharePointPublic|OrgIdAuthentication|Yammer|Intune" help:"Only domains with this use. The use of all domains here is Email."`
	tenantID
}

// Run shows domains.
func (p *getDomain) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, p.tenantID)
	if err != nil {
		return c.WriteError(err)
	}
	r, err := k.directory()
	if err != nil {
		return c.WriteError(err)
	}
	found := false
	is := func(want, value string) bool { return want == "" || strings.EqualFold(want, value) }
	for _, d := range r.Domains {
		if !is(p.DomainName, d.Name) || !is(p.Status, "Verified") || !is(p.Authentication, "Managed") || !is(p.Capability, "Email") {
			continue
		}
		found = true
		if err := c.Emit(object.New(typeDomain, "System.Object").Add("ExtensionData", extension()).Add("Authentication", "Managed").Add("Capabilities", "Email").
			Add("IsDefault", d.Default).Add("IsInitial", d.Initial).Add("Name", d.Name).Add("RootDomain", parent(r, d.Name)).Add("Status", "Verified")); err != nil {
			return err
		}
	}
	if !found && p.DomainName != "" {
		return c.WriteError(record(c, "DomainNotFoundException", "The domain %s was not found in this directory.", p.DomainName))
	}
	return nil
}

// parent is the verified domain that the domain is below of, null when there is none.
func parent(r *directory.Realm, domain string) any {
	for _, d := range r.Domains {
		if strings.HasSuffix(domain, "."+d.Name) {
			return d.Name
		}
	}
	return nil
}

type getCompany struct {
	o *online
	tenantID
}

// Run shows the company. What this directory does not keep is empty.
func (p *getCompany) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, p.tenantID)
	if err != nil {
		return c.WriteError(err)
	}
	r, err := k.directory()
	if err != nil {
		return c.WriteError(err)
	}
	initial := ""
	for _, d := range r.Domains {
		if d.Initial {
			initial = d.Name
		}
	}
	none := &object.List{Kind: object.ListOf(object.TString)}
	o := object.New("Microsoft.Online.Administration.CompanyInformation", "System.Object").Add("ExtensionData", extension())
	for _, f := range []struct {
		name  string
		value any
	}{
		{"AuthorizedServiceInstances", none}, {"City", nil}, {"CompanyType", "CompanyTenant"}, {"Country", nil}, {"CountryLetterCode", nil}, {"DapEnabled", nil},
		{"DirectorySynchronizationEnabled", false}, {"DirSyncServiceAccount", nil}, {"DisplayName", r.Name}, {"InitialDomain", initial}, {"LastDirSyncTime", nil},
		{"LastPasswordSyncTime", nil}, {"PasswordSynchronizationEnabled", false}, {"MarketingNotificationEmails", none}, {"ObjectId", guid(r.ID)}, {"PostalCode", nil},
		{"PreferredLanguage", "en"}, {"State", nil}, {"Street", nil}, {"TechnicalNotificationEmails", none}, {"TelephoneNumber", nil},
		{"UsersPermissionToCreateGroupsEnabled", false}, {"UsersPermissionToCreateLOBAppsEnabled", false}, {"UsersPermissionToReadOtherUsersEnabled", false},
		{"UsersPermissionToUserConsentToAppEnabled", false},
	} {
		o.Add(f.name, f.value)
	}
	return c.Emit(o)
}
