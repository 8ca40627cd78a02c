-- App passwords, client certificates and known networks of accounts. One text for SQLite and PostgreSQL, as in 0001.

-- +goose Up

-- App passwords with their hashes, and certificates, as JSON.
ALTER TABLE accounts ADD COLUMN sign_in TEXT NOT NULL DEFAULT '{}';

-- The account of a certificate (SHA-256, hex).
CREATE TABLE account_certificates (
	fingerprint TEXT NOT NULL PRIMARY KEY,
	user_name   TEXT NOT NULL REFERENCES accounts (user_name) ON DELETE CASCADE
);
CREATE INDEX account_certificates_user ON account_certificates (user_name);

-- Where an account signed in from lately: an IPv4 address or an IPv6 /64.
CREATE TABLE account_networks (
	user_name TEXT   NOT NULL REFERENCES accounts (user_name) ON DELETE CASCADE,
	network   TEXT   NOT NULL,
	last_seen BIGINT NOT NULL,
	PRIMARY KEY (user_name, network)
);

-- +goose Down

DROP TABLE account_networks;
DROP TABLE account_certificates;
ALTER TABLE accounts DROP COLUMN sign_in;
