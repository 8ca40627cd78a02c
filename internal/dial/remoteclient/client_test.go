package remoteclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"busybridge/internal/dial/remoteclient"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/psrp"
	"busybridge/internal/ps/wsman"
)

// A far is a server whose pipelines write what it is told to, and that may lose
// its manners at any request.
type far struct {
	*httptest.Server
	// rude answers a request in its own way; nil or false: the honest way. The
	// actions are Create, Receive pool, Command, Receive, Send, Signal/… and Delete.
	rude func(action string, w http.ResponseWriter, r *http.Request, m *wsman.Message) bool

	results []any // of each pipeline; nil: it does not end
	asked   atomic.Int64

	mu      sync.Mutex // guards all below
	actions []string
	pool    *psrp.Server
	jobs    map[string]*psrp.Job
}

func newFar(t testing.TB) *far {
	t.Helper()
	f := &far{jobs: map[string]*psrp.Job{}, results: []any{"a", "b"}}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Server.Close)
	return f
}

func (f *far) serve(w http.ResponseWriter, r *http.Request) {
	f.asked.Add(1)
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	m, err := wsman.Parse(b, 1<<20)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	name := string(m.Action)[strings.LastIndexByte(string(m.Action), '/')+1:]
	if d, ok := m.Body.(*wsman.Desired); ok && d.Command == "" {
		name += " pool"
	}
	if s, ok := m.Body.(*wsman.Signaled); ok {
		name += s.Code[strings.LastIndexByte(s.Code, '/'):]
	}
	f.mu.Lock()
	f.actions = append(f.actions, name)
	f.mu.Unlock()
	if f.rude == nil || !f.rude(name, w, r, m) {
		answer(w, m, f.answer(r, m))
	}
}

// answer writes an answer to m.
func answer(w http.ResponseWriter, m *wsman.Message, body wsman.Body) {
	if _, ok := body.(*wsman.Fault); ok {
		w.WriteHeader(http.StatusInternalServerError)
	}
	_, _ = w.Write(m.Reply("uuid:"+uuid.NewString(), body).Append(nil)) // the client may have gone
}

func (f *far) did(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.actions, name)
}

func invalid(err error) wsman.Body {
	if err != nil {
		return wsman.Invalid.Fault(err.Error())
	}
	return nil
}

func (f *far) answer(r *http.Request, m *wsman.Message) wsman.Body {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch b := m.Body.(type) {
	case *wsman.Shell:
		f.pool = psrp.NewServer(psrp.ServerConfig{})
		if _, err := f.pool.Read(b.Creation); err != nil {
			return invalid(err)
		}
		return &wsman.Created{Address: m.To, Shell: wsman.Shell{ID: b.ID, State: "Connected"}}
	case *wsman.CommandLine:
		j := f.pool.Job()
		f.jobs[b.ID] = j
		if _, err := j.Read(b.Arguments); err != nil {
			return invalid(err)
		}
		for _, v := range f.results {
			if err := j.Output(v); err != nil {
				return invalid(err)
			}
		}
		if f.results != nil {
			if err := j.End(psrp.Completed, nil); err != nil {
				return invalid(err)
			}
		}
		return &wsman.Started{ID: b.ID}
	case *wsman.Sent:
		return wsman.SendDone
	case *wsman.Signaled:
		return wsman.SignalDone
	case *wsman.Desired:
		out, body := f.pool.Out(), &wsman.Received{}
		if b.Command != "" {
			j := f.jobs[b.Command]
			if j == nil {
				return wsman.UnknownShell.Fault("")
			}
			out, body.Command, body.State = j.Out(), b.Command, wsman.CommandRunning
			if j.State() == psrp.Completed {
				body.State = wsman.CommandDone
			}
		}
		data := out.Take(1<<20, 0)
		out.Commit()
		if data == nil {
			f.mu.Unlock()
			select { // a long poll
			case <-r.Context().Done():
			case <-time.After(m.Timeout):
			}
			f.mu.Lock()
			return wsman.TimedOut.Fault("")
		}
		body.Streams = []wsman.Stream{{Name: "stdout", Command: b.Command, Data: data}}
		return body
	}
	return nil
}

const password = "Secret of the administrator"

