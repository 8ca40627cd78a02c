package caldavserver

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"busybridge/internal/availability"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/serve/freebusyserver"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
)

// slot is that of answers of which only a merged string is known.
const slot = 15 * time.Minute

// window is the span of a question; a longer one is cut, and the answer says so.
func window(from, to time.Time) (freebusy.Window, error) {
	if last := from.Add(freebusy.MaxWindow); to.After(last) {
		to = last
	}
	return freebusy.NewWindow(from, to)
}

// ask asks the engine, for the caller.
func (c *call) ask(w freebusy.Window, list []availability.Attendee) ([]availability.Answer, error) {
	mount.AddAttrs(c.r.Context(), slog.Int(mount.KeyMailboxes, len(list)))
	answers, err := c.cfg.Engine.Ask(c.r.Context(), &availability.Question{
		Org: c.caller.Org, Server: c.caller.Site.Server, Caller: c.caller.Asker(),
		Attendees: list, Window: w, View: freebusy.ViewFreeBusyMerged, Slot: slot, RequestID: mount.RequestID(c.r.Context()),
	})
	if err == nil && len(answers) != len(list) {
		err = fmt.Errorf("got %d answers", len(answers))
	}
	if err != nil {
		return nil, fmt.Errorf("ask about %d addresses: %w", len(list), err)
	}
	return answers, nil
}

// freeBusyQuery answers free-busy-query (RFC 4791 7.10): of one's own calendar, with
// what is in it; of a calendar home, and of others, as the engine answers.
func (c *call) freeBusyQuery(e *soap.Element) error {
	s, err := readSpan(cmp.Or(e.Child(calNS, "time-range"), e))
	if err != nil || s.from.IsZero() || s.to.IsZero() {
		return badRequest("free-busy-query has a time-range with start and end, in UTC.")
	}
	w, err := window(s.from, s.to)
	if err != nil {
		return badRequest("The time-range cannot be asked for.")
	}
	r := &c.resource
	reply := routing.Reply{View: freebusy.ViewFreeBusy}
	if r.kind == calendarKind && !r.foreign {
		if reply.Events, err = c.busy(w); err != nil {
			return err
		}
	} else {
		if r.foreign && r.kind == calendarKind && r.name != "" {
			return errNotFound // others ask about all of somebody's calendars
		}
		answers, err := c.ask(w, []availability.Attendee{{Raw: r.owner.Primary.String(), Address: r.owner.Primary}})
		if err != nil {
			return err
		}
		reply = answers[0].Reply
	}
	if reply.Err != nil {
		if me, ok := errors.AsType[*routing.MailboxError](reply.Err); ok && (r.foreign || me.Reason == routing.RecipientNotFound) {
			return errNotFound
		}
		return reply.Err
	}
	fb := ical.FreeBusy{Stamp: c.cfg.Now(), Start: w.Start, End: w.End, Periods: freebusyserver.Periods(&reply, w, slot)}
	return c.write(http.StatusOK, "text/calendar; charset=utf-8; component=vfreebusy", ical.AppendFreeBusyMethod(nil, "", fb))
}

// busy are the busy times of one's own calendar.
func (c *call) busy(w freebusy.Window) ([]freebusy.Interval, error) {
	r := &c.resource
	var list []freebusy.Interval
	for o, err := range c.cfg.Calendars.ObjectsWithin(c.r.Context(), r.owner, r.folder.Name, w.Start, w.End) {
		if err != nil {
			return nil, err
		}
		if o.Availability {
			continue
		}
		cal, _, err := ical.Parse(o.Text, ical.Limits{})
		if err != nil {
			return nil, fmt.Errorf("object %q: %w", o.Name, err)
		}
		x := matcher{zone: c.zone(r.owner)}.expander(o)
		x.All, x.Owner = false, r.owner.Primary
		groups := ical.Groups(cal)
		for i := range groups {
			instances, _ := x.Expand(&groups[i], w.Start, w.End)
			for _, in := range instances {
				status, _ := freebusy.ParseStatus(string(in.Status))
				list = append(list, freebusy.Interval{Start: in.Start, End: in.End, Status: status})
			}
		}
		if len(list) > maxBusy {
			return nil, errTooMuch
		}
	}
	return list, nil
}

const maxBusy = 50_000 // instances of an answer

// A busyRequest is what an outbox is asked: a VFREEBUSY of METHOD REQUEST.
type busyRequest struct {
	uid, organizer string
	start, end     time.Time
	attendees      []ical.Property
}

