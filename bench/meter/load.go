package meter

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// A Load is how a server is asked.
type Load struct {
	Workers int
	For     time.Duration
}

// A Result is what came of a load.
type Result struct {
	Count int
	CPU   time.Duration // of the process, for all requests
	Times []time.Duration
}

// Each is the processor time of one request.
func (r Result) Each() time.Duration { return r.CPU / time.Duration(r.Count) }

// Quantile is the time within which that part of the requests were answered.
func (r Result) Quantile(q float64) time.Duration {
	slices.Sort(r.Times)
	return r.Times[min(len(r.Times)-1, int(q*float64(len(r.Times))))]
}

// Run lets the workers ask, each one request after the other, and reads the
// processor time that c took for it; c may be nil. What is under way when the
// time is over is waited for, so that it counts like what it cost. The first
// error ends it; the end of ctx is none.
func (l Load) Run(ctx context.Context, c *Child, ask func(ctx context.Context, worker int) error) (r Result, err error) {
	outer := ctx
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	before, err := c.spent()
	if err != nil {
		return r, err
	}
	var (
		wg sync.WaitGroup
		mu sync.Mutex // guards r and err
	)
	begun := time.Now() //nolint:forbidigo // a measurement is of now
	for w := range l.Workers {
		wg.Go(func() {
			var times []time.Duration
			var failed error
			for ctx.Err() == nil && time.Since(begun) < l.For { //nolint:forbidigo // a measurement is of now
				start := time.Now() //nolint:forbidigo // the same
				if failed = ask(ctx, w); failed != nil {
					break
				}
				times = append(times, time.Since(start)) //nolint:forbidigo // the same
			}
			mu.Lock()
			defer mu.Unlock()
			r.Times = append(r.Times, times...)
			if failed != nil && outer.Err() == nil && err == nil {
				err = failed
				cancel()
			}
		})
	}
	wg.Wait()
	after, cpuErr := c.spent()
	r.Count, r.CPU = len(r.Times), after-before
	if err = errors.Join(err, cpuErr); err == nil && r.Count == 0 {
		err = errors.New("no request was answered in time")
	}
	return r, err
}

func (c *Child) spent() (time.Duration, error) {
	if c == nil {
		return 0, nil
	}
	return c.CPU()
}

// Median is the middle one, 0 of none.
func Median[T ~int64 | ~float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return v[len(v)/2]
}
