package hostcmd

import (
	"bytes"
	"cmp"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// crossDepth is how many levels of objects in objects cross; what is deeper
// crosses as its text.
const crossDepth = 2

// cross is v as it arrives on the other side of a session: values of the
// language stay, collections are copied, objects become property bags without
// methods whose type names begin with "Deserialized." (cmdlet reference 3.2).
func cross(v any, depth int) any {
	switch x := v.(type) {
	case nil, bool, string, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64,
		object.Switch, object.Decimal, object.Char, object.Version, time.Time, time.Duration, uuid.UUID, *object.SecureString:
		return x
	case *url.URL:
		u := *x
		return &u
	case object.Enum:
		return x.String()
	case *object.Credential:
		c := *x
		return &c
	case *interp.Message:
		m := *x
		return &m
	case *object.ErrorRecord:
		return crossError(x)
	case *format.Entry: // is laid out over here
		return x
	case *object.Hashtable:
		if depth < 0 {
			return object.String(x)
		}
		h := object.NewHashtable()
		h.Ordered = x.Ordered
		for k, e := range x.All() {
			h.Set(cross(k, 0), cross(e, depth-1))
		}
		return h
	case *object.Array:
		if x.Elem == object.TByte {
			if b, err := object.ToBytes(x); err == nil {
				return object.Bytes(bytes.Clone(b))
			}
		}
	case *object.Object:
		if x.Base == nil {
			break
		}
		base := cross(x.Base, depth)
		if len(x.Own()) == 0 || depth < 0 {
			return base
		}
		return notes(x, object.Wrap(base), depth)
	}
	if depth < 0 {
		return object.String(v)
	}
	if items, ok := object.Items(v); ok {
		l := &object.List{Items: make([]any, len(items))}
		for i, e := range items {
			l.Items[i] = cross(e, depth)
		}
		return l
	}
	if b, ok := v.(*interp.ScriptBlock); ok {
		return b.String()
	}
	names := object.TypeNames(v)
	far := make([]string, len(names))
	for i, n := range names {
		far[i] = "Deserialized." + strings.TrimPrefix(n, "Deserialized.")
	}
	o := object.New(far...)
	if x, ok := v.(*object.Object); !ok || x.Text != nil {
		text := object.String(v)
		o.Text = func() string { return text }
	}
	for _, p := range object.Properties(v) {
		if p.Err == nil {
			o.AddProperty(&object.Property{Name: p.Name, Kind: object.DataProperty, Value: cross(p.Value, depth-1)})
		}
	}
	return o
}

// notes copies the notes of a value to its copy.
func notes(from, to *object.Object, depth int) *object.Object {
	for _, p := range from.Own() {
		if v, ok := from.Get(p.Name); ok && !p.Hidden {
			to.Add(p.Name, cross(v, depth-1))
		}
	}
	return to
}

// crossError is an error as it arrives: the same words, another exception, no
// place.
func crossError(r *object.ErrorRecord) *object.ErrorRecord {
	c := &object.ErrorRecord{
		Exception: &object.Exception{Class: object.TRemoteException, Message: r.Message()}, ID: r.ID, Category: r.Category,
		Activity: r.Activity, Reason: r.Reason, TargetName: r.TargetName, TargetType: r.TargetType, Extra: r.Extra, Remote: true,
	}
	if c.Reason == "" && r.Exception != nil {
		c.Reason = r.Exception.Type().Title()
	}
	if r.Target != nil {
		c.TargetName, c.TargetType = cmp.Or(c.TargetName, object.String(r.Target)), cmp.Or(c.TargetType, object.TypeOf(r.Target).Title())
	}
	return c
}
