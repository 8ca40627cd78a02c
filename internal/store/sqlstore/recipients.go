package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/google/uuid"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

const (
	recipientByAddress = `SELECT r.recipient_id, r.body FROM addresses a
		JOIN recipients r ON r.org_id = a.org_id AND r.recipient_id = a.recipient_id WHERE a.org_id = $1 AND a.address = $2`
	addressOf     = `SELECT recipient_id FROM addresses WHERE org_id = $1 AND address = $2`
	recipientByID = `SELECT recipient_id, body FROM recipients WHERE org_id = $1 AND recipient_id = $2`
	recipientPage = `SELECT recipient_id, body FROM recipients
		WHERE org_id = $1 AND (name_key, recipient_id) > ($2, $3) ORDER BY name_key, recipient_id LIMIT $4`
	recipientsByName = `SELECT r.recipient_id, r.body FROM recipient_names n
		JOIN recipients r ON r.org_id = n.org_id AND r.recipient_id = n.recipient_id WHERE n.org_id = $1 AND n.name_key = $2`
	recipientOfUPN   = `SELECT recipient_id FROM recipients WHERE org_id = $1 AND upn_key = $2 AND upn_key <> '' AND recipient_id <> $3`
	recipientsNaming = `SELECT recipient_id, body FROM recipients WHERE org_id = $1 AND body LIKE $2 ESCAPE '!'`
)

// page is the number of rows that a stream reads at once. Between pages it
// holds no connection, so that its reader may use the store.
const page = 500

// A recipientKey is one of a recipient's names: an address or a user principal name.
type recipientKey struct {
	org     directory.OrgID
	address smtpaddr.Address
	upn     string
}

// Recipient returns the recipient with the address, its primary or another:
// shared, and not to be changed. That there is none is remembered, too: questions
// for other organizations ask for it each time.
func (s *Store) Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error) {
	r, err := s.remembered(recipientKey{org: org, address: a}, len(a.String()), func() scanner { return s.atAddress(ctx, org, a) })
	if err != nil {
		return nil, fmt.Errorf("recipient %s: %w", a, err)
	}
	return r, nil
}

// A scanner is a row.
type scanner interface{ Scan(into ...any) error }

// remembered is what is kept for k, which has size bytes, or what the row says.
func (s *Store) remembered(k recipientKey, size int, row func() scanner) (*directory.Recipient, error) {
	r, err := s.recipients.get(s, k, func() (*directory.Recipient, int, error) {
		var id string
		var body []byte
		err := row().Scan(&id, &body)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, len(k.org) + size, nil
		}
		var r *directory.Recipient
		if err == nil {
			r, err = decodeRecipient(k.org, id, body)
		}
		return r, 3 * len(body), err
	})
	if err == nil && r == nil {
		err = directory.ErrNotFound
	}
	return r, err
}

// atAddress is the row of the recipient. Where mailboxes are in different places, it
// asks first for which: to ask all of them costs more.
func (s *Store) atAddress(ctx context.Context, org directory.OrgID, a smtpaddr.Address) scanner {
	if !s.db.Spread {
		return s.stmts.recipient.QueryRowContext(ctx, string(org), a.String())
	}
	var id string
	if err := s.stmts.address.QueryRowContext(ctx, string(org), a.String()).Scan(&id); err != nil {
		return failed{err}
	}
	return s.stmts.recipientByID.QueryRowContext(ctx, string(org), id)
}

// failed is a row that cannot be read.
type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

// DirectoryMark is another number whenever a recipient may have changed since: at
// once for a change through this Store, and soon for one by another process.
// While a change is committed, ok is false.
func (s *Store) DirectoryMark() (mark uint64, ok bool) { return s.mark() }

// RecipientKnown is Recipient without reading: known is false where it is not in
// memory, r nil where there is none.
func (s *Store) RecipientKnown(org directory.OrgID, a smtpaddr.Address) (r *directory.Recipient, known bool) {
	return s.recipients.known(s, recipientKey{org: org, address: a})
}

// RecipientByID returns the recipient with the GUID.
func (s *Store) RecipientByID(ctx context.Context, org directory.OrgID, id string) (*directory.Recipient, error) {
	r, err := scanRecipient(org, s.stmts.recipientByID.QueryRowContext(ctx, string(org), id))
	if err != nil {
		return nil, fmt.Errorf("recipient %s: %w", id, err)
	}
	return r, nil
}

