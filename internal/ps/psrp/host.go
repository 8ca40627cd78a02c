package psrp

import (
	"strconv"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/object"
)

// A Host says what the client's host can do (MS-PSRP 2.2.3.14). Without one no call can be answered.
type Host struct {
	Null, NullUI, NullRawUI bool
	OfPool                  bool // a pipeline's: the pool's host counts
}

func (h Host) bag() *clixml.Bag {
	return new(clixml.Bag).Add("_isHostNull", h.Null).Add("_isHostUINull", h.NullUI).Add("_isHostRawUINull", h.NullRawUI).Add("_useRunspaceHost", h.OfPool)
}

func parseHost(v any) Host {
	f := fieldsOf(v)
	return Host{f.flag("_isHostNull"), f.flag("_isHostUINull"), f.flag("_isHostRawUINull"), f.flag("_useRunspaceHost")}
}

// A Method is a method of the client's host (MS-PSRP 2.2.3.17).
type Method int32

// The methods that have a use here.
const (
	SetShouldExit        Method = 6
	ReadLine             Method = 11
	ReadLineSecure       Method = 12
	Write                Method = 13
	WriteLine            Method = 16
	WriteErrorLine       Method = 18
	WriteDebugLine       Method = 19
	WriteVerboseLine     Method = 21
	WriteWarningLine     Method = 22
	Prompt               Method = 23
	PromptForCredential  Method = 24
	PromptForChoice      Method = 26
	PopRunspace          Method = 53
	voidCall             int64  = -100 // the id of a call without an answer
	remoteHostMethodType        = automation + "Remoting.RemoteHostMethodId"
)

var methodNames = map[Method]string{
	SetShouldExit: "SetShouldExit", ReadLine: "ReadLine", ReadLineSecure: "ReadLineAsSecureString", Write: "Write1", WriteLine: "WriteLine2",
	WriteErrorLine: "WriteErrorLine", WriteDebugLine: "WriteDebugLine", WriteVerboseLine: "WriteVerboseLine", WriteWarningLine: "WriteWarningLine",
	Prompt: "Prompt", PromptForCredential: "PromptForCredential1", PromptForChoice: "PromptForChoice", PopRunspace: "PopRunspace",
}

// String is the method's name.
func (m Method) String() string {
	if n, ok := methodNames[m]; ok {
		return n
	}
	return strconv.Itoa(int(m))
}

// Void reports whether a call of the method has no answer.
func (m Method) Void() bool {
	switch m {
	case SetShouldExit, Write, WriteLine, WriteErrorLine, WriteDebugLine, WriteVerboseLine, WriteWarningLine, PopRunspace, 14, 15, 17, 20:
		return true
	}
	return false
}

func (m Method) enum() object.Enum {
	t := &object.Type{Name: remoteHostMethodType, Base: object.TErrorCategory.Base, Enum: []object.EnumName{{Name: m.String(), Value: int64(m)}}}
	return object.Enum{Type: t, Value: int64(m)}
}

// A HostCall asks the client's host for something.
type HostCall struct {
	ID        int64
	Method    Method
	Arguments []any
}

func (c HostCall) bag() *clixml.Bag {
	return new(clixml.Bag).Add("ci", c.ID).Add("mi", c.Method.enum()).Add("mp", &object.List{Items: c.Arguments})
}

func parseHostCall(v any) HostCall {
	f := fieldsOf(v)
	return HostCall{ID: f.number("ci", 0), Method: Method(f.number("mi", 0)), Arguments: f.list("mp")}
}

// Choices is the list of a PromptForChoice: labels and their help.
func Choices(labels, help []string) *object.List {
	l := &object.List{}
	for i, label := range labels {
		l.Items = append(l.Items, new(clixml.Bag).Add("label", label).Add("helpMessage", help[i]))
	}
	return l
}

// A HostReply is the answer to a HostCall.
type HostReply struct {
	ID     int64
	Method Method
	Value  any
	Err    *object.ErrorRecord // the host failed
}

func (r HostReply) bag() *clixml.Bag {
	b := new(clixml.Bag).Add("ci", r.ID).Add("mi", r.Method.enum())
	if r.Err != nil {
		return b.Add("me", errorBag(r.Err))
	}
	return b.Add("mr", r.Value)
}

func parseHostReply(v any) HostReply {
	f := fieldsOf(v)
	r := HostReply{ID: f.number("ci", 0), Method: Method(f.number("mi", 0)), Value: f.any("mr")}
	if me := f.any("me"); me != nil {
		r.Err = parseError(me)
	}
	return r
}
