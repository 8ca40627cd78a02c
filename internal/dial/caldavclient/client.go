// Package caldavclient reads the calendars of a CalDAV server (RFC 4791): it finds
// them, follows what changes in them, and asks for the busy times of those that may
// not be read.
package caldavclient

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/spec/soap"
)

// A Config is what a Client needs.
type Config struct {
	Transport http.RoundTripper // required: one of safehttp
	Dial      safehttp.Config   // its Timeout and redirect rules are not used
	Now       func() time.Time  // required
	Timeout   time.Duration     // of one request, body included; 0: DefaultTimeout
	UserAgent string            // default "busybridge"
}

// DefaultTimeout is for a slow server with many objects.
const DefaultTimeout = time.Minute

const (
	maxRedirects = 5
	// maxProblem is how much of the answer to a refused request is read for its cause.
	maxProblem = 64 << 10
)

// A Client is safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client
	may  func(r *http.Request, via []*http.Request) error // whether a redirect may be followed
}

// New checks the configuration.
func New(cfg Config) (*Client, error) {
	if cfg.Transport == nil || cfg.Now == nil {
		return nil, errors.New("caldavclient: Config.Transport and Now are required")
	}
	cfg.Timeout, cfg.UserAgent = cmp.Or(cfg.Timeout, DefaultTimeout), cmp.Or(cfg.UserAgent, "busybridge")
	// A password goes to no other host than the one that it was given for.
	cfg.Dial.Timeout, cfg.Dial.MaxRedirects, cfg.Dial.RedirectAnywhere, cfg.Dial.RedirectHosts = cfg.Timeout, maxRedirects, false, nil
	c := &Client{cfg: cfg, http: safehttp.Client(cfg.Transport, cfg.Dial)}
	// net/http makes a GET of a PROPFIND that is redirected by 301 or 302: redirects
	// are followed here, by the same rules.
	c.may = c.http.CheckRedirect
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// A Request says whom a Session asks, and as whom.
type Request struct {
	URL                string
	UserName, Password string // for HTTP Basic; no name: nobody signs in
	MaxBytes           int64  // of all answers together; required
}

// A Session is some questions to one server. It is for one goroutine. Its errors are
// *safehttp.FaultError, or wrap one, and show nothing of an address but the host.
type Session struct {
	*Client
	q     Request
	base  *url.URL
	left  int64 // bytes
	extra int   // requests that may still be made to find an object that breaks an answer
}

// Session begins.
func (c *Client) Session(q Request) (*Session, error) {
	base, err := safehttp.ParseURL(q.URL)
	if err != nil {
		return nil, safehttp.Faultf(safehttp.FaultURL, "the address is no https URL without user name")
	}
	base.Fragment, base.RawFragment = "", ""
	return &Session{Client: c, q: q, base: base, left: q.MaxBytes, extra: 64}, nil
}

// Start is the path of the address that was given.
func (s *Session) Start() string { return s.base.RequestURI() }

// A refusal is an answer with a status that says no.
type refusal struct {
	*safehttp.FaultError
	code int
}

func (r *refusal) Unwrap() error { return r.FaultError }

// Refused reports whether the server answered that it does not do what was asked, so
// that something else may be asked: it is neither down nor busy, and knows the user.
func Refused(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return false
	}
	switch r.code {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return r.code/100 == 4 || r.code == http.StatusNotImplemented
}

type answer struct {
	contentType string
	body        []byte
	path        string // that answered, after redirects
}

// send makes one request, and follows redirects. want is the status of success.
func (s *Session) send(ctx context.Context, method, path, depth, contentType string, body []byte, want int) (*answer, error) {
	a, err := s.exchange(ctx, method, path, depth, contentType, body, want)
	if err != nil {
		if _, ok := errors.AsType[*refusal](err); ok {
			return nil, err
		}
		return nil, safehttp.FaultOf(err)
	}
	return a, nil
}

func (s *Session) exchange(ctx context.Context, method, path, depth, contentType string, body []byte, want int) (*answer, error) {
	u, err := s.base.Parse(path)
	if err != nil {
		return nil, safehttp.Faultf(safehttp.FaultContent, "the server names a path that is none")
	}
	var via []*http.Request
	for {
		req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		for _, h := range [][2]string{{"User-Agent", s.cfg.UserAgent}, {"Depth", depth}, {"Content-Type", contentType}} {
			if h[1] != "" {
				req.Header.Set(h[0], h[1])
			}
		}
		if len(via) > 0 {
			if err := s.may(req, via); err != nil {
				return nil, fmt.Errorf("%w: to %s", err, u.Host)
			}
		}
		if s.q.UserName != "" { // the host is that of the address: others are refused
			req.SetBasicAuth(s.q.UserName, s.q.Password)
		}
		resp, err := s.http.Do(req)
		if err != nil {
			return nil, err
		}
		if to := resp.Header.Get("Location"); resp.StatusCode/100 == 3 && resp.StatusCode != http.StatusNotModified && to != "" {
			resp.Body.Close()
			via = append(via, req)
			if u, err = u.Parse(to); err != nil {
				return nil, safehttp.ErrRedirect
			}
			if u.Scheme == "https" && !strings.EqualFold(u.Host, s.base.Host) {
				return nil, s.elsewhere(u)
			}
			continue
		}
		return s.read(resp, u, want)
	}
}

func (s *Session) elsewhere(u *url.URL) error {
	return safehttp.Faultf(safehttp.FaultRedirect, "the server %s leads to the host %.100q, which may not have the password: if it is right, give its address", s.base.Host, u.Host)
}

func (s *Session) read(resp *http.Response, u *url.URL, want int) (*answer, error) {
	defer resp.Body.Close()
	if f := safehttp.FaultOfStatus(resp, s.cfg.Now()); f != nil {
		return nil, &refusal{s.explained(f, resp), resp.StatusCode}
	}
	if resp.StatusCode != want {
		return nil, safehttp.Faultf(safehttp.FaultStatus, "the server answers with status %d, want %d", resp.StatusCode, want)
	}
	b, err := safehttp.ReadBody(resp, s.left)
	if err != nil {
		return nil, err
	}
	s.left -= int64(len(b))
	return &answer{resp.Header.Get("Content-Type"), b, u.RequestURI()}, nil
}

// explained adds the precondition that an answer names (RFC 4918 16).
func (s *Session) explained(f *safehttp.FaultError, resp *http.Response) *safehttp.FaultError {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil || !isXML(resp.Header.Get("Content-Type")) {
		return f // the status is enough
	}
	root, err := soap.ReadXML(bytes.NewReader(b), maxProblem)
	if err != nil || !root.Is(nsDAV, "error") || len(root.Children) == 0 {
		return f
	}
	f.Err = fmt.Errorf("%w (%.100s)", f.Err, root.Children[0].Local)
	return f
}

func isXML(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/xml" || t == "text/xml" || strings.HasSuffix(t, "+xml"))
}

// document sends a question in XML and reads an answer in it.
func (s *Session) document(ctx context.Context, method, path, depth, body, root string) (*soap.Element, string, error) {
	a, err := s.send(ctx, method, path, depth, "application/xml; charset=utf-8", []byte(xmlHead+body), http.StatusMultiStatus)
	if err != nil {
		return nil, "", err
	}
	e, err := a.document(nsDAV, root)
	return e, a.path, err
}

// document is the answer's XML.
func (a *answer) document(space, root string) (*soap.Element, error) {
	if a.contentType != "" && !isXML(a.contentType) {
		return nil, safehttp.Faultf(safehttp.FaultContentType, "the answer is of type %.60q, want application/xml", a.contentType)
	}
	if !ends(a.body, root) {
		return nil, safehttp.Faultf(safehttp.FaultTruncated, "the answer does not end with %s", root)
	}
	// The limit bounds the elements, of which a list of ETags has one every 25 bytes.
	e, err := soap.ReadXML(bytes.NewReader(a.body), 2*int64(len(a.body)))
	switch {
	case errors.Is(err, soap.ErrTooLarge):
		return nil, safehttp.Faultf(safehttp.FaultTooLarge, "the answer has too many elements")
	case err != nil:
		return nil, safehttp.Faultf(safehttp.FaultContent, "the answer cannot be read: %w", err)
	case !e.Is(space, root):
		return nil, safehttp.Faultf(safehttp.FaultContent, "the answer is a %.60q, want %s", e.Local, root)
	}
	return e, nil
}

// ends reports whether a document ends as one with that root does.
func ends(body []byte, root string) bool {
	body = bytes.TrimSpace(body)
	tag := string(body[max(0, bytes.LastIndexByte(body, '<')):])
	return strings.Contains(tag, root) && (strings.HasPrefix(tag, "</") && strings.HasSuffix(tag, ">") || strings.HasSuffix(tag, "/>"))
}

// path is where an href leads: on this server, or it is refused. A server behind
// another that does TLS for it may write http.
func (s *Session) path(at, href string) (string, error) {
	base, err := s.base.Parse(at)
	if err != nil {
		return "", safehttp.Faultf(safehttp.FaultContent, "the server names a path that is none")
	}
	u, err := base.Parse(strings.TrimSpace(href))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return "", safehttp.Faultf(safehttp.FaultContent, "the server names an address that is none")
	}
	if !strings.EqualFold(u.Hostname(), s.base.Hostname()) {
		return "", s.elsewhere(u)
	}
	return u.RequestURI(), nil
}