func (f *far) open(t testing.TB, change ...func(*remoteclient.Config)) (*remoteclient.Session, error) {
	t.Helper()
	u, err := url.Parse(f.URL + "/powershell-liveid/")
	if err != nil {
		t.Fatal(err)
	}
	cfg := remoteclient.Config{HTTP: f.Client(), URL: u, User: "admin@contoso.com", Password: password, Configuration: "Microsoft.Exchange", Poll: 100 * time.Millisecond}
	for _, fn := range change {
		fn(&cfg)
	}
	return remoteclient.Open(t.Context(), cfg)
}

func get() *psrp.Pipeline {
	return &psrp.Pipeline{NoInput: true, Host: psrp.Host{OfPool: true}, Statements: [][]psrp.Command{{{Name: "Get-Thing"}}}}
}

// outputs runs a pipeline.
func outputs(ctx context.Context, s *remoteclient.Session) (list []string, err error) {
	err = s.Run(ctx, get(), nil, func(e psrp.Event) error {
		if o, ok := e.(psrp.Output); ok {
			list = append(list, object.String(o.Value))
		}
		return nil
	})
	return list, err
}

// An honest server is served well; this holds the tests below together.
func TestHonest(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	f := newFar(t)
	s, err := f.open(t)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := outputs(t.Context(), s); err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Error(got, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
	if _, err := outputs(t.Context(), s); !errors.Is(err, remoteclient.ErrClosed) {
		t.Error(err)
	}
	if !f.did("Signal/Terminate") || !f.did("Delete") {
		t.Errorf("the server was not told: %v", f.actions)
	}
	f.Client().CloseIdleConnections()
	f.Server.Close()
	goleak.VerifyNone(t, leaks)
}

// cut ends the connection.
func cut(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	c.Close()
}

func status(code int, body string) func(http.ResponseWriter, *wsman.Message) {
	return func(w http.ResponseWriter, _ *wsman.Message) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// with answers with a body that nobody expects there.
func with(body wsman.Body) func(http.ResponseWriter, *wsman.Message) {
	return func(w http.ResponseWriter, m *wsman.Message) { answer(w, m, body) }
}

// Whatever a server does instead of an answer, the client ends with an error that
// says what it was, soon, and shows nobody the password.
func TestHostile(t *testing.T) {
	giant := "<a>" + strings.Repeat("x", 2<<20)
	data := func(b string) wsman.Body {
		return &wsman.Received{Streams: []wsman.Stream{{Name: "stdout", Data: []byte(b)}}}
	}
	for _, tt := range []struct {
		name   string
		action string // at which it happens
		rude   func(http.ResponseWriter, *wsman.Message)
		want   string
	}{
		{"the password is wrong", "Create", status(401, ""), "access is denied"},
		{"forbidden", "Create", status(403, ""), "access is denied"},
		{"too many tries", "Create", status(429, ""), "asks to wait"},
		{"busy", "Create", status(503, ""), "asks to wait"},
		{"nothing there", "Create", status(404, "no"), "there may be no remote PowerShell"},
		{"an error without words", "Create", status(500, ""), "500 Internal Server Error without saying why"},
		{"an error page", "Create", status(500, "<html>"+strings.Repeat(" ", 100)), "without saying why"},
		{"nothing", "Create", status(200, ""), "not valid"},
		{"another page", "Create", status(200, "<html></html>"), "no envelope"},
		{"a giant", "Create", status(200, giant), "larger"},
		{"a giant of an error", "Receive", status(500, giant), "without saying why"},
		{"half an answer", "Create", func(w http.ResponseWriter, m *wsman.Message) {
			w.Header().Set("Content-Length", "5000")
			_, _ = io.WriteString(w, "<s:Envelope>")
		}, "unexpected EOF"},
		{"a cut connection", "Create", func(w http.ResponseWriter, _ *wsman.Message) { cut(w) }, "EOF"},
		{"an answer to somebody else", "Create", func(w http.ResponseWriter, m *wsman.Message) {
			_, _ = w.Write((&wsman.Message{ID: "uuid:0"}).Reply("uuid:1", wsman.SendDone).Append(nil))
		}, "The action is not supported"},
		{"an answer to another request", "Create", func(w http.ResponseWriter, m *wsman.Message) {
			a := m.Reply("uuid:1", &wsman.Created{Shell: wsman.Shell{ID: "X", State: "Connected"}})
			a.RelatesTo = "uuid:other"
			_, _ = w.Write(a.Append(nil))
		}, "belongs to another request"},
		{"a session without an id", "Create", with(&wsman.Created{Shell: wsman.Shell{State: "Connected"}}), "did not say which session"},
		{"a fault", "Create", with(wsman.Quota.Fault("")), "limited number of concurrent shells"},
		{"a fault that forbids", "Create", with(wsman.AccessDenied.Fault("")), "access is denied"},
		{"rubbish in the pool", "Receive pool", with(data(strings.Repeat("x", 50))), "fragment"},
		{"no more sessions", "Receive pool", status(401, ""), "access is denied"},
		{"a cut poll", "Receive pool", func(w http.ResponseWriter, _ *wsman.Message) { cut(w) }, "EOF"},

		{"a command that is refused", "Command", with(wsman.Busy.Fault("")), "as many commands"},
		{"a command that is cut", "Command", func(w http.ResponseWriter, _ *wsman.Message) { cut(w) }, "EOF"},
		{"a command with another id", "Command", with(&wsman.Started{ID: uuid.NewString()}), "not found on the server"},
		{"results are cut", "Receive", func(w http.ResponseWriter, _ *wsman.Message) { cut(w) }, "EOF"},
		{"rubbish for results", "Receive", with(data("rubbish that is longer than the head of a fragment")), "fragment"},
		{"results of another pipeline", "Receive", with(another(t)), "for another pipeline"},
		{"an end without an end", "Receive", with(&wsman.Received{State: wsman.CommandDone}), "the command has ended, the pipeline has not"},
		{"no results at all", "Receive", with(wsman.SendDone), "no ReceiveResponse"},
		{"the session is gone", "Receive", with(wsman.UnknownShell.Fault("")), "not found on the server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leaks := goleak.IgnoreCurrent()
			f := newFar(t)
			f.rude = func(action string, w http.ResponseWriter, _ *http.Request, m *wsman.Message) bool {
				if action == tt.action {
					tt.rude(w, m)
				}
				return action == tt.action
			}
			s, err := f.open(t)
			if err == nil {
				_, err = outputs(t.Context(), s)
				_ = s.Close() // the session may be broken
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), password) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			f.Client().CloseIdleConnections()
			f.Server.Close()
			goleak.VerifyNone(t, leaks)
		})
	}
}

