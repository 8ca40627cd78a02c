package postgresstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"busybridge/internal/directory"
	"busybridge/internal/store/sqlstore"
)

const (
	// listenEvery is how often a node asks what others have changed.
	listenEvery = 200 * time.Millisecond
	// goodFor is how long a node relies on what is in memory since it last asked.
	// It begins before the question.
	goodFor = 900 * time.Millisecond
	// listenTimeout bounds one question.
	listenTimeout = 500 * time.Millisecond
	// forgetEvery is the number of questions after which old rows are deleted.
	forgetEvery = 300
	// maxHeard is how many changes are noted one by one.
	maxHeard = 10_000
)

// An engine is PostgreSQL's sqlstore.Engine. Nodes tell each other what they change
// by rows of store_changes, which each node asks for again and again. It is exact:
// the rows of all transactions that the former question did not see are those whose
// id is not below the oldest one that was under way then. A notification (NOTIFY)
// would come faster, but all transactions that notify commit one after the other.
type engine struct {
	db     *sql.DB // one connection, for questions what has changed
	node   string  // its own rows are no news
	listen string
	now    func() time.Time
	marks  *sqlstore.Marks

	at    atomic.Int64 // Unix ns by now of the last question that was answered
	sure  atomic.Bool  // that was less than goodFor ago
	timer *time.Timer  // ends sure
	since string       // the oldest transaction under way at the last question
	lost  bool         // the last question had no answer
	asked int

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// newEngine returns an engine that asks from now on; it closes db.
func newEngine(ctx context.Context, db *sql.DB, marks *sqlstore.Marks, o Options, spread bool) (*engine, error) {
	e := &engine{db: db, node: rand.Text(), now: o.Now, marks: marks, since: "0"}
	e.listen = `SELECT DISTINCT pg_snapshot_xmin(pg_current_snapshot())::text, c.org_id, c.mailbox_id
		FROM (VALUES (1)) AS one (n) LEFT JOIN store_changes c ON c.node <> $2 AND (c.xid >= $1::xid8`
	if spread {
		// There, a change may be seen on the coordinator a moment before it is on its
		// shard: who reads in between reads again.
		e.listen += ` OR c.at > clock_timestamp() - interval '2 seconds'`
	}
	e.listen += fmt.Sprintf(`) LIMIT %d`, maxHeard)
	if err := e.ask(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	ctx, e.stop = context.WithCancel(context.Background())
	e.wg.Go(func() { e.run(ctx, o) })
	return e, nil
}

func (e *engine) run(ctx context.Context, o Options) {
	tick := time.NewTicker(listenEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		was := e.lost
		err := e.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		if e.lost = err != nil; e.lost && !was {
			o.Log.WarnContext(ctx, "the database does not say what other nodes change: nothing is taken from memory", "err", err)
		}
	}
}

// ask finds out what other nodes have changed.
func (e *engine) ask(ctx context.Context) error {
	at := e.now().UnixNano()
	timer := time.AfterFunc(goodFor, func() { e.sure.Store(false) })
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	heard, err := e.heard(ctx)
	if err != nil {
		timer.Stop()
		return err
	}
	if e.lost || !e.sure.Load() || heard >= maxHeard {
		e.marks.All() // rows may have gone meanwhile
	}
	if e.timer != nil {
		e.timer.Stop()
	}
	e.timer = timer
	e.at.Store(at)
	e.sure.Store(true)
	if e.asked++; e.asked%forgetEvery == 0 {
		_, err = e.db.ExecContext(ctx, `DELETE FROM store_changes WHERE at < clock_timestamp() - interval '5 minutes'`)
	}
	return err
}

// heard notes what others have changed since it was last called.
func (e *engine) heard(ctx context.Context) (n int, err error) {
	rows, err := e.db.QueryContext(ctx, e.listen, e.since, e.node)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	since := e.since
	for rows.Next() {
		var org, mailbox sql.NullString
		if err := rows.Scan(&since, &org, &mailbox); err != nil {
			return n, err
		}
		if n++; org.Valid {
			e.marks.Changed(directory.OrgID(org.String), mailbox.String)
		}
	}
	if err := rows.Err(); err != nil {
		return n, err
	}
	e.since = since
	return n, nil
}

// Look implements sqlstore.Engine: who does not know what has changed must read
// everything again.
func (e *engine) Look() {
	if age := e.now().UnixNano() - e.at.Load(); !e.sure.Load() || age < 0 || age > int64(goodFor) {
		e.marks.All()
	}
}

// Prepare implements sqlstore.Engine.
func (*engine) Prepare(context.Context, *sql.Conn, bool) error { return nil }

// Begin implements sqlstore.Engine.
func (*engine) Begin(ctx context.Context, _ *sql.Conn, tx *sql.Tx, routine bool) (done func(), err error) {
	if routine {
		_, err = tx.ExecContext(ctx, `SET LOCAL synchronous_commit TO OFF`)
	}
	return func() {}, err
}

// Exclusive implements sqlstore.Engine.
func (*engine) Exclusive(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))`, lockDirectory)
	return err
}

// Tell implements sqlstore.Engine.
func (e *engine) Tell(ctx context.Context, tx *sql.Tx, org directory.OrgID, mailbox string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO store_changes (node, org_id, mailbox_id) VALUES ($1, $2, $3)`, e.node, string(org), mailbox)
	return err
}

// The SQLSTATEs that mean something to the store (PostgreSQL, appendix A).
const (
	foreignKeyViolation = "23503"
	uniqueViolation     = "23505"
)

func state(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// Taken implements sqlstore.Engine.
func (*engine) Taken(err error) bool { return state(err) == uniqueViolation }

// Orphan implements sqlstore.Engine.
func (*engine) Orphan(err error) bool { return state(err) == foreignKeyViolation }

// Broken implements sqlstore.Engine.
func (*engine) Broken(err error) bool {
	_, refused := errors.AsType[*pgconn.ConnectError](err)
	return !refused && state(err) == "" && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// Close implements sqlstore.Engine.
func (e *engine) Close() error {
	e.stop()
	e.wg.Wait()
	e.timer.Stop()
	return e.db.Close()
}
