package postgresstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// A placement says where the rows of a table are in a Citus cluster.
type placement struct {
	table string
	by    string // the column that rows are distributed by; "": every worker has them all
	with  string // the table whose rows with the same value are on the same worker
}

// placements, in the order in which tables refer to each other. What grows with
// mailboxes is distributed by the mailbox, so that all of one mailbox is in one
// place. Addresses are looked up before the mailbox is known: each worker has all of
// them, so that one that is down takes no other's mailboxes with it.
var placements = []placement{
	{table: "settings"}, {table: "organizations"}, {table: "organization_domains"}, {table: "organization_hosts"}, {table: "objects"},
	{table: "realms"}, {table: "realm_domains"}, {table: "realm_objects"},
	{table: "accounts", by: "user_name"},
	{table: "account_networks", by: "user_name", with: "accounts"},
	{table: "account_certificates"},
	{table: "recipients", by: "recipient_id"},
	{table: "recipient_names", by: "recipient_id", with: "recipients"},
	{table: "addresses"},
	{table: "audit_events", by: "org_id"},
	{table: "calendar_sources", by: "org_id", with: "audit_events"},
	{table: "calendars", by: "mailbox_id", with: "recipients"},
	{table: "calendar_folders", by: "mailbox_id", with: "recipients"},
	{table: "calendar_objects", by: "mailbox_id", with: "recipients"},
	{table: "calendar_shadows", by: "mailbox_id", with: "recipients"},
	{table: "calendar_gone", by: "mailbox_id", with: "recipients"},
	{table: "calendar_months", by: "mailbox_id", with: "recipients"},
	{table: "calendar_imports", by: "mailbox_id", with: "recipients"},
}

// undistributable are the rules that one worker cannot hold alone. The program holds
// them too: it changes the directory in one transaction at a time, looks a user
// principal name up before it gives it, and deletes what belongs to what it deletes.
var undistributable = []string{
	`DROP INDEX recipients_upn`,
	`CREATE INDEX recipients_upn ON recipients (org_id, upn_key) WHERE upn_key <> ''`,
	`ALTER TABLE addresses DROP CONSTRAINT addresses_org_id_recipient_id_fkey`,
	`ALTER TABLE account_certificates DROP CONSTRAINT account_certificates_user_name_fkey`,
	`ALTER TABLE calendar_sources DROP CONSTRAINT calendar_sources_org_id_mailbox_id_fkey`,
}

// errNoCitus: Options.Distribute asks for what the database has not.
var errNoCitus = errors.New("the database is no Citus coordinator: CREATE EXTENSION citus, add its workers, and start again")

// distributed reports whether the tables are distributed.
func distributed(ctx context.Context, db *sql.DB) (is bool, err error) {
	var there bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('pg_dist_partition') IS NOT NULL`).Scan(&there); err != nil || !there {
		return false, err
	}
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = 'calendars'::regclass)`).Scan(&is)
	return is, err
}

// distribute declares which tables are distributed by what, once. It is done while
// there is nothing or little in them: rows are moved.
func distribute(ctx context.Context, db *sql.DB) error {
	var there bool
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus')`).Scan(&there); err != nil {
		return err
	}
	if !there {
		return errNoCitus
	}
	if done, err := distributed(ctx, db); done || err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after a commit
	for _, step := range distribution() {
		if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
			return fmt.Errorf("%s: %w", step.query, err)
		}
	}
	return tx.Commit()
}

type statement struct {
	query string
	args  []any
}

// distribution are the statements of distribute.
func distribution() (list []statement) {
	// Reference tables and distributed ones are filled in one transaction.
	list = append(list, statement{query: `SET LOCAL citus.multi_shard_modify_mode TO 'sequential'`})
	for _, query := range undistributable {
		list = append(list, statement{query: query})
	}
	for _, p := range placements {
		switch {
		case p.by == "":
			list = append(list, statement{`SELECT create_reference_table($1::text::regclass)`, []any{p.table}})
		case p.with == "":
			list = append(list, statement{`SELECT create_distributed_table($1::text::regclass, $2, colocate_with => 'none')`, []any{p.table, p.by}})
		default:
			list = append(list, statement{`SELECT create_distributed_table($1::text::regclass, $2, colocate_with => $3)`, []any{p.table, p.by, p.with}})
		}
	}
	return list
}
