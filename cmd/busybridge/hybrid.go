package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"busybridge/internal/admin/hybrid"
	"busybridge/internal/app"
	"busybridge/internal/app/config"
	"busybridge/internal/directory"
	"busybridge/internal/lab"
)

// hybridFlags say what shall be, and whose directories are at hand.
type hybridFlags struct {
	file, lab, config, journal string
	there                      []string
	asJSON                     bool
}

func (f *hybridFlags) flags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.file, "file", "hybrid.yaml", "file that says what shall be; see: busybridge hybrid plan --example")
	fs.StringVar(&f.lab, "lab", "", "directory of a lab: on premises is here, the cloud is there")
	fs.StringVar(&f.config, "config", "", "configuration file of the deployment of the organization here")
	fs.StringArrayVar(&f.there, "there", nil, "configuration file of a deployment of the other side: its organization, or the tenant's directory; may be repeated")
	fs.StringVar(&f.journal, "journal", "", "file that keeps what was changed; default: that of --file, ending in .journal.json")
	cmd.MarkFlagsMutuallyExclusive("lab", "config")
	cmd.MarkFlagsMutuallyExclusive("lab", "there")
}

func (e *env) hybridCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hybrid",
		Short: "Join two organizations as a file says, prove it, and take it back",
		Long: `A short file says what shall be: the domains and addresses of both sides, and how
they trust each other: by the article's steps in their edition, or directly.

  1. busybridge hybrid plan --example >hybrid.yaml   and put your names in
  2. busybridge hybrid plan      shows what differs, as cmdlets, and what each is for
  3. busybridge hybrid apply     does it, and keeps what it changed in a journal
  4. busybridge hybrid verify    asks real questions in both directions
  5. busybridge hybrid undo      takes back what apply changed, and nothing else

plan may be run at any later time: it shows what has drifted. A side that is
neither in --lab nor in --config or --there belongs to somebody else: its commands
are told, and verify tells from outside whether they were run.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: hybrid plan, apply, verify, undo")}
		},
	}
	cmd.AddCommand(e.hybridPlanCommand(), e.hybridApplyCommand(), e.hybridVerifyCommand(), e.hybridUndoCommand())
	return cmd
}

// with opens what is at hand and runs do.
func (f *hybridFlags) with(ctx context.Context, e *env, do func(*hybrid.Runner) error) (err error) {
	data, err := os.ReadFile(f.file)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: begin with busybridge hybrid plan --example > %s", err, f.file)
	}
	if err != nil {
		return usageError{err}
	}
	d, err := hybrid.Parse(data)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", f.file, err)}
	}
	if f.lab == "" && f.config == "" {
		return usageError{errors.New("say whose: --lab DIR, or --config FILE of the organization here")}
	}
	var opened []*app.Deployment
	defer func() {
		for _, d := range opened {
			err = errors.Join(err, d.Close())
		}
	}()
	log := e.logger(slog.LevelError, false)
	if f.lab != "" {
		opened, err = lab.OpenOthers(ctx, f.lab, "", time.Now, log)
		if err != nil {
			return labError(err)
		}
	}
	for _, name := range append([]string{f.config}, f.there...) {
		if name == "" {
			continue
		}
		cfg, err := config.Load(name, os.Environ())
		if err != nil {
			return err
		}
		d, err := app.OpenBeside(ctx, cfg, log)
		if err != nil {
			return err
		}
		opened = append(opened, d)
	}
	sides, err := sidesOf(ctx, d, opened)
	if err != nil {
		return err
	}
	journal := f.journal
	if journal == "" {
		journal = strings.TrimSuffix(f.file, filepath.Ext(f.file)) + ".journal.json"
	}
	return do(&hybrid.Runner{Desired: d, Sides: sides, Journal: hybrid.JournalFile(journal), Now: time.Now,
		Progress: func(text string) { fmt.Fprintln(e.stdout, text) }})
}

// sidesOf finds the sides in deployments, the first of which is here. One
// deployment may host several of them.
func sidesOf(ctx context.Context, d *hybrid.Desired, all []*app.Deployment) (*hybrid.Sides, error) {
	side := func(d *app.Deployment, o *directory.Organization) *hybrid.Side {
		return &hybrid.Side{Admin: d.Admin, Actor: operator, Org: o.ID, OAuth: d, FreeBusy: d}
	}
	s := &hybrid.Sides{}
	here, err := all[0].Store.OrganizationByDomain(ctx, d.Here.Domains[0])
	if err != nil {
		return nil, fmt.Errorf("here.domains: no organization accepts %s: %w", d.Here.Domains[0], err)
	}
	s.Here = side(all[0], here)
	for _, x := range slices.Concat(all[1:], all[:1]) {
		o, err := x.Store.OrganizationByDomain(ctx, d.There.Domains[0])
		switch {
		case err == nil && s.There == nil && o.ID != here.ID:
			s.There = side(x, o)
		case err != nil && !errors.Is(err, directory.ErrNotFound):
			return nil, err
		}
		if d.Trust != hybrid.OAuth || s.Tenant != nil {
			continue
		}
		r, err := x.Store.Realm(ctx, d.Tenant)
		switch {
		case err == nil:
			s.Tenant = &hybrid.Realm{Admin: x.Admin, Actor: operator, ID: r.ID}
		case !errors.Is(err, directory.ErrNotFound):
			return nil, err
		}
	}
	return s, nil
}

func (e *env) hybridPlanCommand() *cobra.Command {
	var (
		f              hybridFlags
		example, check bool
	)
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what differs from the file, as cmdlets that could be typed",
		Long: `Compares what the file says with what is there, and changes nothing. Each
