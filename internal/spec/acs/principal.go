// Package acs holds the formats of the authorization server that Exchange calls
// ACS: metadata documents, the Bearer challenge, token requests and answers,
// OAuth errors and diagnostics (oauth-s2s reference, sections 1 to 3). It
// decides nothing; see package trust.
package acs

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid is wrapped by the errors of the Parse functions.
var ErrInvalid = errors.New("acs: invalid")

// AnyRealm is the realm of a principal name that stands for every realm.
const AnyRealm = "*"

// A PrincipalName is <pid>@<realm> (oauth-s2s 0.1): the form of iss, nameid and
// identityprovider. Both parts are compared byte for byte.
type PrincipalName struct{ PID, Realm string }

// ParsePrincipalName reads s. Both parts are present and there is one "@".
func ParsePrincipalName(s string) (PrincipalName, error) {
	pid, realm, ok := strings.Cut(s, "@")
	if !ok || !isPart(pid) || !isPart(realm) {
		return PrincipalName{}, fmt.Errorf("%w principal name %q", ErrInvalid, clip(s))
	}
	return PrincipalName{pid, realm}, nil
}

// String is the form that ParsePrincipalName reads.
func (p PrincipalName) String() string { return p.PID + "@" + p.Realm }

// Covers reports whether q is p, or p stands for every realm of the same pid.
func (p PrincipalName) Covers(q PrincipalName) bool {
	return p.PID == q.PID && (p.Realm == q.Realm || p.Realm == AnyRealm)
}

// An Audience is <pid>/<host>@<realm>, all three required (oauth-s2s 0.1).
type Audience struct{ PID, Host, Realm string }

// ParseAudience reads s. Host is kept as written; SameHost compares hosts.
func ParseAudience(s string) (Audience, error) {
	pid, rest, ok := strings.Cut(s, "/")
	host, realm, ok2 := strings.Cut(rest, "@")
	if !ok || !ok2 || !isPart(pid) || !isPart(host) || !isPart(realm) {
		return Audience{}, fmt.Errorf("%w audience %q", ErrInvalid, clip(s))
	}
	return Audience{pid, host, realm}, nil
}

// String is the form that ParseAudience reads.
func (a Audience) String() string { return a.PID + "/" + a.Host + "@" + a.Realm }

// SameHost reports whether two hosts are equal without regard to the letter
// case of ASCII and to a default port (oauth-s2s 4.5 step 10). A trailing dot
// or another port makes a different host.
func SameHost(a, b string) bool {
	a, b = strings.TrimSuffix(a, ":443"), strings.TrimSuffix(b, ":443")
	if len(a) != len(b) || a == "" {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// isPart: not empty, printable ASCII, no separator and no quote.
func isPart(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c >= 0x7f, c == '@', c == '/', c == ',', c == '"', c == '\\':
			return false
		}
	}
	return s != ""
}

// clip shortens text from outside for messages.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
