package callers_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

var errBroken = errors.New("store is broken")

// A stage is a deployment with two hosted organizations, and one on premises.
type stage struct {
	sets     map[string]*callers.SiteSet
	accounts map[string]*directory.Account
	err      error // of look-ups, while not nil
	now      func() time.Time
	hashes   atomic.Int64
	wait     func(context.Context) error // before a hash is known; may be nil
	rehash   []string
	token    func(token, host string) (*trust.Caller, error)
	networks map[string]time.Time // where accounts signed in from
	notes    int
}

func org(id, domain string) *directory.Organization {
	return &directory.Organization{ID: directory.OrgID(id), Name: domain, Version: 1,
		AcceptedDomains: []directory.AcceptedDomain{{DomainName: domain, Default: true}, {DomainName: "*." + domain}},
		AuthServers:     []directory.AuthServer{{Enabled: true, Type: directory.AuthServerACS, IssuerIdentifier: "as"}}}
}

func newStage() *stage {
	a, b, c := org("a", "contoso.com"), org("b", "litware.com"), org("c", "fabrikam.com")
	a.Tenant, b.Tenant = "tenant-a", "tenant-b"
	both := &directory.Server{OAuthAuthentication: true, BasicAuthentication: true}
	old := &directory.Server{BasicAuthentication: true}
	s := &stage{now: time.Now, sets: map[string]*callers.SiteSet{
		"cloud.test":  callers.NewSiteSet("cloud.test", []callers.Site{{Org: a, Server: both, Host: "cloud.test"}, {Org: b, Server: both, Host: "cloud.test"}}),
		"onprem.test": callers.NewSiteSet("onprem.test", []callers.Site{{Org: c, Server: both, Host: "onprem.test"}}),
		"legacy.test": callers.NewSiteSet("legacy.test", []callers.Site{{Org: c, Server: old, Host: "legacy.test"}}),
	}, accounts: make(map[string]*directory.Account), networks: make(map[string]time.Time)}
	for _, x := range []struct {
		org directory.OrgID
		at  string
	}{{"a", "alice@contoso.com"}, {"b", "bob@litware.com"}, {"c", "carol@fabrikam.com"}, {"c", "admin@fabrikam.com"}} {
		s.accounts[x.at] = &directory.Account{Org: x.org, UserName: x.at, PasswordHash: "hash of secret", Address: smtpaddr.Must(x.at), Enabled: true}
	}
	return s
}

func (s *stage) Site(_ context.Context, host string) (*callers.SiteSet, error) {
	if set := s.sets[host]; set != nil && s.err == nil {
		return set, nil
	}
	return nil, errors.Join(s.err, fmt.Errorf("host %q: %w", host, directory.ErrNotFound))
}

func (s *stage) Account(_ context.Context, name string) (*directory.Account, error) {
	if s.err != nil {
		return nil, s.err
	}
	if a, err := smtpaddr.Parse(name); err == nil && s.accounts[a.String()] != nil {
		return s.accounts[a.String()], nil
	}
	return nil, fmt.Errorf("account: %w", directory.ErrNotFound)
}

func (s *stage) AccountsAt(_ context.Context, org directory.OrgID, at smtpaddr.Address) (list []*directory.Account, err error) {
	for _, name := range slices.Sorted(maps.Keys(s.accounts)) {
		if a := s.accounts[name]; a.Org == org && a.Address == at {
			list = append(list, a)
		}
	}
	return list, s.err
}

func (s *stage) AccountByCertificate(_ context.Context, fingerprint string) (*directory.Account, error) {
	for _, a := range s.accounts {
		if slices.Contains(a.Certificates, fingerprint) && s.err == nil {
			return a, nil
		}
	}
	return nil, errors.Join(s.err, fmt.Errorf("certificate: %w", directory.ErrNotFound))
}

func (s *stage) NetworkSeen(_ context.Context, user string, network netip.Prefix) (time.Time, error) {
	return s.networks[user+" "+network.String()], s.err
}

func (s *stage) NoteNetwork(_ context.Context, user string, network netip.Prefix, at time.Time) error {
	s.networks[user+" "+network.String()] = at
	s.notes++
	return s.err
}

func (s *stage) Recipient(_ context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error) {
	if a.Local() == "admin" || a.Local() == "nobody" {
		return nil, fmt.Errorf("recipient: %w", directory.ErrNotFound)
	}
	return &directory.Recipient{Org: org, ID: a.String(), Primary: a, Enabled: a.Local() != "left"}, nil
}

