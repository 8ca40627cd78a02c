package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

const (
	accountColumns = `SELECT COALESCE(org_id, ''), COALESCE(realm_id, ''), user_name, password_hash, address, roles, enabled, sign_in FROM accounts`
	accountByName  = accountColumns + ` WHERE user_name = $1`
	accountByCert  = accountColumns + ` WHERE user_name = (SELECT user_name FROM account_certificates WHERE fingerprint = $1)`
	accountsOf     = accountColumns + ` WHERE org_id = $1 OR realm_id = $1 ORDER BY user_name`
	accountsAt     = accountColumns + ` WHERE org_id = $1 AND address = $2 AND address <> '' ORDER BY user_name`
)

// Account returns the account with the user name, in any letter case: shared, and
// not to be changed. The name is unique in the deployment.
func (s *Store) Account(ctx context.Context, userName string) (*directory.Account, error) {
	// A name that is no address cannot be an account's.
	name, err := smtpaddr.Parse(userName)
	if err != nil {
		return nil, fmt.Errorf("account %w: %w", err, directory.ErrNotFound)
	}
	return s.accounts.get(s, name.String(), func() (*directory.Account, int, error) {
		a, err := scanAccount(s.stmts.account.QueryRowContext(ctx, name.String()))
		if err != nil {
			return nil, 0, fmt.Errorf("account %q: %w", name, missing(err))
		}
		return a, len(a.PasswordHash) + 128*(len(a.AppPasswords)+len(a.Certificates)+len(a.Roles)), nil
	})
}

// AccountByCertificate returns the account that a client signs in to with the
// certificate of this fingerprint (as directory.Account has it).
func (s *Store) AccountByCertificate(ctx context.Context, fingerprint string) (*directory.Account, error) {
	a, err := scanAccount(s.stmts.accountByCertificate.QueryRowContext(ctx, fingerprint))
	if err != nil {
		return nil, fmt.Errorf("account of certificate %s: %w", fingerprint, missing(err))
	}
	return a, nil
}

// signIn is the column of that name.
type signIn struct {
	AppPasswords []appPassword `json:",omitempty"`
	Certificates []string      `json:",omitempty"`
}

// appPassword is a directory.AppPassword with its hash.
type appPassword struct {
	directory.AppPassword
	Hash string
}

func scanAccount(row interface{ Scan(...any) error }) (*directory.Account, error) {
	var a directory.Account
	var address, roles, more string
	if err := row.Scan(&a.Org, &a.Realm, &a.UserName, &a.PasswordHash, &address, &roles, &a.Enabled, &more); err != nil {
		return nil, err
	}
	if more != "{}" {
		var in signIn
		if err := json.Unmarshal([]byte(more), &in); err != nil {
			return nil, err
		}
		for _, p := range in.AppPasswords {
			p.AppPassword.Hash = p.Hash
			a.AppPasswords = append(a.AppPasswords, p.AppPassword)
		}
		a.Certificates = in.Certificates
	}
	if err := a.Address.UnmarshalText([]byte(address)); err != nil {
		return nil, err
	}
	return &a, json.Unmarshal([]byte(roles), &a.Roles)
}

// Accounts returns the accounts of the organization or realm by name.
func (s *Store) Accounts(ctx context.Context, owner string) ([]*directory.Account, error) {
	return accounts(ctx, s.read, accountsOf, owner)
}

// AccountsAt returns the accounts of the organization that have the address.
func (s *Store) AccountsAt(ctx context.Context, org directory.OrgID, a smtpaddr.Address) ([]*directory.Account, error) {
	return accounts(ctx, s.read, accountsAt, string(org), a.String())
}

func accounts(ctx context.Context, q querier, query string, args ...any) ([]*directory.Account, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("accounts of %s: %w", args[0], err)
	}
	defer rows.Close()
	var out []*directory.Account
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, fmt.Errorf("accounts of %s: %w", args[0], err)
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// PutAccount keeps the account, new or changed. A name that another
// organization or realm has is ErrExists.
func (s *Store) PutAccount(ctx context.Context, a *directory.Account) error {
	return s.Change(ctx, func(tx *Tx) error { return tx.PutAccount(ctx, a) })
}

// DeleteAccount removes the account of the organization or realm.
func (s *Store) DeleteAccount(ctx context.Context, owner, userName string) error {
	return s.Change(ctx, func(tx *Tx) error { return tx.DeleteAccount(ctx, owner, userName) })
}

// Account is that of Store, as this transaction sees it.
func (t *Tx) Account(ctx context.Context, userName string) (*directory.Account, error) {
	a, err := scanAccount(t.tx.QueryRowContext(ctx, accountByName, userName))
	if err != nil {
		return nil, fmt.Errorf("account %q: %w", userName, missing(err))
	}
	return a, nil
}

