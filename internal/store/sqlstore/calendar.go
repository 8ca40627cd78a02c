package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
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
		WHERE org_id = $1 AND mailbox_id = $2 AND month < 0`

	calendarObjectColumns = `org_id, mailbox_id, uid, digest, source, sequence, stamp, floating_zone, mailbox_zone, series, starts, ends,
		changed, text, folder, name, unreadable, version, occurrences`
	calendarObjectUpdate = `DO UPDATE SET digest = excluded.digest, source = excluded.source,
			sequence = excluded.sequence, stamp = excluded.stamp, floating_zone = excluded.floating_zone,
			mailbox_zone = excluded.mailbox_zone, series = excluded.series, starts = excluded.starts,
			ends = excluded.ends, changed = excluded.changed, text = excluded.text, folder = excluded.folder,
			name = excluded.name, unreadable = excluded.unreadable, version = excluded.version,
			occurrences = excluded.occurrences`
	upsertCalendarObject = `INSERT INTO calendar_objects (` + calendarObjectColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		ON CONFLICT (org_id, mailbox_id, uid) ` + calendarObjectUpdate
	upsertCalendarShadow = `INSERT INTO calendar_shadows (` + calendarObjectColumns + `, availability)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
		ON CONFLICT (org_id, mailbox_id, uid, folder) ` + calendarObjectUpdate + `, availability = excluded.availability`
	deleteCalendarObject = `DELETE FROM calendar_objects WHERE org_id = $1 AND mailbox_id = $2 AND uid = $3 AND folder = $4`
	deleteCalendarShadow = `DELETE FROM calendar_shadows WHERE org_id = $1 AND mailbox_id = $2 AND uid = $3 AND folder = $4`

	selectCalendarFolders = `SELECT folder, transparent, objects, version, properties FROM calendar_folders WHERE org_id = $1 AND mailbox_id = $2
		ORDER BY folder`
	upsertCalendarFolder = `INSERT INTO calendar_folders (org_id, mailbox_id, folder, transparent, objects, version, properties)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (org_id, mailbox_id, folder) DO UPDATE SET transparent = excluded.transparent, objects = excluded.objects,
			version = excluded.version, properties = excluded.properties`
	deleteCalendarFolder = `DELETE FROM calendar_folders WHERE org_id = $1 AND mailbox_id = $2 AND folder = $3`
	// A source is the folder, a slash and a file's name, which has none.
	deleteCalendarImports = `DELETE FROM calendar_imports WHERE org_id = $1 AND mailbox_id = $2 AND substr(source, 1, length($3) + 1) = $3 || '/'`

	selectCalendarUnreadable = `SELECT (SELECT coalesce(sum(unreadable), 0) FROM calendar_imports WHERE org_id = $1 AND mailbox_id = $2)
		+ (SELECT count(*) FROM calendar_objects WHERE org_id = $1 AND mailbox_id = $2 AND unreadable)
		+ (SELECT count(*) FROM calendar_shadows WHERE org_id = $1 AND mailbox_id = $2 AND unreadable)`

	upsertCalendarMonth = `INSERT INTO calendar_months (org_id, mailbox_id, month, data) VALUES ($1, $2, $3, $4)
		ON CONFLICT (org_id, mailbox_id, month) DO UPDATE SET data = excluded.data`
	deleteCalendarMonth = `DELETE FROM calendar_months WHERE org_id = $1 AND mailbox_id = $2 AND month = $3`

	upsertCalendarImport = `INSERT INTO calendar_imports (org_id, mailbox_id, source, at, events, unreadable)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (org_id, mailbox_id, source) DO UPDATE SET at = excluded.at, events = excluded.events,
			unreadable = excluded.unreadable`
)

// calendarStatements are those of every question, and those of changes of one
// object, which are prepared when first needed.
type calendarStatements struct {
	state, months *sql.Stmt

	mu     sync.Mutex // guards others
	others map[string]*sql.Stmt
}

