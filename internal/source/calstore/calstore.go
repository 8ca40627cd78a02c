// Package calstore is the built-in calendar: it reads iCalendar files into a
// store and answers from it.
//
// Calendar text is kept as it came, one object for each UID of a folder. Beside it stand the
// occurrences, packed by UTC month in the form in which they are searched, so
// that a question reads the few months that it asks for, and mostly finds them in
// memory. A question parses no iCalendar and expands nothing, with one
// exception: series are expanded for some years around the day of their import,
// and the first question about another year adds that year, for good.
//
// Every month of an expanded year holds all that overlaps it. Months of other
// years hold only events that do not repeat. An event of more than a few hundred
// days would fill too many months and is kept apart (directory.LongMonth).
//
// A mailbox has several calendars (folders), which make one picture: folders.go
// says which of them counts. A small change stands beside the months as a patch,
// until there are many.
//
// A calendar has a version that grows with each change. A change is computed
// from one version and is kept only if the calendar is still at it.
package calstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
)

// A Store keeps calendars. Every change is one transaction.
type Store interface {
	// CalendarState is the zero state for a mailbox without calendar.
	CalendarState(ctx context.Context, org directory.OrgID, mailbox string) (directory.CalendarState, error)
	// CalendarMonths returns those of the months from..to (both not negative) that
	// exist, and all below 0, with the version that all of them belong to.
	CalendarMonths(ctx context.Context, org directory.OrgID, mailbox string, from, to int) (version int64, months []directory.CalendarMonth, err error)
	CalendarObjects(ctx context.Context, org directory.OrgID, mailbox string, f directory.CalendarFilter) iter.Seq2[*directory.CalendarObject, error]
	// ChangeCalendar is directory.ErrCalendarChanged when the calendar is not at
	// version base, and directory.ErrNotFound when there is no such mailbox.
	ChangeCalendar(ctx context.Context, org directory.OrgID, mailbox string, base int64, c *directory.CalendarChange) error
	CalendarUnreadable(ctx context.Context, org directory.OrgID, mailbox string) (int, error)
	// CalendarFolders are those of which something is known.
	CalendarFolders(ctx context.Context, org directory.OrgID, mailbox string) ([]directory.CalendarFolder, error)
	// CalendarChanges are at most limit objects of a folder that changed or went away
	// after since, in order, and the position after them; more: there may be more of
	// them. A since that is not known is directory.ErrCalendarPosition.
	CalendarChanges(ctx context.Context, org directory.OrgID, mailbox, folder string, since directory.CalendarPosition, limit int) (list []directory.CalendarNews, next directory.CalendarPosition, more bool, err error)
	// CalendarMark is another number, never 0, whenever the calendar may have
	// changed. It does not wait.
	CalendarMark(org directory.OrgID, mailbox string) uint64
}

// Config of Calendars.
type Config struct {
	Store Store            // required
	Now   func() time.Time // required
	Log   *slog.Logger     // required
	// CacheBytes bounds the occurrences kept in memory. 0: 32 MiB.
	CacheBytes int
	// YearsBack and YearsAhead are the years for which series are expanded at once,
	// beside the present one. 0: 1 and 3.
	YearsBack, YearsAhead int
}

// The limits of a calendar.
const (
	// MaxFile is the size of one imported file in bytes.
	MaxFile = 64 << 20
	// MaxUID is the length of a UID in bytes. RFC 7986 5.3 advises 255.
	MaxUID = 1000
	// FirstYear and MaxYearsAhead bound the years for which series are expanded. A
	// question beyond them that a series could reach has no answer.
	FirstYear     = 1900
	MaxYearsAhead = 50
)

// limits are those that tests make smaller.
type limits struct {
	file        int64
	instances   int // of one object in one year, on average
	entries     int // occurrences of one object, counted once for each month that they touch
	occurrences int // of one calendar
	work        int // instances that one change computes, used or not
	answer      int // of one answer
	patches     int // of one calendar
}

var defaultLimits = limits{
	file:        MaxFile,
	instances:   50_000, // one in ten minutes
	entries:     400_000,
	occurrences: 2_000_000,
	work:        10_000_000,
	answer:      50_000,
	patches:     128,
}

// Stats counts the work of Calendars since the start.
type Stats struct {
	Questions  int64 // answered or not
	Loads      int64 // questions that read months from the store
	Parsed     int64 // iCalendar texts
	Expanded   int64 // objects
	Extensions int64 // years added because a question asked for them
}

