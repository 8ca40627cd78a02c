package hostcmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"busybridge/internal/admin"
	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/syntax"
)

const typePSSession = "System.Management.Automation.Runspaces.PSSession"

// maxRedirects bounds how often an endpoint may point elsewhere.
const maxRedirects = 5

// sessions is what the cmdlets of 16.4 share in one shell: the sessions that are
// open and the modules that were imported.
type sessions struct {
	Config
	open    []*pssession
	last    int // the last session's id
	modules modules
}

// sessionCommands are the cmdlets of sessions and modules (16.4).
func sessionCommands(cfg Config) []interp.Command {
	s := &sessions{Config: cfg}
	list := []interp.Command{
		{
			Name: "New-PSSession", New: func() interp.Cmdlet { return &newPSSession{s: s} }, DefaultSet: "ComputerName",
			Synopsis:    "Opens a session with another organization.",
			Description: "The session stays open until Remove-PSSession. Import-PSSession brings its commands into this shell, Invoke-Command runs one thing in it.",
			Examples:    []string{`$Session = New-PSSession -ConfigurationName Microsoft.Exchange -ConnectionUri https://partner.outlook.cn/powershell-liveid/ -Credential (Get-Credential)`},
			Links:       []string{"Import-PSSession", "Invoke-Command", "Get-PSSession", "Remove-PSSession"},
		},
		{
			Name: "Get-PSSession", New: func() interp.Cmdlet { return &getPSSession{s: s} },
			Synopsis: "Lists the sessions that this shell has opened.", Examples: []string{`Get-PSSession | Remove-PSSession`}, Links: []string{"New-PSSession"},
		},
		{
			Name: "Remove-PSSession", New: func() interp.Cmdlet { return &removePSSession{s: s} }, ShouldProcess: true, DefaultSet: "Session",
			Synopsis: "Closes sessions.", Examples: []string{`Remove-PSSession $Session`, `Get-PSSession | Remove-PSSession`}, Links: []string{"New-PSSession"},
		},
		{
			Name: "New-PSSessionOption", New: func() interp.Cmdlet { return &newPSSessionOption{} },
			Synopsis:    "Makes options for New-PSSession.",
			Description: "The options are accepted so that scripts run. Certificates of servers are always verified, whatever the options say.",
			Examples:    []string{`New-PSSession -ConnectionUri https://partner.outlook.cn/powershell-liveid/ -SessionOption (New-PSSessionOption -IdleTimeout 600000)`},
			Links:       []string{"New-PSSession"},
		},
		{
			Name: "Import-PSSession", New: func() interp.Cmdlet { return &importPSSession{s: s} },
			Synopsis: "Brings the commands of a session into this shell.",
			Description: "For each command of the session a function of the same name is made here that runs it over there. What it writes are copies: property bags without methods. " +
				"A command that is here already is not replaced unless -AllowClobber is given. Remove-Module takes the functions away.",
			Examples: []string{`Import-PSSession $Session`, `Import-PSSession $Session -Prefix Cloud -CommandName *-IntraOrganization*`},
			Links:    []string{"New-PSSession", "Remove-Module"},
		},
		{
			Name: "Invoke-Command", New: func() interp.Cmdlet { return &invokeCommand{s: s} }, DefaultSet: "InProcess",
			Synopsis:    "Runs a script block here or in sessions with other organizations.",
			Description: "The block's text runs over there; variables of this shell are not known to it, pass values with -ArgumentList. Results say where they come from.",
			Examples:    []string{`Invoke-Command -Session $Session -ScriptBlock { Get-IntraOrganizationConnector }`, `Invoke-Command $Session { param($n) Get-Mailbox $n } -ArgumentList user1@contoso.com`},
			Links:       []string{"New-PSSession"},
		},
	}
	list = append(list, s.moduleCommands()...)
	for i := range list {
		list[i].Module = cmp.Or(list[i].Module, moduleCore)
	}
	return list
}

// A pssession is an open session of the shell.
type pssession struct {
	*object.Object
	target Target // without the password
	remote Remote
	id     int
	name   string
	guid   uuid.UUID
	state  string // Opened, Closed, Broken
	busy   int
	next   *pssession // what proxies opened in its place
}

