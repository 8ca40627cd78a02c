package ewsserver_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
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
	"busybridge/internal/serve/ewsserver"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
	"busybridge/internal/spec/wintz"
	"busybridge/internal/trust"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

var (
	org = &directory.Organization{ID: "6a1c2a0e-0000-4000-8000-000000000001", Name: "Contoso",
		AvailabilityConfig: directory.AvailabilityConfig{PerUserAccount: "forest per user", OrgWideAccount: "forest"}}
	ex  = &directory.Server{Common: directory.Common{Name: "EX01"}, HostNames: []string{"mail.contoso.com"}, AdminDisplayVersion: directory.Version{Major: 15, Minor: 1, Build: 2507, Revision: 6}}
	old = &directory.Server{Common: directory.Common{Name: "LEGACY"}, AdminDisplayVersion: directory.Version{Major: 14, Minor: 3, Build: 123, Revision: 4}}
	ana = mailbox("6a1c2a0e-0000-4000-8000-0000000000aa", "ana@contoso.com", "ana.old@contoso.com")
	bo  = mailbox("6a1c2a0e-0000-4000-8000-0000000000bb", "bo@contoso.com")
	dan = func() *directory.Recipient { // of another forest
		r := mailbox("6a1c2a0e-0000-4000-8000-0000000000ee", "dan@fabrikam.com")
		r.Type, r.ExternalAddress = directory.MailUser, r.Primary
		return r
	}()
	gone = func() *directory.Recipient { // an employee who has left
		r := mailbox("6a1c2a0e-0000-4000-8000-0000000000dd", "gone@contoso.com")
		r.Enabled = false
		return r
	}()
)

func mailbox(id, primary string, proxies ...string) *directory.Recipient {
	r := &directory.Recipient{Org: org.ID, ID: id, Type: directory.UserMailbox, Primary: smtpaddr.Must(primary), Enabled: true}
	for _, p := range proxies {
		r.Proxies = append(r.Proxies, smtpaddr.Must(p))
	}
	return r
}

const application = "9f1e2d3c-4b5a-4697-8a7b-6c5d4e3f2a1b"

// The callers by the user name of Basic authentication.
func caller(user string) (*callers.Caller, bool) {
	site := callers.Site{Org: org, Server: ex, Host: "mail.contoso.com"}
	account := func(roles ...string) *directory.Account {
		return &directory.Account{Org: org.ID, UserName: user, Roles: roles, Enabled: true}
	}
	switch user {
	case "ana":
		return &callers.Caller{Site: site, Org: org, Account: account(), Recipient: ana}, true
	case "ana at legacy":
		site.Server = old
		return &callers.Caller{Site: site, Org: org, Account: account(), Recipient: ana}, true
	case "forest", "forest per user":
		return &callers.Caller{Site: site, Org: org, Account: account(), Recipient: ana}, true
	case "service": // may impersonate, has no mailbox
		return &callers.Caller{Site: site, Org: org, Account: account(directory.RoleImpersonation)}, true
	case "partner":
		return &callers.Caller{Site: site, Org: org, ApplicationID: directory.ExchangeAppID, Partner: &trust.Caller{Org: org, ApplicationID: directory.ExchangeAppID, Realm: "fabrikam.com"}}, true
	case "application": // of Entra, with the role for every mailbox
		return &callers.Caller{Site: site, Org: org, ApplicationID: application, Partner: &trust.Caller{Org: org, ApplicationID: application, Realm: "t", AppOnly: true, Impersonates: true}}, true
	case "partner at a dedicated server", "application at a dedicated server", "partner at a closed server", "application at a closed server", "ana at a closed server":
		name, where, _ := strings.Cut(user, " at a ")
		c, _ := caller(name)
		at := *ex
		at.EWSApplications = map[string]string{"dedicated server": directory.EWSDedicatedApplications, "closed server": directory.EWSNoApplication}[where]
		c.Site.Server = &at
		return c, true
	case "kim of a partner": // speaks for a mail user
		kim := mailbox("6a1c2a0e-0000-4000-8000-0000000000cc", "kim@contoso.com")
		kim.Type, kim.ExternalAddress = directory.MailUser, smtpaddr.Must("kim@fabrikam.com")
		return &callers.Caller{Site: site, Org: org, Recipient: kim, Partner: &trust.Caller{Org: org, User: kim, ApplicationID: directory.ExchangeAppID, Realm: "fabrikam.com"}}, true
	}
	return nil, false
}

var errNobody = errors.New("nobody")

type auth struct{}

func (auth) Authenticate(r *http.Request) (*callers.Caller, error) {
	user, _, _ := r.BasicAuth()
	if user == "hurried" {
		return nil, &mount.BusyError{Wait: 1500 * time.Millisecond, Why: "too many"}
	}
	if c, ok := caller(user); ok {
		return c, nil
	}
	return nil, errNobody
}

