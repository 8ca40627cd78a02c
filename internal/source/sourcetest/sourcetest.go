// Package sourcetest is the conformance test of the sources: what Busy must do,
// wherever the calendar is. A new source is ready when Run passes.
package sourcetest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
)

// A Source knows calendars.
type Source interface {
	// Busy returns the entries of mailbox that overlap w, whole, in any order. Only
	// with details each needs to have its Detail.
	Busy(ctx context.Context, org directory.OrgID, mailbox *directory.Recipient, w freebusy.Window, details bool) ([]freebusy.Interval, error)
}

// Now is the present of every test.
var Now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// A Family is the sources under test.
type Family struct {
	// New returns a source with a new mailbox of a new organization whose calendar
	// is the text, a VCALENDAR, and whose owner is anna@contoso.com in the given
	// Windows zone.
	New func(t testing.TB, zone, text string) (Source, *directory.Recipient)
	// TimesOnly: the source learns no details, as from a free/busy report.
	TimesOnly bool
	// NoFlags: of details it learns subject, location and privacy. HidesPrivate: of
	// what is private it learns that it is.
	NoFlags, HidesPrivate bool
	// Known is what it knows, around Now; the rest of time is without data. Zero: it
	// knows all.
	Known freebusy.Window
}

// knows reports whether the source knows all of w.
func (f Family) knows(w freebusy.Window) bool {
	return f.Known == freebusy.Window{} || !w.Start.Before(f.Known.Start) && !w.End.After(f.Known.End)
}

// Calendar is a VCALENDAR with components, each given by its lines.
func Calendar(components ...string) string {
	return crlf("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//busybridge//sourcetest//EN\n" + strings.Join(components, "") + "END:VCALENDAR\n")
}