func (s *sessions) add(r Remote, t Target, name string) *pssession {
	s.last++
	if c := t.Credential; c != nil {
		t.Credential = &object.Credential{UserName: c.UserName}
	}
	p := &pssession{target: t, remote: r, id: s.last, name: cmp.Or(name, fmt.Sprintf("Session%d", s.last)), guid: uuid.New(), state: "Opened"}
	if id, err := uuid.Parse(r.Info().RunspaceID); err == nil {
		p.guid = id
	}
	p.Object = object.New(typePSSession, "System.Object")
	p.Text = func() string { return "[PSSession]" + p.name }
	now := func(name string, f func() any) {
		p.AddProperty(&object.Property{Name: name, Kind: object.DataProperty, Get: func(*object.Object) (any, error) { return f(), nil }})
	}
	fixed := func(name string, v any) {
		p.AddProperty(&object.Property{Name: name, Kind: object.DataProperty, Value: v})
	}
	now("State", func() any { return p.state })
	fixed("ComputerType", "RemoteMachine")
	fixed("ComputerName", r.Info().ComputerName)
	fixed("ConfigurationName", r.Info().Configuration)
	fixed("InstanceId", p.guid)
	fixed("Id", int32(p.id))
	fixed("Name", p.name)
	now("Availability", func() any {
		switch {
		case p.state != "Opened":
			return "None"
		case p.busy > 0:
			return "Busy"
		}
		return "Available"
	})
	s.open = append(s.open, p)
	return p
}

// close ends the session.
func (s *sessions) close(p *pssession) error {
	s.open = slices.DeleteFunc(s.open, func(o *pssession) bool { return o == p })
	if p.state == "Closed" {
		return nil
	}
	p.state = "Closed"
	return p.remote.Close()
}

// run runs a pipeline over there. What comes back says where it is from; hide
// keeps the computer's name out of what is shown.
func (p *pssession) run(ctx context.Context, c *interp.Call, pl Pipeline, hide bool) error {
	p.busy++
	defer func() { p.busy-- }()
	message := func(write func(*interp.Message) error) interp.Stream {
		return func(v any) error {
			if m, ok := v.(*interp.Message); ok {
				return write(m)
			}
			return nil
		}
	}
	err := p.remote.Run(ctx, pl, func(v any) error { return c.Emit(p.mark(v, hide)) }, interp.Streams{
		Error: func(v any) error {
			r, ok := v.(*object.ErrorRecord)
			if !ok {
				r = object.Thrown(v)
			}
			return c.WriteError(p.origin(r))
		},
		Warning: message(func(m *interp.Message) error { return c.WriteWarning(m.Text) }),
		Verbose: message(func(m *interp.Message) error { return c.WriteVerbose(m.Text) }),
		Debug:   message(func(m *interp.Message) error { return c.WriteDebug(m.Text) }),
		Information: message(func(m *interp.Message) error {
			if slices.Contains(m.Tags, "PSHOST") {
				return c.WriteHost(m)
			}
			return c.WriteInformation(m.Text, m.Tags...)
		}),
		Progress: message(func(m *interp.Message) error { return c.WriteProgress(m.Activity, m.Text, m.Percent) }),
	})
	var r *object.ErrorRecord
	if errors.As(err, &r) && r.Remote {
		return p.origin(r)
	}
	return err
}

// mark adds the three notes of a remote object (3.2) behind its properties.
func (p *pssession) mark(v any, hide bool) any {
	_, list := object.Items(v)
	_, line := v.(*format.Entry)
	if v == nil || list || line {
		return v
	}
	o, ok := v.(*object.Object)
	if !ok {
		o = object.Wrap(v)
	}
	if o.Property("PSComputerName") != nil {
		return o
	}
	o.Add("PSComputerName", p.remote.Info().ComputerName)
	if o.Property("RunspaceId") == nil {
		o.Add("RunspaceId", p.guid)
	}
	return o.Add("PSShowComputerName", !hide)
}

// origin notes where an error comes from.
func (p *pssession) origin(r *object.ErrorRecord) *object.ErrorRecord {
	r.Remote = true
	if !slices.ContainsFunc(r.Extra, func(n object.Note) bool { return n.Name == "PSComputerName" }) {
		r.Extra = append(slices.Clone(r.Extra), object.Note{Name: "PSComputerName", Text: p.remote.Info().ComputerName})
	}
	return r
}

