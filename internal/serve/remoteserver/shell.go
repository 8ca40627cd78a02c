package remoteserver

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/ps/psrp"
	"busybridge/internal/ps/wsman"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
)

// A shell is one session: a pool with one runspace.
type shell struct {
	server          *Server
	id, owner, user string
	name, resource  string
	org             string // or realm
	client, address string // the client's program, and where it is
	created         time.Time
	session         string // p:SessionId of its client
	compressed      bool
	runspace        runspace
	ctx             context.Context // of the pipelines; ends with the session
	cancel          context.CancelFunc
	turn            chan struct{} // holds one value while a pipeline runs: there is one runspace
	stream          stream        // of the pool

	mu       sync.Mutex // guards all below, and what hangs on them
	pool     *psrp.Server
	host     psrp.Host
	commands map[string]*command
	order    []*command    // by age
	held     int           // bytes of input
	changed  chan struct{} // closed and made anew when something happened
	keyed    bool
	replies  map[int64]chan psrp.HostReply
	using    int // requests that are under way
	seen     time.Time
	idle     time.Duration
	left     bool // the client has disconnected
	closed   bool
}

// A command is one pipeline of a session.
type command struct {
	sh      *shell
	id      string
	job     *psrp.Job
	stream  stream
	ctx     context.Context
	cancel  context.CancelFunc
	request string // id of the request that began it
	// Guarded by the shell's mu.
	input   []any
	held    int
	began   bool
	fetched bool // its end was fetched
}

// A stream of results is fetched by one request at a time; a newer one displaces
// the one that waits.
type stream struct {
	busy chan struct{} // holds one value while a request has it

	mu       sync.Mutex
	displace context.CancelFunc
}

func newStream() stream { return stream{busy: make(chan struct{}, 1)} }

// take gives the stream to a request, whose ctx ends when a newer one comes.
func (st *stream) take(ctx context.Context) (context.Context, bool) {
	ctx, cancel := context.WithCancel(ctx)
	st.mu.Lock()
	if st.displace != nil {
		st.displace()
	}
	st.displace = cancel
	st.mu.Unlock()
	select {
	case st.busy <- struct{}{}:
		return ctx, true
	case <-ctx.Done():
		cancel()
		return ctx, false
	}
}

func (st *stream) release() { <-st.busy }

func newShell(s *Server, r *http.Request, caller *callers.Caller, m *wsman.Message, want *wsman.Shell, id string, rs *Runspace) *shell {
	now := s.cfg.Now()
	idle := s.cfg.Limits.Idle
	if want.Idle > 0 {
		idle = s.cfg.Limits.idle(want.Idle)
	}
	limit := s.cfg.Limits.Memory
	sh := &shell{
		server: s, id: id, owner: ownerOf(caller), user: caller.Account.UserName, name: want.Name, resource: m.Resource, org: caller.Account.Owner(),
		client: r.UserAgent(), address: r.RemoteAddr, created: now, idle: idle, session: m.Session, compressed: m.Compressed, turn: make(chan struct{}, 1), stream: newStream(),
		pool:     psrp.NewServer(psrp.ServerConfig{MaxObject: min(psrp.MaxObject, limit), MaxInput: limit}),
		commands: map[string]*command{}, changed: make(chan struct{}), replies: map[int64]chan psrp.HostReply{}, using: 1, seen: now,
	}
	sh.runspace = runspace{sh: sh, Runspace: rs}
	sh.ctx, sh.cancel = context.WithCancel(context.WithoutCancel(r.Context()))
	return sh
}

