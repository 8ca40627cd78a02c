// Package syncsource follows the calendars that mailboxes have elsewhere: it copies
// them into folders of the built-in calendar, on schedule, so that a question is
// answered from here and costs nobody else a request.
//
// What was copied stays until there is something newer: a source that is down makes
// its copy old, never empty. How old, and why, is in the source's state.
package syncsource

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/spec/ical"
)

// A Store keeps sources and their states.
type Store interface {
	RecipientByID(ctx context.Context, org directory.OrgID, id string) (*directory.Recipient, error)
	// DueCalendarSources are at most limit sources whose next attempt is at now or
	// before, but those of the given hosts.
	DueCalendarSources(ctx context.Context, now time.Time, but []string, limit int) ([]*directory.CalendarSource, error)
	// ClaimCalendarSources returns those that no other process has claimed.
	ClaimCalendarSources(ctx context.Context, list []*directory.CalendarSource, until time.Time) ([]*directory.CalendarSource, error)
	CalendarSource(ctx context.Context, org directory.OrgID, id string) (*directory.CalendarSource, error)
	// KeepCalendarSourceStates forgets those that are Removed.
	KeepCalendarSourceStates(ctx context.Context, list []*directory.CalendarSource) error
}

// Copies is where the copies are: the built-in calendars.
type Copies interface {
	SetFolder(ctx context.Context, mailbox *directory.Recipient, name string, transparent bool) (created bool, err error)
	ReplaceFolder(ctx context.Context, mailbox *directory.Recipient, folder string, text []byte, maxEvents int) (directory.ImportSummary, error)
	// DeleteFolder is directory.ErrNotFound where there is none.
	DeleteFolder(ctx context.Context, mailbox *directory.Recipient, name string) error
	Folders(ctx context.Context, mailbox *directory.Recipient) ([]directory.CalendarFolder, error)
	// Resources are the ETags of what ApplyDelta put into a folder, by name.
	Resources(ctx context.Context, mailbox *directory.Recipient, folder string) (map[string]string, error)
	ApplyDelta(ctx context.Context, mailbox *directory.Recipient, folder string, delta *directory.CalendarDelta, maxEvents int) (directory.DeltaSummary, error)
}

// A Fetcher asks one kind of source for what it holds.
type Fetcher interface {
	// Fetch may answer that nothing changed since known, which is what the copy was
	// made from. Errors are *safehttp.FaultError.
	Fetch(ctx context.Context, source *directory.CalendarSource, known directory.CalendarSourceState) (*Result, error)
}

// A Result is what a source holds.
type Result struct {
	NotModified        bool   // since what was known; nothing else is set then
	Text               []byte // iCalendar, all of it
	ETag, LastModified string
	// Method and what time Text is about, of a server that is asked about a mailbox.
	Method   string
	From, To time.Time
	around   int // of the events of Text are time without data
}

// Failures beside those of safehttp.
const (
	FailureMailbox = "NoMailbox"     // there is no mailbox to copy into
	FailureKind    = "KindNotKnown"  // of a source that a newer program made
	FailureCopy    = "CopyFailed"    // what came could not be kept
	FailureEvents  = "TooManyEvents" //
	FailureFolders = "TooManyCalendars"
)

// Config of a Syncer.
type Config struct {
	Store  Store  // required
	Copies Copies // required
	// Fetchers and Followers ask the kinds of sources, by CalendarSource.Kind. Required: Fetchers.
	Fetchers  map[string]Fetcher
	Followers map[string]Follower
	Now       func() time.Time // required
	Log       *slog.Logger     // required
	// Ticks wake Run; required.
	Ticks func(every time.Duration) (c <-chan time.Time, stop func())
	// CopyFailure names why Copies refuse what a source holds; "": FailureCopy. Required.
	CopyFailure func(error) string
	// Attempted is told each attempt and how the source is now; may be nil.
	Attempted func(condition string)
	// Parallel is how many sources are asked at once, PerHost of one host. 0: 8 and 2.
	Parallel, PerHost int
}

const (
	passEvery = time.Second
	// claimFor is longer than an attempt takes: what crashed in it is tried again then.
	claimFor     = 10 * time.Minute
	minBackOff   = 30 * time.Second
	maxBackOff   = time.Hour
	maxHostPause = time.Hour
	flushBound   = 5 * time.Second
)

// A Syncer is safe for concurrent use.
type Syncer struct {
	Config
	copying chan struct{} // holds one value while nobody copies: texts are big in memory when parsed
	ended   chan struct{} // an attempt of Run ended

	mu     sync.Mutex
	active map[string]int              // attempts of Run under way, by host; guarded by mu
	paused map[string]time.Time        // hosts that want to be left alone; guarded by mu
	done   []*directory.CalendarSource // states to keep; guarded by mu
}

