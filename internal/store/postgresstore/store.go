// Package postgresstore keeps everything in a PostgreSQL database, which many nodes
// may share. What another node changes is seen within a second.
package postgresstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

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
)

// Options of a store.
type Options struct {
	sqlstore.Options
	// Password is for a URL without one.
	Password string
	// Distribute makes the tables of a new database distributed ones: the database is
	// the coordinator of a Citus cluster. Of one that has them it must not be unset.
	Distribute bool
	// Connections is how many there are at most for reading, and for changes each.
	// 0: 16.
	Connections int
}

// minVersion is the oldest PostgreSQL (as server_version_num) that has type xid8.
const minVersion = 130000

// Open opens the database at a URL (postgres://user@host/name) and brings its schema
// up to date, which several nodes may do at once. A wrong key is sqlstore.ErrSealKey, a
// database that this program is too old for is sqlstore.ErrNewer.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("postgresstore: %w", err)
	}
	db, err := Database(ctx, url, o)
	if err != nil {
		return nil, err
	}
	s, err := sqlstore.New(ctx, db, o.Options)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", Redacted(url), err)
	}
	return s, nil
}

// Database is Open for who copies rows and opens no secret: of the Options, Now and
// Log are needed.
func Database(ctx context.Context, url string, o Options) (sqlstore.Database, error) {
	db, err := open(ctx, url, o)
	if err != nil {
		return sqlstore.Database{}, fmt.Errorf("open database %s: %w", Redacted(url), errors.Join(err, db.Close()))
	}
	return db, nil
}

// Redacted is the URL of a database without its password.
func Redacted(url string) string {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return "with a URL that is not valid"
	}
	return fmt.Sprintf("postgres://%s@%s:%d/%s", c.User, c.Host, c.Port, c.Database)
}

func open(ctx context.Context, url string, o Options) (db sqlstore.Database, err error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return db, err // pgx leaves the password out
	}
	if c.Password == "" {
		c.Password = o.Password
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	with := func(c *pgx.ConnConfig, params map[string]string) *pgx.ConnConfig {
		c = c.Copy()
		for name, value := range params {
			if _, set := c.RuntimeParams[name]; !set {
				c.RuntimeParams[name] = value
			}
		}
		return c
	}
	c = with(c, map[string]string{
		"application_name": "busybridge", "tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
	})
	// A node that is cut off in the middle of a change must not hold up the others.
	changes := with(c, map[string]string{"idle_in_transaction_session_timeout": "60s", "lock_timeout": "20s"})
	pool := func(c *pgx.ConnConfig, n int) *sql.DB {
		p := stdlib.OpenDB(*c)
		p.SetMaxOpenConns(n)
		p.SetMaxIdleConns(n)
		p.SetConnMaxIdleTime(5 * time.Minute)
		return p
	}
	n := o.Connections
	if n == 0 {
		n = 16
	}
	db = sqlstore.Database{
		Marks: sqlstore.NewMarks(), Write: pool(changes, n), Read: pool(c, n),
		Snapshot: &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
	}
	if err := usable(ctx, db.Write); err != nil {
		return db, err
	}
	if err := migrate(ctx, db.Write, o); err != nil {
		return db, err
	}
	if db.Spread, err = distributed(ctx, db.Write); err != nil {
		return db, err
	}
	db.Engine, err = newEngine(ctx, pool(c, 1), db.Marks, o, db.Spread)
	return db, err
}

// usable reports why the store cannot be kept in the database.
func usable(ctx context.Context, db *sql.DB) error {
	var encoding, version, schema string
	err := db.QueryRowContext(ctx, `SELECT current_setting('server_encoding'), current_setting('server_version_num'), coalesce(current_schema(), '')`).
		Scan(&encoding, &version, &schema)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(version); err != nil || n < minVersion {
		return fmt.Errorf("PostgreSQL %s is too old: 13 or later is needed", version)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database has encoding %s: create it with ENCODING 'UTF8'", encoding)
	}
	if schema == "" {
		return errors.New("no schema of the search_path is there: create it first")
	}
	return nil
}

// Locks that only one transaction or session of the deployment has, beside a hash of
// the schema's name: databases may hold several stores.
const (
	lockSchema    = 20140506
	lockDirectory = 20140507
)

// migrate brings the schema up to date, one node at a time.
func migrate(ctx context.Context, db *sql.DB, o Options) (err error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		// It has a lock: it does not go back into the pool.
		err = errors.Join(err, c.Raw(func(driver any) error { return driver.(*stdlib.Conn).Conn().Close(context.WithoutCancel(ctx)) }))
		_ = c.Close() // is closed
	}()
	if _, err := c.ExecContext(ctx, `SET lock_timeout = 0`); err != nil {
		return err
	}
	if _, err := c.ExecContext(ctx, `SELECT pg_advisory_lock($1, hashtext(current_schema()))`, lockSchema); err != nil {
		return err
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithSlog(o.Log))
	if err != nil {
		return err
	}
	has, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	known := sources[len(sources)-1].Version
	if has > known {
		return older(ctx, db, known, has, o.Log)
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	if o.Distribute {
		return distribute(ctx, db)
	}
	return nil
}

// older reports whether a program that knows the schema up to version known may run
// on version has: the migrations since then said so.
func older(ctx context.Context, db *sql.DB, known, has int64, log *slog.Logger) error {
	var oldest int64
	if err := db.QueryRowContext(ctx, `SELECT oldest FROM store_schema`).Scan(&oldest); err != nil {
		return err
	}
	if known < oldest {
		return fmt.Errorf("%w: schema version %d, which needs %d; known up to %d", sqlstore.ErrNewer, has, oldest, known)
	}
	log.WarnContext(ctx, "the database is newer than this program, which still runs on it", "schema", has, "known", known)
	return nil
}
