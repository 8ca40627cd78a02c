// Package autodiscoverclient asks another organization's Autodiscover service
// (SOAP) where the mailboxes of given addresses are served.
package autodiscoverclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
)

const (
	// DefaultUserAgent is that of an Exchange that asks another forest.
	DefaultUserAgent = "ASAutoDiscover/CrossForest/EmailDomain//15.00.0847.032"
	// DefaultMaxBody is the limit of an answer in bytes.
	DefaultMaxBody = 1 << 20
	// MaxAddresses is how many addresses one question may hold.
	MaxAddresses = 100

	maxText       = 2048 // of one text of a peer
	schemaVersion = "Exchange2013"
)

// ErrRedirects is wrapped when an endpoint sends us on once too often.
var ErrRedirects = errors.New("too many redirects")

// A Config says how to ask.
type Config struct {
	// HTTP is required: a client of safehttp, whose transport adds the bearer
	// token for the host that it calls. Its redirect rules are not used: a
	// question is a POST, which is repeated here, by our own rules.
	HTTP      *http.Client
	UserAgent string        // empty: DefaultUserAgent
	MaxBody   int64         // 0: DefaultMaxBody
	NewID     func() string // ids of requests; nil: random UUIDs
}

// A Client asks Autodiscover services. It may be used concurrently.
type Client struct {
	cfg  Config
	http http.Client
}

// New returns a client.
func New(cfg Config) (*Client, error) {
	if cfg.HTTP == nil {
		return nil, errors.New("autodiscover client: HTTP is required")
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = DefaultUserAgent
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.NewID == nil {
		cfg.NewID = uuid.NewString
	}
	c := &Client{cfg: cfg, http: *cfg.HTTP}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// UserSettings is the answer to one question.
type UserSettings struct {
	Endpoint string                      // that answered: the one asked, or where HTTP redirects led
	Version  *autodiscover.ServerVersion // of the server; nil: not told
	Users    []User                      // one for each address asked for, in the same order
}

// A User is what is said of one address. Exactly one of EWSURL, RedirectAddress,
// RedirectURL and Err is set. Following a redirect is the caller's decision, and
// so is counting them (autodiscover.MaxRedirects).
type User struct {
	Address         smtpaddr.Address
	EWSURL          string // ExternalEwsUrl: an absolute https URL
	EWSVersion      string // ExternalEwsVersion, as it came; may be empty
	RedirectAddress smtpaddr.Address
	RedirectURL     string            // an absolute https URL of an Autodiscover service
	Settings        map[string]string // all settings that were given, as they came
	Err             error             // a *UserError
}

// A UserError says why an address has no answer. Its text is the one that
// administrators know from Exchange.
type UserError struct {
	Endpoint string
	Code     autodiscover.ErrorCode // of the user or of the setting; empty when the answer makes no sense
	Message  string                 // the other side's text, or what makes no sense
}

func (e *UserError) Error() string {
	what := string(e.Code)
	if what == "" {
		what = e.Message
	}
	return fmt.Sprintf("The response from the Autodiscover service at '%s' failed due to an error in user setting 'ExternalEwsUrl'. Error message: %s.", e.Endpoint, strings.TrimSuffix(what, "."))
}

// A ResponseError is an answer that refuses the question as a whole.
type ResponseError struct {
	Endpoint string
	Code     autodiscover.ErrorCode
	Message  string
}

func (e *ResponseError) Error() string {
	return fmt.Sprintf("autodiscover %s: %s: %s", e.Endpoint, e.Code, e.Message)
}

// A StatusError is an HTTP answer other than 200 and redirects. The error that
// wraps it names the URL.
type StatusError struct {
	URL         string
	Status      int
	Diagnostics string // x-ms-diagnostics: why a token was refused
	Err         error  // the *soap.Fault in the body, if there is one
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("status %d %s", e.Status, http.StatusText(e.Status))
	if e.Diagnostics != "" {
		s += ": " + e.Diagnostics
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *StatusError) Unwrap() error { return e.Err }

// UserSettings asks endpoint, an https URL of an autodiscover.svc, for settings
// of 1 to MaxAddresses addresses; ExternalEwsUrl is always asked for. HTTP
// redirects to https are followed. Besides transport errors, errors are
// *StatusError, *ResponseError, or wrap safehttp.ErrTooLarge, safehttp.ErrNotHTTPS,
// *soap.SyntaxError, soap.ErrNotSOAP, *soap.Fault, autodiscover.ErrUnexpected, ErrRedirects.
func (c *Client) UserSettings(ctx context.Context, endpoint string, addresses []smtpaddr.Address, settings []string) (*UserSettings, error) {
	if len(addresses) == 0 || len(addresses) > MaxAddresses {
		return nil, fmt.Errorf("autodiscover %s: %d addresses, want 1 to %d", endpoint, len(addresses), MaxAddresses)
	}
	u, err := safehttp.ParseURL(endpoint)
	if err != nil {
		return nil, fmt.Errorf("autodiscover endpoint: %w", err)
	}
	id := c.cfg.NewID()
	q := &autodiscover.Request{
		Operation: autodiscover.GetUserSettings, RequestedServerVersion: schemaVersion, MessageID: "urn:uuid:" + id,
		Settings: []string{autodiscover.ExternalEwsURL},
	}
	for _, a := range addresses {
		q.Subjects = append(q.Subjects, a.String())
	}
	for _, s := range settings {
		if s != autodiscover.ExternalEwsURL {
			q.Settings = append(q.Settings, s)
		}
	}
	env, u, err := c.post(ctx, u, q, id)
	if err != nil {
		return nil, err
	}
	endpoint = u.String()
	r, err := autodiscover.ParseResponse(env, q.Operation)
	if err != nil {
		return nil, fmt.Errorf("autodiscover %s: %w", endpoint, err)
	}
	if r.ErrorCode != autodiscover.NoError {
		return nil, &ResponseError{endpoint, autodiscover.ErrorCode(clip(string(r.ErrorCode))), clip(r.ErrorMessage)}
	}
	if len(r.Answers) != len(addresses) {
		return nil, fmt.Errorf("autodiscover %s: %w: %d answers for %d addresses", endpoint, autodiscover.ErrUnexpected, len(r.Answers), len(addresses))
	}
	out := &UserSettings{Endpoint: endpoint, Version: r.Version, Users: make([]User, len(addresses))}
	if v := out.Version; v != nil {
		v.Schema = clip(v.Schema)
	}
	for i, a := range addresses {
		out.Users[i] = user(endpoint, a, &r.Answers[i])
	}
	return out, nil
}

// post sends q and follows redirects. The URL that it returns is the last one.
func (c *Client) post(ctx context.Context, u *url.URL, q *autodiscover.Request, id string) (*soap.Envelope, *url.URL, error) {
	for range autodiscover.MaxRedirects + 1 {
		q.To = u.String()
		env, next, err := c.once(ctx, u, q, id)
		if err != nil {
			return nil, nil, fmt.Errorf("autodiscover %s: %w", u, err)
		}
		if next == nil {
			return env, u, nil
		}
		u = next
	}
	return nil, nil, fmt.Errorf("autodiscover %s: %w, limit %d", u, ErrRedirects, autodiscover.MaxRedirects)
}

// once sends q to u, and returns either the answer or where u sends us.
func (c *Client) once(ctx context.Context, u *url.URL, q *autodiscover.Request, id string) (*soap.Envelope, *url.URL, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(autodiscover.AppendRequest(nil, q)))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	r.Header.Set("Accept", "text/xml")
	r.Header.Set("SOAPAction", `"`+q.Operation.Action()+`"`)
	r.Header.Set("User-Agent", c.cfg.UserAgent)
	r.Header.Set("client-request-id", id)
	r.Header.Set("return-client-request-id", "true")
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, nil, err
	}
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		resp.Body.Close()
		next, err := resp.Location()
		if err == nil {
			next, err = safehttp.ParseURL(next.String())
		}
		if err != nil {
			return nil, nil, fmt.Errorf("redirect: %w", err)
		}
		next.Fragment = ""
		return nil, next, nil
	}
	body, err := safehttp.ReadBody(resp, c.cfg.MaxBody)
	if resp.StatusCode != http.StatusOK {
		e := &StatusError{URL: u.String(), Status: resp.StatusCode, Diagnostics: clip(resp.Header.Get("x-ms-diagnostics"))}
		if err == nil {
			if env, err := soap.Read(bytes.NewReader(body), c.cfg.MaxBody); err == nil {
				if f, ok := soap.FaultOf(env); ok {
					e.Err = f
				}
			}
		}
		return nil, nil, e
	}
	if err != nil {
		return nil, nil, err
	}
	env, err := soap.Read(bytes.NewReader(body), c.cfg.MaxBody)
	return env, nil, err
}

