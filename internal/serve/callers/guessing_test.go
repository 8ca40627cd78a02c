package callers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/trust"
)

const (
	carol = "carol@fabrikam.com"
	home  = "192.0.2.1:2000"
	hotel = "192.0.2.200:3000" // where nobody signed in from before
)

// A siege is a deployment whose accounts are guessed at.
type siege struct {
	*stage
	t    *testing.T
	auth *callers.Authenticator
	at   time.Time
}

func newSiege(t *testing.T) *siege {
	g := &siege{stage: newStage(), t: t, at: time.Now()}
	g.now = func() time.Time { return g.at }
	g.restart()
	return g
}

// restart forgets what is not in the store.
func (g *siege) restart() { g.auth = g.authenticator(g.t) }

func (g *siege) try(from, user, password string) error {
	_, err := g.auth.Authenticate(request(g.t, "onprem.test", func(r *http.Request) { r.RemoteAddr = from; r.SetBasicAuth(user, password) }))
	return err
}

func (g *siege) good(what, from, user, password string) {
	g.t.Helper()
	if err := g.try(from, user, password); err != nil {
		g.t.Errorf("%s: %v", what, err)
	}
}

// wait is the wait that a try is answered with.
func (g *siege) wait(what, from, user, password string) time.Duration {
	g.t.Helper()
	err := g.try(from, user, password)
	e, ok := errors.AsType[*callers.BackoffError](err)
	if !ok {
		g.t.Errorf("%s: %v, want a wait", what, err)
		return 0
	}
	return e.Wait
}

// guess tries one password from n networks, four of IPv6 for one of IPv4.
func (g *siege) guess(n int, user string) {
	for i := range n {
		from := fmt.Sprintf("[2001:db8:%x:%x::1]:1", i>>16, i&0xffff)
		if i%5 == 0 {
			from = fmt.Sprintf("198.51.%d.%d:1", i>>8&0xff, i&0xff)
		}
		if err := g.try(from, user, fmt.Sprint("guess ", i)); err == nil {
			g.t.Fatal("guessed")
		}
	}
}

// Whoever guesses from elsewhere, from however many networks, never makes the
// owner wait who comes from where they signed in before, even after a restart.
func TestStrangersNeverStopTheOwner(t *testing.T) {
	g := newSiege(t)
	phone, hash := trust.NewAppPassword(carol)
	g.accounts[carol].AppPasswords = []directory.AppPassword{{ID: "1", Name: "phone", Hash: hash, LastUsed: g.at.Add(24 * time.Hour)}}
	g.good("the owner at home, before", home, carol, "secret")
	for range 5 {
		g.guess(1000, carol)
		g.good("the owner at home", home, carol, "secret")
		g.good("the owner abroad with the password that was right before", hotel, carol, "secret")
		g.good("a program of the owner abroad", hotel, carol, phone)
		g.at = g.at.Add(10 * time.Minute) // the computed password is forgotten
		g.good("the owner at home, later", home, carol, "secret")
	}
	g.guess(1000, carol)
	g.restart()
	g.guess(1000, carol)
	if w := g.wait("a stranger", hotel, carol, "secret"); w > 10*time.Second {
		t.Errorf("a stranger, who may be the owner, waits %v", w)
	}
	g.good("the owner at home after a restart", home, carol, "secret")
	g.good("a program of the owner abroad after a restart", hotel, carol, phone)
	g.good("another user from elsewhere", hotel, "admin@fabrikam.com", "secret")

	g.restart()
	g.guess(1000, carol)
	g.at = g.at.Add(10 * time.Second)
	g.good("a stranger after the wait", hotel, carol, "secret")
	g.at = g.at.Add(31 * 24 * time.Hour)
	g.restart()
	g.guess(1000, carol)
	g.wait("a month later the owner is a stranger", home, carol, "secret")
}

// The owner's own network holds nobody up who has the right password.
func TestNeighbourCannotStopTheOwner(t *testing.T) {
	g := newSiege(t)
	g.good("the owner", home, carol, "secret")
	for i := range 100 {
		if g.try(home, carol, fmt.Sprint(i)) == nil {
			t.Fatal("guessed")
		}
	}
	g.wait("the neighbour", home, carol, "guess")
	g.at = g.at.Add(time.Second / 2)
	g.wait("the neighbour, who has to be patient", home, carol, "guess")
	g.at = g.at.Add(time.Hour) // the password is computed anew
	for i := range 100 {
		if g.try(home, carol, fmt.Sprint(i)) == nil {
			t.Fatal("guessed")
		}
	}
	g.good("the owner", home, carol, "secret")
}

