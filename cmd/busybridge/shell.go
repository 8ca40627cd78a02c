package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/app/config"
	"busybridge/internal/app/shell"
	"busybridge/internal/app/terminal"
	"busybridge/internal/lab"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/syntax"
)

// maxScript bounds a script file, in bytes.
const maxScript = 4 << 20

// shellFlags are what busybridge shell is told.
type shellFlags struct {
	lab, config, org, user, passwordFile string
	command                              string
	repair                               bool
	credentials                          map[string]string // user name to file
}

func (e *env) shellCommand() *cobra.Command {
	var f shellFlags
	cmd := &cobra.Command{
		Use:   "shell [FILE.ps1]",
		Short: "Open the management shell",
		Long: `Opens the management shell: the Exchange cmdlets of an organization, or the
MSOnline cmdlets of an authorization server's directory, in a subset of Windows
PowerShell. Get-Command lists the cmdlets, Get-Help NAME -Full explains one.

With --lab it opens a shell in a running lab, as its administrator. With --config
it works on the store of that configuration, beside a server that may be running:
as the operator, or with --user as an account.

A FILE.ps1 or -c COMMAND is run without a terminal; the exit status is that of
exit, or 1 after an error that ended it. C: is a folder: DIR/drive in a lab, else
drive beside the store.`,
		Example: `  busybridge shell --lab lab --org onprem
  busybridge shell --lab lab --org cloud -c 'Get-IntraOrganizationConnector | Format-List'
  busybridge shell --lab lab --org directory --credential admin@contoso.com=password.txt upload.ps1`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return e.shell(cmd, f, args) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.lab, "lab", "", "directory of a running lab")
	fl.StringVar(&f.config, "config", "", "configuration file of a deployment")
	fl.StringVar(&f.org, "org", "", "whose shell: onprem, cloud or directory in a lab; else the name or a domain of an organization, or directory")
	fl.StringVar(&f.user, "user", "", "whose shell it is; in a lab its administrator, else the operator")
	fl.StringVar(&f.passwordFile, "password-file", "", "with --config and --user: read the password from the first line of this file; else "+passwordVariable+", else it is asked for")
	fl.StringVarP(&f.command, "command", "c", "", "run this text")
	fl.BoolVar(&f.repair, "repair", false, "run pasted text that was damaged on its way, repaired")
	fl.StringToStringVar(&f.credentials, "credential", nil, "USER=FILE: Get-Credential takes this user with the password in the first line of FILE")
	cmd.MarkFlagsMutuallyExclusive("lab", "config")
	return cmd
}

func (e *env) shell(cmd *cobra.Command, f shellFlags, args []string) (err error) {
	if f.command != "" && len(args) > 0 {
		return usageError{errors.New("give a file or -c, not both")}
	}
	text, name := f.command, ""
	if len(args) > 0 {
		if text, err = readScript(args[0]); err != nil {
			return err
		}
		if name, err = filepath.Abs(args[0]); err != nil {
			return err
		}
	}
	interactive := text == "" && len(args) == 0
	color := isTerminal(e.stdout) || isTerminal(e.stderr) // files are never painted
	screen := shell.Screen{
		Zone: time.Local, Width: e.width(), Streams: terminal.Streams(e.stdout, e.stderr, color),
		Credentials: f.credential,
	}
	if interactive || isTerminal(e.stdin) {
		screen.Prompt = terminal.NewPrompt(e.stdin, e.stderr)
	}
	ctx := cmd.Context()
	var typed []hostcmd.HistoryEntry
	if interactive {
		// Ctrl-C stops a command and not the shell.
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGTERM)
		defer stop()
		screen.History = func() []hostcmd.HistoryEntry { return typed }
		screen.ClearHost = func() error { return terminal.Clear(e.stdout) }
	}
	s, closing, err := e.openShell(ctx, f, screen)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closing()) }()
	tc := terminal.Config{
		Session: s.Session, In: e.stdin, Out: e.stdout, Err: e.stderr, Prompt: s.Prompt, Banner: s.Banner,
		Repair: f.repair, Color: color, Width: screen.Width,
	}
	var exit int
	if interactive {
		if dir, err := os.UserCacheDir(); err == nil {
			tc.History = filepath.Join(dir, "busybridge", "history")
		}
		tc.Ran = func(text string, start, end time.Time, failed bool) {
			typed = append(typed, hostcmd.HistoryEntry{ID: len(typed) + 1, Line: text, Start: start, End: end, Failed: failed})
		}
		exit, err = terminal.Interactive(ctx, tc)
	} else {
		exit, err = terminal.RunText(ctx, tc, name, text)
	}
	if err == nil && exit != 0 {
		err = exitStatus(exit)
	}
	return err
}

// openShell opens the shell that the flags name.
func (e *env) openShell(ctx context.Context, f shellFlags, screen shell.Screen) (*shell.Shell, func() error, error) {
	log := e.logger(slog.LevelError, false)
	switch {
	case f.lab != "":
		s, err := lab.OpenShell(ctx, f.lab, time.Now, log, lab.ShellOptions{Screen: screen, Org: f.org, User: f.user})
		if err != nil {
			return nil, nil, labError(err)
		}
		return s.Shell, s.Close, nil
	case f.config != "":
		cfg, err := config.Load(f.config, os.Environ())
		if err != nil {
			return nil, nil, err
		}
		o := shell.Local{Screen: screen, Org: f.org, User: f.user}
		if f.user != "" {
			t := target{user: f.user, passwordFile: f.passwordFile}
			if o.Password, err = t.password(e); err != nil {
				return nil, nil, err
			}
		}
		s, closing, err := shell.OpenLocal(ctx, cfg, log, o)
		if errors.Is(err, shell.ErrUsage) {
			err = usageError{err}
		}
		return s, closing, err
	}
	return nil, nil, usageError{errors.New("say whose shell: --lab DIR --org onprem, or --config FILE")}
}

// credential answers Get-Credential from --credential.
func (f *shellFlags) credential(_ context.Context, user, _ string) (*object.Credential, error) {
	if user == "" && len(f.credentials) == 1 {
		for user = range f.credentials {
		}
	}
	for name, file := range f.credentials {
		if !strings.EqualFold(name, user) {
			continue
		}
		password, err := firstLine(file)
		if err != nil {
			return nil, err
		}
		return &object.Credential{UserName: name, Password: object.NewSecureString(password)}, nil
	}
	return nil, hostcmd.ErrNoCredential
}

// firstLine is the first line of a file, without its end.
func firstLine(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	s.Scan()
	return strings.TrimRight(s.Text(), "\r"), s.Err()
}

func readScript(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxScript+1))
	if err == nil && len(b) > maxScript {
		err = fmt.Errorf("%s: a script has at most %d bytes", name, maxScript)
	}
	if err != nil {
		return "", err
	}
	return syntax.Decode(b)
}

// width is that of the terminal, else 120.
func (e *env) width() int {
	if file, ok := e.stdout.(*os.File); ok {
		if w, _, err := term.GetSize(int(file.Fd())); err == nil && w > 20 {
			return w
		}
	}
	return 0
}
