-- The directory: organizations, realms, recipients, accounts, audit.
--
-- One text for SQLite and PostgreSQL: times are BIGINT microseconds UTC, ids
-- are made by the program, JSON and sealed bytes (base64) are TEXT, folded keys
-- are written by the program. Tables that belong to an organization begin every
-- key with org_id and distribute by it; the tables under "global" are small, are
-- asked before the organization is known, and are reference tables.

-- +goose Up

-- Global.

CREATE TABLE settings (
	name    TEXT    NOT NULL PRIMARY KEY,
	version BIGINT  NOT NULL,
	body    TEXT    NOT NULL,
	sealed  TEXT    NOT NULL
);

CREATE TABLE organizations (
	org_id   TEXT   NOT NULL PRIMARY KEY,
	name     TEXT   NOT NULL,
	name_key TEXT   NOT NULL UNIQUE,
	tenant   TEXT   NOT NULL,
	version  BIGINT NOT NULL
);
CREATE UNIQUE INDEX organizations_tenant ON organizations (tenant) WHERE tenant <> '';

CREATE TABLE organization_domains (
	domain TEXT NOT NULL PRIMARY KEY,
	org_id TEXT NOT NULL REFERENCES organizations (org_id)
);
CREATE INDEX organization_domains_org ON organization_domains (org_id);

CREATE TABLE organization_hosts (
	host   TEXT NOT NULL,
	org_id TEXT NOT NULL REFERENCES organizations (org_id),
	PRIMARY KEY (host, org_id)
);
CREATE INDEX organization_hosts_org ON organization_hosts (org_id);

CREATE TABLE accounts (
	user_name     TEXT    NOT NULL PRIMARY KEY,
	org_id        TEXT    NOT NULL REFERENCES organizations (org_id),
	password_hash TEXT    NOT NULL,
	address       TEXT    NOT NULL,
	roles         TEXT    NOT NULL,
	enabled       BOOLEAN NOT NULL
);
CREATE INDEX accounts_org ON accounts (org_id, user_name);

CREATE TABLE realms (
	realm_id TEXT   NOT NULL PRIMARY KEY,
	name     TEXT   NOT NULL,
	version  BIGINT NOT NULL
);

CREATE TABLE realm_domains (
	domain   TEXT NOT NULL PRIMARY KEY,
	realm_id TEXT NOT NULL REFERENCES realms (realm_id)
);
CREATE INDEX realm_domains_realm ON realm_domains (realm_id);

CREATE TABLE realm_objects (
	realm_id  TEXT     NOT NULL REFERENCES realms (realm_id),
	kind      SMALLINT NOT NULL CHECK (kind BETWEEN 1 AND 3),
	object_id TEXT     NOT NULL,
	position  INTEGER  NOT NULL,
	body      TEXT     NOT NULL,
	sealed    TEXT     NOT NULL,
	PRIMARY KEY (realm_id, kind, object_id)
);

-- Of an organization.

CREATE TABLE objects (
	org_id    TEXT     NOT NULL REFERENCES organizations (org_id),
	kind      SMALLINT NOT NULL CHECK (kind BETWEEN 1 AND 10),
	object_id TEXT     NOT NULL,
	position  INTEGER  NOT NULL,
	body      TEXT     NOT NULL,
	sealed    TEXT     NOT NULL,
	PRIMARY KEY (org_id, kind, object_id)
);

CREATE TABLE recipients (
	org_id       TEXT   NOT NULL REFERENCES organizations (org_id),
	recipient_id TEXT   NOT NULL,
	name_key     TEXT   NOT NULL,
	upn_key      TEXT   NOT NULL,
	body         TEXT   NOT NULL,
	PRIMARY KEY (org_id, recipient_id)
);
CREATE UNIQUE INDEX recipients_upn ON recipients (org_id, upn_key) WHERE upn_key <> '';
CREATE INDEX recipients_name ON recipients (org_id, name_key, recipient_id);

CREATE TABLE addresses (
	org_id       TEXT NOT NULL,
	address      TEXT NOT NULL,
	recipient_id TEXT NOT NULL,
	PRIMARY KEY (org_id, address),
	FOREIGN KEY (org_id, recipient_id) REFERENCES recipients (org_id, recipient_id) ON DELETE CASCADE
);
CREATE INDEX addresses_recipient ON addresses (org_id, recipient_id);

CREATE TABLE audit_events (
	org_id     TEXT   NOT NULL,
	at         BIGINT NOT NULL,
	event_id   TEXT   NOT NULL,
	actor      TEXT   NOT NULL,
	operation  TEXT   NOT NULL,
	object     TEXT   NOT NULL,
	before     TEXT   NOT NULL,
	after      TEXT   NOT NULL,
	outcome    TEXT   NOT NULL,
	request_id TEXT   NOT NULL,
	PRIMARY KEY (org_id, at, event_id)
);

-- +goose Down

DROP TABLE audit_events;
DROP TABLE addresses;
DROP TABLE recipients;
DROP TABLE objects;
DROP TABLE realm_objects;
DROP TABLE realm_domains;
DROP TABLE realms;
DROP TABLE accounts;
DROP TABLE organization_hosts;
DROP TABLE organization_domains;
DROP TABLE organizations;
DROP TABLE settings;
