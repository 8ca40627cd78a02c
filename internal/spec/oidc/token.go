package oidc

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/spec/jose"
)

// ErrInvalid is wrapped by the errors of ParseTokenRequest.
var ErrInvalid = errors.New("oidc: invalid")

// What a token request with a client assertion names (oauth-s2s 3.4).
const (
	GrantClientCredentials = "client_credentials"
	// AssertionTypeJWT is the client_assertion_type of RFC 7523 2.2.
	AssertionTypeJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// DefaultScope, behind the name of a resource, asks for all roles of the
	// application there.
	DefaultScope = "/.default"
)

// A Version is that of a token endpoint: V1 takes a resource, V2 a scope. Which
// version a token has is the resource's choice, not the endpoint's.
type Version int

// The versions.
const (
	V1 Version = 1
	V2 Version = 2
)

// TokenPath is the path of the token endpoint of a tenant.
func (v Version) TokenPath(tenant string) string {
	if v == V2 {
		return "/" + tenant + "/oauth2/v2.0/token"
	}
	return "/" + tenant + "/oauth2/token"
}

// A TokenRequest is the form posted to a token endpoint.
type TokenRequest struct {
	GrantType           string
	ClientID            string
	ClientAssertionType string
	ClientAssertion     string
	Resource            string // V1
	Scope               string // V2
	HasSecret           bool   // a client_secret came, which is not kept
	// CorrelationID is the client-request-id header, no part of the form.
	CorrelationID string
}

// maxField bounds one field of a request: an assertion is a token.
const maxField = 16 << 10

// ParseTokenRequest reads a decoded form. A parameter that comes twice is an
// error (RFC 6749 3.2); unknown ones are ignored. Whether something is missing
// is for the authority to say.
func ParseTokenRequest(form url.Values) (TokenRequest, error) {
	var r TokenRequest
	var secret string
	for _, f := range []struct {
		name string
		to   *string
	}{
		{"grant_type", &r.GrantType}, {"client_id", &r.ClientID}, {"client_assertion_type", &r.ClientAssertionType},
		{"client_assertion", &r.ClientAssertion}, {"resource", &r.Resource}, {"scope", &r.Scope}, {"client_secret", &secret},
	} {
		switch v := form[f.name]; {
		case len(v) > 1:
			return TokenRequest{}, fmt.Errorf("%w token request: parameter %s comes more than once", ErrInvalid, f.name)
		case len(v) == 1 && len(v[0]) > maxField:
			return TokenRequest{}, fmt.Errorf("%w token request: parameter %s is longer than %d bytes", ErrInvalid, f.name, maxField)
		case len(v) == 1:
			*f.to = v[0]
		}
	}
	r.HasSecret = secret != ""
	return r, nil
}

// Encode is the body in the order of oauth-s2s 3.4; empty parameters are left out.
func (r TokenRequest) Encode() string {
	var b strings.Builder
	for _, f := range [...]struct{ name, value string }{
		{"grant_type", r.GrantType}, {"client_id", r.ClientID}, {"resource", r.Resource}, {"scope", r.Scope},
		{"client_assertion_type", r.ClientAssertionType}, {"client_assertion", r.ClientAssertion},
	} {
		if f.value == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(f.name + "=" + url.QueryEscape(f.value))
	}
	return b.String()
}

// A TokenResponse is the answer of a token endpoint. The times are UTC with a
// resolution of seconds. Only V1 answers with NotBefore, ExpiresOn and Resource.
type TokenResponse struct {
	Version     Version // of the endpoint: V1 writes numbers as strings
	TokenType   string
	ExpiresIn   time.Duration
	NotBefore   time.Time
	ExpiresOn   time.Time
	Resource    string
	AccessToken string
}

// MarshalJSON writes strings for numbers in V1, numbers in V2 (oauth-s2s 3.4).
func (r TokenResponse) MarshalJSON() ([]byte, error) {
	var w jose.Writer
	in := int64(r.ExpiresIn / time.Second)
	w.Text("token_type", r.TokenType)
	if r.Version == V2 {
		return w.Number("expires_in", in).Number("ext_expires_in", in).Text("access_token", r.AccessToken).Bytes(), nil
	}
	for _, m := range [...]struct {
		name  string
		value int64
	}{{"expires_in", in}, {"ext_expires_in", in}, {"expires_on", r.ExpiresOn.Unix()}, {"not_before", r.NotBefore.Unix()}} {
		w.Text(m.name, strconv.FormatInt(m.value, 10))
	}
	return w.Text("resource", r.Resource).Text("access_token", r.AccessToken).Bytes(), nil
}
