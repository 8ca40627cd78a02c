package hostcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

type testPath struct {
	h           *host
	Path        []string      `ps:"Path,mandatory,position=0,pipeline=value|name,set=Path,allowempty" help:"Paths; wildcards are allowed: True when something fits."`
	LiteralPath []string      `ps:"LiteralPath,alias=PSPath,mandatory,pipeline=name,set=LiteralPath" help:"Paths, taken as they are."`
	PathType    string        `ps:"PathType,alias=Type,values=Any|Container|Leaf,default=Any" help:"What it must be: Container (a folder), Leaf (a file or certificate) or Any."`
	IsValid     object.Switch `ps:"IsValid" help:"Only whether the path is well formed."`
	Filter      string        `ps:"Filter" help:"Only names that fit this pattern."`
	Include     []string      `ps:"Include" help:"Only names that fit one of these patterns."`
	Exclude     []string      `ps:"Exclude" help:"No names that fit one of these patterns."`
	NewerThan   *time.Time    `ps:"NewerThan" help:"Only what was written after this time."`
	OlderThan   *time.Time    `ps:"OlderThan" help:"Only what was written before this time."`
}

// Run answers True or False for each path (Test-Path).
func (p *testPath) Run(ctx context.Context, c *interp.Call) error {
	keep, err := selection(p.Filter, p.Include, p.Exclude)
	if err != nil {
		return p.h.fail(c, illegal(err.Error()), p.Filter)
	}
	names, literal := p.Path, false
	if len(p.LiteralPath) > 0 {
		names, literal = p.LiteralPath, true
	}
	for _, n := range names {
		if n == "" {
			return emptyPath(c, literal)
		}
		n = p.h.home(c, n)
		_, err := p.h.Drive.parse(n, !literal)
		there := err == nil
		if there && !bool(p.IsValid) {
			found, err := p.h.find(ctx, n, literal)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			there = err == nil && slices.ContainsFunc(found, func(e entry) bool { return keep(e) && p.fits(e) })
		}
		if err := c.Emit(there); err != nil {
			return err
		}
	}
	return nil
}

func (p *testPath) fits(e entry) bool {
	switch {
	case strings.EqualFold(p.PathType, "Container") && !e.folder(), strings.EqualFold(p.PathType, "Leaf") && e.folder():
		return false
	case p.NewerThan == nil && p.OlderThan == nil:
		return true
	case e.info == nil:
		return false
	}
	t := e.info.ModTime()
	return (p.NewerThan == nil || t.After(*p.NewerThan)) && (p.OlderThan == nil || t.Before(*p.OlderThan))
}

type newItem struct {
	h        *host
	Path     []string      `ps:"Path,mandatory,position=0,pipeline=name" help:"Where the item is made. Folders above a new folder are made too."`
	Name     string        `ps:"Name,pipeline=name" help:"The name of the item, below Path."`
	ItemType string        `ps:"ItemType,alias=Type,pipeline=name" help:"File (the default) or Directory. Links are not possible."`
	Value    any           `ps:"Value,alias=Target,pipeline=value|name" help:"What a new file holds."`
	Force    object.Switch `ps:"Force" help:"Replaces a file that is there, makes missing folders above a file, and gives back a folder that is there."`
}

