package syncsource_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/source/sourcetest"
	"busybridge/internal/source/syncsource"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/graph"
	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
)

const remoteAddress = "anna@fabrikam.com"

// A server is another organization's server with the mailbox of anna@fabrikam.com,
// whose calendar is a text. It answers as Exchange and as Graph do, written by hand.
type server struct {
	testing.TB
	*httptest.Server
	mu       sync.Mutex // guards what follows
	zone     *time.Location
	text     string
	refuse   http.HandlerFunc // answers instead, unless nil
	readable bool             // the account may read the calendar
	view     freebusy.View    // that is granted at most
	most     int              // entries of an answer; 0: no limit
	asked    []string         // operation, and window in days
	last     *http.Request
	header   ews.Header
}

// serve starts a server under example.com, and returns the fetchers that ask it.
func serve(t testing.TB, now func() time.Time, zone, text string) (*server, syncsource.Servers) {
	t.Helper()
	loc, ok := wintz.Location(zone)
	if !ok {
		t.Fatal(zone)
	}
	s := &server{TB: t, zone: loc, text: text, readable: true, view: freebusy.ViewDetailedMerged}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.handle))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	dial := safehttp.Config{Roots: roots, ConnectTo: map[string]string{"example.com:443": s.Listener.Addr().String()}}
	rt, err := safehttp.Transport(dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	return s, syncsource.Servers{Transport: rt, Dial: dial, Now: now, Timeout: 20 * time.Second,
		Application: func(context.Context, *directory.CalendarSource) (http.RoundTripper, error) {
			return bearer{rt}, nil
		}}
}

// bearer signs in as an application.
type bearer struct{ http.RoundTripper }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer token")
	return b.RoundTripper.RoundTrip(r)
}

