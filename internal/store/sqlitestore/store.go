// Package sqlitestore keeps the directory, the audit trail and the built-in
// calendars in one SQLite file. Two processes may share the file on one machine.
//
// Organizations and realms are aggregates: they are read whole, as immutable
// snapshots that are shared between callers, and checked against a version row.
// What this process changes is seen at once; what another one changes within
// 10 ms. Secrets are sealed with a key that is not in the file.
package sqlitestore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // registers the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"busybridge/internal/directory"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewer is wrapped when the database was written by a newer program.
var ErrNewer = errors.New("database is newer than this program")

// Options of a store.
type Options struct {
	Now     func() time.Time // required
	SealKey []byte           // required, 32 bytes: seals private keys and passwords
	Log     *slog.Logger     // default: nothing is logged
	// CacheBytes bounds what is kept in memory of recipients and accounts. 0: 16 MiB.
	CacheBytes int
}

// A Store is one open database. It is safe for concurrent use.
type Store struct {
	write *sql.DB // one connection, transactions begin IMMEDIATE
	// unsynced: a commit of write's connection does not wait for the disk; for who holds it.
	unsynced bool
	read     *sql.DB // several connections, query_only
	sealer   *sealer
	now      func() time.Time
	log      *slog.Logger

	stmts       statements
	calendar    calendarStatements
	insertEvent *sql.Stmt // on write
	recorder    recorder

	// generation counts the changes of the directory through this Store.
	generation    atomic.Uint64
	committing    atomic.Int64 // of those, that may be seen already and do not count yet
	calendarMarks calendarMarks
	watch         watch

	hosts      fresh[string, []*directory.Organization]
	realmsBy   fresh[string, *directory.Realm] // by GUID and by domain
	configs    fresh[struct{}, *directory.AuthorityConfig]
	recipients fresh[recipientKey, *directory.Recipient]
	accounts   fresh[string, *directory.Account] // by name

	mu        sync.RWMutex // guards the snapshots
	orgs      map[directory.OrgID]*directory.Organization
	realms    map[string]*directory.Realm
	authority authoritySnapshot
}

// Open opens the database at path and brings its schema up to date. A new file
// is readable by its owner only. A wrong key is ErrSealKey, a database of a
// newer program is ErrNewer.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Now == nil {
		return nil, errors.New("sqlitestore: Options.Now is required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 16 << 20
	}
	s, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, o Options) (_ *Store, err error) {
	sealer, err := newSealer(o.SealKey)
	if err != nil {
		return nil, err
	}
	if err := restrict(path); err != nil {
		return nil, err
	}
	s := &Store{
		sealer: sealer, now: o.Now, log: o.Log,
		orgs: map[directory.OrgID]*directory.Organization{}, realms: map[string]*directory.Realm{},
	}
	if err := s.makeCaches(o.CacheBytes); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.write, err = sql.Open("sqlite", dsn(path, "_txlock=immediate")); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if err := s.migrate(ctx); err != nil {
		return nil, err
	}
	if err := s.checkKey(ctx); err != nil {
		return nil, err
	}
	if s.read, err = sql.Open("sqlite", dsn(path, "_pragma=query_only(1)")); err != nil {
		return nil, err
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if err := s.calendar.prepare(ctx, s.read); err != nil {
		return nil, err
	}
	if err := s.prepareRecord(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// makeCaches gives most of the bytes to recipients: a question needs many.
func (s *Store) makeCaches(bytes int) (err error) {
	s.calendarMarks.seed = maphash.MakeSeed()
	const few = 1 << 20
	if s.hosts, err = newFresh[string, []*directory.Organization](few); err != nil {
		return err
	}
	if s.realmsBy, err = newFresh[string, *directory.Realm](few); err != nil {
		return err
	}
	if s.configs, err = newFresh[struct{}, *directory.AuthorityConfig](few); err != nil {
		return err
	}
	if s.recipients, err = newFresh[recipientKey, *directory.Recipient](bytes * 3 / 4); err != nil {
		return err
	}
	s.accounts, err = newFresh[string, *directory.Account](bytes / 4)
	return err
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

func (s *Store) migrate(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.write, dir, goose.WithSlog(s.log),
		goose.WithGoMigrations(goose.NewGoMigration(4, &goose.GoFunc{RunTx: fillNames}, nil),
			goose.NewGoMigration(12, &goose.GoFunc{RunTx: fillLinkedUsers}, nil)))
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

// Close waits for running transactions and closes the database.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// tx runs fn in one write transaction and commits it when fn returns nil. What is
// routine outlives the process at once, and a loss of power when the next change
// is kept or SQLite moves its log into the file.
func (s *Store) tx(ctx context.Context, routine bool, fn func(*sql.Tx) error) error {
	c, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if s.unsynced != routine {
		level := "FULL"
		if routine {
			level = "NORMAL"
		}
		if _, err := c.ExecContext(ctx, "PRAGMA synchronous="+level); err != nil {
			return err
		}
		s.unsynced = routine
	}
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after a commit
	if err := s.watch.look(ctx, c, tx); err != nil {
		return err
	}
	s.watch.open.Store(true)
	defer s.watch.open.Store(false)
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// clock is the store's time: UTC in whole microseconds, as it is kept.
func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	var n int
	return s.read.QueryRowContext(ctx, `SELECT count(*) FROM settings`).Scan(&n)
}

// A querier is a connection pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}
