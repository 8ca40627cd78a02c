package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
)

// followed notes what it is asked for.
type followed struct {
	asked []string
	err   error
}

func (f *followed) Update(_ context.Context, v *directory.CalendarSource) error {
	f.asked = append(f.asked, fmt.Sprintf("update %s removed=%v enabled=%v %s %s", v.Name, v.Removed, v.Enabled, v.URL.Reveal(), string(v.Password)))
	v.State.Events = 7
	return f.err
}

func (f *followed) Test(_ context.Context, v *directory.CalendarSource) directory.CalendarSourceTest {
	f.asked = append(f.asked, "test "+v.Name)
	return directory.CalendarSourceTest{Failure: "Unauthorized", Text: "no"}
}

func TestCalendarSources(t *testing.T) {
	w := newWorld(t)
	follow := &followed{}
	w.Sources = follow
	ctx := t.Context()
	org := w.contoso().ID
	ok[admin.Result[*directory.Recipient]](w)(w.NewMailbox(ctx, system, org, admin.MailboxParams{Name: "alice", Password: "correct horse", TimeZone: "China Standard Time"}))
	owner := admin.Actor{Name: "admin@contoso.com", Org: org, Roles: []string{directory.RoleAdmin}}
	stored := func(id string) *directory.CalendarSource {
		t.Helper()
		return ok[*directory.CalendarSource](w)(w.store.CalendarSource(ctx, org, id))
	}

	res := ok[admin.Result[*directory.CalendarSource]](w)(w.NewCalendarSource(ctx, owner, org, "alice", directory.CalendarSource{
		Name: "Team", Kind: directory.SourceICalendar, URL: "webcal://Calendar.fabrikam.com/private-4f2a/basic.ics?key=4f2a", UserName: "kim", Password: directory.Secret("hunter2"), Enabled: true,
	}))
	id := res.Object.ID
	if got, want := res.Object.URL.Reveal()+" "+string(res.Object.Password), "https://Calendar.fabrikam.com/… withheld"; got != want {
		t.Errorf("shown: %q, want %q", got, want)
	}
	is := stored(id)
	if is.URL.Reveal() != "https://Calendar.fabrikam.com/private-4f2a/basic.ics?key=4f2a" || string(is.Password) != "hunter2" || is.Refresh != directory.DefaultSourceRefresh ||
		is.MaxBytes != directory.DefaultSourceBytes || is.MaxEvents != directory.DefaultSourceEvents || !is.WhenCreated.Equal(now) || !is.State.NextAttempt.Equal(now) {
		t.Errorf("kept: %+v", is)
	}
	for name, list := range map[string]func() ([]*directory.CalendarSource, error){
		"of the mailbox": func() ([]*directory.CalendarSource, error) {
			return w.CalendarSources(ctx, owner, "Get-MailboxCalendarSource", org, "alice@contoso.com")
		},
		"of all": func() ([]*directory.CalendarSource, error) {
			return w.CalendarSources(ctx, owner, "Get-MailboxCalendarSource", org, "")
		},
	} {
		got := ok[[]*directory.CalendarSource](w)(list())
		if len(got) != 1 || strings.Contains(got[0].URL.Reveal(), "4f2a") || string(got[0].Password) == "hunter2" {
			t.Errorf("%s: %+v", name, got)
		}
	}

	// What is asked with changes in place, and is read whole the next time.
	is.State.ETag, is.State.LastModified, is.State.Digest, is.State.Events = `"1"`, "yesterday", "d", 3
	if err := w.store.KeepCalendarSourceStates(ctx, []*directory.CalendarSource{is}); err != nil {
		t.Fatal(err)
	}
	set := func(fn func(*directory.CalendarSource)) admin.Result[*directory.CalendarSource] {
		t.Helper()
		return ok[admin.Result[*directory.CalendarSource]](w)(w.SetCalendarSource(ctx, owner, org, strings.ToUpper(id), func(v *directory.CalendarSource) error { fn(v); return nil }))
	}
	if r := set(func(*directory.CalendarSource) {}); r.Changed {
		t.Error("a change that changes nothing is one")
	}
	set(func(v *directory.CalendarSource) { v.Password, v.Refresh = directory.Secret("hunter3"), time.Hour })
	if is = stored(id); string(is.Password) != "hunter3" || is.State.ETag+is.State.LastModified+is.State.Digest != "" || is.Refresh != time.Hour || is.State.Events != 3 {
		t.Errorf("after a new password: %+v", is)
	}
	set(func(v *directory.CalendarSource) {
		v.URL = "https://calendar.fabrikam.com/private-77/basic.ics"
		v.ID, v.Mailbox = "x", "y"
	})
	if is = stored(id); is.URL.Reveal() != "https://calendar.fabrikam.com/private-77/basic.ics" || is.Mailbox == "y" {
		t.Errorf("after a new address: %+v", is)
	}

	ok[*directory.CalendarSource](w)(w.UpdateCalendarSource(ctx, owner, org, id))
	if got := ok[directory.CalendarSourceTest](w)(w.TestCalendarSource(ctx, owner, org, id)); got.Failure != "Unauthorized" {
		t.Errorf("test: %+v", got)
	}
	set(func(v *directory.CalendarSource) { v.Enabled = false })
	follow.err = errors.New("the disk is full")
	gone := ok[admin.Result[*directory.CalendarSource]](w)(w.RemoveCalendarSource(ctx, owner, org, id))
	if len(gone.Warnings) != 1 || !strings.Contains(gone.Warnings[0], "the copy of Team is still there (the disk is full)") {
		t.Errorf("warnings %q", gone.Warnings)
	}
	const at = "https://calendar.fabrikam.com/private-77/basic.ics"
	if d := cmp.Diff([]string{
		"update Team removed=false enabled=true " + at + " hunter3", "test Team",
		"update Team removed=false enabled=false " + at + " hunter3", "update Team removed=true enabled=false " + at + " ",
	}, follow.asked); d != "" {
		t.Error(d)
	}
	// It is there until its copy has gone, for nobody but the one who takes that away.
	if got := ok[[]*directory.CalendarSource](w)(w.CalendarSources(ctx, owner, "Get-MailboxCalendarSource", org, "")); len(got) != 0 {
		t.Errorf("removed and shown: %+v", got)
	}
	if _, err := w.SetCalendarSource(ctx, owner, org, id, func(*directory.CalendarSource) error { return nil }); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("removed and changed: %v", err)
	}
	if is = stored(id); !is.Removed || is.Password != nil {
		t.Errorf("removed: %+v", is)
	}
	ok[admin.Result[*directory.CalendarSource]](w)(w.NewCalendarSource(ctx, owner, org, "alice", directory.CalendarSource{Name: "TEAM", Kind: directory.SourceICalendar, URL: "https://b.example/"}))

	var ops []string
	for _, e := range w.events(string(org)) {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if s := string(b); strings.Contains(s, "4f2a") || strings.Contains(s, "hunter") || strings.Contains(s, "private-") {
			t.Errorf("a secret is in the audit trail: %s", s)
		}
		if strings.Contains(e.Operation, "CalendarSource") {
			ops = append(ops, e.Operation+" "+e.Object+" "+strings.SplitN(e.Outcome, ":", 2)[0])
		}
	}
	for _, want := range []string{
		`New-MailboxCalendarSource CalendarSource alice\Team done`, "Set-MailboxCalendarSource CalendarSource Team done",
		"Update-MailboxCalendarSource CalendarSource Team done", "Test-MailboxCalendarSource CalendarSource Team done", "Remove-MailboxCalendarSource CalendarSource Team done",
	} {
		if !strings.Contains(strings.Join(ops, "\n"), want) {
			t.Errorf("%s is not in the audit trail:\n%s", want, strings.Join(ops, "\n"))
		}
	}
}

