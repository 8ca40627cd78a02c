package lab

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/app/shell"
	"busybridge/internal/app/terminal"
	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
)

// The authorization server that somebody else runs.
const (
	evilPID   = "0000000e-0000-0000-c000-000000000000"
	evilRealm = "e1e1e1e1-0000-4000-8000-000000000001"
	evilURL   = "https://" + evilHost + "/metadata/json/1"
)

// A document is a metadata document that is being made.
type document struct {
	issuer, realm, endpoint string
	keys                    []map[string]any
}

func evilDocument(keys ...*signingKey) *document {
	d := &document{issuer: evilPID + "@" + evilRealm, realm: evilRealm, endpoint: "https://" + evilHost + "/tokens/OAuth/2"}
	for _, k := range keys {
		d.keys = append(d.keys, documentKey(k.x5t(), k))
	}
	return d
}

func documentKey(x5t string, k *signingKey) map[string]any {
	return map[string]any{"usage": "signing", "keyValue": map[string]any{"type": "x509Certificate", "value": k.base64(), "keyInfo": map[string]string{"x5t": x5t}}}
}

func (d *document) String() string {
	b, err := json.Marshal(map[string]any{"keys": d.keys, "realm": d.realm, "issuer": d.issuer, "name": "sts", "version": "1.0",
		"allowedAudiences": []string{evilPID + "/" + evilHost + "@" + evilRealm},
		"endpoints":        []map[string]string{{"location": d.endpoint, "protocol": "OAuth2", "usage": "issuance"}}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// says serves a text.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, text)
	}
}

func to(u string, status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, u, status) }
}

// newEvil makes the AuthServer of the stranger on premises; the error is for the
// test to judge. It goes when t ends.
func (s *scene) newEvil(t testing.TB, u string) error {
	t.Helper()
	a := s.deployments[onprem].Admin
	_, err := a.NewAuthServer(t.Context(), operator, s.premises, directory.AuthServer{Common: directory.Common{Name: "Evil"}, AuthMetadataURL: u, Enabled: true})
	if err == nil {
		t.Cleanup(func() {
			if _, err := a.RemoveAuthServer(context.Background(), operator, s.premises, "Evil"); err != nil {
				t.Error(err)
			}
		})
	}
	return err
}

