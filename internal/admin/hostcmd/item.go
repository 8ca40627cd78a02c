package hostcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// An entry is what stands at a place: a file or folder of C:, a certificate, or
// one of the levels above the certificates.
type entry struct {
	at   place
	info fs.FileInfo         // C:
	cert *object.Certificate // Cert:, else nil
	link bool                // a link of the host to something else on C:; nothing goes down through it
}

// folder reports whether the entry holds others.
func (e entry) folder() bool {
	return e.info == nil && e.cert == nil || e.info != nil && e.info.IsDir()
}

// readOnly reports whether the entry must not be changed without -Force.
func (e entry) readOnly() bool { return e.info != nil && e.info.Mode().Perm()&0o200 == 0 }

// stores are the stores of Cert:, which all show the organization's certificates.
var stores = []string{"CurrentUser", "LocalMachine"}

const personal = "My"

// noItem is the error for a path that names nothing.
func noItem(p place) error {
	return &object.Exception{Class: object.TItemNotFound, Message: fmt.Sprintf("Cannot find path '%s' because it does not exist.", p)}
}

// stat is the entry at p.
func (h *host) stat(ctx context.Context, p place) (entry, error) {
	if p.drive == driveC {
		e, err := h.Drive.stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			err = noItem(p)
		}
		return e, err
	}
	at := entry{at: place{drive: driveCert}}
	for i, part := range p.parts {
		list, err := h.list(ctx, at)
		if err != nil {
			return entry{}, err
		}
		n := slices.IndexFunc(list, func(e entry) bool { return strings.EqualFold(e.at.parts[i], part) })
		if n < 0 {
			return entry{}, noItem(p)
		}
		at = list[n]
	}
	return at, nil
}

// list is what stands below e.
func (h *host) list(ctx context.Context, e entry) ([]entry, error) {
	if !e.folder() {
		return nil, nil
	}
	if e.at.drive == driveC {
		return h.Drive.list(e.at)
	}
	var out []entry
	switch len(e.at.parts) {
	case 0:
		for _, s := range stores {
			out = append(out, entry{at: e.at.child(s)})
		}
	case 1:
		out = append(out, entry{at: e.at.child(personal)})
	case 2:
		if h.Certificates == nil {
			return nil, nil
		}
		certs, err := h.Certificates(ctx)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", e.at, err)
		}
		for _, c := range certs {
			out = append(out, entry{at: e.at.child(c.Thumbprint()), cert: c})
		}
	}
	return out, nil
}

// find is what a name stands for. A literal name, or a pattern without
// wildcards, that names nothing is an error; other patterns may fit nothing.
func (h *host) find(ctx context.Context, name string, literal bool) ([]entry, error) {
	p, err := h.Drive.parse(name, !literal)
	if err != nil {
		return nil, err
	}
	if literal || !slices.ContainsFunc(p.parts, wild) {
		if !literal {
			for i, part := range p.parts {
				p.parts[i] = unescape(part)
			}
		}
		e, err := h.stat(ctx, p)
		if err != nil {
			return nil, err
		}
		return []entry{e}, nil
	}
	at := []entry{{at: place{drive: p.drive}}}
	if p.drive == driveC {
		if at[0], err = h.Drive.stat(at[0].at); err != nil {
			return nil, err
		}
	}
	for _, part := range p.parts {
		patterns, err := filtered(part)
		if err != nil {
			return nil, illegal(err.Error())
		}
		var next []entry
		for _, e := range at {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			list, err := h.list(ctx, e)
			if err != nil {
				return nil, err
			}
			for _, x := range list {
				if anyOf(patterns, x.at.leaf()) {
					next = append(next, x)
				}
			}
		}
		at = next
	}
	return at, nil
}

// A target is the parameters that name items; a piped item binds by its PSPath.
type target struct {
	Path        []string `ps:"Path,mandatory,position=0,pipeline=value|name,set=Path" help:"Paths of items; wildcards are allowed."`
	LiteralPath []string `ps:"LiteralPath,alias=PSPath,mandatory,pipeline=name,set=LiteralPath" help:"Paths of items, taken as they are."`
}

// each calls do for every entry that the parameters name. A name that names
// nothing is reported, and the next one is taken.
func (t *target) each(ctx context.Context, h *host, c *interp.Call, do func(entry) error) error {
	return h.each(ctx, c, t.Path, t.LiteralPath, do)
}

// chosen is each without what a filter and patterns leave out.
func (t *target) chosen(ctx context.Context, h *host, c *interp.Call, filter string, include, exclude []string, do func(entry) error) error {
	keep, err := selection(filter, include, exclude)
	if err != nil {
		return h.fail(c, illegal(err.Error()), filter)
	}
	return t.each(ctx, h, c, func(e entry) error {
		if !keep(e) {
			return nil
		}
		return do(e)
	})
}

