package trust

import "sync"

// recent is a map of bounded size that forgets what was not read or written for
// the longest time, roughly: it keeps two generations of at most limit entries
// and drops the older one as a whole. The zero value is not usable; see newRecent.
type recent[K comparable, V any] struct {
	limit      int
	mu         sync.Mutex
	young, old map[K]V // guarded by mu
}

func newRecent[K comparable, V any](limit int) *recent[K, V] {
	return &recent[K, V]{limit: limit, young: make(map[K]V)}
}

func (r *recent[K, V]) get(k K) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.young[k]
	if !ok {
		if v, ok = r.old[k]; ok {
			r.set(k, v)
		}
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set(k, v)
}

func (r *recent[K, V]) drop(k K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.young, k)
	delete(r.old, k)
}

// set needs mu.
func (r *recent[K, V]) set(k K, v V) {
	if _, ok := r.young[k]; !ok && len(r.young) >= r.limit {
		r.old, r.young = r.young, make(map[K]V)
	}
	r.young[k] = v
}
