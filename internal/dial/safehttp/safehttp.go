// Package safehttp is the only way by which this program fetches a URL. Peers
// name URLs to us (endpoints, redirects, metadata), so every fetch is fenced:
//
//   - https only, TLS 1.2 or later, the certificate always verified against
//     the name in the URL;
//   - no connection to an address that is not public, decided on the resolved
//     address in the dialer, so that a name cannot change its mind between
//     check and use;
//   - redirects stay on their host unless the configuration names another, and
//     never carry credentials to it;
//   - every wait and every size has a limit.
//
// The operator may open the fence: ConnectTo for single hosts, AllowPrivate for
// networks. Environment variables change nothing.
package safehttp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"busybridge/internal/spec/smtpaddr"
)

// Sentinels that errors of a request wrap.
var (
	ErrNotHTTPS  = errors.New("not an https URL")
	ErrAddress   = errors.New("address is not public")
	ErrRedirect  = errors.New("redirect refused")
	ErrTooLarge  = errors.New("answer is too large")
	ErrEncoding  = errors.New("answer is compressed, which was not asked for")
	errEmptyHost = errors.New("no host")
)

// Defaults of Config.
const (
	DefaultTimeout      = 30 * time.Second
	DefaultMaxRedirects = 5
	DefaultMaxHeader    = 64 << 10
)

const (
	connectTimeout = 10 * time.Second // one address, and again for the TLS handshake
	idleTimeout    = 90 * time.Second // kept connections; below the 120 s of IIS
	idlePerHost    = 32               // a partner is asked by many of our users at once
	writeBuffer    = 8 << 10          // a question with its token goes out in one piece
)

// A Config says what a client may reach. The zero Config is a client for the
// public Internet.
type Config struct {
	// Roots verify servers; nil: the system's.
	Roots *x509.CertPool
	// ConnectTo maps "host:port" of a URL to the "host:port" that is dialed for
	// it, as curl's --connect-to does. TLS still verifies the host of the URL.
	// The target is the operator's word: it may be private, and no proxy is used.
	ConnectTo map[string]string
	// AllowPrivate are networks that may be reached although they are not public.
	AllowPrivate []netip.Prefix
	// Timeout is for a whole exchange, redirects and body included; 0: DefaultTimeout.
	Timeout time.Duration
	// MaxRedirects is how many are followed; 0: DefaultMaxRedirects, negative: none.
	MaxRedirects int
	// RedirectHosts are the "host" or "host:port" that a redirect from another host may go to.
	RedirectHosts []string
	// RedirectAnywhere lets redirects lead to every host that may be asked at all,
	// for what people publish behind links that move.
	RedirectAnywhere bool
	// Proxy is an http or https URL that all requests but those of ConnectTo go
	// through; nil: none. The proxy resolves names, so it has to guard private
	// networks itself; only literal addresses are checked here.
	Proxy *url.URL
	// MaxHeader is the limit of response header bytes; 0: DefaultMaxHeader.
	MaxHeader int64
	// Resolver looks names up; nil: the system's.
	Resolver *net.Resolver
}

// New returns a client with a transport of its own.
func New(cfg Config) (*http.Client, error) {
	t, err := Transport(cfg)
	if err != nil {
		return nil, err
	}
	return Client(t, cfg), nil
}

