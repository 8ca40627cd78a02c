package lab_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/clients"
	"busybridge/internal/app/client"
	"busybridge/internal/lab"
)

// TestCalendarPrograms lets programs that nobody here wrote use calendars by CalDAV,
// from discovery to the outbox, where they ask about the other organization, too.
func TestCalendarPrograms(t *testing.T) {
	programs := map[string]struct {
		args []string
		want string
	}{
		clients.CalDAV: {[]string{"carol@contoso.com", "bob@contoso.com", "paul@contoso.com", "nobody@contoso.com", "li@fabrikam.com"}, `{
			"principal": "/caldav/principals/carol@contoso.com/", "home": "/caldav/calendars/carol%40contoso.com/",
			"addresses": ["mailto:carol@contoso.com", "/caldav/principals/carol@contoso.com/"], "calendars": ["Calendar"],
			"made": "Plans", "renamed": "Plans of mine", "made twice": "AuthorizationError",
			"put": ["Many", "One"], "no_overwrite": "ConsistencyError", "broken": "AuthorizationError",
			"found": ["Many", "One"], "expanded": ["20261124T090000Z", "20261124T120000Z", "20261125T120000Z"],
			"by uid": ["Many"], "by text": ["Many"], "todos": 0, "by url": ["One"],
			"changed": ["Other"], "news": ["many.ics", "one.ics"], "sync": [2, 1, 1, 1], "bad token": "AuthorizationError",
			"own busy": ["20261124T090000Z/20261124T100000Z BUSY"],
			"busy": {
				"mailto:bob@contoso.com": ["2.0;Success", "20261124T070000Z/20261124T090000Z BUSY"],
				"mailto:paul@contoso.com": ["2.0;Success", "20261124T060000Z/20261124T070000Z BUSY"],
				"mailto:nobody@contoso.com": ["3.7;Invalid calendar user"],
				"mailto:li@fabrikam.com": ["5.2;Invalid calendar service"]
			},
			"deleted": ["Calendar"]}`},
		clients.Vdirsyncer: {[]string{"alice@contoso.com", filepath.Join(t.TempDir(), "vdir")}, `{
			"calendars": ["Calendar"], "copied": 4, "sent": 200, "put there": 201, "both": ["mine.ics", "theirs.ics"], "changed there": 204,
			"now": ["Changed here", "Changed there"], "deleted there": 204, "gone here": [], "gone there": 404, "as before": true}`},
	}
	missing := 0
	for name := range programs {
		if err := clients.Available(name); err != nil {
			missing++
		}
	}
	if missing == len(programs) {
		t.Skip("none of the programs is here; run scripts/test-deps.sh")
	}
	l, err := lab.Start(t.Context(), options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := l.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, p := range programs {
		t.Run(name, func(t *testing.T) {
			if err := clients.Available(name); err != nil {
				t.Skip(err)
			}
			out, err := clients.Run(t.Context(), name, append([]string{filepath.Join(l.Dir(), client.LabFileName)}, p.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			var got, want map[string]any
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if err := json.Unmarshal([]byte(p.want), &want); err != nil {
				t.Fatal(err)
			}
			t.Log(got["client"])
			delete(got, "client")
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
