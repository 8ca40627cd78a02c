package wsman

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/spec/soap"
)

// A writer appends XML.
type writer struct{ b []byte }

// open begins an element with attributes in pairs; one with an empty value is left out.
func (w *writer) open(name string, attrs ...string) {
	w.b = append(append(w.b, '<'), name...)
	for i := 0; i < len(attrs); i += 2 {
		if attrs[i+1] != "" {
			w.b = append(append(append(w.b, ' '), attrs[i]...), `="`...)
			w.b = append(soap.AppendAttr(w.b, attrs[i+1]), '"')
		}
	}
	w.b = append(w.b, '>')
}

func (w *writer) close(name string) { w.b = append(append(append(w.b, "</"...), name...), '>') }

func (w *writer) text(name, text string, attrs ...string) {
	w.open(name, attrs...)
	w.b = soap.AppendText(w.b, text)
	w.close(name)
}

// maybe is text, unless there is none.
func (w *writer) maybe(name, text string, attrs ...string) {
	if text != "" {
		w.text(name, text, attrs...)
	}
}

func (w *writer) data(name string, data []byte, attrs ...string) {
	w.open(name, attrs...)
	w.b = base64.StdEncoding.AppendEncode(w.b, data)
	w.close(name)
}

// Append appends the message's envelope. Headers of a request that the other side must understand say so.
func (m *Message) Append(b []byte) []byte {
	w := &writer{b}
	w.open("s:Envelope", "xml:lang", "en-US", "xmlns:s", nsSOAP, "xmlns:a", nsAddress, "xmlns:x", nsTransfer, "xmlns:w", nsWSMan, "xmlns:rsp", nsShell, "xmlns:p", nsMS)
	w.open("s:Header")
	if _, isIdentify := m.Body.(*Identity); m.Action != Identify && !isIdentify {
		m.header(w)
	}
	w.close("s:Header")
	w.open("s:Body")
	if m.Body != nil {
		m.Body.append(w)
	} else if m.Action == Identify {
		w.open("wsmid:Identify", "xmlns:wsmid", nsIdentity)
		w.close("wsmid:Identify")
	}
	w.close("s:Body")
	w.close("s:Envelope")
	return w.b
}

func (m *Message) header(w *writer) {
	must := "true"
	if m.RelatesTo != "" {
		must = ""
	}
	w.text("a:Action", string(m.Action), "s:mustUnderstand", must)
	w.maybe("a:MessageID", m.ID)
	w.maybe("a:To", m.To)
	w.maybe("a:RelatesTo", m.RelatesTo)
	if m.RelatesTo != "" {
		w.maybe("p:ActivityId", m.Activity)
		return
	}
	w.open("a:ReplyTo")
	w.text("a:Address", anonymous, "s:mustUnderstand", must)
	w.close("a:ReplyTo")
	w.maybe("w:ResourceURI", m.Resource, "s:mustUnderstand", must)
	if m.MaxEnvelope > 0 {
		w.text("w:MaxEnvelopeSize", strconv.Itoa(m.MaxEnvelope), "s:mustUnderstand", must)
	}
	if m.Timeout > 0 {
		w.text("w:OperationTimeout", Duration(m.Timeout))
	}
	for _, l := range [][2]string{{"w:Locale", m.Locale}, {"p:DataLocale", m.DataLocale}} {
		if l[1] != "" {
			w.text(l[0], "", "xml:lang", l[1], "s:mustUnderstand", "false")
		}
	}
	w.maybe("p:SessionId", m.Session, "s:mustUnderstand", "false")
	w.maybe("p:OperationID", m.Operation, "s:mustUnderstand", "false")
	if m.Compressed {
		w.text("rsp:CompressionType", "xpress", "s:mustUnderstand", must)
	}
	if len(m.Options) > 0 {
		w.open("w:OptionSet", "s:mustUnderstand", must)
		for _, o := range m.Options {
			comply := ""
			if o.MustComply {
				comply = "true"
			}
			w.text("w:Option", o.Value, "Name", o.Name, "MustComply", comply)
		}
		w.close("w:OptionSet")
	}
	if m.ShellID != "" {
		w.selectors(m.ShellID)
	}
}

func (w *writer) selectors(shell string) {
	w.open("w:SelectorSet")
	w.text("w:Selector", shell, "Name", "ShellId")
	w.close("w:SelectorSet")
}

// Duration is a time as Windows writes it.
func Duration(d time.Duration) string {
	return fmt.Sprintf("PT%d.%03dS", d/time.Second, d%time.Second/time.Millisecond)
}

func (i *Identity) append(w *writer) {
	w.open("wsmid:IdentifyResponse", "xmlns:wsmid", nsIdentity)
	w.text("wsmid:ProtocolVersion", nsWSMan)
	w.text("wsmid:ProductVendor", i.Vendor)
	w.text("wsmid:ProductVersion", i.Version)
	w.close("wsmid:IdentifyResponse")
}

