package app_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"busybridge/clients/caldav"
	"busybridge/internal/admin"
	"busybridge/internal/app"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
	"busybridge/internal/store/sqlitestore"
)

// A busyCase is what a file of the corpus says about a window.
type busyCase struct {
	File         string
	Window       [2]time.Time
	FloatingZone string `json:"floating_zone"`
	Busy         [][2]time.Time
	Status       map[string][][2]time.Time
}

// corpusCases are the busy times on which two other programs agree, and the folder
// of the files.
func corpusCases(t *testing.T) (dir string, list []busyCase) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	dir = filepath.Join(dir, "..", "shared", "corpus")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the corpus is not beside the repository")
	}
	for _, pattern := range []string{"expected/busy-*.json", "copyleft/expected/busy-*.json"} {
		names, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var more []busyCase
			if err := json.Unmarshal(b, &more); err != nil {
				t.Fatal(err)
			}
			list = append(list, more...)
		}
	}
	return dir, list
}

// objectsOf are the objects of a file as a program would put them: one for each UID.
func objectsOf(t *testing.T, data []byte) (list [][]byte) {
	t.Helper()
	cal, _, err := ical.Parse(data, ical.Limits{})
	if err != nil {
		return nil
	}
	groups := ical.Groups(cal)
	if len(groups) == 1 && len(cal.Components) == 1 && !slices.ContainsFunc(cal.Components[0].Components, func(c *ical.Component) bool { return c.Name != "VEVENT" && c.Name != "VTIMEZONE" }) {
		return [][]byte{data}
	}
	for i := range groups {
		list = append(list, groups[i].Text())
	}
	return list
}

// An upstream is a CalDAV server of others, behind TLS.
type upstream struct {
	*caldav.Server
	host string
	dial safehttp.Config
}

// startUpstream starts a server, or skips.
func startUpstream(t *testing.T, name string) *upstream {
	t.Helper()
	if err := caldav.Available(name); err != nil {
		t.Skip(err)
	}
	s, err := caldav.Start(t.Context(), name, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: s.Address})
			r.Out.Host = r.In.Host
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	front := httptest.NewUnstartedServer(proxy)
	front.Config.ErrorLog = proxy.ErrorLog
	front.StartTLS()
	t.Cleanup(front.Close)
	u := &upstream{Server: s, host: "caldav.example.com"}
	roots := x509.NewCertPool()
	roots.AddCert(front.Certificate())
	u.dial = safehttp.Config{Roots: roots, ConnectTo: map[string]string{u.host + ":443": front.Listener.Addr().String()}}
	return u
}

// A follower is a node that follows sources when it is told to.
type follower struct {
	answers
	tick  chan time.Time
	ended chan error
}

