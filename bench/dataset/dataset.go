// Package dataset makes the calendars that answers are measured on, and knows
// what is true of them. The truth is computed here from the list of events, by
// plain arithmetic on days: never by reading the files, and never by the
// program's own packages for calendars and recurrences.
package dataset

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A Status is how much an event blocks.
type Status uint8

// The statuses, by their names in an answer of Exchange.
const (
	Free Status = iota
	Tentative
	Busy
	OOF
)

var statusNames = [...]string{"Free", "Tentative", "Busy", "OOF"}

func (s Status) String() string { return statusNames[s] }

// An Occurrence is [Start, End) in seconds since 1970.
type Occurrence struct {
	Start, End int64
	Status     Status
}

// Compare sorts by start, end and status.
func (o Occurrence) Compare(p Occurrence) int {
	return cmp.Or(cmp.Compare(o.Start, p.Start), cmp.Compare(o.End, p.End), cmp.Compare(o.Status, p.Status))
}

// A Window is [Start, End) in seconds since 1970.
type Window struct{ Start, End int64 }

// Days is how long it is.
func (w Window) Days() int { return int((w.End - w.Start) / 86400) }

func window(month time.Month, day, days int) Window {
	start := time.Date(2026, month, day, 0, 0, 0, 0, time.UTC).Unix()
	return Window{start, start + int64(days)*86400}
}

// Weeks are eight windows of a week. The third holds Europe's change of clocks.
func Weeks() []Window {
	return []Window{window(1, 12, 7), window(2, 16, 7), window(3, 23, 7), window(5, 4, 7), window(6, 15, 7), window(8, 24, 7), window(10, 5, 7), window(11, 16, 7)}
}

// Long are eight windows of so many days.
func Long(days int) []Window {
	return []Window{window(1, 5, days), window(2, 10, days), window(3, 1, days), window(4, 15, days), window(6, 1, days), window(7, 20, days), window(9, 10, days), window(10, 25, days)}
}

// A Mailbox is one calendar. All-day events are days of UTC, its own zone.
type Mailbox struct {
	Address string
	Objects []Object
	// Occurrences are those of 2025 to 2027 that are shown, sorted.
	Occurrences []Occurrence
}

// An Object is all that has one UID: an event, or a series and its exceptions.
type Object struct {
	UID  string
	text []byte // VEVENTs
	zone *zone
}

// In are the occurrences that overlap w, whole and in order.
func (m *Mailbox) In(w Window) []Occurrence {
	var out []Occurrence
	for _, o := range m.Occurrences {
		if o.Start < w.End && o.End > w.Start {
			out = append(out, o)
		}
	}
	return out
}

// Address is that of mailbox i.
func Address(i int) string { return fmt.Sprintf("user%04d@%s", i, Domain) }

// Domain is that of all mailboxes.
const Domain = "contoso.com"

// Horizon is what the truth covers.
var Horizon = Window{time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC).Unix()}

// DefaultSeed is that of the published figures.
const DefaultSeed = 20260101

// New makes the calendars: the same for the same numbers.
func New(seed uint64, mailboxes, eventsEach int) []Mailbox {
	out := make([]Mailbox, mailboxes)
	for i := range out {
		out[i] = One(seed, i, eventsEach)
	}
	return out
}

// One makes the calendar of mailbox i.
func One(seed uint64, i, events int) Mailbox {
	g := &maker{Rand: rand.New(rand.NewPCG(seed, uint64(i))), m: Mailbox{Address: Address(i)}} //nolint:gosec // it is to be the same each time
	home := zones[g.IntN(3)]                                                                   // most events are in the zone that their people work in
	for n := range events {
		z := home
		switch g.IntN(10) {
		case 0:
			z = zones[g.IntN(3)]
		case 1:
			z = utc
		}
		uid := fmt.Sprintf("%04d-%05d-%08x@bench.%s", i, n, g.Uint32(), Domain)
		o := Object{UID: uid, zone: z}
		if g.IntN(100) < seriesPercent {
			o.text = g.series(uid, z)
		} else {
			o.text = g.single(uid, z)
		}
		g.m.Objects = append(g.m.Objects, o)
	}
	slices.SortFunc(g.m.Occurrences, Occurrence.Compare)
	return g.m
}

// What the events are like, in percent of all.
const (
	seriesPercent      = 15
	tentativePercent   = 12
	transparentPercent = 8
	cancelledPercent   = 3
	allDayPercent      = 6 // of single events
	absencePercent     = 3
)

type maker struct {
	*rand.Rand
	m Mailbox
}

// A kind is what a VEVENT says of itself.
type kind struct{ tentative, transparent, cancelled, away bool }

