package admin

import (
	"context"
	"errors"
	"fmt"
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

// AccountParams describe a new account.
type AccountParams struct {
	UserName string // user@domain
	Password string
	Address  smtpaddr.Address // of its mailbox; zero: none
	Roles    []string
}

// NewAccount makes an enabled account that can sign in with a password.
func (s *Service) NewAccount(ctx context.Context, actor Actor, org directory.OrgID, p AccountParams) (Result[*directory.Account], error) {
	const op = "New-Account"
	res := Result[*directory.Account]{Changed: true}
	sc := scope{org: org, object: "Account " + p.UserName}
	err := s.permit(ctx, actor, op, sc)
	if err == nil {
		res.Object, err = newAccount(org, p)
	}
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	return res, s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		if !res.Object.Address.IsZero() {
			if _, err := s.Store.Recipient(ctx, org, res.Object.Address); err != nil {
				return outcome{}, err
			}
		}
		err := putNewAccount(ctx, tx, res.Object)
		return outcome{changed: true, after: res.Object}, err
	})
}

// newAccount hashes the password, which takes long: call it outside of a transaction.
func newAccount(org directory.OrgID, p AccountParams) (*directory.Account, error) {
	a := &directory.Account{Org: org, UserName: strings.ToLower(strings.TrimSpace(p.UserName)), Address: p.Address, Roles: p.Roles, Enabled: true}
	if u, err := smtpaddr.Parse(a.UserName); err == nil {
		a.UserName = u.String()
	}
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

// SetPassword replaces the password of an account. Everybody may set their own.
func (s *Service) SetPassword(ctx context.Context, actor Actor, org directory.OrgID, userName, password string) (Result[*directory.Account], error) {
	const op = "Set-Password"
	res := Result[*directory.Account]{Changed: true}
	userName = strings.ToLower(strings.TrimSpace(userName))
	sc := scope{org: org, object: "Account " + userName, account: userName}
	var hash string
	err := s.permit(ctx, actor, op, sc)
	if err == nil {
		hash, err = hashPassword(userName, password)
	}
	if err != nil {
		return res, s.finish(ctx, actor, op, sc, err)
	}
	return res, s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		a, err := tx.Account(ctx, userName)
		if err == nil && a.Org != org {
			err = fmt.Errorf("account %q: %w", userName, directory.ErrNotFound)
		}
		if err != nil {
			return outcome{}, err
		}
		a.PasswordHash = hash
		res.Object = a
		return outcome{changed: true, before: a, after: a}, tx.PutAccount(ctx, a)
	})
}
