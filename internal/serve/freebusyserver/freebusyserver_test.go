package freebusyserver_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/freebusyserver"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const host = "mail.contoso.com"

var (
	start = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	ana   = &directory.Recipient{ID: "ana", Primary: smtpaddr.Must("ana@contoso.com")}
	site  = func() callers.Site {
		server := &directory.Server{OAuthAuthentication: true, EWSApplications: directory.EWSDedicatedApplications}
		return callers.Site{Org: &directory.Organization{ID: "o", AcceptedDomains: []directory.AcceptedDomain{{DomainName: "contoso.com"}}}, Server: server, Host: host}
	}()
)

type auth struct{}

func (auth) Authenticate(r *http.Request) (*callers.Caller, error) {
	switch r.Header.Get("Authorization") {
	case "ana":
		return &callers.Caller{Site: site, Org: site.Org, Account: &directory.Account{UserName: "ana"}, Recipient: ana}, nil
	case "partner":
		return &callers.Caller{Site: site, Org: site.Org, ApplicationID: "app", Partner: &trust.Caller{ApplicationID: "app"}}, nil
	case "shared":
		return &callers.Caller{Site: site, Org: site.Org, ApplicationID: directory.ExchangeAppID, Partner: &trust.Caller{ApplicationID: directory.ExchangeAppID}}, nil
	case "wrong":
		return nil, callers.ErrBadCredentials
	}
	return nil, callers.ErrNoCredentials // also for a scheme that is not offered
}

func (auth) Challenge(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("WWW-Authenticate", "Basic")
	w.WriteHeader(http.StatusUnauthorized)
}

func (auth) Anonymous(r *http.Request, org directory.OrgID) error {
	if org != site.Org.ID || r.Header.Get("X-Hurry") != "" {
		return errTurn
	}
	return nil
}

var errTurn = &mount.BusyError{Wait: time.Minute}

func (auth) Site(r *http.Request) (*callers.SiteSet, error) {
	if r.Host != host {
		return nil, directory.ErrNotFound
	}
	return callers.NewSiteSet(host, []callers.Site{site}), nil
}

// engine answers by the local part of the address.
type engine struct{ last *availability.Question }

func (e *engine) Ask(_ context.Context, q *availability.Question) ([]availability.Answer, error) {
	e.last = q
	fail := func(r routing.Reason, code string) ([]availability.Answer, error) {
		return []availability.Answer{{Reply: routing.Reply{Err: &routing.MailboxError{Reason: r, Code: code, Text: "because of " + string(r)}}}}, nil
	}
	ok := func(r routing.Reply) ([]availability.Answer, error) { return []availability.Answer{{Reply: r}}, nil }
	switch q.Attendees[0].Address.Local() {
	case "ana":
		iv := func(from, until int, s freebusy.Status) freebusy.Interval {
			return freebusy.Interval{Start: start.Add(time.Duration(from) * time.Minute), End: start.Add(time.Duration(until) * time.Minute), Status: s,
				Detail: &freebusy.Detail{Subject: "secret"}}
		}
		return ok(routing.Reply{View: freebusy.ViewFreeBusyMerged, Events: []freebusy.Interval{
			iv(-60, 30, freebusy.Busy),                                    // begins before the window
			iv(540, 660, freebusy.Tentative), iv(570, 600, freebusy.Busy), // one within another
			iv(660, 690, freebusy.Tentative),                                     // touches the one before
			iv(700, 720, freebusy.Free), iv(700, 720, freebusy.WorkingElsewhere), // nothing to see
			iv(720, 780, freebusy.OOF), iv(750, 800, freebusy.Busy), iv(800, 810, freebusy.NoData),
		}})
	case "team":
		return ok(routing.Reply{View: freebusy.ViewMergedOnly, Merged: "0012204433"})
	case "free":
		return ok(routing.Reply{View: freebusy.ViewFreeBusyMerged})
	case "hidden":
		return fail(routing.NoAccess, "")
	case "far":
		return fail(routing.Remote, "ErrorNoFreeBusyAccess")
	case "farther":
		return fail(routing.Remote, "ErrorServerBusy")
	case "slow":
		return fail(routing.TimedOut, "")
	case "many":
		return fail(routing.TooManyEvents, "")
	case "broken":
		return ok(routing.Reply{Err: errors.New("disk is on fire")})
	case "out":
		return nil, errors.New("disk is on fire")
	}
	return fail(routing.RecipientNotFound, "")
}

type fixture struct {
	http.Handler
	engine engine
	now    time.Time
	log    strings.Builder
}

