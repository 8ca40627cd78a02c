package wintz_test

import (
	"errors"
	"testing"
	"time"

	"busybridge/internal/spec/wintz"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	berlin = wintz.Rule{
		Bias:     -60,
		Standard: wintz.Switch{Time: 3 * time.Hour, DayOrder: 5, Month: 10},
		Daylight: wintz.Switch{Bias: -60, Time: 2 * time.Hour, DayOrder: 5, Month: 3},
	}
	sydney = wintz.Rule{
		Bias:     -600,
		Standard: wintz.Switch{Time: 3 * time.Hour, DayOrder: 1, Month: 4},
		Daylight: wintz.Switch{Bias: -60, Time: 2 * time.Hour, DayOrder: 1, Month: 10},
	}
)

func TestRuleAt(t *testing.T) {
	for _, tt := range []struct {
		zone string
		year int
		want wintz.Rule
	}{
		{"Europe/Berlin", 2026, berlin},
		{"Europe/Berlin", 2027, berlin}, // last Sunday of March is the fourth
		{"Australia/Sydney", 2026, sydney},
		{"America/New_York", 2026, wintz.Rule{
			Bias:     300,
			Standard: wintz.Switch{Time: 2 * time.Hour, DayOrder: 1, Month: 11},
			Daylight: wintz.Switch{Bias: -60, Time: 2 * time.Hour, DayOrder: 2, Month: 3},
		}},
		{"Asia/Kolkata", 2026, wintz.Rule{Bias: -330}},
		{"Europe/Moscow", 2014, wintz.Rule{Bias: -240}}, // changed once that year; June
		{"Etc/UTC", 2026, wintz.UTCRule},
	} {
		loc, _ := wintz.Location(tt.zone)
		got := wintz.RuleAt(loc, time.Date(tt.year, 6, 15, 12, 0, 0, 0, time.UTC))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s %d (-want +got):\n%s", tt.zone, tt.year, diff)
		}
	}
}

// TestRuleAgreesWithZone compares every Windows zone with its rule, hour by hour
// around the changes and day by day elsewhere.
func TestRuleAgreesWithZone(t *testing.T) {
	regular, irregular := 0, 0
	for _, id := range wintz.IDs() {
		loc, _ := wintz.Location(id)
		for _, year := range []int{2011, 2018, 2024, 2026, 2027, 2037} {
			mid := time.Date(year, 6, 15, 12, 0, 0, 0, time.UTC)
			r := wintz.RuleAt(loc, mid)
			if err := r.Validate(); err != nil {
				t.Fatalf("%s %d: %v", id, year, err)
			}
			if got, want := r.Wall(mid), wintz.Wall(loc, mid); !got.Equal(want) {
				t.Errorf("%s: at %v the rule shows %v, want %v", id, mid, got, want)
			}
			begin, end := time.Date(year, 1, 1, 0, 0, 0, 0, loc), time.Date(year+1, 1, 1, 0, 0, 0, 0, loc)
			var times []time.Time
			for at := begin.UTC(); at.Before(end); at = at.Add(49 * time.Hour) {
				times = append(times, at)
			}
			changes := 0
			for tr := begin; ; changes++ {
				_, next := tr.ZoneBounds()
				if next.IsZero() || !next.Before(end) {
					break
				}
				for m := -180; m <= 180; m += 15 {
					times = append(times, next.UTC().Add(time.Duration(m)*time.Minute))
				}
				tr = next
			}
			if changes != 0 && r.Standard.Month == 0 {
				irregular++
				continue
			}
			regular++
			for _, at := range times {
				want := wintz.Wall(loc, at)
				if want.Year() != year {
					continue
				}
				if got := r.Wall(at); !got.Equal(want) {
					t.Fatalf("%s: at %v the rule %+v shows %v, want %v", id, at, r, got, want)
				}
				if got, u := r.UTC(want), wintz.UTC(loc, want); !got.Equal(u) {
					t.Fatalf("%s: the rule takes %v for %v, want %v", id, want, got, u)
				}
			}
		}
	}
	t.Logf("%d zone years agree, %d have no yearly rule", regular, irregular)
	if irregular > 40 {
		t.Errorf("%d zone years without a rule, want at most 40", irregular)
	}
}

