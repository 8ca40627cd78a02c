package calstore_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/source/calstore"
	"busybridge/internal/source/sourcetest"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/store/sqlitestore"
)

// spy is a store that counts, and lets other things happen between two calls.
type spy struct {
	calstore.Store
	states, reads, bytes atomic.Int64
	written              atomic.Int64 // octets of months
	beforeMonths         func()       // nil: nothing
	beforeChange         func()
}

func (s *spy) CalendarState(ctx context.Context, org directory.OrgID, mailbox string) (directory.CalendarState, error) {
	s.states.Add(1)
	return s.Store.CalendarState(ctx, org, mailbox)
}

func (s *spy) CalendarMonths(ctx context.Context, org directory.OrgID, mailbox string, from, to int) (int64, []directory.CalendarMonth, error) {
	if s.beforeMonths != nil {
		s.beforeMonths()
	}
	v, months, err := s.Store.CalendarMonths(ctx, org, mailbox, from, to)
	s.reads.Add(1)
	for _, m := range months {
		s.bytes.Add(int64(len(m.Data)))
	}
	return v, months, err
}

func (s *spy) ChangeCalendar(ctx context.Context, org directory.OrgID, mailbox string, base int64, c *directory.CalendarChange) error {
	if s.beforeChange != nil {
		s.beforeChange()
	}
	for _, m := range c.Months {
		s.written.Add(int64(len(m.Data)))
	}
	return s.Store.ChangeCalendar(ctx, org, mailbox, base, c)
}

func (s *spy) CalendarObjects(ctx context.Context, org directory.OrgID, mailbox string, f directory.CalendarFilter) iter.Seq2[*directory.CalendarObject, error] {
	return s.Store.CalendarObjects(ctx, org, mailbox, f)
}

// A world is Calendars over a database file, with a clock.
type world struct {
	testing.TB
	*calstore.Calendars
	path string
	db   *sqlitestore.Store
	spy  *spy
	now  atomic.Int64 // Unix ns
	org  directory.OrgID
}

func openStore(t testing.TB, path string) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{Now: time.Now, SealKey: make([]byte, 32), Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func logger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, path: filepath.Join(t.TempDir(), "a.db")}
	w.now.Store(sourcetest.Now.UnixNano())
	w.db = openStore(t, w.path)
	w.Calendars, w.spy = w.open(calstore.Config{})
	w.org = w.organization("contoso.com")
	return w
}

// open returns other Calendars over the same database.
func (w *world) open(c calstore.Config) (*calstore.Calendars, *spy) {
	w.Helper()
	s := &spy{Store: w.db}
	c.Store, c.Log, c.Now = s, logger(w), func() time.Time { return time.Unix(0, w.now.Load()) }
	cal, err := calstore.New(c)
	if err != nil {
		w.Fatal(err)
	}
	return cal, s
}

func (w *world) organization(domain string) directory.OrgID {
	w.Helper()
	o := &directory.Organization{
		ID: directory.OrgID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", len(domain)*7919+int(domain[0]))), Name: domain,
		AuthConfig:      directory.AuthConfig{ServiceName: directory.ExchangeAppID},
		AcceptedDomains: []directory.AcceptedDomain{{Common: directory.Common{Name: domain}, DomainName: domain, DomainType: "Authoritative", Default: true}},
	}
	if err := w.db.CreateOrganization(w.Context(), o); err != nil {
		w.Fatal(err)
	}
	return o.ID
}

// mailbox makes a mailbox in a Windows zone.
func (w *world) mailbox(address, zone string) *directory.Recipient {
	w.Helper()
	return w.mailboxOf(w.org, address, zone)
}

func (w *world) mailboxOf(org directory.OrgID, address, zone string) *directory.Recipient {
	w.Helper()
	a := smtpaddr.Must(address)
	r := &directory.Recipient{Org: org, Type: directory.UserMailbox, DisplayName: a.Local(), Alias: a.Local(), Primary: a, UPN: a.String(),
		Enabled: true, Calendar: directory.DefaultCalendar(zone)}
	if err := w.db.CreateRecipient(w.Context(), r); err != nil {
		w.Fatal(err)
	}
	return r
}

