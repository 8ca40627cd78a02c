package availability_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/trust"
)

// A tableLine is a line of a file in testdata that is neither empty nor a comment.
type tableLine struct{ at, text string }

func tableLines(t *testing.T, name string) (lines []tableLine) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range strings.Split(string(data), "\n") {
		if text = strings.TrimSpace(text); text != "" && text[0] != '#' {
			lines = append(lines, tableLine{fmt.Sprintf("%s:%d", name, i+1), text})
		}
	}
	return lines
}

// columns splits a line; those that are missing are empty.
func (l tableLine) columns(n int) []string {
	out := make([]string, n)
	for i, c := range strings.Split(l.text, "|") {
		out[i] = strings.TrimSpace(c)
	}
	return out
}

func (l tableLine) number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", l.at, err)
	}
	return n
}

// time reads "15:04", or "+1 15:04" of the day after.
func (l tableLine) time(t *testing.T, s string) time.Duration {
	t.Helper()
	days := 0
	if strings.HasPrefix(s, "+") {
		day, clock, _ := strings.Cut(s[1:], " ")
		days, s = l.number(t, day), clock
	}
	h, m, ok := strings.Cut(s, ":")
	if !ok {
		t.Fatalf("%s: time %q", l.at, s)
	}
	return time.Duration(days*24*60+l.number(t, h)*60+l.number(t, m)) * time.Minute
}

func (l tableLine) span(t *testing.T, s string) (from, to time.Duration) {
	t.Helper()
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		t.Fatalf("%s: span %q", l.at, s)
	}
	return l.time(t, a), l.time(t, b)
}

// entries reads "Busy 08:00-09:00, OOF 09:00-+1 10:00".
func (l tableLine) entries(t *testing.T, s string) (out []freebusy.Interval) {
	t.Helper()
	if s == "" {
		return nil
	}
	for _, e := range strings.Split(s, ",") {
		name, when, _ := strings.Cut(strings.TrimSpace(e), " ")
		status, ok := freebusy.ParseStatus(name)
		if !ok {
			t.Fatalf("%s: status %q", l.at, name)
		}
		from, to := l.span(t, when)
		out = append(out, freebusy.Interval{Start: monday.Add(from), End: monday.Add(to), Status: status})
	}
	return out
}

// TestMergeTable reads what EWS calls MergedFreeBusy and Graph availabilityView:
// one engine answers for both.
func TestMergeTable(t *testing.T) {
	for _, l := range tableLines(t, "merge.txt") {
		c := l.columns(6)
		t.Run(c[0]+"/"+c[1], func(t *testing.T) {
			w := newWorld()
			w.mailbox("one", l.entries(t, c[2])...)
			from, to := l.span(t, c[3])
			q := w.question(freebusy.ViewMergedOnly, "one")
			q.Window, q.Slot = freebusy.Window{Start: monday.Add(from), End: monday.Add(to)}, time.Duration(l.number(t, c[4]))*time.Minute
			a := w.ask(t, q)[0]
			if a.Err != nil || a.Merged != c[5] {
				t.Errorf("%s: %q, %v; want %q", l.at, a.Merged, a.Err, c[5])
			}
			if items, ok := freebusy.ParseAvailabilityView(a.Merged); strings.HasPrefix(c[0], "Graph") && (!ok || items != a.Merged) {
				t.Errorf("%s: read as getSchedule's it is %q, %v", l.at, items, ok)
			}
		})
	}
}

// sees says what of an entry an answer has.
func sees(t *testing.T, got freebusy.Interval, of *freebusy.Detail) string {
	t.Helper()
	d := got.Detail
	if d == nil {
		return "time"
	}
	if d.Meeting != of.Meeting || d.Recurring != of.Recurring || d.Exception != of.Exception || d.Reminder != of.Reminder || d.Private != of.Private {
		t.Errorf("flags %+v of %+v", *d, *of)
	}
	s := "time flags"
	switch {
	case d.Subject == of.Subject && d.Location == of.Location:
		s += " text"
	case d.Subject != "" || d.Location != "":
		t.Errorf("subject %q and location %q of %+v", d.Subject, d.Location, *of)
	}
	if d.ID == of.ID {
		s += " id"
	} else if d.ID != "" {
		t.Errorf("id %q of %+v", d.ID, *of)
	}
	return s
}

