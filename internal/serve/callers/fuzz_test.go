package callers_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"busybridge/internal/serve/callers"
	"busybridge/internal/trust"
)

// No Authorization header makes the server fall over, or lets somebody in who
// has neither the password nor the token.
func FuzzAuthenticate(f *testing.F) {
	for _, s := range []string{"", "Bearer", "Bearer good", "bearer  good", "Bearer good, Bearer good", "Bearer Bearer good", "Basic Y2Fyb2xAZmFicmlrYW0uY29tOnNlY3JldA==",
		"Basic Og==", "Basic =", "Negotiate YII=", "\x00", "Bearer\tgood"} {
		f.Add(s, "onprem.test")
		f.Add(s, "CLOUD.test:443")
	}
	s := newStage()
	at := time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return at }
	s.token = func(token, host string) (*trust.Caller, error) {
		if site, ok := s.sets[host].Only(); ok && token == "good" {
			return &trust.Caller{Org: site.Org}, nil
		}
		return nil, &trust.TokenError{ID: trust.InvalidToken, Category: "invalid_token", Step: 1}
	}
	f.Fuzz(func(t *testing.T, line, host string) {
		a := s.authenticator(t) // no waits of others' wrong passwords
		r := request(t, "onprem.test", authorization(line))
		r.Host, r.TLS.ServerName = host, strings.ToLower(host)
		c, err := a.Authenticate(r)
		if err == nil {
			_, password, _ := r.BasicAuth()
			if !strings.Contains(line, "good") && password != "secret" {
				t.Fatalf("%q lets %+v in", line, c)
			}
			return
		}
		w := httptest.NewRecorder()
		a.Challenge(w, r, err)
		if w.Code < 400 || w.Code >= 500 && !errors.Is(err, callers.ErrBusy) {
			t.Fatalf("%q: %v is answered %d", line, err, w.Code)
		}
		if w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
			t.Fatalf("%q: 401 without a challenge", line)
		}
	})
}
