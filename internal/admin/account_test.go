package admin_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/argon2"

	"busybridge/internal/admin"
	"busybridge/internal/audit"
	"busybridge/internal/directory"
)

type accountResult = admin.Result[*directory.Account]

func TestSignIn(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.authority()
	org := w.contoso().ID
	w.next = 0
	hosted := ok[admin.Result[*directory.Organization]](w)(w.NewOrganization(ctx, system, admin.OrganizationParams{Name: "Cloud", Domain: "fabrikam.com", Tenant: tenant})).Object.ID
	realm := ok[admin.Result[*directory.Realm]](w)(w.NewRealm(ctx, system, admin.RealmParams{InitialDomain: "tailspin.partner.onmschina.cn"})).Object.ID
	const pw = "correct horse"
	ok[accountResult](w)(w.NewAccount(ctx, system, org, admin.AccountParams{UserName: "alice@contoso.com", Password: pw, Roles: []string{directory.RoleView}}))
	ok[accountResult](w)(w.NewAccount(ctx, system, org, admin.AccountParams{UserName: "disabled@contoso.com", Password: pw}))
	ok[accountResult](w)(w.SetAccount(ctx, system, org, "disabled@contoso.com", func(a *directory.Account) error { a.Enabled = false; return nil }))
	ok[accountResult](w)(w.NewAccount(ctx, system, hosted, admin.AccountParams{UserName: "t@fabrikam.com", Password: pw}))
	ok[accountResult](w)(w.NewRealmAccount(ctx, system, realm, admin.AccountParams{UserName: "r@tailspin.partner.onmschina.cn", Password: pw, Roles: []string{directory.RoleAdmin}}))

	for _, c := range []struct {
		user, password string
		want           admin.Actor
	}{
		{" Alice@Contoso.com ", pw, admin.Actor{Name: "alice@contoso.com", Org: org, Roles: []string{directory.RoleView}}},
		{"t@fabrikam.com", pw, admin.Actor{Name: "t@fabrikam.com", Org: hosted, Realm: tenant}},
		{"r@tailspin.partner.onmschina.cn", pw, admin.Actor{Name: "r@tailspin.partner.onmschina.cn", Realm: realm, Roles: []string{directory.RoleAdmin}}},
		{"alice@contoso.com", "wrong", admin.Actor{}},
		{"alice@contoso.com", "", admin.Actor{}},
		{"alice@contoso.com", strings.Repeat("x", 5000), admin.Actor{}},
		{"disabled@contoso.com", pw, admin.Actor{}},
		{"nobody@contoso.com", pw, admin.Actor{}},
		{"no address", pw, admin.Actor{}},
		{"", "", admin.Actor{}},
	} {
		got, err := w.SignIn(ctx, c.user, c.password)
		if (c.want.Name == "") != errors.Is(err, admin.ErrSignIn) || c.want.Name != "" && err != nil {
			t.Errorf("%q: %v", c.user, err)
		}
		// Nobody learns which of the two was wrong.
		if err != nil && err.Error() != "sign in: the user name or the password is incorrect" {
			t.Errorf("%q: %v", c.user, err)
		}
		if len(got.Roles) == 0 {
			got.Roles = nil
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", c.user, d)
		}
	}
	// Roles are those of now.
	ok[accountResult](w)(w.SetAccount(ctx, system, org, "alice@contoso.com", func(a *directory.Account) error { a.Roles = nil; return nil }))
	if a := ok[admin.Actor](w)(w.ActorFor(ctx, "alice@contoso.com")); len(a.Roles) != 0 || a.Org != org {
		t.Errorf("actor: %+v", a)
	}
	for _, user := range []string{"disabled@contoso.com", "nobody@contoso.com", ""} {
		if _, err := w.ActorFor(ctx, user); !errors.Is(err, admin.ErrForbidden) {
			t.Errorf("actor %q: %v", user, err)
		}
	}
}

