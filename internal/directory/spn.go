package directory

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"busybridge/internal/spec/smtpaddr"
)

// ErrSPN is wrapped when a service principal name is malformed.
var ErrSPN = errors.New("not a valid service principal name")

// An SPN is one entry of ServicePrincipalNames (oauth-s2s reference 5.3):
// "<appid>", "<appid>/<authority>" or "https://<authority>".
type SPN struct {
	AppID string // lower-case GUID; empty in the https form
	Host  string // A-label, lower case; "*.x" covers one label under x; empty: the bare application id
	Port  int    // 0: the port of https
}

// ParseSPN reads one entry and brings it to its canonical form: lower case,
// A-labels, without a trailing dot, port 443 and a trailing slash. A "*" is
// accepted only as the whole left-most label, over two labels or more.
func ParseSPN(s string) (SPN, error) {
	bad := func(why string) (SPN, error) {
		return SPN{}, fmt.Errorf("%q: %w: %s", clip(s), ErrSPN, why)
	}
	var n SPN
	authority, url := cutPrefixFold(s, "https://")
	if url {
		authority = strings.TrimSuffix(authority, "/")
	} else {
		id, rest, slash := strings.Cut(s, "/")
		if n.AppID = strings.ToLower(id); !IsGUID(n.AppID) {
			return bad("want an application id, <application id>/<host> or https://<host>")
		}
		if !slash {
			return n, nil
		}
		authority = rest
	}
	host := authority
	if h, p, err := net.SplitHostPort(authority); err == nil {
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil || port == 0 {
			return bad("the port is none")
		}
		if host = h; port != 443 {
			n.Port = int(port)
		}
	}
	base, wild := strings.CutPrefix(host, "*.")
	d, err := smtpaddr.ParseDomain(base)
	switch {
	case err != nil:
		return bad("the host is no domain name")
	case wild && url:
		return bad("a URL cannot have a wildcard")
	case wild && !strings.Contains(d, "."):
		return bad("the wildcard is too wide")
	case wild:
		d = "*." + d
	}
	n.Host = d
	return n, nil
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// String is the canonical form.
func (n SPN) String() string {
	if n.Host == "" {
		return n.AppID
	}
	a := n.Host
	if n.Port != 0 {
		a += ":" + strconv.Itoa(n.Port)
	}
	if n.AppID == "" {
		return "https://" + a
	}
	return n.AppID + "/" + a
}

// Covers reports whether n stands for the host and port (0: that of https). A
// wildcard covers exactly one label; the apex needs an entry of its own.
func (n SPN) Covers(host string, port int) bool {
	if port == 443 {
		port = 0
	}
	if n.Host == "" || n.Port != port {
		return false
	}
	base, wild := strings.CutPrefix(n.Host, "*.")
	if !wild {
		return n.Host == host
	}
	label, rest, ok := strings.Cut(host, ".")
	return ok && label != "" && rest == base
}

// CheckSPN parses an entry that is meant for the application and checks that
// the realm may use its host: a verified domain, below one, or one of
// ServiceHosts; no wildcard directly under a public suffix, no look-alikes.
func (r *Realm) CheckSPN(appID, entry string) (SPN, error) {
	n, err := ParseSPN(entry)
	if err != nil {
		return SPN{}, err
	}
	if n.AppID != "" && n.AppID != appID {
		return SPN{}, fmt.Errorf("%q: %w: it begins with the id of another application, want %s", clip(entry), ErrSPN, appID)
	}
	if n.Host == "" {
		return n, nil
	}
	for _, h := range r.ServiceHosts {
		if n.Host == h {
			return n, nil
		}
	}
	base, wild := strings.CutPrefix(n.Host, "*.")
	if suffix, _ := publicsuffix.PublicSuffix(base); wild && suffix == base {
		return SPN{}, fmt.Errorf("%q: %w: the wildcard is directly under the public suffix %s", clip(entry), ErrSPN, base)
	}
	if mixed, ok := mixedScripts(base); ok {
		return SPN{}, fmt.Errorf("%q: %w: %q mixes alphabets", clip(entry), ErrSPN, mixed)
	}
	for i := range r.Domains {
		if d := r.Domains[i].Name; base == d || strings.HasSuffix(base, "."+d) {
			return n, nil
		}
	}
	return SPN{}, fmt.Errorf("%q: %w: %s is no verified domain of the realm nor below one", clip(entry), ErrSPN, base)
}

// mixedScripts returns a label of host that mixes Latin letters with those of
// an alphabet that looks like it: it was made to look like something else.
func mixedScripts(host string) (label string, ok bool) {
	if !strings.Contains(host, "xn--") {
		return "", false
	}
	text, err := idna.ToUnicode(host)
	if err != nil {
		return host, true
	}
	for label := range strings.SplitSeq(text, ".") {
		latin, other := false, false
		for _, r := range label {
			latin = latin || unicode.Is(unicode.Latin, r)
			other = other || unicode.In(r, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee)
		}
		if latin && other {
			return label, true
		}
	}
	return "", false
}
