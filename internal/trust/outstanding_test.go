package trust

import (
	"encoding/binary"
	"strconv"
	"testing"
	"time"
)

// Issued makes the authority one that has issued n tokens, for n hosts and by
// n assertions, of which none was signed.
func (a *Authority) Issued(t testing.TB, n int, now time.Time) {
	t.Helper()
	for i := range n {
		token := &issuedToken{text: "…", at: now, notBefore: now, expires: now.Add(24 * time.Hour)}
		key := issuedKey{realm: "r", caller: "c", resource: strconv.Itoa(i)}
		if _, _, err := a.issued.token(t.Context(), key, now, func() (*issuedToken, error) { return token, nil }); err != nil {
			t.Fatal(err)
		}
		var asked fingerprint
		binary.LittleEndian.PutUint64(asked[:], uint64(i))
		a.handouts.put(asked, &handout{token: token})
		var sum [32]byte
		binary.LittleEndian.PutUint64(sum[:], uint64(i))
		a.assertions.put(sum, now.Add(time.Hour))
	}
}

// Kept is how many of them it remembers.
func (a *Authority) Kept() int {
	return a.issued.kept.size() + a.handouts.size() + a.assertions.size()
}

func (r *recent[K, V]) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.young) + len(r.old)
}
