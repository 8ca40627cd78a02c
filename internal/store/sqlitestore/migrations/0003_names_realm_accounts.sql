-- Recipients by name, and accounts of realms. One text for SQLite and PostgreSQL, as in 0001.

-- +goose Up

-- Display name, alias and so on, folded. The program fills it: version 4.
CREATE TABLE recipient_names (
	org_id       TEXT NOT NULL,
	name_key     TEXT NOT NULL,
	recipient_id TEXT NOT NULL,
	PRIMARY KEY (org_id, name_key, recipient_id),
	FOREIGN KEY (org_id, recipient_id) REFERENCES recipients (org_id, recipient_id) ON DELETE CASCADE
);
CREATE INDEX recipient_names_recipient ON recipient_names (org_id, recipient_id);

-- An account belongs to an organization or to a realm, exactly one.
CREATE TABLE accounts_of_all (
	user_name     TEXT    NOT NULL PRIMARY KEY,
	org_id        TEXT    REFERENCES organizations (org_id),
	realm_id      TEXT    REFERENCES realms (realm_id),
	password_hash TEXT    NOT NULL,
	address       TEXT    NOT NULL,
	roles         TEXT    NOT NULL,
	enabled       BOOLEAN NOT NULL,
	CHECK ((org_id IS NULL) <> (realm_id IS NULL))
);
INSERT INTO accounts_of_all (user_name, org_id, password_hash, address, roles, enabled)
	SELECT user_name, org_id, password_hash, address, roles, enabled FROM accounts;
DROP TABLE accounts;
ALTER TABLE accounts_of_all RENAME TO accounts;
CREATE INDEX accounts_org ON accounts (org_id, user_name);
CREATE INDEX accounts_realm ON accounts (realm_id, user_name);
CREATE INDEX accounts_address ON accounts (org_id, address);

-- +goose Down

CREATE TABLE accounts_of_organizations (
	user_name     TEXT    NOT NULL PRIMARY KEY,
	org_id        TEXT    NOT NULL REFERENCES organizations (org_id),
	password_hash TEXT    NOT NULL,
	address       TEXT    NOT NULL,
	roles         TEXT    NOT NULL,
	enabled       BOOLEAN NOT NULL
);
INSERT INTO accounts_of_organizations SELECT user_name, org_id, password_hash, address, roles, enabled FROM accounts WHERE org_id IS NOT NULL;
DROP TABLE accounts;
ALTER TABLE accounts_of_organizations RENAME TO accounts;
CREATE INDEX accounts_org ON accounts (org_id, user_name);
DROP TABLE recipient_names;
