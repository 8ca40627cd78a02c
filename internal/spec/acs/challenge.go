package acs

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// A Challenge is the Bearer challenge of a resource (oauth-s2s 2.1).
type Challenge struct {
	ClientID string // pid of the resource application
	Realm    string // of the resource; usually absent
	// TrustedIssuers are the readable entries of trusted_issuers in order;
	// Issuers is the parameter as it came.
	TrustedIssuers []PrincipalName
	Issuers        string
	TokenTypes     []string
	// ES256Keys are the x5t of the ES256 keys that are taken under direct trust
	// (es256_keys): a parameter of our own, which others pass over.
	ES256Keys        []string
	AuthorizationURI string
	Error            string // "invalid_token" when a token was presented
}

// String is the value of a WWW-Authenticate header.
func (c Challenge) String() string {
	var b strings.Builder
	b.WriteString("Bearer")
	sep := " "
	put := func(name, value string) {
		if value == "" {
			return
		}
		b.WriteString(sep + name + `="`)
		for i := range len(value) {
			switch ch := value[i]; {
			case ch == '"' || ch == '\\':
				b.WriteByte('\\')
				b.WriteByte(ch)
			case !control(ch):
				b.WriteByte(ch)
			}
		}
		b.WriteByte('"')
		sep = ", "
	}
	put("client_id", c.ClientID)
	put("realm", c.Realm)
	issuers := make([]string, len(c.TrustedIssuers))
	for i, p := range c.TrustedIssuers {
		issuers[i] = p.String()
	}
	put("trusted_issuers", strings.Join(issuers, ","))
	put("token_types", strings.Join(c.TokenTypes, " "))
	put("es256_keys", strings.Join(c.ES256Keys, " "))
	put("authorization_uri", c.AuthorizationURI)
	put("error", c.Error)
	return b.String()
}

// Limits of a WWW-Authenticate header.
const (
	maxChallengeBytes = 16 << 10 // of all lines together
	maxSchemes        = 32
	maxParams         = 32 // of one challenge
)

// ParseChallenges returns the Bearer challenges of the WWW-Authenticate lines of
// h, in order. Several challenges may be merged in one line. A line that does
// not follow RFC 7235 is left out; the error, which wraps ErrInvalid, tells of
// it and comes together with what the other lines gave.
func ParseChallenges(h http.Header) ([]Challenge, error) {
	var out []Challenge
	var errs []error
	total := 0
	for _, line := range h.Values("WWW-Authenticate") {
		if total += len(line); total > maxChallengeBytes {
			errs = append(errs, fmt.Errorf("%w challenge: longer than %d bytes", ErrInvalid, maxChallengeBytes))
			break
		}
		schemes, err := ParseAuthenticate(line)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, s := range schemes {
			if strings.EqualFold(s.Name, "Bearer") {
				out = append(out, challengeOf(s))
			}
		}
	}
	return out, errors.Join(errs...)
}

func challengeOf(s Scheme) Challenge {
	c := Challenge{
		ClientID: s.Param("client_id"), Realm: s.Param("realm"), Issuers: s.Param("trusted_issuers"),
		AuthorizationURI: s.Param("authorization_uri"), Error: s.Param("error"),
	}
	for entry := range strings.SplitSeq(c.Issuers, ",") {
		if p, err := ParsePrincipalName(strings.TrimSpace(entry)); err == nil {
			c.TrustedIssuers = append(c.TrustedIssuers, p)
		}
	}
	if t := strings.Fields(s.Param("token_types")); len(t) > 0 {
		c.TokenTypes = t
	}
	if k := strings.Fields(s.Param("es256_keys")); len(k) > 0 {
		c.ES256Keys = k
	}
	return c
}

// A Scheme is one challenge of any authentication scheme.
type Scheme struct {
	Name    string
	Token68 string // "Negotiate <base64>"
	Params  []Param
}

// A Param is one auth-param; its name is in lower case.
type Param struct{ Name, Value string }

