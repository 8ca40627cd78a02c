package mount_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"busybridge/internal/serve/mount"
)

// clock advances by 10 ms with each look.
func clock() func() time.Time {
	var mu sync.Mutex
	t := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		t = t.Add(10 * time.Millisecond)
		return t
	}
}

// logBuffer collects the lines of a JSON log.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// lines parses the log and takes out what differs from run to run.
func (b *logBuffer) lines(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for l := range strings.Lines(b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatalf("%v in %s", err, l)
		}
		delete(m, "time")
		all = append(all, m)
	}
	return all
}

func newHandler(routes []mount.Route, change func(*mount.Config)) (http.Handler, *logBuffer) {
	log := &logBuffer{}
	cfg := mount.Config{Routes: routes, Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: clock()}
	if change != nil {
		change(&cfg)
	}
	return mount.New(cfg), log
}

func text(s string) mount.Handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func TestPathsAreFolded(t *testing.T) {
	var path, realm string
	h, _ := newHandler([]mount.Route{
		{Pattern: "POST /ews/exchange.asmx", Name: "ews", Handler: text("ews")},
		{Pattern: "POST /{realm}/tokens/oauth/2", Name: "token", Handler: func(w http.ResponseWriter, r *http.Request) error {
			path, realm = r.URL.Path, r.PathValue("realm")
			return text("token")(w, r)
		}},
	}, nil)
	tests := []struct {
		method, target string
		status         int
		body           string
		realm          string
	}{
		{"POST", "/EWS/Exchange.asmx", 200, "ews", ""},
		{"POST", "/ews/exchange.asmx", 200, "ews", ""},
		{"POST", "/E%57S/exchange.asmx", 200, "ews", ""},
		{"GET", "/EWS/Exchange.asmx", 405, "Method Not Allowed\n", ""},
		{"POST", "/EWS/Exchange.asmx/x", 404, "404 page not found\n", ""},
		{"POST", "/Contoso.COM/tokens/OAuth/2", 200, "token", "contoso.com"},
		// An escaped slash stays within its segment, escaped letters are folded.
		{"POST", "/A%2F%42/tokens/OAuth/2", 200, "token", "a/b"},
		{"POST", "/%C3%84/tokens/OAuth/2", 200, "token", "Ä"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			realm = ""
			w := httptest.NewRecorder()
			r := httptest.NewRequest(tt.method, tt.target, nil)
			before := r.URL.String()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || w.Body.String() != tt.body || realm != tt.realm {
				t.Errorf("got %d %q realm %q, want %d %q realm %q (path %q)", w.Code, w.Body, realm, tt.status, tt.body, tt.realm, path)
			}
			if r.URL.String() != before {
				t.Errorf("the caller's request was changed to %s", r.URL)
			}
		})
	}
}

