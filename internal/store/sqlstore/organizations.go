package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

var organizationObjects = &objectTable[directory.Organization]{
	name: "objects", owner: "org_id",
	kinds: []kind[directory.Organization]{
		single(1, func(o *directory.Organization) *directory.AuthConfig { return &o.AuthConfig },
			func(c *directory.AuthConfig) (created, changed *time.Time) { return &c.WhenCreated, &c.WhenChanged }),
		single(2, func(o *directory.Organization) *directory.AvailabilityConfig { return &o.AvailabilityConfig }, nil),
		list(3, func(o *directory.Organization) *[]directory.AcceptedDomain { return &o.AcceptedDomains },
			traits[directory.AcceptedDomain]{common: func(v *directory.AcceptedDomain) *directory.Common { return &v.Common }}),
		list(4, func(o *directory.Organization) *[]directory.Certificate { return &o.Certificates },
			traits[directory.Certificate]{
				id:     func(v *directory.Certificate) string { return v.Thumbprint },
				secret: func(v *directory.Certificate) *directory.Secret { return &v.Key },
			}),
		list(5, func(o *directory.Organization) *[]directory.AuthServer { return &o.AuthServers },
			traits[directory.AuthServer]{common: func(v *directory.AuthServer) *directory.Common { return &v.Common }}),
		list(6, func(o *directory.Organization) *[]directory.PartnerApplication { return &o.PartnerApplications },
			traits[directory.PartnerApplication]{common: func(v *directory.PartnerApplication) *directory.Common { return &v.Common }}),
		list(7, func(o *directory.Organization) *[]directory.IntraOrganizationConnector { return &o.Connectors },
			traits[directory.IntraOrganizationConnector]{common: func(v *directory.IntraOrganizationConnector) *directory.Common { return &v.Common }}),
		list(8, func(o *directory.Organization) *[]directory.OrganizationRelationship { return &o.Relationships },
			traits[directory.OrganizationRelationship]{common: func(v *directory.OrganizationRelationship) *directory.Common { return &v.Common }}),
		list(9, func(o *directory.Organization) *[]directory.AvailabilityAddressSpace { return &o.AddressSpaces },
			traits[directory.AvailabilityAddressSpace]{
				common: func(v *directory.AvailabilityAddressSpace) *directory.Common { return &v.Common },
				secret: func(v *directory.AvailabilityAddressSpace) *directory.Secret { return &v.Password },
			}),
		list(10, func(o *directory.Organization) *[]directory.Server { return &o.Servers },
			traits[directory.Server]{common: func(v *directory.Server) *directory.Common { return &v.Common }}),
		list(11, func(o *directory.Organization) *[]directory.LinkedUser { return &o.LinkedUsers },
			traits[directory.LinkedUser]{common: func(v *directory.LinkedUser) *directory.Common { return &v.Common }}),
	},
}

// Organization returns the current snapshot: shared, and not to be changed.
func (s *Store) Organization(ctx context.Context, id directory.OrgID) (*directory.Organization, error) {
	var version int64
	switch err := s.stmts.organizationVersion.QueryRowContext(ctx, string(id)).Scan(&version); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fmt.Errorf("organization %s: %w", id, directory.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("organization %s: %w", id, err)
	}
	return s.organization(ctx, id, version)
}

// organization returns the cached snapshot when it has the version, else reads it.
func (s *Store) organization(ctx context.Context, id directory.OrgID, version int64) (*directory.Organization, error) {
	s.mu.RLock()
	o := s.orgs[id]
	s.mu.RUnlock()
	if o != nil && o.Version == version {
		return o, nil
	}
	tx, err := s.moment(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	if o, _, err = s.loadOrganization(ctx, tx, id); err != nil {
		return nil, err
	}
	s.keepOrganization(o)
	return o, nil
}

func (s *Store) keepOrganization(o *directory.Organization) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.orgs[o.ID]; was == nil || was.Version < o.Version {
		s.orgs[o.ID] = o
	}
}

func (s *Store) loadOrganization(ctx context.Context, q querier, id directory.OrgID) (*directory.Organization, []object, error) {
	o := &directory.Organization{ID: id}
	err := q.QueryRowContext(ctx, `SELECT name, tenant, version FROM organizations WHERE org_id = $1`, string(id)).Scan(&o.Name, &o.Tenant, &o.Version)
	if errors.Is(err, sql.ErrNoRows) {
		err = directory.ErrNotFound
	}
	var rows []object
	if err == nil {
		rows, err = organizationObjects.rows(ctx, q, s.sealer, string(id))
	}
	if err == nil {
		err = organizationObjects.decode(o, rows)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("organization %s: %w", id, err)
	}
	return o, rows, nil
}

// Organizations returns the snapshots of all organizations, by name.
func (s *Store) Organizations(ctx context.Context) ([]*directory.Organization, error) {
	return s.organizations(ctx, s.stmts.organizations)
}

