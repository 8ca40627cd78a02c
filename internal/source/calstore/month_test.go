package calstore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
)

func occ(object byte, start, end int64) occurrence {
	return occurrence{object: objectKey{object}, start: start, end: end, status: freebusy.Busy, subject: fmt.Sprint("s", object)}
}

func all(objectKey) bool { return true }

func TestMonthPacksWhatItUnpacks(t *testing.T) {
	long := strings.Repeat("ü", maxText)
	for _, tt := range []struct {
		name string
		in   []occurrence
		want []occurrence
	}{
		{"empty", nil, nil},
		{"sorted by start, then end, then object",
			[]occurrence{occ(2, 10, 20), occ(1, 10, 20), occ(3, 10, 15), occ(4, -5, 5)},
			[]occurrence{occ(4, -5, 5), occ(3, 10, 15), occ(1, 10, 20), occ(2, 10, 20)}},
		{"all fields, first and last year",
			[]occurrence{{objectKey{1: 7}, -62135596800, 253402300800, freebusy.NoData, 0xff, "subject", "location"}},
			[]occurrence{{objectKey{1: 7}, -62135596800, 253402300800, freebusy.NoData, 0xff, "subject", "location"}}},
		{"texts are cut on a rune border and made valid",
			[]occurrence{{start: 1, end: 2, subject: "a" + long, location: "\xff"}},
			[]occurrence{{start: 1, end: 2, subject: "a" + long[:maxText-2], location: "\uFFFD"}}},
		{"one subject more than the other of the same object",
			[]occurrence{{start: 1, end: 2, subject: "ab", location: "c"}, {start: 2, end: 3, subject: "a", location: "bc"}},
			[]occurrence{{start: 1, end: 2, subject: "ab", location: "c"}, {start: 2, end: 3, subject: "a", location: "bc"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := packMonth(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			m, err := openMonth(b)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, m.unpack(nil, all), cmp.AllowUnexported(occurrence{})); d != "" {
				t.Errorf("unpacked (-want +got):\n%s", d)
			}
		})
	}
}

func TestOverlappingIsTheSameAsAWalk(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var occs []occurrence
		for i := range rnd.IntN(200) {
			start := rnd.Int64N(1000)
			length := 1 + rnd.Int64N(10)
			if rnd.IntN(20) == 0 {
				length += rnd.Int64N(900)
			}
			occs = append(occs, occ(byte(i), start, start+length))
		}
		b, err := packMonth(occs)
		if err != nil {
			t.Fatal(err)
		}
		m, err := openMonth(b)
		if err != nil {
			t.Fatal(err)
		}
		from := rnd.Int64N(1000)
		w := freebusy.Window{Start: time.Unix(from, 0), End: time.Unix(from+rnd.Int64N(200), 0)}
		long := &month{}
		if rnd.IntN(2) == 0 {
			m, long = long, m
		}
		var want, got []int
		for _, x := range []*month{long, m} {
			for i := range x.len() {
				if w.Overlaps(time.Unix(x.start(i), 0), time.Unix(x.end(i), 0)) {
					want = append(want, i)
				}
			}
		}
		cal := &calendar{months: map[int]*month{directory.LongMonth: long, 1970 * 12: m}}
		for _, i := range cal.overlapping(1970*12, 1970*12, w) {
			got = append(got, i)
		}
		if !slices.Equal(want, got) {
			t.Fatalf("overlapping %v of %d and %d = %v, want %v", w, long.len(), m.len(), got, want)
		}
	}
}

func TestOverlappingDoesNotWalkWhatHasEnded(t *testing.T) {
	var occs []occurrence
	for i := range int64(10000) {
		occs = append(occs, occ(byte(i), i*10, i*10+10))
	}
	b, err := packMonth(occs)
	if err != nil {
		t.Fatal(err)
	}
	m, err := openMonth(b)
	if err != nil {
		t.Fatal(err)
	}
	// Damage everything well before the window: it must not be looked at.
	m.data = m.data[:headerSize] + strings.Repeat("\xff", 9000*entrySize) + m.data[entryAt(9000):]
	if got, want := m.reaching(95000), 9472; got != want { // the block of 32 with the one at 95000
		t.Errorf("the look begins at %d, want %d", got, want)
	}
}

func FuzzMonth(f *testing.F) {
	for _, occs := range [][]occurrence{nil, {occ(1, 0, 1)}, {occ(1, 0, 5), occ(2, 3, 4), {subject: "x", location: "y", start: 9, end: 10}}} {
		b, err := packMonth(occs)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := openMonth(b)
		if err != nil {
			if !errors.Is(err, errMonth) {
				t.Errorf("error %v is not errMonth", err)
			}
			return
		}
		occs := m.unpack(nil, all)
		for i := m.reaching(0); i < m.len(); i++ {
			m.end(i)
		}
		again, err := packMonth(slices.Clone(occs))
		if err != nil {
			t.Fatal(err)
		}
		n, err := openMonth(again)
		if err != nil {
			t.Fatal(err)
		}
		third, err := packMonth(n.unpack(nil, all))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, third) {
			t.Errorf("packed twice:\n%x\n%x", again, third)
		}
		for _, o := range n.unpack(nil, all) {
			if !utf8.ValidString(o.subject) || len(o.subject) > maxText {
				t.Errorf("subject %q", o.subject)
			}
		}
	})
}

// Months that were written with longer keys are read.
func TestMonthOfFormat1(t *testing.T) {
	var occs []occurrence
	for i := range int64(100) {
		occs = append(occs, occ(byte(i%7), i*10, i*10+15))
	}
	is, err := packMonth(occs)
	if err != nil {
		t.Fatal(err)
	}
	m, err := openMonth(is)
	if err != nil {
		t.Fatal(err)
	}
	was := append([]byte{1}, is[1:m.partAt(0)]...)
	for i := range int(m.parts) {
		part := is[m.partAt(i):m.partAt(i+1)]
		was = append(append(append(was, part[:8]...), "12345678"...), part[8:]...)
	}
	was = append(was, is[m.textsAt():]...)
	again, err := openMonth(was)
	if err != nil {
		t.Fatal(err)
	}
	if again.data != string(is) {
		t.Error("format 1 reads differently")
	}
	for n := range len(was) { // cut anywhere
		if m, err := openMonth(was[:n]); err == nil && n > 0 && m.len() != 100 {
			t.Fatalf("%d of %d bytes are a month of %d", n, len(was), m.len())
		}
	}
}
