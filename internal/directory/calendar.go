package directory

import (
	"time"

	"busybridge/internal/freebusy"
)

// A CalendarObject is one event or series of a mailbox's built-in calendar: all
// components of one UID, as they came.
type CalendarObject struct {
	Org     OrgID
	Mailbox string // Recipient.ID
	UID     string
	Text    []byte // iCalendar: VCALENDAR with the components of this UID and the VTIMEZONEs they name
	// Source says where it came from: a file name, a CalDAV path.
	Source   string
	Sequence int
	Stamp    time.Time // DTSTAMP; zero: none
	// FloatingZone is the file's X-WR-TIMEZONE (an IANA name), or "" for the mailbox's own zone.
	FloatingZone string
	// UsesMailboxZone: its times change when the mailbox's zone does.
	UsesMailboxZone bool
	// From and Until are the first start and the last end of its instances;
	// a nil Until is a series without end.
	From    time.Time
	Until   *time.Time
	Changed time.Time
}

// An Occurrence is one instance of a CalendarObject, ready to be answered.
// Start and End are UTC; Start < End.
type Occurrence struct {
	UID               string
	Start, End        time.Time
	Status            freebusy.Status
	Subject, Location string
	Meeting, Recurring, Exception,
	Reminder, Private bool
}

// CalendarHealth is what is known of a mailbox's built-in calendar.
type CalendarHealth struct {
	Objects     int
	Occurrences int
	// Unreadable counts events that were left out because they could not be read.
	Unreadable int
	// ExpandedFrom and ExpandedTo bound the time for which series are expanded.
	ExpandedFrom, ExpandedTo time.Time
}

// An ImportSummary says what an import of one calendar file did.
type ImportSummary struct {
	File      string          `json:"file"`
	Events    int             `json:"events"`    // VEVENT components read
	Added     int             `json:"added"`     // objects (UIDs) that are new
	Replaced  int             `json:"replaced"`  // objects that were there, older
	Unchanged int             `json:"unchanged"` // objects that were there, same or newer
	Skipped   []ImportProblem `json:"skipped,omitempty"`
}

// An ImportProblem is one component that was left out, and why.
type ImportProblem struct {
	Line   int    `json:"line"` // of the file, 1-based; 0: not known
	UID    string `json:"uid,omitempty"`
	Reason string `json:"reason"`
}
