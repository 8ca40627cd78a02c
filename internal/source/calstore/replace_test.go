package calstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/source/calstore"
	"busybridge/internal/source/sourcetest"
)

func (w *world) replace(r *directory.Recipient, components ...string) directory.ImportSummary {
	w.Helper()
	s, err := w.ReplaceFolder(w.Context(), r, "copy", []byte(sourcetest.Calendar(components...)), 100)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// A copy is what the file has, no more, no less, whatever was newer.
func TestReplaceFolder(t *testing.T) {
	a := func(subject string, lines ...string) string { return event("a", subject, "20260310", lines...) }
	b := func(subject string, lines ...string) string { return event("b", subject, "20260310", lines...) }
	for _, tt := range []struct {
		name string
		do   func(w *world, r *directory.Recipient) directory.ImportSummary
		sum  directory.ImportSummary
		want []string // subjects
	}{
		{"what is new", func(w *world, r *directory.Recipient) directory.ImportSummary { return w.replace(r, a("a"), b("b")) },
			directory.ImportSummary{Events: 2, Added: 2}, []string{"a", "b"}},
		{"what is gone goes away", func(w *world, r *directory.Recipient) directory.ImportSummary {
			w.replace(r, a("a"), b("b", "RRULE:FREQ=DAILY"))
			return w.replace(r, a("a"))
		}, directory.ImportSummary{Events: 1, Unchanged: 1}, []string{"a"}},
		{"all is gone", func(w *world, r *directory.Recipient) directory.ImportSummary {
			w.replace(r, a("a"), b("b"))
			return w.replace(r)
		}, directory.ImportSummary{}, nil},
		{"an older version is the one that is there now", func(w *world, r *directory.Recipient) directory.ImportSummary {
			w.replace(r, a("new", "SEQUENCE:5"))
			return w.replace(r, a("old", "SEQUENCE:1"))
		}, directory.ImportSummary{Events: 1, Replaced: 1}, []string{"old"}},
		{"another stamp is no change", func(w *world, r *directory.Recipient) directory.ImportSummary {
			w.replace(r, a("a", "DTSTAMP:20260301T000000Z"))
			return w.replace(r, a("a", "DTSTAMP:20260302T000000Z"))
		}, directory.ImportSummary{Events: 1, Unchanged: 1}, []string{"a"}},
		{"an event that is in the main calendar too counts once", func(w *world, r *directory.Recipient) directory.ImportSummary {
			w.importInto(r, "", a("main"))
			return w.replace(r, a("copy"), b("b"))
		}, directory.ImportSummary{Events: 2, Added: 2}, []string{"b", "main"}},
		{"when the copy lets it go, that of the main calendar counts", func(w *world, r *directory.Recipient) directory.ImportSummary {
			w.importInto(r, "", a("main", "SEQUENCE:1"))
			w.replace(r, a("copy", "SEQUENCE:2"), b("b"))
			return w.replace(r, b("b"))
		}, directory.ImportSummary{Events: 1, Unchanged: 1}, []string{"b", "main"}},
		{"what cannot be read is told, and hides nothing", func(w *world, r *directory.Recipient) directory.ImportSummary {
			return w.replace(r, a("a"), sourcetest.Event("x", "DTSTART:never"))
		}, directory.ImportSummary{Events: 2, Added: 1, Skipped: []directory.ImportProblem{{UID: "x"}}}, []string{"a"}},
		{"availability comes and goes", func(w *world, r *directory.Recipient) directory.ImportSummary {
			w.replace(r, a("a"), "BEGIN:VAVAILABILITY\r\nUID:v\r\nDTSTAMP:20260301T000000Z\r\nBUSYTYPE:BUSY-UNAVAILABLE\r\nEND:VAVAILABILITY\r\n")
			iv, err := w.Busy(w.Context(), r.Org, r, span(w, "2026-03-10", "2026-03-11"), false)
			if err != nil || len(iv) < 2 {
				w.Errorf("with availability: %v, %v", iv, err)
			}
			return w.replace(r, a("a"))
		}, directory.ImportSummary{Events: 1, Unchanged: 1}, []string{"a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.mailbox("anna@contoso.com", "UTC")
			w.setFolder(r, "copy", false)
			got := tt.do(w, r)
			tt.sum.File, tt.sum.Calendar = "copy.ics", "copy"
			for i := range got.Skipped {
				got.Skipped[i] = directory.ImportProblem{UID: got.Skipped[i].UID}
			}
			if d := cmp.Diff(tt.sum, got); d != "" {
				t.Errorf("summary (-want +got):\n%s", d)
			}
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
			list, err := w.Folders(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			st, err := w.db.CalendarState(t.Context(), r.Org, r.ID)
			if err != nil || w.sum(r) != st.Objects {
				t.Errorf("folders %+v have %d objects, the calendar %d, %v", list, w.sum(r), st.Objects, err)
			}
		})
	}
}

// What is the same costs no change of the calendar.
func TestReplaceFolderWritesOnlyChanges(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.setFolder(r, "copy", false)
	w.replace(r, event("a", "a", "20260310", "DTSTAMP:20260301T000000Z"))
	version := func() int64 {
		st, err := w.db.CalendarState(t.Context(), r.Org, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		return st.Version
	}
	before := version()
	w.replace(r, event("a", "a", "20260310", "DTSTAMP:20260302T000000Z"))
	if after := version(); after != before {
		t.Errorf("version %d became %d", before, after)
	}
}

func TestReplaceFolderRefuses(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	text := sourcetest.Calendar(event("a", "a", "20260310"), event("b", "b", "20260310"))
	if _, err := w.ReplaceFolder(t.Context(), r, "copy", []byte(text), 9); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a folder that is not there: %v", err)
	}
	w.setFolder(r, "copy", false)
	w.replace(r, event("a", "a", "20260310"))
	for name, tt := range map[string]struct {
		text string
		max  int
		want error
	}{
		"too many events": {text, 1, calstore.ErrTooManyEvents},
		"no calendar":     {"BEGIN:VCARD\r\nEND:VCARD\r\n", 9, calstore.ErrNotCalendar},
		"too large":       {text + strings.Repeat(" ", calstore.MaxFile), 9, calstore.ErrTooLarge},
	} {
		if _, err := w.ReplaceFolder(t.Context(), r, "copy", []byte(tt.text), tt.max); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.want(w.Calendars, r, "2026-03-10", "2026-03-11", "2026-03-10T09:00 a")
}
