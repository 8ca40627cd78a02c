// Package audit says who did what. Its events are not logs: they are kept.
package audit

import (
	"context"
	"time"
)

// An Event is one change or one refusal.
type Event struct {
	At        time.Time
	Org       string // organization or realm id
	Actor     string // account name, "system" or "lab"
	Operation string // New-IntraOrganizationConnector, Import, IssueToken, …
	Object    string // kind and name of what was changed
	Before    string // JSON without secrets; empty: it did not exist
	After     string // JSON without secrets; empty: it is gone
	Outcome   string // "done", or the error text
	RequestID string
	// Routine: there are many like it. It is kept at once, but a loss of power may
	// take what was recorded after the last event or change that is not.
	Routine bool
}

// Done is the Outcome of what was done; any other is a refusal or a failure.
const Done = "done"

// A Recorder keeps events. Record returns an error when the event is not kept;
// the operation then fails.
type Recorder interface {
	Record(ctx context.Context, e Event) error
}

// A Filter chooses events of one organization or realm.
type Filter struct {
	Org         string    // required; "" is what belongs to no organization
	From, Until time.Time // half-open; zero: no bound
	Actor       string    // "": any
	Operation   string    // "": any
	Limit       int       // 0: all
}