// A password that was hashed at another cost is kept with today's.
func TestSignInRehashes(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	a := ok[accountResult](w)(w.NewAccount(ctx, system, org, admin.AccountParams{UserName: "alice@contoso.com", Password: "correct horse"})).Object
	salt, enc := []byte("saltsaltsaltsalt"), base64.RawStdEncoding
	cheap := "$argon2id$v=19$m=64,t=1,p=1$" + enc.EncodeToString(salt) + "$" + enc.EncodeToString(argon2.IDKey([]byte("correct horse"), salt, 1, 64, 1, 32))
	a.PasswordHash = cheap
	if err := w.store.PutAccount(ctx, a); err != nil {
		t.Fatal(err)
	}
	ok[admin.Actor](w)(w.SignIn(ctx, "alice@contoso.com", "correct horse"))
	if is := ok[*directory.Account](w)(w.store.Account(ctx, "alice@contoso.com")); is.PasswordHash == cheap || !strings.HasPrefix(is.PasswordHash, "$argon2id$v=19$m=19456,") {
		t.Errorf("kept as %s", is.PasswordHash)
	}
	ok[admin.Actor](w)(w.SignIn(ctx, "alice@contoso.com", "correct horse"))
	// What was changed since the password was checked stays changed.
	stale := ok[*directory.Account](w)(w.store.Account(ctx, "alice@contoso.com"))
	stale.Roles = []string{directory.RoleAdmin}
	w.Rehash(ctx, stale, "correct horse")
	if is := ok[*directory.Account](w)(w.store.Account(ctx, "alice@contoso.com")); len(is.Roles) != 0 || is.PasswordHash == stale.PasswordHash {
		t.Errorf("after an old account was seen: %+v", is)
	}
	ok[accountResult](w)(w.SetPassword(ctx, system, org, "alice@contoso.com", "battery staple"))
	w.Rehash(ctx, stale, "correct horse")
	ok[admin.Actor](w)(w.SignIn(ctx, "alice@contoso.com", "battery staple"))
}

func TestSetAccount(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	w.people(org)
	for _, name := range []string{"one@contoso.com", "two@contoso.com"} {
		ok[accountResult](w)(w.NewAccount(ctx, system, org, admin.AccountParams{UserName: name, Password: "correct horse", Roles: []string{directory.RoleAdmin}}))
	}
	one := ok[admin.Actor](w)(w.SignIn(ctx, "one@contoso.com", "correct horse"))
	set := func(user string, fn func(*directory.Account)) (accountResult, error) {
		return w.SetAccount(ctx, one, org, user, func(a *directory.Account) error { fn(a); return nil })
	}
	was := ok[*directory.Account](w)(w.store.Account(ctx, "bob@contoso.com"))
	r := ok[accountResult](w)(set("Bob@contoso.com", func(a *directory.Account) {
		a.Roles = []string{directory.RoleImport}
		a.UserName, a.Org, a.PasswordHash, a.Address = "x@contoso.com", "x", "$argon2id$x", w.find(org, "alice").Primary
	}))
	is := ok[*directory.Account](w)(w.store.Account(ctx, "bob@contoso.com"))
	if !r.Changed || !is.HasRole(directory.RoleImport) || is.PasswordHash != was.PasswordHash || is.Org != org || is.Address != was.Address {
		t.Errorf("changed %t, %+v", r.Changed, is)
	}
	if r := ok[accountResult](w)(set("bob@contoso.com", func(*directory.Account) {})); r.Changed {
		t.Error("nothing changed something")
	}
	e := w.events(string(org))[0]
	if e.Operation != "Set-Account" || e.Object != "Account bob@contoso.com" || e.Actor != "one@contoso.com" || strings.Contains(e.Before+e.After, "argon2id") || !strings.Contains(e.After, directory.RoleImport) {
		t.Errorf("audit: %+v", e)
	}
	if _, err := set("bob@contoso.com", func(a *directory.Account) { a.Roles = []string{"Emperor"} }); err == nil {
		t.Error("an unknown role was given")
	}
	if _, err := set("nobody@contoso.com", func(*directory.Account) {}); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	// One administrator must be left, who can sign in.
	ok[accountResult](w)(set("two@contoso.com", func(a *directory.Account) { a.Enabled = false }))
	for name, fn := range map[string]func() error{
		"role":    func() error { return what(set("one@contoso.com", func(a *directory.Account) { a.Roles = nil })) },
		"enabled": func() error { return what(set("one@contoso.com", func(a *directory.Account) { a.Enabled = false })) },
		"account": func() error { return what(w.RemoveAccount(ctx, one, org, "one@contoso.com")) },
	} {
		if err := fn(); err == nil || !strings.Contains(err.Error(), "nobody else has the role") {
			t.Errorf("%s of the last administrator: %v", name, err)
		}
	}
	ok[accountResult](w)(w.RemoveAccount(ctx, one, org, "two@contoso.com"))
	ok[accountResult](w)(set("bob@contoso.com", func(a *directory.Account) { a.Roles = []string{directory.RoleAdmin} }))
	ok[accountResult](w)(w.RemoveAccount(ctx, one, org, "one@contoso.com"))
	if _, err := w.ActorFor(ctx, "one@contoso.com"); !errors.Is(err, admin.ErrForbidden) {
		t.Errorf("a removed account: %v", err)
	}
	ok[accountResult](w)(w.RemoveAccount(ctx, system, org, "bob@contoso.com")) // the operator can make another
	w.find(org, "Bob")
	var names []string
	for _, a := range ok[[]*directory.Account](w)(w.Accounts(ctx, system, "Get-Account", org)) {
		names = append(names, a.UserName)
	}
	if d := cmp.Diff([]string{"alice.upn@contoso.com"}, names); d != "" {
		t.Errorf("accounts (-want +got):\n%s", d)
	}
}

