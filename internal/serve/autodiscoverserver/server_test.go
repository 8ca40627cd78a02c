package autodiscoverserver_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/serve/autodiscoverserver"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/mount"
	"busybridge/internal/spec/autodiscover"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/soap"
	"busybridge/internal/trust"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A world is two hosts: mail.contoso.com serves the organization Contoso, and
// partner.outlook.cn, a cloud, serves Contoso's tenant and Fabrikam.
type world struct {
	sites      map[string]*callers.SiteSet
	recipients map[directory.OrgID][]*directory.Recipient
	lookups    []string // what was looked up
}

const (
	onprem   directory.OrgID = "11111111-0000-4000-8000-000000000001"
	cloud    directory.OrgID = "22222222-0000-4000-8000-000000000002"
	fabrikam directory.OrgID = "33333333-0000-4000-8000-000000000003"
)

var errBroken = errors.New("disk is on fire")

func newWorld() *world {
	v := func(s string) directory.Version {
		v, err := directory.ParseVersion(s)
		if err != nil {
			panic(err)
		}
		return v
	}
	domains := func(names ...string) (l []directory.AcceptedDomain) {
		for _, n := range names {
			l = append(l, directory.AcceptedDomain{DomainName: n})
		}
		return l
	}
	rcpt := func(org directory.OrgID, n int, typ, primary string, more ...string) *directory.Recipient {
		r := &directory.Recipient{Org: org, ID: fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012x", n), Type: typ, Enabled: true,
			Primary: smtpaddr.Must(primary), DisplayName: strings.ToUpper(primary[:1]) + strings.Split(primary, "@")[0][1:] + " & Co"}
		for _, a := range more {
			if target, ok := strings.CutPrefix(a, "->"); ok {
				r.ExternalAddress = smtpaddr.Must(target)
			} else {
				r.Proxies = append(r.Proxies, smtpaddr.Must(a))
			}
		}
		return r
	}
	disabled := rcpt(onprem, 6, directory.UserMailbox, "gone@contoso.com")
	disabled.Enabled = false

	premOrg := &directory.Organization{ID: onprem, Name: "Contoso/HQ", AcceptedDomains: domains("contoso.com", "*.sub.contoso.com"),
		Connectors: []directory.IntraOrganizationConnector{
			{TargetAddressDomains: []string{"contoso.partner.mail.onmschina.cn"}, DiscoveryEndpoint: "https://old.outlook.cn/autodiscover/autodiscover.svc"},
			{TargetAddressDomains: []string{"contoso.partner.mail.onmschina.cn"}, DiscoveryEndpoint: "https://partner.outlook.cn/autodiscover/autodiscover.svc", Enabled: true},
		}}
	premServer := &directory.Server{Common: directory.Common{Name: "MAIL"}, AdminDisplayVersion: v("15.0.847.32"), OAuthAuthentication: true, BasicAuthentication: true,
		InternalURL: "https://inside.contoso.com/EWS/Exchange.asmx", ExternalURL: "https://mail.contoso.com/EWS/Exchange.asmx"}
	cloudOrg := &directory.Organization{ID: cloud, Name: "contoso.partner.onmschina.cn", Tenant: "5de110f8-2e0f-4d45-891d-bcf2218e253d", AcceptedDomains: domains("contoso.partner.mail.onmschina.cn")}
	fabOrg := &directory.Organization{ID: fabrikam, Name: "fabrikam", Tenant: "6de110f8-2e0f-4d45-891d-bcf2218e253d", AcceptedDomains: domains("fabrikam.com")}
	cloudServer := &directory.Server{Common: directory.Common{Name: "CLOUD"}, AdminDisplayVersion: v("15.1.2507.6"), OAuthAuthentication: true, BasicAuthentication: true,
		ExternalURL: "https://partner.outlook.cn/EWS/Exchange.asmx"}
	legacyServer := &directory.Server{Common: directory.Common{Name: "LEGACY"}, AdminDisplayVersion: v("14.3.123.4"), BasicAuthentication: true}

	set := func(host string, sites ...callers.Site) *callers.SiteSet {
		for i := range sites {
			sites[i].Host = host
		}
		return callers.NewSiteSet(host, sites)
	}
	return &world{
		sites: map[string]*callers.SiteSet{
			"mail.contoso.com":   set("mail.contoso.com", callers.Site{Org: premOrg, Server: premServer}),
			"legacy.contoso.com": set("legacy.contoso.com", callers.Site{Org: premOrg, Server: legacyServer}),
			"partner.outlook.cn": set("partner.outlook.cn", callers.Site{Org: cloudOrg, Server: cloudServer}, callers.Site{Org: fabOrg, Server: cloudServer}),
		},
		recipients: map[directory.OrgID][]*directory.Recipient{
			onprem: {
				rcpt(onprem, 1, directory.UserMailbox, "ana@contoso.com", "ana@hq.sub.contoso.com"),
				rcpt(onprem, 2, directory.MailUser, "bo@contoso.com", "->bo@contoso.partner.mail.onmschina.cn"),
				rcpt(onprem, 3, directory.MailUser, "loop@contoso.com", "loop2@contoso.com", "->loop2@contoso.com"),
				rcpt(onprem, 4, directory.MailUser, "nowhere@contoso.com"),
				rcpt(onprem, 5, directory.MailGroup, "all@contoso.com"),
				disabled,
				rcpt(onprem, 7, directory.RoomMailbox, "room@contoso.com"),
				rcpt(onprem, 8, directory.MailUser, "far@contoso.com", "->far@example.org"),
			},
			cloud: {
				rcpt(cloud, 9, directory.UserMailbox, "bo@contoso.partner.mail.onmschina.cn"),
			},
			fabrikam: {rcpt(fabrikam, 10, directory.UserMailbox, "mia@fabrikam.com")},
		},
	}
}

