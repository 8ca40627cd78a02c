package wsman

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/spec/soap"
)

// A Message is a request or an answer.
type Message struct {
	Action        Action
	To            string
	ID, RelatesTo string // uuid:…; an answer relates to its request
	Resource      string
	ShellID       string
	MaxEnvelope   int           // bytes that the sender takes, 0: it does not say
	Timeout       time.Duration // until when it wants an answer, 0: it does not say
	Locale        string
	DataLocale    string
	Session       string // p:SessionId
	Operation     string
	Activity      string // of an answer: what a log knows it by
	Compressed    bool   // of Create: data of Send and Receive will be compressed
	Options       []Option
	Body          Body // nil: empty
}

// An Option belongs to a request.
type Option struct {
	Name, Value string
	MustComply  bool
}

// Option is the value of an option, or "".
func (m *Message) Option(name string) string {
	for _, o := range m.Options {
		if strings.EqualFold(o.Name, name) {
			return o.Value
		}
	}
	return ""
}

// Reply is an answer to m with an id of its own: uuid:… A body that is a *Fault makes it a fault.
func (m *Message) Reply(id string, body Body) *Message {
	r := &Message{Action: m.Action + response, To: anonymous, ID: id, RelatesTo: m.ID, Body: body}
	if r.RelatesTo == "" {
		r.RelatesTo = "uuid:00000000-0000-0000-0000-000000000000"
	}
	if _, ok := body.(*Fault); ok {
		r.Action = faulted
	}
	return r
}

// A Body is the content of a message: one of the types below, or a *Fault.
type Body interface{ append(w *writer) }

type (
	// An Identity answers Identify.
	Identity struct{ Vendor, Version string }
	// A Shell is to be created, or with a State what there is.
	Shell struct {
		ID, Name      string
		Input, Output string // names of streams
		Idle          time.Duration
		Creation      []byte // the first bytes of the pool's stream
		Resource      string
		Owner         string
		ClientIP      string
		Compressed    bool
		State         string // Connected
		Age, Quiet    time.Duration
	}
	// Created answers Create.
	Created struct {
		Address string
		Shell
	}
	// A CommandLine is the body of Command.
	CommandLine struct {
		ID, Text  string // Text is for logs, and what a client likes to write
		Arguments []byte // the first bytes of the pipeline's stream
	}
	// Started answers Command.
	Started struct{ ID string }
	// Sent is the body of Send.
	Sent struct{ Streams []Stream }
	// Desired is the body of Receive.
	Desired struct {
		Names   []string
		Command string
	}
	// Received answers Receive.
	Received struct {
		Streams        []Stream
		Command, State string // State "": it runs
		ExitCode       int
	}
	// Signaled is the body of Signal.
	Signaled struct{ Command, Code string }
	// A Leave is the body of Disconnect. Idle is for how long the session waits, 0: as before.
	Leave struct{ Idle time.Duration }
	// A Return is the body of Reconnect: of the shell, or of one command of it.
	Return struct{ Command string }
	// Empty is an element without content: the answers to Send and Signal.
	Empty string
)

// A Stream is data of one stream, of the shell or of one command.
type Stream struct {
	Name, Command string
	Data          []byte
	End           bool
}

// Answers without content.
const (
	SendDone   Empty = "rsp:SendResponse"
	SignalDone Empty = "rsp:SignalResponse"
)

// understood are the headers that a request may insist on.
var understood = map[string][]string{
	nsAddress: {"Action", "To", "MessageID", "ReplyTo", "FaultTo", "From", "RelatesTo"},
	nsWSMan:   {"ResourceURI", "MaxEnvelopeSize", "OperationTimeout", "Locale", "OptionSet", "SelectorSet"},
	nsMS:      {"DataLocale", "SessionId", "OperationID", "SequenceId", "FunctionID", "ActivityId"},
	nsShell:   {"CompressionType"},
}

const (
	maxStreams = 64   // in one message
	maxName    = 1024 // bytes of ids, names and codes
)

// Parse reads an envelope of at most limit bytes in UTF-8, or in UTF-16. An error is the *Fault to answer with; then the
// message is not nil when its header could be read. A fault that was received is a Body.
func Parse(data []byte, limit int) (*Message, error) {
	if len(data) > limit {
		return nil, TooLarge.Fault("")
	}
	switch { // UTF-16 needs no mark where a header of HTTP says it
	case bytes.HasPrefix(data, []byte{'<', 0}):
		data = append([]byte{0xff, 0xfe}, data...)
	case bytes.HasPrefix(data, []byte{0, '<'}):
		data = append([]byte{0xfe, 0xff}, data...)
	}
	root, err := soap.ReadXML(bytes.NewReader(data), int64(limit)+2)
	if err != nil {
		return nil, Invalid.Fault(err.Error())
	}
	body := root.Child(nsSOAP, "Body")
	if !root.Is(nsSOAP, "Envelope") || body == nil {
		return nil, Invalid.Fault("It is no envelope of SOAP 1.2.")
	}
	m := &Message{}
	if h := root.Child(nsSOAP, "Header"); h != nil {
		if f := m.parseHeader(h); f != nil {
			return m, f
		}
	}
	if f := m.parseBody(body.Children); f != nil {
		return m, f
	}
	return m, nil
}

