package app_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// read is how many bytes this process has read so far.
func read(tb testing.TB) uint64 {
	tb.Helper()
	p, err := procfs.Self()
	if err != nil {
		tb.Skip(err)
	}
	io, err := p.IO()
	if err != nil {
		tb.Skip(err)
	}
	return io.RChar
}

// TestColdStartReadsWhatIsAsked: a node that starts over a large store reads no
// more of it, up to its first answer, than one over a small one.
func TestColdStartReadsWhatIsAsked(t *testing.T) {
	cost := func(mailboxes, events int) (bytes uint64, took time.Duration) {
		a := newAnswers(t, mailboxes)
		for i := range mailboxes {
			a.fill(t, i, year(i, events))
		}
		before, began := read(t), time.Now()
		d := a.open(t)
		rec := httptest.NewRecorder()
		d.Handler().ServeHTTP(rec, a.post(t, a.request(march, 7, "room1")))
		bytes, took = read(t)-before, time.Since(began)
		if strings.Count(rec.Body.String(), "<CalendarEvent>") < 3 || bytes == 0 {
			t.Fatalf("%d bytes were read for %.1000s", bytes, rec.Body)
		}
		return bytes, took
	}
	small, first := cost(2, 100)
	large, second := cost(60, 100)
	t.Logf("200 events: %d bytes, %v; 6,000 events: %d bytes, %v", small, first, large, second)
	if large > 2*small {
		t.Errorf("%d bytes were read of a store of 200 events, %d of one of 6,000", small, large)
	}
}
