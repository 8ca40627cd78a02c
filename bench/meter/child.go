// Package meter is what the measuring commands share: the program and its floors
// as processes whose processor time is read, and clients that load them.
package meter

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"busybridge/internal/app/client"
)

// A Child is a server process whose processor time is read.
type Child struct {
	cmd  *exec.Cmd
	temp string
}

// Stop ends the process and removes its directory.
func (c *Child) Stop() {
	_ = c.cmd.Process.Signal(os.Interrupt) // it may have ended
	_ = c.cmd.Wait()
	if c.temp != "" {
		_ = os.RemoveAll(c.temp)
	}
}

// CPU is the user and system time so far of the process and of all that it
// started, in ticks of 10 ms.
func (c *Child) CPU() (time.Duration, error) {
	var d time.Duration
	err := c.each(func(p procfs.Proc) error {
		stat, err := p.Stat()
		d += time.Duration(stat.CPUTime() * float64(time.Second))
		// What ended and was waited for counts at its parent.
		d += time.Duration(stat.CUTime+stat.CSTime) * (10 * time.Millisecond)
		return err
	})
	return d, err
}

// Memory is the sum of what the process and all that it started hold now: a page
// that several of them share counts in part at each.
func (c *Child) Memory() (bytes uint64, err error) {
	err = c.each(func(p procfs.Proc) error {
		r, err := p.ProcSMapsRollup()
		bytes += r.Pss
		return err
	})
	return bytes, err
}

// Peak is the most that the process itself was resident with.
func (c *Child) Peak() (bytes uint64, err error) {
	p, err := procfs.NewProc(c.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	s, err := p.NewStatus()
	return s.VmHWM, err
}

// each calls f for the process and its descendants. One of these that ends
// meanwhile is passed over.
func (c *Child) each(f func(p procfs.Proc) error) error {
	all, err := procfs.AllProcs()
	if err != nil {
		return err
	}
	parents := map[int]int{}
	for _, p := range all {
		if stat, err := p.Stat(); err == nil {
			parents[p.PID] = stat.PPID
		}
	}
	for _, p := range all {
		pid := p.PID
		for pid != c.cmd.Process.Pid && pid > 1 {
			pid = parents[pid]
		}
		own := p.PID == c.cmd.Process.Pid
		if pid != c.cmd.Process.Pid {
			continue
		}
		if err := f(p); err != nil && (own || !gone(err)) {
			return err
		}
	}
	return nil
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// Spawn starts a server that writes to the file log. Nothing waits for it to be
// up: ask it.
func Spawn(ctx context.Context, log, binary string, args ...string) (*Child, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	//nolint:gosec // who measures names the program
	c := &Child{cmd: exec.CommandContext(ctx, binary, args...)}
	c.cmd.Stdout, c.cmd.Stderr = f, f
	// It has processes of its own, perhaps, and stops them.
	c.cmd.Cancel, c.cmd.WaitDelay = func() error { return c.cmd.Process.Signal(os.Interrupt) }, 10*time.Second
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, nil
}

func cpu(pid int) (time.Duration, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, err
	}
	stat, err := p.Stat()
	return time.Duration(stat.CPUTime() * float64(time.Second)), err
}

// Each is the processor time of one call of f, which is called for about d. This
// process must be doing nothing else.
func Each(d time.Duration, f func() error) (time.Duration, error) {
	before, err := cpu(os.Getpid())
	if err != nil {
		return 0, err
	}
	n := 0
	for start := time.Now(); time.Since(start) < d; { //nolint:forbidigo // a measurement is of now
		for range 16 {
			if err := f(); err != nil {
				return 0, err
			}
		}
		n += 16
	}
	after, err := cpu(os.Getpid())
	return (after - before) / time.Duration(n), err
}

// Start runs a program until it has written a JSON value about itself into up.
func Start(ctx context.Context, up any, binary string, args ...string) (*Child, error) {
	return start(ctx, "", up, binary, args...)
}

// start runs a program until it has written a JSON value about itself.
func start(ctx context.Context, temp string, up any, binary string, args ...string) (*Child, error) {
	var stderr bytes.Buffer
	//nolint:gosec // who measures names the program
	c := &Child{cmd: exec.CommandContext(ctx, binary, args...), temp: temp}
	c.cmd.Stderr = &clipped{to: &stderr}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(stdout).Decode(up); err != nil {
		c.Stop()
		return nil, fmt.Errorf("%s %s: %w\n%s", binary, args, err, stderr.Bytes())
	}
	return c, nil
}

// clipped keeps the first 4096 bytes: a server writes a line for each request.
type clipped struct{ to *bytes.Buffer }

func (c *clipped) Write(p []byte) (int, error) {
	if n := 4096 - c.to.Len(); n > 0 {
		c.to.Write(p[:min(n, len(p))])
	}
	return len(p), nil
}

// A Lab is the world of `busybridge lab`, joined.
type Lab struct {
	*Child
	File *client.LabFile
	Dir  string
}

// StartLab starts the lab of a binary in a temporary directory.
func StartLab(ctx context.Context, binary string) (*Lab, error) {
	temp, err := os.MkdirTemp("", "busybridge-bench-")
	if err != nil {
		return nil, err
	}
	l := &Lab{File: new(client.LabFile), Dir: temp}
	if l.Child, err = start(ctx, temp, l.File, binary, "lab", "--dir", temp, "--port", "0", "--json"); err != nil {
		return nil, errors.Join(fmt.Errorf("%w (make build)", err), os.RemoveAll(temp))
	}
	return l, nil
}

// Client keeps a connection for each asker to host, as Exchange's clients do.
func (l *Lab) Client(host string) (*http.Client, error) {
	roots, err := client.ReadRoots(l.File.CAFile)
	if err != nil {
		return nil, err
	}
	return overHTTP1(&tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS13}, fmt.Sprintf("%s:%d", l.File.Hosts[host], l.File.Port)), nil
}

func overHTTP1(cfg *tls.Config, address string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: cfg, MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
}
