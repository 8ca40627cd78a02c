package availability_test

import (
	"context"
	"maps"
	"testing"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/trust"
)

// What a caller may see and what it sees are of one moment: whoever takes a
// permission away and then writes an event does not show it.
func TestARecipientThatChangesWhileItsCalendarIsRead(t *testing.T) {
	partner := &trust.Caller{Application: &directory.PartnerApplication{UseAuthServer: true}}
	tests := []struct {
		name    string
		partner *trust.Caller
		change  func(w *world, times int)
		want    string
		reads   int
	}{
		{"nothing", nil, func(*world, int) {}, "ana 02000000", 1},
		{"the permission is taken away", nil, func(w *world, _ int) { permit(w, freebusy.LevelNone) }, "ana NoAccess", 1},
		{"more is permitted", nil, func(w *world, _ int) { permit(w, freebusy.LevelFull) }, "ana 02000000", 2},
		{"it is copied only", nil, func(w *world, _ int) { w.people[addr("ana")] = w.people[addr("ana")].Clone() }, "ana 02000000", 1},
		{"the mailbox is another one", nil, func(w *world, times int) {
			if times == 1 {
				w.mailbox("ana", iv(freebusy.OOF, 8, 9)).ID = "new"
			}
		}, "ana 30000000", 2},
		{"it is gone", nil, func(w *world, _ int) { delete(w.people, addr("ana")) }, "ana RecipientNotFound", 1},
		{"it is gone, for a partner", partner, func(w *world, _ int) { delete(w.people, addr("ana")) }, "ana NoAccess", 1},
		{"it has moved away", nil, func(w *world, _ int) { w.mailUser("ana", "ana@litware.com") }, "ana GenerationFailed", 1},
		{"it never stays the same", nil, func(w *world, times int) { permit(w, freebusy.Level(1+times%2)) }, "ana GenerationFailed", 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.busy = func(context.Context, string) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.people = maps.Clone(w.people)
				tt.change(w, w.read["ana@contoso.com"])
				return nil
			}
			q := w.question(freebusy.ViewFreeBusyMerged, "ana")
			q.Caller.Partner = tt.partner
			got := short(w.ask(t, q))
			if got[0] != tt.want || w.read["ana@contoso.com"] != tt.reads {
				t.Errorf("%s after %d readings, want %s after %d", got[0], w.read["ana@contoso.com"], tt.want, tt.reads)
			}
		})
	}
}

func permit(w *world, l freebusy.Level) {
	r := w.people[addr("ana")].Clone()
	r.Permissions = []directory.Permission{{User: "Default", Level: l}}
	w.people[r.Primary] = r
}
