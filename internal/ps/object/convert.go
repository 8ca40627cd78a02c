package object

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/google/uuid"
)

// Bool is v as a condition (4.2): null, 0, the empty string and empty collections are false, a collection of one
// is what its element is, anything else is true.
func Bool(v any) bool {
	switch x := Base(v).(type) {
	case nil:
		return false
	case bool:
		return x
	case Switch:
		return bool(x)
	case string:
		return x != ""
	case Decimal:
		return x.int().Sign() != 0
	case Char:
		return x != 0
	case float64:
		return x != 0
	case float32:
		return x != 0
	case Enum:
		return x.Value != 0
	default:
		if n, ok := small(x); ok {
			return n != 0
		}
	}
	if items, ok := Items(v); ok {
		switch len(items) {
		case 0:
			return false
		case 1:
			if inner, nested := Items(items[0]); nested { // a list in a list counts as true unless it is empty
				return len(inner) > 0
			}
			return Bool(items[0])
		}
	}
	return true
}

// conversionError has the text of a value that cannot be read, as Cannot convert value "x" to type "T". Error: "...".
func conversionError(v any, t *Type, cause error) *ErrorRecord {
	id := "InvalidCastFrom" + strings.TrimSuffix(TypeOf(v).Title(), "[]") + "To" + shortCast(t)
	r := NewError(id, InvalidArgument, nil, "Cannot convert value \"%s\" to type \"%s\". Error: \"%s\"", String(v), t.Name, cause)
	r.Exception.Inner = &Exception{Class: TPSInvalidCast, Message: r.Exception.Message, Inner: &Exception{Class: causeClass(cause), Message: cause.Error()}}
	return r
}

func shortCast(t *Type) string {
	if t.Is(TInt) || t.Is(TLong) || t.Is(TByte) || t.Is(TShort) || t.Is(TUInt) {
		return "Integer"
	}
	return t.Title()
}

func causeClass(err error) *Type {
	if errors.Is(err, errRange) || errors.Is(err, errDecimalSize) {
		return tOverflow
	}
	return TFormatException
}

var errRange = errors.New("out of range")

type rangeError struct{ text string }

func (e rangeError) Error() string        { return e.text }
func (e rangeError) Is(target error) bool { return target == errRange }

func castError(v any, t *Type) *ErrorRecord {
	if v == nil {
		r := NewError("nullToObjectInvalidCast", InvalidArgument, nil, "Cannot convert null to type \"%s\".", t.Name)
		r.Exception.Inner = &Exception{Class: TPSInvalidCast, Message: r.Exception.Message}
		return r
	}
	shown := Display(v)
	if _, ok := Items(v); ok {
		shown = TypeOf(v).Name
	}
	r := NewError("ConvertToFinalInvalidCastException", InvalidArgument, nil, "Cannot convert the \"%s\" value of type \"%s\" to type \"%s\".", shown, TypeOf(v).Name, t.Name)
	r.Exception.Inner = &Exception{Class: TPSInvalidCast, Message: r.Exception.Message}
	return r
}

const maxConvertDepth = 32

// Convert is the language's conversion of v to t (4.2): casts, typed variables, comparison and arithmetic use it.
// Errors are *ErrorRecord.
func Convert(v any, t *Type) (any, error) { return convert(v, t, 0) }

// ConvertArgument is the conversion of a parameter's argument: as [Convert], but Booleans come only from Booleans and
// numbers.
func ConvertArgument(v any, t *Type) (any, error) {
	if strings.EqualFold(t.Name, TBool.Name) || strings.EqualFold(t.Name, TSwitch.Name) {
		b := Base(v)
		switch b.(type) {
		case bool, Switch:
		default:
			if !IsNumber(b) {
				name := ""
				if b != nil {
					name = TypeOf(b).Name
				}
				if b == nil && strings.EqualFold(t.Name, TSwitch.Name) {
					return Switch(false), nil
				}
				r := NewError("InvalidBooleanArgument", InvalidArgument, nil,
					"Cannot convert value \"%s\" to type \"%s\". Boolean parameters accept only Boolean values and numbers, such as $True, $False, 1 or 0.", name, t.Name)
				r.Exception.Inner = &Exception{Class: TPSInvalidCast, Message: r.Exception.Message}
				return nil, r
			}
		}
	}
	return Convert(v, t)
}

