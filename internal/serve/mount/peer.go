package mount

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwarded are the headers by which a proxy says who asked it.
var forwarded = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Forwarded"}

// resolvePeer sets r.RemoteAddr and r.Host to what a trusted proxy says. It
// removes the proxy headers in every case, so no handler can believe them, and
// what TLS says of a proxy: neither its certificate nor the name that it asked
// for are its client's.
func resolvePeer(r *http.Request, trusted []netip.Prefix) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil && contains(trusted, peer.Addr()) {
		if a, ok := forwardedFor(r.Header.Values("X-Forwarded-For"), trusted); ok {
			r.RemoteAddr = netip.AddrPortFrom(a, 0).String()
		}
		if h := lastElement(r.Header.Values("X-Forwarded-Host")); saneHost(h) {
			r.Host = h
		}
		if r.TLS != nil {
			state := *r.TLS
			state.ServerName, state.PeerCertificates, state.VerifiedChains = "", nil, nil
			r.TLS = &state
		}
	}
	if slices.ContainsFunc(forwarded, func(k string) bool { return r.Header[k] != nil }) {
		r.Header = r.Header.Clone()
		for _, k := range forwarded {
			delete(r.Header, k)
		}
	}
}

// forwardedFor is the last address of the chain that no trusted proxy has. What
// stands left of it was written by whoever asked.
func forwardedFor(values []string, trusted []netip.Prefix) (netip.Addr, bool) {
	chain := strings.Split(strings.Join(values, ","), ",")
	var last netip.Addr
	for _, s := range slices.Backward(chain) {
		a, err := parseAddr(strings.TrimSpace(s))
		if err != nil {
			break
		}
		last = a
		if !contains(trusted, a) {
			break
		}
	}
	return last, last.IsValid()
}

// parseAddr reads "192.0.2.1", "192.0.2.1:443", "2001:db8::1" and "[2001:db8::1]:443".
func parseAddr(s string) (netip.Addr, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), nil
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

func lastElement(values []string) string {
	if len(values) == 0 {
		return ""
	}
	v := values[len(values)-1]
	return strings.TrimSpace(v[strings.LastIndexByte(v, ',')+1:])
}

// saneHost accepts host and host:port of letters, digits, dots, hyphens, and IPv6 brackets.
func saneHost(s string) bool {
	host := s
	if h, _, err := net.SplitHostPort(s); err == nil {
		host = h
	}
	return host != "" && len(s) <= 255 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") == ""
}
