package mount

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// A CallerKind says which budget a caller has.
type CallerKind uint8

// The kinds.
const (
	Anonymous CallerKind = iota
	User
	Partner
	callerKinds
)

var callerKindNames = [callerKinds]string{"anonymous", "user", "partner"}

// A Caller is whose turn it is: everything that one budget is kept for.
type Caller struct {
	Kind    CallerKind
	Org     string       // whose data is asked for
	Name    string       // a user name, or an application
	Realm   string       // of an application
	Network netip.Prefix // of somebody anonymous
}

// A Budget is what one caller may have.
type Budget struct {
	AtOnce    int // requests that are worked on at once; 0: the default
	Queue     int // requests that wait for a turn beside them; 0: 64
	PerMinute int // requests in a minute, all of which may come at once; 0: any number
}

// Defaults of TurnsConfig.
const (
	DefaultUserAtOnce    = 27 // EWSMaxConcurrency of Exchange's throttling policy
	DefaultPartnerAtOnce = 64
	DefaultPatience      = 5 * time.Second
	defaultQueue         = 64
)

// A TurnsConfig is what NewTurns needs.
type TurnsConfig struct {
	AtOnce                   int           // requests of all callers; 0: half of DefaultMaxInFlight
	Anonymous, User, Partner Budget        //
	Patience                 time.Duration // how long a request waits for its turn at most; 0: DefaultPatience
	Now                      func() time.Time
	Metrics                  *Metrics // nil: not counted
}

// Turns let callers take turns: each has its own queue, and the next turn goes
// to the next caller, not to the next request. So a caller who sends much waits
// behind himself, and one who sends little waits for at most one turn of each
// other. Queues are bounded; whoever finds his full comes again later.
type Turns struct {
	cfg     TurnsConfig
	budgets [callerKinds]Budget

	mu      sync.Mutex // guards all below, and what accounts hold
	free    int
	waiting int
	ring    *account // of those who may have the next turn, the first of them; nil: nobody waits
	byKey   map[Caller]*account
	sweepAt int // number of accounts at which those are forgotten that have nothing to remember
}

// An account is one caller's.
type account struct {
	key     Caller
	working int
	queue   []*waiter
	// next and prev are its neighbours in the ring; nil: it is not there, for it
	// waits for nothing, or for a request of its own to end.
	next, prev *account
	spent      float64   // of the requests of a minute, at the time
	at         time.Time //
}

// A waiter waits for a turn; ready is closed when it has it.
type waiter struct {
	ready   chan struct{}
	granted bool
}

// A BusyError asks a caller to come again later.
type BusyError struct {
	Wait time.Duration // at least so long
	Why  string
}

func (e *BusyError) Error() string { return fmt.Sprintf("%s; come again in %v", e.Why, e.Wait) }

// Tell puts the wait into the answer's Retry-After (RFC 9110 10.2.3) and the
// reason into the wide line of r.
func (e *BusyError) Tell(w http.ResponseWriter, r *http.Request) {
	AddAttrs(r.Context(), slog.String("refused", e.Why))
	w.Header().Set("Retry-After", strconv.FormatInt(int64((e.Wait+time.Second-1)/time.Second), 10))
}

// comeAgain is what a caller is told whose queue is full: no better guess is needed,
// for coming too early costs no more than another refusal.
const comeAgain = time.Second

const minSweep = 1 << 14 // 3 MiB

// NewTurns returns turns. It panics without a clock, as New does.
func NewTurns(cfg TurnsConfig) *Turns {
	if cfg.Now == nil {
		panic("mount: TurnsConfig.Now is required")
	}
	if cfg.AtOnce <= 0 {
		cfg.AtOnce = DefaultMaxInFlight / 2
	}
	if cfg.Patience <= 0 {
		cfg.Patience = DefaultPatience
	}
	t := &Turns{cfg: cfg, budgets: [callerKinds]Budget{Anonymous: cfg.Anonymous, User: cfg.User, Partner: cfg.Partner},
		free: cfg.AtOnce, byKey: map[Caller]*account{}, sweepAt: minSweep}
	for i := range t.budgets {
		b := &t.budgets[i]
		if b.AtOnce <= 0 {
			b.AtOnce = DefaultUserAtOnce
			if CallerKind(i) == Partner {
				b.AtOnce = DefaultPartnerAtOnce
			}
		}
		if b.Queue <= 0 {
			b.Queue = defaultQueue
		}
	}
	return t
}