// Event is a VEVENT with further lines.
func Event(uid string, lines ...string) string {
	return "BEGIN:VEVENT\nUID:" + uid + "\nDTSTAMP:20260101T000000Z\n" + strings.Join(lines, "\n") + "\nEND:VEVENT\n"
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// A case is a calendar and what it says about a window. Entries are written
// "2026-03-02T09:00/10:00 Busy subject"; the end has a date where it is another
// day.
type testCase struct {
	name   string
	zone   string // "UTC" if empty
	events []string
	window string // start/end
	want   []string
}

var cases = []testCase{
	{name: "an empty calendar", window: "2026-03-02T00:00/2026-03-09T00:00"},
	{
		name:   "windows and entries are half-open: touching is not overlapping",
		events: []string{span("before", "20260302T080000Z", "20260302T090000Z"), span("in", "20260302T090000Z", "20260302T100000Z"), span("after", "20260302T100000Z", "20260302T110000Z")},
		window: "2026-03-02T09:00/2026-03-02T10:00",
		want:   []string{"2026-03-02T09:00/10:00 Busy in"},
	},
	{
		name: "entries are whole, not cut to the window",
		events: []string{span("begins before", "20260301T220000Z", "20260302T091500Z"), span("ends after", "20260302T094500Z", "20260304T000000Z"),
			span("around", "20260101T000000Z", "20261231T000000Z"), span("years", "19990101T000000Z", "20910101T000000Z")},
		window: "2026-03-02T09:00/2026-03-02T10:00",
		want: []string{"1999-01-01T00:00/2091-01-01T00:00 Busy years", "2026-01-01T00:00/2026-12-31T00:00 Busy around",
			"2026-03-01T22:00/2026-03-02T09:15 Busy begins before", "2026-03-02T09:45/2026-03-04T00:00 Busy ends after"},
	},
	{
		name:   "a second in a window between months",
		events: []string{span("turn", "20260228T235959Z", "20260301T000001Z"), span("long", "20260210T000000Z", "20260420T000000Z")},
		window: "2026-02-28T23:59/2026-03-01T00:01",
		want:   []string{"2026-02-10T00:00/2026-04-20T00:00 Busy long", "2026-02-28T23:59:59/2026-03-01T00:00:01 Busy turn"},
	},
	{
		name:   "an entry over several months of the window is there once",
		events: []string{span("quarter", "20260115T000000Z", "20260415T000000Z")},
		window: "2026-02-10T00:00/2026-04-10T00:00",
		want:   []string{"2026-01-15T00:00/2026-04-15T00:00 Busy quarter"},
	},
	{
		name:   "entries at the same time are each there",
		events: []string{span("a", "20260302T090000Z", "20260302T100000Z"), span("b", "20260302T090000Z", "20260302T100000Z")},
		window: "2026-03-02T00:00/2026-03-03T00:00",
		want:   []string{"2026-03-02T09:00/10:00 Busy a", "2026-03-02T09:00/10:00 Busy b"},
	},
	{
		name: "status",
		events: []string{
			Event("1", "SUMMARY:busy", "DTSTART:20260302T010000Z", "DTEND:20260302T020000Z"),
			Event("2", "SUMMARY:transparent", "TRANSP:TRANSPARENT", "DTSTART:20260302T020000Z", "DTEND:20260302T030000Z"),
			Event("3", "SUMMARY:tentative", "STATUS:TENTATIVE", "DTSTART:20260302T030000Z", "DTEND:20260302T040000Z"),
			Event("4", "SUMMARY:oof", "X-MICROSOFT-CDO-BUSYSTATUS:OOF", "DTSTART:20260302T040000Z", "DTEND:20260302T050000Z"),
			Event("5", "SUMMARY:elsewhere", "X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE", "DTSTART:20260302T050000Z", "DTEND:20260302T060000Z"),
			Event("6", "SUMMARY:cancelled", "STATUS:CANCELLED", "DTSTART:20260302T060000Z", "DTEND:20260302T070000Z"),
			Event("7", "SUMMARY:declined", "ORGANIZER:mailto:bert@contoso.com", "ATTENDEE;PARTSTAT=DECLINED:mailto:anna@contoso.com", "DTSTART:20260302T070000Z", "DTEND:20260302T080000Z"),
		},
		window: "2026-03-02T00:00/2026-03-03T00:00",
		want: []string{"2026-03-02T01:00/02:00 Busy busy", "2026-03-02T02:00/03:00 Free transparent", "2026-03-02T03:00/04:00 Tentative tentative",
			"2026-03-02T04:00/05:00 OOF oof", "2026-03-02T05:00/06:00 WorkingElsewhere elsewhere"},
	},
	{
		name: "a weekly series over a change of clocks, with a moved and a left-out instance",
		events: []string{
			Event("w", "SUMMARY:weekly", "DTSTART;TZID=Europe/Berlin:20260105T090000", "DTEND;TZID=Europe/Berlin:20260105T093000", "RRULE:FREQ=WEEKLY", "EXDATE;TZID=Europe/Berlin:20260316T090000"),
			Event("w", "SUMMARY:moved", "RECURRENCE-ID;TZID=Europe/Berlin:20260323T090000", "DTSTART;TZID=Europe/Berlin:20260324T140000", "DTEND;TZID=Europe/Berlin:20260324T150000"),
		},
		window: "2026-03-09T00:00/2026-04-06T00:00",
		want:   []string{"2026-03-09T08:00/08:30 Busy weekly", "2026-03-24T13:00/14:00 Busy moved", "2026-03-30T07:00/07:30 Busy weekly"},
	},
	{
		name:   "an endless series, far ahead",
		events: []string{Event("d", "SUMMARY:daily", "DTSTART:20260105T090000Z", "DTEND:20260105T093000Z", "RRULE:FREQ=DAILY")},
		window: "2044-12-31T00:00/2045-01-02T00:00",
		want:   []string{"2044-12-31T09:00/09:30 Busy daily", "2045-01-01T09:00/09:30 Busy daily"},
	},
	{
		name:   "an old series, far back",
		events: []string{Event("d", "SUMMARY:daily", "DTSTART:19991230T090000Z", "DTEND:19991230T093000Z", "RRULE:FREQ=DAILY")},
		window: "1999-12-25T00:00/2000-01-02T00:00",
		want:   []string{"1999-12-30T09:00/09:30 Busy daily", "1999-12-31T09:00/09:30 Busy daily", "2000-01-01T09:00/09:30 Busy daily"},
	},
	{
		name:   "instances longer than the time between them, over the turn of the year",
		events: []string{Event("l", "SUMMARY:trip", "DTSTART:20251220T000000Z", "DTEND:20260110T000000Z", "RRULE:FREQ=WEEKLY;COUNT=3")},
		window: "2026-01-01T00:00/2026-01-02T00:00",
		want:   []string{"2025-12-20T00:00/2026-01-10T00:00 Busy trip", "2025-12-27T00:00/2026-01-17T00:00 Busy trip"},
	},
	{
		name:   "whole days and floating times are read in the mailbox's zone",
		zone:   "China Standard Time",
		events: []string{Event("1", "SUMMARY:day", "DTSTART;VALUE=DATE:20260303"), Event("2", "SUMMARY:floating", "DTSTART:20260304T090000", "DTEND:20260304T100000")},
		window: "2026-03-02T00:00/2026-03-09T00:00",
		want:   []string{"2026-03-02T16:00/2026-03-03T16:00 Busy day", "2026-03-04T01:00/02:00 Busy floating"},
	},
}

func span(subject, start, end string) string {
	return Event(subject, "SUMMARY:"+subject, "DTSTART:"+start, "DTEND:"+end)
}

// Run runs every test, each with a source of its own.
func Run(t *testing.T, f Family) {
	for _, tt := range cases {
		if !f.knows(window(t, tt.window)) {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, mailbox := f.New(t, cmp.Or(tt.zone, "UTC"), Calendar(tt.events...))
			want := tt.want
			if f.TimesOnly {
				want = timesOnly(want)
			}
			// A second time, when the source may remember the first.
			for range 2 {
				got := f.lines(ask(t, s, mailbox, window(t, tt.window)))
				if d := gocmp.Diff(want, got); d != "" {
					t.Errorf("entries (-want +got):\n%s", d)
				}
			}
		})
	}
	t.Run("an empty window has no entries", f.emptyWindow)
	t.Run("every window agrees with a walk over all events", f.random)
	t.Run("questions at the same time", f.concurrent)
	if f.Known != (freebusy.Window{}) {
		t.Run("what is not known is not free", f.unknown)
	}
	t.Run("a context that is done ends the question", f.canceled)
	if !f.TimesOnly {
		t.Run("details", f.details)
		t.Run("ids are stable and tell entries apart", f.ids)
	}
}

