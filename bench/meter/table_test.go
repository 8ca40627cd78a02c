package meter_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/bench/meter"
)

func TestTable(t *testing.T) {
	var b strings.Builder
	table := meter.NewTable(&b)
	table.Add(
		meter.Row{Name: "A", Figure: "5 µs", Beside: "K 2", Ratio: 2.5, Gate: meter.AtMost(5, 5, "5 µs"), Moonshot: meter.AtMost(5, 4, "2 K")},
		meter.Row{Name: "B", Figure: "9/s", Gate: meter.AtLeast(9, 10, "10/s"), Moonshot: meter.AtLeast(9, 18, "18/s")},
		meter.Row{Name: "C", Figure: "1", Gate: meter.AtMost(1, 0, "nothing")},
		meter.Row{Name: "D", Figure: "6 µs", Gate: meter.AtMost(6, 5, "5 µs"), Moonshot: meter.AtLeast(6, 6, "6")},
	)
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	var got [][]string
	for line := range strings.Lines(b.String()) {
		var cells []string
		for cell := range strings.SplitSeq(strings.TrimSpace(line), "  ") {
			if cell = strings.TrimSpace(cell); cell != "" {
				cells = append(cells, cell)
			}
		}
		got = append(got, cells)
	}
	want := [][]string{
		{"budget", "figure", "beside, of the same run", "ratio", "gate", "moonshot", "verdict"},
		{"A", "5 µs", "K 2", "2.50", "<= 5 µs", "<= 2 K: 1.25 times it", "pass"},
		{"B", "9/s", ">= 10/s", ">= 18/s: at 0.50 of it", "falls short"},
		{"C", "1"},
		{"D", "6 µs", "<= 5 µs", ">= 6: held", "falls short"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestEmptyTable(t *testing.T) {
	var b strings.Builder
	if err := meter.NewTable(&b).Flush(); err != nil || b.Len() > 0 {
		t.Errorf("%q, %v", b.String(), err)
	}
}