func convert(v any, t *Type, depth int) (any, error) {
	if depth > maxConvertDepth {
		return nil, castError(v, t)
	}
	switch t.Name {
	case TObject.Name:
		return v, nil
	case TString.Name:
		return String(v), nil
	case TBool.Name:
		return Bool(v), nil
	case TSwitch.Name:
		return Switch(Bool(v)), nil
	case TVoid.Name:
		return Void, nil
	}
	if t.Elem != nil {
		return convertList(v, t, depth)
	}
	b := Base(v)
	if b != nil && strings.EqualFold(TypeOf(b).Name, t.Name) {
		return v, nil
	}
	if toNumber, ok := numeric[t.Name]; ok {
		return convertNumber(b, t, toNumber, depth)
	}
	if t.Enum != nil {
		return convertEnum(b, t)
	}
	switch t.Name {
	case TPSObject.Name:
		return v, nil
	case TCustom.Name:
		if h, ok := b.(*Hashtable); ok {
			o := New()
			for k, x := range h.All() {
				if name := String(k); strings.EqualFold(name, "PSTypeName") { // names the object's type
					o.InsertTypeName(String(x))
				} else {
					o.Add(name, x)
				}
			}
			return o, nil
		}
		return v, nil
	case TChar.Name:
		return convertChar(b, t)
	case TDateTime.Name:
		switch x := b.(type) {
		case string:
			d, err := ParseDate(x)
			if err != nil {
				if c := strings.TrimSpace(x); c != "" && (c[0]|0x20) >= 'a' && (c[0]|0x20) <= 'z' {
					err = errors.New("The string was not recognized as a valid DateTime. There is an unknown word starting at index 0.")
				}
				return nil, conversionError(v, t, err)
			}
			return d, nil
		}
		if n, ok := small(b); ok { // ticks since year 1
			return Date(1, 1, 1, 0, 0, 0, 0).Add(0).AddDate(0, 0, int(n/864000000000)).Add(time.Duration(n%864000000000) * 100), nil
		}
	case TTimeSpan.Name:
		if s, ok := b.(string); ok {
			d, err := ParseTimeSpan(s)
			if err != nil {
				return nil, conversionError(v, t, err)
			}
			return d, nil
		}
		if n, ok := small(b); ok {
			if n > math.MaxInt64/100 || n < math.MinInt64/100 {
				return nil, castError(v, t)
			}
			return time.Duration(n * 100), nil
		}
	case TGuid.Name:
		if s, ok := b.(string); ok {
			id, err := parseGuid(s)
			if err != nil {
				return nil, conversionError(v, t, err)
			}
			return id, nil
		}
	case TURI.Name:
		if b == nil {
			return nil, nil
		}
		if s, ok := b.(string); ok {
			u, err := ParseURI(s)
			if err != nil {
				return nil, conversionError(v, t, err)
			}
			return u, nil
		}
	case TVersion.Name:
		if b == nil {
			return nil, nil
		}
		s, ok := b.(string)
		if f, isFloat := b.(float64); isFloat {
			s, ok = formatG(f, 15), true
		}
		if ok {
			x, err := ParseVersion(s)
			if err != nil {
				return nil, conversionError(v, t, errors.New("Version string portion was too short or too long."))
			}
			return x, nil
		}
	case TRegex.Name:
		if s, ok := b.(string); ok {
			re, err := CompileRegex(s, 0)
			if err != nil {
				return nil, conversionError(v, t, err)
			}
			return re, nil
		}
	case TType.Name, TType.Base.Name:
		if s, ok := b.(string); ok {
			if x, ok := FindType(strings.Trim(s, "[]")); ok {
				return x, nil
			}
			if x, ok := FindType(s); ok {
				return x, nil
			}
		}
		if x, ok := b.(*Type); ok {
			return x, nil
		}
	case THashtable.Name, TDictionary.Name, TOrdered.Name:
		switch x := b.(type) {
		case nil:
			return nil, nil
		case *Hashtable:
			if t.Name == TDictionary.Name {
				return x, nil
			}
			c := x.Clone()
			c.Ordered, c.Kind = t.Name == TOrdered.Name, nil
			return c, nil
		}
	}
	if b == nil {
		if t.Is(tValueType) {
			return nil, castError(v, t)
		}
		return nil, nil
	}
	if t.Is(TException) {
		switch x := b.(type) {
		case *ErrorRecord:
			return x.Exception, nil
		case string:
			return &Exception{Class: t, Message: x}, nil
		}
	}
	if TypeOf(b).Is(t) {
		return v, nil
	}
	for _, name := range TypeNames(v) { // property bags of the host: by their type names
		if strings.EqualFold(name, t.Name) {
			return v, nil
		}
	}
	if items, ok := Items(b); ok && len(items) == 1 && !t.Is(tValueType) {
		return convert(items[0], t, depth+1)
	}
	return nil, castError(v, t)
}

