package sqlitestore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/directory"
)

const (
	selectCalendarState = `SELECT version, zone, years, objects, occurrences FROM calendars
		WHERE org_id = $1 AND mailbox_id = $2`

	// One statement, so that the version and the months are of one moment.
	selectCalendarMonths = `SELECT c.version, m.month, m.data FROM calendars c
		LEFT JOIN calendar_months m ON m.org_id = c.org_id AND m.mailbox_id = c.mailbox_id AND m.month BETWEEN $3 AND $4
		WHERE c.org_id = $1 AND c.mailbox_id = $2
		UNION ALL
		SELECT 0, month, data FROM calendar_months
		WHERE org_id = $1 AND mailbox_id = $2 AND month = -1`

	upsertCalendarObject = `INSERT INTO calendar_objects (org_id, mailbox_id, uid, digest, source, sequence, stamp,
			floating_zone, mailbox_zone, series, starts, ends, changed, text)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (org_id, mailbox_id, uid) DO UPDATE SET digest = excluded.digest, source = excluded.source,
			sequence = excluded.sequence, stamp = excluded.stamp, floating_zone = excluded.floating_zone,
			mailbox_zone = excluded.mailbox_zone, series = excluded.series, starts = excluded.starts,
			ends = excluded.ends, changed = excluded.changed, text = excluded.text`

	upsertCalendarMonth = `INSERT INTO calendar_months (org_id, mailbox_id, month, data) VALUES ($1, $2, $3, $4)
		ON CONFLICT (org_id, mailbox_id, month) DO UPDATE SET data = excluded.data`
	deleteCalendarMonth = `DELETE FROM calendar_months WHERE org_id = $1 AND mailbox_id = $2 AND month = $3`

	upsertCalendarImport = `INSERT INTO calendar_imports (org_id, mailbox_id, source, at, events, unreadable)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (org_id, mailbox_id, source) DO UPDATE SET at = excluded.at, events = excluded.events,
			unreadable = excluded.unreadable`
)

// calendarStatements are those of every question.
type calendarStatements struct{ state, months *sql.Stmt }

func (c *calendarStatements) prepare(ctx context.Context, db *sql.DB) (err error) {
	if c.state, err = db.PrepareContext(ctx, selectCalendarState); err != nil {
		return err
	}
	c.months, err = db.PrepareContext(ctx, selectCalendarMonths)
	return err
}

// CalendarState returns the state of one calendar; the zero state when nothing
// was ever kept for the mailbox.
func (s *Store) CalendarState(ctx context.Context, org directory.OrgID, mailbox string) (directory.CalendarState, error) {
	var st directory.CalendarState
	var years []byte
	err := s.calendar.state.QueryRowContext(ctx, org, mailbox).Scan(&st.Version, &st.Zone, &years, &st.Objects, &st.Occurrences)
	if errors.Is(err, sql.ErrNoRows) {
		return directory.CalendarState{}, nil
	}
	if err == nil {
		err = json.Unmarshal(years, &st.Years)
	}
	if err != nil {
		return directory.CalendarState{}, fmt.Errorf("read calendar of %s: %w", mailbox, err)
	}
	return st, nil
}

// CalendarMonths returns the months from..to that have a row, in any order, and
// the one of long occurrences, with the version that they belong to.
func (s *Store) CalendarMonths(ctx context.Context, org directory.OrgID, mailbox string, from, to int) (version int64, months []directory.CalendarMonth, err error) {
	rows, err := s.calendar.months.QueryContext(ctx, org, mailbox, from, to)
	if err != nil {
		return 0, nil, fmt.Errorf("read calendar months of %s: %w", mailbox, err)
	}
	defer rows.Close()
	for rows.Next() {
		var v int64
		var month sql.NullInt64
		var data []byte
		if err := rows.Scan(&v, &month, &data); err != nil {
			return 0, nil, fmt.Errorf("read calendar months of %s: %w", mailbox, err)
		}
		version = max(version, v)
		if month.Valid {
			months = append(months, directory.CalendarMonth{Month: int(month.Int64), Data: data})
		}
	}
	if err := rows.Err(); err != nil {
		return 0, nil, fmt.Errorf("read calendar months of %s: %w", mailbox, err)
	}
	return version, months, nil
}

