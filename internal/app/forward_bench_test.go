package app_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busybridge/internal/admin"
	"busybridge/internal/app"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/smtpaddr"
)

// BenchmarkForward is a question for people of another organization, whose server
// is in this process too and answers with fixed bytes. Its cost is in the figures.
func BenchmarkForward(b *testing.B) {
	for _, mailboxes := range []int{1, 20} {
		b.Run(fmt.Sprintf("%d-mailboxes", mailboxes), func(b *testing.B) {
			a, body := newForwarder(b, mailboxes)
			rec := httptest.NewRecorder()
			a.Handler().ServeHTTP(rec, a.post(b, body))
			if n, events := strings.Count(rec.Body.String(), ">NoError<"), strings.Count(rec.Body.String(), "</CalendarEvent>"); n != mailboxes || events != weekly*mailboxes {
				b.Fatalf("%d answers, %d events: %.2000s", n, events, rec.Body)
			}
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				a.Handler().ServeHTTP(&nowhere{header: http.Header{}}, a.post(b, body))
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/question")
		})
	}
}

// weekly is how many events a week of a mailbox there has.
const weekly = 11

// newForwarder is a node, and a question that it has to ask on.
func newForwarder(tb testing.TB, mailboxes int) (*answers, string) {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	fixed := &ews.AvailabilityResponse{Version: ews.ServerVersion{Major: 15, Minor: 1, Schema: "V2017_07_11"}}
	for i := range mailboxes {
		r := ews.FreeBusyResponse{View: "FreeBusy", HasEvents: true, Hours: &ews.WorkingHours{Zone: berlin, Periods: []ews.WorkingPeriod{{Days: 0b0111110, Start: 480, End: 1020}}}}
		for n := range weekly {
			start := march.Add(time.Duration(n*15)*time.Hour + time.Duration(i%4)*15*time.Minute)
			r.Events = append(r.Events, ews.CalendarEvent{Start: start, End: start.Add(45 * time.Minute), BusyType: freebusy.Busy.String()})
		}
		fixed.FreeBusy = append(fixed.FreeBusy, r)
	}
	answer := ews.AppendGetUserAvailabilityResponse(nil, fixed)
	wants := acs.Challenge{ClientID: directory.ExchangeAppID, Realm: "fabrikam.com", TrustedIssuers: []acs.PrincipalName{{PID: directory.ExchangeAppID, Realm: contoso}}}.String()
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		switch {
		case err != nil:
		case len(r.Header.Get("Authorization")) < 100: // the scheme alone
			w.Header().Set("WWW-Authenticate", wants)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.Header()["Content-Length"] = []string{strconv.Itoa(len(answer))}
			_, _ = w.Write(answer) // the client went away
		}
	}))
	tb.Cleanup(other.Close)
	const host = "example.com" // the name of its certificate
	d, err := app.Open(tb.Context(), app.Settings{
		StorePath: filepath.Join(tb.TempDir(), "a.db"), SealKey: make([]byte, 32), Roles: []string{app.RoleOrganization},
		Now: time.Now, Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Registerer: prometheus.NewRegistry(),
		Dial: safehttp.Config{Roots: other.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ConnectTo: map[string]string{host + ":443": other.Listener.Addr().String()}},
	})
	must(err)
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	a := &answers{Deployment: d}
	org, err := d.Admin.NewOrganization(tb.Context(), operator, admin.OrganizationParams{Name: "Contoso", Domain: contoso})
	must(err)
	a.org = org.Object.ID
	url := "https://" + mailHost + "/ews/exchange.asmx"
	_, err = d.Admin.NewServer(tb.Context(), operator, a.org, directory.Server{Common: directory.Common{Name: "SERVER"}, HostNames: []string{mailHost},
		AdminDisplayVersion: directory.OAuthVersion, InternalURL: url, ExternalURL: url, OAuthAuthentication: true, BasicAuthentication: true})
	must(err)
	_, err = d.Admin.NewMailbox(tb.Context(), operator, a.org, admin.MailboxParams{Name: "asker", Primary: asker, Password: askerPassword, TimeZone: "UTC"})
	must(err)
	_, err = d.Admin.NewIntraOrganizationConnector(tb.Context(), operator, a.org, directory.IntraOrganizationConnector{Common: directory.Common{Name: "Fabrikam"}, Enabled: true,
		TargetAddressDomains: []string{"fabrikam.com"}, DiscoveryEndpoint: "https://" + host + "/autodiscover/autodiscover.svc", TargetSharingEpr: "https://" + host + "/EWS/Exchange.asmx"})
	must(err)
	var people []string
	for _, name := range names(0, mailboxes) {
		people = append(people, smtpaddr.Must(name+"@fabrikam.com").String())
	}
	return a, strings.ReplaceAll(a.request(march, 7, people...), "@fabrikam.com@"+contoso, "@fabrikam.com")
}
