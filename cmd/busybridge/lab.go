package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"busybridge/internal/lab"
)

func (e *env) labCommand() *cobra.Command {
	var (
		o      lab.Options
		once   bool
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Run the whole hybrid world on this machine",
		Long: `Starts an authorization server, an on-premises organization (two front ends and
an old server) and a cloud organization on loopback addresses from 127.0.0.11
upward, joins them in the eight steps, and stays up until it is interrupted.
DIR/lab.json says how to reach it.

With --once it joins them, checks free/busy in both directions and from the old
server, prints a line for each check and a table of everybody, and stops. The
exit status is 0 only if every check held.

It needs no rights and no network. As root with --port 443, and with the hosts
lines that it prints, any client on this machine reaches it under the real names.`,
		Example: `  busybridge lab --once
  busybridge lab --dir lab
  busybridge lab --once --fault missing-spn`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Fault == "list" {
				for _, f := range lab.Faults() {
					if _, err := fmt.Fprintf(e.stdout, "%-30s %-14s  %s\n", f.Name, strings.Join(f.Editions, " "), f.Text); err != nil {
						return err
					}
				}
				return nil
			}
			o.Log = e.logger(slog.LevelError, false)
			o.Now = time.Now
			o.Out = e.stdout
			if asJSON {
				o.Out = e.stderr
			}
			if once {
				if !cmd.Flags().Changed("port") {
					o.Port = 0 // nobody is told the port
				}
				return e.labOnce(cmd, o, asJSON)
			}
			return e.labServe(cmd, o, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", "", "directory of the world, kept and used again; default: lab, with --once a temporary one")
	f.StringVar(&o.Edition, "edition", lab.Edition2014, "state of the cloud side: 2014, 2025 or 2026")
	f.IntVar(&o.Port, "port", 8443, "port of every host; 0: any free one")
	f.BoolVar(&o.Bare, "bare", false, "do not join the organizations")
	f.StringVar(&o.Fault, "fault", "", "break one thing on purpose; \"list\" names them")
	f.BoolVar(&once, "once", false, "join, check, print and stop")
	f.BoolVar(&asJSON, "json", false, "print lab.json, with --once the checks, as JSON on standard output")
	return cmd
}

func labError(err error) error {
	if errors.Is(err, lab.ErrUsage) {
		return usageError{err}
	}
	return err
}

func (e *env) labOnce(cmd *cobra.Command, o lab.Options, asJSON bool) error {
	report, err := lab.Once(cmd.Context(), o)
	if err != nil {
		return labError(err)
	}
	if asJSON {
		if err := e.printJSON(report); err != nil {
			return err
		}
	}
	if report.Failed > 0 {
		return errReported
	}
	return nil
}

func (e *env) labServe(cmd *cobra.Command, o lab.Options, asJSON bool) (err error) {
	if o.Dir == "" {
		o.Dir = "lab"
	}
	l, err := lab.Start(cmd.Context(), o)
	if err != nil {
		return labError(err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if !o.Bare {
		if err := l.Join(cmd.Context()); err != nil {
			return err
		}
	}
	if asJSON {
		if err := e.printJSON(l.File()); err != nil {
			return err
		}
	} else if err := l.Describe(e.stdout); err != nil {
		return err
	}
	return l.Wait(cmd.Context())
}
