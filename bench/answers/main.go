// Command answers measures what one free/busy answer costs the server in
// processor time, beside the floor: a fixed body of the same size from net/http
// over the same TLS. Both are asked in turn, in one run; the figure that means
// something on a shared machine is their ratio. Linux only.
//
//	go run ./bench/answers -binary bin/busybridge
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"

	"busybridge/bench/meter"
	"busybridge/internal/app/client"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/wintz"
)

type options struct {
	binary      string
	rounds      int
	seconds     float64
	concurrency int
	floor       string
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/busybridge", "the program to measure")
	flag.IntVar(&o.rounds, "rounds", 3, "how often both are asked in turn; the median counts")
	flag.Float64Var(&o.seconds, "seconds", 2, "how long one of them is asked at a time")
	flag.IntVar(&o.concurrency, "concurrency", 8, "connections")
	flag.StringVar(&o.floor, "floor", "", "be the floor: serve the body in this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "answers:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.floor != "" {
		return meter.ServeFloor(ctx, o.floor, "text/xml; charset=utf-8", nil, out)
	}
	lab, err := meter.StartLab(ctx, o.binary)
	if err != nil {
		return err
	}
	defer lab.Stop()
	fmt.Fprintf(out, "processor time of the server per request and per mailbox, %d connections, median of %d rounds of %gs\n", o.concurrency, o.rounds, o.seconds)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "question\tbytes\tprogram µs/request\tµs/mailbox\tfloor µs/request\tprogram/floor\t")
	for _, q := range []struct {
		name      string
		mailboxes int
		days      int
	}{{"1 mailbox, week", 1, 7}, {"10 mailboxes, week", 10, 7}, {"1 mailbox, 60 days", 1, 60}, {"10 mailboxes, 60 days", 10, 60}} {
		row, err := o.measure(ctx, lab, q.mailboxes, q.days)
		if err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.2f\t\n", q.name, row.bytes, row.program, row.program/float64(q.mailboxes), row.floor, row.program/row.floor)
	}
	return t.Flush()
}

type row struct {
	bytes          int
	program, floor float64 // µs of processor time per request
}

// measure asks the program and a floor of the same size in turn.
func (o options) measure(ctx context.Context, lab *meter.Lab, mailboxes, days int) (row, error) {
	target, err := program(lab, mailboxes, days)
	if err != nil {
		return row{}, err
	}
	body, err := target.once(ctx)
	if err != nil {
		return row{}, err
	}
	if got := bytes.Count(body, []byte(">NoError<")); got != mailboxes-1 && got != mailboxes {
		return row{}, fmt.Errorf("%d of %d mailboxes were answered: %.300s", got, mailboxes, body)
	}
	floor, err := meter.StartFloor(ctx, body)
	if err != nil {
		return row{}, err
	}
	defer floor.Stop()
	atFloor := *target
	atFloor.http, atFloor.url = floor.HTTP, floor.URL
	load := meter.Load{Workers: o.concurrency, For: time.Duration(o.seconds * float64(time.Second))}
	var p, f []float64
	for range o.rounds {
		for _, m := range []struct {
			c   *meter.Child
			t   *asked
			out *[]float64
		}{{lab.Child, target, &p}, {floor.Child, &atFloor, &f}} {
			r, err := load.Run(ctx, m.c, func(ctx context.Context, _ int) error { _, err := m.t.once(ctx); return err })
			if err != nil {
				return row{}, err
			}
			*m.out = append(*m.out, float64(r.Each())/1e3)
		}
	}
	return row{len(body), meter.Median(p), meter.Median(f)}, nil
}

// asked is one request that is sent again and again.
type asked struct {
	http           *http.Client
	url            string
	body           []byte
	user, password string
}

func (a *asked) once(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(a.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "text/xml; charset=utf-8")
	req.SetBasicAuth(a.user, a.password)
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", resp.Status, b)
	}
	return b, err
}

// program asks the lab's cloud, as one of its people, for people there.
func program(lab *meter.Lab, mailboxes, days int) (*asked, error) {
	var me client.LabMailbox
	zone := wintz.UTCRule
	start := time.Now().UTC().Truncate(24 * time.Hour) //nolint:forbidigo // the lab's calendars are asked as of today
	q := &ews.AvailabilityRequest{
		Header: ews.Header{Version: "Exchange2013_SP1"}, Zone: &zone,
		FreeBusy: &ews.FreeBusyOptions{
			Start: ews.DateTime{Time: start}, End: ews.DateTime{Time: start.AddDate(0, 0, days)}, IntervalMinutes: 30, Views: []string{"FreeBusyMerged"},
		},
	}
	for _, m := range lab.File.Mailboxes {
		if m.Org != "cloud" {
			continue
		}
		if me.User == "" {
			me = m
		}
		if len(q.Mailboxes) < mailboxes {
			q.Mailboxes = append(q.Mailboxes, ews.MailboxData{Address: m.Address, AttendeeType: "Required"})
		}
	}
	c, err := lab.Client(me.Node)
	if err != nil {
		return nil, err
	}
	return &asked{http: c, url: lab.File.URLs["ews_cloud"], body: ews.AppendGetUserAvailabilityRequest(nil, q), user: me.User, password: me.Password}, nil
}
