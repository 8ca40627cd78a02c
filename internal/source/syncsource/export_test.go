package syncsource

import (
	"context"
	"sync"
	"time"
)

// Pass does what Run does at one tick, and waits for the attempts.
func (s *Syncer) Pass(ctx context.Context) {
	for more := true; more; {
		var attempts sync.WaitGroup
		more = s.pass(ctx, &attempts)
		attempts.Wait()
	}
	s.flush(ctx)
}

// BackOff is backOff.
func BackOff(refresh time.Duration, n int) time.Duration { return backOff(refresh, n) }
