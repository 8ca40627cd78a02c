package hostcmd

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

type importPSSession struct {
	s                    *sessions
	Session              sessionArgs   `ps:"Session,mandatory,position=0,notempty" help:"The session whose commands are imported."`
	CommandName          []string      `ps:"CommandName,alias=Name,position=2,wildcard" help:"Names of commands; wildcards are possible. The default is what the session offers."`
	FormatTypeName       []string      `ps:"FormatTypeName,position=3" help:"Has no effect: the shell knows how objects are shown."`
	Prefix               string        `ps:"Prefix" help:"Put before the noun of each name: Get-Mailbox becomes Get-<Prefix>Mailbox."`
	AllowClobber         object.Switch `ps:"AllowClobber" help:"Also imports commands whose names exist in this shell; they take the place of the local ones until Remove-Module."`
	CommandType          []string      `ps:"CommandType,alias=Type,values=Alias|Function|Filter|Cmdlet|ExternalScript|Application|Script|All" help:"Kinds of commands; a session offers cmdlets."`
	ModuleNames          []string      `ps:"Module,alias=PSSnapin,wildcard" help:"Only commands of these modules."`
	FullyQualifiedModule []string      `ps:"FullyQualifiedModule" help:"Only commands of these modules."`
	ArgumentList         []any         `ps:"ArgumentList,alias=Args" help:"Has no effect: no command's parameters depend on arguments."`
	DisableNameChecking  object.Switch `ps:"DisableNameChecking" help:"Does not warn of verbs that are not approved."`
}

// Run makes the proxies.
func (p *importPSSession) Run(ctx context.Context, c *interp.Call) error {
	list, err := p.s.opened(p.Session)
	if err != nil {
		return err
	}
	if len(list) != 1 {
		return object.NewError("ParameterBinding", object.InvalidArgument, object.TParameterBinding, "Import-PSSession takes one session, not %d.", len(list))
	}
	from := list[0]
	commands, err := from.remote.Commands(ctx, p.CommandName)
	if err != nil {
		return err
	}
	name, err := temporaryName()
	if err != nil {
		return err
	}
	m := &module{name: name, kind: "Script", version: "1.0", description: "Implicit remoting for " + from.uri(), imported: true}
	var skipped []string
	for _, i := range commands {
		if !p.wants(i) {
			continue
		}
		local := p.local(i.Name)
		if !bool(p.AllowClobber) && c.Session().Defined(local) {
			skipped = append(skipped, i.Name)
			continue
		}
		m.commands = append(m.commands, proxyCommand(p.s, from, i, local, name))
	}
	fail := func(id, text string) error {
		return object.NewError(id+","+class(c), object.InvalidResult, object.TArgumentException, "%s", text)
	}
	if skipped != nil { // as PowerShell: nobody is asked, and the names are the session's, without the prefix
		if err := c.WriteWarning("Proxy creation has been skipped for the following command: '" + strings.Join(skipped, ", ") +
			"', because it would shadow an existing local command.  Use the AllowClobber parameter if you want to shadow existing local commands."); err != nil {
			return err
		}
	}
	switch {
	case len(m.commands) == 0 && skipped != nil:
		return fail("ErrorNoCommandsImportedBecauseOfSkipping", "No command proxies have been created, because all of the requested remote commands would shadow existing local commands.  Use the AllowClobber parameter if you want to shadow existing local commands.")
	case len(m.commands) == 0:
		return fail("ErrorNoResultsFromRemoteEnd", "Running the Get-Command command in a remote session returned no results.")
	}
	if err := p.checkVerbs(c, m); err != nil {
		return err
	}
	if err := p.s.modules.load(c.Session(), m); err != nil {
		return err
	}
	return c.Emit(m.object())
}

func (p *importPSSession) wants(i CommandInfo) bool {
	modules := append(slices.Clone(p.ModuleNames), p.FullyQualifiedModule...)
	kinds := len(p.CommandType) == 0 || slices.ContainsFunc(p.CommandType, func(k string) bool {
		return strings.EqualFold(k, "Cmdlet") || strings.EqualFold(k, "All")
	})
	return kinds && (len(modules) == 0 || matches(modules, i.Module))
}

// local is the name that the command has here.
func (p *importPSSession) local(name string) string {
	verb, noun, ok := strings.Cut(name, "-")
	if p.Prefix == "" {
		return name
	}
	if !ok {
		return p.Prefix + name
	}
	return verb + "-" + p.Prefix + noun
}

func (p *importPSSession) checkVerbs(c *interp.Call, m *module) error {
	if p.DisableNameChecking {
		return nil
	}
	found := false
	for _, cmd := range m.commands {
		verb, _, ok := strings.Cut(cmd.Name, "-")
		if !ok || approved(verb) {
			continue
		}
		found = true
		if err := c.WriteVerbose(fmt.Sprintf("The '%s' command in the %s' module was imported, but because its name does not include an approved verb, it might be difficult to find. For a list of approved verbs, type Get-Verb.", cmd.Name, m.name)); err != nil {
			return err
		}
	}
	if !found {
		return nil
	}
	return c.WriteWarning(fmt.Sprintf("The names of some imported commands from the module '%s' include unapproved verbs that might make them less discoverable. To find the commands with unapproved verbs, run the Import-Module command again with the Verbose parameter. For a list of approved verbs, type Get-Verb.", m.name))
}

