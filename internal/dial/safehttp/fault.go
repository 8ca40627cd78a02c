package safehttp

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Fault names why an exchange with another server failed, for people, metrics
// and decisions.
type Fault string

// The faults.
const (
	FaultName         Fault = "NameNotFound"      // the host has no address
	FaultAddress      Fault = "AddressNotAllowed" // the address is not public
	FaultRefused      Fault = "ConnectionRefused" //
	FaultConnection   Fault = "ConnectionFailed"  // no connection, or lost before an answer
	FaultCertificate  Fault = "Certificate"       // TLS does not prove the name
	FaultTimedOut     Fault = "TimedOut"          // no whole answer in time
	FaultRedirect     Fault = "Redirect"          // one that is not followed
	FaultUnauthorized Fault = "Unauthorized"      // 401
	FaultForbidden    Fault = "Forbidden"         // 403
	FaultNotFound     Fault = "NotFound"          // 404, 410
	FaultThrottled    Fault = "Throttled"         // 429
	FaultServer       Fault = "ServerError"       // 5xx
	FaultStatus       Fault = "UnexpectedStatus"  //
	FaultTooLarge     Fault = "TooLarge"          //
	FaultTruncated    Fault = "Truncated"         // the answer ends before its end
	FaultEncoding     Fault = "Encoding"          // a compression that was not asked for, or is broken
	FaultContentType  Fault = "WrongContentType"  //
	FaultContent      Fault = "WrongContent"      // not what the format says
	FaultURL          Fault = "AddressNotUsable"  // no https URL
	FaultCancelled    Fault = "Cancelled"         // we ended it
)

// A FaultError is a failed exchange. Its text names no URL but the host: paths may
// be secret.
type FaultError struct {
	Fault      Fault
	RetryAfter time.Duration // how long the server wants to be left alone; 0: not said
	Err        error
}

func (e *FaultError) Error() string { return e.Err.Error() }
func (e *FaultError) Unwrap() error { return e.Err }

// Faultf makes a FaultError.
func Faultf(f Fault, format string, args ...any) *FaultError {
	return &FaultError{Fault: f, Err: fmt.Errorf(format, args...)}
}

// FaultOf finds out why a request, or the reading of its answer, failed.
func FaultOf(err error) *FaultError {
	if known, ok := errors.AsType[*FaultError](err); ok {
		return known
	}
	if u, ok := errors.AsType[*url.Error](err); ok { // its own text has the URL
		return FaultOf(u.Err)
	}
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	if is(ErrRedirect) {
		return Faultf(FaultRedirect, "a redirect is not followed: only a few, and to https addresses, are")
	}
	of := func(f Fault) *FaultError { return &FaultError{Fault: f, Err: err} }
	if e, ok := errors.AsType[*net.DNSError](err); ok && !e.IsTimeout {
		return Faultf(FaultName, "the name %s has no address", e.Name)
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return Faultf(FaultTimedOut, "no whole answer came in time")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return of(FaultCertificate)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return of(FaultCertificate)
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return of(FaultCertificate)
	}
	switch {
	case is(ErrNotHTTPS, errEmptyHost):
		return of(FaultURL)
	case is(ErrAddress):
		return of(FaultAddress)
	case is(context.DeadlineExceeded, os.ErrDeadlineExceeded):
		return Faultf(FaultTimedOut, "no whole answer came in time")
	case is(context.Canceled):
		return of(FaultCancelled)
	case is(ErrTooLarge):
		return of(FaultTooLarge)
	case is(ErrEncoding, gzip.ErrHeader, gzip.ErrChecksum):
		return of(FaultEncoding)
	case is(syscall.ECONNREFUSED):
		return of(FaultRefused)
	case is(io.ErrUnexpectedEOF):
		return Faultf(FaultTruncated, "the answer ends in the middle")
	}
	return of(FaultConnection)
}

// maxRetryAfter bounds how long a server can make us wait.
const maxRetryAfter = 24 * time.Hour

// FaultOfStatus is what an answer's status says; nil: it is 2xx or 304.
func FaultOfStatus(resp *http.Response, now time.Time) *FaultError {
	f := FaultStatus
	switch s := resp.StatusCode; {
	case s/100 == 2 || s == http.StatusNotModified:
		return nil
	case s == http.StatusUnauthorized:
		f = FaultUnauthorized
	case s == http.StatusForbidden:
		f = FaultForbidden
	case s == http.StatusNotFound || s == http.StatusGone:
		f = FaultNotFound
	case s == http.StatusTooManyRequests:
		f = FaultThrottled
	case s/100 == 5:
		f = FaultServer
	}
	e := Faultf(f, "the server answers with status %d", resp.StatusCode)
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	return e
}

// retryAfter reads the header (RFC 9110 10.2.3): seconds, or a date.
func retryAfter(v string, now time.Time) time.Duration {
	v = strings.TrimSpace(v)
	if n, err := strconv.ParseUint(v, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
