package calstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/source/sourcetest"
)

func vavailability(uid string, lines ...string) string {
	return "BEGIN:VAVAILABILITY\nUID:" + uid + "\nDTSTAMP:20260101T000000Z\n" + strings.Join(lines, "\n") + "\nEND:VAVAILABILITY\n"
}

const officeHours = "BEGIN:AVAILABLE\nUID:hours\nSUMMARY:secret hours\nDTSTART:20250101T080000\nDTEND:20250101T160000\nRRULE:FREQ=DAILY\nEND:AVAILABLE"

// Time that a VAVAILABILITY leaves out is shown with the status of its BUSYTYPE,
// never above an event, and without anything that names it.
func TestAvailability(t *testing.T) {
	for _, tt := range []struct {
		name     string
		zone     string
		do       func(w *world, r *directory.Recipient)
		from, to string
		want     []string
	}{
		{"outside of the hours", "UTC", func(w *world, r *directory.Recipient) { w.load(r, "a.ics", vavailability("u", officeHours)) }, "2026-03-10", "2026-03-11",
			[]string{"2026-03-09T16:00/2026-03-10T08:00 OOF -", "2026-03-10T16:00/2026-03-11T08:00 OOF -"}},
		{"BUSYTYPE", "UTC", func(w *world, r *directory.Recipient) {
			w.load(r, "a.ics", vavailability("u", "BUSYTYPE:BUSY-TENTATIVE", officeHours))
		}, "2026-03-10", "2026-03-11",
			[]string{"2026-03-09T16:00/2026-03-10T08:00 Tentative -", "2026-03-10T16:00/2026-03-11T08:00 Tentative -"}},
		{"an event goes before it, however busy", "UTC", func(w *world, r *directory.Recipient) {
			w.load(r, "a.ics", vavailability("u", officeHours),
				sourcetest.Event("t", "SUMMARY:tentative", "STATUS:TENTATIVE", "DTSTART:20260310T180000Z", "DTEND:20260310T190000Z"),
				sourcetest.Event("h", "SUMMARY:home", "X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE", "DTSTART:20260310T150000Z", "DTEND:20260310T170000Z"),
				sourcetest.Event("b", "SUMMARY:busy", "DTSTART:20260310T183000Z", "DTEND:20260310T200000Z"))
		}, "2026-03-10", "2026-03-11", []string{
			"2026-03-09T16:00/2026-03-10T08:00 OOF -",
			"2026-03-10T15:00/2026-03-10T17:00 WorkingElsewhere home",
			"2026-03-10T17:00/2026-03-10T18:00 OOF -",
			"2026-03-10T18:00/2026-03-10T19:00 Tentative tentative", "2026-03-10T18:30/2026-03-10T20:00 Busy busy",
			"2026-03-10T20:00/2026-03-11T08:00 OOF -"}},
		{"an event that takes no time does not", "UTC", func(w *world, r *directory.Recipient) {
			w.load(r, "a.ics", vavailability("u", officeHours), sourcetest.Event("f", "SUMMARY:free", "TRANSP:TRANSPARENT", "DTSTART:20260310T180000Z", "DTEND:20260310T190000Z"))
		}, "2026-03-10", "2026-03-11",
			[]string{"2026-03-09T16:00/2026-03-10T08:00 OOF -", "2026-03-10T16:00/2026-03-11T08:00 OOF -", "2026-03-10T18:00/2026-03-10T19:00 Free free"}},
		{"an event that covers all of it", "UTC", func(w *world, r *directory.Recipient) {
			w.load(r, "a.ics", vavailability("u"), sourcetest.Event("x", "SUMMARY:trip", "DTSTART:20260301T000000Z", "DTEND:20260401T000000Z"))
		}, "2026-03-10", "2026-03-11", []string{"2026-03-01T00:00/2026-04-01T00:00 Busy trip"}},
		{"over the end of a year it is one", "UTC", func(w *world, r *directory.Recipient) { w.load(r, "a.ics", vavailability("u", officeHours)) }, "2026-12-31", "2027-01-02",
			[]string{"2026-12-30T16:00/2026-12-31T08:00 OOF -", "2026-12-31T16:00/2027-01-01T08:00 OOF -", "2027-01-01T16:00/2027-01-02T08:00 OOF -"}},
		{"years that were not asked for before", "UTC", func(w *world, r *directory.Recipient) { w.load(r, "a.ics", vavailability("u", officeHours)) }, "2035-03-10", "2035-03-11",
			[]string{"2035-03-09T16:00/2035-03-10T08:00 OOF -", "2035-03-10T16:00/2035-03-11T08:00 OOF -"}},
		{"floating hours in the mailbox's zone", "China Standard Time", func(w *world, r *directory.Recipient) { w.load(r, "a.ics", vavailability("u", officeHours)) }, "2026-03-10", "2026-03-11",
			[]string{"2026-03-10T08:00/2026-03-11T00:00 OOF -"}},
		{"which changes", "China Standard Time", func(w *world, r *directory.Recipient) {
			w.load(r, "a.ics", vavailability("u", officeHours))
			r.Calendar.TimeZone = "UTC"
		}, "2026-03-10", "2026-03-11", []string{"2026-03-09T16:00/2026-03-10T08:00 OOF -", "2026-03-10T16:00/2026-03-11T08:00 OOF -"}},
		{"those of several calendars count together, by priority", "UTC", func(w *world, r *directory.Recipient) {
			w.importInto(r, "", vavailability("u", "PRIORITY:5", officeHours))
			w.importInto(r, "Leave", vavailability("v", "PRIORITY:1", "BUSYTYPE:BUSY", "DTSTART:20260310T000000Z", "DTEND:20260311T000000Z"))
		}, "2026-03-10", "2026-03-11", []string{"2026-03-10T00:00/2026-03-11T00:00 Busy -"}},
		{"those of a transparent calendar do not", "UTC", func(w *world, r *directory.Recipient) {
			w.importInto(r, "Leave", vavailability("v"))
			w.setFolder(r, "Leave", true)
		}, "2026-03-10", "2026-03-11", []string{}},
		{"replaced by a newer one", "UTC", func(w *world, r *directory.Recipient) {
			w.load(r, "a.ics", vavailability("u"))
			w.load(r, "a.ics", vavailability("u", "SEQUENCE:1", officeHours))
			w.load(r, "a.ics", vavailability("u"))
		}, "2026-03-10", "2026-03-11", []string{"2026-03-09T16:00/2026-03-10T08:00 OOF -", "2026-03-10T16:00/2026-03-11T08:00 OOF -"}},
		{"deleted", "UTC", func(w *world, r *directory.Recipient) {
			w.put(r, "", "hours.ics", vavailability("u", officeHours))
			w.delete(r, "", "hours.ics")
		}, "2026-03-10", "2026-03-11", []string{}},
		{"deleted with its calendar", "UTC", func(w *world, r *directory.Recipient) {
			w.put(r, "A", "hours.ics", vavailability("u", officeHours))
			w.deleteFolder(r, "A")
		}, "2026-03-10", "2026-03-11", []string{}},
		{"one whose bounds cannot be read is left out, and told", "UTC", func(w *world, r *directory.Recipient) {
			s := w.load(r, "a.ics", vavailability("u", "DTSTART:never"), event("a", "a", "20260310"))
			if h, err := w.Health(w.Context(), r); len(s.Skipped) != 1 || s.Events != 2 || s.Added != 1 || err != nil || h.Unreadable != 1 {
				w.Errorf("summary %+v, health %+v, %v", s, h, err)
			}
		}, "2026-03-10", "2026-03-11", []string{"2026-03-10T09:00/2026-03-10T10:00 Busy a"}},
		{"with the UID of an event", "UTC", func(w *world, r *directory.Recipient) {
			if s := w.load(r, "a.ics", event("u", "a", "20260310"), vavailability("u")); s.Added != 1 || len(s.Skipped) != 1 {
				w.Errorf("summary %+v", s)
			}
		}, "2026-03-10", "2026-03-11", []string{"2026-03-10T09:00/2026-03-10T10:00 Busy a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.mailbox("anna@contoso.com", tt.zone)
			tt.do(w, r)
			for range 2 {
				if d := cmp.Diff(tt.want, w.lines(w.Calendars, r, span(t, tt.from, tt.to))); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
				w.Forget()
			}
			// Without details the times are the same.
			iv, err := w.Busy(t.Context(), r.Org, r, span(t, tt.from, tt.to), false)
			if err != nil || len(iv) != len(tt.want) {
				t.Errorf("without details: %d entries, %v; want %d", len(iv), err, len(tt.want))
			}
		})
	}
}

