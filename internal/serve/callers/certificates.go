package callers

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"busybridge/internal/directory"
)

// certificate is for a request without Authorization header. TLS has proved that
// the client has the key; which account it opens stands in the account, by the
// fingerprint, so no authority that issued the certificate has to be trusted.
//
// A browser sends certificates without being asked, for other sites, too: those
// requests are nobody's.
func (a *Authenticator) certificate(r *http.Request, sites *SiteSet) (*Caller, error) {
	if !a.cfg.ClientCertificates || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || a.crossSite.Check(r) != nil {
		return nil, ErrNoCredentials
	}
	leaf := r.TLS.PeerCertificates[0]
	if !usable(leaf, a.cfg.Now()) {
		return nil, ErrBadCredentials
	}
	sum := sha256.Sum256(leaf.Raw)
	account, err := a.cfg.Accounts.AccountByCertificate(r.Context(), hex.EncodeToString(sum[:]))
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return nil, ErrBadCredentials
	case err != nil:
		return nil, fmt.Errorf("authenticate: certificate: %w", err)
	}
	site, ok := sites.ByOrg(account.Org)
	if !ok || site.Server == nil || !account.Enabled {
		return nil, ErrBadCredentials
	}
	return a.user(r.Context(), site, account.ForPrograms())
}

// usable: valid now, and not made for something else.
func usable(c *x509.Certificate, now time.Time) bool {
	may := func(u x509.ExtKeyUsage) bool { return u == x509.ExtKeyUsageClientAuth || u == x509.ExtKeyUsageAny }
	return !now.Before(c.NotBefore) && now.Before(c.NotAfter) &&
		(len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.ContainsFunc(c.ExtKeyUsage, may))
}
