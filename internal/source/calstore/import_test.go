package calstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/source/calstore"
	"busybridge/internal/source/sourcetest"
)

func TestImport(t *testing.T) {
	type file struct {
		text string
		want directory.ImportSummary // Skipped: UID and a part of the reason; the line if not 0
		err  error
		busy []string // of 2026-03-01 to 2026-04-01; nil: as before
	}
	series := func(uid string, lines ...string) string {
		return event(uid, uid, "20260302", append([]string{"RRULE:FREQ=WEEKLY;COUNT=2"}, lines...)...)
	}
	skipped := func(p ...directory.ImportProblem) []directory.ImportProblem { return p }
	a := []string{"2026-03-10T09:00 a"}
	utf16 := func(s string) string {
		b := []byte{0xff, 0xfe}
		for _, c := range s {
			b = append(b, byte(c), byte(c>>8))
		}
		return string(b)
	}
	for _, tt := range []struct {
		name  string
		files []file
	}{
		{"new events", []file{{text: sourcetest.Calendar(event("a", "a", "20260310"), series("s")),
			want: directory.ImportSummary{Events: 2, Added: 2}, busy: []string{"2026-03-02T09:00 s", "2026-03-09T09:00 s", "2026-03-10T09:00 a"}}}},
		{"a series with its exceptions is one object", []file{{
			text: sourcetest.Calendar(series("s"), event("s", "moved", "20260312", "RECURRENCE-ID:20260309T090000Z")),
			want: directory.ImportSummary{Events: 2, Added: 1}, busy: []string{"2026-03-02T09:00 s", "2026-03-12T09:00 moved"}}}},
		{"the same file again", []file{
			{text: sourcetest.Calendar(event("a", "a", "20260310"), series("s")), want: directory.ImportSummary{Events: 2, Added: 2},
				busy: []string{"2026-03-02T09:00 s", "2026-03-09T09:00 s", "2026-03-10T09:00 a"}},
			{text: sourcetest.Calendar(event("a", "a", "20260310"), series("s")), want: directory.ImportSummary{Events: 2, Unchanged: 2}}}},
		{"a higher sequence replaces", []file{
			{text: sourcetest.Calendar(event("a", "a", "20260310")), want: directory.ImportSummary{Events: 1, Added: 1}, busy: a},
			{text: sourcetest.Calendar(event("a", "later", "20260320", "SEQUENCE:1")), want: directory.ImportSummary{Events: 1, Replaced: 1}, busy: []string{"2026-03-20T09:00 later"}},
			{text: sourcetest.Calendar(event("a", "a", "20260310")), want: directory.ImportSummary{Events: 1, Unchanged: 1}}}},
		{"a later stamp replaces, an older one does not", []file{
			{text: sourcetest.Calendar(event("a", "a", "20260310")), want: directory.ImportSummary{Events: 1, Added: 1}, busy: a},
			{text: strings.Replace(sourcetest.Calendar(event("a", "later", "20260320")), "DTSTAMP:20260101", "DTSTAMP:20260102", 1),
				want: directory.ImportSummary{Events: 1, Replaced: 1}, busy: []string{"2026-03-20T09:00 later"}},
			{text: sourcetest.Calendar(event("a", "older", "20260310")), want: directory.ImportSummary{Events: 1, Unchanged: 1}}}},
		{"a file that was edited by hand", []file{
			{text: sourcetest.Calendar(event("a", "a", "20260310")), want: directory.ImportSummary{Events: 1, Added: 1}, busy: a},
			{text: sourcetest.Calendar(event("a", "edited", "20260310")), want: directory.ImportSummary{Events: 1, Replaced: 1}, busy: []string{"2026-03-10T09:00 edited"}}}},
		{"a series becomes one event and back", []file{
			{text: sourcetest.Calendar(event("a", "endless", "20260310", "RRULE:FREQ=WEEKLY")), want: directory.ImportSummary{Events: 1, Added: 1},
				busy: []string{"2026-03-10T09:00 endless", "2026-03-17T09:00 endless", "2026-03-24T09:00 endless", "2026-03-31T09:00 endless"}},
			{text: sourcetest.Calendar(event("a", "a", "20260310", "SEQUENCE:1")), want: directory.ImportSummary{Events: 1, Replaced: 1}, busy: a},
			{text: sourcetest.Calendar(event("a", "endless", "20260320", "RRULE:FREQ=WEEKLY", "SEQUENCE:2")), want: directory.ImportSummary{Events: 1, Replaced: 1},
				busy: []string{"2026-03-20T09:00 endless", "2026-03-27T09:00 endless"}}}},
		{"years become hours", []file{
			{text: sourcetest.Calendar(sourcetest.Event("a", "SUMMARY:years", "DTSTART:20000101T000000Z", "DTEND:20500101T000000Z")),
				want: directory.ImportSummary{Events: 1, Added: 1}, busy: []string{"2000-01-01T00:00 years"}},
			{text: sourcetest.Calendar(event("a", "a", "20260310", "SEQUENCE:1")), want: directory.ImportSummary{Events: 1, Replaced: 1}, busy: a}}},
		{"cancelled: kept, but not busy", []file{
			{text: sourcetest.Calendar(event("a", "a", "20260310")), want: directory.ImportSummary{Events: 1, Added: 1}, busy: a},
			{text: sourcetest.Calendar(event("a", "a", "20260310", "SEQUENCE:1", "STATUS:CANCELLED")), want: directory.ImportSummary{Events: 1, Replaced: 1}, busy: []string{}},
			{text: sourcetest.Calendar(event("a", "a", "20260310")), want: directory.ImportSummary{Events: 1, Unchanged: 1}}}},
		{"a broken event costs only itself", []file{{
			text: sourcetest.Calendar(event("a", "a", "20260310"), sourcetest.Event("bad", "SUMMARY:x", "DTSTART:20261340T990000Z")),
			want: directory.ImportSummary{Events: 2, Added: 1, Skipped: skipped(directory.ImportProblem{UID: "bad"})}, busy: a}}},
		{"a broken event leaves what was there", []file{
			{text: sourcetest.Calendar(event("a", "a", "20260310")), want: directory.ImportSummary{Events: 1, Added: 1}, busy: a},
			{text: sourcetest.Calendar(sourcetest.Event("a", "SEQUENCE:1", "DTSTART:20261340T990000Z")),
				want: directory.ImportSummary{Events: 1, Skipped: skipped(directory.ImportProblem{UID: "a"})}}}},
		{"a series of a billion instances", []file{{
			text: sourcetest.Calendar(event("a", "a", "20260310"), event("bomb", "x", "20000101", "RRULE:FREQ=SECONDLY;COUNT=1000000000"),
				event("bomb2", "x", "20000101", "RRULE:FREQ=MINUTELY"), event("bomb3", "x", "20000101", "RRULE:FREQ=HOURLY;BYMINUTE=1,2,3,4,5,6,7,8,9,10,11,12")),
			want: directory.ImportSummary{Events: 4, Added: 1, Skipped: skipped(directory.ImportProblem{UID: "bomb"}, directory.ImportProblem{UID: "bomb2"}, directory.ImportProblem{UID: "bomb3"})}, busy: a}}},
		{"long instances at every day", []file{{
			text: sourcetest.Calendar(event("a", "a", "20260310"), sourcetest.Event("bomb", "DTSTART:20000101T000000Z", "DURATION:P36500D", "RRULE:FREQ=DAILY")),
			want: directory.ImportSummary{Events: 2, Added: 1, Skipped: skipped(directory.ImportProblem{UID: "bomb"})}, busy: a}}},
		{"a UID past all measure", []file{{
			text: sourcetest.Calendar(event("a", "a", "20260310"), event(strings.Repeat("u", calstore.MaxUID+1), "x", "20260310")),
			want: directory.ImportSummary{Events: 2, Added: 1, Skipped: skipped(directory.ImportProblem{Reason: "UID of 1001 bytes"})}, busy: a}}},
		{"a huge line", []file{{
			text: sourcetest.Calendar(event("a", "a", "20260310", "DESCRIPTION:"+strings.Repeat("x", 3<<20))),
			want: directory.ImportSummary{Events: 1, Added: 1}, busy: a}}},
		{"UTF-16", []file{{text: utf16(sourcetest.Calendar(event("a", "a", "20260310"))), want: directory.ImportSummary{Events: 1, Added: 1}, busy: a}}},
		{"ISO 8859-1", []file{{text: sourcetest.Calendar(event("a", "B\xfcro", "20260310")), want: directory.ImportSummary{Events: 1, Added: 1}, busy: []string{"2026-03-10T09:00 Büro"}}}},
		{"a calendar without events", []file{{text: sourcetest.Calendar(), busy: []string{}}}},
		{"no octets", []file{{err: calstore.ErrNotCalendar, busy: []string{}}}},
		{"no calendar", []file{{text: "<html><body>Sign in</body></html>", err: calstore.ErrNotCalendar, busy: []string{}}}},
		{"no VCALENDAR", []file{{text: event("a", "a", "20260310"), err: calstore.ErrNotCalendar, busy: []string{}}}},
		{"binary", []file{{text: "\x00\x01\x02\x03" + strings.Repeat("\xff", 1000), err: calstore.ErrNotCalendar, busy: []string{}}}},
		{"after an error the previous events stay", []file{
			{text: sourcetest.Calendar(event("a", "a", "20260310")), want: directory.ImportSummary{Events: 1, Added: 1}, busy: a},
			{text: "garbage", err: calstore.ErrNotCalendar}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.mailbox("anna@contoso.com", "UTC")
			var busy []string
			for i, f := range tt.files {
				got, err := w.Import(t.Context(), r, "dir/a.ics", strings.NewReader(f.text))
				if !errors.Is(err, f.err) {
					t.Fatalf("file %d: error %v, want %v", i, err, f.err)
				}
				if f.err == nil {
					f.want.File = "a.ics"
				}
				if d := cmp.Diff(f.want, got, cmpopts.IgnoreFields(directory.ImportProblem{}, "Line", "Reason")); d != "" {
					t.Errorf("file %d: summary (-want +got):\n%s\n%v", i, d, got.Skipped)
				}
				for j, p := range got.Skipped {
					if p.Reason == "" || p.Line == 0 || j < len(f.want.Skipped) && !strings.Contains(p.Reason, f.want.Skipped[j].Reason) {
						t.Errorf("file %d: skipped %+v", i, p)
					}
				}
				if f.busy != nil {
					busy = f.busy
				}
				for range 2 {
					if d := cmp.Diff(busy, w.subjects(w.Calendars, r, "2026-03-01", "2026-04-01"), cmpopts.EquateEmpty()); d != "" {
						t.Errorf("file %d: entries (-want +got):\n%s", i, d)
					}
					w.Forget()
				}
			}
		})
	}
}

