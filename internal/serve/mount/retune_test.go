package mount_test

import (
	"testing"
	"testing/synctest"
	"time"

	"busybridge/internal/serve/mount"
)

// TestRetune changes the numbers while turns are taken.
func TestRetune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(mount.TurnsConfig{AtOnce: 1, Partner: mount.Budget{AtOnce: 1}, Patience: time.Hour})
		ended := make(chan func(), 4)
		ask := func() {
			go func() {
				done, err := turns.Take(t.Context(), noisy)
				if err != nil {
					t.Error(err)
				}
				ended <- done
			}()
			synctest.Wait()
		}
		began := func(want int) {
			t.Helper()
			synctest.Wait()
			if len(ended) != want {
				t.Fatalf("%d turns began, want %d", len(ended), want)
			}
		}
		for range 4 {
			ask()
		}
		began(1)
		turns.Retune(mount.TurnsConfig{AtOnce: 8, Partner: mount.Budget{AtOnce: 3}})
		began(3)
		turns.Retune(mount.TurnsConfig{AtOnce: 1, Partner: mount.Budget{AtOnce: 8}})
		began(3) // what is worked on goes on
		for range 2 {
			(<-ended)()
		}
		began(1) // of three only one may be left before the fourth begins
		(<-ended)()
		began(1)
		(<-ended)()

		turns.Retune(mount.TurnsConfig{AtOnce: 1, Partner: mount.Budget{PerMinute: 2}})
		for range 2 { // what came before the minute was counted does not count
			done, err := turns.Take(t.Context(), noisy)
			if err != nil {
				t.Fatal(err)
			}
			done()
		}
		if _, err := turns.Take(t.Context(), noisy); err == nil {
			t.Error("a third request within the minute")
		}
	})
}
