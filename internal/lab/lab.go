// Package lab runs the whole hybrid world in one process: an authorization
// server, an on-premises organization with an old server in it, and a cloud
// organization, each with its own store and its own listeners on loopback.
package lab

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"busybridge/internal/app"
	"busybridge/internal/app/client"
	"busybridge/internal/app/shell"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/serve/opsserver"
	"busybridge/internal/trust"
)

// ErrUsage marks options that make no sense.
var ErrUsage = errors.New("lab")

// Options of a lab.
type Options struct {
	// Dir holds the world: stores, lab.json, the certificate authority. It is
	// made when it does not exist, and used again when it does. Empty: a
	// temporary one, removed by Close.
	Dir     string
	Edition string           // "" is Edition2014
	Steps   string           // the edition whose steps join the world; "": Edition
	Port    int              // of every host; 0: any free one
	Bare    bool             // Join is not going to be called
	Fault   string           // one of Faults; "" is none
	Now     func() time.Time // required
	Log     *slog.Logger     // required
	Ticks   trust.Ticks      // of the tasks that look after keys; nil: those of the machine's clock
	Out     io.Writer        // required; lines for people
	// Strangers are further hosts, of none of the deployments, that the world can
	// reach as others on the Internet; by name. For tests.
	Strangers map[string]Stranger
	// StoreURL is the store of each deployment instead of a file in Dir; nil: files.
	// For tests.
	StoreURL func(deployment string) string
}

// A Stranger is what answers at a host that does not belong to the world.
type Stranger struct {
	Handler     http.Handler
	Certificate *tls.Certificate // nil: one of the lab's authority, for the host
}

// A Lab is a running world.
type Lab struct {
	o     Options
	cloud directory.Cloud
	hosts []host
	temp  bool // Dir goes with the lab
	ca    *authority
	file  client.LabFile
	state state

	deployments map[deploymentName]*app.Deployment
	broken      broken // what a fault does outside of the stores
	stop        context.CancelFunc
	done        chan struct{} // closed when every listener and task has ended
	err         error         // why it ended; read after done
	closing     sync.Once
}

// state is DIR/state.json: what a lab must know again when it is started anew.
type state struct {
	Edition   string            `json:"edition"`
	Passwords map[string]string `json:"passwords"` // by user
	SealKey   []byte            `json:"sealKey"`
	Joined    bool              `json:"joined"`
	Fault     string            `json:"fault,omitempty"`
}

// Start builds the world, or opens the one in Dir, and serves it. The
// organizations know nothing of each other until Join.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if o.Edition == "" {
		o.Edition = Edition2014
	}
	if !slices.Contains(Editions(), o.Edition) {
		return nil, fmt.Errorf("%w: there is no edition %q; the lab has %s", ErrUsage, o.Edition, strings.Join(Editions(), ", "))
	}
	if o.Steps == "" {
		o.Steps = o.Edition
	}
	if !slices.Contains(Editions(), o.Steps) {
		return nil, fmt.Errorf("%w: no edition %q has steps", ErrUsage, o.Steps)
	}
	switch f, ok := knownFault(o.Fault); {
	case o.Fault == "":
	case !ok:
		return nil, fmt.Errorf("%w: no fault is called %q; see: busybridge lab --fault list", ErrUsage, o.Fault)
	case !slices.Contains(f.Editions, o.Edition) || !slices.Contains(f.Editions, o.Steps):
		return nil, fmt.Errorf("%w: the fault %s is of edition %s, not of %s", ErrUsage, f.Name, strings.Join(f.Editions, " and "), o.Edition)
	}
	if o.Port < 0 || o.Port > 65535 {
		return nil, fmt.Errorf("%w: port %d", ErrUsage, o.Port)
	}
	l := &Lab{o: o, cloud: directory.Clouds[cloudName], deployments: map[deploymentName]*app.Deployment{}, done: make(chan struct{})}
	l.hosts = hosts(l.cloud)
	for _, name := range slices.Sorted(maps.Keys(o.Strangers)) {
		l.hosts = append(l.hosts, host{name, stranger})
	}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(err, l.closeStores())
	}
	return l, nil
}

