package msolcmd

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

const typePrincipal = "Microsoft.Online.Administration.ServicePrincipal"

// principals are the cmdlets of service principals (14.2 to 14.4).
func (o *online) principals() []interp.Command {
	return []interp.Command{
		{
			Name: "Get-MsolServicePrincipal", New: func() interp.Cmdlet { return &getPrincipal{o: o} }, DefaultSet: "ListServicePrincipals",
			Synopsis: "Shows service principals of the directory.",
			Description: "ServicePrincipalNames is a list that can be added to; the change reaches the directory with Set-MsolServicePrincipal. " +
				"Modern equivalents: Get-AzureADServicePrincipal, Get-MgServicePrincipal, both with -Filter \"AppId eq '..'\".",
			Examples: []string{`Get-MsolServicePrincipal -ServicePrincipalName 00000002-0000-0ff1-ce00-000000000000`, `Get-MsolServicePrincipal -SearchString Microsoft`},
			Links:    []string{"Set-MsolServicePrincipal", "New-MsolServicePrincipalCredential"},
		},
		{
			Name: "Set-MsolServicePrincipal", New: func() interp.Cmdlet { return &setPrincipal{o: o} },
			Synopsis: "Changes a service principal.",
			Description: "ServicePrincipalNames replaces the whole list; the application id always stays in it. A name is <application id>, <application id>/<host>, or https://<host>; " +
				"the host belongs to a verified domain of the directory, and *.contoso.com stands for all hosts below it. " +
				"Modern equivalents: Set-AzureADServicePrincipal -ObjectId -ServicePrincipalNames, Update-MgServicePrincipal -ServicePrincipalId -ServicePrincipalNames.",
			Examples: []string{"$p = Get-MsolServicePrincipal -ServicePrincipalName 00000002-0000-0ff1-ce00-000000000000\n" +
				"$p.ServicePrincipalNames.Add('00000002-0000-0ff1-ce00-000000000000/*.contoso.com')\nSet-MsolServicePrincipal -ObjectId $p.ObjectId -ServicePrincipalNames $p.ServicePrincipalNames"},
			Links: []string{"Get-MsolServicePrincipal"},
		},
		{
			Name: "New-MsolServicePrincipal", New: func() interp.Cmdlet { return &newPrincipal{o: o, AccountEnabled: true} },
			Synopsis: "Adds a service principal.",
			Description: "An application id is made when none is given. No symmetric key is invented: this directory trusts certificates only. " +
				"Modern equivalents: New-AzureADServicePrincipal, New-MgServicePrincipal.",
			Examples: []string{`New-MsolServicePrincipal -DisplayName "Calendar Gateway" -Type asymmetric -Value $credValue`},
			Links:    []string{"New-MsolServicePrincipalCredential", "Remove-MsolServicePrincipal"},
		},
		{
			Name: "Remove-MsolServicePrincipal", New: func() interp.Cmdlet { return &removePrincipal{o: o} },
			Synopsis:    "Removes a service principal with its names and keys.",
			Description: "Modern equivalents: Remove-AzureADServicePrincipal, Remove-MgServicePrincipal.",
			Examples:    []string{`Remove-MsolServicePrincipal -AppPrincipalId dd02c40f-1325-46c2-a118-4659db8a55d5`},
			Links:       []string{"Get-MsolServicePrincipal"},
		},
	}
}

// A listOf is a generic list of strings: scripts add to it.
func listOf(items []string) *object.List {
	l := &object.List{Kind: object.ListOf(object.TString), Items: make([]any, len(items))}
	for i, s := range items {
		l.Items[i] = s
	}
	return l
}

// addresses is the empty list of reply addresses: nobody signs in to applications here.
func addresses() *object.List {
	return &object.List{Kind: object.ListOf(&object.Type{Name: "Microsoft.Online.Administration.RedirectUri", Base: object.TObject})}
}

// show is a principal in the order of 14.2.
func show(p *directory.ServicePrincipal) *object.Object {
	return object.New(typePrincipal, "System.Object").Add("ExtensionData", extension()).Add("AccountEnabled", p.AccountEnabled).
		Add("Addresses", addresses()).Add("AppPrincipalId", guid(p.AppPrincipalID)).Add("DisplayName", p.DisplayName).Add("ObjectId", guid(p.ObjectID)).
		Add("ServicePrincipalNames", listOf(p.ServicePrincipalNames)).Add("TrustedForDelegation", p.TrustedForDelegation)
}

