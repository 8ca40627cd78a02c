package postgresstore

import (
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"busybridge/internal/directory"
	"busybridge/internal/store/pgtest"
	"busybridge/internal/store/sqlstore"
)

// A change is heard however long its transaction took, and heard only by others.
func TestHeard(t *testing.T) {
	ctx := t.Context()
	url := pgtest.Start(t).URL(t)
	db := openDatabase(t, url)
	c, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	marks := sqlstore.NewMarks()
	e, err := newEngine(ctx, stdlib.OpenDB(*c), marks, Options{Options: sqlstore.Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)}}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.stop() // it does not ask by itself
	e.wg.Wait()
	hear := func() int {
		t.Helper()
		n, err := e.heard(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	tell := func(by *engine, mailbox string) (commit func()) {
		t.Helper()
		tx, err := db.Write.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := by.Tell(ctx, tx, directory.OrgID("o"), mailbox); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	other := db.Engine.(*engine)
	// A row always comes: it says how far the database is. Without news it is alone, and empty.
	long := tell(other, "long")
	if n := hear(); n != 1 {
		t.Errorf("%d rows before a commit", n)
	}
	for range 3 {
		tell(other, "short")()
		if n := hear(); n != 1 {
			t.Errorf("%d rows, want the one that was committed, which is not old yet", n)
		}
	}
	long()
	if n := hear(); n != 2 {
		t.Errorf("%d rows after the long transaction, want it with those that came meanwhile", n)
	}
	before := e.since
	tell(e, "own")()
	if n := hear(); n != 1 || e.since == before {
		t.Errorf("%d rows of our own, since %s", n, e.since)
	}
}
