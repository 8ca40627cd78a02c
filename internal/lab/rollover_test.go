package lab

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/app"
	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/ps/object"
)

// A movable clock runs, and can be put forward: by minutes while people ask, by
// days while nobody does, for a question that days pass in would fail for that. The
// tasks of the deployments are woken by it as by a clock that ran there.
type movable struct {
	ahead  atomic.Int64
	asking sync.RWMutex // held by those who ask

	mu    sync.Mutex // guards the rest
	more  *sync.Cond // told of every new task
	tasks []*task
}

// A task waits for c every so often.
type task struct {
	every time.Duration
	next  time.Time
	c     chan time.Time
	ended chan struct{}
}

func newMovable() *movable {
	c := &movable{}
	c.more = sync.NewCond(&c.mu)
	return c
}

func (c *movable) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// ticks implements trust.Ticks.
func (c *movable) ticks(every time.Duration) (<-chan time.Time, func()) {
	t := &task{every, c.now().Add(every), make(chan time.Time), make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tasks = append(c.tasks, t)
	c.more.Broadcast()
	return t.c, sync.OnceFunc(func() { close(t.ended) })
}

// forward lets days pass in which nobody asks.
func (c *movable) forward(d time.Duration) {
	c.asking.Lock()
	c.ahead.Add(int64(d))
	c.asking.Unlock()
	c.wake(false)
}

// jump puts the clock forward at once.
func (c *movable) jump(d time.Duration) {
	c.ahead.Add(int64(d))
	c.wake(false)
}

// wake wakes the tasks whose time has come, or all. A task that is woken has ended
// what it was woken for before.
func (c *movable) wake(all bool) {
	c.mu.Lock()
	tasks := slices.Clone(c.tasks)
	c.mu.Unlock()
	now := c.now()
	for _, t := range tasks {
		if !all && now.Before(t.next) {
			continue
		}
		t.next = now.Add(t.every)
		select {
		case t.c <- now:
		case <-t.ended:
		}
	}
}

// await waits until n tasks run.
func (c *movable) await(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.tasks) < n {
		c.more.Wait()
	}
}

// An inquiry asks without pause until it is stopped.
type inquiry struct {
	name string
	ask  func(context.Context) error
	hold *sync.RWMutex // held by those who ask; nil: nobody can stop them

	mu     sync.Mutex // guards the rest
	cond   *sync.Cond
	asked  int
	failed []error
}

func (q *inquiry) run(ctx context.Context, clock *movable) {
	for ctx.Err() == nil {
		at, err := q.once(ctx, clock)
		q.mu.Lock()
		if q.asked++; err != nil && ctx.Err() == nil {
			q.failed = append(q.failed, fmt.Errorf("%s at %s, question %d: %w", q.name, at.Format(time.RFC3339), q.asked, err))
		}
		q.cond.Broadcast()
		q.mu.Unlock()
	}
	q.mu.Lock()
	q.cond.Broadcast()
	q.mu.Unlock()
}

func (q *inquiry) once(ctx context.Context, clock *movable) (time.Time, error) {
	if q.hold != nil {
		q.hold.RLock()
		defer q.hold.RUnlock()
	}
	clock.asking.RLock()
	defer clock.asking.RUnlock()
	return clock.now(), q.ask(ctx)
}

// await waits until n more questions have begun and ended.
func (q *inquiry) await(ctx context.Context, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for until := q.asked + n + 1; q.asked < until && ctx.Err() == nil; {
		q.cond.Wait()
	}
}

