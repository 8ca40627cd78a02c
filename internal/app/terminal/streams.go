package terminal

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// Escape sequences, ECMA-48 8.3.41 and 8.3.117.
const (
	clearLine = "\x1b[K"
	plainText = "\x1b[0m"
	red       = "\x1b[91m"
	yellow    = "\x1b[93m"
)

// consoleColors are the names that -ForegroundColor takes.
var consoleColors = map[string]string{
	"black": "\x1b[30m", "darkred": "\x1b[31m", "darkgreen": "\x1b[32m", "darkyellow": "\x1b[33m",
	"darkblue": "\x1b[34m", "darkmagenta": "\x1b[35m", "darkcyan": "\x1b[36m", "gray": "\x1b[37m",
	"darkgray": "\x1b[90m", "red": red, "green": "\x1b[92m", "yellow": yellow,
	"blue": "\x1b[94m", "magenta": "\x1b[95m", "cyan": "\x1b[96m", "white": "\x1b[97m",
}

// Streams shows the records of a session as Windows PowerShell 5.1 does. Text for the screen (Write-Host, Out-Host) goes
// to out, the rest to err. Color paints, and shows progress, but never in a file. A terminal gets no control characters
// but ours.
func Streams(out, err io.Writer, color bool) interp.Streams {
	o, e := newPrinter(out, color), newPrinter(err, color)
	note := func(prefix string) interp.Stream {
		return func(v any) error { return e.print(yellow, prefix+object.Display(v)+"\n") }
	}
	s := interp.Streams{Warning: note("WARNING: "), Verbose: note("VERBOSE: "), Debug: note("DEBUG: ")}
	s.Error = func(v any) error {
		text := object.Display(v)
		if r, ok := object.Base(v).(*object.ErrorRecord); ok {
			width, _ := screenSize(err)
			text = format.Error(r, width) + "\n"
		}
		return e.print(red, text+"\n")
	}
	s.Information = func(v any) error {
		m, ok := v.(*interp.Message)
		switch {
		case !ok:
			return o.print("", object.Display(v)+"\n")
		case m.NoNewline:
			return o.print(consoleColors[strings.ToLower(m.Foreground)], m.Text)
		case slices.Contains(m.Tags, "PSHOST"):
			return o.print(consoleColors[strings.ToLower(m.Foreground)], m.Text+"\n")
		}
		return e.print("", m.Text+"\n")
	}
	if e.paint {
		s.Progress = e.progress
	}
	return s
}

// A printer writes texts to what may be a terminal.
type printer struct {
	w     io.Writer
	paint bool // in colours
	guard bool // w is a terminal, and obeys control characters
}

func newPrinter(w io.Writer, color bool) *printer {
	_, isFile := w.(*os.File)
	terminal := isTerminal(w)
	return &printer{w: w, paint: color && (terminal || !isFile), guard: terminal || color && !isFile}
}

func (p *printer) print(color, text string) error {
	if p.guard {
		text = visible(text)
	}
	if p.paint {
		end := ""
		if body, ok := strings.CutSuffix(text, "\n"); ok { // the colour must not reach into the next line
			text, end = body, "\n"
		}
		if color != "" {
			text = color + text + plainText
		}
		text = clearLine + text + end // clears what a line of progress left
	}
	_, err := io.WriteString(p.w, text)
	return err
}

// visible replaces control characters: names and messages come from others, who must not command the terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ReplaceAll(text, "\r\n", "\n"))
}

// progress shows one line that the next one replaces.
func (p *printer) progress(v any) error {
	m, ok := v.(*interp.Message)
	if !ok {
		return nil
	}
	text := m.Activity
	if m.Text != "" {
		text += ": " + m.Text
	}
	if m.Percent >= 0 {
		text += fmt.Sprintf(" (%d%%)", m.Percent)
	}
	width, _ := screenSize(p.w)
	if width == 0 {
		width = 80
	}
	text = visible(strings.Join(strings.Fields(text), " "))
	if line := []rune(text); len(line) >= width {
		text = string(line[:width-1])
	}
	_, err := io.WriteString(p.w, "\r"+clearLine+text+"\r")
	return err
}
