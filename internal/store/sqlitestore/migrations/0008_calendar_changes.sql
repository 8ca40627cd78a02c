-- What readers of a calendar's changes need (RFC 6578), and what CalDAV clients say
-- of a folder. One text for SQLite and PostgreSQL, as in 0001.

-- +goose Up

-- Objects that are no longer where they were, the last ones of each calendar.
CREATE TABLE calendar_gone (
	org_id     TEXT   NOT NULL,
	mailbox_id TEXT   NOT NULL,
	folder     TEXT   NOT NULL,
	uid        TEXT   NOT NULL,
	name       TEXT   NOT NULL,
	version    BIGINT NOT NULL,
	PRIMARY KEY (org_id, mailbox_id, folder, uid, name),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES calendars (org_id, mailbox_id) ON DELETE CASCADE
);
CREATE INDEX calendar_gone_version ON calendar_gone (org_id, mailbox_id, version);

-- What is gone up to this version is forgotten.
ALTER TABLE calendars ADD COLUMN forgotten BIGINT NOT NULL DEFAULT 0;

-- A JSON object, or ''.
ALTER TABLE calendar_folders ADD COLUMN properties TEXT NOT NULL DEFAULT '';

-- +goose Down

ALTER TABLE calendar_folders DROP COLUMN properties;
ALTER TABLE calendars DROP COLUMN forgotten;
DROP INDEX calendar_gone_version;
DROP TABLE calendar_gone;
