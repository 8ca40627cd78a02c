package hostcmd

import (
	"context"
	"strings"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

type resolvePath struct {
	h    *host
	text bool // Convert-Path
	target
	Relative object.Switch `ps:"Relative" help:"Paths from the location, as text."`
}

// Run finds what paths name (Resolve-Path, Convert-Path).
func (p *resolvePath) Run(ctx context.Context, c *interp.Call) error {
	return p.each(ctx, p.h, c, func(e entry) error {
		switch {
		case bool(p.Relative):
			return c.Emit(relative(e.at, p.h.Drive.at()))
		case p.text:
			o := p.h.pathInfo(e.at)
			v, _ := o.Get("ProviderPath")
			return c.Emit(v)
		}
		return c.Emit(p.h.pathInfo(e.at))
	})
}

// relative is the way from one place to another on the same drive.
func relative(to, from place) string {
	if to.drive != from.drive {
		return to.String()
	}
	n := 0
	for n < len(to.parts) && n < len(from.parts) && strings.EqualFold(to.parts[n], from.parts[n]) {
		n++
	}
	up := strings.Repeat(`..\`, len(from.parts)-n)
	if up == "" {
		up = `.\`
	}
	return up + strings.Join(to.parts[n:], `\`)
}

type splitPath struct {
	h           *host
	Path        []string      `ps:"Path,mandatory,position=0,pipeline=value|name,set=ParentSet|LeafSet|QualifierSet|NoQualifierSet|IsAbsoluteSet" help:"Paths, looked at as text."`
	LiteralPath []string      `ps:"LiteralPath,alias=PSPath,mandatory,pipeline=name,set=LiteralPathSet" help:"Paths, taken as they are."`
	Parent      object.Switch `ps:"Parent,set=ParentSet" help:"What is before the last name; the default."`
	Leaf        object.Switch `ps:"Leaf,set=LeafSet" help:"The last name."`
	Qualifier   object.Switch `ps:"Qualifier,set=QualifierSet" help:"The drive with its colon."`
	NoQualifier object.Switch `ps:"NoQualifier,set=NoQualifierSet" help:"The path without its drive."`
	IsAbsolute  object.Switch `ps:"IsAbsolute,set=IsAbsoluteSet" help:"Whether the path begins with a drive."`
	Resolve     object.Switch `ps:"Resolve" help:"Finds what the path names first."`
}

// Run gives parts of paths (Split-Path).
func (p *splitPath) Run(ctx context.Context, c *interp.Call) error {
	names := p.Path
	if len(p.LiteralPath) > 0 {
		names = p.LiteralPath
	}
	if p.Resolve {
		var found []string
		if err := p.h.each(ctx, c, p.Path, p.LiteralPath, func(e entry) error {
			found = append(found, e.at.String())
			return nil
		}); err != nil {
			return err
		}
		names = found
	}
	for _, n := range names {
		if n == "" {
			return emptyPath(c, false)
		}
		v, err := p.part(c, n)
		if err != nil {
			if err := c.WriteError(err); err != nil {
				return err
			}
			continue
		}
		if err := c.Emit(v); err != nil {
			return err
		}
	}
	return nil
}

func (p *splitPath) part(c *interp.Call, name string) (any, error) {
	drive, rest, qualified := cutDrive(name)
	switch {
	case bool(p.IsAbsolute):
		return qualified && strings.HasPrefix(strings.ReplaceAll(rest, "/", `\`), `\`), nil
	case bool(p.Qualifier):
		if !qualified {
			r := object.NewError("ParsePathFormatError,"+class(c), object.InvalidArgument, object.TFormatException, "Cannot parse path because path '%s' does not have a qualifier specified.", name)
			r.TargetName, r.TargetType = name, "String"
			return nil, r
		}
		return drive, nil
	case bool(p.NoQualifier):
		return rest, nil
	}
	name = strings.ReplaceAll(name, "/", `\`)
	if trimmed := strings.TrimRight(rest, `\/`); trimmed == "" { // a root has no parent
		if p.Leaf {
			return name, nil
		}
		return "", nil
	}
	name = strings.TrimRight(name, `\`)
	i := strings.LastIndexByte(name, '\\')
	switch {
	case bool(p.Leaf):
		if i < 0 {
			return strings.TrimPrefix(name, drive), nil
		}
		return name[i+1:], nil
	case i < 0:
		return drive, nil
	case i == len(drive): // C:\a: the root keeps its backslash
		return name[:i+1], nil
	}
	return name[:i], nil
}

// cutDrive cuts the drive with its colon off.
func cutDrive(name string) (drive, rest string, ok bool) {
	i := strings.IndexByte(name, ':')
	if i <= 0 || strings.ContainsAny(name[:i], `\/`) {
		return "", name, false
	}
	return name[:i+1], name[i+1:], true
}

type joinPath struct {
	h         *host
	Path      []string      `ps:"Path,alias=PSPath,mandatory,position=0,pipeline=value|name" help:"What comes first."`
	ChildPath string        `ps:"ChildPath,mandatory,position=1,pipeline=name,allownull,allowempty" help:"What comes behind it."`
	Resolve   object.Switch `ps:"Resolve" help:"Finds what the whole path names."`
}

// Run puts paths together (Join-Path).
func (p *joinPath) Run(ctx context.Context, c *interp.Call) error {
	for _, n := range p.Path {
		if n == "" {
			return emptyPath(c, false)
		}
		if drive, _, ok := cutDrive(n); ok && !strings.Contains(n, "::") {
			if d := strings.TrimSuffix(drive, ":"); !strings.EqualFold(d, driveC) && !strings.EqualFold(d, driveCert) {
				if err := c.WriteError(p.h.fail(c, noDrive(d), d)); err != nil {
					return err
				}
				continue
			}
		}
		full := strings.TrimRight(strings.ReplaceAll(n, "/", `\`), `\`) + `\` + strings.TrimLeft(strings.ReplaceAll(p.ChildPath, "/", `\`), `\`)
		if !p.Resolve {
			if err := c.Emit(full); err != nil {
				return err
			}
			continue
		}
		if err := p.h.each(ctx, c, []string{full}, nil, func(e entry) error { return c.Emit(e.at.String()) }); err != nil {
			return err
		}
	}
	return nil
}
