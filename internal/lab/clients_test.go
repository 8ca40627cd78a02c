package lab_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/clients"
	"busybridge/internal/app/client"
	"busybridge/internal/freebusy"
	"busybridge/internal/lab"
)

// TestThirdPartyClients lets programs that nobody here wrote ask both
// organizations and the old server, from lab.json alone, for a mailbox of each
// organization in one request. Times must be those of the calendar files.
func TestThirdPartyClients(t *testing.T) {
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

	type event struct{ Start, End, Status string }
	type mailbox struct {
		Address, View, Merged, Error string
		Events                       []event
	}
	type organization struct {
		URL, As   string
		Mailboxes []mailbox
	}
	// Tuesday 24 November in China, and what stands around it: bob has a customer
	// call, paul works elsewhere on Tuesdays and Wednesdays and has a briefing.
	iv := func(start, end string, s freebusy.Status) freebusy.Interval {
		return freebusy.Interval{Start: instant(t, start), End: instant(t, end), Status: s}
	}
	calendars := map[string][]freebusy.Interval{
		"bob@contoso.com": {iv("2026-11-24T07:00:00Z", "2026-11-24T09:00:00Z", freebusy.Busy)},
		"paul@contoso.com": {
			iv("2026-11-23T16:00:00Z", "2026-11-24T16:00:00Z", freebusy.WorkingElsewhere),
			iv("2026-11-24T06:00:00Z", "2026-11-24T07:00:00Z", freebusy.Busy),
			iv("2026-11-24T16:00:00Z", "2026-11-25T16:00:00Z", freebusy.WorkingElsewhere),
		},
	}
	olderEvents := func(list []mailbox) []mailbox {
		list = slices.Clone(list)
		for i := range list {
			list[i].Events = slices.Clone(list[i].Events)
			for j := range list[i].Events {
				if e := &list[i].Events[j]; e.Status == freebusy.WorkingElsewhere.String() {
					e.Status = freebusy.Free.String()
				}
			}
		}
		return list
	}
	expect := func(w freebusy.Window) []mailbox {
		want := []mailbox{{Address: "bob@contoso.com"}, {Address: "paul@contoso.com"}}
		for i := range want {
			m := &want[i]
			m.View, m.Merged = "FreeBusyMerged", freebusy.Merge(w, 30*time.Minute, calendars[m.Address])
			for _, e := range calendars[m.Address] {
				if w.Overlaps(e.Start, e.End) {
					m.Events = append(m.Events, event{e.Start.Format(time.RFC3339), e.End.Format(time.RFC3339), e.Status.String()})
				}
			}
		}
		return append(want, mailbox{Address: "quinn@contoso.com", Error: "ErrorNoFreeBusyAccess"}, mailbox{Address: "nobody@contoso.com", Error: "ErrorMailRecipientNotFound"})
	}
	t.Run("suggestions", func(t *testing.T) { suggestedTo(t, l) })
	for _, name := range clients.Names {
		t.Run(name, func(t *testing.T) {
			if err := clients.Available(name); err != nil {
				t.Skip(err)
			}
			for zone, offset := range map[string]string{"UTC": "+00:00", "Asia/Shanghai": "+08:00"} {
				start, end := "2026-11-24T00:00:00"+offset, "2026-11-25T00:00:00"+offset
				want := expect(freebusy.Window{Start: instant(t, start), End: instant(t, end)})
				args := []string{filepath.Join(l.Dir(), client.LabFileName)}
				for _, m := range want {
					args = append(args, m.Address)
				}
				args = append(args, "--urls", "ews_onprem,ews_legacy,ews_cloud", "--start", start, "--end", end, "--zone", zone)
				out, err := clients.Run(t.Context(), name, args...)
				if err != nil {
					t.Fatal(err)
				}
				var got struct {
					Client        string
					Organizations []organization
				}
				if err := json.Unmarshal(out, &got); err != nil {
					t.Fatal(err)
				}
				t.Logf("%s, times in %s", got.Client, zone)
				if len(got.Organizations) != 3 {
					t.Fatalf("%d organizations answered, want 3", len(got.Organizations))
				}
				for _, o := range got.Organizations {
					want := want
					if name == clients.Exchangelib && strings.Contains(o.URL, "legacy") {
						// It speaks to an old server as to an old server, which knows no
						// WorkingElsewhere (EWS reference 2.5).
						want = olderEvents(want)
					}
					for i := range o.Mailboxes {
						// Clients name their exception types after the code, with or without a dot in front.
						e := &o.Mailboxes[i].Error
						*e = (*e)[strings.LastIndexByte(*e, '.')+1:]
						slices.SortFunc(o.Mailboxes[i].Events, func(a, b event) int { return strings.Compare(a.Start, b.Start) })
					}
					if diff := cmp.Diff(want, o.Mailboxes, cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("as %s at %s (-want +got):\n%s", o.As, o.URL, diff)
					}
				}
			}
		})
	}
}

// suggestedTo asks, with Node's client, when bob and paul could meet for an hour
// on that Tuesday in China: bob is busy from 15:00 to 17:00, paul from 14:00 to
// 15:00, and ten times of a day is what is offered at most.
func suggestedTo(t *testing.T, l *lab.Lab) {
	if err := clients.Available(clients.EWSJS); err != nil {
		t.Skip(err)
	}
	out, err := clients.Run(t.Context(), clients.EWSJS, filepath.Join(l.Dir(), client.LabFileName), "bob@contoso.com", "paul@contoso.com",
		"--urls", "ews_onprem,ews_cloud", "--start", "2026-11-24", "--end", "2026-11-25", "--zone", "Asia/Shanghai", "--suggest", "60")
	if err != nil {
		t.Fatal(err)
	}
	type slot struct {
		Start, Quality string
		Work           bool
		Conflicts      []string
	}
	type day struct {
		Quality string
		Times   []slot
	}
	var got struct{ Organizations []struct{ Suggestions []day } }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := []day{{Quality: "Excellent"}}
	for at := instant(t, "2026-11-24T00:00:00Z"); len(want[0].Times) < 10; at = at.Add(30 * time.Minute) {
		want[0].Times = append(want[0].Times, slot{at.Format(time.RFC3339), "Excellent", true, []string{"Free", "Free"}})
	}
	if len(got.Organizations) != 2 {
		t.Fatalf("%d organizations answered", len(got.Organizations))
	}
	for i, o := range got.Organizations {
		if d := cmp.Diff(want, o.Suggestions); d != "" {
			t.Errorf("organization %d (-want +got):\n%s", i, d)
		}
	}
}

func instant(t *testing.T, s string) time.Time {
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v.UTC()
}