// Accounts is that of Store, as this transaction sees it.
func (t *Tx) Accounts(ctx context.Context, owner string) ([]*directory.Account, error) {
	return accounts(ctx, t.tx, accountsOf, owner)
}

// AccountsAt returns the accounts of the organization that have the address.
func (t *Tx) AccountsAt(ctx context.Context, org directory.OrgID, a smtpaddr.Address) ([]*directory.Account, error) {
	return accounts(ctx, t.tx, accountsAt, string(org), a.String())
}

// PutAccount is that of Store, in this transaction.
func (t *Tx) PutAccount(ctx context.Context, a *directory.Account) error {
	if err := a.Validate(); err != nil {
		return err
	}
	roles, err := json.Marshal(a.Roles)
	if err != nil {
		return err
	}
	in := signIn{Certificates: a.Certificates}
	for _, p := range a.AppPasswords {
		in.AppPasswords = append(in.AppPasswords, appPassword{p, p.Hash})
	}
	more, err := json.Marshal(in)
	if err != nil {
		return err
	}
	res, err := t.tx.ExecContext(ctx, `INSERT INTO accounts (user_name, org_id, realm_id, password_hash, address, roles, enabled, sign_in)
		VALUES ($1, NULLIF($2, ''), NULLIF($3, ''), $4, $5, $6, $7, $8)
		ON CONFLICT (user_name) DO UPDATE SET password_hash = excluded.password_hash, address = excluded.address, roles = excluded.roles, enabled = excluded.enabled,
		sign_in = excluded.sign_in
		WHERE COALESCE(accounts.org_id, accounts.realm_id) = COALESCE(excluded.org_id, excluded.realm_id)`,
		a.UserName, string(a.Org), a.Realm, a.PasswordHash, a.Address.String(), string(roles), a.Enabled, string(more))
	if err != nil {
		return fmt.Errorf("account %q: %w", a.UserName, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		if err == nil {
			err = directory.ErrExists
		}
		return fmt.Errorf("account %q: %w", a.UserName, err)
	}
	return t.putCertificates(ctx, a)
}

func (t *Tx) putCertificates(ctx context.Context, a *directory.Account) error {
	if _, err := t.tx.ExecContext(ctx, `DELETE FROM account_certificates WHERE user_name = $1`, a.UserName); err != nil {
		return fmt.Errorf("certificates of account %q: %w", a.UserName, err)
	}
	for _, f := range a.Certificates {
		res, err := t.tx.ExecContext(ctx, `INSERT INTO account_certificates (fingerprint, user_name) VALUES ($1, $2) ON CONFLICT DO NOTHING`, f, a.UserName)
		var n int64
		if err == nil {
			if n, err = res.RowsAffected(); err == nil && n == 0 {
				err = &directory.FieldError{Object: fmt.Sprintf("account %q", a.UserName), Field: "Certificates", Value: f,
					Problem: "is taken by another account", Err: directory.ErrExists}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteAccount is that of Store, in this transaction.
func (t *Tx) DeleteAccount(ctx context.Context, owner, userName string) error {
	res, err := t.tx.ExecContext(ctx, `DELETE FROM accounts WHERE user_name = $1 AND COALESCE(org_id, realm_id) = $2`, userName, owner)
	if err := deleted(res, err, "account", userName); err != nil {
		return err
	}
	if _, err := t.tx.ExecContext(ctx, `DELETE FROM account_certificates WHERE user_name = $1`, userName); err != nil {
		return fmt.Errorf("delete certificates of account %q: %w", userName, err)
	}
	return nil
}

// maxNetworks is how many networks of an account are kept.
const maxNetworks = 64

// NetworkSeen is when the account last signed in from the network; zero: never.
func (s *Store) NetworkSeen(ctx context.Context, userName string, network netip.Prefix) (time.Time, error) {
	var at int64
	err := s.stmts.networkSeen.QueryRowContext(ctx, userName, network.String()).Scan(&at)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("network of account %q: %w", userName, err)
	}
	return time.UnixMicro(at).UTC(), nil
}

// NoteNetwork keeps that the account signed in from the network. Of many
// networks only the latest are kept. An account that is gone meanwhile has none.
func (s *Store) NoteNetwork(ctx context.Context, userName string, network netip.Prefix, at time.Time) error {
	err := s.tx(ctx, false, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO account_networks (user_name, network, last_seen) SELECT user_name, $2, $3 FROM accounts WHERE user_name = $1
			ON CONFLICT (user_name, network) DO UPDATE SET last_seen = excluded.last_seen`, userName, network.String(), at.UnixMicro())
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM account_networks WHERE user_name = $1 AND network NOT IN
			(SELECT network FROM account_networks WHERE user_name = $1 ORDER BY last_seen DESC, network LIMIT $2)`, userName, maxNetworks)
		return err
	})
	if err != nil {
		return fmt.Errorf("network of account %q: %w", userName, err)
	}
	return nil
}
