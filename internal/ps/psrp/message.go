package psrp

import (
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/object"
)

// A Type is the kind of a message (MS-PSRP 2.2.1).
type Type uint32

// The kinds of messages.
const (
	SessionCapability      Type = 0x00010002
	InitRunspacePool       Type = 0x00010004
	PublicKey              Type = 0x00010005
	EncryptedSessionKey    Type = 0x00010006
	PublicKeyRequest       Type = 0x00010007
	ConnectRunspacePool    Type = 0x00010008
	SetMaxRunspaces        Type = 0x00021002
	SetMinRunspaces        Type = 0x00021003
	RunspaceAvailability   Type = 0x00021004
	RunspacePoolState      Type = 0x00021005
	CreatePipeline         Type = 0x00021006
	GetAvailableRunspaces  Type = 0x00021007
	UserEvent              Type = 0x00021008
	ApplicationPrivateData Type = 0x00021009
	GetCommandMetadata     Type = 0x0002100A
	RunspacePoolInitData   Type = 0x0002100B
	ResetRunspaceState     Type = 0x0002100C
	PoolHostCall           Type = 0x00021100
	PoolHostResponse       Type = 0x00021101
	PipelineInput          Type = 0x00041002
	EndOfPipelineInput     Type = 0x00041003
	PipelineOutput         Type = 0x00041004
	ErrorMessage           Type = 0x00041005
	PipelineStateMessage   Type = 0x00041006
	DebugMessage           Type = 0x00041007
	VerboseMessage         Type = 0x00041008
	WarningMessage         Type = 0x00041009
	ProgressMessage        Type = 0x00041010
	InformationMessage     Type = 0x00041011
	PipelineHostCall       Type = 0x00041100
	PipelineHostResponse   Type = 0x00041101
)

var typeNames = map[Type]string{
	SessionCapability: "SESSION_CAPABILITY", InitRunspacePool: "INIT_RUNSPACEPOOL", PublicKey: "PUBLIC_KEY",
	EncryptedSessionKey: "ENCRYPTED_SESSION_KEY", PublicKeyRequest: "PUBLIC_KEY_REQUEST", ConnectRunspacePool: "CONNECT_RUNSPACEPOOL",
	SetMaxRunspaces: "SET_MAX_RUNSPACES", SetMinRunspaces: "SET_MIN_RUNSPACES", RunspaceAvailability: "RUNSPACE_AVAILABILITY",
	RunspacePoolState: "RUNSPACEPOOL_STATE", CreatePipeline: "CREATE_PIPELINE", GetAvailableRunspaces: "GET_AVAILABLE_RUNSPACES",
	UserEvent: "USER_EVENT", ApplicationPrivateData: "APPLICATION_PRIVATE_DATA", GetCommandMetadata: "GET_COMMAND_METADATA",
	RunspacePoolInitData: "RUNSPACEPOOL_INIT_DATA", ResetRunspaceState: "RESET_RUNSPACE_STATE", PoolHostCall: "RUNSPACEPOOL_HOST_CALL",
	PoolHostResponse: "RUNSPACEPOOL_HOST_RESPONSE", PipelineInput: "PIPELINE_INPUT", EndOfPipelineInput: "END_OF_PIPELINE_INPUT",
	PipelineOutput: "PIPELINE_OUTPUT", ErrorMessage: "ERROR_RECORD", PipelineStateMessage: "PIPELINE_STATE", DebugMessage: "DEBUG_RECORD",
	VerboseMessage: "VERBOSE_RECORD", WarningMessage: "WARNING_RECORD", ProgressMessage: "PROGRESS_RECORD",
	InformationMessage: "INFORMATION_RECORD", PipelineHostCall: "PIPELINE_HOST_CALL", PipelineHostResponse: "PIPELINE_HOST_RESPONSE",
}

// String is the name in MS-PSRP.
func (t Type) String() string {
	if n, ok := typeNames[t]; ok {
		return n
	}
	return fmt.Sprintf("message 0x%08X", uint32(t))
}

// An ID names a pool or a pipeline. It is opaque: old clients write the same GUID in another order of bytes, and some
// call their shell differently.
type ID [16]byte

// NewID is the ID of a GUID in the order in which .NET writes it.
func NewID(u uuid.UUID) ID {
	id := ID(u)
	for _, r := range [][2]int{{0, 3}, {1, 2}, {4, 5}, {6, 7}} {
		id[r[0]], id[r[1]] = id[r[1]], id[r[0]]
	}
	return id
}

// The two sides, as the head of a message names its destination.
const (
	toClient = 1
	toServer = 2
)

const (
	messageHead = 40
	byteOrder   = "\ufeff" // .NET writes this mark before the text
)

// A Message is one message of the protocol (MS-PSRP 2.2.1).
type Message struct {
	ToServer       bool
	Type           Type
	Pool, Pipeline ID     // Pipeline is zero in messages of the pool
	Data           []byte // CLIXML, after a byte order mark or not
}