// TestRollOverFailsNoQuestion asks in both directions without pause, with tokens
// that are kept and with new ones, while the certificates of both organizations and
// the keys of the authorization server change twice: the first time by themselves
// at their dates, the second time by hand. Metadata is read again by nobody but the
// tasks that always run, and the dates come while questions are under way.
func TestRollOverFailsNoQuestion(t *testing.T) {
	clock := newMovable()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	l, err := Start(t.Context(), Options{Now: clock.now, Ticks: clock.ticks, Log: log, Out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := l.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := newRollOver(t, l, clock)
	defer w.stop()

	clock.await(9)
	first := w.keys()
	w.stageAll(false)
	w.settle()
	clock.forward(7*time.Hour + 50*time.Minute)
	w.pass(30 * time.Minute) // everybody reads the metadata again
	w.haveRead()
	clock.forward(39 * time.Hour)
	w.settle()     // new tokens, of the old key
	w.fresh.Lock() // from here on with those that are kept
	w.pass(70 * time.Minute)
	if now := w.keys(); now.authority == first.authority || now.cloud != first.cloud {
		t.Errorf("after the date of the authority: %+v, before %+v; want a new key of the authority alone", now, first)
	}
	w.fresh.Unlock()
	w.settle() // with new ones, of the new key
	clock.forward(23 * time.Hour)
	w.pass(70 * time.Minute) // over the date of the two organizations
	second := w.keys()
	if second.cloud == first.cloud {
		t.Error("the cloud still signs with the first certificate, although the date of the next has come")
	}
	if second.onprem != first.onprem {
		t.Error("on premises signs with a certificate that the authorization server does not know")
	}
	w.publishOnPremises()
	w.pass(20 * time.Minute) // a roll-over that waits is tried every ten
	if second = w.keys(); second.onprem == first.onprem {
		t.Error("on premises still signs with the first certificate, although the authorization server knows the next")
	}
	clock.forward(25 * time.Hour) // nothing of the first round is kept any more
	w.settle()

	w.stageAll(true)
	clock.forward(7*time.Hour + 50*time.Minute)
	w.pass(30 * time.Minute)
	w.haveRead()
	w.publishAll()
	w.pass(20 * time.Minute)
	third := w.keys()
	if third.authority == second.authority || third.cloud == second.cloud || third.onprem == second.onprem {
		t.Errorf("by hand: %+v, before %+v; want new keys everywhere", third, second)
	}
	clock.forward(50 * time.Hour)
	w.pass(20 * time.Minute)
	if third = w.keys(); third.published != 1 {
		t.Errorf("the authorization server publishes %d keys long after the last change, want 1", third.published)
	}
	w.stop()
	for _, name := range []deploymentName{onprem, cloud} {
		if tokens := w.refused(name); len(tokens) > 0 {
			t.Errorf("%s refused %d tokens, the last: %s", name, len(tokens), tokens[0])
		}
	}
	for _, q := range w.inquiries {
		t.Logf("%s: %d questions, %d failed", q.name, q.asked, len(q.failed))
		if q.asked < 20 {
			t.Errorf("%s: only %d questions", q.name, q.asked)
		}
		for _, err := range q.failed[:min(3, len(q.failed))] {
			t.Error(err)
		}
	}
}

// refused are the tokens that the organization has refused. A question may survive
// a refusal, for its token is then made anew; here there is to be none.
func (w *rollOver) refused(name deploymentName) (out []string) {
	w.t.Helper()
	for e, err := range w.l.deployments[name].Store.AuditEvents(context.WithoutCancel(w.ctx), audit.Filter{Org: string(w.organization(name).ID), Operation: app.OpRefuseToken}) {
		w.must(err)
		out = append(out, e.At.Format(time.RFC3339)+" "+e.Outcome+" "+e.After)
	}
	return out
}

// A rollOver is the world of the test, in which people ask.
type rollOver struct {
	t         *testing.T
	l         *Lab
	clock     *movable
	ctx       context.Context
	inquiries []*inquiry
	fresh     sync.RWMutex // locked: nobody asks for new tokens
	stop      func()
}

func newRollOver(t *testing.T, l *Lab, clock *movable) *rollOver {
	w := &rollOver{t: t, l: l, clock: clock, ctx: t.Context()}
	for _, v := range []struct {
		name, as, of, verify string
		from                 deploymentName
	}{
		{"on premises to the cloud", "alice@" + domain, "kim@" + domain, "verify-onprem.ps1", onprem},
		{"the cloud to on premises", "kim@" + domain, "alice@" + domain, "verify-cloud.ps1", cloud},
	} {
		week := l.nextWeek()
		w.add("free/busy from "+v.name, nil, func(ctx context.Context) error {
			answers, err := l.ask(ctx, v.as, []string{v.of}, week, freebusy.ViewFreeBusyMerged)
			if err == nil && answers[0].Error != nil {
				err = answers[0].Error
			}
			if err == nil && len(answers[0].Events) == 0 {
				err = fmt.Errorf("%s: a week without an entry", v.of)
			}
			return err
		})
		w.add("a new token from "+v.name, &w.fresh, func(ctx context.Context) error {
			tr := l.transcript(io.Discard)
			_, err := tr.verify(ctx, v.from, v.verify)
			if closing := tr.close(); err == nil {
				err = closing
			}
			return err
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, q := range w.inquiries {
		running.Go(func() { q.run(ctx, clock) })
	}
	w.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	return w
}

func (w *rollOver) add(name string, hold *sync.RWMutex, ask func(context.Context) error) {
	q := &inquiry{name: name, hold: hold, ask: ask}
	q.cond = sync.NewCond(&q.mu)
	w.inquiries = append(w.inquiries, q)
}

// settle lets everybody who may ask do so some times.
func (w *rollOver) settle() { w.settleFor(3) }

// settleFor waits until everybody who may ask has begun and ended n more questions.
func (w *rollOver) settleFor(n int) {
	open := w.fresh.TryRLock()
	if open {
		w.fresh.RUnlock()
	}
	for _, q := range w.inquiries {
		if open || q.hold == nil {
			q.await(w.ctx, n)
		}
	}
}

func (w *rollOver) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *rollOver) admin(name deploymentName) *admin.Service { return w.l.deployments[name].Admin }

func (w *rollOver) organization(name deploymentName) *directory.Organization {
	w.t.Helper()
	o, err := w.l.organization(w.ctx, name)
	w.must(err)
	return o
}

// signers are the thumbprints of those who sign.
type signers struct {
	authority, cloud, onprem string
	published                int // by the authorization server
}

func (w *rollOver) keys() signers {
	w.t.Helper()
	a, err := w.l.deployments[authorize].Store.AuthorityConfig(w.ctx)
	w.must(err)
	return signers{a.Certificates[0].Thumbprint, w.organization(cloud).AuthConfig.CurrentCertificateThumbprint,
		w.organization(onprem).AuthConfig.CurrentCertificateThumbprint, len(a.Certificates)}
}

// stageAll makes the next certificates: on premises in the shell, elsewhere as
// operators do. That of on premises is made known to the directory when told to.
func (w *rollOver) stageAll(known bool) {
	w.t.Helper()
	now := w.clock.now()
	_, err := w.admin(authorize).StageAuthorityCertificate(w.ctx, operator, now.Add(48*time.Hour))
	w.must(err)

	org := w.organization(cloud)
	c, err := w.admin(cloud).NewExchangeCertificate(w.ctx, operator, org.ID, admin.CertificateParams{})
	w.must(err)
	res, err := w.admin(cloud).SetAuthConfig(w.ctx, operator, org.ID, admin.AuthConfigChange{
		NewCertificateThumbprint: c.Object.Thumbprint, NewCertificateEffectiveDate: now.Add(72 * time.Hour),
	})
	w.must(err)
	if !slices.ContainsFunc(res.Warnings, func(s string) bool { return strings.Contains(s, "does not know the next certificate") }) {
		w.t.Errorf("a certificate that is nowhere known was staged without a warning: %q", res.Warnings)
	}
	realm, err := w.l.deployments[authorize].Store.Realm(w.ctx, initial)
	w.must(err)
	_, err = w.admin(authorize).NewServicePrincipalCredential(w.ctx, operator, realm.ID, directory.ExchangeAppID, admin.CredentialParams{Value: c.Object.DER})
	w.must(err)

	w.shell(onprem, `$next = New-ExchangeCertificate -FriendlyName "next"`+"\n"+
		fmt.Sprintf(`Set-AuthConfig -NewCertificateThumbprint $next.Thumbprint -NewCertificateEffectiveDate %q -Force`, now.Add(72*time.Hour).UTC().Format("1/2/2006 15:04:05")))
	if known {
		w.publishOnPremises()
	}
}

// publishOnPremises runs the commands that Test-AuthCertificatePublication shows.
func (w *rollOver) publishOnPremises() {
	w.t.Helper()
	commands := w.shell(onprem, `(Test-AuthCertificatePublication | Where-Object { $_.Published -eq $false }).Command`)
	if len(commands) != 1 || !strings.HasPrefix(commands[0], "New-MsolServicePrincipalCredential ") {
		w.t.Fatalf("the certificates that are missing at the authorization server: %q, want one command", commands)
	}
	w.shell(authorize, "Connect-MsolService\n"+commands[0])
	if left := w.shell(onprem, `(Test-AuthCertificatePublication | Where-Object { $_.Published -ne $true }).Thumbprint`); len(left) != 0 {
		w.t.Errorf("after the command the authorization server still does not know %q", left)
	}
}

// publishAll rolls over by hand, long before the dates.
func (w *rollOver) publishAll() {
	w.t.Helper()
	_, err := w.admin(authorize).PublishAuthorityCertificate(w.ctx, operator)
	w.must(err)
	_, err = w.admin(cloud).SetAuthConfig(w.ctx, operator, w.organization(cloud).ID, admin.AuthConfigChange{PublishCertificate: true})
	w.must(err)
	w.shell(onprem, "Set-AuthConfig -PublishCertificate")
}

// jumps are how far the clock is put forward at once while people ask. An
// assertion on its way is good for ten minutes (oauth-s2s reference 3.1, 4.5).
const jumps = 9 * time.Minute

// pass lets time pass while people ask and the tasks run: no question sees the
// clock jump more than once.
func (w *rollOver) pass(d time.Duration) {
	for ; d > 0; d -= jumps {
		w.clock.jump(min(d, jumps))
		w.settleFor(0)
	}
	// Who is woken a second time has ended what he did the first time.
	w.clock.wake(true)
	w.clock.wake(true)
	w.settle()
}

// haveRead checks that the organizations know every key of the authority.
func (w *rollOver) haveRead() {
	w.t.Helper()
	a, err := w.l.deployments[authorize].Store.AuthorityConfig(w.ctx)
	w.must(err)
	for _, name := range []deploymentName{onprem, cloud} {
		for _, s := range w.organization(name).AuthServers {
			for _, c := range a.Certificates {
				if !slices.Contains(s.CertificateStrings, base64.StdEncoding.EncodeToString(c.DER)) {
					w.t.Errorf("%s: %s does not know the key %s of the authority; it was read at %s", name, s.Name, c.Thumbprint, s.RefreshedAt)
				}
			}
		}
	}
}

// shell runs lines in a shell of the lab and returns what they show, as text.
func (w *rollOver) shell(in deploymentName, lines string) (out []string) {
	w.t.Helper()
	tr := w.l.transcript(io.Discard)
	defer func() { w.must(tr.close()) }()
	s, err := tr.shell(w.ctx, in)
	w.must(err)
	for line := range strings.Lines(lines) {
		before := len(s.Session.Errors())
		w.must(s.Session.Run(w.ctx, "", strings.TrimSpace(line), func(v any) error {
			if v != nil {
				out = append(out, object.String(v))
			}
			return nil
		}))
		if failed := s.Session.Errors(); len(failed) > before {
			w.t.Fatalf("%s: %v", strings.TrimSpace(line), failed[0])
		}
	}
	return out
}
