package lab

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/app/client"
	"busybridge/internal/audit"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/ews"
	"busybridge/internal/spec/wintz"
	"busybridge/internal/trust"
)

// Further names of the world under attack.
const (
	otherDomain  = "fabrikam.com" // a tenant of the same cloud
	otherInitial = "fabrikam.partner.onmschina.cn"
	partnerRealm = "northwindtraders.com" // trusted directly by contoso on premises
	evilHost     = "sts.northwindtraders.com"
	slowHost     = "slow.northwindtraders.com"  // begins to answer and never ends
	wrongHost    = "wrong.northwindtraders.com" // answers with a certificate of its own making
	sharepoint   = "00000003-0000-0ff1-ce00-000000000000"
	thirdApp     = "00000004-0000-0ff1-ce00-000000000000"
)

// A scene is a running lab with everything that an attacker could ever get hold
// of: all its private keys.
type scene struct {
	*Lab
	t     testing.TB   // of the attack under way
	moved atomic.Int64 // of the clock, in nanoseconds
	from  time.Time
	logs  *lines
	http  *http.Client
	roots *x509.CertPool
	bound time.Duration // for one answer

	tenant, other             string          // GUIDs of the realms of contoso and fabrikam
	premises, hosted, hosted2 directory.OrgID // contoso, contoso in the cloud, fabrikam in the cloud
	acs                       string          // pid of the authorization server
	app                       string          // contoso's own application in its tenant; from edition 2025 on
	closed                    bool            // the cloud answers who is let in with 403

	authority, org, cloudOrg, otherOrg, partner, nobody *signingKey

	// Keys of P-256: one that partner vouches for, and one that it does not.
	delegate, pretender *curveKey

	evil   *evilServer
	trap   net.Listener // where tokens say that keys are
	caught atomic.Int64 // connections to trap

	mu      sync.Mutex
	secrets map[string]string // what no log may hold, and what it is; guarded by mu
	pieces  map[string]string // the same for beginnings and ends of tokens; guarded by mu
}

// lines is a log that is kept.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A signingKey is a certificate with its private key.
type signingKey struct {
	der []byte
	key *rsa.PrivateKey
}

func (k *signingKey) x5t() string    { return trust.X5T(k.der) }
func (k *signingKey) base64() string { return base64.StdEncoding.EncodeToString(k.der) }

func keyOf(t testing.TB, c directory.Certificate) *signingKey {
	t.Helper()
	private, err := x509.ParsePKCS8PrivateKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &signingKey{c.DER, private.(*rsa.PrivateKey)}
}

// newKey makes a certificate that is valid from from to until.
func newKey(t testing.TB, name string, from, until time.Time) *signingKey {
	t.Helper()
	c, err := trust.NewSigningCertificate("CN="+name, from, until)
	if err != nil {
		t.Fatal(err)
	}
	return keyOf(t, c)
}

func (s *scene) now() time.Time { return s.from.Add(time.Duration(s.moved.Load())) }

// later moves the clock for the rest of the test.
func (s *scene) later(t testing.TB, d time.Duration) {
	s.moved.Add(int64(d))
	t.Cleanup(func() { s.moved.Add(-int64(d)) })
}

