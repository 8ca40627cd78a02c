package dataset_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/bench/dataset"
	"busybridge/internal/spec/ical"
)

// The published figures are of calendars like these.
func TestFigures(t *testing.T) {
	all := dataset.New(dataset.DefaultSeed, 100, 200)
	got := map[string]int{}
	for i := range all {
		f := all[i].File()
		got["bytes"] += len(f)
		got["EXDATE"] += bytes.Count(f, []byte("\nEXDATE"))
		got["RECURRENCE-ID"] += bytes.Count(f, []byte("\nRECURRENCE-ID"))
		got["rules"] += bytes.Count(f, []byte("\nRRULE")) - bytes.Count(f, []byte("\nRRULE:FREQ=YEARLY"))
		got["events"] += len(all[i].Objects)
		count := func(what string, windows ...dataset.Window) {
			for _, w := range windows {
				for _, o := range all[i].In(w) {
					if o.Status != dataset.Free {
						got[what]++
					}
				}
			}
		}
		count("of the weeks", dataset.Weeks()...)
		count("of 60 days", dataset.Long(60)...)
	}
	for _, want := range []struct {
		what     string
		from, to int
	}{
		{"bytes", 9_000_000, 14_000_000}, {"events", 20_000, 20_000}, {"rules", 2_800, 3_200}, {"EXDATE", 2_500, 3_300}, {"RECURRENCE-ID", 1_400, 1_900},
		{"of the weeks", 800 * 10, 800 * 13}, {"of 60 days", 800 * 85, 800 * 110},
	} {
		if n := got[want.what]; n < want.from || n > want.to {
			t.Errorf("%s: %d, want %d to %d", want.what, n, want.from, want.to)
		}
	}
}

func TestSameSeedSameCalendars(t *testing.T) {
	a, b, c := dataset.One(1, 3, 50), dataset.New(1, 4, 50)[3], dataset.One(2, 3, 50)
	if !bytes.Equal(a.File(), b.File()) || !slices.Equal(a.Occurrences, b.Occurrences) {
		t.Error("the same seed made other calendars")
	}
	if bytes.Equal(a.File(), c.File()) {
		t.Error("another seed made the same calendar")
	}
}

// The truth and the program's own packages were written apart. Where they differ,
// one of them is wrong.
func TestTruthAgreesWithTheProgram(t *testing.T) {
	from, to := time.Unix(dataset.Horizon.Start, 0).UTC(), time.Unix(dataset.Horizon.End, 0).UTC()
	status := map[ical.Status]dataset.Status{ical.Free: dataset.Free, ical.Tentative: dataset.Tentative, ical.Busy: dataset.Busy, ical.OOF: dataset.OOF}
	n := 12
	if testing.Short() {
		n = 3
	}
	for _, m := range dataset.New(7, n, 200) {
		cal, problems, err := ical.Parse(m.File(), ical.Limits{})
		if err != nil || len(problems) > 0 {
			t.Fatal(err, problems)
		}
		x := &ical.Expander{FloatingZone: time.UTC}
		var got []dataset.Occurrence
		for _, g := range ical.Groups(cal) {
			instances, problems := x.Expand(&g, from, to)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			for _, in := range instances {
				s, ok := status[in.Status]
				if !ok {
					t.Fatalf("an instance is %q", in.Status)
				}
				got = append(got, dataset.Occurrence{Start: in.Start.Unix(), End: in.End.Unix(), Status: s})
			}
		}
		slices.SortFunc(got, dataset.Occurrence.Compare)
		if d := cmp.Diff(m.Occurrences, got); d != "" {
			t.Fatalf("%s (-truth +program): %s", m.Address, d)
		}
	}
}

// An object put alone says the same as in its file.
func TestObjectsAreWhole(t *testing.T) {
	m := dataset.One(dataset.DefaultSeed, 0, 40)
	whole := m.File()
	for i := range m.Objects {
		f := m.Objects[i].File()
		if !bytes.Contains(f, []byte("UID:"+m.Objects[i].UID+"\r\n")) || !bytes.HasSuffix(f, []byte("END:VCALENDAR\r\n")) {
			t.Fatalf("%s", f)
		}
		event := f[bytes.Index(f, []byte("BEGIN:VEVENT")) : len(f)-len("END:VCALENDAR\r\n")]
		if !bytes.Contains(whole, event) {
			t.Errorf("%s is not in the file", m.Objects[i].UID)
		}
	}
}
