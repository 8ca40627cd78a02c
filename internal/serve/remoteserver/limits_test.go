package remoteserver_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"busybridge/internal/ps/psrp"
	"busybridge/internal/ps/wsman"
	"busybridge/internal/serve/remoteserver"
)

const someID = "5B1B5E9C-2F5E-4E5B-8F55-D7C3A0D10F3A"

// create is a request for a session.
func create(t testing.TB, id, session string) string {
	t.Helper()
	cl := psrp.NewClient(psrp.ClientConfig{})
	if err := cl.Open(); err != nil {
		t.Fatal(err)
	}
	return of(session, request(wsman.Create, "", &wsman.Shell{ID: id, Input: "stdin pr", Output: "stdout", Creation: cl.Out().Take(32<<10, 0)}))
}

// of gives a request the client's session id.
func of(session, request string) string {
	return strings.Replace(request, "</s:Header>", "<p:SessionId>"+session+"</p:SessionId></s:Header>", 1)
}

// is tells what an answer is: the number of a fault, or the action.
func is(m *wsman.Message) any {
	if f, ok := m.Body.(*wsman.Fault); ok {
		return f.Number
	}
	return string(m.Action)[strings.LastIndexByte(string(m.Action), '/')+1:]
}

// A client that disconnects finds what it has left, and nobody else does.
func TestDisconnect(t *testing.T) {
	s := newStage(t, remoteserver.Limits{Idle: 5 * time.Minute, MaxIdle: time.Hour})
	const alice = "alice@contoso.com"
	ask := func(user, body string) any {
		_, m := s.post(t, user, body)
		return is(m)
	}
	if got := ask(alice, create(t, someID, "uuid:A")); got != "CreateResponse" {
		t.Fatal(got)
	}
	waits := make(chan any)
	receive := request(wsman.Receive, someID, &wsman.Desired{Names: []string{"stdout"}})
	if got := ask(alice, receive); got != "ReceiveResponse" { // what opens the pool
		t.Fatal(got)
	}
	go func() {
		waits <- ask(alice, strings.Replace(receive, "PT0.040S", "PT60S", 1))
	}()
	for s.Unused() > 0 { // until it waits
		runtime.Gosched()
	}
	leave := request(wsman.Disconnect, someID, &wsman.Leave{Idle: 30 * time.Minute})
	for _, step := range []struct {
		name, user, body string
		want             any
	}{
		{"somebody else lets it go", "bob@contoso.com", leave, wsman.UnknownShell.Number},
		{"the client lets it go", alice, leave, "DisconnectResponse"},
		{"again", alice, leave, "DisconnectResponse"},
		{"results while it is away", alice, receive, wsman.Left.Number},
		{"a command", alice, request(wsman.Command, someID, &wsman.CommandLine{}), wsman.Left.Number},
		{"data", alice, request(wsman.Send, someID, &wsman.Sent{}), wsman.Left.Number},
		{"another client takes it", alice, of("uuid:B", request(wsman.Reconnect, someID, nil)), wsman.InUse.Number},
		{"another user takes it", "bob@contoso.com", of("uuid:A", request(wsman.Reconnect, someID, nil)), wsman.UnknownShell.Number},
		{"another client connects", alice, of("uuid:B", strings.Replace(request(wsman.Get, someID, nil), string(wsman.Get), string(wsman.Connect), 1)), wsman.Unsupported.Number},
	} {
		if got := ask(step.user, step.body); got != step.want {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
	if got := <-waits; got != wsman.Displaced.Number {
		t.Errorf("who waited: %v", got)
	}
	_, m := s.post(t, alice, request(wsman.Get, someID, nil))
	if sh, ok := m.Body.(*wsman.Shell); !ok || sh.State != "Disconnected" || sh.Idle != 30*time.Minute {
		t.Errorf("%+v", m.Body)
	}
	s.advance(29 * time.Minute) // the time that the client asked for, not the one before
	s.Sweep()
	if got := ask(alice, of("uuid:A", request(wsman.Reconnect, someID, &wsman.Return{Command: someID}))); got != wsman.UnknownShell.Number {
		t.Errorf("a command that is not there: %v", got)
	}
	if got := ask(alice, of("uuid:A", request(wsman.Reconnect, someID, nil))); got != "ReconnectResponse" {
		t.Error(got)
	}
	if got := ask(alice, receive); got != wsman.TimedOut.Number {
		t.Errorf("back again: %v", got)
	}
	if got := ask(alice, leave); got != "DisconnectResponse" {
		t.Error(got)
	}
	s.advance(30 * time.Minute)
	s.Sweep()
	if s.Sessions() != 0 {
		t.Error("a session that nobody comes back to stays")
	}
}

// A newer request for results displaces the one that waits.
func TestDisplaced(t *testing.T) {
	s := newStage(t, remoteserver.Limits{})
	const alice = "alice@contoso.com"
	s.post(t, alice, create(t, someID, ""))
	receive := request(wsman.Receive, someID, &wsman.Desired{Names: []string{"stdout"}})
	s.post(t, alice, receive) // what opens the pool
	first := make(chan any)
	go func() {
		_, m := s.post(t, alice, strings.Replace(receive, "PT0.040S", "PT60S", 1))
		first <- is(m)
	}()
	for {
		_, m := s.post(t, alice, receive)
		if is(m) != wsman.TimedOut.Number {
			t.Fatal(is(m))
		}
		select {
		case got := <-first:
			if got != wsman.TimedOut.Number {
				t.Error(got)
			}
			return
		default:
		}
	}
}

// However it is used, a session ends one day.
func TestLifetime(t *testing.T) {
	s := newStage(t, remoteserver.Limits{Lifetime: time.Hour, Idle: 2 * time.Hour})
	c := s.open(t) // it always waits for something
	done := make(chan error)
	go func() {
		done <- c.Run(t.Context(), pipeline(cmd("Get-Slow")), nil, func(psrp.Event) error { return nil })
	}()
	<-s.running
	s.advance(time.Hour - 1)
	s.Sweep()
	if s.Sessions() != 1 {
		t.Fatal("it ended too early")
	}
	s.advance(1)
	if _, m := s.post(t, "alice@contoso.com", request(wsman.Get, strings.ToUpper(c.ID()), nil)); is(m) != wsman.UnknownShell.Number {
		t.Error(is(m))
	}
	s.Sweep()
	if err := <-done; err == nil || s.Sessions() != 0 {
		t.Errorf("%v, %d sessions", err, s.Sessions())
	}
}

// Who opens sessions too fast has to wait, and nobody else.
func TestPace(t *testing.T) {
	s := newStage(t, remoteserver.Limits{NewSessions: 3})
	open := func(user string) *wsman.Message {
		t.Helper()
		_, m := s.post(t, user, create(t, someID, ""))
		if is(m) == "CreateResponse" {
			if _, m := s.post(t, user, request(wsman.Delete, someID, nil)); is(m) != "DeleteResponse" {
				t.Fatal(is(m))
			}
		}
		return m
	}
	for range 3 {
		if got := is(open("alice@contoso.com")); got != "CreateResponse" {
			t.Fatal(got)
		}
	}
	for range 3 { // what is refused does not count
		f, ok := open("alice@contoso.com").Body.(*wsman.Fault)
		if !ok || !f.Of(wsman.Quota) || !strings.HasSuffix(f.Text, "Please wait for 100 seconds.") {
			t.Fatal(f)
		}
	}
	if got := is(open("bob@contoso.com")); got != "CreateResponse" {
		t.Error(got)
	}
	s.advance(99 * time.Second)
	s.Sweep()
	if got := is(open("alice@contoso.com")); got != wsman.Quota.Number {
		t.Error(got)
	}
	s.advance(time.Second)
	if got := []any{is(open("alice@contoso.com")), is(open("alice@contoso.com"))}; !cmp.Equal(got, []any{"CreateResponse", wsman.Quota.Number}) {
		t.Error(got)
	}
}

// What happens is counted.
func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := newStage(t, remoteserver.Limits{Sessions: 1, AllSessions: 2, NewSessions: 6, Commands: 1}, func(c *remoteserver.Config) { c.Metrics = remoteserver.NewMetrics(reg) })
	c := s.open(t)
	for _, user := range []string{"alice@contoso.com", "bob@contoso.com", "carol@contoso.com", "nobody"} { // a second one; the last; one too many; none at all
		s.post(t, user, create(t, "", ""))
	}
	ran(t, c, pipeline(cmd("Get-Thing", "", "a")), nil)
	ran(t, c, pipeline(cmd("Get-Thing", "Nonsense", true)), nil)
	ran(t, c, pipeline(cmd("Get-Forbidden")), nil)
	ran(t, c, pipeline(psrp.Command{Name: "1", Script: true}), nil)
	ran(t, c, pipeline(cmd("Test-Panic")), nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx, pipeline(cmd("Get-Slow")), nil, func(psrp.Event) error { return nil }) }()
	<-s.running
	ran(t, c, pipeline(cmd("Get-Thing")), nil)
	const head = `
# HELP busybridge_remote_%[1]s %[2]s
# TYPE busybridge_remote_%[1]s %[3]s
`
	want := func(name, help, kind, lines string) {
		t.Helper()
		if err := testutil.GatherAndCompare(reg, strings.NewReader(fmt.Sprintf(head, name, help, kind)+lines), "busybridge_remote_"+name); err != nil {
			t.Error(err)
		}
	}
	want("commands_running", "Pipelines of remote PowerShell that run or wait for their turn.", "gauge", "busybridge_remote_commands_running 1\n")
	cancel()
	<-done
	want("sessions", "Sessions of remote PowerShell that are open.", "gauge", "busybridge_remote_sessions 2\n")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		s.post(t, "alice@contoso.com", create(t, someID, ""))
	}
	s.Close()
	want("commands_running", "Pipelines of remote PowerShell that run or wait for their turn.", "gauge", "busybridge_remote_commands_running 0\n")
	want("sessions", "Sessions of remote PowerShell that are open.", "gauge", "busybridge_remote_sessions 0\n")
	want("sessions_opened_total", "Sessions of remote PowerShell that were opened.", "counter", "busybridge_remote_sessions_opened_total 3\n")
	want("sessions_refused_total", "Sessions of remote PowerShell that were not opened, by the limit that was reached.", "counter", `
busybridge_remote_sessions_refused_total{reason="account"} 1
busybridge_remote_sessions_refused_total{reason="forbidden"} 1
busybridge_remote_sessions_refused_total{reason="rate"} 1
busybridge_remote_sessions_refused_total{reason="server"} 1
`)
	want("sessions_ended_total", "Sessions of remote PowerShell that have ended, by why.", "counter", `
busybridge_remote_sessions_ended_total{reason="broken"} 0
busybridge_remote_sessions_ended_total{reason="client"} 1
busybridge_remote_sessions_ended_total{reason="idle"} 0
busybridge_remote_sessions_ended_total{reason="lifetime"} 0
busybridge_remote_sessions_ended_total{reason="server"} 2
`)
	want("commands_total", "Pipelines of remote PowerShell, by how they ended.", "counter", `
busybridge_remote_commands_total{outcome="busy"} 1
busybridge_remote_commands_total{outcome="done"} 1
busybridge_remote_commands_total{outcome="failed"} 1
busybridge_remote_commands_total{outcome="internal_error"} 1
busybridge_remote_commands_total{outcome="refused"} 2
busybridge_remote_commands_total{outcome="stopped"} 1
`)
	for _, direction := range []string{"in", "out"} {
		if n := testutil.ToFloat64(remoteserver.BytesOf(s.Server, direction)); n < 1000 || n > 100000 {
			t.Errorf("%s: %v bytes", direction, n)
		}
	}
}

