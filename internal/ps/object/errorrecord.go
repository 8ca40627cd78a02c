package object

import (
	"errors"
	"fmt"
	"strings"
)

// A Category is the category of an error record; the numbers are ErrorCategory's.
type Category int

// The categories that this program uses.
const (
	NotSpecified     Category = 0
	OpenError        Category = 1
	InvalidArgument  Category = 5
	InvalidData      Category = 6
	InvalidOperation Category = 7
	InvalidResult    Category = 8
	InvalidType      Category = 9
	NotImplemented   Category = 11
	ObjectNotFound   Category = 13
	OperationStopped Category = 14
	OperationTimeout Category = 15
	SyntaxError      Category = 16
	ParserError      Category = 17
	PermissionDenied Category = 18
	ResourceExists   Category = 20
	ReadError        Category = 22
	WriteError       Category = 23
	SecurityError    Category = 25
	ConnectionError  Category = 27
	AuthFailed       Category = 28
	LimitsExceeded   Category = 29
)

func (c Category) String() string { return Enum{TErrorCategory, int64(c)}.String() }

// A Position is a place in a script with the text an error shows.
type Position struct {
	File   string // empty: typed at the prompt
	Line   int    // from 1
	Column int    // from 1, in characters
	Source string // the whole source line
	Length int    // characters of the extent on that line
}

// An Invocation says which command reported an error.
type Invocation struct {
	Command  string // as it was resolved, empty for an expression
	Line     string
	Position Position
}

// An ErrorRecord is what $Error holds and catch gets.
type ErrorRecord struct {
	Exception  *Exception
	ID         string // FullyQualifiedErrorId
	Category   Category
	Activity   string // the command that reported it
	Reason     string // empty: the exception's class name
	Target     any
	TargetName string // empty: Target as text
	TargetType string // empty: the type name of Target
	Details    string // replaces the message when shown
	Position   *Position
	Invocation *Invocation
	StackTrace string
	Extra      []Note // lines added to the shown text, as PSComputerName
	Remote     bool   // it came from another session and has no place in this one
}

// A Note is a named line of text.
type Note struct{ Name, Text string }

// Error is the message.
func (r *ErrorRecord) Error() string { return r.Message() }

// Unwrap is the exception.
func (r *ErrorRecord) Unwrap() error {
	if r.Exception == nil {
		return nil
	}
	return r.Exception
}

// Message is the text that is shown: the details when there are any, else the exception's message.
func (r *ErrorRecord) Message() string {
	switch {
	case r.Details != "":
		return r.Details
	case r.Exception != nil:
		return r.Exception.Message
	}
	return ""
}

// CategoryInfo is the text <Category>: (<TargetName>:<TargetType>) [<Activity>], <Reason>.
func (r *ErrorRecord) CategoryInfo() string {
	return fmt.Sprintf("%s: (%s:%s) [%s], %s", r.Category, r.targetName(), r.targetType(), r.Activity, r.reason())
}

func (r *ErrorRecord) targetName() string {
	if r.TargetName != "" || r.Target == nil {
		return shorten(r.TargetName)
	}
	return shorten(String(r.Target))
}

// shorten cuts the middle out of long texts, as category texts do: of one with more than 40 characters the first and
// the last 15 stay.
func shorten(s string) string {
	r := []rune(s)
	if len(r) <= 40 {
		return s
	}
	return string(r[:15]) + "..." + string(r[len(r)-15:])
}

func (r *ErrorRecord) targetType() string {
	if r.TargetType != "" || r.Target == nil {
		return r.TargetType
	}
	if t := TypeOf(r.Target); t != nil {
		return t.Title()
	}
	return ""
}

func (r *ErrorRecord) reason() string {
	if r.Reason != "" || r.Exception == nil {
		return r.Reason
	}
	return r.Exception.Type().Title()
}

// An Exception is a .NET exception as scripts see it.
type Exception struct {
	Class   *Type // nil: RuntimeException
	Message string
	Inner   *Exception
	Cause   error // the Go error it was made from, may be nil
	HResult int32
}

// Type is the exception's class.
func (e *Exception) Type() *Type {
	if e.Class == nil {
		return TRuntimeException
	}
	return e.Class
}

// Error is the message.
func (e *Exception) Error() string { return e.Message }

