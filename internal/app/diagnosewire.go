package app

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A stage is what an exchange of a diagnosed question is for.
type stage uint8

const (
	stageMetadata stage = iota
	stageAuthority
	stageDiscovery
	stageEndpoint
)

// An exchange is one request and its answer, as it went over the wire.
type exchange struct {
	stage  stage
	method string
	url    *url.URL
	bearer bool // it carried a token

	began                   time.Time
	took                    time.Duration
	dns, connect, shake     time.Duration
	address                 string // that was connected to
	tls                     *tls.ConnectionState
	status                  int
	header                  http.Header
	err                     error
	connected, wroteWhole   bool
	dnsAt, connectAt, tlsAt time.Time
}

// waited is the time without that for the connection.
func (e *exchange) waited() time.Duration { return e.took - e.dns - e.connect - e.shake }

// A wire watches all exchanges of one diagnosis: it is the transport below the one
// that adds tokens. What it notes holds no token and no body.
type wire struct {
	base http.RoundTripper
	now  func() time.Time

	mu    sync.Mutex // guards all below
	stage stage      // of requests to other organizations
	list  []*exchange
}

// to says what the requests from now on are for.
func (w *wire) to(s stage) {
	w.mu.Lock()
	w.stage = s
	w.mu.Unlock()
}

// exchanges are those of a stage so far, as they are now: a connection that nobody
// waits for any more may still tell of itself.
func (w *wire) exchanges(of stage) (out []*exchange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.list {
		if e.stage == of {
			seen := *e
			out = append(out, &seen)
		}
	}
	return out
}

// last is the last exchange with another organization; nil: there was none.
func (w *wire) last() *exchange {
	if list := append(w.exchanges(stageDiscovery), w.exchanges(stageEndpoint)...); len(list) > 0 {
		return list[len(list)-1]
	}
	return nil
}

// RoundTrip implements http.RoundTripper, for requests to other organizations.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	of := w.stage
	w.mu.Unlock()
	return w.exchange(of, r)
}

// A fixedStage is the wire for requests of one kind.
type fixedStage struct {
	*wire
	of stage
}

// RoundTrip implements http.RoundTripper.
func (f fixedStage) RoundTrip(r *http.Request) (*http.Response, error) { return f.exchange(f.of, r) }

func (w *wire) exchange(of stage, r *http.Request) (*http.Response, error) {
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer")
	e := &exchange{stage: of, method: r.Method, url: r.URL, bearer: isBearer && strings.TrimSpace(token) != "", began: w.now()}
	w.mu.Lock()
	w.list = append(w.list, e)
	w.mu.Unlock()
	resp, err := w.base.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), w.clientTrace(e))))
	w.mu.Lock()
	defer w.mu.Unlock()
	e.took, e.err = w.now().Sub(e.began), err
	if err != nil {
		return nil, err
	}
	e.status, e.header, e.tls = resp.StatusCode, resp.Header, resp.TLS
	resp.Body = &timedBody{resp.Body, w, e}
	return resp, nil
}

// clientTrace takes the times of the connection.
func (w *wire) clientTrace(e *exchange) *httptrace.ClientTrace {
	note := func(f func(now time.Time)) {
		now := w.now()
		w.mu.Lock()
		defer w.mu.Unlock()
		f(now)
	}
	return &httptrace.ClientTrace{
		DNSStart:     func(httptrace.DNSStartInfo) { note(func(now time.Time) { e.dnsAt = now }) },
		DNSDone:      func(httptrace.DNSDoneInfo) { note(func(now time.Time) { e.dns = now.Sub(e.dnsAt) }) },
		ConnectStart: func(string, string) { note(func(now time.Time) { e.connectAt = now }) },
		ConnectDone: func(_, address string, err error) {
			note(func(now time.Time) { e.connect, e.address, e.connected = now.Sub(e.connectAt), address, err == nil })
		},
		TLSHandshakeStart: func() { note(func(now time.Time) { e.tlsAt = now }) },
		TLSHandshakeDone:  func(tls.ConnectionState, error) { note(func(now time.Time) { e.shake = now.Sub(e.tlsAt) }) },
		GotConn:           func(httptrace.GotConnInfo) { note(func(time.Time) { e.connected = true }) },
		WroteRequest:      func(i httptrace.WroteRequestInfo) { note(func(time.Time) { e.wroteWhole = i.Err == nil }) },
	}
}

// A timedBody counts the reading of an answer to its exchange.
type timedBody struct {
	io.ReadCloser
	w *wire
	e *exchange
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		now := b.w.now()
		b.w.mu.Lock()
		b.e.took = now.Sub(b.e.began)
		if err != io.EOF {
			b.e.err = err
		}
		b.w.mu.Unlock()
	}
	return n, err
}

// seen are the facts of the connection: address, TLS, the certificate.
func (e *exchange) seen(fact func(name, value string)) {
	fact("host", e.url.Host)
	fact("address", e.address)
	if e.tls == nil || len(e.tls.PeerCertificates) == 0 {
		return
	}
	fact("TLS", tls.VersionName(e.tls.Version)+", "+tls.CipherSuiteName(e.tls.CipherSuite))
	c := e.tls.PeerCertificates[0]
	fact("certificate", strings.Join(namesOf(c), " ")+", until "+stamp(c.NotAfter))
	if e.connect > 0 {
		fact("times", "connect "+ms(e.connect)+", TLS "+ms(e.shake))
	}
}

// namesOf are the names of a server's certificate.
func namesOf(c *x509.Certificate) []string {
	const limit = 10
	names := c.DNSNames
	if len(names) > limit {
		names = append(names[:limit:limit], fmt.Sprintf("and %d more", len(c.DNSNames)-limit))
	}
	return names
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
