package mount_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"busybridge/internal/serve/mount"
)

var (
	noisy = mount.Caller{Kind: mount.Partner, Org: "contoso", Name: "app", Realm: "fabrikam"}
	quiet = mount.Caller{Kind: mount.Partner, Org: "contoso", Name: "app", Realm: "tailspin"}
)

func newTurns(c mount.TurnsConfig) *mount.Turns {
	c.Now = time.Now // of the bubble
	return mount.NewTurns(c)
}

// TestNoisyPartner has 50 connections of one partner at work all the time, at a
// node that works on four requests. What the quiet one sends meanwhile gets the
// next turn that is free, every time; what the noisy one sends waits for about
// fifty.
func TestNoisyPartner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const connections, atOnce, work, asks = 50, 4, 10 * time.Millisecond, 100
		turns := newTurns(mount.TurnsConfig{AtOnce: atOnce})
		var mu sync.Mutex
		begun, worst := 0, map[mount.Caller]int{} // turns that began; most of them between asking and beginning
		ask := func(c mount.Caller) error {
			mu.Lock()
			before := begun
			mu.Unlock()
			done, err := turns.Take(t.Context(), c)
			if err != nil {
				return err
			}
			mu.Lock()
			worst[c] = max(worst[c], begun-before)
			begun++
			mu.Unlock()
			time.Sleep(work)
			done()
			return nil
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range connections {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := ask(noisy); err != nil {
						t.Errorf("the noisy one is within its queue: %v", err)
						return
					}
				}
			})
		}
		time.Sleep(time.Second)
		for range asks {
			began := time.Now()
			if err := ask(quiet); err != nil {
				t.Fatalf("the quiet one: %v", err)
			}
			if d := time.Since(began); d > 2*work {
				t.Errorf("the quiet one took %v, want at most %v: one turn of waiting, one of its own", d, 2*work)
			}
			time.Sleep(3 * time.Millisecond)
		}
		close(stop)
		wg.Wait()
		if worst[quiet] > 2*atOnce { // those that were given together with its own begin in any order
			t.Errorf("%d turns went before the quiet one's, want at most %d", worst[quiet], 2*atOnce)
		}
		t.Logf("turns before one's own, at most: %d of the quiet one, %d of the noisy one", worst[quiet], worst[noisy])
		if worst[noisy] < connections-atOnce-1 {
			t.Errorf("%d turns at most went before the noisy one's: it did not wait behind itself", worst[noisy])
		}
	})
}

