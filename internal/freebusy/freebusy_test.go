package freebusy_test

import (
	"errors"
	"testing"
	"time"

	"busybridge/internal/freebusy"
)

func TestNewWindow(t *testing.T) {
	berlin := time.FixedZone("Berlin", 3600)
	tests := []struct {
		name       string
		start, end time.Time
		want       error
	}{
		{"an instant", at(8, 0), at(8, 0), freebusy.ErrEmptyWindow},
		{"reversed", at(9, 0), at(8, 0), freebusy.ErrEmptyWindow},
		{"one nanosecond", at(8, 0), at(8, 0).Add(1), nil},
		{"62 days", monday, monday.AddDate(0, 0, 62), nil},
		{"62 days and a bit", monday, monday.AddDate(0, 0, 62).Add(1), freebusy.ErrWindowTooLong},
		{"all of time", time.Time{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), freebusy.ErrWindowTooLong},
		{"another zone", at(8, 0).In(berlin), at(9, 0).In(berlin), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, err := freebusy.NewWindow(tt.start, tt.end)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err == nil && (w.Start.Location() != time.UTC || w.End.Location() != time.UTC || !w.Start.Equal(tt.start) || !w.End.Equal(tt.end)) {
				t.Errorf("window %v", w)
			}
		})
	}
}

func TestOverlaps(t *testing.T) {
	w := freebusy.Window{Start: at(8, 0), End: at(10, 0)}
	tests := []struct {
		name       string
		start, end time.Time
		want       bool
	}{
		{"ends where the window begins", at(7, 0), at(8, 0), false},
		{"begins where the window ends", at(10, 0), at(11, 0), false},
		{"the first instant", at(7, 0), at(8, 0).Add(1), true},
		{"the last instant", at(10, 0).Add(-1), at(11, 0), true},
		{"around it", at(1, 0), at(20, 0), true},
	}
	for _, tt := range tests {
		if got := w.Overlaps(tt.start, tt.end); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestNamesRoundTrip(t *testing.T) {
	digits := ""
	for s := freebusy.Free; s <= freebusy.NoData; s++ {
		if got, ok := freebusy.ParseStatus(s.String()); !ok || got != s {
			t.Errorf("status %v is read as %v, %v", s, got, ok)
		}
		digits += string(s.Digit())
	}
	if digits != "012304" {
		t.Errorf("digits %s, want 012304", digits)
	}
	for _, v := range []freebusy.View{freebusy.ViewNone, freebusy.ViewMergedOnly, freebusy.ViewFreeBusy, freebusy.ViewFreeBusyMerged, freebusy.ViewDetailed, freebusy.ViewDetailedMerged} {
		if got, ok := freebusy.ParseView(v.String()); !ok || got != v {
			t.Errorf("view %v is read as %v, %v", v, got, ok)
		}
	}
	for _, name := range []string{"", "busy", "Detailed "} {
		if s, ok := freebusy.ParseStatus(name); ok {
			t.Errorf("%q is status %v", name, s)
		}
		if v, ok := freebusy.ParseView(name); ok {
			t.Errorf("%q is view %v", name, v)
		}
	}
}
