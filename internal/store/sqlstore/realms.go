package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

// realmByKey finds a realm by its id or a verified domain; one cannot look like the other.
const realmByKey = `SELECT realm_id, version FROM realms WHERE realm_id = $1
	UNION ALL SELECT r.realm_id, r.version FROM realm_domains d JOIN realms r ON r.realm_id = d.realm_id WHERE d.domain = $1`

var realmObjects = &objectTable[directory.Realm]{
	name: "realm_objects", owner: "realm_id",
	kinds: []kind[directory.Realm]{
		list(1, func(r *directory.Realm) *[]directory.VerifiedDomain { return &r.Domains },
			traits[directory.VerifiedDomain]{id: func(d *directory.VerifiedDomain) string { return d.Name }}),
		list(2, func(r *directory.Realm) *[]directory.ServicePrincipal { return &r.Principals },
			traits[directory.ServicePrincipal]{id: func(p *directory.ServicePrincipal) string { return p.ObjectID }}),
		single(3, func(r *directory.Realm) *[]string { return &r.ServiceHosts }, nil),
	},
}

// Realm returns the current snapshot of the realm with the GUID or the verified
// domain: shared, and not to be changed.
func (s *Store) Realm(ctx context.Context, idOrDomain string) (*directory.Realm, error) {
	key := strings.ToLower(idOrDomain)
	if !directory.IsGUID(key) {
		var err error
		if key, err = smtpaddr.ParseDomain(idOrDomain); err != nil {
			return nil, fmt.Errorf("realm of %w: %w", err, directory.ErrNotFound)
		}
	}
	return s.realmsBy.get(s, key, func() (*directory.Realm, int, error) {
		var id string
		var version int64
		if err := s.stmts.realm.QueryRowContext(ctx, key).Scan(&id, &version); err != nil {
			return nil, 0, fmt.Errorf("realm %q: %w", idOrDomain, missing(err))
		}
		r, err := s.realm(ctx, id, version)
		return r, len(key), err
	})
}