// enter notes that a request is under way, unless the session has ended or, its
// client having disconnected, takes no such request.
func (sh *shell) enter(now time.Time, a wsman.Action) *wsman.Fault {
	if sh.over(now) != "" {
		return wsman.UnknownShell.Fault("")
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.left && a != wsman.Reconnect && a != wsman.Disconnect && a != wsman.Delete && a != wsman.Get {
		return wsman.Left.Fault("")
	}
	sh.using++
	sh.seen = now
	return nil
}

func (sh *shell) leave() {
	now := sh.server.cfg.Now()
	sh.mu.Lock()
	sh.using--
	sh.seen = now
	sh.mu.Unlock()
}

// over is why the session's time is over: nobody has used it for too long, or it
// is too old. Else it is "".
func (sh *shell) over(now time.Time) string {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch {
	case sh.using == 0 && now.Sub(sh.seen) >= sh.idle:
		return endedIdle
	case now.Sub(sh.created) >= sh.server.cfg.Limits.Lifetime:
		return endedLifetime
	}
	return ""
}

// close ends the session: its pipelines stop, requests that wait are told.
func (sh *shell) close(why string) {
	sh.cancel()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return
	}
	sh.closed = true
	sh.happened()
	sh.server.cfg.Metrics.end(why)
	sh.server.cfg.Log.Info("session has ended", "session", sh.id, "caller", sh.user, "why", why)
}

// disconnect lets the client go and come back (MS-WSMV 3.1.4.15). What runs goes
// on until it has written as much as may wait.
func (sh *shell) disconnect(b *wsman.Leave) *wsman.Fault {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if b.Idle > 0 {
		sh.idle = sh.server.cfg.Limits.idle(b.Idle)
	}
	sh.left = true
	sh.happened()
	return nil
}

// reconnect takes the client back that has disconnected, and no other one
// (MS-WSMV 3.1.4.16): what it has read of the streams nobody else knows.
func (sh *shell) reconnect(session string, b *wsman.Return) *wsman.Fault {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch {
	case session != sh.session:
		return wsman.InUse.Fault("")
	case b.Command != "" && sh.commands[strings.ToUpper(b.Command)] == nil:
		return wsman.UnknownShell.Fault("")
	}
	sh.left = false
	return nil
}

// happened wakes whoever waits. mu is held.
func (sh *shell) happened() {
	close(sh.changed)
	sh.changed = make(chan struct{})
}

// describe is what a client is told of its session.
func (sh *shell) describe(now time.Time) *wsman.Shell {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	state := "Connected"
	if sh.left {
		state = "Disconnected"
	}
	return &wsman.Shell{
		ID: sh.id, Name: sh.name, Input: "stdin pr", Output: "stdout", Idle: sh.idle, Resource: sh.resource, Owner: sh.user, ClientIP: hostOf(sh.address),
		Compressed: sh.compressed, State: state, Age: now.Sub(sh.created), Quiet: now.Sub(sh.seen),
	}
}

func hostOf(address string) string {
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		return strings.Trim(address[:i], "[]")
	}
	return address
}

// feed takes bytes of the pool's stream.
func (sh *shell) feed(data []byte) *wsman.Fault {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	events, err := sh.pool.Read(data)
	for _, e := range events {
		switch e := e.(type) {
		case psrp.Opened:
			sh.host = e.Init.Host
		case psrp.Keyed:
			sh.keyed = true
		}
	}
	sh.happened()
	if err != nil {
		return wsman.Invalid.Fault(err.Error())
	}
	return nil
}

