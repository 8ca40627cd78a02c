package routing

import (
	"fmt"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/wintz"
)

// HoursOf is a mailbox's working hours with the zone's rule in force at the
// given time, or nil when it has no working day (EWS reference 2.6).
func HoursOf(c directory.CalendarConfiguration, at time.Time) (*Hours, error) {
	if c.WorkDays&0x7f == 0 {
		return nil, nil
	}
	if c.WorkStart < 0 || c.WorkStart > c.WorkEnd || c.WorkEnd > 24*60 {
		return nil, fmt.Errorf("working hours: %d to %d is no part of a day", c.WorkStart, c.WorkEnd)
	}
	loc, ok := wintz.Location(c.TimeZone)
	if !ok {
		return nil, fmt.Errorf("working hours: time zone %q is not known", c.TimeZone)
	}
	return &Hours{
		Zone:    wintz.RuleAt(loc, at),
		Periods: []Period{{Days: c.WorkDays & 0x7f, Start: c.WorkStart, End: c.WorkEnd}},
	}, nil
}
