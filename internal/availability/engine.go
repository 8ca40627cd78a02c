// Package availability answers questions about free/busy: it splits the
// addresses by route, asks all routes at once under one deadline, and never
// lets one address spoil another.
package availability

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/smtpaddr"
)

// Limits of one question (EWS reference 2.2).
const (
	// MaxAttendees is the number of addresses of one question, and of one
	// question that leaves by a route.
	MaxAttendees = 100
	// MaxMembers is the number of members of a group, nested ones included.
	MaxMembers = 100
	// maxEntries bounds the addresses of a question with the members of its groups.
	maxEntries = 1000
)

// The errors of a question that cannot be asked at all. Window and slot have
// those of package freebusy.
var (
	ErrNoAttendees      = errors.New("availability: no attendees")
	ErrTooManyAttendees = errors.New("availability: too many attendees")
	ErrNoView           = errors.New("availability: no such view")
)

// Config is what an Engine needs.
type Config struct {
	Recipients Recipients   // required
	Calendars  Calendars    // required
	Peers      Peers        // required
	Log        *slog.Logger // required

	// Timeout bounds a whole question, 25 s unless set; PeerTimeout what leaves
	// by a route, 20 s unless set (EWS reference 3.3).
	Timeout, PeerTimeout time.Duration
	// LocalReads is how many of one question's calendars here are read at once,
	// 8 unless set. A read that waits long does not count any more.
	LocalReads int
}

// An Engine answers questions. It may be used by many goroutines.
type Engine struct {
	Config
	knownRecipients knownRecipients // nil: none
	knownCalendars  knownCalendars  // nil: none
	promptPeers     promptPeers     // nil: none
	tables          tables
	hours           hours
	memory          sync.Pool // of *[]freebusy.Interval
	wg              sync.WaitGroup
}

// New returns an engine.
func New(c Config) (*Engine, error) {
	if c.Recipients == nil || c.Calendars == nil || c.Peers == nil || c.Log == nil {
		return nil, errors.New("availability: Recipients, Calendars, Peers and Log are required")
	}
	if c.Timeout < 0 || c.PeerTimeout < 0 || c.LocalReads < 0 {
		return nil, errors.New("availability: Timeout, PeerTimeout and LocalReads are not negative")
	}
	if c.Timeout == 0 {
		c.Timeout = 25 * time.Second
	}
	if c.PeerTimeout == 0 {
		c.PeerTimeout = 20 * time.Second
	}
	if c.LocalReads == 0 {
		c.LocalReads = 8
	}
	e := &Engine{Config: c}
	e.knownRecipients, _ = c.Recipients.(knownRecipients)
	e.knownCalendars, _ = c.Calendars.(knownCalendars)
	e.promptPeers, _ = c.Peers.(promptPeers)
	return e, nil
}

// Wait returns when no source or peer is at work any more. Answers do not wait
// for one that goes on after the deadline; a program that stops does, when
// nobody asks any more.
func (e *Engine) Wait() { e.wg.Wait() }

