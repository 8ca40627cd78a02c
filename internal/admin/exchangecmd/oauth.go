package exchangecmd

import (
	"context"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
)

// An OAuthTester makes the requests of Test-OAuthConnectivity (10.1).
type OAuthTester interface {
	TestOAuth(ctx context.Context, actor admin.Actor, org *directory.Organization, t OAuthTest) (OAuthReport, error)
}

// An OAuthTest says what to ask, and as whom.
type OAuthTest struct {
	Service        string               // EWS, AutoD, Generic
	TargetURI      string               // https
	Mailbox        *directory.Recipient // whom the token speaks for; nil: nobody
	AppOnly        bool                 // a token that speaks for no user
	ReloadConfig   bool                 // fetch the authorization servers' metadata first
	UseCachedToken bool                 // else the token cache is cleared before
	// Log receives each line of the log as it is written, without an end of line.
	Log func(line string)
}

// An OAuthReport is how it went. A request that failed is in it; the error of
// TestOAuth is for a test that could not be made.
type OAuthReport struct {
	Detail  string // the log, and what the other side said, as Exchange prints it
	Success bool
	// Cause names what is missing or wrong, in one sentence with the object, when it failed; else "".
	Cause string
	// Warnings are what would stop free/busy although the token works: no enabled
	// connector, say.
	Warnings []string
}
