package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"busybridge/internal/app/client"
	"busybridge/internal/directory"
)

func (e *env) importCommand() *cobra.Command {
	var (
		t        target
		mailbox  string
		calendar string
		asJSON   bool
	)
	cmd := &cobra.Command{
		Use:   "import --mailbox ADDRESS FILE.ics …",
		Short: "Read iCalendar files into a mailbox",
		Long: `Reads iCalendar files into a calendar of one mailbox: its main one, or the one
that --calendar names, which is made where there is none. Each file is imported
whole or not at all. An event that is there already is replaced when the file
has a newer one (SEQUENCE, then DTSTAMP). An event that cannot be read is left
out and reported; the others are imported. An event that several calendars of a
mailbox have counts once. VAVAILABILITY (RFC 7953) is read too: the time that it
leaves out is shown as its BUSYTYPE says.

The mailbox's own user may import, and accounts with the role "Mailbox Import Export".
FILE "-" is standard input.`,
		Example: `  busybridge import --lab lab --mailbox alice@contoso.com holidays.ics
  busybridge import --server https://mail.contoso.com --user alice@contoso.com --mailbox alice@contoso.com *.ics`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			c, _, err := t.connect(e, mailbox)
			if err != nil {
				return err
			}
			return e.importFiles(cmd.Context(), c, mailbox, calendar, files, asJSON)
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&mailbox, "mailbox", "", "address of the mailbox (required)")
	cmd.Flags().StringVar(&calendar, "calendar", "", "name of the calendar (default the main one)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each file")
	if err := cmd.MarkFlagRequired("mailbox"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// importFiles imports one file after the other. A file that fails does not stop
// the next; the command then fails at its end.
func (e *env) importFiles(ctx context.Context, c *client.Client, mailbox, calendar string, files []string, asJSON bool) error {
	failed := 0
	for i, name := range files {
		sum, err := e.importFile(ctx, c, mailbox, calendar, name, fmt.Sprintf("%d/%d %s", i+1, len(files), filepath.Base(name)))
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w (files before it are imported)", name, ctx.Err())
		}
		if err != nil {
			failed++
			fmt.Fprintf(e.stderr, "%s: %v\n", name, err)
			continue
		}
		if err := e.printSummary(sum, asJSON); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d files were not imported", failed, len(files))
	}
	return nil
}

func (e *env) importFile(ctx context.Context, c *client.Client, mailbox, calendar, name, label string) (*directory.ImportSummary, error) {
	var in io.Reader = e.stdin
	base := "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in, base = f, filepath.Base(name)
	}
	if !isTerminal(e.stderr) {
		return c.ImportInto(ctx, mailbox, calendar, base, in, nil)
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(e.stderr), progressbar.OptionSetDescription(label),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	defer func() { _ = bar.Exit() }() // only clears the line
	return c.ImportInto(ctx, mailbox, calendar, base, in, func(done, total int) {
		bar.ChangeMax(total)
		_ = bar.Set(done) // a bar that cannot be drawn is no reason to stop
	})
}

func (e *env) printSummary(s *directory.ImportSummary, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(e.stdout).Encode(s)
	}
	file := s.File
	if s.Calendar != "" {
		file += " into " + s.Calendar
	}
	if _, err := fmt.Fprintf(e.stdout, "%s: %d events read, %d added, %d replaced, %d unchanged, %d skipped\n",
		file, s.Events, s.Added, s.Replaced, s.Unchanged, len(s.Skipped)); err != nil {
		return err
	}
	const shown = 20
	for i, p := range s.Skipped {
		if i == shown {
			_, err := fmt.Fprintf(e.stdout, "  and %d more (--json shows all)\n", len(s.Skipped)-shown)
			return err
		}
		where := ""
		if p.Line > 0 {
			where = fmt.Sprintf("line %d: ", p.Line)
		}
		if p.UID != "" {
			where += fmt.Sprintf("UID %s: ", p.UID)
		}
		if _, err := fmt.Fprintf(e.stdout, "  skipped %s%s\n", where, p.Reason); err != nil {
			return err
		}
	}
	return nil
}