func (s *Shell) append(w *writer) {
	if s.State == "" { // it is to be created
		w.open("rsp:Shell", "ShellId", s.ID, "Name", s.Name)
		w.maybe("rsp:IdleTimeOut", s.idle())
		w.text("rsp:InputStreams", s.Input)
		w.text("rsp:OutputStreams", s.Output)
		w.data("creationXml", s.Creation, "xmlns", nsPS)
		w.close("rsp:Shell")
		return
	}
	w.open("rsp:Shell")
	w.text("rsp:ShellId", s.ID)
	w.maybe("rsp:Name", s.Name)
	w.text("rsp:ResourceUri", s.Resource)
	w.text("rsp:Owner", s.Owner)
	w.text("rsp:ClientIP", s.ClientIP)
	w.text("rsp:ProcessId", "0") // of no use to anyone but an attacker
	w.maybe("rsp:IdleTimeOut", s.idle())
	w.text("rsp:InputStreams", s.Input)
	w.text("rsp:OutputStreams", s.Output)
	w.maybe("rsp:MaxIdleTimeOut", s.idle())
	w.text("rsp:Locale", "en-US")
	w.text("rsp:DataLocale", "en-US")
	mode := "NoCompression"
	if s.Compressed {
		mode = "XpressCompression"
	}
	w.text("rsp:CompressionMode", mode)
	w.text("rsp:ProfileLoaded", "No")
	w.text("rsp:Encoding", "UTF8")
	w.text("rsp:BufferMode", "Block")
	w.text("rsp:State", s.State)
	w.text("rsp:ShellRunTime", Duration(s.Age))
	w.text("rsp:ShellInactivity", Duration(s.Quiet))
	w.close("rsp:Shell")
}

func (s *Shell) idle() string {
	if s.Idle <= 0 {
		return ""
	}
	return Duration(s.Idle)
}

func (c *Created) append(w *writer) {
	w.open("x:ResourceCreated")
	w.text("a:Address", c.Address)
	w.open("a:ReferenceParameters")
	w.text("w:ResourceURI", c.Resource)
	w.selectors(c.ID)
	w.close("a:ReferenceParameters")
	w.close("x:ResourceCreated")
	c.Shell.append(w)
}

func (c *CommandLine) append(w *writer) {
	w.open("rsp:CommandLine", "CommandId", c.ID)
	w.text("rsp:Command", c.Text)
	w.data("rsp:Arguments", c.Arguments)
	w.close("rsp:CommandLine")
}

func (c *Started) append(w *writer) {
	w.open("rsp:CommandResponse")
	w.text("rsp:CommandId", c.ID)
	w.close("rsp:CommandResponse")
}

func (s *Sent) append(w *writer) {
	w.open("rsp:Send")
	w.streams(s.Streams)
	w.close("rsp:Send")
}

func (w *writer) streams(list []Stream) {
	for _, s := range list {
		end := ""
		if s.End {
			end = "true"
		}
		w.data("rsp:Stream", s.Data, "Name", s.Name, "CommandId", s.Command, "End", end)
	}
}

func (d *Desired) append(w *writer) {
	w.open("rsp:Receive")
	w.text("rsp:DesiredStream", strings.Join(d.Names, " "), "CommandId", d.Command)
	w.close("rsp:Receive")
}

func (r *Received) append(w *writer) {
	w.open("rsp:ReceiveResponse")
	w.streams(r.Streams)
	if r.State != "" {
		w.open("rsp:CommandState", "CommandId", r.Command, "State", r.State)
		if r.State == CommandDone {
			w.text("rsp:ExitCode", strconv.Itoa(r.ExitCode))
		}
		w.close("rsp:CommandState")
	}
	w.close("rsp:ReceiveResponse")
}

func (s *Signaled) append(w *writer) {
	w.open("rsp:Signal", "CommandId", s.Command)
	w.text("rsp:Code", s.Code)
	w.close("rsp:Signal")
}

func (l *Leave) append(w *writer) {
	w.open("rsp:Disconnect")
	if l.Idle > 0 {
		w.text("rsp:IdleTimeOut", Duration(l.Idle))
	}
	w.close("rsp:Disconnect")
}

func (r *Return) append(w *writer) {
	w.open("rsp:Reconnect", "CommandId", r.Command)
	w.close("rsp:Reconnect")
}

func (e Empty) append(w *writer) {
	w.open(string(e))
	w.close(string(e))
}

// Room is how many bytes may be added to the last stream of an answer to Receive, or to any other data of m, so that the
// envelope has at most limit bytes. It is negative when m is too large as it is.
func (m *Message) Room(limit int) int {
	left := limit - len(m.Append(nil))
	if left < 0 {
		return -1
	}
	return left / 4 * 3
}
