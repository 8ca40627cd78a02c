package sqlstore

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"busybridge/internal/directory"
)

// Marks count changes: what was read is kept in memory until its mark is another
// one. A change through the Store counts at once, one by another process when the
// Engine has heard of it.
type Marks struct {
	all        atomic.Uint64 // anything may have changed
	directory  atomic.Uint64
	committing atomic.Int64 // changes of the directory that may be seen already and do not count yet
	seed       maphash.Seed
	calendars  [4096]atomic.Uint64 // which calendars share by hash
}

// NewMarks returns marks that are never 0.
func NewMarks() *Marks {
	m := &Marks{seed: maphash.MakeSeed()}
	m.All()
	return m
}

// All notes that anything may have changed.
func (m *Marks) All() { m.all.Add(1) }

// Changed notes that the calendar of the mailbox has changed; "": the directory.
func (m *Marks) Changed(org directory.OrgID, mailbox string) {
	if mailbox == "" {
		m.directory.Add(1)
		return
	}
	m.calendar(org, mailbox).Add(1)
}

func (m *Marks) calendar(org directory.OrgID, mailbox string) *atomic.Uint64 {
	return &m.calendars[maphash.Comparable(m.seed, struct{ org, mailbox string }{string(org), mailbox})%uint64(len(m.calendars))]
}

// mark is another number whenever the directory may have changed. While a change
// is committed, nobody knows: then ok is false.
func (s *Store) mark() (mark uint64, ok bool) {
	s.engine.Look()
	m := s.marks
	ok = m.committing.Load() == 0 // looked at first: it ends after directory has grown
	return m.directory.Load() + m.all.Load(), ok
}

// CalendarMark is another number whenever the calendar may have changed since: at
// once for a change through this Store, and soon for one by another process.
func (s *Store) CalendarMark(org directory.OrgID, mailbox string) uint64 {
	s.engine.Look()
	return s.marks.calendar(org, mailbox).Load() + s.marks.all.Load()
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
		f.put(k, v, size, mark)
	}
	return v, err
}

func (f fresh[K, V]) put(k K, v V, size int, mark uint64) {
	f.cache.Set(k, marked[V]{v, mark, size + 256})
}
