package lab_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/clients"
	"busybridge/internal/app/client"
	"busybridge/internal/lab"
)

// TestMicrosoftsGraphClient lets Microsoft's own client ask both organizations by
// getSchedule, for mailboxes of both in one call. See TestThirdPartyClients for
// what bob and paul do on that Tuesday.
func TestMicrosoftsGraphClient(t *testing.T) {
	if err := clients.Available(clients.GraphJS); err != nil {
		t.Skip(err)
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
	out, err := clients.Run(t.Context(), clients.GraphJS, filepath.Join(l.Dir(), client.LabFileName), "--zone", "China Standard Time",
		"--start", "2026-11-24T13:00:00", "--end", "2026-11-24T19:00:00", "--interval", "60",
		"bob@contoso.com", "paul@contoso.com", "quinn@contoso.com", "nobody@contoso.com")
	if err != nil {
		t.Fatal(err)
	}
	type at struct{ DateTime, TimeZone string }
	var got struct {
		Organizations []struct {
			Org       string
			Schedules []struct {
				ScheduleID, AvailabilityView string
				ScheduleItems                []struct {
					Status     string
					Start, End at
				}
				WorkingHours *struct{ DaysOfWeek []string }
				Error        *struct{ ResponseCode string }
			}
		}
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"bob@contoso.com 002200 [{busy {2026-11-24T15:00:00.0000000 China Standard Time} {2026-11-24T17:00:00.0000000 China Standard Time}}] 5 days",
		"paul@contoso.com 020000 [{workingElsewhere {2026-11-24T00:00:00.0000000 China Standard Time} {2026-11-25T00:00:00.0000000 China Standard Time}}" +
			" {busy {2026-11-24T14:00:00.0000000 China Standard Time} {2026-11-24T15:00:00.0000000 China Standard Time}}] 5 days",
		"quinn@contoso.com 5037", "nobody@contoso.com 5009",
	}
	if len(got.Organizations) != 2 {
		t.Fatalf("%d organizations answered", len(got.Organizations))
	}
	for _, o := range got.Organizations {
		var lines []string
		for _, s := range o.Schedules {
			line := s.ScheduleID + " "
			switch {
			case s.Error != nil:
				line += s.Error.ResponseCode
			case s.WorkingHours == nil:
				line += "without working hours"
			default:
				line += fmt.Sprintf("%s %v %d days", s.AvailabilityView, s.ScheduleItems, len(s.WorkingHours.DaysOfWeek))
			}
			lines = append(lines, line)
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", o.Org, diff)
		}
	}
}