// Append appends the message's bytes.
func (m *Message) Append(b []byte) []byte {
	to := uint32(toClient)
	if m.ToServer {
		to = toServer
	}
	b = binary.LittleEndian.AppendUint32(b, to)
	b = binary.LittleEndian.AppendUint32(b, uint32(m.Type))
	b = append(append(b, m.Pool[:]...), m.Pipeline[:]...)
	return append(b, m.Data...)
}

// ParseMessage reads a message; its data is part of b.
func ParseMessage(b []byte) (Message, error) {
	if len(b) < messageHead {
		return Message{}, broken(0, "a message of %d bytes has no head", len(b))
	}
	m := Message{Type: Type(binary.LittleEndian.Uint32(b[4:])), Pool: ID(b[8:24]), Pipeline: ID(b[24:40]), Data: b[messageHead:]}
	switch to := binary.LittleEndian.Uint32(b); to {
	case toClient:
	case toServer:
		m.ToServer = true
	default:
		return Message{}, broken(m.Type, "destination %d is unknown", to)
	}
	return m, nil
}

// outputDepth is how many levels of objects in objects cross: PowerShell's depth of serialization.
const outputDepth = 1

// An end is what both sides of a pool have in common.
type end struct {
	server    bool
	pool      ID
	objects   uint64
	cipher    clixml.Cipher
	maxObject int
	out       Outbox
	calls     int64 // the last call's id
}

// outbox begins a stream.
func (e *end) outbox() Outbox { return Outbox{ids: &e.objects} }

// send queues a message. A nil v is an empty message, not a null.
func (e *end) send(o *Outbox, t Type, pipeline ID, v any) error {
	m := Message{ToServer: !e.server, Type: t, Pool: e.pool, Pipeline: pipeline}
	if e.server && t == SessionCapability {
		m.Pool = ID{} // as Windows answers
	}
	b := m.Append(nil)
	if v != nil {
		if e.server {
			b = append(b, byteOrder...)
		}
		var err error
		if b, err = clixml.Append(b, v, outputDepth, e.cipher); err != nil {
			return fmt.Errorf("%v: %w", t, err)
		}
	}
	if len(b) > e.maxObject {
		return fmt.Errorf("%v: %w: %d bytes, limit %d", t, ErrTooLarge, len(b), e.maxObject)
	}
	o.add(b)
	return nil
}

// null is a value that is null, where nil is none: it is written as one.
var null any = object.Void

// receive puts the messages of a stream together and gives each to handle with its value.
func (e *end) receive(in *inbox, b []byte, handle func(m Message, v any) error) error {
	return in.add(b, func(raw []byte) error {
		m, err := ParseMessage(raw)
		if err != nil {
			return err
		}
		if m.ToServer != e.server {
			return broken(m.Type, "it is for the other side")
		}
		v, err := clixml.Read(m.Data, clixml.Options{MaxBytes: int64(e.maxObject), MaxValues: 1 << 20, Cipher: e.cipher})
		if err != nil {
			return &ProtocolError{m.Type, err}
		}
		return handle(m, v)
	})
}

// fields reads what a message carries by name.
type fields struct{ o *object.Object }

func fieldsOf(v any) fields {
	o, ok := v.(*object.Object)
	if !ok {
		o = object.New()
	}
	return fields{o}
}

func (f fields) any(name string) any {
	v, _ := f.o.Get(name)
	return v
}

func (f fields) text(name string) string {
	if v := f.any(name); v != nil {
		return object.String(v)
	}
	return ""
}

func (f fields) flag(name string) bool {
	v := f.any(name)
	return v != nil && object.Bool(v)
}

// number is a number or a member of an enumeration; def when there is none.
func (f fields) number(name string, def int64) int64 {
	switch v := object.Base(f.any(name)).(type) {
	case nil:
		return def
	case object.Enum:
		return v.Value
	case int32:
		return int64(v)
	case int64:
		return v
	default:
		n, err := object.Convert(v, object.TLong)
		if err != nil {
			return def
		}
		return n.(int64)
	}
}

func (f fields) list(name string) []any {
	list, _ := object.Items(f.any(name))
	return list
}

// texts is a list of texts, or one.
func (f fields) texts(name string) []string {
	v := f.any(name)
	if v == nil {
		return nil
	}
	items, ok := object.Items(v)
	if !ok {
		items = []any{v}
	}
	out := make([]string, len(items))
	for i, x := range items {
		out[i] = object.String(x)
	}
	return out
}

func (f fields) version(name string) object.Version {
	switch v := f.any(name).(type) {
	case object.Version:
		return v
	case string:
		if v, err := object.ParseVersion(v); err == nil {
			return v
		}
	}
	return object.Version{Build: -1, Revision: -1}
}
