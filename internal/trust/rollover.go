package trust

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"busybridge/internal/directory"
)

// A roll-over goes in three steps, so that no verifier ever meets a key that it
// could not know: the next key is published, then it signs, and the one before
// stays published as long as something signed by it may be about (oauth-s2s 6.2).

// ErrNoNext: there is no next certificate that could take over.
var ErrNoNext = errors.New("there is no next certificate to publish")

// CanSign reports whether the organization's current certificate can sign at now.
func CanSign(o *directory.Organization, now time.Time) bool {
	c := o.Certificate(o.AuthConfig.CurrentCertificateThumbprint)
	return c != nil && lives(c, now) && len(c.Key) > 0
}

func lives(c *directory.Certificate, now time.Time) bool {
	from, until, ok := validity(c.DER)
	return ok && !now.Before(from) && now.Before(until)
}

// NextDue reports whether the organization's next certificate is to take over at
// now: its date has come, or the current one cannot sign any more.
func NextDue(o *directory.Organization, now time.Time) bool {
	c := o.Certificate(o.AuthConfig.NextCertificateThumbprint)
	if c == nil || !lives(c, now) {
		return false
	}
	at := o.AuthConfig.NextCertificateEffectiveDate
	return at != nil && !now.Before(*at) || !CanSign(o, now)
}

// PromoteNext makes the next certificate of o current and the current one
// previous, when the next one can sign. It changes o.
func PromoteNext(o *directory.Organization) error {
	a := &o.AuthConfig
	if a.NextCertificateThumbprint == "" {
		return ErrNoNext
	}
	if err := Promote(o, a.NextCertificateThumbprint); err != nil {
		return err
	}
	a.NextCertificateThumbprint, a.NextCertificateEffectiveDate = "", nil
	return nil
}

// Promote makes the certificate current, when it can sign, and the current one
// previous. It changes o.
func Promote(o *directory.Organization, thumbprint string) error {
	a := &o.AuthConfig
	if thumbprint == a.CurrentCertificateThumbprint {
		return nil
	}
	// What is not there at all is told by Validate, in the words of the field.
	if c := o.Certificate(thumbprint); c != nil && len(c.Key) > 0 {
		if err := TestSignature(c); err != nil {
			return err
		}
	}
	a.PreviousCertificateThumbprint, a.CurrentCertificateThumbprint = a.CurrentCertificateThumbprint, thumbprint
	return nil
}

// stageUnder is the life left at which the next certificate is made (oauth-s2s 6.2).
const stageUnder = 60 * keyDay

// retiredFor is how long, beside the life of a token, a former certificate of an
// authorization server stays published: time for clocks and caches.
const retiredFor = keyDay

// authorityNext is the index of the next certificate, or -1.
func authorityNext(a *directory.AuthorityConfig) int {
	return slices.IndexFunc(a.Certificates, func(c directory.Certificate) bool { return c.EffectiveAt != nil })
}

// NextSigningDate is when the next certificate of an authorization server shall
// begin to sign, when one must be made at now; ok is false when none must. The
// dates are those by which Exchange stages a certificate: a month ahead, and less
// when the current one does not last that long (oauth-s2s 6.2).
func NextSigningDate(a *directory.AuthorityConfig, now time.Time) (at time.Time, ok bool) {
	if len(a.Certificates) == 0 || authorityNext(a) >= 0 {
		return at, false
	}
	_, until, valid := validity(a.Certificates[0].DER)
	left := until.Sub(now)
	switch {
	case !valid || left > stageUnder:
		return at, false
	case left >= 32*keyDay:
		return now.Add(30 * keyDay), true
	case left >= 6*keyDay:
		return now.Add(4 * keyDay), true
	case left >= 3*keyDay:
		return now.Add(2 * keyDay), true
	}
	return now, true
}

// StageSigning publishes c as the certificate that signs from at on. A next one
// that was there is replaced. It changes a.
func StageSigning(a *directory.AuthorityConfig, c directory.Certificate, at time.Time) error {
	if err := TestSignature(&c); err != nil {
		return err
	}
	if i := authorityNext(a); i >= 0 {
		a.Certificates = slices.Delete(a.Certificates, i, i+1)
	}
	at = at.UTC().Truncate(time.Microsecond)
	c.EffectiveAt, c.RetiredAt = &at, nil
	a.Certificates = append(a.Certificates, c)
	return nil
}

// SigningDue reports whether the next certificate is to begin to sign at now.
func SigningDue(a *directory.AuthorityConfig, now time.Time) bool {
	i := authorityNext(a)
	if i < 0 || !lives(&a.Certificates[i], now) {
		return false
	}
	return !now.Before(*a.Certificates[i].EffectiveAt) || !lives(&a.Certificates[0], now)
}

// PromoteSigning makes the next certificate sign, whatever its date. The former
// one stays published. It changes a.
func PromoteSigning(a *directory.AuthorityConfig, now time.Time) error {
	i := authorityNext(a)
	if i < 0 {
		return ErrNoNext
	}
	c := a.Certificates[i]
	if err := TestSignature(&c); err != nil {
		return err
	}
	if !lives(&c, now) {
		return fmt.Errorf("%w: certificate %s has expired, or is not yet valid", ErrNoCertificate, c.Thumbprint)
	}
	c.EffectiveAt = nil
	now = now.UTC().Truncate(time.Microsecond)
	a.Certificates = slices.Delete(a.Certificates, i, i+1)
	a.Certificates[0].RetiredAt = &now
	a.Certificates = slices.Insert(a.Certificates, 0, c)
	return nil
}

// DropRetired removes former certificates whose tokens have all expired. It
// changes a and reports whether there were any. One of which it is not known when
// it ceased to sign goes when it expires.
func DropRetired(a *directory.AuthorityConfig, now time.Time) bool {
	kept := len(a.Certificates)
	for i := kept - 1; i > 0; i-- {
		c := &a.Certificates[i]
		_, end, _ := validity(c.DER)
		if c.RetiredAt != nil {
			end = c.RetiredAt.Add(orDefault(a.TokenLifetime, defaultTokenLifetime) + retiredFor)
		}
		if c.EffectiveAt == nil && !now.Before(end) {
			a.Certificates = slices.Delete(a.Certificates, i, i+1)
		}
	}
	return len(a.Certificates) < kept
}
