package routing_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/routing"
	"busybridge/internal/spec/wintz"
)

func TestHoursOf(t *testing.T) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	berlin := wintz.Rule{
		Bias:     -60,
		Standard: wintz.Switch{Time: 3 * time.Hour, DayOrder: 5, Month: 10, Weekday: time.Sunday},
		Daylight: wintz.Switch{Bias: -60, Time: 2 * time.Hour, DayOrder: 5, Month: 3, Weekday: time.Sunday},
	}
	got, err := routing.HoursOf(directory.DefaultCalendar("W. Europe Standard Time"), at)
	if err != nil {
		t.Fatal(err)
	}
	want := &routing.Hours{Zone: berlin, Periods: []routing.Period{{Days: 0b0111110, Start: 480, End: 1020}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("HoursOf (-want +got):\n%s", diff)
	}

	bad := map[string]directory.CalendarConfiguration{
		"unknown zone":          directory.DefaultCalendar("Middle Earth Standard Time"),
		"end before start":      {TimeZone: "UTC", WorkDays: 2, WorkStart: 600, WorkEnd: 540},
		"end after midnight":    {TimeZone: "UTC", WorkDays: 2, WorkStart: 600, WorkEnd: 1441},
		"start before midnight": {TimeZone: "UTC", WorkDays: 2, WorkStart: -1, WorkEnd: 540},
	}
	for name, c := range bad {
		if h, err := routing.HoursOf(c, at); err == nil {
			t.Errorf("%s: got %v, want an error", name, h)
		}
	}
	if h, err := routing.HoursOf(directory.CalendarConfiguration{TimeZone: "UTC"}, at); h != nil || err != nil {
		t.Errorf("no working day: got %v, %v, want nothing", h, err)
	}
}
