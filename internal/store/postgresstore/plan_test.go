package postgresstore

import (
	"context"
	"database/sql"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/store/pgtest"
	"busybridge/internal/store/sqlitestore"
	"busybridge/internal/store/sqlstore"
)

func openDatabase(t *testing.T, url string) sqlstore.Database {
	t.Helper()
	db, err := Database(t.Context(), url, Options{Options: sqlstore.Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestSchema looks at tables and plans.
func TestSchema(t *testing.T) {
	db := openDatabase(t, pgtest.Start(t).URL(t))
	t.Run("it has what SQLite's has", func(t *testing.T) { sameSchema(t, db.Read) })
	t.Run("every hot query names its key and walks nothing else", func(t *testing.T) { queryPlans(t, db.Read) })
	t.Run("every key has the column that its table is distributed by", func(t *testing.T) { keys(t, db.Read) })
	t.Run("without Citus nothing can be distributed", func(t *testing.T) {
		if err := distribute(t.Context(), db.Write); err != errNoCitus {
			t.Errorf("got %v", err)
		}
	})
	t.Run("what Citus cannot hold is taken away", func(t *testing.T) {
		tx, err := db.Write.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		for _, query := range undistributable {
			if _, err := tx.ExecContext(t.Context(), query); err != nil {
				t.Errorf("%s: %v", query, err)
			}
		}
		keys(t, tx)
	})
}

type queries interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// rowsOf are the rows of a query, their columns with blanks between.
func rowsOf(t *testing.T, db queries, query string, args ...any) (list []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]string, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		list = append(list, strings.Join(values, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// sameSchema: the statements are one text for both, and so is what is copied from one
// into the other.
func sameSchema(t *testing.T, db *sql.DB) {
	lite, err := sqlitestore.Database(t.Context(), t.TempDir()+"/a.db", time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer lite.Close()
	want := rowsOf(t, lite.Read, `SELECT m.name, c.name, lower(c.type), c."notnull", c.pk, coalesce(c.dflt_value, '-') FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name <> 'goose_db_version' AND m.name NOT LIKE 'sqlite_%'`)
	got := rowsOf(t, db, `SELECT t.relname, a.attname, CASE format_type(a.atttypid, NULL) WHEN 'integer' THEN 'integer' ELSE format_type(a.atttypid, NULL) END,
		CASE WHEN a.attnotnull THEN 1 ELSE 0 END, coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0),
		coalesce(regexp_replace(pg_get_expr(d.adbin, d.adrelid), '::text|[()]|''(?=-?\d)|(?<=\d)''::[a-z]+', '', 'g'), '-')
		FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_index i ON i.indrelid = t.oid AND i.indisprimary LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
		WHERE t.relkind = 'r' AND t.relnamespace = current_schema()::regnamespace AND t.relname <> 'goose_db_version' AND t.relname NOT LIKE 'store_%'`)
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "FALSE", "false")
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("columns, by table (-SQLite +PostgreSQL):\n%s", d)
	}
	want = rowsOf(t, lite.Read, `SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1`)
	got = rowsOf(t, db, `SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		WHERE c.relnamespace = current_schema()::regnamespace AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = c.oid)
		AND c.relname NOT LIKE 'store_%' ORDER BY c.relname COLLATE "C"`)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("indexes (-SQLite +PostgreSQL):\n%s", d)
	}
}

var indexCondition = regexp.MustCompile(`Index Cond: (.*)`)

func queryPlans(t *testing.T, db *sql.DB) {
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Plans are made for what is there.
	const boxes = `generate_series(1, 2000) i`
	for _, fill := range []string{
		`INSERT INTO organizations VALUES ('o', 'Contoso', 'contoso', '', 1)`,
		`INSERT INTO recipients SELECT 'o', 'm' || i, 'n' || i, 'u' || i, repeat('x', 1000) FROM ` + boxes,
		`INSERT INTO addresses SELECT 'o', 'a' || i || '@contoso.com', 'm' || i FROM ` + boxes,
		`INSERT INTO calendars SELECT 'o', 'm' || i, 1, 'UTC', '[]', 0, 0 FROM ` + boxes,
		`INSERT INTO calendar_folders SELECT 'o', 'm' || i, '', FALSE, 0, 1 FROM ` + boxes,
		`INSERT INTO calendar_months SELECT 'o', 'm' || i, j, 'x' FROM ` + boxes + `, generate_series(-1, 20) j`,
		`INSERT INTO calendar_objects SELECT 'o', 'm' || i, 'u' || j, '', '', 0, NULL, '', FALSE, j > 8, 0, NULL, 0, '', '', 'n' || j FROM ` + boxes + `, generate_series(0, 9) j`,
		`INSERT INTO calendar_shadows SELECT 'o', 'm' || i, 'u' || j, 'f', j > 8, '', '', 0, NULL, '', FALSE, j > 8, 0, NULL, 0, '', 'n' || j, j > 8, 1, 1 FROM ` + boxes + `, generate_series(0, 9) j`,
		`INSERT INTO calendar_imports SELECT 'o', 'm' || i, 'a.ics', 0, 0, 0 FROM ` + boxes,
		`ANALYZE`,
	} {
		if _, err := c.ExecContext(t.Context(), fill); err != nil {
			t.Fatalf("%s: %v", fill, err)
		}
	}
	for _, q := range sqlstore.HotQueries() {
		plan := strings.Join(rowsOf(t, c, "EXPLAIN (COSTS OFF) "+q.Text, q.Args...), "\n")
		conditions := indexCondition.FindAllStringSubmatch(plan, -1)
		if len(conditions) == 0 || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s: plan walks a table:\n%s", q.Name, plan)
		}
		for _, c := range conditions {
			if !strings.Contains(c[1], "org_id = ") || !regexp.MustCompile(`(mailbox_id|recipient_id|address) = `).MatchString(c[1]) {
				t.Errorf("%s: an index is not asked by organization and mailbox: %s\n%s", q.Name, c[1], plan)
			}
		}
	}
}

// keys: Citus wants the column in every unique key, and references only within one place.
func keys(t *testing.T, db queries) {
	by, with := map[string]string{}, map[string]string{}
	for _, p := range placements {
		by[p.table], with[p.table] = p.by, p.with
		if p.with == "" {
			with[p.table] = p.table
		}
	}
	tables := rowsOf(t, db, `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
		AND relname <> 'goose_db_version' AND relname NOT LIKE 'store_%'`)
	for _, table := range tables {
		if _, ok := by[table]; !ok {
			t.Errorf("%s has no place", table)
		}
	}
	if len(tables) != len(placements) {
		t.Errorf("%d tables have places, there are %d", len(placements), len(tables))
	}
	_, inTransaction := db.(*sql.Tx)
	for _, row := range rowsOf(t, db, `SELECT t.relname, c.relname, (SELECT string_agg(a.attname, ',' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = ANY(i.indkey::int2[]))
		FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
		WHERE i.indisunique AND t.relnamespace = current_schema()::regnamespace`) {
		f := strings.Fields(row)
		if column := by[f[0]]; column != "" && !slices.Contains(strings.Split(f[2], ","), column) && (inTransaction || f[1] != "recipients_upn") {
			t.Errorf("unique key %s of %s has no %s", f[1], f[0], column)
		}
	}
	if !inTransaction {
		return
	}
	for _, row := range rowsOf(t, db, `SELECT t.relname, r.relname, k.conname,
		(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = k.conkey[cardinality(k.conkey)]),
		(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum = k.confkey[cardinality(k.confkey)])
		FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid
		WHERE k.contype = 'f' AND t.relnamespace = current_schema()::regnamespace`) {
		f := strings.Fields(row)
		if by[f[1]] == "" {
			continue // every worker has what is referred to
		}
		if by[f[0]] == "" || with[f[0]] != with[f[1]] || f[3] != by[f[0]] || f[4] != by[f[1]] {
			t.Errorf("%s: %s refers to %s, which may be elsewhere", f[2], f[0], f[1])
		}
	}
}