// metadataAttacks are documents that must not be used.
func metadataAttacks(t *testing.T, s *scene) {
	good := evilDocument(s.nobody)
	doc := func(change func(*document)) http.HandlerFunc {
		d := evilDocument(s.nobody)
		change(d)
		return says(d.String())
	}
	for _, c := range []struct {
		name  string
		url   string // "": evilURL
		serve http.HandlerFunc
		ok    bool
	}{
		{name: "in order", serve: says(good.String()), ok: true},
		{name: "one x5t for two certificates", serve: doc(func(d *document) { d.keys = append(d.keys, documentKey(s.nobody.x5t(), s.partner)) })},
		{name: "the only key has another x5t", serve: doc(func(d *document) { d.keys = []map[string]any{documentKey(s.authority.x5t(), s.nobody)} })},
		{name: "a key beside it has another x5t", serve: doc(func(d *document) { d.keys = append(d.keys, documentKey(s.authority.x5t(), s.partner)) }), ok: true},
		{name: "no key", serve: doc(func(d *document) { d.keys = nil })},
		{name: "keys for another use", serve: doc(func(d *document) { d.keys[0]["usage"] = "encryption" })},
		{name: "33 keys", serve: doc(func(d *document) {
			for range 32 {
				d.keys = append(d.keys, d.keys[0])
			}
		})},
		{name: "no certificate", serve: doc(func(d *document) { d.keys[0]["keyValue"].(map[string]any)["value"] = "AAAA" })},
		{name: "every realm", serve: doc(func(d *document) { d.realm, d.issuer = "*", evilPID+"@*" })},
		{name: "issuer and realm disagree", serve: doc(func(d *document) { d.issuer = evilPID + "@" + s.tenant })},
		{name: "issuer is none", serve: doc(func(d *document) { d.issuer = "https://" + evilHost })},
		{name: "token endpoint by http", serve: doc(func(d *document) { d.endpoint = "http://" + evilHost + "/tokens" })},
		{name: "token endpoint is a file", serve: doc(func(d *document) { d.endpoint = "file:///etc/passwd" })},
		{name: "no token endpoint", serve: doc(func(d *document) { d.endpoint = "" })},
		{name: "by http", url: "http://" + evilHost + "/metadata/json/1", serve: says(good.String())},
		{name: "a file", url: "file:///etc/passwd"},
		{name: "an address of the machine", url: "https://" + s.trap.Addr().String() + "/"},
		{name: "localhost", url: "https://localhost:" + s.trap.Addr().String()[strings.LastIndexByte(s.trap.Addr().String(), ':')+1:] + "/"},
		{name: "IPv6 loopback", url: "https://[::1]/"}, {name: "private", url: "https://10.1.2.3/"}, {name: "services of a cloud", url: "https://169.254.169.254/latest/meta-data"},
		{name: "disguised", url: "https://[::ffff:127.0.0.1]/"}, {name: "as a number", url: "https://2130706433/"}, {name: "octal", url: "https://0177.0.0.1/"},
		{name: "with a password", url: "https://user:secret@" + evilHost + "/"},
		{name: "another host", serve: to(s.metadataURL(s.tenant), http.StatusFound)},
		{name: "another host, for good", serve: to(s.metadataURL(s.tenant), http.StatusPermanentRedirect)},
		{name: "redirect to http", serve: to("http://"+evilHost+"/x", http.StatusFound)},
		{name: "redirect to an address of the machine", serve: to("https://"+s.trap.Addr().String()+"/", http.StatusFound)},
		{name: "redirects without end", serve: to(evilURL, http.StatusFound)},
		{name: "10 MB", serve: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, good.String())
			io.WriteString(w, strings.Repeat(" ", 10<<20))
		}},
		{name: "a long list", serve: says(`{"issuer":"a@b","endpoints":[` + strings.Repeat(`{},`, 100000) + `{}]}`)},
		{name: "deeply nested", serve: says(strings.Repeat("[", 500000))},
		{name: "cut off", serve: says(good.String()[:300])},
		{name: "HTML", serve: says("<html>")}, {name: "null", serve: says("null")}, {name: "nothing", serve: says("")},
		{name: "an error", serve: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, good.String(), http.StatusInternalServerError)
		}},
		{name: "headers of 200 KB", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 200<<10))
			io.WriteString(w, good.String())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.evil.will(t, c.serve)
			start := time.Now()
			err := s.newEvil(t, or(c.url, evilURL))
			if (err == nil) != c.ok {
				t.Errorf("refused: %v", err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
			if c.name == "a key beside it has another x5t" && err == nil {
				org, err := s.deployments[onprem].Store.Organization(t.Context(), s.premises)
				if err != nil {
					t.Fatal(err)
				}
				if got := org.AuthServers[len(org.AuthServers)-1].CertificateStrings; !slices.Equal(got, []string{s.nobody.base64()}) {
					t.Errorf("%d certificates are kept, want the one that fits", len(got))
				}
			}
		})
	}
	t.Run("A19 direct trust for every realm", func(t *testing.T) {
		s.evil.will(t, says(strings.ReplaceAll(evilDocument(s.nobody).String(), evilRealm, "*")))
		a := s.deployments[onprem].Admin
		if _, err := a.NewPartnerApplication(t.Context(), operator, s.premises, directory.PartnerApplication{
			Common: directory.Common{Name: "Everybody"}, Enabled: true, AuthMetadataURL: evilURL}); err == nil {
			t.Error("a partner of every realm is trusted")
		}
	})
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// slowDocument begins to fetch a document that never ends, and returns the test
// that this is given up.
func (s *scene) slowDocument(t *testing.T) func(*testing.T) {
	type outcome struct {
		err  error
		took time.Duration
	}
	done := make(chan outcome, 1)
	go func() {
		start := time.Now()
		_, err := s.deployments[onprem].Admin.NewAuthServer(t.Context(), operator, s.premises,
			directory.AuthServer{Common: directory.Common{Name: "Slow"}, AuthMetadataURL: "https://" + slowHost + "/metadata/json/1", Enabled: true})
		done <- outcome{err, time.Since(start)}
	}()
	return func(t *testing.T) { // it takes as long as all the rest
		if o := <-done; !errors.Is(o.err, context.DeadlineExceeded) || o.took > 15*time.Second {
			t.Errorf("after %v: %v; want an error after about ten seconds", o.took, o.err)
		}
	}
}

