package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"busybridge/bench/dataset"
	"busybridge/bench/meter"
)

const mib = 1 << 20

// memory measures P11: what is resident under load, and what each event takes in
// the index.
func (r *run) memory(ctx context.Context) ([]meter.Row, error) {
	if err := r.restart(ctx); err != nil { // the program has answered one mailbox only
		return nil, err
	}
	before, err := r.live(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"all week", "all 60 days", "one week"} {
		k := r.kinds[name]
		right, _, err := r.bearer.verify(ctx, k)
		if err != nil {
			return nil, err
		}
		if _, err := r.load.Run(ctx, r.program, r.bearer.asker(k, right, r.load.Workers)); err != nil {
			return nil, err
		}
	}
	peak, err := r.program.Peak()
	if err != nil {
		return nil, err
	}
	after, err := r.live(ctx)
	if err != nil {
		return nil, err
	}
	events := float64(len(r.set) * r.events)
	rss, each := float64(peak)/mib, max(0, after-before)/events
	rows := []meter.Row{
		{Name: fmt.Sprintf("P11 resident at most, %d connections", r.load.Workers), Figure: fmt.Sprintf("%.1f MiB", rss), Gate: meter.AtMost(rss, 64, "64 MiB"), Moonshot: meter.AtMost(rss, 32, "32 MiB")},
		{Name: "P11 index of an event", Figure: fmt.Sprintf("%.0f bytes", each), Beside: fmt.Sprintf("heap %.1f MiB before any calendar was read, %.1f after", before/mib, after/mib),
			Gate: meter.AtMost(each, 150, "150 bytes"), Moonshot: meter.AtMost(each, 40, "40 bytes")},
	}
	return rows, nil
}

// live is the heap that was reachable at the last collections, the least of some.
func (r *run) live(ctx context.Context) (float64, error) {
	k := r.kinds["one week"]
	load := meter.Load{Workers: 1, For: 500 * time.Millisecond}
	least := 0.0
	for i := range 6 {
		// Questions for one mailbox make garbage, so that it is collected.
		if _, err := load.Run(ctx, nil, func(ctx context.Context, _ int) error {
			_, err := r.bearer.post(ctx, r.bearer.url, k.questions[0].body, nil)
			return err
		}); err != nil {
			return 0, err
		}
		m, err := r.metrics(ctx, "go_memstats_next_gc_bytes", "go_gc_gogc_percent")
		if err != nil {
			return 0, err
		}
		if live := m[0] / (1 + m[1]/100); i == 0 || live < least {
			least = live
		}
	}
	return least, nil
}

// metrics reads some of the program's.
func (r *run) metrics(ctx context.Context, names ...string) ([]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.ops+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	found := map[string]float64{}
	s := bufio.NewScanner(io.LimitReader(resp.Body, 4*mib))
	for s.Scan() {
		name, value, _ := strings.Cut(s.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			found[name] = v
		}
	}
	out := make([]float64, len(names))
	for i, name := range names {
		v, ok := found[name]
		if !ok {
			return nil, fmt.Errorf("the program has no metric %s", name)
		}
		out[i] = v
	}
	return out, s.Err()
}

// start reports P12.
func (r *run) start(context.Context) ([]meter.Row, error) {
	ms := millis(meter.Median(r.starts))
	return []meter.Row{{Name: fmt.Sprintf("P12 start to the first right answer, %d events", len(r.set)*r.events), Figure: fmt.Sprintf("%.0f ms", ms),
		Gate: meter.AtMost(ms, 150, "150 ms"), Moonshot: meter.AtMost(ms, 50, "50 ms")}}, nil
}

