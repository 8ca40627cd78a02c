package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"busybridge/internal/dial/authorityclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/trust"
)

// The frames under which scripts and people look for the reason.
const (
	frameResponse = "   at System.Net.HttpWebRequest.GetResponse()"
	frameToken    = "   at Microsoft.Exchange.Security.OAuth.OAuthTokenBuilder.GetAppToken(...)"
	frameTest     = "   at Microsoft.Exchange.Monitoring.TestOAuthConnectivityHelper.SendExchangeOAuthRequest(ADUser user, String orgDomain, Uri targetUri, String& diagnosticMessage, Boolean appOnly, Boolean useCachedToken, Boolean reloadConfig)"
)

// The AADSTS numbers that are told apart (oauth-s2s reference 3.3).
const (
	badAssertion    = 50012
	unknownResource = 500011
	unknownClient   = 700016
	wrongAudience   = 700023
	outOfTime       = 700024
	badProof        = 700027 // badAssertion, as Entra says it
	unknownTenant   = 90002
	busyAuthority   = 90033
)

// clockTolerance is what clocks may differ by (oauth-s2s reference 4.5 step 8).
const clockTolerance = 5 * time.Minute

// answered judges an answer of the other side.
func (r *oauthTest) answered(resp *http.Response, body []byte) verdict {
	code, text, isSOAP := soapError(body)
	ok := resp.StatusCode/100 == 2 || resp.StatusCode == http.StatusInternalServerError && isSOAP
	switch {
	case ok && !r.trace.Sent:
		return verdict{message: http.StatusText(resp.StatusCode), cause: fmt.Sprintf("%s answered without asking for a token, so none was tested: give the address of Exchange Web Services (https://%s/ews/exchange.asmx) or of Autodiscover as TargetUri", r.target, r.target.Host)}
	case ok && strings.Contains(text, "linked account"):
		return verdict{message: http.StatusText(resp.StatusCode), exception: soapException(code, text), cause: r.noPermission()}
	case ok && r.Service != "Generic" && !isSOAP:
		return verdict{message: http.StatusText(resp.StatusCode), cause: fmt.Sprintf("%s took the token, but what it answered is no answer of the service %s: check TargetUri", r.target, r.Service)}
	case ok && code != "":
		return verdict{message: http.StatusText(resp.StatusCode), exception: soapException(code, text), note: r.harmless(code)}
	case ok:
		return verdict{message: http.StatusText(resp.StatusCode)}
	}
	v := verdict{exception: fmt.Sprintf("System.Net.WebException: The remote server returned an error: (%d) %s.\n%s\n%s", resp.StatusCode, http.StatusText(resp.StatusCode), frameResponse, frameTest)}
	diagnostics := trust.OneLine(resp.Header.Get(acs.DiagnosticsHeader))
	if diagnostics != "" {
		v.exception += ", diagnostics: " + diagnostics
	}
	d, err := acs.ParseDiagnostics(diagnostics)
	switch {
	case r.trace.Sent && resp.StatusCode == http.StatusUnauthorized && err == nil:
		v.cause = r.refused(d, resp)
	case r.trace.Sent && resp.StatusCode == http.StatusUnauthorized:
		v.cause = fmt.Sprintf("%s refused the token without saying why: the mailbox may not be synchronized to it, or its virtual directory takes no OAuth (Set-WebServicesVirtualDirectory -OAuthAuthentication $true there)", r.target.Host)
	default:
		v.cause = r.status(resp)
	}
	return v
}

func soapException(code, text string) string { return strings.TrimSuffix(code+": "+text, ": ") }

// harmless explains an error of the service: the token was accepted.
func (r *oauthTest) harmless(code string) string {
	note := "The token was accepted. This error of the service can be ignored as long as ResultType is Success"
	switch {
	case code == "ErrorNonExistentMailbox":
		note += ": there the user has no mailbox, only an entry that leads here"
	case r.user() == nil:
		note += ": the token speaks for no user, who could have a mailbox"
	}
	return note + "."
}

