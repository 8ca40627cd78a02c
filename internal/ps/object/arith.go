package object

import (
	"errors"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Limits of what one operator may build.
const (
	maxStringLength = 64 << 20
	maxItems        = 16 << 20
)

func tooLarge(what string) error {
	return NewError("LimitExceeded", LimitsExceeded, nil, "The %s is too large.", what)
}

func noOperator(v any, op string) error {
	return NewError("MethodNotFound", InvalidOperation, nil, "Method invocation failed because [%s] does not contain a method named '%s'.", TypeOf(v).Name, op)
}

// Add is a + b (4.3): the left operand decides.
func Add(a, b any) (any, error) {
	x, y := Base(a), Base(b)
	switch l := x.(type) {
	case nil:
		return b, nil
	case string:
		s := String(b)
		if len(l)+len(s) > maxStringLength {
			return nil, tooLarge("string")
		}
		return l + s, nil
	case *Array:
		return appendItems(l.Items, b)
	case *List:
		return appendItems(l.Items, b)
	case *Hashtable:
		r, ok := y.(*Hashtable)
		if !ok {
			return nil, NewError("AddHashTableToNonHashTable", InvalidOperation, nil, "A hash table can only be added to another hash table.")
		}
		out := &Hashtable{Ordered: l.Ordered}
		for k, v := range l.All() {
			out.Set(k, v)
		}
		for k, v := range r.All() {
			if _, dup := out.Get(k); dup {
				return nil, NewError("System.ArgumentException", OperationStopped, TArgumentException,
					"Item has already been added. Key in dictionary: '%s'  Key being added: '%s'", String(k), String(k))
			}
			out.Set(k, v)
		}
		return out, nil
	case Char:
		if s, ok := y.(string); ok {
			return l.String() + s, nil
		}
	case time.Time:
		d, err := Convert(b, TTimeSpan)
		if err != nil {
			return nil, err
		}
		return l.Add(d.(time.Duration)), nil
	case time.Duration:
		if t, ok := y.(time.Time); ok {
			return t.Add(l), nil
		}
		d, err := Convert(b, TTimeSpan)
		if err != nil {
			return nil, err
		}
		return l + d.(time.Duration), nil
	}
	return numeric2(x, y, '+', "op_Addition")
}

func appendItems(items []any, b any) (any, error) {
	more, ok := Items(b)
	if !ok {
		more = []any{b}
	}
	if len(items)+len(more) > maxItems {
		return nil, tooLarge("array")
	}
	return &Array{Items: append(slices.Clip(slices.Clone(items)), more...)}, nil
}

// Sub is a - b.
func Sub(a, b any) (any, error) {
	x, y := Base(a), Base(b)
	switch l := x.(type) {
	case time.Time:
		if t, ok := y.(time.Time); ok {
			return wall(l).Sub(wall(t)), nil
		}
		if s, ok := y.(string); ok {
			if t, err := ParseDate(s); err == nil {
				return wall(l).Sub(wall(t)), nil
			}
		}
		d, err := Convert(b, TTimeSpan)
		if err != nil {
			return nil, err
		}
		return l.Add(-d.(time.Duration)), nil
	case time.Duration:
		d, err := Convert(b, TTimeSpan)
		if err != nil {
			return nil, err
		}
		return l - d.(time.Duration), nil
	}
	return numeric2(x, y, '-', "op_Subtraction")
}

// Mul is a * b: numbers, repeated strings, repeated arrays.
func Mul(a, b any) (any, error) {
	x, y := Base(a), Base(b)
	switch l := x.(type) {
	case nil:
		return nil, nil
	case string:
		n, err := times(y)
		if err != nil {
			return nil, err
		}
		if n*len(l) > maxStringLength || n > maxStringLength {
			return nil, tooLarge("string")
		}
		return strings.Repeat(l, n), nil
	case *Array, *List:
		items, _ := Items(l)
		n, err := times(y)
		if err != nil {
			return nil, err
		}
		if n > maxItems || n*len(items) > maxItems {
			return nil, tooLarge("array")
		}
		return &Array{Items: slices.Repeat(items, n)}, nil
	}
	return numeric2(x, y, '*', "op_Multiply")
}

func times(v any) (int, error) {
	n, err := Convert(v, TInt)
	if err != nil {
		return 0, err
	}
	if n.(int32) < 0 {
		return 0, NewError("System.ArgumentOutOfRangeException", OperationStopped, tArgumentRange,
			"Specified argument was out of the range of valid values.\r\nParameter name: times")
	}
	return int(n.(int32)), nil
}

// Div is a / b: an integer when it is exact, else a double.
func Div(a, b any) (any, error) { return numeric2(Base(a), Base(b), '/', "op_Division") }

// Mod is a % b with the sign of a.
func Mod(a, b any) (any, error) { return numeric2(Base(a), Base(b), '%', "op_Modulus") }

// Neg is -v.
func Neg(v any) (any, error) { return Sub(int32(0), v) }

// Plus is +v: the number v stands for.
func Plus(v any) (any, error) { return Add(int32(0), v) }

// number is v as an operand of arithmetic: numbers stay, Booleans, null, characters, strings and enums become
// numbers.
func number(v any) (any, bool, error) {
	switch x := v.(type) {
	case nil:
		return int32(0), true, nil
	case bool:
		if x {
			return int32(1), true, nil
		}
		return int32(0), true, nil
	case Switch:
		return number(bool(x))
	case Char:
		return int32(x), true, nil
	case Enum:
		if x.Value >= math.MinInt32 && x.Value <= math.MaxInt32 {
			return int32(x.Value), true, nil
		}
		return x.Value, true, nil
	case string:
		s := strings.TrimSpace(x)
		if s == "" {
			return int32(0), true, nil
		}
		n, ok := numberText(s)
		if !ok {
			return nil, true, conversionError(v, TInt, errFormat)
		}
		return n, true, nil
	}
	if IsNumber(v) {
		return v, true, nil
	}
	return nil, false, nil
}

func numeric2(x, y any, op byte, method string) (any, error) {
	a, ok, err := number(x)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, noOperator(x, method)
	}
	b, ok, err := number(y)
	if err != nil {
		return nil, err
	}
	if !ok {
		if _, list := Items(y); list || IsNumber(x) {
			if _, list := Items(y); list {
				return nil, noOperator(y, method)
			}
			return nil, castError(y, TypeOf(a))
		}
		return nil, noOperator(y, method)
	}
	_, fa := asFloat(a)
	_, fb := asFloat(b)
	da, isDecA := a.(Decimal)
	db, isDecB := b.(Decimal)
	switch {
	case isDecA || isDecB:
		if !isDecA {
			if da, err = toDecimal(a); err != nil {
				return nil, conversionError(a, TDecimal, err)
			}
		}
		if !isDecB {
			if db, err = toDecimal(b); err != nil {
				return nil, conversionError(b, TDecimal, err)
			}
		}
		return decimal2(da, db, op)
	case fa || fb:
		return float2(toFloat(a), toFloat(b), op), nil
	}
	return int2(a, b, op)
}

