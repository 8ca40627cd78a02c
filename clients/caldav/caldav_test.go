package caldav_test

import (
	"strings"
	"testing"

	"busybridge/clients/caldav"
)

const event = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:one\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260310T090000Z\r\nDTEND:20260310T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

// Each server starts, takes a calendar with an object, refuses what is none, and stops.
func TestServers(t *testing.T) {
	for _, name := range caldav.Names {
		t.Run(name, func(t *testing.T) {
			if err := caldav.Available(name); err != nil {
				t.Skip(err)
			}
			s, err := caldav.Start(t.Context(), name, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.MakeCalendar(t.Context(), "work"); err != nil {
				t.Error(err)
			}
			if err := s.Put(t.Context(), "work", "one.ics", []byte(event)); err != nil {
				t.Error(err)
			}
			if b, err := s.Do(t.Context(), "GET", s.Home+"work/one.ics", "", nil); err != nil || !strings.Contains(string(b), "DTSTART:20260310T090000Z") {
				t.Errorf("%s, %v", b, err)
			}
			if err := s.Put(t.Context(), "work", "two.ics", []byte("what?")); err == nil {
				t.Error("it takes what is no calendar")
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if err := s.Put(t.Context(), "work", "one.ics", []byte(event)); err == nil {
				t.Error("it still runs")
			}
		})
	}
	if err := caldav.Available("oracle"); err == nil || !strings.Contains(err.Error(), `"oracle" is no server`) {
		t.Errorf("got %v", err)
	}
}