// A where is how several cmdlets say which endpoint they mean.
type where struct {
	Credential            credentialArg `ps:"Credential" help:"Who signs in: an object of Get-Credential, or a user name, whose password is asked for."`
	Authentication        string        `ps:"Authentication,values=Default|Basic|Negotiate|NegotiateWithImplicitCredential|Credssp|Digest|Kerberos" help:"How to sign in."`
	ConfigurationName     string        `ps:"ConfigurationName" help:"The endpoint's configuration: Microsoft.Exchange for an organization."`
	AllowRedirection      object.Switch `ps:"AllowRedirection" help:"Goes where the endpoint points to, with the same credential."`
	CertificateThumbprint string        `ps:"CertificateThumbprint" help:"Signing in with a certificate is not offered; sessions take a name and a password."`
	SessionOption         any           `ps:"SessionOption" help:"Options of New-PSSessionOption. Certificates are always verified."`
	ThrottleLimit         int           `ps:"ThrottleLimit" help:"Has no effect: sessions are opened and used one after the other."`
	Port                  int           `ps:"Port,set=ComputerName|FilePathComputerName" help:"The port, when it is not the usual one."`
	UseSSL                object.Switch `ps:"UseSSL,set=ComputerName|FilePathComputerName" help:"Has no effect: a connector uses TLS wherever it sends a password."`
	ApplicationName       string        `ps:"ApplicationName,set=ComputerName|FilePathComputerName" help:"The application's part of the address. The default is WSMAN."`
}

// targets are the endpoints that the parameters name.
func (w *where) targets(ctx context.Context, s *sessions, c *interp.Call, uris []*url.URL, computers []string) ([]Target, error) {
	if w.CertificateThumbprint != "" {
		return nil, object.NewError("NotSupported", object.NotImplemented, object.TPSNotSupported, "Signing in with a certificate is not possible here. Use -Credential.")
	}
	for _, name := range []string{"SkipCACheck", "SkipCNCheck"} {
		if v, ok := object.Get(w.SessionOption, name); ok && object.Bool(v) {
			if err := c.WriteWarning(fmt.Sprintf("%s has no effect. The server's certificate is verified.", name)); err != nil {
				return nil, err
			}
		}
	}
	cred, err := w.Credential.resolve(ctx, s, c)
	if err != nil {
		return nil, err
	}
	t := Target{Configuration: cmp.Or(w.ConfigurationName, "Microsoft.PowerShell"), Authentication: cmp.Or(w.Authentication, "Default"), Credential: cred, AllowRedirection: bool(w.AllowRedirection)}
	var list []Target
	for _, u := range uris {
		t.URI, t.ComputerName = u, u.Hostname()
		list = append(list, t)
	}
	for _, n := range computers {
		t.URI, t.ComputerName = nil, n
		if w.Port != 0 || w.ApplicationName != "" {
			host := n
			if w.Port != 0 {
				host = fmt.Sprintf("%s:%d", n, w.Port)
			}
			t.URI = &url.URL{Scheme: "https", Host: host, Path: "/" + cmp.Or(w.ApplicationName, "WSMAN")}
		}
		list = append(list, t)
	}
	return list, nil
}

