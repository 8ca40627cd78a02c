// Package mount puts the routes of several servers behind one http.Handler and
// does for all of them what must not be forgotten by any: path case is folded,
// each request has an id, one wide log line and its metrics, a panic stays
// inside its request, and the number of requests at once is bounded.
package mount

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// DefaultMaxInFlight is the number of requests at once when Config says none.
const DefaultMaxInFlight = 512

// The keys of the wide line. Handlers use KeyOrg, KeyCaller and KeyMailboxes
// with AddAttrs; the others are written here.
const (
	KeyRequestID       = "request_id"
	KeyClientRequestID = "client_request_id"
	KeyMethod          = "method"
	KeyRoute           = "route"
	KeyHost            = "host"
	KeyPath            = "path" // only of a request that no route matched
	KeyStatus          = "status"
	KeyBytes           = "bytes" // of the answer's body
	KeyDuration        = "duration"
	KeyRemote          = "remote"
	KeyUserAgent       = "user_agent"
	KeyErr             = "err"
	KeyStack           = "stack"

	KeyOrg       = "org"
	KeyCaller    = "caller"
	KeyMailboxes = "mailboxes" // how many were asked for
)

// Unmatched is the route name of a request that no route took.
const Unmatched = "unmatched"

// Config is what New needs.
type Config struct {
	Routes  []Route          // required; patterns must not collide
	Log     *slog.Logger     // required
	Now     func() time.Time // required
	Metrics *Metrics         // nil: not counted
	// MaxInFlight bounds the requests that handlers work on at once; one more
	// is answered 503. 0: DefaultMaxInFlight.
	MaxInFlight int
	// Turns are whose turns requests take when their sender is known (Enter); nil:
	// nobody waits for anybody.
	Turns *Turns
	// TrustedProxies are the peers whose X-Forwarded-For and X-Forwarded-Host
	// count. From all others the headers are removed.
	TrustedProxies []netip.Prefix
}

type mounted struct {
	Config
	mux   *http.ServeMux
	slots chan struct{}
}

// New returns the handler of all routes. Like http.ServeMux it panics on a
// pattern that is invalid, registered twice, or not in lower case, for routes
// are written by programmers.
func New(cfg Config) http.Handler {
	switch {
	case cfg.Log == nil:
		panic("mount: Config.Log is required")
	case cfg.Now == nil:
		panic("mount: Config.Now is required")
	}
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = DefaultMaxInFlight
	}
	m := &mounted{Config: cfg, mux: http.NewServeMux(), slots: make(chan struct{}, cfg.MaxInFlight)}
	names := []string{Unmatched}
	for _, r := range cfg.Routes {
		if _, path, _ := strings.Cut(r.Pattern, "/"); r.Name == "" || r.Handler == nil || !literalsFolded(path) {
			panic(fmt.Sprintf("mount: route %q of pattern %q needs a name, a handler and a path in lower case", r.Name, r.Pattern))
		}
		m.mux.HandleFunc(r.Pattern, m.serveRoute(r))
		names = append(names, r.Name)
	}
	cfg.Metrics.declare(names)
	return m
}

// ServeHTTP frames a request: id, peer, folded path, and the accounts afterwards.
func (m *mounted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := m.Now()
	st := &state{id: uuid.NewString(), turns: m.Turns, route: Unmatched, level: slog.LevelInfo}
	client := clientRequestID(r.Header)

	r = r.WithContext(context.WithValue(r.Context(), stateKey{}, st))
	foldPath(r)
	resolvePeer(r, m.TrustedProxies)

	w.Header().Set("request-id", st.id)
	if client != "" && strings.EqualFold(r.Header.Get("return-client-request-id"), "true") {
		w.Header().Set("client-request-id", client)
	}

	rec := &recorder{ResponseWriter: w}
	m.Metrics.begin()
	defer func() {
		p := recover()
		abort := m.recovered(rec, st, p)
		if st.turn != nil {
			st.turns.done(st.turn)
		}
		d := m.Now().Sub(start)
		m.Metrics.end(st.routeName(), rec.status(), rec.bytes, d)
		m.logLine(r, st, rec, client, d)
		if abort {
			panic(http.ErrAbortHandler)
		}
	}()
	m.mux.ServeHTTP(rec, r)
}

// recovered accounts for a panic value and reports whether the connection must
// be cut: an answer that was begun must not look whole.
func (m *mounted) recovered(w *recorder, st *state, p any) (abort bool) {
	if p == nil {
		return false
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		st.fail(slog.LevelWarn, err)
		return true
	}
	m.Metrics.panicked()
	st.fail(slog.LevelError, fmt.Errorf("panic: %v", p))
	st.add(slog.String(KeyStack, string(debug.Stack())))
	if w.code != 0 {
		return true
	}
	internalError(w)
	return false
}

