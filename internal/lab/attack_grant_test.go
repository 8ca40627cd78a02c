package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
)

// A denied is what a token request must be answered: HTTP status, OAuth error
// and AADSTS number (oauth-s2s reference 3.3). The zero denied is a token.
type denied struct {
	status int
	code   string
	number int
}

func badClient(number int) denied { return denied{http.StatusUnauthorized, "invalid_client", number} }

func badRequest(number int) denied {
	return denied{http.StatusBadRequest, "invalid_request", number}
}

var (
	badResource = denied{http.StatusBadRequest, "invalid_resource", 500011}
	badKey      = badClient(50012)
	malformed   = badRequest(50027)
)

// A grantAttack is an attack on the token endpoint.
type grantAttack struct {
	name  string
	start func(*scene) *grantForm // nil: of contoso on premises to ACS
	with  func(*testing.T, *scene)
	tries []grantTry
}

type grantTry struct {
	name   string
	change func(*scene, *grantForm)
	want   denied
}

func (s *scene) runGrant(t *testing.T, a grantAttack) {
	start := s.grant
	if a.start != nil {
		start = func() *grantForm { return a.start(s) }
	}
	twin := func(t *testing.T) {
		t.Helper()
		s.expectGrant(t, "the twin that is in order", s.requestToken(t, start()), denied{})
	}
	twin(t)
	t.Run("attack", func(t *testing.T) {
		s.t = t
		if a.with != nil {
			a.with(t, s)
		}
		for _, v := range a.tries {
			g := start()
			v.change(s, g)
			got := s.requestToken(t, g)
			s.expectGrant(t, v.name, got, v.want)
			for n := 0; got.took > s.bound; n++ {
				if n == 3 {
					t.Errorf("%s: answered after %v, bound %v", v.name, got.took, s.bound)
					break
				}
				got = s.requestToken(t, g)
			}
		}
	})
	twin(t)
}

var problemText = regexp.MustCompile(`^AADSTS[0-9]+: .*\r\nTrace ID: [0-9a-f-]{36}\r\nCorrelation ID: [0-9a-f-]{36}\r\nTimestamp: `)

func (s *scene) expectGrant(t testing.TB, name string, got answer, w denied) {
	t.Helper()
	var body struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
		Codes       []int  `json:"error_codes"`
		Token       string `json:"access_token"`
	}
	if err := json.Unmarshal(got.body, &body); err != nil {
		t.Errorf("%s: status %d, body %.200q: %v", name, got.status, got.body, err)
		return
	}
	if got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control %q, want no-store", name, got.header.Get("Cache-Control"))
	}
	if w.status == 0 {
		if got.status != http.StatusOK || body.Token == "" {
			t.Errorf("%s: refused with %d %s: %s", name, got.status, body.Code, body.Description)
		}
		return
	}
	if got.status != w.status || body.Code != w.code || !slices.Contains(body.Codes, w.number) || body.Token != "" {
		t.Errorf("%s: %d %s %v, want %d %s %d\n%s", name, got.status, body.Code, body.Codes, w.status, w.code, w.number, body.Description)
	}
	if !strings.Contains(body.Description, fmt.Sprintf("AADSTS%d:", w.number)) || len(body.Description) > 2000 {
		t.Errorf("%s: description %q, want AADSTS%d", name, body.Description, w.number)
	}
	if w.number != 9000411 && !problemText.MatchString(body.Description) {
		t.Errorf("%s: description %q has no trace", name, body.Description)
	}
	s.leaks(t, name+": the answer", string(got.body))
}

// claim changes one claim of the assertion.
func claim(name string, w denied, claim string, v func(*scene) any) grantTry {
	return grantTry{name, func(s *scene, g *grantForm) {
		if x := v(s); x != nil {
			g.assertion.claims.set(claim, x)
		} else {
			g.assertion.claims.del(claim)
		}
	}, w}
}

func resource(name string, w denied, v func(*scene) string) grantTry {
	return grantTry{name, func(s *scene, g *grantForm) { g.form.Set("resource", v(s)) }, w}
}

// resourceHost asks for a token for Exchange at the host.
func resourceHost(name string, w denied, host string) grantTry {
	return resource(name+" "+host, w, func(s *scene) string { return directory.ExchangeAppID + "/" + host + "@" + s.tenant })
}

