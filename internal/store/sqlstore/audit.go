package sqlstore

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"busybridge/internal/audit"
)

// AuditEvents streams the events that f chooses, the newest first. Events that
// are recorded meanwhile are left out.
func (s *Store) AuditEvents(ctx context.Context, f audit.Filter) iter.Seq2[audit.Event, error] {
	return func(yield func(audit.Event, error) bool) {
		from, before, id := int64(math.MinInt64), int64(math.MaxInt64), ""
		if !f.From.IsZero() {
			from = f.From.UnixMicro()
		}
		if !f.Until.IsZero() {
			before = f.Until.UnixMicro()
		}
		for left := f.Limit; ; {
			n := page
			if f.Limit > 0 {
				n = min(page, left)
			}
			events, last, err := s.auditPage(ctx, f, from, before, id, n)
			if err != nil {
				yield(audit.Event{}, fmt.Errorf("audit events: %w", err))
				return
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
			if left -= len(events); len(events) < n || f.Limit > 0 && left <= 0 {
				return
			}
			before, id = events[len(events)-1].At.UnixMicro(), last
		}
	}
}

func (s *Store) auditPage(ctx context.Context, f audit.Filter, from, before int64, id string, n int) (out []audit.Event, last string, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT event_id, org_id, at, actor, operation, object, before, after, outcome, request_id FROM audit_events
		WHERE org_id = $1 AND at >= $2 AND (at, event_id) < ($3, $4) AND ($5 = '' OR actor = $5) AND ($6 = '' OR operation = $6)
		ORDER BY at DESC, event_id DESC LIMIT $7`, f.Org, from, before, id, f.Actor, f.Operation, n)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	for rows.Next() {
		var e audit.Event
		var at int64
		if err := rows.Scan(&last, &e.Org, &at, &e.Actor, &e.Operation, &e.Object, &e.Before, &e.After, &e.Outcome, &e.RequestID); err != nil {
			return nil, "", err
		}
		e.At = time.UnixMicro(at).UTC()
		out = append(out, e)
	}
	return out, last, rows.Err()
}
