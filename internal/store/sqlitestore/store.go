// Package sqlitestore keeps everything in one SQLite file. Several processes may
// share the file on one machine: what another one changes is seen within 10 ms.
package sqlitestore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // registers the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"busybridge/internal/store/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// What is the same of all stores.
type (
	// A Store is one open database.
	Store = sqlstore.Store
	// A Tx is one write transaction.
	Tx = sqlstore.Tx
	// Options of a store.
	Options = sqlstore.Options
)

// The errors of Open.
var (
	ErrNewer   = sqlstore.ErrNewer
	ErrSealKey = sqlstore.ErrSealKey
)

// Open opens the database at path and brings its schema up to date. A new file
// is readable by its owner only. A wrong key is ErrSealKey, a database of a
// newer program is ErrNewer.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("sqlitestore: %w", err)
	}
	db, err := Database(ctx, path, o.Now, o.Log)
	if err != nil {
		return nil, err
	}
	s, err := sqlstore.New(ctx, db, o)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return s, nil
}

// Database is Open for who copies rows and opens no secret.
func Database(ctx context.Context, path string, now func() time.Time, log *slog.Logger) (sqlstore.Database, error) {
	db, err := open(ctx, path, now, log)
	if err != nil {
		return sqlstore.Database{}, fmt.Errorf("open database %s: %w", path, errors.Join(err, db.Close()))
	}
	return db, nil
}

func open(ctx context.Context, path string, now func() time.Time, log *slog.Logger) (db sqlstore.Database, err error) {
	if err := restrict(path); err != nil {
		return db, err
	}
	db.Marks, db.Snapshot = sqlstore.NewMarks(), &sql.TxOptions{ReadOnly: true}
	if db.Write, err = sql.Open("sqlite", dsn(path, "_pragma=wal_autocheckpoint("+maxLogPages+")&_txlock=immediate")); err != nil {
		return db, err
	}
	db.Write.SetMaxOpenConns(1)
	beside, err := sql.Open("sqlite", dsn(path, ""))
	if err != nil {
		return db, err
	}
	beside.SetMaxOpenConns(1)
	db.Engine = &watch{write: db.Write, now: now, marks: db.Marks, checkpoints: newCheckpointer(beside)}
	if err := migrate(ctx, db.Write, log); err != nil {
		return db, err
	}
	if db.Read, err = sql.Open("sqlite", dsn(path, "_pragma=query_only(1)")); err != nil {
		return db, err
	}
	db.Read.SetMaxOpenConns(sqlstore.Readers())
	db.Read.SetMaxIdleConns(sqlstore.Readers())
	return db, nil
}

// restrict creates the file for its owner only, and takes the rights of others
// from an existing one, which it must not open: closing it would drop the locks
// of another Store in this process (SQLite, "How To Corrupt", 2.2). SQLite gives
// the -wal and -shm files the same mode.
func restrict(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		return f.Close()
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	return os.Chmod(path, 0o600)
}

func dsn(path, more string) string {
	p := (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	return "file:" + p + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + more
}

func migrate(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithSlog(log),
		goose.WithGoMigrations(goose.NewGoMigration(4, &goose.GoFunc{RunTx: sqlstore.FillNames}, nil),
			goose.NewGoMigration(12, &goose.GoFunc{RunTx: sqlstore.FillLinkedUsers}, nil)))
	if err != nil {
		return err
	}
	sources := p.ListSources()
	known := sources[len(sources)-1].Version
	var has int64
	err = whenFree(ctx, func() (err error) {
		has, err = p.GetDBVersion(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if has > known {
		return fmt.Errorf("%w: schema version %d, known up to %d", ErrNewer, has, known)
	}
	// Another process may be doing the same: where it was faster, ours fails, and
	// the next turn finds one migration less to do.
	for range sources {
		if _, err = p.Up(ctx); err == nil {
			break
		}
	}
	return err
}

// whenFree repeats fn, which makes the first connection, while another process
// has the file for itself: for the change of a new file to WAL, SQLite does not
// wait as busy_timeout says.
func whenFree(ctx context.Context, fn func() error) error {
	const tries, pause = 250, 20 * time.Millisecond
	for range tries {
		err := fn()
		if e, ok := errors.AsType[*sqlite.Error](err); !ok || e.Code()&0xff != sqlite3.SQLITE_BUSY {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return fn()
}
