package directory

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// A CalendarSource is a calendar that a mailbox's owner keeps elsewhere. It is
// copied into a folder of the built-in calendar, so that no question waits for it.
type CalendarSource struct {
	Org      OrgID
	ID       string // GUID
	Mailbox  string // Recipient.ID
	Name     string // unique in the mailbox without regard to case
	Kind     string // SourceICalendar
	URL      SecretURL
	UserName string // for HTTP Basic; empty: nobody signs in
	Password Secret
	// Enabled: a source that is not is not asked, and has no copy.
	Enabled bool
	// Transparent: its events do not count for free/busy.
	Transparent bool
	Refresh     time.Duration // how often it is asked
	// MaxBytes and MaxEvents bound one answer of it: unpacked bytes, and events read.
	MaxBytes    int64
	MaxEvents   int
	WhenCreated time.Time
	WhenChanged time.Time

	// Removed: it is to go away as soon as its copy has.
	Removed bool `json:",omitempty"`
	// Version grows with each change; the store sets it. A state counts only for the
	// version that it was found with.
	Version int64               `json:"-"`
	State   CalendarSourceState `json:"-"`
}

// SourceICalendar is a file that is fetched by https (RFC 5545).
const SourceICalendar = "ICalendar"

// Limits of calendar sources.
const (
	MaxCalendarSources = 50 // of one mailbox
	MinSourceRefresh   = time.Minute
	MaxSourceRefresh   = 7 * 24 * time.Hour
	MaxSourceBytes     = 64 << 20
	MaxSourceEvents    = 1_000_000
)

// Defaults of calendar sources.
const (
	DefaultSourceRefresh = 5 * time.Minute
	DefaultSourceBytes   = 10 << 20
	DefaultSourceEvents  = 50_000
)

// sourceFolder begins the names of folders with copies.
const sourceFolder = "source-"

// Folder is the folder of the built-in calendar that holds the copy.
func (s *CalendarSource) Folder() string { return sourceFolder + s.ID }

// IsSourceFolder reports whether a folder of that name is a copy of a source, which
// nothing else changes.
func IsSourceFolder(name string) bool {
	id, ok := strings.CutPrefix(strings.TrimSpace(name), sourceFolder)
	return ok && IsGUID(id)
}

// A CalendarSourceState is what is known of a source after the last attempt.
type CalendarSourceState struct {
	LastAttempt time.Time // zero: none yet
	LastSuccess time.Time // of an attempt that showed what the source holds; zero: none yet
	NextAttempt time.Time
	Failures    int // attempts that failed since the last success
	// Failure names why the last attempt failed, Text says it; empty: it did not.
	Failure, Text string `json:",omitempty"`
	// ETag, LastModified and Digest are of what the copy was made from.
	ETag, LastModified, Digest string `json:",omitempty"`
	Events, Unreadable         int
	Bytes                      int64
}

// Conditions of a source that did not fail. One that failed has the name of its
// failure.
const (
	SourcePending  = "Pending"  // never asked
	SourceHealthy  = "Healthy"  //
	SourcePartial  = "Partial"  // copied, but for events that cannot be read
	SourceDisabled = "Disabled" //
)

// Condition is how the source is: a name for people and for metrics.
func (s *CalendarSource) Condition() string {
	switch st := &s.State; {
	case !s.Enabled || s.Removed:
		return SourceDisabled
	case st.Failure != "":
		return st.Failure
	case st.LastAttempt.IsZero():
		return SourcePending
	case st.Unreadable > 0:
		return SourcePartial
	}
	return SourceHealthy
}

// Age is how old the copy is at now; ok is false where there is none.
func (s *CalendarSource) Age(now time.Time) (age time.Duration, ok bool) {
	return now.Sub(s.State.LastSuccess), s.Enabled && !s.State.LastSuccess.IsZero()
}

// Stale: the copy is older than the source was promised to be followed, or there
// should be one and is none.
func (s *CalendarSource) Stale(now time.Time) bool {
	if !s.Enabled || s.Removed {
		return false
	}
	since := s.State.LastSuccess
	if since.IsZero() {
		since = s.WhenChanged
	}
	return now.Sub(since) > 2*s.Refresh
}

// Validate checks the rules of one source.
func (s *CalendarSource) Validate() error {
	c := &checker{}
	c.of("calendar source", s.Name)
	c.guid("Org", string(s.Org))
	c.guid("ID", s.ID)
	c.guid("Mailbox", s.Mailbox)
	c.text("Name", s.Name, maxName)
	c.oneOf("Kind", s.Kind, SourceICalendar)
	s.URL.check(c)
	if strings.ContainsRune(s.UserName, ':') || len(s.UserName) > 256 {
		c.bad("UserName", s.UserName, "holds a colon, or more than 256 bytes") // RFC 7617 2
	}
	c.printable("UserName", s.UserName)
	if len(s.Password) > 1024 || len(s.Password) > 0 && s.UserName == "" {
		c.bad("Password", hidden, "is longer than 1024 bytes, or without a user name")
	}
	if s.Refresh < MinSourceRefresh || s.Refresh > MaxSourceRefresh {
		c.bad("RefreshInterval", s.Refresh.String(), "want %v to %v", MinSourceRefresh, MaxSourceRefresh)
	}
	if s.MaxBytes < 1 || s.MaxBytes > MaxSourceBytes {
		c.bad("MaxBytes", fmt.Sprint(s.MaxBytes), "want 1 to %d", MaxSourceBytes)
	}
	if s.MaxEvents < 1 || s.MaxEvents > MaxSourceEvents {
		c.bad("MaxEvents", fmt.Sprint(s.MaxEvents), "want 1 to %d", MaxSourceEvents)
	}
	return c.err()
}

// A SecretURL is an address whose path and query may be a secret link. It is shown
// without them everywhere but to the server that it names.
type SecretURL string

// Reveal is the whole address.
func (u SecretURL) Reveal() string { return string(u) }

// String is the address with the path masked.
func (u SecretURL) String() string {
	p, err := url.Parse(string(u))
	switch {
	case u == "":
		return ""
	case err != nil || p.Host == "":
		return hidden
	case p.Path == "" || p.Path == "/":
		return p.Scheme + "://" + p.Host + "/"
	}
	return p.Scheme + "://" + p.Host + "/…"
}

// Host is the host and port that are asked, in lower case.
func (u SecretURL) Host() string {
	p, err := url.Parse(string(u))
	if err != nil {
		return ""
	}
	return strings.ToLower(p.Host)
}

func (u SecretURL) GoString() string     { return u.String() }
func (u SecretURL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalJSON gives the masked address, and UnmarshalJSON sets none.
func (u SecretURL) MarshalJSON() ([]byte, error) { return json.Marshal(u.String()) }

func (u *SecretURL) UnmarshalJSON([]byte) error {
	*u = ""
	return nil
}

func (u SecretURL) check(c *checker) {
	p, err := url.Parse(string(u))
	switch {
	case err != nil || p.Host == "" || p.Opaque != "":
		c.bad("Url", hidden, "is no absolute URL")
	case p.Scheme != "https":
		c.bad("Url", u.String(), "is not https")
	case p.User != nil:
		c.bad("Url", u.String(), "carries a user name: give it as a credential")
	case p.Fragment != "":
		c.bad("Url", u.String(), "carries a fragment")
	case len(u) > 4096:
		c.bad("Url", u.String(), "is longer than 4096 bytes")
	}
}

// A CalendarSourceTest is what a source answered once.
type CalendarSourceTest struct {
	Failure, Text      string // empty: it answered with a calendar
	Events, Unreadable int
	Bytes              int64
}
