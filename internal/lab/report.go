package lab

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// A Report is what Once found.
type Report struct {
	Edition string  `json:"edition"`
	Fault   string  `json:"fault,omitempty"`
	Checks  []Check `json:"checks"`
	Failed  int     `json:"failed"`
}

// A Check is one thing that was done or verified.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // a fact worth showing
	Error  string `json:"error,omitempty"`
	Cause  string `json:"cause,omitempty"` // in words, where it is recognised
}

// add records a check and prints its line.
func (r *Report) add(out io.Writer, name, detail string, err error) {
	c := Check{Name: name, OK: err == nil, Detail: detail}
	if err != nil {
		c.Error = strings.Join(strings.Fields(err.Error()), " ")
		if v, ok := errors.AsType[*verifyError](err); ok {
			c.Cause = v.cause
		} else {
			c.Cause = explain(c.Error)
		}
		r.Failed++
	}
	r.Checks = append(r.Checks, c)
	switch {
	case c.OK && detail != "":
		fmt.Fprintf(out, "ok    %s: %s\n", name, detail)
	case c.OK:
		fmt.Fprintf(out, "ok    %s\n", name)
	default:
		fmt.Fprintf(out, "FAIL  %s: %s\n", name, c.Error)
		if c.Cause != "" {
			fmt.Fprintf(out, "      cause: %s\n", c.Cause)
		}
	}
}

// causes are the failures that the checks recognise by what the refusing side
// said (oauth-s2s reference 2.3, 3.3), the more telling ones first.
var causes = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`AADSTS700024|AADSTS50012.*expired|certificate .* expired or not yet valid`),
		"the certificate that the organization signs with has expired, or its copy at the authorization server has (article steps 3 and 4)"},
	{regexp.MustCompile(`AADSTS50012.*key was not found`),
		"the authorization server has no key credential for the certificate that the organization signs with (article step 4)"},
	{regexp.MustCompile(`AADSTS50012`), "the assertion's signature does not match the key credential at the authorization server (article step 4)"},
	{regexp.MustCompile(`AADSTS500011`),
		"the host name that is asked is not among the ServicePrincipalNames of the Exchange service principal (article step 5)"},
	{regexp.MustCompile(`2000006`), "the partner application is unknown or disabled at the organization that is asked (article step 2)"},
	{regexp.MustCompile(`2000008`), "the application that asks has no permission at the organization that is asked: an application of Entra needs the role full_access_as_app"},
	{regexp.MustCompile(`2000009`), "the organization that is asked has no authorization server object for the token's issuer (article step 1)"},
	{regexp.MustCompile(`2000000`), "the keys of the authorization server object are stale (Set-AuthServer -RefreshAuthMetadata)"},
	{regexp.MustCompile(`2000003`), "the token is for another host name than the one that was asked"},
	{regexp.MustCompile(`contained the following entries ''`), "the organization that is asked trusts no authorization server (article step 1)"},
	{regexp.MustCompile(`None of them are configured locally`), "the asking organization has no authorization server object that the other side trusts (article step 1)"},
	{regexp.MustCompile(`getSchedule: HTTP status 403`), "the application that asks has not the role Calendars.ReadBasic.All of Graph in its tenant, or a higher one (step 9)"},
	{regexp.MustCompile(`status 403|\(403\)`), "Exchange Web Services of the cloud are closed to the application that asks: since October 2025 to the shared principal, since October 2026 to every application; else the organization there says so (Get-OrganizationConfig: EwsEnabled, EwsAllowedAppIDs)"},
	{regexp.MustCompile(`AADSTS700016`), "the application that on premises asks as is not in the tenant, or disabled there (Set-AuthServer -ApplicationIdentifier, step 4a)"},
	{regexp.MustCompile(`AADSTS700027`), "the certificate that the organization signs with is no key credential of its application at the authorization server"},
	{regexp.MustCompile(`proxied already|leads from server \S+ back to it, and no connector`), "the server that is asked, maybe on behalf of an older one, has no connector to the target domain (article step 6)"},
	{regexp.MustCompile(`could not be found in Active Directory|ErrorAddressSpaceNotFound`), "no connector and no address space for the target domain (article steps 6, 7 and 8)"},
}

// explain names the cause of a failure in words, or returns "".
func explain(text string) string {
	for _, c := range causes {
		if c.pattern.MatchString(text) {
			return c.text
		}
	}
	return ""
}
