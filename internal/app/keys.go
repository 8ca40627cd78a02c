package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busybridge/internal/admin"
	"busybridge/internal/app/config"
	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// How often keys are looked after.
const (
	keysEvery    = time.Minute
	reportEvery  = time.Hour      // what ends when, for metrics and warnings
	warnEvery    = 24 * time.Hour // of one key
	holdFor      = 10 * time.Minute
	publishBound = 30 * time.Second // of asking the authorization servers
)

// keyActor is who rolls over by itself, in the audit trail.
var keyActor = admin.Actor{Name: "busybridge key roll-over", System: true}

// A keyKeeper rolls certificates over at their dates, and says in time which end.
// Several nodes of a deployment may do so at once.
type keyKeeper struct {
	d *Deployment

	checking sync.Mutex // guards what follows it; taken before mu
	reported time.Time
	warned   map[warningKey]time.Time
	held     map[directory.OrgID]time.Time // when a roll-over that waits is tried again

	mu   sync.Mutex // guards uses
	uses []trust.KeyUse
}

// A warningKey is what is warned of once a day. A key that becomes more urgent is
// another one.
type warningKey struct {
	owner, use, holder, key string
	stage                   int
}

func newKeyKeeper(d *Deployment) (*keyKeeper, error) {
	k := &keyKeeper{d: d, warned: make(map[warningKey]time.Time), held: make(map[directory.OrgID]time.Time)}
	if d.set.Registerer == nil {
		return k, nil
	}
	if err := d.set.Registerer.Register(k); err != nil {
		return nil, fmt.Errorf("metrics of keys: %w", err)
	}
	return k, nil
}

