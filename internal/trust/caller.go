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
	Expires   time.Time // the earlier expiry of actor and outer token
}
