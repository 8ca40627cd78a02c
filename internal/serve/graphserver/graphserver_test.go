package graphserver_test

import (
	"bytes"
	"context"
	"encoding/json"
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
	"busybridge/internal/serve/graphserver"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/graph"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/wintz"
	"busybridge/internal/trust"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const host = "graph.contoso.com"

var (
	org = &directory.Organization{ID: "6a1c2a0e-0000-4000-8000-000000000001", Name: "Contoso",
		AcceptedDomains: []directory.AcceptedDomain{{DomainName: "contoso.com"}}}
	open = func() *directory.Organization {
		o := *org
		o.AvailabilityConfig.RevealUnknownRecipients = true
		return &o
	}()
	ana  = recipient("6a1c2a0e-0000-4000-8000-0000000000aa", directory.UserMailbox, "ana@contoso.com")
	kim  = recipient("6a1c2a0e-0000-4000-8000-0000000000cc", directory.MailUser, "kim@contoso.com")
	gone = recipient("6a1c2a0e-0000-4000-8000-0000000000dd", directory.UserMailbox, "gone@contoso.com")
)

func recipient(id, kind, primary string) *directory.Recipient {
	return &directory.Recipient{Org: org.ID, ID: id, Type: kind, Primary: smtpaddr.Must(primary), UPN: "upn." + primary, Enabled: !strings.HasPrefix(primary, "gone")}
}

// auth knows callers by the word after Bearer.
type auth struct{}

func (auth) Authenticate(r *http.Request) (*callers.Caller, error) {
	_, word, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	site := callers.Site{Org: org, Server: &directory.Server{}, Host: host}
	app := &trust.Caller{Org: org, ApplicationID: "app", Realm: "tenant", AppOnly: true}
	switch word {
	case "ana":
		return &callers.Caller{Site: site, Org: org, Account: &directory.Account{UserName: "ana"}, Recipient: ana}, nil
	case "operator": // has no mailbox
		return &callers.Caller{Site: site, Org: org, Account: &directory.Account{UserName: "operator"}}, nil
	case "app":
		return &callers.Caller{Site: site, Org: org, ApplicationID: "app", Partner: app}, nil
	case "trusted":
		site.Org = open
		return &callers.Caller{Site: site, Org: open, ApplicationID: "app", Partner: app}, nil
	case "no-role":
		return nil, &trust.TokenError{Step: trust.StepPermission}
	case "stale":
		return nil, &trust.TokenError{Step: 8}
	case "guesser":
		return nil, &callers.BackoffError{Wait: 90 * time.Second}
	case "hurried":
		return nil, &mount.BusyError{Wait: 90 * time.Second}
	case "lost":
		return nil, directory.ErrNotFound
	}
	return nil, callers.ErrNoCredentials
}

// Challenge answers as callers.Authenticator does.
func (auth) Challenge(w http.ResponseWriter, _ *http.Request, err error) {
	_, wait := errors.AsType[*callers.BackoffError](err)
	_, busy := errors.AsType[*mount.BusyError](err)
	switch {
	case wait, busy:
		w.Header().Set("Retry-After", "91")
		w.WriteHeader(http.StatusTooManyRequests)
	case errors.Is(err, directory.ErrNotFound):
		w.WriteHeader(http.StatusMisdirectedRequest)
	default:
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusUnauthorized)
	}
}

type recipients struct{ asked int }

func (x *recipients) find(by func(*directory.Recipient) bool) (*directory.Recipient, error) {
	x.asked++
	for _, r := range []*directory.Recipient{ana, kim, gone} {
		if by(r) {
			return r, nil
		}
	}
	return nil, directory.ErrNotFound
}

func (x *recipients) Recipient(_ context.Context, _ directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error) {
	if a.Local() == "broken" {
		return nil, errors.New("disk is on fire")
	}
	return x.find(func(r *directory.Recipient) bool { return r.HasAddress(a) })
}

func (x *recipients) RecipientByID(_ context.Context, _ directory.OrgID, id string) (*directory.Recipient, error) {
	return x.find(func(r *directory.Recipient) bool { return r.ID == id })
}