type getPrincipal struct {
	o                    *online
	ServicePrincipalName string        `ps:"ServicePrincipalName,mandatory,pipeline=name,set=GetServicePrincipalBySpn" help:"A name of the principal, or its application id."`
	AppPrincipalID       uuid.UUID     `ps:"AppPrincipalId,mandatory,pipeline=name,set=GetServicePrincipalByAppPrincipalId" help:"The application id."`
	ObjectID             uuid.UUID     `ps:"ObjectId,mandatory,pipeline=name,set=GetServicePrincipal" help:"The object id."`
	SearchString         string        `ps:"SearchString,pipeline=name,set=ListServicePrincipals" help:"How the display name begins."`
	MaxResults           int           `ps:"MaxResults,default=500,set=ListServicePrincipals" help:"How many to show at most."`
	All                  object.Switch `ps:"All,mandatory,set=All" help:"Shows all."`
	tenantID
}

// Run shows principals.
func (p *getPrincipal) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, p.tenantID)
	if err != nil {
		return c.WriteError(err)
	}
	r, err := k.directory()
	if err != nil {
		return c.WriteError(err)
	}
	if id := identify(c, p.ObjectID, p.AppPrincipalID, p.ServicePrincipalName); id != nil {
		found := id.find(r)
		if found == nil {
			return c.WriteError(k.noPrincipal())
		}
		return c.Emit(show(found))
	}
	left := p.MaxResults
	for i := range r.Principals {
		if v := &r.Principals[i]; p.SearchString == "" || len(v.DisplayName) >= len(p.SearchString) && strings.EqualFold(v.DisplayName[:len(p.SearchString)], p.SearchString) {
			if left--; left < 0 && !bool(p.All) {
				return c.WriteWarning("More results are available. Please specify one of the All or MaxResults parameters.")
			}
			if err := c.Emit(show(v)); err != nil {
				return err
			}
		}
	}
	return nil
}

// An identity says which principal a command means: one of the three is given.
type identity struct{ object, app, name string }

// identify is the identity among the parameters that were given; nil: none.
func identify(c *interp.Call, objectID, app uuid.UUID, name string) *identity {
	switch {
	case c.Bound("ObjectId") && objectID != uuid.Nil:
		return &identity{object: objectID.String()}
	case c.Bound("AppPrincipalId") && app != uuid.Nil:
		return &identity{app: app.String()}
	case c.Bound("ServicePrincipalName") && name != "":
		return &identity{name: name}
	}
	return nil
}

func (id *identity) find(r *directory.Realm) *directory.ServicePrincipal {
	name := strings.ToLower(id.name)
	if n, err := directory.ParseSPN(id.name); err == nil {
		name = n.String()
	}
	i := slices.IndexFunc(r.Principals, func(p directory.ServicePrincipal) bool {
		switch {
		case id.object != "":
			return p.ObjectID == id.object
		case id.app != "":
			return p.AppPrincipalID == id.app
		}
		return slices.Contains(p.ServicePrincipalNames, name)
	})
	if i < 0 {
		return nil
	}
	return &r.Principals[i]
}

// which is the object id of the principal that the command means.
func (k *call) which(id *identity) (string, error) {
	if id == nil {
		return "", record(k.Call, "PropertyRequiredException", "No service principal was given. Name it by ObjectId or AppPrincipalId; what the command got is empty.")
	}
	r, err := k.directory()
	if err != nil {
		return "", err
	}
	p := id.find(r)
	if p == nil {
		return "", k.noPrincipal()
	}
	return p.ObjectID, nil
}

// noAddresses refuses reply addresses.
func noAddresses(c *interp.Call, list []any) error {
	if len(list) == 0 {
		return nil
	}
	return record(c, "PropertyValidationException", "Reply addresses are not kept here: nobody signs in to applications of this directory. Leave -Addresses out.")
}

type setPrincipal struct {
	o                     *online
	ObjectID              uuid.UUID `ps:"ObjectId,pipeline=name" help:"The object id of the principal to change."`
	AppPrincipalID        uuid.UUID `ps:"AppPrincipalId,pipeline=name" help:"The application id of the principal to change; ObjectId counts when both are given."`
	ServicePrincipalNames []string  `ps:"ServicePrincipalNames,pipeline=name,allowempty" help:"All names. An empty list leaves the application id only."`
	DisplayName           string    `ps:"DisplayName,pipeline=name" help:"A new display name."`
	AccountEnabled        bool      `ps:"AccountEnabled,pipeline=name" help:"Whether tokens are issued to the application."`
	Addresses             []any     `ps:"Addresses,pipeline=name,allowempty" help:"Reply addresses are not kept; only an empty list is accepted."`
	tenantID
}

// Run changes the principal.
func (p *setPrincipal) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, p.tenantID)
	if err == nil {
		err = noAddresses(c, p.Addresses)
	}
	if err != nil {
		return c.WriteError(err)
	}
	id, err := k.which(identify(c, p.ObjectID, p.AppPrincipalID, ""))
	if err != nil {
		return c.WriteError(err)
	}
	change := admin.ServicePrincipalChange{
		DisplayName: given(c, "DisplayName", &p.DisplayName), AccountEnabled: given(c, "AccountEnabled", &p.AccountEnabled),
		ServicePrincipalNames: given(c, "ServicePrincipalNames", &p.ServicePrincipalNames),
	}
	res, err := k.Admin.SetServicePrincipal(ctx, k.actor, k.realm, id, change)
	if err != nil {
		return c.WriteError(k.fail(err))
	}
	return k.warn(res.Warnings)
}

