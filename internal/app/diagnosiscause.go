package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"busybridge/internal/diagnose"
	"busybridge/internal/dial/authorityclient"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// judge names the failure of an answer by what was seen on the way.
func (g *diagnosing) judge(ctx context.Context, err error) diagnose.Failure {
	me, ok := errors.AsType[*routing.MailboxError](err)
	if !ok {
		return g.unexplained(err)
	}
	if g.route == nil {
		return g.judgeHere(ctx, me)
	}
	if e, ok := errors.AsType[*trust.RequestError](err); ok {
		return g.atEndpoint(g.judgeToken(e))
	}
	if me.Reason == routing.RelationshipBad || me.Reason == routing.ProxyFailed && g.wire.last() == nil {
		return diagnose.Failure{Kind: diagnose.RouteUnusable, Cause: me.Text, Object: g.routeObject(), Said: me.Text,
			Remedies: []diagnose.Remedy{{Where: diagnose.Here, Text: "make a connector for the domain, which goes before", Commands: g.newConnector(ctx)}}}
	}
	if me.Reason == routing.Remote {
		return g.judgeRemote(ctx, me)
	}
	e := g.wire.last()
	switch {
	case e == nil:
		return g.unexplained(err)
	case strings.Contains(me.Text, "calendar entries, limit"):
		return g.tooMany(me)
	case e.err != nil || me.Reason == routing.TimedOut:
		return g.judgeConnection(ctx, e, err)
	case e.status == http.StatusOK && e.stage == stageDiscovery && !isPage(e):
		return g.judgeDiscovery(ctx, me)
	}
	return g.judgeStatus(ctx, e, me)
}

func (g *diagnosing) unexplained(err error) diagnose.Failure {
	return diagnose.Failure{Kind: diagnose.Unexplained, Cause: fmt.Sprintf("the question failed, and nobody says why: %v", err),
		Remedies: []diagnose.Remedy{{Where: diagnose.There, Text: "look into the log of the server for the client_request_id " + g.r.CorrelationID}}}
}

// atEndpoint moves a failure to the endpoint's hop where Autodiscover's host, which
// needs the same, had let the question pass. What is of both hosts stays.
func (g *diagnosing) atEndpoint(f diagnose.Failure) diagnose.Failure {
	if h := f.Kind.Hop(); f.Hop == 0 && len(g.points) > 0 && len(g.urls) > 0 && h >= diagnose.Connection && h <= diagnose.Acceptance {
		f.Hop = diagnose.Endpoint
	}
	return f
}

func (g *diagnosing) routeObject() string {
	names := map[routing.Kind]string{routing.Connector: "IntraOrganizationConnector", routing.Relationship: "OrganizationRelationship", routing.AddressSpace: "AvailabilityAddressSpace"}
	return fmt.Sprintf("%s %q", names[g.route.Kind], g.route.Name())
}

func (g *diagnosing) unknownAsker(err error) diagnose.Failure {
	what := "is not in the directory of " + g.org.Name
	if err == nil {
		what = "is no mailbox of " + g.org.Name + ", but a " + g.asker.Type
	}
	return diagnose.Failure{Kind: diagnose.AskerUnknown, Object: g.q.From, Cause: fmt.Sprintf("%s %s: people without a mailbox ask for nobody", g.q.From, what),
		Remedies: []diagnose.Remedy{{Where: diagnose.Here, Text: "name somebody who has a mailbox here", Commands: []string{"Get-Mailbox"}}}}
}

// judgeHere is for a question that did not leave.
func (g *diagnosing) judgeHere(ctx context.Context, me *routing.MailboxError) diagnose.Failure {
	f := diagnose.Failure{Cause: me.Text, Object: g.asked.String()}
	remedy := func(text string, commands ...string) diagnose.Failure {
		f.Remedies = []diagnose.Remedy{{Where: diagnose.Here, Text: text, Commands: commands}}
		return f
	}
	target := g.asked
	if g.found != nil && !g.found.ExternalAddress.IsZero() {
		target = g.found.ExternalAddress
	}
	switch me.Reason {
	case routing.RecipientNotFound:
		f.Kind = diagnose.RecipientUnknown
		if g.found != nil { // a mail user whose target is one of our own addresses
			f.Object, f.Value = fmt.Sprintf("MailUser %q", g.found.CommonName()), target.String()
			f.Cause = fmt.Sprintf("the target address %s of the mail user %s is in a domain that this organization alone answers for, and has no mailbox here", target, g.asked)
			return remedy("give it the address that its mailbox has on the other side", "Set-MailUser "+psQuote(g.asked.String())+" -ExternalEmailAddress <address there>")
		}
		f.Cause = fmt.Sprintf("%s is in a domain of this organization, and no mailbox or mail user here has the address", g.asked)
		return remedy("make a mail user that leads to the mailbox, or correct the address", "New-MailUser -Name "+psQuote(g.asked.Local())+" -PrimarySmtpAddress "+psQuote(g.asked.String())+" -ExternalEmailAddress <address there>")
	case routing.NoRoute:
		return g.noRoute(ctx, target, me, f)
	case routing.NoAccess:
		f.Kind, f.Value = diagnose.CalendarNone, "None"
		return remedy("let it show when it is busy", g.showCalendar(g.asked))
	case routing.TooManyEvents:
		return g.tooMany(me)
	case routing.TimedOut:
		f.Kind = diagnose.TooLate
		return remedy("see what keeps the store busy")
	case routing.ProxyNotAllowed:
		if rt := routing.NewTable(g.org, g.server).Route(g.asked, g.found); rt.Kind == routing.AddressSpace {
			g.route = &rt
			f.Said = me.Text
			return g.noConnectorBehind(ctx, f)
		}
		f.Kind = diagnose.ProxyLoop
		return f
	}
	f.Kind = diagnose.Unexplained
	return f
}

func (g *diagnosing) noRoute(ctx context.Context, target smtpaddr.Address, me *routing.MailboxError, f diagnose.Failure) diagnose.Failure {
	f.Kind, f.Value, f.Said = diagnose.NoRoute, target.Domain(), me.Text
	f.Object = fmt.Sprintf("target address %s of %s", target, g.asked)
	here := diagnose.Remedy{Where: diagnose.Here}
	switch c := disabledConnector(g.org, target.Domain()); {
	case g.found != nil && g.found.ExternalAddress.IsZero():
		f.Kind, f.Object, f.Value = diagnose.NoTargetAddress, fmt.Sprintf("MailUser %q", g.found.CommonName()), ""
		f.Cause = fmt.Sprintf("the mail user %s has no target address, so nobody knows where its calendar is", g.asked)
		here.Text, here.Commands = "give it one", []string{"Set-MailUser " + psQuote(g.asked.String()) + " -ExternalEmailAddress <address there>"}
	case c != nil:
		f.Kind, f.Object = diagnose.RouteDisabled, fmt.Sprintf("IntraOrganizationConnector %q", c.Name)
		f.Cause = fmt.Sprintf("the connector %q for %s is disabled", c.Name, target.Domain())
		here.Text, here.Commands = "enable it", []string{"Set-IntraOrganizationConnector " + psQuote(c.Name) + " -Enabled $true"}
	case g.server != nil && g.server.AdminDisplayVersion.Less(directory.OAuthVersion):
		f.Cause = fmt.Sprintf("the server %s (%s) knows availability address spaces only, and none covers %s", g.server.Name, g.server.AdminDisplayVersion, target.Domain())
		here.Text = "let it ask by a newer server (article step 8)"
		for i := range g.org.Servers {
			if s := &g.org.Servers[i]; !s.AdminDisplayVersion.Less(directory.OAuthVersion) && s.ExternalURL != "" {
				here.Commands = []string{"Add-AvailabilityAddressSpace -ForestName " + psQuote(target.Domain()) + " -AccessMethod InternalProxy -UseServiceAccount $true -ProxyUrl " + psQuote(s.ExternalURL)}
				break
			}
		}
	default:
		f.Cause = fmt.Sprintf("no enabled connector, organization relationship or address space covers %s, the domain of the target address %s", target.Domain(), target)
		here.Text, here.Commands = "make a connector for the domain (article steps 6 and 7)", g.connectorFor(ctx, target.Domain())
	}
	f.Remedies = []diagnose.Remedy{here}
	return f
}

