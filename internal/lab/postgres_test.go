package lab_test

import (
	"testing"

	"busybridge/internal/lab"
	"busybridge/internal/store/pgtest"
)

// The whole world holds on PostgreSQL as it does on files.
func TestOnceHoldsOnPostgres(t *testing.T) {
	server := pgtest.Start(t)
	urls := map[string]string{}
	o := options(t)
	o.StoreURL = func(deployment string) string {
		if urls[deployment] == "" {
			urls[deployment] = server.URL(t)
		}
		return urls[deployment]
	}
	r, err := lab.Once(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 0 || len(r.Checks) != 16 {
		t.Errorf("%d checks, %d failed; want 16, none failed", len(r.Checks), r.Failed)
	}
	if len(urls) != 3 {
		t.Errorf("%d deployments are on PostgreSQL, want 3", len(urls))
	}
}
