package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/app"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// The names of the world of these tests.
const (
	contoso     = "contoso.com"
	initial     = "contoso.partner.onmschina.cn"
	coexistence = "contoso.partner.mail.onmschina.cn"
	mailHost    = "mail.contoso.com"
	otherHost   = "mail.contoso.net" // of the same server, in no certificate and no SPN
	alice       = "alice@contoso.com"
	kim         = "kim@contoso.com"
)

var (
	vianet   = directory.Clouds["21vianet"]
	operator = admin.Actor{Name: "operator", System: true}
)

// A side is one deployment with its organization.
type side struct {
	*app.Deployment
	org   directory.OrgID
	ahead atomic.Int64 // nanoseconds that its clock is ahead
	// instead answers all requests when it is not nil.
	instead atomic.Pointer[http.HandlerFunc]
}

func (s *side) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// A hybrid is two organizations and an authorization server, joined.
type hybrid struct {
	t                         *testing.T
	authority, onprem, online *side
	realm                     string
	connectTo                 map[string]string
}

// newHybrid opens three deployments with listeners of their own and joins them
// by the article's steps.
func newHybrid(t *testing.T) *hybrid {
	t.Helper()
	h := &hybrid{t: t, authority: new(side), onprem: new(side), online: new(side), connectTo: map[string]string{}}
	hosts := map[*side][]string{
		h.authority: append([]string{vianet.ACSHost}, vianet.LoginHosts...), h.online: {vianet.EWSHost}, h.onprem: {mailHost, otherHost},
	}
	var named []string
	listeners := map[*side]net.Listener{}
	for s, names := range hosts {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		h.must(err)
		listeners[s] = ln
		for _, n := range names {
			h.connectTo[n+":443"] = ln.Addr().String()
			if n != otherHost {
				named = append(named, n)
			}
		}
	}
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	h.connectTo["gone.contoso.com:443"] = gone.Addr().String()
	h.must(gone.Close())
	pool, pair := h.certificate(named)
	quiet := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	for s, ln := range listeners {
		role := app.RoleOrganization
		if s == h.authority {
			role = app.RoleAuthority
		}
		s.Deployment, err = app.Open(t.Context(), app.Settings{
			StorePath: filepath.Join(t.TempDir(), "a.db"), SealKey: make([]byte, 32), Roles: []string{role}, Now: s.now, Log: quiet,
			Dial: safehttp.Config{Roots: pool, ConnectTo: h.connectTo},
		})
		h.must(err)
		srv := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if other := s.instead.Load(); other != nil {
				(*other)(w, r)
				return
			}
			s.Handler().ServeHTTP(w, r)
		})}
		done := make(chan error, 1)
		go func() { done <- srv.Serve(tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}})) }()
		t.Cleanup(func() {
			srv.Close()
			<-done
			s.Close()
		})
	}
	h.populate()
	return h
}

