package growthtest

import (
	"syscall"
	"testing"
	"time"
)

// threadTime is the processor time of the calling thread so far.
func threadTime(t *testing.T) time.Duration {
	const thread = 1 // RUSAGE_THREAD of getrusage(2)
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