// serveRoute is what the mux calls for one route.
func (m *mounted) serveRoute(route Route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		st := stateOf(r.Context())
		st.setRoute(route.Name)
		slots := m.slots
		if route.Waits {
			slots, st.turns = make(chan struct{}, 1), nil
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			// EWS reference 1.1, Busy: clients wait and come again.
			m.Metrics.refuse()
			st.fail(slog.LevelWarn, fmt.Errorf("more than %d requests at once", m.MaxInFlight))
			w.Header().Set("Retry-After", "1")
			http.Error(w, "The server is busy.", http.StatusServiceUnavailable)
			return
		}
		err := route.Handler(w, r)
		if err == nil {
			return
		}
		level := slog.LevelError
		if r.Context().Err() != nil {
			level = slog.LevelInfo // the client went away; nobody must act
		}
		st.fail(level, err)
		if rec, ok := w.(*recorder); ok && rec.code == 0 {
			internalError(w)
		}
	}
}

func internalError(w http.ResponseWriter) {
	http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
}

func (m *mounted) logLine(r *http.Request, st *state, w *recorder, client string, d time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	attrs := []slog.Attr{slog.String(KeyRequestID, st.id)}
	if client != "" {
		attrs = append(attrs, slog.String(KeyClientRequestID, client))
	}
	attrs = append(attrs, slog.String(KeyMethod, clip(r.Method, 16)), slog.String(KeyRoute, st.route), slog.String(KeyHost, clip(r.Host, 255)))
	if st.route == Unmatched {
		attrs = append(attrs, slog.String(KeyPath, clip(r.URL.Path, 128)))
	}
	attrs = append(attrs, slog.Int(KeyStatus, w.status()), slog.Int64(KeyBytes, w.bytes), slog.Duration(KeyDuration, d), slog.String(KeyRemote, r.RemoteAddr))
	if ua := r.UserAgent(); ua != "" {
		attrs = append(attrs, slog.String(KeyUserAgent, clip(ua, 128)))
	}
	attrs = append(attrs, st.attrs...)
	if st.err != nil {
		attrs = append(attrs, slog.Any(KeyErr, st.err))
	}
	m.Log.LogAttrs(r.Context(), st.level, "request", attrs...)
}

// RequestID is the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	if st := stateOf(ctx); st != nil {
		return st.id
	}
	return ""
}

// AddAttrs adds attributes to the wide line of the request that ctx belongs to.
// Without one it does nothing.
func AddAttrs(ctx context.Context, attrs ...slog.Attr) {
	if st := stateOf(ctx); st != nil {
		st.add(attrs...)
	}
}

type stateKey struct{}

func stateOf(ctx context.Context) *state {
	st, _ := ctx.Value(stateKey{}).(*state)
	return st
}

// state is what is known of a request for its log line.
type state struct {
	id string
	// turns and turn are for the goroutine that serves the request.
	turns *Turns   // nil: it takes no turn
	turn  *account // that it has taken

	mu    sync.Mutex // guards all below
	route string
	level slog.Level
	err   error
	attrs []slog.Attr
}

func (s *state) add(attrs ...slog.Attr) {
	s.mu.Lock()
	s.attrs = append(s.attrs, attrs...)
	s.mu.Unlock()
}

func (s *state) setRoute(name string) {
	s.mu.Lock()
	s.route = name
	s.mu.Unlock()
}

func (s *state) routeName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.route
}

func (s *state) fail(level slog.Level, err error) {
	s.mu.Lock()
	s.level, s.err = level, err
	s.mu.Unlock()
}

// recorder remembers status and size of an answer.
type recorder struct {
	http.ResponseWriter
	code  int // 0: nothing written yet
	bytes int64
}

func (w *recorder) WriteHeader(code int) {
	if w.code == 0 && code >= 200 { // 1xx are not the answer
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Flush is for handlers that test for http.Flusher; Unwrap serves http.ResponseController.
func (w *recorder) Flush() {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	// An error here means that the connection cannot flush; the answer still arrives.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) status() int {
	if w.code == 0 {
		return http.StatusOK // net/http writes it when the handler wrote nothing
	}
	return w.code
}

// clientRequestID is the caller's own id when it is fit for a log and a header:
// at most 128 letters, digits and "-_.:{}@".
func clientRequestID(h http.Header) string {
	id := strings.TrimSpace(h.Get("client-request-id"))
	if len(id) > 128 {
		return ""
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("-_.:{}@", rune(c)) {
			return ""
		}
	}
	return id
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
