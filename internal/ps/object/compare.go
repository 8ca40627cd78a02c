package object

import (
	"cmp"
	"errors"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
)

// wall is the time as its clock shows it: comparison and difference do not look at zones, as DateTime's do not.
func wall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// Equal is a -eq b for single values: b is converted to the type of a. Strings compare without case unless
// caseSensitive.
func Equal(a, b any, caseSensitive bool) bool {
	x, y := Base(a), Base(b)
	if x == nil || y == nil {
		return x == nil && y == nil
	}
	if s, ok := x.(string); ok {
		return equalStrings(s, String(y), caseSensitive)
	}
	if IsNumber(x) && IsNumber(y) {
		return compareNumbers(x, y) == 0
	}
	switch l := x.(type) {
	case Char:
		if r, ok := y.(Char); ok && !caseSensitive {
			return foldString(l.String()) == foldString(r.String())
		}
		if s, ok := y.(string); ok {
			return equalStrings(l.String(), s, caseSensitive)
		}
	case time.Time:
		if t, ok := toTime(y); ok {
			return wall(l).Equal(wall(t))
		}
		return false
	case *url.URL:
		if r, ok := y.(*url.URL); ok {
			return uriText(l) == uriText(r)
		}
	case Switch:
		return bool(l) == Bool(y)
	case *Type:
		if r, ok := y.(*Type); ok {
			return strings.EqualFold(l.Name, r.Name)
		}
	case *Array, *List, *Hashtable, *Object, *SecureString, *Credential, *ErrorRecord, *Exception:
		return x == y
	}
	if c, ok := x.(Comparer); ok {
		n, ok := c.CompareTo(y)
		return ok && n == 0
	}
	if sameKind(x, y) {
		return x == y
	}
	c, err := Convert(y, TypeOf(x))
	if err != nil {
		return false
	}
	r := Base(c)
	if u, ok := x.(*url.URL); ok {
		v, ok := r.(*url.URL)
		return ok && uriText(u) == uriText(v)
	}
	return sameKind(x, r) && x == r
}

// Comparer is implemented by host values with an order of their own.
type Comparer interface {
	// CompareTo is negative, 0 or positive; ok is false when other cannot be compared.
	CompareTo(other any) (n int, ok bool)
}

// sameKind reports whether a and b are of one type that Go's == compares by value, or the same host type.
func sameKind(a, b any) bool {
	t := reflect.TypeOf(a)
	return t != nil && t == reflect.TypeOf(b) && t.Comparable()
}

func toTime(v any) (time.Time, bool) {
	c, err := Convert(v, TDateTime)
	if err != nil {
		return time.Time{}, false
	}
	t, ok := Base(c).(time.Time)
	return t, ok
}

func equalStrings(a, b string, caseSensitive bool) bool {
	if caseSensitive {
		return a == b
	}
	return a == b || foldString(a) == foldString(b)
}

func compareNumbers(a, b any) int {
	_, fa := asFloat(a)
	_, fb := asFloat(b)
	if fa || fb {
		return cmp.Compare(toFloat(a), toFloat(b))
	}
	da, isDec := a.(Decimal)
	db, isDecB := b.(Decimal)
	if isDec || isDecB {
		if !isDec {
			da, _ = toDecimal(a)
		}
		if !isDecB {
			db, _ = toDecimal(b)
		}
		return da.Cmp(db)
	}
	if x, ok := small(a); ok {
		if y, ok := small(b); ok {
			return cmp.Compare(x, y)
		}
	}
	x, _ := integer(a)
	y, _ := integer(b)
	return x.Cmp(y)
}

