package availability_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/wintz"
	"busybridge/internal/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	day    = freebusy.Window{Start: at(8), End: at(16)}
)

func at(h float64) time.Time { return monday.Add(time.Duration(h * float64(time.Hour))) }

func iv(s freebusy.Status, from, to float64) freebusy.Interval {
	return freebusy.Interval{Start: at(from), End: at(to), Status: s}
}

func detailed(s freebusy.Status, from, to float64, d freebusy.Detail) freebusy.Interval {
	v := iv(s, from, to)
	v.Detail = &d
	return v
}

// A world is the fakes that an engine is tested with.
type world struct {
	org       *directory.Organization
	people    map[smtpaddr.Address]*directory.Recipient
	calendars map[string][]freebusy.Interval // by primary address

	// Hooks; nil: the plain answer.
	recipient func(ctx context.Context, a smtpaddr.Address) error
	busy      func(ctx context.Context, mailbox string) error
	peer      func(ctx context.Context, r routing.Route, q routing.Query) ([]routing.Reply, error)

	mu      sync.Mutex // guards what follows
	looked  map[smtpaddr.Address]int
	read    map[string]int
	queries map[string][]routing.Query // by object name
}

func (w *world) Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error) {
	w.mu.Lock()
	w.looked[a]++
	w.mu.Unlock()
	if w.recipient != nil {
		if err := w.recipient(ctx, a); err != nil {
			return nil, err
		}
	}
	if r, ok := w.people[a]; ok && org == w.org.ID {
		return r, nil
	}
	return nil, fmt.Errorf("recipient %s: %w", a, directory.ErrNotFound)
}

func (w *world) Busy(ctx context.Context, org directory.OrgID, m *directory.Recipient, _ freebusy.Window, _ bool) ([]freebusy.Interval, error) {
	w.mu.Lock()
	w.read[m.Primary.String()]++
	w.mu.Unlock()
	if w.busy != nil {
		if err := w.busy(ctx, m.Primary.String()); err != nil {
			return nil, err
		}
	}
	return w.calendars[m.Primary.String()], nil
}

func (w *world) Ask(ctx context.Context, org *directory.Organization, r routing.Route, q routing.Query) ([]routing.Reply, error) {
	w.mu.Lock()
	w.queries[r.Name()] = append(w.queries[r.Name()], q)
	w.mu.Unlock()
	if w.peer != nil {
		return w.peer(ctx, r, q)
	}
	return agreeable(q), nil
}

// agreeable answers every address as asked: busy in the first slot.
func agreeable(q routing.Query) []routing.Reply {
	var out []routing.Reply
	for _, a := range q.Addresses {
		out = append(out, foreign(a.String(), q.View, q.Window.Slots(q.Slot)))
	}
	return out
}

func foreign(a string, view freebusy.View, slots int) routing.Reply {
	r := routing.Reply{Address: smtpaddr.Must(a), View: view, Hours: &routing.Hours{Zone: wintz.Rule{Bias: -60}}}
	if view&freebusy.ViewEvents != 0 {
		v := iv(freebusy.Busy, 8, 8.5)
		if view&freebusy.ViewDetails != 0 {
			v.Detail = &freebusy.Detail{Subject: "Far away"}
		}
		r.Events = []freebusy.Interval{v}
	}
	if view&freebusy.ViewMerged != 0 {
		r.Merged = "2" + strings.Repeat("0", slots-1)
	}
	return r
}

func named(n string) directory.Common { return directory.Common{Name: n, GUID: "guid-" + n} }

