package callers

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// The ways to be refused, beside *trust.TokenError.
var (
	// ErrNoCredentials: the request names nobody, or by a scheme that the node does not offer.
	ErrNoCredentials = errors.New("no credentials")
	// ErrBadCredentials: unknown account, wrong password, disabled account, or
	// one of another organization. They look the same from outside.
	ErrBadCredentials = errors.New("user name or password is wrong")
	// ErrBadHeader: there is not exactly one Authorization header (RFC 9110 5.3).
	ErrBadHeader = errors.New("more than one Authorization header")
)

// A BackoffError asks to wait: too many wrong passwords for one account from
// one address.
type BackoffError struct{ Wait time.Duration }

func (e *BackoffError) Error() string {
	return fmt.Sprintf("too many wrong passwords, wait %v", e.Wait)
}

// Accounts looks accounts up by user name in lower case, unique in the
// deployment. An unknown one is directory.ErrNotFound.
type Accounts interface {
	Account(ctx context.Context, userName string) (*directory.Account, error)
}

// Recipients looks addresses up. An unknown one is directory.ErrNotFound.
type Recipients interface {
	Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error)
}

// Tokens checks the tokens of partner organizations. See trust.Validator.
type Tokens interface {
	Validate(ctx context.Context, token, host string) (*trust.Caller, error)
}

// A Config is what an Authenticator needs.
type Config struct {
	Sites      Sites      // required
	Accounts   Accounts   // required
	Recipients Recipients // required
	Tokens     Tokens     // required
	// Verify checks a password against a PHC string; required. Rehash says that
	// the hash should be made anew with today's cost.
	Verify func(ctx context.Context, hash, password string) (ok, rehash bool, err error)
	// DummyHash is a hash of nobody's password with today's cost; required. An
	// unknown user name is checked against it, to take the same time.
	DummyHash string
	// Rehash is told, after the answer is known, of a right password whose hash
	// is outdated; may be nil.
	Rehash func(ctx context.Context, a *directory.Account, password string)
	Now    func() time.Time // required
	Log    *slog.Logger     // required
	// Client is the address that a request came from; default RemoteAddr. Behind
	// a proxy it is what the proxy says.
	Client func(*http.Request) netip.Addr
	// RememberFor is how long a right password is known without computing its
	// hash again; default 5 minutes. A changed or disabled account ends it at once.
	RememberFor time.Duration
}

// An Authenticator finds out who sent a request. It is safe for concurrent use.
type Authenticator struct {
	cfg       Config
	key       [32]byte // of the HMAC under which right credentials are remembered
	passwords *passwords
}

// New checks the configuration.
func New(cfg Config) (*Authenticator, error) {
	if cfg.Sites == nil || cfg.Accounts == nil || cfg.Recipients == nil || cfg.Tokens == nil || cfg.Verify == nil ||
		cfg.DummyHash == "" || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("callers: Sites, Accounts, Recipients, Tokens, Verify, DummyHash, Now and Log are required")
	}
	if cfg.Client == nil {
		cfg.Client = remoteAddr
	}
	if cfg.RememberFor <= 0 {
		cfg.RememberFor = 5 * time.Minute
	}
	a := &Authenticator{cfg: cfg, passwords: newPasswords()}
	if _, err := rand.Read(a.key[:]); err != nil {
		return nil, fmt.Errorf("callers: %w", err)
	}
	return a, nil
}

// Site returns what is served under the host of r; directory.ErrNotFound when
// nothing is.
func (a *Authenticator) Site(r *http.Request) (*SiteSet, error) {
	return a.cfg.Sites.Site(r.Context(), HostOf(r))
}

// Authenticate returns who sent r. Give any error to Challenge.
func (a *Authenticator) Authenticate(r *http.Request) (*Caller, error) {
	sites, err := a.Site(r)
	if err != nil {
		return nil, fmt.Errorf("authenticate: host %q: %w", HostOf(r), err)
	}
	header := r.Header["Authorization"]
	if len(header) > 1 {
		return nil, ErrBadHeader
	}
	if len(header) == 0 {
		return nil, ErrNoCredentials
	}
	scheme, rest, _ := strings.Cut(header[0], " ")
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Bearer") && sites.oauth:
		// The scheme name alone asks for the challenge (oauth-s2s 2.1).
		if rest == "" {
			return nil, ErrNoCredentials
		}
		return a.bearer(r.Context(), sites, rest)
	case strings.EqualFold(scheme, "Basic") && sites.basic:
		return a.basic(r, sites)
	}
	return nil, ErrNoCredentials
}

