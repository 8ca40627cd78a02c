package safehttp

import "net/netip"

// notPublic4 is all of IPv4 that is not global unicast (IANA IPv4 Special-Purpose
// Address Registry, RFC 6890).
var notPublic4 = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // "this network", RFC 791
	netip.MustParsePrefix("10.0.0.0/8"),      // private, RFC 1918
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT, RFC 6598
	netip.MustParsePrefix("127.0.0.0/8"),     // loopback
	netip.MustParsePrefix("169.254.0.0/16"),  // link-local and cloud metadata services, RFC 3927
	netip.MustParsePrefix("172.16.0.0/12"),   // private, RFC 1918
	netip.MustParsePrefix("192.0.0.0/24"),    // IETF protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays, RFC 7526
	netip.MustParsePrefix("192.168.0.0/16"),  // private, RFC 1918
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks, RFC 2544
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("224.0.0.0/4"),     // multicast
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved and broadcast
}

var (
	// global6 is what IANA hands out as IPv6 global unicast; loopback, unique
	// local, link-local, multicast and IPv4-compatible addresses are outside.
	global6 = netip.MustParsePrefix("2000::/3")
	// notPublic6 are the holes in global6.
	notPublic6 = []netip.Prefix{
		netip.MustParsePrefix("2001::/23"),     // IETF protocol assignments: Teredo, benchmarks, ORCHID
		netip.MustParsePrefix("2001:db8::/32"), // documentation
		netip.MustParsePrefix("2002::/16"),     // 6to4: an IPv4 address inside, RFC 7526
		netip.MustParsePrefix("3fff::/20"),     // documentation, RFC 9637
	}
	// nat64 carries an IPv4 address in its last 32 bits (RFC 6052 2.1).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// Public reports whether a is a unicast address of the public Internet. An IPv4
// address inside an IPv6 one (mapped, NAT64) counts as itself.
func Public(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	holes := notPublic4
	if !a.Is4() {
		if !global6.Contains(a) {
			return false
		}
		holes = notPublic6
	}
	for _, p := range holes {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
