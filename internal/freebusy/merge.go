package freebusy

import (
	"slices"
	"time"
	"unsafe"
)

// Slots is the number of digits that Merge returns: the slots of w, a last
// partial slot included. A slot that is not positive counts as DefaultSlot.
func (w Window) Slots(slot time.Duration) int {
	d := w.Duration()
	if d <= 0 {
		return 0
	}
	if slot <= 0 {
		slot = DefaultSlot
	}
	return int((d-1)/slot) + 1
}

// ranks order digits in a merge: a known status beats NoData, and among known
// ones OOF > Busy > Tentative > Free (EWS reference 2.5). WorkingElsewhere is
// Free here. The zero rank is a slot that no interval touches.
const (
	rankNoData = iota + 1
	rankFree
	rankTentative
	rankBusy
	rankOOF
	rankCount
)

var (
	rankDigit = [rankCount]byte{'0', '4', '0', '1', '2', '3'}
	digitRank = [5]byte{rankFree, rankTentative, rankBusy, rankOOF, rankNoData}
)

func (s Status) rank() byte { return digitRank[s.Digit()-'0'] }

// Merge returns one digit per slot of w, in order. A slot takes the highest
// status of the intervals that overlap it; len(result) is w.Slots(slot).
// Intervals may be unsorted and may reach outside w; one that ends before or
// when it begins covers nothing. A slot is 4 (no data) only where a NoData
// interval and no other covers it.
func Merge(w Window, slot time.Duration, busy []Interval) string {
	n := w.Slots(slot)
	if n == 0 {
		return ""
	}
	if slot <= 0 {
		slot = DefaultSlot
	}
	b := make([]byte, n) // of ranks, then of digits
	span := w.Duration()
	// A run is a stretch of slots that have at least this rank already, so that
	// many intervals over the same time cost no more than one.
	var runs [rankCount]struct{ from, to int }
	for i := range busy {
		iv := &busy[i]
		from, to := iv.Start.Sub(w.Start), iv.End.Sub(w.Start)
		if from >= span || to <= 0 || from >= to {
			continue
		}
		first, last := int(max(from, 0)/slot), int((min(to, span)-1)/slot)+1
		rank := iv.Status.rank()
		run := &runs[rank]
		if first >= run.from && first <= run.to {
			first, run.to = run.to, max(run.to, last)
		} else {
			run.from, run.to = first, last
		}
		for j := first; j < last; j++ {
			b[j] = max(b[j], rank)
		}
	}
	for i, r := range b {
		b[i] = rankDigit[r]
	}
	return unsafe.String(unsafe.SliceData(b), n) // b is not touched again
}

// Combine merges the merged strings of several calendars of the same window
// and slot into one of n digits, as a group's answer needs it (EWS reference
// 2.4). A missing digit, and one that is none of 0 to 3, is no data; a slot of
// the result is 4 when no calendar has data for it.
func Combine(n int, merged []string) string {
	b := make([]byte, n)
	for _, m := range merged {
		for i := range min(n, len(m)) {
			if d := m[i] - '0'; d < 4 {
				b[i] = max(b[i], digitRank[d])
			}
		}
	}
	for i, r := range b {
		b[i] = rankDigit[max(r, rankNoData)]
	}
	return string(b)
}

// Sort puts intervals in order of start, then end. Equal ones keep their order.
func Sort(iv []Interval) {
	if !Sorted(iv) {
		slices.SortStableFunc(iv, compare)
	}
}

// Sorted reports whether iv is in the order of Sort.
func Sorted(iv []Interval) bool {
	for i := 1; i < len(iv); i++ {
		a, b := &iv[i-1], &iv[i]
		if b.Start.Before(a.Start) || b.Start.Equal(a.Start) && b.End.Before(a.End) {
			return false
		}
	}
	return true
}

func compare(a, b Interval) int {
	if c := a.Start.Compare(b.Start); c != 0 {
		return c
	}
	return a.End.Compare(b.End)
}

// Coalesce returns the time that each status covers: intervals of one status
// that overlap or touch become one, without Detail, and empty ones go. The
// result is new and sorted by start; iv stays as it is.
func Coalesce(iv []Interval) []Interval {
	sorted := make([]Interval, 0, len(iv))
	for _, v := range iv {
		if v.Start.Before(v.End) {
			sorted = append(sorted, Interval{Start: v.Start, End: v.End, Status: min(v.Status, NoData)})
		}
	}
	Sort(sorted)
	out := sorted[:0] // never ahead of the element that is read
	var open [NoData + 1]int
	for _, v := range sorted {
		if at := open[v.Status] - 1; at >= 0 && !out[at].End.Before(v.Start) {
			if out[at].End.Before(v.End) {
				out[at].End = v.End
			}
			continue
		}
		out = append(out, v)
		open[v.Status] = len(out)
	}
	return out
}