func TestRoleAssignments(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	ok[accountResult](w)(w.NewAccount(ctx, system, org, admin.AccountParams{UserName: "boss@contoso.com", Password: "correct horse", Roles: []string{directory.RoleAdmin}}))
	boss := admin.Actor{Name: "boss@contoso.com", Org: org, Roles: []string{directory.RoleAdmin}}
	add := func(role string) error {
		return what(w.NewManagementRoleAssignment(ctx, boss, org, "BOSS@contoso.com", role))
	}
	remove := func(role string) error {
		return what(w.RemoveManagementRoleAssignment(ctx, boss, org, "boss@contoso.com", role))
	}
	if err := add(directory.RoleImport); err != nil {
		t.Error(err)
	}
	if err := add(directory.RoleImport); !errors.Is(err, directory.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	if err := add("Emperor"); err == nil {
		t.Error("an unknown role was given")
	}
	if err := remove(directory.RoleView); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a role that it has not: %v", err)
	}
	if err := remove(directory.RoleAdmin); err == nil || !strings.Contains(err.Error(), "nobody else has the role") {
		t.Errorf("the last administrator: %v", err)
	}
	if err := remove(directory.RoleImport); err != nil {
		t.Error(err)
	}
	if a := ok[*directory.Account](w)(w.store.Account(ctx, "boss@contoso.com")); cmp.Diff([]string{directory.RoleAdmin}, a.Roles) != "" {
		t.Errorf("roles: %q", a.Roles)
	}
	if e := w.events(string(org))[0]; e.Operation != "Remove-ManagementRoleAssignment" || !strings.Contains(e.Before, directory.RoleImport) || strings.Contains(e.After, directory.RoleImport) {
		t.Errorf("audit: %+v", e)
	}
}

