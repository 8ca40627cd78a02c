package remoteserver

import (
	"context"
	"errors"
	"slices"
	"strings"

	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/psrp"
)

// publicNames are the commands that every session has: PowerShell's restricted
// set for servers.
var publicNames = []string{"Clear-Host", "Exit-PSSession", "Get-Command", "Get-FormatData", "Get-Help", "Measure-Object", "Out-Default", "Select-Object"}

func isPublic(name string) bool { return slices.Contains(publicNames, name) }

// public makes them.
func (rs *runspace) public() []interp.Command {
	list := []interp.Command{
		{Name: "Clear-Host", New: func() interp.Cmdlet { return &clearHost{} }, Synopsis: "Accepted; the screen is the client's."},
		{Name: "Exit-PSSession", New: func() interp.Cmdlet { return &exitSession{rs: rs} }, Synopsis: "Ends the interactive session of a client."},
		{Name: "Get-Command", New: func() interp.Cmdlet { return &getCommand{rs: rs} }, Synopsis: "Lists the commands of the session."},
		{Name: "Get-FormatData", New: func() interp.Cmdlet { return &getFormatData{} }, Synopsis: "Gives nothing: the session has no views to give away."},
		{Name: "Get-Help", New: func() interp.Cmdlet { return &getHelp{rs: rs} }, Synopsis: "Shows help about the commands of the session."},
		{Name: "Measure-Object", New: func() interp.Cmdlet { return &measureObject{} }, Synopsis: "Counts objects."},
		{Name: "Out-Default", New: func() interp.Cmdlet { return &outDefault{rs: rs} }, Synopsis: "Shows objects on the client's screen."},
		{Name: "Select-Object", New: func() interp.Cmdlet { return &selectObject{} }, Synopsis: "Selects properties of objects."},
	}
	for i := range list {
		list[i].Module = "Microsoft.PowerShell.Core"
	}
	return list
}

// Limits of PowerShell's own proxies.
const (
	maxNames = 1000
	maxName  = 1000
)

func bounded(lists ...[]string) error {
	for _, l := range lists {
		if len(l) > maxNames || slices.ContainsFunc(l, func(s string) bool { return len(s) > maxName }) {
			return object.NewError("ParameterArgumentValidationError", object.InvalidData, object.TParameterBinding, "There are too many names, or one of them is too long.")
		}
	}
	return nil
}

type getCommand struct {
	rs              *runspace
	Name            []string      `ps:"Name,position=0,pipeline=name,wildcard" help:"Names of commands."`
	Module          []string      `ps:"Module,alias=PSSnapin,wildcard" help:"Names of modules."`
	ArgumentList    []any         `ps:"ArgumentList,alias=Args" help:"Has no effect."`
	CommandType     any           `ps:"CommandType,alias=Type" help:"Kinds of commands: the session has cmdlets."`
	ListImported    object.Switch `ps:"ListImported" help:"Has no effect."`
	ShowCommandInfo object.Switch `ps:"ShowCommandInfo" help:"Has no effect."`
}

// Run lists commands.
func (g *getCommand) Run(ctx context.Context, c *interp.Call) error {
	if err := bounded(g.Name, g.Module); err != nil {
		return err
	}
	found, err := g.rs.catalog(ctx, g.Name, g.Module)
	if err != nil {
		return err
	}
	for _, name := range g.Name {
		if object.HasWildcard(name) || slices.ContainsFunc(found, func(f *interp.Command) bool { return strings.EqualFold(f.Name, name) }) {
			continue
		}
		if err := c.WriteError(interp.CommandNotFound(name)); err != nil {
			return err
		}
	}
	for _, cmd := range found {
		o := object.New("System.Management.Automation.CmdletInfo", "System.Management.Automation.CommandInfo", "System.Object").
			Add("CommandType", "Cmdlet").Add("Name", cmd.Name).Add("Version", "").Add("Source", cmd.Module).Add("ModuleName", cmd.Module).
			Add("Definition", cmd.Syntax()).Add("HelpUri", "")
		o.Text = func() string { return cmd.Name }
		if err := c.Emit(o); err != nil {
			return err
		}
	}
	return nil
}

type getFormatData struct {
	TypeName          []string `ps:"TypeName,position=0,wildcard" help:"Names of types."`
	PowerShellVersion any      `ps:"PowerShellVersion" help:"The version of the client."`
}

