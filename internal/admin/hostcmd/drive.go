package hostcmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// MaxFile is the largest file that is read into memory.
const MaxFile = 64 << 20

// New files and folders are the shell user's alone.
const (
	fileMode   fs.FileMode = 0o600
	folderMode fs.FileMode = 0o700
)

// A Drive is C: of a shell: a folder of the host. Nothing outside of it can be
// reached, by no name and by no link. Names are Windows's: backslashes, any
// case, C: only. It knows the session's location too. It implements
// interp.Files and is for one session; several may have the same folder.
type Drive struct {
	root    *os.Root
	current string              // drive of the location
	here    map[string][]string // location on each drive
	stacks  map[string][]place  // of Push-Location, by lower-case name
}

var _ interp.Files = (*Drive)(nil)

// OpenDrive opens the folder dir as C:\.
func OpenDrive(dir string) (*Drive, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open drive C: %w", err)
	}
	return &Drive{root: root, current: driveC, here: map[string][]string{}, stacks: map[string][]place{}}, nil
}

// Close lets go of the folder.
func (d *Drive) Close() error { return d.root.Close() }

// Location is the current folder in the shell's notation; it may be on Cert:.
func (d *Drive) Location() string { return d.at().String() }

func (d *Drive) at() place { return place{d.current, d.here[d.current]} }

func (d *Drive) move(p place) { d.current, d.here[p.drive] = p.drive, p.parts }

// parse makes a name of a cmdlet complete.
func (d *Drive) parse(name string, pattern bool) (place, error) {
	return parse(name, d.here, d.current, pattern)
}

// file makes the name of a file complete: names without drive are on C:, wherever the location is.
func (d *Drive) file(name string) (place, error) {
	p, err := parse(name, d.here, driveC, false)
	if err == nil && p.drive != driveC {
		return place{}, &object.Exception{Class: object.TNotSupported, Message: "The given path's format is not supported."}
	}
	return p, err
}

// FullName makes a path complete and normal; one that cannot be a path stays as it is.
func (d *Drive) FullName(name string) string {
	p, err := parse(name, d.here, driveC, false)
	if err != nil {
		return name
	}
	return p.String()
}

// Stat reports what stands there.
func (d *Drive) Stat(name string) (isFile, isFolder bool) {
	p, err := d.file(name)
	if err != nil {
		return false, false
	}
	_, info, err := d.find(p.parts)
	if err != nil {
		return false, false
	}
	return !info.IsDir(), info.IsDir()
}

// ReadFile reads a file of at most MaxFile bytes.
func (d *Drive) ReadFile(name string) ([]byte, error) {
	p, err := d.file(name)
	if err != nil {
		return nil, err
	}
	return d.read(p)
}

func (d *Drive) read(p place) ([]byte, error) {
	host, info, err := d.find(p.parts)
	if err != nil {
		return nil, d.fail(p, err)
	}
	if !info.Mode().IsRegular() { // a folder, or something of the host that may block
		return nil, denied(p, nil)
	}
	f, err := d.root.Open(host)
	if err != nil {
		return nil, d.fail(p, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, d.fail(p, err)
	}
	if len(b) > MaxFile {
		return nil, &object.Exception{Class: object.TIOException, Message: fmt.Sprintf("The file '%s' is larger than %d MiB and cannot be read into memory.", p, MaxFile>>20)}
	}
	return b, nil
}

// WriteFile makes a file or replaces what it holds.
func (d *Drive) WriteFile(name string, data []byte) error { return d.write(name, data, os.O_TRUNC) }

// AppendFile adds data at the end of a file, making it when it is absent.
func (d *Drive) AppendFile(name string, data []byte) error { return d.write(name, data, os.O_APPEND) }

func (d *Drive) write(name string, data []byte, how int) error {
	p, err := d.file(name)
	if err != nil {
		return err
	}
	f, err := d.open(p, how|os.O_CREATE)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return d.fail(p, errors.Join(err, f.Close()))
	}
	if err := f.Close(); err != nil {
		return d.fail(p, err)
	}
	return nil
}

// open opens a file for writing.
func (d *Drive) open(p place, how int) (*os.File, error) {
	if err := p.checkLength(); err != nil {
		return nil, err
	}
	host, info, err := d.find(p.parts)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return nil, denied(p, nil)
	case err == nil && info.Mode().Perm()&0o200 == 0: // read-only even for a user whom the host lets write
		return nil, denied(p, fs.ErrPermission)
	case err != nil && !errors.Is(err, fs.ErrNotExist), p.root():
		return nil, d.fail(p, err)
	case err != nil:
		dir, info, err := d.find(p.parent().parts)
		if err != nil || !info.IsDir() {
			return nil, noPart(p, err)
		}
		host = filepath.Join(dir, p.leaf())
	}
	f, err := d.root.OpenFile(host, os.O_WRONLY|how, fileMode)
	if err != nil {
		return nil, d.fail(p, err)
	}
	return f, nil
}

