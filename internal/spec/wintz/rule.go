package wintz

import (
	"errors"
	"fmt"
	"time"
)

// A Rule is a time zone as EWS carries it, SerializableTimeZone (EWS reference
// 2.3): a bias and at most two switches a year. UTC = local + Bias.
type Rule struct {
	Bias               int // minutes
	Standard, Daylight Switch
}

// A Switch is the yearly moment at which standard or daylight time begins.
// Month 0 in either switch: the zone has no daylight time.
type Switch struct {
	Bias     int           // minutes, added to Rule.Bias while this half holds
	Time     time.Duration // since midnight, wall clock before the switch, 0 <= Time < 24h
	DayOrder int           // n-th Weekday of Month, 1..5, 5 or <= 0 = last; with Year: day of the month
	Month    int           // 1..12
	Weekday  time.Weekday
	Year     int // 0: every year
}

// UTCRule is the zone without offset or switches.
var UTCRule Rule

// ErrRule is wrapped by every error of Validate.
var ErrRule = errors.New("wintz: not a possible time zone")

const (
	maxBias  = 24 * 60
	day      = 24 * time.Hour
	firstUse = 1601 // Windows time begins here
	lastUse  = 9999
)

// Validate reports why r cannot be a zone. A rule without daylight time is
// possible whatever its switches say.
func (r Rule) Validate() error {
	for _, b := range []int{r.Bias, r.Bias + r.Standard.Bias, r.Bias + r.Daylight.Bias} {
		if b < -maxBias || b > maxBias {
			return fmt.Errorf("%w: bias of %d minutes", ErrRule, b)
		}
	}
	if r.Standard.Month == 0 || r.Daylight.Month == 0 {
		return nil
	}
	for _, h := range []struct {
		name string
		s    Switch
	}{{"standard", r.Standard}, {"daylight", r.Daylight}} {
		if err := h.s.validate(); err != nil {
			return fmt.Errorf("%w: %s time %w", ErrRule, h.name, err)
		}
	}
	s, d := r.Standard, r.Daylight
	if s.Bias != d.Bias {
		if s.Bias, d.Bias = 0, 0; s == d {
			return fmt.Errorf("%w: both halves begin at the same time", ErrRule)
		}
	}
	return nil
}

func (s Switch) validate() error {
	switch {
	case s.Month < 1 || s.Month > 12:
		return fmt.Errorf("begins in month %d", s.Month)
	case s.Time < 0 || s.Time >= day:
		return fmt.Errorf("begins at %v", s.Time)
	case s.Weekday < time.Sunday || s.Weekday > time.Saturday:
		return fmt.Errorf("begins on weekday %d", s.Weekday)
	case s.Year == 0 && s.DayOrder > 5:
		return fmt.Errorf("begins on %s %d of a month", s.Weekday, s.DayOrder)
	case s.Year != 0 && (s.Year < firstUse || s.Year > lastUse):
		return fmt.Errorf("begins in year %d", s.Year)
	case s.Year != 0 && (s.DayOrder < 1 || s.DayOrder > monthDays(s.Year, s.Month)):
		return fmt.Errorf("begins on day %d of month %d", s.DayOrder, s.Month)
	}
	return nil
}

