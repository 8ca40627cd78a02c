package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"busybridge/internal/app/config"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/serve/mount"
	"busybridge/internal/serve/opsserver"
	"busybridge/internal/serve/remoteserver"
)

// Serve runs one node of a configuration until ctx ends. runspaces are
// Settings.Runspaces.
func Serve(ctx context.Context, cfg *config.Config, log *slog.Logger, runspaces func(*Deployment) remoteserver.Runspaces, reload Reload) (err error) {
	registry := opsserver.NewRegistry()
	set, err := SettingsOf(cfg, log)
	if err != nil {
		return err
	}
	set.Registerer, set.Runspaces = registry, runspaces
	d, err := Open(ctx, set)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()

	cert, err := newCertificateFile(cfg.TLS.CertificateFile, cfg.TLS.KeyFile, log, set.Now)
	if err != nil {
		return err
	}
	ops, err := opsserver.New(opsserver.Config{Gatherer: registry, Now: set.Now, Log: log, Checks: []opsserver.Check{{Name: "store", Func: d.Store.Ping}}})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	tc := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get}
	if cfg.TLS.ClientCertificates {
		tc.ClientAuth = tls.RequestClientCert // accounts name those that count; see serve/callers
	}
	listeners := []Listener{{Listener: ln, Handler: d.Handler(), TLS: tc}}
	if cfg.OpsListen != config.Off {
		opsLn, err := net.Listen("tcp", cfg.OpsListen)
		if err != nil {
			return errors.Join(fmt.Errorf("ops_listen: %w", err), ln.Close())
		}
		listeners = append(listeners, Listener{Listener: opsLn, Handler: OpsHandler(ops, log, set.Now)})
	}
	log.Info("serving", "listen", ln.Addr().String(), "hosts", cfg.Node.HostNames, "roles", cfg.Node.Roles)
	if err := d.greet(ctx, cfg); err != nil {
		return errors.Join(err, ln.Close())
	}
	re := newReloader(reload, cfg, d, cert, registry)
	drain := Drain{Begin: ops.Drain, Wait: cfg.Drain.Wait, Limit: cfg.Drain.Limit}
	return RunAll(ctx, []*Deployment{d}, func(ctx context.Context) error {
		reloads, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() { re.run(reloads) })
		defer wg.Wait()
		defer stop()
		return drain.ServeAll(ctx, log, listeners...)
	})
}

// greet says what an operator should know of an empty store.
func (d *Deployment) greet(ctx context.Context, cfg *config.Config) error {
	for _, host := range cfg.Node.HostNames {
		if !d.has(RoleOrganization) {
			break
		}
		orgs, err := d.Store.OrganizationsAt(ctx, host)
		if err != nil {
			return err
		}
		if len(orgs) == 0 {
			d.set.Log.Warn("no organization is served under this name; make one with: busybridge setup", "host", host)
		}
	}
	return nil
}

// OpsHandler is the handler of the health and metrics listener.
func OpsHandler(ops *opsserver.Server, log *slog.Logger, now func() time.Time) http.Handler {
	quiet := slog.New(levelled{log.Handler()})
	return mount.New(mount.Config{Routes: ops.Routes(), Log: quiet, Now: now})
}

// levelled drops the lines of requests that went well: probes come every few seconds.
type levelled struct{ slog.Handler }

func (l levelled) Enabled(ctx context.Context, level slog.Level) bool {
	return level > slog.LevelInfo && l.Handler.Enabled(ctx, level)
}

// OpenBeside opens the store of a configuration without serving anything, beside
// a server that may be running.
func OpenBeside(ctx context.Context, cfg *config.Config, log *slog.Logger) (*Deployment, error) {
	set, err := SettingsOf(cfg, log)
	if err != nil {
		return nil, err
	}
	set.Roles = nil
	return Open(ctx, set)
}

// SettingsOf reads the files that a configuration names.
func SettingsOf(cfg *config.Config, log *slog.Logger) (Settings, error) {
	key, err := cfg.SealKey()
	if err != nil {
		return Settings{}, err
	}
	roots, err := cfg.Roots()
	if err != nil {
		return Settings{}, err
	}
	proxy, err := cfg.Proxy()
	if err != nil {
		return Settings{}, fmt.Errorf("proxy: %w", err)
	}
	at, err := StoreOf(cfg)
	if err != nil {
		return Settings{}, err
	}
	return Settings{
		StorePath: at.Path, StorePassword: at.Password, Citus: at.Citus, SealKey: key, Roles: cfg.Node.Roles, Now: time.Now, Log: log,
		Dial:    safehttp.Config{Roots: roots, ConnectTo: cfg.ConnectTo, AllowPrivate: cfg.AllowPrivateNetworks, Proxy: proxy},
		Timeout: cfg.Limits.Deadline, PeerTimeout: cfg.Limits.PeerDeadline, PeerBody: int64(cfg.Limits.PeerBodyBytes), Body: int64(cfg.Limits.BodyBytes),
		Mailboxes: cfg.Limits.Mailboxes, InFlight: cfg.Limits.InFlight, Turns: turnsOf(&cfg.Limits), CacheBytes: cfg.Limits.CacheBytes, MetadataRefresh: cfg.MetadataRefresh, TokenReuse: tokenReuse(cfg.TokenReuse), TrustedProxies: cfg.TrustedProxies,
		UserIssuers: cfg.UserIssuers(), ClientCertificates: cfg.TLS.ClientCertificates, Remote: remoteLimits(cfg.RemotePowerShell),
	}, nil
}

// turnsOf is who may have how much of the node.
func turnsOf(l *config.Limits) mount.TurnsConfig {
	user := mount.Budget{AtOnce: l.UserAtOnce, PerMinute: l.UserPerMinute}
	all := l.AtOnce
	if all == 0 {
		all = max(l.InFlight/2, 1)
	}
	return mount.TurnsConfig{AtOnce: all, Anonymous: user, User: user, Partner: mount.Budget{AtOnce: l.PartnerAtOnce, PerMinute: l.PartnerPerMinute}}
}

// remoteLimits are configured limits as the server of remote sessions has them.
func remoteLimits(c config.RemotePowerShell) remoteserver.Limits {
	return remoteserver.Limits{
		Sessions: c.Sessions, AllSessions: c.AllSessions, NewSessions: c.NewSessions, Commands: c.Commands, Memory: c.MemoryBytes, Body: c.BodyBytes,
		Envelope: c.EnvelopeBytes, Idle: c.Idle, MaxIdle: c.MaxIdle, Lifetime: c.Lifetime, Run: c.Run,
	}
}

// tokenReuse is a configured window as Settings have it.
func tokenReuse(window time.Duration) time.Duration {
	if window == 0 {
		return -1
	}
	return window
}

// NewLogger is the log of a node: to w, JSON or text as configured. Its level can
// be changed.
func NewLogger(cfg config.Log, w io.Writer) (*slog.Logger, *slog.LevelVar, error) {
	at, err := cfg.SlogLevel()
	if err != nil {
		return nil, nil, err
	}
	level := new(slog.LevelVar)
	level.Set(at)
	if cfg.Format == "text" {
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), level, nil
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), level, nil
}
