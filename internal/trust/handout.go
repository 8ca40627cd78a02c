package trust

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"busybridge/internal/audit"
	"busybridge/internal/directory"
)

// A token that is handed out again was recorded when it was signed. Each time that
// it is handed out is counted, and the counts are recorded a moment later: one
// event for each token and key that asked. So an answer that was given before
// waits for no disk.

// A handout is what came of a request, and what that depends on. While none of it
// has changed, the same request has the same answer, unread.
type handout struct {
	cfg     *directory.AuthorityConfig
	version int64 // of the realm
	token   *issuedToken
	by      tallyKey
	// from and until are when every check of time passes, half-open.
	from, until time.Time
	told        atomic.Bool // that the assertion came again
}

// again is the token of a request that came before, or nil when it has to be looked
// at. What can change is asked each time: the realm with its principals, their
// credentials and names; the configuration; the time; the age of the token.
func (g *grant) again(ctx context.Context, path string, asked fingerprint) (*issuedToken, error) {
	h, ok := g.a.handouts.get(asked)
	if !ok || h.cfg != g.cfg || g.now.Before(h.from) || !g.now.Before(h.until) || !h.token.freshAt(g.now, g.a.issued.window) {
		return nil, nil
	}
	// An error is found again, and answered, by who looks at the request.
	r, err := g.a.cfg.Realms.Realm(ctx, strings.ToLower(path))
	if err != nil || r.ID != h.by.realm || r.Version != h.version {
		return nil, nil //nolint:nilerr // see above
	}
	if !h.told.Load() && !h.told.Swap(true) {
		g.sentBefore(r.ID, h.by.caller)
	}
	if err := g.a.count(ctx, h.by, g.now, true); err != nil {
		return nil, err
	}
	return h.token, nil
}

// remember keeps what came of a request.
func (g *grant) remember(asked fingerprint, t *issuedToken) {
	if g.a.issued.window > 0 {
		g.a.handouts.put(asked, &handout{cfg: g.cfg, version: g.realm.Version, token: t, by: g.tallyKey(t), from: g.now, until: g.until})
	}
}

// holds says that a check that has passed holds until end, and no longer.
func (g *grant) holds(end time.Time) {
	if g.until.IsZero() || end.Before(g.until) {
		g.until = end
	}
}

func (g *grant) tallyKey(t *issuedToken) tallyKey {
	return tallyKey{t, g.realm.ID, g.caller, g.req.Resource, g.thumbprint}
}

// A tallyKey is who got a token again, and by which key.
type tallyKey struct {
	token                               *issuedToken
	realm, caller, resource, thumbprint string
}

// A tally is how often that was, since it was recorded.
type tally struct {
	count, replays int64
	since          time.Time
}

// tallies are those that are not recorded yet.
type tallies struct {
	writing sync.Mutex // held by who records, before mu
	mu      sync.Mutex
	counts  map[tallyKey]*tally // guarded by mu
	timer   *time.Timer         // runs while counts has an entry; guarded by mu
	owed    bool                // the last attempt to record failed; guarded by mu
}

const (
	// tallyTime is how long it is not recorded, at most, that a token was handed out
	// again.
	tallyTime  = time.Second
	maxTallies = 4096
	// tallyWriters record at one time: those share a commit.
	tallyWriters = 64
)

// count counts that a token was handed out again. Where what was counted could not
// be recorded, or is too much, it is recorded first: nothing is handed out when
// that fails.
func (a *Authority) count(ctx context.Context, key tallyKey, now time.Time, replayed bool) error {
	t := &a.tallies
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.owed || len(t.counts) >= maxTallies && t.counts[key] == nil {
		t.mu.Unlock()
		err := a.Flush(ctx)
		t.mu.Lock()
		if err != nil {
			return err
		}
	}
	n := tally{count: 1, since: now}
	if replayed {
		n.replays = 1
	}
	a.add(key, n)
	return nil
}

// add needs mu.
func (a *Authority) add(key tallyKey, n tally) {
	t := &a.tallies
	if t.counts == nil {
		t.counts = make(map[tallyKey]*tally)
	}
	if is := t.counts[key]; is != nil {
		is.count, is.replays = is.count+n.count, is.replays+n.replays
		return
	}
	t.counts[key] = &n
	if t.timer == nil {
		t.timer = time.AfterFunc(tallyTime, func() {
			if err := a.Flush(context.Background()); err != nil {
				a.cfg.Log.Error("tokens that were handed out again are not recorded: none is handed out until they are", "err", err)
			}
		})
	}
}

// Flush records what was counted. Call it when nothing more will come, before the
// recorder is closed.
func (a *Authority) Flush(ctx context.Context) error {
	t := &a.tallies
	t.writing.Lock()
	defer t.writing.Unlock()
	t.mu.Lock()
	counts := t.counts
	t.counts = nil
	if t.timer != nil {
		t.timer.Stop() // where it has run already, its function waits and finds nothing
		t.timer = nil
	}
	t.mu.Unlock()
	var (
		wg     sync.WaitGroup
		places = make(chan struct{}, tallyWriters)
		mu     sync.Mutex // guards failed and errs
		failed = make(map[tallyKey]*tally)
		errs   []error
	)
	for key, n := range counts {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if err := a.recordTally(ctx, key, n); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed[key], errs = n, append(errs, err)
			}
		})
	}
	wg.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owed = len(failed) > 0
	for key, n := range failed {
		a.add(key, *n)
	}
	return errors.Join(errs...)
}

func (a *Authority) recordTally(ctx context.Context, key tallyKey, n *tally) error {
	after, err := json.Marshal(struct {
		Resource   string `json:"resource"`
		Thumbprint string `json:"thumbprint"`
		Reused     bool   `json:"reused"`
		Count      int64  `json:"count"`
		Since      string `json:"since"`
		Replayed   bool   `json:"replayed,omitempty"`
		Replays    int64  `json:"replays,omitempty"`
	}{clip(key.resource), key.thumbprint, true, n.count, n.since.UTC().Format(time.RFC3339), n.replays > 0, n.replays})
	if err != nil {
		return err
	}
	return a.cfg.Audit.Record(ctx, audit.Event{At: a.cfg.Now(), Org: key.realm, Actor: clip(key.caller), Operation: issueToken,
		Object: "Token " + clip(key.resource), After: string(after), Outcome: audit.Done})
}
