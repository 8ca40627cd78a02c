package availability_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/smtpaddr"
)

// A memory is a world of which a part is known without asking.
type memory struct {
	*world
	forgets map[string]bool // local parts of recipients and calendars that are not known
	panics  string          // what panics: "recipient" or "calendar", of ana
	// changing: the directory never stays as it is.
	changing bool
	marks    *atomic.Uint64
}

func (m memory) RecipientKnown(_ directory.OrgID, a smtpaddr.Address) (*directory.Recipient, bool) {
	if m.panics == "recipient" && a.Local() == "ana" {
		panic("recipient")
	}
	if m.forgets[a.Local()] {
		return nil, false
	}
	return m.people[a], true
}

func (m memory) DirectoryMark() (mark uint64, ok bool) {
	if m.changing {
		m.marks.Add(1)
	}
	return m.marks.Load(), true
}

func (m memory) AppendBusyKnown(iv []freebusy.Interval, _ directory.OrgID, r *directory.Recipient, _ freebusy.Window, _ bool) ([]freebusy.Interval, bool) {
	if m.panics == "calendar" && r.Primary.Local() == "ana" {
		panic("calendar")
	}
	if m.forgets[r.Primary.Local()] {
		return iv, false
	}
	return append(iv, m.calendars[r.Primary.String()]...), true
}

// What is in memory gives the same answers as what is read.
func TestKnownAnswersAreTheSame(t *testing.T) {
	const fromCalendar = "GenerationFailed"
	tests := []struct {
		name    string
		forgets map[string]bool
		panics  string
		read    int // calendars
		ana     string

		changing bool
	}{
		{"all known", nil, "", 0, "", false},
		{"one forgotten", map[string]bool{"bo": true}, "", 1, "", false},
		{"the group forgotten", map[string]bool{"all": true}, "", 0, "", false},
		{"nothing known", map[string]bool{"ana": true, "bo": true, "moved": true, "all": true}, "", 2, "", false},
		{"a panic of the directory is read again", nil, "recipient", 1, "", false},
		{"a panic of a calendar", nil, "calendar", 0, fromCalendar, false},
		{"a directory that changes meanwhile", nil, "", 2, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.group("all", "ana", "bo", "moved")
			q := w.question(freebusy.ViewFreeBusyMerged, "bo", "ana", "nobody", "moved", "all", "ana", "x@unknown.example")
			want := short(w.ask(t, q))
			read := len(w.read)
			clear(w.read)
			c := w.config(t)
			m := memory{w, tt.forgets, tt.panics, tt.changing, new(atomic.Uint64)}
			c.Recipients, c.Calendars = m, m
			e, err := availability.New(c)
			if err != nil {
				t.Fatal(err)
			}
			// The second time, each answer is looked at while the next is not yet there.
			for _, one := range []bool{false, true} {
				var got []string
				answers, err := e.Ask(t.Context(), q)
				if one {
					answers = nil
					err = e.Each(t.Context(), q, func(i int, a *availability.Answer) error {
						if i != len(answers) {
							t.Errorf("answer %d comes as number %d", i, len(answers))
						}
						copied := *a
						copied.Events = slices.Clone(a.Events)
						answers = append(answers, copied)
						return nil
					})
				}
				if err != nil {
					t.Fatal(err)
				}
				got = short(answers)
				if tt.ana != "" {
					for _, i := range []int{1, 5} {
						if got[i] != "ana "+tt.ana {
							t.Errorf("ana: %q", got[i])
						}
					}
					continue
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				if n := len(answers[1].Events); n != 1 || answers[1].Events[0] != w.calendars["ana@contoso.com"][0] {
					t.Errorf("events of ana: %v", answers[1].Events)
				}
			}
			if len(w.read) != tt.read || read != 2 {
				t.Errorf("%d calendars were read, want %d; without memory %d", len(w.read), tt.read, read)
			}
		})
	}
}

// Twenty organizations that take a second each are asked in a second, each with
// one question; one that is dead costs its own addresses only.
func TestManyOrganizationsTakeNoLongerThanOne(t *testing.T) {
	for _, dead := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			var names, want []string
			for i := range 20 {
				w.org.Connectors = append(w.org.Connectors, directory.IntraOrganizationConnector{
					Common: named(fmt.Sprint("To", i)), TargetAddressDomains: []string{fmt.Sprintf("p%d.example", i)}, Enabled: true})
				for k := range 3 {
					names = append(names, fmt.Sprintf("u%d@p%d.example", k, i))
					if dead && i == 7 {
						want = append(want, fmt.Sprintf("u%d TimedOut", k))
					} else {
						want = append(want, fmt.Sprintf("u%d 20000000", k))
					}
				}
			}
			begin := time.Now()
			answered := map[string]time.Duration{}
			w.peer = func(ctx context.Context, r routing.Route, q routing.Query) ([]routing.Reply, error) {
				d := time.Second
				if dead && r.Name() == "To7" {
					d = ages
				}
				err := after(ctx, d)
				w.mu.Lock()
				answered[r.Name()] = time.Since(begin)
				w.mu.Unlock()
				return agreeable(q), err
			}
			e := w.engine(t)
			got, err := e.Ask(t.Context(), w.question(freebusy.ViewMergedOnly, names...))
			if err != nil {
				t.Fatal(err)
			}
			took, limit := time.Since(begin), time.Second
			if dead {
				limit = 20 * time.Second
			}
			if took != limit {
				t.Errorf("took %v, want %v", took, limit)
			}
			if diff := cmp.Diff(want, short(got)); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			e.Wait()
			for name, list := range w.queries {
				if len(list) != 1 {
					t.Errorf("%s was asked %d times", name, len(list))
				}
				if d := answered[name]; d != time.Second && !(dead && name == "To7") {
					t.Errorf("%s had its answer after %v", name, d)
				}
			}
			if len(w.queries) != 20 {
				t.Errorf("%d organizations were asked", len(w.queries))
			}
		})
	}
}

// An error of who takes the answers ends them, and is theirs.
func TestEachEnds(t *testing.T) {
	w := newWorld()
	c := w.config(t)
	m := memory{w, nil, "", false, new(atomic.Uint64)}
	c.Recipients, c.Calendars = m, m
	e, err := availability.New(c)
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	n := 0
	if err := e.Each(t.Context(), w.question(freebusy.ViewFreeBusy, "ana", "bo", "ana"), func(int, *availability.Answer) error {
		if n++; n == 2 {
			return enough
		}
		return nil
	}); !errors.Is(err, enough) || n != 2 {
		t.Errorf("%d answers, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n = 0
	if err := e.Each(ctx, w.question(freebusy.ViewFreeBusy, "ana", "bo", "ana"), func(int, *availability.Answer) error {
		n++
		cancel()
		return nil
	}); !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("cancelled: %d answers, %v", n, err)
	}
}
