package object

import (
	"errors"
	"math/big"
	"strings"
)

// A Decimal is a 96-bit integer divided by a power of ten up to 10^28, as System.Decimal. It keeps trailing zeros.
type Decimal struct {
	n     *big.Int // nil: 0
	scale int
}

const maxScale = 28

var (
	maxDecimal = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 96), big.NewInt(1))
	bigTen     = big.NewInt(10)

	errDecimalSize = errors.New("Value was either too large or too small for a Decimal.")
)

func pow10(n int) *big.Int { return new(big.Int).Exp(bigTen, big.NewInt(int64(n)), nil) }

// NewDecimal is n / 10^scale.
func NewDecimal(n int64, scale int) Decimal { return Decimal{big.NewInt(n), scale} }

func (d Decimal) int() *big.Int {
	if d.n == nil {
		return new(big.Int)
	}
	return d.n
}

// fit rounds half to even until the number fits.
func fit(n *big.Int, scale int) (Decimal, error) {
	for scale > maxScale || scale > 0 && new(big.Int).Abs(n).Cmp(maxDecimal) > 0 {
		drop := 1
		if scale > maxScale {
			drop = scale - maxScale
		}
		n, scale = divRound(n, pow10(drop)), scale-drop
	}
	if new(big.Int).Abs(n).Cmp(maxDecimal) > 0 {
		return Decimal{}, errDecimalSize
	}
	return Decimal{n, scale}, nil
}

// divRound is a/b rounded half to even.
func divRound(a, b *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(a, b, new(big.Int))
	twice := new(big.Int).Abs(new(big.Int).Lsh(r, 1))
	c := twice.Cmp(new(big.Int).Abs(b))
	if c > 0 || c == 0 && q.Bit(0) == 1 {
		if (a.Sign() < 0) != (b.Sign() < 0) {
			q.Sub(q, big.NewInt(1))
		} else {
			q.Add(q, big.NewInt(1))
		}
	}
	return q
}

// ParseDecimal reads digits with an optional point and exponent.
func ParseDecimal(s string) (Decimal, error) {
	s = strings.TrimSpace(s)
	mant, exp := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mant = s[:i]
		e, ok := new(big.Int).SetString(strings.TrimPrefix(s[i+1:], "+"), 10)
		if !ok || !e.IsInt64() || e.Int64() > 60 || e.Int64() < -60 {
			return Decimal{}, errFormat
		}
		exp = int(e.Int64())
	}
	whole, frac, _ := strings.Cut(mant, ".")
	digits := strings.TrimLeft(whole, "+-")
	if len(whole)-len(digits) > 1 || digits+frac == "" || len(digits)+len(frac) > 200 || strings.Trim(digits+frac, "0123456789") != "" {
		return Decimal{}, errFormat
	}
	n, _ := new(big.Int).SetString(digits+frac, 10)
	if strings.HasPrefix(whole, "-") {
		n.Neg(n)
	}
	scale := len(frac) - exp
	if scale < 0 {
		n, scale = n.Mul(n, pow10(-scale)), 0
	}
	return fit(n, scale)
}

// String is the number with all its decimals.
func (d Decimal) String() string {
	s := new(big.Int).Abs(d.int()).String()
	if d.scale > 0 {
		if len(s) <= d.scale {
			s = strings.Repeat("0", d.scale-len(s)+1) + s
		}
		s = s[:len(s)-d.scale] + "." + s[len(s)-d.scale:]
	}
	if d.int().Sign() < 0 {
		s = "-" + s
	}
	return s
}

// Float is the nearest double.
func (d Decimal) Float() float64 {
	f, _ := new(big.Rat).SetFrac(d.int(), pow10(d.scale)).Float64()
	return f
}

// Round is the integer part rounded half to even.
func (d Decimal) Round() *big.Int { return divRound(d.int(), pow10(d.scale)) }

func align(a, b Decimal) (*big.Int, *big.Int, int) {
	x, y := a.int(), b.int()
	switch {
	case a.scale < b.scale:
		return new(big.Int).Mul(x, pow10(b.scale-a.scale)), y, b.scale
	case b.scale < a.scale:
		return x, new(big.Int).Mul(y, pow10(a.scale-b.scale)), a.scale
	}
	return x, y, a.scale
}

// Cmp is -1, 0 or 1.
func (d Decimal) Cmp(e Decimal) int {
	x, y, _ := align(d, e)
	return x.Cmp(y)
}

func (d Decimal) add(e Decimal) (Decimal, error) {
	x, y, s := align(d, e)
	return fit(new(big.Int).Add(x, y), s)
}

func (d Decimal) neg() Decimal { return Decimal{new(big.Int).Neg(d.int()), d.scale} }

func (d Decimal) mul(e Decimal) (Decimal, error) {
	return fit(new(big.Int).Mul(d.int(), e.int()), d.scale+e.scale)
}

// div gives up to 28 decimals without zeros at the end.
func (d Decimal) div(e Decimal) (Decimal, error) {
	if e.int().Sign() == 0 {
		return Decimal{}, errDivideByZero
	}
	n := divRound(new(big.Int).Mul(d.int(), pow10(maxScale+e.scale)), new(big.Int).Mul(e.int(), pow10(d.scale)))
	scale := maxScale
	for scale > 0 {
		q, r := new(big.Int).QuoRem(n, bigTen, new(big.Int))
		if r.Sign() != 0 {
			break
		}
		n, scale = q, scale-1
	}
	return fit(n, scale)
}

func (d Decimal) rem(e Decimal) (Decimal, error) {
	if e.int().Sign() == 0 {
		return Decimal{}, errDivideByZero
	}
	x, y, s := align(d, e)
	return fit(new(big.Int).Rem(x, y), s)
}
