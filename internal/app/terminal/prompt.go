package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"busybridge/internal/ps/interp"
)

// An asker asks at a terminal. Ctrl-C at a question stops the command that asked.
type asker struct {
	in  *os.File
	out io.Writer
}

// NewPrompt asks on out and reads the answers from in; nil when in is no terminal.
func NewPrompt(in io.Reader, out io.Writer) interp.Prompt {
	if f, ok := in.(*os.File); ok && isTerminal(f) {
		return &asker{f, out}
	}
	return nil
}

// Line asks for a line.
func (a *asker) Line(ctx context.Context, prompt string) (string, error) {
	return a.question(ctx, prompt, func(t *term.Terminal, p string) (string, error) {
		t.SetPrompt(p)
		return t.ReadLine()
	})
}

// Secret asks for a line that is not shown.
func (a *asker) Secret(ctx context.Context, prompt string) (string, error) {
	return a.question(ctx, prompt, (*term.Terminal).ReadPassword)
}

// Choice asks until one of the labels is chosen, by its letter or as a whole (cmdlet reference 3.4).
func (a *asker) Choice(ctx context.Context, caption, message string, labels []string, def int) (int, error) {
	var menu, help strings.Builder
	keys, names := make([]string, len(labels)), make([]string, len(labels))
	for i, l := range labels {
		names[i] = strings.Replace(l, "&", "", 1)
		keys[i] = names[i]
		if _, after, ok := strings.Cut(l, "&"); ok && after != "" {
			keys[i] = strings.ToUpper(string([]rune(after)[:1]))
		}
		fmt.Fprintf(&menu, "[%s] %s  ", keys[i], names[i])
		fmt.Fprintf(&help, "%s - %s\n", keys[i], names[i])
	}
	menu.WriteString("[?] Help")
	if def >= 0 && def < len(labels) {
		hint, gap := fmt.Sprintf("(default is %q)", keys[def]), " "
		if w, _ := screenSize(a.in); menu.Len()+len(hint)+3 > w && w > 0 {
			gap = "\n"
		}
		menu.WriteString(gap + hint)
	}
	for _, text := range []string{caption, message} {
		if text != "" {
			fmt.Fprintln(a.out, text)
		}
	}
	for {
		answer, err := a.Line(ctx, menu.String()+": ")
		if err != nil {
			return 0, err
		}
		answer = strings.TrimSpace(answer)
		if answer == "" && def >= 0 {
			return def, nil
		}
		for i := range labels {
			if strings.EqualFold(answer, keys[i]) || strings.EqualFold(answer, names[i]) {
				return i, nil
			}
		}
		if answer == "?" {
			fmt.Fprint(a.out, help.String())
		}
	}
}

// question reads an answer with the terminal in raw mode: Ctrl-C comes as a key then.
func (a *asker) question(ctx context.Context, prompt string, read func(t *term.Terminal, prompt string) (string, error)) (answer string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if head, last, ok := cutLast(prompt, "\n"); ok {
		fmt.Fprintln(a.out, head)
		prompt = last
	}
	tty := a.in
	if tty.SetReadDeadline(time.Time{}) != nil { // standard input is opened by others, without deadlines
		if f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
			defer f.Close()
			tty = f
		}
	}
	stop := context.AfterFunc(ctx, func() {
		_ = tty.SetReadDeadline(time.Unix(1, 0)) // without deadlines the question waits for its answer
	})
	defer stop()
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{byteReader{tty}, a.out}, "")
	descriptor(a.in, func(fd int) {
		var old *term.State
		if old, err = term.MakeRaw(fd); err != nil {
			return
		}
		defer func() { err = errors.Join(err, term.Restore(fd, old)) }()
		if w, h, err := term.GetSize(fd); err == nil && w > 0 {
			_ = t.SetSize(w, h) // nothing is on the screen yet
		}
		answer, err = read(t, prompt)
	})
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, io.EOF): // Ctrl-C or Ctrl-D
		err = context.Canceled
	}
	if err != nil {
		fmt.Fprintln(a.out)
	}
	return answer, err
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}

// A byteReader reads no further than the line that is asked for: what is typed ahead belongs to whoever reads next.
type byteReader struct{ r io.Reader }

func (b byteReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return b.r.Read(p[:1])
}
