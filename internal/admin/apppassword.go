package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// changeSignIn changes what an account signs in with besides its password.
func (s *Service) changeSignIn(ctx context.Context, actor Actor, op string, org directory.OrgID, userName string, fn func(*directory.Account) (changed bool, err error)) (Result[*directory.Account], error) {
	var res Result[*directory.Account]
	userName = canonicalUser(userName)
	sc := scope{org: org, object: "Account " + userName, account: userName}
	err := s.run(ctx, actor, op, sc, func(tx Tx) (outcome, error) {
		was, err := accountOf(ctx, tx, sc.owner(), userName)
		if err != nil {
			return outcome{}, err
		}
		res.Object = was.Clone()
		if res.Changed, err = fn(res.Object); err != nil || !res.Changed {
			return outcome{}, err
		}
		return outcome{changed: true, before: was, after: res.Object}, tx.PutAccount(ctx, res.Object)
	})
	return res, err
}

// NewAppPassword makes an app password for an account, its owner's or an
// administrator's to ask for. This is the only time that the password is known.
func (s *Service) NewAppPassword(ctx context.Context, actor Actor, org directory.OrgID, userName, name string) (res Result[*directory.Account], password string, err error) {
	password, hash := trust.NewAppPassword(canonicalUser(userName))
	res, err = s.changeSignIn(ctx, actor, "New-AppPassword", org, userName, func(a *directory.Account) (bool, error) {
		a.AppPasswords = append(a.AppPasswords, directory.AppPassword{ID: uuid.NewString(), Name: name, Hash: hash, WhenCreated: s.Now().UTC().Truncate(time.Second)})
		return true, nil
	})
	if err != nil {
		return res, "", err
	}
	return res, password, nil
}

// RemoveAppPassword revokes the app password with the id or name, at once.
func (s *Service) RemoveAppPassword(ctx context.Context, actor Actor, org directory.OrgID, userName, identity string) (Result[*directory.Account], error) {
	return s.changeSignIn(ctx, actor, "Remove-AppPassword", org, userName, func(a *directory.Account) (bool, error) {
		i := a.AppPassword(identity)
		if i < 0 {
			return false, &NotFoundError{"AppPassword", identity}
		}
		a.AppPasswords = slices.Delete(a.AppPasswords, i, i+1)
		return true, nil
	})
}

// SignInMeans is the account with its app passwords and certificates, without
// hashes: for its owner, and for who may see accounts.
func (s *Service) SignInMeans(ctx context.Context, actor Actor, op string, org directory.OrgID, userName string) (*directory.Account, error) {
	userName = canonicalUser(userName)
	sc := scope{org: org, object: "Account " + userName, account: userName}
	if actor.Org != org || actor.Name != userName {
		if err := s.permitView(ctx, actor, op, sc); err != nil {
			return nil, err
		}
	}
	a, err := s.Store.Account(ctx, userName)
	if errors.Is(err, directory.ErrNotFound) || err == nil && a.Owner() != sc.owner() {
		return nil, &NotFoundError{"account", userName}
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", op, sc.object, err)
	}
	withholdHashes(a)
	return a, nil
}

// AddClientCertificate lets an account sign in with the certificate of this
// fingerprint: SHA-256 in hex, maybe with colons. In a deployment one certificate
// opens one account, so in a hosted organization this is the operator's: a tenant
// could name its neighbour's certificate.
func (s *Service) AddClientCertificate(ctx context.Context, actor Actor, org directory.OrgID, userName, fingerprint string) (Result[*directory.Account], error) {
	f := canonicalFingerprint(fingerprint)
	return s.changeSignIn(ctx, actor, "Add-ClientCertificate", org, userName, func(a *directory.Account) (bool, error) {
		if slices.Contains(a.Certificates, f) {
			return false, nil
		}
		a.Certificates = append(a.Certificates, f)
		return true, nil
	})
}

// RemoveClientCertificate takes the certificate from the account, at once.
func (s *Service) RemoveClientCertificate(ctx context.Context, actor Actor, org directory.OrgID, userName, fingerprint string) (Result[*directory.Account], error) {
	f := canonicalFingerprint(fingerprint)
	return s.changeSignIn(ctx, actor, "Remove-ClientCertificate", org, userName, func(a *directory.Account) (bool, error) {
		i := slices.Index(a.Certificates, f)
		if i < 0 {
			return false, &NotFoundError{"ClientCertificate", fingerprint}
		}
		a.Certificates = slices.Delete(a.Certificates, i, i+1)
		return true, nil
	})
}

// canonicalFingerprint reads what openssl x509 -fingerprint -sha256 prints. What
// is no fingerprint stays: Validate says so.
func canonicalFingerprint(s string) string {
	_, after, ok := strings.Cut(s, "=")
	if !ok {
		after = s
	}
	f := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(after))
	if b, err := hex.DecodeString(f); err != nil || len(b) != 32 {
		return s
	}
	return f
}

// AppPasswordUsed keeps when an app password was used, to the hour. It is no
// change of the account: it is not in the audit trail, and what fails is tried
// again next time.
func (s *Service) AppPasswordUsed(ctx context.Context, a *directory.Account, id string) {
	now := s.Now().UTC().Truncate(time.Hour)
	err := s.Store.Change(ctx, func(tx Tx) error {
		is, err := accountOf(ctx, tx, a.Owner(), a.UserName)
		if err != nil {
			return err
		}
		i := is.AppPassword(id)
		if i < 0 || !is.AppPasswords[i].LastUsed.Before(now) {
			return nil // revoked meanwhile, or another request was faster
		}
		is.AppPasswords[i].LastUsed = now
		return tx.PutAccount(ctx, is)
	})
	if err != nil {
		s.Log.WarnContext(ctx, "last use of an app password is not kept", "account", a.UserName, "err", err)
	}
}