// given is v where the parameter was given, else nil.
func given[T any](c *interp.Call, parameter string, v *T) *T {
	if c.Bound(parameter) {
		return v
	}
	return nil
}

type newPrincipal struct {
	o                     *online
	DisplayName           string    `ps:"DisplayName,mandatory,pipeline=name" help:"A name for people."`
	ServicePrincipalNames []string  `ps:"ServicePrincipalNames,pipeline=name,allowempty" help:"Names beside the application id."`
	AppPrincipalID        uuid.UUID `ps:"AppPrincipalId,pipeline=name" help:"The application id; made when it is left out."`
	AccountEnabled        bool      `ps:"AccountEnabled,pipeline=name" help:"Whether tokens are issued to the application. The default is True."`
	Addresses             []any     `ps:"Addresses,pipeline=name,allowempty" help:"Reply addresses are not kept; only an empty list is accepted."`
	keyParams
	tenantID
}

// Run adds the principal.
func (p *newPrincipal) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, p.tenantID)
	if err == nil {
		err = noAddresses(c, p.Addresses)
	}
	key := c.Bound("Type") || c.Bound("Value") || c.Bound("Usage")
	var params admin.CredentialParams
	if err == nil && key {
		params, err = p.credential(c)
	}
	if err != nil {
		return c.WriteError(err)
	}
	v := directory.ServicePrincipal{DisplayName: p.DisplayName, ServicePrincipalNames: p.ServicePrincipalNames, AccountEnabled: p.AccountEnabled}
	if p.AppPrincipalID != uuid.Nil {
		v.AppPrincipalID = p.AppPrincipalID.String()
	}
	res, err := k.Admin.NewServicePrincipal(ctx, k.actor, k.realm, v)
	if err != nil {
		return c.WriteError(k.fail(err))
	}
	o := object.New(typePrincipal, "System.Object").Add("DisplayName", res.Object.DisplayName).Add("ServicePrincipalNames", listOf(res.Object.ServicePrincipalNames)).
		Add("ObjectId", guid(res.Object.ObjectID)).Add("AppPrincipalId", guid(res.Object.AppPrincipalID)).
		Add("TrustedForDelegation", res.Object.TrustedForDelegation).Add("AccountEnabled", res.Object.AccountEnabled).Add("Addresses", addresses())
	if !key {
		if err := c.WriteWarning("The service principal has no key yet. Upload a certificate with New-MsolServicePrincipalCredential -Type asymmetric."); err != nil {
			return err
		}
		return c.Emit(o)
	}
	made, err := k.Admin.NewServicePrincipalCredential(ctx, k.actor, k.realm, res.Object.ObjectID, params)
	if err != nil {
		if _, gone := k.Admin.RemoveServicePrincipal(ctx, k.actor, k.realm, res.Object.ObjectID); gone != nil {
			err = record(c, "PropertyValidationException", "%s. The service principal %s was added without a key, and could not be removed again: %s.", sentence(err), res.Object.AppPrincipalID, sentence(gone))
		}
		return c.WriteError(k.fail(err))
	}
	if err := k.warn(made.Warnings); err != nil {
		return err
	}
	return c.Emit(o.Add("KeyType", made.Object.Type).Add("KeyId", guid(made.Object.KeyID)).Add("StartDate", made.Object.StartDate.UTC()).
		Add("EndDate", made.Object.EndDate.UTC()).Add("Usage", made.Object.Usage))
}

// A principalID is how Remove- cmdlets and those of keys say which principal.
type principalID struct {
	ObjectID             uuid.UUID `ps:"ObjectId,mandatory,pipeline=name,set=ObjectId" help:"The object id of the principal."`
	AppPrincipalID       uuid.UUID `ps:"AppPrincipalId,mandatory,pipeline=name,set=AppPrincipalId" help:"The application id of the principal."`
	ServicePrincipalName string    `ps:"ServicePrincipalName,mandatory,pipeline=name,set=ServicePrincipalName" help:"A name of the principal."`
}

func (p *principalID) identity(c *interp.Call) *identity {
	return identify(c, p.ObjectID, p.AppPrincipalID, p.ServicePrincipalName)
}

type removePrincipal struct {
	o *online
	principalID
	tenantID
}

// Run removes the principal.
func (p *removePrincipal) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.o.begin(ctx, c, p.tenantID)
	if err != nil {
		return c.WriteError(err)
	}
	id, err := k.which(p.identity(c))
	if err == nil {
		_, err = k.Admin.RemoveServicePrincipal(ctx, k.actor, k.realm, id)
	}
	return c.WriteError(k.fail(err))
}
