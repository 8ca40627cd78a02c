package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"busybridge/internal/app"
	"busybridge/internal/app/config"
	"busybridge/internal/directory"
	"busybridge/internal/lab"
	"busybridge/internal/trust"
)

func (e *env) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Explain tokens, and list those that were refused",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: token explain, token refused")}
		},
	}
	cmd.AddCommand(e.tokenExplainCommand(), e.tokenRefusedCommand())
	return cmd
}

// storeFlags say which organization's store a command reads.
type storeFlags struct{ lab, config, org string }

func (f *storeFlags) flags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.lab, "lab", "", "directory of a lab")
	fs.StringVar(&f.config, "config", "", "configuration file of a deployment")
	fs.StringVar(&f.org, "org", "", "organization: onprem or cloud in a lab; else its name or a domain, where there are several")
	cmd.MarkFlagsMutuallyExclusive("lab", "config")
}

// open opens the store beside a server that may be running.
func (f *storeFlags) open(ctx context.Context, e *env) (d *app.Deployment, org *directory.Organization, err error) {
	log, name := e.logger(slog.LevelWarn, false), f.org
	switch {
	case f.lab != "":
		if d, err = lab.OpenDeployment(ctx, f.lab, f.org, time.Now, log); errors.Is(err, lab.ErrUsage) {
			err = usageError{err}
		}
		name = ""
	case f.config != "":
		var cfg *config.Config
		if cfg, err = config.Load(f.config, os.Environ()); err != nil {
			return nil, nil, err
		}
		d, err = app.OpenBeside(ctx, cfg, log)
	default:
		err = usageError{errors.New("say whose: --lab DIR --org onprem, or --config FILE")}
	}
	if err != nil {
		return nil, nil, err
	}
	if org, err = d.Organization(ctx, name); err != nil {
		if errors.Is(err, app.ErrChoose) {
			err = usageError{fmt.Errorf("--org: %w", err)}
		}
		return nil, nil, errors.Join(err, d.Close())
	}
	return d, org, nil
}