// RecipientByUPN returns the recipient with the user principal name, as Recipient does.
func (s *Store) RecipientByUPN(ctx context.Context, org directory.OrgID, upn string) (*directory.Recipient, error) {
	name := strings.ToLower(upn)
	r, err := s.remembered(recipientKey{org: org, upn: name}, len(name), func() scanner { return s.stmts.recipientByUPN.QueryRowContext(ctx, string(org), name) })
	if err != nil {
		return nil, fmt.Errorf("recipient with user principal name %q: %w", upn, err)
	}
	return r, nil
}

func scanRecipient(org directory.OrgID, row *sql.Row) (*directory.Recipient, error) {
	var id string
	var body []byte
	if err := row.Scan(&id, &body); err != nil {
		return nil, missing(err)
	}
	return decodeRecipient(org, id, body)
}

func decodeRecipient(org directory.OrgID, id string, body []byte) (*directory.Recipient, error) {
	r := &directory.Recipient{}
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("row %s: %w", id, err)
	}
	r.Org, r.ID = org, id
	return r, nil
}

// Recipients streams the recipients of the organization by display name. Those
// that are added or renamed meanwhile may be left out.
func (s *Store) Recipients(ctx context.Context, org directory.OrgID) iter.Seq2[*directory.Recipient, error] {
	return func(yield func(*directory.Recipient, error) bool) {
		var name, id string
		for {
			list, err := queryRecipients(ctx, s.read, org, recipientPage, name, id, page)
			if err != nil {
				yield(nil, fmt.Errorf("recipients of %s: %w", org, err))
				return
			}
			for _, r := range list {
				name, id = directory.FoldKey(r.DisplayName), r.ID
				if !yield(r, nil) {
					return
				}
			}
			if len(list) < page {
				return
			}
		}
	}
}

