// Package smtpaddr parses e-mail addresses once, into a type that cannot be wrong.
package smtpaddr

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"
)

// ErrInvalid is wrapped by every error of Parse and ParseDomain.
var ErrInvalid = errors.New("not a valid SMTP address")

const maxLen = 320 // RFC 5321 4.5.3.1: 64 + "@" + 255

// An Address is local@domain (RFC 5321 4.1.2, dot-string form, RFC 6531
// letters allowed). It is comparable: the local part keeps no letter case and
// the domain is in lower-case A-label form, so equal addresses are == .
// The zero Address is no address.
type Address struct{ local, domain string }

// Parse reads s, which may carry a "SMTP:" prefix as old EWS requests do.
func Parse(s string) (Address, error) {
	t := strings.TrimSpace(s)
	if len(t) > 5 && strings.EqualFold(t[:5], "smtp:") {
		t = t[5:]
	}
	at := strings.LastIndexByte(t, '@')
	if at <= 0 || len(t) > maxLen {
		return Address{}, fmt.Errorf("%q: %w", clip(s), ErrInvalid)
	}
	local := t[:at]
	for _, r := range local {
		if r <= ' ' || r == 0x7f || r == 0xfffd || r < 0x7f && special(byte(r)) {
			return Address{}, fmt.Errorf("%q: %w", clip(s), ErrInvalid)
		}
	}
	if local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return Address{}, fmt.Errorf("%q: %w", clip(s), ErrInvalid)
	}
	domain, err := ParseDomain(t[at+1:])
	if err != nil {
		return Address{}, fmt.Errorf("%q: %w", clip(s), ErrInvalid)
	}
	return Address{strings.ToLower(local), domain}, nil
}

// Must is Parse for constants; it panics on an invalid address.
func Must(s string) Address {
	a, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return a
}

// ParseDomain returns the lower-case A-label form of a host or mail domain.
func ParseDomain(s string) (string, error) {
	if canonical(s) {
		return s, nil
	}
	d, err := idna.Lookup.ToASCII(strings.TrimSuffix(s, "."))
	if err != nil || d == "" || len(d) > 255 || strings.ContainsRune(s, '\ufffd') { // broken UTF-8, which idna takes
		return "", fmt.Errorf("domain %q: %w", clip(s), ErrInvalid)
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", fmt.Errorf("domain %q: %w", clip(s), ErrInvalid)
		}
		for i := range len(label) {
			if c := label[i]; c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return "", fmt.Errorf("domain %q: %w", clip(s), ErrInvalid)
			}
		}
	}
	return d, nil
}

// special reports whether c may stand in a quoted local part only (RFC 5322 3.2.3).
func special(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '"':
		return true
	}
	return false
}

// canonical reports whether s is a domain as ParseDomain returns it, of labels
// without Unicode: nearly every one is.
func canonical(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return false
			}
			continue
		}
		label := s[start:i]
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || len(label) > 3 && label[2:4] == "--" {
			return false
		}
		start = i + 1
	}
	return true
}

// String is the canonical form, or "" for the zero Address.
func (a Address) String() string {
	if a.domain == "" {
		return ""
	}
	return a.local + "@" + a.domain
}

// Local is the part before the @, Domain the part after it.
func (a Address) Local() string  { return a.local }
func (a Address) Domain() string { return a.domain }

// IsZero reports whether a is no address.
func (a Address) IsZero() bool { return a.domain == "" }

// MarshalText and UnmarshalText store the canonical form.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (a *Address) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*a = Address{}
		return nil
	}
	v, err := Parse(string(b))
	if err == nil {
		*a = v
	}
	return err
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
