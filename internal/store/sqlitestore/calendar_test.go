package sqlitestore

import (
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"busybridge/internal/directory"
	"busybridge/internal/store/sqlstore"
	"busybridge/internal/store/storetest"
)

type calendarDatabase string

func (d calendarDatabase) Open(t testing.TB, now func() time.Time) storetest.Store {
	s, err := Open(t.Context(), string(d), Options{Now: now, SealKey: make([]byte, 32), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestCalendarConformance(t *testing.T) {
	storetest.RunCalendars(t, func(t testing.TB) storetest.Database { return calendarDatabase(filepath.Join(t.TempDir(), "a.db")) })
}

// Every hot query names its key and walks nothing else.
func TestQueryPlans(t *testing.T) {
	db, err := Database(t.Context(), filepath.Join(t.TempDir(), "a.db"), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want := map[string][]string{
		"recipient by address": {"a USING INDEX sqlite_autoindex_addresses_1 (org_id=? AND address=?)", "r USING INDEX sqlite_autoindex_recipients_1 (org_id=? AND recipient_id=?)"},
		"state":                {"calendars USING INDEX sqlite_autoindex_calendars_1 (org_id=? AND mailbox_id=?)"},
		"months": {
			"c USING INDEX sqlite_autoindex_calendars_1 (org_id=? AND mailbox_id=?)",
			"m USING INDEX sqlite_autoindex_calendar_months_1 (org_id=? AND mailbox_id=? AND month>? AND month<?)",
			"calendar_months USING INDEX sqlite_autoindex_calendar_months_1 (org_id=? AND mailbox_id=? AND month<?)"},
		"objects by UID": {"calendar_objects USING INDEX sqlite_autoindex_calendar_objects_1 (org_id=? AND mailbox_id=? AND uid=?)"},
		"series":         {"calendar_objects USING INDEX calendar_objects_series (org_id=? AND mailbox_id=?)"},
		"an event in all folders": {
			"calendar_objects USING INDEX sqlite_autoindex_calendar_objects_1 (org_id=? AND mailbox_id=? AND uid=?)",
			"calendar_shadows USING INDEX sqlite_autoindex_calendar_shadows_1 (org_id=? AND mailbox_id=? AND uid=?)"},
		"an object by its name": {
			"calendar_objects USING INDEX calendar_objects_name (org_id=? AND mailbox_id=? AND name=?)",
			"calendar_shadows USING INDEX calendar_shadows_name (org_id=? AND mailbox_id=? AND name=?)"},
		"availability": {"calendar_shadows USING INDEX calendar_shadows_availability (org_id=? AND mailbox_id=?)"},
		"folders":      {"calendar_folders USING INDEX sqlite_autoindex_calendar_folders_1 (org_id=? AND mailbox_id=?)"},
		"unreadable":   {"calendar_objects USING INDEX calendar_objects_unreadable", "calendar_shadows USING INDEX calendar_shadows_unreadable"},
		"mailbox zone": {"calendar_objects USING INDEX sqlite_autoindex_calendar_objects_1 (org_id=? AND mailbox_id=?)"},
		"calendars": {
			"c USING INDEX sqlite_autoindex_calendars_1 (org_id=? AND mailbox_id=?)",
			"m USING INDEX sqlite_autoindex_calendar_months_1 (org_id=? AND mailbox_id=? AND month>? AND month<?)",
			"calendar_months USING INDEX sqlite_autoindex_calendar_months_1 (org_id=? AND mailbox_id=? AND month<?)"},
	}
	for _, q := range sqlstore.HotQueries() {
		t.Run(q.Name, func(t *testing.T) {
			plan := queryPlan(t, db.Read, q.Text, q.Args)
			for _, want := range want[q.Name] {
				if !strings.Contains(plan, "SEARCH "+want) {
					t.Errorf("plan lacks SEARCH %s:\n%s", want, plan)
				}
			}
			if strings.Contains(strings.ReplaceAll(plan, "SCAN CONSTANT ROW", ""), "SCAN") || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("plan walks a table:\n%s", plan)
			}
			delete(want, q.Name)
		})
	}
	for name := range want {
		t.Errorf("%s is no hot query", name)
	}
}

func queryPlan(t *testing.T, db *sql.DB, query string, args []any) string {
	rows, err := db.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// A calendar that a program without folders kept is there, in the main folder.
func TestOlderCalendar(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "old.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(ctx, 2); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		`INSERT INTO organizations VALUES ('o', 'Contoso', 'contoso', '', 1)`,
		`INSERT INTO recipients VALUES ('o', 'm', 'anna', 'anna@contoso.com', '{}')`,
		`INSERT INTO calendars VALUES ('o', 'm', 3, 'UTC', '[2026]', 1, 1)`,
		`INSERT INTO calendar_objects VALUES ('o', 'm', 'a', 'd', 'a.ics', 2, NULL, '', FALSE, TRUE, 1000000, NULL, 2000000, 'text')`,
		`INSERT INTO calendar_months VALUES ('o', 'm', 24315, 'month'), ('o', 'm', -1, 'long')`,
		`INSERT INTO calendar_imports VALUES ('o', 'm', 'a.ics', 1, 2, 1)`,
	} {
		if _, err := db.ExecContext(ctx, row); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
	}
	s := calendarDatabase(path).Open(t, time.Now).(*Store)
	st, err := s.CalendarState(ctx, "o", "m")
	if d := cmp.Diff(directory.CalendarState{Version: 3, Zone: "UTC", Years: []int{2026}, Objects: 1, Occurrences: 1}, st); d != "" || err != nil {
		t.Errorf("%v, state (-want +got):\n%s", err, d)
	}
	want := &directory.CalendarObject{UID: "a", Digest: "d", Source: "a.ics", Sequence: 2, Series: true, From: time.Unix(1, 0).UTC(),
		Changed: time.Unix(2, 0).UTC(), Text: []byte("text"), Occurrences: -1}
	for _, f := range []directory.CalendarFilter{{Text: true}, {Text: true, Shadows: true}, {Text: true, Series: true}} {
		n := 0
		for o, err := range s.CalendarObjects(ctx, "o", "m", f) {
			if d := cmp.Diff(want, o); d != "" || err != nil {
				t.Errorf("%v, object (-want +got):\n%s", err, d)
			}
			n++
		}
		if n != 1 {
			t.Errorf("filter %+v: %d objects, want 1", f, n)
		}
	}
	if v, months, err := s.CalendarMonths(ctx, "o", "m", 24315, 24315); v != 3 || len(months) != 2 || err != nil {
		t.Errorf("version %d, %d months, %v", v, len(months), err)
	}
	if list, err := s.CalendarFolders(ctx, "o", "m"); len(list) != 0 || err != nil {
		t.Errorf("folders %v, %v; want none that is known", list, err)
	}
	if n, err := s.CalendarUnreadable(ctx, "o", "m"); n != 1 || err != nil {
		t.Errorf("%d unreadable, %v", n, err)
	}
}
