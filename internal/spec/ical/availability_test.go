package ical_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/ical"
)

// calendar is a VCALENDAR of components, whose lines end in \n.
func availabilityCalendar(components ...string) []byte {
	return []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + strings.ReplaceAll(strings.Join(components, ""), "\n", "\r\n") + "END:VCALENDAR\r\n")
}

func vavailability(uid string, lines ...string) string {
	return "BEGIN:VAVAILABILITY\nUID:" + uid + "\nDTSTAMP:20260101T000000Z\n" + strings.Join(lines, "\n") + "\nEND:VAVAILABILITY\n"
}

func available(uid string, lines ...string) string {
	return "BEGIN:AVAILABLE\nUID:" + uid + "\n" + strings.Join(lines, "\n") + "\nEND:AVAILABLE"
}

// 2026-03-02 is a Monday; clocks change in New York on 2026-03-08.
func TestUnavailable(t *testing.T) {
	office := available("a", "DTSTART;TZID=America/New_York:20260302T090000", "DTEND;TZID=America/New_York:20260302T170000", "RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR")
	at := func(from, to, start, end string, lines ...string) string { // available daily
		return vavailability(from+to, append(lines, "DTSTART:"+from+"T000000Z", "DTEND:"+to+"T000000Z",
			available("d", "DTSTART:"+from+"T"+start+"Z", "DTEND:"+from+"T"+end+"Z", "RRULE:FREQ=DAILY"))...)
	}
	for _, tt := range []struct {
		name       string
		components []string
		zone       string
		from, to   string // 2006-01-02
		want       []string
		problems   []string
	}{
		{name: "nothing is said", from: "2026-03-02", to: "2026-03-04"},
		{name: "never available", components: []string{vavailability("u")}, from: "2026-03-02", to: "2026-03-04",
			want: []string{"03-02T00:00/03-04T00:00 OOF"}},
		{name: "an endless week of office hours", components: []string{vavailability("u", office)}, from: "2026-03-06", to: "2026-03-10",
			want: []string{"03-06T00:00/03-06T14:00 OOF", "03-06T22:00/03-09T13:00 OOF", "03-09T21:00/03-10T00:00 OOF"}},
		{name: "the same far away", components: []string{vavailability("u", office)}, from: "2036-07-01", to: "2036-07-02",
			want: []string{"07-01T00:00/07-01T13:00 OOF", "07-01T21:00/07-02T00:00 OOF"}},
		{name: "bounds are those of DTSTART and DTEND", components: []string{vavailability("u", "DTSTART:20260302T060000Z", "DTEND:20260303T060000Z", office)},
			from: "2026-03-02", to: "2026-03-05", want: []string{"03-02T06:00/03-02T14:00 OOF", "03-02T22:00/03-03T06:00 OOF"}},
		{name: "bounds are those of DTSTART and DURATION", components: []string{vavailability("u", "DTSTART:20260302T060000Z", "DURATION:P1DT1H", office)},
			from: "2026-03-02", to: "2026-03-05", want: []string{"03-02T06:00/03-02T14:00 OOF", "03-02T22:00/03-03T07:00 OOF"}},
		{name: "only an end", components: []string{vavailability("u", "DTEND:20260302T060000Z")}, from: "2026-03-01", to: "2026-03-05",
			want: []string{"03-01T00:00/03-02T06:00 OOF"}},
		{name: "a day of DURATION is a day of the clock", components: []string{vavailability("u", "DTSTART;TZID=America/New_York:20260308T000000", "DURATION:P1D")},
			from: "2026-03-08", to: "2026-03-10", want: []string{"03-08T05:00/03-09T04:00 OOF"}},
		{name: "what is outside says nothing", components: []string{vavailability("u", "DTSTART:20270302T060000Z")}, from: "2026-03-02", to: "2026-03-05"},
		{name: "BUSYTYPE", components: []string{
			vavailability("b", "BUSYTYPE:BUSY", "DTSTART:20260302T000000Z", "DURATION:PT1H"),
			vavailability("t", "BUSYTYPE:busy-tentative", "DTSTART:20260302T010000Z", "DURATION:PT1H"),
			vavailability("u", "BUSYTYPE:BUSY-UNAVAILABLE", "DTSTART:20260302T020000Z", "DURATION:PT1H"),
			vavailability("x", "BUSYTYPE:X-ASLEEP", "DTSTART:20260302T040000Z", "DURATION:PT1H")},
			from: "2026-03-02", to: "2026-03-03", want: []string{"03-02T00:00/03-02T01:00 Busy", "03-02T01:00/03-02T02:00 Tentative", "03-02T02:00/03-02T03:00 OOF", "03-02T04:00/03-02T05:00 OOF"}},
		{name: "an instance is moved, one is excluded, one is added", components: []string{vavailability("u", "DTSTART:20260302T000000Z", "DURATION:P5D",
			available("d", "DTSTART:20260302T080000Z", "DURATION:PT8H", "RRULE:FREQ=DAILY", "EXDATE:20260303T080000Z", "RDATE:20260303T200000Z"),
			available("d", "RECURRENCE-ID:20260304T080000Z", "DTSTART:20260304T120000Z", "DTEND:20260304T130000Z"))},
			from: "2026-03-02", to: "2026-03-06", want: []string{
				"03-02T00:00/03-02T08:00 OOF", "03-02T16:00/03-03T20:00 OOF", "03-04T04:00/03-04T12:00 OOF", "03-04T13:00/03-05T08:00 OOF", "03-05T16:00/03-06T00:00 OOF"}},
		{name: "an AVAILABLE that reaches out of its component", components: []string{vavailability("u", "DTSTART:20260302T000000Z", "DURATION:P1D",
			available("d", "DTSTART:20260302T200000Z", "DURATION:P3D")), vavailability("v", "DTSTART:20260303T000000Z", "DURATION:P1D")},
			from: "2026-03-02", to: "2026-03-06", want: []string{"03-02T00:00/03-02T20:00 OOF", "03-03T00:00/03-04T00:00 OOF"}},
		{name: "AVAILABLE parts overlap and touch", components: []string{vavailability("u", "DTSTART:20260302T000000Z", "DURATION:P1D",
			available("a", "DTSTART:20260302T080000Z", "DURATION:PT4H"), available("b", "DTSTART:20260302T100000Z", "DURATION:PT4H"), available("c", "DTSTART:20260302T140000Z", "DURATION:PT1H"))},
			from: "2026-03-02", to: "2026-03-03", want: []string{"03-02T00:00/03-02T08:00 OOF", "03-02T15:00/03-03T00:00 OOF"}},
		{name: "an AVAILABLE without length is nothing", components: []string{vavailability("u", available("a", "DTSTART:20260302T080000Z"))},
			from: "2026-03-02", to: "2026-03-03", want: []string{"03-02T00:00/03-03T00:00 OOF"}},
		{name: "a higher priority replaces within its bounds", components: []string{
			at("20260301", "20260401", "080000", "160000", "PRIORITY:9"),
			at("20260303", "20260304", "120000", "200000", "PRIORITY:1", "BUSYTYPE:BUSY")},
			from: "2026-03-02", to: "2026-03-05", want: []string{
				"03-02T00:00/03-02T08:00 OOF", "03-02T16:00/03-03T00:00 OOF",
				"03-03T00:00/03-03T12:00 Busy", "03-03T20:00/03-04T00:00 Busy",
				"03-04T00:00/03-04T08:00 OOF", "03-04T16:00/03-05T00:00 OOF"}},
		{name: "no priority is the lowest", components: []string{
			vavailability("u", "PRIORITY:0", "DTSTART:20260302T000000Z", "DURATION:P1D"),
			at("20260302", "20260303", "080000", "160000", "PRIORITY:9", "BUSYTYPE:BUSY-TENTATIVE")},
			from: "2026-03-02", to: "2026-03-03", want: []string{"03-02T00:00/03-02T08:00 Tentative", "03-02T16:00/03-03T00:00 Tentative"}},
		{name: "of the same priority available decides, then BUSY, then BUSY-UNAVAILABLE", components: []string{
			vavailability("t", "BUSYTYPE:BUSY-TENTATIVE", "DTSTART:20260302T000000Z", "DURATION:PT6H"),
			vavailability("u", "DTSTART:20260302T010000Z", "DURATION:PT5H"),
			vavailability("b", "BUSYTYPE:BUSY", "DTSTART:20260302T020000Z", "DURATION:PT4H"),
			vavailability("a", "DTSTART:20260302T000000Z", "DURATION:PT6H", available("x", "DTSTART:20260302T030000Z", "DURATION:PT1H"))},
			from: "2026-03-02", to: "2026-03-03", want: []string{
				"03-02T00:00/03-02T02:00 OOF", "03-02T02:00/03-02T03:00 Busy", "03-02T04:00/03-02T06:00 Busy"}},
		{name: "travel, as RFC 7953 has it: three places, one after the other", components: []string{
			vavailability("m1", "DTSTART;TZID=America/Montreal:20111002T000000", "DTEND;TZID=America/Montreal:20111023T030000",
				available("x1", "DTSTART;TZID=America/Montreal:20111002T090000", "DTEND;TZID=America/Montreal:20111002T170000", "RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR")),
			vavailability("d", "DTSTART;TZID=America/Denver:20111023T000000", "DTEND;TZID=America/Denver:20111030T000000",
				available("x2", "DTSTART;TZID=America/Denver:20111023T090000", "DTEND;TZID=America/Denver:20111023T170000", "RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR")),
			vavailability("m2", "DTSTART;TZID=America/Montreal:20111030T030000",
				available("x3", "DTSTART;TZID=America/Montreal:20111030T090000", "DTEND;TZID=America/Montreal:20111030T170000", "RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"))},
			// RFC 5545 has DTSTART as an instance whether the rule matches or not: the
			// Sundays of DTSTART are available.
			from: "2011-10-21", to: "2011-10-25", want: []string{
				"10-21T00:00/10-21T13:00 OOF", "10-21T21:00/10-23T15:00 OOF", "10-23T23:00/10-24T15:00 OOF", "10-24T23:00/10-25T00:00 OOF"}},
		{name: "floating times are in the zone of the mailbox", components: []string{vavailability("u", "DTSTART:20260302T000000", "DTEND:20260303T000000", available("a", "DTSTART:20260302T090000", "DURATION:PT8H"))},
			zone: "Asia/Kathmandu", from: "2026-03-01", to: "2026-03-05", want: []string{"03-01T18:15/03-02T03:15 OOF", "03-02T11:15/03-02T18:15 OOF"}},
		{name: "the newest of one UID counts", components: []string{
			vavailability("u", "SEQUENCE:2", "DTSTART:20260302T000000Z", "DURATION:PT1H"), vavailability("u", "SEQUENCE:1", "DTSTART:20260302T000000Z", "DURATION:PT2H")},
			from: "2026-03-02", to: "2026-03-03", want: []string{"03-02T00:00/03-02T01:00 OOF"}},
		{name: "bounds that cannot be read do not become endless", components: []string{
			vavailability("u", "DTSTART:20261340T990000Z"), vavailability("v", "DTSTART:20260302T000000Z", "DTEND:nonsense"),
			vavailability("w", "DURATION:P1D"), vavailability("x", "DTSTART:20260302T000000Z", "DTEND:20260302T000000Z"),
			vavailability("good", "DTSTART:20260302T000000Z", "DURATION:PT1H", available("bad", "DTSTART:never"))},
			from: "2026-03-02", to: "2026-03-03", want: []string{"03-02T00:00/03-02T01:00 OOF"},
			problems: []string{"u: VAVAILABILITY is left out: DTSTART", "v: VAVAILABILITY is left out: DTEND", "w: VAVAILABILITY is left out: it has DURATION",
				"x: VAVAILABILITY is left out: it does not end", "bad: event is left out"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cal, _, err := ical.Parse(availabilityCalendar(tt.components...), ical.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var x ical.Expander
			if tt.zone != "" {
				if x.FloatingZone, err = time.LoadLocation(tt.zone); err != nil {
					t.Fatal(err)
				}
			}
			list := ical.Availabilities(cal)
			check := func(list []ical.Availability) {
				t.Helper()
				periods, problems := x.Unavailable(list, date(t, tt.from), date(t, tt.to))
				var got []string
				for _, p := range periods {
					got = append(got, p.Start.Format("01-02T15:04")+"/"+p.End.Format("01-02T15:04")+" "+string(p.Status))
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Errorf("periods (-want +got):\n%s", d)
				}
				if len(problems) != len(tt.problems) {
					t.Fatalf("problems %v, want %q", problems, tt.problems)
				}
				for i, p := range problems {
					if s := p.UID + ": " + p.Reason; !strings.HasPrefix(s, tt.problems[i]) {
						t.Errorf("problem %q, want %q", s, tt.problems[i])
					}
				}
			}
			check(list)
			// What is kept says the same.
			var kept []ical.Availability
			for i := range list {
				cal, _, err := ical.Parse(list[i].Text(), ical.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				kept = append(kept, ical.Availabilities(cal)...)
			}
			check(kept)
		})
	}
}

func date(t *testing.T, s string) time.Time {
	t.Helper()
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Whatever is in a file, the periods are sorted, within the window, and do not overlap.
func FuzzUnavailable(f *testing.F) {
	f.Add(availabilityCalendar(vavailability("u", "PRIORITY:1", available("a", "DTSTART:20260302T080000Z", "DURATION:PT8H", "RRULE:FREQ=DAILY"))))
	f.Add(availabilityCalendar(vavailability("u", "BUSYTYPE:BUSY", "DTSTART:20260302T080000Z", "DTEND:20260402T080000Z"), vavailability("v", "DTSTART:20260302T080000", "DURATION:P1W")))
	from, to := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			return
		}
		cal, _, err := ical.Parse(data, ical.Limits{})
		if err != nil {
			return
		}
		last := from
		periods, _ := (&ical.Expander{MaxInstances: 1000}).Unavailable(ical.Availabilities(cal), from, to)
		for i, p := range periods {
			if p.Start.Before(last) || !p.Start.Before(p.End) || p.End.After(to) {
				t.Fatalf("period %d of %v", i, periods)
			}
			last = p.End
		}
	})
}
