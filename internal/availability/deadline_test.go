package availability_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/availability"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/smtpaddr"
)

// after waits d or until ctx ends, as a source does.
func after(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting: %w", ctx.Err())
	}
}

const ages = 1000 * time.Hour

func TestDeadlines(t *testing.T) {
	dead := func(names ...string) func(context.Context, string) error {
		return func(ctx context.Context, m string) error {
			for _, n := range names {
				if strings.HasPrefix(m, n) {
					return after(ctx, ages)
				}
			}
			return nil
		}
	}
	tests := []struct {
		name    string
		prepare func(*world)
		change  func(*availability.Config)
		took    time.Duration
		want    []string
	}{
		{"all answer", func(*world) {}, nil, 0, []string{"ana 02000000", "bo 33333333", "moved 20000000", "kim 20000000"}},
		{"dead calendar", func(w *world) { w.busy = dead("ana") }, nil, 25 * time.Second,
			[]string{"ana TimedOut", "bo 33333333", "moved 20000000", "kim 20000000"}},
		{"dead directory for one address", func(w *world) {
			w.recipient = func(ctx context.Context, a smtpaddr.Address) error { return dead("moved")(ctx, a.String()) }
		}, nil, 10 * time.Second, []string{"ana 02000000", "bo 33333333", "moved TimedOut", "kim 20000000"}},
		{"dead peer has its own deadline", func(w *world) {
			w.peer = func(ctx context.Context, r routing.Route, q routing.Query) ([]routing.Reply, error) {
				if r.Name() == "ToCloud" {
					return nil, after(ctx, ages)
				}
				return agreeable(q), nil
			}
		}, nil, 20 * time.Second, []string{"ana 02000000", "bo 33333333", "moved TimedOut", "kim 20000000"}},
		{"slow peer is in time", func(w *world) {
			w.peer = func(ctx context.Context, r routing.Route, q routing.Query) ([]routing.Reply, error) {
				return agreeable(q), after(ctx, 19*time.Second)
			}
		}, nil, 19 * time.Second, []string{"ana 02000000", "bo 33333333", "moved 20000000", "kim 20000000"}},
		{"all slow at once, not one after another", func(w *world) {
			w.busy = func(ctx context.Context, _ string) error { return after(ctx, 3*time.Second) }
			w.peer = func(ctx context.Context, r routing.Route, q routing.Query) ([]routing.Reply, error) {
				return agreeable(q), after(ctx, 3*time.Second)
			}
		}, nil, 3 * time.Second, []string{"ana 02000000", "bo 33333333", "moved 20000000", "kim 20000000"}},
		{"configured deadlines", func(w *world) {
			w.busy = dead("bo")
			w.peer = func(ctx context.Context, r routing.Route, q routing.Query) ([]routing.Reply, error) {
				return nil, after(ctx, ages)
			}
		}, func(c *availability.Config) { c.Timeout, c.PeerTimeout = 4*time.Second, 3*time.Second },
			4 * time.Second, []string{"ana 02000000", "bo TimedOut", "moved TimedOut", "kim TimedOut"}},
		{"a peer's own error after its own deadline stays", func(w *world) {
			w.peer = func(ctx context.Context, r routing.Route, q routing.Query) ([]routing.Reply, error) {
				err := after(ctx, ages)
				return nil, &routing.MailboxError{Reason: routing.AutodiscoverFailed, Text: "Autodiscover failed", Err: err}
			}
		}, nil, 20 * time.Second, []string{"ana 02000000", "bo 33333333", "moved AutodiscoverFailed", "kim AutodiscoverFailed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				tt.prepare(w)
				c := w.config(t)
				if tt.change != nil {
					tt.change(&c)
				}
				e, err := availability.New(c)
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				got, err := e.Ask(t.Context(), w.question(freebusy.ViewMergedOnly, "ana", "bo", "moved", "kim@litware.com"))
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if diff := cmp.Diff(tt.want, short(got)); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				for _, a := range got {
					if s := text(a); strings.HasPrefix(s, "TimedOut") && s != "TimedOut: Request could not be processed in time. Timeout occurred during 'Waiting-For-Request-Completion'." {
						t.Errorf("text %q", s)
					}
				}
				e.Wait()
			})
		})
	}
}

