package trust

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/jose"
)

// An authorization server that is away, slow or lies costs no answer while a
// token that it issued before is valid: from five minutes before its expiry on a
// token is renewed beside the requests, which go on with it, and only a token
// that is proven takes its place.

const (
	// renewTimeout bounds a renewal, renewRetry the pause after one that failed.
	renewTimeout = 10 * time.Second
	renewRetry   = 30 * time.Second
)

var errUnproven = errors.New("the new token is not signed with a key that the authorization server is known by, or names somebody else: the old one is used while it is valid")

// usable returns the cached token if it is valid, and has it renewed when that
// is due. What the organization issues itself is made anew at once instead. It
// needs mu.
func (t *Tokens) usable(ctx context.Context, w *way) (actorToken, bool) {
	a, ok := t.actors.get(w.key)
	now := t.cfg.Now()
	switch {
	case !ok || !now.Before(a.expires):
		return actorToken{}, false
	case now.Before(a.renew):
		return a, true
	case w.server == nil:
		return actorToken{}, false
	case t.flights[w.key] == nil:
		f := &flight{done: make(chan struct{})}
		t.flights[w.key] = f
		t.wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTimeout)
			defer cancel()
			if _, err := t.fly(ctx, w, f, nil); err != nil {
				t.cfg.Log.WarnContext(ctx, "token is not renewed; the one in use stays until it expires", "authServer", w.issuer(), "resource", w.key.audience, "expires", a.expires, "err", err)
			}
		})
	}
	return a, true
}

// Wait returns when no renewal is under way any more, at most 10 s after the
// last request for a token.
func (t *Tokens) Wait() { t.wg.Wait() }

// keep caches a token that is new, or says why the one that is there stays.
func (t *Tokens) keep(w *way, a actorToken) error {
	now := t.cfg.Now()
	life := a.expires.Sub(now)
	a.renew = now.Add(max(life-renewBefore, life/2))
	if was, ok := t.actors.get(w.key); ok && now.Before(was.expires) && w.server != nil && (was.nameid != a.nameid || len(w.server.CertificateStrings) > 0 && !proven(w.server, a.text)) {
		return &RequestError{Step: "read token", AuthServer: w.server.Name, Err: errUnproven}
	}
	t.actors.put(w.key, a)
	return nil
}

// postpone keeps the token that could not be renewed, for the next attempt.
func (t *Tokens) postpone(key actorKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a, ok := t.actors.get(key); ok {
		a.renew = t.cfg.Now().Add(renewRetry)
		t.actors.put(key, a)
	}
}

// proven reports whether the token is signed with one of the keys of s.
func proven(s *directory.AuthServer, text string) bool {
	token, err := jose.ParseUnverified(text)
	if err != nil {
		return false
	}
	for _, c := range s.CertificateStrings {
		der, err := base64.StdEncoding.DecodeString(c)
		if err != nil {
			continue
		}
		cert, err := x509.ParseCertificate(der)
		if err == nil && token.Verify(cert.PublicKey, jose.RS256, jose.ES256) == nil {
			return true
		}
	}
	return false
}

// issuerKey names an authorization server in an actorKey: by its issuer, so
// that a document that moves the token endpoint does not lose tokens.
func issuerKey(s *directory.AuthServer) string {
	return cmp.Or(s.IssuerIdentifier, s.TokenIssuingEndpoint)
}
