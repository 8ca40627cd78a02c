package directory

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"busybridge/internal/spec/smtpaddr"
)

// A FieldError says which value of which object breaks a rule. Validate joins
// one for each problem.
type FieldError struct {
	Object  string // kind and name: accepted domain "Contoso"
	Field   string
	Value   string // never a secret
	Problem string
	Err     error // ErrExists when the value must be unique and is not, else nil
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%s: %s %q: %s", e.Object, e.Field, e.Value, e.Problem)
}

func (e *FieldError) Unwrap() error { return e.Err }

const maxName = 64 // cmdlet reference 4.1, 9.1

// A checker collects the problems of one aggregate.
type checker struct {
	object string
	errs   []error
}

// of names the object that the next problems belong to.
func (c *checker) of(kind, name string) *checker {
	c.object = fmt.Sprintf("%s %q", kind, name)
	return c
}

func (c *checker) bad(field, value, format string, args ...any) {
	c.errs = append(c.errs, &FieldError{Object: c.object, Field: field, Value: clip(value), Problem: fmt.Sprintf(format, args...)})
}

func (c *checker) taken(field, value, by string) {
	c.errs = append(c.errs, &FieldError{Object: c.object, Field: field, Value: clip(value), Problem: by, Err: ErrExists})
}

func (c *checker) err() error { return errors.Join(c.errs...) }

// A once refuses a key that was seen before.
type once map[string]string

// add reports a problem of c when key is there already; owner is who has it.
func (o once) add(c *checker, field, value, key, owner string) {
	if by, ok := o[key]; ok {
		c.taken(field, value, "is taken by "+by)
		return
	}
	o[key] = owner
}

func (c *checker) text(field, value string, limit int) {
	switch {
	case value == "":
		c.bad(field, value, "is empty")
	case utf8.RuneCountInString(value) > limit:
		c.bad(field, value, "is longer than %d characters", limit)
	case value != strings.TrimSpace(value):
		c.bad(field, value, "begins or ends with white space")
	}
	c.printable(field, value)
}

func (c *checker) printable(field, value string) {
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		c.bad(field, value, "holds control characters or bytes that are no text")
	}
}

func (c *checker) guid(field, value string) {
	if !IsGUID(value) {
		c.bad(field, value, "is no lower-case GUID")
	}
}

// IsGUID reports whether s is a GUID in its canonical form: 36 characters, lower case.
func IsGUID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}

func (c *checker) domain(field, value string) {
	d, err := smtpaddr.ParseDomain(value)
	switch {
	case err != nil:
		c.bad(field, value, "is no domain name")
	case d != value:
		c.bad(field, value, "is not in canonical form, want %q", d)
	case !strings.Contains(d, "."):
		c.bad(field, value, "is a single label")
	}
}

// pattern is a domain, maybe with a leading "*.".
func (c *checker) pattern(field, value string) {
	base, wild := strings.CutPrefix(value, "*.")
	if n := len(c.errs); wild {
		if c.domain(field, base); len(c.errs) > n {
			c.errs[n].(*FieldError).Value = clip(value)
		}
		return
	}
	c.domain(field, value)
}

// https is an absolute https URL with a host and without user info or fragment.
func (c *checker) https(field, value string, required bool) {
	if value == "" {
		if required {
			c.bad(field, value, "is empty")
		}
		return
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		c.bad(field, value, "is no absolute URL")
	case u.Scheme != "https":
		c.bad(field, value, "is not https")
	case u.User != nil:
		// The value may hold a password.
		c.bad(field, u.Redacted(), "carries a user name")
	case u.Fragment != "":
		c.bad(field, value, "carries a fragment")
	}
}

func (c *checker) oneOf(field, value string, allowed ...string) {
	for _, a := range allowed {
		if a == value {
			return
		}
	}
	c.bad(field, value, "is none of %s", strings.Join(allowed, ", "))
}

// realm is what may stand right of the @ of a principal name.
func (c *checker) realm(field, value string) {
	if strings.ContainsAny(value, "@/* \t") {
		c.bad(field, value, "is no realm name")
	}
	c.printable(field, value)
}

// certificates are base64 DER; ec says whether P-256 keys will do, as between
// organizations that trust each other directly.
func (c *checker) certificates(field string, values []string, ec bool) {
	for _, v := range values {
		der, err := base64.StdEncoding.DecodeString(v)
		if err == nil {
			_, err = parseCertificate(der, ec)
		}
		if err != nil {
			c.bad(field, v, "is no usable certificate: %v", err)
		}
	}
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