// Sources that do not look at their context cost their own addresses too, and
// no more.
func TestDeafSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		release := make(chan struct{})
		w.busy = func(_ context.Context, m string) error {
			if m == "ana@contoso.com" {
				<-release
			}
			return nil
		}
		w.peer = func(_ context.Context, r routing.Route, q routing.Query) ([]routing.Reply, error) {
			if r.Name() == "ToCloud" {
				<-release
			}
			return agreeable(q), nil
		}
		e := w.engine(t)
		begin := time.Now()
		got, err := e.Ask(t.Context(), w.question(freebusy.ViewMergedOnly, "ana", "bo", "moved", "kim@litware.com"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"ana TimedOut", "bo 33333333", "moved TimedOut", "kim 20000000"}, short(got)); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if took := time.Since(begin); took != 25*time.Second {
			t.Errorf("took %v", took)
		}
		close(release)
		e.Wait()
		// What came late changes nothing.
		if diff := cmp.Diff([]string{"ana TimedOut", "bo 33333333", "moved TimedOut", "kim 20000000"}, short(got)); diff != "" {
			t.Errorf("answers afterwards (-want +got):\n%s", diff)
		}
	})
}

// Calendars that hang take places among the readers; the others must be read
// all the same, soon.
func TestHangingCalendarsDoNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var names []string
		for i := range 100 {
			names = append(names, w.mailbox(fmt.Sprintf("m%02d", i), iv(freebusy.Busy, 8, 9)).Primary.String())
		}
		read := make(chan time.Duration, 100)
		begin := time.Now()
		w.busy = func(ctx context.Context, m string) error {
			if m < "m50" {
				return after(ctx, ages)
			}
			read <- time.Since(begin)
			return nil
		}
		e := w.engine(t)
		got, err := e.Ask(t.Context(), w.question(freebusy.ViewMergedOnly, names...))
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range short(got) {
			want := fmt.Sprintf("m%02d 20000000", i)
			if i < 50 {
				want = fmt.Sprintf("m%02d TimedOut", i)
			}
			if s != want {
				t.Errorf("answer %q, want %q", s, want)
			}
		}
		close(read)
		for d := range read {
			if d > time.Second {
				t.Fatalf("a calendar was read only after %v", d)
			}
		}
		e.Wait()
	})
}

func TestReadsAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var names []string
		for i := range 100 {
			names = append(names, w.mailbox(fmt.Sprintf("m%02d", i)).Primary.String())
		}
		now, most := 0, 0 // guarded by w.mu
		w.busy = func(ctx context.Context, m string) error {
			w.mu.Lock()
			now++
			most = max(most, now)
			w.mu.Unlock()
			err := after(ctx, time.Millisecond)
			w.mu.Lock()
			now--
			w.mu.Unlock()
			return err
		}
		c := w.config(t)
		c.LocalReads = 5
		e, err := availability.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Ask(t.Context(), w.question(freebusy.ViewMergedOnly, names...)); err != nil {
			t.Fatal(err)
		}
		if most != 5 {
			t.Errorf("%d calendars were read at once, want 5", most)
		}
	})
}

func TestManyOrganizationsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.org.Connectors = nil
		var names []string
		for i := range 20 {
			domain := fmt.Sprintf("p%d.example", i)
			c := w.org.Connectors
			w.org.Connectors = append(c, connector(domain))
			names = append(names, "kim@"+domain, "lee@"+domain)
		}
		w.peer = func(ctx context.Context, _ routing.Route, q routing.Query) ([]routing.Reply, error) {
			return agreeable(q), after(ctx, time.Second)
		}
		begin := time.Now()
		for _, a := range w.ask(t, w.question(freebusy.ViewMergedOnly, names...)) {
			if a.Err != nil {
				t.Error(a.Err)
			}
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("20 organizations that need 1s each took %v", took)
		}
		if n := len(w.queries); n != 20 {
			t.Errorf("%d organizations were asked", n)
		}
		for name, qs := range w.queries {
			if len(qs) != 1 {
				t.Errorf("%s was asked %d times", name, len(qs))
			}
		}
	})
}

