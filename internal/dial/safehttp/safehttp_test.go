package safehttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"busybridge/internal/dial/safehttp"
)

// The test certificates of httptest are for example.com and 127.0.0.1.
const host = "example.com"

func server(t *testing.T, h http.HandlerFunc) (*httptest.Server, safehttp.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(t.Output(), "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, safehttp.Config{
		Roots:     s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		ConnectTo: map[string]string{host + ":443": s.Listener.Addr().String()},
	}
}

func client(t *testing.T, cfg safehttp.Config) *http.Client {
	t.Helper()
	c, err := safehttp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// fetch returns the body, or the error of request or body.
func fetch(t *testing.T, c *http.Client, url string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer secret")
	resp, err := c.Do(r)
	if err != nil {
		return "", err
	}
	b, err := safehttp.ReadBody(resp, 1000)
	return string(b), err
}

func TestFetch(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "from "+r.Host) }
	s, plain := server(t, answer)
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	tests := []struct {
		name, url string
		change    func(*safehttp.Config)
		want      string
		err       error // wrapped by the error; nil with want "" is any error
	}{
		{"connect-to keeps the host name", "https://example.com/", nil, "from example.com", nil},
		{"connect-to does not mind letter case and a last dot", "https://EXAMPLE.com./", nil, "from EXAMPLE.com.", nil},
		{"connect-to is for its port only", "https://example.com:444/", func(c *safehttp.Config) { c.Resolver = names(map[string]string{}) }, "", nil},
		{"connect-to verifies the name of the URL", "https://contoso.com/", func(c *safehttp.Config) {
			c.ConnectTo["contoso.com:443"] = c.ConnectTo["example.com:443"]
		}, "", errWrongName},
		{"roots are the configured ones", "https://example.com/", func(c *safehttp.Config) { c.Roots = x509.NewCertPool() }, "", errUnknownRoot},
		{"http", "http://example.com/", nil, "", safehttp.ErrNotHTTPS},
		{"http to a connect-to address", "http://example.com:443/", nil, "", safehttp.ErrNotHTTPS},
		{"other scheme", "ftp://example.com/", nil, "", nil},
		{"credentials in the URL", "https://u:p@example.com/", nil, "", nil},
		{"loopback", s.URL, nil, "", safehttp.ErrAddress},
		{"loopback that is allowed", s.URL, func(c *safehttp.Config) { c.AllowPrivate = loopback }, "from " + s.Listener.Addr().String(), nil},
		{"name that resolves to loopback", "https://localhost:1/", nil, "", safehttp.ErrAddress},
		{"name with a public and a private address", "https://two.contoso.com/", func(c *safehttp.Config) {
			c.Resolver = names(map[string]string{"two.contoso.com.": "10.1.2.3"})
		}, "", safehttp.ErrAddress},
		{"unspecified address", "https://0.0.0.0/", nil, "", safehttp.ErrAddress},
		{"IPv4 in IPv6", "https://[::ffff:127.0.0.1]:1/", nil, "", safehttp.ErrAddress},
		{"number that some resolvers take for an address", "https://2130706433:1/", func(c *safehttp.Config) { c.Resolver = names(map[string]string{}) }, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := plain
			cfg.ConnectTo = map[string]string{host + ":443": plain.ConnectTo[host+":443"]}
			if tt.change != nil {
				tt.change(&cfg)
			}
			got, err := fetch(t, client(t, cfg), tt.url)
			switch {
			case tt.want != "":
				if err != nil || got != tt.want {
					t.Errorf("got %q, %v, want %q", got, err, tt.want)
				}
			case err == nil:
				t.Errorf("got %q, want an error", got)
			case tt.err == errWrongName:
				if _, ok := errors.AsType[x509.HostnameError](err); !ok {
					t.Errorf("got %v, want a host name error", err)
				}
			case tt.err == errUnknownRoot:
				if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
					t.Errorf("got %v, want an unknown authority", err)
				}
			case tt.err != nil && !errors.Is(err, tt.err):
				t.Errorf("got %v, want %v", err, tt.err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

var errWrongName, errUnknownRoot = errors.New("wrong name"), errors.New("unknown root")

// names is a resolver that knows A records only, over DNS on a pipe.
func names(a map[string]string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			for {
				var size [2]byte
				if _, err := io.ReadFull(there, size[:]); err != nil {
					return
				}
				b := make([]byte, int(size[0])<<8|int(size[1]))
				if _, err := io.ReadFull(there, b); err != nil {
					return
				}
				var m dnsmessage.Message
				if err := m.Unpack(b); err != nil {
					return
				}
				m.Response, m.Additionals = true, nil
				q := m.Questions[0]
				addr, ok := a[q.Name.String()]
				switch {
				case !ok:
					m.RCode = dnsmessage.RCodeNameError
				case q.Type == dnsmessage.TypeA:
					m.Answers = []dnsmessage.Resource{{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
						Body:   &dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()},
					}}
				}
				out, err := m.Pack()
				if err != nil {
					return
				}
				there.Write(append([]byte{byte(len(out) >> 8), byte(len(out))}, out...))
			}
		}()
		return here, nil
	}}
}

