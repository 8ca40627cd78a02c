package trust

import (
	"net"
	"strconv"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/smtpaddr"
)

// coversHost reports whether a principal is registered for the audience: by its
// id and exactly the host, or by a wildcard for exactly one label (oauth-s2s
// 5.3). The id alone covers no host. The audience is written into the token as
// it came, so a trailing dot, which no resource takes, is not passed over.
func coversHost(p *directory.ServicePrincipal, aud acs.Audience) bool {
	host, port := aud.Host, 0
	if h, digits, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil {
			return false
		}
		host, port = h, int(n)
	}
	if strings.HasSuffix(host, ".") {
		return false
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
