package freebusy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"busybridge/internal/freebusy"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func at(h, m int) time.Time {
	return monday.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute)
}

func iv(s freebusy.Status, start, end time.Time) freebusy.Interval {
	return freebusy.Interval{Start: start, End: end, Status: s}
}

func TestMerge(t *testing.T) {
	eight := freebusy.Window{Start: at(8, 0), End: at(10, 0)}
	tests := []struct {
		name string
		w    freebusy.Window
		slot time.Duration
		busy []freebusy.Interval
		want string
	}{
		{"nothing is free", eight, 30 * time.Minute, nil, "0000"},
		{"touching ends do not spill", eight, 30 * time.Minute, []freebusy.Interval{iv(freebusy.Busy, at(8, 0), at(9, 0))}, "2200"},
		{"highest status wins", eight, 30 * time.Minute, []freebusy.Interval{iv(freebusy.OOF, at(9, 0), at(9, 30)), iv(freebusy.Busy, at(9, 0), at(10, 0))}, "0032"},
		{"highest status wins in any order", eight, 30 * time.Minute, []freebusy.Interval{iv(freebusy.Busy, at(9, 0), at(10, 0)), iv(freebusy.OOF, at(9, 0), at(9, 30)), iv(freebusy.Tentative, at(8, 0), at(10, 0))}, "1132"},
		{"one instant is enough", eight, 30 * time.Minute, []freebusy.Interval{iv(freebusy.Tentative, at(8, 29).Add(59*time.Second), at(8, 30))}, "1000"},
		{"one nanosecond into the next slot is enough", eight, 30 * time.Minute, []freebusy.Interval{iv(freebusy.Busy, at(8, 0), at(8, 30).Add(1))}, "2200"},
		{"reaches outside on both ends", eight, 30 * time.Minute, []freebusy.Interval{iv(freebusy.Busy, at(-100, 0), at(100, 0))}, "2222"},
		{"ends where the window begins", eight, 30 * time.Minute, []freebusy.Interval{iv(freebusy.Busy, at(7, 0), at(8, 0)), iv(freebusy.Busy, at(10, 0), at(11, 0))}, "0000"},
		{"free and working elsewhere are 0", eight, 30 * time.Minute, []freebusy.Interval{iv(freebusy.Free, at(8, 0), at(9, 0)), iv(freebusy.WorkingElsewhere, at(9, 0), at(10, 0))}, "0000"},
		{"no data where nothing else is known", eight, 30 * time.Minute, []freebusy.Interval{iv(freebusy.NoData, at(8, 0), at(10, 0)), iv(freebusy.Free, at(8, 30), at(9, 0)), iv(freebusy.Busy, at(9, 0), at(9, 30))}, "4024"},
		{"empty and reversed intervals cover nothing", eight, 30 * time.Minute, []freebusy.Interval{iv(freebusy.Busy, at(8, 0), at(8, 0)), iv(freebusy.Busy, at(9, 0), at(8, 30))}, "0000"},
		{"last partial slot is included", freebusy.Window{Start: at(8, 0), End: at(9, 40)}, 30 * time.Minute, []freebusy.Interval{iv(freebusy.Busy, at(9, 39), at(12, 0))}, "0002"},
		{"after the end of the partial slot", freebusy.Window{Start: at(8, 0), End: at(9, 40)}, 30 * time.Minute, []freebusy.Interval{iv(freebusy.Busy, at(9, 40), at(12, 0))}, "0000"},
		{"slot longer than the window", eight, 24 * time.Hour, []freebusy.Interval{iv(freebusy.OOF, at(9, 0), at(9, 1))}, "3"},
		{"no slot means the default", eight, 0, []freebusy.Interval{iv(freebusy.OOF, at(9, 0), at(9, 1))}, "0030"},
		{"empty window", freebusy.Window{Start: at(8, 0), End: at(8, 0)}, time.Hour, nil, ""},
		{"reversed window", freebusy.Window{Start: at(9, 0), End: at(8, 0)}, time.Hour, nil, ""},
		{"ages away", eight, time.Hour, []freebusy.Interval{iv(freebusy.Busy, time.Time{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))}, "22"},
		{"window on a slot that is not round", freebusy.Window{Start: at(8, 10), End: at(9, 10)}, 20 * time.Minute, []freebusy.Interval{iv(freebusy.Busy, at(8, 30), at(8, 50))}, "020"},
		{"runs that meet, part and overlap", freebusy.Window{Start: at(0, 0), End: at(10, 0)}, time.Hour,
			[]freebusy.Interval{iv(freebusy.Busy, at(5, 0), at(6, 0)), iv(freebusy.Busy, at(1, 0), at(2, 0)), iv(freebusy.Busy, at(1, 0), at(3, 0)), iv(freebusy.Busy, at(2, 0), at(4, 0)), iv(freebusy.Busy, at(1, 0), at(8, 0)), iv(freebusy.Busy, at(7, 0), at(8, 0))}, "0222222200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := freebusy.Merge(tt.w, tt.slot, tt.busy); got != tt.want {
				t.Errorf("Merge = %q, want %q", got, tt.want)
			}
			if got := tt.w.Slots(tt.slot); got != len(tt.want) {
				t.Errorf("Slots = %d, want %d", got, len(tt.want))
			}
		})
	}
}

