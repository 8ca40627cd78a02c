package ical_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/wintz"

	"github.com/google/go-cmp/cmp"
)

var (
	oracleSeed  = flag.Uint64("oracle.seed", 1, "seed of the drawn recurrence sets; 0: from the clock")
	oracleCount = flag.Int("oracle.count", 5000, "how many recurrence sets to draw; -short draws a tenth")
	oracleFirst = flag.Int("oracle.first", 0, "the first of them")
)

// python returns an interpreter that has dateutil, or skips. Debian's packages
// belong to /usr/bin/python3, whatever python3 the path finds.
func python(t *testing.T) string {
	t.Helper()
	var out []byte
	err := errors.New("no python3")
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if out, err = exec.CommandContext(t.Context(), name, "-c", "import dateutil, zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin')").CombinedOutput(); err == nil {
			return name
		}
	}
	t.Skipf("python3-dateutil and tzdata are not there, scripts/test-deps.sh installs them: %v %s", err, out)
	return ""
}

// TestOracle: python-dateutil gives the same instances for drawn series with
// exceptions about changes of the clocks. testdata/oracle.py says how it reads
// what RFC 5545 leaves open.
func TestOracle(t *testing.T) {
	seed, count := *oracleSeed, *oracleCount
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	if testing.Short() {
		count /= 10
	}
	cmd := exec.CommandContext(t.Context(), python(t), "testdata/oracle.py", strconv.FormatUint(seed, 10), strconv.Itoa(count), strconv.Itoa(*oracleFirst))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n, agreed, instances, zones := 0, 0, 0, map[string]int{}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var tt struct {
			Case           int
			Zone, Floating string
			From, To       time.Time
			ICS            string
			Want           []string
		}
		if err := json.Unmarshal(lines.Bytes(), &tt); err != nil {
			t.Fatal(err)
		}
		n++
		instances += len(tt.Want)
		zones[tt.Zone]++
		got, problems := oracleText(t, tt.ICS, tt.Floating, tt.From, tt.To)
		if diff := cmp.Diff(tt.Want, got); diff == "" && len(problems) == 0 {
			agreed++
		} else if n-agreed <= 5 {
			t.Errorf("case %d in %s, window %s to %s, floating %s (-want +got):\n%s%v\n%s",
				tt.Case, tt.Zone, tt.From.Format(time.RFC3339), tt.To.Format(time.RFC3339), tt.Floating, diff, problems, tt.ICS)
		}
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		t.Fatalf("oracle: %v\n%s", err, stderr.Bytes())
	}
	t.Logf("seed %d: %d of %d sets with %d instances agree in %d zones", seed, agreed, n, instances, len(zones))
	if n != count || n >= 500 && (instances < 3*n || len(zones) < 12) {
		t.Errorf("seed %d: %d of %d sets were drawn, with %d instances in %d zones", seed, n, count, instances, len(zones))
	}
	if agreed < n {
		t.Errorf("seed %d: %d sets differ; one alone: -oracle.seed %d -oracle.first CASE -oracle.count 1", seed, n-agreed, seed)
	}
}

// oracleText is the sorted instances of a calendar, as oracle.py writes them. The
// halves of the window have to have the same, and the spans to hold them.
func oracleText(t *testing.T, text, floating string, from, to time.Time) ([]string, []ical.Problem) {
	t.Helper()
	loc, ok := wintz.Location(floating)
	if !ok {
		t.Fatalf("no zone %s", floating)
	}
	cal, problems, err := ical.Parse([]byte(text), ical.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	x := ical.Expander{FloatingZone: loc}
	list := []string{}
	for _, g := range ical.Groups(cal) {
		found, more := x.Expand(&g, from, to)
		problems = append(problems, more...)
		span, ok := x.Span(&g)
		for _, i := range found {
			const layout = "20060102T150405"
			list = append(list, i.Start.Format(layout)+"/"+i.End.Format(layout)+" "+string(i.Status))
			if !ok || i.Start.Before(span.First) || i.End.After(span.Last) && !span.Endless {
				problems = append(problems, ical.Problem{UID: g.UID, Reason: fmt.Sprintf("%s is outside of %+v", list[len(list)-1], span)})
			}
		}
		middle := from.Add(to.Sub(from) / 2)
		halves, _ := x.Expand(&g, from, middle)
		second, _ := x.Expand(&g, middle, to)
		for _, i := range second {
			if !i.Start.Before(middle) {
				halves = append(halves, i)
			}
		}
		if !slices.Equal(found, halves) {
			problems = append(problems, ical.Problem{UID: g.UID, Reason: "halves of the window (-whole +halves):\n" + cmp.Diff(found, halves)})
		}
	}
	slices.Sort(list)
	return list, problems
}