func (s *Store) realm(ctx context.Context, id string, version int64) (*directory.Realm, error) {
	s.mu.RLock()
	r := s.realms[id]
	s.mu.RUnlock()
	if r != nil && r.Version == version {
		return r, nil
	}
	tx, err := s.moment(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	if r, _, err = s.loadRealm(ctx, tx, id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.realms[id]; was == nil || was.Version < r.Version {
		s.realms[id] = r
	}
	return r, nil
}

func (s *Store) loadRealm(ctx context.Context, q querier, id string) (*directory.Realm, []object, error) {
	r := &directory.Realm{ID: id}
	err := missing(q.QueryRowContext(ctx, `SELECT name, version FROM realms WHERE realm_id = $1`, id).Scan(&r.Name, &r.Version))
	var rows []object
	if err == nil {
		rows, err = realmObjects.rows(ctx, q, s.sealer, id)
	}
	if err == nil {
		err = realmObjects.decode(r, rows)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("realm %s: %w", id, err)
	}
	return r, rows, nil
}

// Realms returns the snapshots of all realms, by name.
func (s *Store) Realms(ctx context.Context) ([]*directory.Realm, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT realm_id FROM realms ORDER BY name, realm_id`)
	if err != nil {
		return nil, fmt.Errorf("realms: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("realms: %w", err)
		}
		ids = append(ids, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("realms: %w", err)
	}
	out := make([]*directory.Realm, len(ids))
	for i, id := range ids {
		if out[i], err = s.Realm(ctx, id); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// CreateRealm keeps a new realm and sets its version. A domain that another
// realm has is ErrExists.
func (s *Store) CreateRealm(ctx context.Context, r *directory.Realm) error {
	return s.Change(ctx, func(tx *Tx) error { return tx.CreateRealm(ctx, r) })
}

// UpdateRealm gives fn a copy of the realm to change, validates it and writes
// what differs, in one transaction.
func (s *Store) UpdateRealm(ctx context.Context, id string, fn func(*directory.Realm) error) (r *directory.Realm, err error) {
	err = s.Change(ctx, func(tx *Tx) error {
		r, err = tx.UpdateRealm(ctx, id, fn)
		return err
	})
	return r, err
}

// CreateRealm is that of Store, in this transaction.
func (t *Tx) CreateRealm(ctx context.Context, r *directory.Realm) error {
	fresh := r.Clone()
	fresh.Version = 1
	if err := fresh.Validate(); err != nil {
		return fmt.Errorf("create realm: %w", err)
	}
	if _, err := t.tx.ExecContext(ctx, `INSERT INTO realms (realm_id, name, version) VALUES ($1, $2, $3)`, fresh.ID, fresh.Name, fresh.Version); err != nil {
		return fmt.Errorf("create realm %s: %w", fresh.ID, t.taken(err))
	}
	if err := t.saveRealm(ctx, &directory.Realm{}, fresh, nil); err != nil {
		return fmt.Errorf("create realm %s: %w", fresh.ID, err)
	}
	*r = *fresh
	return nil
}

// UpdateRealm is that of Store, in this transaction.
func (t *Tx) UpdateRealm(ctx context.Context, id string, fn func(*directory.Realm) error) (*directory.Realm, error) {
	old, rows, err := t.s.loadRealm(ctx, t.tx, id)
	if err != nil {
		return nil, err
	}
	fresh := old.Clone()
	if err := fn(fresh); err != nil {
		return nil, err
	}
	fresh.ID, fresh.Version = old.ID, old.Version
	if err := fresh.Validate(); err != nil {
		return nil, err
	}
	if err := t.saveRealm(ctx, old, fresh, rows); err != nil {
		return nil, fmt.Errorf("realm %s: %w", id, err)
	}
	return fresh, nil
}

func (t *Tx) saveRealm(ctx context.Context, old, fresh *directory.Realm, rows []object) error {
	changed, err := realmObjects.save(ctx, t.tx, t.s.sealer, fresh.ID, fresh, rows)
	if err != nil {
		return err
	}
	domains := func(r *directory.Realm) map[string]bool {
		m := map[string]bool{}
		for i := range r.Domains {
			m[r.Domains[i].Name] = true
		}
		return m
	}
	if err := t.saveKeys(ctx, "realm_domains", "domain", "realm_id", fresh.ID, domains(old), domains(fresh)); err != nil {
		return err
	}
	if old.Version == 0 || !changed && old.Name == fresh.Name {
		return nil
	}
	fresh.Version++
	_, err = t.tx.ExecContext(ctx, `UPDATE realms SET name = $2, version = $3 WHERE realm_id = $1`, fresh.ID, fresh.Name, fresh.Version)
	return err
}

// authoritySetting is the row of table settings that holds the AuthorityConfig.
const authoritySetting = "authority"

type authoritySnapshot struct {
	version int64
	config  *directory.AuthorityConfig
}

// AuthorityConfig returns the configuration of the authorization server: shared,
// and not to be changed. It is ErrNotFound until it was set.
func (s *Store) AuthorityConfig(ctx context.Context) (*directory.AuthorityConfig, error) {
	return s.configs.get(s, struct{}{}, func() (*directory.AuthorityConfig, int, error) {
		c, err := s.readAuthorityConfig(ctx)
		return c, 0, err
	})
}

func (s *Store) readAuthorityConfig(ctx context.Context) (*directory.AuthorityConfig, error) {
	s.mu.RLock()
	was := s.authority
	s.mu.RUnlock()
	is, err := s.scanAuthority(s.stmts.setting.QueryRowContext(ctx, authoritySetting, was.version), was)
	if err != nil {
		return nil, fmt.Errorf("authority configuration: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.authority.version < is.version {
		s.authority = is
	}
	return is.config, nil
}

// scanAuthority reads the row, or returns was when it has the same version.
func (s *Store) scanAuthority(row *sql.Row, was authoritySnapshot) (authoritySnapshot, error) {
	var body []byte
	var sealed string
	is := authoritySnapshot{config: &directory.AuthorityConfig{}}
	if err := row.Scan(&is.version, &body, &sealed); err != nil {
		return was, missing(err)
	}
	if was.config != nil && was.version == is.version {
		return was, nil
	}
	if err := json.Unmarshal(body, is.config); err != nil {
		return was, err
	}
	keys, err := s.sealer.open(authoritySetting, sealed)
	if err == nil && len(keys) != len(is.config.Certificates) {
		err = fmt.Errorf("%d keys for %d certificates", len(keys), len(is.config.Certificates))
	}
	if err != nil {
		return was, err
	}
	for i := range keys {
		is.config.Certificates[i].Key = keys[i]
	}
	return is, nil
}

// SetAuthorityConfig replaces the configuration of the authorization server.
func (s *Store) SetAuthorityConfig(ctx context.Context, a *directory.AuthorityConfig) error {
	return s.Change(ctx, func(tx *Tx) error { return tx.SetAuthorityConfig(ctx, a) })
}

// SetAuthorityConfig is that of Store, in this transaction.
func (t *Tx) SetAuthorityConfig(ctx context.Context, a *directory.AuthorityConfig) error {
	if err := a.Validate(); err != nil {
		return fmt.Errorf("set authority configuration: %w", err)
	}
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	keys := make([]directory.Secret, len(a.Certificates))
	for i := range a.Certificates {
		keys[i] = a.Certificates[i].Key
	}
	sealed, err := t.s.sealer.seal(authoritySetting, keys)
	if err != nil {
		return err
	}
	_, err = t.tx.ExecContext(ctx, `INSERT INTO settings (name, version, body, sealed) VALUES ($1, 1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET version = settings.version + 1, body = excluded.body, sealed = excluded.sealed`, authoritySetting, string(body), sealed)
	if err != nil {
		return fmt.Errorf("set authority configuration: %w", err)
	}
	return nil
}
