package feedclient_test

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/dial/feedclient"
	"busybridge/internal/dial/safehttp"
)

const calendar = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20140506T080000Z\r\nDTEND:20140506T090000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

const secretPath = "/private-4f2a97/basic.ics"

var now = time.Date(2014, 5, 6, 7, 8, 9, 0, time.UTC)

// upstream is a server under the names example.com and other.example, and a client
// for it.
func upstream(t *testing.T, h http.HandlerFunc, change ...func(*safehttp.Config)) *feedclient.Client {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	at := s.Listener.Addr().String()
	dial := safehttp.Config{Roots: roots, ConnectTo: map[string]string{"example.com:443": at, "www.example.com:443": at, "other.example:443": at}}
	for _, c := range change {
		c(&dial)
	}
	rt, err := safehttp.Transport(dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	c, err := feedclient.New(feedclient.Config{Transport: rt, Dial: dial, Now: func() time.Time { return now }, Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func text(body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/calendar; charset=utf-8")
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		io.WriteString(w, body)
	}
}

func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
	}
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// Each thing that can be wrong with an upstream has a name, and none shows the
// secret part of the address.
func TestFaults(t *testing.T) {
	half := calendar[:len(calendar)/2]
	tests := []struct {
		name   string
		answer http.HandlerFunc
		dial   func(*safehttp.Config)
		want   safehttp.Fault
		retry  time.Duration
	}{
		{name: "nobody listens", dial: func(c *safehttp.Config) { c.ConnectTo["example.com:443"] = "127.0.0.1:1" }, want: safehttp.FaultRefused},
		{name: "address is not public", dial: func(c *safehttp.Config) { c.ConnectTo = nil; c.Resolver = nil }, want: safehttp.FaultAddress},
		{name: "certificate of somebody else", dial: func(c *safehttp.Config) { c.Roots = x509.NewCertPool() }, want: safehttp.FaultCertificate},
		{name: "401", answer: status(401), want: safehttp.FaultUnauthorized},
		{name: "403", answer: status(403), want: safehttp.FaultForbidden},
		{name: "404", answer: status(404), want: safehttp.FaultNotFound},
		{name: "410", answer: status(410), want: safehttp.FaultNotFound},
		{name: "429 with seconds", answer: status(429, "Retry-After", "120"), want: safehttp.FaultThrottled, retry: 2 * time.Minute},
		{name: "429 with a date", answer: status(429, "Retry-After", now.Add(time.Hour).Format(http.TimeFormat)), want: safehttp.FaultThrottled, retry: time.Hour},
		{name: "429 with a year", answer: status(429, "Retry-After", "31536000"), want: safehttp.FaultThrottled, retry: 24 * time.Hour},
		{name: "429 with nonsense", answer: status(429, "Retry-After", "soon"), want: safehttp.FaultThrottled},
		{name: "500", answer: status(500), want: safehttp.FaultServer},
		{name: "503 with Retry-After", answer: status(503, "Retry-After", "7"), want: safehttp.FaultServer, retry: 7 * time.Second},
		{name: "204", answer: status(204), want: safehttp.FaultStatus},
		{name: "304 that was not asked for", answer: status(304), want: safehttp.FaultStatus},
		{name: "300", answer: status(300), want: safehttp.FaultStatus},
		{name: "half an answer, length told", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(calendar)))
			io.WriteString(w, half)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, want: safehttp.FaultTruncated},
		{name: "half an answer that looks whole", answer: text(half), want: safehttp.FaultTruncated},
		{name: "half of a packed answer", answer: text(string(zipped([]byte(calendar))[:40]), "Content-Encoding", "gzip"), want: safehttp.FaultTruncated},
		{name: "nothing", answer: text(""), want: safehttp.FaultContent},
		{name: "connection lost before an answer", answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, want: safehttp.FaultConnection},
		{name: "no answer", answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, want: safehttp.FaultTimedOut},
		{name: "slow trickle", answer: func(w http.ResponseWriter, r *http.Request) {
			for i := 0; r.Context().Err() == nil; i++ {
				w.Write([]byte{calendar[i%len(calendar)]})
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
		}, want: safehttp.FaultTimedOut},
		{name: "a page to sign in at", answer: text("<html>", "Content-Type", "text/html; charset=utf-8"), want: safehttp.FaultContentType},
		{name: "JSON", answer: text("{}", "Content-Type", "application/json"), want: safehttp.FaultContentType},
		{name: "a page that says it is a calendar", answer: text("<html>END:VCALENDAR"), want: safehttp.FaultContent},
		{name: "200 MB, length told", answer: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(200<<20))
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, want: safehttp.FaultTooLarge},
		{name: "200 MB, length not told", answer: func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "BEGIN:VCALENDAR\r\n")
			for range 200 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
			t.Error("all of it was read")
		}, want: safehttp.FaultTooLarge},
		{name: "20 MB in 20 kB", answer: text(string(zipped(make([]byte, 20<<20))), "Content-Encoding", "gzip"), want: safehttp.FaultTooLarge},
		{name: "broken gzip", answer: text("this is not packed at all", "Content-Encoding", "gzip"), want: safehttp.FaultEncoding},
		{name: "broken inside of gzip", answer: text(string(append(zipped([]byte(calendar))[:10], bytes.Repeat([]byte{0xff}, 200)...)), "Content-Encoding", "gzip"), want: safehttp.FaultEncoding},
		{name: "another compression", answer: text(calendar, "Content-Encoding", "br"), want: safehttp.FaultEncoding},
		{name: "redirect to http", answer: status(302, "Location", "http://example.com/secret"), want: safehttp.FaultRedirect},
		{name: "redirect to loopback", answer: status(302, "Location", "https://127.0.0.1:1/secret"), want: safehttp.FaultAddress},
		{name: "redirect with a password", answer: status(302, "Location", "https://u:secret@example.com/"), want: safehttp.FaultRedirect},
		{name: "redirects without end", answer: status(302, "Location", "https://example.com"+secretPath), want: safehttp.FaultRedirect},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.answer == nil {
				tt.answer = text(calendar)
			}
			if tt.dial == nil {
				tt.dial = func(*safehttp.Config) {}
			}
			c := upstream(t, tt.answer, tt.dial)
			q := feedclient.Request{URL: "https://example.com" + secretPath, UserName: "kim", Password: "hunter2", MaxBytes: 10 << 20}
			if tt.name == "address is not public" {
				q.URL = "https://127.0.0.1:1" + secretPath
			}
			got, err := c.Fetch(t.Context(), q)
			f, ok := errors.AsType[*safehttp.FaultError](err)
			if got != nil || !ok || f.Fault != tt.want || f.RetryAfter != tt.retry {
				t.Fatalf("got %v, %#v (%v), want %s after %v", got, f, err, tt.want, tt.retry)
			}
			for _, secret := range []string{"4f2a97", "hunter2", "secret"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows a secret: %v", err)
				}
			}
		})
	}
	t.Run("no such name", func(t *testing.T) {
		c := upstream(t, text(calendar))
		_, err := c.Fetch(t.Context(), feedclient.Request{URL: "https://no-such-host.invalid" + secretPath, MaxBytes: 1})
		if f := safehttp.FaultOf(err); f.Fault != safehttp.FaultName && f.Fault != safehttp.FaultTimedOut { // where there is no DNS at all
			t.Errorf("got %s: %v", f.Fault, err)
		}
	})
	t.Run("http", func(t *testing.T) {
		c := upstream(t, text(calendar))
		for _, u := range []string{"http://example.com/4f2a97", "https://u:p4f2a97@example.com/", "://4f2a97", ""} {
			_, err := c.Fetch(t.Context(), feedclient.Request{URL: u, MaxBytes: 1})
			if f := safehttp.FaultOf(err); f.Fault != safehttp.FaultURL || strings.Contains(err.Error(), "4f2a97") {
				t.Errorf("%s: %v", u, err)
			}
		}
	})
}

