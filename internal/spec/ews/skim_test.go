package ews_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
)

// through reads an answer by the guard alone.
func through(text string, zone *wintz.Rule) (*ews.AvailabilityResponse, error) {
	env, err := soap.Read(strings.NewReader(text), limit)
	if err != nil {
		return nil, err
	}
	return ews.ParseGetUserAvailabilityResponse(env, zone)
}

// skim reads an answer as a client does, and counts the responses that went by the guard.
func skim(text string, zone *wintz.Rule, hours *ews.HoursMemory) (got *ews.AvailabilityResponse, slow int, err error) {
	r := ews.NewAvailabilityReader(zone, hours)
	// What parse is given is good until it returns.
	env, err := soap.ReadWith(strings.NewReader(text), limit, func(text []byte) (*soap.Envelope, error) {
		defer copy(text, bytes.Repeat([]byte("!"), len(text)))
		return r.Parse(text, limit)
	})
	if err != nil {
		return nil, 0, err
	}
	defer env.Release()
	if got, err = r.Response(env); err != nil {
		return nil, 0, err
	}
	for _, c := range env.Body[0].Child(ews.NSMessages, "FreeBusyResponseArray").Children {
		if len(c.Children) > 0 {
			slow++
		}
	}
	return got, slow, nil
}

const typesNS = ` xmlns="` + ews.NSTypes + `"`

// array is an answer with the responses.
func array(responses ...string) string {
	return `<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="` + soap.NS + `"><s:Body><GetUserAvailabilityResponse xmlns="` + ews.NSMessages + `"><FreeBusyResponseArray>` +
		strings.Join(responses, "") + `</FreeBusyResponseArray></GetUserAvailabilityResponse></s:Body></s:Envelope>`
}

// success is one response; hours may be "".
func success(events, hours string) string {
	return `<FreeBusyResponse><ResponseMessage ResponseClass="Success"><ResponseCode>NoError</ResponseCode></ResponseMessage><FreeBusyView><FreeBusyViewType` + typesNS + `>FreeBusyMerged</FreeBusyViewType>` +
		`<MergedFreeBusy` + typesNS + `>0125</MergedFreeBusy><CalendarEventArray` + typesNS + `>` + events + `</CalendarEventArray>` + hours + `</FreeBusyView></FreeBusyResponse>`
}

const (
	plainEvent = `<CalendarEvent><StartTime>2026-03-02T09:00:00</StartTime><EndTime>2026-03-02T10:30:59</EndTime><BusyType>Busy</BusyType></CalendarEvent>`
	plainHours = `<WorkingHours` + typesNS + `><TimeZone><Bias>-60</Bias><StandardTime><Bias>0</Bias><Time>03:00:00</Time><DayOrder>5</DayOrder><Month>10</Month><DayOfWeek>Sunday</DayOfWeek></StandardTime>` +
		`<DaylightTime><Bias>-60</Bias><Time>02:00:00</Time><DayOrder>5</DayOrder><Month>3</Month><DayOfWeek>Sunday</DayOfWeek></DaylightTime></TimeZone>` +
		`<WorkingPeriodArray><WorkingPeriod><DayOfWeek>Monday Friday</DayOfWeek><StartTimeInMinutes>480</StartTimeInMinutes><EndTimeInMinutes>1020</EndTimeInMinutes></WorkingPeriod></WorkingPeriodArray></WorkingHours>`
)

// with is the text with its first old replaced, which must be there.
func with(text, old, is string) string {
	if !strings.Contains(text, old) {
		panic(old)
	}
	return strings.Replace(text, old, is, 1)
}