// status is the cause of an answer that is no judgement of a token.
func (r *oauthTest) status(resp *http.Response) string {
	host := r.target.Host
	switch s := resp.StatusCode; {
	case s == http.StatusUnauthorized:
		return fmt.Sprintf("the service at %s does not offer OAuth: run there Set-WebServicesVirtualDirectory (for Autodiscover Set-AutodiscoverVirtualDirectory) -OAuthAuthentication $true", host)
	case s/100 == 3:
		to := "elsewhere"
		if u, err := resp.Location(); err == nil {
			to = "to " + trust.OneLine(u.Redacted())
		}
		return fmt.Sprintf("%s sends %s: give the final address as TargetUri", r.target, to)
	case s == http.StatusNotFound || s == http.StatusMethodNotAllowed:
		return fmt.Sprintf("there is no service at %s: check TargetUri (https://%s/ews/exchange.asmx)", r.target, host)
	case s == http.StatusMisdirectedRequest:
		return fmt.Sprintf("no organization is served under the name %s: run there Set-WebServicesVirtualDirectory -ExternalUrl https://%s/ews/exchange.asmx", host, host)
	case s == http.StatusForbidden && r.trace.Sent && r.application() != nil:
		return fmt.Sprintf("%s takes the token, and forbids Exchange Web Services to the application %s: Exchange Online does so to every application since October 2026, unless the tenant allows it: run there Set-OrganizationConfig -EwsEnabled $true -EwsAllowedAppIDs @{Add=%q}", host, r.servicePID(), r.servicePID())
	case s == http.StatusForbidden && r.trace.Sent:
		return fmt.Sprintf("%s takes the token, and forbids Exchange Web Services to the application %s, which every Exchange shares: Exchange Online does so since October 2025. Make an application of your own in the tenant with the role full_access_as_app, "+
			"and run here Set-AuthServer <name of the one of type AzureAD> -ApplicationIdentifier <its id> -DomainName <target address domains>", host, r.servicePID())
	case s == http.StatusForbidden:
		return fmt.Sprintf("%s, or a proxy before it, forbids the request", host)
	case s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable:
		return fmt.Sprintf("%s is busy or not ready: try again", host)
	}
	return fmt.Sprintf("%s failed with status %d: its own log says more", host, resp.StatusCode)
}

// refused names the cause of a token that the other side refused (oauth-s2s
// reference 2.3).
func (r *oauthTest) refused(d acs.Diagnostics, resp *http.Response) string {
	host := r.target.Host
	pid := r.servicePID()
	if cause, ok := r.refusedDirect(d); ok {
		return cause
	}
	switch d.ID {
	case trust.InvalidSignature:
		return fmt.Sprintf("the organization at %s has stale keys of the authorization server %s: run there Set-AuthServer -RefreshAuthMetadata", host, r.trace.Issuer)
	case trust.InvalidToken:
		if r.user() != nil && !r.trace.Delegation {
			return fmt.Sprintf("the authorization server does not let the service principal %s speak for users (TrustedForDelegation is False on it)", pid)
		}
		return fmt.Sprintf("%s does not take this kind of token at %s: check TargetUri", host, r.target.Path)
	case trust.TokenExpired:
		if text, ok := r.clock(host, resp.Header.Get("Date")); ok {
			return text
		}
		return fmt.Sprintf("for %s the token is not valid now, though the clock there agrees with the one here: check the clock of the authorization server", host)
	case trust.InvalidResource:
		return fmt.Sprintf("the service that answers for %s does not know itself by that name: name it there with Set-WebServicesVirtualDirectory -ExternalUrl, and let what stands before it pass the host name on", host)
	case trust.InvalidTenant:
		return fmt.Sprintf("the organization at %s is not of the tenant of the token (%s): its AuthServer, or the one here, is for another tenant (Get-AuthServer | Format-List Name,Realm)", host, r.trace.Issuer)
	case trust.InvalidUser:
		if strings.Contains(d.Reason, "ambiguous") {
			return fmt.Sprintf("several entries of the organization at %s go by the names of %s (UPN %s): let one entry there have them", host, r.Mailbox.Primary, r.user().UPN)
		}
		return fmt.Sprintf("the mailbox %s is not known in the organization at %s: synchronize it, or run there New-MailUser with that address", r.Mailbox.Primary, host)
	case trust.InvalidClient:
		return fmt.Sprintf("the partner application %s is missing or disabled in the organization at %s: run there Get-PartnerApplication | ?{$_.ApplicationIdentifier -eq %q} | Set-PartnerApplication -Enabled $true (article step 2), or New-PartnerApplication", pid, host, pid)
	case trust.InvalidGrant:
		if r.application() == nil {
			return r.noPermission()
		}
		return fmt.Sprintf("the application %s has not the role full_access_as_app in its tenant: an administrator of the tenant must consent to it (New-AzureADServiceAppRoleAssignment)", pid)
	case trust.InvalidIssuer:
		return fmt.Sprintf("the organization at %s has no enabled AuthServer for the issuer %s: run there New-AuthServer (article step 1), or Set-AuthServer -Enabled $true", host, r.trace.Issuer)
	}
	return fmt.Sprintf("%s refused the token: %d %s %s", host, d.ID, d.Category, d.Reason)
}

