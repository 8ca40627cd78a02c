package sqlitestore

import (
	"testing"
	"time"
)

// What is kept stays under the ceiling.
func TestCacheIsBounded(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir()+"/a.db", Options{Now: time.Now, SealKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const ceiling = 10_000
	f, err := newFresh[int, int](ceiling)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if v, err := f.get(s, i, func() (int, int, error) { return i, 100, nil }); v != i || err != nil {
			t.Fatal(v, err)
		}
	}
	f.cache.CleanUp()
	if size := f.cache.WeightedSize(); size > ceiling || size == 0 {
		t.Errorf("%d bytes are kept, at most %d", size, ceiling)
	}
}