// imports reports P13.
func (r *run) imports(context.Context) ([]meter.Row, error) {
	n := len(r.set) * r.events
	rate := float64(n) / r.imported.Seconds()
	size, err := r.stored()
	if err != nil {
		return nil, err
	}
	return []meter.Row{{Name: "P13 durable import", Figure: fmt.Sprintf("%.0f events/s", rate), Beside: fmt.Sprintf("%.0f bytes an event on disk", float64(size)/float64(n)),
		Gate: meter.AtLeast(rate, 2000, "2000/s"), Moonshot: meter.AtLeast(rate, 20000, "20000/s")}}, nil
}

// stored is the size of the store.
func (r *run) stored() (size int64, err error) {
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(filepath.Join(r.dir, "busybridge.db"+suffix))
		switch {
		case err == nil:
			size += info.Size()
		case !errors.Is(err, os.ErrNotExist):
			return 0, err
		}
	}
	return size, nil
}

// millionEvents measures P11 and P12 with 5,000 mailboxes of 200 events.
func (r *run) millionEvents(ctx context.Context) (_ []meter.Row, err error) {
	if !r.million {
		return nil, nil
	}
	const mailboxes = 5000
	big := &run{options: r.options, out: r.out}
	big.set = make([]dataset.Mailbox, mailboxes)
	for i := range big.set { // without the texts, which are made again when they are imported
		m := dataset.One(r.seed, i, r.events)
		big.set[i] = dataset.Mailbox{Address: m.Address, Occurrences: m.Occurrences}
	}
	big.kinds = map[string]*kind{"one week": {name: "1 mailbox, week", mailboxes: 1}, "hundred": {name: "100 mailboxes, 60 days", mailboxes: 100}}
	week := dataset.Weeks()[0]
	all := make([]*dataset.Mailbox, mailboxes)
	for i := range all {
		all[i] = &big.set[i]
		big.kinds["one week"].questions = append(big.kinds["one week"].questions, ask(all[i:i+1], week))
	}
	for _, w := range dataset.Long(60) { // the index holds the months that were asked for: all of the year
		for i := 0; i < mailboxes; i += 100 {
			big.kinds["hundred"].questions = append(big.kinds["hundred"].questions, ask(all[i:i+100], w))
		}
	}
	fmt.Fprintf(r.out, "%d events are imported\n", mailboxes*r.events)
	if err := big.open(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, big.close()) }()
	before, err := big.live(ctx)
	if err != nil {
		return nil, err
	}
	right := 0
	for i := range big.kinds["hundred"].questions { // one at a time: together the answers take half a gigabyte
		one := &kind{name: big.kinds["hundred"].name, questions: big.kinds["hundred"].questions[i : i+1], mailboxes: 100}
		_, n, err := big.bearer.verify(ctx, one)
		if err != nil {
			return nil, err
		}
		right += n
	}
	fmt.Fprintf(r.out, "program: %d/%d answers right, of %d events\n", right, right, mailboxes*r.events)
	after, err := big.live(ctx)
	if err != nil {
		return nil, err
	}
	resident, err := big.program.Memory()
	if err != nil {
		return nil, err
	}
	n := float64(mailboxes * r.events)
	each, ms := max(0, after-before)/n, millis(meter.Median(big.starts))
	return []meter.Row{
		{Name: "P11 index of an event, of 1,000,000", Figure: fmt.Sprintf("%.0f bytes", each), Beside: fmt.Sprintf("heap %.1f MiB before, %.1f after all were asked; %.1f MiB resident", before/mib, after/mib, float64(resident)/mib),
			Gate: meter.AtMost(each, 150, "150 bytes"), Moonshot: meter.AtMost(each, 40, "40 bytes")},
		{Name: "P12 start to the first right answer, 1,000,000 events", Figure: fmt.Sprintf("%.0f ms", ms), Gate: meter.AtMost(ms, 3000, "3 s"), Moonshot: meter.AtMost(ms, 200, "200 ms")},
		{Name: "P13 durable import, of 1,000,000", Figure: fmt.Sprintf("%.0f events/s", n/big.imported.Seconds())},
	}, nil
}
