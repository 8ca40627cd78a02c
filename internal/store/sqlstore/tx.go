package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"busybridge/internal/directory"
)

// A Tx is one write transaction: several changes and their audit events become
// visible together or not at all. It is not safe for concurrent use, and must
// not be used after the function that got it has returned.
type Tx struct {
	s   *Store
	tx  *sql.Tx
	now time.Time // the time of every change in it
}

// Change runs fn in one write transaction, which is kept when fn returns nil.
// fn must not use the Store's own changing methods: they would wait for it.
func (s *Store) Change(ctx context.Context, fn func(*Tx) error) error {
	select { // one of this process is enough to wait for those of others
	case s.changing <- struct{}{}:
		defer func() { <-s.changing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	committing := int64(0)
	defer func() {
		s.marks.directory.Add(1)
		s.marks.committing.Add(-committing)
	}()
	return s.change(ctx, false, func(tx *Tx) error {
		err := s.engine.Exclusive(ctx, tx.tx)
		if err == nil {
			err = fn(tx)
		}
		if err == nil {
			err = s.engine.Tell(ctx, tx.tx, "", "")
		}
		if err == nil {
			committing = 1
			s.marks.committing.Add(committing)
		}
		return err
	})
}

func (s *Store) change(ctx context.Context, routine bool, fn func(*Tx) error) error {
	return s.tx(ctx, routine, func(tx *sql.Tx) error { return fn(&Tx{s: s, tx: tx, now: s.clock()}) })
}

// taken turns a broken unique key into ErrExists.
func (t *Tx) taken(err error) error {
	if err != nil && t.s.engine.Taken(err) {
		return directory.ErrExists
	}
	return err
}

// missing turns "no rows" into ErrNotFound.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return directory.ErrNotFound
	}
	return err
}

// statements are the look-ups of the hot path, prepared on the readers.
type statements struct {
	organizations, organizationsAt, organizationVersion, organizationByDomain, organizationByTenant,
	recipient, address, recipientByID, recipientByUPN, account, accountByCertificate, networkSeen, realm, setting *sql.Stmt
}

func (s *Store) prepare(ctx context.Context) error {
	for _, p := range []struct {
		stmt  **sql.Stmt
		query string
	}{
		{&s.stmts.organizations, `SELECT org_id, version FROM organizations ORDER BY name_key`},
		{&s.stmts.organizationsAt, `SELECT o.org_id, o.version FROM organization_hosts h JOIN organizations o ON o.org_id = h.org_id
			WHERE h.host = $1 ORDER BY o.name_key`},
		{&s.stmts.organizationVersion, `SELECT version FROM organizations WHERE org_id = $1`},
		{&s.stmts.organizationByDomain, `SELECT o.org_id, o.version FROM organization_domains d JOIN organizations o ON o.org_id = d.org_id WHERE d.domain = $1`},
		{&s.stmts.organizationByTenant, `SELECT org_id, version FROM organizations WHERE tenant = $1 AND tenant <> ''`},
		{&s.stmts.recipient, recipientByAddress},
		{&s.stmts.address, addressOf},
		{&s.stmts.recipientByID, recipientByID},
		{&s.stmts.recipientByUPN, `SELECT recipient_id, body FROM recipients WHERE org_id = $1 AND upn_key = $2 AND upn_key <> ''`},
		{&s.stmts.account, accountByName},
		{&s.stmts.accountByCertificate, accountByCert},
		{&s.stmts.networkSeen, `SELECT last_seen FROM account_networks WHERE user_name = $1 AND network = $2`},
		{&s.stmts.realm, realmByKey},
		// What the caller has already is not read again.
		{&s.stmts.setting, `SELECT version, CASE version WHEN $2 THEN NULL ELSE body END, CASE version WHEN $2 THEN '' ELSE sealed END
			FROM settings WHERE name = $1`},
	} {
		var err error
		if *p.stmt, err = s.read.PrepareContext(ctx, p.query); err != nil { //nolint:sqlclosecheck // they live as long as the store
			return err
		}
	}
	return nil
}
