package directory

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
)

// Sentinels that lookups wrap.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("name is taken")
)

// The kinds of recipient (RecipientTypeDetails).
const (
	UserMailbox      = "UserMailbox"
	RoomMailbox      = "RoomMailbox"
	EquipmentMailbox = "EquipmentMailbox"
	SharedMailbox    = "SharedMailbox"
	MailUser         = "MailUser" // its calendar is elsewhere: ExternalAddress
	MailGroup        = "MailUniversalDistributionGroup"
)

// A Recipient is an entry of the address list: a mailbox, a mail user whose
// target address decides the route, or a group.
type Recipient struct {
	Org             OrgID
	ID              string // GUID, lower case
	Type            string // UserMailbox, …
	DisplayName     string
	Alias           string
	Primary         smtpaddr.Address
	Proxies         []smtpaddr.Address // further addresses, Primary not among them
	UPN             string             // user principal name, lower case; empty for groups
	ExternalAddress smtpaddr.Address   // target address of a mail user
	Members         []smtpaddr.Address // of a group
	Enabled         bool
	Calendar        CalendarConfiguration
	Permissions     []Permission // of the Calendar folder
	WhenCreated     time.Time
	WhenChanged     time.Time

	Name                   string `json:",omitempty"` // empty: DisplayName; see CommonName
	FirstName              string `json:",omitempty"`
	LastName               string `json:",omitempty"`
	SamAccountName         string `json:",omitempty"` // logon name of old; found by it, nobody signs in with it
	HiddenFromAddressLists bool   `json:",omitempty"`
	ResourceCapacity       int    `json:",omitempty"` // seats of a room
}

// CommonName is the name that identities and distinguished names use.
func (r *Recipient) CommonName() string { return cmp.Or(r.Name, r.DisplayName) }

// Names are what the recipient can be looked up by besides addresses and GUID,
// in the form of FoldKey, each once. Other recipients may share them.
func (r *Recipient) Names() []string {
	var out []string
	for _, s := range []string{r.CommonName(), r.DisplayName, r.Alias, r.SamAccountName} {
		if k := FoldKey(s); k != "" && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// MailboxTypes are the kinds of recipient whose calendar is kept here.
func MailboxTypes() []string {
	return []string{UserMailbox, RoomMailbox, EquipmentMailbox, SharedMailbox}
}

// IsMailbox reports whether the calendar is kept here.
func (r *Recipient) IsMailbox() bool {
	switch r.Type {
	case UserMailbox, RoomMailbox, EquipmentMailbox, SharedMailbox:
		return true
	}
	return false
}

// CalendarConfiguration is what Set-MailboxCalendarConfiguration sets.
type CalendarConfiguration struct {
	// TimeZone is a Windows zone id. Floating and all-day times are read in it.
	TimeZone string
	// WorkDays has bit n set for weekday n, Sunday = 0.
	WorkDays uint8
	// WorkStart and WorkEnd are minutes since local midnight, 0..1440, start < end.
	WorkStart, WorkEnd int
}

// DefaultCalendar is Monday to Friday, 8:00 to 17:00, in zone.
func DefaultCalendar(zone string) CalendarConfiguration {
	return CalendarConfiguration{TimeZone: zone, WorkDays: 0b0111110, WorkStart: 480, WorkEnd: 1020}
}

// A Permission is one entry of the Calendar folder: whom, and how much.
type Permission struct {
	// User is an address of this organization, or "Default" or "Anonymous".
	User  string
	Level freebusy.Level
}

// LevelFor is what the requester may see of r's calendar by folder permission:
// its own entry, else Default (EWS reference 2.4). The zero address means a
// requester that is unknown here. The owner sees everything.
func (r *Recipient) LevelFor(requester smtpaddr.Address) freebusy.Level {
	if !requester.IsZero() {
		if r.HasAddress(requester) {
			return freebusy.LevelOwner
		}
		for _, p := range r.Permissions {
			if a, err := smtpaddr.Parse(p.User); err == nil && a == requester {
				return p.Level
			}
		}
	}
	for _, p := range r.Permissions {
		if p.User == "Default" {
			return p.Level
		}
	}
	return freebusy.LevelTime
}

// Addresses are all addresses of r, the primary one first.
func (r *Recipient) Addresses() []smtpaddr.Address {
	return append([]smtpaddr.Address{r.Primary}, r.Proxies...)
}

// HasAddress reports whether a is one of r's addresses.
func (r *Recipient) HasAddress(a smtpaddr.Address) bool {
	if r.Primary == a {
		return true
	}
	for _, p := range r.Proxies {
		if p == a {
			return true
		}
	}
	return false
}
