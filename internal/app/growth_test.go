package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"busybridge/internal/growthtest"
)

// question returns a function that asks, and the number of entries in its answer.
func (a *answers) question(t *testing.T, body string, mailboxes int) (ask func(), entries int) {
	t.Helper()
	rec := httptest.NewRecorder()
	a.Handler().ServeHTTP(rec, a.post(t, body))
	if n := strings.Count(rec.Body.String(), ">NoError<"); n != mailboxes {
		t.Fatalf("%d of %d answers: %.2000s", n, mailboxes, rec.Body)
	}
	r := a.post(t, body)
	return func() {
		r.Body = io.NopCloser(strings.NewReader(body))
		a.Handler().ServeHTTP(&nowhere{header: http.Header{}}, r)
	}, strings.Count(rec.Body.String(), "<CalendarEvent>")
}

func TestCostGrowsWithTheQuestion(t *testing.T) {
	a := newAnswers(t, 100)
	for i := range 100 {
		a.fill(t, i, year(i, 60))
	}
	one, _ := a.question(t, a.request(march, 7, names(0, 1)...), 1)
	hundred, week := a.question(t, a.request(march, 7, names(0, 100)...), 100)
	t.Run("a mailbox of 100 costs at most half of one alone", func(t *testing.T) { growthtest.Law(t, 50, one, hundred) })
	long, days := a.question(t, a.request(march, 60, names(0, 100)...), 100)
	more := float64(days) / float64(week)
	t.Run(fmt.Sprintf("60 days have %.1f times the entries of a week", more), func(t *testing.T) { growthtest.Law(t, more, hundred, long) })
}

func TestCostGrowsWithWhatIsStored(t *testing.T) {
	const series = "RRULE:FREQ=DAILY\r\n"
	a := newAnswers(t, 12)
	inside := func(from, n int) (out []string) { // in the week that is asked for, 9 March
		for i := range n {
			out = append(out, one(fmt.Sprint("in", from+i), march.Add(time.Duration(from+i)*10*time.Minute), ""))
		}
		return out
	}
	outside := func(n int) (out []string) {
		for i := range n {
			day := i % 350
			if day >= 60 {
				day += 15 // not in the window
			}
			out = append(out, one(fmt.Sprint("out", i), time.Date(2026, 1, 1+day, 8, i/350*10, 0, 0, time.UTC), ""))
		}
		return out
	}
	many := func(texts ...string) []string { return texts }
	calendars := map[int][]string{
		0: append(inside(0, 20), outside(200)...), 1: append(inside(0, 20), outside(2000)...),
		2: inside(0, 50), 3: inside(0, 500),
		4: many(one("s", march.AddDate(0, 0, -3), series)),
		5: many(one("s", march.AddDate(-10, 0, 0), series)),
		6: many(one("s", march.AddDate(-10, 0, 0), "RRULE:FREQ=DAILY;COUNT=5000\r\n")),
	}
	for i, events := range calendars {
		a.fill(t, i, calendar(events...))
	}
	ask := func(t *testing.T, mailbox int, from time.Time, want int) func() {
		t.Helper()
		f, n := a.question(t, a.request(from, 7, names(mailbox, 1)...), 1)
		if n != want {
			t.Fatalf("mailbox %d has %d entries in the week, want %d", mailbox, n, want)
		}
		return f
	}
	t.Run("ten times the events outside of the window", func(t *testing.T) { growthtest.Law(t, 1.1, ask(t, 0, march, 20), ask(t, 1, march, 20)) })
	t.Run("ten times the events in the window", func(t *testing.T) { growthtest.Law(t, 10, ask(t, 2, march, 50), ask(t, 3, march, 500)) })
	t.Run("a series that began 10 years ago", func(t *testing.T) { growthtest.Law(t, 1.1, ask(t, 4, march, 7), ask(t, 5, march, 7)) })
	t.Run("a series of 5000 that began 10 years ago", func(t *testing.T) { growthtest.Law(t, 1.5, ask(t, 4, march, 7), ask(t, 6, march, 7)) })
	t.Run("an endless series in 20 years", func(t *testing.T) { growthtest.Law(t, 1.1, ask(t, 4, march, 7), ask(t, 4, march.AddDate(20, 0, 0), 7)) })

	// 10,000 mailboxes, all of which were asked for.
	before := ask(t, 0, march, 20)
	grown := newAnswers(t, 10_000)
	grown.fill(t, 5000, calendar(calendars[0]...))
	for i := 0; i < 10_000; i += 100 {
		grown.question(t, grown.request(march, 7, names(i, 100)...), 100)
	}
	after, n := grown.question(t, grown.request(march, 7, names(5000, 1)...), 1)
	if n != 20 {
		t.Fatalf("%d entries, want 20", n)
	}
	t.Run("10,000 mailboxes instead of a dozen", func(t *testing.T) { growthtest.Law(t, 1.2, before, after) })
}
