package calstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/source/sourcetest"
)

// inside is a calendar of 60 days, March and April 2026: 100 single events and
// ten series.
func inside() []string {
	var events []string
	for i := range 100 {
		day := time.Date(2026, 3, 1+i*6/10, 0, 0, 0, 0, time.UTC).Format("20060102")
		events = append(events, event(fmt.Sprint("in", i), "inside", day))
	}
	for i := range 10 {
		events = append(events, event(fmt.Sprint("series", i), "series", "20260302", "RRULE:FREQ=WEEKLY;COUNT=8"))
	}
	return events
}

const insideCount = 180

// outside is n events of other months, one in seven a series of fifty.
func outside(n int) []string {
	events := make([]string, n)
	for i := range events {
		month := []int{1, 2, 6, 7, 8, 9, 10, 11, 12}[i%9]
		day := fmt.Sprintf("%d%02d%02d", 2027+i%2, month, 1+i/9%28)
		if i%7 == 0 {
			events[i] = event(fmt.Sprint("out", i), "outside", day[:4]+"0601", "RRULE:FREQ=DAILY;COUNT=50")
		} else {
			events[i] = event(fmt.Sprint("out", i), "outside", day)
		}
	}
	return events
}

var sixtyDays = freebusy.Window{Start: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 4, 30, 0, 0, 0, 0, time.UTC)}

func (w *world) ask(r *directory.Recipient) {
	iv, err := w.Busy(w.Context(), r.Org, r, sixtyDays, true)
	if err != nil || len(iv) != insideCount {
		w.Fatalf("%d entries, %v; want %d", len(iv), err, insideCount)
	}
}

func TestTenThousandEvents(t *testing.T) {
	if raceDetector {
		t.Skip("measures time")
	}
	w := newWorld(t)
	r := w.mailbox("anna@contoso.com", "UTC")
	text := sourcetest.Calendar(append(inside(), outside(10_000)...)...)
	began := time.Now()
	calls := 0
	s, err := w.ImportInto(t.Context(), r, "", "big.ics", strings.NewReader(text), func(int, int) { calls++ })
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("%d events of %d kB in %v: %.0f events/s, %d words of progress", s.Events, len(text)>>10, took, float64(s.Events)/took.Seconds(), calls)
	if s.Added != 10_110 || took > 30*time.Second {
		t.Errorf("%d added in %v; want 10110 in well under a minute", s.Added, took)
	}
	before := w.Stats()
	w.ask(r)
	w.Forget()
	w.ask(r)
	if after := w.Stats(); after.Parsed != before.Parsed || after.Expanded != before.Expanded {
		t.Errorf("two questions parsed %d texts and expanded %d objects", after.Parsed-before.Parsed, after.Expanded-before.Expanded)
	}
}

// What a question reads does not grow with what is stored for other times: the
// same octets, from memory or from the store.
func TestCostDoesNotGrowWithEventsOutside(t *testing.T) {
	type cost struct {
		reads, octets int64
		memory        int
	}
	measure := func(n int) (c cost) {
		w := newWorld(t)
		r := w.mailbox("anna@contoso.com", "UTC")
		w.load(r, "a.ics", append(inside(), outside(n)...)...)
		w.Forget()
		reads, octets := w.spy.reads.Load(), w.spy.bytes.Load()
		w.ask(r)
		w.ask(r)
		c.reads, c.octets = w.spy.reads.Load()-reads, w.spy.bytes.Load()-octets
		c.memory, _ = w.Remembered()
		return c
	}
	small, large := measure(0), measure(1000)
	if small != large || small.reads != 1 {
		t.Errorf("cost %+v of a question beside no other events, %+v beside 1000; want the same, and one read", small, large)
	}
}

func BenchmarkBusy(b *testing.B) {
	for _, n := range []int{0, 1000, 10_000} {
		w := newWorld(b)
		r := w.mailbox("anna@contoso.com", "UTC")
		w.load(r, "a.ics", append(inside(), outside(n)...)...)
		b.Run(fmt.Sprintf("warm/60days/outside=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.ask(r)
			}
		})
		b.Run(fmt.Sprintf("warm/week/outside=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			week := freebusy.Window{Start: sixtyDays.Start, End: sixtyDays.Start.AddDate(0, 0, 7)}
			for b.Loop() {
				if _, err := w.Busy(b.Context(), r.Org, r, week, true); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("version/60days/outside=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.now.Add(int64(time.Second))
				w.ask(r)
			}
		})
		b.Run(fmt.Sprintf("cold/60days/outside=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.Forget()
				w.ask(r)
			}
		})
	}
}

func BenchmarkImport(b *testing.B) {
	const n = 2000
	text := sourcetest.Calendar(outside(n)...)
	w := newWorld(b)
	i := 0
	for b.Loop() {
		i++
		if s := w.loadText(w.mailbox(fmt.Sprintf("user%d@contoso.com", i), "UTC"), "a.ics", text); s.Added != n {
			b.Fatalf("added %d", s.Added)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
