package interp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/ps/format"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/syntax"
)

// WriteOutput is Write-Output (16.2).
type WriteOutput struct {
	InputObject []any         `ps:"InputObject,mandatory,position=0,rest,pipeline=value,allownull,allowempty" help:"What to write."`
	NoEnumerate object.Switch `ps:"NoEnumerate" help:"Writes a collection as one object."`
}

// Run writes its arguments, one level taken apart.
func (w *WriteOutput) Run(_ context.Context, c *Call) error {
	if w.NoEnumerate {
		if len(w.InputObject) == 1 {
			return c.Emit(w.InputObject[0])
		}
		return c.Emit(object.NewArray(w.InputObject...))
	}
	for _, v := range w.InputObject {
		if err := c.EmitAll(v); err != nil {
			return err
		}
	}
	return nil
}

// WriteHost is Write-Host (16.2).
type WriteHost struct {
	Object          any           `ps:"Object,position=0,rest,pipeline=value,allownull" help:"What to show."`
	Separator       any           `ps:"Separator" help:"Stands between several things; a blank when it is left out."`
	NoNewline       object.Switch `ps:"NoNewline" help:"Stays on the line."`
	ForegroundColor string        `ps:"ForegroundColor" help:"The colour of the text, one of ConsoleColor."`
	BackgroundColor string        `ps:"BackgroundColor" help:"The colour behind the text, one of ConsoleColor."`
}

// Run writes text for the screen.
func (w *WriteHost) Run(_ context.Context, c *Call) error {
	sep := " "
	if w.Separator != nil {
		sep = object.String(w.Separator)
	}
	for _, name := range []string{w.ForegroundColor, w.BackgroundColor} {
		if name == "" {
			continue
		}
		if _, err := object.Convert(name, object.TConsoleColor); err != nil {
			return err
		}
	}
	return c.WriteHost(&Message{Text: hostText(w.Object, sep), NoNewline: bool(w.NoNewline), Foreground: w.ForegroundColor})
}

func hostText(v any, sep string) string {
	items, ok := object.Items(v)
	if !ok {
		return object.Display(v)
	}
	parts := make([]string, len(items))
	for i, x := range items {
		parts[i] = hostText(x, sep)
	}
	return strings.Join(parts, sep)
}

// WriteVerbose is Write-Verbose (16.2).
type WriteVerbose struct {
	Message string `ps:"Message,alias=Msg,mandatory,position=0,pipeline=value,allowempty" help:"The text. -Verbose or $VerbosePreference shows it."`
}

// Run writes to the verbose stream.
func (w *WriteVerbose) Run(_ context.Context, c *Call) error { return c.WriteVerbose(w.Message) }

// WriteWarning is Write-Warning (16.2).
type WriteWarning struct {
	Message string `ps:"Message,alias=Msg,mandatory,position=0,pipeline=value,allowempty" help:"The text."`
}

// Run writes to the warning stream.
func (w *WriteWarning) Run(_ context.Context, c *Call) error { return c.WriteWarning(w.Message) }

// WriteDebug is Write-Debug (16.2).
type WriteDebug struct {
	Message string `ps:"Message,alias=Msg,mandatory,position=0,pipeline=value,allowempty" help:"The text. -Debug or $DebugPreference shows it."`
}

// Run writes to the debug stream.
func (w *WriteDebug) Run(_ context.Context, c *Call) error { return c.WriteDebug(w.Message) }

// WriteInformation is Write-Information.
type WriteInformation struct {
	MessageData any      `ps:"MessageData,alias=Msg|Message,mandatory,position=0,pipeline=value" help:"What to tell. -InformationAction or $InformationPreference shows it."`
	Tags        []string `ps:"Tags,position=1" help:"Words to filter by."`
}

// Run writes to the information stream.
func (w *WriteInformation) Run(_ context.Context, c *Call) error {
	return c.WriteInformation(object.Display(w.MessageData), w.Tags...)
}

// WriteProgress is Write-Progress.
type WriteProgress struct {
	Activity         string        `ps:"Activity,mandatory,position=0" help:"What is being done."`
	Status           string        `ps:"Status,position=1" help:"How far it is."`
	ID               int           `ps:"Id,position=2" help:"Accepted; one progress is shown at a time."`
	PercentComplete  int           `ps:"PercentComplete,default=-1" help:"How much is done, -1 when unknown."`
	SecondsRemaining int           `ps:"SecondsRemaining" help:"Accepted for scripts that give it."`
	CurrentOperation string        `ps:"CurrentOperation" help:"Accepted for scripts that give it."`
	ParentID         int           `ps:"ParentId" help:"Accepted for scripts that give it."`
	Completed        object.Switch `ps:"Completed" help:"The work is done."`
}

// Run reports progress.
func (w *WriteProgress) Run(_ context.Context, c *Call) error {
	p := w.PercentComplete
	if w.Completed {
		p = 100
	}
	return c.WriteProgress(w.Activity, w.Status, p)
}

// WriteError is Write-Error (16.2).
type WriteError struct {
	Message            string `ps:"Message,alias=Msg,mandatory,position=0,pipeline=value,set=NoException|WithException,allowempty" help:"The text."`
	Exception          any    `ps:"Exception,mandatory,set=WithException" help:"The exception of the error."`
	ErrorRecord        any    `ps:"ErrorRecord,mandatory,set=ErrorRecord" help:"A record to write as it is."`
	Category           string `ps:"Category,default=NotSpecified" help:"What kind of error it is, one of ErrorCategory."`
	ErrorID            string `ps:"ErrorId" help:"The identifier of the error."`
	TargetObject       any    `ps:"TargetObject" help:"What the error is about."`
	RecommendedAction  string `ps:"RecommendedAction" help:"Accepted for scripts that give it."`
	CategoryActivity   string `ps:"CategoryActivity,alias=Activity" help:"What was being done."`
	CategoryReason     string `ps:"CategoryReason,alias=Reason" help:"Why it failed."`
	CategoryTargetName string `ps:"CategoryTargetName,alias=TargetName" help:"The name of what the error is about."`
	CategoryTargetType string `ps:"CategoryTargetType,alias=TargetType" help:"The type of what the error is about."`
}