// A name that is public when it is checked and private when it is used has
// nothing to gain: each connection is checked as it is made.
func TestEachConnectionIsChecked(t *testing.T) {
	s, cfg := server(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") })
	cfg.ConnectTo = nil
	cfg.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	a := map[string]string{"example.com.": "127.0.0.1"}
	cfg.Resolver = names(a)
	c := client(t, cfg)
	u := "https://example.com:" + s.URL[strings.LastIndexByte(s.URL, ':')+1:]
	if _, err := fetch(t, c, u); err != nil {
		t.Fatal(err)
	}
	a["example.com."] = "127.0.0.2"
	if _, err := fetch(t, c, u); !errors.Is(err, safehttp.ErrAddress) {
		t.Errorf("got %v, want %v", err, safehttp.ErrAddress)
	}
}

func TestRedirects(t *testing.T) {
	_, cfg := server(t, func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
			return
		}
		io.WriteString(w, r.Host+" "+r.Header.Get("Authorization")+r.Header.Get("Cookie"))
	})
	at := cfg.ConnectTo[host+":443"]
	cfg.ConnectTo["sub.example.com:443"] = at
	cfg.ConnectTo["example.com:444"] = at
	hop := func(urls ...string) string {
		u := urls[len(urls)-1]
		for i := len(urls) - 2; i >= 0; i-- {
			u = urls[i] + "?to=" + url.QueryEscape(u)
		}
		return u
	}
	const a = "https://example.com/"
	tests := []struct {
		name, url string
		max       int
		hosts     []string
		want      string
		err       error
	}{
		{"same host keeps credentials", hop(a, a), 0, nil, "example.com Bearer secret", nil},
		{"relative", a + "?to=%2Fx", 0, nil, "example.com Bearer secret", nil},
		{"same host, port spelled out", hop(a, "https://EXAMPLE.com:443/"), 0, nil, "EXAMPLE.com:443 ", nil},
		{"five by default", hop(a, a, a, a, a, a), 0, nil, "example.com Bearer secret", nil},
		{"six are too many", hop(a, a, a, a, a, a, a), 0, nil, "", safehttp.ErrRedirect},
		{"limit is configured", hop(a, a, a), 1, nil, "", safehttp.ErrRedirect},
		{"none at all", hop(a, a), -1, nil, "", safehttp.ErrRedirect},
		{"subdomain is another host", hop(a, "https://sub.example.com/"), 0, nil, "", safehttp.ErrRedirect},
		{"another port is another host", hop(a, "https://example.com:444/"), 0, nil, "", safehttp.ErrRedirect},
		{"allowed host gets no credentials", hop(a, "https://sub.example.com/"), 0, []string{"Sub.example.com"}, "sub.example.com ", nil},
		{"allowed host:port gets no credentials", hop(a, "https://example.com:444/"), 0, []string{"example.com:444"}, "example.com:444 ", nil},
		{"to http", hop(a, "http://example.com/"), 0, []string{"example.com:80", "example.com"}, "", safehttp.ErrNotHTTPS},
		{"to http on the same port", hop(a, "http://example.com:443/"), 0, nil, "", safehttp.ErrNotHTTPS},
		{"with credentials", hop(a, "https://u:p@example.com/"), 0, nil, "", safehttp.ErrRedirect},
		{"to a private address that is allowed as redirect host", hop(a, "https://127.0.0.1:1/"), 0, []string{"127.0.0.1:1"}, "", safehttp.ErrAddress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := cfg
			cfg.MaxRedirects, cfg.RedirectHosts = tt.max, tt.hosts
			got, err := fetch(t, client(t, cfg), tt.url)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v, want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestReadBody(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(make([]byte, 1<<20))
	z.Close()
	many := func(n int) func(w http.ResponseWriter, r *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, n)) }
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   int
		err    error
	}{
		{"at the limit", many(1000), 1000, nil},
		{"over the limit, length told", many(1001), 0, safehttp.ErrTooLarge},
		{"over the limit, length not told", func(w http.ResponseWriter, r *http.Request) {
			for range 50 {
				w.Write(make([]byte, 100))
				w.(http.Flusher).Flush()
			}
		}, 0, safehttp.ErrTooLarge},
		{"compressed unasked", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "" {
				t.Errorf("asks for %q", r.Header.Get("Accept-Encoding"))
			}
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(packed.Bytes())
		}, 0, safehttp.ErrEncoding},
		{"cut short", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "900")
			w.Write(make([]byte, 100))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, 0, io.ErrUnexpectedEOF},
		{"header too large", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", safehttp.DefaultMaxHeader+1))
		}, 0, errAny},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, cfg := server(t, tt.answer)
			got, err := fetch(t, client(t, cfg), "https://example.com/")
			if len(got) != tt.want || (tt.err == nil) != (err == nil) || (tt.err != errAny && !errors.Is(err, tt.err)) {
				t.Errorf("got %d bytes, %v, want %d, %v", len(got), err, tt.want, tt.err)
			}
		})
	}
}

