// Package authorityclient asks authorization servers for metadata documents and
// tokens (oauth-s2s reference, 1.3 and 3.2).
package authorityclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/fedmeta"
	"busybridge/internal/spec/oidc"
)

var (
	// ErrStatus: the answer has another status than asked for and is no OAuth error.
	ErrStatus = errors.New("unexpected answer")
	// ErrRedirect: a redirect to another host, or of a token request, is not followed.
	ErrRedirect = errors.New("redirect is not followed")
	// ErrTooLarge: the answer is longer than what is read.
	ErrTooLarge = errors.New("answer is too large")
	// ErrInsecure: the address is not https.
	ErrInsecure = errors.New("want an https URL")
)

// Limits of answers.
const (
	maxTokenBody = 64 << 10
	maxRedirects = 3
)

// A Config is what a Client needs.
type Config struct {
	// HTTP connects; required. It verifies TLS and bounds the time; what it says
	// of redirects is not used.
	HTTP      *http.Client
	UserAgent string // default "busybridge"
	// MetadataTimeout bounds the reading of one metadata document; default 10 s
	// (oauth-s2s 1.3).
	MetadataTimeout time.Duration
}

// A Client is safe for concurrent use.
type Client struct {
	http      *http.Client
	userAgent string
	metadata  time.Duration // for one document
}

// New checks the configuration.
func New(cfg Config) (*Client, error) {
	if cfg.HTTP == nil {
		return nil, errors.New("authorityclient: HTTP is required")
	}
	h := *cfg.HTTP
	h.Jar = nil
	h.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if first := via[0]; req.Method != http.MethodGet || first.Method != http.MethodGet || req.URL.Scheme != "https" ||
			req.URL.Host != first.URL.Host || len(via) > maxRedirects {
			return fmt.Errorf("%w: %s to %s://%s", ErrRedirect, first.Method, req.URL.Scheme, req.URL.Host)
		}
		return nil
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "busybridge"
	}
	if cfg.MetadataTimeout <= 0 {
		cfg.MetadataTimeout = 10 * time.Second
	}
	return &Client{&h, cfg.UserAgent, cfg.MetadataTimeout}, nil
}

// FetchMetadata reads the metadata document at address: at most 1 MiB, and no
// redirect to another host. Errors of the document wrap acs.ErrDocument.
func (c *Client) FetchMetadata(ctx context.Context, address string) (*acs.Document, error) {
	return fetch(ctx, c, address, "application/json", acs.MaxDocument, acs.ParseDocument)
}

// FetchFederationMetadata reads the federation metadata at address, within the
// same bounds. Errors of the document wrap fedmeta.ErrDocument.
func (c *Client) FetchFederationMetadata(ctx context.Context, address string) (*fedmeta.Document, error) {
	return fetch(ctx, c, address, "application/xml, text/xml, application/samlmetadata+xml", fedmeta.MaxDocument, fedmeta.Parse)
}

func fetch[T any](ctx context.Context, c *Client, address, accept string, limit int64, parse func([]byte) (*T, error)) (*T, error) {
	ctx, cancel := context.WithTimeout(ctx, c.metadata)
	defer cancel()
	body, _, err := c.do(ctx, http.MethodGet, address, accept, "", "", limit)
	if err != nil {
		return nil, fmt.Errorf("metadata at %s: %w", address, err)
	}
	doc, err := parse(body)
	if err != nil {
		return nil, fmt.Errorf("metadata at %s: %w", address, err)
	}
	return doc, nil
}

// RequestToken posts a token request. An answer that is an OAuth error is an
// *acs.Error.
func (c *Client) RequestToken(ctx context.Context, address string, req acs.TokenRequest) (*acs.TokenResponse, error) {
	return c.token(ctx, address, req.Encode(), req.CorrelationID)
}

// RequestApplicationToken posts a token request with a client assertion to a
// token endpoint of Entra (oauth-s2s 3.4). Errors are as those of RequestToken.
func (c *Client) RequestApplicationToken(ctx context.Context, address string, req oidc.TokenRequest) (*acs.TokenResponse, error) {
	return c.token(ctx, address, req.Encode(), req.CorrelationID)
}

func (c *Client) token(ctx context.Context, address, form, correlation string) (*acs.TokenResponse, error) {
	body, status, err := c.do(ctx, http.MethodPost, address, "application/json", form, correlation, maxTokenBody)
	if status != 0 && status != http.StatusOK && errors.Is(err, ErrStatus) {
		if oauth, parseErr := acs.ParseError(status, body); parseErr == nil {
			return nil, fmt.Errorf("token at %s: %w", address, oauth)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("token at %s: %w", address, err)
	}
	resp, err := acs.ParseTokenResponse(body)
	if err != nil {
		return nil, fmt.Errorf("token at %s: %w", address, err)
	}
	return resp, nil
}

// do returns body and status; the body also with ErrStatus.
func (c *Client) do(ctx context.Context, method, address, accept, form, correlation string, limit int64) ([]byte, int, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, 0, ErrInsecure
	}
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("Accept", accept)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if correlation != "" {
		req.Header.Set("client-request-id", correlation)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, resp.StatusCode, err
	case int64(len(body)) > limit:
		return nil, resp.StatusCode, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	case resp.StatusCode != http.StatusOK:
		return body, resp.StatusCode, fmt.Errorf("%w: status %d", ErrStatus, resp.StatusCode)
	}
	return body, resp.StatusCode, nil
}