// refusedDirect is refused for a token that the organization issued itself: what
// the other side has pinned decides then.
func (r *oauthTest) refusedDirect(d acs.Diagnostics) (string, bool) {
	own := acs.PrincipalName{PID: r.servicePID(), Realm: r.org.Realm()}
	if r.trace.Issuer != own.String() {
		return "", false
	}
	switch d.ID {
	case trust.InvalidSignature:
		fingerprint, err := trust.OwnFingerprint(r.org, r.now)
		if err != nil {
			fingerprint = "(" + err.Error() + ")"
		}
		return fmt.Sprintf("the organization at %s has not pinned the key that this one signs with: run there Set-PartnerApplication -RefreshAuthMetadata; if its keys wait then, Set-PartnerApplication -ApproveFingerprint %q", r.target.Host, fingerprint), true
	case trust.InvalidIssuer, trust.InvalidClient:
		return r.notPinned(), true
	}
	return "", false
}

// notPinned tells the other side to trust this organization directly.
func (r *oauthTest) notPinned() string {
	return fmt.Sprintf("the organization at %s does not trust %s directly: run there busybridge trust add, or New-PartnerApplication -AuthMetadataUrl with the address of this organization's document", r.target.Host, r.org.Realm())
}

// pinned reports whether the organization trusts that of the target directly.
func (r *oauthTest) pinned() bool {
	return slices.ContainsFunc(r.org.PartnerApplications, func(p directory.PartnerApplication) bool {
		u, err := url.Parse(p.AuthMetadataURL)
		return !p.UseAuthServer && err == nil && strings.EqualFold(u.Hostname(), r.target.Hostname())
	})
}

func (r *oauthTest) noPermission() string {
	what := "ActAsPermissions"
	if r.user() == nil {
		what = "AppOnlyPermissions"
	}
	return fmt.Sprintf("the partner application %s has neither a linked account with the role UserApplication nor permissions for calendars in the organization at %s: run there Set-PartnerApplication -LinkedAccount (or -%s), or New-ManagementRoleAssignment -Role UserApplication for the linked account", r.servicePID(), r.target.Host, what)
}

// failed judges a request that had no answer: no token could be had, or no connection.
func (r *oauthTest) failed(err error) verdict {
	e, ok := errors.AsType[*trust.RequestError](err)
	if !ok {
		text, cause := connection(err, r.target.Hostname())
		return verdict{exception: "System.Net.WebException: " + text + "\n" + frameResponse + "\n" + frameTest, cause: cause}
	}
	const canceled = "System.Net.WebException: The request was aborted: The request was canceled. ---> Microsoft.Exchange.Security.OAuth.OAuthTokenRequestFailedException: "
	reason, cause := trust.OneLine(e.Reason()), ""
	oauth, refused := errors.AsType[*acs.Error](e.Err)
	switch {
	case errors.Is(err, trust.ErrNoIssuer):
		cause = r.noIssuer()
	case errors.Is(err, trust.ErrNoCertificate):
		cause = r.noCertificate(e)
	case refused:
		reason += fmt.Sprintf(" ---> System.Net.WebException: The remote server returned an error: (%d) %s.", oauth.Status, http.StatusText(oauth.Status))
		cause = r.noToken(e, oauth)
	case e.Step == "request token":
		host := r.tokenHost(e.AuthServer)
		var text string
		text, cause = connection(e.Err, host)
		if errors.Is(e.Err, authorityclient.ErrStatus) {
			text, cause = "The remote server returned an error.", fmt.Sprintf("what answers at the token endpoint of the authorization server %q is no token endpoint (%s): run Set-AuthServer %q -RefreshAuthMetadata", e.AuthServer, trust.OneLine(e.Err.Error()), e.AuthServer)
		}
		reason = "Unable to get the token from Auth Server. ---> System.Net.WebException: " + text
	default:
		cause = fmt.Sprintf("%s: %s", e.Step, trust.OneLine(e.Err.Error()))
	}
	return verdict{exception: canceled + reason + "\n" + frameToken + "\n" + frameTest, cause: cause}
}

