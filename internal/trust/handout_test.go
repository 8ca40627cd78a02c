package trust_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/oidc"
	"busybridge/internal/trust"
)

// A handoutEvent is what is recorded of a token.
type handoutEvent struct {
	Reused, Replayed bool
	Count, Replays   int64
}

func handoutEvents(t *testing.T, log *auditLog) (out []handoutEvent) {
	t.Helper()
	for _, e := range log.all() {
		var h handoutEvent
		if err := json.Unmarshal([]byte(e.After), &h); err != nil {
			t.Fatal(err)
		}
		if e.Operation != "IssueToken" || e.Org != tenant || e.Actor != exchange+"@"+tenant || e.Outcome != "done" || !strings.Contains(e.After, certKey("org").cert.Thumbprint) {
			t.Errorf("%+v", e)
		}
		out = append(out, h)
	}
	return out
}

// A token that is handed out again waits for no record: how often it was is recorded
// within a second, each time but once.
func TestHandedOutAgainIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newAsk()
		a, log := newAuthority(t, realms{k.realm}, func() time.Time { return start }, nil)
		issue := func(assertion string) {
			t.Helper()
			k.req.Assertion = assertion
			if _, err := a.Issue(t.Context(), tenant, k.req); err != nil {
				t.Fatal(err)
			}
		}
		first := k.assertion.String()
		k.assertion.claims["exp"] = "1768464301"
		second := k.assertion.String()
		issue(first)
		for range 1000 {
			issue(first)
		}
		issue(second)
		want := []handoutEvent{{}}
		if d := gocmp.Diff(want, handoutEvents(t, log)); d != "" {
			t.Errorf("before the second is over: %s", d)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		want = append(want, handoutEvent{true, true, 1001, 1000})
		if d := gocmp.Diff(want, handoutEvents(t, log)); d != "" {
			t.Error(d)
		}
		issue(second)
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		want = append(want, handoutEvent{true, true, 1, 1})
		if d := gocmp.Diff(want, handoutEvents(t, log)); d != "" {
			t.Error(d)
		}
	})
}

// Who cannot record, hands nothing out: what was counted is kept, and comes first.
func TestNothingIsHandedOutAgainWhileCountsAreOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newAsk()
		k.req.Assertion = k.assertion.String()
		a, log := newAuthority(t, realms{k.realm}, fixed(start), nil)
		issue := func(want error) {
			t.Helper()
			if _, err := a.Issue(t.Context(), tenant, k.req); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		issue(nil)
		issue(nil)
		breaks := func(err error) {
			log.mu.Lock()
			defer log.mu.Unlock()
			log.err = err
		}
		breaks(errBroken)
		time.Sleep(time.Second)
		synctest.Wait()
		issue(errBroken)
		issue(errBroken)
		breaks(nil)
		issue(nil)
		if d := gocmp.Diff([]handoutEvent{{}, {true, true, 1, 1}}, handoutEvents(t, log)); d != "" {
			t.Error(d)
		}
		breaks(errBroken)
		if err := a.Flush(t.Context()); !errors.Is(err, errBroken) {
			t.Error(err)
		}
		breaks(nil)
		time.Sleep(time.Second) // it is tried again, though nobody asks
		synctest.Wait()
		if d := gocmp.Diff([]handoutEvent{{}, {true, true, 1, 1}, {true, true, 1, 1}}, handoutEvents(t, log)); d != "" {
			t.Error(d)
		}
	})
}

// blocked is a recorder that waits.
type blocked struct {
	release chan struct{}
	auditLog
}

func (b *blocked) Record(ctx context.Context, e audit.Event) error {
	<-b.release
	return b.auditLog.Record(ctx, e)
}

