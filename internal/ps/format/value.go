package format

import (
	"net/url"
	"strings"
	"time"

	"busybridge/internal/ps/object"

	"github.com/google/uuid"
)

// cellText is a value in a cell or behind a label (8.4).
func cellText(v any, limit int) string {
	b := object.Base(v)
	if o, ok := v.(*object.Object); ok && o.Text != nil {
		return o.Text()
	}
	if h, ok := b.(*object.Hashtable); ok {
		return braces(h.Keys(), limit)
	}
	if items, ok := object.Items(b); ok {
		return braces(items, limit)
	}
	return object.Display(v)
}

// braces lists the elements of a collection; what is beyond the limit shows as dots right after the last one.
func braces(items []any, limit int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, x := range items {
		if limit >= 0 && i >= limit {
			b.WriteString("...")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		if _, ok := object.Items(x); ok { // a list in a list shows what it is
			b.WriteString(object.TypeOf(object.Base(x)).Name)
			continue
		}
		b.WriteString(object.Display(x))
	}
	b.WriteByte('}')
	return b.String()
}

// scalarText is the text of a value that has no table or list: it stands on lines of its own.
func scalarText(v any) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case time.Time:
		return object.FormatDate(x, "F"), true
	case bool, object.Switch, object.Char, object.Enum:
		return object.Display(v), true
	case time.Duration, uuid.UUID, *url.URL, object.Version:
		return "", false
	case *object.Type, *object.Credential, *object.SecureString, *object.Match, *object.Group, *object.Entry:
		return "", false
	case *object.Regex:
		return x.String(), true
	}
	if object.IsNumber(v) {
		return object.Display(v), true
	}
	if len(object.Properties(v)) == 0 { // script blocks and other things without properties
		return object.Display(v), true
	}
	return "", false
}
