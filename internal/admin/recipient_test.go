package admin_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
)

type recipientResult = admin.Result[*directory.Recipient]

// people makes mailboxes alice and bob with accounts, a room and a mail user.
func (w *world) people(org directory.OrgID) {
	w.t.Helper()
	ctx := w.t.Context()
	for _, p := range []admin.MailboxParams{
		{Name: "Alice Example", Alias: "alice", Password: "correct horse", Proxies: []string{"a.example@sub.contoso.com"}, SamAccountName: "aexample", UPN: "alice.upn@contoso.com"},
		{Name: "Bob, Junior", DisplayName: "Bob", Alias: "bob", Password: "correct horse"},
		{Name: "Room 1", Alias: "room", Type: directory.RoomMailbox, ResourceCapacity: 4},
	} {
		p.TimeZone = "UTC"
		ok[recipientResult](w)(w.NewMailbox(ctx, system, org, p))
	}
	ok[recipientResult](w)(w.NewMailUser(ctx, system, org, admin.MailUserParams{Name: "Carol", DisplayName: "Alice Example", ExternalAddress: "carol@cloud.example"}))
}

func (w *world) find(org directory.OrgID, identity string, types ...string) *directory.Recipient {
	w.t.Helper()
	return ok[*directory.Recipient](w)(w.FindRecipient(w.t.Context(), system, "Get-Recipient", org, identity, types...))
}

func TestFindRecipient(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	w.people(org)
	alice := w.find(org, "alice@contoso.com")
	mailboxes := directory.MailboxTypes()
	for _, c := range []struct {
		identity string
		types    []string
		want     string // primary address; "": not found, "?": ambiguous
	}{
		{"alice@contoso.com", nil, "alice@contoso.com"},
		{"SMTP:A.Example@sub.contoso.com", nil, "alice@contoso.com"},
		{"ALICE.UPN@contoso.com", nil, "alice@contoso.com"},
		{alice.ID, nil, "alice@contoso.com"},
		{strings.ToUpper(alice.ID), mailboxes, "alice@contoso.com"},
		{"alice", nil, "alice@contoso.com"},
		{"AExample", nil, "alice@contoso.com"},
		{`CONTOSO\aexample`, nil, "alice@contoso.com"},
		{`CONTOSO\Alice Example`, nil, ""},
		{"Alice Example", nil, "?"},
		{"alice example", mailboxes, "alice@contoso.com"},
		{"Alice Example", []string{directory.MailUser}, "carol@contoso.com"},
		{"Carol", nil, "carol@contoso.com"},
		{"Carol", mailboxes, ""},
		{"carol@contoso.com", mailboxes, ""},
		{"carol@cloud.example", nil, ""},
		{"CN=Alice Example,CN=Users,DC=contoso,DC=com", nil, "alice@contoso.com"},
		{"cn=alice example,ou=Contoso,ou=Microsoft Exchange Hosted Organizations,dc=contoso,dc=com", nil, "alice@contoso.com"},
		{`CN=Bob\, Junior,CN=Users,DC=contoso,DC=com`, nil, "bob@contoso.com"},
		{"CN=Bob, Junior,OU=Users,DC=contoso,DC=com", nil, "bob@contoso.com"},
		{"CN=alice,CN=Users,DC=contoso,DC=com", nil, ""},
		{"CN=Carol", nil, ""},
		{"contoso.com/Users/Carol", nil, "carol@contoso.com"},
		{"contoso.com/Users/bob", nil, ""},
		{"Users/Carol", nil, ""},
		{"Bob, Junior", nil, "bob@contoso.com"},
		{"Bob", nil, "bob@contoso.com"},
		{"bo", nil, ""},
		{"", nil, ""},
		{"*", nil, ""},
		{"11111111-2222-4333-8444-555555555555", nil, ""},
	} {
		r, err := w.FindRecipient(ctx, system, "Get-Recipient", org, c.identity, c.types...)
		got := ""
		switch _, ambiguous := errors.AsType[*admin.AmbiguousError](err); {
		case err == nil:
			got = r.Primary.String()
		case ambiguous:
			got = "?"
		case !errors.Is(err, directory.ErrNotFound):
			t.Errorf("%q: %v", c.identity, err)
		}
		if got != c.want {
			t.Errorf("%q of %v: got %q, want %q", c.identity, c.types, got, c.want)
		}
	}
}

