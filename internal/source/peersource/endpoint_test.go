package peersource_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/ews"
)

func TestEndpointIsCached(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	r.want(r.ask(query("kim")), "kim 02000000")
	r.want(r.ask(query("lee", "kim")), "lee 02000000", "kim 02000000")
	r.requests(p, 1, 2)
	r.pass(4*time.Hour - 1)
	r.ask(query("kim"))
	r.requests(p, 1, 3)
	r.pass(1)
	r.ask(query("kim"))
	r.requests(p, 2, 4)
	r.ask(query("mia@sub.fabrikam.com")) // another domain of the same connector
	r.requests(p, 3, 5)

	other := *r.org
	other.ID = "tailspin"
	if _, err := r.src.Ask(t.Context(), &other, r.route(), query("kim")); err != nil {
		t.Fatal(err)
	}
	r.requests(p, 4, 6)

	changed := *r.conn
	changed.DiscoveryEndpoint += "?changed"
	r.conn = &changed
	r.ask(query("kim"))
	r.requests(p, 5, 7)
}

func TestRedirects(t *testing.T) {
	const failed = "AutodiscoverFailed: Autodiscover at 'ENDPOINT' has no endpoint for kim@fabrikam.com: "
	by := func(m map[string]autodiscover.Answer) func(p *peer) {
		return func(p *peer) {
			p.discover = func(_ http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer {
				a, ok := m[q.Subjects[0]]
				if !ok {
					a = ewsURL(p.ews())
				}
				return []autodiscover.Answer{a}
			}
		}
	}
	tests := []struct {
		name       string
		prepare    func(p *peer)
		want       string
		discovered int
		asked      string
	}{
		{"to another address", by(map[string]autodiscover.Answer{"kim@fabrikam.com": redirectTo("kim@fabrikam.mail.example")}), "kim 02000000", 2, "kim@fabrikam.mail.example"},
		{"twice", by(map[string]autodiscover.Answer{"kim@fabrikam.com": redirectTo("k@a.example"), "k@a.example": redirectTo("k@b.example")}), "kim 02000000", 3, "k@b.example"},
		{"to itself", by(map[string]autodiscover.Answer{"kim@fabrikam.com": redirectTo("kim@fabrikam.com")}), "kim " + failed + "redirects go round at ENDPOINT for kim@fabrikam.com", 1, ""},
		{"in a ring", by(map[string]autodiscover.Answer{"kim@fabrikam.com": redirectTo("k@a.example"), "k@a.example": redirectTo("kim@fabrikam.com")}), "kim " + failed + "redirects go round at ENDPOINT for kim@fabrikam.com", 2, ""},
		{"into our own domain", by(map[string]autodiscover.Answer{"kim@fabrikam.com": redirectTo("kim@contoso.com")}), "kim " + failed + "it is redirected to kim@contoso.com, which is in a domain of this organization", 1, ""},
		{"without end", func(p *peer) {
			p.discover = func(_ http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer {
				return []autodiscover.Answer{redirectTo("x" + q.Subjects[0])}
			}
		}, "kim " + failed + "more than 10 redirects", 11, ""},
		{"to another service", func(p *peer) {
			n := 0
			p.discover = func(w http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer {
				if n++; n == 1 {
					return []autodiscover.Answer{redirectURL(p.endpoint() + "?second")}
				}
				return p.ewsURLs(q)
			}
		}, "kim 02000000", 2, "kim@fabrikam.com"},
		{"by HTTP", func(p *peer) {
			n := 0
			p.discover = func(w http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer {
				if n++; n == 1 {
					w.Header().Set("Location", p.endpoint()+"?second")
					w.WriteHeader(http.StatusFound)
					return nil
				}
				return p.ewsURLs(q)
			}
		}, "kim 02000000", 2, "kim@fabrikam.com"},
		{"to plain http", by(map[string]autodiscover.Answer{"kim@fabrikam.com": redirectURL("http://fabrikam.com/autodiscover/autodiscover.svc")}),
			`kim AutodiscoverFailed: The response from the Autodiscover service at 'ENDPOINT' failed due to an error in user setting 'ExternalEwsUrl'. Error message: RedirectUrl to "http://fabrikam.com/autodiscover/autodiscover.svc": not an https URL.`, 1, ""},
		{"EWS by plain http", by(map[string]autodiscover.Answer{"kim@fabrikam.com": ewsURL("http://fabrikam.com/ews")}),
			`kim AutodiscoverFailed: The response from the Autodiscover service at 'ENDPOINT' failed due to an error in user setting 'ExternalEwsUrl'. Error message: "http://fabrikam.com/ews": not an https URL.`, 1, ""},
		{"unknown user", by(map[string]autodiscover.Answer{"kim@fabrikam.com": {ErrorCode: autodiscover.InvalidUser, ErrorMessage: "The e-mail address cannot be found."}}),
			"kim AutodiscoverFailed: The response from the Autodiscover service at 'ENDPOINT' failed due to an error in user setting 'ExternalEwsUrl'. Error message: InvalidUser.", 1, ""},
		{"refused", func(p *peer) {
			p.discover = func(w http.ResponseWriter, _ *autodiscover.Request) []autodiscover.Answer {
				w.Header().Set("x-ms-diagnostics", `2000005;reason="The user specified by the user-context in the token does not exist.";error_category="invalid_user"`)
				w.WriteHeader(http.StatusUnauthorized)
				return nil
			}
		}, `kim AutodiscoverFailed: Autodiscover failed for email address kim@fabrikam.com with error The remote server returned an error: (401) Unauthorized., diagnostics: 2000005;reason="The user specified by the user-context in the token does not exist.";error_category="invalid_user"`, 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t)
			r := newRig(t, p)
			tt.prepare(p)
			q := query("kim")
			r.want(r.ask(q), strings.ReplaceAll(tt.want, "ENDPOINT", p.endpoint()))
			asked := 0
			if tt.asked != "" {
				asked = 1
				if p.asked[0] != tt.asked {
					t.Errorf("EWS was asked for %s, want %s", p.asked[0], tt.asked)
				}
			}
			r.requests(p, tt.discovered, asked)
			if asked == 1 { // and all of it is remembered
				r.want(r.ask(q), tt.want)
				r.requests(p, tt.discovered, 2)
				if p.asked[1] != tt.asked {
					t.Errorf("from the cache EWS was asked for %s, want %s", p.asked[1], tt.asked)
				}
			}
		})
	}
}

func TestOneUnknownUserDoesNotSpoilTheDomain(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	p.discover = func(_ http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer {
		a := p.ewsURLs(q)
		for i, s := range q.Subjects {
			if s == "nobody@fabrikam.com" {
				a[i] = autodiscover.Answer{ErrorCode: autodiscover.InvalidUser}
			}
		}
		return a
	}
	nobody := "nobody AutodiscoverFailed: The response from the Autodiscover service at '" + p.endpoint() + "' failed due to an error in user setting 'ExternalEwsUrl'. Error message: InvalidUser."
	r.want(r.ask(query("nobody")), nobody)
	r.want(r.ask(query("kim", "nobody")), "kim 02000000", nobody)
	r.requests(p, 2, 1) // nobody is remembered for a moment
	r.pass(3 * time.Second)
	r.ask(query("kim"))
	r.requests(p, 2, 2)
}

func TestDeadAutodiscoverIsLeftAloneForAMoment(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	p.discover = func(w http.ResponseWriter, _ *autodiscover.Request) []autodiscover.Answer {
		w.Write([]byte("<html/>"))
		return nil
	}
	const failed = " AutodiscoverFailed: Autodiscover failed for email address "
	for _, name := range []string{"kim", "lee"} {
		got := short(r.ask(query(name)))[0]
		if want := name + failed + name + "@fabrikam.com with error "; !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	r.requests(p, 1, 0)
	r.pass(3 * time.Second)
	r.ask(query("kim"))
	r.requests(p, 2, 0)
}

// A refusal may be about who asks: the next one must have a try of its own.
func TestRefusalIsNotKept(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	plain := p.discover
	p.discover = func(w http.ResponseWriter, _ *autodiscover.Request) []autodiscover.Answer {
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	r.ask(query("kim"))
	p.discover = plain
	r.want(r.ask(query("kim")), "kim 02000000")
}

func TestManyAskAtOnce(t *testing.T) {
	const n = 50
	// all asks n questions at once while the first discovery is held until the
	// others have come to wait for it; first is called in the held discovery.
	all := func(t *testing.T, r *rig, p *peer, name func(i int) string, first func(w http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer) []string {
		began, goOn := make(chan struct{}), make(chan struct{})
		var once sync.Once
		plain := p.discover
		p.discover = func(w http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer {
			held := false
			once.Do(func() { held = true; close(began); <-goOn })
			if held {
				return first(w, q)
			}
			return plain(w, q)
		}
		out := make([]string, n)
		var wg sync.WaitGroup
		ask := func(i int) { out[i] = short(r.ask(query(name(i))))[0] }
		wg.Go(func() { ask(0) })
		<-began
		started := make(chan struct{}, n)
		for i := 1; i < n; i++ {
			wg.Go(func() { started <- struct{}{}; ask(i) })
		}
		for i := 1; i < n; i++ {
			<-started
		}
		close(goOn)
		wg.Wait()
		return out
	}
	t.Run("one Autodiscover for all", func(t *testing.T) {
		p := newPeer(t)
		r := newRig(t, p)
		name := func(i int) string { return fmt.Sprintf("m%d", i) }
		for i, got := range all(t, r, p, name, func(_ http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer { return p.ewsURLs(q) }) {
			if want := name(i) + " 02000000"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		r.requests(p, 1, n)
	})
	t.Run("one failure for all", func(t *testing.T) {
		p := newPeer(t)
		r := newRig(t, p)
		for _, got := range all(t, r, p, func(int) string { return "kim" }, func(w http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer {
			w.Write([]byte("<html/>"))
			return nil
		}) {
			if !strings.HasPrefix(got, "kim AutodiscoverFailed: ") {
				t.Errorf("got %q", got)
			}
		}
		r.requests(p, 1, 0)
	})
	t.Run("the first asks for nobody", func(t *testing.T) {
		p := newPeer(t)
		r := newRig(t, p)
		got := all(t, r, p, func(i int) string { return fmt.Sprintf("m%d", i) }, func(http.ResponseWriter, *autodiscover.Request) []autodiscover.Answer {
			return []autodiscover.Answer{{ErrorCode: autodiscover.InvalidUser}}
		})
		for i, got := range got[1:] {
			if want := fmt.Sprintf("m%d 02000000", i+1); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if !strings.HasPrefix(got[0], "m0 AutodiscoverFailed") {
			t.Errorf("got %q", got[0])
		}
	})
}

// The one that asks for all gives up: the others must get their answer, and
// the end of its patience is not the other side's failure.
func TestFirstAskerGivesUp(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	began := make(chan struct{})
	var once sync.Once
	plain := r.cl.Transport
	r.cl.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		held := false
		once.Do(func() { held = true })
		if held {
			close(began)
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		return plain.RoundTrip(req)
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		got, err := r.src.Ask(ctx, r.org, r.route(), query("kim"))
		if err != nil || !errors.Is(got[0].Err, context.Canceled) {
			t.Errorf("the first: %v, %v", got, err)
		}
	})
	<-began
	wg.Go(func() { r.want(r.ask(query("lee")), "lee 02000000") })
	cancel()
	wg.Wait()
	r.want(r.ask(query("kim")), "kim 02000000")
}

func TestEndpointMoves(t *testing.T) {
	status := func(code int) func(http.ResponseWriter, *ews.AvailabilityRequest) []ews.FreeBusyResponse {
		return func(w http.ResponseWriter, _ *ews.AvailabilityRequest) []ews.FreeBusyResponse {
			w.WriteHeader(code)
			return nil
		}
	}
	for _, code := range []int{401, 404, 302} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			p, next := newPeer(t), newPeer(t)
			r := newRig(t, p, next)
			r.ask(query("kim"))
			p.ask = status(code)
			p.discover = func(_ http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer { return next.ewsURLs(q) }
			r.want(r.ask(query("kim", "lee")), "kim 02000000", "lee 02000000")
			r.requests(p, 2, 2)
			r.requests(next, 0, 1)
			r.ask(query("kim"))
			r.requests(p, 2, 2)
		})
	}
	t.Run("dead", func(t *testing.T) {
		p, next := newPeer(t), newPeer(t)
		r := newRig(t, p, next)
		p.discover = func(_ http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer { return next.ewsURLs(q) }
		r.ask(query("kim"))
		next.Close()
		p.discover = func(_ http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer { return p.ewsURLs(q) }
		r.want(r.ask(query("kim")), "kim 02000000")
		r.requests(p, 2, 1)
	})
	t.Run("nowhere else", func(t *testing.T) {
		p := newPeer(t)
		r := newRig(t, p)
		r.ask(query("kim"))
		p.ask = status(404)
		r.want(r.ask(query("kim")), "kim ProxyFailed: Proxy web request failed. , inner exception: The request failed with HTTP status 404: Not Found")
		r.requests(p, 2, 2)
	})
	t.Run("an error of another kind keeps it", func(t *testing.T) {
		p := newPeer(t)
		r := newRig(t, p)
		r.ask(query("kim"))
		p.ask = status(503)
		r.ask(query("kim"))
		r.ask(query("kim"))
		r.requests(p, 1, 3)
	})
	t.Run("just found is not looked for again", func(t *testing.T) {
		p := newPeer(t)
		r := newRig(t, p)
		p.ask = status(404)
		r.ask(query("kim"))
		r.requests(p, 1, 1)
		r.ask(query("kim")) // but it was dropped
		r.requests(p, 2, 2)
	})
}

// One mailbox of a domain whose endpoint is known lives elsewhere: it must be
// found as if nothing had been known.
func TestMailboxElsewhere(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	p.discover = func(_ http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer {
		a := p.ewsURLs(q)
		for i, s := range q.Subjects {
			if s == "moved@fabrikam.com" {
				a[i] = redirectTo("moved@fabrikam.mail.example")
			}
		}
		return a
	}
	p.ask = func(_ http.ResponseWriter, q *ews.AvailabilityRequest) []ews.FreeBusyResponse {
		a := busyAll(q)
		for i, m := range q.Mailboxes {
			if m.Address == "moved@fabrikam.com" || m.Address == "stuck@fabrikam.com" {
				a[i] = ews.FreeBusyResponse{Message: ews.ResponseMessage{Class: "Error", Code: "ErrorProxyRequestNotAllowed", Text: "not here"}}
			}
		}
		return a
	}
	r.ask(query("kim"))
	r.want(r.ask(query("kim", "moved", "stuck")), "kim 02000000", "moved 02000000", "stuck Remote: ErrorProxyRequestNotAllowed: not here")
	r.requests(p, 3, 3)
	r.want(r.ask(query("moved", "kim")), "moved 02000000", "kim 02000000")
	r.requests(p, 3, 4)
}

// Mailboxes of one domain may be served at different endpoints.
func TestTwoEndpointsInOneDomain(t *testing.T) {
	p, second := newPeer(t), newPeer(t)
	r := newRig(t, p, second)
	p.discover = func(_ http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer {
		a := p.ewsURLs(q)
		for i, s := range q.Subjects {
			if strings.HasPrefix(s, "b") {
				a[i] = ewsURL(second.ews())
			}
		}
		return a
	}
	for range 2 {
		r.want(r.ask(query("abe", "bea", "ann")), "abe 02000000", "bea 02000000", "ann 02000000")
	}
	r.requests(p, 1, 2)
	r.requests(second, 0, 2)
	for _, got := range second.asked {
		if got != "bea@fabrikam.com" {
			t.Errorf("the second endpoint was asked for %s", got)
		}
	}
}

func TestOneDeadEndpointOfTwo(t *testing.T) {
	p, second := newPeer(t), newPeer(t)
	r := newRig(t, p, second)
	p.discover = func(_ http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer {
		return []autodiscover.Answer{ewsURL(p.ews()), ewsURL(second.ews())}
	}
	second.ask = func(w http.ResponseWriter, _ *ews.AvailabilityRequest) []ews.FreeBusyResponse {
		w.WriteHeader(503)
		return nil
	}
	r.want(r.ask(query("abe", "bea")), "abe 02000000", "bea ProxyFailed: Proxy web request failed. , inner exception: The request failed with HTTP status 503: Service Unavailable")
}

func TestCacheIsBounded(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	// Every address has an entry of its own when all are redirected.
	p.discover = func(_ http.ResponseWriter, q *autodiscover.Request) []autodiscover.Answer {
		a := p.ewsURLs(q)
		for i, s := range q.Subjects {
			if strings.HasSuffix(s, "@fabrikam.com") {
				a[i] = redirectTo(strings.Replace(s, "@", "@x.", 1))
			}
		}
		return a
	}
	for i := range 110 {
		var names []string
		for j := range 100 {
			names = append(names, fmt.Sprintf("m%dx%d", i, j))
		}
		r.ask(query(names...))
	}
	p.discovered, p.asked = nil, nil
	r.ask(query("m109x99"))
	r.requests(p, 0, 1) // the last is known
	r.ask(query("m0x0"))
	r.requests(p, 2, 2) // the first is not any more
}