// One account has one count, with whatever letters it is named, and a name that
// is nobody's has one, too.
func TestGuessesOfManyNetworksCount(t *testing.T) {
	for _, names := range [][]string{{carol}, {carol, "CAROL@fabrikam.com", "carol@\uff46abrikam.com"}, {"nobody@fabrikam.com"}} {
		g := newSiege(t)
		before := g.hashes.Load()
		for i := range 500 {
			if g.try(fmt.Sprintf("198.51.%d.%d:1", i>>8, i&0xff), names[i%len(names)], "guess") == nil {
				t.Fatal("guessed")
			}
		}
		if n := g.hashes.Load() - before; n != 51 {
			t.Errorf("%q: %d passwords were computed, want 51", names, n)
		}
	}
}

// One password tried on many accounts.
func TestSpraying(t *testing.T) {
	g := newSiege(t)
	const office = "203.0.113.5:1"
	g.good("carol in the office", office, carol, "secret")
	g.restart()
	before := g.hashes.Load()
	for i := range 500 {
		if g.try(office, fmt.Sprintf("user%d@fabrikam.com", i), "Spring2026!") == nil {
			t.Fatal("guessed")
		}
	}
	if n := g.hashes.Load() - before; n != 51 {
		t.Errorf("%d passwords were computed, want 51", n)
	}
	g.wait("somebody new in the office", office, "admin@fabrikam.com", "secret")
	g.good("carol in the office", office, carol, "secret")
	g.good("somebody new at home", home, "admin@fabrikam.com", "secret")
	g.at = g.at.Add(time.Minute)
	g.good("somebody new in the office, later", office, "admin@fabrikam.com", "secret")
}

// A network is noted when somebody signed in from it, at most once a day.
func TestNetworksAreNoted(t *testing.T) {
	g := newSiege(t)
	for _, step := range []struct {
		what, from, password string
		after                time.Duration
		notes                int
	}{
		{"a wrong password", home, "wrong", 0, 0},
		{"the first time", home, "secret", 0, 1},
		{"again", home, "secret", time.Hour, 1},
		{"elsewhere", "[2001:db8::1]:1", "secret", 0, 1}, // not computed: remembered
		{"elsewhere, later", "[2001:db8::1]:1", "secret", time.Hour, 2},
		{"in the same network", "[2001:db8::2]:1", "secret", time.Hour, 2},
		{"the next day", home, "secret", 24 * time.Hour, 3},
	} {
		g.at = g.at.Add(step.after)
		g.try(step.from, carol, step.password)
		if g.notes != step.notes {
			t.Errorf("%s: %d notes, want %d", step.what, g.notes, step.notes)
		}
	}
}

// However many guess, one password of theirs is computed at a time, and few
// wait for it; who is known is computed beside them.
func TestGuessesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newSiege(t)
		g.now = time.Now
		g.good("the owner", home, carol, "secret")
		g.restart()
		var now, most, busy, computed atomic.Int64
		g.stage.wait = func(context.Context) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(time.Second)
			return nil
		}
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				switch err := g.try(fmt.Sprintf("198.51.100.%d:1", i), fmt.Sprintf("user%d@fabrikam.com", i), "guess"); {
				case errors.Is(err, callers.ErrBusy):
					busy.Add(1)
				case errors.Is(err, callers.ErrBadCredentials):
					computed.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		g.good("the owner, in the middle of it", home, carol, "secret")
		if d := time.Since(start); d != time.Second {
			t.Errorf("the owner waits %v", d)
		}
		wg.Wait()
		if most.Load() != 2 || computed.Load() != 33 || busy.Load() != 167 {
			t.Errorf("%d at once, %d computed, %d turned away", most.Load(), computed.Load(), busy.Load())
		}
	})
}

// Who was turned away, or gave up, has guessed nothing.
func TestOnlyAnsweredTriesCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newSiege(t)
		g.now = time.Now
		g.stage.wait = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		for i := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			r := request(t, "onprem.test", basic(carol, fmt.Sprint(i))).WithContext(ctx)
			if _, err := g.auth.Authenticate(r); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
		g.stage.wait = nil
		g.good("afterwards", home, carol, "secret")
	})
}
