package caldavserver_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/app"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/serve/caldavserver"
	"busybridge/internal/spec/smtpaddr"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	host     = "mail.contoso.com"
	password = "correct horse battery"
)

var (
	now      = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	operator = admin.Actor{Name: "test", System: true}
)

// A fixture is a node with the mailboxes ana, bob (who lets ana read his calendar
// as its owner), eve (who shares nothing) and room.
type fixture struct {
	testing.TB
	*app.Deployment
	org directory.OrgID
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{TB: t}
	tm, err := template()
	f.must(err)
	path := filepath.Join(t.TempDir(), "a.db")
	f.must(os.WriteFile(path, tm.store, 0o600))
	f.org = tm.org
	f.Deployment, err = open(t.Context(), path)
	f.must(err)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func open(ctx context.Context, path string) (*app.Deployment, error) {
	return app.Open(ctx, app.Settings{
		StorePath: path, SealKey: make([]byte, 32), Roles: []string{app.RoleOrganization},
		Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

// A templateStore is the store that every fixture begins with: passwords are dear.
type templateStore struct {
	store []byte
	org   directory.OrgID
}

var template = sync.OnceValues(func() (tm templateStore, err error) {
	dir, err := os.MkdirTemp("", "caldavserver")
	if err != nil {
		return tm, err
	}
	defer os.RemoveAll(dir)
	path, ctx := filepath.Join(dir, "a.db"), context.Background()
	d, err := open(ctx, path)
	if err != nil {
		return tm, err
	}
	org, err := d.Admin.NewOrganization(ctx, operator, admin.OrganizationParams{Name: "Contoso", Domain: "contoso.com"})
	if err != nil {
		return tm, errors.Join(err, d.Close())
	}
	tm.org = org.Object.ID
	url := "https://" + host + "/ews/exchange.asmx"
	_, err = d.Admin.NewServer(ctx, operator, tm.org, directory.Server{Common: directory.Common{Name: "SERVER"}, HostNames: []string{host},
		AdminDisplayVersion: directory.OAuthVersion, InternalURL: url, ExternalURL: url, OAuthAuthentication: true, BasicAuthentication: true})
	for _, name := range []string{"ana", "bob", "eve", "room"} {
		_, more := d.Admin.NewMailbox(ctx, operator, tm.org, admin.MailboxParams{Name: name, Primary: name + "@contoso.com", Password: password, TimeZone: "W. Europe Standard Time"})
		err = errors.Join(err, more)
	}
	_, add := d.Admin.AddMailboxFolderPermission(ctx, operator, tm.org, "bob@contoso.com", "ana@contoso.com", freebusy.LevelOwner)
	_, set := d.Admin.SetMailboxFolderPermission(ctx, operator, tm.org, "eve@contoso.com", "Default", freebusy.LevelNone)
	if err = errors.Join(err, add, set, d.Close()); err == nil {
		tm.store, err = os.ReadFile(path)
	}
	return tm, err
})

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// do sends a request as a user ("": nobody). header are names and values.
func (f *fixture) do(user, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://"+host+path, strings.NewReader(body))
	r.RequestURI = path
	if user != "" {
		r.SetBasicAuth(user+"@contoso.com", password)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, r)
	return w
}

// A transcript is a file of requests with their answers: after "=== what happens" a
// request, after "---" the answer, which -update rewrites. A header "As" says who
// asks.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.http")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			want, err := os.ReadFile(file)
			f.must(err)
			var got strings.Builder
			for i, step := range strings.Split("\n"+string(want), "\n=== ") {
				if i == 0 {
					continue
				}
				request, _, _ := strings.Cut(step+"\n", "\n---\n")
				title, text, _ := strings.Cut(request, "\n")
				fmt.Fprintf(&got, "=== %s\n%s\n---\n%s", title, text, f.play(text))
			}
			if *update {
				f.must(os.WriteFile(file, []byte(got.String()), 0o644))
				return
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// shown are the headers that a transcript has.
var shown = []string{"DAV", "Allow", "ETag", "Content-Type", "Location", "Retry-After", "Cache-Control", "WWW-Authenticate"}

func (f *fixture) play(text string) string {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	method, path, _ := strings.Cut(lines[0], " ")
	user := "ana"
	var header []string
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		if name == "As" {
			user = value
			continue
		}
		header = append(header, name, value)
	}
	w := f.do(user, method, path, body, header...)
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP %d\n", w.Code)
	for _, name := range shown {
		for _, v := range w.Header().Values(name) {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	answer := strings.ReplaceAll(w.Body.String(), "\r\n", "\n")
	if strings.Contains(w.Header().Get("Content-Type"), "xml") {
		answer = strings.ReplaceAll(answer, "&#13;", "")
		answer = strings.ReplaceAll(answer, "&#xD;", "")
		answer = strings.ReplaceAll(answer, "><", ">\n<")
	}
	if answer != "" {
		b.WriteString("\n" + strings.TrimRight(answer, "\n") + "\n")
	}
	return b.String() + "\n"
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := caldavserver.New(caldavserver.Config{}); err == nil {
		t.Error("an empty configuration is accepted")
	}
}

// Of all who change what they have seen one succeeds; what was acknowledged is in the
// next answer, of every kind.
func TestConcurrentChanges(t *testing.T) {
	f := newFixture(t)
	const path = "/caldav/calendars/ana@contoso.com/Calendar/x.ics"
	text := func(n int) string {
		return fmt.Sprintf("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTART:20260310T%02d0000Z\r\nDURATION:PT1H\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", n)
	}
	tag := f.do("ana", "PUT", path, text(0), "If-None-Match", "*").Header().Get("ETag")
	for round := range 3 {
		var wg sync.WaitGroup
		codes := make([]int, 4)
		tags := make([]string, len(codes))
		for i := range codes {
			wg.Go(func() {
				w := f.do("ana", "PUT", path, text(1+round*len(codes)+i), "If-Match", tag)
				codes[i], tags[i] = w.Code, w.Header().Get("ETag")
			})
		}
		wg.Wait()
		done := -1
		for i, code := range codes {
			switch {
			case code == 204 && done < 0:
				done = i
			case code != 412:
				t.Errorf("round %d: statuses %v, want one 204, all others 412", round, codes)
			}
		}
		if done < 0 {
			t.Fatalf("round %d: nobody succeeded: %v", round, codes)
		}
		n := 1 + round*len(codes) + done
		tag = tags[done]
		if w := f.do("ana", "GET", path, ""); w.Body.String() != text(n) || w.Header().Get("ETag") != tag {
			t.Errorf("round %d: GET has %s %s", round, w.Header().Get("ETag"), w.Body)
		}
		want := fmt.Sprintf("FREEBUSY;FBTYPE=BUSY:20260310T%02d0000Z/20260310T%02d0000Z", n, n+1)
		if w := f.do("bob", "POST", "/caldav/outbox/bob@contoso.com/", question("bob", "ana"), "Content-Type", "text/calendar"); !strings.Contains(w.Body.String(), want) {
			t.Errorf("round %d: the outbox knows nothing of %s: %s", round, want, w.Body)
		}
	}
	// Only one of those who make it.
	var wg sync.WaitGroup
	var made atomic.Int32
	for range 4 {
		wg.Go(func() {
			if f.do("ana", "MKCALENDAR", "/caldav/calendars/ana@contoso.com/New/", "").Code == 201 {
				made.Add(1)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("%d made the calendar", made.Load())
	}
}

func question(organizer string, attendees ...string) string {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VFREEBUSY\r\nUID:q\r\nDTSTART:20260310T000000Z\r\nDTEND:20260311T000000Z\r\nORGANIZER:mailto:" + organizer + "@contoso.com\r\n")
	for _, a := range attendees {
		b.WriteString("ATTENDEE:mailto:" + a + "@contoso.com\r\n")
	}
	b.WriteString("END:VFREEBUSY\r\nEND:VCALENDAR\r\n")
	return b.String()
}

// A folder that is a copy of a source is read, and not changed.
func TestCopiesAreReadOnly(t *testing.T) {
	f := newFixture(t)
	const folder = "source-8f14e45f-ceea-467f-a8f9-1d7b3f0c2b11"
	r, err := f.Store.Recipient(t.Context(), f.org, smtpaddr.Must("ana@contoso.com"))
	f.must(err)
	f.must(f.Store.ChangeCalendar(t.Context(), f.org, r.ID, 0, &directory.CalendarChange{
		State: directory.CalendarState{Zone: r.Calendar.TimeZone}, Folders: []directory.CalendarFolder{{Name: folder}},
	}))
	const base = "/caldav/calendars/ana@contoso.com/" + folder + "/"
	event := "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTART:20260310T090000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	for _, tt := range []struct {
		method, path, body string
	}{
		{"PUT", base + "x.ics", event},
		{"DELETE", base + "x.ics", ""},
		{"DELETE", base, ""},
		{"PROPPATCH", base, `<propertyupdate xmlns="DAV:"><set><prop><displayname>x</displayname></prop></set></propertyupdate>`},
	} {
		w := f.do("ana", tt.method, tt.path, tt.body)
		if w.Code != 403 || !strings.Contains(w.Body.String(), "copy of a calendar source") {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, w.Code, w.Body)
		}
	}
	if w := f.do("ana", "PROPFIND", base, `<propfind xmlns="DAV:"><prop><current-user-privilege-set/></prop></propfind>`, "Depth", "0"); w.Code != 207 || strings.Contains(w.Body.String(), "write") {
		t.Errorf("PROPFIND: %d %s", w.Code, w.Body)
	}
}

// What others have looks the same as what is not there.
func TestNobodyLearnsWhatExists(t *testing.T) {
	f := newFixture(t)
	f.do("eve", "PUT", "/caldav/calendars/eve@contoso.com/Calendar/x.ics", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTART:20260310T090000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
	const busy = `<C:free-busy-query xmlns:C="urn:ietf:params:xml:ns:caldav"><C:time-range start="20260309T000000Z" end="20260310T000000Z"/></C:free-busy-query>`
	const query = `<C:calendar-query xmlns:C="urn:ietf:params:xml:ns:caldav"><C:filter><C:comp-filter name="VCALENDAR"/></C:filter></C:calendar-query>`
	for _, tt := range [][3]string{
		{"PROPFIND", "principals/%s/", ""}, {"PROPFIND", "calendars/%s/", ""}, {"PROPFIND", "calendars/%s/Calendar/", ""}, {"PROPFIND", "inbox/%s/", ""},
		{"GET", "calendars/%s/Calendar/x.ics", ""}, {"PUT", "calendars/%s/Calendar/x.ics", "x"}, {"DELETE", "calendars/%s/Calendar/x.ics", ""},
		{"MKCALENDAR", "calendars/%s/New/", ""}, {"OPTIONS", "calendars/%s/", ""}, {"POST", "outbox/%s/", "x"},
		{"REPORT", "calendars/%s/Calendar/", busy}, {"REPORT", "calendars/%s/", busy}, {"REPORT", "calendars/%s/Calendar/", query}, {"REPORT", "calendars/%s/Calendar/x.ics", query},
		{"REPORT", "calendars/%s/Calendar/", ""}, {"REPORT", "calendars/%s/Calendar/", "<x"}, {"REPORT", "calendars/%s/", `<C:free-busy-query xmlns:C="urn:ietf:params:xml:ns:caldav"/>`},
	} {
		var seen []string
		for _, who := range []string{"eve@contoso.com", "nobody@contoso.com", "nobody@fabrikam.com"} {
			w := f.do("bob", tt[0], "/caldav/"+fmt.Sprintf(tt[1], who), tt[2], "Depth", "0")
			w.Header().Del("request-id")
			seen = append(seen, fmt.Sprint(w.Code, w.Header(), w.Body))
		}
		if !strings.HasPrefix(seen[0], "404") || seen[0] != seen[1] || seen[1] != seen[2] {
			t.Errorf("%s %s: %q", tt[0], tt[1], seen)
		}
	}
}

func TestLimits(t *testing.T) {
	f := newFixture(t)
	const calendar = "/caldav/calendars/ana@contoso.com/Calendar/"
	large := strings.Repeat("X-FILL:"+strings.Repeat("x", 1000)+"\r\n", 5000)
	for _, tt := range []struct {
		name, method, path, body string
		code                     int
		says                     string
	}{
		{"an object", "PUT", calendar + "x.ics", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTART:20260310T090000Z\r\n" + large + "END:VEVENT\r\nEND:VCALENDAR\r\n", 403, "max-resource-size"},
		{"XML", "PROPFIND", calendar, "<propfind xmlns=\"DAV:\"><!--" + large + "--></propfind>", 413, "too large"},
		{"a deep tree", "PROPFIND", calendar, strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100), 400, "line 1"},
		{"properties", "PROPFIND", calendar, `<propfind xmlns="DAV:"><prop>` + strings.Repeat("<x/>", 300) + "</prop></propfind>", 400, "256"},
		{"hrefs", "REPORT", calendar, `<C:calendar-multiget xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><prop><getetag/></prop>` + strings.Repeat("<href>/x</href>", 5001) + "</C:calendar-multiget>", 507, "number-of-matches-within-limits"},
		{"filters", "REPORT", calendar, `<C:calendar-query xmlns:C="urn:ietf:params:xml:ns:caldav"><C:filter><C:comp-filter name="VCALENDAR">` + strings.Repeat(`<C:comp-filter name="X"/>`, 300) + "</C:comp-filter></C:filter></C:calendar-query>", 403, "valid-filter"},
		{"a property", "PROPPATCH", calendar, `<propertyupdate xmlns="DAV:"><set><prop><displayname>` + strings.Repeat("x", 2000) + "</displayname></prop></set></propertyupdate>", 207, "507 Insufficient Storage"},
		{"many of them", "PROPPATCH", calendar, `<propertyupdate xmlns="DAV:"><set><prop>` + many(40) + "</prop></set></propertyupdate>", 207, "507 Insufficient Storage"},
		{"attendees", "POST", "/caldav/outbox/ana@contoso.com/", question("ana", strings.Split(strings.Repeat("x,", 101), ",")...), 403, "valid-scheduling-message"},
	} {
		w := f.do("ana", tt.method, tt.path, tt.body, "Depth", "0", "Content-Type", "text/calendar")
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s: %d %.300s, want %d with %s", tt.name, w.Code, w.Body, tt.code, tt.says)
		}
	}
	if w := f.do("ana", "PROPFIND", calendar, "", "Depth", "0"); !strings.Contains(w.Body.String(), "<D:displayname>Calendar</D:displayname>") {
		t.Errorf("something was kept: %s", w.Body)
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<x%d>a</x%d>", i, i)
	}
	return b.String()
}

func BenchmarkPut(b *testing.B) {
	f := newFixture(b)
	for i := range 500 {
		f.putEvent(i, i)
	}
	i := 0
	for b.Loop() {
		i++
		f.putEvent(i%500, i)
	}
}

func (f *fixture) putEvent(n, version int) {
	f.Helper()
	text := fmt.Sprintf("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:e%d\r\nDTSTART:202603%02dT%02d0000Z\r\nDURATION:PT30M\r\nSUMMARY:%d\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", n, 1+n%28, n%24, version)
	if w := f.do("ana", "PUT", fmt.Sprintf("/caldav/calendars/ana@contoso.com/Calendar/e%d.ics", n), text); w.Code != 201 && w.Code != 204 {
		f.Fatal(w.Code, w.Body)
	}
}

func BenchmarkOutbox(b *testing.B) {
	f := newFixture(b)
	for i := range 200 {
		f.putEvent(i, i)
	}
	q := question("bob", "ana", "room", "bob")
	for b.Loop() {
		if w := f.do("bob", "POST", "/caldav/outbox/bob@contoso.com/", q, "Content-Type", "text/calendar"); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}
