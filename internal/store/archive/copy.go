package archive

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"busybridge/internal/store/sqlstore"
)

// ErrNotEmpty: the store that something is copied into has something of its own.
var ErrNotEmpty = errors.New("the store that is to be filled is not empty")

// A Progress hears how far a copy is: so many rows of a table, done again when they
// are compared. It may be nil.
type Progress func(step, table string, rows int64)

func (p Progress) at(step, table string, rows int64) {
	if p != nil {
		p(step, table, rows)
	}
}

// chunk is the number of rows that one transaction writes.
const chunk = 2000

// maxParameters is the number of values of one statement.
const maxParameters = 2000

// Migrate copies what from holds into the database to, which is empty or holds the
// beginning of the same copy, and compares both. Nobody may change from until it has
// ended; name is how it is called.
func Migrate(ctx context.Context, to, from *sqlstore.Database, name string, p Progress) (map[string]Sum, error) {
	m, err := newMoment(ctx, from)
	if err != nil {
		return nil, err
	}
	defer m.close()
	return fill(ctx, to, m, name, p)
}

// fill copies a source into a database.
func fill(ctx context.Context, to *sqlstore.Database, from source, name string, p Progress) (map[string]Sum, error) {
	have, err := newMoment(ctx, to)
	if err != nil {
		return nil, err
	}
	have.close()
	if err := sameTables(have.tables(), from.tables()); err != nil {
		return nil, err
	}
	if err := begin(ctx, to, name); err != nil {
		return nil, err
	}
	sums := map[string]Sum{}
	list := from.tables()
	for i := range list {
		t := &list[i]
		if t.Name == settings {
			break // at the end
		}
		// The rows are read once, for the copy and for the sum.
		sum, err := copyTable(ctx, to, from, t, p)
		if err != nil {
			return nil, err
		}
		sums[t.Name] = sum
	}
	for i := range list {
		t := &list[i]
		if t.Name == settings {
			break
		}
		var n int64
		got, err := sumOf(rowsOf(ctx, to.Read, t, nil), func() { n++; p.at("compare", t.Name, n) })
		if err != nil {
			return nil, err
		}
		if want := sums[t.Name]; got != want {
			return nil, fmt.Errorf("table %s has %d rows, the copy %d, or their contents differ: what is copied was changed meanwhile; empty the target and copy again while nobody changes it", t.Name, want.Rows, got.Rows)
		}
	}
	last := &list[len(list)-1]
	sums[last.Name], err = finish(ctx, to, from, last)
	return sums, err
}