// command begins a pipeline.
func (sh *shell) command(r *http.Request, c *wsman.CommandLine) (wsman.Body, *wsman.Fault) {
	id := strings.ToUpper(c.ID)
	if id == "" {
		id = strings.ToUpper(uuid.NewString())
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	unfetched := 0
	for _, o := range sh.order {
		if !o.fetched {
			unfetched++
		}
	}
	switch {
	case sh.closed:
		return nil, wsman.UnknownShell.Fault("")
	case sh.commands[id] != nil:
		return nil, wsman.Invalid.Fault("CommandId is in use.")
	case unfetched >= sh.server.cfg.Limits.Commands:
		sh.server.cfg.Metrics.busy()
		return nil, wsman.Busy.Fault("")
	case sh.pool.State() != psrp.PoolOpened:
		return nil, wsman.Invalid.Fault("The session is not open yet.")
	}
	if len(sh.order)-unfetched >= sh.server.cfg.Limits.Commands { // some clients never say that they are done
		sh.forget(sh.order[slices.IndexFunc(sh.order, func(o *command) bool { return o.fetched })])
	}
	cmd := &command{sh: sh, id: id, job: sh.pool.Job(), stream: newStream(), request: mount.RequestID(r.Context())}
	cmd.ctx, cmd.cancel = context.WithCancel(sh.ctx)
	sh.commands[id], sh.order = cmd, append(sh.order, cmd)
	if bad := cmd.feed(c.Arguments); bad != nil {
		sh.forget(cmd)
		return nil, bad
	}
	return &wsman.Started{ID: id}, nil
}

// forget drops a command. mu is held.
func (sh *shell) forget(c *command) {
	c.cancel()
	sh.held -= c.held
	delete(sh.commands, c.id)
	sh.order = slices.DeleteFunc(sh.order, func(o *command) bool { return o == c })
	sh.happened()
}

// feed takes bytes of the pipeline's stream. mu is held.
func (c *command) feed(data []byte) *wsman.Fault {
	sh := c.sh
	if sh.held+len(data) > sh.server.cfg.Limits.Memory {
		return wsman.Quota.Fault("The session holds as much input as it may.")
	}
	c.held += len(data)
	sh.held += len(data)
	sh.server.cfg.Metrics.move("in", len(data))
	events, err := c.job.Read(data)
	ready := false
	for _, e := range events {
		switch e := e.(type) {
		case psrp.Started:
			ready = c.job.Pipeline == nil || c.job.Pipeline.NoInput
		case psrp.Input:
			c.input = append(c.input, e.Value)
		case psrp.InputEnd:
			ready = true
			if c.input == nil {
				c.input = []any{}
			}
		}
	}
	sh.happened()
	if ready && !c.began && err == nil && !sh.closed {
		c.began = true
		sh.server.cfg.Metrics.begin()
		sh.server.wg.Go(c.run)
	}
	if _, broken := errors.AsType[*psrp.ProtocolError](err); err != nil && !broken {
		return wsman.Invalid.Fault(err.Error())
	}
	return nil // what breaks the protocol ends the pipeline: the client is told by its stream
}

// send takes data of streams.
func (sh *shell) send(b *wsman.Sent) (wsman.Body, *wsman.Fault) {
	for _, st := range b.Streams {
		data := st.Data
		if sh.compressed {
			var err error
			if data, err = wsman.Decompress(data, sh.server.cfg.Limits.Memory); err != nil {
				return nil, wsman.Invalid.Fault(err.Error())
			}
		}
		var bad *wsman.Fault
		switch {
		case strings.EqualFold(st.Name, "pr"):
			bad = sh.replied(data)
		case st.Command == "":
			bad = sh.feed(data)
		default:
			sh.mu.Lock()
			if c := sh.commands[strings.ToUpper(st.Command)]; c != nil {
				bad = c.feed(data)
			} else {
				bad = wsman.UnknownShell.Fault("")
			}
			sh.mu.Unlock()
		}
		if bad != nil {
			return nil, bad
		}
	}
	return wsman.SendDone, nil
}

// replied takes answers of the client's host.
func (sh *shell) replied(data []byte) *wsman.Fault {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	events, err := sh.pool.ReadReplies(data)
	for _, e := range events {
		if reply, ok := e.(psrp.HostReply); ok {
			if to := sh.replies[reply.ID]; to != nil {
				delete(sh.replies, reply.ID)
				to <- reply
			}
		}
	}
	if err != nil {
		return wsman.Invalid.Fault(err.Error())
	}
	return nil
}

// signal stops or forgets a command.
func (sh *shell) signal(b *wsman.Signaled) (wsman.Body, *wsman.Fault) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := sh.commands[strings.ToUpper(b.Command)]
	switch {
	case wsman.IsTerminate(b.Code):
		if c != nil {
			sh.forget(c)
		}
		return wsman.SignalDone, nil
	case !wsman.IsStop(b.Code):
		return nil, wsman.Invalid.Fault("The code is unknown.")
	case c == nil:
		return nil, wsman.UnknownShell.Fault("")
	}
	c.cancel()
	if !c.began { // it waits for input and has nobody to end it
		if err := c.job.Stop(); err != nil {
			return nil, wsman.Internal.Fault(err.Error())
		}
	}
	sh.happened()
	return wsman.SignalDone, nil
}

