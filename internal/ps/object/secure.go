package object

import (
	"log/slog"
	"strings"
)

// A SecureString holds a text that is never printed or logged.
type SecureString struct{ text string }

// NewSecureString wraps text.
func NewSecureString(text string) *SecureString { return &SecureString{text} }

// Reveal is the text, for the code that must send it.
func (s *SecureString) Reveal() string {
	if s == nil {
		return ""
	}
	return s.text
}

// String is the type's name.
func (s *SecureString) String() string { return TSecureString.Name }

// LogValue keeps the text out of logs.
func (s *SecureString) LogValue() slog.Value { return slog.StringValue("redacted") }

// GoString keeps the text out of %#v.
func (s *SecureString) GoString() string { return TSecureString.Name }

// A Credential is a user name with a password (PSCredential).
type Credential struct {
	UserName string
	Password *SecureString
}

// String is the type's name.
func (c *Credential) String() string { return TCredential.Name }

// LogValue shows the user name only.
func (c *Credential) LogValue() slog.Value { return slog.StringValue(c.UserName) }

// network is the object GetNetworkCredential gives: the one place where a script can read the password.
func (c *Credential) network() *Object {
	domain, user := "", c.UserName
	if d, u, ok := strings.Cut(user, `\`); ok {
		domain, user = d, u
	} else if i := strings.LastIndexByte(user, '@'); i > 0 && (!strings.Contains(user[i:], ".") || strings.Count(user, "@") > 1) {
		domain, user = user[i+1:], user[:i] // an address with a dot in its domain is a user name as a whole
	}
	o := New(TNetworkCred.Names()...)
	for _, p := range []Property{{Name: "UserName", Value: user}, {Name: "Password", Value: c.Password.Reveal()}, {Name: "SecurePassword", Value: c.Password}, {Name: "Domain", Value: domain}} {
		p.Kind = DataProperty
		o.AddProperty(&p)
	}
	return o
}
