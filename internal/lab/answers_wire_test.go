package lab_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/ewsserver"
	"busybridge/internal/serve/mount"
	"busybridge/internal/source/calstore"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/store/sqlitestore"
)

// A wire is an organization's server from the store to the XML; who asks is given.
type wire struct {
	*testing.T
	http.Handler
	db        *sqlitestore.Store
	calendars *calstore.Calendars
	org       *directory.Organization
	asks      *directory.Recipient
}

func newWire(t *testing.T) *wire {
	t.Helper()
	now := func() time.Time { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) }
	w := &wire{T: t}
	var err error
	if w.db, err = sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "wire.db"), sqlitestore.Options{Now: now, SealKey: make([]byte, 32)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	log := options(t).Log
	if w.calendars, err = calstore.New(calstore.Config{Store: w.db, Now: now, Log: log}); err != nil {
		t.Fatal(err)
	}
	engine, err := availability.New(availability.Config{Recipients: w.db, Calendars: w.calendars, Peers: nobody{}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ewsserver.New(ewsserver.Config{Engine: engine, Auth: w, Recipients: w.db, Now: now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = mount.New(mount.Config{Routes: s.Routes(), Log: log, Now: now})
	w.org = &directory.Organization{
		ID: "c0000000-0000-4000-8000-000000000001", Name: "contoso", AuthConfig: directory.AuthConfig{ServiceName: directory.ExchangeAppID},
		AcceptedDomains: []directory.AcceptedDomain{{Common: directory.Common{Name: contoso}, DomainName: contoso, DomainType: "Authoritative", Default: true}},
	}
	if err := w.db.CreateOrganization(t.Context(), w.org); err != nil {
		t.Fatal(err)
	}
	w.asks = w.person("viewer", directory.UserMailbox, directory.DefaultCalendar("UTC"))
	return w
}

// Authenticate lets everybody in as the one who asks.
func (w *wire) Authenticate(*http.Request) (*callers.Caller, error) {
	return &callers.Caller{Org: w.org, Account: &directory.Account{Org: w.org.ID, Enabled: true}, Recipient: w.asks}, nil
}

func (w *wire) Challenge(_ http.ResponseWriter, _ *http.Request, err error) { w.Error(err) }

func (w *wire) person(name, kind string, c directory.CalendarConfiguration, events ...string) *directory.Recipient {
	w.Helper()
	a := smtpaddr.Must(name + "@" + contoso)
	r := &directory.Recipient{Org: w.org.ID, Type: kind, DisplayName: name, Alias: name, Primary: a, Enabled: true, Calendar: c,
		Permissions: []directory.Permission{{User: "Default", Level: freebusy.LevelLimited}}}
	if kind != directory.MailGroup {
		r.UPN = a.String()
	}
	if err := w.db.CreateRecipient(w.Context(), r); err != nil {
		w.Fatal(err)
	}
	if len(events) > 0 {
		text := calendarOf(strings.ReplaceAll(strings.Join(events, ""), "\n", "\r\n"))
		if s, err := w.calendars.Import(w.Context(), r, "a.ics", strings.NewReader(text)); err != nil || len(s.Skipped) > 0 {
			w.Fatal(s, err)
		}
	}
	return r
}

// wireEvent is an event of the given lines.
func wireEvent(uid string, lines ...string) string {
	return "BEGIN:VEVENT\nUID:" + uid + "\nDTSTAMP:20260101T000000Z\n" + strings.Join(lines, "\n") + "\nEND:VEVENT\n"
}

// A wireQuestion is the parts of a request.
type wireQuestion struct {
	version, header, zone string
	who                   []string
	start, end, view      string
}

const berlinBody = `<t:TimeZone><t:Bias>-60</t:Bias><t:StandardTime><t:Bias>0</t:Bias><t:Time>03:00:00</t:Time><t:DayOrder>5</t:DayOrder><t:Month>10</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:StandardTime>` +
	`<t:DaylightTime><t:Bias>-60</t:Bias><t:Time>02:00:00</t:Time><t:DayOrder>5</t:DayOrder><t:Month>3</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:DaylightTime></t:TimeZone>`

const utcBody = `<t:TimeZone><t:Bias>0</t:Bias><t:StandardTime><t:Bias>0</t:Bias><t:Time>00:00:00</t:Time><t:DayOrder>0</t:DayOrder><t:Month>0</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:StandardTime>` +
	`<t:DaylightTime><t:Bias>0</t:Bias><t:Time>00:00:00</t:Time><t:DayOrder>0</t:DayOrder><t:Month>0</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:DaylightTime></t:TimeZone>`

// ask sends the question and returns the answer's text.
func (w *wire) ask(q wireQuestion) string {
	w.Helper()
	var b strings.Builder
	b.WriteString(`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><s:Header>`)
	if q.version != "" {
		fmt.Fprintf(&b, `<t:RequestServerVersion Version="%s"/>`, q.version)
	}
	b.WriteString(q.header + `</s:Header><s:Body><m:GetUserAvailabilityRequest>` + q.zone + `<m:MailboxDataArray>`)
	for _, name := range q.who {
		fmt.Fprintf(&b, `<t:MailboxData><t:Email><t:Address>%s@%s</t:Address></t:Email><t:AttendeeType>Required</t:AttendeeType></t:MailboxData>`, name, contoso)
	}
	fmt.Fprintf(&b, `</m:MailboxDataArray><t:FreeBusyViewOptions><t:TimeWindow><t:StartTime>%s</t:StartTime><t:EndTime>%s</t:EndTime></t:TimeWindow>`+
		`<t:MergedFreeBusyIntervalInMinutes>60</t:MergedFreeBusyIntervalInMinutes><t:RequestedView>%s</t:RequestedView></t:FreeBusyViewOptions>`+
		`</m:GetUserAvailabilityRequest></s:Body></s:Envelope>`, q.start, q.end, q.view)
	r := httptest.NewRequest(http.MethodPost, "https://mail.contoso.com/EWS/Exchange.asmx", strings.NewReader(b.String()))
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	if rec.Code != http.StatusOK {
		w.Errorf("status %d", rec.Code)
	}
	return rec.Body.String()
}

// all returns the texts of all elements of a name.
func all(body, name string) (out []string) {
	for _, m := range regexp.MustCompile(`<`+name+`(?: [^>]*)?>([^<]*)</`+name+`>`).FindAllStringSubmatch(body, -1) {
		out = append(out, m[1])
	}
	return out
}

func wantAll(t *testing.T, body, name, want string) {
	t.Helper()
	if got := strings.Join(all(body, name), " "); got != want {
		t.Errorf("%s: %q, want %q\n%s", name, got, want, body)
	}
}

// Working elsewhere has a name of its own since Exchange 2013, and no digit (EWS reference 2.5).
func TestBusyTypeByRequestVersion(t *testing.T) {
	w := newWire(t)
	w.person("ana", directory.UserMailbox, directory.DefaultCalendar("UTC"),
		wireEvent("1", "DTSTART:20260302T090000Z", "DTEND:20260302T100000Z", "X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE"),
		wireEvent("2", "DTSTART:20260302T100000Z", "DTEND:20260302T110000Z", "X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE"))
	for version, want := range map[string]string{
		"": "Free", "Exchange2007": "Free", "Exchange2007_SP1": "Free", "Exchange2009": "Free", "Exchange2010": "Free", "Exchange2010_SP1": "Free", "Exchange2010_SP2": "Free",
		"Exchange2013": "WorkingElsewhere", "Exchange2013_SP1": "WorkingElsewhere", "Exchange2015": "WorkingElsewhere", "Exchange2016": "WorkingElsewhere",
		"V2015_10_05": "WorkingElsewhere", "V2017_07_11": "WorkingElsewhere", "V2018_01_08": "WorkingElsewhere", "Exchange2019": "WorkingElsewhere",
	} {
		t.Run(version, func(t *testing.T) {
			body := w.ask(wireQuestion{version: version, zone: utcBody, who: []string{"ana"}, start: "2026-03-02T08:00:00", end: "2026-03-02T12:00:00", view: "FreeBusyMerged"})
			wantAll(t, body, "BusyType", want+" Tentative")
			wantAll(t, body, "MergedFreeBusy", "0010")
		})
	}
}

// The zone of the question is the body's, else the TimeZoneContext's, with the
// rules that it has there (EWS reference 2.3).
func TestTheCallersZone(t *testing.T) {
	w := newWire(t)
	w.person("ana", directory.UserMailbox, directory.DefaultCalendar("UTC"),
		wireEvent("winter", "DTSTART:20260428T100000Z", "DTEND:20260428T103000Z"), wireEvent("summer", "DTSTART:20260505T100000Z", "DTEND:20260505T103000Z"))
	// A zone that is nowhere: 75 minutes before UTC, and 90 more from the first
	// Sunday of May, 01:00, to the last one of September.
	const oddBody = `<t:TimeZone><t:Bias>-75</t:Bias><t:StandardTime><t:Bias>0</t:Bias><t:Time>02:00:00</t:Time><t:DayOrder>5</t:DayOrder><t:Month>9</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:StandardTime>` +
		`<t:DaylightTime><t:Bias>-90</t:Bias><t:Time>01:00:00</t:Time><t:DayOrder>1</t:DayOrder><t:Month>5</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:DaylightTime></t:TimeZone>`
	const oddHeader = `<t:TimeZoneContext><t:TimeZoneDefinition Id="Odd" Name="Odd"><t:Periods><t:Period Bias="-PT1H15M" Name="Standard" Id="s"/><t:Period Bias="-PT2H45M" Name="Daylight" Id="d"/></t:Periods>` +
		`<t:TransitionsGroups><t:TransitionsGroup Id="0"><t:RecurringDayTransition><t:To Kind="Period">d</t:To><t:TimeOffset>PT1H</t:TimeOffset><t:Month>5</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek><t:Occurrence>1</t:Occurrence></t:RecurringDayTransition>` +
		`<t:RecurringDayTransition><t:To Kind="Period">s</t:To><t:TimeOffset>PT2H</t:TimeOffset><t:Month>9</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek><t:Occurrence>-1</t:Occurrence></t:RecurringDayTransition></t:TransitionsGroup></t:TransitionsGroups>` +
		`<t:Transitions><t:Transition><t:To Kind="Group">0</t:To></t:Transition></t:Transitions></t:TimeZoneDefinition></t:TimeZoneContext>`
	const tokyo = `<t:TimeZoneContext><t:TimeZoneDefinition Id="Tokyo Standard Time"/></t:TimeZoneContext>`
	const newYork = `<t:TimeZoneContext><t:TimeZoneDefinition Id="Eastern Standard Time"/></t:TimeZoneContext>`
	for _, tt := range []struct {
		name, header, zone string
		start, end         string
		want               string
	}{
		{"body", "", oddBody, "2026-04-28T00:00:00", "2026-05-06T00:00:00", "2026-04-28T11:15:00 2026-05-05T12:45:00"},
		{"header", oddHeader, "", "2026-04-28T00:00:00", "2026-05-06T00:00:00", "2026-04-28T11:15:00 2026-05-05T12:45:00"},
		{"header by name", tokyo, "", "2026-04-28T00:00:00", "2026-05-06T00:00:00", "2026-04-28T19:00:00 2026-05-05T19:00:00"},
		{"header by name, in summer", newYork, "", "2026-04-28T00:00:00", "2026-05-06T00:00:00", "2026-04-28T06:00:00 2026-05-05T06:00:00"},
		{"body before header", tokyo, berlinBody, "2026-04-28T00:00:00", "2026-05-06T00:00:00", "2026-04-28T12:00:00 2026-05-05T12:00:00"},
		{"the window is of the zone, too", "", oddBody, "2026-04-28T11:45:00", "2026-05-05T12:45:00", ""},
		{"and touches the second", "", oddBody, "2026-04-28T11:45:00", "2026-05-05T12:45:01", "2026-05-05T12:45:00"},
		{"a window in UTC", "", oddBody, "2026-04-28T10:29:59Z", "2026-05-05T10:00:00Z", "2026-04-28T11:15:00"},
		{"a window with an offset", "", oddBody, "2026-04-28T06:29:59-04:00", "2026-05-05T19:00:00+09:00", "2026-04-28T11:15:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := w.ask(wireQuestion{version: "Exchange2013", header: tt.header, zone: tt.zone, who: []string{"ana"}, start: tt.start, end: tt.end, view: "FreeBusy"})
			_, array, _ := strings.Cut(body, "<CalendarEventArray")
			array, _, _ = strings.Cut(array, "</CalendarEventArray>")
			wantAll(t, array, "StartTime", tt.want)
		})
	}
}

// Working hours are in the mailbox's own zone, by the rules of the year of the
// question (EWS reference 2.6), whoever asks from wherever.
func TestWorkingHoursOnTheWire(t *testing.T) {
	w := newWire(t)
	late := directory.CalendarConfiguration{TimeZone: "Eastern Standard Time", WorkDays: 0b0011111, WorkStart: 9*60 + 30, WorkEnd: 18*60 + 15}
	w.person("ny", directory.UserMailbox, late)
	w.person("moscow", directory.UserMailbox, directory.DefaultCalendar("Russian Standard Time"))
	w.person("sydney", directory.UserMailbox, directory.DefaultCalendar("AUS Eastern Standard Time"))
	for _, tt := range []struct {
		who, year, bias, months, days, from, to string
	}{
		{"ny", "2026", "300 0 -60", "11 3", "Sunday Monday Tuesday Wednesday Thursday", "570", "1095"},
		{"moscow", "2013", "-240 0 0", "0 0", "Monday Tuesday Wednesday Thursday Friday", "480", "1020"},
		{"moscow", "2026", "-180 0 0", "0 0", "Monday Tuesday Wednesday Thursday Friday", "480", "1020"},
		{"sydney", "2026", "-600 0 -60", "4 10", "Monday Tuesday Wednesday Thursday Friday", "480", "1020"},
	} {
		t.Run(tt.who+" "+tt.year, func(t *testing.T) {
			body := w.ask(wireQuestion{version: "Exchange2013", zone: berlinBody, who: []string{tt.who}, start: tt.year + "-03-02T00:00:00", end: tt.year + "-03-03T00:00:00", view: "Detailed"})
			wantAll(t, body, "Bias", tt.bias)
			wantAll(t, body, "Month", tt.months)
			if got := strings.Join(all(body, "DayOfWeek"), "|"); !strings.HasSuffix(got, "|"+tt.days) {
				t.Errorf("days %q, want %q at the end", got, tt.days)
			}
			wantAll(t, body, "StartTimeInMinutes", tt.from)
			wantAll(t, body, "EndTimeInMinutes", tt.to)
		})
	}
}

// A whole day is a day of the mailbox's zone; the answer has it in the caller's.
func TestAllDayInTwoZones(t *testing.T) {
	w := newWire(t)
	w.person("tokyo", directory.UserMailbox, directory.DefaultCalendar("Tokyo Standard Time"), wireEvent("1", "SUMMARY:Golden Week", "DTSTART;VALUE=DATE:20260429"))
	body := w.ask(wireQuestion{version: "Exchange2013", zone: berlinBody, who: []string{"tokyo"}, start: "2026-04-28T00:00:00", end: "2026-04-30T00:00:00", view: "DetailedMerged"})
	_, array, _ := strings.Cut(body, "<CalendarEventArray")
	wantAll(t, array, "StartTime", "2026-04-28T17:00:00")
	wantAll(t, array, "EndTime", "2026-04-29T17:00:00")
	wantAll(t, body, "BusyType", "Busy")
	wantAll(t, body, "MergedFreeBusy", strings.Repeat("0", 17)+strings.Repeat("2", 24)+strings.Repeat("0", 7))
	wantAll(t, body, "Subject", "Golden Week")
}

// Rooms, equipment and shared mailboxes answer like people; a group of 100 is
// expanded, one of 101 is an error (EWS reference 2.2).
func TestKindsOfRecipientsOnTheWire(t *testing.T) {
	w := newWire(t)
	hour := wireEvent("1", "DTSTART:20260302T090000Z", "DTEND:20260302T100000Z")
	for _, kind := range directory.MailboxTypes() {
		w.person(strings.ToLower(kind), kind, directory.DefaultCalendar("UTC"), hour)
	}
	full, big := &directory.Recipient{}, &directory.Recipient{}
	for name, g := range map[string]*directory.Recipient{"full": full, "big": big} {
		*g = directory.Recipient{Org: w.org.ID, Type: directory.MailGroup, DisplayName: name, Alias: name, Primary: smtpaddr.Must(name + "@" + contoso), Enabled: true}
	}
	for i := range 101 {
		a := smtpaddr.Must(fmt.Sprintf("member%d@%s", i, contoso))
		if i < 100 {
			full.Members = append(full.Members, a)
		}
		big.Members = append(big.Members, a)
	}
	w.person("member42", directory.UserMailbox, directory.DefaultCalendar("UTC"), hour)
	for _, g := range []*directory.Recipient{full, big} {
		if err := w.db.CreateRecipient(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	body := w.ask(wireQuestion{version: "Exchange2013", zone: utcBody, who: []string{"usermailbox", "roommailbox", "equipmentmailbox", "sharedmailbox", "full", "big"},
		start: "2026-03-02T08:00:00", end: "2026-03-02T11:00:00", view: "DetailedMerged"})
	wantAll(t, body, "ResponseCode", "NoError NoError NoError NoError NoError ErrorFreeBusyDLLimitReached")
	wantAll(t, body, "FreeBusyViewType", "DetailedMerged DetailedMerged DetailedMerged DetailedMerged MergedOnly None")
	wantAll(t, body, "MergedFreeBusy", "020 020 020 020 020")
	wantAll(t, body, "MessageText", "The distribution list big@contoso.com has too many members. The allowed size = 100; the actual size = 101.")
}
