package wintz_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"busybridge/internal/spec/wintz"
)

func TestLocation(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"W. Europe Standard Time", "Europe/Berlin"},
		{"w. europe standard time", "Europe/Berlin"},
		{"W. Europe Standard Time 1", "Europe/Berlin"},
		{"Pacific Daylight Time", "America/Los_Angeles"},
		{"Europe/Berlin", "Europe/Berlin"},
		{"europe/BERLIN", "Europe/Berlin"},
		{"Europe_Berlin", "Europe/Berlin"},
		{"Europe-Berlin", "Europe/Berlin"},
		{"America-Port_au_Prince", "America/Port-au-Prince"},
		{"US/Pacific", "US/Pacific"},
		{"US/Pacific-New", "America/Los_Angeles"},
		{"Asia/Calcutta", "Asia/Calcutta"},
		{"Etc/GMT-5", "Etc/GMT-5"},
		{"Etc/GMT+5", "Etc/GMT+5"},
		{"etc/gmt+5", "Etc/GMT+5"},
		{"UTC", "UTC"},
		{"UTC-11", "Etc/GMT+11"},
		{"tzone://Microsoft/Utc", "Etc/UTC"},
		{"/freeassociation.sourceforge.net/Tzfile/Europe/Berlin", "Europe/Berlin"},
		{"/citadel.org/20210210_1/America/Argentina/Ushuaia", "America/Argentina/Ushuaia"},
		{"/Europe/Stockholm", "Europe/Stockholm"},
		{"(UTC-05:00) Eastern Time (US and Canada)", "America/New_York"},
		{"(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", "Europe/Amsterdam"},
		{"(UTC+01:00) Amsterdam", "Europe/Amsterdam"},
		{"(GMT+01:00) Brussels, Copenhagen, Madrid, Paris", "Europe/Brussels"},
		{"(GMT-05:00) Eastern Time (US & Canada)", "America/New_York"},
		{"(UTC-08:00) Pacific Time (US & Canada)", "America/Los_Angeles"},
		{"(UTC) Coordinated Universal Time", "Etc/UTC"},
		{"(UTC+08:00) Beijing, Chongqing, Hong Kong, Urumqi", "Asia/Shanghai"},
		{"(UTC+05:30) Chennai, Kolkata, Mumbai, New Delhi", "Asia/Kolkata"},
		{"(UTC+04:00) Abu Dhabi, Muscat", "Asia/Dubai"},
		{`"Europe/Berlin"`, "Europe/Berlin"},
		{"", ""},
		{"Local", ""},
		{"local", ""},
		{"Customized Time Zone", ""},
		{"tzone://Microsoft/Custom", ""},
		{"(UTC+01", ""},
		{"(UTC+01:00)", ""},
		{"(UTC+03:00) Amsterdam", ""},
		{"../../etc/passwd", ""},
		{"/etc/localtime", ""},
		{"posix/Europe/Berlin", ""},
		{strings.Repeat("/a", 1<<20), ""},
	} {
		loc, ok := wintz.Location(tt.name)
		got := ""
		if ok {
			got = loc.String()
		}
		if got != tt.want {
			t.Errorf("Location(%.60q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNames(t *testing.T) {
	ids := wintz.IDs()
	if len(ids) != 139 || !slices.IsSorted(ids) {
		t.Errorf("%d ids, sorted %v, want 139 and sorted", len(ids), slices.IsSorted(ids))
	}
	seen := map[string]string{}
	for _, id := range ids {
		name, ok := wintz.IANA(id)
		if back, _ := wintz.Windows(name); !ok || back != id {
			t.Errorf("%s is %s, which is %s", id, name, back)
		}
		if _, ok := wintz.Location(id); !ok {
			t.Errorf("no zone for %s", id)
		}
		d := wintz.DisplayName(id)
		if other := seen[d]; other != "" {
			t.Errorf("%s and %s are both displayed as %s", id, other, d)
		}
		seen[d] = id
		loc, ok := wintz.Location(d)
		if want, _ := wintz.Location(id); !ok || wintz.RuleAt(loc, displayTime) != wintz.RuleAt(want, displayTime) {
			t.Errorf("Location(%q) = %v, want the zone of %s", d, loc, id)
		}
	}
	for _, tt := range []struct{ id, want string }{
		{"W. Europe Standard Time", "(UTC+01:00) Berlin"},
		{"Newfoundland Standard Time", "(UTC-03:30) St Johns"},
		{"UTC", "(UTC) Coordinated Universal Time"},
		{"UTC+12", "(UTC+12:00) Coordinated Universal Time+12"},
		{"nonsense", "nonsense"},
	} {
		if got := wintz.DisplayName(tt.id); got != tt.want {
			t.Errorf("DisplayName(%q) = %q, want %q", tt.id, got, tt.want)
		}
	}
	for _, tt := range []struct{ iana, want string }{
		{"Asia/Kolkata", "India Standard Time"},
		{"Asia/Calcutta", "India Standard Time"},
		{"America/Montreal", "Eastern Standard Time"},
		{"Europe/Zurich", "W. Europe Standard Time"},
		{"Mars/Base", ""},
	} {
		if got, _ := wintz.Windows(tt.iana); got != tt.want {
			t.Errorf("Windows(%q) = %q, want %q", tt.iana, got, tt.want)
		}
	}
}

var displayTime = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

func TestUTCOfWallClock(t *testing.T) {
	for _, tt := range []struct{ zone, wall, want string }{
		{"Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59"},
		{"Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T01:30:00"}, // skipped: offset before
		{"Europe/Berlin", "2026-03-29T03:00:00", "2026-03-29T01:00:00"},
		{"Europe/Berlin", "2026-10-25T01:59:00", "2026-10-24T23:59:00"},
		{"Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T00:30:00"}, // twice: the first
		{"Europe/Berlin", "2026-10-25T03:00:00", "2026-10-25T02:00:00"},
		{"America/Sao_Paulo", "2018-11-04T00:15:00", "2018-11-04T03:15:00"},
		{"Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T22:00:00"}, // a day that did not exist
		{"Asia/Kolkata", "2026-01-01T00:00:00", "2025-12-31T18:30:00"},
	} {
		loc, _ := wintz.Location(tt.zone)
		wall, _ := time.Parse("2006-01-02T15:04:05", tt.wall)
		if got := wintz.UTC(loc, wall).Format("2006-01-02T15:04:05"); got != tt.want {
			t.Errorf("UTC(%s, %s) = %s, want %s", tt.zone, tt.wall, got, tt.want)
		}
	}
}

// TestUTCAgreesWithSearch compares with a search over all offsets of the days around.
func TestUTCAgreesWithSearch(t *testing.T) {
	for _, id := range wintz.IDs() {
		loc, _ := wintz.Location(id)
		for _, year := range []int{1993, 2011, 2026} {
			for tr := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).In(loc); tr.Year() <= year; {
				_, next := tr.ZoneBounds()
				if next.IsZero() {
					break
				}
				for m := -190; m <= 190; m += 38 {
					wall := wintz.Wall(loc, next).Add(time.Duration(m) * time.Minute)
					if got, want := wintz.UTC(loc, wall), search(loc, wall, next); !got.Equal(want) {
						t.Fatalf("%s: UTC(%v) = %v, want %v", loc, wall, got, want)
					}
				}
				tr = next
			}
		}
	}
}

// search finds the first instant within two days of a change at which loc shows
// wall; where there is none it takes the offset before the change.
func search(loc *time.Location, wall, change time.Time) time.Time {
	offs := map[time.Duration]bool{}
	for h := -48 * time.Hour; h <= 48*time.Hour; h += time.Hour {
		_, off := change.Add(h).Zone()
		offs[time.Duration(off)*time.Second] = true
	}
	var best time.Time
	for off := range offs {
		u := wall.Add(-off)
		if wintz.Wall(loc, u).Equal(wall) && (best.IsZero() || u.Before(best)) {
			best = u
		}
	}
	if !best.IsZero() {
		return best
	}
	_, before := change.Add(-time.Second).Zone()
	return wall.Add(-time.Duration(before) * time.Second)
}
