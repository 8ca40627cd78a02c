package audit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/audit"
)

// A trail keeps events in memory.
type trail struct {
	mu     sync.Mutex
	events []audit.Event
	err    error
}

func (l *trail) Record(_ context.Context, e audit.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.events = append(l.events, e)
	}
	return l.err
}

// outcomes are the outcomes by organization, in order.
func (l *trail) outcomes(org string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Org == org {
			out = append(out, e.Outcome)
		}
	}
	return out
}

type clock struct{ at time.Time }

func newDamper(t testing.TB, to audit.Recorder, c *clock, change func(*audit.DamperConfig)) *audit.Damper {
	t.Helper()
	cfg := audit.DamperConfig{To: to, Now: func() time.Time { return c.at }, Burst: 3, Every: time.Minute}
	if change != nil {
		change(&cfg)
	}
	d, err := audit.NewDamper(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func refuse(t testing.TB, d *audit.Damper, org, why string, times int) (recorded int) {
	t.Helper()
	for i := range times {
		ok, err := d.Refused(t.Context(), why, audit.Event{Org: org, Operation: "RefuseToken", Outcome: fmt.Sprint(why, " ", i)})
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			recorded++
		}
	}
	return recorded
}

func TestDamperKeepsFewRefusalsOneByOneAndCountsTheRest(t *testing.T) {
	log, c := new(trail), &clock{time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)}
	d := newDamper(t, log, c, nil)
	if n := refuse(t, d, "contoso", "expired", 10); n != 3 {
		t.Errorf("%d were recorded", n)
	}
	if n := refuse(t, d, "contoso", "signature", 1); n != 1 {
		t.Error("a flood of one kind hides another kind")
	}
	if n := refuse(t, d, "fabrikam", "expired", 1); n != 1 {
		t.Error("a flood at one organization hides those of another")
	}
	if err := d.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"expired 0", "expired 1", "expired 2", "signature 0", "7 more were refused and not recorded one by one: expired"}
	if diff := cmp.Diff(want, log.outcomes("contoso")); diff != "" {
		t.Error(diff)
	}
	if last := log.events[len(log.events)-1]; last.After != `{"count":7,"since":"2026-01-15T08:00:00Z"}` || last.Operation != "RefuseToken" || !last.At.Equal(c.at) {
		t.Errorf("%+v", last)
	}
	if err := d.Flush(t.Context()); err != nil || len(log.events) != 6 {
		t.Errorf("what is recorded is recorded again: %v, %d events", err, len(log.events))
	}
	c.at = c.at.Add(2 * time.Minute)
	if n := refuse(t, d, "contoso", "expired", 5); n != 2 {
		t.Errorf("two minutes later %d were recorded, want 2", n)
	}
}

// Whatever comes, in a day there are at most the burst and one record each Every
// of a kind.
func TestDamperBoundsADayOfFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(trail)
		ctx, cancel := context.WithCancel(t.Context())
		d := newDamper(t, log, new(clock), func(cfg *audit.DamperConfig) { cfg.Now, cfg.Every = time.Now, time.Hour })
		go d.Run(ctx, func(err error) { t.Error(err) })
		total := 0
		for end := time.Now().Add(24 * time.Hour); time.Now().Before(end); time.Sleep(time.Minute) {
			total += refuse(t, d, "contoso", "expired", 20)
		}
		cancel()
		synctest.Wait()
		if n := len(log.outcomes("contoso")); n < 24 || n > 3+24+1 {
			t.Errorf("%d records", n)
		}
		if err := d.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, e := range log.events {
			var n int
			if _, err := fmt.Sscanf(e.After, `{"count":%d`, &n); err == nil {
				total += n
			}
		}
		if total != 24*60*20 {
			t.Errorf("%d refusals are in the records, want %d: none is lost", total, 24*60*20)
		}
	})
}

func TestDamperPassesWhatWasDone(t *testing.T) {
	log := new(trail)
	d := newDamper(t, log, new(clock), nil)
	for range 20 {
		for _, outcome := range []string{audit.Done, "refused"} {
			if err := d.Record(t.Context(), audit.Event{Operation: "IssueToken", Outcome: outcome}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var done, refused int
	for _, o := range log.outcomes("") {
		if o == audit.Done {
			done++
		} else {
			refused++
		}
	}
	if done != 20 || refused != 3 {
		t.Errorf("%d done, %d refused", done, refused)
	}
}

// Organizations that do not exist cannot fill the memory.
func TestDamperBoundsItsKinds(t *testing.T) {
	log, c := new(trail), &clock{time.Unix(0, 0)}
	d := newDamper(t, log, c, func(cfg *audit.DamperConfig) { cfg.MaxKinds = 4 })
	recorded := 0
	for i := range 1000 {
		recorded += refuse(t, d, fmt.Sprint("org", i), "expired", 1)
	}
	if recorded != 4+3 {
		t.Errorf("%d were recorded, want one of each of 4 kinds and a burst of the rest", recorded)
	}
	if err := d.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.at = c.at.Add(time.Hour)
	if n := refuse(t, d, "late", "expired", 3); n != 3 {
		t.Error("a kind that is as good as new keeps its place")
	}
}

func TestWhatCouldNotBeRecordedStaysCounted(t *testing.T) {
	log, c := new(trail), &clock{time.Unix(0, 0)}
	d := newDamper(t, log, c, nil)
	refuse(t, d, "contoso", "expired", 5)
	log.err = errors.New("disk is full")
	if err := d.Flush(t.Context()); !errors.Is(err, log.err) {
		t.Fatal(err)
	}
	if _, err := d.Refused(t.Context(), "signature", audit.Event{}); !errors.Is(err, log.err) {
		t.Error("an error of the recorder is swallowed")
	}
	log.err = nil
	if err := d.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := log.outcomes("contoso"); got[len(got)-1] != "2 more were refused and not recorded one by one: expired" {
		t.Errorf("%q", got)
	}
}

func TestNewDamperNeeds(t *testing.T) {
	if _, err := audit.NewDamper(audit.DamperConfig{Now: time.Now}); err == nil {
		t.Error("no recorder")
	}
	if _, err := audit.NewDamper(audit.DamperConfig{To: new(trail)}); err == nil {
		t.Error("no clock")
	}
}