// evilBearer is a token of the stranger's authority for on premises.
func (s *scene) evilBearer(k *signingKey) *bearer {
	b := s.bearerFor(mailHost)
	b.toTenant(s, evilRealm, mailHost)
	b.actor.claims.set("iss", evilPID+"@"+evilRealm)
	b.actor.key = k
	b.actor.header.set("x5t", k.x5t())
	return b
}

// rollover is A46: a key counts while the document lists it, and not before its
// certificate is valid.
func rollover(t *testing.T, s *scene) {
	now := s.now()
	first := newKey(t, "first", now, now.AddDate(5, 0, 0))
	next := newKey(t, "next", now.Add(time.Hour), now.AddDate(5, 0, 0))
	a := s.deployments[onprem].Admin
	publish := func(keys ...*signingKey) {
		t.Helper()
		s.evil.set(says(evilDocument(keys...).String()))
		if _, err := a.SetAuthServer(t.Context(), operator, s.premises, "Evil", true, nil); err != nil {
			t.Fatal(err)
		}
	}
	check := func(name string, k *signingKey, w want) {
		t.Helper()
		s.expect(t, name, s.send(t, s.evilBearer(k)), w)
	}
	s.evil.will(t, says(evilDocument(first).String()))
	if err := s.newEvil(t, evilURL); err != nil {
		t.Fatal(err)
	}
	check("current", first, accepted)
	check("next, not yet published", next, refused(2000000))
	publish(first, next)
	check("current, next is published", first, accepted)
	check("next, published, before its time", next, refused(2000000))
	t.Run("later", func(t *testing.T) {
		s.later(t, time.Hour)
		s.expect(t, "next, in its time", s.send(t, s.evilBearer(next)), accepted)
		s.expect(t, "previous", s.send(t, s.evilBearer(first)), accepted)
	})
	publish(next)
	check("previous, cleared", first, refused(2000000))
	publish(first)
	check("listed again", first, accepted)
}