// Nobody has a token before it is recorded, not even who waited for another one's.
func TestNobodyHasATokenBeforeItIsRecorded(t *testing.T) {
	for _, broken := range []error{nil, errBroken} {
		synctest.Test(t, func(t *testing.T) {
			k := newAsk()
			k.req.Assertion = k.assertion.String()
			log := &blocked{release: make(chan struct{}), auditLog: auditLog{err: broken}}
			a, _ := newAuthority(t, realms{k.realm}, fixed(start), func(c *trust.AuthorityConfig) { c.Audit = log })
			var wg sync.WaitGroup
			var mu sync.Mutex
			answered := 0
			for range 3 {
				wg.Go(func() {
					_, err := a.Issue(t.Context(), tenant, k.req)
					mu.Lock()
					defer mu.Unlock()
					if answered++; !errors.Is(err, broken) {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			if answered != 0 {
				t.Errorf("%d are answered before the record", answered)
			}
			close(log.release)
			wg.Wait()
		})
	}
}

// A request that came before is answered as one that comes for the first time would
// be, whatever has changed meanwhile.
func TestARememberedRequestFollowsEveryChange(t *testing.T) {
	type world struct {
		realm *directory.Realm
		cfg   *directory.AuthorityConfig
		now   time.Time
		path  string
		acs   acs.TokenRequest
		app   oidc.TokenRequest
		v     oidc.Version
	}
	credential := func(f func(*directory.KeyCredential)) func(*world) {
		return func(w *world) {
			for i := range w.realm.Principals {
				for j := range w.realm.Principals[i].KeyCredentials {
					f(&w.realm.Principals[i].KeyCredentials[j])
				}
			}
			w.realm.Version++
		}
	}
	realm := func(f func(*directory.Realm)) func(*world) {
		return func(w *world) { f(w.realm); w.realm.Version++ }
	}
	at := func(d time.Duration) func(*world) { return func(w *world) { w.now = start.Add(d) } }
	for _, tt := range []struct {
		name   string
		change func(*world)
		same   bool // the token is the one of before
		reuse  time.Duration
	}{
		{"nothing", func(*world) {}, true, 0},
		{"a moment", at(time.Second), true, 0},
		{"the tenant by its domain", func(w *world) { w.path = "Contoso.com" }, true, 0},
		{"the clock goes back", at(-time.Second), false, 0},
		{"the token is old", at(8 * time.Minute), false, 0},
		{"the assertion expires", at(10*time.Minute - 1), true, time.Hour},
		{"the assertion has expired", at(10 * time.Minute), false, time.Hour},
		{"the assertion is not yet valid", at(-5*time.Minute - time.Second), false, 0},
		{"the realm changes", realm(func(*directory.Realm) {}), false, 0},
		{"the principal is disabled", realm(func(r *directory.Realm) {
			for i := range r.Principals {
				r.Principals[i].AccountEnabled = false
			}
		}), false, 0},
		{"the credential is taken away", realm(func(r *directory.Realm) {
			for i := range r.Principals {
				r.Principals[i].KeyCredentials = nil
			}
		}), false, 0},
		{"the credential is ended", credential(func(k *directory.KeyCredential) { k.EndDate = start.Add(-1) }), false, 0},
		{"the host is taken away", realm(func(r *directory.Realm) { r.Principals[0].ServicePrincipalNames = nil }), false, 0},
		{"the resource of ACS is another host", func(w *world) {
			w.acs.Resource, w.app.Resource = exchange+"/mail2.contoso.com@"+tenant, "https://mail2.contoso.com"
		}, false, 0},
		{"the grant is another", func(w *world) { w.acs.GrantType, w.app.GrantType = "password", "password" }, false, 0},
		{"the assertion is no longer there", func(w *world) { w.acs.Assertion, w.app.ClientAssertion = "", "" }, false, 0},
		{"the signature is another", func(w *world) {
			w.acs.Assertion, w.app.ClientAssertion = w.acs.Assertion[:len(w.acs.Assertion)-8]+"AAAAAAAA", w.app.ClientAssertion[:len(w.app.ClientAssertion)-8]+"AAAAAAAA"
		}, false, 0},
		{"realm parameter of another tenant", func(w *world) { w.acs.Realm, w.path = "litware.com", "litware.com" }, false, 0},
		{"client of another name", func(w *world) { w.app.ClientID = exchange; w.acs.Resource = "" }, false, 0},
		{"endpoint of the other version", func(w *world) { w.v = oidc.V2; w.acs.Assertion = "" }, false, 0},
		{"the signing key changes", func(w *world) {
			cfg := *w.cfg
			cfg.Certificates = []directory.Certificate{certKey("stranger").cert}
			w.cfg = &cfg
		}, false, 0},
		{"there is no signing key", func(w *world) { cfg := *w.cfg; cfg.Certificates = nil; w.cfg = &cfg }, false, 0},
		{"the host of ACS changes", func(w *world) {
			cfg := *w.cfg
			cfg.Cloud = directory.Clouds["worldwide"]
			w.cfg = &cfg
		}, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, app := newAsk(), newAppAsk()
			k.req.Assertion = k.assertion.String()
			w := &world{realm: entraRealm(), cfg: authorityConfig(), now: start, path: tenant, acs: k.req, app: app.ask(), v: oidc.V1}
			authority := func() *trust.Authority {
				a, _ := newAuthority(t, realms{w.realm}, func() time.Time { return w.now }, func(c *trust.AuthorityConfig) {
					c.ReuseFor = cmp.Or(tt.reuse, 8*time.Minute)
					c.Authority = func(context.Context) (*directory.AuthorityConfig, error) { return w.cfg, nil }
				})
				return a
			}
			// What comes of the two requests: the key that signed, or the refusal.
			ask := func(a *trust.Authority) (out [2]string, tokens [2]string) {
				resp, err := a.Issue(t.Context(), w.path, w.acs)
				if err == nil {
					tokens[0] = resp.AccessToken
					resp.AccessToken, _, _ = strings.Cut(resp.AccessToken, ".")
				}
				out[0] = outcome(resp, err)
				answer, err := a.IssueApp(t.Context(), w.path, w.v, w.app)
				if err == nil {
					tokens[1] = answer.AccessToken
					answer.AccessToken, _, _ = strings.Cut(answer.AccessToken, ".")
				}
				out[1] = outcome(answer, err)
				return out, tokens
			}
			a := authority()
			var first [2]string
			for range 2 {
				if _, first = ask(a); first[0] == "" || first[1] == "" {
					t.Fatal("no token to begin with")
				}
			}
			tt.change(w)
			got, tokens := ask(a)
			if tt.same {
				if tokens != first {
					t.Error("signed again")
				}
				return
			}
			want, _ := ask(authority())
			if d := gocmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A clock that is set back brings no assertion forward.
func TestARememberedRequestIsNotYetValidAgain(t *testing.T) {
	now := start
	k := newAsk()
	a, _ := newAuthority(t, realms{k.realm}, func() time.Time { return now }, nil)
	issue := func(nbf time.Time) error {
		k.assertion.claims["nbf"], k.assertion.claims["exp"] = nbf.Unix(), nbf.Unix()+300
		k.req.Assertion = k.assertion.String()
		_, err := a.Issue(t.Context(), tenant, k.req)
		return err
	}
	early := start.Add(7 * time.Minute)
	err := issue(start)
	now = start.Add(2 * time.Minute)
	if err := errors.Join(err, issue(early)); err != nil {
		t.Fatal(err)
	}
	now = start.Add(time.Minute)
	if e, ok := errors.AsType[*acs.Error](issue(early)); !ok || !e.Has(700024) {
		t.Errorf("got %v, want AADSTS700024", e)
	}
}

// A credential that ends while a request is remembered is asked for its end.
func TestARememberedRequestEndsWithItsCredential(t *testing.T) {
	now := start
	k := newAsk()
	k.req.Assertion = k.assertion.String()
	k.realm.Principals[0].KeyCredentials[0].EndDate = start.Add(time.Minute)
	a, _ := newAuthority(t, realms{k.realm}, func() time.Time { return now }, nil)
	for _, at := range []time.Duration{0, time.Minute} {
		now = start.Add(at)
		if _, err := a.Issue(t.Context(), tenant, k.req); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(1)
	_, err := a.Issue(t.Context(), tenant, k.req)
	if e, ok := errors.AsType[*acs.Error](err); !ok || !e.Has(50012) {
		t.Errorf("got %v, want AADSTS50012", err)
	}
}

// outcome is an answer, or the error without its trace.
func outcome(v any, err error) string {
	if e, ok := errors.AsType[*acs.Error](err); ok {
		text, _, _ := strings.Cut(e.Description, "\r\n")
		return fmt.Sprintf("%d %s %s", e.Status, e.Code, text)
	}
	if err != nil {
		return err.Error()
	}
	b, err := json.Marshal(v)
	return fmt.Sprint(string(b), err)
}

// Whatever happens at the same time, no hand-out goes uncounted.
func TestEveryHandoutIsCounted(t *testing.T) {
	k := newAsk()
	a, log := newAuthority(t, realms{k.realm}, fixed(start), nil)
	const askers, times = 8, 200
	var wg sync.WaitGroup
	for i := range askers {
		k.assertion.claims["exp"] = start.Unix() + 300 + int64(i/2)
		req := k.req
		req.Assertion = k.assertion.String()
		wg.Go(func() {
			for n := range times {
				if _, err := a.Issue(t.Context(), tenant, req); err != nil {
					t.Error(err)
				}
				if n%20 == i {
					if err := a.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	signed, again := int64(0), int64(0)
	for _, e := range handoutEvents(t, log) {
		if e.Reused {
			again += e.Count
		} else {
			signed++
		}
	}
	if signed != 1 || signed+again != askers*times {
		t.Errorf("%d signed and %d handed out again, want 1 and %d", signed, again, askers*times-1)
	}
}

// The way of an answer that was given before is short: no signature is made or
// checked, nothing is read a second time.
func TestAgainAllocatesLittle(t *testing.T) {
	k := newAsk()
	k.req.Assertion = k.assertion.String()
	a, _ := newAuthority(t, realms{k.realm}, fixed(start), nil)
	n := testing.AllocsPerRun(100, func() {
		if _, err := a.Issue(t.Context(), tenant, k.req); err != nil {
			t.Fatal(err)
		}
	})
	if n > 4 {
		t.Errorf("%v allocations, want 4 at most: the grant and the answer", n)
	}
}