// Run writes to the error stream.
func (w *WriteError) Run(_ context.Context, c *Call) error {
	if rec, ok := object.Base(w.ErrorRecord).(*object.ErrorRecord); ok {
		return c.WriteError(rec)
	}
	category, err := object.Convert(w.Category, object.TErrorCategory)
	if err != nil {
		return err
	}
	rec := object.NewError("Microsoft.PowerShell.Commands.WriteErrorException", object.Category(category.(object.Enum).Value), object.TWriteError, "%s", w.Message)
	if x, ok := object.Base(w.Exception).(*object.Exception); ok {
		rec.Exception, rec.ID = x, x.Type().Name
		if w.Message != "" {
			rec.Details = w.Message
		}
	}
	if w.ErrorID != "" {
		rec.ID = w.ErrorID
	}
	rec.Target, rec.Activity, rec.Reason = w.TargetObject, w.CategoryActivity, w.CategoryReason
	rec.TargetName, rec.TargetType = w.CategoryTargetName, w.CategoryTargetType
	if rec.Activity == "" {
		rec.Activity = "Write-Error"
	}
	// The place is the command that contains Write-Error, when it is a function.
	return c.WriteError(rec)
}

// OutNull is Out-Null.
type OutNull struct {
	InputObject any `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`
}

// Run swallows.
func (*OutNull) Run(context.Context, *Call) error { return nil }

// A lineSink receives lines from a writer.
type lineSink func(line string) error

func (f lineSink) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if err := f(strings.TrimSuffix(line, "\n")); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// OutString is Out-String (16.1).
type OutString struct {
	Stream      object.Switch `ps:"Stream" help:"One string for each line instead of one for all."`
	Width       int           `ps:"Width" help:"Characters of a line; the screen's when it is left out."`
	InputObject any           `ps:"InputObject,pipeline=value,allownull" help:"What to show."`

	w *format.Writer
	b strings.Builder
}

// Begin opens the text.
func (o *OutString) Begin(_ context.Context, c *Call) error {
	if o.Stream {
		o.w = c.e.s.Writer(lineSink(func(line string) error { return c.Emit(line) }), o.Width)
	} else {
		o.w = c.e.s.Writer(&o.b, o.Width)
	}
	return nil
}

// Run shows one object.
func (o *OutString) Run(_ context.Context, c *Call) error {
	if c.Piped() || c.Bound("InputObject") {
		return o.w.Write(o.InputObject)
	}
	return nil
}

// End writes the text.
func (o *OutString) End(_ context.Context, c *Call) error {
	if err := o.w.Close(); err != nil || bool(o.Stream) {
		return err
	}
	return c.Emit(strings.ReplaceAll(o.b.String(), "\n", "\r\n"))
}

// OutDefault is Out-Default: text for the screen.
type OutDefault struct {
	InputObject any `ps:"InputObject,pipeline=value,allownull" help:"What to show."`

	w *format.Writer
}

// Begin opens the screen.
func (o *OutDefault) Begin(_ context.Context, c *Call) error {
	o.w = c.e.s.Writer(lineSink(func(line string) error { return c.WriteHost(&Message{Text: line}) }), 0)
	return nil
}

// Run shows one object.
func (o *OutDefault) Run(_ context.Context, _ *Call) error { return o.w.Write(o.InputObject) }

// End shows what waits.
func (o *OutDefault) End(context.Context, *Call) error { return o.w.Close() }

// OutHost is Out-Host.
type OutHost struct {
	Paging object.Switch `ps:"Paging" help:"Accepted; the text is not stopped at each page."`
	OutDefault
}

// OutFile is Out-File.
type OutFile struct {
	FilePath    string        `ps:"FilePath,alias=PSPath|LiteralPath,mandatory,position=0" help:"The file."`
	Encoding    string        `ps:"Encoding,position=1" help:"Accepted; files are written in UTF-8."`
	Append      object.Switch `ps:"Append" help:"Adds to what the file holds."`
	Force       object.Switch `ps:"Force" help:"Accepted for scripts that give it."`
	NoClobber   object.Switch `ps:"NoClobber,alias=NoOverwrite" help:"Leaves a file alone that exists."`
	NoNewline   object.Switch `ps:"NoNewline" help:"Puts no line ends into the file."`
	Width       int           `ps:"Width" help:"Characters of a line; one less than the screen's when it is left out."`
	InputObject any           `ps:"InputObject,pipeline=value,allownull" help:"What to write."`

	w    *format.Writer
	file *textFile // nil: not to be written
}

// Begin opens the file.
func (o *OutFile) Begin(_ context.Context, c *Call) (err error) {
	if o.file, err = c.openText(o.FilePath, "Output to File", bool(o.Append), bool(o.NoClobber)); o.file == nil {
		return err
	}
	width := o.Width
	if width == 0 {
		width = c.e.s.cfg.Width - 1
	}
	var to io.Writer = o.file
	if o.NoNewline {
		to = lineSink(func(line string) error {
			_, err := o.file.Write([]byte(line))
			return err
		})
	}
	o.w = c.e.s.Writer(to, width)
	return nil
}

// Run writes one object.
func (o *OutFile) Run(_ context.Context, _ *Call) error {
	if o.file == nil {
		return nil
	}
	return o.w.Write(o.InputObject)
}

// End closes the file.
func (o *OutFile) End(context.Context, *Call) error {
	if o.file == nil {
		return nil
	}
	if err := o.w.Close(); err != nil {
		return err
	}
	return o.file.Close()
}