// New checks the configuration.
func New(c Config) (*Syncer, error) {
	if c.Store == nil || c.Copies == nil || c.Fetchers == nil || c.Now == nil || c.Log == nil || c.Ticks == nil || c.CopyFailure == nil {
		return nil, errors.New("syncsource: Config.Store, Copies, Fetchers, Now, Log, Ticks and CopyFailure are required")
	}
	c.Parallel, c.PerHost = cmp.Or(c.Parallel, 8), cmp.Or(c.PerHost, 2)
	s := &Syncer{Config: c, copying: make(chan struct{}, 1), ended: make(chan struct{}, 1), active: map[string]int{}, paused: map[string]time.Time{}}
	s.copying <- struct{}{}
	return s, nil
}

// Run follows the sources until ctx ends.
func (s *Syncer) Run(ctx context.Context) error {
	tick, stop := s.Ticks(passEvery)
	defer stop()
	var attempts sync.WaitGroup
	defer func() {
		attempts.Wait()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushBound)
		defer cancel()
		s.flush(ctx)
	}()
	for {
		more := s.pass(ctx, &attempts)
		ended := s.ended
		if !more {
			ended = nil // the next tick is soon enough
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		case <-ended:
		}
	}
}

// pass keeps the states of attempts that ended and begins others; more says that
// there are sources which wait for room.
func (s *Syncer) pass(ctx context.Context, attempts *sync.WaitGroup) (more bool) {
	s.flush(ctx)
	for ctx.Err() == nil {
		now := s.Now()
		room, but := s.room(now)
		if room == 0 {
			return true
		}
		due, err := s.Store.DueCalendarSources(ctx, now, but, room)
		if err == nil && len(due) > 0 {
			if due = s.reserve(due); len(due) == 0 {
				return true
			}
			var ours []*directory.CalendarSource
			ours, err = s.Store.ClaimCalendarSources(ctx, due, now.Add(claimFor))
			s.release(due, ours)
			due = ours
		}
		if err != nil {
			if ctx.Err() == nil {
				s.Log.ErrorContext(ctx, "calendar sources could not be looked after: next try in a second", "err", err)
			}
			return false
		}
		if len(due) == 0 {
			return false
		}
		for _, v := range due {
			attempts.Go(func() { s.background(ctx, v) })
		}
	}
	return false
}

// room is how many attempts may begin, and the hosts that have none.
func (s *Syncer) room(now time.Time) (n int, full []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = s.Parallel
	for host, active := range s.active {
		n -= active
		if active >= s.PerHost {
			full = append(full, host)
		}
	}
	for host, until := range s.paused {
		if !now.Before(until) {
			delete(s.paused, host)
		} else if s.active[host] < s.PerHost {
			full = append(full, host)
		}
	}
	return max(n, 0), full
}

// reserve counts those of the list as active whose host has room.
func (s *Syncer) reserve(list []*directory.CalendarSource) (ours []*directory.CalendarSource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range list {
		if host := v.URL.Host(); s.active[host] < s.PerHost {
			s.active[host]++
			ours = append(ours, v)
		}
	}
	return ours
}

// release takes back what was reserved for those of all that are not among kept.
func (s *Syncer) release(all, kept []*directory.CalendarSource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := make(map[*directory.CalendarSource]bool, len(kept))
	for _, v := range kept {
		is[v] = true
	}
	for _, v := range all {
		if !is[v] {
			s.leave(v)
		}
	}
}

// leave ends one reservation. The caller holds mu.
func (s *Syncer) leave(v *directory.CalendarSource) {
	host := v.URL.Host()
	if s.active[host]--; s.active[host] == 0 {
		delete(s.active, host)
	}
}

func (s *Syncer) background(ctx context.Context, v *directory.CalendarSource) {
	s.attempt(ctx, v)
	s.mu.Lock()
	s.leave(v)
	s.done = append(s.done, v)
	s.mu.Unlock()
	select {
	case s.ended <- struct{}{}:
	default:
	}
}

// flush keeps the states of attempts that ended, all in one transaction.
func (s *Syncer) flush(ctx context.Context) {
	s.mu.Lock()
	done := s.done
	s.done = nil
	s.mu.Unlock()
	if len(done) == 0 {
		return
	}
	if err := s.Store.KeepCalendarSourceStates(ctx, done); err != nil {
		s.mu.Lock()
		s.done = append(done, s.done...)
		s.mu.Unlock()
		if ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "states of calendar sources are not kept: next try in a second", "err", err)
		}
	}
}

