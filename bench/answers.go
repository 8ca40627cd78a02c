package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"busybridge/bench/meter"
)

// A contender is one of the servers that are asked the same in turn.
type contender struct {
	name  string
	child *meter.Child
	// asker returns what asks the questions of a kind, by name, one after the other.
	asker func(kind string, workers int) func(context.Context, int) error
}

// A field is the contenders of a part of a run.
type field struct {
	all   []*contender
	stops []func() error
}

func (f *field) stop() error {
	var err error
	for _, s := range slices.Backward(f.stops) {
		err = errors.Join(err, s())
	}
	return err
}

// started has a child of this program stopped at the end.
func (f *field) started(c *meter.Child) {
	f.stops = append(f.stops, func() error { c.Stop(); return nil })
}

// contenders starts F and K beside the program, and Cyrus where it is wanted,
// and lets all answer everything that is going to be timed: nothing is timed
// before all is right.
func (r *run) contenders(ctx context.Context, withCyrus bool, names ...string) (f *field, err error) {
	f = &field{}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.stop())
		}
	}()
	k, address, err := r.serve(ctx, role{Is: asCompute, Token: r.token, Seed: r.seed, Mailboxes: len(r.set), Count: r.events})
	if err != nil {
		return nil, err
	}
	f.started(k)
	kt, err := r.target("K", address, r.bearer.auth)
	if err != nil {
		return nil, err
	}
	bodies := filepath.Join(r.dir, "bodies")
	if err := os.MkdirAll(bodies, 0o700); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		t     *target
		child *meter.Child
	}{{r.bearer, r.program}, {r.basic, r.program}, {kt, k}} {
		right, err := r.verifyAll(ctx, c.t, names)
		if err != nil {
			return nil, err
		}
		f.all = append(f.all, &contender{c.t.name, c.child, func(kind string, workers int) func(context.Context, int) error {
			return c.t.asker(r.kinds[kind], right[kind], workers)
		}})
		if c.t != r.bearer {
			continue
		}
		for name, v := range right {
			if err := os.WriteFile(filepath.Join(bodies, fileName(name)), v.middle(), 0o600); err != nil {
				return nil, err
			}
		}
	}
	if err := r.addFixed(ctx, f, bodies); err != nil {
		return nil, err
	}
	if withCyrus {
		return f, r.addCyrus(ctx, f)
	}
	return f, nil
}

// verifyAll lets a server answer the questions of some kinds and says how many
// of them it answered right.
func (r *run) verifyAll(ctx context.Context, t *target, names []string) (map[string]verified, error) {
	out, right := map[string]verified{}, map[int]int{}
	for _, name := range names {
		k := r.kinds[name]
		v, n, err := t.verify(ctx, k)
		if err != nil {
			return nil, err
		}
		out[name] = v
		right[k.mailboxes] += n
	}
	for _, n := range []int{1, len(r.set)} {
		if right[n] > 0 {
			fmt.Fprintf(r.out, "%s: %d/%d answers right, %d mailboxes in a question\n", t.name, right[n], right[n], n)
		}
	}
	return out, nil
}

// addFixed starts F with the program's answers of the middle size.
func (r *run) addFixed(ctx context.Context, f *field, bodies string) error {
	c, address, err := r.serve(ctx, role{Is: asFixed, Bodies: bodies})
	if err != nil {
		return err
	}
	f.started(c)
	t, err := r.target("F", address, r.bearer.auth)
	if err != nil {
		return err
	}
	f.all = append(f.all, &contender{t.name, c, func(kind string, workers int) func(context.Context, int) error {
		buffers, url := make([][]byte, workers), "https://"+ourHost+"/"+fileName(kind)
		return func(ctx context.Context, w int) (err error) {
			buffers[w], err = t.post(ctx, url, r.kinds[kind].questions[0].body, buffers[w])
			if err == nil && len(buffers[w]) == 0 {
				err = fmt.Errorf("F has no body for %s", kind)
			}
			return err
		}
	}})
	return nil
}

// addCyrus starts C. That a few of its answers are wrong is known of it: 3.6.1
// writes a busy time of 15 days as P2W4294967290D. With more of them it is not set
// up right.
func (r *run) addCyrus(ctx context.Context, f *field) error {
	c, err := startCyrus(ctx, r.cyrusDir, r.set, fmt.Sprintf("seed %d, %d mailboxes, %d events each", r.seed, len(r.set), r.events))
	if err != nil {
		return err
	}
	f.stops = append(f.stops, c.stop)
	right, all := 0, 0
	for _, name := range []string{"all week", "all 60 days"} {
		for i := range r.kinds[name].questions {
			q := &r.kinds[name].questions[i]
			b, err := c.ask(ctx, q)
			if err != nil {
				return err
			}
			n, err := c.right(q, b)
			if err != nil {
				return fmt.Errorf("cyrus: %w", err)
			}
			right, all = right+n, all+len(q.of)
		}
	}
	fmt.Fprintf(r.out, "C: %d/%d answers right; it tells busy time, not events\n", right, all)
	if right < all*95/100 {
		return fmt.Errorf("cyrus: only %d of %d answers are right", right, all)
	}
	f.all = append(f.all, &contender{"C", c.Child, func(kind string, _ int) func(context.Context, int) error {
		k, next := r.kinds[kind], new(atomic.Int64)
		return func(ctx context.Context, _ int) error {
			b, err := c.ask(ctx, &k.questions[int(next.Add(1))%len(k.questions)])
			if err == nil && bytes.Count(b, []byte(">2.0;")) != k.mailboxes {
				err = fmt.Errorf("cyrus: %.300s", b)
			}
			return err
		}
	}})
	return nil
}

