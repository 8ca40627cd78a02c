package object

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// digits is a number as decimal digits: 0.d × 10^exp. Zero has no digits.
type digits struct {
	neg bool
	d   string
	exp int
}

func digitsOfFloat(f float64, prec int) digits {
	if f == 0 || math.IsNaN(f) || math.IsInf(f, 0) {
		return digits{}
	}
	s := strconv.FormatFloat(math.Abs(f), 'e', prec-1, 64)
	mant, e, _ := strings.Cut(s, "e")
	exp, _ := strconv.Atoi(e)
	return digits{f < 0, strings.TrimRight(strings.Replace(mant, ".", "", 1), "0"), exp + 1}
}

func digitsOfInt(n *big.Int, scale int) digits {
	s := new(big.Int).Abs(n).String()
	if s == "0" {
		return digits{}
	}
	return digits{n.Sign() < 0, strings.TrimRight(s, "0"), len(s) - scale}
}

// round keeps n decimals, half away from zero, as .NET's number formats do.
func (x digits) round(decimals int) digits {
	keep := x.exp + decimals
	if keep >= len(x.d) {
		return x
	}
	if keep < 0 {
		return digits{}
	}
	up := x.d[keep] >= '5'
	b := []byte(x.d[:keep])
	exp := x.exp
	if up {
		i := keep - 1
		for ; i >= 0 && b[i] == '9'; i-- {
			b[i] = '0'
		}
		if i >= 0 {
			b[i]++
		} else {
			b = append([]byte{'1'}, b...)
			exp++
		}
	}
	d := strings.TrimRight(string(b), "0")
	if d == "" {
		return digits{}
	}
	return digits{x.neg, d, exp}
}

// whole and frac are the digits before and after the point.
func (x digits) whole() string {
	switch {
	case x.d == "" || x.exp <= 0:
		return ""
	case x.exp >= len(x.d):
		return x.d + strings.Repeat("0", x.exp-len(x.d))
	}
	return x.d[:x.exp]
}

func (x digits) frac() string {
	switch {
	case x.d == "" || x.exp >= len(x.d):
		return ""
	case x.exp < 0:
		return strings.Repeat("0", -x.exp) + x.d
	}
	return x.d[x.exp:]
}

func (x digits) sign() string {
	if x.neg && x.d != "" {
		return "-"
	}
	return ""
}

// fixed has exactly decimals digits after the point; group puts commas.
func (x digits) fixed(decimals int, group bool) (string, bool) {
	x = x.round(decimals)
	w := x.whole()
	if w == "" {
		w = "0"
	}
	if group {
		w = groupDigits(w)
	}
	if decimals > 0 {
		f := x.frac()
		w += "." + f + strings.Repeat("0", decimals-len(f))
	}
	return w, x.sign() != ""
}

func groupDigits(w string) string {
	for i := len(w) - 3; i > 0; i -= 3 {
		w = w[:i] + "," + w[i:]
	}
	return w
}

func (x digits) general(prec int, e byte) string {
	if x.d == "" {
		return "0"
	}
	if len(x.d) > prec { // to prec significant digits
		x = x.round(prec - x.exp)
	}
	if x.exp > prec || x.exp < -3 {
		m := x.d[:1]
		if len(x.d) > 1 {
			m += "." + x.d[1:]
		}
		return x.sign() + m + exponent(x.exp-1, e, 2)
	}
	w, f := x.whole(), x.frac()
	if w == "" {
		w = "0"
	}
	if f != "" {
		w += "." + f
	}
	return x.sign() + w
}

func exponent(exp int, e byte, width int) string {
	sign := "+"
	if exp < 0 {
		sign, exp = "-", -exp
	}
	return fmt.Sprintf("%c%s%0*d", e, sign, width, exp)
}

func (x digits) scientific(decimals int, e byte) string {
	if x.d == "" {
		return "0" + zeros(".", decimals) + exponent(0, e, 3)
	}
	x = x.round(decimals + 1 - x.exp)
	rest := x.d[1:]
	s := x.d[:1]
	if decimals > 0 {
		s += "." + rest + strings.Repeat("0", decimals-len(rest))
	}
	return x.sign() + s + exponent(x.exp-1, e, 3)
}

