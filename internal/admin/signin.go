package admin

import (
	"context"
	"errors"
	"fmt"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// ErrSignIn is wrapped when user name and password do not belong together, or
// the account is disabled: which of them is not told.
var ErrSignIn = errors.New("the user name or the password is incorrect")

// SignIn finds out who it is. An unknown name takes as long as a wrong password.
func (s *Service) SignIn(ctx context.Context, userName, password string) (Actor, error) {
	a, err := s.Store.Account(ctx, canonicalUser(userName))
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return Actor{}, fmt.Errorf("sign in: %w", err)
	}
	hash := trust.NoPassword()
	if err == nil {
		hash = a.PasswordHash
	}
	ok, rehash, failed := trust.VerifyPassword(ctx, hash, password)
	switch {
	case failed != nil:
		return Actor{}, fmt.Errorf("sign in: %w", failed)
	case err != nil || !ok || !a.Enabled:
		return Actor{}, fmt.Errorf("sign in: %w", ErrSignIn)
	case rehash:
		s.Rehash(ctx, a, password)
	}
	return s.actor(ctx, a)
}

// Rehash keeps the password of an account, which was right just now, with
// today's cost. What fails is tried again next time.
func (s *Service) Rehash(ctx context.Context, a *directory.Account, password string) {
	hash, err := trust.HashPassword(password)
	if err == nil {
		err = s.Store.Change(ctx, func(tx Tx) error {
			is, err := accountOf(ctx, tx, a.Owner(), a.UserName)
			if err != nil || is.PasswordHash != a.PasswordHash {
				return err // changed meanwhile
			}
			is.PasswordHash = hash
			return tx.PutAccount(ctx, is)
		})
	}
	if err != nil {
		s.Log.WarnContext(ctx, "password is kept with its old cost", "err", err)
	}
}

// ActorFor is the account with the roles that it has now. One that is gone or
// disabled is ErrForbidden.
func (s *Service) ActorFor(ctx context.Context, userName string) (Actor, error) {
	a, err := s.Store.Account(ctx, canonicalUser(userName))
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return Actor{}, fmt.Errorf("%w: the account %s is gone", ErrForbidden, userName)
	case err != nil:
		return Actor{}, err
	case !a.Enabled:
		return Actor{}, fmt.Errorf("%w: the account %s is disabled", ErrForbidden, userName)
	}
	return s.actor(ctx, a)
}

// actor is who the account is. One of a hosted organization has the realm of its tenant.
func (s *Service) actor(ctx context.Context, a *directory.Account) (Actor, error) {
	actor := Actor{Name: a.UserName, Org: a.Org, Realm: a.Realm, Roles: a.Roles}
	if a.Org == "" {
		return actor, nil
	}
	o, err := s.Store.Organization(ctx, a.Org)
	if err != nil {
		return Actor{}, err
	}
	actor.Realm = o.Tenant
	return actor, nil
}