func (s *server) set(change func(*server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *server) handle(rw http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = r
	switch {
	case s.refuse != nil:
		s.asked = append(s.asked, "refused")
		s.refuse(rw, r)
	case r.Header.Get("Authorization") == "":
		rw.Header().Set("WWW-Authenticate", `Basic realm="example.com"`)
		rw.WriteHeader(http.StatusUnauthorized)
	case strings.HasSuffix(r.URL.Path, "/calendar/getSchedule"):
		s.getSchedule(rw, r)
	default:
		s.soap(rw, r)
	}
}

func (s *server) note(what string, from, to time.Time) {
	s.asked = append(s.asked, fmt.Sprintf("%s %v", what, to.Sub(from).Hours()/24))
}

// instances are those of the calendar that overlap a time, sorted.
func (s *server) instances(from, to time.Time) (list []ical.Instance) {
	cal, _, err := ical.Parse([]byte(s.text), ical.Limits{})
	if err != nil {
		s.Error(err)
		return nil
	}
	owner, err := smtpaddr.Parse("anna@contoso.com") // who declines in the conformance test
	if err != nil {
		s.Error(err)
	}
	x := ical.Expander{FloatingZone: s.zone, Owner: owner}
	for _, g := range ical.Groups(cal) {
		found, _ := x.Expand(&g, from, to)
		list = append(list, found...)
	}
	slices.SortStableFunc(list, func(a, b ical.Instance) int { return a.Start.Compare(b.Start) })
	return list
}

func (s *server) soap(rw http.ResponseWriter, r *http.Request) {
	env, err := soap.Read(r.Body, 1<<20)
	if err != nil {
		s.Errorf("request: %v", err)
		return
	}
	if s.header, err = ews.ParseHeader(env.Header); err != nil {
		s.Errorf("header: %v", err)
	}
	rw.Header().Set("Content-Type", "text/xml; charset=utf-8")
	version := ews.ServerVersion{Major: 15, Minor: 1, Schema: "V2017_07_11"}
	if e := env.Body[0]; e.Is(ews.NSMessages, "FindItem") {
		rw.Write(s.findItem(ews.AppendResponseStart(nil, version, "FindItem"), e))
		return
	}
	q, err := ews.ParseGetUserAvailability(env.Body[0])
	if err != nil {
		s.Errorf("request: %v", err)
		return
	}
	from, to := q.FreeBusy.Start.Time, q.FreeBusy.End.Time
	s.note("GetUserAvailability", from, to)
	a := ews.FreeBusyResponse{View: s.view.String()}
	list := s.instances(from, to)
	switch {
	case len(q.Mailboxes) != 1 || !strings.EqualFold(q.Mailboxes[0].Address, remoteAddress):
		a = ews.FreeBusyResponse{Message: ews.ResponseMessage{Class: "Error", Code: "ErrorMailRecipientNotFound", Text: "Unable to resolve e-mail address."}}
	case s.most > 0 && len(list) > s.most:
		a = ews.FreeBusyResponse{Message: ews.ResponseMessage{Class: "Error", Code: "ErrorResultSetTooBig", Text: "The result set contains too many calendar entries."}}
	case s.view&freebusy.ViewEvents == 0:
		var iv []freebusy.Interval
		for _, i := range list {
			status, _ := freebusy.ParseStatus(string(i.Status))
			iv = append(iv, freebusy.Interval{Start: i.Start, End: i.End, Status: status})
		}
		a.Merged = freebusy.Merge(freebusy.Window{Start: from, End: to}, time.Duration(q.FreeBusy.IntervalMinutes)*time.Minute, iv)
	default:
		a.HasEvents = true
		for n, i := range list {
			ev := ews.CalendarEvent{Start: i.Start, End: i.End, BusyType: string(i.Status)}
			if s.view&freebusy.ViewDetails != 0 {
				ev.Details = &ews.EventDetails{Meeting: i.Meeting, Recurring: i.Recurring, Exception: i.Exception, ReminderSet: i.Reminder, Private: i.Private}
				if !i.Private {
					ev.Details.ID, ev.Details.Subject, ev.Details.Location = fmt.Sprintf("%08X", n), i.Subject, i.Location
				}
				ev.Details.ID = "" // which of several is not said by all servers
			}
			a.Events = append(a.Events, ev)
		}
	}
	rw.Write(ews.AppendGetUserAvailabilityResponse(nil, &ews.AvailabilityResponse{Version: version, FreeBusy: []ews.FreeBusyResponse{a}}))
}

// findItem writes the answer as Exchange does: EWS reference 5.3, 5.4.
func (s *server) findItem(b []byte, e *soap.Element) []byte {
	view := e.Child(ews.NSMessages, "CalendarView")
	from, err1 := time.Parse(time.RFC3339, view.AttrValue("StartDate"))
	to, err2 := time.Parse(time.RFC3339, view.AttrValue("EndDate"))
	folder := e.Child(ews.NSMessages, "ParentFolderIds").Child(ews.NSTypes, "DistinguishedFolderId")
	if err1 != nil || err2 != nil || folder.AttrValue("Id") != "calendar" {
		s.Errorf("FindItem: %v, %v, folder %q", err1, err2, folder.AttrValue("Id"))
	}
	s.note("FindItem", from, to)
	whose := folder.Child(ews.NSTypes, "Mailbox").ChildText(ews.NSTypes, "EmailAddress")
	if s.header.Impersonate != nil {
		whose += s.header.Impersonate.Value
	}
	switch {
	case !strings.EqualFold(whose, remoteAddress):
		return ews.AppendResponseEnd(ews.AppendErrorMessage(b, "FindItem", "ErrorNonExistentMailbox", "The SMTP address has no mailbox associated with it."), "FindItem")
	case !s.readable:
		return ews.AppendResponseEnd(ews.AppendErrorMessage(b, "FindItem", "ErrorAccessDenied", "Access is denied. Check credentials and try again."), "FindItem")
	}
	b = ews.AppendMessageStart(b, "FindItem", &ews.ResponseMessage{})
	list := s.instances(from, to)
	whole := s.most == 0 || len(list) <= s.most
	if !whole {
		list = list[:s.most]
	}
	b = fmt.Appendf(b, `<m:RootFolder TotalItemsInView="%d" IncludesLastItemInRange="%v"><t:Items>`, len(list), whole)
	text := func(name, value string) {
		if value != "" {
			b = append(append(append(b, "<t:"+name+">"...), soap.AppendText(nil, value)...), "</t:"+name+">"...)
		}
	}
	const form = "2006-01-02T15:04:05Z"
	for _, i := range list {
		kind, sensitivity := "Single", "Normal"
		switch {
		case i.Exception:
			kind = "Exception"
		case i.Recurring:
			kind = "Occurrence"
		}
		if i.Private {
			sensitivity = "Private"
		}
		b = append(b, `<t:CalendarItem><t:ItemId Id="AAMk=" ChangeKey="DwAA"/>`...)
		text("Subject", i.Subject)
		text("Sensitivity", sensitivity)
		text("ReminderIsSet", fmt.Sprint(i.Reminder))
		text("UID", i.UID)
		if i.Recurring {
			text("RecurrenceId", i.Start.Format(form))
		}
		text("DateTimeStamp", "2026-01-01T00:00:00Z")
		text("Start", i.Start.Format(form))
		text("End", i.End.Format(form))
		text("LegacyFreeBusyStatus", string(i.Status))
		text("Location", i.Location)
		text("IsMeeting", fmt.Sprint(i.Meeting))
		text("CalendarItemType", kind)
		b = append(b, `</t:CalendarItem>`...)
	}
	b = append(b, `</t:Items></m:RootFolder>`...)
	return ews.AppendResponseEnd(ews.AppendMessageEnd(b, "FindItem"), "FindItem")
}

func (s *server) getSchedule(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.Error(err)
	}
	q, err := graph.ParseRequest(body)
	if err != nil {
		s.Error(err)
		return
	}
	s.note("GetSchedule", q.Start.Wall, q.End.Wall)
	if q.End.Wall.Sub(q.Start.Wall) >= 62*24*time.Hour {
		s.Error("the window is longer than is allowed")
	}
	sc := graph.Schedule{ID: q.Schedules[0]}
	list := s.instances(q.Start.Wall, q.End.Wall)
	switch {
	case !strings.EqualFold(sc.ID, remoteAddress):
		sc.Error = &graph.MailboxError{Code: "5009", Message: "Unable to resolve e-mail address."}
	case s.most > 0 && len(list) > s.most:
		sc.Error = &graph.MailboxError{Code: "5000", Message: "The result set contains too many calendar entries."}
	}
	for _, i := range list {
		status, _ := freebusy.ParseStatus(string(i.Status))
		it := graph.Item{Private: new(i.Private), Status: status.GraphName(), Start: graph.DateTime{Wall: i.Start, Zone: "UTC"}, End: graph.DateTime{Wall: i.End, Zone: "UTC"}}
		if !i.Private {
			it.Subject, it.Location = i.Subject, i.Location
		}
		sc.Items = append(sc.Items, it)
	}
	answer, err := graph.Response("https://example.com/v1.0", []graph.Schedule{sc})
	if err != nil {
		s.Error(err)
	}
	rw.Header().Set("Content-Type", "application/json; odata.metadata=minimal")
	rw.Write(answer)
}

