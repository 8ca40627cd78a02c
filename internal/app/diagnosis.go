package app

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/availability"
	"busybridge/internal/diagnose"
	"busybridge/internal/dial/authorityclient"
	"busybridge/internal/dial/autodiscoverclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/source/peersource"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

const diagnoseOp = exchangecmd.TestFreeBusy

// A Diagnosis is a question to follow.
type Diagnosis struct {
	From, To string          // addresses; required
	Server   string          // name of the node that is asked; "": the first that knows connectors
	Window   freebusy.Window // zero: a day from now
	Timeout  time.Duration   // of the question; 0: the deployment's
	// Others are what else can be looked into: the organization that is asked, and
	// the directory of its tenant. Without them the other side is seen from outside.
	Others []*Deployment
}

// Diagnose asks one real question, by the same engine, sources and tokens as any
// other, with nothing kept from before, and tells every hop of it.
func (d *Deployment) Diagnose(ctx context.Context, actor admin.Actor, org directory.OrgID, q Diagnosis) (*diagnose.Report, error) {
	o, err := d.Admin.ViewOrganization(ctx, actor, diagnoseOp, org)
	if err != nil {
		return nil, err
	}
	g, err := d.diagnosing(o, q)
	if err != nil {
		return nil, err
	}
	defer g.closeIdle()
	answer, err := g.ask(ctx)
	if err != nil {
		return nil, err
	}
	g.r.Took = diagnose.Duration(g.set.Now().Sub(g.now))
	g.look(ctx)
	g.describe(ctx, answer)
	if answer != nil && answer.Err == nil {
		g.r.Healthy = g.r.Failure == nil
		g.r.Pass(diagnose.Asker, diagnose.Recipient, diagnose.Route, diagnose.Metadata, diagnose.Certificate, diagnose.Registration, diagnose.Connection,
			diagnose.Challenge, diagnose.Assertion, diagnose.Token, diagnose.Acceptance, diagnose.Autodiscover, diagnose.Endpoint, diagnose.Permission, diagnose.Answer)
	} else if g.r.Failure == nil {
		g.r.Fail(g.judge(ctx, answer.Err))
	}
	g.set.Log.InfoContext(ctx, "diagnosis", "client_request_id", g.r.CorrelationID, "org", string(org), "from", q.From, "to", q.To, "outcome", g.r.Summary())
	return g.r, nil
}

// TestFreeBusy implements exchangecmd.FreeBusyTester.
func (d *Deployment) TestFreeBusy(ctx context.Context, actor admin.Actor, org directory.OrgID, t exchangecmd.FreeBusyTest) (*diagnose.Report, error) {
	return d.Diagnose(ctx, actor, org, Diagnosis{From: t.From, To: t.To, Server: t.Server, Window: t.Window, Timeout: t.Timeout})
}

// A diagnosing is one diagnosis on its way.
type diagnosing struct {
	*Deployment
	q      Diagnosis
	org    *directory.Organization
	server *directory.Server
	now    time.Time
	r      *diagnose.Report

	transport *http.Transport
	wire      *wire
	metadata  *authorityclient.Client
	engine    *availability.Engine

	asker  *directory.Recipient
	asked  smtpaddr.Address
	found  *directory.Recipient // nil: not in the directory
	route  *routing.Route       // that the question left by; nil: it did not
	app    *directory.AuthServer
	trace  trust.Trace // of the host that is asked now
	before trust.Trace // of Autodiscover's, when the endpoint is asked
	said   []*autodiscoverclient.User
	target *directory.Organization // of Others: the one that is asked; nil: not seen
	there  *Deployment             // whose it is
	copied *directory.ServicePrincipal
	realm  *directory.Realm // of Others: the tenant's; nil: not seen
	urls   []string         // of calendars that were asked
	points []string         // of Autodiscover
}

