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
	"busybridge/internal/serve/mount"
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
	// ErrBusy: so many passwords wait to be computed that one more would wait too long.
	ErrBusy = errors.New("too many passwords are being checked")
)

// A BackoffError asks to wait: too many wrong passwords for one account, or from
// one network.
type BackoffError struct{ Wait time.Duration }

func (e *BackoffError) Error() string {
	return fmt.Sprintf("too many wrong passwords, wait %v", e.Wait)
}

// Accounts looks accounts up by user name in lower case, unique in the
// deployment. An unknown one is directory.ErrNotFound.
type Accounts interface {
	Account(ctx context.Context, userName string) (*directory.Account, error)
	// AccountsAt are the accounts of the organization with the address.
	AccountsAt(ctx context.Context, org directory.OrgID, a smtpaddr.Address) ([]*directory.Account, error)
	// AccountByCertificate looks up by the SHA-256 of a client certificate, in hex.
	AccountByCertificate(ctx context.Context, fingerprint string) (*directory.Account, error)
	// NetworkSeen is when the account last signed in from the network; zero: never.
	NetworkSeen(ctx context.Context, userName string, network netip.Prefix) (time.Time, error)
	// NoteNetwork keeps that it did.
	NoteNetwork(ctx context.Context, userName string, network netip.Prefix, at time.Time) error
}

// Recipients looks addresses up. An unknown one is directory.ErrNotFound.
type Recipients interface {
	Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error)
}

// Tokens checks the tokens of partner organizations. See trust.Validator.
type Tokens interface {
	Validate(ctx context.Context, token, host string) (*trust.Caller, error)
}

// UserTokens checks the tokens of users. See trust.UserTokens.
type UserTokens interface {
	// Validate returns whose token it is in one of the organizations; the error
	// is trust.ErrNotUserToken when none of them knows its issuer.
	Validate(ctx context.Context, token string, orgs []*directory.Organization) (*trust.UserToken, error)
	// AuthorizationURI is where users of the organizations sign in; "" is nowhere in
	// particular. It does not wait.
	AuthorizationURI(orgs []*directory.Organization) string
}

// A Config is what an Authenticator needs.
type Config struct {
	Sites      Sites      // required
	Accounts   Accounts   // required
	Recipients Recipients // required
	Tokens     Tokens     // required
	UserTokens UserTokens // nil: users sign in with passwords only
	// TokenRefused is told of every token that is refused here or by UserTokens;
	// may be nil. Tokens tell of their own.
	TokenRefused func(context.Context, *trust.Refusal)
	// ClientCertificates lets accounts sign in by the certificates that they name.
	ClientCertificates bool
	// Verify checks a password against a PHC string; required. Rehash says that
	// the hash should be made anew with today's cost.
	Verify func(ctx context.Context, hash, password string) (ok, rehash bool, err error)
	// DummyHash is a hash of nobody's password with today's cost; required. An
	// unknown user name is checked against it, to take the same time.
	DummyHash string
	// Rehash is told, after the answer is known, of a right password whose hash
	// is outdated; may be nil.
	Rehash func(ctx context.Context, a *directory.Account, password string)
	// AppPasswordUsed is told of an app password whose LastUsed is an hour old; may be nil.
	AppPasswordUsed func(ctx context.Context, a *directory.Account, id string)
	Metrics         *Metrics         // nil: not counted
	Now             func() time.Time // required
	Log             *slog.Logger     // required
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
	crossSite *http.CrossOriginProtection
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
	a := &Authenticator{cfg: cfg, passwords: newPasswords(), crossSite: http.NewCrossOriginProtection()}
	if _, err := rand.Read(a.key[:]); err != nil {
		return nil, fmt.Errorf("callers: %w", err)
	}
	return a, nil
}

// With returns an authenticator for a service that takes other tokens. The two
// know the same passwords, and count the wrong ones together.
func (a *Authenticator) With(tokens Tokens) *Authenticator {
	c := *a
	c.cfg.Tokens = tokens
	return &c
}

// Site returns what is served under the host of r; directory.ErrNotFound when
// nothing is.
func (a *Authenticator) Site(r *http.Request) (*SiteSet, error) {
	return a.cfg.Sites.Site(r.Context(), HostOf(r))
}