// Events that overlap, touch and take no time.
func TestOverlaps(t *testing.T) {
	at := func(uid, start, end string, lines ...string) string {
		return sourcetest.Event(uid, append(lines, "SUMMARY:"+uid, "DTSTART:20260310T"+start+"00Z", "DTEND:20260310T"+end+"00Z")...)
	}
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.load(r, "a.ics",
		at("busy", "0900", "1100"), at("tentative", "0930", "1030", "STATUS:TENTATIVE"), at("oof", "1000", "1015", "X-MICROSOFT-CDO-BUSYSTATUS:OOF"),
		at("free", "0900", "1200", "TRANSP:TRANSPARENT"), at("elsewhere", "1130", "1200", "X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE"),
		// RFC 5545 3.6.1: an event whose end is its start, or that has no end, takes no time.
		at("nothing", "0945", "0945"), sourcetest.Event("no end", "SUMMARY:no end", "DTSTART:20260310T094500Z"),
		sourcetest.Event("no duration", "SUMMARY:no duration", "DTSTART:20260310T094500Z", "DURATION:PT0S"), at("backwards", "1000", "0900"),
		// A whole day has its length from its kind.
		sourcetest.Event("day", "SUMMARY:day", "DTSTART;VALUE=DATE:20260311"), sourcetest.Event("no day", "SUMMARY:no day", "DTSTART;VALUE=DATE:20260312", "DTEND;VALUE=DATE:20260312"))
	all := []string{"2026-03-10T09:00/2026-03-10T11:00 Busy busy", "2026-03-10T09:00/2026-03-10T12:00 Free free", "2026-03-10T09:30/2026-03-10T10:30 Tentative tentative",
		"2026-03-10T10:00/2026-03-10T10:15 OOF oof", "2026-03-10T11:30/2026-03-10T12:00 WorkingElsewhere elsewhere", "2026-03-11T00:00/2026-03-12T00:00 Busy day"}
	at10 := func(clock string) time.Time {
		t.Helper()
		at, err := time.Parse("20060102T1504", "20260310T"+clock)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	minutes := func(from, to string) freebusy.Window { return freebusy.Window{Start: at10(from), End: at10(to)} }
	for _, tt := range []struct {
		name string
		w    freebusy.Window
		want []string
		slot string // 15 minutes
	}{
		{"all", span(t, "2026-03-09", "2026-03-14"), all, ""},
		{"the highest of a slot wins", minutes("0900", "1200"), all[:5], "222232220000"},
		{"what ends at the beginning is outside, what begins there is inside", minutes("1015", "1130"), []string{all[0], all[1], all[2]}, "22200"},
		{"what begins at the end is outside", minutes("0800", "0900"), []string{}, "0000"},
		{"one second of it is enough", freebusy.Window{Start: at10("0800"), End: at10("0900").Add(time.Second)}, all[:2], "00002"},
	} {
		if d := cmp.Diff(tt.want, w.lines(w.Calendars, r, tt.w)); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
		if tt.slot == "" {
			continue
		}
		iv, err := w.Busy(t.Context(), r.Org, r, tt.w, false)
		if err != nil {
			t.Fatal(err)
		}
		freebusy.Sort(iv)
		if got := freebusy.Merge(tt.w, 15*time.Minute, iv); got != tt.slot {
			t.Errorf("%s: merged %s, want %s", tt.name, got, tt.slot)
		}
	}
}
