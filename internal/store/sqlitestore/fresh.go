package sqlitestore

import (
	"context"
	"database/sql"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"busybridge/internal/directory"
)

// What was read is kept in memory until something changed. A change through
// this Store counts at once. Whether another process changed something is looked
// up at most every lookEvery: SQLite tells it by a number that moves with every
// commit of another connection, and what changed is not told.
const lookEvery = 10 * time.Millisecond

// A watch knows whether others have changed the file.
type watch struct {
	foreign atomic.Uint64 // grows when another connection may have changed something
	at      atomic.Int64  // Unix ns of the last look
	// open: a transaction of ours is under way, and nobody else can commit.
	open atomic.Bool

	mu sync.Mutex // held by the one that looks

	// Of the writing connection, for who has it in hand.
	conn    any
	version int64
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
		w.foreign.Add(1)
	}
	return nil
}

// changes is a number that grows when another connection may have changed
// something. It never waits for a writer: while that cannot be found out, it grows.
// A clock that stands still says nothing about age: then it is found out each time.
func (s *Store) changes() uint64 {
	w := &s.watch
	recent := func() bool {
		age := s.now().UnixNano() - w.at.Load()
		return age > 0 && age < int64(lookEvery) || w.open.Load()
	}
	if recent() {
		return w.foreign.Load()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if recent() {
		return w.foreign.Load()
	}
	at := s.now().UnixNano()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	c, err := s.write.Conn(ctx)
	cancel()
	if err == nil {
		err = w.look(context.Background(), c, c)
		_ = c.Close() // it goes back into the pool
	}
	if err != nil {
		w.foreign.Add(1)
	}
	w.at.Store(at)
	return w.foreign.Load()
}

// mark is another number whenever the directory may have changed. While a change
// is committed, nobody knows: then ok is false.
func (s *Store) mark() (mark uint64, ok bool) {
	ok = s.committing.Load() == 0 // looked at first: it ends after generation has grown
	return s.generation.Load() + s.changes(), ok
}

// calendarMarks count the changes of calendars through this Store; calendars
// share them by hash.
type calendarMarks struct {
	seed   maphash.Seed
	counts [256]atomic.Uint64
}

func (m *calendarMarks) of(org directory.OrgID, mailbox string) *atomic.Uint64 {
	return &m.counts[maphash.Comparable(m.seed, struct{ org, mailbox string }{string(org), mailbox})%uint64(len(m.counts))]
}

// CalendarMark is another number whenever the calendar may have changed since:
// at once for a change through this Store, within 10 ms for one by another process.
func (s *Store) CalendarMark(org directory.OrgID, mailbox string) uint64 {
	return s.calendarMarks.of(org, mailbox).Load() + s.changes()
}

// fresh keeps what was read, by key, as long as the directory does not change.
type fresh[K comparable, V any] struct{ cache *otter.Cache[K, marked[V]] }

type marked[V any] struct {
	value V
	mark  uint64 // of the Store, before it was read
	size  int
}

// newFresh returns a cache for about so many bytes.
func newFresh[K comparable, V any](bytes int) (fresh[K, V], error) {
	c, err := otter.New(&otter.Options[K, marked[V]]{
		MaximumWeight: uint64(bytes),
		Weigher:       func(_ K, m marked[V]) uint32 { return uint32(m.size) },
	})
	return fresh[K, V]{c}, err
}

// known returns what is kept for k.
func (f fresh[K, V]) known(s *Store, k K) (v V, ok bool) {
	m, ok := f.cache.GetIfPresent(k)
	if !ok {
		return v, false
	}
	if mark, ok := s.mark(); !ok || m.mark != mark {
		return v, false
	}
	return m.value, true
}

// notKept is the size of what is read again each time.
const notKept = -1

// get returns what is kept for k, or reads it; size is about its bytes in
// memory. Errors are not kept.
func (f fresh[K, V]) get(s *Store, k K, read func() (v V, size int, err error)) (V, error) {
	mark, sure := s.mark()
	if m, ok := f.cache.GetIfPresent(k); ok && sure && m.mark == mark {
		return m.value, nil
	}
	v, size, err := read()
	if err == nil && size != notKept {
		f.cache.Set(k, marked[V]{v, mark, size + 256})
	}
	return v, err
}