// makeFolder makes a folder and those above it.
func (d *Drive) makeFolder(p place) error {
	if err := p.checkLength(); err != nil {
		return err
	}
	host := "."
	for i := range p.parts {
		found, info, err := d.find(p.parts[:i+1])
		switch {
		case errors.Is(err, fs.ErrNotExist):
			found = filepath.Join(host, p.parts[i])
			if err := d.root.Mkdir(found, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
				return d.fail(p, err)
			}
		case err != nil:
			return d.fail(p, err)
		case !info.IsDir():
			return &object.Exception{Class: object.TIOException, Message: fmt.Sprintf("Cannot create '%s' because a file with the same name already exists.", place{driveC, p.parts[:i+1]})}
		}
		host = found
	}
	return nil
}

// find is the host's name of what stands at parts, with what it is. Case does
// not matter; a name that is spelled so exactly comes first.
func (d *Drive) find(parts []string) (host string, info fs.FileInfo, err error) {
	host = "."
	if info, err = d.root.Stat(host); err != nil {
		return "", nil, err
	}
	for _, part := range parts {
		if !info.IsDir() {
			return "", nil, fs.ErrNotExist
		}
		next := filepath.Join(host, part)
		info, err = d.root.Stat(next)
		if errors.Is(err, fs.ErrNotExist) {
			name, ok := d.spelled(host, part)
			if !ok {
				return "", nil, fs.ErrNotExist
			}
			next = filepath.Join(host, name)
			info, err = d.root.Stat(next)
		}
		if err != nil {
			return "", nil, err
		}
		host = next
	}
	return host, info, nil
}

// spelled is the name in the folder host that equals part but for its case.
func (d *Drive) spelled(host, part string) (string, bool) {
	names, err := d.names(host)
	if err != nil {
		return "", false
	}
	i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, part) })
	if i < 0 {
		return "", false
	}
	return names[i], true
}

// names lists a folder of the host, sorted. Names that Windows cannot have are not there.
func (d *Drive) names(host string) ([]string, error) {
	f, err := d.root.Open(host)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		return strings.Contains(n, `\`) || n != strings.TrimRight(n, ". ") || checkName(n, false) != nil
	})
	slices.Sort(names)
	return names, nil
}

// List is the names in a folder, for completion; a folder's ends with a backslash.
func (d *Drive) List(dir string) ([]string, error) {
	p, err := d.file(dir)
	if err != nil {
		return nil, err
	}
	entries, err := d.list(p)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.at.leaf()
		if e.folder() {
			out[i] += `\`
		}
	}
	return out, nil
}

// stat is what stands at p.
func (d *Drive) stat(p place) (entry, error) {
	host, info, err := d.find(p.parts)
	if err != nil {
		return entry{}, d.fail(p, err)
	}
	if !p.root() { // as it is spelled
		p = place{driveC, strings.Split(filepath.ToSlash(host), "/")}
	}
	return entry{at: p, info: info, link: d.isLink(host)}, nil
}

func (d *Drive) isLink(host string) bool {
	info, err := d.root.Lstat(host)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// list is what stands in a folder: folders, then files, by name.
func (d *Drive) list(p place) ([]entry, error) {
	host, info, err := d.find(p.parts)
	if err != nil {
		return nil, d.fail(p, err)
	}
	if !info.IsDir() {
		return nil, nil
	}
	names, err := d.names(host)
	if err != nil {
		return nil, d.fail(p, err)
	}
	var out []entry
	for _, n := range names {
		at := filepath.Join(host, n)
		info, err := d.root.Stat(at)
		if err != nil { // gone meanwhile, or a link that leads outside
			continue
		}
		if !info.IsDir() && !info.Mode().IsRegular() {
			continue
		}
		out = append(out, entry{at: p.child(n), info: info, link: d.isLink(at)})
	}
	slices.SortStableFunc(out, func(a, b entry) int {
		if a.folder() != b.folder() {
			if a.folder() {
				return -1
			}
			return 1
		}
		return object.CompareStrings(a.at.leaf(), b.at.leaf(), false)
	})
	return out, nil
}

// denied is what Windows says about a file that may not be used.
func denied(p place, cause error) error {
	return &object.Exception{Class: object.TUnauthorizedAccess, Message: fmt.Sprintf("Access to the path '%s' is denied.", p), Cause: cause}
}

func noPart(p place, cause error) error {
	return &object.Exception{Class: object.TDirNotFound, Message: fmt.Sprintf("Could not find a part of the path '%s'.", p), Cause: cause}
}

// fail is what .NET says about err of a file. Names of the host are never part of it.
func (d *Drive) fail(p place, err error) error {
	if x, ok := errors.AsType[*object.Exception](err); ok {
		return x
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, info, perr := d.find(p.parent().parts); perr != nil || !info.IsDir() {
			return noPart(p, err)
		}
		return &object.Exception{Class: object.TFileNotFound, Message: fmt.Sprintf("Could not find file '%s'.", p), Cause: err}
	case errors.Is(err, fs.ErrPermission):
		return denied(p, err)
	}
	reason := err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		reason = pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		reason = le.Err
	}
	if strings.Contains(reason.Error(), "escapes") { // os.Root: a link that leads outside
		return denied(p, err)
	}
	return &object.Exception{Class: object.TIOException, Message: fmt.Sprintf("The path '%s' cannot be used: %s.", p, reason), Cause: err}
}
