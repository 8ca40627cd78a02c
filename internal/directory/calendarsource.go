package directory

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"busybridge/internal/spec/smtpaddr"
)

// A CalendarSource is a calendar that a mailbox's owner keeps elsewhere. It is
// copied into a folder of the built-in calendar, so that no question waits for it.
type CalendarSource struct {
	Org      OrgID
	ID       string // GUID
	Mailbox  string // Recipient.ID
	Name     string // unique in the mailbox without regard to case
	Kind     string // SourceICalendar, SourceCalDAV, SourceExchange or SourceGraph
	URL      SecretURL
	UserName string // for HTTP Basic; empty: nobody signs in
	Password Secret
	// Enabled: a source that is not is not asked, and has no copy.
	Enabled bool
	// Transparent: its events do not count for free/busy.
	Transparent bool
	// Method is how a server is asked: one of the kind's; "": what serves best.
	Method string `json:",omitempty"`
	// FindByAddress: the user is a reader of other people's calendars, and the CalDAV
	// server is asked whose address that of the mailbox is.
	FindByAddress bool          `json:",omitempty"`
	Refresh       time.Duration // how often it is asked
	// MaxBytes and MaxEvents bound one answer of it: unpacked bytes, and events read.
	MaxBytes    int64
	MaxEvents   int
	Server      SourceServer `json:",omitzero"` // of SourceExchange and SourceGraph
	WhenCreated time.Time
	WhenChanged time.Time

	// Removed: it is to go away as soon as its copy has.
	Removed bool `json:",omitempty"`
	// Version grows with each change; the store sets it. A state counts only for the
	// version that it was found with.
	Version int64               `json:"-"`
	State   CalendarSourceState `json:"-"`
}

// The kinds of sources.
const (
	SourceICalendar = "ICalendar" // a file that is fetched by https (RFC 5545)
	SourceCalDAV    = "CalDAV"    // the calendars of a user of a CalDAV server (RFC 4791)
)

// The methods by which a CalDAV server is asked.
const (
	MethodSyncCollection = "SyncCollection" // what changed since the last time (RFC 6578)
	MethodEntityTags     = "EntityTags"     // which ETags are other than those that are known
	MethodFullRead       = "FullRead"       // everything, each time
	MethodCalendarQuery  = "CalendarQuery"  // the occurrences of a window of time, expanded by the server
	MethodFreeBusyQuery  = "FreeBusyQuery"  // the busy times of each calendar (RFC 4791 7.10)
	MethodOutbox         = "Outbox"         // the busy times of the user (RFC 6638 5)
)

// SourceMethods are all of them.
func SourceMethods() []string {
	return []string{MethodSyncCollection, MethodEntityTags, MethodFullRead, MethodCalendarQuery, MethodFreeBusyQuery, MethodOutbox}
}

// Limits of calendar sources.
const (
	MaxCalendarSources = 50 // of one mailbox
	MinSourceRefresh   = time.Minute
	MaxSourceRefresh   = 7 * 24 * time.Hour
	MaxSourceBytes     = 64 << 20
	MaxSourceEvents    = 1_000_000
	MaxSourceFolders   = 40 // calendars of one source
)

// Defaults of calendar sources.
const (
	DefaultSourceRefresh = 5 * time.Minute
	DefaultSourceBytes   = 10 << 20
	DefaultSourceEvents  = 50_000
)

// sourceFolder begins the names of folders with copies.
const sourceFolder = "source-"

// Folder is the folder of the built-in calendar that holds the copy. Of a source
// with several calendars it begins the names of the folders.
func (s *CalendarSource) Folder() string { return sourceFolder + s.ID }

// FolderOf is the folder that holds the copy of one of several calendars.
func (s *CalendarSource) FolderOf(key string) string { return s.Folder() + "-" + key }

// HasFolder reports whether a folder of that name holds a copy of the source.
func (s *CalendarSource) HasFolder(name string) bool {
	rest, ok := strings.CutPrefix(name, s.Folder())
	return ok && (rest == "" || rest[0] == '-')
}