// another is a result of a pipeline that nobody asked for.
func another(t *testing.T) *wsman.Received {
	t.Helper()
	c, s := psrp.NewClient(psrp.ClientConfig{Pool: uuid.New()}), psrp.NewServer(psrp.ServerConfig{})
	check := func(_ []psrp.Event, err error) {
		if err != nil {
			t.Error(err)
		}
	}
	check(nil, c.Open())
	check(s.Read(c.Out().Take(1<<20, 0)))
	check(c.Read(s.Out().Take(1<<20, 0)))
	run, err := c.Start(uuid.New(), get())
	check(nil, err)
	j := s.Job()
	check(j.Read(run.Out().Take(1<<20, 0)))
	check(nil, j.Output("not yours"))
	return &wsman.Received{Streams: []wsman.Stream{{Name: "stdout", Data: j.Out().Take(1<<20, 0)}}}
}

// A redirection is told, not followed: the password goes nowhere else.
func TestRedirected(t *testing.T) {
	f, elsewhere := newFar(t), newFar(t)
	for _, code := range []int{301, 302, 307, 308} {
		f.rude = func(_ string, w http.ResponseWriter, _ *http.Request, _ *wsman.Message) bool {
			w.Header().Set("Location", elsewhere.URL+"/powershell")
			w.WriteHeader(code)
			return true
		}
		_, err := f.open(t)
		to, ok := errors.AsType[*remoteclient.RedirectError](err)
		if !ok || to.URL.String() != elsewhere.URL+"/powershell" || elsewhere.asked.Load() != 0 {
			t.Errorf("%d: %v, %d requests elsewhere", code, err, elsewhere.asked.Load())
		}
	}
}