// exchangeSource is a source of Exchange at example.com.
func (w *world) exchangeSource() *directory.CalendarSource {
	v := w.source("Exchange", "https://example.com/EWS/Exchange.asmx")
	v.Kind, v.UserName, v.Password = directory.SourceExchange, "svc", directory.Secret("4f2a")
	v.Server = directory.SourceServer{Address: remoteAddress, Authentication: directory.SourceBasic}
	return v
}

// graphSource is a source of Graph at example.com.
func (w *world) graphSource() *directory.CalendarSource {
	v := w.source("Graph", "https://example.com")
	v.Kind, v.UserName = directory.SourceGraph, "11111111-0000-4000-8000-000000000001"
	v.Server = directory.SourceServer{Address: remoteAddress, Authentication: directory.SourceOAuth, Tenant: "22222222-0000-4000-8000-000000000002", Login: "https://login.example.com"}
	return v
}

// follow is a Syncer that asks servers.
func (w *world) follow(s syncsource.Servers) *syncsource.Syncer {
	return w.syncer(nil, func(c *syncsource.Config) {
		c.Fetchers = map[string]syncsource.Fetcher{directory.SourceExchange: syncsource.Exchange{Servers: s}, directory.SourceGraph: syncsource.Graph{Servers: s}}
	})
}

func (w *world) clock() time.Time { return time.Unix(0, w.now.Load()).UTC() }

// Every way by which a server is asked is a source as all others, in the time that
// is copied.
func TestServersConform(t *testing.T) {
	from, to := (&directory.SourceServer{DaysBack: directory.MaxSourceDaysBack, DaysAhead: directory.MaxSourceDaysAhead}).Days(sourcetest.Now)
	for method, f := range map[string]sourcetest.Family{
		directory.MethodFindItem:            {},
		directory.MethodGetUserAvailability: {HidesPrivate: true},
		directory.MethodGetSchedule:         {HidesPrivate: true, NoFlags: true},
	} {
		if (testing.Short() || raceEnabled) && method != directory.MethodFindItem {
			continue
		}
		f.Known = freebusy.Window{Start: from, End: to}
		f.New = func(t testing.TB, zone, text string) (sourcetest.Source, *directory.Recipient) {
			w := newWorld(t, zone)
			_, servers := serve(t, w.clock, zone, text)
			v := w.exchangeSource()
			if method == directory.MethodGetSchedule {
				v = w.graphSource()
			}
			v.Method, v.Server.DaysBack, v.Server.DaysAhead = method, directory.MaxSourceDaysBack, directory.MaxSourceDaysAhead
			w.put(v)
			w.follow(servers).Pass(t.Context())
			if got := w.is(v); got.State.Failure != "" || got.State.Method != method || !got.State.From.Equal(from) || !got.State.To.Equal(to) {
				t.Fatalf("%s: %s, by %s, %v to %v", got.State.Failure, got.State.Text, got.State.Method, got.State.From, got.State.To)
			}
			return w.cal, w.mailbox
		}
		t.Run(method, func(t *testing.T) { sourcetest.Run(t, f) })
	}
}

// asks is what a server was asked since the last time.
func (s *server) asks() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.asked
	s.asked = nil
	return list
}

// update makes an attempt now.
func (w *world) update(s *syncsource.Syncer, v *directory.CalendarSource) *directory.CalendarSource {
	w.Helper()
	if err := s.Update(w.Context(), w.is(v)); err != nil {
		w.Fatal(err)
	}
	return w.is(v)
}

