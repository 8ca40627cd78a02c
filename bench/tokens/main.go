// Command tokens measures what tokens cost, beside the floors of the same run:
// raw RSA signatures and verifications, and a fixed body from net/http over the
// same TLS. It runs the lab of a program and asks its authorization server and
// its cloud. Figures are processor time; on a shared machine only the ratios to
// the floors mean something. Linux only.
//
//	go run ./bench/tokens -binary bin/busybridge
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"

	"busybridge/bench/meter"
)

type options struct {
	binary string
	rounds int
	load   meter.Load
	floor  string
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/busybridge", "the program to measure")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is measured in turn; the median counts")
	flag.DurationVar(&o.load.For, "for", 2*time.Second, "how long one of them is asked at a time")
	flag.IntVar(&o.load.Workers, "concurrency", 8, "connections")
	flag.StringVar(&o.floor, "floor", "", "be the floor: serve the body in this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tokens:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	if o.floor != "" {
		return serveFloor(ctx, o.floor, out)
	}
	w, err := open(ctx, o.binary)
	if err != nil {
		return err
	}
	defer w.close()
	fmt.Fprintf(out, "tokens: processor time, %d connections, median of %d rounds of %v; floors are of this run\n", o.load.Workers, o.rounds, o.load.For)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "quantity\tmeasured\tfloor\tmeasured/floor\tgate\tmoonshot\t")
	for _, measure := range []func(context.Context, options) ([]row, error){w.issue, w.saturate, w.check, w.sign} {
		rows, err := measure(ctx, o)
		if err != nil {
			return err
		}
		for _, r := range rows {
			fmt.Fprintln(t, r)
		}
	}
	return t.Flush()
}

// A row is one figure beside its floor.
type row struct {
	name, measured, floor string
	ratio                 float64 // to the floor; 0: there is none
	value                 float64 // what gate and moonshot are about
	atLeast               bool    // else at most
	gate, moonshot        float64
	unit                  string
}

func (r row) String() string {
	ratio := ""
	if r.ratio > 0 {
		ratio = fmt.Sprintf("%.2f", r.ratio)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t", r.name, r.measured, r.floor, ratio, r.verdict(r.gate), r.verdict(r.moonshot))
}

func (r row) verdict(limit float64) string {
	if limit == 0 {
		return ""
	}
	sign, holds := "<=", r.value <= limit
	if r.atLeast {
		sign, holds = ">=", r.value >= limit
	}
	word := "missed"
	if holds {
		word = "held"
	}
	return fmt.Sprintf("%s %g%s %s", sign, limit, r.unit, word)
}

func perSecond(each time.Duration) float64 { return float64(time.Second) / float64(each) }

func micros(d time.Duration) string { return fmt.Sprintf("%.2f µs", float64(d)/1e3) }

func millis(d time.Duration) float64 { return float64(d) / 1e6 }
