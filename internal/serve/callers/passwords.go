package callers

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// A wrong password makes its sender wait, and must never make the owner wait.
// Who tries is counted three times:
//
//   - the account from one network: every wrong password;
//   - one network, over all accounts: somebody tries one password on many;
//   - one account, from all networks: somebody has many networks.
//
// The last two hold up strangers only. No stranger is who comes from a network
// that the account signed in from within knownFor (kept in the store, so a
// restart forgets nobody). And credentials that were right within knownFor wait
// for nothing at all, from wherever they come: whoever holds up others on their
// own network gains nothing either. Strangers take turns in a lane of their own,
// which leaves the other to those who are known.

// An attempt is who tries: the account's name and the client's network.
type attempt struct {
	user   string
	client netip.Prefix // a single IPv4 address or an IPv6 /64
}

// networkOf is what others count as one client.
func networkOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// A patience is how many wrong passwords are free, and what the waits, which
// double from one second on, grow to.
type patience struct {
	free    int
	longest time.Duration
}

var (
	withAttempt = patience{5, 5 * time.Minute}
	withNetwork = patience{50, time.Minute}
	withAccount = patience{50, 10 * time.Second} // short: a stranger may be the owner on a journey
)

const (
	forgetAfter   = 15 * time.Minute    // without a further wrong password
	knownFor      = 30 * 24 * time.Hour // after a right one
	maxRemembered = 16384
	// maxCounted is more than strangers can fill within forgetAfter, at the pace
	// of their lane.
	maxCounted = 1 << 17

	// How many passwords are computed at once, and how many may wait for it.
	knownAtOnce, knownWaiting       = 2, 256
	strangersAtOnce, strangersQueue = 1, 32
)

// failures are wrong passwords in a row. The zero value is none.
type failures struct {
	count int
	last  time.Time
}

// wait is how long the next try has to wait at now.
func (p patience) wait(f failures, now time.Time) time.Duration {
	n := f.count - p.free
	if n <= 0 {
		return 0
	}
	return max(0, f.last.Add(min(time.Second<<min(n-1, 20), p.longest)).Sub(now))
}

// counted counts failures by key, and forgets them after forgetAfter.
type counted[K comparable] struct {
	patience
	of map[K]failures
}

func (c *counted[K]) get(k K, now time.Time) failures {
	f := c.of[k]
	if now.Sub(f.last) > forgetAfter {
		return failures{}
	}
	return f
}

// add counts one more and returns how many they are.
func (c *counted[K]) add(k K, now time.Time) int {
	if len(c.of) >= maxCounted {
		for k, f := range c.of {
			if now.Sub(f.last) > forgetAfter {
				delete(c.of, k)
			}
		}
		if len(c.of) >= maxCounted {
			clear(c.of)
		}
	}
	n := c.get(k, now).count + 1
	c.of[k] = failures{n, now}
	return n
}

// back takes one off again: a try that could not be checked does not count.
func (c *counted[K]) back(k K) {
	f := c.of[k]
	if f.count--; f.count <= 0 {
		delete(c.of, k)
		return
	}
	c.of[k] = f
}

// passwords remembers right credentials and counts wrong ones.
type passwords struct {
	known, strangers *lane

	mu       sync.Mutex
	right    map[[sha256.Size]byte]time.Time // when it was computed; guarded by mu
	checking map[[sha256.Size]byte]*checking // guarded by mu
	// guarded by mu
	attempts counted[attempt]
	networks counted[netip.Prefix]
	accounts counted[string]
}

type checking struct {
	done chan struct{}
	ok   bool
	err  error
	// abandoned: the caller that computed gave up; the error is its own.
	abandoned bool
}

func newPasswords() *passwords {
	return &passwords{
		known: newLane(knownAtOnce, knownWaiting), strangers: newLane(strangersAtOnce, strangersQueue),
		right: make(map[[sha256.Size]byte]time.Time), checking: make(map[[sha256.Size]byte]*checking),
		attempts: counted[attempt]{withAttempt, make(map[attempt]failures)},
		networks: counted[netip.Prefix]{withNetwork, make(map[netip.Prefix]failures)},
		accounts: counted[string]{withAccount, make(map[string]failures)},
	}
}

