package calstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/directory"
	"busybridge/internal/source/calstore"
	"busybridge/internal/source/sourcetest"
)

// A resource "name etag" with components.
func put(name, etag string, components ...string) directory.CalendarResource {
	return directory.CalendarResource{Name: name, ETag: etag, Text: []byte(sourcetest.Calendar(components...))}
}

func (w *world) delta(r *directory.Recipient, gone string, whole bool, list ...directory.CalendarResource) directory.DeltaSummary {
	w.Helper()
	s, err := w.ApplyDelta(w.Context(), r, "copy", &directory.CalendarDelta{Put: list, Gone: strings.Fields(gone), Whole: whole}, 100)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// A copy follows what changes at the other end, object by object.
func TestApplyDelta(t *testing.T) {
	of := func(uid, subject string, lines ...string) string { return event(uid, subject, "20260310", lines...) }
	broken := directory.CalendarResource{Name: "x", ETag: "1", Text: []byte("what?")}
	for _, tt := range []struct {
		name string
		do   func(w *world, r *directory.Recipient) directory.DeltaSummary
		sum  directory.DeltaSummary
		held string   // names and ETags
		want []string // subjects
	}{
		{"what is new", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			return w.delta(r, "", false, put("1", "a", of("a", "a")), put("2", "b", of("b", "b")))
		}, directory.DeltaSummary{Events: 2}, "1=a 2=b", []string{"a", "b"}},
		{"changed, gone and new in one", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.delta(r, "", false, put("1", "a", of("a", "a")), put("2", "b", of("b", "b")), put("3", "c", of("c", "c")))
			return w.delta(r, "2 never", false, put("1", "a2", of("a", "new")), put("4", "d", of("d", "d")))
		}, directory.DeltaSummary{Events: 3}, "1=a2 3=c 4=d", []string{"c", "d", "new"}},
		{"an older version is the one that is there now", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.delta(r, "", false, put("1", "a", of("a", "new", "SEQUENCE:5")))
			return w.delta(r, "", false, put("1", "b", of("a", "old", "SEQUENCE:1")))
		}, directory.DeltaSummary{Events: 1}, "1=b", []string{"old"}},
		{"a resource that is renamed", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.delta(r, "", false, put("1", "a", of("a", "a")))
			return w.delta(r, "1", false, put("2", "a", of("a", "a")))
		}, directory.DeltaSummary{Events: 1}, "2=a", []string{"a"}},
		{"a resource that is another event now", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.delta(r, "", false, put("1", "a", of("a", "a")))
			return w.delta(r, "", false, put("1", "b", of("b", "b")))
		}, directory.DeltaSummary{Events: 1}, "1=b", []string{"b"}},
		{"two resources change places", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.delta(r, "", false, put("1", "a", of("a", "a")), put("2", "b", of("b", "b")))
			return w.delta(r, "", false, put("1", "c", of("b", "b2")), put("2", "d", of("a", "a2")))
		}, directory.DeltaSummary{Events: 2}, "1=c 2=d", []string{"a2", "b2"}},
		{"what cannot be read hides nothing", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			return w.delta(r, "", false, put("1", "a", of("a", "a")), broken, put("2", "b", sourcetest.Event("b", "DTSTART:never")), put("3", "c", of("c", "c"), of("d", "d")),
				put("4", "d", of("e", "e", "RRULE:FREQ=WEEKLY"), sourcetest.Event("e", "RECURRENCE-ID:20260317T090000Z", "DTSTART:never")))
		}, directory.DeltaSummary{Events: 2, Unreadable: 4, Left: []string{"2", "3", "x"}}, "1=a 4=d", []string{"a", "e"}},
		{"what cannot be read any more leaves what was there", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.delta(r, "", false, put("x", "a", of("a", "a")))
			return w.delta(r, "", false, broken)
		}, directory.DeltaSummary{Events: 1, Unreadable: 1, Left: []string{"x"}}, "x=a", []string{"a"}},
		{"and what can be read again counts", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.delta(r, "", false, broken, put("1", "a", of("a", "a", "RRULE:FREQ=WEEKLY"), sourcetest.Event("a", "RECURRENCE-ID:20260317T090000Z", "DTSTART:never")))
			return w.delta(r, "", false, put("x", "2", of("x", "x")), put("1", "b", of("a", "a")))
		}, directory.DeltaSummary{Events: 2}, "1=b x=2", []string{"a", "x"}},
		{"tasks are nothing that is missed", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.delta(r, "", false, put("1", "a", of("a", "a")), put("2", "b", "BEGIN:VTODO\nUID:t\nEND:VTODO\n"))
			return w.delta(r, "", false, put("1", "c", "BEGIN:VTODO\nUID:t\nEND:VTODO\n"))
		}, directory.DeltaSummary{}, "", nil},
		{"of two resources with one UID the newest counts", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.delta(r, "", false, put("1", "a", of("a", "first", "SEQUENCE:1")), put("2", "b", of("a", "second", "SEQUENCE:2")))
			return w.delta(r, "", false, put("3", "c", of("a", "third", "SEQUENCE:1")))
		}, directory.DeltaSummary{Events: 1, Unreadable: 1, Left: []string{"3"}}, "2=b", []string{"second"}},
		{"the one that lost is told, and read again once the other is gone", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.delta(r, "", false, put("1", "a", of("a", "first")))
			if s := w.delta(r, "", false, put("2", "b", of("a", "second", "SEQUENCE:2"))); cmp.Diff([]string{"1"}, s.Left) != "" {
				w.Errorf("left %q", s.Left)
			}
			return w.delta(r, "2", false, put("1", "a", of("a", "first")))
		}, directory.DeltaSummary{Events: 1}, "1=a", []string{"first"}},
		{"an event that is in the main calendar too counts once", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.importInto(r, "", of("a", "main", "SEQUENCE:1"))
			w.delta(r, "", false, put("1", "a", of("a", "copy", "SEQUENCE:2")), put("2", "b", of("b", "b")))
			return w.delta(r, "1", false)
		}, directory.DeltaSummary{Events: 1}, "2=b", []string{"b", "main"}},
		{"a whole delta takes away what came otherwise", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.replace(r, of("a", "a"), of("b", "b"))
			return w.delta(r, "", true, put("1", "a", of("a", "a")))
		}, directory.DeltaSummary{Events: 1}, "1=a", []string{"a"}},
		{"and a file what came by a delta", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			w.delta(r, "", false, put("1", "a", of("a", "a")), put("2", "b", of("b", "b")))
			w.replace(r, of("c", "c"))
			return w.delta(r, "", false)
		}, directory.DeltaSummary{Events: 1}, "", []string{"c"}},
		{"availability comes and goes", func(w *world, r *directory.Recipient) directory.DeltaSummary {
			const closed = "BEGIN:VAVAILABILITY\r\nUID:v\r\nDTSTAMP:20260301T000000Z\r\nBUSYTYPE:BUSY-UNAVAILABLE\r\nEND:VAVAILABILITY\r\n"
			w.delta(r, "", false, put("1", "a", of("a", "a")), put("2", "v", closed))
			if iv, err := w.Busy(w.Context(), r.Org, r, span(w, "2026-03-10", "2026-03-11"), false); err != nil || len(iv) < 2 {
				w.Errorf("with availability: %v, %v", iv, err)
			}
			return w.delta(r, "2", false)
		}, directory.DeltaSummary{Events: 1}, "1=a", []string{"a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.mailbox("anna@contoso.com", "UTC")
			w.setFolder(r, "copy", false)
			if d := cmp.Diff(tt.sum, tt.do(w, r), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("summary (-want +got):\n%s", d)
			}
			etags, err := w.Resources(t.Context(), r, "copy")
			if err != nil {
				t.Fatal(err)
			}
			held := strings.TrimSuffix(strings.TrimPrefix(strings.ReplaceAll(fmt.Sprint(etags), ":", "="), "map["), "]")
			if d := cmp.Diff(tt.held, held); d != "" {
				t.Errorf("held (-want +got):\n%s", d)
			}
			var got []string
			for _, s := range w.subjects(w.Calendars, r, "2026-03-10", "2026-03-11") {
				got = append(got, s[len("2006-01-02T15:04 "):])
			}
			if d := cmp.Diff(tt.want, got, cmpopts.SortSlices(strings.Compare)); d != "" {
				t.Errorf("subjects (-want +got):\n%s", d)
			}
		})
	}
}

