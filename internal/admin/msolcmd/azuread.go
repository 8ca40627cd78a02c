package msolcmd

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// ModuleAzureAD is the module of the cmdlets for what MSOnline has none: the roles of
// applications and the consent to them.
const ModuleAzureAD = "AzureAD"

const (
	model          = "Microsoft.Open.AzureAD.Model."
	typeAzurePrinc = model + "ServicePrincipal"
	typeAssignment = model + "AppRoleAssignment"
	typeRole       = model + "AppRole"
	typeContext    = "Microsoft.Open.Azure.AD.CommonLibrary.PSAzureContext"
)

// azureAD are the cmdlets of the module.
func (o *online) azureAD() []interp.Command {
	return []interp.Command{
		{
			Name: "Connect-AzureAD", New: func() interp.Cmdlet { return &connectAzure{o: o} },
			Synopsis: "Signs in to the directory of a tenant.",
			Description: "Connect-MsolService does the same: either of them serves the cmdlets of both modules. " +
				"Modern equivalent: Connect-MgGraph -Scopes Application.ReadWrite.All, AppRoleAssignment.ReadWrite.All.",
			Examples: []string{`Connect-AzureAD -Credential (Get-Credential admin@contoso.partner.onmschina.cn)`}, Links: []string{"Connect-MsolService", "New-AzureADServiceAppRoleAssignment"},
		},
		{
			Name: "Get-AzureADServicePrincipal", New: func() interp.Cmdlet { return &getAzurePrincipal{o: o} }, DefaultSet: "GetQuery",
			Synopsis:    "Shows service principals of the directory, with the roles that they offer.",
			Description: "Modern equivalent: Get-MgServicePrincipal.",
			Examples:    []string{`(Get-AzureADServicePrincipal -Filter "AppId eq '00000002-0000-0ff1-ce00-000000000000'").AppRoles`},
			Links:       []string{"Get-MsolServicePrincipal", "New-AzureADServiceAppRoleAssignment"},
		},
		{
			Name: "Set-AzureADServicePrincipal", New: func() interp.Cmdlet { return &setAzurePrincipal{o: o} },
			Synopsis: "Changes a service principal, and the roles that it offers to others.",
			Description: "In Entra the roles and the version of tokens belong to the application's registration; here the service principal has them. " +
				"A role is a table with Id, Value, DisplayName and IsEnabled; the list replaces all. Modern equivalents: Update-MgServicePrincipal, Update-MgApplication.",
			Examples: []string{`Set-AzureADServicePrincipal -ObjectId $p.ObjectId -AppRoles @{Id = [guid]::NewGuid(); Value = 'Rooms.Read'; DisplayName = 'Read rooms'; IsEnabled = $true}`},
			Links:    []string{"Get-AzureADServicePrincipal"},
		},
		{
			Name: "New-AzureADServiceAppRoleAssignment", New: func() interp.Cmdlet { return &newAssignment{o: o} },
			Synopsis: "Gives an application a role of another one: the administrator's consent.",
			Description: "The application's tokens for the other one name the role from then on. The role full_access_as_app of Exchange, dc890d15-9560-4a4c-9b7f-a736ec74ec40, " +
				"lets an organization's own application ask for free/busy. Modern equivalent: New-MgServicePrincipalAppRoleAssignment.",
			Examples: []string{"$app = Get-AzureADServicePrincipal -SearchString 'ExchangeServerApp'\n$exchange = Get-AzureADServicePrincipal -Filter \"AppId eq '00000002-0000-0ff1-ce00-000000000000'\"\n" +
				"New-AzureADServiceAppRoleAssignment -ObjectId $app.ObjectId -PrincipalId $app.ObjectId -ResourceId $exchange.ObjectId -Id dc890d15-9560-4a4c-9b7f-a736ec74ec40"},
			Links: []string{"Get-AzureADServiceAppRoleAssignedTo", "Remove-AzureADServiceAppRoleAssignment"},
		},
		{
			Name: "Get-AzureADServiceAppRoleAssignment", New: func() interp.Cmdlet { return &getAssignment{o: o} },
			Synopsis:    "Shows who has roles of an application.",
			Description: "Modern equivalent: Get-MgServicePrincipalAppRoleAssignedTo.",
			Examples:    []string{`Get-AzureADServiceAppRoleAssignment -ObjectId $exchange.ObjectId`}, Links: []string{"Get-AzureADServiceAppRoleAssignedTo"},
		},
		{
			Name: "Get-AzureADServiceAppRoleAssignedTo", New: func() interp.Cmdlet { return &getAssignment{o: o, given: true} },
			Synopsis:    "Shows the roles that an application was given.",
			Description: "Modern equivalent: Get-MgServicePrincipalAppRoleAssignment.",
			Examples:    []string{`Get-AzureADServiceAppRoleAssignedTo -ObjectId $app.ObjectId`}, Links: []string{"Get-AzureADServiceAppRoleAssignment"},
		},
		{
			Name: "Remove-AzureADServiceAppRoleAssignment", New: func() interp.Cmdlet { return &removeAssignment{o: o} },
			Synopsis:    "Takes a role away from an application.",
			Description: "Tokens that were issued before keep the role until they expire. Modern equivalent: Remove-MgServicePrincipalAppRoleAssignment.",
			Examples:    []string{`Remove-AzureADServiceAppRoleAssignment -ObjectId $app.ObjectId -AppRoleAssignmentId $a.ObjectId`}, Links: []string{"New-AzureADServiceAppRoleAssignment"},
		},
	}
}

