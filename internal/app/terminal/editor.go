package terminal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/reeflective/readline"
	"github.com/reeflective/readline/inputrc"
)

// continuation stands before the lines that end an unfinished text.
const continuation = ">> "

// An editor reads texts with the line editor of the process's terminal.
type editor struct {
	shell   *shell
	rl      *readline.Shell
	history *history
}

func newEditor(s *shell) *editor {
	h, err := openHistory(s.History)
	if err != nil {
		h.file = ""
		fmt.Fprintf(s.Err, "Lines are not kept: %v\n", err)
	}
	e := &editor{shell: s, rl: readline.NewShell(), history: h}
	maps.Copy(e.rl.Config.Vars, map[string]any{
		"input-meta": true, "output-meta": true, "convert-meta": false, // else only ASCII arrives
		"enable-bracketed-paste": true,  // lines pasted are one text
		"multiline-column":       true,  // shows the continuation prompt
		"completion-ignore-case": false, // complete relies on it
		// The probe loses keys that come together with the terminal's answer, and waits for ever without one.
		"cursor-position-probe": false,
	})
	for _, keys := range []string{"emacs", "vi-insert"} {
		e.rl.Config.Binds[keys]["\t"] = inputrc.Bind{Action: "menu-complete"} // takes the first proposal and shows all
	}
	e.rl.History.Delete()
	e.rl.History.Add("history", h)
	e.rl.Prompt.Primary(e.prompt)
	e.rl.Prompt.Secondary(func() string { return continuation })
	e.rl.AcceptMultiline = func(text []rune) bool { return !unfinished(string(text)) }
	e.rl.Completer = e.complete
	e.rl.PasteTransformer = visible
	return e
}

// prompt is the shell's prompt behind sequences that scroll the screen until there is room for the text and a row below
// it. The editor needs that row and cannot see where the screen ends without its probe.
func (e *editor) prompt() string {
	prompt := e.shell.Prompt()
	width, rows := e.shell.width(), 1
	if width <= 0 {
		width = 80
	}
	for line := range strings.SplitSeq(string(*e.rl.Line()), "\n") {
		rows += 1 + (len(prompt)+len(line))/width // a byte is at least as wide as its part of a character
	}
	const down, up = "\x1bD", "\x1b[%dA%s" // the first scrolls at the edge, and neither changes the column
	return strings.Repeat(down, rows) + fmt.Sprintf(up, rows, prompt)
}

func (e *editor) read(ctx context.Context) (string, error) {
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	// A prompt begins a line of its own: blanks up to the edge wrap only when something stands before them.
	if w, _ := screenSize(e.shell.Out); w > 1 {
		fmt.Fprintf(e.shell.Out, "%*s\r%s", w-1, "", clearLine)
	}
	stop := context.AfterFunc(ctx, func() {
		const ctrlC = '\x03'
		e.rl.Keys.Feed(false, ctrlC, ctrlC, ctrlC) // the first may only leave a menu
		e.rl.Keys.RequestRefresh()
	})
	defer stop()
	text, err := e.rl.Readline()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, readline.ErrInterrupt):
		return "", errInterrupted
	case err != nil:
		return "", err
	}
	if err := e.history.add(text); err != nil {
		fmt.Fprintf(e.shell.Err, "Lines are not kept: %v\n", err)
		e.history.file = ""
	}
	return text, nil
}
