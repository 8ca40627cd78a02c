package trust

import (
	"net"
	"strconv"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/smtpaddr"
)

// coversHost reports whether a principal is registered for the audience: by its
// id and exactly the host, or by a wildcard for exactly one label (oauth-s2s
// 5.3). The id alone covers no host.
func coversHost(p *directory.ServicePrincipal, aud acs.Audience) bool {
	host, port := aud.Host, 0
	if h, digits, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil {
			return false
		}
		host, port = h, int(n)
	}
	host, err := smtpaddr.ParseDomain(host)
	if err != nil {
		return false
	}
	for _, s := range p.ServicePrincipalNames {
		if n, err := directory.ParseSPN(s); err == nil && n.AppID == aud.PID && n.Covers(host, port) {
			return true
		}
	}
	return false
}
