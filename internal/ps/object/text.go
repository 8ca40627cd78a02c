package object

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
)

// unspecified is the location of times that name no zone: Kind Unspecified.
var unspecified = time.FixedZone("", 0)

// Date makes a DateTime without a zone.
func Date(year int, month time.Month, day, hour, minute, sec, nsec int) time.Time {
	return time.Date(year, month, day, hour, minute, sec, nsec, unspecified)
}

// String is v as text in the language: what "$v" and [string] give. Elements are joined by a blank.
func String(v any) string { return Join(v, " ") }

// Join is v as text with another $OFS between elements.
func Join(v any, ofs string) string {
	if items, ok := Items(v); ok {
		var b strings.Builder
		for i, x := range items {
			if i > 0 {
				b.WriteString(ofs)
			}
			b.WriteString(text(x, false, 0))
		}
		return b.String()
	}
	return text(v, false, 0)
}

// Display is v.ToString() in the current culture: what a formatter prints for a scalar.
func Display(v any) string { return text(v, true, 0) }

const maxTextDepth = 20

func text(v any, culture bool, depth int) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case Switch:
		return text(bool(v), culture, depth)
	case int32, int64, int16, int8, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v)
	case float64:
		return formatG(v, 15)
	case float32:
		return formatG(float64(v), 7)
	case time.Time:
		if culture {
			return FormatDate(v, "G")
		}
		return FormatDate(v, "MM/dd/yyyy HH:mm:ss")
	case time.Duration:
		return formatSpan(v)
	case uuid.UUID:
		return v.String()
	case *url.URL:
		return uriText(v)
	case *Array:
		return arrayText(v.Items, culture, depth, v.Type().Name)
	case *List:
		return arrayText(v.Items, culture, depth, v.Type().Name)
	case *Hashtable:
		return v.Type().Name
	case *Entry:
		return tEntry.Name
	case *Type:
		return v.Name
	case *Object:
		return v.text(culture, depth)
	case *ErrorRecord:
		return v.Message()
	case *Exception:
		return v.Type().Name + ": " + v.Message
	case *Credential:
		return TCredential.Name
	case *SecureString:
		return TSecureString.Name
	case *void:
		return ""
	case fmt.Stringer:
		return v.String()
	}
	if names := TypeNames(v); len(names) > 0 {
		return names[0]
	}
	return ""
}

// arrayText joins the elements for nested text in strings; the formatter never asks for it.
func arrayText(items []any, culture bool, depth int, name string) string {
	if depth > maxTextDepth || culture {
		return name
	}
	parts := make([]string, len(items))
	for i, x := range items {
		parts[i] = text(x, culture, depth+1)
	}
	return strings.Join(parts, " ")
}

func (o *Object) text(culture bool, depth int) string {
	if o.Text != nil {
		return o.Text()
	}
	if p := o.Property("ToString"); p != nil && p.Kind == Method && p.Get != nil {
		if v, err := p.Get(o); err == nil {
			return text(v, culture, depth+1)
		}
	}
	if o.Base != nil {
		return text(o.Base, culture, depth)
	}
	if len(o.names) > 0 && !isPlainBag(o.names) {
		return strings.TrimPrefix(o.names[0], "Deserialized.")
	}
	if depth > maxTextDepth {
		return "@{...}"
	}
	var b strings.Builder
	b.WriteString("@{")
	n := 0
	for i := range o.values {
		f := o.shape.fields[i]
		if f.special != nil && f.special.Hidden {
			continue
		}
		if n++; n > 1 {
			b.WriteString("; ")
		}
		v, err := o.value(i)
		if err != nil {
			v = nil
		}
		b.WriteString(f.name + "=" + text(v, false, depth+1))
	}
	b.WriteString("}")
	return b.String()
}

// isPlainBag reports whether the names say PSCustomObject, as a literal or by selection.
func isPlainBag(names []string) bool {
	for _, n := range names {
		if n = strings.TrimPrefix(n, "Deserialized."); strings.EqualFold(n, TCustom.Name) || strings.HasPrefix(n, "Selected.") {
			return true
		}
	}
	return false
}

// formatG is .NET's general number format: the shortest of plain and scientific at prec significant digits.
func formatG(f float64, prec int) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0:
		return "0"
	}
	return digitsOfFloat(f, prec).general(prec, 'E')
}

// formatSpan is [-][d.]hh:mm:ss[.fffffff].
func formatSpan(d time.Duration) string {
	sign := ""
	ticks := uint64(d / 100)
	if d < 0 {
		sign, ticks = "-", uint64(-(d / 100))
	}
	sec, frac := ticks/1e7, ticks%1e7
	s := sign
	if days := sec / 86400; days > 0 {
		s += strconv.FormatUint(days, 10) + "."
	}
	s += fmt.Sprintf("%02d:%02d:%02d", sec/3600%24, sec/60%60, sec%60)
	if frac > 0 {
		s += fmt.Sprintf(".%07d", frac)
	}
	return s
}

// uriText is Uri.ToString: the parts in canonical form with escapes that are safe to show undone.
func uriText(u *url.URL) string {
	if u == nil {
		return ""
	}
	s := u.String()
	if u.IsAbs() && u.Host != "" && u.Path == "" && u.RawQuery == "" && u.Fragment == "" {
		s += "/"
	}
	return s
}

// ParseURI reads an absolute or relative address. Scheme and host become lower case, an empty path of a web
// address becomes / and the port of the scheme is left out, as System.Uri does.
func ParseURI(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil {
		return nil, fmt.Errorf("Invalid URI: The URI could not be parsed.")
	}
	u.Host = strings.ToLower(u.Host)
	if u.Port() != "" && u.Port() == defaultPort(u.Scheme) {
		u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	if u.Host != "" && u.Path == "" && defaultPort(u.Scheme) != "" {
		u.Path = "/"
	}
	return u, nil
}

func defaultPort(scheme string) string {
	switch scheme {
	case "https":
		return "443"
	case "http":
		return "80"
	case "ftp":
		return "21"
	}
	return ""
}

// foldString folds case the way ordinal comparison without case does: one character to one.
func foldString(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 {
			if 'A' <= r && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}
		return unicode.ToLower(unicode.ToUpper(r))
	}, s)
}