func decimal2(a, b Decimal, op byte) (any, error) {
	var d Decimal
	var err error
	switch op {
	case '+':
		d, err = a.add(b)
	case '-':
		d, err = a.add(b.neg())
	case '*':
		d, err = a.mul(b)
	case '/':
		d, err = a.div(b)
	case '%':
		d, err = a.rem(b)
	}
	if errors.Is(err, errDivideByZero) {
		return nil, divideByZero()
	}
	if err != nil {
		return nil, NewError("OverflowException", OperationStopped, tOverflow, "%s", err)
	}
	return d, nil
}

func divideByZero() error {
	r := NewError("RuntimeException", NotSpecified, nil, "Attempted to divide by zero.")
	r.Exception.Inner = &Exception{Class: tDivideByZero, Message: r.Exception.Message}
	return r
}

func float2(a, b float64, op byte) float64 {
	switch op {
	case '+':
		return a + b
	case '-':
		return a - b
	case '*':
		return a * b
	case '/':
		return a / b
	}
	return math.Mod(a, b)
}

// int2 calculates integers: the result is an int when both operands fit one, a long otherwise; what does not fit
// becomes a double.
func int2(a, b any, op byte) (any, error) {
	x, _ := integer(a)
	y, _ := integer(b)
	z := new(big.Int)
	switch op {
	case '+':
		z.Add(x, y)
	case '-':
		z.Sub(x, y)
	case '*':
		z.Mul(x, y)
	case '/', '%':
		if y.Sign() == 0 {
			return nil, divideByZero()
		}
		r := new(big.Int)
		z.QuoRem(x, y, r)
		if op == '%' {
			z = r
		} else if r.Sign() != 0 {
			return toFloat(a) / toFloat(b), nil
		}
	}
	_, u64a := a.(uint64)
	_, u64b := b.(uint64)
	wide := isWide(a) || isWide(b)
	switch {
	case (u64a || u64b) && z.IsUint64():
		return z.Uint64(), nil
	case !wide && z.IsInt64() && z.Int64() >= math.MinInt32 && z.Int64() <= math.MaxInt32:
		return int32(z.Int64()), nil
	case wide && z.IsInt64():
		return z.Int64(), nil
	}
	f, _ := new(big.Float).SetInt(z).Float64()
	return f, nil
}

