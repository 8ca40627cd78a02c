package hostcmd

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"busybridge/internal/ps/object"
)

// The drives of a shell.
const (
	driveC    = "C"
	driveCert = "Cert"
)

// The providers of the drives, as PSPath names them.
const (
	providerFile = `Microsoft.PowerShell.Core\FileSystem`
	providerCert = `Microsoft.PowerShell.Security\Certificate`
)

// Windows's limits of a path.
const (
	maxPath = 259 // characters of a whole path
	maxPart = 255 // bytes of one name
)

// A place is a complete path: a drive and the names from its root.
type place struct {
	drive string
	parts []string
}

// String is the path in the shell's notation: C:\, C:\a\b, Cert:\LocalMachine\My.
func (p place) String() string { return p.drive + `:\` + strings.Join(p.parts, `\`) }

// root reports whether the place is the root of its drive.
func (p place) root() bool { return len(p.parts) == 0 }

// leaf is the last name, the whole path for a root.
func (p place) leaf() string {
	if p.root() {
		return p.String()
	}
	return p.parts[len(p.parts)-1]
}

func (p place) parent() place {
	return place{p.drive, p.parts[:max(0, len(p.parts)-1)]}
}

func (p place) child(name string) place {
	return place{p.drive, append(slices.Clip(p.parts), name)}
}

// within reports whether p is q or below it.
func (p place) within(q place) bool {
	return p.drive == q.drive && len(p.parts) >= len(q.parts) &&
		slices.EqualFunc(p.parts[:len(q.parts)], q.parts, strings.EqualFold)
}

// qualified is the path with its provider (PSPath); the certificate provider leaves the drive out.
func (p place) qualified() string {
	if p.drive == driveCert {
		return providerCert + "::" + strings.Join(p.parts, `\`)
	}
	return providerFile + "::" + p.String()
}

func noDrive(name string) error {
	return &object.Exception{Class: object.TDriveNotFound, Message: fmt.Sprintf("Cannot find drive. A drive with the name '%s' does not exist.", name)}
}

func illegal(text string) error {
	return &object.Exception{Class: object.TArgumentException, Message: text}
}

// parse makes name complete: here is the current place of each drive, and
// current the drive that names without one belong to. "." and ".." are worked
// off as text, "/" is "\". A pattern may hold wildcard characters.
func parse(name string, here map[string][]string, current string, pattern bool) (place, error) {
	name = strings.ReplaceAll(name, "/", `\`)
	if provider, rest, ok := strings.Cut(name, "::"); ok {
		switch _, short, _ := strings.Cut(provider, `\`); {
		case strings.EqualFold(provider, providerFile), strings.EqualFold(provider, "FileSystem"):
			name = rest
		case strings.EqualFold(provider, providerCert), strings.EqualFold(provider, "Certificate"):
			name = driveCert + `:\` + strings.TrimPrefix(rest, `\`)
		default:
			return place{}, illegal(fmt.Sprintf("Cannot find a provider with the name '%s'.", short))
		}
	}
	if strings.HasPrefix(name, `\\`) {
		return place{}, &object.Exception{Class: object.TIOException, Message: "The network path was not found. This shell reaches the drives C: and Cert: only."}
	}
	p := place{drive: current}
	drive, rest, qualified := strings.Cut(name, ":")
	switch {
	case !qualified || strings.ContainsAny(drive, `\`):
		rest = name
	case strings.EqualFold(drive, driveC):
		p.drive = driveC
	case strings.EqualFold(drive, driveCert):
		p.drive = driveCert
	default:
		return place{}, noDrive(drive)
	}
	if !strings.HasPrefix(rest, `\`) {
		p.parts = slices.Clone(here[p.drive])
	}
	for part := range strings.SplitSeq(rest, `\`) {
		switch part {
		case "", ".":
			continue
		case "..":
			p = p.parent()
			continue
		}
		part = strings.TrimRight(part, ". ") // as Windows does
		if err := checkName(part, pattern); err != nil {
			return place{}, err
		}
		p.parts = append(p.parts, part)
	}
	return p, p.checkLength()
}

// checkLength refuses what is longer than Windows's paths.
func (p place) checkLength() error {
	if utf8.RuneCountInString(p.String()) <= maxPath {
		return nil
	}
	return &object.Exception{Class: object.TIOException, Message: "The specified path, file name, or both are too long. The fully qualified file name must be less than 260 characters, and the directory name must be less than 248 characters."}
}

// checkName refuses what no file of Windows is called: characters that mean
// something else, streams (name:stream) and the names of devices.
func checkName(name string, pattern bool) error {
	switch {
	case name == "", len(name) > maxPart, !utf8.ValidString(name):
		return illegal("Illegal characters in path.")
	case strings.Contains(name, ":"):
		return &object.Exception{Class: object.TNotSupported, Message: "The given path's format is not supported."}
	case strings.ContainsAny(name, `<>"|`), !pattern && strings.ContainsAny(name, "*?"),
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }):
		return illegal("Illegal characters in path.")
	case device(name):
		return &object.Exception{Class: object.TIOException, Message: fmt.Sprintf("The name '%s' is a device of Windows and not a file.", name)}
	}
	return nil
}

// device reports whether Windows takes name for a device, whatever its extension.
func device(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(base, port); ok && utf8.RuneCountInString(n) == 1 && strings.Contains("0123456789¹²³", n) {
			return true
		}
	}
	return false
}

// wild reports whether a pattern's name has wildcard characters that are not escaped.
func wild(name string) bool {
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '`':
			i++
		case '*', '?', '[':
			return true
		}
	}
	return false
}

// unescape takes the escapes out of a pattern without wildcards.
func unescape(name string) string {
	if !strings.Contains(name, "`") {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '`' && i+1 < len(name) {
			i++
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// filtered compiles patterns of -Include, -Exclude and -Filter; no patterns give nil.
func filtered(patterns ...string) ([]*object.Wildcard, error) {
	var out []*object.Wildcard
	for _, p := range patterns {
		if p == "" {
			continue
		}
		w, err := object.CompileWildcard(p, false)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// anyOf reports whether one of the patterns fits.
func anyOf(patterns []*object.Wildcard, name string) bool {
	return slices.ContainsFunc(patterns, func(w *object.Wildcard) bool { return w.Match(name) })
}
