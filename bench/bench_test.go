package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/bench/dataset"
)

// K is what the program is compared with: it has to be right, and to refuse who
// has no token.
func TestComputeIsRight(t *testing.T) {
	set := dataset.New(dataset.DefaultSeed, 5, 200)
	k := newCompute(set, "secret")
	for name, kind := range kinds(set) {
		for i := range kind.questions {
			q := &kind.questions[i]
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(q.body))
			r.Header.Set("Authorization", "Bearer secret")
			k.ServeHTTP(w, r)
			if n, err := q.right(w.Body.Bytes()); err != nil || n != len(q.of) {
				t.Fatalf("%s: %d of %d right: %v", name, n, len(q.of), err)
			}
		}
	}
	w := httptest.NewRecorder()
	k.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", http.NoBody))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("without a token: %d", w.Code)
	}
}

// Whatever is wrong in an answer is found.
func TestWrongAnswersAreFound(t *testing.T) {
	set := dataset.New(dataset.DefaultSeed, 2, 200)
	q := ask(pointers(set), dataset.Weeks()[0])
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(q.body))
	r.Header.Set("Authorization", "Bearer secret")
	newCompute(set, "secret").ServeHTTP(w, r)
	right := w.Body.String()
	cut := func(s, from, to string) string { // the first time
		i := strings.Index(s, from)
		return s[:i] + s[i+strings.Index(s[i:], to)+len(to):]
	}
	first := right[strings.Index(right, "<CalendarEvent>") : strings.Index(right, "</CalendarEvent>")+len("</CalendarEvent>")]
	for _, tt := range []struct {
		name, body string
		right      int
		text       string
	}{
		{"right", right, 2, ""},
		{"an event is missing", cut(right, "<CalendarEvent>", "</CalendarEvent>"), 1, "missing 2026-01-"},
		{"an event is there twice", strings.Replace(right, first, first+first, 1), 1, "more than once"},
		{"busy where it is free or tentative", strings.Replace(right, "Tentative<", "Busy<", 1), 1, "not there"},
		{"an hour late", strings.Replace(right, "T09:", "T10:", 1), 1, "missing"},
		{"a mailbox is missing", cut(right, "<FreeBusyResponse>", "</FreeBusyResponse>"), 0, "1 mailboxes in the answer, want 2"},
		{"a mailbox has an error", strings.Replace(right, `Class="Success"`, `Class="Error"`, 1), 1, "NoError"},
		{"no XML", right[:len(right)/2], 0, "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name != "right" && tt.body == right {
				t.Fatal("the case changes nothing")
			}
			n, err := q.right([]byte(tt.body))
			if n != tt.right || (err == nil) != (tt.text == "") || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%d right, %v; want %d, %q", n, err, tt.right, tt.text)
			}
		})
	}
}

func TestPeriodsOfCyrus(t *testing.T) {
	const data = "BEGIN:VCALENDAR\r\nBEGIN:VFREEBUSY\r\n" +
		"FREEBUSY:20260112T090000Z/20260112T100000Z,20260112T093000Z/PT1H30M,202601\r\n 13T000000Z/P1W7D\r\n" +
		"FREEBUSY;FBTYPE=BUSY-TENTATIVE:20260112T110000Z/20260112T120000Z\r\nFREEBUSY;FBTYPE=FREE:20260112T150000Z/PT1H\r\nEND:VFREEBUSY\r\n"
	got, err := periods(data)
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) int64 {
		v, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return v.Unix()
	}
	w := dataset.Window{Start: at("2026-01-12 00:00:00"), End: at("2026-01-14 00:00:00")}
	days := dataset.Window{Start: at("2026-01-13 00:00:00"), End: w.End}
	if d := cmp.Diff([]dataset.Window{{Start: at("2026-01-12 09:00:00"), End: at("2026-01-12 11:00:00")}, days}, union(got, dataset.Busy, w)); d != "" {
		t.Errorf("firm: %s", d)
	}
	if d := cmp.Diff([]dataset.Window{{Start: at("2026-01-12 09:00:00"), End: at("2026-01-12 12:00:00")}, days}, union(got, dataset.Tentative, w)); d != "" {
		t.Errorf("of any kind: %s", d)
	}
	for _, bad := range []string{"FREEBUSY:x/y\r\n", "FREEBUSY:20260112T090000Z/P1X\r\n", "FREEBUSY:20260112T090000Z/PxD\r\n"} {
		if _, err := periods(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}