var errAny = errors.New("any error")

func TestOldTLSIsRefused(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	s.StartTLS()
	defer s.Close()
	c := client(t, safehttp.Config{
		Roots:     s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		ConnectTo: map[string]string{"example.com:443": s.Listener.Addr().String()},
	})
	if _, err := fetch(t, c, "https://example.com/"); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}

func TestTimeout(t *testing.T) {
	done := make(chan struct{})
	_, cfg := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush() // headers come, the body never
		<-done                   // not when the client is gone: the answer's end might still reach it
	})
	defer close(done)
	cfg.Timeout = 50 * time.Millisecond
	_, err := fetch(t, client(t, cfg), "https://example.com/")
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
		t.Errorf("got %v, want a time-out", err)
	}
}

// The environment names a proxy that must not be used; the configuration names
// one that must, except for connect-to hosts and private literals.
func TestProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://192.0.2.1:1")
	direct, cfg := server(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	if got, err := fetch(t, client(t, cfg), "https://example.com/"); got != "hello" {
		t.Fatalf("environment: got %q, %v", got, err)
	}

	asked := make(chan string, 4)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		up, err := net.Dial("tcp", direct.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer up.Close()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(up, conn)
		io.Copy(conn, up)
	}))
	defer proxy.Close()
	cfg.Proxy, _ = url.Parse(proxy.URL)
	mapped := cfg.ConnectTo
	cfg.ConnectTo = nil
	if got, err := fetch(t, client(t, cfg), "https://example.com/"); got != "hello" {
		t.Errorf("proxy: got %q, %v", got, err)
	}
	if got, want := <-asked, "CONNECT example.com:443"; got != want {
		t.Errorf("proxy saw %q, want %q", got, want)
	}
	if _, err := fetch(t, client(t, cfg), "https://127.0.0.1/"); !errors.Is(err, safehttp.ErrAddress) {
		t.Errorf("private literal: got %v", err)
	}
	if _, err := fetch(t, client(t, cfg), "http://example.com/"); !errors.Is(err, safehttp.ErrNotHTTPS) {
		t.Errorf("http: got %v", err)
	}
	cfg.ConnectTo = mapped
	if got, err := fetch(t, client(t, cfg), "https://example.com/"); got != "hello" {
		t.Errorf("connect-to: got %q, %v", got, err)
	}
	if len(asked) != 0 {
		t.Errorf("proxy saw %q", <-asked)
	}
}

