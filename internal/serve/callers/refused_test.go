package callers_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/serve/callers"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// anyUser makes every token a user's.
type anyUser struct{ users }

func (u anyUser) Validate(context.Context, string, []*directory.Organization) (*trust.UserToken, error) {
	return u.user, u.err
}

// Of every refused token of a user is told once, with what it says of itself;
// of what was not refused, or could not be checked, nothing.
func TestRefusedTokensOfUsersAreTold(t *testing.T) {
	enc := base64.RawURLEncoding
	token := enc.EncodeToString([]byte(`{"alg":"RS256","kid":"k1"}`)) + "." + enc.EncodeToString([]byte(`{"iss":"https://login.fabrikam.com","azp":"mail-app"}`)) + "." + enc.EncodeToString(make([]byte, 256))
	site, _ := newStage().sets["onprem.test"].Only()
	at := time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)
	known := func(address string) *trust.UserToken {
		return &trust.UserToken{Org: site.Org, Address: smtpaddr.Must(address)}
	}
	for _, tt := range []struct {
		name string
		user users
		want []trust.Refusal
		tls  string // the name that the connection was made for; "": that of the request
	}{
		{"accepted", users{user: known("carol@fabrikam.com")}, nil, ""},
		{"cannot be checked", users{err: errBroken}, nil, ""},
		{"expired", users{err: &trust.TokenError{ID: trust.TokenExpired, Step: 8}},
			[]trust.Refusal{{At: at, Host: "onprem.test", KeyID: "k1", Algorithm: "RS256", Issuer: "https://login.fabrikam.com", Caller: "mail-app"}}, ""},
		{"nobody here", users{user: known("left@fabrikam.com")},
			[]trust.Refusal{{At: at, Host: "onprem.test", KeyID: "k1", Algorithm: "RS256", Issuer: "https://login.fabrikam.com", Caller: "mail-app", Verified: true}}, ""},
		{"connection to another host", users{user: known("carol@fabrikam.com")},
			[]trust.Refusal{{At: at, Host: "onprem.test", KeyID: "k1", Algorithm: "RS256", Issuer: "https://login.fabrikam.com", Caller: "mail-app"}}, "other.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage()
			s.now = func() time.Time { return at }
			var told []trust.Refusal
			a := s.authenticator(t, func(c *callers.Config) {
				c.UserTokens = anyUser{tt.user}
				c.TokenRefused = func(_ context.Context, r *trust.Refusal) {
					if r.Org == nil || r.Org.ID != "c" || r.Err == nil {
						t.Errorf("%+v", r)
					}
					plain := *r
					plain.Org, plain.Err = nil, nil
					told = append(told, plain)
				}
			})
			r := request(t, "onprem.test", authorization("Bearer "+token))
			if tt.tls != "" {
				r.TLS = &tls.ConnectionState{ServerName: tt.tls}
			}
			_, err := a.Authenticate(r)
			if (err == nil) != (tt.user.err == nil && len(tt.want) == 0) {
				t.Error(err)
			}
			if d := cmp.Diff(tt.want, told); d != "" {
				t.Error(d)
			}
		})
	}
}