// A textFile is a file of the shell's drives that is written piece by piece.
type textFile struct {
	files Files
	name  string
	add   bool // what comes next goes behind what the file holds
	done  bool // the file was written to
	buf   []byte
}

// maxPiece is how many bytes are collected for one call of AppendFile.
const maxPiece = 64 << 10

func (s *Session) openText(name string, add, noClobber bool) (*textFile, error) {
	files := s.cfg.Files
	if files == nil {
		return nil, object.NewError("FilesNotAvailable", object.InvalidOperation, nil, "Files are not available here.")
	}
	full := files.FullName(name)
	if isFile, _ := files.Stat(full); isFile && noClobber {
		return nil, object.NewError("NoClobber", object.ResourceExists, object.TIOException, "The file '%s' already exists.", full)
	}
	return &textFile{files: files, name: full, add: add}, nil
}

// openText opens a file for a command that asks first; nil means not to write.
func (c *Call) openText(name, action string, add, noClobber bool) (*textFile, error) {
	file, err := c.e.s.openText(name, add, noClobber)
	if err != nil {
		return nil, err
	}
	if ok, err := c.ShouldProcess(file.name, action); !ok || err != nil {
		return nil, err
	}
	return file, nil
}

func (f *textFile) Write(p []byte) (int, error) {
	f.buf = append(f.buf, p...)
	if len(f.buf) < maxPiece {
		return len(p), nil
	}
	return len(p), f.flush()
}

func (f *textFile) flush() error {
	write := f.files.WriteFile
	if f.add {
		write = f.files.AppendFile
	}
	err := write(f.name, f.buf)
	f.buf, f.add, f.done = nil, true, true
	return err
}

// Close writes what is left; a file that nothing was written to is made all the same.
func (f *textFile) Close() error {
	if f.done && len(f.buf) == 0 {
		return nil
	}
	return f.flush()
}

// TeeObject is Tee-Object.
type TeeObject struct {
	FilePath    string        `ps:"FilePath,position=0,set=File" help:"The file that gets a copy as text."`
	Append      object.Switch `ps:"Append,set=File" help:"Adds to what the file holds."`
	Variable    string        `ps:"Variable,set=Variable" help:"The variable that gets a copy, without $."`
	InputObject any           `ps:"InputObject,pipeline=value,allownull" help:"What to pass on."`

	items []any
	w     *format.Writer
	file  *textFile
}

// Begin opens the file.
func (t *TeeObject) Begin(_ context.Context, c *Call) (err error) {
	if t.FilePath == "" {
		return nil
	}
	if t.file, err = c.e.s.openText(t.FilePath, bool(t.Append), false); err == nil {
		t.w = c.e.s.Writer(t.file, 0)
	}
	return err
}

// Run passes one object on.
func (t *TeeObject) Run(_ context.Context, c *Call) error {
	if t.w != nil {
		if err := t.w.Write(t.InputObject); err != nil {
			return err
		}
	} else {
		t.items = append(t.items, t.InputObject)
	}
	return c.Emit(t.InputObject)
}

// End stores the copies.
func (t *TeeObject) End(_ context.Context, c *Call) error {
	if t.w == nil {
		return c.SetVariable(t.Variable, object.Collapse(t.items))
	}
	if err := t.w.Close(); err != nil {
		return err
	}
	return t.file.Close()
}

// ConvertToJSON is ConvertTo-Json (16.5).
type ConvertToJSON struct {
	InputObject any           `ps:"InputObject,position=0,mandatory,pipeline=value,allownull,allowempty" help:"What to convert; several objects make an array."`
	Depth       int           `ps:"Depth,default=2" help:"How deep objects in objects are written; below that stands their text."`
	Compress    object.Switch `ps:"Compress" help:"Leaves out white space."`

	items []any
}

// Run keeps one object.
func (j *ConvertToJSON) Run(_ context.Context, _ *Call) error {
	j.items = append(j.items, j.InputObject)
	return nil
}

// End writes the text.
func (j *ConvertToJSON) End(_ context.Context, c *Call) error {
	if len(j.items) == 0 {
		return nil
	}
	v := j.items[0]
	if len(j.items) > 1 {
		v = object.NewArray(j.items...)
	}
	w := jsonWriter{compress: bool(j.Compress), depth: j.Depth}
	w.value(v, 0, 0)
	return c.Emit(w.b.String())
}

// jsonWriter lays JSON out as 5.1 does: two blanks behind the colon, members aligned under their opening brace.
type jsonWriter struct {
	b        strings.Builder
	compress bool
	depth    int
}

