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
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/wintz"
	"busybridge/internal/store/sqlitestore"
)

// An answers is a node with mailboxes room0, room1 ... and one account.
type answers struct {
	*app.Deployment
	org  directory.OrgID
	path string // of the store
}

const (
	asker         = "asker@contoso.com"
	askerPassword = "correct horse battery"
)

// march begins the week that is asked for.
var march = time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC)

func newAnswers(tb testing.TB, mailboxes int) *answers {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	a := &answers{path: filepath.Join(tb.TempDir(), "a.db")}
	d := a.open(tb)
	a.Deployment = d
	org, err := d.Admin.NewOrganization(tb.Context(), operator, admin.OrganizationParams{Name: "Contoso", Domain: contoso})
	must(err)
	a.org = org.Object.ID
	url := "https://" + mailHost + "/ews/exchange.asmx"
	_, err = d.Admin.NewServer(tb.Context(), operator, a.org, directory.Server{Common: directory.Common{Name: "SERVER"}, HostNames: []string{mailHost},
		AdminDisplayVersion: directory.OAuthVersion, InternalURL: url, ExternalURL: url, OAuthAuthentication: true, BasicAuthentication: true})
	must(err)
	_, err = d.Admin.NewMailbox(tb.Context(), operator, a.org, admin.MailboxParams{Name: "asker", Primary: asker, Password: askerPassword, TimeZone: "W. Europe Standard Time"})
	must(err)
	// All in one transaction: it is their number that counts.
	must(d.Store.Change(tb.Context(), func(tx *sqlitestore.Tx) error {
		for _, name := range names(0, mailboxes) {
			err := tx.CreateRecipient(tb.Context(), &directory.Recipient{
				Org: a.org, Type: directory.RoomMailbox, DisplayName: name, Alias: name, Primary: smtpaddr.Must(name + "@" + contoso), UPN: name + "@" + contoso, Enabled: true,
				Calendar:    directory.DefaultCalendar("W. Europe Standard Time"),
				Permissions: []directory.Permission{{User: "Default", Level: freebusy.LevelTime}, {User: "Anonymous", Level: freebusy.LevelNone}},
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return a
}

// open opens the store, again where it is open already.
func (a *answers) open(tb testing.TB) *app.Deployment {
	tb.Helper()
	d, err := app.Open(tb.Context(), app.Settings{
		StorePath: a.path, SealKey: make([]byte, 32), Roles: []string{app.RoleOrganization},
		Now: time.Now, Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

func names(from, n int) (out []string) {
	for i := from; i < from+n; i++ {
		out = append(out, fmt.Sprintf("room%d", i))
	}
	return out
}

// fill imports a calendar into one mailbox.
func (a *answers) fill(tb testing.TB, mailbox int, text string) {
	tb.Helper()
	if _, err := a.Admin.ImportCalendar(tb.Context(), operator, a.org, names(mailbox, 1)[0]+"@"+contoso, "a.ics", strings.NewReader(text)); err != nil {
		tb.Fatal(err)
	}
}

func calendar(events ...string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//busybridge//test//EN\r\n" + strings.Join(events, "") + "END:VCALENDAR\r\n"
}

func one(uid string, start time.Time, rule string) string {
	return fmt.Sprintf("BEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:Event %s\r\nDTSTART:%s\r\nDURATION:PT45M\r\n%sEND:VEVENT\r\n",
		uid, uid, start.UTC().Format("20060102T150405Z"), rule)
}

// year is a calendar of 2026: every tenth event is a weekly series.
func year(seed, events int) string {
	var out []string
	for i := range events {
		start, rule := time.Date(2026, 1, 1, 0, (i*7919+seed*104729)%(365*24*4)*15, 0, 0, time.UTC), ""
		if i%10 == 0 {
			start, rule = start.AddDate(-1, 0, 0), "RRULE:FREQ=WEEKLY\r\n"
		}
		out = append(out, one(fmt.Sprint(seed, "-", i), start, rule))
	}
	return calendar(out...)
}

// request is a question about some days, in the zone of Berlin.
func (a *answers) request(from time.Time, days int, mailboxes ...string) string {
	q := &ews.AvailabilityRequest{
		Header: ews.Header{Version: "Exchange2013_SP1"}, Zone: &berlin,
		FreeBusy: &ews.FreeBusyOptions{Start: ews.DateTime{Time: from}, End: ews.DateTime{Time: from.AddDate(0, 0, days)}, IntervalMinutes: 30, Views: []string{"FreeBusy"}},
	}
	for _, m := range mailboxes {
		q.Mailboxes = append(q.Mailboxes, ews.MailboxData{Address: m + "@" + contoso, AttendeeType: "Required"})
	}
	return string(ews.AppendGetUserAvailabilityRequest(nil, q))
}

var berlin = wintz.Rule{
	Bias:     -60,
	Standard: wintz.Switch{Time: 3 * time.Hour, DayOrder: 5, Month: 10, Weekday: time.Sunday},
	Daylight: wintz.Switch{Bias: -60, Time: 2 * time.Hour, DayOrder: 5, Month: 3, Weekday: time.Sunday},
}

// post is a request to the node.
func (a *answers) post(tb testing.TB, body string) *http.Request {
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "https://"+mailHost+"/ews/exchange.asmx", strings.NewReader(body))
	r.TLS = nil
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.SetBasicAuth(asker, askerPassword)
	return r
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
	a := newAnswers(b, 100)
	for i := range 100 {
		a.fill(b, i, year(i, 200))
	}
	for _, q := range []struct{ mailboxes, days int }{{1, 7}, {100, 7}, {100, 60}} {
		b.Run(fmt.Sprintf("%d-mailboxes/%d-days", q.mailboxes, q.days), func(b *testing.B) {
			body := a.request(march, q.days, names(0, q.mailboxes)...)
			rec := httptest.NewRecorder()
			a.Handler().ServeHTTP(rec, a.post(b, body))
			if n := strings.Count(rec.Body.String(), ">NoError<"); n != q.mailboxes {
				b.Fatalf("%d answers: %.2000s", n, rec.Body)
			}
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				a.Handler().ServeHTTP(&nowhere{header: http.Header{}}, a.post(b, body))
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N*q.mailboxes), "cpu-ns/mailbox")
			b.ReportMetric(float64(rec.Body.Len()), "bytes")
		})
	}
}
