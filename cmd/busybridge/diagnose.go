package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"busybridge/internal/app"
	"busybridge/internal/app/client"
	"busybridge/internal/app/config"
	"busybridge/internal/diagnose"
	"busybridge/internal/directory"
	"busybridge/internal/lab"
)

// diagnoseFlags are what busybridge diagnose was asked.
type diagnoseFlags struct {
	storeFlags
	from, to, node, start, end, report string
	there                              []string
	timeout                            time.Duration
	asJSON                             bool
}

func (e *env) diagnoseCommand() *cobra.Command {
	var f diagnoseFlags
	cmd := &cobra.Command{
		Use:   "diagnose --from ADDRESS --to ADDRESS",
		Short: "Follow one question for free/busy, and name the hop that fails",
		Long: `Asks one real question, as the mailbox of --from, for the free/busy of --to, and
tells each hop of it: who asks, the directory entry, the route, metadata, the
certificate and its copy, connection, challenge, assertion, token, its acceptance,
Autodiscover, the endpoint, permission and answer, each with its time and what was
seen. Of the first hop that fails it says why, the object and the value at fault,
and the command that mends it. docs/diagnose.md has a section for each failure.

The other side is seen from outside. Where its configuration is at hand, --there
lets it be looked into; a lab is looked into as a whole.

--report writes a page (.html) or JSON (.json) to hand on: no token, key or
password is in it. The exit status is 1 when the question was not answered.`,
		Example: `  busybridge diagnose --lab lab --from alice@contoso.com --to kim@contoso.com
  busybridge diagnose --config busybridge.yaml --from alice@contoso.com --to kim@fabrikam.com --report freebusy.html
  busybridge diagnose --config busybridge.yaml --there cloud.yaml --from alice@contoso.com --to kim@fabrikam.com --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.diagnose(cmd.Context(), &f) },
	}
	f.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.from, "from", "", "who asks: a mailbox of the organization")
	fs.StringVar(&f.to, "to", "", "whose free/busy is asked for")
	fs.StringVar(&f.node, "node", "", "server that is asked, by name or host name; default: the first that knows connectors, in a lab the mailbox's own")
	fs.StringVar(&f.start, "start", "", "begin of the window; default: now")
	fs.StringVar(&f.end, "end", "", "end of the window, not included; default: one day after its begin")
	fs.DurationVar(&f.timeout, "timeout", 0, "of the question; default: that of any other")
	fs.StringArrayVar(&f.there, "there", nil, "configuration file of a deployment that may be looked into besides; may be repeated")
	fs.StringVar(&f.report, "report", "", "write a report to FILE.html or FILE.json")
	fs.BoolVar(&f.asJSON, "json", false, "print JSON")
	for _, name := range []string{"from", "to"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

func (e *env) diagnose(ctx context.Context, f *diagnoseFlags) (err error) {
	if x := filepath.Ext(f.report); f.report != "" && x != ".html" && x != ".json" {
		return usageError{fmt.Errorf("--report %s: want a name that ends in .html or .json", f.report)}
	}
	q := app.Diagnosis{From: f.from, To: f.to, Server: f.node, Timeout: f.timeout}
	if f.start != "" || f.end != "" {
		if q.Window, err = parseWindow(f.start, f.end, time.Local, time.Now()); err != nil {
			return usageError{err}
		}
	}
	d, org, closing, err := f.openAll(ctx, e, &q)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closing()) }()
	r, err := d.Diagnose(ctx, operator, org.ID, q)
	if err != nil {
		return err
	}
	if err := writeReport(f.report, r); err != nil {
		return err
	}
	if f.asJSON {
		err = r.JSON(e.stdout)
	} else {
		err = r.Text(e.stdout, e.verbose)
	}
	if err == nil && !r.Healthy {
		err = errReported
	}
	return err
}

// openAll opens the organization that asks, and what can be looked into besides.
func (f *diagnoseFlags) openAll(ctx context.Context, e *env, q *app.Diagnosis) (*app.Deployment, *directory.Organization, func() error, error) {
	log := e.logger(slog.LevelError, false)
	var opened []*app.Deployment
	closing := func() (err error) {
		for _, d := range opened {
			err = errors.Join(err, d.Close())
		}
		return err
	}
	if f.lab != "" {
		if l, err := client.ReadLabFile(f.lab); err == nil {
			m, _ := l.Mailbox(strings.ToLower(f.from))
			if f.org == "" {
				f.org = m.Org
			}
			if f.org == "" {
				return nil, nil, nil, usageError{fmt.Errorf("%s is no mailbox of the lab: %s lists them; or say --org onprem or cloud", f.from, client.LabFileName)}
			}
			if q.Server == "" {
				q.Server = m.Node
			}
		}
		others, err := lab.OpenOthers(ctx, f.lab, f.org, time.Now, log)
		if err != nil {
			return nil, nil, nil, labError(err)
		}
		opened = others
	}
	for _, name := range f.there {
		cfg, err := config.Load(name, os.Environ())
		if err != nil {
			return nil, nil, nil, errors.Join(err, closing())
		}
		other, err := app.OpenBeside(ctx, cfg, log)
		if err != nil {
			return nil, nil, nil, errors.Join(err, closing())
		}
		opened = append(opened, other)
	}
	d, org, err := f.open(ctx, e)
	if err != nil {
		return nil, nil, nil, errors.Join(err, closing())
	}
	q.Others = append(q.Others, opened...)
	q.Others = append(q.Others, d) // a deployment may host both sides
	opened = append(opened, d)
	return d, org, closing, nil
}

// writeReport writes the file to hand on; "": none.
func writeReport(name string, r *diagnose.Report) (err error) {
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if filepath.Ext(name) == ".json" {
		return r.JSON(file)
	}
	return r.HTML(file)
}
