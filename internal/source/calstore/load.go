package calstore

import (
	"context"
	"errors"
	"fmt"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
)

// loader is a Store that reads many calendars at once.
type loader interface {
	// Calendars returns the states of the calendars of the mailboxes that have one,
	// each with its months as CalendarMonths has them.
	Calendars(ctx context.Context, org directory.OrgID, mailboxes []string, from, to int) (map[string]*directory.CalendarSpan, error)
}

// monthsOf are the months that a window touches.
func monthsOf(w freebusy.Window) (first, last int) {
	return max(0, monthOf(w.Start)), max(0, monthOf(w.End.Add(-1)))
}

// Unloaded returns those of the mailboxes whose calendar is not in memory for w.
func (c *Calendars) Unloaded(org directory.OrgID, mailboxes []*directory.Recipient, w freebusy.Window) (list []*directory.Recipient) {
	first, last := monthsOf(w)
	for _, m := range mailboxes {
		if !c.loaded(key{org, m.ID}, first, last) {
			list = append(list, m)
		}
	}
	return list
}

func (c *Calendars) loaded(k key, first, last int) bool {
	cal := c.current(k, c.Store.CalendarMark(k.org, k.mailbox))
	if cal == nil {
		return false
	}
	for n := first; n <= last && cal.state.Version > 0; n++ {
		if !cal.has(n) {
			return false
		}
	}
	return true
}

// Load reads the calendars of the mailboxes for w into memory, by few statements.
// What a calendar lacks for an answer, Busy does.
func (c *Calendars) Load(ctx context.Context, org directory.OrgID, mailboxes []*directory.Recipient, w freebusy.Window) error {
	from, ok := c.Store.(loader)
	if !ok || len(mailboxes) == 0 || !w.Start.Before(w.End) {
		return nil
	}
	first, last := monthsOf(w)
	ids, marks := make([]string, len(mailboxes)), make([]uint64, len(mailboxes))
	for i, m := range mailboxes {
		ids[i], marks[i] = m.ID, c.Store.CalendarMark(org, m.ID) // before it is read
	}
	found, err := from.Calendars(ctx, org, ids, first, last)
	if err != nil {
		return err
	}
	c.stats.loads.Add(1)
	var errs []error // one that cannot be read does not spoil the others
	for i, id := range ids {
		k := key{org, id}
		cal := &calendar{}
		old, _ := c.cache.GetIfPresent(k)
		if span := found[id]; span != nil {
			cal.state = span.State
			if old != nil && old.state.Version == cal.state.Version {
				cal.months = old.months
			}
			if cal, err = cal.with(span.Months, first, last, first, last); err != nil {
				errs = append(errs, fmt.Errorf("calendar of %s: %w", mailboxes[i].Primary, err))
				continue
			}
		}
		cal.mark.Store(marks[i])
		c.replace(k, old, cal)
	}
	return errors.Join(errs...)
}