// judgeToken is for a token that could not be had (oauth-s2s reference 3.3).
func (g *diagnosing) judgeToken(e *trust.RequestError) diagnose.Failure {
	f := diagnose.Failure{Said: e.Reason()}
	oauth, refused := errors.AsType[*acs.Error](e.Err)
	s := g.authServer()
	switch {
	case errors.Is(e, trust.ErrNoIssuer):
		return g.noIssuer(f)
	case errors.Is(e, trust.ErrNoCertificate):
		return g.noCertificate(f)
	case refused && s != nil:
		return g.refusedToken(f, s, oauth)
	case e.Step == "request token" && s != nil:
		host := hostOf(s.TokenIssuingEndpoint)
		f.Kind, f.Object, f.Value = diagnose.AuthorityDown, fmt.Sprintf("AuthServer %q", s.Name), s.TokenIssuingEndpoint
		_, f.Cause = connection(e.Err, host)
		if errors.Is(e.Err, authorityclient.ErrStatus) {
			f.Cause = fmt.Sprintf("what answers at the token endpoint %s is no token endpoint", s.TokenIssuingEndpoint)
		}
		f.Remedies = []diagnose.Remedy{{Where: diagnose.Here, Text: "read where its token endpoint is now; when it is the same, look at the way there: DNS, firewall, proxy",
			Commands: []string{"Set-AuthServer " + psQuote(s.Name) + " -RefreshAuthMetadata"}}}
		return f
	}
	f.Kind, f.Cause = diagnose.SigningFailed, fmt.Sprintf("%s: %v", e.Step, e.Err)
	return f
}

func (g *diagnosing) noCertificate(f diagnose.Failure) diagnose.Failure {
	thumbprint := g.org.AuthConfig.CurrentCertificateThumbprint
	f.Kind, f.Object, f.Value = diagnose.CertificateMissing, "AuthConfig, CurrentCertificateThumbprint", thumbprint
	f.Cause = "AuthConfig names no certificate to sign with"
	if c := g.org.Certificate(thumbprint); c != nil {
		f.Cause = fmt.Sprintf("the certificate %s cannot be used", thumbprint)
		if x, err := x509.ParseCertificate(c.DER); err == nil && !g.now.Before(x.NotAfter) {
			f.Kind, f.Object = diagnose.CertificateExpired, "certificate "+thumbprint
			f.Value, f.Cause = stamp(x.NotAfter), fmt.Sprintf("the certificate %s that this organization signs with has expired at %s", thumbprint, stamp(x.NotAfter))
		}
	} else if thumbprint != "" {
		f.Cause = fmt.Sprintf("the certificate %s that AuthConfig names is not here", thumbprint)
	}
	f.Remedies = []diagnose.Remedy{{Where: diagnose.Here, Text: "make a new one and sign with it; then diagnose again, for the command that uploads it (article steps 3 and 4)",
		Commands: []string{"$certificate = New-ExchangeCertificate", "Set-AuthConfig -CertificateThumbprint $certificate.Thumbprint -Confirm:$false"}}}
	return f
}

// noIssuer: the challenge names no authorization server that is known here.
func (g *diagnosing) noIssuer(f diagnose.Failure) diagnose.Failure {
	f.Kind, f.Object = diagnose.NoCommonIssuer, "AuthServer"
	var ch acs.Challenge
	if g.trace.Challenge != nil {
		ch = *g.trace.Challenge
	}
	host, trusts := g.wire.last().url.Host, trust.OneLine(ch.Issuers)
	f.Value = trusts
	if len(ch.TrustedIssuers) == 0 {
		f.Cause = fmt.Sprintf("the organization at %s trusts no authorization server and no partner", host)
		there := diagnose.Remedy{Where: diagnose.There, Text: "make it trust the authorization server of the tenant (article step 1)"}
		if s := g.authServer(); s != nil && s.AuthMetadataURL != "" {
			there.Commands = []string{"New-AuthServer -Name " + psQuote(s.Name) + " -AuthMetadataUrl " + psQuote(s.AuthMetadataURL)}
		}
		f.Remedies = []diagnose.Remedy{there}
		return f
	}
	for i := range g.org.AuthServers {
		s := &g.org.AuthServers[i]
		if !s.Enabled && slices.ContainsFunc(ch.TrustedIssuers, func(p acs.PrincipalName) bool { return p.PID == s.IssuerIdentifier }) {
			f.Object, f.Cause = fmt.Sprintf("AuthServer %q", s.Name), fmt.Sprintf("the authorization server %q, which the organization at %s trusts, is disabled here", s.Name, host)
			f.Remedies = []diagnose.Remedy{{Where: diagnose.Here, Text: "enable it", Commands: []string{"Set-AuthServer " + psQuote(s.Name) + " -Enabled $true"}}}
			return f
		}
	}
	f.Cause = fmt.Sprintf("the organization at %s trusts %s, and none of that is an authorization server of this organization", host, trusts)
	here := diagnose.Remedy{Where: diagnose.Here, Text: "make this organization trust the authorization server of its tenant (article step 1)"}
	for _, cloud := range directory.Clouds {
		if slices.ContainsFunc(ch.TrustedIssuers, func(p acs.PrincipalName) bool { return p.PID == cloud.ACSPrincipalID }) {
			here.Commands = []string{"New-AuthServer -Name 'MicrosoftAzureACS' -AuthMetadataUrl " + psQuote("https://"+cloud.ACSHost+"/"+g.org.DefaultDomain()+"/metadata/json/1")}
		}
	}
	f.Remedies = []diagnose.Remedy{here}
	return f
}

