package psrp

import (
	"fmt"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/object"
)

// ServerConfig says what a server tells its clients.
type ServerConfig struct {
	PSVersion object.Version // of $PSVersionTable; zero: 5.1.17763.1
	MaxObject int            // bytes of one message, 0: MaxObject
	MaxInput  int            // bytes that one pipeline takes, 0: MaxInput
}

// A Server is the server's side of a runspace pool. The pool has one runspace.
type Server struct {
	end
	cfg         ServerConfig
	in, replies inbox
	state       PoolState
	client      Capability
	jobs        map[ID]*Job // that have begun and not ended
}

// Events of a server.
type (
	// Opened says that the pool is open.
	Opened struct {
		Capability Capability // of the other side
		Init       *Init      // of a client; nil from a server
		Private    any        // of a server: its APPLICATION_PRIVATE_DATA
	}
	// Keyed says that secrets can cross.
	Keyed struct{}
	// Reset asks to forget the variables of the runspace.
	Reset struct{}
	// Started asks to run a pipeline: Job.Pipeline, or to answer Job.Query.
	Started struct{}
	// Input is an object for the pipeline.
	Input struct{ Value any }
	// InputEnd says that there is no more input.
	InputEnd struct{}
)

// An Event is what happened on a stream: one of the types of this package that say so.
type Event any

// NewServer makes a pool that waits for its client.
func NewServer(cfg ServerConfig) *Server {
	if cfg.PSVersion == (object.Version{}) {
		cfg.PSVersion = object.Version{Major: 5, Minor: 1, Build: 17763, Revision: 1}
	}
	if cfg.MaxObject == 0 {
		cfg.MaxObject = MaxObject
	}
	if cfg.MaxInput == 0 {
		cfg.MaxInput = MaxInput
	}
	s := &Server{cfg: cfg, jobs: map[ID]*Job{}}
	s.server, s.maxObject = true, cfg.MaxObject
	s.in.maxObject, s.replies.maxObject = cfg.MaxObject, cfg.MaxObject
	s.out = s.outbox()
	return s
}

// Out is the pool's stream to the client.
func (s *Server) Out() *Outbox { return &s.out }

// State is the state of the pool.
func (s *Server) State() PoolState { return s.state }

// Read takes bytes of the pool's stream from the client. After an error the pool is broken.
func (s *Server) Read(b []byte) (events []Event, err error) {
	err = s.receive(&s.in, b, func(m Message, v any) error {
		e, err := s.handle(m, v)
		if e != nil {
			events = append(events, e)
		}
		return err
	})
	return events, s.broke(err)
}

// ReadReplies takes bytes of the stream on which the host of the client answers, of the pool or of one of its pipelines.
func (s *Server) ReadReplies(b []byte) (events []Event, err error) {
	err = s.receive(&s.replies, b, func(m Message, v any) error {
		if m.Type != PoolHostResponse && m.Type != PipelineHostResponse || m.Pool != s.pool {
			return broken(m.Type, "it is no answer of this pool's host")
		}
		events = append(events, parseHostReply(v))
		return nil
	})
	return events, s.broke(err)
}

func (s *Server) broke(err error) error {
	if err == nil || s.state == PoolBroken {
		return err
	}
	was := s.state
	s.state = PoolBroken
	if was == PoolClosed {
		return err
	}
	r := object.NewError("RemotingProtocolError", object.SecurityError, object.TRemotingTransport, "%v", err)
	if e := s.send(&s.out, RunspacePoolState, ID{}, stateOf("RunspaceState", int32(PoolBroken), r)); e != nil {
		return fmt.Errorf("%w; %w", err, e)
	}
	return err
}

