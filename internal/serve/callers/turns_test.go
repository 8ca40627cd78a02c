package callers_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/trust"
)

// TestTurns gives each caller one request a minute: who is one caller.
func TestTurns(t *testing.T) {
	s := newStage()
	s.accounts["svc@fabrikam.com"] = &directory.Account{Org: "c", UserName: "svc@fabrikam.com", PasswordHash: "hash of secret", Enabled: true, Roles: []string{directory.RoleImpersonation}}
	s.accounts["forest@fabrikam.com"] = &directory.Account{Org: "c", UserName: "forest@fabrikam.com", PasswordHash: "hash of secret", Enabled: true}
	c, _ := s.sets["onprem.test"].ByOrg("c")
	c.Org.AvailabilityConfig.OrgWideAccount = "Forest@fabrikam.com"
	s.token = func(token, _ string) (*trust.Caller, error) {
		return &trust.Caller{Org: c.Org, ApplicationID: token[:1], Realm: token[1:2]}, nil
	}
	a := s.authenticator(t)
	serve := func(w http.ResponseWriter, r *http.Request) error {
		var err error
		if r.Header.Get("Authorization") == "" {
			err = a.Anonymous(r, "c")
		} else {
			_, err = a.Authenticate(r)
		}
		if err != nil {
			a.Challenge(w, r, err)
		}
		return nil
	}
	budget, one := mount.Budget{PerMinute: 2}, mount.Budget{PerMinute: 1}
	h := mount.New(mount.Config{
		Routes: []mount.Route{{Pattern: "/ews/exchange.asmx", Name: "x", Handler: serve}}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now,
		Turns: mount.NewTurns(mount.TurnsConfig{Anonymous: one, User: one, Partner: budget, Now: func() time.Time { return time.Unix(0, 0) }}),
	})
	from := func(address string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr = address }
	}
	var got []string
	for _, change := range []func(*http.Request){
		basic("carol@fabrikam.com", "secret"), basic("carol@fabrikam.com", "wrong"), basic("Carol@fabrikam.com", "secret"), basic("admin@fabrikam.com", "secret"),
		authorization("Bearer AX.y.z"), authorization("Bearer AX.y.z"), authorization("Bearer AX.y.z"), authorization("Bearer AY.y.z"), authorization("Bearer BX.y.z"),
		basic("svc@fabrikam.com", "secret"), basic("svc@fabrikam.com", "secret"), basic("svc@fabrikam.com", "secret"),
		basic("forest@fabrikam.com", "secret"), basic("forest@fabrikam.com", "secret"), basic("forest@fabrikam.com", "secret"),
		nil, nil, from("198.51.100.1:5"), from("[2001:db8:1:2:3::4]:5"), from("[2001:db8:1:2:5::6]:5"), from("[2001:db8:1:3::]:5"),
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request(t, "onprem.test", change))
		got = append(got, fmt.Sprint(w.Code, w.Header().Get("Retry-After")))
	}
	want := []string{
		"200", "401", "42960", "200", // a wrong password costs nothing of it
		"200", "200", "42930", "200", "200", // an application in a realm
		"200", "200", "42930", // who asks for others has what a partner has
		"200", "200", "42930", // another forest, too
		"200", "42960", "200", "200", "42960", "200", // a network
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestAsker: what another forest asks is asked as nobody here, whoever has the account.
func TestAsker(t *testing.T) {
	o := org("c", "fabrikam.com")
	o.AvailabilityConfig.PerUserAccount = "carol@fabrikam.com"
	ana, partner := &directory.Recipient{ID: "ana"}, &trust.Caller{Realm: "litware.com"}
	for _, tt := range []struct {
		name string
		c    callers.Caller
		want availability.Caller
	}{
		{"user", callers.Caller{Org: o, Account: &directory.Account{UserName: "ana@fabrikam.com"}, Recipient: ana}, availability.Caller{Recipient: ana}},
		{"forest", callers.Caller{Org: o, Account: &directory.Account{UserName: "carol@fabrikam.com"}, Recipient: ana}, availability.Caller{Forest: true}},
		{"partner", callers.Caller{Org: o, Partner: partner}, availability.Caller{Partner: partner}},
	} {
		if got := tt.c.Asker(); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