func TestRealmAccounts(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.authority()
	org := w.contoso().ID
	const domain = "tailspin.partner.onmschina.cn"
	realm := ok[admin.Result[*directory.Realm]](w)(w.NewRealm(ctx, system, admin.RealmParams{InitialDomain: domain})).Object.ID
	p := admin.AccountParams{UserName: "Admin@" + domain, Password: "correct horse", Roles: []string{directory.RoleAdmin}}
	a := ok[accountResult](w)(w.NewRealmAccount(ctx, system, domain, p)).Object
	if a.Realm != realm || a.Org != "" {
		t.Errorf("account: %+v", a)
	}
	me := ok[admin.Actor](w)(w.SignIn(ctx, a.UserName, "correct horse"))
	for name, p := range map[string]admin.AccountParams{
		"taken":          p,
		"foreign domain": {UserName: "x@contoso.com", Password: "correct horse"},
		"subdomain":      {UserName: "x@sub." + domain, Password: "correct horse"},
		"import role":    {UserName: "x@" + domain, Password: "correct horse", Roles: []string{directory.RoleImport}},
		"short password": {UserName: "x@" + domain, Password: "short"},
	} {
		if _, err := w.NewRealmAccount(ctx, me, realm, p); err == nil {
			t.Errorf("%s: an account was made", name)
		}
	}
	if _, err := w.NewAccount(ctx, system, org, admin.AccountParams{UserName: "x@" + domain, Password: "correct horse"}); err == nil || !strings.Contains(err.Error(), "no accepted domain") {
		t.Errorf("an account in the domain of others: %v", err)
	}
	ok[accountResult](w)(w.NewRealmAccount(ctx, me, realm, admin.AccountParams{UserName: "helper@" + domain, Password: "correct horse", Roles: []string{directory.RoleView}}))
	ok[accountResult](w)(w.SetRealmPassword(ctx, me, domain, "helper@"+domain, "battery staple"))
	helper := ok[admin.Actor](w)(w.SignIn(ctx, "helper@"+domain, "battery staple"))
	ok[accountResult](w)(w.SetRealmPassword(ctx, helper, domain, "helper@"+domain, "staple battery"))
	if _, err := w.SetRealmPassword(ctx, helper, realm, a.UserName, "battery staple"); !errors.Is(err, admin.ErrForbidden) {
		t.Errorf("another's password: %v", err)
	}
	ok[*directory.Realm](w)(w.ViewRealm(ctx, helper, "Get-MsolServicePrincipal", domain))
	if list := ok[[]*directory.Account](w)(w.RealmAccounts(ctx, helper, "Get-Account", realm)); len(list) != 2 || list[0].PasswordHash != "" {
		t.Errorf("accounts: %+v", list)
	}
	ok[accountResult](w)(w.SetRealmAccount(ctx, me, realm, "helper@"+domain, func(a *directory.Account) error { a.Enabled = false; return nil }))
	if _, err := w.RemoveRealmAccount(ctx, me, realm, a.UserName); err == nil || !strings.Contains(err.Error(), "nobody else has the role") {
		t.Errorf("the last administrator: %v", err)
	}
	ok[accountResult](w)(w.RemoveRealmAccount(ctx, me, domain, "helper@"+domain))
	// An organization's operation does not reach it.
	for name, err := range map[string]error{
		"remove":   what(w.RemoveAccount(ctx, system, org, a.UserName)),
		"set":      what(w.SetAccount(ctx, system, org, a.UserName, func(*directory.Account) error { return nil })),
		"password": what(w.SetPassword(ctx, system, org, a.UserName, "battery staple")),
		"nowhere":  what(w.SetRealmAccount(ctx, system, "", a.UserName, func(*directory.Account) error { return nil })),
	} {
		if !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSearchAdminAuditLog(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.authority()
	org := w.contoso().ID
	w.people(org)
	viewer := admin.Actor{Name: "v@contoso.com", Org: org, Roles: []string{directory.RoleView}}
	if _, err := w.RemoveAuthServer(ctx, viewer, org, "x"); !errors.Is(err, admin.ErrForbidden) {
		t.Fatal(err)
	}
	realm := ok[admin.Result[*directory.Realm]](w)(w.NewRealm(ctx, system, admin.RealmParams{InitialDomain: "tailspin.partner.onmschina.cn"})).Object.ID
	if err := w.store.Record(ctx, audit.Event{At: now, Org: realm, Actor: "x", Operation: "IssueToken", Outcome: "done"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		q    admin.AuditQuery
		want []string
	}{
		{"all", admin.AuditQuery{}, []string{"Remove-AuthServer", "New-MailUser", "New-Mailbox", "New-Mailbox", "New-Mailbox", "New-Organization"}},
		{"newest two", admin.AuditQuery{Limit: 2}, []string{"Remove-AuthServer", "New-MailUser"}},
		{"operations", admin.AuditQuery{Operations: []string{"new-mailUser", "New-Organization"}}, []string{"New-MailUser", "New-Organization"}},
		{"object", admin.AuditQuery{Objects: []string{"Mailbox alice@contoso.com"}}, []string{"New-Mailbox"}},
		{"object by name", admin.AuditQuery{Objects: []string{"Alice@contoso.com", "BOB@contoso.com"}}, []string{"New-Mailbox", "New-Mailbox"}},
		{"actor", admin.AuditQuery{Actors: []string{"V@contoso.com"}}, []string{"Remove-AuthServer"}},
		{"actor and operation", admin.AuditQuery{Actors: []string{"v@contoso.com"}, Operations: []string{"New-Mailbox"}}, nil},
		{"until now", admin.AuditQuery{Until: now}, nil},
		{"from now", admin.AuditQuery{From: now, Until: now.Add(time.Second), Limit: 1}, []string{"Remove-AuthServer"}},
	} {
		var got []string
		for e, err := range w.SearchAdminAuditLog(ctx, viewer, org, c.q) {
			got = append(got, ok[audit.Event](w)(e, err).Operation)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
	var got []string
	for e, err := range w.SearchAdminAuditLog(ctx, admin.Actor{Name: "r", Realm: realm, Roles: []string{directory.RoleAdmin}}, "", admin.AuditQuery{Realm: "Tailspin.partner.onmschina.cn"}) {
		got = append(got, ok[audit.Event](w)(e, err).Operation)
	}
	if d := cmp.Diff([]string{"New-Realm"}, got); d != "" {
		t.Errorf("of a realm (-want +got):\n%s", d)
	}
}
