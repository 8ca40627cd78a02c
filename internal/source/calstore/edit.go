package calstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/wintz"
)

// longEvent is the length from which an event that does not repeat is kept with
// the long ones instead of with every month that it touches.
const longEvent = 400 * 24 * time.Hour

// An edit collects what becomes different in one calendar.
type edit struct {
	*Calendars
	k       key
	mailbox *directory.Recipient
	zone    *time.Location // the mailbox's
	base    int64
	state   directory.CalendarState // as it will be
	gone    []directory.CalendarPlace
	left    []directory.CalendarGone // those of gone that leave their folder
	put     []*directory.CalendarObject
	written func(n int)        // told how many of put are written; nil: nobody
	drop    map[objectKey]bool // whose occurrences go away
	add     map[int][]occurrence
	entries int // in add
	room    int // for entries
	full    bool
	work    int  // instances computed
	lo, hi  int  // the months that drop and add may touch, beside LongMonth
	delta   int  // by which the number of occurrences changes
	unsure  bool // delta is not right

	folders   map[string]*directory.CalendarFolder // as they will be
	touched   map[string]bool                      // those that become different
	dropped   string                               // the folder that goes away
	available bool                                 // a VAVAILABILITY becomes different
}

// change runs fn over the calendar as it is, and keeps what fn put into the edit
// and the import record that it returned. It runs fn again when the calendar
// changed meanwhile. When fn says that there is nothing to do, nothing is done.
func (c *Calendars) change(ctx context.Context, k key, mailbox *directory.Recipient, fn func(*edit) (record *directory.CalendarImport, todo bool, err error)) error {
	zone, ok := wintz.Location(mailbox.Calendar.TimeZone)
	if !ok {
		return fmt.Errorf("mailbox %s has the unknown time zone %q", mailbox.Primary, mailbox.Calendar.TimeZone)
	}
	unlock, err := c.locks.lock(ctx, k)
	if err != nil {
		return err
	}
	defer unlock()
	for range maxTries {
		st, err := c.Store.CalendarState(ctx, k.org, k.mailbox)
		if err != nil {
			return err
		}
		// What another process did is news for the questions too.
		if cal, ok := c.cache.GetIfPresent(k); ok && cal.state.Version != st.Version {
			c.cache.Invalidate(k)
		}
		e := &edit{Calendars: c, k: k, mailbox: mailbox, zone: zone, base: st.Version, state: st,
			drop: map[objectKey]bool{}, add: map[int][]occurrence{}, lo: math.MaxInt32, hi: -1,
			room: c.limits.occurrences - st.Occurrences}
		err = e.readFolders(ctx)
		var record *directory.CalendarImport
		todo := false
		if err == nil {
			record, todo, err = fn(e)
		}
		if err == nil && todo && e.available {
			err = e.unavailable(ctx, e.state.Years, true)
		}
		if err == nil && todo {
			err = e.commit(ctx, record)
		}
		if !errors.Is(err, directory.ErrCalendarChanged) {
			return err
		}
	}
	return directory.ErrCalendarChanged
}

// remove takes away the occurrences of an object as the store has it.
func (e *edit) remove(o *directory.CalendarObject) {
	if o.Occurrences == 0 {
		return
	}
	e.delta -= o.Occurrences
	e.unsure = e.unsure || o.Occurrences < 0
	e.drop[keyOf(e.k.mailbox, o.UID)] = true
	from := o.From
	switch {
	case !o.Series:
		e.touch(monthOf(from), monthOf(*o.Until))
	case len(e.state.Years) > 0:
		e.touch(12*e.state.Years[0], 12*e.state.Years[len(e.state.Years)-1]+11)
	}
}

func (e *edit) touch(from, to int) {
	e.lo, e.hi = min(e.lo, from), max(e.hi, to)
}

// describe fills in what o's row says about the times of g.
func (e *edit) describe(o *directory.CalendarObject, g *ical.Group) {
	o.Occurrences = 0
	span, ok := e.expander(o).Span(g)
	if !ok { // cancelled, declined or broken
		o.Series, o.UsesMailboxZone, o.From, o.Until = false, false, time.Unix(0, 0).UTC(), &time.Time{}
		*o.Until = o.From
		return
	}
	o.Series = span.Endless || g.Master != nil && (g.Master.Get("RRULE") != nil || g.Master.Get("RDATE") != nil)
	o.UsesMailboxZone = span.Floating && o.FloatingZone == ""
	o.From, o.Until = span.First, nil
	if !span.Endless {
		o.Until = &span.Last
	}
}

