package calstore_test

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/source/calstore"
	"busybridge/internal/source/sourcetest"
)

func (w *world) setFolder(r *directory.Recipient, name string, transparent bool) {
	w.Helper()
	if _, err := w.SetFolder(w.Context(), r, name, transparent); err != nil {
		w.Fatal(err)
	}
}

func (w *world) deleteFolder(r *directory.Recipient, name string) {
	w.Helper()
	if err := w.DeleteFolder(w.Context(), r, name); err != nil {
		w.Fatal(err)
	}
}

func (w *world) importInto(r *directory.Recipient, folder string, components ...string) directory.ImportSummary {
	w.Helper()
	s, err := w.ImportInto(w.Context(), r, folder, "a.ics", strings.NewReader(sourcetest.Calendar(components...)), nil)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// An event counts once, in its newest version that is in a calendar that counts.
func TestFolders(t *testing.T) {
	const v1, v2, v3 = "SEQUENCE:1", "SEQUENCE:2", "SEQUENCE:3"
	a := func(subject string, lines ...string) string { return event("a", subject, "20260310", lines...) }
	for _, tt := range []struct {
		name string
		do   func(w *world, r *directory.Recipient)
		want []string // subjects
	}{
		{"two calendars make one picture", func(w *world, r *directory.Recipient) {
			w.importInto(r, "", a("main"))
			w.importInto(r, "Team", event("b", "team", "20260310"))
		}, []string{"main", "team"}},
		{"a transparent one does not count", func(w *world, r *directory.Recipient) {
			w.setFolder(r, "Birthdays", true)
			w.importInto(r, "Birthdays", a("birthday"))
		}, nil},
		{"one that becomes transparent", func(w *world, r *directory.Recipient) {
			w.importInto(r, "Birthdays", a("birthday"), event("b", "b", "20260301", "RRULE:FREQ=DAILY"))
			w.setFolder(r, "Birthdays", true)
		}, nil},
		{"and again counts", func(w *world, r *directory.Recipient) {
			w.setFolder(r, "Birthdays", true)
			w.importInto(r, "Birthdays", a("birthday"))
			w.setFolder(r, "Birthdays", false)
		}, []string{"birthday"}},
		{"the main one may be transparent", func(w *world, r *directory.Recipient) {
			w.importInto(r, "", a("main"))
			w.setFolder(r, "calendar", true)
			w.importInto(r, "Team", event("b", "team", "20260310"))
		}, []string{"team"}},
		{"the same UID in two: the newer wins, whatever the order", func(w *world, r *directory.Recipient) {
			w.importInto(r, "", a("old", v1))
			w.importInto(r, "Team", a("new", v2))
		}, []string{"new"}},
		{"the older that comes later changes nothing", func(w *world, r *directory.Recipient) {
			w.importInto(r, "Team", a("new", v2))
			w.importInto(r, "", a("old", v1))
		}, []string{"new"}},
		{"of the same age the main one wins", func(w *world, r *directory.Recipient) {
			w.importInto(r, "A", a("first"))
			w.importInto(r, "", a("main"))
			w.importInto(r, "B", a("last"))
		}, []string{"main"}},
		{"then the first by name", func(w *world, r *directory.Recipient) {
			w.importInto(r, "B", a("B"))
			w.importInto(r, "A", a("A"))
			w.importInto(r, "C", a("C"))
		}, []string{"A"}},
		{"one in a transparent calendar does not win", func(w *world, r *directory.Recipient) {
			w.setFolder(r, "T", true)
			w.importInto(r, "T", a("transparent", v3))
			w.importInto(r, "", a("main", v1))
		}, []string{"main"}},
		{"when the winner goes the next comes", func(w *world, r *directory.Recipient) {
			w.importInto(r, "", a("old", v1))
			w.put(r, "Team", "x.ics", a("new", v2))
			w.importInto(r, "B", a("middle", v1, "DTSTAMP:20260601T000000Z"))
			w.delete(r, "Team", "x.ics")
		}, []string{"old"}},
		{"when the winner's calendar goes", func(w *world, r *directory.Recipient) {
			w.importInto(r, "", a("old", v1))
			w.importInto(r, "Team", a("new", v2), event("b", "b", "20260310"))
			w.deleteFolder(r, "Team")
		}, []string{"old"}},
		{"when the winner's calendar becomes transparent", func(w *world, r *directory.Recipient) {
			w.importInto(r, "", a("old", v1))
			w.importInto(r, "Team", a("new", v2))
			w.setFolder(r, "Team", true)
		}, []string{"old"}},
		{"a loser that goes changes nothing", func(w *world, r *directory.Recipient) {
			w.importInto(r, "Team", a("new", v2))
			w.put(r, "", "x.ics", a("old", v1))
			w.delete(r, "", "x.ics")
		}, []string{"new"}},
		{"a loser becomes the winner", func(w *world, r *directory.Recipient) {
			w.importInto(r, "Team", a("new", v2))
			w.importInto(r, "", a("old", v1))
			w.importInto(r, "", a("newest", v3))
		}, []string{"newest"}},
		{"a winner becomes the loser by an older put", func(w *world, r *directory.Recipient) {
			w.put(r, "Team", "x.ics", a("new", v3))
			w.importInto(r, "", a("old", v2))
			w.put(r, "Team", "x.ics", a("back", v1))
		}, []string{"old"}},
		{"a cancelled newer one wins too: the event does not take place", func(w *world, r *directory.Recipient) {
			w.importInto(r, "", a("old", v1))
			w.importInto(r, "Team", a("cancelled", v2, "STATUS:CANCELLED"))
		}, nil},
		{"a new one that cannot be read leaves what was", func(w *world, r *directory.Recipient) {
			w.importInto(r, "", a("old", v1))
			if s := w.importInto(r, "Team", sourcetest.Event("a", v2, "DTSTART:never")); len(s.Skipped) != 1 {
				w.Errorf("summary %+v", s)
			}
		}, []string{"old"}},
		{"shadows move with the zone when they come to count", func(w *world, r *directory.Recipient) {
			w.importInto(r, "", a("old", v2))
			w.importInto(r, "Team", sourcetest.Event("a", v1, "SUMMARY:floating", "DTSTART:20260310T090000", "DTEND:20260310T100000"))
			r.Calendar.TimeZone = "China Standard Time"
			w.setFolder(r, "Calendar", true)
		}, []string{"floating"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.mailbox("anna@contoso.com", "UTC")
			tt.do(w, r)
			for _, step := range []string{"at once", "from the store"} {
				var got []string
				for _, s := range w.subjects(w.Calendars, r, "2026-03-10", "2026-03-11") {
					got = append(got, s[len("2006-01-02T15:04 "):])
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Errorf("%s (-want +got):\n%s", step, d)
				}
				w.Forget()
			}
		})
	}
}

func TestFolderList(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	want := func(want ...directory.CalendarFolder) {
		t.Helper()
		got, err := w.Folders(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("folders (-want +got):\n%s", d)
		}
	}
	want(directory.CalendarFolder{})
	w.importInto(r, "", event("a", "a", "20260310"), event("b", "b", "20260310"))
	w.importInto(r, " Team ", event("a", "a", "20260310"))
	w.setFolder(r, "Birthdays", true)
	w.importInto(r, "Team", event("a", "a", "20260310"), event("c", "c", "20260310"))
	want(directory.CalendarFolder{Objects: 2, Version: 1}, directory.CalendarFolder{Name: "Birthdays", Transparent: true, Version: 3},
		directory.CalendarFolder{Name: "Team", Objects: 2, Version: 4})
	w.deleteFolder(r, "Team")
	want(directory.CalendarFolder{Objects: 2, Version: 1}, directory.CalendarFolder{Name: "Birthdays", Transparent: true, Version: 3})
	h, err := w.Health(t.Context(), r)
	if err != nil || h.Objects != 2 || h.Occurrences != 2 {
		t.Errorf("health %+v, %v; want 2 objects", h, err)
	}

	for name, want := range map[string]error{"Team": directory.ErrNotFound, "": calstore.ErrMainFolder, "CALENDAR": calstore.ErrMainFolder, "a/b": calstore.ErrFolderName} {
		if err := w.DeleteFolder(t.Context(), r, name); !errors.Is(err, want) {
			t.Errorf("delete %q: %v, want %v", name, err, want)
		}
	}
	for _, name := range []string{"a\nb", "\xff", strings.Repeat("x", 256)} {
		if _, err := w.SetFolder(t.Context(), r, name, false); !errors.Is(err, calstore.ErrFolderName) {
			t.Errorf("set %q: %v", name, err)
		}
	}
	for i := range calstore.MaxFolders - 2 {
		w.setFolder(r, fmt.Sprint("many", i), false)
	}
	if _, err := w.SetFolder(t.Context(), r, "one more", false); !errors.Is(err, calstore.ErrFolders) {
		t.Errorf("one more than the limit: %v", err)
	}
}

func TestObjects(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	ctx := t.Context()
	text := func(components ...string) []byte { return []byte(sourcetest.Calendar(components...)) }
	put := func(folder, name string, text []byte, c calstore.Condition) (calstore.PutResult, error) {
		return w.PutObject(ctx, r, folder, name, text, c)
	}
	one := text(event("a", "one", "20260310", "X-KEPT:as it is"))
	first, err := put("Team", "a b.ics", one, calstore.Condition{Absent: true})
	if err != nil || !first.Created || first.ETag == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	w.want(w.Calendars, r, "2026-03-01", "2026-04-01", "2026-03-10T09:00 one")
	o, err := w.Object(ctx, r, "Team", "a b.ics")
	if err != nil || string(o.Text) != string(one) || calstore.ETag(o) != first.ETag || o.Version != 1 {
		t.Errorf("object %+v, %v; want what was put", o, err)
	}
	again, err := put("Team", "a b.ics", one, calstore.Condition{ETag: first.ETag})
	if st, _ := w.Health(ctx, r); err != nil || again.ETag != first.ETag || again.Created || st.Objects != 1 {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	older := text(event("a", "older", "20260311"))
	second, err := put("Team", "a b.ics", older, calstore.Condition{ETag: first.ETag})
	if err != nil || second.Created || second.ETag == first.ETag {
		t.Errorf("a change: %+v, %v", second, err)
	}
	w.want(w.Calendars, r, "2026-03-01", "2026-04-01", "2026-03-11T09:00 older")

	// A name for what was imported.
	w.importInto(r, "Team", event("imported/é", "imported", "20260312"), event("a", "by import", "20260313", "SEQUENCE:9"))
	w.want(w.Calendars, r, "2026-03-01", "2026-04-01", "2026-03-12T09:00 imported", "2026-03-13T09:00 by import")
	names := map[string]string{}
	for o, err := range w.Objects(ctx, r, "Team") {
		if err != nil {
			t.Fatal(err)
		}
		names[o.UID] = calstore.ObjectName(o)
		if o.Text != nil || calstore.ETag(o) == "" {
			t.Errorf("listed %+v", o)
		}
	}
	made := names["imported/é"]
	if names["a"] != "a b.ics" || !strings.HasPrefix(made, "uid-") || len(names) != 2 {
		t.Errorf("names %v", names)
	}
	if o, err := w.Object(ctx, r, "Team", made); err != nil || o.UID != "imported/é" {
		t.Errorf("by its made name: %+v, %v", o, err)
	}

	for _, tt := range []struct {
		name         string
		folder, file string
		text         []byte
		c            calstore.Condition
		want         error
	}{
		{"absent, but it is there", "Team", "a b.ics", one, calstore.Condition{Absent: true}, calstore.ErrPrecondition},
		{"another ETag", "Team", "a b.ics", one, calstore.Condition{ETag: first.ETag}, calstore.ErrPrecondition},
		{"exists, but it is not there", "Team", "z.ics", one, calstore.Condition{Exists: true}, calstore.ErrPrecondition},
		{"an ETag of nothing", "Team", "z.ics", one, calstore.Condition{ETag: "x"}, calstore.ErrPrecondition},
		{"the UID under another name", "Team", "z.ics", one, calstore.Condition{}, calstore.ErrUIDConflict},
		{"another UID under the name", "Team", "a b.ics", text(event("b", "b", "20260310")), calstore.Condition{}, calstore.ErrUIDConflict},
		{"the made name of another UID", "Team", made, text(event("b", "b", "20260310")), calstore.Condition{}, calstore.ErrUIDConflict},
		{"no event", "Team", "z.ics", text(), calstore.Condition{}, calstore.ErrObject},
		{"two events", "Team", "z.ics", text(event("x", "x", "20260310"), event("y", "y", "20260310")), calstore.Condition{}, calstore.ErrObject},
		{"no calendar", "Team", "z.ics", []byte("hello"), calstore.Condition{}, calstore.ErrObject},
		{"an event that cannot be read", "Team", "z.ics", text(sourcetest.Event("x", "DTSTART:never")), calstore.Condition{}, calstore.ErrObject},
		{"a UID past all measure", "Team", "z.ics", text(event(strings.Repeat("u", calstore.MaxUID+1), "x", "20260310")), calstore.Condition{}, calstore.ErrObject},
		{"a folder that is none", "a/b", "z.ics", one, calstore.Condition{}, calstore.ErrFolderName},
		{"a name that is none", "Team", "a/b", one, calstore.Condition{}, calstore.ErrObjectName},
		{"a huge one", "Team", "z.ics", text(event("x", strings.Repeat("x", calstore.MaxObject), "20260310")), calstore.Condition{}, calstore.ErrTooLarge},
	} {
		if _, err := put(tt.folder, tt.file, tt.text, tt.c); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if err := w.DeleteObject(ctx, r, "Team", "a b.ics", calstore.Condition{ETag: first.ETag}); !errors.Is(err, calstore.ErrPrecondition) {
		t.Errorf("delete with an old ETag: %v", err)
	}
	if err := w.DeleteObject(ctx, r, "", "a b.ics", calstore.Condition{}); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("delete in another folder: %v", err)
	}
	w.want(w.Calendars, r, "2026-03-01", "2026-04-01", "2026-03-12T09:00 imported", "2026-03-13T09:00 by import")
	w.delete(r, "Team", "a b.ics")
	w.delete(r, "Team", made)
	w.want(w.Calendars, r, "2026-03-01", "2026-04-01")

	// Part of it can be read: it is kept, told and counted until it is mended.
	half, err := put("", "half.ics", text(event("half", "half", "20260310", "RRULE:FREQ=NEVER")), calstore.Condition{})
	if h, err2 := w.Health(ctx, r); err != nil || err2 != nil || len(half.Problems) != 1 || h.Unreadable != 1 {
		t.Errorf("put %+v, %v; health %+v, %v; want one unreadable", half, err, h, err2)
	}
	w.put(r, "", "half.ics", event("half", "half", "20260310"))
	if h, err := w.Health(ctx, r); err != nil || h.Unreadable != 0 || h.Objects != 1 || h.Occurrences != 1 {
		t.Errorf("health %+v, %v; want all readable", h, err)
	}
}

// Whatever is written in whatever order, the answers are those of a mailbox that
// has only what counts, and got it at once.
func TestWritesInAnyOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
			t.Parallel()
			s := seed + uint64(round)
			t.Logf("seed %d", s)
			anyOrder(t, rand.New(rand.NewPCG(s, 0)))
		})
	}
}

