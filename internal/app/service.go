package app

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sync"

	"busybridge/internal/directory"
	"busybridge/internal/store/sqlitestore"
	"busybridge/internal/trust"
)

// serviceAccounts are the accounts with which nodes of one organization ask
// each other (AvailabilityAddressSpace -UseServiceAccount): what a computer
// account is in a domain. The password follows from the deployment's seal key,
// so that every node of it knows the password and nobody else does.
type serviceAccounts struct {
	store *sqlitestore.Store
	key   []byte

	mu    sync.Mutex // guards ready
	ready map[directory.OrgID]bool
}

func newServiceAccounts(store *sqlitestore.Store, key []byte) *serviceAccounts {
	return &serviceAccounts{store: store, key: key, ready: make(map[directory.OrgID]bool)}
}

// credentials returns user name and password, and makes the account when it is
// not there or has another password.
func (s *serviceAccounts) credentials(ctx context.Context, org *directory.Organization) (user, password string, err error) {
	raw, err := hkdf.Key(sha256.New, s.key, nil, "busybridge service account "+string(org.ID), 32)
	if err != nil {
		return "", "", err
	}
	user, password = "svc-availability@"+org.DefaultDomain(), base64.RawURLEncoding.EncodeToString(raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready[org.ID] {
		return user, password, nil
	}
	if err := s.ensure(ctx, org, user, password); err != nil {
		return "", "", err
	}
	s.ready[org.ID] = true
	return user, password, nil
}

func (s *serviceAccounts) ensure(ctx context.Context, org *directory.Organization, user, password string) error {
	a, err := s.store.Account(ctx, user)
	switch {
	case err == nil:
		ok, _, err := trust.VerifyPassword(ctx, a.PasswordHash, password)
		if err != nil || ok && a.Enabled {
			return err
		}
	case !errors.Is(err, directory.ErrNotFound):
		return err
	}
	hash, err := trust.HashPassword(password)
	if err != nil {
		return err
	}
	return s.store.PutAccount(ctx, &directory.Account{
		Org: org.ID, UserName: user, PasswordHash: hash, Roles: []string{directory.RoleImpersonation}, Enabled: true,
	})
}