// of returns a statement of one of the databases, by its text.
func (c *calendarStatements) of(ctx context.Context, db *sql.DB, query string) (*sql.Stmt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stmt := c.others[query]
	if stmt == nil {
		var err error
		if stmt, err = db.PrepareContext(ctx, query); err != nil {
			return nil, err
		}
		if c.others == nil {
			c.others = map[string]*sql.Stmt{}
		}
		c.others[query] = stmt // closed with the database
	}
	return stmt, nil
}

// query asks the database for reading. Statements with a list of values are not kept.
func (s *Store) query(ctx context.Context, keep bool, query string, args ...any) (*sql.Rows, error) {
	if !keep {
		return s.read.QueryContext(ctx, query, args...)
	}
	stmt, err := s.calendar.of(ctx, s.read, query) //nolint:sqlclosecheck // it is kept
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

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
// all below 0, with the version that they belong to.
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
	rows, err := s.query(ctx, len(uids) <= 1, query, args...)
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
	var where strings.Builder
	args := []any{org, mailbox}
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	where.WriteString(" WHERE org_id = $1 AND mailbox_id = $2")
	if uids != nil {
		marks := make([]string, len(uids))
		for i, u := range uids {
			marks[i] = arg(u)
		}
		where.WriteString(" AND uid IN (" + strings.Join(marks, ", ") + ")")
	}
	if f.Folder != nil {
		where.WriteString(" AND folder = " + arg(*f.Folder))
	}
	if f.Name != "" {
		where.WriteString(" AND name <> '' AND name = " + arg(f.Name))
	}
	if f.Series {
		where.WriteString(" AND series")
	}
	if f.MailboxZone {
		where.WriteString(" AND mailbox_zone")
	}
	timeless := ""
	if f.Timeless {
		timeless = " OR starts = ends"
	}
	if !f.From.IsZero() {
		where.WriteString(" AND (ends IS NULL OR ends > " + arg(f.From.UnixMicro()) + timeless + ")")
	}
	if !f.To.IsZero() {
		where.WriteString(" AND (starts < " + arg(f.To.UnixMicro()) + timeless + ")")
	}
	text := "NULL"
	if f.Text {
		text = "text"
	}
	columns := `SELECT folder, name, uid, digest, source, sequence, stamp, floating_zone, mailbox_zone, series, starts, ends, changed, ` + text +
		`, unreadable, version, occurrences, `
	objects := columns + "FALSE, FALSE FROM calendar_objects" + where.String()
	shadows := columns + "TRUE, availability FROM calendar_shadows" + where.String()
	switch {
	case f.Availability:
		return shadows + " AND availability", args
	case f.Shadows:
		return objects + " UNION ALL " + shadows, args
	}
	return objects, args
}

