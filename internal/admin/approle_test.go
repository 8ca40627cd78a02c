package admin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
)

func TestAppRoles(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.authority()
	realm := ok[admin.Result[*directory.Realm]](w)(w.NewRealm(ctx, system, admin.RealmParams{InitialDomain: "fabrikam.partner.onmschina.cn"})).Object
	exchange := realm.Principals[0]
	principal := func(name string) directory.ServicePrincipal {
		return ok[admin.Result[directory.ServicePrincipal]](w)(w.NewServicePrincipal(ctx, system, realm.ID, directory.ServicePrincipal{DisplayName: name, AccountEnabled: true})).Object
	}
	app, rooms := principal("ExchangeServerApp"), principal("Rooms")
	has := func() []directory.AppRoleAssignment {
		return ok[*directory.Realm](w)(w.store.Realm(ctx, realm.ID)).Principal(app.ObjectID).AppRoleAssignments
	}

	// An application of one's own gets Exchange's role: the consent.
	given := ok[admin.Result[directory.AppRoleAssignment]](w)(w.NewAppRoleAssignment(ctx, system, "fabrikam.partner.onmschina.cn", app.AppPrincipalID, directory.ExchangeAppID, strings.ToUpper(directory.RoleFullAccessAsApp.ID)))
	want := directory.AppRoleAssignment{ID: given.Object.ID, ResourceID: exchange.ObjectID, RoleID: directory.RoleFullAccessAsApp.ID, CreatedAt: now}
	if d := cmp.Diff([]directory.AppRoleAssignment{want}, has()); d != "" || !given.Changed {
		t.Error(d)
	}
	for name, c := range map[string]struct {
		principal, resource, role string
		want                      error
	}{
		"given already":            {app.ObjectID, exchange.ObjectID, directory.RoleFullAccessAsApp.ID, directory.ErrExists},
		"a role of another one":    {app.ObjectID, rooms.ObjectID, directory.RoleFullAccessAsApp.ID, directory.ErrNotFound},
		"no role":                  {app.ObjectID, exchange.ObjectID, "00000000-0000-0000-0000-000000000000", directory.ErrNotFound},
		"no such application":      {realm.ID, exchange.ObjectID, directory.RoleFullAccessAsApp.ID, directory.ErrNotFound},
		"no such resource":         {app.ObjectID, realm.ID, directory.RoleFullAccessAsApp.ID, directory.ErrNotFound},
		"nothing is named by that": {"", "", "", directory.ErrNotFound},
	} {
		if _, err := w.NewAppRoleAssignment(ctx, system, realm.ID, c.principal, c.resource, c.role); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}

	// Roles of one's own; one that somebody has cannot go.
	own := []directory.AppRole{{ID: "2e1d0c9b-0001-4000-8000-000000000001", Value: "Rooms.Read", DisplayName: "Read rooms", Enabled: true}}
	version := 2
	set := func(roles []directory.AppRole) error {
		return what(w.SetServicePrincipal(ctx, system, realm.ID, rooms.ObjectID, admin.ServicePrincipalChange{AppRoles: &roles, TokenVersion: &version}))
	}
	if err := set(own); err != nil {
		t.Fatal(err)
	}
	second := ok[admin.Result[directory.AppRoleAssignment]](w)(w.NewAppRoleAssignment(ctx, system, realm.ID, app.ObjectID, rooms.ObjectID, own[0].ID)).Object
	if err := set(nil); err == nil || !strings.Contains(err.Error(), "is no role of an application "+rooms.ObjectID) {
		t.Errorf("a role that is given went: %v", err)
	}

	if _, err := w.RemoveAppRoleAssignment(ctx, system, realm.ID, rooms.ObjectID, second.ID); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("taken from who does not have it: %v", err)
	}
	if r := ok[admin.Result[directory.AppRoleAssignment]](w)(w.RemoveAppRoleAssignment(ctx, system, realm.ID, app.ObjectID, strings.ToUpper(given.Object.ID))); r.Object != want || !r.Changed {
		t.Errorf("%+v", r)
	}
	// What belongs to an application goes with it.
	ok[admin.Result[directory.ServicePrincipal]](w)(w.RemoveServicePrincipal(ctx, system, realm.ID, rooms.ObjectID))
	if left := has(); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}