// Run makes files and folders (New-Item, mkdir).
func (p *newItem) Run(_ context.Context, c *interp.Call) error {
	folder := false
	switch {
	case strings.EqualFold(p.ItemType, "Directory"), strings.EqualFold(p.ItemType, "Container"):
		folder = true
	case p.ItemType == "", strings.EqualFold(p.ItemType, "File"), strings.EqualFold(p.ItemType, "Leaf"):
	default:
		return refuse(c, "An item of type '%s' cannot be made here. ItemType is File or Directory.", p.ItemType)
	}
	for _, n := range p.Path {
		if p.Name != "" {
			n = strings.TrimRight(n, `\/`) + `\` + p.Name
		}
		if n == "" {
			return emptyPath(c, false)
		}
		e, err := p.make(c, p.h.home(c, n), folder)
		if err != nil {
			if err := c.WriteError(p.h.fail(c, err, n)); err != nil {
				return err
			}
			continue
		}
		if e == nil {
			continue
		}
		if err := c.Emit(&fileItem{entry: *e, zone: p.h.Zone, full: true}); err != nil {
			return err
		}
	}
	return nil
}

func (p *newItem) make(c *interp.Call, name string, folder bool) (*entry, error) {
	d := p.h.Drive
	at, err := d.parse(name, false)
	if err != nil {
		return nil, err
	}
	if err := p.h.changeable(c, at); err != nil {
		return nil, err
	}
	old, err := d.stat(at)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	action := "Create File"
	if folder {
		action = "Create Directory"
	}
	switch {
	case exists && folder && old.folder() && bool(p.Force):
		return &old, nil
	case exists && folder:
		r := object.NewError("DirectoryExist,"+class(c), object.ResourceExists, object.TIOException, "An item with the specified name %s already exists.", at)
		r.TargetName, r.TargetType = at.String(), "String"
		return nil, r
	case exists && old.folder():
		return nil, denied(at, nil)
	case exists && !bool(p.Force):
		return nil, &object.Exception{Class: object.TIOException, Message: fmt.Sprintf("The file '%s' already exists.", at)}
	}
	if ok, err := c.ShouldProcess("Destination: "+at.String(), action); !ok {
		return nil, err
	}
	switch err = nil; {
	case folder:
		err = d.makeFolder(at)
	default:
		if p.Force {
			err = d.makeFolder(at.parent())
		}
		if err == nil && exists {
			err = d.writable(at)
		}
		if err == nil {
			err = d.WriteFile(at.String(), []byte(object.String(p.Value)))
		}
	}
	if err != nil {
		return nil, err
	}
	e, err := d.stat(at)
	return &e, err
}

// choosing is the parameters that narrow a list of items.
type choosing struct {
	Include []string      `ps:"Include" help:"Only names that fit one of these patterns."`
	Exclude []string      `ps:"Exclude" help:"No names that fit one of these patterns."`
	Force   object.Switch `ps:"Force" help:"Takes read-only items too."`
}

type getChildItem struct {
	h           *host
	Path        []string      `ps:"Path,position=0,pipeline=value|name,set=Items" help:"Folders, files or stores; wildcards are allowed. The default is the location."`
	LiteralPath []string      `ps:"LiteralPath,alias=PSPath,pipeline=name,set=LiteralItems" help:"Paths, taken as they are."`
	Filter      string        `ps:"Filter,position=1" help:"Only names that fit this pattern."`
	Recurse     object.Switch `ps:"Recurse,alias=s" help:"What is below, too."`
	Depth       int           `ps:"Depth" help:"How many levels below are shown; it stands for -Recurse."`
	Name        object.Switch `ps:"Name" help:"The names only."`
	File        object.Switch `ps:"File,alias=af" help:"Files only."`
	Directory   object.Switch `ps:"Directory,alias=ad|d" help:"Folders only."`
	Hidden      object.Switch `ps:"Hidden,alias=ah|h" help:"Hidden items only: there are none."`
	System      object.Switch `ps:"System,alias=as" help:"System items only: there are none."`
	ReadOnly    object.Switch `ps:"ReadOnly,alias=ar" help:"Read-only items only."`
	certificateFilter
	choosing
}

// Run lists what is in folders and stores (Get-ChildItem).
func (p *getChildItem) Run(ctx context.Context, c *interp.Call) error {
	if p.Depth >= 0 {
		p.Recurse = true
	}
	keep, err := selection(p.Filter, p.Include, p.Exclude)
	if err != nil {
		return p.h.fail(c, illegal(err.Error()), p.Filter)
	}
	if len(p.Path) == 0 && len(p.LiteralPath) == 0 {
		p.LiteralPath = []string{p.h.Drive.Location()}
	}
	return p.h.each(ctx, c, p.Path, p.LiteralPath, func(e entry) error {
		if !e.folder() {
			return p.emit(c, e, e.at.parent(), keep)
		}
		return p.below(ctx, c, e, e.at, keep, 0)
	})
}

func (p *getChildItem) below(ctx context.Context, c *interp.Call, e entry, top place, keep func(entry) bool, depth int) error {
	list, err := p.h.list(ctx, e)
	if err != nil {
		return c.WriteError(p.h.fail(c, err, e.at.String()))
	}
	for _, x := range list {
		if err := p.emit(c, x, top, keep); err != nil {
			return err
		}
	}
	if !p.Recurse || p.Depth >= 0 && depth >= p.Depth {
		return nil
	}
	for _, x := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if x.folder() && !x.link {
			if err := p.below(ctx, c, x, top, keep, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *getChildItem) emit(c *interp.Call, e entry, top place, keep func(entry) bool) error {
	switch {
	case !keep(e), bool(p.File) && e.folder(), bool(p.Directory) && !e.folder(), bool(p.Hidden), bool(p.System),
		bool(p.ReadOnly) && !e.readOnly(), !p.matches(e, p.h.Now()):
		return nil
	case bool(p.Name):
		return c.Emit(strings.Join(e.at.parts[len(top.parts):], `\`))
	}
	return c.Emit(p.h.show(e))
}

type getItem struct {
	h *host
	target
	Filter string `ps:"Filter" help:"Only names that fit this pattern."`
	choosing
}

// Run shows items (Get-Item).
func (p *getItem) Run(ctx context.Context, c *interp.Call) error {
	return p.chosen(ctx, p.h, c, p.Filter, p.Include, p.Exclude, func(e entry) error {
		v := p.h.show(e)
		if f, ok := v.(*fileItem); ok {
			f.full = true
		}
		return c.Emit(v)
	})
}

type removeItem struct {
	h *host
	target
	Recurse object.Switch `ps:"Recurse" help:"What is in a folder, too, without a question."`
	Filter  string        `ps:"Filter" help:"Only names that fit this pattern."`
	choosing

	all, none bool // answers of the person
}

// Run removes files and folders (Remove-Item).
func (p *removeItem) Run(ctx context.Context, c *interp.Call) error {
	return p.chosen(ctx, p.h, c, p.Filter, p.Include, p.Exclude, func(e entry) error {
		if err := p.h.changeable(c, e.at); err != nil {
			return err
		}
		return c.WriteError(p.remove(ctx, c, e))
	})
}

func (p *removeItem) remove(ctx context.Context, c *interp.Call, e entry) error {
	d := p.h.Drive
	if (place{driveC, d.here[driveC]}).within(e.at) && e.folder() {
		r := object.NewError("InvalidOperation,"+class(c), object.InvalidOperation, object.TPSInvalidOperation, "Cannot remove the item at '%s' because it is in use.", e.at)
		r.TargetName, r.TargetType = e.at.String(), "String"
		return r
	}
	action := "Remove File"
	if e.folder() {
		action = "Remove Directory"
	}
	if ok, err := c.ShouldProcess(e.at.String(), action); !ok {
		return err
	}
	inside, err := d.list(e.at)
	if err != nil {
		return p.h.fail(c, err, e.at.String())
	}
	if len(inside) > 0 && !bool(p.Recurse) {
		if ok, err := p.ask(ctx, c, e); !ok {
			return err
		}
	}
	return p.h.fail(c, p.tree(ctx, c, e), e.at.String())
}

// ask is the question before a folder with something in it goes.
func (p *removeItem) ask(ctx context.Context, c *interp.Call, e entry) (bool, error) {
	if p.all || p.none {
		return p.all, nil
	}
	if c.Prompt() == nil {
		return false, object.NewError("InvalidOperation,"+class(c), object.InvalidOperation, object.TPSInvalidOperation,
			"Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available. Use -Recurse to remove '%s' with what is in it.", e.at)
	}
	n, err := c.Prompt().Choice(ctx, "Confirm", fmt.Sprintf("The item at %s has children and the Recurse parameter was not specified. If you continue, all children will be removed with the item. Are you sure you want to continue?", e.at),
		[]string{"&Yes", "Yes to &All", "&No", "No to A&ll", "&Suspend"}, 0)
	if err != nil {
		return false, err
	}
	p.all, p.none = n == 1, n == 3
	return n == 0 || n == 1, nil
}

// tree removes an entry and what is below. Read-only files stay without -Force.
func (p *removeItem) tree(ctx context.Context, c *interp.Call, e entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d := p.h.Drive
	host, info, err := d.find(e.at.parts)
	if err != nil {
		return d.fail(e.at, err)
	}
	if info.IsDir() && !e.link { // a link goes, what it leads to stays
		list, err := d.list(e.at)
		if err != nil {
			return err
		}
		for _, x := range list {
			if err := p.tree(ctx, c, x); err != nil {
				return err
			}
		}
	}
	if info.Mode().Perm()&0o200 == 0 && !bool(p.Force) {
		r := object.NewError("RemoveFileSystemItemUnAuthorizedAccess,"+class(c), object.PermissionDenied, object.TIOException,
			"Cannot remove item %s: You do not have sufficient access rights to perform this operation.", e.at)
		r.TargetName, r.TargetType = e.at.String(), object.TFileInfo.Title()
		return r
	}
	if err := d.root.Remove(host); err != nil {
		return d.fail(e.at, err)
	}
	return nil
}

type copyItem struct {
	h *host
	target
	Destination string        `ps:"Destination,position=1,pipeline=name" help:"A folder to copy into, or the name of the copy. The default is the location."`
	Recurse     object.Switch `ps:"Recurse" help:"What is in a folder, too."`
	Container   bool          `ps:"Container,default=true" help:"Keeps the folders of what is copied; with $false all files go into one folder."`
	PassThru    object.Switch `ps:"PassThru" help:"Gives the copies."`
	Filter      string        `ps:"Filter" help:"Only names that fit this pattern."`
	choosing
}

// Run copies files and folders (Copy-Item).
func (p *copyItem) Run(ctx context.Context, c *interp.Call) error {
	return p.chosen(ctx, p.h, c, p.Filter, p.Include, p.Exclude, func(e entry) error {
		to, err := p.h.destination(c, e, p.Destination, p.Container || !e.folder())
		if err != nil {
			return c.WriteError(p.h.fail(c, err, p.Destination))
		}
		return c.WriteError(p.h.fail(c, p.copy(ctx, c, e, to), e.at.String()))
	})
}

// destination is where an entry goes: into a folder that is there, else under
// the name given. Without named, a folder that is there takes what is in the entry.
func (h *host) destination(c *interp.Call, e entry, name string, named bool) (place, error) {
	if name == "" {
		name = h.Drive.Location()
	}
	to, err := h.Drive.parse(h.home(c, name), false)
	if err != nil {
		return place{}, err
	}
	if to.drive != e.at.drive || to.drive != driveC {
		return place{}, refuse(c, "Only files can be copied or moved, and only on C:. Export a certificate with its method Export.")
	}
	if old, err := h.Drive.stat(to); err == nil && old.folder() && named {
		return old.at.child(e.at.leaf()), nil
	}
	return to, nil
}

func (p *copyItem) copy(ctx context.Context, c *interp.Call, e entry, to place) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if to.within(e.at) {
		r := object.NewError("CopyError,"+class(c), object.WriteError, object.TIOException, "Cannot overwrite the item %s with itself.", e.at)
		r.TargetName, r.TargetType = e.at.String(), "String"
		return r
	}
	action := "Copy File"
	if e.folder() {
		action = "Copy Directory"
	}
	if ok, err := c.ShouldProcess(fmt.Sprintf("Item: %s Destination: %s", e.at, to), action); !ok {
		return err
	}
	d := p.h.Drive
	if !e.folder() {
		if err := d.copyFile(e.at, to, bool(p.Force)); err != nil {
			return err
		}
		return p.pass(c, to)
	}
	list, err := d.list(e.at) // before the copy is there: it may be inside, by a link
	if err != nil {
		return err
	}
	if p.Container {
		if err := d.makeFolder(to); err != nil {
			return err
		}
		if err := p.pass(c, to); err != nil {
			return err
		}
	}
	if !bool(p.Recurse) || e.link {
		return nil
	}
	for _, x := range list {
		next := to.child(x.at.leaf())
		if !p.Container && x.folder() {
			next = to
		}
		if err := p.copy(ctx, c, x, next); err != nil {
			return err
		}
	}
	return nil
}

func (p *copyItem) pass(c *interp.Call, to place) error {
	if !p.PassThru {
		return nil
	}
	return p.h.emit(c, to)
}

func (h *host) emit(c *interp.Call, at place) error {
	e, err := h.Drive.stat(at)
	if err != nil {
		return err
	}
	return c.Emit(&fileItem{entry: e, zone: h.Zone, full: true})
}

// copyFile copies what a file holds and its time.
func (d *Drive) copyFile(from, to place, force bool) error {
	host, info, err := d.find(from.parts)
	if err != nil {
		return d.fail(from, err)
	}
	if force {
		if err := d.writable(to); err != nil {
			return err
		}
	}
	in, err := d.root.Open(host)
	if err != nil {
		return d.fail(from, err)
	}
	defer in.Close()
	out, err := d.open(to, os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return d.fail(to, errors.Join(err, out.Close()))
	}
	if err := out.Close(); err != nil {
		return d.fail(to, err)
	}
	host, _, err = d.find(to.parts)
	if err == nil {
		err = d.root.Chtimes(host, info.ModTime(), info.ModTime())
	}
	if err != nil {
		return d.fail(to, err)
	}
	return nil
}

type moveItem struct {
	h *host
	target
	Destination string        `ps:"Destination,position=1,pipeline=name" help:"A folder to move into, or the new name. The default is the location."`
	PassThru    object.Switch `ps:"PassThru" help:"Gives the moved items."`
	Filter      string        `ps:"Filter" help:"Only names that fit this pattern."`
	choosing
}

// Run moves files and folders (Move-Item).
func (p *moveItem) Run(ctx context.Context, c *interp.Call) error {
	return p.chosen(ctx, p.h, c, p.Filter, p.Include, p.Exclude, func(e entry) error {
		to, err := p.h.destination(c, e, p.Destination, true)
		if err == nil {
			err = p.h.move(c, e, to, "Move", bool(p.Force), bool(p.PassThru))
		}
		return c.WriteError(p.h.fail(c, err, e.at.String()))
	})
}

func (h *host) move(c *interp.Call, e entry, to place, verb string, force, pass bool) error {
	d := h.Drive
	inUse := e.folder() && (place{driveC, d.here[driveC]}).within(e.at)
	if inUse || len(to.parts) > len(e.at.parts) && to.within(e.at) {
		r := object.NewError("InvalidOperation,"+class(c), object.InvalidOperation, object.TPSInvalidOperation, "Cannot %s the item at '%s' because it is in use.", strings.ToLower(verb), e.at)
		r.TargetName, r.TargetType = e.at.String(), "String"
		return r
	}
	noun := "File"
	if e.folder() {
		noun = "Directory"
	}
	if ok, err := c.ShouldProcess(fmt.Sprintf("Item: %s Destination: %s", e.at, to), verb+" "+noun); !ok {
		return err
	}
	old, err := d.stat(to)
	same := err == nil && slices.EqualFunc(old.at.parts, e.at.parts, func(a, b string) bool { return a == b }) // only the case changes
	if err == nil && !same && (!force || old.folder() || e.folder()) {
		return &object.Exception{Class: object.TIOException, Message: "Cannot create a file when that file already exists."}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	from, _, err := d.find(e.at.parts)
	if err != nil {
		return d.fail(e.at, err)
	}
	folder, info, err := d.find(to.parent().parts)
	if err != nil || !info.IsDir() {
		return noPart(to, err)
	}
	if err := d.root.Rename(from, filepath.Join(folder, to.leaf())); err != nil {
		return d.fail(e.at, err)
	}
	if !pass {
		return nil
	}
	return h.emit(c, to)
}

type renameItem struct {
	h           *host
	Path        string        `ps:"Path,mandatory,position=0,pipeline=value|name,set=ByPath" help:"The item."`
	LiteralPath string        `ps:"LiteralPath,alias=PSPath,mandatory,pipeline=name,set=ByLiteralPath" help:"The item, taken as it is."`
	NewName     string        `ps:"NewName,mandatory,position=1,pipeline=name" help:"The new name, without a folder."`
	Force       object.Switch `ps:"Force" help:"Accepted; nothing here needs it."`
	PassThru    object.Switch `ps:"PassThru" help:"Gives the renamed item."`
}

// Run gives an item another name (Rename-Item).
func (p *renameItem) Run(ctx context.Context, c *interp.Call) error {
	name := p.Path
	if p.LiteralPath != "" {
		name = p.LiteralPath
	}
	return p.h.each(ctx, c, nil, []string{name}, func(e entry) error {
		if err := p.h.changeable(c, e.at); err != nil {
			return err
		}
		if strings.ContainsAny(p.NewName, `\/:`) {
			return c.WriteError(object.NewError("Argument,"+class(c), object.InvalidArgument, object.TPSArgument, "Cannot rename because the target specified represents a path or device name."))
		}
		err := checkName(strings.TrimRight(p.NewName, ". "), false)
		if err == nil {
			err = p.h.move(c, e, e.at.parent().child(strings.TrimRight(p.NewName, ". ")), "Rename", false, bool(p.PassThru))
		}
		return c.WriteError(p.h.fail(c, err, e.at.String()))
	})
}

func (h *host) files() []interp.Command {
	m := moduleManagement
	return []interp.Command{
		{Name: "Test-Path", Module: m, New: func() interp.Cmdlet { return &testPath{h: h} }, DefaultSet: "Path",
			Synopsis: "Tells whether something is there.",
			Examples: []string{`Test-Path $env:SYSTEMDRIVE\OAuthConfig`, `Test-Path C:\OAuthConfig\*.cer -PathType Leaf`}, Links: []string{"Resolve-Path", "New-Item"}},
		{Name: "New-Item", Module: m, New: func() interp.Cmdlet { return &newItem{h: h} }, ShouldProcess: true,
			Synopsis: "Makes a file or a folder.",
			Examples: []string{`New-Item -ItemType Directory -Path C:\OAuthConfig`}, Links: []string{"Remove-Item", "Set-Content"}},
		{Name: "mkdir", Kind: "Function", Module: m, New: func() interp.Cmdlet { return &newItem{h: h, ItemType: "Directory"} }, ShouldProcess: true,
			Synopsis: "Makes a folder: New-Item -ItemType Directory.",
			Examples: []string{`md $env:SYSTEMDRIVE\OAuthConfig`}, Links: []string{"New-Item"}},
		{Name: "Get-ChildItem", Module: m, New: func() interp.Cmdlet {
			return &getChildItem{h: h, Depth: -1, certificateFilter: certificateFilter{ExpiringInDays: -1}}
		}, DefaultSet: "Items",
			Synopsis: "Lists what is in folders and certificate stores.",
			Examples: []string{`dir Cert:\LocalMachine\My`, `Get-ChildItem C:\OAuthConfig -Filter *.cer`}, Links: []string{"Get-Item", "Get-ExchangeCertificate"}},
		{Name: "Get-Item", Module: m, New: func() interp.Cmdlet { return &getItem{h: h} }, DefaultSet: "Path",
			Synopsis: "Shows files, folders and certificates.",
			Examples: []string{`Get-Item C:\OAuthConfig\OAuthCert.cer`}, Links: []string{"Get-ChildItem"}},
		{Name: "Remove-Item", Module: m, New: func() interp.Cmdlet { return &removeItem{h: h} }, DefaultSet: "Path", ShouldProcess: true,
			Synopsis: "Removes files and folders.",
			Examples: []string{`Remove-Item C:\OAuthConfig -Recurse`}, Links: []string{"New-Item", "Clear-Content"}},
		{Name: "Copy-Item", Module: m, New: func() interp.Cmdlet { return &copyItem{h: h} }, DefaultSet: "Path", ShouldProcess: true,
			Synopsis: "Copies files and folders.",
			Examples: []string{`Copy-Item C:\OAuthConfig\OAuthCert.cer C:\Backup`}, Links: []string{"Move-Item", "Rename-Item"}},
		{Name: "Move-Item", Module: m, New: func() interp.Cmdlet { return &moveItem{h: h} }, DefaultSet: "Path", ShouldProcess: true,
			Synopsis: "Moves files and folders.",
			Examples: []string{`Move-Item C:\OAuthConfig\*.cer C:\Backup`}, Links: []string{"Copy-Item", "Rename-Item"}},
		{Name: "Rename-Item", Module: m, Aliases: []string{"rni"}, New: func() interp.Cmdlet { return &renameItem{h: h} }, DefaultSet: "ByPath", ShouldProcess: true,
			Synopsis: "Gives a file or folder another name.",
			Examples: []string{`Rename-Item C:\OAuthConfig\OAuthCert.cer OldCert.cer`}, Links: []string{"Move-Item"}},
	}
}