func (s *stage) Validate(_ context.Context, token, host string) (*trust.Caller, error) {
	return s.token(token, host)
}

func (s *stage) verify(ctx context.Context, hash, password string) (ok, rehash bool, err error) {
	s.hashes.Add(1)
	if s.wait != nil {
		if err := s.wait(ctx); err != nil {
			return false, false, err
		}
	}
	return hash == "hash of "+password || hash == "old hash of "+password, strings.HasPrefix(hash, "old"), nil
}

func (s *stage) authenticator(t testing.TB, change ...func(*callers.Config)) *callers.Authenticator {
	t.Helper()
	cfg := callers.Config{Sites: s, Accounts: s, Recipients: s, Tokens: s, Verify: s.verify, DummyHash: "hash of nobody",
		Rehash: func(_ context.Context, a *directory.Account, _ string) { s.rehash = append(s.rehash, a.UserName) },
		Now:    func() time.Time { return s.now() }, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, fn := range change {
		fn(&cfg)
	}
	a, err := callers.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(t testing.TB, host string, change func(*http.Request)) *http.Request {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+host+"/ews/exchange.asmx", nil)
	r.RemoteAddr = "192.0.2.1:4711"
	if change != nil {
		change(r)
	}
	return r
}

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func authorization(lines ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header["Authorization"] = lines }
}