// Calendars answers for the mailboxes whose calendar is kept here. It is safe
// for concurrent use.
type Calendars struct {
	Config
	limits limits
	cache  *otter.Cache[key, *calendar]
	locks  locks
	stats  struct{ questions, loads, parsed, expanded, extensions atomic.Int64 }
}

// A key names a calendar.
type key struct {
	org     directory.OrgID
	mailbox string
}

// A calendar is what is in memory of one calendar at one version. All but mark
// is read-only.
type calendar struct {
	state  directory.CalendarState
	months map[int]*month // those without occurrences are in it too
	// patches are on the months already; their number and size, known with months.
	patches, patchEntries int

	mark atomic.Uint64 // CalendarMark before this version was seen in the store; 0: none
}

// New returns Calendars over a store.
func New(c Config) (*Calendars, error) {
	if c.Store == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("calstore: Config.Store, Now and Log are required")
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 32 << 20
	}
	if c.YearsBack == 0 {
		c.YearsBack = 1
	}
	if c.YearsAhead == 0 {
		c.YearsAhead = 3
	}
	if c.CacheBytes < 0 || c.YearsBack < 0 || c.YearsAhead < 0 || c.YearsAhead > MaxYearsAhead {
		return nil, fmt.Errorf("calstore: cache of %d bytes, %d years back, %d ahead", c.CacheBytes, c.YearsBack, c.YearsAhead)
	}
	cache, err := otter.New(&otter.Options[key, *calendar]{
		MaximumWeight: uint64(c.CacheBytes),
		Weigher:       func(_ key, cal *calendar) uint32 { return cal.size() },
	})
	if err != nil {
		return nil, fmt.Errorf("calstore: %w", err)
	}
	return &Calendars{Config: c, limits: defaultLimits, cache: cache, locks: newLocks()}, nil
}

// Stats returns the counters.
func (c *Calendars) Stats() Stats {
	s := &c.stats
	return Stats{s.questions.Load(), s.loads.Load(), s.parsed.Load(), s.expanded.Load(), s.extensions.Load()}
}

// Busy returns the entries of mailbox that overlap w, whole, in any order, with
// their Detail where details is set. Free ones are among them; cancelled and
// declined ones are not. The error is a *routing.MailboxError.
func (c *Calendars) Busy(ctx context.Context, org directory.OrgID, mailbox *directory.Recipient, w freebusy.Window, details bool) ([]freebusy.Interval, error) {
	c.stats.questions.Add(1)
	if !w.Start.Before(w.End) {
		return nil, nil
	}
	iv, err := c.busy(ctx, key{org, mailbox.ID}, mailbox, w, details)
	if err == nil {
		return iv, nil
	}
	if _, ok := errors.AsType[*routing.MailboxError](err); !ok {
		reason := routing.GenerationFailed
		if errors.Is(err, context.DeadlineExceeded) {
			reason = routing.TimedOut
		}
		err = &routing.MailboxError{Reason: reason, Text: "the calendar of " + mailbox.Primary.String() + " cannot be read", Err: err}
	}
	return nil, err
}

// AppendBusyKnown appends what Busy returns, without reading; ok is false where
// that is not in memory.
func (c *Calendars) AppendBusyKnown(iv []freebusy.Interval, org directory.OrgID, mailbox *directory.Recipient, w freebusy.Window, details bool) (_ []freebusy.Interval, ok bool) {
	k := key{org, mailbox.ID}
	cal := c.current(k, c.Store.CalendarMark(org, mailbox.ID))
	if cal == nil || !w.Start.Before(w.End) {
		return iv, false
	}
	if cal.state.Version > 0 {
		if cal.state.Zone != mailbox.Calendar.TimeZone {
			return iv, false
		}
		for y := w.Start.UTC().Year(); y <= w.End.Add(-1).UTC().Year(); y++ {
			if _, ok := slices.BinarySearch(cal.state.Years, y); !ok {
				return iv, false
			}
		}
		first, last := monthsOf(w)
		for n := first; n <= last; n++ {
			if !cal.has(n) {
				return iv, false
			}
		}
		more, err := c.appendIntervals(iv, cal, first, last, w, details)
		if err != nil {
			return iv, false
		}
		iv = more
	}
	c.stats.questions.Add(1)
	return iv, true
}

