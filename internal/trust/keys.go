package trust

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"busybridge/internal/directory"
)

// The uses of a key.
const (
	KeyCurrent       = "current certificate"
	KeyNext          = "next certificate"
	KeyPrevious      = "previous certificate"
	KeyAuthServer    = "last key of auth server"         // the one that lives longest
	KeyPartner       = "last key of partner application" // the one that lives longest
	KeyCredential    = "key credential"
	KeyAuthority     = "signing certificate of the authorization server"
	KeyAuthorityNext = "next signing certificate of the authorization server"
)

const keyDay = 24 * time.Hour

// keyStages are the days left at which a warning becomes more urgent.
var keyStages = [...]int{60, 30, 7}

// A KeyUse says what a key is needed for, and until when.
type KeyUse struct {
	Owner  string // name of the organization, realm or cloud
	Use    string // one of the constants
	Holder string // the auth server, partner application or service principal; else empty
	Key    string // thumbprint, or key id of a credential
	Ends   time.Time
	// Replaced: another key takes over before this one ends.
	Replaced bool
}

// DaysLeft is the number of whole days until the key ends, negative afterwards.
func (k KeyUse) DaysLeft(now time.Time) int {
	left := k.Ends.Sub(now)
	days := int(left / keyDay)
	if left < 0 && left%keyDay != 0 {
		days--
	}
	return days
}

// Expired reports whether the key can be used no more.
func (k KeyUse) Expired(now time.Time) bool { return !now.Before(k.Ends) }

// Stage is 60, 30 or 7 when that many days or fewer are left, 0 when the key has
// expired; ok is false when nobody needs to hear of it.
func (k KeyUse) Stage(now time.Time) (days int, ok bool) {
	if k.Replaced || k.Use == KeyPrevious {
		return 0, false
	}
	if k.Expired(now) {
		// An expired credential is not used any more: whoever did has another.
		return 0, k.Use != KeyCredential
	}
	for _, s := range keyStages {
		if !k.Ends.After(now.Add(time.Duration(s) * keyDay)) {
			days, ok = s, true
		}
	}
	return days, ok
}

// Warning says in one sentence what is about to end and what to do; empty when
// nobody needs to hear of it.
func (k KeyUse) Warning(now time.Time) string {
	if _, ok := k.Stage(now); !ok {
		return ""
	}
	name := k.Use
	if k.Holder != "" {
		name += fmt.Sprintf(" %q", k.Holder)
	}
	ends := fmt.Sprintf("expires at %s, in %d days", k.Ends.UTC().Format(time.RFC3339), k.DaysLeft(now))
	if k.Expired(now) {
		ends = fmt.Sprintf("has expired at %s", k.Ends.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("the %s (%s) %s: %s", name, k.Key, ends, k.Remedy(now))
}

// Remedy says what to do about the key.
func (k KeyUse) Remedy(now time.Time) string {
	switch k.Use {
	case KeyCurrent:
		if k.Expired(now) {
			return "make a new one with New-ExchangeCertificate, give it to the other side, and run Set-AuthConfig -CertificateThumbprint"
		}
		return "make the next one with New-ExchangeCertificate, and run Set-AuthConfig -NewCertificateThumbprint with -NewCertificateEffectiveDate"
	case KeyNext:
		return "make another one with New-ExchangeCertificate, and run Set-AuthConfig -NewCertificateThumbprint with -NewCertificateEffectiveDate"
	case KeyAuthServer:
		return fmt.Sprintf("run Set-AuthServer %q -RefreshAuthMetadata; if its document has no newer key, ask its operator", k.Holder)
	case KeyPartner:
		return fmt.Sprintf("run Set-PartnerApplication %q -RefreshAuthMetadata; if its document has no newer key, ask its operator", k.Holder)
	case KeyCredential:
		return "upload the application's newer certificate with New-MsolServicePrincipalCredential"
	}
	return "a new one is made and published by itself while the server runs"
}

// TestSignature reports whether the private key of c is there and signs what the
// certificate verifies: a certificate that fails is never made current.
func TestSignature(c *directory.Certificate) error {
	fail := func(err error) error {
		return fmt.Errorf("%w: certificate %s: %w", ErrNoCertificate, c.Thumbprint, err)
	}
	cert, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return fail(err)
	}
	if len(c.Key) == 0 {
		return fail(errors.New("no private key"))
	}
	private, err := x509.ParsePKCS8PrivateKey(c.Key)
	if err != nil {
		return fail(errors.New("private key is not PKCS#8")) // the parser's error may quote it
	}
	key, ok := private.(crypto.Signer)
	if !ok {
		return fail(errors.New("private key cannot sign"))
	}
	algorithm := x509.SHA256WithRSA
	if cert.PublicKeyAlgorithm == x509.ECDSA {
		algorithm = x509.ECDSAWithSHA256
	}
	message := []byte(rand.Text())
	digest := sha256.Sum256(message)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err == nil {
		err = cert.CheckSignature(algorithm, message, signature)
	}
	if err != nil {
		return fail(fmt.Errorf("test signature: %w", err))
	}
	return nil
}

// validity is the life of a DER certificate; ok is false when it is none.
func validity(der []byte) (from, until time.Time, ok bool) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return from, until, false
	}
	return cert.NotBefore, cert.NotAfter, true
}

