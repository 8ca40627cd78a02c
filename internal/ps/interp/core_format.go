package interp

import (
	"context"
	"strings"

	"busybridge/internal/ps/format"
	"busybridge/internal/ps/object"
)

// A layout is what the Format- cmdlets share: it hands each object on with how to show it.
type layout struct {
	opts  format.Options
	begun bool
}

func (l *layout) begin(c *Call, props []any, groupBy any) (err error) {
	if l.opts.Columns, err = formatColumns(c, props); err != nil || groupBy == nil {
		return err
	}
	g, err := formatColumns(c, []any{groupBy})
	if err == nil {
		l.opts.GroupBy = &g[0]
	}
	return err
}

func (l *layout) put(c *Call, item any) error {
	l.begun = true
	return c.Emit(&format.Entry{Options: &l.opts, Item: item})
}

func (l *layout) end(c *Call) error {
	if !l.begun {
		return nil
	}
	return c.Emit(&format.Entry{Options: &l.opts, End: true})
}

func formatColumns(c *Call, props []any) ([]format.Column, error) {
	var out []format.Column
	cols, err := columns(props)
	if err != nil {
		return nil, err
	}
	for i, col := range cols {
		fc := format.Column{Name: col.name, Label: ""}
		if col.block != nil {
			fc.Label = col.name
			fc.Expr = func(item any) (any, error) {
				got, err := c.Block(col.block, item)
				return object.Collapse(got), err
			}
		}
		if h, ok := object.Base(props[i]).(*object.Hashtable); ok {
			if v, ok := keyed(h, "width"); ok {
				n, err := object.Convert(v, object.TInt)
				if err != nil {
					return nil, err
				}
				fc.Width = int(n.(int32))
			}
			if v, ok := keyed(h, "formatstring"); ok {
				fc.Format = object.String(v)
			}
			if v, ok := keyed(h, "alignment"); ok {
				switch strings.ToLower(object.String(v)) {
				case "left":
					fc.Align = format.AlignLeft
				case "right":
					fc.Align = format.AlignRight
				case "center":
					fc.Align = format.AlignCenter
				}
			}
		}
		out = append(out, fc)
	}
	return out, nil
}

// keyed is the value of a key that may be shortened.
func keyed(h *object.Hashtable, full string) (any, bool) {
	for k, v := range h.All() {
		if name := strings.ToLower(object.String(k)); name != "" && strings.HasPrefix(full, name) {
			return v, true
		}
	}
	return nil, false
}

// FormatList is Format-List (16.1).
type FormatList struct {
	Property     []any         `ps:"Property,position=0,wildcard" help:"The properties to show: names, patterns, or @{Name='...'; Expression={...}}."`
	GroupBy      any           `ps:"GroupBy" help:"Begins a new list where this property changes."`
	View         string        `ps:"View" help:"Accepted; a type has one view."`
	ShowError    object.Switch `ps:"ShowError" help:"Accepted; an error of an expression shows as nothing."`
	DisplayError object.Switch `ps:"DisplayError" help:"Accepted; an error of an expression shows as nothing."`
	Force        object.Switch `ps:"Force" help:"Accepted for scripts that give it."`
	Expand       string        `ps:"Expand" help:"Accepted for scripts that give it."`
	InputObject  any           `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`

	layout
}

// Begin reads what is to be shown.
func (f *FormatList) Begin(_ context.Context, c *Call) error {
	f.opts.Shape = format.List
	return f.begin(c, f.Property, f.GroupBy)
}

// Run shows one object.
func (f *FormatList) Run(_ context.Context, c *Call) error { return f.put(c, f.InputObject) }

// End ends the list.
func (f *FormatList) End(_ context.Context, c *Call) error { return f.end(c) }

// FormatTable is Format-Table (16.1).
type FormatTable struct {
	Property         []any         `ps:"Property,position=0,wildcard" help:"The columns: names, patterns, or @{Name='...'; Expression={...}; Width=...; Alignment='...'}."`
	AutoSize         object.Switch `ps:"AutoSize" help:"Computes widths from all objects before the first is shown."`
	Wrap             object.Switch `ps:"Wrap" help:"Goes on in the next line instead of cutting."`
	HideTableHeaders object.Switch `ps:"HideTableHeaders" help:"Leaves the headings out."`
	GroupBy          any           `ps:"GroupBy" help:"Begins a new table where this property changes."`
	View             string        `ps:"View" help:"Accepted; a type has one view."`
	ShowError        object.Switch `ps:"ShowError" help:"Accepted; an error of an expression shows as nothing."`
	DisplayError     object.Switch `ps:"DisplayError" help:"Accepted; an error of an expression shows as nothing."`
	Force            object.Switch `ps:"Force" help:"Accepted for scripts that give it."`
	Expand           string        `ps:"Expand" help:"Accepted for scripts that give it."`
	InputObject      any           `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`

	layout
}

// Begin reads what is to be shown.
func (f *FormatTable) Begin(_ context.Context, c *Call) error {
	f.opts.Shape = format.Table
	f.opts.AutoSize, f.opts.Wrap, f.opts.HideHeaders = bool(f.AutoSize), bool(f.Wrap), bool(f.HideTableHeaders)
	return f.begin(c, f.Property, f.GroupBy)
}

// Run shows one object.
func (f *FormatTable) Run(_ context.Context, c *Call) error { return f.put(c, f.InputObject) }

// End ends the list.
func (f *FormatTable) End(_ context.Context, c *Call) error { return f.end(c) }

// FormatWide is Format-Wide.
type FormatWide struct {
	Property     any           `ps:"Property,position=0" help:"The property to show."`
	AutoSize     object.Switch `ps:"AutoSize" help:"Computes the number of columns."`
	Column       int           `ps:"Column" help:"The number of columns."`
	GroupBy      any           `ps:"GroupBy" help:"Begins a new list where this property changes."`
	View         string        `ps:"View" help:"Accepted; a type has one view."`
	ShowError    object.Switch `ps:"ShowError" help:"Accepted; an error of an expression shows as nothing."`
	DisplayError object.Switch `ps:"DisplayError" help:"Accepted; an error of an expression shows as nothing."`
	Force        object.Switch `ps:"Force" help:"Accepted for scripts that give it."`
	Expand       string        `ps:"Expand" help:"Accepted for scripts that give it."`
	InputObject  any           `ps:"InputObject,pipeline=value,allownull" help:"The objects, usually from the pipeline."`

	layout
}

// Begin reads what is to be shown.
func (f *FormatWide) Begin(_ context.Context, c *Call) error {
	f.opts.Shape = format.Wide
	f.opts.AutoSize, f.opts.PerLine = bool(f.AutoSize), f.Column
	if f.Property == nil {
		return f.begin(c, nil, f.GroupBy)
	}
	return f.begin(c, []any{f.Property}, f.GroupBy)
}

// Run shows one object.
func (f *FormatWide) Run(_ context.Context, c *Call) error { return f.put(c, f.InputObject) }

// End ends the list.
func (f *FormatWide) End(_ context.Context, c *Call) error { return f.end(c) }
