package graphserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"busybridge/internal/routing"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/graph"
	"busybridge/internal/trust"
)

// A problem is why a call is not answered (6).
type problem struct {
	status        int
	code, message string
}

func (p *problem) Error() string { return p.code + ": " + p.message }

func badRequest(code, message string) error { return &problem{http.StatusBadRequest, code, message} }

func invalidUser(id string) error {
	return &problem{http.StatusNotFound, "ErrorInvalidUser", fmt.Sprintf("The requested user '%s' is invalid.", clip(id))}
}

var (
	errNotDelegated = &problem{http.StatusBadRequest, "BadRequest", "/me request is only valid with delegated authentication flow."}
	errNoMailbox    = &problem{http.StatusNotFound, "MailboxNotEnabledForRESTAPI", "The mailbox is either inactive, soft-deleted, or is hosted on-premise."}
	errNotJSON      = &problem{http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The content type of the request must be application/json."}
	errUnreadable   = errors.New("the request could not be read")
)

// problemOf is the one table from errors to answers. known is false for one that
// the client learns nothing of.
func problemOf(err error) (p *problem, known bool) {
	var tooLarge *http.MaxBytesError
	var zone *graph.ZoneError
	switch {
	case errors.As(err, &p):
		return p, true
	case errors.As(err, &zone):
		return &problem{http.StatusBadRequest, "ErrorInvalidParameter", zone.Error()}, true
	case errors.As(err, &tooLarge):
		return &problem{http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", fmt.Sprintf("The request is larger than %d bytes.", tooLarge.Limit)}, true
	case errors.Is(err, graph.ErrBody):
		return &problem{http.StatusBadRequest, "BadRequest", "Unable to read JSON request payload. " + clip(strings.TrimPrefix(err.Error(), graph.ErrBody.Error()+": "))}, true
	case errors.Is(err, errUnreadable):
		return &problem{http.StatusBadRequest, "BadRequest", "The request could not be read."}, true
	}
	return &problem{http.StatusInternalServerError, "InternalServerError", "An internal server error occurred. The operation failed."}, false
}

// fail answers an error; what nobody has been told goes into the log.
func (c *call) fail(w http.ResponseWriter, err error) error {
	if c.r.Context().Err() != nil {
		return err // the client went away
	}
	p, known := problemOf(err)
	mount.AddAttrs(c.r.Context(), slog.String("fault", p.code))
	body, bodyErr := c.errorBody(p.code, p.message)
	if bodyErr != nil {
		return bodyErr
	}
	if writeErr := write(w, p.status, body); known || writeErr != nil {
		return writeErr
	}
	return err
}

// refuse answers somebody who is not let in: the challenge, with Graph's body.
// Of a good token without the role, that it is good (403).
func (c *call) refuse(w http.ResponseWriter, err error) error {
	if te, ok := errors.AsType[*trust.TokenError](err); ok && te.Step == trust.StepPermission {
		return c.fail(w, &problem{http.StatusForbidden, "ErrorAccessDenied", "Access is denied. Check credentials and try again."})
	}
	held := &heldWriter{ResponseWriter: w}
	c.cfg.Auth.Challenge(held, c.r, err)
	code, message := "InternalServerError", "An internal server error occurred. The operation failed."
	switch held.status {
	case http.StatusUnauthorized:
		code, message = "InvalidAuthenticationToken", "Access token is empty."
		if c.r.Header.Get("Authorization") != "" {
			message = "Access token validation failure."
		}
	case http.StatusBadRequest:
		code, message = "BadRequest", "The request has more than one Authorization header."
	case http.StatusTooManyRequests:
		code, message = "TooManyRequests", "Too many sign-ins failed. Wait before the next one."
		if _, busy := errors.AsType[*mount.BusyError](err); busy {
			message = "Too many requests."
		}
	case http.StatusServiceUnavailable:
		code, message = "ServiceUnavailable", "The server is busy."
	case http.StatusMisdirectedRequest:
		code, message = "MisdirectedRequest", "This host is not served here."
	}
	body, bodyErr := c.errorBody(code, message)
	if bodyErr != nil {
		return bodyErr
	}
	return write(w, held.status, body)
}

// A heldWriter keeps the status of an answer whose body is still to come.
type heldWriter struct {
	http.ResponseWriter
	status int
}

func (w *heldWriter) WriteHeader(status int) { w.status = status }

// numbers are responseCodes by the name that Exchange Web Services have for the
// same error (5).
var numbers = map[string]string{
	"ErrorMailRecipientNotFound":        "5009",
	"ErrorInvalidSmtpAddress":           "5035",
	"ErrorNoFreeBusyAccess":             "5037",
	"ErrorProxyRequestProcessingFailed": "5039",
	"ErrorAutoDiscoverFailed":           "5039",
	"ErrorAddressSpaceNotFound":         "5016",
	"ErrorProxyRequestNotAllowed":       "5016",
}

// names are those of the reasons why one mailbox has no answer.
var names = map[routing.Reason]string{
	routing.RecipientNotFound:  "ErrorMailRecipientNotFound",
	routing.InvalidAddress:     "ErrorInvalidSmtpAddress",
	routing.NoAccess:           "ErrorNoFreeBusyAccess",
	routing.NoRoute:            "ErrorAddressSpaceNotFound",
	routing.AutodiscoverFailed: "ErrorAutoDiscoverFailed",
	routing.ProxyFailed:        "ErrorProxyRequestProcessingFailed",
	routing.ProxyNotAllowed:    "ErrorProxyRequestNotAllowed",
	routing.TimedOut:           "ErrorTimeoutExpired",
	routing.TooManyEvents:      "ErrorResultSetTooBig",
	routing.GenerationFailed:   "ErrorFreeBusyGenerationFailed",
	routing.RelationshipBad:    "ErrorInvalidOrganizationRelationshipForFreeBusy",
	routing.SharingPolicy:      "ErrorNotAllowedExternalSharingByPolicy",
	routing.GroupTooBig:        "ErrorFreeBusyDLLimitReached",

	routing.CrossForestCredentials: "ErrorInvalidCrossForestCredentials",
	routing.ServiceDiscoveryFailed: "ErrorServiceDiscoveryFailed",
}

// mailboxError is the one place where the error of one mailbox is put into Graph's
// words. One whose number nobody has published keeps its name in the number's
// place.
func (c *call) mailboxError(err error) *graph.MailboxError {
	me, ok := errors.AsType[*routing.MailboxError](err)
	if !ok {
		c.cfg.Log.LogAttrs(c.r.Context(), slog.LevelError, "free/busy of a mailbox", slog.Any("err", err))
		me = &routing.MailboxError{Reason: routing.GenerationFailed, Text: "Free/busy information could not be generated."}
	}
	code := names[me.Reason]
	if me.Reason == routing.Remote {
		code = me.Code
	}
	if n := numbers[code]; n != "" {
		code = n
	}
	return &graph.MailboxError{Message: me.Text, Code: code}
}

func clip(s string) string {
	const limit = 160
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
