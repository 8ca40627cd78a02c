package hostcmd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf16"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/syntax"
)

// An encoding turns text into the bytes of a file.
type encoding struct {
	mark   string
	encode func(string) []byte
}

func utf16Bytes(order binary.AppendByteOrder) func(string) []byte {
	return func(s string) []byte {
		b := make([]byte, 0, 2*len(s))
		for _, u := range utf16.Encode([]rune(s)) {
			b = order.AppendUint16(b, u)
		}
		return b
	}
}

func asciiBytes(s string) []byte {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 127 {
			r = '?'
		}
		b = append(b, byte(r))
	}
	return b
}

func plainBytes(s string) []byte { return []byte(s) }

// The byte order marks.
const (
	mark8  = "\xef\xbb\xbf"
	mark16 = "\xff\xfe"
	markBE = "\xfe\xff"
)

// encodings are the values of -Encoding; the host's own text is UTF-8.
var encodings = map[string]encoding{
	"":                 {"", plainBytes},
	"default":          {"", plainBytes},
	"oem":              {"", plainBytes},
	"ascii":            {"", asciiBytes},
	"utf8":             {mark8, plainBytes},
	"unicode":          {mark16, utf16Bytes(binary.LittleEndian)},
	"string":           {mark16, utf16Bytes(binary.LittleEndian)},
	"unknown":          {mark16, utf16Bytes(binary.LittleEndian)},
	"bigendianunicode": {markBE, utf16Bytes(binary.BigEndian)},
}

// marked is the encoding that a file's first bytes tell.
func marked(b []byte) encoding {
	for _, name := range []string{"utf8", "unicode", "bigendianunicode"} {
		if e := encodings[name]; bytes.HasPrefix(b, []byte(e.mark)) {
			return e
		}
	}
	return encodings[""]
}

// decode is the text of a file: as its mark says, else as it was asked for, else UTF-8.
func decode(b []byte, as string) (string, error) {
	e := marked(b)
	if e.mark == "" {
		if e = encodings[strings.ToLower(as)]; e.mark == mark16 || e.mark == markBE {
			b = append([]byte(e.mark), b...)
		}
	}
	if e.mark == mark16 || e.mark == markBE || len(b) <= 2*syntax.MaxSource {
		text, err := syntax.Decode(b)
		if errors.Is(err, syntax.ErrTooLarge) {
			err = &object.Exception{Class: object.TIOException, Message: "The file is too large for text in UTF-16."}
		}
		return text, err
	}
	return strings.ToValidUTF8(strings.TrimPrefix(string(b), mark8), "\uFFFD"), nil
}

// textLines takes text apart; the end of the last line is no further line.
func textLines(s string) []string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	if s = strings.TrimSuffix(s, "\n"); s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

type getContent struct {
	h *host
	target
	TotalCount int64         `ps:"TotalCount,alias=First|Head" help:"How many lines from the beginning."`
	Tail       int           `ps:"Tail,alias=Last" help:"How many lines from the end."`
	ReadCount  int64         `ps:"ReadCount,default=1" help:"How many lines go through the pipeline as one array; 0: all."`
	Raw        object.Switch `ps:"Raw" help:"The whole file as one text."`
	Encoding   string        `ps:"Encoding,values=ASCII|BigEndianUnicode|Byte|Default|OEM|String|Unicode|Unknown|UTF8" help:"How the text is encoded when no mark in the file says so; UTF-8 without it. Byte gives the bytes."`
	Wait       object.Switch `ps:"Wait" help:"Not possible here."`
	Force      object.Switch `ps:"Force" help:"Accepted; nothing here needs it."`
	Filter     string        `ps:"Filter" help:"Only names that fit this pattern."`
	Include    []string      `ps:"Include" help:"Only names that fit one of these patterns."`
	Exclude    []string      `ps:"Exclude" help:"No names that fit one of these patterns."`
}

