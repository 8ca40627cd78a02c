package syncsource_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"busybridge/internal/dial/feedclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/source/calstore"
	"busybridge/internal/source/sourcetest"
	"busybridge/internal/source/syncsource"
	"busybridge/internal/store/sqlitestore"
	"busybridge/internal/store/storetest"
)

// A world is a store with a mailbox, its calendars, and a Syncer that asks one
// upstream under several names.
type world struct {
	testing.TB
	*syncsource.Syncer
	store    *sqlitestore.Store
	cal      *calstore.Calendars
	now      atomic.Int64 // Unix ns
	org      directory.OrgID
	mailbox  *directory.Recipient
	requests atomic.Int64
	log      bytes.Buffer // read while nothing runs
	mu       sync.Mutex   // guards answer
	answer   http.HandlerFunc
	outcomes []string // guarded by mu
}

func newWorld(t testing.TB, zone string) *world {
	t.Helper()
	w := &world{TB: t}
	w.now.Store(sourcetest.Now.UnixNano())
	clock := func() time.Time { return time.Unix(0, w.now.Load()).UTC() }
	quiet := slog.New(slog.NewTextHandler(t.Output(), nil))
	var err error
	if w.store, err = sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "a.db"), sqlitestore.Options{Now: clock, SealKey: make([]byte, 32), Log: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	if w.cal, err = calstore.New(calstore.Config{Store: w.store, Now: clock, Log: quiet}); err != nil {
		t.Fatal(err)
	}
	o := storetest.Organization("Contoso", "contoso.com")
	if err := w.store.CreateOrganization(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	w.org = o.ID
	w.mailbox = w.newMailbox("anna@contoso.com", zone)

	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.requests.Add(1)
		w.mu.Lock()
		h := w.answer
		w.mu.Unlock()
		h(rw, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	dial := safehttp.Config{Roots: roots, ConnectTo: map[string]string{}}
	for _, host := range []string{"example.com", "a.example.com", "b.example.com"} {
		dial.ConnectTo[host+":443"] = s.Listener.Addr().String()
	}
	rt, err := safehttp.Transport(dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	feeds, err := feedclient.New(feedclient.Config{Transport: rt, Dial: dial, Now: clock, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w.Syncer = w.syncer(syncsource.Feeds{Client: feeds}, func(*syncsource.Config) {})
	return w
}

func (w *world) syncer(f syncsource.Fetcher, change func(*syncsource.Config)) *syncsource.Syncer {
	w.Helper()
	c := syncsource.Config{
		Store: w.store, Copies: w.cal, Fetchers: map[string]syncsource.Fetcher{directory.SourceICalendar: f},
		Now: func() time.Time { return time.Unix(0, w.now.Load()).UTC() }, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Ticks: func(time.Duration) (<-chan time.Time, func()) { return make(chan time.Time), func() {} },
		CopyFailure: func(err error) string {
			if errors.Is(err, calstore.ErrTooManyEvents) {
				return syncsource.FailureEvents
			}
			return ""
		},
		Attempted: func(condition string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.outcomes = append(w.outcomes, condition)
		},
	}
	change(&c)
	s, err := syncsource.New(c)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) newMailbox(address, zone string) *directory.Recipient {
	w.Helper()
	r := storetest.Mailbox(w.org, address)
	r.Proxies, r.Calendar = nil, directory.DefaultCalendar(zone)
	if err := w.store.CreateRecipient(w.Context(), r); err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *world) add(name, url string) *directory.CalendarSource {
	w.Helper()
	return w.put(w.source(name, url))
}

func (w *world) source(name, url string) *directory.CalendarSource {
	return &directory.CalendarSource{
		Org: w.org, ID: uuid.NewString(), Mailbox: w.mailbox.ID, Name: name, Kind: directory.SourceICalendar, URL: directory.SecretURL(url), Enabled: true,
		Refresh: 5 * time.Minute, MaxBytes: 1 << 20, MaxEvents: 50_000,
	}
}

func (w *world) put(v *directory.CalendarSource) *directory.CalendarSource {
	w.Helper()
	if err := w.store.Change(w.Context(), func(tx *sqlitestore.Tx) error { return tx.PutCalendarSource(w.Context(), v) }); err != nil {
		w.Fatal(err)
	}
	return v
}

func (w *world) is(v *directory.CalendarSource) *directory.CalendarSource {
	w.Helper()
	got, err := w.store.CalendarSource(w.Context(), v.Org, v.ID)
	if err != nil {
		w.Fatal(err)
	}
	return got
}

func (w *world) wait(d time.Duration) { w.now.Add(int64(d)) }

// serve makes the upstream answer with a calendar and an ETag of its content.
func (w *world) serve(components ...string) {
	text := sourcetest.Calendar(components...)
	etag := fmt.Sprintf(`"%x"`, len(text))
	w.serveBy(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/calendar")
		rw.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			rw.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(rw, text)
	})
}

func (w *world) serveBy(h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = h
}

func (w *world) fail(status int, headers ...string) {
	w.serveBy(func(rw http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			rw.Header().Set(headers[i], headers[i+1])
		}
		rw.WriteHeader(status)
	})
}

func (w *world) want(what string, subjects ...string) {
	w.Helper()
	start := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	iv, err := w.cal.Busy(w.Context(), w.org, w.mailbox, freebusy.Window{Start: start, End: start.AddDate(0, 0, 1)}, true)
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
	var got []string
	for _, i := range iv {
		got = append(got, i.Detail.Subject)
	}
	slices.Sort(got)
	if d := cmp.Diff(subjects, got); d != "" {
		w.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func event(uid string, lines ...string) string {
	return sourcetest.Event(uid, append([]string{"SUMMARY:" + uid, "DTSTART:20260310T090000Z", "DTEND:20260310T100000Z"}, lines...)...)
}

func TestConformance(t *testing.T) {
	sourcetest.Run(t, sourcetest.Family{New: func(t testing.TB, zone, text string) (sourcetest.Source, *directory.Recipient) {
		w := newWorld(t, zone)
		w.serveBy(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, text) })
		v := w.add("feed", "https://example.com/a.ics")
		w.Pass(t.Context())
		if got := w.is(v); got.State.Failure != "" {
			t.Fatalf("%s: %s", got.State.Failure, got.State.Text)
		}
		return w.cal, w.mailbox
	}})
}

// The life of a feed: asked on its plan, answered from the copy, old when it is down.
func TestFeed(t *testing.T) {
	w := newWorld(t, "UTC")
	w.serve(event("a"), event("b"))
	v := w.add("Team", "https://example.com/private-4f2a/basic.ics")
	if got := w.is(v).Condition(); got != directory.SourcePending {
		t.Errorf("at first %s", got)
	}
	w.Pass(t.Context())
	w.want("first", "a", "b")
	if got := w.is(v); got.Condition() != directory.SourceHealthy || got.State.Events != 2 || got.State.ETag == "" || got.State.LastModified != "" {
		t.Errorf("after the first attempt: %s %+v", got.Condition(), got.State)
	}
	// A question costs no request while the copy is fresh, however many there are.
	before := w.requests.Load()
	for range 1000 {
		w.want("fresh", "a", "b")
	}
	w.Pass(t.Context())
	if n := w.requests.Load() - before; n != 0 {
		t.Errorf("%d requests while the copy was fresh", n)
	}
	// The plan, give or take a tenth.
	next := w.is(v).State.NextAttempt.Sub(sourcetest.Now)
	if next < 270*time.Second || next > 330*time.Second {
		t.Errorf("next attempt after %v", next)
	}
	stats := w.cal.Stats()
	w.wait(330 * time.Second)
	w.Pass(t.Context())
	if n := w.requests.Load() - before; n != 1 {
		t.Errorf("%d requests for one that was not modified", n)
	}
	if d := cmp.Diff(stats.Parsed, w.cal.Stats().Parsed); d != "" {
		t.Errorf("what was not modified was parsed: %s", d)
	}
	// What changes is followed: one goes, one comes.
	w.serve(event("b"), event("c", "LOCATION:here"))
	w.wait(330 * time.Second)
	w.Pass(t.Context())
	w.want("changed", "b", "c")

	// It is down: the copy stays, its age shows, and it says why, once.
	w.log.Reset()
	good := w.is(v).State.LastSuccess
	w.fail(500)
	for range 20 {
		w.wait(330 * time.Second)
		w.Pass(t.Context())
	}
	w.want("down", "b", "c")
	got := w.is(v)
	now := time.Unix(0, w.now.Load())
	if age, ok := got.Age(now); got.Condition() != "ServerError" || !got.Stale(now) || !ok || age != now.Sub(good) || age < 6600*time.Second || got.State.Events != 2 || !strings.Contains(got.State.Text, "500") {
		t.Errorf("down: %s, age %v, %+v", got.Condition(), age, got.State)
	}
	if got.State.Failures > 8 || got.State.Failures < 3 {
		t.Errorf("%d attempts in two hours of a plan of five minutes that fails", got.State.Failures)
	}
	if n := strings.Count(w.log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, &w.log)
	}
	if strings.Contains(w.log.String(), "4f2a") || !strings.Contains(w.log.String(), "url=https://example.com/…") {
		t.Errorf("the log shows a secret link, or no host:\n%s", &w.log)
	}
	// And back, without a restart.
	w.serve(event("d"))
	w.wait(2 * time.Hour)
	w.Pass(t.Context())
	w.want("back", "d")
	if got := w.is(v); got.Condition() != directory.SourceHealthy || got.Stale(time.Unix(0, w.now.Load())) || got.State.Failures != 0 || got.State.Text != "" {
		t.Errorf("back: %s %+v", got.Condition(), got.State)
	}
	if n := strings.Count(w.log.String(), "calendar source is followed"); n != 1 {
		t.Errorf("%d lines of recovery:\n%s", n, &w.log)
	}
}

// Each fault of an upstream has its own state, leaves the copy, is tried again, and
// is over without a restart.
func TestFaultyUpstream(t *testing.T) {
	text := sourcetest.Calendar(event("new"))
	send := func(body string, headers ...string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(headers); i += 2 {
				rw.Header().Set(headers[i], headers[i+1])
			}
			io.WriteString(rw, body)
		}
	}
	code := func(n int, headers ...string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(headers); i += 2 {
				rw.Header().Set(headers[i], headers[i+1])
			}
			rw.WriteHeader(n)
		}
	}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
		events []string // of the copy; nil: the old one
		least  time.Duration
	}{
		{"connection lost", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "ConnectionFailed", nil, 0},
		{"401", code(401), "Unauthorized", nil, 0},
		{"403", code(403), "Forbidden", nil, 0},
		{"404", code(404), "NotFound", nil, 0},
		{"429 with Retry-After", code(429, "Retry-After", "5000"), "Throttled", nil, 5000 * time.Second},
		{"500", code(500), "ServerError", nil, 0},
		{"503 with Retry-After", code(503, "Retry-After", "4000"), "ServerError", nil, 4000 * time.Second},
		{"half an answer", send(text[:len(text)-20]), "Truncated", nil, 0},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "TimedOut", nil, 0},
		{"wrong content type", send("<html>", "Content-Type", "text/html"), "WrongContentType", nil, 0},
		{"not a calendar", send("hello"), "WrongContent", nil, 0},
		{"200 MB", code(200, "Content-Length", fmt.Sprint(200<<20)), "TooLarge", nil, 0},
		{"redirect to loopback", code(302, "Location", "https://127.0.0.1/x"), "AddressNotAllowed", nil, 0},
		{"redirect to http", code(302, "Location", "http://example.com/x"), "Redirect", nil, 0},
		{"too many events", send(sourcetest.Calendar(event("1"), event("2"), event("3"))), "TooManyEvents", nil, 0},
		{"a time zone that does not exist", send(sourcetest.Calendar(event("new"), sourcetest.Event("x", "SUMMARY:x", "DTSTART;TZID=Middle/Earth:20260310T090000", "DTEND;TZID=Middle/Earth:20260310T100000"))),
			directory.SourcePartial, []string{"new", "x"}, 0}, // it is read in the mailbox's own zone, and counted
		{"an event that cannot be read", send(sourcetest.Calendar(event("new"), sourcetest.Event("x", "DTSTART:never"))), directory.SourcePartial, []string{"new"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "UTC")
			w.serve(event("old"))
			v := w.add("feed", "https://example.com/a.ics")
			v.MaxEvents = 2
			w.put(v)
			w.Pass(t.Context())
			w.serveBy(tt.answer)
			w.wait(330 * time.Second)
			w.Pass(t.Context())
			got := w.is(v)
			if got.Condition() != tt.want {
				t.Errorf("got %s: %s, want %s", got.Condition(), got.State.Text, tt.want)
			}
			if tt.events == nil {
				tt.events = []string{"old"}
			}
			w.want("while it fails", tt.events...)
			after := got.State.NextAttempt.Sub(time.Unix(0, w.now.Load()))
			if after < max(tt.least, 30*time.Second) || after > max(tt.least, 6*time.Minute) {
				t.Errorf("next attempt after %v", after)
			}
			w.serve(event("good"))
			w.wait(after)
			w.Pass(t.Context())
			w.want("recovered", "good")
			if got := w.is(v); got.Condition() != directory.SourceHealthy {
				t.Errorf("recovered: %s", got.Condition())
			}
		})
	}
}