func (f Family) emptyWindow(t *testing.T) {
	t.Parallel()
	s, mailbox := f.New(t, "UTC", Calendar(span("a", "20260302T090000Z", "20260302T100000Z")))
	at := Now.Add(30 * time.Minute)
	for _, w := range []freebusy.Window{{}, {Start: at, End: at}, {Start: at, End: at.Add(-time.Minute)}} {
		if got := ask(t, s, mailbox, w); len(got) != 0 {
			t.Errorf("window %v: got %d entries", w, len(got))
		}
	}
}

func (f Family) random(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	year := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func() time.Time { return year.Add(time.Duration(rnd.IntN(365*24*4)) * 15 * time.Minute) }
	const form = "20060102T150405Z"
	type entry struct {
		start, end time.Time
		uid        string
	}
	var all []entry
	var events []string
	for i := range 300 {
		e := entry{start: at(), uid: fmt.Sprint("e", i)}
		e.end = e.start.Add(time.Duration(1+rnd.IntN(16)) * 15 * time.Minute)
		if rnd.IntN(10) == 0 {
			e.end = e.start.Add(time.Duration(1+rnd.IntN(900)) * 24 * time.Hour)
		}
		all = append(all, e)
		events = append(events, span(e.uid, e.start.Format(form), e.end.Format(form)))
	}
	s, mailbox := f.New(t, "UTC", Calendar(events...))
	for range 200 {
		w := freebusy.Window{Start: at().Add(-24 * time.Hour)}
		w.End = w.Start.Add(time.Duration(1+rnd.IntN(62*96)) * 15 * time.Minute)
		var want []string
		for _, e := range all {
			if e.start.Before(w.End) && e.end.After(w.Start) {
				want = append(want, line(freebusy.Interval{Start: e.start, End: e.end, Status: freebusy.Busy, Detail: &freebusy.Detail{Subject: e.uid}}))
			}
		}
		slices.Sort(want)
		if f.TimesOnly {
			want = timesOnly(want)
		}
		if d := gocmp.Diff(want, f.lines(ask(t, s, mailbox, w))); d != "" {
			t.Fatalf("window %v (-want +got):\n%s", w, d)
		}
	}
}

