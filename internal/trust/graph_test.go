package trust_test

import (
	"testing"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// Graph takes tokens of Entra by the permissions of calendars, and no other
// service's: the same token opens only one of the two.
func TestTokensForGraph(t *testing.T) {
	app := func(roles ...string) func(*scene) {
		return func(s *scene) { s.actor.claims["roles"] = roles }
	}
	user := func(scope string) func(*scene) {
		return func(s *scene) {
			s.people.add(s.org.ID, "kim", func(r *directory.Recipient) { r.Type = directory.UserMailbox }, "kim@contoso.com")
			delete(s.actor.claims, "roles")
			delete(s.actor.claims, "idtyp")
			s.actor.claims["scp"], s.actor.claims["upn"] = scope, "kim@contoso.com"
		}
	}
	audience := func(aud, tenant string) func(*scene) {
		return func(s *scene) {
			s.actor.claims["aud"], s.actor.claims["roles"] = aud, []string{"Calendars.Read"}
			if tenant == "" {
				s.org.Tenant = ""
				s.org.PartnerApplications = append(s.org.PartnerApplications, directory.PartnerApplication{Enabled: true, UseAuthServer: true, ApplicationIdentifier: hybridApp})
			}
		}
	}
	for _, tt := range []struct {
		name     string
		change   func(*scene)
		id, step int
	}{
		{"the least role", app("Calendars.ReadBasic.All"), 0, 0},
		{"the least role by its other name", app("Calendars.ReadBasic"), 0, 0},
		{"a higher role", app("Mail.Read", "Calendars.Read"), 0, 0},
		{"the highest role", app("Calendars.ReadWrite"), 0, 0},
		{"the role of Exchange Web Services", app("full_access_as_app"), 2000008, 17},
		{"no roles", app(), 2000008, 17},
		{"a name in other letters", app("calendars.read"), 2000008, 17},
		{"a scope as a role", app("Calendars.Read.Shared"), 2000008, 17},
		{"a user's", user("openid Calendars.ReadBasic"), 0, 0},
		{"a user's for Exchange Web Services", user("EWS.AccessAsUser.All"), 2000008, 17},
		{"a user's with roles only", func(s *scene) { user("profile")(s); app("Calendars.Read")(s) }, 2000008, 17},
		{"audience is Graph's id", audience(directory.GraphAppID, tenant), 0, 0},
		{"audience is Graph's id, on premises", audience(directory.GraphAppID, ""), 2000003, 9},
		{"audience is the host, on premises", audience("https://"+cloud, ""), 0, 0},
		{"audience is Exchange's id", audience(exchange, tenant), 2000003, 9},
		{"audience is another host", audience("https://graph.microsoft.com", tenant), 2000003, 10},
		{"a token of ACS", func(s *scene) { *s = *newScene() }, 2000009, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene()
			s.entra()
			tt.change(s)
			v := s.validatorOf(t, trust.Graph)
			c, err := v.Validate(t.Context(), s.text(), s.host)
			if tt.id != 0 {
				refusedAt(t, err, tt.id, tt.step)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.Impersonates || c.AppOnly == c.OwnUser {
				t.Errorf("caller %+v", c)
			}
			if c, err := s.validate(t); err == nil {
				t.Errorf("Exchange Web Services took it, too: %+v", c)
			}
		})
	}
}
