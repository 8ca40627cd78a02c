package recur_test

import (
	"testing"

	"busybridge/internal/growthtest"
	"busybridge/internal/spec/recur"
)

// A window costs the same wherever the series began; with a COUNT, nearly so.
func TestCostDoesNotGrowWithAge(t *testing.T) {
	tests := []struct {
		rule   string
		atMost float64
	}{
		{"FREQ=DAILY", 1.1}, {"FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,FR", 1.1}, {"FREQ=MONTHLY;BYDAY=-1FR", 1.1}, {"FREQ=YEARLY;BYMONTH=3;BYDAY=2MO", 1.1},
		{"FREQ=DAILY;COUNT=10000", 1.5}, {"FREQ=WEEKLY;BYDAY=MO,WE,FR;COUNT=5000", 1.5}, {"FREQ=MONTHLY;BYDAY=-1FR;COUNT=500", 1.5},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			r, err := recur.Parse(tt.rule)
			if err != nil {
				t.Fatal(err)
			}
			week := func(start string) func() {
				s := recur.Series{Rule: r, Start: at(start)}
				return func() {
					if _, err := s.Between(at("2026-03-01T00:00"), at("2026-04-30T00:00"), 1000); err != nil {
						t.Fatal(err)
					}
				}
			}
			growthtest.Law(t, tt.atMost, week("2026-02-02T09:00"), week("2016-02-01T09:00"))
		})
	}
}