// noIssuer tells why no authorization server is common to both sides.
func (r *oauthTest) noIssuer() string {
	host, ch := r.target.Host, r.trace.Challenge
	if r.pinned() {
		return r.notPinned()
	}
	if ch == nil || len(ch.TrustedIssuers) == 0 {
		return fmt.Sprintf("the organization at %s trusts no authorization server: run there New-AuthServer (article step 1)", host)
	}
	trusts := trust.OneLine(ch.Issuers)
	var names []string
	for i := range r.org.AuthServers {
		s := &r.org.AuthServers[i]
		if s.Type != directory.AuthServerACS {
			continue
		}
		realm := s.Realm
		if r.org.Tenant != "" {
			realm = r.org.Tenant
		}
		sameIssuer := slices.ContainsFunc(ch.TrustedIssuers, func(p acs.PrincipalName) bool { return p.PID == s.IssuerIdentifier })
		trusted := slices.ContainsFunc(ch.TrustedIssuers, func(p acs.PrincipalName) bool {
			return p.Covers(acs.PrincipalName{PID: s.IssuerIdentifier, Realm: realm})
		})
		switch {
		case trusted && !s.Enabled:
			return fmt.Sprintf("the authorization server %q is disabled here: run Set-AuthServer %q -Enabled $true", s.Name, s.Name)
		case sameIssuer && s.Enabled:
			return fmt.Sprintf("the authorization server %q is for the realm %s here, and the organization at %s trusts %s: run Set-AuthServer %q -AuthMetadataUrl with the tenant's own address", s.Name, realm, host, trusts, s.Name)
		}
		names = append(names, fmt.Sprintf("%q (%s)", s.Name, s.IssuerIdentifier))
	}
	if len(names) == 0 {
		return fmt.Sprintf("no authorization server is configured here, and the organization at %s trusts %s: run New-AuthServer -Name MicrosoftAzureACS -AuthMetadataUrl with the address of the tenant's metadata (article step 1)", host, trusts)
	}
	return fmt.Sprintf("the organization at %s trusts %s, which is none of the authorization servers here, %s: run New-AuthServer with the address of the right one (article step 1)", host, trusts, strings.Join(names, ", "))
}

// certificateEnd is when the certificate that the organization signs with expires.
func (r *oauthTest) certificateEnd() (time.Time, bool) {
	k := r.org.Certificate(r.org.AuthConfig.CurrentCertificateThumbprint)
	if k == nil {
		return time.Time{}, false
	}
	c, err := x509.ParseCertificate(k.DER)
	if err != nil {
		return time.Time{}, false
	}
	return c.NotAfter, true
}

const newCertificate = "make one with New-ExchangeCertificate, make it current with Set-AuthConfig -CertificateThumbprint, and upload it (article steps 3 and 4)"

func (r *oauthTest) noCertificate(e *trust.RequestError) string {
	thumbprint := r.org.AuthConfig.CurrentCertificateThumbprint
	end, ok := r.certificateEnd()
	switch {
	case thumbprint == "":
		return "AuthConfig names no current certificate to sign with: " + newCertificate
	case !ok:
		return fmt.Sprintf("the certificate %s that AuthConfig names is not here: %s", thumbprint, newCertificate)
	case !r.now.Before(end):
		return fmt.Sprintf("the certificate %s that this organization signs with has expired at %s: %s", thumbprint, stamp(end), newCertificate)
	}
	return trust.OneLine(e.Err.Error())
}

