package callers_test

import (
	"errors"
	"testing"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// A user whose token of Entra an application has is that user, and no partner.
func TestOwnUserOfEntra(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*stage)
		address string
		want    string // account; "": refused
	}{
		"with an account":       {func(*stage) {}, "alice@contoso.com", "alice@contoso.com"},
		"without an account":    {func(*stage) {}, "room@contoso.com", "room@contoso.com"},
		"the account is closed": {func(s *stage) { s.accounts["alice@contoso.com"].Enabled = false }, "alice@contoso.com", ""},
		"who has left":          {func(*stage) {}, "left@contoso.com", ""},
	} {
		s := newStage()
		s.accounts["alice@contoso.com"].Roles = []string{directory.RoleAdmin, directory.RoleImpersonation}
		tt.change(s)
		s.token = func(string, string) (*trust.Caller, error) {
			site, _ := s.sets["cloud.test"].ByOrg("a")
			return &trust.Caller{Org: site.Org, OwnUser: true, Realm: "tenant-a", User: &directory.Recipient{Org: "a", ID: "u", Primary: smtpaddr.Must(tt.address), Enabled: true}}, nil
		}
		c, err := s.authenticator(t).Authenticate(request(t, "cloud.test", authorization("Bearer x")))
		if tt.want == "" {
			if te, ok := errors.AsType[*trust.TokenError](err); !ok || te.ID != trust.InvalidUser {
				t.Errorf("%s: %+v, %v", name, c, err)
			}
			continue
		}
		if err != nil || c.Partner != nil || c.Account == nil || c.Account.UserName != tt.want || len(c.Account.Roles) != 0 || c.Recipient == nil || c.Org.ID != "a" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}
