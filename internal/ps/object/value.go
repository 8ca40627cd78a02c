package object

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// A Char is one UTF-16 code unit.
type Char uint16

func (c Char) String() string { return string(rune(c)) }

// A Switch is the value of a switch parameter.
type Switch bool

// A Version is four numbers; the last two are -1 when they are not given.
type Version struct{ Major, Minor, Build, Revision int }

func (v Version) String() string {
	s := strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor)
	if v.Build >= 0 {
		s += "." + strconv.Itoa(v.Build)
		if v.Revision >= 0 {
			s += "." + strconv.Itoa(v.Revision)
		}
	}
	return s
}

// ParseVersion reads major.minor[.build[.revision]].
func ParseVersion(s string) (Version, error) {
	v := Version{Build: -1, Revision: -1}
	parts := strings.Split(strings.TrimSpace(s), ".")
	if len(parts) < 2 || len(parts) > 4 {
		return v, fmt.Errorf("version %q: two to four numbers are needed", s)
	}
	for i, f := range []*int{&v.Major, &v.Minor, &v.Build, &v.Revision}[:len(parts)] {
		n, err := strconv.ParseInt(strings.TrimSpace(parts[i]), 10, 32)
		if err != nil || n < 0 {
			return v, fmt.Errorf("version %q: %q is not a number", s, parts[i])
		}
		*f = int(n)
	}
	return v, nil
}

// An Enum is a member of an enumeration, or a combination of members when the type has flags.
type Enum struct {
	Type  *Type
	Value int64
}

// EnumOf is the member of t with that name; it panics when there is none, and is meant for names that stand in code.
func EnumOf(t *Type, name string) Enum {
	for _, n := range t.Enum {
		if strings.EqualFold(n.Name, name) {
			return Enum{t, n.Value}
		}
	}
	panic("object: " + t.Name + " has no member " + name)
}

// String is the member's name, the names of the flags, or the number.
func (e Enum) String() string {
	for _, n := range e.Type.Enum {
		if n.Value == e.Value {
			return n.Name
		}
	}
	if e.Type.Flags {
		// As .NET does: the greatest values first, so that a name for several flags wins over theirs.
		names := slices.SortedStableFunc(slices.Values(e.Type.Enum), func(a, b EnumName) int { return cmp.Compare(b.Value, a.Value) })
		rest := e.Value
		names = slices.DeleteFunc(names, func(n EnumName) bool {
			if n.Value == 0 || rest&n.Value != n.Value {
				return true
			}
			rest &^= n.Value
			return false
		})
		if rest == 0 && len(names) > 0 {
			texts := make([]string, len(names))
			for i, n := range names {
				texts[len(names)-1-i] = n.Name
			}
			return strings.Join(texts, ", ")
		}
	}
	return strconv.FormatInt(e.Value, 10)
}

// An Array has a fixed length. It is a reference: what one holder sets, the other sees.
type Array struct {
	Elem  *Type // nil: object
	Items []any
}

// NewArray makes an object[].
func NewArray(items ...any) *Array { return &Array{Items: items} }

// Bytes makes a byte[].
func Bytes(b []byte) *Array {
	a := &Array{Elem: TByte, Items: make([]any, len(b))}
	for i, x := range b {
		a.Items[i] = x
	}
	return a
}

// Strings makes a string[].
func Strings(s ...string) *Array {
	a := &Array{Elem: TString, Items: make([]any, len(s))}
	for i, x := range s {
		a.Items[i] = x
	}
	return a
}

// Type is the array's type.
func (a *Array) Type() *Type {
	if a.Elem == nil {
		return TArrayAny
	}
	return ArrayOf(a.Elem)
}

// A List grows: an ArrayList or a generic list.
type List struct {
	Kind  *Type // nil: ArrayList
	Items []any
}

// Type is the list's type.
func (l *List) Type() *Type {
	if l.Kind == nil {
		return TArrayList
	}
	return l.Kind
}

// Add converts v to the element type and appends it.
func (l *List) Add(v any) error {
	if l.Kind != nil && l.Kind.Elem != nil {
		c, err := Convert(v, l.Kind.Elem)
		if err != nil {
			return err
		}
		v = c
	}
	l.Items = append(l.Items, v)
	return nil
}

// An Entry is a key with its value, as enumerating a hashtable gives it.
type Entry struct{ Key, Value any }

// A Hashtable maps keys to values; keys keep the order of insertion. String keys are compared without case.
type Hashtable struct {
	Ordered bool
	Kind    *Type // nil: Hashtable or OrderedDictionary
	index   map[any]int
	entries []*Entry // nil for a removed one
	removed int
}