// thing is an object of the model.
type thing struct {
	uid, text    string
	sequence     int
	availability bool
}

func anyOrder(t *testing.T, rnd *rand.Rand) {
	w := newWorld(t)
	w.Limit(calstore.Limits{Patches: 1 + rnd.IntN(6)})
	other, _ := w.open(calstore.Config{})
	r := w.mailbox("anna@contoso.com", "W. Europe Standard Time")
	folders := []string{"", "A", "B"}
	model := map[string]map[string]thing{"": {}}
	transparent := map[string]bool{}
	invent := func() thing {
		if rnd.IntN(8) == 0 {
			uid := fmt.Sprint("hours", rnd.IntN(2))
			return thing{uid: uid, availability: true, text: fmt.Sprintf("BEGIN:VAVAILABILITY\nUID:%s\nDTSTAMP:20260101T000000Z\nPRIORITY:%d\nDTSTART:2026%02d01T000000Z\nBEGIN:AVAILABLE\nUID:x\nDTSTART:20260101T0%d0000\nDURATION:PT8H\nRRULE:FREQ=DAILY\nEND:AVAILABLE\nEND:VAVAILABILITY\n",
				uid, rnd.IntN(10), 1+rnd.IntN(12), rnd.IntN(10))}
		}
		o := thing{uid: fmt.Sprint("uid", rnd.IntN(8)), sequence: rnd.IntN(3)}
		day := time.Date(2026, 1, 1+rnd.IntN(300), 0, 0, 0, 0, time.UTC).Format("20060102")
		subject := fmt.Sprint("s", rnd.IntN(1000))
		lines := []string{fmt.Sprint("SEQUENCE:", o.sequence)}
		switch rnd.IntN(6) {
		case 0:
			lines = append(lines, "RRULE:FREQ=WEEKLY")
		case 1:
			lines = append(lines, "RRULE:FREQ=DAILY;COUNT=40", "EXDATE:"+day+"T090000Z")
		case 2:
			lines = append(lines, "STATUS:CANCELLED")
		case 3:
			o.text = sourcetest.Event(o.uid, append(lines, "SUMMARY:"+subject, "DTSTART:"+day+"T230000", "DURATION:P"+fmt.Sprint(1+rnd.IntN(500))+"D")...)
			return o
		}
		o.text = event(o.uid, subject, day, lines...)
		return o
	}
	for step := range 40 {
		folder := folders[rnd.IntN(len(folders))]
		uids := slices.Sorted(func(yield func(string) bool) {
			for uid := range model[folder] {
				if !yield(uid) {
					return
				}
			}
		})
		var did string
		switch n := rnd.IntN(20); {
		case n < 11:
			o := invent()
			did = fmt.Sprintf("put %s into %q", o.uid, folder)
			w.put(r, folder, o.uid+".ics", o.text)
			if model[folder] == nil {
				model[folder] = map[string]thing{}
			}
			model[folder][o.uid] = o
		case n < 16 && len(uids) > 0:
			uid := uids[rnd.IntN(len(uids))]
			did = fmt.Sprintf("delete %s of %q", uid, folder)
			w.delete(r, folder, uid+".ics")
			delete(model[folder], uid)
		case n < 18:
			transparent[folder] = !transparent[folder]
			did = fmt.Sprintf("transparent %q %v", folder, transparent[folder])
			w.setFolder(r, folder, transparent[folder])
			if model[folder] == nil {
				model[folder] = map[string]thing{}
			}
		case n == 18 && folder != "" && model[folder] != nil:
			did = fmt.Sprintf("delete folder %q", folder)
			w.deleteFolder(r, folder)
			delete(model, folder)
			delete(transparent, folder)
		default:
			did = "zone"
			r.Calendar.TimeZone = []string{"W. Europe Standard Time", "Nepal Standard Time"}[rnd.IntN(2)]
		}
		// A year that was never asked for is expanded by the question.
		from := time.Date(2026+rnd.IntN(6), time.Month(1+rnd.IntN(12)), 1, 0, 0, 0, 0, time.UTC)
		window := freebusy.Window{Start: from, End: from.AddDate(0, 2, 0)}
		count := 0
		wants := map[string]thing{}
		for _, f := range folders {
			count += len(model[f])
			for uid, o := range model[f] {
				if have, ok := wants[uid]; !transparent[f] && (!ok || o.sequence > have.sequence) {
					wants[uid] = o
				}
			}
		}
		ref := w.mailbox(fmt.Sprintf("ref%d@contoso.com", step), r.Calendar.TimeZone)
		var all []string
		for _, o := range wants {
			all = append(all, o.text)
		}
		w.importInto(ref, "", all...)
		want := w.lines(w.Calendars, ref, window)
		for name, c := range map[string]*calstore.Calendars{"here": w.Calendars, "elsewhere": other} {
			if d := cmp.Diff(want, w.lines(c, r, window)); d != "" {
				t.Fatalf("step %d, %s, %s, %v (-want +got):\n%s", step, did, name, window, d)
			}
		}
		h, err := w.Health(t.Context(), r)
		if err != nil || h.Objects != count {
			t.Fatalf("step %d, %s: health %+v, %v; want %d objects", step, did, h, err, count)
		}
		if folder := w.sum(r); folder != count {
			t.Fatalf("step %d, %s: the folders have %d objects, want %d", step, did, folder, count)
		}
	}
}

