package syncsource

import (
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/dial/ewsclient"
	"busybridge/internal/dial/graphclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/dial/winauth"
	"busybridge/internal/directory"
	"busybridge/internal/spec/graph"
	"busybridge/internal/spec/soap"
)

// Faults of servers, beside those of safehttp.
const (
	FaultMailbox       safehttp.Fault = "MailboxNotFound"     // there is no such mailbox there
	FaultImpersonation safehttp.Fault = "ImpersonationDenied" // the account may not act as its owner
	FaultSignIn        safehttp.Fault = "SignInNotOffered"    // no way of signing in that is configured
	FaultToken         safehttp.Fault = "TokenRefused"        // the authorization server gives the application none
)

// faults makes errors of answers that are none to a question.
type faults struct {
	http.RoundTripper
	mediaType string // of an answer
	now       func() time.Time
}

// RoundTrip implements http.RoundTripper.
func (f faults) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := f.RoundTripper.RoundTrip(r)
	if err != nil {
		if errors.Is(err, winauth.ErrNotOffered) || errors.Is(err, winauth.ErrChallenge) {
			return nil, &safehttp.FaultError{Fault: FaultSignIn, Err: err}
		}
		return nil, err
	}
	fault := f.of(resp)
	if fault == nil {
		return resp, nil
	}
	const limit = 16 << 10
	// A little is read, of what it says and so that the connection may be used again.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, limit)) // what could be read of it
	resp.Body.Close()
	if fault.Fault != safehttp.FaultContentType {
		fault = explained(fault, resp, body)
	}
	return nil, fault
}

