package caldavserver_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"busybridge/internal/directory"
	"busybridge/internal/serve/caldavserver"
	"busybridge/internal/spec/soap"
)

// requests are the bodies of the transcripts.
func requests(f *testing.F) (list []string) {
	files, err := filepath.Glob("testdata/*.http")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, step := range strings.Split(string(text), "\n=== ") {
			request, _, _ := strings.Cut(step, "\n---\n")
			if _, body, ok := strings.Cut(request, "\n\n"); ok {
				list = append(list, body)
			}
		}
	}
	return list
}

// Whatever XML comes, what is read of it is bounded, and an event is held against it.
func FuzzXML(f *testing.F) {
	for _, body := range requests(f) {
		if strings.HasPrefix(body, "<") {
			f.Add([]byte(body))
		}
	}
	event := []byte("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:s\r\nDTSTART;TZID=Europe/Berlin:20260310T090000\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY\r\nSUMMARY;LANGUAGE=en:x\r\nBEGIN:VALARM\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := soap.ReadXML(bytes.NewReader(body), 1<<16)
		if err != nil {
			return
		}
		_ = caldavserver.Selected(e)
		var folder directory.CalendarFolder
		for _, created := range []bool{true, false} {
			if err := caldavserver.Apply(e, &folder, created); err == nil && len(folder.Properties) > 32 {
				t.Errorf("%d properties are kept", len(folder.Properties))
			}
		}
		matches, err := caldavserver.ReadFilter(e.Child("urn:ietf:params:xml:ns:caldav", "filter"))
		if err != nil {
			return
		}
		first, err := matches(event)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := matches(event); again != first {
			t.Error("the second answer is another")
		}
	})
}

func FuzzBusyRequest(f *testing.F) {
	for _, body := range requests(f) {
		if strings.HasPrefix(body, "BEGIN") {
			f.Add([]byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		start, end, attendees, err := caldavserver.ParseBusyRequest(text)
		if err == nil && (!start.Before(end) || attendees < 1 || attendees > 100) {
			t.Errorf("%v to %v about %d", start, end, attendees)
		}
	})
}