// refusedToken is for what the authorization server says (oauth-s2s reference 3.3).
func (g *diagnosing) refusedToken(f diagnose.Failure, s *directory.AuthServer, oauth *acs.Error) diagnose.Failure {
	pid, tenant := g.pid(), g.org.Tenant
	if tenant == "" {
		tenant = s.Realm
	}
	thumbprint := g.org.AuthConfig.CurrentCertificateThumbprint
	f.Object, f.Value = fmt.Sprintf("service principal %s in the tenant %s", pid, tenant), thumbprint
	badKey := oauth.Has(badAssertion) || oauth.Has(badProof)
	host := ""
	if e := g.wire.last(); e != nil {
		host = e.url.Host
	}
	switch entra := g.entraServer(); {
	case badKey && g.app == nil && entra != nil:
		return g.sharedPrincipal(f, entra)
	case badKey && strings.Contains(oauth.Description, "expired"):
		f.Kind, f.Cause = diagnose.CredentialExpired, fmt.Sprintf("the key credential of the service principal %s for the certificate %s has expired", pid, thumbprint)
		f.Remedies = []diagnose.Remedy{g.upload()}
	case badKey:
		f.Kind, f.Cause = diagnose.NotUploaded, fmt.Sprintf("the certificate %s that this organization signs with is no key credential of the service principal %s in the tenant %s: none, or another one, was uploaded", thumbprint, pid, tenant)
		if old := g.oldCopy(); old != "" {
			f.Kind = diagnose.OldUploaded
			f.Cause = fmt.Sprintf("this organization signs with the certificate %s, and the service principal %s in the tenant %s has another one of its certificates, %s", thumbprint, pid, tenant, old)
		}
		f.Remedies = []diagnose.Remedy{g.upload()}
	case oauth.Has(unknownResource):
		return g.noSPN(f, host, tenant)
	case oauth.Has(unknownClient):
		f.Kind, f.Value = diagnose.ApplicationUnknown, pid
		f.Cause = fmt.Sprintf("the application %s that this organization asks as is missing or disabled in the tenant %s", pid, tenant)
		if own := g.ownApplication(); g.app != nil && own != pid {
			f.Object = fmt.Sprintf("AuthServer %q, ApplicationIdentifier", g.app.Name)
			f.Remedies = []diagnose.Remedy{{Where: diagnose.Here, Text: "name the application that has this organization's certificate", Commands: []string{"Set-AuthServer " + psQuote(g.app.Name) + " -ApplicationIdentifier " + psQuote(own)}}}
		} else {
			f.Remedies = []diagnose.Remedy{{Where: diagnose.Tenant, Text: "enable it, if it is there", Commands: []string{"Set-MsolServicePrincipal -AppPrincipalId " + psQuote(pid) + " -AccountEnabled $true"}}}
		}
	case oauth.Has(outOfTime):
		return g.clockOff(f, "the authorization server", oauth.Timestamp)
	case oauth.Has(wrongAudience), oauth.Has(unknownTenant):
		f.Kind, f.Object, f.Value = diagnose.MetadataStale, fmt.Sprintf("AuthServer %q", s.Name), stamp(s.RefreshedAt)
		f.Cause = fmt.Sprintf("the authorization server %q has changed since its metadata was read at %s, or has no tenant %s any more", s.Name, stamp(s.RefreshedAt), tenant)
		f.Remedies = []diagnose.Remedy{{Where: diagnose.Here, Text: "read it again", Commands: []string{"Set-AuthServer " + psQuote(s.Name) + " -RefreshAuthMetadata"}}}
	case oauth.Has(busyAuthority):
		f.Kind, f.Hop, f.Cause = diagnose.Busy, diagnose.Token, fmt.Sprintf("the authorization server %q is busy: ask again", s.Name)
	default:
		f.Kind, f.Cause = diagnose.TokenRefused, fmt.Sprintf("the authorization server %q refuses to issue a token", s.Name)
	}
	return f
}

// noSPN: the host is no name of the application that is asked (article step 5).
func (g *diagnosing) noSPN(f diagnose.Failure, host, tenant string) diagnose.Failure {
	f.Kind, f.Value = diagnose.SPNMissing, host
	if g.app != nil {
		f.Object, f.Cause = "https://"+host, fmt.Sprintf("no application of the tenant %s has the name https://%s: it is no host of its cloud", tenant, host)
		return f
	}
	pid := directory.ExchangeAppID
	if g.trace.Challenge != nil {
		pid = g.trace.Challenge.ClientID
	}
	f.Object = fmt.Sprintf("ServicePrincipalNames of the service principal %s in the tenant %s", pid, tenant)
	f.Cause = fmt.Sprintf("the host name %s is not among the ServicePrincipalNames of the service principal %s in the tenant %s, and no wildcard covers it", host, pid, tenant)
	if slices.ContainsFunc(g.org.Connectors, func(c directory.IntraOrganizationConnector) bool {
		return slices.Contains(c.TargetAddressDomains, host)
	}) || g.org.Accepts(host) {
		f.Kind = diagnose.SPNApex
		f.Cause = fmt.Sprintf("%s is the domain itself: a ServicePrincipalName %s/*.%s covers the hosts below it, and not it", host, pid, host)
	}
	f.Remedies = []diagnose.Remedy{{Where: diagnose.Tenant, Text: "add the name (article step 5)", Commands: []string{
		"$principal = Get-MsolServicePrincipal -AppPrincipalId " + psQuote(pid),
		"$principal.ServicePrincipalNames.Add(" + psQuote(pid+"/"+host) + ")",
		"Set-MsolServicePrincipal -ObjectId $principal.ObjectId -ServicePrincipalNames $principal.ServicePrincipalNames",
	}}}
	return f
}

// entraServer is the enabled authorization server of Entra; nil: there is none.
func (g *diagnosing) entraServer() *directory.AuthServer {
	for i := range g.org.AuthServers {
		if s := &g.org.AuthServers[i]; s.Enabled && s.Type == directory.AuthServerAzureAD {
			return s
		}
	}
	return nil
}

// sharedPrincipal: the organization knows Entra, and did not ask by it.
func (g *diagnosing) sharedPrincipal(f diagnose.Failure, entra *directory.AuthServer) diagnose.Failure {
	f.Kind, f.Object = diagnose.SharedPrincipal, fmt.Sprintf("AuthServer %q", entra.Name)
	domains := slices.Clone(entra.DomainName)
	if d := g.route.Target.Domain(); !slices.Contains(domains, d) {
		domains = append(domains, d)
	}
	for i, d := range domains {
		domains[i] = psQuote(d)
	}
	set := "Set-AuthServer " + psQuote(entra.Name)
	if entra.ApplicationIdentifier == "" {
		f.Value = "ApplicationIdentifier is empty"
		f.Cause = fmt.Sprintf("this organization asked as %s, which every Exchange shares and for which its certificate is not in the tenant: the AuthServer %q names no application of its own", g.pid(), entra.Name)
		set += " -ApplicationIdentifier " + psQuote(g.ownApplication())
	} else {
		f.Value = "DomainName " + strings.Join(entra.DomainName, ", ")
		f.Cause = fmt.Sprintf("this organization asked as %s, which every Exchange shares: the application %s of the AuthServer %q is for other domains than %s", g.pid(), entra.ApplicationIdentifier, entra.Name, g.route.Target.Domain())
	}
	f.Remedies = []diagnose.Remedy{{Where: diagnose.Here, Text: "ask as an application of its own, for the target address domain", Commands: []string{set + " -DomainName " + strings.Join(domains, ",")}}}
	return f
}