// Run reads files (Get-Content).
func (p *getContent) Run(ctx context.Context, c *interp.Call) error {
	if p.Wait {
		return refuse(c, "This shell does not wait for files to grow. Leave -Wait out.")
	}
	if p.TotalCount >= 0 && p.Tail >= 0 {
		return object.NewError("InvalidOperation,"+class(c), object.InvalidOperation, object.TPSInvalidOperation, "The parameters TotalCount and Tail cannot be used together. Please specify only one parameter.")
	}
	return p.chosen(ctx, p.h, c, p.Filter, p.Include, p.Exclude, func(e entry) error {
		if e.at.drive == driveCert {
			return c.WriteError(refuse(c, "Cannot read '%s' as a file. Use Get-Item and the method Export.", e.at))
		}
		b, err := p.h.Drive.read(e.at)
		if err != nil {
			return c.WriteError(p.h.fail(c, err, e.at.String()))
		}
		if strings.EqualFold(p.Encoding, "Byte") {
			return p.bytes(c, b)
		}
		text, err := decode(b, p.Encoding)
		if err != nil {
			return c.WriteError(p.h.fail(c, err, e.at.String()))
		}
		if p.Raw {
			if text == "" {
				return nil
			}
			return c.Emit(text)
		}
		return p.lines(ctx, c, cut(textLines(text), p.TotalCount, p.Tail))
	})
}

func (p *getContent) bytes(c *interp.Call, b []byte) error {
	b = cut(b, p.TotalCount, p.Tail)
	if p.Raw || p.ReadCount == 0 {
		return c.Emit(object.Bytes(b))
	}
	for _, x := range b {
		if err := c.Emit(x); err != nil {
			return err
		}
	}
	return nil
}

// cut is the first or last n of list; negative: all.
func cut[T any](list []T, first int64, last int) []T {
	if first >= 0 {
		return list[:min(first, int64(len(list)))]
	}
	if last >= 0 {
		return list[max(0, len(list)-last):]
	}
	return list
}

// lines writes lines, ReadCount at a time.
func (p *getContent) lines(ctx context.Context, c *interp.Call, lines []string) error {
	step := int(p.ReadCount)
	if step <= 0 {
		step = max(len(lines), 1)
	}
	for some := range slices.Chunk(lines, step) {
		if err := ctx.Err(); err != nil {
			return err
		}
		v := any(some[0])
		if step > 1 {
			a := &object.Array{}
			for _, line := range some {
				a.Items = append(a.Items, line)
			}
			v = a
		}
		if err := c.Emit(v); err != nil {
			return err
		}
	}
	return nil
}

// selection is what -Filter, -Include and -Exclude let through.
func selection(filter string, include, exclude []string) (func(entry) bool, error) {
	// A filter is the file system's own: brackets are no wildcards in it.
	only, err := filtered(strings.NewReplacer("[", "`[", "]", "`]").Replace(filter))
	if err != nil {
		return nil, err
	}
	in, err := filtered(include...)
	if err != nil {
		return nil, err
	}
	out, err := filtered(exclude...)
	if err != nil {
		return nil, err
	}
	return func(e entry) bool {
		name := e.at.leaf()
		return (only == nil || anyOf(only, name)) && (in == nil || anyOf(in, name)) && !anyOf(out, name)
	}, nil
}

// writing is the parameters and the work of Set-Content and Add-Content.
type writing struct {
	h           *host
	add         bool
	Path        []string      `ps:"Path,mandatory,position=0,pipeline=name,set=Path" help:"Paths of files; wildcards are allowed. A file that is absent is made."`
	LiteralPath []string      `ps:"LiteralPath,alias=PSPath,mandatory,pipeline=name,set=LiteralPath" help:"Paths of files, taken as they are."`
	Value       []any         `ps:"Value,mandatory,position=1,pipeline=value|name,allownull,allowempty" help:"What to write: one line for each."`
	NoNewline   object.Switch `ps:"NoNewline" help:"No end of line behind each value."`
	PassThru    object.Switch `ps:"PassThru" help:"Passes the values on."`
	Encoding    string        `ps:"Encoding,values=ASCII|BigEndianUnicode|Byte|Default|OEM|String|Unicode|Unknown|UTF8" help:"How the text is encoded. Without it: UTF-8 without a mark; Add-Content goes on as the file began. Byte writes bytes."`
	Force       object.Switch `ps:"Force" help:"Writes read-only files too."`

	sinks []sink
	data  []byte // not written yet
	asked bool
}