// Update makes an attempt now, and keeps the state, which is in v then.
func (s *Syncer) Update(ctx context.Context, v *directory.CalendarSource) error {
	s.attempt(ctx, v)
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return s.Store.KeepCalendarSourceStates(ctx, []*directory.CalendarSource{v})
}

// Test asks the source and keeps nothing.
func (s *Syncer) Test(ctx context.Context, v *directory.CalendarSource) directory.CalendarSourceTest {
	if f := s.Followers[v.Kind]; f != nil {
		return s.testCalendars(ctx, v, f)
	}
	res, err := s.fetchAll(ctx, v)
	if err != nil {
		f := s.failure(err)
		return directory.CalendarSourceTest{Failure: f.name, Text: f.text}
	}
	t := directory.CalendarSourceTest{Events: -res.around}
	if res.Method != "" {
		t.Methods = []string{res.Method}
	}
	if err := count(&t, res.Text, int(v.MaxBytes)); err != nil {
		t.Failure, t.Text = string(safehttp.FaultContent), err.Error()
	}
	return t
}

// count adds what a text holds.
func count(t *directory.CalendarSourceTest, text []byte, limit int) error {
	t.Bytes += int64(len(text))
	cal, problems, err := ical.Parse(text, ical.Limits{Bytes: limit})
	if err != nil {
		return err
	}
	t.Unreadable += len(problems)
	for _, g := range ical.Groups(cal) {
		t.Events += len(g.Overrides)
		if g.Master != nil {
			t.Events++
		}
	}
	return nil
}

func (s *Syncer) fetchAll(ctx context.Context, v *directory.CalendarSource) (*Result, error) {
	f, err := s.fetcher(v)
	if err != nil {
		return nil, err
	}
	return f.Fetch(ctx, v, directory.CalendarSourceState{})
}

// attempt brings the copy up to date, and v.State with it.
func (s *Syncer) attempt(ctx context.Context, v *directory.CalendarSource) {
	was, before := v.Condition(), v.State
	next, err := s.follow(ctx, v)
	now := s.Now().UTC()
	st := &v.State
	switch {
	case err != nil && (ctx.Err() != nil || errors.Is(err, errChanged)): // it was no attempt
		*st = before
		st.NextAttempt = now
		return
	case err == nil && (v.Removed || !v.Enabled):
		*st = directory.CalendarSourceState{}
	case err == nil:
		*st = next
		st.LastAttempt, st.LastSuccess, st.Failures, st.Failure, st.Text = now, now, 0, "", ""
		st.NextAttempt = now.Add(jitter(v, now, v.Refresh))
	default:
		f := s.failure(err)
		if next.Calendars != nil { // some were read
			next.LastSuccess, next.Failures = st.LastSuccess, st.Failures
			*st = next
		}
		st.LastAttempt, st.Failure, st.Text = now, f.name, f.text
		st.Failures++
		st.NextAttempt = now.Add(max(jitter(v, now, backOff(v.Refresh, st.Failures)), f.retryAfter))
		if f.retryAfter > 0 {
			s.pause(v.URL.Host(), now.Add(min(f.retryAfter, maxHostPause)))
		}
	}
	is := v.Condition()
	if s.Attempted != nil {
		s.Attempted(is)
	}
	if is == was {
		return
	}
	level, text := slog.LevelInfo, "calendar source is followed"
	if st.Failure != "" {
		level, text = slog.LevelWarn, "calendar source fails: its copy grows old"
	}
	s.Log.LogAttrs(ctx, level, text, slog.String("source", v.Name), slog.String("id", v.ID), slog.String("org", string(v.Org)), slog.String("mailbox", v.Mailbox),
		slog.Any("url", v.URL), slog.String("was", was), slog.String("condition", is), slog.String("err", st.Text), slog.Time("lastSuccess", st.LastSuccess))
}

// errChanged: somebody changed the source while it was asked. It is due again.
var errChanged = errors.New("the calendar source was changed meanwhile")

// check finds out whether v is still the source as it is. A folder that was made
// for one that is to have none any more goes away again.
func (s *Syncer) check(ctx context.Context, v *directory.CalendarSource, mailbox *directory.Recipient) error {
	is, err := s.Store.CalendarSource(ctx, v.Org, v.ID)
	switch {
	case errors.Is(err, directory.ErrNotFound) || err == nil && (is.Removed || !is.Enabled):
		if err := s.drop(ctx, v, mailbox, nil); err != nil {
			return err
		}
		return errChanged
	case err == nil && is.Version != v.Version:
		return errChanged
	}
	return err
}

