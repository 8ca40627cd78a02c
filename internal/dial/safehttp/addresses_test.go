package safehttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A net of addresses that answer, refuse or say nothing.
type fakeNet struct {
	ips    []netip.Addr
	mu     sync.Mutex
	how    map[string]string // by address: "up", "refuse", "silent", "fenced"
	dialed []string
	open   int
}

func (f *fakeNet) lookup(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host != "mail.contoso.com" {
		return nil, &net.DNSError{Name: host, IsNotFound: true}
	}
	return f.ips, nil
}

type fakeConn struct {
	net.Conn
	f *fakeNet
}

func (c fakeConn) Close() error {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.f.open--
	return nil
}

func (f *fakeNet) connect(ctx context.Context, network, address string) (net.Conn, error) {
	ip, _, _ := strings.Cut(address, ":")
	f.mu.Lock()
	f.dialed = append(f.dialed, ip)
	how := f.how[ip]
	f.mu.Unlock()
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: %w", ip, err)}
	}
	switch how {
	case "refuse":
		return fail(errors.New("refused"))
	case "fenced":
		return fail(ErrAddress)
	case "silent":
		select {
		case <-ctx.Done():
			return fail(ctx.Err())
		case <-time.After(connectTimeout):
			return fail(context.DeadlineExceeded)
		}
	case "slow":
		time.Sleep(headStart + headStart/2)
	}
	f.mu.Lock()
	f.open++
	f.mu.Unlock()
	return fakeConn{f: f}, nil
}

// TestAddressesInOrder tells, dial by dial, which addresses were tried and how long
// it took; what was begun in vain is closed.
func TestAddressesInOrder(t *testing.T) {
	const a, b, c = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	type step struct {
		pass time.Duration     // before
		set  map[string]string // changes
		want string            // what was tried, how long, and the error
	}
	all := func(how string) map[string]string { return map[string]string{a: how, b: how, c: how} }
	tests := []struct {
		name  string
		how   map[string]string
		steps []step
	}{
		{"the first answers", nil, []step{{want: a + " 0s"}, {want: a + " 0s"}}},
		{"the first refuses, and comes last for a while", map[string]string{a: "refuse"}, []step{
			{want: a + " " + b + " 0s"}, {want: b + " 0s"}, {pass: restFor - 3*time.Second, want: b + " 0s"}, {pass: 3 * time.Second, want: a + " " + b + " 0s"},
		}},
		{"the first says nothing: the next has a head start to wait for", map[string]string{a: "silent"}, []step{
			{want: a + " " + b + " 250ms"}, {want: a + " " + b + " 250ms"}, // it has not failed, only lost
		}},
		{"one that rests is tried when the others fail, and is well again", map[string]string{a: "refuse"}, []step{
			{want: a + " " + b + " 0s"}, {set: map[string]string{a: "up", b: "refuse", c: "refuse"}, want: b + " " + c + " " + a + " 0s"}, {set: all("up"), want: a + " 0s"},
		}},
		{"two answer", map[string]string{a: "slow"}, []step{{want: a + " " + b + " 250ms"}}},
		{"none answers: the next questions fail at once", all("refuse"), []step{
			{want: a + " " + b + " " + c + " 0s dial tcp: 192.0.2.1: refused"}, {want: " 0s dial tcp: 192.0.2.1: refused"},
			{pass: openFor + 1, set: map[string]string{b: "up"}, want: a + " " + b + " 0s"},
		}},
		{"none says anything", all("silent"), []step{{want: a + " " + b + " " + c + " 10.5s dial tcp: 192.0.2.1: context deadline exceeded"}, {want: " 0s dial tcp: 192.0.2.1: context deadline exceeded"}}},
		{"an address that is not allowed is no failure of the host", map[string]string{a: "fenced"}, []step{{want: a + " " + b + " 0s"}, {want: a + " " + b + " 0s"}}},
		{"none is allowed", all("fenced"), []step{{want: a + " " + b + " " + c + " 0s dial tcp: 192.0.2.1: address is not public"}, {want: a + " " + b + " " + c + " 0s dial tcp: 192.0.2.1: address is not public"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeNet{ips: []netip.Addr{netip.MustParseAddr(a), netip.MustParseAddr("::ffff:" + b), netip.MustParseAddr(c)}, how: tt.how}
				if f.how == nil {
					f.how = map[string]string{}
				}
				hosts := addresses{lookup: f.lookup, connect: f.connect}
				for i, s := range tt.steps {
					time.Sleep(s.pass)
					for ip, how := range s.set {
						f.how[ip] = how
					}
					f.dialed = nil
					began := time.Now()
					conn, err := hosts.dial(t.Context(), "tcp", "mail.contoso.com:443")
					took := time.Since(began)
					time.Sleep(time.Second) // what is late comes now
					synctest.Wait()
					got := strings.Join(f.dialed, " ") + " " + took.String()
					if err != nil {
						got += " " + err.Error()
					} else {
						conn.Close()
					}
					if got != s.want {
						t.Errorf("dial %d: got  %s\nwant %s", i, got, s.want)
					}
					if f.open != 0 {
						t.Errorf("dial %d: %d connections are left", i, f.open)
					}
				}
				time.Sleep(restFor)
				synctest.Wait()
				if len(hosts.rest)+len(hosts.broken) != 0 {
					t.Errorf("something is remembered for ever: %v, %v", hosts.rest, hosts.broken)
				}
			})
		})
	}
}

func TestAddressesOfNobody(t *testing.T) {
	f := &fakeNet{}
	hosts := addresses{lookup: f.lookup, connect: f.connect}
	if _, err := hosts.dial(t.Context(), "tcp", "nobody.contoso.com:443"); FaultOf(err).Fault != FaultName {
		t.Errorf("got %v", err)
	}
	if _, err := hosts.dial(t.Context(), "tcp", "mail.contoso.com:443"); err == nil || !strings.Contains(err.Error(), "no address") {
		t.Errorf("got %v", err)
	}
	// Who gave up says nothing about the host.
	hosts = addresses{lookup: f.lookup, connect: f.connect}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.ips, f.how = []netip.Addr{netip.MustParseAddr("192.0.2.1")}, map[string]string{"192.0.2.1": "silent"}
	if _, err := hosts.dial(ctx, "tcp", "mail.contoso.com:443"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if len(hosts.rest) != 0 {
		t.Errorf("it rests: %v", hosts.rest)
	}
}
