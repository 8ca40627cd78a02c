package app

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/store/pgtest"
	"busybridge/internal/store/sqlstore"
)

// A question for 100 mailboxes of which nothing is in memory costs two round trips
// to PostgreSQL: one for the mailboxes, one for their calendars.
func TestQuestionOnPostgres(t *testing.T) {
	const boxes, trips = 100, 2
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	proxy := pgtest.Start(t).Proxy(t)
	d, err := Open(t.Context(), Settings{
		StorePath: proxy.URL(t), SealKey: make([]byte, 32), Roles: []string{RoleOrganization}, Now: now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(err)
	t.Cleanup(func() { must(d.Close()) })
	org, err := d.Admin.NewOrganization(t.Context(), admin.Actor{Name: "system", System: true}, admin.OrganizationParams{Name: "Contoso", Domain: "contoso.com"})
	must(err)
	var list []*directory.Recipient
	for i := range boxes {
		name := fmt.Sprint("room", i)
		list = append(list, &directory.Recipient{
			Org: org.Object.ID, Type: directory.RoomMailbox, DisplayName: name, Alias: name, Primary: smtpaddr.Must(name + "@contoso.com"), UPN: name + "@contoso.com", Enabled: true,
			Calendar:    directory.DefaultCalendar("W. Europe Standard Time"),
			Permissions: []directory.Permission{{User: "Default", Level: freebusy.LevelTime}, {User: "Anonymous", Level: freebusy.LevelNone}},
		})
	}
	must(d.Store.Change(t.Context(), func(tx *sqlstore.Tx) error {
		for _, r := range list {
			if err := tx.CreateRecipient(t.Context(), r); err != nil {
				return err
			}
		}
		return nil
	}))
	for i, r := range list {
		text := fmt.Sprintf("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260310T%02d0000Z\r\nDTEND:20260310T%02d3000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", i%24, i%24)
		_, err := d.calendars.Import(t.Context(), r, "a.ics", strings.NewReader(text))
		must(err)
	}
	o, err := d.Store.Organization(t.Context(), org.Object.ID)
	must(err)
	q := &availability.Question{Org: o, Caller: availability.Caller{Recipient: list[0]}, View: freebusy.ViewEvents | freebusy.ViewMerged,
		Window: freebusy.Window{Start: time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC)}}
	for _, r := range list {
		q.Attendees = append(q.Attendees, availability.Attendee{Raw: r.Primary.String(), Address: r.Primary})
	}
	ask := func() int {
		before := proxy.Trips()
		answers, err := d.engine.Ask(t.Context(), q)
		must(err)
		n := proxy.Trips() - before
		for i, a := range answers {
			if a.Err != nil || len(a.Events) != 1 || a.Events[0].Start.Hour() != i%24 {
				t.Fatalf("mailbox %d: %+v", i, a.Reply)
			}
		}
		return n
	}
	forget := func() {
		ahead.Add(int64(time.Minute)) // nobody knows what has changed in a minute
		was, _ := d.Store.DirectoryMark()
		if is, _ := d.Store.DirectoryMark(); is == was {
			t.Fatal("what is in memory counts after a minute")
		}
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // until it knows again
			was, _ := d.Store.DirectoryMark()
			if is, _ := d.Store.DirectoryMark(); is == was {
				return
			}
			if time.Now().After(end) {
				t.Fatal("the node does not ask what has changed")
			}
		}
	}
	forget()
	ask() // the statements are prepared
	least := boxes
	for range 8 { // the node asks what others have changed meanwhile: that is none of the question's
		forget()
		least = min(least, ask())
	}
	if least > trips {
		t.Errorf("a question for %d mailboxes cost %d round trips, at most %d", boxes, least, trips)
	}
	warm := boxes
	for range 4 {
		warm = min(warm, ask())
	}
	if warm > 0 {
		t.Errorf("the same question again cost %d round trips", warm)
	}
	t.Logf("%d mailboxes: %d round trips from nothing, %d from memory", boxes, least, warm)
}
