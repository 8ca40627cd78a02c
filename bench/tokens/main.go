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
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"busybridge/bench/meter"
)

type options struct {
	binary string
	rounds int
	load   meter.Load
	floor  string
	rows   bool
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/busybridge", "the program to measure")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is measured in turn; the median counts")
	flag.DurationVar(&o.load.For, "for", 2*time.Second, "how long one of them is asked at a time")
	flag.IntVar(&o.load.Workers, "concurrency", 8, "connections")
	flag.BoolVar(&o.rows, "rows", false, "print rows as JSON, for a program that has the table")
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
	if !o.rows {
		fmt.Fprintf(out, "tokens: processor time, %d connections, median of %d rounds of %v; what is beside a figure is of this run\n", o.load.Workers, o.rounds, o.load.For)
	}
	t := meter.NewTable(out)
	for _, measure := range []func(context.Context, options) ([]meter.Row, error){w.issue, w.saturate, w.check, w.sign} {
		rows, err := measure(ctx, o)
		if err != nil {
			return err
		}
		if o.rows {
			if err := json.NewEncoder(out).Encode(rows); err != nil {
				return err
			}
			continue
		}
		t.Add(rows...)
	}
	return t.Flush()
}

func perSecond(each time.Duration) float64 { return float64(time.Second) / float64(each) }

func micros(d time.Duration) string { return fmt.Sprintf("%.2f µs", float64(d)/1e3) }

func millis(d time.Duration) float64 { return float64(d) / 1e6 }
