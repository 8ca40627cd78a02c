package sqlitestore

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"busybridge/internal/directory"
	"busybridge/internal/store/storetest"
)

// sourceWorld is a store with an organization and mailboxes.
type sourceWorld struct {
	*testing.T
	*Store
	path    string
	now     time.Time
	org     directory.OrgID
	mailbox map[string]string
}

func newSourceWorld(t *testing.T) *sourceWorld {
	w := &sourceWorld{T: t, path: filepath.Join(t.TempDir(), "a.db"), now: time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC), mailbox: map[string]string{}}
	w.Store = w.reopen()
	o := storetest.Organization("Contoso", "contoso.com")
	if err := w.CreateOrganization(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	w.org = o.ID
	for _, name := range []string{"anna", "ben"} {
		r := storetest.Mailbox(o.ID, name+"@contoso.com")
		if err := w.CreateRecipient(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		w.mailbox[name] = r.ID
	}
	return w
}

func (w *sourceWorld) reopen() *Store {
	w.Helper()
	s, err := Open(w.Context(), w.path, Options{Now: func() time.Time { return w.now }, SealKey: make([]byte, 32)})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { s.Close() })
	return s
}

func (w *sourceWorld) source(mailbox, name, url string) *directory.CalendarSource {
	w.Helper()
	return w.put(&directory.CalendarSource{
		Org: w.org, ID: uuid.NewString(), Mailbox: w.mailbox[mailbox], Name: name, Kind: directory.SourceICalendar, URL: directory.SecretURL(url), Enabled: true,
		UserName: "kim", Password: directory.Secret("correct horse"), Refresh: 5 * time.Minute, MaxBytes: 1 << 20, MaxEvents: 1000,
	})
}

func (w *sourceWorld) put(v *directory.CalendarSource) *directory.CalendarSource {
	w.Helper()
	if err := w.Change(w.Context(), func(tx *Tx) error { return tx.PutCalendarSource(w.Context(), v) }); err != nil {
		w.Fatal(err)
	}
	return v
}

func (w *sourceWorld) due(limit int, but ...string) (names []string, list []*directory.CalendarSource) {
	w.Helper()
	list, err := w.DueCalendarSources(w.Context(), w.now, but, limit)
	if err != nil {
		w.Fatal(err)
	}
	for _, v := range list {
		names = append(names, v.Name)
	}
	return names, list
}

func TestCalendarSourcesAreKept(t *testing.T) {
	w := newSourceWorld(t)
	v := w.source("anna", "Team", "https://a.example/private-4f2a/x.ics?k=4f2a")
	v.State = directory.CalendarSourceState{LastAttempt: w.now, LastSuccess: w.now.Add(-time.Hour), NextAttempt: w.now.Add(time.Minute), Failures: 3, Failure: "Throttled", Text: "later",
		ETag: `"1"`, LastModified: "yesterday", Digest: "d", Events: 7, Unreadable: 1, Bytes: 99}
	if err := w.KeepCalendarSourceStates(t.Context(), []*directory.CalendarSource{v}); err != nil {
		t.Fatal(err)
	}
	plain := w.source("ben", "Without", "https://b.example/")
	plain.UserName, plain.Password = "", nil
	w.put(plain)
	for name, s := range map[string]*Store{"this store": w.Store, "another one": w.reopen()} {
		got, err := s.CalendarSource(t.Context(), w.org, v.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(v, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if got.URL.Reveal() != "https://a.example/private-4f2a/x.ics?k=4f2a" || string(got.Password) != "correct horse" {
			t.Errorf("%s: secrets %q, %q", name, got.URL.Reveal(), []byte(got.Password))
		}
		if got, err = s.CalendarSource(t.Context(), w.org, plain.ID); err != nil || got.Password != nil || got.Version != 2 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		all, err := s.AllCalendarSources(t.Context())
		if err != nil || len(all) != 2 {
			t.Errorf("%s: all are %d, %v", name, len(all), err)
		}
	}
	if _, err := w.CalendarSource(t.Context(), w.org, uuid.NewString()); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
	// What is in the file shows neither the link nor the password.
	for _, name := range []string{w.path, w.path + "-wal"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"4f2a", "correct horse"} {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s holds %q", filepath.Base(name), secret)
			}
		}
	}
	if err := w.DeleteRecipient(t.Context(), w.org, w.mailbox["anna"]); err != nil {
		t.Fatal(err)
	}
	if list, err := w.CalendarSources(t.Context(), w.org, ""); err != nil || len(list) != 1 || list[0].ID != plain.ID {
		t.Errorf("after the mailbox went: %v, %v", list, err)
	}
}

