package trust

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// cheap is a hash of pw with parameters that take no time.
// A user who is not there is refused as slowly as one who is.
func TestNoPassword(t *testing.T) {
	h := NoPassword()
	got, err := parsePasswordHash(h)
	if err != nil || got.memory != passwordMemory || got.time != passwordTime || got.threads != passwordThreads || len(got.hash) != passwordKey {
		t.Fatalf("%s: %+v, %v", h, got, err)
	}
	if h == NoPassword() {
		t.Error("it is the same each time")
	}
	for _, pw := range []string{"", "correct horse"} {
		if ok, rehash, err := VerifyPassword(t.Context(), h, pw); ok || rehash || err != nil {
			t.Errorf("%q: %t, %t, %v", pw, ok, rehash, err)
		}
	}
}

func cheap(t *testing.T, pw string) string {
	t.Helper()
	h := passwordHash{memory: 8, time: 1, threads: 1, salt: []byte("saltsalt")}
	var err error
	if h.hash, err = h.derive(t.Context(), pw, 16); err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func TestPassword(t *testing.T) {
	hash, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash is %s", hash)
	}
	again, err := HashPassword("correct horse")
	if err != nil || again == hash {
		t.Errorf("two hashes of one password are equal, or: %v", err)
	}
	for _, c := range []struct {
		name, hash, pw string
		ok, rehash     bool
	}{
		{"right", hash, "correct horse", true, false},
		{"wrong", hash, "Correct horse", false, false},
		{"empty", hash, "", false, false},
		{"longer than any password", hash, strings.Repeat("x", maxPassword+1), false, false},
		{"other parameters ask for a new hash", cheap(t, "pw"), "pw", true, true},
		{"a wrong password asks for none", cheap(t, "pw"), "px", false, false},
		// https://github.com/P-H-C/phc-winner-argon2, src/test.c: version 0x13, argon2id, m=2^8, t=2, p=1.
		{"vector of the reference implementation", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password", true, true},
	} {
		ok, rehash, err := VerifyPassword(t.Context(), c.hash, c.pw)
		if err != nil || ok != c.ok || rehash != c.rehash {
			t.Errorf("%s: got %t, %t, %v, want %t, %t", c.name, ok, rehash, err, c.ok, c.rehash)
		}
	}
	for _, pw := range []string{"", strings.Repeat("x", maxPassword+1)} {
		if _, err := HashPassword(pw); err == nil {
			t.Errorf("a password of %d bytes was hashed", len(pw))
		}
	}
}

func TestPasswordHashBounds(t *testing.T) {
	const salt, hash = "c2FsdHNhbHQ", "aGFzaGhhc2g"
	for _, s := range []string{
		"", "secret", "$argon2id$", "$argon2i$v=19$m=8,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=4294967295,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=0,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=1,p=255$" + salt + "$" + hash,
		"$argon2id$v=19$m=+8,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=008,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=99999999999999999999,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$t=1,m=8,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=1,p=1,x=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$",
		"$argon2id$v=19$m=8,t=1,p=1$$" + hash,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + hash + "=",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + strings.Repeat("A", 120),
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + strings.Repeat("A", 1<<20),
	} {
		ok, _, err := VerifyPassword(t.Context(), s, "pw")
		if ok || !errors.Is(err, ErrPasswordHash) {
			t.Errorf("%.60q: got %t, %v", s, ok, err)
		}
		if err != nil && s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("the error quotes the hash: %v", err)
		}
	}
}

func TestPasswordWaits(t *testing.T) {
	hash := cheap(t, "pw")
	if err := hashing.Acquire(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, _, err := VerifyPassword(ctx, hash, "pw")
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want to be canceled while two others are computed", err)
	}
	hashing.Release(2)
}

func FuzzPasswordHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g")
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parsePasswordHash(s)
		if err != nil {
			return
		}
		if got := h.String(); got != s {
			t.Errorf("%q parses to %q", s, got)
		}
		if h.memory > maxPasswordMemory || h.time > maxPasswordTime || h.threads > maxPasswordThreads {
			t.Errorf("%q costs too much", s)
		}
	})
}
