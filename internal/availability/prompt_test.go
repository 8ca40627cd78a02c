package availability_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/availability"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
)

// prompt are peers that keep to their deadline.
type prompt struct {
	availability.Peers
	asked int
}

func (p *prompt) Prompt(routing.Route) bool { p.asked++; return true }

// A question that leaves by one route has the same answers and deadlines without
// a goroutine.
func TestPromptPeers(t *testing.T) {
	tests := []struct {
		name  string
		names []string
		peer  func(context.Context, routing.Route, routing.Query) ([]routing.Reply, error)
		took  time.Duration
		want  []string
		asked int
	}{
		{"one route", []string{"moved"}, nil, 0, []string{"moved 20000000"}, 1},
		{"with a calendar in the same question", []string{"ana", "moved"}, nil, 0, []string{"ana 02000000", "moved 20000000"}, 0},
		{"two routes", []string{"moved", "kim@litware.com"}, nil, 0, []string{"moved 20000000", "kim 20000000"}, 0},
		{"no answer", []string{"moved"}, func(ctx context.Context, _ routing.Route, _ routing.Query) ([]routing.Reply, error) {
			return nil, after(ctx, ages)
		}, 20 * time.Second, []string{"moved TimedOut"}, 1},
		{"panic", []string{"moved"}, func(context.Context, routing.Route, routing.Query) ([]routing.Reply, error) { panic("no") },
			0, []string{"moved ProxyFailed"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				if tt.peer != nil {
					w.peer = tt.peer
				}
				c := w.config(t)
				p := &prompt{Peers: c.Peers}
				c.Peers = p
				e, err := availability.New(c)
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				got, err := e.Ask(t.Context(), w.question(freebusy.ViewMergedOnly, tt.names...))
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if diff := cmp.Diff(tt.want, short(got)); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				if p.asked != tt.asked {
					t.Errorf("asked %d times whether it is prompt, want %d", p.asked, tt.asked)
				}
				e.Wait()
			})
		})
	}
}
