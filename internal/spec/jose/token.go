// Package jose reads and writes the compact JWTs of server-to-server trust:
// RS256, PS256 and ES256 (RFC 7515, 7518 3.3 to 3.5) and the unsigned outer token
// (oauth-s2s reference, sections 4 and 9). Reading is strict, and checking a
// signature is a step of its own with a key and algorithms that the caller chose.
package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
	"unsafe"
)

// MaxToken is the longest token that is read (oauth-s2s 4.5 step 1). An outer
// token holds its actor token in base64 a second time.
const MaxToken = 16 << 10

// ErrCompact is wrapped by errors about the compact form: length, dots, base64.
var ErrCompact = errors.New("jose: not a compact token")

// ErrSignature is wrapped by every error of Token.Verify and VerifyRS256.
var ErrSignature = errors.New("jose: signature does not verify")

// The algorithms of a header. Nothing else is ever accepted.
const (
	RS256 = "RS256"
	PS256 = "PS256"
	ES256 = "ES256"
	None  = "none"
)

// A Token is a token that was read but not checked.
type Token struct {
	Header, Claims Object
	Signature      []byte
	text           string // as it came
	signed         string // the first two segments of it
}

// ParseUnverified reads the compact form and both JSON objects: at most MaxToken
// bytes, exactly two dots, base64url without padding, spaces or trailing bits.
// It checks no signature, time or claim.
func ParseUnverified(token string) (*Token, error) {
	if len(token) > MaxToken {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrCompact, len(token), MaxToken)
	}
	header, rest, ok := strings.Cut(token, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.IndexByte(signature, '.') >= 0 || header == "" || payload == "" {
		return nil, fmt.Errorf("%w: want three segments", ErrCompact)
	}
	var t Token
	// All three are decoded into one buffer, of which the objects are parts.
	data := make([]byte, 0, strict.DecodedLen(len(token)))
	for _, s := range [...]struct {
		name, text string
		to         *Object
	}{{"header", header, &t.Header}, {"payload", payload, &t.Claims}, {"signature", signature, nil}} {
		start := len(data)
		var err error
		if data, err = segment(data, s.text); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrCompact, s.name, err)
		}
		part := data[start:len(data):len(data)]
		if s.to == nil {
			t.Signature = part
		} else if *s.to, err = ParseObject(part); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	t.text, t.signed = token, token[:len(header)+1+len(payload)]
	return &t, nil
}

// Text is the whole token as it came.
func (t *Token) Text() string { return t.text }

// Algorithm is the header's alg as written.
func (t *Token) Algorithm() string {
	alg, _ := t.Header.Text("alg")
	return alg
}

// CheckHeader refuses a typ other than JWT, a kid that is no string (RFC 7515
// 4.1.4) and any crit (4.1.11). Key locations in the header (jwk, jku, x5u, x5c)
// are never looked at.
func (t *Token) CheckHeader() error {
	if v, ok := t.Header.Get("typ"); ok {
		if s, _ := v.Text(); s != "JWT" {
			return fmt.Errorf("%w: header: typ is not JWT", ErrObject)
		}
	}
	if v, ok := t.Header.Get("kid"); ok {
		if _, ok := v.Text(); !ok {
			return fmt.Errorf("%w: header: kid is no string", ErrObject)
		}
	}
	if t.Header.Has("crit") {
		return fmt.Errorf("%w: header: crit is not supported", ErrObject)
	}
	return nil
}

// X5T is the header's key thumbprint; ok is false when there is none of 20
// bytes. Padding and the standard alphabet are tolerated (oauth-s2s 1.3).
func (t *Token) X5T() (sum [20]byte, ok bool) {
	s, _ := t.Header.Text("x5t")
	return ParseX5T(s)
}

// X5TSHA256 is the header's x5t#S256, the SHA-256 of the certificate (RFC 7515
// 4.1.8); ok is false when there is none of 32 bytes.
func (t *Token) X5TSHA256() (sum [sha256.Size]byte, ok bool) {
	s, _ := t.Header.Text("x5t#S256")
	return sum, decodeSum(sum[:], s)
}

