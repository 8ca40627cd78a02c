// Package format turns objects into text the way Windows PowerShell 5.1 lays them out: lists, tables, wide lists,
// scalars and errors (language reference, sections 8 and 9).
//
// A [Writer] takes the objects that reach the end of a pipeline one by one and writes lines as soon as their widths
// are known. Format-List and its kin hand it an [Entry] for each object: the object with how to show it.
package format

import (
	"errors"
	"io"
	"strings"
	"time"

	"busybridge/internal/ps/object"
)

// A Shape is how objects are laid out.
type Shape int

// The shapes. Auto lets the type decide.
const (
	Auto Shape = iota
	List
	Table
	Wide
)

// A Column is a property to show: named, or calculated by Expr.
type Column struct {
	Name   string // property name; may be a wildcard
	Label  string // heading, "": the property's own spelling
	Expr   func(item any) (any, error)
	Width  int    // 0: computed
	Align  Align  // Auto: by the first value
	Format string // .NET format of the value
}

// An Align is the alignment of a column.
type Align int

// The alignments.
const (
	AlignAuto Align = iota
	AlignLeft
	AlignRight
	AlignCenter
)

// Options are what a Format- cmdlet was told.
type Options struct {
	Shape       Shape
	Columns     []Column // nil: what the type says
	GroupBy     *Column
	AutoSize    bool
	Wrap        bool
	HideHeaders bool
	PerLine     int // columns of a wide list, 0: 2
}

// An Entry is an object with how to show it, as a Format- cmdlet writes it. Entries with the same options, by pointer,
// make one list or table.
type Entry struct {
	Options *Options
	Item    any
	End     bool // nothing more comes with these options, and there is no item
}

// PSType names the entry for Get-Member.
func (*Entry) PSType() *object.Type { return tEntry }

var tEntry = &object.Type{Name: "Microsoft.PowerShell.Commands.Internal.Format.FormatEntryData", Base: object.TObject}

// A View is how a type is shown when nobody says otherwise.
type View struct {
	Shape   Shape
	Columns []Column
	GroupBy *Column
	Text    func(item any) string // Auto: the object is one text

	headingBlank int // blank lines after the heading of a group, beside the usual one
}

// Views are the views by type name.
type Views map[string]View

// find is the view of the first type name that has one; names from a remote session lose their prefix.
func (v Views) find(names []string) (View, bool) {
	for _, n := range names {
		if view, ok := v[strings.TrimPrefix(n, "Deserialized.")]; ok {
			return view, true
		}
	}
	return View{}, false
}

// WriterOptions are how a Writer writes.
type WriterOptions struct {
	Width int   // of the screen; 0: 120
	Limit int   // $FormatEnumerationLimit: elements of a collection that are shown; negative: all
	Views Views // beside the built-in ones, which they override
	// Now tells when the rows of a table have waited long enough for more rows to compute widths by; nil: only their
	// number does.
	Now func() time.Time
}

// What a table collects before its widths are fixed (8.3).
const (
	maxRows = 5000
	maxWait = 300 * time.Millisecond
)

// A Writer lays out a stream of objects.
type Writer struct {
	cfg   WriterOptions
	to    io.Writer
	buf   []byte   // lines of the object at work
	views Views    // built in
	block *block   // what is open
	sheet *Options // of the block that is open, when entries made it
	first bool     // the first block of the run decides the shape of the others
}

// NewWriter makes a writer to w; Close ends what it has begun. What an object gives is written in one piece.
func NewWriter(w io.Writer, o WriterOptions) *Writer {
	if o.Width <= 0 {
		o.Width = 120
	}
	return &Writer{cfg: o, to: w, views: builtin(), first: true}
}

// SetLimit changes how many elements of a collection are shown from here on.
func (w *Writer) SetLimit(limit int) { w.cfg.Limit = limit }

// A Formatter makes texts and writers with views of its own.
type Formatter struct {
	Views Views
	Now   func() time.Time // of writers; see [WriterOptions]
}

// Writer makes a writer of lines of at most width characters.
func (f *Formatter) Writer(w io.Writer, width, limit int) *Writer {
	return NewWriter(w, WriterOptions{Width: width, Limit: limit, Views: f.Views, Now: f.Now})
}

