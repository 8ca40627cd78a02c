package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/store/archive"
	"busybridge/internal/store/pgtest"
	"busybridge/internal/store/postgresstore"
	"busybridge/internal/store/sqlitestore"
	"busybridge/internal/store/sqlstore"
	"busybridge/internal/store/storetest"
)

var quiet = slog.New(slog.DiscardHandler)

func options() sqlstore.Options {
	return sqlstore.Options{Now: time.Now, SealKey: []byte("0123456789abcdef0123456789abcdef"), Log: quiet, CacheBytes: 1 << 20}
}

func open(t testing.TB, at string) sqlstore.Database {
	t.Helper()
	var db sqlstore.Database
	var err error
	if strings.HasPrefix(at, "postgres:") {
		db, err = postgresstore.Database(t.Context(), at, postgresstore.Options{Options: options()})
	} else {
		db, err = sqlitestore.Database(t.Context(), at, time.Now, quiet)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func store(t testing.TB, at string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(t.Context(), open(t, at), options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// each is the number of objects in a calendar.
const each = 40

// fill makes a store with something in every table.
func fill(t testing.TB, at string, boxes int) {
	ctx := t.Context()
	s := store(t, at)
	defer s.Close()
	o := storetest.Organization("Contoso", "contoso.com")
	must(t, s.CreateOrganization(ctx, o))
	r := storetest.Realm("contoso.com")
	must(t, s.CreateRealm(ctx, r))
	must(t, s.PutAccount(ctx, &directory.Account{Org: o.ID, UserName: "kim@contoso.com", PasswordHash: "$argon2id$x", Enabled: true, Certificates: []string{strings.Repeat("ab", 32)}}))
	list := make([]*directory.Recipient, boxes)
	must(t, s.Change(ctx, func(tx *sqlstore.Tx) error {
		for i := range list {
			list[i] = storetest.Mailbox(o.ID, fmt.Sprintf("box%d@contoso.com", i))
			if err := tx.CreateRecipient(ctx, list[i]); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, box := range list {
		object := func(n int) *directory.CalendarObject {
			return &directory.CalendarObject{UID: fmt.Sprint("uid-", n, "-\u00e9\U0001F600"), Digest: "d", Source: "a.ics", From: time.Unix(int64(n), 0).UTC(), Changed: time.Unix(1, 0).UTC(),
				Text: []byte{0, 255, byte(n)}, Series: n == 1, Occurrences: 1, Folder: "", Name: fmt.Sprint(n, ".ics")}
		}
		must(t, s.ChangeCalendar(ctx, o.ID, box.ID, 0, &directory.CalendarChange{
			State: directory.CalendarState{Zone: "UTC", Years: []int{2026}, Objects: each, Occurrences: each},
			Put: func(yield func(*directory.CalendarObject) bool) {
				for n := range each {
					if !yield(object(n)) {
						return
					}
				}
				shadow := object(each)
				shadow.Shadow, shadow.Folder = true, "other"
				yield(shadow)
			},
			Gone:    []directory.CalendarGone{{Folder: "", UID: "gone", Name: "gone.ics"}},
			Folders: []directory.CalendarFolder{{Name: "other", Transparent: true, Objects: 1}},
			Months:  []directory.CalendarMonth{{Month: directory.LongMonth, Data: []byte{}}, {Month: 24315, Data: []byte{1, 2, 3}}},
			Import:  &directory.CalendarImport{Source: "a.ics", At: time.Unix(5, 0), Events: 3},
		}))
	}
	must(t, s.Record(ctx, audit.Event{Org: string(o.ID), Actor: "kim", Operation: "Op", Outcome: audit.Done}))
}

// answers is what a store says.
func answers(t testing.TB, at string) string {
	t.Helper()
	s := store(t, at)
	defer s.Close()
	ctx := t.Context()
	var b strings.Builder
	orgs, err := s.Organizations(ctx)
	must(t, err)
	for _, o := range orgs {
		fmt.Fprintf(&b, "%+v %x %x\n", o.AddressSpaces[0].UserName, o.AddressSpaces[0].Password, o.Certificates[0].Key[:8])
		for r, err := range s.Recipients(ctx, o.ID) {
			must(t, err)
			version, months, err := s.CalendarMonths(ctx, o.ID, r.ID, 24315, 24316)
			must(t, err)
			slices.SortFunc(months, func(a, b directory.CalendarMonth) int { return a.Month - b.Month })
			fmt.Fprintf(&b, "%s %d %v\n", r.Primary, version, months)
			for v, err := range s.CalendarObjects(ctx, o.ID, r.ID, directory.CalendarFilter{Shadows: true, Text: true}) {
				must(t, err)
				fmt.Fprintf(&b, "  %s %x %v %v\n", v.UID, v.Text, v.Shadow, v.From)
			}
		}
	}
	a, err := s.Account(ctx, "kim@contoso.com")
	must(t, err)
	fmt.Fprintf(&b, "%+v\n", *a)
	return b.String()
}

// A store moves from SQLite to PostgreSQL and back, is cut short on its way, and says
// the same everywhere; so does what is restored from a file.
func TestCopies(t *testing.T) {
	const boxes = 55 // and more objects than one transaction writes
	ctx, dir := t.Context(), t.TempDir()
	first := filepath.Join(dir, "first.db")
	fill(t, first, boxes)
	want := answers(t, first)
	firstDB := open(t, first)

	file := filepath.Join(dir, "backup")
	sums, err := archive.Backup(ctx, file, &firstDB, "first", time.Now(), nil)
	must(t, err)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if sums["calendar_objects"].Rows != each*boxes || sums["recipients"].Rows != boxes || len(sums) != 23 {
		t.Errorf("copied: %v", sums)
	}
	restored := filepath.Join(dir, "restored.db")
	db := open(t, restored)
	h, again, err := archive.Restore(ctx, &db, file, nil)
	must(t, err)
	if d := cmp.Diff(sums, again); d != "" || h.Of != "first" {
		t.Errorf("restored of %q (-written +restored):\n%s", h.Of, d)
	}
	must(t, db.Close())
	if got := answers(t, restored); got != want {
		t.Error("the restored store says something else")
	}
	db = open(t, restored)
	if _, _, err := archive.Restore(ctx, &db, file, nil); !errors.Is(err, archive.ErrNotEmpty) {
		t.Errorf("into a store: %v", err)
	}
	if _, err := archive.Backup(ctx, file, &db, "first", time.Now(), nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file: %v", err)
	}

	url := pgtest.Start(t).URL(t)
	pg := open(t, url)
	cut, cancel := context.WithCancel(ctx)
	_, err = archive.Migrate(cut, &pg, &firstDB, "first", func(step, table string, rows int64) {
		if step == "copy" && table == "calendar_objects" && rows >= 2000 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("cut short: %v", err)
	}
	if _, err := sqlstore.New(ctx, open(t, url), options()); !errors.Is(err, sqlstore.ErrIncomplete) {
		t.Errorf("half a store opens: %v", err)
	}
	if _, err := archive.Migrate(ctx, &pg, &firstDB, "another", nil); !errors.Is(err, archive.ErrNotEmpty) {
		t.Errorf("something else into it: %v", err)
	}
	twice := 0
	moved, err := archive.Migrate(ctx, &pg, &firstDB, "first", func(step, table string, _ int64) {
		if step == "copy" && table == "recipients" {
			twice++
		}
	})
	must(t, err)
	if twice > 0 {
		t.Error("what was there was copied again")
	}
	if d := cmp.Diff(sums, moved); d != "" {
		t.Errorf("in PostgreSQL (-SQLite +PostgreSQL):\n%s", d)
	}
	if got := answers(t, url); got != want {
		t.Error("PostgreSQL says something else")
	}
	back := open(t, filepath.Join(dir, "back.db"))
	returned, err := archive.Migrate(ctx, &back, &pg, "pg", nil)
	must(t, err)
	if !maps.Equal(sums, returned) {
		t.Error("what came back is something else")
	}
	must(t, back.Close())
	if got := answers(t, filepath.Join(dir, "back.db")); got != want {
		t.Error("what came back says something else")
	}
	pgFile := filepath.Join(dir, "backup of PostgreSQL")
	of, err := archive.Backup(ctx, pgFile, &pg, "pg", time.Now(), nil)
	must(t, err)
	if !maps.Equal(sums, of) {
		t.Error("the backup of PostgreSQL is something else")
	}
}

// Whatever is wrong with a file is found before anything is written.
func TestDamage(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	at := filepath.Join(dir, "a.db")
	fill(t, at, 2)
	from := open(t, at)
	file := filepath.Join(dir, "backup")
	_, err := archive.Backup(ctx, file, &from, "a", time.Now(), nil)
	must(t, err)
	whole, err := os.ReadFile(file)
	must(t, err)
	if bytes.Contains(whole, []byte("correct horse")) {
		t.Error("a password is in the file")
	}
	db := open(t, filepath.Join(dir, "b.db"))
	check := func(name string, data []byte) {
		t.Helper()
		must(t, os.WriteFile(file, data, 0o600))
		if _, _, err := archive.Restore(ctx, &db, file, nil); !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		var n int
		if err := db.Read.QueryRowContext(ctx, `SELECT count(*) FROM settings`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d settings were written, %v", name, n, err)
		}
	}
	for _, n := range []int{0, 5, 21, 60, len(whole) / 2, len(whole) - 9, len(whole) - 1} {
		check(fmt.Sprintf("%d of %d bytes", n, len(whole)), whole[:n])
	}
	for i := 40; i < len(whole); i += len(whole) / 12 {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		check(fmt.Sprintf("byte %d is another one", i), bad)
	}
}
