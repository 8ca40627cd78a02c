-- Everything that is kept: the schema of SQLite's store (internal/store/sqlitestore)
-- with all its migrations. Times are BIGINT microseconds UTC, ids are made by the
-- program, JSON and sealed bytes (base64) are TEXT, folded keys are written by the
-- program. Keys are compared as bytes, as SQLite and the program compare them.
--
-- Every key of a table that grows with mailboxes begins with the organization and
-- has the mailbox (or the address, or the account) in it: distribute.go distributes
-- by that.
--
-- What a later migration does must be right for a program of before it, which may
-- run beside it or be started again: it adds, and what nobody uses any more goes away
-- a release later. Where that cannot be, it raises store_schema.oldest.

-- +goose Up

-- oldest is the version of the schema that a program must know to run on this one.
CREATE TABLE store_schema (
	one    BOOLEAN NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (one),
	oldest BIGINT  NOT NULL
);
INSERT INTO store_schema (oldest) VALUES (1);

-- What the nodes tell each other: that the calendar of a mailbox has changed, or the
-- directory (mailbox ''). Rows are deleted after some minutes.
CREATE TABLE store_changes (
	xid        XID8             NOT NULL DEFAULT pg_current_xact_id(),
	at         TIMESTAMPTZ      NOT NULL DEFAULT clock_timestamp(),
	node       TEXT COLLATE "C" NOT NULL,
	org_id     TEXT COLLATE "C" NOT NULL,
	mailbox_id TEXT COLLATE "C" NOT NULL
);
CREATE INDEX store_changes_xid ON store_changes (xid);

-- Small, and asked before the organization is known.
CREATE TABLE settings (
	name    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	version BIGINT           NOT NULL,
	body    TEXT             NOT NULL,
	sealed  TEXT             NOT NULL
);

CREATE TABLE organizations (
	org_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	name     TEXT COLLATE "C" NOT NULL,
	name_key TEXT COLLATE "C" NOT NULL UNIQUE,
	tenant   TEXT COLLATE "C" NOT NULL,
	version  BIGINT           NOT NULL
);
CREATE UNIQUE INDEX organizations_tenant ON organizations (tenant) WHERE tenant <> '';

CREATE TABLE organization_domains (
	domain TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	org_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (org_id)
);
CREATE INDEX organization_domains_org ON organization_domains (org_id);

CREATE TABLE organization_hosts (
	host   TEXT COLLATE "C" NOT NULL,
	org_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (org_id),
	PRIMARY KEY (host, org_id)
);
CREATE INDEX organization_hosts_org ON organization_hosts (org_id);

CREATE TABLE objects (
	org_id    TEXT COLLATE "C" NOT NULL REFERENCES organizations (org_id),
	kind      SMALLINT         NOT NULL CHECK (kind BETWEEN 1 AND 99),
	object_id TEXT COLLATE "C" NOT NULL,
	position  INTEGER          NOT NULL,
	body      TEXT             NOT NULL,
	sealed    TEXT             NOT NULL,
	PRIMARY KEY (org_id, kind, object_id)
);

CREATE TABLE realms (
	realm_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	name     TEXT COLLATE "C" NOT NULL,
	version  BIGINT           NOT NULL
);

CREATE TABLE realm_domains (
	domain   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	realm_id TEXT COLLATE "C" NOT NULL REFERENCES realms (realm_id)
);
CREATE INDEX realm_domains_realm ON realm_domains (realm_id);

CREATE TABLE realm_objects (
	realm_id  TEXT COLLATE "C" NOT NULL REFERENCES realms (realm_id),
	kind      SMALLINT         NOT NULL CHECK (kind BETWEEN 1 AND 3),
	object_id TEXT COLLATE "C" NOT NULL,
	position  INTEGER          NOT NULL,
	body      TEXT             NOT NULL,
	sealed    TEXT             NOT NULL,
	PRIMARY KEY (realm_id, kind, object_id)
);