// naive looks at every slot and every interval, as EWS reference 2.5 words it.
func naive(w freebusy.Window, slot time.Duration, busy []freebusy.Interval) string {
	var b strings.Builder
	for s := w.Start; s.Before(w.End); s = s.Add(slot) {
		e := s.Add(slot)
		if e.After(w.End) {
			e = w.End
		}
		known, none, digit := false, false, byte('0')
		for _, v := range busy {
			if !v.Start.Before(v.End) || !v.Start.Before(e) || !s.Before(v.End) {
				continue
			}
			if v.Status == freebusy.NoData {
				none = true
				continue
			}
			known = true
			digit = max(digit, v.Status.Digit())
		}
		if none && !known {
			digit = '4'
		}
		b.WriteByte(digit)
	}
	return b.String()
}

func drawIntervals(t *rapid.T, within time.Duration) []freebusy.Interval {
	n := rapid.IntRange(0, 12).Draw(t, "n")
	out := make([]freebusy.Interval, n)
	for i := range out {
		start := monday.Add(time.Duration(rapid.IntRange(-60, int(within/time.Minute)+60).Draw(t, "start")) * time.Minute)
		length := time.Duration(rapid.IntRange(-5, 300).Draw(t, "length")) * time.Minute
		out[i] = iv(freebusy.Status(rapid.IntRange(0, int(freebusy.NoData)).Draw(t, "status")), start, start.Add(length))
	}
	return out
}

func TestMergeEqualsTheNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slot := time.Duration(rapid.IntRange(5, 1440).Draw(t, "slot")) * time.Minute
		w := freebusy.Window{Start: monday, End: monday.Add(time.Duration(rapid.IntRange(1, 3*1440).Draw(t, "minutes")) * time.Minute)}
		busy := drawIntervals(t, w.Duration())
		got, want := freebusy.Merge(w, slot, busy), naive(w, slot, busy)
		if got != want {
			t.Fatalf("Merge = %q, want %q\nof %v", got, want, busy)
		}
		slices.Reverse(busy)
		if again := freebusy.Merge(w, slot, busy); again != got {
			t.Fatalf("order counts: %q, reversed %q", got, again)
		}
		if c := freebusy.Merge(w, slot, freebusy.Coalesce(busy)); c != got {
			t.Fatalf("coalesced: %q, want %q", c, got)
		}
	})
}

func FuzzMerge(f *testing.F) {
	f.Add(int64(0), int64(time.Hour), int64(30*time.Minute), int64(0), int64(1), uint8(2))
	f.Add(int64(-1), int64(1), int64(1), int64(-1<<63), int64(1<<63-1), uint8(9))
	f.Fuzz(func(t *testing.T, start, span, slot, from, length int64, status uint8) {
		w := freebusy.Window{Start: monday.Add(time.Duration(start)), End: monday.Add(time.Duration(start)).Add(time.Duration(span))}
		s := max(time.Duration(slot), time.Minute)
		if w.Duration() > freebusy.MaxWindow {
			return // not a window that NewWindow makes
		}
		busy := []freebusy.Interval{iv(freebusy.Status(status), monday.Add(time.Duration(from)), monday.Add(time.Duration(from)).Add(time.Duration(length)))}
		if got, want := freebusy.Merge(w, s, busy), naive(w, s, busy); got != want {
			t.Errorf("Merge(%v, %v, %v) = %q, want %q", w, s, busy, got, want)
		}
	})
}

func TestMergeAllocatesOnlyItsResult(t *testing.T) {
	w := freebusy.Window{Start: monday, End: monday.Add(7 * 24 * time.Hour)}
	busy := week()
	if n := testing.AllocsPerRun(100, func() { freebusy.Merge(w, freebusy.DefaultSlot, busy) }); n > 1 {
		t.Errorf("Merge allocates %v times", n)
	}
}

