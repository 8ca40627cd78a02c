package calstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/ical"
)

// The errors of Import that are the file's fault. Nothing of it was kept.
var (
	ErrNotCalendar = errors.New("not an iCalendar file")
	ErrTooLarge    = errors.New("calendar file is too large")
)

// Import reads one iCalendar file into the calendar of mailbox: all of it in one
// transaction, or nothing. An event (a UID) that is there already is replaced by
// a newer one (SEQUENCE, then DTSTAMP; of the same age, one that differs). What
// cannot be read is left out and listed in the summary; it does not spoil the
// rest. A file that is no calendar is ErrNotCalendar, one past the limits is
// ErrTooLarge. name is for the summary and for Health, where a later import of
// the same name takes the place of this one.
func (c *Calendars) Import(ctx context.Context, mailbox *directory.Recipient, name string, r io.Reader) (directory.ImportSummary, error) {
	return c.ImportProgress(ctx, mailbox, name, r, nil)
}

// ImportProgress is Import that tells how far it is, in events, from time to
// time; the last call has done equal to total.
func (c *Calendars) ImportProgress(ctx context.Context, mailbox *directory.Recipient, name string, r io.Reader, progress func(done, total int)) (directory.ImportSummary, error) {
	s, err := c.importFile(ctx, mailbox, name, r, progress)
	if err != nil {
		return directory.ImportSummary{}, fmt.Errorf("import %s into %s: %w", name, mailbox.Primary, err)
	}
	return s, nil
}

func (c *Calendars) importFile(ctx context.Context, mailbox *directory.Recipient, name string, r io.Reader, progress func(done, total int)) (directory.ImportSummary, error) {
	if !mailbox.IsMailbox() {
		return directory.ImportSummary{}, fmt.Errorf("a %s has no calendar here", mailbox.Type)
	}
	f, err := c.readFile(name, r)
	if err != nil {
		return directory.ImportSummary{}, err
	}
	f.progress = progress
	k := key{mailbox.Org, mailbox.ID}
	for range maxTries {
		var summary directory.ImportSummary
		err := c.prepare(ctx, k, mailbox)
		if err == nil {
			err = c.change(ctx, k, mailbox, func(e *edit) (record *directory.CalendarImport, todo bool, err error) {
				summary, record, err = e.importFile(ctx, f)
				return record, true, err
			})
		}
		if !errors.Is(err, directory.ErrCalendarChanged) {
			return summary, err
		}
	}
	return directory.ImportSummary{}, directory.ErrCalendarChanged
}

// A file is an iCalendar file, parsed.
type file struct {
	name     string
	zone     string // X-WR-TIMEZONE
	events   int
	groups   []ical.Group
	problems []ical.Problem
	progress func(done, total int) // nil: nobody asks
}

