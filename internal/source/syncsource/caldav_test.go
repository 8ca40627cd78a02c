package syncsource_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/dial/caldavclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/source/sourcetest"
	"busybridge/internal/source/syncsource"
)

// A dav is a CalDAV server in memory, of one user with calendars below /kim/.
type dav struct {
	mu        sync.Mutex
	calendars map[string]*davCalendar // by name
	version   int
	asked     []string // "METHOD name"
	// What it does not do.
	noSync, noRead, noList, forgets bool
	answer                          http.HandlerFunc // instead of all that; nil: none
	busy                            string           // FREEBUSY lines
}

type davCalendar struct {
	transparent bool
	objects     map[string]davObject
	gone        map[string]int // when
}

// latest is the version of the last change.
func (c *davCalendar) latest() (n int) {
	for _, o := range c.objects {
		n = max(n, o.version)
	}
	for _, v := range c.gone {
		n = max(n, v)
	}
	return n
}

// titled is event with another subject.
func titled(uid, subject string, lines ...string) string {
	return sourcetest.Event(uid, append([]string{"SUMMARY:" + subject, "DTSTART:20260310T090000Z", "DTEND:20260310T100000Z"}, lines...)...)
}

type davObject struct {
	text    string
	version int
}

func newDav() *dav { return &dav{calendars: map[string]*davCalendar{}} }

// put changes objects, "calendar/name", and deletes those without a text.
func (d *dav) put(path string, components ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	calendar, name, _ := strings.Cut(path, "/")
	c := d.calendars[calendar]
	if c == nil {
		c = &davCalendar{objects: map[string]davObject{}, gone: map[string]int{}}
		d.calendars[calendar] = c
	}
	d.version++
	if len(components) == 0 {
		delete(c.objects, name)
		c.gone[name] = d.version
		return
	}
	c.objects[name] = davObject{sourcetest.Calendar(components...), d.version}
}

func (d *dav) take() (asked []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked, d.asked = d.asked, nil
	return asked
}

var (
	tokenOf = regexp.MustCompile(`<sync-token>(\d*)</sync-token>`)
	hrefOf  = regexp.MustCompile(`<href>([^<]*)</href>`)
	rootOf  = regexp.MustCompile(`^<\?xml[^>]*>\s*<(?:C:)?([a-z-]+)`)
)

