package dataset

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A day is counted since 1970-01-01, which was a Thursday. Sunday is weekday 0.
func weekday(day int64) int { return int((day%7 + 7 + 4) % 7) }

func date(day int64) (y int, m time.Month, d int) { return time.Unix(day*86400, 0).UTC().Date() }

func dayOf(y int, m time.Month, d int) int64 {
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

type frequency int

const (
	daily frequency = iota
	weekly
	monthlyByDate    // the 12th
	monthlyByWeekday // the second Tuesday, or the last
)

// A rule is a recurrence as a person would say it.
type rule struct {
	freq     frequency
	interval int64
	weekdays []int // of weekly, sorted; one of monthlyByWeekday
	nth      int   // of monthlyByWeekday: 1 to 4, -1
	first    int64 // day of the first occurrence
	count    int   // 0: not limited so
	until    int64 // last day, included; 0: not limited so
}

// rule makes a rule whose first occurrence is on day or soon after it.
func (g *maker) rule(day int64) *rule {
	r := &rule{interval: 1}
	switch n := g.IntN(20); {
	case n < 13:
		r.freq = weekly
		r.interval = int64(1 + g.IntN(2))
		for range 1 + g.IntN(2)*g.IntN(3) {
			if wd := 1 + g.IntN(5); !slices.Contains(r.weekdays, wd) {
				r.weekdays = append(r.weekdays, wd)
			}
		}
		slices.Sort(r.weekdays)
	case n < 15:
		r.freq = daily
		r.interval = int64(1 + g.IntN(3))
	case n < 17:
		r.freq = monthlyByDate
	default:
		r.freq, r.nth, r.weekdays = monthlyByWeekday, 1+g.IntN(5), []int{1 + g.IntN(5)}
		if r.nth == 5 {
			r.nth = -1
		}
	}
	// Not the first of its weekdays always: an interval counts calendar weeks.
	for !r.on(day) {
		day++
	}
	r.first = day
	switch n := g.IntN(10); {
	case r.freq == daily || n < 5:
		r.count = 5 + g.IntN(36)
	case n < 8:
		r.until = day + 20 + int64(g.IntN(300))
	}
	return r
}

// on reports whether the rule could begin on the day.
func (r *rule) on(day int64) bool {
	_, _, d := date(day)
	switch r.freq {
	case weekly:
		return slices.Contains(r.weekdays, weekday(day))
	case monthlyByDate:
		return d <= 28
	case monthlyByWeekday:
		return weekday(day) == r.weekdays[0] && nthOf(day, r.nth)
	}
	return true
}

// nthOf reports whether the day is the nth of its weekday in its month.
func nthOf(day int64, nth int) bool {
	y, m, d := date(day)
	if nth > 0 {
		return (d-1)/7+1 == nth
	}
	return d+7 > int(dayOf(y, m+1, 1)-dayOf(y, m, 1))
}

// days are those of the occurrences until the end of the horizon.
func (r *rule) days() []int64 {
	var out []int64
	last := Horizon.End / 86400
	if r.until > 0 {
		last = min(last, r.until)
	}
	full := func(day int64) bool { return day > last || r.count > 0 && len(out) == r.count }
	switch r.freq {
	case daily:
		for d := r.first; !full(d); d += r.interval {
			out = append(out, d)
		}
	case weekly:
		monday := r.first - int64((weekday(r.first)+6)%7)
		for week := monday; !full(week); week += 7 * r.interval {
			for _, wd := range r.weekdays { // Monday to Friday
				if d := week + int64(wd) - 1; d >= r.first && !full(d) {
					out = append(out, d)
				}
			}
		}
	case monthlyByDate:
		y, m, dom := date(r.first)
		for i := 0; ; i++ {
			d := dayOf(y, m+time.Month(i), dom)
			if full(d) {
				break
			}
			out = append(out, d)
		}
	case monthlyByWeekday:
		for d := r.first; !full(d); d += 7 {
			if nthOf(d, r.nth) {
				out = append(out, d)
			}
		}
	}
	return out
}

var weekdayNames = [...]string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}

// text is the RRULE of a series that begins with first.
func (r *rule) text(first span, z *zone) string {
	var b strings.Builder
	switch r.freq {
	case daily:
		b.WriteString("RRULE:FREQ=DAILY")
	case weekly:
		b.WriteString("RRULE:FREQ=WEEKLY")
	default:
		b.WriteString("RRULE:FREQ=MONTHLY")
	}
	if r.interval > 1 {
		fmt.Fprintf(&b, ";INTERVAL=%d", r.interval)
	}
	switch r.freq {
	case weekly:
		for i, wd := range r.weekdays {
			b.WriteString(map[bool]string{true: ";BYDAY=", false: ","}[i == 0] + weekdayNames[wd])
		}
	case monthlyByDate:
		_, _, d := date(r.first)
		fmt.Fprintf(&b, ";BYMONTHDAY=%d", d)
	case monthlyByWeekday:
		fmt.Fprintf(&b, ";BYDAY=%d%s", r.nth, weekdayNames[r.weekdays[0]])
	}
	switch {
	case r.count > 0:
		fmt.Fprintf(&b, ";COUNT=%d", r.count)
	case r.until > 0 && first.allDay:
		b.WriteString(";UNTIL=" + time.Unix(r.until*86400, 0).UTC().Format(dateForm))
	case r.until > 0:
		last := first.start + (r.until-r.first)*1440
		b.WriteString(";UNTIL=" + time.Unix(z.at(last), 0).UTC().Format(utcForm))
	}
	b.WriteString("\r\n")
	return b.String()
}