func (w *jsonWriter) value(v any, level, column int) {
	switch b := object.Base(v).(type) {
	case nil:
		w.b.WriteString("null")
		return
	case bool:
		w.b.WriteString(strconv.FormatBool(b))
		return
	case object.Switch:
		w.list([]string{"IsPresent"}, []any{bool(b)}, level, column)
		return
	case string:
		w.text(b)
		return
	case object.Char:
		w.text(b.String())
		return
	case object.Enum:
		w.b.WriteString(strconv.FormatInt(b.Value, 10))
		return
	case time.Time:
		w.b.WriteString(`"\/Date(` + strconv.FormatInt(b.UnixMilli(), 10) + `)\/"`)
		return
	case float64:
		if math.IsNaN(b) || math.IsInf(b, 0) {
			w.text(object.String(b))
			return
		}
		s := strconv.FormatFloat(b, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		w.b.WriteString(s)
		return
	case *object.Hashtable:
		if level > w.depth {
			w.text(object.String(v))
			return
		}
		var names []string
		for _, k := range b.Keys() {
			names = append(names, object.String(k))
		}
		w.list(names, b.Values(), level, column)
		return
	}
	if object.IsNumber(object.Base(v)) {
		w.b.WriteString(object.String(v))
		return
	}
	if items, ok := object.Items(v); ok {
		if level > w.depth {
			w.text(object.String(v))
			return
		}
		w.array(items, level, column)
		return
	}
	props := object.Properties(v)
	if level > w.depth || len(props) == 0 {
		w.text(object.String(v))
		return
	}
	names, values := make([]string, len(props)), make([]any, len(props))
	for i, p := range props {
		names[i], values[i] = p.Name, p.Value
	}
	w.list(names, values, level, column)
}

func (w *jsonWriter) newline(column int) {
	if !w.compress {
		w.b.WriteString("\r\n" + strings.Repeat(" ", column))
	}
}

func (w *jsonWriter) list(names []string, values []any, level, column int) {
	w.b.WriteByte('{')
	for i, n := range names {
		if i > 0 {
			w.b.WriteByte(',')
		}
		w.newline(column + 4)
		at := w.b.Len()
		w.text(n)
		w.b.WriteByte(':')
		if !w.compress {
			w.b.WriteString("  ")
		}
		width := len([]rune(w.b.String()[at:]))
		w.value(values[i], level+1, column+4+width)
	}
	if len(names) == 0 && !w.compress {
		w.b.WriteString("\r\n")
	}
	w.newline(column)
	w.b.WriteByte('}')
}

func (w *jsonWriter) array(items []any, level, column int) {
	w.b.WriteByte('[')
	for i, x := range items {
		if i > 0 {
			w.b.WriteByte(',')
		}
		w.newline(column + 4)
		w.value(x, level+1, column+4)
	}
	if len(items) == 0 && !w.compress {
		w.b.WriteString("\r\n")
	}
	w.newline(column)
	w.b.WriteByte(']')
}

// text writes a string; 5.1 escapes < > & and ' as well.
func (w *jsonWriter) text(s string) {
	w.b.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			w.b.WriteByte('\\')
			w.b.WriteRune(r)
		case '\n':
			w.b.WriteString(`\n`)
		case '\r':
			w.b.WriteString(`\r`)
		case '\t':
			w.b.WriteString(`\t`)
		case '\b':
			w.b.WriteString(`\b`)
		case '\f':
			w.b.WriteString(`\f`)
		case '<', '>', '&', '\'', 0x85, 0x2028, 0x2029:
			fmt.Fprintf(&w.b, `\u%04x`, r)
		default:
			if r < 0x20 {
				fmt.Fprintf(&w.b, `\u%04x`, r)
			} else {
				w.b.WriteRune(r)
			}
		}
	}
	w.b.WriteByte('"')
}

// ConvertFromJSON is ConvertFrom-Json (16.5).
type ConvertFromJSON struct {
	InputObject string `ps:"InputObject,position=0,mandatory,pipeline=value,allowempty" help:"The text; several are the lines of one."`

	lines []string
}

// Run keeps one line.
func (j *ConvertFromJSON) Run(_ context.Context, _ *Call) error {
	j.lines = append(j.lines, j.InputObject)
	return nil
}

// End reads the joined lines; a top-level array is one object, as in 5.1.
func (j *ConvertFromJSON) End(_ context.Context, c *Call) error {
	text := strings.Join(j.lines, "\n")
	if strings.TrimSpace(text) == "" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	v, err := readJSON(d, 0)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = fmt.Errorf("unexpected text behind the value")
		}
	}
	if err != nil {
		return object.NewError("System.ArgumentException,Microsoft.PowerShell.Commands.ConvertFromJsonCommand", object.NotSpecified, object.TArgumentException, "Invalid JSON primitive: %s.", err)
	}
	return c.Emit(v)
}

func readJSON(d *json.Decoder, depth int) (any, error) {
	if depth > 100 {
		return nil, fmt.Errorf("nested too deeply")
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			a := object.NewArray()
			for d.More() {
				v, err := readJSON(d, depth+1)
				if err != nil {
					return nil, err
				}
				a.Items = append(a.Items, v)
			}
			_, err := d.Token()
			return a, err
		}
		o := object.New()
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := readJSON(d, depth+1)
			if err != nil {
				return nil, err
			}
			o.Add(k.(string), v)
		}
		_, err := d.Token()
		return o, err
	case json.Number:
		if n, err := strconv.ParseInt(t.String(), 10, 64); err == nil {
			if n == int64(int32(n)) {
				return int32(n), nil
			}
			return n, nil
		}
		return t.Float64()
	}
	return t, nil
}

func csvLine(fields []string, delimiter string) string {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteString(delimiter)
		}
		b.WriteByte('"')
		b.WriteString(strings.ReplaceAll(f, `"`, `""`))
		b.WriteByte('"')
	}
	return b.String()
}

// csvWriter makes lines of objects; the first one decides the columns.
type csvWriter struct {
	names     []string
	delimiter string
	noType    bool
}

func (w *csvWriter) lines(v any) []string {
	var out []string
	if w.names == nil {
		if w.delimiter == "" {
			w.delimiter = ","
		}
		w.names = []string{}
		for _, p := range object.Properties(v) {
			w.names = append(w.names, p.Name)
		}
		if !w.noType {
			out = append(out, "#TYPE "+typeTitle(v))
		}
		out = append(out, csvLine(w.names, w.delimiter))
	}
	values := make([]string, len(w.names))
	for i, n := range w.names {
		x, _ := object.Get(v, n)
		values[i] = object.String(x)
		if _, ok := object.Items(x); ok {
			values[i] = object.TypeOf(x).Name
		} else if x != nil {
			values[i] = object.Display(x)
		}
	}
	return append(out, csvLine(values, w.delimiter))
}

// ConvertToCSV is ConvertTo-Csv (16.5).
type ConvertToCSV struct {
	InputObject       any           `ps:"InputObject,mandatory,position=0,pipeline=value" help:"The objects, usually from the pipeline."`
	Delimiter         string        `ps:"Delimiter,position=1" help:"The character between fields."`
	NoTypeInformation object.Switch `ps:"NoTypeInformation,alias=NTI" help:"Leaves out the line with the type."`
	UseCulture        object.Switch `ps:"UseCulture" help:"Accepted; the comma is the list separator of en-US."`

	w csvWriter
}