func TestRecipients(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	w.people(org)
	for _, c := range []struct {
		name   string
		filter admin.RecipientFilter
		want   []string
	}{
		{"all", admin.RecipientFilter{}, []string{"alice", "bob", "carol", "room"}},
		{"mailboxes", admin.RecipientFilter{Types: directory.MailboxTypes()}, []string{"alice", "bob", "room"}},
		{"of no type", admin.RecipientFilter{Types: []string{}}, nil},
		{"first two mailboxes", admin.RecipientFilter{Types: directory.MailboxTypes(), Limit: 2}, []string{"alice", "bob"}},
		{"seats", admin.RecipientFilter{Match: func(r *directory.Recipient) bool { return r.ResourceCapacity > 3 }}, []string{"room"}},
		{"second mailbox", admin.RecipientFilter{Types: directory.MailboxTypes(), Limit: 1, Match: func(r *directory.Recipient) bool { return r.Alias != "alice" }}, []string{"bob"}},
	} {
		var got []string
		for r, err := range w.Recipients(ctx, system, "Get-Recipient", org, c.filter) {
			got = append(got, strings.ToLower(ok[*directory.Recipient](w)(r, err).Alias))
		}
		slices.Sort(got) // two have the same display name
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
	// A loop may end, and the store be used within it.
	for r, err := range w.Recipients(ctx, system, "Get-Recipient", org, admin.RecipientFilter{Types: directory.MailboxTypes()}) {
		r = ok[*directory.Recipient](w)(r, err)
		ok[recipientResult](w)(w.SetMailbox(ctx, system, org, r.ID, func(r *directory.Recipient) error { r.FirstName = "A"; return nil }))
		break
	}
	if a := w.find(org, "alice"); a.FirstName != "A" {
		t.Errorf("changed while listing: %+v", a)
	}
}

func TestSetMailbox(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	w.people(org)
	// Bob's calendar is open to Alice by her primary address.
	ok[recipientResult](w)(w.AddMailboxFolderPermission(ctx, system, org, "Bob", "alice", freebusy.LevelFull))
	set := func(identity string, fn func(*directory.Recipient)) (recipientResult, error) {
		return w.SetMailbox(ctx, system, org, identity, func(r *directory.Recipient) error { fn(r); return nil })
	}
	for name, fn := range map[string]func(*directory.Recipient){
		"foreign primary": func(r *directory.Recipient) { r.Primary = smtpaddr.Must("a@fabrikam.com") },
		"foreign proxy":   func(r *directory.Recipient) { r.Proxies = append(r.Proxies, smtpaddr.Must("a@fabrikam.com")) },
		"foreign UPN":     func(r *directory.Recipient) { r.UPN = "a@fabrikam.com" },
		"address of bob":  func(r *directory.Recipient) { r.Primary = smtpaddr.Must("bob@contoso.com") },
		"UPN of bob":      func(r *directory.Recipient) { r.UPN = "bob@contoso.com" },
		"name of bob":     func(r *directory.Recipient) { r.Name = "BOB, Junior" },
		"a mail user": func(r *directory.Recipient) {
			r.Type, r.ExternalAddress = directory.MailUser, smtpaddr.Must("a@x.example")
		},
		"a group":           func(r *directory.Recipient) { r.Type = directory.MailGroup },
		"negative capacity": func(r *directory.Recipient) { r.ResourceCapacity = -1 },
		"bad logon name":    func(r *directory.Recipient) { r.SamAccountName = `a\b` },
	} {
		before := w.find(org, "alice")
		if _, err := set("alice", fn); err == nil {
			t.Errorf("%s was accepted", name)
		}
		if d := cmp.Diff(fmt.Sprintf("%+v", before), fmt.Sprintf("%+v", w.find(org, "alice"))); d != "" {
			t.Errorf("%s changed something: %s", name, d)
		}
	}
	r := ok[recipientResult](w)(set("alice", func(r *directory.Recipient) { r.HiddenFromAddressLists, r.Type = true, directory.SharedMailbox }))
	if !r.Changed || !r.Object.HiddenFromAddressLists || r.Object.Type != directory.SharedMailbox {
		t.Errorf("shared: changed %t, %+v", r.Changed, r.Object)
	}
	if r := ok[recipientResult](w)(set("alice", func(r *directory.Recipient) { r.HiddenFromAddressLists = true })); r.Changed {
		t.Error("the same again changed something")
	}
	e := w.events(string(org))[0]
	if e.Operation != "Set-Mailbox" || e.Object != "Mailbox alice@contoso.com" || !strings.Contains(e.Before, `"UserMailbox"`) || !strings.Contains(e.After, `"SharedMailbox"`) {
		t.Errorf("audit: %+v", e)
	}

	// She marries: the old address goes, and account and permission follow.
	ok[recipientResult](w)(set("alice", func(r *directory.Recipient) {
		r.Primary, r.Proxies, r.UPN, r.Alias = smtpaddr.Must("a.miller@contoso.com"), nil, "a.miller@contoso.com", "amiller"
	}))
	a := ok[*directory.Account](w)(w.store.Account(ctx, "a.miller@contoso.com"))
	if a.Address != smtpaddr.Must("a.miller@contoso.com") || !a.Enabled {
		t.Errorf("account: %+v", a)
	}
	if _, err := w.store.Account(ctx, "alice.upn@contoso.com"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("the old account: %v", err)
	}
	ok[admin.Actor](w)(w.SignIn(ctx, "a.miller@contoso.com", "correct horse"))
	permission := func() (out []string) {
		for _, p := range w.find(org, "bob@contoso.com").Permissions {
			out = append(out, p.User+" "+p.Level.String())
		}
		return out
	}
	want := []string{"Default " + freebusy.LevelTime.String(), "Anonymous " + freebusy.LevelNone.String(), "a.miller@contoso.com " + freebusy.LevelFull.String()}
	if d := cmp.Diff(want, permission()); d != "" {
		t.Errorf("permissions of bob (-want +got):\n%s", d)
	}
	// Somebody else who gets the old address gets nothing with it.
	ok[recipientResult](w)(w.NewMailbox(ctx, system, org, admin.MailboxParams{Name: "Alice Other", Alias: "alice", Password: "correct horse", TimeZone: "UTC"}))
	other := w.find(org, "alice@contoso.com")
	if l := w.find(org, "bob@contoso.com").LevelFor(other.Primary); l != freebusy.LevelTime {
		t.Errorf("the next alice sees %s", l)
	}
	// A proxy may be given up alone; where both are named, one entry is left.
	ok[recipientResult](w)(set("amiller", func(r *directory.Recipient) { r.Proxies = []smtpaddr.Address{smtpaddr.Must("am@contoso.com")} }))
	if _, err := w.store.UpdateRecipient(ctx, org, w.find(org, "bob@contoso.com").ID, func(r *directory.Recipient) error {
		r.Permissions = append(r.Permissions, directory.Permission{User: "am@contoso.com", Level: freebusy.LevelTime})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ok[recipientResult](w)(set("amiller", func(r *directory.Recipient) { r.Proxies = nil }))
	if d := cmp.Diff(want, permission()); d != "" {
		t.Errorf("permissions of bob (-want +got):\n%s", d)
	}
	u := ok[recipientResult](w)(w.SetMailUser(ctx, system, org, "Carol", func(r *directory.Recipient) error {
		r.ExternalAddress = smtpaddr.Must("carol@other.example")
		return nil
	}))
	if u.Object.ExternalAddress != smtpaddr.Must("carol@other.example") || !u.Changed {
		t.Errorf("mail user: %+v", u)
	}
	for _, identity := range []string{"alice@contoso.com", "nobody"} {
		if _, err := w.SetMailUser(ctx, system, org, identity, func(*directory.Recipient) error { return nil }); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("mail user %s: %v", identity, err)
		}
	}
}

func TestRemoveMailbox(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	w.people(org)
	ok[recipientResult](w)(w.AddMailboxFolderPermission(ctx, system, org, "Bob", "alice", freebusy.LevelFull))
	ok[admin.Result[*directory.Account]](w)(w.NewAccount(ctx, system, org, admin.AccountParams{UserName: "assistant@contoso.com", Password: "correct horse", Address: smtpaddr.Must("a.example@sub.contoso.com")}))
	if _, err := w.RemoveMailbox(ctx, system, org, "Carol"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a mail user as a mailbox: %v", err)
	}
	r := ok[recipientResult](w)(w.RemoveMailbox(ctx, system, org, "aexample"))
	if r.Object.Primary != smtpaddr.Must("alice@contoso.com") || !r.Changed {
		t.Errorf("removed %+v", r)
	}
	for _, name := range []string{"alice.upn@contoso.com", "assistant@contoso.com"} {
		if _, err := w.store.Account(ctx, name); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("account %s: %v", name, err)
		}
	}
	if p := w.find(org, "Bob").Permissions; len(p) != 2 {
		t.Errorf("permissions of bob: %+v", p)
	}
	e := w.events(string(org))[0]
	if e.Object != "Mailbox alice@contoso.com" || e.After != "" || !strings.Contains(e.Before, `"Accounts":["alice.upn@contoso.com","assistant@contoso.com"]`) || !strings.Contains(e.Before, `"DisplayName":"Alice Example"`) {
		t.Errorf("audit: %+v", e)
	}
	ok[recipientResult](w)(w.RemoveMailUser(ctx, system, org, "Carol"))

	// A mailbox can be taken from an account and given back.
	ok[recipientResult](w)(w.DisableMailbox(ctx, system, org, "Bob"))
	if a := ok[*directory.Account](w)(w.store.Account(ctx, "bob@contoso.com")); !a.Address.IsZero() {
		t.Errorf("account without mailbox: %+v", a)
	}
	enable := func(user string) (recipientResult, error) {
		return w.EnableMailbox(ctx, system, org, user, admin.MailboxParams{Name: "Bob again", TimeZone: "UTC", Alias: "b2", UPN: "ignored@contoso.com", Password: "ignored too"})
	}
	r = ok[recipientResult](w)(enable("BOB@contoso.com"))
	if a := ok[*directory.Account](w)(w.store.Account(ctx, "bob@contoso.com")); a.Address != r.Object.Primary || r.Object.UPN != "bob@contoso.com" || r.Object.Primary != smtpaddr.Must("b2@contoso.com") {
		t.Errorf("account %+v of %+v", a, r.Object)
	}
	ok[admin.Actor](w)(w.SignIn(ctx, "bob@contoso.com", "correct horse"))
	if _, err := enable("bob@contoso.com"); !errors.Is(err, directory.ErrExists) {
		t.Errorf("a second mailbox: %v", err)
	}
	if _, err := enable("nobody@contoso.com"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a mailbox of nobody: %v", err)
	}

	// The mailbox of the last administrator stays.
	boss := admin.Actor{Name: "boss@contoso.com", Org: org, Roles: []string{directory.RoleAdmin}}
	ok[recipientResult](w)(w.NewMailbox(ctx, system, org, admin.MailboxParams{Name: "boss", Password: "correct horse", TimeZone: "UTC", Roles: boss.Roles}))
	if _, err := w.RemoveMailbox(ctx, boss, org, "boss"); err == nil || !strings.Contains(err.Error(), "nobody else has the role") {
		t.Errorf("mailbox of the last administrator: %v", err)
	}
	w.find(org, "boss")
	ok[recipientResult](w)(w.DisableMailbox(ctx, boss, org, "boss"))
}

func TestNewRecipientNames(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	w.people(org)
	r := w.find(org, "Bob")
	if r.CommonName() != "Bob, Junior" || r.DisplayName != "Bob" || w.find(org, "alice").Name != "" {
		t.Errorf("names %q, %q", r.CommonName(), r.DisplayName)
	}
	_, err := w.NewMailUser(ctx, system, org, admin.MailUserParams{Name: "alice EXAMPLE", Alias: "x", ExternalAddress: "x@cloud.example"})
	if f, typed := errors.AsType[*directory.FieldError](err); !typed || !errors.Is(err, directory.ErrExists) || f.Field != "Name" {
		t.Errorf("a name that is taken: %v", err)
	}
	// The display name of another is free.
	ok[recipientResult](w)(w.NewMailUser(ctx, system, org, admin.MailUserParams{Name: "Dave", DisplayName: "Bob", ExternalAddress: "x@cloud.example"}))
}

func TestFolderPermissions(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	w.people(org)
	add := func(user string) (recipientResult, error) {
		return w.AddMailboxFolderPermission(ctx, system, org, "bob@contoso.com", user, freebusy.LevelLimited)
	}
	set := func(user string) (recipientResult, error) {
		return w.SetMailboxFolderPermission(ctx, system, org, "Bob", user, freebusy.LevelFull)
	}
	remove := func(user string) (recipientResult, error) {
		return w.RemoveMailboxFolderPermission(ctx, system, org, "Bob", user)
	}
	for _, c := range []struct {
		name string
		do   func(string) (recipientResult, error)
		user string
		err  string
		left int
	}{
		{"set without entry", set, "alice", "There is no existing permission entry found for user: alice@contoso.com.", 2},
		{"remove without entry", remove, "alice", "There is no existing permission entry found for user: alice@contoso.com.", 2},
		{"add", add, "alice", "", 3},
		{"add again by another name", add, "aexample", "An existing permission entry was found for user: alice@contoso.com.", 3},
		{"set", set, "alice.upn@contoso.com", "", 3},
		{"add default", add, "default", "An existing permission entry was found for user: Default.", 3},
		{"a mail user", add, "Carol", "", 4},
		{"nobody", add, "nobody@contoso.com", `The user "nobody@contoso.com" is either not valid SMTP address, or there is no matching information.`, 4},
		{"several", add, "Alice Example", "matches several", 4},
		{"remove", remove, "alice", "", 3},
		{"remove default", remove, "Default", "set them to None", 3},
		{"remove anonymous", remove, "ANONYMOUS", "set them to None", 3},
	} {
		_, err := c.do(c.user)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: got error %v, want %q", c.name, err, c.err)
		}
		if n := len(w.find(org, "Bob").Permissions); n != c.left {
			t.Errorf("%s: %d entries, want %d", c.name, n, c.left)
		}
	}
}
