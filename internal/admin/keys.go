package admin

import (
	"context"
	"fmt"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// The certificates that an authorization server signs with change in three steps:
// the next one is staged and published from then on, at its date it signs, and the
// former one goes when nothing signed by it is valid any more. Those who read the
// metadata meet no key that they could not know.

// StageAuthorityCertificate makes a certificate, and has the authorization server
// publish it now and sign with it from at on. A next one that was there is replaced.
func (s *Service) StageAuthorityCertificate(ctx context.Context, actor Actor, at time.Time) (Result[*directory.AuthorityConfig], error) {
	now := s.Now()
	return s.changeAuthority(ctx, actor, func(a *directory.AuthorityConfig) (bool, error) {
		if at.Before(now) {
			return false, fmt.Errorf("the next certificate cannot begin to sign at %s, which is past", at.UTC().Format(time.RFC3339))
		}
		c, err := s.NewCertificate("CN="+a.Cloud.ACSHost, now, now.AddDate(signingYears, 0, 0))
		if err != nil {
			return false, err
		}
		return true, trust.StageSigning(a, c, at)
	})
}

// PublishAuthorityCertificate has the authorization server sign with its next
// certificate from now on, whatever its date.
func (s *Service) PublishAuthorityCertificate(ctx context.Context, actor Actor) (Result[*directory.AuthorityConfig], error) {
	return s.changeAuthority(ctx, actor, func(a *directory.AuthorityConfig) (bool, error) {
		return true, trust.PromoteSigning(a, s.Now())
	})
}

// RollOverAuthority does what is due: it makes the next certificate when the
// current one has less than sixty days left, has it sign when its date has come,
// and drops former ones whose tokens have expired.
func (s *Service) RollOverAuthority(ctx context.Context, actor Actor) (Result[*directory.AuthorityConfig], error) {
	now := s.Now()
	if a, err := s.Store.AuthorityConfig(ctx); actor.System && (err != nil || !authorityDue(a, now)) {
		return Result[*directory.AuthorityConfig]{Object: a}, err // no transaction every minute
	}
	return s.changeAuthority(ctx, actor, func(a *directory.AuthorityConfig) (changed bool, err error) {
		if at, ok := trust.NextSigningDate(a, now); ok {
			c, err := s.NewCertificate("CN="+a.Cloud.ACSHost, now, now.AddDate(signingYears, 0, 0))
			if err != nil {
				return false, err
			}
			if err := trust.StageSigning(a, c, at); err != nil {
				return false, err
			}
			changed = true
		}
		if trust.SigningDue(a, now) {
			if err := trust.PromoteSigning(a, now); err != nil {
				return false, err
			}
			changed = true
		}
		return trust.DropRetired(a, now) || changed, nil
	})
}

func authorityDue(a *directory.AuthorityConfig, now time.Time) bool {
	_, stage := trust.NextSigningDate(a, now)
	return stage || trust.SigningDue(a, now) || trust.DropRetired(a.Clone(), now)
}

// changeAuthority changes the configuration of the authorization server in one
// transaction. Its audit event names the certificates only.
func (s *Service) changeAuthority(ctx context.Context, actor Actor, fn func(*directory.AuthorityConfig) (changed bool, err error)) (Result[*directory.AuthorityConfig], error) {
	var res Result[*directory.AuthorityConfig]
	err := s.run(ctx, actor, "Set-AuthorityConfig", scope{object: "AuthorityConfig"}, func(tx Tx) (outcome, error) {
		// Transactions that write come one after the other: what is read here is the newest.
		was, err := s.Store.AuthorityConfig(ctx)
		if err != nil {
			return outcome{}, err
		}
		is := was.Clone()
		res.Object = is
		if res.Changed, err = fn(is); err != nil || !res.Changed {
			return outcome{}, err
		}
		o := outcome{changed: true, before: signingKeys(was), after: signingKeys(is), object: "AuthorityConfig " + was.Cloud.Name}
		return o, tx.SetAuthorityConfig(ctx, is)
	})
	return res, err
}

// A signingKey is what the audit trail keeps of a signing certificate.
type signingKey struct {
	Thumbprint  string
	EffectiveAt *time.Time `json:",omitempty"`
	RetiredAt   *time.Time `json:",omitempty"`
}

func signingKeys(a *directory.AuthorityConfig) (out []signingKey) {
	for i := range a.Certificates {
		c := &a.Certificates[i]
		out = append(out, signingKey{c.Thumbprint, c.EffectiveAt, c.RetiredAt})
	}
	return out
}
