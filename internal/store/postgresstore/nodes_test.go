package postgresstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/store/pgtest"
	"busybridge/internal/store/postgresstore"
	"busybridge/internal/store/sqlstore"
	"busybridge/internal/store/storetest"
)

// node opens a store as a program does: with the machine's clock.
func node(t *testing.T, url string) *postgresstore.Store {
	t.Helper()
	return database(url).Open(t, time.Now).(*postgresstore.Store)
}

// soon is a second, on a machine that has much else to do.
const soon = 4 * time.Second

// within asks until ok, at most for d.
func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !ok(); time.Sleep(2 * time.Millisecond) { // nothing tells
		if time.Now().After(end) {
			t.Errorf("not within %v: %s", d, what)
			return
		}
	}
}

// TestNodes is what several nodes on one database see of each other, and of its failures.
func TestNodes(t *testing.T) {
	server := pgtest.Start(t)
	t.Run("they may start at once on an empty database", func(t *testing.T) { startAtOnce(t, server.URL(t)) })
	t.Run("what one changes the others see within a second", func(t *testing.T) { seeEachOther(t, server.URL(t)) })
	t.Run("changes of the directory come one after the other", func(t *testing.T) { exclusive(t, server.URL(t)) })
	t.Run("an older program runs beside a newer one where that says so", func(t *testing.T) { versions(t, server.URL(t)) })
	t.Run("a node that is cut off says nothing from memory", func(t *testing.T) { cutOff(t, server) })
	t.Run("a database that crashed is used again", func(t *testing.T) { crash(t, server) })
	t.Run("a URL that is wrong is told without its password", func(t *testing.T) {
		for _, url := range []string{"postgres://kim:hunter2@127.0.0.1:1/x?connect_timeout=1", "postgres://kim:hunter2@[", "postgres://kim:hunter2@h/x?sslmode=maybe"} {
			_, err := postgresstore.Open(t.Context(), url, options(t, time.Now))
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		}
	})
}