func TestApplyDeltaRefuses(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	apply := func(folder string, d *directory.CalendarDelta, most int) error {
		_, err := w.ApplyDelta(t.Context(), r, folder, d, most)
		return err
	}
	d := &directory.CalendarDelta{Put: []directory.CalendarResource{put("1", "a", event("a", "a", "20260310")), put("2", "b", event("b", "b", "20260310"))}}
	if err := apply("copy", d, 9); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("no calendar: %v", err)
	}
	w.setFolder(r, "copy", false)
	if err := apply("copy", d, 1); !errors.Is(err, calstore.ErrTooManyEvents) {
		t.Errorf("too many: %v", err)
	}
	if err := apply("a/b", d, 9); !errors.Is(err, calstore.ErrFolderName) {
		t.Errorf("a name that is none: %v", err)
	}
	if got := w.subjects(w.Calendars, r, "2026-03-10", "2026-03-11"); len(got) != 0 {
		t.Errorf("kept all the same: %q", got)
	}
	// What is as it was is no change.
	if err := apply("copy", d, 9); err != nil {
		t.Fatal(err)
	}
	before := w.version(r)
	if err := apply("copy", d, 9); err != nil || w.version(r) != before {
		t.Errorf("again: version %d, was %d, %v", w.version(r), before, err)
	}
}

func (w *world) version(r *directory.Recipient) int64 {
	w.Helper()
	st, err := w.Store.CalendarState(w.Context(), r.Org, r.ID)
	if err != nil {
		w.Fatal(err)
	}
	return st.Version
}
