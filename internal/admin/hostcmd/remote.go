package hostcmd

import (
	"context"
	"errors"
	"net/url"
	"slices"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// A Connector opens sessions with other organizations. What it cannot open is
// one of the errors below, or one that says why in its own words.
type Connector interface {
	Connect(ctx context.Context, t Target) (Remote, error)
}

// Errors of a Connector, which New-PSSession shows in Windows's words.
// admin.ErrSignIn is access denied, too.
var (
	ErrAccessDenied  = errors.New("access is denied")
	ErrUnknownHost   = errors.New("the server name cannot be resolved")
	ErrCannotConnect = errors.New("the destination does not answer")
)

// A RedirectError says that the endpoint is somewhere else.
type RedirectError struct{ URI *url.URL }

func (e *RedirectError) Error() string { return "redirected to " + e.URI.String() }

// A Target says where to, and as whom. A password must not leave the machine
// over anything but verified TLS.
type Target struct {
	URI              *url.URL // nil: ComputerName counts
	ComputerName     string
	Configuration    string // Microsoft.Exchange
	Authentication   string // Default, Basic, …
	Credential       *object.Credential
	AllowRedirection bool
}

// host is what the target is called in messages.
func (t *Target) host() string {
	if t.URI != nil {
		return t.URI.Hostname()
	}
	return t.ComputerName
}

// A Remote is an open session. Values cross as they would on a wire: what
// arrives is a copy.
type Remote interface {
	Info() RemoteInfo
	// Commands lists commands that the session offers to importers and whose names
	// match one of the patterns; nil: all.
	Commands(ctx context.Context, names []string) ([]CommandInfo, error)
	// Run runs a pipeline until it ends or ctx does. An error of out or of a
	// stream ends it and is returned as it is.
	Run(ctx context.Context, p Pipeline, out func(any) error, s interp.Streams) error
	Close() error
}

// RemoteInfo describes a session.
type RemoteInfo struct {
	ComputerName  string
	RunspaceID    string // GUID
	Configuration string
}

// A CommandInfo is enough of a command to make a proxy of it.
type CommandInfo struct {
	Name, Module    string
	Parameters      []interp.Param
	DefaultSet      string
	ShouldProcess   bool
	Synopsis        string
	Description     string
	Examples, Links []string
	// Bare says that only names are known of the parameters: what stands where and
	// what comes by the pipeline is for the other side to bind.
	Bare bool
}

// A Pipeline is what one request runs.
type Pipeline struct {
	Commands []RemoteCommand
	Input    []any // nil: the first command has no input
}

// A RemoteCommand is the name of a command, or with Script a script block.
type RemoteCommand struct {
	Text      string
	Script    bool
	Arguments []Argument
}

// An Argument belongs to a parameter; without a name it goes by position.
type Argument = interp.Argument

// matches reports whether one of the patterns matches.
func matches(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return object.Like(s, p) })
}
