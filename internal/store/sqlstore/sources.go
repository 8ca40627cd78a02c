package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"busybridge/internal/directory"
)

const (
	sourceColumns   = `SELECT org_id, source_id, mailbox_id, body, sealed, version, state, next_attempt FROM calendar_sources`
	sourcesOfOrg    = sourceColumns + ` WHERE org_id = $1 ORDER BY mailbox_id, name_key`
	sourcesOf       = sourceColumns + ` WHERE org_id = $1 AND mailbox_id = $2 ORDER BY name_key`
	sourceByID      = sourceColumns + ` WHERE org_id = $1 AND source_id = $2`
	sourcesDue      = sourceColumns + ` WHERE next_attempt <= $1`
	updateSource    = `UPDATE calendar_sources SET state = $1, next_attempt = $2 WHERE org_id = $3 AND source_id = $4 AND version = $5`
	claimSource     = `UPDATE calendar_sources SET next_attempt = $1 WHERE org_id = $2 AND source_id = $3 AND version = $4 AND next_attempt = $5`
	deleteOldSource = `DELETE FROM calendar_sources WHERE org_id = $1 AND source_id = $2 AND version = $3`
)

// never is the next attempt of a source that needs none.
const never = math.MaxInt64

// CalendarSources are those of a mailbox by name; "": of all mailboxes. Those that
// are to go away are among them.
func (s *Store) CalendarSources(ctx context.Context, org directory.OrgID, mailbox string) ([]*directory.CalendarSource, error) {
	return s.sources(ctx, s.read, org, mailbox)
}

// CalendarSources is that of Store, in this transaction.
func (t *Tx) CalendarSources(ctx context.Context, org directory.OrgID, mailbox string) ([]*directory.CalendarSource, error) {
	return t.s.sources(ctx, t.tx, org, mailbox)
}

func (s *Store) sources(ctx context.Context, q querier, org directory.OrgID, mailbox string) ([]*directory.CalendarSource, error) {
	query, args := sourcesOf, []any{org, mailbox}
	if mailbox == "" {
		query, args = sourcesOfOrg, args[:1]
	}
	return s.readSources(ctx, q, query, args...)
}

