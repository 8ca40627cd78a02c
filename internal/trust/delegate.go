package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
)

// Under direct trust two organizations of ours use ES256 between them: a token
// costs a thirtieth to sign. Exchange knows RS256 only, so nothing of it shows
// where Exchange looks.
//
// The certificate of an organization vouches for one key of P-256, its delegate:
// a certificate that it has signed. Key and certificate follow from the private
// key alone, so they need no store, are the same on every node, and go with the
// certificate when that is rolled over. The organization's document names the
// delegate in a member of its own; who pins the document keeps it beside the
// pinned certificates, and says in its challenge which delegates it takes. So
// each side announces ES256, and only then it is used. A delegate counts as long
// as a pinned certificate vouches for it: fingerprints and approvals are about
// the pinned ones alone.

// delegateOf derives the delegate of a certificate with its key.
func delegateOf(cert *x509.Certificate, key *rsa.PrivateKey) (*signer, error) {
	fail := func(err error) (*signer, error) { return nil, fmt.Errorf("derive ES256 key: %w", err) }
	var ec *ecdsa.PrivateKey
	for i := 0; ec == nil; i++ { // the first try fails once in 2^32
		scalar, err := hkdf.Key(sha256.New, x509.MarshalPKCS1PrivateKey(key), cert.Raw, fmt.Sprintf("busybridge ES256 delegate %d", i), 32)
		if err != nil {
			return fail(err)
		}
		if ec, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar); err != nil && i == 8 {
			return fail(err)
		}
	}
	public, err := ec.PublicKey.Bytes()
	if err != nil {
		return fail(err)
	}
	serial := sha256.Sum256(public)
	// RSASSA-PKCS1-v1_5 takes no random bits: it is the same certificate each time.
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:15]), Subject: pkix.Name{CommonName: cert.Subject.CommonName + " (ES256)"},
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		SignatureAlgorithm: x509.SHA256WithRSA,
	}, cert, &ec.PublicKey, key)
	if err != nil {
		return fail(err)
	}
	return &signer{ec: ec, der: der, x5t: X5T(der), notBefore: cert.NotBefore, notAfter: cert.NotAfter}, nil
}

// sign makes a token of the organization itself.
func (g *signer) sign(claims *jose.Writer) (string, error) {
	if g.ec != nil {
		return jose.Sign(g.ec, jose.Header{Algorithm: jose.ES256, X5T: g.x5t}, claims)
	}
	return jose.SignRS256(g.key, g.x5t, "", claims)
}

// taken is the delegate of g when the challenge takes it, else g.
func (g *signer) taken(ch acs.Challenge) (*signer, error) {
	if len(ch.ES256Keys) == 0 {
		return g, nil
	}
	d, err := g.delegate()
	if err != nil || slices.Contains(ch.ES256Keys, d.x5t) {
		return d, err
	}
	return g, nil
}

// Delegates are the ES256 keys that the document of org names beside its
// certificates (see OrganizationDocument). An organization that cannot sign has none.
func (t *Tokens) Delegates(org *directory.Organization) ([]acs.Key, error) {
	g, err := t.signers.current(org, t.cfg.Now())
	if errors.Is(err, ErrNoCertificate) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d, err := g.delegate()
	if err != nil {
		return nil, err
	}
	return []acs.Key{{Certificate: d.der}}, nil
}

// vouchedFor are those delegates of a document that one of its keys has signed,
// as they are kept.
func vouchedFor(doc *acs.Document) (out []string) {
	for _, d := range doc.Delegates {
		c := parseVerifier(d.Certificate)
		if c.ec != nil && slices.ContainsFunc(doc.Keys, func(k acs.Key) bool { return parseVerifier(k.Certificate).vouches(c) == nil }) {
			out = append(out, base64.StdEncoding.EncodeToString(d.Certificate))
		}
	}
	return out
}

// vouches checks that the certificate of v has signed that of the delegate.
func (v *verifier) vouches(delegate *verifier) error {
	if v.key == nil {
		return errors.New("not a certificate of RSA")
	}
	return rsa.VerifyPKCS1v15(v.key, crypto.SHA256, delegate.signed[:], delegate.signature)
}

// verifyDelegate does steps 6 and 7 for ES256: only a partner that is trusted
// directly has delegates.
func (v *Validator) verifyDelegate(t *jose.Token, a anchor, now time.Time) error {
	if a.partner == nil {
		return checkAlgorithm.fails("alg", nil)
	}
	sum, ok := t.X5T()
	if !ok {
		return checkKey.fails("x5t", errors.New("the header has no x5t of 20 bytes"))
	}
	for _, text := range a.partner.DelegateStrings {
		c := v.keys.of(text)
		if c.ec == nil || c.sum != sum || !v.validAt(c, now) {
			continue
		}
		if !slices.ContainsFunc(a.certificates(), func(text string) bool { return v.vouched(v.keys.of(text), c, now) }) {
			return checkKey.fails("x5t", errors.New("no certificate of the issuer vouches for its ES256 key"))
		}
		if err := v.signature(t, c, c.ec, jose.ES256); err != nil {
			return checkSignature.fails("", err)
		}
		return nil
	}
	if v.cfg.UnknownPartnerKey != nil && a.partner.AuthMetadataURL != "" {
		v.cfg.UnknownPartnerKey(a.org.ID, a.partner.Name)
	}
	return checkKey.fails("x5t", errors.New("no ES256 key of the issuer has this x5t"))
}

// vouched reports whether a certificate that is valid now vouches for the delegate,
// and remembers that it does.
func (v *Validator) vouched(by, delegate *verifier, now time.Time) bool {
	if !v.validAt(by, now) {
		return false
	}
	k := verifiedKey{v.prints.ofAll("delegate", string(delegate.signed[:])), by}
	if v.verified != nil {
		if _, ok := v.verified.get(k); ok {
			return true
		}
	}
	if by.vouches(delegate) != nil {
		return false
	}
	if v.verified != nil {
		v.verified.put(k, struct{}{})
	}
	return true
}

// validAt is the second half of step 7.
func (v *Validator) validAt(c *verifier, now time.Time) bool {
	return !now.Add(v.cfg.Skew).Before(c.notBefore) && now.Before(c.notAfter.Add(certificateGrace))
}
