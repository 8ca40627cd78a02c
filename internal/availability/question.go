package availability

import (
	"context"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// A Question asks for the free/busy of several attendees.
type Question struct {
	Org       *directory.Organization
	Server    *directory.Server // the node that was asked; its version decides which routes exist
	Caller    Caller
	Attendees []Attendee // 1..100
	Window    freebusy.Window
	View      freebusy.View
	Slot      time.Duration // of the merged string; 0: freebusy.DefaultSlot
	Proxied   Proxied
	// Via are the servers of the organization that forwarded the question, the first
	// of them first; with CrossSite.
	Via       []string
	RequestID string
	// Members asks for the merged string of each member of a group, too.
	Members bool
}

// A Caller is who asks: a user of the organization, a partner organization,
// another forest by an account of ours, or somebody who has not said who he is.
type Caller struct {
	Recipient *directory.Recipient // nil for a partner, and for an account without mailbox
	Partner   *trust.Caller        // nil for a user
	Forest    bool                 // another forest asks (AvailabilityConfig); Recipient is its user, or nil
	Anonymous bool                 // the others are nil
}

// An Attendee is one MailboxData of a question.
type Attendee struct {
	Raw              string           // as it was asked for
	Address          smtpaddr.Address // zero when Raw is no address
	Type             string           // Organizer, Required, Optional, Room, Resource
	ExcludeConflicts bool
}

// Proxied says whether a question was forwarded once already (EWS reference 3.2).
type Proxied uint8

const (
	NotProxied  Proxied = iota
	CrossSite           // by an older server of the same organization
	CrossForest         // by another organization: never forwarded again
)

// An Answer is what one attendee's calendar says. Address is the address that
// was asked for; Err is a *routing.MailboxError when there is no answer.
type Answer struct {
	routing.Reply
	// Members are the merged strings of a group's members, where the question asked
	// for them; "" is one without an answer.
	Members []string
}

// Calendars is what the engine needs from a place that knows calendars.
type Calendars interface {
	// Busy returns the entries of mailbox that overlap w, whole, in any order. Only
	// with details each needs to have its Detail.
	Busy(ctx context.Context, org directory.OrgID, mailbox *directory.Recipient, w freebusy.Window, details bool) ([]freebusy.Interval, error)
}

// Peers asks other servers.
type Peers interface {
	// Ask returns one reply for each address of q, in the same order. An error
	// counts for every address.
	Ask(ctx context.Context, org *directory.Organization, r routing.Route, q routing.Query) ([]routing.Reply, error)
}

// Recipients looks addresses up. An unknown one is directory.ErrNotFound.
type Recipients interface {
	Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error)
}
