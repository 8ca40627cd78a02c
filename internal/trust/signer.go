package trust

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errBusy: as many wait for a signature as may.
var errBusy = errors.New("too many wait for a signature")

// A signingQueue bounds the signatures made at one time. An RSA signature holds a
// processor for a millisecond; without a queue of their own, a few requests for
// tokens would take all processors and every cheap request would wait behind them.
// Who waits is served in order. It is safe for concurrent use.
type signingQueue struct {
	places chan struct{} // one for each signature under way
	limit  int64         // of those who sign or wait
	inside atomic.Int64
}

func newSigningQueue(signing, waiting int) *signingQueue {
	return &signingQueue{places: make(chan struct{}, signing), limit: int64(signing + waiting)}
}

// do calls sign when there is a place. It is errBusy at once when the queue is
// full, and the cause of ctx when that ends first.
func (q *signingQueue) do(ctx context.Context, sign func() (string, error)) (string, error) {
	defer q.inside.Add(-1)
	if q.inside.Add(1) > q.limit {
		return "", errBusy
	}
	select {
	case q.places <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-q.places }()
	return sign()
}

// busy reports whether somebody signs or waits.
func (q *signingQueue) busy() bool { return q.inside.Load() > 0 }

// A gate lets those who come within a moment through together, so that their
// records share one commit. It is safe for concurrent use; the zero gate is ready.
type gate struct {
	mu      sync.Mutex
	open    chan struct{} // closed to let through who waits; nil: nobody does; guarded by mu
	waiting int           // guarded by mu
}

// Who waits at a gate waits at most so long, and not for more than so many.
const (
	gateTime = 20 * time.Millisecond
	gateSize = 8
)

// pass waits for others if more will come, else opens the gate.
func (g *gate) pass(more bool) {
	g.mu.Lock()
	if g.open == nil {
		if !more {
			g.mu.Unlock()
			return
		}
		open := make(chan struct{})
		g.open = open
		t := time.AfterFunc(gateTime, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.open == open {
				g.let()
			}
		})
		defer t.Stop()
	}
	open := g.open
	if g.waiting++; !more || g.waiting >= gateSize {
		g.let()
	}
	g.mu.Unlock()
	<-open
}

// let needs mu.
func (g *gate) let() {
	close(g.open)
	g.open, g.waiting = nil, 0
}
