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
	return c.ImportInto(ctx, mailbox, "", name, r, nil)
}

// ImportInto is Import into a calendar of that name, which is made where there is
// none ("": the main one), and tells how far it is, in events, from time to time;
// the last call of progress has done equal to total. progress may be nil.
func (c *Calendars) ImportInto(ctx context.Context, mailbox *directory.Recipient, folder, name string, r io.Reader, progress func(done, total int)) (directory.ImportSummary, error) {
	s, err := c.importFile(ctx, mailbox, folder, name, r, progress)
	if err != nil {
		return directory.ImportSummary{}, fmt.Errorf("import %s into %s: %w", name, mailbox.Primary, err)
	}
	return s, nil
}

func (c *Calendars) importFile(ctx context.Context, mailbox *directory.Recipient, folder, name string, r io.Reader, progress func(done, total int)) (s directory.ImportSummary, err error) {
	if folder, err = Folder(folder); err != nil {
		return s, err
	}
	if !mailbox.IsMailbox() {
		return s, fmt.Errorf("a %s has no calendar here", mailbox.Type)
	}
	f, err := c.readFile(name, r)
	if err != nil {
		return s, err
	}
	f.folder, f.progress = folder, progress
	err = c.changeReady(ctx, mailbox, func(e *edit) (record *directory.CalendarImport, err error) {
		s, record, err = e.importFile(ctx, f)
		return record, err
	})
	return s, err
}

// A file is an iCalendar file, parsed.
type file struct {
	folder, name   string
	zone           string // X-WR-TIMEZONE
	events         int
	groups         []ical.Group
	availabilities []ical.Availability
	problems       []ical.Problem
	progress       func(done, total int) // nil: nobody asks
	exact          bool                  // the folder holds what the file has, whatever is newer
}

func (f *file) digest(text []byte) string {
	if f.exact {
		text = ical.WithoutStamps(text)
	}
	return digest(f.zone, text)
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
	f := &file{name: cleanName(name), zone: cal.TimeZone(), groups: ical.Groups(cal), availabilities: ical.Availabilities(cal), problems: problems}
	for _, root := range cal.Components {
		for _, c := range root.Components {
			if root.Name == "VCALENDAR" && (c.Name == "VEVENT" || c.Name == "VAVAILABILITY") {
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

// importFile puts the objects of f into the edit.
func (e *edit) importFile(ctx context.Context, f *file) (directory.ImportSummary, *directory.CalendarImport, error) {
	total := len(f.groups) + len(f.availabilities)
	uids := make([]string, 0, total)
	for i := range f.groups {
		uids = append(uids, f.groups[i].UID)
	}
	for i := range f.availabilities {
		uids = append(uids, f.availabilities[i].UID)
	}
	old, err := e.present(ctx, uids)
	if err == nil {
		_, err = e.folder(f.folder)
	}
	if err != nil {
		return directory.ImportSummary{}, nil, err
	}
	s := directory.ImportSummary{File: f.name, Calendar: f.folder, Events: f.events}
	skip := func(p ical.Problem) {
		s.Skipped = append(s.Skipped, directory.ImportProblem{Line: p.Line, UID: p.UID, Reason: p.Reason})
	}
	for _, p := range f.problems {
		skip(p)
	}
	// Expanding is the first half of the work, writing the second.
	done := 0
	tell := func(n int) {
		if done += n; f.progress != nil && (done%256 == 0 || done == 2*total) {
			f.progress(done/2, total)
		}
	}
	now := e.Now().UTC()
	unreadable := 0
	// put puts one object into the edit; it is told kept, and what could not be read.
	put := func(o *directory.CalendarObject, text []byte, line int, put func(o, was *directory.CalendarObject) (kept bool, problems []ical.Problem, err error)) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		tell(1)
		if err := checkUID(o.UID); err != nil {
			unreadable++
			skip(ical.Problem{Line: line, Reason: err.Error()})
			return nil //nolint:nilerr // it is told
		}
		o.Folder, o.Text, o.Digest, o.Source, o.FloatingZone, o.Changed = f.folder, text, f.digest(text), f.name, f.zone, now
		was := in(f.folder, old[o.UID])
		switch {
		case was == nil:
		case was.Availability != o.Availability:
			unreadable++
			skip(ical.Problem{Line: line, UID: o.UID, Reason: "the UID is that of another object"})
			return nil
		case f.exact && o.Digest == was.Digest, !f.exact && !newer(o, was):
			s.Unchanged++
			return nil
		default:
			o.Name = was.Name
		}
		kept, problems, err := put(o, was)
		if err != nil {
			return err
		}
		for _, p := range problems {
			skip(p)
		}
		if len(problems) > 0 {
			unreadable++
			o.Digest = "" // to be read, and reported, with the next import again
		}
		switch {
		case !kept: // what was there before stays
		case was != nil:
			s.Replaced++
		default:
			s.Added++
		}
		if kept {
			old[o.UID] = append(old[o.UID], o)
		}
		return nil
	}
	for i := range f.groups {
		g := &f.groups[i]
		err := put(&directory.CalendarObject{UID: g.UID, Sequence: g.Sequence, Stamp: g.Stamp}, g.Text(), lineOf(g),
			func(o, _ *directory.CalendarObject) (bool, []ical.Problem, error) {
				found, problems, err := e.putEvent(ctx, o, g, events(old[o.UID]))
				return found > 0 || len(problems) == 0, problems, err
			})
		if err != nil {
			return s, nil, err
		}
	}
	for i := range f.availabilities {
		a := &f.availabilities[i]
		err := put(&directory.CalendarObject{UID: a.UID, Sequence: a.Sequence, Stamp: a.Stamp, Availability: true}, a.Text(), a.Line(),
			func(o, was *directory.CalendarObject) (bool, []ical.Problem, error) {
				kept, problems := e.putAvailability(o, a, was)
				return kept, problems, nil
			})
		if err != nil {
			return s, nil, err
		}
	}
	for rest := 2*total - done - len(e.put); rest > 0; rest-- {
		tell(1)
	}
	if total == 0 {
		tell(0)
	}
	e.written = func(int) {
		if done < 2*total { // shadows that were moved are written too
			tell(1)
		}
	}
	record := &directory.CalendarImport{Source: f.name, At: now, Events: f.events, Unreadable: unreadable}
	if f.folder != "" {
		record.Source = f.folder + "/" + f.name
	}
	return s, record, nil
}

// newer reports whether o takes the place of was: a higher SEQUENCE, then a
// later DTSTAMP (RFC 5546 2.1.5). Of the same age, whatever differs: people edit
// files by hand.
func newer(o, was *directory.CalendarObject) bool {
	if n := age(o, was); n != 0 {
		return n > 0
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