func (auth) Challenge(w http.ResponseWriter, _ *http.Request, err error) {
	if !errors.Is(err, errNobody) {
		panic(err)
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="mail.contoso.com"`)
	w.WriteHeader(http.StatusUnauthorized)
}

type recipients struct{}

func (recipients) Recipient(_ context.Context, id directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error) {
	for _, r := range []*directory.Recipient{ana, bo, dan, gone} {
		if id == org.ID && r.HasAddress(a) {
			return r, nil
		}
	}
	if a.Local() == "broken" {
		return nil, errors.New("disk is on fire")
	}
	return nil, fmt.Errorf("%s: %w", a, directory.ErrNotFound)
}

// engine answers from the calendars below, and keeps the question.
type engine struct {
	last    *availability.Question
	suggest *availability.SuggestionQuery
	err     error
	less    bool // leave the last answer out
}

func (e *engine) Each(_ context.Context, q *availability.Question, do func(i int, a *availability.Answer) error) error {
	e.last = q
	for i, a := range q.Attendees {
		if e.err != nil || e.less && i == 0 {
			continue
		}
		if err := do(i, &availability.Answer{Reply: reply(q, a)}); err != nil {
			return err
		}
	}
	return e.err
}

func (e *engine) Suggest(_ context.Context, q *availability.Question, s *availability.SuggestionQuery) ([]availability.SuggestionDay, error) {
	e.last, e.suggest = q, s
	days := make([]availability.SuggestionDay, len(s.Days))
	for i, d := range s.Days {
		days[i] = availability.SuggestionDay{Start: d.Start, Quality: availability.Good, Suggestions: []availability.Suggestion{{
			Start: d.Start.Add(10 * time.Hour), WorkTime: true, Quality: availability.Good, Conflicts: []availability.Conflict{
				{Status: freebusy.Busy}, {Kind: availability.GroupConflict, Members: 4, Available: 2, InConflict: 1, NoData: 1},
				{Kind: availability.TooBigGroupConflict}, {Kind: availability.UnknownConflict},
			},
		}}}
	}
	return days, e.err
}

func utc(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

var berlin = wintz.Rule{Bias: -60, Standard: wintz.Switch{Time: 3 * time.Hour, DayOrder: 5, Month: 10}, Daylight: wintz.Switch{Bias: -60, Time: 2 * time.Hour, DayOrder: 5, Month: 3}}

var calendars = map[string][]freebusy.Interval{
	"ana": {
		{Start: utc("2026-03-02T08:15:00Z"), End: utc("2026-03-02T09:00:00Z"), Status: freebusy.Busy, Detail: &freebusy.Detail{ID: "0000000012AB", Subject: "Budget <2026> & plans", Location: "R1", Meeting: true, Reminder: true}},
		{Start: utc("2026-03-02T10:00:00Z"), End: utc("2026-03-02T10:30:00Z"), Status: freebusy.Tentative, Detail: &freebusy.Detail{Recurring: true, Private: true}},
		{Start: utc("2026-03-02T11:00:00Z"), End: utc("2026-03-02T11:30:00Z"), Status: freebusy.Free, Detail: &freebusy.Detail{Subject: "bell\x07", Exception: true}},
		{Start: utc("2026-03-02T11:30:00Z"), End: utc("2026-03-02T12:00:00Z"), Status: freebusy.WorkingElsewhere, Detail: &freebusy.Detail{Subject: "Home"}},
	},
	"dst": { // around the change of 29 March in Berlin
		{Start: utc("2026-03-28T08:00:00Z"), End: utc("2026-03-28T09:00:00Z"), Status: freebusy.Busy},
		{Start: utc("2026-03-29T00:30:00Z"), End: utc("2026-03-29T01:30:00Z"), Status: freebusy.OOF},
		{Start: utc("2026-03-30T08:00:00Z"), End: utc("2026-03-30T09:00:00Z"), Status: freebusy.Busy},
	},
	"empty": {},
}

var failures = map[string]error{
	"denied":       &routing.MailboxError{Reason: routing.NoAccess, Text: "The caller does not have access to free/busy data."},
	"noroute":      &routing.MailboxError{Reason: routing.NoRoute, Text: "Configuration information for forest/domain example.net could not be found in Active Directory."},
	"autodiscover": &routing.MailboxError{Reason: routing.AutodiscoverFailed, Text: "Autodiscover failed for e-mail address autodiscover@contoso.com with error 404."},
	"proxy":        &routing.MailboxError{Reason: routing.ProxyFailed, Text: "Proxy web request failed. , inner exception: The request failed with HTTP status 401: Unauthorized", Err: errors.New("secret cause")},
	"again":        &routing.MailboxError{Reason: routing.ProxyNotAllowed, Text: "The cross-organization request for mailbox again@contoso.com is not allowed because the requester is from a different organization"},
	"slow":         &routing.MailboxError{Reason: routing.TimedOut, Text: "Request could not be processed in time. Timeout occurred during 'Waiting-For-Request-Completion'."},
	"full":         &routing.MailboxError{Reason: routing.TooManyEvents, Text: "The result set contains too many calendar entries. The allowed size = 1000; the actual size = 5009."},
	"generation":   &routing.MailboxError{Reason: routing.GenerationFailed, Text: "Free/busy information for generation@contoso.com could not be generated."},
	"relationship": &routing.MailboxError{Reason: routing.RelationshipBad, Text: "Organization relationship \"Fabrikam\" cannot be used."},
	"policy":       &routing.MailboxError{Reason: routing.SharingPolicy, Text: "Sharing policy."},
	"group":        &routing.MailboxError{Reason: routing.GroupTooBig, Text: "The distribution list has too many members."},
	"remote":       &routing.MailboxError{Reason: routing.Remote, Code: "ErrorMailboxFailover", Text: "The mailbox is moving."},
	"remotelie":    &routing.MailboxError{Reason: routing.Remote, Code: "NoError<x>", Text: "A lie."},
	"internal":     errors.New("disk is on fire"),
}

func reply(q *availability.Question, a availability.Attendee) routing.Reply {
	r := routing.Reply{Address: a.Address, View: q.View}
	if a.Address.IsZero() {
		r.Err = &routing.MailboxError{Reason: routing.InvalidAddress, Text: fmt.Sprintf("E-mail address <>SMTP:%s is not a valid SMTP address.", a.Raw)}
		return r
	}
	if r.Err = failures[a.Address.Local()]; r.Err != nil {
		return r
	}
	events, ok := calendars[a.Address.Local()]
	if !ok {
		r.Err = &routing.MailboxError{Reason: routing.RecipientNotFound, Text: fmt.Sprintf("Unable to resolve e-mail address %s to an Active Directory object.", a.Address)}
		return r
	}
	if q.View&freebusy.ViewMerged != 0 {
		r.Merged = freebusy.Merge(q.Window, q.Slot, events)
	}
	if q.View&freebusy.ViewEvents != 0 {
		r.Events = events
		r.Hours = &routing.Hours{Zone: berlin, Periods: []routing.Period{{Days: 0b0111110, Start: 480, End: 1020}}}
	}
	return r
}

// A fixture is a server under mount, as it is in production.
type fixture struct {
	http.Handler
	engine *engine
	log    *bytes.Buffer
}

func newServer(t testing.TB) *fixture {
	f := &fixture{engine: &engine{}, log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(f.log, nil))
	s, err := ewsserver.New(ewsserver.Config{Engine: f.engine, Auth: auth{}, Recipients: recipients{}, Now: func() time.Time { return now }, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	f.Handler = mount.New(mount.Config{Routes: s.Routes(), Log: log, Now: func() time.Time { return now }})
	return f
}

func (f *fixture) post(user, body string, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodPost, "https://mail.contoso.com/EWS/Exchange.asmx", strings.NewReader(body))
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.SetBasicAuth(user, "")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result()
}

func text(t testing.TB, resp *http.Response) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Each testdata/NAME.in.xml is sent, by the user that its first line may name in
// a comment, and answered with testdata/NAME.out.xml, in which every element is
// put on a line of its own.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.xml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".in.xml"), func(t *testing.T) {
			in, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			user := "ana"
			if rest, ok := strings.CutPrefix(string(in), "<!-- user: "); ok {
				user, _, _ = strings.Cut(rest, " -->")
			}
			f := newServer(t)
			resp := f.post(user, string(in))
			body := text(t, resp)
			if got := resp.Header["Content-Type"]; len(got) != 1 || got[0] != "text/xml; charset=utf-8" {
				t.Errorf("Content-Type is %q", got)
			}
			if resp.ContentLength != int64(len(body)) {
				t.Errorf("Content-Length is %d, body has %d bytes", resp.ContentLength, len(body))
			}
			if !strings.HasPrefix(body, "<?xml") {
				t.Errorf("body begins with %.20q", body)
			}
			if _, err := soap.Read(strings.NewReader(body), 64<<20); err != nil {
				t.Errorf("our own reader refuses the answer: %v", err)
			}
			if resp.StatusCode == http.StatusOK {
				validate(t, body)
			}
			got := fmt.Sprintf("<!-- status: %d -->\n%s\n", resp.StatusCode, strings.ReplaceAll(body, "><", ">\n<"))
			golden := strings.Replace(file, ".in.xml", ".out.xml", 1)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// validate checks an answer against our own schema with xmllint, when there is one.
func validate(t *testing.T, body string) {
	t.Helper()
	tool, err := exec.LookPath("xmllint")
	if err != nil {
		t.Log("not checked against the schema: no xmllint")
		return
	}
	_, content, _ := strings.Cut(body, `<s:Body xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">`)
	content, _, ok := strings.Cut(content, "</s:Body>")
	if !ok {
		t.Fatalf("no body in %s", body)
	}
	name, _, _ := strings.Cut(content[1:], " ")
	if !strings.Contains(schemaText(t, "messages.xsd"), `<xs:element name="`+strings.TrimPrefix(name, "m:")+`"`) {
		return // an operation that is only refused
	}
	content = strings.Replace(content, " ", ` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" `, 1)
	cmd := exec.Command(tool, "--noout", "--nonet", "--schema", "schema/messages.xsd", "-")
	cmd.Stdin = strings.NewReader(content)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("against the schema: %v\n%s", err, out)
	}
}

func schemaText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("schema", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
