package lab_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"busybridge/internal/availability"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
)

// A box is the model of one mailbox: what the questions about it depend on.
type box struct {
	id          string // "" when there is none
	zone        string
	byDefault   freebusy.Level
	own         bool // the colleague has a permission of its own
	toColleague freebusy.Level
	events      [8]entry
}

// An entry is an event of the model, one UID. version is its SEQUENCE.
type entry struct {
	version int
	kind    entryKind
	day     int // after the first of March 2026
	start   int // minutes after midnight
	length  int
	status  freebusy.Status
	private bool
}

type entryKind uint8

const (
	gone     entryKind = iota // cancelled, or never there
	absolute                  // in UTC
	floating                  // in the mailbox's zone
	allDay
	daily    // floating, without end
	thrice   // in UTC, each week
	entryEnd // how many there are
)

// A modelZone is a zone that the model knows: by its Windows name, with the bias in winter.
type modelZone struct {
	name, iana string
	bias       int
}

var modelZones = []modelZone{
	{"UTC", "UTC", 0}, {"W. Europe Standard Time", "Europe/Berlin", -60}, {"Tokyo Standard Time", "Asia/Tokyo", -540}, {"Eastern Standard Time", "America/New_York", 300},
}

// drawEntry is an entry within five weeks, in which Berlin and New York change their clocks.
func drawEntry(rng *rand.Rand, version int) entry {
	return entry{
		version: version, kind: entryKind(rng.IntN(int(entryEnd))), day: rng.IntN(35), start: 30 * (10 + rng.IntN(26)), length: 15 * (1 + rng.IntN(8)),
		status: freebusy.Status(rng.IntN(int(freebusy.NoData))), private: rng.IntN(4) == 0,
	}
}

func uidOf(slot int) string { return fmt.Sprint("slot-", slot) }

func (e *entry) subject(slot int) string { return fmt.Sprintf("slot %d version %d", slot, e.version) }

// vevent is the entry as iCalendar.
func (e *entry) vevent(slot int) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	first := time.Date(2026, 3, 1+e.day, 0, e.start, 0, 0, time.UTC)
	wall := first.Format("20060102T150405")
	line("BEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20260101T000000Z\r\nSEQUENCE:%d\r\nSUMMARY:%s", uidOf(slot), e.version, e.subject(slot))
	switch e.kind {
	case allDay:
		line("DTSTART;VALUE=DATE:%s", first.Format("20060102"))
	case absolute, thrice:
		line("DTSTART:%sZ\r\nDURATION:PT%dM", wall, e.length)
	default:
		line("DTSTART:%s\r\nDURATION:PT%dM", wall, e.length)
	}
	switch e.kind {
	case gone:
		line("STATUS:CANCELLED")
	case daily:
		line("RRULE:FREQ=DAILY")
	case thrice:
		line("RRULE:FREQ=WEEKLY;COUNT=3")
	}
	line("X-MICROSOFT-CDO-BUSYSTATUS:%s", strings.ToUpper(e.status.String()))
	if e.private {
		line("CLASS:PRIVATE")
	}
	line("END:VEVENT")
	return b.String()
}

// times yields the start and end of each instance that overlaps w.
func (e *entry) times(zone string, w freebusy.Window) (out [][2]time.Time) {
	if e.kind == gone {
		return nil
	}
	loc := time.UTC
	if e.kind == floating || e.kind == allDay || e.kind == daily {
		i := slices.IndexFunc(modelZones, func(z modelZone) bool { return z.name == zone })
		loc, _ = time.LoadLocation(modelZones[i].iana)
	}
	add := func(day int) (from time.Time) {
		from = time.Date(2026, 3, 1+day, 0, e.start, 0, 0, loc)
		to := from.Add(time.Duration(e.length) * time.Minute)
		if e.kind == allDay {
			from, to = time.Date(2026, 3, 1+day, 0, 0, 0, 0, loc), time.Date(2026, 3, 2+day, 0, 0, 0, 0, loc)
		}
		if from.Before(w.End) && w.Start.Before(to) {
			out = append(out, [2]time.Time{from.UTC(), to.UTC()})
		}
		return from
	}
	switch e.kind {
	case daily:
		for day := e.day; add(day).Before(w.End); {
			day++
		}
	case thrice:
		for week := range 3 {
			add(e.day + 7*week)
		}
	default:
		add(e.day)
	}
	return out
}