// run looks after the keys until ctx ends.
func (k *keyKeeper) run(ctx context.Context) error {
	tick, stop := k.d.set.Ticks(keysEvery)
	defer stop()
	for {
		if err := k.check(ctx); err != nil && ctx.Err() == nil {
			k.d.set.Log.ErrorContext(ctx, "keys could not be looked after: next try in a minute", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
}

// CheckKeys does once what the task of RunAll does every minute: it rolls over
// what is due and warns of what ends. The error joins what went wrong; the rest is
// done all the same.
func (d *Deployment) CheckKeys(ctx context.Context) error { return d.keys.check(ctx) }

func (k *keyKeeper) check(ctx context.Context) error {
	k.checking.Lock()
	defer k.checking.Unlock()
	now := k.d.set.Now()
	var errs []error
	if k.d.has(RoleOrganization) {
		orgs, err := k.d.Store.Organizations(ctx)
		errs = append(errs, err)
		for _, o := range orgs {
			if trust.NextDue(o, now) && !now.Before(k.held[o.ID]) {
				errs = append(errs, k.rollOver(ctx, o, now))
			}
		}
	}
	if k.d.has(RoleAuthority) {
		res, err := k.d.Admin.RollOverAuthority(ctx, keyActor)
		switch {
		case errors.Is(err, directory.ErrNotFound): // nothing is set up yet
		case err != nil:
			errs = append(errs, err)
		case res.Changed:
			k.reported = time.Time{}
			k.d.set.Log.InfoContext(ctx, "signing certificates of the authorization server changed", "signs", res.Object.Certificates[0].Thumbprint,
				"published", len(res.Object.Certificates))
		}
	}
	if k.reported.IsZero() || now.Sub(k.reported) >= reportEvery {
		uses, err := k.keyUses(ctx)
		if errs = append(errs, err); err == nil {
			k.reported = now
			k.warn(ctx, uses, now)
			k.mu.Lock()
			k.uses = uses
			k.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}

// rollOver makes the next certificate of o current, unless an authorization server
// does not know it yet while the current one still serves.
func (k *keyKeeper) rollOver(ctx context.Context, o *directory.Organization, now time.Time) error {
	a := &o.AuthConfig
	if trust.CanSign(o, now) {
		ask, cancel := context.WithTimeout(ctx, publishBound)
		defer cancel()
		for _, p := range k.d.tokens.Published(ask, o, a.NextCertificateThumbprint) {
			if p.Known || ctx.Err() != nil {
				continue
			}
			k.held[o.ID] = now.Add(holdFor)
			k.d.set.Log.WarnContext(ctx, "roll-over waits: the authorization server does not know the next certificate; run Test-AuthCertificatePublication and the command that it shows",
				"org", o.Name, "authServer", p.AuthServer, "thumbprint", a.NextCertificateThumbprint, "err", p.Err)
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	res, err := k.d.Admin.RollOver(ctx, keyActor, o.ID)
	if err != nil {
		k.held[o.ID] = now.Add(holdFor)
		return err
	}
	delete(k.held, o.ID)
	if res.Changed {
		k.reported = time.Time{}
		k.d.set.Log.InfoContext(ctx, "the next certificate is current", "org", o.Name, "current", res.Object.CurrentCertificateThumbprint, "previous", res.Object.PreviousCertificateThumbprint)
	}
	return nil
}

// keyUses lists every key of the deployment.
func (k *keyKeeper) keyUses(ctx context.Context) (out []trust.KeyUse, err error) {
	if k.d.has(RoleOrganization) {
		orgs, err := k.d.Store.Organizations(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range orgs {
			out = append(out, trust.OrganizationKeys(o)...)
		}
	}
	if !k.d.has(RoleAuthority) {
		return out, nil
	}
	a, err := k.d.Store.AuthorityConfig(ctx)
	if errors.Is(err, directory.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	out = append(out, trust.AuthorityKeys(a)...)
	realms, err := k.d.Store.Realms(ctx)
	for _, r := range realms {
		out = append(out, trust.RealmKeys(r)...)
	}
	return out, err
}

// warn logs each key that ends soon, once a day.
func (k *keyKeeper) warn(ctx context.Context, uses []trust.KeyUse, now time.Time) {
	for was, at := range k.warned {
		if now.Sub(at) >= warnEvery {
			delete(k.warned, was)
		}
	}
	for _, u := range uses {
		stage, ok := u.Stage(now)
		key := warningKey{u.Owner, u.Use, u.Holder, u.Key, stage}
		if _, done := k.warned[key]; !ok || done {
			continue
		}
		k.warned[key] = now
		level := slog.LevelWarn
		if stage == 0 || stage == 7 {
			level = slog.LevelError
		}
		k.d.set.Log.Log(ctx, level, "a key ends", "owner", u.Owner, "use", u.Use, "holder", u.Holder, "key", u.Key,
			"ends", u.Ends.UTC().Format(time.RFC3339), "daysLeft", u.DaysLeft(now), "do", u.Remedy(now))
	}
}

var keyDays = prometheus.NewDesc("busybridge_key_days_left", "Days until the first key of this use ends.", []string{"owner", "use"}, nil)

// Describe implements prometheus.Collector.
func (k *keyKeeper) Describe(ch chan<- *prometheus.Desc) { ch <- keyDays }

// Collect implements prometheus.Collector.
func (k *keyKeeper) Collect(ch chan<- prometheus.Metric) {
	k.mu.Lock()
	uses := k.uses
	k.mu.Unlock()
	now := k.d.set.Now()
	type label struct{ owner, use string }
	first := map[label]time.Time{}
	for _, u := range uses {
		if u.Use == trust.KeyPrevious || u.Use == trust.KeyCredential && u.Expired(now) {
			continue // nobody misses them
		}
		l := label{u.Owner, u.Use}
		if at, ok := first[l]; !ok || u.Ends.Before(at) {
			first[l] = u.Ends
		}
	}
	for l, ends := range first {
		ch <- prometheus.MustNewConstMetric(keyDays, prometheus.GaugeValue, ends.Sub(now).Hours()/24, l.owner, l.use)
	}
}

// A KeyChange says what Keys does to the signing certificates of an authorization
// server before it lists. The zero value is nothing.
type KeyChange struct {
	StageIn *time.Duration // make the next certificate, which signs from then on
	Publish bool           // sign with the next one now
}

// Keys lists the keys of the store of a configuration, those that end first at the
// head, and the time that it is there.
func Keys(ctx context.Context, cfg *config.Config, log *slog.Logger, c KeyChange) (uses []trust.KeyUse, now time.Time, err error) {
	set, err := SettingsOf(cfg, log)
	if err != nil {
		return nil, now, err
	}
	d, err := Open(ctx, set)
	if err != nil {
		return nil, now, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	now = set.Now()
	operator := admin.Actor{Name: "busybridge keys", System: true}
	if (c.StageIn != nil || c.Publish) && !d.has(RoleAuthority) {
		return nil, now, fmt.Errorf("node.roles does not hold %s: an organization's certificates change by Set-AuthConfig, in: busybridge shell", RoleAuthority)
	}
	if c.StageIn != nil {
		if _, err := d.Admin.StageAuthorityCertificate(ctx, operator, now.Add(*c.StageIn)); err != nil {
			return nil, now, err
		}
	}
	if c.Publish {
		if _, err := d.Admin.PublishAuthorityCertificate(ctx, operator); err != nil {
			return nil, now, err
		}
	}
	uses, err = d.keys.keyUses(ctx)
	slices.SortStableFunc(uses, func(a, b trust.KeyUse) int { return a.Ends.Compare(b.Ends) })
	return uses, now, err
}
