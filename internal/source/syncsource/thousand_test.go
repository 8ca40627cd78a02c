package syncsource_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"busybridge/internal/dial/feedclient"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/source/sourcetest"
	"busybridge/internal/source/syncsource"
	"busybridge/internal/store/sqlitestore"
	"busybridge/internal/store/storetest"
)

// published is 1,000 feeds behind a RoundTripper: what a server on the wire would
// cost is not ours.
type published struct {
	round    atomic.Int64
	requests atomic.Int64
	changes  func(feed string) int64 // the round of the last change
}

func (p *published) RoundTrip(r *http.Request) (*http.Response, error) {
	p.requests.Add(1)
	version := p.changes(r.URL.Path)
	etag := fmt.Sprintf(`"%d"`, version)
	resp := &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Etag": {etag}, "Content-Type": {"text/calendar"}}, Request: r, Body: http.NoBody}
	if r.Header.Get("If-None-Match") == etag {
		resp.StatusCode = http.StatusNotModified
		return resp, nil
	}
	resp.Body = io.NopCloser(strings.NewReader(feedText(r.URL.Path, version)))
	return resp, nil
}

// feedText is 20 events, four of them series; one differs with the version.
func feedText(feed string, version int64) string {
	var b bytes.Buffer
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//contoso//feed//EN\r\n")
	for i := range 20 {
		fmt.Fprintf(&b, "BEGIN:VEVENT\r\nUID:%s-%d@example.com\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:Event %d of %s\r\n", feed, i, i, feed)
		day, hour := 1+i%28, 8+i%9
		if i == 0 {
			hour = 8 + int(version%9)
		}
		fmt.Fprintf(&b, "DTSTART:202603%02dT%02d0000Z\r\nDTEND:202603%02dT%02d3000Z\r\n", day, hour, day, hour)
		if i%5 == 4 {
			b.WriteString("RRULE:FREQ=WEEKLY\r\n")
		}
		b.WriteString("END:VEVENT\r\n")
	}
	b.WriteString("END:VCALENDAR\r\n")
	return b.String()
}

func processorTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// 1,000 feeds at a plan of five minutes cost under 50 MB of memory and under 5 % of
// one core, with one feed in ten changed in each round; the clock is simulated.
func TestThousandFeeds(t *testing.T) {
	feeds := 1000
	if testing.Short() || raceEnabled {
		feeds = 100
	}
	w := newWorld(t, "UTC")
	p := &published{}
	p.changes = func(feed string) int64 { // each changes in one round of ten
		h := fnv.New32a()
		io.WriteString(h, feed)
		round := p.round.Load()
		return round - (round+int64(h.Sum32()))%10
	}
	client, err := feedclient.New(feedclient.Config{Transport: p, Now: func() time.Time { return time.Unix(0, w.now.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	var fetched atomic.Int64
	var peak atomic.Uint64
	sample := func() {
		for now := liveBytes(); ; {
			if was := peak.Load(); now <= was || peak.CompareAndSwap(was, now) {
				return
			}
		}
	}
	f := syncsource.Feeds{Client: client}
	s := w.syncer(stub(func(ctx context.Context, v *directory.CalendarSource, known directory.CalendarSourceState) (*syncsource.Result, error) {
		res, err := f.Fetch(ctx, v, known)
		if err == nil && !res.NotModified {
			fetched.Add(1)
		}
		sample()
		return res, err
	}), func(c *syncsource.Config) { c.Attempted = nil })
	if err := w.store.Change(t.Context(), func(tx *sqlitestore.Tx) error {
		for i := range feeds {
			w.mailbox = storetest.Mailbox(w.org, fmt.Sprintf("m%d@contoso.com", i))
			w.mailbox.Proxies, w.mailbox.Calendar = nil, directory.DefaultCalendar("UTC")
			if err := tx.CreateRecipient(t.Context(), w.mailbox); err != nil {
				return err
			}
			if err := tx.PutCalendarSource(t.Context(), w.source("feed", fmt.Sprintf("https://h%d.example.com/%d", i%100, i))); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	base, resident, residentPeak := liveBytes(), residentBytes(t), uint64(0)
	// A round is five minutes of simulated ticks.
	round := func() time.Duration {
		p.round.Add(1)
		before := processorTime(t)
		for range 100 {
			w.wait(3 * time.Second)
			s.Pass(t.Context())
			sample()
			residentPeak = max(residentPeak, residentBytes(t))
		}
		return processorTime(t) - before
	}
	first := round()
	const rounds = 2
	requests, changed := p.requests.Load(), fetched.Load()
	var total time.Duration
	for range rounds {
		total += round()
	}
	requests, changed = p.requests.Load()-requests, fetched.Load()-changed
	per := total / rounds
	share := per.Seconds() / 300
	mb := float64(peak.Load()-base) / (1 << 20)
	residentMB := float64(residentPeak-min(residentPeak, resident)) / (1 << 20)
	t.Logf("%d feeds of 20 events: first round %v of processor time (all are read), then %v in 5 minutes, %.2f %% of one core; %d requests, %d changed, in %d rounds; %.1f MB above the %.1f MB of before, resident %.1f MB above %.1f MB",
		feeds, first, per, 100*share, requests, changed, rounds, mb, float64(base)/(1<<20), residentMB, float64(resident)/(1<<20))
	if n := float64(requests) / rounds / float64(feeds); n < 0.85 || n > 1.15 {
		t.Errorf("%.2f requests for each feed and round", n)
	}
	if changed == 0 {
		t.Error("nothing changed: it measures the wrong thing")
	}
	if !raceEnabled && share > 0.05 {
		t.Errorf("%.2f %% of one core", 100*share)
	}
	if !raceEnabled && max(mb, residentMB) > 50 {
		t.Errorf("%.1f MB, resident %.1f MB", mb, residentMB)
	}
	w.mailbox, err = w.store.RecipientByID(t.Context(), w.org, w.mailbox.ID)
	if err != nil {
		t.Fatal(err)
	}
	before := p.requests.Load()
	iv, err := w.cal.Busy(t.Context(), w.org, w.mailbox, freebusy.Window{Start: sourcetest.Now, End: sourcetest.Now.AddDate(0, 0, 28)}, false)
	if err != nil || len(iv) < 20 || p.requests.Load() != before {
		t.Errorf("%d entries, %v, %d requests", len(iv), err, p.requests.Load()-before)
	}
}

// residentBytes is the memory of the process, that of SQLite included; 0 where the
// system does not tell.
func residentBytes(t testing.TB) uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	var size, resident uint64
	if _, scanErr := fmt.Sscan(string(b), &size, &resident); err != nil || scanErr != nil {
		t.Fatal(err, scanErr)
	}
	return resident * uint64(os.Getpagesize())
}

// liveBytes is what the heap and the stacks hold, garbage that is not collected yet
// included.
func liveBytes() uint64 {
	list := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(list)
	return list[0].Value.Uint64() + list[1].Value.Uint64() + list[2].Value.Uint64()
}