// connect opens a session with t; errors are as Windows shows them.
func (s *sessions) connect(ctx context.Context, c *interp.Call, t Target) (Remote, Target, error) {
	fail := func(id, format string, args ...any) error {
		r := object.NewError(id+",PSSessionOpenFailed", object.OpenError, object.TRemotingTransport, "[%s] Connecting to remote server %s failed with the following error message : %s For more information, see the about_Remote_Troubleshooting Help topic.",
			t.host(), t.host(), fmt.Sprintf(format, args...))
		r.TargetName, r.TargetType = "System.Management.Automation.RemoteRunspace", "RemoteRunspace"
		return r
	}
	if s.Connector == nil {
		return nil, t, fail("NotSupported", "No sessions with other organizations are possible in this shell. Open a shell for that organization itself.")
	}
	for range maxRedirects {
		r, err := s.Connector.Connect(ctx, t)
		var elsewhere *RedirectError
		switch {
		case err == nil:
			return r, t, nil
		case ctx.Err() != nil:
			return nil, t, ctx.Err()
		case errors.Is(err, ErrAccessDenied), errors.Is(err, admin.ErrSignIn):
			return nil, t, fail("AccessDenied", "Access is denied.")
		case errors.Is(err, ErrUnknownHost):
			return nil, t, fail("ComputerNotFound", "The WinRM client cannot process the request because the server name cannot be resolved.")
		case errors.Is(err, ErrCannotConnect):
			return nil, t, fail("CannotConnect", "The client cannot connect to the destination specified in the request. Verify that the service on the destination is running and is accepting requests.")
		case !errors.As(err, &elsewhere):
			return nil, t, fail("PSSessionOpen", "%s.", strings.TrimSuffix(err.Error(), "."))
		case !t.AllowRedirection:
			return nil, t, fail("URIRedirected", "The endpoint redirects to %q. Use that address, or the AllowRedirection parameter.", elsewhere.URI)
		case elsewhere.URI.Scheme != "https":
			return nil, t, fail("URIRedirected", "The endpoint redirects to %q, which is no https address.", elsewhere.URI)
		}
		if err := c.WriteWarning(fmt.Sprintf("Your connection has been redirected to the following URI: %q", elsewhere.URI)); err != nil {
			return nil, t, err
		}
		t.URI, t.ComputerName = elsewhere.URI, elsewhere.URI.Hostname()
	}
	return nil, t, fail("URIRedirected", "The endpoint redirects too often.")
}

type newPSSession struct {
	s             *sessions
	ComputerName  []string   `ps:"ComputerName,alias=Cn,position=0,set=ComputerName,pipeline=value|name" help:"Host names. The default is localhost."`
	ConnectionURI []*url.URL `ps:"ConnectionUri,alias=URI|CU,mandatory,position=0,set=Uri,pipeline=name" help:"Addresses of endpoints, as https://partner.outlook.cn/powershell-liveid/."`
	Name          []string   `ps:"Name" help:"Names for the sessions. The default is Session with the id."`
	where
}

// Run opens the sessions.
func (p *newPSSession) Run(ctx context.Context, c *interp.Call) error {
	computers := p.ComputerName
	if len(computers)+len(p.ConnectionURI) == 0 {
		computers = []string{"localhost"}
	}
	targets, err := p.targets(ctx, p.s, c, p.ConnectionURI, computers)
	if err != nil {
		return err
	}
	for i, t := range targets {
		r, t, err := p.s.connect(ctx, c, t)
		if err != nil {
			if err := c.WriteError(err); err != nil {
				return err
			}
			continue
		}
		name := ""
		if i < len(p.Name) {
			name = p.Name[i]
		}
		if err := c.Emit(p.s.add(r, t, name).Object); err != nil {
			return err
		}
	}
	return nil
}

// A choice of open sessions.
type choice struct {
	ID           []int       `ps:"Id,set=Id,pipeline=name" help:"Numbers of sessions."`
	Name         []string    `ps:"Name,set=Name,pipeline=name,wildcard" help:"Names of sessions; wildcards are possible."`
	InstanceID   []uuid.UUID `ps:"InstanceId,set=InstanceId,pipeline=name" help:"GUIDs of sessions."`
	ComputerName []string    `ps:"ComputerName,alias=Cn,set=ComputerName,pipeline=name,wildcard" help:"Host names of sessions; wildcards are possible."`
}

