// Package graphclient asks Microsoft Graph for free/busy (getSchedule). What comes
// back is not trusted: bodies are bounded, and every failure has a type that a
// caller can tell apart. Sections in comments are those of the getSchedule
// reference.
package graphclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/spec/graph"
)

// DefaultMaxBody bounds an answer, after decompression.
const DefaultMaxBody = 8 << 20

// Of one call: how often it is sent at most, and the first wait where the other
// side does not say one.
const (
	maxTries  = 3
	firstWait = time.Second
)

// ErrTooLarge is wrapped when an answer is over Config.MaxBody.
var ErrTooLarge = errors.New("answer is too large")

// A StatusError is an answer that is a refusal.
type StatusError struct {
	Status      int
	Code        string        // of the error in the body; "" without one
	Message     string        // maybe cut
	Diagnostics string        // x-ms-diagnostics, maybe cut
	RetryAfter  time.Duration // what the other side wants; 0: it does not say
	URL         string
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s: HTTP status %d: %s", e.URL, e.Status, http.StatusText(e.Status))
	if e.Code != "" {
		s += ", " + e.Code + ": " + e.Message
	}
	if e.Diagnostics != "" {
		s += " diagnostics: " + e.Diagnostics
	}
	return s
}

// later reports whether the same call may succeed after a while (6).
func (e *StatusError) later() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// A Config is what a Client needs.
type Config struct {
	// HTTP is required. It verifies TLS, keeps to the limits of redirects and time,
	// and carries the credentials (trust.Transport).
	HTTP      *http.Client
	Now       func() time.Time // required
	UserAgent string           // "": none is set
	MaxBody   int64            // default DefaultMaxBody
}

// A Client is safe for concurrent use.
type Client struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Client, error) {
	if cfg.HTTP == nil || cfg.Now == nil || cfg.MaxBody < 0 {
		return nil, errors.New("graphclient: HTTP and Now are required, MaxBody is not negative")
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	return &Client{cfg}, nil
}

// GetSchedule asks the service whose base is a URL, as https://graph.microsoft.com,
// by the mailbox anchor. One that is throttled is asked again when it says so,
// unless ctx ends before. Errors are *StatusError, or wrap ErrTooLarge,
// graph.ErrBody or the transport's error.
func (c *Client) GetSchedule(ctx context.Context, base, anchor, requestID string, req *graph.Request) ([]graph.Schedule, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("graph request: %w", err)
	}
	where := strings.TrimSuffix(strings.TrimSuffix(base, "/"), "/v1.0") + "/v1.0/users/" + url.PathEscape(anchor) + "/calendar/getSchedule"
	wait := firstWait
	for try := 1; ; try++ {
		list, err := c.post(ctx, where, requestID, body)
		se, ok := errors.AsType[*StatusError](err)
		if !ok || !se.later() || try == maxTries {
			return list, err
		}
		if se.RetryAfter > 0 {
			wait = se.RetryAfter
		}
		if end, ok := ctx.Deadline(); ok && c.cfg.Now().Add(wait).After(end) {
			return nil, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
		wait *= 2
	}
}

func (c *Client) post(ctx context.Context, where, requestID string, body []byte) ([]graph.Schedule, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, where, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("graph endpoint: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Prefer", graph.PreferZone("UTC"))
	if c.cfg.UserAgent != "" {
		r.Header.Set("User-Agent", c.cfg.UserAgent)
	}
	if requestID != "" {
		r.Header.Set("client-request-id", requestID)
		r.Header.Set("return-client-request-id", "true")
	}
	resp, err := c.cfg.HTTP.Do(r)
	if err != nil {
		return nil, err // names method and URL
	}
	defer resp.Body.Close()
	limit := c.cfg.MaxBody
	if resp.StatusCode != http.StatusOK {
		limit = 16 << 10
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case resp.StatusCode != http.StatusOK: // whatever could be read of it
		return nil, statusError(resp, b, where)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", where, err)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("%s: %w: more than %d bytes", where, ErrTooLarge, limit)
	}
	list, err := graph.ParseResponse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return list, nil
}

func statusError(resp *http.Response, body []byte, where string) *StatusError {
	e := &StatusError{Status: resp.StatusCode, Diagnostics: fmt.Sprintf("%.512s", resp.Header.Get("x-ms-diagnostics")),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After")), URL: where}
	if ge := graph.ParseError(body); ge != nil {
		e.Code, e.Message = fmt.Sprintf("%.80s", ge.Code), fmt.Sprintf("%.500s", ge.Message)
	}
	return e
}

// retryAfter reads seconds, which may have a fraction (6).
func retryAfter(s string) time.Duration {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || n <= 0 {
		return 0
	}
	return time.Duration(min(n, 24*60*60) * float64(time.Second))
}
