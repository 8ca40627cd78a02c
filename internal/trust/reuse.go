package trust

import (
	"context"
	"sync"
	"time"
)

// An issuedKey is everything that an issued token depends on. The version of the
// realm is part of it: a credential, a host name or a right that is taken away
// changes it, and no token of the time before is handed out again.
type issuedKey struct {
	realm    string
	version  int64
	caller   string // object id
	resource string
	signer   string // x5t of the signing key
	lifetime time.Duration
}

// An issued token, and when it was signed.
type issuedToken struct {
	text                   string
	at, notBefore, expires time.Time
}

// freshAt reports whether the token may be handed out again at now: it was signed
// less than window ago, and three quarters of its life are left.
func (t *issuedToken) freshAt(now time.Time, window time.Duration) bool {
	age := now.Sub(t.at)
	return age >= 0 && age < window && age <= t.expires.Sub(t.at)/4
}

// reuse hands a token out again to who asks for the same a second time. Of many
// who ask at once, one has it signed. It is safe for concurrent use.
type reuse struct {
	window time.Duration // 0 or less: never

	mu      sync.Mutex
	kept    *recent[issuedKey, *issuedToken] // has a lock of its own, taken within mu
	flights map[issuedKey]*signing           // guarded by mu
}

// A signing is one token that is being signed.
type signing struct {
	done  chan struct{}
	token *issuedToken
	err   error
	// abandoned: who had it signed gave up, the error is its own.
	abandoned bool
}

func newReuse(window time.Duration, limit int) *reuse {
	return &reuse{window: window, kept: newRecent[issuedKey, *issuedToken](limit), flights: make(map[issuedKey]*signing)}
}

// token returns the token of key: the one that is kept, the one that is being
// signed, or what sign makes. Again tells whether it was signed for another request.
func (r *reuse) token(ctx context.Context, key issuedKey, now time.Time, sign func() (*issuedToken, error)) (_ *issuedToken, again bool, _ error) {
	if r.window <= 0 {
		t, err := sign()
		return t, false, err
	}
	for {
		r.mu.Lock()
		if t, ok := r.kept.get(key); ok && t.freshAt(now, r.window) {
			r.mu.Unlock()
			return t, true, nil
		}
		f := r.flights[key]
		if f == nil {
			f = &signing{done: make(chan struct{}), abandoned: true} // also when sign panics
			r.flights[key] = f
			r.mu.Unlock()
			defer r.land(key, f)
			f.token, f.err = sign()
			f.abandoned = f.err != nil && ctx.Err() != nil
			return f.token, false, f.err
		}
		r.mu.Unlock()
		select {
		case <-f.done:
			if !f.abandoned {
				return f.token, true, f.err
			}
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}

// land ends a signing and keeps what came of it.
func (r *reuse) land(key issuedKey, f *signing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.token != nil && f.err == nil {
		r.kept.put(key, f.token)
	}
	delete(r.flights, key)
	close(f.done)
}