// A looker is who asks.
type looker uint8

const (
	owner looker = iota
	colleague
	somebody
	partner
	lookers // how many there are
)

// An inquiry is what one question asks about each of its mailboxes.
type inquiry struct {
	by     looker
	view   freebusy.View
	window freebusy.Window
	slot   time.Duration
}

var views = []freebusy.View{freebusy.ViewMergedOnly, freebusy.ViewFreeBusy, freebusy.ViewFreeBusyMerged, freebusy.ViewDetailed, freebusy.ViewDetailedMerged}

// drawInquiry is about those five weeks; sometimes about one that no series is expanded for yet.
func drawInquiry(rng *rand.Rand) inquiry {
	day := rng.IntN(35)
	if rng.IntN(20) == 0 {
		day += 365 * (4 + rng.IntN(4))
	}
	start := time.Date(2026, 3, 1+day, rng.IntN(24), 0, 0, 0, time.UTC)
	return inquiry{
		by: looker(rng.IntN(int(lookers))), view: views[rng.IntN(len(views))],
		window: freebusy.Window{Start: start, End: start.Add(time.Duration(1+rng.IntN(14*24)) * time.Hour)},
		slot:   time.Duration(15*(1+rng.IntN(8))) * time.Minute,
	}
}

func (q *inquiry) String() string {
	return fmt.Sprintf("%v asked by %d about %s to %s, slots of %v", q.view, q.by, q.window.Start.Format("2006-01-02T15"), q.window.End.Format("2006-01-02T15"), q.slot)
}

// level is what the one who asks may see (EWS reference 2.4).
func (q *inquiry) level(b *box) freebusy.Level {
	switch {
	case q.by == owner:
		return freebusy.LevelOwner
	case q.by == colleague && b.own:
		return b.toColleague
	case q.by == partner:
		return min(b.byDefault, freebusy.LevelFull)
	}
	return b.byDefault
}

// answer is the model's answer, as tell writes one.
func (q *inquiry) answer(b box) string {
	level := q.level(&b)
	switch {
	case b.id == "" && q.by != partner:
		return string(routing.RecipientNotFound)
	case b.id == "" || level == freebusy.LevelNone:
		return string(routing.NoAccess)
	}
	digits := make([]byte, (q.window.End.Sub(q.window.Start)+q.slot-1)/q.slot)
	for i := range digits {
		digits[i] = '0'
	}
	view := q.view
	if level == freebusy.LevelTime {
		view &^= freebusy.ViewDetails
	}
	var lines []string
	for i := range b.events {
		e := &b.events[i]
		for _, t := range e.times(b.zone, q.window) {
			for k := range digits {
				from := q.window.Start.Add(time.Duration(k) * q.slot)
				to := from.Add(q.slot)
				if to.After(q.window.End) {
					to = q.window.End
				}
				if t[0].Before(to) && from.Before(t[1]) && e.status <= freebusy.OOF {
					digits[k] = max(digits[k], '0'+byte(e.status))
				}
			}
			line := period(t[0], t[1], e.status)
			if view&freebusy.ViewDetails != 0 {
				line += fmt.Sprintf(" series:%v private:%v", e.kind == daily || e.kind == thrice, e.private)
				if open := !e.private || level == freebusy.LevelOwner; open {
					line += " " + e.subject(i)
					if level >= freebusy.LevelFull {
						line += " id"
					}
				}
			}
			lines = append(lines, line)
		}
	}
	zone := slices.IndexFunc(modelZones, func(z modelZone) bool { return z.name == b.zone })
	return paper(view, string(digits), modelZones[zone].bias, lines)
}

func period(from, to time.Time, s freebusy.Status) string {
	return fmt.Sprintf("%s/%s %v", from.Format("2006-01-02T15:04"), to.Format("2006-01-02T15:04"), s)
}

// paper writes an answer with what its view has.
func paper(view freebusy.View, merged string, bias int, lines []string) string {
	s := view.String()
	if view&freebusy.ViewMerged != 0 {
		s += " " + merged
	}
	if view&freebusy.ViewEvents != 0 {
		slices.Sort(lines)
		s += fmt.Sprintf(" bias %d\n    %s", bias, strings.Join(lines, "\n    "))
	}
	return s
}

