package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/dial/ewsclient"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/ical"
	"busybridge/internal/spec/wintz"
)

// ewsPath is where Exchange Web Services are on every server.
const ewsPath = "/EWS/Exchange.asmx"

// An Answer is one mailbox's free/busy as the server told it.
type Answer struct {
	Address string
	View    string // the FreeBusyViewType that was granted
	Merged  string // one digit for each half-hour of the window
	Events  []freebusy.Interval
	Error   *MailboxError // then there is nothing else
}

// A MailboxError is the server's reason to give no answer for one mailbox.
type MailboxError struct {
	Code string `json:"code"` // ResponseCode
	Text string `json:"text"`
}

func (e *MailboxError) Error() string { return strings.TrimSuffix(e.Code+": "+e.Text, ": ") }

// User is who the client signs in as.
func (c *Client) User() string { return c.o.User }

// Availability asks for up to 100 mailboxes at once. The answers are in the
// order of addresses. An error of one mailbox is in its answer.
func (c *Client) Availability(ctx context.Context, addresses []string, w freebusy.Window, view freebusy.View) ([]Answer, error) {
	ec, err := ewsclient.New(ewsclient.Config{HTTP: c.http, UserAgent: "busybridge"})
	if err != nil {
		return nil, err
	}
	req := request(addresses, wintz.UTCRule)
	req.FreeBusy = &ews.FreeBusyOptions{
		Start: ews.DateTime{Time: w.Start}, End: ews.DateTime{Time: w.End},
		IntervalMinutes: int(freebusy.DefaultSlot / time.Minute), Views: []string{view.String()},
	}
	resp, err := c.ask(ctx, ec, req)
	if err != nil {
		return nil, err
	}
	if len(resp.FreeBusy) != len(addresses) {
		return nil, fmt.Errorf("%s answered for %d mailboxes, asked were %d", c.Host(), len(resp.FreeBusy), len(addresses))
	}
	answers := make([]Answer, len(addresses))
	for i := range resp.FreeBusy {
		answers[i] = answer(addresses[i], &resp.FreeBusy[i])
	}
	return answers, nil
}

func request(addresses []string, zone wintz.Rule) *ews.AvailabilityRequest {
	req := &ews.AvailabilityRequest{Header: ews.Header{Version: "Exchange2013_SP1"}, Zone: &zone}
	for _, a := range addresses {
		req.Mailboxes = append(req.Mailboxes, ews.MailboxData{Address: a, AttendeeType: "Required"})
	}
	return req
}

func (c *Client) ask(ctx context.Context, ec *ewsclient.Client, req *ews.AvailabilityRequest) (*ews.AvailabilityResponse, error) {
	u := *c.base
	u.Path = ewsPath
	resp, err := ec.GetUserAvailability(ctx, u.String(), req)
	if status, ok := errors.AsType[*ewsclient.StatusError](err); ok && status.Status == http.StatusUnauthorized {
		return nil, c.refused()
	}
	return resp, err
}

// Suggest asks when the mailboxes could meet for so long, on the days of zone in
// w. Times are in UTC.
func (c *Client) Suggest(ctx context.Context, addresses []string, w freebusy.Window, zone *time.Location, duration time.Duration) ([]ews.SuggestionDay, error) {
	ec, err := ewsclient.New(ewsclient.Config{HTTP: c.http, UserAgent: "busybridge"})
	if err != nil {
		return nil, err
	}
	minutes := int(duration / time.Minute)
	req := request(addresses, wintz.RuleAt(zone, w.Start))
	req.Suggestions = &ews.SuggestionsOptions{
		MeetingDurationInMinutes: &minutes, Start: ews.DateTime{Time: w.Start}, End: ews.DateTime{Time: w.End},
	}
	resp, err := c.ask(ctx, ec, req)
	if err != nil {
		return nil, err
	}
	switch s := resp.Suggestions; {
	case s == nil:
		return nil, fmt.Errorf("%s suggested nothing", c.Host())
	case !s.Message.OK():
		return nil, fmt.Errorf("%s: %s: %s", c.Host(), s.Message.Code, s.Message.Text)
	default:
		return s.Days, nil
	}
}

