package hostcmd

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

type getRandom struct {
	rng         *rand.Rand
	InputObject []any `ps:"InputObject,mandatory,position=0,pipeline=value,set=RandomListItem" help:"Objects to choose from."`
	Maximum     any   `ps:"Maximum,position=0,set=RandomNumber" help:"All numbers are smaller."`
	Minimum     any   `ps:"Minimum,set=RandomNumber" help:"The smallest number; 0 without it."`
	Count       int   `ps:"Count,default=1,set=RandomListItem" help:"How many objects are chosen."`
	SetSeed     *int  `ps:"SetSeed" help:"Makes the numbers of this command the same each time. Never for secrets."`

	items []any
	seen  int
}

// Begin makes the source of numbers.
func (p *getRandom) Begin(context.Context, *interp.Call) error {
	if p.SetSeed != nil {
		p.rng = rand.New(rand.NewPCG(uint64(int64(*p.SetSeed)), 0)) //nolint:gosec // numbers of Get-Random are no secrets
	}
	return nil
}

func (p *getRandom) int64n(n int64) int64 {
	if p.rng != nil {
		return p.rng.Int64N(n)
	}
	return rand.Int64N(n) //nolint:gosec // numbers of Get-Random are no secrets
}

func (p *getRandom) float64() float64 {
	if p.rng != nil {
		return p.rng.Float64()
	}
	return rand.Float64() //nolint:gosec // numbers of Get-Random are no secrets
}

// Run chooses a number, or takes objects to choose from (Get-Random).
func (p *getRandom) Run(_ context.Context, c *interp.Call) error {
	if c.Bound("InputObject") || c.Piped() {
		for _, v := range p.InputObject { // a sample of all that come, in bounded memory
			p.seen++
			if len(p.items) < p.Count {
				p.items = append(p.items, v)
			} else if i := p.int64n(int64(p.seen)); i < int64(p.Count) {
				p.items[i] = v
			}
		}
		return nil
	}
	low, err := number(p.Minimum, int32(0))
	if err != nil {
		return err
	}
	high, err := number(p.Maximum, int32(math.MaxInt32))
	if err != nil {
		return err
	}
	if n, err := object.Compare(low, high, false); err != nil || n >= 0 {
		return object.NewError("MinGreaterThanOrEqualMax,"+class(c), object.InvalidArgument, object.TArgumentException,
			"The Minimum value (%s) cannot be greater than or equal to the Maximum value (%s).", object.String(low), object.String(high))
	}
	a, aWhole := whole(low)
	b, bWhole := whole(high)
	if aWhole && bWhole && (a >= 0 || b <= math.MaxInt64+a) {
		n := a + p.int64n(b-a)
		if n >= math.MinInt32 && n <= math.MaxInt32 {
			return c.Emit(int32(n))
		}
		return c.Emit(n)
	}
	from, err := object.Convert(low, object.TDouble)
	if err != nil {
		return err
	}
	to, err := object.Convert(high, object.TDouble)
	if err != nil {
		return err
	}
	return c.Emit(from.(float64) + p.float64()*(to.(float64)-from.(float64)))
}

// End writes the chosen objects in any order.
func (p *getRandom) End(_ context.Context, c *interp.Call) error {
	for i := len(p.items) - 1; i > 0; i-- {
		j := p.int64n(int64(i + 1))
		p.items[i], p.items[j] = p.items[j], p.items[i]
	}
	for _, v := range p.items {
		if err := c.Emit(v); err != nil {
			return err
		}
	}
	return nil
}

// number is v as a number, or what stands for none.
func number(v, none any) (any, error) {
	b := object.Base(v)
	if b == nil {
		return none, nil
	}
	if object.IsNumber(b) {
		return b, nil
	}
	if s, ok := b.(string); ok {
		if n, ok := object.ParseNumber(s); ok {
			return n, nil
		}
	}
	return object.Convert(v, object.TInt)
}

func whole(v any) (int64, bool) {
	switch v.(type) {
	case float64, float32, object.Decimal:
		return 0, false
	}
	n, err := object.Convert(v, object.TLong)
	if err != nil {
		return 0, false
	}
	return n.(int64), true
}

type newGUID struct{}

// Run makes a GUID (New-Guid).
func (newGUID) Run(_ context.Context, c *interp.Call) error { return c.Emit(uuid.New()) }

type newTimeSpan struct {
	Start   *time.Time `ps:"Start,alias=LastWriteTime,position=0,pipeline=value|name,set=Date" help:"When it begins; now without it."`
	End     *time.Time `ps:"End,position=1,pipeline=name,set=Date" help:"When it ends; now without it."`
	Days    int        `ps:"Days,set=Time" help:"Days."`
	Hours   int        `ps:"Hours,set=Time" help:"Hours."`
	Minutes int        `ps:"Minutes,set=Time" help:"Minutes."`
	Seconds int        `ps:"Seconds,set=Time" help:"Seconds."`
}

// Run makes a span of time (New-TimeSpan).
func (p *newTimeSpan) Run(_ context.Context, c *interp.Call) error {
	if p.Start == nil && p.End == nil {
		return c.Emit(time.Duration(p.Days)*24*time.Hour + time.Duration(p.Hours)*time.Hour + time.Duration(p.Minutes)*time.Minute + time.Duration(p.Seconds)*time.Second)
	}
	from, to := c.Now(), c.Now()
	if p.Start != nil {
		from = *p.Start
	}
	if p.End != nil {
		to = *p.End
	}
	return c.Emit(to.Sub(from))
}

type getHost struct{}

// Run shows the shell itself (Get-Host).
func (getHost) Run(_ context.Context, c *interp.Call) error { return c.Emit(c.Variable("Host")) }

func (h *host) misc() []interp.Command {
	m := moduleUtility
	return []interp.Command{
		{Name: "Get-Random", Module: m, New: func() interp.Cmdlet { return &getRandom{} }, DefaultSet: "RandomNumber",
			Synopsis: "Gives a number by chance, or chooses objects.", Examples: []string{`Get-Random -Maximum 100`, `1..10 | Get-Random -Count 3`}},
		{Name: "New-Guid", Module: m, New: func() interp.Cmdlet { return &newGUID{} },
			Synopsis: "Makes a GUID.", Examples: []string{`New-Guid`}},
		{Name: "New-TimeSpan", Module: m, New: func() interp.Cmdlet { return &newTimeSpan{} }, DefaultSet: "Date",
			Synopsis: "Makes a span of time.", Examples: []string{`New-TimeSpan -Hours 2`, `New-TimeSpan -Start (Get-Date) -End 2030-01-01`}, Links: []string{"Get-Date"}},
		{Name: "Get-Host", Module: m, New: func() interp.Cmdlet { return &getHost{} },
			Synopsis: "Shows the shell itself.", Examples: []string{`(Get-Host).Version`}},
	}
}
