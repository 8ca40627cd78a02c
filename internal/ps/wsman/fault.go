package wsman

import (
	"fmt"

	"busybridge/internal/spec/soap"
)

// A Kind is a kind of fault: its codes and words. Clients go by the number.
type Kind struct {
	code, subcode, detail string // with prefixes
	Number                uint32
	Text                  string
}

// The kinds of faults (MS-WSMV 2.2.4.43, and the codes that Windows gives).
var (
	TimedOut = Kind{"s:Receiver", "w:TimedOut", "", 2150858793,
		"The WS-Management service cannot complete the operation within the time specified in OperationTimeout."}
	UnknownShell = Kind{"s:Sender", "w:InvalidSelectors", "UnexpectedSelectors", 2150858843,
		"The request for the Windows Remote Shell with the given ShellId or CommandId failed because it was not found on the server. Possible causes are: the specified ShellId is incorrect or the shell no longer exists on the server. Provide the correct ShellId or create a new shell and retry the operation."}
	// Left is for what a session is asked that its client has disconnected; Displaced tells its requests that wait
	// (wsmerror.h: ERROR_WINRS_SHELL_DISCONNECTED, ERROR_WSMAN_SERVICE_STREAM_DISCONNECTED); InUse is for who cannot
	// have it back (ERROR_WSMAN_INUSE_CANNOT_RECONNECT).
	Left      = Kind{"s:Receiver", "w:InternalError", "", 2150859204, "The WS-Management service cannot process the request. The shell is disconnected."}
	Displaced = Kind{"s:Receiver", "w:InternalError", "", 2150859230,
		"The WS-Management service cannot process the request because the stream is currently disconnected."}
	InUse           = Kind{"s:Receiver", "w:InternalError", "", 2150859213, "The WS-Management service cannot reconnect the shell. It belongs to another client."}
	UnknownResource = Kind{"s:Sender", "a:DestinationUnreachable", "", 2150858811,
		"The WS-Management service cannot process the request. The resource URI was not found in the WS-Management catalog."}
	Aborted      = Kind{"s:Receiver", "w:InternalError", "", 995, "The I/O operation has been aborted because of either a thread exit or an application request."}
	AccessDenied = Kind{"s:Sender", "w:AccessDenied", "", 5, "Access is denied."}
	TooLarge     = Kind{"s:Sender", "w:EncodingLimit", "MaxEnvelopeSize", 2150858886,
		"The WS-Management service cannot process the request. The request is larger than the configured size of an envelope."}
	UnknownAction = Kind{"s:Sender", "a:ActionNotSupported", "", 2150858752,
		"The WS-Management service cannot process the request. The action is not supported by the service."}
	Unsupported = Kind{"s:Sender", "w:UnsupportedFeature", "", 2150858778, "The WS-Management service does not support the specified feature."}
	Quota       = Kind{"s:Receiver", "w:QuotaLimit", "", 2150859174,
		"The WS-Management service cannot process the request. This user is allowed a limited number of concurrent shells, which was exceeded. Close existing shells or raise the quota for this user."}
	Busy           = Kind{"s:Receiver", "w:Concurrency", "", 2150859174, "The WS-Management service cannot process the request. The shell runs as many commands as it may."}
	Invalid        = Kind{"s:Sender", "w:SchemaValidationError", "", 2150858817, "The WS-Management service cannot process the request. The XML is not valid."}
	MustUnderstand = Kind{"s:MustUnderstand", "", "", 2150858761, "The WS-Management service cannot process the request. A header that must be understood is not."}
	Internal       = Kind{"s:Receiver", "w:InternalError", "", 2150858826, "The WS-Management service cannot process the request because of an internal error."}
)

// A Fault is an answer that is an error. It is an error itself.
type Fault struct {
	Kind
	Machine string // that it happened on, may be ""
}

// Fault makes a fault of the kind; more is added to its words, may be "".
func (k Kind) Fault(more string) *Fault {
	if more != "" {
		k.Text += " " + more
	}
	return &Fault{Kind: k}
}

// Of reports whether f is of kind k.
func (f *Fault) Of(k Kind) bool { return f.Number == k.Number }

// Error is the words and the number.
func (f *Fault) Error() string {
	return fmt.Sprintf("wsman: %s (%d, %s)", f.Text, f.Number, f.subcode)
}

const detailBase = "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/"

func (f *Fault) append(w *writer) {
	w.open("s:Fault")
	w.open("s:Code")
	w.text("s:Value", f.code)
	if f.subcode != "" {
		w.open("s:Subcode")
		w.text("s:Value", f.subcode)
		w.close("s:Subcode")
	}
	w.close("s:Code")
	w.open("s:Reason")
	w.text("s:Text", f.Text, "xml:lang", "en-US")
	w.close("s:Reason")
	w.open("s:Detail")
	if f.detail != "" {
		w.text("w:FaultDetail", detailBase+f.detail)
	}
	w.open("f:WSManFault", "xmlns:f", nsFault, "Code", fmt.Sprint(f.Number), "Machine", f.Machine)
	w.text("f:Message", f.Text)
	w.close("f:WSManFault")
	w.close("s:Detail")
	w.close("s:Fault")
}

// parseFault reads a fault. The number is what counts; one without is Internal's.
func parseFault(e *soap.Element) *Fault {
	f := Internal.Fault("")
	if c := e.Child(nsSOAP, "Code"); c != nil {
		f.code = c.ChildText(nsSOAP, "Value")
		f.subcode = c.Child(nsSOAP, "Subcode").ChildText(nsSOAP, "Value")
	}
	if text := e.Child(nsSOAP, "Reason").ChildText(nsSOAP, "Text"); text != "" {
		f.Text = text
	}
	detail := e.Child(nsSOAP, "Detail")
	if d := detail.ChildText(nsWSMan, "FaultDetail"); len(d) > len(detailBase) && d[:len(detailBase)] == detailBase {
		f.detail = d[len(detailBase):]
	}
	if w := detail.Child(nsFault, "WSManFault"); w != nil {
		f.Machine = w.AttrValue("Machine")
		if n, err := number(w.AttrValue("Code"), 1<<32-1); err == nil {
			f.Number = uint32(n)
		}
	}
	return f
}
