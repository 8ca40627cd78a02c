// Package opsserver answers those who watch the process: whether it lives,
// whether it is ready, and its metrics. It is served on a listener of its own.
package opsserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"busybridge/internal/serve/mount"
)

// DefaultTimeout bounds a check that names no time-out.
const DefaultTimeout = 2 * time.Second

// A Check is one condition of being ready.
type Check struct {
	Name    string                      // required, unique
	Func    func(context.Context) error // required; nil: ready
	Timeout time.Duration               // 0: DefaultTimeout
}

// Config is what New needs.
type Config struct {
	Gatherer prometheus.Gatherer // required; see NewRegistry
	Checks   []Check
	Now      func() time.Time // required
	Log      *slog.Logger     // required
}

// A Server answers /livez, /readyz and /metrics.
type Server struct {
	cfg      Config
	checks   []*check
	metrics  http.Handler
	draining atomic.Bool
}

// check is a Check of which one run is under way at most, so that one that
// hangs does not pile up.
type check struct {
	Check
	busy chan struct{} // capacity 1
}

// NewRegistry returns a registry with the collectors of the Go runtime, the
// process and the build.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	return r
}

// New checks cfg.
func New(cfg Config) (*Server, error) {
	switch {
	case cfg.Gatherer == nil:
		return nil, errors.New("opsserver: Config.Gatherer is required")
	case cfg.Now == nil:
		return nil, errors.New("opsserver: Config.Now is required")
	case cfg.Log == nil:
		return nil, errors.New("opsserver: Config.Log is required")
	}
	s := &Server{cfg: cfg}
	for _, c := range cfg.Checks {
		if c.Name == "" || c.Func == nil || slices.ContainsFunc(s.checks, func(o *check) bool { return o.Name == c.Name }) {
			return nil, fmt.Errorf("opsserver: check %q needs a name of its own and a function", c.Name)
		}
		if c.Timeout <= 0 {
			c.Timeout = DefaultTimeout
		}
		s.checks = append(s.checks, &check{c, make(chan struct{}, 1)})
	}
	s.metrics = promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{
		ErrorLog:            gatherLog{cfg.Log},
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
	return s, nil
}

// Drain makes /readyz answer 503 from now on, so that load balancers look
// elsewhere before the process stops.
func (s *Server) Drain() { s.draining.Store(true) }

// Routes are the routes for mount.New.
func (s *Server) Routes() []mount.Route {
	return []mount.Route{
		{Pattern: "GET /livez", Name: "livez", Handler: s.livez},
		{Pattern: "GET /readyz", Name: "readyz", Handler: s.readyz},
		{Pattern: "GET /metrics", Name: "metrics", Handler: func(w http.ResponseWriter, r *http.Request) error {
			s.metrics.ServeHTTP(w, r)
			return nil
		}},
	}
}

func (s *Server) livez(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, err := w.Write([]byte("ok\n"))
	return err
}

// A Report is the body of /readyz.
type Report struct {
	Ready    bool          `json:"ready"`
	Draining bool          `json:"draining,omitempty"`
	Checks   []CheckResult `json:"checks"`
}

// A CheckResult is what one check said.
type CheckResult struct {
	Name         string  `json:"name"`
	OK           bool    `json:"ok"`
	Error        string  `json:"error,omitempty"`
	Milliseconds float64 `json:"ms"`
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	rep := s.Report(r.Context())
	b, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !rep.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// Report runs all checks at once, each within its own time-out.
func (s *Server) Report(ctx context.Context) Report {
	rep := Report{Draining: s.draining.Load(), Checks: make([]CheckResult, len(s.checks))}
	var wg sync.WaitGroup
	for i, c := range s.checks {
		wg.Go(func() {
			start := s.cfg.Now()
			err := c.run(ctx)
			res := CheckResult{Name: c.Name, OK: err == nil, Milliseconds: float64(s.cfg.Now().Sub(start).Microseconds()) / 1000}
			if err != nil {
				res.Error = err.Error()
			}
			rep.Checks[i] = res
		})
	}
	wg.Wait()
	rep.Ready = !rep.Draining && !slices.ContainsFunc(rep.Checks, func(r CheckResult) bool { return !r.OK })
	return rep
}

// run returns at the time-out also when Func does not; that Func is then not
// started again before it has returned.
func (c *check) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	select {
	case c.busy <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return fmt.Errorf("an earlier run of this check has not returned: %w", ctx.Err())
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-c.busy }()
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("panic: %v", p)
			}
		}()
		done <- c.Func(ctx)
	}()
	defer cancel()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no result: %w", ctx.Err())
	}
}

// gatherLog is promhttp's Logger over slog.
type gatherLog struct{ log *slog.Logger }

func (l gatherLog) Println(v ...any) {
	l.log.Error("metrics are incomplete", mount.KeyErr, strings.TrimSpace(fmt.Sprintln(v...)))
}
