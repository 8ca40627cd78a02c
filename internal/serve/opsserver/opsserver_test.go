package opsserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"busybridge/internal/serve/mount"
	"busybridge/internal/serve/opsserver"
)

func newServer(t *testing.T, checks ...opsserver.Check) (*opsserver.Server, http.Handler) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := opsserver.New(opsserver.Config{Gatherer: opsserver.NewRegistry(), Checks: checks, Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return s, mount.New(mount.Config{Routes: s.Routes(), Log: log, Now: time.Now})
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestLive(t *testing.T) {
	_, h := newServer(t, opsserver.Check{Name: "never", Func: func(context.Context) error { return errors.New("not ready") }})
	if w := get(h, "/livez"); w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

func TestReady(t *testing.T) {
	fail := errors.New("store: disk is full")
	ok := opsserver.Check{Name: "store", Func: func(context.Context) error { return nil }}
	bad := opsserver.Check{Name: "metadata", Func: func(context.Context) error { return fail }}
	boom := opsserver.Check{Name: "panics", Func: func(context.Context) error { panic("oops") }}
	tests := []struct {
		name   string
		checks []opsserver.Check
		status int
		want   opsserver.Report
	}{
		{"no checks", nil, 200, opsserver.Report{Ready: true, Checks: []opsserver.CheckResult{}}},
		{"all hold", []opsserver.Check{ok}, 200, opsserver.Report{Ready: true, Checks: []opsserver.CheckResult{{Name: "store", OK: true}}}},
		{"one fails", []opsserver.Check{ok, bad}, 503, opsserver.Report{Checks: []opsserver.CheckResult{{Name: "store", OK: true}, {Name: "metadata", Error: fail.Error()}}}},
		{"one panics", []opsserver.Check{boom}, 503, opsserver.Report{Checks: []opsserver.CheckResult{{Name: "panics", Error: "panic: oops"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, h := newServer(t, tt.checks...)
				w := get(h, "/readyz")
				var got opsserver.Report
				if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
					t.Fatal(err)
				}
				if w.Code != tt.status || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
					t.Errorf("status %d, want %d; %v", w.Code, tt.status, w.Header())
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// A check that ignores its context is waited for no longer than its time-out,
// and is not started again while it hangs.
func TestHangingCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		release := make(chan struct{})
		s, _ := newServer(t, opsserver.Check{Name: "hangs", Timeout: time.Second, Func: func(context.Context) error {
			runs.Add(1)
			<-release
			return nil
		}})
		start := time.Now()
		for i, want := range []string{"no result: context deadline exceeded", "an earlier run of this check has not returned: context deadline exceeded"} {
			if got := s.Report(t.Context()).Checks[0].Error; got != want {
				t.Errorf("report %d: %q, want %q", i, got, want)
			}
		}
		if d, n := time.Since(start), runs.Load(); d != 2*time.Second || n != 1 {
			t.Errorf("%v, %d runs", d, n)
		}
		close(release)
		synctest.Wait()
		if rep := s.Report(t.Context()); !rep.Ready || runs.Load() != 2 {
			t.Errorf("after the release: %+v, %d runs", rep, runs.Load())
		}
	})
}

func TestDrain(t *testing.T) {
	s, h := newServer(t)
	s.Drain()
	if w := get(h, "/readyz"); w.Code != 503 || !strings.Contains(w.Body.String(), `"draining": true`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := get(h, "/livez"); w.Code != 200 {
		t.Errorf("livez %d", w.Code)
	}
}

func TestMetrics(t *testing.T) {
	_, h := newServer(t)
	w := get(h, "/metrics")
	for _, name := range []string{"go_goroutines", "go_build_info", "process_cpu_seconds_total"} {
		if !strings.Contains(w.Body.String(), "\n"+name) {
			t.Errorf("no %s", name)
		}
	}
	if w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
}

func TestNewRefuses(t *testing.T) {
	log, fn := slog.New(slog.DiscardHandler), func(context.Context) error { return nil }
	for name, cfg := range map[string]opsserver.Config{
		"no gatherer":   {Now: time.Now, Log: log},
		"no clock":      {Gatherer: prometheus.NewRegistry(), Log: log},
		"no log":        {Gatherer: prometheus.NewRegistry(), Now: time.Now},
		"same name":     {Gatherer: prometheus.NewRegistry(), Now: time.Now, Log: log, Checks: []opsserver.Check{{Name: "a", Func: fn}, {Name: "a", Func: fn}}},
		"check without": {Gatherer: prometheus.NewRegistry(), Now: time.Now, Log: log, Checks: []opsserver.Check{{Name: "a"}}},
	} {
		if _, err := opsserver.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
