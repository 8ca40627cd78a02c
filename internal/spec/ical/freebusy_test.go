package ical_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"busybridge/internal/spec/ical"

	"github.com/google/go-cmp/cmp"
)

func TestFreeBusy(t *testing.T) {
	at := func(day, hour int) time.Time { return time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC) }
	fb := ical.FreeBusy{
		UID: "1", Attendee: "mailto:ann@contoso.com", Stamp: at(1, 0), Start: at(1, 0), End: at(8, 0),
		Periods: []ical.Period{{at(2, 9), at(2, 10), ical.Busy}, {at(3, 9), at(3, 10), ical.Tentative}, {at(4, 9), at(4, 10), ical.OOF}, {at(5, 9), at(5, 10), ical.Free}},
	}
	b := ical.AppendFreeBusy(nil, fb, ical.FreeBusy{UID: "2", Attendee: "mailto:bob\r\nX:1@contoso.com"})
	for _, want := range []string{
		"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n", "ATTENDEE:mailto:ann@contoso.com\r\nDTSTART:20260301T000000Z\r\n",
		"FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20260304T090000Z/20260304T100000Z\r\n", "ATTENDEE:mailto:bobX:1@contoso.com\r\n",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in\n%s", want, b)
		}
	}
	got, problems, err := ical.ParseFreeBusy(b, ical.Limits{})
	if err != nil || len(problems) > 0 || len(got) != 2 {
		t.Fatal(err, problems, got)
	}
	if diff := cmp.Diff(fb, got[0]); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestParseFreeBusy(t *testing.T) {
	b, err := os.ReadFile("testdata/group-period-freebusy.ics")
	if err != nil {
		t.Fatal(err)
	}
	got, problems, err := ical.ParseFreeBusy(b, ical.Limits{})
	if err != nil || len(got) != 1 {
		t.Fatal(err, got)
	}
	if len(problems) != 1 || !strings.Contains(problems[0].Reason, "does not end after it begins") || problems[0].Line != 12 {
		t.Errorf("problems %v, want one of the negative period in line 12", problems)
	}
	at := func(day, hour int) time.Time { return time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC) }
	want := []ical.Period{{at(2, 9), at(2, 10), ical.Tentative}, {at(3, 9), at(3, 10), ical.Tentative}, {at(4, 9), at(4, 10), ical.Free}, {at(5, 9), at(5, 10), ical.Busy}}
	if diff := cmp.Diff(want, got[0].Periods); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, _, err := ical.ParseFreeBusy([]byte("<html>"), ical.Limits{}); err == nil {
		t.Error("a page is taken for free/busy")
	}
}