// load imports a file of components, which must work.
func (w *world) load(r *directory.Recipient, name string, components ...string) directory.ImportSummary {
	w.Helper()
	return w.loadText(r, name, sourcetest.Calendar(components...))
}

func (w *world) loadText(r *directory.Recipient, name, text string) directory.ImportSummary {
	w.Helper()
	s, err := w.Import(w.Context(), r, name, strings.NewReader(text))
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// subjects asks for a window and returns the subjects with their starts.
func (w *world) subjects(c *calstore.Calendars, r *directory.Recipient, from, to string) []string {
	w.Helper()
	iv, err := c.Busy(w.Context(), r.Org, r, span(w, from, to), true)
	if err != nil {
		w.Fatal(err)
	}
	var list []string
	for _, i := range iv {
		list = append(list, i.Start.Format("2006-01-02T15:04")+" "+i.Detail.Subject)
	}
	slices.Sort(list)
	return list
}

func (w *world) want(c *calstore.Calendars, r *directory.Recipient, from, to string, want ...string) {
	w.Helper()
	if d := cmp.Diff(want, w.subjects(c, r, from, to)); d != "" {
		w.Errorf("%s to %s (-want +got):\n%s", from, to, d)
	}
}

func span(t testing.TB, from, to string) freebusy.Window {
	t.Helper()
	var at [2]time.Time
	for i, s := range []string{from, to} {
		var err error
		if at[i], err = time.Parse(time.DateOnly, s); err != nil {
			t.Fatal(err)
		}
	}
	return freebusy.Window{Start: at[0], End: at[1]}
}

// event is an hour at 09:00 UTC of a day, 20060102.
func event(uid, subject, day string, lines ...string) string {
	return sourcetest.Event(uid, append([]string{"SUMMARY:" + subject, "DTSTART:" + day + "T090000Z", "DTEND:" + day + "T100000Z"}, lines...)...)
}

func TestConformance(t *testing.T) {
	sourcetest.Run(t, sourcetest.Family{New: func(t testing.TB, zone, text string) (sourcetest.Source, *directory.Recipient) {
		w := newWorld(t)
		r := w.mailbox("anna@contoso.com", zone)
		w.loadText(r, "a.ics", text)
		return w.Calendars, r
	}})
}

func TestNewChecksItsConfig(t *testing.T) {
	if _, err := calstore.New(calstore.Config{}); err == nil {
		t.Error("no error without a store")
	}
}

func TestAQuestionIsAnsweredFromMemory(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.load(r, "a.ics", event("a", "once", "20260310"), event("b", "series", "20260302", "RRULE:FREQ=DAILY"))
	week := func() {
		w.want(w.Calendars, r, "2026-03-10", "2026-03-11", "2026-03-10T09:00 once", "2026-03-10T09:00 series")
	}
	week()
	states, reads, before := w.spy.states.Load(), w.spy.reads.Load(), w.Stats()
	week()
	w.want(w.Calendars, r, "2026-03-12", "2026-03-13", "2026-03-12T09:00 series") // same month
	if w.spy.states.Load() != states || w.spy.reads.Load() != reads {
		t.Errorf("the store was asked: %d states, %d months", w.spy.states.Load()-states, w.spy.reads.Load()-reads)
	}
	// Time that passes asks for nothing either.
	w.now.Add(int64(time.Hour))
	week()
	if w.spy.states.Load() != states || w.spy.reads.Load() != reads {
		t.Errorf("the store was asked an hour later: %d states, %d months", w.spy.states.Load()-states, w.spy.reads.Load()-reads)
	}
	// A cold answer reads months; neither parses nor expands.
	w.Forget()
	week()
	after := w.Stats()
	if after.Parsed != before.Parsed || after.Expanded != before.Expanded {
		t.Errorf("a question parsed %d, expanded %d", after.Parsed-before.Parsed, after.Expanded-before.Expanded)
	}
	if after.Loads != before.Loads+1 || after.Questions != before.Questions+4 {
		t.Errorf("stats %+v after %+v", after, before)
	}
}

func TestWhatAnotherProcessDidIsSeen(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.load(r, "a.ics", event("a", "first", "20260310"))
	other, _ := w.open(calstore.Config{})
	for _, c := range []*calstore.Calendars{w.Calendars, other} {
		w.want(c, r, "2026-03-10", "2026-03-12", "2026-03-10T09:00 first")
	}
	w.load(r, "b.ics", event("b", "second", "20260311"))
	w.want(w.Calendars, r, "2026-03-10", "2026-03-12", "2026-03-10T09:00 first", "2026-03-11T09:00 second") // its own at once
	w.now.Add(int64(time.Second))
	w.want(other, r, "2026-03-10", "2026-03-12", "2026-03-10T09:00 first", "2026-03-11T09:00 second")

}

func TestOneAnswerIsOfOneVersion(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.load(r, "a.ics", event("a", "march", "20260310"))
	other, spy := w.open(calstore.Config{})
	w.want(other, r, "2026-03-01", "2026-03-31", "2026-03-10T09:00 march")
	// The event moves between the look at the version and the reading of April.
	moves := 0
	spy.beforeMonths = func() {
		if moves++; moves == 1 {
			w.load(r, "a.ics", event("a", "april", "20260410", "SEQUENCE:1"))
		}
	}
	w.want(other, r, "2026-03-01", "2026-04-30", "2026-04-10T09:00 april")
}

func TestManyMailboxesStayInBounds(t *testing.T) {
	w := newWorld(t)
	c, _ := w.open(calstore.Config{CacheBytes: 20_000})
	var all []*directory.Recipient
	for i := range 30 {
		r := w.mailbox(fmt.Sprintf("user%d@contoso.com", i), "UTC")
		var events []string
		for d := range 28 {
			events = append(events, event(fmt.Sprint(d), fmt.Sprint("mailbox ", i), fmt.Sprintf("202603%02d", d+1)))
		}
		w.load(r, "a.ics", events...)
		all = append(all, r)
	}
	for range 3 {
		for i, r := range all {
			got := w.subjects(c, r, "2026-03-01", "2026-03-31")
			if len(got) != 28 || got[0] != fmt.Sprint("2026-03-01T09:00 mailbox ", i) {
				t.Fatalf("mailbox %d: %d entries, first %v", i, len(got), got[:min(1, len(got))])
			}
		}
	}
	if bytes, n := c.Remembered(); bytes > 20_000 || n == 0 || n >= len(all) {
		t.Errorf("%d bytes of %d calendars in memory, want at most 20000 of some", bytes, n)
	}
	// A mailbox that is asked for its whole life does not stay whole.
	c, _ = w.open(calstore.Config{})
	for y := 1950; y < 2050; y++ {
		for _, half := range []string{"01", "07"} {
			w.subjects(c, all[0], fmt.Sprintf("%d-%s-01", y, half), fmt.Sprintf("%d-%s-28", y, half))
		}
	}
	if bytes, _ := c.Remembered(); bytes > 10_000 {
		t.Errorf("%d bytes in memory after questions about a century", bytes)
	}
}

func TestHorizon(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.load(r, "a.ics", event("w", "weekly", "19990104", "RRULE:FREQ=WEEKLY"), event("f", "finite", "20260105", "RRULE:FREQ=WEEKLY;COUNT=10"),
		event("o", "once", "20500103"))
	health := func(from, to string) {
		t.Helper()
		h, err := w.Health(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.ExpandedFrom.Format(time.DateOnly) + " " + h.ExpandedTo.Format(time.DateOnly); got != from+" "+to {
			t.Errorf("expanded %s, want %s %s", got, from, to)
		}
	}
	health("2025-01-01", "2030-01-01")
	steps := []struct {
		name       string
		from, to   string
		want       []string
		extensions int64 // years added
		expanded   int64 // objects, at most all of the calendar
	}{
		{"inside", "2026-03-02", "2026-03-03", []string{"2026-03-02T09:00 finite", "2026-03-02T09:00 weekly"}, 0, 0},
		{"the year after", "2030-12-30", "2031-01-07", []string{"2030-12-30T09:00 weekly", "2031-01-06T09:00 weekly"}, 2, 1},
		{"again", "2030-12-30", "2031-01-07", []string{"2030-12-30T09:00 weekly", "2031-01-06T09:00 weekly"}, 0, 0},
		{"far ahead adds that year only", "2050-01-01", "2050-01-08", []string{"2050-01-03T09:00 once", "2050-01-03T09:00 weekly"}, 1, 1},
		{"far back", "1999-01-01", "1999-01-08", []string{"1999-01-04T09:00 weekly"}, 1, 1},
		{"before any series began", "1998-01-01", "1998-01-08", nil, 0, 0},
		{"the last year", "2076-12-28", "2076-12-29", []string{"2076-12-28T09:00 weekly"}, 1, 1},
	}
	for _, tt := range steps {
		before := w.Stats()
		w.want(w.Calendars, r, tt.from, tt.to, tt.want...)
		w.Forget()
		w.want(w.Calendars, r, tt.from, tt.to, tt.want...)
		after := w.Stats()
		if after.Extensions-before.Extensions != tt.extensions || after.Expanded-before.Expanded != tt.expanded {
			t.Errorf("%s: %d years added, %d objects expanded; want %d, %d", tt.name, after.Extensions-before.Extensions, after.Expanded-before.Expanded, tt.extensions, tt.expanded)
		}
	}
	health("2025-01-01", "2032-01-01")

	_, err := w.Busy(t.Context(), r.Org, r, span(t, "2077-01-01", "2077-01-08"), true)
	if me, ok := errors.AsType[*routing.MailboxError](err); !ok || me.Reason != routing.GenerationFailed || !strings.Contains(me.Text, "1900 to 2076") {
		t.Errorf("beyond the last year: %v, want GenerationFailed with the years", err)
	}
	// Without a series that could reach it, there is an answer.
	single := w.mailbox("bert@contoso.com", "UTC")
	w.load(single, "a.ics", event("o", "once", "21000104"), event("f", "finite", "20260105", "RRULE:FREQ=WEEKLY;COUNT=10"))
	w.want(w.Calendars, single, "2100-01-01", "2100-01-08", "2100-01-04T09:00 once")

	// An import expands for every year that is there by now.
	w.load(r, "b.ics", event("x", "monthly", "20260103", "RRULE:FREQ=MONTHLY;BYMONTHDAY=3"))
	before := w.Stats()
	w.want(w.Calendars, r, "2050-01-01", "2050-01-08", "2050-01-03T09:00 monthly", "2050-01-03T09:00 once", "2050-01-03T09:00 weekly")
	if after := w.Stats(); after.Expanded != before.Expanded {
		t.Error("the new series was not expanded for 2050 by its import")
	}
	// Two years later an import moves the horizon on.
	w.now.Store(time.Date(2028, 3, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	w.load(r, "c.ics", event("y", "later", "20280401"))
	health("2025-01-01", "2032-01-01")
}

func TestANewYearIsExpandedOnceForManyQuestions(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.load(r, "a.ics", event("w", "daily", "20260104", "RRULE:FREQ=DAILY"))
	before := w.Stats()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			iv, err := w.Busy(t.Context(), r.Org, r, span(t, "2040-02-01", "2040-03-01"), true)
			if err != nil || len(iv) != 29 {
				t.Errorf("%d entries, %v; want 29", len(iv), err)
			}
		})
	}
	wg.Wait()
	if n := w.Stats().Expanded - before.Expanded; n != 1 {
		t.Errorf("expanded %d times, want once", n)
	}
}

func TestAChangeOfAnotherProcessBetweenIsNotLost(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.load(r, "a.ics", event("a", "first", "20260310", "RRULE:FREQ=YEARLY"))
	other, spy := w.open(calstore.Config{})
	changes := 0
	spy.beforeChange = func() {
		if changes++; changes <= 3 {
			w.load(r, "b.ics", event(fmt.Sprint("b", changes), "between", "20260311"))
		}
	}
	if _, err := other.Import(t.Context(), r, "c.ics", strings.NewReader(sourcetest.Calendar(event("c", "last", "20260312")))); err != nil {
		t.Fatal(err)
	}
	changes = 0
	w.want(other, r, "2040-03-01", "2040-03-31", "2040-03-10T09:00 first")
	w.want(other, r, "2026-03-10", "2026-03-20", "2026-03-10T09:00 first",
		"2026-03-11T09:00 between", "2026-03-11T09:00 between", "2026-03-11T09:00 between", "2026-03-12T09:00 last")
	if h, err := other.Health(t.Context(), r); err != nil || h.Objects != 5 {
		t.Errorf("health %+v, %v; want 5 objects", h, err)
	}
}

func TestZoneChange(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "China Standard Time")
	floating := func(uid, subject string, lines ...string) string {
		return sourcetest.Event(uid, append([]string{"SUMMARY:" + subject, "DTSTART:20260310T090000", "DTEND:20260310T100000"}, lines...)...)
	}
	w.load(r, "a.ics", floating("a", "floating"), floating("b", "series", "RRULE:FREQ=DAILY"), event("c", "fixed", "20260310"),
		sourcetest.Event("d", "SUMMARY:day", "DTSTART;VALUE=DATE:20260310"))
	w.loadText(r, "b.ics", strings.Replace(sourcetest.Calendar(floating("e", "of the file")), "BEGIN:VEVENT", "X-WR-TIMEZONE:America/New_York\r\nBEGIN:VEVENT", 1))
	w.want(w.Calendars, r, "2026-03-10", "2026-03-11", "2026-03-09T16:00 day", "2026-03-10T01:00 floating", "2026-03-10T01:00 series",
		"2026-03-10T09:00 fixed", "2026-03-10T13:00 of the file")
	before := w.Stats()

	moved := *r
	moved.Calendar.TimeZone = "W. Europe Standard Time"
	if err := w.Rezone(t.Context(), &moved); err != nil {
		t.Fatal(err)
	}
	if n := w.Stats().Expanded - before.Expanded; n != 3 {
		t.Errorf("expanded %d objects, want the 3 that use the mailbox's zone", n)
	}
	inBerlin := []string{"2026-03-09T23:00 day", "2026-03-10T08:00 floating", "2026-03-10T08:00 series", "2026-03-10T09:00 fixed", "2026-03-10T13:00 of the file"}
	w.want(w.Calendars, &moved, "2026-03-10", "2026-03-11", inBerlin...)
	w.want(w.Calendars, &moved, "2026-03-09", "2026-03-10", "2026-03-09T23:00 day")
	before = w.Stats()
	if err := w.Rezone(t.Context(), &moved); err != nil {
		t.Fatal(err)
	}
	if n := w.Stats().Expanded - before.Expanded; n != 0 {
		t.Errorf("the same zone again expanded %d objects", n)
	}

	// A question finds out by itself when Rezone was never called.
	moved.Calendar.TimeZone = "UTC"
	w.want(w.Calendars, &moved, "2026-03-10", "2026-03-11", "2026-03-10T00:00 day", "2026-03-10T09:00 fixed", "2026-03-10T09:00 floating",
		"2026-03-10T09:00 series", "2026-03-10T13:00 of the file")
	// And so does an import.
	moved.Calendar.TimeZone = "W. Europe Standard Time"
	w.load(&moved, "c.ics", event("f", "new", "20260310"))
	w.want(w.Calendars, &moved, "2026-03-10", "2026-03-11", append(inBerlin[:4:4], "2026-03-10T09:00 new", inBerlin[4])...)

	broken := moved
	broken.Calendar.TimeZone = "Nowhere Standard Time"
	if err := w.Rezone(t.Context(), &broken); err == nil || !strings.Contains(err.Error(), "Nowhere") {
		t.Errorf("unknown zone: %v", err)
	}
}

