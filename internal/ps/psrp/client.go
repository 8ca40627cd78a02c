package psrp

import (
	"crypto/rand"
	"crypto/rsa"

	"github.com/google/uuid"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/object"
)

// ClientConfig says what a client tells its server.
type ClientConfig struct {
	Pool      uuid.UUID // required
	Host      Host
	MaxObject int             // bytes of one message, 0: MaxObject
	Key       *rsa.PrivateKey // of 2048 bits, for secrets; nil: made when one must cross
}

// A Client is the client's side of a runspace pool.
type Client struct {
	end
	cfg    ClientConfig
	in     inbox
	state  PoolState
	server Capability
	asked  bool // for the session's key
	data   any
	runs   map[ID]*Run
}

// Events of a client. A HostCall is one, too.
type (
	// Available answers Client.Availability and the like.
	Available struct {
		ID     int64
		Answer any // a number, or whether it was done
	}
	// Ended says that the pool has closed or broken.
	Ended struct {
		State PoolState
		Err   *object.ErrorRecord
	}
	// Output is an object from the pipeline.
	Output struct{ Value any }
	// Failure is an error that did not end the pipeline. Classes are the exception's, most derived first.
	Failure struct {
		Record  *object.ErrorRecord
		Classes []string
	}
	// Finished says that the pipeline has ended, and why when there is an error.
	Finished struct {
		State State
		Failure
	}
)

// NewClient makes a pool that is not open.
func NewClient(cfg ClientConfig) *Client {
	if cfg.MaxObject == 0 {
		cfg.MaxObject = MaxObject
	}
	c := &Client{cfg: cfg, runs: map[ID]*Run{}}
	c.pool, c.maxObject = NewID(cfg.Pool), cfg.MaxObject
	c.in.maxObject = cfg.MaxObject
	c.out = c.outbox()
	return c
}

// Out is the pool's stream to the server. The first that Take gives of it creates the shell.
func (c *Client) Out() *Outbox { return &c.out }

// State is the state of the pool.
func (c *Client) State() PoolState { return c.state }

// Open asks for the pool.
func (c *Client) Open() error {
	if c.state != PoolBeforeOpen {
		return ErrEnded
	}
	c.state = PoolNegotiationSent
	if err := c.send(&c.out, SessionCapability, ID{}, Capability{protocol, shellVersion, serialization}.bag()); err != nil {
		return err
	}
	init := Init{Min: 1, Max: 1, Threads: object.Enum{Type: tThreadOptions}, Apartment: object.Enum{Type: tApartment, Value: 2}, Host: c.cfg.Host}
	return c.send(&c.out, InitRunspacePool, ID{}, init.bag())
}

// Read takes bytes of the pool's stream from the server. After an error the pool is broken.
func (c *Client) Read(b []byte) (events []Event, err error) {
	err = c.receive(&c.in, b, func(m Message, v any) error {
		e, err := c.handle(m, v)
		if e != nil {
			events = append(events, e)
		}
		return err
	})
	if err != nil {
		c.state = PoolBroken
	}
	return events, err
}

func (c *Client) handle(m Message, v any) (Event, error) {
	if m.Pool != c.pool && (m.Type != SessionCapability || m.Pool != ID{}) || m.Pipeline != (ID{}) {
		return nil, broken(m.Type, "it is not for this pool")
	}
	f := fieldsOf(v)
	switch {
	case m.Type == SessionCapability && c.state == PoolNegotiationSent:
		c.state = PoolNegotiationSucceeded
		var err error
		c.server, err = parseCapability(v)
		return nil, err
	case m.Type == RunspacePoolState:
		return c.turn(PoolState(f.number("RunspaceState", -1)), f)
	case c.state != PoolNegotiationSucceeded && c.state != PoolOpened:
		return nil, broken(m.Type, "it does not come in its turn")
	}
	switch m.Type {
	case ApplicationPrivateData:
		c.data = f.any("ApplicationPrivateData")
		return nil, nil
	case EncryptedSessionKey:
		if !c.asked || c.cfg.Key == nil {
			return nil, broken(m.Type, "nobody asked for it")
		}
		key, err := openSession(c.cfg.Key, f.text("EncryptedSessionKey"))
		if err != nil {
			return nil, &ProtocolError{m.Type, err}
		}
		c.cipher, c.asked = key, false
		return Keyed{}, nil
	case PublicKeyRequest:
		return nil, c.ExchangeKey()
	case RunspaceAvailability:
		return Available{f.number("ci", 0), f.any("SetMinMaxRunspacesResponse")}, nil
	case PoolHostCall:
		return parseHostCall(v), nil
	case UserEvent, RunspacePoolInitData:
		return nil, nil
	}
	return nil, broken(m.Type, "it does not belong to the stream of the pool")
}

// turn follows the pool's state.
func (c *Client) turn(state PoolState, f fields) (Event, error) {
	switch {
	case state == PoolOpened && c.state == PoolNegotiationSucceeded:
		c.state = PoolOpened
		return Opened{Capability: c.server, Private: c.data}, nil
	case state == PoolClosed || state == PoolBroken:
		c.state = state
		e := Ended{State: state}
		if x := f.any("ExceptionAsErrorRecord"); x != nil {
			e.Err = parseError(x)
		}
		return e, nil
	case state == PoolNegotiationSucceeded && c.state == state, state == PoolOpening, state == PoolClosing:
		return nil, nil
	}
	return nil, broken(RunspacePoolState, "state %d does not follow %d", state, c.state)
}