func (h *host) each(ctx context.Context, c *interp.Call, path, literalPath []string, do func(entry) error) error {
	names, literal := path, false
	if len(literalPath) > 0 {
		names, literal = literalPath, true
	}
	for _, n := range names {
		if n == "" {
			return emptyPath(c, literal)
		}
		found, err := h.find(ctx, h.home(c, n), literal)
		if err != nil {
			if err := c.WriteError(h.fail(c, err, n)); err != nil {
				return err
			}
			continue
		}
		for _, e := range found {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := do(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func emptyPath(c *interp.Call, literal bool) error {
	name := "Path"
	if literal {
		name = "LiteralPath"
	}
	return object.NewError("ParameterArgumentValidationErrorEmptyStringNotAllowed,"+class(c), object.InvalidData, object.TParameterValidation,
		"Cannot bind argument to parameter '%s' because it is an empty string.", name)
}

// home is name with a leading ~ as the user's folder.
func (h *host) home(c *interp.Call, name string) string {
	if name == "~" || strings.HasPrefix(name, `~\`) || strings.HasPrefix(name, "~/") {
		return object.String(c.Variable("HOME")) + name[1:]
	}
	return name
}

// className is the verb and noun of a cmdlet without the dash.
func className(c *interp.Call) string {
	if strings.EqualFold(c.Name(), "mkdir") {
		return "NewItem"
	}
	return strings.ReplaceAll(c.Name(), "-", "")
}

// class is the name of a cmdlet's class, as FullyQualifiedErrorId ends.
func class(c *interp.Call) string {
	return "Microsoft.PowerShell.Commands." + className(c) + "Command"
}

// fail is err as the record of a command; what was asked for is its target.
func (h *host) fail(c *interp.Call, err error, what string) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[*object.ErrorRecord](err); ok {
		return err
	}
	x, ok := errors.AsType[*object.Exception](err)
	if !ok {
		x = &object.Exception{Class: object.TInvalidOperation, Message: err.Error(), Cause: err}
	}
	asked := what
	if p, perr := h.Drive.parse(what, true); perr == nil && what != "" {
		what = p.String()
	}
	noun := className(c)
	r := &object.ErrorRecord{Exception: x, ID: noun + "IOError", Category: object.WriteError, TargetName: what, TargetType: "String"}
	switch t := x.Type(); t {
	case object.TItemNotFound:
		r.ID, r.Category = "PathNotFound", object.ObjectNotFound
	case object.TDriveNotFound:
		r.ID, r.Category = "DriveNotFound", object.ObjectNotFound
		r.TargetName, _, _ = strings.Cut(asked, ":")
	case object.TUnauthorizedAccess:
		r.ID, r.Category = noun+"UnauthorizedAccessError", object.PermissionDenied
	case object.TArgumentException, object.TNotSupported:
		r.ID, r.Category = noun+"ArgumentError", object.InvalidArgument
	case object.TInvalidOperation, object.TPSInvalidOperation:
		r.ID, r.Category = "InvalidOperation", object.InvalidOperation
	default:
		if strings.HasPrefix(noun, "Get") {
			r.Category = object.ReadError
		}
	}
	r.ID += "," + class(c)
	return r
}

// refuse is the error of a command that cannot do what was asked for, with the reason.
func refuse(c *interp.Call, format string, args ...any) error {
	return object.NewError("NotSupported,"+class(c), object.NotImplemented, object.TPSNotSupported, format, args...)
}

// changeable refuses to change what is on Cert:.
func (h *host) changeable(c *interp.Call, p place) error {
	if p.drive != driveCert {
		return nil
	}
	return refuse(c, "The drive Cert: shows the organization's certificates and cannot be changed. Use New-ExchangeCertificate, Import-ExchangeCertificate or Remove-ExchangeCertificate.")
}

// show is the entry as an object.
func (h *host) show(e entry) any {
	switch {
	case e.info != nil:
		return &fileItem{entry: e, zone: h.Zone}
	case e.cert != nil:
		c := *e.cert
		c.Parent = e.at.parent().qualified()
		o := object.Wrap(&c)
		o.Add("PSPath", e.at.qualified()).Add("PSChildName", e.at.leaf()).Add("PSDrive", h.driveInfo(driveCert)).
			Add("PSProvider", providerCert).Add("PSIsContainer", false)
		return o
	}
	var o *object.Object
	switch len(e.at.parts) {
	case 0:
		return h.driveInfo(driveCert)
	case 1:
		o = object.New("Microsoft.PowerShell.Commands.X509StoreLocation", "System.Object").
			Add("Location", e.at.leaf()).Add("StoreNames", object.Strings(personal))
	default:
		o = object.New("System.Security.Cryptography.X509Certificates.X509Store", "System.Object").
			Add("Name", e.at.leaf()).Add("Location", e.at.parts[0])
	}
	for _, n := range itemNotes(e.at, true) {
		o.Add(n.name, n.value)
	}
	o.Text = e.at.leaf
	return o
}

type note struct {
	name  string
	value any
}

// itemNotes are the properties that every item of a drive has.
func itemNotes(p place, container bool) []note {
	provider, parent := providerFile, any(p.parent().qualified())
	if p.drive == driveCert {
		provider = providerCert
	}
	if p.root() {
		parent = ""
	}
	return []note{
		{"PSPath", p.qualified()}, {"PSParentPath", parent}, {"PSChildName", p.leaf()}, {"PSDrive", p.drive}, {"PSProvider", provider}, {"PSIsContainer", container},
	}
}

// A fileItem is a FileInfo or DirectoryInfo. It shows what stood there when it was made.
type fileItem struct {
	entry
	zone *time.Location
	full bool // ToString gives the whole path
}

var _ object.Adapted = (*fileItem)(nil)

// PSType is the class.
func (f *fileItem) PSType() *object.Type {
	if f.folder() {
		return object.TDirectory
	}
	return object.TFileInfo
}

// TypeNames is the class and its bases.
func (f *fileItem) TypeNames() []string { return f.PSType().Names() }

func (f *fileItem) String() string {
	if f.full {
		return f.at.String()
	}
	return f.at.leaf()
}

var (
	itemNames   = []string{"PSPath", "PSParentPath", "PSChildName", "PSDrive", "PSProvider", "PSIsContainer"}
	fileNames   = []string{"Mode", "BaseName", "Name", "Length", "DirectoryName", "Directory", "IsReadOnly", "Exists", "FullName", "Extension", "LastWriteTime", "LastWriteTimeUtc", "Attributes"}
	folderNames = []string{"Mode", "BaseName", "Name", "FullName", "Parent", "Exists", "Root", "Extension", "LastWriteTime", "LastWriteTimeUtc", "Attributes"}
)

func (f *fileItem) names() []string {
	if f.folder() {
		return folderNames
	}
	return fileNames
}

// Members lists the properties in .NET's order, the drive's own first.
func (f *fileItem) Members() []object.Member {
	var out []object.Member
	for _, n := range itemNames {
		out = append(out, object.Member{Name: n, Kind: object.NoteProperty, Definition: "string " + n})
	}
	for _, n := range f.names() {
		kind := object.DataProperty
		if n == "Mode" || n == "BaseName" {
			kind = object.ScriptProperty
		}
		out = append(out, object.Member{Name: n, Kind: kind, Definition: "System.Object " + n + " {get;}"})
	}
	return out
}

// Get is a property.
func (f *fileItem) Get(name string) (any, bool) {
	i := slices.IndexFunc(f.names(), func(n string) bool { return strings.EqualFold(n, name) })
	if i < 0 {
		for _, n := range itemNotes(f.at, f.folder()) {
			if strings.EqualFold(n.name, name) {
				return n.value, true
			}
		}
		return nil, false
	}
	leaf := f.at.leaf()
	dot := strings.LastIndexByte(leaf, '.')
	if dot < 0 {
		dot = len(leaf)
	}
	switch f.names()[i] {
	case "Mode":
		mode := []byte("------")
		if f.folder() {
			mode[0] = 'd'
		} else {
			mode[1] = 'a'
		}
		if f.readOnly() {
			mode[2] = 'r'
		}
		return string(mode), true
	case "BaseName":
		if f.folder() {
			return leaf, true
		}
		return leaf[:dot], true
	case "Name":
		return leaf, true
	case "Length":
		return f.info.Size(), true
	case "DirectoryName":
		return f.at.parent().String(), true
	case "Directory", "Parent":
		if f.at.root() {
			return nil, true
		}
		return folderText(f.at.parent()), true
	case "Root":
		return folderText(place{drive: driveC}), true
	case "IsReadOnly":
		return f.readOnly(), true
	case "Exists":
		return true, true
	case "FullName":
		return f.at.String(), true
	case "Extension":
		return leaf[dot:], true
	case "LastWriteTime":
		return f.info.ModTime().In(f.zone), true
	case "LastWriteTimeUtc":
		return f.info.ModTime().UTC(), true
	}
	// Attributes
	var a []string
	if f.readOnly() {
		a = append(a, "ReadOnly")
	}
	if f.folder() {
		a = append(a, "Directory")
	} else {
		a = append(a, "Archive")
	}
	return strings.Join(a, ", "), true
}

// folderText is a folder that another item names: its path and name, not looked at.
func folderText(p place) *object.Object {
	o := object.New(object.TDirectory.Names()...).Add("FullName", p.String()).Add("Name", p.leaf())
	o.Text = p.String
	return o
}

// Set changes nothing: items show what stood there.
func (f *fileItem) Set(string, any) error { return object.ErrNoMember }

// Call has no methods but those of every object.
func (f *fileItem) Call(*object.Context, string, []any) (any, error) { return nil, object.ErrNoMember }