// A sink is a file that is written.
type sink struct {
	at    place
	enc   encoding
	begun bool // what comes is added to it
}

// maxWaiting is how many bytes wait before they are written.
const maxWaiting = 1 << 20

// Run writes the values of one pipeline object (Set-Content, Add-Content).
func (p *writing) Run(ctx context.Context, c *interp.Call) error {
	if err := p.open(ctx, c); err != nil {
		return err
	}
	for _, v := range p.Value {
		if p.PassThru {
			if err := c.Emit(v); err != nil {
				return err
			}
		}
		if err := p.append(c, v); err != nil {
			return err
		}
	}
	if len(p.data) < maxWaiting {
		return nil
	}
	return p.flush(c)
}

func (p *writing) binary() bool { return strings.EqualFold(p.Encoding, "Byte") }

func (p *writing) append(c *interp.Call, v any) error {
	if p.binary() {
		b, err := object.ToBytes(v)
		if err != nil {
			return object.NewError("ArgumentException,"+class(c), object.InvalidArgument, object.TArgumentException, "Cannot proceed with byte encoding. When using byte encoding the content must be of type byte.")
		}
		p.data = append(p.data, b...)
		return nil
	}
	p.data = append(p.data, object.String(v)...)
	if !p.NoNewline {
		p.data = append(p.data, "\r\n"...)
	}
	return nil
}

// open finds the files to write, once.
func (p *writing) open(ctx context.Context, c *interp.Call) error {
	if p.asked {
		return nil
	}
	p.asked = true
	names, literal := p.Path, false
	if len(p.LiteralPath) > 0 {
		names, literal = p.LiteralPath, true
	}
	for _, n := range names {
		if n == "" {
			return emptyPath(c, literal)
		}
		places, err := p.h.targets(ctx, p.h.home(c, n), literal)
		if err != nil {
			if err := c.WriteError(p.h.fail(c, err, n)); err != nil {
				return err
			}
			continue
		}
		for _, at := range places {
			if err := p.h.changeable(c, at); err != nil {
				return err
			}
			what := "Set Content"
			if p.add {
				what = "Add Content"
			}
			ok, err := c.ShouldProcess("Path: "+at.String(), what)
			if err != nil {
				return err
			}
			if ok {
				p.sinks = append(p.sinks, sink{at: at})
			}
		}
	}
	return nil
}

// End writes what is left. Without input the file becomes empty.
func (p *writing) End(ctx context.Context, c *interp.Call) error {
	if err := p.open(ctx, c); err != nil {
		return err
	}
	return p.flush(c)
}

// flush writes what waits. A file that fails is reported and left alone from then on.
func (p *writing) flush(c *interp.Call) error {
	var failed error
	kept := p.sinks[:0]
	for _, f := range p.sinks {
		err := p.begin(&f)
		if err == nil {
			err = p.h.Drive.AppendFile(f.at.String(), f.enc.encode(string(p.data)))
		}
		if err == nil {
			kept = append(kept, f)
		} else if err := c.WriteError(p.h.fail(c, err, f.at.String())); err != nil && failed == nil {
			failed = err
		}
	}
	p.sinks, p.data = kept, p.data[:0]
	return failed
}

// begin empties a file that is set, and finds how one that is added to goes on.
func (p *writing) begin(f *sink) error {
	if f.begun {
		return nil
	}
	f.begun = true
	d := p.h.Drive
	if p.Force {
		if err := d.writable(f.at); err != nil {
			return err
		}
	}
	if f.enc = encodings[strings.ToLower(p.Encoding)]; p.binary() {
		f.enc = encodings[""]
	}
	if !p.add {
		return d.WriteFile(f.at.String(), []byte(f.enc.mark))
	}
	head, err := d.head(f.at)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(head) == 0:
		return d.AppendFile(f.at.String(), []byte(f.enc.mark))
	case err == nil && p.Encoding == "":
		f.enc = marked(head)
	}
	return err
}

