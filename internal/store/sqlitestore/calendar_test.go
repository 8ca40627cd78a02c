package sqlitestore

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"busybridge/internal/directory"
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

// Every question of a calendar names its key and walks nothing else.
func TestCalendarQueryPlans(t *testing.T) {
	s := calendarDatabase(filepath.Join(t.TempDir(), "a.db")).Open(t, time.Now).(*Store)
	objects := func(f directory.CalendarFilter) (string, []any) { return calendarObjectsQuery("o", "m", f, f.UIDs) }
	uids, uidArgs := objects(directory.CalendarFilter{UIDs: []string{"a", "b"}})
	series, seriesArgs := objects(directory.CalendarFilter{Series: true, From: time.Unix(0, 0), To: time.Unix(1, 0), Text: true})
	zone, zoneArgs := objects(directory.CalendarFilter{MailboxZone: true, Text: true})
	for _, tt := range []struct {
		name  string
		query string
		args  []any
		want  []string
	}{
		{"state", selectCalendarState, []any{"o", "m"}, []string{"calendars USING INDEX sqlite_autoindex_calendars_1 (org_id=? AND mailbox_id=?)"}},
		{"months", selectCalendarMonths, []any{"o", "m", 1, 2}, []string{
			"c USING INDEX sqlite_autoindex_calendars_1 (org_id=? AND mailbox_id=?)",
			"m USING INDEX sqlite_autoindex_calendar_months_1 (org_id=? AND mailbox_id=? AND month>? AND month<?)",
			"calendar_months USING INDEX sqlite_autoindex_calendar_months_1 (org_id=? AND mailbox_id=? AND month=?)",
		}},
		{"objects by UID", uids, uidArgs, []string{"calendar_objects USING INDEX sqlite_autoindex_calendar_objects_1 (org_id=? AND mailbox_id=? AND uid=?)"}},
		{"series", series, seriesArgs, []string{"calendar_objects USING INDEX calendar_objects_series (org_id=? AND mailbox_id=?)"}},
		{"mailbox zone", zone, zoneArgs, []string{"calendar_objects USING INDEX sqlite_autoindex_calendar_objects_1 (org_id=? AND mailbox_id=?)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := queryPlan(t, s.read, tt.query, tt.args)
			for _, want := range tt.want {
				if !strings.Contains(plan, "SEARCH "+want) {
					t.Errorf("plan lacks SEARCH %s:\n%s", want, plan)
				}
			}
			if strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("plan walks a table:\n%s", plan)
			}
		})
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
