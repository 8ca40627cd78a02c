package pgtest

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// A Proxy stands between a program and a Server: it counts round trips, and can cut
// the program off.
type Proxy struct {
	server   *Server
	dir      string
	trips    atomic.Int64
	mu       sync.Mutex // guards what follows
	cut      bool
	listener net.Listener
	conns    map[net.Conn]bool
	wg       sync.WaitGroup
}

const socket = ".s.PGSQL.5432"

// Proxy returns one. It ends with the test.
func (s *Server) Proxy(t testing.TB) *Proxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "busybridge-pg")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{server: s, dir: dir, conns: map[net.Conn]bool{}}
	if p.listener, err = net.Listen("unix", filepath.Join(dir, socket)); err != nil {
		t.Fatal(err)
	}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		if err := p.listener.Close(); err != nil {
			t.Error(err)
		}
		p.Cut(true)
		p.wg.Wait()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return p
}

// URL is that of a new, empty store, by way of the proxy.
func (p *Proxy) URL(t testing.TB) string { return p.Through(p.server.URL(t)) }

// Through is the same store by way of the proxy.
func (p *Proxy) Through(url string) string { return replaceHost(url, p.dir) }

// Trips is how often a program has written and waited for an answer since the start.
func (p *Proxy) Trips() int { return int(p.trips.Load()) }

// Cut ends all connections and lets none come, until it is called with false.
func (p *Proxy) Cut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	for c := range p.conns {
		_ = c.Close() // whoever reads sees it
	}
	clear(p.conns)
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.Dial("unix", filepath.Join(p.server.dir, socket)) //nolint:noctx // the same
		p.mu.Lock()
		if err != nil || p.cut {
			p.mu.Unlock()
			_ = client.Close()
			if err == nil {
				_ = server.Close()
			}
			continue
		}
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		var answered atomic.Bool
		answered.Store(true)
		p.wg.Go(func() {
			p.copy(server, client, func() {
				if answered.Swap(false) {
					p.trips.Add(1)
				}
			})
		})
		p.wg.Go(func() { p.copy(client, server, func() { answered.Store(true) }) })
	}
}

func (p *Proxy) copy(to, from net.Conn, seen func()) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			seen()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
