package sqlitestore

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"busybridge/internal/audit"
	"busybridge/internal/store/sqlstore"
)

// Only events that say so are kept without waiting for the disk.
func TestOnlyRoutineDoesNotWaitForTheDisk(t *testing.T) {
	db, err := Database(t.Context(), filepath.Join(t.TempDir(), "store.db"), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlstore.New(t.Context(), db, Options{Now: time.Now, SealKey: make([]byte, 32), Log: slog.New(slog.DiscardHandler), CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	const normal, full = 1, 2 // https://sqlite.org/pragma.html#pragma_synchronous
	routine := audit.Event{Org: "o", Operation: "IssueToken", Outcome: audit.Done, Routine: true}
	other := audit.Event{Org: "o", Operation: "IssueToken", Outcome: "refused"}
	for _, c := range []struct {
		name string
		do   func() error
		want int
	}{
		{"at first", func() error { return nil }, full},
		{"a routine event", func() error { return s.Record(t.Context(), routine) }, normal},
		{"another", func() error { return s.Record(t.Context(), routine) }, normal},
		{"a refusal", func() error { return s.Record(t.Context(), other) }, full},
		{"routine again", func() error { return s.Record(t.Context(), routine) }, normal},
		{"a change", func() error {
			return s.Change(t.Context(), func(tx *Tx) error { return tx.Record(t.Context(), routine) })
		}, full},
	} {
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var got int
		if err := db.Write.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&got); err != nil || got != c.want {
			t.Errorf("after %s: synchronous is %d (%v), want %d", c.name, got, err, c.want)
		}
	}
}
