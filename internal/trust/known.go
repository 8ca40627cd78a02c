package trust

import (
	"context"
	"crypto"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/jose"
	"busybridge/internal/spec/smtpaddr"
)

// A caller wraps the actor token that it has into a new outer token for each of
// its requests. What costs most, the signature of the actor token, is checked
// once: it holds for this text and this key for ever. Everything else, the key's
// place among those of the anchor included, is checked each time.

// A verifiedKey is a token, as it came, and the key of a verifier that verified it.
type verifiedKey struct {
	text fingerprint
	by   *verifier
}

// signature checks the signature of t with the key of c.
func (v *Validator) signature(t *jose.Token, c *verifier, key crypto.PublicKey, algorithm string) error {
	if v.verified == nil {
		return t.Verify(key, algorithm)
	}
	k := verifiedKey{v.prints.of(t.Text()), c}
	if _, ok := v.verified.get(k); ok && t.Algorithm() == algorithm {
		return nil
	}
	if err := t.Verify(key, algorithm); err != nil {
		return err
	}
	v.verified.put(k, struct{}{})
	return nil
}

// A userKey is an address in an organization as it is now.
type userKey struct {
	org     directory.OrgID
	version int64
	address smtpaddr.Address
}

type knownUser struct {
	recipient *directory.Recipient
	until     time.Time
}

// recipient looks a user of a token up, for c, and remembers who it is as long as
// the result for a token: both together last no longer.
func (v *Validator) recipient(ctx context.Context, c *Caller, a smtpaddr.Address, now time.Time) (*directory.Recipient, error) {
	if v.users == nil {
		return v.cfg.Recipients.Recipient(ctx, c.Org.ID, a)
	}
	k := userKey{c.Org.ID, c.Org.Version, a}
	u, ok := v.users.get(k)
	if !ok || !now.Before(u.until) {
		r, err := v.cfg.Recipients.Recipient(ctx, c.Org.ID, a)
		if err != nil {
			return nil, err
		}
		u = knownUser{r, now.Add(v.cfg.KnownFor)}
		v.users.put(k, u)
	}
	if c.until.IsZero() || u.until.Before(c.until) {
		c.until = u.until
	}
	return u.recipient, nil
}
