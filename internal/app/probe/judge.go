package probe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// aboutToExpire is how long before its end a certificate is worth a word.
const aboutToExpire = 30 * 24 * time.Hour

func (r *Report) find(format string, args ...any) {
	r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
}

// judge says in words what was seen.
func (r *Report) judge() {
	first := &r.Doors[0]
	if first.Status == 0 {
		r.unreachable(first)
		return
	}
	if c := r.Certificate; c != nil && c.NotAfter.Sub(r.At) < aboutToExpire {
		r.find("The certificate ends at %s.", c.NotAfter.UTC().Format(time.DateOnly))
	}
	exchange := slices.ContainsFunc(r.Doors, func(d Door) bool { return d.isExchange() })
	for i := range r.Doors {
		r.door(&r.Doors[i], exchange)
	}
	r.documents()
	soap := &r.Doors[min(1, len(r.Doors)-1)]
	r.Usable = first.Challenge != nil || soap.Challenge != nil
	if r.Usable {
		r.find("Another organization can ask here with a token.")
	}
}

func (r *Report) unreachable(d *Door) {
	switch {
	case r.Certificate != nil:
		if _, ok := errors.AsType[x509.HostnameError](d.err); ok {
			r.find("The certificate is not for %s but for %s: nobody who verifies it can ask here.", r.Host, strings.Join(r.Certificate.Names, ", "))
			return
		}
		r.find("The certificate is not trusted: %s.", r.Certificate.Problem)
	case isTLS(d.err):
		r.find("The host makes no TLS 1.2 or later connection: %s.", d.Error)
	default:
		r.find("The host cannot be reached: %s.", d.Error)
	}
}

func isTLS(err error) bool {
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return record || strings.Contains(err.Error(), "tls: ")
}

// isExchange reports whether an answer has what only Exchange, or a server that
// works like it, sends.
func (d *Door) isExchange() bool {
	return d.Challenge != nil || slices.ContainsFunc([]string{"X-FEServer", "X-DiagInfo", "X-OWA-Version", "X-CalculatedBETarget"}, func(n string) bool { return d.header.Get(n) != "" })
}

func (r *Report) door(d *Door, exchange bool) {
	page := strings.HasPrefix(d.Type, "text/html")
	switch s := d.Status; {
	case s == 0:
		r.find("%s: no answer: %s.", d.Name, d.Error)
	case s/100 == 3:
		r.find("%s: sends to %s. If that is a page to sign in, something before the server pre-authenticates: servers cannot ask through it.", d.Name, d.Location)
	case s == http.StatusUnauthorized && d.Challenge != nil:
		r.find("%s: takes tokens (realm %s; trusted issuers %s).", d.Name, orNone(d.Challenge.Realm), orNone(d.Challenge.TrustedIssuers))
		if legacy := without(d.Offers, "Bearer"); len(legacy) > 0 {
			r.find("%s: takes %s, too.", d.Name, strings.Join(legacy, ", "))
		}
	case s == http.StatusUnauthorized && exchange && d.isExchange():
		r.find("%s: takes no tokens, only %s (Set-WebServicesVirtualDirectory -OAuthAuthentication $true there).", d.Name, orNone(strings.Join(d.Offers, ", ")))
	case s == http.StatusUnauthorized:
		r.find("%s: asks for a sign-in (%s), and nothing shows that it is Exchange itself that asks: a firewall or proxy may pre-authenticate.", d.Name, orNone(strings.Join(d.Offers, ", ")))
	case s == http.StatusForbidden || page && s == http.StatusOK && d.Name != "Autodiscover (JSON)":
		r.find("%s: answers with status %d%s before anybody signed in: a firewall or proxy stands before it.", d.Name, s, map[bool]string{true: " and a page"}[page])
	case s == http.StatusOK && d.Name == "Autodiscover (JSON)":
		r.find("%s: tells endpoints to everybody.", d.Name)
	case s == http.StatusNotFound, s == http.StatusMethodNotAllowed, s == http.StatusGone, s == http.StatusMisdirectedRequest:
		r.find("%s: there is none at this name (status %d).", d.Name, s)
	default:
		r.find("%s: status %d.", d.Name, s)
	}
}

func (r *Report) documents() {
	for _, d := range r.Documents {
		if d.Issuer != "" {
			r.find("It publishes its keys at %s: issuer %s, %d keys.", d.URL, d.Issuer, len(d.Keys))
		}
	}
}

func without(list []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return strings.EqualFold(s, name) })
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "host\t%s\n", r.Host)
	if r.Address != "" {
		fmt.Fprintf(t, "address\t%s\n", r.Address)
	}
	if r.TLS != "" {
		fmt.Fprintf(t, "TLS\t%s\n", r.TLS)
	}
	if c := r.Certificate; c != nil {
		fmt.Fprintf(t, "certificate\t%s\nnames\t%s\nissuer\t%s\nuntil\t%s\n", c.Subject, strings.Join(c.Names, ", "), c.Issuer, c.NotAfter.UTC().Format(time.RFC3339))
	}
	for _, h := range r.Server {
		fmt.Fprintf(t, "%s\t%s\n", h.Name, h.Value)
	}
	for _, d := range r.Doors {
		if d.Challenge != nil && d.Challenge.AuthorizationURI != "" {
			fmt.Fprintf(t, "authorization_uri\t%s\n", d.Challenge.AuthorizationURI)
			break
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	b.WriteByte('\n')
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s\n", f)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