// Compare orders a before, at or after b, as -lt and Sort-Object do: null first, strings by culture, other values after
// conversion of b to the type of a.
func Compare(a, b any, caseSensitive bool) (int, error) {
	x, y := Base(a), Base(b)
	switch {
	case x == nil && y == nil:
		return 0, nil
	case x == nil:
		if IsNumber(y) {
			return compareNumbers(int32(0), y), nil
		}
		return -1, nil
	case y == nil:
		if IsNumber(x) {
			return compareNumbers(x, int32(0)), nil
		}
		return 1, nil
	}
	if s, ok := x.(string); ok {
		return CompareStrings(s, String(y), caseSensitive), nil
	}
	if IsNumber(x) && IsNumber(y) {
		return compareNumbers(x, y), nil
	}
	if c, ok := x.(Comparer); ok {
		if n, ok := c.CompareTo(y); ok {
			return n, nil
		}
		return 0, notComparable(x, y)
	}
	if IsNumber(x) { // 10 -gt '9.5' compares with the number the text stands for
		n, ok, err := number(y)
		if err != nil || !ok {
			return 0, comparisonFailure(x, y, err)
		}
		return compareNumbers(x, n), nil
	}
	switch x.(type) {
	case bool, Switch, Char, time.Time, time.Duration, uuid.UUID, Version, Enum:
	default:
		if Equal(x, y, caseSensitive) {
			return 0, nil
		}
		return 0, notComparable(x, y)
	}
	c, err := Convert(y, TypeOf(x))
	if err != nil {
		return 0, comparisonFailure(x, y, err)
	}
	return order(x, Base(c)), nil
}

func notComparable(a, b any) error {
	return NewError("NotIcomparable", InvalidOperation, nil,
		"Cannot compare \"%s\" to \"%s\" because the objects are not the same type or the object \"%s\" does not implement \"IComparable\".", String(a), String(b), String(a))
}

func comparisonFailure(a, b any, cause error) error {
	text := ""
	if cause != nil {
		text = cause.Error()
	} else {
		text = castError(b, TypeOf(a)).Error()
	}
	return NewError("ComparisonFailure", InvalidOperation, nil, "Could not compare \"%s\" to \"%s\". Error: \"%s\"", String(a), String(b), text)
}

// order compares two values of one type.
func order(a, b any) int {
	switch x := a.(type) {
	case bool:
		return cmp.Compare(btoi(x), btoi(b.(bool)))
	case Switch:
		return cmp.Compare(btoi(bool(x)), btoi(Bool(b)))
	case Char:
		return cmp.Compare(x, b.(Char))
	case time.Time:
		return wall(x).Compare(wall(b.(time.Time)))
	case time.Duration:
		return cmp.Compare(x, b.(time.Duration))
	case uuid.UUID:
		y := b.(uuid.UUID)
		return slices.Compare(x[:], y[:])
	case Version:
		y := b.(Version)
		return cmp.Or(cmp.Compare(x.Major, y.Major), cmp.Compare(x.Minor, y.Minor), cmp.Compare(x.Build, y.Build), cmp.Compare(x.Revision, y.Revision))
	case Enum:
		return cmp.Compare(x.Value, b.(Enum).Value)
	}
	return 0
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// CompareStrings orders strings as the culture en-US does: punctuation, then digits, then letters; accents count
// less than letters and case least, lower before upper; hyphens and apostrophes count only between otherwise equal
// words.
func CompareStrings(a, b string, caseSensitive bool) int {
	if a == b {
		return 0
	}
	ka, kb := collationKey(a), collationKey(b)
	n := cmp.Or(slices.Compare(ka.primary, kb.primary), slices.Compare(ka.accents, kb.accents), slices.Compare(ka.minimal, kb.minimal))
	if n != 0 || !caseSensitive {
		return n
	}
	return cmp.Or(slices.Compare(ka.cases, kb.cases), strings.Compare(b, a))
}

type collation struct{ primary, accents, cases, minimal []rune }

func collationKey(s string) collation {
	var k collation
	for i, r := range norm.NFD.String(s) {
		switch {
		case r == '-' || r == '\'':
			k.minimal = append(k.minimal, rune(i+1), r)
			continue
		case unicode.Is(unicode.Mn, r):
			k.accents = append(k.accents, rune(len(k.primary)), r)
			continue
		}
		class := rune(1 << 24)
		switch {
		case unicode.IsDigit(r):
			class = 2 << 24
		case unicode.IsLetter(r):
			class = 3 << 24
		}
		low := unicode.ToLower(unicode.ToUpper(r))
		k.primary = append(k.primary, class+low)
		if r != low {
			k.cases = append(k.cases, 1)
		} else {
			k.cases = append(k.cases, 0)
		}
	}
	return k
}

// A Comparison is one of the binary comparison and text operators, named without dash and without c or i prefix.
type Comparison struct {
	Name          string // eq ne gt ge lt le like notlike match notmatch contains notcontains in notin
	CaseSensitive bool
}

// Apply is a OP b (section 5). A collection on the left filters for eq to notmatch. For a match with a single value
// on the left m is the match, for $Matches; it is nil otherwise.
func (c Comparison) Apply(a, b any) (result any, m *Match, err error) {
	switch c.Name {
	case "contains", "notcontains":
		return c.contains(a, b) == (c.Name == "contains"), nil, nil
	case "in", "notin":
		return c.contains(b, a) == (c.Name == "in"), nil, nil
	}
	test, err := c.test(b)
	if err != nil {
		return nil, nil, err
	}
	items, ok := Items(a)
	if !ok {
		return test1(test, a)
	}
	out := []any{}
	for _, x := range items {
		ok, _, err := test(x)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			out = append(out, x)
		}
	}
	return &Array{Items: out}, nil, nil
}

