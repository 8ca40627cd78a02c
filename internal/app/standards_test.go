package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/graph"
	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
	"busybridge/internal/store/sqlitestore"
)

const standardsCalendar = `BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:1
DTSTAMP:20260101T000000Z
DTSTART;TZID=W. Europe Standard Time:20260309T090000
DTEND;TZID=W. Europe Standard Time:20260309T103000
RRULE:FREQ=WEEKLY;COUNT=3
SUMMARY:Budget
LOCATION:R1
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTAMP:20260101T000000Z
DTSTART:20260310T120000Z
DTEND:20260310T130000Z
CLASS:PRIVATE
SUMMARY:Dentist
LOCATION:Town
X-MICROSOFT-CDO-BUSYSTATUS:OOF
END:VEVENT
BEGIN:VEVENT
UID:3
DTSTAMP:20260101T000000Z
DTSTART:20260310T123000Z
DTEND:20260310T140000Z
STATUS:TENTATIVE
SUMMARY:Perhaps
END:VEVENT
BEGIN:VEVENT
UID:4
DTSTAMP:20260101T000000Z
DTSTART;VALUE=DATE:20260312
TRANSP:TRANSPARENT
SUMMARY:Birthday
END:VEVENT
BEGIN:VEVENT
UID:5
DTSTAMP:20260101T000000Z
DTSTART:20260313T080000Z
DTEND:20260313T090000Z
X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE
SUMMARY:Home
END:VEVENT
END:VCALENDAR
`

// A seen is what one protocol tells of one address, in common words.
type seen struct {
	Err    string
	Merged string
	Events []string
	Hours  string
}