// Transport returns the fenced transport: scheme, addresses, TLS, connection
// time-outs and header size. Errors list every wrong entry of cfg.
func Transport(cfg Config) (*http.Transport, error) {
	connectTo, errs := make(map[string]string, len(cfg.ConnectTo)), []error(nil)
	for _, from := range slices.Sorted(maps.Keys(cfg.ConnectTo)) {
		key, err := hostPort(from)
		if err != nil {
			errs = append(errs, fmt.Errorf("connect-to %q: %w", from, err))
			continue
		}
		to, err := hostPort(cfg.ConnectTo[from])
		if err != nil {
			errs = append(errs, fmt.Errorf("connect-to %q: target %q: %w", from, cfg.ConnectTo[from], err))
			continue
		}
		if other, ok := connectTo[key]; ok && other != to {
			errs = append(errs, fmt.Errorf("connect-to %q: has two targets", from))
			continue
		}
		connectTo[key] = to
	}
	g := guard{allow: slices.Clone(cfg.AllowPrivate), connectTo: connectTo}
	for _, p := range g.allow {
		if !p.IsValid() {
			errs = append(errs, errors.New("allow-private: invalid network"))
		}
	}
	if p := cfg.Proxy; p != nil {
		if (p.Scheme != "http" && p.Scheme != "https") || p.Hostname() == "" {
			errs = append(errs, fmt.Errorf("proxy %q: want an http or https URL", p.Redacted()))
		} else {
			g.proxy = new(*p)
			g.proxyAddr = dialAddr(p)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	g.open = net.Dialer{Timeout: connectTimeout, Resolver: cfg.Resolver}
	g.fenced = g.open
	g.fenced.ControlContext = g.control
	resolver := or(cfg.Resolver, net.DefaultResolver)
	g.hosts = addresses{lookup: resolver.LookupNetIP, connect: g.fenced.DialContext}
	return &http.Transport{
		Proxy:                  g.admit,
		DialContext:            g.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots},
		TLSHandshakeTimeout:    connectTimeout,
		ResponseHeaderTimeout:  or(cfg.Timeout, DefaultTimeout),
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConns:           16 * idlePerHost,
		MaxIdleConnsPerHost:    idlePerHost,
		MaxResponseHeaderBytes: or(cfg.MaxHeader, DefaultMaxHeader),
		WriteBufferSize:        writeBuffer,
		DisableCompression:     true, // a small answer must not unpack to a big one
		// As Exchange's own availability service asks. For requests that are answered
		// at once HTTP/2 costs about twice the processor time, in Go.
		Protocols: protocols,
	}, nil
}

// Client returns a client over rt, which is a transport of Transport or wraps
// one. It adds the redirect rules and the time-out of the whole exchange.
func Client(rt http.RoundTripper, cfg Config) *http.Client {
	limit := max(or(cfg.MaxRedirects, DefaultMaxRedirects), 0)
	hosts := make(map[string]bool, len(cfg.RedirectHosts))
	for _, h := range cfg.RedirectHosts {
		hosts[dialAddr(&url.URL{Scheme: "https", Host: h})] = true
	}
	return &http.Client{
		Transport: punctual{rt},
		Timeout:   or(cfg.Timeout, DefaultTimeout),
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if err := checkURL(r.URL); err != nil {
				return fmt.Errorf("%w: to %s: %w", ErrRedirect, r.URL.Redacted(), err)
			}
			if len(via) > limit {
				return fmt.Errorf("%w: more than %d in a row", ErrRedirect, limit)
			}
			from, to := dialAddr(via[0].URL), dialAddr(r.URL)
			if from == to {
				return nil
			}
			if !hosts[to] && !cfg.RedirectAnywhere {
				return fmt.Errorf("%w: from host %s to %s", ErrRedirect, from, to)
			}
			// net/http keeps them for subdomains of the first host. A Referer would tell
			// the path that led here.
			for _, h := range []string{"Authorization", "Proxy-Authorization", "Www-Authenticate", "Cookie", "Cookie2", "Referer"} {
				r.Header.Del(h)
			}
			return nil
		},
	}
}

// ParseURL reads an absolute https URL without user name and password: the
// only kind that we take from a peer.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	if err := checkURL(u); err != nil {
		return nil, fmt.Errorf("%q: %w", u.Redacted(), err)
	}
	return u, nil
}

func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "https":
		return ErrNotHTTPS
	case u.Hostname() == "":
		return errEmptyHost
	case u.User != nil:
		return errors.New("URL carries credentials")
	}
	return nil
}

