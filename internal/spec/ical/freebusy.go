package ical

import (
	"fmt"
	"strings"
	"time"
)

// A FreeBusy is a VFREEBUSY component (RFC 5545 3.6.4): when somebody is busy
// between Start and End.
type FreeBusy struct {
	UID                 string
	Attendee, Organizer string // CAL-ADDRESS, "mailto:..."; "" for none
	URL                 string // where it was read; "" for nowhere
	Stamp               time.Time
	Start, End          time.Time
	Periods             []Period
}

// A Period is a span with its status. Start < End, both UTC.
type Period struct {
	Start, End time.Time
	Status     Status
}

const utcLayout = "20060102T150405Z"

// fbTypes are the FBTYPE values (RFC 5545 3.2.9) of each Status. Somebody who
// works elsewhere can be met, so is free.
var fbTypes = map[Status]string{
	Free: "FREE", WorkingElsewhere: "FREE", Tentative: "BUSY-TENTATIVE", Busy: "BUSY", OOF: "BUSY-UNAVAILABLE",
}

// AppendFreeBusy appends a VCALENDAR with a VFREEBUSY for each of list, which is
// published.
func AppendFreeBusy(b []byte, list ...FreeBusy) []byte {
	return AppendFreeBusyMethod(b, "PUBLISH", list...)
}

// AppendFreeBusyMethod is AppendFreeBusy with another METHOD; "": none.
func AppendFreeBusyMethod(b []byte, method string, list ...FreeBusy) []byte {
	cal := Component{Name: "VCALENDAR", Properties: []Property{{Name: "VERSION", Value: "2.0"}, {Name: "PRODID", Value: prodID}}}
	if method != "" {
		cal.Properties = append(cal.Properties, Property{Name: "METHOD", Value: method})
	}
	for _, fb := range list {
		c := &Component{Name: "VFREEBUSY"}
		add := func(name, value string, params ...Param) {
			if value != "" {
				c.Properties = append(c.Properties, Property{Name: name, Params: params, Value: value})
			}
		}
		at := func(t time.Time) string {
			if t.IsZero() {
				return ""
			}
			return t.UTC().Format(utcLayout)
		}
		add("UID", EscapeText(fb.UID))
		add("DTSTAMP", at(fb.Stamp))
		add("ORGANIZER", oneLine(fb.Organizer))
		add("ATTENDEE", oneLine(fb.Attendee))
		add("DTSTART", at(fb.Start))
		add("DTEND", at(fb.End))
		add("URL", oneLine(fb.URL))
		for _, p := range fb.Periods {
			kind, ok := fbTypes[p.Status]
			if !ok {
				kind = "BUSY"
			}
			add("FREEBUSY", at(p.Start)+"/"+at(p.End), Param{Name: "FBTYPE", Values: []string{kind}})
		}
		cal.Components = append(cal.Components, c)
	}
	return Append(b, &cal)
}

// oneLine drops what would end a line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// ParseDuration reads a DURATION (RFC 5545 3.3.6), of which a day has 24 hours.
func ParseDuration(s string) (time.Duration, error) {
	l, err := parseDuration(s)
	if err != nil {
		return 0, err
	}
	const limit = 100 * 366 // days
	if l.days < -limit || l.days > limit || l.seconds < -limit*86400 || l.seconds > limit*86400 {
		return 0, fmt.Errorf("%w: %s", errDuration, clip(s))
	}
	return time.Duration(l.days*86400+l.seconds) * time.Second, nil
}

// ParseFreeBusy reads the VFREEBUSY components of a stream. A period that cannot
// be read, or does not end after it begins, is left out with a Problem. An
// unknown FBTYPE is busy; times without a zone are UTC.
func ParseFreeBusy(data []byte, limits Limits) ([]FreeBusy, []Problem, error) {
	cal, problems, err := Parse(data, limits)
	if err != nil {
		return nil, problems, err
	}
	var list []FreeBusy
	for _, root := range cal.Components {
		components := root.Components
		if root.Name == "VFREEBUSY" {
			components = []*Component{root}
		}
		for _, c := range components {
			if c.Name == "VFREEBUSY" {
				fb, more := readFreeBusy(c)
				list, problems = append(list, fb), append(problems, more...)
			}
		}
	}
	return list, problems, nil
}

func readFreeBusy(c *Component) (FreeBusy, []Problem) {
	fb := FreeBusy{UID: c.text("UID")}
	var problems []Problem
	problem := func(line int, format string, args ...any) {
		problems = append(problems, Problem{Line: line, UID: fb.UID, Reason: fmt.Sprintf(format, args...)})
	}
	instant := func(p *Property, value string) (time.Time, bool) {
		t, _, err := parseTime(value)
		if err != nil {
			problem(p.Line, "%s: %v", p.Name, err)
			return time.Time{}, false
		}
		return time.Unix(t, 0).UTC(), true
	}
	for i := range c.Properties {
		p := &c.Properties[i]
		switch p.Name {
		case "ATTENDEE":
			fb.Attendee = p.Value
		case "ORGANIZER":
			fb.Organizer = p.Value
		case "URL":
			fb.URL = p.Value
		case "DTSTAMP":
			fb.Stamp, _ = instant(p, p.Value)
		case "DTSTART":
			fb.Start, _ = instant(p, p.Value)
		case "DTEND":
			fb.End, _ = instant(p, p.Value)
		case "FREEBUSY":
			status := Busy
			switch strings.ToUpper(p.Param("FBTYPE")) {
			case "FREE":
				status = Free
			case "BUSY-TENTATIVE":
				status = Tentative
			case "BUSY-UNAVAILABLE":
				status = OOF
			}
			for v := range strings.SplitSeq(p.Value, ",") {
				begin, rest, ok := strings.Cut(strings.TrimSpace(v), "/")
				if !ok {
					problem(p.Line, "FREEBUSY: %s is no period", clip(v))
					continue
				}
				start, ok := instant(p, begin)
				if !ok {
					continue
				}
				var end time.Time
				if l, err := parseDuration(rest); err == nil {
					end = time.Unix(start.Unix()+l.days*86400+l.seconds, 0).UTC()
				} else if end, ok = instant(p, rest); !ok {
					continue
				}
				if !start.Before(end) {
					problem(p.Line, "FREEBUSY: %s does not end after it begins", clip(v))
					continue
				}
				fb.Periods = append(fb.Periods, Period{start, end, status})
			}
		}
	}
	return fb, problems
}