func newWorld() *world {
	w := &world{
		org: &directory.Organization{
			ID: "contoso", Version: 1,
			AcceptedDomains: []directory.AcceptedDomain{{DomainName: "contoso.com", DomainType: "Authoritative", Default: true}},
			Connectors: []directory.IntraOrganizationConnector{
				{Common: named("ToCloud"), TargetAddressDomains: []string{"contoso.mail.example"}, Enabled: true},
				{Common: named("ToLitware"), TargetAddressDomains: []string{"litware.com"}, Enabled: true},
			},
			Relationships: []directory.OrganizationRelationship{
				{Common: named("Fabrikam"), DomainNames: []string{"fabrikam.com"}, Enabled: true, FreeBusyAccessEnabled: true, FreeBusyAccessLevel: "AvailabilityOnly"},
				{Common: named("Tailspin"), DomainNames: []string{"tailspintoys.com"}, Enabled: true, FreeBusyAccessEnabled: true, FreeBusyAccessLevel: "LimitedDetails"},
				{Common: named("Closed"), DomainNames: []string{"northwind.com"}, Enabled: true, FreeBusyAccessEnabled: false},
			},
			AddressSpaces: []directory.AvailabilityAddressSpace{{Common: named("wingtip.com"), ForestName: "wingtip.com", AccessMethod: "InternalProxy"}},
		},
		people:    map[smtpaddr.Address]*directory.Recipient{},
		calendars: map[string][]freebusy.Interval{},
		looked:    map[smtpaddr.Address]int{}, read: map[string]int{}, queries: map[string][]routing.Query{},
	}
	w.mailbox("ana", iv(freebusy.Busy, 9, 10))
	w.mailbox("bo", iv(freebusy.OOF, 8, 16))
	w.mailUser("moved", "moved@contoso.mail.example")
	w.mailUser("fabi", "fabi@fabrikam.com")
	return w
}

func addr(name string) smtpaddr.Address {
	if !strings.Contains(name, "@") {
		name += "@contoso.com"
	}
	return smtpaddr.Must(name)
}

func (w *world) add(name, kind string) *directory.Recipient {
	r := &directory.Recipient{Org: w.org.ID, ID: "id-" + name, Type: kind, Primary: addr(name), UPN: name + "@contoso.com", Calendar: directory.DefaultCalendar("UTC")}
	w.people[r.Primary] = r
	return r
}

func (w *world) mailbox(name string, busy ...freebusy.Interval) *directory.Recipient {
	r := w.add(name, directory.UserMailbox)
	w.calendars[r.Primary.String()] = busy
	return r
}

func (w *world) mailUser(name, target string) *directory.Recipient {
	r := w.add(name, directory.MailUser)
	r.ExternalAddress = smtpaddr.Must(target)
	return r
}

func (w *world) group(name string, members ...string) *directory.Recipient {
	r := w.add(name, directory.MailGroup)
	for _, m := range members {
		r.Members = append(r.Members, addr(m))
	}
	return r
}