// Ask returns one answer for each attendee, in the same order. It fails only
// when nothing can be asked, or when ctx is cancelled. Answers to the same
// address share memory: they are read-only.
func (e *Engine) Ask(ctx context.Context, q *Question) ([]Answer, error) {
	answers := make([]Answer, len(q.Attendees))
	err := e.each(ctx, q, nil, func(i int, a *Answer) error {
		answers[i] = *a
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answers, nil
}

// Each is Ask for who needs one answer at a time: it calls do with each, in the
// order of the attendees, from this goroutine. What an answer holds is good until
// do returns. Errors are those of Ask, before do is called, and the first of do.
func (e *Engine) Each(ctx context.Context, q *Question, do func(i int, a *Answer) error) error {
	memory, _ := e.memory.Get().(*[]freebusy.Interval)
	if memory == nil {
		memory = new([]freebusy.Interval)
	}
	err := e.each(ctx, q, memory, do)
	if cap(*memory) <= 4*freebusy.MaxEvents {
		clear((*memory)[:cap(*memory)]) // details would keep calendars alive
		e.memory.Put(memory)
	}
	return err
}

// each reads what is in memory only when its turn comes, into memory, which may be nil.
func (e *Engine) each(ctx context.Context, q *Question, memory *[]freebusy.Interval, do func(i int, a *Answer) error) error {
	if err := check(q); err != nil {
		return err
	}
	a := &asking{e: e, q: q, table: e.tables.of(q.Org, q.Server), slot: q.Slot, viewer: NewViewer(q.Org, q.Caller),
		memory: memory, entries: make([]*entry, 0, len(q.Attendees)), slab: make([]entry, 0, len(q.Attendees)), at: make(map[smtpaddr.Address]int, len(q.Attendees))}
	if a.slot == 0 {
		a.slot = freebusy.DefaultSlot
	}
	for _, at := range q.Attendees {
		if !at.Address.IsZero() {
			a.entry(at.Address).direct = true
		}
	}
	defer a.stop()
	a.resolve(ctx)
	replies := a.ask(ctx)
	var answer Answer
	for i, at := range q.Attendees {
		if err := ctx.Err(); errors.Is(err, context.Canceled) {
			return fmt.Errorf("ask %d addresses: %w", len(q.Attendees), err)
		}
		if at.Address.IsZero() {
			answer = Answer{Reply: routing.Reply{Err: invalidAddress(at.Raw)}}
		} else {
			n := a.at[at.Address]
			if en := a.entries[n]; en.later {
				replies[n] = a.readLate(ctx, en)
			}
			answer = Answer{Reply: a.answer(n, replies), Members: a.members(n, replies)}
		}
		if err := do(i, &answer); err != nil {
			return err
		}
	}
	return nil
}

// limited is ctx with the deadline of the question. What is in memory needs none:
// it is made when something is asked for first.
func (a *asking) limited(ctx context.Context) context.Context {
	if a.ctx == nil {
		a.ctx, a.cancel = context.WithTimeout(ctx, a.e.Timeout)
	}
	return a.ctx
}

func (a *asking) stop() {
	if a.cancel != nil {
		a.cancel()
	}
}

func check(q *Question) error {
	if len(q.Attendees) == 0 {
		return ErrNoAttendees
	}
	if n := len(q.Attendees); n > MaxAttendees {
		return fmt.Errorf("%w: The allowed size = %d; the actual size = %d", ErrTooManyAttendees, MaxAttendees, n)
	}
	if _, err := freebusy.NewWindow(q.Window.Start, q.Window.End); err != nil {
		return err
	}
	if q.Slot != 0 && (q.Slot < freebusy.MinSlot || q.Slot > freebusy.MaxSlot) {
		return fmt.Errorf("%w: %v, allowed %v to %v", freebusy.ErrSlot, q.Slot, freebusy.MinSlot, freebusy.MaxSlot)
	}
	if q.View == freebusy.ViewNone || q.View.String() == "" {
		return fmt.Errorf("%w: %d", ErrNoView, q.View)
	}
	return nil
}

// An asking is one question while it is answered. Its entries are the
// different addresses that were asked for, then members of groups.
type asking struct {
	e       *Engine
	q       *Question
	table   *routing.Table
	slot    time.Duration
	viewer  Viewer
	entries []*entry
	slab    []entry                  // entries that are not yet used
	at      map[smtpaddr.Address]int // index in entries
	memory  *[]freebusy.Interval     // of one answer; nil: each has its own
	mark    uint64                   // of the directory, before recipients were looked up

	ctx    context.Context // of limited; nil: not needed yet
	cancel context.CancelFunc
}

// An entry is one address of a question.
type entry struct {
	asked  smtpaddr.Address
	route  routing.Route
	err    *routing.MailboxError // it cannot be asked
	hidden bool                  // the caller is not told err
	direct bool                  // asked for itself
	member bool                  // asked for as a member of a group
	known  bool                  // its recipient was in memory
	later  bool                  // it is read when its turn comes
	leaves []int                 // of a group: its members that are no groups
}

func (e *entry) isGroup() bool {
	return e.err == nil && e.route.Kind == routing.Local && e.route.Recipient.Type == directory.MailGroup
}

// entry returns the entry of an address, made when there is none.
func (a *asking) entry(addr smtpaddr.Address) *entry {
	i, ok := a.at[addr]
	if !ok {
		i = len(a.entries)
		a.at[addr] = i
		if len(a.slab) == cap(a.slab) { // members of groups
			a.slab = make([]entry, 0, 2*cap(a.slab))
		}
		a.slab = append(a.slab, entry{asked: addr})
		a.entries = append(a.entries, &a.slab[len(a.slab)-1])
	}
	return a.entries[i]
}

// resolve looks all entries up, the members of groups too, and finds their
// routes. It takes at most two fifths of the time (10 s of 25; EWS reference
// 3.3), so that an address whose look-up hangs leaves time to ask for others.
func (a *asking) resolve(ctx context.Context) {
	if a.e.knownRecipients != nil {
		a.mark, _ = a.e.knownRecipients.DirectoryMark()
	}
	var look context.Context // nil until something must be read
	for from := 0; from < len(a.entries); {
		round := a.entries[from:]
		from = len(a.entries)
		var slow []*entry
		for _, en := range round {
			if !a.lookUpKnown(ctx, en) {
				slow = append(slow, en)
			}
		}
		if len(slow) > 0 {
			if look == nil {
				var cancel context.CancelFunc
				look, cancel = context.WithTimeout(a.limited(ctx), a.e.Timeout*2/5)
				defer cancel()
			}
			a.loadRecipients(look, slow)
			a.lookUpAll(look, slow)
		}
		for _, en := range round {
			a.explain(ctx, en)
			if en.isGroup() {
				a.addMembers(en)
			}
		}
	}
	for _, en := range a.entries {
		if en.direct && en.isGroup() {
			a.expand(en)
		}
	}
}

type resolved struct {
	route  routing.Route
	err    *routing.MailboxError
	hidden bool
}

func (e *entry) resolve(r resolved) { e.route, e.err, e.hidden = r.route, r.err, r.hidden }

// lookUpKnown is lookUp for an address whose recipient is in memory.
func (a *asking) lookUpKnown(ctx context.Context, en *entry) (known bool) {
	if a.e.knownRecipients == nil {
		return false
	}
	defer a.e.contain(ctx, "look up", en.asked, func() { known = false })
	r, ok := a.e.knownRecipients.RecipientKnown(a.q.Org.ID, en.asked)
	if !ok {
		return false
	}
	route := a.table.Route(en.asked, r)
	if route.Kind == routing.None {
		return false // for what else may be looked up
	}
	en.resolve(a.judge(en.asked, r, route))
	en.known = true
	return true
}

// lookUpAll looks entries up that need to be read.
func (a *asking) lookUpAll(ctx context.Context, entries []*entry) {
	b := newBoard(make([]resolved, len(entries)), make([]bool, len(entries)))
	a.e.run(ctx, b.done, len(entries), func(i int) { b.put(i, a.lookUp(ctx, entries[i].asked)) })
	found, have := b.close()
	for i, en := range entries {
		if have[i] {
			en.resolve(found[i])
		} else {
			en.err = timedOut()
		}
	}
}

// lookUp finds the route of one address, and whether the question may go there.
func (a *asking) lookUp(ctx context.Context, addr smtpaddr.Address) (res resolved) {
	defer a.e.contain(ctx, "look up", addr, func() { res = resolved{err: generationFailed(addr, nil)} })
	r, err := a.recipient(ctx, addr)
	if err != nil {
		return resolved{err: a.e.failed(ctx, addr, err)}
	}
	route := a.table.Route(addr, r)
	if route.Kind == routing.None && route.Err.Reason == routing.RecipientNotFound && route.Target != addr {
		// A mail user whose target is in a domain of ours: it may be the
		// address of a mailbox here. Of another mail user it may not: that
		// could go round for ever.
		t, err := a.recipient(ctx, route.Target)
		if err != nil {
			return resolved{err: a.e.failed(ctx, addr, err)}
		}
		if t != nil && t.IsMailbox() {
			route = a.table.Route(route.Target, t)
		}
	}
	return a.judge(addr, r, route)
}

// judge says whether the question may take the route; r is nil for an address
// that is not in the directory.
func (a *asking) judge(addr smtpaddr.Address, r *directory.Recipient, route routing.Route) resolved {
	// Of an address of ours a viewer that is not told what exists hears only where
	// a mail user has gone.
	hidden := a.viewer.blind && (r == nil || route.Kind == routing.None) && a.q.Org.Accepts(addr.Domain())
	switch route.Kind {
	case routing.Local:
		if a.viewer.limit == freebusy.LevelNone || a.viewer.anon && !route.Recipient.IsMailbox() { // whatever it is, a group too
			return resolved{route, a.viewer.Refusal(addr, true), hidden}
		}
		return resolved{route: route}
	case routing.None:
		return resolved{route, route.Err, hidden}
	}
	return resolved{route, a.mayForward(route), hidden}
}

// recipient returns nil for an address that is not in the directory.
func (a *asking) recipient(ctx context.Context, addr smtpaddr.Address) (*directory.Recipient, error) {
	r, err := a.e.Recipients.Recipient(ctx, a.q.Org.ID, addr)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case r.Org != a.q.Org.ID:
		return nil, fmt.Errorf("%s belongs to organization %s, asked in %s", addr, r.Org, a.q.Org.ID)
	}
	return r, nil
}

// mayForward stops loops (EWS reference 3.2): what another organization asks
// is never asked on, whatever it says of itself, nor what nobody in particular
// does; what an older server of our own asks may leave the organization, but not
// go to another server of it; and no server asks itself.
func (a *asking) mayForward(r routing.Route) *routing.MailboxError {
	refuse := func(format string, args ...any) *routing.MailboxError {
		text := fmt.Sprintf("The "+format, args...)
		if s := a.q.Server; s != nil && !a.q.Caller.Anonymous {
			text += ". Name of the server where exception originated: " + s.Name
		}
		return &routing.MailboxError{Reason: routing.ProxyNotAllowed, Text: text}
	}
	c := &a.q.Caller
	switch {
	case c.Partner != nil || c.Forest || c.Anonymous || a.q.Proxied == CrossForest:
		return refuse("cross-organization request for mailbox %s is not allowed because the requester is from a different organization", r.Target)
	case r.Kind != routing.AddressSpace:
		return nil
	case a.q.Proxied != NotProxied:
		return refuse("request for mailbox %s is not allowed because it was proxied already%s: no connector is for its domain here, and availability address space %q would send it on",
			r.Target, a.way(), r.AddressSpace.Name)
	}
	if s := a.q.Org.Proxy(r.AddressSpace); s != nil && a.q.Server != nil && s.Name == a.q.Server.Name {
		return refuse("request for mailbox %s is not allowed: availability address space %q leads from server %s back to it, and no connector is for its domain there",
			r.Target, r.AddressSpace.Name, s.Name)
	}
	return nil
}

// via are the servers of the organization that a question came by, this one included.
func (a *asking) via() []string {
	if a.q.Server == nil {
		return a.q.Via
	}
	return append(slices.Clip(a.q.Via), a.q.Server.Name)
}

// way is what a refusal says of via.
func (a *asking) way() string {
	if len(a.q.Via) == 0 {
		return ""
	}
	return " (" + onTheWay + strings.Join(a.via(), ", ") + ")"
}

// explain logs why an address goes where it goes.
func (a *asking) explain(ctx context.Context, en *entry) {
	if !a.e.Log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("org", string(a.q.Org.ID)), slog.String("request_id", a.q.RequestID), slog.String("mailbox", en.asked.String()),
		slog.String("route", en.route.Kind.String()), slog.String("target", en.route.Target.String()),
		slog.String("object", en.route.Name()), slog.String("match", en.route.Match),
	}
	if s := a.q.Server; s != nil {
		attrs = append(attrs, slog.String("server", s.Name), slog.String("server_version", s.AdminDisplayVersion.String()))
	}
	if en.err != nil {
		attrs = append(attrs, slog.String("err", string(en.err.Reason)))
	}
	a.e.Log.LogAttrs(ctx, slog.LevelDebug, "route", attrs...)
}

