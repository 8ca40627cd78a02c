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

	// spans are stretches of time in which the offset stays, as far as they were
	// needed; last is the one that was needed last.
	spans []span
	last  int
}

// A span is a half-open stretch of Unix seconds.
type span struct{ from, until, offset int64 } // offset: local - UTC in seconds

func (s *span) has(u int64) bool { return s.from <= u && u < s.until }

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

// wall is what the clocks of the zone show at t.
func (z *zone) wall(t time.Time) time.Time {
	u := t.Unix()
	return t.UTC().Add(time.Duration(z.clock(u)-u) * time.Second)
}

// clock is wall for a Unix time, in the seconds at which UTC's clocks show the
// same. An answer has thousands of times in few spans.
func (z *zone) clock(u int64) int64 {
	if z.last < len(z.spans) && z.spans[z.last].has(u) {
		return u + z.spans[z.last].offset
	}
	for i := range z.spans {
		if z.spans[i].has(u) {
			z.last = i
			return u + z.spans[i].offset
		}
	}
	s := z.span(u)
	if len(z.spans) < maxSpans {
		z.last = len(z.spans)
		z.spans = append(z.spans, s)
	}
	return u + s.offset
}

// maxSpans bounds the spans of one question: those of a year for most zones.
const maxSpans = 64

// span is a stretch around u in which the offset stays.
func (z *zone) span(u int64) span {
	if z.loc != nil {
		t := time.Unix(u, 0)
		s := span{math.MinInt64, math.MaxInt64, z.offset(u)}
		from, until := t.In(z.loc).ZoneBounds()
		if !from.IsZero() {
			s.from = from.Unix()
		}
		if !until.IsZero() {
			s.until = until.Unix()
		}
		return s
	}
	const day = 24 * 60 * 60
	s := span{u, u + 1, z.offset(u)}
	if z.rare() {
		return s
	}
	// Switches are four weeks apart at least: equal at both ends is equal in between.
	from := u - (u%day+day)%day
	for n := int64(28); n > 0; n /= 2 {
		if z.offset(from) == s.offset && z.offset(from+n*day-1) == s.offset {
			return span{from, from + n*day, s.offset}
		}
	}
	return s
}

// offset is local - UTC in seconds.
func (z *zone) offset(u int64) int64 {
	t := time.Unix(u, 0)
	if z.loc != nil {
		return int64(wintz.Wall(z.loc, t).Sub(t) / time.Second)
	}
	return int64(z.rule.Wall(t).Sub(t) / time.Second)
}

// rare reports whether the switches of the rule may be less than a month apart.
func (z *zone) rare() bool {
	s, d := &z.rule.Standard, &z.rule.Daylight
	gap := (s.Month - d.Month + 12) % 12
	return s.Month != 0 && d.Month != 0 && (gap <= 1 || gap == 11 || s.Year != 0 || d.Year != 0)
}