func (d *Deployment) diagnosing(org *directory.Organization, q Diagnosis) (*diagnosing, error) {
	now := d.set.Now()
	g := &diagnosing{Deployment: d, q: q, org: org, now: now, r: diagnose.New(q.From, q.To, now)}
	if g.q.Window == (freebusy.Window{}) {
		start := now.UTC().Truncate(time.Hour)
		g.q.Window = freebusy.Window{Start: start, End: start.Add(24 * time.Hour)}
	}
	g.r.Organization, g.r.Start, g.r.End, g.r.CorrelationID = org.Name, g.q.Window.Start, g.q.Window.End, uuid.NewString()
	if err := g.chooseServer(); err != nil {
		return nil, err
	}
	var err error
	if g.transport, err = safehttp.Transport(d.set.Dial); err != nil {
		return nil, err
	}
	g.wire = &wire{base: g.transport, now: d.set.Now}
	if g.metadata, err = authorityclient.New(authorityclient.Config{HTTP: safehttp.Client(fixedStage{g.wire, stageMetadata}, d.set.Dial), MetadataTimeout: metadataWait}); err != nil {
		return nil, err
	}
	authority, err := authorityclient.New(authorityclient.Config{HTTP: safehttp.Client(fixedStage{g.wire, stageAuthority}, d.set.Dial)})
	if err != nil {
		return nil, err
	}
	tokens, err := trust.NewTokens(trust.TokensConfig{Endpoint: authority, Now: d.set.Now, Log: d.set.Log})
	if err != nil {
		return nil, err
	}
	g.trace = g.newTrace()
	peers, err := peersource.New(peersource.Config{
		Client: func(org *directory.Organization, by routing.Requester, app *directory.AuthServer) *http.Client {
			g.app = app
			return safehttp.Client(&trust.Transport{Base: g.wire, Tokens: tokens, Org: org, As: userOf(by), Application: app, Trace: &g.trace}, d.set.Dial)
		},
		Service: d.serviceClientOver(g.wire), Now: d.set.Now, Log: d.set.Log, MaxBody: d.set.PeerBody,
		Trace: &peersource.Trace{Discover: g.discover, Discovered: func(_ string, u *autodiscoverclient.User) { g.said = append(g.said, u) }, Ask: g.askAt},
	})
	if err != nil {
		return nil, err
	}
	timeout, peerTimeout := d.set.Timeout, d.set.PeerTimeout
	if q.Timeout > 0 {
		timeout, peerTimeout = q.Timeout, q.Timeout*4/5
	}
	g.engine, err = availability.New(availability.Config{
		Recipients: watchedRecipients{g}, Calendars: d.calendars, Peers: watchedPeers{g, peers}, Log: d.set.Log, Timeout: timeout, PeerTimeout: peerTimeout,
	})
	return g, err
}

// metadataWait is how long a document is waited for: no question does.
const metadataWait = 5 * time.Second

func (g *diagnosing) closeIdle() { g.transport.CloseIdleConnections() }

func (g *diagnosing) newTrace() trust.Trace {
	return trust.Trace{Line: func(text string) { g.r.Log = append(g.r.Log, text) }, RequestID: g.r.CorrelationID, OrganizationID: g.org.Tenant}
}

// chooseServer finds the node that is asked.
func (g *diagnosing) chooseServer() error {
	for i := range g.org.Servers {
		s := &g.org.Servers[i]
		switch {
		case g.q.Server == "" && !s.AdminDisplayVersion.Less(directory.OAuthVersion),
			g.q.Server != "" && (strings.EqualFold(s.Name, g.q.Server) || slices.Contains(s.HostNames, strings.ToLower(g.q.Server))):
			g.server = s
			g.r.Server = s.Name
			return nil
		}
	}
	if g.q.Server != "" {
		return fmt.Errorf("server %q: %w", g.q.Server, directory.ErrNotFound)
	}
	return nil // a nil server is one that knows every kind of route
}

func (g *diagnosing) discover(endpoint string) {
	g.wire.to(stageDiscovery)
	g.points = append(g.points, endpoint)
}

func (g *diagnosing) askAt(url string) {
	g.wire.to(stageEndpoint)
	g.urls = append(g.urls, url)
	if len(g.points) > 0 && len(g.urls) == 1 {
		g.before, g.trace = g.trace, g.newTrace()
	}
}

// watchedRecipients note the entry of the address that is asked for.
type watchedRecipients struct{ g *diagnosing }

func (w watchedRecipients) Recipient(ctx context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error) {
	r, err := w.g.Store.Recipient(ctx, org, a)
	if err == nil && a == w.g.asked {
		w.g.found = r
	}
	return r, err
}

