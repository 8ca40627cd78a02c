package directory

import "strings"

// MatchDomain reports whether pattern covers domain: equal, or "*.x" and a
// subdomain of x of any depth (not x itself).
func MatchDomain(pattern, domain string) bool {
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		return len(domain) > len(rest)+1 && strings.HasSuffix(domain, rest) && domain[len(domain)-len(rest)-1] == '.'
	}
	return pattern == domain
}

func matchAny(patterns []string, domain string) bool {
	for _, p := range patterns {
		if MatchDomain(p, domain) {
			return true
		}
	}
	return false
}
