// Package msolcmd is the cmdlets of the MSOnline module over the operations of
// package admin: the directory side of the hybrid set-up, where a tenant's
// administrator uploads certificates and registers host names (cmdlet reference
// 14). For consent to roles, which that module does not know, there are those of the
// AzureAD module. Every cmdlet but the two Connect- ones acts for the account that
// was signed in.
//
//   - msolcmd.go: the connection, and errors in the module's words
//   - principal.go, credential.go: service principals and their keys
//   - tenant.go: domains and the company
//   - azuread.go: roles of applications
package msolcmd

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// Module is the module that the cmdlets belong to.
const Module = "MSOnline"

// Config is what the cmdlets need.
type Config struct {
	Admin *admin.Service // required
	// SignIn checks a credential; realm is the GUID of the realm that the account
	// belongs to. It wraps admin.ErrSignIn when name or password are wrong. Required.
	SignIn func(ctx context.Context, cred *object.Credential) (actor admin.Actor, realm string, err error)
	// Account is whose session it is as long as nobody has connected, with the GUID
	// of its realm as Realm; nil: one has to connect. It is asked for each command.
	Account func(context.Context) (admin.Actor, error)
	// Credential is asked when Connect-MsolService has no -Credential; nil: nobody is.
	Credential func(ctx context.Context, c *interp.Call) (*object.Credential, error)
}

// online is what the cmdlets of one shell share: who is connected.
type online struct {
	Config
	actor admin.Actor
	realm string // "": not connected
}

var errConfig = errors.New("msolcmd: Admin and SignIn are required")

// Commands makes the cmdlets of a session.
func Commands(cfg Config) ([]interp.Command, error) {
	if cfg.Admin == nil || cfg.SignIn == nil {
		return nil, errConfig
	}
	o := &online{Config: cfg}
	list := slices.Concat([]interp.Command{{
		Name: "Connect-MsolService", New: func() interp.Cmdlet { return &connect{o: o} },
		Synopsis: "Signs in to the directory of a tenant.",
		Description: "The other Msol cmdlets then act for this account until the shell ends or another one is connected. The account must belong to the tenant and have the administrator's role there. " +
			"Modern equivalents: Connect-AzureAD, Connect-MgGraph -Scopes Application.ReadWrite.All.",
		Examples: []string{`Connect-MsolService`, `Connect-MsolService -Credential (Get-Credential admin@contoso.partner.onmschina.cn)`},
		Links:    []string{"Get-MsolServicePrincipal"},
	}}, o.principals(), o.credentials(), o.tenant())
	for i := range list {
		list[i].Module = Module
	}
	azure := o.azureAD()
	for i := range azure {
		azure[i].Module = ModuleAzureAD
	}
	return append(list, azure...), nil
}

// Views are the tables that the modules have of their own.
func Views() format.Views {
	table := func(columns ...string) format.View {
		v := format.View{Shape: format.Table}
		for _, name := range columns {
			v.Columns = append(v.Columns, format.Column{Name: name})
		}
		return v
	}
	return format.Views{
		typeDomain:     table("Name", "Status", "Authentication"),
		typeAzurePrinc: table("ObjectId", "AppId", "DisplayName"),
		typeAssignment: table("ObjectId", "ResourceDisplayName", "PrincipalDisplayName"),
		typeContext:    table("Account", "Environment", "TenantId", "TenantDomain", "AccountType"),
	}
}

type connect struct {
	o                  *online
	Credential         *object.Credential `ps:"Credential,set=Credential" help:"Who signs in; asked for when it is left out."`
	AdGraphAccessToken string             `ps:"AdGraphAccessToken,alias=AccessToken,set=AccessToken" help:"Signing in with a ready token is not possible here."`
	MsGraphAccessToken string             `ps:"MsGraphAccessToken,set=AccessToken" help:"Signing in with a ready token is not possible here."`
	AzureEnvironment   string             `ps:"AzureEnvironment,values=AzureCloud|AzureChinaCloud|AzureGermanyCloud|USGovernment" help:"Accepted for scripts that name one. There is one directory, that of this shell."`
}

// Run signs in.
func (p *connect) Run(ctx context.Context, c *interp.Call) error {
	if p.AdGraphAccessToken != "" || p.MsGraphAccessToken != "" {
		return record(c, "0", "Signing in with a token is not possible here. Use -Credential.")
	}
	return p.o.signIn(ctx, c, p.Credential)
}

// signIn connects the account of cred, which is asked for when it is nil.
func (o *online) signIn(ctx context.Context, c *interp.Call, cred *object.Credential) error {
	if cred == nil {
		if o.Credential == nil {
			return record(c, "0", "There is nobody to ask for a name and a password. Use -Credential.")
		}
		var err error
		if cred, err = o.Credential(ctx, c); err != nil {
			return err
		}
	}
	o.realm = ""
	actor, realm, err := o.SignIn(ctx, cred)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, admin.ErrSignIn):
		return record(c, "0", "Authentication Error: Bad username or password.")
	case err != nil:
		return record(c, "0", "Authentication Error: %s.", err)
	case realm == "":
		return record(c, "0", "Authentication Error: the account %s belongs to no directory.", cred.UserName)
	}
	o.actor, o.realm = actor, realm
	return nil
}

// A tenant is the parameter that names the directory.
type tenantID struct {
	TenantID uuid.UUID `ps:"TenantId,pipeline=name" help:"The directory's GUID. Only the one that you are connected to can be named."`
}

// A call is one command at work, of a connected account.
type call struct {
	*online
	*interp.Call
	ctx   context.Context
	actor admin.Actor
}