func TestUser(t *testing.T) {
	s := newStage()
	a := s.authenticator(t)
	for _, tt := range []struct {
		name, host string
		change     func(*http.Request)
		org        directory.OrgID // empty: refused
		mailbox    string
		err        error
	}{
		{"on premises", "onprem.test", basic("carol@fabrikam.com", "secret"), "c", "carol@fabrikam.com", nil},
		{"with port and letter case", "ONPREM.test:8443", basic("Carol@Fabrikam.com", "secret"), "c", "carol@fabrikam.com", nil},
		{"hosted, first", "cloud.test", basic("alice@contoso.com", "secret"), "a", "alice@contoso.com", nil},
		{"hosted, second", "cloud.test", basic("bob@litware.com", "secret"), "b", "bob@litware.com", nil},
		{"old node", "legacy.test", basic("carol@fabrikam.com", "secret"), "c", "carol@fabrikam.com", nil},
		{"account without mailbox", "onprem.test", basic("admin@fabrikam.com", "secret"), "c", "", nil},
		{"wrong password", "onprem.test", basic("carol@fabrikam.com", "Secret"), "", "", callers.ErrBadCredentials},
		{"unknown user", "onprem.test", basic("nobody@fabrikam.com", "secret"), "", "", callers.ErrBadCredentials},
		{"unknown user with nobody's password", "onprem.test", basic("nobody@fabrikam.com", "nobody"), "", "", callers.ErrBadCredentials},
		{"user of another organization", "onprem.test", basic("alice@contoso.com", "secret"), "", "", callers.ErrBadCredentials},
		{"no user name", "onprem.test", basic("", "secret"), "", "", callers.ErrBadCredentials},
		{"long password", "onprem.test", basic("carol@fabrikam.com", strings.Repeat("x", 2000)), "", "", callers.ErrBadCredentials},
		{"no base64", "onprem.test", authorization("Basic ***"), "", "", callers.ErrBadCredentials},
		{"nothing", "onprem.test", nil, "", "", callers.ErrNoCredentials},
		{"unknown scheme", "onprem.test", authorization("NTLM TlRM"), "", "", callers.ErrNoCredentials},
		{"empty bearer", "onprem.test", authorization("Bearer"), "", "", callers.ErrNoCredentials},
		{"empty bearer with a space", "onprem.test", authorization("bearer "), "", "", callers.ErrNoCredentials},
		{"bearer at an old node", "legacy.test", authorization("Bearer x.y.z"), "", "", callers.ErrNoCredentials},
		{"A32 two headers", "onprem.test", authorization("Bearer x.y.z", "Basic eDp5"), "", "", callers.ErrBadHeader},
		{"A32 the same twice", "onprem.test", authorization("Bearer x.y.z", "Bearer x.y.z"), "", "", callers.ErrBadHeader},
		{"unknown host", "evil.test", basic("carol@fabrikam.com", "secret"), "", "", directory.ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := a.Authenticate(request(t, tt.host, tt.change))
			if !errors.Is(err, tt.err) || (err == nil) != (tt.org != "") {
				t.Fatalf("%+v, %v", c, err)
			}
			if err != nil {
				return
			}
			mailbox := ""
			if c.Recipient != nil {
				mailbox = c.Recipient.ID
			}
			if c.Org.ID != tt.org || c.Site.Org != c.Org || c.Site.Server == nil || mailbox != tt.mailbox || c.Partner != nil {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestPartner(t *testing.T) {
	s := newStage()
	b, _ := s.sets["cloud.test"].ByOrg("b")
	user := &directory.Recipient{ID: "u"}
	s.token = func(token, host string) (*trust.Caller, error) {
		if token != "x.y.z" || host != "cloud.test" {
			t.Errorf("validate %q at %q", token, host)
		}
		return &trust.Caller{Org: b.Org, User: user}, nil
	}
	for _, header := range []string{"Bearer x.y.z", "bearer x.y.z", "BEARER  x.y.z "} {
		c, err := s.authenticator(t).Authenticate(request(t, "Cloud.test:443", authorization(header)))
		if err != nil {
			t.Fatal(err)
		}
		if c.Org != b.Org || c.Site != b || c.Recipient != user || c.Partner == nil || c.Account != nil {
			t.Errorf("%+v", c)
		}
	}
}

func TestChallenge(t *testing.T) {
	s := newStage()
	a := s.authenticator(t)
	refused := &trust.TokenError{ID: trust.InvalidClient, Category: "invalid_client", Reason: "The application 'x' is unknown or disabled.", Step: 15, Err: errBroken}
	const bearer, withBasic = `Bearer client_id="` + directory.ExchangeAppID + `", trusted_issuers="as@*"`, `Basic realm="onprem.test", charset="UTF-8"`
	for _, tt := range []struct {
		name, host  string
		err         error
		status      int
		schemes     []string
		diagnostics string
	}{
		{"no credentials", "onprem.test", callers.ErrNoCredentials, 401, []string{`Bearer client_id="` + directory.ExchangeAppID + `"`, withBasic}, ""},
		{"wrong password", "cloud.test", callers.ErrBadCredentials, 401, []string{bearer, `Basic realm="cloud.test", charset="UTF-8"`}, ""},
		{"old node", "legacy.test", callers.ErrNoCredentials, 401, []string{`Basic realm="legacy.test", charset="UTF-8"`}, ""},
		{"token refused", "cloud.test", fmt.Errorf("x: %w", refused), 401, []string{bearer + `, error="invalid_token"`, `Basic realm="cloud.test", charset="UTF-8"`},
			`2000006;reason="The application 'x' is unknown or disabled.";error_category="invalid_client"`},
		{"two headers", "onprem.test", callers.ErrBadHeader, 400, nil, ""},
		{"unknown host", "evil.test", fmt.Errorf("x: %w", directory.ErrNotFound), 421, nil, ""},
		{"too many", "onprem.test", &callers.BackoffError{Wait: 1500 * time.Millisecond}, 429, nil, ""},
		{"out of turn", "onprem.test", fmt.Errorf("x: %w", &mount.BusyError{Wait: 1500 * time.Millisecond}), 429, nil, ""},
		{"busy", "onprem.test", fmt.Errorf("x: %w", callers.ErrBusy), 503, nil, ""},
		{"store is broken", "onprem.test", errBroken, 500, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			a.Challenge(w, request(t, tt.host, nil), tt.err)
			if w.Code != tt.status || w.Body.Len() != 0 {
				t.Errorf("status %d, body %q", w.Code, w.Body)
			}
			if d := cmp.Diff(tt.schemes, w.Header().Values("WWW-Authenticate")); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.diagnostics, w.Header().Get("x-ms-diagnostics")); d != "" {
				t.Error(d)
			}
			if tt.status == 429 && w.Header().Get("Retry-After") != "2" {
				t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
			}
		})
	}
}

func TestUnknownUserCostsTheSame(t *testing.T) {
	s := newStage()
	a := s.authenticator(t)
	lost, _ := trust.NewAppPassword("carol@fabrikam.com")
	for _, user := range []string{"carol@fabrikam.com", "nobody@fabrikam.com", "alice@contoso.com", "no address"} {
		for _, password := range []string{"wrong", lost} {
			before := s.hashes.Load()
			if _, err := a.Authenticate(request(t, "onprem.test", basic(user, password))); !errors.Is(err, callers.ErrBadCredentials) {
				t.Error(err)
			}
			if n := s.hashes.Load() - before; n != 1 {
				t.Errorf("%s: %d computations", user, n)
			}
		}
	}
}

func TestRightPasswordIsRemembered(t *testing.T) {
	s := newStage()
	now := time.Now()
	s.now = func() time.Time { return now }
	a := s.authenticator(t)
	try := func(what string, hashes int64, ok bool) {
		t.Helper()
		before := s.hashes.Load()
		_, err := a.Authenticate(request(t, "onprem.test", basic("carol@fabrikam.com", "secret")))
		if (err == nil) != ok || s.hashes.Load()-before != hashes {
			t.Errorf("%s: %v, %d computations", what, err, s.hashes.Load()-before)
		}
	}
	try("first", 1, true)
	try("again", 0, true)
	now = now.Add(5 * time.Minute)
	try("after a while", 1, true)
	carol := *s.accounts["carol@fabrikam.com"]
	carol.Enabled = false
	s.accounts["carol@fabrikam.com"] = &carol
	try("disabled", 0, false)
	changed := carol
	changed.Enabled, changed.PasswordHash = true, "hash of another"
	s.accounts["carol@fabrikam.com"] = &changed
	try("password changed", 1, false)
}

func TestOutdatedHashIsTold(t *testing.T) {
	s := newStage()
	s.accounts["carol@fabrikam.com"].PasswordHash = "old hash of secret"
	a := s.authenticator(t)
	for _, password := range []string{"wrong", "secret"} {
		_, err := a.Authenticate(request(t, "onprem.test", basic("carol@fabrikam.com", password)))
		if err != nil && !errors.Is(err, callers.ErrBadCredentials) {
			t.Error(err)
		}
	}
	if d := cmp.Diff([]string{"carol@fabrikam.com"}, s.rehash); d != "" {
		t.Error(d)
	}
}

// Wrong passwords make their sender wait, and nobody else.
func TestBackoff(t *testing.T) {
	s := newStage()
	now := time.Now()
	s.now = func() time.Time { return now }
	a := s.authenticator(t)
	try := func(from, user, password string) error {
		_, err := a.Authenticate(request(t, "onprem.test", func(r *http.Request) { r.RemoteAddr = from; r.SetBasicAuth(user, password) }))
		return err
	}
	const attacker, other = "198.51.100.7:1000", "192.0.2.1:2000"
	if err := try("[2001:db8::1]:1", "carol@fabrikam.com", "secret"); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		if err := try(attacker, "carol@fabrikam.com", fmt.Sprint("guess", i)); !errors.Is(err, callers.ErrBadCredentials) {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	before := s.hashes.Load()
	err := try(attacker, "carol@fabrikam.com", "guess")
	if wait, ok := errors.AsType[*callers.BackoffError](err); !ok || wait.Wait != time.Second {
		t.Errorf("seventh guess: %v", err)
	}
	if s.hashes.Load() != before {
		t.Error("a hash was computed for one who has to wait")
	}
	if err := try(other, "carol@fabrikam.com", "secret"); err != nil {
		t.Errorf("the user from elsewhere: %v", err)
	}
	if err := try(attacker, "carol@fabrikam.com", "secret"); err != nil {
		t.Errorf("a password that is known to be right: %v", err)
	}
	if err := try(attacker, "admin@fabrikam.com", "secret"); err != nil {
		t.Errorf("another user from there: %v", err)
	}
	now = now.Add(time.Second)
	if err := try(attacker, "carol@fabrikam.com", "wrong"); !errors.Is(err, callers.ErrBadCredentials) {
		t.Errorf("after the wait: %v", err)
	}
	if wait, ok := errors.AsType[*callers.BackoffError](try(attacker, "carol@fabrikam.com", "wrong")); !ok || wait.Wait != 2*time.Second {
		t.Errorf("the wait does not double: %v", wait)
	}
	now = now.Add(16 * time.Minute)
	for i := range 5 {
		if err := try(attacker, "carol@fabrikam.com", fmt.Sprint("late", i)); !errors.Is(err, callers.ErrBadCredentials) {
			t.Errorf("long after: %v", err)
		}
	}
}

func TestOneNetworkOfIPv6IsOneClient(t *testing.T) {
	s := newStage()
	now := time.Now()
	s.now = func() time.Time { return now }
	a := s.authenticator(t)
	var err error
	for i := range 7 {
		_, err = a.Authenticate(request(t, "onprem.test", func(r *http.Request) {
			r.RemoteAddr = fmt.Sprintf("[2001:db8::%d]:1", i+1)
			r.SetBasicAuth("carol@fabrikam.com", fmt.Sprint(i))
		}))
	}
	if _, ok := errors.AsType[*callers.BackoffError](err); !ok {
		t.Error(err)
	}
}

// Guesses at the same time do not slip through before the first has failed.
func TestParallelGuessesCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.wait = func(context.Context) error { time.Sleep(time.Second); return nil }
		a := s.authenticator(t)
		var wg sync.WaitGroup
		var wait atomic.Int64
		for i := range 100 {
			wg.Go(func() {
				_, err := a.Authenticate(request(t, "onprem.test", basic("carol@fabrikam.com", fmt.Sprint(i))))
				if _, ok := errors.AsType[*callers.BackoffError](err); ok {
					wait.Add(1)
				}
			})
		}
		wg.Wait()
		if n := s.hashes.Load(); n != 6 || wait.Load() != 94 {
			t.Errorf("%d guesses were computed, %d had to wait", n, wait.Load())
		}
	})
}