// Run writes the lines of one object.
func (v *ConvertToCSV) Run(_ context.Context, c *Call) error {
	v.w.delimiter, v.w.noType = v.Delimiter, bool(v.NoTypeInformation)
	if v.w.delimiter == "" {
		v.w.delimiter = ","
	}
	for _, l := range v.w.lines(v.InputObject) {
		if err := c.Emit(l); err != nil {
			return err
		}
	}
	return nil
}

// ExportCSV is Export-Csv (16.5).
type ExportCSV struct {
	Path              string        `ps:"Path,alias=PSPath|LiteralPath,mandatory,position=0" help:"The file."`
	Delimiter         string        `ps:"Delimiter,position=1" help:"The character between fields."`
	InputObject       any           `ps:"InputObject,mandatory,pipeline=value" help:"The objects, usually from the pipeline."`
	NoTypeInformation object.Switch `ps:"NoTypeInformation,alias=NTI" help:"Leaves out the line with the type."`
	Append            object.Switch `ps:"Append" help:"Adds to the file, in the order of its columns."`
	Force             object.Switch `ps:"Force" help:"Adds objects that lack some of the columns."`
	NoClobber         object.Switch `ps:"NoClobber,alias=NoOverwrite" help:"Leaves a file alone that exists."`
	Encoding          string        `ps:"Encoding" help:"Accepted; files are written in UTF-8."`
	UseCulture        object.Switch `ps:"UseCulture" help:"Accepted; the comma is the list separator of en-US."`

	w    csvWriter
	file *textFile // nil: not to be written
}

// Begin opens the file; the columns of one that is added to stand in its first line.
func (v *ExportCSV) Begin(_ context.Context, c *Call) (err error) {
	if v.file, err = c.openText(v.Path, c.name, bool(v.Append), bool(v.NoClobber)); v.file == nil {
		return err
	}
	d, err := delimiterOf(v.Delimiter)
	if err != nil {
		return err
	}
	v.w = csvWriter{delimiter: string(d), noType: bool(v.NoTypeInformation)}
	if isFile, _ := v.file.files.Stat(v.file.name); !isFile || !bool(v.Append) {
		return nil
	}
	lines, err := c.e.s.readLines(v.file.name)
	if err != nil {
		return err
	}
	return splitCSV(strings.Join(lines, "\n"), d, func(row []string) error {
		if v.w.names == nil && !strings.HasPrefix(row[0], "#TYPE") {
			v.w.names = row
		}
		return nil
	})
}

// Run writes one object.
func (v *ExportCSV) Run(_ context.Context, c *Call) error {
	if v.file == nil {
		return nil
	}
	if bool(v.Append) && !bool(v.Force) {
		for _, n := range v.w.names {
			if _, ok := object.Spelling(v.InputObject, n); !ok {
				return object.NewError("CannotAppendCsvWithMismatchedPropertyNames,Microsoft.PowerShell.Commands.ExportCsvCommand", object.InvalidData, object.TInvalidOperation,
					"Cannot append CSV content to the following file: %s. The appended object does not have a property that corresponds to the following column: %s. To continue with mismatched properties, add the -Force parameter, and then retry the command.", v.file.name, n)
			}
		}
	}
	for _, l := range v.w.lines(v.InputObject) {
		if _, err := v.file.Write([]byte(l + "\r\n")); err != nil {
			return err
		}
	}
	return nil
}

// End closes the file.
func (v *ExportCSV) End(context.Context, *Call) error {
	if v.file == nil {
		return nil
	}
	return v.file.Close()
}

// csvReader reads lines into objects.
type csvReader struct {
	header    []string
	delimiter byte
}

func (r *csvReader) read(c *Call, text string, header []string) error {
	r.header = header
	shape := object.NewShape(object.TCustom.Names()...)
	return splitCSV(text, r.delimiter, func(row []string) error {
		if len(row) == 1 && row[0] == "" || r.header == nil && strings.HasPrefix(row[0], "#TYPE") {
			return nil
		}
		if r.header == nil {
			r.header = row
			return nil
		}
		o := shape.New()
		for i, n := range r.header {
			var v any
			if i < len(row) {
				v = row[i]
			}
			o.Add(n, v)
		}
		return c.Emit(o)
	})
}

// splitCSV reads rows with quoted fields, which may hold line ends.
func splitCSV(text string, delimiter byte, emit func(row []string) error) error {
	var row []string
	var f strings.Builder
	quoted := false
	end := func() error {
		full := append(row, f.String())
		row = nil
		f.Reset()
		return emit(full)
	}
	for i := 0; i < len(text); i++ {
		switch ch := text[i]; {
		case quoted && ch == '"' && i+1 < len(text) && text[i+1] == '"':
			f.WriteByte('"')
			i++
		case ch == '"' && (quoted || f.Len() == 0):
			quoted = !quoted
		case quoted:
			f.WriteByte(ch)
		case ch == delimiter:
			row = append(row, f.String())
			f.Reset()
		case ch == '\r':
		case ch == '\n':
			if err := end(); err != nil {
				return err
			}
		default:
			f.WriteByte(ch)
		}
	}
	if f.Len() > 0 || row != nil {
		return end()
	}
	return nil
}

func delimiterOf(s string) (byte, error) {
	switch len(s) {
	case 0:
		return ',', nil
	case 1:
		return s[0], nil
	}
	return 0, fmt.Errorf("delimiter %q is not one character", s)
}

// ConvertFromCSV is ConvertFrom-Csv (16.5).
type ConvertFromCSV struct {
	InputObject []string      `ps:"InputObject,mandatory,position=0,pipeline=value,allowempty" help:"The lines."`
	Delimiter   string        `ps:"Delimiter,position=1" help:"The character between fields."`
	Header      []string      `ps:"Header" help:"The names of the columns; without it the first line has them."`
	UseCulture  object.Switch `ps:"UseCulture" help:"Accepted; the comma is the list separator of en-US."`

	b strings.Builder
}