type connectAzure struct {
	o                    *online
	Credential           *object.Credential `ps:"Credential" help:"Who signs in; asked for when it is left out."`
	TenantID             string             `ps:"TenantId,alias=Domain|TenantDomain" help:"The directory's GUID or a domain of it. The account must belong to it."`
	AzureEnvironmentName string             `ps:"AzureEnvironmentName,alias=EnvironmentName,values=AzureCloud|AzureChinaCloud|AzureUSGovernment|AzureGermanyCloud,default=AzureCloud" help:"Accepted for scripts that name one. There is one directory, that of this shell."`
}

// Run signs in, and shows as whom and where.
func (p *connectAzure) Run(ctx context.Context, c *interp.Call) error {
	if err := p.o.signIn(ctx, c, p.Credential); err != nil {
		return err
	}
	k, err := p.o.begin(ctx, c, tenantID{})
	if err != nil {
		return err
	}
	r, err := k.directory()
	if err != nil {
		return err
	}
	if want := strings.ToLower(p.TenantID); want != "" && want != r.ID && !slices.ContainsFunc(r.Domains, func(d directory.VerifiedDomain) bool { return d.Name == want }) {
		p.o.realm = ""
		return record(c, "0", "Authentication Error: the account %s does not belong to the directory %s.", k.actor.Name, p.TenantID)
	}
	domain := ""
	for _, d := range r.Domains {
		if d.Default {
			domain = d.Name
		}
	}
	return c.Emit(object.New(typeContext, "System.Object").Add("Account", k.actor.Name).Add("Environment", p.AzureEnvironmentName).
		Add("TenantId", guid(r.ID)).Add("TenantDomain", domain).Add("AccountType", "User"))
}

type getAzurePrincipal struct {
	o            *online
	ObjectID     string `ps:"ObjectId,mandatory,pipeline=name,set=GetById" help:"The object id."`
	Filter       string `ps:"Filter,set=GetQuery" help:"AppId eq '...', DisplayName eq '...' or ObjectId eq '...'."`
	SearchString string `ps:"SearchString,set=GetVague" help:"How the display name begins."`
	All          bool   `ps:"All" help:"Shows all. It is so in any case."`
	Top          int    `ps:"Top" help:"How many to show at most. The default is all."`
}

// filter is the part of OData that scripts use for one principal.
var filter = regexp.MustCompile(`(?i)^\s*(AppId|DisplayName|ObjectId)\s+eq\s+'((?:[^']|'')*)'\s*$`)

// Run shows principals.
func (p *getAzurePrincipal) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, tenantID{})
	if err != nil {
		return c.WriteError(err)
	}
	r, err := k.directory()
	if err != nil {
		return c.WriteError(err)
	}
	if p.ObjectID != "" {
		v := r.Principal(strings.ToLower(p.ObjectID))
		if v == nil {
			return c.WriteError(k.noPrincipal())
		}
		return c.Emit(showAzure(v))
	}
	want := func(v *directory.ServicePrincipal) bool {
		return len(v.DisplayName) >= len(p.SearchString) && strings.EqualFold(v.DisplayName[:len(p.SearchString)], p.SearchString)
	}
	if p.Filter != "" {
		m := filter.FindStringSubmatch(p.Filter)
		if m == nil {
			return c.WriteError(record(c, apiException, "Invalid filter clause. Use AppId, DisplayName or ObjectId with eq and a value in quotes, as AppId eq '00000002-0000-0ff1-ce00-000000000000'."))
		}
		property, value := strings.ToLower(m[1]), strings.ReplaceAll(m[2], "''", "'")
		want = func(v *directory.ServicePrincipal) bool {
			return strings.EqualFold(value, map[string]string{"appid": v.AppPrincipalID, "displayname": v.DisplayName, "objectid": v.ObjectID}[property])
		}
	}
	shown := 0
	for i := range r.Principals {
		if !want(&r.Principals[i]) {
			continue
		}
		if shown++; p.Top > 0 && shown > p.Top {
			return nil
		}
		if err := c.Emit(showAzure(&r.Principals[i])); err != nil {
			return err
		}
	}
	return nil
}

