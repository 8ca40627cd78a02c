package lab

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
)

const badHost = "sts.northwindtraders.com"

// A badAuthority stands in front of the lab's authorization server and does
// whatever fault says.
type badAuthority struct {
	real  http.Handler
	host  string // of real
	fault func(w http.ResponseWriter, r *http.Request, good http.Handler)
	hits  atomic.Int32 // since fault was set

	mu      sync.Mutex
	release chan struct{} // closed when fault changes
}

func (b *badAuthority) will(fault func(http.ResponseWriter, *http.Request, http.Handler)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.release != nil {
		close(b.release)
	}
	b.release, b.fault = make(chan struct{}), fault
	b.hits.Store(0)
}

func (b *badAuthority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	fault := b.fault
	b.mu.Unlock()
	b.hits.Add(1)
	good := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = b.host
		b.real.ServeHTTP(w, r)
	})
	if fault == nil {
		good(w, r)
		return
	}
	fault(w, r, good)
}

// An answerRecorder keeps an answer so that it can be changed.
type answerRecorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (a *answerRecorder) Header() http.Header         { return a.header }
func (a *answerRecorder) WriteHeader(status int)      { a.status = status }
func (a *answerRecorder) Write(p []byte) (int, error) { return a.body.Write(p) }

// A dropped, delayed or lying authorization server costs no answers, in either
// direction, while the tokens that it issued before are valid; nor does one whose
// metadata document lies.
func TestBadAuthorityCostsNoAnswers(t *testing.T) {
	var moved atomic.Int64
	from := time.Now().UTC().Truncate(time.Second)
	bad := &badAuthority{}
	l, err := Start(t.Context(), Options{
		Now: func() time.Time { return from.Add(time.Duration(moved.Load())) },
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), Out: io.Discard,
		Strangers: map[string]Stranger{badHost: {Handler: bad}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		bad.will(nil)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	bad.real, bad.host = l.deployments[authorize].Handler(), l.cloud.ACSHost
	if err := l.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []deploymentName{onprem, cloud} {
		o, err := l.organization(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.deployments[name].Store.UpdateOrganization(t.Context(), o.ID, func(o *directory.Organization) error {
			for i := range o.AuthServers {
				s := &o.AuthServers[i]
				s.TokenIssuingEndpoint = strings.Replace(s.TokenIssuingEndpoint, l.cloud.ACSHost, badHost, 1)
				s.AuthMetadataURL = strings.Replace(s.AuthMetadataURL, l.cloud.ACSHost, badHost, 1)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	const day = 24 * time.Hour
	moved.Store(int64(day + time.Hour)) // the tokens of the join have expired
	w := l.nextWeek()
	directions := [...]struct{ as, of string }{{"alice@" + domain, "kim@" + domain}, {"kim@" + domain, "alice@" + domain}}
	ask := func(what string) (out [2]string) {
		t.Helper()
		for i, d := range directions {
			began := time.Now()
			a, err := l.ask(t.Context(), d.as, []string{d.of}, w, freebusy.ViewFreeBusyMerged)
			if err != nil {
				t.Fatalf("%s: %s asks: %v", what, d.as, err)
			}
			if a[0].Error != nil {
				t.Errorf("%s: %s asks for %s: %v", what, d.as, d.of, a[0].Error)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s: %s waited %v", what, d.as, took)
			}
			out[i] = plain(a[0])
		}
		return out
	}
	want := ask("a good authority")
	if bad.hits.Load() == 0 {
		t.Fatal("nobody asked the server that is going to be bad")
	}

	// change makes a lie of a good answer.
	change := func(lie func(map[string]any)) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, good http.Handler) {
			a := &answerRecorder{header: http.Header{}, status: http.StatusOK}
			good.ServeHTTP(a, r)
			var m map[string]any
			if err := json.Unmarshal([]byte(a.body.String()), &m); err != nil {
				t.Errorf("the good answer: %v", err)
			}
			lie(m)
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(m); err != nil {
				t.Error(err)
			}
		}
	}
	faults := []struct {
		name  string
		fault func(http.ResponseWriter, *http.Request, http.Handler)
	}{
		{"drops connections", func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }},
		{"answers never", func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			bad.mu.Lock()
			release := bad.release
			bad.mu.Unlock()
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}},
		{"fails", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}},
		{"answers a page", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			io.WriteString(w, "<html>Sign in</html>")
		}},
		{"answers without end", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}},
		{"breaks the signature", change(func(m map[string]any) {
			if s, ok := m["access_token"].(string); ok {
				m["access_token"] = s[:strings.LastIndexByte(s, '.')+1] + strings.Repeat("A", 342)
			}
			delete(m, "keys") // of a document: none is left
		})},
		{"answers something else", change(func(m map[string]any) {
			m["access_token"] = "e30.e30."
			m["issuer"], m["realm"] = "x@y", "y" // of a document
		})},
	}
	// The last minutes of the tokens: renewals are tried all the time.
	step := 31 * time.Second
	moved.Add(int64(day - time.Duration(len(faults)+1)*step))
	for _, f := range faults {
		bad.will(f.fault)
		for range 2 {
			if diff := cmp.Diff(want, ask(f.name)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", f.name, diff)
			}
		}
		for _, name := range []deploymentName{onprem, cloud} {
			o, err := l.organization(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if f.name == "answers never" {
				continue // the administrator waits
			}
			if _, err := l.deployments[name].Admin.SetAuthServer(t.Context(), operator, o.ID, o.AuthServers[0].Name, true, nil); err == nil {
				t.Errorf("%s: its document is taken", f.name)
			}
		}
		if diff := cmp.Diff(want, ask(f.name+", and its document was read")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f.name, diff)
		}
		if bad.hits.Load() == 0 {
			t.Errorf("%s: nobody asked for a token", f.name)
		}
		moved.Add(int64(step))
	}
	// It is good again: new tokens come, before the old ones end or after.
	bad.will(nil)
	ask("good again")
	moved.Add(int64(time.Hour))
	if diff := cmp.Diff(want, ask("with new tokens")); diff != "" {
		t.Errorf("with new tokens (-want +got):\n%s", diff)
	}
}
