package freebusy

import "strings"

// Graph's getSchedule speaks of the same values in other words: availabilityView
// is the string that Merge makes (getSchedule reference 4), and freeBusyStatus a
// Status (3).

// graphNames are freeBusyStatus by Status.
var graphNames = [...]string{"free", "tentative", "busy", "oof", "workingElsewhere", "unknown"}

// GraphName is the status as freeBusyStatus writes it.
func (s Status) GraphName() string { return graphNames[min(s, NoData)] }

// ParseGraphStatus reads a freeBusyStatus in any letter case.
func ParseGraphStatus(name string) (Status, bool) {
	for i, n := range graphNames {
		if strings.EqualFold(n, name) {
			return Status(i), true
		}
	}
	return 0, false
}

// ParseAvailabilityView returns the merged string that an availabilityView
// stands for. Working elsewhere, which services wrote as 4 until 2021, is 0 in
// it. ok is false for any other character.
func ParseAvailabilityView(view string) (merged string, ok bool) {
	if strings.Trim(view, "01234") != "" {
		return "", false
	}
	return strings.ReplaceAll(view, "4", "0"), true
}
