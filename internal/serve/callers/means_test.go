package callers_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

func TestAppPassword(t *testing.T) {
	s := newStage()
	now := time.Now()
	s.now = func() time.Time { return now }
	var used []string
	a := s.authenticator(t, func(c *callers.Config) {
		c.AppPasswordUsed = func(_ context.Context, a *directory.Account, id string) {
			used = append(used, id)
			a.AppPasswords[0].LastUsed = now
		}
	})
	phone, hash := trust.NewAppPassword(carol)
	account := s.accounts[carol]
	account.Roles = []string{directory.RoleAdmin, directory.RoleImport, directory.RoleView}
	account.AppPasswords = []directory.AppPassword{{ID: "phone", Name: "phone", Hash: hash}}
	try := func(host string) (*callers.Caller, error) {
		return a.Authenticate(request(t, host, basic(carol, phone)))
	}

	for range 3 {
		c, err := try("onprem.test")
		if err != nil {
			t.Fatal(err)
		}
		if c.Account.UserName != carol || c.AppPassword != "phone" || c.Recipient == nil || c.Org.ID != "c" || c.Site.Server == nil {
			t.Errorf("%+v", c)
		}
		if d := cmp.Diff([]string{directory.RoleImport}, c.Account.Roles); d != "" {
			t.Errorf("an app password brings roles of administrators: %s", d)
		}
	}
	if s.hashes.Load() != 0 {
		t.Error("a right app password costs a computation")
	}
	if len(account.Roles) != 3 {
		t.Error("the account itself has lost roles")
	}
	now = now.Add(time.Hour)
	if _, err := try("onprem.test"); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"phone", "phone"}, used); d != "" {
		t.Errorf("uses, once an hour: %s", d)
	}
	if _, err := try("cloud.test"); !errors.Is(err, callers.ErrBadCredentials) {
		t.Errorf("at another organization: %v", err)
	}
	account.Enabled = false
	if _, err := try("onprem.test"); !errors.Is(err, callers.ErrBadCredentials) {
		t.Errorf("disabled: %v", err)
	}
	account.Enabled, account.AppPasswords = true, nil
	if _, err := try("onprem.test"); !errors.Is(err, callers.ErrBadCredentials) {
		t.Errorf("revoked: %v", err)
	}
}