// IsSourceFolder reports whether a folder of that name is a copy of a source, which
// nothing else changes.
func IsSourceFolder(name string) bool {
	id, ok := strings.CutPrefix(strings.TrimSpace(name), sourceFolder)
	const guid = 36
	return ok && (IsGUID(id) || len(id) > guid+1 && id[guid] == '-' && IsGUID(id[:guid]))
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
	Method                     string `json:",omitempty"` // that a mailbox of another server was read by
	// From and To bound what the copy of a mailbox of another server knows: the rest of
	// time is without data there.
	From, To time.Time `json:",omitzero"`
	// Home is where a CalDAV server said that the calendars are ("." for the address
	// itself), and Calendars what is known of each. They are replaced, never changed.
	Home      string                `json:",omitempty"`
	Calendars []SourceCalendarState `json:",omitempty"`
}

// A SourceCalendarState is what is known of one of several calendars of a source.
type SourceCalendarState struct {
	Key    string // names its folder: see FolderOf
	Method string // by which it was read
	// Token and Tag are the server's names of the state that was copied (RFC 6578
	// sync-token; getctag), Digest is ours.
	Token, Tag, Digest string `json:",omitempty"`
	Events, Unreadable int
	Bytes              int64 // of the last answers
	// Again are names of resources that could not be kept: to be read again with the next change.
	Again []string `json:",omitempty"`
}

// Forget leaves what is known of how the source is, but nothing that an attempt
// could build on.
func (st *CalendarSourceState) Forget() {
	st.ETag, st.LastModified, st.Digest, st.Method, st.Home, st.Calendars = "", "", "", "", "", nil
}

// Methods are those by which a source was read.
func (st *CalendarSourceState) Methods() []string {
	var list []string
	if st.Method != "" {
		list = append(list, st.Method)
	}
	for _, c := range st.Calendars {
		if !slices.Contains(list, c.Method) {
			list = append(list, c.Method)
		}
	}
	slices.Sort(list)
	return list
}

// A CalendarDelta is what became different in a calendar that is copied.
type CalendarDelta struct {
	Put  []CalendarResource
	Gone []string // names of resources
	// Whole: what the calendar holds that came in no CalendarDelta goes away too.
	Whole bool
}

// A CalendarResource is one object of a calendar elsewhere.
type CalendarResource struct {
	Name string // its own in its calendar
	ETag string // by which the server knows what Text is
	Text []byte // iCalendar
}

// A DeltaSummary is how a copied calendar is after a CalendarDelta.
type DeltaSummary struct {
	Events     int // objects that are there
	Unreadable int // objects that are there in part, or not at all
	// Left are the names of resources that are not there: unreadable, or with the UID
	// of another one that is newer.
	Left []string
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
	c.oneOf("Kind", s.Kind, SourceICalendar, SourceCalDAV, SourceExchange, SourceGraph)
	s.checkServer(c)
	s.URL.check(c)
	switch {
	case s.Kind == SourceCalDAV:
		if s.Method != "" {
			c.oneOf("Method", s.Method, SourceMethods()...)
		}
		s.URL.checkTemplate(c)
	case s.FindByAddress:
		c.bad("FindByAddress", "true", "is of kind %s", SourceCalDAV)
	case s.Method != "" && s.Kind == SourceICalendar:
		c.bad("Method", s.Method, "is of no use: a file is read whole")
	}
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

// addressParts are what a template may hold, by name.
var addressParts = []struct {
	name string
	of   func(smtpaddr.Address) string
}{
	{"{address}", smtpaddr.Address.String},
	{"{localpart}", smtpaddr.Address.Local},
	{"{domain}", smtpaddr.Address.Domain},
}

// Template reports whether the address holds parts of a mailbox's address.
func (u SecretURL) Template() bool { return strings.ContainsAny(string(u), "{}") }

// For is the address with {address}, {localpart} and {domain} of a mailbox in it.
func (u SecretURL) For(a smtpaddr.Address) string {
	s := string(u)
	for _, p := range addressParts {
		s = strings.ReplaceAll(s, p.name, url.PathEscape(p.of(a)))
	}
	return s
}

func (u SecretURL) checkTemplate(c *checker) {
	s := string(u)
	for _, p := range addressParts {
		s = strings.ReplaceAll(s, p.name, "x")
	}
	if strings.ContainsAny(s, "{}") {
		c.bad("Url", u.String(), "has braces around something else than address, localpart or domain")
	}
}

// A CalendarSourceTest is what a source answered once.
type CalendarSourceTest struct {
	Methods            []string // by which the calendars of a CalDAV server were read
	Calendars          int      // of a CalDAV server
	Failure, Text      string   // empty: it answered with a calendar
	Events, Unreadable int
	Bytes              int64
}
