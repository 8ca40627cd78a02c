package sqlitestore

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/audit"
)

// Record keeps the event. An event without a time gets the current one.
func (s *Store) Record(ctx context.Context, e audit.Event) error {
	return s.Change(ctx, func(tx *Tx) error { return tx.Record(ctx, e) })
}

// Record is that of Store, in this transaction.
func (t *Tx) Record(ctx context.Context, e audit.Event) error {
	if e.At.IsZero() {
		e.At = t.now
	}
	// A version 7 id keeps the order of events of one microsecond.
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("record %s: %w", e.Operation, err)
	}
	_, err = t.tx.ExecContext(ctx, `INSERT INTO audit_events (org_id, at, event_id, actor, operation, object, before, after, outcome, request_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		e.Org, e.At.UnixMicro(), id.String(), e.Actor, e.Operation, e.Object, e.Before, e.After, e.Outcome, e.RequestID)
	if err != nil {
		return fmt.Errorf("record %s: %w", e.Operation, err)
	}
	return nil
}

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
