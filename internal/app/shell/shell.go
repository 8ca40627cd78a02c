// Package shell makes sessions of the management shell: the Exchange Management
// Shell of an organization, or a plain Windows PowerShell with the MSOnline module
// for the directory of an authorization server.
package shell

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"

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
	commands, err := exchangecmd.Commands(exchangecmd.Config{
		Admin: cfg.Deployment.Admin, Org: org.ID, Actor: actor, Hosted: org.Tenant != "", Server: cfg.Host, RunspaceID: cfg.RunspaceID,
		Now: cfg.Now, OAuth: cfg.Deployment,
	})
	if err != nil {
		return nil, err
	}
	certificates := func(ctx context.Context) ([]*object.Certificate, error) {
		return certificates(ctx, cfg.Deployment, org.ID, actor)
	}
	s, err := open(cfg, certificates, commands, map[string]any{"FormatEnumerationLimit": 16})
	if err != nil {
		return nil, err
	}
	s.title = "[PS] "
	s.Banner = fmt.Sprintf("Exchange Management Shell of %s on %s, as %s.", org.Name, cfg.Host, cfg.User)
	return s, nil
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
	s, err := open(cfg, nil, commands, nil)
	if err != nil {
		return nil, err
	}
	s.title = "PS "
	s.Banner = fmt.Sprintf("Windows PowerShell with the MSOnline module, for the directory at %s. Begin with Connect-MsolService.", cfg.Host)
	return s, nil
}

// open makes the session.
func open(cfg Config, certificates func(context.Context) ([]*object.Certificate, error), commands []interp.Command, variables map[string]any) (*Shell, error) {
	if cfg.Drive != nil {
		host, err := hostcmd.Commands(hostcmd.Config{
			Drive: cfg.Drive, Certificates: certificates, Credentials: cfg.Credentials, Connector: cfg.Connector,
			Modules: []string{"MSOnline", "MSOnlineExtended", msolcmd.ModuleAzureAD, exchangecmd.Module}, History: cfg.History, ClearHost: cfg.ClearHost,
			Zone: cfg.Zone, Now: cfg.Now,
		})
		if err != nil {
			return nil, err
		}
		commands = append(host, commands...)
	}
	all := format.Views{}
	for _, v := range []format.Views{hostcmd.Views(), exchangecmd.Views(), msolcmd.Views()} {
		maps.Copy(all, v) // all of them: imported cmdlets show their objects, too
	}
	name, _, _ := strings.Cut(cfg.Host, ".")
	name = strings.ToUpper(name)
	ic := interp.Config{
		Commands: commands, Now: cfg.Now, Zone: cfg.Zone, Host: name, User: cfg.User, Width: cfg.Width, Prompt: cfg.Prompt,
		Formatter: &format.Formatter{Views: all, Now: cfg.Now}, Streams: cfg.Streams, Variables: variables, Remote: cfg.RunspaceID != "",
		Env: map[string]string{"SYSTEMDRIVE": "C:", "COMPUTERNAME": name, "USERNAME": cfg.User, "USERPROFILE": `C:\Users\` + cfg.User},
	}
	if cfg.Drive != nil {
		ic.Files = cfg.Drive
	}
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

// A Connector is the internal transport to organizations of deployments that
// this process can open: what New-PSSession reaches.
type Connector struct {
	// Find returns the deployment that answers at a host; directory.ErrNotFound: none.
	Find func(ctx context.Context, host string) (*app.Deployment, error)
	Now  func() time.Time
	// Screen is that of the shell which connects: its zone, and whom to ask.
	Screen Screen
}

// Connect signs in and opens a session of the organization that the user
// belongs to. It implements hostcmd.Connector.
func (c *Connector) Connect(ctx context.Context, t hostcmd.Target) (hostcmd.Remote, error) {
	host := t.ComputerName
	if t.URI != nil {
		host = t.URI.Hostname()
	}
	d, err := c.Find(ctx, host)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, fmt.Errorf("%s: %w", host, hostcmd.ErrUnknownHost)
	}
	if err != nil {
		return nil, err
	}
	who, err := signIn(ctx, d, t.Credential)
	if err != nil {
		return nil, err
	}
	orgs, err := d.Store.OrganizationsAt(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, o := range orgs {
		if o.ID != who.Org {
			continue
		}
		info := hostcmd.RemoteInfo{ComputerName: host, RunspaceID: uuid.NewString(), Configuration: t.Configuration}
		s, err := Exchange(Config{
			Screen: Screen{Zone: c.Screen.Zone, Prompt: c.Screen.Prompt}, Deployment: d, Now: c.Now, Host: host, User: who.Name, RunspaceID: info.RunspaceID,
		}, o, As(d, who.Name))
		if err != nil {
			return nil, err
		}
		return hostcmd.InProcess(s.Session, info), nil
	}
	return nil, fmt.Errorf("%s: %w: %s belongs to no organization there", host, admin.ErrSignIn, who.Name)
}
