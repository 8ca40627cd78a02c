package object

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var (
	errDate = errors.New("String was not recognized as a valid DateTime.")
	errSpan = errors.New("String was not recognized as a valid TimeSpan.")
)

// dateLayouts are the dates the invariant culture and en-US read, month first; timeLayouts follow after a blank or T.
var (
	dateLayouts = []string{
		"1/2/2006", "1/2/06", "2006-1-2", "2006/1/2", "1-2-2006", "1.2.2006",
		"January 2, 2006", "January 2 2006", "2 January 2006", "Jan 2, 2006", "Jan 2 2006", "2 Jan 2006", "2-Jan-2006", "2-Jan-06",
		"Monday, January 2, 2006", "Monday, 2 January 2006", "Mon, 2 Jan 2006", "Mon Jan 2 2006",
		"January 2006", "2006-1", "1/2006",
	}
	timeLayouts = []string{"15:4:5", "15:4", "3:4:5 PM", "3:4 PM", "3 PM", "3:4:5PM", "3:4PM", "3PM"}
	zoneLayouts = []string{"", "Z07:00", " Z07:00", "-07:00", " -07:00", " MST"}
)

// ParseDate reads a date with an optional time and zone. A time with a zone is an instant; without one it names no
// zone. Dates without a year and times without a date need the current day and are refused.
func ParseDate(s string) (time.Time, error) {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" || len(s) > 100 {
		return time.Time{}, errDate
	}
	for _, d := range dateLayouts {
		if t, err := time.ParseInLocation(d, s, unspecified); err == nil {
			return t, nil
		}
	}
	for _, sep := range []string{" ", "T"} {
		if !strings.Contains(s, sep) || !strings.Contains(s, ":") && !strings.ContainsAny(s, "mM") {
			continue
		}
		for _, d := range dateLayouts {
			for _, h := range timeLayouts {
				for _, z := range zoneLayouts {
					if z == " MST" && !strings.HasSuffix(s, " GMT") && !strings.HasSuffix(s, " UTC") {
						continue
					}
					if t, err := time.ParseInLocation(d+sep+h+z, upperMeridiem(s), unspecified); err == nil {
						if z != "" && t.Location() != unspecified {
							return t.UTC(), nil
						}
						return t, nil
					}
				}
			}
		}
	}
	return time.Time{}, errDate
}

// upperMeridiem makes am and pm at the end what time.Parse reads.
func upperMeridiem(s string) string {
	if n := len(s) - 2; n > 0 && (strings.EqualFold(s[n:], "am") || strings.EqualFold(s[n:], "pm")) {
		return s[:n] + strings.ToUpper(s[n:])
	}
	return s
}

// ParseTimeSpan reads [-][d.]hh:mm[:ss[.fffffff]] or a number of days.
func ParseTimeSpan(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	rest, neg := strings.CutPrefix(s, "-")
	var days, h, m, sec, frac int64
	parts := strings.Split(rest, ":")
	num := func(t string, limit int64) (int64, bool) {
		if t == "" || len(t) > 8 || strings.Trim(t, "0123456789") != "" {
			return 0, false
		}
		n, err := strconv.ParseInt(t, 10, 64)
		return n, err == nil && n <= limit
	}
	const maxDays = 106751 // what a time.Duration holds
	ok := true
	check := func(n int64, good bool) int64 { ok = ok && good; return n }
	if len(parts) == 4 { // d:hh:mm:ss
		days = check(num(parts[0], maxDays))
		parts = parts[1:]
	} else if d, r, has := strings.Cut(parts[0], "."); has && len(parts) > 1 {
		days = check(num(d, maxDays))
		parts[0] = r
	}
	switch len(parts) {
	case 1:
		days = check(num(parts[0], maxDays))
	case 2, 3:
		h, m = check(num(parts[0], 23)), check(num(parts[1], 59))
		if len(parts) == 3 {
			w, f, has := strings.Cut(parts[2], ".")
			sec = check(num(w, 59))
			if has {
				if len(f) == 0 || len(f) > 7 {
					return 0, errSpan
				}
				frac = check(num(f+strings.Repeat("0", 7-len(f)), 9999999))
			}
		}
	default:
		return 0, errSpan
	}
	if !ok {
		return 0, errSpan
	}
	d := time.Duration(days)*24*time.Hour + time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second + time.Duration(frac*100)
	if d < 0 {
		return 0, errSpan
	}
	if neg {
		d = -d
	}
	return d, nil
}
