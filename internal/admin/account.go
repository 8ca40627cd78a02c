package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// The password policy: length is what counts.
const (
	minPasswordLength = 8    // characters
	maxPasswordLength = 1024 // bytes
)

// ErrPassword is wrapped when a new password breaks the policy.
var ErrPassword = errors.New("the password is not acceptable")

var errLastAdministrator = fmt.Errorf("nobody else has the role %q: give it to another account first", directory.RoleAdmin)

// hashPassword checks the policy. The password is never part of the error.
func hashPassword(userName, pw string) (string, error) {
	name, _, _ := strings.Cut(userName, "@")
	switch {
	case utf8.RuneCountInString(pw) < minPasswordLength:
		return "", fmt.Errorf("%w: it has less than %d characters", ErrPassword, minPasswordLength)
	case len(pw) > maxPasswordLength:
		return "", fmt.Errorf("%w: it has more than %d bytes", ErrPassword, maxPasswordLength)
	case strings.EqualFold(pw, userName) || strings.EqualFold(pw, name):
		return "", fmt.Errorf("%w: it is the user name", ErrPassword)
	}
	return trust.HashPassword(pw)
}

// canonicalUser is a user name as accounts have it; what is no user name stays.
func canonicalUser(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	if u, err := smtpaddr.Parse(name); err == nil {
		return u.String()
	}
	return name
}

// AccountParams describe a new account.
type AccountParams struct {
	UserName string // user@domain, an accepted domain or a verified one of the realm
	Password string
	Address  smtpaddr.Address // of its mailbox; zero: none. Not for realms
	Roles    []string
}

// NewAccount makes an enabled account that can sign in with a password.
func (s *Service) NewAccount(ctx context.Context, actor Actor, org directory.OrgID, p AccountParams) (Result[*directory.Account], error) {
	sc := scope{org: org, object: "Account " + canonicalUser(p.UserName)}
	return s.newAccount(ctx, actor, "New-Account", sc, p, func() error {
		o, err := s.Store.Organization(ctx, org)
		if err == nil {
			_, err = accepted(o, p.UserName)
		}
		return err
	})
}

// NewRealmAccount makes an enabled account of the realm with the id or verified
// domain, as those are that administer a tenant's directory.
func (s *Service) NewRealmAccount(ctx context.Context, actor Actor, realm string, p AccountParams) (Result[*directory.Account], error) {
	const op = "New-RealmAccount"
	sc, err := s.realmScope(ctx, actor, realm, "Account "+canonicalUser(p.UserName))
	if err != nil {
		return Result[*directory.Account]{}, s.finish(ctx, actor, op, sc, err)
	}
	return s.newAccount(ctx, actor, op, sc, p, func() error {
		r, err := s.Store.Realm(ctx, sc.realm)
		if err != nil {
			return err
		}
		a, err := smtpaddr.Parse(p.UserName)
		if err == nil && !slices.ContainsFunc(r.Domains, func(d directory.VerifiedDomain) bool { return d.Name == a.Domain() }) {
			err = fmt.Errorf("user name %s: %s is no verified domain of %s", a, a.Domain(), r.Name)
		}
		return err
	})
}

// newAccount makes the account; check refuses names and addresses of others: a
// user name is unique in the deployment.
func (s *Service) newAccount(ctx context.Context, actor Actor, op string, sc scope, p AccountParams, check func() error) (Result[*directory.Account], error) {
	res := Result[*directory.Account]{Changed: true}
	err := s.permit(ctx, actor, op, sc)
	if err == nil {
		err = check()
	}
	if err == nil {
		res.Object, err = newAccount(sc.org, p)
	}
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	if sc.realm != "" {
		res.Object.Org, res.Object.Realm = "", sc.realm
	}
	return res, s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		if a := res.Object.Address; !a.IsZero() && sc.org != "" {
			if _, err := tx.Recipient(ctx, sc.org, a); err != nil {
				return outcome{}, err
			}
		}
		return outcome{changed: true, after: res.Object}, putNewAccount(ctx, tx, res.Object)
	})
}

// newAccount hashes the password, which takes long: call it outside of a transaction.
func newAccount(org directory.OrgID, p AccountParams) (*directory.Account, error) {
	a := &directory.Account{Org: org, UserName: canonicalUser(p.UserName), Address: p.Address, Roles: p.Roles, Enabled: true}
	var err error
	a.PasswordHash, err = hashPassword(a.UserName, p.Password)
	return a, err
}

func putNewAccount(ctx context.Context, tx Tx, a *directory.Account) error {
	switch _, err := tx.Account(ctx, a.UserName); {
	case err == nil:
		return fmt.Errorf("account %q: %w", a.UserName, directory.ErrExists)
	case !errors.Is(err, directory.ErrNotFound):
		return err
	}
	return tx.PutAccount(ctx, a)
}

// accountOf is the account of the organization or realm.
func accountOf(ctx context.Context, tx Tx, owner, userName string) (*directory.Account, error) {
	a, err := tx.Account(ctx, userName)
	if errors.Is(err, directory.ErrNotFound) || err == nil && a.Owner() != owner {
		return nil, &NotFoundError{"account", userName}
	}
	return a, err
}

// SetPassword replaces the password of an account. Everybody may set their own.
func (s *Service) SetPassword(ctx context.Context, actor Actor, org directory.OrgID, userName, password string) (Result[*directory.Account], error) {
	return s.setPassword(ctx, actor, scope{org: org}, userName, password)
}

