package syncsource

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/dial/graphclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/graph"
)

// Graph is the Fetcher of directory.SourceGraph.
type Graph struct{ Servers }

// Fetch implements Fetcher.
func (g Graph) Fetch(ctx context.Context, v *directory.CalendarSource, _ directory.CalendarSourceState) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	hc, done, err := g.client(ctx, v, jsonType)
	if err != nil {
		return nil, err
	}
	defer done()
	client, err := graphclient.New(graphclient.Config{HTTP: hc, Now: g.Now, UserAgent: "busybridge", MaxBody: v.MaxBytes})
	if err != nil {
		return nil, err
	}
	anchor := v.Server.Anchor
	if anchor == "" {
		anchor = v.Server.Address
	}
	const length = 60 * 24 * time.Hour // below 62 days (getSchedule reference 2)
	p, err := walk(ctx, g.window(v), length, v, func(ctx context.Context, part freebusy.Window) ([]entry, error) {
		list, err := client.GetSchedule(ctx, v.URL.Reveal(), anchor, uuid.NewString(), &graph.Request{
			Schedules: []string{v.Server.Address}, Interval: graph.Minutes(freebusy.MinSlot / time.Minute),
			Start: &graph.DateTime{Wall: part.Start, Zone: "UTC"}, End: &graph.DateTime{Wall: part.End, Zone: "UTC"},
		})
		switch {
		case err != nil:
			return nil, serverError(err, v.URL)
		case len(list) != 1:
			return nil, safehttp.Faultf(safehttp.FaultContent, "the answer is about %d mailboxes, want one", len(list))
		}
		return scheduleEntries(&list[0], part)
	})
	if err != nil {
		return nil, err
	}
	return copyOf(v, p, directory.MethodGetSchedule), nil
}

// scheduleFaults are what numbers mean (getSchedule reference 5). Others are faults
// of the server.
var scheduleFaults = map[string]safehttp.Fault{"5009": FaultMailbox, "5035": FaultMailbox, "5037": safehttp.FaultForbidden}

func scheduleEntries(s *graph.Schedule, part freebusy.Window) ([]entry, error) {
	if e := s.Error; e != nil {
		// Which number says this is not established; the text is that of EWS (2.2).
		if strings.Contains(e.Message, "too many calendar entries") {
			return nil, errTooMuch
		}
		f, ok := scheduleFaults[e.Code]
		if !ok {
			f = safehttp.FaultServer
		}
		return nil, safehttp.Faultf(f, "the server answers %.40q: %.200q", e.Code, e.Message)
	}
	if len(s.Items) > partEntries {
		return nil, errTooMuch
	}
	// Busy without any entry: only the view is known, as of a group.
	if view, ok := freebusy.ParseAvailabilityView(s.View); ok && len(s.Items) == 0 && strings.Trim(view, "0") != "" {
		return mergedEntries(view, part)
	}
	list := make([]entry, 0, len(s.Items))
	for i := range s.Items {
		it := &s.Items[i]
		start, err := it.Start.UTC()
		if err != nil {
			return nil, safehttp.Faultf(safehttp.FaultContent, "the answer names an unknown time zone: %v", err)
		}
		end, err := it.End.UTC()
		if err != nil {
			return nil, safehttp.Faultf(safehttp.FaultContent, "the answer names an unknown time zone: %v", err)
		}
		status, ok := freebusy.ParseGraphStatus(it.Status)
		if !ok {
			status = freebusy.NoData
		}
		e := entry{Interval: freebusy.Interval{Start: start, End: end, Status: status}}
		if it.Private != nil || it.Subject != "" || it.Location != "" {
			e.Detail = &freebusy.Detail{Subject: it.Subject, Location: it.Location, Private: it.Private != nil && *it.Private}
		}
		list = append(list, e)
	}
	return list, nil
}
