package ewsserver

import (
	"fmt"
	"math"
	"time"

	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/wintz"
)

// A zone is the zone of a request: a yearly rule, or one that this server knows
// by name. It is for one goroutine.
type zone struct {
	rule wintz.Rule
	loc  *time.Location // nil: rule

	// The last span in which the offset of loc stays, in Unix seconds.
	from, until int64
	offset      time.Duration // local - UTC
	// days has the offset of the days (of UTC) on which that of rule stays.
	days map[int64]time.Duration
}

// zoneOf is the zone of a question (2.3): in the body, else in the header by
// definition, else by id.
func zoneOf(req *ews.AvailabilityRequest, h *ews.Header) (*zone, error) {
	if req.Zone != nil {
		return &zone{rule: *req.Zone}, nil
	}
	def := h.Zone
	if def == nil {
		return nil, fmt.Errorf("%w: the request has no time zone", ews.ErrTimeZone)
	}
	var at time.Time
	switch {
	case req.FreeBusy != nil:
		at = req.FreeBusy.Start.Time
	case req.Suggestions != nil:
		at = req.Suggestions.Start.Time
	}
	rule, ruleErr := def.Rule(at)
	if ruleErr == nil {
		return &zone{rule: rule}, nil
	}
	if loc, ok := wintz.Location(def.ID); ok {
		return &zone{loc: loc}, nil
	}
	if len(def.Periods) > 0 {
		return nil, ruleErr
	}
	return nil, fmt.Errorf("%w: %q is not known", ews.ErrTimeZone, clip(def.ID))
}

// utc is the instant of a time of the request.
func (z *zone) utc(d ews.DateTime) time.Time {
	return d.UTC(func(wall time.Time) time.Time {
		if z.loc != nil {
			return wintz.UTC(z.loc, wall)
		}
		return z.rule.UTC(wall)
	})
}

// wall is what the clocks of the zone show at t. An answer has thousands of
// times, on few days.
func (z *zone) wall(t time.Time) time.Time {
	u := t.Unix()
	if z.loc != nil {
		if u < z.from || u >= z.until {
			z.offset = wintz.Wall(z.loc, t).Sub(t)
			from, until := t.In(z.loc).ZoneBounds()
			z.from, z.until = from.Unix(), until.Unix()
			if until.IsZero() {
				z.until = math.MaxInt64
			}
		}
		return t.UTC().Add(z.offset)
	}
	const day = 24 * 60 * 60
	n := (u - (u%day+day)%day) / day
	offset, ok := z.days[n]
	if ok {
		return t.UTC().Add(offset)
	}
	if !z.rare() {
		// Switches are far apart: equal at both ends of a day is equal all day.
		first, last := time.Unix(n*day, 0), time.Unix(n*day+day-1, 0)
		if offset = z.rule.Wall(first).Sub(first); offset == z.rule.Wall(last).Sub(last) {
			if z.days == nil {
				z.days = make(map[int64]time.Duration)
			}
			z.days[n] = offset
		}
	}
	return z.rule.Wall(t)
}

// rare reports whether the switches of the rule may be less than a month apart.
func (z *zone) rare() bool {
	s, d := &z.rule.Standard, &z.rule.Daylight
	gap := (s.Month - d.Month + 12) % 12
	return s.Month != 0 && d.Month != 0 && (gap <= 1 || gap == 11 || s.Year != 0 || d.Year != 0)
}