// parseBusyRequest reads one (RFC 6638 5, RFC 5546 3.3.2).
func parseBusyRequest(text []byte) (q busyRequest, err error) {
	invalid := func(text string) (busyRequest, error) { return q, broken("valid-scheduling-message", "%s", text) }
	cal, _, err := ical.Parse(text, ical.Limits{Bytes: DefaultMaxBody})
	if err != nil || len(cal.Components) != 1 || cal.Components[0].Name != "VCALENDAR" {
		return q, broken("valid-calendar-data", "The text is not one VCALENDAR.")
	}
	root := cal.Components[0]
	method := root.Get("METHOD")
	if method == nil || !strings.EqualFold(method.Value, "REQUEST") || len(root.Components) != 1 || root.Components[0].Name != "VFREEBUSY" {
		return invalid("An outbox takes questions about free/busy here: METHOD:REQUEST with one VFREEBUSY. It sends no invitations.")
	}
	fb := root.Components[0]
	times, _, err := ical.ParseFreeBusy(text, ical.Limits{Bytes: DefaultMaxBody})
	if err != nil || len(times) != 1 || times[0].Start.IsZero() || times[0].End.IsZero() || !times[0].Start.Before(times[0].End) {
		return invalid("DTSTART and DTEND have to be there, in order, and in UTC.")
	}
	q.uid, q.start, q.end = times[0].UID, times[0].Start, times[0].End
	organizer := fb.Get("ORGANIZER")
	if organizer == nil {
		return invalid("There is no ORGANIZER.")
	}
	q.organizer = organizer.Value
	for p := range fb.All("ATTENDEE") {
		q.attendees = append(q.attendees, *p)
	}
	if n := len(q.attendees); n == 0 || n > availability.MaxAttendees {
		return invalid(fmt.Sprintf("There are %d ATTENDEEs; 1 to %d can be asked about.", n, availability.MaxAttendees))
	}
	return q, nil
}

// address is that of a calendar user address; zero: it names nobody.
func (c *call) address(s string) smtpaddr.Address {
	s = strings.TrimSpace(s)
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		a, _ := smtpaddr.Parse(s[7:]) // what is none is told
		return a
	}
	if path, ok := cutPath(s); ok && len(path) == 2 && strings.EqualFold(path[0], "principals") {
		a, _ := smtpaddr.Parse(path[1])
		return a
	}
	return smtpaddr.Address{}
}

// post answers a question about free/busy (RFC 6638 5.1).
func (c *call) post() error {
	if t, ok := c.mediaType(); !ok || t != "text/calendar" {
		return broken("supported-calendar-data", "An outbox takes text/calendar.")
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, c.cfg.MaxBody))
	if err != nil {
		return badRequest("The request cannot be read, or is too large.")
	}
	q, err := parseBusyRequest(text)
	if err != nil {
		return err
	}
	if !c.caller.Recipient.HasAddress(c.address(q.organizer)) {
		return broken("organizer-allowed", "The ORGANIZER has to be the owner of the outbox.")
	}
	w, err := window(q.start, q.end)
	if err != nil {
		return broken("valid-scheduling-message", "The time cannot be asked for.")
	}
	list := make([]availability.Attendee, len(q.attendees))
	for i, p := range q.attendees {
		list[i] = availability.Attendee{Raw: p.Value, Address: c.address(p.Value)}
	}
	answers, err := c.ask(w, list)
	if err != nil {
		return err
	}
	b := []byte(xmlHeader + "<C:schedule-response " + namespaces + ">")
	now := c.cfg.Now()
	for i := range answers {
		rep := &answers[i].Reply
		status := c.requestStatus(rep.Err)
		b = appendHref(append(b, "<C:response><C:recipient>"...), q.attendees[i].Value)
		b = soap.AppendText(append(b, "</C:recipient><C:request-status>"...), status)
		b = append(b, "</C:request-status>"...)
		if rep.Err == nil {
			fb := ical.FreeBusy{UID: q.uid, Organizer: q.organizer, Attendee: q.attendees[i].Value, Stamp: now, Start: w.Start, End: w.End,
				Periods: freebusyserver.Periods(rep, w, slot)}
			b = soap.AppendText(append(b, "<C:calendar-data>"...), string(ical.AppendFreeBusyMethod(nil, "REPLY", fb)))
			b = append(b, "</C:calendar-data>"...)
		}
		b = append(b, "</C:response>"...)
	}
	return c.write(http.StatusOK, "application/xml; charset=utf-8", append(b, "</C:schedule-response>\n"...))
}

// The request-status (RFC 5546 3.6) of what one address has no answer for; any other
// is of a server behind us.
const (
	statusSuccess     = "2.0;Success"
	statusInvalidUser = "3.7;Invalid calendar user"
	statusNoAuthority = "3.8;No authority"
	statusUnavailable = "5.1;Service unavailable"
	statusNoService   = "5.2;Invalid calendar service"
)

var requestStatuses = map[routing.Reason]string{
	routing.RecipientNotFound: statusInvalidUser,
	routing.InvalidAddress:    statusInvalidUser,
	routing.NoRoute:           statusNoService,
	routing.NoAccess:          statusNoAuthority,
	routing.ProxyNotAllowed:   statusNoAuthority,
	routing.SharingPolicy:     statusNoAuthority,
}

// remoteStatuses are those of the codes that another server gave.
var remoteStatuses = map[string]string{
	"ErrorMailRecipientNotFound": statusInvalidUser,
	"ErrorNoFreeBusyAccess":      statusNoAuthority,
}

func (c *call) requestStatus(err error) string {
	if err == nil {
		return statusSuccess
	}
	me, ok := errors.AsType[*routing.MailboxError](err)
	if !ok {
		c.cfg.Log.ErrorContext(c.r.Context(), "free/busy of an outbox", mount.KeyErr, err)
		return statusUnavailable
	}
	return cmp.Or(requestStatuses[me.Reason], remoteStatuses[me.Code], statusUnavailable)
}