// skimTexts are answers, and how many of their responses the guard must see; -1: any number.
func skimTexts() map[string]struct {
	text string
	slow int
} {
	type one = struct {
		text string
		slow int
	}
	fine := success(plainEvent+plainEvent, plainHours)
	full := `<CalendarEventDetails><ID>00AB</ID><Subject>Übung 😀` + "\t" + `"x"</Subject><Location> R1 </Location><IsMeeting>true</IsMeeting><IsRecurring>false</IsRecurring><IsException>true</IsException><IsReminderSet>false</IsReminderSet><IsPrivate>true</IsPrivate></CalendarEventDetails></CalendarEvent>`
	detailed := with(plainEvent, `</CalendarEvent>`, full)
	texts := map[string]one{
		"our own":                  {string(ews.AppendGetUserAvailabilityResponse(nil, answer())), 2}, // one has &amp; in it, one is an error
		"one":                      {array(fine), 0},
		"many":                     {array(fine, fine, success("", ""), success(plainEvent, plainHours)), 0},
		"none":                     {array(), 0},
		"only the merged string":   {array(with(fine, `<CalendarEventArray`+typesNS+`>`+plainEvent+plainEvent+`</CalendarEventArray>`+plainHours, "")), 0},
		"details":                  {array(success(detailed+plainEvent, plainHours)), 0},
		"details without text":     {array(success(with(with(with(detailed, `<ID>00AB</ID>`, ""), `<Location> R1 </Location>`, ""), `<Subject>Übung 😀`+"\t"+`"x"</Subject>`, ""), "")), 0},
		"order is kept":            {array(fine, with(fine, "Busy<", " OOF <"), fine, `<FreeBusyResponse/>`, success("", "")), 1},
		"white space around":       {array("\n ", fine, "\n ", fine, "\n"), 0},
		"other hours":              {array(fine, success(plainEvent, with(plainHours, "480", "500")), fine), 0},
		"hours without sense":      {array(success(plainEvent, with(plainHours, "480", "4800")), fine), 0},
		"no declaration":           {with(array(fine), `<?xml version="1.0" encoding="utf-8"?>`, ""), 0},
		"upper case":               {with(array(fine), `utf-8`, "UTF-8"), 0},
		"byte order mark":          {"\ufeff" + array(fine), 1},
		"not UTF-8":                {with(array(success(detailed, "")), "utf-8", "us-ascii"), -1},
		"another default":          {with(array(fine), ews.NSMessages, "urn:x"), -1},
		"outside of the array":     {with(array(fine), `</FreeBusyResponseArray>`, `</FreeBusyResponseArray>`+fine), -1},
		"two arrays":               {with(array(fine), `</FreeBusyResponseArray>`, `</FreeBusyResponseArray><FreeBusyResponseArray>`+fine+`</FreeBusyResponseArray>`), -1},
		"in a comment":             {array(`<!-- `+fine+` -->`, fine), -1},
		"in CDATA":                 {array(`<x><![CDATA[`+fine+`]]></x>`, fine), -1},
		"in an attribute":          {array(`<x y='`+fine+`'/>`, fine), -1},
		"what stands in its place": {array(`<FreeBusyResponse/>`, fine, `<FreeBusyResponse/>`), -1},
		"placed by hand":           {array(`<!--` + fine + `--><FreeBusyResponse/>`), -1},
		"in another namespace":     {array(`<x xmlns="urn:y">`+fine+`</x>`, fine), -1},
		"never ends":               {array(fine)[:len(array(fine))-30], -1},
		"an end too many":          {array(fine + `</FreeBusyResponse>`), -1},
		"no soap":                  {fine, -1},
		"hours that go deep":       {array(success(plainEvent, with(plainHours, "<Bias>", strings.Repeat("<a>", 60)+strings.Repeat("</a>", 60)+"<Bias>"))), -1},
		"fault":                    {with(string(soap.AppendFault(nil, &soap.Fault{Code: "a", String: "b"})), "<faultstring", fine+"<faultstring"), -1},
	}
	// Each of these is in the middle of one that is fine.
	for name, r := range map[string]string{
		"offset": with(fine, "09:00:00<", "09:00:00Z<"), "fraction": with(fine, "09:00:00<", "09:00:00.5<"), "24 hours": with(fine, "09:00:00<", "24:00:00<"),
		"25 hours":     with(fine, "09:00:00<", "25:00:00<"),
		"no such time": with(fine, "09:00:00<", "09:61:00<"), "no such date": with(fine, "03-02T09", "02-30T09"), "letters in a time": with(fine, "09:00:00<", "0x:00:00<"),
		"end in a reference": with(fine, "10:30:59<", "10:30:5&#57;<"), "space in a time": with(fine, "09:00:00<", "09:00:00 <"), "signs in a time": with(fine, "09:00:00<", "09-00:00<"),
		"comment in a time": with(fine, "09:00:00<", "09:00<!-- x -->:00<"), "no end": with(fine, `<EndTime>2026-03-02T10:30:59</EndTime>`, ""), "end first": with(fine, `<StartTime>2026-03-02T09:00:00</StartTime><EndTime>2026-03-02T10:30:59</EndTime>`, `<EndTime>2026-03-02T10:30:59</EndTime><StartTime>2026-03-02T09:00:00</StartTime>`),
		"another status": with(fine, ">Busy<", ">Away<"), "no status": with(fine, "<BusyType>Busy</BusyType>", ""), "status by reference": with(fine, ">Busy<", ">B&#117;sy<"), "empty status": with(fine, ">Busy<", "><"),
		"another class": with(fine, `"Success"`, `"Warning"`), "another code": with(fine, "NoError", "ErrorX"), "another view": with(fine, ">FreeBusyMerged<", ">FreeBusy MergedOnly<"), "unknown view": with(fine, ">FreeBusyMerged<", ">FreeBusyAll<"),
		"spaces in tags": with(fine, "<StartTime>", "<StartTime >"), "prefix": with(with(fine, "<FreeBusyView>", `<p:FreeBusyView xmlns:p="`+ews.NSMessages+`">`), "</FreeBusyView>", "</p:FreeBusyView>"),
		"an attribute": with(fine, "<CalendarEvent>", `<CalendarEvent x="y">`), "other namespace": with(fine, "<CalendarEvent>", `<CalendarEvent xmlns="u">`), "no namespace": with(fine, `<CalendarEventArray`+typesNS, `<CalendarEventArray`),
		"letters in the merged string": with(fine, ">0125<", ">01x5<"), "spaces in the merged string": with(fine, ">0125<", "> 0125 <"), "no merged string": with(fine, ">0125<", "><"),
		"empty array": with(success("", ""), `></CalendarEventArray>`, "/>"), "text in the array": with(fine, "</CalendarEvent><", "</CalendarEvent>x<"), "indented": strings.ReplaceAll(fine, "><", ">\r\n <"),
		"entity": success(with(detailed, "R1", "R&amp;D"), ""), "unknown entity": success(with(detailed, "R1", "R&nbsp;D"), ""), "line feed": success(with(detailed, "R1", "R\r\n1"), ""), "section": success(with(detailed, "R1", "<![CDATA[R1]]>"), ""), "end of a section": success(with(detailed, "R1", "R]]>1"), ""),
		"control character": success(with(detailed, "R1", "R\x011"), ""), "no character": success(with(detailed, "R1", "R\uffff1"), ""), "bad UTF-8": success(with(detailed, "R1", "R\xff1"), ""), "surrogate": success(with(detailed, "R1", "R\xed\xa0\x801"), ""),
		"one for true": success(with(detailed, "<IsMeeting>true", "<IsMeeting>1"), ""), "no flag": success(with(detailed, "<IsMeeting>true</IsMeeting>", ""), ""), "bad flag": success(with(detailed, "<IsMeeting>true", "<IsMeeting>yes"), ""), "self-closed": success(with(detailed, "<ID>00AB</ID>", "<ID/>"), ""),
		"subject after location": success(with(with(detailed, "<Location> R1 </Location>", ""), "<Subject>", "<Location>a</Location><Subject>"), ""), "child in a text": success(with(detailed, "R1", "<b>R1</b>"), ""),
		"prefixed hours": with(with(fine, "<Bias>", `<x:Bias>`), "</Bias>", "</x:Bias>"), "hours with a declaration": with(fine, "<Bias>", `<Bias xmlns="u">`), "hours twice": with(fine, plainHours, plainHours+plainHours), "hours in a comment": with(fine, "<Bias>", `<!-- </WorkingHours> --><Bias>`),
		"hours in hours": with(fine, "<TimeZone>", `<WorkingHours></WorkingHours><TimeZone>`), "long hours": with(fine, "<Bias>", `<Bias>`+strings.Repeat(" ", 3000)), "hours without end": with(fine, "</WorkingHours>", ""),
		"more after the hours": with(fine, "</WorkingHours>", "</WorkingHours><x/>"), "no view": with(with(fine, "<FreeBusyView>", ""), "</FreeBusyView>", ""), "more after the view": with(fine, "</FreeBusyView>", "</FreeBusyView><x/>"),
	} {
		texts[name] = one{array(fine, r, fine), -1}
	}
	return texts
}