// showAzure is a principal in the module's order, of what is kept here.
func showAzure(p *directory.ServicePrincipal) *object.Object {
	roles := &object.List{Kind: object.ListOf(object.TObject)}
	for _, r := range p.Roles() {
		members := listOf([]string{"Application"})
		roles.Items = append(roles.Items, object.New(typeRole, "System.Object").Add("AllowedMemberTypes", members).Add("Description", r.DisplayName).
			Add("DisplayName", r.DisplayName).Add("Id", r.ID).Add("IsEnabled", r.Enabled).Add("Value", r.Value))
	}
	return object.New(typeAzurePrinc, "System.Object").Add("ObjectId", p.ObjectID).Add("ObjectType", "ServicePrincipal").Add("AccountEnabled", p.AccountEnabled).
		Add("AppDisplayName", p.DisplayName).Add("AppId", p.AppPrincipalID).Add("AppRoles", roles).Add("DisplayName", p.DisplayName).
		Add("ServicePrincipalNames", listOf(p.ServicePrincipalNames)).Add("ServicePrincipalType", "Application").Add("AccessTokenAcceptedVersion", int32(max(1, p.TokenVersion)))
}

type setAzurePrincipal struct {
	o                          *online
	ObjectID                   string   `ps:"ObjectId,mandatory,pipeline=name" help:"The object id of the principal to change."`
	AccountEnabled             bool     `ps:"AccountEnabled" help:"Whether tokens are issued to the application, and for it."`
	DisplayName                string   `ps:"DisplayName" help:"A new display name."`
	ServicePrincipalNames      []string `ps:"ServicePrincipalNames,allowempty" help:"All names. An empty list leaves the application id only."`
	AppRoles                   []any    `ps:"AppRoles,allowempty" help:"All roles that the application offers, beside those that Exchange has in every directory."`
	AccessTokenAcceptedVersion int      `ps:"AccessTokenAcceptedVersion" help:"The version of the tokens for this application, 1 or 2."`
}

// Run changes the principal.
func (p *setAzurePrincipal) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, tenantID{})
	if err != nil {
		return c.WriteError(err)
	}
	id, err := k.which(&identity{object: strings.ToLower(p.ObjectID)})
	if err != nil {
		return c.WriteError(err)
	}
	change := admin.ServicePrincipalChange{
		DisplayName: given(c, "DisplayName", &p.DisplayName), AccountEnabled: given(c, "AccountEnabled", &p.AccountEnabled),
		ServicePrincipalNames: given(c, "ServicePrincipalNames", &p.ServicePrincipalNames), TokenVersion: given(c, "AccessTokenAcceptedVersion", &p.AccessTokenAcceptedVersion),
	}
	if c.Bound("AppRoles") {
		roles := make([]directory.AppRole, len(p.AppRoles))
		for i, v := range p.AppRoles {
			if roles[i], err = role(c, v); err != nil {
				return c.WriteError(err)
			}
		}
		// What was shown may come back as it was.
		roles = slices.DeleteFunc(roles, func(r directory.AppRole) bool { return r == directory.RoleFullAccessAsApp })
		change.AppRoles = &roles
	}
	_, err = k.Admin.SetServicePrincipal(ctx, k.actor, k.realm, id, change)
	return c.WriteError(k.fail(err))
}

// role reads a table or an object with the properties of a role. A role that does
// not say that it is disabled is enabled.
func role(c *interp.Call, v any) (directory.AppRole, error) {
	text := func(name string) string {
		if value, ok := object.Get(v, name); ok && value != nil {
			return object.String(value)
		}
		return ""
	}
	r := directory.AppRole{ID: strings.ToLower(text("Id")), Value: text("Value"), Enabled: !strings.EqualFold(text("IsEnabled"), "False")}
	if r.DisplayName = cmp.Or(text("DisplayName"), r.Value); r.ID == "" || r.Value == "" {
		return r, record(c, apiException, "A role needs an Id and a Value: @{Id = [guid]::NewGuid(); Value = 'Rooms.Read'; DisplayName = 'Read rooms'; IsEnabled = $true}.")
	}
	return r, nil
}

