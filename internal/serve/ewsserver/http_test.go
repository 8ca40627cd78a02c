package ewsserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/serve/ewsserver"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
	"busybridge/internal/trust"
)

// ask builds a request; parts replace the valid ones.
type ask struct{ header, zone, mailboxes, options, via string }

func (a ask) String() string {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&a.header, `<t:RequestServerVersion Version="Exchange2013_SP1"/>`)
	def(&a.zone, zone)
	def(&a.mailboxes, `<m:MailboxDataArray>`+oneMailbox+`</m:MailboxDataArray>`)
	def(&a.options, options("2026-03-02T08:00:00", "2026-03-02T13:00:00", "30", "FreeBusyMerged"))
	return `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><s:Header>` +
		a.header + `</s:Header><s:Body><m:GetUserAvailabilityRequest>` + strings.Trim(a.zone, "-") + a.mailboxes + strings.Trim(a.options, "-") + `</m:GetUserAvailabilityRequest></s:Body></s:Envelope>`
}

const (
	none       = "-" // a part that is left out
	oneMailbox = `<t:MailboxData><t:Email><t:Address>SMTP:Ana@Contoso.com</t:Address></t:Email><t:AttendeeType>Organizer</t:AttendeeType><t:ExcludeConflicts>true</t:ExcludeConflicts></t:MailboxData>`
	zone       = `<t:TimeZone><t:Bias>-60</t:Bias><t:StandardTime><t:Bias>0</t:Bias><t:Time>03:00:00</t:Time><t:DayOrder>5</t:DayOrder><t:Month>10</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:StandardTime><t:DaylightTime><t:Bias>-60</t:Bias><t:Time>02:00:00</t:Time><t:DayOrder>5</t:DayOrder><t:Month>3</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:DaylightTime></t:TimeZone>`
)

func options(start, end, interval, view string) string {
	return `<t:FreeBusyViewOptions><t:TimeWindow><t:StartTime>` + start + `</t:StartTime><t:EndTime>` + end + `</t:EndTime></t:TimeWindow><t:MergedFreeBusyIntervalInMinutes>` + interval +
		`</t:MergedFreeBusyIntervalInMinutes><t:RequestedView>` + view + `</t:RequestedView></t:FreeBusyViewOptions>`
}