// OrganizationsAt returns the organizations with a server of that host name, by
// name. There may be none. The slice is shared, and not to be changed.
func (s *Store) OrganizationsAt(ctx context.Context, host string) ([]*directory.Organization, error) {
	host = strings.ToLower(host)
	return s.hosts.get(s, host, func() ([]*directory.Organization, int, error) {
		list, err := s.organizations(ctx, s.stmts.organizationsAt, host)
		if len(list) == 0 { // anybody can name hosts that are not served
			return nil, notKept, err
		}
		return list, len(host) + 8*len(list), err
	})
}

func (s *Store) organizations(ctx context.Context, stmt *sql.Stmt, args ...any) ([]*directory.Organization, error) {
	type at struct {
		id      directory.OrgID
		version int64
	}
	var found []at
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a at
		if err := rows.Scan(&a.id, &a.version); err != nil {
			return nil, err
		}
		found = append(found, a)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	out := make([]*directory.Organization, len(found))
	for i, a := range found {
		if out[i], err = s.organization(ctx, a.id, a.version); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// OrganizationByDomain returns the organization that accepts mail for the
// domain: by the domain itself, else by a "*." above it, the nearest first.
func (s *Store) OrganizationByDomain(ctx context.Context, domain string) (*directory.Organization, error) {
	d, err := smtpaddr.ParseDomain(domain)
	if err != nil {
		return nil, fmt.Errorf("organization of %w", err)
	}
	o, err := s.organizationBy(ctx, s.stmts.organizationByDomain, d)
	for above := d; errors.Is(err, directory.ErrNotFound); {
		var more bool
		if _, above, more = strings.Cut(above, "."); !more {
			return nil, fmt.Errorf("organization of domain %q: %w", domain, directory.ErrNotFound)
		}
		o, err = s.organizationBy(ctx, s.stmts.organizationByDomain, "*."+above)
	}
	return o, err
}

// OrganizationByTenant returns the hosted organization with the tenant GUID.
func (s *Store) OrganizationByTenant(ctx context.Context, tenant string) (*directory.Organization, error) {
	tenant = strings.ToLower(tenant)
	if tenant == "" {
		return nil, fmt.Errorf("organization of tenant %q: %w", tenant, directory.ErrNotFound)
	}
	return s.organizationBy(ctx, s.stmts.organizationByTenant, tenant)
}

func (s *Store) organizationBy(ctx context.Context, stmt *sql.Stmt, key string) (*directory.Organization, error) {
	var id directory.OrgID
	var version int64
	switch err := stmt.QueryRowContext(ctx, key).Scan(&id, &version); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fmt.Errorf("organization of %q: %w", key, directory.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("organization of %q: %w", key, err)
	}
	return s.organization(ctx, id, version)
}

// CreateOrganization keeps a new organization. It sets the version, and GUID
// and times of objects that have none. A name, tenant or domain that another
// organization has is ErrExists.
func (s *Store) CreateOrganization(ctx context.Context, o *directory.Organization) error {
	return s.Change(ctx, func(tx *Tx) error { return tx.CreateOrganization(ctx, o) })
}

// UpdateOrganization gives fn a copy of the organization to change, validates
// it and writes what differs, in one transaction. GUID and times of new and
// changed objects are set here. When nothing differs, nothing is written and
// the version stays.
func (s *Store) UpdateOrganization(ctx context.Context, id directory.OrgID, fn func(*directory.Organization) error) (o *directory.Organization, err error) {
	err = s.Change(ctx, func(tx *Tx) error {
		o, err = tx.UpdateOrganization(ctx, id, fn)
		return err
	})
	return o, err
}

// UpdateAuthServer is UpdateOrganization for one authorization server, by name.
func (s *Store) UpdateAuthServer(ctx context.Context, org directory.OrgID, name string, fn func(*directory.AuthServer) error) error {
	_, err := s.UpdateOrganization(ctx, org, func(o *directory.Organization) error {
		i := slices.IndexFunc(o.AuthServers, func(a directory.AuthServer) bool { return a.Name == name })
		if i < 0 {
			return fmt.Errorf("auth server %q: %w", name, directory.ErrNotFound)
		}
		return fn(&o.AuthServers[i])
	})
	return err
}

// CreateOrganization is that of Store, in this transaction.
func (t *Tx) CreateOrganization(ctx context.Context, o *directory.Organization) error {
	fresh := o.Clone()
	fresh.Version = 1
	if err := organizationObjects.stamp(fresh, nil, nil, t.now); err != nil {
		return err
	}
	if err := fresh.Validate(); err != nil {
		return fmt.Errorf("create organization: %w", err)
	}
	_, err := t.tx.ExecContext(ctx, `INSERT INTO organizations (org_id, name, name_key, tenant, version) VALUES ($1, $2, $3, $4, $5)`,
		string(fresh.ID), fresh.Name, directory.FoldKey(fresh.Name), fresh.Tenant, fresh.Version)
	if err != nil {
		return fmt.Errorf("create organization %q: id, name or tenant: %w", fresh.Name, t.taken(err))
	}
	if err := t.saveOrganization(ctx, &directory.Organization{}, fresh, nil); err != nil {
		return fmt.Errorf("create organization %q: %w", fresh.Name, err)
	}
	*o = *fresh.Clone()
	return nil
}

// UpdateOrganization is that of Store, in this transaction.
func (t *Tx) UpdateOrganization(ctx context.Context, id directory.OrgID, fn func(*directory.Organization) error) (*directory.Organization, error) {
	return t.changeOrganization(ctx, id, true, fn)
}

// RestoreOrganization is UpdateOrganization for objects that become what they
// were: identity and times are those that fn gives them.
func (t *Tx) RestoreOrganization(ctx context.Context, id directory.OrgID, fn func(*directory.Organization) error) (*directory.Organization, error) {
	return t.changeOrganization(ctx, id, false, fn)
}

func (t *Tx) changeOrganization(ctx context.Context, id directory.OrgID, stamp bool, fn func(*directory.Organization) error) (*directory.Organization, error) {
	old, rows, err := t.s.loadOrganization(ctx, t.tx, id)
	if err != nil {
		return nil, err
	}
	fresh := old.Clone()
	if err := fn(fresh); err != nil {
		return nil, err
	}
	fresh.ID, fresh.Version = old.ID, old.Version
	if stamp {
		if err := organizationObjects.stamp(fresh, old, rows, t.now); err != nil {
			return nil, err
		}
	}
	if err := fresh.Validate(); err != nil {
		return nil, err
	}
	if err := t.saveOrganization(ctx, old, fresh, rows); err != nil {
		return nil, fmt.Errorf("organization %q: %w", fresh.Name, err)
	}
	return fresh, nil
}

// saveOrganization writes what differs, and the new version if anything does.
func (t *Tx) saveOrganization(ctx context.Context, old, fresh *directory.Organization, rows []object) error {
	id := string(fresh.ID)
	changed, err := organizationObjects.save(ctx, t.tx, t.s.sealer, id, fresh, rows)
	if err != nil {
		return err
	}
	if err := t.saveKeys(ctx, "organization_domains", "domain", "org_id", id, domainsOf(old), domainsOf(fresh)); err != nil {
		return err
	}
	if err := t.saveKeys(ctx, "organization_hosts", "host", "org_id", id, hostsOf(old), hostsOf(fresh)); err != nil {
		return err
	}
	if old.Version == 0 {
		return nil // created, not changed
	}
	if !changed && old.Name == fresh.Name && old.Tenant == fresh.Tenant {
		return nil
	}
	fresh.Version++
	if _, err := t.tx.ExecContext(ctx, `UPDATE organizations SET name = $2, name_key = $3, tenant = $4, version = $5 WHERE org_id = $1`,
		id, fresh.Name, directory.FoldKey(fresh.Name), fresh.Tenant, fresh.Version); err != nil {
		return fmt.Errorf("name or tenant: %w", t.taken(err))
	}
	return nil
}

// saveKeys brings a table of look-up keys from old to fresh.
func (t *Tx) saveKeys(ctx context.Context, table, column, owner, id string, old, fresh map[string]bool) error {
	for k := range old {
		if !fresh[k] {
			if _, err := t.tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %s WHERE %s = $1 AND %s = $2`, table, column, owner), k, id); err != nil {
				return err
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(fresh)) {
		if !old[k] {
			if _, err := t.tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO %s (%s, %s) VALUES ($1, $2)`, table, column, owner), k, id); err != nil {
				return fmt.Errorf("%s %q: %w", column, k, t.taken(err))
			}
		}
	}
	return nil
}