// maxText bounds the text Text makes.
const maxText = 256 << 20

var errTooLong = errors.New("format: the text is too long")

// limited is a text with a bound.
type limited struct{ strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxText {
		return 0, errTooLong
	}
	return l.Builder.Write(p)
}

// Text is the items as the end of a pipeline shows them, at most width characters a line, each line ended by \n.
func (f *Formatter) Text(items []any, width, limit int) (string, error) {
	var b limited
	w := NewWriter(&b, WriterOptions{Width: width, Limit: limit, Views: f.Views})
	for _, x := range items {
		if err := w.Write(x); err != nil {
			return "", err
		}
	}
	err := w.Close()
	return b.String(), err
}

// A block is a run of objects in one list or table.
type block struct {
	shape   Shape
	opts    Options
	cols    []Column
	typ     string // type name the block is for; "" takes every object (a sheet)
	group   string
	grouped bool
	rows    []any
	blank   int     // further blank lines after a group's heading
	layout  *layout // of a table whose header is out
	count   int
	since   time.Time // when the first row that waits came
}

// Write shows one object.
func (w *Writer) Write(item any) error {
	err := w.item(item)
	if ferr := w.push(); err == nil {
		err = ferr
	}
	return err
}

// Close ends the block that is open.
func (w *Writer) Close() error {
	err := w.end()
	if ferr := w.push(); err == nil {
		err = ferr
	}
	return err
}

// push hands the lines on.
func (w *Writer) push() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.to.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// maxBuffer is how many bytes of lines one object may pile up before they are handed on.
const maxBuffer = 64 << 10

func (w *Writer) line(s string) error {
	w.buf = append(append(w.buf, s...), '\n')
	if len(w.buf) > maxBuffer {
		return w.push()
	}
	return nil
}

// view is how a type is shown; the host's views come first.
func (w *Writer) view(names []string) (View, bool) {
	if v, ok := w.cfg.Views.find(names); ok {
		return v, true
	}
	return w.views.find(names)
}

func (w *Writer) item(item any) error {
	if x, ok := item.(*Entry); ok {
		return w.entry(x)
	}
	if w.sheet != nil {
		if err := w.endSheet(); err != nil {
			return err
		}
	}
	if item == nil {
		return nil
	}
	if text, ok := w.scalar(item); ok {
		if w.block != nil { // texts stand between the rows and do not end the table
			if err := w.flush(); err != nil {
				return err
			}
		}
		return w.lines(text)
	}
	if items, ok := object.Items(item); ok { // an array that was written as one object
		for _, x := range items {
			if err := w.item(x); err != nil {
				return err
			}
		}
		return nil
	}
	if h, ok := object.Base(item).(*object.Hashtable); ok {
		for _, e := range h.Entries() {
			if err := w.add(e); err != nil {
				return err
			}
		}
		return nil
	}
	return w.add(item)
}