func TestTurns(t *testing.T) {
	users := []mount.Caller{{Kind: mount.User, Name: "a"}, {Kind: mount.User, Name: "b"}, {Kind: mount.User, Name: "c"}}
	// start asks for a turn and returns its end; order has who began.
	type world struct {
		*mount.Turns
		t     *testing.T
		order []string
	}
	start := func(w *world, c mount.Caller) (end func()) {
		over := make(chan struct{})
		go func() {
			done, err := w.Take(w.t.Context(), c)
			if err != nil {
				w.order = append(w.order, c.Name+" refused")
				return
			}
			w.order = append(w.order, c.Name)
			<-over
			done()
		}()
		synctest.Wait()
		return func() { close(over); synctest.Wait() }
	}
	tests := []struct {
		name string
		c    mount.TurnsConfig
		do   func(w *world)
		want string
	}{
		{"callers take turns, not requests", mount.TurnsConfig{AtOnce: 1}, func(w *world) {
			ends := []func(){start(w, users[0])}
			for _, i := range []int{0, 0, 0, 1, 1, 2} {
				ends = append(ends, start(w, users[i]))
			}
			// In the order in which their turns come: a's first, then round.
			for _, i := range []int{0, 1, 4, 6, 2, 5, 3} {
				ends[i]()
			}
		}, "a a b c a b a"},
		{"one caller's limit leaves the rest to others", mount.TurnsConfig{AtOnce: 3, User: mount.Budget{AtOnce: 1}}, func(w *world) {
			first := start(w, users[0])
			second := start(w, users[0])
			third := start(w, users[1])
			w.order = append(w.order, "|")
			third()
			w.order = append(w.order, "|")
			first()
			second()
		}, "a b | | a"},
		{"a full queue", mount.TurnsConfig{AtOnce: 1, User: mount.Budget{Queue: 1}}, func(w *world) {
			first, second := start(w, users[0]), start(w, users[0])
			start(w, users[0])
			other := start(w, users[1])
			first()
			second()
			other()
		}, "a a refused a b"},
		{"nobody waits for ever", mount.TurnsConfig{AtOnce: 1, Patience: time.Second}, func(w *world) {
			first := start(w, users[0])
			start(w, users[1])
			time.Sleep(2 * time.Second)
			synctest.Wait()
			first()
			start(w, users[2])()
		}, "a b refused c"},
		{"so many in a minute, and then evenly", mount.TurnsConfig{User: mount.Budget{PerMinute: 2}}, func(w *world) {
			for range 3 {
				start(w, users[0])()
			}
			start(w, users[1])()
			time.Sleep(30 * time.Second)
			start(w, users[0])()
			start(w, users[0])()
		}, "a a a refused b a a refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{Turns: newTurns(tt.c), t: t}
				tt.do(w)
				if got := strings.Join(w.order, " "); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

// TestTurnsInAnyOrder takes, ends and gives up turns in any order: never more
// than the limits, no caller that could be served waits, and at the end all is free.
func TestTurnsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		atOnce, each := rapid.IntRange(1, 4).Draw(rt, "at once"), rapid.IntRange(1, 3).Draw(rt, "each")
		steps := rapid.SliceOfN(rapid.IntRange(0, 99), 1, 60).Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) {
			turns := newTurns(mount.TurnsConfig{AtOnce: atOnce, User: mount.Budget{AtOnce: each, Queue: 5}})
			type req struct {
				who  string
				stop context.CancelFunc
				end  chan struct{}
			}
			var mu sync.Mutex
			working, waiting := map[*req]bool{}, map[*req]bool{}
			var wg sync.WaitGroup
			oldest := func(m map[*req]bool, n int) *req {
				var list []*req
				for r := range m {
					list = append(list, r)
				}
				slices.SortFunc(list, func(a, b *req) int { return strings.Compare(fmt.Sprint(a.who, &a.end), fmt.Sprint(b.who, &b.end)) })
				return list[n%len(list)]
			}
			for _, s := range steps {
				mu.Lock()
				switch {
				case s >= 80 && len(waiting) > 0:
					oldest(waiting, s).stop()
				case s >= 50 && len(working) > 0:
					close(oldest(working, s).end)
				default:
					ctx, cancel := context.WithCancel(t.Context())
					r := &req{fmt.Sprint(s % 3), cancel, make(chan struct{})}
					waiting[r] = true
					wg.Go(func() {
						done, err := turns.Take(ctx, mount.Caller{Kind: mount.User, Name: r.who})
						mu.Lock()
						delete(waiting, r)
						working[r] = err == nil
						if err != nil {
							delete(working, r)
						}
						mu.Unlock()
						if err == nil {
							<-r.end
							mu.Lock()
							delete(working, r)
							mu.Unlock()
							done()
						}
					})
				}
				mu.Unlock()
				synctest.Wait()
				mu.Lock()
				of := map[string]int{}
				for r := range working {
					of[r.who]++
				}
				for who, n := range of {
					if n > each {
						rt.Errorf("%d of %s at once, limit %d", n, who, each)
					}
				}
				if len(working) > atOnce {
					rt.Errorf("%d at once, limit %d", len(working), atOnce)
				}
				for r := range waiting {
					if len(working) < atOnce && of[r.who] < each {
						rt.Errorf("%s waits for nothing: %v", r.who, of)
					}
				}
				mu.Unlock()
			}
			mu.Lock()
			for r := range waiting {
				r.stop()
			}
			for r := range working {
				close(r.end)
			}
			mu.Unlock()
			wg.Wait()
			for i := range atOnce { // all are free again
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				if _, err := turns.Take(ctx, mount.Caller{Kind: mount.User, Name: fmt.Sprint("new ", i)}); err != nil {
					rt.Errorf("a turn is lost: %v", err)
				}
				cancel()
			}
		})
	})
}