func TestOneRouteDoesNotSpoilAnother(t *testing.T) {
	mailbox := func(reason routing.Reason, text string) error {
		return &routing.MailboxError{Reason: reason, Text: text}
	}
	kept := []string{"ana 02000000", "kim 20000000"}
	tests := []struct {
		name string
		peer func(q routing.Query) ([]routing.Reply, error)
		want string // of moved and away, who live at the misbehaving peer
	}{
		{"fails", func(routing.Query) ([]routing.Reply, error) { return nil, errors.New("connection refused") },
			"ProxyFailed: Proxy web request failed. , inner exception: connection refused"},
		{"fails with its own reason", func(routing.Query) ([]routing.Reply, error) {
			return nil, fmt.Errorf("ask: %w", mailbox(routing.AutodiscoverFailed, "Autodiscover failed for e-mail address x"))
		}, "AutodiscoverFailed: Autodiscover failed for e-mail address x"},
		{"panics", func(routing.Query) ([]routing.Reply, error) { panic("nil map") },
			"ProxyFailed: Proxy web request failed. , inner exception: internal error"},
		{"answers too few", func(q routing.Query) ([]routing.Reply, error) { return agreeable(q)[:1], nil },
			"ProxyFailed: Proxy web request failed. , inner exception: 1 answers to 2 addresses"},
		{"answers too many", func(q routing.Query) ([]routing.Reply, error) { return append(agreeable(q), agreeable(q)...), nil },
			"ProxyFailed: Proxy web request failed. , inner exception: 4 answers to 2 addresses"},
		{"answers nothing", func(q routing.Query) ([]routing.Reply, error) { return make([]routing.Reply, 2), nil },
			"ProxyFailed: Proxy web request failed. , inner exception: the answer contains no free/busy data"},
		{"answers with too many events", func(q routing.Query) ([]routing.Reply, error) {
			r := agreeable(q)
			for i := range r {
				r[i].View = freebusy.ViewFreeBusyMerged
				r[i].Events = make([]freebusy.Interval, freebusy.MaxEvents+1)
			}
			return r, nil
		}, "ProxyFailed: Proxy web request failed. , inner exception: 1001 calendar entries, limit 1000"},
		{"gives a reason for each", func(q routing.Query) ([]routing.Reply, error) {
			r := make([]routing.Reply, 2)
			for i := range r {
				r[i].Err = mailbox(routing.Remote, "not here")
			}
			return r, nil
		}, "Remote: not here"},
		{"gives a plain error for each", func(q routing.Query) ([]routing.Reply, error) {
			return []routing.Reply{{Err: errors.New("odd")}, {Err: errors.New("odd")}}, nil
		}, "ProxyFailed: Proxy web request failed. , inner exception: odd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.mailUser("away", "away@contoso.mail.example")
			w.peer = func(_ context.Context, r routing.Route, q routing.Query) ([]routing.Reply, error) {
				if r.Name() == "ToCloud" {
					return tt.peer(q)
				}
				return agreeable(q), nil
			}
			got := w.ask(t, w.question(freebusy.ViewMergedOnly, "ana", "kim@litware.com", "moved", "away"))
			if diff := cmp.Diff(kept, short(got[:2])); diff != "" {
				t.Errorf("other addresses (-want +got):\n%s", diff)
			}
			for _, a := range got[2:] {
				if diff := cmp.Diff(tt.want, text(a)); diff != "" {
					t.Errorf("%v (-want +got):\n%s", a.Address, diff)
				}
			}
		})
	}
}

