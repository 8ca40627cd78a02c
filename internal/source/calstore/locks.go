package calstore

import (
	"context"
	"sync"
)

// locks are one lock for each calendar, held by whoever changes it: two imports
// of one process do not work for nothing, and of many questions about a new year
// one expands it. Other processes are held off by the version.
type locks struct {
	mu   *sync.Mutex // guards held
	held map[key]*lock
}

type lock struct {
	token chan struct{} // holds one value while the lock is free
	users int           // that hold it or wait, guarded by locks.mu
}

func newLocks() locks { return locks{new(sync.Mutex), map[key]*lock{}} }

// lock waits for the lock of k, as long as ctx allows.
func (l *locks) lock(ctx context.Context, k key) (unlock func(), err error) {
	l.mu.Lock()
	one := l.held[k]
	if one == nil {
		one = &lock{token: make(chan struct{}, 1)}
		one.token <- struct{}{}
		l.held[k] = one
	}
	one.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(l.held, k)
		}
	}
	select {
	case <-one.token:
		return func() { one.token <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