func TestFetch(t *testing.T) {
	var asked []string
	serve := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			asked = append(asked, fmt.Sprintf("%s%s user=%s:%s etag=%s since=%s referer=%s", r.Host, r.URL.Path, user, password, r.Header.Get("If-None-Match"), r.Header.Get("If-Modified-Since"), r.Referer()))
			answer(w, r)
		}
	}
	plain := feedclient.Request{URL: "https://example.com" + secretPath, MaxBytes: 1 << 20}
	signed := plain
	signed.UserName, signed.Password = "kim", "hunter2"
	known := plain
	known.ETag, known.LastModified = `"1"`, "Tue, 06 May 2014 07:00:00 GMT"
	feed := &feedclient.Feed{Body: []byte(calendar), ETag: `"2"`, LastModified: "Tue, 06 May 2014 07:07:00 GMT"}
	validators := []string{"ETag", feed.ETag, "Last-Modified", feed.LastModified}
	const first = "example.com" + secretPath
	tests := []struct {
		name   string
		q      feedclient.Request
		answer http.HandlerFunc
		want   *feedclient.Feed
		asked  []string
	}{
		{"a secret link", plain, text(calendar, validators...), feed, []string{first + " user=: etag= since= referer="}},
		{"a password", signed, text(calendar, validators...), feed, []string{first + " user=kim:hunter2 etag= since= referer="}},
		{"not modified", known, status(304), &feedclient.Feed{NotModified: true}, []string{first + ` user=: etag="1" since=Tue, 06 May 2014 07:00:00 GMT referer=`}},
		{"packed", plain, text(string(zipped([]byte(calendar))), "Content-Encoding", "gzip"), &feedclient.Feed{Body: []byte(calendar)}, []string{first + " user=: etag= since= referer="}},
		{"octets with a byte order mark", plain, text("\xef\xbb\xbf"+calendar, "Content-Type", "application/octet-stream"), &feedclient.Feed{Body: []byte("\xef\xbb\xbf" + calendar)}, []string{first + " user=: etag= since= referer="}},
		{"a validator of unusual length is none", plain, text(calendar, "ETag", `"`+strings.Repeat("x", 600)+`"`), &feedclient.Feed{Body: []byte(calendar)}, []string{first + " user=: etag= since= referer="}},
		{"a redirect to another host takes neither password nor path with it", signed, func(w http.ResponseWriter, r *http.Request) {
			if r.Host == "example.com" {
				status(302, "Location", "https://www.example.com/moved.ics")(w, r)
				return
			}
			text(calendar)(w, r)
		}, &feedclient.Feed{Body: []byte(calendar)}, []string{first + " user=kim:hunter2 etag= since= referer=", "www.example.com/moved.ics user=: etag= since= referer="}},
		{"as big as allowed", feedclient.Request{URL: plain.URL, MaxBytes: int64(len(calendar))}, text(calendar), &feedclient.Feed{Body: []byte(calendar)}, []string{first + " user=: etag= since= referer="}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked = nil
			got, err := upstream(t, serve(tt.answer)).Fetch(t.Context(), tt.q)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.asked, asked); d != "" {
				t.Error(d)
			}
		})
	}
}

// What was wrong is right again with the next request, of the same client.
func TestRecovery(t *testing.T) {
	answers := []http.HandlerFunc{status(500), text("x"), status(401), text(calendar)}
	n := 0
	c := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		h := answers[min(n, len(answers)-1)]
		n++
		h(w, r)
	}, func(c *safehttp.Config) { c.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	for range 3 {
		if _, err := c.Fetch(t.Context(), feedclient.Request{URL: "https://example.com/", MaxBytes: 1 << 20}); err == nil {
			t.Fatal("no error")
		}
	}
	if _, err := c.Fetch(t.Context(), feedclient.Request{URL: "https://example.com/", MaxBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
}
