package shell

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"busybridge/internal/admin"
	"busybridge/internal/admin/msolcmd"
	"busybridge/internal/app"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/serve/remoteserver"
)

// The configurations of remote sessions: of an organization, and of a directory.
const (
	exchangeConfiguration  = "Microsoft.Exchange"
	directoryConfiguration = "Microsoft.PowerShell"
)

// Runspaces opens what remote sessions with a deployment run in: the Exchange
// cmdlets of the caller's organization, or the MSOnline and AzureAD cmdlets of
// its realm, connected as the caller. An account needs a role of administrators;
// one that signed in with an app password has none.
func Runspaces(d *app.Deployment) remoteserver.Runspaces {
	return func(_ context.Context, r remoteserver.Request) (*remoteserver.Runspace, error) {
		account := r.Caller.Account
		if !account.HasRole(directory.RoleAdmin) && !account.HasRole(directory.RoleView) {
			return nil, fmt.Errorf("%w: %s administers nothing", remoteserver.ErrForbidden, account.UserName)
		}
		actor := func(ctx context.Context) (admin.Actor, error) {
			a, err := d.Admin.ActorFor(ctx, account.UserName)
			a.RequestID = r.ID
			return a, err
		}
		cfg := Config{Deployment: d, Now: d.Now, Host: r.Host, User: account.UserName, RunspaceID: strings.ToLower(r.ID)}
		rs := &remoteserver.Runspace{Permits: func(ctx context.Context, command string) (bool, error) {
			a, err := actor(ctx)
			if errors.Is(err, admin.ErrForbidden) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			return d.Admin.Permits(ctx, a, command)
		}}
		configuration := exchangeConfiguration
		if r.Caller.Org != nil {
			rs.Config = func() (interp.Config, error) { return exchange(cfg, r.Caller.Org, actor) }
		} else {
			configuration = directoryConfiguration
			rs.Config = func() (interp.Config, error) { return remoteDirectory(cfg, actor) }
		}
		if !strings.EqualFold(r.Configuration, configuration) {
			return nil, fmt.Errorf("configuration %q: %w", r.Configuration, errors.ErrUnsupported)
		}
		return rs, nil
	}
}

// remoteDirectory is a session of a realm. There is nobody else to connect: that
// would try passwords that nothing holds back.
func remoteDirectory(cfg Config, actor func(context.Context) (admin.Actor, error)) (interp.Config, error) {
	all, err := msolcmd.Commands(msolcmd.Config{
		Admin: cfg.Deployment.Admin, Account: actor,
		SignIn: func(context.Context, *object.Credential) (admin.Actor, string, error) {
			return admin.Actor{}, "", admin.ErrSignIn
		},
	})
	if err != nil {
		return interp.Config{}, err
	}
	var commands []interp.Command
	for _, c := range all {
		if !strings.HasPrefix(c.Name, "Connect-") && !strings.HasPrefix(c.Name, "Disconnect-") {
			commands = append(commands, c)
		}
	}
	return configure(cfg, nil, commands, nil)
}