func (w *Writer) lines(text string) error {
	for line := range strings.SplitSeq(normal(text), "\n") {
		if err := w.line(line); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) blank(n int) error {
	for range n {
		if err := w.line(""); err != nil {
			return err
		}
	}
	return nil
}

// scalar is the text of what is shown as one: strings, numbers, dates, errors, views that are a text.
func (w *Writer) scalar(item any) (string, bool) {
	names := object.TypeNames(item)
	if view, ok := w.view(names); ok {
		if view.Text != nil {
			return view.Text(item), true
		}
		return "", false
	}
	switch x := object.Base(item).(type) {
	case *object.Object:
		return "", false
	case *object.ErrorRecord:
		return Error(x, w.cfg.Width), true
	case *object.Exception:
		return x.Message, true
	}
	return scalarText(object.Base(item))
}

// entry shows an object as a Format- cmdlet was told.
func (w *Writer) entry(x *Entry) error {
	if w.sheet != x.Options {
		if err := w.endSheet(); err != nil {
			return err
		}
		w.sheet = x.Options
	}
	if x.End {
		return w.endSheet()
	}
	return w.sheetItem(x.Options, x.Item)
}

// endSheet ends what entries, or objects before them, have opened.
func (w *Writer) endSheet() error {
	err := w.end()
	w.sheet, w.first = nil, true
	return err
}

func (w *Writer) sheetItem(o *Options, item any) error {
	if item == nil {
		return nil
	}
	if items, ok := object.Items(item); ok {
		for _, x := range items {
			if err := w.sheetItem(o, x); err != nil {
				return err
			}
		}
		return nil
	}
	if h, ok := object.Base(item).(*object.Hashtable); ok && (o.Columns == nil || o.Shape == List) {
		for _, e := range h.Entries() {
			if err := w.sheetItem(o, e); err != nil {
				return err
			}
		}
		return nil
	}
	if o.Columns == nil {
		if text, ok := w.scalar(item); ok {
			if err := w.flush(); err != nil {
				return err
			}
			return w.lines(text)
		}
	}
	if w.block == nil {
		w.block = w.open(item, *o)
		w.block.typ = ""
	}
	return w.put(item)
}

// typeKey is what the objects of one block share: their type. Files and folders share a view.
func typeKey(item any) string {
	names := object.TypeNames(item)
	if len(names) == 0 {
		return ""
	}
	if names[0] == "System.IO.DirectoryInfo" {
		return "System.IO.FileInfo"
	}
	return names[0]
}

func (w *Writer) add(item any) error {
	if w.block != nil && w.block.typ != typeKey(item) {
		if err := w.end(); err != nil {
			return err
		}
	}
	if w.block == nil {
		w.block = w.open(item, Options{})
		w.first = false
	}
	return w.put(item)
}

// open decides the shape and columns of a new block by its first object.
func (w *Writer) open(item any, opts Options) *block {
	b := &block{shape: opts.Shape, opts: opts, cols: opts.Columns, typ: typeKey(item)}
	view, hasView := w.view(object.TypeNames(item))
	if hasView && view.Text == nil && opts.Columns == nil && (opts.Shape == Auto || opts.Shape == view.Shape) {
		b.shape, b.cols = view.Shape, view.Columns
		if b.opts.GroupBy == nil {
			b.opts.GroupBy, b.blank = view.GroupBy, view.headingBlank
		}
		return b
	}
	props := defaults(item)
	if b.shape == Auto {
		b.shape = List
		if w.first && len(props) <= 4 { // a later type of the run is a list
			b.shape = Table
		}
	}
	if b.cols == nil && b.shape != List {
		if b.shape == Table && len(props) > 10 {
			props = props[:10]
		}
		for _, p := range props {
			b.cols = append(b.cols, Column{Name: p})
		}
		if b.shape == Wide {
			b.cols = wideColumn(item, props)
		}
	}
	if b.shape == Table {
		b.cols = expand(item, b.cols)
	}
	return b
}

// defaults is the names of the properties shown when none are asked for.
func defaults(item any) []string {
	if o, ok := item.(*object.Object); ok && len(o.Default) > 0 {
		return o.Default
	}
	if _, ok := item.(*object.Entry); ok {
		return []string{"Name", "Value"}
	}
	var names []string
	for _, p := range object.Properties(item) {
		if w := p.Name; w != "PSShowComputerName" && !(w == "PSComputerName" && !showComputer(item)) {
			names = append(names, w)
		}
	}
	return names
}

// showComputer reports whether objects of a remote session show where they come from (cmdlet reference 3.2).
func showComputer(item any) bool {
	v, ok := object.Get(item, "PSShowComputerName")
	return ok && object.Bool(v)
}

func wideColumn(item any, props []string) []Column {
	for _, p := range props {
		if strings.EqualFold(p, "Name") {
			return []Column{{Name: p}}
		}
	}
	if len(props) > 0 {
		return []Column{{Name: props[0]}}
	}
	return []Column{{Expr: func(x any) (any, error) { return object.Display(x), nil }}}
}

// expand replaces wildcards by the names that fit and gives the others the object's own spelling.
func expand(item any, cols []Column) []Column {
	out := make([]Column, 0, len(cols))
	for _, c := range cols {
		if c.Expr == nil && object.HasWildcard(c.Name) {
			for _, p := range object.Properties(item) {
				if object.Like(p.Name, c.Name) && p.Name != "PSShowComputerName" {
					n := c
					n.Name, n.Label = p.Name, ""
					out = append(out, n)
				}
			}
			continue
		}
		if c.Expr == nil {
			if own, ok := object.Spelling(item, c.Name); ok {
				c.Name = own
			}
		}
		out = append(out, c)
	}
	return out
}

func (c *Column) label() string {
	if c.Label != "" {
		return c.Label
	}
	return c.Name
}

// value is the column's value of item; an error of the expression shows as nothing.
func (c *Column) value(item any) any {
	if c.Expr != nil {
		v, err := c.Expr(item)
		if err != nil {
			return nil
		}
		return v
	}
	if p := member(item, c.Name); p != nil {
		return p
	}
	return nil
}

// member is a property by name; a single value has no Count of its own here.
func member(item any, name string) any {
	for _, n := range []string{"Count", "Length"} {
		if strings.EqualFold(name, n) {
			for _, p := range object.Properties(item) {
				if strings.EqualFold(p.Name, name) {
					return p.Value
				}
			}
			return nil
		}
	}
	v, _ := object.Get(item, name)
	return v
}

func (w *Writer) put(item any) error {
	b := w.block
	if g := b.opts.GroupBy; g != nil {
		key := cellText(g.value(item), w.cfg.Limit)
		if !b.grouped || key != b.group {
			if err := w.closeGroup(); err != nil {
				return err
			}
			if err := w.openGroup(g, key); err != nil {
				return err
			}
			b.group, b.grouped = key, true
		}
	}
	switch b.shape {
	case List:
		return w.listItem(item)
	case Wide:
		b.rows = append(b.rows, item)
		if !b.opts.AutoSize && len(b.rows) >= b.perLine() {
			return w.flush()
		}
		return nil
	}
	b.rows = append(b.rows, item)
	if b.layout != nil || !b.opts.AutoSize && (b.fixed() || len(b.rows) >= maxRows || w.waited(b)) {
		return w.flush()
	}
	return nil
}

// fixed reports whether the widths of a table do not depend on its rows.
func (b *block) fixed() bool {
	for i := range b.cols {
		if b.cols[i].Width == 0 {
			return false
		}
	}
	return len(b.cols) > 0
}

// waited reports whether the rows have waited long enough.
func (w *Writer) waited(b *block) bool {
	if w.cfg.Now == nil {
		return false
	}
	now := w.cfg.Now()
	if len(b.rows) == 1 {
		b.since = now
	}
	return now.Sub(b.since) >= maxWait
}

// perLine is the number of columns of a wide list that does not compute them.
func (b *block) perLine() int {
	if b.opts.PerLine > 0 {
		return b.opts.PerLine
	}
	return 2
}

func (w *Writer) openGroup(g *Column, key string) error {
	lead := 1
	if w.block.shape == List {
		lead = 2
	}
	if err := w.blank(lead); err != nil {
		return err
	}
	if err := w.line("   " + g.label() + ": " + key); err != nil {
		return err
	}
	return w.blank(w.block.blank)
}

func (w *Writer) closeGroup() error {
	b := w.block
	if !b.grouped {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	b.layout, b.count = nil, 0
	return w.blank(1)
}

// flush writes the rows that wait.
func (w *Writer) flush() error {
	b := w.block
	if b == nil || len(b.rows) == 0 {
		return nil
	}
	rows := b.rows
	b.rows = nil
	if b.shape == Wide {
		return w.wide(rows)
	}
	if b.layout == nil {
		b.layout = w.plan(b, rows)
		if err := w.header(b); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if err := w.row(b, r); err != nil {
			return err
		}
	}
	return nil
}

// end closes the open block with its trailing blank lines.
func (w *Writer) end() error {
	b := w.block
	if b == nil {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.block = nil
	switch {
	case b.shape == List:
		return w.blank(3)
	case b.opts.HideHeaders && b.shape == Table:
		return w.blank(1)
	}
	return w.blank(2)
}