// take waits for a turn of the caller. It ends with done. An error is a
// *BusyError, or that of ctx.
func (t *Turns) take(ctx context.Context, key Caller) (*account, error) {
	t.mu.Lock()
	a := t.account(key)
	b := t.budgets[key.Kind] // Retune may change it
	if wait := t.overspent(a, &b); wait > 0 {
		t.mu.Unlock()
		t.cfg.Metrics.turn(key.Kind, turnTooMany)
		return nil, &BusyError{wait, fmt.Sprintf("more than %d requests in a minute", b.PerMinute)}
	}
	if t.free > 0 && a.working < b.AtOnce && len(a.queue) == 0 { // then nobody waits who could have it
		t.free--
		a.working++
		a.spent++
		t.mu.Unlock()
		t.cfg.Metrics.turn(key.Kind, turnAtOnce)
		return a, nil
	}
	if len(a.queue) >= b.Queue {
		t.mu.Unlock()
		t.cfg.Metrics.turn(key.Kind, turnQueueFull)
		return nil, &BusyError{comeAgain, fmt.Sprintf("%d requests of the caller wait already", b.Queue)}
	}
	w := &waiter{ready: make(chan struct{})}
	a.queue = append(a.queue, w)
	a.spent++
	t.waiting++
	t.join(a)
	t.mu.Unlock()
	t.cfg.Metrics.waits(1)
	defer t.cfg.Metrics.waits(-1)
	return t.await(ctx, a, w)
}

// await is the part of take that waits.
func (t *Turns) await(ctx context.Context, a *account, w *waiter) (*account, error) {
	timer := time.NewTimer(t.cfg.Patience)
	defer timer.Stop()
	var gaveUp error
	select {
	case <-w.ready:
	case <-ctx.Done():
		gaveUp = ctx.Err()
	case <-timer.C:
		gaveUp = &BusyError{comeAgain, fmt.Sprintf("no turn came within %v", t.cfg.Patience)}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case gaveUp == nil, w.granted && ctx.Err() == nil:
		t.cfg.Metrics.turn(a.key.Kind, turnWaited)
		return a, nil
	case w.granted:
		t.end(a)
	default:
		t.waiting--
		for i, q := range a.queue {
			if q == w {
				a.queue = append(a.queue[:i], a.queue[i+1:]...)
				break
			}
		}
		if len(a.queue) == 0 {
			t.leave(a)
		}
	}
	t.cfg.Metrics.turn(a.key.Kind, turnGaveUp)
	return nil, gaveUp
}

// done ends a turn and gives the next ones.
func (t *Turns) done(a *account) {
	t.mu.Lock()
	t.end(a)
	t.mu.Unlock()
}

func (t *Turns) end(a *account) {
	a.working--
	t.free++
	t.join(a)
	t.grant()
}

// grant gives the turns that are free.
func (t *Turns) grant() {
	for t.free > 0 && t.ring != nil {
		next := t.ring
		w := next.queue[0]
		next.queue = append(next.queue[:0], next.queue[1:]...)
		t.leave(next)
		next.working++
		t.free--
		t.waiting--
		t.join(next)
		w.granted = true
		close(w.ready)
	}
}

// join puts a at the end of the ring if it waits and may have a turn.
func (t *Turns) join(a *account) {
	switch {
	case a.next != nil || len(a.queue) == 0 || a.working >= t.budgets[a.key.Kind].AtOnce:
	case t.ring == nil:
		t.ring, a.next, a.prev = a, a, a
	default:
		last := t.ring.prev
		a.prev, a.next = last, t.ring
		last.next, t.ring.prev = a, a
	}
}

// leave takes a out of the ring.
func (t *Turns) leave(a *account) {
	if a.next == nil {
		return
	}
	if t.ring == a {
		t.ring = a.next
	}
	if t.ring == a {
		t.ring = nil
	}
	a.prev.next, a.next.prev = a.next, a.prev
	a.next, a.prev = nil, nil
}

// account returns the account of a caller, made when there is none. When there
// are many, those go that are as good as new.
func (t *Turns) account(key Caller) *account {
	if a := t.byKey[key]; a != nil {
		return a
	}
	if len(t.byKey) >= t.sweepAt {
		for k, a := range t.byKey {
			if a.working == 0 && len(a.queue) == 0 && (t.budgets[k.Kind].PerMinute == 0 || t.left(a, t.cfg.Now(), &t.budgets[k.Kind]) == 0) {
				delete(t.byKey, k)
			}
		}
		t.sweepAt = max(minSweep, 2*len(t.byKey))
	}
	a := &account{key: key}
	t.byKey[key] = a
	return a
}

// left is how many of the requests of a minute are spent now.
func (t *Turns) left(a *account, now time.Time, b *Budget) float64 {
	return max(0, a.spent-now.Sub(a.at).Minutes()*float64(b.PerMinute))
}

// overspent brings what is spent up to date, and is how long it takes until there
// is one request more; 0: there is one.
func (t *Turns) overspent(a *account, b *Budget) time.Duration {
	if b.PerMinute == 0 {
		return 0
	}
	now := t.cfg.Now()
	a.spent, a.at = t.left(a, now, b), now
	if over := a.spent + 1 - float64(b.PerMinute); over > 0 {
		return time.Duration(over / float64(b.PerMinute) * float64(time.Minute)).Round(time.Millisecond)
	}
	return 0
}

// Enter waits until it is the caller's turn with the request that ctx belongs
// to; the turn ends with the request. A second call does nothing, nor one in a
// request that Waits, or for which nobody takes turns. An error is a *BusyError,
// or that of ctx.
func Enter(ctx context.Context, c Caller) error {
	st := stateOf(ctx)
	if st == nil || st.turns == nil || st.turn != nil {
		return nil
	}
	a, err := st.turns.take(ctx, c)
	st.turn = a
	return err
}