func test1(test func(any) (bool, *Match, error), a any) (any, *Match, error) {
	ok, m, err := test(a)
	if err != nil {
		return nil, nil, err
	}
	return ok, m, nil
}

// Holds reports whether the comparison is true for the single value a.
func (c Comparison) Holds(a, b any) (bool, error) {
	switch c.Name {
	case "contains", "notcontains", "in", "notin":
		r, _, err := c.Apply(a, b)
		return Bool(r), err
	}
	test, err := c.test(b)
	if err != nil {
		return false, err
	}
	ok, _, err := test(a)
	return ok, err
}

func (c Comparison) contains(list, v any) bool {
	items, ok := Items(list)
	if !ok {
		items = []any{list}
	}
	return slices.ContainsFunc(items, func(x any) bool { return Equal(x, v, c.CaseSensitive) })
}

func (c Comparison) test(b any) (func(a any) (bool, *Match, error), error) {
	switch c.Name {
	case "eq", "ne":
		return func(a any) (bool, *Match, error) { return Equal(a, b, c.CaseSensitive) == (c.Name == "eq"), nil, nil }, nil
	case "like", "notlike":
		w, err := CompileWildcard(String(b), c.CaseSensitive)
		if err != nil {
			return nil, err
		}
		return func(a any) (bool, *Match, error) { return w.Match(String(a)) == (c.Name == "like"), nil, nil }, nil
	case "match", "notmatch":
		re, err := asRegex(b, c.CaseSensitive)
		if err != nil {
			return nil, err
		}
		return func(a any) (bool, *Match, error) {
			m, err := re.find(String(a), 0)
			if err != nil {
				return false, nil, err
			}
			return (m != nil) == (c.Name == "match"), m, nil
		}, nil
	case "gt", "ge", "lt", "le":
		return func(a any) (bool, *Match, error) {
			n, err := Compare(a, b, c.CaseSensitive)
			if err != nil {
				return false, nil, err
			}
			switch c.Name {
			case "gt":
				return n > 0, nil, nil
			case "ge":
				return n >= 0, nil, nil
			case "lt":
				return n < 0, nil, nil
			}
			return n <= 0, nil, nil
		}, nil
	}
	return nil, errors.New("object: no comparison " + c.Name)
}

// GroupsTable is $Matches for m: group numbers and names to texts.
func (m *Match) GroupsTable() *Hashtable {
	h := NewHashtable()
	for g := range m.re.Groups() {
		s, ok := m.m.Group(g)
		if !ok {
			continue
		}
		if name := m.re.GroupName(g); name != "" {
			h.Set(name, s)
		} else {
			h.Set(int32(g), s)
		}
	}
	return h
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
