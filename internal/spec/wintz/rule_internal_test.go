package wintz

import (
	"testing"
	"time"
)

func TestDaysTo(t *testing.T) {
	for year := -401; year <= 2801; year++ {
		for month := 1; month <= 13; month++ {
			if got, want := daysTo(year, month), time.Date(year, time.Month(month), 1, 0, 0, 0, 0, time.UTC).Unix()/secondsPerDay; got != want {
				t.Fatalf("%d-%d: %d days, want %d", year, month, got, want)
			}
		}
	}
}