// TestProtocolsAgree asks one node as several people about several people, by
// Exchange Web Services, by Graph and at the free/busy URL: all say the same.
func TestProtocolsAgree(t *testing.T) {
	a := newAnswers(t, 4)
	a.fill(t, 0, standardsCalendar)
	a.fill(t, 1, standardsCalendar)
	a.fill(t, 2, standardsCalendar)
	room := func(i int) string { return fmt.Sprintf("room%d@%s", i, contoso) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	permit := func(i int, user string, level freebusy.Level) {
		t.Helper()
		_, err := a.Admin.SetMailboxFolderPermission(t.Context(), operator, a.org, room(i), user, level)
		must(err)
	}
	permit(1, "Default", freebusy.LevelLimited)
	permit(1, "Anonymous", freebusy.LevelTime)
	permit(2, "Default", freebusy.LevelFull)
	permit(3, "Default", freebusy.LevelNone)
	must(a.Store.Change(t.Context(), func(tx *sqlitestore.Tx) error {
		return tx.CreateRecipient(t.Context(), &directory.Recipient{
			Org: a.org, Type: directory.MailGroup, DisplayName: "team", Alias: "team", Primary: smtpaddr.Must("team@" + contoso), Enabled: true,
			Members: []smtpaddr.Address{smtpaddr.Must(room(0)), smtpaddr.Must(room(2))},
		})
	}))
	const own = "owner@" + contoso
	_, err := a.Admin.NewMailbox(t.Context(), operator, a.org, admin.MailboxParams{Name: "owner", Primary: own, Password: askerPassword, TimeZone: "Eastern Standard Time"})
	must(err)
	_, err = a.Admin.ImportCalendar(t.Context(), operator, a.org, own, "a.ics", strings.NewReader(standardsCalendar))
	must(err)

	addresses := []string{room(0), room(1), room(2), room(3), own, "team@" + contoso, "nobody@" + contoso, "somebody@elsewhere.example", "no address"}
	w := freebusy.Window{Start: march, End: march.AddDate(0, 0, 14)}
	for _, user := range []string{asker, own} {
		byEWS := a.viaEWS(t, user, addresses, w)
		byGraph := a.viaGraph(t, user, addresses, w)
		for i, address := range addresses {
			if diff := cmp.Diff(byEWS[i], byGraph[i]); diff != "" {
				t.Errorf("%s as %s sees it (-EWS +Graph):\n%s", address, user, diff)
			}
			a.compareURL(t, user, address, w, byEWS[i])
		}
		if user == own && !strings.Contains(strings.Join(byGraph[4].Events, "\n"), "Dentist") {
			t.Errorf("the owner does not see what is private: %q", byGraph[4].Events)
		}
		if s := strings.Join(byGraph[1].Events, "\n"); !strings.Contains(s, "Budget") || strings.Contains(s, "Dentist") {
			t.Errorf("limited details are %q", s)
		}
	}
	for i, want := range []int{401, 200, 401, 401, 401, 401, 401, 401} { // nobody
		if got := a.url(t, "", addresses[i], w).Code; got != want {
			t.Errorf("%s as nobody: %d, want %d", addresses[i], got, want)
		}
	}
}

func (a *answers) do(t *testing.T, user, method, path, kind, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "https://"+mailHost+path, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	if user != "" {
		r.SetBasicAuth(user, askerPassword)
	}
	rec := httptest.NewRecorder()
	a.Handler().ServeHTTP(rec, r)
	return rec
}

func stamp(t time.Time) string { return t.UTC().Format("02T15:04") }

func (a *answers) viaEWS(t *testing.T, user string, addresses []string, w freebusy.Window) []seen {
	t.Helper()
	req := &ews.AvailabilityRequest{Header: ews.Header{Version: "Exchange2013"}, Zone: &wintz.UTCRule, FreeBusy: &ews.FreeBusyOptions{
		Start: ews.DateTime{Time: w.Start, Local: true}, End: ews.DateTime{Time: w.End, Local: true}, IntervalMinutes: 30, Views: []string{"DetailedMerged"}}}
	for _, address := range addresses {
		req.Mailboxes = append(req.Mailboxes, ews.MailboxData{Address: address, AttendeeType: "Required"})
	}
	rec := a.do(t, user, "POST", "/ews/exchange.asmx", "text/xml", string(ews.AppendGetUserAvailabilityRequest(nil, req)))
	env, err := soap.Read(rec.Body, 1<<20)
	if err != nil {
		t.Fatal(rec.Code, err)
	}
	resp, err := ews.ParseGetUserAvailabilityResponse(env, &wintz.UTCRule)
	if err != nil || len(resp.FreeBusy) != len(addresses) {
		t.Fatal(rec.Code, err)
	}
	out := make([]seen, len(addresses))
	for i, f := range resp.FreeBusy {
		if !f.Message.OK() {
			out[i].Err = map[string]string{"ErrorMailRecipientNotFound": "5009", "ErrorInvalidSmtpAddress": "5035", "ErrorNoFreeBusyAccess": "5037", "ErrorAddressSpaceNotFound": "5016"}[f.Message.Code]
			continue
		}
		out[i].Merged = f.Merged
		for _, e := range f.Events {
			s := fmt.Sprintf("%s-%s %s", stamp(e.Start), stamp(e.End), strings.ToLower(e.BusyType))
			if d := e.Details; d != nil && (!d.Private || d.ID != "") {
				s += fmt.Sprintf(" %v %s/%s", d.Private, d.Subject, d.Location)
			}
			out[i].Events = append(out[i].Events, s)
		}
		if h := f.Hours; h != nil {
			out[i].Hours = fmt.Sprintf("%b %d-%d %v", h.Periods[0].Days, h.Periods[0].Start, h.Periods[0].End, h.Zone)
		}
	}
	return out
}

func (a *answers) viaGraph(t *testing.T, user string, addresses []string, w freebusy.Window) []seen {
	t.Helper()
	body, err := json.Marshal(graph.Request{Schedules: addresses, Start: &graph.DateTime{Wall: w.Start}, End: &graph.DateTime{Wall: w.End}})
	if err != nil {
		t.Fatal(err)
	}
	rec := a.do(t, user, "POST", "/v1.0/users/"+asker+"/calendar/getSchedule", "application/json", string(body))
	list, err := graph.ParseResponse(rec.Body.Bytes())
	if err != nil || len(list) != len(addresses) {
		t.Fatal(rec.Code, rec.Body, err)
	}
	out := make([]seen, len(addresses))
	for i, f := range list {
		if f.Error != nil {
			out[i].Err = f.Error.Code
			continue
		}
		out[i].Merged = f.View
		for _, e := range f.Items {
			s := fmt.Sprintf("%s-%s %s", stamp(e.Start.Wall), stamp(e.End.Wall), strings.ToLower(e.Status))
			if e.Private != nil {
				s += fmt.Sprintf(" %v %s/%s", *e.Private, e.Subject, e.Location)
			}
			out[i].Events = append(out[i].Events, s)
		}
		if h := f.Hours; h != nil {
			out[i].Hours = fmt.Sprintf("%b %d-%d %v", h.Days, h.Start, h.End, h.Zone)
		}
	}
	return out
}

func (a *answers) url(t *testing.T, user, address string, w freebusy.Window) *httptest.ResponseRecorder {
	const layout = "20060102T150405Z"
	return a.do(t, user, "GET", "/freebusy/"+strings.ReplaceAll(address, " ", "%20")+".ifb?start="+w.Start.Format(layout)+"&end="+w.End.Format(layout), "", "")
}

// compareURL compares the published busy times with what is merged elsewhere.
func (a *answers) compareURL(t *testing.T, user, address string, w freebusy.Window, want seen) {
	t.Helper()
	rec := a.url(t, user, address, w)
	if want.Err != "" {
		code := map[string]int{"5009": 404, "5035": 404, "5037": 403, "5016": 404}[want.Err]
		if rec.Code != code {
			t.Errorf("%s at the URL: %d, want %d: %s", address, rec.Code, code, rec.Body)
		}
		return
	}
	list, problems, err := ical.ParseFreeBusy(rec.Body.Bytes(), ical.Limits{})
	if rec.Code != http.StatusOK || err != nil || len(problems) > 0 || len(list) != 1 {
		t.Errorf("%s at the URL: %d %v %v %s", address, rec.Code, err, problems, rec.Body)
		return
	}
	var iv []freebusy.Interval
	for _, p := range list[0].Periods {
		status := map[ical.Status]freebusy.Status{ical.Tentative: freebusy.Tentative, ical.Busy: freebusy.Busy, ical.OOF: freebusy.OOF}[p.Status]
		iv = append(iv, freebusy.Interval{Start: p.Start, End: p.End, Status: status})
	}
	if got := freebusy.Merge(w, 0, iv); got != want.Merged {
		t.Errorf("%s at the URL:\n%s\nwant\n%s", address, got, want.Merged)
	}
}

// An application's token of Graph opens Graph only; see trust.TestTokensForGraph.
// Here: the node has both faces under one host, and tells who may not enter in the
// words of each.
func TestFacesRefuse(t *testing.T) {
	a := newAnswers(t, 1)
	for _, tt := range []struct{ method, path, kind, want string }{
		{"POST", "/ews/exchange.asmx", "text/xml", ""},
		{"POST", "/v1.0/users/" + asker + "/calendar/getSchedule", "application/json", `"code":"InvalidAuthenticationToken"`},
		{"GET", "/freebusy/room0@" + contoso + ".ifb", "", ""},
	} {
		rec := a.do(t, "", tt.method, tt.path, tt.kind, "")
		schemes := strings.Join(rec.Header().Values("WWW-Authenticate"), " ")
		if rec.Code != 401 || !strings.Contains(schemes, "Bearer") || !strings.Contains(schemes, "Basic") || !strings.Contains(rec.Body.String(), tt.want) {
			t.Errorf("%s: %d %q %s", tt.path, rec.Code, schemes, rec.Body)
		}
	}
}
