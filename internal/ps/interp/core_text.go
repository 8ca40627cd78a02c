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

	"busybridge/internal/ps/object"
	"busybridge/internal/ps/syntax"
)

// WriteOutput is Write-Output (16.2).
type WriteOutput struct {
	InputObject []any         `ps:"InputObject,mandatory,position=0,rest,pipeline=value,allownull,allowempty"`
	NoEnumerate object.Switch `ps:"NoEnumerate"`
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
	Object          any           `ps:"Object,position=0,rest,pipeline=value,allownull"`
	Separator       any           `ps:"Separator"`
	NoNewline       object.Switch `ps:"NoNewline"`
	ForegroundColor string        `ps:"ForegroundColor"`
	BackgroundColor string        `ps:"BackgroundColor"`
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
	Message string `ps:"Message,alias=Msg,mandatory,position=0,pipeline=value,allowempty"`
}

// Run writes to the verbose stream.
func (w *WriteVerbose) Run(_ context.Context, c *Call) error { return c.WriteVerbose(w.Message) }

// WriteWarning is Write-Warning (16.2).
type WriteWarning struct {
	Message string `ps:"Message,alias=Msg,mandatory,position=0,pipeline=value,allowempty"`
}

// Run writes to the warning stream.
func (w *WriteWarning) Run(_ context.Context, c *Call) error { return c.WriteWarning(w.Message) }

// WriteDebug is Write-Debug (16.2).
type WriteDebug struct {
	Message string `ps:"Message,alias=Msg,mandatory,position=0,pipeline=value,allowempty"`
}

// Run writes to the debug stream.
func (w *WriteDebug) Run(_ context.Context, c *Call) error { return c.WriteDebug(w.Message) }

// WriteInformation is Write-Information.
type WriteInformation struct {
	MessageData any      `ps:"MessageData,alias=Msg|Message,mandatory,position=0,pipeline=value"`
	Tags        []string `ps:"Tags,position=1"`
}

// Run writes to the information stream.
func (w *WriteInformation) Run(_ context.Context, c *Call) error {
	return c.WriteInformation(object.Display(w.MessageData), w.Tags...)
}

// WriteProgress is Write-Progress.
type WriteProgress struct {
	Activity         string        `ps:"Activity,mandatory,position=0"`
	Status           string        `ps:"Status,position=1"`
	ID               int           `ps:"Id,position=2"`
	PercentComplete  int           `ps:"PercentComplete,default=-1"`
	SecondsRemaining int           `ps:"SecondsRemaining"`
	CurrentOperation string        `ps:"CurrentOperation"`
	ParentID         int           `ps:"ParentId"`
	Completed        object.Switch `ps:"Completed"`
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
	Message           string `ps:"Message,alias=Msg,mandatory,position=0,pipeline=value,set=NoException|WithException,allowempty"`
	Exception         any    `ps:"Exception,mandatory,set=WithException"`
	ErrorRecord       any    `ps:"ErrorRecord,mandatory,set=ErrorRecord"`
	Category          string `ps:"Category,default=NotSpecified"`
	ErrorID           string `ps:"ErrorId"`
	TargetObject      any    `ps:"TargetObject"`
	RecommendedAction string `ps:"RecommendedAction"`
	CategoryActivity  string `ps:"CategoryActivity,alias=Activity"`
	CategoryReason    string `ps:"CategoryReason,alias=Reason"`
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
	if rec.Activity == "" {
		rec.Activity = "Write-Error"
	}
	// The place is the command that contains Write-Error, when it is a function.
	return c.WriteError(rec)
}

// OutNull is Out-Null.
type OutNull struct {
	InputObject any `ps:"InputObject,pipeline=value,allownull"`
}

// Run swallows.
func (*OutNull) Run(context.Context, *Call) error { return nil }

// OutString is Out-String (16.1).
type OutString struct {
	Stream      object.Switch `ps:"Stream"`
	Width       int           `ps:"Width"`
	InputObject any           `ps:"InputObject,pipeline=value,allownull"`

	items []any
}

// Run keeps one object.
func (o *OutString) Run(_ context.Context, c *Call) error {
	if c.Piped() || c.Bound("InputObject") {
		o.items = append(o.items, o.InputObject)
	}
	return nil
}

// End writes the text.
func (o *OutString) End(_ context.Context, c *Call) error {
	width := o.Width
	if width == 0 {
		width = c.e.s.cfg.Width
	}
	text, err := c.e.s.formatWidth(o.items, width)
	if err != nil {
		return err
	}
	if !o.Stream {
		return c.Emit(strings.ReplaceAll(text, "\n", "\r\n"))
	}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if err := c.Emit(line); err != nil {
			return err
		}
	}
	return nil
}