func TestCalendarsDoNotSeeEachOther(t *testing.T) {
	w := newWorld(t)
	other := w.organization("fabrikam.com")
	a, b, c := w.mailbox("anna@contoso.com", "UTC"), w.mailbox("bert@contoso.com", "UTC"), w.mailboxOf(other, "carl@fabrikam.com", "UTC")
	for _, r := range []*directory.Recipient{a, b, c} {
		w.load(r, "a.ics", event("same", r.DisplayName, "20260310", "RRULE:FREQ=DAILY"))
	}
	ids := map[string]bool{}
	for _, r := range []*directory.Recipient{a, b, c} {
		w.want(w.Calendars, r, "2026-03-11", "2026-03-12", "2026-03-11T09:00 "+r.DisplayName)
		iv, err := w.Busy(t.Context(), r.Org, r, span(t, "2026-03-11", "2026-03-12"), true)
		if err != nil {
			t.Fatal(err)
		}
		ids[iv[0].Detail.ID] = true
	}
	if len(ids) != 3 {
		t.Errorf("%d different ids for the same event in three mailboxes, want 3", len(ids))
	}
	// The organization of the question counts, not only the id of the mailbox.
	if iv, err := w.Busy(t.Context(), other, a, span(t, "2026-03-11", "2026-03-12"), true); err != nil || len(iv) != 0 {
		t.Errorf("asked in the other organization: %d entries, %v", len(iv), err)
	}
	w.load(b, "b.ics", event("same", "newer", "20260310", "RRULE:FREQ=DAILY", "SEQUENCE:1"))
	w.want(w.Calendars, a, "2026-03-11", "2026-03-12", "2026-03-11T09:00 anna")
	w.want(w.Calendars, b, "2026-03-11", "2026-03-12", "2026-03-11T09:00 newer")
}

