package ewsserver

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"busybridge/internal/routing"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
)

// Refusals that concern a whole request. Their text, made a sentence, is told to
// the client.
var (
	errAccessDenied      = errors.New("access is denied. Check credentials and try again")
	errImpersonateDenied = errors.New("the account does not have permission to impersonate the requested user")
	errNoMailbox         = errors.New("the SMTP address has no mailbox associated with it")
	errUnreadable        = errors.New("the request could not be read")
	errTooManyParts      = fmt.Errorf("the request names more than %d objects", maxParts)
)

// A limitError is a limit of GetUserAvailability that a request does not keep (2.2).
type limitError struct{ code, text string }

func (e *limitError) Error() string { return e.text }

// An unknownOperationError is a body that names no operation of this server.
type unknownOperationError struct{ name string }

func (e *unknownOperationError) Error() string {
	return fmt.Sprintf("the operation %q is not available on this server", clip(e.name))
}

// A mustUnderstandError is a header that the sender insists on.
type mustUnderstandError struct{ name string }

func (e *mustUnderstandError) Error() string {
	return fmt.Sprintf("the header %q is marked mustUnderstand and is not understood", clip(e.name))
}

// faultCodes are the faults whose text is the error's own (1.5).
var faultCodes = []struct {
	err  error
	code string
}{
	{errAccessDenied, "ErrorAccessDenied"},
	{errImpersonateDenied, "ErrorImpersonateUserDenied"},
	{errNoMailbox, "ErrorNonExistentMailbox"},
	{errUnreadable, "ErrorInvalidRequest"},
	{errTooManyParts, "ErrorInvalidRequest"},
	{ews.ErrTimeZone, "ErrorTimeZone"},
	{ews.ErrDuplicateHeader, "ErrorDuplicateSOAPHeader"},
	{ews.ErrServerVersion, "ErrorInvalidServerVersion"},
	{ews.ErrImpersonation, "ErrorInvalidExchangeImpersonationHeaderData"},
	{ews.ErrAccessModes, "ErrorMoreThanOneAccessModeSpecified"},
	{soap.ErrTooLarge, "ErrorRequestStreamTooBig"},
}

// faultFor is the one place where an error of a request becomes a fault. known
// is false for an error that the client learns nothing of.
func faultFor(err error) (f *soap.Fault, known bool) {
	if e, ok := errors.AsType[*soap.SyntaxError](err); ok {
		return schemaFault(e.Line, e.Col, e.Violation), true
	}
	if e, ok := errors.AsType[*ews.SchemaError](err); ok {
		return schemaFault(e.Line, e.Col, e.Violation), true
	}
	if errors.Is(err, soap.ErrNotSOAP) {
		return schemaFault(1, 1, err.Error()), true
	}
	if errors.Is(err, soap.ErrVersion12) {
		return &soap.Fault{Code: "VersionMismatch", String: "SOAP 1.2 is not supported. Send SOAP 1.1."}, true
	}
	if e, ok := errors.AsType[*mustUnderstandError](err); ok {
		return &soap.Fault{Code: "MustUnderstand", String: sentence(e)}, true
	}
	if e, ok := errors.AsType[*unknownOperationError](err); ok {
		return fault("ErrorInvalidRequest", sentence(e)), true
	}
	if e, ok := errors.AsType[*limitError](err); ok {
		return fault(e.code, e.text), true
	}
	if e, ok := errors.AsType[*mount.BusyError](err); ok {
		f := fault("ErrorServerBusy", "The server cannot service this request right now. Try again later.")
		f.Values = []soap.Value{{Name: "BackOffMilliseconds", Value: strconv.FormatInt(e.Wait.Milliseconds(), 10)}}
		return f, true
	}
	for _, x := range faultCodes {
		if errors.Is(err, x.err) {
			return fault(x.code, sentence(err)), true
		}
	}
	return fault("ErrorInternalServerError", "An internal server error occurred. The operation failed."), false
}

func fault(code, text string) *soap.Fault {
	return &soap.Fault{Code: code, String: text, ResponseCode: code, Message: text}
}

func schemaFault(line, col int, violation string) *soap.Fault {
	const message = "The request failed schema validation."
	return &soap.Fault{
		Code: "ErrorSchemaValidation", String: "The request failed schema validation: " + violation,
		ResponseCode: "ErrorSchemaValidation", Message: message, Line: line, Col: col, Violation: violation,
	}
}

