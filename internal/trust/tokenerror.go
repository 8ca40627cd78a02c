package trust

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"busybridge/internal/spec/acs"
)

// The ids of refused tokens in x-ms-diagnostics (oauth-s2s 2.3).
const (
	InvalidSignature = 2000000
	InvalidToken     = 2000001
	TokenExpired     = 2000002
	InvalidResource  = 2000003
	InvalidTenant    = 2000004
	InvalidUser      = 2000005
	InvalidClient    = 2000006
	InvalidGrant     = 2000008
	InvalidIssuer    = 2000009
)

var categories = map[int]string{
	InvalidSignature: "invalid_signature",
	InvalidToken:     "invalid_token",
	TokenExpired:     "token_expired",
	InvalidResource:  "invalid_resource",
	InvalidTenant:    "invalid_tenant",
	InvalidUser:      "invalid_user",
	InvalidClient:    "invalid_client",
	InvalidGrant:     "invalid_grant",
	InvalidIssuer:    "invalid_issuer",
}

// Categories are the reasons that a caller may be told, sorted.
func Categories() []string { return slices.Sorted(maps.Values(categories)) }

// A TokenError says which check a token failed. The token is never part of it.
type TokenError struct {
	ID       int    // InvalidSignature, …
	Category string // that goes with ID
	Reason   string // the text for the caller
	Step     int    // of oauth-s2s 4.5, 1 to 18
	Claim    string // "exp", "aud", "actor.nameid", …; empty when no single one
	Err      error  // cause, may be nil; not for the caller
}

func (e *TokenError) Error() string {
	s := fmt.Sprintf("token refused at step %d: %d %s: %s", e.Step, e.ID, e.Category, e.Reason)
	if e.Claim != "" {
		s += " (" + e.Claim + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *TokenError) Unwrap() error { return e.Err }

// Diagnostics is the value of x-ms-diagnostics.
func (e *TokenError) Diagnostics() string {
	return acs.Diagnostics{ID: e.ID, Reason: e.Reason, Category: e.Category}.String()
}

// WrongHost is the refusal of a token that came with a Host header for another
// name than the one that its connection was made for (step 10).
func WrongHost(host, connected string) *TokenError {
	return checkHost.fails("aud", fmt.Errorf("the connection was made for %q; a proxy before this server belongs into trusted_proxies", connected), host)
}

// StepPermission is the step at which a token is good, and does not permit what is
// asked for.
const StepPermission = 17

// A check is one way to fail: the step of oauth-s2s 4.5, the id, and the text
// of 2.3 where one was observed. A "%s" stands for a value of the token.
type check struct {
	step, id int
	reason   string
}

// The table of all checks.
var (
	checkCompact    = check{1, InvalidToken, "OAuth token submitted with the request can not be parsed."}
	checkJSON       = check{2, InvalidToken, "OAuth token submitted with the request can not be parsed."}
	checkAlgorithm  = check{3, InvalidToken, "OAuth token submitted with the request can not be parsed."}
	checkActor      = check{4, InvalidToken, "OAuth token submitted with the request can not be parsed."}
	checkIssuer     = check{5, InvalidIssuer, "The issuer of the token is unknown. Issuer was '%s'."}
	checkKey        = check{6, InvalidSignature, "The token has an invalid signature."}
	checkSignature  = check{7, InvalidSignature, "The token has an invalid signature."}
	checkTime       = check{8, TokenExpired, "The token has expired."}
	checkAudience   = check{9, InvalidResource, "The audience claim value is invalid '%s'."}
	checkHost       = check{10, InvalidResource, "The hostname component of the audience claim value 'https://%s' is invalid."}
	checkRealm      = check{11, InvalidTenant, "The tenant for tenant guid '%s' does not exist."}
	checkBinding    = check{12, InvalidTenant, "The tenant for tenant guid '%s' does not exist."}
	checkCaller     = check{13, InvalidClient, "The application '%s' is unknown or disabled."}
	checkProfile    = check{13, InvalidToken, "This token profile '%s' is not applicable for the current protocol."}
	checkOuter      = check{14, InvalidToken, "The token does not agree with the actor token in it."}
	checkPartner    = check{15, InvalidClient, "The application '%s' is unknown or disabled."}
	checkUser       = check{16, InvalidUser, "The user specified by the user-context in the token does not exist."}
	checkAmbiguous  = check{16, InvalidUser, "The user specified by the user-context in the token is ambiguous."}
	checkPermission = check{StepPermission, InvalidGrant, "The token should have valid permissions or linked account associated with partner application '%s'."}
)

// fails makes the error of c. The value, which may be hostile, fills the text.
func (c check) fails(claim string, err error, value ...string) *TokenError {
	reason := c.reason
	for _, s := range value {
		if len(s) > 200 {
			s = s[:200]
		}
		reason = fmt.Sprintf(reason, strings.ToValidUTF8(s, "?"))
	}
	return &TokenError{ID: c.id, Category: categories[c.id], Reason: reason, Step: c.step, Claim: claim, Err: err}
}
