-- Linked users: the accounts that stand for applications are objects of kind 11.
-- Migration 12 makes those that partner applications named before.

-- +goose Up

CREATE TABLE objects_of_all (
	org_id    TEXT     NOT NULL REFERENCES organizations (org_id),
	kind      SMALLINT NOT NULL CHECK (kind BETWEEN 1 AND 99),
	object_id TEXT     NOT NULL,
	position  INTEGER  NOT NULL,
	body      TEXT     NOT NULL,
	sealed    TEXT     NOT NULL,
	PRIMARY KEY (org_id, kind, object_id)
);
INSERT INTO objects_of_all (org_id, kind, object_id, position, body, sealed) SELECT org_id, kind, object_id, position, body, sealed FROM objects;
DROP TABLE objects;
ALTER TABLE objects_of_all RENAME TO objects;