// watchedPeers note the route that the question leaves by.
type watchedPeers struct {
	g *diagnosing
	availability.Peers
}

func (w watchedPeers) Ask(ctx context.Context, org *directory.Organization, r routing.Route, q routing.Query) ([]routing.Reply, error) {
	w.g.route = &r
	return w.Peers.Ask(ctx, org, r, q)
}

// ask asks. A nil answer means that there was nobody to ask for, and the report has the failure.
func (g *diagnosing) ask(ctx context.Context) (*availability.Answer, error) {
	from, err := smtpaddr.Parse(g.q.From)
	if err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if g.asked, err = smtpaddr.Parse(g.q.To); err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	g.asker, err = g.Store.Recipient(ctx, g.org.ID, from)
	switch {
	case errors.Is(err, directory.ErrNotFound), err == nil && !g.asker.IsMailbox():
		g.r.Fail(g.unknownAsker(err))
		return nil, nil
	case err != nil:
		return nil, err
	}
	answers, err := g.engine.Ask(ctx, &availability.Question{
		Org: g.org, Server: g.server, Caller: availability.Caller{Recipient: g.asker}, Attendees: []availability.Attendee{{Raw: g.q.To, Address: g.asked}},
		Window: g.q.Window, View: freebusy.ViewFreeBusyMerged, RequestID: g.r.CorrelationID,
	})
	g.engine.Wait() // what it was still waiting for is told, too
	if err != nil {
		return nil, err
	}
	return &answers[0], nil
}

// look finds what can be seen of the other side.
func (g *diagnosing) look(ctx context.Context) {
	if g.route == nil {
		return
	}
	var hosts []string
	for _, e := range slices.Concat(g.wire.exchanges(stageDiscovery), g.wire.exchanges(stageEndpoint)) {
		hosts = append(hosts, e.url.Hostname())
	}
	for _, o := range g.q.Others {
		orgs, err := o.Store.Organizations(ctx)
		if err != nil {
			g.r.Warn(diagnose.Answer, "an organization cannot be looked into: %v", err)
			continue
		}
		for _, org := range orgs {
			if o == g.Deployment && org.ID == g.org.ID {
				continue
			}
			serves := org.Accepts(g.route.Target.Domain())
			for i := range org.Servers {
				serves = serves || slices.ContainsFunc(hosts, func(h string) bool { return slices.Contains(org.Servers[i].HostNames, h) })
			}
			if serves && g.target == nil {
				g.target, g.there = org, o
			}
		}
		if s := g.authServer(); g.realm == nil && s != nil {
			if r, err := o.Store.Realm(ctx, cmp.Or(s.Realm, g.org.Tenant)); err == nil {
				g.realm = r
			}
		}
	}
	if g.realm != nil {
		for i := range g.realm.Principals {
			if p := &g.realm.Principals[i]; p.AppPrincipalID == g.pid() {
				g.copied = p
			}
		}
	}
}

// authServer is the authorization server that issues tokens for the question;
// before one was chosen, the first that could be; nil: none.
func (g *diagnosing) authServer() *directory.AuthServer {
	if g.app != nil {
		return g.app
	}
	var first *directory.AuthServer
	for i := range g.org.AuthServers {
		s := &g.org.AuthServers[i]
		if name := cmp.Or(g.trace.AuthServer, g.before.AuthServer); name != "" && s.Name == name {
			return s
		}
		if first == nil && s.Type != directory.AuthServerAzureAD {
			first = s
		}
	}
	return first
}

// pid is the application that the organization asks as.
func (g *diagnosing) pid() string {
	if g.app != nil {
		return g.app.ApplicationIdentifier
	}
	return cmp.Or(g.org.AuthConfig.ServiceName, directory.ExchangeAppID)
}

// first is the trace of the host that was asked first.
func (g *diagnosing) first() *trust.Trace {
	if len(g.points) > 0 && len(g.urls) > 0 {
		return &g.before
	}
	return &g.trace
}

