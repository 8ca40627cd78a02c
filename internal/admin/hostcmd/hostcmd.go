// Package hostcmd is the cmdlets of the machine that a shell runs on: its drives
// with files and certificates, credentials, objects in files, and the sessions
// with other organizations (cmdlet reference 16.3 and 16.4).
//
// A shell sees two drives only: C:, a folder of the host that nothing leads out
// of (Drive), and Cert:, the organization's certificates, read-only.
//
//   - path.go, drive.go: names as Windows has them, and C:
//   - item.go, certificates.go: what stands on the drives, as objects
//   - files.go, content.go, location.go, paths.go: the cmdlets on them
//   - clixml.go: objects in files
//   - credential.go, history.go, search.go, compare.go, misc.go: what is left of the host
//   - session.go, remote.go, proxy.go, module.go: other sessions
package hostcmd

import (
	"context"
	"errors"
	"slices"
	"time"

	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// Config says what the host gives to one session.
type Config struct {
	// Drive is C:, and the session's interp.Files too. Required.
	Drive *Drive
	// Certificates lists what Cert:\LocalMachine\My and Cert:\CurrentUser\My show; nil: nothing.
	Certificates func(context.Context) ([]*object.Certificate, error)
	// Credentials answers Get-Credential without a person at a terminal. User is
	// "" when any will do. Nil, or ErrNoCredential: the session's Prompt is asked.
	Credentials func(ctx context.Context, user, message string) (*object.Credential, error)
	// Connector opens sessions with other organizations; nil: none are possible here.
	Connector Connector
	// Modules are the names that Import-Module takes: their commands are there already.
	Modules []string
	// History is the lines run so far, oldest first; nil: none.
	History func() []HistoryEntry
	// ClearHost empties the screen; nil: there is none.
	ClearHost func() error
	// Zone is of the times of files; nil: UTC.
	Zone *time.Location
	Now  func() time.Time // required
}

// A HistoryEntry is a line that was run.
type HistoryEntry struct {
	ID         int
	Line       string
	Start, End time.Time
	Failed     bool
}

// ErrNoCredential says that Config.Credentials has none for this user.
var ErrNoCredential = errors.New("hostcmd: no credential for this user")

var errConfig = errors.New("hostcmd: Drive and Now are required")

// The modules that the cmdlets belong to, as Get-Command shows them.
const (
	moduleManagement = "Microsoft.PowerShell.Management"
	moduleUtility    = "Microsoft.PowerShell.Utility"
	moduleSecurity   = "Microsoft.PowerShell.Security"
	moduleCore       = "Microsoft.PowerShell.Core"
)

// host is what the cmdlets of one session share.
type host struct{ Config }

// Commands makes the cmdlets of a session.
func Commands(cfg Config) ([]interp.Command, error) {
	if cfg.Drive == nil || cfg.Now == nil {
		return nil, errConfig
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	h := &host{cfg}
	return slices.Concat(h.commands(), sessionCommands(cfg)), nil
}

func (h *host) commands() []interp.Command {
	return slices.Concat(h.files(), h.content(), h.locations(), h.objects(), h.credentials(), h.history(), h.searching(), h.misc())
}

// Views are the default views of what the cmdlets write.
func Views() format.Views {
	return format.Views{
		matchInfo: {Text: object.Display},
		"Microsoft.PowerShell.Commands.X509StoreLocation":         {Shape: format.List, Columns: []format.Column{{Name: "Location"}, {Name: "StoreNames"}}},
		"System.Security.Cryptography.X509Certificates.X509Store": {Shape: format.List, Columns: []format.Column{{Name: "Name"}}},
		"System.Management.Automation.PSDriveInfo": {Shape: format.Table, Columns: []format.Column{
			{Name: "Name", Width: 14}, {Name: "Used", Label: "Used (GB)", Width: 13, Align: format.AlignRight}, {Name: "Free", Label: "Free (GB)", Width: 13, Align: format.AlignRight},
			{Name: "Provider", Width: 13}, {Name: "Root", Width: 35}, {Name: "CurrentLocation", Align: format.AlignRight},
		}},
	}
}
