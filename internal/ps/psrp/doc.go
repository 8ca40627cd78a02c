// Package psrp is the PowerShell Remoting Protocol (MS-PSRP) of both sides, without any input or output: bytes of a
// stream go in, events come out, and what is to be sent waits in an [Outbox].
//
// A [Server] is the runspace pool behind one shell and a [Job] one of its pipelines. A [Client] is the pool as its user
// has it and a [Run] one of its pipelines. The transport, WS-Management, carries their streams: the pool's stream first
// within the creation of a shell, a pipeline's first within the request that starts its command.
//
//	client                                        server
//	Open  -- SESSION_CAPABILITY, INIT_RUNSPACEPOOL -->  Opened
//	Opened <-- SESSION_CAPABILITY, APPLICATION_PRIVATE_DATA, RUNSPACEPOOL_STATE --
//	Start -- CREATE_PIPELINE -->                        Started
//	Input -- PIPELINE_INPUT, END_OF_PIPELINE_INPUT -->  Input, InputEnd
//	Output, Failure, ... <-- the streams --             Output, Error, ...
//	Ended <-- PIPELINE_STATE --                         End
//
// Nothing here runs text: a pipeline is names of commands with values, and who may run what is the caller's to decide.
// A value of any of these types is for one goroutine at a time, together with its pool: whoever serves a shell holds one
// lock for it.
package psrp

import (
	"errors"
	"fmt"
)

// What each side accepts unless it is told otherwise: PowerShell's own limits.
const (
	MaxObject = 10 << 20 // bytes of one message
	MaxInput  = 50 << 20 // bytes of all messages that a client sends to one pipeline
)

var (
	// ErrEnded is returned for what is sent to or by a pipeline that has ended, or a pool that is not open.
	ErrEnded = errors.New("psrp: the pipeline or its pool has ended")
	// ErrTooLarge is returned for a message, or a pipeline's input, over the limit.
	ErrTooLarge = errors.New("psrp: too much data")
)

// A ProtocolError says how the other side broke the protocol. The stream it came by cannot be read any more.
type ProtocolError struct {
	Type Type // of the message at fault, 0 when it is a fragment
	Err  error
}

func (e *ProtocolError) Error() string {
	if e.Type == 0 {
		return "psrp: fragment: " + e.Err.Error()
	}
	return fmt.Sprintf("psrp: %v: %v", e.Type, e.Err)
}

// Unwrap is the cause.
func (e *ProtocolError) Unwrap() error { return e.Err }

func broken(t Type, format string, args ...any) error {
	return &ProtocolError{t, fmt.Errorf(format, args...)}
}
