package format

import (
	"strings"

	"busybridge/internal/ps/object"
)

// A layout is the widths and alignments of a table's visible columns.
type layout struct {
	cols  []Column
	width []int
	align []Align
}

// plan decides widths and alignments by the rows collected so far (8.3).
func (w *Writer) plan(b *block, rows []any) *layout {
	l := &layout{}
	fixed := len(b.cols) > 0 && b.cols[0].Width > 0 && !b.opts.AutoSize
	for i := range b.cols {
		c := b.cols[i]
		a := c.Align
		if a == AlignAuto {
			a = alignOf(c.value(rows[0]))
			if fixed { // a view that fixes widths aligns to the left
				a = AlignLeft
			}
		}
		n := c.Width
		if n == 0 || b.opts.AutoSize {
			n = width(c.label())
			for _, r := range rows {
				n = max(n, width(firstLine(w.cell(&c, r))))
			}
		}
		l.cols, l.width, l.align = append(l.cols, c), append(l.width, max(n, 1)), append(l.align, a)
	}
	l.fit(w.cfg.Width)
	return l
}

// fit shrinks the last column until the row fits the screen; a column that would vanish is left out.
func (l *layout) fit(screen int) {
	for len(l.cols) > 0 {
		sum := len(l.cols) - 1
		for _, n := range l.width {
			sum += n
		}
		over := sum - screen
		if over <= 0 {
			return
		}
		last := len(l.cols) - 1
		if l.width[last]-over >= 1 || last == 0 {
			l.width[last] = max(1, l.width[last]-over)
			return
		}
		l.cols, l.width, l.align = l.cols[:last], l.width[:last], l.align[:last]
	}
}

func alignOf(v any) Align {
	b := object.Base(v)
	switch b.(type) {
	case bool, object.Switch, object.Char, object.Enum:
		return AlignRight
	}
	if object.IsNumber(b) {
		return AlignRight
	}
	return AlignLeft
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(normal(s), "\n")
	return line
}

// place pads a text that fits its column.
func place(s string, n int, a Align, last bool) string {
	switch a {
	case AlignRight:
		return padLeft(s, n)
	case AlignCenter:
		left := (n - width(s)) / 2
		return padRight(strings.Repeat(" ", max(0, left))+s, n)
	}
	if last {
		return s
	}
	return padRight(s, n)
}

func (w *Writer) header(b *block) error {
	l := b.layout
	if err := w.blank(1); err != nil {
		return err
	}
	if b.opts.HideHeaders {
		return nil
	}
	heads := make([][]string, len(l.cols))
	dashes := make([]string, len(l.cols))
	for i := range l.cols {
		label := l.cols[i].label()
		dashes[i] = strings.Repeat("-", min(max(width(label), 1), l.width[i]))
		heads[i] = chunks(label, l.width[i])
	}
	if err := w.columns(l, heads); err != nil {
		return err
	}
	line := make([][]string, len(dashes))
	for i, d := range dashes {
		line[i] = []string{d}
	}
	return w.columns(l, line)
}

// chunks cuts s every n cells.
func chunks(s string, n int) []string {
	var out []string
	for {
		p := head(s, n)
		if len(p) == len(s) {
			return append(out, s)
		}
		out, s = append(out, p), s[len(p):]
	}
}

// columns writes lines of cells side by side.
func (w *Writer) columns(l *layout, cells [][]string) error {
	lines := 1
	for _, c := range cells {
		lines = max(lines, len(c))
	}
	for n := range lines {
		var b strings.Builder
		for i, c := range cells {
			if i > 0 {
				b.WriteByte(' ')
			}
			s := ""
			if n < len(c) {
				s = c[n]
			}
			b.WriteString(place(s, l.width[i], l.align[i], i == len(cells)-1))
		}
		if err := w.line(strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) row(b *block, item any) error {
	l := b.layout
	cells := make([][]string, len(l.cols))
	for i := range l.cols {
		text := w.cell(&l.cols[i], item)
		n := l.width[i]
		if b.opts.Wrap {
			for line := range strings.SplitSeq(normal(text), "\n") {
				cells[i] = append(cells[i], Wrap(line, n)...)
			}
			continue
		}
		text = firstLine(text)
		if width(text) > n {
			if l.align[i] == AlignRight { // the end of a number matters
				text = tail(text, n)
				if n > 3 {
					text = "..." + tail(text, n-3)
				}
			} else {
				text = ellipsis(text, n)
			}
		}
		cells[i] = []string{text}
	}
	return w.columns(l, cells)
}

// Wrap breaks a line at blanks into lines of at most n cells, and inside words that are longer.
func Wrap(s string, n int) []string {
	var out []string
	for {
		p := head(s, n)
		rest := s[len(p):]
		if rest == "" {
			return append(out, s)
		}
		if i := strings.LastIndexByte(p, ' '); i > 0 && !strings.HasPrefix(rest, " ") {
			p = s[:i]
			rest = s[i:]
		}
		out, s = append(out, strings.TrimRight(p, " ")), strings.TrimLeft(rest, " ")
	}
}
