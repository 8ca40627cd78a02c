package ical_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/smtpaddr"

	"github.com/google/go-cmp/cmp"
)

var (
	from2026 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	to2026   = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
)

func mustZone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// expandText expands the events of a calendar in 2026 and writes each instance
// as "start/end flags".
func expandText(t testing.TB, x ical.Expander, text string) (list, reasons []string) {
	t.Helper()
	return expandYear(t, x, text, 2026)
}

func expandYear(t testing.TB, x ical.Expander, text string, year int) (list, reasons []string) {
	t.Helper()
	from := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	cal, problems, err := ical.Parse([]byte(text), ical.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range ical.Groups(cal) {
		instances, more := x.Expand(&g, from, from.AddDate(1, 0, 0))
		problems = append(problems, more...)
		for _, i := range instances {
			s := i.Start.Format("0102T1504") + "/" + i.End.Format("0102T1504")
			if i.Status != ical.Busy {
				s += " " + string(i.Status)
			}
			if i.Exception {
				s += " exception"
			}
			list = append(list, s)
		}
	}
	for _, p := range problems {
		reasons = append(reasons, fmt.Sprintf("%d: %s", p.Line, p.Reason))
	}
	return list, reasons
}

func calendar(events ...string) string {
	return "BEGIN:VCALENDAR\n" + strings.Join(events, "") + "END:VCALENDAR\n"
}

func vevent(lines ...string) string {
	return "BEGIN:VEVENT\nUID:1\n" + strings.Join(lines, "\n") + "\nEND:VEVENT\n"
}

func TestExpand(t *testing.T) {
	berlin := ical.Expander{FloatingZone: mustZone(t, "Europe/Berlin")}
	series := []string{"DTSTART;TZID=Europe/Berlin:20260326T090000", "DTEND;TZID=Europe/Berlin:20260326T100000", "RRULE:FREQ=DAILY;COUNT=5"}
	with := func(more ...string) string { return vevent(append(append([]string{}, series...), more...)...) }
	for _, tt := range []struct {
		name, text string
		want       string
	}{
		{"UTC", calendar(vevent("DTSTART:20260305T140000Z", "DTEND:20260305T150000Z")), "0305T1400/0305T1500"},
		{"floating", calendar(vevent("DTSTART:20260305T140000", "DTEND:20260305T150000")), "0305T1300/0305T1400"},
		{"whole day", calendar(vevent("DTSTART;VALUE=DATE:20260305")), "0304T2300/0305T2300"},
		{"whole days over a clock change", calendar(vevent("DTSTART;VALUE=DATE:20260328", "DTEND;VALUE=DATE:20260331")), "0327T2300/0330T2200"},
		{"no length", calendar(vevent("DTSTART:20260305T140000Z")), ""},
		{"ends before it begins", calendar(vevent("DTSTART:20260305T140000Z", "DTEND:20260305T130000Z")), ""},
		{"floating end beside a zone", calendar(vevent("DTSTART;TZID=America/New_York:20260305T140000", "DTEND:20260305T150000")), "0305T1900/0305T2000"},
		{"DTEND before DURATION", calendar(vevent("DTSTART:20260305T140000Z", "DTEND:20260305T150000Z", "DURATION:PT3H")), "0305T1400/0305T1500"},
		{"days of a duration are nominal", calendar(vevent("DTSTART;TZID=Europe/Berlin:20260328T120000", "DURATION:P1D")), "0328T1100/0329T1000"},
		{"hours are exact", calendar(vevent("DTSTART;TZID=Europe/Berlin:20260328T120000", "DURATION:PT24H")), "0328T1100/0329T1100"},
		{"DTEND is exact in a series", calendar(vevent("DTSTART;TZID=Europe/Berlin:20260327T120000", "DTEND;TZID=Europe/Berlin:20260328T120000", "RRULE:FREQ=DAILY;COUNT=2")), "0327T1100/0328T1100 0328T1100/0329T1100"},
		{"series over a clock change", calendar(with()), "0326T0800/0326T0900 0327T0800/0327T0900 0328T0800/0328T0900 0329T0700/0329T0800 0330T0700/0330T0800"},
		{"time that is skipped", calendar(vevent("DTSTART;TZID=Europe/Berlin:20260328T023000", "DURATION:PT30M", "RRULE:FREQ=DAILY;COUNT=3")), "0328T0130/0328T0200 0329T0130/0329T0200 0330T0030/0330T0100"},
		{"EXDATE in another zone", calendar(with("EXDATE:20260327T080000Z,20260328T080000Z,20260329T070000Z")), "0326T0800/0326T0900 0330T0700/0330T0800"},
		{"EXDATE of a whole day", calendar(with("EXDATE;VALUE=DATE:20260327", "EXDATE:20260328T090000,20260329T090000,20260330T090000")), "0326T0800/0326T0900"},
		{"EXRULE", calendar(with("EXRULE:FREQ=DAILY;INTERVAL=2")), "0327T0800/0327T0900 0329T0700/0329T0800"},
		{"RDATE and period", calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H", "RDATE:20260306T140000Z", "RDATE;VALUE=PERIOD:20260307T140000Z/PT2H,20260308T140000Z/20260308T150000Z")),
			"0305T1400/0305T1500 0306T1400/0306T1500 0307T1400/0307T1600 0308T1400/0308T1500"},
		{"start that the rule does not match", calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=1")), "0305T1400/0305T1500 0309T1400/0309T1500"},
		{"UNTIL with its instance", calendar(vevent("DTSTART;TZID=Europe/Berlin:20260305T090000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20260306T080000Z")), "0305T0800/0305T0900 0306T0800/0306T0900"},
		{"UNTIL without Z is local", calendar(vevent("DTSTART;TZID=Europe/Berlin:20260305T090000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20260306T090000")), "0305T0800/0305T0900 0306T0800/0306T0900"},
		{"UNTIL that is a date is that whole day", calendar(vevent("DTSTART;TZID=Europe/Berlin:20260305T090000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20260306")), "0305T0800/0305T0900 0306T0800/0306T0900"},
		{"moved instance", calendar(with(), vevent("RECURRENCE-ID;TZID=Europe/Berlin:20260327T090000", "DTSTART;TZID=Europe/Berlin:20260401T090000", "DURATION:PT2H")),
			"0326T0800/0326T0900 0328T0800/0328T0900 0329T0700/0329T0800 0330T0700/0330T0800 0401T0700/0401T0900 exception"},
		{"override before its master, in UTC", calendar(vevent("RECURRENCE-ID:20260327T080000Z", "DTSTART:20260401T070000Z", "DURATION:PT2H"), with("EXDATE;VALUE=DATE:20260328,20260329,20260330")),
			"0326T0800/0326T0900 0401T0700/0401T0900 exception"},
		{"cancelled instance", calendar(with("EXDATE;VALUE=DATE:20260328,20260329,20260330"), vevent("RECURRENCE-ID;TZID=Europe/Berlin:20260327T090000", "DTSTART;TZID=Europe/Berlin:20260327T090000", "STATUS:CANCELLED")),
			"0326T0800/0326T0900"},
		{"cancelled series keeps its overrides", calendar(with("STATUS:CANCELLED"), vevent("RECURRENCE-ID;TZID=Europe/Berlin:20260327T090000", "DTSTART;TZID=Europe/Berlin:20260327T090000", "DURATION:PT1H")),
			"0327T0800/0327T0900 exception"},
		{"override wins over EXDATE", calendar(with("EXDATE;TZID=Europe/Berlin:20260327T090000", "EXDATE;VALUE=DATE:20260328,20260329,20260330"), vevent("RECURRENCE-ID;TZID=Europe/Berlin:20260327T090000", "DTSTART;TZID=Europe/Berlin:20260327T110000", "DURATION:PT1H")),
			"0326T0800/0326T0900 0327T1000/0327T1100 exception"},
		{"override without a master", calendar(vevent("RECURRENCE-ID:20260327T080000Z", "DTSTART:20260401T070000Z", "DURATION:PT2H")), "0401T0700/0401T0900 exception"},
		{"this and future", calendar(with(), vevent("RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260328T090000", "DTSTART;TZID=Europe/Berlin:20260328T110000", "DURATION:PT2H")),
			"0326T0800/0326T0900 0327T0800/0327T0900 0328T1000/0328T1200 exception 0329T0900/0329T1100 exception 0330T0900/0330T1100 exception"},
		{"whole days, override named with a zone", calendar(vevent("DTSTART;VALUE=DATE:20260305", "RRULE:FREQ=DAILY;COUNT=2"), vevent("RECURRENCE-ID;TZID=America/New_York:20260306T000000", "DTSTART;VALUE=DATE:20260310")),
			"0304T2300/0305T2300 0309T2300/0310T2300 exception"},
		{"whole days, override named in UTC", calendar(vevent("DTSTART;VALUE=DATE:20260305", "RRULE:FREQ=DAILY;COUNT=2"), vevent("RECURRENCE-ID:20260305T230000Z", "DTSTART;VALUE=DATE:20260310")),
			"0304T2300/0305T2300 0309T2300/0310T2300 exception"},
		{"the same override in two forms", calendar(with("EXDATE;VALUE=DATE:20260328,20260329,20260330"), vevent("RECURRENCE-ID:20260327T080000Z", "SEQUENCE:2", "DTSTART:20260327T100000Z", "DURATION:PT1H"), vevent("RECURRENCE-ID;TZID=Europe/Berlin:20260327T090000", "SEQUENCE:1", "DTSTART:20260327T110000Z", "DURATION:PT1H")),
			"0326T0800/0326T0900 0327T1000/0327T1100 exception"},
		{"higher SEQUENCE", calendar(vevent("SEQUENCE:1", "DTSTART:20260305T140000Z", "DURATION:PT1H"), vevent("SEQUENCE:2", "DTSTART:20260306T140000Z", "DURATION:PT1H"), vevent("SEQUENCE:1", "DTSTART:20260307T140000Z", "DURATION:PT1H")), "0306T1400/0306T1500"},
		{"later DTSTAMP", calendar(vevent("DTSTAMP:20260101T000000Z", "DTSTART:20260305T140000Z", "DURATION:PT1H"), vevent("DTSTAMP:20260102T000000Z", "DTSTART:20260306T140000Z", "DURATION:PT1H")), "0306T1400/0306T1500"},
		{"Windows zone", calendar(vevent("DTSTART;TZID=W. Europe Standard Time:20260305T090000", "DURATION:PT1H")), "0305T0800/0305T0900"},
		{"a day longer than the window", calendar(vevent("DTSTART:20200101T000000Z", "DTEND:20300101T000000Z")), "0101T0000/0101T0000"},
		{"not in a calendar", vevent("DTSTART:20260305T140000Z", "DURATION:PT1H"), ""},
	} {
		list, problems := expandText(t, berlin, tt.text)
		if got := strings.Join(list, " "); got != tt.want || len(problems) > 0 {
			t.Errorf("%s: %v\n got %s\nwant %s", tt.name, problems, got, tt.want)
		}
	}
}

func TestStatus(t *testing.T) {
	bob := ical.Expander{Owner: smtpaddr.Must("bob@contoso.com")}
	for _, tt := range []struct {
		name  string
		lines []string
		want  string // "" for not there
	}{
		{"plain", nil, "Busy"},
		{"transparent", []string{"TRANSP:TRANSPARENT"}, "Free"},
		{"tentative", []string{"STATUS:TENTATIVE"}, "Tentative"},
		{"cancelled", []string{"STATUS:CANCELLED"}, ""},
		{"Exchange says free", []string{"X-MICROSOFT-CDO-BUSYSTATUS:FREE"}, "Free"},
		{"Exchange says out", []string{"STATUS:TENTATIVE", "X-MICROSOFT-CDO-BUSYSTATUS:OOF"}, "OOF"},
		{"Exchange over TRANSP", []string{"TRANSP:TRANSPARENT", "X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE"}, "WorkingElsewhere"},
		{"a copy says that it does not know", []string{"X-MICROSOFT-CDO-BUSYSTATUS:NODATA"}, "NoData"},
		{"Exchange says what nobody knows", []string{"X-MICROSOFT-CDO-BUSYSTATUS:ELSE"}, "Busy"},
		{"declined", []string{"ATTENDEE;PARTSTAT=DECLINED:mailto:Bob@Contoso.com"}, ""},
		{"declined, though Exchange says busy", []string{"ATTENDEE;PARTSTAT=DECLINED:mailto:bob@contoso.com", "X-MICROSOFT-CDO-BUSYSTATUS:BUSY"}, ""},
		{"declined by another", []string{"ATTENDEE;PARTSTAT=DECLINED:mailto:ann@contoso.com"}, "Busy"},
		{"accepted", []string{"ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@contoso.com"}, "Busy"},
		{"not answered", []string{"ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@contoso.com"}, "Tentative"},
		{"no PARTSTAT is not answered", []string{"ATTENDEE:MAILTO:bob@contoso.com"}, "Tentative"},
		{"tentatively accepted", []string{"ATTENDEE;PARTSTAT=TENTATIVE:mailto:bob@contoso.com"}, "Tentative"},
		{"not answered, Exchange says busy", []string{"ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@contoso.com", "X-MICROSOFT-CDO-BUSYSTATUS:BUSY"}, "Busy"},
		{"not answered and transparent", []string{"TRANSP:TRANSPARENT", "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@contoso.com"}, "Free"},
		{"address in EMAIL", []string{"ATTENDEE;PARTSTAT=DECLINED;EMAIL=bob@contoso.com:urn:uuid:1"}, ""},
		{"own meeting", []string{"ORGANIZER:mailto:bob@contoso.com", "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@contoso.com"}, "Busy"},
	} {
		cal, _, err := ical.Parse([]byte(calendar(vevent(append(tt.lines, "DTSTART:20260305T140000Z", "DURATION:PT1H")...))), ical.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		g := ical.Groups(cal)
		list, problems := bob.Expand(&g[0], from2026, to2026)
		got := ""
		if len(list) == 1 {
			got = string(list[0].Status)
		}
		if got != tt.want || len(problems) > 0 {
			t.Errorf("%s: %q, want %q; %v", tt.name, got, tt.want, problems)
		}
		if nobody, _ := (&ical.Expander{}).Expand(&g[0], from2026, to2026); len(nobody) == 0 && tt.name != "cancelled" {
			t.Errorf("%s: hidden without an owner", tt.name)
		}
	}
}

// TestWhatAnInstanceShows reads a calendar of the shape that Exchange publishes.
func TestWhatAnInstanceShows(t *testing.T) {
	b, err := os.ReadFile("testdata/exchange.ics")
	if err != nil {
		t.Fatal(err)
	}
	cal, problems, err := ical.Parse(b, ical.Limits{})
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	if got := cal.TimeZone(); got != "Europe/Berlin" {
		t.Errorf("TimeZone() = %q", got)
	}
	x := ical.Expander{FloatingZone: mustZone(t, "Europe/Berlin")}
	var got []ical.Instance
	for _, g := range ical.Groups(cal) {
		list, problems := x.Expand(&g, time.Date(2026, 3, 12, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 31, 0, 0, 0, 0, time.UTC))
		if len(problems) > 0 {
			t.Error(problems)
		}
		got = append(got, list...)
	}
	at := func(day, hour int) time.Time { return time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC) }
	weekly := ical.Instance{UID: "weekly@contoso.com", Status: ical.Busy, Subject: "Team, weekly", Meeting: true, Recurring: true, Reminder: true}
	moved := ical.Instance{UID: "weekly@contoso.com", Start: at(24, 13), End: at(24, 14), Status: ical.OOF, Subject: "Team, weekly, moved", Recurring: true, Exception: true}
	home := ical.Instance{UID: "allday@contoso.com", Status: ical.WorkingElsewhere, Transparent: true, Subject: "Home", AllDay: true, Recurring: true, Private: true}
	set := func(i ical.Instance, start, end time.Time) ical.Instance { i.Start, i.End = start, end; return i }
	want := []ical.Instance{
		moved,
		set(weekly, at(30, 7), at(30, 8)),
		{UID: "allday@contoso.com", Start: at(12, 23), End: at(13, 23), Status: ical.Busy, Subject: "Home", AllDay: true, Recurring: true, Exception: true},
		set(home, at(18, 23), at(19, 23)),
		set(home, at(25, 23), at(26, 23)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestExpandProblems: what cannot be read is reported, and costs no more than it must.
func TestExpandProblems(t *testing.T) {
	for _, tt := range []struct {
		name   string
		text   string
		want   string
		reason string
	}{
		{"no DTSTART", calendar(vevent("SUMMARY:x")), "", "2: event without DTSTART is left out"},
		{"bad DTSTART", calendar(vevent("DTSTART:20261301T000000Z")), "", `4: event is left out: DTSTART: not a date or time: "20261301T000000Z"`},
		{"bad DTEND", calendar(vevent("DTSTART;VALUE=DATE:20260305", "DTEND:None")), "0305T0000/0306T0000", `5: DTEND: not a date or time: "None"`},
		{"bad DURATION", calendar(vevent("DTSTART;VALUE=DATE:20260305", "DURATION:P99999999999W")), "0305T0000/0306T0000", `5: DURATION: not a duration: "P99999999999W": it is too long`},
		{"bad EXDATE", calendar(vevent("DTSTART;VALUE=DATE:20260305", "EXDATE:never")), "0305T0000/0306T0000", `5: EXDATE: not a date or time: "never"`},
		{"bad RDATE", calendar(vevent("DTSTART;VALUE=DATE:20260305", "RDATE:20260306T000000Z/P")), "0305T0000/0306T0000", `5: RDATE is left out: not a duration: "P"`},
		{"INTERVAL=0", calendar(vevent("DTSTART;VALUE=DATE:20260305", "RRULE:FREQ=DAILY;INTERVAL=0")), "0305T0000/0306T0000", `5: RRULE is left out: not a valid recurrence rule: "INTERVAL=0": not a positive number`},
		{"another calendar", calendar(vevent("DTSTART;VALUE=DATE:20260305", "RRULE:RSCALE=HEBREW;FREQ=YEARLY")), "0305T0000/0306T0000", "5: RRULE is left out: recurrence rule of another calendar scale is not supported: HEBREW"},
		{"a billion instances", calendar(vevent("DTSTART:19900101T000000Z", "DURATION:PT1S", "RRULE:FREQ=SECONDLY")), "", "2: series is left out: recurrence rule has too many instances"},
		{"unknown zone, said once", calendar(vevent("DTSTART;TZID=Mars/Base:20260305T090000", "DTEND;TZID=Mars/Base:20260305T100000")), "0305T0900/0305T1000", `4: time zone "Mars/Base" is not known: its times are read as local time`},
		{"the machine's zone", calendar(vevent("DTSTART;TZID=Local:20260305T090000", "DURATION:PT1H")), "0305T0900/0305T1000", `4: time zone "Local" is not known: its times are read as local time`},
		{"bad RECURRENCE-ID", calendar(vevent("RECURRENCE-ID:x", "DTSTART:20260305T140000Z", "DURATION:PT1H")), "", `4: event is left out: RECURRENCE-ID: not a date or time: "x"`},
	} {
		list, reasons := expandText(t, ical.Expander{}, tt.text)
		if got := strings.Join(list, " "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if len(reasons) != 1 || reasons[0] != tt.reason {
			t.Errorf("%s: problems %q, want %q", tt.name, reasons, tt.reason)
		}
	}
}

func TestZones(t *testing.T) {
	zone := func(id string, lines ...string) string {
		return "BEGIN:VTIMEZONE\nTZID:" + id + "\n" + strings.Join(lines, "\n") + "\nEND:VTIMEZONE\n"
	}
	half := func(name, start, from, to string, more ...string) string {
		return "BEGIN:" + name + "\nDTSTART:" + start + "\nTZOFFSETFROM:" + from + "\nTZOFFSETTO:" + to + "\n" + strings.Join(append(more, ""), "\n") + "END:" + name
	}
	event := func(id string) string {
		return vevent("DTSTART;TZID="+id+":20260105T120000", "DURATION:PT1H", "RRULE:FREQ=MONTHLY;INTERVAL=6;COUNT=2")
	}
	for _, tt := range []struct {
		name, text, want string
	}{
		{"own name and rules", calendar(zone("Mine",
			half("STANDARD", "16010101T030000", "+0200", "+0100", "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10"),
			half("DAYLIGHT", "16010101T020000", "+0100", "+0200", "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3")), event("Mine")), "0105T1100/0105T1200 0705T1000/0705T1100"},
		{"zone after the event", calendar(event("Mine"), zone("Mine", half("STANDARD", "19700101T000000", "+0530", "+0530"))), "0105T0630/0105T0730 0705T0630/0705T0730"},
		{"embedded zone wins over the name", calendar(zone("Europe/Berlin", half("STANDARD", "19700101T000000", "+0500", "+0500")), event("Europe/Berlin")), "0105T0700/0105T0800 0705T0700/0705T0800"},
		{"the name counts before the zone begins", calendar(zone("Europe/Berlin", half("STANDARD", "20260601T000000", "+0500", "+0500")), event("Europe/Berlin")), "0105T1100/0105T1200 0705T0700/0705T0800"},
		{"before a private zone begins", calendar(zone("Mine", half("STANDARD", "20260601T000000", "+0300", "+0500")), event("Mine")), "0105T0900/0105T1000 0705T0700/0705T0800"},
		{"both halves begin at once", calendar(zone("Mine",
			half("STANDARD", "16010101T000000", "+0100", "+0100"),
			half("DAYLIGHT", "16010101T000000", "+0100", "+0200")), event("Mine")), "0105T1100/0105T1200 0705T1100/0705T1200"},
		{"X-LIC-LOCATION for a zone without rules", calendar(zone("Mine", "X-LIC-LOCATION:Europe/Berlin"), event("Mine")), "0105T1100/0105T1200 0705T1000/0705T1100"},
		{"UNTIL ended the rules", calendar(zone("Mine",
			half("STANDARD", "19701025T030000", "+0200", "+0100", "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10;UNTIL=20101031T010000Z"),
			half("DAYLIGHT", "19700329T020000", "+0100", "+0200", "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3;UNTIL=20110327T010000Z")), event("Mine")), "0105T1000/0105T1100 0705T1000/0705T1100"},
		{"RDATE", calendar(zone("Mine", half("STANDARD", "19700101T000000", "+0100", "+0100"), half("DAYLIGHT", "20250601T000000", "+0100", "+0200", "RDATE:20260601T000000"),
			half("STANDARD", "20251001T000000", "+0200", "+0100")), event("Mine")), "0105T1100/0105T1200 0705T1000/0705T1100"},
		{"seconds in an offset", calendar(zone("Mine", half("STANDARD", "19700101T000000", "+005328", "+0100")), event("Mine")), "0105T1100/0105T1200 0705T1100/0705T1200"},
		{"name cut at a comma", calendar(zone(`(UTC+05:00) Islamabad\, Karachi\, Elsewhere`, half("STANDARD", "16010101T000000", "+0400", "+0400")), event("(UTC+05:00) Islamabad")), "0105T0800/0105T0900 0705T0800/0705T0900"},
	} {
		list, problems := expandText(t, ical.Expander{}, tt.text)
		if got := strings.Join(list, " "); got != tt.want {
			t.Errorf("%s: %v\n got %s\nwant %s", tt.name, problems, got, tt.want)
		}
	}
}

// TestFloods: very many of one thing take linear time.
func TestFloods(t *testing.T) {
	repeat := func(n int, f func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(f(i))
		}
		return b.String()
	}
	day := func(i int) string { return from2026.AddDate(0, 0, i).Format("20060102T150405Z") }
	const n = 20_000
	for _, tt := range []struct{ name, text string }{
		{"overrides", calendar(vevent("DTSTART:20260101T000000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY"), repeat(n, func(i int) string {
			return vevent("RECURRENCE-ID;RANGE=THISANDFUTURE:"+day(i), "DTSTART:"+day(i), "DURATION:PT2H")
		}))},
		{"versions", calendar(repeat(n, func(i int) string {
			return vevent("SEQUENCE:"+fmt.Sprint(i), "DTSTART:20260101T000000Z", "DURATION:PT1H")
		}))},
		{"rules", calendar(vevent("DTSTART:20260101T000000Z", "DURATION:PT1H", repeat(n, func(int) string { return "RRULE:FREQ=SECONDLY;COUNT=1000000000;BYSECOND=1;BYMONTH=2\n" })))},
		{"times", calendar(vevent("DTSTART:20260101T000000Z", "DURATION:PT1H", "RDATE:"+repeat(n, func(i int) string { return day(i) + "," }), repeat(n, func(i int) string { return "EXDATE:" + day(2*i) + "\n" })))},
		{"zones", calendar(repeat(n, func(i int) string { return fmt.Sprintf("BEGIN:VTIMEZONE\nTZID:zone%d\nEND:VTIMEZONE\n", i) }),
			vevent("DTSTART:20260101T000000Z", "DURATION:PT1H", repeat(n, func(i int) string { return fmt.Sprintf("EXDATE;TZID=none%d:20260101T000000\n", i) })))},
		{"calendars of one event", repeat(n/2, func(i int) string {
			return calendar(fmt.Sprintf("BEGIN:VTIMEZONE\nTZID:zone%d\nEND:VTIMEZONE\n", i), vevent("DTSTART:20260101T000000Z", "DURATION:PT1H"))
		})},
		{"a zone with many observances", calendar("BEGIN:VTIMEZONE\nTZID:Z\n"+repeat(n, func(int) string {
			return "BEGIN:STANDARD\nDTSTART:16010101T000000\nTZOFFSETTO:+0100\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30\nEND:STANDARD\n"
		})+"END:VTIMEZONE\n", vevent("DTSTART;TZID=Z:20260101T000000", "DURATION:PT1H"))},
		{"attendees", calendar(vevent("DTSTART:20260101T000000Z", "DURATION:PT1H", repeat(n, func(i int) string { return fmt.Sprintf("ATTENDEE;CN=a:mailto:a%d@contoso.com\n", i) })))},
	} {
		began := time.Now()
		expandText(t, ical.Expander{Owner: smtpaddr.Must("bob@contoso.com")}, tt.text)
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("%s: %v", tt.name, d)
		} else {
			t.Logf("%s: %v", tt.name, d)
		}
	}
}

func TestSpan(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse("20060102T1504", s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tt := range []struct {
		name, text string
		want       ical.Span
		ok         bool
	}{
		{"single", calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H")), ical.Span{First: at("20260305T1400"), Last: at("20260305T1500")}, true},
		{"counted", calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3")), ical.Span{First: at("20260305T1400"), Last: at("20260307T1500")}, true},
		{"until", calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20260401")), ical.Span{First: at("20260305T1400"), Last: at("20260401T1500")}, true},
		{"endless", calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY")), ical.Span{First: at("20260305T1400"), Last: at("20260305T1500"), Endless: true}, true},
		{"too far to count", calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H", "RRULE:FREQ=SECONDLY;COUNT=2000000000")), ical.Span{First: at("20260305T1400"), Last: at("20260305T1500"), Endless: true}, true},
		{"RDATE and moved instance", calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H", "RDATE:20260201T140000Z"), vevent("RECURRENCE-ID:20260305T140000Z", "DTSTART:20270101T140000Z", "DURATION:PT1H")), ical.Span{First: at("20260201T1400"), Last: at("20270101T1500")}, true},
		{"floating", calendar(vevent("DTSTART;VALUE=DATE:20260305")), ical.Span{First: at("20260305T0000"), Last: at("20260306T0000"), Floating: true}, true},
		{"unknown zone is floating", calendar(vevent("DTSTART;TZID=Mars:20260305T140000", "DURATION:PT1H")), ical.Span{First: at("20260305T1400"), Last: at("20260305T1500"), Floating: true}, true},
		{"unreadable", calendar(vevent("SUMMARY:x")), ical.Span{}, false},
	} {
		cal, _, err := ical.Parse([]byte(tt.text), ical.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		g := ical.Groups(cal)
		got, ok := (&ical.Expander{}).Span(&g[0])
		if diff := cmp.Diff(tt.want, got); diff != "" || ok != tt.ok {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, ok, diff)
		}
	}
}

// TestGroupText: a group's text is a calendar that says the same.
func TestGroupText(t *testing.T) {
	b, err := os.ReadFile("testdata/exchange.ics")
	if err != nil {
		t.Fatal(err)
	}
	cal, _, err := ical.Parse(b, ical.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	groups := ical.Groups(cal)
	if len(groups) != 2 || groups[0].Sequence != 1 || groups[0].Stamp.IsZero() || len(groups[0].Overrides) != 1 {
		t.Fatalf("groups: %+v", groups)
	}
	for i := range groups {
		text := groups[i].Text()
		if n := strings.Count(string(text), "BEGIN:VTIMEZONE"); n != 1 {
			t.Errorf("%s has %d zones", groups[i].UID, n)
		}
		sameGroup(t, &groups[i], text)
	}
	// A version that was left out does not lend its DTSTAMP.
	cal, _, err = ical.Parse([]byte(calendar(vevent("SEQUENCE:1", "DTSTART:20260305T140000Z"), vevent("DTSTAMP:20260101T000000Z", "DTSTART:20260306T140000Z"))), ical.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	groups = ical.Groups(cal)
	sameGroup(t, &groups[0], groups[0].Text())
	// Without a UID the group is named after its text, and keeps the name.
	cal, _, err = ical.Parse([]byte(calendar("BEGIN:VEVENT\nDTSTART:20260305T140000Z\nEND:VEVENT\n\n", "BEGIN:VEVENT\nDTSTART:20260306T140000Z\nEND:VEVENT\n")), ical.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if groups = ical.Groups(cal); len(groups) != 2 || groups[0].UID == groups[1].UID || groups[0].UID == "" {
		t.Fatalf("groups without UID: %+v", groups)
	}
	sameGroup(t, &groups[0], groups[0].Text())
}

func sameGroup(t *testing.T, g *ical.Group, text []byte) {
	t.Helper()
	cal, problems, err := ical.Parse(text, ical.Limits{})
	if err != nil {
		t.Fatalf("%v %v\n%s", err, problems, text)
	}
	again := ical.Groups(cal)
	if len(again) != 1 || again[0].UID != g.UID || again[0].Sequence != g.Sequence || !again[0].Stamp.Equal(g.Stamp) {
		t.Fatalf("%s read back as %+v\n%s", g.UID, again, text)
	}
	x := ical.Expander{FloatingZone: mustZone(t, "Europe/Berlin"), MaxInstances: 1000}
	want, _ := x.Expand(g, from2026, to2026)
	got, _ := x.Expand(&again[0], from2026, to2026)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s read back (-want +got):\n%s\n%s", g.UID, diff, text)
	}
}

func FuzzExpand(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Add([]byte(calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3", "RDATE;VALUE=PERIOD:20260201T140000Z/PT3H"), vevent("RECURRENCE-ID;RANGE=THISANDFUTURE:20260305T140000Z", "DTSTART:20270101T140000Z", "DURATION:P1D"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		cal, _, err := ical.Parse(data, ical.Limits{Bytes: 1 << 16})
		if err != nil {
			return
		}
		began := time.Now()
		x := ical.Expander{FloatingZone: time.UTC, MaxInstances: 1000}
		for _, g := range ical.Groups(cal) {
			list, _ := x.Expand(&g, from2026, to2026)
			for i, in := range list {
				if !in.Start.Before(in.End) || !in.Start.Before(to2026) || !in.End.After(from2026) || i > 0 && in.Start.Before(list[i-1].Start) {
					t.Fatalf("instance %d: %+v", i, in)
				}
			}
			x.Span(&g)
			sameGroup(t, &g, g.Text())
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Fatalf("took %v", d)
		}
	})
}

// BenchmarkExpand60Days expands a mailbox of 10,000 events, 1,500 of them series.
func BenchmarkExpand60Days(b *testing.B) {
	cal, _, err := ical.Parse(tenThousand(), ical.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	groups := ical.Groups(cal)
	from := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	x := ical.Expander{FloatingZone: mustZone(b, "Europe/Berlin")}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for i := range groups {
			list, problems := x.Expand(&groups[i], from, from.AddDate(0, 0, 60))
			if len(problems) > 0 {
				b.Fatal(problems)
			}
			n += len(list)
		}
		if n == 0 {
			b.Fatal("no instances")
		}
	}
}

// What a search finds, beside what takes time.
func TestExpandAll(t *testing.T) {
	text := "BEGIN:VCALENDAR\r\n" +
		"BEGIN:VEVENT\r\nUID:s\r\nDTSTART:20260310T090000Z\r\nDTEND:20260310T100000Z\r\nRRULE:FREQ=DAILY;COUNT=3\r\nEND:VEVENT\r\n" +
		"BEGIN:VEVENT\r\nUID:s\r\nRECURRENCE-ID:20260311T090000Z\r\nDTSTART:20260311T150000Z\r\nDURATION:PT1H\r\nEND:VEVENT\r\n" +
		"BEGIN:VEVENT\r\nUID:c\r\nDTSTART:20260310T120000Z\r\nDTEND:20260310T130000Z\r\nSTATUS:CANCELLED\r\nEND:VEVENT\r\n" +
		"BEGIN:VEVENT\r\nUID:z\r\nDTSTART:20260310T120000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	cal, _, err := ical.Parse([]byte(text), ical.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		when, err := time.Parse("20060102T1504", s)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, tt := range []struct{ from, to, all, busy string }{
		{"20260310T0000", "20260312T0000", "s by 10T09, s by 11T09, c by 10T12, z by 10T12", "s, s"},
		{"20260310T1200", "20260310T1201", "c by 10T12, z by 10T12", ""},
		{"20260310T1100", "20260310T1200", "", ""},
		{"20260310T1201", "20260310T1300", "c by 10T12", ""},
		{"20260310T1300", "20260310T1400", "", ""},
	} {
		var all, busy []string
		for _, g := range ical.Groups(cal) {
			x := ical.Expander{All: true}
			list, _ := x.Expand(&g, at(tt.from), at(tt.to))
			for _, in := range list {
				if in.Component == nil || in.Component.Name != "VEVENT" {
					t.Errorf("%s has no component", in.UID)
				}
				all = append(all, in.UID+" by "+in.By.Format("02T15"))
			}
			x.All = false
			list, _ = x.Expand(&g, at(tt.from), at(tt.to))
			for _, in := range list {
				busy = append(busy, in.UID)
			}
		}
		if got := strings.Join(all, ", "); got != tt.all {
			t.Errorf("%s to %s: %s, want %s", tt.from, tt.to, got, tt.all)
		}
		if got := strings.Join(busy, ", "); got != tt.busy {
			t.Errorf("%s to %s: busy %s, want %s", tt.from, tt.to, got, tt.busy)
		}
	}
}