// CalendarSource is one source. One that is not there is directory.ErrNotFound.
func (s *Store) CalendarSource(ctx context.Context, org directory.OrgID, id string) (*directory.CalendarSource, error) {
	list, err := s.readSources(ctx, s.read, sourceByID, org, id)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("calendar source %s: %w", id, directory.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// AllCalendarSources are those of every organization.
func (s *Store) AllCalendarSources(ctx context.Context) ([]*directory.CalendarSource, error) {
	return s.readSources(ctx, s.read, sourceColumns)
}

// DueCalendarSources are at most limit sources whose next attempt is at now or
// before, those that wait longest first, but those of the given hosts.
func (s *Store) DueCalendarSources(ctx context.Context, now time.Time, but []string, limit int) ([]*directory.CalendarSource, error) {
	query, args := sourcesDue, []any{now.UnixMicro()}
	if len(but) > 0 {
		marks := make([]string, len(but))
		for i, host := range but {
			args = append(args, host)
			marks[i] = fmt.Sprintf("$%d", len(args))
		}
		query += ` AND host NOT IN (` + strings.Join(marks, ", ") + `)`
	}
	args = append(args, limit)
	return s.readSources(ctx, s.read, query+fmt.Sprintf(` ORDER BY next_attempt LIMIT $%d`, len(args)), args...)
}

func (s *Store) readSources(ctx context.Context, q querier, query string, args ...any) (list []*directory.CalendarSource, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read calendar sources: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v := &directory.CalendarSource{}
		var body, sealed, state string
		var next int64
		var org, id, mailbox string
		if err := rows.Scan(&org, &id, &mailbox, &body, &sealed, &v.Version, &state, &next); err != nil {
			return nil, fmt.Errorf("read calendar sources: %w", err)
		}
		if err := errors.Join(json.Unmarshal([]byte(body), v), json.Unmarshal([]byte(state), &v.State)); err != nil {
			return nil, fmt.Errorf("calendar source %s: %w", id, err)
		}
		v.Org, v.ID, v.Mailbox, v.State.NextAttempt = directory.OrgID(org), id, mailbox, time.Time{}
		if next != never {
			v.State.NextAttempt = time.UnixMicro(next).UTC()
		}
		secrets, err := s.sealer.open(sourcePlace(v), sealed)
		if err == nil && len(secrets) != 2 {
			err = fmt.Errorf("%d sealed values, want 2", len(secrets))
		}
		if err != nil {
			return nil, fmt.Errorf("calendar source %s: %w", id, err)
		}
		if v.URL = directory.SecretURL(secrets[0]); len(secrets[1]) > 0 {
			v.Password = secrets[1]
		} else {
			v.Password = nil
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

func sourcePlace(v *directory.CalendarSource) string {
	return "calendar_sources/" + string(v.Org) + "/" + v.ID
}

// PutCalendarSource adds a source or replaces it, and makes it due; its Version
// and WhenChanged become new. A name that is taken in its mailbox is directory.ErrExists.
func (t *Tx) PutCalendarSource(ctx context.Context, v *directory.CalendarSource) error {
	v.WhenChanged = t.now
	if v.WhenCreated.IsZero() {
		v.WhenCreated = t.now
	}
	if err := v.Validate(); err != nil {
		return err
	}
	body, err := json.Marshal(v) //nolint:gosec // secrets write nothing of themselves
	if err != nil {
		return err
	}
	state, err := json.Marshal(v.State)
	if err != nil {
		return err
	}
	sealed, err := t.s.sealer.seal(sourcePlace(v), []directory.Secret{directory.Secret(v.URL.Reveal()), v.Password})
	if err != nil {
		return err
	}
	key := directory.FoldKey(v.Name)
	if v.Removed {
		key = "\x7f" + v.ID // its name is free
	}
	err = t.tx.QueryRowContext(ctx, `INSERT INTO calendar_sources (org_id, source_id, mailbox_id, name_key, host, body, sealed, version, state, next_attempt)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9)
		ON CONFLICT (org_id, source_id) DO UPDATE SET name_key = excluded.name_key, host = excluded.host, body = excluded.body, sealed = excluded.sealed,
		version = calendar_sources.version + 1, state = excluded.state, next_attempt = excluded.next_attempt
		RETURNING version`,
		v.Org, v.ID, v.Mailbox, key, v.URL.Host(), string(body), sealed, string(state), t.now.UnixMicro()).Scan(&v.Version)
	if err = t.taken(err); errors.Is(err, directory.ErrExists) {
		err = &directory.FieldError{Object: fmt.Sprintf("calendar source %q", v.Name), Field: "Name", Value: v.Name,
			Problem: "is taken by another calendar source of the mailbox", Err: directory.ErrExists}
	}
	if err != nil {
		return err
	}
	v.State.NextAttempt = t.now
	return nil
}

// ClaimCalendarSources puts the next attempts of sources off to until, so that no
// other process makes them too, and returns those that nobody else has claimed.
func (s *Store) ClaimCalendarSources(ctx context.Context, list []*directory.CalendarSource, until time.Time) (ours []*directory.CalendarSource, err error) {
	claimed := map[*directory.CalendarSource]bool{}
	err = s.tx(ctx, false, func(tx *sql.Tx) error {
		for _, v := range inOrder(list) {
			res, err := tx.ExecContext(ctx, claimSource, until.UnixMicro(), v.Org, v.ID, v.Version, v.State.NextAttempt.UnixMicro())
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			claimed[v] = n == 1
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim calendar sources: %w", err)
	}
	for _, v := range list {
		if claimed[v] {
			ours = append(ours, v)
		}
	}
	return ours, nil
}

// inOrder is the order in which rows are changed: who changes several in another one
// may wait for somebody who waits for them.
func inOrder(list []*directory.CalendarSource) []*directory.CalendarSource {
	return slices.SortedFunc(slices.Values(list), func(a, b *directory.CalendarSource) int {
		return cmp.Or(cmp.Compare(a.Org, b.Org), cmp.Compare(a.ID, b.ID))
	})
}

// KeepCalendarSourceStates keeps the states of sources, and forgets those that are
// Removed. What was changed meanwhile stays as it is: it is due already.
func (s *Store) KeepCalendarSourceStates(ctx context.Context, list []*directory.CalendarSource) error {
	err := s.tx(ctx, false, func(tx *sql.Tx) error {
		for _, v := range inOrder(list) {
			if v.Removed {
				if _, err := tx.ExecContext(ctx, deleteOldSource, v.Org, v.ID, v.Version); err != nil {
					return err
				}
				continue
			}
			state, err := json.Marshal(v.State)
			if err != nil {
				return err
			}
			next := int64(never)
			if !v.State.NextAttempt.IsZero() {
				next = v.State.NextAttempt.UnixMicro()
			}
			if _, err := tx.ExecContext(ctx, updateSource, string(state), next, v.Org, v.ID, v.Version); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep states of calendar sources: %w", err)
	}
	return nil
}