// A proxy that refuses is not gone around, and its password is for it alone.
func TestProxyIsNotGoneAround(t *testing.T) {
	reached := make(chan http.Header, 4)
	direct, cfg := server(t, func(_ http.ResponseWriter, r *http.Request) { reached <- r.Header })
	var tell string
	seen := make(chan string, 4)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Proxy-Authorization")
		if tell != "" {
			http.Error(w, tell, http.StatusProxyAuthRequired)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		up, err := net.Dial("tcp", direct.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer up.Close()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(up, conn)
		io.Copy(conn, up)
	}))
	defer proxy.Close()
	var err error
	if cfg.Proxy, err = url.Parse(proxy.URL); err != nil {
		t.Fatal(err)
	}
	cfg.Proxy.User = url.UserPassword("svc", "hidden")
	cfg.ConnectTo = nil
	c := client(t, cfg)
	if _, err := fetch(t, c, "https://example.com/"); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; !strings.HasPrefix(got, "Basic ") {
		t.Errorf("the proxy saw %q", got)
	}
	if h := <-reached; h.Get("Proxy-Authorization") != "" || h.Get("Authorization") != "Bearer secret" {
		t.Errorf("the server saw %v", h)
	}
	c.CloseIdleConnections()
	tell = "no"
	if _, err := fetch(t, client(t, cfg), "https://example.com/"); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a proxy that refuses: %v", err)
	}
	proxy.Close()
	if _, err := fetch(t, client(t, cfg), "https://example.com/"); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a proxy that is gone: %v", err)
	}
	if len(reached) != 0 {
		t.Error("the server was reached without the proxy")
	}
}

// A server that takes the connection and says nothing costs no more than the
// time-out, in the handshake, before the header and between its bytes.
func TestSilentServers(t *testing.T) {
	stop := make(chan struct{})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, cfg := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/drip" {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					w.Write([]byte("x"))
					w.(http.Flusher).Flush()
				}
			}
		}
		<-stop
	})
	defer close(stop)
	cfg.Timeout = 100 * time.Millisecond
	cfg.ConnectTo["silent.example:443"] = silent.Addr().String()
	for _, u := range []string{"https://silent.example/", "https://example.com/header", "https://example.com/drip"} {
		began := time.Now()
		_, err := fetch(t, client(t, cfg), u)
		if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
			t.Errorf("%s: %v, want a time-out", u, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: took %v", u, took)
		}
	}
}