// pick lists what the parameters name; what is not there is an error.
func (p *choice) pick(s *sessions, c *interp.Call) ([]*pssession, error) {
	var list []*pssession
	one := func(what string, v any, pattern bool, ok func(*pssession) bool) error {
		n := len(list)
		for _, o := range s.open {
			if ok(o) && !slices.Contains(list, o) {
				list = append(list, o)
			}
		}
		if len(list) > n || pattern {
			return nil
		}
		r := object.NewError("PSSessionNotAvailable,"+class(c), object.InvalidArgument, object.TPSArgument, "The remote session with the %s %s is not available.", what, object.String(v))
		r.TargetName, r.TargetType = object.String(v), "String"
		return c.WriteError(r)
	}
	for _, id := range p.ID {
		if err := one("session ID", int32(id), false, func(o *pssession) bool { return o.id == id }); err != nil {
			return nil, err
		}
	}
	for _, n := range p.Name {
		if err := one("name", n, object.HasWildcard(n), func(o *pssession) bool { return object.Like(o.name, n) }); err != nil {
			return nil, err
		}
	}
	for _, id := range p.InstanceID {
		if err := one("instance ID", id, false, func(o *pssession) bool { return o.guid == id }); err != nil {
			return nil, err
		}
	}
	for _, n := range p.ComputerName {
		if err := one("computer name", n, object.HasWildcard(n), func(o *pssession) bool { return object.Like(o.remote.Info().ComputerName, n) }); err != nil {
			return nil, err
		}
	}
	return list, nil
}

type getPSSession struct {
	s *sessions
	choice
}

// Run lists sessions.
func (p *getPSSession) Run(_ context.Context, c *interp.Call) error {
	list := p.s.open
	if c.Bound("Id") || c.Bound("Name") || c.Bound("InstanceId") || c.Bound("ComputerName") {
		var err error
		if list, err = p.pick(p.s, c); err != nil {
			return err
		}
	}
	for _, o := range slices.Clone(list) {
		if err := c.Emit(o.Object); err != nil {
			return err
		}
	}
	return nil
}

type removePSSession struct {
	s       *sessions
	Session sessionArgs `ps:"Session,mandatory,position=0,pipeline=value,set=Session" help:"Sessions to close."`
	choice
}

// Run closes sessions.
func (p *removePSSession) Run(_ context.Context, c *interp.Call) error {
	list := p.s.find(p.Session)
	if len(p.Session) == 0 { // a session from the pipeline has an id and a name, too
		var err error
		if list, err = p.pick(p.s, c); err != nil {
			return err
		}
	}
	for _, o := range list {
		if ok, err := c.ShouldProcess(o.name, "Remove-PSSession"); err != nil || !ok {
			if err != nil {
				return err
			}
			continue
		}
		if err := p.s.close(o); err != nil {
			if err := c.WriteError(err); err != nil {
				return err
			}
		}
	}
	return nil
}

// sessionArgs are arguments that are sessions.
type sessionArgs []*object.Object

// BindPS implements interp.Binder.
func (a *sessionArgs) BindPS(v any) error {
	*a = nil
	items, ok := object.Items(v)
	if !ok && v != nil {
		items = []any{v}
	}
	for _, i := range items {
		o, ok := i.(*object.Object)
		if names := object.TypeNames(i); !ok || len(names) == 0 || names[0] != typePSSession {
			name := "null"
			if len(names) > 0 {
				name = names[0]
			}
			return fmt.Errorf("Cannot convert the \"%s\" value of type \"%s\" to type \"%s\".", object.String(i), name, typePSSession) // shown as it stands
		}
		*a = append(*a, o)
	}
	return nil
}

// ParameterType is what help calls them.
func (*sessionArgs) ParameterType() string { return "PSSession[]" }

// find is the open sessions among them; one that was closed is left out.
func (s *sessions) find(args sessionArgs) []*pssession {
	var list []*pssession
	for _, a := range args {
		for _, o := range s.open {
			if o.Object == a {
				list = append(list, o)
			}
		}
	}
	return list
}

// opened is the one open session that the argument is.
func (s *sessions) opened(args sessionArgs) ([]*pssession, error) {
	list := s.find(args)
	if len(list) == len(args) {
		return list, nil
	}
	return nil, object.NewError("InvalidSessionState", object.InvalidOperation, object.TPSInvalidOperation, "The session is closed. Open a new one with New-PSSession.")
}

// A credentialArg is a credential, or the name of a user whose password is to be asked for.
type credentialArg struct {
	cred *object.Credential
	user string
}

// BindPS implements interp.Binder.
func (a *credentialArg) BindPS(v any) error {
	*a = credentialArg{}
	switch x := object.Base(v).(type) {
	case nil:
	case *object.Credential:
		a.cred = x
	case string:
		a.user = x
	default:
		return fmt.Errorf("Cannot convert the \"%s\" value of type \"%s\" to type \"%s\".", object.String(v), object.TypeOf(v).Name, object.TCredential.Name) // shown as it stands
	}
	return nil
}

