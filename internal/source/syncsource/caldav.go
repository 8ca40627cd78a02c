package syncsource

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"busybridge/internal/dial/caldavclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/ical"
)

// CalDAV is the Follower of directory.SourceCalDAV.
//
// The objects are what is copied wherever they may be read: occurrences are then
// computed here, and while nothing changes one request tells it. Busy times are asked
// for only where there is nothing else to read, for a window around the present.
type CalDAV struct {
	Client  *caldavclient.Client // required
	Now     func() time.Time     // required
	Timeout time.Duration        // of an attempt; 0: attemptTimeout
}

const (
	homeIsURL = "."
	outboxKey = "outbox"
	// The window in which busy times are asked for.
	daysBack, daysAhead = 31, 366
)

// Follow implements Follower.
func (f CalDAV) Follow(ctx context.Context, v *directory.CalendarSource, mailbox *directory.Recipient, known directory.CalendarSourceState, held func(key string) (map[string]string, error)) (*News, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(f.Timeout, attemptTimeout))
	defer cancel()
	s, err := f.Client.Session(caldavclient.Request{URL: v.URL.For(mailbox.Primary), UserName: v.UserName, Password: string(v.Password), MaxBytes: v.MaxBytes})
	if err != nil {
		return nil, err
	}
	today := f.Now().UTC().Truncate(24 * time.Hour)
	a := &attempt{s: s, source: v, known: known, held: held, window: caldavclient.Window{Start: today.AddDate(0, 0, -daysBack), End: today.AddDate(0, 0, daysAhead)}}
	place, err := a.place(ctx, mailbox)
	if err != nil {
		return nil, err
	}
	news := &News{Home: place.Home}
	if place.Home != "" && caldavclient.SamePath(place.Home, s.Start()) {
		news.Home = homeIsURL // which may be secret, and is kept encrypted
	}
	if v.Method == directory.MethodOutbox || v.Method == "" && len(place.Calendars) == 0 {
		if v.Method == "" && slices.ContainsFunc(known.Calendars, func(c directory.SourceCalendarState) bool { return c.Key != outboxKey }) {
			return nil, safehttp.Faultf(safehttp.FaultNotFound, "the server lists none of its calendars any more: if that is right, choose the method %s", directory.MethodOutbox)
		}
		news.Calendars = []CalendarNews{a.outbox(ctx, place, mailbox)}
		return news, nil
	}
	if n := len(place.Calendars); n > directory.MaxSourceFolders {
		return nil, &failed{name: FailureFolders, text: fmt.Sprintf("the server lists %d calendars, the limit is %d: give the address of one", n, directory.MaxSourceFolders)}
	}
	var down error
	for i := range place.Calendars {
		c := &place.Calendars[i]
		if c.Transparent { // nothing in it counts
			continue
		}
		n := CalendarNews{State: directory.SourceCalendarState{Key: keyOf(c.Path)}, Err: down}
		if down == nil {
			n = a.calendar(ctx, c)
			if n.Err != nil && !caldavclient.Refused(n.Err) && !onlyHere(n.Err) {
				down = n.Err // the others are not asked
			}
		}
		news.Calendars = append(news.Calendars, n)
	}
	return news, nil
}

// onlyHere: the answer was wrong, but there was one.
func onlyHere(err error) bool {
	f, ok := errors.AsType[*safehttp.FaultError](err)
	return ok && slices.Contains([]safehttp.Fault{safehttp.FaultContent, safehttp.FaultContentType, safehttp.FaultEncoding}, f.Fault)
}

// keyOf names the folder of a calendar.
func keyOf(path string) string {
	if p, err := url.PathUnescape(path); err == nil {
		path = p
	}
	sum := sha256.Sum256([]byte(strings.TrimSuffix(path, "/")))
	return hex.EncodeToString(sum[:8])
}

// An attempt reads the calendars of one source once.
type attempt struct {
	s      *caldavclient.Session
	source *directory.CalendarSource
	known  directory.CalendarSourceState
	held   func(key string) (map[string]string, error)
	window caldavclient.Window
}