// ownApplication is the id of the application of the tenant that has our
// certificate, where that can be seen.
func (g *diagnosing) ownApplication() string {
	if c := g.org.Certificate(g.org.AuthConfig.CurrentCertificateThumbprint); c != nil && g.realm != nil {
		for i := range g.realm.Principals {
			p := &g.realm.Principals[i]
			if p.AppPrincipalID != directory.ExchangeAppID && slices.ContainsFunc(p.KeyCredentials, func(k directory.KeyCredential) bool { return string(k.Value) == string(c.DER) }) {
				return p.AppPrincipalID
			}
		}
	}
	return "<id of the application>"
}

// oldCopy is a certificate of ours, not the current one, that the directory has;
// "": none, as far as can be seen.
func (g *diagnosing) oldCopy() string {
	if g.copied == nil {
		return ""
	}
	for _, k := range g.copied.KeyCredentials {
		if print := directory.Thumbprint(k.Value); g.org.Certificate(print) != nil {
			return print
		}
	}
	return ""
}

// upload gives the certificate to the directory.
func (g *diagnosing) upload() diagnose.Remedy {
	r := diagnose.Remedy{Where: diagnose.Tenant, Text: "upload the certificate (article steps 3 and 4)"}
	if c := g.org.Certificate(g.org.AuthConfig.CurrentCertificateThumbprint); c != nil {
		r.Commands = []string{"New-MsolServicePrincipalCredential -AppPrincipalId " + psQuote(g.pid()) + " -Type Asymmetric -Usage Verify -Value " + psQuote(base64.StdEncoding.EncodeToString(c.DER))}
	}
	return r
}

func (g *diagnosing) clockOff(f diagnose.Failure, whose, told string) diagnose.Failure {
	f.Kind, f.Object, f.Value = diagnose.ClockOff, "clock", told
	f.Cause = fmt.Sprintf("for %s the token is not valid now, though the clocks of both agree: compare the clock of who issued it", whose)
	for _, layout := range []string{http.TimeFormat, "2006-01-02 15:04:05Z"} {
		if at, err := time.Parse(layout, told); err == nil {
			if off := g.now.Sub(at); off.Abs() > clockTolerance {
				f.Value = off.Truncate(time.Second).String()
				f.Cause = fmt.Sprintf("the clocks differ by %v: it is %s here and %s at %s", off.Abs().Truncate(time.Second), stamp(g.now), stamp(at), whose)
			}
		}
	}
	f.Remedies = []diagnose.Remedy{{Where: diagnose.Here, Text: "set the wrong clock, and let it follow a time server (timedatectl set-ntp true): more than five minutes are not tolerated"}}
	return f
}

// judgeConnection is for an exchange without an answer.
func (g *diagnosing) judgeConnection(ctx context.Context, e *exchange, err error) diagnose.Failure {
	if a := g.wire.exchanges(stageAuthority); len(a) > 0 && a[len(a)-1].status == 0 && a[len(a)-1].began.After(e.began) {
		s := g.authServer()
		return diagnose.Failure{Kind: diagnose.AuthorityDown, Object: fmt.Sprintf("AuthServer %q", s.Name), Value: s.TokenIssuingEndpoint,
			Cause: fmt.Sprintf("the authorization server did not answer in time at %s", s.TokenIssuingEndpoint)}
	}
	host := e.url.Hostname()
	f := diagnose.Failure{Object: g.endpointObject(e), Value: e.url.Redacted()}
	if e.err != nil {
		_, f.Cause = connection(e.err, host)
		f.Kind = connectionKind(e.err)
	}
	if e.tls != nil || e.wroteWhole || e.err == nil {
		f.Kind, f.Cause = diagnose.TooLate, fmt.Sprintf("%s took the question and gave no answer within %s", host, time.Duration(g.r.Took).Round(time.Millisecond))
		if e.stage == stageDiscovery {
			f.Hop = diagnose.Autodiscover
		}
		f.Said = err.Error()
		f.Remedies = []diagnose.Remedy{{Where: diagnose.There, Text: "find what keeps the server: its log has the question as client_request_id " + g.r.CorrelationID + ". Ask for fewer days to see whether it is the calendar"}}
		return f
	}
	f.Remedies = g.otherEndpoint(ctx, e)
	return g.atEndpoint(f)
}

// connectionKind tells failures of a connection apart.
func connectionKind(err error) diagnose.Kind {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return diagnose.TLSName
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return diagnose.TLSUntrusted
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return diagnose.NameUnknown
	}
	if tlsRefused(err) {
		return diagnose.TLSVersion
	}
	return diagnose.Unreachable
}

// tlsRefused reports whether the other side would not make a TLS connection with
// us. Its alerts have no exported type.
func tlsRefused(err error) bool {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && (op.Op == "remote error" || op.Op == "local error") || strings.Contains(err.Error(), "tls: server selected unsupported protocol version")
}

// endpointObject is where the address of an exchange stands.
func (g *diagnosing) endpointObject(e *exchange) string {
	if e.stage == stageEndpoint && len(g.points) > 0 {
		return "ExternalEwsUrl of Autodiscover at " + g.points[len(g.points)-1]
	}
	if g.app != nil && g.app.GraphBaseURL != "" {
		return fmt.Sprintf("AuthServer %q, GraphBaseUrl", g.app.Name)
	}
	return g.routeObject()
}

// isPage reports whether an answer is a page for people.
func isPage(e *exchange) bool { return strings.HasPrefix(e.header.Get("Content-Type"), "text/html") }

// exchangeHeaders are those by which an Exchange is known.
var exchangeHeaders = []string{"X-FEServer", "X-DiagInfo", "X-OWA-Version", "Request-Id", "X-CalculatedBETarget"}

func isExchange(h http.Header) bool {
	return slices.ContainsFunc(exchangeHeaders, func(name string) bool { return h.Get(name) != "" })
}