// noToken tells why the authorization server issued no token (oauth-s2s reference 3.3).
func (r *oauthTest) noToken(e *trust.RequestError, oauth *acs.Error) string {
	pid, thumbprint := r.servicePID(), r.org.AuthConfig.CurrentCertificateThumbprint
	tenant := r.tenant(e.AuthServer)
	upload := fmt.Sprintf("export it and run New-MsolServicePrincipalCredential -AppPrincipalId %s -Type Asymmetric -Usage Verify with it (article steps 3 and 4)", pid)
	if s := r.otherApplication(); s != nil && oauth.Has(badAssertion) {
		return r.sharedInstead(s)
	}
	switch {
	case (oauth.Has(badAssertion) || oauth.Has(badProof)) && strings.Contains(oauth.Description, "key was not found"):
		return fmt.Sprintf("the certificate %s that this organization signs with is no key credential of the service principal %s in the tenant %s; none, or another one, was uploaded: %s", thumbprint, pid, tenant, upload)
	case (oauth.Has(badAssertion) || oauth.Has(badProof)) && strings.Contains(oauth.Description, "expired"):
		return fmt.Sprintf("the key credential of the service principal %s in the tenant %s for the certificate %s has expired: %s", pid, tenant, thumbprint, upload)
	case oauth.Has(badAssertion), oauth.Has(badProof):
		return fmt.Sprintf("the assertion's signature does not match the key credential of the service principal %s in the tenant %s: %s", pid, tenant, upload)
	case oauth.Has(unknownResource) && r.application() != nil:
		return fmt.Sprintf("no application of the tenant %s has the name https://%s: it is not a host of its cloud", tenant, r.target.Host)
	case oauth.Has(unknownResource):
		host := r.target.Host
		return fmt.Sprintf("the host name %s is not among the ServicePrincipalNames of the service principal %s in the tenant %s: add %s/%s, or a wildcard that covers it, with Set-MsolServicePrincipal (article step 5)", host, pid, tenant, pid, host)
	case oauth.Has(unknownClient):
		return fmt.Sprintf("the service principal %s is missing or disabled in the tenant %s: run Set-MsolServicePrincipal -AppPrincipalId %s -AccountEnabled $true", pid, tenant, pid)
	case oauth.Has(outOfTime):
		if text, ok := r.clock("the authorization server", oauth.Timestamp); ok {
			return text
		}
		return "for the authorization server the assertion is not valid now: compare the clocks"
	case oauth.Has(wrongAudience), oauth.Has(unknownTenant):
		return fmt.Sprintf("the authorization server %q has changed since its metadata was read, or has no tenant %s any more: run Set-AuthServer %q -RefreshAuthMetadata", e.AuthServer, tenant, e.AuthServer)
	case oauth.Has(busyAuthority):
		return fmt.Sprintf("the authorization server %q is busy: try again", e.AuthServer)
	}
	return fmt.Sprintf("the authorization server %q refused to issue a token: %s", e.AuthServer, trust.OneLine(oauth.Error()))
}

// otherApplication is the server of Entra that the organization has, and does not
// ask the target by; nil: there is none, or it is asked by.
func (r *oauthTest) otherApplication() *directory.AuthServer {
	i := slices.IndexFunc(r.org.AuthServers, func(s directory.AuthServer) bool { return s.Enabled && s.Type == directory.AuthServerAzureAD })
	if i < 0 || r.application() != nil {
		return nil
	}
	return &r.org.AuthServers[i]
}