func (w *world) Site(_ context.Context, host string) (*callers.SiteSet, error) {
	if s, ok := w.sites[host]; ok {
		return s, nil
	}
	if host == "broken.contoso.com" {
		return nil, errBroken
	}
	return nil, fmt.Errorf("host %s: %w", host, directory.ErrNotFound)
}

func (w *world) Recipient(_ context.Context, org directory.OrgID, a smtpaddr.Address) (*directory.Recipient, error) {
	w.lookups = append(w.lookups, string(org[:1])+" "+a.String())
	if a.Local() == "broken" {
		return nil, errBroken
	}
	for _, r := range w.recipients[org] {
		if r.HasAddress(a) {
			return r, nil
		}
	}
	return nil, fmt.Errorf("recipient %s: %w", a, directory.ErrNotFound)
}

func (w *world) RecipientByID(_ context.Context, org directory.OrgID, id string) (*directory.Recipient, error) {
	for _, r := range w.recipients[org] {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, fmt.Errorf("recipient %s: %w", id, directory.ErrNotFound)
}

// Authenticate takes any password for an existing mailbox, and the token
// "partner-N" for a partner of the N-th organization of the host.
func (w *world) Authenticate(r *http.Request) (*callers.Caller, error) {
	set, err := w.Site(r.Context(), callers.HostOf(r))
	if err != nil {
		return nil, err
	}
	if user, _, ok := r.BasicAuth(); ok {
		for _, site := range set.All() {
			for _, m := range w.recipients[site.Org.ID] {
				if m.Primary.String() == user {
					return &callers.Caller{Site: site, Org: site.Org, Account: &directory.Account{UserName: user}, Recipient: m}, nil
				}
			}
		}
		return nil, errors.New("wrong password")
	}
	for i, site := range set.All() {
		if r.Header.Get("Authorization") == fmt.Sprintf("Bearer partner-%d", i) {
			return &callers.Caller{Site: site, Org: site.Org, Partner: &trust.Caller{ApplicationID: directory.ExchangeAppID, Realm: "contoso.com"}}, nil
		}
	}
	return nil, errors.New("no credentials")
}

func (w *world) Challenge(rw http.ResponseWriter, r *http.Request, err error) {
	rw.Header().Set("x-ms-diagnostics", "2000000;reason=\""+err.Error()+"\"")
	rw.Header().Add("WWW-Authenticate", `Bearer client_id="00000002-0000-0ff1-ce00-000000000000"`)
	rw.Header().Add("WWW-Authenticate", `Basic realm=""`)
	rw.WriteHeader(http.StatusUnauthorized)
}

func (w *world) config(t testing.TB) autodiscoverserver.Config {
	return autodiscoverserver.Config{
		Sites: w, Auth: w, Directory: w,
		Now: func() time.Time { return time.Date(2026, 11, 22, 10, 15, 30, 123456700, time.UTC) },
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Metadata: func(_ context.Context, host string) ([]byte, error) {
			if host != "mail.contoso.com" {
				return nil, directory.ErrNotFound
			}
			return []byte(`{"realm":"contoso.com"}`), nil
		},
	}
}

func handler(t testing.TB, cfg autodiscoverserver.Config) http.Handler {
	t.Helper()
	s, err := autodiscoverserver.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return mount.New(mount.Config{Routes: s.Routes(), Log: cfg.Log, Now: cfg.Now})
}

// do sends a request; auth is "user:password", "Bearer …", or empty.
func do(h http.Handler, method, url, auth, body string) *http.Response {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	switch user, pw, ok := strings.Cut(auth, ":"); {
	case ok:
		r.SetBasicAuth(user, pw)
	case auth != "":
		r.Header.Set("Authorization", auth)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t testing.TB, resp *http.Response) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintln(&b, resp.StatusCode)
	for _, name := range []string{"Allow", "Content-Type", "Location", "WWW-Authenticate", "X-OAuth-Enabled", "X-SOAP-Enabled", "x-ms-diagnostics"} {
		for k, v := range resp.Header {
			if strings.EqualFold(k, name) {
				for _, v := range v {
					fmt.Fprintf(&b, "%s: %s\n", k, v)
				}
			}
		}
	}
	b.WriteByte('\n')
	var body strings.Builder
	if err := resp.Write(&body); err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(body.String(), "\r\n\r\n")
	b.WriteString(after)
	return b.String()
}

func soapRequest(op autodiscover.Operation, subjects, settings []string) string {
	return string(autodiscover.AppendRequest(nil, &autodiscover.Request{Operation: op, MessageID: "urn:uuid:1", Subjects: subjects, Settings: settings}))
}

func userSettings(users ...string) string {
	return soapRequest(autodiscover.GetUserSettings, users, []string{"ExternalEwsUrl"})
}

func pox(inner string) string {
	return `<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>` + inner +
		`<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>`
}

const (
	svc  = "https://mail.contoso.com/autodiscover/autodiscover.svc"
	xml  = "https://mail.contoso.com/autodiscover/autodiscover.xml"
	json = "https://mail.contoso.com/autodiscover/autodiscover.json"
	ana  = "ana@contoso.com:pw"
)

func TestGolden(t *testing.T) {
	all := []string{"ExternalEwsUrl", "InternalEwsUrl", "ExternalEwsVersion", "EwsSupportedSchemas", "CasVersion", "UserDisplayName", "UserDN", "UserDeploymentId",
		"AutoDiscoverSMTPAddress", "CrossOrganizationSharingEnabled", "UserMSOnline", "MapiHttpEnabled", "MailboxDN", "Nonsense" + strings.Repeat("!", 100), "ExternalEwsUrl"}
	everybody := []string{"ANA@Contoso.com", "smtp:ana@hq.sub.contoso.com", "room@contoso.com", "bo@contoso.com", "loop@contoso.com", "nowhere@contoso.com",
		"all@contoso.com", "gone@contoso.com", "stranger@contoso.com", "broken@contoso.com", "mia@fabrikam.com", "no address", ""}
	tests := []struct{ name, method, url, auth, body string }{
		{"svc_get", "GET", svc, "", ""},
		{"svc_put", "PUT", svc, "", ""},
		{"svc_empty_bearer", "POST", svc, "Bearer", userSettings("ana@contoso.com")},
		{"svc_anonymous", "POST", svc, "", userSettings("ana@contoso.com")},
		{"usersettings_all_settings", "POST", svc, ana, soapRequest(autodiscover.GetUserSettings, []string{"ana@contoso.com"}, all)},
		{"usersettings_everybody", "POST", svc, ana, userSettings(everybody...)},
		{"usersettings_legacy_server", "POST", "https://legacy.contoso.com/Autodiscover/Autodiscover.svc", ana, soapRequest(autodiscover.GetUserSettings, []string{"ana@contoso.com"}, all[:5])},
		{"usersettings_no_user", "POST", svc, ana, userSettings()},
		{"usersettings_no_setting", "POST", svc, ana, soapRequest(autodiscover.GetUserSettings, []string{"ana@contoso.com"}, nil)},
		{"usersettings_101_users", "POST", svc, ana, userSettings(slices.Repeat([]string{"ana@contoso.com"}, 101)...)},
		{"domainsettings", "POST", svc, ana, soapRequest(autodiscover.GetDomainSettings, []string{"Contoso.com", "a.sub.contoso.com", "fabrikam.com", "no domain"}, []string{"ExternalEwsUrl", "ExternalEwsVersion", "UserDN", "x"})},
		{"federation_anonymous", "POST", svc, "", soapRequest(autodiscover.GetFederationInformation, []string{"contoso.com"}, nil)},
		{"federation_cloud", "POST", "https://partner.outlook.cn/autodiscover/autodiscover.svc", "", soapRequest(autodiscover.GetFederationInformation, []string{"fabrikam.com"}, nil)},
		{"wssecurity", "POST", svc + "/WSSecurity", "", userSettings("ana@contoso.com")},
		{"wssecurity_key", "POST", svc + "/wssecurity/symmetrickey", "", userSettings("ana@contoso.com")},
		{"soap_malformed", "POST", svc, ana, "<x>\n <y></x>"},
		{"soap_no_envelope", "POST", svc, ana, "<x/>"},
		{"soap_doctype", "POST", svc, ana, `<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>`},
		{"soap_12", "POST", svc, ana, `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>`},
		{"soap_unknown_operation", "POST", svc, ana, strings.ReplaceAll(userSettings("x"), "GetUserSettings", "GetEverything")},
		{"soap_too_large", "POST", svc, ana, "<x>" + strings.Repeat("y", autodiscoverserver.MaxSOAP)},
		{"pox_get", "GET", xml, "", ""},
		{"pox_anonymous", "POST", xml, "", pox("<EMailAddress>ana@contoso.com</EMailAddress>")},
		{"pox_settings", "POST", xml, ana, pox("<EMailAddress>ana@contoso.com</EMailAddress>")},
		{"pox_legacydn", "POST", xml, ana, pox("<EMailAddress>x</EMailAddress><LegacyDN>/O=contoso-hq/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Recipients/cn=AAAAAAAA000040008000000000000007</LegacyDN>")},
		{"pox_legacydn_unknown", "POST", xml, ana, pox("<LegacyDN>/o=Contoso-HQ/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Recipients/cn=\u212a\u212a\u212aaaaaa0000400080000000000007</LegacyDN>")},
		{"pox_redirect", "POST", xml, ana, pox("<EMailAddress>bo@contoso.com</EMailAddress>")},
		{"pox_unknown", "POST", xml, ana, pox("<EMailAddress>stranger@contoso.com</EMailAddress>")},
		{"pox_no_address", "POST", xml, ana, pox("<EMailAddress>none</EMailAddress>")},
		{"pox_no_urls", "POST", "https://legacy.contoso.com/autodiscover/autodiscover.xml", ana, pox("<EMailAddress>ana@contoso.com</EMailAddress>")},
		{"pox_activesync", "POST", xml, ana, strings.ReplaceAll(pox("<EMailAddress>ana@contoso.com</EMailAddress>"), "outlook/responseschema/2006a", "mobilesync/responseschema/2006")},
		{"pox_malformed", "POST", xml, ana, "<x"},
		{"pox_too_large", "POST", xml, ana, "<x>" + strings.Repeat("y", autodiscoverserver.MaxPOX)},
		{"v2_ews", "GET", json + "?Email=ana%40contoso.com&Protocol=ews", "", ""},
		{"v2_path", "GET", "https://mail.contoso.com/Autodiscover/Autodiscover.json/V1.0/Ana@contoso.com?Protocol=AutodiscoverV1", "", ""},
		{"v2_unknown_protocol", "GET", json + "?Email=ana%40contoso.com&Protocol=ActiveSync", "", ""},
		{"v2_no_ews_here", "GET", "https://legacy.contoso.com/autodiscover/autodiscover.json?Email=ana%40contoso.com&Protocol=EWS", "", ""},
		{"v2_no_protocol", "GET", json + "?Email=ana%40contoso.com", "", ""},
		{"v2_no_address", "GET", json + "?Email=ana&Protocol=EWS", "", ""},
		{"v2_other_domain", "GET", json + "?Email=ana%40fabrikam.com&Protocol=EWS", "", ""},
		{"v2_post", "POST", json + "?Email=ana%40contoso.com&Protocol=EWS", "", ""},
		{"metadata", "GET", "https://mail.contoso.com/autodiscover/metadata/json/1", "", ""},
		{"metadata_none", "GET", "https://partner.outlook.cn/autodiscover/metadata/json/1", "", ""},
		{"metadata_post", "POST", "https://mail.contoso.com/autodiscover/metadata/json/1", "", ""},
		{"other_host", "GET", "https://fabrikam.com/autodiscover/autodiscover.svc", "", ""},
		{"broken_sites", "GET", "https://broken.contoso.com/autodiscover/autodiscover.svc", "", ""},
		{"pox_broken", "POST", xml, ana, pox("<EMailAddress>broken@contoso.com</EMailAddress>")},
	}
	h := handler(t, newWorld().config(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := text(t, do(h, tt.method, tt.url, tt.auth, tt.body))
			path := filepath.Join("testdata", tt.name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if strings.Contains(got, errBroken.Error()) {
				t.Error("the answer tells an internal error")
			}
		})
	}
}

// In a cloud, an address of another tenant is answered as one that does not
// exist, to users and to partners, and is not even looked up.
func TestOrganizationsAreSeparate(t *testing.T) {
	const cloudSVC = "https://partner.outlook.cn/autodiscover/autodiscover.svc"
	for _, auth := range []string{"bo@contoso.partner.mail.onmschina.cn:pw", "Bearer partner-0"} {
		w := newWorld()
		h := handler(t, w.config(t))
		other := text(t, do(h, "POST", cloudSVC, auth, userSettings("mia@fabrikam.com")))
		unknown := text(t, do(h, "POST", cloudSVC, auth, userSettings("nobody@fabrikam.com")))
		if diff := cmp.Diff(unknown, other); diff != "" {
			t.Errorf("%s: another tenant's address differs from an unknown one (-unknown +other)\n%s", auth, diff)
		}
		if !strings.Contains(other, "InvalidUser") {
			t.Errorf("%s: got %s", auth, other)
		}
		if want := []string{"2 mia@fabrikam.com", "2 nobody@fabrikam.com"}; !slices.Equal(w.lookups, want) {
			t.Errorf("%s: looked up %q, want %q", auth, w.lookups, want)
		}
	}
	h := handler(t, newWorld().config(t))
	if got := text(t, do(h, "POST", cloudSVC, "Bearer partner-1", userSettings("mia@fabrikam.com"))); !strings.Contains(got, "https://partner.outlook.cn/EWS/Exchange.asmx") {
		t.Errorf("the right tenant: got %s", got)
	}
}

// A partner gets the same answer, to the letter, for every address of a domain
// of ours that is not redirected, whoever is there, unless the organization wants
// otherwise.
func TestPartnersLearnOfNoMailbox(t *testing.T) {
	names := []string{"ExternalEwsUrl", "InternalEwsUrl", "UserDisplayName", "UserDN", "AutoDiscoverSMTPAddress", "UserDeploymentId"}
	addresses := []string{"ana", "ana@hq.sub.contoso.com", "room", "loop", "nowhere", "all", "gone", "stranger", "stranger@x.sub.contoso.com"}
	answers := func(h http.Handler) (soap, outlook map[string]bool) {
		soap, outlook = map[string]bool{}, map[string]bool{}
		for _, a := range addresses {
			if !strings.Contains(a, "@") {
				a += "@contoso.com"
			}
			soap[text(t, do(h, "POST", svc, "Bearer partner-0", soapRequest(autodiscover.GetUserSettings, []string{a}, names)))] = true
			outlook[text(t, do(h, "POST", xml, "Bearer partner-0", pox("<EMailAddress>"+a+"</EMailAddress>")))] = true
		}
		return soap, outlook
	}
	w := newWorld()
	soap, outlook := answers(handler(t, w.config(t)))
	for _, got := range []map[string]bool{soap, outlook} {
		if len(got) != 1 {
			t.Errorf("%d different answers: %v", len(got), got)
		}
		for s := range got {
			for _, secret := range []string{"Ana", "ana@", "aaaaaaaa"} {
				if strings.Contains(s, secret) {
					t.Errorf("%q in %s", secret, s)
				}
			}
		}
	}
	for s := range soap {
		if !strings.Contains(s, "https://mail.contoso.com/EWS/Exchange.asmx") {
			t.Errorf("a partner is not told where to ask: %s", s)
		}
	}
	org := w.sites["mail.contoso.com"].All()[0].Org
	org.AvailabilityConfig.RevealUnknownRecipients = true
	if soap, outlook = answers(handler(t, w.config(t))); len(soap) != 3 || len(outlook) != 3 {
		t.Errorf("a partner that is told gets %d and %d different answers, want 3 of each", len(soap), len(outlook))
	}
}

// V2 answers strangers: without redirects, nothing of the directory shows.
func TestV2IsNoOracle(t *testing.T) {
	w := newWorld()
	h := handler(t, w.config(t))
	want := ""
	for _, user := range []string{"ana", "bo", "loop", "gone", "all", "stranger", "broken"} {
		got := text(t, do(h, "GET", json+"?Protocol=EWS&Email="+user+"%40contoso.com", "", ""))
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", user, got, want)
		}
	}
	if len(w.lookups) != 0 {
		t.Errorf("looked up %q", w.lookups)
	}
}

