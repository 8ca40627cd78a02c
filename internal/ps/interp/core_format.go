package interp

import (
	"context"
	"strings"

	"busybridge/internal/ps/format"
	"busybridge/internal/ps/object"
)

// sheetOf makes the columns of a Format- cmdlet.
func sheetOf(c *Call, shape format.Shape, props []any, groupBy any) (*format.Sheet, error) {
	s := &format.Sheet{Options: format.Options{Shape: shape}}
	var err error
	if s.Columns, err = formatColumns(c, props); err != nil {
		return nil, err
	}
	if groupBy != nil {
		g, err := formatColumns(c, []any{groupBy})
		if err != nil {
			return nil, err
		}
		s.GroupBy = &g[0]
	}
	return s, nil
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
	Property     []any         `ps:"Property,position=0"`
	GroupBy      any           `ps:"GroupBy"`
	View         string        `ps:"View"`
	ShowError    object.Switch `ps:"ShowError"`
	DisplayError object.Switch `ps:"DisplayError"`
	Force        object.Switch `ps:"Force"`
	Expand       string        `ps:"Expand"`
	InputObject  any           `ps:"InputObject,pipeline=value,allownull"`

	items []any
}

// Run keeps one object.
func (f *FormatList) Run(_ context.Context, _ *Call) error {
	f.items = append(f.items, f.InputObject)
	return nil
}

// End writes the sheet.
func (f *FormatList) End(_ context.Context, c *Call) error {
	s, err := sheetOf(c, format.List, f.Property, f.GroupBy)
	if err != nil || len(f.items) == 0 {
		return err
	}
	s.Items = f.items
	return c.Emit(s)
}

// FormatTable is Format-Table (16.1).
type FormatTable struct {
	Property         []any         `ps:"Property,position=0"`
	AutoSize         object.Switch `ps:"AutoSize"`
	Wrap             object.Switch `ps:"Wrap"`
	HideTableHeaders object.Switch `ps:"HideTableHeaders"`
	GroupBy          any           `ps:"GroupBy"`
	View             string        `ps:"View"`
	ShowError        object.Switch `ps:"ShowError"`
	DisplayError     object.Switch `ps:"DisplayError"`
	Force            object.Switch `ps:"Force"`
	Expand           string        `ps:"Expand"`
	InputObject      any           `ps:"InputObject,pipeline=value,allownull"`

	items []any
}

// Run keeps one object.
func (f *FormatTable) Run(_ context.Context, _ *Call) error {
	f.items = append(f.items, f.InputObject)
	return nil
}

// End writes the sheet.
func (f *FormatTable) End(_ context.Context, c *Call) error {
	s, err := sheetOf(c, format.Table, f.Property, f.GroupBy)
	if err != nil || len(f.items) == 0 {
		return err
	}
	s.AutoSize, s.Wrap, s.HideHeaders, s.Items = bool(f.AutoSize), bool(f.Wrap), bool(f.HideTableHeaders), f.items
	return c.Emit(s)
}

// FormatWide is Format-Wide.
type FormatWide struct {
	Property    any           `ps:"Property,position=0"`
	AutoSize    object.Switch `ps:"AutoSize"`
	Column      int           `ps:"Column"`
	GroupBy     any           `ps:"GroupBy"`
	InputObject any           `ps:"InputObject,pipeline=value,allownull"`

	items []any
}

// Run keeps one object.
func (f *FormatWide) Run(_ context.Context, _ *Call) error {
	f.items = append(f.items, f.InputObject)
	return nil
}

// End writes the sheet.
func (f *FormatWide) End(_ context.Context, c *Call) error {
	var props []any
	if f.Property != nil {
		props = []any{f.Property}
	}
	s, err := sheetOf(c, format.Wide, props, f.GroupBy)
	if err != nil || len(f.items) == 0 {
		return err
	}
	s.AutoSize, s.PerLine, s.Items = bool(f.AutoSize), f.Column, f.items
	return c.Emit(s)
}
