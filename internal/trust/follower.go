package trust

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"busybridge/internal/directory"
)

// A FollowerConfig is what a Follower needs.
type FollowerConfig struct {
	// Organizations returns the newest snapshots; required.
	Organizations func(context.Context) ([]*directory.Organization, error)
	// Follow reads the document of one partner again and follows it; required.
	Follow func(ctx context.Context, org directory.OrgID, partner string) error
	Now    func() time.Time // required
	Log    *slog.Logger     // required
	Every  time.Duration    // how old what was read may become; default 8 h
	// Timeout bounds one Follow; default 10 s (oauth-s2s 1.3).
	Timeout time.Duration
	// Ticks wake Run; default MachineTicks.
	Ticks Ticks
}

// A Follower has the documents of directly trusted partners read again: when the
// program starts, on schedule, and soon after a token named a key that is not
// pinned. What it may change is the matter of Follow. It is safe for concurrent use.
type Follower struct {
	cfg   FollowerConfig
	asked chan serverKey

	mu    sync.Mutex
	last  map[serverKey]time.Time // tried; guarded by mu
	retry map[serverKey]backoff   // guarded by mu
}

// NewFollower checks the configuration.
func NewFollower(cfg FollowerConfig) (*Follower, error) {
	if cfg.Organizations == nil || cfg.Follow == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("trust: a Follower needs Organizations, Follow, Now and Log")
	}
	cfg.Every = orDefault(cfg.Every, 8*time.Hour)
	cfg.Timeout = orDefault(cfg.Timeout, 10*time.Second)
	if cfg.Ticks == nil {
		cfg.Ticks = MachineTicks
	}
	return &Follower{cfg: cfg, asked: make(chan serverKey, 64), last: make(map[serverKey]time.Time), retry: make(map[serverKey]backoff)}, nil
}

// UnknownKey asks for the document of a partner to be read soon, at most once a
// minute. It does not wait; it does nothing while Run is not running.
func (f *Follower) UnknownKey(org directory.OrgID, partner string) {
	k, now := serverKey{org, partner}, f.cfg.Now()
	f.mu.Lock()
	last, tried := f.last[k]
	due := !tried || now.Sub(last) >= unknownKeyEvery
	if due {
		f.last[k] = now
	}
	f.mu.Unlock()
	if !due {
		return
	}
	select {
	case f.asked <- k:
	default: // many are waiting already: the next unknown key asks again
	}
}

// Run follows until ctx ends, one partner after the other.
func (f *Follower) Run(ctx context.Context) error {
	tick, stop := f.cfg.Ticks(min(max(f.cfg.Every/32, time.Minute), 15*time.Minute))
	defer stop()
	f.followDue(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case k := <-f.asked:
			f.follow(ctx, k)
		case <-tick:
			f.followDue(ctx)
		}
	}
}

// followDue follows every partner whose turn it is.
func (f *Follower) followDue(ctx context.Context) {
	orgs, err := f.cfg.Organizations(ctx)
	if err != nil {
		f.cfg.Log.WarnContext(ctx, "documents of partners: list organizations", "err", err)
		return
	}
	now := f.cfg.Now()
	for _, org := range orgs {
		for i := range org.PartnerApplications {
			p := &org.PartnerApplications[i]
			k := serverKey{org.ID, p.Name}
			f.mu.Lock()
			last, tried := f.last[k]
			due := (!tried || now.Sub(last) >= f.cfg.Every || f.retry[k].failures > 0) && !now.Before(f.retry[k].next)
			f.mu.Unlock()
			if due && p.Enabled && !p.UseAuthServer && p.AuthMetadataURL != "" && ctx.Err() == nil {
				f.follow(ctx, k)
			}
		}
	}
}

// follow follows one partner; after a failure the pinned keys stay.
func (f *Follower) follow(ctx context.Context, k serverKey) {
	bounded, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	err := f.cfg.Follow(bounded, k.org, k.name)
	cancel()
	now := f.cfg.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last[k] = now
	if err == nil {
		delete(f.retry, k)
		return
	}
	b := f.retry[k]
	b.next = now.Add(min(time.Minute<<min(b.failures, 10), f.cfg.Every))
	b.failures++
	f.retry[k] = b
	if ctx.Err() == nil {
		f.cfg.Log.WarnContext(ctx, "document of a partner: the pinned keys stay", "org", k.org, "partner", k.name, "err", err)
	}
}