// Requests that cannot be answered, and the fault that says why.
func TestBadRequests(t *testing.T) {
	context := func(def string) ask {
		return ask{header: `<t:TimeZoneContext>` + def + `</t:TimeZoneContext>`, zone: none}
	}
	envelope := func(body string) string {
		return `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"><s:Body>` + body + `</s:Body></s:Envelope>`
	}
	tests := []struct{ name, in, code, text string }{
		{"no mailboxes", ask{mailboxes: `<m:MailboxDataArray></m:MailboxDataArray>`}.String(), "ErrorMailboxDataArrayEmpty", ""},
		{"101 mailboxes", ask{mailboxes: `<m:MailboxDataArray>` + strings.Repeat(oneMailbox, 101) + `</m:MailboxDataArray>`}.String(), "ErrorMailboxDataArrayTooBig",
			"There are too many target users in the EmailAddress array. The allowed size = 100; the actual size = 101."},
		{"63 days", ask{options: options("2026-03-02T00:00:00", "2026-05-04T00:00:00", "30", "FreeBusy")}.String(), "ErrorTimeIntervalTooBig",
			"The requested time duration specified for FreeBusyViewOptions.TimeWindow is too long. The allowed limit = 62 days; the actual limit = 63 days."},
		{"9999 years", ask{options: options("0001-01-01T00:00:00", "9999-12-31T00:00:00", "30", "FreeBusy")}.String(), "ErrorTimeIntervalTooBig", "actual limit = 3652058 days"},
		{"end before start", ask{options: options("2026-03-02T13:00:00", "2026-03-02T08:00:00", "30", "FreeBusy")}.String(), "ErrorInvalidTimeInterval",
			"The time duration specified for FreeBusyViewOptions.TimeWindow is invalid."},
		{"end is start", ask{options: options("2026-03-02T13:00:00", "2026-03-02T12:00:00Z", "30", "FreeBusy")}.String(), "ErrorInvalidTimeInterval", ""},
		{"interval of 4 minutes", ask{options: options("2026-03-02T08:00:00", "2026-03-02T13:00:00", "4", "FreeBusyMerged")}.String(), "ErrorInvalidMergedFreeBusyInterval", ""},
		{"interval of 0", ask{options: options("2026-03-02T08:00:00", "2026-03-02T13:00:00", "0", "FreeBusyMerged")}.String(), "ErrorInvalidMergedFreeBusyInterval", ""},
		{"interval of a day and a minute", ask{options: options("2026-03-02T08:00:00", "2026-03-02T13:00:00", "1441", "FreeBusyMerged")}.String(), "ErrorInvalidMergedFreeBusyInterval", ""},
		{"interval of 2^31-1", ask{options: options("2026-03-02T08:00:00", "2026-03-02T13:00:00", "2147483647", "FreeBusyMerged")}.String(), "ErrorInvalidMergedFreeBusyInterval", ""},
		{"negative interval", ask{options: options("2026-03-02T08:00:00", "2026-03-02T13:00:00", "-30", "FreeBusyMerged")}.String(), "ErrorInvalidMergedFreeBusyInterval", ""},
		{"view None", ask{options: options("2026-03-02T08:00:00", "2026-03-02T13:00:00", "30", "None")}.String(), "ErrorInvalidFreeBusyViewType", ""},
		{"empty view", ask{options: options("2026-03-02T08:00:00", "2026-03-02T13:00:00", "30", "")}.String(), "ErrorInvalidFreeBusyViewType", ""},
		{"no options", ask{options: none}.String(), "ErrorInvalidFreeBusyViewType", ""},
		{"no zone", ask{zone: none}.String(), "ErrorTimeZone", "no time zone"},
		{"impossible zone", ask{zone: strings.Replace(zone, "<t:Month>10<", "<t:Month>14<", 1)}.String(), "ErrorTimeZone", ""},
		{"unknown zone id", context(`<t:TimeZoneDefinition Id="Mars Standard Time"/>`).String(), "ErrorTimeZone", `"Mars Standard Time"`},
		{"zone id of the machine", context(`<t:TimeZoneDefinition Id="Local"/>`).String(), "ErrorTimeZone", ""},
		{"zone id that is a path", context(`<t:TimeZoneDefinition Id="../../etc/passwd"/>`).String(), "ErrorTimeZone", ""},
		{"zone definition that does not fit", context(`<t:TimeZoneDefinition Id="x"><t:Periods><t:Period Bias="PT1H" Name="a" Id="a"/></t:Periods><t:TransitionsGroups/><t:Transitions><t:Transition><t:To Kind="Group">0</t:To></t:Transition></t:Transitions></t:TimeZoneDefinition>`).String(), "ErrorTimeZone", ""},
		{"header twice", ask{header: strings.Repeat(`<t:RequestServerVersion Version="Exchange2013"/>`, 2)}.String(), "ErrorDuplicateSOAPHeader", ""},
		{"version", ask{header: `<t:RequestServerVersion Version="Lotus"/>`}.String(), "ErrorInvalidServerVersion", ""},
		{"privileged header", ask{header: `<t:SerializedSecurityContext><t:UserSid>S-1-5-18</t:UserSid></t:SerializedSecurityContext>`}.String(), "ErrorAccessDenied", ""},
		{"impersonation of two", ask{header: `<t:ExchangeImpersonation><t:ConnectingSID><t:SID>a</t:SID><t:SID>b</t:SID></t:ConnectingSID></t:ExchangeImpersonation>`}.String(), "ErrorInvalidExchangeImpersonationHeaderData", ""},
		{"two access modes", ask{header: `<t:ExchangeImpersonation><t:ConnectingSID><t:SID>a</t:SID></t:ConnectingSID></t:ExchangeImpersonation><t:ProxySecurityContext/>`}.String(), "ErrorMoreThanOneAccessModeSpecified", ""},
		{"header that must be understood", ask{header: `<x:Security xmlns:x="u" s:mustUnderstand="1"/>`}.String(), "MustUnderstand", "Security"},
		{"empty body", envelope(""), "ErrorSchemaValidation", "exactly one child"},
		{"two operations", envelope("<m:ConvertId/><m:ConvertId/>"), "ErrorSchemaValidation", "exactly one child"},
		{"operation in no namespace", envelope("<GetFolder/>"), "ErrorInvalidRequest", "GetFolder"},
		{"unknown operation", envelope("<m:GetFolder2/>"), "ErrorInvalidRequest", "GetFolder2"},
		{"1001 folders", strings.Replace(envelope(`<m:GetFolder xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:FolderIds>X</m:FolderIds></m:GetFolder>`),
			"X", strings.Repeat(`<t:DistinguishedFolderId Id="inbox"/>`, 1001), 1), "ErrorInvalidRequest", "1000"},
		{"malformed", `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>`, "ErrorSchemaValidation", "ends inside <s:Body>"},
		{"nothing", "", "ErrorSchemaValidation", "no root element"},
		{"JSON", `{"a": 1}`, "ErrorSchemaValidation", ""},
		{"another document", `<Autodiscover/>`, "ErrorSchemaValidation", "not a SOAP 1.1 envelope"},
		{"billion laughs", `<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]><lolz>&lol2;</lolz>`, "ErrorSchemaValidation", "document type"},
		{"external entity", `<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><x/>`, "ErrorSchemaValidation", "document type"},
		{"undeclared entity", strings.Replace(ask{}.String(), "Ana@", "&ana;@", 1), "ErrorSchemaValidation", "ana"},
		{"depth", strings.Repeat("<a>", 100_000), "ErrorSchemaValidation", "nested deeper"},
		{"many elements", "<a>" + strings.Repeat("<b/>", 200_000), "ErrorRequestStreamTooBig", ""},
		{"5 MB", ask{}.String() + strings.Repeat(" ", 5<<20), "ErrorRequestStreamTooBig", ""},
		{"SOAP 1.2", `<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body/></e:Envelope>`, "VersionMismatch", "SOAP 1.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newServer(t)
			resp := f.post("ana", tt.in)
			fault := faultIn(t, resp)
			if fault.Code != tt.code || !strings.Contains(fault.String, tt.text) {
				t.Errorf("got %s %q, want %s %q", fault.Code, fault.String, tt.code, tt.text)
			}
			if strings.HasPrefix(tt.code, "Error") && fault.ResponseCode != tt.code {
				t.Errorf("got ResponseCode %q, want %q", fault.ResponseCode, tt.code)
			}
			if tt.code == "ErrorSchemaValidation" && fault.Line == 0 {
				t.Errorf("no position in %+v", fault)
			}
			if f.engine.last != nil {
				t.Error("the engine was asked")
			}
			if log := f.log.String(); strings.Contains(log, "ERROR") {
				t.Errorf("logged as our own fault: %s", log)
			}
		})
	}
}