func TestPeersAnswersAreCutToTheQuestion(t *testing.T) {
	detail := detailed(freebusy.Busy, 8, 9, openItem)
	tests := []struct {
		name   string
		view   freebusy.View
		reply  routing.Reply
		want   freebusy.View
		merged string
		events int
		detail bool
	}{
		{"more than asked", freebusy.ViewMergedOnly, routing.Reply{View: freebusy.ViewDetailedMerged, Merged: "20000000", Events: []freebusy.Interval{detail}, Hours: &routing.Hours{}}, freebusy.ViewMergedOnly, "20000000", 0, false},
		{"details not asked", freebusy.ViewFreeBusy, routing.Reply{View: freebusy.ViewDetailedMerged, Merged: "20000000", Events: []freebusy.Interval{detail}}, freebusy.ViewFreeBusy, "", 1, false},
		{"details not granted", freebusy.ViewDetailed, routing.Reply{View: freebusy.ViewFreeBusy, Events: []freebusy.Interval{detail}}, freebusy.ViewFreeBusy, "", 1, false},
		{"details granted", freebusy.ViewDetailed, routing.Reply{View: freebusy.ViewDetailed, Events: []freebusy.Interval{detail}}, freebusy.ViewDetailed, "", 1, true},
		{"only the merged string is known", freebusy.ViewDetailed, routing.Reply{View: freebusy.ViewMergedOnly, Merged: "20000000"}, freebusy.ViewMergedOnly, "20000000", 0, false},
		{"merged string of wrong length is made anew", freebusy.ViewFreeBusyMerged, routing.Reply{View: freebusy.ViewFreeBusyMerged, Merged: "2", Events: []freebusy.Interval{detail}}, freebusy.ViewFreeBusyMerged, "20000000", 1, false},
		{"merged string that is missing is made", freebusy.ViewFreeBusyMerged, routing.Reply{View: freebusy.ViewFreeBusy, Events: []freebusy.Interval{detail}}, freebusy.ViewFreeBusyMerged, "20000000", 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.peer = func(context.Context, routing.Route, routing.Query) ([]routing.Reply, error) {
				return []routing.Reply{tt.reply}, nil
			}
			a := w.ask(t, w.question(tt.view, "moved"))[0]
			if a.Err != nil {
				t.Fatal(a.Err)
			}
			if a.View != tt.want || a.Merged != tt.merged || len(a.Events) != tt.events {
				t.Errorf("view %v, merged %q, %d events; want %v, %q, %d", a.View, a.Merged, len(a.Events), tt.want, tt.merged, tt.events)
			}
			for _, e := range a.Events {
				if (e.Detail != nil) != tt.detail {
					t.Errorf("detail %v, want %v", e.Detail, tt.detail)
				}
			}
			if a.View == freebusy.ViewMergedOnly && a.Hours != nil {
				t.Error("MergedOnly carries working hours")
			}
		})
	}
}

func TestFailingSourcesOfOurOwn(t *testing.T) {
	w := newWorld()
	w.mailbox("cy", iv(freebusy.Busy, 8, 9))
	w.mailbox("dee")
	w.busy = func(_ context.Context, m string) error {
		switch m {
		case "bo@contoso.com":
			panic("index out of range")
		case "cy@contoso.com":
			return errors.New("disk I/O error on /var/lib/secret.db")
		case "dee@contoso.com":
			return &routing.MailboxError{Reason: routing.TooManyEvents, Text: "too many"}
		}
		return nil
	}
	w.recipient = func(_ context.Context, a smtpaddr.Address) error {
		switch a.Local() {
		case "moved":
			panic("closed pool")
		case "fabi":
			return errors.New("database is locked")
		}
		return nil
	}
	got := w.ask(t, w.question(freebusy.ViewMergedOnly, "ana", "bo", "cy", "dee", "moved", "fabi"))
	want := []string{"ana 02000000", "bo GenerationFailed", "cy GenerationFailed", "dee TooManyEvents", "moved GenerationFailed", "fabi GenerationFailed"}
	if diff := cmp.Diff(want, short(got)); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if want := "GenerationFailed: Free/busy information for cy@contoso.com could not be generated."; text(got[2]) != want {
		t.Errorf("the text tells more or less than it should: %q, want %q", text(got[2]), want)
	}
}