// ParameterType is what help calls it.
func (*credentialArg) ParameterType() string { return "PSCredential" }

func (a *credentialArg) resolve(ctx context.Context, s *sessions, c *interp.Call) (*object.Credential, error) {
	if a.cred != nil || a.user == "" {
		return a.cred, nil
	}
	return s.AskCredential(ctx, c, a.user, "")
}

type newPSSessionOption struct {
	MaximumRedirection   int           `ps:"MaximumRedirection,default=5" help:"Has no effect: five redirections are followed."`
	NoCompression        object.Switch `ps:"NoCompression" help:"Has no effect."`
	NoMachineProfile     object.Switch `ps:"NoMachineProfile" help:"Has no effect."`
	Culture              string        `ps:"Culture" help:"Has no effect: sessions are en-US."`
	UICulture            string        `ps:"UICulture" help:"Has no effect: sessions are en-US."`
	OpenTimeout          int           `ps:"OpenTimeout,alias=OpenTimeoutMSec" help:"Has no effect: the connector decides."`
	CancelTimeout        int           `ps:"CancelTimeout,alias=CancelTimeoutMSec" help:"Has no effect."`
	IdleTimeout          int           `ps:"IdleTimeout,alias=IdleTimeoutMSec" help:"Has no effect: the server decides."`
	OperationTimeout     int           `ps:"OperationTimeout,alias=OperationTimeoutMSec" help:"Has no effect: Ctrl-C ends a command."`
	ProxyAccessType      string        `ps:"ProxyAccessType,values=None|IEConfig|WinHttpConfig|AutoDetect|NoProxyServer,default=None" help:"Has no effect: no proxy is used."`
	SkipCACheck          object.Switch `ps:"SkipCACheck" help:"Accepted with a warning: the server's certificate is verified."`
	SkipCNCheck          object.Switch `ps:"SkipCNCheck" help:"Accepted with a warning: the server's name is verified."`
	SkipRevocationCheck  object.Switch `ps:"SkipRevocationCheck" help:"Has no effect: revocation lists are not read."`
	NoEncryption         object.Switch `ps:"NoEncryption" help:"Has no effect."`
	IncludePortInSPN     object.Switch `ps:"IncludePortInSPN" help:"Has no effect."`
	UseUTF16             object.Switch `ps:"UseUTF16" help:"Has no effect."`
	ApplicationArguments any           `ps:"ApplicationArguments" help:"Has no effect."`
}

// Run makes the options.
func (p *newPSSessionOption) Run(_ context.Context, c *interp.Call) error {
	return c.Emit(object.New("System.Management.Automation.Remoting.PSSessionOption", "System.Object").
		Add("MaximumConnectionRedirectionCount", int32(p.MaximumRedirection)).Add("NoCompression", bool(p.NoCompression)).
		Add("NoMachineProfile", bool(p.NoMachineProfile)).Add("ProxyAccessType", p.ProxyAccessType).
		Add("SkipCACheck", bool(p.SkipCACheck)).Add("SkipCNCheck", bool(p.SkipCNCheck)).Add("SkipRevocationCheck", bool(p.SkipRevocationCheck)).
		Add("NoEncryption", bool(p.NoEncryption)).Add("UseUTF16", bool(p.UseUTF16)).Add("IncludePortInSPN", bool(p.IncludePortInSPN)))
}