func user(endpoint string, address smtpaddr.Address, a *autodiscover.Answer) User {
	u := User{Address: address}
	fail := func(code autodiscover.ErrorCode, message string) User {
		u.Err = &UserError{endpoint, autodiscover.ErrorCode(clip(string(code))), clip(message)}
		return u
	}
	switch a.ErrorCode {
	case autodiscover.NoError:
	case autodiscover.RedirectAddress:
		to, err := smtpaddr.Parse(clip(a.RedirectTarget))
		if err != nil {
			return fail("", "RedirectAddress to "+err.Error())
		}
		u.RedirectAddress = to
		return u
	case autodiscover.RedirectURL:
		to, err := safehttp.ParseURL(a.RedirectTarget)
		if err != nil {
			return fail("", "RedirectUrl to "+err.Error())
		}
		u.RedirectURL = to.String()
		return u
	case "":
		return fail("", "the answer has no ErrorCode")
	default:
		return fail(a.ErrorCode, a.ErrorMessage)
	}
	u.Settings = make(map[string]string, len(a.Settings))
	for _, s := range a.Settings {
		u.Settings[clip(s.Name)] = clip(s.Value)
	}
	ews := u.Settings[autodiscover.ExternalEwsURL]
	if ews == "" {
		for _, e := range a.SettingErrors {
			if e.Name == autodiscover.ExternalEwsURL {
				return fail(e.ErrorCode, e.ErrorMessage)
			}
		}
		return fail(autodiscover.SettingIsNotAvailable, "ExternalEwsUrl is missing")
	}
	to, err := safehttp.ParseURL(ews)
	if err != nil {
		return fail("", err.Error())
	}
	u.EWSURL, u.EWSVersion = to.String(), u.Settings[autodiscover.ExternalEwsVersion]
	return u
}

// clip shortens what a peer says before it is kept or shown, and copies it: a
// part of the answer would keep the whole answer in memory.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.ToValidUTF8(strings.Clone(s), "\ufffd")
}
