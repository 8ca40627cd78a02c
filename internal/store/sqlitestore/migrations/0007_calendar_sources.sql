-- Calendars that mailboxes have elsewhere. One text for SQLite and PostgreSQL, as in
-- 0001. What is kept of an attempt stands beside what an administrator set.

-- +goose Up

CREATE TABLE calendar_sources (
	org_id       TEXT    NOT NULL,
	source_id    TEXT    NOT NULL,
	mailbox_id   TEXT    NOT NULL,
	name_key     TEXT    NOT NULL,
	host         TEXT    NOT NULL,
	body         TEXT    NOT NULL,
	sealed       TEXT    NOT NULL,
	version      BIGINT  NOT NULL,
	state        TEXT    NOT NULL,
	next_attempt BIGINT  NOT NULL,
	PRIMARY KEY (org_id, source_id),
	FOREIGN KEY (org_id, mailbox_id) REFERENCES recipients (org_id, recipient_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX calendar_sources_name ON calendar_sources (org_id, mailbox_id, name_key);
CREATE INDEX calendar_sources_due ON calendar_sources (next_attempt);

-- +goose Down

DROP TABLE calendar_sources;
