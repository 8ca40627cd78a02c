package app

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/dial/winauth"
	"busybridge/internal/directory"
	"busybridge/internal/store/sqlstore"
	"busybridge/internal/trust"
)

// serviceAccounts are the accounts with which nodes of one organization ask
// each other (AvailabilityAddressSpace -UseServiceAccount): what a computer
// account is in a domain. The password follows from the deployment's seal key,
// so that every node of it knows the password and nobody else does.
type serviceAccounts struct {
	store *sqlstore.Store
	key   []byte

	mu    sync.Mutex                 // guards ready
	ready map[directory.OrgID]string // hashes that are of the account's password
}

func newServiceAccounts(store *sqlstore.Store, key []byte) *serviceAccounts {
	return &serviceAccounts{store: store, key: key, ready: make(map[directory.OrgID]string)}
}

// credentials returns user name and password, and makes the account when it is
// not there or has another password. An account that an administrator has disabled
// stays so.
func (s *serviceAccounts) credentials(ctx context.Context, org *directory.Organization) (user, password string, err error) {
	raw, err := hkdf.Key(sha256.New, s.key, nil, "busybridge service account "+string(org.ID), 32)
	if err != nil {
		return "", "", err
	}
	user, password = "svc-availability@"+org.DefaultDomain(), base64.RawURLEncoding.EncodeToString(raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.store.Account(ctx, user)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		a = &directory.Account{Org: org.ID, UserName: user, Roles: []string{directory.RoleImpersonation}, Enabled: true}
	case err != nil:
		return "", "", err
	case !a.Enabled:
		return "", "", fmt.Errorf("%s is disabled", user)
	case a.PasswordHash == s.ready[org.ID]:
		return user, password, nil
	default:
		ok, _, err := trust.VerifyPassword(ctx, a.PasswordHash, password)
		if err != nil {
			return "", "", err
		}
		if ok {
			s.ready[org.ID] = a.PasswordHash
			return user, password, nil
		}
		made := *a
		a = &made
	}
	if a.PasswordHash, err = trust.HashPassword(password); err != nil {
		return "", "", err
	}
	if err := s.store.PutAccount(ctx, a); err != nil {
		return "", "", err
	}
	s.ready[org.ID] = a.PasswordHash
	return user, password, nil
}

// spaceClient is the client by which a server asks over an address space: as the
// service account, of a newer server of its own organization, or with the address
// space's credentials, of another forest. base makes the connections.
func (d *Deployment) spaceClient(base http.RoundTripper, org *directory.Organization, space *directory.AvailabilityAddressSpace) (*http.Client, error) {
	basic := safehttp.BasicAuth{Base: base, User: space.UserName, Password: string(space.Password)}
	var sign http.RoundTripper
	switch space.AccessMethod {
	case directory.InternalProxy:
		var err error
		if basic.User, basic.Password, err = d.service.credentials(context.Background(), org); err != nil {
			return nil, fmt.Errorf("service account: %w", err)
		}
		sign = basic
	case directory.OrgWideFBBasic:
		sign = basic
	default:
		sign = forestAuth{basic, d.safe}
	}
	return safehttp.Client(sign, d.set.Dial), nil
}

// A forestAuth signs in as Windows does where the other forest offers it, else by
// HTTP Basic. Windows knows connections and not requests: each request has its own.
type forestAuth struct {
	basic safehttp.BasicAuth
	rules *http.Transport // of connections
}

// RoundTrip implements http.RoundTripper.
func (f forestAuth) RoundTrip(r *http.Request) (*http.Response, error) {
	own := winauth.OneConnection(f.rules)
	resp, err := winauth.NTLM{Base: own, User: f.basic.User, Password: f.basic.Password}.RoundTrip(r)
	if err == nil {
		resp.Body = connectionBody{resp.Body, own}
		return resp, nil
	}
	own.CloseIdleConnections()
	if !errors.Is(err, winauth.ErrNotOffered) {
		return nil, err
	}
	if r.GetBody != nil {
		again := r.Clone(r.Context())
		if again.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
		r = again
	}
	return f.basic.RoundTrip(r)
}

// A connectionBody ends its connection when it was read.
type connectionBody struct {
	io.ReadCloser
	own *http.Transport
}

func (b connectionBody) Close() error {
	err := b.ReadCloser.Close()
	b.own.CloseIdleConnections()
	return err
}
