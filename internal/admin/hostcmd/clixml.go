package hostcmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"busybridge/internal/ps/clixml"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// Windows encrypts secrets in files with a key of one user on one machine.
var (
	errSecret  = errors.New("a secure string or credential cannot be written to a file by this shell; keep it in a variable, or let Get-Credential ask for it again")
	errForeign = errors.New("a secret that Windows has encrypted for one user of one machine cannot be read here")
)

type exportCLIXML struct {
	h           *host
	Path        string        `ps:"Path,mandatory,position=0,set=ByPath" help:"The file."`
	LiteralPath string        `ps:"LiteralPath,alias=PSPath,mandatory,set=ByLiteralPath" help:"The file, taken as it is."`
	InputObject any           `ps:"InputObject,mandatory,pipeline=value,allownull,allowempty" help:"What is written."`
	Depth       int           `ps:"Depth,default=2" help:"How many levels of objects in objects are kept; what is deeper becomes text. At most 20."`
	Encoding    string        `ps:"Encoding,values=ASCII|BigEndianUnicode|Default|OEM|Unicode|UTF8" help:"How the text is encoded; Unicode without it."`
	NoClobber   object.Switch `ps:"NoClobber,alias=NoOverwrite" help:"Fails when the file is there."`
	Force       object.Switch `ps:"Force" help:"Writes a read-only file too."`

	w *clixml.Writer
}

// Begin begins the document.
func (p *exportCLIXML) Begin(_ context.Context, c *interp.Call) error {
	if p.Depth < 1 || p.Depth > clixml.MaxLevels {
		return object.NewError("ParameterArgumentValidationError,"+class(c), object.InvalidData, object.TParameterValidation, "Cannot validate argument on parameter 'Depth'. It is a number from 1 to %d.", clixml.MaxLevels)
	}
	p.w = clixml.NewDocument()
	return nil
}

// Run writes one object (Export-Clixml).
func (p *exportCLIXML) Run(_ context.Context, c *interp.Call) error {
	err := p.w.Add(p.InputObject, p.Depth)
	switch {
	case errors.Is(err, clixml.ErrNoKey):
		err = errSecret
	case err == nil && p.w.Len() > MaxFile:
		err = fmt.Errorf("more than %d MiB", MaxFile>>20)
	}
	if err != nil {
		return object.NewError("ExportClixml,"+class(c), object.InvalidOperation, object.TInvalidOperation, "Cannot export the object: %s.", err)
	}
	return nil
}

// End writes the file.
func (p *exportCLIXML) End(_ context.Context, c *interp.Call) error {
	name := p.Path
	if p.LiteralPath != "" {
		name = p.LiteralPath
	}
	name = p.h.home(c, name)
	at, err := p.h.Drive.parse(name, false)
	if err != nil {
		return p.h.fail(c, err, name)
	}
	if err := p.h.changeable(c, at); err != nil {
		return err
	}
	if ok, err := c.ShouldProcess(at.String(), "Export-Clixml"); !ok {
		return err
	}
	if isFile, _ := p.h.Drive.Stat(at.String()); isFile && bool(p.NoClobber) {
		return object.NewError("NoClobber,"+class(c), object.ResourceExists, object.TIOException, "The file '%s' already exists.", at)
	}
	if p.Force {
		if err := p.h.Drive.writable(at); err != nil {
			return p.h.fail(c, err, name)
		}
	}
	if p.Encoding == "" {
		p.Encoding = "Unicode"
	}
	enc := encodings[strings.ToLower(p.Encoding)]
	return p.h.fail(c, p.h.Drive.WriteFile(at.String(), append([]byte(enc.mark), enc.encode(string(p.w.Document()))...)), name)
}

type importCLIXML struct {
	h           *host
	Path        []string `ps:"Path,mandatory,position=0,pipeline=value|name,set=ByPath" help:"Files; wildcards are allowed."`
	LiteralPath []string `ps:"LiteralPath,alias=PSPath,mandatory,pipeline=name,set=ByLiteralPath" help:"Files, taken as they are."`
	First       int      `ps:"First" help:"How many objects."`
	Skip        int      `ps:"Skip" help:"How many objects are left out at the beginning."`
}

// Run reads objects from files (Import-Clixml).
func (p *importCLIXML) Run(ctx context.Context, c *interp.Call) error {
	return p.h.each(ctx, c, p.Path, p.LiteralPath, func(e entry) error {
		b, err := p.h.Drive.read(e.at)
		if err != nil {
			return c.WriteError(p.h.fail(c, err, e.at.String()))
		}
		list, err := clixml.ReadDocument(b, clixml.Options{MaxBytes: MaxFile, EnumText: true})
		if errors.Is(err, clixml.ErrNoKey) {
			err = errForeign
		}
		if err != nil {
			return object.NewError("ImportClixml,"+class(c), object.InvalidData, object.TFormatException, "The file '%s' holds no objects that can be read: %s.", e.at, err)
		}
		for _, v := range cut(list[min(max(p.Skip, 0), len(list)):], int64(p.First), -1) {
			if err := c.Emit(v); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *host) objects() []interp.Command {
	return []interp.Command{
		{Name: "Export-Clixml", Module: moduleUtility, New: func() interp.Cmdlet { return &exportCLIXML{h: h} }, DefaultSet: "ByPath", ShouldProcess: true,
			Synopsis: "Keeps objects in a file.", Description: "Objects come back as copies: properties without methods. Secrets are refused.",
			Examples: []string{`Get-IntraOrganizationConnector | Export-Clixml C:\Backup\connectors.xml`}, Links: []string{"Import-Clixml"}},
		{Name: "Import-Clixml", Module: moduleUtility, New: func() interp.Cmdlet { return &importCLIXML{h: h, First: -1} }, DefaultSet: "ByPath",
			Synopsis: "Reads objects that Export-Clixml has kept.", Examples: []string{`$old = Import-Clixml C:\Backup\connectors.xml`}, Links: []string{"Export-Clixml"}},
	}
}