-- An account belongs to an organization or to a realm, exactly one.
CREATE TABLE accounts (
	user_name     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	org_id        TEXT COLLATE "C" REFERENCES organizations (org_id),
	realm_id      TEXT COLLATE "C" REFERENCES realms (realm_id),
	password_hash TEXT             NOT NULL,
	address       TEXT COLLATE "C" NOT NULL,
	roles         TEXT             NOT NULL,
	enabled       BOOLEAN          NOT NULL,
	sign_in       TEXT             NOT NULL DEFAULT '{}',
	CHECK ((org_id IS NULL) <> (realm_id IS NULL))
);
CREATE INDEX accounts_org ON accounts (org_id, user_name);
CREATE INDEX accounts_realm ON accounts (realm_id, user_name);
CREATE INDEX accounts_address ON accounts (org_id, address);

CREATE TABLE account_certificates (
	fingerprint TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	user_name   TEXT COLLATE "C" NOT NULL REFERENCES accounts (user_name) ON DELETE CASCADE
);
CREATE INDEX account_certificates_user ON account_certificates (user_name);

CREATE TABLE account_networks (
	user_name TEXT COLLATE "C" NOT NULL REFERENCES accounts (user_name) ON DELETE CASCADE,
	network   TEXT COLLATE "C" NOT NULL,
	last_seen BIGINT           NOT NULL,
	PRIMARY KEY (user_name, network)
);

-- Of an organization.
CREATE TABLE recipients (
	org_id       TEXT COLLATE "C" NOT NULL REFERENCES organizations (org_id),
	recipient_id TEXT COLLATE "C" NOT NULL,
	name_key     TEXT COLLATE "C" NOT NULL,
	upn_key      TEXT COLLATE "C" NOT NULL,
	body         TEXT             NOT NULL,
	PRIMARY KEY (org_id, recipient_id)
);
CREATE UNIQUE INDEX recipients_upn ON recipients (org_id, upn_key) WHERE upn_key <> '';
CREATE INDEX recipients_name ON recipients (org_id, name_key, recipient_id);

CREATE TABLE addresses (
	org_id       TEXT COLLATE "C" NOT NULL,
	address      TEXT COLLATE "C" NOT NULL,
	recipient_id TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (org_id, address),
	FOREIGN KEY (org_id, recipient_id) REFERENCES recipients (org_id, recipient_id) ON DELETE CASCADE
);
CREATE INDEX addresses_recipient ON addresses (org_id, recipient_id);

CREATE TABLE recipient_names (
	org_id       TEXT COLLATE "C" NOT NULL,
	name_key     TEXT COLLATE "C" NOT NULL,
	recipient_id TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (org_id, name_key, recipient_id),
	FOREIGN KEY (org_id, recipient_id) REFERENCES recipients (org_id, recipient_id) ON DELETE CASCADE
);
CREATE INDEX recipient_names_recipient ON recipient_names (org_id, recipient_id);

CREATE TABLE audit_events (
	org_id     TEXT COLLATE "C" NOT NULL,
	at         BIGINT           NOT NULL,
	event_id   TEXT COLLATE "C" NOT NULL,
	actor      TEXT COLLATE "C" NOT NULL,
	operation  TEXT COLLATE "C" NOT NULL,
	object     TEXT COLLATE "C" NOT NULL,
	before     TEXT             NOT NULL,
	after      TEXT             NOT NULL,
	outcome    TEXT COLLATE "C" NOT NULL,
	request_id TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (org_id, at, event_id)
);

