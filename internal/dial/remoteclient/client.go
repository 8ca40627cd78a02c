// Package remoteclient is the client of remote PowerShell: a session with a server
// that speaks WS-Management over HTTPS (MS-WSMV, MS-PSRP). The user name and the
// password go with every request, so the client over which they go has to verify
// who the server is.
package remoteclient

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/psrp"
	"busybridge/internal/ps/wsman"
)

// Ways to fail beside a *wsman.Fault and errors of the transport.
var (
	ErrAccessDenied = errors.New("access is denied")
	ErrClosed       = errors.New("the session is closed")
	ErrBusy         = errors.New("the server asks to wait after too many wrong passwords or requests")
)

// A RedirectError says that the endpoint is somewhere else. Nothing was sent there.
type RedirectError struct{ URL *url.URL }

func (e *RedirectError) Error() string { return "redirected to " + e.URL.Redacted() }

// Config is what a session needs.
type Config struct {
	HTTP           *http.Client // required; its time-out must be longer than Poll
	URL            *url.URL     // required; https
	User, Password string
	Configuration  string                                // required: Microsoft.Exchange
	Prompt         interp.Prompt                         // asks the person here for the server; nil: nobody is asked
	Show           func(text string, newline bool) error // text for the screen, with Prompt only
	Poll           time.Duration                         // that the server may wait for results; 20 s
	Idle           time.Duration                         // time-out to ask for; 0: the server's own
	Backlog        int                                   // bytes of results of one pipeline that nobody has taken yet; 64 MiB
	Patience       time.Duration                         // that the server may take to open the session, and to give its key; 3 min, as PowerShell has it
}

// Limits of one exchange.
const (
	maxEnvelope = 512000
	maxAnswer   = maxEnvelope + 64<<10
	firstRoom   = 153600 // as long as the server's limit is not known
	farewell    = 10 * time.Second
	rest        = 50 * time.Millisecond // after an answer without results: a server that gives them at once must not keep us busy
)

// A Session is an open session. Several pipelines may run at once, on goroutines of
// their own. Close it.
type Session struct {
	cfg  Config
	http http.Client
	resource,
	id string // of this session at the server
	session string
	pool    uuid.UUID

	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine that listens to the pool has ended

	sending sync.Mutex // held while a stream is sent: what waits must not go out twice; taken before mu

	mu      sync.Mutex // guards the fields below
	client  *psrp.Client
	changed chan struct{} // closed and made anew when the pool said something
	keyed   bool
	broken  error
}

// Open opens a session.
func Open(ctx context.Context, cfg Config) (_ *Session, err error) {
	switch {
	case cfg.HTTP == nil || cfg.URL == nil || cfg.Configuration == "":
		return nil, errors.New("remoteclient: HTTP, URL and Configuration are required")
	case cfg.URL.Scheme != "https":
		return nil, fmt.Errorf("remoteclient: %s is no https address: the password would go out unprotected", cfg.URL.Redacted())
	}
	cfg.Poll, cfg.Patience, cfg.Backlog = cmp.Or(cfg.Poll, 20*time.Second), cmp.Or(cfg.Patience, 3*time.Minute), cmp.Or(cfg.Backlog, 64<<20)
	late := fmt.Errorf("the server did not open the session within %v", cfg.Patience)
	ctx, done := context.WithTimeoutCause(ctx, cfg.Patience, late)
	defer done()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), late) {
			err = late
		}
	}()
	s := &Session{cfg: cfg, http: *cfg.HTTP, pool: uuid.New(), resource: wsman.ResourcePowerShell + cfg.Configuration, session: newID(), changed: make(chan struct{}), done: make(chan struct{})}
	s.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.client = psrp.NewClient(psrp.ClientConfig{Pool: s.pool, Host: psrp.Host{NullUI: cfg.Prompt == nil, NullRawUI: true}})
	if err := s.client.Open(); err != nil {
		return nil, err
	}
	shell := &wsman.Shell{ID: upper(s.pool), Input: "stdin pr", Output: "stdout", Idle: cfg.Idle}
	m := &wsman.Message{Action: wsman.Create, Options: []wsman.Option{{Name: wsman.OptionProtocol, Value: "2.3", MustComply: true}}, Body: shell}
	s.frame(m)
	shell.Creation = s.client.Out().Take(m.Room(firstRoom), 0)
	answer, err := s.do(ctx, m)
	if err != nil {
		return nil, err
	}
	created, ok := answer.Body.(*wsman.Created)
	if !ok || created.ID == "" {
		return nil, errors.New("remoteclient: the server did not say which session it has opened")
	}
	s.id = created.ID
	s.client.Out().Commit()
	listen, cancel := context.WithCancel(context.WithoutCancel(ctx)) // until Close
	s.cancel = cancel
	go s.listen(listen)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.flush(ctx, s.client.Out(), "stdin", ""); err != nil {
		return nil, err
	}
	return s, s.await(ctx, func() bool { return s.client.State() == psrp.PoolOpened })
}