// newScene starts and joins a lab of the edition, adds a second tenant and a partner that is
// trusted directly, and takes all the keys.
func newScene(t *testing.T, edition string) *scene {
	t.Helper()
	s := &scene{from: time.Now().UTC().Truncate(time.Second), logs: new(lines), secrets: map[string]string{}, pieces: map[string]string{}}
	s.evil = &evilServer{s: s}
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	var err error
	s.trap, err = net.Listen("tcp", "127.0.0.1:0")
	must("trap", err)
	go func() {
		for {
			c, err := s.trap.Accept()
			if err != nil {
				return
			}
			s.caught.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() { s.trap.Close() })
	ctx := t.Context()
	s.Lab, err = Start(ctx, Options{
		Edition: edition, Now: s.now, Log: slog.New(slog.NewJSONHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), Out: s.logs,
		Strangers: map[string]Stranger{evilHost: {Handler: s.evil}, wrongHost: {Handler: s.evil, Certificate: selfSigned(t, wrongHost)},
			slowHost: {Handler: http.HandlerFunc(slowly)}},
	})
	must("lab", err)
	t.Cleanup(func() {
		s.http.CloseIdleConnections()
		if err := s.Lab.Close(); err != nil {
			t.Error(err)
		}
	})
	s.roots, err = client.ReadRoots(s.file.CAFile)
	must("roots", err)
	s.http = s.client(false)
	must("join", s.Join(ctx))

	dir, cloudAdmin, premises := s.deployments[authorize], s.deployments[cloud], s.deployments[onprem]
	realm, err := dir.Store.Realm(ctx, initial)
	must("realm", err)
	org, err := s.organization(ctx, onprem)
	must("on premises", err)
	cloudOrg, err := s.organization(ctx, cloud)
	must("cloud", err)
	other, err := dir.Admin.NewRealm(ctx, operator, admin.RealmParams{InitialDomain: otherInitial})
	must("realm", err)
	fabrikam, err := cloudAdmin.Admin.NewOrganization(ctx, operator, admin.OrganizationParams{Name: "fabrikam", Domain: otherDomain, Tenant: other.Object.ID})
	must("fabrikam", err)
	s.tenant, s.other, s.acs = realm.ID, other.Object.ID, s.Lab.cloud.ACSPrincipalID
	s.premises, s.hosted, s.hosted2 = org.ID, cloudOrg.ID, fabrikam.Object.ID
	front := server("CLOUD", cloudVersion, s.Lab.cloud.EWSHost)
	front.EWSApplications = ewsApplications[edition]
	_, err = cloudAdmin.Admin.NewServer(ctx, operator, s.hosted2, front)
	must("server", err)
	_, err = cloudAdmin.Admin.NewMailbox(ctx, operator, s.hosted2, admin.MailboxParams{Name: "uma", Primary: "uma@" + otherDomain, TimeZone: chinaZone, Password: rand.Text()})
	must("mailbox", err)
	_, err = cloudAdmin.Admin.NewAuthServer(ctx, operator, s.hosted2, directory.AuthServer{Common: directory.Common{Name: "ACS"}, AuthMetadataURL: s.metadataURL(s.other), Enabled: true})
	must("authorization server", err)
	_, err = premises.Admin.NewMailUser(ctx, operator, s.premises, admin.MailUserParams{Name: "gone", Primary: "gone@" + domain, ExternalAddress: "gone@" + coexistence})
	must("mail user", err)
	_, err = premises.Admin.SetMailUser(ctx, operator, s.premises, "gone@"+domain, func(r *directory.Recipient) error { r.Enabled = false; return nil })
	must("disable", err)

	cfg, err := dir.Store.AuthorityConfig(ctx)
	must("authority", err)
	s.authority = keyOf(t, cfg.Certificates[0])
	current := func(o *directory.Organization) *signingKey {
		return keyOf(t, *o.Certificate(o.AuthConfig.CurrentCertificateThumbprint))
	}
	s.org, s.cloudOrg, s.otherOrg = current(org), current(cloudOrg), current(fabrikam.Object)
	s.partner = newKey(t, partnerRealm, s.from, s.from.AddDate(5, 0, 0))
	s.delegate, s.pretender = newCurveKey(t, s.partner, s.from.Add(-time.Minute)), newCurveKey(t, nil, s.from.Add(-time.Minute))
	s.nobody = newKey(t, "nobody", s.from, s.from.AddDate(5, 0, 0))
	_, err = dir.Admin.NewServicePrincipalCredential(ctx, operator, s.other, directory.ExchangeAppID, admin.CredentialParams{Value: s.otherOrg.der})
	must("credential", err)
	s.change(t, onprem, s.premises, func(o *directory.Organization) {
		o.PartnerApplications = append(o.PartnerApplications, directory.PartnerApplication{
			Common: directory.Common{Name: "Northwind"}, Enabled: true, ApplicationIdentifier: directory.ExchangeAppID, Realm: partnerRealm,
			CertificateStrings: []string{s.partner.base64()}, LinkedAccount: domain + "/Users/Northwind",
		})
		o.LinkedUsers = append(o.LinkedUsers, directory.LinkedUser{Common: directory.Common{Name: "Northwind"}, Roles: directory.ApplicationRoles()})
		o.AcceptedDomains = append(o.AcceptedDomains, directory.AcceptedDomain{
			Common: directory.Common{Name: "lab"}, DomainName: "*.lab." + domain, DomainType: "Authoritative"})
	})
	for user, password := range s.state.Passwords {
		s.secret(password, "the password of "+user)
	}
	s.secret(base64.StdEncoding.EncodeToString(s.state.SealKey), "the seal key")
	return s
}

// client connects to the hosts of the world, and follows no redirect.
func (s *scene) client(http2 bool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: http2,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, cmp.Or(s.file.ConnectTo()[addr], addr))
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// change changes an organization for good, or for one test: the old state comes
// back when t ends, unless t is that of the scene itself.
func (s *scene) change(t testing.TB, at deploymentName, org directory.OrgID, fn func(*directory.Organization)) {
	t.Helper()
	store := s.deployments[at].Store
	before, err := store.Organization(t.Context(), org)
	if err != nil {
		t.Fatal(err)
	}
	before = before.Clone()
	set := func(ctx context.Context, fn func(*directory.Organization)) {
		if _, err := store.UpdateOrganization(ctx, org, func(o *directory.Organization) error { fn(o); return nil }); err != nil {
			t.Errorf("change organization: %v", err)
		}
	}
	set(t.Context(), fn)
	if strings.Contains(t.Name(), "/") {
		t.Cleanup(func() {
			set(context.Background(), func(o *directory.Organization) {
				o.AuthServers, o.PartnerApplications, o.LinkedUsers = before.AuthServers, before.PartnerApplications, before.LinkedUsers
				o.AcceptedDomains, o.Servers = before.AcceptedDomains, before.Servers
			})
		})
	}
}

// changeRealm changes the realm of contoso until t ends.
func (s *scene) changeRealm(t testing.TB, fn func(*directory.Realm)) {
	t.Helper()
	store := s.deployments[authorize].Store
	before, err := store.Realm(t.Context(), s.tenant)
	if err != nil {
		t.Fatal(err)
	}
	before = before.Clone()
	set := func(ctx context.Context, fn func(*directory.Realm)) {
		if _, err := store.UpdateRealm(ctx, s.tenant, func(r *directory.Realm) error { fn(r); return nil }); err != nil {
			t.Errorf("change realm: %v", err)
		}
	}
	set(t.Context(), fn)
	t.Cleanup(func() {
		set(context.Background(), func(r *directory.Realm) { r.Principals, r.Domains = before.Principals, before.Domains })
	})
}

// secret remembers what no log may hold.
func (s *scene) secret(text, what string) {
	if len(text) < 8 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[text] = what
}

// secretToken remembers the parts of a token.
func (s *scene) secretToken(token string) {
	parts := strings.Split(token, ".")
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, what := range []string{"", "the claims of a token", "a signature"} {
		// A beginning or an end is enough to be a leak.
		if i > 0 && i < len(parts) && len(parts[i]) > 2*piece {
			s.pieces[parts[i][:piece]], s.pieces[parts[i][len(parts[i])-piece:]] = what, what
		}
	}
}

// piece is how much of a token is too much.
const piece = 32

// longText may hold a part of a token.
var longText = regexp.MustCompile(`[A-Za-z0-9_-]{32,}`)

// jwtText is the beginning of a compact token: {"typ, {"alg, {"aud or {"iss in base64url.
var jwtText = regexp.MustCompile(`eyJ(0eXAi|hbGci|hdWQi|pc3Mi)[A-Za-z0-9_-]{12,}`)

// leaks reports what of the secrets a text holds.
func (s *scene) leaks(t testing.TB, where, text string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for secret, what := range s.secrets {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%s holds %s: …%s…", where, what, text[max(0, i-300):i])
		}
	}
	for _, at := range longText.FindAllStringIndex(text, -1) {
		for i := at[0]; i+piece <= at[1]; i++ {
			if what, ok := s.pieces[text[i:i+piece]]; ok {
				t.Errorf("%s holds %s: …%s…", where, what, text[max(0, i-300):i])
				break
			}
		}
	}
	if at := jwtText.FindStringIndex(text); at != nil {
		t.Errorf("%s holds a token: …%s…", where, text[max(0, at[0]-300):at[1]])
	}
	if i := strings.Index(text, "PRIVATE KEY"); i >= 0 {
		t.Errorf("%s holds a private key", where)
	}
}