func (m *Message) parseHeader(h *soap.Element) (bad *Fault) {
	for _, e := range h.Children {
		known := false
		for _, local := range understood[e.Space] {
			known = known || local == e.Local
		}
		if must := lower(e.AttrValue("mustUnderstand")); !known && (must == "true" || must == "1") {
			bad = MustUnderstand.Fault(fmt.Sprintf("It is %.100q.", e.Local))
		}
		text := e.Trimmed()
		if known && len(text) > maxName {
			bad = Invalid.Fault("The header " + e.Local + " is too long.")
			continue
		}
		switch e.Space + " " + e.Local {
		case nsAddress + " Action":
			m.Action = Action(text)
		case nsAddress + " To":
			m.To = text
		case nsAddress + " MessageID":
			m.ID = text
		case nsAddress + " RelatesTo":
			m.RelatesTo = text
		case nsWSMan + " ResourceURI":
			m.Resource = text
		case nsWSMan + " MaxEnvelopeSize":
			n, err := number(text, 1<<31-1)
			if err != nil || n == 0 {
				bad = Invalid.Fault("MaxEnvelopeSize is no size.")
			}
			m.MaxEnvelope = int(n)
		case nsWSMan + " OperationTimeout":
			d, err := clixml.ParseDuration(text)
			if err != nil || d <= 0 {
				bad = Invalid.Fault("OperationTimeout is no duration.")
			}
			m.Timeout = d
		case nsWSMan + " Locale":
			m.Locale = e.AttrValue("lang")
		case nsMS + " DataLocale":
			m.DataLocale = e.AttrValue("lang")
		case nsMS + " SessionId":
			m.Session = text
		case nsMS + " OperationID":
			m.Operation = text
		case nsMS + " ActivityId":
			m.Activity = text
		case nsShell + " CompressionType":
			if m.Compressed = lower(text) == "xpress"; !m.Compressed {
				bad = Unsupported.Fault("Compression can be xpress only.")
			}
		case nsWSMan + " OptionSet":
			for _, o := range e.Children {
				m.Options = append(m.Options, Option{o.AttrValue("Name"), o.Trimmed(), lower(o.AttrValue("MustComply")) == "true"})
			}
		case nsWSMan + " SelectorSet":
			for _, s := range e.Children {
				if strings.EqualFold(s.AttrValue("Name"), "ShellId") && len(s.Text) <= maxName {
					m.ShellID = s.Trimmed()
				}
			}
		}
	}
	return bad
}

func (m *Message) parseBody(children []*soap.Element) *Fault {
	e := &soap.Element{}
	if len(children) > 0 {
		e = children[0]
	}
	need := func(space, local string) *Fault {
		if e.Is(space, local) {
			return nil
		}
		return Invalid.Fault("The body has no " + local + ".")
	}
	var f *Fault
	switch m.Action {
	case Identify:
		if e.Is(nsIdentity, "IdentifyResponse") {
			m.Action = response
			m.Body = &Identity{e.ChildText(nsIdentity, "ProductVendor"), e.ChildText(nsIdentity, "ProductVersion")}
			return nil
		}
		return need(nsIdentity, "Identify")
	case faulted:
		if f = need(nsSOAP, "Fault"); f == nil {
			m.Body = parseFault(e)
		}
	case Create, Get + response:
		if f = need(nsShell, "Shell"); f == nil {
			m.Body, f = parseShell(e)
		}
	case Create + response:
		if f = need(nsTransfer, "ResourceCreated"); f != nil {
			return f
		}
		c := &Created{Address: e.ChildText(nsAddress, "Address")}
		if len(children) > 1 && children[1].Is(nsShell, "Shell") {
			var s *Shell
			if s, f = parseShell(children[1]); f != nil {
				return f
			}
			c.Shell = *s
		}
		ref := e.Child(nsAddress, "ReferenceParameters")
		c.Resource = ref.ChildText(nsWSMan, "ResourceURI")
		c.ID = ref.Child(nsWSMan, "SelectorSet").ChildText(nsWSMan, "Selector")
		m.Body = c
	case Command:
		if f = need(nsShell, "CommandLine"); f == nil {
			c := &CommandLine{ID: e.AttrValue("CommandId"), Text: e.ChildText(nsShell, "Command")}
			c.Arguments, f = unbase64(e.ChildText(nsShell, "Arguments"))
			m.Body = c
			if len(c.ID) > maxName {
				f = Invalid.Fault("CommandId is too long.")
			}
		}
	case Command + response:
		if f = need(nsShell, "CommandResponse"); f == nil {
			m.Body = &Started{e.ChildText(nsShell, "CommandId")}
		}
	case Send:
		if f = need(nsShell, "Send"); f == nil {
			var list []Stream
			list, f = parseStreams(e)
			m.Body = &Sent{list}
		}
	case Receive:
		if f = need(nsShell, "Receive"); f == nil {
			d := e.Child(nsShell, "DesiredStream")
			m.Body = &Desired{strings.Fields(e.ChildText(nsShell, "DesiredStream")), d.AttrValue("CommandId")}
		}
	case Receive + response:
		if f = need(nsShell, "ReceiveResponse"); f == nil {
			m.Body, f = parseReceived(e)
		}
	case Signal:
		if f = need(nsShell, "Signal"); f == nil {
			m.Body = &Signaled{e.AttrValue("CommandId"), e.ChildText(nsShell, "Code")}
		}
	case Send + response:
		m.Body = SendDone
	case Signal + response:
		m.Body = SignalDone
	case Disconnect:
		if f = need(nsShell, "Disconnect"); f == nil {
			l := &Leave{}
			l.Idle, f = span(e, "IdleTimeOut")
			m.Body = l
		}
	case Reconnect: // Windows sends no body for the shell (MS-WSMV 3.1.4.16)
		r := &Return{}
		if e.Is(nsShell, "Reconnect") {
			r.Command = e.AttrValue("CommandId")
		}
		m.Body = r
	case Delete, Get, Delete + response, Disconnect + response, Reconnect + response:
	case Connect:
		f = Unsupported.Fault("")
	default:
		f = UnknownAction.Fault("")
	}
	return f
}