func TestCombine(t *testing.T) {
	tests := []struct {
		name   string
		n      int
		merged []string
		want   string
	}{
		{"nobody", 3, nil, "444"},
		{"highest wins", 4, []string{"0123", "3000"}, "3123"},
		{"no data yields to anything", 4, []string{"4444", "0440"}, "0440"},
		{"what is short is unknown", 4, []string{"22"}, "2244"},
		{"what is long is cut", 2, []string{"2222"}, "22"},
		{"digits that do not exist are unknown", 3, []string{"5x\x00"}, "444"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := freebusy.Combine(tt.n, tt.merged); got != tt.want {
				t.Errorf("Combine = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSort(t *testing.T) {
	got := []freebusy.Interval{iv(freebusy.Busy, at(9, 0), at(10, 0)), iv(freebusy.OOF, at(8, 0), at(9, 0)), iv(freebusy.Free, at(8, 0), at(8, 30)), iv(freebusy.Busy, at(8, 0), at(8, 30))}
	if freebusy.Sorted(got) {
		t.Error("Sorted is true before Sort")
	}
	freebusy.Sort(got)
	want := []freebusy.Interval{iv(freebusy.Free, at(8, 0), at(8, 30)), iv(freebusy.Busy, at(8, 0), at(8, 30)), iv(freebusy.OOF, at(8, 0), at(9, 0)), iv(freebusy.Busy, at(9, 0), at(10, 0))}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Sort (-want +got):\n%s", diff)
	}
	if !freebusy.Sorted(got) {
		t.Error("Sorted is false after Sort")
	}
}

func TestCoalesce(t *testing.T) {
	in := []freebusy.Interval{
		{Start: at(9, 0), End: at(10, 0), Status: freebusy.Busy, Detail: &freebusy.Detail{Subject: "Budget"}},
		iv(freebusy.Busy, at(8, 0), at(9, 0)),
		iv(freebusy.OOF, at(8, 30), at(9, 30)),
		iv(freebusy.Busy, at(8, 15), at(8, 30)),
		iv(freebusy.Busy, at(11, 0), at(12, 0)),
		iv(freebusy.Busy, at(13, 0), at(13, 0)),
	}
	want := []freebusy.Interval{
		iv(freebusy.Busy, at(8, 0), at(10, 0)),
		iv(freebusy.OOF, at(8, 30), at(9, 30)),
		iv(freebusy.Busy, at(11, 0), at(12, 0)),
	}
	before := slices.Clone(in)
	if diff := cmp.Diff(want, freebusy.Coalesce(in)); diff != "" {
		t.Errorf("Coalesce (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, in); diff != "" {
		t.Errorf("the argument changed (-before +after):\n%s", diff)
	}
}

func TestCoalesceLeavesGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawIntervals(t, 24*time.Hour)
		out := freebusy.Coalesce(in)
		if !freebusy.Sorted(out) {
			t.Fatalf("not sorted: %v", out)
		}
		last := map[freebusy.Status]time.Time{}
		for _, v := range out {
			if end, ok := last[v.Status]; ok && !end.Before(v.Start) {
				t.Fatalf("%v overlaps or touches the one before it in %v", v, out)
			}
			last[v.Status] = v.End
		}
		// Every minute is covered in the result exactly when it was before.
		for m := -90; m < 2000; m++ {
			for s := freebusy.Free; s <= freebusy.NoData; s++ {
				x := monday.Add(time.Duration(m)*time.Minute + time.Second)
				if a, b := covers(in, s, x), covers(out, s, x); a != b {
					t.Fatalf("%v at %v: covered %v before, %v after", s, x, a, b)
				}
			}
		}
	})
}

func covers(iv []freebusy.Interval, s freebusy.Status, x time.Time) bool {
	return slices.ContainsFunc(iv, func(v freebusy.Interval) bool {
		return v.Status == s && !x.Before(v.Start) && x.Before(v.End)
	})
}

// week is a full working week: 45 entries of 45 minutes.
func week() []freebusy.Interval {
	var out []freebusy.Interval
	for d := range 5 {
		for h := range 9 {
			start := monday.AddDate(0, 0, d).Add(time.Duration(8+h) * time.Hour)
			out = append(out, iv(freebusy.Status(1+(d+h)%3), start, start.Add(45*time.Minute)))
		}
	}
	return out
}

func BenchmarkMerge(b *testing.B) {
	busy := week()
	b.Run("week", func(b *testing.B) {
		w := freebusy.Window{Start: monday, End: monday.AddDate(0, 0, 7)}
		b.ReportAllocs()
		for b.Loop() {
			freebusy.Merge(w, freebusy.DefaultSlot, busy)
		}
	})
	for _, n := range []int{1, 1000} {
		long := make([]freebusy.Interval, n)
		for i := range long {
			long[i] = iv(freebusy.Busy, monday, monday.AddDate(0, 0, 62))
		}
		b.Run(fmt.Sprintf("%d-events-over-62-days", n), func(b *testing.B) {
			w := freebusy.Window{Start: monday, End: monday.AddDate(0, 0, 62)}
			for b.Loop() {
				freebusy.Merge(w, freebusy.MinSlot, long)
			}
		})
	}
}
