package caldavclient_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/dial/caldavclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/spec/ical"
)

var now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// upstream is a server under the name example.com, and a session with it.
func upstream(t testing.TB, url string, h http.HandlerFunc, change ...func(*safehttp.Config)) *caldavclient.Session {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	at := s.Listener.Addr().String()
	dial := safehttp.Config{Roots: roots, ConnectTo: map[string]string{"example.com:443": at, "www.example.com:443": at}}
	for _, c := range change {
		c(&dial)
	}
	rt, err := safehttp.Transport(dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	c, err := caldavclient.New(caldavclient.Config{Transport: rt, Dial: dial, Now: func() time.Time { return now }, Timeout: 400 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	session, err := c.Session(caldavclient.Request{URL: url, UserName: "kim", Password: "app-password", MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// A script answers requests by "METHOD path" and notes what was asked.
type script struct {
	t       testing.TB
	answers map[string]string // a body, or "STATUS location"
	asked   []string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	question := r.Method + " " + r.URL.Path
	s.asked = append(s.asked, question+" "+r.Header.Get("Depth"))
	if user, password, _ := r.BasicAuth(); user != "kim" || password != "app-password" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var a string
	for _, key := range []string{question + " " + reportOf(body), question} {
		if v, ok := s.answers[key]; ok {
			a = v
			break
		}
	}
	switch {
	case a == "":
		w.WriteHeader(http.StatusNotFound)
	case a[0] >= '0' && a[0] <= '9':
		var status int
		var to string
		fmt.Sscan(a, &status, &to)
		if to != "" {
			w.Header().Set("Location", to)
		}
		w.WriteHeader(status)
	case strings.HasPrefix(a, "BEGIN:"):
		w.Header().Set("Content-Type", "text/calendar")
		io.WriteString(w, a)
	default:
		w.Header().Set("Content-Type", "application/xml")
		if strings.HasPrefix(a, "<multistatus") {
			w.WriteHeader(http.StatusMultiStatus)
		}
		io.WriteString(w, a)
	}
}

// reportOf is the root of a question in XML.
func reportOf(body []byte) string {
	text := string(body)
	if _, rest, ok := strings.Cut(text, "?>\n<"); ok {
		name, _, _ := strings.Cut(rest, " ")
		return strings.TrimPrefix(name, "C:")
	}
	return ""
}

// multistatus is an answer with responses, each "href|properties" or "href|status".
func multistatus(responses ...string) string {
	var b strings.Builder
	b.WriteString(`<multistatus xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:S="http://calendarserver.org/ns/">`)
	for _, r := range responses {
		href, rest, ok := strings.Cut(r, "|")
		switch {
		case !ok:
			b.WriteString(r)
		case !strings.HasPrefix(rest, "<"):
			fmt.Fprintf(&b, `<response><href>%s</href><status>HTTP/1.1 %s</status></response>`, href, rest)
		default:
			fmt.Fprintf(&b, `<response><href>%s</href><propstat><prop>%s</prop><status>HTTP/1.1 200 OK</status></propstat>`+
				`<propstat><prop><getlastmodified/></prop><status>HTTP/1.1 404 Not Found</status></propstat></response>`, href, rest)
		}
	}
	return b.String() + `</multistatus>`
}

const (
	isCalendar = `<resourcetype><collection/><C:calendar/></resourcetype>`
	isFolder   = `<resourcetype><collection/></resourcetype>`
	tasks      = isCalendar + `<C:supported-calendar-component-set><C:comp name="VTODO"/></C:supported-calendar-component-set>`
	syncs      = `<supported-report-set><supported-report><report><sync-collection/></report></supported-report></supported-report-set>`
	own        = `<current-user-principal><href>/principals/kim/</href></current-user-principal><principal-collection-set><href>/principals/</href></principal-collection-set>`
	homeSet    = `<C:calendar-home-set><href>/kim/</href></C:calendar-home-set><C:schedule-outbox-URL><href>/kim/outbox/</href></C:schedule-outbox-URL>` +
		`<C:calendar-user-address-set><href>mailto:kim@contoso.com</href><href>/principals/kim/</href></C:calendar-user-address-set>`
)

var listing = multistatus("/kim/|"+isFolder, "/kim/work/|"+isCalendar+syncs+`<sync-token>t1</sync-token><S:getctag>c1</S:getctag>`,
	"/kim/todo/|"+tasks, "/kim/free/|"+isCalendar+`<C:schedule-calendar-transp><C:transparent/></C:schedule-calendar-transp>`,
	"/kim/outbox/|<resourcetype><collection/><C:schedule-outbox/></resourcetype>")

// Calendars are found from every address that people know.
func TestFind(t *testing.T) {
	work := caldavclient.Calendar{Path: "/kim/work/", Sync: true, SyncToken: "t1", Tag: "c1"}
	free := caldavclient.Calendar{Path: "/kim/free/", Transparent: true}
	whole := &caldavclient.Place{Home: "/kim/", Calendars: []caldavclient.Calendar{work, free}, Outbox: "/kim/outbox/", Addresses: []string{"mailto:kim@contoso.com", "/principals/kim/"}}
	principal := multistatus("/principals/kim/|" + homeSet)
	for _, tt := range []struct {
		name    string
		url     string
		who     caldavclient.Who
		answers map[string]string
		want    *caldavclient.Place
		fault   safehttp.Fault
	}{
		{name: "a host, well known elsewhere", url: "https://example.com", want: whole, answers: map[string]string{
			"PROPFIND /.well-known/caldav": "301 /dav/", "PROPFIND /dav/": multistatus("/dav/|" + isFolder + own), "PROPFIND /principals/kim/": principal, "PROPFIND /kim/": listing}},
		{name: "a host without well-known", url: "https://example.com/", want: whole, answers: map[string]string{
			"PROPFIND /": multistatus("/|" + isFolder + own), "PROPFIND /principals/kim/": principal, "PROPFIND /kim/": listing}},
		{name: "the principal", url: "https://example.com/principals/kim/", want: whole, answers: map[string]string{"PROPFIND /principals/kim/": principal, "PROPFIND /kim/": listing}},
		{name: "the home", url: "https://example.com/kim/", want: &caldavclient.Place{Home: "/kim/", Calendars: whole.Calendars}, answers: map[string]string{"PROPFIND /kim/": listing}},
		{name: "a calendar", url: "https://example.com/kim/work/", want: &caldavclient.Place{Calendars: []caldavclient.Calendar{{Path: "/kim/work/"}}}, answers: map[string]string{
			"PROPFIND /kim/work/": multistatus("https://example.com/kim/work/|" + isCalendar)}},
		{name: "another user's, by the address", url: "https://example.com/dav/", who: caldavclient.Who{Address: "ann@contoso.com"},
			want: &caldavclient.Place{Home: "/ann/", Calendars: []caldavclient.Calendar{{Path: "/ann/x/"}}, Outbox: "/kim/outbox/", Addresses: whole.Addresses},
			answers: map[string]string{"PROPFIND /dav/": multistatus("/dav/|" + isFolder + own), "PROPFIND /principals/kim/": multistatus("/principals/kim/|" + homeSet + own),
				"REPORT /principals/ principal-property-search": multistatus("/principals/joann/|<C:calendar-user-address-set><href>mailto:joann@contoso.com</href></C:calendar-user-address-set><C:calendar-home-set><href>/joann/</href></C:calendar-home-set>",
					"/principals/ann/|<C:calendar-user-address-set><href>MAILTO:Ann@contoso.com</href></C:calendar-user-address-set><C:calendar-home-set><href>/ann/</href></C:calendar-home-set>"),
				"PROPFIND /ann/": multistatus("/ann/x/|" + isCalendar)}},
		{name: "nobody has the address, but the outbox may know", url: "https://example.com/principals/kim/", who: caldavclient.Who{Address: "zoe@contoso.com"},
			want: &caldavclient.Place{Outbox: "/kim/outbox/", Addresses: whole.Addresses}, answers: map[string]string{"PROPFIND /principals/kim/": principal}},
		{name: "an address from a template is not the reader's own", url: "https://example.com/gone/", who: caldavclient.Who{Here: true}, fault: safehttp.FaultNotFound, answers: map[string]string{
			"PROPFIND /gone/": multistatus("/gone/|" + isFolder + own), "PROPFIND /principals/kim/": principal, "PROPFIND /kim/": listing}},
		{name: "nothing there", url: "https://example.com/x", fault: safehttp.FaultNotFound},
		{name: "no calendars at all", url: "https://example.com/dav/", fault: safehttp.FaultNotFound, answers: map[string]string{"PROPFIND /dav/": multistatus("/dav/|" + isFolder)}},
		{name: "the home is on another host", url: "https://example.com/principals/kim/", fault: safehttp.FaultRedirect, answers: map[string]string{
			"PROPFIND /principals/kim/": multistatus("/principals/kim/|<C:calendar-home-set><href>https://p12.example.com/kim/</href></C:calendar-home-set>")}},
		{name: "a redirect to another host", url: "https://example.com/a", fault: safehttp.FaultRedirect, answers: map[string]string{"PROPFIND /a": "301 https://www.example.com/a"}},
		{name: "a redirect to loopback", url: "https://example.com/a", fault: safehttp.FaultRedirect, answers: map[string]string{"PROPFIND /a": "302 https://127.0.0.1/a"}},
		{name: "a redirect to http", url: "https://example.com/a", fault: safehttp.FaultRedirect, answers: map[string]string{"PROPFIND /a": "302 http://example.com/b"}},
		{name: "a redirect to itself", url: "https://example.com/a", fault: safehttp.FaultRedirect, answers: map[string]string{"PROPFIND /a": "308 /a"}},
		{name: "a page", url: "https://example.com/a", fault: safehttp.FaultStatus, answers: map[string]string{"PROPFIND /a": "<html></html>"}},
		{name: "half an answer", url: "https://example.com/kim/", fault: safehttp.FaultTruncated, answers: map[string]string{"PROPFIND /kim/": listing[:len(listing)/2]}},
		{name: "an answer about nothing", url: "https://example.com/kim/", fault: safehttp.FaultContent, answers: map[string]string{"PROPFIND /kim/": multistatus()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sc := &script{t: t, answers: tt.answers}
			got, err := upstream(t, tt.url, sc.ServeHTTP).Find(t.Context(), tt.who)
			var fault safehttp.Fault
			if err != nil {
				fault = safehttp.FaultOf(err).Fault
				if strings.Contains(err.Error(), "/kim") {
					t.Errorf("the error shows a path: %v", err)
				}
			}
			if fault != tt.fault {
				t.Fatalf("fault %q (%v), want %q; asked %q", fault, err, tt.fault, sc.asked)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s\nasked %q", d, sc.asked)
			}
			if len(sc.asked) > 12 {
				t.Errorf("%d requests", len(sc.asked))
			}
		})
	}
}

func TestSync(t *testing.T) {
	token := func(v string) string { return "<sync-token>" + v + "</sync-token>" }
	first := multistatus("/kim/work/a%20b.ics|<getetag>\"1\"</getetag>", "/kim/work/|507 Insufficient Storage", token("t1"))
	second := multistatus("/kim/work/c.ics|<getetag>\"2\"</getetag>", "/kim/work/gone.ics|404 Not Found", "/kim/work/sub/|<getetag/>", token("t2"))
	n := 0
	s := upstream(t, "https://example.com/kim/work/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		n++
		switch {
		case strings.Contains(string(body), "<sync-token>old</sync-token>"):
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `<error xmlns="DAV:"><valid-sync-token/></error>`)
		case strings.Contains(string(body), "<sync-token></sync-token>"):
			w.WriteHeader(http.StatusMultiStatus)
			io.WriteString(w, first)
		default:
			w.WriteHeader(http.StatusMultiStatus)
			io.WriteString(w, second)
		}
	})
	want := &caldavclient.Changes{Token: "t2", Whole: true,
		Members: []caldavclient.Member{{Path: "/kim/work/a%20b.ics", ETag: `"1"`}, {Path: "/kim/work/c.ics", ETag: `"2"`}}, Gone: []caldavclient.Member{{Path: "/kim/work/gone.ics"}}}
	got, err := s.Sync(t.Context(), "/kim/work/", "old")
	if err != nil || n != 3 {
		t.Fatalf("%d requests, %v", n, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("a token that was forgotten (-want +got):\n%s", d)
	}
	if got.Members[0].Name() != "a b.ics" {
		t.Errorf("name %q", got.Members[0].Name())
	}
	if got, err = s.Sync(t.Context(), "/kim/work/", "t1"); err != nil || got.Whole || len(got.Members) != 1 || len(got.Gone) != 1 {
		t.Errorf("since t1: %+v, %v", got, err)
	}
}

const event = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nEND:VEVENT\nEND:VCALENDAR\n"

// One object that cannot be given, or that breaks the answer for all, does not take
// the others with it.
func TestGet(t *testing.T) {
	var members []caldavclient.Member
	for i := range 130 {
		members = append(members, caldavclient.Member{Path: fmt.Sprintf("/kim/work/%d.ics", i)})
	}
	requests := map[string]int{}
	s := upstream(t, "https://example.com/", func(w http.ResponseWriter, r *http.Request) {
		requests[r.Method]++
		if r.Method == http.MethodGet {
			if strings.HasSuffix(r.URL.Path, "/8.ics") {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			io.WriteString(w, "raw \x0b")
			return
		}
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "/8.ics<") { // the server stumbles
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		var out []string
		for _, m := range members {
			switch {
			case !strings.Contains(string(body), "<href>"+m.Path+"</href>") || strings.HasSuffix(m.Path, "/5.ics"): // 5 is left out
			case strings.HasSuffix(m.Path, "/6.ics"):
				out = append(out, m.Path+"|404 Not Found")
			case strings.HasSuffix(m.Path, "/7.ics"):
				out = append(out, m.Path+"|<getetag>7</getetag><C:calendar-data>\x0b</C:calendar-data>")
			default:
				out = append(out, m.Path+"|<getetag>e</getetag><C:calendar-data>"+event+"</C:calendar-data>")
			}
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusMultiStatus)
		io.WriteString(w, multistatus(out...))
	})
	list, err := s.Get(t.Context(), "/kim/work/", members)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, o := range list {
		got[o.Name()] = string(o.Text)
	}
	want := map[string]string{}
	for i := range 130 {
		want[fmt.Sprint(i, ".ics")] = event
	}
	want["5.ics"], want["7.ics"], want["8.ics"] = "", "raw \x0b", ""
	delete(want, "6.ics")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if requests["REPORT"] > 32 || requests["GET"] != 2 {
		t.Errorf("requests %v", requests)
	}
}

// A server that knows no multiget is asked for one after the other.
func TestGetSingly(t *testing.T) {
	sc := &script{t: t, answers: map[string]string{"REPORT /c/": "501", "GET /c/a.ics": event}}
	list, err := upstream(t, "https://example.com/", sc.ServeHTTP).Get(t.Context(), "/c/", []caldavclient.Member{{Path: "/c/a.ics", ETag: "1"}, {Path: "/c/b.ics"}})
	if err != nil || len(list) != 1 || string(list[0].Text) != event || list[0].ETag != "1" {
		t.Errorf("%v, %v, asked %q", list, err, sc.asked)
	}
}

func TestListAndQuery(t *testing.T) {
	sc := &script{t: t, answers: map[string]string{
		"PROPFIND /c/": multistatus("/c/|<getetag/>", "/c/a.ics|<getetag>1</getetag><getcontenttype>text/calendar; component=VEVENT</getcontenttype>", "/c/b.ics|<getcontenttype>text/calendar; component=vtodo</getcontenttype>", "/c/c.ics|<getetag>3</getetag>"),
		"REPORT /c/":   multistatus("/c/a.ics|<getetag>1</getetag><C:calendar-data>" + event + "</C:calendar-data>"),
	}}
	s := upstream(t, "https://example.com/", sc.ServeHTTP)
	got, err := s.List(t.Context(), "/c/")
	if d := cmp.Diff([]caldavclient.Member{{Path: "/c/a.ics", ETag: "1"}, {Path: "/c/c.ics", ETag: "3"}}, got); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	objects, err := s.Query(t.Context(), "/c/", caldavclient.Window{Start: now, End: now.AddDate(0, 0, 1)})
	if err != nil || len(objects) != 1 || string(objects[0].Text) != event {
		t.Errorf("%v, %v", objects, err)
	}
}

var window = caldavclient.Window{Start: now, End: now.AddDate(0, 0, 7)}

const busyText = "BEGIN:VCALENDAR\r\nBEGIN:VFREEBUSY\r\nFREEBUSY:20260303T090000Z/PT1H,20260304T090000Z/P1W7D\r\nFREEBUSY;FBTYPE=BUSY-TENTATIVE:20260303T120000Z/20260303T130000Z\r\nEND:VFREEBUSY\r\nEND:VCALENDAR\r\n"

var busyPeriods = []ical.Period{
	{Start: now.AddDate(0, 0, 1), End: now.AddDate(0, 0, 1).Add(time.Hour), Status: ical.Busy},
	{Start: now.AddDate(0, 0, 2), End: now.AddDate(0, 0, 16), Status: ical.Busy},
	{Start: now.AddDate(0, 0, 1).Add(3 * time.Hour), End: now.AddDate(0, 0, 1).Add(4 * time.Hour), Status: ical.Tentative},
}

func TestFreeBusy(t *testing.T) {
	answer := func(status, data string) string {
		return `<C:schedule-response xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><C:response><C:recipient><href>mailto:bob@contoso.com</href></C:recipient><C:request-status>2.0;Success</C:request-status></C:response>` +
			`<C:response><C:recipient><href>MAILTO:ann@contoso.com</href></C:recipient><C:request-status>` + status + `</C:request-status><C:calendar-data>` + data + `</C:calendar-data></C:response></C:schedule-response>`
	}
	for _, tt := range []struct {
		name, answer string
		outbox       bool
		want         []ical.Period
		fault        safehttp.Fault
	}{
		{name: "report", answer: busyText, want: busyPeriods},
		{name: "report, nothing busy", answer: "BEGIN:VCALENDAR\r\nBEGIN:VFREEBUSY\r\nEND:VFREEBUSY\r\nEND:VCALENDAR\r\n"},
		{name: "report, cut off", answer: busyText[:100], fault: safehttp.FaultTruncated},
		{name: "report, something else", answer: "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", fault: safehttp.FaultContent},
		{name: "report, a period that is none", answer: strings.Replace(busyText, "PT1H", "never", 1), fault: safehttp.FaultContent},
		{name: "report, a page", answer: "<html></html>", fault: safehttp.FaultContentType},
		{name: "report, refused", answer: "403", fault: safehttp.FaultForbidden},
		{name: "outbox", outbox: true, answer: answer("2.0;Success", busyText), want: busyPeriods},
		{name: "outbox, not known", outbox: true, answer: answer("3.7;Invalid Calendar User", ""), fault: safehttp.FaultNotFound},
		{name: "outbox, no right", outbox: true, answer: answer("3.8;No authority", ""), fault: safehttp.FaultForbidden},
		{name: "outbox, not now", outbox: true, answer: answer("5.1;Could not complete", ""), fault: safehttp.FaultServer},
		{name: "outbox, of somebody else", outbox: true, answer: strings.ReplaceAll(answer("2.0", busyText), "ann@", "eve@"), fault: safehttp.FaultContent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sc := &script{t: t, answers: map[string]string{"REPORT /c/": tt.answer, "POST /outbox/": tt.answer}}
			s := upstream(t, "https://example.com/", sc.ServeHTTP)
			got, err := s.FreeBusy(t.Context(), "/c/", window)
			if tt.outbox {
				got, err = s.AskOutbox(t.Context(), "/outbox/", "mailto:kim@contoso.com", "mailto:ann@contoso.com", window)
			}
			var fault safehttp.Fault
			if err != nil {
				fault = safehttp.FaultOf(err).Fault
			}
			if fault != tt.fault {
				t.Fatalf("fault %q (%v), want %q", fault, err, tt.fault)
			}
			slices.SortFunc(got, func(a, b ical.Period) int { return strings.Compare(string(a.Status), string(b.Status)) })
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// All answers of a session together have a limit, and each a time.
func TestBounds(t *testing.T) {
	big := multistatus("/c/|" + isCalendar + strings.Repeat(" ", 300<<10))
	sc := &script{t: t, answers: map[string]string{"PROPFIND /c/": big}}
	s := upstream(t, "https://example.com/c/", sc.ServeHTTP)
	var err error
	n := 0
	for ; err == nil && n < 10; n++ {
		_, err = s.Calendars(t.Context(), "/c/")
	}
	if f := safehttp.FaultOf(err); n != 4 || f.Fault != safehttp.FaultTooLarge {
		t.Errorf("after %d: %v", n, err)
	}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		dial   func(*safehttp.Config)
		want   safehttp.Fault
	}{
		{name: "200 MB", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(200<<20))
			w.WriteHeader(http.StatusMultiStatus)
		}, want: safehttp.FaultTooLarge},
		{name: "a trickle", answer: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusMultiStatus)
			for r.Context().Err() == nil {
				io.WriteString(w, " ")
				w.(http.Flusher).Flush()
			}
		}, want: safehttp.FaultTimedOut},
		{name: "packed", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(http.StatusMultiStatus)
		}, want: safehttp.FaultEncoding},
		{name: "XML that is none", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/xml")
			w.WriteHeader(http.StatusMultiStatus)
			io.WriteString(w, `<!DOCTYPE a [<!ENTITY x "y">]><multistatus xmlns="DAV:">&x;</multistatus>`)
		}, want: safehttp.FaultContent},
		{name: "nobody listens", dial: func(c *safehttp.Config) { c.ConnectTo["example.com:443"] = "127.0.0.1:1" }, want: safehttp.FaultRefused},
		{name: "certificate of somebody else", dial: func(c *safehttp.Config) { c.Roots = x509.NewCertPool() }, want: safehttp.FaultCertificate},
		{name: "an address that is not public", dial: func(c *safehttp.Config) {
			c.ConnectTo, c.AllowPrivate = nil, []netip.Prefix{}
		}, want: safehttp.FaultAddress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address := "https://example.com/c/"
			if tt.want == safehttp.FaultAddress {
				address = "https://127.0.0.1/c/"
			}
			s := upstream(t, address, tt.answer, func(c *safehttp.Config) {
				if tt.dial != nil {
					tt.dial(c)
				}
			})
			_, err := s.Find(t.Context(), caldavclient.Who{})
			if f := safehttp.FaultOf(err); err == nil || f.Fault != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
	if _, err := new(caldavclient.Client).Session(caldavclient.Request{URL: "http://example.com/"}); safehttp.FaultOf(err).Fault != safehttp.FaultURL {
		t.Errorf("http: %v", err)
	}
	if _, err := caldavclient.New(caldavclient.Config{}); err == nil || errors.Is(err, safehttp.ErrAddress) {
		t.Errorf("nothing given: %v", err)
	}
}

// Whatever a server answers, a session ends, and names no other host.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{listing, multistatus("/principals/kim/|" + homeSet + own), multistatus("/c/a.ics|<getetag>1</getetag><C:calendar-data>" + event + "</C:calendar-data>"), busyText, "", "<multistatus/>",
		multistatus("/kim/|507 x", "<sync-token>1</sync-token>"), `<multistatus xmlns="DAV:"><response><href>http://[::1</href></response></multistatus>`} {
		f.Add(s, "application/xml")
	}
	var answer, kind string
	sc := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(http.StatusMultiStatus)
		io.WriteString(w, answer)
	})
	f.Fuzz(func(t *testing.T, body, contentType string) {
		if strings.ContainsAny(contentType, "\r\n\x00") {
			return
		}
		answer, kind = body, contentType
		s := upstreamOf(t, sc)
		if p, err := s.Find(t.Context(), caldavclient.Who{}); err == nil {
			for _, c := range p.Calendars {
				if !strings.HasPrefix(c.Path, "/") {
					t.Errorf("path %q", c.Path)
				}
			}
		}
		s.Sync(t.Context(), "/c/", "t")
		s.Get(t.Context(), "/c/", []caldavclient.Member{{Path: "/c/a.ics"}, {Path: "/c/b.ics"}})
		s.FreeBusy(t.Context(), "/c/", window)
	})
}

// handled answers without a network.
type handled struct{ http.Handler }

func (h handled) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func upstreamOf(t testing.TB, h http.Handler) *caldavclient.Session {
	c, err := caldavclient.New(caldavclient.Config{Transport: handled{h}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Session(caldavclient.Request{URL: "https://example.com/c/", UserName: "kim", Password: "x", MaxBytes: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
