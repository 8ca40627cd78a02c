package trust

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Two sign, three wait, the sixth is told at once; who waits may give up.
func TestSigningQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newSigningQueue(2, 3)
		release := make(chan struct{})
		var mu sync.Mutex
		signing, most := 0, 0
		var wg sync.WaitGroup
		ask := func(ctx context.Context, want error) {
			wg.Go(func() {
				text, err := q.do(ctx, func() (string, error) {
					mu.Lock()
					signing++
					most = max(most, signing)
					mu.Unlock()
					<-release
					mu.Lock()
					signing--
					mu.Unlock()
					return "token", nil
				})
				if !errors.Is(err, want) || err == nil && text != "token" {
					t.Errorf("got %q, %v, want %v", text, err, want)
				}
			})
		}
		for range 4 {
			ask(t.Context(), nil)
		}
		synctest.Wait()
		impatient, giveUp := context.WithCancel(t.Context())
		ask(impatient, context.Canceled)
		synctest.Wait()
		ask(t.Context(), errBusy)
		synctest.Wait()
		giveUp()
		synctest.Wait()
		ask(t.Context(), nil) // in the place of the one that gave up
		synctest.Wait()
		if signing != 2 || !q.busy() {
			t.Errorf("%d sign", signing)
		}
		close(release)
		wg.Wait()
		if most != 2 || q.busy() {
			t.Errorf("%d signed at one time, busy %v", most, q.busy())
		}
	})
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		start := time.Now()
		waited := func() time.Duration { return time.Since(start) }
		if g.pass(false); waited() != 0 {
			t.Errorf("alone: waited %v", waited())
		}
		var wg sync.WaitGroup
		through := 0
		var mu sync.Mutex
		come := func(more bool) {
			wg.Go(func() {
				g.pass(more)
				mu.Lock()
				defer mu.Unlock()
				through++
			})
			synctest.Wait()
		}
		come(true)
		come(true)
		if through != 0 {
			t.Error("the gate is open though more will come")
		}
		come(false) // the last one opens it
		if wg.Wait(); waited() != 0 || through != 3 {
			t.Errorf("%d went through after %v", through, waited())
		}
		come(true)
		wg.Wait()
		if waited() != gateTime || through != 4 {
			t.Errorf("%d went through after %v, want %v", through, waited(), gateTime)
		}
		for range gateSize {
			come(true)
		}
		if wg.Wait(); waited() != gateTime {
			t.Errorf("%d waited until %v", gateSize, waited())
		}
	})
}

func TestReuseHasOneSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReuse(5*time.Minute, 16)
		release, signed := make(chan struct{}), 0
		sign := func() (*issuedToken, error) {
			<-release
			signed++
			now := time.Now()
			return &issuedToken{text: "token", at: now, expires: now.Add(time.Hour)}, nil
		}
		key := issuedKey{caller: "a"}
		var wg sync.WaitGroup
		var mu sync.Mutex
		reused := 0
		ask := func(ctx context.Context, sign func() (*issuedToken, error), want error) {
			wg.Go(func() {
				_, again, err := r.token(ctx, key, time.Now(), sign)
				mu.Lock()
				defer mu.Unlock()
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
				if again {
					reused++
				}
			})
			synctest.Wait()
		}
		// The first gives up while it has the token signed: another one goes on.
		first, giveUp := context.WithCancel(t.Context())
		ask(first, func() (*issuedToken, error) { <-first.Done(); return nil, first.Err() }, context.Canceled)
		for range 3 {
			ask(t.Context(), sign, nil)
		}
		impatient, leave := context.WithCancel(t.Context())
		ask(impatient, sign, context.Canceled)
		leave()
		giveUp()
		synctest.Wait()
		close(release)
		wg.Wait()
		if signed != 1 || reused != 2 {
			t.Errorf("%d signed, %d handed out again", signed, reused)
		}
		ask(t.Context(), sign, nil)
		if wg.Wait(); signed != 1 {
			t.Error("signed again")
		}
		// A failure is not kept.
		broken := errors.New("broken")
		key.caller = "b"
		ask(t.Context(), func() (*issuedToken, error) { return nil, broken }, broken)
		ask(t.Context(), sign, nil)
		if wg.Wait(); signed != 2 {
			t.Errorf("%d signed", signed)
		}
	})
}

// A token that is handed out again keeps most of its life.
func TestReuseKeepsMostOfTheLife(t *testing.T) {
	now := time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		life, age time.Duration
		want      bool
	}{
		{24 * time.Hour, 0, true}, {24 * time.Hour, 5*time.Minute - 1, true}, {24 * time.Hour, 5 * time.Minute, false},
		{8 * time.Minute, 2 * time.Minute, true}, {8 * time.Minute, 2*time.Minute + 1, false},
		{24 * time.Hour, -time.Second, false}, // the clock went back
	} {
		token := &issuedToken{at: now, expires: now.Add(tt.life)}
		if got := token.freshAt(now.Add(tt.age), 5*time.Minute); got != tt.want {
			t.Errorf("a token for %v after %v: %v", tt.life, tt.age, got)
		}
	}
}