// OutHost is Out-Host and Out-Default: text for the screen.
type OutHost struct {
	Paging      object.Switch `ps:"Paging"`
	InputObject any           `ps:"InputObject,pipeline=value,allownull"`

	items []any
}

// Run keeps one object.
func (o *OutHost) Run(_ context.Context, _ *Call) error {
	o.items = append(o.items, o.InputObject)
	return nil
}

// End shows the objects.
func (o *OutHost) End(_ context.Context, c *Call) error {
	text, err := c.e.s.Format(o.items)
	if err != nil || text == "" {
		return err
	}
	return c.WriteHost(&Message{Text: strings.TrimSuffix(text, "\n")})
}

// OutFile is Out-File.
type OutFile struct {
	FilePath    string        `ps:"FilePath,alias=PSPath|LiteralPath,mandatory,position=0"`
	Encoding    string        `ps:"Encoding,position=1"`
	Append      object.Switch `ps:"Append"`
	Force       object.Switch `ps:"Force"`
	NoClobber   object.Switch `ps:"NoClobber,alias=NoOverwrite"`
	NoNewline   object.Switch `ps:"NoNewline"`
	Width       int           `ps:"Width"`
	InputObject any           `ps:"InputObject,pipeline=value,allownull"`

	items []any
}

// Run keeps one object.
func (o *OutFile) Run(_ context.Context, _ *Call) error {
	o.items = append(o.items, o.InputObject)
	return nil
}

// End writes the file.
func (o *OutFile) End(_ context.Context, c *Call) error {
	width := o.Width
	if width == 0 {
		width = c.e.s.cfg.Width - 1
	}
	text, err := c.e.s.formatWidth(o.items, width)
	if err != nil {
		return err
	}
	if o.NoNewline {
		text = strings.ReplaceAll(text, "\n", "")
	}
	return c.save(o.FilePath, text, bool(o.Append), bool(o.NoClobber))
}

func (c *Call) save(name, text string, add, noClobber bool) error {
	files := c.Files()
	if files == nil {
		return object.NewError("FilesNotAvailable", object.InvalidOperation, nil, "Files are not available here.")
	}
	if isFile, _ := files.Stat(name); isFile && noClobber {
		return object.NewError("NoClobber", object.ResourceExists, object.TIOException, "The file '%s' already exists.", files.FullName(name))
	}
	if add {
		return files.AppendFile(name, []byte(text))
	}
	return files.WriteFile(name, []byte(text))
}

// TeeObject is Tee-Object.
type TeeObject struct {
	FilePath    string        `ps:"FilePath,position=0,set=File"`
	Append      object.Switch `ps:"Append,set=File"`
	Variable    string        `ps:"Variable,set=Variable"`
	InputObject any           `ps:"InputObject,pipeline=value,allownull"`

	items []any
}

// Run passes one object on.
func (t *TeeObject) Run(_ context.Context, c *Call) error {
	t.items = append(t.items, t.InputObject)
	return c.Emit(t.InputObject)
}

// End stores the copies.
func (t *TeeObject) End(_ context.Context, c *Call) error {
	if t.Variable != "" {
		return c.SetVariable(t.Variable, object.Collapse(t.items))
	}
	if t.FilePath == "" {
		return nil
	}
	text, err := c.e.s.Format(t.items)
	if err != nil {
		return err
	}
	return c.save(t.FilePath, text, bool(t.Append), false)
}

// ConvertToJSON is ConvertTo-Json (16.5).
type ConvertToJSON struct {
	InputObject any           `ps:"InputObject,position=0,mandatory,pipeline=value,allownull,allowempty"`
	Depth       int           `ps:"Depth,default=2"`
	Compress    object.Switch `ps:"Compress"`

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
	InputObject string `ps:"InputObject,position=0,mandatory,pipeline=value,allowempty"`

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
	quoted := make([]string, len(fields))
	for i, f := range fields {
		quoted[i] = `"` + strings.ReplaceAll(f, `"`, `""`) + `"`
	}
	return strings.Join(quoted, delimiter)
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
	InputObject       any           `ps:"InputObject,mandatory,position=0,pipeline=value"`
	Delimiter         string        `ps:"Delimiter,position=1"`
	NoTypeInformation object.Switch `ps:"NoTypeInformation,alias=NTI"`
	UseCulture        object.Switch `ps:"UseCulture"`

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
	Path              string        `ps:"Path,alias=PSPath|LiteralPath,mandatory,position=0"`
	Delimiter         string        `ps:"Delimiter,position=1"`
	InputObject       any           `ps:"InputObject,mandatory,pipeline=value"`
	NoTypeInformation object.Switch `ps:"NoTypeInformation,alias=NTI"`
	Append            object.Switch `ps:"Append"`
	Force             object.Switch `ps:"Force"`
	NoClobber         object.Switch `ps:"NoClobber,alias=NoOverwrite"`
	Encoding          string        `ps:"Encoding"`
	UseCulture        object.Switch `ps:"UseCulture"`

	w csvWriter
	b strings.Builder
}

