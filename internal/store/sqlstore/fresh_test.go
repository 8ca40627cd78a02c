package sqlstore

import (
	"context"
	"database/sql"
	"testing"

	"busybridge/internal/directory"
)

// still is an Engine of a database that nobody changes.
type still struct{}

func (still) Taken(error) bool                                                { return false }
func (still) Broken(error) bool                                               { return false }
func (still) Orphan(error) bool                                               { return false }
func (still) Begin(context.Context, *sql.Conn, *sql.Tx, bool) (func(), error) { return func() {}, nil }
func (still) Prepare(context.Context, *sql.Conn, bool) error                  { return nil }
func (still) Exclusive(context.Context, *sql.Tx) error                        { return nil }
func (still) Tell(context.Context, *sql.Tx, directory.OrgID, string) error    { return nil }
func (still) Look()                                                           {}
func (still) Close() error                                                    { return nil }

// What is kept stays under the ceiling.
func TestCacheIsBounded(t *testing.T) {
	s := &Store{engine: still{}, marks: NewMarks()}
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

// Lists are of few lengths, and no value is left out.
func TestLists(t *testing.T) {
	for n := range 300 {
		var values []string
		for i := range n {
			values = append(values, string(rune('0'+i)))
		}
		seen := map[string]bool{}
		for _, list := range lists(values) {
			switch len(list) {
			case 1, 8, 32, 128:
			default:
				t.Errorf("%d values: a list of %d", n, len(list))
			}
			for _, v := range list {
				seen[v] = true
			}
		}
		if len(seen) != n {
			t.Errorf("%d values: %d are in lists", n, len(seen))
		}
	}
}
