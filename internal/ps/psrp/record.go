package psrp

import (
	"cmp"
	"strings"
	"time"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/object"
)

const automation = "System.Management.Automation."

// A PoolState is the state of a runspace pool (MS-PSRP 2.2.3.4).
type PoolState int32

// The states of a pool.
const (
	PoolBeforeOpen PoolState = iota
	PoolOpening
	PoolOpened
	PoolClosed
	PoolClosing
	PoolBroken
	PoolNegotiationSent
	PoolNegotiationSucceeded
	PoolConnecting
	PoolDisconnected
)

// A State is the state of a pipeline (MS-PSRP 2.2.3.5).
type State int32

// The states of a pipeline.
const (
	NotStarted State = iota
	Running
	Stopping
	Stopped
	Completed
	Failed
	Disconnected
)

func (s State) ended() bool { return s == Stopped || s == Completed || s == Failed }

// stateOf is the value of a message about a state, with the error that led to it.
func stateOf(name string, state int32, r *object.ErrorRecord) *clixml.Bag {
	b := new(clixml.Bag).Add(name, state)
	if r != nil {
		b.Add("ExceptionAsErrorRecord", errorBag(r))
	}
	return b
}

// errorBag is an error as ERROR_RECORD carries it (MS-PSRP 2.2.3.15). Neither the trace of a stack nor the object that
// it happened to crosses.
func errorBag(r *object.ErrorRecord) *clixml.Bag {
	e := r.Exception
	if e == nil {
		e = &object.Exception{}
	}
	named := func(prefix string, names []string) []string {
		out := make([]string, len(names))
		for i, n := range names {
			out[i] = strings.TrimPrefix(n, prefix)
		}
		return out
	}
	x := object.New(named("Deserialized.", e.Type().Names())...)
	x.Text = func() string { return e.Type().Name + ": " + e.Message }
	for _, p := range []object.Property{{Name: "Message", Value: e.Message}, {Name: "InnerException"}, {Name: "HResult", Value: e.HResult}} {
		p.Kind = object.DataProperty
		x.AddProperty(&p)
	}
	var target any
	targetName, targetType := r.TargetName, r.TargetType
	if r.Target != nil {
		target = object.String(r.Target)
		targetName = cmp.Or(targetName, object.String(r.Target))
		if t := object.TypeOf(r.Target); t != nil {
			targetType = cmp.Or(targetType, t.Title())
		}
	}
	b := &clixml.Bag{Types: []string{automation + "ErrorRecord", "System.Object"}, Text: r.Message()}
	b.Add("Exception", x).Add("TargetObject", target).Add("FullyQualifiedErrorId", r.ID).Add("InvocationInfo", nil)
	b.Add("ErrorCategory_Category", int32(r.Category)).Add("ErrorCategory_Activity", r.Activity)
	b.Add("ErrorCategory_Reason", cmp.Or(r.Reason, e.Type().Title())).Add("ErrorCategory_TargetName", targetName)
	b.Add("ErrorCategory_TargetType", targetType).Add("ErrorCategory_Message", r.CategoryInfo())
	if r.Details != "" {
		b.Add("ErrorDetails_Message", r.Details).Add("ErrorDetails_RecommendedAction", nil)
	}
	return b.Add("SerializeExtendedInfo", false)
}

// parseError reads an error. It stays what the other side said; here it is a remote exception.
func parseError(v any) *object.ErrorRecord {
	f := fieldsOf(v)
	x := fieldsOf(f.any("Exception"))
	message := x.text("Message")
	if message == "" {
		message = object.String(v)
	}
	r := &object.ErrorRecord{
		Exception: &object.Exception{Class: object.TRemoteException, Message: message, Inner: &object.Exception{Class: classOf(object.TypeNames(x.o)), Message: message}},
		ID:        f.text("FullyQualifiedErrorId"), Category: object.Category(f.number("ErrorCategory_Category", 0)),
		Activity: f.text("ErrorCategory_Activity"), Reason: f.text("ErrorCategory_Reason"), TargetName: f.text("ErrorCategory_TargetName"),
		TargetType: f.text("ErrorCategory_TargetType"), Details: f.text("ErrorDetails_Message"), Remote: true,
	}
	if t := f.any("TargetObject"); t != nil {
		r.Target = object.String(t)
	}
	return r
}

