package audit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// A Damper keeps every event that was done, and refusals as long as they are
// few: each gets a record of its own until Burst of one kind came at once. What
// is more is counted, and the count is a record of its own, one each Every. So
// nobody who may be refused without limit can fill the store, and nobody can
// hide one kind of refusal behind a flood of another.
//
// It is safe for concurrent use.
type Damper struct {
	cfg DamperConfig

	mu    sync.Mutex
	kinds map[kind]*kept // guarded by mu
}

// A DamperConfig is what a Damper needs.
type DamperConfig struct {
	To  Recorder         // required
	Now func() time.Time // required
	// Burst is how many refusals of one kind are kept one by one; default 100.
	Burst int
	// Every is how often one more record of that kind may be made afterwards;
	// default 15 minutes.
	Every time.Duration
	// MaxKinds bounds the kinds that are told apart; default 4096. What is of no
	// kind of its own shares one.
	MaxKinds int
}

// A kind are refusals that share a bound.
type kind struct{ org, operation, why string }

// kept is the bound of a kind: how many records it may make now, and what was
// only counted since the last one.
type kept struct {
	left    float64
	at      time.Time // of left
	counted int
	since   time.Time // of the first counted
}

// NewDamper checks the configuration.
func NewDamper(cfg DamperConfig) (*Damper, error) {
	if cfg.To == nil || cfg.Now == nil {
		return nil, errors.New("audit: a Damper needs To and Now")
	}
	if cfg.Burst <= 0 {
		cfg.Burst = 100
	}
	if cfg.Every <= 0 {
		cfg.Every = 15 * time.Minute
	}
	if cfg.MaxKinds <= 0 {
		cfg.MaxKinds = 4096
	}
	return &Damper{cfg: cfg, kinds: make(map[kind]*kept)}, nil
}

// Record keeps an event with the Outcome "done"; others are refusals of one
// kind for each organization and operation. It implements Recorder.
func (d *Damper) Record(ctx context.Context, e Event) error {
	if e.Outcome == Done {
		return d.cfg.To.Record(ctx, e)
	}
	_, err := d.Refused(ctx, "", e)
	return err
}

// Refused keeps the event, or counts it when there were too many of its kind;
// then recorded is false. What follows why must come from a closed set: it is
// for the program to say, never for who is refused.
func (d *Damper) Refused(ctx context.Context, why string, e Event) (recorded bool, err error) {
	if !d.admit(kind{e.Org, e.Operation, why}) {
		return false, nil
	}
	return true, d.cfg.To.Record(ctx, e)
}

// admit takes one record from the bound of k, or counts.
func (d *Damper) admit(k kind) bool {
	now := d.cfg.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.kinds[k]
	if s == nil {
		if len(d.kinds) >= d.cfg.MaxKinds {
			d.forget(now)
		}
		if len(d.kinds) >= d.cfg.MaxKinds {
			k = kind{operation: k.operation} // few: operations are the program's
		}
		if s = d.kinds[k]; s == nil {
			s = &kept{left: float64(d.cfg.Burst), at: now}
			d.kinds[k] = s
		}
	}
	if d.take(s, now) {
		return true
	}
	if s.counted == 0 {
		s.since = now
	}
	s.counted++
	return false
}

// take needs mu.
func (d *Damper) take(s *kept, now time.Time) bool {
	if past := now.Sub(s.at); past > 0 {
		s.left = min(s.left+float64(past)/float64(d.cfg.Every), float64(d.cfg.Burst))
		s.at = now
	}
	if s.left < 1 {
		return false
	}
	s.left--
	return true
}

// forget needs mu. It drops the kinds that are as good as new.
func (d *Damper) forget(now time.Time) {
	whole := time.Duration(d.cfg.Burst) * d.cfg.Every
	for k, s := range d.kinds {
		if s.counted == 0 && now.Sub(s.at) >= whole {
			delete(d.kinds, k)
		}
	}
}

// Run records what was only counted, now and then, until ctx ends; failed is
// told of what could not be recorded, which stays counted.
func (d *Damper) Run(ctx context.Context, failed func(error)) {
	t := time.NewTicker(d.cfg.Every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := d.flush(ctx, false); err != nil {
				failed(err)
			}
		}
	}
}

// Flush records what was only counted, whatever the bound says: when nothing
// more will come.
func (d *Damper) Flush(ctx context.Context) error { return d.flush(ctx, true) }

func (d *Damper) flush(ctx context.Context, last bool) error {
	now := d.cfg.Now()
	taken := make(map[kind]kept)
	d.mu.Lock()
	for k, s := range d.kinds {
		if s.counted > 0 && (d.take(s, now) || last) {
			taken[k] = *s
			s.counted = 0
		}
	}
	d.mu.Unlock()
	var errs []error
	for k, s := range taken {
		e := Event{At: now, Org: k.org, Operation: k.operation, Object: "Refusals",
			After:   fmt.Sprintf(`{"count":%d,"since":%q}`, s.counted, s.since.UTC().Format(time.RFC3339)),
			Outcome: strconv.Itoa(s.counted) + " more were refused and not recorded one by one"}
		if k.why != "" {
			e.Outcome += ": " + k.why
		}
		if err := d.cfg.To.Record(ctx, e); err != nil {
			errs = append(errs, err)
			d.mu.Lock()
			if back := d.kinds[k]; back != nil {
				back.counted, back.since = back.counted+s.counted, s.since
			}
			d.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}
