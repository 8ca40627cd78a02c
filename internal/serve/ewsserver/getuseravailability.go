package ewsserver

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
)

// getUserAvailability answers GetUserAvailability (part 2).
func (c *call) getUserAvailability(e *soap.Element) error {
	req, err := ews.ParseGetUserAvailability(e)
	if err != nil {
		return err
	}
	mount.AddAttrs(c.ctx, slog.Int(mount.KeyMailboxes, len(req.Mailboxes)))
	switch n := len(req.Mailboxes); {
	case n == 0:
		return &limitError{"ErrorMailboxDataArrayEmpty", "There are no target users in the EmailAddress array."}
	case n > c.cfg.MaxMailboxes:
		return &limitError{"ErrorMailboxDataArrayTooBig",
			fmt.Sprintf("There are too many target users in the EmailAddress array. The allowed size = %d; the actual size = %d.", c.cfg.MaxMailboxes, n)}
	case req.FreeBusy == nil && req.Suggestions == nil:
		return &limitError{"ErrorInvalidFreeBusyViewType", "The request has neither FreeBusyViewOptions nor SuggestionsViewOptions."}
	}
	z, err := zoneOf(req, &c.header)
	if err != nil {
		return err
	}
	var suggestions *ews.SuggestionsResponse
	if req.Suggestions != nil {
		if suggestions, err = c.suggest(req, z); err != nil {
			return err
		}
	}
	if req.FreeBusy == nil {
		c.out = ews.AppendAvailabilityEnd(ews.AppendAvailabilityStart(c.out, c.version()), suggestions)
		return nil
	}
	q, err := c.question(req, z)
	if err != nil {
		return err
	}
	c.out = ews.AppendFreeBusyArrayStart(ews.AppendAvailabilityStart(c.out, c.version()))
	w := answerWriter{call: c, zone: z, elsewhere: c.header.AtLeast("Exchange2013")}
	n := 0
	err = c.cfg.Engine.Each(c.ctx, q, func(_ int, a *availability.Answer) error {
		n++
		w.append(&a.Reply)
		if len(c.out) < flushAt {
			return nil
		}
		w.hours = nil
		return c.flush()
	})
	if err == nil && n != len(q.Attendees) {
		err = fmt.Errorf("got %d answers", n)
	}
	if err != nil {
		return fmt.Errorf("ask about %d mailboxes: %w", len(q.Attendees), err)
	}
	c.out = ews.AppendAvailabilityEnd(ews.AppendFreeBusyArrayEnd(c.out), suggestions)
	return nil
}

// question makes the question of a request with FreeBusyViewOptions.
func (c *call) question(req *ews.AvailabilityRequest, z *zone) (*availability.Question, error) {
	o := req.FreeBusy
	slot := freebusy.DefaultSlot
	if o.IntervalMinutes != 0 {
		// Compared as minutes: a large number would overflow a Duration.
		if o.IntervalMinutes < int(freebusy.MinSlot/time.Minute) || o.IntervalMinutes > int(freebusy.MaxSlot/time.Minute) {
			return nil, &limitError{"ErrorInvalidMergedFreeBusyInterval", fmt.Sprintf("The merged free/busy interval is invalid. The allowed values are %d to %d minutes.",
				freebusy.MinSlot/time.Minute, freebusy.MaxSlot/time.Minute)}
		}
		slot = time.Duration(o.IntervalMinutes) * time.Minute
	}
	view := freebusy.ViewFreeBusy
	if len(o.Views) > 0 {
		view = freebusy.ViewNone
		for _, name := range o.Views {
			v, _ := freebusy.ParseView(name) // ews lets only the known names through
			view |= v
		}
		if view == freebusy.ViewNone {
			return nil, &limitError{"ErrorInvalidFreeBusyViewType", "The requested free/busy view is invalid."}
		}
	}
	window, err := c.window(o.Start, o.End, "FreeBusyViewOptions.TimeWindow", z)
	if err != nil {
		return nil, err
	}
	q := c.attendees(req)
	q.Window, q.View, q.Slot = window, view, slot
	return q, nil
}

// attendees begins the question of a request: who asks, and for whom.
func (c *call) attendees(req *ews.AvailabilityRequest) *availability.Question {
	q := &availability.Question{
		Org: c.caller.Org, Server: c.caller.Site.Server,
		Caller:    availability.Caller{Recipient: c.mailbox, Partner: c.caller.Partner},
		Attendees: make([]availability.Attendee, len(req.Mailboxes)),
		Proxied:   c.proxied(), RequestID: mount.RequestID(c.ctx),
	}
	q.Caller.Forest, _ = c.caller.Forest()
	if q.Proxied == availability.CrossSite {
		q.Via = serversOf(c.via)
	}
	for i := range req.Mailboxes {
		m := &req.Mailboxes[i]
		a := &q.Attendees[i]
		*a = availability.Attendee{Raw: m.Address, Type: m.AttendeeType, ExcludeConflicts: m.ExcludeConflicts}
		if m.RoutingType == "" || strings.EqualFold(m.RoutingType, "SMTP") {
			// What is no address gets its own answer from the engine.
			a.Address, _ = smtpaddr.Parse(m.Address)
		}
	}
	return q
}