func isWide(v any) bool {
	switch v.(type) {
	case int64, uint32, uint64:
		return true
	}
	return false
}

// Bitwise is a -band, -bor, -bxor, -shl or -shr b; op is the operator's name without the dash.
func Bitwise(op string, a, b any) (any, error) {
	x, y := Base(a), Base(b)
	ea, isEnum := x.(Enum)
	if isEnum {
		c, err := Convert(y, ea.Type)
		if err != nil {
			return nil, err
		}
		x, y = ea.Value, c.(Enum).Value
	}
	l, wideA, err := bits(x)
	if err != nil {
		return nil, err
	}
	r, wideB, err := bits(y)
	if err != nil {
		return nil, err
	}
	var z int64
	switch strings.ToLower(op) {
	case "band":
		z = l & r
	case "bor":
		z = l | r
	case "bxor":
		z = l ^ r
	case "shl", "shr":
		mask := int64(31)
		if wideA {
			mask = 63
		}
		if n := uint(r & mask); strings.EqualFold(op, "shl") {
			z = l << n
		} else {
			z = l >> n
		}
		wideB = false
	}
	switch {
	case isEnum:
		return Enum{ea.Type, z}, nil
	case wideA || wideB:
		return z, nil
	}
	return int32(z), nil
}

// BitNot is -bnot v.
func BitNot(v any) (any, error) {
	n, wide, err := bits(Base(v))
	if err != nil {
		return nil, err
	}
	if wide {
		return ^n, nil
	}
	return int32(^n), nil
}

// bits is an operand of a bitwise operator: an int, or a long when it does not fit one.
func bits(v any) (int64, bool, error) {
	n, ok, err := number(v)
	if err != nil {
		return 0, false, err
	}
	if !ok {
		return 0, false, castError(v, TInt)
	}
	if f, isFloat := asFloat(n); isFloat {
		if n, err = Convert(f, TLong); err != nil {
			return 0, false, err
		}
		n = shrink(n.(int64))
	} else if d, isDec := n.(Decimal); isDec {
		if n, err = Convert(d, TLong); err != nil {
			return 0, false, err
		}
		n = shrink(n.(int64))
	}
	if u, ok := n.(uint64); ok {
		return int64(u), true, nil
	}
	i, _ := small(n)
	return i, isWide(n), nil
}

func shrink(n int64) any {
	if n >= math.MinInt32 && n <= math.MaxInt32 {
		return int32(n)
	}
	return n
}

// Range is a..b: the ints from a to b in either direction.
func Range(a, b any) (*Array, error) {
	lo, err := Convert(a, TInt)
	if err != nil {
		return nil, err
	}
	hi, err := Convert(b, TInt)
	if err != nil {
		return nil, err
	}
	from, to := int64(lo.(int32)), int64(hi.(int32))
	step := int64(1)
	if to < from {
		step = -1
	}
	n := (to-from)*step + 1
	if n > maxItems {
		return nil, tooLarge("range")
	}
	items := make([]any, n)
	for i := range items {
		items[i] = int32(from + int64(i)*step)
	}
	return &Array{Items: items}, nil
}

// Increment is v + n for ++ and --: null counts as 0.
func Increment(v any, n int32) (any, error) {
	b := Base(v)
	if b == nil {
		return n, nil
	}
	if !IsNumber(b) {
		if _, ok := b.(Char); !ok {
			op := "++"
			if n < 0 {
				op = "--"
			}
			return nil, NewError("OperatorRequiresNumber", InvalidOperation, nil, "The '%s' operator works only on numbers. The operand is a '%s'.", op, TypeOf(b).Name)
		}
	}
	return numeric2(b, n, '+', "op_Addition")
}
