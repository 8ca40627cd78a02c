// Command bench measures what answers cost, beside floors and peers of the same
// run, and prints each budget with its gate and moonshot. README.md says how to
// read it. Linux only.
//
//	go run ./bench -binary bin/busybridge
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"busybridge/bench/dataset"
	"busybridge/bench/meter"
)

type options struct {
	binary    string
	only      string
	rounds    int
	load      meter.Load
	seed      uint64
	mailboxes int
	events    int // of each
	cyrus     string
	cyrusDir  string
	million   bool
	be        string
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/busybridge", "the program to measure")
	flag.StringVar(&o.only, "only", "", "budgets to measure, e.g. P1,P3; empty: all")
	flag.IntVar(&o.rounds, "rounds", 3, "how often all servers are asked in turn; the median counts")
	flag.DurationVar(&o.load.For, "for", 2*time.Second, "how long one of them is asked at a time")
	flag.IntVar(&o.load.Workers, "concurrency", 8, "connections")
	flag.Uint64Var(&o.seed, "seed", dataset.DefaultSeed, "of the data set")
	flag.IntVar(&o.mailboxes, "mailboxes", 100, "of the data set, at most 100")
	flag.IntVar(&o.events, "events", 200, "of each mailbox")
	flag.StringVar(&o.cyrus, "cyrus", "auto", "measure Cyrus beside it: auto (where it can be started), on or off")
	flag.StringVar(&o.cyrusDir, "cyrus-dir", "", "where Cyrus keeps the data set for later runs; empty: nowhere")
	flag.BoolVar(&o.million, "million", false, "measure memory and start with 1,000,000 events too; this takes minutes")
	flag.StringVar(&o.be, "be", "", "be one of the servers of a run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := o.run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func (o options) run(ctx context.Context, out io.Writer) (err error) {
	if o.be != "" {
		return be(ctx, o.be, out)
	}
	r, err := newRun(ctx, o, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.cyrusMissing(); err != nil {
		return err
	}
	t := meter.NewTable(out)
	for _, part := range r.parts() {
		if !slices.ContainsFunc(part.budgets, o.wants) {
			continue
		}
		rows, err := part.measure(ctx)
		if err != nil {
			return errors.Join(t.Flush(), fmt.Errorf("%s: %w", strings.Join(part.budgets, ", "), err))
		}
		t.Add(rows...)
	}
	return t.Flush()
}

// wants reports whether a budget is to be measured.
func (o *options) wants(budget string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), budget)
}

// A part of a run measures some budgets.
type part struct {
	budgets []string
	measure func(context.Context) ([]meter.Row, error)
}

// withCyrus reports whether Cyrus takes part.
func (o *options) withCyrus() bool { return o.cyrus == "on" || o.cyrus == "auto" && findCyrus() == nil }

// cyrusMissing is why it cannot, where it must.
func (o *options) cyrusMissing() error {
	switch o.cyrus {
	case "auto", "off":
		return nil
	case "on":
		return findCyrus()
	}
	return fmt.Errorf("-cyrus %s: want auto, on or off", o.cyrus)
}
