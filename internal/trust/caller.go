package trust

import (
	"time"

	"busybridge/internal/directory"
)

// A Caller is who an accepted server-to-server token speaks for.
type Caller struct {
	Org           *directory.Organization // whose server accepted it
	Application   *directory.PartnerApplication
	ApplicationID string // pid of the calling application
	Realm         string // its realm
	// User is the directory entry of the asserted user here; nil for an
	// app-only token.
	User      *directory.Recipient
	UPN, SMTP string // as asserted
	AppOnly   bool
	// Impersonates: the application may say in a request whose mailbox it acts
	// for (the EWS header ExchangeImpersonation). Only an app-only token of Entra
	// with the role full_access_as_app has it.
	Impersonates bool
	// OwnUser: the token is one that User, of this organization, has by signing in
	// to an application; no partner asks, and Application is nil.
	OwnUser bool
	Expires time.Time // the earlier expiry of actor and outer token

	until time.Time // the end of what was remembered of User; zero: nothing was
}
