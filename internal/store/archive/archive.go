// Package archive copies everything that a store keeps: into a file and back, and
// from one database into another. What is copied is of one moment, the store may be
// used meanwhile; secrets stay sealed, and passwords hashed. Counts and checksums are
// compared at the end. A copy into a database that was cut short goes on where it was.
package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"iter"
	"slices"
	"strconv"
	"strings"

	"busybridge/internal/store/sqlstore"
)

// A Table is one of a store.
type Table struct {
	Name    string
	Key     []string // its primary key, in order
	Columns []Column
}

// A Column of a table.
type Column struct {
	Name string
	Kind Kind
}

// A Kind is what a column holds; NULL besides.
type Kind string

// The kinds, in which databases differ not.
const (
	Text  Kind = "text"
	Int   Kind = "int"
	Bool  Kind = "bool"
	Bytes Kind = "bytes"
)

// settings is copied at the end: with it the copy becomes a store.
const settings = "settings"

// keys are all tables in an order in which each comes after those that it refers to.
var keys = []Table{
	{Name: "organizations", Key: []string{"org_id"}},
	{Name: "organization_domains", Key: []string{"domain"}},
	{Name: "organization_hosts", Key: []string{"host", "org_id"}},
	{Name: "objects", Key: []string{"org_id", "kind", "object_id"}},
	{Name: "realms", Key: []string{"realm_id"}},
	{Name: "realm_domains", Key: []string{"domain"}},
	{Name: "realm_objects", Key: []string{"realm_id", "kind", "object_id"}},
	{Name: "accounts", Key: []string{"user_name"}},
	{Name: "account_certificates", Key: []string{"fingerprint"}},
	{Name: "account_networks", Key: []string{"user_name", "network"}},
	{Name: "recipients", Key: []string{"org_id", "recipient_id"}},
	{Name: "addresses", Key: []string{"org_id", "address"}},
	{Name: "recipient_names", Key: []string{"org_id", "name_key", "recipient_id"}},
	{Name: "audit_events", Key: []string{"org_id", "at", "event_id"}},
	{Name: "calendar_sources", Key: []string{"org_id", "source_id"}},
	{Name: "calendars", Key: []string{"org_id", "mailbox_id"}},
	{Name: "calendar_folders", Key: []string{"org_id", "mailbox_id", "folder"}},
	{Name: "calendar_objects", Key: []string{"org_id", "mailbox_id", "uid"}},
	{Name: "calendar_shadows", Key: []string{"org_id", "mailbox_id", "uid", "folder"}},
	{Name: "calendar_gone", Key: []string{"org_id", "mailbox_id", "folder", "uid", "name"}},
	{Name: "calendar_months", Key: []string{"org_id", "mailbox_id", "month"}},
	{Name: "calendar_imports", Key: []string{"org_id", "mailbox_id", "source"}},
	{Name: settings, Key: []string{"name"}},
}

// A row has a value for each column: string, int64, bool, []byte or nil.
type row []any

// A Sum is what two copies of a table are compared by.
type Sum struct {
	Rows   int64
	SHA256 [sha256.Size]byte
}

// A source is where rows come from.
type source interface {
	tables() []Table
	// rows yields those of a table by key: those after the given key, which has so
	// many before it; nil: all. A row is good until the next one.
	rows(ctx context.Context, t *Table, after row, skip int64) iter.Seq2[row, error]
}

// A moment is what a database holds at one moment.
type moment struct {
	tx   *sql.Tx
	list []Table
}

func newMoment(ctx context.Context, db *sqlstore.Database) (*moment, error) {
	tx, err := db.Read.BeginTx(ctx, db.Snapshot)
	if err != nil {
		return nil, err
	}
	m := &moment{tx: tx}
	for _, t := range keys {
		if t.Columns, err = columns(ctx, tx, t.Name); err != nil {
			return nil, errors.Join(err, tx.Rollback())
		}
		m.list = append(m.list, t)
	}
	return m, nil
}

func (m *moment) close() { m.tx.Rollback() } // nothing was written

func (m *moment) tables() []Table { return m.list }

