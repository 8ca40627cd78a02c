package freebusy_test

import (
	"testing"

	"busybridge/internal/freebusy"
)

func TestGraphStatus(t *testing.T) {
	for _, tt := range []struct {
		name string
		want freebusy.Status
		ok   bool
	}{
		{"free", freebusy.Free, true}, {"tentative", freebusy.Tentative, true}, {"busy", freebusy.Busy, true}, {"oof", freebusy.OOF, true},
		{"workingElsewhere", freebusy.WorkingElsewhere, true}, {"unknown", freebusy.NoData, true},
		{"Busy", freebusy.Busy, true}, {"WORKINGELSEWHERE", freebusy.WorkingElsewhere, true}, // samples write both
		{"", 0, false}, {"NoData", 0, false}, {"busy ", 0, false},
	} {
		if got, ok := freebusy.ParseGraphStatus(tt.name); got != tt.want || ok != tt.ok {
			t.Errorf("%q is %v, %v; want %v, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
	for s := freebusy.Free; s <= freebusy.NoData; s++ {
		if got, ok := freebusy.ParseGraphStatus(s.GraphName()); !ok || got != s {
			t.Errorf("%v is written %q and read as %v", s, s.GraphName(), got)
		}
	}
	if got := (freebusy.NoData + 1).GraphName(); got != "unknown" {
		t.Errorf("a status that does not exist is %q", got)
	}
}

func TestParseAvailabilityView(t *testing.T) {
	for _, tt := range []struct {
		view, want string
		ok         bool
	}{
		{"", "", true}, {"0123", "0123", true}, {"0424", "0020", true}, {"0125", "", false}, {"-1", "", false}, {"0 1", "", false},
	} {
		if got, ok := freebusy.ParseAvailabilityView(tt.view); got != tt.want || ok != tt.ok {
			t.Errorf("%q is %q, %v; want %q, %v", tt.view, got, ok, tt.want, tt.ok)
		}
	}
}