func (h *hybrid) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *hybrid) certificate(names []string) (*x509.CertPool, tls.Certificate) {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	h.must(err)
	cert, err := x509.ParseCertificate(der)
	h.must(err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// populate makes the objects, and does the steps of the article.
func (h *hybrid) populate() {
	h.t.Helper()
	ctx := h.t.Context()
	cert, err := trust.NewSigningCertificate("CN="+vianet.ACSHost, time.Now().Add(-time.Minute), time.Now().AddDate(1, 0, 0))
	h.must(err)
	_, err = h.authority.Admin.SetAuthorityConfig(ctx, operator, &directory.AuthorityConfig{Cloud: vianet, Certificates: []directory.Certificate{cert}, TokenLifetime: time.Hour})
	h.must(err)
	realm, err := h.authority.Admin.NewRealm(ctx, operator, admin.RealmParams{Name: "contoso", InitialDomain: initial})
	h.must(err)
	h.realm = realm.Object.ID
	for _, d := range []string{contoso, coexistence} {
		_, err = h.authority.Admin.AddVerifiedDomain(ctx, operator, initial, d)
		h.must(err)
	}
	for _, s := range []struct {
		*side
		params             admin.OrganizationParams
		hosts              []string
		mailbox, user, far string
		server, metadata   string
		domain             string // of the connector's targets
	}{
		{h.onprem, admin.OrganizationParams{Name: "Contoso", Domain: contoso}, []string{mailHost, otherHost}, alice, kim, "kim@" + coexistence, "MicrosoftAzureACS", contoso, coexistence},
		{h.online, admin.OrganizationParams{Name: "contoso", Domain: contoso, MoreDomains: []string{initial, coexistence}, Tenant: h.realm}, []string{vianet.EWSHost}, kim, alice, alice, "ACS", h.realm, contoso},
	} {
		org, err := s.Admin.NewOrganization(ctx, operator, s.params)
		h.must(err)
		s.org = org.Object.ID
		url := "https://" + s.hosts[0] + "/ews/exchange.asmx"
		_, err = s.Admin.NewServer(ctx, operator, s.org, directory.Server{Common: directory.Common{Name: "SERVER"}, HostNames: s.hosts,
			AdminDisplayVersion: directory.OAuthVersion, InternalURL: url, ExternalURL: url, OAuthAuthentication: true, BasicAuthentication: true})
		h.must(err)
		_, err = s.Admin.NewMailbox(ctx, operator, s.org, admin.MailboxParams{Name: s.mailbox[:strings.IndexByte(s.mailbox, '@')], Primary: s.mailbox, Type: directory.SharedMailbox, TimeZone: "UTC"})
		h.must(err)
		_, err = s.Admin.NewMailUser(ctx, operator, s.org, admin.MailUserParams{Name: s.user[:strings.IndexByte(s.user, '@')], Primary: s.user, ExternalAddress: s.far})
		h.must(err)
		_, err = s.Admin.NewAuthServer(ctx, operator, s.org, directory.AuthServer{Common: directory.Common{Name: s.server}, Enabled: true,
			AuthMetadataURL: "https://" + vianet.ACSHost + "/" + s.metadata + "/metadata/json/1"})
		h.must(err)
		_, err = s.Admin.SetPartnerApplication(ctx, operator, s.org, "Exchange Online", false, func(p *directory.PartnerApplication) error { p.Enabled = true; return nil })
		h.must(err)
		h.upload(s.side)
		_, err = s.Admin.NewIntraOrganizationConnector(ctx, operator, s.org, directory.IntraOrganizationConnector{
			Common: directory.Common{Name: "Hybrid"}, TargetAddressDomains: []string{s.domain}, Enabled: true, DiscoveryEndpoint: "https://" + mailHost + "/autodiscover/autodiscover.svc"})
		h.must(err)
	}
	h.setNames(directory.ExchangeAppID+"/"+vianet.EWSHost, directory.ExchangeAppID+"/*."+contoso)
}

func (s *side) organization(t *testing.T) *directory.Organization {
	t.Helper()
	o, err := s.Store.Organization(t.Context(), s.org)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// upload makes the current certificate of a side a key credential, and returns its id.
func (h *hybrid) upload(s *side) string {
	h.t.Helper()
	o := s.organization(h.t)
	res, err := h.authority.Admin.NewServicePrincipalCredential(h.t.Context(), operator, h.realm, directory.ExchangeAppID,
		admin.CredentialParams{Value: o.Certificate(o.AuthConfig.CurrentCertificateThumbprint).DER})
	h.must(err)
	return res.Object.KeyID
}

func (h *hybrid) setNames(names ...string) {
	h.t.Helper()
	_, err := h.authority.Admin.SetServicePrincipal(h.t.Context(), operator, h.realm, directory.ExchangeAppID, admin.ServicePrincipalChange{ServicePrincipalNames: &names})
	h.must(err)
}

// principal changes the Exchange service principal in the store, past the checks of operations.
func (h *hybrid) principal(change func(*directory.ServicePrincipal)) {
	h.t.Helper()
	_, err := h.authority.Store.UpdateRealm(h.t.Context(), h.realm, func(r *directory.Realm) error {
		i := slices.IndexFunc(r.Principals, func(p directory.ServicePrincipal) bool { return p.AppPrincipalID == directory.ExchangeAppID })
		change(&r.Principals[i])
		return nil
	})
	h.must(err)
}

// changeOrg changes an organization in the store.
func (h *hybrid) changeOrg(s *side, change func(*directory.Organization)) {
	h.t.Helper()
	_, err := s.Store.UpdateOrganization(h.t.Context(), s.org, func(o *directory.Organization) error { change(o); return nil })
	h.must(err)
}

func (h *hybrid) test(s *side, t exchangecmd.OAuthTest) exchangecmd.OAuthReport {
	h.t.Helper()
	rep, err := s.TestOAuth(h.t.Context(), operator, s.organization(h.t), t)
	h.must(err)
	return rep
}

func (h *hybrid) mailbox(s *side, name string) *directory.Recipient {
	h.t.Helper()
	r, err := s.Admin.FindRecipient(h.t.Context(), operator, "Get-Mailbox", s.org, name)
	h.must(err)
	return r
}

// lacks reports the first of texts that s does not hold, in their order.
func lacks(s string, texts ...string) string {
	for _, text := range texts {
		_, after, ok := strings.Cut(s, text)
		if !ok {
			return text
		}
		s = after
	}
	return ""
}

const sameTarget = "https://partner.outlook.cn/ews/exchange.asmx"

// The article's verification, both directions, and the other services.
func TestOAuthConnectivity(t *testing.T) {
	h := newHybrid(t)
	as := h.mailbox(h.onprem, alice)
	for _, tt := range []struct {
		name   string
		from   *side
		test   exchangecmd.OAuthTest
		detail []string // in this order
		lacks  []string
	}{
		{"from on premises", h.onprem, exchangecmd.OAuthTest{Service: "EWS", TargetURI: sameTarget, Mailbox: as}, []string{
			"The configuration was last successfully loaded at ", " minutes ago.\n",
			"The token cache is being cleared because \"use cached token\" was set to false.\nExchange Outbound Oauth Log:\nClient request ID: ",
			"Information:[OAuthCredentials:Authenticate] entering\nInformation:[OAuthCredentials:Authenticate] challenge from 'https://partner.outlook.cn/ews/exchange.asmx' received: Bearer client_id=\"" + directory.ExchangeAppID + "\", trusted_issuers=\"" + vianet.ACSPrincipalID + "@" + h.realm + "\"",
			"trusted_issuer includes the auth server 'MicrosoftAzureACS'", "with token: <redacted>\n", `send request to 'https://partner.outlook.cn/ews/exchange.asmx' with the bearer token: '{"typ":"JWT","alg":"none"}.`,
			"\n\nExchange Response Details:\nHTTP response message: OK\nException:\nErrorNonExistentMailbox: The SMTP address has no mailbox associated with it.\nThe token was accepted. This error of the service can be ignored",
		}, []string{"Cause:", "eyJ0eXAi"}},
		{"from the cloud", h.online, exchangecmd.OAuthTest{Service: "EWS", TargetURI: "https://mail.contoso.com/ews/exchange.asmx", Mailbox: h.mailbox(h.online, kim)},
			[]string{"organizationId '" + h.realm + "'", "userDomain 'contoso.com'", "HTTP response message: OK"}, []string{"updating the tenant id", "Cause:"}},
		{"by the authority of the host", h.online, exchangecmd.OAuthTest{Service: "EWS", TargetURI: "https://mail.contoso.com", Mailbox: h.mailbox(h.online, kim)},
			[]string{"challenge from 'https://mail.contoso.com/ews/exchange.asmx'", "OK"}, nil},
		{"by its metadata", h.online, exchangecmd.OAuthTest{Service: "EWS", TargetURI: "https://mail.contoso.com/metadata/json/1", Mailbox: h.mailbox(h.online, kim)},
			[]string{"challenge from 'https://mail.contoso.com/ews/exchange.asmx'", "OK"}, nil},
		{"without mailbox", h.onprem, exchangecmd.OAuthTest{Service: "EWS", TargetURI: sameTarget}, []string{
			`with the bearer token: '{"typ":"JWT","alg":"RS256"`, "HTTP response message: OK", "This error of the service can be ignored as long as ResultType is Success: the token speaks for no user",
		}, []string{"; actor:"}},
		{"for no user", h.onprem, exchangecmd.OAuthTest{Service: "EWS", TargetURI: sameTarget, Mailbox: as, AppOnly: true}, []string{"HTTP response message: OK"}, []string{"; actor:"}},
		{"Autodiscover", h.onprem, exchangecmd.OAuthTest{Service: "AutoD", TargetURI: "https://partner.outlook.cn/autodiscover/autodiscover.svc", Mailbox: as}, []string{"HTTP response message: OK"}, []string{"Exception"}},
		{"Autodiscover for no user", h.onprem, exchangecmd.OAuthTest{Service: "AutoD", TargetURI: "https://partner.outlook.cn"}, []string{"partner.outlook.cn/autodiscover/autodiscover.svc", "HTTP response message: OK"}, nil},
		{"what is kept", h.onprem, exchangecmd.OAuthTest{Service: "EWS", TargetURI: sameTarget, Mailbox: as, UseCachedToken: true}, []string{"HTTP response message: OK"},
			[]string{"challenge from", "Sending token request", "cache is being cleared"}},
		{"reloaded", h.onprem, exchangecmd.OAuthTest{Service: "EWS", TargetURI: sameTarget, Mailbox: as, ReloadConfig: true},
			[]string{"The configuration is being reloaded", "This was 0 minutes ago.", "HTTP response message: OK"}, []string{"Warning:"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log []string
			tt.test.Log = func(l string) { log = append(log, l) }
			h := *h
			h.t = t
			rep := h.test(tt.from, tt.test)
			if !rep.Success || rep.Cause != "" {
				t.Errorf("%+v", rep)
			}
			if text := lacks(rep.Detail, tt.detail...); text != "" {
				t.Errorf("detail lacks %q:\n%s", text, rep.Detail)
			}
			for _, text := range tt.lacks {
				if strings.Contains(rep.Detail, text) {
					t.Errorf("detail holds %q:\n%s", text, rep.Detail)
				}
			}
			if got := strings.Join(log, "\n"); got != rep.Detail {
				t.Errorf("the log is not the detail:\n%s\n\n%s", got, rep.Detail)
			}
			if len(rep.Warnings) != 0 {
				t.Errorf("warnings %q", rep.Warnings)
			}
		})
	}

	t.Run("anything at all", func(t *testing.T) {
		h := *h
		h.t = t
		rep := h.test(h.onprem, exchangecmd.OAuthTest{Service: "Generic", TargetURI: "https://partner.outlook.cn/autodiscover/autodiscover.svc", Mailbox: as})
		if rep.Success || !strings.Contains(rep.Cause, "without asking for a token") { // to a GET the service answers with a page for people
			t.Errorf("%+v", rep)
		}
		challenged := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/owa" {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			if r.Header.Get("Authorization") == "Bearer" {
				w.Header().Set("WWW-Authenticate", trust.ChallengeFor([]*directory.Organization{h.online.organization(t)}).String())
				w.WriteHeader(401)
			}
		})
		h.online.instead.Store(&challenged)
		defer h.online.instead.Store(nil)
		rep = h.test(h.onprem, exchangecmd.OAuthTest{Service: "Generic", TargetURI: "https://partner.outlook.cn/owa", Mailbox: as})
		if !rep.Success {
			t.Errorf("%+v", rep)
		}
	})
	t.Run("who may", func(t *testing.T) {
		for _, actor := range []admin.Actor{
			{Name: "eve@fabrikam.com", Org: "22222222-2222-4222-8222-222222222222", Roles: []string{directory.RoleAdmin}},
			{Name: alice, Org: h.onprem.org, Roles: []string{directory.RoleImport}},
		} {
			if rep, err := h.onprem.TestOAuth(t.Context(), actor, h.onprem.organization(t), exchangecmd.OAuthTest{Service: "EWS", TargetURI: sameTarget}); !errors.Is(err, admin.ErrForbidden) {
				t.Errorf("%s: %+v, %v", actor.Name, rep, err)
			}
		}
	})
	t.Run("what is no target", func(t *testing.T) {
		for _, uri := range []string{"http://partner.outlook.cn/ews/exchange.asmx", "partner.outlook.cn", "https://a:b@partner.outlook.cn/", "https:///ews"} {
			if rep, err := h.onprem.TestOAuth(t.Context(), operator, h.onprem.organization(t), exchangecmd.OAuthTest{Service: "EWS", TargetURI: uri}); err == nil {
				t.Errorf("%s: %+v", uri, rep)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if rep, err := h.onprem.TestOAuth(ctx, operator, h.onprem.organization(t), exchangecmd.OAuthTest{Service: "EWS", TargetURI: sameTarget}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %+v, %v", rep, err)
		}
	})
}

// Each step left out or done wrongly, found and named by what the other side says.
func TestOAuthConnectivityNamesTheCause(t *testing.T) {
	h := newHybrid(t)
	as := h.mailbox(h.onprem, alice)
	toCloud := exchangecmd.OAuthTest{Service: "EWS", TargetURI: sameTarget, Mailbox: as}
	toPremises := exchangecmd.OAuthTest{Service: "EWS", TargetURI: "https://" + mailHost + "/ews/exchange.asmx", Mailbox: h.mailbox(h.online, kim)}
	at := func(uri string) exchangecmd.OAuthTest {
		return exchangecmd.OAuthTest{Service: "EWS", TargetURI: uri, Mailbox: as}
	}
	onPremises := func(change func(*directory.Organization)) func() func() {
		return func() func() {
			was := h.onprem.organization(t)
			h.changeOrg(h.onprem, change)
			return func() {
				h.changeOrg(h.onprem, func(o *directory.Organization) {
					now := was.Clone()
					now.Version = o.Version
					*o = *now
				})
			}
		}
	}
	inCloud := func(change func(*directory.Organization)) func() func() {
		return func() func() {
			was := h.online.organization(t)
			h.changeOrg(h.online, change)
			return func() {
				h.changeOrg(h.online, func(o *directory.Organization) {
					now := was.Clone()
					now.Version = o.Version
					*o = *now
				})
			}
		}
	}
	principal := func(change func(*directory.ServicePrincipal)) func() func() {
		return func() func() {
			var was directory.ServicePrincipal
			h.principal(func(p *directory.ServicePrincipal) {
				was = *p
				was.KeyCredentials = slices.Clone(p.KeyCredentials)
				change(p)
			})
			return func() { h.principal(func(p *directory.ServicePrincipal) { *p = was }) }
		}
	}
	instead := func(s *side, answer http.HandlerFunc) func() func() {
		return func() func() {
			s.instead.Store(&answer)
			return func() { s.instead.Store(nil) }
		}
	}
	bearer := `Bearer client_id="` + directory.ExchangeAppID + `", trusted_issuers="` + vianet.ACSPrincipalID + `@*"`
	refuse := func(diagnostics string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", bearer)
			if r.Header.Get("Authorization") != "Bearer" && diagnostics != "" {
				w.Header().Set("x-ms-diagnostics", diagnostics)
			}
			w.WriteHeader(401)
		}
	}
	// answer takes every token.
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer" {
				w.Header().Set("WWW-Authenticate", bearer)
				w.WriteHeader(401)
				return
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	const canceled = "System.Net.WebException: The request was aborted: The request was canceled. ---> Microsoft.Exchange.Security.OAuth.OAuthTokenRequestFailedException: "
	const unauthorized = "Exception:\nSystem.Net.WebException: The remote server returned an error: (401) Unauthorized.\n   at System.Net.HttpWebRequest.GetResponse()\n" +
		"   at Microsoft.Exchange.Monitoring.TestOAuthConnectivityHelper.SendExchangeOAuthRequest(ADUser user, String orgDomain, Uri targetUri, String& diagnosticMessage, Boolean appOnly, Boolean useCachedToken, Boolean reloadConfig)"
	stranger, err := trust.NewSigningCertificate("CN=stranger", time.Now().Add(-time.Minute), time.Now().AddDate(2, 0, 0))
	h.must(err)
	expired, err := trust.NewSigningCertificate("CN=expired", time.Now().AddDate(-1, 0, 0), time.Now().Add(-time.Hour))
	h.must(err)

	for _, tt := range []struct {
		name   string
		from   *side
		test   exchangecmd.OAuthTest
		breaks func() func()
		detail []string
		cause  []string
	}{
		{"step 1 left out", h.onprem, toCloud, onPremises(func(o *directory.Organization) { o.AuthServers = nil }),
			[]string{"checking enabled auth servers\nError:[OAuthTokenBuilder:GetAppToken] unable to continue building token;", canceled + "The trusted issuers contained the following entries '" + vianet.ACSPrincipalID + "@" + h.realm + "'. None of them are configured locally.\n   at Microsoft.Exchange.Security.OAuth.OAuthTokenBuilder.GetAppToken(...)"},
			[]string{"no authorization server is configured here", "New-AuthServer", "step 1"}},
		{"authorization server disabled here", h.onprem, toCloud, onPremises(func(o *directory.Organization) { o.AuthServers[0].Enabled = false }),
			[]string{"None of them are configured locally."}, []string{`"MicrosoftAzureACS" is disabled here`, `Set-AuthServer "MicrosoftAzureACS" -Enabled $true`}},
		{"authorization server of another cloud", h.onprem, toCloud, onPremises(func(o *directory.Organization) {
			o.AuthServers[0].IssuerIdentifier = "00000001-0000-0000-c000-000000000000"
		}),
			[]string{"trusted_issuer does NOT include the auth server 'MicrosoftAzureACS': 00000001-0000-0000-c000-000000000000@"}, []string{"none of the authorization servers here", "MicrosoftAzureACS"}},
		{"authorization server of another tenant", h.onprem, toCloud, onPremises(func(o *directory.Organization) { o.AuthServers[0].Realm = "5e3d2c1b-0a9f-4e8d-9c7b-6a5f4e3d2c1b" }),
			[]string{"does NOT include"}, []string{"is for the realm 5e3d2c1b-0a9f-4e8d-9c7b-6a5f4e3d2c1b here"}},
		{"step 1 left out over there", h.online, toPremises, onPremises(func(o *directory.Organization) { o.AuthServers = nil }),
			[]string{"trusted_issuer: ''", "contained the following entries ''"}, []string{"the organization at mail.contoso.com trusts no authorization server", "run there New-AuthServer"}},
		{"step 2 left out over there", h.online, toPremises, onPremises(func(o *directory.Organization) { o.PartnerApplications[0].Enabled = false }),
			[]string{unauthorized + `, diagnostics: 2000006;reason="`, `error_category="invalid_client"`}, []string{"partner application " + directory.ExchangeAppID + " is missing or disabled in the organization at mail.contoso.com", "Set-PartnerApplication -Enabled $true", "step 2"}},
		{"partner application removed over there", h.online, toPremises, onPremises(func(o *directory.Organization) { o.PartnerApplications = nil }),
			[]string{"2000006"}, []string{"missing or disabled", "New-PartnerApplication"}},
		{"partner application without permission", h.online, toPremises, onPremises(func(o *directory.Organization) { o.PartnerApplications[0].LinkedAccount = "" }),
			[]string{"2000008", "invalid_grant"}, []string{"neither a linked account", "-ActAsPermissions"}},
		{"steps 3 and 4 left out", h.onprem, toCloud, principal(func(p *directory.ServicePrincipal) { p.KeyCredentials = p.KeyCredentials[1:] }),
			[]string{"Error:Unable to get the token from Auth Server. Error code: 'invalid_client'. Description: 'AADSTS70002", canceled + "Unable to get the token from Auth Server. Error code: 'invalid_client'.", "AADSTS50012", "The key was not found.", "(401) Unauthorized."},
			[]string{"is no key credential of the service principal " + directory.ExchangeAppID + " in the tenant " + h.realm, "New-MsolServicePrincipalCredential", "steps 3 and 4"}},
		{"another certificate uploaded", h.onprem, toCloud, principal(func(p *directory.ServicePrincipal) { p.KeyCredentials[0].Value = stranger.DER }),
			[]string{"The key was not found."}, []string{"none, or another one, was uploaded"}},
		{"key credential expired", h.onprem, toCloud, principal(func(p *directory.ServicePrincipal) {
			p.KeyCredentials[0].EndDate = p.KeyCredentials[0].StartDate.Add(time.Millisecond)
		}),
			[]string{"AADSTS50012", "expired"}, []string{"the key credential of the service principal", "has expired"}},
		{"certificate expired", h.onprem, toCloud, onPremises(func(o *directory.Organization) {
			o.Certificates = append(o.Certificates, expired)
			o.AuthConfig.CurrentCertificateThumbprint = expired.Thumbprint
		}), []string{"Error:Missing signing certificate.", canceled + "Missing signing certificate."}, []string{"the certificate " + expired.Thumbprint, "has expired at", "New-ExchangeCertificate"}},
		{"no certificate", h.onprem, toCloud, onPremises(func(o *directory.Organization) { o.AuthConfig.CurrentCertificateThumbprint = "" }),
			[]string{"Missing signing certificate."}, []string{"AuthConfig names no current certificate"}},
		{"step 5 left out", h.online, toPremises, principal(func(p *directory.ServicePrincipal) { p.ServicePrincipalNames = p.ServicePrincipalNames[:2] }),
			[]string{"AADSTS500011"}, []string{"mail.contoso.com is not among the ServicePrincipalNames", directory.ExchangeAppID + "/mail.contoso.com", "step 5"}},
		{"step 5 for another host", h.online, toPremises, func() func() {
			h.setNames(directory.ExchangeAppID+"/"+vianet.EWSHost, directory.ExchangeAppID+"/autodiscover.contoso.com")
			return func() { h.setNames(directory.ExchangeAppID+"/"+vianet.EWSHost, directory.ExchangeAppID+"/*."+contoso) }
		}, []string{"AADSTS500011"}, []string{"mail.contoso.com is not among the ServicePrincipalNames"}},
		{"service principal disabled", h.onprem, toCloud, principal(func(p *directory.ServicePrincipal) { p.AccountEnabled = false }),
			[]string{"AADSTS700016"}, []string{"is missing or disabled in the tenant", "-AccountEnabled $true"}},
		{"service principal may not speak for users", h.onprem, toCloud, principal(func(p *directory.ServicePrincipal) { p.TrustedForDelegation = false }),
			[]string{"2000001"}, []string{"does not let the service principal", "TrustedForDelegation"}},
		{"mailbox not synchronized", h.onprem, toCloud, func() func() {
			h.mustRemove(h.online, alice)
			return func() {
				_, err := h.online.Admin.NewMailUser(t.Context(), operator, h.online.org, admin.MailUserParams{Name: "alice", Primary: alice, ExternalAddress: alice})
				h.must(err)
			}
		}, []string{unauthorized + `, diagnostics: 2000005;reason="The user specified by the user-context in the token does not exist.";error_category="invalid_user"`},
			[]string{"the mailbox alice@contoso.com is not known in the organization at partner.outlook.cn", "New-MailUser"}},
		{"no authorization server over there", h.onprem, toCloud, inCloud(func(o *directory.Organization) {
			o.AuthServers[0].Enabled = false
			o.AuthServers[0].IsDefaultAuthorizationEndpoint = false
		}), []string{"contained the following entries ''"}, []string{"the organization at partner.outlook.cn trusts no authorization server"}},
		{"keys of the authorization server are stale over there", h.onprem, toCloud, inCloud(func(o *directory.Organization) {
			o.AuthServers[0].CertificateStrings = o.AuthServers[0].CertificateStrings[:0]
		}),
			[]string{unauthorized + `, diagnostics: 2000000;reason="The token has an invalid signature.";error_category="invalid_signature"`}, []string{"stale keys", "Set-AuthServer -RefreshAuthMetadata"}},
		{"issuer unknown", h.onprem, toCloud, instead(h.online, refuse(`2000009;reason="The issuer of the token is unknown.";error_category="invalid_issuer"`)),
			[]string{"2000009"}, []string{"no enabled AuthServer for the issuer " + vianet.ACSPrincipalID + "@" + h.realm}},
		{"host name changed on the way", h.onprem, toCloud, instead(h.online, refuse(`2000003;reason="The hostname component of the audience claim value 'https://x' is invalid";error_category="invalid_resource"`)),
			[]string{"2000003"}, []string{"does not know itself by that name"}},
		{"tenant unknown", h.onprem, toCloud, instead(h.online, refuse(`2000004;reason="The tenant for tenant guid 'x' does not exist.";error_category="invalid_tenant"`)),
			[]string{"2000004"}, []string{"is not of the tenant of the token"}},
		{"ambiguous user", h.onprem, toCloud, instead(h.online, refuse(`2000005;reason="The user specified by the user-context in the token is ambiguous.";error_category="invalid_user"`)),
			[]string{"ambiguous"}, []string{"several entries"}},
		{"refused without a word", h.onprem, toCloud, instead(h.online, refuse("")), []string{unauthorized + "\n\nCause:"}, []string{"refused the token without saying why"}},
		{"refused for a new reason", h.onprem, toCloud, instead(h.online, refuse(`2000019;reason="Because.";error_category="x"`)), []string{"2000019"}, []string{"2000019 x Because."}},
		{"clock here is wrong", h.onprem, toCloud, func() func() {
			h.onprem.ahead.Store(int64(time.Hour))
			return func() { h.onprem.ahead.Store(0) }
		}, []string{"AADSTS700024"}, []string{"the clocks differ by", "the authorization server"}},
		{"clock there is wrong", h.onprem, toCloud, func() func() {
			h.online.ahead.Store(int64(30 * 24 * time.Hour))
			return func() { h.online.ahead.Store(0) }
		}, []string{`2000002;reason="The token has expired."`}, []string{"check the clock"}},
		{"metadata is stale here", h.onprem, toCloud, onPremises(func(o *directory.Organization) {
			s := &o.AuthServers[0]
			s.TokenIssuingEndpoint = strings.ReplaceAll(s.TokenIssuingEndpoint, h.realm, "5e3d2c1b-0a9f-4e8d-9c7b-6a5f4e3d2c1b")
		}), []string{"AADSTS90002"}, []string{`Set-AuthServer "MicrosoftAzureACS" -RefreshAuthMetadata`}},
		{"what a server repeats of our assertion", h.onprem, toCloud, instead(h.authority, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"error":"invalid_request","error_description":"Bad assertion %s."}`, r.PostFormValue("assertion"))
		}), []string{"Bad assertion <redacted>"}, []string{"refused to issue a token", "Bad assertion <redacted>"}},
		{"what a server repeats of our token", h.onprem, toCloud, instead(h.online, func(w http.ResponseWriter, r *http.Request) {
			refuse(`2000001;reason="Bad `+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+`";error_category="invalid_token"`)(w, r)
		}), []string{`2000001;reason="Bad <redacted>`}, []string{"does not take this kind of token"}},
		{"clock there is wrong, as it says itself", h.onprem, toCloud, instead(h.online, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(-2*time.Hour).UTC().Format(http.TimeFormat))
			refuse(`2000002;reason="The token has expired.";error_category="token_expired"`)(w, r)
		}), []string{"2000002"}, []string{"the clocks differ by 2h0m", "partner.outlook.cn"}},
		{"anything at all", h.onprem, exchangecmd.OAuthTest{Service: "Generic", TargetURI: "https://partner.outlook.cn/owa", Mailbox: as}, instead(h.online, answer(404, "")),
			[]string{"(404) Not Found."}, []string{"there is no service"}},
		{"no token endpoint any more", h.onprem, toCloud, instead(h.authority, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", 404) }),
			[]string{"Unable to get the token from Auth Server. ---> System.Net.WebException: The remote server returned an error."}, []string{"is no token endpoint", "-RefreshAuthMetadata"}},
		{"OAuth is not offered", h.online, toPremises, onPremises(func(o *directory.Organization) { o.Servers[0].OAuthAuthentication = false }),
			[]string{unauthorized}, []string{"does not offer OAuth", "Set-WebServicesVirtualDirectory"}},
		{"no service there", h.onprem, at("https://partner.outlook.cn/nowhere"), nil, []string{"(404) Not Found."}, []string{"there is no service at https://partner.outlook.cn/nowhere"}},
		{"a page for anybody", h.onprem, at("https://partner.outlook.cn/x"), instead(h.online, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }),
			[]string{"HTTP response message: OK"}, []string{"without asking for a token"}},
		{"a page for bearers", h.onprem, toCloud, instead(h.online, answer(200, "<html><body>hello</body></html>")), []string{"HTTP response message: OK"}, []string{"no answer of the service EWS"}},
		{"sent elsewhere", h.onprem, toCloud, instead(h.online, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://gone.contoso.com/", http.StatusFound)
		}),
			[]string{"(302) Found."}, []string{"sends to https://gone.contoso.com/"}},
		{"an error of the server", h.onprem, toCloud, instead(h.online, answer(500, "oops")), []string{"(500) Internal Server Error."}, []string{"failed with status 500"}},
		{"no linked account", h.onprem, toCloud, instead(h.online, answer(500, `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>The application is missing a linked account for RBAC roles, or more.</faultstring></s:Fault></s:Body></s:Envelope>`)),
			[]string{"The application is missing a linked account for RBAC roles"}, []string{"Set-PartnerApplication -LinkedAccount"}},
		{"busy", h.onprem, toCloud, instead(h.online, answer(503, "")), []string{"(503) Service Unavailable."}, []string{"busy"}},
		{"forbidden by a proxy", h.onprem, toCloud, instead(h.online, answer(403, "")), []string{"(403) Forbidden."}, []string{"forbids"}},
		{"TLS for another name", h.onprem, at("https://" + otherHost + "/ews/exchange.asmx"), nil,
			[]string{"Could not establish trust relationship for the SSL/TLS secure channel."}, []string{"TLS: the certificate of mail.contoso.net is not trusted here", "trusted_ca_files"}},
		{"nobody listens", h.onprem, at("https://gone.contoso.com/ews/exchange.asmx"), nil, []string{"Unable to connect to the remote server"}, []string{"gone.contoso.com cannot be reached"}},
		{"a private address", h.onprem, at("https://127.0.0.1/ews/exchange.asmx"), nil, []string{"Unable to connect to the remote server"}, []string{"private address", "connect_to"}},
		{"authorization server out of reach", h.onprem, toCloud, onPremises(func(o *directory.Organization) {
			o.AuthServers[0].TokenIssuingEndpoint = "https://gone.contoso.com/" + h.realm + "/tokens/OAuth/2"
		}), []string{"Sending token request to 'https://gone.contoso.com/", "---> System.Net.WebException: Unable to connect to the remote server"}, []string{"gone.contoso.com cannot be reached"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := *h
			h.t = t
			if tt.breaks != nil {
				mend := tt.breaks()
				defer mend()
			}
			rep := h.test(tt.from, tt.test)
			if rep.Success || rep.Cause == "" {
				t.Fatalf("it succeeded, or no cause: %+v", rep)
			}
			if text := lacks(rep.Detail, tt.detail...); text != "" {
				t.Errorf("detail lacks %q:\n%s", text, rep.Detail)
			}
			if text := lacks(rep.Cause, tt.cause...); text != "" {
				t.Errorf("cause lacks %q: %s", text, rep.Cause)
			}
			if !strings.HasSuffix(rep.Detail, "\nCause: "+rep.Cause) || strings.Contains(rep.Detail, "eyJ0eXAi") {
				t.Errorf("detail:\n%s", rep.Detail)
			}
		})
	}
	if rep := h.test(h.onprem, toCloud); !rep.Success {
		t.Errorf("something stayed broken: %+v", rep)
	}
	if rep := h.test(h.online, toPremises); !rep.Success {
		t.Errorf("something stayed broken: %+v", rep)
	}
}

