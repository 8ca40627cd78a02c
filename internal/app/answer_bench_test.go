package app_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/procfs"

	"busybridge/internal/admin"
	"busybridge/internal/app"
	"busybridge/internal/directory"
)

// An answers is a node with mailboxes, each with a calendar of the given number
// of events over a year, most of them single ones.
type answers struct {
	*app.Deployment
	org       directory.OrgID
	mailboxes int
}

const (
	asker         = "asker@contoso.com"
	askerPassword = "correct horse battery"
)

func newAnswers(tb testing.TB, mailboxes, events int) *answers {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	d, err := app.Open(tb.Context(), app.Settings{
		StorePath: filepath.Join(tb.TempDir(), "a.db"), SealKey: make([]byte, 32), Roles: []string{app.RoleOrganization},
		Now: time.Now, Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Registerer: prometheus.NewRegistry(),
	})
	must(err)
	tb.Cleanup(func() { must(d.Close()) })
	a := &answers{Deployment: d, mailboxes: mailboxes}
	org, err := d.Admin.NewOrganization(tb.Context(), operator, admin.OrganizationParams{Name: "Contoso", Domain: contoso})
	must(err)
	a.org = org.Object.ID
	url := "https://" + mailHost + "/ews/exchange.asmx"
	_, err = d.Admin.NewServer(tb.Context(), operator, a.org, directory.Server{Common: directory.Common{Name: "SERVER"}, HostNames: []string{mailHost},
		AdminDisplayVersion: directory.OAuthVersion, InternalURL: url, ExternalURL: url, OAuthAuthentication: true, BasicAuthentication: true})
	must(err)
	_, err = d.Admin.NewMailbox(tb.Context(), operator, a.org, admin.MailboxParams{Name: "asker", Primary: asker, Password: askerPassword, TimeZone: "W. Europe Standard Time"})
	must(err)
	for i := range mailboxes {
		name := fmt.Sprintf("room%d", i)
		_, err := d.Admin.NewMailbox(tb.Context(), operator, a.org, admin.MailboxParams{Name: name, Primary: name + "@" + contoso, Type: directory.RoomMailbox, TimeZone: "W. Europe Standard Time"})
		must(err)
		_, err = d.Admin.ImportCalendar(tb.Context(), operator, a.org, name+"@"+contoso, "a.ics", strings.NewReader(year(i, events)))
		must(err)
	}
	return a
}

// year is a calendar of 2026: every tenth event is a weekly series.
func year(seed, events int) string {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//busybridge//test//EN\r\n")
	for i := range events {
		minute := (i*7919 + seed*104729) % (365 * 24 * 4) * 15
		start := time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC)
		rule := ""
		if i%10 == 0 {
			rule = "RRULE:FREQ=WEEKLY\r\n"
			start = start.AddDate(-1, 0, 0)
		}
		fmt.Fprintf(&b, "BEGIN:VEVENT\r\nUID:%d-%d\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:Event %d\r\nDTSTART:%s\r\nDURATION:PT45M\r\n%sEND:VEVENT\r\n",
			seed, i, i, start.Format("20060102T150405Z"), rule)
	}
	b.WriteString("END:VCALENDAR\r\n")
	return b.String()
}

// request is a question of the first mailboxes about some days of March 2026.
func (a *answers) request(mailboxes, days int, view string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><soap:Header><t:RequestServerVersion Version="Exchange2013_SP1"/></soap:Header><soap:Body><m:GetUserAvailabilityRequest><t:TimeZone><t:Bias>-60</t:Bias><t:StandardTime><t:Bias>0</t:Bias><t:Time>03:00:00</t:Time><t:DayOrder>5</t:DayOrder><t:Month>10</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:StandardTime><t:DaylightTime><t:Bias>-60</t:Bias><t:Time>02:00:00</t:Time><t:DayOrder>5</t:DayOrder><t:Month>3</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:DaylightTime></t:TimeZone><m:MailboxDataArray>`)
	for i := range mailboxes {
		fmt.Fprintf(&b, `<t:MailboxData><t:Email><t:Address>room%d@contoso.com</t:Address></t:Email><t:AttendeeType>Required</t:AttendeeType><t:ExcludeConflicts>false</t:ExcludeConflicts></t:MailboxData>`, i)
	}
	start := time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC)
	fmt.Fprintf(&b, `</m:MailboxDataArray><t:FreeBusyViewOptions><t:TimeWindow><t:StartTime>%s</t:StartTime><t:EndTime>%s</t:EndTime></t:TimeWindow><t:MergedFreeBusyIntervalInMinutes>30</t:MergedFreeBusyIntervalInMinutes><t:RequestedView>%s</t:RequestedView></t:FreeBusyViewOptions></m:GetUserAvailabilityRequest></soap:Body></soap:Envelope>`,
		start.Format("2006-01-02T15:04:05"), start.AddDate(0, 0, days).Format("2006-01-02T15:04:05"), view)
	return b.String()
}

// ask sends a request to the node, without a network.
func (a *answers) ask(tb testing.TB, w http.ResponseWriter, body string) {
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "https://"+mailHost+"/ews/exchange.asmx", strings.NewReader(body))
	r.TLS = nil
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.SetBasicAuth(asker, askerPassword)
	a.Handler().ServeHTTP(w, r)
}

// nowhere takes an answer and counts it.
type nowhere struct {
	header http.Header
	bytes  int
}

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) WriteHeader(int)             {}
func (n *nowhere) Write(b []byte) (int, error) { n.bytes += len(b); return len(b), nil }

// cpu is the processor time of this process so far.
func cpu(tb testing.TB) time.Duration {
	p, err := procfs.Self()
	if err != nil {
		tb.Skip(err)
	}
	stat, err := p.Stat()
	if err != nil {
		tb.Skip(err)
	}
	return time.Duration(stat.CPUTime() * float64(time.Second))
}

// BenchmarkAnswer is a whole request without the network: 20,000 events in 100
// mailboxes. cpu-ns/mailbox is what counts.
func BenchmarkAnswer(b *testing.B) {
	a := newAnswers(b, 100, 200)
	for _, q := range []struct {
		mailboxes, days int
		view            string
	}{{1, 7, "FreeBusy"}, {100, 7, "FreeBusy"}, {100, 60, "FreeBusy"}, {100, 7, "DetailedMerged"}} {
		b.Run(fmt.Sprintf("%d,%ddays,%s", q.mailboxes, q.days, q.view), func(b *testing.B) {
			body := a.request(q.mailboxes, q.days, q.view)
			rec := httptest.NewRecorder()
			a.ask(b, rec, body)
			if n := strings.Count(rec.Body.String(), ">NoError<"); n != q.mailboxes {
				b.Fatalf("%d answers: %.2000s", n, rec.Body)
			}
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				a.ask(b, &nowhere{header: http.Header{}}, body)
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N*q.mailboxes), "cpu-ns/mailbox")
			b.ReportMetric(float64(rec.Body.Len()), "bytes")
		})
	}
}
