package ewsserver

import (
	"math/rand/v2"
	"testing"
	"time"

	"busybridge/internal/spec/wintz"
)

// What is remembered of a zone never changes what its clocks show.
func TestWallIsExact(t *testing.T) {
	sun := func(month, order int, at time.Duration, bias int) wintz.Switch {
		return wintz.Switch{Month: month, DayOrder: order, Time: at, Bias: bias}
	}
	rules := map[string]wintz.Rule{
		"Berlin":                   {Bias: -60, Standard: sun(10, 5, 3*time.Hour, 0), Daylight: sun(3, 5, 2*time.Hour, -60)},
		"Sydney":                   {Bias: -600, Standard: sun(4, 1, 3*time.Hour, 0), Daylight: sun(10, 1, 2*time.Hour, -60)},
		"an hour of daylight":      {Bias: 0, Standard: wintz.Switch{Month: 7, DayOrder: 1, Time: 4 * time.Hour}, Daylight: sun(7, 1, 2*time.Hour, -60)},
		"over the turn of a month": {Bias: 0, Standard: wintz.Switch{Month: 8, DayOrder: 1}, Daylight: wintz.Switch{Month: 7, DayOrder: 5, Weekday: time.Friday, Time: 23 * time.Hour, Bias: -60}},
		"over new year":            {Bias: 0, Standard: wintz.Switch{Month: 1, DayOrder: 1, Weekday: time.Monday}, Daylight: wintz.Switch{Month: 12, DayOrder: 5, Weekday: time.Sunday, Time: 23 * time.Hour, Bias: -60}},
		"none":                     {Bias: 345},
	}
	const seed = 42
	rnd := rand.New(rand.NewPCG(seed, seed))
	times := func(n int, f func(time.Time)) {
		begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		for range n {
			// Near each other, as in an answer, and back and forth.
			day := begin.Add(time.Duration(rnd.Int64N(int64(4 * 365 * 24 * time.Hour))))
			for range 4 {
				f(day.Add(time.Duration(rnd.Int64N(int64(48 * time.Hour)))).Truncate(time.Second))
			}
		}
	}
	for name, rule := range rules {
		z := &zone{rule: rule}
		times(5000, func(at time.Time) {
			if got, want := z.wall(at), rule.Wall(at); !got.Equal(want) {
				t.Fatalf("%s at %v: got %v, want %v", name, at, got, want)
			}
		})
	}
	for _, id := range []string{"W. Europe Standard Time", "Morocco Standard Time", "Lord Howe Standard Time", "UTC", "Nepal Standard Time"} {
		loc, ok := wintz.Location(id)
		if !ok {
			t.Fatalf("no zone %q", id)
		}
		z := &zone{loc: loc}
		times(5000, func(at time.Time) {
			if got, want := z.wall(at), wintz.Wall(loc, at); !got.Equal(want) {
				t.Fatalf("%s at %v: got %v, want %v", id, at, got, want)
			}
		})
	}
}
