package exchangecmd_test

import (
	"context"
	"strings"

	"busybridge/internal/directory"
)

// sources stands for what follows calendar sources: those whose address has "down"
// in it do not answer.
type sources struct{}

func (sources) Update(ctx context.Context, v *directory.CalendarSource) error {
	if v.State.LastAttempt = now; strings.Contains(v.URL.Reveal(), "down") {
		v.State.Failure, v.State.Text, v.State.Failures = "TimedOut", "no whole answer came in time", 3
		v.State.LastSuccess, v.State.Events = now.Add(-3661e9), 7
		return nil
	}
	v.State.LastSuccess, v.State.Events, v.State.Bytes = now, 2, 321
	return nil
}

func (sources) Test(_ context.Context, v *directory.CalendarSource) directory.CalendarSourceTest {
	if strings.Contains(v.URL.Reveal(), "down") {
		return directory.CalendarSourceTest{Failure: "TimedOut", Text: "no whole answer came in time"}
	}
	return directory.CalendarSourceTest{Events: 2, Unreadable: 1, Bytes: 321}
}