func newID() string            { return "uuid:" + upper(uuid.New()) }
func upper(u uuid.UUID) string { return strings.ToUpper(u.String()) }

// ID is the pool's GUID.
func (s *Session) ID() string { return s.pool.String() }

// Close ends the session there and here.
func (s *Session) Close() error {
	s.mu.Lock()
	broken := s.broken
	s.broken = cmp.Or(s.broken, ErrClosed)
	s.mu.Unlock()
	s.cancel()
	<-s.done
	if errors.Is(broken, ErrClosed) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	_, err := s.do(ctx, &wsman.Message{Action: wsman.Delete})
	if f, ok := errors.AsType[*wsman.Fault](err); broken != nil || ok && f.Of(wsman.UnknownShell) {
		return nil // it was gone already
	}
	return err
}

// frame gives a request what all have.
func (s *Session) frame(m *wsman.Message) {
	m.To, m.ID, m.Resource, m.ShellID = s.cfg.URL.String(), newID(), s.resource, s.id
	m.MaxEnvelope, m.Timeout, m.Locale, m.DataLocale, m.Session = maxEnvelope, s.cfg.Poll, "en-US", "en-US", s.session
}

// do sends a request. A fault is an error.
func (s *Session) do(ctx context.Context, m *wsman.Message) (*wsman.Message, error) {
	s.frame(m)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL.String(), bytes.NewReader(m.Append(nil)))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/soap+xml;charset=UTF-8")
	r.SetBasicAuth(s.cfg.User, s.cfg.Password)
	res, err := s.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK, http.StatusInternalServerError:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, ErrAccessDenied
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return nil, ErrBusy
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		to, err := res.Location()
		if err != nil {
			return nil, err
		}
		return nil, &RedirectError{to}
	default:
		return nil, fmt.Errorf("the server answered %s: there may be no remote PowerShell at this address", res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	answer, err := wsman.Parse(b, maxAnswer)
	if err != nil {
		if res.StatusCode == http.StatusInternalServerError {
			return nil, fmt.Errorf("the server answered %s without saying why", res.Status)
		}
		return nil, err
	}
	if f, ok := answer.Body.(*wsman.Fault); ok {
		if f.Of(wsman.AccessDenied) {
			return nil, fmt.Errorf("%w: %w", ErrAccessDenied, f)
		}
		return nil, f
	}
	if answer.RelatesTo != m.ID {
		return nil, errors.New("remoteclient: the answer belongs to another request")
	}
	return answer, nil
}

// flush sends what waits in o.
func (s *Session) flush(ctx context.Context, o *psrp.Outbox, stream, command string) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	for {
		body := &wsman.Sent{Streams: []wsman.Stream{{Name: stream, Command: command}}}
		m := &wsman.Message{Action: wsman.Send, Body: body}
		s.frame(m)
		s.mu.Lock()
		data := o.Take(m.Room(firstRoom), 0)
		s.mu.Unlock()
		if len(data) == 0 {
			return nil
		}
		body.Streams[0].Data = data
		if _, err := s.do(ctx, m); err != nil {
			return err
		}
		s.mu.Lock()
		o.Commit()
		s.mu.Unlock()
	}
}