func domainsOf(o *directory.Organization) map[string]bool {
	m := map[string]bool{}
	for i := range o.AcceptedDomains {
		m[o.AcceptedDomains[i].DomainName] = true
	}
	return m
}

func hostsOf(o *directory.Organization) map[string]bool {
	m := map[string]bool{}
	for i := range o.Servers {
		for _, h := range o.Servers[i].HostNames {
			m[h] = true
		}
	}
	return m
}

// FillLinkedUsers makes the linked users that partner applications name, with all
// roles, for until now the name alone gave them. Part of migration 12.
func FillLinkedUsers(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT org_id, body FROM objects WHERE kind = 6 ORDER BY org_id, position, object_id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	// The rows are read to the end first: a connection does one thing at a time.
	type named struct{ org, name string }
	var list []named
	known := map[named]bool{}
	for rows.Next() {
		var org string
		var body []byte
		var p directory.PartnerApplication
		if err := rows.Scan(&org, &body); err != nil {
			return err
		}
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		name := p.LinkedAccount[strings.LastIndex(p.LinkedAccount, "/")+1:]
		if key := (named{org, directory.FoldKey(name)}); name != "" && !known[key] {
			known[key] = true
			list = append(list, named{org, name})
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for i, v := range list {
		u := directory.LinkedUser{Common: directory.Common{Name: v.name, GUID: uuid.NewString()}, Roles: directory.ApplicationRoles()}
		body, err := json.Marshal(u)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO objects (org_id, kind, object_id, position, body, sealed) VALUES ($1, 11, $2, $3, $4, '')`, v.org, u.GUID, i+1, body); err != nil {
			return err
		}
	}
	return nil
}