// head is the first bytes of a file, where its mark stands.
func (d *Drive) head(p place) ([]byte, error) {
	host, info, err := d.find(p.parts)
	if err != nil {
		return nil, d.fail(p, err)
	}
	if !info.Mode().IsRegular() {
		return nil, denied(p, nil)
	}
	f, err := d.root.Open(host)
	if err != nil {
		return nil, d.fail(p, err)
	}
	defer f.Close()
	b := make([]byte, 3)
	n, err := f.Read(b)
	if n == 0 && info.Size() > 0 {
		return nil, d.fail(p, err)
	}
	return b[:n], nil
}

// writable takes read-only away from a file that is there.
func (d *Drive) writable(p place) error {
	host, info, err := d.find(p.parts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().Perm()&0o200 == 0 {
		err = d.root.Chmod(host, info.Mode().Perm()|0o200)
	}
	if err != nil {
		return d.fail(p, err)
	}
	return nil
}

// targets is where a name that may not exist yet is to be written.
func (h *host) targets(ctx context.Context, name string, literal bool) ([]place, error) {
	p, err := h.Drive.parse(name, !literal)
	if err != nil {
		return nil, err
	}
	if !literal && slices.ContainsFunc(p.parts, wild) {
		found, err := h.find(ctx, name, false)
		if err == nil && len(found) == 0 {
			err = &object.Exception{Class: object.TItemNotFound, Message: fmt.Sprintf("An object at the specified path %s does not exist, or has been filtered by the -Include or -Exclude parameter.", name)}
		}
		var out []place
		for _, e := range found {
			out = append(out, e.at)
		}
		return out, err
	}
	for i, part := range p.parts {
		if !literal {
			p.parts[i] = unescape(part)
		}
	}
	return []place{p}, nil
}

type clearContent struct {
	h *host
	target
	Force object.Switch `ps:"Force" help:"Empties read-only files too."`
}

// Run empties files (Clear-Content).
func (p *clearContent) Run(ctx context.Context, c *interp.Call) error {
	return p.each(ctx, p.h, c, func(e entry) error {
		if err := p.h.changeable(c, e.at); err != nil {
			return err
		}
		if ok, err := c.ShouldProcess("Item: "+e.at.String(), "Clear Content"); !ok {
			return err
		}
		var err error
		if p.Force {
			err = p.h.Drive.writable(e.at)
		}
		if err == nil {
			err = p.h.Drive.WriteFile(e.at.String(), nil)
		}
		return c.WriteError(p.h.fail(c, err, e.at.String()))
	})
}

func (h *host) content() []interp.Command {
	return []interp.Command{
		{Name: "Get-Content", Module: moduleManagement, New: func() interp.Cmdlet { return &getContent{h: h, TotalCount: -1, Tail: -1} }, DefaultSet: "Path",
			Synopsis: "Reads files, line by line.", Description: "Files of more than 64 MiB are not read.",
			Examples: []string{`Get-Content C:\OAuthConfig\notes.txt -TotalCount 10`, `Get-Content .\RegisterEndpoints.ps1 -Raw`}, Links: []string{"Set-Content", "Add-Content"}},
		{Name: "Set-Content", Module: moduleManagement, New: func() interp.Cmdlet { return &writing{h: h} }, DefaultSet: "Path", ShouldProcess: true,
			Synopsis: "Replaces what files hold.",
			Examples: []string{`Set-Content -Path C:\OAuthConfig\notes.txt -Value "uploaded"`}, Links: []string{"Get-Content", "Add-Content", "Out-File"}},
		{Name: "Add-Content", Module: moduleManagement, New: func() interp.Cmdlet { return &writing{h: h, add: true} }, DefaultSet: "Path", ShouldProcess: true,
			Synopsis: "Adds lines at the end of files.",
			Examples: []string{`Get-Date | Add-Content C:\OAuthConfig\notes.txt`}, Links: []string{"Get-Content", "Set-Content"}},
		{Name: "Clear-Content", Module: moduleManagement, Aliases: []string{"clc"}, New: func() interp.Cmdlet { return &clearContent{h: h} }, DefaultSet: "Path", ShouldProcess: true,
			Synopsis: "Empties files and keeps them.",
			Examples: []string{`Clear-Content C:\OAuthConfig\notes.txt`}, Links: []string{"Set-Content", "Remove-Item"}},
	}
}