type newAssignment struct {
	o           *online
	ObjectID    string    `ps:"ObjectId,mandatory,pipeline=name" help:"The object id of either of the two applications."`
	PrincipalID uuid.UUID `ps:"PrincipalId,mandatory,pipeline=name" help:"The object id of the application that gets the role."`
	ResourceID  uuid.UUID `ps:"ResourceId,mandatory,pipeline=name" help:"The object id of the application whose role it is."`
	ID          uuid.UUID `ps:"Id,mandatory,pipeline=name" help:"The id of the role, from the AppRoles of the resource."`
}

// Run gives the role.
func (p *newAssignment) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, tenantID{})
	if err != nil {
		return c.WriteError(err)
	}
	if id := strings.ToLower(p.ObjectID); id != p.PrincipalID.String() && id != p.ResourceID.String() {
		return c.WriteError(record(c, apiException, "The ObjectId %s is neither the PrincipalId nor the ResourceId.", p.ObjectID))
	}
	res, err := k.Admin.NewAppRoleAssignment(ctx, k.actor, k.realm, p.PrincipalID.String(), p.ResourceID.String(), p.ID.String())
	if err != nil {
		return c.WriteError(k.fail(err))
	}
	r, err := k.directory()
	if err != nil {
		return c.WriteError(err)
	}
	return c.Emit(showAssignment(r, r.Principal(p.PrincipalID.String()), res.Object))
}

// showAssignment is an assignment in the module's order.
func showAssignment(r *directory.Realm, p *directory.ServicePrincipal, a directory.AppRoleAssignment) *object.Object {
	name := ""
	if resource := r.Principal(a.ResourceID); resource != nil {
		name = resource.DisplayName
	}
	return object.New(typeAssignment, "System.Object").Add("DeletionTimestamp", nil).Add("ObjectId", a.ID).Add("ObjectType", "AppRoleAssignment").
		Add("CreationTimestamp", a.CreatedAt).Add("Id", a.RoleID).Add("PrincipalDisplayName", p.DisplayName).Add("PrincipalId", p.ObjectID).
		Add("PrincipalType", "ServicePrincipal").Add("ResourceDisplayName", name).Add("ResourceId", a.ResourceID)
}

type getAssignment struct {
	o        *online
	given    bool   // the roles that the application was given, instead of those of its own
	ObjectID string `ps:"ObjectId,mandatory,pipeline=name" help:"The object id of the application."`
	All      bool   `ps:"All" help:"Shows all. It is so in any case."`
	Top      int    `ps:"Top" help:"How many to show at most. The default is all."`
}

// Run shows assignments.
func (p *getAssignment) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, tenantID{})
	if err != nil {
		return c.WriteError(err)
	}
	r, err := k.directory()
	if err != nil {
		return c.WriteError(err)
	}
	of := r.Principal(strings.ToLower(p.ObjectID))
	if of == nil {
		return c.WriteError(k.noPrincipal())
	}
	shown := 0
	for i := range r.Principals {
		v := &r.Principals[i]
		for _, a := range v.AppRoleAssignments {
			if p.given && v != of || !p.given && a.ResourceID != of.ObjectID {
				continue
			}
			if shown++; p.Top > 0 && shown > p.Top {
				return nil
			}
			if err := c.Emit(showAssignment(r, v, a)); err != nil {
				return err
			}
		}
	}
	return nil
}

type removeAssignment struct {
	o                   *online
	ObjectID            string `ps:"ObjectId,mandatory,pipeline=name" help:"The object id of either of the two applications."`
	AppRoleAssignmentID string `ps:"AppRoleAssignmentId,mandatory" help:"The object id of the assignment."`
}

// Run takes the role away.
func (p *removeAssignment) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, tenantID{})
	if err != nil {
		return c.WriteError(err)
	}
	r, err := k.directory()
	if err != nil {
		return c.WriteError(err)
	}
	// Who has it may be named by the one whose role it is.
	id := strings.ToLower(p.ObjectID)
	for i := range r.Principals {
		for _, a := range r.Principals[i].AppRoleAssignments {
			if strings.EqualFold(a.ID, p.AppRoleAssignmentID) && a.ResourceID == id {
				id = r.Principals[i].ObjectID
			}
		}
	}
	_, err = k.Admin.RemoveAppRoleAssignment(ctx, k.actor, k.realm, id, p.AppRoleAssignmentID)
	return c.WriteError(k.fail(err))
}
