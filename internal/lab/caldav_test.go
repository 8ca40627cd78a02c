package lab_test

import (
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/clients/caldav"
	"busybridge/internal/app/client"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/freebusy"
	"busybridge/internal/lab"
)

// The whole chain: an event that is put into Radicale in one organization is seen, after
// the next refresh, by a client of Exchange Web Services and by one of Microsoft Graph
// in the other.
func TestFromCalDAVToTheOtherOrganization(t *testing.T) {
	if err := caldav.Available(caldav.Radicale); err != nil {
		t.Skip(err)
	}
	upstream, err := caldav.Start(t.Context(), caldav.Radicale, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := upstream.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := upstream.MakeCalendar(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	o := options(t)
	o.Dir = filepath.Join(t.TempDir(), "world")
	const host = "caldav.contoso.com"
	o.Strangers = map[string]lab.Stranger{host: {Handler: &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: upstream.Address}) },
		ErrorLog: log.New(io.Discard, "", 0),
	}}}
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := l.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	file, err := client.ReadLabFile(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	const far = "paul@contoso.com" // in the cloud
	run := onPremises(t, l, file, far)
	run(`$c = New-Object PSCredential("` + caldav.User + `", (ConvertTo-SecureString "` + caldav.Password + `" -AsPlainText -Force))`)
	run(`New-MailboxCalendarSource Work -Mailbox alice@contoso.com -Kind CalDAV -Url https://` + host + ` -Credential $c -RefreshInterval 00:01:00 | Out-Null`)
	const refresh = `Update-MailboxCalendarSource alice@contoso.com\Work | % { "$($_.Condition) $($_.MethodsInUse) $($_.Events) $($_.FailureText)" }`
	if d := cmp.Diff([]string{"Healthy SyncCollection 0 "}, run(refresh)); d != "" {
		t.Fatalf("at first (-want +got):\n%s", d)
	}
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 7).Add(18 * time.Hour)
	w := freebusy.Window{Start: day, End: day.Add(3 * time.Hour)} // at night
	m, ok := file.Mailbox(far)
	if !ok {
		t.Fatal(far)
	}
	ews, err := client.New(file.ForLab(m))
	if err != nil {
		t.Fatal(err)
	}
	defer ews.Close()
	graph := graphOf(t, file, m)
	see := func() [2]string {
		list, err := ews.Availability(t.Context(), []string{"alice@contoso.com"}, w, freebusy.ViewFreeBusyMerged)
		if err != nil || list[0].Error != nil {
			t.Fatalf("%v, %+v", err, list)
		}
		return [2]string{list[0].Merged, graph("alice@contoso.com", w)}
	}
	if d := cmp.Diff([2]string{"000000", `"availabilityView":"000000"`}, see()); d != "" {
		t.Errorf("an empty calendar (-want +got):\n%s", d)
	}
	const form = "20060102T150405Z"
	event := fmt.Sprintf("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:one\r\nDTSTAMP:%s\r\nSUMMARY:Review\r\nDTSTART:%s\r\nDTEND:%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
		day.Format(form), day.Add(time.Hour).Format(form), day.Add(2*time.Hour).Format(form))
	if err := upstream.Put(t.Context(), "work", "one.ics", []byte(event)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"Healthy SyncCollection 1 "}, run(refresh)); d != "" {
		t.Errorf("refreshed (-want +got):\n%s", d)
	}
	if d := cmp.Diff([2]string{"002200", `"availabilityView":"002200"`}, see()); d != "" {
		t.Errorf("an event (-want +got):\n%s", d)
	}
	if _, err := upstream.Do(t.Context(), http.MethodDelete, upstream.Home+"work/one.ics", "", nil); err != nil {
		t.Fatal(err)
	}
	run(refresh)
	if d := cmp.Diff([2]string{"000000", `"availabilityView":"000000"`}, see()); d != "" {
		t.Errorf("and without it again (-want +got):\n%s", d)
	}
}

// graphOf asks the Graph of the mailbox's own organization, and returns the view.
func graphOf(t *testing.T, file *client.LabFile, m client.LabMailbox) func(address string, w freebusy.Window) string {
	t.Helper()
	pem, err := os.ReadFile(file.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	dial := safehttp.Config{Roots: x509.NewCertPool(), ConnectTo: file.ConnectTo()}
	dial.Roots.AppendCertsFromPEM(pem)
	rt, err := safehttp.Transport(dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	c := safehttp.Client(safehttp.BasicAuth{Base: rt, User: m.User, Password: m.Password}, dial)
	return func(address string, w freebusy.Window) string {
		t.Helper()
		const form = "2006-01-02T15:04:05"
		body := fmt.Sprintf(`{"schedules":[%q],"startTime":{"dateTime":%q,"timeZone":"UTC"},"endTime":{"dateTime":%q,"timeZone":"UTC"},"availabilityViewInterval":30}`, address, w.Start.Format(form), w.End.Format(form))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, file.URLs["graph_"+m.Org]+"/me/calendar/getSchedule", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := safehttp.ReadBody(resp, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		_, view, _ := strings.Cut(string(answer), `"availabilityView"`)
		view, _, ok := strings.Cut(view, ",")
		if !ok {
			t.Fatalf("%d: %s", resp.StatusCode, answer)
		}
		return `"availabilityView"` + view
	}
}