// auditText is every audit event of the world.
func (s *scene) auditText(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for name, d := range s.deployments {
		for _, org := range []string{"", s.tenant, s.other, string(s.premises), string(s.hosted), string(s.hosted2)} {
			for e, err := range d.Store.AuditEvents(t.Context(), audit.Filter{Org: org}) {
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "%s %+v\n", name, e)
			}
		}
	}
	return b.String()
}

// A member is one member of a JSON object; a json.RawMessage is written as it is.
type member struct {
	name  string
	value any
}

type jsonObject []member

func (o jsonObject) String() string {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:", m.name)
		raw, ok := m.value.(json.RawMessage)
		if !ok {
			var err error
			if raw, err = json.Marshal(m.value); err != nil {
				panic(err)
			}
		}
		b.Write(raw)
	}
	b.WriteByte('}')
	return b.String()
}

func (o *jsonObject) set(name string, value any) {
	if i := slices.IndexFunc(*o, func(m member) bool { return m.name == name }); i >= 0 {
		(*o)[i].value = value
		return
	}
	o.add(name, value)
}

// add puts the member at the end, also when there is one of this name.
func (o *jsonObject) add(name string, value any) { *o = append(*o, member{name, value}) }

func (o *jsonObject) del(name string) {
	*o = slices.DeleteFunc(*o, func(m member) bool { return m.name == name })
}

