package callers

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// An attempt is who tries: the account's name and the client's network, a single
// IPv4 address or an IPv6 /64. Others on other networks are not held up.
type attempt struct {
	user   string
	client netip.Addr
}

// Limits of what passwords remembers.
const (
	freeTries     = 5 // wrong passwords before the first wait
	longestWait   = 5 * time.Minute
	forgetAfter   = 15 * time.Minute // without a further wrong password
	maxRemembered = 16384
)

// passwords remembers right credentials and counts wrong ones.
type passwords struct {
	mu       sync.Mutex
	right    map[[sha256.Size]byte]time.Time // until when; guarded by mu
	wrong    map[attempt]failures            // guarded by mu
	checking map[[sha256.Size]byte]*checking // guarded by mu
}

type failures struct {
	count int
	last  time.Time
	until time.Time // no try before
}

type checking struct {
	done chan struct{}
	ok   bool
	err  error
	// abandoned: the caller that computed gave up; the error is its own.
	abandoned bool
}

func newPasswords() *passwords {
	return &passwords{right: make(map[[sha256.Size]byte]time.Time), wrong: make(map[attempt]failures),
		checking: make(map[[sha256.Size]byte]*checking)}
}

// check returns what verify says of the credentials id, which one of those who
// bring them at the same time calls; when that one gives up, another goes on. A
// right answer is remembered for the given time, without regard to the waits of
// the account. Each try counts as wrong until it proves right, so that many at
// once do not slip through.
func (p *passwords) check(ctx context.Context, id [sha256.Size]byte, who attempt, now time.Time, remember time.Duration, verify func() (bool, error)) (bool, error) {
	if who.client.Is6() {
		if prefix, err := who.client.WithZone("").Prefix(64); err == nil {
			who.client = prefix.Addr()
		}
	}
	for {
		p.mu.Lock()
		if until, ok := p.right[id]; ok && now.Before(until) {
			p.mu.Unlock()
			return true, nil
		}
		c := p.checking[id]
		if c == nil {
			break // with mu
		}
		p.mu.Unlock()
		select {
		case <-c.done:
			if !c.abandoned {
				return c.ok, c.err
			}
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
	before := p.wrong[who]
	if now.Before(before.until) {
		p.mu.Unlock()
		return false, &BackoffError{before.until.Sub(now)}
	}
	p.count(who, now)
	c := &checking{done: make(chan struct{}), abandoned: true} // until verify has returned
	p.checking[id] = c
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.checking, id)
		close(c.done)
		switch {
		case c.abandoned || c.err != nil:
			p.restore(who, before)
		case c.ok:
			delete(p.wrong, who)
			if len(p.right) >= maxRemembered {
				clear(p.right) // costs each a computation, no more
			}
			p.right[id] = now.Add(remember)
		}
	}()
	c.ok, c.err = verify()
	c.abandoned = c.err != nil && ctx.Err() != nil
	return c.ok, c.err
}

// count needs mu. After freeTries the wait doubles from one second on.
func (p *passwords) count(who attempt, now time.Time) {
	if len(p.wrong) >= maxRemembered {
		p.sweep(now)
	}
	f := p.wrong[who]
	if now.Sub(f.last) > forgetAfter {
		f = failures{}
	}
	f.count, f.last = f.count+1, now
	if n := f.count - freeTries; n > 0 {
		f.until = now.Add(min(time.Second<<min(n-1, 20), longestWait))
	}
	p.wrong[who] = f
}

// restore needs mu: a try that could not be checked does not count.
func (p *passwords) restore(who attempt, before failures) {
	if before.count == 0 {
		delete(p.wrong, who)
		return
	}
	p.wrong[who] = before
}

// sweep needs mu. It drops what is long past, and everything when that is not
// enough: whoever fills the table from many networks gains one more round.
func (p *passwords) sweep(now time.Time) {
	for who, f := range p.wrong {
		if now.Sub(f.last) > forgetAfter {
			delete(p.wrong, who)
		}
	}
	if len(p.wrong) >= maxRemembered {
		clear(p.wrong)
	}
}