func TestAnswersAreBounded(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	var events []string
	for i := range 11 {
		events = append(events, event(fmt.Sprint(i), "x", "20260310"))
	}
	w.load(r, "a.ics", events...)
	w.Limit(calstore.Limits{Answer: 10})
	_, err := w.Busy(t.Context(), r.Org, r, span(t, "2026-03-10", "2026-03-11"), true)
	me, ok := errors.AsType[*routing.MailboxError](err)
	if !ok || me.Reason != routing.TooManyEvents || !strings.Contains(me.Text, "The allowed size = 10; the actual size = 11") {
		t.Errorf("got %v, want TooManyEvents", err)
	}
}

func TestImportsAndQuestionsAtTheSameTime(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	const versions = 12
	file := func(v int) string {
		var events []string
		for d := range 20 {
			events = append(events, event(fmt.Sprint(d), fmt.Sprint("v", v), fmt.Sprintf("2026%02d%02d", 3+(d+v)%2, d+1), fmt.Sprint("SEQUENCE:", v)))
		}
		return sourcetest.Calendar(events...)
	}
	w.loadText(r, "a.ics", file(0))
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for v := 1; v <= versions; v++ {
			w.now.Add(int64(time.Second))
			if _, err := w.Import(t.Context(), r, "a.ics", strings.NewReader(file(v))); err != nil {
				t.Error(err)
			}
		}
	})
	other, _ := w.open(calstore.Config{CacheBytes: 1 << 12})
	for _, c := range []*calstore.Calendars{w.Calendars, w.Calendars, other} {
		wg.Go(func() {
			for last := ""; ; {
				select {
				case <-done:
					return
				default:
				}
				iv, err := c.Busy(t.Context(), r.Org, r, span(t, "2026-03-01", "2026-04-30"), true)
				if err != nil || len(iv) != 20 {
					t.Errorf("%d entries, %v; want 20", len(iv), err)
					return
				}
				for _, i := range iv {
					if i.Detail.Subject != iv[0].Detail.Subject {
						t.Errorf("one answer has %s and %s", iv[0].Detail.Subject, i.Detail.Subject)
						return
					}
				}
				if s := fmt.Sprintf("%4s", iv[0].Detail.Subject); s < last {
					t.Errorf("%s after %s", s, last)
				} else {
					last = s
				}
			}
		})
	}
	wg.Wait()
}