func TestCalendarSourceRules(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	ok[admin.Result[*directory.Recipient]](w)(w.NewMailbox(ctx, system, org, admin.MailboxParams{Name: "alice", Password: "correct horse", TimeZone: "China Standard Time"}))
	good := directory.CalendarSource{Name: "Team", Kind: directory.SourceICalendar, URL: "https://a.example/x", Enabled: true}
	ok[admin.Result[*directory.CalendarSource]](w)(w.NewCalendarSource(ctx, system, org, "alice", good))
	for _, tt := range []struct {
		name   string
		change func(*directory.CalendarSource)
		want   string
	}{
		{"name that is taken", func(v *directory.CalendarSource) { v.Name = "TEAM" }, `Name "TEAM": is taken by another calendar source of the mailbox`},
		{"no name", func(v *directory.CalendarSource) { v.Name = "" }, `Name "": is empty`},
		{"http", func(v *directory.CalendarSource) { v.Name, v.URL = "b", "http://a.example/secret" }, `Url "http://a.example/…": is not https`},
		{"user name in the address", func(v *directory.CalendarSource) { v.Name, v.URL = "b", "https://u:secret@a.example/" }, "carries a user name"},
		{"no address", func(v *directory.CalendarSource) { v.Name, v.URL = "b", "secret" }, `Url "(secret)": is no absolute URL`},
		{"kind", func(v *directory.CalendarSource) { v.Name, v.Kind = "b", "Palm" }, `Kind "Palm": is none of ICalendar`},
		{"too often", func(v *directory.CalendarSource) { v.Name, v.Refresh = "b", time.Second }, `RefreshInterval "1s": want 1m0s to 168h0m0s`},
		{"too big", func(v *directory.CalendarSource) { v.Name, v.MaxBytes = "b", 1<<40 }, "MaxBytes"},
		{"too many", func(v *directory.CalendarSource) { v.Name, v.MaxEvents = "b", 1<<30 }, "MaxEvents"},
		{"user name that Basic cannot carry", func(v *directory.CalendarSource) { v.Name, v.UserName = "b", "a:b" }, "holds a colon"},
		{"password of nobody", func(v *directory.CalendarSource) { v.Name, v.Password = "b", directory.Secret("secret") }, "without a user name"},
	} {
		v := good
		tt.change(&v)
		_, err := w.NewCalendarSource(ctx, system, org, "alice", v)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret@") || strings.Contains(err.Error(), "/secret") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := w.NewCalendarSource(ctx, system, org, "nobody", good); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
	for i := range directory.MaxCalendarSources - 1 {
		v := good
		v.Name = fmt.Sprint("s", i)
		ok[admin.Result[*directory.CalendarSource]](w)(w.NewCalendarSource(ctx, system, org, "alice", v))
	}
	v := good
	v.Name = "one too many"
	if _, err := w.NewCalendarSource(ctx, system, org, "alice", v); err == nil || !strings.Contains(err.Error(), "the limit is 50") {
		t.Errorf("one too many: %v", err)
	}
	if _, err := w.UpdateCalendarSource(ctx, system, org, "x"); err == nil {
		t.Error("nobody follows sources here, and it is no error")
	}
}
