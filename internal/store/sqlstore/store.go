// Package sqlstore keeps the directory, the audit trail and the built-in calendars
// in tables. It is all of a store but the database: sqlitestore and postgresstore
// open one, and give it an Engine that knows what differs between them. The SQL is
// one text for all.
//
// Organizations and realms are aggregates: they are read whole, as immutable
// snapshots that are shared between callers, and checked against a version row.
// What this process changes is seen at once; what another one changes, as soon as
// the Engine says. Secrets are sealed with a key that is not in the database.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"busybridge/internal/directory"
)

// ErrNewer is wrapped when the database was written by a newer program.
var ErrNewer = errors.New("database is newer than this program")

// Incoming is the row of table settings that a database has while it is filled with
// what another one holds, and ErrIncomplete what New says then.
const Incoming = "incoming"

// ErrIncomplete is returned by New for a database that was not filled to its end.
var ErrIncomplete = errors.New("the database is not whole: a restore or a migration into it has not ended; run it again")

// Options of a store.
type Options struct {
	Now     func() time.Time // required
	SealKey []byte           // required, 32 bytes: seals private keys and passwords
	Log     *slog.Logger     // default: nothing is logged
	// CacheBytes bounds what is kept in memory of recipients and accounts. 0: 16 MiB.
	CacheBytes int
}

// Check fills in what is not set.
func (o *Options) Check() error {
	if o.Now == nil {
		return errors.New("Options.Now is required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 16 << 20
	}
	return nil
}

// An Engine is what the databases differ in. It is safe for concurrent use.
type Engine interface {
	// Taken reports whether err says that a unique key is another row's.
	Taken(err error) bool
	// Orphan reports whether err says that the row which a new one belongs to is not there.
	Orphan(err error) bool
	// Broken reports whether err, of the beginning of a transaction, says that its
	// connection was gone: another one is tried then.
	Broken(err error) bool
	// Prepare is called before every write transaction on c. What is routine outlives
	// the process at once, and a loss of power soon.
	Prepare(ctx context.Context, c *sql.Conn, routine bool) error
	// Begin is called first in the transaction, done when it has ended.
	Begin(ctx context.Context, c *sql.Conn, tx *sql.Tx, routine bool) (done func(), err error)
	// Exclusive makes the transaction the only one of the deployment that has called
	// it, until it ends.
	Exclusive(ctx context.Context, tx *sql.Tx) error
	// Tell lets the other processes know, once tx is committed, that the calendar of
	// the mailbox has changed; of mailbox "": that the directory has.
	Tell(ctx context.Context, tx *sql.Tx, org directory.OrgID, mailbox string) error
	// Look brings Marks up to date with what other processes have changed. It is
	// called by every question: it does not wait where it is not long ago.
	Look()
	// Close ends what the Engine does by itself.
	Close() error
}

// A Database is what New makes a Store of. All but Spread is required.
type Database struct {
	Engine Engine
	Marks  *Marks
	// Write is for transactions that change something, Read for all else. They are
	// two, so that a change that waits for another one does not keep readers waiting.
	Write, Read *sql.DB
	// Snapshot are the options of a transaction that sees one moment.
	Snapshot *sql.TxOptions
	// Spread: the rows of different mailboxes are in different places.
	Spread bool
}

// Close closes the database.
func (d *Database) Close() error {
	var errs []error
	if d.Engine != nil {
		errs = append(errs, d.Engine.Close())
	}
	for _, db := range []*sql.DB{d.Read, d.Write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// A Store is one open database. It is safe for concurrent use.
type Store struct {
	db     Database
	read   *sql.DB
	write  *sql.DB
	engine Engine
	marks  *Marks
	sealer *sealer
	now    func() time.Time
	log    *slog.Logger

	stmts       statements
	calendar    calendarStatements
	insertEvent *sql.Stmt // on write
	recorder    recorder
	changing    chan struct{} // holds one while a change of the directory is under way

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

// New makes a Store of a database whose schema is up to date, and which it closes
// from now on. A wrong key is ErrSealKey.
func New(ctx context.Context, db Database, o Options) (_ *Store, err error) {
	s := &Store{
		db: db, read: db.Read, write: db.Write, engine: db.Engine, marks: db.Marks, now: o.Now, log: o.Log, changing: make(chan struct{}, 1),
		orgs: map[directory.OrgID]*directory.Organization{}, realms: map[string]*directory.Realm{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	if s.sealer, err = newSealer(o.SealKey); err != nil {
		return nil, err
	}
	if err := s.makeCaches(o.CacheBytes); err != nil {
		return nil, err
	}
	var incoming int
	if err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM settings WHERE name = $1`, Incoming).Scan(&incoming); err != nil {
		return nil, err
	}
	if incoming > 0 {
		return nil, ErrIncomplete
	}
	if err := s.checkKey(ctx); err != nil {
		return nil, err
	}
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

// Readers is how many connections a store reads by.
func Readers() int { return max(4, runtime.GOMAXPROCS(0)) }

// Close waits for running transactions and closes the database.
func (s *Store) Close() error { return s.db.Close() }

// tx runs fn in one write transaction and commits it when fn returns nil.
// What is routine may be lost with the power until the next change is kept.
func (s *Store) tx(ctx context.Context, routine bool, fn func(*sql.Tx) error) error {
	c, tx, err := s.begin(ctx, routine)
	if err != nil {
		return err
	}
	defer c.Close()
	defer tx.Rollback() // no effect after a commit
	done, err := s.engine.Begin(ctx, c, tx, routine)
	if err != nil {
		return err
	}
	defer done()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// maxBroken is how many connections that are gone are passed over.
const maxBroken = 20

func (s *Store) begin(ctx context.Context, routine bool) (c *sql.Conn, tx *sql.Tx, err error) {
	for range maxBroken {
		if c, err = s.write.Conn(ctx); err != nil {
			return nil, nil, err
		}
		if err = s.engine.Prepare(ctx, c, routine); err == nil {
			if tx, err = c.BeginTx(ctx, nil); err == nil {
				return c, tx, nil
			}
		}
		_ = c.Close() // it has failed already
		if !s.engine.Broken(err) {
			break
		}
	}
	return nil, nil, err
}

// moment begins a transaction that sees one moment and changes nothing.
func (s *Store) moment(ctx context.Context) (tx *sql.Tx, err error) {
	for range maxBroken {
		if tx, err = s.read.BeginTx(ctx, s.db.Snapshot); err == nil || !s.engine.Broken(err) {
			break
		}
	}
	return tx, err
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
