package availability_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/availability"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/trust"
)

func TestGroups(t *testing.T) {
	w := newWorld()
	w.mailbox("cy", iv(freebusy.Tentative, 9, 12))
	w.mailbox("shy", iv(freebusy.OOF, 8, 16)).Permissions = []directory.Permission{{User: "Default", Level: freebusy.LevelNone}}
	w.group("pair", "ana", "cy")
	w.group("mixed", "ana", "moved", "shy", "nobody", "kim@litware.com")
	w.group("nested", "pair", "bo")
	w.group("round", "round2", "cy")
	w.group("round2", "round", "ana")
	w.group("empty")
	w.group("lost", "nobody", "shy")
	var many []string
	for i := range availability.MaxMembers + 1 {
		many = append(many, fmt.Sprintf("m%d", i))
		w.mailbox(many[i])
	}
	w.group("full", many[1:]...)
	w.group("big", many...)
	w.group("sum", "full", "ana")
	w.group("around", "big", "ana")

	got := w.ask(t, w.question(freebusy.ViewDetailedMerged, "pair", "mixed", "nested", "round", "empty", "lost", "full", "big", "sum", "around", "ana"))
	want := []string{
		"pair 02110000", "mixed 22000000", "nested 33333333", "round 02110000", "empty 44444444", "lost 44444444",
		"full 00000000", "big GroupTooBig", "sum GroupTooBig", "around 02000000", "ana 02000000",
	}
	if diff := cmp.Diff(want, short(got)); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	for _, a := range got[:7] {
		if a.View != freebusy.ViewMergedOnly || a.Events != nil || a.Hours != nil {
			t.Errorf("%v: a group shows more than its merged string: %v, %d events, hours %v", a.Address, a.View, len(a.Events), a.Hours)
		}
	}
	if want := "GroupTooBig: The distribution list big@contoso.com has too many members. The allowed size = 100; the actual size = 101."; text(got[7]) != want {
		t.Errorf("text %q, want %q", text(got[7]), want)
	}
	if n := w.read["ana@contoso.com"]; n != 1 {
		t.Errorf("a member of many groups is read %d times", n)
	}
	if got[10].View != freebusy.ViewFreeBusyMerged {
		t.Errorf("a member asked for itself has view %v", got[10].View)
	}
}

func TestGroupMembersAreAskedForMergedOnly(t *testing.T) {
	w := newWorld()
	w.group("all", "moved", "ana")
	got := w.ask(t, w.question(freebusy.ViewDetailed, "all"))
	if diff := cmp.Diff([]string{"all 22000000"}, short(got)); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if v := w.queries["ToCloud"][0].View; v != freebusy.ViewMergedOnly {
		t.Errorf("the other side is asked for %v", v)
	}
}

func TestGroupForAPartnerKeepsToOurMailboxes(t *testing.T) {
	w := newWorld()
	w.group("all", "moved", "ana")
	w.group("out", "moved")
	q := w.question(freebusy.ViewMergedOnly, "all", "out")
	q.Caller = availability.Caller{Partner: &trust.Caller{Realm: "litware.com"}}
	if diff := cmp.Diff([]string{"all 02000000", "out NoAccess"}, short(w.ask(t, q))); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if len(w.queries) != 0 {
		t.Errorf("forwarded: %v", w.queries)
	}
}

// A question of 100 groups of 100 members must stay bounded, and the groups
// that fit are answered.
func TestManyGroups(t *testing.T) {
	w := newWorld()
	var names []string
	for g := range availability.MaxAttendees {
		var members []string
		for m := range availability.MaxMembers {
			members = append(members, fmt.Sprintf("g%dm%d", g, m))
		}
		names = append(names, w.group(fmt.Sprintf("g%d", g), members...).Primary.String())
	}
	got := w.ask(t, w.question(freebusy.ViewMergedOnly, names...))
	tooBig := 0
	for _, a := range got {
		if a.Err != nil {
			tooBig++
		}
	}
	if n := len(w.looked); n > 1000 {
		t.Errorf("%d addresses were looked up", n)
	}
	if answered := len(got) - tooBig; answered != 9 {
		t.Errorf("%d groups answered, want 9", answered)
	}
	want := "GroupTooBig: The distribution list g99@contoso.com was not expanded: the request has too many members in all. The allowed size = 1000; the actual size = 1100."
	if text(got[99]) != want {
		t.Errorf("text %q, want %q", text(got[99]), want)
	}
}
