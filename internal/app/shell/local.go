package shell

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"busybridge/internal/admin"
	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/app"
	"busybridge/internal/app/config"
)

// DirectoryOrg opens the shell of the authorization server's directory where an
// organization is asked for.
const DirectoryOrg = "directory"

// Local says which shell of a deployment to open on its own machine.
type Local struct {
	Screen
	// Org is the name, a domain or the id of an organization, or DirectoryOrg. It
	// may be empty where there is only one.
	Org string
	// User signs in as an account with Password. Empty: the operator, who may do everything,
	// because whoever reads the configuration's keys can do everything anyway.
	User, Password string
}

// ErrUsage marks what makes no sense together.
var ErrUsage = errors.New("shell")

// OpenLocal opens a shell over the store of a configuration, beside a server
// that may be running. Close it with the function that it returns.
func OpenLocal(ctx context.Context, cfg *config.Config, log *slog.Logger, o Local) (_ *Shell, closing func() error, err error) {
	d, err := app.OpenBeside(ctx, cfg, log)
	if err != nil {
		return nil, nil, err
	}
	roles := cfg.Node.Roles
	folder := filepath.Join(filepath.Dir(cfg.Store.Path), "drive")
	var drive *hostcmd.Drive
	if err = os.MkdirAll(folder, 0o700); err == nil {
		drive, err = hostcmd.OpenDrive(folder)
	}
	if err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	connector := &Connector{HTTP: d.Client(), Prompt: o.Prompt}
	closing = func() error { return errors.Join(connector.Close(), drive.Close(), d.Close()) }
	host := cfg.Node.HostNames[0]
	sc := Config{
		Operator: o.User == "", Screen: o.Screen, Deployment: d, Now: d.Now, Host: host, User: "operator", Drive: drive,
		Connector: connector,
	}
	s, err := openLocal(ctx, sc, roles, o)
	if err != nil {
		return nil, nil, errors.Join(err, closing())
	}
	return s, closing, nil
}

func openLocal(ctx context.Context, sc Config, roles []string, o Local) (*Shell, error) {
	actor := func(context.Context) (admin.Actor, error) { return admin.Actor{Name: sc.User, System: true}, nil }
	if o.User != "" {
		who, err := sc.Deployment.Admin.SignIn(ctx, o.User, o.Password)
		if err != nil {
			return nil, err
		}
		sc.User, actor = who.Name, As(sc.Deployment, who.Name)
	}
	if o.Org == DirectoryOrg || o.Org == "" && !slices.Contains(roles, app.RoleOrganization) {
		if !slices.Contains(roles, app.RoleAuthority) {
			return nil, fmt.Errorf("%w: node.roles does not hold %s", ErrUsage, app.RoleAuthority)
		}
		return Directory(sc)
	}
	org, err := sc.Deployment.Organization(ctx, o.Org)
	if errors.Is(err, app.ErrChoose) {
		err = fmt.Errorf("%w: --org: %w", ErrUsage, err)
	}
	if err != nil {
		return nil, err
	}
	return Exchange(sc, org, actor)
}