func (l *Lab) start(ctx context.Context) (err error) {
	fresh, err := l.openDir()
	if err != nil {
		return err
	}
	var names []string
	for _, h := range l.hosts {
		names = append(names, h.name)
	}
	if l.ca, err = openAuthority(l.o.Dir, names, l.o.Now()); err != nil {
		return err
	}
	listeners, err := l.listen()
	if err != nil {
		return err
	}
	all := slices.Concat(slices.Collect(maps.Values(listeners))...)
	closeAll := func() {
		for _, ln := range all {
			ln.Close()
		}
	}
	ops := map[deploymentName]*opsserver.Server{}
	for _, name := range []deploymentName{authorize, cloud, onprem} {
		if ops[name], err = l.open(ctx, name); err != nil {
			closeAll()
			return err
		}
	}
	if err := l.serve(ctx, listeners, ops); err != nil {
		closeAll()
		return err
	}
	if fresh {
		if err := l.populate(ctx); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	if err := l.describe(); err != nil {
		return errors.Join(err, l.Close())
	}
	return nil
}

// openDir makes the directory and reads or makes its state.
func (l *Lab) openDir() (fresh bool, err error) {
	if l.o.Dir == "" {
		l.temp = true
		if l.o.Dir, err = os.MkdirTemp("", "busybridge-lab-"); err != nil {
			return false, err
		}
	} else if err := os.MkdirAll(l.o.Dir, 0o700); err != nil {
		return false, err
	}
	if l.o.Dir, err = filepath.Abs(l.o.Dir); err != nil {
		return false, err
	}
	b, err := os.ReadFile(l.stateFile())
	switch {
	case err == nil:
		if err := json.Unmarshal(b, &l.state); err != nil {
			return false, fmt.Errorf("%s: %w", l.stateFile(), err)
		}
		if l.state.Edition != l.o.Edition {
			return false, fmt.Errorf("%w: the world in %s is of edition %s; say --edition %s, or take another --dir", ErrUsage, l.o.Dir, l.state.Edition, l.state.Edition)
		}
		if l.o.Fault != l.state.Fault {
			return false, fmt.Errorf("%w: the world in %s was made with fault %q; remove it or take another --dir", ErrUsage, l.o.Dir, l.state.Fault)
		}
		return false, nil
	case !errors.Is(err, os.ErrNotExist):
		return false, err
	}
	// A world whose making was interrupted has stores but no state.
	for _, name := range []deploymentName{authorize, cloud, onprem} {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(storeFile(l.o.Dir, name) + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return false, err
			}
		}
	}
	l.state = state{Edition: l.o.Edition, Passwords: map[string]string{}, SealKey: make([]byte, 32), Fault: l.o.Fault}
	rand.Read(l.state.SealKey)
	return true, nil
}

const stateFileName = "state.json"

func (l *Lab) stateFile() string { return filepath.Join(l.o.Dir, stateFileName) }

func storeFile(dir string, name deploymentName) string { return filepath.Join(dir, string(name)+".db") }

func (l *Lab) storePath(name deploymentName) string {
	if l.o.StoreURL != nil {
		return l.o.StoreURL(string(name))
	}
	return storeFile(l.o.Dir, name)
}

func (l *Lab) saveState() error { return writeJSON(l.stateFile(), l.state) }

// writeJSON replaces a file that only its owner may read.
func writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// firstAddress is the last byte of the first host's address, 127.0.0.11.
const firstAddress = 11

func (l *Lab) address(i int) string { return fmt.Sprintf("127.0.0.%d", firstAddress+i) }

// listen opens every host's listener, all on one port.
func (l *Lab) listen() (map[deploymentName][]net.Listener, error) {
	tries := 1
	if l.o.Port == 0 {
		tries = 20 // a port that is free on the first address may be taken on another
	}
	var err error
	for range tries {
		var out map[deploymentName][]net.Listener
		if out, err = l.listenOn(l.o.Port); err == nil {
			return out, nil
		}
	}
	if l.o.Port != 0 {
		err = fmt.Errorf("%w (another lab? take another --port, or 0 for any)", err)
	}
	return nil, err
}

func (l *Lab) listenOn(port int) (_ map[deploymentName][]net.Listener, err error) {
	out := map[deploymentName][]net.Listener{}
	var all []net.Listener
	defer func() {
		if err != nil {
			for _, ln := range all {
				ln.Close()
			}
		}
	}()
	for i, h := range l.hosts {
		ln, err := net.Listen("tcp", fmt.Sprintf("%s:%d", l.address(i), port))
		if err != nil {
			return nil, fmt.Errorf("listen for %s: %w", h.name, err)
		}
		all = append(all, ln)
		out[h.of] = append(out[h.of], ln)
		port = ln.Addr().(*net.TCPAddr).Port
	}
	l.file = client.LabFile{
		Edition: l.o.Edition, Port: port, CAFile: filepath.Join(l.o.Dir, "ca.pem"), Hosts: map[string]string{}, URLs: map[string]string{}, Ops: map[string]string{},
	}
	for i, h := range l.hosts {
		l.file.Hosts[h.name] = l.address(i)
	}
	l.file.Hosts[goneHost] = l.address(len(l.hosts))
	return out, nil
}

// open opens one deployment with its health and metrics.
func (l *Lab) open(ctx context.Context, name deploymentName) (*opsserver.Server, error) {
	role := app.RoleOrganization
	if name == authorize {
		role = app.RoleAuthority
	}
	log := l.o.Log.With("deployment", string(name))
	registry := opsserver.NewRegistry()
	d, err := app.Open(ctx, app.Settings{
		StorePath: l.storePath(name), SealKey: l.state.SealKey, Roles: []string{role}, Now: l.clockOf(name), Log: log, Ticks: l.o.Ticks, Registerer: registry,
		Runspaces: shell.Runspaces,
		Dial:      safehttp.Config{Roots: l.ca.pool(), ConnectTo: l.file.ConnectTo()},
	})
	if err != nil {
		return nil, fmt.Errorf("deployment %s: %w", name, err)
	}
	l.deployments[name] = d
	return opsserver.New(opsserver.Config{Gatherer: registry, Now: l.o.Now, Log: log, Checks: []opsserver.Check{{Name: "store", Func: d.Store.Ping}}})
}