var (
	tableOpen    = freebusy.Detail{ID: "0A", Subject: "Budget", Location: "R1", Meeting: true, Recurring: true, Exception: true}
	tablePrivate = freebusy.Detail{ID: "0B", Subject: "Dentist", Location: "Town", Reminder: true, Private: true}
)

// judge compares an answer with the columns granted, merged, hours, open, private
// of a table; an answer without an error has one entry of each kind.
func (l tableLine) judge(t *testing.T, a *availability.Answer, want []string) {
	t.Helper()
	if me, ok := errors.AsType[*routing.MailboxError](a.Err); ok {
		if string(me.Reason) != want[0] || a.View != freebusy.ViewNone || a.Events != nil || a.Merged != "" || a.Hours != nil {
			t.Errorf("%s: %v with %+v, want %s and nothing else", l.at, me.Reason, a.Reply, want[0])
		}
		return
	}
	yes := map[bool]string{true: "yes", false: "no"}
	got := []string{a.View.String(), yes[a.Merged != ""], yes[a.Hours != nil], "", ""}
	if a.View&freebusy.ViewEvents != 0 {
		if len(a.Events) != 2 {
			t.Fatalf("%s: %d entries, want 2", l.at, len(a.Events))
		}
		got[3], got[4] = sees(t, a.Events[0], &tableOpen), sees(t, a.Events[1], &tablePrivate)
	} else if a.Events != nil {
		t.Errorf("%s: %v with entries", l.at, a.View)
	}
	for i, name := range []string{"granted", "merged", "working hours", "an entry shows", "a private entry shows"} {
		if got[i] != want[i] {
			t.Errorf("%s: %s: %q, want %q", l.at, name, got[i], want[i])
		}
	}
}

// tableWorld has a mailbox with one open and one private entry.
func tableWorld(level freebusy.Level) *world {
	w := newWorld()
	r := w.mailbox("one", detailed(freebusy.Busy, 9, 10, tableOpen), detailed(freebusy.OOF, 11, 12, tablePrivate))
	r.Permissions = []directory.Permission{{User: "Default", Level: level}}
	return w
}

func (l tableLine) level(t *testing.T, name string) freebusy.Level {
	t.Helper()
	for v := freebusy.LevelNone; v <= freebusy.LevelOwner; v++ {
		if v.String() == name {
			return v
		}
	}
	t.Fatalf("%s: level %q", l.at, name)
	return 0
}

func TestViewTable(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range tableLines(t, "views.txt") {
		c := l.columns(7)
		t.Run(c[0]+"/"+c[1], func(t *testing.T) {
			w := tableWorld(l.level(t, c[0]))
			view, ok := freebusy.ParseView(c[1])
			if !ok {
				t.Fatalf("%s: view %q", l.at, c[1])
			}
			q := w.question(view, "one")
			q.Caller.Recipient = w.people[addr("bo")]
			l.judge(t, &w.ask(t, q)[0], c[2:])
		})
		seen[c[0]+c[1]] = true
	}
	if len(seen) != 25 {
		t.Errorf("%d rows, want one for each of 5 levels and 5 views", len(seen))
	}
}

func TestCapTable(t *testing.T) {
	for _, l := range tableLines(t, "caps.txt") {
		c := l.columns(5)
		t.Run(c[0]+"/"+c[1], func(t *testing.T) {
			w := tableWorld(l.level(t, c[0]))
			rel := relationshipOf("Cap", c[1], "adatum.com")
			if c[1] == "off" {
				rel = relationshipOf("Cap", "LimitedDetails", "adatum.com")
				rel.FreeBusyAccessEnabled = false
			}
			w.org.Relationships = append(w.org.Relationships, rel)
			q := w.question(freebusy.ViewDetailedMerged, "one")
			q.Caller = availability.Caller{Partner: &trust.Caller{Realm: "adatum.com"}}
			l.judge(t, &w.ask(t, q)[0], []string{c[2], "yes", "yes", c[3], c[4]})
		})
	}
}
