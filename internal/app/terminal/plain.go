package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"busybridge/internal/ps/syntax"
)

// unfinished reports whether more lines must follow text.
func unfinished(text string) bool {
	_, err := syntax.Parse("", text)
	pe, ok := errors.AsType[*syntax.ParseError](err)
	return ok && pe.Incomplete
}

// A plain source reads lines without an editor. A text ends with the first line that can end it, as it does in Windows
// PowerShell when its commands come from a pipe: else and catch stand behind the brace.
type plain struct {
	shell   *shell
	prompts bool
	wanted  chan struct{}
	lines   chan plainLine
}

type plainLine struct {
	text string
	err  error
}

// newPlain starts a reader that is only at work when a line is wanted, so that questions can be answered on the same
// terminal. It ends with ctx, but nothing ends a read that waits for input.
func newPlain(ctx context.Context, s *shell, prompts bool) *plain {
	p := &plain{shell: s, prompts: prompts, wanted: make(chan struct{}, 1), lines: make(chan plainLine, 1)}
	go func() {
		in := bufio.NewScanner(s.In)
		in.Buffer(nil, syntax.MaxSource)
		for {
			select {
			case <-p.wanted:
			case <-ctx.Done():
				return
			}
			if !in.Scan() {
				err := in.Err()
				if err == nil {
					err = io.EOF
				}
				p.lines <- plainLine{err: err}
				return
			}
			p.lines <- plainLine{text: in.Text()}
		}
	}()
	return p
}

func (p *plain) read(ctx context.Context) (string, error) {
	var text strings.Builder
	prompt := p.shell.Prompt()
	for {
		if p.prompts {
			fmt.Fprint(p.shell.Out, prompt)
			prompt = continuation
		}
		line, err := p.line(ctx)
		if errors.Is(err, io.EOF) && text.Len() > 0 {
			p.lines <- plainLine{err: io.EOF} // for the next read
			return text.String(), nil
		}
		if err != nil {
			return "", err
		}
		text.WriteString(line)
		if text.Len() > syntax.MaxSource || !unfinished(text.String()) {
			return text.String(), nil
		}
		text.WriteByte('\n')
	}
}

func (p *plain) line(ctx context.Context) (string, error) {
	select {
	case p.wanted <- struct{}{}:
	default: // it was wanted before, and ctx ended
	}
	select {
	case l := <-p.lines:
		return strings.TrimPrefix(l.text, "\ufeff"), l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
