package wintz

import "time"

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
	DayOrder int           // n-th Weekday of Month, 1..5, 5 = last; with Year: day of the month
	Month    int           // 1..12
	Weekday  time.Weekday
	Year     int // 0: every year
}