func TestConfigReportsAllProblems(t *testing.T) {
	_, err := safehttp.New(safehttp.Config{
		ConnectTo: map[string]string{
			"a.contoso.com":       "127.0.0.1:1",
			"b.contoso.com:443":   "127.0.0.1",
			"c.contoso.com:0":     "127.0.0.1:1",
			"d.contoso.com:443":   "not a host:1",
			"E.contoso.com:443":   "127.0.0.1:1",
			"e.contoso.com:443":   "127.0.0.1:2",
			"[2001:db8::1]:443":   "[::1]:8443",
			"f.contoso.com:99999": "127.0.0.1:1",
		},
		AllowPrivate: []netip.Prefix{{}},
		Proxy:        &url.URL{Scheme: "ftp", Host: "p", User: url.UserPassword("u", "hidden")},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"a.contoso.com"`, `"b.contoso.com:443"`, `"c.contoso.com:0"`, `"not a host:1"`, "two targets", `"f.contoso.com:99999"`, "invalid network", "proxy"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %s in\n%v", want, err)
		}
	}
	for _, not := range []string{"2001:db8", "hidden"} {
		if strings.Contains(err.Error(), not) {
			t.Errorf("%s in\n%v", not, err)
		}
	}
}

func TestParseURL(t *testing.T) {
	for s, ok := range map[string]bool{
		"https://mail.contoso.com/EWS/Exchange.asmx": true,
		"https://[2001:db8::1]:444/":                 true,
		"HTTPS://mail.contoso.com":                   true,
		"http://mail.contoso.com/":                   false,
		"https:///x":                                 false,
		"https://:443/":                              false,
		"https:mail.contoso.com":                     false,
		"//mail.contoso.com/":                        false,
		"/EWS/Exchange.asmx":                         false,
		"https://u@mail.contoso.com/":                false,
		"https://mail.contoso.com:x/":                false,
		"":                                           false,
		"javascript:alert(1)":                        false,
		"https://mail.contoso.com/\n":                false,
	} {
		if u, err := safehttp.ParseURL(s); (err == nil) != ok {
			t.Errorf("ParseURL(%q) = %v, %v", s, u, err)
		}
	}
}

func TestPublic(t *testing.T) {
	for s, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "9.255.255.255": true, "11.0.0.0": true, "172.15.255.255": true, "172.32.0.0": true,
		"100.63.255.255": true, "100.128.0.0": true, "169.253.255.255": true, "192.167.255.255": true, "198.17.255.255": true, "223.255.255.255": true,
		"2606:4700::1111": true, "2001:4860:4860::8888": true, "2a00:1450::1": true, "::ffff:8.8.8.8": true, "64:ff9b::8.8.8.8": true,
		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "127.0.0.1": false, "127.255.255.255": false,
		"169.254.169.254": false, "172.16.0.1": false, "172.31.255.255": false, "192.0.0.1": false, "192.0.2.1": false, "192.88.99.1": false,
		"192.168.1.1": false, "198.18.0.1": false, "198.19.255.255": false, "198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false,
		"239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "::127.0.0.1": false, "::8.8.8.8": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false,
		"64:ff9b::127.0.0.1": false, "64:ff9b::10.0.0.1": false, "64:ff9b:1::8.8.8.8": false, "100::1": false, "2001::1": false, "2001:2::1": false,
		"2001:20::1": false, "2001:db8::1": false, "2002:7f00:1::": false, "2002:808:808::": false, "3fff::1": false, "5f00::1": false, "fc00::1": false, "fd12::1": false,
		"fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, "ff02::1": false, "4000::1": false,
	} {
		if got := safehttp.Public(netip.MustParseAddr(s)); got != want {
			t.Errorf("Public(%s) = %v, want %v", s, got, want)
		}
	}
	if safehttp.Public(netip.Addr{}) {
		t.Error("the zero address is public")
	}
}

type answering func(*http.Request) (*http.Response, error)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An answer that ends after its request was given up is not taken for whole.
func TestAnswerThatEndsTooLate(t *testing.T) {
	for _, late := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		rt := answering(func(*http.Request) (*http.Response, error) {
			body, end := io.Pipe()
			go func() {
				io.WriteString(end, "half")
				if late {
					cancel()
				}
				end.Close() // well, as far as the reader can see
			}()
			return &http.Response{StatusCode: http.StatusOK, Body: body, ContentLength: -1}, nil
		})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mail.contoso.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := safehttp.Client(rt, safehttp.Config{}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := safehttp.ReadBody(resp, 100)
		if late && !errors.Is(err, context.Canceled) || !late && (err != nil || string(b) != "half") {
			t.Errorf("late %v: %q, %v", late, b, err)
		}
	}
}