// sum is the number of objects that the folders say they have.
func (w *world) sum(r *directory.Recipient) (n int) {
	w.Helper()
	list, err := w.Folders(w.Context(), r)
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range list {
		n += f.Objects
	}
	return n
}

// lines are the answer as text.
func (w *world) lines(c *calstore.Calendars, r *directory.Recipient, window freebusy.Window) []string {
	w.Helper()
	iv, err := c.Busy(w.Context(), r.Org, r, window, true)
	if err != nil {
		w.Fatal(err)
	}
	list := []string{}
	for _, i := range iv {
		subject := "-"
		if i.Detail != nil {
			subject = i.Detail.Subject
		}
		list = append(list, fmt.Sprintf("%s/%s %v %s", i.Start.Format("2006-01-02T15:04"), i.End.Format("2006-01-02T15:04"), i.Status, subject))
	}
	slices.Sort(list)
	return list
}

// What was imported before occurrences were counted for each object is replaced
// and deleted as well, and the calendar's number stays right.
func TestObjectsOfBefore(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.importInto(r, "", event("a", "a", "20260310"), event("s", "s", "20260301", "RRULE:FREQ=DAILY;COUNT=40"), event("k", "kept", "20260310"))
	db, err := sql.Open("sqlite", w.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "UPDATE calendar_objects SET occurrences = -1"); err != nil {
		t.Fatal(err)
	}
	count := func(step string, want int, subjects ...string) {
		t.Helper()
		w.want(w.Calendars, r, "2026-03-10", "2026-03-11", subjects...)
		if h, err := w.Health(t.Context(), r); err != nil || h.Occurrences != want {
			t.Errorf("%s: %+v, %v; want %d occurrences", step, h, err, want)
		}
	}
	w.put(r, "", "n.ics", event("n", "new", "20260310"))
	count("put", 43, "2026-03-10T09:00 a", "2026-03-10T09:00 kept", "2026-03-10T09:00 new", "2026-03-10T09:00 s")
	w.importInto(r, "", event("a", "changed", "20260310", "SEQUENCE:1"))
	count("replace", 43, "2026-03-10T09:00 changed", "2026-03-10T09:00 kept", "2026-03-10T09:00 new", "2026-03-10T09:00 s")
	for o, err := range w.Objects(t.Context(), r, "") {
		if err != nil {
			t.Fatal(err)
		}
		if o.UID == "s" || o.UID == "n" {
			w.delete(r, "", calstore.ObjectName(o))
		}
	}
	count("delete", 2, "2026-03-10T09:00 changed", "2026-03-10T09:00 kept")
}
