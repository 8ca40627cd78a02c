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
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/prometheus/procfs"

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
	flag.StringVar(&o.floor, "floor", "", "be the floor: serve the body in this file with the certificate floor.pem and floor.key beside it")
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
		return serveFloor(ctx, o.floor, out)
	}
	lab, file, err := startLab(ctx, o.binary)
	if err != nil {
		return err
	}
	defer lab.stop()
	fmt.Fprintf(out, "processor time of the server per request and per mailbox, %d connections, median of %d rounds of %gs\n", o.concurrency, o.rounds, o.seconds)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "question\tbytes\tprogram µs/request\tµs/mailbox\tfloor µs/request\tprogram/floor\t")
	for _, q := range []struct {
		name      string
		mailboxes int
		days      int
	}{{"1 mailbox, week", 1, 7}, {"10 mailboxes, week", 10, 7}, {"1 mailbox, 60 days", 1, 60}, {"10 mailboxes, 60 days", 10, 60}} {
		row, err := o.measure(ctx, lab, file, q.mailboxes, q.days)
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
func (o options) measure(ctx context.Context, lab *child, file *client.LabFile, mailboxes, days int) (row, error) {
	target, err := program(file, mailboxes, days)
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
	floor, floorTarget, err := startFloor(ctx, target, body)
	if err != nil {
		return row{}, err
	}
	defer floor.stop()
	var p, f []float64
	for range o.rounds {
		for _, m := range []struct {
			c   *child
			t   *asked
			out *[]float64
		}{{lab, target, &p}, {floor, floorTarget, &f}} {
			us, err := o.load(ctx, m.c, m.t)
			if err != nil {
				return row{}, err
			}
			*m.out = append(*m.out, us)
		}
	}
	slices.Sort(p)
	slices.Sort(f)
	return row{len(body), p[len(p)/2], f[len(f)/2]}, nil
}

// load asks for a while and returns the child's processor time per request in µs.
func (o options) load(ctx context.Context, c *child, t *asked) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.seconds*float64(time.Second)))
	defer cancel()
	before, err := c.cpu()
	if err != nil {
		return 0, err
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards total and first
		total int
		first error
	)
	for range o.concurrency {
		wg.Go(func() {
			n := 0
			var failed error
			for ctx.Err() == nil {
				if _, err := t.once(ctx); err != nil {
					if ctx.Err() == nil {
						failed = err
					}
					break
				}
				n++
			}
			mu.Lock()
			defer mu.Unlock()
			total += n
			first = errors.Join(first, failed)
		})
	}
	wg.Wait()
	after, err := c.cpu()
	if err != nil || first != nil {
		return 0, errors.Join(err, first)
	}
	if total == 0 {
		return 0, errors.New("no request was answered in time")
	}
	return (after - before) * 1e6 / float64(total), nil
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
func program(file *client.LabFile, mailboxes, days int) (*asked, error) {
	roots, err := client.ReadRoots(file.CAFile)
	if err != nil {
		return nil, err
	}
	var me client.LabMailbox
	zone := wintz.UTCRule
	start := time.Now().UTC().Truncate(24 * time.Hour) //nolint:forbidigo // the lab's calendars are asked as of today
	q := &ews.AvailabilityRequest{
		Header: ews.Header{Version: "Exchange2013_SP1"}, Zone: &zone,
		FreeBusy: &ews.FreeBusyOptions{
			Start: ews.DateTime{Time: start}, End: ews.DateTime{Time: start.AddDate(0, 0, days)}, IntervalMinutes: 30, Views: []string{"FreeBusyMerged"},
		},
	}
	for _, m := range file.Mailboxes {
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
	host := me.Node
	address := fmt.Sprintf("%s:%d", file.Hosts[host], file.Port)
	return &asked{http: overHTTP1(&tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS13}, address),
		url: file.URLs["ews_cloud"], body: ews.AppendGetUserAvailabilityRequest(nil, q), user: me.User, password: me.Password}, nil
}

// overHTTP1 keeps a connection for each asker, as Exchange's clients do.
func overHTTP1(cfg *tls.Config, address string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: cfg, MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
}

// A child is a server process whose processor time is read.
type child struct {
	cmd  *exec.Cmd
	temp string
}

func (c *child) stop() {
	_ = c.cmd.Process.Signal(os.Interrupt) // it may have ended
	_ = c.cmd.Wait()
	if c.temp != "" {
		_ = os.RemoveAll(c.temp)
	}
}

// cpu is user and system time in seconds.
func (c *child) cpu() (float64, error) {
	p, err := procfs.NewProc(c.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	stat, err := p.Stat()
	return stat.CPUTime(), err
}

func startLab(ctx context.Context, binary string) (*child, *client.LabFile, error) {
	temp, err := os.MkdirTemp("", "busybridge-bench-")
	if err != nil {
		return nil, nil, err
	}
	//nolint:gosec // who measures names the program
	c := &child{cmd: exec.CommandContext(ctx, binary, "lab", "--dir", temp, "--port", "0", "--json"), temp: temp}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("%w (make build)", err)
	}
	var file client.LabFile
	if err := json.NewDecoder(stdout).Decode(&file); err != nil {
		c.stop()
		return nil, nil, fmt.Errorf("%s lab: %w", binary, err)
	}
	return c, &file, nil
}

// startFloor starts this program again as the floor, with the lab's TLS.
func startFloor(ctx context.Context, like *asked, body []byte) (*child, *asked, error) {
	f, err := os.CreateTemp("", "busybridge-floor-")
	if err != nil {
		return nil, nil, err
	}
	if _, err := f.Write(body); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	//nolint:gosec // this program itself
	c := &child{cmd: exec.CommandContext(ctx, self, "-floor", f.Name()), temp: f.Name()}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	c.cmd.Stderr = os.Stderr
	if err := c.cmd.Start(); err != nil {
		return nil, nil, err
	}
	var up floorUp
	if err := json.NewDecoder(stdout).Decode(&up); err != nil {
		c.stop()
		return nil, nil, fmt.Errorf("floor: %w", err)
	}
	roots, err := up.roots()
	if err != nil {
		c.stop()
		return nil, nil, err
	}
	t := *like
	t.url = "https://floor.example" + strings.TrimPrefix(like.url, "https://partner.outlook.cn")
	t.http = overHTTP1(&tls.Config{RootCAs: roots, ServerName: "floor.example", MinVersion: tls.VersionTLS13}, up.Address)
	return c, &t, nil
}
