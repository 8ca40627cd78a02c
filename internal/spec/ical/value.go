package ical

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A form says how a time was written (RFC 5545 3.3.4, 3.3.5).
type form uint8

const (
	formDate form = iota
	formLocal
	formUTC
)

var errTime = errors.New("not a date or time")

// parseTime reads a DATE or DATE-TIME as seconds of a wall clock. Missing
// seconds are zero, second 60 is 59, 24:00 is the next midnight.
func parseTime(s string) (wall int64, f form, err error) {
	s = strings.TrimSpace(s)
	bad := func() (int64, form, error) { return 0, 0, fmt.Errorf("%w: %s", errTime, clip(s)) }
	if len(s) < 8 {
		return bad()
	}
	year, ok1 := digits(s[:4])
	month, ok2 := digits(s[4:6])
	day, ok3 := digits(s[6:8])
	if !ok1 || !ok2 || !ok3 || year < 1 || month < 1 || month > 12 || day < 1 || day > monthDays(year, month) {
		return bad()
	}
	var clock int
	rest := s[8:]
	if rest != "" {
		f = formLocal
		if rest[0] != 'T' && rest[0] != 't' {
			return bad()
		}
		rest = rest[1:]
		if n := len(rest); n > 0 && (rest[n-1] == 'Z' || rest[n-1] == 'z') {
			rest, f = rest[:n-1], formUTC
		}
		if len(rest) == 4 {
			rest += "00"
		}
		if len(rest) != 6 {
			return bad()
		}
		h, ok1 := digits(rest[:2])
		m, ok2 := digits(rest[2:4])
		sec, ok3 := digits(rest[4:6])
		if !ok1 || !ok2 || !ok3 || m > 59 || sec > 60 || h > 24 || h == 24 && m+sec > 0 {
			return bad()
		}
		clock = h*3600 + m*60 + min(sec, 59)
	}
	return time.Date(year, time.Month(month), day, 0, 0, clock, 0, time.UTC).Unix(), f, nil
}

// digits reads a short number without a sign.
func digits(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, s != ""
}

func monthDays(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// A length is how long an event lasts: days of the calendar, then exact seconds.
type length struct {
	days, seconds int64
}

// maxLength bounds both parts of a length: 400 years of seconds.
const maxLength = 400 * 366 * 86400

var errDuration = errors.New("not a duration")

// parseDuration reads a DURATION (RFC 5545 3.3.6). Weeks may stand beside other
// parts, as some programs write it.
func parseDuration(s string) (length, error) {
	s = strings.TrimSpace(s)
	rest, sign := s, int64(1)
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		if rest[0] == '-' {
			sign = -1
		}
		rest = rest[1:]
	}
	bad := fmt.Errorf("%w: %s", errDuration, clip(s))
	if rest == "" || rest[0] != 'P' && rest[0] != 'p' {
		return length{}, bad
	}
	rest = rest[1:]
	var l length
	parts, inTime := 0, false
	for rest != "" {
		if rest[0] == 'T' || rest[0] == 't' {
			if inTime {
				return length{}, bad
			}
			inTime, rest = true, rest[1:]
			continue
		}
		n := int64(0)
		i := 0
		for ; i < len(rest) && rest[i] >= '0' && rest[i] <= '9'; i++ {
			if n = n*10 + int64(rest[i]-'0'); n > maxLength {
				return length{}, fmt.Errorf("%w: it is too long", bad)
			}
		}
		if i == 0 || i == len(rest) {
			return length{}, bad
		}
		unit := rest[i] &^ 0x20
		switch {
		case unit == 'W' && !inTime:
			l.days += 7 * n
		case unit == 'D' && !inTime:
			l.days += n
		case unit == 'H' && inTime:
			l.seconds += 3600 * n
		case unit == 'M' && inTime:
			l.seconds += 60 * n
		case unit == 'S' && inTime:
			l.seconds += n
		default:
			return length{}, bad
		}
		if l.days > maxLength/86400 || l.seconds > maxLength {
			return length{}, fmt.Errorf("%w: it is too long", bad)
		}
		parts++
		rest = rest[i+1:]
	}
	if parts == 0 {
		return length{}, bad
	}
	return length{sign * l.days, sign * l.seconds}, nil
}