// The calendar is read where the account may, else the busy time is asked about;
// what was refused is tried again the next day, and what was chosen is chosen.
func TestExchangeMethods(t *testing.T) {
	w := newWorld(t, "UTC")
	s, servers := serve(t, w.clock, "UTC", sourcetest.Calendar(event("a")))
	syncer := w.follow(servers)
	v := w.put(w.exchangeSource())
	want := func(what, condition, method string, asked ...string) {
		t.Helper()
		got := w.update(syncer, v)
		if got.Condition() != condition || got.State.Method != method || got.State.Events != 1 {
			t.Errorf("%s: %s by %q, %d events: %s", what, got.Condition(), got.State.Method, got.State.Events, got.State.Text)
		}
		if d := cmp.Diff(asked, s.asks()); d != "" {
			t.Errorf("%s: asked (-want +got):\n%s", what, d)
		}
	}
	read := []string{"FindItem 31", "FindItem 31", "FindItem 30"}
	busy := []string{"GetUserAvailability 42", "GetUserAvailability 42", "GetUserAvailability 8"}
	want("readable", directory.SourceHealthy, directory.MethodFindItem, read...)
	if id := s.header.Impersonate; id != nil {
		t.Errorf("impersonates %v", id)
	}
	s.set(func(s *server) { s.readable = false })
	want("refused", directory.SourceHealthy, directory.MethodGetUserAvailability, append(read[:1:1], busy...)...)
	want("refused, the same day", directory.SourceHealthy, directory.MethodGetUserAvailability, busy...)
	w.wait(24 * time.Hour)
	want("refused, the next day", directory.SourceHealthy, directory.MethodGetUserAvailability, append(read[:1:1], busy...)...)
	s.set(func(s *server) { s.readable = true })
	w.wait(24 * time.Hour)
	want("permitted again", directory.SourceHealthy, directory.MethodFindItem, read...)
	w.want("permitted again", "a")

	change := func(fn func(*directory.CalendarSource)) {
		is := w.is(v)
		fn(is)
		w.put(is)
	}
	change(func(v *directory.CalendarSource) { v.Method = directory.MethodGetUserAvailability })
	want("chosen", directory.SourceHealthy, directory.MethodGetUserAvailability, busy...)
	s.set(func(s *server) { s.readable = false })
	change(func(v *directory.CalendarSource) { v.Method, v.Server.Impersonate = directory.MethodFindItem, true })
	want("chosen, and refused", "Forbidden", directory.MethodGetUserAvailability, read[:1]...)
	if id := s.header.Impersonate; id == nil || id.Kind != "SmtpAddress" || id.Value != remoteAddress {
		t.Errorf("impersonates %v", id)
	}
	w.want("what was known stays", "a")

	// What is granted is less.
	s.set(func(s *server) { s.view = freebusy.ViewFreeBusyMerged })
	change(func(v *directory.CalendarSource) { v.Method = "" })
	want("times only", directory.SourceHealthy, directory.MethodGetUserAvailability, busy...)
	s.set(func(s *server) { s.view = freebusy.ViewMergedOnly })
	want("merged only", directory.SourceHealthy, directory.MethodGetUserAvailability, busy...)
	if got := w.merged("2026-03-10T08:00", 4, 30*time.Minute); got != "0022" {
		t.Errorf("merged only: %s", got)
	}
	// An old server, which does not know the version of the question.
	s.set(func(s *server) {
		s.refuse = func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if strings.Contains(string(body), "Exchange2013") {
				soapFault(rw, "ErrorInvalidServerVersion")
				return
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			s.soap(rw, r)
		}
	})
	want("an old server", directory.SourceHealthy, directory.MethodGetUserAvailability, append([]string{"refused"}, interleave("refused", busy)...)...)
	if got := s.header.Version; got != "Exchange2010_SP1" {
		t.Errorf("asked in version %s", got)
	}
}

func interleave(s string, list []string) (out []string) {
	for _, v := range list {
		out = append(out, s, v)
	}
	return out
}

func soapFault(rw http.ResponseWriter, code string, values ...soap.Value) {
	rw.Header().Set("Content-Type", "text/xml; charset=utf-8")
	rw.WriteHeader(http.StatusInternalServerError)
	rw.Write(soap.AppendFault(nil, &soap.Fault{Code: code, String: "No.", ResponseCode: code, Message: "No.", Values: values}))
}

// merged are n slots of the mailbox from a time on.
func (w *world) merged(from string, n int, slot time.Duration) string {
	w.Helper()
	start, err := time.Parse("2006-01-02T15:04", from)
	if err != nil {
		w.Fatal(err)
	}
	win := freebusy.Window{Start: start, End: start.Add(time.Duration(n) * slot)}
	iv, err := w.cal.Busy(w.Context(), w.org, w.mailbox, win, false)
	if err != nil {
		w.Fatal(err)
	}
	return freebusy.Merge(win, slot, iv)
}