difference is shown with what it is for and the cmdlets that mend it; typed into
the shells that are named, they do what apply does.`,
		Example: "  busybridge hybrid plan --example >hybrid.yaml\n  busybridge hybrid plan --lab lab\n" +
			"  busybridge hybrid plan --config busybridge.yaml --there cloud.yaml --check",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if example {
				_, err := io.WriteString(e.stdout, hybrid.Example)
				return err
			}
			return f.with(cmd.Context(), e, func(r *hybrid.Runner) error {
				p, err := r.Plan(cmd.Context())
				if err != nil {
					return err
				}
				if f.asJSON {
					err = e.printJSON(p)
				} else {
					_, err = p.WriteTo(e.stdout)
				}
				if err == nil && check && !p.Done() {
					err = errReported
				}
				return err
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&example, "example", false, "print a file of desired state to begin with")
	cmd.Flags().BoolVar(&check, "check", false, "exit with status 1 when something differs")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func (e *env) hybridApplyCommand() *cobra.Command {
	var (
		f    hybridFlags
		yes  bool
		wait time.Duration
	)
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Do what the plan shows, and keep what was changed",
		Long: `Shows the plan, asks, and does it step by step. What each step changes is in the
journal before it is done: when apply is interrupted, run it again; hybrid undo
takes everything back.