// A server that answers every poll at once with nothing keeps nobody busy, and a
// client whose context ends does not wait for it.
func TestEndlessPolls(t *testing.T) {
	for name, body := range map[string]wsman.Body{"time-outs": wsman.TimedOut.Fault(""), "empty results": &wsman.Received{}} {
		t.Run(name, func(t *testing.T) {
			f := newFar(t)
			f.rude = func(action string, w http.ResponseWriter, _ *http.Request, m *wsman.Message) bool {
				if action == "Receive pool" {
					answer(w, m, body)
				}
				return action == "Receive pool"
			}
			if _, err := f.open(t, func(c *remoteclient.Config) { c.Patience = 300 * time.Millisecond }); err == nil || err.Error() != "the server did not open the session within 300ms" {
				t.Error(err)
			}
			if n := f.asked.Load(); n > 20 {
				t.Errorf("%d requests in 300 ms", n)
			}
		})
	}
}

// Results without end are taken as they come and end with the context; what is
// not taken is bounded.
func TestEndlessResults(t *testing.T) {
	f := newFar(t)
	f.results = nil
	var fetched, polls atomic.Int64
	f.rude = func(action string, _ http.ResponseWriter, _ *http.Request, m *wsman.Message) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch action {
		case "Receive":
			fetched.Add(1)
			if err := f.jobs[m.Body.(*wsman.Desired).Command].Output(strings.Repeat("x", 200<<10)); err != nil {
				t.Error(err)
			}
		case "Receive pool":
			polls.Add(1)
		}
		return false
	}
	s, err := f.open(t, func(c *remoteclient.Config) { c.Backlog = 1 << 20 })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err = s.Run(ctx, get(), nil, func(psrp.Event) error {
		if n++; n == 20 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n < 20 {
		t.Errorf("%d results, %v", n, err)
	}
	if !f.did("Signal/crtl_c") || !f.did("Signal/Terminate") {
		t.Errorf("the server was not told: %v", f.actions)
	}
	fetched.Store(0)
	var most int64
	err = s.Run(t.Context(), get(), nil, func(psrp.Event) error {
		if most > 0 {
			return nil
		}
		for now, last := int64(0), int64(-1); now != last; { // until it fetches no more, for the time of two polls
			last = fetched.Load()
			for end := polls.Load() + 2; polls.Load() < end; {
				runtime.Gosched()
			}
			now = fetched.Load()
		}
		most = fetched.Load()
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "wrote more than can be kept") || most > 10 {
		t.Errorf("%v after %d answers of 200 KiB", err, most)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// An answer that never comes ends with the context, at whatever step; the session
// can be closed then.
func TestCancelled(t *testing.T) {
	for _, at := range []string{"Command", "Receive", "Send"} {
		t.Run(at, func(t *testing.T) {
			leaks := goleak.IgnoreCurrent()
			f := newFar(t)
			f.results = nil
			ctx, cancel := context.WithCancel(t.Context())
			f.rude = func(action string, _ http.ResponseWriter, r *http.Request, _ *wsman.Message) bool {
				if action == at {
					cancel()
					<-r.Context().Done()
				}
				return action == at
			}
			s, err := f.open(t)
			if err != nil {
				t.Fatal(err)
			}
			p := get()
			p.NoInput = false
			if err := s.Run(ctx, p, []any{"x"}, func(psrp.Event) error { return nil }); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			f.Client().CloseIdleConnections()
			f.Server.Close()
			goleak.VerifyNone(t, leaks)
		})
	}
}

// A secret does not go out without a key, and a server that gives none is not waited for.
func TestNoKey(t *testing.T) {
	f := newFar(t)
	s, err := f.open(t, func(c *remoteclient.Config) { c.Patience = time.Second })
	if err != nil {
		t.Fatal(err)
	}
	p := get()
	p.Statements[0][0].Arguments = []psrp.Argument{{Name: "Password", Value: object.NewSecureString("of the mailbox")}}
	err = s.Run(t.Context(), p, nil, func(psrp.Event) error { return nil })
	if err == nil || err.Error() != "the server gave no key for secrets within 1s" || f.did("Command") {
		t.Errorf("%v, %v", err, f.actions)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A session goes to https addresses only.
func TestNotHTTPS(t *testing.T) {
	f := newFar(t)
	_, err := f.open(t, func(c *remoteclient.Config) { c.URL.Scheme = "http" })
	if err == nil || !strings.Contains(err.Error(), "unprotected") || f.asked.Load() != 0 {
		t.Error(err)
	}
}