// ask asks all routes at once, and returns a reply for each entry that was asked.
func (a *asking) ask(ctx context.Context) []routing.Reply {
	replies, have := make([]routing.Reply, len(a.entries)), make([]bool, len(a.entries))
	var local []int
	var remote batches
	for i, en := range a.entries {
		switch {
		case en.err != nil:
			replies[i].Err, have[i] = en.err, true
		case en.isGroup(), !en.direct && !en.member:
			have[i] = true
		case en.route.Kind != routing.Local:
			remote.add(en.route, i)
		case !en.known || a.e.knownCalendars == nil:
			local = append(local, i)
		case en.member: // its group needs it
			if replies[i], have[i] = a.readKnown(ctx, en, nil); !have[i] {
				local = append(local, i)
			}
		default:
			en.later, have[i] = true, true
		}
	}
	if len(remote)+len(local) == 0 {
		a.loadCalendars(ctx)
		return replies
	}
	b := newBoard(replies, have)
	if len(local) == 0 && len(remote) == 1 && a.e.promptPeers != nil && a.e.promptPeers.Prompt(remote[0].route) {
		if a.ctx != nil {
			ctx = a.ctx
		}
		a.askPeer(ctx, remote[0], b)
		a.loadCalendars(ctx)
	} else {
		ctx = a.limited(ctx)
		for _, batch := range remote {
			a.e.wg.Go(func() { a.askPeer(ctx, batch, b) })
		}
		a.loadCalendars(ctx)
		a.e.run(ctx, b.done, len(local), func(i int) {
			en := a.entries[local[i]]
			b.put(local[i], a.read(ctx, en))
		})
	}
	replies, have = b.close()
	for i := range replies {
		if !have[i] {
			replies[i] = routing.Reply{Err: timedOut()}
		}
	}
	return replies
}