// Run gives nothing: clients show objects as they know to.
func (g *getFormatData) Run(context.Context, *interp.Call) error { return bounded(g.TypeName) }

type getHelp struct {
	rs       *runspace
	Name     string `ps:"Name,position=0,wildcard" help:"The command, or a pattern for its name."`
	Category any    `ps:"Category" help:"Has no effect: there are cmdlets only."`
}

// Run shows the help of a command.
func (g *getHelp) Run(ctx context.Context, c *interp.Call) error {
	if err := bounded([]string{g.Name}); err != nil {
		return err
	}
	found, err := g.rs.catalog(ctx, []string{g.Name}, nil)
	switch {
	case err != nil:
		return err
	case len(found) == 0: // as the language says it of a name that is nothing
		return c.WriteError(object.NewError("HelpNotFound,Microsoft.PowerShell.Commands.GetHelpCommand", object.ObjectNotFound, nil, "Get-Help could not find %s in a help file in this session.", g.Name))
	case len(found) == 1:
		return (&interp.GetHelp{Name: found[0].Name}).Run(ctx, c)
	}
	for _, cmd := range found {
		if err := c.Emit(object.New("HelpInfoShort", "System.Object").Add("Name", cmd.Name).Add("Category", "Cmdlet").Add("Module", cmd.Module).Add("Synopsis", cmd.Synopsis)); err != nil {
			return err
		}
	}
	return nil
}

type measureObject struct {
	InputObject any `ps:"InputObject,pipeline=value,allownull" help:"The objects."`

	n int32
}

// Run counts one object.
func (m *measureObject) Run(_ context.Context, c *interp.Call) error {
	if c.Piped() || c.Bound("InputObject") {
		m.n++
	}
	return nil
}

// End writes the count.
func (m *measureObject) End(_ context.Context, c *interp.Call) error {
	o := object.New("Microsoft.PowerShell.Commands.GenericMeasureInfo", "Microsoft.PowerShell.Commands.MeasureInfo", "System.Object").Add("Count", m.n)
	for _, name := range []string{"Average", "Sum", "Maximum", "Minimum", "Property"} {
		o.Add(name, nil)
	}
	return c.Emit(o)
}

type selectObject struct {
	Property    []string `ps:"Property,position=0,wildcard" help:"Names of the properties to keep."`
	InputObject any      `ps:"InputObject,pipeline=value,allownull" help:"The objects."`

	to interp.SelectObject
}

// Begin reads the names. They are names only: a session without language
// calculates nothing.
func (s *selectObject) Begin(ctx context.Context, c *interp.Call) error {
	for _, name := range s.Property {
		s.to.Property = append(s.to.Property, name)
	}
	return errors.Join(bounded(s.Property), s.to.Begin(ctx, c))
}

// Run selects from one object.
func (s *selectObject) Run(ctx context.Context, c *interp.Call) error {
	s.to.InputObject = s.InputObject
	return s.to.Run(ctx, c)
}

// End writes what was kept back.
func (s *selectObject) End(ctx context.Context, c *interp.Call) error { return s.to.End(ctx, c) }

type outDefault struct {
	rs          *runspace
	InputObject any `ps:"InputObject,pipeline=value,allownull" help:"What to show."`

	w *format.Writer
}

// Begin opens the client's screen.
func (o *outDefault) Begin(ctx context.Context, c *interp.Call) error {
	o.w = c.Session().Writer(screen(func(line string) error {
		if h := o.rs.job.job.Host(o.rs.sh.host); h.Null || h.NullUI {
			return nil
		}
		return o.rs.show(ctx, psrp.WriteLine, line)
	}), 0)
	return nil
}

// Run shows one object.
func (o *outDefault) Run(context.Context, *interp.Call) error { return o.w.Write(o.InputObject) }

// End shows what waits.
func (o *outDefault) End(context.Context, *interp.Call) error { return o.w.Close() }

// screen takes text by lines.
type screen func(line string) error

func (s screen) Write(p []byte) (int, error) {
	for line := range strings.SplitSeq(strings.TrimSuffix(string(p), "\n"), "\n") {
		if err := s(strings.TrimSuffix(line, "\r")); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

type exitSession struct{ rs *runspace }

// Run takes the client out of its interactive session.
func (e *exitSession) Run(ctx context.Context, _ *interp.Call) error {
	return e.rs.show(ctx, psrp.PopRunspace)
}

type clearHost struct{}

// Run does nothing.
func (*clearHost) Run(context.Context, *interp.Call) error { return nil }
