package directory_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"busybridge/internal/directory"
)

// However a source is written, the secret part of its address is not in it.
func TestSourceAddressesAreMasked(t *testing.T) {
	for in, want := range map[directory.SecretURL]string{
		"": "", "https://a.example/private-4f2a/x.ics?k=4f2a": "https://a.example/…", "https://a.example:8443/": "https://a.example:8443/",
		"https://a.example": "https://a.example/", "https://u:4f2a@a.example/x": "https://a.example/…", "4f2a": "(secret)", "https://[4f2a": "(secret)", "https://a.example/?k=4f2a": "https://a.example/",
	} {
		if got := in.String(); got != want {
			t.Errorf("%q: got %q, want %q", in.Reveal(), got, want)
		}
	}
	v := &directory.CalendarSource{Name: "Team", URL: "https://a.example/private-4f2a/x.ics", Password: directory.Secret("4f2a")}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "url", v.URL, "source", v)
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"log": log.String(), "JSON": string(body), "%v": fmt.Sprintf("%v", *v), "%+v": fmt.Sprintf("%+v", *v), "%#v": fmt.Sprintf("%#v", *v), "%s": v.URL.String()} {
		if strings.Contains(text, "4f2a") {
			t.Errorf("%s shows a secret: %s", what, text)
		}
	}
	back := directory.CalendarSource{URL: "https://b.example/"}
	if err := json.Unmarshal(body, &back); err != nil || back.URL != "" {
		t.Errorf("a masked address is read back: %q, %v", back.URL.Reveal(), err)
	}
}

func TestSourceFolders(t *testing.T) {
	v := &directory.CalendarSource{ID: "2e1d0c9b-0001-4000-8000-000000000001"}
	for name, want := range map[string]bool{v.Folder(): true, " " + v.Folder() + " ": true, "source-": false, "source-x": false, "Team": false, "": false} {
		if directory.IsSourceFolder(name) != want {
			t.Errorf("%q: want %v", name, want)
		}
	}
}

func TestSourceAge(t *testing.T) {
	now := time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)
	old, fresh := now.Add(-11*time.Minute), now.Add(-10*time.Minute)
	for _, tt := range []struct {
		name  string
		v     directory.CalendarSource
		stale bool
		aged  bool
	}{
		{"just new", directory.CalendarSource{Enabled: true, WhenChanged: fresh}, false, false},
		{"never read, and it should be", directory.CalendarSource{Enabled: true, WhenChanged: old}, true, false},
		{"fresh", directory.CalendarSource{Enabled: true, WhenChanged: old, State: directory.CalendarSourceState{LastSuccess: fresh}}, false, true},
		{"old", directory.CalendarSource{Enabled: true, State: directory.CalendarSourceState{LastSuccess: old}}, true, true},
		{"disabled", directory.CalendarSource{State: directory.CalendarSourceState{LastSuccess: old}}, false, false},
	} {
		tt.v.Refresh = 5 * time.Minute
		if _, aged := tt.v.Age(now); tt.v.Stale(now) != tt.stale || aged != tt.aged {
			t.Errorf("%s: stale %v, aged %v", tt.name, tt.v.Stale(now), aged)
		}
	}
}