// expander reads o's floating times in the zone of its file, else the mailbox's.
func (e *edit) expander(o *directory.CalendarObject) *ical.Expander {
	zone := e.zone
	if loc, ok := wintz.Location(o.FloatingZone); ok {
		zone = loc
	}
	return &ical.Expander{FloatingZone: zone, Owner: e.mailbox.Primary}
}

// expand adds the occurrences of a described object: all of them, or those of
// the given years if it is a series. It returns their number, and what could not
// be read. An object past a limit adds none.
func (e *edit) expand(o *directory.CalendarObject, g *ical.Group, years []int) (found int, problems []ical.Problem) {
	e.stats.expanded.Add(1)
	var (
		x      = e.expander(o)
		object = keyOf(e.k.mailbox, o.UID)
		staged = map[int][]occurrence{}
		n      = 0
		begun  = 0
	)
	// stage returns false past a limit.
	stage := func(from, to time.Time, years int) bool {
		if o.Series && e.work > e.limits.work {
			e.full = true
			return false
		}
		x.MaxInstances = years * e.limits.instances
		instances, more := x.Expand(g, from, to)
		if e.work += len(instances); o.Series && len(instances) == 0 && len(more) > 0 {
			e.work += x.MaxInstances // it may have been too many
		}
		for _, p := range more {
			if !slices.Contains(problems, p) {
				problems = append(problems, p)
			}
		}
		found += len(instances)
		for i := range instances {
			in := &instances[i]
			first, last := monthOf(in.Start), monthOf(in.End.Add(-1))
			switch {
			case o.Series:
				first, last = max(first, monthOf(from)), min(last, monthOf(to.Add(-1)))
			case in.End.Sub(in.Start) > longEvent:
				first, last = directory.LongMonth, directory.LongMonth
			}
			if n += last - first + 1; n > e.limits.entries {
				return false
			}
			if e.entries+n > e.room {
				e.full = true
				return false
			}
			if first == directory.LongMonth || !in.Start.Before(time.Unix(monthStart(first), 0)) {
				begun++
			}
			oc := occurrenceOf(object, in)
			for m := first; m <= last; m++ {
				staged[m] = append(staged[m], oc)
			}
		}
		return true
	}
	ok := true
	if o.Series {
		for first, last := range runs(years) {
			from, to := yearStart(first), yearStart(last+1)
			if o.From.Before(to) && (o.Until == nil || o.Until.After(from)) {
				ok = ok && stage(from, to, last-first+1)
			}
		}
	} else if o.From.Before(*o.Until) {
		ok = stage(o.From, *o.Until, 1)
	} else if len(years) > 0 { // nothing to find but a reason
		_, problems = x.Expand(g, yearStart(years[0]), yearStart(years[len(years)-1]+1))
	}
	if !ok {
		p := ical.Problem{Line: lineOf(g), UID: o.UID, Reason: fmt.Sprintf("too many occurrences: the limits are %d of one event and %d of a calendar", e.limits.entries, e.limits.occurrences)}
		return 0, append(problems, p)
	}
	e.entries += n
	e.delta += begun
	if o.Occurrences >= 0 {
		o.Occurrences += begun
	}
	for m, occs := range staged {
		e.add[m] = append(e.add[m], occs...)
		if m != directory.LongMonth {
			e.touch(m, m)
		}
	}
	return found, problems
}

