package terminal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/syntax"
)

// repaired returns what a text that does not parse was before a paste damaged it (cmdlet reference 1.10), when the
// person consents or the shell was told to repair; else the text as it is, for the session to refuse.
func (s *shell) repaired(ctx context.Context, text string, fault error) (string, error) {
	pe, ok := errors.AsType[*syntax.ParseError](fault)
	if !ok {
		return text, nil
	}
	fixed, changes, ok := syntax.RepairWith(text, func(name string) bool { return s.Session.Lookup(name) != nil })
	if !ok {
		return text, nil
	}
	var list strings.Builder
	src := &syntax.Source{Text: text}
	for _, c := range changes {
		line, char := src.Position(c.Offset)
		fmt.Fprintf(&list, "  line:%d char:%d %s\n", line, char, c.Text)
	}
	const damaged = "The text was damaged on its way."
	switch {
	case s.Repair:
		m := &interp.Message{Kind: "Warning", Text: damaged + " It runs with these changes:\n" + strings.TrimSuffix(list.String(), "\n")}
		return fixed, s.streams.Warning(m)
	case s.ask == nil:
		fmt.Fprintf(s.Err, "%s With --repair it runs with these changes:\n%s", damaged, list.String())
		return text, nil
	}
	list.WriteString("Repaired:\n")
	for line := range strings.SplitSeq(strings.TrimRight(fixed, "\n"), "\n") {
		list.WriteString("    " + line + "\n")
	}
	fmt.Fprint(s.Err, visible(fmt.Sprintf("%s\n%s With these changes it runs:\n%s", pe, damaged, list.String())))
	n, err := s.ask.Choice(ctx, "Repair", "Run the repaired text?", []string{"&Yes", "&No"}, 1)
	if err != nil || n != 0 {
		return text, err
	}
	return fixed, nil
}
