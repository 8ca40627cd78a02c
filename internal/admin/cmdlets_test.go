package admin_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/admin/msolcmd"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// Every cmdlet reads, or changes, under its own name: without a rule it could
// be run by nobody.
func TestEveryCmdletHasARule(t *testing.T) {
	w := newWorld(t)
	org := w.contoso().ID
	clock := func() time.Time { return now }
	var all []interp.Command
	for _, hosted := range []bool{false, true} {
		all = append(all, ok[[]interp.Command](w)(exchangecmd.Commands(exchangecmd.Config{
			Admin: w.Service, Org: org, Server: "mail.contoso.com", Hosted: hosted, Now: clock,
			Actor: func(context.Context) (admin.Actor, error) { return system, nil },
		}))...)
	}
	all = append(all, ok[[]interp.Command](w)(msolcmd.Commands(msolcmd.Config{
		Admin:  w.Service,
		SignIn: func(context.Context, *object.Credential) (admin.Actor, string, error) { return system, tenant, nil },
	}))...)
	if len(all) < 50 {
		t.Errorf("only %d cmdlets", len(all))
	}
	nobody := admin.Actor{Name: "r@contoso.com", Org: org}
	for _, c := range all {
		if _, err := w.ViewOrganization(t.Context(), system, c.Name, org); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		if _, err := w.ViewOrganization(t.Context(), nobody, c.Name, org); !errors.Is(err, admin.ErrForbidden) {
			t.Errorf("%s by an account without a role: %v", c.Name, err)
		}
	}
}