func (e *env) tokenExplainCommand() *cobra.Command {
	var (
		f        storeFlags
		host, at string
		asJSON   bool
	)
	cmd := &cobra.Command{
		Use:   "explain [FILE|-|TOKEN]",
		Short: "Say which checks a bearer token passes at an organization, which fails, and what to do",
		Long: `Decodes a bearer token and does with it what a server of the organization does:
the same checks against the same objects, each with its outcome in words, and what
to do about the one that fails. Signatures are never printed, and nothing is
recorded.

The token is read from a FILE or from standard input, and may still have
"Authorization: Bearer" before it. A TOKEN on the command line works too, but is
seen by other users of the machine and stays in the shell's history.

The exit status is 1 when the token is refused.`,
		Example: `  busybridge token explain --config busybridge.yaml token.txt
  busybridge token explain --lab lab --org onprem --json - <token.txt
  busybridge token explain --config busybridge.yaml --at 2026-01-15T08:00:00Z token.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			q := app.TokenQuestion{Host: host}
			if at != "" {
				if q.At, err = time.Parse(time.RFC3339, at); err != nil {
					return usageError{fmt.Errorf("--at %q is no time: want 2026-01-15T08:00:00Z", at)}
				}
			}
			d, org, err := f.open(cmd.Context(), e)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, d.Close()) }()
			q.Org = org
			if q.Token, err = e.readToken(args); err != nil {
				return err
			}
			x, err := d.ExplainToken(cmd.Context(), q)
			if err != nil {
				return err
			}
			if asJSON {
				err = e.printJSON(x)
			} else {
				_, err = io.WriteString(e.stdout, explanationText(x))
			}
			if err == nil && !x.Accepted {
				err = errReported
			}
			return err
		},
	}
	f.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&host, "host", "", "host that the request was sent to; default: the one that the token names, if it is the organization's")
	fs.StringVar(&at, "at", "", "look at it as of this time, e.g. 2026-01-15T08:00:00Z; default: now")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// maxTokenInput bounds what is read as a token; the validator's own limit is lower.
const maxTokenInput = 1 << 20

// readToken reads the token that the arguments name.
func (e *env) readToken(args []string) (string, error) {
	var in io.Reader = e.stdin
	if len(args) == 1 && args[0] != "-" {
		if looksLikeToken(args[0]) {
			fmt.Fprintln(e.stderr, "busybridge: warning: a token on the command line is seen by other users and stays in the history; give a file, or - for standard input")
			return bareToken(args[0]), nil
		}
		file, err := os.Open(args[0])
		if err != nil {
			return "", err
		}
		defer file.Close()
		in = file
	} else if isTerminal(e.stdin) {
		fmt.Fprintln(e.stderr, "Paste the token and end with Ctrl-D:")
	}
	b, err := io.ReadAll(io.LimitReader(in, maxTokenInput+1))
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	token := bareToken(string(b))
	switch {
	case len(b) > maxTokenInput:
		return "", fmt.Errorf("read token: more than %d bytes", maxTokenInput)
	case token == "":
		return "", usageError{errors.New("no token was given")}
	}
	return token, nil
}

// looksLikeToken reports whether an argument is a token and no file's name:
// every token begins with base64 of {" or {.
func looksLikeToken(s string) bool {
	return strings.HasPrefix(bareToken(s), "ey") && strings.Count(s, ".") >= 2
}

// bareToken is s without what may stand around a token: the header's name, the
// scheme, quotes, line ends.
func bareToken(s string) string {
	s = strings.Trim(strings.TrimSpace(s), `"'`)
	for _, before := range []string{"authorization:", "bearer "} {
		if len(s) >= len(before) && strings.EqualFold(s[:len(before)], before) {
			s = strings.TrimSpace(s[len(before):])
		}
	}
	return s
}

// explanationText is an explanation for people.
func explanationText(x *trust.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Sent to %s, looked at as of %s\nKind: %s\n", x.Host, x.At.UTC().Format(time.RFC3339), x.Kind)
	for _, t := range x.Tokens {
		fmt.Fprintf(&b, "\n%s\n", t.Name)
		writeMembers(&b, "header", t.Header)
		writeMembers(&b, "claims", t.Claims)
		if t.SignatureBytes > 0 {
			fmt.Fprintf(&b, "  signature of %d bytes, not shown\n", t.SignatureBytes)
		}
	}
	if len(x.Steps) > 0 {
		b.WriteByte('\n')
	}
	for _, s := range x.Steps {
		state := s.State
		if state == trust.StepFailed {
			state = "FAILED"
		}
		fmt.Fprintf(&b, "%3d  %-14s  %s", s.Number, state, s.Name)
		if s.Detail != "" {
			fmt.Fprintf(&b, ": %s", s.Detail)
		}
		b.WriteByte('\n')
	}
	if x.Accepted {
		fmt.Fprintf(&b, "\nAccepted by %s", x.Organization)
		if x.User != "" {
			fmt.Fprintf(&b, " for %s", x.User)
		}
		b.WriteString(".\n")
		return b.String()
	}
	r := x.Refusal
	fmt.Fprintf(&b, "\nRefused at step %d with %d %s.\n  The caller is told: %s\n", r.Step, r.ID, r.Category, r.Reason)
	if r.Claim != "" {
		fmt.Fprintf(&b, "  Claim or member: %s\n", r.Claim)
	}
	if len(x.Advice) > 0 {
		b.WriteString("\nWhat to do\n")
		for _, line := range x.Advice {
			fmt.Fprintf(&b, "  - %s\n", line)
		}
	}
	return b.String()
}

func writeMembers(b *strings.Builder, title string, list []trust.Member) {
	fmt.Fprintf(b, "  %s\n", title)
	width := 0
	for _, m := range list {
		width = max(width, min(len(m.Name), 24))
	}
	for _, m := range list {
		fmt.Fprintf(b, "    %-*s  %s", width, m.Name, m.Value)
		if m.Note != "" {
			fmt.Fprintf(b, "  (%s)", m.Note)
		}
		b.WriteByte('\n')
	}
}

func (e *env) tokenRefusedCommand() *cobra.Command {
	var (
		f      storeFlags
		since  time.Duration
		limit  int
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "refused",
		Short: "List the tokens that an organization refused",
		Long: `Lists the audit records of refused tokens, the newest first: when, at which host,
which check failed, and what the token said of itself. The tokens themselves are
not kept. After a flood of one kind of refusal some records stand for many.

Where a host serves several organizations, those are listed, too, for which it
could not be told whose they were.`,
		Example: `  busybridge token refused --config busybridge.yaml --since 1h
  busybridge token refused --lab lab --org cloud --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			d, org, err := f.open(cmd.Context(), e)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, d.Close()) }()
			list, err := d.RefusedTokens(cmd.Context(), org.ID, time.Now().Add(-since), limit)
			if err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(list)
			}
			for _, r := range list {
				if _, err := fmt.Fprintf(e.stdout, "%s  %s  %s\n    %s\n", r.At.Format(time.RFC3339), r.Host, r.Outcome, r.Details); err != nil {
					return err
				}
			}
			if len(list) == 0 {
				_, err = fmt.Fprintf(e.stdout, "no token was refused in the last %v\n", since)
			}
			return err
		},
	}
	f.flags(cmd)
	fs := cmd.Flags()
	fs.DurationVar(&since, "since", 24*time.Hour, "how far to look back")
	fs.IntVar(&limit, "limit", 100, "at most so many; 0: all")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
