package sqlitestore

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// A commit that finds this many pages in the log moves them into the file itself
// and waits for the disk meanwhile; a checkpointer comes before, as a rule.
const maxLogPages = "8000"

// commitsToCheckpoint are about as many as fill a tenth of that: small ones change a few pages each.
const commitsToCheckpoint = 100

// A checkpointer moves the log into the file beside the writer, so that no commit
// has to wait for it.
type checkpointer struct {
	db      *sql.DB // one connection
	commits atomic.Int64
	due     chan struct{}
	stop    func() // may be called again
	stopped chan struct{}
	ended   chan struct{}
}

func newCheckpointer(db *sql.DB) *checkpointer {
	c := &checkpointer{db: db, due: make(chan struct{}, 1), stopped: make(chan struct{}), ended: make(chan struct{})}
	c.stop = sync.OnceFunc(func() { close(c.stopped) })
	go c.run()
	return c
}

// committed is called after each transaction.
func (c *checkpointer) committed() {
	if c.commits.Add(1) < commitsToCheckpoint {
		return
	}
	c.commits.Store(0)
	select {
	case c.due <- struct{}{}:
	default:
	}
}

func (c *checkpointer) run() {
	defer close(c.ended)
	for {
		select {
		case <-c.stopped:
			return
		case <-c.due:
		}
		// One that fails is made up for by the next one, or by a commit.
		_, _ = c.db.ExecContext(context.Background(), `PRAGMA wal_checkpoint(PASSIVE)`)
	}
}

// close waits for what is under way.
func (c *checkpointer) close() error {
	c.stop()
	<-c.ended
	return c.db.Close()
}
