package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"busybridge/internal/app/probe"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
)

// psQuote writes a text as a string of the management shell that nothing in it can
// end: some of what stands in remedies comes from the other side.
func psQuote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch r {
		case '\'', '\u2018', '\u2019', '\u201a', '\u201b': // all of them end a string
			b.WriteRune(r)
		case '\n', '\r', 0:
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}

// findWait is how long one guess of an endpoint is waited for.
const findWait = 2 * time.Second

// findEndpoint looks for an Autodiscover of the domain that answers as Exchange
// does, beside the host that is known not to; "": none was found.
func (g *diagnosing) findEndpoint(ctx context.Context, domain, but string) string {
	var hosts []string
	for _, c := range directory.Clouds {
		if directory.MatchDomain("*."+c.CoexistenceSuffix, domain) || directory.MatchDomain("*."+c.InitialSuffix, domain) {
			hosts = append(hosts, c.AutodiscoverHosts...)
		}
	}
	hosts = append(hosts, "autodiscover."+domain)
	if g.target != nil {
		for i := range g.target.Servers {
			hosts = append(hosts, g.target.Servers[i].HostNames...)
		}
	}
	hosts = append(hosts, domain)
	hc := safehttp.Client(g.transport, g.set.Dial)
	for i, host := range hosts {
		own := slices.ContainsFunc(g.org.Servers, func(s directory.Server) bool { return slices.Contains(s.HostNames, host) })
		if own || host == but || slices.Contains(hosts[:i], host) {
			continue
		}
		address := "https://" + host + "/autodiscover/autodiscover.svc"
		try, cancel := context.WithTimeout(ctx, findWait)
		ok := probe.Challenged(try, hc, address)
		cancel()
		if ok {
			return address
		}
	}
	return ""
}