func faultIn(t testing.TB, resp *http.Response) *soap.Fault {
	t.Helper()
	body := text(t, resp)
	if resp.StatusCode != http.StatusInternalServerError || resp.Header.Get("Content-Type") != "text/xml; charset=utf-8" {
		t.Fatalf("got status %d, %s, want a fault:\n%s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
	env, err := soap.Read(strings.NewReader(body), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	fault, ok := soap.FaultOf(env)
	if !ok {
		t.Fatalf("no fault in %s", body)
	}
	return fault
}

// What a request means to the engine.
func TestQuestion(t *testing.T) {
	impersonate := func(kind, whom string) string {
		return `<t:ExchangeImpersonation><t:ConnectingSID><t:` + kind + `>` + whom + `</t:` + kind + `></t:ConnectingSID></t:ExchangeImpersonation>`
	}
	forest := func(user *directory.Recipient) func(*availability.Question) {
		return func(q *availability.Question) {
			q.Caller, q.Proxied = availability.Caller{Recipient: user, Forest: true}, availability.CrossForest
		}
	}
	tests := []struct {
		name, user string
		in         ask
		want       func(q *availability.Question)
	}{
		{"a user", "ana", ask{}, func(*availability.Question) {}},
		{"summer", "ana", ask{options: options("2026-07-02T08:00:00", "2026-07-02T13:00:00", "5", "MergedOnly")}, func(q *availability.Question) {
			q.Window = freebusy.Window{Start: utc("2026-07-02T06:00:00Z"), End: utc("2026-07-02T11:00:00Z")}
			q.Slot, q.View = 5*time.Minute, freebusy.ViewMergedOnly
		}},
		{"a day on which the clocks change", "ana", ask{options: options("2026-03-29T00:00:00", "2026-03-30T00:00:00", "1440", "Detailed")}, func(q *availability.Question) {
			q.Window = freebusy.Window{Start: utc("2026-03-28T23:00:00Z"), End: utc("2026-03-29T22:00:00Z")}
			q.Slot, q.View = 24*time.Hour, freebusy.ViewDetailed
		}},
		{"times with offset", "ana", ask{options: options("2026-03-02T08:00:00+09:00", "2026-03-02T13:00:00Z", "30", "Detailed MergedOnly")}, func(q *availability.Question) {
			q.Window = freebusy.Window{Start: utc("2026-03-01T23:00:00Z"), End: utc("2026-03-02T13:00:00Z")}
			q.View = freebusy.ViewDetailedMerged
		}},
		{"zone by id, on both sides of a change", "ana", ask{zone: none, header: `<t:TimeZoneContext><t:TimeZoneDefinition Id="Pacific Standard Time"/></t:TimeZoneContext>`, options: options("2026-03-07T12:00:00", "2026-03-09T12:00:00", "30", "FreeBusyMerged")},
			func(q *availability.Question) {
				q.Window = freebusy.Window{Start: utc("2026-03-07T20:00:00Z"), End: utc("2026-03-09T19:00:00Z")}
			}},
		{"62 days", "ana", ask{options: options("2026-06-01T00:00:00", "2026-08-02T00:00:00", "30", "FreeBusyMerged")}, func(q *availability.Question) {
			q.Window = freebusy.Window{Start: utc("2026-05-31T22:00:00Z"), End: utc("2026-08-01T22:00:00Z")}
		}},
		{"no address, legacy names", "ana", ask{mailboxes: `<m:MailboxDataArray><t:MailboxData><t:Email><t:Address>no address</t:Address></t:Email></t:MailboxData><t:MailboxData><t:Email><t:Address>/o=Contoso/cn=ana@x.com</t:Address><t:RoutingType>EX</t:RoutingType></t:Email><t:AttendeeType>Room</t:AttendeeType></t:MailboxData></m:MailboxDataArray>`},
			func(q *availability.Question) {
				q.Attendees = []availability.Attendee{{Raw: "no address", Type: "Required"}, {Raw: "/o=Contoso/cn=ana@x.com", Type: "Room"}}
			}},
		{"a partner", "partner", ask{}, func(q *availability.Question) {
			c, _ := caller("partner")
			q.Caller, q.Proxied = availability.Caller{Partner: c.Partner}, availability.CrossForest
		}},
		{"a partner cannot say that it is ours", "partner", ask{header: `<t:RequestType>CrossSite</t:RequestType>`}, func(q *availability.Question) {
			c, _ := caller("partner")
			q.Caller, q.Proxied = availability.Caller{Partner: c.Partner}, availability.CrossForest
		}},
		{"a user cannot say that it is a server", "ana", ask{header: `<t:RequestType>CrossSite</t:RequestType>`}, func(*availability.Question) {}},
		{"a user may say that it comes from elsewhere", "ana", ask{header: `<t:RequestType>CrossForest</t:RequestType>`}, func(q *availability.Question) { q.Proxied = availability.CrossForest }},
		{"a server of ours for a user", "service", ask{header: `<t:ProxyRequestTypeHeader><t:RequestType>CrossSite</t:RequestType></t:ProxyRequestTypeHeader>` + impersonate("PrimarySmtpAddress", "bo@contoso.com")}, func(q *availability.Question) {
			q.Caller, q.Proxied = availability.Caller{Recipient: bo}, availability.CrossSite
		}},
		{"impersonation by a proxy address", "service", ask{header: impersonate("SmtpAddress", "ana.old@contoso.com")}, func(*availability.Question) {}},
		{"an application for a user", "application", ask{header: impersonate("PrimarySmtpAddress", "bo@contoso.com")}, func(q *availability.Question) {
			c, _ := caller("application")
			c.Partner.User, c.Partner.SMTP, c.Partner.AppOnly = bo, "bo@contoso.com", false
			q.Caller, q.Proxied = availability.Caller{Recipient: bo, Partner: c.Partner}, availability.CrossForest
		}},
		{"an application for nobody", "application", ask{}, func(q *availability.Question) {
			c, _ := caller("application")
			q.Caller, q.Proxied = availability.Caller{Partner: c.Partner}, availability.CrossForest
		}},
		{"an account without mailbox", "service", ask{}, func(q *availability.Question) { q.Caller = availability.Caller{} }},
		{"a server of ours says who was asked before", "service", ask{header: `<t:RequestType>CrossSite</t:RequestType>`, via: "1.1 OLD, 1.1 OLD2 (comment),1.1, HTTP/1.1 \x01,1.1 " + strings.Repeat("x", 65)}, func(q *availability.Question) {
			q.Caller, q.Proxied, q.Via = availability.Caller{}, availability.CrossSite, []string{"OLD", "OLD2"}
		}},
		{"it names many", "service", ask{header: `<t:RequestType>CrossSite</t:RequestType>`, via: strings.Repeat("1.1 A,", 1000)}, func(q *availability.Question) {
			q.Caller, q.Proxied, q.Via = availability.Caller{}, availability.CrossSite, slices.Repeat([]string{"A"}, 10)
		}},
		{"nobody else is believed that", "ana", ask{header: `<t:RequestType>CrossSite</t:RequestType>`, via: "1.1 OLD"}, func(*availability.Question) {}},
		{"another forest", "forest", ask{}, forest(nil)},
		{"another forest that says that it is ours", "forest", ask{header: `<t:RequestType>CrossSite</t:RequestType>`, via: "1.1 OLD"}, forest(nil)},
		{"another forest for a user whom we know", "forest per user", ask{header: impersonate("PrimarySmtpAddress", "dan@fabrikam.com")}, forest(dan)},
		{"the same in the older way", "forest per user", ask{header: `<t:SerializedSecurityContext><t:UserSid>S-1-5-21-1</t:UserSid><t:PrimarySmtpAddress>Dan@fabrikam.com</t:PrimarySmtpAddress></t:SerializedSecurityContext>`}, forest(dan)},
		{"without an address", "forest per user", ask{header: `<t:SerializedSecurityContext><t:UserSid>S-1-5-21-1</t:UserSid></t:SerializedSecurityContext>`}, forest(nil)},
		{"for one whom we do not know", "forest per user", ask{header: impersonate("PrimarySmtpAddress", "eve@fabrikam.com")}, forest(nil)},
		{"for one of ours", "forest per user", ask{header: impersonate("PrimarySmtpAddress", "bo@contoso.com")}, forest(nil)},
		{"an old node", "ana at legacy", ask{}, func(q *availability.Question) { q.Server = old }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := &availability.Question{
				Org: org, Server: ex, Caller: availability.Caller{Recipient: ana},
				Attendees: []availability.Attendee{{Raw: "SMTP:Ana@Contoso.com", Address: smtpaddr.Must("ana@contoso.com"), Type: "Organizer", ExcludeConflicts: true}},
				Window:    freebusy.Window{Start: utc("2026-03-02T07:00:00Z"), End: utc("2026-03-02T12:00:00Z")},
				View:      freebusy.ViewFreeBusyMerged, Slot: 30 * time.Minute,
			}
			tt.want(want)
			f := newServer(t)
			resp := f.post(tt.user, tt.in.String(), "Via", tt.in.via)
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("status %d\n%s", resp.StatusCode, text(t, resp))
			}
			want.RequestID = resp.Header.Get("request-id")
			if diff := cmp.Diff(want, f.engine.last, cmp.Comparer(func(a, b smtpaddr.Address) bool { return a == b }), cmpopts.IgnoreUnexported(trust.Caller{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// Which applications a server is open to is decided before what they send is read.
func TestServersThatAreClosedToApplications(t *testing.T) {
	for user, want := range map[string]int{
		"partner": 200, "application": 200,
		"partner at a dedicated server": 403, "application at a dedicated server": 200,
		"partner at a closed server": 403, "application at a closed server": 403, "ana at a closed server": 200,
	} {
		resp := newServer(t).post(user, ask{}.String())
		if resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d", user, resp.StatusCode, want)
		}
		if body := text(t, resp); want == 403 && body != "" {
			t.Errorf("%s: a body of %d bytes", user, len(body))
		}
	}
}

func TestImpersonationDenied(t *testing.T) {
	header := func(kind, whom string) string {
		return ask{header: `<t:ExchangeImpersonation><t:ConnectingSID><t:` + kind + `>` + whom + `</t:` + kind + `></t:ConnectingSID></t:ExchangeImpersonation>`}.String()
	}
	for _, tt := range []struct{ user, kind, whom, code string }{
		{"ana", "SmtpAddress", "bo@contoso.com", "ErrorImpersonateUserDenied"},
		{"ana", "SmtpAddress", "nobody@contoso.com", "ErrorImpersonateUserDenied"},
		{"partner", "SmtpAddress", "bo@contoso.com", "ErrorImpersonateUserDenied"},
		{"forest", "SmtpAddress", "dan@fabrikam.com", "ErrorImpersonateUserDenied"},
		{"kim of a partner", "SmtpAddress", "bo@contoso.com", "ErrorImpersonateUserDenied"},
		{"application", "SmtpAddress", "nobody@contoso.com", "ErrorNonExistentMailbox"},
		{"application", "SmtpAddress", "gone@contoso.com", "ErrorNonExistentMailbox"},
		{"service", "SmtpAddress", "nobody@contoso.com", "ErrorNonExistentMailbox"},
		{"service", "PrincipalName", "nobody", "ErrorNonExistentMailbox"},
		{"service", "SID", "S-1-5-21", "ErrorNonExistentMailbox"},
	} {
		if fault := faultIn(t, newServer(t).post(tt.user, header(tt.kind, tt.whom))); fault.Code != tt.code {
			t.Errorf("%s as %s %s: got %s, want %s", tt.user, tt.kind, tt.whom, fault.Code, tt.code)
		}
	}
}

// What goes wrong inside is logged, and not told.
func TestInternalErrors(t *testing.T) {
	failing := newServer(t)
	failing.engine.err = errors.New("disk is on fire")
	short := newServer(t)
	short.engine.less = true
	broken := newServer(t)
	for name, tt := range map[string]struct {
		*fixture
		user, in, logged string
	}{
		"engine fails":         {failing, "ana", ask{}.String(), "disk is on fire"},
		"an answer is missing": {short, "ana", ask{}.String(), "got 0 answers"},
		"look-up fails": {broken, "service", ask{header: `<t:ExchangeImpersonation><t:ConnectingSID><t:SmtpAddress>broken@contoso.com</t:SmtpAddress></t:ConnectingSID></t:ExchangeImpersonation>`}.String(),
			"disk is on fire"},
	} {
		t.Run(name, func(t *testing.T) {
			resp := tt.post(tt.user, tt.in)
			fault := faultIn(t, resp)
			if fault.Code != "ErrorInternalServerError" || strings.Contains(fault.String, "fire") {
				t.Errorf("got %+v", fault)
			}
			if !strings.Contains(tt.log.String(), tt.logged) {
				t.Errorf("log does not say %q: %s", tt.logged, tt.log)
			}
		})
	}
	f := newServer(t)
	resp := f.post("ana", ask{mailboxes: `<m:MailboxDataArray><t:MailboxData><t:Email><t:Address>internal@contoso.com</t:Address></t:Email></t:MailboxData></m:MailboxDataArray>`}.String())
	if body := text(t, resp); strings.Contains(body, "fire") || !strings.Contains(f.log.String(), "fire") {
		t.Errorf("error of a mailbox: answered %s, logged %s", body, f.log)
	}
}

func TestHTTP(t *testing.T) {
	tests := []struct {
		name, method, path, user, contentType string
		status                                int
		body, answerType                      string
	}{
		{"nobody may ask", "POST", "/EWS/Exchange.asmx", "", "text/xml", 401, "", ""},
		{"nobody may see the page", "GET", "/EWS/Exchange.asmx", "", "", 401, "", ""},
		{"nobody may see the description", "GET", "/EWS/Services.wsdl", "", "", 401, "", ""},
		{"nor by ?wsdl", "GET", "/EWS/Exchange.asmx?WSDL", "", "", 401, "", ""},
		{"nor the schema", "GET", "/ews/types.xsd", "", "", 401, "", ""},
		{"page", "GET", "/EWS/Exchange.asmx", "ana", "", 200, "SOAP 1.1", "text/plain; charset=utf-8"},
		{"description", "GET", "/EWS/Services.wsdl", "ana", "", 200, "<wsdl:definitions", "text/xml; charset=utf-8"},
		{"description by ?wsdl", "GET", "/ews/exchange.asmx?wsdl", "ana", "", 200, "<wsdl:definitions", "text/xml; charset=utf-8"},
		{"messages", "GET", "/EWS/messages.xsd", "partner", "", 200, "<xs:schema", "text/xml; charset=utf-8"},
		{"types", "GET", "/EWS/Types.xsd", "ana", "", 200, "<xs:schema", "text/xml; charset=utf-8"},
		{"other method", "PUT", "/EWS/Exchange.asmx", "ana", "text/xml", 405, "", ""},
		{"post to the description", "POST", "/EWS/Services.wsdl", "ana", "text/xml", 405, "", ""},
		{"no content type", "POST", "/EWS/Exchange.asmx", "ana", "", 200, "GetUserAvailabilityResponse", "text/xml; charset=utf-8"},
		{"quoted charset", "POST", "/EWS/Exchange.asmx", "ana", `text/xml;charset="utf-8"`, 200, "GetUserAvailabilityResponse", "text/xml; charset=utf-8"},
		{"odd parameters", "POST", "/EWS/Exchange.asmx", "ana", `Text/XML; charset=utf-8; charset=utf-8`, 200, "GetUserAvailabilityResponse", "text/xml; charset=utf-8"},
		{"a web page's form", "POST", "/EWS/Exchange.asmx", "ana", "text/plain", 415, "", ""},
		{"federated path", "POST", "/EWS/Exchange.asmx/WSSecurity", "ana", "text/xml", 404, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "https://mail.contoso.com"+tt.path, strings.NewReader(ask{}.String()))
			if tt.contentType != "" {
				r.Header.Set("Content-Type", tt.contentType)
			}
			if tt.user != "" {
				r.SetBasicAuth(tt.user, "")
			}
			w := httptest.NewRecorder()
			newServer(t).ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) || tt.answerType != "" && w.Header().Get("Content-Type") != tt.answerType {
				t.Errorf("got %d %s, want %d\n%s", w.Code, w.Header().Get("Content-Type"), tt.status, w.Body)
			}
			if tt.status == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("no challenge")
			}
		})
	}
}

// A body that is too large is refused by its header, without being read.
func TestRefusedEarly(t *testing.T) {
	read := false
	r := httptest.NewRequest("POST", "https://mail.contoso.com/ews/exchange.asmx", readerFunc(func([]byte) (int, error) {
		read = true
		return 0, io.EOF
	}))
	r.ContentLength = 5 << 20
	r.Header.Set("Content-Type", "text/xml")
	r.SetBasicAuth("ana", "")
	w := httptest.NewRecorder()
	newServer(t).ServeHTTP(w, r)
	if fault := faultIn(t, w.Result()); fault.Code != "ErrorRequestStreamTooBig" || read {
		t.Errorf("got %s, body read: %v", fault.Code, read)
	}
}

// A connection that breaks is not our fault.
func TestBrokenBody(t *testing.T) {
	f := newServer(t)
	r := httptest.NewRequest("POST", "https://mail.contoso.com/ews/exchange.asmx", io.MultiReader(strings.NewReader("<s:"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	r.SetBasicAuth("ana", "")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if fault := faultIn(t, w.Result()); fault.Code != "ErrorInvalidRequest" || strings.Contains(f.log.String(), "ERROR") {
		t.Errorf("got %s, logged %s", fault.Code, f.log)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// The ids of one mailbox open nothing in another; state and ids stay the same
// from one process to the next.
func TestFolderIDs(t *testing.T) {
	sync := func(state string) string {
		return operation(`<m:SyncFolderHierarchy><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:SyncFolderId><t:DistinguishedFolderId Id="root"/></m:SyncFolderId><m:SyncState>` + state + `</m:SyncState></m:SyncFolderHierarchy>`)
	}
	convert := func(id, from, to string) string {
		return operation(`<m:ConvertId DestinationFormat="` + to + `"><m:SourceIds><t:AlternateId Format="` + from + `" Id="` + id + `" Mailbox="x@contoso.com"/></m:SourceIds></m:ConvertId>`)
	}
	item := func(id string) string {
		return operation(`<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape><m:ItemIds><t:ItemId Id="` + id + `"/></m:ItemIds></m:GetItem>`)
	}
	folder := func(id string) string {
		return operation(`<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:FolderIds><t:FolderId Id="` + id + `"/></m:FolderIds></m:GetFolder>`)
	}
	calendar := func(of string) string {
		return string(ews.AppendGetFolderRequest(nil, &ews.Header{Version: "Exchange2013_SP1"}, ews.FolderRef{Distinguished: true, ID: "calendar", Mailbox: of}))
	}
	first := text(t, newServer(t).post("ana", sync("")))
	if first != text(t, newServer(t).post("ana", sync(""))) {
		t.Error("another process gives out other ids")
	}
	if n := strings.Count(first, "<t:Create>"); n != 9 {
		t.Errorf("first sync has %d folders, want 9", n)
	}
	state := between(t, first, "<m:SyncState>", "</m:SyncState>")
	id := between(t, first, `<t:FolderId Id="`, `"`)
	flipped := "A" + id[1:]
	if id[0] == 'A' {
		flipped = "B" + id[1:]
	}
	impersonating := func(body string) string {
		return strings.Replace(body, "<s:Header>", `<s:Header><t:ExchangeImpersonation><t:ConnectingSID><t:SmtpAddress>bo@contoso.com</t:SmtpAddress></t:ConnectingSID></t:ExchangeImpersonation>`, 1)
	}
	tests := []struct{ name, user, in, want string }{
		{"nothing new", "ana", sync(state), `<m:Changes></m:Changes>`},
		{"state of another mailbox", "service", impersonating(sync(state)), "ErrorInvalidSyncStateData"},
		{"own folder", "ana", folder(id), `Id="` + id + `"`},
		{"folder of another mailbox", "service", impersonating(folder(id)), "ErrorAccessDenied"},
		{"for a partner", "partner", folder(id), "ErrorAccessDenied"},
		{"own calendar", "ana", calendar("ana@contoso.com"), `<m:ResponseCode>NoError</m:ResponseCode>`},
		{"calendar of a colleague", "ana", calendar("bo@contoso.com"), "ErrorAccessDenied"},
		{"calendar of a user whose mailbox is elsewhere", "kim of a partner", calendar("kim@contoso.com"),
			`<m:MessageText>The SMTP address has no mailbox associated with it.</m:MessageText><m:ResponseCode>ErrorNonExistentMailbox</m:ResponseCode>`},
		{"such a user asks for another's", "kim of a partner", calendar("bo@contoso.com"), "ErrorAccessDenied"},
		{"such a user names nobody", "kim of a partner", calendar(""), "ErrorMissingEmailAddress"},
		{"changed id", "ana", folder(flipped), "ErrorInvalidIdMalformed"},
		{"sync state as id", "ana", folder(state), "ErrorInvalidIdMalformed"},
		{"folder id as item id", "ana", item(id), "ErrorCannotUseFolderIdForItemId"},
		{"convert", "ana", convert(id, "EwsId", "EwsLegacyId"), `<m:AlternateId xsi:type="t:AlternateIdType" Format="EwsLegacyId" Id="` + id + `" Mailbox="ana@contoso.com"/>`},
		{"convert from another form", "ana", convert(id, "HexEntryId", "EwsId"), "ErrorInvalidIdMalformed"},
		{"convert to another form", "ana", convert(id, "EwsId", "HexEntryId"), "ErrorUnsupportedTypeForConversion"},
		{"convert another's", "service", impersonating(convert(id, "EwsId", "EwsId")), "ErrorAccessDenied"},
	}
	for _, tt := range tests {
		resp := newServer(t).post(tt.user, tt.in)
		if body := text(t, resp); resp.StatusCode != 200 || !strings.Contains(body, tt.want) {
			t.Errorf("%s: got %d, want %s in\n%s", tt.name, resp.StatusCode, tt.want, body)
		}
	}
}

func operation(body string) string {
	return `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><s:Header></s:Header><s:Body>` + body + `</s:Body></s:Envelope>`
}

func between(t *testing.T, s, before, after string) string {
	t.Helper()
	_, s, ok1 := strings.Cut(s, before)
	s, _, ok2 := strings.Cut(s, after)
	if !ok1 || !ok2 {
		t.Fatalf("no %s…%s", before, after)
	}
	return s
}

// Every zone has a definition that its readers can use.
func TestAllTimeZones(t *testing.T) {
	resp := newServer(t).post("ana", operation(`<m:GetServerTimeZones ReturnFullTimeZoneData="true"/>`))
	body := text(t, resp)
	if n := strings.Count(body, "<t:TimeZoneDefinition "); resp.StatusCode != 200 || n < 130 {
		t.Fatalf("status %d, %d zones", resp.StatusCode, n)
	}
	root, err := soap.Read(strings.NewReader(body), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	message := root.Body[0].Children[0].Children[0]
	for _, z := range message.Child(ews.NSMessages, "TimeZoneDefinitions").Children {
		if len(z.Children) != 3 || len(z.Children[1].Children) > 10 {
			t.Errorf("zone %q has %d parts, %d groups", z.AttrValue("Id"), len(z.Children), len(z.Children[1].Children))
		}
	}
	validate(t, body)
}

// The schema is well-formed, complete in itself, and names all operations that
// answer with more than a refusal.
func TestSchema(t *testing.T) {
	wsdl := schemaText(t, "services.wsdl")
	for _, name := range []string{"services.wsdl", "messages.xsd", "types.xsd"} {
		s := schemaText(t, name)
		root, err := soap.ReadXML(strings.NewReader(s), 1<<20)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name == "services.wsdl" {
			for _, c := range root.Children {
				if c.Local == "service" {
					t.Error("the description has a service")
				}
			}
			continue
		}
		defined := map[string]bool{}
		for _, c := range root.Children {
			defined[c.Local+" "+c.AttrValue("name")] = true
		}
		own := strings.TrimSuffix(name, ".xsd")[:1] + ":"
		var walk func(e *soap.Element)
		walk = func(e *soap.Element) {
			for _, a := range e.Attr {
				local, ok := strings.CutPrefix(a.Value, own)
				if !ok || a.Local == "FieldURI" {
					continue
				}
				if a.Local != "ref" && !defined["complexType "+local] && !defined["simpleType "+local] || a.Local == "ref" && !defined["element "+local] && !defined["group "+local] {
					t.Errorf("%s line %d: %s is not defined", name, e.Line, a.Value)
				}
			}
			for _, c := range e.Children {
				walk(c)
			}
		}
		walk(root)
	}
	messages := schemaText(t, "messages.xsd")
	for _, op := range []string{"GetUserAvailability", "GetUserOofSettings", "GetServerTimeZones", "ConvertId", "GetFolder", "FindFolder", "SyncFolderHierarchy"} {
		for _, want := range []string{`<wsdl:operation name="` + op + `">`, `soapAction="` + ews.NSMessages + "/" + op + `"`, `element="tns:` + op + `Response"`} {
			if !strings.Contains(wsdl, want) {
				t.Errorf("services.wsdl has no %s", want)
			}
		}
		if !strings.Contains(messages, `<xs:element name="`+op) || !strings.Contains(messages, `<xs:element name="`+op+`Response"`) {
			t.Errorf("messages.xsd has no elements for %s", op)
		}
	}
}

func TestNew(t *testing.T) {
	if _, err := ewsserver.New(ewsserver.Config{}); err == nil {
		t.Error("empty configuration: accepted")
	}
}

func FuzzHandler(f *testing.F) {
	f.Add(ask{}.String())
	entries, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".in.xml") {
			b, err := os.ReadFile("testdata/" + e.Name())
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(b))
		}
	}
	// Whatever comes, the answer is XML that a strict reader takes, and nothing
	// is logged as our own mistake.
	f.Fuzz(func(t *testing.T, in string) {
		s := newServer(t)
		resp := s.post("ana", in)
		body := text(t, resp)
		if resp.StatusCode != 200 && resp.StatusCode != 500 {
			t.Fatalf("status %d", resp.StatusCode)
		}
		if _, err := soap.Read(strings.NewReader(body), 256<<20); err != nil {
			t.Fatalf("%v in\n%s", err, body)
		}
		if strings.Contains(s.log.String(), "level=ERROR") && !strings.Contains(in, "internal") {
			t.Fatalf("logged %s", s.log)
		}
	})
}

// bigAnswers are for mailboxes with the given number of detailed entries each, and
// big is the question.
func bigAnswers(mailboxes, entries int) (answers []availability.Answer, big ask) {
	list := make([]freebusy.Interval, entries)
	for i := range list {
		start := utc("2026-03-02T09:00:00Z").AddDate(0, 0, i%60)
		list[i] = freebusy.Interval{Start: start, End: start.Add(time.Hour), Status: freebusy.Busy, Detail: &freebusy.Detail{ID: "0000000012AB", Subject: "Team meeting & coffee", Location: "Room 12", Meeting: true}}
	}
	hours := &routing.Hours{Periods: []routing.Period{{Days: 0b0111110, Start: 480, End: 1020}}}
	answers = make([]availability.Answer, mailboxes)
	var boxes strings.Builder
	for i := range answers {
		r := &answers[i].Reply
		r.View, r.Merged, r.Events, r.Hours = freebusy.ViewDetailedMerged, strings.Repeat("0", 336), list, hours
		fmt.Fprintf(&boxes, `<t:MailboxData><t:Email><t:Address>user%d@contoso.com</t:Address></t:Email><t:AttendeeType>Required</t:AttendeeType></t:MailboxData>`, i)
	}
	return answers, ask{mailboxes: `<m:MailboxDataArray>` + boxes.String() + `</m:MailboxDataArray>`, options: options("2026-03-02T00:00:00", "2026-03-09T00:00:00", "30", "DetailedMerged")}
}

// A large answer is sent in parts and arrives whole.
func TestLargeAnswer(t *testing.T) {
	for _, mailboxes := range []int{1, 100} {
		answers, big := bigAnswers(mailboxes, 300)
		s, err := ewsserver.New(ewsserver.Config{Engine: fixed(answers), Auth: auth{}, Recipients: recipients{}, Now: func() time.Time { return now }, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(mount.New(mount.Config{Routes: s.Routes(), Log: quiet(), Now: time.Now}))
		defer srv.Close()
		for range 2 {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/ews/exchange.asmx", strings.NewReader(big.String()))
			if err != nil {
				t.Fatal(err)
			}
			r.SetBasicAuth("ana", "")
			resp, err := srv.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if whole := mailboxes == 1; (resp.ContentLength >= 0) != whole || resp.Header.Get("Content-Type") != "text/xml; charset=utf-8" {
				t.Errorf("%d mailboxes: length %d, type %s", mailboxes, resp.ContentLength, resp.Header.Get("Content-Type"))
			}
			env, err := soap.Read(resp.Body, 64<<20)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ews.ParseGetUserAvailabilityResponse(env, nil)
			if err != nil || len(got.FreeBusy) != mailboxes {
				t.Fatalf("%d answers, %v", len(got.FreeBusy), err)
			}
			for i := range got.FreeBusy {
				if a := &got.FreeBusy[i]; len(a.Events) != 300 || a.Hours == nil || len(a.Hours.Periods) != 1 || a.Hours.Periods[0].End != 1020 {
					t.Fatalf("answer %d of %d: %d entries, hours %v", i, mailboxes, len(a.Events), a.Hours)
				}
			}
		}
	}
}

// BenchmarkAnswer is one answer for 100 mailboxes with seven detailed events each.
func BenchmarkAnswer(b *testing.B) {
	answers, big := bigAnswers(100, 7)
	s, err := ewsserver.New(ewsserver.Config{Engine: fixed(answers), Auth: auth{}, Recipients: recipients{}, Now: func() time.Time { return now }, Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	handler := s.Routes()[0].Handler
	body := big.String()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r := httptest.NewRequest("POST", "https://mail.contoso.com/ews/exchange.asmx", strings.NewReader(body))
		r.SetBasicAuth("ana", "")
		w := &discard{header: http.Header{}}
		if err := handler(w, r); err != nil || w.status != 200 {
			b.Fatal(err, w.status)
		}
		n = w.n
	}
	b.SetBytes(int64(n))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/mailbox")
}

type fixed []availability.Answer

func (f fixed) Each(_ context.Context, _ *availability.Question, do func(i int, a *availability.Answer) error) error {
	for i := range f {
		if err := do(i, &f[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f fixed) Suggest(context.Context, *availability.Question, *availability.SuggestionQuery) ([]availability.SuggestionDay, error) {
	return nil, nil
}

type discard struct {
	header http.Header
	status int
	n      int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { d.n += len(b); return len(b), nil }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Whoever is out of turn is told when to come again, in the words that clients
// know (1.5).
func TestServerBusy(t *testing.T) {
	resp := newServer(t).post("hurried", ask{}.String())
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	const text = "The server cannot service this request right now. Try again later."
	want := string(soap.AppendFault(nil, &soap.Fault{
		Code: "ErrorServerBusy", String: text, ResponseCode: "ErrorServerBusy", Message: text, Values: []soap.Value{{Name: "BackOffMilliseconds", Value: "1500"}},
	}))
	if resp.StatusCode != http.StatusInternalServerError || resp.Header.Get("Retry-After") != "2" || string(body) != want {
		t.Errorf("status %d, headers %v, %s", resp.StatusCode, resp.Header, body)
	}
}
