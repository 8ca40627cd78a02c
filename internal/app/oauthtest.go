package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/routing"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/soap"
	"busybridge/internal/trust"
)

var _ exchangecmd.OAuthTester = (*Deployment)(nil)

// Limits and names of the test.
const (
	oauthTestOp   = "Test-OAuthConnectivity"
	maxOAuthReply = 1 << 20
	oauthAgent    = "busybridge/TestOAuthConnectivity"
)

// TestOAuth sends one request to another organization as its real questions go,
// with a challenge and a token that are asked for anew, and tells every step
// (cmdlet reference 10.1, oauth-s2s reference 7). An answer of the service
// itself, even a refusal of what was asked, means that the token was accepted.
// What is said of the other side follows from its answers alone.
func (d *Deployment) TestOAuth(ctx context.Context, actor admin.Actor, org *directory.Organization, t exchangecmd.OAuthTest) (exchangecmd.OAuthReport, error) {
	org, err := d.Admin.ViewOrganization(ctx, actor, oauthTestOp, org.ID)
	if err != nil {
		return exchangecmd.OAuthReport{}, err
	}
	target, err := oauthTarget(t)
	if err != nil {
		return exchangecmd.OAuthReport{}, err
	}
	r := &oauthTest{Deployment: d, OAuthTest: t, org: org, target: target, now: d.set.Now()}
	if err := r.load(ctx, actor); err != nil {
		return exchangecmd.OAuthReport{}, err
	}
	resp, body, err := r.call(ctx) //nolint:bodyclose // ReadBody closes it
	if ctx.Err() != nil {
		return exchangecmd.OAuthReport{}, context.Cause(ctx)
	}
	var v verdict
	if err != nil {
		v = r.failed(err)
	} else {
		v = r.answered(resp, body)
	}
	r.line("")
	r.line("Exchange Response Details:")
	r.line(strings.TrimSpace("HTTP response message: " + v.message))
	if v.exception != "" {
		r.line("Exception:")
		r.line(v.exception)
	}
	if v.note != "" {
		r.line(v.note)
	}
	rep := exchangecmd.OAuthReport{Success: v.cause == "", Cause: v.cause}
	if v.cause != "" {
		r.line("")
		r.line("Cause: " + v.cause)
	}
	rep.Detail = r.log.String()
	rep.Warnings, err = r.warnings(ctx)
	return rep, err
}

// An oauthTest is one test on its way.
type oauthTest struct {
	*Deployment
	exchangecmd.OAuthTest
	org    *directory.Organization
	target *url.URL
	now    time.Time
	trace  trust.Trace
	log    strings.Builder
}

// A verdict is how the request ended. It succeeded when there is no cause.
type verdict struct {
	message     string // of the HTTP answer
	exception   string // as .NET prints it
	note, cause string
}

// oauthTarget is the address that is called. The article and its later editions
// name the host alone, or its metadata document: then it is the service's usual
// path there (cmdlet reference 1.9).
func oauthTarget(t exchangecmd.OAuthTest) (*url.URL, error) {
	u, err := safehttp.ParseURL(t.TargetURI)
	if err != nil {
		return nil, fmt.Errorf("TargetUri %w: want an https address such as https://mail.contoso.com/ews/exchange.asmx", err)
	}
	u.Fragment = ""
	switch strings.ToLower(strings.Trim(u.Path, "/")) {
	case "", "metadata/json/1":
		switch t.Service {
		case "EWS":
			u.Path, u.RawPath = "/ews/exchange.asmx", ""
		case "AutoD":
			u.Path, u.RawPath = "/autodiscover/autodiscover.svc", ""
		}
	}
	return u, nil
}

// line writes lines of the log.
func (r *oauthTest) line(text string) {
	for l := range strings.Lines(text + "\n") {
		l = strings.TrimRight(l, "\r\n")
		if r.log.Len() > 0 {
			r.log.WriteByte('\n')
		}
		r.log.WriteString(l)
		if r.Log != nil {
			r.Log(l)
		}
	}
}