func parseShell(e *soap.Element) (*Shell, *Fault) {
	text := func(name string) string { return e.ChildText(nsShell, name) }
	s := &Shell{ID: e.AttrValue("ShellId"), Name: e.AttrValue("Name"), Input: text("InputStreams"), Output: text("OutputStreams"), Resource: text("ResourceUri"),
		Owner: text("Owner"), ClientIP: text("ClientIP"), Compressed: text("CompressionMode") == "XpressCompression", State: text("State")}
	if s.State != "" {
		s.ID, s.Name = text("ShellId"), text("Name")
	}
	for name, to := range map[string]*time.Duration{"IdleTimeOut": &s.Idle, "ShellRunTime": &s.Age, "ShellInactivity": &s.Quiet} {
		var f *Fault
		if *to, f = span(e, name); f != nil {
			return nil, f
		}
	}
	for _, id := range []string{s.ID, s.Name} {
		if len(id) > maxName {
			return nil, Invalid.Fault("ShellId or Name is too long.")
		}
	}
	var f *Fault
	s.Creation, f = unbase64(e.ChildText(nsPS, "creationXml"))
	return s, f
}

// span is the duration in a child of e, 0 without one.
func span(e *soap.Element, name string) (time.Duration, *Fault) {
	v := e.ChildText(nsShell, name)
	if v == "" {
		return 0, nil
	}
	d, err := clixml.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, Invalid.Fault(name + " is no duration.")
	}
	return d, nil
}

func parseStreams(e *soap.Element) ([]Stream, *Fault) {
	var list []Stream
	for _, x := range e.Children {
		if !x.Is(nsShell, "Stream") {
			continue
		}
		if len(list) == maxStreams {
			return nil, Invalid.Fault("There are too many streams.")
		}
		data, f := unbase64(x.Trimmed())
		if f != nil {
			return nil, f
		}
		list = append(list, Stream{x.AttrValue("Name"), x.AttrValue("CommandId"), data, lower(x.AttrValue("End")) == "true"})
	}
	return list, nil
}

func parseReceived(e *soap.Element) (*Received, *Fault) {
	list, f := parseStreams(e)
	r := &Received{Streams: list}
	if s := e.Child(nsShell, "CommandState"); s != nil && f == nil {
		r.Command, r.State = s.AttrValue("CommandId"), s.AttrValue("State")
		if n, err := strconv.ParseInt(s.ChildText(nsShell, "ExitCode"), 10, 32); err == nil {
			r.ExitCode = int(n)
		}
	}
	return r, f
}

// unbase64 reads base64 with white space or without.
func unbase64(s string) ([]byte, *Fault) {
	if strings.ContainsAny(s, " \t\r\n") {
		s = strings.Join(strings.Fields(s), "")
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, Invalid.Fault("Data is no base64.")
	}
	return b, nil
}

func number(s string, most uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err == nil && n > most {
		err = strconv.ErrRange
	}
	return n, err
}

func lower(s string) string { return strings.ToLower(s) }
