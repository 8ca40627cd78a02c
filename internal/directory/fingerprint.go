package directory

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// fingerprintDomain keeps a fingerprint apart from every other use of the hash.
const fingerprintDomain = "busybridge keys v1\n"

// Fingerprint is what people read to each other to compare the keys in a set of
// certificates (base64 DER): six groups of five digits, of the SHA-256 over the
// sorted public keys, each once. 30 digits are 99 bits. Certificates that
// were made anew for the same keys have the same fingerprint; "" is that of no
// certificate, and of a set in which one cannot be read.
func Fingerprint(certificates []string) string {
	if len(certificates) == 0 {
		return ""
	}
	keys := make([]string, 0, len(certificates))
	for _, text := range certificates {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return ""
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return ""
		}
		keys = append(keys, string(c.RawSubjectPublicKeyInfo))
	}
	slices.Sort(keys)
	h := sha256.New()
	h.Write([]byte(fingerprintDomain))
	for _, k := range slices.Compact(keys) {
		fmt.Fprintf(h, "%d:%s", len(k), k)
	}
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(30), nil)
	digits := fmt.Sprintf("%030d", new(big.Int).Mod(new(big.Int).SetBytes(h.Sum(nil)), limit))
	var groups []string
	for g := range slices.Chunk([]byte(digits), 5) {
		groups = append(groups, string(g))
	}
	return strings.Join(groups, " ")
}

// SameFingerprint compares one that somebody typed: spaces, dashes and dots
// between the digits do not count. An empty one is equal to none.
func SameFingerprint(typed, fingerprint string) bool {
	typed = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t-.", r) {
			return -1
		}
		return r
	}, typed)
	return fingerprint != "" && typed == strings.ReplaceAll(fingerprint, " ", "")
}