// A client that opens many connections at once is no attacker: one computation
// serves all, and when the first gives up another goes on.
func TestOneComputationServesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.wait = func(ctx context.Context) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		a := s.authenticator(t)
		hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.Authenticate(request(t, "onprem.test", basic("carol@fabrikam.com", "secret")).WithContext(hasty)); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				if _, err := a.Authenticate(request(t, "onprem.test", basic("carol@fabrikam.com", "secret"))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := s.hashes.Load(); n != 2 {
			t.Errorf("%d computations", n)
		}
	})
}

// A password that cannot be checked is an error of ours and no wrong password.
func TestBrokenStore(t *testing.T) {
	s := newStage()
	a := s.authenticator(t)
	s.wait = func(context.Context) error { return errBroken }
	for range 10 {
		if _, err := a.Authenticate(request(t, "onprem.test", basic("carol@fabrikam.com", "secret"))); !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
	}
	s.err = errBroken
	w := httptest.NewRecorder()
	a.Challenge(w, request(t, "onprem.test", nil), callers.ErrNoCredentials)
	if w.Code != 421 && w.Code != 500 {
		t.Errorf("status %d", w.Code)
	}
}

func TestSiteSet(t *testing.T) {
	set := newStage().sets["cloud.test"]
	for domain, want := range map[string]directory.OrgID{
		"contoso.com": "a", "litware.com": "b", "x.y.litware.com": "b", "fabrikam.com": "", "com": "", "": "", "evillitware.com": "",
	} {
		site, ok := set.ByDomain(domain)
		if ok != (want != "") || ok && site.Org.ID != want {
			t.Errorf("%s: %+v, %v", domain, site, ok)
		}
	}
	if _, ok := set.Only(); ok {
		t.Error("two organizations are not one")
	}
	if first, again := set.Organizations(), set.Organizations(); len(first) != 2 || &first[0] != &again[0] {
		t.Error("not always the same slice")
	}
}

