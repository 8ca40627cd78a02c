package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"busybridge/internal/directory"
)

const (
	upsertCalendarGone = `INSERT INTO calendar_gone (org_id, mailbox_id, folder, uid, name, version) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (org_id, mailbox_id, folder, uid, name) DO UPDATE SET version = excluded.version`
	selectOldestGone        = `SELECT version FROM calendar_gone WHERE org_id = $1 AND mailbox_id = $2 ORDER BY version DESC LIMIT 1 OFFSET $3`
	deleteCalendarGone      = `DELETE FROM calendar_gone WHERE org_id = $1 AND mailbox_id = $2 AND version <= $3`
	updateCalendarForgotten = `UPDATE calendars SET forgotten = $3 WHERE org_id = $1 AND mailbox_id = $2`

	selectCalendarPosition = `SELECT c.version, c.forgotten, coalesce(f.version, 0) FROM calendars c
		LEFT JOIN calendar_folders f ON f.org_id = c.org_id AND f.mailbox_id = c.mailbox_id AND f.folder = $3
		WHERE c.org_id = $1 AND c.mailbox_id = $2`

	calendarSince = ` WHERE org_id = $1 AND mailbox_id = $2 AND folder = $3 AND (version > $4 OR version = $4 AND uid > $5)`
	// Where the name of an object that is gone is another's now, there is only that.
	selectCalendarNews = `SELECT version, uid, name, digest, FALSE AS availability, FALSE AS gone FROM calendar_objects` + calendarSince + `
		UNION ALL
		SELECT version, uid, name, digest, availability, FALSE FROM calendar_shadows` + calendarSince + `
		UNION ALL
		SELECT version, uid, name, '', FALSE, TRUE FROM calendar_gone g` + calendarSince + `
			AND NOT EXISTS (SELECT 1 FROM calendar_objects o WHERE o.org_id = $1 AND o.mailbox_id = $2 AND o.uid = g.uid AND o.folder = $3 AND o.name = g.name)
			AND NOT EXISTS (SELECT 1 FROM calendar_shadows o WHERE o.org_id = $1 AND o.mailbox_id = $2 AND o.uid = g.uid AND o.folder = $3 AND o.name = g.name)
			AND NOT EXISTS (SELECT 1 FROM calendar_objects o WHERE o.org_id = $1 AND o.mailbox_id = $2 AND o.name <> '' AND o.name = g.name AND o.folder = $3)
			AND NOT EXISTS (SELECT 1 FROM calendar_shadows o WHERE o.org_id = $1 AND o.mailbox_id = $2 AND o.name <> '' AND o.name = g.name AND o.folder = $3)
		ORDER BY 1, 2 LIMIT $6`
)

// gone remembers what leaves its folder, and forgets the oldest of too many.
func (w *calendarWriter) gone(ctx context.Context, tx *sql.Tx, list []directory.CalendarGone) error {
	if len(list) == 0 {
		return nil
	}
	for _, g := range list {
		if err := w.exec(ctx, upsertGone, g.Folder, g.UID, g.Name, w.version); err != nil {
			return fmt.Errorf("object %q is gone: %w", g.UID, err)
		}
	}
	var forget int64
	err := tx.QueryRowContext(ctx, selectOldestGone, w.org, w.mailbox, directory.MaxGone).Scan(&forget)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	for _, stmt := range []int{deleteGone, updateForgotten} {
		if err == nil {
			err = w.exec(ctx, stmt, forget)
		}
	}
	return err
}

// CalendarChanges returns at most limit objects of a folder that changed or went
// away after since, in order, and the position after them: that of the last one
// where there may be more. A since that is not known is directory.ErrCalendarPosition.
func (s *Store) CalendarChanges(ctx context.Context, org directory.OrgID, mailbox, folder string, since directory.CalendarPosition, limit int) (list []directory.CalendarNews, next directory.CalendarPosition, more bool, err error) {
	list, next, more, err = s.calendarChanges(ctx, org, mailbox, folder, since, limit)
	if err != nil {
		return nil, next, false, fmt.Errorf("read calendar changes of %s: %w", mailbox, err)
	}
	return list, next, more, nil
}

func (s *Store) calendarChanges(ctx context.Context, org directory.OrgID, mailbox, folder string, since directory.CalendarPosition, limit int) (list []directory.CalendarNews, next directory.CalendarPosition, more bool, err error) {
	tx, err := s.moment(ctx)
	if err != nil {
		return nil, next, false, err
	}
	defer tx.Rollback() // nothing was written
	var version, forgotten, changed int64
	err = tx.QueryRowContext(ctx, selectCalendarPosition, org, mailbox, folder).Scan(&version, &forgotten, &changed)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, next, false, err
	}
	if since != (directory.CalendarPosition{}) && (since.Version <= forgotten || since.Version > version+1) {
		return nil, next, false, directory.ErrCalendarPosition
	}
	rows, err := tx.QueryContext(ctx, selectCalendarNews, org, mailbox, folder, since.Version, since.UID, limit+1)
	if err != nil {
		return nil, next, false, err
	}
	defer rows.Close()
	next = directory.CalendarPosition{Version: changed + 1}
	for rows.Next() {
		var n directory.CalendarNews
		if err := rows.Scan(&n.Version, &n.UID, &n.Name, &n.Digest, &n.Availability, &n.Gone); err != nil {
			return nil, next, false, err
		}
		if len(list) == limit {
			last := &list[limit-1]
			return list, directory.CalendarPosition{Version: last.Version, UID: last.UID}, true, nil
		}
		list = append(list, n)
		next.Version = max(next.Version, n.Version+1)
	}
	if next.Version < since.Version {
		next = since
	}
	return list, next, false, rows.Err()
}