-- Calendars that mailboxes have elsewhere.
CREATE TABLE calendar_sources (
	org_id       TEXT COLLATE "C" NOT NULL,
	source_id    TEXT COLLATE "C" NOT NULL,
	mailbox_id   TEXT COLLATE "C" NOT NULL,
	name_key     TEXT COLLATE "C" NOT NULL,
	host         TEXT COLLATE "C" NOT NULL,
	body         TEXT             NOT NULL,
	sealed       TEXT             NOT NULL,
	version      BIGINT           NOT NULL,
	state        TEXT             NOT NULL,
	next_attempt BIGINT           NOT NULL,
	PRIMARY KEY (org_id, source_id),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES recipients (org_id, recipient_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX calendar_sources_name ON calendar_sources (org_id, mailbox_id, name_key);
CREATE INDEX calendar_sources_due ON calendar_sources (next_attempt);

-- Of a mailbox. One row for each that has a calendar; every change rewrites it.
CREATE TABLE calendars (
	org_id      TEXT COLLATE "C" NOT NULL,
	mailbox_id  TEXT COLLATE "C" NOT NULL,
	version     BIGINT           NOT NULL,
	zone        TEXT COLLATE "C" NOT NULL,
	years       TEXT             NOT NULL,
	objects     BIGINT           NOT NULL,
	occurrences BIGINT           NOT NULL,
	forgotten   BIGINT           NOT NULL DEFAULT 0,
	PRIMARY KEY (org_id, mailbox_id),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES recipients (org_id, recipient_id) ON DELETE CASCADE
);

CREATE TABLE calendar_folders (
	org_id      TEXT COLLATE "C" NOT NULL,
	mailbox_id  TEXT COLLATE "C" NOT NULL,
	folder      TEXT COLLATE "C" NOT NULL,
	transparent BOOLEAN          NOT NULL,
	objects     BIGINT           NOT NULL,
	version     BIGINT           NOT NULL,
	properties  TEXT             NOT NULL DEFAULT '',
	PRIMARY KEY (org_id, mailbox_id, folder),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES calendars (org_id, mailbox_id) ON DELETE CASCADE
);

-- The events that count, one row for each UID.
CREATE TABLE calendar_objects (
	org_id        TEXT COLLATE "C" NOT NULL,
	mailbox_id    TEXT COLLATE "C" NOT NULL,
	uid           TEXT COLLATE "C" NOT NULL,
	digest        TEXT             NOT NULL,
	source        TEXT COLLATE "C" NOT NULL,
	sequence      BIGINT           NOT NULL,
	stamp         BIGINT,
	floating_zone TEXT COLLATE "C" NOT NULL,
	mailbox_zone  BOOLEAN          NOT NULL,
	series        BOOLEAN          NOT NULL,
	starts        BIGINT           NOT NULL,
	ends          BIGINT,
	changed       BIGINT           NOT NULL,
	text          BYTEA            NOT NULL,
	folder        TEXT COLLATE "C" NOT NULL DEFAULT '',
	name          TEXT COLLATE "C" NOT NULL DEFAULT '',
	unreadable    BOOLEAN          NOT NULL DEFAULT FALSE,
	version       BIGINT           NOT NULL DEFAULT 0,
	occurrences   BIGINT           NOT NULL DEFAULT -1,
	PRIMARY KEY (org_id, mailbox_id, uid),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES calendars (org_id, mailbox_id) ON DELETE CASCADE
);
CREATE INDEX calendar_objects_series ON calendar_objects (org_id, mailbox_id, uid) WHERE series;
CREATE INDEX calendar_objects_name ON calendar_objects (org_id, mailbox_id, name) WHERE name <> '';
CREATE INDEX calendar_objects_unreadable ON calendar_objects (org_id, mailbox_id) WHERE unreadable;

-- Objects that do not count one by one: events of transparent folders, events that
-- another folder has in a version that counts, and all of VAVAILABILITY.
CREATE TABLE calendar_shadows (
	org_id        TEXT COLLATE "C" NOT NULL,
	mailbox_id    TEXT COLLATE "C" NOT NULL,
	uid           TEXT COLLATE "C" NOT NULL,
	folder        TEXT COLLATE "C" NOT NULL,
	availability  BOOLEAN          NOT NULL,
	digest        TEXT             NOT NULL,
	source        TEXT COLLATE "C" NOT NULL,
	sequence      BIGINT           NOT NULL,
	stamp         BIGINT,
	floating_zone TEXT COLLATE "C" NOT NULL,
	mailbox_zone  BOOLEAN          NOT NULL,
	series        BOOLEAN          NOT NULL,
	starts        BIGINT           NOT NULL,
	ends          BIGINT,
	changed       BIGINT           NOT NULL,
	text          BYTEA            NOT NULL,
	name          TEXT COLLATE "C" NOT NULL,
	unreadable    BOOLEAN          NOT NULL,
	version       BIGINT           NOT NULL,
	occurrences   BIGINT           NOT NULL,
	PRIMARY KEY (org_id, mailbox_id, uid, folder),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES calendars (org_id, mailbox_id) ON DELETE CASCADE
);
CREATE INDEX calendar_shadows_availability ON calendar_shadows (org_id, mailbox_id, uid) WHERE availability;
CREATE INDEX calendar_shadows_name ON calendar_shadows (org_id, mailbox_id, name) WHERE name <> '';
CREATE INDEX calendar_shadows_unreadable ON calendar_shadows (org_id, mailbox_id) WHERE unreadable;

-- Objects that are no longer where they were, the last ones of each calendar.
CREATE TABLE calendar_gone (
	org_id     TEXT COLLATE "C" NOT NULL,
	mailbox_id TEXT COLLATE "C" NOT NULL,
	folder     TEXT COLLATE "C" NOT NULL,
	uid        TEXT COLLATE "C" NOT NULL,
	name       TEXT COLLATE "C" NOT NULL,
	version    BIGINT           NOT NULL,
	PRIMARY KEY (org_id, mailbox_id, folder, uid, name),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES calendars (org_id, mailbox_id) ON DELETE CASCADE
);
CREATE INDEX calendar_gone_version ON calendar_gone (org_id, mailbox_id, version);

-- What a question reads: the occurrences of one UTC month, packed and sorted.
-- month is 12*year + month - 1; below 0 are the few that are too long for months.
CREATE TABLE calendar_months (
	org_id     TEXT COLLATE "C" NOT NULL,
	mailbox_id TEXT COLLATE "C" NOT NULL,
	month      INTEGER          NOT NULL,
	data       BYTEA            NOT NULL,
	PRIMARY KEY (org_id, mailbox_id, month),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES calendars (org_id, mailbox_id) ON DELETE CASCADE
);

-- The last import of each source.
CREATE TABLE calendar_imports (
	org_id     TEXT COLLATE "C" NOT NULL,
	mailbox_id TEXT COLLATE "C" NOT NULL,
	source     TEXT COLLATE "C" NOT NULL,
	at         BIGINT           NOT NULL,
	events     BIGINT           NOT NULL,
	unreadable BIGINT           NOT NULL,
	PRIMARY KEY (org_id, mailbox_id, source),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES calendars (org_id, mailbox_id) ON DELETE CASCADE
);

-- +goose Down

DROP TABLE calendar_imports;
DROP TABLE calendar_months;
DROP TABLE calendar_gone;
DROP TABLE calendar_shadows;
DROP TABLE calendar_objects;
DROP TABLE calendar_folders;
DROP TABLE calendars;
DROP TABLE calendar_sources;
DROP TABLE audit_events;
DROP TABLE recipient_names;
DROP TABLE addresses;
DROP TABLE recipients;
DROP TABLE account_networks;
DROP TABLE account_certificates;
DROP TABLE accounts;
DROP TABLE realm_objects;
DROP TABLE realm_domains;
DROP TABLE realms;
DROP TABLE objects;
DROP TABLE organization_hosts;
DROP TABLE organization_domains;
DROP TABLE organizations;
DROP TABLE settings;
DROP TABLE store_changes;
DROP TABLE store_schema;