// Authenticate returns who sent r, when it is the sender's turn (mount.Enter).
// Give any error to Challenge; a *mount.BusyError may be answered in a protocol's
// own terms.
func (a *Authenticator) Authenticate(r *http.Request) (*Caller, error) {
	c, err := a.authenticate(r)
	a.cfg.Metrics.count(r, c, err)
	if err == nil {
		err = mount.Enter(r.Context(), c.budget())
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Anonymous waits for the turn of somebody who has not said who he is, and asks
// for data of org. Errors are those of Authenticate.
func (a *Authenticator) Anonymous(r *http.Request, org directory.OrgID) error {
	return mount.Enter(r.Context(), mount.Caller{Kind: mount.Anonymous, Org: string(org), Network: networkOf(a.cfg.Client(r))})
}

func (a *Authenticator) authenticate(r *http.Request) (*Caller, error) {
	sites, err := a.Site(r)
	if err != nil {
		return nil, fmt.Errorf("authenticate: host %q: %w", HostOf(r), err)
	}
	header := r.Header["Authorization"]
	if len(header) > 1 {
		return nil, ErrBadHeader
	}
	if len(header) == 0 {
		return a.certificate(r, sites)
	}
	scheme, rest, _ := strings.Cut(header[0], " ")
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Bearer") && sites.oauth:
		// The scheme name alone asks for the challenge (oauth-s2s 2.1).
		if rest == "" {
			return nil, ErrNoCredentials
		}
		// A proxy that joins two headers writes a comma between them.
		if word, _, more := strings.Cut(rest, " "); more && strings.EqualFold(word, "Bearer") || strings.Contains(rest, ",") {
			return nil, ErrBadHeader
		}
		// The Host header alone is no proof of where a token was sent to.
		if r.TLS != nil && r.TLS.ServerName != "" && !acs.SameHost(r.TLS.ServerName, sites.Host) {
			return nil, a.refused(r.Context(), sites, rest, trust.WrongHost(sites.Host, r.TLS.ServerName))
		}
		return a.bearer(r.Context(), sites, rest)
	case strings.EqualFold(scheme, "Basic") && sites.basic:
		return a.basic(r, sites)
	}
	return nil, ErrNoCredentials
}

func (a *Authenticator) bearer(ctx context.Context, sites *SiteSet, token string) (*Caller, error) {
	if a.cfg.UserTokens != nil {
		c, err := a.userToken(ctx, sites, token)
		if !errors.Is(err, trust.ErrNotUserToken) {
			return c, a.refused(ctx, sites, token, err)
		}
	}
	p, err := a.cfg.Tokens.Validate(ctx, token, sites.Host)
	if err != nil {
		return nil, err
	}
	if p.OwnUser {
		c, err := a.ownUser(ctx, sites, p)
		return c, a.refused(ctx, sites, token, err)
	}
	site, err := oauthSite(sites, p.Org)
	if err != nil {
		return nil, err
	}
	return &Caller{Site: site, Org: site.Org, ApplicationID: p.ApplicationID, Recipient: p.User, Partner: p}, nil
}

// refused tells of a refused token and returns err.
func (a *Authenticator) refused(ctx context.Context, sites *SiteSet, token string, err error) error {
	if e, ok := errors.AsType[*trust.TokenError](err); ok && a.cfg.TokenRefused != nil {
		a.cfg.TokenRefused(ctx, trust.RefusalOf(token, sites.Host, sites.Organizations(), e, a.cfg.Now()))
	}
	return err
}

func (a *Authenticator) userToken(ctx context.Context, sites *SiteSet, token string) (*Caller, error) {
	u, err := a.cfg.UserTokens.Validate(ctx, token, sites.Organizations())
	if err != nil {
		return nil, err
	}
	return a.tokenUser(ctx, sites, u)
}

// oauthSite is the site of org, where tokens are taken.
func oauthSite(sites *SiteSet, org *directory.Organization) (Site, error) {
	site, ok := sites.ByOrg(org.ID)
	if !ok || site.Server == nil || !site.Server.OAuthAuthentication {
		return Site{}, fmt.Errorf("authenticate: %s is not served at %s with OAuth: %w", org.Name, sites.Host, directory.ErrNotFound)
	}
	return site, nil
}

// tokenUser is the account or the mailbox owner whom the organization's provider
// vouches for. An account brings its roles; a mailbox without one needs none.
func (a *Authenticator) tokenUser(ctx context.Context, sites *SiteSet, u *trust.UserToken) (*Caller, error) {
	site, err := oauthSite(sites, u.Org)
	if err != nil {
		return nil, err
	}
	account, err := a.accountOf(ctx, u)
	if err != nil {
		return nil, err
	}
	return a.user(ctx, site, account)
}

// ownUser is the account or mailbox owner whose token of Entra an application
// has. The user's consent is to the mailbox: the account's roles are not in it.
func (a *Authenticator) ownUser(ctx context.Context, sites *SiteSet, p *trust.Caller) (*Caller, error) {
	c, err := a.tokenUser(ctx, sites, &trust.UserToken{Org: p.Org, Issuer: p.Realm, Subject: p.User.ID, Address: p.User.Primary, Expires: p.Expires})
	if err != nil {
		return nil, err
	}
	account := *c.Account
	account.Roles = nil
	c.Account, c.ApplicationID = &account, p.ApplicationID
	return c, nil
}

func (a *Authenticator) accountOf(ctx context.Context, u *trust.UserToken) (*directory.Account, error) {
	account, err := a.cfg.Accounts.Account(ctx, u.Address.String())
	var owner *directory.Recipient
	if errors.Is(err, directory.ErrNotFound) {
		owner, err = a.cfg.Recipients.Recipient(ctx, u.Org.ID, u.Address)
		if errors.Is(err, directory.ErrNotFound) || err == nil && (!owner.Enabled || owner.Type == directory.MailGroup) {
			return nil, u.Unknown()
		}
	}
	if owner != nil {
		for _, at := range owner.Addresses() {
			var list []*directory.Account
			if list, err = a.cfg.Accounts.AccountsAt(ctx, u.Org.ID, at); err != nil {
				break
			}
			if len(list) > 0 {
				account = list[0]
				break
			}
		}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("authenticate: user of a token: %w", err)
	case account == nil:
		return &directory.Account{Org: u.Org.ID, UserName: owner.Primary.String(), Address: owner.Primary, Enabled: true}, nil
	case account.Org != u.Org.ID || !account.Enabled:
		return nil, u.Unknown()
	}
	return account, nil
}

// user is the caller that signed in to an account.
func (a *Authenticator) user(ctx context.Context, site Site, account *directory.Account) (*Caller, error) {
	c := &Caller{Site: site, Org: site.Org, Account: account}
	if account.Address.IsZero() {
		return c, nil
	}
	r, err := a.cfg.Recipients.Recipient(ctx, account.Org, account.Address)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return nil, fmt.Errorf("authenticate: mailbox of %s: %w", account.UserName, err)
	}
	if err == nil {
		c.Recipient = r
	}
	return c, nil
}

