package daytable_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/app/daytable"
	"busybridge/internal/freebusy"
)

func TestWrite(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	at := func(h, m int) time.Time { return time.Date(2026, 11, 23, h, m, 0, 0, zone) }
	iv := func(s freebusy.Status, a, b time.Time) freebusy.Interval {
		return freebusy.Interval{Start: a, End: b, Status: s}
	}
	w, err := freebusy.NewWindow(at(0, 0), at(24, 0))
	if err != nil {
		t.Fatal(err)
	}
	table := daytable.Table{Window: w, Zone: zone, Note: "asked by kim@contoso.com", Rows: []daytable.Row{
		{Address: "alice@contoso.com", Where: "onprem", Events: []freebusy.Interval{
			iv(freebusy.Busy, at(9, 30), at(10, 0)), iv(freebusy.Tentative, at(9, 0), at(11, 0)),
			iv(freebusy.OOF, at(23, 30), at(30, 0)), iv(freebusy.WorkingElsewhere, at(0, 0), at(0, 1)), iv(freebusy.Free, at(12, 0), at(13, 0)),
		}},
		{Address: "heidi@contoso.com", Where: "onprem", Err: "ErrorNoFreeBusyAccess:\r\nno access"},
	}}
	var b strings.Builder
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := `Monday 23 November 2026 (UTC+08:00), asked by kim@contoso.com
                          00    03    06    09    12    15    18    21    
alice@contoso.com  onprem ○·················░█░░·························▓
heidi@contoso.com  onprem ErrorNoFreeBusyAccess: no access

` + daytable.Legend + "\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestWriteHasAHeadingForEachLocalDay(t *testing.T) {
	w, err := freebusy.NewWindow(time.Date(2026, 3, 28, 23, 30, 0, 0, time.UTC), time.Date(2026, 3, 30, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Europe/Vienna") // clocks go forward on the 29th
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := (&daytable.Table{Window: w, Zone: zone, Rows: []daytable.Row{{Address: "a@b.example"}}}).Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Sunday 29 March", "Monday 30 March"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no heading %q in\n%s", want, &b)
		}
	}
	if strings.Contains(b.String(), "28 March") {
		t.Errorf("a day outside the window in\n%s", &b)
	}
}
