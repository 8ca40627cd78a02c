package directory_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
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
	for name, want := range map[string]bool{v.Folder(): true, " " + v.Folder() + " ": true, v.FolderOf("ab12"): true, v.FolderOf(""): false, v.Folder() + "x": false, "source-": false, "source-x": false, "Team": false, "": false} {
		if directory.IsSourceFolder(name) != want {
			t.Errorf("%q: want %v", name, want)
		}
	}
	other := &directory.CalendarSource{ID: "2e1d0c9b-0001-4000-8000-000000000002"}
	for name, want := range map[string]bool{v.Folder(): true, v.FolderOf("ab12"): true, other.Folder(): false, other.FolderOf("ab12"): false, v.Folder() + "x": false} {
		if v.HasFolder(name) != want {
			t.Errorf("has %q: want %v", name, want)
		}
	}
}

func TestSourceTemplates(t *testing.T) {
	kim := smtpaddr.Must("kim.o'hara/x@contoso.com")
	for in, want := range map[directory.SecretURL]string{
		"https://a.example/dav/{localpart}/":         "https://a.example/dav/kim.o%27hara%2Fx/",
		"https://a.example/{domain}/{address}/plan/": "https://a.example/contoso.com/kim.o%27hara%2Fx@contoso.com/plan/",
		"https://a.example/kim/":                     "https://a.example/kim/",
	} {
		if got := in.For(kim); got != want {
			t.Errorf("%s: got %s, want %s", in.Reveal(), got, want)
		}
		if in.Template() != strings.Contains(in.Reveal(), "{") {
			t.Errorf("%s: template %v", in.Reveal(), in.Template())
		}
	}
}

// What is of one kind only is refused with another.
func TestCalDAVSourceRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*directory.CalendarSource)
		field  string // "": it is right
	}{
		{"a CalDAV server", func(v *directory.CalendarSource) { v.Kind = directory.SourceCalDAV }, ""},
		{"a method", func(v *directory.CalendarSource) { v.Kind, v.Method = directory.SourceCalDAV, directory.MethodOutbox }, ""},
		{"a template", func(v *directory.CalendarSource) {
			v.Kind, v.URL = directory.SourceCalDAV, "https://a.example/{localpart}/"
		}, ""},
		{"a method of another kind", func(v *directory.CalendarSource) {
			v.Kind, v.Method = directory.SourceCalDAV, directory.MethodGetSchedule
		}, "Method"},
		{"a template of something else", func(v *directory.CalendarSource) { v.Kind, v.URL = directory.SourceCalDAV, "https://a.example/{upn}/" }, "Url"},
		{"a template as host", func(v *directory.CalendarSource) { v.Kind, v.URL = directory.SourceCalDAV, "https://{domain}/" }, "Url"},
		{"a method for a file", func(v *directory.CalendarSource) { v.Method = directory.MethodFullRead }, "Method"},
		{"a file found by address", func(v *directory.CalendarSource) { v.FindByAddress = true }, "FindByAddress"},
	} {
		v := &directory.CalendarSource{Org: "2e1d0c9b-0001-4000-8000-000000000001", ID: "2e1d0c9b-0001-4000-8000-000000000002", Mailbox: "2e1d0c9b-0001-4000-8000-000000000003",
			Name: "x", Kind: directory.SourceICalendar, URL: "https://a.example/x", Refresh: time.Hour, MaxBytes: 1, MaxEvents: 1}
		tt.change(v)
		err := v.Validate()
		if f, ok := errors.AsType[*directory.FieldError](err); ok != (tt.field != "") || ok && f.Field != tt.field {
			t.Errorf("%s: %v, want field %q", tt.name, err, tt.field)
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
