package calstore_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/source/calstore"
	"busybridge/internal/source/sourcetest"
)

// changed reads what is new in a folder, page by page.
func (w *world) changed(r *directory.Recipient, folder, token string, limit int) (list []string, next string) {
	w.Helper()
	for more := true; more; token = next {
		var page []calstore.Change
		var err error
		if page, next, more, err = w.Changes(w.Context(), r, folder, token, limit); err != nil {
			w.Fatal(err)
		}
		for _, ch := range page {
			what := "gone"
			if ch.ETag != "" {
				o, err := w.Object(w.Context(), r, folder, ch.Name)
				if err != nil || calstore.ETag(o) != ch.ETag {
					w.Errorf("%s has the tag %s, %v", ch.Name, ch.ETag, err)
				}
				what = "there"
			}
			list = append(list, ch.Name+" "+what)
		}
	}
	slices.Sort(list)
	return list, next
}

// Who follows the changes of a folder has what the folder has, whatever is done to it.
func TestChanges(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.put(r, "", "a.ics", event("a", "a", "20260310"))
	w.load(r, "x.ics", event("b", "b", "20260310"), event("c", "c", "20260310"))
	const nameB, nameC = "uid-Yg.ics", "uid-Yw.ics"
	_, token := w.changed(r, "", "", 1)
	for _, tt := range []struct {
		name string
		do   func()
		want []string
	}{
		{"nothing", func() {}, nil},
		{"a question for other years", func() { w.subjects(w.Calendars, r, "2035-01-01", "2035-02-01") }, nil},
		{"another time zone", func() {
			r.Calendar.TimeZone = "Nepal Standard Time"
			w.subjects(w.Calendars, r, "2026-03-01", "2026-04-01")
		}, nil},
		{"the same again", func() { w.put(r, "", "a.ics", event("a", "a", "20260310")) }, nil},
		{"a change", func() { w.put(r, "", "a.ics", event("a", "other", "20260310")) }, []string{"a.ics there"}},
		{"a delete", func() { w.delete(r, "", nameB) }, []string{nameB + " gone"}},
		{"it comes back", func() { w.load(r, "x.ics", event("b", "b", "20260310")) }, []string{nameB + " there"}},
		{"another folder has it, and it wins", func() {
			w.put(r, "Team", "b.ics", event("b", "newer", "20260310", "SEQUENCE:7"))
		}, nil},
		{"that folder goes", func() { w.deleteFolder(r, "Team") }, nil},
		{"come and gone", func() {
			w.put(r, "", "d.ics", event("d", "d", "20260310"))
			w.delete(r, "", "d.ics")
		}, []string{"d.ics gone"}},
		{"the name is used again", func() {
			w.delete(r, "", "a.ics")
			w.put(r, "", "a.ics", event("e", "e", "20260310"))
		}, []string{"a.ics there"}},
		{"transparent", func() { w.setFolder(r, "", true) }, nil},
	} {
		tt.do()
		for _, limit := range []int{1, 100} {
			if got, _ := w.changed(r, "", token, limit); cmp.Diff(tt.want, got) != "" {
				t.Errorf("%s, %d at once: %v, want %v", tt.name, limit, got, tt.want)
			}
		}
		_, token = w.changed(r, "", token, 100)
	}
	if got, next := w.changed(r, "", "", 100); cmp.Diff([]string{"a.ics there", nameB + " there", nameC + " there"}, got) != "" || next != token {
		t.Errorf("all: %v up to %s, want %s", got, next, token)
	}
	folders, err := w.Folders(t.Context(), r)
	if err != nil || calstore.SyncToken(&folders[0]) != token {
		t.Errorf("the token of the folder is %s, want %s (%v)", calstore.SyncToken(&folders[0]), token, err)
	}
	for _, bad := range []string{"0", "-1", "x", "1000", "01", "1 ", "/a", "+1"} {
		if _, _, _, err := w.Changes(t.Context(), r, "", bad, 10); !errors.Is(err, directory.ErrCalendarPosition) {
			t.Errorf("token %q: %v, want ErrCalendarPosition", bad, err)
		}
	}
}

func TestEditFolder(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.put(r, "A", "a.ics", event("a", "a", "20260310"))
	refused := errors.New("refused")
	edit := func(name string, fn func(f *directory.CalendarFolder, created bool) error) error {
		return w.EditFolder(t.Context(), r, name, fn)
	}
	if err := edit("A", func(f *directory.CalendarFolder, created bool) error {
		f.Properties = map[string]string{"x": "lost"}
		return refused
	}); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	if err := edit("A", func(f *directory.CalendarFolder, created bool) error {
		if created || f.Properties != nil {
			t.Errorf("created %v, properties %v", created, f.Properties)
		}
		f.Properties, f.Transparent = map[string]string{"x": "kept"}, true
		return nil
	}); err != nil {
		t.Error(err)
	}
	w.want(w.Calendars, r, "2026-03-10", "2026-03-11") // nothing counts
	w.put(r, "A", "b.ics", event("b", "b", "20260310"))
	list, err := w.Folders(t.Context(), r)
	want := []directory.CalendarFolder{{}, {Name: "A", Transparent: true, Objects: 2, Properties: map[string]string{"x": "kept"}, Version: 3}}
	if d := cmp.Diff(want, list); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	// A put into a calendar that has to be there makes none.
	_, err = w.PutObject(t.Context(), r, "B", "a.ics", []byte(sourcetest.Calendar(event("z", "z", "20260310"))), calstore.Condition{Folder: true})
	if !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("put into no calendar: %v", err)
	}
}

func TestObjectsWithin(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	for i, lines := range [][]string{{}, {"STATUS:CANCELLED"}, {"RRULE:FREQ=DAILY"}} {
		w.put(r, "", fmt.Sprint(i, ".ics"), event(fmt.Sprint("old", i), "x", "20250310", lines...))
	}
	w.put(r, "", "new.ics", event("new", "x", "20260310"))
	w.put(r, "", "moment.ics", sourcetest.Event("moment", "DTSTART:20260310T100000Z"))
	at := func(day int) time.Time { return time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC) }
	for _, tt := range []struct {
		from, to time.Time
		want     []string
	}{
		{at(10), at(11), []string{"2.ics", "moment.ics", "new.ics"}},
		{at(20), time.Time{}, []string{"2.ics", "moment.ics"}},
		{time.Time{}, at(1), []string{"0.ics", "1.ics", "2.ics", "moment.ics"}},
		{time.Time{}, time.Time{}, []string{"0.ics", "1.ics", "2.ics", "moment.ics", "new.ics"}},
	} {
		var got []string
		for o, err := range w.ObjectsWithin(t.Context(), r, "", tt.from, tt.to) {
			if err != nil || len(o.Text) == 0 {
				t.Fatal(o, err)
			}
			got = append(got, calstore.ObjectName(o))
		}
		slices.Sort(got)
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%v to %v (-want +got):\n%s", tt.from, tt.to, d)
		}
	}
}

// A month of which only a patch had something, and that was taken away, was left in
// memory as it had been.
func TestDeletedEventIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.Limit(calstore.Limits{Patches: 1})
	r := w.mailbox("anna@contoso.com", "UTC")
	w.put(r, "", "a.ics", event("a", "a", "20260310"))
	w.want(w.Calendars, r, "2026-05-01", "2026-06-01")
	w.put(r, "", "b.ics", event("b", "b", "20260510"))
	w.want(w.Calendars, r, "2026-05-01", "2026-06-01", "2026-05-10T09:00 b")
	w.delete(r, "", "b.ics")
	w.want(w.Calendars, r, "2026-05-01", "2026-06-01")
}