func startAtOnce(t *testing.T, url string) {
	const n = 5
	errs := make(chan error)
	for range n {
		go func() {
			s, err := postgresstore.Open(t.Context(), url, options(t, time.Now))
			if err == nil {
				err = errors.Join(s.Ping(t.Context()), s.Close())
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	o := options(t, time.Now)
	o.SealKey = make([]byte, 32)
	if _, err := postgresstore.Open(t.Context(), url, o); !errors.Is(err, sqlstore.ErrSealKey) {
		t.Errorf("another key: %v", err)
	}
	o.Distribute = true
	if _, err := postgresstore.Open(t.Context(), url, o); err == nil || !strings.Contains(err.Error(), "CREATE EXTENSION citus") {
		t.Errorf("distribute without Citus: %v", err)
	}
}

func seeEachOther(t *testing.T, url string) {
	ctx := t.Context()
	a, b := node(t, url), node(t, url)
	o := storetest.Organization("Contoso", "contoso.com")
	if err := a.CreateOrganization(ctx, o); err != nil {
		t.Fatal(err)
	}
	box := storetest.Mailbox(o.ID, "anna@contoso.com")
	if err := a.CreateRecipient(ctx, box); err != nil {
		t.Fatal(err)
	}
	name := func(s *postgresstore.Store) string {
		t.Helper()
		r, err := s.Recipient(ctx, o.ID, box.Primary)
		if err != nil {
			return err.Error()
		}
		return r.DisplayName
	}
	within(t, soon, "the recipient is there", func() bool { return name(b) == "anna" })
	within(t, soon, "the recipient is kept in memory", func() bool { _, known := b.RecipientKnown(o.ID, box.Primary); return known })
	for i := range 3 {
		want := fmt.Sprint("Anna ", i)
		if _, err := a.UpdateRecipient(ctx, o.ID, box.ID, func(r *directory.Recipient) error { r.DisplayName = want; return nil }); err != nil {
			t.Fatal(err)
		}
		if got := name(a); got != want {
			t.Errorf("who changed it sees %q, want %q", got, want)
		}
		within(t, soon, "the other one sees "+want, func() bool { return name(b) == want })
	}
	mark := b.CalendarMark(o.ID, box.ID)
	other, _ := b.DirectoryMark()
	if err := a.ChangeCalendar(ctx, o.ID, box.ID, 0, &directory.CalendarChange{State: directory.CalendarState{Zone: "UTC"}}); err != nil {
		t.Fatal(err)
	}
	within(t, soon, "the other one sees the calendar change", func() bool { return b.CalendarMark(o.ID, box.ID) != mark })
	if is, _ := b.DirectoryMark(); is != other {
		t.Error("a change of a calendar is one of the directory, too")
	}
	// What was asked for and is not there is known, too, until it is.
	ben := smtpaddr.Must("ben@contoso.com")
	if _, err := b.Recipient(ctx, o.ID, ben); !errors.Is(err, directory.ErrNotFound) {
		t.Fatal(err)
	}
	if err := a.CreateRecipient(ctx, storetest.Mailbox(o.ID, ben.String())); err != nil {
		t.Fatal(err)
	}
	within(t, soon, "the other one finds the new recipient", func() bool { _, err := b.Recipient(ctx, o.ID, ben); return err == nil })
	// Many at once.
	nobody := smtpaddr.Must("nobody@contoso.com")
	if err := b.LoadRecipients(ctx, o.ID, []smtpaddr.Address{box.Primary, ben, nobody}); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []smtpaddr.Address{box.Primary, ben, nobody} {
		r, known := b.RecipientKnown(o.ID, addr)
		if !known || (r == nil) != (addr == nobody) || r != nil && r.Primary != addr {
			t.Errorf("%s: known %v, %+v", addr, known, r)
		}
	}
	got, err := b.Calendars(ctx, o.ID, []string{box.ID, "another"}, 1, 2)
	if err != nil || len(got) != 1 || got[box.ID].State.Version != 1 || len(got[box.ID].Months) != 0 {
		t.Errorf("calendars: %+v, %v", got, err)
	}
}

func exclusive(t *testing.T, url string) {
	ctx := t.Context()
	r := storetest.Realm("contoso.com")
	r.Name = "x"
	nodes := []*postgresstore.Store{node(t, url), node(t, url)}
	if err := nodes[0].CreateRealm(ctx, r); err != nil {
		t.Fatal(err)
	}
	const each = 15
	var wg sync.WaitGroup
	for _, s := range nodes {
		for range 3 {
			wg.Go(func() {
				for range each {
					if _, err := s.UpdateRealm(ctx, r.ID, func(r *directory.Realm) error { r.Name += "x"; return nil }); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	got, err := node(t, url).Realm(ctx, r.ID)
	if err != nil || len(got.Name) != 6*each+1 || got.Version != 6*each+1 {
		t.Errorf("%d of %d changes are there, version %d, %v", len(got.Name)-1, 6*each, got.Version, err)
	}
	// Who waits gives up when its caller does.
	hold, held := make(chan struct{}), make(chan struct{})
	wg.Go(func() {
		err := nodes[0].Change(ctx, func(*postgresstore.Tx) error { close(held); <-hold; return nil })
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	for i, s := range nodes {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		if err := s.Change(short, func(*postgresstore.Tx) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("node %d: %v", i, err)
		}
		cancel()
	}
	close(hold)
	wg.Wait()
}

func versions(t *testing.T, url string) {
	node(t, url)
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, TRUE)`); err != nil {
		t.Fatal(err)
	}
	node(t, url)
	if _, err := db.ExecContext(t.Context(), `UPDATE store_schema SET oldest = 99`); err != nil {
		t.Fatal(err)
	}
	if _, err := postgresstore.Open(t.Context(), url, options(t, time.Now)); !errors.Is(err, sqlstore.ErrNewer) || !strings.Contains(err.Error(), "99") {
		t.Errorf("got %v", err)
	}
}

func cutOff(t *testing.T, server *pgtest.Server) {
	ctx := t.Context()
	url := server.URL(t)
	a := node(t, url)
	proxy := server.Proxy(t)
	b := node(t, proxy.Through(url))
	o := storetest.Organization("Contoso", "contoso.com")
	if err := a.CreateOrganization(ctx, o); err != nil {
		t.Fatal(err)
	}
	box := storetest.Mailbox(o.ID, "anna@contoso.com")
	if err := a.CreateRecipient(ctx, box); err != nil {
		t.Fatal(err)
	}
	known := func() bool {
		r, known := b.RecipientKnown(o.ID, box.Primary)
		return known && r != nil
	}
	within(t, soon, "the recipient is kept in memory", func() bool { _, err := b.Recipient(ctx, o.ID, box.Primary); return err == nil && known() })
	proxy.Cut(true)
	if _, err := a.UpdateRecipient(ctx, o.ID, box.ID, func(r *directory.Recipient) error { r.DisplayName = "changed"; return nil }); err != nil {
		t.Fatal(err)
	}
	within(t, soon, "nothing is taken from memory", func() bool { return !known() })
	if r, err := b.Recipient(ctx, o.ID, box.Primary); err == nil {
		t.Errorf("the recipient is known without a database: %s", r.DisplayName)
	}
	proxy.Cut(false)
	within(t, soon, "it answers again", func() bool {
		r, err := b.Recipient(ctx, o.ID, box.Primary)
		return err == nil && r.DisplayName == "changed"
	})
	within(t, soon, "from memory", func() bool { _, err := b.Recipient(ctx, o.ID, box.Primary); return err == nil && known() })
}

func crash(t *testing.T, server *pgtest.Server) {
	ctx := t.Context()
	s := node(t, server.URL(t))
	r := storetest.Realm("contoso.com")
	if err := s.CreateRealm(ctx, r); err != nil {
		t.Fatal(err)
	}
	server.Kill(t)
	if err := s.Ping(ctx); err == nil {
		t.Error("the database answers, and does not run")
	}
	server.Run(t)
	within(t, soon, "it answers again", func() bool { got, err := s.Realm(ctx, r.ID); return err == nil && got.ID == r.ID })
	if _, err := s.UpdateRealm(ctx, r.ID, func(r *directory.Realm) error { r.Name = "after"; return nil }); err != nil {
		t.Error(err)
	}
}