// Unwrap is the Go error the exception was made from, or the inner exception.
func (e *Exception) Unwrap() error {
	switch {
	case e.Cause != nil:
		return e.Cause
	case e.Inner != nil:
		return e.Inner
	}
	return nil
}

// Matches reports whether catch [t] takes the exception: it or one inside it is of that class.
func (e *Exception) Matches(t *Type) bool {
	for x := e; x != nil; x = x.Inner {
		if x.Type().Is(t) {
			return true
		}
	}
	return false
}

func exception(name string, base *Type) *Type {
	return &Type{Name: name, Base: base}
}

// The exception classes.
var (
	TException        = &Type{Name: "System.Exception", Short: "exception", Base: TObject}
	tSystemException  = exception("System.SystemException", TException)
	TApplicationError = exception("System.ApplicationException", TException)
	TRuntimeException = exception("System.Management.Automation.RuntimeException", tSystemException)

	TArgumentException  = exception("System.ArgumentException", tSystemException)
	tArgumentNull       = exception("System.ArgumentNullException", TArgumentException)
	tArgumentRange      = exception("System.ArgumentOutOfRangeException", TArgumentException)
	TFormatException    = exception("System.FormatException", tSystemException)
	tURIFormat          = exception("System.UriFormatException", TFormatException)
	tInvalidCast        = exception("System.InvalidCastException", tSystemException)
	TInvalidOperation   = exception("System.InvalidOperationException", tSystemException)
	TNotSupported       = exception("System.NotSupportedException", tSystemException)
	TNotImplemented     = exception("System.NotImplementedException", tSystemException)
	tArithmetic         = exception("System.ArithmeticException", tSystemException)
	tDivideByZero       = exception("System.DivideByZeroException", tArithmetic)
	tOverflow           = exception("System.OverflowException", tArithmetic)
	tNullReference      = exception("System.NullReferenceException", tSystemException)
	tIndexRange         = exception("System.IndexOutOfRangeException", tSystemException)
	tKeyNotFound        = exception("System.Collections.Generic.KeyNotFoundException", tSystemException)
	TUnauthorizedAccess = exception("System.UnauthorizedAccessException", tSystemException)
	TIOException        = exception("System.IO.IOException", tSystemException)
	TFileNotFound       = exception("System.IO.FileNotFoundException", TIOException)
	TDirNotFound        = exception("System.IO.DirectoryNotFoundException", TIOException)
	TTimeout            = exception("System.TimeoutException", tSystemException)
	tCOMException       = exception("System.Runtime.InteropServices.COMException", exception("System.Runtime.InteropServices.ExternalException", tSystemException))
	tCryptographic      = exception("System.Security.Cryptography.CryptographicException", tSystemException)

	TMethodException     = exception("System.Management.Automation.MethodException", exception("System.Management.Automation.ExtendedTypeSystemException", TRuntimeException))
	tMethodInvocation    = exception("System.Management.Automation.MethodInvocationException", TMethodException)
	tSetValue            = exception("System.Management.Automation.SetValueException", TMethodException.Base)
	tSetValueInvocation  = exception("System.Management.Automation.SetValueInvocationException", tSetValue)
	tGetValue            = exception("System.Management.Automation.GetValueException", TMethodException.Base)
	TPSInvalidCast       = exception("System.Management.Automation.PSInvalidCastException", tInvalidCast)
	TPSInvalidOperation  = exception("System.Management.Automation.PSInvalidOperationException", TInvalidOperation)
	TPSArgument          = exception("System.Management.Automation.PSArgumentException", TArgumentException)
	TPSArgumentNull      = exception("System.Management.Automation.PSArgumentNullException", tArgumentNull)
	TPSNotSupported      = exception("System.Management.Automation.PSNotSupportedException", TNotSupported)
	TCommandNotFound     = exception("System.Management.Automation.CommandNotFoundException", TRuntimeException)
	TParameterBinding    = exception("System.Management.Automation.ParameterBindingException", TRuntimeException)
	TParameterValidation = exception("System.Management.Automation.ParameterBindingValidationException", TParameterBinding)
	TArgumentTransform   = exception("System.Management.Automation.ParameterBindingArgumentTransformationException", TParameterBinding)
	TItemNotFound        = exception("System.Management.Automation.ItemNotFoundException", exception("System.Management.Automation.SessionStateException", TRuntimeException))
	TDriveNotFound       = exception("System.Management.Automation.DriveNotFoundException", TItemNotFound.Base)
	TSessionUnauthorized = exception("System.Management.Automation.SessionStateUnauthorizedAccessException", TItemNotFound.Base)
	TParseException      = exception("System.Management.Automation.ParseException", TRuntimeException)
	TActionPreferenceStp = exception("System.Management.Automation.ActionPreferenceStopException", TRuntimeException)
	TPipelineStopped     = exception("System.Management.Automation.PipelineStoppedException", TRuntimeException)
	TWriteError          = exception("Microsoft.PowerShell.Commands.WriteErrorException", tSystemException)
	TRemoteException     = exception("System.Management.Automation.RemoteException", TRuntimeException)
	TRemotingTransport   = exception("System.Management.Automation.Remoting.PSRemotingTransportException", TRuntimeException)
)

