package trust_test

import (
	"testing"

	"busybridge/internal/growthtest"
)

// A new token costs the same however many are outstanding: nothing is kept of each.
func TestOutstandingTokensCostNothing(t *testing.T) {
	issuer := func(outstanding int) (issue func(), kept func() int) {
		k := newAsk()
		k.req.Assertion = k.assertion.String()
		a, log := newAuthority(t, realms{k.realm}, fixed(start), nil)
		a.Issued(t, outstanding, start)
		return func() {
			k.realm.Version++ // no token of the time before is handed out again
			log.forget()
			if _, err := a.Issue(t.Context(), k.path, k.req); err != nil {
				t.Fatal(err)
			}
		}, a.Kept
	}
	few, _ := issuer(1)
	many, kept := issuer(1_000_000)
	growthtest.Law(t, 1.1, few, many)
	if n := kept(); n > 2*(4096+4096+8192) {
		t.Errorf("%d are remembered", n)
	}
}