// receive waits until a stream has something, and gives it to write.
func (sh *shell) receive(ctx context.Context, m *wsman.Message, want *wsman.Desired, write func(wsman.Body) error) error {
	st := &sh.stream
	var c *command
	if want.Command != "" {
		sh.mu.Lock()
		c = sh.commands[strings.ToUpper(want.Command)]
		sh.mu.Unlock()
		if c == nil {
			return write(wsman.UnknownShell.Fault(""))
		}
		st = &c.stream
	}
	if !slices.Contains(want.Names, "stdout") {
		return write(wsman.Invalid.Fault("The stream is stdout."))
	}
	ctx, ok := st.take(ctx)
	if !ok {
		return write(wsman.TimedOut.Fault(""))
	}
	defer st.release()
	limit := min(cmp.Or(m.MaxEnvelope, 153600), sh.server.cfg.Limits.Envelope)
	if limit < minEnvelope {
		return write(wsman.TooLarge.Fault("No answer is that small."))
	}
	for {
		sh.mu.Lock()
		changed := sh.changed
		if sh.closed {
			sh.mu.Unlock()
			return write(wsman.Aborted.Fault("The session has ended."))
		}
		if sh.left {
			sh.mu.Unlock()
			return write(wsman.Displaced.Fault(""))
		}
		out := sh.pool.Out()
		if c != nil {
			out = c.job.Out()
		}
		body := sh.results(m, c, out, limit)
		if body == nil && c != nil && sh.commands[c.id] != c {
			sh.mu.Unlock()
			return write(wsman.UnknownShell.Fault(""))
		}
		sh.mu.Unlock()
		if body != nil {
			if err := write(body); err != nil {
				return err
			}
			sh.mu.Lock()
			for _, st := range body.Streams {
				sh.server.cfg.Metrics.move("out", len(st.Data))
			}
			out.Commit()
			if c != nil && body.State == wsman.CommandDone {
				c.fetched = true
			}
			sh.happened()
			sh.mu.Unlock()
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return write(wsman.TimedOut.Fault(""))
		}
	}
}

// results are what can be sent now, nil for nothing. mu is held.
func (sh *shell) results(m *wsman.Message, c *command, out *psrp.Outbox, limit int) *wsman.Received {
	body := &wsman.Received{}
	ended := false
	if c != nil {
		body.Command, body.State = c.id, wsman.CommandRunning
		ended = c.job.State() == psrp.Completed || c.job.State() == psrp.Failed || c.job.State() == psrp.Stopped
	}
	if out.Len() == 0 && !ended {
		return nil
	}
	body.Streams = []wsman.Stream{{Name: "stdout", Command: body.Command}}
	const more = 64 // the words of the end are longer
	room := m.Reply(newID(), body).Room(limit) - more
	if sh.compressed {
		room -= 4 * (room>>16 + 1)
	}
	switch data := out.Take(room, 0); {
	case len(data) == 0:
		body.Streams = nil
	case sh.compressed:
		body.Streams[0].Data = wsman.Store(data)
	default:
		body.Streams[0].Data = data
	}
	if ended && out.Taken() {
		body.State = wsman.CommandDone
	}
	return body
}
