// Package shell makes sessions of the management shell: the Exchange Management
// Shell of an organization, or a plain Windows PowerShell with the MSOnline module
// for the directory of an authorization server.
package shell

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"strings"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/admin/msolcmd"
	"busybridge/internal/app"
	"busybridge/internal/directory"
	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// A Screen is who sits before a shell, and what they see.
type Screen struct {
	Zone  *time.Location // of the times shown; nil: UTC
	Width int            // 0: 120
	// Credentials answers Get-Credential without asking anybody; see hostcmd.Config.
	Credentials func(ctx context.Context, user, message string) (*object.Credential, error)
	Prompt      interp.Prompt // nil: nobody can be asked
	Streams     interp.Streams
	History     func() []hostcmd.HistoryEntry // what was typed; nil: nothing is kept
	ClearHost   func() error                  // nil: there is no screen
}

// Config is what every session needs.
type Config struct {
	Screen
	Deployment *app.Deployment  // required
	Now        func() time.Time // required
	Host       string           // computer name; required
	User       string           // whose session it is, as shown
	Drive      *hostcmd.Drive   // C:; nil: neither files nor sessions of its own
	Connector  hostcmd.Connector
	// RunspaceID marks the objects of a remote session; empty: a local one.
	RunspaceID string
	// Operator: the session is of who runs the deployment. A hosted organization has
	// every cmdlet then.
	Operator bool
}

// A Shell is a session with its screen.
type Shell struct {
	Session *interp.Session
	Banner  string
	title   string
	drive   *hostcmd.Drive
}