// Each is tried by one process, in the order in which they wait.
func TestCalendarSourcesDue(t *testing.T) {
	w := newSourceWorld(t)
	for i, at := range []struct{ name, url string }{{"1", "https://a.example/1"}, {"2", "https://A.example/2"}, {"3", "https://b.example/3"}} {
		w.source("anna", at.name, at.url)
		w.now = w.now.Add(time.Duration(i+1) * time.Second)
	}
	want := func(what string, want []string, got []string) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	names, list := w.due(9)
	want("all", []string{"1", "2", "3"}, names)
	names, _ = w.due(2)
	want("two", []string{"1", "2"}, names)
	names, _ = w.due(9, "a.example", "c.example")
	want("but those of a host", []string{"3"}, names)

	other := w.reopen()
	ours, err := w.ClaimCalendarSources(t.Context(), list[:2], w.now.Add(time.Hour))
	if err != nil || len(ours) != 2 {
		t.Fatalf("claimed %d, %v", len(ours), err)
	}
	if theirs, err := other.ClaimCalendarSources(t.Context(), list, w.now.Add(time.Hour)); err != nil || len(theirs) != 1 || theirs[0].Name != "3" {
		t.Errorf("another process claims %v, %v", theirs, err)
	}
	names, _ = w.due(9)
	want("claimed", nil, names)

	// One that is changed while it is asked is due at once, and what was found with the
	// old settings does not count.
	changed := *ours[0]
	changed.Refresh = time.Hour
	w.put(&changed)
	ours[0].State.ETag, ours[0].State.NextAttempt = "old", w.now.Add(time.Hour)
	ours[1].State.ETag, ours[1].State.NextAttempt = "new", w.now.Add(2*time.Hour)
	if err := w.KeepCalendarSourceStates(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	names, list = w.due(9)
	want("changed", []string{"1"}, names)
	if list[0].State.ETag != "" || list[0].Refresh != time.Hour {
		t.Errorf("changed: %+v", list[0])
	}

	// One that needs no attempt is never due, and one that was removed is forgotten.
	list[0].State.NextAttempt = time.Time{}
	if err := w.KeepCalendarSourceStates(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.AddDate(1000, 0, 0)
	names, list = w.due(9)
	want("in a thousand years", []string{"3", "2"}, names)
	gone := list[0]
	gone.Removed = true
	w.put(gone)
	w.source("anna", "3", "https://b.example/again")
	if err := w.KeepCalendarSourceStates(t.Context(), []*directory.CalendarSource{gone}); err != nil {
		t.Fatal(err)
	}
	if list, err := w.CalendarSources(t.Context(), w.org, w.mailbox["anna"]); err != nil || len(list) != 3 {
		t.Errorf("%d are left, %v", len(list), err)
	}
}

func TestCalendarSourceNames(t *testing.T) {
	w := newSourceWorld(t)
	v := w.source("anna", "Team", "https://a.example/")
	w.source("ben", "Team", "https://a.example/")
	again := *v
	again.ID, again.Name = uuid.NewString(), "tEAM"
	err := w.Change(t.Context(), func(tx *Tx) error { return tx.PutCalendarSource(t.Context(), &again) })
	if f, ok := errors.AsType[*directory.FieldError](err); !ok || f.Field != "Name" || !errors.Is(err, directory.ErrExists) {
		t.Errorf("a name that is taken: %v", err)
	}
	again.Name, again.Refresh = "b", 0
	if err := w.Change(t.Context(), func(tx *Tx) error { return tx.PutCalendarSource(t.Context(), &again) }); err == nil {
		t.Error("one that breaks the rules is kept")
	}
	// A row that was moved to another one does not open.
	db, err := Database(t.Context(), w.path, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Write.ExecContext(t.Context(), `UPDATE calendar_sources SET sealed = (SELECT sealed FROM calendar_sources WHERE source_id = $1)`, v.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CalendarSources(t.Context(), w.org, w.mailbox["ben"]); err == nil {
		t.Error("the secrets of another source open")
	}
}