func (h *hybrid) mustRemove(s *side, user string) {
	h.t.Helper()
	_, err := s.Admin.RemoveMailUser(h.t.Context(), operator, s.org, user)
	h.must(err)
}

// What would stop free/busy although the token is accepted.
func TestOAuthConnectivityWarns(t *testing.T) {
	h := newHybrid(t)
	toCloud := exchangecmd.OAuthTest{Service: "EWS", TargetURI: sameTarget}
	for _, tt := range []struct {
		name   string
		change func(*directory.Organization)
		want   string
	}{
		{"step 6 left out", func(o *directory.Organization) { o.Connectors = nil }, "No enabled connector covers " + coexistence + ", the domain of the target address of kim@contoso.com"},
		{"connector disabled", func(o *directory.Organization) { o.Connectors[0].Enabled = false }, `Set-IntraOrganizationConnector "Hybrid" -Enabled $true`},
		{"only an address space", func(o *directory.Organization) {
			o.Connectors = nil
			o.AddressSpaces = []directory.AvailabilityAddressSpace{{Common: directory.Common{Name: coexistence, GUID: "5e3d2c1b-0a9f-4e8d-9c7b-6a5f4e3d2c1b"}, ForestName: coexistence, AccessMethod: "InternalProxy", ProxyURL: "https://" + mailHost + "/ews/exchange.asmx", UseServiceAccount: true}}
		}, "No enabled connector covers"},
		{"metadata is old", func(o *directory.Organization) { o.AuthServers[0].RefreshedAt = time.Now().AddDate(0, 0, -3) }, `Set-AuthServer "MicrosoftAzureACS" -RefreshAuthMetadata`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := *h
			h.t = t
			was := h.onprem.organization(t)
			h.changeOrg(h.onprem, tt.change)
			rep := h.test(h.onprem, toCloud)
			if !rep.Success || len(rep.Warnings) != 1 || !strings.Contains(rep.Warnings[0], tt.want) {
				t.Errorf("%v, warnings %q, want one with %q", rep.Success, rep.Warnings, tt.want)
			}
			h.changeOrg(h.onprem, func(o *directory.Organization) {
				now := was.Clone()
				now.Version = o.Version
				*o = *now
			})
		})
	}
	h.onprem.ahead.Store(int64(5*365*24*time.Hour - 30*24*time.Hour)) // the certificate lives five years
	rep := h.test(h.onprem, toCloud)
	if !slices.ContainsFunc(rep.Warnings, func(w string) bool { return strings.Contains(w, "expires at") }) {
		t.Errorf("warnings %q", rep.Warnings)
	}
}