// sentence makes a text for people of an error.
func sentence(err error) string {
	s := err.Error()
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

func clip(s string) string {
	const limit = 80
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// A mailboxFault is how the reason of one mailbox's error is written (2.7).
type mailboxFault struct {
	code      string // ResponseCode
	exception string // class name, without its namespace; "": as the code says
	number    int    // ExceptionCode; 0: not known in public
	lid       int    // where in Exchange it is raised; 0: not known
}

var mailboxFaults = map[routing.Reason]mailboxFault{
	routing.RecipientNotFound:  {"ErrorMailRecipientNotFound", "MailRecipientNotFoundException", 5009, 57660},
	routing.InvalidAddress:     {"ErrorInvalidSmtpAddress", "InvalidSmtpAddressException", 5035, 0},
	routing.NoAccess:           {"ErrorNoFreeBusyAccess", "NoFreeBusyAccessException", 0, 47652},
	routing.NoRoute:            {"ErrorAddressSpaceNotFound", "AddressSpaceNotFoundException", 0, 47932},
	routing.AutodiscoverFailed: {"ErrorAutoDiscoverFailed", "AutoDiscoverFailedException", 0, 33676},
	routing.ProxyFailed:        {"ErrorProxyRequestProcessingFailed", "ProxyWebRequestProcessingException", 0, 43532},
	routing.ProxyNotAllowed:    {"ErrorProxyRequestNotAllowed", "CrossOrganizationProxyNotAllowedForExternalOrganization", 0, 39660},
	routing.TimedOut:           {"ErrorTimeoutExpired", "TimeoutExpiredException", 0, 43404},
	routing.TooManyEvents:      {"ErrorResultSetTooBig", "ResultSetTooBigException", 0, 54796},
	routing.GenerationFailed:   {"ErrorFreeBusyGenerationFailed", "FreeBusyGenerationFailedException", 0, 0},
	routing.RelationshipBad:    {"ErrorInvalidOrganizationRelationshipForFreeBusy", "InvalidOrganizationRelationshipForFreeBusyException", 0, 0},
	routing.SharingPolicy:      {"ErrorNotAllowedExternalSharingByPolicy", "NotAllowedExternalSharingByPolicyException", 0, 0},
	routing.GroupTooBig:        {"ErrorFreeBusyDLLimitReached", "FreeBusyDLLimitReachedException", 0, 0},

	routing.CrossForestCredentials: {"ErrorInvalidCrossForestCredentials", "InvalidCrossForestCredentialsException", 0, 0},
	routing.ServiceDiscoveryFailed: {"ErrorServiceDiscoveryFailed", "ServiceDiscoveryFailedException", 5021, 0},
}

const exceptionSpace = "Microsoft.Exchange.InfoWorker.Common.Availability."

// mailboxError is the one place where the error of one mailbox becomes a
// response message. An error that is no *routing.MailboxError is logged and
// told without details.
func (c *call) mailboxError(err error) ews.ResponseMessage {
	me, ok := errors.AsType[*routing.MailboxError](err)
	if !ok {
		c.cfg.Log.LogAttrs(c.ctx, slog.LevelError, "free/busy of a mailbox", slog.Any("err", err))
		me = &routing.MailboxError{Reason: routing.GenerationFailed, Text: "Free/busy information could not be generated."}
	}
	f, ok := mailboxFaults[me.Reason]
	switch {
	case me.Reason == routing.Remote && responseCode(me.Code):
		f = mailboxFault{code: me.Code}
	case !ok:
		f = mailboxFaults[routing.ProxyFailed]
	}
	if f.exception == "" {
		f.exception = strings.TrimPrefix(f.code, "Error") + "Exception"
	}
	x := &ews.Exception{Type: exceptionSpace + f.exception, Code: f.number, Server: c.serverName(), Message: me.Text}
	if f.lid != 0 {
		x.Message = fmt.Sprintf("%s. LID: %d", strings.TrimSuffix(me.Text, "."), f.lid)
	}
	return ews.ResponseMessage{Class: "Error", Code: f.code, Text: me.Text, Exception: x}
}

// responseCode reports whether another server's code can be one.
func responseCode(s string) bool {
	if !strings.HasPrefix(s, "Error") || len(s) > 80 {
		return false
	}
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			if s[i] < '0' || s[i] > '9' {
				return false
			}
		}
	}
	return true
}
