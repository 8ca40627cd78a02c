package syncsource

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"busybridge/internal/freebusy"
	"busybridge/internal/spec/ical"
)

// A picture is what a server tells of the busy time of a mailbox in a window: the
// rest of time is not known.
type picture struct {
	freebusy.Window
	entries []entry
}

// An entry is one time that a server told of.
type entry struct {
	freebusy.Interval
	uid string // iCalendar's; "": it was not told, and one is made
	// recurrenceID is when the occurrence of a series would begin, stamp how old the
	// entry is; nil: not told.
	recurrenceID, stamp *time.Time
}

// add takes the entries of one question, which was about part. A question returns
// whole what reaches into its time, so that one that began before was told already
// by the question about the time before.
func (p *picture) add(part freebusy.Window, list []entry) {
	for _, e := range list {
		if e.Start.IsZero() || part.Overlaps(e.Start, e.End) && (!e.Start.Before(part.Start) || part.Start.Equal(p.Start)) {
			p.entries = append(p.entries, e)
		}
	}
}

// What is before the first and behind the last of these days nobody asks about.
var (
	firstDay = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	lastDay  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// text writes p as an iCalendar file, the same for the same picture, which id tells
// from others. The time around the window is there as two events without data:
// what is not known is not free.
func (p *picture) text(id string) []byte {
	slices.SortFunc(p.entries, compareEntries)
	b := []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//busybridge//EN\r\n")
	unknown := func(name string, start, end time.Time) {
		if start.Before(end) {
			b = ical.Append(b, eventOf(entry{uid: name + "-" + id, Interval: freebusy.Interval{Start: start, End: end, Status: freebusy.NoData}}, nil))
		}
	}
	unknown("before", firstDay, p.Start)
	unknown("after", p.End, lastDay)
	series := map[string][]entry{} // occurrences that are as their series says
	same := map[string]int{}
	for _, e := range p.entries {
		switch {
		case e.uid == "":
			// Of several that nothing tells apart each has a number.
			key := fmt.Sprint(e.Start.Unix(), " ", e.End.Unix(), " ", e.Status)
			if d := e.Detail; d != nil {
				key += fmt.Sprintf(" %q %q %q", d.ID, d.Subject, d.Location)
			}
			same[key]++
			sum := sha256.Sum256(fmt.Append(nil, id, " ", key, " ", same[key]))
			e.uid = hex.EncodeToString(sum[:16])
			b = ical.Append(b, eventOf(e, nil))
		case e.recurrenceID != nil && !e.Detail.Exception && !e.Start.IsZero():
			series[seriesKey(e)] = append(series[seriesKey(e)], e)
		default:
			// Two events with one UID would be taken for one.
			if e.recurrenceID == nil {
				if same["uid "+e.uid]++; same["uid "+e.uid] > 1 {
					e.uid = fmt.Sprint(e.uid, "-", same["uid "+e.uid])
				}
			}
			b = ical.Append(b, eventOf(e, nil))
		}
	}
	// A series is its occurrences: a master that is the first of those that are alike,
	// and the times of the others (RFC 5545 3.8.5.2). Of one UID only one can be that;
	// others are as exceptions.
	masters := map[string]bool{}
	for _, e := range p.entries {
		key := seriesKey(e)
		list := series[key]
		if e.uid == "" || len(list) == 0 {
			continue
		}
		delete(series, key)
		if !masters[e.uid] {
			masters[e.uid] = true
			b = ical.Append(b, eventOf(list[0], list))
			continue
		}
		for _, o := range list {
			b = ical.Append(b, eventOf(o, nil))
		}
	}
	return append(b, "END:VCALENDAR\r\n"...)
}

// around is how many events of text are of the time around the window.
func (p *picture) around() (n int) {
	if firstDay.Before(p.Start) {
		n++
	}
	if p.End.Before(lastDay) {
		n++
	}
	return n
}

// seriesKey is what occurrences have in common that differ in their time only.
func seriesKey(e entry) string {
	if e.Detail == nil {
		return ""
	}
	return fmt.Sprintf("%q %v %q %q %v", e.uid, e.Status, e.Detail.Subject, e.Detail.Location, *e.Detail)
}

func compareEntries(a, b entry) int {
	text := func(e entry) string {
		if e.Detail == nil {
			return ""
		}
		return e.Detail.ID + "\x00" + e.Detail.Subject + "\x00" + e.Detail.Location
	}
	return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End), cmp.Compare(a.uid, b.uid), cmp.Compare(a.Status, b.Status), cmp.Compare(text(a), text(b)))
}

const icalTime = "20060102T150405Z"

// eventOf is the VEVENT of an entry, with the times of a whole series where it is
// the first of one. An entry without time makes an event that cannot be read, so
// that it is counted as such.
func eventOf(e entry, series []entry) *ical.Component {
	c := &ical.Component{Name: "VEVENT"}
	set := func(name, value string) {
		c.Properties = append(c.Properties, ical.Property{Name: name, Value: value})
	}
	set("UID", ical.EscapeText(e.uid))
	if e.stamp != nil {
		set("DTSTAMP", e.stamp.UTC().Format(icalTime))
	}
	if !e.Start.IsZero() {
		set("DTSTART", e.Start.UTC().Format(icalTime))
		set("DTEND", e.End.UTC().Format(icalTime))
	}
	d := e.Detail
	switch {
	case len(series) > 0:
		periods := make([]string, len(series))
		for i, o := range series {
			periods[i] = o.Start.UTC().Format(icalTime) + "/" + o.End.UTC().Format(icalTime)
		}
		c.Properties = append(c.Properties, ical.Property{Name: "RDATE", Params: []ical.Param{{Name: "VALUE", Values: []string{"PERIOD"}}}, Value: strings.Join(periods, ",")})
	case e.recurrenceID != nil:
		set("RECURRENCE-ID", e.recurrenceID.UTC().Format(icalTime))
	case d != nil && d.Exception: // of a series that has no name
		set("RECURRENCE-ID", e.Start.UTC().Format(icalTime))
	case d != nil && d.Recurring:
		set("RDATE", e.Start.UTC().Format(icalTime))
	}
	set("X-MICROSOFT-CDO-BUSYSTATUS", strings.ToUpper(e.Status.String()))
	if e.Status == freebusy.Free || e.Status == freebusy.WorkingElsewhere {
		set("TRANSP", "TRANSPARENT")
	}
	if d == nil {
		return c
	}
	for _, f := range [][2]string{{"SUMMARY", d.Subject}, {"LOCATION", d.Location}} {
		if f[1] != "" {
			set(f[0], ical.EscapeText(f[1]))
		}
	}
	if d.Private {
		set("CLASS", "PRIVATE")
	}
	if d.Meeting { // with whom was not told
		set("ORGANIZER", "invalid:nomail")
	}
	if d.Reminder {
		c.Components = append(c.Components, &ical.Component{Name: "VALARM", Properties: []ical.Property{
			{Name: "ACTION", Value: "DISPLAY"}, {Name: "DESCRIPTION", Value: "Reminder"}, {Name: "TRIGGER", Value: "-PT15M"},
		}})
	}
	return c
}