func (s *Server) handle(m Message, v any) (Event, error) {
	if m.Pipeline != (ID{}) {
		return nil, broken(m.Type, "it came by the stream of the pool and names a pipeline")
	}
	switch {
	case s.state == PoolBeforeOpen && m.Type == SessionCapability:
		s.pool, s.state = m.Pool, PoolOpening
		var err error
		s.client, err = parseCapability(v)
		return nil, err
	case m.Pool != s.pool:
		return nil, broken(m.Type, "it is for another pool")
	case s.state == PoolOpening && m.Type == InitRunspacePool:
		return s.open(v)
	case s.state != PoolOpened:
		return nil, broken(m.Type, "it does not come in its turn")
	}
	f := fieldsOf(v)
	switch m.Type {
	case PublicKey:
		key, text, err := makeSession(f.text("PublicKey"))
		if err != nil {
			return nil, &ProtocolError{m.Type, err}
		}
		s.cipher = key
		return Keyed{}, s.send(&s.out, EncryptedSessionKey, ID{}, new(clixml.Bag).Add("EncryptedSessionKey", text))
	case GetAvailableRunspaces:
		return nil, s.available(f, int64(max(0, 1-len(s.jobs))))
	case SetMaxRunspaces:
		return nil, s.available(f, f.number("MaxRunspaces", 0) == 1)
	case SetMinRunspaces:
		return nil, s.available(f, f.number("MinRunspaces", 0) == 1)
	case ResetRunspaceState:
		return Reset{}, s.available(f, true)
	case ConnectRunspacePool:
		return nil, broken(m.Type, "a pool that was left cannot be joined")
	}
	return nil, broken(m.Type, "it does not belong to the stream of the pool")
}

func (s *Server) available(f fields, answer any) error {
	return s.send(&s.out, RunspaceAvailability, ID{}, new(clixml.Bag).Add("SetMinMaxRunspacesResponse", answer).Add("ci", f.number("ci", 0)))
}

func (s *Server) open(v any) (Event, error) {
	init, err := parseInit(v)
	if err != nil {
		return nil, err
	}
	s.state = PoolOpened
	version := agreed(s.client.Protocol)
	table := primitiveDictionary()
	table.Set("PSVersion", s.cfg.PSVersion)
	table.Set("PSEdition", "Desktop")
	table.Set("WSManStackVersion", object.Version{Major: 3, Build: -1, Revision: -1})
	table.Set("PSRemotingProtocolVersion", version)
	table.Set("SerializationVersion", serialization)
	private := primitiveDictionary()
	private.Set("PSVersionTable", table)
	for _, m := range []struct {
		t Type
		v any
	}{
		{SessionCapability, Capability{version, shellVersion, serialization}.bag()},
		{ApplicationPrivateData, new(clixml.Bag).Add("ApplicationPrivateData", private)},
		{RunspacePoolState, stateOf("RunspaceState", int32(PoolOpened), nil)},
	} {
		if err := s.send(&s.out, m.t, ID{}, m.v); err != nil {
			return nil, err
		}
	}
	return Opened{Capability: s.client, Init: init}, nil
}

// RequestKey asks the client for its public key: Keyed says when secrets can cross.
func (s *Server) RequestKey() error {
	if s.state != PoolOpened {
		return ErrEnded
	}
	return s.send(&s.out, PublicKeyRequest, ID{}, "")
}

// Close ends the pool. Its pipelines end as stopped.
func (s *Server) Close() error {
	if s.state == PoolClosed {
		return nil
	}
	for _, j := range s.jobs {
		if err := j.Stop(); err != nil {
			return err
		}
	}
	was := s.state
	s.state = PoolClosed
	if was != PoolOpened {
		return nil
	}
	return s.send(&s.out, RunspacePoolState, ID{}, stateOf("RunspaceState", int32(PoolClosed), nil))
}

// A Job is the server's side of a pipeline.
type Job struct {
	Pipeline *Pipeline // what it is to run, once it has started
	Query    *Query    // or what it is to answer
	s        *Server
	id       ID
	in       inbox
	out      Outbox
	state    State
	inputEnd bool
}

// Job begins a pipeline for a request to start a command.
func (s *Server) Job() *Job {
	return &Job{s: s, in: inbox{maxObject: s.cfg.MaxObject, maxTotal: s.cfg.MaxInput}, out: s.outbox()}
}

// Out is the pipeline's stream to the client.
func (j *Job) Out() *Outbox { return &j.out }

// State is the state of the pipeline.
func (j *Job) State() State { return j.state }

// Read takes bytes of the pipeline's stream from the client. What comes after its end is dropped. After an error the
// pipeline has failed.
func (j *Job) Read(b []byte) (events []Event, err error) {
	if j.state.ended() {
		return nil, nil
	}
	if j.s.state != PoolOpened {
		return nil, ErrEnded
	}
	err = j.s.receive(&j.in, b, func(m Message, v any) error {
		e, err := j.handle(m, v)
		if e != nil {
			events = append(events, e)
		}
		return err
	})
	if err == nil {
		return events, nil
	}
	r := object.NewError("RemotingProtocolError", object.SecurityError, object.TRemotingTransport, "%v", err)
	if e := j.End(Failed, r); e != nil {
		err = fmt.Errorf("%w; %w", err, e)
	}
	return events, err
}