// load reads the configuration, anew where that is asked for, and says how old
// what it has from authorization servers is.
func (r *oauthTest) load(ctx context.Context, actor admin.Actor) (err error) {
	if r.ReloadConfig {
		r.line(`The configuration is being reloaded because "reload config" was set to true.`)
		for i := range r.org.AuthServers {
			s := &r.org.AuthServers[i]
			if !s.Enabled || s.AuthMetadataURL == "" {
				continue
			}
			if err := r.refresh.Refresh(ctx, r.org.ID, s.Name); err != nil {
				r.line("Warning:" + trust.OneLine(err.Error()))
			}
		}
		if r.org, err = r.Admin.ViewOrganization(ctx, actor, oauthTestOp, r.org.ID); err != nil {
			return err
		}
	}
	var loaded time.Time // the zero time is the product's own word for never
	for i := range r.org.AuthServers {
		s := &r.org.AuthServers[i]
		if s.Enabled && s.AuthMetadataURL != "" && (loaded.IsZero() || s.RefreshedAt.Before(loaded)) {
			loaded = s.RefreshedAt
		}
	}
	r.line(fmt.Sprintf("The configuration was last successfully loaded at %s UTC. This was %d minutes ago.",
		loaded.UTC().Format("1/2/2006 3:04:05 PM"), (r.now.Unix()-loaded.Unix())/60))
	if !r.UseCachedToken {
		r.line(`The token cache is being cleared because "use cached token" was set to false.`)
	}
	r.line("Exchange Outbound Oauth Log:")
	return nil
}