// ExchangeKey asks for the session's key, without which no secret crosses: Keyed says when it is there.
func (c *Client) ExchangeKey() error {
	if c.state != PoolOpened {
		return ErrEnded
	}
	if c.asked || c.cipher != nil {
		return nil
	}
	if c.cfg.Key == nil {
		key, err := rsa.GenerateKey(rand.Reader, 8*rsaBytes)
		if err != nil {
			return err
		}
		c.cfg.Key = key
	}
	text, err := publicText(&c.cfg.Key.PublicKey)
	if err != nil {
		return err
	}
	c.asked = true
	return c.send(&c.out, PublicKey, ID{}, new(clixml.Bag).Add("PublicKey", text))
}

// Availability asks how many runspaces are free: Available has the call's id.
func (c *Client) Availability() (int64, error) {
	if c.state != PoolOpened {
		return 0, ErrEnded
	}
	c.calls++
	return c.calls, c.send(&c.out, GetAvailableRunspaces, ID{}, new(clixml.Bag).Add("ci", c.calls))
}

// Reply answers a call of the host: the bytes go by the stream for that. A call of a pipeline is answered by Run.Reply.
func (c *Client) Reply(r HostReply) (*Outbox, error) {
	o := c.outbox()
	return &o, c.send(&o, PoolHostResponse, ID{}, r.bag())
}

// A Run is the client's side of a pipeline.
type Run struct {
	c        *Client
	id       ID
	in       inbox
	out      Outbox
	state    State
	inputEnd bool
}

// Start begins a pipeline under an id of its own, which is the command's for WS-Management. clixml.ErrNoKey says that
// an argument is a secret and no key was exchanged.
func (c *Client) Start(id uuid.UUID, p *Pipeline) (*Run, error) {
	return c.start(id, CreatePipeline, p.bag(agreed(c.server.Protocol)), p.NoInput)
}

// Ask begins a pipeline that answers q: one output for the number of commands, then one for each (ParseCommandInfo).
func (c *Client) Ask(id uuid.UUID, q Query) (*Run, error) {
	return c.start(id, GetCommandMetadata, q.bag(), true)
}

func (c *Client) start(id uuid.UUID, t Type, v any, noInput bool) (*Run, error) {
	r := &Run{c: c, id: NewID(id), in: inbox{maxObject: c.cfg.MaxObject}, out: c.outbox(), inputEnd: noInput}
	if c.state != PoolOpened || c.runs[r.id] != nil {
		return nil, ErrEnded
	}
	if err := c.send(&r.out, t, r.id, v); err != nil {
		return nil, err
	}
	r.state = Running
	c.runs[r.id] = r
	return r, nil
}

// Out is the pipeline's stream to the server. The first that Take gives of it starts the command.
func (r *Run) Out() *Outbox { return &r.out }

// State is the state of the pipeline.
func (r *Run) State() State { return r.state }

// Input sends an object into the pipeline.
func (r *Run) Input(v any) error {
	if r.state != Running || r.inputEnd {
		return ErrEnded
	}
	if v == nil {
		v = null
	}
	return r.c.send(&r.out, PipelineInput, r.id, v)
}

// EndInput says that there is no more input.
func (r *Run) EndInput() error {
	if r.state != Running || r.inputEnd {
		return ErrEnded
	}
	r.inputEnd = true
	return r.c.send(&r.out, EndOfPipelineInput, r.id, nil)
}

// Reply answers a call of the host: the bytes go by the stream for that.
func (r *Run) Reply(reply HostReply) (*Outbox, error) {
	o := r.c.outbox()
	return &o, r.c.send(&o, PipelineHostResponse, r.id, reply.bag())
}

// Read takes bytes of the pipeline's stream from the server. After an error the pipeline has failed.
func (r *Run) Read(b []byte) (events []Event, err error) {
	err = r.c.receive(&r.in, b, func(m Message, v any) error {
		e, err := r.handle(m, v)
		if e != nil {
			events = append(events, e)
		}
		return err
	})
	if err != nil {
		r.end(Failed)
	}
	return events, err
}

func (r *Run) end(s State) {
	r.state = s
	delete(r.c.runs, r.id)
}

func (r *Run) handle(m Message, v any) (Event, error) {
	if m.Pool != r.c.pool || m.Pipeline != r.id {
		return nil, broken(m.Type, "it is for another pipeline")
	}
	if r.state.ended() {
		return nil, broken(m.Type, "the pipeline has ended")
	}
	switch m.Type {
	case PipelineOutput:
		return Output{v}, nil
	case ErrorMessage:
		return failure(v), nil
	case DebugMessage, VerboseMessage, WarningMessage:
		return Note{m.Type, fieldsOf(v).text("InformationalRecord_Message")}, nil
	case ProgressMessage:
		return parseProgress(v), nil
	case InformationMessage:
		return parseInformation(v), nil
	case PipelineHostCall:
		return parseHostCall(v), nil
	case PipelineStateMessage:
		f := fieldsOf(v)
		s := State(f.number("PipelineState", -1))
		if !s.ended() {
			if s < NotStarted || s > Disconnected {
				return nil, broken(m.Type, "state %d is unknown", s)
			}
			return nil, nil
		}
		r.end(s)
		e := Finished{State: s}
		if x := f.any("ExceptionAsErrorRecord"); x != nil {
			e.Failure = failure(x)
		}
		return e, nil
	}
	return nil, broken(m.Type, "it does not belong to the stream of a pipeline")
}

func failure(v any) Failure {
	f := Failure{Record: parseError(v)}
	for t := f.Record.Exception.Inner.Class; t != nil; t = t.Base {
		f.Classes = append(f.Classes, t.Name)
	}
	return f
}
