package availability_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
)

func connector(domain string) directory.IntraOrganizationConnector {
	return directory.IntraOrganizationConnector{Common: named("To " + domain), TargetAddressDomains: []string{domain}, Enabled: true}
}

// still is a world that only answers: no counting, no locks.
type still struct {
	*world
	people map[smtpaddr.Address]*directory.Recipient
	week   []freebusy.Interval
}

func (s *still) Recipient(_ context.Context, _ directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error) {
	return s.people[a], nil
}

func (s *still) Busy(context.Context, directory.OrgID, *directory.Recipient, freebusy.Window, bool) ([]freebusy.Interval, error) {
	return s.week, nil
}

// The time of one question over local mailboxes and a week each, all levels
// and merging included; per mailbox it must fall with their number.
func BenchmarkAskLocalWeek(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d-mailboxes", n), func(b *testing.B) {
			w := newWorld()
			s := &still{world: w, people: w.people}
			for d := range 5 {
				for h := range 3 {
					start := monday.AddDate(0, 0, d).Add(time.Duration(9+2*h) * time.Hour)
					s.week = append(s.week, freebusy.Interval{Start: start, End: start.Add(time.Hour), Status: freebusy.Busy, Detail: &freebusy.Detail{ID: "0A", Subject: "Budget", Location: "R1"}})
				}
			}
			var names []string
			for i := range n {
				r := w.mailbox(fmt.Sprintf("m%d", i))
				r.Permissions = []directory.Permission{{User: "bo@contoso.com", Level: freebusy.LevelFull}, {User: "Default", Level: freebusy.LevelLimited}, {User: "Anonymous", Level: freebusy.LevelNone}}
				names = append(names, r.Primary.String())
			}
			q := w.question(freebusy.ViewDetailedMerged, names...)
			q.Window, q.Slot = freebusy.Window{Start: monday, End: monday.AddDate(0, 0, 7)}, 0
			q.Caller.Recipient = w.people[addr("ana")]
			e, err := availability.New(availability.Config{Recipients: s, Calendars: s, Peers: s, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Ask(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/mailbox")
		})
	}
}