func zeros(lead string, n int) string {
	if n == 0 {
		return ""
	}
	return lead + strings.Repeat("0", n)
}

var errFormatSpecifier = failure(TFormatException, "Format specifier was invalid.")

// maxPrecision is .NET Framework's limit for the number after a standard format letter.
const maxPrecision = 99

// ToStringFormat is v.ToString(format) in en-US. Values without formats ignore it.
func ToStringFormat(v any, format string) (string, error) {
	v = Base(v)
	if format == "" {
		return Display(v), nil
	}
	switch v := v.(type) {
	case time.Time:
		return formatDate(v, format)
	case time.Duration:
		return formatSpanAs(v, format)
	case uuid.UUID:
		return formatGuid(v, format)
	case Enum:
		switch format {
		case "D", "d":
			return strconv.FormatInt(v.Value, 10), nil
		case "X", "x":
			return fmt.Sprintf("%08X", v.Value), nil
		}
		return v.String(), nil
	case *url.URL, string, bool:
		return Display(v), nil
	}
	if x, ok := numberDigits(v); ok {
		return formatNumber(v, x, format)
	}
	return Display(v), nil
}

func numberDigits(v any) (digits, bool) {
	switch v := v.(type) {
	case float64:
		return digitsOfFloat(v, 15), true
	case float32:
		return digitsOfFloat(float64(v), 7), true
	case Decimal:
		return digitsOfInt(v.int(), v.scale), true
	}
	if n, ok := integer(v); ok {
		return digitsOfInt(n, 0), true
	}
	return digits{}, false
}

func formatNumber(v any, x digits, format string) (string, error) {
	if f, ok := asFloat(v); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return Display(v), nil
	}
	letter := format[0]
	prec := -1
	standard := 'A' <= letter&^0x20 && letter&^0x20 <= 'Z' && len(format) <= 3
	if standard && len(format) > 1 {
		p, err := strconv.ParseUint(format[1:], 10, 8)
		if err != nil {
			standard = false
		} else if prec = int(p); prec > maxPrecision {
			return "", errFormatSpecifier
		}
	}
	if !standard {
		return formatCustom(x, format)
	}
	_, isInt := integer(v)
	decimals := prec
	if prec < 0 {
		decimals = 2
	}
	switch letter {
	case 'N', 'n', 'F', 'f':
		s, neg := x.fixed(decimals, letter == 'N' || letter == 'n')
		if neg {
			s = "-" + s
		}
		return s, nil
	case 'C', 'c':
		s, neg := x.fixed(decimals, true)
		if neg {
			return "($" + s + ")", nil
		}
		return "$" + s, nil
	case 'P', 'p':
		if x.d != "" {
			x.exp += 2
		}
		s, neg := x.fixed(decimals, true)
		if neg {
			s = "-" + s
		}
		return s + " %", nil
	case 'D', 'd':
		if !isInt {
			return "", errFormatSpecifier
		}
		w := x.whole()
		if w == "" {
			w = "0"
		}
		return x.sign() + strings.Repeat("0", max(0, prec-len(w))) + w, nil
	case 'X', 'x':
		n, ok := twosComplement(v)
		if !ok {
			return "", errFormatSpecifier
		}
		s := strconv.FormatUint(n, 16)
		if letter == 'X' {
			s = strings.ToUpper(s)
		}
		return strings.Repeat("0", max(0, prec-len(s))) + s, nil
	case 'E', 'e':
		if prec < 0 {
			decimals = 6
		}
		return x.scientific(decimals, letter), nil
	case 'G', 'g':
		if prec <= 0 {
			return Display(v), nil
		}
		return x.general(prec, letter-'G'+'E'), nil
	case 'R', 'r':
		if f, ok := asFloat(v); ok {
			if s := formatG(f, 15); s == strconv.FormatFloat(f, 'f', -1, 64) {
				return s, nil
			}
			return digitsOfFloat(f, 17).general(17, 'E'), nil
		}
	}
	return "", errFormatSpecifier
}