// convertList makes an array or list of t; a scalar becomes its only element and null stays null.
func convertList(v any, t *Type, depth int) (any, error) {
	b := Base(v)
	if b == nil {
		return nil, nil
	}
	isArray := t.Is(TArray)
	if strings.EqualFold(TypeOf(b).Name, t.Name) {
		return v, nil
	}
	items, ok := Items(b)
	if !ok {
		items = []any{v}
		if s, isString := b.(string); isString && t.Elem.Name == TChar.Name {
			items = nil
			for _, u := range utf16.Encode([]rune(s)) {
				items = append(items, Char(u))
			}
		}
	}
	out := make([]any, len(items))
	for i, x := range items {
		c, err := convert(x, t.Elem, depth+1)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	if isArray {
		a := &Array{Items: out}
		if t.Elem.Name != TObject.Name {
			a.Elem = t.Elem
		}
		return a, nil
	}
	l := &List{Kind: t, Items: out}
	if t.Name == TArrayList.Name {
		l.Kind = nil
	}
	return l, nil
}

func convertChar(b any, t *Type) (any, error) {
	switch x := b.(type) {
	case nil:
		return Char(0), nil
	case string:
		if u := utf16.Encode([]rune(x)); len(u) == 1 {
			return Char(u[0]), nil
		}
		return nil, conversionError(b, t, errors.New("String must be exactly one character long."))
	}
	if n, ok := small(b); ok {
		if n < 0 || n > math.MaxUint16 {
			return nil, conversionError(b, t, rangeError{"Value was either too large or too small for a character."})
		}
		return Char(n), nil
	}
	return nil, castError(b, t)
}

func parseGuid(s string) (uuid.UUID, error) {
	s = strings.TrimSpace(s)
	if n := len(s); n > 2 && (s[0] == '{' && s[n-1] == '}' || s[0] == '(' && s[n-1] == ')') {
		s = s[1 : n-1]
	}
	if len(s) == 36 || len(s) == 32 {
		if id, err := uuid.Parse(s); err == nil {
			return id, nil
		}
	}
	return uuid.UUID{}, errors.New("Guid should contain 32 digits with 4 dashes (xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx).")
}

// numeric makes a number of each type from an integer or a double; ok is false when it does not fit.
var numeric = map[string]func(n *big.Int) (any, bool){
	TInt.Name:     ranged(math.MinInt32, math.MaxInt32, func(n int64) any { return int32(n) }),
	TLong.Name:    ranged(math.MinInt64, math.MaxInt64, func(n int64) any { return n }),
	TByte.Name:    ranged(0, math.MaxUint8, func(n int64) any { return uint8(n) }),
	TSByte.Name:   ranged(math.MinInt8, math.MaxInt8, func(n int64) any { return int8(n) }),
	TShort.Name:   ranged(math.MinInt16, math.MaxInt16, func(n int64) any { return int16(n) }),
	TUShort.Name:  ranged(0, math.MaxUint16, func(n int64) any { return uint16(n) }),
	TUInt.Name:    ranged(0, math.MaxUint32, func(n int64) any { return uint32(n) }),
	TULong.Name:   func(n *big.Int) (any, bool) { return n.Uint64(), n.IsUint64() },
	TDouble.Name:  nil,
	TSingle.Name:  nil,
	TDecimal.Name: nil,
}

func ranged(low, high int64, make func(int64) any) func(*big.Int) (any, bool) {
	return func(n *big.Int) (any, bool) {
		if !n.IsInt64() || n.Int64() < low || n.Int64() > high {
			return nil, false
		}
		return make(n.Int64()), true
	}
}

func convertNumber(b any, t *Type, fromInt func(*big.Int) (any, bool), depth int) (any, error) {
	var num any
	switch x := b.(type) {
	case nil:
		num = int32(0)
	case bool:
		num = int32(0)
		if x {
			num = int32(1)
		}
	case Switch:
		return convertNumber(bool(x), t, fromInt, depth)
	case Char:
		if fromInt == nil {
			return nil, castError(b, t)
		}
		num = int32(x)
	case Enum:
		num = x.Value
	case string:
		s := strings.TrimSpace(x)
		if s == "" {
			num = int32(0)
			break
		}
		n, ok := numberText(s)
		if !ok {
			return nil, conversionError(b, t, errFormat)
		}
		if t.Name == TDecimal.Name {
			if d, err := ParseDecimal(s); err == nil {
				return d, nil
			}
		}
		num = n
	default:
		switch {
		case IsNumber(x):
			num = x
		default:
			if items, ok := Items(b); ok && len(items) == 1 {
				return convert(items[0], t, depth+1)
			}
			return nil, castError(b, t)
		}
	}
	tooLarge := func() error {
		title := t.Title()
		article := "a"
		if strings.ContainsRune("AEIOU", rune(title[0])) && !strings.HasPrefix(title, "U") {
			article = "an"
		}
		what := article + " " + title
		if t.Name == TByte.Name {
			what = "an unsigned byte"
		} else if t.Name == TSByte.Name {
			what = "a signed byte"
		}
		return conversionError(b, t, rangeError{fmt.Sprintf("Value was either too large or too small for %s.", what)})
	}
	switch t.Name {
	case TDouble.Name:
		return toFloat(num), nil
	case TSingle.Name:
		return float32(toFloat(num)), nil
	case TDecimal.Name:
		d, err := toDecimal(num)
		if err != nil {
			return nil, conversionError(b, t, err)
		}
		return d, nil
	}
	n, ok := integer(num)
	if !ok {
		if d, isDecimal := num.(Decimal); isDecimal {
			n = d.Round()
		} else {
			f := math.RoundToEven(toFloat(num))
			if math.IsNaN(f) || math.IsInf(f, 0) {
				return nil, tooLarge()
			}
			n, _ = big.NewFloat(f).Int(nil)
		}
	}
	out, ok := fromInt(n)
	if !ok {
		return nil, tooLarge()
	}
	return out, nil
}

// numberText reads a number from a string: as the language writes it, or with thousands separators.
func numberText(s string) (any, bool) {
	if n, ok := ParseNumber(s); ok {
		return n, true
	}
	switch strings.ToLower(s) {
	case "nan":
		return math.NaN(), true
	case "infinity":
		return math.Inf(1), true
	case "-infinity":
		return math.Inf(-1), true
	}
	if strings.Contains(s, ",") && !strings.HasPrefix(s, ",") {
		if f, err := strconv.ParseFloat(strings.ReplaceAll(s, ",", ""), 64); err == nil && !math.IsInf(f, 0) {
			return f, true
		}
	}
	return nil, false
}

func convertEnum(b any, t *Type) (any, error) {
	bad := func() error {
		names := make([]string, len(t.Enum))
		for i, n := range t.Enum {
			names[i] = n.Name
		}
		shown := String(b)
		r := NewError("InvalidCastFromStringToEnumeration", InvalidArgument, nil,
			"Cannot convert value \"%s\" to type \"%s\" due to enumeration values that are not valid. Specify one of the following enumeration values and try again. The possible enumeration values are \"%s\".",
			shown, t.Name, strings.Join(names, ","))
		r.Exception.Inner = &Exception{Class: TPSInvalidCast, Message: r.Exception.Message}
		return r
	}
	switch x := b.(type) {
	case nil:
		return nil, castError(nil, t)
	case string:
		if n, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64); err == nil {
			return convertEnum(n, t)
		}
		parts := strings.Split(x, ",")
		if len(parts) > 1 && !t.Flags {
			return nil, bad()
		}
		var value int64
		for _, p := range parts {
			n, ok := enumMember(t, strings.TrimSpace(p))
			if !ok {
				return nil, bad()
			}
			value |= n
		}
		return Enum{t, value}, nil
	case Enum:
		return convertEnum(x.Value, t)
	}
	if items, ok := Items(b); ok && t.Flags && len(items) > 0 {
		var value int64
		for _, x := range items {
			e, err := convertEnum(Base(x), t)
			if err != nil {
				return nil, err
			}
			value |= e.(Enum).Value
		}
		return Enum{t, value}, nil
	}
	n, ok := small(b)
	if !ok {
		return nil, castError(b, t)
	}
	e := Enum{t, n}
	if s := e.String(); s == strconv.FormatInt(n, 10) {
		return nil, bad()
	}
	return e, nil
}