func answer(address string, r *ews.FreeBusyResponse) Answer {
	a := Answer{Address: address, View: r.View, Merged: r.Merged}
	if !r.Message.OK() {
		return Answer{Address: address, Error: &MailboxError{r.Message.Code, strings.TrimSpace(r.Message.Text)}}
	}
	for _, e := range r.Events {
		status, ok := freebusy.ParseStatus(e.BusyType)
		if !ok {
			status = freebusy.NoData
		}
		iv := freebusy.Interval{Start: e.Start, End: e.End, Status: status}
		if d := e.Details; d != nil {
			iv.Detail = &freebusy.Detail{
				ID: d.ID, Subject: d.Subject, Location: d.Location,
				Meeting: d.Meeting, Recurring: d.Recurring, Exception: d.Exception, Reminder: d.ReminderSet, Private: d.Private,
			}
		}
		a.Events = append(a.Events, iv)
	}
	return a
}

// SlotEvents are the half-hours of the merged string as intervals, for an
// answer that has no events.
func (a *Answer) SlotEvents(w freebusy.Window) []freebusy.Interval {
	statuses := map[rune]freebusy.Status{'1': freebusy.Tentative, '2': freebusy.Busy, '3': freebusy.OOF, '4': freebusy.NoData, '5': freebusy.NoData}
	var out []freebusy.Interval
	for i, d := range a.Merged {
		if s, ok := statuses[d]; ok {
			start := w.Start.Add(time.Duration(i) * freebusy.DefaultSlot)
			out = append(out, freebusy.Interval{Start: start, End: start.Add(freebusy.DefaultSlot), Status: s})
		}
	}
	return out
}

// MarshalJSON is the form of busybridge availability --format json.
func (a Answer) MarshalJSON() ([]byte, error) {
	type event struct {
		Start    time.Time `json:"start"`
		End      time.Time `json:"end"`
		Status   string    `json:"status"`
		Subject  string    `json:"subject,omitempty"`
		Location string    `json:"location,omitempty"`
		Private  bool      `json:"private,omitempty"`
	}
	out := struct {
		Address string        `json:"address"`
		View    string        `json:"view,omitempty"`
		Merged  string        `json:"merged,omitempty"`
		Events  []event       `json:"events,omitempty"`
		Error   *MailboxError `json:"error,omitempty"`
	}{a.Address, a.View, a.Merged, nil, a.Error}
	for _, iv := range a.Events {
		e := event{Start: iv.Start, End: iv.End, Status: iv.Status.String()}
		if iv.Detail != nil {
			e.Subject, e.Location, e.Private = iv.Detail.Subject, iv.Detail.Location, iv.Detail.Private
		}
		out.Events = append(out.Events, e)
	}
	return json.Marshal(out)
}

var blocking = map[freebusy.Status]ical.Status{freebusy.Tentative: ical.Tentative, freebusy.Busy: ical.Busy, freebusy.OOF: ical.OOF}

// FreeBusy is the answer as VFREEBUSY (RFC 5545 3.6.4). Entries that do not
// block time are left out.
func (a *Answer) FreeBusy(w freebusy.Window, now time.Time) ical.FreeBusy {
	fb := ical.FreeBusy{UID: uuid.NewString(), Attendee: "mailto:" + a.Address, Stamp: now, Start: w.Start, End: w.End}
	events := a.Events
	if a.View == freebusy.ViewMergedOnly.String() {
		events = a.SlotEvents(w)
	}
	for _, e := range events {
		if status, blocks := blocking[e.Status]; blocks {
			fb.Periods = append(fb.Periods, ical.Period{Start: e.Start, End: e.End, Status: status})
		}
	}
	return fb
}