func (j *Job) handle(m Message, v any) (Event, error) {
	if m.Pool != j.s.pool {
		return nil, broken(m.Type, "it is for another pool")
	}
	if j.state == NotStarted {
		if m.Pipeline == (ID{}) || j.s.jobs[m.Pipeline] != nil {
			return nil, broken(m.Type, "the pipeline's id is zero or another one's")
		}
		j.id = m.Pipeline // first, so that a refusal carries it
		switch m.Type {
		case CreatePipeline:
			var err error
			if j.Pipeline, err = parsePipeline(v); err != nil {
				return nil, err
			}
			j.inputEnd = j.Pipeline.NoInput
		case GetCommandMetadata:
			j.Query, j.inputEnd = parseQuery(v), true
		default:
			return nil, broken(m.Type, "a pipeline does not begin with it")
		}
		j.state = Running
		j.s.jobs[j.id] = j
		return Started{}, nil
	}
	if m.Pipeline != j.id {
		return nil, broken(m.Type, "it is for another pipeline")
	}
	switch {
	case m.Type == PipelineInput && !j.inputEnd:
		return Input{v}, nil
	case m.Type == EndOfPipelineInput && !j.inputEnd:
		j.inputEnd = true
		return InputEnd{}, nil
	case m.Type == EndOfPipelineInput && j.Pipeline != nil && j.Pipeline.NoInput: // some clients end what has not begun
		return nil, nil
	}
	return nil, broken(m.Type, "it does not come in its turn")
}

func (j *Job) send(t Type, v any) error {
	if j.state != Running {
		return ErrEnded
	}
	return j.s.send(&j.out, t, j.id, v)
}

// Output sends an object. clixml.ErrNoKey says that it holds a secret and the client has given no key yet.
func (j *Job) Output(v any) error {
	if v == nil {
		v = null
	}
	return j.send(PipelineOutput, v)
}

// Error sends an error that does not end the pipeline.
func (j *Job) Error(r *object.ErrorRecord) error { return j.send(ErrorMessage, errorBag(r)) }

// Note sends a message of the debug, verbose or warning stream.
func (j *Job) Note(n Note) error { return j.send(n.Kind, n.bag()) }

// Progress sends a message of the progress stream.
func (j *Job) Progress(p Progress) error { return j.send(ProgressMessage, p.bag()) }

// Information sends a message of the information stream; clients before protocol 2.3 have none.
func (j *Job) Information(i Information) error {
	if j.s.client.Protocol.Minor < 3 {
		return nil
	}
	return j.send(InformationMessage, i.bag())
}

// Commands answers the job's Query.
func (j *Job) Commands(list []CommandInfo) error {
	if err := j.send(PipelineOutput, countBag(len(list))); err != nil {
		return err
	}
	for i := range list {
		if err := j.send(PipelineOutput, list[i].bag()); err != nil {
			return err
		}
	}
	return nil
}

// Host is the host of the client that the pipeline may call.
func (j *Job) Host(pool Host) Host {
	if j.Pipeline == nil || j.Pipeline.Host.OfPool {
		return pool
	}
	return j.Pipeline.Host
}

// Call calls the host of the client. The reply has the call's id; 0 says that there will be none.
func (j *Job) Call(m Method, args ...any) (int64, error) {
	call := HostCall{ID: voidCall, Method: m, Arguments: args}
	if !m.Void() {
		j.s.calls++
		call.ID = j.s.calls
	}
	return max(call.ID, 0), j.send(PipelineHostCall, call.bag())
}

// Stop ends the pipeline because the client wants it.
func (j *Job) Stop() error {
	return j.End(Stopped, object.NewError("PipelineStopped", object.OperationStopped, object.TPipelineStopped, "The pipeline has been stopped."))
}

// End ends the pipeline as Completed, Stopped or Failed; r says why, nil for no reason. Only the first call counts.
func (j *Job) End(state State, r *object.ErrorRecord) error {
	if j.state.ended() {
		return nil
	}
	err := j.s.send(&j.out, PipelineStateMessage, j.id, stateOf("PipelineState", int32(state), r))
	j.state = state
	if j.s.jobs[j.id] == j {
		delete(j.s.jobs, j.id)
	}
	return err
}