func (c *Calendars) busy(ctx context.Context, k key, mailbox *directory.Recipient, w freebusy.Window, details bool) ([]freebusy.Interval, error) {
	first, last := monthsOf(w)
	for range maxTries {
		cal, err := c.calendar(ctx, k)
		if err != nil {
			return nil, err
		}
		if cal.state.Version == 0 {
			return nil, nil
		}
		if cal.state.Zone != mailbox.Calendar.TimeZone {
			if err := c.rezone(ctx, k, mailbox); err != nil {
				return nil, err
			}
			continue
		}
		extended, err := c.reach(ctx, k, mailbox, &cal.state, w)
		if err != nil {
			return nil, err
		}
		if extended {
			continue
		}
		cal, err = c.load(ctx, k, cal, first, last)
		if errors.Is(err, directory.ErrCalendarChanged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return c.appendIntervals(nil, cal, first, last, w, details)
	}
	return nil, directory.ErrCalendarChanged
}

// maxTries is how often something is begun again because the calendar changed.
const maxTries = 10

// current returns what is in memory, if nothing can have changed since; else nil.
func (c *Calendars) current(k key, mark uint64) *calendar {
	if cal, ok := c.cache.GetIfPresent(k); ok && cal.mark.Load() == mark {
		return cal
	}
	return nil
}

// calendar returns what is in memory, at the version that the store has.
func (c *Calendars) calendar(ctx context.Context, k key) (*calendar, error) {
	mark := c.Store.CalendarMark(k.org, k.mailbox)
	old, ok := c.cache.GetIfPresent(k)
	if ok && old.mark.Load() == mark {
		return old, nil
	}
	st, err := c.Store.CalendarState(ctx, k.org, k.mailbox)
	if err != nil {
		return nil, err
	}
	if ok && st.Version == old.state.Version {
		old.mark.Store(mark)
		return old, nil
	}
	cal := &calendar{state: st}
	cal.mark.Store(mark)
	c.replace(k, old, cal)
	return cal, nil
}

// replace keeps cal in memory in the place of old (nil: of anything older),
// unless another one came there meanwhile and is as new.
func (c *Calendars) replace(k key, old, cal *calendar) {
	c.cache.Compute(k, func(present *calendar, found bool) (*calendar, otter.ComputeOp) {
		if found && present != old && present.state.Version >= cal.state.Version {
			return nil, otter.CancelOp
		}
		return cal, otter.WriteOp
	})
}

// load returns cal with the months first..last. A store that is at another
// version is directory.ErrCalendarChanged.
func (c *Calendars) load(ctx context.Context, k key, cal *calendar, first, last int) (*calendar, error) {
	lo, hi := first, last
	for lo <= hi && cal.has(lo) {
		lo++
	}
	for lo <= hi && cal.has(hi) {
		hi--
	}
	if lo > hi {
		return cal, nil
	}
	c.stats.loads.Add(1)
	version, rows, err := c.Store.CalendarMonths(ctx, k.org, k.mailbox, lo, hi)
	if err != nil {
		return nil, err
	}
	if version != cal.state.Version {
		cal.mark.Store(0)
		return nil, directory.ErrCalendarChanged
	}
	more, err := cal.with(rows, first, last, lo, hi)
	if err != nil {
		return nil, err
	}
	c.replace(k, cal, more)
	return more, nil
}

// with returns cal with the months lo..hi, which rows say all of; of those that it
// has already, those of first..last stay.
func (cal *calendar) with(rows []directory.CalendarMonth, first, last, lo, hi int) (*calendar, error) {
	more := &calendar{state: cal.state, months: make(map[int]*month, len(cal.months)+hi-lo+2)}
	more.mark.Store(cal.mark.Load())
	// A mailbox that is asked for its whole life does not stay in memory whole.
	if len(cal.months) <= maxMonths {
		maps.Copy(more.months, cal.months)
	} else {
		for n := first; n <= last; n++ {
			if m, ok := cal.months[n]; ok {
				more.months[n] = m
			}
		}
	}
	// What is read takes the place of what was known: patches belong on it.
	read := []int{directory.LongMonth}
	for n := lo; n <= hi; n++ {
		read = append(read, n)
	}
	for _, n := range read {
		more.months[n] = &month{}
	}
	rows, patches, err := split(rows)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if more.months[r.Month], err = openMonth(r.Data); err != nil {
			return nil, fmt.Errorf("month %d: %w", r.Month, err)
		}
	}
	drop := dropped(patches)
	for _, n := range read {
		if more.months[n], err = patched(more.months[n], n, patches, drop); err != nil {
			return nil, fmt.Errorf("month %d: %w", n, err)
		}
	}
	more.patches = len(patches)
	for _, p := range patches {
		more.patchEntries += p.entries()
	}
	return more, nil
}

// maxMonths is the number of months of one calendar that are kept in memory.
const maxMonths = 36

func (cal *calendar) has(month int) bool {
	_, ok := cal.months[month]
	return ok
}