// What was copied is a window that goes with the days. A source that is down serves
// what it knows until that is over: then there is no data, and never free time.
func TestWindowGoesWithTheDays(t *testing.T) {
	for _, kind := range []string{directory.SourceExchange, directory.SourceGraph} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, "UTC")
			daily := sourcetest.Event("d", "SUMMARY:daily", "DTSTART:20260101T120000Z", "DTEND:20260101T130000Z", "RRULE:FREQ=DAILY")
			s, servers := serve(t, w.clock, "UTC", sourcetest.Calendar(daily))
			syncer := w.follow(servers)
			v := w.exchangeSource()
			if kind == directory.SourceGraph {
				v = w.graphSource()
			}
			v.Server.DaysAhead = 10
			w.put(v)
			days := func(what, want string) {
				t.Helper()
				if got := w.merged("2026-02-27T00:00", 2*18, 12*time.Hour); got != want { // to 16 March
					t.Errorf("%s:\ngot  %s\nwant %s", what, got, want)
				}
			}
			w.update(syncer, v)
			days("first", strings.Repeat("44", 2)+strings.Repeat("02", 12)+strings.Repeat("44", 4))
			// A question costs no request while the copy is fresh.
			before := len(s.asks())
			for range 100 {
				w.merged("2026-03-02T00:00", 48, time.Hour)
			}
			syncer.Pass(t.Context())
			if asked := s.asks(); before == 0 || len(asked) != 0 {
				t.Errorf("asked %v for questions", asked)
			}
			w.wait(3 * 24 * time.Hour)
			w.update(syncer, v)
			days("three days later", strings.Repeat("44", 5)+strings.Repeat("02", 12)+strings.Repeat("44", 1))
			s.set(func(s *server) { s.refuse = http.NotFound })
			w.wait(30 * 24 * time.Hour)
			got := w.update(syncer, v)
			days("a month later, and it is down", strings.Repeat("44", 5)+strings.Repeat("02", 12)+strings.Repeat("44", 1))
			if got.Condition() != "NotFound" || !got.Stale(w.clock()) {
				t.Errorf("%s, stale %v", got.Condition(), got.Stale(w.clock()))
			}
			if got := w.merged(w.clock().Format("2006-01-02T15:04"), 4, time.Hour); got != "4444" {
				t.Errorf("today: %s", got)
			}
			s.set(func(s *server) { s.refuse = nil })
			if got := w.update(syncer, v); got.Condition() != directory.SourceHealthy {
				t.Errorf("back: %s", got.State.Text)
			}
			if got := w.merged(w.clock().Format("2006-01-02T15:04"), 5, time.Hour); got != "00020" {
				t.Errorf("today, back: %s", got)
			}
		})
	}
}

// Where there is more than a server tells at once, it is asked about less time.
func TestMoreThanAServerTellsAtOnce(t *testing.T) {
	var events []string
	for i := range 300 {
		at := sourcetest.Now.Add(time.Duration(i) * 6 * time.Hour)
		events = append(events, sourcetest.Event(fmt.Sprint("e", i), "DTSTART:"+at.Format("20060102T150405Z"), "DTEND:"+at.Add(time.Hour).Format("20060102T150405Z")))
	}
	for method, kind := range map[string]string{directory.MethodFindItem: directory.SourceExchange, directory.MethodGetUserAvailability: directory.SourceExchange, directory.MethodGetSchedule: directory.SourceGraph} {
		w := newWorld(t, "UTC")
		s, servers := serve(t, w.clock, "UTC", sourcetest.Calendar(events...))
		s.most = 100
		v := w.exchangeSource()
		if kind == directory.SourceGraph {
			v = w.graphSource()
		}
		v.Method = method
		w.put(v)
		syncer := w.follow(servers)
		if got := w.update(syncer, v); got.Condition() != directory.SourceHealthy || got.State.Events != 300 {
			t.Errorf("%s: %s, %d events: %s", method, got.Condition(), got.State.Events, got.State.Text)
		}
		if n := len(s.asks()); n < 5 || n > 15 {
			t.Errorf("%s: %d questions", method, n)
		}
		// A limit of ours, and one that no part is small enough for: both end.
		is := w.is(v)
		is.MaxEvents = 299
		w.put(is)
		if got := w.update(syncer, v); got.Condition() != syncsource.FailureEvents {
			t.Errorf("%s: %s", method, got.Condition())
		}
		s.set(func(s *server) { s.text, s.most = sourcetest.Calendar(event("a"), event("b"), event("c")), 2 })
		if got := w.update(syncer, v); got.Condition() != syncsource.FailureEvents || got.State.Events != 300 {
			t.Errorf("%s: %s, %d events", method, got.Condition(), got.State.Events)
		}
		if n := len(s.asks()); n > 40 {
			t.Errorf("%s: %d questions", method, n)
		}
	}
}

