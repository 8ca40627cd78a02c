package oidc

import (
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
)

// A KeySet is the keys that an authorization server signs with (RFC 7517 5).
type KeySet struct{ Keys []Key }

// A Key is a signing key, known by its certificate.
type Key struct {
	Certificate []byte // DER
	Issuer      string // in key sets of v2, or ""
}

// jwk has the members in the order of Entra's key sets. The kid is the x5t.
type jwk struct {
	Type       string   `json:"kty"`
	Use        string   `json:"use"`
	ID         string   `json:"kid"`
	Thumbprint string   `json:"x5t"`
	N          string   `json:"n"`
	E          string   `json:"e"`
	Chain      []string `json:"x5c"`
	Issuer     string   `json:"issuer,omitempty"`
}

// MarshalJSON writes the set. Every key must be of RSA.
func (s KeySet) MarshalJSON() ([]byte, error) {
	keys := make([]jwk, len(s.Keys))
	for i, k := range s.Keys {
		key, err := rsaKey(k.Certificate)
		if err != nil {
			return nil, fmt.Errorf("oidc: key %d: %w", i, err)
		}
		id := thumbprint(k.Certificate)
		keys[i] = jwk{"RSA", "sig", id, id, base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
			base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()), []string{base64.StdEncoding.EncodeToString(k.Certificate)}, k.Issuer}
	}
	return json.Marshal(struct {
		Keys []jwk `json:"keys"`
	}{keys})
}

func rsaKey(der []byte) (*rsa.PublicKey, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("certificate: key is a %T, want RSA", cert.PublicKey)
	}
	return key, nil
}

// thumbprint is the x5t of a certificate.
func thumbprint(der []byte) string {
	sum := sha1.Sum(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