// judgeStatus is for an answer that is none of the service.
func (g *diagnosing) judgeStatus(ctx context.Context, e *exchange, me *routing.MailboxError) diagnose.Failure {
	f := diagnose.Failure{Object: g.endpointObject(e), Value: e.url.Redacted(), Said: me.Text}
	host := e.url.Host
	offered := strings.Join(schemesOf(e.header), ", ")
	first, redirected := e, false // where it began
	for _, x := range g.wire.exchanges(e.stage) {
		if x.status/100 == 3 {
			first, redirected = x, true
			break
		}
	}
	switch {
	case e.status == http.StatusUnauthorized && e.bearer:
		return g.atEndpoint(g.judgeAcceptance(f, e))
	case e.status == http.StatusForbidden && e.bearer:
		return g.forbidden(f, e)
	case e.status == http.StatusUnauthorized && isExchange(e.header):
		f.Kind, f.Value = diagnose.NoOAuth, offered
		f.Cause = fmt.Sprintf("the service at %s does not offer OAuth, only %s", host, offered)
		f.Remedies = []diagnose.Remedy{{Where: diagnose.There, Text: "let it take tokens", Commands: []string{"Get-WebServicesVirtualDirectory | Set-WebServicesVirtualDirectory -OAuthAuthentication $true"}}}
	case redirected || isPage(e) || e.status == http.StatusUnauthorized || e.status == http.StatusForbidden || e.status == http.StatusProxyAuthRequired:
		f.Kind = diagnose.PreAuthentication
		f.Cause = fmt.Sprintf("something before %s asks for a sign-in of its own (status %d", first.url.Host, first.status)
		switch to := first.header.Get("Location"); {
		case to != "":
			f.Cause += ", sends to " + trust.OneLine(to)
		case offered != "":
			f.Cause += ", offers " + offered
		}
		f.Cause += "): the question never reached Exchange"
		f.Remedies = append([]diagnose.Remedy{{Where: diagnose.There, Text: "let the paths /autodiscover/autodiscover.svc and /ews/exchange.asmx pass without pre-authentication in the firewall or proxy that stands before the servers"}}, g.otherEndpoint(ctx, first)...)
	case e.status == http.StatusTooManyRequests || e.status == http.StatusServiceUnavailable:
		f.Kind, f.Cause = diagnose.Busy, fmt.Sprintf("%s is busy or not ready (status %d): ask again", host, e.status)
	case e.status/100 == 5:
		f.Kind, f.Cause = diagnose.Unexplained, fmt.Sprintf("%s failed with status %d: its own log says more, under client_request_id %s", host, e.status, g.r.CorrelationID)
	default:
		f.Kind, f.Cause = diagnose.NotExchange, fmt.Sprintf("what answers at %s is no Exchange Web Services or Autodiscover (status %d)", e.url.Redacted(), e.status)
		f.Remedies = g.otherEndpoint(ctx, e)
	}
	return g.atEndpoint(f)
}

// schemesOf are the names of the ways to sign in that an answer offers.
func schemesOf(h http.Header) (out []string) {
	for _, line := range h.Values("WWW-Authenticate") {
		list, err := acs.ParseAuthenticate(line)
		if err != nil {
			continue
		}
		for _, s := range list {
			if !slices.Contains(out, s.Name) {
				out = append(out, s.Name)
			}
		}
	}
	return out
}

// judgeDiscovery is for what Autodiscover says of the address.
func (g *diagnosing) judgeDiscovery(ctx context.Context, me *routing.MailboxError) diagnose.Failure {
	f := diagnose.Failure{Kind: diagnose.DiscoveryFailed, Object: g.routeObject(), Value: g.points[0], Said: me.Text}
	f.Cause = fmt.Sprintf("Autodiscover at %s has no answer for %s", g.points[len(g.points)-1], g.route.Target)
	last := g.wire.last()
	own := slices.ContainsFunc(g.org.Servers, func(s directory.Server) bool { return slices.Contains(s.HostNames, last.url.Hostname()) })
	switch n := len(g.said); {
	case own:
		f.Kind, f.Cause = diagnose.DiscoveryElsewhere, fmt.Sprintf("%s leads to %s, which is a server of this organization itself", g.routeObject(), last.url.Redacted())
		f.Remedies = g.otherEndpoint(ctx, last)
	case n > 0 && !g.said[n-1].RedirectAddress.IsZero():
		return g.loop(ctx, f, g.said[n-1].RedirectAddress)
	case n > 0 && g.said[n-1].RedirectURL != "" || len(g.points) > 1:
		f.Kind, f.Cause = diagnose.DiscoveryElsewhere, fmt.Sprintf("Autodiscover at %s sends on to %s, and that leads nowhere", g.points[0], g.points[len(g.points)-1])
		f.Remedies = g.otherEndpoint(ctx, last)
	default:
		return g.noMailbox(ctx, f)
	}
	return f
}

// loop: the entry of the other side leads back to this one.
func (g *diagnosing) loop(ctx context.Context, f diagnose.Failure, to smtpaddr.Address) diagnose.Failure {
	f.Kind = diagnose.ProxyLoop
	f.Object, f.Value = "target address of "+g.asked.String(), g.route.Target.String()
	f.Cause = fmt.Sprintf("the question for %s goes round: %s leads to the other side, whose entry for it leads on", g.asked, g.route.Target)
	if !to.IsZero() {
		f.Hop = diagnose.Autodiscover
		f.Cause = fmt.Sprintf("the question for %s goes round: %s leads to the other side, whose entry leads back to %s", g.asked, g.route.Target, to)
	}
	f.Remedies = g.retarget(ctx)
	return f
}

// noMailbox: the other side does not know the target address.
func (g *diagnosing) noMailbox(ctx context.Context, f diagnose.Failure) diagnose.Failure {
	f.Kind, f.Hop = diagnose.MailboxUnknown, diagnose.Permission
	if len(g.urls) == 0 {
		f.Hop = diagnose.Autodiscover
	}
	f.Object, f.Value = "target address of "+g.asked.String(), g.route.Target.String()
	f.Cause = fmt.Sprintf("the organization that is asked has no mailbox with the address %s", g.route.Target)
	f.Remedies = g.retarget(ctx)
	return f
}

// retarget gives the mail user the address that its mailbox has there.
func (g *diagnosing) retarget(ctx context.Context) []diagnose.Remedy {
	address := "<its address there>"
	if g.target != nil {
		if m, err := g.there.Store.Recipient(ctx, g.target.ID, g.asked); err == nil && m.IsMailbox() {
			for _, a := range append(slices.Clone(m.Proxies), m.Primary) {
				if a.Domain() == g.route.Target.Domain() {
					address = psQuote(a.String())
					break
				}
			}
		}
	}
	return []diagnose.Remedy{{Where: diagnose.Here, Text: "let the entry here lead to the mailbox there",
		Commands: []string{"Set-MailUser " + psQuote(g.asked.String()) + " -ExternalEmailAddress " + address}}}
}

