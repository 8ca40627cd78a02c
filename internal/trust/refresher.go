package trust

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"busybridge/internal/directory"
)

// AuthServers is where a Refresher finds and keeps AuthServer objects.
type AuthServers interface {
	// Organizations returns the newest snapshots.
	Organizations(ctx context.Context) ([]*directory.Organization, error)
	// UpdateAuthServer changes the named AuthServer of org in one transaction.
	// An error of fn changes nothing and is returned.
	UpdateAuthServer(ctx context.Context, org directory.OrgID, name string, fn func(*directory.AuthServer) error) error
}

// Ticks makes a channel that a task is woken by, and a function that ends it.
type Ticks func(every time.Duration) (c <-chan time.Time, stop func())

// MachineTicks are those of the machine's clock.
func MachineTicks(every time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(every)
	return t.C, t.Stop
}

// A RefresherConfig is what a Refresher needs.
type RefresherConfig struct {
	Metadata Metadata         // required
	Servers  AuthServers      // required
	Now      func() time.Time // required
	Log      *slog.Logger     // required
	// Every is how old the metadata of an AuthServer may become; default 8 h
	// (oauth-s2s 1.4).
	Every time.Duration
	// Timeout bounds one fetch; default 10 s (oauth-s2s 1.3).
	Timeout time.Duration
	// Ticks wake Run; default MachineTicks.
	Ticks Ticks
}

// unknownKeyEvery is how often at most an unknown key makes a Refresher read the
// metadata of one AuthServer.
const unknownKeyEvery = time.Minute

// A Refresher keeps the keys of AuthServers current: it reads their metadata
// again on schedule, and when a token names a key that is not known. When that
// fails the old keys stay. It is safe for concurrent use.
type Refresher struct {
	cfg   RefresherConfig
	asked chan serverKey

	mu sync.Mutex
	// last is when an AuthServer was last tried; next when it is tried again
	// after a failure, failures how often it failed in a row. Guarded by mu.
	last  map[serverKey]time.Time
	retry map[serverKey]backoff
}

type serverKey struct {
	org  directory.OrgID
	name string
}

type backoff struct {
	failures int
	next     time.Time
}

// NewRefresher checks the configuration.
func NewRefresher(cfg RefresherConfig) (*Refresher, error) {
	if cfg.Metadata == nil || cfg.Servers == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("trust: a Refresher needs Metadata, Servers, Now and Log")
	}
	cfg.Every = orDefault(cfg.Every, 8*time.Hour)
	cfg.Timeout = orDefault(cfg.Timeout, 10*time.Second)
	if cfg.Ticks == nil {
		cfg.Ticks = MachineTicks
	}
	return &Refresher{cfg: cfg, asked: make(chan serverKey, 64), last: make(map[serverKey]time.Time),
		retry: make(map[serverKey]backoff)}, nil
}

// UnknownKey asks for the metadata of an AuthServer to be read soon, at most
// once a minute. It does not wait; it does nothing while Run is not running.
func (r *Refresher) UnknownKey(org directory.OrgID, authServer string) {
	k, now := serverKey{org, authServer}, r.cfg.Now()
	r.mu.Lock()
	last, tried := r.last[k]
	since := now.Sub(last)
	due := !tried || since >= unknownKeyEvery || since < 0 // the clock was set back
	if due {
		r.last[k] = now
	}
	r.mu.Unlock()
	if !due {
		return
	}
	select {
	case r.asked <- k:
	default: // many are waiting already: the next unknown key asks again
	}
}

// Run refreshes until ctx ends, one AuthServer after the other.
func (r *Refresher) Run(ctx context.Context) error {
	step := min(max(r.cfg.Every/32, time.Minute), 15*time.Minute)
	tick, stop := r.cfg.Ticks(step)
	defer stop()
	r.refreshDue(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case k := <-r.asked:
			_ = r.refreshLogged(ctx, k) // and asked for again by the next token
		case <-tick:
			r.refreshDue(ctx)
		}
	}
}

// refreshDue refreshes what is old. A host that lets one fetch time out is asked
// for no other in this round: it must not hold up those of other hosts.
func (r *Refresher) refreshDue(ctx context.Context) {
	orgs, err := r.cfg.Servers.Organizations(ctx)
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "refresh of metadata: list organizations", "err", err)
		return
	}
	now, slow := r.cfg.Now(), map[string]bool{}
	for _, org := range orgs {
		for i := range org.AuthServers {
			s := &org.AuthServers[i]
			k, host := serverKey{org.ID, s.Name}, hostOf(s.AuthMetadataURL)
			r.mu.Lock()
			wait := now.Before(r.retry[k].next)
			r.mu.Unlock()
			if s.Enabled && host != "" && !slow[host] && !wait && now.Sub(s.RefreshedAt) >= r.cfg.Every && ctx.Err() == nil {
				slow[host] = errors.Is(r.refreshLogged(ctx, k), context.DeadlineExceeded)
			}
		}
	}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

func (r *Refresher) refreshLogged(ctx context.Context, k serverKey) error {
	err := r.Refresh(ctx, k.org, k.name)
	if err != nil && ctx.Err() == nil {
		r.cfg.Log.WarnContext(ctx, "refresh of metadata: the old keys stay", "org", k.org, "authServer", k.name, "err", err)
	}
	return err
}

// Refresh reads the metadata of one AuthServer now (Set-AuthServer
// -RefreshAuthMetadata) and keeps its keys, token endpoint and audiences. On an
// error nothing changes. The text of the error begins as Exchange's does.
func (r *Refresher) Refresh(ctx context.Context, org directory.OrgID, authServer string) error {
	k := serverKey{org, authServer}
	err := r.refresh(ctx, k)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[k] = r.cfg.Now()
	if err == nil {
		delete(r.retry, k)
		return nil
	}
	b := r.retry[k]
	b.next = r.cfg.Now().Add(min(time.Minute<<min(b.failures, 10), r.cfg.Every))
	b.failures++
	r.retry[k] = b
	return err
}

func (r *Refresher) refresh(ctx context.Context, k serverKey) error {
	orgs, err := r.cfg.Servers.Organizations(ctx)
	if err != nil {
		return fmt.Errorf("refresh auth server %q: %w", k.name, err)
	}
	var was directory.AuthServer
	for _, org := range orgs {
		for i := range org.AuthServers {
			if org.ID == k.org && org.AuthServers[i].Name == k.name {
				was = org.AuthServers[i]
			}
		}
	}
	if was.AuthMetadataURL == "" {
		return fmt.Errorf("refresh auth server %q: no metadata URL: %w", k.name, directory.ErrNotFound)
	}
	fetch, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	now := r.cfg.Now()
	read, err := ReadAuthServer(fetch, r.cfg.Metadata, was, now)
	if err != nil {
		return fmt.Errorf("Cannot acquire auth metadata document from '%s'. Error: %w", was.AuthMetadataURL, err)
	}
	err = r.cfg.Servers.UpdateAuthServer(ctx, k.org, k.name, func(s *directory.AuthServer) error {
		if s.AuthMetadataURL != was.AuthMetadataURL || s.Type != was.Type {
			return errors.New("its metadata URL was changed meanwhile")
		}
		if !slices.Equal(s.CertificateStrings, was.CertificateStrings) || !s.RefreshedAt.Equal(was.RefreshedAt) {
			return nil // somebody read it meanwhile: what we have may be older
		}
		n, err := refreshed(*s, read, now)
		if err == nil {
			*s = n
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("refresh auth server %q: %w", k.name, err)
	}
	return nil
}
