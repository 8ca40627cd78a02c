// Package remoteserver is remote PowerShell: PowerShell's remoting protocol over
// WS-Management over HTTPS, as New-PSSession -ConnectionUri
// https://…/powershell-liveid/ speaks it (MS-WSMV, MS-PSRP).
//
// A session knows no language. A pipeline is names of commands with values; text
// of scripts is refused. What a session offers and what it runs is decided in
// one place, runspace.offered, by the roles that the account has at that moment.
//
//   - server.go: requests, sign-in, the sessions and their limits
//   - shell.go: one session: streams, long polls, its end
//   - runspace.go: how pipelines run
//   - commands.go: the commands that every session has
//   - record.go: what the audit keeps of a pipeline
//   - metrics.go: what is counted
package remoteserver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/audit"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/wsman"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
)

// An Authenticator says who sent a request. The caller of a realm's account has
// no organization.
type Authenticator interface {
	Authenticate(r *http.Request) (*callers.Caller, error)
	Challenge(w http.ResponseWriter, r *http.Request, err error)
}

// ErrForbidden says that the caller may have no session.
var ErrForbidden = errors.New("no session is open to this account")

// A Request is for a session.
type Request struct {
	ID            string // of the session
	Host          string // that it was sent to, without port
	Configuration string // Microsoft.Exchange
	Caller        *callers.Caller
}

// A Runspace is what a session runs its commands in.
type Runspace struct {
	// Config makes the commands and what they need, when the first pipeline comes.
	// Commands of the language are not part of it.
	Config func() (interp.Config, error)
	// Permits says whether the account may run a command now.
	Permits func(ctx context.Context, command string) (bool, error)
}

// Runspaces opens runspaces. A caller who may have none is ErrForbidden, a
// configuration that is not offered errors.ErrUnsupported.
type Runspaces func(context.Context, Request) (*Runspace, error)

// Limits bound what clients can use up. A zero field has its default.
type Limits struct {
	Sessions     int           // of one account; 5
	AllSessions  int           // of all; 256
	NewSessions  int           // that one account may open within 5 minutes; 60
	Commands     int           // of one session whose results were not fetched; 8
	Memory       int           // bytes of input and results that one session may keep; 16 MiB
	Body         int           // bytes of a request; 1 MiB
	Envelope     int           // bytes of an answer; 512,000
	Poll         time.Duration // that a request waits for results; 60 s
	Idle         time.Duration // without a request, after which a session that named no time ends; 15 min
	MaxIdle      time.Duration // the longest that a session may name; 12 h
	Lifetime     time.Duration // of a session, used or not; 12 h
	Run          time.Duration // of one pipeline; 10 min
	HostCallWait time.Duration // for the answer of a person; 2 min
}

// OrDefaults is l with its zero fields filled.
func (l Limits) OrDefaults() Limits {
	return Limits{
		Sessions: cmp.Or(l.Sessions, 5), AllSessions: cmp.Or(l.AllSessions, 256), NewSessions: cmp.Or(l.NewSessions, 60), Commands: cmp.Or(l.Commands, 8), Memory: cmp.Or(l.Memory, 16<<20),
		Body: cmp.Or(l.Body, 1<<20), Envelope: cmp.Or(l.Envelope, 512000), Poll: cmp.Or(l.Poll, time.Minute), Idle: cmp.Or(l.Idle, 15*time.Minute),
		MaxIdle: cmp.Or(l.MaxIdle, 12*time.Hour), Lifetime: cmp.Or(l.Lifetime, 12*time.Hour), Run: cmp.Or(l.Run, 10*time.Minute), HostCallWait: cmp.Or(l.HostCallWait, 2*time.Minute),
	}
}

// idle is the time-out that a client gets who asks for d.
func (l Limits) idle(d time.Duration) time.Duration { return min(max(d, minIdle), l.MaxIdle) }

// minIdle is the shortest idle time-out that a client gets, minEnvelope the
// smallest answer that it must take. maxIdentify is what is read of a request whose
// sender nobody knows. rateWindow is what Limits.NewSessions counts within.
const (
	minIdle     = time.Minute
	minEnvelope = 8 << 10
	maxIdentify = 16 << 10
	rateWindow  = 5 * time.Minute
)