func TestWideLine(t *testing.T) {
	h, log := newHandler([]mount.Route{{Pattern: "POST /ews/exchange.asmx", Name: "ews", Handler: func(w http.ResponseWriter, r *http.Request) error {
		mount.AddAttrs(r.Context(), slog.String(mount.KeyOrg, "contoso"), slog.String(mount.KeyCaller, "garth@contoso.com"))
		mount.AddAttrs(r.Context(), slog.Int(mount.KeyMailboxes, 3))
		w.WriteHeader(http.StatusAccepted)
		return text("hello")(w, r)
	}}}, nil)
	r := httptest.NewRequest("POST", "https://mail.contoso.com/EWS/Exchange.asmx?access_token=secret1", nil)
	r.Header.Set("Authorization", "Bearer secret2")
	r.Header.Set("Cookie", "secret3")
	r.Header.Set("client-request-id", "{5a6f}")
	r.Header.Set("User-Agent", "test/1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)

	lines := log.lines(t)
	if len(lines) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	id, _ := lines[0]["request_id"].(string)
	if _, err := uuid.Parse(id); err != nil || w.Header().Get("request-id") != id {
		t.Errorf("request id %q in the log, %q in the answer", id, w.Header().Get("request-id"))
	}
	delete(lines[0], "request_id")
	want := map[string]any{
		"level": "INFO", "msg": "request", "client_request_id": "{5a6f}", "method": "POST", "route": "ews", "host": "mail.contoso.com", "status": 202.0, "bytes": 5.0,
		"duration": 10e6, "remote": "192.0.2.1:1234", "user_agent": "test/1", "org": "contoso", "caller": "garth@contoso.com", "mailboxes": 3.0,
	}
	if d := cmp.Diff(want, lines[0]); d != "" {
		t.Error(d)
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("a secret is in the log: %s", log)
	}
}

func TestClientRequestID(t *testing.T) {
	tests := []struct {
		name, id, ret string
		want          string // echoed
		logged        bool
	}{
		{"echoed when asked for", "a-1", "true", "a-1", true},
		{"case of the wish does not count", "a-1", "True", "a-1", true},
		{"not echoed unasked", "a-1", "", "", true},
		{"not echoed on false", "a-1", "false", "", true},
		{"not sane", "a\"b<c", "true", "", false},
		{"too long", strings.Repeat("x", 129), "true", "", false},
		{"none", "", "true", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, log := newHandler([]mount.Route{{Pattern: "/x", Name: "x", Handler: text("")}}, nil)
			r := httptest.NewRequest("GET", "/x", nil)
			r.Header.Set("client-request-id", tt.id)
			if tt.ret != "" {
				r.Header.Set("return-client-request-id", tt.ret)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Header().Get("client-request-id"); got != tt.want {
				t.Errorf("echoed %q, want %q", got, tt.want)
			}
			if _, got := log.lines(t)[0]["client_request_id"]; got != tt.logged {
				t.Errorf("logged: %v, want %v", got, tt.logged)
			}
		})
	}
}

func TestErrorsAndPanics(t *testing.T) {
	boom := errors.New("boom at 10.0.0.1")
	tests := []struct {
		name    string
		handler mount.Handler
		status  int
		body    string
		level   string
		err     any
		aborts  bool
	}{
		{"an error is 500 without details", func(http.ResponseWriter, *http.Request) error { return boom }, 500, "Internal Server Error\n", "ERROR", boom.Error(), false},
		{"an answer that was begun stays", func(w http.ResponseWriter, _ *http.Request) error {
			http.Error(w, "no", http.StatusBadRequest)
			return boom
		}, 400, "no\n", "ERROR", boom.Error(), false},
		{"a panic is 500", func(http.ResponseWriter, *http.Request) error { panic("oops") }, 500, "Internal Server Error\n", "ERROR", "panic: oops", false},
		{"a panic in the middle cuts the answer", func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, "half")
			panic("oops")
		}, 200, "half", "ERROR", "panic: oops", true},
		{"an abort passes on", func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }, 200, "", "WARN", http.ErrAbortHandler.Error(), true},
		{"no error, nothing written", func(http.ResponseWriter, *http.Request) error { return nil }, 200, "", "INFO", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, log := newHandler([]mount.Route{{Pattern: "/x", Name: "x", Handler: tt.handler}}, nil)
			w := httptest.NewRecorder()
			aborted := false
			func() {
				defer func() {
					err, _ := recover().(error)
					aborted = errors.Is(err, http.ErrAbortHandler)
				}()
				h.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
			}()
			if w.Code != tt.status || w.Body.String() != tt.body || aborted != tt.aborts {
				t.Errorf("got %d %q, aborted %v; want %d %q, %v", w.Code, w.Body, aborted, tt.status, tt.body, tt.aborts)
			}
			line := log.lines(t)[0]
			if line["level"] != tt.level || line["err"] != tt.err {
				t.Errorf("logged %v %v, want %v %v", line["level"], line["err"], tt.level, tt.err)
			}
			if _, ok := line["stack"]; ok != strings.HasPrefix(tt.name, "a panic") {
				t.Errorf("stack logged: %v", ok)
			}
		})
	}
}

func TestClientThatWentAwayIsNoError(t *testing.T) {
	h, log := newHandler([]mount.Route{{Pattern: "/x", Name: "x", Handler: func(_ http.ResponseWriter, r *http.Request) error { return r.Context().Err() }}}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil).WithContext(ctx))
	if line := log.lines(t)[0]; line["level"] != "INFO" || line["err"] != "context canceled" {
		t.Errorf("got %v", line)
	}
}