func (w *world) config(t testing.TB) availability.Config {
	return availability.Config{Recipients: w, Calendars: w, Peers: w, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func (w *world) engine(t testing.TB) *availability.Engine {
	e, err := availability.New(w.config(t))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (w *world) question(view freebusy.View, names ...string) *availability.Question {
	q := &availability.Question{Org: w.org, Window: day, View: view, Slot: time.Hour, RequestID: "r1"}
	for _, n := range names {
		at := availability.Attendee{Raw: n}
		if n != "" && !strings.HasPrefix(n, "!") {
			at.Address = addr(n)
		}
		q.Attendees = append(q.Attendees, at)
	}
	return q
}

func (w *world) ask(t *testing.T, q *availability.Question) []availability.Answer {
	t.Helper()
	got, err := w.engine(t).Ask(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// short writes answers in one line each: the merged string, or the reason.
func short(answers []availability.Answer) []string {
	var out []string
	for _, a := range answers {
		s := a.Address.Local() + " " + a.Merged
		if a.Err != nil {
			me, ok := errors.AsType[*routing.MailboxError](a.Err)
			if !ok {
				s = fmt.Sprintf("%s %T", a.Address.Local(), a.Err)
			} else {
				s = a.Address.Local() + " " + string(me.Reason)
			}
		}
		out = append(out, s)
	}
	return out
}

func text(a availability.Answer) string {
	if me, ok := errors.AsType[*routing.MailboxError](a.Err); ok {
		return string(me.Reason) + ": " + me.Text
	}
	return fmt.Sprint(a.Err)
}

func TestAnswersInTheOrderOfTheQuestion(t *testing.T) {
	w := newWorld()
	got := w.ask(t, w.question(freebusy.ViewMergedOnly,
		"moved", "ana", "nobody", "kim@litware.com", "!no address", "bo", "fabi", "x@unknown.example", "ana", "moved", "kim@litware.com"))
	want := []string{
		"moved 20000000", "ana 02000000", "nobody RecipientNotFound", "kim 20000000", " InvalidAddress", "bo 33333333", "fabi 20000000",
		"x NoRoute", "ana 02000000", "moved 20000000", "kim 20000000",
	}
	if diff := cmp.Diff(want, short(got)); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	// The second look is for whether the recipient is still the same.
	if w.read["ana@contoso.com"] != 1 || w.looked[addr("ana")] != 2 {
		t.Errorf("an address asked twice was read %d times and looked up %d times", w.read["ana@contoso.com"], w.looked[addr("ana")])
	}
	wantTexts := map[int]string{
		2: "RecipientNotFound: Unable to resolve e-mail address nobody@contoso.com to an Active Directory object.",
		4: "InvalidAddress: E-mail address <>SMTP:!no address is not a valid SMTP address.",
		7: "NoRoute: Configuration information for forest/domain unknown.example could not be found in Active Directory.",
	}
	for i, want := range wantTexts {
		if diff := cmp.Diff(want, text(got[i])); diff != "" {
			t.Errorf("answer %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestOneQuestionForEachRoute(t *testing.T) {
	w := newWorld()
	w.mailUser("twin", "moved@contoso.mail.example")
	q := w.question(freebusy.ViewDetailedMerged, "moved", "kim@litware.com", "lee@litware.com", "moved@contoso.mail.example", "twin", "fabi")
	q.Caller.Recipient = w.people[addr("ana")]
	w.ask(t, q)
	query := func(addresses ...smtpaddr.Address) []routing.Query {
		return []routing.Query{{
			Addresses: addresses, Window: day, View: freebusy.ViewDetailedMerged, Slot: time.Hour,
			Requester: routing.Requester{Org: "contoso", Address: addr("ana"), UPN: "ana@contoso.com", RequestID: "r1"},
		}}
	}
	want := map[string][]routing.Query{
		"ToCloud":   query(addr("moved@contoso.mail.example")),
		"ToLitware": query(addr("kim@litware.com"), addr("lee@litware.com")),
		"Fabrikam":  query(addr("fabi@fabrikam.com")),
	}
	if diff := cmp.Diff(want, w.queries, cmp.AllowUnexported(smtpaddr.Address{})); diff != "" {
		t.Errorf("queries (-want +got):\n%s", diff)
	}
}

func TestQuestionsAreSplitAt100Addresses(t *testing.T) {
	w := newWorld()
	var members, names []string
	for i := range 60 {
		members = append(members, fmt.Sprintf("m%d@litware.com", i))
		names = append(names, fmt.Sprintf("n%d@litware.com", i))
	}
	w.group("all", members...)
	got := w.ask(t, w.question(freebusy.ViewFreeBusy, append(names, "all")...))
	var sizes []int
	seen := map[smtpaddr.Address]bool{}
	for _, q := range w.queries["ToLitware"] {
		sizes = append(sizes, len(q.Addresses))
		for _, a := range q.Addresses {
			if seen[a] {
				t.Errorf("%v is asked twice", a)
			}
			seen[a] = true
		}
	}
	slices.Sort(sizes)
	if diff := cmp.Diff([]int{20, 100}, sizes); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
	if last := got[len(got)-1]; last.Merged != "20000000" || last.View != freebusy.ViewMergedOnly {
		t.Errorf("group: %+v", last)
	}
	if first := got[0]; first.Err != nil || first.Merged != "" || first.View != freebusy.ViewFreeBusy {
		t.Errorf("an address beside the group: %+v", first)
	}
}

func TestQuestionsThatCannotBeAsked(t *testing.T) {
	w := newWorld()
	tests := []struct {
		name   string
		change func(*availability.Question)
		want   error
	}{
		{"nobody", func(q *availability.Question) { q.Attendees = nil }, availability.ErrNoAttendees},
		{"101 addresses", func(q *availability.Question) { q.Attendees = make([]availability.Attendee, 101) }, availability.ErrTooManyAttendees},
		{"empty window", func(q *availability.Question) { q.Window.End = q.Window.Start }, freebusy.ErrEmptyWindow},
		{"63 days", func(q *availability.Question) { q.Window.End = q.Window.Start.AddDate(0, 0, 63) }, freebusy.ErrWindowTooLong},
		{"slot of 4 minutes", func(q *availability.Question) { q.Slot = 4 * time.Minute }, freebusy.ErrSlot},
		{"slot of two days", func(q *availability.Question) { q.Slot = 48 * time.Hour }, freebusy.ErrSlot},
		{"negative slot", func(q *availability.Question) { q.Slot = -time.Hour }, freebusy.ErrSlot},
		{"no view", func(q *availability.Question) { q.View = freebusy.ViewNone }, availability.ErrNoView},
		{"details of no events", func(q *availability.Question) { q.View = freebusy.ViewDetails }, availability.ErrNoView},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := w.question(freebusy.ViewMergedOnly, "ana")
			tt.change(q)
			if got, err := w.engine(t).Ask(t.Context(), q); !errors.Is(err, tt.want) || got != nil {
				t.Errorf("Ask = %v, %v; want error %v", got, err, tt.want)
			}
		})
	}
	if _, err := availability.New(availability.Config{}); err == nil {
		t.Error("New accepts an empty configuration")
	}
	c := w.config(t)
	c.Timeout = -1
	if _, err := availability.New(c); err == nil {
		t.Error("New accepts a negative timeout")
	}
}

func TestCancelledQuestionFails(t *testing.T) {
	w := newWorld()
	ctx, cancel := context.WithCancel(t.Context())
	w.busy = func(ctx context.Context, _ string) error { cancel(); <-ctx.Done(); return ctx.Err() }
	e := w.engine(t)
	if got, err := e.Ask(ctx, w.question(freebusy.ViewMergedOnly, "ana")); !errors.Is(err, context.Canceled) {
		t.Errorf("Ask = %v, %v; want context.Canceled", got, err)
	}
	e.Wait()
}

var (
	openItem    = freebusy.Detail{ID: "0A", Subject: "Budget", Location: "R1", Meeting: true}
	privateItem = freebusy.Detail{ID: "0B", Subject: "Dentist", Location: "Town", Private: true}
)

// What each caller sees of one mailbox: nothing, time, subject, id, private subject.
func TestDetailLevels(t *testing.T) {
	const none, timeOnly, limited, full, all = "NoAccess", "FreeBusy", "Detailed Budget/R1 /", "Detailed 0A Budget/R1 /", "Detailed 0A Budget/R1 0B Dentist/Town"
	perms := func(p ...directory.Permission) []directory.Permission { return p }
	def := func(l freebusy.Level) directory.Permission {
		return directory.Permission{User: "Default", Level: l}
	}
	w := newWorld()
	ana := w.people[addr("ana")]
	bo := w.people[addr("bo")]
	bo.Proxies = []smtpaddr.Address{addr("robert")}
	partnerUser := w.mailUser("pat", "pat@litware.com")
	user := func(r *directory.Recipient) availability.Caller { return availability.Caller{Recipient: r} }
	partner := func(user *directory.Recipient, smtp, upn, realm string) availability.Caller {
		return availability.Caller{Partner: &trust.Caller{User: user, SMTP: smtp, UPN: upn, Realm: realm}}
	}
	otherOrg := &directory.Recipient{Org: "litware", ID: "id-pat", Type: directory.MailUser, Primary: addr("pat")}
	anonymous := directory.Permission{User: "Anonymous", Level: freebusy.LevelOwner}
	tests := []struct {
		name   string
		perms  []directory.Permission
		caller availability.Caller
		want   string
	}{
		{"owner", nil, user(ana), all},
		{"owner in spite of an entry", perms(directory.Permission{User: "ana@contoso.com", Level: freebusy.LevelNone}), user(ana), all},
		{"no entries at all", nil, user(bo), timeOnly},
		{"default none", perms(def(freebusy.LevelNone)), user(bo), none},
		{"default time", perms(def(freebusy.LevelTime)), user(bo), timeOnly},
		{"default limited", perms(def(freebusy.LevelLimited)), user(bo), limited},
		{"default reviewer", perms(def(freebusy.LevelFull)), user(bo), full},
		{"anonymous is nobody here", perms(anonymous, def(freebusy.LevelTime)), user(bo), timeOnly},
		{"own entry above default", perms(def(freebusy.LevelNone), directory.Permission{User: "bo@contoso.com", Level: freebusy.LevelFull}), user(bo), full},
		{"own entry below default", perms(def(freebusy.LevelFull), directory.Permission{User: "bo@contoso.com", Level: freebusy.LevelNone}), user(bo), none},
		{"own entry by another address", perms(def(freebusy.LevelNone), directory.Permission{User: "robert@contoso.com", Level: freebusy.LevelLimited}), user(bo), limited},
		{"somebody else's entry", perms(def(freebusy.LevelTime), directory.Permission{User: "ana@contoso.com", Level: freebusy.LevelFull}), user(bo), timeOnly},
		{"owner rights on another's folder", perms(directory.Permission{User: "bo@contoso.com", Level: freebusy.LevelOwner}), user(bo), all},
		{"account without mailbox", perms(def(freebusy.LevelLimited)), availability.Caller{}, limited},

		{"nobody, without an entry", perms(def(freebusy.LevelFull)), availability.Caller{Anonymous: true}, none},
		{"nobody, who may see times", perms(directory.Permission{User: "Anonymous", Level: freebusy.LevelTime}), availability.Caller{Anonymous: true}, timeOnly},
		{"nobody never sees what is private", perms(anonymous), availability.Caller{Anonymous: true}, full},

		{"partner without relationship", perms(def(freebusy.LevelFull)), partner(nil, "x@litware.com", "", "litware.com"), full},
		{"partner app-only", perms(def(freebusy.LevelLimited)), partner(nil, "", "", "2c19f25a-0000-4000-8000-000000000001"), limited},
		{"relationship caps", perms(def(freebusy.LevelFull)), partner(nil, "x@fabrikam.com", "", "fabrikam.com"), timeOnly},
		{"relationship caps at limited", perms(def(freebusy.LevelFull)), partner(nil, "x@tailspintoys.com", "", ""), limited},
		{"relationship does not raise", perms(def(freebusy.LevelTime)), partner(nil, "x@tailspintoys.com", "", ""), timeOnly},
		{"relationship without free/busy", perms(def(freebusy.LevelFull)), partner(nil, "x@northwind.com", "", ""), none},
		{"cap by the UPN's domain", perms(def(freebusy.LevelFull)), partner(nil, "", "x@fabrikam.com", ""), timeOnly},
		{"cap by the realm", perms(def(freebusy.LevelFull)), partner(nil, "", "", "fabrikam.com"), timeOnly},
		{"a claimed domain does not lift the realm's cap", perms(def(freebusy.LevelFull)), partner(nil, "x@tailspintoys.com", "", "fabrikam.com"), timeOnly},
		{"case and trailing dot do not lift it", perms(def(freebusy.LevelFull)), partner(nil, "x@FABRIKAM.com.", "", ""), timeOnly},
		{"partner's user is a mail user here", perms(def(freebusy.LevelTime), directory.Permission{User: "pat@contoso.com", Level: freebusy.LevelFull}), partner(partnerUser, "pat@litware.com", "", ""), full},
		{"partner's user as owner does not see private items", perms(directory.Permission{User: "pat@contoso.com", Level: freebusy.LevelOwner}), partner(partnerUser, "pat@litware.com", "", ""), full},
		{"partner's mail user is capped too", perms(directory.Permission{User: "pat@contoso.com", Level: freebusy.LevelFull}), partner(partnerUser, "pat@fabrikam.com", "", ""), timeOnly},
		{"a partner cannot be the owner", perms(def(freebusy.LevelTime)), partner(ana, "ana@contoso.com", "", ""), timeOnly},
		{"a partner cannot be another mailbox here", perms(def(freebusy.LevelTime), directory.Permission{User: "bo@contoso.com", Level: freebusy.LevelFull}), partner(bo, "bo@contoso.com", "", ""), timeOnly},
		{"a mail user of another organization is nobody here", perms(def(freebusy.LevelTime), directory.Permission{User: "pat@contoso.com", Level: freebusy.LevelFull}), partner(otherOrg, "pat@litware.com", "", ""), timeOnly},
	}
	w.calendars["ana@contoso.com"] = []freebusy.Interval{detailed(freebusy.Busy, 9, 10, openItem), detailed(freebusy.Busy, 11, 12, privateItem)}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ana.Permissions = tt.perms
			q := w.question(freebusy.ViewDetailed, "ana")
			q.Caller = tt.caller
			a := w.ask(t, q)[0]
			got := a.View.String()
			if me, ok := errors.AsType[*routing.MailboxError](a.Err); ok {
				got = string(me.Reason)
				if me.Text != "The caller does not have access to free/busy data." {
					t.Errorf("text %q", me.Text)
				}
			} else if len(a.Events) != 2 {
				t.Errorf("%d events, want 2", len(a.Events))
			}
			for _, e := range a.Events {
				if d := e.Detail; d != nil {
					got += strings.TrimRight(" "+d.ID, " ") + " " + d.Subject + "/" + d.Location
				}
			}
			if got != tt.want {
				t.Errorf("sees %q, want %q", got, tt.want)
			}
		})
	}
}

func TestViews(t *testing.T) {
	w := newWorld()
	item := detailed(freebusy.Busy, 9, 10, openItem)
	bare := iv(freebusy.Busy, 9, 10)
	free := iv(freebusy.Free, 8, 9)
	elsewhere := iv(freebusy.WorkingElsewhere, 12, 13)
	// Unsorted, with entries outside and one that is empty.
	w.calendars["ana@contoso.com"] = []freebusy.Interval{elsewhere, item, iv(freebusy.OOF, 5, 8), iv(freebusy.OOF, 16, 17), iv(freebusy.OOF, 10, 10), free}
	w.people[addr("ana")].Permissions = []directory.Permission{{User: "Default", Level: freebusy.LevelFull}}
	w.people[addr("bo")].Permissions = nil // time only
	w.calendars["bo@contoso.com"] = w.calendars["ana@contoso.com"]
	const merged = "02000000"
	hours := &routing.Hours{Zone: wintz.UTCRule, Periods: []routing.Period{{Days: 0b0111110, Start: 480, End: 1020}}}
	events, times := []freebusy.Interval{free, item, elsewhere}, []freebusy.Interval{free, bare, elsewhere}
	type reply = routing.Reply
	tests := []struct {
		mailbox string
		view    freebusy.View
		want    reply
	}{
		{"ana", freebusy.ViewMergedOnly, reply{View: freebusy.ViewMergedOnly, Merged: merged}},
		{"ana", freebusy.ViewFreeBusy, reply{View: freebusy.ViewFreeBusy, Events: times, Hours: hours}},
		{"ana", freebusy.ViewFreeBusyMerged, reply{View: freebusy.ViewFreeBusyMerged, Merged: merged, Events: times, Hours: hours}},
		{"ana", freebusy.ViewDetailed, reply{View: freebusy.ViewDetailed, Events: events, Hours: hours}},
		{"ana", freebusy.ViewDetailedMerged, reply{View: freebusy.ViewDetailedMerged, Merged: merged, Events: events, Hours: hours}},
		{"bo", freebusy.ViewMergedOnly, reply{View: freebusy.ViewMergedOnly, Merged: merged}},
		{"bo", freebusy.ViewFreeBusyMerged, reply{View: freebusy.ViewFreeBusyMerged, Merged: merged, Events: times, Hours: hours}},
		{"bo", freebusy.ViewDetailed, reply{View: freebusy.ViewFreeBusy, Events: times, Hours: hours}},
		{"bo", freebusy.ViewDetailedMerged, reply{View: freebusy.ViewFreeBusyMerged, Merged: merged, Events: times, Hours: hours}},
	}
	for _, tt := range tests {
		t.Run(tt.mailbox+"/"+tt.view.String(), func(t *testing.T) {
			before := slices.Clone(w.calendars["ana@contoso.com"])
			got := w.ask(t, w.question(tt.view, tt.mailbox))[0].Reply
			tt.want.Address = addr(tt.mailbox)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(smtpaddr.Address{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, w.calendars["ana@contoso.com"]); diff != "" {
				t.Errorf("the calendar's own memory changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestUnknownZoneCostsOnlyWorkingHours(t *testing.T) {
	w := newWorld()
	w.people[addr("ana")].Calendar.TimeZone = "Middle Earth Standard Time"
	got := w.ask(t, w.question(freebusy.ViewFreeBusy, "ana", "bo"))
	if got[0].Err != nil || got[0].Hours != nil || len(got[0].Events) != 1 {
		t.Errorf("answer %+v", got[0])
	}
	if got[1].Hours == nil {
		t.Error("the other mailbox lost its hours")
	}
}

func TestTooManyEvents(t *testing.T) {
	w := newWorld()
	w.calendars["ana@contoso.com"] = slices.Repeat([]freebusy.Interval{iv(freebusy.Busy, 9, 10)}, freebusy.MaxEvents+7)
	w.calendars["bo@contoso.com"] = w.calendars["ana@contoso.com"][:freebusy.MaxEvents]
	got := w.ask(t, w.question(freebusy.ViewFreeBusyMerged, "ana", "bo"))
	if want := "TooManyEvents: The result set contains too many calendar entries. The allowed size = 1000; the actual size = 1007."; text(got[0]) != want {
		t.Errorf("got %q, want %q", text(got[0]), want)
	}
	if got[1].Err != nil || len(got[1].Events) != freebusy.MaxEvents {
		t.Errorf("exactly the limit: %d events, %v", len(got[1].Events), got[1].Err)
	}
	if got := w.ask(t, w.question(freebusy.ViewMergedOnly, "ana")); got[0].Merged != "02000000" {
		t.Errorf("merged only, where no event is listed: %v", short(got))
	}
}

func TestForwardedQuestions(t *testing.T) {
	names := []string{"ana", "moved", "kim@litware.com", "fabi", "x@wingtip.com", "x@unknown.example"}
	partner := availability.Caller{Partner: &trust.Caller{Realm: "litware.com"}}
	all := []string{"ana 02000000", "moved 20000000", "kim 20000000", "fabi 20000000", "x 20000000", "x NoRoute"}
	ours := []string{"ana 02000000", "moved ProxyNotAllowed", "kim ProxyNotAllowed", "fabi ProxyNotAllowed", "x ProxyNotAllowed", "x NoRoute"}
	site := slices.Clone(all)
	site[4] = "x ProxyNotAllowed"
	tests := []struct {
		name    string
		proxied availability.Proxied
		caller  availability.Caller
		want    []string
	}{
		{"a client", availability.NotProxied, availability.Caller{}, all},
		{"an older server of our own", availability.CrossSite, availability.Caller{}, site},
		{"another organization by its header", availability.CrossForest, availability.Caller{}, ours},
		{"another organization", availability.CrossForest, partner, ours},
		{"another organization without header", availability.NotProxied, partner, ours},
		{"another organization that says it is one of us", availability.CrossSite, partner, ours},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			q := w.question(freebusy.ViewMergedOnly, names...)
			q.Proxied, q.Caller = tt.proxied, tt.caller
			got := w.ask(t, q)
			if diff := cmp.Diff(tt.want, short(got)); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			if tt.want[1] == ours[1] {
				if len(w.queries) != 0 {
					t.Errorf("forwarded: %v", w.queries)
				}
				if want := "ProxyNotAllowed: The cross-organization request for mailbox moved@contoso.mail.example is not allowed because the requester is from a different organization"; text(got[1]) != want {
					t.Errorf("text %q, want %q", text(got[1]), want)
				}
			}
		})
	}
}

func TestMailUserWhoseTargetIsHere(t *testing.T) {
	w := newWorld()
	w.mailUser("alias", "ana@contoso.com")
	w.mailUser("self", "self@contoso.com")
	w.mailUser("ping", "pong@contoso.com")
	w.mailUser("pong", "ping@contoso.com")
	w.mailUser("gone", "gone2@contoso.com")
	w.mailUser("other", "moved@contoso.com")
	got := w.ask(t, w.question(freebusy.ViewMergedOnly, "alias", "self", "ping", "pong", "gone", "other"))
	want := []string{"alias 02000000", "self RecipientNotFound", "ping RecipientNotFound", "pong RecipientNotFound", "gone RecipientNotFound", "other RecipientNotFound"}
	if diff := cmp.Diff(want, short(got)); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if want := "RecipientNotFound: Unable to resolve e-mail address gone2@contoso.com to an Active Directory object."; text(got[4]) != want {
		t.Errorf("text %q, want %q", text(got[4]), want)
	}
}

func TestOldServerUsesAddressSpaces(t *testing.T) {
	w := newWorld()
	e := w.engine(t)
	old := &directory.Server{Common: named("legacy"), AdminDisplayVersion: directory.Version{Major: 14, Minor: 3}}
	for range 2 { // the tables of both servers are kept side by side
		q := w.question(freebusy.ViewMergedOnly, "kim@litware.com", "x@wingtip.com")
		q.Server = old
		got, err := e.Ask(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"kim NoRoute", "x 20000000"}, short(got)); diff != "" {
			t.Errorf("old server (-want +got):\n%s", diff)
		}
		q.Server = &directory.Server{Common: named("new"), AdminDisplayVersion: directory.OAuthVersion}
		if got, err = e.Ask(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"kim 20000000", "x 20000000"}, short(got)); diff != "" {
			t.Errorf("new server (-want +got):\n%s", diff)
		}
	}
}

func TestNewVersionOfTheOrganizationCounts(t *testing.T) {
	w := newWorld()
	e := w.engine(t)
	ask := func(want string) {
		t.Helper()
		got, err := e.Ask(t.Context(), w.question(freebusy.ViewMergedOnly, "kim@litware.com"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{want}, short(got)); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	}
	ask("kim 20000000")
	next := *w.org
	next.Version++
	next.Connectors = nil
	w.org = &next
	ask("kim NoRoute")
}

func TestAnotherOrganizationsRecipientIsAnError(t *testing.T) {
	w := newWorld()
	w.people[addr("ana")].Org = "fabrikam"
	if diff := cmp.Diff([]string{"ana GenerationFailed", "bo 33333333"}, short(w.ask(t, w.question(freebusy.ViewMergedOnly, "ana", "bo")))); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestWhyARouteWasChosenIsLogged(t *testing.T) {
	w := newWorld()
	var b bytes.Buffer
	c := w.config(t)
	c.Log = slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e, err := availability.New(c)
	if err != nil {
		t.Fatal(err)
	}
	q := w.question(freebusy.ViewMergedOnly, "moved", "nobody")
	q.Server = &directory.Server{Common: named("mail"), AdminDisplayVersion: directory.OAuthVersion}
	if _, err := e.Ask(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`msg=route org=contoso request_id=r1 mailbox=moved@contoso.com route=connector target=moved@contoso.mail.example object=ToCloud match=contoso.mail.example server=mail server_version="Version 15.0 (Build 847.32)"`,
		`mailbox=nobody@contoso.com route=none target=nobody@contoso.com object="" match=contoso.com server=mail server_version="Version 15.0 (Build 847.32)" err=RecipientNotFound`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, b.String())
		}
	}
}