// CalendarObjects yields the objects that f selects.
func (s *Store) CalendarObjects(ctx context.Context, org directory.OrgID, mailbox string, f directory.CalendarFilter) iter.Seq2[*directory.CalendarObject, error] {
	return func(yield func(*directory.CalendarObject, error) bool) {
		if f.UIDs == nil {
			s.calendarObjects(ctx, org, mailbox, f, nil, yield)
			return
		}
		// The number of parameters of one statement is bounded.
		for uids := range slices.Chunk(f.UIDs, 500) {
			if !s.calendarObjects(ctx, org, mailbox, f, uids, yield) {
				return
			}
		}
	}
}

// calendarObjects yields those of one statement, and reports whether more are wanted.
func (s *Store) calendarObjects(ctx context.Context, org directory.OrgID, mailbox string, f directory.CalendarFilter, uids []string,
	yield func(*directory.CalendarObject, error) bool) bool {
	query, args := calendarObjectsQuery(org, mailbox, f, uids)
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		yield(nil, fmt.Errorf("read calendar objects of %s: %w", mailbox, err))
		return false
	}
	defer rows.Close()
	for rows.Next() {
		o, err := scanCalendarObject(rows)
		if err != nil {
			yield(nil, fmt.Errorf("read calendar objects of %s: %w", mailbox, err))
			return false
		}
		if !yield(o, nil) {
			return false
		}
	}
	if err := rows.Err(); err != nil {
		yield(nil, fmt.Errorf("read calendar objects of %s: %w", mailbox, err))
		return false
	}
	return true
}

func calendarObjectsQuery(org directory.OrgID, mailbox string, f directory.CalendarFilter, uids []string) (string, []any) {
	var q strings.Builder
	args := []any{org, mailbox}
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	text := "NULL"
	if f.Text {
		text = "text"
	}
	q.WriteString(`SELECT uid, digest, source, sequence, stamp, floating_zone, mailbox_zone, series, starts, ends, changed, ` + text +
		` FROM calendar_objects WHERE org_id = $1 AND mailbox_id = $2`)
	if uids != nil {
		marks := make([]string, len(uids))
		for i, u := range uids {
			marks[i] = arg(u)
		}
		q.WriteString(" AND uid IN (" + strings.Join(marks, ", ") + ")")
	}
	if f.Series {
		q.WriteString(" AND series")
	}
	if f.MailboxZone {
		q.WriteString(" AND mailbox_zone")
	}
	if !f.From.IsZero() {
		q.WriteString(" AND (ends IS NULL OR ends > " + arg(f.From.UnixMicro()) + ")")
	}
	if !f.To.IsZero() {
		q.WriteString(" AND starts < " + arg(f.To.UnixMicro()))
	}
	return q.String(), args
}

func scanCalendarObject(rows *sql.Rows) (*directory.CalendarObject, error) {
	var o directory.CalendarObject
	var stamp, ends sql.NullInt64
	var starts, changed int64
	if err := rows.Scan(&o.UID, &o.Digest, &o.Source, &o.Sequence, &stamp, &o.FloatingZone, &o.UsesMailboxZone, &o.Series,
		&starts, &ends, &changed, &o.Text); err != nil {
		return nil, err
	}
	o.From, o.Changed = time.UnixMicro(starts).UTC(), time.UnixMicro(changed).UTC()
	if stamp.Valid {
		o.Stamp = time.UnixMicro(stamp.Int64).UTC()
	}
	if ends.Valid {
		u := time.UnixMicro(ends.Int64).UTC()
		o.Until = &u
	}
	return &o, nil
}