func TestTooManyAtOnce(t *testing.T) {
	reg := prometheus.NewRegistry()
	entered, leave := make(chan struct{}), make(chan struct{})
	h, log := newHandler([]mount.Route{
		{Pattern: "/slow", Name: "slow", Handler: func(w http.ResponseWriter, r *http.Request) error {
			entered <- struct{}{}
			<-leave
			return text("done")(w, r)
		}},
	}, func(c *mount.Config) { c.MaxInFlight, c.Metrics = 2, mount.NewMetrics(reg) })

	var wg sync.WaitGroup
	first := [2]*httptest.ResponseRecorder{httptest.NewRecorder(), httptest.NewRecorder()}
	for _, w := range first {
		wg.Go(func() { h.ServeHTTP(w, httptest.NewRequest("GET", "/slow", nil)) })
	}
	<-entered
	<-entered
	third := httptest.NewRecorder()
	h.ServeHTTP(third, httptest.NewRequest("GET", "/slow", nil))
	if third.Code != 503 || third.Header().Get("Retry-After") != "1" {
		t.Errorf("third: %d, Retry-After %q", third.Code, third.Header().Get("Retry-After"))
	}
	// A request that no route takes needs no place.
	none := httptest.NewRecorder()
	h.ServeHTTP(none, httptest.NewRequest("GET", "/none", nil))
	if none.Code != 404 {
		t.Errorf("no route: %d", none.Code)
	}
	close(leave)
	wg.Wait()
	for _, w := range first {
		if w.Code != 200 || w.Body.String() != "done" {
			t.Errorf("first: %d %q", w.Code, w.Body)
		}
	}
	go func() { <-entered }()
	again := httptest.NewRecorder()
	h.ServeHTTP(again, httptest.NewRequest("GET", "/slow", nil))
	if again.Code != 200 {
		t.Errorf("the place was not given back: %d", again.Code)
	}
	for _, l := range log.lines(t) {
		if l["status"] == 503.0 && (l["level"] != "WARN" || l["route"] != "slow" || l["err"] != "more than 2 requests at once") {
			t.Errorf("got %v", l)
		}
		if l["status"] == 404.0 && l["path"] != "/none" {
			t.Errorf("got %v", l)
		}
	}
	const want = `
# HELP busybridge_http_requests_in_flight Requests that are being answered.
# TYPE busybridge_http_requests_in_flight gauge
busybridge_http_requests_in_flight 0
# HELP busybridge_http_requests_refused_total Requests answered 503 because too many were in flight.
# TYPE busybridge_http_requests_refused_total counter
busybridge_http_requests_refused_total 1
# HELP busybridge_http_requests_total Requests by route and class of the answer's status.
# TYPE busybridge_http_requests_total counter
busybridge_http_requests_total{class="1xx",route="slow"} 0
busybridge_http_requests_total{class="1xx",route="unmatched"} 0
busybridge_http_requests_total{class="2xx",route="slow"} 3
busybridge_http_requests_total{class="2xx",route="unmatched"} 0
busybridge_http_requests_total{class="3xx",route="slow"} 0
busybridge_http_requests_total{class="3xx",route="unmatched"} 0
busybridge_http_requests_total{class="4xx",route="slow"} 0
busybridge_http_requests_total{class="4xx",route="unmatched"} 1
busybridge_http_requests_total{class="5xx",route="slow"} 1
busybridge_http_requests_total{class="5xx",route="unmatched"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "busybridge_http_requests_total", "busybridge_http_requests_in_flight", "busybridge_http_requests_refused_total"); err != nil {
		t.Error(err)
	}
}

// Whatever is asked, no new series appear: labels come from closed sets.
func TestMetricsDoNotGrow(t *testing.T) {
	reg := prometheus.NewRegistry()
	h, _ := newHandler([]mount.Route{{Pattern: "/{realm}/x", Name: "x", Handler: func(w http.ResponseWriter, r *http.Request) error {
		if r.PathValue("realm") == "panic" {
			panic("x")
		}
		w.WriteHeader(len(r.PathValue("realm")) * 100)
		return nil
	}}}, func(c *mount.Config) { c.Metrics = mount.NewMetrics(reg) })
	series := func() int {
		n, err := testutil.GatherAndCount(reg)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := series()
	for _, target := range []string{"/aa/x", "/aaa/x", "/aaaa/x", "/aaaaa/x", "/aaaaaaaa/x", "/panic/x", "/zzz", "/%00"} {
		r := httptest.NewRequest("BREW", target, nil)
		r.Host = "host-" + target
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	if after := series(); after != before {
		t.Errorf("%d series, %d before", after, before)
	}
	if n := testutil.ToFloat64(mustGather(t, reg, "busybridge_http_panics_total")); n != 1 {
		t.Errorf("%v panics", n)
	}
}

// mustGather is the one counter of that name as a collector.
func mustGather(t *testing.T, reg *prometheus.Registry, name string) prometheus.Collector {
	t.Helper()
	fams, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fams {
		if f.GetName() == name {
			c := prometheus.NewCounter(prometheus.CounterOpts{Name: "copy"})
			c.Add(f.Metric[0].GetCounter().GetValue())
			return c
		}
	}
	t.Fatalf("no metric %s", name)
	return nil
}

func TestForwardedHeaders(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	tests := []struct {
		name, peer   string
		forwardedFor []string
		forwardedHst []string
		remote, host string
	}{
		{"not from others", "198.51.100.7:5", []string{"203.0.113.9"}, []string{"evil.example"}, "198.51.100.7:5", "mail.contoso.com"},
		{"from a proxy", "192.0.2.1:5", []string{"203.0.113.9"}, []string{"autodiscover.contoso.com"}, "203.0.113.9:0", "autodiscover.contoso.com"},
		{"only what proxies added counts", "192.0.2.1:5", []string{"10.9.9.9, 203.0.113.9, 192.0.2.2"}, nil, "203.0.113.9:0", "mail.contoso.com"},
		{"over several header lines", "192.0.2.1:5", []string{"10.9.9.9", "203.0.113.9", "192.0.2.2"}, []string{"a.example", "b.example"}, "203.0.113.9:0", "b.example"},
		{"all are proxies: the first of them", "192.0.2.1:5", []string{"192.0.2.3, 192.0.2.2"}, nil, "192.0.2.3:0", "mail.contoso.com"},
		{"garbage ends the chain", "192.0.2.1:5", []string{"203.0.113.9, x, 192.0.2.2"}, nil, "192.0.2.2:0", "mail.contoso.com"},
		{"only garbage", "192.0.2.1:5", []string{"unknown"}, []string{"a b"}, "192.0.2.1:5", "mail.contoso.com"},
		{"IPv6 and ports", "[2001:db8::1]:5", []string{"[2001:db9::9]:77"}, []string{"mail.contoso.com:8443"}, "[2001:db9::9]:0", "mail.contoso.com:8443"},
		{"an IPv4 peer in IPv6 form", "[::ffff:192.0.2.1]:5", []string{"203.0.113.9"}, nil, "203.0.113.9:0", "mail.contoso.com"},
		{"none said", "192.0.2.1:5", nil, nil, "192.0.2.1:5", "mail.contoso.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var remote, host string
			var left http.Header
			h, _ := newHandler([]mount.Route{{Pattern: "/x", Name: "x", Handler: func(_ http.ResponseWriter, r *http.Request) error {
				remote, host, left = r.RemoteAddr, r.Host, r.Header
				return nil
			}}}, func(c *mount.Config) { c.TrustedProxies = trusted })
			r := httptest.NewRequest("GET", "https://mail.contoso.com/x", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Host"] = tt.forwardedFor, tt.forwardedHst
			r.Header.Set("Forwarded", "for=10.0.0.1")
			h.ServeHTTP(httptest.NewRecorder(), r)
			if remote != tt.remote || host != tt.host {
				t.Errorf("got %q %q, want %q %q", remote, host, tt.remote, tt.host)
			}
			for k := range left {
				if strings.Contains(k, "Forwarded") {
					t.Errorf("the handler still sees %s", k)
				}
			}
		})
	}
}

// The certificate and the name of a TLS connection are its client's, unless that is a proxy.
func TestConnectionOfAProxySaysNothing(t *testing.T) {
	for peer, want := range map[string]bool{"198.51.100.7:5": true, "192.0.2.1:5": false} {
		var got *tls.ConnectionState
		h, _ := newHandler([]mount.Route{{Pattern: "/x", Name: "x", Handler: func(_ http.ResponseWriter, r *http.Request) error {
			got = r.TLS
			return nil
		}}}, func(c *mount.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
		r := httptest.NewRequest("GET", "https://mail.contoso.com/x", nil)
		r.RemoteAddr = peer
		r.TLS.ServerName, r.TLS.PeerCertificates = "mail.contoso.com", []*x509.Certificate{{}}
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got == nil || (len(got.PeerCertificates) == 1) != want || (got.ServerName != "") != want || len(r.TLS.PeerCertificates) != 1 {
			t.Errorf("from %s: %+v", peer, got)
		}
	}
}

func TestRequestIDAndAttrsOutsideOfARequest(t *testing.T) {
	mount.AddAttrs(t.Context(), slog.String("a", "b"))
	if id := mount.RequestID(t.Context()); id != "" {
		t.Errorf("got %q", id)
	}
}

func TestFlushReachesTheClient(t *testing.T) {
	release := make(chan struct{})
	h, log := newHandler([]mount.Route{{Pattern: "/x", Name: "x", Handler: func(w http.ResponseWriter, r *http.Request) error {
		w.WriteHeader(http.StatusEarlyHints) // is not the answer's status
		if mount.RequestID(r.Context()) == "" {
			return errors.New("no request id")
		}
		_, _ = io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
			return err
		}
		<-release
		return text("two")(w, r)
	}}}, nil)
	srv := httptest.NewServer(h)
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "/X")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 3)
	if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "one" {
		t.Fatalf("%q, %v", b, err)
	}
	close(release)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "two" {
		t.Errorf("%q, %v", rest, err)
	}
	srv.Close() // waits for the handler
	if line := log.lines(t)[0]; line["status"] != 200.0 || line["bytes"] != 6.0 {
		t.Errorf("got %v", line)
	}
}

func TestNewPanicsOnBadRoutes(t *testing.T) {
	for name, routes := range map[string][]mount.Route{
		"upper case":  {{Pattern: "/EWS", Name: "x", Handler: text("")}},
		"no name":     {{Pattern: "/ews", Handler: text("")}},
		"no handler":  {{Pattern: "/ews", Name: "x"}},
		"twice":       {{Pattern: "/ews", Name: "x", Handler: text("")}, {Pattern: "/ews", Name: "y", Handler: text("")}},
		"upper after": {{Pattern: "/{Realm}/X", Name: "x", Handler: text("")}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			newHandler(routes, nil)
		})
	}
	newHandler([]mount.Route{{Pattern: "GET mail.contoso.com/{Realm}/x", Name: "x", Handler: text("")}}, nil)
}

// FuzzServe: whatever path and headers come, the request is answered once, and
// the log line is one line of JSON.
func FuzzServe(f *testing.F) {
	f.Add("/EWS/%2fx/../Exchange.asmx", "a", "1.2.3.4", "h")
	f.Add("//x", "\n", ",,", "[::1]:1")
	f.Fuzz(func(t *testing.T, path, id, xff, host string) {
		h, log := newHandler([]mount.Route{{Pattern: "/{x...}", Name: "x", Handler: text("ok")}}, func(c *mount.Config) {
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
		})
		r := httptest.NewRequest("GET", "/", nil)
		u, err := r.URL.Parse("/" + path)
		if err != nil {
			return
		}
		r.URL = u
		r.Header["Client-Request-Id"], r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Host"] = []string{id}, []string{xff}, []string{host}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if lines := log.lines(t); len(lines) != 1 || lines[0]["status"] != float64(w.Code) {
			t.Errorf("%d: %v", w.Code, lines)
		}
	})
}

func BenchmarkServe(b *testing.B) {
	reg := prometheus.NewRegistry()
	h := mount.New(mount.Config{
		Routes:  []mount.Route{{Pattern: "POST /ews/exchange.asmx", Name: "ews", Handler: func(http.ResponseWriter, *http.Request) error { return nil }}},
		Log:     slog.New(slog.NewJSONHandler(io.Discard, nil)),
		Now:     time.Now,
		Metrics: mount.NewMetrics(reg),
	})
	r := httptest.NewRequest("POST", "/EWS/Exchange.asmx", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
