package trust_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/acs"
	"busybridge/internal/trust"
)

// A resource is a server that asks for a bearer token, and notes what it saw.
type resource struct {
	*httptest.Server
	mu        sync.Mutex
	seen      []string // "empty", "none", "token" or another scheme, by request
	bodies    []string
	token     string // the last one
	challenge string
	refuse    string // x-ms-diagnostics for every token, while not empty
}

func newResource(t *testing.T) *resource {
	s := &resource{challenge: `Bearer client_id="` + exchange + `", trusted_issuers="` + acsPID +
		`@*", token_types="app_asserted_user_v1 service_asserted_app_v1",Basic realm=""`}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bodies = append(s.bodies, string(body))
		kind := "none"
		switch h := r.Header.Get("Authorization"); {
		case h == "Bearer":
			kind = "empty"
		case strings.HasPrefix(h, "Bearer "):
			kind, s.token = "token", strings.TrimPrefix(h, "Bearer ")
		case h != "":
			kind, _, _ = strings.Cut(h, " ")
		}
		s.seen = append(s.seen, kind)
		if kind == "token" && s.refuse == "" {
			if to := r.URL.Query().Get("to"); to != "" {
				http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			}
			return
		}
		if kind == "token" {
			w.Header().Set("x-ms-diagnostics", s.refuse)
		}
		if s.challenge != "" {
			w.Header().Set("WWW-Authenticate", s.challenge)
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *resource) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen, s.bodies = nil, nil
	return seen
}

func (s *resource) set(f func(*resource)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// newTransport is a client of onpremises for resources like to.
func newTransport(t *testing.T, to *resource) (*http.Client, *trust.Transport, *endpoint) {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig = to.Client().Transport.(*http.Transport).TLSClientConfig
	t.Cleanup(base.CloseIdleConnections)
	a, _ := newAuthority(t, realms{testRealm()}, fixed(start), nil)
	e := &endpoint{authority: a, realm: tenant}
	tokens := newTokens(t, rename{e}, fixed(start))
	tr := &trust.Transport{Base: base, Tokens: tokens, Org: onpremises(), As: alice}
	return &http.Client{Transport: tr}, tr, e
}

// rename lets an authority issue for hosts that cannot be registered: it asks
// for the cloud's and answers under the name that was asked for.
type rename struct{ *endpoint }

func (r rename) RequestToken(ctx context.Context, url string, req acs.TokenRequest) (*acs.TokenResponse, error) {
	asked := req.Resource
	req.Resource = exchange + "/" + cloud + "@" + tenant
	resp, err := r.endpoint.RequestToken(ctx, url, req)
	if err != nil {
		return nil, err
	}
	s := newScene()
	s.actor.claims["aud"] = asked
	resp.AccessToken = s.actor.String()
	return resp, nil
}

func post(t *testing.T, c *http.Client, url string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("question"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if req.Header.Get("Authorization") != "" {
		t.Error("the caller's request was changed")
	}
	return resp.StatusCode, nil
}

func TestTransport(t *testing.T) {
	s := newResource(t)
	c, _, e := newTransport(t, s)
	step := func(what string, status int, want ...string) {
		t.Helper()
		got, err := post(t, c, s.URL+"/ews/exchange.asmx")
		if err != nil || got != status {
			t.Errorf("%s: %d, %v", what, got, err)
		}
		if d := cmp.Diff(want, s.take()); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	step("the first request learns the challenge", 200, "empty", "token")
	step("the next has the token at once", 200, "token")
	if n := e.count(); n != 1 {
		t.Errorf("%d token requests", n)
	}
	s.set(func(s *resource) { s.refuse = `2000006;reason="x";error_category="invalid_client"` })
	step("a refusal that no other token cures is not repeated", 401, "token")
	step("and the challenge is learnt again", 401, "empty", "token")
	s.set(func(s *resource) { s.refuse = "" })
	step("after the cure", 200, "empty", "token")
	s.set(func(s *resource) { s.refuse = `2000000;reason="x";error_category="invalid_signature"` })
	n := e.count()
	step("an invalid signature is tried once with a new token", 401, "token", "token")
	if e.count() != n+1 {
		t.Errorf("%d token requests, then %d", n, e.count())
	}
	s.set(func(s *resource) { s.refuse, s.challenge = "", "" })
	step("a 401 without challenge is the answer", 401, "empty")
}

func TestTransportRepeatsTheBody(t *testing.T) {
	s := newResource(t)
	c, _, _ := newTransport(t, s)
	if status, err := post(t, c, s.URL); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	if d := cmp.Diff([]string{"question", "question"}, s.bodies); d != "" {
		t.Error(d)
	}
	s.take()
	// A body that cannot be had again is sent once.
	other := newResource(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, other.URL, io.MultiReader(bytes.NewReader([]byte("once"))))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if d := cmp.Diff([]string{"empty"}, other.take()); d != "" || resp.StatusCode != 401 {
		t.Error(resp.StatusCode, d)
	}
}

func TestTransportNamesTheCause(t *testing.T) {
	s := newResource(t)
	c, tr, _ := newTransport(t, s)
	tr.Org.AuthServers[0].Enabled = false
	_, err := post(t, c, s.URL)
	if re, ok := errors.AsType[*trust.RequestError](err); !ok || !errors.Is(err, trust.ErrNoIssuer) || re.Step != "choose issuer" {
		t.Errorf("%v", err)
	}
	if d := cmp.Diff([]string{"empty"}, s.take()); d != "" {
		t.Error(d)
	}
}

func TestTransportSendsNoTokenElsewhere(t *testing.T) {
	s, other := newResource(t), newResource(t)
	c, _, e := newTransport(t, s)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("a header went over http")
		}
	}))
	defer plain.Close()

	// A redirect to another host is followed without a token, and its challenge is not answered.
	if status, err := post(t, c, s.URL+"/?to="+url.QueryEscape(other.URL)); status != 401 || err != nil {
		t.Error(status, err)
	}
	if d := cmp.Diff([]string{"none"}, other.take()); d != "" {
		t.Error(d)
	}
	// To the same host the token goes again.
	s.take()
	if status, err := post(t, c, s.URL+"/?to=/elsewhere"); status != 200 || err != nil {
		t.Error(status, err)
	}
	if d := cmp.Diff([]string{"token", "token"}, s.take()); d != "" {
		t.Error(d)
	}
	n := e.count()
	if _, err := post(t, c, plain.URL); !errors.Is(err, trust.ErrInsecure) {
		t.Errorf("http: %v", err)
	}
	if e.count() != n {
		t.Error("asked for a token for http")
	}
}

func TestTransportLeavesOtherCredentialsAlone(t *testing.T) {
	s := newResource(t)
	c, _, _ := newTransport(t, s)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("u", "p")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if d := cmp.Diff([]string{"Basic"}, s.take()); d != "" {
		t.Error(d)
	}
}