// invokeCommand is Invoke-Command: that of the language, and sessions.
type invokeCommand struct {
	s                *sessions
	ScriptBlock      *interp.ScriptBlock `ps:"ScriptBlock,alias=Command,mandatory,position=0,set=InProcess|Session|ComputerName|Uri" help:"What to run."`
	FilePath         string              `ps:"FilePath,alias=PSPath,mandatory,set=FilePathRunspace|FilePathComputerName|FilePathUri" help:"A script file of this shell's drive, run over there."`
	ComputerName     []string            `ps:"ComputerName,alias=Cn,position=0,set=ComputerName|FilePathComputerName" help:"Host names: a session is opened for this command only."`
	Session          sessionArgs         `ps:"Session,position=0,set=Session|FilePathRunspace" help:"Open sessions."`
	ConnectionURI    []*url.URL          `ps:"ConnectionUri,alias=URI|CU,mandatory,set=Uri|FilePathUri" help:"Addresses of endpoints: a session is opened for this command only."`
	ArgumentList     []any               `ps:"ArgumentList,alias=Args" help:"Values for the block's parameters."`
	HideComputerName object.Switch       `ps:"HideComputerName,alias=HCN" help:"Does not show where results come from."`
	AsJob            object.Switch       `ps:"AsJob" help:"Jobs are not offered; the command waits."`
	NoNewScope       object.Switch       `ps:"NoNewScope,set=InProcess" help:"Runs the block in this scope."`
	InputObject      any                 `ps:"InputObject,pipeline=value,allownull" help:"Input of the block."`
	where

	input []any
}

// Run keeps the input.
func (p *invokeCommand) Run(_ context.Context, c *interp.Call) error {
	if c.Piped() {
		p.input = append(p.input, p.InputObject)
	}
	return nil
}

// End runs the block, in one place after the other.
func (p *invokeCommand) End(ctx context.Context, c *interp.Call) error {
	if p.AsJob {
		return object.NewError("NotSupported", object.NotImplemented, object.TPSNotSupported, "Jobs are not possible here. Leave -AsJob out; the command then waits for the results.")
	}
	remote := c.Bound("Session") || c.Bound("ComputerName") || c.Bound("ConnectionUri")
	if !remote && p.ScriptBlock != nil {
		local := &interp.InvokeCommand{ScriptBlock: p.ScriptBlock, ArgumentList: p.ArgumentList, NoNewScope: p.NoNewScope}
		for _, v := range p.input {
			local.InputObject = v
			if err := local.Run(ctx, c); err != nil {
				return err
			}
		}
		return local.End(ctx, c)
	}
	text, err := p.text(c)
	if err != nil {
		return err
	}
	cmd := RemoteCommand{Text: text, Script: true}
	for _, a := range p.ArgumentList {
		cmd.Arguments = append(cmd.Arguments, Argument{Value: a})
	}
	pl := Pipeline{Commands: []RemoteCommand{cmd}}
	if c.Piped() {
		pl.Input = append([]any{}, p.input...)
	}
	list, err := p.s.opened(p.Session)
	if err != nil {
		return err
	}
	targets, err := p.targets(ctx, p.s, c, p.ConnectionURI, p.ComputerName)
	if err != nil {
		return err
	}
	for _, o := range list {
		if err := o.run(ctx, c, pl, bool(p.HideComputerName)); err != nil {
			return err
		}
	}
	for _, t := range targets {
		if err := p.once(ctx, c, t, pl); err != nil {
			return err
		}
	}
	return nil
}

// once runs in a session that is closed behind it.
func (p *invokeCommand) once(ctx context.Context, c *interp.Call, t Target, pl Pipeline) error {
	r, t, err := p.s.connect(ctx, c, t)
	if err != nil {
		return c.WriteError(err)
	}
	o := p.s.add(r, t, "")
	err = o.run(ctx, c, pl, bool(p.HideComputerName))
	return cmp.Or(err, p.s.close(o))
}

// text is the code to send.
func (p *invokeCommand) text(c *interp.Call) (string, error) {
	text := ""
	if p.ScriptBlock != nil {
		text = p.ScriptBlock.String()
	} else {
		if c.Files() == nil {
			return "", object.NewError("FilesNotAvailable", object.InvalidOperation, nil, "Files are not available here.")
		}
		b, err := c.Files().ReadFile(c.Files().FullName(p.FilePath))
		if err != nil {
			return "", err
		}
		if text, err = syntax.Decode(b); err != nil {
			return "", err
		}
	}
	if strings.Contains(strings.ToLower(text), "$using:") {
		return "", object.NewError("UsingNotSupported", object.NotImplemented, object.TPSNotSupported, "$using: is not possible in a block that runs in another session. Give the block a param() and pass the value with -ArgumentList.")
	}
	return text, nil
}
