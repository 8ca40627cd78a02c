package recur_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"busybridge/internal/spec/recur"
	"busybridge/internal/spec/wintz"

	"github.com/google/go-cmp/cmp"
)

// corpus returns a file of the corpus beside the repository, or skips.
func corpus(t *testing.T, name string) []byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, "..", "shared", "corpus", filepath.FromSlash(name)))
	if os.IsNotExist(err) {
		t.Skipf("the corpus is not there: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	layout := "20060102T150405"
	if s = strings.TrimSuffix(s, "Z"); len(s) == 8 {
		layout = "20060102"
	}
	v, err := time.Parse(layout, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// until is the rule's UNTIL on the clock of loc.
func until(r *recur.Rule, loc *time.Location) time.Time {
	if r.UntilForm == recur.UTC && loc != nil && !r.Until.IsZero() {
		return wintz.Wall(loc, r.Until)
	}
	return r.Until
}

// TestGeneratedRules: two other engines agree on these.
func TestGeneratedRules(t *testing.T) {
	var rules []struct {
		ID        int
		TZID      string
		DTStart   string
		RRule     string
		EXDate    []string
		RDate     []string
		Truncated bool
		First     []time.Time
	}
	if err := json.Unmarshal(corpus(t, "expected/rules.json"), &rules); err != nil {
		t.Fatal(err)
	}
	ok := 0
	for _, tt := range rules {
		loc, known := wintz.Location(tt.TZID)
		if !known {
			t.Fatalf("%d: no zone %s", tt.ID, tt.TZID)
		}
		r, err := recur.Parse(tt.RRule)
		if err != nil {
			t.Errorf("%d: %v", tt.ID, err)
			continue
		}
		start := parseTime(t, tt.DTStart)
		s := recur.Series{Rule: r, Start: start, Until: until(r, loc)}
		// The lists stop at 60 instances or some years after the start; the
		// nearest stop without a cut is seven years away.
		end := start.AddDate(7, 0, 1)
		if n := len(tt.First); n > 0 && (tt.Truncated || wintz.UTC(loc, end).Before(tt.First[n-1])) {
			end = wintz.Wall(loc, tt.First[n-1]).Add(time.Second)
		}
		walls, err := s.Between(start, end, 100_000)
		if err != nil {
			t.Errorf("%d: %s: %v", tt.ID, tt.RRule, err)
			continue
		}
		for _, x := range tt.RDate {
			if rdate := parseTime(t, x); rdate.Before(end) {
				walls = append(walls, rdate)
			}
		}
		for _, x := range tt.EXDate {
			ex := parseTime(t, x)
			walls = slices.DeleteFunc(walls, ex.Equal)
		}
		var got []time.Time
		for _, w := range walls {
			got = append(got, wintz.UTC(loc, w))
		}
		slices.SortFunc(got, time.Time.Compare)
		got = slices.CompactFunc(got, time.Time.Equal)
		want := slices.Clone(tt.First)
		slices.SortFunc(want, time.Time.Compare)
		want = slices.CompactFunc(want, time.Time.Equal)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d: %s from %s in %s (-want +got):\n%s", tt.ID, tt.RRule, tt.DTStart, tt.TZID, diff)
			continue
		}
		ok++
	}
	t.Logf("%d of %d generated rules agree", ok, len(rules))
}

// exceptions are stated rules that we read otherwise, by the reason.
var exceptions = map[string]string{
	"FREQ=YEARLY":         "the caller's window ends it, so no end is no error",
	"FREQ=YEARLY;COUNT=3": "a series ends with the year 9999, without an error",
	"FREQ=YEARLY;BYWEEKNO=-1;BYDAY=SU;COUNT=3":                       "a series ends with the year 9999, without an error",
	"FREQ=YEARLY;COUNT=1":                                            "a series ends with the year 9999, and the length of an event is not ours",
	"FREQ=YEARLY;INTERVAL=10000000;COUNT=2":                          "a series ends with the year 9999, without an error",
	"FREQ=WEEKLY;INTERVAL=2000000000;COUNT=2":                        "a series ends with the year 9999, without an error",
	"FREQ=YEARLY;BYMONTH=3;BYDAY=6MO":                                "what never matches is no error, it has no instances",
	"FREQ=DAILY;BYDAY=1MO":                                           "forbidden; the number is ignored, as most programs do",
	"FREQ=MONTHLY;BYWEEKNO=10":                                       "forbidden; read as a filter, as most programs do",
	"FREQ=MONTHLY;BYYEARDAY=14;COUNT=3":                              "forbidden; read as a filter, as most programs do",
	"FREQ=WEEKLY;BYMONTHDAY=20;COUNT=3":                              "forbidden; read as a filter, as most programs do",
	"FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=30;BYWEEKNO=1;UNTIL=20320101": "states that it was not implemented",
}

// TestStatedRules: what the tests of two other projects say their rules mean.
func TestStatedRules(t *testing.T) {
	for _, file := range []string{"expected/rules-stated-icalnet.json", "copyleft/expected/rules-stated-libical.json"} {
		t.Run(file, func(t *testing.T) {
			var rules []struct {
				Note, RRule, DTStart string
				StartAt              string `json:"start_at"`
				Instances            []string
				Complete, Error      bool
			}
			if err := json.Unmarshal(corpus(t, file), &rules); err != nil {
				t.Fatal(err)
			}
			ok, excepted := 0, 0
			for _, tt := range rules {
				if exceptions[tt.RRule] != "" && (tt.Error || strings.Contains(tt.Instances[0], "UNIMPLEMENTED")) {
					t.Logf("%s: %s", tt.RRule, exceptions[tt.RRule])
					excepted++
					continue
				}
				r, err := recur.Parse(tt.RRule)
				if tt.Error {
					if err == nil {
						t.Errorf("%s from %s: no error: %s", tt.RRule, tt.DTStart, tt.Note)
						continue
					}
					ok++
					continue
				}
				if err != nil {
					t.Errorf("%s from %s: %v", tt.RRule, tt.DTStart, err)
					continue
				}
				start := parseTime(t, tt.DTStart)
				s := recur.Series{Rule: r, Start: start, Date: len(tt.DTStart) == 8, Until: r.Until}
				var want, got []string
				for _, x := range tt.Instances {
					want = append(want, strings.TrimSuffix(x, "Z"))
				}
				from := start
				if tt.StartAt != "" && strings.Contains(file, "icalnet") {
					from = parseTime(t, tt.StartAt) // libical's lists begin at DTSTART all the same
				}
				end := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
				if !tt.Complete {
					end = parseTime(t, want[len(want)-1]).Add(time.Second)
				}
				times, err := s.Between(from, end, 100_000)
				if err != nil {
					t.Errorf("%s from %s: %v", tt.RRule, tt.DTStart, err)
					continue
				}
				layout := "20060102T150405"[:len(strings.TrimSuffix(tt.DTStart, "Z"))]
				for _, x := range times {
					got = append(got, x.Format(layout))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s from %s: %s (-want +got):\n%s", tt.RRule, tt.DTStart, tt.Note, diff)
					continue
				}
				ok++
			}
			t.Logf("%d of %d stated rules agree, %d are read otherwise", ok, len(rules), excepted)
		})
	}
}
