package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/google/uuid"

	"busybridge/internal/audit"
)

// A recorder writes events that come at the same time in one transaction, for
// the cost is in the commit: it waits for the disk, whatever it holds.
type recorder struct {
	mu      sync.Mutex
	busy    bool           // somebody writes; guarded by mu
	waiting []*recordedOne // for the next transaction; guarded by mu
}

// maxRecorded bounds the events of one transaction.
const maxRecorded = 256

type recordedOne struct {
	event audit.Event
	done  chan error    // gets the outcome
	lead  chan struct{} // closed when this one has to write for those who wait
}

// Record keeps the event. An event without a time gets the current one. It is
// kept, or fails, with those that others record at the same moment, also when
// ctx ends meanwhile.
func (s *Store) Record(ctx context.Context, e audit.Event) (err error) {
	r := &s.recorder
	own := &recordedOne{event: e, done: make(chan error, 1), lead: make(chan struct{})}
	r.mu.Lock()
	r.waiting = append(r.waiting, own)
	if r.busy {
		r.mu.Unlock()
		select {
		case err := <-own.done:
			return err
		case <-own.lead:
		}
		r.mu.Lock()
	}
	r.busy = true
	r.mu.Unlock()
	runtime.Gosched() // others may be about to come
	r.mu.Lock()
	n := min(len(r.waiting), maxRecorded) // own is the first of them
	batch := r.waiting[:n:n]
	r.waiting = r.waiting[n:]
	r.mu.Unlock()
	err = errors.New("the writer has failed") // unless it comes to its end
	defer func() {
		for _, o := range batch {
			o.done <- err
		}
		r.next()
	}()
	ctx = context.WithoutCancel(ctx)
	routine := !slices.ContainsFunc(batch, func(o *recordedOne) bool { return !o.event.Routine })
	err = s.change(ctx, routine, func(tx *Tx) error {
		for _, o := range batch {
			if err := tx.Record(ctx, o.event); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// next lets the first of those who wait write.
func (r *recorder) next() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy = len(r.waiting) > 0; r.busy {
		close(r.waiting[0].lead)
	}
}

const insertEvent = `INSERT INTO audit_events (org_id, at, event_id, actor, operation, object, before, after, outcome, request_id)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

// Record is that of Store, in this transaction.
func (t *Tx) Record(ctx context.Context, e audit.Event) error {
	if e.At.IsZero() {
		e.At = t.now
	}
	// A version 7 id keeps the order of events of one microsecond.
	id, err := uuid.NewV7()
	if err == nil {
		_, err = t.tx.StmtContext(ctx, t.s.insertEvent).ExecContext(ctx, //nolint:sqlclosecheck // it ends with the transaction
			e.Org, e.At.UnixMicro(), id.String(), e.Actor, e.Operation, e.Object, e.Before, e.After, e.Outcome, e.RequestID)
	}
	if err != nil {
		return fmt.Errorf("record %s: %w", e.Operation, err)
	}
	return nil
}

// prepareRecord prepares on the connection that writes.
func (s *Store) prepareRecord(ctx context.Context) (err error) {
	s.insertEvent, err = s.write.PrepareContext(ctx, insertEvent)
	return err
}