// CloseIdleConnections is what http.Client looks for.
func (f faults) CloseIdleConnections() {
	if c, ok := f.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (f faults) of(resp *http.Response) *safehttp.FaultError {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	is := err == nil && t == f.mediaType
	// A SOAP fault comes with status 500 (EWS reference 1.1).
	if resp.StatusCode == http.StatusInternalServerError && is && f.mediaType == soapType {
		return nil
	}
	if resp.StatusCode/100 == 3 && resp.Header.Get("Location") != "" {
		return safehttp.Faultf(safehttp.FaultRedirect, "the server answers with status %d: a question does not follow redirects", resp.StatusCode)
	}
	if fault := safehttp.FaultOfStatus(resp, f.now()); fault != nil {
		return fault
	}
	if resp.StatusCode != http.StatusOK {
		return safehttp.Faultf(safehttp.FaultStatus, "the server answers with status %d", resp.StatusCode)
	}
	if !is && resp.Header.Get("Content-Type") != "" {
		return safehttp.Faultf(safehttp.FaultContentType, "the answer is of type %.60q, want %s", t, f.mediaType)
	}
	return nil
}

const (
	soapType = "text/xml"
	jsonType = "application/json"
)

// explained adds what a refusal says of itself.
func explained(f *safehttp.FaultError, resp *http.Response, body []byte) *safehttp.FaultError {
	e := *f
	if n, err := strconv.ParseFloat(resp.Header.Get("Retry-After"), 64); e.RetryAfter == 0 && err == nil && n > 0 && !math.IsNaN(n) {
		e.RetryAfter = time.Duration(min(n, 24*60*60) * float64(time.Second)) // getSchedule reference 6: it may have a fraction
	}
	text := ""
	if d := resp.Header.Get("x-ms-diagnostics"); d != "" {
		text = fmt.Sprintf(": %.200q", d)
	}
	if g := graph.ParseError(body); g != nil {
		text = fmt.Sprintf(": %.80q, %.200q", g.Code, g.Message)
		if resp.StatusCode == http.StatusNotFound && (g.Code == "ErrorInvalidUser" || g.Code == "ResourceNotFound" || g.Code == "MailboxNotEnabledForRESTAPI") {
			e.Fault = FaultMailbox
		}
	}
	if text != "" {
		e.Err = fmt.Errorf("%w%s", f.Err, text)
	}
	return &e
}

// codeFaults are what response codes of Exchange mean for a source (EWS reference
// 1.5, 2.7). Others are faults of the server.
var codeFaults = map[string]safehttp.Fault{
	"ErrorServerBusy": safehttp.FaultThrottled, "ErrorExceededConnectionCount": safehttp.FaultThrottled, "ErrorExceededFindCountLimit": safehttp.FaultThrottled,
	"ErrorImpersonateUserDenied": FaultImpersonation, "ErrorImpersonationDenied": FaultImpersonation, "ErrorImpersonationFailed": FaultImpersonation,
	"ErrorInvalidExchangeImpersonationHeaderData": FaultImpersonation,
	"ErrorAccessDenied":                           safehttp.FaultForbidden, "ErrorNoFreeBusyAccess": safehttp.FaultForbidden, "ErrorFolderNotFound": safehttp.FaultForbidden,
	"ErrorItemNotFound": safehttp.FaultForbidden, "ErrorInvalidAccessLevel": safehttp.FaultForbidden,
	"ErrorNonExistentMailbox": FaultMailbox, "ErrorMailRecipientNotFound": FaultMailbox, "ErrorInvalidSmtpAddress": FaultMailbox,
	"ErrorTimeoutExpired": safehttp.FaultTimedOut,
}

// errVersion: the server is older than the question.
var errVersion = errors.New("the server does not know the version of Exchange Web Services that it was asked in")

// tooMuchCodes say that less time has to be asked about.
var tooMuchCodes = []string{"ErrorResultSetTooBig", "ErrorTimeIntervalTooBig", "ErrorCalendarViewRangeTooBig"}

// refusedCode is why Exchange does not answer.
func refusedCode(code, text string) error {
	if slices.Contains(tooMuchCodes, code) {
		return fmt.Errorf("%w: %s", errTooMuch, code)
	}
	if code == "ErrorInvalidServerVersion" {
		return errVersion
	}
	f, ok := codeFaults[code]
	if !ok {
		f = safehttp.FaultServer
	}
	return safehttp.Faultf(f, "the server answers %.80q: %.200q", code, text)
}

// serverError is why a question has no answer: errTooMuch, or a fault that shows
// nothing of the URL but the host.
func serverError(err error, at directory.SecretURL) error {
	if f, ok := errors.AsType[*safehttp.FaultError](err); ok {
		return f
	}
	if f, ok := errors.AsType[*soap.Fault](err); ok {
		code := f.ResponseCode
		if code == "" {
			code = f.Code
		}
		refused := refusedCode(code, f.String)
		if fault, ok := errors.AsType[*safehttp.FaultError](refused); ok {
			if ms, err := strconv.ParseUint(f.Value("BackOffMilliseconds"), 10, 31); err == nil {
				fault.RetryAfter = min(time.Duration(ms)*time.Millisecond, 24*time.Hour)
			}
		}
		return refused
	}
	f := *safehttp.FaultOf(err)
	switch {
	case errors.Is(err, ewsclient.ErrTooLarge), errors.Is(err, graphclient.ErrTooLarge):
		f.Fault = safehttp.FaultTooLarge
	case errors.Is(err, ewsclient.ErrNotXML), errors.Is(err, graph.ErrBody):
		f.Fault = safehttp.FaultContent
	}
	f.Err = errors.New(hostOnly(f.Err.Error(), at))
	return &f
}

// hostOnly masks the address in a text.
func hostOnly(text string, at directory.SecretURL) string {
	base := strings.TrimSuffix(at.Reveal(), "/")
	if i := strings.Index(text, base); i >= 0 && base != "" {
		rest := text[i+len(base):]
		if n := strings.IndexAny(rest, ": \""); n >= 0 {
			rest = rest[n:]
		}
		return text[:i] + at.String() + rest
	}
	return text
}
