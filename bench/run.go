package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"busybridge/bench/dataset"
	"busybridge/bench/meter"
	"busybridge/internal/app/client"
)

// A run is one world with the program in it, and the floors beside it.
type run struct {
	options
	dir   string
	out   io.Writer
	set   []dataset.Mailbox
	kinds map[string]*kind
	*world

	program       *meter.Child
	bearer, basic *target

	imported time.Duration   // how long the data set took to import
	starts   []time.Duration // to the first right answer
}

func newRun(ctx context.Context, o options, out io.Writer) (*run, error) {
	r := &run{options: o, out: out, set: dataset.New(o.seed, o.mailboxes, o.events)}
	r.kinds = kinds(r.set)
	return r, r.open(ctx)
}

// open makes the world, imports the data set and starts the program on it.
func (r *run) open(ctx context.Context) (err error) {
	if r.dir, err = os.MkdirTemp("", "busybridge-bench-"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.world, err = makeWorld(ctx, r.dir, len(r.set)); err != nil {
		return err
	}
	if r.bearer, err = r.target("program", r.listen, "Bearer "+r.token); err != nil {
		return err
	}
	if r.basic, err = r.target("program with Basic", r.listen, "Basic "+base64.StdEncoding.EncodeToString([]byte(r.user+":"+r.password))); err != nil {
		return err
	}
	if err := r.startProgram(ctx); err != nil {
		return err
	}
	if err := r.importAll(ctx); err != nil {
		return err
	}
	return r.restart(ctx)
}

func (r *run) close() error {
	if r.program != nil {
		r.program.Stop()
	}
	return os.RemoveAll(r.dir)
}

func (r *run) target(name, address, auth string) (*target, error) {
	return newTarget(name, r.certFile, ourHost, address, auth)
}

// startProgram starts it as an operator does, with its log going to a file, and
// waits until it answers.
func (r *run) startProgram(ctx context.Context) (err error) {
	if r.program, err = meter.Spawn(ctx, filepath.Join(r.dir, "program.log"), r.binary, "serve", "--config", r.config); err != nil {
		return fmt.Errorf("%w (make build)", err)
	}
	_, err = r.firstAnswer(ctx)
	return err
}

// firstAnswer asks until there is an answer.
func (r *run) firstAnswer(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	q := r.kinds["one week"].questions[0].body
	for {
		b, err := r.bearer.post(ctx, r.bearer.url, q, nil)
		if err == nil {
			return b, nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(r.dir, "program.log")) // the error below says what is known
			return nil, fmt.Errorf("%w\n%s", err, log[max(0, len(log)-2000):])
		case <-time.After(time.Millisecond):
		}
	}
}

// importAll puts the data set into the running program, one file after the other.
func (r *run) importAll(ctx context.Context) error {
	c, err := client.New(client.Options{Server: "https://" + ourHost, User: r.user, Password: r.password,
		ConnectTo: map[string]string{ourHost + ":443": r.listen}, CAFile: r.certFile, AllowPrivate: true})
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range r.set {
		m := &r.set[i]
		if m.Objects == nil {
			one := dataset.One(r.seed, i, r.events)
			m = &one
		}
		file := m.File()
		start := time.Now() //nolint:forbidigo // a measurement is of now
		sum, err := c.Import(ctx, m.Address, "bench.ics", bytes.NewReader(file), nil)
		if err != nil {
			return err
		}
		r.imported += time.Since(start) //nolint:forbidigo // the same
		if sum.Added != len(m.Objects) || len(sum.Skipped) > 0 {
			return fmt.Errorf("import into %s: %+v", m.Address, sum)
		}
	}
	return nil
}

// restart stops the program and starts it some times, until the first answer,
// which must be right.
func (r *run) restart(ctx context.Context) error {
	r.starts = nil
	for range max(r.rounds, 3) {
		r.program.Stop()
		r.bearer.client.CloseIdleConnections()
		start := time.Now() //nolint:forbidigo // a measurement is of now
		if err := r.startProgram(ctx); err != nil {
			return err
		}
		r.starts = append(r.starts, time.Since(start)) //nolint:forbidigo // the same
	}
	b, err := r.firstAnswer(ctx)
	if err != nil {
		return err
	}
	_, err = r.kinds["one week"].questions[0].right(b)
	return err
}

// serve starts one of this program's own servers.
func (r *run) serve(ctx context.Context, is role) (*meter.Child, string, error) {
	is.CertFile, is.KeyFile = r.certFile, filepath.Join(r.dir, "server.key")
	text, err := json.Marshal(is)
	if err != nil {
		return nil, "", err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	var address string
	c, err := meter.Start(ctx, &address, self, "-be", string(text))
	return c, address, err
}

// verified are the answers of one server to the questions of a kind: all right.
type verified [][]byte

// verify asks each question of the kind once. It says how many mailboxes were
// answered right, and fails unless all were.
func (t *target) verify(ctx context.Context, k *kind) (verified, int, error) {
	out := make(verified, len(k.questions))
	right, all := 0, 0
	var wrong error
	for i := range k.questions {
		q := &k.questions[i]
		b, err := t.post(ctx, t.url, q.body, nil)
		if err != nil {
			return nil, right, err
		}
		n, err := q.right(b)
		right, all = right+n, all+len(q.of)
		if err != nil && wrong == nil {
			wrong = err
		}
		out[i] = b
	}
	if right != all {
		return nil, right, fmt.Errorf("%s, %s: %d of %d answers are right: %w", t.name, k.name, right, all, wrong)
	}
	return out, right, nil
}

// middle is an answer of the middle size.
func (v verified) middle() []byte {
	s := slices.SortedFunc(slices.Values(v), func(a, b []byte) int { return len(a) - len(b) })
	return s[len(s)/2]
}

// asker asks the questions of a kind one after the other and compares what comes
// with what was found right before.
func (t *target) asker(k *kind, right verified, workers int) func(context.Context, int) error {
	var next atomic.Int64
	buffers := make([][]byte, workers)
	return func(ctx context.Context, worker int) (err error) {
		i := int(next.Add(1)) % len(k.questions)
		if buffers[worker], err = t.post(ctx, t.url, k.questions[i].body, buffers[worker]); err != nil {
			return err
		}
		if !bytes.Equal(buffers[worker], right[i]) {
			return fmt.Errorf("%s: the answer to a question changed: %.300s", t.name, buffers[worker])
		}
		return nil
	}
}

// parts are in this order: what is resident is measured before there was a load.
func (r *run) parts() []part {
	return []part{
		{[]string{"P11"}, r.memory},
		{[]string{"P12"}, r.start},
		{[]string{"P13"}, r.imports},
		{[]string{"P1", "P2", "P3"}, r.answers},
		{[]string{"P4"}, r.latency},
		{[]string{"P5", "P6", "P7", "P8", "P9"}, r.tokens},
		{[]string{"P10"}, r.forwarding},
		{[]string{"P11", "P12", "P13"}, r.millionEvents},
	}
}
