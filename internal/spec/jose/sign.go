package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
)

// A Writer makes a JSON object member by member, in the order of the calls. The
// zero Writer is ready.
type Writer struct{ b []byte }

// Text adds a string.
func (w *Writer) Text(name, value string) *Writer {
	w.name(name)
	w.b = appendText(w.b, value)
	return w
}

// Number adds an integer.
func (w *Writer) Number(name string, value int64) *Writer {
	w.name(name)
	w.b = strconv.AppendInt(w.b, value, 10)
	return w
}

// Texts adds a list of strings.
func (w *Writer) Texts(name string, values []string) *Writer {
	w.name(name)
	w.b = append(w.b, '[')
	for i, v := range values {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = appendText(w.b, v)
	}
	w.b = append(w.b, ']')
	return w
}

// Bytes returns the object.
func (w *Writer) Bytes() []byte {
	if len(w.b) == 0 {
		return []byte("{}")
	}
	return append(w.b[:len(w.b):len(w.b)], '}')
}

func (w *Writer) name(name string) {
	if len(w.b) == 0 {
		w.b = append(make([]byte, 0, 512), '{')
	} else {
		w.b = append(w.b, ',')
	}
	w.b = append(appendText(w.b, name), ':')
}

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string always marshals
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// SignRS256 returns the compact token of claims with the header members typ,
// alg, x5t and, if kid is not empty, kid, in this order (oauth-s2s 9).
func SignRS256(key *rsa.PrivateKey, x5t, kid string, claims *Writer) (string, error) {
	return Sign(key, Header{Algorithm: RS256, X5T: x5t, KeyID: kid}, claims)
}

// A Header is what the header of a signed token says beside typ JWT.
type Header struct {
	Algorithm string // required: RS256, PS256 or ES256
	X5T       string // the other three are left out when empty
	X5TSHA256 string // x5t#S256
	KeyID     string
}

// Sign returns the compact token of claims, signed with key, an *rsa.PrivateKey
// of at least MinModulus bits for RS256 and PS256 or an *ecdsa.PrivateKey of P-256
// for ES256.
func Sign(key crypto.Signer, h Header, claims *Writer) (string, error) {
	var header Writer
	header.Text("typ", "JWT").Text("alg", h.Algorithm)
	for _, m := range [...][2]string{{"x5t", h.X5T}, {"x5t#S256", h.X5TSHA256}, {"kid", h.KeyID}} {
		if m[1] != "" {
			header.Text(m[0], m[1])
		}
	}
	b := make([]byte, 0, 2048)
	b = base64.RawURLEncoding.AppendEncode(b, header.Bytes())
	b = append(b, '.')
	b = base64.RawURLEncoding.AppendEncode(b, claims.Bytes())
	digest := sha256.Sum256(b)
	signature, err := sign(key, h.Algorithm, digest[:])
	if err != nil {
		return "", fmt.Errorf("jose: sign %s: %w", h.Algorithm, err)
	}
	b = append(b, '.')
	return string(base64.RawURLEncoding.AppendEncode(b, signature)), nil
}

func sign(key crypto.Signer, alg string, digest []byte) ([]byte, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		n := k.N.BitLen()
		switch {
		case n < MinModulus:
			return nil, fmt.Errorf("key has %d bits, want %d", n, MinModulus)
		case alg == RS256:
			return rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest)
		case alg == PS256:
			return rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest, &pss)
		}
	case *ecdsa.PrivateKey:
		if alg == ES256 && k.Curve == elliptic.P256() {
			return signES256(k, digest)
		}
	}
	return nil, fmt.Errorf("not with a key of type %T", key)
}

// signES256 writes R and S with their leading zeros (RFC 7518 3.4).
func signES256(key *ecdsa.PrivateKey, digest []byte) ([]byte, error) {
	der, err := ecdsa.SignASN1(rand.Reader, key, digest)
	if err != nil {
		return nil, err
	}
	var s es256Signature
	if _, err := asn1.Unmarshal(der, &s); err != nil {
		return nil, err
	}
	out := make([]byte, 2*es256Size)
	s.R.FillBytes(out[:es256Size])
	s.S.FillBytes(out[es256Size:])
	return out, nil
}

// Unsigned returns the outer token of claims: alg none, empty third segment
// (oauth-s2s 4.3).
func Unsigned(claims *Writer) string {
	b := append(make([]byte, 0, 4096), unsignedHeader...)
	b = base64.RawURLEncoding.AppendEncode(b, claims.Bytes())
	return string(append(b, '.'))
}

// unsignedHeader is base64url of {"typ":"JWT","alg":"none"} and a dot.
const unsignedHeader = "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0."
