-- The built-in calendars. One text for SQLite and PostgreSQL, as in 0001: every
-- key begins with org_id and mailbox_id and distributes by them. BYTEA is no type
-- name that SQLite knows; it keeps the bytes as they are bound.

-- +goose Up

-- One row for each mailbox that has a calendar; every change rewrites it.
CREATE TABLE calendars (
	org_id      TEXT   NOT NULL,
	mailbox_id  TEXT   NOT NULL,
	version     BIGINT NOT NULL,
	zone        TEXT   NOT NULL,
	years       TEXT   NOT NULL,
	objects     BIGINT NOT NULL,
	occurrences BIGINT NOT NULL,
	PRIMARY KEY (org_id, mailbox_id),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES recipients (org_id, recipient_id) ON DELETE CASCADE
);

-- The events as they came, one row for each UID.
CREATE TABLE calendar_objects (
	org_id        TEXT    NOT NULL,
	mailbox_id    TEXT    NOT NULL,
	uid           TEXT    NOT NULL,
	digest        TEXT    NOT NULL,
	source        TEXT    NOT NULL,
	sequence      BIGINT  NOT NULL,
	stamp         BIGINT,
	floating_zone TEXT    NOT NULL,
	mailbox_zone  BOOLEAN NOT NULL,
	series        BOOLEAN NOT NULL,
	starts        BIGINT  NOT NULL,
	ends          BIGINT,
	changed       BIGINT  NOT NULL,
	text          BYTEA   NOT NULL,
	PRIMARY KEY (org_id, mailbox_id, uid),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES calendars (org_id, mailbox_id) ON DELETE CASCADE
);
CREATE INDEX calendar_objects_series ON calendar_objects (org_id, mailbox_id, uid) WHERE series;

-- What a question reads: the occurrences of one UTC month, packed and sorted.
-- month is 12*year + month - 1; -1 holds the few that are too long for months.
CREATE TABLE calendar_months (
	org_id     TEXT    NOT NULL,
	mailbox_id TEXT    NOT NULL,
	month      INTEGER NOT NULL,
	data       BYTEA   NOT NULL,
	PRIMARY KEY (org_id, mailbox_id, month),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES calendars (org_id, mailbox_id) ON DELETE CASCADE
);

-- The last import of each source.
CREATE TABLE calendar_imports (
	org_id     TEXT   NOT NULL,
	mailbox_id TEXT   NOT NULL,
	source     TEXT   NOT NULL,
	at         BIGINT NOT NULL,
	events     BIGINT NOT NULL,
	unreadable BIGINT NOT NULL,
	PRIMARY KEY (org_id, mailbox_id, source),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES calendars (org_id, mailbox_id) ON DELETE CASCADE
);

-- +goose Down

DROP TABLE calendar_imports;
DROP TABLE calendar_months;
DROP TABLE calendar_objects;
DROP TABLE calendars;