// Prompt is the prompt as it is now: "[PS] C:\>".
func (s *Shell) Prompt() string {
	at := `C:\`
	if s.drive != nil {
		at = s.drive.Location()
	}
	return s.title + at + ">"
}

// Exchange opens the Exchange Management Shell of an organization. actor says
// who runs each command.
func Exchange(cfg Config, org *directory.Organization, actor func(context.Context) (admin.Actor, error)) (*Shell, error) {
	ic, err := exchange(cfg, org, actor)
	if err != nil {
		return nil, err
	}
	s, err := open(cfg, ic)
	if err != nil {
		return nil, err
	}
	s.title = "[PS] "
	s.Banner = fmt.Sprintf("Exchange Management Shell of %s on %s, as %s.", org.Name, cfg.Host, cfg.User)
	return s, nil
}

// exchange is what a session of an organization needs.
func exchange(cfg Config, org *directory.Organization, actor func(context.Context) (admin.Actor, error)) (interp.Config, error) {
	commands, err := exchangecmd.Commands(exchangecmd.Config{
		Admin: cfg.Deployment.Admin, Org: org.ID, Actor: actor, Hosted: org.Tenant != "" && !cfg.Operator, Server: cfg.Host, RunspaceID: cfg.RunspaceID,
		Now: cfg.Now, OAuth: cfg.Deployment, FreeBusy: cfg.Deployment,
	})
	if err != nil {
		return interp.Config{}, err
	}
	certificates := func(ctx context.Context) ([]*object.Certificate, error) {
		return certificates(ctx, cfg.Deployment, org.ID, actor)
	}
	return configure(cfg, certificates, commands, map[string]any{"FormatEnumerationLimit": 16})
}

// Directory opens a plain shell with the MSOnline module over an authorization server.
func Directory(cfg Config) (*Shell, error) {
	commands, err := msolcmd.Commands(msolcmd.Config{
		Admin: cfg.Deployment.Admin,
		SignIn: func(ctx context.Context, cred *object.Credential) (admin.Actor, string, error) {
			a, err := signIn(ctx, cfg.Deployment, cred)
			if err == nil && a.Realm == "" {
				err = fmt.Errorf("%w: %s administers no realm", admin.ErrSignIn, cred.UserName)
			}
			return a, a.Realm, err
		},
		Credential: func(ctx context.Context, c *interp.Call) (*object.Credential, error) {
			return hostcmd.Config{Credentials: cfg.Credentials}.AskCredential(ctx, c, "", "Enter the credentials of an administrator of the directory.")
		},
	})
	if err != nil {
		return nil, err
	}
	ic, err := configure(cfg, nil, commands, nil)
	if err != nil {
		return nil, err
	}
	s, err := open(cfg, ic)
	if err != nil {
		return nil, err
	}
	s.title = "PS "
	s.Banner = fmt.Sprintf("Windows PowerShell with the MSOnline module, for the directory at %s. Begin with Connect-MsolService.", cfg.Host)
	return s, nil
}

// configure is what a session with these commands needs.
func configure(cfg Config, certificates func(context.Context) ([]*object.Certificate, error), commands []interp.Command, variables map[string]any) (interp.Config, error) {
	if cfg.Drive != nil {
		host, err := hostcmd.Commands(hostcmd.Config{
			Drive: cfg.Drive, Certificates: certificates, Credentials: cfg.Credentials, Connector: cfg.Connector,
			Modules: []string{"MSOnline", "MSOnlineExtended", msolcmd.ModuleAzureAD, exchangecmd.Module}, History: cfg.History, ClearHost: cfg.ClearHost,
			Zone: cfg.Zone, Now: cfg.Now,
		})
		if err != nil {
			return interp.Config{}, err
		}
		commands = append(host, commands...)
	}
	all := format.Views{}
	for _, v := range []format.Views{hostcmd.Views(), exchangecmd.Views(), msolcmd.Views()} {
		maps.Copy(all, v) // all of them: imported cmdlets show their objects, too
	}
	name, _, _ := strings.Cut(cfg.Host, ".")
	name = strings.ToUpper(name)
	if cfg.RunspaceID != "" {
		// Clients keep -Verbose to themselves and choose among what comes.
		variables = maps.Clone(variables)
		if variables == nil {
			variables = map[string]any{}
		}
		variables["VerbosePreference"] = "Continue"
	}
	ic := interp.Config{
		Commands: commands, Now: cfg.Now, Zone: cfg.Zone, Host: name, User: cfg.User, Width: cfg.Width, Prompt: cfg.Prompt,
		Formatter: &format.Formatter{Views: all, Now: cfg.Now}, Streams: cfg.Streams, Variables: variables, Remote: cfg.RunspaceID != "",
		Env: map[string]string{"SYSTEMDRIVE": "C:", "COMPUTERNAME": name, "USERNAME": cfg.User, "USERPROFILE": `C:\Users\` + cfg.User},
	}
	if cfg.Drive != nil {
		ic.Files = cfg.Drive
	}
	return ic, nil
}

// open makes the session.
func open(cfg Config, ic interp.Config) (*Shell, error) {
	session, err := interp.New(ic)
	if err != nil {
		return nil, err
	}
	return &Shell{Session: session, drive: cfg.Drive}, nil
}

// certificates are the organization's own, as Cert:\LocalMachine\My holds them.
// Their keys stay where they are.
func certificates(ctx context.Context, d *app.Deployment, org directory.OrgID, actor func(context.Context) (admin.Actor, error)) ([]*object.Certificate, error) {
	who, err := actor(ctx)
	if err != nil {
		return nil, err
	}
	o, err := d.Admin.ViewOrganization(ctx, who, "Get-ExchangeCertificate", org)
	if err != nil {
		return nil, err
	}
	var out []*object.Certificate
	for i := range o.Certificates {
		c := &o.Certificates[i]
		if _, err := x509.ParseCertificate(c.DER); err != nil {
			return nil, fmt.Errorf("certificate %s: %w", c.Thumbprint, err)
		}
		v, err := object.NewCertificate(c.DER)
		if err != nil {
			return nil, fmt.Errorf("certificate %s: %w", c.Thumbprint, err)
		}
		v.Second, v.FriendlyName, v.HasPrivateKey = true, c.FriendlyName, len(c.Key) > 0
		out = append(out, v)
	}
	return out, nil
}

func signIn(ctx context.Context, d *app.Deployment, cred *object.Credential) (admin.Actor, error) {
	if cred == nil || cred.Password == nil {
		return admin.Actor{}, fmt.Errorf("%w: no user name and password were given", admin.ErrSignIn)
	}
	return d.Admin.SignIn(ctx, cred.UserName, cred.Password.Reveal())
}

// As is the actor of a named account, asked anew for each command.
func As(d *app.Deployment, userName string) func(context.Context) (admin.Actor, error) {
	return func(ctx context.Context) (admin.Actor, error) { return d.Admin.ActorFor(ctx, userName) }
}