// follow does the work of an attempt. next is the state of success, without times.
func (s *Syncer) follow(ctx context.Context, v *directory.CalendarSource) (next directory.CalendarSourceState, err error) {
	mailbox, err := s.Store.RecipientByID(ctx, v.Org, v.Mailbox)
	if err == nil && !mailbox.IsMailbox() {
		err = fmt.Errorf("a %s has no calendar here: %w", mailbox.Type, directory.ErrNotFound)
	}
	missing := errors.Is(err, directory.ErrNotFound)
	switch {
	case v.Removed || !v.Enabled:
		if err == nil {
			err = s.drop(ctx, v, mailbox, nil)
		}
		if errors.Is(err, directory.ErrNotFound) {
			err = nil
		}
		return next, err
	case missing:
		return next, &failed{name: FailureMailbox, text: "there is no mailbox to copy into"}
	case err != nil:
		return next, err
	}
	if f := s.Followers[v.Kind]; f != nil {
		return s.followCalendars(ctx, v, mailbox, f)
	}
	f, err := s.fetcher(v)
	if err != nil {
		return next, err
	}
	created, err := s.Copies.SetFolder(ctx, mailbox, v.Folder(), v.Transparent)
	if err != nil {
		return next, err
	}
	defer func() {
		if ctx.Err() == nil {
			if checked := s.check(ctx, v, mailbox); checked != nil {
				err = checked
			}
		}
	}()
	next = v.State
	if created {
		next = directory.CalendarSourceState{}
	}
	res, err := f.Fetch(ctx, v, next)
	if err != nil || res.NotModified {
		return next, err
	}
	next.ETag, next.LastModified, next.Bytes = res.ETag, res.LastModified, int64(len(res.Text))
	next.Method, next.From, next.To = res.Method, res.From, res.To
	digest := digestOf(res.Text)
	if digest == next.Digest {
		return next, nil
	}
	done, err := s.turn(ctx)
	if err != nil {
		return next, err
	}
	defer done()
	// Whoever changed it since waits here for its turn.
	if err := s.check(ctx, v, mailbox); err != nil {
		return next, err
	}
	sum, err := s.Copies.ReplaceFolder(ctx, mailbox, v.Folder(), res.Text, v.MaxEvents)
	if err != nil {
		return next, err
	}
	next.Digest, next.Events, next.Unreadable = digest, sum.Events-res.around, unreadable(&sum)
	return next, nil
}

// turn waits until nobody else copies.
func (s *Syncer) turn(ctx context.Context) (done func(), err error) {
	select {
	case <-s.copying:
		return func() { s.copying <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *Syncer) fetcher(v *directory.CalendarSource) (Fetcher, error) {
	f := s.Fetchers[v.Kind]
	if f == nil {
		return nil, &failed{name: FailureKind, text: fmt.Sprintf("sources of kind %q are not known to this program", v.Kind)}
	}
	return f, nil
}

// A failed is why an attempt failed, as it is kept.
type failed struct {
	name, text string
	retryAfter time.Duration
}

func (f *failed) Error() string { return f.name + ": " + f.text }

func (s *Syncer) failure(err error) failed {
	if f, ok := errors.AsType[*failed](err); ok {
		return *f
	}
	if f, ok := errors.AsType[*safehttp.FaultError](err); ok {
		return failed{string(f.Fault), clip(f.Error()), f.RetryAfter}
	}
	return failed{name: cmp.Or(s.CopyFailure(err), FailureCopy), text: clip(err.Error())}
}

func clip(text string) string {
	const limit = 300
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// unreadable counts the events that were left out, whole or in part.
func unreadable(sum *directory.ImportSummary) int {
	seen := map[directory.ImportProblem]bool{}
	for _, p := range sum.Skipped {
		if p.UID != "" {
			p.Line = 0
		}
		p.Reason = ""
		seen[p] = true
	}
	return len(seen)
}

func (s *Syncer) pause(host string, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until.After(s.paused[host]) {
		s.paused[host] = until
	}
}

// backOff is how long to wait after the nth failure in a row: longer each time, from
// a fraction of the plan to an hour, or the plan itself if that is longer.
func backOff(refresh time.Duration, n int) time.Duration {
	d, most := max(minBackOff, refresh/4), max(maxBackOff, refresh)
	for ; n > 1 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

// jitter is d give or take a tenth, so that sources which began together do not stay
// together.
func jitter(v *directory.CalendarSource, now time.Time, d time.Duration) time.Duration {
	h := sha256.New()
	fmt.Fprint(h, v.ID, now.UnixNano())
	n := int64(binary.BigEndian.Uint32(h.Sum(nil)) % 2001)
	return d + d/10_000*time.Duration(n-1000)
}

// digestOf tells whether two texts are the same calendar.
func digestOf(text []byte) string {
	sum := sha256.Sum256(ical.WithoutStamps(text))
	return hex.EncodeToString(sum[:16])
}
