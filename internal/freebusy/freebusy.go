// Package freebusy holds the values that everything else speaks of: windows,
// intervals, status, views and detail levels. It does no I/O and reads no clock.
package freebusy

import (
	"errors"
	"fmt"
	"time"
)

// Limits of one question (EWS reference 2.2).
const (
	MaxWindow   = 62 * 24 * time.Hour // Exchange Online's limit
	MinSlot     = 5 * time.Minute
	MaxSlot     = 1440 * time.Minute
	DefaultSlot = 30 * time.Minute
	// MaxEvents is the number of calendar entries of one mailbox in one answer.
	MaxEvents = 1000
)

var (
	ErrEmptyWindow   = errors.New("freebusy: window ends before it begins")
	ErrWindowTooLong = errors.New("freebusy: window is too long")
	ErrSlot          = errors.New("freebusy: merged interval is out of range")
)

// A Window is the half-open span [Start, End). Both ends are in UTC.
// The zero Window is empty.
type Window struct{ Start, End time.Time }

// NewWindow returns the window [start, end) in UTC. An empty or reversed window
// is ErrEmptyWindow, one longer than MaxWindow is ErrWindowTooLong.
func NewWindow(start, end time.Time) (Window, error) {
	w := Window{start.UTC(), end.UTC()}
	if !start.Before(end) {
		return Window{}, fmt.Errorf("%w: %s to %s", ErrEmptyWindow, w.Start.Format(time.RFC3339), w.End.Format(time.RFC3339))
	}
	if d := end.Sub(start); d > MaxWindow {
		return Window{}, fmt.Errorf("%w: %d days, limit %d days", ErrWindowTooLong, int((d+24*time.Hour-1)/(24*time.Hour)), MaxWindow/(24*time.Hour))
	}
	return w, nil
}

// Overlaps reports whether [start, end) has an instant in common with w.
func (w Window) Overlaps(start, end time.Time) bool {
	return start.Before(w.End) && w.Start.Before(end)
}

// Duration is End - Start.
func (w Window) Duration() time.Duration { return w.End.Sub(w.Start) }

// A Status says how busy an interval is. The order of the constants is not the
// priority of a merge: see Priority.
type Status uint8

// The values of EWS LegacyFreeBusyStatus / BusyType (EWS reference 2.5).
const (
	Free Status = iota
	Tentative
	Busy
	OOF
	WorkingElsewhere
	NoData
)

var statusNames = [...]string{"Free", "Tentative", "Busy", "OOF", "WorkingElsewhere", "NoData"}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// ParseStatus reads a BusyType name as EWS writes it.
func ParseStatus(name string) (Status, bool) {
	for i, n := range statusNames {
		if n == name {
			return Status(i), true
		}
	}
	return 0, false
}

// Digit is the status in a MergedFreeBusy string: 0 free (and working
// elsewhere), 1 tentative, 2 busy, 3 out of office, 4 no data.
func (s Status) Digit() byte {
	switch s {
	case Tentative, Busy, OOF:
		return '0' + byte(s)
	case NoData:
		return '4'
	}
	return '0'
}

// An Interval is one calendar entry, or what is to be seen of it: the half-open
// span [Start, End) in UTC with its status. It is never cut to a window.
type Interval struct {
	Start, End time.Time
	Status     Status
	Detail     *Detail // nil where only time and status may be seen
}

// Detail is what CalendarEventDetails carries (EWS reference 2.6). ID, Subject
// and Location are empty where the level or a private item hides them.
type Detail struct {
	ID                string // stable, opaque
	Subject, Location string
	Meeting           bool
	Recurring         bool
	Exception         bool
	Reminder          bool
	Private           bool
}

// A Level is how much of a calendar a caller may see, in rising order.
type Level uint8

// The detail levels: Exchange's CalendarPermissionLevel None, AvailabilityOnly,
// LimitedDetails (subject and location) and Reviewer or more. LevelOwner sees
// private items too.
const (
	LevelNone Level = iota
	LevelTime
	LevelLimited
	LevelFull
	LevelOwner
)

var levelNames = [...]string{"None", "AvailabilityOnly", "LimitedDetails", "Reviewer", "Owner"}

func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

// A View says what an answer contains: a set of bits.
type View uint8

// ViewMerged asks for the merged string, ViewEvents for intervals, ViewDetails
// for their details; the six FreeBusyViewTypes of EWS are combinations.
const (
	ViewMerged View = 1 << iota
	ViewEvents
	ViewDetails

	ViewNone           View = 0
	ViewMergedOnly          = ViewMerged
	ViewFreeBusy            = ViewEvents
	ViewFreeBusyMerged      = ViewEvents | ViewMerged
	ViewDetailed            = ViewEvents | ViewDetails
	ViewDetailedMerged      = ViewEvents | ViewDetails | ViewMerged
)

var viewNames = map[View]string{
	ViewNone: "None", ViewMergedOnly: "MergedOnly", ViewFreeBusy: "FreeBusy", ViewFreeBusyMerged: "FreeBusyMerged",
	ViewDetailed: "Detailed", ViewDetailedMerged: "DetailedMerged",
}

// String is the FreeBusyViewType name.
func (v View) String() string { return viewNames[v] }

// ParseView reads one FreeBusyViewType name.
func ParseView(name string) (View, bool) {
	for v, n := range viewNames {
		if n == name {
			return v, true
		}
	}
	return 0, false
}