// Limits of what signs in, in bytes. No mail address is longer.
const (
	maxUserName = 320
	maxPassword = 1024
)

// RealmAccount returns the account of a realm that sent r, by user name and
// password: administrators of a directory, whose host serves no organization.
// Give any error to ChallengeRealm.
func (a *Authenticator) RealmAccount(r *http.Request) (*directory.Account, error) {
	c, err := a.realmAccount(r)
	a.cfg.Metrics.count(r, c, err)
	if err != nil {
		return nil, err
	}
	return c.Account, nil
}

func (a *Authenticator) realmAccount(r *http.Request) (*Caller, error) {
	switch header := r.Header["Authorization"]; {
	case len(header) > 1:
		return nil, ErrBadHeader
	case len(header) == 0 || !strings.EqualFold(header[0][:min(len(header[0]), 6)], "Basic "):
		return nil, ErrNoCredentials
	}
	account, _, err := a.password(r)
	switch {
	case err != nil:
		return nil, err
	case account.Realm == "":
		return nil, ErrBadCredentials
	}
	return &Caller{Account: account}, nil
}

// ChallengeRealm answers a request that RealmAccount refused.
func (a *Authenticator) ChallengeRealm(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, ErrNoCredentials) && !errors.Is(err, ErrBadCredentials) {
		a.Challenge(w, r, err)
		return
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="`+HostOf(r)+`", charset="UTF-8"`)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusUnauthorized)
}

// basic is who signs in with user name and password.
func (a *Authenticator) basic(r *http.Request, sites *SiteSet) (*Caller, error) {
	account, app, err := a.password(r)
	if err != nil {
		return nil, err
	}
	site, ok := sites.ByOrg(account.Org)
	if !ok || site.Server == nil || !site.Server.BasicAuthentication {
		return nil, ErrBadCredentials
	}
	ctx := r.Context()
	if app == nil {
		return a.user(ctx, site, account)
	}
	if a.cfg.AppPasswordUsed != nil && a.cfg.Now().Sub(app.LastUsed) >= time.Hour {
		a.cfg.AppPasswordUsed(ctx, account, app.ID)
	}
	c, err := a.user(ctx, site, account.ForPrograms())
	if err == nil {
		c.AppPassword = app.Name
	}
	return c, err
}

// password checks user name and password. An app password that is right costs
// nothing and waits for nothing; what is wrong costs the same for every name.
func (a *Authenticator) password(r *http.Request) (*directory.Account, *directory.AppPassword, error) {
	ctx := r.Context()
	user, password, ok := r.BasicAuth()
	if !ok || user == "" || len(user) > maxUserName || len(password) > maxPassword {
		return nil, nil, ErrBadCredentials
	}
	user = strings.ToLower(user)
	account, err := a.cfg.Accounts.Account(ctx, user)
	hash, app := a.cfg.DummyHash, (*directory.AppPassword)(nil)
	switch {
	case err == nil:
		// One account has one count, however its name is written.
		user, hash, app = account.UserName, account.PasswordHash, trust.FindAppPassword(account, password)
	case !errors.Is(err, directory.ErrNotFound):
		return nil, nil, fmt.Errorf("authenticate: account: %w", err)
	}
	right := app != nil
	if !right {
		if right, err = a.check(ctx, attempt{user, networkOf(a.cfg.Client(r))}, account, hash, password); err != nil {
			return nil, nil, err
		}
	}
	if !right || account == nil || !account.Enabled {
		return nil, nil, ErrBadCredentials
	}
	return account, app, nil
}

// check says whether the password is right. Right ones are remembered under an
// HMAC that includes the stored hash.
func (a *Authenticator) check(ctx context.Context, who attempt, account *directory.Account, hash, password string) (bool, error) {
	mac := hmac.New(sha256.New, a.key[:])
	fmt.Fprintf(mac, "%d:%s%d:%s%s", len(who.user), who.user, len(password), password, hash)
	t := try{id: [sha256.Size]byte(mac.Sum(nil)), who: who, now: a.cfg.Now(), remember: a.cfg.RememberFor}
	t.familiar = func() (bool, error) { return a.seenWithin(ctx, who, t.now, knownFor) }
	t.verify = func() (bool, error) {
		ok, rehash, err := a.cfg.Verify(ctx, hash, password)
		if err != nil {
			return false, fmt.Errorf("authenticate: verify password: %w", err)
		}
		if ok && rehash && account != nil && a.cfg.Rehash != nil {
			a.cfg.Rehash(ctx, account, password)
		}
		return ok, nil
	}
	res, err := a.passwords.check(ctx, t)
	switch {
	case err != nil || account == nil:
	case res.besieged:
		a.cfg.Log.WarnContext(ctx, "many wrong passwords: whoever is new to the account has to wait", "account", account.UserName, "remote", who.client)
	case res.ok && res.computed:
		a.note(ctx, who, t.now)
	}
	return res.ok, err
}

func (a *Authenticator) seenWithin(ctx context.Context, who attempt, now time.Time, d time.Duration) (bool, error) {
	at, err := a.cfg.Accounts.NetworkSeen(ctx, who.user, who.client)
	if err != nil {
		return false, fmt.Errorf("authenticate: %w", err)
	}
	return now.Sub(at) < d, nil
}

// note keeps that the account signed in from the network. Where that fails the
// sign-in is good all the same: the next from there is a stranger's.
func (a *Authenticator) note(ctx context.Context, who attempt, now time.Time) {
	noted, err := a.seenWithin(ctx, who, now, noteAgain)
	if err == nil && !noted {
		err = a.cfg.Accounts.NoteNetwork(ctx, who.user, who.client, now)
	}
	if err != nil {
		a.cfg.Log.WarnContext(ctx, "network of a sign-in is not kept", "account", who.user, "err", err)
	}
}

// noteAgain is how old the note of a network is when it is written anew.
const noteAgain = 24 * time.Hour

// Challenge answers a request that Authenticate refused: 401 with one
// WWW-Authenticate line for each scheme of the node, x-ms-diagnostics only for a
// refused token (oauth-s2s 2.1, 2.3). An error that is no refusal is logged and
// answered with 500.
func (a *Authenticator) Challenge(w http.ResponseWriter, r *http.Request, err error) {
	token, tokenRefused := errors.AsType[*trust.TokenError](err)
	wait, tooMany := errors.AsType[*BackoffError](err)
	busy, isBusy := errors.AsType[*mount.BusyError](err)
	switch {
	case isBusy:
		busy.Tell(w, r)
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case tooMany:
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Wait/time.Second)+1))
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case errors.Is(err, ErrBusy):
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
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
		if c.AuthorizationURI == "" && a.cfg.UserTokens != nil {
			c.AuthorizationURI = a.cfg.UserTokens.AuthorizationURI(sites.Organizations())
		}
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