// NewHashtable makes an empty hashtable.
func NewHashtable() *Hashtable { return &Hashtable{} }

// NewOrdered makes an empty ordered dictionary.
func NewOrdered() *Hashtable { return &Hashtable{Ordered: true} }

// Type is Hashtable, OrderedDictionary or the generic dictionary it was made as.
func (h *Hashtable) Type() *Type {
	switch {
	case h.Kind != nil:
		return h.Kind
	case h.Ordered:
		return TOrdered
	}
	return THashtable
}

// hashKey makes equal keys equal Go values: strings fold their case, numbers keep their type as .NET does.
func hashKey(key any) any {
	switch k := Base(key).(type) {
	case string:
		return foldString(k)
	case Decimal:
		return "\x00decimal" + k.String()
	default:
		return k
	}
}

// Len is the number of keys.
func (h *Hashtable) Len() int { return len(h.entries) - h.removed }

// Get is the value under key.
func (h *Hashtable) Get(key any) (any, bool) {
	if key == nil {
		return nil, false
	}
	i, ok := h.index[hashKey(key)]
	if !ok {
		return nil, false
	}
	return h.entries[i].Value, true
}

// Set puts value under key; a new key comes last.
func (h *Hashtable) Set(key, value any) {
	k := hashKey(key)
	if i, ok := h.index[k]; ok {
		h.entries[i].Value = value
		return
	}
	if h.index == nil {
		h.index = make(map[any]int)
	}
	h.index[k] = len(h.entries)
	h.entries = append(h.entries, &Entry{Base(key), value})
}

// Remove takes key out.
func (h *Hashtable) Remove(key any) {
	if key == nil {
		return
	}
	k := hashKey(key)
	i, ok := h.index[k]
	if !ok {
		return
	}
	delete(h.index, k)
	h.entries[i] = nil
	h.removed++
	if h.removed > 16 && h.removed > len(h.entries)/2 {
		h.compact()
	}
}

func (h *Hashtable) compact() {
	kept := h.entries[:0:0]
	for _, e := range h.entries {
		if e != nil {
			h.index[hashKey(e.Key)] = len(kept)
			kept = append(kept, e)
		}
	}
	h.entries, h.removed = kept, 0
}

// Clone is a hashtable of its own with the same pairs.
func (h *Hashtable) Clone() *Hashtable {
	c := &Hashtable{Ordered: h.Ordered, Kind: h.Kind}
	for k, v := range h.All() {
		c.Set(k, v)
	}
	return c
}

// Clear takes everything out.
func (h *Hashtable) Clear() { h.index, h.entries, h.removed = nil, nil, 0 }

// All goes through the keys in order.
func (h *Hashtable) All() iter.Seq2[any, any] {
	return func(yield func(any, any) bool) {
		for _, e := range h.entries {
			if e != nil && !yield(e.Key, e.Value) {
				return
			}
		}
	}
}

// Entries is a copy of the pairs, in order.
func (h *Hashtable) Entries() []*Entry {
	list := make([]*Entry, 0, h.Len())
	for k, v := range h.All() {
		list = append(list, &Entry{k, v})
	}
	return list
}

// at is the entry at position i of an ordered dictionary.
func (h *Hashtable) at(i int) *Entry {
	if h.removed > 0 {
		h.compact()
	}
	if i < 0 || i >= len(h.entries) {
		return nil
	}
	return h.entries[i]
}

// Keys is the keys in order.
func (h *Hashtable) Keys() []any {
	keys := make([]any, 0, h.Len())
	for k := range h.All() {
		keys = append(keys, k)
	}
	return keys
}

// Values is the values in order of their keys.
func (h *Hashtable) Values() []any {
	values := make([]any, 0, h.Len())
	for _, v := range h.All() {
		values = append(values, v)
	}
	return values
}

// Items is the elements of v when the pipeline, foreach and member enumeration take v apart: arrays, lists and host
// collections. Strings, hashtables and single objects are not taken apart.
func Items(v any) ([]any, bool) {
	switch v := Base(v).(type) {
	case *Array:
		return v.Items, true
	case *List:
		return v.Items, true
	case Enumerable:
		return v.Items(), true
	}
	return nil, false
}

// Enumerable is implemented by host values that are collections.
type Enumerable interface{ Items() []any }

// Collapse is what capturing a pipeline gives: null for nothing, the item for one, an object[] for more.
func Collapse(items []any) any {
	switch len(items) {
	case 0:
		return nil
	case 1:
		return items[0]
	}
	return NewArray(items...)
}