// place is where the calendars are.
func (a *attempt) place(ctx context.Context, mailbox *directory.Recipient) (*caldavclient.Place, error) {
	if home := a.known.Home; home != "" && a.source.Method != directory.MethodOutbox {
		if home == homeIsURL {
			home = a.s.Start()
		}
		list, err := a.s.Calendars(ctx, home)
		if err == nil && len(list) > 0 {
			return &caldavclient.Place{Home: home, Calendars: list}, nil
		}
		if err != nil && !caldavclient.Refused(err) {
			return nil, err
		}
	}
	who := caldavclient.Who{Here: a.source.URL.Template() && !a.source.FindByAddress}
	if a.source.FindByAddress {
		who.Address = mailbox.Primary.String()
	}
	p, err := a.s.Find(ctx, who)
	if caldavclient.Refused(err) && who.Address == "" && (a.source.Method == "" || a.source.Method == directory.MethodFreeBusyQuery) {
		// Who may read free/busy only may not even look (RFC 4791 6.1.1).
		if _, asked := a.s.FreeBusy(ctx, a.s.Start(), a.window); asked == nil {
			return &caldavclient.Place{Calendars: []caldavclient.Calendar{{Path: a.s.Start()}}}, nil
		}
	}
	return p, err
}

// calendar reads one calendar by the method that was chosen, else by the first that
// the server does not refuse.
func (a *attempt) calendar(ctx context.Context, c *caldavclient.Calendar) CalendarNews {
	methods := []string{a.source.Method}
	if a.source.Method == "" {
		methods = []string{directory.MethodEntityTags, directory.MethodFreeBusyQuery}
		if c.Sync {
			methods = append([]string{directory.MethodSyncCollection}, methods...)
		}
	}
	key := keyOf(c.Path)
	was := stateOf(a.known.Calendars, key)
	var first error
	for _, m := range methods {
		n := CalendarNews{State: directory.SourceCalendarState{Key: key, Method: m}}
		if was.Method == m {
			n.State = was
		}
		err := a.read(ctx, c, &n)
		if err == nil {
			return n
		}
		if n.Err = err; !caldavclient.Refused(err) {
			return n
		}
		if first == nil {
			first = err
		}
	}
	return CalendarNews{State: directory.SourceCalendarState{Key: key}, Err: first}
}

func (a *attempt) read(ctx context.Context, c *caldavclient.Calendar, n *CalendarNews) error {
	switch n.State.Method {
	case directory.MethodSyncCollection:
		return a.changes(ctx, c, n)
	case directory.MethodEntityTags:
		if c.Tag != "" && c.Tag == n.State.Tag {
			return nil
		}
		list, err := a.s.List(ctx, c.Path)
		if err != nil {
			return err
		}
		n.State.Tag = c.Tag
		return a.fetch(ctx, c, n, &caldavclient.Changes{Whole: true, Members: list})
	case directory.MethodFreeBusyQuery:
		periods, err := a.s.FreeBusy(ctx, c.Path, a.window)
		if err != nil {
			return err
		}
		a.busy(n, periods)
		return nil
	}
	var w caldavclient.Window // FullRead
	if n.State.Method == directory.MethodCalendarQuery {
		w = a.window
	}
	list, err := a.s.Query(ctx, c.Path, w)
	if err != nil {
		return err
	}
	gone, err := a.holds(n.State.Key)
	if err != nil {
		return err
	}
	n.Delta, n.State.Bytes = &directory.CalendarDelta{Whole: true}, 0
	for i := range list {
		delete(gone, list[i].Name())
		n.put(&list[i])
	}
	n.gone(gone)
	return nil
}

// changes follows a calendar by sync-collection.
func (a *attempt) changes(ctx context.Context, c *caldavclient.Calendar, n *CalendarNews) error {
	if n.State.Token != "" && n.State.Token == c.SyncToken {
		return nil
	}
	ch, err := a.s.Sync(ctx, c.Path, n.State.Token)
	if err != nil {
		return err
	}
	n.State.Token = ch.Token
	return a.fetch(ctx, c, n, ch)
}