// TestTurnsOfRequests goes by a handler: a turn lasts as long as its request,
// also one that panics, and the metrics say how it was.
func TestTurnsOfRequests(t *testing.T) {
	reg := prometheus.NewRegistry()
	var twice error
	h, _ := newHandler([]mount.Route{
		{Pattern: "/{who}", Name: "x", Handler: func(w http.ResponseWriter, r *http.Request) error {
			err := mount.Enter(r.Context(), mount.Caller{Kind: mount.User, Name: r.PathValue("who")})
			if busy, ok := errors.AsType[*mount.BusyError](err); ok {
				busy.Tell(w, r)
				w.WriteHeader(http.StatusTooManyRequests)
				return nil
			}
			twice = mount.Enter(r.Context(), mount.Caller{Kind: mount.User, Name: r.PathValue("who")})
			if r.URL.RawQuery == "panic" {
				panic("x")
			}
			return err
		}},
		{Pattern: "/waits/", Name: "waits", Waits: true, Handler: func(_ http.ResponseWriter, r *http.Request) error {
			return mount.Enter(r.Context(), mount.Caller{Kind: mount.User, Name: "a"})
		}},
	}, func(c *mount.Config) {
		c.Metrics = mount.NewMetrics(reg)
		c.Turns = mount.NewTurns(mount.TurnsConfig{AtOnce: 1, User: mount.Budget{PerMinute: 3}, Now: func() time.Time { return time.Unix(0, 0) }, Metrics: c.Metrics})
	})
	var got []string
	for _, path := range []string{"/a", "/a?panic", "/a", "/waits/", "/a", "/b"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		got = append(got, fmt.Sprint(path, " ", w.Code, " ", w.Header().Get("Retry-After")))
	}
	if diff := cmp.Diff([]string{"/a 200 ", "/a?panic 500 ", "/a 200 ", "/waits/ 200 ", "/a 429 20", "/b 200 "}, got); diff != "" || twice != nil {
		t.Errorf("a second turn: %v; (-want +got):\n%s", twice, diff)
	}
	const want = `
# HELP busybridge_turns_total Requests whose sender was known, by kind of the sender and how they came to be worked on.
# TYPE busybridge_turns_total counter
busybridge_turns_total{caller="anonymous",outcome="at_once"} 0
busybridge_turns_total{caller="anonymous",outcome="gave_up"} 0
busybridge_turns_total{caller="anonymous",outcome="queue_full"} 0
busybridge_turns_total{caller="anonymous",outcome="too_many"} 0
busybridge_turns_total{caller="anonymous",outcome="waited"} 0
busybridge_turns_total{caller="partner",outcome="at_once"} 0
busybridge_turns_total{caller="partner",outcome="gave_up"} 0
busybridge_turns_total{caller="partner",outcome="queue_full"} 0
busybridge_turns_total{caller="partner",outcome="too_many"} 0
busybridge_turns_total{caller="partner",outcome="waited"} 0
busybridge_turns_total{caller="user",outcome="at_once"} 4
busybridge_turns_total{caller="user",outcome="gave_up"} 0
busybridge_turns_total{caller="user",outcome="queue_full"} 0
busybridge_turns_total{caller="user",outcome="too_many"} 1
busybridge_turns_total{caller="user",outcome="waited"} 0
# HELP busybridge_turns_waiting Requests that wait for their sender's turn.
# TYPE busybridge_turns_waiting gauge
busybridge_turns_waiting 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "busybridge_turns_total", "busybridge_turns_waiting"); err != nil {
		t.Error(err)
	}
}

// TestManyCallers: accounts of those who were here once are forgotten.
func TestManyCallers(t *testing.T) {
	now := time.Unix(0, 0)
	turns := mount.NewTurns(mount.TurnsConfig{User: mount.Budget{PerMinute: 1000}, Now: func() time.Time { return now }})
	for i := range 40_000 {
		now = now.Add(time.Millisecond)
		done, err := turns.Take(t.Context(), mount.Caller{Kind: mount.User, Name: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		done()
	}
	if n := turns.Accounts(); n > 1<<14 {
		t.Errorf("%d accounts are kept", n)
	}
}

func TestTurnAllocatesNothing(t *testing.T) {
	turns := newTurns(mount.TurnsConfig{User: mount.Budget{PerMinute: 1 << 30}})
	turns.Turn(t.Context(), noisy)
	if n := testing.AllocsPerRun(1000, func() { turns.Turn(t.Context(), noisy) }); n != 0 {
		t.Errorf("%v allocations for a turn", n)
	}
}

func BenchmarkTurn(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("%d-callers", n), func(b *testing.B) {
			turns := newTurns(mount.TurnsConfig{Metrics: mount.NewMetrics(prometheus.NewRegistry())})
			list := make([]mount.Caller, n)
			for i := range list {
				list[i] = noisy
				list[i].Realm = fmt.Sprint("fabrikam", i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				turns.Turn(b.Context(), list[i%n])
				i++
			}
		})
	}
}
