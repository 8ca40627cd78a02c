package psrp

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"testing"
)

// Texts that another implementation has encrypted with the key 00 01 … 1F.
func TestSessionKey(t *testing.T) {
	raw := make([]byte, sessionBytes)
	for i := range raw {
		raw[i] = byte(i)
	}
	k, err := newSessionKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"": "nzt1BJJvi9NuMRjpA6TNSg==", "päss\U0001F511word": "z+6GaLkh+LOqjvG9vhh4NDYqwxVFMCfqZ9dtVWCqtQw=", "sixteen ": "F73p3pRNt4UJWIOvfy6qjgViF7EeZN71RK5zn6MPqLk=",
	} {
		sealed, err := k.Seal(text)
		if got := base64.StdEncoding.EncodeToString(sealed); got != want || err != nil {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
		if got, err := k.Open(sealed); got != text || err != nil {
			t.Errorf("%q becomes %q, %v", text, got, err)
		}
		for _, bad := range [][]byte{nil, sealed[1:], append(slices.Clone(sealed), sealed...)[1:], bytes.Repeat([]byte{1}, 16)} {
			if got, err := k.Open(bad); err == nil {
				t.Errorf("%x is taken for %q", bad, got)
			}
		}
	}
}

// A public key has the form of a blob of Windows, and the session's key that is made for it can be read by its owner only.
func TestKeyExchange(t *testing.T) {
	owner, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text, err := publicText(&owner.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	blob := unbase64(t, text)
	if got := hex.EncodeToString(blob[:20]); got != "06020000"+"00a40000"+"52534131"+"00080000"+"01000100" || len(blob) != 276 {
		t.Errorf("a blob of %d bytes begins %s", len(blob), got)
	}
	modulus := owner.N.Bytes()
	for i, b := range blob[20:] {
		if b != modulus[255-i] {
			t.Fatalf("byte %d of the modulus is %x, not %x", i, b, modulus[255-i])
		}
	}
	key, sealed, err := makeSession(text)
	if err != nil {
		t.Fatal(err)
	}
	b := unbase64(t, sealed)
	if got := hex.EncodeToString(b[:12]); got != "010200001066000000a40000" || len(b) != 268 {
		t.Errorf("a key of %d bytes begins %s", len(b), got)
	}
	secret, err := key.Seal("text")
	if err != nil {
		t.Fatal(err)
	}
	mine, err := openSession(owner, sealed)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := mine.Open(secret); got != "text" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := openSession(other, sealed); err == nil {
		if got, err := theirs.Open(secret); err == nil && got == "text" {
			t.Error("another's key opens it")
		}
	}
	change := func(at int, to byte) string {
		c := slices.Clone(blob)
		c[at] = to
		return base64.StdEncoding.EncodeToString(c)
	}
	for name, bad := range map[string]string{"empty": "", "no base64": "?", "short": base64.StdEncoding.EncodeToString(blob[:275]), "another algorithm": change(0, 7),
		"even exponent": change(16, 2), "even modulus": change(20, 0), "short modulus": change(275, 0)} {
		if _, _, err := makeSession(bad); err == nil {
			t.Errorf("%s: it is taken for a key", name)
		}
	}
	for _, bad := range []string{"", "?", text, base64.StdEncoding.EncodeToString(b[:267])} {
		if _, err := openSession(owner, bad); err == nil {
			t.Errorf("%.20q is taken for a session's key", bad)
		}
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publicText(&small.PublicKey); err == nil {
		t.Error("a key of 1024 bits is offered")
	}
}