func (d *dav) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.answer != nil {
		d.answer(w, r)
		return
	}
	b, _ := io.ReadAll(r.Body)
	body := string(b)
	question := r.Method
	if m := rootOf.FindStringSubmatch(body); m != nil && r.Method == "REPORT" {
		question = m[1]
	}
	d.asked = append(d.asked, question+" "+r.URL.Path+" "+r.Header.Get("Depth"))
	name := strings.Trim(strings.TrimPrefix(r.URL.Path, "/kim/"), "/")
	c := d.calendars[name]
	var out strings.Builder
	one := func(href, props string) {
		fmt.Fprintf(&out, `<response><href>%s</href><propstat><prop>%s</prop><status>HTTP/1.1 200 OK</status></propstat></response>`, href, props)
	}
	gone := func(href string) {
		fmt.Fprintf(&out, `<response><href>%s</href><status>HTTP/1.1 404 Not Found</status></response>`, href)
	}
	data := func(o davObject) string {
		return fmt.Sprintf(`<getetag>"%d"</getetag><C:calendar-data>%s</C:calendar-data>`, o.version, strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(o.text))
	}
	describe := func(name string) {
		c := d.calendars[name]
		latest := c.latest()
		props := fmt.Sprintf(`<resourcetype><collection/><C:calendar/></resourcetype><S:getctag>c%d</S:getctag>`, latest)
		if !d.noSync {
			props += fmt.Sprintf(`<sync-token>%d</sync-token><supported-report-set><supported-report><report><sync-collection/></report></supported-report></supported-report-set>`, latest)
		}
		if c.transparent {
			props += `<C:schedule-calendar-transp><C:transparent/></C:schedule-calendar-transp>`
		}
		one("/kim/"+name+"/", props)
	}
	freebusy := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VFREEBUSY\r\n" + d.busy + "END:VFREEBUSY\r\nEND:VCALENDAR\r\n"
	switch {
	case question == "PROPFIND" && (r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/.well-known/")):
		one("/", `<resourcetype><collection/></resourcetype><current-user-principal><href>/principal/</href></current-user-principal>`)
	case question == "PROPFIND" && r.URL.Path == "/principal/":
		one("/principal/", `<C:calendar-home-set><href>/kim/</href></C:calendar-home-set><C:schedule-outbox-URL><href>/outbox/</href></C:schedule-outbox-URL>`+
			`<C:calendar-user-address-set><href>mailto:anna@contoso.com</href></C:calendar-user-address-set>`)
	case question == "PROPFIND" && name == "" && !d.noList:
		one("/kim/", `<resourcetype><collection/></resourcetype>`)
		if r.Header.Get("Depth") == "1" {
			for _, name := range slices.Sorted(maps.Keys(d.calendars)) {
				describe(name)
			}
		}
	case question == "POST" && r.URL.Path == "/outbox/":
		w.Header().Set("Content-Type", "application/xml")
		attendee := regexp.MustCompile(`ATTENDEE:(\S+)`).FindStringSubmatch(body)[1]
		fmt.Fprintf(w, `<C:schedule-response xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><C:response><C:recipient><href>%s</href></C:recipient><C:request-status>2.0;Success</C:request-status><C:calendar-data>%s</C:calendar-data></C:response></C:schedule-response>`, attendee, freebusy)
		return
	case c == nil || question == "PROPFIND" && d.noList:
		w.WriteHeader(http.StatusForbidden)
		return
	case question == "free-busy-query":
		w.Header().Set("Content-Type", "text/calendar")
		io.WriteString(w, freebusy)
		return
	case d.noRead && question != "PROPFIND" || d.noRead && r.Header.Get("Depth") == "1":
		w.WriteHeader(http.StatusForbidden)
		return
	case question == "PROPFIND" && r.Header.Get("Depth") == "0":
		describe(name)
	case question == "PROPFIND":
		for _, n := range slices.Sorted(maps.Keys(c.objects)) {
			one("/kim/"+name+"/"+n, fmt.Sprintf(`<getetag>"%d"</getetag>`, c.objects[n].version))
		}
	case question == "sync-collection" && !d.noSync:
		since := 0
		if m := tokenOf.FindStringSubmatch(body); m[1] != "" {
			if fmt.Sscan(m[1], &since); d.forgets {
				w.WriteHeader(http.StatusForbidden)
				return
			}
		}
		for _, n := range slices.Sorted(maps.Keys(c.objects)) {
			if o := c.objects[n]; o.version > since {
				one("/kim/"+name+"/"+n, fmt.Sprintf(`<getetag>"%d"</getetag>`, o.version))
			}
		}
		for n, v := range c.gone {
			if _, again := c.objects[n]; v > since && since > 0 && !again {
				gone("/kim/" + name + "/" + n)
			}
		}
		fmt.Fprintf(&out, "<sync-token>%d</sync-token>", c.latest())
	case question == "calendar-multiget":
		for _, m := range hrefOf.FindAllStringSubmatch(body, -1) {
			if o, ok := c.objects[m[1][strings.LastIndexByte(m[1], '/')+1:]]; ok {
				one(m[1], data(o))
			} else {
				gone(m[1])
			}
		}
	case question == "calendar-query":
		for _, n := range slices.Sorted(maps.Keys(c.objects)) {
			one("/kim/"+name+"/"+n, data(c.objects[n]))
		}
	default:
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	w.WriteHeader(http.StatusMultiStatus)
	fmt.Fprintf(w, `<?xml version="1.0"?><multistatus xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:S="http://calendarserver.org/ns/">%s</multistatus>`, &out)
}

// newDavWorld is a world whose sources are at d.
func newDavWorld(t testing.TB, d *dav, zone string) *world {
	t.Helper()
	w := newWorld(t, zone)
	s := httptest.NewTLSServer(d)
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	dial := safehttp.Config{Roots: roots, ConnectTo: map[string]string{"example.com:443": s.Listener.Addr().String()}}
	rt, err := safehttp.Transport(dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.CloseIdleConnections)
	clock := func() time.Time { return time.Unix(0, w.now.Load()).UTC() }
	client, err := caldavclient.New(caldavclient.Config{Transport: rt, Dial: dial, Now: clock, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w.Syncer = w.syncer(nil, func(c *syncsource.Config) {
		c.Followers = map[string]syncsource.Follower{directory.SourceCalDAV: syncsource.CalDAV{Client: client, Now: clock}}
	})
	return w
}

func (w *world) addDav(url, method string) *directory.CalendarSource {
	w.Helper()
	v := w.source("dav", url)
	v.Kind, v.Method, v.UserName, v.Password = directory.SourceCalDAV, method, "kim", directory.Secret("app-password")
	return w.put(v)
}

// asked asks now, and says what that took.
func (w *world) askedOf(d *dav) []string {
	w.Helper()
	w.wait(330 * time.Second)
	w.Pass(w.Context())
	return d.take()
}

func TestCalDAVConformance(t *testing.T) {
	for _, method := range []string{"", directory.MethodFullRead} {
		if method != "" && raceEnabled {
			continue // it takes long, and is as the other
		}
		t.Run(method, func(t *testing.T) {
			sourcetest.Run(t, sourcetest.Family{New: func(t testing.TB, zone, text string) (sourcetest.Source, *directory.Recipient) {
				d := newDav()
				w := newDavWorld(t, d, zone)
				// As a program would put it: an object for each UID.
				d.put("work/none.ics", "BEGIN:VTODO\nUID:todo\nEND:VTODO\n")
				for i, o := range split(text) {
					d.put(fmt.Sprintf("work/%d.ics", i), o)
				}
				v := w.addDav("https://example.com/kim/work/", method)
				w.Pass(t.Context())
				if got := w.is(v); got.State.Failure != "" {
					t.Fatalf("%s: %s", got.State.Failure, got.State.Text)
				}
				return w.cal, w.mailbox
			}})
		})
	}
}

// split takes a text of sourcetest apart: the components of each UID, in order.
func split(text string) (list []string) {
	byUID := map[string]int{}
	var uid string
	var lines []string
	depth := 0
	for line := range strings.Lines(strings.ReplaceAll(text, "\r\n", "\n")) {
		switch {
		case strings.HasPrefix(line, "BEGIN:VCALENDAR"), strings.HasPrefix(line, "END:VCALENDAR"), depth == 0 && !strings.HasPrefix(line, "BEGIN:"):
			continue
		case strings.HasPrefix(line, "BEGIN:"):
			depth++
		case strings.HasPrefix(line, "END:"):
			depth--
		case strings.HasPrefix(line, "UID:"):
			uid = line
		}
		if lines = append(lines, line); depth > 0 {
			continue
		}
		i, ok := byUID[uid]
		if !ok {
			i = len(list)
			byUID[uid], list = i, append(list, "")
		}
		list[i] += strings.Join(lines, "")
		lines = nil
	}
	return list
}

// Each method makes the same copy, and follows it.
func TestCalDAVMethods(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method string
		change func(*dav)
		url    string
		uses   string
		fresh  []string // what an attempt asks when nothing changed
	}{
		{"sync-collection, found from the host", "", func(*dav) {}, "https://example.com", directory.MethodSyncCollection, []string{"PROPFIND /kim/ 1"}},
		{"sync-collection, from the home", "", func(*dav) {}, "https://example.com/kim/", directory.MethodSyncCollection, []string{"PROPFIND /kim/ 1"}},
		{"sync-collection, of one calendar", "", func(*dav) {}, "https://example.com/kim/work/", directory.MethodSyncCollection, []string{"PROPFIND /kim/work/ 0"}},
		{"sync-collection that forgets its tokens", "", func(d *dav) { d.forgets = true }, "https://example.com/kim/", directory.MethodSyncCollection, []string{"PROPFIND /kim/ 1"}},
		{"entity tags", "", func(d *dav) { d.noSync = true }, "https://example.com/kim/", directory.MethodEntityTags, []string{"PROPFIND /kim/ 1"}},
		{"entity tags, chosen", directory.MethodEntityTags, func(*dav) {}, "https://example.com/kim/work/", directory.MethodEntityTags, []string{"PROPFIND /kim/work/ 0"}},
		{"full read, chosen", directory.MethodFullRead, func(*dav) {}, "https://example.com/kim/work/", directory.MethodFullRead, []string{"PROPFIND /kim/work/ 0", "calendar-query /kim/work/ 1"}},
		{"expansion, chosen", directory.MethodCalendarQuery, func(*dav) {}, "https://example.com/kim/work/", directory.MethodCalendarQuery, []string{"PROPFIND /kim/work/ 0", "calendar-query /kim/work/ 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDav()
			tt.change(d)
			w := newDavWorld(t, d, "UTC")
			d.put("work/a.ics", event("a"))
			d.put("work/b%20c.ics", event("b"))
			d.put("work/x.ics", sourcetest.Event("x", "DTSTART:never"))
			v := w.addDav(tt.url, tt.method)
			w.Pass(t.Context())
			w.want("at first", "a", "b")
			got := w.is(v)
			if s := strings.Join(got.State.Methods(), ","); got.Condition() != directory.SourceHealthy && got.Condition() != directory.SourcePartial || s != tt.uses {
				t.Fatalf("%s by %s: %s", got.Condition(), s, got.State.Text)
			}
			d.take()
			if diff := cmp.Diff(tt.fresh, w.askedOf(d)); diff != "" {
				t.Errorf("when nothing changed (-want +got):\n%s", diff)
			}
			w.want("unchanged", "a", "b")
			d.put("work/a.ics")
			d.put("work/b%20c.ics", event("b", "LOCATION:changed"))
			d.put("work/c.ics", event("c"))
			d.put("work/x.ics", event("x"))
			w.askedOf(d)
			w.want("changed", "b", "c", "x")
			if got := w.is(v); got.Condition() != directory.SourceHealthy || got.State.Events != 3 {
				t.Errorf("then %s, %+v", got.Condition(), got.State)
			}
			for _, name := range []string{"b%20c.ics", "c.ics", "x.ics"} {
				d.put("work/" + name)
			}
			w.askedOf(d)
			w.want("all gone")
		})
	}
}

// All calendars of a home count, but those that do not.
func TestCalDAVHome(t *testing.T) {
	d := newDav()
	w := newDavWorld(t, d, "UTC")
	d.put("work/a.ics", event("a"))
	d.put("home/b.ics", event("b"))
	d.put("home/same.ics", titled("a", "other", "SEQUENCE:1")) // the same event in two calendars
	d.put("birthdays/c.ics", event("c"))
	d.calendars["birthdays"].transparent = true
	v := w.addDav("https://example.com", "")
	w.Pass(t.Context())
	w.want("at first", "b", "other")
	if got := w.is(v); got.State.Events != 3 || len(got.State.Calendars) != 2 || got.State.Home != "/kim/" {
		t.Errorf("%+v", got.State)
	}
	if got := w.Test(t.Context(), w.is(v)); got.Calendars != 2 || got.Events != 3 || got.Failure != "" || len(got.Methods) != 1 {
		t.Errorf("test: %+v", got)
	}
	d.take()
	d.put("home/same.ics")
	if diff := cmp.Diff([]string{"PROPFIND /kim/ 1", "sync-collection /kim/home/ 0"}, w.askedOf(d)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.want("gone in one", "a", "b")
	d.calendars["birthdays"].transparent = false
	delete(d.calendars, "home")
	w.askedOf(d)
	w.want("one calendar is gone, one counts", "a", "c")
	// The home moves: it is looked for again.
	d.noList = true
	w.askedOf(d)
	if got := w.is(v); got.State.Failure == "" {
		t.Errorf("without a list: %s", got.Condition())
	}
	w.want("without a list", "a", "c")
	d.noList = false
	w.wait(time.Hour)
	w.askedOf(d)
	if got := w.is(v); got.Condition() != directory.SourceHealthy {
		t.Errorf("afterwards: %s", got.Condition())
	}
	// A copy that somebody took away comes back, and all go with the source.
	folders, err := w.cal.Folders(t.Context(), w.mailbox)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if directory.IsSourceFolder(f.Name) {
			if err := w.cal.DeleteFolder(t.Context(), w.mailbox, f.Name); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	w.askedOf(d)
	w.want("deleted by hand", "a", "c")
	got := w.is(v)
	got.Removed = true
	w.put(got)
	w.Pass(t.Context())
	if folders, err = w.cal.Folders(t.Context(), w.mailbox); err != nil || len(folders) != 1 {
		t.Errorf("folders %+v, %v", folders, err)
	}
}

// Where nothing may be read, the busy times are copied, and the time around them is
// not known.
func TestCalDAVBusyTimes(t *testing.T) {
	for _, tt := range []struct {
		name, url, method, uses string
		change                  func(*dav)
	}{
		{"free-busy-query where objects may not be read", "https://example.com/kim/", "", directory.MethodFreeBusyQuery, func(d *dav) { d.noRead = true }},
		{"free-busy-query where nobody may look", "https://example.com/kim/work/", "", directory.MethodFreeBusyQuery, func(d *dav) { d.noList, d.noRead = true, true }},
		{"free-busy-query, chosen", "https://example.com/kim/work/", directory.MethodFreeBusyQuery, directory.MethodFreeBusyQuery, func(*dav) {}},
		{"outbox where there is no list", "https://example.com/", "", directory.MethodOutbox, func(d *dav) { d.noList = true }},
		{"outbox, chosen", "https://example.com/", directory.MethodOutbox, directory.MethodOutbox, func(*dav) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDav()
			d.put("work/a.ics", event("a"))
			d.busy = "FREEBUSY:20260310T090000Z/PT1H,20260310T120000Z/20260310T130000Z\r\nFREEBUSY;FBTYPE=FREE:20260310T140000Z/PT1H\r\nFREEBUSY;FBTYPE=BUSY-TENTATIVE:20260310T160000Z/PT1H\r\n"
			tt.change(d)
			w := newDavWorld(t, d, "UTC")
			v := w.addDav(tt.url, tt.method)
			w.Pass(t.Context())
			got := w.is(v)
			if s := strings.Join(got.State.Methods(), ","); got.Condition() != directory.SourceHealthy || s != tt.uses {
				t.Fatalf("%s by %s: %s", got.Condition(), s, got.State.Text)
			}
			start := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
			busy := func() (list []string) {
				iv, err := w.cal.Busy(t.Context(), w.org, w.mailbox, freebusy.Window{Start: start, End: start.AddDate(0, 0, 1)}, false)
				if err != nil {
					t.Fatal(err)
				}
				for _, i := range iv {
					list = append(list, i.Start.Format("15:04 ")+i.Status.String())
				}
				slices.Sort(list)
				return list
			}
			if diff := cmp.Diff([]string{"09:00 Busy", "12:00 Busy", "16:00 Tentative"}, busy()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			stats := w.cal.Stats().Parsed
			w.askedOf(d)
			if n := w.cal.Stats().Parsed - stats; n != 0 {
				t.Errorf("what did not change was parsed %d times", n)
			}
			d.busy = "FREEBUSY:20260310T090000Z/PT1H\r\n"
			w.askedOf(d)
			if diff := cmp.Diff([]string{"09:00 Busy"}, busy()); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
			start = start.AddDate(3, 0, 0)
			if diff := cmp.Diff(1, len(busy())); diff != "" { // without data
				t.Errorf("years ahead: %v", busy())
			}
		})
	}
}

// Each fault of a CalDAV server has its own state, leaves the copy, is tried again,
// and is over without a restart.
func TestFaultyCalDAV(t *testing.T) {
	code := func(n int, headers ...string) func(*dav) {
		return func(d *dav) {
			d.answer = func(w http.ResponseWriter, _ *http.Request) {
				for i := 0; i+1 < len(headers); i += 2 {
					w.Header().Set(headers[i], headers[i+1])
				}
				w.WriteHeader(n)
			}
		}
	}
	send := func(kind, body string) func(*dav) {
		return func(d *dav) {
			d.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				w.WriteHeader(http.StatusMultiStatus)
				io.WriteString(w, body)
			}
		}
	}
	const head = `<?xml version="1.0"?><multistatus xmlns="DAV:">`
	for _, tt := range []struct {
		name   string
		change func(*dav)
		want   string
		events []string // of the copy; nil: the old one
		least  time.Duration
	}{
		{"connection lost", func(d *dav) { d.answer = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) } }, "ConnectionFailed", nil, 0},
		{"401", code(401), "Unauthorized", nil, 0},
		{"403", code(403), "Forbidden", nil, 0},
		{"404", code(404), "NotFound", nil, 0},
		{"429 with Retry-After", code(429, "Retry-After", "5000"), "Throttled", nil, 5000 * time.Second},
		{"500", code(500), "ServerError", nil, 0},
		{"503 with Retry-After", code(503, "Retry-After", "4000"), "ServerError", nil, 4000 * time.Second},
		{"a trickle", func(d *dav) {
			d.answer = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/xml")
				w.WriteHeader(http.StatusMultiStatus)
				for r.Context().Err() == nil {
					io.WriteString(w, " ")
					w.(http.Flusher).Flush()
				}
			}
		}, "TimedOut", nil, 0},
		{"half an answer", send("text/xml", head+"<response><href>/kim/"), "Truncated", nil, 0},
		{"a page to sign in at", send("text/html", "<html></html>"), "WrongContentType", nil, 0},
		{"XML that is none", send("text/xml", head+"<response></multistatus>"), "WrongContent", nil, 0},
		{"another status", code(200), "UnexpectedStatus", nil, 0},
		{"200 MB", code(207, "Content-Length", fmt.Sprint(200<<20)), "TooLarge", nil, 0},
		{"redirect to loopback", code(302, "Location", "https://127.0.0.1/x"), "Redirect", nil, 0},
		{"redirect to http", code(302, "Location", "http://example.com/x"), "Redirect", nil, 0},
		{"no calendar any more", func(d *dav) { clear(d.calendars) }, "NotFound", nil, 0},
		{"too many events", func(d *dav) {
			for _, uid := range []string{"1", "2", "3"} {
				d.calendars["work"].objects[uid+".ics"] = davObject{sourcetest.Calendar(event(uid)), 99}
			}
		}, "TooManyEvents", nil, 0},
		{"too many calendars", func(d *dav) {
			for i := range directory.MaxSourceFolders + 1 {
				d.calendars[fmt.Sprint(i)] = &davCalendar{}
			}
		}, "TooManyCalendars", nil, 0},
		{"a time zone that does not exist", func(d *dav) {
			d.calendars["work"].objects["x.ics"] = davObject{sourcetest.Calendar(sourcetest.Event("x", "SUMMARY:x", "DTSTART;TZID=Middle/Earth:20260310T090000", "DTEND;TZID=Middle/Earth:20260310T100000")), 99}
		}, directory.SourcePartial, []string{"old", "x"}, 0},
		{"an object that cannot be read", func(d *dav) { d.calendars["work"].objects["x.ics"] = davObject{"what?", 99} }, directory.SourcePartial, []string{"old"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDav()
			w := newDavWorld(t, d, "UTC")
			d.put("work/old.ics", event("old"))
			v := w.addDav("https://example.com/kim/", "")
			v.MaxEvents = 2
			w.put(v)
			w.Pass(t.Context())
			w.want("at first", "old")
			d.mu.Lock()
			kept := maps.Clone(d.calendars)
			tt.change(d)
			d.mu.Unlock()
			began := time.Now()
			w.wait(330 * time.Second)
			w.Pass(t.Context())
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			got := w.is(v)
			if got.Condition() != tt.want {
				t.Errorf("got %s: %s, want %s", got.Condition(), got.State.Text, tt.want)
			}
			if tt.events == nil {
				tt.events = []string{"old"}
			}
			w.want("while it fails", tt.events...)
			after := got.State.NextAttempt.Sub(time.Unix(0, w.now.Load()))
			if after < max(tt.least, 30*time.Second) || after > max(tt.least, 6*time.Minute) {
				t.Errorf("next attempt after %v", after)
			}
			d.mu.Lock()
			d.answer, d.calendars, d.version = nil, kept, 100
			kept["work"].objects = map[string]davObject{"good.ics": {sourcetest.Calendar(event("good")), 100}}
			kept["work"].gone = map[string]int{"old.ics": 100, "x.ics": 100, "1.ics": 100, "2.ics": 100, "3.ics": 100}
			d.mu.Unlock()
			w.wait(after)
			w.Pass(t.Context())
			w.want("recovered", "good")
			if got := w.is(v); got.Condition() != directory.SourceHealthy {
				t.Errorf("recovered: %s %s", got.Condition(), got.State.Text)
			}
		})
	}
}