func TestRuleClock(t *testing.T) {
	utc := func(s string) time.Time {
		v, err := time.Parse("2006-01-02T15:04:05", s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	fixed := wintz.Rule{ // exists in 2026 alone: Year is set, DayOrder is the day
		Bias:     -120,
		Standard: wintz.Switch{Time: time.Hour, DayOrder: 25, Month: 10, Year: 2026},
		Daylight: wintz.Switch{Bias: -60, Time: time.Hour, DayOrder: 27, Month: 3, Year: 2026},
	}
	last := berlin
	last.Standard.DayOrder, last.Daylight.DayOrder = -1, 0
	for _, tt := range []struct {
		name       string
		rule       wintz.Rule
		wall, want string
	}{
		{"winter", berlin, "2026-01-15T12:00:00", "2026-01-15T11:00:00"},
		{"summer", berlin, "2026-07-15T12:00:00", "2026-07-15T10:00:00"},
		{"skipped", berlin, "2026-03-29T02:30:00", "2026-03-29T01:30:00"},
		{"twice", berlin, "2026-10-25T02:30:00", "2026-10-25T00:30:00"},
		{"order below one is the last", last, "2026-10-25T02:30:00", "2026-10-25T00:30:00"},
		{"southern summer before April", sydney, "2026-01-01T00:00:00", "2025-12-31T13:00:00"},
		{"southern winter", sydney, "2026-07-01T00:00:00", "2026-06-30T14:00:00"},
		{"southern summer at year end", sydney, "2026-12-31T23:59:59", "2026-12-31T12:59:59"},
		{"southern skipped", sydney, "2026-10-04T02:30:00", "2026-10-03T16:30:00"},
		{"southern twice", sydney, "2026-04-05T02:30:00", "2026-04-04T15:30:00"},
		{"one year, before", fixed, "2025-07-01T12:00:00", "2025-07-01T10:00:00"},
		{"one year, within", fixed, "2026-07-01T12:00:00", "2026-07-01T09:00:00"},
		{"one year, after", fixed, "2027-07-01T12:00:00", "2027-07-01T10:00:00"},
		{"month 0 has no daylight time", wintz.Rule{Bias: 300, Daylight: wintz.Switch{Bias: -60, Month: 3, DayOrder: 2}}, "2026-07-01T12:00:00", "2026-07-01T17:00:00"},
		{"equal biases have no daylight time", wintz.Rule{Standard: wintz.Switch{Month: 3}, Daylight: wintz.Switch{Month: 10}}, "2026-07-01T12:00:00", "2026-07-01T12:00:00"},
	} {
		if err := tt.rule.Validate(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := tt.rule.UTC(utc(tt.wall)); !got.Equal(utc(tt.want)) {
			t.Errorf("%s: UTC(%s) = %v, want %s", tt.name, tt.wall, got, tt.want)
		}
	}
}

func TestImpossibleRules(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*wintz.Rule)
	}{
		{"bias of two days", func(r *wintz.Rule) { r.Bias = 2880 }},
		{"bias of half a day and daylight bias of a day", func(r *wintz.Rule) { r.Bias, r.Daylight.Bias = 720, 1440 }},
		{"month 13", func(r *wintz.Rule) { r.Standard.Month = 13 }},
		{"month -1", func(r *wintz.Rule) { r.Daylight.Month = -1 }},
		{"24:00", func(r *wintz.Rule) { r.Daylight.Time = 24 * time.Hour }},
		{"negative time", func(r *wintz.Rule) { r.Standard.Time = -time.Second }},
		{"sixth Sunday", func(r *wintz.Rule) { r.Standard.DayOrder = 6 }},
		{"weekday 7", func(r *wintz.Rule) { r.Standard.Weekday = 7 }},
		{"year 1", func(r *wintz.Rule) { r.Standard.Year = 1 }},
		{"30 February", func(r *wintz.Rule) { r.Standard.Year, r.Standard.Month, r.Standard.DayOrder = 2026, 2, 30 }},
		{"both halves at once", func(r *wintz.Rule) { b := r.Daylight.Bias; r.Daylight = r.Standard; r.Daylight.Bias = b }},
	} {
		r := berlin
		tt.edit(&r)
		if err := r.Validate(); !errors.Is(err, wintz.ErrRule) {
			t.Errorf("%s: Validate() = %v, want ErrRule", tt.name, err)
		}
	}
}

// TestRuleRoundTrip: what a possible rule shows is what it reads, except in the
// hour that occurs twice.
func TestRuleRoundTrip(t *testing.T) {
	half := rapid.Custom(func(t *rapid.T) wintz.Switch {
		return wintz.Switch{
			Bias:     rapid.SampledFrom([]int{0, -60, -30, 60}).Draw(t, "bias"),
			Time:     time.Duration(rapid.IntRange(0, 1439).Draw(t, "minute")) * time.Minute,
			DayOrder: rapid.IntRange(-1, 5).Draw(t, "order"),
			Month:    rapid.IntRange(0, 12).Draw(t, "month"),
			Weekday:  time.Weekday(rapid.IntRange(0, 6).Draw(t, "weekday")),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		r := wintz.Rule{Bias: rapid.IntRange(-840, 720).Draw(t, "bias"), Standard: half.Draw(t, "standard"), Daylight: half.Draw(t, "daylight")}
		if r.Validate() != nil {
			t.Skip()
		}
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0).UTC()
		wall := r.Wall(at)
		back := r.UTC(wall)
		if back.After(at) || at.Sub(back) > 2*time.Hour || !r.Wall(back).Equal(wall) {
			t.Fatalf("%v shows %v, read back as %v", at, wall, back)
		}
	})
}
