package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/term"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/syntax"
)

// The exit statuses that are the shell's own; exit gives any other.
const (
	exitFailed      = 1
	exitInterrupted = 130 // 128 and the number of SIGINT, as other shells have it
)

// Config is a session and where it meets the world.
type Config struct {
	Session *interp.Session // required
	In      io.Reader       // read by Interactive only
	Out     io.Writer       // required
	Err     io.Writer       // required
	Prompt  func() string   // "[PS] C:\>"; nil: "PS>"
	Banner  string          // shown first on a terminal
	History string          // file that keeps the lines typed; "": they are forgotten with the shell
	Repair  bool            // run repaired text without asking
	Color   bool            // paint errors and warnings where they go to a terminal
	Width   int             // of the screen; 0: the session's
	// Ran hears of each text after it ran; nil: nobody. Get-History lives on it.
	Ran func(text string, start, end time.Time, failed bool)
}

// A shell runs texts for a Config.
type shell struct {
	Config
	streams    interp.Streams
	ask        interp.Prompt  // nil: there is nobody to ask
	interrupts chan os.Signal // nil: only ctx ends a command
}

func newShell(c Config) *shell {
	if c.Prompt == nil {
		c.Prompt = func() string { return "PS>" }
	}
	return &shell{Config: c, streams: Streams(c.Out, c.Err, c.Color)}
}

// RunText runs one text: that of a file called name, or a command line when name is "". The exit status is that of
// exit; 1 after an error that ended the text, and for a command line also when its last command reported one; 130 when
// ctx ended it. The error is not nil when the output could not be written.
func RunText(ctx context.Context, c Config, name, text string) (exit int, err error) {
	s := newShell(c)
	failed, err := s.run(ctx, name, text)
	left, isExit := errors.AsType[*interp.ErrExit](err)
	switch {
	case isExit:
		return left.Code, nil
	case ctx.Err() != nil:
		return exitInterrupted, nil //nolint:nilerr // the status says it
	case err != nil:
		return exitFailed, err
	case failed || name == "" && !c.Session.Succeeded():
		return exitFailed, nil
	}
	return 0, nil
}

// errInterrupted: the line was given up by Ctrl-C.
var errInterrupted = errors.New("interrupted")

// A source gives texts that are complete. Its errors are io.EOF, errInterrupted, that of ctx and those of the input.
type source interface {
	read(ctx context.Context) (string, error)
}

// Interactive runs what is typed until exit, the end of the input or the end of ctx. The exit status is that of exit;
// without a terminal it is 1 when the last text failed. On a terminal SIGINT stops the command that runs, so it must not
// end ctx; without one it ends the shell.
func Interactive(ctx context.Context, c Config) (exit int, err error) {
	s := newShell(c)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	onTerminal := isTerminal(c.In)
	if onTerminal {
		s.ask = NewPrompt(c.In, c.Err)
		s.interrupts = make(chan os.Signal, 1)
		signal.Notify(s.interrupts, os.Interrupt)
		defer signal.Stop(s.interrupts)
		if c.Banner != "" {
			fmt.Fprintln(c.Out, c.Banner)
		}
	} else {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
	}
	var src source
	// The editor knows the terminal of the process only.
	if onTerminal && c.In == io.Reader(os.Stdin) && c.Out == io.Writer(os.Stdout) && isTerminal(c.Out) && os.Getenv("TERM") != "dumb" {
		src = newEditor(s)
	} else {
		src = newPlain(ctx, s, onTerminal)
	}
	failed := false
	for {
		text, err := src.read(ctx)
		switch {
		case ctx.Err() != nil:
			return exitInterrupted, nil
		case errors.Is(err, errInterrupted):
			continue
		case errors.Is(err, io.EOF):
			if failed && !onTerminal {
				return exitFailed, nil
			}
			return 0, nil
		case err != nil:
			return exitFailed, err
		case strings.TrimSpace(text) == "":
			continue
		}
		failed, err = s.command(ctx, text)
		if left, ok := errors.AsType[*interp.ErrExit](err); ok {
			return left.Code, nil
		}
		if err != nil {
			return exitFailed, err
		}
	}
}

// command runs a typed text, which Ctrl-C stops.
func (s *shell) command(ctx context.Context, text string) (failed bool, err error) {
	select {
	case <-s.interrupts: // it came when nothing ran
	default:
	}
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.interrupts:
			cancel()
		case <-ctx.Done():
		}
	}()
	now := s.Session.ObjectContext().Now
	start := now()
	failed, err = s.run(ctx, "", text)
	stopped := ctx.Err() != nil
	cancel()
	<-watched
	if stopped {
		fmt.Fprintln(s.Err) // behind the ^C of the terminal
	}
	failed = failed || err == nil && !s.Session.Succeeded()
	if s.Ran != nil {
		s.Ran(text, start, now(), failed)
	}
	return failed, err
}

// run runs a text and shows what comes of it. failed means that an error ended it, or that it never ran. The error is an
// *interp.ErrExit, or what writing the output gave.
func (s *shell) run(ctx context.Context, name, text string) (failed bool, err error) {
	script, err := syntax.Parse(name, text)
	if err != nil {
		if text, err = s.repaired(ctx, text, err); err != nil {
			return true, s.show(err)
		}
	}
	to := &sink{printer: newPrinter(s.Out, s.Color)}
	w := s.Session.Writer(to, s.width())
	if script != nil {
		err = s.Session.RunScript(ctx, script, w.Write)
	} else {
		err = s.Session.Run(ctx, name, text, w.Write)
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if to.err != nil {
		return true, to.err
	}
	if _, ok := errors.AsType[*interp.ErrExit](err); ok {
		return false, err
	}
	return err != nil, s.show(err)
}

// show writes an error that ended a text to the error stream, except that somebody stopped it.
func (s *shell) show(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	if pe, ok := errors.AsType[*syntax.ParseError](err); ok {
		return s.streams.Error(interp.ParseRecord(pe))
	}
	return s.streams.Error(object.AsRecord(err))
}

func (s *shell) width() int {
	if w, _ := screenSize(s.Out); w > 0 {
		return w
	}
	return s.Width
}

// A sink is the output with the first error that it gave, which the session takes for one of the script.
type sink struct {
	*printer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.err == nil {
		s.err = s.print("", string(p))
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// Clear empties the screen; on anything but a terminal it does nothing.
func Clear(out io.Writer) error {
	if !isTerminal(out) {
		return nil
	}
	_, err := io.WriteString(out, "\x1b[H\x1b[2J\x1b[3J")
	return err
}

// descriptor calls f with the number of a file. os.File.Fd would make its reads forget deadlines.
func descriptor(file *os.File, f func(fd int)) {
	if c, err := file.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { f(int(fd)) }) // a closed file is no terminal
	}
}

func isTerminal(v any) (yes bool) {
	if f, ok := v.(*os.File); ok {
		descriptor(f, func(fd int) { yes = term.IsTerminal(fd) })
	}
	return yes
}

// screenSize is the size of a terminal in characters; 0 when v is none.
func screenSize(v any) (width, height int) {
	if f, ok := v.(*os.File); ok {
		descriptor(f, func(fd int) {
			if w, h, err := term.GetSize(fd); err == nil {
				width, height = w, h
			}
		})
	}
	return width, height
}
