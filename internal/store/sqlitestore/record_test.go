package sqlitestore_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"busybridge/internal/audit"
	"busybridge/internal/store/sqlitestore"
)

// Events that come at once are each kept once, and told when they are not.
func TestRecordAtOnce(t *testing.T) {
	s, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlitestore.Options{Now: time.Now, SealKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	const n = 700 // more than one transaction takes
	record := func() (failed int) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for i := range n {
			wg.Go(func() {
				if err := s.Record(t.Context(), audit.Event{Org: "o", Actor: fmt.Sprint(i), Operation: "IssueToken", Outcome: audit.Done}); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed++
				}
			})
		}
		wg.Wait()
		return failed
	}
	if failed := record(); failed != 0 {
		t.Errorf("%d were not kept", failed)
	}
	seen := make(map[string]int)
	for e, err := range s.AuditEvents(t.Context(), audit.Filter{Org: "o"}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Actor]++
	}
	for i := range n {
		if got := seen[fmt.Sprint(i)]; got != 1 {
			t.Errorf("event %d was kept %d times", i, got)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if failed := record(); failed != n {
		t.Errorf("%d of %d failed on a closed store", failed, n)
	}
}