// holds is a copy of what the copy of a calendar holds.
func (a *attempt) holds(key string) (map[string]string, error) {
	m, err := a.held(key)
	if m == nil {
		m = map[string]string{}
	}
	return m, err
}

// fetch reads the objects that changed.
func (a *attempt) fetch(ctx context.Context, c *caldavclient.Calendar, n *CalendarNews, ch *caldavclient.Changes) error {
	if len(ch.Members)+len(ch.Gone) == 0 && !ch.Whole {
		return nil
	}
	held, err := a.holds(n.State.Key)
	if err != nil {
		return err
	}
	n.Delta, n.State.Bytes = &directory.CalendarDelta{Whole: ch.Whole}, 0
	gone, asked := map[string]string{}, map[string]bool{}
	if ch.Whole {
		gone = held
	}
	for _, m := range ch.Gone {
		gone[m.Name()] = ""
	}
	var want []caldavclient.Member
	ask := func(m caldavclient.Member) {
		if name := m.Name(); !asked[name] {
			asked[name] = true
			want = append(want, m)
		}
	}
	for _, m := range ch.Members {
		etag, is := held[m.Name()]
		if delete(gone, m.Name()); !is || etag == "" || etag != m.ETag {
			ask(m)
		}
	}
	if !ch.Whole {
		for _, name := range n.State.Again {
			if _, is := gone[name]; !is {
				ask(caldavclient.MemberOf(c.Path, name))
			}
		}
	}
	list, err := a.s.Get(ctx, c.Path, want)
	if err != nil {
		return err
	}
	for i := range list {
		delete(asked, list[i].Name())
		n.put(&list[i])
	}
	for name := range asked { // went away meanwhile
		gone[name] = ""
	}
	n.gone(gone)
	return nil
}

func (n *CalendarNews) put(o *caldavclient.Object) {
	n.Delta.Put = append(n.Delta.Put, directory.CalendarResource{Name: o.Name(), ETag: o.ETag, Text: o.Text})
	n.State.Bytes += int64(len(o.Text))
}

func (n *CalendarNews) gone(names map[string]string) {
	for name := range names {
		n.Delta.Gone = append(n.Delta.Gone, name)
	}
	slices.Sort(n.Delta.Gone)
}

// busy makes a picture of busy times.
func (a *attempt) busy(n *CalendarNews, periods []ical.Period) {
	p := picture{Window: freebusy.Window{Start: a.window.Start, End: a.window.End}}
	for _, v := range periods {
		if status, ok := freebusy.ParseStatus(string(v.Status)); ok && status != freebusy.Free {
			p.entries = append(p.entries, entry{Interval: freebusy.Interval{Start: v.Start, End: v.End, Status: status}})
		}
	}
	text := p.text(a.source.ID + "-" + n.State.Key)
	n.State.Bytes = int64(len(text))
	if d := digestOf(text); d != n.State.Digest {
		n.State.Digest, n.Text = d, text
	}
}

// outbox asks for the busy times of the mailbox's owner.
func (a *attempt) outbox(ctx context.Context, place *caldavclient.Place, mailbox *directory.Recipient) CalendarNews {
	n := CalendarNews{State: directory.SourceCalendarState{Key: outboxKey, Method: directory.MethodOutbox}}
	if was := stateOf(a.known.Calendars, outboxKey); was.Key != "" {
		n.State = was
	}
	organizer, owner := "", "mailto:"+mailbox.Primary.String()
	known := false
	for _, address := range place.Addresses {
		if len(address) > 7 && strings.EqualFold(address[:7], "mailto:") {
			if organizer == "" {
				organizer = address
			}
			known = known || strings.EqualFold(address, owner)
		}
	}
	switch {
	case place.Outbox == "" || organizer == "":
		n.Err = safehttp.Faultf(safehttp.FaultNotFound, "the server names no scheduling outbox of the user, or no mail address")
		return n
	case !known && !a.source.FindByAddress: // the owner has another address there
		owner = organizer
	case known:
		organizer = owner
	}
	periods, err := a.s.AskOutbox(ctx, place.Outbox, organizer, owner, a.window)
	if err != nil {
		n.Err = err
		return n
	}
	a.busy(&n, periods)
	return n
}
