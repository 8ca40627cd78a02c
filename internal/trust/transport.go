package trust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
)

// A Transport sends the requests of an organization to other servers with a
// bearer token (oauth-s2s 0.3 and 9). The first request to a server goes out
// with the scheme name alone; the challenge of its 401 tells which token it
// wants, the request is repeated with it once, and later requests carry the
// token from the start. It is an http.RoundTripper.
//
// A token goes only over https, and never to another host than the one that the
// caller addressed: a redirect to elsewhere is followed without one. A request
// that has an Authorization header already is passed on as it is.
type Transport struct {
	Base   http.RoundTripper       // required
	Tokens *Tokens                 // required; holds the challenges
	Org    *directory.Organization // required; whose requests these are
	As     *User                   // nil: the token speaks for no user
	// Application is the server of Entra whose application of the organization
	// asks: its token speaks for no user, and the request itself says whom it acts
	// for. nil: what the challenge says decides.
	Application *directory.AuthServer
	// Fresh asks for the challenge and for an actor token anew, whatever is kept.
	Fresh bool
	Trace *Trace // nil: nobody watches
}

// ErrInsecure: a request that needs a token was not for https.
var ErrInsecure = errors.New("a bearer token is sent over https only")

// RoundTrip implements http.RoundTripper. When no token can be had its error is
// a *RequestError.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("Authorization") != "" || redirected(req) {
		return t.Base.RoundTrip(req)
	}
	if req.URL.Scheme != "https" {
		closeBody(req)
		return nil, fmt.Errorf("%w: %s://%s", ErrInsecure, req.URL.Scheme, req.URL.Host)
	}
	ctx, site, host := req.Context(), req.URL.Scheme+"://"+req.URL.Host, audienceHost(req)
	t.Trace.entering()
	if t.Fresh {
		t.Tokens.challenges.drop(site)
	}
	used, known := t.Tokens.challenges.get(site)
	known = known && !t.Fresh // another request may have brought it back
	bearer := "Bearer"
	if known {
		token, err := t.bearer(ctx, req, used, host)
		if err != nil {
			// Perhaps the challenge is out of date: ask for it again next time.
			t.Tokens.challenges.drop(site)
			closeBody(req)
			return nil, err
		}
		bearer = "Bearer " + token
	}
	resp, err := t.send(req, req.Body, bearer)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	t.Tokens.challenges.drop(site)
	ch, ok := bearerChallenge(resp)
	if !ok {
		return resp, nil
	}
	t.Trace.challenged(req.URL, resp.Header, ch)
	if known {
		// Another token helps only when the old one is stale or was for another challenge.
		d, err := acs.ParseDiagnostics(resp.Header.Get(acs.DiagnosticsHeader))
		stale := err == nil && (d.ID == InvalidSignature || d.ID == TokenExpired)
		if stale {
			t.Tokens.forget(t.purpose(ch, host))
		} else if sameChallenge(ch, used) {
			return resp, nil
		}
	}
	body, ok := again(req)
	if !ok {
		return resp, nil
	}
	discard(resp)
	token, err := t.bearer(ctx, req, ch, host)
	if err != nil {
		if body != nil {
			body.Close()
		}
		return nil, err
	}
	resp, err = t.send(req, body, "Bearer "+token)
	if err == nil && resp.StatusCode != http.StatusUnauthorized {
		t.Tokens.challenges.put(site, ch)
	}
	return resp, err
}

func (t *Transport) bearer(ctx context.Context, req *http.Request, ch acs.Challenge, host string) (string, error) {
	t.Trace.building(ch)
	token, err := t.Tokens.bearer(ctx, t.purpose(ch, host), t.Fresh, t.Trace)
	if err == nil {
		t.Trace.presenting(req.URL, token)
	}
	return token, err
}

func (t *Transport) purpose(ch acs.Challenge, host string) *purpose {
	return &purpose{t.Org, ch, host, t.As, t.Application}
}

func (t *Transport) send(req *http.Request, body io.ReadCloser, authorization string) (*http.Response, error) {
	r := req.WithContext(req.Context()) // a copy
	r.Body, r.Header = body, req.Header.Clone()
	r.Header.Set("Authorization", authorization)
	return t.Base.RoundTrip(r)
}

// redirected reports whether req follows a redirect away from the host that was
// asked first. The client sets Response on requests that a redirect caused.
func redirected(req *http.Request) bool {
	for r := req; r.Response != nil && r.Response.Request != nil; {
		r = r.Response.Request
		if r.URL.Host != req.URL.Host {
			return true
		}
	}
	return false
}

// audienceHost is the host part of the audience: without the default port.
func audienceHost(req *http.Request) string {
	if p := req.URL.Port(); p != "" && p != "443" {
		return req.URL.Host
	}
	return req.URL.Hostname()
}

func bearerChallenge(resp *http.Response) (acs.Challenge, bool) {
	// An unreadable line does not spoil a readable one.
	all, _ := acs.ParseChallenges(resp.Header)
	for _, c := range all {
		if c.ClientID != "" {
			return c, true
		}
	}
	return acs.Challenge{}, false
}

func sameChallenge(a, b acs.Challenge) bool {
	return a.ClientID == b.ClientID && a.Realm == b.Realm && slices.Equal(a.TrustedIssuers, b.TrustedIssuers) && slices.Equal(a.ES256Keys, b.ES256Keys)
}

// again returns the body once more; ok is false when it cannot be had.
func again(req *http.Request) (io.ReadCloser, bool) {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return req.Body, true
	case req.GetBody == nil:
		return nil, false
	}
	body, err := req.GetBody()
	return body, err == nil
}

// discard reads what little a 401 says, so that the connection is used again.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // any error only costs the connection
	resp.Body.Close()
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

var _ http.RoundTripper = (*Transport)(nil)