func twosComplement(v any) (uint64, bool) {
	switch v := v.(type) {
	case int32:
		return uint64(uint32(v)), true
	case int16:
		return uint64(uint16(v)), true
	case int8:
		return uint64(uint8(v)), true
	case int64:
		return uint64(v), true
	case uint8:
		return uint64(v), true
	case uint16:
		return uint64(v), true
	case uint32:
		return uint64(v), true
	case uint64:
		return v, true
	}
	return 0, false
}

// formatCustom applies a custom number format: 0 # . , % E0 quotes and sections.
func formatCustom(x digits, format string) (string, error) {
	sections := splitSections(format)
	sec, neg := sections[0], x.sign() != ""
	switch {
	case neg && len(sections) > 1 && sections[1] != "":
		sec, x.neg, neg = sections[1], false, false
	case x.d == "" && len(sections) > 2:
		sec = sections[2]
	}
	// First pass: count places.
	var intZeros, intPlaces, fracPlaces, fracZeros, percent, scale int
	group, point, seenDigit, exp := false, false, false, -1
	lastComma := 0
	body := []rune(sec)
	for i := 0; i < len(body); i++ {
		switch c := body[i]; c {
		case '\\':
			i++
		case '\'', '"':
			for i++; i < len(body) && body[i] != c; i++ {
			}
		case '0', '#':
			seenDigit = true
			if lastComma > 0 && !point {
				group, lastComma = true, 0
			}
			if point {
				fracPlaces++
				if c == '0' {
					fracZeros = fracPlaces
				}
			} else {
				intPlaces++
				if c == '0' || intZeros > 0 {
					intZeros++
				}
			}
		case '.':
			point = true
		case ',':
			if seenDigit && !point {
				lastComma++
			}
		case '%':
			percent += 2
		case '‰':
			percent += 3
		case 'E', 'e':
			if n := exponentPlaces(body[i+1:]); n > 0 {
				exp = n
				i += n + signWidth(body[i+1])
			}
		}
	}
	scale = 3 * lastComma
	if x.d != "" {
		x.exp += percent - scale
	}
	exponentValue := 0
	if exp > 0 && x.d != "" {
		exponentValue = x.exp - intPlaces
		x.exp = intPlaces
	}
	x = x.round(fracPlaces)
	if x.d == "" {
		neg = false
	}
	whole := x.whole()
	whole = strings.Repeat("0", max(0, intZeros-len(whole))) + whole
	if group {
		whole = groupDigits(whole)
	}
	frac := x.frac()
	frac += strings.Repeat("0", max(0, fracZeros-len(frac)))
	// Second pass: write.
	var b strings.Builder
	if neg {
		b.WriteByte('-')
	}
	seen := 0
	wroteInt, wrotePoint := false, false
	writeInt := func() { // at the first place; the other places hold nothing then
		if !wroteInt {
			wroteInt = true
			b.WriteString(whole)
		}
	}
	literalInInt := needsPlaces(body)
	places := placeDigits(whole, intPlaces)
	for i := 0; i < len(body); i++ {
		switch c := body[i]; c {
		case '\\':
			if i++; i < len(body) {
				b.WriteRune(body[i])
			}
		case '\'', '"':
			for i++; i < len(body) && body[i] != c; i++ {
				b.WriteRune(body[i])
			}
		case '0', '#':
			if wrotePoint {
				continue
			}
			if literalInInt && !group {
				b.WriteString(places[seen])
				seen++
			} else {
				writeInt()
			}
		case '.':
			if !wrotePoint {
				wrotePoint = true
				if !literalInInt || group {
					writeInt()
				}
				if frac != "" {
					b.WriteString("." + frac)
				}
			}
		case ',':
		case 'E', 'e':
			if n := exponentPlaces(body[i+1:]); n > 0 {
				plus := body[i+1] == '+'
				s := exponent(exponentValue, byte(c), n)
				if !plus {
					s = strings.Replace(s, "+", "", 1)
				}
				b.WriteString(s)
				i += n + signWidth(body[i+1])
				continue
			}
			b.WriteRune(c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String(), nil
}

// needsPlaces reports whether literal text stands between integer digit places, as in 000-0000.
func needsPlaces(body []rune) bool {
	digit, gap := false, false
	for _, c := range body {
		switch c {
		case '0', '#':
			if gap {
				return true
			}
			digit = true
		case '.':
			return false
		case ',':
		default:
			gap = digit
		}
	}
	return false
}

// placeDigits deals the digits of whole to n places from the right; what is left over goes to the first.
func placeDigits(whole string, n int) []string {
	places := make([]string, n+1)
	for i := n - 1; i > 0 && whole != ""; i-- {
		places[i], whole = whole[len(whole)-1:], whole[:len(whole)-1]
	}
	places[0] = whole
	return places
}

func signWidth(c rune) int {
	if c == '+' || c == '-' {
		return 1
	}
	return 0
}

// exponentPlaces is the number of zeros of an exponent format (E0, E+00, e-000), 0 when there is none.
func exponentPlaces(rest []rune) int {
	i, n := 0, 0
	if len(rest) > 0 && (rest[0] == '+' || rest[0] == '-') {
		i = 1
	}
	for ; i < len(rest) && rest[i] == '0' && n < 10; i++ {
		n++
	}
	return n
}

func splitSections(format string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(format); i++ {
		switch c := format[i]; c {
		case '\\':
			i++
		case '\'', '"':
			if j := strings.IndexByte(format[i+1:], c); j >= 0 {
				i += j + 1
			}
		case ';':
			parts = append(parts, format[start:i])
			start = i + 1
		}
	}
	return append(parts, format[start:])
}

// datePatterns are the standard formats of en-US.
var datePatterns = map[byte]string{
	'd': "M/d/yyyy", 'D': "dddd, MMMM d, yyyy", 'f': "dddd, MMMM d, yyyy h:mm tt", 'F': "dddd, MMMM d, yyyy h:mm:ss tt",
	'g': "M/d/yyyy h:mm tt", 'G': "M/d/yyyy h:mm:ss tt", 'm': "MMMM d", 'M': "MMMM d", 'o': "yyyy-MM-ddTHH:mm:ss.fffffffK",
	'O': "yyyy-MM-ddTHH:mm:ss.fffffffK", 'r': "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'", 'R': "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'",
	's': "yyyy-MM-ddTHH:mm:ss", 't': "h:mm tt", 'T': "h:mm:ss tt", 'u': "yyyy-MM-dd HH:mm:ss'Z'", 'U': "dddd, MMMM d, yyyy h:mm:ss tt",
	'y': "MMMM yyyy", 'Y': "MMMM yyyy",
}

// FormatDate is t.ToString(format) for a format known to be good; a bad one gives the default text.
func FormatDate(t time.Time, format string) string {
	s, err := formatDate(t, format)
	if err != nil {
		s, _ = formatDate(t, "G")
	}
	return s
}

func formatDate(t time.Time, format string) (string, error) {
	if len(format) == 1 {
		p, ok := datePatterns[format[0]]
		if !ok {
			return "", NewError("FormatError", InvalidOperation, TFormatException, "Input string was not in a correct format.")
		}
		if format == "U" {
			t = t.UTC()
		}
		format = p
	}
	if len(format) == 2 && format[0] == '%' {
		format = format[1:]
	}
	var b strings.Builder
	for i := 0; i < len(format); {
		c := format[i]
		n := 1
		for i+n < len(format) && format[i+n] == c {
			n++
		}
		switch c {
		case 'y':
			switch {
			case n <= 2:
				fmt.Fprintf(&b, "%0*d", n, t.Year()%100)
			default:
				fmt.Fprintf(&b, "%0*d", n, t.Year())
			}
		case 'M':
			switch n {
			case 1, 2:
				fmt.Fprintf(&b, "%0*d", n, int(t.Month()))
			case 3:
				b.WriteString(t.Month().String()[:3])
			default:
				b.WriteString(t.Month().String())
			}
		case 'd':
			switch n {
			case 1, 2:
				fmt.Fprintf(&b, "%0*d", n, t.Day())
			case 3:
				b.WriteString(t.Weekday().String()[:3])
			default:
				b.WriteString(t.Weekday().String())
			}
		case 'h':
			fmt.Fprintf(&b, "%0*d", min(n, 2), (t.Hour()+11)%12+1)
		case 'H':
			fmt.Fprintf(&b, "%0*d", min(n, 2), t.Hour())
		case 'm':
			fmt.Fprintf(&b, "%0*d", min(n, 2), t.Minute())
		case 's':
			fmt.Fprintf(&b, "%0*d", min(n, 2), t.Second())
		case 'f', 'F':
			if n > 7 {
				return "", NewError("FormatError", InvalidOperation, TFormatException, "Input string was not in a correct format.")
			}
			s := fmt.Sprintf("%09d", t.Nanosecond())[:n]
			if c == 'F' {
				s = strings.TrimRight(s, "0")
				if s == "" {
					cut := strings.TrimSuffix(b.String(), ".")
					b.Reset()
					b.WriteString(cut)
				}
			}
			b.WriteString(s)
		case 't':
			s := "AM"
			if t.Hour() >= 12 {
				s = "PM"
			}
			b.WriteString(s[:min(n, 2)])
		case 'z':
			_, off := t.Zone()
			sign := '+'
			if off < 0 {
				sign, off = '-', -off
			}
			switch n {
			case 1, 2:
				fmt.Fprintf(&b, "%c%0*d", sign, n, off/3600)
			default:
				fmt.Fprintf(&b, "%c%02d:%02d", sign, off/3600, off/60%60)
			}
		case 'K':
			n = 1
			switch t.Location() {
			case unspecified:
			case time.UTC:
				b.WriteByte('Z')
			default:
				b.WriteString(t.Format("-07:00"))
			}
		case 'g':
			b.WriteString("A.D.")
		case '\'', '"':
			j := strings.IndexByte(format[i+1:], c)
			if j < 0 {
				return "", NewError("FormatError", InvalidOperation, TFormatException, "Input string was not in a correct format.")
			}
			b.WriteString(format[i+1 : i+1+j])
			n = j + 2
		case '\\':
			n = 1
			if i+1 < len(format) {
				_, size := utf8.DecodeRuneInString(format[i+1:])
				b.WriteString(format[i+1 : i+1+size])
				n = 1 + size
			}
		case '%':
			n = 1
		default:
			b.WriteString(format[i : i+n])
		}
		i += n
	}
	return b.String(), nil
}

func formatSpanAs(d time.Duration, format string) (string, error) {
	neg, abs := d < 0, d.Abs()
	days, h, m, s := int64(abs.Hours())/24, int64(abs.Hours())%24, int64(abs.Minutes())%60, int64(abs.Seconds())%60
	frac := fmt.Sprintf("%07d", abs%time.Second/100)
	sign := ""
	if neg {
		sign = "-"
	}
	switch format {
	case "c", "t", "T":
		return formatSpan(d), nil
	case "g":
		out := sign
		if days > 0 {
			out += strconv.FormatInt(days, 10) + ":"
		}
		out += fmt.Sprintf("%d:%02d:%02d", h, m, s)
		if f := strings.TrimRight(frac, "0"); f != "" {
			out += "." + f
		}
		return out, nil
	case "G":
		return fmt.Sprintf("%s%d:%02d:%02d:%02d.%s", sign, days, h, m, s, frac), nil
	}
	var b strings.Builder
	for i := 0; i < len(format); {
		c, n := format[i], 1
		for i+n < len(format) && format[i+n] == c {
			n++
		}
		switch c {
		case 'd':
			fmt.Fprintf(&b, "%0*d", n, days)
		case 'h':
			fmt.Fprintf(&b, "%0*d", n, h)
		case 'm':
			fmt.Fprintf(&b, "%0*d", n, m)
		case 's':
			fmt.Fprintf(&b, "%0*d", n, s)
		case 'f':
			b.WriteString(frac[:min(n, 7)])
		case 'F':
			b.WriteString(strings.TrimRight(frac[:min(n, 7)], "0"))
		case '\\':
			n = 1
			if i+1 < len(format) {
				b.WriteByte(format[i+1])
				n = 2
			}
		case '\'', '"':
			j := strings.IndexByte(format[i+1:], c)
			if j < 0 {
				return "", NewError("FormatError", InvalidOperation, TFormatException, "Input string was not in a correct format.")
			}
			b.WriteString(format[i+1 : i+1+j])
			n = j + 2
		case '%':
			n = 1
		default: // unlike dates, other characters must be quoted
			return "", NewError("FormatError", InvalidOperation, TFormatException, "Input string was not in a correct format.")
		}
		i += n
	}
	return b.String(), nil
}

func formatGuid(id uuid.UUID, format string) (string, error) {
	switch strings.ToUpper(format) {
	case "D":
		return id.String(), nil
	case "N":
		return strings.ReplaceAll(id.String(), "-", ""), nil
	case "B":
		return "{" + id.String() + "}", nil
	case "P":
		return "(" + id.String() + ")", nil
	case "X":
		return fmt.Sprintf("{0x%08x,0x%04x,0x%04x,{0x%02x,0x%02x,0x%02x,0x%02x,0x%02x,0x%02x,0x%02x,0x%02x}}", binary.BigEndian.Uint32(id[:4]),
			binary.BigEndian.Uint16(id[4:6]), binary.BigEndian.Uint16(id[6:8]), id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]), nil
	}
	return "", NewError("FormatError", InvalidOperation, TFormatException,
		"Format String can be only \"D\", \"d\", \"N\", \"n\", \"P\", \"p\", \"B\", \"b\", \"X\" or \"x\".")
}

// maxFormatWidth bounds the width of one item of a composite format, and maxFormatted the whole text.
const (
	maxFormatWidth = 1 << 20
	maxFormatted   = 16 << 20
)

// Format is .NET composite formatting, {index[,width][:format]} with doubled braces, in en-US: the -f operator and
// [string]::Format.
func Format(format string, args ...any) (string, error) {
	bad := func(msg string) (string, error) {
		return "", NewError("FormatError", InvalidOperation, nil, "Error formatting a string: %s.", msg)
	}
	const malformed = "Input string was not in a correct format."
	const outOfRange = "Index (zero based) must be greater than or equal to zero and less than the size of the argument list."
	var b strings.Builder
	for i := 0; i < len(format); {
		c := format[i]
		switch c {
		case '{':
			if strings.HasPrefix(format[i:], "{{") {
				b.WriteByte('{')
				i += 2
				continue
			}
		case '}':
			if !strings.HasPrefix(format[i:], "}}") {
				return bad(malformed)
			}
			b.WriteByte('}')
			i += 2
			continue
		default:
			b.WriteByte(c)
			i++
			continue
		}
		// The item: up to the closing brace; doubled braces inside the format stand for one.
		var item strings.Builder
		j, closed := i+1, false
		for j < len(format) {
			if format[j] == '}' {
				if strings.HasPrefix(format[j:], "}}") && strings.Contains(item.String(), ":") && strings.Count(format[j:], "}")%2 == 1 {
					item.WriteByte('}')
					j += 2
					continue
				}
				closed = true
				break
			}
			if strings.HasPrefix(format[j:], "{{") {
				item.WriteByte('{')
				j += 2
				continue
			}
			if format[j] == '{' {
				return bad(malformed)
			}
			item.WriteByte(format[j])
			j++
		}
		if !closed {
			return bad(malformed)
		}
		i = j + 1
		head, spec, _ := strings.Cut(item.String(), ":")
		num, width, hasWidth := strings.Cut(head, ",")
		n, err := strconv.ParseUint(strings.TrimRight(num, " "), 10, 31)
		if err != nil {
			return bad(malformed)
		}
		w := 0
		if hasWidth {
			w, err = strconv.Atoi(strings.TrimSpace(width))
			if err != nil || w > maxFormatWidth || w < -maxFormatWidth {
				return bad(malformed)
			}
		}
		if n >= uint64(len(args)) {
			return bad(outOfRange)
		}
		s, err := ToStringFormat(args[n], spec)
		if err != nil {
			return bad(err.Error())
		}
		pad := max(w, -w) - utf16Len(s)
		if pad > 0 && w > 0 {
			b.WriteString(strings.Repeat(" ", pad))
		}
		b.WriteString(s)
		if pad > 0 && w < 0 {
			b.WriteString(strings.Repeat(" ", pad))
		}
		if b.Len() > maxFormatted {
			return "", NewError("FormatError", LimitsExceeded, nil, "Error formatting a string: the result is too long.")
		}
	}
	return b.String(), nil
}
