// Package client is how the command line speaks to a running server: it asks
// for free/busy by Exchange Web Services and imports calendars, as a user.
package client

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/serve/apiserver"
)

// Options say where the server is and who asks.
type Options struct {
	Server   string // https URL of the server; a path is ignored
	User     string
	Password string
	// ConnectTo and CAFile are those of a lab; empty: DNS and the system's roots.
	ConnectTo map[string]string
	CAFile    string
	// AllowPrivate lets the client reach its own network: it is the user who
	// named the server.
	AllowPrivate bool
	Timeout      time.Duration // of one exchange; 0: one minute
}

// A Client speaks to one server as one user.
type Client struct {
	http      *http.Client
	transport *http.Transport
	base      *url.URL
	o         Options
}

// New checks the options.
func New(o Options) (*Client, error) {
	base, err := safehttp.ParseURL(o.Server)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", o.Server, err)
	}
	cfg := safehttp.Config{ConnectTo: o.ConnectTo, Timeout: o.Timeout}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	if o.AllowPrivate {
		cfg.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	if o.CAFile != "" {
		var err error
		if cfg.Roots, err = ReadRoots(o.CAFile); err != nil {
			return nil, err
		}
	}
	t, err := safehttp.Transport(cfg)
	if err != nil {
		return nil, err
	}
	base = &url.URL{Scheme: base.Scheme, Host: base.Host, Path: "/"}
	return &Client{http: safehttp.Client(safehttp.BasicAuth{Base: t, User: o.User, Password: o.Password}, cfg), transport: t, base: base, o: o}, nil
}

// ReadRoots reads a PEM file of certificate authorities.
func ReadRoots(name string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", name)
	}
	return pool, nil
}

// ForLab is the options to act as one mailbox of a lab, at its own node.
func (l *LabFile) ForLab(m LabMailbox) Options {
	return Options{Server: "https://" + m.Node + "/", User: m.User, Password: m.Password, ConnectTo: l.ConnectTo(), CAFile: l.CAFile}
}

// Host is the server's host name.
func (c *Client) Host() string { return c.base.Hostname() }

// Import sends one calendar file to the main calendar of a mailbox. progress may
// be nil.
func (c *Client) Import(ctx context.Context, mailbox, name string, file io.Reader, progress func(done, total int)) (*directory.ImportSummary, error) {
	return c.ImportInto(ctx, mailbox, "", name, file, progress)
}

// ImportInto is Import into a calendar of that name ("": the main one), which is
// made where there is none.
func (c *Client) ImportInto(ctx context.Context, mailbox, calendar, name string, file io.Reader, progress func(done, total int)) (*directory.ImportSummary, error) {
	u := c.base.JoinPath("api/v1/mailboxes", url.PathEscape(mailbox), "import")
	query := url.Values{"name": {name}}
	if calendar != "" {
		query.Set("calendar", calendar)
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), file)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "text/calendar; charset=utf-8")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); {
	case err == nil && kind == "application/problem+json":
		return nil, readProblem(resp)
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, c.refused()
	case err != nil || kind != "application/x-ndjson" || resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answered %s: is it a busybridge server?", c.Host(), resp.Status)
	}
	const maxAnswer = 64 << 20
	dec := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	for {
		var e apiserver.ImportEvent
		if err := dec.Decode(&e); err != nil {
			return nil, fmt.Errorf("the connection ended before the import did: %w", err)
		}
		switch {
		case e.Summary != nil:
			return e.Summary, nil
		case e.Problem != nil:
			return nil, problemError(*e.Problem)
		case progress != nil:
			progress(e.Done, e.Total)
		}
	}
}

func (c *Client) refused() error {
	return fmt.Errorf("%s did not accept the password of %s", c.Host(), c.o.User)
}

func readProblem(resp *http.Response) error {
	b, err := safehttp.ReadBody(resp, 64<<10)
	if err != nil {
		return err
	}
	var p apiserver.Problem
	if err := json.Unmarshal(b, &p); err != nil {
		return fmt.Errorf("answer %s: %w", resp.Status, err)
	}
	return problemError(p)
}

func problemError(p apiserver.Problem) error {
	return errors.New(strings.TrimSuffix(p.Title+": "+p.Detail, ": "))
}

// Close ends kept connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }
