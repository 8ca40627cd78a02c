package trust

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/jose"
)

// ErrNoCertificate: there is no certificate to sign with, or it has expired.
var ErrNoCertificate = errors.New("missing signing certificate")

// ExchangeCertificateSubject is the subject of the certificate that Exchange's
// setup makes (oauth-s2s 6.1).
const ExchangeCertificateSubject = "CN=Microsoft Exchange Server Auth Certificate"

// X5T is the SHA-1 of a DER certificate in base64url without padding.
func X5T(der []byte) string {
	sum := sha1.Sum(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// NewSigningCertificate makes a self-signed certificate of the profile of
// oauth-s2s 6.1: RSA 2048, SHA-256, digital signature and key encipherment,
// server authentication, no CA. Subject is a common name, with or without "CN=".
// It is valid from a minute before now until until.
func NewSigningCertificate(subject string, now, until time.Time) (directory.Certificate, error) {
	if i := strings.IndexByte(subject, '='); i >= 0 && strings.EqualFold(strings.TrimSpace(subject[:i]), "CN") {
		subject = strings.TrimSpace(subject[i+1:])
	}
	if subject == "" || !now.Before(until) {
		return directory.Certificate{}, fmt.Errorf("make certificate %q until %s: no subject, or over already", subject, until.Format(time.DateOnly))
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return directory.Certificate{}, fmt.Errorf("make certificate %q: %w", subject, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return directory.Certificate{}, fmt.Errorf("make certificate %q: %w", subject, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: subject},
		NotBefore: now.Add(-time.Minute).UTC(), NotAfter: until.UTC(),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		SignatureAlgorithm:    x509.SHA256WithRSA,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return directory.Certificate{}, fmt.Errorf("make certificate %q: %w", subject, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return directory.Certificate{}, fmt.Errorf("make certificate %q: %w", subject, err)
	}
	return directory.Certificate{Thumbprint: directory.Thumbprint(der), FriendlyName: subject, DER: der, Key: private}, nil
}

// A signer is a certificate ready to sign with.
type signer struct {
	key                 *rsa.PrivateKey
	x5t                 string
	notBefore, notAfter time.Time
	delegate            func() (*signer, error) // of its ES256 key; nil for that itself

	// Of a delegate instead of key: see delegateOf.
	ec  *ecdsa.PrivateKey
	der []byte
}

// signers remembers parsed keys by a hash of certificate and key.
type signers struct{ known *recent[[32]byte, *signer] }

func newSigners() signers { return signers{newRecent[[32]byte, *signer](256)} }

// of returns the signer of c, which must be within its validity at now.
func (s signers) of(c *directory.Certificate, now time.Time) (*signer, error) {
	h := sha256.New()
	h.Write(c.Key)
	h.Write(c.DER)
	sum := [32]byte(h.Sum(nil))
	g, ok := s.known.get(sum)
	if !ok {
		var err error
		if g, err = parseSigner(c); err != nil {
			return nil, fmt.Errorf("%w: certificate %s: %w", ErrNoCertificate, c.Thumbprint, err)
		}
		s.known.put(sum, g)
	}
	if now.Before(g.notBefore) || !now.Before(g.notAfter) {
		return nil, fmt.Errorf("%w: certificate %s is valid from %s to %s: expired or not yet valid", ErrNoCertificate,
			c.Thumbprint, g.notBefore.Format(time.RFC3339), g.notAfter.Format(time.RFC3339))
	}
	return g, nil
}

// current returns the signer of the organization's current certificate.
func (s signers) current(org *directory.Organization, now time.Time) (*signer, error) {
	thumbprint := org.AuthConfig.CurrentCertificateThumbprint
	for i := range org.Certificates {
		if thumbprint != "" && org.Certificates[i].Thumbprint == thumbprint {
			return s.of(&org.Certificates[i], now)
		}
	}
	return nil, fmt.Errorf("%w: organization %s has none with thumbprint %q", ErrNoCertificate, org.Name, thumbprint)
}

func parseSigner(c *directory.Certificate) (*signer, error) {
	cert, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, err
	}
	if len(c.Key) == 0 {
		return nil, errors.New("no private key")
	}
	private, err := x509.ParsePKCS8PrivateKey(c.Key)
	if err != nil {
		return nil, errors.New("private key is not PKCS#8")
	}
	key, ok := private.(*rsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("private key is not the RSA key of the certificate")
	}
	if key.N.BitLen() < jose.MinModulus {
		return nil, fmt.Errorf("RSA of %d bits, want %d", key.N.BitLen(), jose.MinModulus)
	}
	return &signer{key: key, x5t: X5T(c.DER), notBefore: cert.NotBefore, notAfter: cert.NotAfter,
		delegate: sync.OnceValues(func() (*signer, error) { return delegateOf(cert, key) })}, nil
}

// A verifier is a certificate ready to verify with.
type verifier struct {
	sum                 [20]byte
	key                 *rsa.PublicKey // nil: not a certificate, or not of RSA
	notBefore, notAfter time.Time

	// Of a delegate: see delegateOf.
	ec        *ecdsa.PublicKey  // nil: not one
	signed    [sha256.Size]byte // hash of what the issuer has signed
	signature []byte
}

// verifiers remembers parsed certificates by their base64 or DER form; hosted
// organizations share those of their authorization server.
type verifiers struct{ known *recent[string, *verifier] }

func newVerifiers() verifiers { return verifiers{newRecent[string, *verifier](1024)} }

// find returns the certificate with the given thumbprint among certs, or nil.
func (v verifiers) find(certs []string, sum [20]byte) *verifier {
	for _, text := range certs {
		if c := v.of(text); c.key != nil && c.sum == sum {
			return c
		}
	}
	return nil
}

// of returns the verifier of a certificate in base64; one without key when it
// cannot be read.
func (v verifiers) of(text string) *verifier {
	c, ok := v.known.get(text)
	if !ok {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			der = nil // what was decoded up to the error is no certificate
		}
		c = parseVerifier(der)
		v.known.put(text, c)
	}
	return c
}

// certificate returns the verifier of a DER certificate; one without key when it
// cannot be read.
func (v verifiers) certificate(der []byte) *verifier {
	c, ok := v.known.get(string(der))
	if !ok {
		c = parseVerifier(der)
		v.known.put(string(der), c)
	}
	return c
}

func parseVerifier(der []byte) *verifier {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return new(verifier)
	}
	v := &verifier{sum: sha1.Sum(der), notBefore: cert.NotBefore, notAfter: cert.NotAfter}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		v.key = key
	case *ecdsa.PublicKey:
		if cert.SignatureAlgorithm == x509.SHA256WithRSA {
			v.ec, v.signed, v.signature = key, sha256.Sum256(cert.RawTBSCertificate), cert.Signature
		}
	}
	return v
}