// window is a span of the request; name is its element.
func (c *call) window(from, until ews.DateTime, name string, z *zone) (freebusy.Window, error) {
	const day = 24 * time.Hour
	start, end := z.utc(from), z.utc(until)
	if !start.Before(end) {
		return freebusy.Window{}, &limitError{"ErrorInvalidTimeInterval", "The time duration specified for " + name + " is invalid."}
	}
	// In seconds: the span of two years may not fit into a Duration.
	if seconds := end.Unix() - start.Unix(); seconds > int64(freebusy.MaxWindow/time.Second) {
		const perDay = int64(day / time.Second)
		return freebusy.Window{}, &limitError{"ErrorTimeIntervalTooBig",
			fmt.Sprintf("The requested time duration specified for %s is too long. The allowed limit = %d days; the actual limit = %d days.",
				name, freebusy.MaxWindow/day, (seconds+perDay-1)/perDay)}
	}
	return freebusy.NewWindow(start, end)
}

// proxied says whether the question was forwarded to us (3.2). A partner's
// always was. That it comes from a server of the same organization, which lets
// it be forwarded once more, counts only from an account with a role for it.
func (c *call) proxied() availability.Proxied {
	forest, _ := c.caller.Forest()
	switch {
	case c.caller.Partner != nil || forest || c.header.RequestType == ews.CrossForest:
		return availability.CrossForest
	case c.header.RequestType == ews.CrossSite && c.caller.Account != nil && c.caller.Account.HasRole(directory.RoleImpersonation):
		return availability.CrossSite
	}
	return availability.NotProxied
}

// Limits of what a Via header may name.
const (
	maxVia     = 10
	maxViaName = 64
)

// serversOf are the servers that a Via header names (RFC 9110 7.6.3).
func serversOf(via []string) []string {
	var names []string
	for _, line := range via {
		for hop := range strings.SplitSeq(line, ",") {
			_, name, _ := strings.Cut(strings.TrimSpace(hop), " ")
			name, _, _ = strings.Cut(name, " (") // a comment
			plain := func(r rune) bool { return r < ' ' || r > '~' }
			if name != "" && len(name) <= maxViaName && len(names) < maxVia && strings.IndexFunc(name, plain) < 0 {
				names = append(names, name)
			}
		}
	}
	return names
}

// An answerWriter writes replies one after another.
type answerWriter struct {
	*call
	zone      *zone
	elsewhere bool // WorkingElsewhere may be written (2.5)
	events    ews.EventWriter
	// The working hours that were written last, and where. Most mailboxes of an
	// answer have the same.
	hours        *routing.Hours
	written, end int // in out
}

func (w *answerWriter) append(r *routing.Reply) {
	if r.Err != nil {
		m := w.mailboxError(r.Err)
		w.out = ews.AppendFreeBusyEnd(ews.AppendFreeBusyStart(w.out, &m, "", ""))
		return
	}
	merged := r.Merged
	if r.View&freebusy.ViewMerged == 0 {
		merged = ""
	}
	w.out = ews.AppendFreeBusyStart(w.out, &ews.ResponseMessage{}, r.View.String(), merged)
	if r.View&freebusy.ViewEvents != 0 {
		w.out = ews.AppendEventsStart(w.out)
		for i := range r.Events {
			w.appendEvent(&r.Events[i], r.View&freebusy.ViewDetails != 0)
		}
		w.out = ews.AppendEventsEnd(w.out)
		w.appendHours(r.Hours)
	}
	w.out = ews.AppendFreeBusyEnd(w.out)
}

func (w *answerWriter) appendEvent(iv *freebusy.Interval, withDetails bool) {
	status := iv.Status
	if status == freebusy.WorkingElsewhere && !w.elsewhere {
		status = freebusy.Free
	}
	var details *ews.EventDetails
	if d := iv.Detail; d != nil && withDetails {
		details = &ews.EventDetails{
			ID: d.ID, Subject: d.Subject, Location: d.Location,
			Meeting: d.Meeting, Recurring: d.Recurring, Exception: d.Exception, ReminderSet: d.Reminder, Private: d.Private,
		}
	}
	w.out = w.events.Append(w.out, w.zone.clock(iv.Start.Unix()), w.zone.clock(iv.End.Unix()), status.String(), details)
}

func (w *answerWriter) appendHours(h *routing.Hours) {
	switch h {
	case nil:
	case w.hours:
		w.out = append(w.out, w.out[w.written:w.end]...)
	default:
		is := ews.WorkingHours{Zone: h.Zone, Periods: make([]ews.WorkingPeriod, len(h.Periods))}
		for i, p := range h.Periods {
			is.Periods[i] = ews.WorkingPeriod{Days: p.Days, Start: p.Start, End: p.End}
		}
		w.hours, w.written = h, len(w.out)
		w.out = ews.AppendWorkingHours(w.out, &is)
		w.end = len(w.out)
	}
}