func (g *maker) kind() kind {
	n := g.IntN(100)
	k := kind{tentative: n < tentativePercent}
	n -= tentativePercent
	k.transparent = n >= 0 && n < transparentPercent
	n -= transparentPercent
	k.cancelled = n >= 0 && n < cancelledPercent
	return k
}

// status is what the kind shows; ok is false for what is not there any more.
func (k kind) status() (s Status, ok bool) {
	switch {
	case k.cancelled:
		return 0, false
	case k.transparent:
		return Free, true
	case k.tentative:
		return Tentative, true
	case k.away:
		return OOF, true
	}
	return Busy, true
}

// A span is when something is, on the clocks of a zone: minutes since 1970 as if
// they showed UTC.
type span struct {
	start, minutes int64
	allDay         bool
}

func (g *maker) add(s span, z *zone, k kind) {
	status, ok := k.status()
	if !ok {
		return
	}
	o := Occurrence{s.start * 60, (s.start + s.minutes) * 60, status}
	if !s.allDay {
		o.Start = z.at(s.start) // what has a length in hours ends that much later
		o.End = o.Start + s.minutes*60
	}
	if o.Start < Horizon.End && o.End > Horizon.Start {
		g.m.Occurrences = append(g.m.Occurrences, o)
	}
}

// dayOf2026 is a day, since 1970.
func (g *maker) dayOf2026() int64 { return Horizon.Start/86400 + 365 + int64(g.IntN(365)) }

// hours are within a working day.
func (g *maker) hours() (start, minutes int64) {
	return 7*60 + int64(g.IntN(21))*30, []int64{15, 30, 30, 30, 45, 60, 60, 60, 90, 120, 180}[g.IntN(11)]
}

func (g *maker) single(uid string, z *zone) []byte {
	k, day := g.kind(), g.dayOf2026()
	if g.IntN(7) > 0 { // most on working days
		for weekday(day) == 0 || weekday(day) == 6 {
			day++
		}
	}
	s := span{start: day * 1440, minutes: 1440, allDay: true}
	switch n := g.IntN(100); {
	case n < allDayPercent:
	case n < allDayPercent+absencePercent:
		s.minutes = 1440 * int64(2+g.IntN(13))
		k.away = true
	default:
		start, minutes := g.hours()
		s = span{start: day*1440 + start, minutes: minutes}
	}
	g.add(s, z, k)
	return g.event(nil, uid, z, s, k, "")
}

// series makes a recurring event with its exceptions, expanded here.
func (g *maker) series(uid string, z *zone) []byte {
	k := g.kind()
	allDay := g.IntN(25) == 0
	day := Horizon.Start/86400 + 180 + int64(g.IntN(450)) // July 2025 to September 2026
	start, minutes := g.hours()
	first := span{start: day*1440 + start, minutes: minutes}
	if allDay {
		first = span{start: day * 1440, minutes: 1440, allDay: true}
	}
	r := g.rule(day)
	first.start += (r.first - day) * 1440
	days := r.days()
	text := g.event(nil, uid, z, first, k, r.text(first, z))
	at := func(d int64) span { return span{first.start + (d-r.first)*1440, first.minutes, allDay} }

	// Exceptions are among the first: those are in every file of the world.
	changed := map[int64]bool{}
	pick := func() (int64, bool) {
		d := days[g.IntN(min(len(days), 40))]
		taken := changed[d] || d == r.first
		changed[d] = true
		return d, !taken
	}
	var exdates []span
	for range g.IntN(3) {
		if d, ok := pick(); ok {
			exdates = append(exdates, at(d))
		}
	}
	text = exceptDates(text, exdates, z)
	for range max(0, g.IntN(5)-2) {
		if d, ok := pick(); ok {
			s, k := g.override(at(d), k)
			g.add(s, z, k)
			text = g.event(text, uid, z, s, k, recurrenceID(at(d), z))
		}
	}
	delete(changed, r.first) // it was only never taken
	for _, d := range days {
		if !changed[d] {
			g.add(at(d), z, k)
		}
	}
	return text
}

// override is an occurrence that is not as the others.
func (g *maker) override(s span, k kind) (span, kind) {
	switch g.IntN(6) {
	case 0, 1: // at another time, maybe of another day
		s.start += int64(g.IntN(7)-3) * 1440
		if !s.allDay {
			s.start = s.start/1440*1440 + 7*60 + int64(g.IntN(21))*30
		}
	case 2: // longer
		if s.allDay {
			s.minutes += 1440
		} else {
			s.minutes += 30 * int64(1+g.IntN(4))
		}
	case 3:
		k.cancelled = !k.cancelled
	case 4:
		k.transparent = !k.transparent
	case 5:
		k.tentative = !k.tentative
	}
	return s, k
}
