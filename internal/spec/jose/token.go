// Package jose reads and writes the compact JWTs of server-to-server trust:
// RS256 (RFC 7515, 7518 3.3) and the unsigned outer token (oauth-s2s reference,
// sections 4 and 9). Reading is strict, and checking a signature is a step of
// its own with a key that the caller chose.
package jose

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxToken is the longest token that is read (oauth-s2s 4.5 step 1). An outer
// token holds its actor token in base64 a second time.
const MaxToken = 16 << 10

// ErrCompact is wrapped by errors about the compact form: length, dots, base64.
var ErrCompact = errors.New("jose: not a compact token")

// ErrSignature is wrapped by every error of Token.VerifyRS256.
var ErrSignature = errors.New("jose: signature does not verify")

// The algorithms of a header. Nothing else is ever accepted.
const (
	RS256 = "RS256"
	None  = "none"
)

// A Token is a token that was read but not checked.
type Token struct {
	Header, Claims Object
	Signature      []byte
	signed         string // the first two segments as they came
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
	for _, s := range []struct {
		name, text string
		to         *Object
	}{{"header", header, &t.Header}, {"payload", payload, &t.Claims}} {
		data, err := segment(s.text)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrCompact, s.name, err)
		}
		if *s.to, err = ParseObject(data); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	var err error
	if t.Signature, err = segment(signature); err != nil {
		return nil, fmt.Errorf("%w: signature: %w", ErrCompact, err)
	}
	t.signed = token[:len(header)+1+len(payload)]
	return &t, nil
}

// Algorithm is the header's alg as written.
func (t *Token) Algorithm() string {
	alg, _ := t.Header.Text("alg")
	return alg
}

// CheckHeader refuses a typ other than JWT and any crit (RFC 7515 4.1.11). Key
// locations in the header (jwk, jku, x5u, x5c) are never looked at.
func (t *Token) CheckHeader() error {
	if v, ok := t.Header.Get("typ"); ok {
		if s, _ := v.Text(); s != "JWT" {
			return fmt.Errorf("%w: header: typ is not JWT", ErrObject)
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

// ParseX5T decodes the base64 form of a SHA-1 thumbprint.
func ParseX5T(s string) (sum [20]byte, ok bool) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "+/") {
		s = strings.NewReplacer("+", "-", "/", "_").Replace(s)
	}
	// DecodedLen guards the fixed destination.
	if base64.RawURLEncoding.DecodedLen(len(s)) != len(sum) {
		return sum, false
	}
	_, err := strict.Decode(sum[:], []byte(s))
	return sum, err == nil
}

// MinModulus is the shortest RSA modulus that signs or verifies, in bits.
const MinModulus = 2048

// VerifyRS256 checks the signature with key. It does not ask which key that is:
// the caller took it from a trust anchor. The header must say RS256.
func (t *Token) VerifyRS256(key *rsa.PublicKey) error {
	if t.Algorithm() != RS256 {
		return fmt.Errorf("%w: alg is not %s", ErrSignature, RS256)
	}
	if n := key.N.BitLen(); n < MinModulus {
		return fmt.Errorf("%w: key has %d bits, want %d", ErrSignature, n, MinModulus)
	}
	digest := sha256.Sum256([]byte(t.signed))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], t.Signature); err != nil {
		return ErrSignature
	}
	return nil
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

func segment(s string) ([]byte, error) {
	// The decoder skips line ends; a token has none.
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 {
		return nil, errors.New("line end in base64url")
	}
	return strict.DecodeString(s)
}
