package caldavclient

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/spec/ical"
)

// FreeBusy asks a calendar for its busy times (RFC 4791 7.10).
func (s *Session) FreeBusy(ctx context.Context, calendar string, w Window) ([]ical.Period, error) {
	body := xmlHead + `<C:free-busy-query` + namespaces + `><C:time-range` + w.attributes() + `/></C:free-busy-query>`
	a, err := s.send(ctx, "REPORT", calendar, "1", "application/xml; charset=utf-8", []byte(body), http.StatusOK)
	if err != nil {
		return nil, err
	}
	if isXML(a.contentType) || strings.HasPrefix(a.contentType, "text/html") {
		return nil, safehttp.Faultf(safehttp.FaultContentType, "the answer is of type %.60q, want text/calendar", a.contentType)
	}
	return s.periods(a.body)
}

// AskOutbox asks for the busy times of a calendar user on behalf of another (RFC 6638 5).
// Both are addresses with their scheme, "mailto:".
func (s *Session) AskOutbox(ctx context.Context, outbox, organizer, attendee string, w Window) ([]ical.Period, error) {
	at := func(name string, t time.Time) ical.Property {
		return ical.Property{Name: name, Value: t.UTC().Format(instant)}
	}
	question := ical.Append(nil, &ical.Component{Name: "VCALENDAR", Properties: []ical.Property{
		{Name: "VERSION", Value: "2.0"}, {Name: "PRODID", Value: "-//busybridge//EN"}, {Name: "METHOD", Value: "REQUEST"},
	}, Components: []*ical.Component{{Name: "VFREEBUSY", Properties: []ical.Property{
		{Name: "UID", Value: "busybridge-" + ical.EscapeText(attendee)}, at("DTSTAMP", s.cfg.Now()), at("DTSTART", w.Start), at("DTEND", w.End),
		{Name: "ORGANIZER", Value: organizer}, {Name: "ATTENDEE", Value: attendee},
	}}}})
	a, err := s.send(ctx, http.MethodPost, outbox, "", "text/calendar; charset=utf-8", question, http.StatusOK)
	if err != nil {
		return nil, err
	}
	root, err := a.document(nsCalDAV, "schedule-response")
	if err != nil {
		return nil, err
	}
	for _, r := range root.Children {
		to := r.Child(nsCalDAV, "recipient")
		who := to.ChildText(nsDAV, "href")
		if who == "" && to != nil {
			who = to.Trimmed()
		}
		if !r.Is(nsCalDAV, "response") || !strings.EqualFold(who, attendee) {
			continue
		}
		status := r.ChildText(nsCalDAV, "request-status")
		if strings.HasPrefix(status, "2.") {
			return s.periods([]byte(r.ChildText(nsCalDAV, "calendar-data")))
		}
		return nil, safehttp.Faultf(requestFault(status), "the server answers the request for free/busy with %.60q", status)
	}
	return nil, safehttp.Faultf(safehttp.FaultContent, "the answer says nothing of the one who was asked for")
}

// requestFault is what a request status says (RFC 5546 3.6).
func requestFault(status string) safehttp.Fault {
	switch {
	case strings.HasPrefix(status, "3.7"):
		return safehttp.FaultNotFound
	case strings.HasPrefix(status, "3.8"), strings.HasPrefix(status, "3.9"):
		return safehttp.FaultForbidden
	case strings.HasPrefix(status, "5."):
		return safehttp.FaultServer
	}
	return safehttp.FaultStatus
}

// periods are those of all VFREEBUSY components of an answer.
func (s *Session) periods(text []byte) ([]ical.Period, error) {
	if !bytes.Contains(bytes.ToUpper(text[max(0, len(text)-64):]), []byte("END:VCALENDAR")) {
		return nil, safehttp.Faultf(safehttp.FaultTruncated, "the answer does not end with END:VCALENDAR")
	}
	list, problems, err := ical.ParseFreeBusy(text, ical.Limits{})
	if err == nil && len(list) == 0 {
		return nil, safehttp.Faultf(safehttp.FaultContent, "the answer has no VFREEBUSY")
	}
	if err == nil && len(problems) > 0 {
		return nil, safehttp.Faultf(safehttp.FaultContent, "the answer has a busy time that cannot be read: %.100s", problems[0].Reason)
	}
	if err != nil {
		return nil, safehttp.Faultf(safehttp.FaultContent, "the answer cannot be read: %w", err)
	}
	var out []ical.Period
	for i := range list {
		out = append(out, list[i].Periods...)
	}
	return out, nil
}