// queryRecipients reads what the query returns: ids and bodies of the organization.
func queryRecipients(ctx context.Context, q querier, org directory.OrgID, query string, args ...any) ([]*directory.Recipient, error) {
	rows, err := q.QueryContext(ctx, query, append([]any{string(org)}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*directory.Recipient
	for rows.Next() {
		var id string
		var body []byte
		if err := rows.Scan(&id, &body); err != nil {
			return nil, err
		}
		r, err := decodeRecipient(org, id, body)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// RecipientsByName returns the recipients with that name ([directory.Recipient.Names]), in any order.
func (s *Store) RecipientsByName(ctx context.Context, org directory.OrgID, name string) ([]*directory.Recipient, error) {
	return byName(ctx, s.read, org, name)
}

func byName(ctx context.Context, q querier, org directory.OrgID, name string) ([]*directory.Recipient, error) {
	list, err := queryRecipients(ctx, q, org, recipientsByName, directory.FoldKey(name))
	if err != nil {
		return nil, fmt.Errorf("recipients named %q: %w", name, err)
	}
	return list, nil
}

// CreateRecipient keeps a new recipient and sets its times, and its ID when it
// has none. An address or user principal name that is there is ErrExists.
func (s *Store) CreateRecipient(ctx context.Context, r *directory.Recipient) error {
	return s.Change(ctx, func(tx *Tx) error { return tx.CreateRecipient(ctx, r) })
}

// UpdateRecipient gives fn a copy to change, validates it and writes it when it
// differs. Organization and ID stay.
func (s *Store) UpdateRecipient(ctx context.Context, org directory.OrgID, id string, fn func(*directory.Recipient) error) (r *directory.Recipient, err error) {
	err = s.Change(ctx, func(tx *Tx) error {
		r, err = tx.UpdateRecipient(ctx, org, id, fn)
		return err
	})
	return r, err
}

// DeleteRecipient removes the recipient and everything that is kept for it.
func (s *Store) DeleteRecipient(ctx context.Context, org directory.OrgID, id string) error {
	return s.Change(ctx, func(tx *Tx) error { return tx.DeleteRecipient(ctx, org, id) })
}

// Recipient is that of Store, as this transaction sees it.
func (t *Tx) Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error) {
	r, err := scanRecipient(org, t.tx.QueryRowContext(ctx, recipientByAddress, string(org), a.String()))
	if err != nil {
		return nil, fmt.Errorf("recipient %s: %w", a, err)
	}
	return r, nil
}

// RecipientsByName is that of Store, as this transaction sees it.
func (t *Tx) RecipientsByName(ctx context.Context, org directory.OrgID, name string) ([]*directory.Recipient, error) {
	return byName(ctx, t.tx, org, name)
}

// RecipientsNaming returns the recipients that hold the address in any of their
// fields: as their own, as a member, in a permission.
func (t *Tx) RecipientsNaming(ctx context.Context, org directory.OrgID, a smtpaddr.Address) ([]*directory.Recipient, error) {
	text, err := json.Marshal(a.String())
	if err != nil {
		return nil, err
	}
	like := "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(string(text)) + "%"
	list, err := queryRecipients(ctx, t.tx, org, recipientsNaming, like)
	if err != nil {
		return nil, fmt.Errorf("recipients that name %s: %w", a, err)
	}
	return list, nil
}

// AddressIn returns an address or user principal name of the organization whose
// domain the pattern covers ([directory.MatchDomain]), and no other pattern of
// besides; "" when there is none.
func (t *Tx) AddressIn(ctx context.Context, org directory.OrgID, pattern string, besides ...string) (string, error) {
	rows, err := t.tx.QueryContext(ctx, `SELECT address FROM addresses WHERE org_id = $1
		UNION SELECT upn_key FROM recipients WHERE org_id = $1 AND upn_key <> ''`, string(org))
	if err != nil {
		return "", fmt.Errorf("addresses of %s: %w", org, err)
	}
	defer rows.Close()
	for rows.Next() {
		var a string
		if err := rows.Scan(&a); err != nil {
			return "", fmt.Errorf("addresses of %s: %w", org, err)
		}
		domain := a[strings.LastIndexByte(a, '@')+1:]
		if directory.MatchDomain(pattern, domain) && !slices.ContainsFunc(besides, func(p string) bool { return directory.MatchDomain(p, domain) }) {
			return a, nil
		}
	}
	return "", rows.Err()
}

// CreateRecipient is that of Store, in this transaction.
func (t *Tx) CreateRecipient(ctx context.Context, r *directory.Recipient) error {
	fresh := r.Clone()
	if fresh.ID == "" {
		fresh.ID = uuid.NewString()
	}
	fresh.WhenCreated, fresh.WhenChanged = t.now, t.now
	if err := fresh.Validate(); err != nil {
		return fmt.Errorf("create recipient: %w", err)
	}
	body, err := json.Marshal(fresh)
	if err != nil {
		return err
	}
	if err = t.freeUPN(ctx, fresh); err == nil {
		_, err = t.tx.ExecContext(ctx, `INSERT INTO recipients (org_id, recipient_id, name_key, upn_key, body) VALUES ($1, $2, $3, $4, $5)`,
			string(fresh.Org), fresh.ID, directory.FoldKey(fresh.DisplayName), fresh.UPN, string(body))
	}
	if err != nil {
		return fmt.Errorf("create recipient %s: id or user principal name %q: %w", fresh.Primary, fresh.UPN, t.taken(err))
	}
	if err := t.saveAddresses(ctx, &directory.Recipient{}, fresh); err != nil {
		return fmt.Errorf("create recipient %s: %w", fresh.Primary, err)
	}
	*r = *fresh
	return nil
}

// UpdateRecipient is that of Store, in this transaction.
func (t *Tx) UpdateRecipient(ctx context.Context, org directory.OrgID, id string, fn func(*directory.Recipient) error) (*directory.Recipient, error) {
	old, err := scanRecipient(org, t.tx.QueryRowContext(ctx, recipientByID, string(org), id))
	if err != nil {
		return nil, fmt.Errorf("recipient %s: %w", id, err)
	}
	fresh := old.Clone()
	if err := fn(fresh); err != nil {
		return nil, err
	}
	fresh.Org, fresh.ID, fresh.WhenCreated, fresh.WhenChanged = old.Org, old.ID, old.WhenCreated, old.WhenChanged
	was, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	if is, err := json.Marshal(fresh); err != nil || string(is) == string(was) {
		return old, err
	}
	fresh.WhenChanged = t.now
	if err := fresh.Validate(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(fresh)
	if err != nil {
		return nil, err
	}
	if fresh.UPN != old.UPN {
		err = t.freeUPN(ctx, fresh)
	}
	if err == nil {
		_, err = t.tx.ExecContext(ctx, `UPDATE recipients SET name_key = $3, upn_key = $4, body = $5 WHERE org_id = $1 AND recipient_id = $2`,
			string(org), id, directory.FoldKey(fresh.DisplayName), fresh.UPN, string(body))
	}
	if err != nil {
		return nil, fmt.Errorf("recipient %s: user principal name %q: %w", fresh.Primary, fresh.UPN, t.taken(err))
	}
	if err := t.saveAddresses(ctx, old, fresh); err != nil {
		return nil, fmt.Errorf("recipient %s: %w", fresh.Primary, err)
	}
	return fresh, nil
}

// freeUPN holds the unique key of user principal names where the database cannot.
func (t *Tx) freeUPN(ctx context.Context, r *directory.Recipient) error {
	if !t.s.db.Spread {
		return nil
	}
	var other string
	err := t.tx.QueryRowContext(ctx, recipientOfUPN, string(r.Org), r.UPN, r.ID).Scan(&other)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err == nil:
		return directory.ErrExists
	}
	return err
}

func addressesOf(r *directory.Recipient) map[string]bool {
	m := map[string]bool{}
	for _, a := range append([]smtpaddr.Address{r.Primary}, r.Proxies...) {
		if !a.IsZero() {
			m[a.String()] = true
		}
	}
	return m
}

// saveAddresses brings the tables of addresses and names from old to fresh.
func (t *Tx) saveAddresses(ctx context.Context, old, fresh *directory.Recipient) error {
	was, is := addressesOf(old), addressesOf(fresh)
	for a := range was {
		if !is[a] {
			if _, err := t.tx.ExecContext(ctx, `DELETE FROM addresses WHERE org_id = $1 AND address = $2`, string(fresh.Org), a); err != nil {
				return err
			}
		}
	}
	for a := range is {
		if !was[a] {
			if _, err := t.tx.ExecContext(ctx, `INSERT INTO addresses (org_id, address, recipient_id) VALUES ($1, $2, $3)`, string(fresh.Org), a, fresh.ID); err != nil {
				return fmt.Errorf("address %s: %w", a, t.taken(err))
			}
		}
	}
	return saveNames(ctx, t.tx, old.Names(), fresh)
}

func saveNames(ctx context.Context, tx *sql.Tx, was []string, r *directory.Recipient) error {
	is := r.Names()
	for _, n := range was {
		if !slices.Contains(is, n) {
			if _, err := tx.ExecContext(ctx, `DELETE FROM recipient_names WHERE org_id = $1 AND name_key = $2 AND recipient_id = $3`, string(r.Org), n, r.ID); err != nil {
				return err
			}
		}
	}
	for _, n := range is {
		if !slices.Contains(was, n) {
			if _, err := tx.ExecContext(ctx, `INSERT INTO recipient_names (org_id, name_key, recipient_id) VALUES ($1, $2, $3)`, string(r.Org), n, r.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// FillNames is schema version 4 of SQLite: the names of recipients that were kept before
// there was a table for them.
func FillNames(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT org_id, recipient_id, body FROM recipients`)
	if err != nil {
		return err
	}
	defer rows.Close()
	// The rows are read to the end first: a connection does one thing at a time.
	var list []*directory.Recipient
	for rows.Next() {
		var org, id string
		var body []byte
		if err := rows.Scan(&org, &id, &body); err != nil {
			return err
		}
		r, err := decodeRecipient(directory.OrgID(org), id, body)
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, r := range list {
		if err := saveNames(ctx, tx, nil, r); err != nil {
			return err
		}
	}
	return nil
}

// DeleteRecipient is that of Store, in this transaction.
func (t *Tx) DeleteRecipient(ctx context.Context, org directory.OrgID, id string) error {
	// What the database may have elsewhere; all else goes with the row.
	for _, query := range []string{`DELETE FROM addresses WHERE org_id = $1 AND recipient_id = $2`, `DELETE FROM calendar_sources WHERE org_id = $1 AND mailbox_id = $2`} {
		if _, err := t.tx.ExecContext(ctx, query, string(org), id); err != nil {
			return fmt.Errorf("delete recipient %s: %w", id, err)
		}
	}
	res, err := t.tx.ExecContext(ctx, `DELETE FROM recipients WHERE org_id = $1 AND recipient_id = $2`, string(org), id)
	return deleted(res, err, "recipient", id)
}

func deleted(res sql.Result, err error, what, id string) error {
	if err == nil {
		var n int64
		if n, err = res.RowsAffected(); err == nil && n == 0 {
			err = directory.ErrNotFound
		}
	}
	if err != nil {
		return fmt.Errorf("delete %s %s: %w", what, id, err)
	}
	return nil
}