// answer makes the answer of one entry that was asked for from the replies.
func (a *asking) answer(i int, replies []routing.Reply) routing.Reply {
	en, rep := a.entries[i], replies[i]
	switch {
	case en.hidden:
		return routing.Reply{Address: en.asked, Err: a.viewer.Refusal(en.asked, false)}
	case rep.Err != nil:
		return routing.Reply{Address: en.asked, Err: rep.Err}
	case en.isGroup():
		return a.groupAnswer(en, replies)
	}
	rep.Address = en.asked
	return restrict(rep, a.q.View)
}

// view is what an entry is asked for: a group needs the merged strings of its members.
func (a *asking) view(en *entry) freebusy.View {
	v := freebusy.ViewNone
	if en.direct {
		v = a.q.View
	}
	if en.member {
		v |= freebusy.ViewMerged
	}
	return v
}

// restrict leaves of a reply what view asks for. A calendar of which only the
// merged string is known is answered so, whatever was asked (EWS reference 2.4).
func restrict(r routing.Reply, view freebusy.View) routing.Reply {
	v := r.View & view
	if v&freebusy.ViewEvents == 0 {
		v = r.View & freebusy.ViewMerged
		r.Hours = nil
		r.Events = nil
	}
	if v&freebusy.ViewMerged == 0 {
		r.Merged = ""
	}
	if v&freebusy.ViewDetails == 0 {
		r.Events = freebusy.Cut(r.Events, freebusy.LevelTime)
	}
	r.View = v
	return r
}