// describe enters what was seen at each hop.
func (g *diagnosing) describe(ctx context.Context, answer *availability.Answer) {
	r := g.r
	if g.asker != nil {
		r.Factf(diagnose.Asker, "mailbox", "%s (%s)", g.asker.Primary, g.asker.Type)
		r.Fact(diagnose.Asker, "user principal name", g.asker.UPN)
	}
	if g.server != nil {
		r.Factf(diagnose.Asker, "server", "%s, %s", g.server.Name, g.server.AdminDisplayVersion)
	}
	if g.found != nil {
		r.Factf(diagnose.Recipient, "entry", "%s (%s)", g.found.CommonName(), g.found.Type)
		if !g.found.ExternalAddress.IsZero() {
			r.Fact(diagnose.Recipient, "target address", g.found.ExternalAddress.String())
		}
	}
	if answer == nil {
		return
	}
	if g.route == nil {
		if g.found != nil && g.found.IsMailbox() {
			r.Fact(diagnose.Route, "route", "local: the calendar is kept here")
			r.Skip(diagnose.Metadata, diagnose.Certificate, diagnose.Registration, diagnose.Connection, diagnose.Challenge, diagnose.Assertion,
				diagnose.Token, diagnose.Acceptance, diagnose.Autodiscover, diagnose.Endpoint)
		}
		g.describeAnswer(ctx, answer)
		return
	}
	g.describeRoute()
	if g.route.Kind == routing.AddressSpace {
		r.Skip(diagnose.Metadata, diagnose.Certificate, diagnose.Registration, diagnose.Challenge, diagnose.Assertion, diagnose.Token, diagnose.Acceptance, diagnose.Autodiscover)
	} else {
		g.describeTrust(ctx)
		g.describeDiscovery()
	}
	if list := slices.Concat(g.wire.exchanges(stageDiscovery), g.wire.exchanges(stageEndpoint)); len(list) > 0 {
		g.describeConnection(diagnose.Connection, list[0])
	}
	g.describeEndpoint()
	g.describeAnswer(ctx, answer)
}

func (g *diagnosing) describeRoute() {
	rt := g.route
	g.r.Factf(diagnose.Route, "route", "%s %q, by %s", rt.Kind, rt.Name(), rt.Match)
	g.r.Fact(diagnose.Route, "asks for", rt.Target.String())
	switch rt.Kind {
	case routing.Connector:
		g.r.Fact(diagnose.Route, "DiscoveryEndpoint", rt.Connector.DiscoveryEndpoint)
		g.r.Fact(diagnose.Route, "TargetSharingEpr", rt.Connector.TargetSharingEpr)
	case routing.Relationship:
		g.r.Fact(diagnose.Route, "TargetAutodiscoverEpr", rt.Relationship.TargetAutodiscoverEpr)
		g.r.Fact(diagnose.Route, "TargetSharingEpr", rt.Relationship.TargetSharingEpr)
	case routing.AddressSpace:
		g.r.Fact(diagnose.Route, "ProxyUrl", rt.AddressSpace.ProxyURL)
	}
	if g.app != nil {
		g.r.Factf(diagnose.Route, "asks as", "application %s of the AuthServer %q", g.app.ApplicationIdentifier, g.app.Name)
		g.r.Fact(diagnose.Route, "Graph", g.app.GraphBaseURL)
	}
}

