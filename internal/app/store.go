package app

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"busybridge/internal/app/config"
	"busybridge/internal/store/postgresstore"
	"busybridge/internal/store/sqlitestore"
	"busybridge/internal/store/sqlstore"
)

// A StoreAt says where a store is.
type StoreAt struct {
	Path     string // of a SQLite file, or the URL of a PostgreSQL database
	Password string // for a URL without one
	Citus    bool   // distribute the tables of a new database
}

// StoreOf is where a configuration has its store.
func StoreOf(cfg *config.Config) (StoreAt, error) {
	if cfg.Store.URL == "" {
		return StoreAt{Path: cfg.Store.Path}, nil
	}
	password, err := cfg.StorePassword()
	return StoreAt{Path: cfg.Store.URL, Password: password, Citus: cfg.Store.Citus}, err
}

func (a StoreAt) isPostgres() bool {
	return strings.HasPrefix(a.Path, "postgres://") || strings.HasPrefix(a.Path, "postgresql://")
}

// String is where it is, without a password.
func (a StoreAt) String() string {
	if a.isPostgres() {
		return postgresstore.Redacted(a.Path)
	}
	return a.Path
}

func (a StoreAt) options(o sqlstore.Options) postgresstore.Options {
	return postgresstore.Options{Options: o, Password: a.Password, Distribute: a.Citus}
}

// Tables opens the database for who copies all that is in it.
func (a StoreAt) Tables(ctx context.Context, now func() time.Time, log *slog.Logger) (sqlstore.Database, error) {
	if a.isPostgres() {
		return postgresstore.Database(ctx, a.Path, a.options(sqlstore.Options{Now: now, Log: log}))
	}
	return sqlitestore.Database(ctx, strings.TrimPrefix(a.Path, "sqlite://"), now, log)
}

func openStore(ctx context.Context, set *Settings) (*sqlstore.Store, error) {
	o := sqlstore.Options{Now: set.Now, SealKey: set.SealKey, Log: set.Log, CacheBytes: set.CacheBytes / 3}
	at := StoreAt{Path: set.StorePath, Password: set.StorePassword, Citus: set.Citus}
	if at.isPostgres() {
		return postgresstore.Open(ctx, at.Path, at.options(o))
	}
	return sqlitestore.Open(ctx, at.Path, o)
}