func (c *Calendars) readFile(name string, r io.Reader) (*file, error) {
	data, err := io.ReadAll(io.LimitReader(r, c.limits.file+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > c.limits.file {
		return nil, fmt.Errorf("%w: limit %d bytes", ErrTooLarge, c.limits.file)
	}
	c.stats.parsed.Add(1)
	cal, problems, err := ical.Parse(data, ical.Limits{Bytes: int(c.limits.file)})
	switch {
	case errors.Is(err, ical.ErrTooLarge):
		return nil, fmt.Errorf("%w: %w", ErrTooLarge, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNotCalendar, err)
	case !slices.ContainsFunc(cal.Components, func(c *ical.Component) bool { return c.Name == "VCALENDAR" }):
		return nil, fmt.Errorf("%w: no VCALENDAR", ErrNotCalendar)
	}
	f := &file{name: cleanName(name), zone: cal.TimeZone(), groups: ical.Groups(cal), problems: problems}
	for _, root := range cal.Components {
		for _, c := range root.Components {
			if root.Name == "VCALENDAR" && c.Name == "VEVENT" {
				f.events++
			}
		}
	}
	return f, nil
}

// cleanName makes the name of a file fit to be kept and shown.
func cleanName(name string) string {
	name = path.Base(strings.Map(func(r rune) rune {
		switch {
		case r == '\\':
			return '/'
		case r < ' ' || r == 0x7f:
			return -1
		}
		return r
	}, name))
	return cutText(name)
}

// prepare brings a calendar that exists up to the mailbox's zone and the present
// years, so that an import has only its own events to expand.
func (c *Calendars) prepare(ctx context.Context, k key, mailbox *directory.Recipient) error {
	st, err := c.Store.CalendarState(ctx, k.org, k.mailbox)
	if err != nil || st.Version == 0 {
		return err
	}
	if st.Zone != mailbox.Calendar.TimeZone {
		if err := c.rezone(ctx, k, mailbox); err != nil {
			return err
		}
	}
	if years := c.missing(&st); len(years) > 0 {
		return c.extend(ctx, k, mailbox, years)
	}
	return nil
}

// missing are the years around now for which series are not expanded.
func (c *Calendars) missing(st *directory.CalendarState) []int {
	var years []int
	now := c.Now().UTC().Year()
	for y := now - c.YearsBack; y <= now+c.YearsAhead; y++ {
		if !slices.Contains(st.Years, y) {
			years = append(years, y)
		}
	}
	return years
}

// importFile puts the events of f into the edit.
func (e *edit) importFile(ctx context.Context, f *file) (directory.ImportSummary, *directory.CalendarImport, error) {
	switch years := e.missing(&e.state); {
	case e.base == 0:
		e.state.Zone, e.state.Years = e.mailbox.Calendar.TimeZone, years
	case e.stale() || len(years) > 0:
		return directory.ImportSummary{}, nil, directory.ErrCalendarChanged
	}
	old, err := e.present(ctx, f)
	if err != nil {
		return directory.ImportSummary{}, nil, err
	}
	s := directory.ImportSummary{File: f.name, Events: f.events}
	skip := func(p ical.Problem) {
		s.Skipped = append(s.Skipped, directory.ImportProblem{Line: p.Line, UID: p.UID, Reason: p.Reason})
	}
	for _, p := range f.problems {
		skip(p)
	}
	// Expanding is the first half of the work, writing the second.
	tell := func(done int) {
		if f.progress != nil && (done%256 == 0 || done == 2*len(f.groups)) {
			f.progress(done/2, len(f.groups))
		}
	}
	now := e.Now().UTC()
	unreadable := 0
	for i := range f.groups {
		if err := ctx.Err(); err != nil {
			return directory.ImportSummary{}, nil, context.Cause(ctx)
		}
		tell(i)
		g := &f.groups[i]
		if len(g.UID) > MaxUID || strings.ContainsRune(g.UID, 0) {
			unreadable++
			skip(ical.Problem{Line: lineOf(g), Reason: fmt.Sprintf("UID of %d bytes, limit %d and no NUL", len(g.UID), MaxUID)})
			continue
		}
		text := g.Text()
		o := &directory.CalendarObject{
			UID: g.UID, Text: text, Digest: digest(f.zone, text), Source: f.name,
			Sequence: g.Sequence, Stamp: g.Stamp, FloatingZone: f.zone, Changed: now,
		}
		was := old[g.UID]
		if was != nil && !newer(o, was) {
			s.Unchanged++
			continue
		}
		e.describe(o, g)
		found, problems := e.expand(o, g, e.state.Years)
		for _, p := range problems {
			skip(p)
		}
		if len(problems) > 0 {
			unreadable++
			if found == 0 {
				continue // what was there before stays
			}
			o.Digest = "" // to be read, and reported, with the next import again
		}
		if was != nil {
			s.Replaced++
			e.remove(was)
		} else {
			s.Added++
			e.state.Objects++
		}
		e.put = append(e.put, o)
	}
	rest := 2*len(f.groups) - len(e.put)
	e.written = func(n int) { tell(rest + n) }
	if len(e.put) == 0 {
		tell(rest)
	}
	return s, &directory.CalendarImport{Source: f.name, At: now, Events: f.events, Unreadable: unreadable}, nil
}

// present are the objects of the calendar that f has too.
func (e *edit) present(ctx context.Context, f *file) (map[string]*directory.CalendarObject, error) {
	old := map[string]*directory.CalendarObject{}
	if e.state.Objects == 0 || len(f.groups) == 0 {
		return old, nil
	}
	uids := make([]string, len(f.groups))
	for i := range f.groups {
		uids[i] = f.groups[i].UID
	}
	for o, err := range e.Store.CalendarObjects(ctx, e.k.org, e.k.mailbox, directory.CalendarFilter{UIDs: uids}) {
		if err != nil {
			return nil, err
		}
		old[o.UID] = o
	}
	return old, nil
}

// newer reports whether o takes the place of was: a higher SEQUENCE, then a
// later DTSTAMP (RFC 5546 2.1.5). Of the same age, whatever differs: people edit
// files by hand.
func newer(o, was *directory.CalendarObject) bool {
	switch {
	case o.Sequence != was.Sequence:
		return o.Sequence > was.Sequence
	case !o.Stamp.Equal(was.Stamp):
		return o.Stamp.After(was.Stamp)
	}
	return o.Digest != was.Digest
}

func digest(zone string, text []byte) string {
	h := sha256.New()
	h.Write([]byte(zone))
	h.Write([]byte{0})
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func lineOf(g *ical.Group) int {
	if g.Master != nil {
		return g.Master.Line
	}
	return g.Overrides[0].Line
}

func occurrenceOf(object objectKey, in *ical.Instance) occurrence {
	o := occurrence{object: object, start: in.Start.Unix(), end: in.End.Unix(), subject: in.Subject, location: in.Location}
	o.status, _ = freebusy.ParseStatus(string(in.Status))
	for _, f := range []struct {
		set  bool
		flag uint8
	}{
		{in.Meeting, flagMeeting}, {in.Recurring, flagRecurring}, {in.Exception, flagException},
		{in.Reminder, flagReminder}, {in.Private, flagPrivate},
	} {
		if f.set {
			o.flags |= f.flag
		}
	}
	return o
}
