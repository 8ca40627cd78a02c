package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/jose"
)

var testCurveKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

func public(t *testing.T, alg string) crypto.PublicKey {
	t.Helper()
	if alg == jose.ES256 {
		return &testCurveKey().PublicKey
	}
	return &testKey().PublicKey
}

func signed(t *testing.T, alg string) string {
	t.Helper()
	var key crypto.Signer = testKey()
	if alg == jose.ES256 {
		key = testCurveKey()
	}
	var w jose.Writer
	sum := sha256.Sum256([]byte("certificate"))
	text, err := jose.Sign(key, jose.Header{Algorithm: alg, X5TSHA256: base64.RawURLEncoding.EncodeToString(sum[:])}, w.Text("iss", "x"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Each algorithm, in both directions, with the other library.
func TestAlgorithms(t *testing.T) {
	all := []string{jose.RS256, jose.PS256, jose.ES256}
	for _, alg := range all {
		t.Run(alg, func(t *testing.T) {
			text := signed(t, alg)
			parsed, err := gojose.ParseSignedCompact(text, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parsed.Verify(public(t, alg)); err != nil {
				t.Errorf("go-jose: %v", err)
			}
			var key any = testKey()
			if alg == jose.ES256 {
				key = testCurveKey()
			}
			signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.SignatureAlgorithm(alg), Key: key}, nil)
			if err != nil {
				t.Fatal(err)
			}
			object, err := signer.Sign([]byte(`{"iss":"x"}`))
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := object.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"ours": text, "theirs": theirs} {
				token, err := jose.ParseUnverified(text)
				if err != nil {
					t.Fatal(err)
				}
				if err := token.Verify(public(t, alg), all...); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				// The algorithm is the caller's choice, and the key's kind decides.
				for _, other := range all {
					if other != alg && token.Verify(public(t, alg), other) == nil {
						t.Errorf("%s: verifies though only %s is wanted", name, other)
					}
					if (other == jose.ES256) != (alg == jose.ES256) && token.Verify(public(t, other), all...) == nil {
						t.Errorf("%s: verifies with the key for %s", name, other)
					}
				}
				for _, key := range []crypto.PublicKey{nil, []byte("secret"), testKey(), testKey().PublicKey} {
					if err := token.Verify(key, all...); !errors.Is(err, jose.ErrSignature) {
						t.Errorf("%s: with a key of type %T: %v", name, key, err)
					}
				}
			}
			header, _, _ := strings.Cut(text, ".")
			sum := sha256.Sum256([]byte("certificate"))
			b, _ := base64.RawURLEncoding.DecodeString(header)
			if d := cmp.Diff(`{"typ":"JWT","alg":"`+alg+`","x5t#S256":"`+base64.RawURLEncoding.EncodeToString(sum[:])+`"}`, string(b)); d != "" {
				t.Error(d)
			}
			token, err := jose.ParseUnverified(text)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := token.X5TSHA256(); !ok || got != sum {
				t.Errorf("x5t#S256 %x, %v", got, ok)
			}
			if _, ok := token.X5T(); ok {
				t.Error("there is an x5t")
			}
		})
	}
}

// An ES256 signature is R and S of 32 bytes each, nothing else (RFC 7518 3.4).
func TestES256SignatureIsStrict(t *testing.T) {
	text := signed(t, jose.ES256)
	body, signature, _ := strings.Cut(text[strings.IndexByte(text, '.')+1:], ".")
	head := text[:strings.IndexByte(text, '.')+1] + body + "."
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(head[:len(head)-1]))
	der, err := ecdsa.SignASN1(rand.Reader, testCurveKey(), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	order := elliptic.P256().Params().N.Bytes()
	for name, sig := range map[string][]byte{
		"DER": der, "none": {}, "one byte short": raw[:63], "one byte long": append(raw[:64:64], 0), "zeros": make([]byte, 64),
		"R and S change places": append(raw[32:64:64], raw[:32]...), "R is the order": append(order[:32:32], raw[32:]...),
		"leading zero": append([]byte{0}, raw[:63]...),
	} {
		token, err := jose.ParseUnverified(head + base64.RawURLEncoding.EncodeToString(sig))
		if err != nil {
			t.Fatal(err)
		}
		if err := token.Verify(&testCurveKey().PublicKey, jose.ES256); !errors.Is(err, jose.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Another curve is no ES256.
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var w jose.Writer
	if _, err := jose.Sign(other, jose.Header{Algorithm: jose.ES256}, w.Text("iss", "x")); err == nil {
		t.Error("P-384 signs ES256")
	}
	for _, alg := range []string{"", "none", "HS256", "RS384", "ES384", jose.ES256} {
		if _, err := jose.Sign(testKey(), jose.Header{Algorithm: alg}, &w); err == nil {
			t.Errorf("RSA signs %q", alg)
		}
	}
}

func TestKidIsText(t *testing.T) {
	for header, want := range map[string]bool{`{"alg":"RS256"}`: true, `{"alg":"RS256","kid":"a"}`: true, `{"alg":"RS256","kid":1}`: false, `{"alg":"RS256","kid":null}`: false} {
		token, err := jose.ParseUnverified(b64(header) + "." + b64("{}") + ".")
		if err != nil {
			t.Fatal(err)
		}
		if err := token.CheckHeader(); (err == nil) != want {
			t.Errorf("%s: %v", header, err)
		}
	}
}