// commit writes the edit in one transaction.
func (e *edit) commit(ctx context.Context, record *directory.CalendarImport) error {
	c := directory.CalendarChange{Import: record, Delete: e.gone, Gone: e.left, DropFolder: e.dropped, Put: func(yield func(*directory.CalendarObject) bool) {
		for i, o := range e.put {
			if !yield(o) {
				return
			}
			if e.written != nil {
				e.written(i + 1)
			}
		}
	}}
	for name := range e.touched {
		c.Folders = append(c.Folders, *e.folders[name])
	}
	now := &calendar{}
	if len(e.drop) > 0 || len(e.add) > 0 {
		old, err := e.known(ctx)
		if err != nil {
			return err
		}
		if e.small(old) {
			err = e.patch(&c, old, now)
		} else {
			err = e.rewrite(ctx, &c, old, now)
		}
		if err != nil {
			return err
		}
	} else if old, ok := e.cache.GetIfPresent(e.k); ok && old.state.Version == e.base {
		now.months, now.patches, now.patchEntries = old.months, old.patches, old.patchEntries
	}
	c.State = e.state
	if err := e.Store.ChangeCalendar(ctx, e.k.org, e.k.mailbox, e.base, &c); err != nil {
		return err
	}
	now.state = e.state
	now.state.Version = e.base + 1
	e.replace(e.k, nil, now)
	return nil
}

// known is what is in memory of the calendar, at least the number of its patches.
func (e *edit) known(ctx context.Context) (*calendar, error) {
	if e.base == 0 {
		return &calendar{}, nil
	}
	if old, ok := e.cache.GetIfPresent(e.k); ok && old.state.Version == e.base && old.months != nil {
		return old, nil
	}
	version, rows, err := e.Store.CalendarMonths(ctx, e.k.org, e.k.mailbox, 1, 0)
	if err == nil && version != e.base {
		err = directory.ErrCalendarChanged
	}
	if err != nil {
		return nil, err
	}
	_, patches, err := split(rows)
	old := &calendar{months: map[int]*month{}, patches: len(patches)}
	for _, p := range patches {
		old.patchEntries += p.entries()
	}
	return old, err
}

// small: the edit is kept as a patch.
func (e *edit) small(old *calendar) bool {
	return e.base > 0 && !e.unsure && len(e.put)+len(e.gone) <= maxPatchObjects &&
		old.patches < e.limits.patches && old.patchEntries+e.entries <= maxPatchEntries
}

// patch adds the edit as a patch. Months in memory that it touches are forgotten.
func (e *edit) patch(c *directory.CalendarChange, old, now *calendar) error {
	data, err := packPatch(e.drop, e.add)
	if err != nil {
		return err
	}
	c.Months = append(c.Months, directory.CalendarMonth{Month: firstPatch - old.patches, Data: data})
	e.state.Occurrences += e.delta
	now.patches, now.patchEntries = old.patches+1, old.patchEntries+e.entries
	now.months = make(map[int]*month, len(old.months))
	touches := func(n int, m *month) bool { return len(e.add[n]) > 0 || m.contains(e.drop) }
	if m := old.months[directory.LongMonth]; m == nil || touches(directory.LongMonth, m) {
		return nil // it belongs to every answer
	}
	for n, m := range old.months {
		if !touches(n, m) {
			now.months[n] = m
		}
	}
	return nil
}

// rewrite works the edit, and all patches, into the months.
func (e *edit) rewrite(ctx context.Context, c *directory.CalendarChange, old, now *calendar) error {
	var rows []directory.CalendarMonth
	if e.base > 0 {
		lo, hi := max(0, e.lo), e.hi
		if old.patches > 0 {
			lo, hi = 0, math.MaxInt32
		}
		version, all, err := e.Store.CalendarMonths(ctx, e.k.org, e.k.mailbox, lo, hi)
		if err != nil {
			return err
		}
		if version != e.base {
			return directory.ErrCalendarChanged
		}
		rows = all
	}
	rows, patches, err := split(rows)
	if err != nil {
		return err
	}
	drop := dropped(patches)
	maps.Copy(drop, e.drop)
	months := map[int]bool{}
	for _, p := range patches {
		for n := range p.months {
			months[n] = true
		}
	}
	for n := range months {
		all := e.add[n]
		for _, o := range added(nil, patches, n) {
			if !e.drop[o.object] {
				all = append(all, o)
			}
		}
		e.add[n] = all // though it be empty: what is in memory of the month is not
	}
	total := 0
	now.months = maps.Clone(old.months)
	for _, r := range rows {
		m, err := openMonth(r.Data)
		if err != nil {
			return fmt.Errorf("month %d: %w", r.Month, err)
		}
		total += begun(m, r.Month)
		if _, ok := e.add[r.Month]; !ok && !m.contains(drop) {
			continue
		}
		total -= begun(m, r.Month)
		e.state.Occurrences -= begun(m, r.Month)
		e.add[r.Month] = m.unpack(e.add[r.Month], func(k objectKey) bool { return !drop[k] })
	}
	for n, occs := range e.add {
		data, err := packMonth(occs)
		if err != nil {
			return err
		}
		m, err := openMonth(data)
		if err != nil {
			return err
		}
		if now.has(n) {
			now.months[n] = m
		}
		total += begun(m, n)
		e.state.Occurrences += begun(m, n)
		c.Months = append(c.Months, directory.CalendarMonth{Month: n, Data: data})
	}
	if len(patches) > 0 { // all months were read
		e.state.Occurrences = total
	}
	for i := range patches {
		c.Months = append(c.Months, directory.CalendarMonth{Month: firstPatch - i})
	}
	return nil
}