func (x *recipients) RecipientByUPN(_ context.Context, _ directory.OrgID, upn string) (*directory.Recipient, error) {
	return x.find(func(r *directory.Recipient) bool { return r.UPN == upn })
}

type engine struct {
	last *availability.Question
	err  error
}

func (e *engine) Ask(_ context.Context, q *availability.Question) ([]availability.Answer, error) {
	e.last = q
	out := make([]availability.Answer, len(q.Attendees))
	for i, a := range q.Attendees {
		out[i].Reply = reply(q, a)
	}
	return out, e.err
}

var berlin = func() wintz.Rule {
	loc, _ := wintz.Location("Europe/Berlin")
	return wintz.RuleAt(loc, now)
}()

func reply(q *availability.Question, a availability.Attendee) routing.Reply {
	iv := func(from, until int, s freebusy.Status, d *freebusy.Detail) freebusy.Interval {
		at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
		return freebusy.Interval{Start: at.Add(time.Duration(from) * time.Minute), End: at.Add(time.Duration(until) * time.Minute), Status: s, Detail: d}
	}
	fail := func(r routing.Reason, text string) routing.Reply {
		return routing.Reply{Err: &routing.MailboxError{Reason: r, Text: text}}
	}
	if a.Address.IsZero() {
		return fail(routing.InvalidAddress, "E-mail address <>SMTP:"+a.Raw+" is not a valid SMTP address.")
	}
	switch a.Address.Local() {
	case "ana":
		return routing.Reply{View: freebusy.ViewDetailedMerged, Merged: "0212", Events: []freebusy.Interval{
			iv(555, 600, freebusy.Busy, &freebusy.Detail{Subject: "Budget", Location: "R1"}),
			iv(630, 660, freebusy.Tentative, &freebusy.Detail{Private: true}),
			iv(660, 670, freebusy.WorkingElsewhere, nil),
			iv(690, 720, freebusy.OOF, &freebusy.Detail{ID: "0A", Subject: "Dentist", Private: true}),
			iv(715, 725, freebusy.NoData, nil),
		}, Hours: &routing.Hours{Zone: berlin, Periods: []routing.Period{{Days: 0b0111110, Start: 480, End: 1020}}}}
	case "team":
		return routing.Reply{View: freebusy.ViewMergedOnly, Merged: "0224"}
	case "hidden":
		return fail(routing.NoAccess, "The caller does not have access to free/busy data.")
	case "far":
		return routing.Reply{Err: &routing.MailboxError{Reason: routing.Remote, Code: "ErrorMailRecipientNotFound", Text: "not there"}}
	case "farther":
		return routing.Reply{Err: &routing.MailboxError{Reason: routing.Remote, Code: "ErrorServerBusy", Text: "busy"}}
	case "slow":
		return fail(routing.TimedOut, "Request could not be processed in time.")
	case "broken":
		return routing.Reply{Err: errors.New("disk is on fire")}
	case "lost":
		return fail(routing.NoRoute, "no route")
	case "proxy":
		return fail(routing.ProxyFailed, "Proxy web request failed.")
	}
	return routing.Reply{Err: routing.NotFound(a.Address)}
}

type fixture struct {
	http.Handler
	engine     *engine
	recipients *recipients
	log        *bytes.Buffer
}

func newServer(t testing.TB) *fixture {
	f := &fixture{engine: &engine{}, recipients: &recipients{}, log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(f.log, nil))
	s, err := graphserver.New(graphserver.Config{Engine: f.engine, Auth: auth{}, Recipients: f.recipients, Now: func() time.Time { return now }, Log: log, MaxBody: 4096})
	if err != nil {
		t.Fatal(err)
	}
	f.Handler = mount.New(mount.Config{Routes: s.Routes(), Log: log, Now: func() time.Time { return now }})
	return f
}

