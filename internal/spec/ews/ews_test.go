package ews_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
)

const (
	limit = 1 << 20
	open  = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><s:Header>`
	mid   = `</s:Header><s:Body>`
	end   = `</s:Body></s:Envelope>`
)

var (
	berlin = wintz.Rule{Bias: -60,
		Standard: wintz.Switch{Time: 3 * time.Hour, DayOrder: 5, Month: 10},
		Daylight: wintz.Switch{Bias: -60, Time: 2 * time.Hour, DayOrder: 5, Month: 3}}
	newYork = wintz.Rule{Bias: 300,
		Standard: wintz.Switch{Time: 2 * time.Hour, DayOrder: 1, Month: 11},
		Daylight: wintz.Switch{Bias: -60, Time: 2 * time.Hour, DayOrder: 2, Month: 3}}
)

func envelope(t testing.TB, text string) *soap.Envelope {
	t.Helper()
	env, err := soap.Read(strings.NewReader(text), limit)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return env
}

func at(s string) time.Time {
	d, ok := ews.ParseDateTime(s)
	if !ok {
		panic(s)
	}
	return d.Time
}

func when(s string) ews.DateTime {
	d, ok := ews.ParseDateTime(s)
	if !ok {
		panic(s)
	}
	return d
}

func ptr[T any](v T) *T { return &v }

func TestDateTime(t *testing.T) {
	tests := []struct {
		in    string
		want  string // RFC 3339 of the instant or reading; "": refused
		local bool
	}{
		{"2026-03-02T08:00:00", "2026-03-02T08:00:00Z", true},
		{"2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z", false},
		{"2026-03-02T08:00:00+01:00", "2026-03-02T07:00:00Z", false},
		{"2026-03-02T08:00:00.5-05:30", "2026-03-02T13:30:00.5Z", false},
		{"2026-03-02T08:00:00.123456789123", "2026-03-02T08:00:00.123456789Z", true},
		{"2026-03-02T24:00:00", "2026-03-03T00:00:00Z", true},
		{"0001-01-01T00:00:00", "0001-01-01T00:00:00Z", true},
		{"2024-02-29T00:00:00", "2024-02-29T00:00:00Z", true},
		{"2026-02-29T00:00:00", "", false},
		{"2026-13-01T00:00:00", "", false},
		{"2026-00-01T00:00:00", "", false},
		{"2026-01-00T00:00:00", "", false},
		{"0000-01-01T00:00:00", "", false},
		{"2026-03-02T24:00:01", "", false},
		{"2026-03-02T08:60:00", "", false},
		{"2026-03-02T08:00:60", "", false},
		{"2026-03-02 08:00:00", "", false},
		{"2026-03-02T08:00", "", false},
		{"2026-03-02", "", false},
		{"2026-03-02T08:00:00.", "", false},
		{"2026-03-02T08:00:00z", "", false},
		{"2026-03-02T08:00:00+1:00", "", false},
		{"2026-03-02T08:00:00+15:00", "", false},
		{"2026-03-02T08:00:00+14:01", "", false},
		{"2026-03-02T08:00:00+-1:00", "", false},
		{"-026-03-02T08:00:00", "", false},
		{"", "", false},
	}
	for _, tt := range tests {
		got, ok := ews.ParseDateTime(tt.in)
		if ok != (tt.want != "") {
			t.Errorf("%q: accepted %v", tt.in, ok)
			continue
		}
		if ok && (got.Time.Format(time.RFC3339Nano) != tt.want || got.Local != tt.local) {
			t.Errorf("%q: got %v local %v, want %s local %v", tt.in, got.Time.Format(time.RFC3339Nano), got.Local, tt.want, tt.local)
		}
	}
}

func TestHeader(t *testing.T) {
	sid := func(inner string) string {
		return `<t:ExchangeImpersonation><t:ConnectingSID>` + inner + `</t:ConnectingSID></t:ExchangeImpersonation>`
	}
	tests := []struct {
		name, in string
		want     ews.Header
		err      error
	}{
		{"nothing", "", ews.Header{}, nil},
		{"version", `<t:RequestServerVersion Version="Exchange2013_SP1"/>`, ews.Header{Version: "Exchange2013_SP1"}, nil},
		{"version of the future", `<t:RequestServerVersion Version="Exchange2019"/>`, ews.Header{Version: "Exchange2019"}, nil},
		{"version is no version", `<t:RequestServerVersion Version="Outlook"/>`, ews.Header{}, ews.ErrServerVersion},
		{"version before the first", `<t:RequestServerVersion Version="Exchange2003"/>`, ews.Header{}, ews.ErrServerVersion},
		{"version missing in its header", `<t:RequestServerVersion/>`, ews.Header{}, ews.ErrServerVersion},
		{"header twice", `<t:MailboxCulture>en</t:MailboxCulture><t:MailboxCulture>de</t:MailboxCulture>`, ews.Header{}, ews.ErrDuplicateHeader},
		{"others are skipped", `<x xmlns="u"/><x xmlns="u"/><t:MailboxCulture>en</t:MailboxCulture>`, ews.Header{}, nil},
		{"impersonation", sid(`<t:SmtpAddress> ana@contoso.com </t:SmtpAddress>`), ews.Header{Impersonate: &ews.ConnectingSID{Kind: "SmtpAddress", Value: "ana@contoso.com"}}, nil},
		{"impersonation of two", sid(`<t:SID>a</t:SID><t:SmtpAddress>b</t:SmtpAddress>`), ews.Header{}, ews.ErrImpersonation},
		{"impersonation of nobody", sid(``), ews.Header{}, ews.ErrImpersonation},
		{"impersonation by an unknown kind", sid(`<t:Name>x</t:Name>`), ews.Header{}, ews.ErrImpersonation},
		{"request type", `<t:RequestType>CrossForest</t:RequestType>`, ews.Header{RequestType: "CrossForest"}, nil},
		{"request type inside", `<t:ProxyRequestTypeHeader><t:RequestType>CrossSite</t:RequestType></t:ProxyRequestTypeHeader>`, ews.Header{RequestType: "CrossSite"}, nil},
		{"the stricter request type counts", `<t:RequestType>CrossForest</t:RequestType><t:ProxyRequestTypeHeader>CrossSite</t:ProxyRequestTypeHeader>`, ews.Header{RequestType: "CrossForest"}, nil},
		{"security context", `<t:SerializedSecurityContext><t:UserSid>S-1-5-21-1</t:UserSid><t:PrimarySmtpAddress> dan@fabrikam.com </t:PrimarySmtpAddress></t:SerializedSecurityContext>`,
			ews.Header{Privileged: "SerializedSecurityContext", SecurityContext: "dan@fabrikam.com"}, nil},
		{"privileged", `<t:OpenAsAdminOrSystemService LogonType="Admin"/>`, ews.Header{Privileged: "OpenAsAdminOrSystemService"}, nil},
		{"two access modes", sid(`<t:SID>a</t:SID>`) + `<t:SerializedSecurityContext/>`, ews.Header{}, ews.ErrAccessModes},
		{"two privileged modes", `<t:ProxySecurityContext/><t:SerializedSecurityContext/>`, ews.Header{}, ews.ErrAccessModes},
		{"zone by id", `<t:TimeZoneContext><t:TimeZoneDefinition Id="UTC"/></t:TimeZoneContext>`, ews.Header{Zone: &ews.ZoneDefinition{ID: "UTC"}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ews.ParseHeader(envelope(t, open+tt.in+mid+"<x/>"+end).Header)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got error %v, want %v", err, tt.err)
			}
			if err == nil {
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
		})
	}
}

func TestAtLeast(t *testing.T) {
	for version, want := range map[string]bool{
		"": false, "Exchange2007_SP1": false, "Exchange2010_SP2": false, "Exchange2012": false, "Exchange2013": true, "Exchange2016": true, "V2017_07_11": true, "Exchange2019": true,
	} {
		h := ews.Header{Version: version}
		if got := h.AtLeast("Exchange2013"); got != want {
			t.Errorf("version %q: at least Exchange2013 is %v", version, got)
		}
	}
}

func question() *ews.AvailabilityRequest {
	return &ews.AvailabilityRequest{
		Header: ews.Header{Version: "Exchange2013_SP1", RequestType: ews.CrossForest, Impersonate: &ews.ConnectingSID{Kind: "SmtpAddress", Value: "a&b@contoso.com"}},
		Zone:   &berlin,
		Mailboxes: []ews.MailboxData{
			{Name: "Ana <1>", Address: "SMTP:ana@contoso.com", RoutingType: "SMTP", AttendeeType: "Organizer", ExcludeConflicts: true},
			{Address: "bo@contoso.com", AttendeeType: "Required"},
		},
		FreeBusy: &ews.FreeBusyOptions{Start: when("2026-03-02T08:00:00"), End: when("2026-03-02T13:00:00Z"), IntervalMinutes: 60, Views: []string{"MergedOnly", "Detailed"}},
		Suggestions: &ews.SuggestionsOptions{GoodThreshold: ptr(25), MeetingDurationInMinutes: ptr(30), MaximumNonWorkHourResultsByDay: ptr(0), MinimumSuggestionQuality: "Fair",
			Start: when("2026-03-02T00:00:00"), End: when("2026-03-04T00:00:00"), CurrentMeetingTime: ptr(when("2026-03-02T10:00:00")), GlobalObjectID: "00FF"},
	}
}

// read reads what AppendGetUserAvailabilityRequest wrote.
func read(t testing.TB, text string) (*ews.AvailabilityRequest, error) {
	env := envelope(t, text)
	r, err := ews.ParseGetUserAvailability(env.Body[0])
	if err != nil {
		return nil, err
	}
	r.Header, err = ews.ParseHeader(env.Header)
	return r, err
}

func TestRequestRoundTrip(t *testing.T) {
	full := question()
	withZone := question()
	withZone.Zone = nil
	withZone.Header.Zone = ptr(ews.DefineZone("W. Europe Standard Time", "Berlin", 2026, []wintz.Rule{berlin}))
	small := &ews.AvailabilityRequest{Header: ews.Header{Version: "Exchange2007"}, Zone: &newYork, Mailboxes: []ews.MailboxData{{Address: "a@contoso.com", AttendeeType: "Room"}},
		FreeBusy: &ews.FreeBusyOptions{Start: when("2026-03-02T08:00:00"), End: when("2026-03-02T13:00:00")}}
	for name, want := range map[string]*ews.AvailabilityRequest{"full": full, "zone in the header": withZone, "small": small} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, string(ews.AppendGetUserAvailabilityRequest(nil, want)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

const (
	body    = `<m:GetUserAvailabilityRequest>`
	mailbox = `<m:MailboxDataArray><t:MailboxData><t:Email><t:Address>a@contoso.com</t:Address></t:Email></t:MailboxData></m:MailboxDataArray>`
	window  = `<t:TimeWindow><t:StartTime>2026-03-02T08:00:00</t:StartTime><t:EndTime>2026-03-02T13:00:00</t:EndTime></t:TimeWindow>`
)

func TestParseRequest(t *testing.T) {
	parse := func(inner string) (*ews.AvailabilityRequest, error) {
		return read(t, open+mid+body+inner+`</m:GetUserAvailabilityRequest>`+end)
	}
	r, err := parse(`<x/><t:FreeBusyViewOptions><t:RequestedView> MergedOnly
		Detailed </t:RequestedView><t:Other/>` + window + `</t:FreeBusyViewOptions>` + mailbox)
	if err != nil {
		t.Fatal(err)
	}
	if r.Mailboxes[0].AttendeeType != "Required" || cmp.Diff([]string{"MergedOnly", "Detailed"}, r.FreeBusy.Views) != "" || r.Zone != nil || !r.FreeBusy.Start.Local {
		t.Errorf("reordered elements: got %+v %+v", r, r.FreeBusy)
	}
	for _, tt := range []struct{ name, in, violation string }{
		{"no mailboxes element", ``, "MailboxDataArray"},
		{"no e-mail", `<m:MailboxDataArray><t:MailboxData/></m:MailboxDataArray>`, "Email"},
		{"no address", `<m:MailboxDataArray><t:MailboxData><t:Email/></t:MailboxData></m:MailboxDataArray>`, "Address"},
		{"attendee type", strings.Replace(mailbox, "</t:Email>", "</t:Email><t:AttendeeType>Guest</t:AttendeeType>", 1), "Guest"},
		{"boolean", strings.Replace(mailbox, "</t:Email>", "</t:Email><t:ExcludeConflicts>yes</t:ExcludeConflicts>", 1), "yes"},
		{"no window", mailbox + `<t:FreeBusyViewOptions/>`, "TimeWindow"},
		{"no end", mailbox + `<t:FreeBusyViewOptions><t:TimeWindow><t:StartTime>2026-03-02T08:00:00</t:StartTime></t:TimeWindow></t:FreeBusyViewOptions>`, "EndTime"},
		{"bad start", mailbox + `<t:FreeBusyViewOptions><t:TimeWindow><t:StartTime>tomorrow</t:StartTime></t:TimeWindow></t:FreeBusyViewOptions>`, "tomorrow"},
		{"unknown view", mailbox + `<t:FreeBusyViewOptions>` + window + `<t:RequestedView>FreeBusy All</t:RequestedView></t:FreeBusyViewOptions>`, "All"},
		{"interval is no number", mailbox + `<t:FreeBusyViewOptions>` + window + `<t:MergedFreeBusyIntervalInMinutes>1h</t:MergedFreeBusyIntervalInMinutes></t:FreeBusyViewOptions>`, "1h"},
		{"interval over the type", mailbox + `<t:FreeBusyViewOptions>` + window + `<t:MergedFreeBusyIntervalInMinutes>99999999999</t:MergedFreeBusyIntervalInMinutes></t:FreeBusyViewOptions>`, "99999999999"},
		{"zone without bias", `<t:TimeZone/>` + mailbox, "Bias"},
		{"zone without halves", `<t:TimeZone><t:Bias>0</t:Bias></t:TimeZone>` + mailbox, "StandardTime"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(tt.in)
			se, ok := errors.AsType[*ews.SchemaError](err)
			if !ok || !strings.Contains(se.Violation, tt.violation) || se.Line == 0 {
				t.Errorf("got %v, want a schema error about %s", err, tt.violation)
			}
		})
	}
}

func TestParseZone(t *testing.T) {
	half := func(bias, clock, order, month, day, more string) string {
		return `<t:Bias>` + bias + `</t:Bias><t:Time>` + clock + `</t:Time><t:DayOrder>` + order + `</t:DayOrder><t:Month>` + month + `</t:Month><t:DayOfWeek>` + day + `</t:DayOfWeek>` + more
	}
	zone := func(bias, std, dst string) string {
		return `<t:TimeZone><t:Bias>` + bias + `</t:Bias><t:StandardTime>` + std + `</t:StandardTime><t:DaylightTime>` + dst + `</t:DaylightTime></t:TimeZone>`
	}
	std, dst := half("0", "03:00:00", "5", "10", "Sunday", ""), half("-60", "02:00:00", "5", "3", "Sunday", "")
	tests := []struct {
		name, in string
		want     *wintz.Rule // nil: ErrTimeZone
	}{
		{"Berlin", zone("-60", std, dst), &berlin},
		{"New York", zone("300", half("0", "02:00:00", "1", "11", "Sunday", ""), half("-60", "02:00:00", "2", "3", "Sunday", "")), &newYork},
		{"last day as -1", zone("-60", half("0", "03:00:00", "-1", "10", "Sunday", ""), half("-60", "02:00:00", "0", "3", "Sunday", "")), &berlin},
		{"UTC as SIPE sends it", zone("0", half("0", "00:00:00", "0", "0", "Sunday", ""), half("0", "00:00:00", "0", "0", "Sunday", "")), &wintz.Rule{}},
		{"UTC as DavMail sends it", zone("0", half("0", "02:00:00", "1", "3", "Sunday", ""), half("0", "02:00:00", "1", "10", "Sunday", "")), &wintz.Rule{}},
		{"same moment twice is no daylight time", zone("-60", std, half("-60", "03:00:00", "5", "10", "Sunday", "")), &wintz.Rule{Bias: -60}},
		{"bias of the standard half counts", zone("0", half("-30", "00:00:00", "0", "0", "Sunday", ""), half("-60", "00:00:00", "0", "0", "Sunday", "")), &wintz.Rule{Bias: -30}},
		{"date of one year", zone("-60", half("0", "03:00:00", "25", "10", "Sunday", "<t:Year>2026</t:Year>"), half("-60", "02:00:00", "29", "3", "Sunday", "<t:Year>2026</t:Year>")),
			&wintz.Rule{Bias: -60, Standard: wintz.Switch{Time: 3 * time.Hour, DayOrder: 25, Month: 10, Year: 2026}, Daylight: wintz.Switch{Bias: -60, Time: 2 * time.Hour, DayOrder: 29, Month: 3, Year: 2026}}},
		{"year 0", zone("-60", half("0", "03:00:00", "25", "10", "Sunday", "<t:Year>0</t:Year>"), dst), nil},
		{"weekday class", zone("-60", half("0", "03:00:00", "5", "10", "Weekday", ""), dst), nil},
		{"sixth Sunday", zone("-60", half("0", "03:00:00", "6", "10", "Sunday", ""), dst), nil},
		{"month 13", zone("-60", half("0", "03:00:00", "5", "13", "Sunday", ""), dst), nil},
		{"no such time", zone("-60", half("0", "25:00:00", "5", "10", "Sunday", ""), dst), nil},
		{"bias of years", zone("1000000", std, dst), nil},
		{"bias of the half", zone("0", half("100000", "03:00:00", "5", "10", "Sunday", ""), dst), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := read(t, open+mid+body+tt.in+mailbox+`</m:GetUserAvailabilityRequest>`+end)
			if tt.want == nil {
				if !errors.Is(err, ews.ErrTimeZone) {
					t.Errorf("got %v, want ErrTimeZone", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, r.Zone); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestZoneDefinition(t *testing.T) {
	moved := berlin
	moved.Daylight.Month = 4
	d := ews.DefineZone("Test Standard Time", "(UTC+01:00) <Test>", 2024, []wintz.Rule{berlin, berlin, moved, {Bias: -120}})
	r := question()
	r.Header.Zone = &d
	got, err := read(t, string(ews.AppendGetUserAvailabilityRequest(nil, r)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&d, got.Header.Zone); diff != "" {
		t.Errorf("definition (-written +read)\n%s", diff)
	}
	for when, want := range map[string]wintz.Rule{
		"1990-07-01T00:00:00Z": berlin, "2025-12-31T00:00:00Z": berlin, "2026-01-02T00:00:00Z": moved, "2027-03-01T00:00:00Z": {Bias: -120}, "2040-07-01T00:00:00Z": {Bias: -120},
	} {
		rule, err := d.Rule(at(when))
		if err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if diff := cmp.Diff(want, rule); diff != "" {
			t.Errorf("%s (-want +got)\n%s", when, diff)
		}
	}
	bad := map[string]ews.ZoneDefinition{
		"only an id":            {ID: "UTC"},
		"no such group":         {Periods: d.Periods, Transitions: d.Transitions},
		"no such period":        {Periods: d.Periods[:1], Groups: []ews.ZoneGroup{{ID: "0", Transitions: []ews.ZoneTransition{{To: "x"}}}}, Transitions: d.Transitions[:1]},
		"three changes a year":  {Periods: d.Periods, Groups: []ews.ZoneGroup{{ID: "0", Transitions: append(d.Groups[0].Transitions, d.Groups[0].Transitions[0])}}, Transitions: d.Transitions[:1]},
		"bias in seconds":       {Periods: []ews.ZonePeriod{{ID: "a", Bias: time.Second}}},
		"bias of a week":        {Periods: []ews.ZonePeriod{{ID: "a", Bias: 7 * 24 * time.Hour}}},
		"group without changes": {Periods: d.Periods, Groups: []ews.ZoneGroup{{ID: "0"}}, Transitions: d.Transitions[:1]},
	}
	for name, def := range bad {
		if r, err := def.Rule(at("2026-03-02T08:00:00")); !errors.Is(err, ews.ErrTimeZone) {
			t.Errorf("%s: got %v, %v, want ErrTimeZone", name, r, err)
		}
	}
	one := ews.ZoneDefinition{Periods: []ews.ZonePeriod{{ID: "a", Bias: -330 * time.Minute}}}
	if r, err := one.Rule(time.Time{}); err != nil || r != (wintz.Rule{Bias: -330}) {
		t.Errorf("one period: got %v, %v", r, err)
	}
	byDate := ews.ZoneDefinition{Periods: d.Periods, Transitions: []ews.ZoneTransition{{ToGroup: true, To: "g"}}, Groups: []ews.ZoneGroup{{ID: "g", Transitions: []ews.ZoneTransition{
		{To: d.Periods[1].ID, Month: 4, Day: 1, Offset: 2 * time.Hour}, {To: d.Periods[0].ID, Month: 10, Day: 1, Offset: 3 * time.Hour}}}}}
	rule, err := byDate.Rule(at("2026-07-01T00:00:00"))
	want := wintz.Rule{Bias: -60, Standard: wintz.Switch{Year: 2026, Month: 10, DayOrder: 1, Time: 3 * time.Hour}, Daylight: wintz.Switch{Bias: -60, Year: 2026, Month: 4, DayOrder: 1, Time: 2 * time.Hour}}
	if err != nil || rule != want {
		t.Errorf("recurring dates: got %+v, %v, want %+v", rule, err, want)
	}
}

func answer() *ews.AvailabilityResponse {
	return &ews.AvailabilityResponse{
		Version: ews.ServerVersion{Major: 15, Minor: 1, Build: 2507, Revision: 6, Schema: "V2017_07_11"},
		FreeBusy: []ews.FreeBusyResponse{
			{Message: ews.ResponseMessage{Class: "Success", Code: "NoError"}, View: "DetailedMerged", Merged: "02010", HasEvents: true,
				Events: []ews.CalendarEvent{
					{Start: at("2026-03-02T09:15:00"), End: at("2026-03-02T10:00:00"), BusyType: "Busy", Details: &ews.EventDetails{ID: "0000000012AB", Subject: "Budget & <more>", Location: "R1", Meeting: true, ReminderSet: true}},
					{Start: at("2026-03-02T11:00:00"), End: at("2026-03-02T11:30:00"), BusyType: "Tentative", Details: &ews.EventDetails{Recurring: true, Exception: true, Private: true}},
				},
				Hours: &ews.WorkingHours{Zone: berlin, Periods: []ews.WorkingPeriod{{Days: 0b0111110, Start: 480, End: 1020}}}},
			{Message: ews.ResponseMessage{Class: "Success", Code: "NoError"}, View: "FreeBusy", HasEvents: true, Events: []ews.CalendarEvent{}},
			{Message: ews.ResponseMessage{Class: "Success", Code: "NoError"}, View: "MergedOnly", Merged: "44444"},
			{Message: ews.ResponseMessage{Class: "Error", Code: "ErrorMailRecipientNotFound", Text: "Unable to resolve e-mail address nobody@contoso.com to an Active Directory object.",
				Exception: &ews.Exception{Type: "Microsoft.Exchange.InfoWorker.Common.Availability.MailRecipientNotFoundException", Code: 5009, Server: "EX01", Message: "text LID: 57660"}}, View: "None"},
		},
		Suggestions: &ews.SuggestionsResponse{Message: ews.ResponseMessage{Class: "Error", Code: "ErrorMeetingSuggestionGenerationFailed", Text: "no"}},
	}
}

func TestSuggestionsRoundTrip(t *testing.T) {
	want := &ews.AvailabilityResponse{Version: answer().Version, Suggestions: &ews.SuggestionsResponse{
		Message: ews.ResponseMessage{Class: "Success", Code: "NoError"},
		Days: []ews.SuggestionDay{
			{Date: at("2026-03-02T00:00:00"), Quality: "Good", Suggestions: []ews.Suggestion{
				{MeetingTime: at("2026-03-02T10:00:00"), IsWorkTime: true, Quality: "Good", Conflicts: []ews.AttendeeConflict{
					{Kind: "Individual", BusyType: "Tentative"}, {Kind: "Group", Members: 4, Available: 2, WithConflict: 1, NoData: 1}, {Kind: "TooBigGroup"}, {Kind: "Unknown"},
				}},
				{MeetingTime: at("2026-03-02T20:00:00"), Quality: "Poor"},
			}},
			{Date: at("2026-03-03T00:00:00"), Quality: "Poor"},
		},
	}}
	got, err := ews.ParseGetUserAvailabilityResponse(envelope(t, string(ews.AppendGetUserAvailabilityResponse(nil, want))), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Suggestions, got.Suggestions); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestResponseRoundTrip(t *testing.T) {
	want := answer()
	got, err := ews.ParseGetUserAvailabilityResponse(envelope(t, string(ews.AppendGetUserAvailabilityResponse(nil, want))), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestParseResponse(t *testing.T) {
	text := `<GetUserAvailabilityResponse xmlns="http://schemas.microsoft.com/exchange/services/2006/messages"><x/><FreeBusyResponseArray>
<FreeBusyResponse><FreeBusyView><t:WorkingHours><t:TimeZone><t:Bias>0</t:Bias></t:TimeZone></t:WorkingHours><t:CalendarEventArray>
<t:CalendarEvent><t:BusyType>Busy</t:BusyType><t:EndTime>2026-07-02T10:00:00</t:EndTime><t:StartTime>2026-07-02T09:00:00+02:00</t:StartTime></t:CalendarEvent>
</t:CalendarEventArray><t:MergedFreeBusy>0125</t:MergedFreeBusy><t:FreeBusyViewType>FreeBusyMerged</t:FreeBusyViewType></FreeBusyView><ResponseMessage ResponseClass="Success"/></FreeBusyResponse>
<FreeBusyResponse><ResponseMessage><MessageText>no</MessageText><ResponseCode>ErrorNoFreeBusyAccess</ResponseCode></ResponseMessage></FreeBusyResponse>
</FreeBusyResponseArray></GetUserAvailabilityResponse>`
	got, err := ews.ParseGetUserAvailabilityResponse(envelope(t, open+mid+text+end), &berlin)
	if err != nil {
		t.Fatal(err)
	}
	want := &ews.AvailabilityResponse{FreeBusy: []ews.FreeBusyResponse{
		{Message: ews.ResponseMessage{Class: "Success"}, View: "FreeBusyMerged", Merged: "0124", HasEvents: true,
			Events: []ews.CalendarEvent{{Start: at("2026-07-02T07:00:00Z"), End: at("2026-07-02T08:00:00Z"), BusyType: "Busy"}}},
		{Message: ews.ResponseMessage{Class: "Error", Code: "ErrorNoFreeBusyAccess", Text: "no"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reordered, times with and without offset (-want +got)\n%s", diff)
	}
	for name, bad := range map[string]string{
		"another response": strings.ReplaceAll(text, "GetUserAvailabilityResponse", "GetFolderResponse"),
		"empty body":       "",
		"bad time":         strings.Replace(text, "2026-07-02T10:00:00", "10 o'clock", 1),
		"unknown view":     strings.Replace(text, ">FreeBusyMerged<", ">Everything<", 1),
	} {
		if _, err := ews.ParseGetUserAvailabilityResponse(envelope(t, open+mid+bad+end), nil); !errors.As(err, new(*ews.SchemaError)) {
			t.Errorf("%s: got %v, want a schema error", name, err)
		}
	}
}

// What a request means survives writing and reading it again.
func FuzzRequest(f *testing.F) {
	f.Add(string(ews.AppendGetUserAvailabilityRequest(nil, question())))
	f.Add(open + `<t:TimeZoneContext><t:TimeZoneDefinition Id="UTC"/></t:TimeZoneContext>` + mid + body + mailbox + `<t:FreeBusyViewOptions>` + window + `</t:FreeBusyViewOptions></m:GetUserAvailabilityRequest>` + end)
	f.Fuzz(func(t *testing.T, text string) {
		parse := func(text string) (*ews.AvailabilityRequest, error) {
			env, err := soap.Read(strings.NewReader(text), limit)
			if err != nil {
				return nil, err
			}
			if len(env.Body) == 0 {
				return nil, errors.New("empty")
			}
			r, err := ews.ParseGetUserAvailability(env.Body[0])
			if err != nil {
				return nil, err
			}
			r.Header, err = ews.ParseHeader(env.Header)
			return r, err
		}
		r, err := parse(text)
		if err != nil {
			return
		}
		// These are not written.
		r.Header.Privileged, r.Header.SecurityContext = "", ""
		if r.Header.Version == "" {
			r.Header.Version = "Exchange2007"
		}
		if r.FreeBusy != nil {
			r.FreeBusy.Start.Time, r.FreeBusy.End.Time = r.FreeBusy.Start.Time.Truncate(time.Second), r.FreeBusy.End.Time.Truncate(time.Second)
			if y := r.FreeBusy.Start.Time.Year(); y < 1 || y > 9999 || r.FreeBusy.End.Time.Year() > 9999 || r.FreeBusy.End.Time.Year() < 1 {
				return
			}
		}
		r.Suggestions, r.Header.Zone = nil, nil
		again, err := parse(string(ews.AppendGetUserAvailabilityRequest(nil, r)))
		if err != nil {
			t.Fatalf("what we write does not parse: %v", err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatalf("what we write reads differently\n%s", diff)
		}
	})
}

// What a response means survives too, and every operation's parser stays calm.
func FuzzResponse(f *testing.F) {
	f.Add(string(ews.AppendGetUserAvailabilityResponse(nil, answer())))
	f.Add(open + mid + `<m:FindFolder Traversal="Deep"><m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape><m:Restriction><t:Not><t:IsEqualTo><t:FieldURI FieldURI="folder:FolderClass"/><t:FieldURIOrConstant><t:Constant Value="IPF.Note"/></t:FieldURIOrConstant></t:IsEqualTo></t:Not></m:Restriction><m:ParentFolderIds><t:DistinguishedFolderId Id="root"/></m:ParentFolderIds></m:FindFolder>` + end)
	f.Add(open + mid + `<m:ConvertId DestinationFormat="EwsId"><m:SourceIds><t:AlternateId Format="EwsId" Id="x" Mailbox="y"/></m:SourceIds></m:ConvertId>` + end)
	f.Fuzz(func(t *testing.T, text string) {
		env, err := soap.Read(strings.NewReader(text), limit)
		if err != nil {
			return
		}
		if len(env.Body) > 0 {
			e := env.Body[0]
			if r, err := ews.ParseFindFolder(e); err == nil && r.Match != nil {
				r.Match(&ews.Folder{Class: "IPF.Note", Name: "x"})
			}
			_, _ = ews.ParseGetFolder(e)
			_, _ = ews.ParseSyncFolderHierarchy(e)
			_, _ = ews.ParseConvertID(e)
			_, _ = ews.ParseGetServerTimeZones(e)
			_, _ = ews.ParseOofMailbox(e)
		}
		r, err := ews.ParseGetUserAvailabilityResponse(env, nil)
		if err != nil {
			return
		}
		written := ews.AppendGetUserAvailabilityResponse(nil, r)
		env, err = soap.Read(strings.NewReader(string(written)), 16*limit)
		if err != nil {
			t.Fatalf("what we write does not parse: %v", err)
		}
		again, err := ews.ParseGetUserAvailabilityResponse(env, nil)
		if err != nil {
			if strings.Contains(err.Error(), "Time") { // years that do not fit
				return
			}
			t.Fatalf("what we write does not parse: %v", err)
		}
		if len(again.FreeBusy) != len(r.FreeBusy) {
			t.Fatalf("got %d answers, wrote %d", len(again.FreeBusy), len(r.FreeBusy))
		}
		for i := range r.FreeBusy {
			a, b := &r.FreeBusy[i], &again.FreeBusy[i]
			if a.Merged != b.Merged || len(a.Events) != len(b.Events) || a.HasEvents != b.HasEvents {
				t.Fatalf("answer %d: wrote %+v, read %+v", i, a, b)
			}
		}
	})
}