func formText(name string, w denied, fn func(string) string) grantTry {
	return grantTry{name, func(_ *scene, g *grantForm) { g.text = fn }, w}
}

func assertion(name string, w denied, change func(*scene, *forged)) grantTry {
	return grantTry{name, func(s *scene, g *grantForm) { change(s, g.assertion) }, w}
}

func unchanged(*scene, *grantForm) {}

// credentials changes the key credentials of Exchange in contoso's realm.
func credentials(fn func(s *scene, p *directory.ServicePrincipal, ours int)) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		s.changeRealm(t, func(r *directory.Realm) {
			p := exchangePrincipal(r)
			fn(s, p, slices.IndexFunc(p.KeyCredentials, func(k directory.KeyCredential) bool { return string(k.Value) == string(s.org.der) }))
		})
	}
}

func exchangePrincipal(r *directory.Realm) *directory.ServicePrincipal {
	return &r.Principals[slices.IndexFunc(r.Principals, func(p directory.ServicePrincipal) bool { return p.AppPrincipalID == directory.ExchangeAppID })]
}

func grantAttacks() []grantAttack {
	again := []grantTry{{"the key", unchanged, badKey}}
	return []grantAttack{
		{name: "A40 credential has expired", tries: again, with: credentials(func(s *scene, p *directory.ServicePrincipal, i int) {
			p.KeyCredentials[i].StartDate, p.KeyCredentials[i].EndDate = s.from.Add(-time.Second), s.from.Add(-time.Millisecond)
		})},
		{name: "A40 credential is not yet valid", tries: again, with: credentials(func(s *scene, p *directory.ServicePrincipal, i int) {
			p.KeyCredentials[i].StartDate = s.now().Add(time.Second)
		})},
		{name: "A40 credential is revoked", tries: again, with: credentials(func(_ *scene, p *directory.ServicePrincipal, i int) {
			p.KeyCredentials = slices.Delete(p.KeyCredentials, i, i+1)
		})},
		{name: "A40 credential of another principal", with: func(t *testing.T, s *scene) {
			s.changeRealm(t, func(r *directory.Realm) {
				p := exchangePrincipal(r)
				other := *p
				other.ObjectID, other.AppPrincipalID, other.DisplayName = "a1b2c3d4-0004-4000-8000-00000000e0a1", thirdApp, "Lync"
				other.ServicePrincipalNames = []string{thirdApp}
				other.KeyCredentials = []directory.KeyCredential{{KeyID: "a1b2c3d4-0005-4000-8000-00000000e0a1", Type: "Asymmetric", Usage: "Verify",
					Value: s.nobody.der, StartDate: s.from, EndDate: s.from.AddDate(1, 0, 0)}}
				r.Principals = append(r.Principals, other)
			})
		}, tries: []grantTry{
			{"signs for Exchange", func(s *scene, g *grantForm) {
				g.assertion.key = s.nobody
				g.assertion.header.set("x5t", s.nobody.x5t())
			}, badKey},
			{"signs for Exchange with its x5t", func(s *scene, g *grantForm) { g.assertion.key = s.nobody }, badKey},
			{"Exchange signs for it", func(s *scene, g *grantForm) { g.assertion.claims.set("iss", thirdApp+"@"+s.tenant) }, badKey},
			{"it signs for itself", func(s *scene, g *grantForm) {
				g.assertion.key = s.nobody
				g.assertion.header.set("x5t", s.nobody.x5t())
				g.assertion.claims.set("iss", thirdApp+"@"+s.tenant)
			}, denied{}},
		}},
		{name: "A40 principal is disabled", with: func(t *testing.T, s *scene) {
			s.changeRealm(t, func(r *directory.Realm) { exchangePrincipal(r).AccountEnabled = false })
		}, tries: []grantTry{{"the key", unchanged, denied{http.StatusBadRequest, "unauthorized_client", 700016}}}},
		{name: "A40 keys of others", tries: []grantTry{
			{"another tenant's", func(s *scene, g *grantForm) {
				g.assertion.key = s.otherOrg
				g.assertion.header.set("x5t", s.otherOrg.x5t())
			}, badKey},
			{"another tenant's with our x5t", func(s *scene, g *grantForm) { g.assertion.key = s.otherOrg }, badKey},
			{"the authority's own", func(s *scene, g *grantForm) {
				g.assertion.key = s.authority
				g.assertion.header.set("x5t", s.authority.x5t())
			}, badKey},
			{"nobody's", func(s *scene, g *grantForm) {
				g.assertion.key = s.nobody
				g.assertion.header.set("x5t", s.nobody.x5t())
			}, badKey},
			assertion("no x5t", badKey, func(_ *scene, f *forged) { f.header.del("x5t") }),
			assertion("no signature", badKey, func(_ *scene, f *forged) { f.key = nil }),
			assertion("jwk", badKey, func(s *scene, f *forged) {
				f.key = s.nobody
				f.header.set("x5t", s.nobody.x5t())
				f.header.add("x5c", []string{s.nobody.base64()})
				f.header.add("jwk", map[string]string{"kty": "RSA", "e": "AQAB", "n": b64(string(s.nobody.key.N.Bytes()))})
			}),
			assertion("jku", badKey, func(s *scene, f *forged) {
				f.key = s.nobody
				f.header.set("x5t", s.nobody.x5t())
				f.header.add("jku", s.trapURLs()[3])
				f.header.add("x5u", s.trapURLs()[0])
			}),
		}},
		{name: "A2 A3 A4 assertion of another algorithm", tries: []grantTry{
			assertion("none", badClient(50027), func(_ *scene, f *forged) { f.header.set("alg", "none"); f.key = nil }),
			assertion("None", badClient(50027), func(_ *scene, f *forged) { f.header.set("alg", "None"); f.key = nil }),
			assertion("HS256 with the certificate", badClient(50027), func(s *scene, f *forged) { f.header.set("alg", "HS256"); f.sign = hs(s.org.der) }),
			assertion("RS512", badClient(50027), func(s *scene, f *forged) { f.header.set("alg", "RS512") }),
			assertion("none", badClient(50027), func(_ *scene, f *forged) { f.header.del("alg") }),
		}},
		{name: "A41 assertions for others", tries: []grantTry{
			claim("another tenant", badClient(700023), "aud", func(s *scene) any { return s.acs + "/" + s.Lab.cloud.ACSHost + "@" + s.other }),
			claim("the resource", badClient(700023), "aud", func(s *scene) any { return directory.ExchangeAppID + "/" + s.Lab.cloud.EWSHost + "@" + s.tenant }),
			claim("another authority", badClient(700023), "aud", func(s *scene) any {
				return "00000001-0000-0000-c000-000000000000/accounts.accesscontrol.windows.net@" + s.tenant
			}),
			claim("another host of the authority", badClient(700023), "aud", func(s *scene) any { return s.acs + "/" + s.Lab.cloud.LoginHosts[0] + "@" + s.tenant }),
			claim("the endpoint's URL", badClient(700023), "aud", func(s *scene) any {
				return "https://" + s.Lab.cloud.ACSHost + "/" + s.tenant + "/tokens/OAuth/2"
			}),
			claim("a list", badClient(700023), "aud", func(s *scene) any { return []string{s.acs + "/" + s.Lab.cloud.ACSHost + "@" + s.tenant} }),
			claim("nobody", badClient(700023), "aud", func(*scene) any { return nil }),
			claim("by domain", denied{}, "aud", func(s *scene) any { return s.acs + "/" + s.Lab.cloud.ACSHost + "@" + domain }),
			{"an actor token", func(s *scene, g *grantForm) { g.assertion = s.actorFor(s.Lab.cloud.EWSHost) }, badClient(50027)},
			{"an outer token", func(s *scene, g *grantForm) {
				g.assertion = nil
				g.form.Set("assertion", s.bearerFor(s.Lab.cloud.EWSHost).token())
			}, badClient(50027)},
			{"sent again within its life", func(s *scene, g *grantForm) {
				text := g.assertion.String()
				g.assertion.text = func(string) string { return text }
				s.expectGrant(s.t, "first", s.requestToken(s.t, g), denied{})
			}, denied{}},
		}},
		{name: "A41 an assertion sent again after its life", tries: []grantTry{{"again", func(s *scene, g *grantForm) {
			text := g.assertion.String()
			g.assertion.text = func(string) string { return text }
			s.expectGrant(s.t, "first", s.requestToken(s.t, g), denied{})
			s.later(s.t, 10*time.Minute)
		}, badClient(700024)}}},
		{name: "A42 resources that are not registered", tries: []grantTry{
			resourceHost("a host below the wildcard", denied{}, mailHost),
			resourceHost("in upper case", denied{}, "MAIL.CONTOSO.COM"),
			resourceHost("the apex", badResource, domain),
			resourceHost("two labels", badResource, "a.b."+domain),
			resourceHost("no dot between", badResource, "evil"+domain),
			resourceHost("our name as a prefix", badResource, mailHost+".evil.test"),
			resourceHost("empty label", badResource, "."+domain),
			resourceHost("two dots", badResource, "mail.."+domain),
			resourceHost("the wildcard itself", badResource, "*."+domain),
			resourceHost("a wildcard below it", badResource, "*.mail."+domain),
			resourceHost("part of a label", badResource, "m*."+domain),
			resourceHost("trailing dot", badResource, mailHost+"."),
			resourceHost("trailing dot before the port", badResource, mailHost+".:443"),
			resourceHost("two trailing dots", badResource, mailHost+".."),
			resourceHost("another port", badResource, mailHost+":444"),
			resourceHost("no port", badResource, mailHost+":"),
			resourceHost("Cyrillic letters in the domain", badResource, "mail.сontoso.com"),
			resourceHost("the same as an A-label", badResource, "mail.xn--ontoso-8xf.com"),
			resourceHost("Cyrillic letters below the wildcard", badResource, "mаil.contoso.com"),
			resourceHost("a wide dot", badResource, "mail．contoso.com"),
			resourceHost("an address", badResource, "127.0.0.1"),
			resourceHost("a host of nobody", badResource, evilHost),
			resourceHost("another tenant's", badResource, "mail."+otherDomain),
			resourceHost("a space", badResource, "mail. "+domain),
			resourceHost("a line end", badResource, "mail."+domain+"\r\nX-A: b"),
			resource("the id alone", badResource, func(*scene) string { return directory.ExchangeAppID }),
			resource("a URL", badResource, func(s *scene) string { return "https://" + s.Lab.cloud.EWSHost }),
			resource("another principal's name", badResource, func(s *scene) string { return sharepoint + "/" + s.Lab.cloud.EWSHost + "@" + s.tenant }),
			resource("the authority", badResource, func(s *scene) string { return s.acs + "/" + s.Lab.cloud.ACSHost + "@" + s.tenant }),
			resource("upper-case pid", badResource, func(s *scene) string {
				return strings.ToUpper(directory.ExchangeAppID) + "/" + s.Lab.cloud.EWSHost + "@" + s.tenant
			}),
			resource("two realms", badResource, func(s *scene) string {
				return directory.ExchangeAppID + "/" + s.Lab.cloud.EWSHost + "@" + s.tenant + "@" + s.other
			}),
			resource("another realm", badRequest(90002), func(s *scene) string { return directory.ExchangeAppID + "/" + s.Lab.cloud.EWSHost + "@" + s.other }),
			resource("any realm", badRequest(90002), func(s *scene) string { return directory.ExchangeAppID + "/" + s.Lab.cloud.EWSHost + "@*" }),
			resource("of 10 KB", badResource, func(s *scene) string {
				return directory.ExchangeAppID + "/" + strings.Repeat("a", 10<<10) + "@" + s.tenant
			}),
		}},
		{name: "A44 realms that disagree", tries: []grantTry{
			{"realm parameter", func(s *scene, g *grantForm) { g.form.Set("realm", s.other) }, badRequest(90002)},
			{"realm parameter by another domain", func(_ *scene, g *grantForm) { g.form.Set("realm", otherInitial) }, badRequest(90002)},
			{"path", func(s *scene, g *grantForm) { g.realm = s.other }, badRequest(90002)},
			{"path by another domain", func(_ *scene, g *grantForm) { g.realm = otherInitial }, badRequest(90002)},
			{"unknown tenant", func(_ *scene, g *grantForm) { g.realm = "nobody.example.com" }, badRequest(90002)},
			{"common", func(_ *scene, g *grantForm) { g.realm = "common" }, badRequest(90002)},
			{"any tenant", func(_ *scene, g *grantForm) { g.realm = "*" }, badRequest(90002)},
			claim("assertion", badRequest(90002), "iss", func(s *scene) any { return directory.ExchangeAppID + "@" + s.other }),
			claim("assertion for any realm", badRequest(90002), "iss", func(*scene) any { return directory.ExchangeAppID + "@*" }),
			{"all by domain", func(_ *scene, g *grantForm) {
				g.realm = domain
				g.form.Set("realm", domain)
			}, denied{}},
			{"the realm parameter that agrees", func(s *scene, g *grantForm) { g.form.Set("realm", s.tenant) }, denied{}},
			{"in upper case", func(s *scene, g *grantForm) { g.realm = strings.ToUpper(s.tenant) }, denied{}},
		}},
		{name: "A45 issuer of the assertion", tries: []grantTry{
			claim("upper case", badClient(50027), "iss", func(s *scene) any { return "00000002-0000-0FF1-CE00-000000000000@" + s.tenant }),
			claim("a URN", badClient(50027), "iss", func(s *scene) any { return "urn:uuid:" + directory.ExchangeAppID + "@" + s.tenant }),
			claim("braces", badClient(50027), "iss", func(s *scene) any { return "{" + directory.ExchangeAppID + "}@" + s.tenant }),
			claim("the authority", badClient(50027), "iss", func(s *scene) any { return s.acs + "@" + s.tenant }),
			claim("a URL", badClient(50027), "iss", func(*scene) any { return "https://sts.windows.net/" }),
			claim("a list", badClient(50027), "iss", func(s *scene) any { return []string{directory.ExchangeAppID + "@" + s.tenant} }),
			claim("nobody", badClient(50027), "iss", func(*scene) any { return nil }),
			claim("no realm", badClient(50027), "iss", func(*scene) any { return directory.ExchangeAppID }),
			claim("unknown application", denied{http.StatusBadRequest, "unauthorized_client", 700016}, "iss", func(s *scene) any { return thirdApp + "@" + s.tenant }),
		}},
		{name: "A27 A28 times of the assertion", tries: []grantTry{
			assertion("begins in 5:00", denied{}, func(s *scene, f *forged) { f.valid(s, 5*time.Minute, 10*time.Minute) }),
			assertion("begins in 5:01", badClient(700024), func(s *scene, f *forged) { f.valid(s, 5*time.Minute+time.Second, 10*time.Minute) }),
			assertion("ended 4:59 ago", denied{}, func(s *scene, f *forged) { f.valid(s, -10*time.Minute, -5*time.Minute+time.Second) }),
			assertion("ended 5:00 ago", badClient(700024), func(s *scene, f *forged) { f.valid(s, -10*time.Minute, -5*time.Minute) }),
			assertion("an hour", denied{}, func(s *scene, f *forged) { f.valid(s, 0, time.Hour) }),
			assertion("an hour and a second", badClient(700024), func(s *scene, f *forged) { f.valid(s, 0, time.Hour+time.Second) }),
			assertion("ten years", badClient(700024), func(s *scene, f *forged) { f.valid(s, 0, 87600*time.Hour) }),
			assertion("ends before it begins", badClient(700024), func(s *scene, f *forged) { f.valid(s, time.Minute, 0) }),
			claim("no end", badClient(700024), "exp", func(*scene) any { return nil }),
			claim("no begin", badClient(700024), "nbf", func(*scene) any { return nil }),
			claim("a fraction", badClient(700024), "exp", func(*scene) any { return json.RawMessage("4102444800.5") }),
			claim("1e300", badClient(700024), "exp", func(*scene) any { return json.RawMessage("1e300") }),
		}},
		{name: "A29 A30 assertions that readers disagree about", tries: []grantTry{
			assertion("iss twice", malformed, func(s *scene, f *forged) { f.claims.add("iss", directory.ExchangeAppID+"@"+s.tenant) }),
			assertion("ISS beside iss", malformed, func(s *scene, f *forged) { f.claims.add("ISS", directory.ExchangeAppID+"@"+s.other) }),
			assertion("text after the object", malformed, func(_ *scene, f *forged) { f.claimsText = func(t string) string { return t + "{}" } }),
			assertion("a byte order mark", malformed, func(_ *scene, f *forged) { f.headerText = func(t string) string { return "\xef\xbb\xbf" + t } }),
			assertion("a depth of 2000", malformed, func(_ *scene, f *forged) {
				f.claims.add("x", json.RawMessage(strings.Repeat("[", 2000)+strings.Repeat("]", 2000)))
			}),
			assertion("crit", malformed, func(_ *scene, f *forged) { f.header.add("crit", []string{"exp"}) }),
			assertion("padding", malformed, func(_ *scene, f *forged) { f.text = func(t string) string { return t + "==" } }),
			assertion("a line end", malformed, func(_ *scene, f *forged) { f.text = func(t string) string { return t + "\n" } }),
			assertion("trailing bits", malformed, func(_ *scene, f *forged) { f.text = trailingBits }),
			assertion("rubbish", malformed, func(_ *scene, f *forged) { f.text = func(string) string { return "rubbish" } }),
		}},
		{name: "forms", tries: []grantTry{
			{"no grant type", func(_ *scene, g *grantForm) { g.form.Del("grant_type") }, badRequest(900144)},
			{"no resource", func(_ *scene, g *grantForm) { g.form.Del("resource") }, badRequest(900144)},
			{"no assertion", func(_ *scene, g *grantForm) { g.assertion = nil }, badRequest(900144)},
			{"another grant type", func(_ *scene, g *grantForm) { g.form.Set("grant_type", "password") }, denied{http.StatusBadRequest, "unsupported_grant_type", 70003}},
			{"authorization_code", func(_ *scene, g *grantForm) { g.form.Set("grant_type", "authorization_code") }, denied{http.StatusBadRequest, "unsupported_grant_type", 70003}},
			{"the name of RFC 7523", func(_ *scene, g *grantForm) { g.form.Set("grant_type", acs.GrantJWTBearerRFC) }, denied{}},
			{"resource twice", func(s *scene, g *grantForm) {
				g.form.Add("resource", directory.ExchangeAppID+"/"+mailHost+"@"+s.tenant)
			}, badRequest(9000411)},
			formText("assertion twice", badRequest(9000411), func(t string) string { return t + "&assertion=x" }),
			formText("a semicolon", badRequest(9000411), func(t string) string { return t + ";x=1" }),
			formText("bad escapes", badRequest(9000411), func(t string) string { return t + "&x=%zz" }),
			formText("nothing", badRequest(900144), func(string) string { return "" }),
			formText("of 1 MB", denied{http.StatusRequestEntityTooLarge, "invalid_request", 9000411}, func(t string) string { return t + "&x=" + strings.Repeat("x", 1<<20) }),
			formText("ten thousand parameters", badRequest(9000411), func(string) string { return strings.Repeat("a&", 10000) }),
			{"an assertion of 20 KB", func(_ *scene, g *grantForm) { g.assertion.claims.add("x", strings.Repeat("x", 15<<10)) }, badRequest(9000411)},
			{"all in the URL", func(_ *scene, g *grantForm) {
				g.query = url.Values{"grant_type": g.form["grant_type"], "resource": g.form["resource"], "assertion": {g.assertion.String()}}.Encode()
				g.text = func(string) string { return "" }
			}, badRequest(900144)},
			{"JSON", func(_ *scene, g *grantForm) { g.kind = "application/json" }, badRequest(9000411)},
			{"no content type", func(_ *scene, g *grantForm) { g.kind = "" }, badRequest(9000411)},
		}},
	}
}

