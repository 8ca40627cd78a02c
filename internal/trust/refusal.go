package trust

import (
	"context"
	"errors"
	"fmt"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/jose"
)

// progress is how far the steps came with one token: what a refusal is recorded
// with and an explanation is told from. It decides nothing.
type progress struct {
	outer, actor *jose.Token                   // after step 4; outer is nil when there is none
	anchor       anchor                        // after step 5
	partner      *directory.PartnerApplication // after step 15
}

// A Refusal is one refused token, for audit and metrics. It holds claims and
// never the token.
type Refusal struct {
	At   time.Time
	Host string
	// Org is whose token it was refused as; nil when that is not known: many
	// organizations share the host, and no trust anchor was found.
	Org *directory.Organization
	Err *TokenError
	// What the token says of itself, cut to a bounded line each; empty when it
	// could not be read or has none.
	KeyID     string // x5t of the signed token, else its kid
	Algorithm string
	Issuer    string
	Audience  string
	Caller    string // nameid of the actor token; the application of one of Entra
	// Verified: the signature was found good, and the issuer vouches for them.
	Verified bool
}

// refused tells of a refused token. An error that is no refusal tells nothing.
func (v *Validator) refused(ctx context.Context, err error, host string, now time.Time, orgs []*directory.Organization, seen *progress) {
	e, ok := errors.AsType[*TokenError](err)
	if !ok || v.cfg.Refused == nil {
		return
	}
	r := &Refusal{At: now, Host: host, Org: seen.anchor.org, Err: e, Verified: seen.anchor.org != nil && e.Step > checkSignature.step}
	r.read(seen.actor, orgs)
	v.cfg.Refused(ctx, r)
}

// RefusalOf is the refusal, by others than a Validator, of a token at a host that
// serves orgs.
func RefusalOf(token, host string, orgs []*directory.Organization, e *TokenError, now time.Time) *Refusal {
	r := &Refusal{At: now, Host: host, Err: e, Verified: e.Step >= checkUser.step}
	t, err := jose.ParseUnverified(token)
	if err != nil {
		t = nil
	}
	r.read(t, orgs)
	return r
}

// read takes what the token says; t is nil when it could not be read.
func (r *Refusal) read(t *jose.Token, orgs []*directory.Organization) {
	if r.Org == nil && len(orgs) == 1 {
		r.Org = orgs[0]
	}
	if t == nil {
		return
	}
	r.KeyID, r.Algorithm = keyID(t), OneLine(clip(t.Algorithm()))
	r.Issuer, r.Audience = claimed(t, "iss"), claimed(t, "aud")
	if r.Caller = claimed(t, "nameid"); r.Caller == "" {
		r.Caller = OneLine(clip(applicationID(t)))
	}
}

// keyID is the name of the key in a header.
func keyID(t *jose.Token) string {
	for _, name := range []string{"x5t", "kid"} {
		if s, ok := t.Header.Text(name); ok {
			return OneLine(clip(s))
		}
	}
	return ""
}

// claimed is a claim cut to a bounded line; "" when there is none, or no token.
func claimed(t *jose.Token, name string) string {
	if t == nil {
		return ""
	}
	s, _ := t.Claims.Text(name)
	return OneLine(clip(s))
}

// notServed is the refusal at a host that no organization has.
func notServed(host string) *TokenError {
	return checkHost.fails("aud", fmt.Errorf("host %q is not served here", host), host)
}
