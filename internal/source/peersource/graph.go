package peersource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"busybridge/internal/dial/graphclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/graph"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/wintz"
)

// A cloud whose Exchange Web Services are closed is asked by Graph, in chunks, of
// which few are under way at once (getSchedule reference 2, 7).
const chunksAtOnce = 3

// askGraph asks at the Graph of an authorization server, as the organization's
// application there.
func (s *Source) askGraph(ctx context.Context, org *directory.Organization, q routing.Query, app *directory.AuthServer) ([]routing.Reply, error) {
	if _, err := safehttp.ParseURL(app.GraphBaseURL); err != nil {
		return nil, proxyFailed(fmt.Errorf("GraphBaseUrl: %w", err))
	}
	hc := *s.Client(org, q.Requester, app)
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // of a POST they lead nowhere
	client, err := graphclient.New(graphclient.Config{
		HTTP: &hc, Now: s.Now, UserAgent: "ASProxy/CrossForest/EmailDomain//" + s.Version.Padded(), MaxBody: s.MaxBody,
	})
	if err != nil {
		return nil, err
	}
	replies := make([]routing.Reply, len(q.Addresses))
	slots := make(chan struct{}, chunksAtOnce)
	var wg sync.WaitGroup
	done := 0
	for chunk := range slices.Chunk(q.Addresses, graph.ChunkSchedules) {
		into := replies[done : done+len(chunk)]
		done += len(chunk)
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := s.contain(ctx, func() error {
				list, err := s.getSchedule(ctx, client, app.GraphBaseURL, chunk, q)
				if err == nil {
					s.fromGraph(list, chunk, q, into)
				}
				return err
			})
			if err != nil {
				err = graphError(err)
				for i := range into {
					into[i] = routing.Reply{Err: err}
				}
			}
		})
	}
	wg.Wait()
	for i := range replies {
		replies[i].Address = q.Addresses[i]
	}
	return replies, nil
}

// getSchedule asks for one chunk. The call needs a mailbox there to be made by:
// the first of its own addresses that is one.
func (s *Source) getSchedule(ctx context.Context, client *graphclient.Client, base string, chunk []smtpaddr.Address, q routing.Query) ([]graph.Schedule, error) {
	req := &graph.Request{
		Schedules: make([]string, len(chunk)), Interval: graph.Minutes(q.Slot / time.Minute),
		Start: &graph.DateTime{Wall: q.Window.Start.UTC(), Zone: "UTC"}, End: &graph.DateTime{Wall: q.Window.End.UTC(), Zone: "UTC"},
	}
	for i, a := range chunk {
		req.Schedules[i] = a.String()
	}
	var last error
	for _, a := range chunk {
		s.Trace.ask(base)
		list, err := client.GetSchedule(ctx, base, a.String(), q.Requester.RequestID, req)
		se, ok := errors.AsType[*graphclient.StatusError](err)
		if !ok || se.Status != http.StatusNotFound || se.Code == "" {
			return list, err
		}
		last = err
	}
	return nil, last
}

// fromGraph makes replies of what came back for a chunk.
func (s *Source) fromGraph(list []graph.Schedule, chunk []smtpaddr.Address, q routing.Query, into []routing.Reply) {
	byID := make(map[string]*graph.Schedule, len(list))
	for i := range list {
		byID[strings.ToLower(list[i].ID)] = &list[i]
	}
	for i, a := range chunk {
		sc := byID[a.String()]
		if sc == nil {
			into[i] = routing.Reply{Err: proxyFailed(errors.New("the answer lacks the address"))}
			continue
		}
		into[i] = s.checkedSchedule(sc, q)
	}
}