// size is what cal takes in memory, about.
func (cal *calendar) size() uint32 {
	n := 256
	for _, m := range cal.months {
		n += 64 + m.size()
	}
	return uint32(min(n, 1<<31))
}

// overlapping yields each occurrence of w, once. All of the months first..last
// are in memory.
func (cal *calendar) overlapping(first, last int, w freebusy.Window) iter.Seq2[*month, int] {
	from, to := w.Start.Unix(), w.End.Unix()
	if w.End.Nanosecond() > 0 {
		to++ // occurrences begin with whole seconds
	}
	return func(yield func(m *month, i int) bool) {
		for n := first - 1; n <= last; n++ {
			// What began before the second month was there in the first.
			m, floor := cal.months[n], int64(-timeBias)
			switch {
			case n < first:
				m = cal.months[directory.LongMonth]
			case n > first:
				floor = monthStart(n)
			}
			for i := m.reaching(from); i < m.len(); i++ {
				start := m.start(i)
				if start >= to {
					break
				}
				if m.end(i) > from && start >= floor && !yield(m, i) {
					return
				}
			}
		}
	}
}

// idSize is the length of a Detail.ID: objectKey and start in hexadecimal.
const idSize = 2 * (len(objectKey{}) + 5)

func (c *Calendars) appendIntervals(iv []freebusy.Interval, cal *calendar, first, last int, w freebusy.Window, details bool) ([]freebusy.Interval, error) {
	before := len(iv)
	unavailable := false
	for m, i := range cal.overlapping(first, last, w) {
		unavailable = unavailable || m.flags(i)&flagUnavailable != 0
		if len(iv)-before == c.limits.answer {
			return nil, c.tooMany(cal, first, last, w)
		}
		iv = append(iv, freebusy.Interval{Start: time.Unix(m.start(i), 0).UTC(), End: time.Unix(m.end(i), 0).UTC(), Status: m.status(i)})
	}
	if details {
		cal.describe(first, last, w, iv[before:])
	}
	if unavailable {
		iv = append(iv[:before], cal.outside(first, last, w, iv[before:])...)
	}
	return iv, nil
}

func (c *Calendars) tooMany(cal *calendar, first, last int, w freebusy.Window) error {
	n := 0
	for range cal.overlapping(first, last, w) {
		n++
	}
	return &routing.MailboxError{Reason: routing.TooManyEvents,
		Text: fmt.Sprintf("The result set contains too many calendar entries. The allowed size = %d; the actual size = %d.", c.limits.answer, n)}
}

// describe gives the occurrences of w, in their order, their details.
func (cal *calendar) describe(first, last int, w freebusy.Window, iv []freebusy.Interval) {
	all := make([]freebusy.Detail, 0, len(iv))
	ids := make([]byte, 0, len(iv)*idSize)
	for m, i := range cal.overlapping(first, last, w) {
		p, flags := m.part(i), m.flags(i)
		d := freebusy.Detail{
			Meeting: flags&flagMeeting != 0, Recurring: flags&flagRecurring != 0, Exception: flags&flagException != 0,
			Reminder: flags&flagReminder != 0, Private: flags&flagPrivate != 0,
		}
		d.Subject, d.Location = m.text(p)
		iv[len(all)].Detail = &all[:len(all)+1][len(all)]
		all = append(all, d)
		ids = appendID(ids, m.object(p), m.start(i))
	}
	text := string(ids)
	for i := range all {
		all[i].ID = text[i*idSize:][:idSize]
	}
}

// appendID appends what tells one entry of a mailbox from all others, and the
// same entry from one question to the next (EWS reference 2.6).
func appendID(b []byte, object objectKey, start int64) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range object {
		b = append(b, digits[c>>4], digits[c&15])
	}
	for shift := 36; shift >= 0; shift -= 4 {
		b = append(b, digits[uint64(start+timeBias)>>shift&15])
	}
	return b
}

// Health tells what is known of a mailbox's calendar.
func (c *Calendars) Health(ctx context.Context, mailbox *directory.Recipient) (directory.CalendarHealth, error) {
	st, err := c.Store.CalendarState(ctx, mailbox.Org, mailbox.ID)
	if err != nil {
		return directory.CalendarHealth{}, err
	}
	h := directory.CalendarHealth{Objects: st.Objects, Occurrences: st.Occurrences}
	if h.Unreadable, err = c.Store.CalendarUnreadable(ctx, mailbox.Org, mailbox.ID); err != nil {
		return directory.CalendarHealth{}, err
	}
	if from, to, ok := yearsAround(st.Years, c.Now().UTC().Year()); ok {
		h.ExpandedFrom = time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC)
		h.ExpandedTo = time.Date(to+1, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return h, nil
}