// describeTrust tells of hops 4 to 11.
func (g *diagnosing) describeTrust(ctx context.Context) {
	r, t := g.r, g.first()
	g.readMetadata(ctx)
	if c := g.org.Certificate(g.org.AuthConfig.CurrentCertificateThumbprint); c != nil {
		r.Fact(diagnose.Certificate, "thumbprint", c.Thumbprint)
		if x, err := x509.ParseCertificate(c.DER); err == nil {
			r.Factf(diagnose.Certificate, "valid", "%s to %s", stamp(x.NotBefore), stamp(x.NotAfter))
			if left := x.NotAfter.Sub(g.now); left > 0 && left < certificateWarning {
				r.Warn(diagnose.Certificate, "The certificate %s expires at %s. Make the next one with New-ExchangeCertificate, upload it, and name it with Set-AuthConfig -NewCertificateThumbprint.", c.Thumbprint, stamp(x.NotAfter))
			}
		}
	}
	g.describeRegistration()
	if ch := t.Challenge; ch != nil {
		r.Fact(diagnose.Challenge, "client_id", ch.ClientID)
		r.Fact(diagnose.Challenge, "realm", ch.Realm)
		r.Fact(diagnose.Challenge, "trusted_issuers", ch.Issuers)
		r.Fact(diagnose.Challenge, "authorization_uri", ch.AuthorizationURI)
	}
	asked := slices.Concat(g.wire.exchanges(stageDiscovery), g.wire.exchanges(stageEndpoint))
	issued := g.wire.exchanges(stageAuthority)
	if len(asked) > 0 {
		r.Step(diagnose.Challenge).Took = diagnose.Duration(asked[0].waited())
		if len(issued) > 0 {
			r.Step(diagnose.Assertion).Took = diagnose.Duration(issued[0].began.Sub(asked[0].began.Add(asked[0].took)))
		}
	}
	r.Fact(diagnose.Assertion, "AuthServer", t.AuthServer)
	r.Fact(diagnose.Assertion, "resource", t.Resource)
	if t.Direct {
		r.Fact(diagnose.Assertion, "direct trust", "this organization issues the token itself")
		r.Skip(diagnose.Token)
	} else if len(issued) > 0 {
		r.Step(diagnose.Token).Took = diagnose.Duration(issued[0].took)
		r.Fact(diagnose.Token, "endpoint", t.Endpoint)
		issued[0].seen(func(name, value string) { r.Fact(diagnose.Token, name, value) })
	}
	if t.Sent {
		r.Fact(diagnose.Token, "issuer", t.Issuer)
		r.Fact(diagnose.Token, "valid until", stamp(t.Expires))
	}
	for _, e := range asked {
		if e.bearer && e.header != nil {
			r.Step(diagnose.Acceptance).Took = diagnose.Duration(e.took)
			r.Factf(diagnose.Acceptance, "status", "%d %s from %s", e.status, http.StatusText(e.status), e.url.Host)
			r.Fact(diagnose.Acceptance, "x-ms-diagnostics", e.header.Get(acs.DiagnosticsHeader))
			break
		}
	}
}

// readMetadata reads the documents of the authorization servers as a refresh does,
// and compares them with what is kept.
func (g *diagnosing) readMetadata(ctx context.Context) {
	const limit = 4
	n := 0
	for i := range g.org.AuthServers {
		s := &g.org.AuthServers[i]
		if !s.Enabled || s.AuthMetadataURL == "" || n == limit {
			continue
		}
		n++
		g.r.Factf(diagnose.Metadata, s.Name, "%d keys, read %s", len(s.CertificateStrings), stamp(s.RefreshedAt))
		read, err := trust.ReadAuthServer(ctx, g.metadata, *s, g.now)
		refresh := "Set-AuthServer " + psQuote(s.Name) + " -RefreshAuthMetadata"
		switch {
		case err != nil:
			g.r.Warn(diagnose.Metadata, "The metadata of the authorization server %q cannot be read, and the old keys stay: %v", s.Name, err)
		case read.TokenIssuingEndpoint != s.TokenIssuingEndpoint || read.IssuerIdentifier != s.IssuerIdentifier || s.Realm != "" && read.Realm != s.Realm:
			g.r.Warn(diagnose.Metadata, "The metadata of the authorization server %q names another issuer, tenant or token endpoint than what was read at %s. Run: %s", s.Name, stamp(s.RefreshedAt), refresh)
		case !sameSet(read.CertificateStrings, s.CertificateStrings):
			g.r.Warn(diagnose.Metadata, "The metadata of the authorization server %q holds other keys than what was read at %s. Run: %s", s.Name, stamp(s.RefreshedAt), refresh)
		}
	}
	for _, e := range g.wire.exchanges(stageMetadata) {
		g.r.Step(diagnose.Metadata).Took += diagnose.Duration(e.took)
	}
}