// Run keeps the lines.
func (v *ConvertFromCSV) Run(_ context.Context, _ *Call) error {
	for _, l := range v.InputObject {
		v.b.WriteString(l + "\n")
	}
	return nil
}

// End writes the objects.
func (v *ConvertFromCSV) End(_ context.Context, c *Call) error {
	d, err := delimiterOf(v.Delimiter)
	if err != nil {
		return err
	}
	return (&csvReader{delimiter: d}).read(c, v.b.String(), v.Header)
}

// ImportCSV is Import-Csv (16.5).
type ImportCSV struct {
	Path       []string      `ps:"Path,alias=PSPath|LiteralPath,mandatory,position=0,pipeline=value|name" help:"The files."`
	Delimiter  string        `ps:"Delimiter,position=1" help:"The character between fields."`
	Header     []string      `ps:"Header" help:"The names of the columns; without it the first line has them."`
	UseCulture object.Switch `ps:"UseCulture" help:"Accepted; the comma is the list separator of en-US."`
	Encoding   string        `ps:"Encoding" help:"Accepted; UTF-8 and UTF-16 are told apart by the file."`
}

// Run reads the files.
func (v *ImportCSV) Run(_ context.Context, c *Call) error {
	d, err := delimiterOf(v.Delimiter)
	if err != nil {
		return err
	}
	if c.Files() == nil {
		return object.NewError("FilesNotAvailable", object.InvalidOperation, nil, "Files are not available here.")
	}
	for _, name := range v.Path {
		b, err := c.Files().ReadFile(name)
		if err != nil {
			return err
		}
		text, err := syntax.Decode(b)
		if err != nil {
			return err
		}
		if err := (&csvReader{delimiter: d}).read(c, text, v.Header); err != nil {
			return err
		}
	}
	return nil
}

// GetDate is Get-Date (16.5).
type GetDate struct {
	Date        *time.Time `ps:"Date,alias=LastWriteTime,position=0,pipeline=value|name" help:"This time instead of now."`
	Format      string     `ps:"Format" help:"A .NET format; the result is a text."`
	UFormat     string     `ps:"UFormat" help:"Refused: Unix formats are not known here."`
	DisplayHint string     `ps:"DisplayHint" help:"Accepted for scripts that give it."`
	Year        *int       `ps:"Year" help:"Another year."`
	Month       *int       `ps:"Month" help:"Another month."`
	Day         *int       `ps:"Day" help:"Another day."`
	Hour        *int       `ps:"Hour" help:"Another hour."`
	Minute      *int       `ps:"Minute" help:"Another minute."`
	Second      *int       `ps:"Second" help:"Another second."`
	Millisecond *int       `ps:"Millisecond" help:"Another millisecond."`
}

// Run gives the time.
func (g *GetDate) Run(_ context.Context, c *Call) error {
	t := c.Now()
	if g.Date != nil {
		t = *g.Date
	}
	or := func(p *int, v int) int {
		if p != nil {
			return *p
		}
		return v
	}
	ns := t.Nanosecond()
	if g.Millisecond != nil {
		ns = *g.Millisecond * int(time.Millisecond)
	}
	t = time.Date(or(g.Year, t.Year()), time.Month(or(g.Month, int(t.Month()))), or(g.Day, t.Day()), or(g.Hour, t.Hour()), or(g.Minute, t.Minute()), or(g.Second, t.Second()), ns, t.Location())
	if g.UFormat != "" {
		return object.NewError("NotSupported", object.NotImplemented, object.TPSNotSupported, "The parameter -UFormat is not supported in this shell.")
	}
	if g.Format != "" {
		s, err := object.ToStringFormat(t, g.Format)
		if err != nil {
			return err
		}
		return c.Emit(s)
	}
	return c.Emit(t)
}

// StartSleep is Start-Sleep (16.5).
type StartSleep struct {
	Seconds      float64 `ps:"Seconds,mandatory,position=0,pipeline=value|name,set=Seconds" help:"How long."`
	Milliseconds int     `ps:"Milliseconds,mandatory,set=Milliseconds" help:"How long, in thousandths of a second."`
}

// Run waits.
func (s *StartSleep) Run(ctx context.Context, c *Call) error {
	d := time.Duration(s.Seconds*float64(time.Second)) + time.Duration(s.Milliseconds)*time.Millisecond
	return c.e.s.sleep(ctx, d)
}

// GetVariable is Get-Variable.
type GetVariable struct {
	Name      []string      `ps:"Name,position=0,pipeline=value|name,wildcard" help:"Names without $, or patterns."`
	ValueOnly object.Switch `ps:"ValueOnly" help:"Gives the values alone."`
	Scope     string        `ps:"Scope" help:"Accepted; variables are looked up as the caller sees them."`
}