// Who is not known is heard for a few words only.
func TestIdentifyIsShort(t *testing.T) {
	s := newStage(t, remoteserver.Limits{})
	long := `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><i:Identify xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"/></s:Body></s:Envelope>` + strings.Repeat(" ", 16<<10)
	status, m := s.post(t, "", long, "WSMANIDENTIFY", "unauthenticated")
	if status != http.StatusInternalServerError || is(m) != wsman.TooLarge.Number {
		t.Error(status, is(m))
	}
}

// Whatever is posted, the answer is an envelope that clients understand, in time.
func FuzzRequests(f *testing.F) {
	recorded, err := os.ReadFile("testdata/pypsrp.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(recorded)) {
		if !strings.HasPrefix(line, "#") {
			f.Add(line)
		}
	}
	cl := psrp.NewClient(psrp.ClientConfig{})
	if err := cl.Open(); err != nil {
		f.Fatal(err)
	}
	for _, body := range []struct {
		action wsman.Action
		body   wsman.Body
	}{
		{wsman.Receive, &wsman.Desired{Names: []string{"stdout"}}}, {wsman.Send, &wsman.Sent{Streams: []wsman.Stream{{Name: "stdin", Data: cl.Out().Take(1000, 100)}, {Name: "pr", Data: []byte("x")}}}},
		{wsman.Command, &wsman.CommandLine{ID: someID, Arguments: cl.Out().Take(1000, 0)}}, {wsman.Signal, &wsman.Signaled{Command: someID, Code: wsman.SignalStop}},
		{wsman.Disconnect, &wsman.Leave{}}, {wsman.Reconnect, &wsman.Return{}}, {wsman.Get, nil}, {wsman.Delete, nil},
	} {
		f.Add(request(body.action, someID, body.body))
	}
	s := newStage(f, remoteserver.Limits{Poll: time.Millisecond, Run: 10 * time.Millisecond, NewSessions: 1 << 30, Memory: 1 << 20, Body: 64 << 10}, func(c *remoteserver.Config) { c.Log = slog.New(slog.DiscardHandler) })
	ask := func(t *testing.T, user, text string) *wsman.Message {
		r := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, "https://localhost/powershell-liveid/", strings.NewReader(text))
		r.SetBasicAuth(user, "secret")
		res := httptest.NewRecorder()
		s.http.Config.Handler.ServeHTTP(res, r)
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wsman.Parse(b, 1<<20)
		if err != nil || res.Code != http.StatusOK && res.Code != http.StatusInternalServerError {
			t.Fatalf("%d, %v in %q", res.Code, err, b)
		}
		if fault, ok := m.Body.(*wsman.Fault); ok != (res.Code == http.StatusInternalServerError) || ok && (fault.Of(wsman.Internal) || fault.Number == 0) {
			t.Errorf("%d %v", res.Code, fault)
		}
		return m
	}
	get := request(wsman.Get, someID, nil)
	f.Fuzz(func(t *testing.T, text string) {
		ask(t, "alice@contoso.com", create(t, someID, ""))
		ask(t, "mallory@contoso.com", text)
		if sh, ok := ask(t, "alice@contoso.com", get).Body.(*wsman.Shell); !ok || sh.State != "Connected" {
			t.Error("the session of somebody else was touched")
		}
		ask(t, "alice@contoso.com", text)
		s.advance(24 * time.Hour)
		s.Sweep()
		if s.Sessions() != 0 {
			t.Error("a session is left")
		}
		select {
		case <-s.running: // Get-Slow has no reader here
		default:
		}
		s.mu.Lock()
		s.events = nil
		s.mu.Unlock()
	})
}