// Skimming changes what is read of no document.
func TestSkim(t *testing.T) {
	memory := new(ews.HoursMemory)
	for name, tt := range skimTexts() {
		want, wantErr := through(tt.text, nil)
		got, slow, err := skim(tt.text, nil, memory)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("%s: error %v, by the guard %v", name, err, wantErr)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-by the guard +skimmed)\n%s", name, diff)
		}
		if tt.slow >= 0 && slow != tt.slow {
			t.Errorf("%s: the guard saw %d responses, want %d (%v)", name, slow, tt.slow, err)
		}
	}
	if got, _, err := skim(skimTexts()["many"].text, nil, nil); err != nil || len(got.FreeBusy) != 4 || got.FreeBusy[0].Hours == nil || got.FreeBusy[0].Hours != got.FreeBusy[1].Hours {
		t.Errorf("without memory: %+v, %v", got, err)
	}
}

func FuzzSkim(f *testing.F) {
	for _, tt := range skimTexts() {
		f.Add(tt.text)
	}
	zones := []*wintz.Rule{nil, &berlin}
	memory := new(ews.HoursMemory)
	f.Fuzz(func(t *testing.T, text string) {
		for _, zone := range zones {
			want, wantErr := through(text, zone)
			got, _, err := skim(text, zone, memory)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("error %v, by the guard %v", err, wantErr)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-by the guard +skimmed)\n%s", diff)
			}
		}
	})
}