func TestV2Redirect(t *testing.T) {
	cfg := newWorld().config(t)
	cfg.V2Redirect = autodiscoverserver.ConnectorHost
	h := handler(t, cfg)
	const there = "https://partner.outlook.cn/autodiscover/autodiscover.json"
	tests := []struct{ name, url, want string }{
		{"mail user", json + "?Email=bo%40contoso.com&Protocol=EWS", there + "?Email=bo%40contoso.com&Protocol=EWS&RedirectCount=1"},
		{"mail user in the path", json + "/v1.0/bo@contoso.com?Protocol=EWS&RedirectCount=8", there + "/v1.0/bo@contoso.com?Protocol=EWS&RedirectCount=9"},
		{"after ten", json + "?Email=bo%40contoso.com&Protocol=EWS&RedirectCount=10", ""},
		{"mailbox", json + "?Email=ana%40contoso.com&Protocol=EWS", ""},
		{"unknown", json + "?Email=stranger%40contoso.com&Protocol=EWS", ""},
		{"mail user without connector", json + "?Email=far%40contoso.com&Protocol=EWS", ""},
		{"mail user that points to itself", json + "?Email=loop%40contoso.com&Protocol=EWS", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := do(h, "GET", tt.url, "", "")
			status := http.StatusOK
			if tt.want != "" {
				status = http.StatusFound
			}
			if got := resp.Header.Get("Location"); got != tt.want || resp.StatusCode != status {
				t.Errorf("got %d %q, want %d %q", resp.StatusCode, got, status, tt.want)
			}
		})
	}
	cfg.V2Redirect = func(*directory.Organization, smtpaddr.Address) (string, bool) { return "Mail.contoso.com", true }
	if resp := do(handler(t, cfg), "GET", json+"?Email=bo%40contoso.com&Protocol=EWS", "", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("a redirect to the same host: got %d %q", resp.StatusCode, resp.Header.Get("Location"))
	}
}