// Several sources make one picture: an event that two of them have counts once
// where its UID is known, each has its own rule of transparency, and one that is
// down takes nothing from the others, and shows.
func TestSeveralSourcesOfAMailbox(t *testing.T) {
	w := newWorld(t, "UTC")
	both := sourcetest.Event("040000008200E00074C5B7101A82E0080000000000000000000000000000000000000000310000007643616C2D55696401000000"+fmt.Sprintf("%x", "both@example.com")+"00",
		"SUMMARY:both@example.com", "DTSTART:20260310T090000Z", "DTEND:20260310T100000Z")
	s, servers := serve(t, w.clock, "UTC", sourcetest.Calendar(both, event("exchange")))
	syncer := w.follow(servers)
	w.serve(event("both@example.com"), event("feed"))
	feed := w.add("feed", "https://example.com/a.ics")
	w.Pass(t.Context())
	v := w.put(w.exchangeSource())
	w.update(syncer, v)
	w.want("both", "both@example.com", "exchange", "feed")
	g := w.put(w.graphSource())
	w.update(syncer, g)
	w.want("and by Graph, which tells no UIDs", "both@example.com", "both@example.com", "exchange", "exchange", "feed")
	g = w.is(g)
	g.Transparent = true
	w.put(g)
	w.update(syncer, g)
	w.want("which does not count", "both@example.com", "exchange", "feed")
	s.set(func(s *server) {
		s.refuse = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusUnauthorized) }
	})
	w.wait(time.Hour)
	w.update(syncer, v)
	w.Pass(t.Context())
	w.want("one is down", "both@example.com", "exchange", "feed")
	now := w.clock()
	if down, up := w.is(v), w.is(feed); down.Condition() != "Unauthorized" || !down.Stale(now) || up.Condition() != directory.SourceHealthy || up.Stale(now) {
		t.Errorf("%s %v, %s %v", down.Condition(), down.Stale(now), up.Condition(), up.Stale(now))
	}
	// The event stays where the other source has it.
	down := w.is(v)
	down.Enabled = false
	w.put(down)
	w.update(syncer, down)
	w.want("one is disabled", "both@example.com", "feed")
}

