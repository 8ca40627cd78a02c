package acs

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/spec/jose"
)

// Grant types of the token endpoint (oauth-s2s 3.2).
const (
	// GrantJWTBearer is what clients of ACS send.
	GrantJWTBearer = "http://oauth.net/grant_type/jwt/1.0/bearer"
	// GrantJWTBearerRFC is the name of RFC 7523 2.1 for the same.
	GrantJWTBearerRFC = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// A TokenRequest is the form posted to the token endpoint (oauth-s2s 3.2).
type TokenRequest struct {
	GrantType string
	Assertion string
	Resource  string // the audience of the token asked for
	Realm     string // optional
	// CorrelationID is the client-request-id header, no part of the form.
	CorrelationID string
}

// maxField bounds one field of a request: an assertion is a token.
const maxField = 16 << 10

// ParseTokenRequest reads a decoded form. A parameter that comes twice is an
// error (RFC 6749 3.2); unknown ones are ignored. Whether something is missing
// is for the authority to say.
func ParseTokenRequest(form url.Values) (TokenRequest, error) {
	get := func(name string) (string, error) {
		switch v := form[name]; {
		case len(v) == 0:
			return "", nil
		case len(v) > 1:
			return "", fmt.Errorf("%w token request: parameter %s comes more than once", ErrInvalid, name)
		case len(v[0]) > maxField:
			return "", fmt.Errorf("%w token request: parameter %s is longer than %d bytes", ErrInvalid, name, maxField)
		default:
			return v[0], nil
		}
	}
	var r TokenRequest
	var scope string
	for _, f := range []struct {
		name string
		to   *string
	}{
		{"grant_type", &r.GrantType}, {"assertion", &r.Assertion}, {"resource", &r.Resource},
		{"realm", &r.Realm}, {"scope", &scope},
	} {
		v, err := get(f.name)
		if err != nil {
			return TokenRequest{}, err
		}
		*f.to = v
	}
	// Older SharePoint libraries say scope for resource.
	if r.Resource == "" {
		r.Resource = scope
	}
	return r, nil
}

// Encode is the body as live clients write it: grant_type, assertion, resource
// in this order, and realm only when set.
func (r TokenRequest) Encode() string {
	var b strings.Builder
	b.WriteString("grant_type=" + url.QueryEscape(r.GrantType))
	b.WriteString("&assertion=" + url.QueryEscape(r.Assertion))
	b.WriteString("&resource=" + url.QueryEscape(r.Resource))
	if r.Realm != "" {
		b.WriteString("&realm=" + url.QueryEscape(r.Realm))
	}
	return b.String()
}

// A TokenResponse is the answer of a token endpoint. The times are UTC with a
// resolution of seconds.
type TokenResponse struct {
	TokenType   string
	ExpiresIn   time.Duration
	NotBefore   time.Time // zero: not given
	ExpiresOn   time.Time // zero: not given
	Resource    string
	AccessToken string
}

// tokenResponse is an answer as it is read.
type tokenResponse struct {
	TokenType   string  `json:"token_type"`
	ExpiresIn   seconds `json:"expires_in"`
	NotBefore   seconds `json:"not_before"`
	ExpiresOn   seconds `json:"expires_on"`
	Resource    string  `json:"resource"`
	AccessToken string  `json:"access_token"`
}

// MarshalJSON writes every value as a string, in the order of the captured answer
// (oauth-s2s 3.2).
func (r TokenResponse) MarshalJSON() ([]byte, error) {
	var w jose.Writer
	w.Text("token_type", r.TokenType).Text("expires_in", strconv.FormatInt(int64(r.ExpiresIn/time.Second), 10))
	w.Text("not_before", unix(r.NotBefore)).Text("expires_on", unix(r.ExpiresOn))
	return w.Text("resource", r.Resource).Text("access_token", r.AccessToken).Bytes(), nil
}

// ParseTokenResponse reads an answer of status 200; numbers may be strings. A
// token, its type and one way to know its expiry must be there.
func ParseTokenResponse(data []byte) (*TokenResponse, error) {
	var t tokenResponse
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, fmt.Errorf("%w token response: %w", ErrInvalid, withoutValue(err))
	}
	switch {
	case t.AccessToken == "" || len(t.AccessToken) > maxField:
		return nil, fmt.Errorf("%w token response: access_token of %d bytes", ErrInvalid, len(t.AccessToken))
	case !strings.EqualFold(t.TokenType, "Bearer"):
		return nil, fmt.Errorf("%w token response: token_type %q", ErrInvalid, clip(t.TokenType))
	case t.ExpiresIn > maxExpiresIn:
		return nil, fmt.Errorf("%w token response: expires_in %d", ErrInvalid, t.ExpiresIn)
	case t.ExpiresIn <= 0 && t.ExpiresOn <= 0:
		return nil, fmt.Errorf("%w token response: neither expires_in nor expires_on", ErrInvalid)
	}
	return &TokenResponse{t.TokenType, time.Duration(t.ExpiresIn) * time.Second, t.NotBefore.time(),
		t.ExpiresOn.time(), t.Resource, t.AccessToken}, nil
}

// withoutValue keeps what encoding/json says of a place but not the text found
// there, which may be a token.
func withoutValue(err error) error {
	if e, ok := err.(*json.UnmarshalTypeError); ok {
		return fmt.Errorf("member %s, byte %d: wrong type", e.Field, e.Offset)
	}
	return err
}

// seconds is a count that is read from a string or an integer number; 0 is absent.
type seconds int64

const (
	maxSeconds   = 253402300799    // the end of the year 9999
	maxExpiresIn = 366 * 24 * 3600 // no token lives longer
)

func unix(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.Unix(), 10)
}

func (s seconds) time() time.Time {
	if s <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

func (s *seconds) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" || text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > maxSeconds {
		return fmt.Errorf("%q is no count of seconds", clip(text))
	}
	*s = seconds(n)
	return nil
}
