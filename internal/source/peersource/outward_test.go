package peersource_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/ews"
)

// A trap counts who connects.
func trap(t *testing.T) (port string, caught *atomic.Int32) {
	caught = new(atomic.Int32)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			caught.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	_, port, err = net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, caught
}

// What a peer names, in an answer, a redirect of an address or one of HTTP, is
// fetched only where it is https at a public address. The peer itself is where
// the operator said, and may be anywhere.
func TestPeersDoNotSendUsInside(t *testing.T) {
	port, caught := trap(t)
	inside := []struct {
		name, url string
		want      error
	}{
		{"loopback", "https://127.0.0.1:" + port, safehttp.ErrAddress},
		{"another loopback address", "https://127.8.8.8:" + port, safehttp.ErrAddress},
		{"loopback by name", "https://localhost:" + port, safehttp.ErrAddress},
		{"IPv6 loopback", "https://[::1]:" + port, safehttp.ErrAddress},
		{"IPv4 in IPv6", "https://[::ffff:127.0.0.1]:" + port, safehttp.ErrAddress},
		{"unspecified", "https://0.0.0.0:" + port, safehttp.ErrAddress},
		{"private", "https://10.1.2.3:" + port, safehttp.ErrAddress},
		{"metadata service of a cloud", "https://169.254.169.254/latest", safehttp.ErrAddress},
		{"unique local", "https://[fd00::1]:" + port, safehttp.ErrAddress},
		{"plain http", "http://127.0.0.1:" + port, nil},
		{"another scheme", "file:///etc/passwd", nil},
		{"credentials", "https://u:p@127.0.0.1:" + port, nil},
	}
	ways := []struct {
		name string
		lead func(p *peer, url string)
	}{
		{"EWS URL", func(p *peer, url string) {
			p.discover = func(http.ResponseWriter, *autodiscover.Request) []autodiscover.Answer {
				return []autodiscover.Answer{ewsURL(url + ewsPath)}
			}
		}},
		{"RedirectUrl", func(p *peer, url string) {
			p.discover = func(http.ResponseWriter, *autodiscover.Request) []autodiscover.Answer {
				return []autodiscover.Answer{redirectURL(url + autodiscoverPath)}
			}
		}},
		{"HTTP redirect of Autodiscover", func(p *peer, url string) {
			p.discover = func(w http.ResponseWriter, _ *autodiscover.Request) []autodiscover.Answer {
				w.Header().Set("Location", url+autodiscoverPath)
				w.WriteHeader(http.StatusTemporaryRedirect)
				return nil
			}
		}},
		{"HTTP redirect of EWS", func(p *peer, url string) {
			p.ask = func(w http.ResponseWriter, _ *ews.AvailabilityRequest) []ews.FreeBusyResponse {
				w.Header().Set("Location", url+ewsPath)
				w.WriteHeader(http.StatusTemporaryRedirect)
				return nil
			}
		}},
	}
	for _, way := range ways {
		for _, to := range inside {
			t.Run(way.name+" to "+to.name, func(t *testing.T) {
				p := newPeer(t)
				way.lead(p, to.url)
				r := newRig(t, p)
				got := r.ask(query("kim"))[0]
				if got.Err == nil {
					t.Fatalf("an answer: %+v", got)
				}
				followed := way.name != "HTTP redirect of EWS" // of a POST with a token: never
				if to.want != nil && followed && !errors.Is(got.Err, to.want) {
					t.Errorf("%v, want %v", got.Err, to.want)
				}
				if !followed && !strings.Contains(got.Err.Error(), "307") {
					t.Errorf("%v, want the status", got.Err)
				}
			})
		}
	}
	if n := caught.Load(); n != 0 {
		t.Errorf("%d connections were made to places that a peer named", n)
	}
}