// registrationAttacks are names that nobody may register (A43).
func registrationAttacks(t *testing.T, s *scene) {
	dir := s.deployments[authorize].Admin
	realm, err := s.deployments[authorize].Store.Realm(t.Context(), s.tenant)
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(exchangePrincipal(realm).ServicePrincipalNames)
	set := func(name string) error {
		names := append(slices.Clone(before), name)
		_, err := dir.SetServicePrincipal(t.Context(), operator, s.tenant, directory.ExchangeAppID, admin.ServicePrincipalChange{ServicePrincipalNames: &names})
		return err
	}
	for _, name := range []string{
		"*", "*.com", "*.co.uk", "*.com.cn", "com", "co.uk", ".", "*.", "*.*.contoso.com", "a*.contoso.com", "*a.contoso.com", "www.*.contoso.com",
		otherDomain, "mail." + otherDomain, "*." + otherDomain, otherInitial, evilHost, "evilcontoso.com", "contoso.com.evil.test",
		"mаil.contoso.com", "xn--mil-4cd.contoso.com", "сontoso.com", "*.xn--ontoso-8xf.com",
		s.Lab.cloud.ACSHost, s.Lab.cloud.LoginHosts[0], "127.0.0.1", "[::1]", "localhost", "mail.contoso.com:0", "mail.contoso.com:99999", "mail.contoso.com:x",
		"mail.contoso.com/path", "mail contoso.com", "mail.contoso.com@" + s.tenant, "user@mail.contoso.com", "mail..contoso.com", "-.contoso.com",
		strings.Repeat("a", 64) + ".contoso.com", strings.Repeat("a.", 130) + "contoso.com",
	} {
		if err := set(directory.ExchangeAppID + "/" + name); err == nil {
			t.Errorf("%s is registered", name)
		}
	}
	for _, name := range []string{"https://mail.contoso.com/path", "https://*.contoso.com", "https://mail." + otherDomain, "http://mail.contoso.com",
		"https://user:secret@mail.contoso.com", "https://mail.contoso.com?x", sharepoint + "/mail.contoso.com", sharepoint, s.acs, "mail.contoso.com", ""} {
		if err := set(name); err == nil {
			t.Errorf("%q is registered", name)
		}
	}
	s.t = t
	s.expectGrant(t, "what is not registered", s.requestToken(t, func() *grantForm {
		g := s.grant()
		g.form.Set("resource", directory.ExchangeAppID+"/"+evilHost+"@"+s.tenant)
		return g
	}()), badResource)
	for _, name := range []string{"legacy.contoso.com", "https://mail.contoso.com/", "MAIL.CONTOSO.COM.", "*.eu.contoso.com"} {
		if !strings.HasPrefix(name, "https:") {
			name = directory.ExchangeAppID + "/" + name
		}
		if err := set(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := dir.SetServicePrincipal(t.Context(), operator, s.tenant, directory.ExchangeAppID, admin.ServicePrincipalChange{ServicePrincipalNames: &before}); err != nil {
		t.Fatal(err)
	}
	// A name of another principal of the tenant.
	if _, err := dir.NewServicePrincipal(t.Context(), operator, s.tenant, directory.ServicePrincipal{DisplayName: "thief", AppPrincipalID: directory.ExchangeAppID}); err == nil {
		t.Error("an application id is registered twice")
	}
}

// uploadAttacks are keys that no credential may have (A45).
func uploadAttacks(t *testing.T, s *scene) {
	now := s.now()
	make := func(public any, private any, until time.Time) []byte {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "weak"}, NotBefore: now.Add(-time.Hour), NotAfter: until}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, public, private)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	later := now.AddDate(1, 0, 0)
	dir := s.deployments[authorize]
	for name, der := range map[string][]byte{
		"RSA of 1024 bits": make(&short.PublicKey, short, later), "ECDSA": make(&curve.PublicKey, curve, later),
		"expired": make(&s.nobody.key.PublicKey, s.nobody.key, now.Add(-time.Minute)), "nothing": nil, "no certificate": []byte("secret"),
		"two certificates": slices.Concat(s.nobody.der, s.partner.der),
	} {
		if _, err := dir.Admin.NewServicePrincipalCredential(t.Context(), operator, s.tenant, directory.ExchangeAppID, admin.CredentialParams{Value: der}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for _, k := range []directory.KeyCredential{{Type: "Symmetric", Usage: "Verify"}, {Type: "Asymmetric", Usage: "Sign"}, {Type: "Password", Usage: "Verify"}} {
		k.KeyID, k.Value, k.StartDate, k.EndDate = "a1b2c3d4-0006-4000-8000-00000000e0a1", s.nobody.der, s.from, s.from.AddDate(1, 0, 0)
		if _, err := dir.Store.UpdateRealm(t.Context(), s.tenant, func(r *directory.Realm) error {
			p := exchangePrincipal(r)
			p.KeyCredentials = append(p.KeyCredentials, k)
			return nil
		}); err == nil {
			t.Errorf("a credential of type %s for %s is kept", k.Type, k.Usage)
		}
	}
	g := s.grant()
	g.assertion.key, g.assertion.header = &signingKey{make(&short.PublicKey, short, later), short}, jsonObject{{"typ", "JWT"}, {"alg", "RS256"}, {"x5t", s.org.x5t()}}
	s.expectGrant(t, "signed with 1024 bits", s.requestToken(t, g), badKey)
}

// pkcs8 is the private key as the store has it.
func pkcs8(k *signingKey) ([]byte, error) { return x509.MarshalPKCS8PrivateKey(k.key) }