func (f *fixture) do(method, path, caller, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://"+host+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	if caller != "" {
		r.Header.Set("Authorization", "Bearer "+caller)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

func body(names ...string) string {
	b, _ := json.Marshal(map[string]any{"schedules": names,
		"startTime":                map[string]string{"dateTime": "2026-11-23T08:00:00", "timeZone": "UTC"},
		"endTime":                  map[string]string{"dateTime": "2026-11-23T12:00:00", "timeZone": "UTC"},
		"availabilityViewInterval": 60})
	return string(b)
}

const me = "/v1.0/me/calendar/getSchedule"

func TestGolden(t *testing.T) {
	for _, tt := range []struct {
		name, caller, path string
		header             []string
		names              []string
	}{
		{"schedules", "ana", me, nil, []string{"ana@contoso.com", "team@contoso.com", "nobody@contoso.com", "no address", "hidden@contoso.com", "far@contoso.com", "farther@contoso.com",
			"slow@contoso.com", "broken@contoso.com", "lost@contoso.com", "proxy@contoso.com", "Ana@Contoso.com"}},
		{"zone", "app", "/v1.0/users/ana@contoso.com/calendar/getSchedule", []string{"Prefer", `outlook.timezone="W. Europe Standard Time"`}, []string{"ana@contoso.com"}},
		{"iana-zone", "app", "/v1.0/users/ana@contoso.com/calendar/microsoft.graph.getSchedule", []string{"Prefer", `outlook.timezone="America/St_Johns"`}, []string{"ana@contoso.com"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newServer(t)
			w := f.do("POST", tt.path, tt.caller, body(tt.names...), tt.header...)
			var b bytes.Buffer
			fmt.Fprintf(&b, "HTTP %d\n", w.Code)
			for _, h := range []string{"Content-Type", "Cache-Control", "Preference-Applied"} {
				fmt.Fprintf(&b, "%s: %s\n", h, w.Header().Get(h))
			}
			b.WriteByte('\n')
			if err := json.Indent(&b, w.Body.Bytes(), "", " "); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			b.WriteByte('\n')
			file := filepath.Join("testdata", tt.name+".txt")
			if *update {
				if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
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
			if strings.Contains(w.Body.String(), "on fire") {
				t.Error("the cause of an internal error is told")
			}
			list, err := graph.ParseResponse(w.Body.Bytes())
			if err != nil || len(list) != len(tt.names) {
				t.Errorf("read as %d schedules, %v", len(list), err)
			}
		})
	}
}

func TestQuestion(t *testing.T) {
	f := newServer(t)
	in := `{"schedules":["ana@contoso.com","x"],"startTime":{"dateTime":"2026-11-23T09:00:00","timeZone":"Europe/Berlin"},"endTime":{"dateTime":"2026-11-23T12:00:00","timeZone":"W. Europe Standard Time"}}`
	if w := f.do("POST", me, "ana", in); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	q := *f.engine.last
	want := availability.Question{
		Org: org, Server: q.Server, Caller: availability.Caller{Recipient: ana},
		Attendees: []availability.Attendee{{Raw: "ana@contoso.com", Address: smtpaddr.Must("ana@contoso.com")}, {Raw: "x"}},
		Window:    freebusy.Window{Start: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC), End: time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)},
		View:      freebusy.ViewDetailedMerged, Slot: 30 * time.Minute, RequestID: q.RequestID,
	}
	if diff := cmp.Diff(want, q, cmp.AllowUnexported(smtpaddr.Address{})); diff != "" || q.RequestID == "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f.do("POST", "/v1.0/users/ana@contoso.com/calendar/getschedule", "app", body("ana@contoso.com"))
	if c := f.engine.last.Caller; c.Partner == nil || c.Recipient != nil {
		t.Errorf("an application asks as %+v", c)
	}
}