// judgeAcceptance is for a token that was refused (oauth-s2s reference 2.3).
func (g *diagnosing) judgeAcceptance(f diagnose.Failure, e *exchange) diagnose.Failure {
	host, pid := e.url.Host, g.pid()
	said := e.header.Get(acs.DiagnosticsHeader)
	f.Said = said
	d, err := acs.ParseDiagnostics(said)
	there := func(text string, commands ...string) diagnose.Failure {
		f.Remedies = append(f.Remedies, diagnose.Remedy{Where: diagnose.There, Text: text, Commands: commands})
		return f
	}
	issuer, _, _ := strings.Cut(g.trace.Issuer, "@")
	servers := "Get-AuthServer | ?{$_.IssuerIdentifier -eq " + psQuote(issuer) + "} | Set-AuthServer"
	partners := "Get-PartnerApplication | ?{$_.ApplicationIdentifier -eq " + psQuote(pid) + "} | Set-PartnerApplication"
	if err != nil {
		f.Kind, f.Cause = diagnose.TokenRefused, fmt.Sprintf("%s refused the token without saying why", host)
		f.Hop = diagnose.Acceptance
		return there("let it take tokens", "Get-WebServicesVirtualDirectory | Set-WebServicesVirtualDirectory -OAuthAuthentication $true")
	}
	if g.trace.Direct && slices.Contains([]int{trust.InvalidSignature, trust.InvalidIssuer, trust.InvalidClient}, d.ID) {
		f.Kind, f.Object, f.Value = diagnose.NotPinned, "partner application for the realm "+g.org.Realm(), g.org.AuthConfig.CurrentCertificateThumbprint
		f.Cause = fmt.Sprintf("the organization at %s has not pinned the key that this one signs with", host)
		return there("read this organization's document again; keys that wait then are approved with the fingerprint of: busybridge trust show",
			"Get-PartnerApplication | ?{$_.Realm -eq "+psQuote(g.org.Realm())+"} | Set-PartnerApplication -RefreshAuthMetadata")
	}
	switch d.ID {
	case trust.InvalidSignature:
		f.Kind, f.Object, f.Value = diagnose.KeysStale, "AuthServer for "+issuer, "its keys"
		f.Cause = fmt.Sprintf("the organization at %s has other keys of the authorization server %s than those it signs with", host, issuer)
		if s, own := g.theirServer(issuer), g.authServer(); s != nil && own != nil && s.AuthMetadataURL != own.AuthMetadataURL && s.Type == own.Type {
			f.Value = s.AuthMetadataURL
			return there("read them, where they are", "Set-AuthServer "+psQuote(s.Name)+" -AuthMetadataUrl "+psQuote(own.AuthMetadataURL))
		}
		return there("read them again", servers+" -RefreshAuthMetadata")
	case trust.TokenExpired:
		return g.clockOff(f, host, e.header.Get("Date"))
	case trust.InvalidResource:
		f.Kind, f.Object, f.Value = diagnose.HostUnknown, "host name of the server", host
		f.Cause = fmt.Sprintf("the server that answers for %s does not know itself by that name, or the proxy before it hides the name", host)
		return there("name it, and let what stands before it pass the host name on", "Get-WebServicesVirtualDirectory | Set-WebServicesVirtualDirectory -ExternalUrl "+psQuote("https://"+host+"/ews/exchange.asmx"))
	case trust.InvalidTenant:
		f.Kind, f.Object, f.Value = diagnose.WrongTenant, "AuthServer, Realm", g.trace.Issuer
		f.Cause = fmt.Sprintf("the organization at %s is of another tenant than the token of %s: compare the realms on both sides", host, g.trace.Issuer)
		return there("see which tenant it trusts", "Get-AuthServer | Format-List Name,Realm")
	case trust.InvalidUser:
		return g.unknownUser(f, d, host)
	case trust.InvalidClient:
		f.Kind, f.Object, f.Value = diagnose.PartnerDisabled, "PartnerApplication "+pid, "Enabled: False, or not there"
		f.Cause = fmt.Sprintf("the partner application %s is missing or disabled in the organization at %s", pid, host)
		return there("enable it (article step 2)", partners+" -Enabled $true")
	case trust.InvalidGrant:
		f.Kind, f.Object, f.Value = diagnose.RoleMissing, "PartnerApplication "+pid, "no permission"
		if g.app != nil {
			f.Object, f.Value = "application "+pid, directory.RoleFullAccessAsApp.Value
			f.Cause = fmt.Sprintf("nobody has consented to give the application %s the role %s in its tenant", pid, directory.RoleFullAccessAsApp.Value)
			f.Remedies = []diagnose.Remedy{g.consent(pid, directory.ExchangeAppID, directory.RoleFullAccessAsApp.ID)}
			return f
		}
		f.Cause = fmt.Sprintf("the partner application %s has neither a linked account nor permissions for calendars in the organization at %s", pid, host)
		return there("give it the least that is needed", partners+" -ActAsPermissions 'Calendars.ReadBasic' -AppOnlyPermissions 'Calendars.ReadBasic'")
	case trust.InvalidIssuer:
		f.Kind, f.Object, f.Value = diagnose.IssuerUnknown, "AuthServer for "+issuer, "Enabled: False, or not there"
		f.Cause = fmt.Sprintf("the organization at %s has no enabled AuthServer for the issuer %s", host, issuer)
		own := g.authServer()
		if own != nil && g.target != nil && g.theirServer(issuer) == nil {
			line := "New-AuthServer -Name " + psQuote(own.Name) + " -AuthMetadataUrl " + psQuote(own.AuthMetadataURL)
			if own.Type == directory.AuthServerAzureAD {
				line += " -Type AzureAD"
			}
			return there("make it trust the issuer (article step 1)", line)
		}
		return there("enable it; if there is none, make one with New-AuthServer (article step 1)", servers+" -Enabled $true")
	case trust.InvalidToken:
		f.Kind, f.Object, f.Value = diagnose.NotDelegated, "service principal "+pid, "TrustedForDelegation: False"
		f.Cause = fmt.Sprintf("%s does not take this kind of token", host)
		if !g.trace.Delegation {
			f.Cause = fmt.Sprintf("the authorization server does not let the service principal %s speak for users", pid)
		}
		return f
	}
	f.Kind, f.Hop, f.Cause = diagnose.TokenRefused, diagnose.Acceptance, fmt.Sprintf("%s refused the token: %d %s %s", host, d.ID, d.Category, d.Reason)
	return f
}

// theirServer is the other side's AuthServer for an issuer, where it can be seen.
func (g *diagnosing) theirServer(issuer string) *directory.AuthServer {
	if g.target == nil {
		return nil
	}
	for i := range g.target.AuthServers {
		if s := &g.target.AuthServers[i]; s.IssuerIdentifier == issuer {
			return s
		}
	}
	return nil
}

// unknownUser: whom the token speaks for is nobody there, or several.
func (g *diagnosing) unknownUser(f diagnose.Failure, d acs.Diagnostics, host string) diagnose.Failure {
	f.Object, f.Value = g.asker.Primary.String(), "user principal name "+g.asker.UPN
	address := psQuote(g.asker.Primary.String())
	if !strings.Contains(d.Reason, "ambiguous") {
		f.Kind = diagnose.UserUnknown
		f.Cause = fmt.Sprintf("%s, who asks, is not known in the organization at %s: its directory is not synchronized", g.asker.Primary, host)
		f.Remedies = []diagnose.Remedy{{Where: diagnose.There, Text: "synchronize the entry, or make it",
			Commands: []string{"New-MailUser -Name " + psQuote(g.asker.CommonName()) + " -PrimarySmtpAddress " + address + " -ExternalEmailAddress " + address}}}
		return f
	}
	f.Kind = diagnose.UserAmbiguous
	f.Cause = fmt.Sprintf("several entries of the organization at %s go by the names of who asks: address %s, user principal name %s", host, g.asker.Primary, g.asker.UPN)
	if g.asker.UPN != g.asker.Primary.String() {
		f.Remedies = []diagnose.Remedy{{Where: diagnose.Here, Text: "let the token carry one name only, or take the other one from its entry there",
			Commands: []string{"Set-Mailbox " + address + " -UserPrincipalName " + address}}}
		return f
	}
	f.Remedies = []diagnose.Remedy{{Where: diagnose.There, Text: "see which entries have the name, and take it from all but one",
		Commands: []string{"Get-Recipient | ?{$_.EmailAddresses -match " + psQuote(g.asker.Primary.String()) + "}"}}}
	return f
}

