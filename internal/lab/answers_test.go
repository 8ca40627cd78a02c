package lab_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/source/calstore"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/store/sqlitestore"
	"busybridge/internal/trust"
)

var answersSeed = flag.Uint64("answers.seed", 0, "of the questions and changes of TestEveryAnswerWasTrueAtSomeMoment; 0: another one each time")

// TestEveryAnswerWasTrueAtSomeMoment asks and changes the same few mailboxes at
// the same time, through two nodes that share a database: events come, change and
// go, zones and permissions change, mailboxes go and come again. Afterwards every
// answer must be that of the model at some moment between question and answer. Of
// what the other node changed it may be that of a moment up to a second before,
// another one for the calendar than for the mailbox.
func TestEveryAnswerWasTrueAtSomeMoment(t *testing.T) {
	seed := *answersSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again with -answers.seed=%d, though not with the same timing", seed)
	changes := 40
	if testing.Short() || raced {
		changes = 10
	}
	tr := newTrial(t, seed, changes)
	tr.run()
	for name, err := range tr.explain() {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Log(tr.told())
}

// Each fault is one that a cache could have. The checker must find every one.
func TestTheCheckerFindsAStaleCache(t *testing.T) {
	if raced {
		t.Skip("the checker is tried without the race detector, with which a store is slow")
	}
	for _, tt := range []struct {
		name string
		harm func(*node)
	}{
		{"calendars are remembered too long", func(n *node) { n.engine = n.over(n.store, &lazyCalendars{Calendars: n.calendars}) }},
		{"recipients are remembered too long", func(n *node) {
			n.engine = n.over(&lazyRecipients{node: n, every: behind / 5}, n.calendars)
		}},
		{"what another process did is seen too late", func(n *node) {
			if n.number == 1 {
				n.engine = n.over(&lazyRecipients{node: n, every: 4 * behind}, n.calendars)
			}
		}},
		{"the store hides some changes of calendars", func(n *node) {
			n.calendars = n.answering(&hidingStore{Store: n.store})
			n.engine = n.over(n.store, n.calendars)
		}},
		{"an answer has half of a file", func(n *node) { n.engine = n.over(n.store, halfCalendars{n.calendars}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// It depends on the timing whether the fault shows.
			for seed := range uint64(5) {
				tr := newTrial(t, seed, 10)
				tr.harmed = true
				for _, n := range tr.nodes {
					tt.harm(n)
				}
				tr.run()
				for _, err := range tr.explain() {
					if err != nil {
						first, _, _ := strings.Cut(err.Error(), "\n")
						t.Logf("found: %s", first)
						return
					}
				}
			}
			t.Error("not found")
		})
	}
}

// The clock of a trial runs so much faster, so that a second is soon over.
const haste = 10

const contoso = "contoso.com"

// A trial is a few mailboxes, those who change them, and those who ask.
type trial struct {
	*testing.T
	seed    uint64
	changes int // of each that changes something
	began   time.Time
	org     *directory.Organization
	lookers [lookers]availability.Caller
	nodes   [2]*node
	boxes   [3]*target
	group   *directory.Recipient

	version atomic.Int64 // of events
	moment  atomic.Int64 // grows when a change begins and when it is acknowledged
	given   atomic.Int64 // changes that were given up
	failed  atomic.Bool
	harmed  bool

	mu    sync.Mutex // guards what follows
	stir  *sync.Cond // moment grew
	ended int        // of those that change something
}

// A target is a mailbox that is changed and asked for.
type target struct {
	address smtpaddr.Address
	start   box

	mu    sync.Mutex // guards what follows
	acts  []act[box]
	lives []life
}

// A life is how long a mailbox had one zone and the same permissions; to is 0
// until it is over. The events of its box do not count.
type life struct {
	from, to time.Duration
	box      box
}

// A node is what a process has of its own.
type node struct {
	*trial
	number    int
	store     *sqlitestore.Store
	calendars *calstore.Calendars
	engine    *availability.Engine
}

func newTrial(t *testing.T, seed uint64, changes int) *trial {
	t.Helper()
	tr := &trial{T: t, seed: seed, changes: changes, began: time.Now()}
	tr.stir = sync.NewCond(&tr.mu)
	path := filepath.Join(t.TempDir(), "answers.db")
	for i := range tr.nodes {
		s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{Now: tr.now, SealKey: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		n := &node{trial: tr, number: i, store: s}
		n.calendars = n.answering(s)
		n.engine = n.over(s, n.calendars)
		tr.nodes[i] = n
	}
	db := tr.nodes[0].store
	tr.org = &directory.Organization{
		ID: "c0000000-0000-4000-8000-000000000001", Name: "contoso", AuthConfig: directory.AuthConfig{ServiceName: directory.ExchangeAppID},
		AcceptedDomains: []directory.AcceptedDomain{{Common: directory.Common{Name: contoso}, DomainName: contoso, DomainType: "Authoritative", Default: true}},
	}
	if err := db.CreateOrganization(t.Context(), tr.org); err != nil {
		t.Fatal(err)
	}
	person := func(r *directory.Recipient) *directory.Recipient {
		t.Helper()
		r.Org, r.DisplayName, r.Alias, r.Enabled = tr.org.ID, r.Primary.Local(), r.Primary.Local(), true
		if err := db.CreateRecipient(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	tr.group = &directory.Recipient{Type: directory.MailGroup, Primary: smtpaddr.Must("team@" + contoso)}
	for i := range tr.boxes {
		b := &target{address: smtpaddr.Must(fmt.Sprintf("box%d@%s", i, contoso))}
		b.start = box{zone: modelZones[0].name, byDefault: freebusy.LevelTime}
		b.start.id = person(mailboxOf(tr.org.ID, b.address, &b.start)).ID
		b.lives = []life{{box: b.start}}
		tr.boxes[i] = b
		tr.group.Members = append(tr.group.Members, b.address)
	}
	person(tr.group)
	for _, l := range []looker{colleague, somebody} {
		a := smtpaddr.Must(fmt.Sprintf("looker%d@%s", l, contoso))
		tr.lookers[l].Recipient = person(&directory.Recipient{Type: directory.UserMailbox, Primary: a, UPN: a.String(), Calendar: directory.DefaultCalendar("UTC")})
	}
	tr.lookers[partner].Partner = &trust.Caller{Application: &directory.PartnerApplication{UseAuthServer: true}}
	return tr
}

// answering returns Calendars over a store.
func (n *node) answering(s calstore.Store) *calstore.Calendars {
	// The second node has no room for all of it.
	c, err := calstore.New(calstore.Config{Store: s, Now: n.now, Log: n.log(), CacheBytes: []int{0, 4 << 10}[n.number]})
	if err != nil {
		n.Fatal(err)
	}
	return c
}

// over returns an engine.
func (n *node) over(r availability.Recipients, c availability.Calendars) *availability.Engine {
	e, err := availability.New(availability.Config{Recipients: r, Calendars: c, Peers: nobody{}, Log: n.log()})
	if err != nil {
		n.Fatal(err)
	}
	return e
}

type nobody struct{}

func (nobody) Ask(context.Context, *directory.Organization, routing.Route, routing.Query) ([]routing.Reply, error) {
	return nil, errors.New("there is no other organization")
}

func (tr *trial) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(tr.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (tr *trial) since() time.Duration { return haste * time.Since(tr.began) }
func (tr *trial) now() time.Time       { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).Add(tr.since()) }

// fail reports once what should not have happened at all. Over a harmed store a
// change may fail, too: the checker has to find the wrong answers.
func (tr *trial) fail(format string, args ...any) {
	if tr.failed.CompareAndSwap(false, true) && !tr.harmed {
		tr.Errorf(format, args...)
	}
}

// stirred tells those who wait that something has begun or ended.
func (tr *trial) stirred() {
	tr.moment.Add(1)
	tr.stir.Broadcast()
}

// run changes and asks until all changes are made.
func (tr *trial) run() {
	var wg sync.WaitGroup
	writers := 0
	for i, b := range tr.boxes {
		// The first mailbox is changed through the first node only, the second one
		// through the second, the third through both.
		by := [][3]int{{0, 0, 0}, {1, 1, 1}, {0, 1, 0}}[i]
		for k := range by {
			n := tr.nodes[by[k]]
			rng := rand.New(rand.NewPCG(tr.seed, uint64(10*i+k)))
			change := n.changeEvents
			if k == 2 {
				change = n.changeMailbox
			}
			writers++
			wg.Go(func() {
				for range tr.changes {
					change(rng, b)
				}
				tr.mu.Lock()
				tr.ended++
				tr.mu.Unlock()
				tr.stirred()
			})
		}
	}
	over := func() bool { return tr.ended == writers }
	for k := range 4 {
		rng := rand.New(rand.NewPCG(tr.seed, uint64(1000+k)))
		wg.Go(func() { tr.nodes[k%2].askOften(rng, over) })
	}
	wg.Wait()
	for _, n := range tr.nodes {
		n.engine.Wait()
	}
}

// changed runs do, which is one change of b, and keeps it as an act.
func (n *node) changed(b *target, what string, do func() error, change func(box) (box, bool)) {
	a := act[box]{what: what, node: n.number, change: change, from: n.since()}
	n.stirred()
	err := do()
	a.to = n.since()
	n.stirred()
	switch {
	case errors.Is(err, directory.ErrCalendarChanged): // nothing was: two processes read it in two zones
		n.given.Add(1)
		return
	case errors.Is(err, directory.ErrNotFound):
		a.what += ", but the mailbox is gone"
		possible := change
		a.change = func(s box) (box, bool) { _, ok := possible(s); return s, !ok }
	case err != nil:
		n.fail("%s: %v", what, err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acts = append(b.acts, a)
	last := &b.lives[len(b.lives)-1]
	if next, ok := a.change(last.box); ok && next.events == last.box.events {
		last.to = a.to
		b.lives = append(b.lives, life{from: a.from, box: next})
	}
}

// changeEvents imports some, puts one, or deletes one.
func (n *node) changeEvents(rng *rand.Rand, b *target) {
	r, err := n.store.Recipient(n.Context(), n.org.ID, b.address)
	if errors.Is(err, directory.ErrNotFound) {
		return
	}
	if err != nil {
		n.fail("%v", err)
		return
	}
	slot := rng.IntN(len(box{}.events))
	name := calstore.ObjectName(&directory.CalendarObject{UID: uidOf(slot)})
	switch rng.IntN(4) {
	case 0:
		n.changed(b, "delete "+uidOf(slot)+" of "+r.ID, func() error {
			return n.calendars.DeleteObject(n.Context(), r, "", name, calstore.Condition{})
		}, func(s box) (box, bool) {
			there := s.id == r.ID && s.events[slot].version > 0
			s.events[slot] = entry{}
			return s, there
		})
	case 1:
		e := drawEntry(rng, int(n.version.Add(1)))
		e.kind = max(e.kind, absolute)
		n.changed(b, fmt.Sprintf("put %s of %s: %+v", uidOf(slot), r.ID, e), func() error {
			_, err := n.calendars.PutObject(n.Context(), r, "", name, []byte(calendarOf(e.vevent(slot))), calstore.Condition{})
			return err
		}, func(s box) (box, bool) {
			s.events[slot] = e // whatever its version
			return s, s.id == r.ID
		})
	default:
		n.importEvents(rng, b, r)
	}
}

func calendarOf(events string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//busybridge//answers//EN\r\n" + events + "END:VCALENDAR\r\n"
}

// importEvents imports a file of some events, which counts as a whole.
func (n *node) importEvents(rng *rand.Rand, b *target, r *directory.Recipient) {
	file := map[int]entry{}
	text := ""
	what := "import into " + r.ID
	for range 1 + rng.IntN(3) {
		slot := rng.IntN(len(box{}.events))
		if _, twice := file[slot]; !twice {
			e := drawEntry(rng, int(n.version.Add(1)))
			file[slot] = e
			text += e.vevent(slot)
			what += fmt.Sprintf(" %d:%+v", slot, e)
		}
	}
	n.changed(b, what, func() error {
		_, err := n.calendars.Import(n.Context(), r, "a.ics", strings.NewReader(calendarOf(text)))
		return err
	}, func(s box) (box, bool) {
		if s.id != r.ID {
			return s, false
		}
		for slot, e := range file {
			if e.version > s.events[slot].version {
				s.events[slot] = e
			}
		}
		return s, true
	})
}

// changeMailbox changes its zone or its permissions, or takes it away and makes a new one.
func (n *node) changeMailbox(rng *rand.Rand, b *target) {
	r, err := n.store.Recipient(n.Context(), n.org.ID, b.address)
	if err != nil {
		n.fail("%v", err)
		return
	}
	if rng.IntN(15) == 0 {
		n.changed(b, "delete "+r.ID, func() error { return n.store.DeleteRecipient(n.Context(), n.org.ID, r.ID) },
			func(s box) (box, bool) { return box{}, s.id == r.ID })
		fresh := box{zone: modelZones[rng.IntN(len(modelZones))].name, byDefault: freebusy.LevelFull}
		made := mailboxOf(n.org.ID, b.address, &fresh)
		n.changed(b, "create", func() error { return n.store.CreateRecipient(n.Context(), made) },
			func(s box) (box, bool) { is := fresh; is.id = made.ID; return is, s.id == "" })
		return
	}
	zone, level := modelZones[rng.IntN(len(modelZones))].name, freebusy.Level(rng.IntN(int(freebusy.LevelOwner)))
	var set func(*box)
	var what string
	switch rng.IntN(3) {
	case 0:
		what, set = "zone "+zone, func(s *box) { s.zone = zone }
	case 1:
		what, set = "for anybody "+level.String(), func(s *box) { s.byDefault = level }
	case 2:
		own := rng.IntN(3) > 0
		what, set = fmt.Sprint("for the colleague ", own, " ", level), func(s *box) { s.own, s.toColleague = own, level }
	}
	n.changed(b, what, func() error {
		_, err := n.store.UpdateRecipient(n.Context(), n.org.ID, r.ID, func(r *directory.Recipient) error {
			s := boxOf(r)
			set(&s)
			*r = *withBox(r, &s)
			return nil
		})
		return err
	}, func(s box) (box, bool) {
		if s.id != r.ID {
			return s, false
		}
		set(&s)
		return s, true
	})
}

const colleagueEntry = "looker1@" + contoso

func mailboxOf(org directory.OrgID, a smtpaddr.Address, s *box) *directory.Recipient {
	return withBox(&directory.Recipient{Org: org, Type: directory.UserMailbox, Primary: a, DisplayName: a.Local(), Alias: a.Local(), UPN: a.String(), Enabled: true}, s)
}

// withBox is r with the zone and the permissions of s.
func withBox(r *directory.Recipient, s *box) *directory.Recipient {
	r.Calendar = directory.DefaultCalendar(s.zone)
	r.Permissions = []directory.Permission{{User: "Default", Level: s.byDefault}}
	if s.own {
		r.Permissions = append(r.Permissions, directory.Permission{User: colleagueEntry, Level: s.toColleague})
	}
	return r
}

// boxOf is the zone and the permissions of r.
func boxOf(r *directory.Recipient) box {
	s := box{zone: r.Calendar.TimeZone}
	for _, p := range r.Permissions {
		if p.User == "Default" {
			s.byDefault = p.Level
		} else {
			s.own, s.toColleague = true, p.Level
		}
	}
	return s
}

// askOften asks until the changes are over, and once more then. It keeps an
// answer that differs from the one before, and one for each moment.
func (n *node) askOften(rng *rand.Rand, over func() bool) {
	for last := false; !last; {
		n.mu.Lock()
		last = over()
		n.mu.Unlock()
		moment := n.moment.Load()
		q := drawInquiry(rng)
		people := n.pick(rng, q.by)
		before := make([]string, len(n.boxes))
		// A question is repeated while nothing happens, but not for ever.
		for range 20 {
			if !n.ask(&q, people, before) || n.moment.Load() != moment {
				break
			}
		}
		n.mu.Lock()
		for !over() && n.moment.Load() == moment {
			n.stir.Wait()
		}
		n.mu.Unlock()
	}
}

// pick draws whom a question is about: some of the mailboxes, or all of them as a group.
func (n *node) pick(rng *rand.Rand, by looker) (people []int) {
	if by == owner {
		return []int{rng.IntN(len(n.boxes))}
	}
	if rng.IntN(4) == 0 {
		return nil
	}
	for i := range n.boxes {
		if i == 0 || rng.IntN(2) == 0 {
			people = append(people, i)
		}
	}
	return people
}

// ask asks one question about people, or the group, and keeps those answers that
// are not the same as before.
func (n *node) ask(q *inquiry, people []int, before []string) bool {
	ask := availability.Question{Org: n.org, Caller: n.lookers[q.by], Window: q.window, View: q.view, Slot: q.slot}
	if q.by == owner {
		ask.Caller.Recipient = &directory.Recipient{Org: n.org.ID, ID: "the owner's", Type: directory.UserMailbox, Primary: n.boxes[people[0]].address}
	}
	if people == nil {
		ask.Members = true
		ask.Attendees = []availability.Attendee{{Raw: n.group.Primary.String(), Address: n.group.Primary}}
	}
	for _, i := range people {
		ask.Attendees = append(ask.Attendees, availability.Attendee{Raw: n.boxes[i].address.String(), Address: n.boxes[i].address})
	}
	from := n.since()
	answers, err := n.engine.Ask(n.Context(), &ask)
	to := n.since()
	if err != nil {
		n.fail("%v: %v", q, err)
		return false
	}
	if people != nil {
		for k, i := range people {
			n.answered(i, q, from, to, tell(&answers[k]), before, func(s box) string { return q.answer(s) })
		}
		return true
	}
	a := &answers[0]
	merged := inquiry{by: q.by, view: freebusy.ViewMergedOnly, window: q.window, slot: q.slot}
	if a.Err != nil { // nobody of it may be seen by a partner
		a.Members = make([]string, len(n.boxes))
	} else if want := together(q.window.Slots(q.slot), a.Members); len(a.Members) != len(n.boxes) || a.Merged != want {
		n.fail("%v: of the members %q the group is %s, want %s", q, a.Members, a.Merged, want)
		return false
	}
	for i, m := range a.Members {
		n.answered(i, q, from, to, m, before, func(s box) string {
			_, digits, _ := strings.Cut(merged.answer(s), freebusy.ViewMergedOnly.String()+" ")
			return digits
		})
	}
	return true
}

// together is the highest digit of all that are known, else 4.
func together(n int, members []string) string {
	out := strings.Split(strings.Repeat("4", n), "")
	for i := range out {
		for _, m := range members {
			if m != "" && (out[i] == "4" || m[i:i+1] > out[i]) {
				out[i] = m[i : i+1]
			}
		}
	}
	return strings.Join(out, "")
}

func (n *node) answered(i int, q *inquiry, from, to time.Duration, got string, before []string, says func(box) string) {
	if before[i] == "="+got {
		return
	}
	before[i] = "=" + got
	b := n.boxes[i]
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acts = append(b.acts, act[box]{what: q.String(), node: n.number, from: from, to: to, says: says, got: got})
}

// explain judges each mailbox.
func (tr *trial) explain() map[string]error {
	out := map[string]error{}
	for _, b := range tr.boxes {
		for i := range b.acts {
			a := &b.acts[i]
			if a.change == nil && slices.ContainsFunc(b.acts, func(c act[box]) bool { return c.change != nil && c.node != a.node }) {
				a.also = b.mixed(a.from-behind, a.to)
			}
		}
		out[b.address.String()] = explain(b.start, b.acts, behind)
	}
	return out
}

// mixed gives a state the zone and the permissions that the mailbox had at
// another moment between from and to. The events of a mailbox are gone with it.
func (b *target) mixed(from, to time.Duration) func(box) []box {
	return func(s box) (out []box) {
		for _, l := range b.lives {
			if l.from <= to && (l.to == 0 || l.to >= from) {
				other := l.box
				if other.id == s.id {
					other.events = s.events
				}
				out = append(out, other)
			}
		}
		return out
	}
}

// told says how much was asked and changed.
func (tr *trial) told() string {
	changes, answers := 0, 0
	for _, b := range tr.boxes {
		for i := range b.acts {
			if b.acts[i].change != nil {
				changes++
			} else {
				answers++
			}
		}
	}
	if given := tr.given.Load(); given > int64(changes)/20 {
		tr.Errorf("%d changes were given up, of %d", given, changes)
	}
	return fmt.Sprintf("%d changes, %d given up, and %d answers in %v", changes, tr.given.Load(), answers, tr.since()/haste)
}

// lazyCalendars answers every other time from what a calendar was before.
type lazyCalendars struct {
	availability.Calendars
	mu   sync.Mutex // guards what follows
	kept map[lazyKey][]freebusy.Interval
	turn int
}

type lazyKey struct {
	mailbox, zone string
	details       bool
}

func (l *lazyCalendars) Busy(ctx context.Context, org directory.OrgID, r *directory.Recipient, w freebusy.Window, details bool) ([]freebusy.Interval, error) {
	spring := freebusy.Window{Start: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}
	if w.End.After(spring.End) {
		return l.Calendars.Busy(ctx, org, r, w, details)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	k := lazyKey{r.ID, r.Calendar.TimeZone, details}
	l.turn++
	if iv, ok := l.kept[k]; ok && l.turn%2 == 0 {
		return iv, nil // of which the engine takes what overlaps w
	}
	iv, err := l.Calendars.Busy(ctx, org, r, spring, details)
	if err == nil {
		if l.kept == nil {
			l.kept = map[lazyKey][]freebusy.Interval{}
		}
		l.kept[k] = iv
	}
	return iv, err
}

// lazyRecipients looks an address up at most once in a time.
type lazyRecipients struct {
	*node
	every time.Duration
	mu    sync.Mutex // guards kept
	kept  map[smtpaddr.Address]lookedUp
}

type lookedUp struct {
	at time.Duration
	r  *directory.Recipient
}

func (l *lazyRecipients) Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.since()
	if k, ok := l.kept[a]; ok && at-k.at < l.every {
		return k.r, nil
	}
	r, err := l.store.Recipient(ctx, org, a)
	if err == nil {
		if l.kept == nil {
			l.kept = map[smtpaddr.Address]lookedUp{}
		}
		l.kept[a] = lookedUp{at, r}
	}
	return r, err
}

// hidingStore does not tell of a calendar's months what they have become.
type hidingStore struct {
	calstore.Store
	mu   sync.Mutex // guards kept
	kept map[string][]directory.CalendarMonth
}

func (h *hidingStore) CalendarMonths(ctx context.Context, org directory.OrgID, mailbox string, from, to int) (int64, []directory.CalendarMonth, error) {
	v, months, err := h.Store.CalendarMonths(ctx, org, mailbox, from, to)
	h.mu.Lock()
	defer h.mu.Unlock()
	k := fmt.Sprint(mailbox, from, to)
	if old, ok := h.kept[k]; ok && v%3 == 0 {
		return v, old, err
	}
	if h.kept == nil {
		h.kept = map[string][]directory.CalendarMonth{}
	}
	h.kept[k] = months
	return v, months, err
}

// halfCalendars leaves out the last entry where there are several.
type halfCalendars struct{ availability.Calendars }

func (h halfCalendars) Busy(ctx context.Context, org directory.OrgID, r *directory.Recipient, w freebusy.Window, details bool) ([]freebusy.Interval, error) {
	iv, err := h.Calendars.Busy(ctx, org, r, w, details)
	return iv[:max(len(iv)-1, min(len(iv), 3))], err
}
