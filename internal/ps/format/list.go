package format

import (
	"strings"
	"unicode/utf8"

	"busybridge/internal/ps/object"

	"github.com/rivo/uniseg"
)

// width is the number of screen cells of s.
func width(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return uniseg.StringWidth(s)
		}
	}
	return len(s)
}

// head is the longest beginning of s that fits n cells, at least one character.
func head(s string, n int) string {
	cells := 0
	for i, r := range s {
		c := width(string(r))
		if cells+c > n && i > 0 {
			return s[:i]
		}
		cells += c
	}
	return s
}

// tail is the longest end of s that fits n cells.
func tail(s string, n int) string {
	at, cells := len(s), 0
	for at > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:at])
		if cells += width(string(r)); cells > n {
			break
		}
		at -= size
	}
	return s[at:]
}

func padRight(s string, n int) string { return s + strings.Repeat(" ", max(0, n-width(s))) }

func padLeft(s string, n int) string { return strings.Repeat(" ", max(0, n-width(s))) + s }

// listItem writes one object as label and value lines (8.2).
func (w *Writer) listItem(item any) error {
	b := w.block
	lead := 1
	if b.count == 0 {
		lead = 2
		if b.grouped {
			lead = 1
		}
	}
	b.count++
	if err := w.blank(lead); err != nil {
		return err
	}
	cols := b.cols
	if cols == nil {
		for _, n := range defaults(item) {
			cols = append(cols, Column{Name: n})
		}
	} else {
		cols = expand(item, cols)
	}
	labels := 0
	for i := range cols {
		labels = max(labels, width(cols[i].label()))
	}
	const sep = " : "
	labels = max(1, min(labels, w.cfg.Width-len(sep)-1))
	room := max(1, w.cfg.Width-labels-len(sep))
	indent := strings.Repeat(" ", labels+len(sep))
	for i := range cols {
		c := &cols[i]
		lead := padRight(head(c.label(), labels), labels) + sep
		for line := range strings.SplitSeq(normal(w.cell(c, item)), "\n") {
			for {
				part := head(line, room)
				if err := w.line(lead + part); err != nil {
					return err
				}
				lead = indent
				if line = line[len(part):]; line == "" {
					break
				}
			}
		}
	}
	return nil
}

// normal makes every line end a \n.
func normal(s string) string {
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// cell is the text of a column's value.
func (w *Writer) cell(c *Column, item any) string {
	v := c.value(item)
	if c.Format != "" {
		if s, err := object.ToStringFormat(v, c.Format); err == nil {
			return s
		}
	}
	return cellText(v, w.cfg.Limit)
}

// wide writes the names in columns.
func (w *Writer) wide(rows []any) error {
	b := w.block
	if b.count == 0 {
		if err := w.blank(1); err != nil {
			return err
		}
	}
	b.count += len(rows)
	c := &b.cols[0]
	texts := make([]string, len(rows))
	longest := 1
	for i, r := range rows {
		texts[i], _, _ = strings.Cut(normal(w.cell(c, r)), "\n")
		longest = max(longest, width(texts[i]))
	}
	perLine := b.perLine()
	if b.opts.AutoSize && b.opts.PerLine <= 0 {
		perLine = max(1, (w.cfg.Width+1)/(longest+1))
	}
	room := max(1, (w.cfg.Width-perLine+1)/perLine)
	if b.opts.AutoSize {
		room = min(room, longest)
	}
	for i := 0; i < len(texts); i += perLine {
		var line strings.Builder
		for j, t := range texts[i:min(i+perLine, len(texts))] {
			if j > 0 {
				line.WriteByte(' ')
			}
			line.WriteString(padRight(ellipsis(t, room), room))
		}
		if err := w.line(strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// ellipsis cuts s to n cells; the last three are dots when there is room for them.
func ellipsis(s string, n int) string {
	switch {
	case width(s) <= n:
		return s
	case n < 4:
		return head(s, n)
	}
	return head(s, n-3) + "..."
}