// enumMember finds a member by name without case, or by an unambiguous prefix.
func enumMember(t *Type, name string) (int64, bool) {
	var found []EnumName
	for _, n := range t.Enum {
		if strings.EqualFold(n.Name, name) {
			return n.Value, true
		}
		if name != "" && len(n.Name) > len(name) && strings.EqualFold(n.Name[:len(name)], name) {
			found = append(found, n)
		}
	}
	if len(found) == 1 {
		return found[0].Value, true
	}
	return 0, false
}

// From brings a Go value of a host into the values of the language: int, float and string kinds, slices of common
// types, maps with string keys, errors. What it does not know stays as it is.
func From(v any) any {
	switch v := v.(type) {
	case int:
		if v >= math.MinInt32 && v <= math.MaxInt32 {
			return int32(v)
		}
		return int64(v)
	case uint:
		return From(uint64(v))
	case []byte:
		return Bytes(v)
	case []string:
		return Strings(v...)
	case []any:
		a := make([]any, len(v))
		for i, x := range v {
			a[i] = From(x)
		}
		return &Array{Items: a}
	case map[string]any:
		h := NewHashtable()
		for _, k := range sortedKeys(v) {
			h.Set(k, From(v[k]))
		}
		return h
	case url.URL:
		return &v
	case *url.URL:
		if v == nil {
			return nil
		}
	case *ErrorRecord, *Exception:
		return v
	case error:
		return AsRecord(v)
	}
	return v
}