func scanCalendarObject(rows *sql.Rows) (*directory.CalendarObject, error) {
	var o directory.CalendarObject
	var stamp, ends sql.NullInt64
	var starts, changed int64
	if err := rows.Scan(&o.Folder, &o.Name, &o.UID, &o.Digest, &o.Source, &o.Sequence, &stamp, &o.FloatingZone, &o.UsesMailboxZone, &o.Series,
		&starts, &ends, &changed, &o.Text, &o.Unreadable, &o.Version, &o.Occurrences, &o.Shadow, &o.Availability); err != nil {
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

// CalendarFolders returns the folders of a mailbox of which something is known, by
// name.
func (s *Store) CalendarFolders(ctx context.Context, org directory.OrgID, mailbox string) ([]directory.CalendarFolder, error) {
	rows, err := s.query(ctx, true, selectCalendarFolders, org, mailbox)
	if err != nil {
		return nil, fmt.Errorf("read calendar folders of %s: %w", mailbox, err)
	}
	defer rows.Close()
	var list []directory.CalendarFolder
	for rows.Next() {
		var f directory.CalendarFolder
		var properties string
		err := rows.Scan(&f.Name, &f.Transparent, &f.Objects, &f.Version, &properties)
		if err == nil && properties != "" {
			err = json.Unmarshal([]byte(properties), &f.Properties)
		}
		if err != nil {
			return nil, fmt.Errorf("read calendar folders of %s: %w", mailbox, err)
		}
		list = append(list, f)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read calendar folders of %s: %w", mailbox, err)
	}
	return list, nil
}

// ChangeCalendar makes c of the calendar at version base, which becomes
// base+1, in one transaction. A calendar at another version is
// directory.ErrCalendarChanged; a mailbox that does not exist is
// directory.ErrNotFound.
func (s *Store) ChangeCalendar(ctx context.Context, org directory.OrgID, mailbox string, base int64, c *directory.CalendarChange) error {
	defer s.marks.Changed(org, mailbox)
	w := calendarWriter{engine: s.engine, org: org, mailbox: mailbox, version: base + 1}
	for i, query := range calendarChanges {
		stmt, err := s.calendar.of(ctx, s.write, query) //nolint:sqlclosecheck // it is kept; within the transaction there is no connection to make it on
		if err != nil {
			return fmt.Errorf("change calendar of %s: %w", mailbox, err)
		}
		w.stmts[i] = stmt
	}
	err := s.tx(ctx, false, func(tx *sql.Tx) error {
		w := w
		for i, stmt := range w.stmts {
			w.stmts[i] = tx.StmtContext(ctx, stmt)
		}
		if err := w.state(ctx, tx, base, &c.State); err != nil {
			return err
		}
		for _, p := range c.Delete {
			query := deleteObject
			if p.Shadow {
				query = deleteShadow
			}
			if err := w.exec(ctx, query, p.UID, p.Folder); err != nil {
				return err
			}
		}
		if err := w.gone(ctx, tx, c.Gone); err != nil {
			return err
		}
		if err := w.put(ctx, c.Put); err != nil {
			return err
		}
		if err := w.folders(ctx, c); err != nil {
			return err
		}
		for _, m := range c.Months {
			query, args := upsertMonth, []any{m.Month, m.Data}
			if m.Data == nil {
				query, args = deleteMonth, args[:1]
			}
			if err := w.exec(ctx, query, args...); err != nil {
				return err
			}
		}
		if i := c.Import; i != nil {
			if err := w.exec(ctx, upsertImport, i.Source, i.At.UnixMicro(), i.Events, i.Unreadable); err != nil {
				return err
			}
		}
		return s.engine.Tell(ctx, tx, org, mailbox)
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // database/sql closes what fn uses, and then says that it is closed
	}
	if err != nil {
		return fmt.Errorf("change calendar of %s: %w", mailbox, err)
	}
	return nil
}

// The statements of changes, as numbers of calendarChanges.
const (
	upsertObject = iota
	upsertShadow
	deleteObject
	deleteShadow
	upsertFolder
	deleteFolder
	deleteImports
	upsertMonth
	deleteMonth
	upsertImport
	upsertGone
	deleteGone
	updateForgotten
	updateState
	insertState
)

var calendarChanges = [...]string{
	upsertObject: upsertCalendarObject, upsertShadow: upsertCalendarShadow, deleteObject: deleteCalendarObject, deleteShadow: deleteCalendarShadow,
	upsertFolder: upsertCalendarFolder, deleteFolder: deleteCalendarFolder, deleteImports: deleteCalendarImports,
	upsertMonth: upsertCalendarMonth, deleteMonth: deleteCalendarMonth, upsertImport: upsertCalendarImport,
	upsertGone: upsertCalendarGone, deleteGone: deleteCalendarGone, updateForgotten: updateCalendarForgotten,
	updateState: `UPDATE calendars SET version = $3, zone = $4, years = $5, objects = $6, occurrences = $7
		WHERE org_id = $1 AND mailbox_id = $2 AND version = $8`,
	insertState: `INSERT INTO calendars (org_id, mailbox_id, version, zone, years, objects, occurrences)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (org_id, mailbox_id) DO NOTHING`,
}

// A calendarWriter writes the parts of one change.
type calendarWriter struct {
	engine  Engine
	org     directory.OrgID
	mailbox string
	version int64
	stmts   [len(calendarChanges)]*sql.Stmt
}

func (w *calendarWriter) exec(ctx context.Context, stmt int, args ...any) error {
	_, err := w.stmts[stmt].ExecContext(ctx, append([]any{w.org, w.mailbox}, args...)...)
	return err
}

func (w *calendarWriter) state(ctx context.Context, tx *sql.Tx, base int64, st *directory.CalendarState) error {
	years, err := json.Marshal(st.Years)
	if err != nil {
		return err
	}
	stmt, args := updateState, []any{w.org, w.mailbox, w.version, st.Zone, string(years), st.Objects, st.Occurrences, base}
	if base == 0 {
		var one int
		err := tx.QueryRowContext(ctx, `SELECT 1 FROM recipients WHERE org_id = $1 AND recipient_id = $2`, w.org, w.mailbox).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("mailbox %w", directory.ErrNotFound)
		}
		if err != nil {
			return err
		}
		stmt, args = insertState, args[:7]
	}
	res, err := w.stmts[stmt].ExecContext(ctx, args...)
	if err != nil && w.engine.Orphan(err) {
		err = fmt.Errorf("mailbox %w", directory.ErrNotFound) // it went away meanwhile
	}
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		err = directory.ErrCalendarChanged
	}
	return err
}

func (w *calendarWriter) folders(ctx context.Context, c *directory.CalendarChange) error {
	for i := range c.Folders {
		f := &c.Folders[i]
		properties := ""
		if len(f.Properties) > 0 {
			b, err := json.Marshal(f.Properties)
			if err != nil {
				return fmt.Errorf("folder %q: %w", f.Name, err)
			}
			properties = string(b)
		}
		if err := w.exec(ctx, upsertFolder, f.Name, f.Transparent, f.Objects, w.version, properties); err != nil {
			return fmt.Errorf("folder %q: %w", f.Name, err)
		}
	}
	if c.DropFolder == "" {
		return nil
	}
	for _, stmt := range []int{deleteFolder, deleteImports} {
		if err := w.exec(ctx, stmt, c.DropFolder); err != nil {
			return fmt.Errorf("folder %q: %w", c.DropFolder, err)
		}
	}
	return nil
}

func (w *calendarWriter) put(ctx context.Context, put iter.Seq[*directory.CalendarObject]) error {
	if put == nil {
		return nil
	}
	for o := range put {
		var stamp, ends sql.NullInt64
		if !o.Stamp.IsZero() {
			stamp = sql.NullInt64{Int64: o.Stamp.UnixMicro(), Valid: true}
		}
		if o.Until != nil {
			ends = sql.NullInt64{Int64: o.Until.UnixMicro(), Valid: true}
		}
		stmt, args := upsertObject, []any{o.UID, o.Digest, o.Source, o.Sequence, stamp, o.FloatingZone, o.UsesMailboxZone, o.Series,
			o.From.UnixMicro(), ends, o.Changed.UnixMicro(), o.Text, o.Folder, o.Name, o.Unreadable, cmp.Or(o.Version, w.version), o.Occurrences}
		if o.Shadow {
			stmt, args = upsertShadow, append(args, o.Availability)
		}
		if err := w.exec(ctx, stmt, args...); err != nil {
			return fmt.Errorf("object %q: %w", o.UID, err)
		}
	}
	return nil
}

// CalendarUnreadable is the number of events that the last import of each
// source of the calendar left out, and of objects that are not read whole.
func (s *Store) CalendarUnreadable(ctx context.Context, org directory.OrgID, mailbox string) (int, error) {
	var n int
	err := s.read.QueryRowContext(ctx, selectCalendarUnreadable, org, mailbox).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read imports of %s: %w", mailbox, err)
	}
	return n, nil
}