// Config is what New needs.
type Config struct {
	Auth      Authenticator    // required
	Runspaces Runspaces        // required
	Audit     audit.Recorder   // required; keeps one event for each pipeline
	Now       func() time.Time // required
	Log       *slog.Logger     // required
	Metrics   *Metrics         // nil: not counted
	Limits    Limits
}

// A Server answers the routes of this package. Close it.
type Server struct {
	cfg Config
	wg  sync.WaitGroup // pipelines

	mu     sync.Mutex // guards the fields below; taken before a shell's
	shells map[string]*shell
	rates  map[string]time.Time // by owner: until when the sessions that it opened fill its rate
	closed bool
}

// New checks the configuration.
func New(cfg Config) (*Server, error) {
	if cfg.Auth == nil || cfg.Runspaces == nil || cfg.Audit == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("remoteserver: Auth, Runspaces, Audit, Now and Log are required")
	}
	cfg.Limits = cfg.Limits.OrDefaults()
	return &Server{cfg: cfg, shells: map[string]*shell{}, rates: map[string]time.Time{}}, nil
}

// Routes are the routes of the server. /wsman is where New-PSSession -ComputerName goes.
func (s *Server) Routes() []mount.Route {
	var list []mount.Route
	for _, path := range []string{"/powershell", "/powershell-liveid", "/wsman"} {
		for _, end := range []string{"", "/{$}"} {
			list = append(list, mount.Route{Pattern: "POST " + path + end, Handler: s.serve, Name: "powershell", Waits: true})
		}
	}
	return list
}

// Run ends sessions that nobody uses, until ctx ends. Then it ends them all.
func (s *Server) Run(ctx context.Context) {
	t := time.NewTicker(minIdle / 2)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			s.Close()
			return
		case <-t.C:
			s.sweep()
		}
	}
}

// Close ends all sessions and waits for their pipelines. No more are opened.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	all := s.shells
	s.shells = map[string]*shell{}
	s.mu.Unlock()
	for _, sh := range all {
		sh.close(endedServer)
	}
	s.wg.Wait()
}

// sweep ends the sessions whose time is over.
func (s *Server) sweep() {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endOld(now)
	for owner, full := range s.rates {
		if !now.Before(full) {
			delete(s.rates, owner)
		}
	}
}

// endOld ends the sessions whose time is over. mu is held.
func (s *Server) endOld(now time.Time) {
	for id, sh := range s.shells {
		if why := sh.over(now); why != "" {
			delete(s.shells, id)
			sh.close(why)
		}
	}
}

// remove ends a session.
func (s *Server) remove(sh *shell, why string) {
	s.mu.Lock()
	if s.shells[sh.id] == sh {
		delete(s.shells, sh.id)
	}
	s.mu.Unlock()
	sh.close(why)
}

// Sessions is how many sessions are open.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.shells)
}

const contentType = "application/soap+xml;charset=UTF-8"

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	if strings.EqualFold(r.Header.Get("WSMANIDENTIFY"), "unauthenticated") {
		return s.identify(w, r)
	}
	caller, err := s.cfg.Auth.Authenticate(r)
	if err != nil {
		s.cfg.Auth.Challenge(w, r, err)
		return nil
	}
	if caller.Account == nil {
		return s.write(w, &wsman.Message{}, wsman.AccessDenied.Fault("Partner organizations have no sessions."))
	}
	mount.AddAttrs(r.Context(), slog.String(mount.KeyOrg, caller.Account.Owner()), slog.String(mount.KeyCaller, caller.Account.UserName))
	m, bad := s.read(r, s.cfg.Limits.Body)
	if bad != nil {
		return s.write(w, m, bad)
	}
	mount.AddAttrs(r.Context(), slog.String("action", string(m.Action)[strings.LastIndexByte(string(m.Action), '/')+1:]))
	if m.Action == wsman.Receive {
		return s.receive(w, r, caller, m)
	}
	body, bad := s.answer(r, caller, m)
	if bad != nil {
		body = bad
	}
	return s.write(w, m, body)
}

