package recur

import (
	"errors"
	"math/bits"
	"slices"
	"time"
)

// ErrTooMany is the error of a series with more instances, or more work to find
// them, than the caller or this package is ready for.
var ErrTooMany = errors.New("recurrence rule has too many instances")

// maxSteps bounds the days, periods and instances one walk looks at: some 1,400
// years of days, or six days of seconds.
const maxSteps = 1 << 19

// A Series is a rule that begins. Its times are wall-clock readings labelled UTC.
type Series struct {
	Rule  *Rule
	Start time.Time // DTSTART
	// Date: Start is a date. BYHOUR, BYMINUTE and BYSECOND are then ignored
	// (RFC 5545 3.3.10).
	Date bool
	// Until is the last time that is still in the series, the rule's UNTIL as the
	// clock of the series shows it; zero: none.
	Until time.Time
}

// Between returns the instances in [from, to), sorted. More than limit of them
// is ErrTooMany.
func (s *Series) Between(from, to time.Time, limit int) ([]time.Time, error) {
	var list []time.Time
	err := s.walk(from.Unix(), to.Unix(), func(t int64) error {
		if len(list) >= limit {
			return ErrTooMany
		}
		list = append(list, time.Unix(t, 0).UTC())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Last returns the last instance before t; ok is false if there is none.
func (s *Series) Last(t time.Time) (last time.Time, ok bool, err error) {
	start, end := s.Start.Unix(), min(t.Unix(), endOfTime)
	if !s.Until.IsZero() {
		end = min(end, s.Until.Unix()+1)
	}
	var found int64
	note := func(t int64) error { found, ok = t, true; return nil }
	// Look back further each time, the rule may be a rare one; but a rule with a
	// count is walked from its start anyhow.
	for back := int64(24 * 3600); !ok; back *= 8 {
		from := max(start, end-back)
		if s.Rule.Count > 0 {
			from = start
		}
		if err := s.walk(from, end, note); err != nil {
			return time.Time{}, false, err
		}
		if from == start {
			break
		}
	}
	return time.Unix(found, 0).UTC(), ok, nil
}

// Endless reports whether the rule itself sets no end.
func (s *Series) Endless() bool { return s.Rule.Count == 0 && s.Until.IsZero() }

// Times inside are seconds and days since 1970, as the clock of the series shows them.
const (
	daySeconds  = 24 * 3600
	startOfTime = -62135596800 // 0001-01-01
	endOfTime   = 253402300800 // 10000-01-01
)

// A plan is a rule and a start made ready for a walk: what DTSTART leaves out is
// filled in, lists are bit sets.
type plan struct {
	freq     Freq
	interval int64
	start    int64
	first    int64 // ordinal of the first period
	wkst     int64

	months                   uint64 // bit 1..12; 0: all
	monthDays, monthDaysBack uint64 // bit 1..31, from the start and from the end of the month
	yearDays, yearDaysBack   [6]uint64
	weeks, weeksBack         uint64 // bit 1..53
	weekdays                 uint8  // bit 0 (Sunday)..6
	nth, nthBack             [7]uint64
	anyMonthDay, anyYearDay  bool
	anyWeek, anyWeekday      bool
	anyNth                   bool
	nthOfMonth               bool // else of the year

	hourMask, minuteMask, secondMask uint64 // of frequencies that these limit; 0: all
	hours, minutes, seconds          []int  // that a period expands to

	setPos []int
	steps  int
}

func newPlan(r *Rule, start int64, date bool) *plan {
	year, m, d := civil(floorDiv(start, daySeconds))
	wday := weekday(floorDiv(start, daySeconds))
	clock := int(start - floorDiv(start, daySeconds)*daySeconds)
	p := &plan{freq: r.Freq, interval: int64(r.Interval), start: start, wkst: int64(r.WeekStart), setPos: r.BySetPos}

	set := func(v []int) (forward, back uint64) {
		for _, n := range v {
			if n < 0 {
				back |= 1 << -n
			} else {
				forward |= 1 << n
			}
		}
		return forward, back
	}
	p.months, _ = set(r.ByMonth)
	p.monthDays, p.monthDaysBack = set(r.ByMonthDay)
	p.anyMonthDay = len(r.ByMonthDay) > 0
	p.weeks, p.weeksBack = set(r.ByWeekNo)
	p.anyWeek = len(r.ByWeekNo) > 0
	p.anyYearDay = len(r.ByYearDay) > 0
	for _, n := range r.ByYearDay {
		if n < 0 {
			p.yearDaysBack[-n>>6] |= 1 << (-n & 63)
		} else {
			p.yearDays[n>>6] |= 1 << (n & 63)
		}
	}
	p.anyWeekday = len(r.ByDay) > 0
	for _, w := range r.ByDay {
		switch {
		case w.N == 0 || r.Freq > Monthly: // a number means nothing there
			p.weekdays |= 1 << w.Weekday
		case w.N > 0:
			p.nth[w.Weekday] |= 1 << w.N
			p.anyNth = true
		default:
			p.nthBack[w.Weekday] |= 1 << -w.N
			p.anyNth = true
		}
	}
	p.nthOfMonth = r.Freq == Monthly || len(r.ByMonth) > 0

	// RFC 5545 3.3.10: what is missing comes from DTSTART.
	switch {
	case r.Freq == Weekly && !p.anyWeekday:
		p.weekdays, p.anyWeekday = 1<<wday, true
	case r.Freq == Monthly && !p.anyWeekday && !p.anyMonthDay && !p.anyYearDay && !p.anyWeek:
		p.monthDays, p.anyMonthDay = 1<<d, true
	case r.Freq == Yearly && p.anyWeek:
		if !p.anyWeekday && !p.anyMonthDay && !p.anyYearDay {
			p.weekdays, p.anyWeekday = 1<<wday, true
		}
	case r.Freq == Yearly && !p.anyYearDay:
		if !p.anyWeekday && !p.anyMonthDay {
			p.monthDays, p.anyMonthDay = 1<<d, true
		}
		if p.anyMonthDay && p.months == 0 {
			p.months = 1 << m
		}
	}

	one := func(list []int, n int) []int {
		if len(list) == 0 {
			return []int{n}
		}
		return list
	}
	if date {
		r = &Rule{}
	}
	p.hours, p.minutes, p.seconds = one(r.ByHour, clock/3600), one(r.ByMinute, clock/60%60), one(r.BySecond, clock%60)
	if p.freq >= Hourly {
		p.hourMask, _ = set(r.ByHour)
	}
	if p.freq >= Minutely {
		p.minuteMask, _ = set(r.ByMinute)
	}
	if p.freq == Secondly {
		p.secondMask, _ = set(r.BySecond)
	}
	p.first = p.ordinal(start)
	if p.anyWeek && p.freq == Yearly && !p.matchDay(floorDiv(start, daySeconds)) {
		// The weeks of which year an INTERVAL counts from is open then; most
		// programs take the year of the date.
		p.first = int64(year)
	}
	return p
}

// walk calls yield with each instance in [from, to), in order.
func (s *Series) walk(from, to int64, yield func(int64) error) error {
	start := s.Start.Unix()
	if start < startOfTime || start >= endOfTime {
		return nil
	}
	p := newPlan(s.Rule, start, s.Date)
	from, to = max(from, start), min(to, endOfTime)
	if !s.Until.IsZero() {
		to = min(to, s.Until.Unix()+1)
	}
	if from >= to {
		return nil
	}
	left := int64(-1) // instances to come, of a rule with a count
	k := p.period(from)
	if s.Rule.Count > 0 {
		left = int64(s.Rule.Count)
		if n, ok := p.uniform(); ok && k > 1 {
			// Every period has n instances, but for those of the first before the start.
			first := int64(0)
			if err := p.each(0, func(t int64) error {
				if t >= start {
					first++
				}
				return nil
			}); err != nil {
				return err
			}
			if left -= first + n*(k-1); left <= 0 {
				return nil
			}
		} else {
			k = 0
		}
	}
	for next := k; ; {
		k, err := p.match(next, to)
		if err == nil {
			err = p.each(k, func(t int64) error {
				switch {
				case t < start:
					return nil
				case t >= to || left == 0:
					return errStop
				}
				left--
				if t < from {
					return nil
				}
				return yield(t)
			})
		}
		switch {
		case errors.Is(err, errStop):
			return nil
		case err != nil:
			return err
		}
		next = k + 1
	}
}

// errStop ends a walk that is complete.
var errStop = errors.New("stop")

func (p *plan) step() error {
	if p.steps++; p.steps > maxSteps {
		return ErrTooMany
	}
	return nil
}

// unit is the length of a period of a sub-daily rule in seconds.
func (p *plan) unit() int64 {
	switch p.freq {
	case Hourly:
		return 3600
	case Minutely:
		return 60
	}
	return 1
}

// period returns a period that is not after the one of t, and not long before.
func (p *plan) period(t int64) int64 {
	return max(0, (p.ordinal(t)-p.first)/p.interval-1)
}

// ordinal numbers the years, months, weeks, ... of time.
func (p *plan) ordinal(t int64) int64 {
	day := floorDiv(t, daySeconds)
	switch p.freq {
	case Yearly:
		y, _, _ := civil(day)
		if p.anyWeek {
			return p.weekYear(day)
		}
		return int64(y)
	case Monthly:
		y, m, _ := civil(day)
		return int64(y)*12 + int64(m-1)
	case Weekly:
		return floorDiv(day+4-p.wkst, 7)
	case Daily:
		return day
	}
	return floorDiv(t, p.unit())
}

// firstDay returns the first day of the period with that ordinal; sub-daily
// rules have none.
func (p *plan) firstDay(ordinal int64) int64 {
	switch p.freq {
	case Yearly:
		if p.anyWeek {
			return p.firstWeek(ordinal)
		}
		return daysFrom(ordinal, 1, 1)
	case Monthly:
		return daysFrom(floorDiv(ordinal, 12), int(ordinal-floorDiv(ordinal, 12)*12)+1, 1)
	case Weekly:
		return ordinal*7 + p.wkst - 4
	}
	return ordinal
}

// uniform returns how many instances each period has, if all have the same number.
func (p *plan) uniform() (n int64, ok bool) {
	if len(p.setPos) > 0 || p.months != 0 || p.anyYearDay || p.anyWeek {
		return 0, false
	}
	times := int64(len(p.hours) * len(p.minutes) * len(p.seconds))
	if p.freq == Monthly {
		n, ok := p.monthly()
		return n * times, ok
	}
	switch {
	case p.anyMonthDay:
		return 0, false
	case p.freq == Weekly:
		return int64(bits.OnesCount8(p.weekdays)) * times, true
	case p.freq < Daily || p.anyWeekday || p.hourMask|p.minuteMask|p.secondMask != 0:
		return 0, false
	case p.freq == Daily:
		return times, true
	case p.freq == Hourly:
		return int64(len(p.minutes) * len(p.seconds)), true
	case p.freq == Minutely:
		return int64(len(p.seconds)), true
	}
	return 1, true
}

// monthly returns how many days of each month match, if that is the same in all:
// days that every month has, counted from one end only, for from both ends they
// may be the same day.
func (p *plan) monthly() (n int64, ok bool) {
	const days, weeks = 1<<29 - 1, 1<<5 - 1 // that every month has
	one := func(forward, back, all uint64) bool {
		if forward != 0 && back != 0 || (forward|back)&^all != 0 {
			return false
		}
		n += int64(bits.OnesCount64(forward | back))
		return true
	}
	if p.anyMonthDay {
		return n, !p.anyWeekday && one(p.monthDays, p.monthDaysBack, days)
	}
	ok = p.anyNth && p.weekdays == 0
	for d := range p.nth {
		ok = ok && one(p.nth[d], p.nthBack[d], weeks)
	}
	return n, ok
}

// match returns the first period from k on that may have instances; the end is
// errStop when it lies after to.
func (p *plan) match(k, to int64) (int64, error) {
	if p.freq < Hourly {
		if k > (p.ordinal(to-1)-p.first)/p.interval+1 {
			return 0, errStop
		}
		return k, p.step()
	}
	// A sub-daily period is one moment: jump over the days, hours and minutes
	// in which none can match.
	u := p.unit()
	for {
		if err := p.step(); err != nil {
			return 0, err
		}
		if k > (to-1-p.start)/u/p.interval+1 {
			return 0, errStop
		}
		t := (p.first + k*p.interval) * u
		day := floorDiv(t, daySeconds)
		clock := t - day*daySeconds
		var next int64
		switch {
		case !p.matchDay(day):
			next = (day + 1) * daySeconds
		case p.hourMask != 0 && p.hourMask>>(clock/3600)&1 == 0:
			next = day*daySeconds + (clock/3600+1)*3600
		case p.minuteMask != 0 && p.minuteMask>>(clock/60%60)&1 == 0:
			next = day*daySeconds + (clock/60+1)*60
		case p.secondMask != 0 && p.secondMask>>(clock%60)&1 == 0:
			next = t + 1
		default:
			return k, nil
		}
		k = (next/u - p.first + p.interval - 1) / p.interval // next is whole units
	}
}

// each calls yield with the times of period k, in order.
func (p *plan) each(k int64, yield func(int64) error) error {
	o := p.first + k*p.interval
	if p.freq >= Hourly {
		return p.eachSub(o*p.unit(), yield)
	}
	if len(p.setPos) == 0 {
		return p.eachDay(o, func(day int64) error {
			for _, h := range p.hours {
				for _, m := range p.minutes {
					for _, s := range p.seconds {
						if err := p.step(); err != nil {
							return err
						}
						if err := yield(day*daySeconds + int64(h*3600+m*60+s)); err != nil {
							return err
						}
					}
				}
			}
			return nil
		})
	}
	var days []int64
	if err := p.eachDay(o, func(day int64) error { days = append(days, day); return nil }); err != nil {
		return err
	}
	nm, ns := len(p.minutes), len(p.seconds)
	perDay := len(p.hours) * nm * ns
	return p.positions(len(days)*perDay, func(i int) error {
		clock := i % perDay
		h, m, s := p.hours[clock/(nm*ns)], p.minutes[clock/ns%nm], p.seconds[clock%ns]
		return yield(days[i/perDay]*daySeconds + int64(h*3600+m*60+s))
	})
}

// eachSub is each for the period of a sub-daily rule that begins at t.
func (p *plan) eachSub(t int64, yield func(int64) error) error {
	minutes, seconds := p.minutes, p.seconds
	none := [1]int{}
	if p.freq >= Minutely {
		minutes = none[:]
	}
	if p.freq == Secondly {
		seconds = none[:]
	}
	at := func(i int) error {
		if err := p.step(); err != nil {
			return err
		}
		return yield(t + int64(minutes[i/len(seconds)]*60+seconds[i%len(seconds)]))
	}
	n := len(minutes) * len(seconds)
	if len(p.setPos) > 0 {
		return p.positions(n, at)
	}
	for i := range n {
		if err := at(i); err != nil {
			return err
		}
	}
	return nil
}

// positions calls yield with the members of a set of n that BYSETPOS picks.
func (p *plan) positions(n int, yield func(i int) error) error {
	picked := make([]int, 0, len(p.setPos))
	for _, pos := range p.setPos {
		if pos > 0 {
			pos--
		} else {
			pos += n
		}
		if pos >= 0 && pos < n {
			picked = append(picked, pos)
		}
	}
	slices.Sort(picked)
	for _, i := range slices.Compact(picked) {
		if err := p.step(); err != nil {
			return err
		}
		if err := yield(i); err != nil {
			return err
		}
	}
	return nil
}

// eachDay calls yield with the days of a period that match, in order.
func (p *plan) eachDay(ordinal int64, yield func(day int64) error) error {
	begin, end := p.firstDay(ordinal), p.firstDay(ordinal+1)
	for day := begin; day < end; day++ {
		if err := p.step(); err != nil {
			return err
		}
		if p.months != 0 {
			y, m, _ := civil(day)
			if p.months>>m&1 == 0 {
				day = daysFrom(int64(y), m+1, 1) - 1
				continue
			}
		}
		if p.matchDay(day) {
			if err := yield(day); err != nil {
				return err
			}
		}
	}
	return nil
}

// matchDay reports whether every part that speaks of days allows it.
func (p *plan) matchDay(day int64) bool {
	w := weekday(day)
	if p.anyWeekday && !p.anyNth && p.weekdays>>w&1 == 0 {
		return false
	}
	if p.months == 0 && !p.anyMonthDay && !p.anyYearDay && !p.anyWeek && !p.anyNth {
		return true
	}
	year, m, d := civil(day)
	y := int64(year)
	if p.months != 0 && p.months>>m&1 == 0 {
		return false
	}
	fromEnd := monthDays(year, m) - d + 1
	if p.anyMonthDay && p.monthDays>>d&1 == 0 && p.monthDaysBack>>fromEnd&1 == 0 {
		return false
	}
	var yd, ydBack int
	if p.anyYearDay || p.anyNth && !p.nthOfMonth {
		yd = int(day-daysFrom(y, 1, 1)) + 1
		ydBack = int(daysFrom(y+1, 1, 1) - day)
	}
	if p.anyYearDay && p.yearDays[yd>>6]>>(yd&63)&1 == 0 && p.yearDaysBack[ydBack>>6]>>(ydBack&63)&1 == 0 {
		return false
	}
	if p.anyWeek {
		wy := p.weekYear(day)
		first, next := p.firstWeek(wy), p.firstWeek(wy+1)
		n, back := (day-first)/7+1, (next-1-day)/7+1
		if p.weeks>>n&1 == 0 && p.weeksBack>>back&1 == 0 {
			return false
		}
	}
	if p.anyNth && p.weekdays>>w&1 == 0 {
		n, back := (d-1)/7+1, (fromEnd-1)/7+1
		if !p.nthOfMonth {
			n, back = (yd-1)/7+1, (ydBack-1)/7+1
		}
		if p.nth[w]>>n&1 == 0 && p.nthBack[w]>>back&1 == 0 {
			return false
		}
	}
	return true
}

// firstWeek returns the first day of week 1 of a year: the week, as WKST begins
// it, that holds 4 January.
func (p *plan) firstWeek(year int64) int64 {
	d := daysFrom(year, 1, 4)
	return d - (int64(weekday(d))-p.wkst+7)%7
}

// weekYear returns the year that the week of a day belongs to.
func (p *plan) weekYear(day int64) int64 {
	year, _, _ := civil(day)
	y := int64(year)
	switch {
	case day < p.firstWeek(y):
		return y - 1
	case day >= p.firstWeek(y+1):
		return y + 1
	}
	return y
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

func weekday(day int64) time.Weekday {
	return time.Weekday(((day+4)%7 + 7) % 7) // 1970-01-01 was a Thursday
}

// daysFrom returns the day of a civil date; a month 13 is the next January.
func daysFrom(y int64, m, d int) int64 {
	if m > 12 {
		y, m = y+1, m-12
	}
	if m <= 2 {
		y--
		m += 12
	}
	era := floorDiv(y, 400)
	yoe := y - era*400
	doy := int64(153*(m-3)+2)/5 + int64(d) - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}

// civil returns the date of a day.
func civil(day int64) (y, m, d int) {
	day += 719468
	era := floorDiv(day, 146097)
	doe := day - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = int(doy-(153*mp+2)/5) + 1
	if m = int(mp) + 3; m > 12 {
		m -= 12
	}
	y = int(yoe + era*400)
	if m <= 2 {
		y++
	}
	return y, m, d
}

func monthDays(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