func sameSet(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

func (g *diagnosing) describeRegistration() {
	switch s := g.authServer(); {
	case g.first().Direct:
		g.r.Fact(diagnose.Registration, "seen", "the partner's verdict on the token tells")
	case s == nil:
	case g.copied != nil:
		g.r.Factf(diagnose.Registration, "service principal", "%s in the tenant %s", g.copied.AppPrincipalID, g.realm.ID)
		for _, k := range g.copied.KeyCredentials {
			g.r.Factf(diagnose.Registration, "key credential", "%s until %s", directory.Thumbprint(k.Value), stamp(k.EndDate))
		}
	default:
		g.r.Factf(diagnose.Registration, "service principal", "%s at the AuthServer %q", g.pid(), s.Name)
		g.r.Fact(diagnose.Registration, "seen", "the token endpoint's verdict on the assertion tells")
	}
}

func (g *diagnosing) describeDiscovery() {
	list := g.wire.exchanges(stageDiscovery)
	if len(list) == 0 {
		if len(g.wire.exchanges(stageEndpoint)) > 0 {
			g.r.Skip(diagnose.Autodiscover)
		}
		return
	}
	step := g.r.Step(diagnose.Autodiscover)
	for _, e := range list {
		if e.bearer || e.status/100 == 3 {
			step.Took += diagnose.Duration(e.waited())
		}
		if e.status/100 == 3 {
			g.r.Factf(diagnose.Autodiscover, "redirect", "%s sends to %s", e.url.Redacted(), e.header.Get("Location"))
		}
	}
	for i, p := range g.points {
		g.r.Fact(diagnose.Autodiscover, "asked", p)
		if i >= len(g.said) {
			break
		}
		switch u := g.said[i]; {
		case u.RedirectURL != "":
			g.r.Factf(diagnose.Autodiscover, "redirect", "to %s", u.RedirectURL)
		case !u.RedirectAddress.IsZero():
			g.r.Factf(diagnose.Autodiscover, "redirect", "to the address %s", u.RedirectAddress)
		case u.EWSURL != "":
			g.r.Fact(diagnose.Autodiscover, "ExternalEwsUrl", u.EWSURL)
			g.r.Fact(diagnose.Autodiscover, "ExternalEwsVersion", u.EWSVersion)
		}
	}
}

func (g *diagnosing) describeConnection(h diagnose.Hop, e *exchange) {
	g.r.Step(h).Took = diagnose.Duration(e.dns + e.connect + e.shake)
	e.seen(func(name, value string) { g.r.Fact(h, name, value) })
}

func (g *diagnosing) describeEndpoint() {
	list := g.wire.exchanges(stageEndpoint)
	if len(list) == 0 {
		return
	}
	g.r.Fact(diagnose.Endpoint, "url", list[0].url.Redacted())
	if len(g.points) > 0 {
		g.describeConnection(diagnose.Endpoint, list[0])
		if !list[0].bearer { // a challenge and a token of its own
			for _, e := range g.wire.exchanges(stageAuthority)[min(1, len(g.wire.exchanges(stageAuthority))):] {
				g.r.Factf(diagnose.Endpoint, "token for it", "%s, %s", e.url.Host, ms(e.took))
			}
		}
	}
	last := list[len(list)-1]
	for _, name := range []string{"X-FEServer", "X-BEServer", "Request-Id", "X-CalculatedBETarget"} {
		g.r.Fact(diagnose.Endpoint, strings.ToLower(name), last.header.Get(name))
	}
}

func (g *diagnosing) describeAnswer(ctx context.Context, a *availability.Answer) {
	if list := g.wire.exchanges(stageEndpoint); len(list) > 0 {
		g.r.Step(diagnose.Answer).Took = diagnose.Duration(list[len(list)-1].waited())
	}
	if m := g.mailboxThere(ctx); m != nil {
		g.r.Fact(diagnose.Permission, "Default sees there", availability.NewViewer(g.target, availability.Caller{}).Level(m).String())
	}
	if a.Err != nil {
		return
	}
	g.r.Fact(diagnose.Permission, "view", a.View.String())
	if a.View&freebusy.ViewEvents != 0 {
		g.r.Factf(diagnose.Answer, "entries", "%d", len(a.Events))
	}
	g.r.Factf(diagnose.Answer, "slots", "%d", len(a.Merged))
}

// mailboxThere is the mailbox that the question is about, where the other side can
// be looked into; nil: it cannot, or it has none.
func (g *diagnosing) mailboxThere(ctx context.Context) *directory.Recipient {
	if g.target == nil || g.route == nil {
		return nil
	}
	r, err := g.there.Store.Recipient(ctx, g.target.ID, g.route.Target)
	if err != nil || !r.IsMailbox() {
		return nil
	}
	return r
}
