package ical_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/wintz"

	"github.com/google/go-cmp/cmp"
)

// corpus returns the folder of the corpus beside the repository, or skips.
func corpus(t testing.TB) string {
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
	dir = filepath.Join(dir, "..", "shared", "corpus")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the corpus is not there: %v", err)
	}
	return dir
}

type interval [2]time.Time

// merge joins intervals that overlap or touch, cut to [from, to).
func merge(list []interval, from, to time.Time) []interval {
	slices.SortFunc(list, func(a, b interval) int { return a[0].Compare(b[0]) })
	out := []interval{}
	for _, i := range list {
		if i[0].Before(from) {
			i[0] = from
		}
		if i[1].After(to) {
			i[1] = to
		}
		if n := len(out); n > 0 && !i[0].After(out[n-1][1]) {
			if i[1].After(out[n-1][1]) {
				out[n-1][1] = i[1]
			}
			continue
		}
		out = append(out, i)
	}
	return out
}

// expandAll parses a file and expands all of its events.
func expandAll(t testing.TB, data []byte, floating string, from, to time.Time) ([]ical.Instance, []ical.Problem) {
	t.Helper()
	loc, ok := wintz.Location(floating)
	if !ok {
		t.Fatalf("no zone %s", floating)
	}
	cal, problems, err := ical.Parse(data, ical.Limits{})
	if err != nil {
		return nil, append(problems, ical.Problem{Reason: err.Error()})
	}
	x := ical.Expander{FloatingZone: loc}
	var all []ical.Instance
	for _, g := range ical.Groups(cal) {
		list, more := x.Expand(&g, from, to)
		all = append(all, list...)
		problems = append(problems, more...)
	}
	return all, problems
}

func busy(list []ical.Instance, from, to time.Time) []interval {
	var in []interval
	for _, i := range list {
		if !i.Transparent {
			in = append(in, interval{i.Start, i.End})
		}
	}
	return merge(in, from, to)
}

func byStatus(list []ical.Instance, from, to time.Time) map[string][]interval {
	in := map[string][]interval{}
	for _, i := range list {
		in[string(i.Status)] = append(in[string(i.Status)], interval{i.Start, i.End})
	}
	for s, l := range in {
		if in[s] = merge(l, from, to); s == "Free" {
			delete(in, s)
		}
	}
	return in
}

// TestCorpus: busy times on which two other programs agree, for each file as it
// is and with CRLF.
func TestCorpus(t *testing.T) {
	dir := corpus(t)
	lists, err := filepath.Glob(filepath.Join(dir, "expected", "busy-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(dir, "copyleft", "expected", "busy-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	total, agreed, statuses := 0, 0, 0
	for _, name := range append(lists, more...) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var cases []struct {
			File         string
			Window       interval
			FloatingZone string `json:"floating_zone"`
			Busy         []interval
			Status       map[string][]interval
		}
		if err := json.Unmarshal(b, &cases); err != nil {
			t.Fatal(err)
		}
		for _, tt := range cases {
			data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(tt.File)))
			if err != nil {
				t.Fatal(err)
			}
			total++
			from, to := tt.Window[0], tt.Window[1]
			ok := true
			for form, text := range map[string][]byte{"as is": data, "with CRLF": crlf(data)} {
				list, problems := expandAll(t, text, tt.FloatingZone, from, to)
				if diff := cmp.Diff(tt.Busy, busy(list, from, to)); diff != "" {
					ok = false
					t.Errorf("%s %s, %s, %s (-want +got):\n%s%v", tt.File, form, from.Format(time.DateOnly), tt.FloatingZone, diff, problems)
				}
				want := tt.Status
				if want == nil {
					want = map[string][]interval{}
					if len(tt.Busy) > 0 {
						want["Busy"] = tt.Busy
					}
				} else {
					delete(want, "Free")
					statuses++
				}
				if diff := cmp.Diff(want, byStatus(list, from, to)); diff != "" {
					ok = false
					t.Errorf("%s %s, %s, %s: status (-want +got):\n%s", tt.File, form, from.Format(time.DateOnly), tt.FloatingZone, diff)
				}
			}
			if ok {
				agreed++
			}
		}
	}
	t.Logf("%d of %d cases agree, as they are and with CRLF; %d of them state Exchange's view", agreed, total, statuses/2)
	if total < 400 {
		t.Errorf("only %d cases", total)
	}
}

// crlf ends every line with CRLF.
func crlf(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

// TestHostile runs the files made to do harm, each in bounded time.
func TestHostile(t *testing.T) {
	dir := corpus(t)
	b, err := os.ReadFile(filepath.Join(dir, "expected", "hostile.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		File, Exercises, Want string
		Window                interval
		Busy                  []interval
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	good := interval{time.Date(2026, 3, 5, 14, 0, 0, 0, time.UTC), time.Date(2026, 3, 5, 15, 0, 0, 0, time.UTC)}
	agreed, judged := 0, 0
	for _, tt := range cases {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(tt.File)))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		list, problems := expandAll(t, data, "UTC", tt.Window[0], tt.Window[1])
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("%s took %v", tt.File, d)
		}
		got := busy(list, tt.Window[0], tt.Window[1])
		if tt.Busy != nil {
			judged++
			if diff := cmp.Diff(tt.Busy, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s%v", tt.File, diff, problems)
			} else {
				agreed++
			}
		}
		if strings.Contains(tt.Want, "good") {
			found := false
			for _, i := range list {
				found = found || i.Start.Equal(good[0]) && i.End.Equal(good[1])
			}
			if !found {
				t.Errorf("%s: the good event is lost: %v", tt.File, problems)
			}
		}
		if testing.Verbose() {
			t.Logf("%s: %d busy, %.3v, %.200v", tt.File, len(got), time.Since(began), problems)
		}
	}
	t.Logf("%d of %d hostile files with one right answer agree, %d in all", agreed, judged, len(cases))
}