// changingMetadata publishes one thing when it is first read and another later.
func changingMetadata(t *testing.T, s *scene) {
	ctx := t.Context()
	s.evil.will(t, says(evilDocument(s.nobody).String()))
	if err := s.newEvil(t, evilURL); err != nil {
		t.Fatal(err)
	}
	works := func() {
		t.Helper()
		s.expect(t, "the key that was read", s.send(t, s.evilBearer(s.nobody)), accepted)
		s.expect(t, "the authority's", s.send(t, s.bearerFor(mailHost)), accepted)
	}
	works()
	a := s.deployments[onprem].Admin
	for name, change := range map[string]func(*document){
		"the issuer of the real authority": func(d *document) { d.issuer, d.realm = s.acs+"@"+s.tenant, s.tenant },
		"another issuer":                   func(d *document) { d.issuer = "0000000f-0000-0000-c000-000000000000@" + evilRealm },
		"another realm":                    func(d *document) { d.issuer, d.realm = evilPID+"@"+s.tenant, s.tenant },
		"every realm":                      func(d *document) { d.issuer, d.realm = evilPID+"@*", "*" },
		"no key":                           func(d *document) { d.keys = nil },
		"another token endpoint by http":   func(d *document) { d.endpoint = "http://" + evilHost + "/" },
	} {
		d := evilDocument(s.partner)
		change(d)
		s.evil.set(says(d.String()))
		if _, err := a.SetAuthServer(ctx, operator, s.premises, "Evil", true, nil); err == nil {
			t.Errorf("%s: Set-AuthServer -RefreshAuthMetadata takes it", name)
		}
		forged := s.bearerFor(mailHost)
		forged.actor.key = s.partner
		forged.actor.header.set("x5t", s.partner.x5t())
		s.expect(t, name+": a token of the real authority by the stranger's key", s.send(t, forged), refused(2000000))
		works()
	}
	// A key that is not known makes the metadata be read again; what is found
	// there counts when issuer and realm are the same.
	fresh := newKey(t, "fresh", s.now(), s.now().AddDate(1, 0, 0))
	t.Run("a new key is found", func(t *testing.T) {
		s.later(t, 2*time.Minute)
		asked := make(chan struct{}, 1)
		s.evil.set(func(w http.ResponseWriter, r *http.Request) {
			says(evilDocument(fresh).String())(w, r)
			select {
			case asked <- struct{}{}:
			default:
			}
		})
		s.expect(t, "not known yet", s.send(t, s.evilBearer(fresh)), refused(2000000))
		select {
		case <-asked:
		case <-time.After(10 * time.Second):
			t.Fatal("the metadata is not read again")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for got := s.send(t, s.evilBearer(fresh)); got.status != http.StatusOK && ctx.Err() == nil; got = s.send(t, s.evilBearer(fresh)) {
		}
		s.expect(t, "found", s.send(t, s.evilBearer(fresh)), accepted)
		s.expect(t, "the key that is gone", s.send(t, s.evilBearer(s.nobody)), refused(2000000))
		n := len(s.evil.seen())
		for range 20 { // each names a key that nobody has
			s.expect(t, "unknown", s.send(t, s.evilBearer(s.partner)), refused(2000000))
		}
		if got := len(s.evil.seen()) - n; got > 1 {
			t.Errorf("20 tokens with unknown keys made %d requests for metadata", got)
		}
	})
	t.Run("two servers say that they are the same", func(t *testing.T) {
		d := evilDocument(s.partner)
		d.issuer, d.realm = s.acs+"@"+s.tenant, s.tenant
		s.evil.set(says(d.String()))
		_, err := a.NewAuthServer(t.Context(), operator, s.premises, directory.AuthServer{Common: directory.Common{Name: "Double"}, AuthMetadataURL: evilURL, Enabled: true})
		if err == nil {
			t.Error("a second AuthServer of the authority's issuer and realm is made")
			if _, err := a.RemoveAuthServer(t.Context(), operator, s.premises, "Double"); err != nil {
				t.Error(err)
			}
		}
	})
}

// changingPartner is a partner that is trusted directly and whose document
// changes: its keys are followed only from one that was pinned to the next.
func changingPartner(t *testing.T, s *scene) {
	const realm = "northwind.example.net"
	now := s.now()
	var keys []*signingKey
	for range 3 {
		keys = append(keys, newKey(t, realm, now, now.AddDate(1, 0, 0)))
	}
	publish := func(realm string, keys ...*signingKey) {
		d := evilDocument(keys...)
		d.issuer, d.realm = directory.ExchangeAppID+"@"+realm, realm
		s.evil.set(says(d.String()))
	}
	publish(realm, keys[0])
	t.Cleanup(func() { s.evil.set(nil) })
	a := s.deployments[onprem].Admin
	if _, err := a.NewPartnerApplication(t.Context(), operator, s.premises, directory.PartnerApplication{
		Common: directory.Common{Name: "Changing"}, Enabled: true, AuthMetadataURL: evilURL, LinkedAccount: domain + "/Users/Northwind"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := a.RemovePartnerApplication(context.Background(), operator, s.premises, "Changing"); err != nil {
			t.Error(err)
		}
	})
	check := func(name string, k *signingKey, w want) {
		t.Helper()
		b := s.directFor()
		self := directory.ExchangeAppID + "@" + realm
		b.actor.key = k
		b.actor.header.set("x5t", k.x5t())
		b.actor.claims.set("iss", self)
		b.actor.claims.set("nameid", self)
		b.outer.claims.set("iss", self)
		s.expect(t, name, s.send(t, b), w)
	}
	refresh := func() error {
		_, err := a.SetPartnerApplication(t.Context(), operator, s.premises, "Changing", true, nil)
		return err
	}
	check("pinned", keys[0], accepted)
	check("not published", keys[1], refused(2000000))

	publish(realm, keys[1])
	if err := refresh(); err != nil {
		t.Fatal(err)
	}
	check("another key in place of the pinned one", keys[1], refused(2000000))
	check("the pinned one", keys[0], accepted)

	publish(realm, keys[0], keys[1])
	if err := refresh(); err != nil {
		t.Fatal(err)
	}
	check("a key beside the pinned one", keys[1], accepted)
	publish(realm, keys[1], keys[2])
	if err := refresh(); err != nil {
		t.Fatal(err)
	}
	check("the next one", keys[2], accepted)
	check("the first one, which is gone", keys[0], refused(2000000))

	for _, other := range []string{domain, partnerRealm, "other.example.net"} {
		publish(other, keys[1], s.nobody)
		if err := refresh(); err == nil {
			t.Errorf("a document of %s is followed", other)
		}
		check("another identity", s.nobody, refused(2000000))
		check("the identity that was pinned", keys[1], accepted)
	}
}

// test runs Test-OAuthConnectivity from on premises, and returns what it shows.
func (s *scene) test(t *testing.T, target string, o exchangecmd.OAuthTest) string {
	t.Helper()
	var screen bytes.Buffer
	sh, err := s.Shell(t.Context(), ShellOptions{Org: string(onprem), Screen: shell.Screen{Streams: terminal.Streams(&screen, &screen, false), Zone: time.UTC}})
	if err != nil {
		t.Fatal(err)
	}
	defer sh.Close()
	who := " -AppOnly"
	if !o.AppOnly {
		who = " -Mailbox alice@" + domain
	}
	line := fmt.Sprintf("Test-OAuthConnectivity -Service EWS -TargetUri %s%s -Verbose | Format-List", target, who)
	if _, err := terminal.RunText(t.Context(), terminal.Config{Session: sh.Session, Out: &screen, Err: &screen, Width: 200, Prompt: sh.Prompt}, "", line); err != nil {
		t.Fatal(err)
	}
	s.leaks(t, "the output of Test-OAuthConnectivity", screen.String())
	return screen.String()
}

// connectivityOutput is A49: it shows what happened, and no secret.
func connectivityOutput(t *testing.T, s *scene) {
	for _, appOnly := range []bool{true, false} {
		text := s.test(t, "https://"+s.Lab.cloud.EWSHost+"/ews/exchange.asmx", exchangecmd.OAuthTest{AppOnly: appOnly})
		for _, want := range []string{"Success", "trusted_issuer", `"RS256"`, "redacted"} {
			if !strings.Contains(text, want) {
				t.Errorf("the output lacks %q:\n%s", want, text)
			}
		}
	}
}

// manInTheMiddle is A50: a host with a certificate of its own making.
func manInTheMiddle(t *testing.T, s *scene) {
	s.evil.will(t, says(evilDocument(s.nobody).String()))
	if err := s.newEvil(t, "https://"+wrongHost+"/metadata/json/1"); err == nil {
		t.Error("metadata of a host with a wrong certificate is taken")
	}
	text := s.test(t, "https://"+wrongHost+"/ews/exchange.asmx", exchangecmd.OAuthTest{})
	if strings.Contains(text, "Success") {
		t.Errorf("a host with a wrong certificate is asked:\n%s", text)
	}
	var screen bytes.Buffer
	sh, err := s.Shell(t.Context(), ShellOptions{Org: string(onprem), Screen: shell.Screen{Streams: terminal.Streams(&screen, &screen, false), Zone: time.UTC}})
	if err != nil {
		t.Fatal(err)
	}
	defer sh.Close()
	line := "New-AuthServer Wrong -AuthMetadataUrl https://" + wrongHost + "/metadata/json/1 -TrustAnySSLCertificate"
	if _, err := terminal.RunText(t.Context(), terminal.Config{Session: sh.Session, Out: &screen, Err: &screen, Width: 200, Prompt: sh.Prompt}, "", line); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(screen.String(), "certificate") || len(sh.Session.Errors()) == 0 {
		t.Errorf("New-AuthServer -TrustAnySSLCertificate says:\n%s", screen.String())
	}
	if n := len(s.evil.seen()); n > 0 {
		t.Errorf("%d requests came through a connection that is not verified", n)
	}
}

// bearerTokens are the tokens that the stranger was sent.
func (e *evilServer) bearerTokens() (out []string) {
	for _, r := range e.seen() {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if scheme != "" && !strings.EqualFold(scheme, "Bearer") || token != "" {
			out = append(out, scheme+" of "+fmt.Sprint(len(token))+" bytes")
		}
	}
	return out
}

// greedyResource is a resource that wants a token that it could use elsewhere.
func greedyResource(t *testing.T, s *scene) {
	challenge := func(clientID, realm, issuers string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer client_id=%q, realm=%q, trusted_issuers=%q`, clientID, realm, issuers))
			w.Header().Add("WWW-Authenticate", `Basic realm="x"`)
			w.Header().Add("WWW-Authenticate", `Negotiate`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	any := s.acs + "@*"
	for _, c := range []struct {
		name  string
		serve http.HandlerFunc
	}{
		{"its own host is not registered", challenge(directory.ExchangeAppID, "", any)},
		{"the host within the client id", challenge(directory.ExchangeAppID+"/"+s.Lab.cloud.EWSHost+"@"+s.tenant, "", any)},
		{"the host within the client id, cut off", challenge(directory.ExchangeAppID+"/"+s.Lab.cloud.EWSHost, "", any)},
		{"a realm with a host", challenge(directory.ExchangeAppID, s.Lab.cloud.EWSHost+"@"+s.tenant, any)},
		{"another application", challenge(sharepoint, "", any)},
		{"the authority", challenge(s.acs, "", any)},
		{"another realm", challenge(directory.ExchangeAppID, s.other, s.acs+"@"+s.other)},
		{"an issuer that is not known", challenge(directory.ExchangeAppID, "", evilPID+"@"+evilRealm)},
		{"redirect to the cloud", to("https://"+s.Lab.cloud.EWSHost+"/ews/exchange.asmx", http.StatusTemporaryRedirect)},
		{"redirect to http", to("http://"+evilHost+"/ews/exchange.asmx", http.StatusTemporaryRedirect)},
		{"a challenge of 200 KB", challenge(strings.Repeat("a", 200<<10), "", any)},
		{"a thousand issuers", challenge(directory.ExchangeAppID, "", strings.Repeat("a@b,", 1000)+any)},
		{"a broken challenge", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Www-Authenticate"] = []string{`Bearer client_id="x`, `Bearer`, `,,,`, `Bearer client_id=a, client_id=b`}
			w.WriteHeader(http.StatusUnauthorized)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.evil.will(t, c.serve)
			text := s.test(t, "https://"+evilHost+"/ews/exchange.asmx", exchangecmd.OAuthTest{})
			if strings.Contains(text, "ResultType  : Success") || len(s.evil.seen()) == 0 {
				t.Errorf("%d requests came; the output:\n%s", len(s.evil.seen()), text)
			}
			if got := s.evil.bearerTokens(); len(got) > 0 {
				t.Errorf("it was sent %q", got)
			}
		})
	}
}