// consent gives an application a role of another one.
func (g *diagnosing) consent(app, of, role string) diagnose.Remedy {
	return diagnose.Remedy{Where: diagnose.Tenant, Text: "consent to it as an administrator", Commands: []string{
		"$application = Get-MsolServicePrincipal -AppPrincipalId " + psQuote(app),
		"$resource = Get-MsolServicePrincipal -AppPrincipalId " + psQuote(of),
		"New-AzureADServiceAppRoleAssignment -ObjectId $application.ObjectId -PrincipalId $application.ObjectId -ResourceId $resource.ObjectId -Id " + role,
	}}
}

// forbidden: the token is good, and the service is not for the application.
func (g *diagnosing) forbidden(f diagnose.Failure, e *exchange) diagnose.Failure {
	pid := g.pid()
	f.Object = "application " + pid
	if g.app != nil && g.app.GraphBaseURL != "" {
		f.Kind, f.Value = diagnose.GraphRoleMissing, "Calendars.ReadBasic.All"
		f.Cause = fmt.Sprintf("the application %s has not the role Calendars.ReadBasic.All of Microsoft Graph in its tenant, or a higher one", pid)
		f.Remedies = []diagnose.Remedy{g.consent(pid, directory.GraphAppID, graphReadBasic)}
		return f
	}
	if g.app == nil {
		return g.sharedBlocked(f, e)
	}
	f.Kind, f.Value = diagnose.EWSBlocked, "Exchange Web Services"
	f.Cause = fmt.Sprintf("%s takes the token, and forbids Exchange Web Services to the application %s", e.url.Host, pid)
	allow := diagnose.Remedy{Where: diagnose.There, Text: "allow them to the application", Commands: []string{"Set-OrganizationConfig -EwsEnabled $true -EwsAllowedAppIDs @{Add=" + psQuote(pid) + "}"}}
	ask := diagnose.Remedy{Where: diagnose.Here, Text: "ask Microsoft Graph instead, as Exchange Online wants it since October 2026"}
	if cloud, ok := cloudOf(g.app.TokenIssuingEndpoint); ok {
		ask.Commands = []string{"Set-AuthServer " + psQuote(g.app.Name) + " -GraphBaseUrl " + psQuote("https://"+cloud.GraphHost)}
	}
	f.Remedies = []diagnose.Remedy{allow}
	if g.target == nil || g.target.AvailabilityConfig.EWS.Enabled == nil { // the cloud's own doing, as far as can be seen
		f.Remedies = []diagnose.Remedy{ask, allow}
	}
	return f
}

// graphReadBasic is the id of Calendars.ReadBasic.All (getSchedule reference 8).
const graphReadBasic = "8ba4a692-bc31-4128-9094-475872af8a53"

// cloudOf is the cloud whose tokens are issued at an address.
func cloudOf(endpoint string) (directory.Cloud, bool) {
	host := hostOf(endpoint)
	for _, c := range directory.Clouds {
		if host == c.ACSHost || slices.Contains(c.LoginHosts, host) {
			return c, true
		}
	}
	return directory.Cloud{}, false
}

// sharedBlocked: the cloud is closed to the principal that every Exchange shares.
func (g *diagnosing) sharedBlocked(f diagnose.Failure, e *exchange) diagnose.Failure {
	f.Kind, f.Value = diagnose.EWSBlockedShared, directory.ExchangeAppID
	f.Cause = fmt.Sprintf("%s takes the token, and forbids Exchange Web Services to %s, the principal that every Exchange shares: Exchange Online does so since October 2025", e.url.Host, g.pid())
	s, c := g.authServer(), g.org.Certificate(g.org.AuthConfig.CurrentCertificateThumbprint)
	var cloud directory.Cloud
	known := false
	if s != nil {
		cloud, known = cloudOf(s.TokenIssuingEndpoint)
	}
	if !known || c == nil {
		f.Remedies = []diagnose.Remedy{{Where: diagnose.Tenant, Text: "make an application of its own with the role full_access_as_app and this organization's certificate, and name it here with Set-AuthServer -ApplicationIdentifier"}}
		return f
	}
	app := g.r.CorrelationID // any new id will do
	application := g.consent(app, directory.ExchangeAppID, directory.RoleFullAccessAsApp.ID)
	application.Text = "make an application of its own, with this organization's certificate and the role full_access_as_app"
	application.Commands = append([]string{"New-MsolServicePrincipal -DisplayName " + psQuote("ExchangeServerApp-"+g.org.Name) + " -AppPrincipalId " + app + " -Type Asymmetric -Usage Verify -Value " + psQuote(base64.StdEncoding.EncodeToString(c.DER))}, application.Commands...)
	here := diagnose.Remedy{Where: diagnose.Here, Text: "ask as it"}
	name := "EvoSTS"
	if entra := g.entraServer(); entra != nil {
		name = entra.Name
	} else {
		here.Commands = []string{"New-AuthServer -Name " + psQuote(name) + " -Type AzureAD -AuthMetadataUrl " + psQuote("https://"+cloud.LoginHosts[0]+"/"+s.Realm+"/federationmetadata/2007-06/federationmetadata.xml")}
	}
	here.Commands = append(here.Commands, "Set-AuthServer "+psQuote(name)+" -ApplicationIdentifier "+app+" -DomainName "+psQuote(g.route.Target.Domain()))
	f.Remedies = []diagnose.Remedy{application, here}
	return f
}

// judgeRemote is for what the other side says of the mailbox.
func (g *diagnosing) judgeRemote(ctx context.Context, me *routing.MailboxError) diagnose.Failure {
	f := diagnose.Failure{Object: g.route.Target.String(), Value: me.Code, Said: me.Code + ": " + me.Text}
	switch me.Code {
	case "ErrorNoFreeBusyAccess", "ErrorAccessDenied":
		return g.noAccess(ctx, f)
	case "ErrorProxyRequestNotAllowed", "ErrorAddressSpaceNotFound":
		if g.route.Kind == routing.AddressSpace {
			return g.noConnectorBehind(ctx, f)
		}
		return g.loop(ctx, f, smtpaddr.Address{})
	case "ErrorMailRecipientNotFound", "ErrorNonExistentMailbox":
		return g.noMailbox(ctx, f)
	case "ErrorResultSetTooBig":
		return g.tooMany(me)
	case "ErrorTimeoutExpired":
		f.Kind, f.Cause = diagnose.TooLate, "the server that was asked ran out of time itself"
	case "ErrorServerBusy":
		f.Kind, f.Cause = diagnose.Busy, "the server that was asked is busy: ask again"
	default:
		f.Kind, f.Cause = diagnose.Unexplained, fmt.Sprintf("the server that was asked answered %s", me.Code)
		if g.route.Kind == routing.AddressSpace {
			f.Cause += ", as a newer server of this organization that asks on"
			f.Remedies = []diagnose.Remedy{{Where: diagnose.Here, Text: fmt.Sprintf("diagnose the question as that server asks it: busybridge diagnose --node %s --from %s --to %s", hostOf(g.route.AddressSpace.ProxyURL), g.q.From, g.q.To)}}
		}
	}
	return f
}

