//go:build unix

package calstore_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/source/calstore"
	"busybridge/internal/source/sourcetest"
)

// busyYears is n events in the five years from 2025 on, as somebody has them who
// meets a lot: one in a hundred is a meeting of every week without end.
func busyYears(n int) []string {
	list := make([]string, n)
	for i := range list {
		day := time.Date(2025, 1, 1+i*1826/n, 0, 0, 0, 0, time.UTC).Format("20060102")
		if i%100 == 0 {
			list[i] = event(fmt.Sprint("many", i), "weekly", day, "RRULE:FREQ=WEEKLY")
		} else {
			list[i] = event(fmt.Sprint("many", i), fmt.Sprint("subject ", i), day, "LOCATION:Room "+fmt.Sprint(i%30))
		}
	}
	return list
}

// put puts an event, which must work, and returns its ETag.
func (w *world) put(r *directory.Recipient, folder, name string, components ...string) string {
	w.Helper()
	res, err := w.PutObject(w.Context(), r, folder, name, []byte(sourcetest.Calendar(components...)), calstore.Condition{})
	if err != nil {
		w.Fatal(err)
	}
	return res.ETag
}

func (w *world) delete(r *directory.Recipient, folder, name string) {
	w.Helper()
	if err := w.DeleteObject(w.Context(), r, folder, name, calstore.Condition{Exists: true}); err != nil {
		w.Fatal(err)
	}
}

func processCPU(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// One write in a mailbox of 10,000 events reads and expands that event and nothing
// else, writes a few octets beside the months, and is in the next answer.
func TestWriteCostsWhatItChanges(t *testing.T) {
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.load(r, "a.ics", busyYears(10_000)...)
	march := func() int {
		t.Helper()
		iv, err := w.Busy(t.Context(), r.Org, r, span(t, "2026-03-10", "2026-03-11"), true)
		if err != nil {
			t.Fatal(err)
		}
		return len(iv)
	}
	there := march()
	for _, tt := range []struct {
		name             string
		write            func()
		parsed, expanded int64
		octets           int64 // at most
		more             int   // entries of the day
	}{
		{"a new event", func() { w.put(r, "", "x.ics", event("x", "x", "20260310")) }, 1, 1, 200, 1},
		{"a change of it", func() { w.put(r, "", "x.ics", event("x", "y", "20260310")) }, 1, 1, 200, 1},
		{"it is deleted", func() { w.delete(r, "", "x.ics") }, 0, 0, 200, 0},
		{"a new series without end", func() { w.put(r, "", "x.ics", event("x", "x", "20260303", "RRULE:FREQ=WEEKLY")) }, 1, 1, 20_000, 1},
		{"it becomes daily", func() { w.put(r, "", "x.ics", event("x", "x", "20260303", "RRULE:FREQ=DAILY")) }, 1, 1, 50_000, 1},
		{"it becomes an event", func() { w.put(r, "", "x.ics", event("x", "x", "20260310")) }, 1, 1, 200, 1},
		{"the same again", func() { w.put(r, "", "x.ics", event("x", "x", "20260310")) }, 1, 0, 0, 1},
		{"the end of it", func() { w.delete(r, "", "x.ics") }, 0, 0, 200, 0},
		{"an import of one event", func() { w.load(r, "b.ics", event("z", "z", "20260310")) }, 1, 1, 200, 1},
	} {
		before, octets := w.Stats(), w.spy.written.Load()
		tt.write()
		after := w.Stats()
		if p, e := after.Parsed-before.Parsed, after.Expanded-before.Expanded; p != tt.parsed || e != tt.expanded {
			t.Errorf("%s: parsed %d, expanded %d; want %d and %d", tt.name, p, e, tt.parsed, tt.expanded)
		}
		if n := w.spy.written.Load() - octets; n > tt.octets {
			t.Errorf("%s: %d octets of months written, want at most %d", tt.name, n, tt.octets)
		}
		if n := march() - there; n != tt.more {
			t.Errorf("%s: %d entries more, want %d", tt.name, n, tt.more)
		}
	}
	if raceDetector {
		return
	}
	const writes = 300 // more than patches of one calendar: the months are rewritten too
	began := processCPU(t)
	for i := range writes {
		w.put(r, "", "x.ics", event("x", fmt.Sprint("put ", i), time.Date(2026, 3, 1+i, 0, 0, 0, 0, time.UTC).Format("20060102")))
	}
	each := (processCPU(t) - began) / writes
	t.Logf("one write: %v of CPU", each)
	if each > 4*time.Millisecond { // the aim is 1 ms; other programs may be in the way
		t.Errorf("one write takes %v of CPU", each)
	}
}

func BenchmarkWrite(b *testing.B) {
	w := newWorld(b)
	r := w.mailbox("anna@contoso.com", "UTC")
	w.load(r, "a.ics", busyYears(10_000)...)
	for _, kind := range []struct {
		name  string
		lines []string
	}{{"event", nil}, {"endless series", []string{"RRULE:FREQ=WEEKLY"}}, {"daily series", []string{"RRULE:FREQ=DAILY"}}} {
		i := 0
		b.Run("put/"+kind.name, func(b *testing.B) {
			began := processCPU(b)
			for b.Loop() {
				i++
				w.put(r, "", fmt.Sprint(kind.name, i%50, ".ics"), event(fmt.Sprint(kind.name, i%50), fmt.Sprint("put ", i), time.Date(2026, 3, 1+i*7%600, 0, 0, 0, 0, time.UTC).Format("20060102"), kind.lines...))
			}
			b.ReportMetric(float64(processCPU(b)-began)/float64(b.N)/1000, "µs-cpu/op")
		})
		b.Run("put and delete/"+kind.name, func(b *testing.B) {
			began := processCPU(b)
			for b.Loop() {
				i++
				w.put(r, "", "x.ics", event("x", "put", time.Date(2026, 3, 1+i*7%600, 0, 0, 0, 0, time.UTC).Format("20060102"), kind.lines...))
				w.delete(r, "", "x.ics")
			}
			b.ReportMetric(float64(processCPU(b)-began)/float64(b.N)/2000, "µs-cpu/op")
		})
	}
}