// columns are those of a table, by name.
func columns(ctx context.Context, q querier, table string) (list []Column, err error) {
	rows, err := q.QueryContext(ctx, `SELECT * FROM `+table+` LIMIT 0`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	for _, c := range types {
		kind, ok := kindOf[c.DatabaseTypeName()]
		if !ok {
			return nil, fmt.Errorf("column %s of table %s is of the unknown type %s", c.Name(), table, c.DatabaseTypeName())
		}
		list = append(list, Column{c.Name(), kind})
	}
	slices.SortFunc(list, func(a, b Column) int { return strings.Compare(a.Name, b.Name) })
	return list, rows.Err()
}

// kindOf are the types by the names that drivers have for them.
var kindOf = map[string]Kind{
	"TEXT": Text, "BIGINT": Int, "INTEGER": Int, "SMALLINT": Int, "INT8": Int, "INT4": Int, "INT2": Int, "BOOLEAN": Bool, "BOOL": Bool, "BYTEA": Bytes,
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func names(t *Table) string {
	list := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		list[i] = c.Name
	}
	return strings.Join(list, ", ")
}

// marker is the row of settings that says that a store is not whole yet.
var notMarker = `name <> '` + sqlstore.Incoming + `'`

func (m *moment) rows(ctx context.Context, t *Table, after row, _ int64) iter.Seq2[row, error] {
	return rowsOf(ctx, m.tx, t, after)
}

func rowsOf(ctx context.Context, q querier, t *Table, after row) iter.Seq2[row, error] {
	var where []string
	var args []any
	if after != nil {
		marks := make([]string, len(t.Key))
		for i := range marks {
			marks[i] = "$" + strconv.Itoa(i+1)
		}
		where, args = append(where, "("+strings.Join(t.Key, ", ")+") > ("+strings.Join(marks, ", ")+")"), after
	}
	if t.Name == settings {
		where = append(where, notMarker)
	}
	query := `SELECT ` + names(t) + ` FROM ` + t.Name
	if len(where) > 0 {
		query += ` WHERE ` + strings.Join(where, " AND ")
	}
	query += ` ORDER BY ` + strings.Join(t.Key, ", ")
	return func(yield func(row, error) bool) {
		rows, err := q.QueryContext(ctx, query, args...)
		if err != nil {
			yield(nil, fmt.Errorf("read table %s: %w", t.Name, err))
			return
		}
		defer rows.Close()
		values, into := make(row, len(t.Columns)), make([]any, len(t.Columns))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			if err = rows.Scan(into...); err == nil {
				err = normal(t, values)
			}
			if !yield(values, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, fmt.Errorf("read table %s: %w", t.Name, err))
		}
	}
}

// normal makes of what a driver reads what every driver reads.
func normal(t *Table, values row) error {
	for i, v := range values {
		kind, ok := t.Columns[i].Kind, v == nil
		switch v := v.(type) {
		case string:
			if ok = kind == Text; kind == Bytes {
				values[i], ok = []byte(v), true
			}
		case []byte:
			if ok = kind == Bytes; kind == Text {
				values[i], ok = string(v), true
			}
		case bool:
			ok = kind == Bool
		case int64:
			if ok = kind == Int; kind == Bool {
				values[i], ok = v != 0, v == 0 || v == 1
			}
		case int32:
			values[i], ok = int64(v), kind == Int
		case int16:
			values[i], ok = int64(v), kind == Int
		}
		if !ok {
			return fmt.Errorf("table %s, column %s: a value of type %T is no %s", t.Name, t.Columns[i].Name, v, kind)
		}
	}
	return nil
}

// The tags of encoded values.
const (
	isNull byte = iota
	isText
	isInt
	isFalse
	isTrue
	isBytes
)

// appendRow appends the row as files have it and sums are made of it.
func appendRow(b []byte, r row) []byte {
	for _, v := range r {
		switch v := v.(type) {
		case nil:
			b = append(b, isNull)
		case string:
			b = append(binary.AppendUvarint(append(b, isText), uint64(len(v))), v...)
		case []byte:
			b = append(binary.AppendUvarint(append(b, isBytes), uint64(len(v))), v...)
		case int64:
			b = binary.AppendVarint(append(b, isInt), v)
		case bool:
			tag := isFalse
			if v {
				tag = isTrue
			}
			b = append(b, tag)
		}
	}
	return b
}

// A summer makes a Sum.
type summer struct {
	rows int64
	hash hash.Hash
	buf  []byte
}

func newSummer() *summer { return &summer{hash: sha256.New()} }

// add adds a row and returns it encoded.
func (s *summer) add(r row) []byte {
	s.rows++
	s.buf = appendRow(s.buf[:0], r)
	s.hash.Write(s.buf)
	return s.buf
}

func (s *summer) sum() Sum { return Sum{s.rows, [sha256.Size]byte(s.hash.Sum(nil))} }

// sumOf reads a whole table.
func sumOf(rows iter.Seq2[row, error], step func()) (Sum, error) {
	s := newSummer()
	for r, err := range rows {
		if err != nil {
			return Sum{}, err
		}
		s.add(r)
		step()
	}
	return s.sum(), nil
}

// sameTables reports how the tables of two stores differ.
func sameTables(a, b []Table) error {
	same := func(x, y Table) bool {
		return x.Name == y.Name && slices.Equal(x.Key, y.Key) && slices.Equal(x.Columns, y.Columns)
	}
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || !same(a[i], b[i]) {
			name := a[min(i, len(a)-1)].Name
			return fmt.Errorf("table %s is not the same on both sides: use the version of busybridge that wrote what is copied, then a newer one", name)
		}
	}
	return nil
}

// compareKeys orders rows as databases do.
func compareKeys(a, b row) int {
	for i := range a {
		var c int
		switch v := a[i].(type) {
		case string:
			w, _ := b[i].(string)
			c = strings.Compare(v, w)
		case int64:
			w, _ := b[i].(int64)
			c = int(min(max(v-w, -1), 1))
		case []byte:
			w, _ := b[i].([]byte)
			c = bytes.Compare(v, w)
		}
		if c != 0 {
			return c
		}
	}
	return 0
}
