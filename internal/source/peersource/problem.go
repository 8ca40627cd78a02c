package peersource

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"busybridge/internal/dial/autodiscoverclient"
	"busybridge/internal/dial/ewsclient"
	"busybridge/internal/directory"
	"busybridge/internal/routing"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
)

// A move says whether an address is still served where it was asked for.
type move uint8

const (
	stays     move = iota
	gone           // nobody is there, or nobody that lets us in
	elsewhere      // somebody is there, who does not have this mailbox
)

// movedBy judges the outcome of a question at an endpoint that was known from
// before.
func movedBy(ctx context.Context, err error) move {
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return stays
	}
	if me, ok := errors.AsType[*routing.MailboxError](err); ok {
		if me.Code == "ErrorProxyRequestNotAllowed" {
			return elsewhere
		}
		return stays
	}
	if se, ok := errors.AsType[*ewsclient.StatusError](err); ok {
		switch se.Status {
		case http.StatusUnauthorized, http.StatusNotFound, http.StatusGone,
			http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			return gone
		}
		return stays
	}
	if isOf[*url.Error](err) { // of the transport
		return gone
	}
	return stays
}

// The texts are those of EWS reference 2.7 and Autodiscover reference part 5:
// administrators search for them.

const timedOutText = "Request could not be processed in time. Timeout occurred during 'Waiting-For-Request-Completion'."

func timedOut(err error) *routing.MailboxError {
	text := timedOutText
	if dt, ok := errors.AsType[*discoveryTimeout](err); ok {
		text += " " + dt.Error() + "."
	}
	return &routing.MailboxError{Reason: routing.TimedOut, Text: text, Err: err}
}

// discoveryError is why Autodiscover has no place for an address.
func discoveryError(address smtpaddr.Address, err error) *routing.MailboxError {
	if isOf[*discoveryTimeout](err) || errors.Is(err, context.DeadlineExceeded) {
		return timedOut(err)
	}
	me := &routing.MailboxError{Reason: routing.AutodiscoverFailed, Err: err}
	if isOf[*autodiscoverclient.UserError](err) || isOf[*redirectError](err) {
		me.Text = clean(err.Error(), maxText)
		return me
	}
	what := reason(err)
	if se, ok := errors.AsType[*autodiscoverclient.StatusError](err); ok {
		what = fmt.Sprintf("The remote server returned an error: (%d) %s.", se.Status, http.StatusText(se.Status))
		if se.Diagnostics != "" {
			what += ", diagnostics: " + se.Diagnostics
		}
	}
	me.Text = clean(fmt.Sprintf("Autodiscover failed for email address %s with error %s", address, what), maxText)
	return me
}

// askError is why a question by EWS has no answer at all. A fault's code is
// that of every mailbox (EWS reference 2.2).
func askError(err error) *routing.MailboxError {
	if isTimeout(err) {
		return timedOut(err)
	}
	if f, ok := errors.AsType[*soap.Fault](err); ok {
		if code := responseCode(f.ResponseCode, f.Code); code != "" {
			return &routing.MailboxError{Reason: routing.Remote, Code: code, Text: clean(f.String, maxText), Err: err}
		}
	}
	return proxyFailed(err)
}

func proxyFailed(err error) *routing.MailboxError {
	return &routing.MailboxError{Reason: routing.ProxyFailed, Text: clean("Proxy web request failed. , inner exception: "+reason(err), maxText), Err: err}
}

// reason says in the words of the reference what went wrong between us and
// another server. What it does not know keeps its own words, as the failure
// to get a token does: they name the cause.
func reason(err error) string {
	if se, ok := errors.AsType[*ewsclient.StatusError](err); ok {
		s := fmt.Sprintf("The request failed with HTTP status %d: %s", se.Status, http.StatusText(se.Status))
		if se.Diagnostics != "" {
			s += " diagnostics: " + se.Diagnostics
		}
		return s
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		host := ue.URL
		if u, err := url.Parse(ue.URL); err == nil {
			host = u.Host
		}
		op, dial := errors.AsType[*net.OpError](ue.Err)
		switch {
		case isTLS(ue.Err):
			return fmt.Sprintf("Could not create SSL/TLS secure channel with %s: %v", host, ue.Err)
		case dial && op.Op == "dial":
			return fmt.Sprintf("Unable to connect to the remote server %s: %v", host, ue.Err)
		}
		return fmt.Sprintf("%s: %v", host, ue.Err)
	}
	if errors.Is(err, ewsclient.ErrNotXML) {
		return "Response is not well-formed XML: " + err.Error()
	}
	return err.Error()
}

func isTLS(err error) bool {
	return isOf[*tls.CertificateVerificationError](err) || isOf[tls.RecordHeaderError](err) || isOf[tls.AlertError](err) ||
		isOf[x509.HostnameError](err) || isOf[x509.UnknownAuthorityError](err) || isOf[x509.CertificateInvalidError](err)
}

// isTimeout reports whether err is an answer that did not come. A connection
// that did not come about is no answer either, but says more by itself.
func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	ne, ok := errors.AsType[net.Error](err)
	op, dial := errors.AsType[*net.OpError](err)
	return ok && ne.Timeout() && (!dial || op.Op != "dial")
}

// remoteError keeps what the other side says of one mailbox.
func remoteError(m *ews.ResponseMessage) *routing.MailboxError {
	text := m.Text
	if text == "" && m.Exception != nil {
		text = m.Exception.Message
	}
	code := responseCode(m.Code)
	if code == "" {
		return proxyFailed(fmt.Errorf("the answer is an error without a code: %q", clean(text, maxText)))
	}
	return &routing.MailboxError{Reason: routing.Remote, Code: code, Text: clean(text, maxText)}
}

// responseCode returns the first of codes that looks like one, or "".
func responseCode(codes ...string) string {
	for _, c := range codes {
		rest, ok := strings.CutPrefix(c, "Error")
		if ok && rest != "" && len(rest) <= 80 && strings.Trim(strings.ToLower(rest), "abcdefghijklmnopqrstuvwxyz0123456789") == "" {
			return strings.Clone(c)
		}
	}
	return ""
}

func badRelationship(r *directory.OrganizationRelationship) *routing.MailboxError {
	what := "it has neither TargetSharingEpr nor TargetAutodiscoverEpr"
	if r.TargetSharingEpr != "" || r.TargetAutodiscoverEpr != "" {
		what = "its endpoint ends in /WSSecurity, which wants a federation token; set TargetSharingEpr to an EWS URL that takes OAuth, or add an IntraOrganizationConnector"
	}
	return &routing.MailboxError{Reason: routing.RelationshipBad, Text: fmt.Sprintf("Organization relationship %q cannot be used: %s.", r.Name, what)}
}
