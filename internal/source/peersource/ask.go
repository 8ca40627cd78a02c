package peersource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"
	"unicode"

	"busybridge/internal/dial/ewsclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/wintz"
)

const (
	schemaVersion = "Exchange2013" // the first with WorkingElsewhere (EWS reference 2.5)
	maxString     = 255            // runes of a subject, location or id
	maxText       = 1000           // runes of an error text
	maxPeriods    = 14             // of working hours
)

// getUserAvailability asks url for addresses, in UTC, and returns a checked
// reply for each, in the same order. An error concerns all.
func (s *Source) getUserAvailability(ctx context.Context, st *site, url string, addresses []smtpaddr.Address, q routing.Query) ([]routing.Reply, error) {
	if _, err := safehttp.ParseURL(url); err != nil {
		return nil, fmt.Errorf("EWS endpoint: %w", err)
	}
	req := &ews.AvailabilityRequest{
		Header: ews.Header{Version: schemaVersion}, RequestID: q.Requester.RequestID,
		Zone:      &wintz.UTCRule,
		Mailboxes: make([]ews.MailboxData, len(addresses)),
		FreeBusy: &ews.FreeBusyOptions{
			Start: ews.DateTime{Time: q.Window.Start.UTC(), Local: true}, End: ews.DateTime{Time: q.Window.End.UTC(), Local: true},
			IntervalMinutes: int(q.Slot / time.Minute), Views: []string{q.View.String()},
		},
	}
	for i, a := range addresses {
		req.Mailboxes[i] = ews.MailboxData{Address: a.String(), AttendeeType: "Required"}
	}
	agent := "ASProxy/CrossForest/EmailDomain//"
	if st.sameOrg {
		// The service account asks for the caller, and the other server may go
		// on to another organization (EWS reference 3.4).
		agent = "ASProxy/CrossSite/Directory//"
		req.Header.RequestType = ews.CrossSite
	}
	if st.forest { // an account may be anybody's: this stops loops (EWS reference 3.2)
		req.Header.RequestType = ews.CrossForest
	}
	// An account or an application asks for the caller: the header says for whom.
	if a := st.by.Address; (st.sameOrg || st.impersonate) && !a.IsZero() {
		req.Header.Impersonate = &ews.ConnectingSID{Kind: "PrimarySmtpAddress", Value: a.String()}
	}
	client, err := ewsclient.New(ewsclient.Config{HTTP: st.client, UserAgent: agent + s.Version.Padded(), MaxBody: s.MaxBody, Hours: &s.hours})
	if err != nil {
		return nil, err
	}
	s.Trace.ask(url)
	resp, err := client.GetUserAvailability(ctx, url, req)
	if ctx.Err() == nil && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)) {
		resp, err = client.GetUserAvailability(ctx, url, req) // a kept connection was closed (EWS reference 3.3)
	}
	if err != nil {
		return nil, err
	}
	// The answer names no address: only the number shows that one is missing.
	if len(resp.FreeBusy) != len(addresses) {
		return nil, fmt.Errorf("%d answers to %d addresses", len(resp.FreeBusy), len(addresses))
	}
	replies := make([]routing.Reply, len(addresses))
	c := checker{q: &q}
	for i := range resp.FreeBusy {
		c.left += len(resp.FreeBusy[i].Events)
	}
	for i := range resp.FreeBusy {
		replies[i] = c.checked(&resp.FreeBusy[i])
	}
	return replies, nil
}

// A checker goes through the replies to one question.
type checker struct {
	q    *routing.Query
	left int                 // events that may come, at most
	slab []freebusy.Interval // they are kept in
	// The working hours that came last: many mailboxes have the same.
	said  *ews.WorkingHours
	hours *routing.Hours
}