// fetch asks once for results of the pool or of a command. Without any it
// returns nil, after a rest.
func (s *Session) fetch(ctx context.Context, command string) (*wsman.Received, error) {
	answer, err := s.do(ctx, &wsman.Message{Action: wsman.Receive, Options: []wsman.Option{{Name: wsman.OptionKeepAlive, Value: "TRUE"}},
		Body: &wsman.Desired{Names: []string{"stdout"}, Command: command}})
	f, ok := errors.AsType[*wsman.Fault](err)
	if err != nil && (!ok || !f.Of(wsman.TimedOut)) {
		return nil, err
	}
	if err == nil {
		r, ok := answer.Body.(*wsman.Received)
		if !ok {
			return nil, errors.New("remoteclient: the answer holds no results")
		}
		if len(r.Streams) > 0 || r.State == wsman.CommandDone {
			return r, nil
		}
	}
	select {
	case <-time.After(rest):
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listen follows the pool until ctx ends. That a request waits there tells the
// server that its client is there.
func (s *Session) listen(ctx context.Context) {
	defer close(s.done)
	for {
		r, err := s.fetch(ctx, "")
		s.mu.Lock()
		if err == nil && r != nil {
			for _, st := range r.Streams {
				var events []psrp.Event
				if events, err = s.client.Read(st.Data); err != nil {
					break
				}
				for _, e := range events {
					switch e := e.(type) {
					case psrp.Keyed:
						s.keyed = true
					case psrp.Ended:
						err = ErrClosed
						if e.Err != nil {
							err = e.Err
						}
					}
				}
			}
		}
		if err != nil {
			s.broken = cmp.Or(s.broken, err)
		}
		close(s.changed)
		s.changed = make(chan struct{})
		waiting := s.client.Out().Len() > 0
		s.mu.Unlock()
		if err != nil || ctx.Err() != nil {
			return
		}
		if waiting { // the server asked for a key
			if err := s.flush(ctx, s.client.Out(), "stdin", ""); err != nil {
				return
			}
		}
	}
}

// await waits for something of the pool. ready is called with mu held.
func (s *Session) await(ctx context.Context, ready func() bool) error {
	for {
		s.mu.Lock()
		ok, err, changed := ready(), s.broken, s.changed
		s.mu.Unlock()
		switch {
		case ok:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Commands asks which commands there are.
func (s *Session) Commands(ctx context.Context, q psrp.Query) ([]psrp.CommandInfo, error) {
	id := uuid.New()
	s.mu.Lock()
	run, err := s.client.Ask(id, q)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var list []psrp.CommandInfo
	err = s.follow(ctx, id, run, nil, "", func(e psrp.Event) error {
		if o, ok := e.(psrp.Output); ok {
			if c, ok := psrp.ParseCommandInfo(o.Value); ok {
				list = append(list, c)
			}
		}
		return nil
	})
	return list, err
}

// Run runs a pipeline with its input until it ends or ctx does, and gives each
// event to handle, whose error ends it and is returned. An error that ended the
// pipeline there is an *object.ErrorRecord.
func (s *Session) Run(ctx context.Context, p *psrp.Pipeline, input []any, handle func(psrp.Event) error) error {
	id := uuid.New()
	s.mu.Lock()
	run, err := s.client.Start(id, p)
	s.mu.Unlock()
	if errors.Is(err, clixml.ErrNoKey) {
		if err = s.exchangeKey(ctx); err == nil {
			s.mu.Lock()
			run, err = s.client.Start(id, p)
			s.mu.Unlock()
		}
	}
	if err != nil {
		return err
	}
	var names []string
	for _, st := range p.Statements {
		for _, c := range st {
			names = append(names, c.Name)
		}
	}
	text := strings.Join(names, " | ")
	return s.follow(ctx, id, run, input, text[:min(len(text), 256)], handle)
}

func (s *Session) exchangeKey(ctx context.Context) error {
	late := fmt.Errorf("the server gave no key for secrets within %v", s.cfg.Patience)
	ctx, done := context.WithTimeoutCause(ctx, s.cfg.Patience, late)
	defer done()
	s.mu.Lock()
	err := s.client.ExchangeKey()
	s.mu.Unlock()
	if err == nil {
		err = s.flush(ctx, s.client.Out(), "stdin", "")
	}
	if err == nil {
		err = s.await(ctx, func() bool { return s.keyed })
	}
	if err != nil && errors.Is(context.Cause(ctx), late) {
		err = late
	}
	return err
}

// errDone is no error: a command has ended. A connection that was cut is io.EOF.
var errDone = errors.New("the command has ended")

// A backlog is what has come of a pipeline and nobody has taken yet. A handler may
// run another pipeline, which would wait for this one for ever if this one
// waited for its results to be taken.
type backlog struct {
	mu     sync.Mutex
	events []psrp.Event
	bytes  int
	err    error // how it ended; errDone: well
	some   chan struct{}
}

func (b *backlog) put(events []psrp.Event, bytes int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events, b.bytes, b.err = append(b.events, events...), b.bytes+bytes, err
	select {
	case b.some <- struct{}{}:
	default:
	}
}

func (b *backlog) take() ([]psrp.Event, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events, b.bytes = nil, 0
	return events, b.err
}

func (b *backlog) waits() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

// follow starts a command, feeds it and gives its events to handle.
func (s *Session) follow(ctx context.Context, id uuid.UUID, run *psrp.Run, input []any, text string, handle func(psrp.Event) error) error {
	if err := s.await(ctx, func() bool { return s.broken == nil }); err != nil {
		return err
	}
	command := upper(id)
	line := &wsman.CommandLine{ID: command, Text: text}
	m := &wsman.Message{Action: wsman.Command, Body: line}
	s.frame(m)
	s.mu.Lock()
	line.Arguments = run.Out().Take(m.Room(firstRoom), 0)
	s.mu.Unlock()
	answer, err := s.do(ctx, m)
	if err != nil {
		if _, refused := errors.AsType[*wsman.Fault](err); !refused { // it may run there all the same
			err = cmp.Or(ctx.Err(), errors.Join(err, s.finish(ctx, command, wsman.SignalStop, wsman.SignalTerminate)))
		}
		return err
	}
	if started, ok := answer.Body.(*wsman.Started); ok && started.ID != "" {
		command = started.ID
	}
	s.mu.Lock()
	run.Out().Commit()
	s.mu.Unlock()

	back := &backlog{some: make(chan struct{}, 1)}
	reading, stop := context.WithCancel(ctx)
	var readers sync.WaitGroup
	readers.Go(func() { s.read(reading, command, run, back) })
	err = s.feed(ctx, command, run, input)
	if err == nil {
		err = s.deliver(ctx, command, run, back, handle)
	}
	stop()
	readers.Wait()
	codes := []string{wsman.SignalTerminate}
	if err != nil && run.State() == psrp.Running {
		codes = []string{wsman.SignalStop, wsman.SignalTerminate}
	}
	return cmp.Or(err, s.finish(ctx, command, codes...))
}

// finish tells the server what becomes of a command, even when ctx is over.
func (s *Session) finish(ctx context.Context, command string, codes ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	for _, code := range codes {
		_, err := s.do(ctx, &wsman.Message{Action: wsman.Signal, Body: &wsman.Signaled{Command: command, Code: code}})
		if f, ok := errors.AsType[*wsman.Fault](err); ok && f.Of(wsman.UnknownShell) {
			return nil // it never began, or the session has ended
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// feed sends what is left of the command, and its input.
func (s *Session) feed(ctx context.Context, command string, run *psrp.Run, input []any) error {
	if err := s.flush(ctx, run.Out(), "stdin", command); err != nil || input == nil {
		return err
	}
	for i := 0; ; i++ {
		s.mu.Lock()
		var err error
		if i < len(input) {
			err = run.Input(input[i])
		} else {
			err = run.EndInput()
		}
		ready := i == len(input) || run.Out().Len() >= firstRoom/2
		s.mu.Unlock()
		if errors.Is(err, psrp.ErrEnded) { // it needed no more
			return nil
		}
		if errors.Is(err, clixml.ErrNoKey) {
			if err := s.exchangeKey(ctx); err != nil {
				return err
			}
			i--
			continue
		}
		if err == nil && ready {
			err = s.flush(ctx, run.Out(), "stdin", command)
		}
		if err != nil || i == len(input) {
			return err
		}
	}
}

// read puts what comes of the command into the backlog.
func (s *Session) read(ctx context.Context, command string, run *psrp.Run, to *backlog) {
	for {
		if to.waits() > s.cfg.Backlog {
			to.put(nil, 0, errors.New("remoteclient: the pipeline wrote more than can be kept"))
			return
		}
		r, err := s.fetch(ctx, command)
		if err == nil && r == nil {
			continue
		}
		var events []psrp.Event
		bytes := 0
		if err == nil {
			s.mu.Lock()
			for _, st := range r.Streams {
				if err != nil {
					break
				}
				var more []psrp.Event
				more, err = run.Read(st.Data)
				events, bytes = append(events, more...), bytes+len(st.Data)
			}
			s.mu.Unlock()
			if err == nil && r.State == wsman.CommandDone {
				err = errDone
			}
		}
		to.put(events, bytes, err)
		if err != nil {
			return
		}
	}
}

// deliver gives the events to handle until the pipeline has ended.
func (s *Session) deliver(ctx context.Context, command string, run *psrp.Run, from *backlog, handle func(psrp.Event) error) error {
	for {
		events, ended := from.take()
		for _, e := range events {
			switch e := e.(type) {
			case psrp.Finished:
				if e.State == psrp.Completed {
					return nil
				}
				if e.Record == nil {
					return object.NewError("PipelineStopped", object.OperationStopped, object.TPipelineStopped, "The pipeline has been stopped.")
				}
				return e.Record
			case psrp.HostCall:
				if err := s.called(ctx, run, e); err != nil {
					return err
				}
			default:
				if err := handle(e); err != nil {
					return err
				}
			}
		}
		if len(events) > 0 {
			continue
		}
		switch {
		case errors.Is(ended, errDone):
			return errors.New("remoteclient: the command has ended, the pipeline has not")
		case ended != nil && ctx.Err() == nil:
			return ended
		}
		select {
		case <-from.some:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// called does what the server asks the host here to do.
func (s *Session) called(ctx context.Context, run *psrp.Run, c psrp.HostCall) error {
	arg := func(i int) string {
		if i < len(c.Arguments) {
			return object.String(c.Arguments[i])
		}
		return ""
	}
	if c.Method.Void() {
		switch c.Method {
		case psrp.Write, psrp.WriteLine, psrp.WriteErrorLine:
			if s.cfg.Show != nil {
				return s.cfg.Show(arg(0), c.Method != psrp.Write)
			}
		}
		return nil
	}
	reply := psrp.HostReply{ID: c.ID, Method: c.Method}
	var err error
	switch {
	case s.cfg.Prompt == nil:
		err = errors.New("nobody can be asked here")
	case c.Method == psrp.PromptForChoice:
		reply.Value, err = s.choose(ctx, arg(0), arg(1), c)
	case c.Method == psrp.ReadLine:
		reply.Value, err = s.cfg.Prompt.Line(ctx, "")
	case c.Method == psrp.ReadLineSecure:
		var text string
		if text, err = s.cfg.Prompt.Secret(ctx, ""); err == nil {
			reply.Value = object.NewSecureString(text)
			err = s.exchangeKey(ctx)
		}
	default:
		err = fmt.Errorf("the host has no %v", c.Method)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		reply.Value, reply.Err = nil, object.NewError("HostFunctionNotImplemented", object.NotImplemented, object.TPSInvalidOperation, "%v", err)
	}
	s.mu.Lock()
	out, err := run.Reply(reply)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.flush(ctx, out, "pr", "")
}

func (s *Session) choose(ctx context.Context, caption, message string, c psrp.HostCall) (any, error) {
	if len(c.Arguments) < 4 {
		return nil, errors.New("the question has no choices")
	}
	var labels []string
	choices, _ := object.Items(c.Arguments[2])
	for _, ch := range choices {
		label, _ := object.Get(ch, "label")
		labels = append(labels, object.String(label))
	}
	def, err := object.Convert(c.Arguments[3], object.TInt)
	if err != nil {
		return nil, err
	}
	n, err := s.cfg.Prompt.Choice(ctx, caption, message, labels, int(def.(int32)))
	return int32(n), err
}
