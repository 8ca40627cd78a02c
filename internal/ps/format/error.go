package format

import (
	"strings"

	"busybridge/internal/ps/object"
)

// Error is the console text of an error in Windows PowerShell 5.1 (section 9): the message behind the command's
// name, the place, the category and the id. Lines longer than the screen go on in the next one.
func Error(r *object.ErrorRecord, screen int) string {
	if screen <= 0 {
		screen = 120
	}
	var b strings.Builder
	message := r.Message()
	if r.Activity != "" && r.Position != nil {
		message = r.Activity + " : " + message
	}
	place := r.Position.PositionText()
	if place != "" {
		place += "\n"
	}
	if r.Category == object.ParserError { // its message begins with the place
		b.WriteString(place)
		place = ""
	}
	for line := range strings.SplitSeq(normal(message), "\n") {
		for _, part := range Wrap(line, screen) {
			b.WriteString(part + "\n")
		}
	}
	b.WriteString(place)
	note := func(name, text string) {
		line := "    + " + padRight(name, 21) + " : " + text
		for lead := ""; ; lead = "   " { // continued lines are indented by three
			p := head(line, max(1, screen-len(lead)))
			b.WriteString(lead + p + "\n")
			if line = line[len(p):]; line == "" {
				return
			}
		}
	}
	note("CategoryInfo", r.CategoryInfo())
	note("FullyQualifiedErrorId", r.ID)
	for _, n := range r.Extra {
		note(n.Name, n.Text)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