// A forged is a token that is being made.
type forged struct {
	header, claims jsonObject
	key            *signingKey               // nil: no signature
	sign           func(input string) string // in place of key
	headerText     func(string) string       // last changes to the JSON and to the whole
	claimsText     func(string) string
	text           func(string) string
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func (f *forged) String() string {
	header, claims := f.header.String(), f.claims.String()
	if f.headerText != nil {
		header = f.headerText(header)
	}
	if f.claimsText != nil {
		claims = f.claimsText(claims)
	}
	input := b64(header) + "." + b64(claims)
	text := input + "."
	switch {
	case f.sign != nil:
		text += f.sign(input)
	case f.key != nil:
		text += b64(string(rs(f.key, crypto.SHA256)(input)))
	}
	if f.text != nil {
		text = f.text(text)
	}
	return text
}

// rs signs by PKCS #1 v1.5.
func rs(k *signingKey, h crypto.Hash) func(string) []byte {
	return func(input string) []byte {
		d := h.New()
		io.WriteString(d, input)
		sig, err := rsa.SignPKCS1v15(rand.Reader, k.key, h, d.Sum(nil))
		if err != nil {
			panic(err)
		}
		return sig
	}
}

// hs signs with a shared secret.
func hs(secret []byte) func(string) string {
	return func(input string) string {
		m := hmac.New(sha256.New, secret)
		io.WriteString(m, input)
		return b64(string(m.Sum(nil)))
	}
}

// A bearer is a request with a bearer token that is being made.
type bearer struct {
	outer *forged // nil: the actor token by itself
	actor *forged
	inner string              // the member of the outer token with the actor token
	text  func(string) string // last change to the token

	host     string // that is connected to, and that TLS asks for
	named    string // Host header; "": host
	path     string
	query    string
	kind     string // Content-Type
	body     []byte
	header   http.Header
	scheme   string
	auth     []string // Authorization headers; nil: scheme and token
	noBearer bool     // no Authorization header
}

// actorFor is what the authorization server issues to Exchange for the host.
func (s *scene) actorFor(host string) *forged {
	now := s.now()
	as := s.acs + "@" + s.tenant
	return &forged{
		header: jsonObject{{"typ", "JWT"}, {"alg", "RS256"}, {"x5t", s.authority.x5t()}, {"kid", s.authority.x5t()}},
		claims: jsonObject{
			{"aud", directory.ExchangeAppID + "/" + host + "@" + s.tenant}, {"iss", as},
			{"iat", now.Add(-5 * time.Minute).Unix()}, {"nbf", now.Add(-5 * time.Minute).Unix()}, {"exp", now.Add(24 * time.Hour).Unix()},
			{"identityprovider", as}, {"nameid", directory.ExchangeAppID + "@" + s.tenant},
			{"oid", "a1b2c3d4-0001-4000-8000-00000000e0a1"}, {"sub", "a1b2c3d4-0001-4000-8000-00000000e0a1"}, {"trustedfordelegation", "true"},
			{"rnd", rand.Text()}, // each token is another one: none is remembered
		},
		key: s.authority,
	}
}

// bearerFor is a token, and a question with it, that is in order: the cloud asks
// on premises for alice in the name of kim, or the other way round.
func (s *scene) bearerFor(host string) *bearer {
	now := s.now()
	user, about := "kim@"+domain, "alice@"+domain
	if host == s.Lab.cloud.EWSHost {
		user, about = about, user
	}
	outer := &forged{
		header: jsonObject{{"typ", "JWT"}, {"alg", "none"}},
		claims: jsonObject{
			{"aud", directory.ExchangeAppID + "/" + host + "@" + s.tenant}, {"iss", directory.ExchangeAppID + "@" + s.tenant},
			{"nbf", fmt.Sprint(now.Unix())}, {"exp", fmt.Sprint(now.Add(8 * time.Hour).Unix())},
			{"nameid", "10032000A1B2C3D4"}, {"nii", "urn:federation:MicrosoftOnline"},
			{"upn", user}, {"smtp", user}, {"sip", user},
		},
	}
	return &bearer{outer: outer, actor: s.actorFor(host), inner: "actortoken", host: host, path: "/ews/exchange.asmx",
		kind: "text/xml; charset=utf-8", body: s.question(about), scheme: "Bearer", header: http.Header{}}
}

// directFor is a token of the partner that contoso trusts directly.
func (s *scene) directFor() *bearer {
	b := s.bearerFor(mailHost)
	self := directory.ExchangeAppID + "@" + partnerRealm
	aud := directory.ExchangeAppID + "/" + mailHost + "@" + domain
	now := s.now()
	b.actor.header, b.actor.key = jsonObject{{"typ", "JWT"}, {"alg", "RS256"}, {"x5t", s.partner.x5t()}}, s.partner
	b.actor.claims = jsonObject{{"aud", aud}, {"iss", self}, {"nameid", self}, {"nbf", fmt.Sprint(now.Unix())},
		{"exp", fmt.Sprint(now.Add(8 * time.Hour).Unix())}, {"trustedfordelegation", "true"}, {"rnd", rand.Text()}}
	b.outer.claims.set("aud", aud)
	b.outer.claims.set("iss", self)
	return b
}

// question asks for one mailbox's free/busy.
func (s *scene) question(about string) []byte {
	w := s.nextWeek()
	zone := wintz.UTCRule
	return ews.AppendGetUserAvailabilityRequest(nil, &ews.AvailabilityRequest{
		Header: ews.Header{Version: "Exchange2013_SP1"}, Zone: &zone,
		Mailboxes: []ews.MailboxData{{Address: about, AttendeeType: "Required"}},
		FreeBusy: &ews.FreeBusyOptions{Start: ews.DateTime{Time: w.Start}, End: ews.DateTime{Time: w.End}, IntervalMinutes: 30,
			Views: []string{freebusy.ViewFreeBusyMerged.String()}},
	})
}

// token is the whole bearer token.
func (b *bearer) token() string {
	text := ""
	if b.outer == nil {
		text = b.actor.String()
	} else {
		f := *b.outer
		if b.inner != "" {
			f.claims = append(slices.Clone(f.claims), member{b.inner, b.actor.String()})
		}
		text = f.String()
	}
	if b.text != nil {
		text = b.text(text)
	}
	return text
}

// aud sets the audience in both tokens.
func (b *bearer) aud(v any) {
	b.actor.claims.set("aud", v)
	b.outer.claims.set("aud", v)
}

// appOnly leaves the actor token by itself.
func (b *bearer) appOnly() { b.outer = nil }

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
}

