package sqlitestore_test

import (
	"path/filepath"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/store/sqlitestore"
)

// A change is seen at once in its own process, and after 10 ms in another one.
func TestChangesOfAnotherProcess(t *testing.T) {
	now := time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "store.db")
	both := make([]*sqlitestore.Store, 2)
	for i := range both {
		s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{Now: func() time.Time { return now }, SealKey: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		both[i] = s
	}
	const id = "4d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a"
	domains := []directory.VerifiedDomain{{Name: "contoso.example", Initial: true, Default: true}}
	if err := both[0].CreateRealm(t.Context(), &directory.Realm{ID: id, Name: "first", Domains: domains}); err != nil {
		t.Fatal(err)
	}
	name := func(s *sqlitestore.Store) string {
		t.Helper()
		r, err := s.Realm(t.Context(), "contoso.example")
		if err != nil {
			t.Fatal(err)
		}
		return r.Name
	}
	name(both[1]) // is kept
	now = now.Add(time.Millisecond)
	if _, err := both[0].UpdateRealm(t.Context(), id, func(r *directory.Realm) error { r.Name = "second"; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := name(both[0]); got != "second" {
		t.Errorf("who changed it sees %q", got)
	}
	if got := name(both[1]); got != "first" {
		t.Errorf("the other one has read %q again within a millisecond: the clock moved, nothing is kept", got)
	}
	now = now.Add(10 * time.Millisecond)
	if got := name(both[1]); got != "second" {
		t.Errorf("the other one sees %q after 11 ms", got)
	}
}