func TestRefusals(t *testing.T) {
	users := func(id string) string { return "/v1.0/users/" + id + "/calendar/getSchedule" }
	times := func(from, until string) string {
		return `{"schedules":["a@contoso.com"],"startTime":{"dateTime":"` + from + `"},"endTime":{"dateTime":"` + until + `"}}`
	}
	ok := body("ana@contoso.com")
	for _, tt := range []struct {
		name, caller, path, body string
		header                   []string
		status                   int
		code                     string // "": answered
	}{
		{"me", "ana", me, ok, nil, 200, ""},
		{"letter case of the path", "ana", "/V1.0/ME/Calendar/GETSCHEDULE", ok, nil, 200, ""},
		{"by address", "ana", users("ana@contoso.com"), ok, nil, 200, ""},
		{"by principal name", "ana", users("upn.ana@contoso.com"), ok, nil, 200, ""},
		{"by id", "ana", users("6A1C2A0E-0000-4000-8000-0000000000AA"), ok, nil, 200, ""},
		{"of nobody", "ana", users("nobody@contoso.com"), ok, nil, 404, "ErrorInvalidUser"},
		{"of no id", "ana", users("6a1c2a0e-0000-4000-8000-0000000000ff"), ok, nil, 404, "ErrorInvalidUser"},
		{"of no address", "ana", users("ana"), ok, nil, 404, "ErrorInvalidUser"},
		{"of another organization", "ana", users("ana@fabrikam.com"), ok, nil, 404, "ErrorInvalidUser"},
		{"of a mail user", "ana", users("kim@contoso.com"), ok, nil, 404, "MailboxNotEnabledForRESTAPI"},
		{"of somebody who has left", "ana", users("gone@contoso.com"), ok, nil, 404, "MailboxNotEnabledForRESTAPI"},
		{"store is broken", "ana", users("broken@contoso.com"), ok, nil, 500, "InternalServerError"},
		{"an application by its anchor", "app", users("ana@contoso.com"), ok, nil, 200, ""},
		{"it does not learn who exists", "app", users("nobody@contoso.com"), ok, nil, 200, ""},
		{"nor by id", "app", users("6a1c2a0e-0000-4000-8000-0000000000ff"), ok, nil, 200, ""},
		{"but which domains", "app", users("nobody@fabrikam.com"), ok, nil, 404, "ErrorInvalidUser"},
		{"unless the organization says so", "trusted", users("nobody@contoso.com"), ok, nil, 404, "ErrorInvalidUser"},
		{"an application is not me", "app", me, ok, nil, 400, "BadRequest"},
		{"nor is an account without mailbox", "operator", me, ok, nil, 404, "MailboxNotEnabledForRESTAPI"},

		{"no token", "", me, ok, nil, 401, "InvalidAuthenticationToken"},
		{"stale token", "stale", me, ok, nil, 401, "InvalidAuthenticationToken"},
		{"token without the role", "no-role", users("nobody@contoso.com"), ok, nil, 403, "ErrorAccessDenied"},
		{"too many wrong passwords", "guesser", me, ok, nil, 429, "TooManyRequests"},
		{"too many requests", "hurried", me, ok, nil, 429, "TooManyRequests"},
		{"host that is not ours", "lost", me, ok, nil, 421, "MisdirectedRequest"},

		{"another action", "ana", "/v1.0/me/calendar/events", ok, nil, 400, "BadRequest"},
		{"another action without a token", "", "/v1.0/me/calendar/events", ok, nil, 401, "InvalidAuthenticationToken"},
		{"a form", "ana", me, ok, []string{"Content-Type", "text/plain"}, 415, "UnsupportedMediaType"},
		{"no type", "ana", me, ok, []string{"Content-Type", ""}, 415, "UnsupportedMediaType"},
		{"no JSON", "ana", me, `schedules`, nil, 400, "BadRequest"},
		{"too large", "ana", me, `{"x":"` + strings.Repeat("x", 5000) + `"}`, nil, 413, "RequestEntityTooLarge"},
		{"nobody is asked for", "ana", me, body(), nil, 400, "ErrorMailboxDataArrayEmpty"},
		{"100", "ana", me, body(strings.Split(strings.Repeat("a ", 100), " ")[:100]...), nil, 200, ""},
		{"101", "ana", me, body(strings.Split(strings.Repeat("a ", 101), " ")[:101]...), nil, 400, "ErrorMailboxDataArrayTooBig"},
		{"end is start", "ana", me, times("2026-11-23T08:00:00", "2026-11-23T08:00:00"), nil, 400, "ErrorInvalidTimeInterval"},
		{"end before start", "ana", me, times("2026-11-23T08:00:00", "0001-11-23T08:00:00"), nil, 400, "ErrorInvalidTimeInterval"},
		{"62 days", "ana", me, times("2026-01-01T00:00:00", "2026-03-04T00:00:00"), nil, 200, ""},
		{"a second more", "ana", me, times("2026-01-01T00:00:00", "2026-03-04T00:00:01"), nil, 400, "ErrorTimeIntervalTooBig"},
		{"for ever", "ana", me, times("0001-01-01T00:00:00", "9999-12-31T00:00:00"), nil, 400, "ErrorTimeIntervalTooBig"},
		{"zone of the question", "ana", me, strings.Replace(ok, "UTC", "Nowhere", 1), nil, 400, "ErrorInvalidParameter"},
		{"zone of the answer", "ana", me, ok, []string{"Prefer", `outlook.timezone="Nowhere"`}, 400, "ErrorInvalidParameter"},
		{"interval too short", "ana", me, strings.Replace(ok, ":60", ":4", 1), nil, 400, "ErrorInvalidMergedFreeBusyInterval"},
		{"interval too long", "ana", me, strings.Replace(ok, ":60", ":1441", 1), nil, 400, "ErrorInvalidMergedFreeBusyInterval"},
		{"interval below nothing", "ana", me, strings.Replace(ok, ":60", ":-5", 1), nil, 400, "ErrorInvalidMergedFreeBusyInterval"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newServer(t)
			w := f.do("POST", tt.path, tt.caller, tt.body, tt.header...)
			e := graph.ParseError(w.Body.Bytes())
			code := ""
			if e != nil {
				code = e.Code
			}
			if w.Code != tt.status || code != tt.code {
				t.Fatalf("status %d, code %q; want %d, %q: %s", w.Code, code, tt.status, tt.code, w.Body)
			}
			if w.Header().Get("request-id") == "" || e != nil && e.RequestID != w.Header().Get("request-id") {
				t.Errorf("request-id %q, in the body %+v", w.Header().Get("request-id"), e)
			}
			if (tt.status == 401) != (w.Header().Get("WWW-Authenticate") != "") || (tt.status == 429) != (w.Header().Get("Retry-After") != "") {
				t.Errorf("headers %v", w.Header())
			}
			if strings.Contains(w.Body.String(), "on fire") || (tt.status == 500) != strings.Contains(f.log.String(), "on fire") {
				t.Errorf("told %s, logged %s", w.Body, f.log)
			}
			if tt.caller == "app" && f.recipients.asked > 0 || tt.status == 403 && f.recipients.asked > 0 {
				t.Error("a mailbox was looked up")
			}
		})
	}
}

