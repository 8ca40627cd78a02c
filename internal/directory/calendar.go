package directory

import (
	"errors"
	"iter"
	"time"
)

// ErrCalendarChanged is returned by a store when a calendar is no longer at the
// version that a change was computed from. The caller reads again and repeats.
var ErrCalendarChanged = errors.New("calendar was changed meanwhile")

// A CalendarObject is one event or series of a mailbox's built-in calendar: all
// components of one UID, as they came. A UID is there once in a folder.
type CalendarObject struct {
	Folder string // "" is the main one
	// Name is the object's within its folder, where a CalDAV client chose one; ""
	// otherwise.
	Name string
	UID  string
	Text []byte // iCalendar: VCALENDAR with the components of this UID and the VTIMEZONEs they name
	// Digest tells equal content (Text and FloatingZone) without reading Text.
	Digest string
	// Source says where it came from: a file name, a CalDAV path.
	Source   string
	Sequence int
	Stamp    time.Time // DTSTAMP; zero: none
	// Shadow: it does not count for free/busy, because its folder is transparent or
	// another folder has the event too, and that one counts. What is said of its
	// times below may be out of date.
	Shadow bool
	// Availability: it is a VAVAILABILITY (RFC 7953). All of those are Shadows:
	// those of a mailbox count together, not one by one.
	Availability bool
	// Unreadable: part of it could not be read. Set where no CalendarImport counts it.
	Unreadable bool
	// FloatingZone is the file's X-WR-TIMEZONE (an IANA name), or "" for the mailbox's own zone.
	FloatingZone string
	// UsesMailboxZone: its times change when the mailbox's zone does.
	UsesMailboxZone bool
	// Series: it repeats, so its occurrences are kept only for the years of the CalendarState.
	Series bool
	// From and Until are the first start and the last end of its occurrences;
	// a nil Until is a series without end.
	From  time.Time
	Until *time.Time
	// Occurrences is how many of CalendarState.Occurrences are its; -1: not known.
	Occurrences int
	Changed     time.Time
	// Version is the CalendarState.Version that it came with: the store sets that of
	// an object that is put with 0, and keeps any other. 0 of one that is read: from
	// before versions of objects were kept.
	Version int64
}

// A CalendarFolder is one of the calendars of a mailbox. The main one is always
// there.
type CalendarFolder struct {
	Name string // "" is the main one
	// Transparent: its events do not count for free/busy (RFC 6638 9.1).
	Transparent bool
	Objects     int
	// Properties are what programs have said of it, by names that are theirs; nil: nothing.
	Properties map[string]string
	// Version is the CalendarState.Version of the folder's last change.
	Version int64
}

// MainFolder is what people call the folder "".
const MainFolder = "Calendar"

// A CalendarFilter selects objects of one calendar. The zero filter selects all
// events that count.
type CalendarFilter struct {
	Shadows      bool     // also those that do not count
	Availability bool     // only VAVAILABILITY; needs Shadows
	Folder       *string  // only of this folder; nil: of any
	Name         string   // only of this name; "": any
	UIDs         []string // only these; nil: any
	Series       bool     // only series
	MailboxZone  bool     // only objects that use the mailbox's zone
	// From and To leave out objects that end at From or before, or begin at To
	// or later. Zero: no bound.
	From, To time.Time
	// Timeless: with From and To, also objects of which no time is known, or that
	// take none: cancelled ones are among them.
	Timeless bool
	Text     bool // fill in CalendarObject.Text
}

// CalendarState is what every change of a calendar rewrites.
type CalendarState struct {
	// Version grows by one with every change; 0: nothing was ever kept.
	Version int64
	// Zone is the mailbox zone in which floating times were read.
	Zone string
	// Years are the UTC years for which the occurrences of series are kept, rising.
	Years       []int
	Objects     int
	Occurrences int
}

// LongMonth is the CalendarMonth.Month of the occurrences that are too long to
// be kept with each month that they touch.
const LongMonth = -1

// A CalendarMonth holds the occurrences that overlap one UTC month, ready to be
// answered. Its content is the business of the source that wrote it.
type CalendarMonth struct {
	Month int // 12*year + month - 1; LongMonth; lower ones are the source's own
	Data  []byte
}

// A CalendarSpan is some months of a calendar with the state that they belong to.
type CalendarSpan struct {
	State  CalendarState
	Months []CalendarMonth
}

// A CalendarImport is the last import of one source.
type CalendarImport struct {
	Source     string
	At         time.Time
	Events     int
	Unreadable int // events that were left out because they could not be read
}

// A CalendarChange is one change of a calendar: all of it is kept, or nothing.
type CalendarChange struct {
	// State is the state after the change; its Version is left to the store.
	State CalendarState
	// Delete are objects that go away, before Put.
	Delete []CalendarPlace
	// Gone are objects that leave their folder, for who reads its changes.
	Gone []CalendarGone
	// Put are the objects to add or to replace; nil: none.
	Put iter.Seq[*CalendarObject]
	// Folders are those to add or to change; their Version is left to the store.
	Folders []CalendarFolder
	// DropFolder goes away with what is known of its imports. Its objects are in
	// Delete. "": none.
	DropFolder string
	// Months replace those of the same number; one without data goes away.
	Months []CalendarMonth
	Import *CalendarImport // nil: not an import
}

// A CalendarPlace is where an object is kept.
type CalendarPlace struct {
	Folder, UID string
	Shadow      bool
}

// MaxGone is how many of its objects that are gone a calendar remembers.
const MaxGone = 2000

// A CalendarPosition is how far somebody has read the changes of a folder, which
// are in the order of version and UID: what comes after it is new. The zero
// position is before all.
type CalendarPosition struct {
	Version int64
	UID     string
}

// ErrCalendarPosition: what was changed since a position is not known any more, or
// the calendar never was there.
var ErrCalendarPosition = errors.New("calendar position is not known")

// A CalendarNews is one object of a folder that has changed or is gone.
type CalendarNews struct {
	// Name, UID, Digest, Version and Availability are those of the CalendarObject;
	// of one that is gone Version is when it went, and there is no Digest.
	Name, UID, Digest string
	Version           int64
	Availability      bool
	Gone              bool
}

// A CalendarGone is an object that leaves its folder.
type CalendarGone struct{ Folder, UID, Name string }

// CalendarHealth is what is known of a mailbox's built-in calendar.
type CalendarHealth struct {
	Objects     int
	Occurrences int
	// Unreadable counts events that were left out because they could not be read.
	Unreadable int
	// ExpandedFrom and ExpandedTo bound the time around now for which the
	// occurrences of series are kept. Other years may be kept too.
	ExpandedFrom, ExpandedTo time.Time
}

// An ImportSummary says what an import of one calendar file did.
type ImportSummary struct {
	File      string          `json:"file"`
	Calendar  string          `json:"calendar,omitempty"` // "": the main one
	Events    int             `json:"events"`             // VEVENT and VAVAILABILITY components read
	Added     int             `json:"added"`              // objects (UIDs) that are new
	Replaced  int             `json:"replaced"`           // objects that were there, older
	Unchanged int             `json:"unchanged"`          // objects that were there, same or newer
	Skipped   []ImportProblem `json:"skipped,omitempty"`
}

// An ImportProblem is one component that was left out, and why.
type ImportProblem struct {
	Line   int    `json:"line"` // of the file, 1-based; 0: not known
	UID    string `json:"uid,omitempty"`
	Reason string `json:"reason"`
}
