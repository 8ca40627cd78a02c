package calstore

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
)

func mustPatch(t *testing.T, drop []byte, add map[int][]occurrence) directory.CalendarMonth {
	t.Helper()
	keys := map[objectKey]bool{}
	for _, b := range drop {
		keys[objectKey{b}] = true
	}
	data, err := packPatch(keys, add)
	if err != nil {
		t.Fatal(err)
	}
	return directory.CalendarMonth{Data: data}
}

// A later patch takes away what an earlier one added, and of the months what any
// of them takes away.
func TestPatches(t *testing.T) {
	const n = 24315
	at := monthStart(n)
	base, err := packMonth([]occurrence{occ(1, at, at+60), occ(2, at+60, at+120), occ(3, at+120, at+180)})
	if err != nil {
		t.Fatal(err)
	}
	rows := []directory.CalendarMonth{
		mustPatch(t, []byte{1}, map[int][]occurrence{n: {occ(1, at+600, at+660)}, n + 1: {occ(1, monthStart(n+1), monthStart(n+1)+60)}}), // moved
		mustPatch(t, nil, map[int][]occurrence{n: {occ(4, at+700, at+760), occ(5, at+800, at+860)}}),                                     // new
		mustPatch(t, []byte{2, 4}, nil),                                                // deleted
		mustPatch(t, nil, map[int][]occurrence{n: {occ(4, at+900, at+960)}}),           // new again
		mustPatch(t, []byte{1}, map[int][]occurrence{n: {occ(1, at+1000, at+1060)}}),   // moved again
		mustPatch(t, nil, map[int][]occurrence{directory.LongMonth: {occ(9, 0, 1e9)}}), // very long
	}
	for i := range rows {
		rows[i].Month = firstPatch - i
	}
	rows = append([]directory.CalendarMonth{rows[3], {Month: n, Data: base}, rows[5]}, rows[0], rows[4], rows[1], rows[2]) // in any order
	months, patches, err := split(rows)
	if err != nil || len(months) != 1 || len(patches) != 6 {
		t.Fatalf("%d months, %d patches, %v", len(months), len(patches), err)
	}
	for _, tt := range []struct {
		month int
		base  []byte
		want  []occurrence
	}{
		{n, base, []occurrence{occ(3, at+120, at+180), occ(5, at+800, at+860), occ(4, at+900, at+960), occ(1, at+1000, at+1060)}},
		{n + 1, nil, nil},
		{directory.LongMonth, nil, []occurrence{occ(9, 0, 1e9)}},
	} {
		m, err := openMonth(tt.base)
		if err != nil {
			t.Fatal(err)
		}
		if m, err = patched(m, tt.month, patches, dropped(patches)); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, m.unpack(nil, all), cmp.AllowUnexported(occurrence{})); d != "" {
			t.Errorf("month %d (-want +got):\n%s", tt.month, d)
		}
	}
	if _, _, err := split(rows[:3]); !errors.Is(err, errMonth) {
		t.Errorf("a patch is missing: %v", err)
	}
}

func FuzzPatch(f *testing.F) {
	at := monthStart(24315)
	data, err := packPatch(map[objectKey]bool{{1}: true, {2}: true}, map[int][]occurrence{24315: {occ(1, at, at+60)}, directory.LongMonth: {occ(2, 0, 1e9)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{patchFormat, 0, 0, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := openPatch(data)
		if err != nil {
			return
		}
		add := map[int][]occurrence{}
		for n, m := range p.months {
			add[n] = m.unpack(nil, all)
		}
		again, err := packPatch(p.drop, add)
		if err != nil {
			t.Fatal(err)
		}
		q, err := openPatch(again)
		if err != nil || q.entries() != p.entries() || len(q.drop) != len(p.drop) {
			t.Fatalf("%v: %d entries after %d", err, q.entries(), p.entries())
		}
		third, err := packPatch(q.drop, add)
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("%v: it is packed in two ways", err)
		}
	})
}