func TestSettings(t *testing.T) {
	w := newWorld(t, "UTC")
	w.serve(event("a"))
	v := w.add("feed", "https://example.com/a.ics")
	w.Pass(t.Context())
	w.want("at first", "a")
	change := func(what string, fn func(*directory.CalendarSource), want ...string) {
		t.Helper()
		got := w.is(v)
		fn(got)
		w.put(got)
		w.Pass(t.Context())
		w.want(what, want...)
	}
	change("transparent", func(v *directory.CalendarSource) { v.Transparent = true })
	change("and not", func(v *directory.CalendarSource) { v.Transparent = false }, "a")
	change("disabled", func(v *directory.CalendarSource) { v.Enabled = false })
	asked := w.requests.Load()
	w.wait(240 * time.Hour)
	w.Pass(t.Context())
	if got := w.is(v); w.requests.Load() != asked || got.Condition() != directory.SourceDisabled || !cmp.Equal(got.State, directory.CalendarSourceState{}) {
		t.Errorf("disabled: %d requests, %+v", w.requests.Load()-asked, got.State)
	}
	change("enabled", func(v *directory.CalendarSource) { v.Enabled = true }, "a")
	// A copy that somebody took away comes back, although the upstream says that
	// nothing was modified.
	if err := w.cal.DeleteFolder(t.Context(), w.mailbox, v.Folder()); err != nil {
		t.Fatal(err)
	}
	w.wait(330 * time.Second)
	w.Pass(t.Context())
	w.want("deleted by hand", "a")

	change("removed", func(v *directory.CalendarSource) { v.Removed = true })
	if _, err := w.store.CalendarSource(t.Context(), w.org, v.ID); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
	folders, err := w.cal.Folders(t.Context(), w.mailbox)
	if err != nil || len(folders) != 1 {
		t.Errorf("folders %+v, %v", folders, err)
	}
}