// begun is the number of occurrences that begin in month n, so that one which
// reaches into other months is counted once.
func begun(m *month, n int) int {
	start := monthStart(n)
	count := 0
	for i := range m.len() {
		if m.start(i) >= start {
			count++
		}
	}
	return count
}

// reach makes sure that the occurrences of series are there for every year of w
// that a series reaches; extended says that the calendar was changed for it. A
// series that reaches a year beyond the limits is an error.
func (c *Calendars) reach(ctx context.Context, k key, mailbox *directory.Recipient, st *directory.CalendarState, w freebusy.Window) (extended bool, err error) {
	var missing []int
	for y := w.Start.UTC().Year(); y <= w.End.Add(-1).UTC().Year(); y++ {
		if _, ok := slices.BinarySearch(st.Years, y); !ok {
			missing = append(missing, y)
		}
	}
	if missing == nil {
		return false, nil
	}
	f := directory.CalendarFilter{Series: true, From: w.Start, To: w.End}
	limit := c.Now().UTC().Year() + MaxYearsAhead
	beyond := missing[0] < FirstYear || missing[len(missing)-1] > limit
	if !beyond {
		f.From, f.To = yearStart(missing[0]), yearStart(missing[len(missing)-1]+1)
	}
	any, err := c.has(ctx, k, f)
	if err == nil && !any {
		any, err = c.has(ctx, k, directory.CalendarFilter{Shadows: true, Availability: true})
	}
	switch {
	case err != nil:
		return false, err
	case !any:
		return false, nil
	case beyond:
		return false, &routing.MailboxError{Reason: routing.GenerationFailed,
			Text: fmt.Sprintf("recurring events of %s are known for the years %d to %d only", mailbox.Primary, FirstYear, limit)}
	}
	return true, c.extend(ctx, k, mailbox, missing)
}

// has reports whether the calendar has an object that f selects.
func (c *Calendars) has(ctx context.Context, k key, f directory.CalendarFilter) (bool, error) {
	for _, err := range c.Store.CalendarObjects(ctx, k.org, k.mailbox, f) {
		return err == nil, err
	}
	return false, nil
}

// extend expands the series of a calendar for more years.
func (c *Calendars) extend(ctx context.Context, k key, mailbox *directory.Recipient, years []int) error {
	return c.change(ctx, k, mailbox, func(e *edit) (*directory.CalendarImport, bool, error) {
		if e.base == 0 || e.stale() {
			return nil, false, nil // the caller looks again
		}
		missing := slices.DeleteFunc(slices.Clone(years), func(y int) bool { return slices.Contains(e.state.Years, y) })
		if len(missing) == 0 {
			return nil, false, nil
		}
		f := directory.CalendarFilter{Series: true, From: yearStart(missing[0]), To: yearStart(missing[len(missing)-1] + 1)}
		for o, p := range e.objects(ctx, f) {
			if p.err != nil {
				return nil, false, p.err
			}
			had := o.Occurrences
			if e.reexpand(ctx, o, p.group, missing); o.Occurrences != had {
				e.put = append(e.put, o)
			}
		}
		if err := e.unavailable(ctx, missing, false); err != nil {
			return nil, false, err
		}
		if e.full {
			return nil, false, fmt.Errorf("no room for the years %v: the limit is %d occurrences", missing, c.limits.occurrences)
		}
		e.state.Years = append(slices.Clone(e.state.Years), missing...)
		slices.Sort(e.state.Years)
		c.stats.extensions.Add(int64(len(missing)))
		c.Log.LogAttrs(ctx, slog.LevelDebug, "calendar extended", slog.String("mailbox", mailbox.Primary.String()), slog.Any("years", missing))
		return nil, true, nil
	})
}