// SetRealmPassword is SetPassword for an account of a realm.
func (s *Service) SetRealmPassword(ctx context.Context, actor Actor, realm, userName, password string) (Result[*directory.Account], error) {
	sc, err := s.realmScope(ctx, actor, realm, "Account "+canonicalUser(userName))
	if err != nil {
		return Result[*directory.Account]{}, s.finish(ctx, actor, "Set-Password", sc, err)
	}
	return s.setPassword(ctx, actor, sc, userName, password)
}

func (s *Service) setPassword(ctx context.Context, actor Actor, sc scope, userName, password string) (Result[*directory.Account], error) {
	const op = "Set-Password"
	res := Result[*directory.Account]{Changed: true}
	userName = canonicalUser(userName)
	sc.object, sc.account = "Account "+userName, userName
	var hash string
	err := s.permit(ctx, actor, op, sc)
	if err == nil {
		hash, err = hashPassword(userName, password)
	}
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	return res, s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		a, err := accountOf(ctx, tx, sc.owner(), userName)
		if err != nil {
			return outcome{}, err
		}
		a.PasswordHash = hash
		res.Object = a
		if n := len(a.AppPasswords); n > 0 {
			res.Warnings = []string{fmt.Sprintf("%d app passwords of %s go on working: see Get-AppPassword and Remove-AppPassword", n, a.UserName)}
		}
		return outcome{changed: true, before: a, after: a}, tx.PutAccount(ctx, a)
	})
}

// SetAccount changes roles of an account, or whether it may sign in. What else
// fn changes is not kept. The last administrator stays one.
func (s *Service) SetAccount(ctx context.Context, actor Actor, org directory.OrgID, userName string, fn func(*directory.Account) error) (Result[*directory.Account], error) {
	return s.setAccount(ctx, actor, "Set-Account", scope{org: org, object: "Account " + canonicalUser(userName)}, userName, fn)
}

// SetRealmAccount is SetAccount for an account of a realm.
func (s *Service) SetRealmAccount(ctx context.Context, actor Actor, realm, userName string, fn func(*directory.Account) error) (Result[*directory.Account], error) {
	const op = "Set-RealmAccount"
	sc, err := s.realmScope(ctx, actor, realm, "Account "+canonicalUser(userName))
	if err != nil {
		return Result[*directory.Account]{}, s.finish(ctx, actor, op, sc, err)
	}
	return s.setAccount(ctx, actor, op, sc, userName, fn)
}

func (s *Service) setAccount(ctx context.Context, actor Actor, op string, sc scope, userName string, fn func(*directory.Account) error) (Result[*directory.Account], error) {
	var res Result[*directory.Account]
	err := s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		was, err := accountOf(ctx, tx, sc.owner(), canonicalUser(userName))
		if err != nil {
			return outcome{}, err
		}
		asked, is := was.Clone(), was.Clone()
		if err := fn(asked); err != nil {
			return outcome{}, err
		}
		is.Roles, is.Enabled = asked.Roles, asked.Enabled
		res = Result[*directory.Account]{Object: is, Changed: is.Enabled != was.Enabled || !slices.Equal(is.Roles, was.Roles)}
		if !res.Changed {
			return outcome{}, nil
		}
		if err := tx.PutAccount(ctx, is); err != nil {
			return outcome{}, err
		}
		return outcome{changed: true, before: was, after: is}, keepAdministrator(ctx, tx, actor, was)
	})
	return res, err
}

// RemoveAccount removes an account; a mailbox that it signs in to stays. The
// last administrator stays, too.
func (s *Service) RemoveAccount(ctx context.Context, actor Actor, org directory.OrgID, userName string) (Result[*directory.Account], error) {
	return s.removeAccount(ctx, actor, "Remove-Account", scope{org: org, object: "Account " + canonicalUser(userName)}, userName)
}

// RemoveRealmAccount is RemoveAccount for an account of a realm.
func (s *Service) RemoveRealmAccount(ctx context.Context, actor Actor, realm, userName string) (Result[*directory.Account], error) {
	const op = "Remove-RealmAccount"
	sc, err := s.realmScope(ctx, actor, realm, "Account "+canonicalUser(userName))
	if err != nil {
		return Result[*directory.Account]{}, s.finish(ctx, actor, op, sc, err)
	}
	return s.removeAccount(ctx, actor, op, sc, userName)
}

func (s *Service) removeAccount(ctx context.Context, actor Actor, op string, sc scope, userName string) (Result[*directory.Account], error) {
	res := Result[*directory.Account]{Changed: true}
	err := s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		a, err := accountOf(ctx, tx, sc.owner(), canonicalUser(userName))
		if err != nil {
			return outcome{}, err
		}
		res.Object = a
		return outcome{changed: true, before: a}, removeAccount(ctx, tx, actor, a)
	})
	return res, err
}

func removeAccount(ctx context.Context, tx Tx, actor Actor, a *directory.Account) error {
	if err := tx.DeleteAccount(ctx, a.Owner(), a.UserName); err != nil {
		return err
	}
	return keepAdministrator(ctx, tx, actor, a)
}

// keepAdministrator refuses a change of an account after which its organization
// or realm has no administrator any more; the operator can help one without.
func keepAdministrator(ctx context.Context, tx Tx, actor Actor, was *directory.Account) error {
	administers := func(a *directory.Account) bool { return a.Enabled && a.HasRole(directory.RoleAdmin) }
	if actor.System || !administers(was) {
		return nil
	}
	left, err := tx.Accounts(ctx, was.Owner())
	if err == nil && !slices.ContainsFunc(left, administers) {
		err = fmt.Errorf("account %q: %w", was.UserName, errLastAdministrator)
	}
	return err
}