// contain turns a panic of a source into a log line and what instead does.
func (e *Engine) contain(ctx context.Context, step string, of fmt.Stringer, instead func()) {
	if p := recover(); p != nil {
		e.Log.ErrorContext(ctx, "panic", slog.String("step", step), slog.String("of", of.String()), slog.Any("err", p), slog.String("stack", string(debug.Stack())))
		instead()
	}
}

// failed is the answer for what went wrong here. It logs the cause, which the
// caller does not see.
func (e *Engine) failed(ctx context.Context, addr smtpaddr.Address, err error) *routing.MailboxError {
	if me, ok := errors.AsType[*routing.MailboxError](err); ok {
		return me
	}
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return timedOut()
	}
	e.Log.WarnContext(ctx, "calendar could not be read", slog.String("mailbox", addr.String()), slog.Any("err", err))
	return generationFailed(addr, err)
}

// The texts are those of EWS reference 2.7.

func timedOut() *routing.MailboxError {
	return &routing.MailboxError{Reason: routing.TimedOut, Text: "Request could not be processed in time. Timeout occurred during 'Waiting-For-Request-Completion'."}
}

func generationFailed(addr smtpaddr.Address, err error) *routing.MailboxError {
	return &routing.MailboxError{Reason: routing.GenerationFailed, Text: fmt.Sprintf("Free/busy information for %s could not be generated.", addr), Err: err}
}

func invalidAddress(raw string) *routing.MailboxError {
	const limit = 256
	text := make([]rune, 0, 64)
	for _, r := range raw {
		if len(text) == limit {
			break
		}
		if r >= ' ' && r != 0x7f {
			text = append(text, r)
		}
	}
	return &routing.MailboxError{Reason: routing.InvalidAddress, Text: fmt.Sprintf("E-mail address <>SMTP:%s is not a valid SMTP address.", trimSMTP(string(text)))}
}

// trimSMTP takes away the prefix that old requests write before an address.
func trimSMTP(s string) string {
	if len(s) >= 5 && strings.EqualFold(s[:5], "smtp:") {
		return s[5:]
	}
	return s
}