// reexpand expands an object again. What can no longer be read is left out, as
// in an import.
func (e *edit) reexpand(ctx context.Context, o *directory.CalendarObject, g *ical.Group, years []int) {
	_, problems := e.expand(o, g, years)
	for _, p := range problems {
		e.leftOut(ctx, p)
	}
}

// objects yields the objects that f selects, parsed.
func (e *edit) objects(ctx context.Context, f directory.CalendarFilter) iter.Seq2[*directory.CalendarObject, parsed] {
	return func(yield func(*directory.CalendarObject, parsed) bool) {
		f.Text = true
		for o, err := range e.Store.CalendarObjects(ctx, e.k.org, e.k.mailbox, f) {
			p := parsed{err: err}
			if err == nil {
				p.group, p.err = e.group(o)
			}
			if !yield(o, p) {
				return
			}
		}
	}
}

// parsed is an object's group, or why there is none.
type parsed struct {
	group *ical.Group
	err   error
}

// group parses the text of an object.
func (e *edit) group(o *directory.CalendarObject) (*ical.Group, error) {
	e.stats.parsed.Add(1)
	cal, _, err := ical.Parse(o.Text, ical.Limits{})
	if err != nil {
		return nil, fmt.Errorf("text of %q: %w", o.UID, err)
	}
	groups := ical.Groups(cal)
	if len(groups) != 1 {
		return nil, fmt.Errorf("text of %q has %d events", o.UID, len(groups))
	}
	return &groups[0], nil
}

// Rezone reads the floating and all-day times of mailbox again, in its present
// zone. A question would do it too.
func (c *Calendars) Rezone(ctx context.Context, mailbox *directory.Recipient) error {
	return c.rezone(ctx, key{mailbox.Org, mailbox.ID}, mailbox)
}

func (c *Calendars) rezone(ctx context.Context, k key, mailbox *directory.Recipient) error {
	return c.change(ctx, k, mailbox, func(e *edit) (*directory.CalendarImport, bool, error) {
		if e.base == 0 || !e.stale() {
			return nil, false, nil
		}
		e.room = c.limits.occurrences // what comes takes the place of what goes
		for o, p := range e.objects(ctx, directory.CalendarFilter{MailboxZone: true}) {
			if p.err != nil {
				return nil, false, p.err
			}
			e.remove(o)
			e.describe(o, p.group)
			e.reexpand(ctx, o, p.group, e.state.Years)
			e.put = append(e.put, o)
		}
		e.available = true
		e.state.Zone = mailbox.Calendar.TimeZone
		return nil, true, nil
	})
}

// stale: the calendar was read in another zone than the mailbox has now.
func (e *edit) stale() bool { return e.state.Zone != e.mailbox.Calendar.TimeZone }

// keyOf is the objectKey of an object. The mailbox is part of it, so that two
// mailboxes with the same meeting do not show that it is the same.
func keyOf(mailbox, uid string) objectKey {
	h := sha256.New()
	h.Write([]byte(mailbox))
	h.Write([]byte{0})
	h.Write([]byte(uid))
	return objectKey(h.Sum(nil))
}

// runs yields the first and last of each stretch of consecutive years.
func runs(years []int) func(yield func(first, last int) bool) {
	return func(yield func(first, last int) bool) {
		for i := 0; i < len(years); {
			j := i
			for j+1 < len(years) && years[j+1] == years[j]+1 {
				j++
			}
			if !yield(years[i], years[j]) {
				return
			}
			i = j + 1
		}
	}
}

// yearsAround is the stretch of consecutive years with the given one in it.
func yearsAround(years []int, year int) (first, last int, ok bool) {
	for first, last := range runs(years) {
		if first <= year && year <= last {
			return first, last, true
		}
	}
	return 0, 0, false
}

func yearStart(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