// Update and Test ask at once, whatever the plan.
func TestUpdateAndTest(t *testing.T) {
	w := newWorld(t, "UTC")
	w.serve(event("a"))
	v := w.add("feed", "https://example.com/a.ics")
	w.Pass(t.Context())
	w.serve(event("b"), event("c", "RECURRENCE-ID:20260310T090000Z"))
	if got, want := w.Test(t.Context(), w.is(v)), (directory.CalendarSourceTest{Events: 2}); got.Events != want.Events || got.Failure != "" || got.Bytes == 0 {
		t.Errorf("test: %+v", got)
	}
	w.want("tested", "a")
	if err := w.Update(t.Context(), w.is(v)); err != nil {
		t.Fatal(err)
	}
	w.want("updated", "b", "c")
	w.fail(401)
	if got := w.Test(t.Context(), w.is(v)); got.Failure != "Unauthorized" || got.Text == "" {
		t.Errorf("test: %+v", got)
	}
	if got := w.is(v); got.Condition() != directory.SourceHealthy {
		t.Errorf("a test is kept: %s", got.Condition())
	}
	if err := w.Update(t.Context(), w.is(v)); err != nil {
		t.Fatal(err)
	}
	if got := w.is(v); got.Condition() != "Unauthorized" {
		t.Errorf("updated: %s", got.Condition())
	}
	other := w.is(v)
	other.Kind = "Palm"
	if got := w.Test(t.Context(), other); got.Failure != syncsource.FailureKind {
		t.Errorf("another kind: %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := w.is(v).State
	if err := w.Update(ctx, w.is(v)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if d := cmp.Diff(before, w.is(v).State); d != "" {
		t.Errorf("cancelled (-want +got):\n%s", d)
	}
}

func TestMailboxIsGone(t *testing.T) {
	w := newWorld(t, "UTC")
	w.serve(event("a"))
	v := w.add("feed", "https://example.com/a.ics")
	w.Pass(t.Context())
	if _, err := w.store.UpdateRecipient(t.Context(), w.org, w.mailbox.ID, func(r *directory.Recipient) error {
		r.Type, r.ExternalAddress, r.ResourceCapacity = directory.MailUser, storetest.Mailbox(w.org, "anna@fabrikam.com").Primary, 0
		r.Permissions, r.Calendar = nil, directory.CalendarConfiguration{}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.wait(330 * time.Second)
	w.Pass(t.Context())
	if got := w.is(v); got.Condition() != syncsource.FailureMailbox {
		t.Errorf("a mail user: %s", got.Condition())
	}
}

// stub is a Fetcher in memory.
type stub func(ctx context.Context, v *directory.CalendarSource, known directory.CalendarSourceState) (*syncsource.Result, error)

func (s stub) Fetch(ctx context.Context, v *directory.CalendarSource, known directory.CalendarSourceState) (*syncsource.Result, error) {
	return s(ctx, v, known)
}

// A host is asked by few at once, and not at all while it wants to be left alone;
// others do not wait for it.
func TestHosts(t *testing.T) {
	w := newWorld(t, "UTC")
	var mu sync.Mutex
	now, most, asked := map[string]int{}, map[string]int{}, map[string]int{}
	gate, begun := make(chan struct{}), make(chan struct{}, 100)
	throttle := false
	s := w.syncer(stub(func(_ context.Context, v *directory.CalendarSource, _ directory.CalendarSourceState) (*syncsource.Result, error) {
		host := v.URL.Host()
		mu.Lock()
		now[host]++
		now["all"]++
		asked[host]++
		most[host], most["all"] = max(most[host], now[host]), max(most["all"], now["all"])
		refused := throttle && host == "a.example.com"
		mu.Unlock()
		begun <- struct{}{}
		<-gate
		mu.Lock()
		defer mu.Unlock()
		now[host]--
		now["all"]--
		if refused {
			return nil, &safehttp.FaultError{Fault: safehttp.FaultThrottled, RetryAfter: 30 * time.Minute, Err: errors.New("later")}
		}
		return &syncsource.Result{NotModified: true}, nil
	}), func(c *syncsource.Config) { c.Parallel, c.PerHost = 3, 2 })
	for i := range 6 {
		w.add(fmt.Sprint("a", i), "https://a.example.com/x")
	}
	for i := range 2 {
		w.add(fmt.Sprint("b", i), "https://b.example.com/x")
	}
	ended := make(chan struct{})
	go func() { s.Pass(t.Context()); close(ended) }()
	for range 3 {
		<-begun
	}
	mu.Lock()
	if d := cmp.Diff(map[string]int{"a.example.com": 2, "b.example.com": 1, "all": 3}, now); d != "" {
		t.Errorf("at once (-want +got):\n%s", d)
	}
	mu.Unlock()
	close(gate)
	<-ended
	if d := cmp.Diff(map[string]int{"a.example.com": 6, "b.example.com": 2}, asked); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
	if most["a.example.com"] > 2 || most["all"] > 3 {
		t.Errorf("at once: %v", most)
	}
	throttle = true
	w.wait(10 * time.Minute)
	s.Pass(t.Context())
	if asked["b.example.com"] != 4 || asked["a.example.com"] > 8 || asked["a.example.com"] < 7 {
		t.Errorf("while one is throttled: %v", asked)
	}
	throttle = false
	w.wait(31 * time.Minute)
	s.Pass(t.Context())
	if asked["a.example.com"] < 13 || asked["b.example.com"] != 6 {
		t.Errorf("afterwards: %v", asked)
	}
}

func TestBackOff(t *testing.T) {
	for _, tt := range []struct {
		refresh time.Duration
		n       int
		want    time.Duration
	}{
		{time.Minute, 1, 30 * time.Second}, {5 * time.Minute, 1, 75 * time.Second}, {5 * time.Minute, 2, 150 * time.Second},
		{5 * time.Minute, 7, time.Hour}, {5 * time.Minute, 1 << 30, time.Hour}, {24 * time.Hour, 1, 6 * time.Hour}, {24 * time.Hour, 99, 24 * time.Hour},
	} {
		if got := syncsource.BackOff(tt.refresh, tt.n); got != tt.want {
			t.Errorf("%v, failure %d: %v, want %v", tt.refresh, tt.n, got, tt.want)
		}
	}
}

// Run follows at its ticks, and what is under way when it ends is tried again.
func TestRun(t *testing.T) {
	w := newWorld(t, "UTC")
	tick, begun := make(chan time.Time), make(chan struct{})
	hang := false
	s := w.syncer(stub(func(ctx context.Context, _ *directory.CalendarSource, _ directory.CalendarSourceState) (*syncsource.Result, error) {
		if hang {
			close(begun)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return &syncsource.Result{Text: []byte(sourcetest.Calendar(event("a")))}, nil
	}), func(c *syncsource.Config) {
		c.Ticks = func(time.Duration) (<-chan time.Time, func()) { return tick, func() {} }
	})
	v := w.add("feed", "https://example.com/a.ics")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for w.is(v).State.LastSuccess.IsZero() {
		tick <- time.Time{}
	}
	w.want("followed", "a")
	hang = true
	w.wait(330 * time.Second)
	tick <- time.Time{}
	<-begun
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := w.is(v); got.Condition() != directory.SourceHealthy || got.State.NextAttempt.After(time.Unix(0, w.now.Load())) {
		t.Errorf("cut short: %s %+v", got.Condition(), got.State)
	}
}

// What is changed while the source is asked counts, and the answer to the question
// of before does not.
func TestChangedMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*directory.CalendarSource)
		now    []string // once the attempt of before has ended
		then   []string // after the next
	}{
		{"another address", func(v *directory.CalendarSource) { v.URL = "https://example.com/b.ics" }, []string{"first"}, []string{"b"}},
		{"disabled", func(v *directory.CalendarSource) { v.Enabled = false }, nil, nil},
		{"removed", func(v *directory.CalendarSource) { v.Removed = true }, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "UTC")
			text := "first"
			var during func()
			s := w.syncer(stub(func(_ context.Context, v *directory.CalendarSource, _ directory.CalendarSourceState) (*syncsource.Result, error) {
				if during != nil {
					during()
				}
				if strings.HasSuffix(v.URL.Reveal(), "b.ics") {
					return &syncsource.Result{Text: []byte(sourcetest.Calendar(event("b")))}, nil
				}
				return &syncsource.Result{Text: []byte(sourcetest.Calendar(event(text)))}, nil
			}), func(*syncsource.Config) {})
			v := w.add("feed", "https://example.com/a.ics")
			s.Pass(t.Context())
			w.want("at first", "first")
			text = "second"
			during = func() {
				during = nil
				is := w.is(v)
				tt.change(is)
				w.put(is)
				if !is.Enabled || is.Removed { // as the operation does that changes it
					if err := s.Update(t.Context(), is); err != nil {
						t.Error(err)
					}
				}
			}
			if err := s.Update(t.Context(), w.is(v)); err != nil {
				t.Fatal(err)
			}
			w.want("the attempt of before has ended", tt.now...)
			s.Pass(t.Context())
			w.want("after the next attempt", tt.then...)
			w.wait(24 * time.Hour)
			s.Pass(t.Context())
			w.want("a day later", tt.then...)
		})
	}
}