func TestImportLimits(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	text := sourcetest.Calendar(event("a", "a", "20260310"))
	w.Limit(calstore.Limits{File: int64(len(text))})
	if _, err := w.Import(t.Context(), r, "a.ics", strings.NewReader(text+" ")); !errors.Is(err, calstore.ErrTooLarge) {
		t.Errorf("one octet too many: %v, want ErrTooLarge", err)
	}
	endless := io.MultiReader(strings.NewReader("BEGIN:VCALENDAR\r\n"), zeros{})
	if _, err := w.Import(t.Context(), r, "a.ics", endless); !errors.Is(err, calstore.ErrTooLarge) {
		t.Errorf("endless file: %v, want ErrTooLarge", err)
	}
	w.loadText(r, "a.ics", text)

	broken := errors.New("line is cut")
	if _, err := w.Import(t.Context(), r, "b.ics", io.MultiReader(strings.NewReader("BEGIN:VCALENDAR\r\n"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("reader fails: %v, want its error", err)
	}
	user := *r
	user.Type = directory.MailUser
	if _, err := w.Import(t.Context(), &user, "a.ics", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "MailUser") {
		t.Errorf("import into a mail user: %v", err)
	}
	nobody := *r
	nobody.ID = "00000000-0000-0000-0000-000000000000"
	if _, err := w.Import(t.Context(), &nobody, "a.ics", strings.NewReader(text)); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("import into a mailbox that is gone: %v, want ErrNotFound", err)
	}

	// A calendar that is full keeps what it has.
	w.Limit(calstore.Limits{File: 1 << 20, Occurrences: 3})
	s := w.load(r, "b.ics", event("b", "b", "20260311"), event("c", "c", "20260310", "RRULE:FREQ=DAILY;COUNT=2"), event("d", "d", "20260312"))
	if s.Added != 2 || len(s.Skipped) != 1 || s.Skipped[0].UID != "c" {
		t.Errorf("summary %+v, want c left out", s)
	}
	w.want(w.Calendars, r, "2026-03-01", "2026-04-01", "2026-03-10T09:00 a", "2026-03-11T09:00 b", "2026-03-12T09:00 d")

	// Series that would be refused one by one do not take for ever together;
	// single events are still read.
	r = w.mailbox("carl@contoso.com", "UTC")
	w.Limit(calstore.Limits{Occurrences: 1 << 20, Work: 1000})
	s = w.load(r, "a.ics", event("1", "x", "20260101", "RRULE:FREQ=MINUTELY"), event("2", "x", "20260101", "RRULE:FREQ=DAILY;COUNT=2"),
		sourcetest.Event("bad", "DTSTART:nonsense"), event("b", "b", "20260311"))
	if s.Added != 1 || len(s.Skipped) != 3 {
		t.Errorf("summary %+v, want one event", s)
	}
	w.want(w.Calendars, r, "2026-03-01", "2026-04-01", "2026-03-11T09:00 b")

	// One that cannot hold another year says so instead of showing it free.
	r = w.mailbox("bert@contoso.com", "UTC")
	w.Limit(calstore.Limits{Occurrences: 6})
	w.load(r, "a.ics", event("y", "yearly", "20200310", "RRULE:FREQ=YEARLY;UNTIL=20400310T090000Z"))
	w.want(w.Calendars, r, "2031-03-01", "2031-04-01", "2031-03-10T09:00 yearly")
	_, err := w.Busy(t.Context(), r.Org, r, span(t, "2032-03-01", "2032-04-01"), true)
	if me, ok := errors.AsType[*routing.MailboxError](err); !ok || me.Reason != routing.GenerationFailed || !strings.Contains(err.Error(), "the limit is 6 ") {
		t.Errorf("a year too many: %v, want GenerationFailed", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestImportIsAllOrNothing(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.load(r, "a.ics", event("0", "old", "20260310"))
	var events []string
	for i := range 600 {
		events = append(events, event(fmt.Sprint(i), "new", "20260310", "SEQUENCE:1"))
	}
	text := sourcetest.Calendar(events...)
	for _, at := range []int{0, 200, 500, 599} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := w.ImportInto(ctx, r, "", "b.ics", strings.NewReader(text), func(done, total int) {
			if done >= at {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at %d: %v, want context.Canceled", at, err)
		}
		w.want(w.Calendars, r, "2026-03-01", "2026-04-01", "2026-03-10T09:00 old")
		w.Forget()
		w.want(w.Calendars, r, "2026-03-01", "2026-04-01", "2026-03-10T09:00 old")
	}
}

func TestImportTellsItsProgress(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	for _, n := range []int{0, 1, 1200} {
		var events []string
		for i := range n {
			events = append(events, event(fmt.Sprint(i), "x", "20260310"))
		}
		for _, again := range []string{"new", "unchanged"} {
			last, calls := -1, 0
			if _, err := w.ImportInto(t.Context(), r, "", "a.ics", strings.NewReader(sourcetest.Calendar(events...)), func(done, total int) {
				if done < last || done > total || total != n {
					t.Errorf("%s: %d of %d after %d, of %d events", again, done, total, last, n)
				}
				last = done
				calls++
			}); err != nil {
				t.Fatal(err)
			}
			if last != n || calls < n/500 {
				t.Errorf("%s: last call says %d of %d, after %d calls", again, last, n, calls)
			}
		}
	}
}

func TestHealth(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	check := func(want directory.CalendarHealth) {
		t.Helper()
		got, err := w.Health(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(directory.CalendarHealth{}, "ExpandedFrom", "ExpandedTo")); d != "" {
			t.Errorf("health (-want +got):\n%s", d)
		}
	}
	check(directory.CalendarHealth{})
	broken := sourcetest.Event("bad", "DTSTART:nonsense")
	w.load(r, "a.ics", sourcetest.Event("a", "DTSTART:20260331T090000Z", "DURATION:P3D"), event("s", "s", "20260310", "RRULE:FREQ=DAILY;COUNT=10"), broken)
	check(directory.CalendarHealth{Objects: 2, Occurrences: 11, Unreadable: 1})
	w.load(r, "b.ics", event("s", "s", "20260310", "RRULE:FREQ=DAILY;COUNT=4", "SEQUENCE:1"),
		sourcetest.Event("long", "DTSTART:20000101T000000Z", "DTEND:20300101T000000Z"), broken)
	check(directory.CalendarHealth{Objects: 3, Occurrences: 6, Unreadable: 2})
	w.load(r, "a.ics", event("a", "a", "20260331"))
	check(directory.CalendarHealth{Objects: 3, Occurrences: 6, Unreadable: 1})
}

// corpus is the folder of other people's calendars beside the repository.
func corpus(t testing.TB) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	dir = filepath.Join(dir, "..", "shared", "corpus")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the corpus is not beside the repository")
	}
	return dir
}

// Whatever hostile files hold, an import ends soon.
func TestHostileFiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus(t), "hostile", "*.ics"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	w := newWorld(t)
	for i, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r := w.mailbox(fmt.Sprintf("user%d@contoso.com", i), "UTC")
		began := time.Now()
		s, err := w.Import(t.Context(), r, name, bytes.NewReader(data))
		if err != nil && !errors.Is(err, calstore.ErrNotCalendar) && !errors.Is(err, calstore.ErrTooLarge) {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
		iv, err := w.Busy(t.Context(), r.Org, r, span(t, "2026-03-01", "2026-04-12"), true)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s took %v", filepath.Base(name), took)
		} else if took > 200*time.Millisecond {
			t.Logf("%s took %v: %d events, %d skipped, %d entries", filepath.Base(name), took, s.Events, len(s.Skipped), len(iv))
		}
	}
}

// The busy times on which two other programs agree come out of a question after
// an import as well, years back and over every turn of a month.
func TestCorpus(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("imports hundreds of files, one after the other")
	}
	dir := corpus(t)
	var lists []string
	for _, pattern := range []string{"expected/busy-*.json", "copyleft/expected/busy-*.json"} {
		more, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		lists = append(lists, more...)
	}
	w := newWorld(t)
	zones := map[string]*directory.Recipient{}
	total := 0
	for _, name := range lists {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var cases []struct {
			File         string
			Window       [2]time.Time
			FloatingZone string `json:"floating_zone"`
			Busy         [][2]time.Time
			Status       map[string][][2]time.Time
		}
		if err := json.Unmarshal(b, &cases); err != nil {
			t.Fatal(err)
		}
		for _, tt := range cases {
			total++
			// The zone stands for that of the file or, where it has none, of the mailbox.
			place := tt.File + " " + tt.FloatingZone
			r := zones[place]
			if r == nil {
				data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(tt.File)))
				if err != nil {
					t.Fatal(err)
				}
				r = w.mailbox(fmt.Sprintf("user%d@contoso.com", len(zones)), "UTC")
				r.Calendar.TimeZone = tt.FloatingZone
				zones[place] = r
				if _, err := w.Import(t.Context(), r, tt.File, bytes.NewReader(data)); err != nil && !errors.Is(err, calstore.ErrNotCalendar) {
					t.Errorf("%s: %v", place, err)
				}
			}
			iv, err := w.Busy(t.Context(), r.Org, r, freebusy.Window{Start: tt.Window[0], End: tt.Window[1]}, true)
			if err != nil {
				t.Errorf("%s: %v", place, err)
				continue
			}
			want := tt.Status
			if want == nil {
				want = map[string][][2]time.Time{"Busy": tt.Busy}
			}
			if d := cmp.Diff(want, byStatus(iv, tt.Window), cmpopts.EquateEmpty(), cmpopts.IgnoreMapEntries(func(_ string, v [][2]time.Time) bool { return len(v) == 0 })); d != "" {
				t.Errorf("%s, %v (-want +got):\n%s", place, tt.Window, d)
			}
		}
	}
	t.Logf("%d questions about %d files", total, len(zones))
}

// byStatus are the busy times of each status, cut to the window and joined.
func byStatus(iv []freebusy.Interval, window [2]time.Time) map[string][][2]time.Time {
	slices.SortFunc(iv, func(a, b freebusy.Interval) int { return a.Start.Compare(b.Start) })
	out := map[string][][2]time.Time{}
	for _, i := range iv {
		if i.Status == freebusy.Free {
			continue
		}
		start, end := i.Start, i.End
		if start.Before(window[0]) {
			start = window[0]
		}
		if end.After(window[1]) {
			end = window[1]
		}
		list := out[i.Status.String()]
		if n := len(list); n > 0 && !start.After(list[n-1][1]) {
			if end.After(list[n-1][1]) {
				list[n-1][1] = end
			}
			continue
		}
		out[i.Status.String()] = append(list, [2]time.Time{start, end})
	}
	return out
}
