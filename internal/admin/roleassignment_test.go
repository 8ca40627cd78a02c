package admin_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
)

func TestManagementRoleAssignments(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	result := ok[admin.Result[*directory.Account]](w)
	for _, name := range []string{"kim@contoso.com", "lee@contoso.com"} {
		result(w.NewAccount(ctx, system, org, admin.AccountParams{UserName: name, Password: "correct horse"}))
	}
	admins := admin.Actor{Name: "kim@contoso.com", Org: org, Roles: []string{directory.RoleAdmin}}
	given := result(w.NewManagementRoleAssignment(ctx, system, org, "Kim@Contoso.com", directory.RoleAdmin))
	if d := cmp.Diff([]string{directory.RoleAdmin}, given.Object.Roles); d != "" || !given.Changed {
		t.Error(d, given.Changed)
	}
	if _, err := w.NewManagementRoleAssignment(ctx, admins, org, "kim@contoso.com", directory.RoleAdmin); !errors.Is(err, directory.ErrExists) {
		t.Errorf("given twice: %v", err)
	}
	if _, err := w.NewManagementRoleAssignment(ctx, admins, org, "lee@contoso.com", "Emperor"); err == nil {
		t.Error("a role that there is not was given")
	}
	if _, err := w.RemoveManagementRoleAssignment(ctx, admins, org, "lee@contoso.com", directory.RoleView); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a role that lee has not: %v", err)
	}
	if _, err := w.RemoveManagementRoleAssignment(ctx, admins, org, "kim@contoso.com", directory.RoleAdmin); err == nil {
		t.Error("the last administrator lost the role")
	}
	result(w.NewManagementRoleAssignment(ctx, admins, org, "lee@contoso.com", directory.RoleAdmin))
	result(w.NewManagementRoleAssignment(ctx, admins, org, "lee@contoso.com", directory.RoleView))
	gone := result(w.RemoveManagementRoleAssignment(ctx, admins, org, "lee@contoso.com", directory.RoleAdmin))
	if d := cmp.Diff([]string{directory.RoleView}, gone.Object.Roles); d != "" {
		t.Error(d)
	}
	var got []string
	for _, e := range w.events(string(org)) {
		if e.Outcome == "done" && (e.Operation == "New-ManagementRoleAssignment" || e.Operation == "Remove-ManagementRoleAssignment") {
			got = append(got, e.Actor+" "+e.Operation+" "+e.Object)
		}
	}
	slices.Sort(got)
	want := []string{
		"kim@contoso.com New-ManagementRoleAssignment Account lee@contoso.com",
		"kim@contoso.com New-ManagementRoleAssignment Account lee@contoso.com",
		"kim@contoso.com Remove-ManagementRoleAssignment Account lee@contoso.com",
		"system New-ManagementRoleAssignment Account kim@contoso.com",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
