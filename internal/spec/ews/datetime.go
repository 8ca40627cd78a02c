package ews

import (
	"strconv"
	"strings"
	"time"
)

// A DateTime is an xs:dateTime. One without offset is a wall clock in a zone
// that is said elsewhere: Local is true, and Time is its reading labelled UTC.
type DateTime struct {
	Time  time.Time // UTC
	Local bool
}

// UTC returns the instant; toUTC turns a wall clock into one.
func (d DateTime) UTC(toUTC func(wall time.Time) time.Time) time.Time {
	if d.Local {
		return toUTC(d.Time)
	}
	return d.Time
}

// ParseDateTime reads an xs:dateTime of the years 1 to 9999 (XML Schema 2, 3.2.7).
func ParseDateTime(s string) (DateTime, bool) {
	if len(s) < 19 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return DateTime{}, false
	}
	var v [6]int
	for i, f := range [...]string{s[:4], s[5:7], s[8:10], s[11:13], s[14:16], s[17:19]} {
		for j := range len(f) {
			if f[j] < '0' || f[j] > '9' {
				return DateTime{}, false
			}
			v[i] = v[i]*10 + int(f[j]-'0')
		}
	}
	rest, nanos := s[19:], 0
	if strings.HasPrefix(rest, ".") {
		n := 1
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		digits := rest[1:n]
		if digits == "" {
			return DateTime{}, false
		}
		nanos, _ = strconv.Atoi((digits + "000000000")[:9]) // only digits
		rest = rest[n:]
	}
	midnight := v[3] == 24 && v[4] == 0 && v[5] == 0 && nanos == 0
	if v[0] == 0 || v[3] > 23 && !midnight || v[4] > 59 || v[5] > 59 {
		return DateTime{}, false
	}
	if d := time.Date(v[0], time.Month(v[1]), v[2], 0, 0, 0, 0, time.UTC); d.Year() != v[0] || int(d.Month()) != v[1] || d.Day() != v[2] {
		return DateTime{}, false
	}
	t := time.Date(v[0], time.Month(v[1]), v[2], v[3], v[4], v[5], nanos, time.UTC)
	switch {
	case rest == "":
		return DateTime{t, true}, true
	case rest == "Z":
		return DateTime{t, false}, true
	case len(rest) != 6 || rest[3] != ':' || rest[0] != '+' && rest[0] != '-':
		return DateTime{}, false
	}
	h, err1 := strconv.ParseUint(rest[1:3], 10, 8)
	m, err2 := strconv.ParseUint(rest[4:6], 10, 8)
	if err1 != nil || err2 != nil || h > 14 || m > 59 || h == 14 && m > 0 {
		return DateTime{}, false
	}
	offset := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	if rest[0] == '-' {
		offset = -offset
	}
	return DateTime{t.Add(-offset), false}, true
}

// appendWall appends the clock reading of t without offset, in whole seconds (2.3).
func appendWall(b []byte, t time.Time) []byte {
	// RFC 3339 has a fast path in package time; the Z goes off again.
	b = time.Unix(t.Unix(), 0).UTC().AppendFormat(b, time.RFC3339)
	return b[:len(b)-1]
}

// parseDuration reads an xs:duration of days and less.
func parseDuration(s string) (time.Duration, bool) {
	rest, neg := strings.CutPrefix(s, "-")
	rest, ok := strings.CutPrefix(rest, "P")
	if !ok || rest == "" {
		return 0, false
	}
	var d time.Duration
	days, clock, hasClock := strings.Cut(rest, "T")
	if hasClock && clock == "" {
		return 0, false
	}
	for _, part := range []struct {
		text, units string
		size        []time.Duration
	}{
		{days, "D", []time.Duration{24 * time.Hour}},
		{clock, "HMS", []time.Duration{time.Hour, time.Minute, time.Second}},
	} {
		next := 0
		for text := part.text; text != ""; {
			n := strings.IndexAny(text, part.units)
			if n < 1 || n > 9 {
				return 0, false
			}
			unit := strings.IndexByte(part.units, text[n])
			whole, fraction, _ := strings.Cut(text[:n], ".")
			v, err := strconv.ParseUint(whole, 10, 20)
			if err != nil || unit < next || fraction != "" && text[n] != 'S' {
				return 0, false
			}
			d += time.Duration(v) * part.size[unit]
			next, text = unit+1, text[n+1:]
		}
	}
	if neg {
		d = -d
	}
	return d, true
}

// appendDuration appends an xs:duration in hours, minutes and seconds.
func appendDuration(b []byte, d time.Duration) []byte {
	if d < 0 {
		b, d = append(b, '-'), -d
	}
	b = append(b, "PT"...)
	start := len(b)
	for _, u := range []struct {
		size time.Duration
		name byte
	}{{time.Hour, 'H'}, {time.Minute, 'M'}, {time.Second, 'S'}} {
		if n := int64(d / u.size); n > 0 || u.name == 'S' && len(b) == start {
			b = append(strconv.AppendInt(b, n, 10), u.name)
			d %= u.size
		}
	}
	return b
}
