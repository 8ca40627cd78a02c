// Package recur expands recurrence rules (RFC 5545 3.3.10) in wall-clock time.
//
// A rule knows no zone: times go in and come out as readings of a clock,
// labelled UTC, and the caller turns them into instants last. Every call does a
// bounded amount of work, whatever the rule says: that is why the expander is our
// own. rrule-go, which the tests compare it with, does not return from a rule
// such as MINUTELY;INTERVAL=1440;BYHOUR=3.
//
// Where RFC 5545 leaves a part to DTSTART it is taken from there: BYWEEKNO
// without a day is DTSTART's weekday, YEARLY with BYMONTHDAY alone is in
// DTSTART's month. The years of a rule with BYWEEKNO are those the weeks belong
// to. A DTSTART that the rule does not match is not an instance of the rule.
package recur

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The errors of Parse.
var (
	ErrSyntax = errors.New("not a valid recurrence rule")
	// ErrCalendarScale: the rule counts in another calendar (RFC 7529).
	ErrCalendarScale = errors.New("recurrence rule of another calendar scale is not supported")
)

// A Freq is the unit of a rule, from the longest to the shortest.
type Freq uint8

// The values of FREQ.
const (
	Yearly Freq = iota
	Monthly
	Weekly
	Daily
	Hourly
	Minutely
	Secondly
)

var freqNames = [...]string{"YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"}

func (f Freq) String() string { return freqNames[f] }

// A Form is how a time was written.
type Form uint8

// The forms of UNTIL.
const (
	Local Form = iota // 19970714T133000
	UTC               // 19970714T173000Z
	Date              // 19970714
)

// A Day is an element of BYDAY: the N-th Weekday, every one for N 0.
type Day struct {
	N       int
	Weekday time.Weekday
}

// A Rule is a recurrence rule. Lists are sorted and without duplicates; an empty
// list is a part that is absent.
type Rule struct {
	Freq     Freq
	Interval int // >= 1
	Count    int // 0: none
	// Until is UNTIL as it was written, labelled UTC; zero: none.
	Until     time.Time
	UntilForm Form

	BySecond, ByMinute, ByHour               []int
	ByDay                                    []Day
	ByMonthDay, ByYearDay, ByWeekNo, ByMonth []int
	BySetPos                                 []int
	WeekStart                                time.Weekday
}

var dayNames = [...]string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}