func clientCertificate(t *testing.T, now time.Time, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientCertificate(t *testing.T) {
	now := time.Now()
	type state struct {
		*stage
		cert    *x509.Certificate
		request *http.Request
		off     bool
	}
	for _, tt := range []struct {
		name   string
		cert   func(*x509.Certificate)
		change func(*state)
		err    error
	}{
		{"named by the account", nil, nil, nil},
		{"of no particular use", func(c *x509.Certificate) { c.ExtKeyUsage = nil }, nil, nil},
		{"switched off", nil, func(s *state) { s.off = true }, callers.ErrNoCredentials},
		{"no certificate", nil, func(s *state) { s.request.TLS.PeerCertificates = nil }, callers.ErrNoCredentials},
		{"no TLS", nil, func(s *state) { s.request.TLS = nil }, callers.ErrNoCredentials},
		{"named by nobody", nil, func(s *state) { s.accounts[carol].Certificates = nil }, callers.ErrBadCredentials},
		{"the leaf counts, not its chain", nil, func(s *state) {
			other := clientCertificate(t, now, nil)
			s.request.TLS.PeerCertificates = []*x509.Certificate{other, s.cert}
		}, callers.ErrBadCredentials},
		{"expired", func(c *x509.Certificate) { c.NotAfter = now }, nil, callers.ErrBadCredentials},
		{"not yet valid", func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }, nil, callers.ErrBadCredentials},
		{"of a server", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, nil, callers.ErrBadCredentials},
		{"disabled account", nil, func(s *state) { s.accounts[carol].Enabled = false }, callers.ErrBadCredentials},
		{"another organization's host", nil, func(s *state) { s.request.Host = "cloud.test" }, callers.ErrBadCredentials},
		{"a browser for another site", nil, func(s *state) { s.request.Header.Set("Sec-Fetch-Site", "cross-site") }, callers.ErrNoCredentials},
		{"an older browser for another site", nil, func(s *state) { s.request.Header.Set("Origin", "https://evil.test") }, callers.ErrNoCredentials},
		{"a browser for this site", nil, func(s *state) { s.request.Header.Set("Origin", "https://onprem.test") }, nil},
		{"a wrong password counts more", nil, func(s *state) { s.request.SetBasicAuth(carol, "wrong") }, callers.ErrBadCredentials},
		{"broken store", nil, func(s *state) { s.err = errBroken }, errBroken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &state{stage: newStage(), cert: clientCertificate(t, now, tt.cert)}
			s.now = func() time.Time { return now }
			sum := sha256.Sum256(s.cert.Raw)
			s.accounts[carol].Certificates = []string{hex.EncodeToString(sum[:])}
			s.accounts[carol].Roles = []string{directory.RoleAdmin}
			s.request = request(t, "onprem.test", func(r *http.Request) {
				r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{s.cert}}
			})
			if tt.change != nil {
				tt.change(s)
			}
			a := s.authenticator(t, func(c *callers.Config) { c.ClientCertificates = !s.off })
			c, err := a.Authenticate(s.request)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err == nil && (c.Account.UserName != carol || c.Recipient == nil || len(c.Account.Roles) != 0) {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := newStage()
	phone, hash := trust.NewAppPassword(carol)
	s.accounts[carol].AppPasswords = []directory.AppPassword{{ID: "1", Name: "phone", Hash: hash}}
	s.token = func(token, _ string) (*trust.Caller, error) {
		if token == "x.y.z" {
			return nil, &trust.TokenError{}
		}
		return nil, errBroken
	}
	a := s.authenticator(t, func(c *callers.Config) { c.Metrics, c.ClientCertificates = callers.NewMetrics(reg), true })
	ask := func(change func(*http.Request)) {
		_, err := a.Authenticate(request(t, "onprem.test", change))
		_ = err // the metrics tell
	}
	ask(nil)
	ask(basic(carol, "secret"))
	ask(basic(carol, phone))
	for i := range 8 {
		ask(basic(carol, fmt.Sprint(i)))
	}
	ask(authorization("Bearer x.y.z"))
	ask(authorization("Bearer u.v.w"))
	ask(authorization("Bearer u.v.w", "Bearer u.v.w"))
	ask(func(r *http.Request) {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{clientCertificate(t, time.Now(), nil)}}
	})
	const want = `
# HELP busybridge_sign_ins_total Requests with credentials, by the way of signing in and how it ended.
# TYPE busybridge_sign_ins_total counter
busybridge_sign_ins_total{outcome="busy",way="app_password"} 0
busybridge_sign_ins_total{outcome="busy",way="certificate"} 0
busybridge_sign_ins_total{outcome="busy",way="password"} 0
busybridge_sign_ins_total{outcome="busy",way="token"} 0
busybridge_sign_ins_total{outcome="failed",way="app_password"} 0
busybridge_sign_ins_total{outcome="failed",way="certificate"} 0
busybridge_sign_ins_total{outcome="failed",way="password"} 0
busybridge_sign_ins_total{outcome="failed",way="token"} 1
busybridge_sign_ins_total{outcome="in",way="app_password"} 1
busybridge_sign_ins_total{outcome="in",way="certificate"} 0
busybridge_sign_ins_total{outcome="in",way="password"} 1
busybridge_sign_ins_total{outcome="in",way="token"} 0
busybridge_sign_ins_total{outcome="refused",way="app_password"} 0
busybridge_sign_ins_total{outcome="refused",way="certificate"} 1
busybridge_sign_ins_total{outcome="refused",way="password"} 6
busybridge_sign_ins_total{outcome="refused",way="token"} 2
busybridge_sign_ins_total{outcome="wait",way="app_password"} 0
busybridge_sign_ins_total{outcome="wait",way="certificate"} 0
busybridge_sign_ins_total{outcome="wait",way="password"} 2
busybridge_sign_ins_total{outcome="wait",way="token"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// users knows one token of a user.
type users struct {
	user *trust.UserToken
	err  error
}

func (u users) Validate(_ context.Context, token string, _ []*directory.Organization) (*trust.UserToken, error) {
	if token != "u.s.r" {
		return nil, trust.ErrNotUserToken
	}
	return u.user, u.err
}

func (users) AuthorizationURI(orgs []*directory.Organization) string {
	if len(orgs) != 1 {
		return ""
	}
	return "https://id.contoso.com/auth"
}

// The challenge tells where users sign in: at the default authorization server, else
// at the OpenID provider.
func TestChallengeNamesTheProvider(t *testing.T) {
	for _, tt := range []struct {
		name     string
		provider callers.UserTokens
		change   func(*directory.Organization)
		want     string
	}{
		{"no provider", nil, nil, ""},
		{"a provider", users{}, nil, `authorization_uri="https://id.contoso.com/auth"`},
		{"a default authorization server, too", users{}, func(o *directory.Organization) {
			o.AuthServers = append(o.AuthServers, directory.AuthServer{Type: directory.AuthServerAzureAD, Enabled: true, IsDefaultAuthorizationEndpoint: true, AuthorizationEndpoint: "https://login.contoso.com/authorize"})
		}, `authorization_uri="https://login.contoso.com/authorize"`},
	} {
		s := newStage()
		site, _ := s.sets["onprem.test"].Only()
		if tt.change != nil {
			tt.change(site.Org)
		}
		a := s.authenticator(t, func(c *callers.Config) { c.UserTokens = tt.provider })
		w := httptest.NewRecorder()
		a.Challenge(w, request(t, "onprem.test", authorization("Bearer")), callers.ErrNoCredentials)
		line := strings.Join(w.Header().Values("WWW-Authenticate"), "\n")
		if tt.want == "" && strings.Contains(line, "authorization_uri") || !strings.Contains(line, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, line, tt.want)
		}
	}
}

func TestTokenOfAUser(t *testing.T) {
	expired := &trust.TokenError{ID: trust.TokenExpired}
	for _, tt := range []struct {
		name, host, address string
		change              func(*stage)
		err                 error
		account, mailbox    string
		id                  int // of a TokenError
	}{
		{name: "with an account", address: carol, account: carol, mailbox: carol},
		{name: "with an account that has no mailbox", address: "admin@fabrikam.com", account: "admin@fabrikam.com"},
		{name: "with a mailbox and no account", address: "dave@fabrikam.com", account: "dave@fabrikam.com", mailbox: "dave@fabrikam.com"},
		{name: "the account has another name", address: "dora@fabrikam.com", account: "d-admin@fabrikam.com", mailbox: "dora@fabrikam.com", change: func(s *stage) {
			s.accounts["d-admin@fabrikam.com"] = &directory.Account{Org: "c", UserName: "d-admin@fabrikam.com", Address: smtpaddr.Must("dora@fabrikam.com"), Enabled: true}
		}},
		{name: "the account has another name and is disabled", address: "dora@fabrikam.com", id: trust.InvalidUser, change: func(s *stage) {
			s.accounts["d-admin@fabrikam.com"] = &directory.Account{Org: "c", UserName: "d-admin@fabrikam.com", Address: smtpaddr.Must("dora@fabrikam.com")}
		}},
		{name: "the account is disabled", address: carol, id: trust.InvalidUser, change: func(s *stage) { s.accounts[carol].Enabled = false }},
		{name: "nobody here", address: "nobody@fabrikam.com", id: trust.InvalidUser},
		{name: "the mailbox is disabled", address: "left@fabrikam.com", id: trust.InvalidUser},
		{name: "the account is another organization's", address: "alice@contoso.com", id: trust.InvalidUser},
		{name: "the token is refused", err: expired, id: trust.TokenExpired},
		{name: "the provider does not answer", err: errBroken},
		{name: "an old node", host: "legacy.test", address: carol, err: callers.ErrNoCredentials},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage()
			if tt.change != nil {
				tt.change(s)
			}
			u := users{err: tt.err}
			if tt.address != "" {
				site, _ := s.sets["onprem.test"].Only()
				u.user = &trust.UserToken{Org: site.Org, Address: smtpaddr.Must(tt.address)}
			}
			a := s.authenticator(t, func(c *callers.Config) { c.UserTokens = u })
			host := tt.host
			if host == "" {
				host = "onprem.test"
			}
			c, err := a.Authenticate(request(t, host, authorization("Bearer u.s.r")))
			if tt.id != 0 {
				if e, ok := errors.AsType[*trust.TokenError](err); !ok || e.ID != tt.id {
					t.Errorf("got %v, want %d", err, tt.id)
				}
				return
			}
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			mailbox := ""
			if c.Recipient != nil {
				mailbox = c.Recipient.ID
			}
			if c.Account.UserName != tt.account || mailbox != tt.mailbox || c.Partner != nil || c.Org.ID != "c" {
				t.Errorf("%+v, account %+v", c, c.Account)
			}
		})
	}
	// What is no user's goes to the partners' checks.
	s, asked := newStage(), 0
	s.token = func(token, host string) (*trust.Caller, error) { asked++; return nil, expired }
	a := s.authenticator(t, func(c *callers.Config) { c.UserTokens = users{} })
	if _, err := a.Authenticate(request(t, "onprem.test", authorization("Bearer x.y.z"))); !errors.Is(err, expired) || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}