// send sends the request of b.
func (s *scene) send(t testing.TB, b *bearer) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+b.host+b.path, bytes.NewReader(b.body))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.RawQuery = b.query
	for k, v := range b.header {
		r.Header[k] = v
	}
	r.Header.Set("Content-Type", b.kind)
	switch {
	case b.noBearer:
		s.secretToken(b.token())
	case b.auth != nil:
		r.Header["Authorization"] = b.auth
	default:
		token := b.token()
		s.secretToken(token)
		if b.outer != nil {
			s.secretToken(b.actor.String())
		}
		r.Header.Set("Authorization", b.scheme+" "+token)
	}
	r.Host = b.named
	return s.do(t, r)
}

// do sends a request and reads the answer.
func (s *scene) do(t testing.TB, r *http.Request) answer {
	t.Helper()
	start := time.Now()
	resp, err := s.http.Do(r)
	if err != nil {
		t.Fatalf("%s: %v", r.URL.Host, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body, time.Since(start)}
}

// grantForm is a token request that is in order.
type grantForm struct {
	realm     string // in the path
	host      string
	assertion *forged
	path      string     // behind the realm
	field     string     // of the assertion
	form      url.Values // grant_type, resource; assertion is added
	text      func(string) string
	kind      string
	query     string
}

// assertionOf is an assertion of an Exchange organization.
func (s *scene) assertionOf(k *signingKey, realm string) *forged {
	now := s.now()
	return &forged{
		header: jsonObject{{"typ", "JWT"}, {"alg", "RS256"}, {"x5t", k.x5t()}},
		claims: jsonObject{{"aud", s.acs + "/" + s.Lab.cloud.ACSHost + "@" + realm}, {"iss", directory.ExchangeAppID + "@" + realm},
			{"nbf", fmt.Sprint(now.Unix())}, {"exp", fmt.Sprint(now.Add(5 * time.Minute).Unix())}, {"rnd", rand.Text()}},
		key: k,
	}
}

// grant is what contoso on premises asks to reach the cloud.
func (s *scene) grant() *grantForm {
	return &grantForm{realm: s.tenant, path: "/tokens/OAuth/2", field: "assertion", host: s.Lab.cloud.ACSHost, assertion: s.assertionOf(s.org, s.tenant), kind: "application/x-www-form-urlencoded",
		form: url.Values{"grant_type": {acs.GrantJWTBearer}, "resource": {directory.ExchangeAppID + "/" + s.Lab.cloud.EWSHost + "@" + s.tenant}}}
}

// requestToken posts a token request.
func (s *scene) requestToken(t testing.TB, g *grantForm) answer {
	t.Helper()
	if g.assertion != nil {
		text := g.assertion.String()
		s.secretToken(text)
		g.form.Set(g.field, text)
	}
	body := g.form.Encode()
	if g.text != nil {
		body = g.text(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+g.host+"/"+g.realm+g.path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.RawQuery = g.query
	r.Header.Set("Content-Type", g.kind)
	a := s.do(t, r)
	var issued struct {
		Token string `json:"access_token"`
	}
	if a.status == http.StatusOK && json.Unmarshal(a.body, &issued) == nil {
		s.secretToken(issued.Token)
	}
	return a
}

func selfSigned(t testing.TB, host string) *tls.Certificate {
	t.Helper()
	now := time.Now()
	c, err := trust.NewSigningCertificate("CN="+host, now, now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	k := keyOf(t, c)
	return &tls.Certificate{Certificate: [][]byte{k.der}, PrivateKey: k.key}
}

func slowly(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "{")
	_ = http.NewResponseController(w).Flush() // when it fails, the caller went away
	<-r.Context().Done()
}

// An evilServer is a host that somebody else runs: it publishes what a test
// tells it to, and keeps what it is sent.
type evilServer struct {
	s        *scene
	mu       sync.Mutex
	serve    http.HandlerFunc // guarded by mu; nil: 404
	requests []*http.Request  // guarded by mu
}

func (e *evilServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	serve := e.serve
	e.requests = append(e.requests, r)
	e.mu.Unlock()
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		e.s.secretToken(token)
	}
	if serve == nil {
		http.NotFound(w, r)
		return
	}
	serve(w, r)
}

// will sets what the server answers, until t ends.
func (e *evilServer) will(t testing.TB, serve http.HandlerFunc) {
	e.set(serve)
	t.Cleanup(func() { e.set(nil) })
}

func (e *evilServer) set(serve http.HandlerFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.serve, e.requests = serve, nil
}

// seen are the requests since the last set.
func (e *evilServer) seen() []*http.Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.requests)
}
