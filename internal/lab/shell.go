package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/app"
	"busybridge/internal/app/client"
	"busybridge/internal/app/shell"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
)

// ShellOptions say whose shell to open, and how it looks.
type ShellOptions struct {
	shell.Screen
	Org  string // onprem, cloud or directory
	User string // account whose shell it is; "": the lab's administrator; Operator
}

// Operator is the user whose shell may do everything, as who runs a deployment may.
const Operator = "operator"

// A Shell is a session in the world. Close it.
type Shell struct {
	*shell.Shell
	connector *shell.Connector
	drive     *hostcmd.Drive
	also      func() error
}

// Close ends the session.
func (s *Shell) Close() error { return errors.Join(s.connector.Close(), s.drive.Close(), s.also()) }

// A world is what shells are opened in: this process's lab, or the stores of
// one that another process runs.
type world struct {
	dir     string
	file    *client.LabFile
	now     func() time.Time
	hosts   []host
	deploy  func(context.Context, deploymentName) (*app.Deployment, error)
	closing func() error
}

// Shell opens a shell in this lab.
func (l *Lab) Shell(ctx context.Context, o ShellOptions) (*Shell, error) {
	w := world{dir: l.o.Dir, file: &l.file, now: l.o.Now, hosts: l.hosts, closing: func() error { return nil },
		deploy: func(_ context.Context, name deploymentName) (*app.Deployment, error) { return l.deployments[name], nil }}
	return w.shell(ctx, o)
}

// OpenShell opens a shell in the lab that runs in dir, as a rule in another
// process. Its stores are used side by side.
func OpenShell(ctx context.Context, dir string, now func() time.Time, log *slog.Logger, o ShellOptions) (*Shell, error) {
	w, err := openWorld(dir, now, log)
	if err != nil {
		return nil, err
	}
	s, err := w.shell(ctx, o)
	if err != nil {
		return nil, errors.Join(err, w.closing())
	}
	return s, nil
}

// openWorld is the lab in dir, whose stores are opened as they are needed.
func openWorld(dir string, now func() time.Time, log *slog.Logger) (*world, error) {
	file, err := client.ReadLabFile(dir)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, stateFileName))
	if err != nil {
		return nil, err
	}
	var st state
	if err := json.Unmarshal(b, &st); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, stateFileName), err)
	}
	roots, err := client.ReadRoots(file.CAFile)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	opened := map[deploymentName]*app.Deployment{}
	w := &world{dir: dir, file: file, now: now, hosts: hosts(directory.Clouds[cloudName])}
	w.deploy = func(ctx context.Context, name deploymentName) (*app.Deployment, error) {
		mu.Lock()
		defer mu.Unlock()
		if d := opened[name]; d != nil {
			return d, nil
		}
		clock := now
		if st.Fault == faultClock && name == onprem {
			clock = func() time.Time { return now().Add(clockOff) }
		}
		d, err := app.Open(ctx, app.Settings{
			StorePath: storeFile(dir, name), SealKey: st.SealKey, Now: clock, Log: log,
			Dial: safehttp.Config{Roots: roots, ConnectTo: file.ConnectTo()},
		})
		if err == nil {
			opened[name] = d
		}
		return d, err
	}
	w.closing = func() (err error) {
		mu.Lock()
		defer mu.Unlock()
		for _, d := range opened {
			err = errors.Join(err, d.Close())
		}
		return err
	}
	return w, nil
}

// OpenDeployment opens the store of one organization of the lab that runs in
// dir, beside the process that runs it. Close the deployment.
func OpenDeployment(ctx context.Context, dir, org string, now func() time.Time, log *slog.Logger) (*app.Deployment, error) {
	if name := deploymentName(org); name != onprem && name != cloud {
		return nil, fmt.Errorf("%w: want onprem or cloud, not %q", ErrUsage, org)
	}
	w, err := openWorld(dir, now, log)
	if err != nil {
		return nil, err
	}
	return w.deploy(ctx, deploymentName(org))
}

func (w *world) shell(ctx context.Context, o ShellOptions) (_ *Shell, err error) {
	name := deploymentName(o.Org)
	user, err := w.user(name, o.User)
	if err != nil {
		return nil, err
	}
	d, err := w.deploy(ctx, name)
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(w.dir, driveName)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	drive, err := hostcmd.OpenDrive(folder)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, drive.Close())
		}
	}()
	connector := &shell.Connector{HTTP: d.Client(), Prompt: o.Prompt}
	cfg := shell.Config{
		Screen: o.Screen, Deployment: d, Now: w.now, Host: mailHost, User: user, Drive: drive,
		Connector: connector,
	}
	out := &Shell{connector: connector, drive: drive, also: w.closing}
	switch name {
	case authorize:
		cfg.Host = w.hosts[0].name
		out.Shell, err = shell.Directory(cfg)
		return out, err
	case cloud:
		cfg.Host = directory.Clouds[cloudName].EWSHost
	}
	org, err := d.Organization(ctx, "")
	if err != nil {
		return nil, err
	}
	actor := shell.As(d, user)
	if user == Operator {
		cfg.Operator, actor = true, func(context.Context) (admin.Actor, error) { return operator, nil }
	}
	out.Shell, err = shell.Exchange(cfg, org, actor)
	return out, err
}

// user is whose shell it is.
func (w *world) user(name deploymentName, asked string) (string, error) {
	if asked != "" {
		return asked, nil
	}
	if a, ok := w.file.Administrator(string(name)); ok {
		return a.User, nil
	}
	return "", fmt.Errorf("%w: a shell is of onprem, cloud or directory, not of %q", ErrUsage, name)
}