func monthDays(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// in returns the wall clock of the switch in a year, before the clocks change.
func (s Switch) in(year int) time.Time {
	if s.Year != 0 {
		return time.Unix(daysTo(s.Year, s.Month)*secondsPerDay, 0).UTC().AddDate(0, 0, s.DayOrder-1).Add(s.Time)
	}
	first := daysTo(year, s.Month)
	weekday := int((first%7 + 7 + 4) % 7) // day 0, 1970-01-01, was a Thursday
	d := (int(s.Weekday) - weekday + 7) % 7
	if s.DayOrder >= 1 && s.DayOrder <= 4 {
		d += 7 * (s.DayOrder - 1)
	} else {
		last := int(daysTo(year, s.Month+1)-first) - 1
		d += (last - d) / 7 * 7
	}
	return time.Unix((first+int64(d))*secondsPerDay, 0).UTC().Add(s.Time)
}

const secondsPerDay = 24 * 60 * 60

// daysTo is the number of days from 1970-01-01 to the first of a month; month 13
// is January of the next year.
func daysTo(year, month int) int64 {
	// The year that begins with March has its leap day at the end.
	y, m := int64(year), int64(month)-3
	if m < 0 {
		y, m = y-1, m+12
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	of := y - era*400
	return era*146097 + of*365 + of/4 - of/100 + (153*m+2)/5 - 719468
}

// offsets returns local - UTC of the two halves; switches is false for a zone
// that never changes its clocks.
func (r Rule) offsets() (standard, daylight time.Duration, switches bool) {
	standard = -time.Duration(r.Bias+r.Standard.Bias) * time.Minute
	daylight = -time.Duration(r.Bias+r.Daylight.Bias) * time.Minute
	return standard, daylight, r.Standard.Month != 0 && r.Daylight.Month != 0 && standard != daylight
}

// offset returns local - UTC at t.
func (r Rule) offset(t time.Time) time.Duration {
	std, dst, switches := r.offsets()
	if !switches {
		return std
	}
	var last time.Time // the latest switch that is not after t
	var next time.Time // the earliest that is
	current, before := std, std
	for year := t.Year() - 1; year <= t.Year()+1; year++ {
		for _, h := range []struct {
			s           Switch
			from, until time.Duration // the offset before the switch, and after it
		}{{r.Standard, dst, std}, {r.Daylight, std, dst}} {
			at := h.s.in(year).Add(-h.from)
			switch {
			case !at.After(t) && (last.IsZero() || !at.Before(last)):
				last, current = at, h.until
			case at.After(t) && (next.IsZero() || at.Before(next)):
				next, before = at, h.from
			}
		}
	}
	if last.IsZero() {
		return before
	}
	return current
}

// Wall returns what the clocks show at t, labelled UTC.
func (r Rule) Wall(t time.Time) time.Time {
	t = t.UTC()
	return t.Add(r.offset(t))
}

// UTC returns the instant at which the clocks show wall, a reading labelled UTC.
// A reading that a switch skips is taken with the offset before it; one that
// occurs twice is the first.
func (r Rule) UTC(wall time.Time) time.Time {
	std, dst, switches := r.offsets()
	if !switches {
		return wall.Add(-std)
	}
	early, late := wall.Add(-max(std, dst)), wall.Add(-min(std, dst))
	if r.offset(early) == max(std, dst) {
		return early
	}
	if r.offset(late) == min(std, dst) {
		return late
	}
	return wall.Add(-r.offset(early)) // skipped: early lies just before the switch
}

// RuleAt returns the rule that loc follows in the year of at, as its clocks
// count it. A year in which the clocks do not change exactly twice, there and
// back, has no such rule: the answer then is the offset at that instant alone.
func RuleAt(loc *time.Location, at time.Time) Rule {
	local := at.In(loc)
	_, off := local.Zone()
	fixed := Rule{Bias: bias(off)}
	year := local.Year()
	begin := time.Date(year, 1, 1, 0, 0, 0, 0, loc)
	end := time.Date(year+1, 1, 1, 0, 0, 0, 0, loc)
	type change struct {
		wall          time.Time // before the change, labelled UTC
		before, after int       // seconds
	}
	var changes []change
	for t := begin; ; {
		_, next := t.ZoneBounds()
		if next.IsZero() || !next.Before(end) {
			break
		}
		_, before := t.Zone()
		_, after := next.Zone()
		if before != after {
			changes = append(changes, change{next.UTC().Add(time.Duration(before) * time.Second), before, after})
		}
		t = next
	}
	if len(changes) != 2 || changes[0].before != changes[1].after {
		return fixed
	}
	toDaylight, toStandard := changes[0], changes[1]
	if toDaylight.after < toDaylight.before {
		toDaylight, toStandard = toStandard, toDaylight
	}
	if toDaylight.before%60 != 0 || toDaylight.after%60 != 0 {
		return fixed
	}
	r := Rule{Bias: bias(toDaylight.before)}
	r.Standard = yearly(loc, toStandard.wall)
	r.Daylight = yearly(loc, toDaylight.wall)
	r.Daylight.Bias = bias(toDaylight.after) - r.Bias
	return r
}

func bias(offset int) int { return -offset / 60 }

// yearly describes a change as the n-th weekday of its month. Where the fourth
// is also the last, the next years decide which of the two the zone means.
func yearly(loc *time.Location, wall time.Time) Switch {
	d := wall.Day()
	s := Switch{
		Time:     wall.Sub(time.Date(wall.Year(), wall.Month(), d, 0, 0, 0, 0, time.UTC)),
		DayOrder: (d-1)/7 + 1,
		Month:    int(wall.Month()),
		Weekday:  wall.Weekday(),
	}
	if s.DayOrder == 4 && d+7 > monthDays(wall.Year(), s.Month) {
		last := s
		last.DayOrder = 5
		for y := wall.Year() + 1; y <= wall.Year()+6; y++ {
			if a, b := last.in(y), s.in(y); !a.Equal(b) {
				if changesAt(loc, a) {
					return last
				}
				return s
			}
		}
	}
	return s
}

// changesAt reports whether the clocks of loc leave the reading wall by a change.
func changesAt(loc *time.Location, wall time.Time) bool {
	t := UTC(loc, wall.Add(-time.Second))
	_, next := t.In(loc).ZoneBounds()
	return !next.IsZero() && next.Sub(t) == time.Second
}
