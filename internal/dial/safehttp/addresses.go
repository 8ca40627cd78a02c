package safehttp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// headStart is how long an address is tried before the next one is tried beside it
	// (RFC 8305 5).
	headStart = 250 * time.Millisecond
	// restFor is how long an address that could not be connected to is tried last.
	restFor = 30 * time.Second
	// openFor is how long a host is left alone of whose addresses none answered.
	openFor = 2 * time.Second

	maxAddresses = 16 // of one host; more are not tried
)

// addresses dials hosts that have several addresses: in the order of the resolver,
// those that failed lately last. A host of which none answered is not dialed again
// for a moment: the questions of that moment fail at once, with what was wrong.
type addresses struct {
	lookup  func(ctx context.Context, network, host string) ([]netip.Addr, error) // required
	connect func(ctx context.Context, network, address string) (net.Conn, error)  // required

	mu     sync.Mutex // guards all below
	rest   map[netip.AddrPort]*time.Timer
	broken map[string]error // by host:port
}

// dial connects to host:port. Errors are those of net.Dialer.
func (a *addresses) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return a.connect(ctx, network, address)
	}
	a.mu.Lock()
	err = a.broken[address]
	a.mu.Unlock()
	if err != nil {
		return nil, err
	}
	ips, err := a.lookup(ctx, "ip", host)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	number, err := net.DefaultResolver.LookupPort(ctx, network, port)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	conn, err := a.race(ctx, network, a.order(ips, uint16(number)))
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrAddress) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.broken == nil {
			a.broken = map[string]error{}
		}
		a.broken[address] = err
		time.AfterFunc(openFor, func() {
			a.mu.Lock()
			delete(a.broken, address)
			a.mu.Unlock()
		})
	}
	return conn, err
}

// order is the addresses to try, those that rest last.
func (a *addresses) order(ips []netip.Addr, port uint16) []netip.AddrPort {
	ips = ips[:min(len(ips), maxAddresses)]
	first, last := make([]netip.AddrPort, 0, len(ips)), []netip.AddrPort(nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ip := range ips {
		at := netip.AddrPortFrom(ip.Unmap(), port)
		if a.rest[at] != nil {
			last = append(last, at)
		} else {
			first = append(first, at)
		}
	}
	return append(first, last...)
}

// A dialed is how the attempt at one address ended.
type dialed struct {
	at   netip.AddrPort
	conn net.Conn
	err  error
}

// race tries the addresses in order, the next one when one has failed or had its
// head start. The first connection wins; the error is that of the first address.
func (a *addresses) race(ctx context.Context, network string, list []netip.AddrPort) (net.Conn, error) {
	if len(list) == 0 {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("the host has no address")}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialed, len(list))
	next, running := 0, 0
	start := func() {
		at := list[next]
		next++
		running++
		go func() {
			conn, err := a.connect(ctx, network, at.String())
			results <- dialed{at, conn, err}
		}()
	}
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	failures := make(map[netip.AddrPort]error, len(list))
	for start(); running > 0; {
		select {
		case <-timer.C:
		case d := <-results:
			running--
			if d.err == nil {
				a.note(d.at, true)
				if running > 0 {
					go discard(results, running) // what was begun beside it ends with ctx
				}
				return d.conn, nil
			}
			failures[d.at] = d.err
			if ctx.Err() == nil && !errors.Is(d.err, ErrAddress) {
				a.note(d.at, false)
			}
		}
		if next < len(list) {
			start()
			timer.Reset(headStart)
		}
	}
	return nil, failures[list[0]]
}

// discard closes the connections of n attempts that nobody needs any more.
func discard(results <-chan dialed, n int) {
	for range n {
		if d := <-results; d.conn != nil {
			d.conn.Close()
		}
	}
}

// note remembers whether an address could be connected to.
func (a *addresses) note(at netip.AddrPort, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.rest[at]; t != nil {
		t.Stop()
		delete(a.rest, at)
	}
	if ok {
		return
	}
	if a.rest == nil {
		a.rest = map[netip.AddrPort]*time.Timer{}
	}
	var t *time.Timer
	t = time.AfterFunc(restFor, func() {
		a.mu.Lock()
		if a.rest[at] == t {
			delete(a.rest, at)
		}
		a.mu.Unlock()
	})
	a.rest[at] = t
}