// serve starts every listener and the deployments' tasks. They end with stop.
func (l *Lab) serve(ctx context.Context, listeners map[deploymentName][]net.Listener, ops map[deploymentName]*opsserver.Server) error {
	certs := make(map[string]*tls.Certificate, len(l.hosts))
	for _, h := range l.hosts {
		c, err := l.ca.certificate(h.name, l.o.Now())
		if err != nil {
			return err
		}
		certs[h.name] = &c
	}
	var all []app.Listener
	for name, s := range l.o.Strangers {
		if s.Certificate != nil {
			certs[name] = s.Certificate
		}
	}
	for name, of := range listeners {
		for _, ln := range of {
			byName := l.hostAt(ln)
			handler := l.o.Strangers[byName].Handler
			switch d := l.deployments[name]; {
			case d != nil:
				handler = l.broken.before(d.Handler())
			case name == edge:
				handler = &l.broken
			}
			all = append(all, app.Listener{Listener: ln, Handler: handler, TLS: &tls.Config{
				MinVersion: tls.VersionTLS12,
				GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
					return l.broken.tlsOf(name, certs), nil
				},
				GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
					if c, ok := certs[strings.ToLower(hello.ServerName)]; ok {
						return c, nil
					}
					return certs[byName], nil // a client that sends no name
				},
			}})
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		l.file.Ops[string(name)] = "http://" + ln.Addr().String()
		all = append(all, app.Listener{Listener: ln, Handler: app.OpsHandler(ops[name], l.o.Log, l.o.Now)})
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	go func() {
		defer close(l.done)
		l.err = app.RunAll(run, slices.Collect(maps.Values(l.deployments)), func(ctx context.Context) error {
			return app.ServeAll(ctx, l.o.Log, all...)
		})
	}()
	return nil
}

// hostAt is the host whose address a listener has.
func (l *Lab) hostAt(ln net.Listener) string {
	ip := ln.Addr().(*net.TCPAddr).IP.String()
	for h, a := range l.file.Hosts {
		if a == ip {
			return h
		}
	}
	return ""
}

// File is what lab.json says.
func (l *Lab) File() *client.LabFile { return &l.file }

// Dir is the directory of the world.
func (l *Lab) Dir() string { return l.o.Dir }

// Wait returns when ctx ends or the lab has failed.
func (l *Lab) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-l.done:
		return l.err
	}
}

// Close stops the lab and waits until everything has ended. A temporary
// directory is removed; lab.json goes in any case, for nothing answers any more.
func (l *Lab) Close() (err error) {
	l.closing.Do(func() {
		if l.stop != nil {
			l.stop()
			<-l.done
			err = l.err
		}
		if rm := os.Remove(filepath.Join(l.o.Dir, client.LabFileName)); !errors.Is(rm, os.ErrNotExist) {
			err = errors.Join(err, rm)
		}
		err = errors.Join(err, l.closeStores())
	})
	return err
}

func (l *Lab) closeStores() (err error) {
	for _, d := range l.deployments {
		err = errors.Join(err, d.Close())
	}
	l.deployments = nil
	if l.temp && l.o.Dir != "" {
		err = errors.Join(err, os.RemoveAll(l.o.Dir))
	}
	return err
}

// Describe tells people how to reach the lab.
func (l *Lab) Describe(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "The lab is up: %s\n\n", filepath.Join(l.o.Dir, client.LabFileName))
	fmt.Fprintf(&b, "Its people, and the passwords that they sign in with:\n")
	for _, m := range l.file.Mailboxes {
		fmt.Fprintf(&b, "  %-6s %-24s %s  %s\n", m.Org, m.Address, m.Password, m.Node)
	}
	fmt.Fprintf(&b, "\nIts administrators:\n")
	for _, a := range l.file.Administrators {
		fmt.Fprintf(&b, "  %-9s %-42s %s\n", a.Org, a.User, a.Password)
	}
	fmt.Fprintf(&b, "\nOpen the management shell of onprem, cloud or directory:\n  busybridge shell --lab %s --org onprem\n", l.o.Dir)
	fmt.Fprintf(&b, "\nAsk for free/busy:\n  busybridge availability --lab %s --user %s --for %s --for %s\n", l.o.Dir,
		"alice@"+domain, "bob@"+domain, "kim@"+domain)
	fmt.Fprintf(&b, "\nLines for the hosts file, for clients under the real names (start as root with --port 443):\n")
	for i, h := range l.hosts {
		fmt.Fprintf(&b, "  %-12s %s\n", l.address(i), h.name)
	}
	fmt.Fprintf(&b, "\nCertificate authority for them to trust: %s\nStop with Ctrl-C.\n", l.file.CAFile)
	_, err := io.WriteString(w, b.String())
	return err
}