// begin marks a database as one that is being filled.
func begin(ctx context.Context, to *sqlstore.Database, name string) error {
	var other string
	err := to.Read.QueryRowContext(ctx, `SELECT body FROM settings WHERE name = $1`, sqlstore.Incoming).Scan(&other)
	switch {
	case err == nil && other == name:
		return nil
	case err == nil:
		return fmt.Errorf("%w: a copy of %s was begun in it", ErrNotEmpty, other)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	for _, t := range keys {
		var n int64
		if err := to.Read.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM `+t.Name+` LIMIT 1) AS one`).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%w: table %s has rows", ErrNotEmpty, t.Name)
		}
	}
	_, err = to.Write.ExecContext(ctx, `INSERT INTO settings (name, version, body, sealed) VALUES ($1, 1, $2, '')`, sqlstore.Incoming, name)
	return err
}

// copyTable copies the rows that are not there yet.
func copyTable(ctx context.Context, to *sqlstore.Database, from source, t *Table, p Progress) (Sum, error) {
	last, skip, err := end(ctx, to, t)
	if err != nil {
		return Sum{}, err
	}
	sum := newSummer()
	if skip > 0 { // what is there already counts, too
		for r, err := range from.rows(ctx, t, nil, 0) {
			if err != nil {
				return Sum{}, err
			}
			if sum.add(r); sum.rows == skip {
				if compareKeys(keyOf(t, r), last) != 0 {
					return Sum{}, fmt.Errorf("table %s: what is copied was changed since the copy was begun; empty the target and copy again", t.Name)
				}
				break
			}
		}
	}
	var list []row
	write := func() error {
		if len(list) == 0 {
			return nil
		}
		if err := insert(ctx, to, t, list); err != nil {
			return fmt.Errorf("write table %s: %w", t.Name, err)
		}
		p.at("copy", t.Name, sum.rows)
		list = list[:0]
		return nil
	}
	for r, err := range from.rows(ctx, t, last, skip) {
		if err != nil {
			return Sum{}, err
		}
		sum.add(r)
		if list = append(list, clone(r)); len(list) == chunk {
			if err := write(); err != nil {
				return Sum{}, err
			}
		}
	}
	if err := write(); err != nil {
		return Sum{}, err
	}
	return sum.sum(), nil
}

// clone is a row that stays.
func clone(r row) row {
	c := append(row(nil), r...)
	for i, v := range c {
		if b, ok := v.([]byte); ok {
			c[i] = append([]byte{}, b...)
		}
	}
	return c
}

func keyOf(t *Table, r row) row {
	k := make(row, 0, len(t.Key))
	for _, name := range t.Key {
		for i, c := range t.Columns {
			if c.Name == name {
				k = append(k, r[i])
			}
		}
	}
	return k
}

// end is the last key of a table and the number of its rows; nil of an empty one.
func end(ctx context.Context, db *sqlstore.Database, t *Table) (last row, n int64, err error) {
	if err := db.Read.QueryRowContext(ctx, `SELECT count(*) FROM `+t.Name).Scan(&n); err != nil || n == 0 {
		return nil, 0, err
	}
	k := Table{Name: t.Name}
	for _, name := range t.Key {
		for _, c := range t.Columns {
			if c.Name == name {
				k.Columns = append(k.Columns, c)
			}
		}
	}
	last = make(row, len(k.Columns))
	into := make([]any, len(last))
	for i := range last {
		into[i] = &last[i]
	}
	query := `SELECT ` + names(&k) + ` FROM ` + t.Name + ` ORDER BY ` + strings.Join(t.Key, " DESC, ") + ` DESC LIMIT 1`
	if err := db.Read.QueryRowContext(ctx, query).Scan(into...); err != nil {
		return nil, 0, err
	}
	return last, n, normal(&k, last)
}

// insert writes rows in one transaction, by statements of many.
func insert(ctx context.Context, db *sqlstore.Database, t *Table, list []row) error {
	tx, err := db.Write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after a commit
	if err := insertInto(ctx, tx, t, list); err != nil {
		return err
	}
	return tx.Commit()
}

func insertInto(ctx context.Context, tx *sql.Tx, t *Table, list []row) error {
	each := max(1, maxParameters/len(t.Columns))
	for len(list) > 0 {
		n := min(each, len(list))
		var query strings.Builder
		query.WriteString(`INSERT INTO ` + t.Name + ` (` + names(t) + `) VALUES `)
		args := make([]any, 0, n*len(t.Columns))
		for i, r := range list[:n] {
			if i > 0 {
				query.WriteString(", ")
			}
			for j, v := range r {
				before := ", $"
				if j == 0 {
					before = "($"
				}
				args = append(args, v)
				query.WriteString(before + strconv.Itoa(len(args)))
			}
			query.WriteByte(')')
		}
		if _, err := tx.ExecContext(ctx, query.String(), args...); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// finish copies the last table and takes the mark away: from then on it is a store.
func finish(ctx context.Context, to *sqlstore.Database, from source, t *Table) (Sum, error) {
	sum := newSummer()
	var list []row
	for r, err := range from.rows(ctx, t, nil, 0) {
		if err != nil {
			return Sum{}, err
		}
		sum.add(r)
		list = append(list, clone(r))
	}
	tx, err := to.Write.BeginTx(ctx, nil)
	if err != nil {
		return Sum{}, err
	}
	defer tx.Rollback() // no effect after a commit
	if err := insertInto(ctx, tx, t, list); err != nil {
		return Sum{}, err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM settings WHERE name = $1`, sqlstore.Incoming); err != nil {
		return Sum{}, err
	}
	return sum.sum(), tx.Commit()
}
