package calstore

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/wintz"
)

// The VAVAILABILITY objects of a mailbox are read together: the time at which
// they say that its owner is not available stands among the occurrences, for the
// same years as those of series, under a key that no UID has.
func unavailableKey(mailbox string) objectKey { return keyOf(mailbox, "\x00VAVAILABILITY") }

// unavailable adds the unavailable time of some years. With again, that of all
// years is what was there before.
func (e *edit) unavailable(ctx context.Context, years []int, again bool) error {
	list, err := e.availabilities(ctx)
	if err != nil {
		return err
	}
	object := unavailableKey(e.k.mailbox)
	e.unsure = true // nobody counts these
	if again && len(e.state.Years) > 0 {
		e.drop[object] = true
		e.touch(12*e.state.Years[0], 12*e.state.Years[len(e.state.Years)-1]+11)
	}
	if len(list) == 0 {
		return nil
	}
	e.stats.expanded.Add(1)
	staged := map[int][]occurrence{}
	n := 0
	x := ical.Expander{FloatingZone: e.zone, MaxInstances: e.limits.instances}
	for _, y := range years {
		// Year by year, so that it is cut at the same places whenever a year is added.
		periods, problems := x.Unavailable(list, yearStart(y), yearStart(y+1))
		for _, p := range problems {
			if y == years[0] {
				e.leftOut(ctx, p)
			}
		}
		for _, p := range periods {
			o := occurrence{object: object, start: p.Start.Unix(), end: p.End.Unix(), flags: flagUnavailable}
			o.status, _ = freebusy.ParseStatus(string(p.Status))
			for m := monthOf(p.Start); m <= monthOf(p.End.Add(-1)); m++ {
				staged[m] = append(staged[m], o)
				n++
			}
		}
	}
	if n > e.limits.entries || e.entries+n > e.room {
		e.full = true
		e.leftOut(ctx, ical.Problem{UID: list[0].UID, Reason: fmt.Sprintf("VAVAILABILITY has too many periods: the limits are %d and %d of a calendar", e.limits.entries, e.limits.occurrences)})
		return nil
	}
	e.entries += n
	for m, occs := range staged {
		e.add[m] = append(e.add[m], occs...)
		e.touch(m, m)
	}
	return nil
}

// availabilities are the VAVAILABILITY objects that count after the edit: those
// of folders that do, and of one UID the winner.
func (e *edit) availabilities(ctx context.Context) ([]ical.Availability, error) {
	rows := map[directory.CalendarPlace]*directory.CalendarObject{}
	for o, err := range e.Store.CalendarObjects(ctx, e.k.org, e.k.mailbox, directory.CalendarFilter{Shadows: true, Availability: true, Text: true}) {
		if err != nil {
			return nil, err
		}
		rows[placeOf(o)] = o
	}
	for _, p := range e.gone {
		delete(rows, p)
	}
	for _, o := range e.put {
		if o.Availability {
			rows[placeOf(o)] = o
		}
	}
	byUID := map[string][]*directory.CalendarObject{}
	for _, o := range rows {
		byUID[o.UID] = append(byUID[o.UID], o)
	}
	var list []ical.Availability
	for _, same := range byUID {
		o := e.winner(same)
		if o == nil {
			continue
		}
		e.stats.parsed.Add(1)
		cal, _, err := ical.Parse(o.Text, ical.Limits{})
		if err != nil {
			return nil, fmt.Errorf("text of %q: %w", o.UID, err)
		}
		for _, a := range ical.Availabilities(cal) {
			a.Zone, _ = wintz.Location(o.FloatingZone)
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b ical.Availability) int { return cmp.Compare(a.UID, b.UID) })
	return list, nil
}

// putAvailability adds or replaces a VAVAILABILITY; what could not be read of it
// is told. One without readable bounds is not kept.
func (e *edit) putAvailability(o *directory.CalendarObject, a *ical.Availability, was *directory.CalendarObject) (kept bool, problems []ical.Problem) {
	a.Zone, _ = wintz.Location(o.FloatingZone)
	x := ical.Expander{FloatingZone: e.zone, MaxInstances: e.limits.instances}
	if err := x.Readable(a); err != nil {
		return false, []ical.Problem{{Line: a.Line(), UID: a.UID, Reason: "VAVAILABILITY is left out: " + err.Error()}}
	}
	if len(e.state.Years) > 0 {
		first := e.state.Years[0]
		_, problems = x.Unavailable([]ical.Availability{*a}, yearStart(first), yearStart(first+1))
	}
	o.Shadow, o.Availability, o.Series, o.From = true, true, true, time.Unix(0, 0).UTC()
	e.renamed(was, o)
	e.counted(o.Folder, was == nil)
	e.put = append(e.put, o)
	e.available = true
	return true, problems
}

// leftOut logs what an edit that nobody waits for could not read.
func (e *edit) leftOut(ctx context.Context, p ical.Problem) {
	e.Log.LogAttrs(ctx, slog.LevelWarn, "event left out", slog.String("mailbox", e.mailbox.Primary.String()),
		slog.String("uid", p.UID), slog.String("reason", p.Reason))
}

// outside returns the entries of a window, given in the order of overlapping,
// with the unavailable time cut to where there is no event: an event that takes
// time says more (RFC 7953 4). What is left of it has no Detail.
func (cal *calendar) outside(first, last int, w freebusy.Window, iv []freebusy.Interval) []freebusy.Interval {
	var events, closed []freebusy.Interval
	n := 0
	for m, i := range cal.overlapping(first, last, w) {
		if m.flags(i)&flagUnavailable == 0 {
			events = append(events, iv[n])
		} else {
			closed = append(closed, iv[n])
		}
		n++
	}
	taken := slices.DeleteFunc(slices.Clone(events), func(v freebusy.Interval) bool { return v.Status == freebusy.Free })
	byStart := func(a, b freebusy.Interval) int { return a.Start.Compare(b.Start) }
	slices.SortFunc(taken, byStart)
	slices.SortFunc(closed, byStart)
	for i := 0; i < len(closed); i++ {
		c := closed[i]
		for i+1 < len(closed) && closed[i+1].Status == c.Status && !closed[i+1].Start.After(c.End) { // they are kept by years
			i++
			c.End = closed[i].End
		}
		for len(taken) > 0 && !taken[0].End.After(c.Start) {
			taken = taken[1:]
		}
		for _, t := range taken {
			if !t.Start.Before(c.End) {
				break
			}
			if t.Start.After(c.Start) {
				events = append(events, freebusy.Interval{Start: c.Start, End: t.Start, Status: c.Status})
			}
			if t.End.After(c.Start) {
				c.Start = t.End
			}
		}
		if c.Start.Before(c.End) {
			events = append(events, freebusy.Interval{Start: c.Start, End: c.End, Status: c.Status})
		}
	}
	return slices.DeleteFunc(events, func(v freebusy.Interval) bool { return !w.Overlaps(v.Start, v.End) })
}
