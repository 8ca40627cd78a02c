// Package feedclient fetches iCalendar files that are published by https: feeds.
package feedclient

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"busybridge/internal/dial/safehttp"
)

// A Config is what a Client needs.
type Config struct {
	Transport http.RoundTripper // required: one of safehttp
	Dial      safehttp.Config   // its Timeout and redirect rules are not used
	Now       func() time.Time  // required
	Timeout   time.Duration     // of one fetch, body included; 0: DefaultTimeout
	UserAgent string            // default "busybridge"
}

// DefaultTimeout is for a slow server with a big file.
const DefaultTimeout = time.Minute

const maxRedirects = 5

// A Client is safe for concurrent use.
type Client struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Client, error) {
	if cfg.Transport == nil || cfg.Now == nil {
		return nil, errors.New("feedclient: Config.Transport and Now are required")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "busybridge"
	}
	cfg.Dial.Timeout, cfg.Dial.MaxRedirects, cfg.Dial.RedirectAnywhere = cfg.Timeout, maxRedirects, true
	return &Client{cfg}, nil
}

// A Request is one question for a feed.
type Request struct {
	URL                string
	UserName, Password string // for HTTP Basic; no name: nobody signs in
	// ETag and LastModified are of what the caller has; empty: nothing.
	ETag, LastModified string
	MaxBytes           int64 // of the unpacked file; required
}

// A Feed is what a server has.
type Feed struct {
	NotModified        bool   // the caller has it; nothing else is set then
	Body               []byte // one iCalendar file, whole
	ETag, LastModified string
}

// Fetch asks for the feed. The error is a *safehttp.FaultError, and shows nothing of
// the URL but the host.
func (c *Client) Fetch(ctx context.Context, q Request) (*Feed, error) {
	feed, err := c.fetch(ctx, q)
	if err != nil {
		return nil, safehttp.FaultOf(err)
	}
	return feed, nil
}

func (c *Client) fetch(ctx context.Context, q Request) (*Feed, error) {
	if _, err := safehttp.ParseURL(q.URL); err != nil {
		return nil, safehttp.Faultf(safehttp.FaultURL, "the address is no https URL without user name")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.URL, nil)
	if err != nil {
		return nil, err
	}
	for _, h := range [][2]string{
		{"User-Agent", c.cfg.UserAgent}, {"Accept", "text/calendar, */*;q=0.1"}, {"Accept-Encoding", "gzip"},
		{"If-None-Match", q.ETag}, {"If-Modified-Since", q.LastModified},
	} {
		if h[1] != "" {
			req.Header.Set(h[0], h[1])
		}
	}
	rt := c.cfg.Transport
	if q.UserName != "" {
		rt = safehttp.BasicAuth{Base: rt, User: q.UserName, Password: q.Password}
	}
	resp, err := safehttp.Client(rt, c.cfg.Dial).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if f := safehttp.FaultOfStatus(resp, c.cfg.Now()); f != nil {
		return nil, f
	}
	if resp.StatusCode == http.StatusNotModified {
		if q.ETag == "" && q.LastModified == "" {
			return nil, safehttp.Faultf(safehttp.FaultStatus, "the server answers that nothing was modified, and was not asked that")
		}
		return &Feed{NotModified: true}, nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, safehttp.Faultf(safehttp.FaultStatus, "the server answers with status %d", resp.StatusCode)
	}
	if err := checkType(resp.Header.Get("Content-Type")); err != nil {
		return nil, err
	}
	body, err := read(resp, q.MaxBytes)
	if err != nil {
		return nil, err
	}
	if err := whole(body); err != nil {
		return nil, err
	}
	return &Feed{Body: body, ETag: header(resp, "ETag"), LastModified: header(resp, "Last-Modified")}, nil
}

// header is a validator as it is sent back; one of unusual length is as none.
func header(resp *http.Response, name string) string {
	if v := resp.Header.Get(name); len(v) <= 512 {
		return v
	}
	return ""
}

// checkType refuses what is surely no calendar: a page to sign in at, mostly. Many
// servers call a calendar text/plain or application/octet-stream.
func checkType(value string) error {
	t, _, err := mime.ParseMediaType(value)
	if value == "" || err != nil {
		return nil //nolint:nilerr // the body decides
	}
	main, sub, _ := strings.Cut(t, "/")
	switch {
	case main == "image", main == "audio", main == "video", main == "font", main == "multipart",
		sub == "html", sub == "json", sub == "xml", sub == "pdf", strings.HasSuffix(sub, "+xml"), strings.HasSuffix(sub, "+json"):
		return safehttp.Faultf(safehttp.FaultContentType, "the answer is of type %.60q, want text/calendar", t)
	}
	return nil
}

// read reads the body, unpacked, up to limit bytes.
func read(resp *http.Response, limit int64) ([]byte, error) {
	var r io.Reader = resp.Body
	switch e := strings.ToLower(resp.Header.Get("Content-Encoding")); e {
	case "", "identity":
		if resp.ContentLength > limit {
			return nil, fmt.Errorf("%w: %d bytes, limit %d", safehttp.ErrTooLarge, resp.ContentLength, limit)
		}
	case "gzip", "x-gzip":
		// Packed bytes may say nothing at all: they have a limit of their own.
		z, err := gzip.NewReader(io.LimitReader(r, 2*limit+4096))
		if err != nil {
			return nil, packed(err)
		}
		r = z
	default:
		return nil, fmt.Errorf("%w: %.20q", safehttp.ErrEncoding, e)
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, packed(err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: limit %d bytes", safehttp.ErrTooLarge, limit)
	}
	return b, nil
}

// packed is an error of reading. What is too short for a header of gzip is cut off.
func packed(err error) error {
	if _, corrupt := errors.AsType[flate.CorruptInputError](err); corrupt {
		return fmt.Errorf("%w: %w", safehttp.ErrEncoding, err)
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// whole refuses a body that is no calendar, or only the beginning of one: what is
// missing from it would look as if it were deleted.
func whole(body []byte) error {
	text := bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(body), byteOrderMark))
	const begin, end = "BEGIN:VCALENDAR", "END:VCALENDAR"
	switch {
	case len(text) < len(begin) || !bytes.EqualFold(text[:len(begin)], []byte(begin)):
		return safehttp.Faultf(safehttp.FaultContent, "the answer does not begin with %s", begin)
	case !bytes.EqualFold(text[max(0, len(text)-len(end)):], []byte(end)):
		return safehttp.Faultf(safehttp.FaultTruncated, "the answer does not end with %s", end)
	}
	return nil
}
