package sqlitestore

import (
	"sync"
	"time"
)

// freshFor is how long what was just read is not read again: under load most
// requests need the same few rows. A change through this Store ends it at once;
// one by another process is seen that much later, as if it had been made then.
const freshFor = 10 * time.Millisecond

// maxFresh bounds the keys of one kind.
const maxFresh = 1024

// fresh keeps what was just read, by key. The zero value is ready.
type fresh[K comparable, V any] struct {
	mu   sync.Mutex
	kept map[K]freshValue[V] // guarded by mu
}

type freshValue[V any] struct {
	value      V
	generation uint64    // of the Store, before it was read
	at         time.Time // before it was read
}

// get returns what is kept for k, or reads it. Errors are not kept. A clock that
// stands still says nothing about age: then it is read each time.
func (f *fresh[K, V]) get(s *Store, k K, read func() (V, error)) (V, error) {
	generation, now := s.generation.Load(), s.now()
	f.mu.Lock()
	e, ok := f.kept[k]
	f.mu.Unlock()
	if age := now.Sub(e.at); ok && e.generation == generation && age > 0 && age < freshFor {
		return e.value, nil
	}
	v, err := read()
	if err != nil {
		return v, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept == nil || len(f.kept) >= maxFresh {
		f.kept = make(map[K]freshValue[V])
	}
	f.kept[k] = freshValue[V]{v, generation, now}
	return v, nil
}