// begin finds out who runs the command: the account is looked up again, so that
// what was taken away from it holds at once.
func (o *online) begin(ctx context.Context, c *interp.Call, t tenantID) (*call, error) {
	if o.realm == "" && o.Account != nil {
		actor, err := o.Account(ctx)
		k := &call{online: &online{Config: o.Config, actor: actor, realm: actor.Realm}, Call: c, ctx: ctx, actor: actor}
		if err == nil && !azure(c) && c.Bound("TenantId") && !strings.EqualFold(t.TenantID.String(), k.realm) {
			err = fmt.Errorf("%w: %s is not the directory that you are connected to", admin.ErrForbidden, t.TenantID)
		}
		return k, k.fail(err)
	}
	if o.realm == "" {
		if azure(c) {
			return nil, record(c, "Microsoft.Open.Azure.AD.CommonLibrary.AadNeedAuthenticationException", "You must call the Connect-AzureAD cmdlet before calling any other cmdlets.")
		}
		return nil, record(c, "0", "You must call the Connect-MsolService cmdlet before calling any other cmdlets.")
	}
	k := &call{online: o, Call: c, ctx: ctx, actor: o.actor}
	if !azure(c) && c.Bound("TenantId") && !strings.EqualFold(t.TenantID.String(), o.realm) {
		return nil, k.fail(fmt.Errorf("%w: %s is not the directory that you are connected to", admin.ErrForbidden, t.TenantID))
	}
	if !o.actor.System {
		var err error
		if k.actor, err = o.Admin.ActorFor(ctx, o.actor.Name); err != nil {
			return nil, k.fail(err)
		}
		k.actor.RequestID = o.actor.RequestID
	}
	return k, nil
}

// directory is the realm as the account may see it.
func (k *call) directory() (*directory.Realm, error) {
	r, err := k.Admin.ViewRealm(k.ctx, k.actor, k.Name(), k.realm)
	return r, k.fail(err)
}

// warn writes an operation's warnings.
func (k *call) warn(warnings []string) error {
	for _, w := range warnings {
		if err := k.WriteWarning(strings.ToUpper(w[:1]) + w[1:] + "."); err != nil {
			return err
		}
	}
	return nil
}

// classes of the modules' errors and cmdlets stand in these name spaces.
const (
	space        = "Microsoft.Online.Administration.Automation."
	spaceAzureAD = "Microsoft.Open.AzureAD16."
	apiException = spaceAzureAD + "Client.ApiException"
)

var (
	tException    = &object.Type{Name: space + "MicrosoftOnlineException", Base: object.TException}
	tAPIException = &object.Type{Name: apiException, Base: object.TException}
)

// azure reports whether the command is of the AzureAD module.
func azure(c *interp.Call) bool { return strings.Contains(c.Name(), "-AzureAD") }

// record is an error of the command's module. The id is a class of the name space,
// or a number; the cmdlet's class follows it. AzureAD has one class for all that
// the service refuses.
func record(c *interp.Call, id, format string, args ...any) *object.ErrorRecord {
	verb, noun, _ := strings.Cut(c.Name(), "-")
	if azure(c) {
		if !strings.Contains(id, ".") {
			id = apiException
		}
		return object.NewError(id+","+spaceAzureAD+"PowerShell."+verb+strings.TrimPrefix(noun, "AzureAD"), object.NotSpecified, tAPIException, format, args...)
	}
	if strings.HasSuffix(id, "Exception") {
		id = space + id
	}
	return object.NewError(id+","+space+verb+strings.TrimPrefix(noun, "Msol"), object.OperationStopped, tException, format, args...)
}

// fail is err of an operation in the module's words (14).
func (k *call) fail(err error) error {
	var (
		rec     *object.ErrorRecord
		missing *admin.NotFoundError
		field   *directory.FieldError
	)
	switch {
	case err == nil || errors.As(err, &rec):
		return err
	case k.ctx.Err() != nil:
		return k.ctx.Err()
	case errors.Is(err, admin.ErrForbidden):
		return record(k.Call, "AccessDeniedException", "Access Denied. You do not have permissions to call this cmdlet. %s.", sentence(err))
	case errors.As(err, &missing) && missing.Noun == "service principal":
		return k.noPrincipal()
	case errors.As(err, &missing):
		return record(k.Call, "KeyNotFoundException", "The %s %s was not found.", missing.Noun, missing.Identity)
	case errors.Is(err, directory.ErrExists) && errors.As(err, &field) && field.Field != "KeyCredentials.KeyID":
		return record(k.Call, "ServicePrincipalAlreadyExistsException", "A service principal with the name specified already exists. %s.", sentence(err))
	}
	return record(k.Call, "PropertyValidationException", "%s.", sentence(err))
}

func (k *call) noPrincipal() *object.ErrorRecord {
	return record(k.Call, "ServicePrincipalNotFoundException", "Service principal was not found.")
}

// sentence is err without the operation's name, which the record shows elsewhere.
func sentence(err error) string {
	if inner := errors.Unwrap(err); inner != nil && operation.MatchString(strings.TrimSuffix(err.Error(), inner.Error())) {
		err = inner
	}
	text := strings.TrimSuffix(err.Error(), ".")
	return strings.ToUpper(text[:1]) + text[1:]
}

// operation is the name of one in front of its error.
var operation = regexp.MustCompile(`-(Msol|AzureAD)`)

// guid is s as a value of the language.
func guid(s string) any {
	if id, err := uuid.Parse(s); err == nil {
		return id
	}
	return s
}

// extension is the property that every object of the service begins with.
func extension() *object.Object {
	const name = "System.Runtime.Serialization.ExtensionDataObject"
	o := object.New(name, "System.Object")
	o.Text = func() string { return name }
	return o
}
