package growthtest_test

import (
	"testing"

	"busybridge/internal/growthtest"
)

// work does n times the same.
func work(n int) func() {
	sum := 0
	return func() {
		for i := range n * 1000 {
			sum ^= i * sum
		}
	}
}

func TestLaw(t *testing.T) {
	growthtest.Law(t, 1.1, work(1), work(1))
	growthtest.Law(t, 5, work(1), work(4))
}