func BenchmarkRememberedPassword(b *testing.B) {
	s := newStage()
	a := s.authenticator(b)
	r := request(b, "onprem.test", basic("carol@fabrikam.com", "secret"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}

// Only accounts of realms sign in where no organization is served, by password alone.
func TestRealmAccount(t *testing.T) {
	s := newStage()
	a := s.authenticator(t)
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		err    error
	}{
		{"an account of an organization", basic("carol@fabrikam.com", "secret"), callers.ErrBadCredentials},
		{"unknown", basic("nobody@fabrikam.com", "secret"), callers.ErrBadCredentials},
		{"nothing", nil, callers.ErrNoCredentials},
		{"a token", authorization("Bearer x.y.z"), callers.ErrNoCredentials},
		{"two headers", authorization("Basic eDp5", "Basic eDp5"), callers.ErrBadHeader},
	} {
		r := request(t, "login.test", tt.change)
		account, err := a.RealmAccount(r)
		if !errors.Is(err, tt.err) || account != nil {
			t.Errorf("%s: %v, %v", tt.name, account, err)
		}
		w := httptest.NewRecorder()
		a.ChallengeRealm(w, r, err)
		if want := http.StatusUnauthorized; tt.err != callers.ErrBadHeader && (w.Code != want || w.Header().Get("WWW-Authenticate") != `Basic realm="login.test", charset="UTF-8"`) {
			t.Errorf("%s: %d %v", tt.name, w.Code, w.Header())
		}
	}
}