// Parse reads the value of an RRULE. Parts that begin with X- are ignored, other
// unknown parts are errors: a misspelt UNTIL must not make a series endless. A
// COUNT beyond 2^31-1 is taken as that.
func Parse(s string) (*Rule, error) {
	r := &Rule{Interval: 1, WeekStart: time.Monday}
	seen := false
	if strings.IndexByte(s, '\\') >= 0 { // some programs escape it like text
		s = strings.ReplaceAll(s, `\`, "")
	}
	for part := range strings.SplitSeq(s, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, val, ok := strings.Cut(part, "=")
		key, val = strings.ToUpper(strings.TrimSpace(key)), strings.ToUpper(strings.TrimSpace(val))
		if !ok {
			return nil, fmt.Errorf("%w: %q has no value", ErrSyntax, clip(part))
		}
		if err := r.set(key, val); err != nil {
			if errors.Is(err, ErrCalendarScale) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: %q: %w", ErrSyntax, clip(part), err)
		}
		seen = seen || key == "FREQ"
	}
	if !seen {
		return nil, fmt.Errorf("%w: it has no FREQ", ErrSyntax)
	}
	if r.Freq == Yearly && len(r.ByWeekNo) > 0 {
		// The n-th weekday of a week is that weekday, or none.
		for i, d := range r.ByDay {
			if d.N < -1 || d.N > 1 {
				return nil, fmt.Errorf("%w: BYDAY counts %d weekdays in a week", ErrSyntax, d.N)
			}
			r.ByDay[i].N = 0
		}
		r.ByDay = sortDays(r.ByDay)
	}
	return r, nil
}

func (r *Rule) set(key, val string) (err error) {
	switch key {
	case "FREQ":
		i := slices.Index(freqNames[:], val)
		if i < 0 {
			return errors.New("unknown frequency")
		}
		r.Freq = Freq(i)
	case "INTERVAL":
		r.Interval, err = positive(val)
	case "COUNT":
		r.Count, err = positive(val)
	case "UNTIL":
		r.Until, r.UntilForm, err = parseUntil(val)
	case "BYSECOND":
		// RFC 5545 allows 60 for a leap second, which no clock here shows.
		r.BySecond, err = ints(val, 0, 60, false)
		for i, v := range r.BySecond {
			r.BySecond[i] = min(v, 59)
		}
		r.BySecond = slices.Compact(r.BySecond)
	case "BYMINUTE":
		r.ByMinute, err = ints(val, 0, 59, false)
	case "BYHOUR":
		r.ByHour, err = ints(val, 0, 23, false)
	case "BYDAY":
		r.ByDay, err = days(val)
	case "BYMONTHDAY":
		r.ByMonthDay, err = ints(val, 1, 31, true)
	case "BYYEARDAY":
		r.ByYearDay, err = ints(val, 1, 366, true)
	case "BYWEEKNO":
		r.ByWeekNo, err = ints(val, 1, 53, true)
	case "BYMONTH":
		r.ByMonth, err = ints(val, 1, 12, false)
	case "BYSETPOS":
		r.BySetPos, err = ints(val, 1, 366, true)
	case "WKST":
		i := slices.Index(dayNames[:], val)
		if i < 0 {
			return errors.New("unknown weekday")
		}
		r.WeekStart = time.Weekday(i)
	case "RSCALE":
		if val != "GREGORIAN" {
			return fmt.Errorf("%w: %s", ErrCalendarScale, clip(val))
		}
	case "SKIP":
		if val != "OMIT" {
			return fmt.Errorf("%w: SKIP=%s", ErrCalendarScale, clip(val))
		}
	default:
		if !strings.HasPrefix(key, "X-") {
			return errors.New("unknown part")
		}
	}
	return err
}

func positive(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if errors.Is(err, strconv.ErrRange) || n > math.MaxInt32 {
		return math.MaxInt32, nil
	}
	if err != nil || n == 0 {
		return 0, errors.New("not a positive number")
	}
	return int(n), nil
}

func ints(s string, low, high int, signed bool) ([]int, error) {
	var list []int
	for f := range strings.SplitSeq(s, ",") {
		f = strings.TrimSpace(f)
		n, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", clip(f))
		}
		abs := n
		if signed && n < 0 {
			abs = -n
		}
		if abs < low || abs > high {
			return nil, fmt.Errorf("%d is out of range", n)
		}
		list = append(list, n)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

func days(s string) ([]Day, error) {
	var list []Day
	for f := range strings.SplitSeq(s, ",") {
		f = strings.TrimSpace(f)
		if len(f) < 2 {
			return nil, fmt.Errorf("%q is not a weekday", f)
		}
		w := slices.Index(dayNames[:], f[len(f)-2:])
		if w < 0 {
			return nil, fmt.Errorf("%q is not a weekday", clip(f))
		}
		d := Day{Weekday: time.Weekday(w)}
		if n := f[:len(f)-2]; n != "" {
			var err error
			if d.N, err = strconv.Atoi(n); err != nil || d.N < -53 || d.N > 53 {
				return nil, fmt.Errorf("%q is out of range", clip(f))
			}
			if d.N == 0 { // there is no 0th weekday
				continue
			}
		}
		list = append(list, d)
	}
	if len(list) == 0 {
		return nil, errors.New("it names no day")
	}
	return sortDays(list), nil
}

func sortDays(list []Day) []Day {
	slices.SortFunc(list, func(a, b Day) int {
		if a.Weekday != b.Weekday {
			return int(a.Weekday) - int(b.Weekday)
		}
		return a.N - b.N
	})
	return slices.Compact(list)
}

func parseUntil(s string) (time.Time, Form, error) {
	for _, l := range []struct {
		layout string
		form   Form
	}{{"20060102T150405Z", UTC}, {"20060102T150405", Local}, {"20060102", Date}, {"20060102T1504Z", UTC}, {"20060102T1504", Local}} {
		if len(s) != len(l.layout) {
			continue
		}
		t, err := time.Parse(l.layout, s)
		if err != nil || t.Year() < 1 {
			return time.Time{}, 0, errors.New("not a date")
		}
		return t, l.form, nil
	}
	return time.Time{}, 0, errors.New("not a date")
}

// String is the rule in the order of the parts of RFC 5545.
func (r *Rule) String() string {
	b := []byte("FREQ=" + r.Freq.String())
	if !r.Until.IsZero() {
		layout := [...]string{Local: "20060102T150405", UTC: "20060102T150405Z", Date: "20060102"}[r.UntilForm]
		b = r.Until.AppendFormat(append(b, ";UNTIL="...), layout)
	}
	if r.Count > 0 {
		b = strconv.AppendInt(append(b, ";COUNT="...), int64(r.Count), 10)
	}
	if r.Interval != 1 {
		b = strconv.AppendInt(append(b, ";INTERVAL="...), int64(r.Interval), 10)
	}
	list := func(name string, v []int) {
		for i, n := range v {
			if i == 0 {
				b = append(append(append(b, ';'), name...), '=')
			} else {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(n), 10)
		}
	}
	list("BYSECOND", r.BySecond)
	list("BYMINUTE", r.ByMinute)
	list("BYHOUR", r.ByHour)
	for i, d := range r.ByDay {
		if i == 0 {
			b = append(b, ";BYDAY="...)
		} else {
			b = append(b, ',')
		}
		if d.N != 0 {
			b = strconv.AppendInt(b, int64(d.N), 10)
		}
		b = append(b, dayNames[d.Weekday]...)
	}
	list("BYMONTHDAY", r.ByMonthDay)
	list("BYYEARDAY", r.ByYearDay)
	list("BYWEEKNO", r.ByWeekNo)
	list("BYMONTH", r.ByMonth)
	list("BYSETPOS", r.BySetPos)
	if r.WeekStart != time.Monday {
		b = append(append(b, ";WKST="...), dayNames[r.WeekStart]...)
	}
	return string(b)
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