func newServer(t testing.TB) *fixture {
	f := &fixture{now: start.Add(9 * time.Hour)}
	log := slog.New(slog.NewTextHandler(&f.log, nil))
	s, err := freebusyserver.New(freebusyserver.Config{Engine: &f.engine, Auth: auth{}, Now: func() time.Time { return f.now }, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	f.Handler = mount.New(mount.Config{Routes: s.Routes(), Log: log, Now: func() time.Time { return f.now }})
	return f
}

func (f *fixture) get(method, path, caller string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://"+host+path, nil)
	if caller != "" {
		r.Header.Set("Authorization", caller)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

func TestGolden(t *testing.T) {
	for name, path := range map[string]string{"mailbox": "/freebusy/ana@contoso.com.ifb?start=2026-11-23T00:00:00Z&period=P1D", "merged": "/freebusy/Team@Contoso.com"} {
		t.Run(name, func(t *testing.T) {
			w := newServer(t).get("GET", path, "ana")
			var b strings.Builder
			fmt.Fprintf(&b, "HTTP %d\n", w.Code)
			for _, h := range []string{"Content-Type", "Cache-Control", "ETag", "Vary"} {
				fmt.Fprintf(&b, "%s: %s\n", h, w.Header().Get(h))
			}
			b.WriteString("\n" + strings.ReplaceAll(w.Body.String(), "\r\n", "\n"))
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			list, problems, err := ical.ParseFreeBusy(w.Body.Bytes(), ical.Limits{})
			if err != nil || len(problems) > 0 || len(list) != 1 {
				t.Fatal(list, problems, err)
			}
			for i, p := range list[0].Periods {
				if i > 0 && p.Start.Before(list[0].Periods[i-1].End) {
					t.Errorf("%v overlaps the one before", p)
				}
			}
		})
	}
}

func TestWhoMaySeeWhat(t *testing.T) {
	for _, tt := range []struct {
		name, caller, path string
		status             int
	}{
		{"a user", "ana", "/freebusy/ana@contoso.com.ifb", 200},
		{"other endings", "ana", "/freebusy/ana@contoso.com.vfb", 200},
		{"letter case", "ana", "/FreeBusy/Ana@Contoso.com.IFB", 200},
		{"a user asks for elsewhere", "ana", "/freebusy/nobody@fabrikam.com", 404},
		{"a user learns who exists", "ana", "/freebusy/nobody@contoso.com", 404},
		{"and who shares nothing", "ana", "/freebusy/hidden@contoso.com", 403},
		{"no address", "ana", "/freebusy/ana", 404},
		{"refused elsewhere", "ana", "/freebusy/far@fabrikam.com", 403},
		{"busy elsewhere", "ana", "/freebusy/farther@fabrikam.com", 502},
		{"slow elsewhere", "ana", "/freebusy/slow@fabrikam.com", 504},
		{"too much", "ana", "/freebusy/many@contoso.com", 400},
		{"a partner", "partner", "/freebusy/ana@contoso.com", 200},
		{"an application that is refused EWS", "shared", "/freebusy/ana@contoso.com", 403},
		{"wrong password", "wrong", "/freebusy/ana@contoso.com", 401},
		{"a scheme that is not offered", "Negotiate x", "/freebusy/ana@contoso.com", 401},
		{"broken", "ana", "/freebusy/broken@contoso.com", 500},
		{"broken altogether", "ana", "/freebusy/out@contoso.com", 500},
		{"nobody, open to all", "", "/freebusy/ana@contoso.com.ifb", 200},
	} {
		f := newServer(t)
		w := f.get("GET", tt.path, tt.caller)
		if w.Code != tt.status {
			t.Errorf("%s: status %d, want %d: %s", tt.name, w.Code, tt.status, w.Body)
		}
		if strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "on fire") {
			t.Errorf("%s: told %s", tt.name, w.Body)
		}
		if tt.status == 500 && !strings.Contains(f.log.String(), "on fire") {
			t.Errorf("%s: the cause is not in the log", tt.name)
		}
		if anonymous := f.engine.last != nil && f.engine.last.Caller.Anonymous; anonymous != (tt.caller == "") {
			t.Errorf("%s: asked as %+v", tt.name, f.engine.last.Caller)
		}
	}
}

// Whatever is not open to all looks the same to nobody.
func TestNobodyLearnsWhoExists(t *testing.T) {
	f := newServer(t)
	var first string
	for _, path := range []string{"hidden@contoso.com", "nobody@contoso.com", "broken@contoso.com", "many@contoso.com", "far@contoso.com", "nobody@fabrikam.com", "noaddress", "a@b.ifb"} {
		w := f.get("GET", "/freebusy/"+path, "")
		w.Header().Del("request-id")
		got := fmt.Sprint(w.Code, w.Header(), w.Body)
		if first == "" {
			first = got
		}
		if got != first || w.Code != 401 {
			t.Errorf("%s: %s\nwant %s", path, got, first)
		}
	}
	r := httptest.NewRequest("GET", "https://other.contoso.com/freebusy/ana@contoso.com", nil)
	w := httptest.NewRecorder()
	if f.ServeHTTP(w, r); w.Code != 401 {
		t.Errorf("another host: %d", w.Code)
	}
}

func TestWindow(t *testing.T) {
	day := 24 * time.Hour
	for _, tt := range []struct {
		query       string
		from, until time.Time // zero: refused
	}{
		{"", start, start.Add(62 * day)},
		{"start=2026-12-01T08:00:00Z", start.Add(8*day + 8*time.Hour), start.Add(70*day + 8*time.Hour)},
		{"start=2026-12-01T09:00:00%2B01:00&period=PT90M", start.Add(8*day + 8*time.Hour), start.Add(8*day + 9*time.Hour + 30*time.Minute)},
		{"start=2026-12-01T09:00:00+01:00&end=20261201T090000Z", start.Add(8*day + 8*time.Hour), start.Add(8*day + 9*time.Hour)},
		{"end=2026-11-24T00:00:00Z", start, start.Add(day)},
		{"period=P1W", start, start.Add(7 * day)},
		{"period=P99Y", time.Time{}, time.Time{}},
		{"period=P10000D", start, start.Add(62 * day)},
		{"end=2030-01-01T00:00:00Z", start, start.Add(62 * day)},
		{"start=1990-01-01T00:00:00Z&period=P1D&other=1&other=2", time.Time{}, time.Time{}},
		{"start=2026-12-01", time.Time{}, time.Time{}},
		{"start=tomorrow", time.Time{}, time.Time{}},
		{"end=2026-11-22T00:00:00Z", time.Time{}, time.Time{}},
		{"period=-P1D", time.Time{}, time.Time{}},
		{"period=PT0S", time.Time{}, time.Time{}},
		{"period=P1D&end=2026-12-01T08:00:00Z", time.Time{}, time.Time{}},
		{"start=9999-12-31T23:00:00-23:00", time.Time{}, time.Time{}},
		{"end=x&end=y", time.Time{}, time.Time{}},
	} {
		f := newServer(t)
		w := f.get("GET", "/freebusy/free@contoso.com?"+tt.query, "ana")
		if tt.from.IsZero() {
			if w.Code != 400 {
				t.Errorf("%s: status %d, want 400", tt.query, w.Code)
			}
			continue
		}
		list, _, err := ical.ParseFreeBusy(w.Body.Bytes(), ical.Limits{})
		if err != nil || len(list) != 1 || !list[0].Start.Equal(tt.from) || !list[0].End.Equal(tt.until) {
			t.Errorf("%s: %v, %v; want %v to %v", tt.query, list, err, tt.from, tt.until)
		}
		if q := f.engine.last.Window; !q.Start.Equal(tt.from) || !q.End.Equal(tt.until) {
			t.Errorf("%s: asked for %v", tt.query, q)
		}
	}
}

func TestConditionalAndHead(t *testing.T) {
	f := newServer(t)
	const path = "/freebusy/ana@contoso.com.ifb"
	first := f.get("GET", path, "ana")
	tag := first.Header().Get("ETag")
	f.now = f.now.Add(time.Minute) // DTSTAMP is another one
	if w := f.get("GET", path, "ana"); w.Header().Get("ETag") != tag || w.Body.String() == first.Body.String() {
		t.Errorf("a minute later the tag is %s, was %s", w.Header().Get("ETag"), tag)
	}
	for _, value := range []string{tag, strings.TrimPrefix(tag, "W/"), `"other", ` + tag, "*"} {
		if w := f.get("GET", path, "ana", "If-None-Match", value); w.Code != 304 || w.Body.Len() > 0 || w.Header().Get("ETag") != tag {
			t.Errorf("If-None-Match: %s: %d %s", value, w.Code, w.Body)
		}
	}
	for _, value := range []string{`"other"`, "", "W/"} {
		if w := f.get("GET", path, "ana", "If-None-Match", value); w.Code != 200 {
			t.Errorf("If-None-Match: %s: %d", value, w.Code)
		}
	}
	f.now = f.now.Add(24 * time.Hour)
	if w := f.get("GET", path, "ana", "If-None-Match", tag); w.Code != 200 {
		t.Errorf("the next day: %d", w.Code)
	}
	if w := f.get("HEAD", path, "ana"); w.Code != 200 || w.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
	if w := f.get("POST", path, "ana"); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := freebusyserver.New(freebusyserver.Config{}); err == nil {
		t.Error("an empty configuration is accepted")
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("start=2026-12-01T08:00:00Z&period=P1D")
	f.Add("end=0001-01-01T00:00:00+23:59&period=")
	s := newServer(f)
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "https://"+host+"/freebusy/free@contoso.com", nil)
		r.URL.RawQuery = query
		r.Header.Set("Authorization", "ana")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 {
			t.Errorf("status %d", w.Code)
		}
		if q := s.engine.last; w.Code == 200 && (q.Window.Duration() > freebusy.MaxWindow || !q.Window.Start.Before(q.Window.End)) {
			t.Errorf("asked for %v", q.Window)
		}
	})
}

func TestAnonymousTakesTurns(t *testing.T) {
	f := newServer(t)
	if w := f.get("GET", "/freebusy/ana@contoso.com", ""); w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
	f.engine.last = nil
	if w := f.get("GET", "/freebusy/ana@contoso.com", "", "X-Hurry", "yes"); w.Code == http.StatusOK || f.engine.last != nil {
		t.Errorf("out of turn: status %d, asked %v", w.Code, f.engine.last)
	}
}