// One calendar that fails leaves its copy, and others are followed.
func TestCalDAVOneFails(t *testing.T) {
	d := newDav()
	w := newDavWorld(t, d, "UTC")
	d.put("a/1.ics", event("a"))
	d.put("b/1.ics", event("b"))
	v := w.addDav("https://example.com/kim/", directory.MethodSyncCollection)
	w.Pass(t.Context())
	w.want("at first", "a", "b")
	d.put("a/1.ics", titled("a", "a2"))
	d.put("b/1.ics", titled("b", "b2"))
	d.answer = func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/kim/a/" {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		(&dav{calendars: d.calendars, version: d.version}).ServeHTTP(rw, r)
	}
	w.askedOf(d)
	w.want("one fails", "a", "b2")
	if got := w.is(v); got.Condition() != "Forbidden" || !strings.HasPrefix(got.State.Text, "1 of 2 calendars") || got.State.Events != 2 {
		t.Errorf("%s: %s, %+v", got.Condition(), got.State.Text, got.State)
	}
	d.answer = nil
	w.wait(time.Hour)
	w.askedOf(d)
	w.want("afterwards", "a2", "b2")
}

// The address may be made of the mailbox's, and is then never the reader's own.
func TestCalDAVTemplate(t *testing.T) {
	d := newDav()
	w := newDavWorld(t, d, "UTC")
	d.put("anna/a.ics", event("a"))
	v := w.addDav("https://example.com/kim/{localpart}/", "")
	w.Pass(t.Context())
	w.want("by a template", "a")
	if got := w.is(v); got.Condition() != directory.SourceHealthy {
		t.Errorf("%s: %s", got.Condition(), got.State.Text)
	}
	other := w.is(v)
	other.URL = "https://example.com/{domain}/"
	if got := w.Test(t.Context(), other); got.Failure == "" || got.Events > 0 {
		t.Errorf("nothing is there: %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := w.Test(ctx, w.is(v)); got.Failure == "" {
		t.Errorf("cancelled: %+v", got)
	}
}
