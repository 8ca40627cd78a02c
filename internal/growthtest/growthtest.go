// Package growthtest holds how cost grows with size: two sizes in one run, and
// the ratio of what they cost.
package growthtest

import (
	"math"
	"runtime"
	"testing"
	"time"
)

// Law fails t when large costs more than atMost times what small costs, per call,
// in processor time of the calling thread. Others use the machine too: each is
// called in many short turns in alternation, and the cheapest turn counts; a law
// that does not hold fails in every attempt. Under the race detector, where time is
// not the program's, both are only called.
func Law(t *testing.T, atMost float64, small, large func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	turn := func(f func()) float64 {
		const enough = 2 * time.Millisecond
		for n := 1; ; n *= 2 {
			start := threadTime(t)
			for range n {
				f()
			}
			if d := threadTime(t) - start; d >= enough || n > 1<<24 {
				return float64(d) / float64(n)
			}
		}
	}
	small()
	large() // what is read or made only once
	if raceEnabled {
		return
	}
	best := math.Inf(1)
	for attempt := range 10 {
		a, b := math.Inf(1), math.Inf(1)
		for range 10 {
			a, b = min(a, turn(small)), min(b, turn(large))
		}
		t.Logf("attempt %d: %.3f and %.3f µs, ratio %.3f, at most %.3f", attempt+1, a/1e3, b/1e3, b/a, atMost)
		if best = min(best, b/a); best <= atMost {
			return
		}
	}
	t.Errorf("the ratio is %.3f, at most %.3f is allowed", best, atMost)
}
