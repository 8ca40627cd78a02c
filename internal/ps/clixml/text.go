package clixml

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"busybridge/internal/ps/object"
)

// appendEscaped appends s with control characters and halves of pairs as _xHHHH_ (MS-PSRP 2.2.5.3.2).
func appendEscaped(b []byte, s string) []byte {
	for i, r := range s {
		switch {
		case r == '_' && i+1 < len(s) && (s[i+1] == 'x' || s[i+1] == 'X'):
			b = append(b, "_x005F_"...)
		case isPlain(r):
			b = utf8.AppendRune(b, r)
		default:
			for _, u := range utf16.AppendRune(nil, r) {
				b = fmt.Appendf(b, "_x%04X_", u)
			}
		}
	}
	return b
}

func isPlain(r rune) bool { return r >= ' ' && (r < 0x7f || r > 0x9f) && r < 0xfffe }

func escape(s string) string {
	for i, r := range s {
		if r == '_' && i+1 < len(s) && (s[i+1] == 'x' || s[i+1] == 'X') || !isPlain(r) || r == utf8.RuneError {
			return string(appendEscaped(make([]byte, 0, len(s)+16), s))
		}
	}
	return s
}

// unescape undoes escape. A lone half of a pair becomes U+FFFD.
func unescape(s string) string {
	if !strings.Contains(s, "_x") {
		return s
	}
	units := make([]uint16, 0, len(s))
	for i := 0; i < len(s); {
		if i+7 <= len(s) && s[i] == '_' && s[i+1] == 'x' && s[i+6] == '_' {
			if n, err := strconv.ParseUint(s[i+2:i+6], 16, 16); err == nil {
				units = append(units, uint16(n))
				i += 7
				continue
			}
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		units = utf16.AppendRune(units, r)
		i += size
	}
	return string(utf16.Decode(units))
}

func floatText(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "INF"
	case math.IsInf(f, -1):
		return "-INF"
	}
	return strconv.FormatFloat(f, 'G', -1, bits)
}

const timeLayout = "2006-01-02T15:04:05.9999999"

// timeText is the round-trip form: the kind decides whether there is a zone.
func timeText(t time.Time) string {
	kind, _ := object.Get(t, "Kind")
	switch object.String(kind) {
	case "Utc":
		return t.Format(timeLayout) + "Z"
	case "Local":
		return t.Format(timeLayout + "-07:00")
	}
	return t.Format(timeLayout)
}

func readTime(s string) (time.Time, error) {
	if t, err := time.Parse(timeLayout+"Z07:00", s); err == nil {
		if strings.HasSuffix(s, "Z") {
			t = t.UTC()
		}
		return t, nil
	}
	t, err := time.Parse(timeLayout, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time", s)
	}
	return object.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond()), nil
}

// spanText is a duration as XML Schema writes it, in days at most.
func spanText(d time.Duration) string {
	sign := ""
	n := uint64(d / 100)
	if d < 0 {
		sign, n = "-", uint64(-(d / 100))
	}
	var b strings.Builder
	b.WriteString(sign + "P")
	sec, frac := n/1e7, n%1e7
	if days := sec / 86400; days > 0 {
		fmt.Fprintf(&b, "%dD", days)
	}
	rest := sec % 86400
	if rest == 0 && frac == 0 && sec > 0 {
		return b.String()
	}
	b.WriteByte('T')
	if h := rest / 3600; h > 0 {
		fmt.Fprintf(&b, "%dH", h)
	}
	if m := rest / 60 % 60; m > 0 {
		fmt.Fprintf(&b, "%dM", m)
	}
	if s := rest % 60; s > 0 || frac > 0 || rest == 0 {
		b.WriteString(strconv.FormatUint(s, 10))
		if frac > 0 {
			b.WriteString("." + strings.TrimRight(fmt.Sprintf("%07d", frac), "0"))
		}
		b.WriteByte('S')
	}
	return b.String()
}

// ParseDuration reads a duration of XML Schema in days at most: years and months have no length.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration", s)
	rest, negative := strings.CutPrefix(s, "-")
	rest, ok := strings.CutPrefix(rest, "P")
	if !ok || rest == "" {
		return 0, bad
	}
	var total float64
	var whole time.Duration
	inTime := false
	for rest != "" {
		if r, ok := strings.CutPrefix(rest, "T"); ok && !inTime {
			rest, inTime = r, true
			continue
		}
		n := strings.IndexAny(rest, "DHMS")
		if n <= 0 {
			return 0, bad
		}
		unit, known := map[string]time.Duration{"falseD": 24 * time.Hour, "trueH": time.Hour, "trueM": time.Minute, "trueS": time.Second}[strconv.FormatBool(inTime)+rest[n:n+1]]
		if !known {
			return 0, bad
		}
		f, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil || f < 0 || strings.ContainsAny(rest[:n], "eExXnN_+") {
			return 0, bad
		}
		if total += f * unit.Seconds(); total > math.MaxInt64/1e9 {
			return 0, bad
		}
		i, frac := math.Modf(f)
		whole += time.Duration(i)*unit + time.Duration(math.Round(frac*1e7))*unit/1e7
		rest = rest[n+1:]
	}
	if negative {
		whole = -whole
	}
	return whole, nil
}