func (f Family) unknown(t *testing.T) {
	t.Parallel()
	s, mailbox := f.New(t, "UTC", Calendar(Event("d", "SUMMARY:daily", "DTSTART:20200101T090000Z", "DTEND:20200101T093000Z", "RRULE:FREQ=DAILY")))
	const slot = 12 * time.Hour
	for _, tt := range []struct {
		name string
		at   time.Time
		want string // of two days
	}{
		{"the first day that is known", f.Known.Start, "2020"},
		{"around the first instant", f.Known.Start.Add(-24 * time.Hour), "4420"},
		{"around the last instant", f.Known.End.Add(-24 * time.Hour), "2044"},
		{"before", f.Known.Start.Add(-48 * time.Hour), "4444"},
		{"behind", f.Known.End, "4444"},
		{"long before", Now.AddDate(-20, 0, 0), "4444"},
		{"far ahead", Now.AddDate(40, 0, 0), "4444"},
	} {
		w := freebusy.Window{Start: tt.at, End: tt.at.Add(4 * slot)}
		if got := freebusy.Merge(w, slot, ask(t, s, mailbox, w)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func (f Family) concurrent(t *testing.T) {
	t.Parallel()
	s, mailbox := f.New(t, "UTC", Calendar(Event("d", "SUMMARY:daily", "DTSTART:20200101T090000Z", "DTEND:20200101T093000Z", "RRULE:FREQ=DAILY")))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for year := 2020 + i%4; year < 2036; year += 3 {
				w := freebusy.Window{Start: time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC), End: time.Date(year, 6, 8, 0, 0, 0, 0, time.UTC)}
				if !f.knows(w) {
					w.Start = f.Known.Start.AddDate(0, 0, 7*(year-2020))
					w.End = w.Start.AddDate(0, 0, 7)
				}
				got, err := s.Busy(t.Context(), mailbox.Org, mailbox, w, true)
				if err != nil || len(got) != 7 {
					t.Errorf("%v: %d entries, %v; want 7", w.Start, len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

func (f Family) canceled(t *testing.T) {
	t.Parallel()
	s, mailbox := f.New(t, "UTC", Calendar(span("a", "20260302T090000Z", "20260302T100000Z")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := window(t, "2026-03-02T00:00/2026-03-03T00:00")
	// What is in memory may be answered; nothing may be made up.
	if got, err := s.Busy(ctx, mailbox.Org, mailbox, w, true); err == nil && len(got) != 1 {
		t.Errorf("got %d entries without an error", len(got))
	}
	if got := ask(t, s, mailbox, w); len(got) != 1 {
		t.Errorf("got %d entries afterwards, want 1", len(got))
	}
}

func (f Family) details(t *testing.T) {
	t.Parallel()
	s, mailbox := f.New(t, "UTC", Calendar(
		Event("1", `SUMMARY:Budget\, again`, "LOCATION:R1", "CLASS:PRIVATE", "DTSTART:20260302T090000Z", "DTEND:20260302T100000Z",
			"ORGANIZER:mailto:bert@contoso.com", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:anna@contoso.com",
			"BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT15M", "END:VALARM"),
		Event("2", "SUMMARY:series", "DTSTART:20260302T110000Z", "DTEND:20260302T120000Z", "RRULE:FREQ=DAILY;COUNT=2"),
		Event("2", "SUMMARY:other", "RECURRENCE-ID:20260303T110000Z", "DTSTART:20260303T130000Z", "DTEND:20260303T140000Z")))
	got := ask(t, s, mailbox, window(t, "2026-03-02T00:00/2026-03-04T00:00"))
	slices.SortFunc(got, func(a, b freebusy.Interval) int { return a.Start.Compare(b.Start) })
	var details []freebusy.Detail
	for _, iv := range got {
		d := *iv.Detail
		d.ID = ""
		details = append(details, d)
	}
	want := []freebusy.Detail{
		{Subject: "Budget, again", Location: "R1", Meeting: true, Reminder: true, Private: true},
		{Subject: "series", Recurring: true},
		{Subject: "other", Recurring: true, Exception: true},
	}
	for i := range want {
		d := &want[i]
		if f.HidesPrivate && d.Private {
			d.Subject, d.Location = "", ""
		}
		if f.NoFlags {
			*d = freebusy.Detail{Subject: d.Subject, Location: d.Location, Private: d.Private}
		}
	}
	if d := gocmp.Diff(want, details); d != "" {
		t.Errorf("details (-want +got):\n%s", d)
	}
}

func (f Family) ids(t *testing.T) {
	t.Parallel()
	text := Calendar(Event("secret-uid", "DTSTART:20260302T090000Z", "DTEND:20260302T100000Z", "RRULE:FREQ=DAILY"), span("b", "20260303T090000Z", "20260303T100000Z"))
	s, mailbox := f.New(t, "UTC", text)
	ids := func(w string) map[string]string {
		m := map[string]string{}
		for _, iv := range ask(t, s, mailbox, window(t, w)) {
			if iv.Detail.ID == "" || strings.Trim(iv.Detail.ID, "0123456789ABCDEF") != "" {
				t.Errorf("id %q is not upper-case hexadecimal", iv.Detail.ID)
			}
			m[iv.Detail.ID] = line(iv)
		}
		return m
	}
	two, week := ids("2026-03-02T00:00/2026-03-04T00:00"), ids("2026-03-01T00:00/2026-03-08T00:00")
	if len(two) != 3 || len(week) != 7 {
		t.Errorf("%d and %d different ids, want 3 and 7", len(two), len(week))
	}
	for id, entry := range two {
		if week[id] != entry {
			t.Errorf("id of %q is that of %q in another window", entry, week[id])
		}
	}
}

func ask(t testing.TB, s Source, mailbox *directory.Recipient, w freebusy.Window) []freebusy.Interval {
	t.Helper()
	got, err := s.Busy(t.Context(), mailbox.Org, mailbox, w, true)
	if err != nil {
		t.Fatalf("Busy(%v): %v", w, err)
	}
	return got
}

func window(t testing.TB, s string) freebusy.Window {
	t.Helper()
	from, to, _ := strings.Cut(s, "/")
	var w freebusy.Window
	var err error
	if w.Start, err = time.Parse("2006-01-02T15:04", from); err != nil {
		t.Fatal(err)
	}
	if w.End, err = time.Parse("2006-01-02T15:04", to); err != nil {
		t.Fatal(err)
	}
	return w
}

// lines are entries as the cases write them, sorted; nil for none.
func (f Family) lines(ivs []freebusy.Interval) []string {
	var list []string
	for _, iv := range ivs {
		list = append(list, line(iv))
	}
	slices.Sort(list)
	if f.TimesOnly {
		return timesOnly(list)
	}
	return list
}

func line(iv freebusy.Interval) string {
	form := func(t time.Time, layout string) string {
		return strings.TrimSuffix(t.UTC().Format(layout+":05"), ":00")
	}
	end := form(iv.End, "2006-01-02T15:04")
	if iv.Start.UTC().YearDay() == iv.End.UTC().YearDay() && iv.Start.UTC().Year() == iv.End.UTC().Year() {
		end = form(iv.End, "15:04")
	}
	s := form(iv.Start, "2006-01-02T15:04") + "/" + end + " " + iv.Status.String()
	if iv.Detail != nil {
		s += " " + iv.Detail.Subject
	}
	return s
}

// timesOnly is what is left of lines for a source without details; it may leave
// out what is free and join or repeat entries of the same time.
func timesOnly(lines []string) []string {
	var list []string
	for _, l := range lines {
		when, what, _ := strings.Cut(l, " ")
		status, _, _ := strings.Cut(what, " ")
		if status != freebusy.Free.String() {
			list = append(list, when+" "+status)
		}
	}
	return slices.Compact(list)
}
