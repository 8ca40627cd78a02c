package remoteserver_test

import (
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"busybridge/internal/dial/remoteclient"
	"busybridge/internal/ps/psrp"
	"busybridge/internal/ps/wsman"
	"busybridge/internal/serve/remoteserver"
)

// heap is what is in use after a collection.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Two hundred sessions that nobody uses and fifty busy ones cost little, and all
// of them end when their clients are lost or the server closes.
func TestManySessions(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	const idle, busy = 200, 50
	s := newStage(t, remoteserver.Limits{Sessions: 1, Memory: 4 << 20})
	before := heap()
	for i := range idle {
		cl := psrp.NewClient(psrp.ClientConfig{Pool: uuid.New()})
		if err := cl.Open(); err != nil {
			t.Fatal(err)
		}
		create := request(wsman.Create, "", &wsman.Shell{ID: uuid.NewString(), Input: "stdin pr", Output: "stdout", Creation: cl.Out().Take(32<<10, 0)})
		if status, m := s.post(t, fmt.Sprintf("idle%d@contoso.com", i), create); status != http.StatusOK {
			t.Fatal(m.Body)
		}
	}
	perIdle := (heap() - before) / idle

	// Both ends of the busy ones are in this process: what is measured is more than the server's part.
	before = heap()
	clients := make([]*remoteclient.Session, busy)
	var wg sync.WaitGroup
	for i := range clients {
		clients[i] = s.open(t, func(c *remoteclient.Config) { c.User = fmt.Sprintf("busy%d@contoso.com", i) })
		wg.Go(func() {
			for range 3 {
				n := 0
				err := clients[i].Run(t.Context(), pipeline(cmd("Get-Thing", "", "a", "Count", int32(100))), nil, func(psrp.Event) error {
					n++
					return nil
				})
				if err != nil || n != 100 {
					t.Errorf("client %d: %d objects, %v", i, n, err)
				}
			}
		})
	}
	wg.Wait()
	// They stand in the midst of a pipeline now.
	ended := make(chan error, busy)
	for _, c := range clients {
		go func() {
			ended <- c.Run(t.Context(), pipeline(cmd("Get-Slow")), nil, func(psrp.Event) error { return nil })
		}()
	}
	for range busy {
		<-s.running
	}
	perBusy := (heap() - before) / busy
	t.Logf("memory: %d KiB for an idle session, %d KiB for a busy one with its client", perIdle>>10, perBusy>>10)
	if perIdle > 64<<10 || perBusy > 2<<20 {
		t.Errorf("an idle session keeps %d bytes, a busy one %d", perIdle, perBusy)
	}
	if s.Sessions() != idle+busy {
		t.Errorf("%d sessions", s.Sessions())
	}

	s.Close()
	for range busy {
		if err := <-ended; err == nil {
			t.Error("a pipeline ended well")
		}
	}
	for _, c := range clients {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if s.Sessions() != 0 || s.tries != busy {
		t.Errorf("%d sessions are left, %d of %d pipelines have ended", s.Sessions(), s.tries, busy)
	}
	s.http.Close()
	s.http.Client().CloseIdleConnections()
	goleak.VerifyNone(t, leaks)
}

// A client that is lost leaves nothing behind: the session ends by itself, with
// what runs in it.
func TestLostClient(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	s := newStage(t, remoteserver.Limits{})
	c := s.open(t)
	done := make(chan error)
	go func() {
		done <- c.Run(t.Context(), pipeline(cmd("Get-Slow")), nil, func(psrp.Event) error { return nil })
	}()
	<-s.running
	s.http.Listener.Close()
	s.http.CloseClientConnections() // as when the cable is cut
	if err := <-done; err == nil {
		t.Error("the pipeline ended well")
	}
	for s.Unused() == 0 { // its requests notice it at once, but not at the same time
		runtime.Gosched()
	}
	s.advance(15 * time.Minute)
	s.Sweep()
	if s.Sessions() != 0 {
		t.Error("the session is still there")
	}
	s.Close()
	if s.tries != 1 {
		t.Error("the pipeline goes on")
	}
	_ = c.Close() // there may be nobody any more to tell it to
	s.http.Close()
	goleak.VerifyNone(t, leaks)
}
