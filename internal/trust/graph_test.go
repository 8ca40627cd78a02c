package trust_test

import (
	"strings"
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

// The authority knows Graph by its id and by the cloud's host for it, whoever else
// has that name, and puts the roles there into the token.
func TestApplicationsGetTokensForGraph(t *testing.T) {
	const graphHost, graphObject = "microsoftgraph.chinacloudapi.cn", "0e6f1d2c-0000-4000-8000-000000000003"
	with := func(k *appAsk) {
		k.realm.ServiceHosts = append(k.realm.ServiceHosts, graphHost)
		k.realm.Principals = append(k.realm.Principals, directory.ServicePrincipal{
			ObjectID: graphObject, AppPrincipalID: directory.GraphAppID, DisplayName: "Microsoft Graph", AccountEnabled: true,
			ServicePrincipalNames: []string{directory.GraphAppID, directory.GraphAppID + "/" + graphHost},
		})
		for i := range k.realm.Principals {
			if p := &k.realm.Principals[i]; p.AppPrincipalID == gateway {
				p.AppRoleAssignments = append(p.AppRoleAssignments, directory.AppRoleAssignment{ID: "a2", ResourceID: graphObject, RoleID: "8ba4a692-bc31-4128-9094-475872af8a53"})
			}
		}
	}
	for _, tt := range []struct {
		name, resource string
		change         func(*appAsk)
		aud, roles     string // "": refused
	}{
		{"by host", "https://" + graphHost, with, "https://" + graphHost, "Calendars.ReadBasic.All"},
		{"by id", directory.GraphAppID, with, directory.GraphAppID, "Calendars.ReadBasic.All"},
		{"Exchange is another one", "https://" + cloud, with, "https://" + cloud, "full_access_as_app"},
		{"a tenant without Graph", "https://" + graphHost, func(k *appAsk) { k.realm.ServiceHosts = append(k.realm.ServiceHosts, graphHost) }, "", ""},
		{"another application with Graph's name", "https://" + graphHost, func(k *appAsk) {
			with(k)
			k.realm.Principals[0].ServicePrincipalNames = append(k.realm.Principals[0].ServicePrincipalNames, "https://"+graphHost)
		}, "https://" + graphHost, "Calendars.ReadBasic.All"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newAppAsk()
			tt.change(k)
			k.req.Resource = tt.resource
			resp, err := k.issue(t)
			if tt.aud == "" {
				if err == nil {
					t.Error("a token was issued")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text := payload(t, resp.AccessToken)
			if want := `"aud":"` + tt.aud + `"`; !strings.Contains(text, want) || !strings.Contains(text, `"roles":["`+tt.roles+`"]`) {
				t.Errorf("claims %s, want %s and role %s", text, want, tt.roles)
			}
		})
	}
}