// ChangeCalendar makes c of the calendar at version base, which becomes
// base+1, in one transaction. A calendar at another version is
// directory.ErrCalendarChanged; a mailbox that does not exist is
// directory.ErrNotFound.
func (s *Store) ChangeCalendar(ctx context.Context, org directory.OrgID, mailbox string, base int64, c *directory.CalendarChange) error {
	defer s.calendarMarks.of(org, mailbox).Add(1)
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := changeCalendarState(ctx, tx, org, mailbox, base, &c.State); err != nil {
			return err
		}
		if err := putCalendarObjects(ctx, tx, org, mailbox, c.Put); err != nil {
			return err
		}
		for _, m := range c.Months {
			query, args := upsertCalendarMonth, []any{org, mailbox, m.Month, m.Data}
			if m.Data == nil {
				query, args = deleteCalendarMonth, args[:3]
			}
			if _, err := tx.ExecContext(ctx, query, args...); err != nil {
				return err
			}
		}
		if i := c.Import; i != nil {
			_, err := tx.ExecContext(ctx, upsertCalendarImport, org, mailbox, i.Source, i.At.UnixMicro(), i.Events, i.Unreadable)
			return err
		}
		return nil
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // database/sql closes what fn uses, and then says that it is closed
	}
	if err != nil {
		return fmt.Errorf("change calendar of %s: %w", mailbox, err)
	}
	return nil
}

func changeCalendarState(ctx context.Context, tx *sql.Tx, org directory.OrgID, mailbox string, base int64, st *directory.CalendarState) error {
	years, err := json.Marshal(st.Years)
	if err != nil {
		return err
	}
	query := `UPDATE calendars SET version = $3, zone = $4, years = $5, objects = $6, occurrences = $7
		WHERE org_id = $1 AND mailbox_id = $2 AND version = $8`
	args := []any{org, mailbox, base + 1, st.Zone, string(years), st.Objects, st.Occurrences, base}
	if base == 0 {
		var one int
		err := tx.QueryRowContext(ctx, `SELECT 1 FROM recipients WHERE org_id = $1 AND recipient_id = $2`, org, mailbox).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("mailbox %w", directory.ErrNotFound)
		}
		if err != nil {
			return err
		}
		query = `INSERT INTO calendars (org_id, mailbox_id, version, zone, years, objects, occurrences)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (org_id, mailbox_id) DO NOTHING`
		args = args[:7]
	}
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		err = directory.ErrCalendarChanged
	}
	return err
}

func putCalendarObjects(ctx context.Context, tx *sql.Tx, org directory.OrgID, mailbox string, put iter.Seq[*directory.CalendarObject]) error {
	if put == nil {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, upsertCalendarObject)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for o := range put {
		var stamp, ends sql.NullInt64
		if !o.Stamp.IsZero() {
			stamp = sql.NullInt64{Int64: o.Stamp.UnixMicro(), Valid: true}
		}
		if o.Until != nil {
			ends = sql.NullInt64{Int64: o.Until.UnixMicro(), Valid: true}
		}
		if _, err := stmt.ExecContext(ctx, org, mailbox, o.UID, o.Digest, o.Source, o.Sequence, stamp, o.FloatingZone,
			o.UsesMailboxZone, o.Series, o.From.UnixMicro(), ends, o.Changed.UnixMicro(), o.Text); err != nil {
			return fmt.Errorf("object %q: %w", o.UID, err)
		}
	}
	return nil
}

// CalendarUnreadable is the number of events that the last import of each
// source of the calendar left out.
func (s *Store) CalendarUnreadable(ctx context.Context, org directory.OrgID, mailbox string) (int, error) {
	var n int
	err := s.read.QueryRowContext(ctx, `SELECT coalesce(sum(unreadable), 0) FROM calendar_imports
		WHERE org_id = $1 AND mailbox_id = $2`, org, mailbox).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read imports of %s: %w", mailbox, err)
	}
	return n, nil
}
