package hostcmd

import (
	"context"
	"slices"
	"strings"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// pathInfo is a PathInfo.
func (h *host) pathInfo(p place) *object.Object {
	o := object.New("System.Management.Automation.PathInfo", "System.Object")
	provider := providerFile
	if p.drive == driveCert {
		provider = providerCert
	}
	full := p.String()
	inside := full
	if p.drive == driveCert {
		inside = strings.Join(p.parts, `\`)
	}
	o.Add("Drive", p.drive).Add("Provider", provider).Add("ProviderPath", inside).Add("Path", full)
	o.Text = func() string { return full }
	return o
}

// driveInfo is a PSDriveInfo.
func (h *host) driveInfo(name string) *object.Object {
	o := object.New("System.Management.Automation.PSDriveInfo", "System.Object")
	provider, root, about := providerFile, `C:\`, "The folder of this shell"
	if name == driveCert {
		provider, root, about = providerCert, `\`, "X509 Certificate Provider"
	}
	_, short, _ := strings.Cut(provider, `\`)
	o.Add("Used", nil).Add("Free", nil).Add("CurrentLocation", strings.Join(h.Drive.here[name], `\`)).Add("Name", name).
		Add("Provider", short).Add("Root", root).Add("Description", about)
	o.Text = func() string { return name }
	return o
}

// defaultStack is the stack of Push-Location without -StackName.
const defaultStack = "default"

// maxStack bounds a stack of locations.
const maxStack = 1000

type setLocation struct {
	h           *host
	push        bool
	Path        string        `ps:"Path,position=0,pipeline=value|name,set=Path" help:"The folder or store; wildcards are allowed when one fits."`
	LiteralPath string        `ps:"LiteralPath,alias=PSPath,pipeline=name,set=LiteralPath" help:"The folder or store, taken as it is."`
	StackName   string        `ps:"StackName" help:"The stack of locations."`
	PassThru    object.Switch `ps:"PassThru" help:"Gives the new location."`
}

// Run changes the location (Set-Location, Push-Location).
func (p *setLocation) Run(ctx context.Context, c *interp.Call) error {
	return c.WriteError(p.set(ctx, c))
}

func (p *setLocation) set(ctx context.Context, c *interp.Call) error {
	d := p.h.Drive
	name, literal := p.Path, false
	if p.LiteralPath != "" {
		name, literal = p.LiteralPath, true
	}
	to := d.at()
	if name != "" {
		found, err := p.h.find(ctx, p.h.home(c, name), literal)
		if err != nil {
			return p.h.fail(c, err, name)
		}
		typed, err := d.parse(p.h.home(c, name), !literal)
		if err != nil {
			return p.h.fail(c, err, name)
		}
		folders := slices.DeleteFunc(found, func(e entry) bool { return !e.folder() })
		switch {
		case len(folders) > 1:
			return object.NewError("Argument,"+class(c), object.InvalidArgument, object.TPSArgument, "Cannot set the location because path '%s' resolved to multiple containers. You can only set the location to a single container at a time.", name)
		case len(folders) == 0:
			return p.h.fail(c, noItem(typed), typed.String())
		}
		to = folders[0].at
	}
	stack := strings.ToLower(p.StackName)
	if stack == "" {
		stack = defaultStack
	}
	switch {
	case p.push:
		if len(d.stacks[stack]) >= maxStack {
			return object.NewError("LimitExceeded,"+class(c), object.LimitsExceeded, nil, "The location stack '%s' is full.", stack)
		}
		d.stacks[stack] = append(d.stacks[stack], d.at())
	case p.StackName != "" && d.stacks[stack] == nil:
		return noStack(c, p.StackName)
	}
	d.move(to)
	if p.PassThru {
		return c.Emit(p.h.pathInfo(to))
	}
	return nil
}

func noStack(c *interp.Call, name string) error {
	return object.NewError("Argument,"+class(c), object.InvalidArgument, object.TPSArgument, "Cannot find location stack '%s'. It does not exist or it is not a container.", name)
}

type popLocation struct {
	h         *host
	StackName string        `ps:"StackName" help:"The stack of locations."`
	PassThru  object.Switch `ps:"PassThru" help:"Gives the new location."`
}

// Run goes back to where Push-Location was (Pop-Location).
func (p *popLocation) Run(ctx context.Context, c *interp.Call) error {
	return c.WriteError(p.pop(ctx, c))
}

func (p *popLocation) pop(ctx context.Context, c *interp.Call) error {
	d := p.h.Drive
	stack := strings.ToLower(p.StackName)
	if stack == "" {
		stack = defaultStack
	}
	list := d.stacks[stack]
	if len(list) == 0 {
		if p.StackName != "" {
			return noStack(c, p.StackName)
		}
		return nil
	}
	to := list[len(list)-1]
	if d.stacks[stack] = list[:len(list)-1]; len(list) == 1 {
		delete(d.stacks, stack)
	}
	e, err := p.h.stat(ctx, to)
	if err == nil && !e.folder() {
		err = noItem(to)
	}
	if err != nil {
		return p.h.fail(c, err, to.String())
	}
	d.move(to)
	if p.PassThru {
		return c.Emit(p.h.pathInfo(to))
	}
	return nil
}

type getLocation struct {
	h          *host
	PSProvider []string      `ps:"PSProvider,pipeline=name" help:"The location on the drives of these providers: FileSystem, Certificate."`
	PSDrive    []string      `ps:"PSDrive,pipeline=name" help:"The location on these drives: C, Cert."`
	Stack      object.Switch `ps:"Stack" help:"The locations of a stack, newest first."`
	StackName  []string      `ps:"StackName" help:"Which stack."`
}

// Run shows the location (Get-Location).
func (p *getLocation) Run(_ context.Context, c *interp.Call) error {
	d := p.h.Drive
	var places []place
	switch {
	case bool(p.Stack) || len(p.StackName) > 0:
		names := p.StackName
		if len(names) == 0 {
			names = []string{defaultStack}
		}
		for _, n := range names {
			list := d.stacks[strings.ToLower(n)]
			if list == nil && n != defaultStack {
				return noStack(c, n)
			}
			for _, at := range slices.Backward(list) {
				places = append(places, at)
			}
		}
	case len(p.PSDrive) > 0 || len(p.PSProvider) > 0:
		for _, n := range append(slices.Clone(p.PSDrive), p.PSProvider...) {
			switch {
			case strings.EqualFold(n, driveC), strings.EqualFold(n, "FileSystem"):
				places = append(places, place{driveC, d.here[driveC]})
			case strings.EqualFold(n, driveCert), strings.EqualFold(n, "Certificate"):
				places = append(places, place{driveCert, d.here[driveCert]})
			default:
				return p.h.fail(c, noDrive(n), n)
			}
		}
	default:
		places = []place{d.at()}
	}
	for _, at := range places {
		if err := c.Emit(p.h.pathInfo(at)); err != nil {
			return err
		}
	}
	return nil
}

type getPSDrive struct {
	h          *host
	Name       []string `ps:"Name,position=0,pipeline=name" help:"Names of drives; wildcards are allowed."`
	PSProvider []string `ps:"PSProvider,pipeline=name" help:"FileSystem or Certificate."`
	Scope      string   `ps:"Scope" help:"Accepted; drives are the same in every scope."`
}

// Run lists the drives (Get-PSDrive).
func (p *getPSDrive) Run(_ context.Context, c *interp.Call) error {
	providers := map[string]string{driveC: "FileSystem", driveCert: "Certificate"}
	for _, want := range p.Name {
		if !wild(want) && !strings.EqualFold(want, driveC) && !strings.EqualFold(want, driveCert) {
			if err := c.WriteError(p.h.fail(c, noDrive(want), want)); err != nil {
				return err
			}
		}
	}
	fits := func(patterns []string, name string) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, func(s string) bool { return object.Like(name, s) })
	}
	for _, n := range []string{driveC, driveCert} {
		if !fits(p.Name, n) || !fits(p.PSProvider, providers[n]) {
			continue
		}
		if err := c.Emit(p.h.driveInfo(n)); err != nil {
			return err
		}
	}
	return nil
}

func (h *host) locations() []interp.Command {
	m := moduleManagement
	return []interp.Command{
		{Name: "Set-Location", Module: m, New: func() interp.Cmdlet { return &setLocation{h: h} }, DefaultSet: "Path",
			Synopsis: "Changes the current folder.", Examples: []string{`cd $env:SYSTEMDRIVE\OAuthConfig`}, Links: []string{"Get-Location", "Push-Location"}},
		{Name: "Get-Location", Module: m, New: func() interp.Cmdlet { return &getLocation{h: h} },
			Synopsis: "Shows the current folder.", Examples: []string{`Get-Location`}, Links: []string{"Set-Location"}},
		{Name: "Push-Location", Module: m, Aliases: []string{"pushd"}, New: func() interp.Cmdlet { return &setLocation{h: h, push: true} }, DefaultSet: "Path",
			Synopsis: "Keeps the current folder on a stack and changes it.", Examples: []string{`Push-Location C:\OAuthConfig`}, Links: []string{"Pop-Location"}},
		{Name: "Pop-Location", Module: m, Aliases: []string{"popd"}, New: func() interp.Cmdlet { return &popLocation{h: h} },
			Synopsis: "Goes back to the folder kept last.", Examples: []string{`Pop-Location`}, Links: []string{"Push-Location"}},
		{Name: "Get-PSDrive", Module: m, Aliases: []string{"gdr"}, New: func() interp.Cmdlet { return &getPSDrive{h: h} },
			Synopsis: "Lists the drives of this shell.", Description: "There are two: C:, a folder of the host, and Cert:, the organization's certificates.",
			Examples: []string{`Get-PSDrive`}, Links: []string{"Get-Location"}},
		{Name: "Resolve-Path", Module: m, Aliases: []string{"rvpa"}, New: func() interp.Cmdlet { return &resolvePath{h: h} }, DefaultSet: "Path",
			Synopsis: "Finds the complete paths of what a path names.", Examples: []string{`Resolve-Path .\*.ps1`}, Links: []string{"Convert-Path", "Test-Path"}},
		{Name: "Convert-Path", Module: m, Aliases: []string{"cvpa"}, New: func() interp.Cmdlet { return &resolvePath{h: h, text: true} }, DefaultSet: "Path",
			Synopsis: "Finds complete paths, as text.", Examples: []string{`Convert-Path .`}, Links: []string{"Resolve-Path"}},
		{Name: "Split-Path", Module: m, New: func() interp.Cmdlet { return &splitPath{h: h} }, DefaultSet: "ParentSet",
			Synopsis: "Gives a part of a path.", Examples: []string{`Split-Path C:\OAuthConfig\OAuthCert.cer -Leaf`}, Links: []string{"Join-Path"}},
		{Name: "Join-Path", Module: m, New: func() interp.Cmdlet { return &joinPath{h: h} },
			Synopsis: "Puts a path together.", Examples: []string{`Join-Path C:\OAuthConfig OAuthCert.cer`}, Links: []string{"Split-Path"}},
	}
}