// Once sends one request by c and follows no redirect: what c.Do does with a
// CheckRedirect of http.ErrUseLastResponse. Do starts a goroutine and a timer of its own for each request
// to a transport that is not net/http's.
func Once(c *http.Client, r *http.Request) (*http.Response, error) {
	var cancel context.CancelFunc
	if end, ok := r.Context().Deadline(); c.Timeout > 0 && (!ok || time.Until(end) > c.Timeout) { //nolint:forbidigo // deadlines of contexts are by the machine's clock
		var ctx context.Context
		ctx, cancel = context.WithTimeout(r.Context(), c.Timeout)
		r = r.WithContext(ctx)
	}
	resp, err := c.Transport.RoundTrip(r)
	if err != nil {
		if cancel != nil {
			cancel()
		}
		if e, ok := errors.AsType[tls.RecordHeaderError](err); ok && string(e.RecordHeader[:]) == "HTTP/" {
			err = http.ErrSchemeMismatch
		}
		return nil, &url.Error{Op: r.Method[:1] + strings.ToLower(r.Method[1:]), URL: r.URL.Redacted(), Err: err}
	}
	if cancel != nil {
		resp.Body = &onceBody{resp.Body, cancel}
	}
	return resp, nil
}

type onceBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *onceBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// punctual makes an error of an answer that ends after its request was given up. A
// server that notices that may still end it well, and what came would look whole.
type punctual struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p punctual) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := p.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &punctualBody{resp.Body, r.Context()}
	}
	return resp, err
}

// CloseIdleConnections is what http.Client looks for.
func (p punctual) CloseIdleConnections() {
	if c, ok := p.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type punctualBody struct {
	io.ReadCloser
	ctx context.Context // of the request
}

func (b *punctualBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && b.ctx.Err() != nil {
		err = b.ctx.Err()
	}
	return n, err
}

// ReadBody reads the whole body and closes it. More than limit bytes are
// ErrTooLarge, whatever Content-Length says.
func ReadBody(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, fmt.Errorf("%w: %.20q", ErrEncoding, e)
	}
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, resp.ContentLength, limit)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: limit %d bytes", ErrTooLarge, limit)
	}
	return b, nil
}

// A guard decides what is dialed. All but hosts does not change after it was made.
type guard struct {
	allow        []netip.Prefix
	connectTo    map[string]string
	proxy        *url.URL
	proxyAddr    string
	open, fenced net.Dialer
	hosts        addresses // by fenced
}

// admit is asked for the proxy of each request, before a connection is looked
// for: the one place that no request passes by.
func (g *guard) admit(r *http.Request) (*url.URL, error) {
	if err := checkURL(r.URL); err != nil {
		return nil, fmt.Errorf("%s: %w", r.URL.Redacted(), err)
	}
	if g.proxy == nil {
		return nil, nil
	}
	if _, ok := g.connectTo[dialAddr(r.URL)]; ok {
		return nil, nil
	}
	if a, err := netip.ParseAddr(r.URL.Hostname()); err == nil && !g.may(a) {
		return nil, fmt.Errorf("%v: %w", a, ErrAddress)
	}
	return g.proxy, nil
}

func (g *guard) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	key, err := hostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", addr, err)
	}
	if to, ok := g.connectTo[key]; ok {
		return g.open.DialContext(ctx, network, to)
	}
	if key == g.proxyAddr { // with a proxy nothing else comes here
		return g.open.DialContext(ctx, network, addr)
	}
	return g.hosts.dial(ctx, network, addr)
}

// control sees the address that the socket is about to be connected to.
func (g *guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%q: %w", address, ErrAddress)
	}
	if !g.may(ap.Addr()) {
		return ErrAddress // net.OpError names the address
	}
	return nil
}

func (g *guard) may(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	for _, p := range g.allow {
		if p.Contains(a) {
			return true
		}
	}
	return Public(a)
}

// hostPort returns the canonical form of host:port: lower case A-labels or an
// address without its IPv4-in-IPv6 disguise.
func hostPort(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", errors.New("want host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %q: want 1 to 65535", port)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return net.JoinHostPort(a.Unmap().String(), port), nil
	}
	if host, err = smtpaddr.ParseDomain(host); err != nil {
		return "", fmt.Errorf("host %q: no host name or address", host)
	}
	return net.JoinHostPort(host, port), nil
}

// dialAddr is the canonical host:port of u; a name that is none stays as it is.
func dialAddr(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	addr := net.JoinHostPort(u.Hostname(), port)
	if s, err := hostPort(addr); err == nil {
		return s
	}
	return strings.ToLower(addr)
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
