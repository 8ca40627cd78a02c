package sqlitestore

import (
	"context"
	"encoding/json"
	"fmt"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

const accountByName = `SELECT org_id, user_name, password_hash, address, roles, enabled FROM accounts WHERE user_name = $1`

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
	if err := row.Scan(&a.Org, &a.UserName, &a.PasswordHash, &address, &roles, &a.Enabled); err != nil {
		return nil, err
	}
	if err := a.Address.UnmarshalText([]byte(address)); err != nil {
		return nil, err
	}
	return &a, json.Unmarshal([]byte(roles), &a.Roles)
}

// Accounts returns the accounts of the organization by name.
func (s *Store) Accounts(ctx context.Context, org directory.OrgID) ([]*directory.Account, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT org_id, user_name, password_hash, address, roles, enabled FROM accounts WHERE org_id = $1 ORDER BY user_name`, string(org))
	if err != nil {
		return nil, fmt.Errorf("accounts of %s: %w", org, err)
	}
	defer rows.Close()
	var out []*directory.Account
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, fmt.Errorf("accounts of %s: %w", org, err)
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// PutAccount keeps the account, new or changed. A name that another
// organization has is ErrExists.
func (s *Store) PutAccount(ctx context.Context, a *directory.Account) error {
	return s.Change(ctx, func(tx *Tx) error { return tx.PutAccount(ctx, a) })
}

// DeleteAccount removes the account of the organization.
func (s *Store) DeleteAccount(ctx context.Context, org directory.OrgID, userName string) error {
	return s.Change(ctx, func(tx *Tx) error { return tx.DeleteAccount(ctx, org, userName) })
}

// Account is that of Store, as this transaction sees it.
func (t *Tx) Account(ctx context.Context, userName string) (*directory.Account, error) {
	a, err := scanAccount(t.tx.QueryRowContext(ctx, accountByName, userName))
	if err != nil {
		return nil, fmt.Errorf("account %q: %w", userName, missing(err))
	}
	return a, nil
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
	res, err := t.tx.ExecContext(ctx, `INSERT INTO accounts (user_name, org_id, password_hash, address, roles, enabled) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (user_name) DO UPDATE SET password_hash = excluded.password_hash, address = excluded.address, roles = excluded.roles, enabled = excluded.enabled
		WHERE accounts.org_id = excluded.org_id`,
		a.UserName, string(a.Org), a.PasswordHash, a.Address.String(), string(roles), a.Enabled)
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
func (t *Tx) DeleteAccount(ctx context.Context, org directory.OrgID, userName string) error {
	res, err := t.tx.ExecContext(ctx, `DELETE FROM accounts WHERE org_id = $1 AND user_name = $2`, string(org), userName)
	return deleted(res, err, "account", userName)
}
