package directory_test

import (
	"testing"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
)

func TestMatchDomain(t *testing.T) {
	for _, c := range []struct {
		pattern, domain string
		want            bool
	}{
		{"contoso.com", "contoso.com", true},
		{"contoso.com", "a.contoso.com", false},
		{"*.contoso.com", "a.contoso.com", true},
		{"*.contoso.com", "a.b.contoso.com", true},
		{"*.contoso.com", "contoso.com", false},
		{"*.contoso.com", "xcontoso.com", false},
		{"*.contoso.com", ".contoso.com", false},
	} {
		if got := directory.MatchDomain(c.pattern, c.domain); got != c.want {
			t.Errorf("%s covers %s: %t", c.pattern, c.domain, got)
		}
	}
}

func TestVersion(t *testing.T) {
	sp1 := directory.OAuthVersion
	for _, s := range []string{"15.0.847.32", "15.00.0847.032", "Version 15.0 (Build 847.32)", "15.0 (Build 847.32)"} {
		if v, err := directory.ParseVersion(s); err != nil || v != sp1 {
			t.Errorf("%q: got %v, %v", s, v, err)
		}
	}
	for _, s := range []string{"", "15", "15.0.1.2.3", "15.x", "15.-1", "15.99999999"} {
		if v, err := directory.ParseVersion(s); err == nil {
			t.Errorf("%q: got %v", s, v)
		}
	}
	if sp1.String() != "Version 15.0 (Build 847.32)" || sp1.Padded() != "15.00.0847.032" {
		t.Errorf("printed as %q and %q", sp1, sp1.Padded())
	}
	older := []directory.Version{{8, 3, 0, 0}, {14, 3, 123, 4}, {15, 0, 847, 31}, sp1, {15, 0, 1178, 4}, {15, 1, 0, 0}}
	for i := range older {
		for j := range older {
			if got := older[i].Less(older[j]); got != (i < j) {
				t.Errorf("%v before %v: %t", older[i], older[j], got)
			}
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("15.0.847.32")
	f.Add("Version 15.0 (Build 847.32)")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := directory.ParseVersion(s)
		if err != nil {
			return
		}
		for _, form := range []string{v.String(), v.Padded()} {
			if again, err := directory.ParseVersion(form); err != nil || again != v {
				t.Errorf("%q is %q, which is %v, %v", s, form, again, err)
			}
		}
	})
}

func TestRealmOfOrganization(t *testing.T) {
	o := organization()
	for _, c := range []struct {
		name, configured, tenant, want string
	}{
		{"default accepted domain", "", "", "contoso.com"},
		{"tenant", "", guid(1), guid(1)},
		{"configured", "contoso.net", guid(1), "contoso.net"},
	} {
		o.AuthConfig.Realm, o.Tenant = c.configured, c.tenant
		if got := o.Realm(); got != c.want {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
	for domain, want := range map[string]bool{"contoso.com": true, "a.contoso.com": true, "fabrikam.com": false} {
		if o.Accepts(domain) != want {
			t.Errorf("accepts %s: %t", domain, !want)
		}
	}
}

func TestLevels(t *testing.T) {
	o := organization()
	for _, c := range []struct {
		domain string
		want   freebusy.Level
		ok     bool
	}{
		{"fabrikam.com", freebusy.LevelLimited, true},
		{"a.tailspintoys.com", freebusy.LevelNone, true},
		{"tailspintoys.com", freebusy.LevelNone, false},
	} {
		if got, ok := o.MaxLevel(c.domain); got != c.want || ok != c.ok {
			t.Errorf("%s: got %v, %t", c.domain, got, ok)
		}
	}
	o.Relationships[0].Enabled = false
	if _, ok := o.MaxLevel("fabrikam.com"); ok {
		t.Error("a disabled relationship grants something")
	}
	r := mailbox()
	for _, c := range []struct {
		requester string
		want      freebusy.Level
	}{
		{"alice@contoso.com", freebusy.LevelOwner}, {"a@contoso.com", freebusy.LevelOwner},
		{"bob@contoso.com", freebusy.LevelFull}, {"carol@contoso.com", freebusy.LevelTime}, {"", freebusy.LevelTime},
	} {
		var a smtpaddr.Address
		if c.requester != "" {
			a = smtpaddr.Must(c.requester)
		}
		if got := r.LevelFor(a); got != c.want {
			t.Errorf("%q sees %v, want %v", c.requester, got, c.want)
		}
	}
}

func TestNoRoleImpliesAnother(t *testing.T) {
	a := directory.Account{Roles: []string{directory.RoleAdmin}}
	if !a.HasRole(directory.RoleAdmin) || a.HasRole(directory.RoleImpersonation) || a.HasRole(directory.RoleImport) {
		t.Errorf("roles %v: HasRole is not exact", a.Roles)
	}
}
