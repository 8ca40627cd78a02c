package apiserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/serve/apiserver"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

type auth struct{ partner bool }

func (a auth) Authenticate(r *http.Request) (*callers.Caller, error) {
	user, _, ok := r.BasicAuth()
	if !ok {
		return nil, callers.ErrNoCredentials
	}
	c := &callers.Caller{Org: &directory.Organization{ID: "o"}, Account: &directory.Account{UserName: user}}
	if a.partner {
		c.Account, c.Partner = nil, &trust.Caller{}
	}
	return c, nil
}

func (auth) Challenge(w http.ResponseWriter, _ *http.Request, _ error) {
	w.WriteHeader(http.StatusUnauthorized)
}

// importer reads the whole file and then does as it is told.
type importer struct {
	progress [][2]int
	err      error
}

func (i importer) Import(_ context.Context, _ *callers.Caller, mailbox smtpaddr.Address, calendar, name string, r io.Reader, progress func(done, total int)) (directory.ImportSummary, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return directory.ImportSummary{}, fmt.Errorf("read: %w", err)
	}
	for _, p := range i.progress {
		progress(p[0], p[1])
	}
	return directory.ImportSummary{File: name + " for " + mailbox.String(), Calendar: calendar, Events: len(b)}, i.err
}

func (i importer) Folders(_ context.Context, _ *callers.Caller, mailbox smtpaddr.Address) ([]directory.CalendarFolder, error) {
	return []directory.CalendarFolder{{Objects: 3}, {Name: "Birthdays of " + mailbox.String(), Transparent: true}}, i.err
}

func (i importer) SetFolder(_ context.Context, _ *callers.Caller, _ smtpaddr.Address, calendar string, transparent bool) (bool, error) {
	return calendar == "New one" && transparent, i.err
}

func (i importer) DeleteFolder(_ context.Context, _ *callers.Caller, _ smtpaddr.Address, calendar string) error {
	if calendar != "Old" {
		return directory.ErrNotFound
	}
	return i.err
}

