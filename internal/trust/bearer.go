package trust

import (
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
)

// A user's questions that follow each other carry the same outer token: it costs
// nothing to make again, and the other side knows it already.
const (
	bearerTime = time.Minute
	maxBearers = 512
)

// A bearerKey is whose outer token for which resource.
type bearerKey struct {
	org  directory.OrgID
	host string
	as   User
}

// A bearer is an outer token and what it was made from.
type bearer struct {
	org       *directory.Organization
	ch        acs.Challenge
	text      string
	until     time.Time
	forgotten uint64 // see Tokens.forgotten
}

// bearerKnown returns the token for p that was made a moment ago, when nothing has
// changed since: neither the organization nor the challenge, and no actor token was
// refused.
func (t *Tokens) bearerKnown(p *purpose) (string, bool) {
	b, ok := t.bearers.get(bearerKey{p.org.ID, p.host, *p.as})
	if !ok || b.org != p.org || b.forgotten != t.forgotten.Load() || !t.cfg.Now().Before(b.until) || !sameChallenge(b.ch, p.ch) {
		return "", false
	}
	return b.text, true
}

// keepBearer keeps a token until its actor token is to be renewed.
func (t *Tokens) keepBearer(p *purpose, text string, renew time.Time, forgotten uint64) {
	until := t.cfg.Now().Add(bearerTime)
	if renew.Before(until) {
		until = renew
	}
	t.bearers.put(bearerKey{p.org.ID, p.host, *p.as}, bearer{p.org, p.ch, text, until, forgotten})
}
