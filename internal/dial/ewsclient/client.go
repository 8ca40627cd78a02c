// Package ewsclient asks other servers by Exchange Web Services. What they send
// is not trusted: bodies are bounded, XML goes through the guard of package
// soap, and every failure has a type that a caller can tell apart.
package ewsclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
)

// DefaultMaxBody bounds an answer, after decompression.
const DefaultMaxBody = 8 << 20

var (
	// ErrTooLarge is wrapped when an answer is over Config.MaxBody.
	ErrTooLarge = errors.New("answer is too large")
	// ErrNotXML is wrapped when an answer is not a SOAP envelope with the
	// expected response: malformed, HTML, another protocol.
	ErrNotXML = errors.New("answer is not the expected SOAP message")
)

// A StatusError is an answer with an HTTP status that says all: not 200, and
// not 500 with a SOAP fault.
type StatusError struct {
	Status      int
	Diagnostics string // x-ms-diagnostics, maybe cut
	URL         string // without user info
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s: HTTP status %d: %s", e.URL, e.Status, http.StatusText(e.Status))
	if e.Diagnostics != "" {
		s += " diagnostics: " + e.Diagnostics
	}
	return s
}

// A Config is what a Client needs.
type Config struct {
	// HTTP is required, with a Transport. It verifies TLS, keeps to the limit of time
	// and carries the credentials (trust.Transport). Redirects are not followed: of a
	// POST they lead nowhere.
	HTTP      *http.Client
	UserAgent string // "": none is set
	MaxBody   int64  // default DefaultMaxBody
	// Hours remembers working hours; nil: nothing does.
	Hours *ews.HoursMemory
}

// A Client is safe for concurrent use.
type Client struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Client, error) {
	if cfg.HTTP == nil || cfg.HTTP.Transport == nil {
		return nil, errors.New("ewsclient: HTTP is required, with a Transport")
	}
	if cfg.MaxBody < 0 {
		return nil, fmt.Errorf("ewsclient: MaxBody of %d bytes", cfg.MaxBody)
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	return &Client{cfg}, nil
}

// GetUserAvailability asks the EWS endpoint at endpoint. Times in the answer are
// UTC, whether they came with offset or as clock readings in the zone of the
// request. Errors are *StatusError, or wrap *soap.Fault, ErrTooLarge, ErrNotXML
// or the transport's error.
func (c *Client) GetUserAvailability(ctx context.Context, endpoint string, req *ews.AvailabilityRequest) (*ews.AvailabilityResponse, error) {
	zone := req.Zone
	if zone == nil && req.Header.Zone != nil && req.FreeBusy != nil {
		r, err := req.Header.Zone.Rule(req.FreeBusy.Start.Time)
		if err != nil {
			return nil, fmt.Errorf("zone of the request: %w", err)
		}
		zone = &r
	}
	anchor := ""
	if len(req.Mailboxes) > 0 {
		anchor = req.Mailboxes[0].Address
	}
	reader := ews.NewAvailabilityReader(zone, c.cfg.Hours)
	env, where, err := c.post(ctx, endpoint, "GetUserAvailability", req.RequestID, anchor, ews.AppendGetUserAvailabilityRequest(nil, req), reader.Parse)
	if err != nil {
		return nil, err
	}
	defer env.Release()
	resp, err := reader.Response(env)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", where, ErrNotXML, err)
	}
	return resp, nil
}

// post sends one request and returns the envelope that parse makes of the answer, nil
// is soap.Parse; where is the endpoint as errors may name it.
func (c *Client) post(ctx context.Context, endpoint, operation, requestID, anchor string, body []byte, parse func(text []byte, limit int64) (*soap.Envelope, error)) (env *soap.Envelope, where string, err error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, "", fmt.Errorf("EWS endpoint: %w", err)
	}
	where = u.Redacted()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "", bytes.NewReader(body))
	if err != nil {
		return nil, where, fmt.Errorf("EWS endpoint: %w", err)
	}
	r.URL, r.Host, r.Header = u, u.Host, c.header(operation, requestID, anchor)
	resp, err := safehttp.Once(c.cfg.HTTP, r)
	if err != nil {
		return nil, where, err // names method and URL
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusInternalServerError {
		// A little is read so that the connection may be used again.
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
		return nil, where, c.statusError(resp, where)
	}
	if parse == nil {
		parse = soap.Parse
	}
	env, err = soap.ReadWith(resp.Body, c.cfg.MaxBody, func(text []byte) (*soap.Envelope, error) { return parse(text, c.cfg.MaxBody) })
	switch syntax := (*soap.SyntaxError)(nil); {
	case err == nil:
	case errors.Is(err, soap.ErrTooLarge):
		return nil, where, fmt.Errorf("%s: %w: %w", where, ErrTooLarge, err)
	case !errors.As(err, &syntax) && !errors.Is(err, soap.ErrNotSOAP) && !errors.Is(err, soap.ErrVersion12):
		return nil, where, fmt.Errorf("%s: %w", where, err) // of the connection
	case resp.StatusCode != http.StatusOK:
		return nil, where, c.statusError(resp, where)
	default:
		return nil, where, fmt.Errorf("%s: %w: %w", where, ErrNotXML, err)
	}
	if fault, ok := soap.FaultOf(env); ok {
		return nil, where, fmt.Errorf("%s: %w", where, fault)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, where, c.statusError(resp, where)
	}
	return env, where, nil
}

// Values that never change.
var (
	xmlBody = []string{"text/xml; charset=utf-8"}
	xmlType = []string{"text/xml"}
	yes     = []string{"true"}
)

// header makes the header of a request. Names are as net/textproto writes them.
func (c *Client) header(operation, requestID, anchor string) http.Header {
	v := [...]string{`"` + ews.NSMessages + "/" + operation + `"`, c.cfg.UserAgent, requestID, anchor}
	h := http.Header{"Content-Type": xmlBody, "Accept": xmlType, "Soapaction": v[:1:1]}
	if c.cfg.UserAgent != "" {
		h["User-Agent"] = v[1:2:2]
	}
	if requestID != "" {
		h["Client-Request-Id"], h["Return-Client-Request-Id"] = v[2:3:3], yes
	}
	if printable(anchor) { // a routing hint (1.1)
		h["X-Anchormailbox"] = v[3:4:4]
	}
	return h
}

func (c *Client) statusError(resp *http.Response, where string) *StatusError {
	const limit = 512
	diagnostics := resp.Header.Get("x-ms-diagnostics")
	if len(diagnostics) > limit {
		diagnostics = diagnostics[:limit]
	}
	return &StatusError{resp.StatusCode, diagnostics, where}
}

// printable reports whether s can be the value of a header.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