func (a *Authenticator) bearer(ctx context.Context, sites *SiteSet, token string) (*Caller, error) {
	p, err := a.cfg.Tokens.Validate(ctx, token, sites.Host)
	if err != nil {
		return nil, err
	}
	site, ok := sites.ByOrg(p.Org.ID)
	if !ok || site.Server == nil || !site.Server.OAuthAuthentication {
		return nil, fmt.Errorf("authenticate: %s is not served at %s with OAuth: %w", p.Org.Name, sites.Host, directory.ErrNotFound)
	}
	return &Caller{Site: site, Org: site.Org, Recipient: p.User, Partner: p}, nil
}

// maxCredential bounds user name and password, each in bytes.
const maxCredential = 1024

func (a *Authenticator) basic(r *http.Request, sites *SiteSet) (*Caller, error) {
	ctx := r.Context()
	user, password, ok := r.BasicAuth()
	if !ok || user == "" || len(user) > maxCredential || len(password) > maxCredential {
		return nil, ErrBadCredentials
	}
	user = strings.ToLower(user)
	account, err := a.cfg.Accounts.Account(ctx, user)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return nil, fmt.Errorf("authenticate: account: %w", err)
	}
	hash := a.cfg.DummyHash
	if err == nil {
		hash = account.PasswordHash
	}
	right, err := a.check(ctx, attempt{user, a.cfg.Client(r)}, account, hash, password)
	if err != nil {
		return nil, err
	}
	if !right || account == nil || !account.Enabled {
		return nil, ErrBadCredentials
	}
	site, ok := sites.ByOrg(account.Org)
	if !ok || site.Server == nil || !site.Server.BasicAuthentication {
		return nil, ErrBadCredentials
	}
	c := &Caller{Site: site, Org: site.Org, Account: account}
	if !account.Address.IsZero() {
		c.Recipient, err = a.cfg.Recipients.Recipient(ctx, account.Org, account.Address)
		if errors.Is(err, directory.ErrNotFound) {
			c.Recipient = nil
		} else if err != nil {
			return nil, fmt.Errorf("authenticate: mailbox of %s: %w", account.UserName, err)
		}
	}
	return c, nil
}

// check says whether the password is right. Right ones are remembered under an
// HMAC that includes the stored hash; one computation serves all requests that
// bring the same credentials at the same time.
func (a *Authenticator) check(ctx context.Context, who attempt, account *directory.Account, hash, password string) (bool, error) {
	mac := hmac.New(sha256.New, a.key[:])
	fmt.Fprintf(mac, "%d:%s%d:%s%s", len(who.user), who.user, len(password), password, hash)
	id := [sha256.Size]byte(mac.Sum(nil))
	return a.passwords.check(ctx, id, who, a.cfg.Now(), a.cfg.RememberFor, func() (bool, error) {
		ok, rehash, err := a.cfg.Verify(ctx, hash, password)
		if err != nil {
			return false, fmt.Errorf("authenticate: verify password: %w", err)
		}
		if ok && rehash && account != nil && a.cfg.Rehash != nil {
			a.cfg.Rehash(ctx, account, password)
		}
		return ok, nil
	})
}

// Challenge answers a request that Authenticate refused: 401 with one
// WWW-Authenticate line for each scheme of the node, x-ms-diagnostics only for a
// refused token (oauth-s2s 2.1, 2.3). An error that is no refusal is logged and
// answered with 500.
func (a *Authenticator) Challenge(w http.ResponseWriter, r *http.Request, err error) {
	token, tokenRefused := errors.AsType[*trust.TokenError](err)
	wait, tooMany := errors.AsType[*BackoffError](err)
	switch {
	case tooMany:
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Wait/time.Second)+1))
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case errors.Is(err, ErrBadHeader):
		w.WriteHeader(http.StatusBadRequest)
		return
	case errors.Is(err, directory.ErrNotFound):
		w.WriteHeader(http.StatusMisdirectedRequest)
		return
	case !tokenRefused && !errors.Is(err, ErrNoCredentials) && !errors.Is(err, ErrBadCredentials):
		a.fail(w, r, err)
		return
	}
	sites, siteErr := a.Site(r)
	if siteErr != nil {
		a.fail(w, r, siteErr)
		return
	}
	h := w.Header()
	if sites.oauth {
		c := trust.ChallengeFor(sites.Organizations())
		if tokenRefused {
			c.Error = "invalid_token"
			h.Set(acs.DiagnosticsHeader, token.Diagnostics())
			a.cfg.Log.InfoContext(r.Context(), "token refused", "host", sites.Host, "step", token.Step, "err", token)
		}
		h.Add("WWW-Authenticate", c.String())
	}
	if sites.basic {
		h.Add("WWW-Authenticate", `Basic realm="`+sites.Host+`", charset="UTF-8"`)
	}
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusUnauthorized)
}

func (a *Authenticator) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		a.cfg.Log.ErrorContext(r.Context(), "authenticate", "host", HostOf(r), "err", err)
	}
	w.WriteHeader(http.StatusInternalServerError)
}

func remoteAddr(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}