// Run adds one object.
func (v *ExportCSV) Run(_ context.Context, c *Call) error {
	v.w.delimiter, v.w.noType = v.Delimiter, bool(v.NoTypeInformation)
	if v.w.delimiter == "" {
		v.w.delimiter = ","
	}
	lines := v.w.lines(v.InputObject)
	if v.b.Len() == 0 && bool(v.Append) && c.Files() != nil {
		if isFile, _ := c.Files().Stat(v.Path); isFile {
			lines = lines[len(lines)-1:]
		}
	}
	for _, l := range lines {
		v.b.WriteString(l + "\r\n")
	}
	return nil
}

// End writes the file.
func (v *ExportCSV) End(_ context.Context, c *Call) error {
	return c.save(v.Path, v.b.String(), bool(v.Append), bool(v.NoClobber))
}

// csvReader reads lines into objects.
type csvReader struct {
	header    []string
	delimiter byte
}

func (r *csvReader) read(c *Call, text string, header []string) error {
	rows := splitCSV(text, r.delimiter)
	r.header = header
	for _, row := range rows {
		if len(row) == 1 && row[0] == "" || r.header == nil && strings.HasPrefix(row[0], "#TYPE") {
			continue
		}
		if r.header == nil {
			r.header = row
			continue
		}
		o := object.New()
		for i, n := range r.header {
			var v any
			if i < len(row) {
				v = row[i]
			}
			o.Add(n, v)
		}
		if err := c.Emit(o); err != nil {
			return err
		}
	}
	return nil
}

// splitCSV reads rows with quoted fields, which may hold line ends.
func splitCSV(text string, delimiter byte) [][]string {
	var rows [][]string
	var row []string
	var f strings.Builder
	quoted := false
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
			rows = append(rows, append(row, f.String()))
			row = nil
			f.Reset()
		default:
			f.WriteByte(ch)
		}
	}
	if f.Len() > 0 || row != nil {
		rows = append(rows, append(row, f.String()))
	}
	return rows
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
	InputObject []string `ps:"InputObject,mandatory,position=0,pipeline=value,allowempty"`
	Delimiter   string   `ps:"Delimiter,position=1"`
	Header      []string `ps:"Header"`

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
	Path      []string `ps:"Path,alias=PSPath|LiteralPath,mandatory,position=0,pipeline=value|name"`
	Delimiter string   `ps:"Delimiter,position=1"`
	Header    []string `ps:"Header"`
	Encoding  string   `ps:"Encoding"`
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
	Date        *time.Time `ps:"Date,alias=LastWriteTime,position=0,pipeline=value|name"`
	Format      string     `ps:"Format"`
	UFormat     string     `ps:"UFormat"`
	DisplayHint string     `ps:"DisplayHint"`
	Year        *int       `ps:"Year"`
	Month       *int       `ps:"Month"`
	Day         *int       `ps:"Day"`
	Hour        *int       `ps:"Hour"`
	Minute      *int       `ps:"Minute"`
	Second      *int       `ps:"Second"`
	Millisecond *int       `ps:"Millisecond"`
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
	Seconds      float64 `ps:"Seconds,mandatory,position=0,pipeline=value|name,set=Seconds"`
	Milliseconds int     `ps:"Milliseconds,mandatory,set=Milliseconds"`
}

// Run waits.
func (s *StartSleep) Run(ctx context.Context, c *Call) error {
	d := time.Duration(s.Seconds*float64(time.Second)) + time.Duration(s.Milliseconds)*time.Millisecond
	return c.e.s.sleep(ctx, d)
}