// uri is what the session was opened with.
func (p *pssession) uri() string {
	if p.target.URI != nil {
		return p.target.URI.String()
	}
	return p.target.ComputerName
}

// temporaryName is tmp_ and a random file name.
func temporaryName() (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyz012345" // 32
	b := make([]byte, 11)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	for i := range b {
		b[i] = letters[b[i]%32]
	}
	return fmt.Sprintf("tmp_%s.%s", b[:8], b[8:]), nil
}

// proxyCommand is a function that runs a command of a session.
func proxyCommand(s *sessions, from *pssession, i CommandInfo, name, module string) interp.Command {
	l := &link{s: s, session: from}
	params := i.Parameters
	if i.Bare {
		params = append(slices.Clone(params),
			interp.Param{Name: unboundName, Type: object.ArrayOf(object.TObject), Position: -1, Rest: true, Whole: true, AllowNull: true, AllowEmpty: true, Help: "Values without a name: the session binds them."},
			interp.Param{Name: inputName, Type: object.TObject, Position: -1, ByValue: true, AllowNull: true, AllowEmpty: true, Help: "Objects of the pipeline: the session binds them."})
	}
	return interp.Command{
		Name: name, Module: module, Kind: "Function", New: func() interp.Cmdlet { return &proxy{link: l, remote: i.Name, bare: i.Bare} },
		Declared: params, DefaultSet: i.DefaultSet, ShouldProcess: i.ShouldProcess,
		Synopsis: i.Synopsis, Description: i.Description, Examples: i.Examples, Links: i.Links,
	}
}

// A link is the way of a proxy to its session, which may be gone.
type link struct {
	s       *sessions
	session *pssession
}

// open is the session, opened anew when it was closed. The new one serves all
// proxies of the old one's modules, as their own session is the same.
func (l *link) open(ctx context.Context, c *interp.Call) (*pssession, error) {
	old := l.session
	if old.state == "Opened" {
		return old, nil
	}
	if old.next != nil {
		l.session = old.next
		return l.open(ctx, c)
	}
	if err := c.WriteHost(&interp.Message{Text: fmt.Sprintf("Creating a new session for implicit remoting of %q command...", c.Name())}); err != nil {
		return nil, err
	}
	t := old.target
	if t.Credential != nil {
		var err error
		if t.Credential, err = l.s.AskCredential(ctx, c, t.Credential.UserName, "Enter your credentials for "+old.uri()+"."); err != nil {
			return nil, err
		}
	}
	r, t, err := l.s.connect(ctx, c, t)
	if err != nil {
		return nil, err
	}
	old.next = l.s.add(r, t, "Session for implicit remoting module at "+c.Command.Module)
	l.session = old.next
	return l.session, nil
}

// A proxy runs one command over there with the arguments that it was given here.
type proxy struct {
	*link
	remote string
	bare   bool
	input  []any
}

// The parameters of a proxy that take what the session binds.
const (
	unboundName = "UnboundArguments"
	inputName   = "PipelineInput"
)

// local are the common parameters that this side takes care of; the others are
// the far side's.
var local = []string{"ErrorAction", "WarningAction", "InformationAction", "ErrorVariable", "WarningVariable", "InformationVariable", "OutVariable", "OutBuffer", "PipelineVariable"}

// Run runs the command, once for each object of the pipeline, or keeps the object.
func (p *proxy) Run(ctx context.Context, c *interp.Call) error {
	if !p.bare {
		return p.run(ctx, c, nil)
	}
	if c.Piped() {
		for _, a := range c.Arguments() {
			if a.Name == inputName {
				p.input = append(p.input, a.Value)
			}
		}
	}
	return nil
}

// End runs a command that takes all the input at once.
func (p *proxy) End(ctx context.Context, c *interp.Call) error {
	if !p.bare {
		return nil
	}
	if c.Piped() && p.input == nil {
		p.input = []any{}
	}
	return p.run(ctx, c, p.input)
}

func (p *proxy) run(ctx context.Context, c *interp.Call, input []any) error {
	session, err := p.open(ctx, c)
	if err != nil {
		return err
	}
	cmd := RemoteCommand{Text: p.remote}
	for _, a := range c.Arguments() {
		switch {
		case slices.Contains(local, a.Name) || p.bare && a.Name == inputName:
		case p.bare && a.Name == unboundName:
			values, _ := object.Items(a.Value)
			for _, v := range values {
				cmd.Arguments = append(cmd.Arguments, Argument{Value: v})
			}
		default:
			cmd.Arguments = append(cmd.Arguments, a)
		}
	}
	return session.run(ctx, c, Pipeline{Commands: []RemoteCommand{cmd}, Input: input}, true)
}