// identify answers who asks what is here. It says nothing that helps to attack.
func (s *Server) identify(w http.ResponseWriter, r *http.Request) error {
	m, bad := s.read(r, maxIdentify)
	switch {
	case bad != nil:
		return s.write(w, m, bad)
	case m.Action != wsman.Identify:
		return s.write(w, m, wsman.AccessDenied.Fault(""))
	}
	return s.write(w, m, &wsman.Identity{Vendor: "busybridge", Version: "OS: 0.0.0 SP: 0.0 Stack: 3.0"})
}

// read reads the envelope of a request of at most limit bytes. The message is
// never nil.
func (s *Server) read(r *http.Request, limit int) (*wsman.Message, *wsman.Fault) {
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(r.Body, int64(limit)+1)); err != nil {
		return &wsman.Message{}, wsman.Invalid.Fault("The request did not arrive whole.")
	}
	m, err := wsman.Parse(b.Bytes(), limit)
	if m == nil {
		m = &wsman.Message{}
	}
	if err == nil {
		return m, nil
	}
	if f, ok := errors.AsType[*wsman.Fault](err); ok {
		return m, f
	}
	return m, wsman.Invalid.Fault(err.Error())
}

// write writes an answer to m. Faults are 500, as WS-Management wants it.
func (s *Server) write(w http.ResponseWriter, m *wsman.Message, body wsman.Body) error {
	status := http.StatusOK
	if f, ok := body.(*wsman.Fault); ok {
		status = http.StatusInternalServerError
		f.Machine = cmp.Or(f.Machine, "localhost")
	}
	b := m.Reply(newID(), body).Append(nil)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, err := w.Write(b)
	return err
}

func newID() string { return "uuid:" + strings.ToUpper(uuid.NewString()) }

// answer does what a request asks for that does not wait for results.
func (s *Server) answer(r *http.Request, caller *callers.Caller, m *wsman.Message) (wsman.Body, *wsman.Fault) {
	if m.Action == wsman.Create {
		return s.create(r, caller, m)
	}
	if m.Action == wsman.Identify {
		return &wsman.Identity{Vendor: "busybridge", Version: "OS: 0.0.0 SP: 0.0 Stack: 3.0"}, nil
	}
	sh, bad := s.find(caller, m)
	if bad != nil {
		return nil, bad
	}
	defer sh.leave()
	switch b := m.Body.(type) {
	case *wsman.CommandLine:
		return sh.command(r, b)
	case *wsman.Sent:
		return sh.send(b)
	case *wsman.Signaled:
		return sh.signal(b)
	case *wsman.Leave:
		return nil, sh.disconnect(b)
	case *wsman.Return:
		return nil, sh.reconnect(m.Session, b)
	}
	switch m.Action {
	case wsman.Get:
		return sh.describe(s.cfg.Now()), nil
	case wsman.Delete:
		s.remove(sh, endedByClient)
		return nil, nil
	}
	return nil, wsman.UnknownAction.Fault("")
}

// find is the session that a request is for, which is in use until leave. One of
// somebody else looks like one that is not there.
func (s *Server) find(caller *callers.Caller, m *wsman.Message) (*shell, *wsman.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shells[strings.ToUpper(m.ShellID)]
	if sh == nil || sh.owner != ownerOf(caller) {
		return nil, wsman.UnknownShell.Fault("")
	}
	if bad := sh.enter(s.cfg.Now(), m.Action); bad != nil {
		return nil, bad
	}
	return sh, nil
}

// ownerOf is whom a session belongs to.
func ownerOf(c *callers.Caller) string { return c.Account.Owner() + " " + c.Account.UserName }