// A small request must not buy a big answer.
func TestAnswersAreBounded(t *testing.T) {
	h := handler(t, newWorld().config(t))
	long := make([]string, 200)
	for i := range long {
		long[i] = fmt.Sprintf("%0100d%s", i, strings.Repeat("é", 100))
	}
	body := soapRequest(autodiscover.GetUserSettings, slices.Repeat([]string{"ana@contoso.com"}, 100), long)
	if got := text(t, do(h, "POST", svc, ana, body)); len(got) > 200*100*400 || !strings.Contains(got, "InvalidSetting") {
		t.Errorf("%d bytes for %d", len(got), len(body))
	}
	body = soapRequest(autodiscover.GetUserSettings, []string{"ana@contoso.com"}, append(long, "x"))
	if got := text(t, do(h, "POST", svc, ana, body)); !strings.Contains(got, "InvalidRequest") {
		t.Errorf("201 settings: got %.600s", got)
	}
	// A stranger's document is read to a lower limit: it is not even told what was wrong.
	big := strings.Replace(soapRequest(autodiscover.GetFederationInformation, []string{"contoso.com"}, nil), "contoso.com", strings.Repeat("c", autodiscoverserver.MaxAnonymous), 1)
	if resp := do(h, "POST", svc, "", big); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("anonymous big document: got %d", resp.StatusCode)
	}
}