// noConnectorBehind: an address space leads to a server of our own, which has no
// connector to lead the question out.
func (g *diagnosing) noConnectorBehind(ctx context.Context, f diagnose.Failure) diagnose.Failure {
	domain := g.route.Target.Domain()
	f.Kind, f.Object, f.Value = diagnose.NoRoute, g.routeObject(), domain
	f.Cause = fmt.Sprintf("no enabled connector or organization relationship covers %s: the address space %q leads to %s, a server of this organization that has none either", domain, g.route.Name(), g.route.AddressSpace.ProxyURL)
	here := diagnose.Remedy{Where: diagnose.Here, Text: "make a connector for the domain (article steps 6 and 7)", Commands: g.newConnector(ctx)}
	if c := disabledConnector(g.org, domain); c != nil {
		f.Kind, f.Object = diagnose.RouteDisabled, fmt.Sprintf("IntraOrganizationConnector %q", c.Name)
		here = diagnose.Remedy{Where: diagnose.Here, Text: "enable it", Commands: []string{"Set-IntraOrganizationConnector " + psQuote(c.Name) + " -Enabled $true"}}
	}
	f.Remedies = []diagnose.Remedy{here}
	return f
}

// noAccess: which of three things hides the calendar is told to nobody outside.
func (g *diagnosing) noAccess(ctx context.Context, f diagnose.Failure) diagnose.Failure {
	target := g.route.Target
	calendar := diagnose.Remedy{Where: diagnose.There, Text: "let the calendar show when it is busy", Commands: []string{g.showCalendar(target)}}
	relationship := diagnose.Remedy{Where: diagnose.There, Text: "let the organization relationship show it"}
	relationship.Commands = []string{"Get-OrganizationRelationship | ?{$_.DomainNames -contains " + psQuote(g.asker.Primary.Domain()) + "} | Set-OrganizationRelationship -FreeBusyAccessEnabled $true -FreeBusyAccessLevel LimitedDetails"}
	if g.target == nil {
		f.Kind = diagnose.NoAccess
		f.Cause = fmt.Sprintf("the other side shows nothing of %s: the calendar's permission for Default is None, an organization relationship with %s shows nothing, or there is no such mailbox; it tells nobody which", target, g.asker.Primary.Domain())
		f.Remedies = []diagnose.Remedy{calendar, relationship}
		return f
	}
	m := g.mailboxThere(ctx)
	if m == nil {
		return g.noMailbox(ctx, f)
	}
	for i := range g.target.Relationships {
		r := &g.target.Relationships[i]
		if r.Enabled && r.Level() == freebusy.LevelNone && slices.ContainsFunc(r.DomainNames, func(d string) bool { return directory.MatchDomain(d, g.asker.Primary.Domain()) }) {
			f.Kind, f.Object, f.Value = diagnose.RelationshipNone, fmt.Sprintf("OrganizationRelationship %q", r.Name), "FreeBusyAccessLevel None"
			f.Cause = fmt.Sprintf("the organization relationship %q of %s shows nothing to %s", r.Name, g.target.Name, g.asker.Primary.Domain())
			relationship.Commands = []string{"Set-OrganizationRelationship " + psQuote(r.Name) + " -FreeBusyAccessEnabled $true -FreeBusyAccessLevel LimitedDetails"}
			f.Remedies = []diagnose.Remedy{relationship}
			return f
		}
	}
	f.Kind, f.Object, f.Value = diagnose.CalendarNone, m.Primary.String()+`:\Calendar, Default`, "None"
	f.Cause = fmt.Sprintf("the calendar of %s shows nothing to those who are not named in its permissions", m.Primary)
	f.Remedies = []diagnose.Remedy{calendar}
	return f
}

func (g *diagnosing) showCalendar(a smtpaddr.Address) string {
	return "Set-MailboxFolderPermission " + psQuote(a.String()+`:\Calendar`) + " -User Default -AccessRights AvailabilityOnly"
}

func (g *diagnosing) tooMany(me *routing.MailboxError) diagnose.Failure {
	days := g.q.Window.End.Sub(g.q.Window.Start).Hours() / 24
	half := g.q.Window.Start.Add(g.q.Window.End.Sub(g.q.Window.Start) / 2)
	return diagnose.Failure{Kind: diagnose.TooMany, Object: "calendar of " + g.asked.String(), Value: fmt.Sprintf("more than %d entries in %.1f days", freebusy.MaxEvents, days), Said: me.Text,
		Cause:    fmt.Sprintf("the calendar of %s has more than %d entries in the %.1f days that were asked for, and none of them is told", g.asked, freebusy.MaxEvents, days),
		Remedies: []diagnose.Remedy{{Where: diagnose.Here, Text: fmt.Sprintf("ask for fewer days at once, for example until %s; see who fills the calendar", half.UTC().Format(time.RFC3339))}}}
}

// hostOf is the host of an address; "": it is none.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// newConnector is a connector for the domain of the question.
func (g *diagnosing) newConnector(ctx context.Context) []string {
	return g.connectorFor(ctx, g.route.Target.Domain())
}

func (g *diagnosing) connectorFor(ctx context.Context, domain string) []string {
	endpoint := "<Autodiscover of " + domain + ">"
	if found := g.findEndpoint(ctx, domain, ""); found != "" {
		endpoint = psQuote(found)
	}
	return []string{"New-IntraOrganizationConnector -Name " + psQuote("To "+domain) + " -DiscoveryEndpoint " + endpoint + " -TargetAddressDomains " + psQuote(domain)}
}

// otherEndpoint sets the route to an endpoint that answers, if one is found.
func (g *diagnosing) otherEndpoint(ctx context.Context, e *exchange) []diagnose.Remedy {
	var out []diagnose.Remedy
	found := g.findEndpoint(ctx, g.route.Target.Domain(), e.url.Hostname())
	ews := ""
	if u, err := url.Parse(found); err == nil && found != "" {
		ews = "https://" + u.Host + "/ews/exchange.asmx"
	}
	switch {
	case e.stage == stageEndpoint && len(g.points) > 0:
		good := ews
		if good == "" {
			good = "https://" + hostOf(g.points[0]) + "/ews/exchange.asmx"
		}
		out = append(out, diagnose.Remedy{Where: diagnose.There, Text: "name the address that the server has outside", Commands: []string{
			"Get-WebServicesVirtualDirectory | ?{$_.ExternalUrl -eq " + psQuote(e.url.String()) + "} | Set-WebServicesVirtualDirectory -ExternalUrl " + psQuote(good)}})
	case found != "" && g.route.Kind == routing.Connector:
		out = append(out, diagnose.Remedy{Where: diagnose.Here, Text: "ask at the Autodiscover of " + g.route.Target.Domain() + ", which answers", Commands: []string{
			"Set-IntraOrganizationConnector " + psQuote(g.route.Name()) + " -DiscoveryEndpoint " + psQuote(found)}})
	case found != "" && g.route.Kind == routing.Relationship:
		out = append(out, diagnose.Remedy{Where: diagnose.Here, Text: "ask at the Autodiscover of " + g.route.Target.Domain() + ", which answers", Commands: []string{
			"Set-OrganizationRelationship " + psQuote(g.route.Name()) + " -TargetAutodiscoverEpr " + psQuote(found)}})
	}
	return append(out, diagnose.Remedy{Where: diagnose.There, Text: fmt.Sprintf("or mend %s: its service, its name in DNS, the firewall before it, its certificate", e.url.Hostname())})
}
