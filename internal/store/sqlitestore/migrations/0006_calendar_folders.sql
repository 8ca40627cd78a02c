-- Several calendars (folders) for a mailbox. One text for SQLite and PostgreSQL, as
-- in 0001. calendar_objects stays what a program of before knows: the events that
-- count, one for each UID.

-- +goose Up

-- The main folder is ''; it has a row only once something is known of it.
CREATE TABLE calendar_folders (
	org_id      TEXT    NOT NULL,
	mailbox_id  TEXT    NOT NULL,
	folder      TEXT    NOT NULL,
	transparent BOOLEAN NOT NULL,
	objects     BIGINT  NOT NULL,
	version     BIGINT  NOT NULL,
	PRIMARY KEY (org_id, mailbox_id, folder),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES calendars (org_id, mailbox_id) ON DELETE CASCADE
);

ALTER TABLE calendar_objects ADD COLUMN folder TEXT NOT NULL DEFAULT '';
ALTER TABLE calendar_objects ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE calendar_objects ADD COLUMN unreadable BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE calendar_objects ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calendar_objects ADD COLUMN occurrences BIGINT NOT NULL DEFAULT -1;
CREATE INDEX calendar_objects_name ON calendar_objects (org_id, mailbox_id, name) WHERE name <> '';
CREATE INDEX calendar_objects_unreadable ON calendar_objects (org_id, mailbox_id) WHERE unreadable;

-- Objects that do not count one by one: events of transparent folders, events that
-- another folder has in a version that counts, and all of VAVAILABILITY.
CREATE TABLE calendar_shadows (
	org_id        TEXT    NOT NULL,
	mailbox_id    TEXT    NOT NULL,
	uid           TEXT    NOT NULL,
	folder        TEXT    NOT NULL,
	availability  BOOLEAN NOT NULL,
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
	name          TEXT    NOT NULL,
	unreadable    BOOLEAN NOT NULL,
	version       BIGINT  NOT NULL,
	occurrences   BIGINT  NOT NULL,
	PRIMARY KEY (org_id, mailbox_id, uid, folder),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES calendars (org_id, mailbox_id) ON DELETE CASCADE
);
CREATE INDEX calendar_shadows_availability ON calendar_shadows (org_id, mailbox_id, uid) WHERE availability;
CREATE INDEX calendar_shadows_name ON calendar_shadows (org_id, mailbox_id, name) WHERE name <> '';
CREATE INDEX calendar_shadows_unreadable ON calendar_shadows (org_id, mailbox_id) WHERE unreadable;

-- +goose Down

DROP TABLE calendar_shadows;
DROP INDEX calendar_objects_unreadable;
DROP INDEX calendar_objects_name;
ALTER TABLE calendar_objects DROP COLUMN occurrences;
ALTER TABLE calendar_objects DROP COLUMN version;
ALTER TABLE calendar_objects DROP COLUMN unreadable;
ALTER TABLE calendar_objects DROP COLUMN name;
ALTER TABLE calendar_objects DROP COLUMN folder;
DROP TABLE calendar_folders;