func TestNewRequiresItsParts(t *testing.T) {
	for name, remove := range map[string]func(*autodiscoverserver.Config){
		"Sites": func(c *autodiscoverserver.Config) { c.Sites = nil }, "Auth": func(c *autodiscoverserver.Config) { c.Auth = nil },
		"Directory": func(c *autodiscoverserver.Config) { c.Directory = nil }, "Now": func(c *autodiscoverserver.Config) { c.Now = nil },
		"Log": func(c *autodiscoverserver.Config) { c.Log = nil },
	} {
		cfg := newWorld().config(t)
		remove(&cfg)
		if _, err := autodiscoverserver.New(cfg); err == nil {
			t.Errorf("no error without %s", name)
		}
	}
}

// Whatever a user sends, the answer is XML, and never an internal error.
func FuzzSOAP(f *testing.F) {
	for _, s := range []string{userSettings("ana@contoso.com", "x"), soapRequest(autodiscover.GetDomainSettings, []string{"contoso.com"}, []string{"ExternalEwsUrl"}), "<x/>", "<x"} {
		f.Add(s)
	}
	cfg := newWorld().config(f)
	cfg.Log = slog.New(slog.DiscardHandler)
	h := handler(f, cfg)
	f.Fuzz(func(t *testing.T, body string) {
		resp := do(h, "POST", svc, ana, body)
		if _, err := soap.Read(resp.Body, 8<<20); err != nil {
			t.Errorf("status %d: %v", resp.StatusCode, err)
		}
	})
}