// tell writes a real answer.
func tell(a *availability.Answer) string {
	if a.Err != nil {
		if me, ok := a.Err.(*routing.MailboxError); ok && me.Reason != routing.GenerationFailed {
			return string(me.Reason)
		}
		return fmt.Sprintf("%v", a.Err)
	}
	bias, zoned := 0, a.View&freebusy.ViewEvents != 0
	if zoned != (a.Hours != nil) {
		return fmt.Sprintf("%v with the working hours %v", a.View, a.Hours)
	}
	if zoned {
		bias = a.Hours.Zone.Bias
	}
	var lines []string
	for _, e := range a.Events {
		line := period(e.Start, e.End, e.Status)
		if d := e.Detail; d != nil {
			line += fmt.Sprintf(" series:%v private:%v", d.Recurring, d.Private)
			if d.Subject != "" {
				line += " " + d.Subject
			}
			if d.ID != "" {
				line += " id"
			}
		}
		lines = append(lines, line)
	}
	return paper(a.View, a.Merged, bias, lines)
}

// The model itself, by hand.
func TestTheModelsAnswers(t *testing.T) {
	b := box{id: "1", zone: "W. Europe Standard Time", byDefault: freebusy.LevelLimited, own: true, toColleague: freebusy.LevelNone}
	b.events[0] = entry{version: 3, kind: floating, day: 27, start: 600, length: 45, status: freebusy.Busy}            // Saturday 28 March 10:00, winter
	b.events[1] = entry{version: 4, kind: daily, day: 28, start: 600, length: 60, status: freebusy.OOF, private: true} // from Sunday 29, summer
	b.events[2] = entry{version: 5, kind: allDay, day: 27, start: 300, length: 15, status: freebusy.Free}              // Saturday
	b.events[3] = entry{version: 6, kind: gone, day: 27, start: 600, length: 600, status: freebusy.OOF}                // cancelled
	b.events[4] = entry{version: 7, kind: thrice, day: 15, start: 660, length: 30, status: freebusy.WorkingElsewhere}  // Monday 16, 23, 30
	q := inquiry{view: freebusy.ViewDetailedMerged, slot: 8 * time.Hour,
		window: freebusy.Window{Start: time.Date(2026, 3, 28, 8, 0, 0, 0, time.UTC), End: time.Date(2026, 3, 30, 12, 0, 0, 0, time.UTC)}}
	for _, tt := range []struct {
		by   looker
		want string
	}{
		{owner, "DetailedMerged 2003003 bias -60\n" +
			"    2026-03-27T23:00/2026-03-28T23:00 Free series:false private:false slot 2 version 5 id\n" +
			"    2026-03-28T09:00/2026-03-28T09:45 Busy series:false private:false slot 0 version 3 id\n" +
			"    2026-03-29T08:00/2026-03-29T09:00 OOF series:true private:true slot 1 version 4 id\n" +
			"    2026-03-30T08:00/2026-03-30T09:00 OOF series:true private:true slot 1 version 4 id\n" +
			"    2026-03-30T11:00/2026-03-30T11:30 WorkingElsewhere series:true private:false slot 4 version 7 id"},
		{colleague, "NoAccess"},
		{somebody, "DetailedMerged 2003003 bias -60\n" +
			"    2026-03-27T23:00/2026-03-28T23:00 Free series:false private:false slot 2 version 5\n" +
			"    2026-03-28T09:00/2026-03-28T09:45 Busy series:false private:false slot 0 version 3\n" +
			"    2026-03-29T08:00/2026-03-29T09:00 OOF series:true private:true\n" +
			"    2026-03-30T08:00/2026-03-30T09:00 OOF series:true private:true\n" +
			"    2026-03-30T11:00/2026-03-30T11:30 WorkingElsewhere series:true private:false slot 4 version 7"},
	} {
		q.by = tt.by
		if got := q.answer(b); got != tt.want {
			t.Errorf("asked by %d:\n%s\nwant\n%s", tt.by, got, tt.want)
		}
	}
	q.by = partner
	if got := q.answer(box{}); got != "NoAccess" {
		t.Errorf("a partner about nobody: %s", got)
	}
}