func TestCalendars(t *testing.T) {
	const all = "/api/v1/mailboxes/ana@corp.example/calendars"
	for _, tt := range []struct {
		name, method, path string
		auth               auth
		anonym             bool
		err                error
		body               string
		status             int
		want               string
	}{
		{name: "list", method: "GET", path: all, status: 200,
			want: `{"calendars":[{"name":"Calendar","main":true,"transparent":false,"objects":3},{"name":"Birthdays of ana@corp.example","transparent":true,"objects":0}]}` + "\n"},
		{name: "a new one", method: "PUT", path: all + "?calendar=New%20one", body: `{"transparent":true}`, status: 201},
		{name: "one that is there", method: "PUT", path: all + "?calendar=Calendar", body: `{"transparent":false}`, status: 204},
		{name: "a body of another kind", method: "PUT", path: all + "?calendar=x", body: `{"opaque":1}`, status: 400,
			want: `{"title":"the body is not {\"transparent\": true} or {\"transparent\": false}","status":400,"detail":"json: unknown field \"opaque\""}` + "\n"},
		{name: "not possible", method: "PUT", path: all + "?calendar=x", body: `{}`, err: fmt.Errorf("%w: too many", apiserver.ErrCalendar), status: 409,
			want: `{"title":"not possible","status":409,"detail":"not possible: too many"}` + "\n"},
		{name: "delete", method: "DELETE", path: all + "?calendar=Old", status: 204},
		{name: "delete nothing", method: "DELETE", path: all + "?calendar=None", status: 404, want: `{"title":"no such mailbox or calendar","status":404,"detail":"not found"}` + "\n"},
		{name: "not permitted", method: "DELETE", path: all + "?calendar=Old", err: apiserver.ErrForbidden, status: 403, want: `{"title":"not permitted","status":403,"detail":"not permitted"}` + "\n"},
		{name: "nobody", method: "GET", path: all, anonym: true, status: 401},
		{name: "a partner", method: "GET", path: all, auth: auth{partner: true}, status: 403, want: `{"title":"partner organizations have no calendars here","status":403}` + "\n"},
		{name: "no address", method: "GET", path: "/api/v1/mailboxes/ana/calendars", status: 404, want: `{"title":"no such mailbox","status":404,"detail":"\"ana\": not a valid SMTP address"}` + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := apiserver.New(apiserver.Config{Auth: tt.auth, Calendars: importer{err: tt.err}})
			if err != nil {
				t.Fatal(err)
			}
			h := mount.New(mount.Config{Routes: s.Routes(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now})
			r := httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, strings.NewReader(tt.body))
			if !tt.anonym {
				r.SetBasicAuth("ana@corp.example", "x")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if diff := cmp.Diff(tt.want, w.Body.String()); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImport(t *testing.T) {
	const path = "/api/v1/mailboxes/ana@corp.example/import?name=a.ics"
	for _, tt := range []struct {
		name     string
		path     string
		auth     auth
		anonym   bool
		importer importer
		body     string
		status   int
		want     string
	}{
		{name: "a summary", body: "four", status: 200, want: `{"summary":{"file":"a.ics for ana@corp.example","events":4,"added":0,"replaced":0,"unchanged":0}}` + "\n"},
		{name: "into a calendar", path: path + "&calendar=Team%20Ω", status: 200,
			want: `{"summary":{"file":"a.ics for ana@corp.example","calendar":"Team Ω","events":0,"added":0,"replaced":0,"unchanged":0}}` + "\n"},
		{name: "progress comes first", importer: importer{progress: [][2]int{{1, 2}, {2, 2}}}, status: 200,
			want: `{"done":1,"total":2}` + "\n" + `{"done":2,"total":2}` + "\n" + `{"summary":{"file":"a.ics for ana@corp.example","events":0,"added":0,"replaced":0,"unchanged":0}}` + "\n"},
		{name: "nobody", anonym: true, status: 401},
		{name: "a partner", auth: auth{partner: true}, status: 403, want: `{"title":"partner organizations have no calendars here","status":403}` + "\n"},
		{name: "no address", path: "/api/v1/mailboxes/ana/import?name=a.ics", status: 404, want: `{"title":"no such mailbox","status":404,"detail":"\"ana\": not a valid SMTP address"}` + "\n"},
		{name: "no file name", path: "/api/v1/mailboxes/ana@corp.example/import", status: 400, want: `{"title":"query parameter name: 1 to 255 characters are needed","status":400}` + "\n"},
		{name: "too large", body: strings.Repeat("x", 101), status: 413, want: `{"title":"the file is larger than 100 bytes","status":413}` + "\n"},
		{name: "not permitted", importer: importer{err: fmt.Errorf("%w: no", apiserver.ErrForbidden)}, status: 403, want: `{"title":"not permitted","status":403,"detail":"not permitted: no"}` + "\n"},
		{name: "unknown mailbox", importer: importer{err: fmt.Errorf("ana: %w", directory.ErrNotFound)}, status: 404, want: `{"title":"no such mailbox or calendar","status":404,"detail":"ana: not found"}` + "\n"},
		{name: "no calendar", importer: importer{err: fmt.Errorf("%w: line 1", apiserver.ErrUnusable)}, status: 422,
			want: `{"title":"the calendar cannot be read","status":422,"detail":"not a calendar that can be read: line 1"}` + "\n"},
		{name: "an internal error tells nothing", importer: importer{err: errors.New("disk of db7 is full")}, status: 500, want: `{"title":"internal error","status":500}` + "\n"},
		{name: "a late problem is the last line", importer: importer{progress: [][2]int{{1, 2}}, err: fmt.Errorf("%w: gone", directory.ErrNotFound)}, status: 200,
			want: `{"done":1,"total":2}` + "\n" + `{"problem":{"title":"no such mailbox or calendar","status":404,"detail":"not found: gone"}}` + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := apiserver.New(apiserver.Config{Auth: tt.auth, Calendars: tt.importer, MaxImport: 100})
			if err != nil {
				t.Fatal(err)
			}
			h := mount.New(mount.Config{Routes: s.Routes(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now})
			if tt.path == "" {
				tt.path = path
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, tt.path, strings.NewReader(tt.body))
			if !tt.anonym {
				r.SetBasicAuth("ana@corp.example", "x")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if diff := cmp.Diff(tt.want, w.Body.String()); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}
