package authorityclient_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"busybridge/internal/dial/authorityclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/spec/acs"
)

// A metadata document names a token endpoint, and its server redirects: neither
// leads to an address that is not public, nor to another host, and what a token
// request carries goes nowhere else.
func TestDocumentsDoNotSendUsInside(t *testing.T) {
	var inside atomic.Int32
	trap := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside.Add(1) }))
	defer trap.Close()
	_, port, err := net.SplitHostPort(trap.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	cfg := safehttp.Config{Roots: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		ConnectTo: map[string]string{"example.com:443": s.Listener.Addr().String()}}
	transport, err := safehttp.Transport(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer transport.CloseIdleConnections()
	c, err := authorityclient.New(authorityclient.Config{HTTP: safehttp.Client(transport, cfg)})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1:" + port, "localhost:" + port, "[::ffff:127.0.0.1]:" + port, "10.0.0.1", "169.254.169.254"} {
		at := "https://" + host + "/x"
		for what, want := range map[string]error{at: safehttp.ErrAddress, "https://example.com/?to=" + at: authorityclient.ErrRedirect} {
			if _, err := c.FetchMetadata(t.Context(), what); !errors.Is(err, want) {
				t.Errorf("metadata at %s: %v, want %v", what, err, want)
			}
			if _, err := c.FetchFederationMetadata(t.Context(), what); !errors.Is(err, want) {
				t.Errorf("federation metadata at %s: %v, want %v", what, err, want)
			}
			if _, err := c.RequestToken(t.Context(), what, acs.TokenRequest{Assertion: "a.b.c"}); !errors.Is(err, want) {
				t.Errorf("token at %s: %v, want %v", what, err, want)
			}
		}
	}
	// The same host again is for documents only.
	if _, err := c.RequestToken(t.Context(), "https://example.com/?to=/again", acs.TokenRequest{Assertion: "a.b.c"}); !errors.Is(err, authorityclient.ErrRedirect) {
		t.Errorf("a token request is sent on: %v", err)
	}
	if n := inside.Load(); n != 0 {
		t.Errorf("%d requests came inside", n)
	}
}