// Each fault of a server has its own state, costs few questions, leaves the copy,
// and is over without a restart.
func TestFaultyServers(t *testing.T) {
	answer := func(status int, contentType, body string, headers ...string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(headers); i += 2 {
				rw.Header().Set(headers[i], headers[i+1])
			}
			if contentType != "" {
				rw.Header().Set("Content-Type", contentType)
			}
			rw.WriteHeader(status)
			io.WriteString(rw, body)
		}
	}
	fault := func(code string, values ...soap.Value) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) { soapFault(rw, code, values...) }
	}
	drop := func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err == nil {
			conn.Close()
		}
	}
	half := func(contentType, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", contentType)
			rw.Header().Set("Content-Length", "100000")
			io.WriteString(rw, body)
		}
	}
	trickle := func(contentType string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", contentType)
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-r.Context().Done():
					return
				case <-tick.C:
					io.WriteString(rw, " ")
					rw.(http.Flusher).Flush()
				}
			}
		}
	}
	endless := func(contentType, start string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", contentType)
			io.WriteString(rw, start)
			chunk := strings.Repeat(" ", 1<<16)
			for range 200 << 4 { // 200 MB
				if _, err := io.WriteString(rw, chunk); err != nil {
					return
				}
			}
		}
	}
	graphError := func(status int, code string, headers ...string) http.HandlerFunc {
		return answer(status, "application/json", `{"error":{"code":"`+code+`","message":"No."}}`, headers...)
	}
	schedule := func(s string) http.HandlerFunc { return answer(200, "application/json", `{"value":[`+s+`]}`) }
	type row struct {
		name   string
		h      http.HandlerFunc
		want   string
		pause  time.Duration
		change func(*directory.CalendarSource)
	}
	const x, j = "text/xml; charset=utf-8", "application/json"
	common := func(contentType string) []row {
		return []row{
			{name: "dropped", h: drop, want: "ConnectionFailed"},
			{name: "401", h: answer(401, "text/html", "no", "WWW-Authenticate", "NTLM", "x-ms-diagnostics", `2000003;reason="The hostname."`), want: "Unauthorized"},
			{name: "403", h: answer(403, "text/html", "no"), want: "Forbidden"},
			{name: "404", h: answer(404, "text/html", "no"), want: "NotFound"},
			{name: "429", h: answer(429, "", "", "Retry-After", "2.5"), want: "Throttled", pause: 2500 * time.Millisecond},
			{name: "503", h: answer(503, "text/html", "busy", "Retry-After", "600"), want: "ServerError", pause: 10 * time.Minute},
			{name: "502", h: answer(502, "text/html", "no"), want: "ServerError"},
			{name: "418", h: answer(418, "", ""), want: "UnexpectedStatus"},
			{name: "204", h: answer(204, "", ""), want: "UnexpectedStatus"},
			{name: "a page to sign in at", h: answer(200, "text/html", "<html></html>"), want: "WrongContentType"},
			{name: "another document", h: answer(200, contentType, "<a/>"), want: "WrongContent"},
			{name: "half", h: half(contentType, "<"), want: "Truncated"},
			{name: "trickle", h: trickle(contentType), want: "TimedOut"},
			{name: "redirect to loopback", h: answer(307, "", "", "Location", "https://127.0.0.1/"), want: "Redirect"},
			{name: "redirect on the host", h: answer(307, "", "", "Location", "/elsewhere"), want: "Redirect"},
			{name: "nobody listens", want: "ConnectionRefused", change: func(v *directory.CalendarSource) { v.URL = "https://refused.example/EWS/Exchange.asmx" }},
			{name: "another name", want: "Certificate", change: func(v *directory.CalendarSource) { v.URL = "https://other.example/EWS/Exchange.asmx" }},
			{name: "private address", want: "AddressNotAllowed", change: func(v *directory.CalendarSource) { v.URL = "https://127.0.0.1/EWS/Exchange.asmx" }},
		}
	}
	exchange := append(common(x),
		row{name: "200 MB", h: endless(x, "<s:Envelope>"), want: "TooLarge"},
		row{name: "busy", h: fault("ErrorServerBusy", soap.Value{Name: "BackOffMilliseconds", Value: "297749"}), want: "Throttled", pause: 297749 * time.Millisecond},
		row{name: "too many connections", h: fault("ErrorExceededConnectionCount"), want: "Throttled"},
		row{name: "impersonation denied", h: fault("ErrorImpersonateUserDenied"), want: "ImpersonationDenied"},
		row{name: "no such mailbox", h: fault("ErrorNonExistentMailbox"), want: "MailboxNotFound"},
		row{name: "EWS is disabled", h: fault("ErrorAccessDenied"), want: "Forbidden"},
		row{name: "moving", h: fault("ErrorMailboxMoveInProgress"), want: "ServerError"},
		row{name: "500 without a fault", h: answer(500, "text/html", "no"), want: "ServerError"},
		row{name: "another answer", h: answer(200, x, string(ews.AppendResponseEnd(ews.AppendResponseStart(nil, ews.ServerVersion{}, "GetFolder"), "GetFolder"))), want: "WrongContent"},
		row{name: "NTLM where none is", h: answer(401, "", "", "WWW-Authenticate", "Bearer"), want: "SignInNotOffered", change: func(v *directory.CalendarSource) { v.Server.Authentication = directory.SourceNTLM }},
	)
	graphs := append(common(j),
		row{name: "200 MB", h: endless(j, `{"value":[`), want: "TooLarge"},
		row{name: "the application may not", h: graphError(403, "ErrorAccessDenied"), want: "Forbidden"},
		row{name: "no such anchor", h: graphError(404, "ErrorInvalidUser"), want: "MailboxNotFound"},
		row{name: "throttled", h: graphError(429, "ApplicationThrottled", "Retry-After", "120"), want: "Throttled", pause: 2 * time.Minute},
		row{name: "500", h: graphError(500, "InternalServerError"), want: "ServerError"},
		row{name: "no such mailbox", h: schedule(`{"scheduleId":"a","error":{"responseCode":"5009","message":"Unable to resolve."}}`), want: "MailboxNotFound"},
		row{name: "no free/busy access", h: schedule(`{"scheduleId":"a","error":{"responseCode":"5037","message":"No."}}`), want: "Forbidden"},
		row{name: "an unknown number", h: schedule(`{"scheduleId":"a","error":{"responseCode":"5099","message":"No."}}`), want: "ServerError"},
		row{name: "about nobody", h: schedule(``), want: "WrongContent"},
		row{name: "a zone that does not exist", h: schedule(`{"scheduleId":"a","scheduleItems":[{"status":"busy","start":{"dateTime":"2026-03-10T09:00:00","timeZone":"Nowhere"},"end":{"dateTime":"2026-03-10T10:00:00","timeZone":"Nowhere"}}]}`), want: "WrongContent"},
	)
	for kind, rows := range map[string][]row{directory.SourceExchange: exchange, directory.SourceGraph: graphs} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "UTC")
			s, servers := serve(t, w.clock, "UTC", sourcetest.Calendar(event("a")))
			servers.Dial.ConnectTo["other.example:443"] = s.Listener.Addr().String()
			servers.Dial.ConnectTo["refused.example:443"] = "127.0.0.1:1"
			var err error
			if servers.Transport, err = safehttp.Transport(servers.Dial); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(servers.Transport.CloseIdleConnections)
			servers.Application = func(context.Context, *directory.CalendarSource) (http.RoundTripper, error) {
				return bearer{servers.Transport}, nil
			}
			syncer := w.follow(servers)
			servers.Timeout = 300 * time.Millisecond
			impatient := w.follow(servers)
			source := w.exchangeSource
			if kind == directory.SourceGraph {
				source = w.graphSource
			}
			for i, tt := range rows {
				v := source()
				v.Name = fmt.Sprint(i)
				w.put(v)
				if got := w.update(syncer, v); got.Condition() != directory.SourceHealthy {
					t.Fatalf("%s, before: %s", tt.name, got.State.Text)
				}
				s.asks()
				s.set(func(s *server) { s.refuse = tt.h })
				if is := w.is(v); tt.change != nil {
					tt.change(is)
					w.put(is)
				}
				asker := syncer
				if tt.want == "TimedOut" {
					asker = impatient
				}
				got := w.update(asker, v)
				if got.Condition() != tt.want || got.State.Events != 1 || got.State.Text == "" || got.State.Failures != 1 {
					t.Errorf("%s: %s, want %s; %d events: %s", tt.name, got.Condition(), tt.want, got.State.Events, got.State.Text)
				}
				if strings.Contains(got.State.Text, "Exchange.asmx") || strings.Contains(got.State.Text, "/v1.0") || strings.Contains(got.State.Text, "4f2a") {
					t.Errorf("%s: the text shows too much: %s", tt.name, got.State.Text)
				}
				if d := got.State.NextAttempt.Sub(got.State.LastAttempt); d < tt.pause || d > max(tt.pause, 100*time.Second) {
					t.Errorf("%s: next attempt after %v", tt.name, d)
				}
				if n := len(s.asks()); n > 2 { // one that may not read asks about the busy time
					t.Errorf("%s: %d questions", tt.name, n)
				}
				w.want(tt.name, "a")
				s.set(func(s *server) { s.refuse = nil })
				if tt.change != nil {
					is := w.is(v)
					is.URL, is.Server = source().URL, source().Server
					w.put(is)
				}
				if got := w.update(syncer, v); got.Condition() != directory.SourceHealthy {
					t.Errorf("%s, after: %s", tt.name, got.State.Text)
				}
				is := w.is(v)
				is.Removed, is.Password = true, nil
				w.put(is)
				if err := syncer.Update(t.Context(), is); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A UID of Exchange is the one that the same event has in other calendars.
func TestUIDsOfExchange(t *testing.T) {
	const head, date, made = "040000008200E00074C5B7101A82E008", "07EA0302", "7084C32A9CAAD90100000000000000"
	hexText := func(s string) string { return fmt.Sprintf("%X", s) }
	for _, tt := range []struct{ name, uid, want string }{
		{"of another program", "20260302T090000Z-1@example.com", "20260302T090000Z-1@example.com"},
		{"of Exchange", head + "00000000" + made + "0010000000" + strings.Repeat("AB", 16), head + "00000000" + made + "0010000000" + strings.Repeat("AB", 16)},
		{"of an occurrence", head + date + made + "0010000000" + strings.Repeat("AB", 16), head + "00000000" + made + "0010000000" + strings.Repeat("AB", 16)},
		{"in lower case", strings.ToLower(head + date + made + "0010000000" + strings.Repeat("AB", 16)), head + "00000000" + made + "0010000000" + strings.Repeat("AB", 16)},
		{"of another program, kept by Exchange", head + "00000000" + strings.Repeat("0", 32) + "20000000" + hexText("vCal-Uid\x01\x00\x00\x00event-1@example.com\x00"), "event-1@example.com"},
		{"cut", head + date, head + date},
		{"no digits", head + strings.Repeat("G", 48), head + strings.Repeat("G", 48)},
		{"odd", head + strings.Repeat("0", 49), head + strings.Repeat("0", 49)},
		{"nothing inside", head + strings.Repeat("0", 48), head + strings.Repeat("0", 48)},
		{"", "", ""},
	} {
		if got := syncsource.UIDOf(tt.uid); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A source that signs in by NTLM does it once for all questions of an attempt, on a
// connection that nobody else has, and which is closed then.
func TestNTLMSource(t *testing.T) {
	w := newWorld(t, "UTC")
	s, servers := serve(t, w.clock, "UTC", sourcetest.Calendar(event("a")))
	var signedIn sync.Map // by the client's address: one connection each
	const challenge = "TlRMTVNTUAACAAAADAAMADgAAAABgokCASNFZ4mrze8AAAAAAAAAACQAJABEAAAABgBwFwAAAA9EAG8AbQBhAGkAbgACAAwARABvAG0AYQBpAG4AAQAMAFMAZQByAHYAZQByAAAAAAA="
	s.refuse = func(rw http.ResponseWriter, r *http.Request) {
		s.asked = s.asked[:len(s.asked)-1] // it is none
		_, in := signedIn.Load(r.RemoteAddr)
		switch auth := r.Header.Get("Authorization"); {
		case in && auth == "", strings.HasPrefix(auth, "NTLM TlRMTVNTUAADAAAA"): // the third message
			if !in {
				s.asked = append(s.asked, "signed in")
			}
			signedIn.Store(r.RemoteAddr, true)
			s.soap(rw, r)
		case strings.HasPrefix(auth, "NTLM TlRMTVNTUAABAAAA"):
			rw.Header().Set("WWW-Authenticate", "NTLM "+challenge)
			rw.WriteHeader(http.StatusUnauthorized)
		default:
			rw.Header().Set("WWW-Authenticate", "NTLM")
			rw.WriteHeader(http.StatusUnauthorized)
		}
	}
	// A connection of all is there already, and is not used.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := servers.Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	shared := s.last.RemoteAddr
	v := w.exchangeSource()
	v.UserName, v.Server.Authentication = `FABRIKAM\svc`, directory.SourceNTLM
	w.put(v)
	syncer := w.follow(servers)
	for range 2 {
		if got := w.update(syncer, v); got.Condition() != directory.SourceHealthy || got.State.Method != directory.MethodFindItem {
			t.Fatalf("%s: %s", got.Condition(), got.State.Text)
		}
		if d := cmp.Diff([]string{"signed in", "FindItem 31", "FindItem 31", "FindItem 30"}, s.asks()); d != "" {
			t.Errorf("asked (-want +got):\n%s", d)
		}
	}
	w.want("read", "a")
	if _, in := signedIn.Load(shared); in {
		t.Error("the account signed in on a connection that others have, too")
	}
}
