package ical_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"busybridge/internal/spec/ical"

	"github.com/google/go-cmp/cmp"
)

// TestCalendars: what calendars say in rare cases. The answers were worked out by
// hand, from the clocks of the place in that year.
func TestCalendars(t *testing.T) {
	zone := func(id string, lines ...string) string {
		return "BEGIN:VTIMEZONE\nTZID:" + id + "\n" + strings.Join(lines, "\n") + "\nEND:VTIMEZONE\n"
	}
	half := func(name, start, from, to string, more ...string) string {
		return "BEGIN:" + name + "\nDTSTART:" + start + "\nTZOFFSETFROM:" + from + "\nTZOFFSETTO:" + to + "\n" + strings.Join(append(more, ""), "\n") + "END:" + name
	}
	const rid = "RECURRENCE-ID;TZID=Europe/Berlin:"
	daily := vevent("DTSTART;TZID=Europe/Berlin:20260326T090000", "DTEND;TZID=Europe/Berlin:20260326T100000", "RRULE:FREQ=DAILY;COUNT=5")
	late := vevent("DTSTART;TZID=Europe/Berlin:20260326T230000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=4")
	berlin := zone("Mine",
		half("STANDARD", "16010101T030000", "+0200", "+0100", "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10"),
		half("DAYLIGHT", "16010101T020000", "+0100", "+0200", "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3"))
	newYork := zone("US Eastern", // as RFC 5545 3.6.5 has it
		half("DAYLIGHT", "19870405T020000", "-0500", "-0400", "RRULE:FREQ=YEARLY;BYMONTH=4;BYDAY=1SU;UNTIL=20060402T070000Z"),
		half("STANDARD", "19671029T020000", "-0400", "-0500", "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU;UNTIL=20061029T060000Z"),
		half("DAYLIGHT", "20070311T020000", "-0500", "-0400", "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU"),
		half("STANDARD", "20071104T020000", "-0400", "-0500", "RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU"))

	for _, tt := range []struct {
		name     string
		year     int    // 0: 2026
		floating string // "": Europe/Berlin
		text     string
		want     string
	}{
		// The five mistakes that other servers make.
		{"every other week on several days, not from the first of them on", 0, "",
			calendar(vevent("DTSTART:20260304T090000Z", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,FR;COUNT=6")),
			"0304T0900/0304T1000 0306T0900/0306T1000 0316T0900/0316T1000 0318T0900/0318T1000 0320T0900/0320T1000 0330T0900/0330T1000"},
		{"override that is free, and one that is cancelled", 0, "",
			calendar(daily, vevent(rid+"20260326T090000", "DTSTART:20260326T080000Z", "DURATION:PT1H", "TRANSP:TRANSPARENT"), vevent(rid+"20260327T090000", "DTSTART:20260327T080000Z", "DURATION:PT1H", "STATUS:CANCELLED")),
			"0326T0800/0326T0900 Free exception 0328T0800/0328T0900 0329T0700/0329T0800 0330T0700/0330T0800"},
		{"busy override of a free series", 0, "",
			calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H", "TRANSP:TRANSPARENT", "RRULE:FREQ=DAILY;COUNT=2"), vevent("RECURRENCE-ID:20260306T140000Z", "DTSTART:20260306T140000Z", "DURATION:PT1H")),
			"0305T1400/0305T1500 Free 0306T1400/0306T1500 exception"},
		{"two overrides at one time, the later in the file cancelled", 0, "",
			calendar(daily, vevent(rid+"20260326T090000", "DTSTART:20260401T080000Z", "DURATION:PT1H"), vevent(rid+"20260327T090000", "DTSTART:20260401T080000Z", "DURATION:PT1H", "STATUS:CANCELLED")),
			"0328T0800/0328T0900 0329T0700/0329T0800 0330T0700/0330T0800 0401T0800/0401T0900 exception"},
		{"two overrides at one time, the later in the file busy", 0, "",
			calendar(daily, vevent(rid+"20260326T090000", "DTSTART:20260401T080000Z", "DURATION:PT1H", "STATUS:CANCELLED"), vevent(rid+"20260327T090000", "DTSTART:20260401T080000Z", "DURATION:PT1H")),
			"0328T0800/0328T0900 0329T0700/0329T0800 0330T0700/0330T0800 0401T0800/0401T0900 exception"},
		{"all is cancelled", 0, "",
			calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H", "STATUS:CANCELLED", "RRULE:FREQ=DAILY;COUNT=2"), vevent("RECURRENCE-ID:20260306T140000Z", "DTSTART:20260306T150000Z", "DURATION:PT1H", "STATUS:CANCELLED")), ""},
		{"all-day events end at midnight", 0, "",
			calendar(vevent("DTSTART;VALUE=DATE:20260305", "DTEND;VALUE=DATE:20260307", "RRULE:FREQ=WEEKLY;COUNT=2")),
			"0304T2300/0306T2300 0311T2300/0313T2300"},

		// Exceptions.
		{"overrides that move across days", 0, "",
			calendar(late, vevent(rid+"20260327T230000", "DTSTART;TZID=Europe/Berlin:20260328T000000", "DURATION:PT1H"), vevent(rid+"20260328T230000", "DTSTART;TZID=Europe/Berlin:20260402T230000", "DURATION:PT1H"), vevent(rid+"20260329T230000", "DTSTART;TZID=Europe/Berlin:20260325T230000", "DURATION:PT1H")),
			"0325T2200/0325T2300 exception 0326T2200/0326T2300 0327T2300/0328T0000 exception 0402T2100/0402T2200 exception"},
		{"override that moves into the window", 0, "",
			calendar(vevent("DTSTART:20251229T090000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3"), vevent("RECURRENCE-ID:20251230T090000Z", "DTSTART:20260102T090000Z", "DURATION:PT1H")),
			"0102T0900/0102T1000 exception"},
		{"override that moves out of it", 0, "",
			calendar(vevent("DTSTART:20261230T090000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2"), vevent("RECURRENCE-ID:20261230T090000Z", "DTSTART:20270110T090000Z", "DURATION:PT1H")),
			"1231T0900/1231T1000"},
		{"COUNT counts what was taken out", 0, "",
			calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=4", "EXDATE:20260306T140000Z", "RDATE:20260320T140000Z"), vevent("RECURRENCE-ID:20260307T140000Z", "DTSTART:20260315T140000Z", "DURATION:PT1H")),
			"0305T1400/0305T1500 0308T1400/0308T1500 0315T1400/0315T1500 exception 0320T1400/0320T1500"},
		{"EXRULE of a later year, in old data", 0, "",
			calendar(vevent("DTSTART:20260102T090000Z", "DURATION:PT1H", "RRULE:FREQ=MONTHLY;COUNT=6", "EXRULE:FREQ=YEARLY;BYMONTH=2,3,4;BYMONTHDAY=2;UNTIL=20260315")),
			"0102T0900/0102T1000 0402T0900/0402T1000 0502T0900/0502T1000 0602T0900/0602T1000"},
		{"a period has its own length though the rule names its start", 0, "",
			calendar(vevent("DTSTART:20260305T140000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2", "RDATE;VALUE=PERIOD:20260306T140000Z/PT3H")),
			"0305T1400/0305T1500 0306T1400/0306T1700"},

		// RANGE=THISANDFUTURE, RFC 5545 3.8.4.4.
		{"from here on, named in UTC over a change of the clocks", 0, "",
			calendar(daily, vevent("RECURRENCE-ID;RANGE=THISANDFUTURE:20260328T080000Z", "DTSTART;TZID=Europe/Berlin:20260328T110000", "DURATION:PT2H")),
			"0326T0800/0326T0900 0327T0800/0327T0900 0328T1000/0328T1200 exception 0329T0900/0329T1100 exception 0330T0900/0330T1100 exception"},
		{"from here on, all in UTC: the clock of the series counts", 0, "",
			calendar(daily, vevent("RECURRENCE-ID;RANGE=THISANDFUTURE:20260328T080000Z", "DTSTART:20260328T100000Z", "DURATION:PT2H")),
			"0326T0800/0326T0900 0327T0800/0327T0900 0328T1000/0328T1200 exception 0329T0900/0329T1100 exception 0330T0900/0330T1100 exception"},
		{"from here on, named by the date", 0, "",
			calendar(daily, vevent("RECURRENCE-ID;RANGE=THISANDFUTURE;VALUE=DATE:20260328", "DTSTART;TZID=Europe/Berlin:20260328T110000", "DURATION:PT2H")),
			"0326T0800/0326T0900 0327T0800/0327T0900 0328T1000/0328T1200 exception 0329T0900/0329T1100 exception 0330T0900/0330T1100 exception"},
		{"from here on in another zone", 0, "", // New York changed on 8 March, Berlin does on 29 March
			calendar(daily, vevent("RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260328T090000", "DTSTART;TZID=America/New_York:20260328T090000", "DURATION:PT1H")),
			"0326T0800/0326T0900 0327T0800/0327T0900 0328T1300/0328T1400 exception 0329T1300/0329T1400 exception 0330T1300/0330T1400 exception"},
		{"from here on twice, with one that is different and one left out", 0, "",
			calendar(strings.Replace(daily, "COUNT=5", "COUNT=7\nEXDATE;TZID=Europe/Berlin:20260401T090000", 1),
				vevent("RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260330T090000", "DTSTART;TZID=Europe/Berlin:20260331T090000", "DURATION:PT1H"),
				vevent("RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260327T090000", "DTSTART;TZID=Europe/Berlin:20260327T100000", "DURATION:PT1H"),
				vevent(rid+"20260328T090000", "DTSTART;TZID=Europe/Berlin:20260328T200000", "DURATION:PT1H")),
			"0326T0800/0326T0900 0327T0900/0327T1000 exception 0328T1900/0328T2000 exception 0329T0800/0329T0900 exception 0331T0700/0331T0800 exception 0401T0700/0401T0800 exception"},
		{"from here on cancelled", 0, "",
			calendar(daily, vevent("RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260328T090000", "DTSTART;TZID=Europe/Berlin:20260328T090000", "STATUS:CANCELLED")),
			"0326T0800/0326T0900 0327T0800/0327T0900"},
		{"from here on, whole days", 0, "",
			calendar(vevent("DTSTART;VALUE=DATE:20260327", "RRULE:FREQ=DAILY;COUNT=4"), vevent("RECURRENCE-ID;VALUE=DATE;RANGE=THISANDFUTURE:20260329", "DTSTART;VALUE=DATE:20260402", "DTEND;VALUE=DATE:20260404")),
			"0326T2300/0327T2300 0327T2300/0328T2300 0401T2200/0403T2200 exception 0402T2200/0404T2200 exception"},

		// Rules.
		{"29 February every year", 2028, "", calendar(vevent("DTSTART:20240229T090000Z", "DURATION:PT1H", "RRULE:FREQ=YEARLY")), "0229T0900/0229T1000"},
		{"29 February has no other day", 0, "", calendar(vevent("DTSTART:20240229T090000Z", "DURATION:PT1H", "RRULE:FREQ=YEARLY")), ""},
		{"the last day of February", 0, "", calendar(vevent("DTSTART:20240229T090000Z", "DURATION:PT1H", "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1")), "0228T0900/0228T1000"},
		{"day 366", 2028, "", calendar(vevent("DTSTART:20241231T090000Z", "DURATION:PT1H", "RRULE:FREQ=YEARLY;BYYEARDAY=366")), "1231T0900/1231T1000"},
		{"the 31st skips short months", 0, "", calendar(vevent("DTSTART:20260131T090000Z", "DURATION:PT1H", "RRULE:FREQ=MONTHLY;UNTIL=20260601")), "0131T0900/0131T1000 0331T0900/0331T1000 0531T0900/0531T1000"},
		{"last workday of the month, as Outlook writes it", 0, "", calendar(vevent("DTSTART:20260130T090000Z", "DURATION:PT1H", "RRULE:FREQ=MONTHLY;COUNT=3;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1")), "0130T0900/0130T1000 0227T0900/0227T1000 0331T0900/0331T1000"},
		{"the last but one, and the first", 0, "", calendar(vevent("DTSTART:20260101T090000Z", "DURATION:PT1H", "RRULE:FREQ=MONTHLY;COUNT=4;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-2")), "0101T0900/0101T1000 0129T0900/0129T1000 0202T0900/0202T1000 0226T0900/0226T1000"},
		{"Monday of week 20, RFC 5545 3.8.5.3", 1998, "", calendar(vevent("DTSTART;TZID=America/New_York:19970512T090000", "DURATION:PT1H", "RRULE:FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO")), "0511T1300/0511T1400"},
		{"week numbers of every other year count from the year of a start that is not among them", 0, "", calendar(vevent("DTSTART:20241231T090000Z", "DURATION:PT1H", "RRULE:FREQ=YEARLY;INTERVAL=2;BYWEEKNO=10;BYDAY=MO")), "0302T0900/0302T1000"},
		{"Friday of week 53 lies in the year after", 2027, "", calendar(vevent("DTSTART:20210101T090000Z", "DURATION:PT1H", "RRULE:FREQ=YEARLY;BYWEEKNO=53;BYDAY=FR;COUNT=2")), "0101T0900/0101T1000"},
		{"weeks that begin on Monday, RFC 5545 3.8.5.3", 1997, "", calendar(vevent("DTSTART;TZID=America/New_York:19970805T090000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO")), "0805T1300/0805T1400 0810T1300/0810T1400 0819T1300/0819T1400 0824T1300/0824T1400"},
		{"weeks that begin on Sunday", 1997, "", calendar(vevent("DTSTART;TZID=America/New_York:19970805T090000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU")), "0805T1300/0805T1400 0817T1300/0817T1400 0819T1300/0819T1400 0831T1300/0831T1400"},

		// Clocks that change.
		{"UNTIL in UTC lies in an hour that occurs twice", 0, "", calendar(vevent("DTSTART;TZID=Europe/Berlin:20261024T023000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20261025T010000Z")), "1024T0030/1024T0130 1025T0030/1025T0130"},
		{"UNTIL in UTC lies before a time that is skipped", 0, "", calendar(vevent("DTSTART;TZID=Europe/Berlin:20260328T023000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20260329T010000Z")), "0328T0130/0328T0230"},
		{"RDATE in UTC in the second of two hours", 0, "", calendar(vevent("DTSTART;TZID=Europe/Berlin:20261020T023000", "DURATION:PT1H", "RDATE:20261025T013000Z")), "1020T0030/1020T0130 1025T0130/1025T0230"},
		{"hourly over an hour that is skipped", 0, "", calendar(vevent("DTSTART;TZID=Europe/Berlin:20260329T013000", "DURATION:PT30M", "RRULE:FREQ=HOURLY;COUNT=4")), "0329T0030/0329T0100 0329T0130/0329T0200 0329T0230/0329T0300"},
		{"hourly over an hour that occurs twice", 0, "", calendar(vevent("DTSTART;TZID=Europe/Berlin:20261025T013000", "DURATION:PT30M", "RRULE:FREQ=HOURLY;COUNT=3")), "1024T2330/1025T0000 1025T0030/1025T0100 1025T0230/1025T0300"},
		{"a day from the moment of the change on", 0, "", calendar(berlin, vevent("DTSTART;TZID=Mine:20260329T020000", "DURATION:P1D")), "0329T0100/0330T0100"},
		{"an hour that is skipped, by a VTIMEZONE", 0, "", calendar(berlin, vevent("DTSTART;TZID=Mine:20260328T023000", "DURATION:PT30M", "RRULE:FREQ=DAILY;COUNT=3")), "0328T0130/0328T0200 0329T0130/0329T0200 0330T0030/0330T0100"},
		{"an hour that occurs twice, by a VTIMEZONE", 0, "", calendar(berlin, vevent("DTSTART;TZID=Mine:20261024T023000", "DURATION:PT30M", "RRULE:FREQ=DAILY;COUNT=3")), "1024T0030/1024T0100 1025T0030/1025T0100 1026T0130/1026T0200"},
		{"whole day whose midnight is skipped", 0, "America/Santiago", calendar(vevent("DTSTART;VALUE=DATE:20260906")), "0906T0400/0907T0300"},
		{"whole day that did not take place", 2011, "Pacific/Apia", calendar(vevent("DTSTART;VALUE=DATE:20111229", "RRULE:FREQ=DAILY;COUNT=3")), "1229T1000/1230T1000 1230T1000/1231T1000"},
		{"half an hour", 0, "", calendar(vevent("DTSTART;TZID=Australia/Lord_Howe:20260404T020000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2")), "0403T1500/0403T1600 0404T1530/0404T1630"},
		{"whole days that Exchange writes with times", 0, "", calendar(vevent("DTSTART;TZID=Europe/Berlin:20260328T000000", "DTEND;TZID=Europe/Berlin:20260329T000000", "RRULE:FREQ=DAILY;COUNT=3", "X-MICROSOFT-CDO-ALLDAYEVENT:TRUE")), "0327T2300/0328T2300 0328T2300/0329T2200 0329T2200/0330T2200"},

		// Zones whose rules changed, and names that do not say what they mean.
		{"New York before 2007", 2006, "", calendar(vevent("DTSTART;TZID=America/New_York:20060320T090000", "DURATION:PT1H", "RRULE:FREQ=YEARLY")), "0320T1400/0320T1500"},
		{"New York since", 2007, "", calendar(vevent("DTSTART;TZID=America/New_York:20060320T090000", "DURATION:PT1H", "RRULE:FREQ=YEARLY")), "0320T1300/0320T1400"},
		{"both by a VTIMEZONE, before", 2006, "", calendar(newYork, vevent("DTSTART;TZID=US Eastern:20060320T090000", "DURATION:PT1H", "RRULE:FREQ=YEARLY")), "0320T1400/0320T1500"},
		{"both by a VTIMEZONE, since", 2007, "", calendar(newYork, vevent("DTSTART;TZID=US Eastern:20060320T090000", "DURATION:PT1H", "RRULE:FREQ=YEARLY")), "0320T1300/0320T1400"},
		{"Tehran with summer time", 2022, "", calendar(vevent("DTSTART;TZID=Iran Standard Time:20220601T120000", "DURATION:PT1H", "RRULE:FREQ=YEARLY")), "0601T0730/0601T0830"},
		{"Tehran without", 2023, "", calendar(vevent("DTSTART;TZID=Iran Standard Time:20220601T120000", "DURATION:PT1H", "RRULE:FREQ=YEARLY")), "0601T0830/0601T0930"},
		{"a VTIMEZONE that contradicts its Windows name", 0, "", calendar(zone("W. Europe Standard Time", half("STANDARD", "16010101T000000", "+0900", "+0900")), vevent("DTSTART;TZID=W. Europe Standard Time:20260305T090000", "DURATION:PT1H")), "0305T0000/0305T0100"},
		{"a VTIMEZONE with the rules of the other hemisphere", 0, "", calendar(zone("Europe/Berlin",
			half("STANDARD", "16010101T030000", "+1100", "+1000", "RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=4"),
			half("DAYLIGHT", "16010101T020000", "+1000", "+1100", "RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=10")),
			vevent("DTSTART;TZID=Europe/Berlin:20260404T090000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2")), "0403T2200/0403T2300 0404T2300/0405T0000"},

		// Times of the mailbox.
		{"floating in New York", 0, "America/New_York", calendar(vevent("DTSTART:20260307T090000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2")), "0307T1400/0307T1500 0308T1300/0308T1400"},
		{"floating in Kathmandu", 0, "Asia/Kathmandu", calendar(vevent("DTSTART:20260307T090000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2")), "0307T0315/0307T0415 0308T0315/0308T0415"},
		{"whole day in New York", 0, "America/New_York", calendar(vevent("DTSTART;VALUE=DATE:20260308")), "0308T0500/0309T0400"},
	} {
		floating, year := tt.floating, tt.year
		if floating == "" {
			floating = "Europe/Berlin"
		}
		if year == 0 {
			year = 2026
		}
		x := ical.Expander{FloatingZone: mustZone(t, floating)}
		list, problems := expandYear(t, x, tt.text, year)
		if got := strings.Join(list, " "); got != tt.want || len(problems) > 0 {
			t.Errorf("%s: %v\n got %s\nwant %s", tt.name, problems, got, tt.want)
		}
	}
}

// TestUnreadableNeighbours: what cannot be read has a record each, and hides
// nothing but itself.
func TestUnreadableNeighbours(t *testing.T) {
	event := func(uid string, lines ...string) string {
		return "BEGIN:VEVENT\nUID:" + uid + "\n" + strings.Join(lines, "\n") + "\nEND:VEVENT\n"
	}
	text := calendar(
		event("good-1", "DTSTART:20260305T140000Z", "DURATION:PT1H"),
		event("no-start", "SUMMARY:x"),
		event("lunar", "DTSTART:20260306T140000Z", "DURATION:PT1H", "RRULE:RSCALE=CHINESE;FREQ=YEARLY"),
		event("skip", "DTSTART:20260131T140000Z", "DURATION:PT1H", "RRULE:RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=FORWARD;COUNT=2"),
		event("misspelt", "DTSTART:20260307T140000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTL=20260401"),
		event("dense", "DTSTART:20260308T140000Z", "DURATION:PT1S", "RRULE:FREQ=SECONDLY"),
		event("half", "DTSTART:20260309T140000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2"),
		event("half", "RECURRENCE-ID:20260310T140000Z", "DTSTART:soon"),
		event("good-2", "DTSTART:20260311T140000Z", "DURATION:PT1H"))
	cal, problems, err := ical.Parse([]byte(text), ical.Limits{})
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	var got []string
	for _, g := range ical.Groups(cal) {
		list, problems := (&ical.Expander{}).Expand(&g, from2026, to2026)
		s := g.UID
		for _, i := range list {
			s += " " + i.Start.Format("0102T1504")
		}
		for _, p := range problems {
			if p.UID != g.UID {
				t.Errorf("%s: a problem of %s", g.UID, p.UID)
			}
		}
		got = append(got, s+strings.Repeat(" !", len(problems)))
	}
	want := []string{
		"good-1 0305T1400", "no-start !", "lunar 0306T1400 !", "skip 0131T1400 !", "misspelt 0307T1400 !", "dense !",
		"half 0309T1400 0310T1400 !", "good-2 0311T1400",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWindows: each window has exactly the instances that overlap it.
func TestWindows(t *testing.T) {
	for _, start := range []string{"20260330T120000", "20260320T120000"} {
		windows(t, start)
	}
}

func windows(t *testing.T, start string) {
	t.Helper()
	cal, _, err := ical.Parse([]byte(calendar(
		vevent("DTSTART;TZID=Europe/Berlin:20260326T230000", "DURATION:PT2H", "RRULE:FREQ=DAILY;COUNT=6"),
		vevent("RECURRENCE-ID;TZID=Europe/Berlin;RANGE=THISANDFUTURE:20260328T230000", "DTSTART;TZID=Europe/Berlin:"+start, "DURATION:P2D"),
		vevent("RECURRENCE-ID;TZID=Europe/Berlin:20260331T230000", "DTSTART;TZID=Europe/Berlin:20260326T120000", "DURATION:PT1H"))), ical.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	g := ical.Groups(cal)
	var x ical.Expander
	all, _ := x.Expand(&g[0], from2026, to2026)
	if len(all) != 6 {
		t.Fatalf("%d instances: %v", len(all), all)
	}
	for from := time.Date(2026, 3, 18, 0, 0, 0, 0, time.UTC); from.Month() < 5; from = from.Add(time.Hour) {
		for _, d := range []time.Duration{time.Hour, 26 * time.Hour} {
			want := slices.DeleteFunc(slices.Clone(all), func(i ical.Instance) bool { return !i.Start.Before(from.Add(d)) || !i.End.After(from) })
			got, _ := x.Expand(&g[0], from, from.Add(d))
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v for %v:\n got %v\nwant %v", from, d, got, want)
			}
		}
	}
}