// GetVariable is Get-Variable.
type GetVariable struct {
	Name      []string      `ps:"Name,position=0,pipeline=value|name"`
	ValueOnly object.Switch `ps:"ValueOnly"`
	Scope     string        `ps:"Scope"`
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
	Name  []string      `ps:"Name,mandatory,position=0"`
	Value any           `ps:"Value,position=1,pipeline=value,allownull"`
	Scope string        `ps:"Scope"`
	Force object.Switch `ps:"Force"`
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
	Name  []string      `ps:"Name,mandatory,position=0,pipeline=name"`
	Force object.Switch `ps:"Force"`
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
	Name       []string `ps:"Name,position=0,pipeline=value|name"`
	Definition []string `ps:"Definition"`
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
		if err := c.Emit(commandInfo("Alias", n+" -> "+d, "", d)); err != nil {
			return err
		}
	}
	return nil
}

func commandInfo(kind, name, module, definition string) *object.Object {
	o := object.New("System.Management.Automation."+kind+"Info", "System.Management.Automation.CommandInfo", "System.Object")
	o.Add("CommandType", kind).Add("Name", name).Add("Version", nil).Add("Source", module)
	o.AddProperty(&object.Property{Name: "Definition", Value: definition, Hidden: true})
	o.Text = func() string { return name }
	return o
}

// SetAlias is Set-Alias and New-Alias.
type SetAlias struct {
	Name     string        `ps:"Name,mandatory,position=0"`
	Value    string        `ps:"Value,mandatory,position=1"`
	Force    object.Switch `ps:"Force"`
	Scope    string        `ps:"Scope"`
	Option   string        `ps:"Option"`
	PassThru object.Switch `ps:"PassThru"`
}

// Run sets the alias.
func (s *SetAlias) Run(_ context.Context, c *Call) error {
	c.e.s.aliases[strings.ToLower(s.Name)] = s.Value
	return nil
}

// GetCommand is Get-Command (16.5).
type GetCommand struct {
	Name          []string      `ps:"Name,position=0,pipeline=value|name"`
	Verb          []string      `ps:"Verb"`
	Noun          []string      `ps:"Noun"`
	Module        []string      `ps:"Module"`
	CommandType   []string      `ps:"CommandType,alias=Type"`
	Syntax        object.Switch `ps:"Syntax"`
	ParameterName []string      `ps:"ParameterName"`
	All           object.Switch `ps:"All"`
	ListImported  object.Switch `ps:"ListImported"`
	TotalCount    int           `ps:"TotalCount"`
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
		names := object.NewArray()
		for _, p := range params {
			names.Items = append(names.Items, p.Name)
		}
		o.AddProperty(&object.Property{Name: "ParameterNames", Value: names, Hidden: true})
		list = append(list, o)
	}
	for _, f := range s.functions {
		add("Function", f.name, "", f.script.Text, f.params)
	}
	for _, cmd := range s.Commands() {
		add("Cmdlet", cmd.Name, cmd.Module, cmd.Syntax(), cmd.params)
	}
	if len(g.Name) > 0 {
		for a, d := range s.aliases {
			if matches(a, g.Name) && (s.Lookup(a) != nil || s.functions[strings.ToLower(d)] != nil) && matches("Alias", g.CommandType) {
				found[a] = true
				list = append(list, commandInfo("Alias", a+" -> "+d, "", d))
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
	ScriptBlock  *ScriptBlock  `ps:"ScriptBlock,alias=Command,mandatory,position=0"`
	ArgumentList []any         `ps:"ArgumentList,alias=Args"`
	NoNewScope   object.Switch `ps:"NoNewScope"`
	InputObject  any           `ps:"InputObject,pipeline=value,allownull"`

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
	Command string `ps:"Command,mandatory,position=0,pipeline=value"`
}

// Run runs the text in the caller's scope.
func (i *InvokeExpression) Run(_ context.Context, c *Call) error {
	b, err := c.e.s.newBlock(i.Command)
	if err != nil {
		return err
	}
	return c.e.callBlock(b, nil, nil, false)
}

// ConvertToSecureString is ConvertTo-SecureString for plain text.
type ConvertToSecureString struct {
	String      string        `ps:"String,mandatory,position=0,pipeline=value"`
	AsPlainText object.Switch `ps:"AsPlainText"`
	Force       object.Switch `ps:"Force"`
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
	Off     object.Switch `ps:"Off,set=Off"`
	Version string        `ps:"Version,set=Version"`
}

// Run accepts -Off; strict mode itself is left out.
func (s *SetStrictMode) Run(context.Context, *Call) error {
	if s.Off {
		return nil
	}
	return object.NewError("NotSupported", object.NotImplemented, object.TPSNotSupported, "Strict mode is not supported in this shell.")
}