func TestClientRequestID(t *testing.T) {
	f := newServer(t)
	const id = "11111111-2222-4333-8444-555555555555"
	w := f.do("POST", me, "", "", "client-request-id", id, "return-client-request-id", "true")
	if e := graph.ParseError(w.Body.Bytes()); e == nil || e.ClientRequest != id || w.Header().Get("client-request-id") != id {
		t.Errorf("%+v, %v", e, w.Header())
	}
	w = f.do("POST", me, "", "", "client-request-id", `"<script>`)
	if e := graph.ParseError(w.Body.Bytes()); e == nil || e.ClientRequest != e.RequestID {
		t.Errorf("%+v", e)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := graphserver.New(graphserver.Config{}); err == nil {
		t.Error("an empty configuration is accepted")
	}
}

func FuzzGetSchedule(f *testing.F) {
	f.Add(body("ana@contoso.com", "team@contoso.com", "x"), `outlook.timezone="Europe/Berlin"`)
	f.Add(`{"schedules":null,"startTime":{},"endTime":[]}`, `,,=",`)
	s := newServer(f)
	f.Fuzz(func(t *testing.T, body, prefer string) {
		w := s.do("POST", me, "ana", body, "Prefer", prefer)
		switch w.Code {
		case 200:
			if _, err := graph.ParseResponse(w.Body.Bytes()); err != nil {
				t.Errorf("%s: %v", w.Body, err)
			}
		case 400, 413:
			if graph.ParseError(w.Body.Bytes()) == nil {
				t.Errorf("no error in %s", w.Body)
			}
		default:
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}
