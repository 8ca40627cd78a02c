package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"busybridge/internal/directory"
	"busybridge/internal/store/sqlstore"
)

// lookEvery is how often it is looked up at most whether another process changed
// something: SQLite tells it by a number that moves with every commit of another
// connection, and what changed is not told.
const lookEvery = 10 * time.Millisecond

// A watch is SQLite's sqlstore.Engine: it knows whether others have changed the file.
type watch struct {
	write *sql.DB
	now   func() time.Time
	marks *sqlstore.Marks

	checkpoints *checkpointer

	at atomic.Int64 // Unix ns of the last look
	// open: a transaction of ours is under way, and nobody else can commit.
	open atomic.Bool

	mu sync.Mutex // held by the one that looks

	// Of the writing connection, for who has it in hand.
	conn     any
	version  int64
	unsynced bool // a commit does not wait for the disk
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// look finds out what others did on the writing connection, on which our own
// commits do not count. It takes c before its first or within its next transaction.
func (w *watch) look(ctx context.Context, c *sql.Conn, q querier) error {
	var id any
	if err := c.Raw(func(driver any) error { id = driver; return nil }); err != nil {
		return err
	}
	var version int64
	if err := q.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version); err != nil {
		return err
	}
	if version != w.version || id != w.conn {
		w.version, w.conn = version, id
		w.marks.All()
	}
	return nil
}

// Look never waits for a writer: while nothing can be found out, anything may have
// changed. A clock that stands still says nothing about age: then it is found out
// each time.
func (w *watch) Look() {
	recent := func() bool {
		age := w.now().UnixNano() - w.at.Load()
		return age > 0 && age < int64(lookEvery) || w.open.Load()
	}
	if recent() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if recent() {
		return
	}
	at := w.now().UnixNano()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	c, err := w.write.Conn(ctx)
	cancel()
	if err == nil {
		err = w.look(context.Background(), c, c)
		_ = c.Close() // it goes back into the pool
	}
	if err != nil {
		w.marks.All()
	}
	w.at.Store(at)
}

// Prepare implements sqlstore.Engine: what is routine may be lost with the power until
// SQLite moves its log into the file.
func (w *watch) Prepare(ctx context.Context, c *sql.Conn, routine bool) error {
	if w.unsynced == routine {
		return nil
	}
	level := "FULL"
	if routine {
		level = "NORMAL"
	}
	if _, err := c.ExecContext(ctx, "PRAGMA synchronous="+level); err != nil {
		return err
	}
	w.unsynced = routine
	return nil
}

// Begin implements sqlstore.Engine.
func (w *watch) Begin(ctx context.Context, c *sql.Conn, tx *sql.Tx, _ bool) (done func(), err error) {
	if err := w.look(ctx, c, tx); err != nil {
		return nil, err
	}
	w.open.Store(true)
	return func() {
		w.open.Store(false)
		w.checkpoints.committed()
	}, nil
}

// Exclusive implements sqlstore.Engine: every transaction is (BEGIN IMMEDIATE).
func (*watch) Exclusive(context.Context, *sql.Tx) error { return nil }

// Tell implements sqlstore.Engine: others see it by data_version.
func (*watch) Tell(context.Context, *sql.Tx, directory.OrgID, string) error { return nil }

// Taken implements sqlstore.Engine.
func (*watch) Taken(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// Orphan implements sqlstore.Engine.
func (*watch) Orphan(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
}

// Broken implements sqlstore.Engine.
func (*watch) Broken(error) bool { return false }

// Close implements sqlstore.Engine.
func (w *watch) Close() error { return w.checkpoints.close() }
