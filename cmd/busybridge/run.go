package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"golang.org/x/term"
)

// version is set at build time with -ldflags "-X main.version=…".
var version = "development"

// Exit statuses (docs/architecture.md, the command line).
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// errReported ends a command with status 1 without a further line: what failed
// is on stdout already.
var errReported = errors.New("reported")

// exitStatus is the status that a script ended with; what it had to say it said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usageError marks an error as wrong use of the command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// An env is what a command works with instead of the process's globals.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	verbose        bool
}

// run does the work of main; it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{stdin: stdin, stdout: stdout, stderr: stderr}
	root := e.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	err := root.ExecuteContext(ctx)
	var usage usageError
	var status exitStatus
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, errReported):
		return exitFailed
	case !started, errors.As(err, &usage):
		fmt.Fprintf(stderr, "busybridge: %v\nSee: busybridge %s--help\n", err, commandPath(root, args))
		return exitUsage
	}
	fmt.Fprintf(stderr, "busybridge: %v\n", err)
	return exitFailed
}

// commandPath is the command that args name, with a space at its end, or "".
func commandPath(root *cobra.Command, args []string) string {
	cmd, _, err := root.Find(args)
	if err != nil || cmd == root {
		return ""
	}
	return strings.TrimPrefix(cmd.CommandPath(), root.Name()+" ") + " "
}

func (e *env) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "busybridge",
		Short: "Free/busy between organizations on different calendar systems",
		Long: `busybridge lets two organizations on different calendar systems see each
other's free/busy, trusted by OAuth server-to-server tokens, as Exchange does it
between an on-premises organization and Exchange Online.

Start with: busybridge lab --once`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.PersistentFlags().BoolVarP(&e.verbose, "verbose", "v", false, "say more on standard error")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(e.labCommand(), e.serveCommand(), e.checkCommand(), e.setupCommand(), e.backupCommand(), e.restoreCommand(), e.migrateCommand(), e.availabilityCommand(),
		e.importCommand(), e.shellCommand(), e.tokenCommand(), e.trustCommand(), e.keysCommand(), e.hybridCommand(), e.diagnoseCommand(), e.probeCommand(), e.versionCommand(), e.manCommand(root))
	return root
}

func (e *env) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		goVersion := ""
		if info, ok := debug.ReadBuildInfo(); ok {
			goVersion = " " + info.GoVersion
		}
		_, err := fmt.Fprintf(e.stdout, "busybridge %s%s\n", version, goVersion)
		return err
	}}
}

func (e *env) manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "man DIR", Short: "Write the manual pages into a directory", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		if err := os.MkdirAll(args[0], 0o750); err != nil {
			return err
		}
		return doc.GenManTree(root, &doc.GenManHeader{Title: "BUSYBRIDGE", Section: "1", Source: "busybridge " + version}, args[0])
	}}
}

// logger writes to stderr: in colour on a terminal, as JSON when asked.
func (e *env) logger(level slog.Level, json bool) *slog.Logger {
	if e.verbose {
		level = slog.LevelDebug
	}
	if json {
		return slog.New(slog.NewJSONHandler(e.stderr, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(tint.NewTextHandler(e.stderr, &tint.Options{Level: level, NoColor: !isTerminal(e.stderr)}))
}

// printJSON prints v for programs that people read too.
func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
