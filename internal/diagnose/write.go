package diagnose

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
)

// Text writes the report for people. With all, the log of the token is there, too.
func (r *Report) Text(w io.Writer, all bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s asks for %s, from %s", r.From, r.To, r.Organization)
	if r.Server != "" {
		fmt.Fprintf(&b, " at %s", r.Server)
	}
	fmt.Fprintf(&b, "\ncorrelation id %s\n\n", r.CorrelationID)
	for i := range r.Steps {
		s := &r.Steps[i]
		fmt.Fprintf(&b, "%2d  %-13s %-14s %9s  ", s.Hop, s.Name, s.Verdict, s.Took)
		for n, f := range s.Facts {
			if n > 0 {
				b.WriteString("\n" + strings.Repeat(" ", 44))
			}
			fmt.Fprintf(&b, "%s: %s", f.Name, f.Value)
		}
		trimEnd(&b)
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\n%s\n", r.Summary())
	if f := r.Failure; f != nil {
		f.text(&b)
	}
	for _, t := range r.Warnings {
		fmt.Fprintf(&b, "\nWarning: %s\n", t)
	}
	if all && len(r.Log) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(r.Log, "\n"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// trimEnd takes spaces away from the end.
func trimEnd(b *strings.Builder) {
	s := strings.TrimRight(b.String(), " ")
	b.Reset()
	b.WriteString(s)
}

// Summary is the outcome in one line.
func (r *Report) Summary() string {
	if f := r.Failure; f != nil {
		return fmt.Sprintf("Hop %d, %s: %s.", f.Hop, f.Hop, f.Title)
	}
	return fmt.Sprintf("The question was answered, in %s.", r.Took)
}

func (f *Failure) text(b *strings.Builder) {
	fmt.Fprintf(b, "Cause:  %s\n", f.Cause)
	if f.Object != "" {
		fmt.Fprintf(b, "Object: %s\n", f.Object)
	}
	if f.Value != "" {
		fmt.Fprintf(b, "Value:  %s\n", f.Value)
	}
	if f.Said != "" {
		fmt.Fprintf(b, "Said:   %s\n", f.Said)
	}
	for _, m := range f.Remedies {
		fmt.Fprintf(b, "\nTo do %s: %s\n", where[m.Where], m.Text)
		for _, c := range m.Commands {
			fmt.Fprintf(b, "    %s\n", c)
		}
	}
	fmt.Fprintf(b, "\nMore:   %s\n", f.More)
}

var where = map[string]string{
	Here: "here", There: "in the organization that is asked", Tenant: "in the directory of the tenant",
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

//go:embed report.html
var pages embed.FS

// HTML writes the report as a page that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	t, err := template.New("report.html").Funcs(template.FuncMap{"where": func(s string) string { return where[s] }}).ParseFS(pages, "report.html")
	if err != nil {
		return err
	}
	return t.Execute(w, r)
}