// substitution is an authorization server that answers with tokens that were not
// asked for.
func substitution(t *testing.T, s *scene) {
	s.evil.will(t, says(evilDocument(s.nobody).String()))
	if err := s.newEvil(t, evilURL); err != nil {
		t.Fatal(err)
	}
	own := directory.ExchangeAppID + "/" + evilHost + "@" + evilRealm
	token := func(change func(*forged)) string {
		f := s.actorFor(evilHost)
		f.key = s.nobody
		f.claims.set("aud", own)
		change(f)
		return f.String()
	}
	for _, c := range []struct {
		name, token string
		ok          bool
	}{
		{"what was asked for", token(func(*forged) {}), true},
		{"a genuine one for the cloud", s.actorFor(s.Lab.cloud.EWSHost).String(), false},
		{"for another host", token(func(f *forged) { f.claims.set("aud", directory.ExchangeAppID+"/"+mailHost+"@"+evilRealm) }), false},
		{"for a list", token(func(f *forged) { f.claims.set("aud", []string{own}) }), false},
		{"that has expired", token(func(f *forged) { f.valid(s, -time.Hour, -time.Minute) }), false},
		{"of nobody", token(func(f *forged) { f.claims.del("nameid") }), false},
		{"with aud twice", token(func(f *forged) { f.claims.add("aud", own) }), false},
		{"rubbish", "rubbish", false},
		{"a header", "x\r\nX-Injected: yes", false},
		{"of 20 KB", strings.Repeat("A", 20<<10), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.evil.set(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/tokens/") {
					b, err := json.Marshal(map[string]string{"token_type": "Bearer", "expires_in": "3600", "access_token": c.token})
					if err != nil {
						t.Error(err)
					}
					w.Write(b)
					return
				}
				if r.Header.Get("X-Injected") != "" {
					t.Error("a header was made of a token")
				}
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer client_id=%q, trusted_issuers="%s@*"`, directory.ExchangeAppID, evilPID))
				w.WriteHeader(http.StatusUnauthorized)
			})
			text := s.test(t, "https://"+evilHost+"/ews/exchange.asmx", exchangecmd.OAuthTest{})
			if got := s.evil.bearerTokens(); (len(got) > 0) != c.ok {
				t.Errorf("the resource was sent %q; the output:\n%s", got, text)
			}
		})
	}
}

// enumeration is A48: strangers cannot tell who exists.
func enumeration(t *testing.T, s *scene) {
	basic := func(user, password string) answer {
		b := s.bearerFor(mailHost)
		b.auth = []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
		return s.send(t, b)
	}
	shape := func(a answer) string {
		h := a.header.Clone()
		for _, k := range []string{"Date", "Request-Id"} {
			h.Del(k)
		}
		return fmt.Sprintf("%d %v %s", a.status, h, a.body)
	}
	want := shape(basic("alice@"+domain, "wrong-password-1"))
	if !strings.HasPrefix(want, "401 ") {
		t.Errorf("a wrong password is answered %s", want)
	}
	for _, user := range []string{"nobody@" + domain, "gone@" + domain, "administrator@" + domain, "x", "alice@" + otherDomain, "kim@" + domain} {
		if got := shape(basic(user, "wrong-password-1")); got != want {
			t.Errorf("%s is told from alice:\n%s\n%s", user, got, want)
		}
	}
	texts := map[string]bool{}
	for _, address := range []string{"nobody@" + domain, "gone@" + domain, "uma@" + otherDomain, "nobody@nowhere.example.com"} {
		b := s.bearerFor(mailHost)
		for _, c := range []string{"upn", "smtp", "sip"} {
			b.outer.claims.set(c, address)
		}
		a := s.send(t, b)
		s.expect(t, address, a, refused(2000005))
		texts[a.header.Get(acs.DiagnosticsHeader)] = true
	}
	if len(texts) != 1 {
		t.Errorf("users that cannot be found are told apart: %v", texts)
	}
}