// Param returns the value of the named parameter, or "".
func (s Scheme) Param(name string) string {
	for _, p := range s.Params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// ParseAuthenticate reads one line of WWW-Authenticate (RFC 7235 4.1): a list of
// challenges, each a scheme with either a token68 or a list of parameters. A
// parameter that comes twice in one challenge is an error.
func ParseAuthenticate(line string) ([]Scheme, error) {
	p := authParser{s: line}
	var out []Scheme
	for {
		p.separators()
		if p.i == len(p.s) {
			return out, nil
		}
		if len(out) == maxSchemes {
			return nil, p.errorf("more than %d challenges", maxSchemes)
		}
		name := p.token()
		if name == "" {
			return nil, p.errorf("want a scheme")
		}
		s := Scheme{Name: name}
		if p.i < len(p.s) && p.s[p.i] != ' ' && p.s[p.i] != '\t' && p.s[p.i] != ',' {
			return nil, p.errorf("unexpected %q", p.s[p.i])
		}
		p.spaces()
		if err := p.body(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
}

// authParser reads s from i on.
type authParser struct {
	s string
	i int
}

// body reads what follows a scheme, up to the next scheme or the end.
func (p *authParser) body(s *Scheme) error {
	if t := p.token68(); t != "" {
		s.Token68 = t
		return nil
	}
	for {
		start := p.i
		p.separators()
		name, value, ok, err := p.param()
		if err != nil {
			return err
		}
		if !ok {
			// No parameter: the next scheme starts here, after a comma.
			if p.i = start; start < len(p.s) && p.s[start] != ',' {
				return p.errorf("unexpected %q", p.s[start])
			}
			return nil
		}
		name = strings.ToLower(name)
		for _, q := range s.Params {
			if q.Name == name {
				return p.errorf("parameter %s twice", name)
			}
		}
		if len(s.Params) == maxParams {
			return p.errorf("more than %d parameters", maxParams)
		}
		s.Params = append(s.Params, Param{name, value})
		if p.spaces(); p.i < len(p.s) && p.s[p.i] != ',' {
			return p.errorf("unexpected %q", p.s[p.i])
		}
	}
}

// param reads name BWS "=" BWS (token / quoted-string); ok is false when there
// is no such thing here.
func (p *authParser) param() (name, value string, ok bool, err error) {
	if name = p.token(); name == "" {
		return "", "", false, nil
	}
	p.spaces()
	if p.i == len(p.s) || p.s[p.i] != '=' {
		return "", "", false, nil
	}
	p.i++
	p.spaces()
	if p.i < len(p.s) && p.s[p.i] == '"' {
		value, err = p.quoted()
		return name, value, true, err
	}
	if value = p.token(); value == "" {
		return "", "", false, p.errorf("want a value of %s", clip(name))
	}
	return name, value, true, nil
}

// token68 reads 1*(ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/") *"=" when
// nothing but that stands before the next comma. A lone word is one as well.
func (p *authParser) token68() string {
	i := p.i
	for i < len(p.s) && (isAlnum(p.s[i]) || strings.IndexByte("-._~+/", p.s[i]) >= 0) {
		i++
	}
	if i == p.i {
		return ""
	}
	for i < len(p.s) && p.s[i] == '=' {
		i++
	}
	end := i
	for i < len(p.s) && (p.s[i] == ' ' || p.s[i] == '\t') {
		i++
	}
	if i < len(p.s) && p.s[i] != ',' {
		return ""
	}
	t := p.s[p.i:end]
	p.i = i
	return t
}

func (p *authParser) quoted() (string, error) {
	var b strings.Builder
	for p.i++; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return b.String(), nil
		case c == '\\' && p.i+1 < len(p.s):
			p.i++
			if control(p.s[p.i]) { // RFC 9110 5.6.4: a quoted-pair is none either
				return "", p.errorf("control character")
			}
			b.WriteByte(p.s[p.i])
		case control(c):
			return "", p.errorf("control character")
		default:
			b.WriteByte(c)
		}
	}
	return "", p.errorf("quoted string has no end")
}

// control reports whether c may not stand in a quoted string.
func control(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

func (p *authParser) token() string {
	start := p.i
	for p.i < len(p.s) && (isAlnum(p.s[p.i]) || strings.IndexByte("!#$%&'*+-.^_`|~", p.s[p.i]) >= 0) {
		p.i++
	}
	return p.s[start:p.i]
}

func (p *authParser) spaces() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t') {
		p.i++
	}
}

func (p *authParser) separators() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t' || p.s[p.i] == ',') {
		p.i++
	}
}

func (p *authParser) errorf(format string, args ...any) error {
	return fmt.Errorf("%w challenge, column %d: %s", ErrInvalid, p.i+1, fmt.Sprintf(format, args...))
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