func newFollower(t *testing.T, dial safehttp.Config) *follower {
	t.Helper()
	f := &follower{tick: make(chan time.Time), ended: make(chan error, 1)}
	var err error
	f.Deployment, err = app.Open(t.Context(), app.Settings{
		StorePath: filepath.Join(t.TempDir(), "a.db"), SealKey: make([]byte, 32), Roles: []string{app.RoleOrganization}, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Dial: dial,
		Ticks: func(every time.Duration) (<-chan time.Time, func()) {
			if every == time.Second {
				return f.tick, func() {}
			}
			return make(chan time.Time), func() {}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Deployment.Close() })
	o, err := f.Admin.NewOrganization(t.Context(), operator, admin.OrganizationParams{Name: "Contoso", Domain: contoso})
	if err != nil {
		t.Fatal(err)
	}
	f.org = o.Object.ID
	address := "https://" + mailHost + "/ews/exchange.asmx"
	if _, err := f.Admin.NewServer(t.Context(), operator, f.org, directory.Server{Common: directory.Common{Name: "SERVER"}, HostNames: []string{mailHost},
		AdminDisplayVersion: directory.OAuthVersion, InternalURL: address, ExternalURL: address, OAuthAuthentication: true, BasicAuthentication: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Admin.NewMailbox(t.Context(), operator, f.org, admin.MailboxParams{Name: "asker", Primary: asker, Password: askerPassword, TimeZone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		f.ended <- app.RunAll(ctx, []*app.Deployment{f.Deployment}, func(ctx context.Context) error { <-ctx.Done(); return nil })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-f.ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

// follow adds mailboxes with a source each, and waits until all were asked.
func (f *follower) follow(t *testing.T, mailboxes []*directory.Recipient, sources []*directory.CalendarSource) {
	t.Helper()
	if err := f.Store.Change(t.Context(), func(tx *sqlitestore.Tx) error {
		for i, m := range mailboxes {
			if err := tx.CreateRecipient(t.Context(), m); err != nil {
				return err
			}
			v := sources[i]
			v.Org, v.Mailbox, v.ID, v.Name, v.Enabled = f.org, m.ID, uuid.NewString(), "upstream", true
			v.Refresh, v.MaxBytes, v.MaxEvents = directory.DefaultSourceRefresh, directory.DefaultSourceBytes, directory.DefaultSourceEvents
			if err := tx.PutCalendarSource(t.Context(), v); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for {
		list, err := f.Store.AllCalendarSources(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pending := 0
		for _, v := range list {
			if v.Condition() == directory.SourcePending {
				pending++
			}
		}
		if pending == 0 {
			return
		}
		for range 16 {
			select {
			case f.tick <- time.Time{}:
			case err := <-f.ended:
				t.Fatal(err)
			case <-t.Context().Done():
				t.Fatal("sources are not followed: ", pending, " are pending")
			}
		}
	}
}

func (f *follower) mailbox(address, zone string) *directory.Recipient {
	a := smtpaddr.Must(address)
	return &directory.Recipient{
		Org: f.org, Type: directory.UserMailbox, DisplayName: a.Local(), Alias: a.Local(), Primary: a, UPN: address, Enabled: true, Calendar: directory.DefaultCalendar(zone),
		Permissions: []directory.Permission{{User: "Default", Level: freebusy.LevelTime}, {User: "Anonymous", Level: freebusy.LevelNone}},
	}
}

// busy asks by Exchange Web Services, in as many questions as the window needs.
func (f *follower) busy(t *testing.T, address string, window [2]time.Time) map[string][][2]time.Time {
	t.Helper()
	out := map[string][][2]time.Time{}
	const most = 62 * 24 * time.Hour
	for from := window[0]; from.Before(window[1]); {
		to := window[1]
		if to.Sub(from) > most {
			to = from.Add(most)
		}
		events, code := f.ask(t, address, from, to)
		for code == "ErrorResultSetTooBig" && to.Sub(from) > time.Hour {
			to = from.Add(to.Sub(from) / 4)
			events, code = f.ask(t, address, from, to)
		}
		if code != "NoError" {
			t.Errorf("%s: %s", address, code)
		}
		for _, e := range events {
			if e.BusyType == "Free" {
				continue
			}
			start, end := e.Start, e.End
			if start.Before(from) {
				start = from
			}
			if end.After(to) {
				end = to
			}
			out[e.BusyType] = append(out[e.BusyType], [2]time.Time{start, end})
		}
		from = to
	}
	for status, list := range out {
		slices.SortFunc(list, func(a, b [2]time.Time) int { return a[0].Compare(b[0]) })
		joined := list[:0]
		for _, v := range list {
			if n := len(joined); n > 0 && !v[0].After(joined[n-1][1]) {
				if v[1].After(joined[n-1][1]) {
					joined[n-1][1] = v[1]
				}
				continue
			}
			joined = append(joined, v)
		}
		out[status] = joined
	}
	return out
}

// ask is one question.
func (f *follower) ask(t *testing.T, address string, from, to time.Time) (events []ews.CalendarEvent, code string) {
	t.Helper()
	req := &ews.AvailabilityRequest{Header: ews.Header{Version: "Exchange2013"}, Zone: &wintz.UTCRule, FreeBusy: &ews.FreeBusyOptions{
		Start: ews.DateTime{Time: from, Local: true}, End: ews.DateTime{Time: to, Local: true}, IntervalMinutes: 30, Views: []string{"FreeBusy"}}}
	req.Mailboxes = append(req.Mailboxes, ews.MailboxData{Address: address, AttendeeType: "Required"})
	rec := f.do(t, asker, http.MethodPost, "/ews/exchange.asmx", "text/xml", string(ews.AppendGetUserAvailabilityRequest(nil, req)))
	env, err := soap.Read(rec.Body, 4<<20)
	if err != nil {
		t.Fatal(rec.Code, err)
	}
	resp, err := ews.ParseGetUserAvailabilityResponse(env, &wintz.UTCRule)
	if err != nil || len(resp.FreeBusy) != 1 {
		t.Fatal(rec.Code, err)
	}
	return resp.FreeBusy[0].Events, resp.FreeBusy[0].Message.Code
}

// differences are the files of the corpus of which a server does not give back what
// it took, or gives it back other than it was, and why.
var differences = map[string]map[string]string{
	caldav.Radicale: {
		"basic/icalnet-Parameter1.ics": "the server writes a DTSTART of two VALUE parameters, that has a time, as a date",
		"hostile/tzid-case.ics":        "the server gives TZIDs that are no names another spelling, which is one",
	},
	caldav.Xandikos: {},
	caldav.Cyrus:    {},
}

// maxObjects bounds the files by their objects, so that the test ends soon: bigger
// ones are among those of calstore's.
const maxObjects = 30

// everyFile in the environment gives each server all files, and not its share of them
// and those that differ: that takes a minute of two processors.
const everyFile = "BUSYBRIDGE_CALDAV_EVERY_FILE"

// share is the nth part of the files, and some that are always among them.
func share(all []busyCase, n, parts int, always map[string]string) (list []busyCase) {
	files := map[string]int{}
	for _, c := range all {
		if _, known := files[c.File]; !known {
			files[c.File] = len(files)
		}
		if files[c.File]%parts == n || always[c.File] != "" {
			list = append(list, c)
		}
	}
	return list
}

var uidLine = regexp.MustCompile(`(?m)^UID:`)

// The busy times that EWS answers for mailboxes whose calendars are at CalDAV servers
// of others are those on which two other programs agree.
func TestCalDAVServers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers and fills them")
	}
	dir, all := corpusCases(t)
	for n, name := range caldav.Names {
		cases := all
		if os.Getenv(everyFile) == "" {
			cases = share(all, n, len(caldav.Names), differences[name])
		}
		t.Run(name, func(t *testing.T) {
			u := startUpstream(t, name)
			began := time.Now()
			var mu sync.Mutex
			refused, big := map[string]error{}, map[string]bool{}
			calendars := map[string]string{} // by file
			var g errgroup.Group
			g.SetLimit(4)
			puts := 0
			for _, c := range cases {
				if calendars[c.File] != "" || big[c.File] {
					continue
				}
				data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(c.File)))
				if err != nil {
					t.Fatal(err)
				}
				calendar := fmt.Sprint("c", len(calendars))
				if name == caldav.Cyrus { // which wants a UID to be in one calendar of a user only
					data = uidLine.ReplaceAll(data, []byte("UID:"+calendar+"-"))
				}
				objects := objectsOf(t, data)
				if len(objects) > maxObjects {
					big[c.File] = true
					continue
				}
				calendars[c.File] = calendar
				puts += len(objects)
				g.Go(func() error {
					err := u.MakeCalendar(t.Context(), calendar)
					if err != nil {
						return err
					}
					for i, o := range objects {
						if err := u.Put(t.Context(), calendar, fmt.Sprint(i, ".ics"), o); err != nil {
							mu.Lock()
							refused[c.File] = err
							mu.Unlock()
							return nil //nolint:nilerr // it is told
						}
					}
					return nil
				})
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s %s: %d files, %d objects put in %v; %d refused, %d too big", name, u.Version, len(calendars), puts, time.Since(began).Round(time.Millisecond), len(refused), len(big))
			began = time.Now()
			f := newFollower(t, u.dial)
			var mailboxes []*directory.Recipient
			var sources []*directory.CalendarSource
			address := map[[2]string]string{}
			for _, c := range cases {
				key := [2]string{c.File, c.FloatingZone}
				if address[key] != "" || calendars[c.File] == "" || refused[c.File] != nil {
					continue
				}
				address[key] = fmt.Sprintf("user%d@%s", len(address), contoso)
				mailboxes = append(mailboxes, f.mailbox(address[key], c.FloatingZone))
				sources = append(sources, &directory.CalendarSource{Kind: directory.SourceCalDAV, URL: directory.SecretURL("https://" + u.host + u.Home + calendars[c.File] + "/"), UserName: caldav.User, Password: directory.Secret(caldav.Password)})
			}
			f.follow(t, mailboxes, sources)
			t.Logf("%d sources followed in %v", len(sources), time.Since(began).Round(time.Millisecond))
			conditions := map[string]int{}
			for i, v := range sources {
				is, err := f.Store.CalendarSource(t.Context(), f.org, v.ID)
				if err != nil {
					t.Fatal(err)
				}
				conditions[fmt.Sprint(is.Condition(), is.State.Methods())]++
				if is.State.Failure != "" {
					t.Errorf("%s: %s %s", mailboxes[i].Primary, is.State.Failure, is.State.Text)
				}
			}
			t.Log(conditions)
			began = time.Now()
			questions := 0
			other := map[string]bool{}
			for _, c := range cases {
				a := address[[2]string{c.File, c.FloatingZone}]
				if a == "" {
					continue
				}
				questions++
				want := c.Status
				if want == nil {
					want = map[string][][2]time.Time{"Busy": c.Busy}
				}
				d := cmp.Diff(want, f.busy(t, a, c.Window), cmpopts.EquateEmpty(), cmpopts.IgnoreMapEntries(func(_ string, v [][2]time.Time) bool { return len(v) == 0 }))
				if d == "" {
					continue
				}
				if other[c.File] = true; differences[name][c.File] == "" {
					t.Errorf("%s %s, %v (-want +got):\n%s", c.File, c.FloatingZone, c.Window, d)
				}
			}
			for file, why := range differences[name] {
				if !other[file] {
					t.Errorf("%s differs no longer: it was that %s", file, why)
				}
			}
			t.Logf("%d questions asked in %v, %d files differ", questions, time.Since(began).Round(time.Millisecond), len(other))
			for _, file := range slices.Sorted(maps.Keys(refused)) {
				t.Logf("refused: %s: %.200v", file, refused[file])
			}
		})
	}
}
