// Package exchangecmd is the cmdlets of the Exchange Management Shell over the
// operations of package admin. A cmdlet is a thin struct: its fields are its
// parameters, Run turns them into one typed operation and its result into
// objects with Exchange's properties in Exchange's order (cmdlet reference 3 to 13).
package exchangecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// Module is the module that the cmdlets belong to, as Get-Command shows it.
const Module = "Microsoft.Exchange.Management.PowerShell.E2010"

// Config says whose cmdlets they are.
type Config struct {
	Admin *admin.Service  // required
	Org   directory.OrgID // required
	// Actor says who runs the command that begins now. It is asked once for each
	// command, so that what was taken away from an account holds at once. Required.
	Actor func(context.Context) (admin.Actor, error)
	// Hosted offers what a tenant of a cloud has (column "In": EXO), else what an
	// organization of its own has.
	Hosted bool
	// Server is the host name that errors and OriginatingServer name. Required.
	Server string
	// RunspaceID is shown as the first property of every object; empty: a local session.
	RunspaceID string
	Now        func() time.Time // required
	// OAuth makes the requests of Test-OAuthConnectivity; nil: it is not offered.
	OAuth OAuthTester
	// FreeBusy follows the questions of Test-FreeBusyConnectivity; nil: it is not offered.
	FreeBusy FreeBusyTester
}

// Where a cmdlet exists (column "In" of the reference).
type place uint8

const (
	premises place = 1 << iota
	online
	everywhere = premises | online
)

// An entry is a cmdlet and where it exists.
type entry struct {
	interp.Command
	in place
	// tasks is the name space of its class, for FullyQualifiedErrorId; "" is SystemConfigurationTasks.
	tasks string
}

// exchange is what all cmdlets of one session share.
type exchange struct {
	Config
	classes map[string]string // cmdlet name to full class name
}

var errConfig = errors.New("exchangecmd: Admin, Org, Actor, Server and Now are required")

// Commands makes the cmdlets of a session.
func Commands(cfg Config) ([]interp.Command, error) {
	if cfg.Admin == nil || cfg.Org == "" || cfg.Actor == nil || cfg.Server == "" || cfg.Now == nil {
		return nil, errConfig
	}
	x := &exchange{Config: cfg, classes: map[string]string{}}
	here := premises
	if cfg.Hosted {
		here = online
	}
	var out []interp.Command
	for _, e := range slices.Concat(
		x.authServers(), x.partnerApplications(), x.authConfig(), x.certificates(),
		x.connectors(), x.configuration(), x.addressSpaces(), x.availabilityConfig(), x.relationships(),
		x.recipients(), x.mailboxCalendars(), x.calendarSources(), x.servers(), x.acceptedDomains(), x.organizationConfig(), x.appPasswords(), x.audit(), x.oauthTest(), x.freeBusyTest(),
	) {
		if e.in&here == 0 {
			continue
		}
		e.Module = Module
		x.classes[e.Name] = className(e)
		out = append(out, e.Command)
	}
	return out, nil
}

// className is Microsoft.Exchange.Management.<tasks>.<VerbNoun>.
func className(e entry) string {
	tasks := e.tasks
	if tasks == "" {
		tasks = "SystemConfigurationTasks"
	}
	name := make([]byte, 0, len(e.Name))
	for i := range len(e.Name) {
		if e.Name[i] != '-' {
			name = append(name, e.Name[i])
		}
	}
	return fmt.Sprintf("Microsoft.Exchange.Management.%s.%s", tasks, name)
}

// A call is one command at work: who runs it, and how it answers. Every cmdlet
// begins with one.
type call struct {
	*exchange
	*interp.Call
	ctx   context.Context
	actor admin.Actor
	// shapes are what the bags of a class have in common.
	shapes map[string]*object.Shape
	// about is the distinguished name of the object that a New- cmdlet makes: what
	// exists already when its name is taken.
	about string
}

// begin finds out who runs the command.
func (x *exchange) begin(ctx context.Context, c *interp.Call) (*call, error) {
	k := &call{exchange: x, Call: c, ctx: ctx}
	var err error
	if k.actor, err = x.Actor(ctx); err != nil {
		return nil, k.fail(err)
	}
	if k.Bound("DomainController") {
		err = k.WriteVerbose("There is one store, and it is asked whatever DomainController says.")
	}
	return k, err
}

// open is begin for a command that needs the organization before it asks or
// changes anything: one who may not run it is refused under -WhatIf, too.
func (x *exchange) open(ctx context.Context, c *interp.Call) (*call, *directory.Organization, error) {
	k, err := x.begin(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	o, err := k.view()
	return k, o, err
}

// view is the organization as the command's actor may see it.
func (k *call) view() (*directory.Organization, error) {
	o, err := k.Admin.ViewOrganization(k.ctx, k.actor, k.Name(), k.Org)
	if err != nil {
		return nil, k.fail(err)
	}
	return o, nil
}

// sure asks a question of its own besides -Confirm, as commands do that have
// -Force; without a terminal only that answers it.
func (k *call) sure(force object.Switch, question string) (bool, error) {
	if bool(force) {
		return true, nil
	}
	if k.Prompt() == nil {
		return false, k.WriteError(k.record("LocalizedException", "%s There is nobody to ask: run %s with -Force.", question, k.Name()))
	}
	n, err := k.Prompt().Choice(k.ctx, "Confirm", question, []string{"&Yes", "&No"}, 1)
	return n == 0 && err == nil, err
}

// should asks whether to act; the sentence is what -WhatIf and -Confirm print (3.4).
func (k *call) should(format string, args ...any) (bool, error) {
	return k.ShouldProcessText(fmt.Sprintf(format, args...), "")
}

// warn writes an operation's warnings.
func (k *call) warn(warnings []string) error {
	for _, w := range warnings {
		if err := k.WriteWarning(sentences(w)); err != nil {
			return err
		}
	}
	return nil
}

// changed ends a Set- cmdlet: errors are not terminating, and it warns when
// everything was so already (3.5).
func changed[T any](k *call, identity string, res admin.Result[T], err error) error {
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	if err := k.warn(res.Warnings); err != nil {
		return err
	}
	if !res.Changed {
		return k.WriteWarning(fmt.Sprintf("The command completed successfully but no settings of '%s' have been modified.", identity))
	}
	return nil
}

// created ends a New- cmdlet: it shows the new object.
func created[T any](k *call, res admin.Result[T], err error, show func(*directory.Organization, *T) any) error {
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	if err := k.warn(res.Warnings); err != nil {
		return err
	}
	o, err := k.Admin.ViewOrganization(k.ctx, k.actor, k.Name(), k.Org)
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	return k.Emit(show(o, &res.Object))
}

// removed ends a Remove- cmdlet.
func removed[T any](k *call, res admin.Result[T], err error) error {
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	return k.warn(res.Warnings)
}

// assign stores v where the parameter was given.
func assign[T any](k *call, parameter string, to *T, v T) {
	if k.Bound(parameter) {
		*to = v
	}
}
