package jose

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
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
	if n := key.N.BitLen(); n < MinModulus {
		return "", fmt.Errorf("jose: key has %d bits, want %d", n, MinModulus)
	}
	var header Writer
	header.Text("typ", "JWT").Text("alg", RS256).Text("x5t", x5t)
	if kid != "" {
		header.Text("kid", kid)
	}
	b := make([]byte, 0, 2048)
	b = base64.RawURLEncoding.AppendEncode(b, header.Bytes())
	b = append(b, '.')
	b = base64.RawURLEncoding.AppendEncode(b, claims.Bytes())
	digest := sha256.Sum256(b)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("jose: sign: %w", err)
	}
	b = append(b, '.')
	return string(base64.RawURLEncoding.AppendEncode(b, signature)), nil
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
