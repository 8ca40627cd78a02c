package sqlitestore

import (
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The log moves into the file beside the writer, who does not take that for the
// change of another process.
func TestCheckpointIsNoChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	db, err := Database(t.Context(), path, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := db.Engine.(*watch)
	version := func() (n int64) {
		t.Helper()
		if err := db.Write.QueryRowContext(t.Context(), `PRAGMA data_version`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if _, err := db.Write.ExecContext(t.Context(), `INSERT INTO settings VALUES ('x', 1, hex(randomblob(100000)), '')`); err != nil {
		t.Fatal(err)
	}
	before, was := version(), size(t, path)
	for range commitsToCheckpoint {
		w.checkpoints.committed()
	}
	// close waits for it, unless it had not begun.
	var busy, log, moved int
	if err := w.checkpoints.close(); err != nil {
		t.Fatal(err)
	}
	if size(t, path) == was { // stopped before it began: it is done here
		other, err := sql.Open("sqlite", dsn(path, ""))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := other.QueryRowContext(t.Context(), `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &log, &moved); err != nil || busy != 0 || moved != log {
			t.Fatalf("checkpoint: %d %d %d, %v", busy, log, moved, err)
		}
	}
	if got := size(t, path); got < was+200_000 {
		t.Errorf("the file has %d bytes, it had %d", got, was)
	}
	if got := version(); got != before {
		t.Errorf("data_version is %d, was %d", got, before)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	i, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return i.Size()
}