// OrganizationKeys are the keys that the organization signs with, and those of
// whom it trusts.
func OrganizationKeys(o *directory.Organization) (out []KeyUse) {
	a := &o.AuthConfig
	for _, u := range []struct{ use, thumbprint string }{
		{KeyCurrent, a.CurrentCertificateThumbprint}, {KeyNext, a.NextCertificateThumbprint}, {KeyPrevious, a.PreviousCertificateThumbprint},
	} {
		c := o.Certificate(u.thumbprint)
		if c == nil {
			continue
		}
		_, until, ok := validity(c.DER)
		if !ok {
			continue
		}
		out = append(out, KeyUse{Owner: o.Name, Use: u.use, Key: u.thumbprint, Ends: until})
	}
	if len(out) > 1 && out[0].Use == KeyCurrent && out[1].Use == KeyNext {
		out[0].Replaced = a.NextCertificateEffectiveDate.Before(out[0].Ends) && out[0].Ends.Before(out[1].Ends)
	}
	for i := range o.AuthServers {
		if s := &o.AuthServers[i]; s.Enabled {
			out = appendLongest(out, KeyUse{Owner: o.Name, Use: KeyAuthServer, Holder: s.Name}, s.CertificateStrings)
		}
	}
	for i := range o.PartnerApplications {
		if p := &o.PartnerApplications[i]; p.Enabled && !p.UseAuthServer {
			out = appendLongest(out, KeyUse{Owner: o.Name, Use: KeyPartner, Holder: p.Name}, p.CertificateStrings)
		}
	}
	return out
}

// appendLongest appends k for the certificate, of base64 ones, that lives longest.
func appendLongest(out []KeyUse, k KeyUse, certs []string) []KeyUse {
	for _, text := range certs {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			continue // the directory takes no such certificate
		}
		if _, until, ok := validity(der); ok && until.After(k.Ends) {
			k.Key, k.Ends = directory.Thumbprint(der), until
		}
	}
	if k.Key == "" {
		return out
	}
	return append(out, k)
}

// AuthorityKeys are the keys that an authorization server signs with, now and next.
func AuthorityKeys(a *directory.AuthorityConfig) (out []KeyUse) {
	for i := range a.Certificates {
		c := &a.Certificates[i]
		_, until, ok := validity(c.DER)
		use := KeyAuthority
		switch {
		case !ok || i > 0 && c.EffectiveAt == nil:
			continue
		case i > 0:
			use = KeyAuthorityNext
		}
		out = append(out, KeyUse{Owner: a.Cloud.Name, Use: use, Key: c.Thumbprint, Ends: until})
	}
	if len(out) > 1 {
		out[0].Replaced = a.Certificates[authorityNext(a)].EffectiveAt.Before(out[0].Ends) && out[0].Ends.Before(out[1].Ends)
	}
	return out
}

// RealmKeys are the credentials with which applications of the realm prove who
// they are.
func RealmKeys(r *directory.Realm) (out []KeyUse) {
	for i := range r.Principals {
		p := &r.Principals[i]
		for j := range p.KeyCredentials {
			k := &p.KeyCredentials[j]
			out = append(out, KeyUse{Owner: r.Name, Use: KeyCredential, Holder: p.DisplayName, Key: k.KeyID, Ends: k.EndDate})
		}
	}
	return out
}