// classOf is a class of these names: the one that we know, or a new one of at most 16 ancestors.
func classOf(names []string) *object.Type {
	var t *object.Type
	for i := min(len(names), 16) - 1; i >= 0; i-- {
		name := strings.TrimPrefix(names[i], "Deserialized.")
		if k, ok := object.FindType(name); ok && k.Name == name {
			t = k
		} else {
			t = &object.Type{Name: name, Base: t}
		}
	}
	return t
}

// A Note is a message of the debug, verbose or warning stream.
type Note struct {
	Kind Type // DebugMessage, VerboseMessage or WarningMessage
	Text string
}

func (n Note) bag() *clixml.Bag {
	kind := map[Type]string{DebugMessage: "Debug", VerboseMessage: "Verbose", WarningMessage: "Warning"}[n.Kind]
	b := &clixml.Bag{Types: []string{automation + kind + "Record", automation + "InformationalRecord", "System.Object"}}
	return b.Add("InformationalRecord_Message", n.Text).Add("InformationalRecord_SerializeInvocationInfo", false)
}

// Progress is a message of the progress stream (MS-PSRP 2.2.2.25).
type Progress struct {
	Activity, Status, Operation string
	ID, Parent, Percent         int32 // Parent -1: none; Percent -1: unknown
	Seconds                     int32 // that remain, -1: unknown
	Done                        bool
}

var tProgress = enumeration("ProgressRecordType", "Processing", "Completed")

func (p Progress) bag() *clixml.Bag {
	var operation any
	if p.Operation != "" {
		operation = p.Operation
	}
	kind := object.Enum{Type: tProgress}
	if p.Done {
		kind.Value = 1
	}
	return new(clixml.Bag).Add("Activity", p.Activity).Add("ActivityId", p.ID).Add("StatusDescription", p.Status).Add("CurrentOperation", operation).
		Add("ParentActivityId", p.Parent).Add("PercentComplete", p.Percent).Add("Type", kind).Add("SecondsRemaining", p.Seconds)
}

func parseProgress(v any) Progress {
	f := fieldsOf(v)
	n := func(name string) int32 { return int32(f.number(name, -1)) }
	return Progress{Activity: f.text("Activity"), Status: f.text("StatusDescription"), Operation: f.text("CurrentOperation"),
		ID: int32(f.number("ActivityId", 0)), Parent: n("ParentActivityId"), Percent: n("PercentComplete"), Seconds: n("SecondsRemaining"), Done: n("Type") == 1}
}

// Information is a message of the information stream (MS-PSRP 2.2.2.26), since protocol 2.3.
type Information struct {
	Data                   any
	Source, User, Computer string
	At                     time.Time
	Tags                   []string
	Process                uint32
}

func (i Information) bag() *clixml.Bag {
	tags := &object.List{Kind: &object.Type{Name: "System.Collections.Generic.List`1[[System.String]]", Base: object.TObject}}
	for _, t := range i.Tags {
		tags.Items = append(tags.Items, t)
	}
	return new(clixml.Bag).Add("MessageData", i.Data).Add("Source", i.Source).Add("TimeGenerated", i.At).Add("Tags", tags).Add("User", i.User).
		Add("Computer", i.Computer).Add("ProcessId", i.Process).Add("NativeThreadId", uint32(0)).Add("ManagedThreadId", uint32(0))
}

func parseInformation(v any) Information {
	f := fieldsOf(v)
	at, _ := f.any("TimeGenerated").(time.Time)
	return Information{Data: f.any("MessageData"), Source: f.text("Source"), User: f.text("User"), Computer: f.text("Computer"), At: at,
		Tags: f.texts("Tags"), Process: uint32(f.number("ProcessId", 0))}
}

// enumeration is one of PowerShell's own: its members are 0, 1, ...
func enumeration(name string, members ...string) *object.Type {
	t := &object.Type{Name: automation + name, Base: object.TErrorCategory.Base}
	for i, m := range members {
		t.Enum = append(t.Enum, object.EnumName{Name: m, Value: int64(i)})
	}
	return t
}
