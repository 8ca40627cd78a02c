package sqlitestore

import (
	"context"
	"encoding/json"
	"fmt"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

const (
	accountColumns = `SELECT COALESCE(org_id, ''), COALESCE(realm_id, ''), user_name, password_hash, address, roles, enabled FROM accounts`
	accountByName  = accountColumns + ` WHERE user_name = $1`
	accountsOf     = accountColumns + ` WHERE org_id = $1 OR realm_id = $1 ORDER BY user_name`
	accountsAt     = accountColumns + ` WHERE org_id = $1 AND address = $2 AND address <> '' ORDER BY user_name`
)

// Account returns the account with the user name, in any letter case. The name
// is unique in the deployment.
func (s *Store) Account(ctx context.Context, userName string) (*directory.Account, error) {
	// A name that is no address cannot be an account's.
	name, err := smtpaddr.Parse(userName)
	if err != nil {
		return nil, fmt.Errorf("account %w: %w", err, directory.ErrNotFound)
	}
	a, err := scanAccount(s.stmts.account.QueryRowContext(ctx, name.String()))
	if err != nil {
		return nil, fmt.Errorf("account %q: %w", name, missing(err))
	}
	return a, nil
}

func scanAccount(row interface{ Scan(...any) error }) (*directory.Account, error) {
	var a directory.Account
	var address, roles string
	if err := row.Scan(&a.Org, &a.Realm, &a.UserName, &a.PasswordHash, &address, &roles, &a.Enabled); err != nil {
		return nil, err
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
	res, err := t.tx.ExecContext(ctx, `INSERT INTO accounts (user_name, org_id, realm_id, password_hash, address, roles, enabled)
		VALUES ($1, NULLIF($2, ''), NULLIF($3, ''), $4, $5, $6, $7)
		ON CONFLICT (user_name) DO UPDATE SET password_hash = excluded.password_hash, address = excluded.address, roles = excluded.roles, enabled = excluded.enabled
		WHERE COALESCE(accounts.org_id, accounts.realm_id) = COALESCE(excluded.org_id, excluded.realm_id)`,
		a.UserName, string(a.Org), a.Realm, a.PasswordHash, a.Address.String(), string(roles), a.Enabled)
	if err != nil {
		return fmt.Errorf("account %q: %w", a.UserName, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		if err == nil {
			err = directory.ErrExists
		}
		return fmt.Errorf("account %q: %w", a.UserName, err)
	}
	return nil
}

// DeleteAccount is that of Store, in this transaction.
func (t *Tx) DeleteAccount(ctx context.Context, owner, userName string) error {
	res, err := t.tx.ExecContext(ctx, `DELETE FROM accounts WHERE user_name = $1 AND COALESCE(org_id, realm_id) = $2`, userName, owner)
	return deleted(res, err, "account", userName)
}