// A try is one password for one account.
type try struct {
	id  [sha256.Size]byte // of the credentials and the stored hash
	who attempt
	now time.Time
	// remember is how long a right answer saves the computation.
	remember time.Duration
	// familiar reports whether the account signed in from the network lately.
	familiar func() (bool, error)
	verify   func() (bool, error)
}

// A result is the answer of a try.
type result struct {
	ok       bool
	computed bool // by this try: not remembered, and nobody else's
	// besieged: with this try the account has as many wrong passwords from
	// strangers as make others wait.
	besieged bool
}

// check verifies, which one of those who bring the same credentials at the same
// time does; when that one gives up, another goes on. Each try counts as wrong
// until it proves right, so that many at once do not slip through.
func (p *passwords) check(ctx context.Context, t try) (result, error) {
	var was time.Time // when the credentials were right; zero: not lately
	for {
		p.mu.Lock()
		was = p.right[t.id]
		if t.now.Sub(was) < t.remember {
			p.mu.Unlock()
			return result{ok: true}, nil
		}
		c := p.checking[t.id]
		if c == nil {
			break // with mu
		}
		p.mu.Unlock()
		select {
		case <-c.done:
			if !c.abandoned {
				return result{ok: c.ok}, c.err
			}
		case <-ctx.Done():
			return result{}, context.Cause(ctx)
		}
	}
	c := &checking{done: make(chan struct{}), abandoned: true} // until verify has returned
	p.checking[t.id] = c
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.checking, t.id)
		close(c.done)
	}()
	res := result{computed: true}
	c.err = p.compute(ctx, t, t.now.Sub(was) < knownFor, c, &res)
	return res, c.err
}

// compute admits the try or says why not, and counts what comes of it.
func (p *passwords) compute(ctx context.Context, t try, proven bool, c *checking, res *result) error {
	stranger := false
	if !proven {
		familiar, err := t.familiar()
		if err != nil {
			c.abandoned = ctx.Err() != nil
			return err
		}
		stranger = !familiar
		if err := p.admit(t, stranger); err != nil {
			c.abandoned = false
			return err
		}
	}
	l := p.known
	if stranger {
		l = p.strangers
	}
	err := l.do(ctx, func() (err error) {
		c.ok, err = t.verify()
		return err
	})
	c.abandoned = err != nil && ctx.Err() != nil
	res.ok = c.ok
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		if !proven {
			p.attempts.back(t.who)
		}
	case c.ok:
		delete(p.attempts.of, t.who)
		if len(p.right) >= maxRemembered {
			clear(p.right) // costs each a computation, no more
		}
		p.right[t.id] = t.now
	case stranger:
		p.networks.add(t.who.client, t.now)
		res.besieged = p.accounts.add(t.who.user, t.now) == withAccount.free+1
	}
	return err
}

// admit counts the try, unless it has to wait.
func (p *passwords) admit(t try, stranger bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := p.attempts.wait(p.attempts.get(t.who, t.now), t.now)
	if stranger {
		wait = max(wait, p.networks.wait(p.networks.get(t.who.client, t.now), t.now), p.accounts.wait(p.accounts.get(t.who.user, t.now), t.now))
	}
	if wait > 0 {
		return &BackoffError{wait}
	}
	p.attempts.add(t.who, t.now)
	return nil
}

// A lane admits so many computations at once, and so many that wait for one.
type lane struct {
	running, here chan struct{}
}

func newLane(atOnce, waiting int) *lane {
	return &lane{running: make(chan struct{}, atOnce), here: make(chan struct{}, atOnce+waiting)}
}

// do calls fn when it is its turn. ErrBusy: too many wait already.
func (l *lane) do(ctx context.Context, fn func() error) error {
	select {
	case l.here <- struct{}{}:
		defer func() { <-l.here }()
	default:
		return ErrBusy
	}
	select {
	case l.running <- struct{}{}:
		defer func() { <-l.running }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return fn()
}