var exceptionTypes = []*Type{
	TException, tSystemException, TApplicationError, TRuntimeException, TArgumentException, tArgumentNull, tArgumentRange, TFormatException,
	tURIFormat, tInvalidCast, TInvalidOperation, TNotSupported, TNotImplemented, tArithmetic, tDivideByZero, tOverflow, tNullReference, tIndexRange,
	tKeyNotFound, TUnauthorizedAccess, TIOException, TFileNotFound, TDirNotFound, TTimeout, tCOMException, tCryptographic, TMethodException,
	TMethodException.Base, tMethodInvocation, tSetValue, tSetValueInvocation, tGetValue, TPSInvalidCast, TPSInvalidOperation, TPSArgument, TPSArgumentNull,
	TPSNotSupported, TCommandNotFound, TParameterBinding, TParameterValidation, TArgumentTransform, TItemNotFound, TItemNotFound.Base, TDriveNotFound,
	TSessionUnauthorized, TParseException, TActionPreferenceStp, TPipelineStopped, TWriteError, TRemoteException, TRemotingTransport,
}

// ErrNoMember says that a host object has no member of that name.
var ErrNoMember = errors.New("object: no such member")

// NewError makes the record of a runtime error. The class is the exception's; nil is RuntimeException.
func NewError(id string, category Category, class *Type, format string, args ...any) *ErrorRecord {
	message := format
	if len(args) > 0 {
		message = fmt.Sprintf(format, args...)
	}
	return &ErrorRecord{ID: id, Category: category, Exception: &Exception{Class: class, Message: message}}
}

// AsRecord is err as a record: the one inside it, or a new one around it.
func AsRecord(err error) *ErrorRecord {
	if r, ok := errors.AsType[*ErrorRecord](err); ok {
		return r
	}
	if e, ok := errors.AsType[*Exception](err); ok {
		return &ErrorRecord{Exception: e, ID: e.Type().Title()}
	}
	return &ErrorRecord{Exception: &Exception{Class: TRuntimeException, Message: err.Error(), Cause: err}, ID: "RuntimeException"}
}

// Thrown is the record that throw v makes: a record and an exception stay what they are, other values become a
// RuntimeException with their text. A bare throw (null) says ScriptHalted.
func Thrown(v any) *ErrorRecord {
	switch b := Base(v).(type) {
	case nil:
		return &ErrorRecord{ID: "ScriptHalted", Category: OperationStopped, Exception: &Exception{Message: "ScriptHalted"}}
	case *ErrorRecord:
		return b
	case *Exception:
		return &ErrorRecord{ID: b.Message, Category: OperationStopped, Exception: b}
	}
	text := String(v)
	return &ErrorRecord{ID: text, Category: OperationStopped, Target: v, Exception: &Exception{Message: text}}
}

// PositionText is the place as an error shows it: At line:2 char:1, the source line and the marks under it.
func (p *Position) PositionText() string {
	if p == nil || p.Line == 0 {
		return ""
	}
	place := "line:"
	if p.File != "" {
		place = p.File + ":"
	}
	// The marks keep one blank for each character before the extent; the source line loses what leads it.
	src := []rune(strings.TrimRight(p.Source, " \t\r\n"))
	lead := 0
	for lead < len(src) && lead < p.Column-1 && (src[lead] == ' ' || src[lead] == '\t') {
		lead++
	}
	n := max(1, min(p.Length, len(src)-p.Column+1))
	return fmt.Sprintf("At %s%d char:%d\n+ %s\n+ %s%s", place, p.Line, p.Column, string(src[lead:]),
		strings.Repeat(" ", max(0, p.Column-1-lead)), strings.Repeat("~", n))
}