func fileName(kind string) string { return strings.ReplaceAll(kind, " ", "-") }

// perMailbox lets all answer questions of a kind in turn, and returns the
// processor time per mailbox of each, the median of the rounds.
func (r *run) perMailbox(ctx context.Context, f *field, kind string) (map[string]float64, error) {
	spent := map[string][]float64{}
	for range r.rounds {
		for _, c := range f.all {
			res, err := r.load.Run(ctx, c.child, c.asker(kind, r.load.Workers))
			if err != nil {
				return nil, err
			}
			spent[c.name] = append(spent[c.name], micros(res.Each())/float64(r.kinds[kind].mailboxes))
		}
	}
	out := map[string]float64{}
	for name, v := range spent {
		out[name] = meter.Median(v)
	}
	return out, nil
}

// answers measures P1 to P3.
func (r *run) answers(ctx context.Context) (rows []meter.Row, err error) {
	budgets := []struct {
		name, kind        string
		gateC, moonC, inK float64 // the gate is C over this, or so many K where there is no C
	}{
		{"P1", "all week", 50, 400, 20},
		{"P2", "all 60 days", 25, 80, 8},
		{"P3", "one week", 20, 75, 7},
		{"P3", "one 60 days", 0, 0, 0},
	}
	var names []string
	for _, b := range budgets {
		names = append(names, b.kind)
	}
	f, err := r.contenders(ctx, r.withCyrus(), names...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	each := map[string]float64{} // of the program, by kind
	for _, b := range budgets {
		if !r.wants(b.name) {
			continue
		}
		m, err := r.perMailbox(ctx, f, b.kind)
		if err != nil {
			return nil, err
		}
		p, k, c := m["program"], m["K"], m["C"]
		each[b.kind] = p
		row := meter.Row{Name: b.name + " " + r.kinds[b.kind].name, Figure: fmt.Sprintf("%.1f µs a mailbox", p),
			Beside: fmt.Sprintf("K %.1f, F %.1f, with Basic %.1f", k, m["F"], m["program with Basic"]), Ratio: p / k}
		moon := 2 * k
		if c > 0 {
			row.Beside += fmt.Sprintf(", C %.0f = %.0f times as much", c, c/p)
		}
		switch {
		case b.inK == 0:
		case c > 0:
			moon = min(moon, c/b.moonC)
			row.Gate = meter.AtMost(p, c/b.gateC, fmt.Sprintf("C/%g", b.gateC))
		default:
			row.Gate = meter.AtMost(p, b.inK*k, fmt.Sprintf("%g K", b.inK))
		}
		if b.inK > 0 {
			row.Moonshot = meter.AtMost(p, moon, fmt.Sprintf("2 K = %.1f", 2*k))
		}
		rows = append(rows, row)
	}
	return append(rows, r.laws(each)...), nil
}

// laws are how cost grows, from figures of one run.
func (r *run) laws(each map[string]float64) (rows []meter.Row) {
	for _, l := range []struct {
		name, of, by string
		bound        float64
		atLeast      bool
	}{
		{fmt.Sprintf("a week, 1 to %d mailboxes: CPU of a mailbox falls", len(r.set)), "one week", "all week", 5, true},
		{fmt.Sprintf("60 days, 1 to %d mailboxes: CPU of a mailbox falls", len(r.set)), "one 60 days", "all 60 days", 2, true},
		{"a week to 60 days: CPU of a mailbox grows", "all 60 days", "all week", 60.0 / 7, false},
	} {
		if each[l.of] == 0 || each[l.by] == 0 {
			continue
		}
		ratio := each[l.of] / each[l.by]
		row := meter.Row{Name: l.name, Figure: fmt.Sprintf("%.1f times", ratio), Gate: meter.AtMost(ratio, l.bound, fmt.Sprintf("%.1f times", l.bound))}
		if l.atLeast {
			row.Gate = meter.AtLeast(ratio, l.bound, fmt.Sprintf("%.1f times", l.bound))
		}
		rows = append(rows, row)
	}
	return rows
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

func millis(d time.Duration) float64 { return float64(d) / 1e6 }

// latency measures P4.
func (r *run) latency(ctx context.Context) (rows []meter.Row, err error) {
	const kind = "all 62 days"
	f, err := r.contenders(ctx, false, kind)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	for _, at := range []struct {
		workers        int
		gate, moonshot float64
	}{{1, 0, 10}, {8, 0, 100}, {27, 1000, 0}} {
		load := meter.Load{Workers: at.workers, For: 2 * r.load.For}
		late := map[string][]float64{}
		for range r.rounds {
			for _, c := range f.all {
				res, err := load.Run(ctx, c.child, c.asker(kind, at.workers))
				if err != nil {
					return nil, err
				}
				late[c.name] = append(late[c.name], millis(res.Quantile(0.99)))
			}
		}
		p, k := meter.Median(late["program"]), meter.Median(late["K"])
		rows = append(rows, meter.Row{Name: fmt.Sprintf("P4 p99 of %s, %d at once", r.kinds[kind].name, at.workers), Figure: fmt.Sprintf("%.1f ms", p),
			Beside: fmt.Sprintf("K %.1f, F %.1f", k, meter.Median(late["F"])), Ratio: p / k,
			Gate: meter.AtMost(p, at.gate, fmt.Sprintf("%g ms", at.gate)), Moonshot: meter.AtMost(p, at.moonshot, fmt.Sprintf("%g ms", at.moonshot))})
	}
	return rows, nil
}
