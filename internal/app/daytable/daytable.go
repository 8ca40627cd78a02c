// Package daytable draws free/busy for people: a row for each mailbox and day,
// with a bar of the day.
package daytable

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"busybridge/internal/freebusy"
)

// A Row is one mailbox's answer.
type Row struct {
	Address string
	Where   string // a short word for where it lives; may be empty
	Events  []freebusy.Interval
	Err     string // why there is no answer
}

// A Table is a set of rows over one window.
type Table struct {
	Window freebusy.Window
	Zone   *time.Location // of the bars; nil is UTC
	Rows   []Row
	Note   string // printed on the first line after the day, e.g. who asked where
}

// Legend explains the characters of a bar.
const Legend = "· free   ░ tentative   █ busy   ▓ out of office   ○ working elsewhere   ? no data"

const (
	slot     = 30 * time.Minute
	perHours = 3 // a mark on the scale every so many hours
)

var glyphs = map[freebusy.Status]rune{
	freebusy.Free: '·', freebusy.Tentative: '░', freebusy.Busy: '█', freebusy.OOF: '▓', freebusy.WorkingElsewhere: '○', freebusy.NoData: '?',
}

// rank is the order in which statuses hide each other in a slot.
var rank = map[freebusy.Status]int{
	freebusy.WorkingElsewhere: 1, freebusy.NoData: 2, freebusy.Tentative: 3, freebusy.Busy: 4, freebusy.OOF: 5,
}

// Write draws the table: for each local day of the window a heading with the
// hours, and a line for each row.
func (t *Table) Write(w io.Writer) error {
	zone := t.Zone
	if zone == nil {
		zone = time.UTC
	}
	width := 8
	where := 0
	for _, r := range t.Rows {
		width = max(width, utf8.RuneCountInString(r.Address))
		where = max(where, utf8.RuneCountInString(r.Where))
	}
	var b strings.Builder
	for day := range days(t.Window, zone) {
		fmt.Fprintf(&b, "%s", day.Format("Monday 2 January 2006 (UTC-07:00)"))
		if t.Note != "" {
			fmt.Fprintf(&b, ", %s", t.Note)
		}
		b.WriteByte('\n')
		fmt.Fprintf(&b, "%-*s  %-*s ", width, "", where, "")
		for h := 0; h < 24; h += perHours {
			fmt.Fprintf(&b, "%-*s", perHours*int(time.Hour/slot), fmt.Sprintf("%02d", h))
		}
		b.WriteByte('\n')
		for _, r := range t.Rows {
			fmt.Fprintf(&b, "%-*s  %-*s ", width, r.Address, where, r.Where)
			if r.Err != "" {
				fmt.Fprintf(&b, "%s\n", strings.Join(strings.Fields(r.Err), " "))
				continue
			}
			b.WriteString(bar(day, r.Events, t.Window))
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	b.WriteString(Legend)
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// days yields the local midnights of the days that w touches.
func days(w freebusy.Window, zone *time.Location) func(func(time.Time) bool) {
	return func(yield func(time.Time) bool) {
		s := w.Start.In(zone)
		for d := time.Date(s.Year(), s.Month(), s.Day(), 0, 0, 0, 0, zone); d.Before(w.End); d = time.Date(d.Year(), d.Month(), d.Day()+1, 0, 0, 0, 0, zone) {
			if !yield(d) {
				return
			}
		}
	}
}

// bar is one character for each half-hour of wall clock; outside the window it
// is blank. On a day with a clock change, a half-hour that does not exist shows
// what follows it.
func bar(day time.Time, events []freebusy.Interval, w freebusy.Window) string {
	n := int(24 * time.Hour / slot)
	out := make([]rune, n)
	for i := range out {
		from := time.Date(day.Year(), day.Month(), day.Day(), 0, i*int(slot/time.Minute), 0, 0, day.Location())
		to := from.Add(slot)
		if !w.Overlaps(from, to) {
			out[i] = ' '
			continue
		}
		best := freebusy.Free
		for _, e := range events {
			if e.Start.Before(to) && from.Before(e.End) && rank[e.Status] > rank[best] {
				best = e.Status
			}
		}
		out[i] = glyphs[best]
	}
	return strings.TrimRight(string(out), " ")
}
