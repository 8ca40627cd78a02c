package postgresstore_test

import (
	"log/slog"
	"testing"
	"time"

	"busybridge/internal/store/pgtest"
	"busybridge/internal/store/postgresstore"
	"busybridge/internal/store/sqlstore"
	"busybridge/internal/store/storetest"
)

func options(t testing.TB, now func() time.Time) postgresstore.Options {
	return postgresstore.Options{
		Options:     sqlstore.Options{Now: now, SealKey: []byte("0123456789abcdef0123456789abcdef"), Log: slog.New(slog.NewTextHandler(t.Output(), nil))},
		Connections: 4,
	}
}

// database is the URL of one.
type database string

func (d database) Open(t testing.TB, now func() time.Time) storetest.Store {
	s, err := postgresstore.Open(t.Context(), string(d), options(t, now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestPostgres(t *testing.T) {
	server := pgtest.Start(t)
	create := func(t testing.TB) storetest.Database { return database(server.URL(t)) }
	t.Run("directory", func(t *testing.T) { storetest.Run(t, create) })
	t.Run("calendars", func(t *testing.T) { storetest.RunCalendars(t, create) })
}