func FuzzPOX(f *testing.F) {
	for _, s := range []string{pox("<EMailAddress>ana@contoso.com</EMailAddress>"), pox("<LegacyDN>/o=x</LegacyDN>"), "<x/>", "<x"} {
		f.Add(s)
	}
	cfg := newWorld().config(f)
	cfg.Log = slog.New(slog.DiscardHandler)
	h := handler(f, cfg)
	f.Fuzz(func(t *testing.T, body string) {
		resp := do(h, "POST", xml, ana, body)
		if _, err := soap.ReadXML(resp.Body, 1<<20); err != nil && !strings.Contains(body, "broken@") {
			t.Errorf("status %d: %v", resp.StatusCode, err)
		}
	})
}

func BenchmarkGetUserSettings(b *testing.B) {
	cfg := newWorld().config(b)
	cfg.Log = slog.New(slog.DiscardHandler)
	h := handler(b, cfg)
	body := soapRequest(autodiscover.GetUserSettings, []string{"ana@contoso.com"}, []string{"ExternalEwsUrl", "ExternalEwsVersion"})
	b.ReportAllocs()
	for b.Loop() {
		if resp := do(h, "POST", svc, ana, body); resp.StatusCode != http.StatusOK {
			b.Fatal(resp.StatusCode)
		}
	}
}