// Edition 2 of step 1: both objects, each from its own document, and the test
// goes on to succeed.
func TestEvoSTSBesideACS(t *testing.T) {
	h := newHybrid(t)
	for name, in := range map[string]string{"EvoSTS": initial, "EvoSTS by tenant": h.realm} {
		res, err := h.onprem.Admin.NewAuthServer(t.Context(), operator, h.onprem.org, directory.AuthServer{
			Common: directory.Common{Name: name}, Type: directory.AuthServerAzureAD, Enabled: true,
			AuthMetadataURL: "https://login.chinacloudapi.cn/" + in + "/federationmetadata/2007-06/federationmetadata.xml"})
		h.must(err)
		if s := res.Object; s.IssuerIdentifier != "https://sts.chinacloudapi.cn/"+h.realm+"/" || s.Realm != h.realm || len(s.CertificateStrings) != 1 ||
			s.TokenIssuingEndpoint != "https://login.chinacloudapi.cn/common/oauth2/token" || s.AuthorizationEndpoint != vianet.AuthorizationURI || s.Type != directory.AuthServerAzureAD {
			t.Errorf("%+v", s)
		}
	}
	_, err := h.onprem.Admin.SetAuthServer(t.Context(), operator, h.onprem.org, "EvoSTS", true, func(s *directory.AuthServer) error {
		s.IsDefaultAuthorizationEndpoint = true
		return nil
	})
	h.must(err)
	for _, tt := range []struct {
		from *side
		uri  string
	}{{h.onprem, sameTarget}, {h.online, "https://" + mailHost + "/ews/exchange.asmx"}} {
		rep := h.test(tt.from, exchangecmd.OAuthTest{Service: "EWS", TargetURI: tt.uri, ReloadConfig: true})
		if !rep.Success || strings.Contains(rep.Detail, "EvoSTS") || strings.Contains(rep.Detail, "Warning:") {
			t.Errorf("%s: %+v", tt.uri, rep)
		}
	}
	for _, bad := range []string{"fabrikam.com", "common"} {
		_, err := h.onprem.Admin.NewAuthServer(t.Context(), operator, h.onprem.org, directory.AuthServer{
			Common: directory.Common{Name: "bad"}, Type: directory.AuthServerAzureAD, Enabled: true,
			AuthMetadataURL: "https://login.chinacloudapi.cn/" + bad + "/federationmetadata/2007-06/federationmetadata.xml"})
		if me, ok := errors.AsType[*admin.MetadataError](err); !ok || !strings.HasPrefix(me.Error(), "Cannot acquire auth metadata document from 'https://login.chinacloudapi.cn/") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