// ParseX5T decodes the base64 form of a SHA-1 thumbprint.
func ParseX5T(s string) (sum [20]byte, ok bool) { return sum, decodeSum(sum[:], s) }

// decodeSum decodes a thumbprint that fills to.
func decodeSum(to []byte, s string) bool {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "+/") {
		s = strings.NewReplacer("+", "-", "/", "_").Replace(s)
	}
	// DecodedLen guards the fixed destination.
	if base64.RawURLEncoding.DecodedLen(len(s)) != len(to) {
		return false
	}
	_, err := strict.Decode(to, []byte(s))
	return err == nil
}

// MinModulus is the shortest RSA modulus that signs or verifies, in bits.
const MinModulus = 2048

// VerifyRS256 checks the signature with key. It does not ask which key that is:
// the caller took it from a trust anchor. The header must say RS256.
func (t *Token) VerifyRS256(key *rsa.PublicKey) error { return t.Verify(key, RS256) }

// Verify checks the signature with key, an *rsa.PublicKey of at least MinModulus
// bits or an *ecdsa.PublicKey of P-256. The header's algorithm must be one of
// those given and of the key's kind: a token chooses neither. Which key it is
// was the caller's choice, who took it from a trust anchor.
func (t *Token) Verify(key crypto.PublicKey, algorithms ...string) error {
	alg := t.Algorithm()
	if !slices.Contains(algorithms, alg) {
		return fmt.Errorf("%w: alg is not %s", ErrSignature, strings.Join(algorithms, " or "))
	}
	digest := sha256.Sum256(unsafe.Slice(unsafe.StringData(t.signed), len(t.signed)))
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < MinModulus {
			return fmt.Errorf("%w: key has %d bits, want %d", ErrSignature, n, MinModulus)
		}
		switch {
		case alg == RS256 && rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], t.Signature) == nil,
			alg == PS256 && rsa.VerifyPSS(k, crypto.SHA256, digest[:], t.Signature, &pss) == nil:
			return nil
		}
	case *ecdsa.PublicKey:
		if alg == ES256 && k.Curve == elliptic.P256() && verifyES256(k, digest[:], t.Signature) {
			return nil
		}
	default:
		return fmt.Errorf("%w: key is of type %T", ErrSignature, key)
	}
	return ErrSignature
}

// pss is what PS256 fixes (RFC 7518 3.5): the salt is as long as the hash.
var pss = rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// es256Size is the length of R and of S in a signature (RFC 7518 3.4).
const es256Size = 32

// es256Signature is the form that crypto/ecdsa reads and writes.
type es256Signature struct{ R, S *big.Int }

func verifyES256(key *ecdsa.PublicKey, digest, signature []byte) bool {
	if len(signature) != 2*es256Size {
		return false
	}
	der, err := asn1.Marshal(es256Signature{new(big.Int).SetBytes(signature[:es256Size]), new(big.Int).SetBytes(signature[es256Size:])})
	return err == nil && ecdsa.VerifyASN1(key, digest, der)
}

// Times returns nbf and exp, both of which must be there, nbf before exp.
func (t *Token) Times() (nbf, exp time.Time, err error) {
	if nbf, err = t.Claims.Time("nbf"); err != nil {
		return nbf, exp, err
	}
	if exp, err = t.Claims.Time("exp"); err != nil {
		return nbf, exp, err
	}
	if !nbf.Before(exp) {
		return nbf, exp, errors.New("exp is not after nbf")
	}
	return nbf, exp, nil
}

// strict refuses trailing bits that are not zero.
var strict = base64.RawURLEncoding.Strict()

// segment appends what s stands for to data.
func segment(data []byte, s string) ([]byte, error) {
	// The decoder skips line ends; a token has none.
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 {
		return nil, errors.New("line end in base64url")
	}
	return strict.AppendDecode(data, unsafe.Slice(unsafe.StringData(s), len(s)))
}
