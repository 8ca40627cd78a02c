package availability

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// stall is how long the workers of a question may wait before more are added.
const stall = 100 * time.Millisecond

// run calls do(0) to do(n-1), LocalReads of them at once, and as many more
// whenever stall has passed, so that calendars that hang do not hold up others.
// It returns when done is closed or ctx is done; calls that are still under way
// then go on by themselves, and no new ones begin.
func (e *Engine) run(ctx context.Context, done <-chan struct{}, n int, do func(i int)) {
	var next atomic.Int64
	work := func() {
		for ctx.Err() == nil {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			do(i)
		}
	}
	add := func() {
		for range min(e.LocalReads, n-int(next.Load())) {
			e.wg.Go(work)
		}
	}
	add()
	tick := time.NewTicker(stall)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
			add()
		}
	}
}

// A board collects the results of n tasks until all are there, or nobody waits
// for them any more.
type board[T any] struct {
	done chan struct{} // closed when every result is there

	mu     sync.Mutex // guards what follows until closed
	values []T
	have   []bool
	left   int
	closed bool
}

// newBoard returns a board over values, of which some may be there already.
func newBoard[T any](values []T, have []bool) *board[T] {
	b := &board[T]{done: make(chan struct{}), values: values, have: have}
	for _, there := range have {
		if !there {
			b.left++
		}
	}
	if b.left == 0 {
		close(b.done)
	}
	return b
}

// put enters the result of task i, once. After close it does nothing.
func (b *board[T]) put(i int, v T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.have[i] {
		return
	}
	b.values[i], b.have[i] = v, true
	if b.left--; b.left == 0 {
		close(b.done)
	}
}

// close returns the results and which of them are there. They change no more.
func (b *board[T]) close() ([]T, []bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.values, b.have
}