What a side needs that is not at hand is told. With --wait, apply then tries until
the other side accepts the tokens from here.`,
		Example: "  busybridge hybrid apply --lab lab\n  busybridge hybrid apply --config busybridge.yaml --there cloud.yaml --yes\n" +
			"  busybridge hybrid apply --config busybridge.yaml --wait 1h",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd.Context(), e, func(r *hybrid.Runner) error { return e.hybridApply(cmd.Context(), r, yes, wait) })
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait for a side that is not at hand")
	return cmd
}

func (e *env) hybridApply(ctx context.Context, r *hybrid.Runner, yes bool, wait time.Duration) error {
	p, err := r.Plan(ctx)
	if err != nil {
		return err
	}
	foreign := p.Foreign()
	if _, err := p.WriteTo(e.stdout); err != nil {
		return err
	}
	if len(p.Conflicts) > 0 {
		return errReported
	}
	if !p.Done() && !yes {
		if err := e.confirm("Do this?"); err != nil {
			return err
		}
	}
	// Even with nothing to do: a step that was interrupted is settled.
	if _, err := r.Apply(ctx); err != nil {
		return err
	}
	if len(foreign) == 0 || wait == 0 {
		return nil
	}
	fmt.Fprintf(e.stdout, "Waiting until the other side accepts the tokens from here. Its commands are above.\n")
	return awaitOther(ctx, r, wait)
}

// between is how long apply waits between two looks at the other side.
const between = 15 * time.Second

// awaitOther verifies from outside until it passes or the time is over.
func awaitOther(ctx context.Context, r *hybrid.Runner, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(between)
	defer tick.Stop()
	for {
		v, err := r.Verify(ctx)
		if err == nil && v.Failed == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("%d checks fail; see: busybridge hybrid verify", v.Failed)
			}
			return fmt.Errorf("the other side is not ready after %v: %w", wait, err)
		case <-tick.C:
		}
	}
}

// confirm asks; anything but yes ends the command.
func (e *env) confirm(question string) error {
	fmt.Fprintf(e.stderr, "%s [y/N] ", question)
	line, err := bufio.NewReader(io.LimitReader(e.stdin, 1<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(line)); a != "y" && a != "yes" {
		return errors.New("nothing was changed: answer y, or say --yes")
	}
	return nil
}

func (e *env) hybridVerifyCommand() *cobra.Command {
	var f hybridFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that questions are answered in both directions",
		Long: `Runs Test-OAuthConnectivity in both directions, and asks for the free/busy of the
mailboxes that the file names, as they would ask for each other. What cannot be tried
from here is told as the command to run there. The exit status is 1 when a check fails.`,
		Example: "  busybridge hybrid verify --lab lab\n  busybridge hybrid verify --config busybridge.yaml --there cloud.yaml --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd.Context(), e, func(r *hybrid.Runner) error {
				v, err := r.Verify(cmd.Context())
				if err != nil {
					return err
				}
				if f.asJSON {
					err = e.printJSON(v)
				} else {
					_, err = v.WriteTo(e.stdout)
				}
				if err == nil && v.Failed > 0 {
					err = errReported
				}
				return err
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func (e *env) hybridUndoCommand() *cobra.Command {
	var (
		f   hybridFlags
		yes bool
	)
	cmd := &cobra.Command{
		Use:   "undo",
		Short: "Take back what apply changed, and nothing else",
		Long: `Goes through the journal from its end. What apply made is removed; what it changed
is as before. What others have changed since stays. When it is interrupted, run it
again. What a side that is not at hand did itself it has to take back itself: the
commands are told.`,
		Example: "  busybridge hybrid undo --lab lab\n  busybridge hybrid undo --config busybridge.yaml --there cloud.yaml --yes",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd.Context(), e, func(r *hybrid.Runner) error { return e.hybridUndo(cmd.Context(), r, yes) })
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (e *env) hybridUndo(ctx context.Context, r *hybrid.Runner, yes bool) error {
	j, err := r.Journal.Read()
	if err != nil {
		return err
	}
	for _, c := range slices.Backward(j.Changes) {
		fmt.Fprintf(e.stdout, "# %s, %s: %s %s\n", c.Step, c.Target.Where, c.Kind, c.Target.Key)
	}
	if len(j.Changes) > 0 && !yes {
		if err := e.confirm("Take these back?"); err != nil {
			return err
		}
	}
	if err := r.Undo(ctx); err != nil {
		return err
	}
	p, err := r.Plan(ctx)
	if err != nil {
		return err
	}
	for _, s := range slices.Backward(p.Foreign()) {
		if len(s.Back) > 0 {
			fmt.Fprintf(e.stdout, "# to be taken back by the other side, if it was done for this:\n%s\n", strings.Join(s.Back, "\n"))
		}
	}
	return nil
}