// call makes the request. The answer's body is read.
func (r *oauthTest) call(ctx context.Context) (*http.Response, []byte, error) {
	id := uuid.NewString()
	r.line("Client request ID: " + id)
	req, err := r.request(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	r.trace = trust.Trace{Line: r.line, RequestID: id, OrganizationID: r.org.Tenant}
	client := safehttp.Client(&trust.Transport{
		Base: r.safe, Tokens: r.tokens, Org: r.org, As: r.user(), Application: r.application(), Fresh: !r.UseCachedToken, Trace: &r.trace,
	}, r.set.Dial)
	// Where it is sent to is a finding, not a way.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	body, err := safehttp.ReadBody(resp, maxOAuthReply)
	if errors.Is(err, safehttp.ErrTooLarge) {
		body, err = nil, nil // the status says enough
	}
	return resp, body, err
}

// user is whom the token speaks for; nil: nobody.
func (r *oauthTest) user() *trust.User {
	if r.Mailbox == nil || r.AppOnly {
		return nil
	}
	return userOf(routing.Requester{Org: r.org.ID, Address: r.Mailbox.Primary, UPN: r.Mailbox.UPN})
}

// application is the server of Entra by whose application the organization asks
// the target: that of a domain which a connector or a relationship leads to the
// target's host for. nil: none.
func (r *oauthTest) application() *directory.AuthServer {
	at := func(urls ...string) bool {
		for _, text := range urls {
			if u, err := url.Parse(text); err == nil && u.Host != "" && strings.EqualFold(u.Hostname(), r.target.Hostname()) {
				return true
			}
		}
		return false
	}
	of := func(domains []string) *directory.AuthServer {
		for _, d := range domains {
			if s := r.org.ApplicationServer(strings.TrimPrefix(d, "*.")); s != nil {
				return s
			}
		}
		return nil
	}
	for i := range r.org.Connectors {
		if c := &r.org.Connectors[i]; c.Enabled && at(c.DiscoveryEndpoint, c.TargetSharingEpr) {
			if s := of(c.TargetAddressDomains); s != nil {
				return s
			}
		}
	}
	for i := range r.org.Relationships {
		if c := &r.org.Relationships[i]; c.Enabled && at(c.TargetAutodiscoverEpr, c.TargetSharingEpr) {
			if s := of(c.DomainNames); s != nil {
				return s
			}
		}
	}
	return nil
}

// request asks for something small that takes a token: in EWS for the user's
// own calendar folder, by Autodiscover for the settings of the user or, without
// one, of our domain.
func (r *oauthTest) request(ctx context.Context, id string) (*http.Request, error) {
	method, action, address := http.MethodPost, "", ""
	if u := r.user(); u != nil {
		address = u.SMTP
	}
	var body []byte
	switch r.Service {
	case "EWS":
		h := ews.Header{Version: "Exchange2013_SP1"}
		if address != "" && r.application() != nil {
			h.Impersonate = &ews.ConnectingSID{Kind: "PrimarySmtpAddress", Value: address}
		}
		body = ews.AppendGetFolderRequest(nil, &h, ews.FolderRef{Distinguished: true, ID: "calendar", Mailbox: address})
		action = ews.NSMessages + "/GetFolder"
	case "AutoD":
		q := &autodiscover.Request{Operation: autodiscover.GetUserSettings, RequestedServerVersion: "Exchange2013", MessageID: "urn:uuid:" + id,
			To: r.target.String(), Subjects: []string{address}, Settings: []string{autodiscover.ExternalEwsURL}}
		if address == "" {
			q.Operation, q.Subjects = autodiscover.GetDomainSettings, []string{r.org.DefaultDomain()}
		}
		body, action = autodiscover.AppendRequest(nil, q), q.Operation.Action()
	case "Generic":
		method = http.MethodGet
	default:
		return nil, fmt.Errorf("service %q is none of EWS, AutoD, Generic", r.Service)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if action != "" {
		req.Header.Set("Content-Type", "text/xml; charset=utf-8")
		req.Header.Set("Accept", "text/xml")
		req.Header.Set("SOAPAction", `"`+action+`"`)
	}
	req.Header.Set("User-Agent", oauthAgent)
	req.Header.Set("client-request-id", id)
	req.Header.Set("return-client-request-id", "true")
	return req, nil
}

// soapError is the error that a service put into its answer, and whether the
// answer is one of a service at all.
func soapError(body []byte) (code, text string, isSOAP bool) {
	env, err := soap.Read(bytes.NewReader(body), maxOAuthReply)
	if err != nil {
		return "", "", false
	}
	if f, ok := soap.FaultOf(env); ok {
		code, text = f.ResponseCode, f.String
		if code == "" {
			code = f.Code
		}
		return trust.OneLine(code), trust.OneLine(text), true
	}
	if m, ok := ews.FirstError(env); ok {
		return trust.OneLine(m.Code), trust.OneLine(m.Text), true
	}
	for _, op := range []autodiscover.Operation{autodiscover.GetUserSettings, autodiscover.GetDomainSettings} {
		if a, err := autodiscover.ParseResponse(env, op); err == nil && a.ErrorCode != autodiscover.NoError {
			return trust.OneLine(string(a.ErrorCode)), trust.OneLine(a.ErrorMessage), true
		}
	}
	return "", "", true
}

// Warnings for what expires or grows old.
const (
	certificateWarning = 60 * 24 * time.Hour // oauth-s2s reference 6.2
	metadataWarning    = 48 * time.Hour
	maxWarned          = 10
	maxRecipients      = 10_000
)

// warnings are what would stop free/busy although the token is accepted: target
// domains that nothing leads to, and what is about to expire.
func (r *oauthTest) warnings(ctx context.Context) (out []string, err error) {
	if end, ok := r.certificateEnd(); ok && r.now.Before(end) && end.Sub(r.now) < certificateWarning {
		out = append(out, fmt.Sprintf("The certificate %s that tokens are asked for with expires at %s. Make the next one with New-ExchangeCertificate, upload it, and name it with Set-AuthConfig -NewCertificateThumbprint.",
			r.org.AuthConfig.CurrentCertificateThumbprint, stamp(end)))
	}
	for i := range r.org.AuthServers {
		s := &r.org.AuthServers[i]
		if s.Enabled && s.AuthMetadataURL != "" && r.now.Sub(s.RefreshedAt) > metadataWarning {
			out = append(out, fmt.Sprintf("The metadata of the authorization server %q was last read at %s. Run: Set-AuthServer %q -RefreshAuthMetadata", s.Name, stamp(s.RefreshedAt), s.Name))
		}
	}
	table, seen, n := routing.NewTable(r.org, nil), map[string]bool{}, 0
	for m, err := range r.Store.Recipients(ctx, r.org.ID) {
		if err != nil {
			return out, err
		}
		if n++; n > maxRecipients || len(out) >= maxWarned {
			break
		}
		domain := m.ExternalAddress.Domain()
		if m.Type != directory.MailUser || m.ExternalAddress.IsZero() || seen[domain] {
			continue
		}
		seen[domain] = true
		route := table.Route(m.Primary, m)
		// An InternalProxy only hands questions on to a server that has a connector.
		if route.Kind != routing.None && (route.Kind != routing.AddressSpace || route.AddressSpace.AccessMethod != "InternalProxy") {
			continue
		}
		text := fmt.Sprintf("No enabled connector covers %s, the domain of the target address of %s: questions for its free/busy are not sent.", domain, m.Primary)
		if c := disabledConnector(r.org, domain); c != nil {
			text += fmt.Sprintf(" Run: Set-IntraOrganizationConnector %q -Enabled $true", c.Name)
		} else {
			text += " Make one with New-IntraOrganizationConnector (article steps 6 and 7)."
		}
		out = append(out, text)
	}
	return out, nil
}

func disabledConnector(org *directory.Organization, domain string) *directory.IntraOrganizationConnector {
	for i := range org.Connectors {
		c := &org.Connectors[i]
		for _, p := range c.TargetAddressDomains {
			if !c.Enabled && directory.MatchDomain(p, domain) {
				return c
			}
		}
	}
	return nil
}