// checked makes a reply of what another server says of one mailbox: no more
// than was asked for, nothing outside the window, nothing endless.
func (c *checker) checked(r *ews.FreeBusyResponse) routing.Reply {
	q := c.q
	if !r.Message.OK() {
		return routing.Reply{Err: remoteError(&r.Message)}
	}
	granted, ok := freebusy.ParseView(r.View)
	if !ok {
		return routing.Reply{Err: proxyFailed(fmt.Errorf("the answer has no such view: %q", clean(r.View, 40)))}
	}
	view := granted & q.View
	if view&freebusy.ViewEvents == 0 {
		// Where only merged strings are known, they are the answer to any question.
		view = granted & freebusy.ViewMerged
	}
	rep := routing.Reply{View: view}
	if view&freebusy.ViewEvents != 0 {
		if n := len(r.Events); n > freebusy.MaxEvents {
			return routing.Reply{Err: proxyFailed(fmt.Errorf("the answer has %d calendar entries, limit %d", n, freebusy.MaxEvents))}
		}
		rep.Events = c.events(r.Events, view)
		if r.Hours != c.said {
			c.said, c.hours = r.Hours, hours(r.Hours)
		}
		rep.Hours = c.hours
	}
	if view&freebusy.ViewMerged != 0 {
		slots := q.Window.Slots(q.Slot)
		switch {
		case sane(r.Merged, slots):
			rep.Merged = r.Merged
		case view&freebusy.ViewEvents != 0:
			rep.Merged = freebusy.Merge(q.Window, q.Slot, rep.Events)
		default:
			return routing.Reply{Err: proxyFailed(fmt.Errorf("the answer's merged string %q is not one of %d digits", clean(r.Merged, 40), slots))}
		}
	}
	if view == freebusy.ViewNone {
		return routing.Reply{Err: proxyFailed(errors.New("the answer contains no free/busy data"))}
	}
	return rep
}

// events returns the entries that overlap the window, sorted, with details if view
// has them.
func (c *checker) events(in []ews.CalendarEvent, view freebusy.View) []freebusy.Interval {
	if c.slab == nil {
		c.slab = make([]freebusy.Interval, 0, c.left)
	}
	from := len(c.slab)
	for i := range in {
		e := &in[i]
		if !c.q.Window.Overlaps(e.Start, e.End) || !e.Start.Before(e.End) {
			continue
		}
		status, ok := freebusy.ParseStatus(e.BusyType)
		if !ok {
			status = freebusy.NoData
		}
		v := freebusy.Interval{Start: e.Start, End: e.End, Status: status}
		if d := e.Details; d != nil && view&freebusy.ViewDetails != 0 {
			v.Detail = &freebusy.Detail{
				ID: clean(d.ID, maxString), Subject: clean(d.Subject, maxString), Location: clean(d.Location, maxString),
				Meeting: d.Meeting, Recurring: d.Recurring, Exception: d.Exception, Reminder: d.ReminderSet, Private: d.Private,
			}
		}
		c.slab = append(c.slab, v)
	}
	out := c.slab[from:len(c.slab):len(c.slab)]
	freebusy.Sort(out)
	return out
}

// hours returns working hours that make sense, or nil.
func hours(h *ews.WorkingHours) *routing.Hours {
	if h == nil || len(h.Periods) == 0 || len(h.Periods) > maxPeriods || h.Zone.Validate() != nil {
		return nil
	}
	out := &routing.Hours{Zone: h.Zone}
	for _, p := range h.Periods {
		if p.Days&0x7f == 0 || p.Start < 0 || p.Start > p.End || p.End > 24*60 {
			return nil
		}
		out.Periods = append(out.Periods, routing.Period{Days: p.Days & 0x7f, Start: p.Start, End: p.End})
	}
	return out
}

// sane reports whether s is a merged string of n digits from 0 to 4.
func sane(s string, n int) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '4' {
			return false
		}
	}
	return len(s) == n
}

// clean returns s without control and format characters, and at most limit
// runes of it, as a copy that does not keep the whole answer in memory.
func clean(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if unicode.Is(unicode.Bidi_Control, r) {
			continue
		}
		if unicode.IsControl(r) {
			if r != '\n' && r != '\t' {
				continue
			}
			r = ' '
		}
		if n++; n > limit {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