// checkedSchedule makes a reply of what Graph says of one mailbox: no more than was
// asked for, nothing outside the window, nothing endless.
func (s *Source) checkedSchedule(sc *graph.Schedule, q routing.Query) routing.Reply {
	if sc.Error != nil {
		return routing.Reply{Err: scheduleError(sc.Error)}
	}
	slots := q.Window.Slots(q.Slot)
	merged, ok := freebusy.ParseAvailabilityView(sc.View)
	ok = ok && len(merged) == slots
	if n := len(sc.Items); n > freebusy.MaxEvents {
		return routing.Reply{Err: proxyFailed(fmt.Errorf("the answer has %d calendar entries, limit %d", n, freebusy.MaxEvents))}
	}
	// Busy without any entry: only the view is known, as of a group.
	if len(sc.Items) == 0 && ok && strings.Trim(merged, "0") != "" {
		return routing.Reply{View: freebusy.ViewMergedOnly, Merged: merged}
	}
	rep := routing.Reply{View: q.View}
	if q.View&freebusy.ViewEvents != 0 || !ok {
		events, err := items(sc.Items, q)
		if err != nil {
			return routing.Reply{Err: proxyFailed(err)}
		}
		if !ok {
			merged = freebusy.Merge(q.Window, q.Slot, events)
		}
		if q.View&freebusy.ViewEvents != 0 {
			rep.Events, rep.Hours = events, s.graphHours(sc.Hours)
		}
	}
	if q.View&freebusy.ViewMerged != 0 {
		rep.Merged = merged
	}
	return rep
}

// items returns the entries that overlap the window, sorted.
func items(in []graph.Item, q routing.Query) ([]freebusy.Interval, error) {
	out := make([]freebusy.Interval, 0, len(in))
	for i := range in {
		it := &in[i]
		start, err := it.Start.UTC()
		if err != nil {
			return nil, err
		}
		end, err := it.End.UTC()
		if err != nil {
			return nil, err
		}
		if !q.Window.Overlaps(start, end) || !start.Before(end) {
			continue
		}
		status, ok := freebusy.ParseGraphStatus(it.Status)
		if !ok {
			status = freebusy.NoData
		}
		v := freebusy.Interval{Start: start, End: end, Status: status}
		if q.View&freebusy.ViewDetails != 0 && (it.Private != nil || it.Subject != "" || it.Location != "") {
			v.Detail = &freebusy.Detail{Subject: clean(it.Subject, maxString), Location: clean(it.Location, maxString), Private: it.Private != nil && *it.Private}
		}
		out = append(out, v)
	}
	freebusy.Sort(out)
	return out, nil
}

// graphHours returns working hours that make sense, or nil.
func (s *Source) graphHours(h *graph.WorkingHours) *routing.Hours {
	if h == nil || h.Days == 0 || h.Start > h.End {
		return nil
	}
	rule := h.Zone
	if h.Named != "" {
		loc, err := graph.Location(h.Named)
		if err != nil {
			return nil
		}
		rule = wintz.RuleAt(loc, s.Now())
	}
	return &routing.Hours{Zone: rule, Periods: []routing.Period{{Days: h.Days, Start: h.Start, End: h.End}}}
}

// scheduleCodes are the names that Exchange Web Services have for the numbers of
// Graph (getSchedule reference 5).
var scheduleCodes = map[string]string{
	"5009": "ErrorMailRecipientNotFound", "5016": "ErrorProxyRequestProcessingFailed", "5035": "ErrorInvalidSmtpAddress",
	"5037": "ErrorNoFreeBusyAccess", "5039": "ErrorProxyRequestProcessingFailed", "7002": "ErrorProxyRequestProcessingFailed",
}

// scheduleError keeps what the other side says of one mailbox. A number that
// nobody knows is in the text.
func scheduleError(e *graph.MailboxError) *routing.MailboxError {
	if code := responseCode(scheduleCodes[e.Code], e.Code); code != "" {
		return &routing.MailboxError{Reason: routing.Remote, Code: code, Text: clean(e.Message, maxText)}
	}
	return proxyFailed(fmt.Errorf("error %q: %s", clean(e.Code, 40), clean(e.Message, maxText)))
}

// graphError is why a call has no answer at all.
func graphError(err error) *routing.MailboxError {
	if isTimeout(err) {
		return timedOut(err)
	}
	if se, ok := errors.AsType[*graphclient.StatusError](err); ok {
		switch {
		case se.Status == http.StatusNotFound && se.Code != "": // none of the addresses is a mailbox there
			return &routing.MailboxError{Reason: routing.Remote, Code: "ErrorMailRecipientNotFound", Text: clean(se.Message, maxText), Err: err}
		case se.Status == http.StatusBadRequest && responseCode(se.Code) != "":
			return &routing.MailboxError{Reason: routing.Remote, Code: se.Code, Text: clean(se.Message, maxText), Err: err}
		}
	}
	return proxyFailed(err)
}