// sharedInstead tells why the organization asked as the principal that every
// Exchange shares, where it has no key, though it knows Entra.
func (r *oauthTest) sharedInstead(s *directory.AuthServer) string {
	host := r.target.Host
	text := fmt.Sprintf("this organization asked as %s, which every Exchange shares and for which its certificate is not in the tenant: ", r.servicePID())
	if s.ApplicationIdentifier == "" {
		return text + fmt.Sprintf("the AuthServer %q names no application of its own; make one in the tenant with the role full_access_as_app and this certificate, and run here Set-AuthServer %q -ApplicationIdentifier <its id> -DomainName <target address domains>", s.Name, s.Name)
	}
	return text + fmt.Sprintf("the application %s of the AuthServer %q is for the domains %s, and no enabled connector leads one of them to %s: run here Set-AuthServer %q -DomainName <target address domains>, or New-IntraOrganizationConnector (article step 6)",
		s.ApplicationIdentifier, s.Name, strings.Join(s.DomainName, ", "), host, s.Name)
}

// clock compares the clock here with the time that the other side told.
func (r *oauthTest) clock(whose, told string) (string, bool) {
	for _, layout := range []string{http.TimeFormat, "2006-01-02 15:04:05Z"} {
		at, err := time.Parse(layout, told)
		if err != nil {
			continue
		}
		if off := r.now.Sub(at); off.Abs() > clockTolerance {
			return fmt.Sprintf("the clocks differ by %v: it is %s here and %s at %s; set the wrong one", off.Abs().Truncate(time.Second), stamp(r.now), stamp(at), whose), true
		}
	}
	return "", false
}

// connection is why a server could not be reached, in the words of .NET and in ours.
func connection(err error, host string) (text, cause string) {
	var (
		untrusted *tls.CertificateVerificationError
		name      *net.DNSError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		timeout   net.Error
		op        *net.OpError
	)
	why := trust.OneLine(err.Error())
	if u, ok := errors.AsType[*url.Error](err); ok {
		why = trust.OneLine(u.Err.Error())
	}
	switch {
	case errors.As(err, &untrusted):
		return "The underlying connection was closed: Could not establish trust relationship for the SSL/TLS secure channel.",
			fmt.Sprintf("TLS: the certificate of %s is not trusted here (%s): give %s a valid certificate for that name, or its authority to trusted_ca_files", host, why, host)
	case errors.As(err, &record), errors.As(err, &alert), tlsRefused(err):
		return "The request was aborted: Could not create SSL/TLS secure channel.",
			fmt.Sprintf("TLS: %s does not speak TLS 1.2 or later with us (%s)", host, why)
	case errors.Is(err, safehttp.ErrAddress):
		return "Unable to connect to the remote server",
			fmt.Sprintf("%s has a private address, which is not connected to (%s): name it in connect_to or allow_private_networks", host, why)
	case errors.As(err, &name):
		return "The remote name could not be resolved: '" + host + "'",
			fmt.Sprintf("the name %s cannot be resolved (%s): check TargetUri and DNS, or name it in connect_to", host, why)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return "The operation has timed out", fmt.Sprintf("%s did not answer in time (%s): check the way there, firewalls first", host, why)
	case errors.As(err, &op) && op.Op == "dial", errors.Is(err, syscall.ECONNREFUSED):
		return "Unable to connect to the remote server", fmt.Sprintf("%s cannot be reached (%s): is its service running, and the way there open?", host, why)
	}
	return "The underlying connection was closed: An unexpected error occurred on a receive.", fmt.Sprintf("the connection to %s broke (%s)", host, why)
}

// servicePID is the application id that the organization asks as: that of its own
// application, else the one that both sides know the service by.
func (r *oauthTest) servicePID() string {
	if app := r.application(); app != nil {
		return app.ApplicationIdentifier
	}
	if r.org.AuthConfig.ServiceName != "" {
		return r.org.AuthConfig.ServiceName
	}
	return directory.ExchangeAppID
}

func (r *oauthTest) authServer(name string) *directory.AuthServer {
	for i := range r.org.AuthServers {
		if r.org.AuthServers[i].Name == name {
			return &r.org.AuthServers[i]
		}
	}
	return &directory.AuthServer{}
}

func (r *oauthTest) tenant(authServer string) string {
	if r.org.Tenant != "" {
		return r.org.Tenant
	}
	return r.authServer(authServer).Realm
}

func (r *oauthTest) tokenHost(authServer string) string {
	u, err := url.Parse(r.authServer(authServer).TokenIssuingEndpoint)
	if err != nil {
		return "the authorization server"
	}
	return u.Hostname()
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