// A memory holds few texts, and none that is long.
func TestHoursMemory(t *testing.T) {
	memory := new(ews.HoursMemory)
	for i := range 1000 {
		text := array(success("", with(plainHours, "480", fmt.Sprint(i))))
		got, slow, err := skim(text, nil, memory)
		if err != nil || slow != 0 || got.FreeBusy[0].Hours.Periods[0].Start != i {
			t.Fatalf("%d: %+v, %d slow, %v", i, got, slow, err)
		}
	}
	if n := memory.Len(); n == 0 || n > 256 {
		t.Errorf("%d texts are remembered, want at most 256", n)
	}
}

// week is an answer with a week of n mailboxes.
func week(n int) []byte {
	r := &ews.AvailabilityResponse{Version: answer().Version}
	for i := range n {
		f := ews.FreeBusyResponse{View: "FreeBusy", HasEvents: true, Hours: answer().FreeBusy[0].Hours}
		for k := range 11 {
			start := at("2026-03-02T08:15:00").Add(time.Duration(15*k+i%4) * time.Hour)
			f.Events = append(f.Events, ews.CalendarEvent{Start: start, End: start.Add(time.Hour), BusyType: "Busy"})
		}
		r.FreeBusy = append(r.FreeBusy, f)
	}
	return ews.AppendGetUserAvailabilityResponse(nil, r)
}

func BenchmarkSkim(b *testing.B) {
	for _, n := range []int{1, 20} {
		b.Run(fmt.Sprintf("%d-mailboxes", n), func(b *testing.B) {
			text, memory := week(n), new(ews.HoursMemory)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				r := ews.NewAvailabilityReader(nil, memory)
				env, err := soap.ReadWith(bytes.NewReader(text), limit, func(text []byte) (*soap.Envelope, error) { return r.Parse(text, limit) })
				if err != nil {
					b.Fatal(err)
				}
				got, err := r.Response(env)
				if err != nil || len(got.FreeBusy) != n || slices.ContainsFunc(got.FreeBusy, func(f ews.FreeBusyResponse) bool { return len(f.Events) != 11 }) {
					b.Fatal(got, err)
				}
				env.Release()
			}
		})
	}
}
