package freebusy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/freebusy"
)

func TestCut(t *testing.T) {
	open := freebusy.Detail{ID: "0A", Subject: "Budget", Location: "R1", Meeting: true, Reminder: true}
	private := freebusy.Detail{ID: "0B", Subject: "Dentist", Location: "Town", Recurring: true, Private: true}
	in := []freebusy.Interval{
		{Start: at(8, 0), End: at(9, 0), Status: freebusy.Busy, Detail: &open},
		{Start: at(9, 0), End: at(10, 0), Status: freebusy.OOF, Detail: &private},
		{Start: at(10, 0), End: at(11, 0), Status: freebusy.Tentative},
	}
	type details [3]*freebusy.Detail
	hiddenPrivate := &freebusy.Detail{Recurring: true, Private: true}
	tests := []struct {
		level freebusy.Level
		want  *details // nil: no intervals at all
	}{
		{freebusy.LevelNone, nil},
		{freebusy.LevelTime, &details{}},
		{freebusy.LevelLimited, &details{{Subject: "Budget", Location: "R1", Meeting: true, Reminder: true}, hiddenPrivate, nil}},
		{freebusy.LevelFull, &details{&open, hiddenPrivate, nil}},
		{freebusy.LevelOwner, &details{&open, &private, nil}},
		{freebusy.LevelOwner + 1, nil},
	}
	for _, tt := range tests {
		t.Run(tt.level.String(), func(t *testing.T) {
			openBefore, privateBefore := open, private
			var want []freebusy.Interval
			if tt.want != nil {
				for i, v := range in {
					v.Detail = tt.want[i]
					want = append(want, v)
				}
			}
			if diff := cmp.Diff(want, freebusy.Cut(in, tt.level)); diff != "" {
				t.Errorf("Cut (-want +got):\n%s", diff)
			}
			if open != openBefore || private != privateBefore || in[0].Detail != &open || in[1].Detail != &private {
				t.Error("the argument changed")
			}
		})
	}
}

func TestCutCopiesOnlyWhatItMust(t *testing.T) {
	bare := []freebusy.Interval{iv(freebusy.Busy, at(8, 0), at(9, 0))}
	for _, l := range []freebusy.Level{freebusy.LevelTime, freebusy.LevelLimited, freebusy.LevelFull} {
		if n := testing.AllocsPerRun(10, func() { freebusy.Cut(bare, l) }); n != 0 {
			t.Errorf("Cut(%v) of entries without details allocates %v times", l, n)
		}
	}
}
