package dataset

import (
	"fmt"
	"strings"
	"time"
)

// A zone is one that people of the calendars work in.
type zone struct {
	id   string
	loc  *time.Location
	text string // VTIMEZONE
}

const (
	dateForm  = "20060102"
	localForm = "20060102T150405"
	utcForm   = "20060102T150405Z"
)

var (
	utc   = &zone{id: "UTC", loc: time.UTC}
	zones = []*zone{
		{id: "Europe/Berlin", loc: location("Europe/Berlin"), text: observances("Europe/Berlin",
			"DAYLIGHT", "19810329T020000", "+0100", "+0200", "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\n",
			"STANDARD", "19961027T030000", "+0200", "+0100", "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n")},
		{id: "America/New_York", loc: location("America/New_York"), text: observances("America/New_York",
			"DAYLIGHT", "20070311T020000", "-0500", "-0400", "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\r\n",
			"STANDARD", "20071104T020000", "-0400", "-0500", "RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU\r\n")},
		{id: "Asia/Shanghai", loc: location("Asia/Shanghai"), text: observances("Asia/Shanghai",
			"STANDARD", "19910915T000000", "+0800", "+0800", "")},
	}
)

func location(name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil {
		panic(err) // the zones of the world come with the program
	}
	return l
}

func observances(id string, parts ...string) string {
	var b strings.Builder
	b.WriteString("BEGIN:VTIMEZONE\r\nTZID:" + id + "\r\n")
	for p := parts; len(p) > 0; p = p[5:] {
		fmt.Fprintf(&b, "BEGIN:%s\r\nDTSTART:%s\r\nTZOFFSETFROM:%s\r\nTZOFFSETTO:%s\r\n%sEND:%s\r\n", p[0], p[1], p[2], p[3], p[4], p[0])
	}
	b.WriteString("END:VTIMEZONE\r\n")
	return b.String()
}

// at is the instant of minutes on the zone's clocks. All are in the day time,
// when no clock changes.
func (z *zone) at(minutes int64) int64 {
	t := time.Unix(minutes*60, 0).UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, z.loc).Unix()
}

// stamp is a time as a property's parameters and value.
func stamp(s span, minutes int64, z *zone) string {
	t := time.Unix(minutes*60, 0).UTC()
	switch {
	case s.allDay:
		return ";VALUE=DATE:" + t.Format(dateForm)
	case z == utc:
		return ":" + t.Format(utcForm)
	}
	return ";TZID=" + z.id + ":" + t.Format(localForm)
}

func recurrenceID(s span, z *zone) string { return "RECURRENCE-ID" + stamp(s, s.start, z) + "\r\n" }

// exceptDates puts EXDATEs before the end of the VEVENT that text is.
func exceptDates(text []byte, spans []span, z *zone) []byte {
	const end = "END:VEVENT\r\n"
	text = text[:len(text)-len(end)]
	for _, s := range spans {
		text = fmt.Appendf(text, "EXDATE%s\r\n", stamp(s, s.start, z))
	}
	return append(text, end...)
}

var subjects = []string{"Planning", "Review of the quarter", "One to one", "Stand-up", "Customer call", "Interview", "Architecture board", "Lunch with the team", "Budget", "Training"}

// event appends a VEVENT; more are further properties.
func (g *maker) event(b []byte, uid string, z *zone, s span, k kind, more string) []byte {
	b = fmt.Appendf(b, "BEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20260101T000000Z\r\nDTSTART%s\r\n", uid, stamp(s, s.start, z))
	switch {
	case s.allDay || g.IntN(4) > 0 || z != utc && s.start/1440 != (s.start+s.minutes)/1440:
		b = fmt.Appendf(b, "DTEND%s\r\n", stamp(s, s.start+s.minutes, z))
	default:
		b = fmt.Appendf(b, "DURATION:PT%dM\r\n", s.minutes)
	}
	b = append(b, more...)
	if k.transparent {
		b = append(b, "TRANSP:TRANSPARENT\r\n"...)
	}
	switch {
	case k.cancelled:
		b = append(b, "STATUS:CANCELLED\r\n"...)
	case k.tentative:
		b = append(b, "STATUS:TENTATIVE\r\n"...)
	case k.away && !k.transparent:
		b = append(b, "STATUS:CONFIRMED\r\nX-MICROSOFT-CDO-BUSYSTATUS:OOF\r\n"...)
	}
	b = fmt.Appendf(b, "SUMMARY:%s\r\nLOCATION:Room %d\r\n", subjects[g.IntN(len(subjects))], 1+g.IntN(40))
	b = append(b, "DESCRIPTION:What was said last time\\, what is open\\, and who does what un\r\n til the next time. Papers are where they always are\\; please read them befor\r\n e.\\nDial in from outside with the number on the back of your card.\r\n"...)
	return append(b, "END:VEVENT\r\n"...)
}

const head, foot = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//busybridge//bench//EN\r\n", "END:VCALENDAR\r\n"

// File is the calendar as one iCalendar file.
func (m *Mailbox) File() []byte {
	b := []byte(head)
	for _, z := range zones {
		b = append(b, z.text...)
	}
	for i := range m.Objects {
		b = append(b, m.Objects[i].text...)
	}
	return append(b, foot...)
}

// File is the object alone, as CalDAV puts it.
func (o *Object) File() []byte {
	b := append([]byte(head), o.zone.text...)
	return append(append(b, o.text...), foot...)
}
