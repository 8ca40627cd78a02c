package object

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
)

var (
	errFormat       = errors.New("Input string was not in a correct format.")
	errDivideByZero = errors.New("Attempted to divide by zero.")
)

// ParseNumber reads a number the way the language writes it: decimal, 0x, real, exponent, suffix d or l,
// multiplier kb mb gb tb pb. Without a suffix it is an int, a long, a decimal or a double, the first that holds it; a
// real is a double. A sign may lead.
func ParseNumber(s string) (any, bool) {
	body, neg := s, false
	if r := strings.TrimLeft(body, "+-"); len(body)-len(r) == 1 {
		neg = body[0] == '-'
		body = r
	} else if len(r) != len(body) {
		return nil, false
	}
	low := strings.ToLower(body)
	mult := int64(1)
	for i, m := range []string{"kb", "mb", "gb", "tb", "pb"} {
		if t, ok := strings.CutSuffix(low, m); ok {
			low, mult = t, 1<<(10*(i+1))
			break
		}
	}
	hex, isHex := strings.CutPrefix(low, "0x")
	suffix := byte(0)
	if low != "" && (low[len(low)-1] == 'l' || low[len(low)-1] == 'd' && !isHex) {
		suffix = low[len(low)-1]
		low, hex = low[:len(low)-1], strings.TrimSuffix(hex, "l")
	}
	if isHex {
		if hex == "" || strings.Trim(hex, "0123456789abcdef") != "" || len(hex) > 32 {
			return nil, false
		}
		n, _ := new(big.Int).SetString(hex, 16)
		switch { // hexadecimal numbers fill the bits of their type: 0xFFFFFFFF is -1
		case len(hex) <= 8 && suffix == 0:
			n = big.NewInt(int64(int32(uint32(n.Uint64()))))
		case len(hex) <= 16:
			n = big.NewInt(int64(n.Uint64()))
		}
		return sized(n, neg, mult, suffix)
	}
	if !isPlainNumber(low) {
		return nil, false
	}
	if suffix == 'd' {
		d, err := ParseDecimal(low)
		if err != nil {
			return nil, false
		}
		if neg {
			d = d.neg()
		}
		if d, err = d.mul(NewDecimal(mult, 0)); err != nil {
			return nil, false
		}
		return d, true
	}
	if strings.ContainsAny(low, ".e") {
		f, err := strconv.ParseFloat(low, 64)
		if err != nil {
			return nil, false
		}
		f *= float64(mult)
		if neg {
			f = -f
		}
		if suffix == 'l' {
			if r := math.RoundToEven(f); r >= math.MinInt64 && r < math.MaxInt64 {
				return int64(r), true
			}
			return nil, false
		}
		return f, true
	}
	n, ok := new(big.Int).SetString(low, 10)
	if !ok {
		return nil, false
	}
	return sized(n, neg, mult, suffix)
}

// isPlainNumber accepts digits[.digits][e[sign]digits] with at least one digit in the mantissa.
func isPlainNumber(s string) bool {
	if len(s) > 400 {
		return false
	}
	mant, exp, hasExp := strings.Cut(s, "e")
	if hasExp {
		if r := strings.TrimLeft(exp, "+-"); len(exp)-len(r) <= 1 {
			exp = r
		}
		if exp == "" || strings.Trim(exp, "0123456789") != "" {
			return false
		}
	}
	whole, frac, _ := strings.Cut(mant, ".")
	return whole+frac != "" && strings.Trim(whole+frac, "0123456789") == ""
}

func sized(n *big.Int, neg bool, mult int64, suffix byte) (any, bool) {
	if neg {
		n = new(big.Int).Neg(n)
	}
	n = new(big.Int).Mul(n, big.NewInt(mult))
	if suffix == 'l' {
		if !n.IsInt64() {
			return nil, false
		}
		return n.Int64(), true
	}
	if n.IsInt64() {
		if v := n.Int64(); v >= math.MinInt32 && v <= math.MaxInt32 {
			return int32(v), true
		}
		return n.Int64(), true
	}
	if d, err := fit(n, 0); err == nil {
		return d, true
	}
	f, _ := new(big.Float).SetInt(n).Float64()
	return f, !math.IsInf(f, 0)
}

// integer is the value of an integer type.
func integer(v any) (*big.Int, bool) {
	switch v := v.(type) {
	case int32:
		return big.NewInt(int64(v)), true
	case int64:
		return big.NewInt(v), true
	case uint8:
		return big.NewInt(int64(v)), true
	case int8:
		return big.NewInt(int64(v)), true
	case int16:
		return big.NewInt(int64(v)), true
	case uint16:
		return big.NewInt(int64(v)), true
	case uint32:
		return big.NewInt(int64(v)), true
	case uint64:
		return new(big.Int).SetUint64(v), true
	}
	return nil, false
}

// small is the value of an integer type that fits a long.
func small(v any) (int64, bool) {
	switch v := v.(type) {
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint8:
		return int64(v), true
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(v), v <= math.MaxInt64
	}
	return 0, false
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	}
	return 0, false
}

// IsNumber reports whether v is of a number type.
func IsNumber(v any) bool {
	switch Base(v).(type) {
	case int32, int64, uint8, int8, int16, uint16, uint32, uint64, float64, float32, Decimal:
		return true
	}
	return false
}

// toFloat is any number as a double.
func toFloat(v any) float64 {
	if f, ok := asFloat(v); ok {
		return f
	}
	if d, ok := v.(Decimal); ok {
		return d.Float()
	}
	if n, ok := small(v); ok {
		return float64(n)
	}
	if n, ok := integer(v); ok {
		f, _ := new(big.Float).SetInt(n).Float64()
		return f
	}
	return math.NaN()
}

// toDecimal is any number as a decimal; a double keeps 15 significant digits, as Convert.ToDecimal does.
func toDecimal(v any) (Decimal, error) {
	switch x := v.(type) {
	case Decimal:
		return x, nil
	case float64, float32:
		f := toFloat(v)
		if math.IsNaN(f) || math.Abs(f) > 7.9228162514264e28 {
			return Decimal{}, errDecimalSize
		}
		short := digitsOfFloat(f, 15)
		return ParseDecimal(short.sign() + "0." + short.d + "0e" + strconv.Itoa(short.exp))
	}
	n, ok := integer(v)
	if !ok {
		return Decimal{}, errFormat
	}
	return fit(n, 0)
}
