// Package wsman reads and writes the envelopes of WS-Management in which PowerShell's remoting travels (MS-WSMV): Identify,
// Create, Command, Send, Receive, Signal, Get, Disconnect, Reconnect and Delete with their answers, and faults with the codes
// that clients go by.
// It serves both sides and does no input or output.
//
// Names are matched by namespace. What is written has the prefixes that Windows uses: there are clients that look for them.
package wsman

// Namespaces.
const (
	nsSOAP     = "http://www.w3.org/2003/05/soap-envelope"
	nsAddress  = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
	nsWSMan    = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
	nsMS       = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
	nsTransfer = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
	nsShell    = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
	nsFault    = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
	nsIdentity = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
	nsPS       = "http://schemas.microsoft.com/powershell"
)

// Addresses with a meaning of their own.
const (
	anonymous = nsAddress + "/role/anonymous"
	// ResourceShell is asked by Get; ResourcePowerShell with the name of a configuration behind it by all else.
	ResourceShell      = nsShell
	ResourcePowerShell = nsPS + "/"
)

// An Action says what a message is.
type Action string

// The actions of requests. An answer's has Response behind it.
const (
	Identify   Action = "" // it has none
	Create     Action = nsTransfer + "/Create"
	Delete     Action = nsTransfer + "/Delete"
	Get        Action = nsTransfer + "/Get"
	Command    Action = nsShell + "/Command"
	Send       Action = nsShell + "/Send"
	Receive    Action = nsShell + "/Receive"
	Signal     Action = nsShell + "/Signal"
	Disconnect Action = nsShell + "/Disconnect"
	Reconnect  Action = nsShell + "/Reconnect"
	Connect    Action = nsShell + "/Connect"
	faulted    Action = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
	response          = "Response"
)

// States of a command in an answer to Receive.
const (
	CommandDone    = nsShell + "/CommandState/Done"
	CommandRunning = nsShell + "/CommandState/Running"
	CommandPending = nsShell + "/CommandState/Pending"
)

// OptionKeepAlive makes a Receive wait for its time-out; OptionProtocol is the version of a pool that is created.
const (
	OptionKeepAlive = "WSMAN_CMDSHELL_OPTION_KEEPALIVE"
	OptionProtocol  = "protocolversion"
)

// Codes of Signal.
const (
	SignalTerminate = nsShell + "/signal/Terminate" // the command has ended; forget it
	SignalStop      = "powershell/signal/crtl_c"    // as PowerShell spells it
)

// IsStop reports whether a code of Signal stops a command, as any client spells it.
func IsStop(code string) bool {
	switch lower(code) {
	case nsShell + "/signal/ctrl_c", nsShell + "/signal/ctrl_break", SignalStop, "powershell/signal/ctrl_c":
		return true
	}
	return false
}

// IsTerminate reports whether a code of Signal ends a command for good.
func IsTerminate(code string) bool { return lower(code) == lower(SignalTerminate) }
