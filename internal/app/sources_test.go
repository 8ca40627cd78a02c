package app

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"busybridge/internal/admin"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/serve/apiserver"
)

// A node follows the sources that an administrator adds, beside everything else
// that it runs, and tells how they are.
func TestANodeFollowsCalendarSources(t *testing.T) {
	var down atomic.Bool
	upstream := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260310T090000Z\r\nDTEND:20260310T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
	}))
	t.Cleanup(upstream.Close)
	roots := x509.NewCertPool()
	roots.AddCert(upstream.Certificate())
	var clock atomic.Int64
	clock.Store(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).UnixNano())
	now := func() time.Time { return time.Unix(0, clock.Load()) }
	tick := make(chan time.Time)
	registry := prometheus.NewRegistry()
	d, err := Open(t.Context(), Settings{
		StorePath: filepath.Join(t.TempDir(), "a.db"), SealKey: make([]byte, 32), Roles: []string{RoleOrganization}, Now: now,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Registerer: registry,
		Dial: safehttp.Config{Roots: roots, ConnectTo: map[string]string{"example.com:443": upstream.Listener.Addr().String()}},
		Ticks: func(every time.Duration) (<-chan time.Time, func()) {
			if every == time.Second {
				return tick, func() {}
			}
			return make(chan time.Time), func() {}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	system := admin.Actor{Name: "system", System: true}
	o, err := d.Admin.NewOrganization(t.Context(), system, admin.OrganizationParams{Name: "Contoso", Domain: "contoso.com"})
	if err != nil {
		t.Fatal(err)
	}
	org := o.Object.ID
	kim, err := d.Admin.NewMailbox(t.Context(), system, org, admin.MailboxParams{Name: "kim", Password: "correct horse", TimeZone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	res, err := d.Admin.NewCalendarSource(t.Context(), system, org, "kim", directory.CalendarSource{Name: "Team", Kind: directory.SourceICalendar, URL: "https://example.com/a.ics", Enabled: true})
	if err != nil {
		t.Fatal(err)
	}
	id := res.Object.ID
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- RunAll(ctx, []*Deployment{d}, func(ctx context.Context) error { <-ctx.Done(); return nil })
	}()
	until := func(condition string) {
		t.Helper()
		for {
			v, err := d.Store.CalendarSource(t.Context(), org, id)
			if err != nil {
				t.Fatal(err)
			}
			if v.Condition() == condition {
				return
			}
			select {
			case tick <- time.Time{}:
			case err := <-ended:
				t.Fatal(err)
			case <-t.Context().Done():
				t.Fatal("the node does not come to ", condition)
			}
		}
	}
	busy := func() int {
		t.Helper()
		start := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
		iv, err := d.calendars.Busy(t.Context(), org, kim.Object, freebusy.Window{Start: start, End: start.AddDate(0, 0, 1)}, false)
		if err != nil {
			t.Fatal(err)
		}
		return len(iv)
	}
	until(directory.SourceHealthy)
	if n := busy(); n != 1 {
		t.Errorf("%d entries", n)
	}
	if _, err := (mailboxes{d}).SetFolder(t.Context(), nil, kim.Object.Primary, res.Object.Folder(), true); !errors.Is(err, apiserver.ErrCalendar) {
		t.Errorf("a copy is changed by hand: %v", err)
	}
	down.Store(true)
	clock.Add(int64(11 * time.Minute))
	until("Unauthorized")
	if n := busy(); n != 1 {
		t.Errorf("while it is down: %d entries", n)
	}
	want := `
# HELP busybridge_calendar_source_age_seconds_max Age of the oldest copy of a calendar source.
# TYPE busybridge_calendar_source_age_seconds_max gauge
busybridge_calendar_source_age_seconds_max 660
# HELP busybridge_calendar_source_attempts_total Attempts to read calendar sources, by how the source was then.
# TYPE busybridge_calendar_source_attempts_total counter
busybridge_calendar_source_attempts_total{condition="Healthy"} 1
busybridge_calendar_source_attempts_total{condition="Unauthorized"} 1
# HELP busybridge_calendar_sources Calendar sources by how they are.
# TYPE busybridge_calendar_sources gauge
busybridge_calendar_sources{condition="Unauthorized"} 1
# HELP busybridge_calendar_sources_stale Calendar sources whose copy is older than two refresh intervals.
# TYPE busybridge_calendar_sources_stale gauge
busybridge_calendar_sources_stale 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "busybridge_calendar_sources", "busybridge_calendar_sources_stale",
		"busybridge_calendar_source_age_seconds_max", "busybridge_calendar_source_attempts_total"); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	// Without a server that runs, what is removed takes its copy with it all the same.
	if _, err := d.Admin.RemoveCalendarSource(t.Context(), system, org, id); err != nil {
		t.Fatal(err)
	}
	if n := busy(); n != 0 {
		t.Errorf("after the removal: %d entries", n)
	}
	if list, err := d.Store.AllCalendarSources(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("after the removal: %v, %v", list, err)
	}
}