// create opens a session.
func (s *Server) create(r *http.Request, caller *callers.Caller, m *wsman.Message) (wsman.Body, *wsman.Fault) {
	want, ok := m.Body.(*wsman.Shell)
	configuration, known := strings.CutPrefix(m.Resource, wsman.ResourcePowerShell)
	switch {
	case !ok:
		return nil, wsman.Invalid.Fault("")
	case !known:
		return nil, wsman.UnknownResource.Fault("")
	}
	id := strings.ToUpper(want.ID)
	if id == "" {
		id = strings.ToUpper(uuid.NewString())
	} else if _, err := uuid.Parse(id); err != nil {
		return nil, wsman.Invalid.Fault("ShellId is no GUID.")
	}
	if bad := s.pace(ownerOf(caller)); bad != nil {
		return nil, bad
	}
	host := callers.HostOf(r)
	rs, err := s.cfg.Runspaces(r.Context(), Request{ID: id, Host: host, Configuration: configuration, Caller: caller})
	switch {
	case errors.Is(err, ErrForbidden):
		s.cfg.Metrics.refuse(refusedForbidden)
		return nil, wsman.AccessDenied.Fault("")
	case errors.Is(err, errors.ErrUnsupported):
		return nil, wsman.UnknownResource.Fault("")
	case err != nil:
		s.cfg.Log.ErrorContext(r.Context(), "session cannot be opened", "session", id, "err", err)
		return nil, wsman.Internal.Fault("")
	}
	sh := newShell(s, r, caller, m, want, id, rs)
	if bad := s.register(sh); bad != nil {
		sh.cancel()
		return nil, bad
	}
	defer sh.leave()
	if bad := sh.feed(want.Creation); bad != nil {
		s.remove(sh, endedBroken)
		return nil, bad
	}
	s.cfg.Log.InfoContext(r.Context(), "session is open", "session", id, "caller", sh.user, "configuration", configuration)
	return &wsman.Created{Address: m.To, Shell: *sh.describe(s.cfg.Now())}, nil
}

// pace holds back an account that opens sessions faster than Limits.NewSessions
// allows. What was refused does not count.
func (s *Server) pace(owner string) *wsman.Fault {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.rates[owner]
	if full.Before(now) {
		full = now
	}
	full = full.Add(rateWindow / time.Duration(s.cfg.Limits.NewSessions))
	if wait := full.Sub(now) - rateWindow; wait > 0 {
		s.cfg.Metrics.refuse(refusedRate)
		seconds := int((wait + time.Second - 1) / time.Second) // as Exchange says it
		return wsman.Quota.Fault(fmt.Sprintf("Fail to create runspace because you have exceeded your budget to create runspace. Please wait for %d seconds.", seconds))
	}
	s.rates[owner] = full
	return nil
}

// register takes a session in, if there is room.
func (s *Server) register(sh *shell) *wsman.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endOld(sh.created)
	own := 0
	for _, o := range s.shells {
		if o.owner == sh.owner {
			own++
		}
	}
	switch {
	case s.closed:
		return wsman.Aborted.Fault("The server is going down.")
	case s.shells[sh.id] != nil:
		return wsman.Invalid.Fault("ShellId is in use.")
	case own >= s.cfg.Limits.Sessions:
		s.cfg.Metrics.refuse(refusedAccount)
		return wsman.Quota.Fault(fmt.Sprintf("The limit is %d.", s.cfg.Limits.Sessions))
	case len(s.shells) >= s.cfg.Limits.AllSessions:
		s.cfg.Metrics.refuse(refusedServer)
		return wsman.Quota.Fault("The server has as many as it may.")
	}
	s.shells[sh.id] = sh
	s.cfg.Metrics.open()
	return nil
}

// receive waits for results. What was written is forgotten only afterwards: a
// client whose connection broke comes again.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, caller *callers.Caller, m *wsman.Message) error {
	sh, bad := s.find(caller, m)
	if bad != nil {
		return s.write(w, m, bad)
	}
	defer sh.leave()
	want, ok := m.Body.(*wsman.Desired)
	if !ok {
		return s.write(w, m, wsman.Invalid.Fault(""))
	}
	wait := min(cmp.Or(m.Timeout, s.cfg.Limits.Poll), s.cfg.Limits.Poll)
	ctx, cancel := context.WithTimeout(r.Context(), wait-min(time.Second, wait/4))
	defer cancel()
	return sh.receive(ctx, m, want, func(body wsman.Body) error {
		if r.Context().Err() != nil {
			return r.Context().Err()
		}
		err := s.write(w, m, body)
		if err == nil {
			err = http.NewResponseController(w).Flush()
		}
		return err
	})
}
