package routing

import (
	"fmt"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/wintz"
)

// A Query is the question that leaves by one route: several addresses that one
// other server answers for.
type Query struct {
	Addresses []smtpaddr.Address // target addresses, at most 100, no duplicates
	Window    freebusy.Window
	View      freebusy.View
	Slot      time.Duration // of the merged string
	Requester Requester
}

// A Requester is on whose behalf a question is asked.
type Requester struct {
	Org       directory.OrgID
	Address   smtpaddr.Address // primary address; zero: nobody in particular
	UPN       string
	RequestID string // goes along as client-request-id
	// Via are the servers of the organization that the question came by, the last of
	// them the one that asks. Only an InternalProxy is told.
	Via []string
}

// A Reply is one mailbox's answer as it came from a calendar or another server.
type Reply struct {
	Address smtpaddr.Address
	View    freebusy.View // what was granted
	Merged  string        // with ViewMerged
	Events  []freebusy.Interval
	Hours   *Hours // nil: not known
	Err     error  // then the other fields are zero; usually a *MailboxError
}

// Hours are working hours as they travel: the zone as a rule that needs no
// zone table at the other end.
type Hours struct {
	Zone    wintz.Rule
	Periods []Period
}

// A Period is a stretch of working time on the given days.
type Period struct {
	Days       uint8 // bit n: weekday n, Sunday = 0
	Start, End int   // minutes since local midnight
}

// A Reason says why a mailbox has no answer. Servers map it to their protocol's code.
type Reason string

// The reasons (EWS reference 2.7, per-mailbox errors).
const (
	RecipientNotFound  Reason = "RecipientNotFound"
	InvalidAddress     Reason = "InvalidAddress"
	NoAccess           Reason = "NoAccess"
	NoRoute            Reason = "NoRoute" // no connector, relationship or address space
	AutodiscoverFailed Reason = "AutodiscoverFailed"
	ProxyFailed        Reason = "ProxyFailed"
	ProxyNotAllowed    Reason = "ProxyNotAllowed"
	TimedOut           Reason = "TimedOut"
	TooManyEvents      Reason = "TooManyEvents"
	GenerationFailed   Reason = "GenerationFailed"
	RelationshipBad    Reason = "RelationshipBad" // relationship lacks an endpoint
	SharingPolicy      Reason = "SharingPolicy"
	GroupTooBig        Reason = "GroupTooBig"
	// CrossForestCredentials: an address space has none, or the other forest does not accept them.
	CrossForestCredentials Reason = "CrossForestCredentials"
	// ServiceDiscoveryFailed: no server of ours can ask on for an older one.
	ServiceDiscoveryFailed Reason = "ServiceDiscoveryFailed"
	Remote                 Reason = "Remote" // the other side's own code and text, kept
)

// A MailboxError is why one mailbox has no answer.
type MailboxError struct {
	Reason Reason
	Text   string // for people; may name the address, hosts and the other side's diagnostics, never a secret
	Code   string // with Remote: the other side's ResponseCode
	Err    error  // cause, may be nil
}

func (e *MailboxError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Text, e.Err)
	}
	return e.Text
}

func (e *MailboxError) Unwrap() error { return e.Err }
