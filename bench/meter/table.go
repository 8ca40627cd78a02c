package meter

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// A Row is one budget: a figure, what it is compared with, and what is asked of
// it.
type Row struct {
	Name     string // begins with the budget's name: P1
	Figure   string // with its unit
	Beside   string // what was measured in the same run to compare with; may be empty
	Ratio    float64
	Gate     Limit
	Moonshot Limit
}

// A Limit is what a value must hold. The zero Limit asks for nothing.
type Limit struct {
	Text    string // as it is printed: "<= C/50"
	Value   float64
	Bound   float64
	AtLeast bool // else at most
}

// AtMost is a limit on value, written as text; a bound of 0 is none.
func AtMost(value, bound float64, text string) Limit {
	if bound == 0 {
		return Limit{}
	}
	return Limit{Text: "<= " + text, Value: value, Bound: bound}
}

// AtLeast is the other way round.
func AtLeast(value, bound float64, text string) Limit {
	if bound == 0 {
		return Limit{}
	}
	return Limit{Text: ">= " + text, Value: value, Bound: bound, AtLeast: true}
}

// Asked reports whether there is a limit.
func (l Limit) Asked() bool { return l.Bound != 0 }

// Holds reports whether the value keeps the limit.
func (l Limit) Holds() bool {
	if l.AtLeast {
		return l.Value >= l.Bound
	}
	return l.Value <= l.Bound
}

// Verdict is of the gate.
func (r Row) Verdict() string {
	switch {
	case !r.Gate.Asked():
		return ""
	case r.Gate.Holds():
		return "pass"
	}
	return "falls short"
}

// moonshot says whether it is held, or how far away it is.
func (r Row) moonshot() string {
	l := r.Moonshot
	switch {
	case !l.Asked():
		return ""
	case l.Holds():
		return l.Text + ": held"
	case l.AtLeast:
		return fmt.Sprintf("%s: at %.2f of it", l.Text, l.Value/l.Bound)
	}
	return fmt.Sprintf("%s: %.2f times it", l.Text, l.Value/l.Bound)
}

// A Table prints rows in columns.
type Table struct {
	w     *tabwriter.Writer
	begun bool
}

// NewTable begins a table; without rows nothing is printed.
func NewTable(to io.Writer) *Table { return &Table{w: tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)} }

// Add appends rows.
func (t *Table) Add(rows ...Row) {
	for _, r := range rows {
		if !t.begun {
			fmt.Fprintln(t.w, "budget\tfigure\tbeside, of the same run\tratio\tgate\tmoonshot\tverdict")
			t.begun = true
		}
		ratio := ""
		if r.Ratio != 0 {
			ratio = fmt.Sprintf("%.2f", r.Ratio)
		}
		fmt.Fprintf(t.w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Figure, r.Beside, ratio, r.Gate.Text, r.moonshot(), r.Verdict())
	}
}

// Flush writes what was added.
func (t *Table) Flush() error { return t.w.Flush() }