// Run lists variables by name.
func (g *GetVariable) Run(_ context.Context, c *Call) error {
	patterns := g.Name
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	for _, p := range patterns {
		var found []*variable
		seen := map[string]bool{}
		for s := c.e.scope; s != nil; s = s.parent {
			for low, v := range s.vars {
				if !seen[low] && object.Like(v.name, p) {
					seen[low] = true
					found = append(found, v)
				}
			}
		}
		slices.SortFunc(found, func(a, b *variable) int { return strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name)) })
		if len(found) == 0 && !object.HasWildcard(p) {
			r := object.NewError("VariableNotFound,Microsoft.PowerShell.Commands.GetVariableCommand", object.ObjectNotFound, object.TItemNotFound, "Cannot find a variable with the name '%s'.", p)
			r.TargetName, r.TargetType = p, "String"
			if err := c.WriteError(r); err != nil {
				return err
			}
		}
		for _, v := range found {
			var err error
			if g.ValueOnly {
				err = c.Emit(v.value)
			} else {
				err = c.Emit(object.New("System.Management.Automation.PSVariable", "System.Object").Add("Name", v.name).Add("Value", v.value))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// SetVariable is Set-Variable.
type SetVariable struct {
	Name  []string      `ps:"Name,mandatory,position=0" help:"Names without $."`
	Value any           `ps:"Value,position=1,pipeline=value,allownull" help:"The value."`
	Scope string        `ps:"Scope" help:"Global, Script, Local or Private."`
	Force object.Switch `ps:"Force" help:"Accepted for scripts that give it."`
}

// Run sets the variables.
func (s *SetVariable) Run(_ context.Context, c *Call) error {
	for _, n := range s.Name {
		scope := s.Scope
		if scope != "" && !slices.Contains([]string{"global", "script", "local", "private"}, strings.ToLower(scope)) {
			return object.NewError("NotSupported", object.NotImplemented, object.TPSNotSupported, "The scope '%s' is not supported in this shell.", scope)
		}
		if err := c.e.setVariable(scope, n, s.Value, nil); err != nil {
			return err
		}
	}
	return nil
}

// RemoveVariable is Remove-Variable.
type RemoveVariable struct {
	Name  []string      `ps:"Name,mandatory,position=0,pipeline=name" help:"Names without $."`
	Force object.Switch `ps:"Force" help:"Accepted for scripts that give it."`
}

// Run removes the variables.
func (r *RemoveVariable) Run(_ context.Context, c *Call) error {
	for _, n := range r.Name {
		low := strings.ToLower(n)
		found := false
		for s := c.e.scope; s != nil && !found; s = s.parent {
			if _, found = s.vars[low]; found {
				delete(s.vars, low)
			}
		}
		if !found {
			e := object.NewError("VariableNotFound,Microsoft.PowerShell.Commands.RemoveVariableCommand", object.ObjectNotFound, object.TItemNotFound, "Cannot find a variable with the name '%s'.", n)
			if err := c.WriteError(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// GetAlias is Get-Alias.
type GetAlias struct {
	Name       []string `ps:"Name,position=0,pipeline=value|name,wildcard" help:"Aliases, or patterns."`
	Definition []string `ps:"Definition,wildcard" help:"Commands whose aliases are listed."`
}

// Run lists aliases.
func (g *GetAlias) Run(_ context.Context, c *Call) error {
	matches := func(s string, list []string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(p string) bool { return object.Like(s, p) })
	}
	var names []string
	for n, d := range c.e.s.aliases {
		if matches(n, g.Name) && matches(d, g.Definition) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	if len(names) == 0 && len(g.Name) == 1 && !object.HasWildcard(g.Name[0]) {
		return c.WriteError(object.NewError("ItemNotFoundException,Microsoft.PowerShell.Commands.GetAliasCommand", object.ObjectNotFound, object.TItemNotFound, "This command cannot find a matching alias because an alias with the name '%s' does not exist.", g.Name[0]))
	}
	for _, n := range names {
		d := c.e.s.aliases[n]
		if err := c.Emit(commandInfo("Alias", n, "", d)); err != nil {
			return err
		}
	}
	return nil
}

// commandInfo is a command as Get-Command shows it.
func commandInfo(kind, name, module, definition string) *object.Object {
	o := object.New("System.Management.Automation."+kind+"Info", "System.Management.Automation.CommandInfo", "System.Object")
	for _, p := range []object.Property{
		{Name: "CommandType", Value: kind}, {Name: "Name", Value: name}, {Name: "Version"}, {Name: "Source", Value: module},
		{Name: "ModuleName", Value: module}, {Name: "Definition", Value: definition},
	} {
		p.Kind = object.DataProperty
		o.AddProperty(&p)
	}
	if verb, noun, ok := strings.Cut(name, "-"); ok {
		o.AddProperty(&object.Property{Name: "Verb", Kind: object.DataProperty, Value: verb})
		o.AddProperty(&object.Property{Name: "Noun", Kind: object.DataProperty, Value: noun})
	}
	o.Text = func() string { return name }
	return o
}

// metadata is the parameters of a command by name, common ones too.
func metadata(params []*Param) *object.Hashtable {
	h := object.NewOrdered()
	for _, p := range params {
		t := p.Type
		if t == nil {
			t = object.TObject
		}
		h.Set(p.Name, object.New("System.Management.Automation.ParameterMetadata", "System.Object").
			Add("Name", p.Name).Add("ParameterType", t).Add("Aliases", object.Strings(p.Aliases...)).Add("SwitchParameter", p.Switch))
	}
	return h
}

// SetAlias is Set-Alias and New-Alias.
type SetAlias struct {
	Name     string        `ps:"Name,mandatory,position=0" help:"The alias."`
	Value    string        `ps:"Value,mandatory,position=1" help:"The command that it stands for."`
	Force    object.Switch `ps:"Force" help:"Accepted for scripts that give it."`
	Scope    string        `ps:"Scope" help:"Accepted; aliases hold in the whole session."`
	Option   string        `ps:"Option" help:"Accepted for scripts that give it."`
	PassThru object.Switch `ps:"PassThru" help:"Writes the alias."`
}

// Run sets the alias.
func (s *SetAlias) Run(_ context.Context, c *Call) error {
	c.e.s.aliases[strings.ToLower(s.Name)] = s.Value
	if s.PassThru {
		return c.Emit(commandInfo("Alias", s.Name, "", s.Value))
	}
	return nil
}

// GetCommand is Get-Command (16.5).
type GetCommand struct {
	Name          []string      `ps:"Name,position=0,pipeline=value|name,wildcard" help:"Commands, or patterns."`
	Verb          []string      `ps:"Verb,wildcard" help:"Commands with these verbs."`
	Noun          []string      `ps:"Noun,wildcard" help:"Commands with these nouns."`
	Module        []string      `ps:"Module,wildcard" help:"Commands of these modules."`
	CommandType   []string      `ps:"CommandType,alias=Type" help:"Cmdlet, Function or Alias."`
	Syntax        object.Switch `ps:"Syntax" help:"Shows how the commands are written."`
	ParameterName []string      `ps:"ParameterName,wildcard" help:"Commands that have such a parameter."`
	All           object.Switch `ps:"All" help:"Accepted for scripts that give it."`
	ListImported  object.Switch `ps:"ListImported" help:"Accepted; only commands of this session are known."`
	TotalCount    int           `ps:"TotalCount" help:"At most so many."`
}

// Run lists commands.
func (g *GetCommand) Run(_ context.Context, c *Call) error {
	matches := func(s string, list []string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(p string) bool { return object.Like(s, p) })
	}
	s := c.e.s
	found := map[string]bool{}
	var list []*object.Object
	add := func(kind, name, module, syntax string, params []*Param) {
		verb, noun, _ := strings.Cut(name, "-")
		if !matches(name, g.Name) || !matches(verb, g.Verb) || !matches(noun, g.Noun) || !matches(module, g.Module) || !matches(kind, g.CommandType) {
			return
		}
		if len(g.ParameterName) > 0 && !slices.ContainsFunc(params, func(p *Param) bool { return matches(p.Name, g.ParameterName) }) {
			return
		}
		for _, n := range g.Name {
			if strings.EqualFold(n, name) {
				found[strings.ToLower(n)] = true
			}
		}
		o := commandInfo(kind, name, module, syntax)
		o.AddProperty(&object.Property{Name: "Parameters", Kind: object.DataProperty, Get: func(*object.Object) (any, error) { return metadata(params), nil }})
		list = append(list, o)
	}
	for _, f := range s.functions {
		text := f.script.Text
		if g.Syntax {
			text = "\n" + strings.Join(f.asCommand().syntax((*Param).shellType), "\n\n") + "\n"
		}
		add("Function", f.name, "", text, s.bindingOf(f.name).all())
	}
	for _, cmd := range s.Commands() {
		add(cmd.kind(), cmd.Name, cmd.Module, "\n"+strings.Join(cmd.syntax((*Param).shellType), "\n\n")+"\n", slices.Concat(cmd.params, CommonParams(cmd.ShouldProcess)))
	}
	if len(g.Name) > 0 {
		for a, d := range s.aliases {
			if matches(a, g.Name) && (s.Lookup(a) != nil || s.functions[strings.ToLower(d)] != nil) && matches("Alias", g.CommandType) {
				found[a] = true
				list = append(list, commandInfo("Alias", a, "", d))
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *object.Object) int {
		x, _ := a.Get("Name")
		y, _ := b.Get("Name")
		return strings.Compare(strings.ToLower(object.String(x)), strings.ToLower(object.String(y)))
	})
	for _, n := range g.Name {
		if !object.HasWildcard(n) && !found[strings.ToLower(n)] {
			if err := c.WriteError(CommandNotFound(n)); err != nil {
				return err
			}
		}
	}
	for i, o := range list {
		if g.TotalCount > 0 && i >= g.TotalCount {
			break
		}
		var v any = o
		if g.Syntax {
			v, _ = o.Get("Definition")
		}
		if err := c.Emit(v); err != nil {
			return err
		}
	}
	return nil
}

// InvokeCommand is Invoke-Command in the local session; the host replaces it by one that reaches remote sessions.
type InvokeCommand struct {
	ScriptBlock  *ScriptBlock  `ps:"ScriptBlock,alias=Command,mandatory,position=0" help:"What to run."`
	ArgumentList []any         `ps:"ArgumentList,alias=Args" help:"Arguments of the block."`
	NoNewScope   object.Switch `ps:"NoNewScope" help:"Runs the block in the caller's scope."`
	InputObject  any           `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`

	input []any
}

// Run keeps the input.
func (i *InvokeCommand) Run(_ context.Context, c *Call) error {
	if c.Piped() {
		i.input = append(i.input, i.InputObject)
	}
	return nil
}

// End runs the block.
func (i *InvokeCommand) End(_ context.Context, c *Call) error {
	return c.e.callBlock(i.ScriptBlock, i.ArgumentList, i.input, !bool(i.NoNewScope))
}

// InvokeExpression is Invoke-Expression.
type InvokeExpression struct {
	Command string `ps:"Command,mandatory,position=0,pipeline=value" help:"The script text."`
}

// Run runs the text in the caller's scope.
func (i *InvokeExpression) Run(_ context.Context, c *Call) error {
	return c.RunText(i.Command)
}

// ConvertToSecureString is ConvertTo-SecureString for plain text.
type ConvertToSecureString struct {
	String      string        `ps:"String,mandatory,position=0,pipeline=value" help:"The text."`
	AsPlainText object.Switch `ps:"AsPlainText" help:"The text is not encrypted. It is required here."`
	Force       object.Switch `ps:"Force" help:"Confirms that a plain text is meant. It is required here."`
}

// Run makes the secure string.
func (s *ConvertToSecureString) Run(_ context.Context, c *Call) error {
	if !s.AsPlainText || !s.Force {
		return object.NewError("NotSupported", object.NotImplemented, object.TPSNotSupported, "Only -AsPlainText with -Force is supported in this shell.")
	}
	return c.Emit(object.NewSecureString(s.String))
}

// SetStrictMode is Set-StrictMode.
type SetStrictMode struct {
	Off     object.Switch `ps:"Off,set=Off" help:"Turns strict mode off, as it always is."`
	Version string        `ps:"Version,set=Version" help:"Refused: strict mode is not known here."`
}

// Run accepts -Off; strict mode itself is left out.
func (s *SetStrictMode) Run(context.Context, *Call) error {
	if s.Off {
		return nil
	}
	return object.NewError("NotSupported", object.NotImplemented, object.TPSNotSupported, "Strict mode is not supported in this shell.")
}
