package trust_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// A scene is a bearer token for a server, and the server: what attacks change.
type scene struct {
	org           *directory.Organization
	host          string
	now           time.Time
	actor, outer  token
	bare          bool   // the actor token by itself
	actorText     string // replaces the actor token
	bearer        func(string) string
	orgs          hosts
	people        people
	unknown       []string // keys that the validator has asked for
	outerLifetime time.Duration
}

func newScene() *scene {
	s := &scene{org: onpremises(), host: onprem, now: start, people: make(people)}
	s.orgs = hosts{onprem: {s.org}}
	s.people.add(s.org.ID, "alice", nil, "alice@contoso.com", "alice.jones@contoso.com")
	s.people.add(s.org.ID, "bob", nil, "bob@contoso.com")
	s.people.add(s.org.ID, "gone", func(r *directory.Recipient) { r.Enabled = false }, "gone@contoso.com")
	s.people.add(s.org.ID, "staff", func(r *directory.Recipient) { r.Type = directory.MailGroup }, "staff@contoso.com")
	s.people.add("22222222-2222-4222-8222-222222222222", "eve", nil, "eve@litware.com")
	aud := exchange + "/" + onprem + "@" + tenant
	s.actor = token{
		header: map[string]any{"typ": "JWT", "alg": "RS256", "x5t": certKey("as").x5t(), "kid": certKey("as").x5t()},
		claims: map[string]any{"aud": aud, "iss": acsPID + "@" + tenant, "nbf": start.Unix() - 300, "exp": start.Unix() + 86400,
			"identityprovider": acsPID + "@" + tenant, "nameid": exchange + "@" + tenant, "trustedfordelegation": "true"},
		key: certKey("as")}
	s.outer = token{header: map[string]any{"typ": "JWT", "alg": "none"},
		claims: map[string]any{"aud": aud, "iss": exchange + "@" + tenant, "nbf": "1768464000", "exp": "1768492800",
			"upn": "alice@contoso.com", "smtp": "alice.jones@contoso.com", "sip": "alice@contoso.com",
			"nameid": "10032000A1B2C3D4", "nii": "urn:federation:MicrosoftOnline"}}
	return s
}

// direct makes the bearer one of fabrikam.com, which is trusted directly.
func (s *scene) direct() {
	aud := exchange + "/" + onprem + "@contoso.com"
	for _, c := range []map[string]any{s.actor.claims, s.outer.claims} {
		c["aud"], c["iss"] = aud, exchange+"@fabrikam.com"
	}
	s.actor.claims["nameid"] = exchange + "@fabrikam.com"
	s.actor.header["x5t"], s.actor.key = certKey("partner").x5t(), certKey("partner")
}

func (s *scene) text() string {
	actor := s.actorText
	if actor == "" {
		actor = s.actor.String()
	}
	text := actor
	if !s.bare {
		if s.outer.claims["actortoken"] == nil && s.outer.claims["actort"] == nil {
			s.outer.claims["actortoken"] = actor
		}
		text = s.outer.String()
	}
	if s.bearer != nil {
		text = s.bearer(text)
	}
	return text
}

func (s *scene) validator(t testing.TB) *trust.Validator { return s.validatorOf(t, trust.EWS) }

func (s *scene) validatorOf(t testing.TB, of trust.Service) *trust.Validator {
	t.Helper()
	v, err := trust.NewValidator(trust.ValidatorConfig{Service: of, Organizations: s.orgs, Recipients: s.people, Now: func() time.Time { return s.now },
		UnknownKey:    func(_ directory.OrgID, name string) { s.unknown = append(s.unknown, name) },
		OuterLifetime: s.outerLifetime})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *scene) validate(t testing.TB) (*trust.Caller, error) {
	t.Helper()
	return s.validator(t).Validate(t.Context(), s.text(), s.host)
}

func TestActAsThroughTheAuthorizationServer(t *testing.T) {
	s := newScene()
	c, err := s.validate(t)
	if err != nil {
		t.Fatal(err)
	}
	if c.Org != s.org || c.Application != &s.org.PartnerApplications[0] || c.User == nil || c.User.ID != "alice" || c.AppOnly {
		t.Errorf("caller %+v", c)
	}
	want := []string{exchange, tenant, "alice@contoso.com", "alice.jones@contoso.com", start.Add(8 * time.Hour).String()}
	if d := cmp.Diff(want, []string{c.ApplicationID, c.Realm, c.UPN, c.SMTP, c.Expires.String()}); d != "" {
		t.Error(d)
	}
}

// The attacks of the oauth-s2s reference, 8.4, each with a twin that is let in:
// the same scene with one thing set right.
func TestAttacks(t *testing.T) {
	bothClaims := func(s *scene, name string, v any) { s.actor.claims[name], s.outer.claims[name] = v, v }
	aud := func(host, realm string) string { return exchange + "/" + host + "@" + realm }
	replaceHost := func(h string) func(*scene) {
		return func(s *scene) { bothClaims(s, "aud", aud(h, tenant)) }
	}
	at := func(d time.Duration) func(*scene) { return func(s *scene) { s.now = start.Add(d) } }
	header := func(name string, v any) func(*scene) {
		return func(s *scene) { s.actor.header[name] = v }
	}
	claim := func(name string, v any) func(*scene) { return func(s *scene) { s.actor.claims[name] = v } }
	outer := func(name string, v any) func(*scene) { return func(s *scene) { s.outer.claims[name] = v } }
	raw := func(old, new string) func(*scene) {
		return func(s *scene) {
			s.actor.raw = func(text string) string {
				if !strings.Contains(text, old) {
					panic("nothing to replace")
				}
				return strings.Replace(text, old, new, 1)
			}
		}
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certKey("as").cert.DER})

	for _, tt := range []struct {
		name     string
		attack   func(*scene)
		id, step int
		twin     func(*scene) // nil: newScene unchanged
	}{
		{"A1 no actor token", func(s *scene) {
			s.bearer = func(string) string { delete(s.outer.claims, "actortoken"); return s.outer.String() }
		}, 2000001, 3, nil},
		{"A2 actor alg none", func(s *scene) { s.actor.header["alg"] = "none"; s.actor.key = nil }, 2000001, 4, nil},
		{"A2 actor alg None", func(s *scene) { s.actor.header["alg"] = "None"; s.actor.key = nil }, 2000001, 4, nil},
		{"A2 actor alg NONE", header("alg", "NONE"), 2000001, 4, nil},
		{"A2 actor alg nOnE by itself", func(s *scene) { s.bare = true; s.actor.header["alg"] = "nOnE"; s.actor.key = nil }, 2000001, 3, func(s *scene) { s.bare = true }},
		{"A2 no alg", func(s *scene) { delete(s.actor.header, "alg") }, 2000001, 4, nil},
		{"A3 HS256 with the certificate", func(s *scene) { s.actor.header["alg"] = "HS256"; s.actor.key = certKey("as").cert.DER }, 2000001, 4, nil},
		{"A3 HS256 with the PEM", func(s *scene) { s.actor.header["alg"] = "HS256"; s.actor.key = asPEM }, 2000001, 4, nil},
		{"A3 HS256 with the modulus", func(s *scene) { s.actor.header["alg"] = "HS256"; s.actor.key = certKey("as").key.N.Bytes() }, 2000001, 4, nil},
		{"A3 HS256 that says RS256", func(s *scene) { s.actor.key = certKey("as").cert.DER }, 2000000, 7, nil},
		{"A4 RS512", header("alg", "RS512"), 2000001, 4, nil},
		{"A4 PS256", header("alg", "PS256"), 2000001, 4, nil},
		{"A4 ES256 by itself", func(s *scene) { s.bare = true; s.actor.header["alg"] = "ES256" }, 2000001, 3, func(s *scene) { s.bare = true }},
		{"A5 signature on the outer token", func(s *scene) { s.outer.signature = "AAAA" }, 2000001, 3, nil},
		{"A5 outer token signed by the issuer", func(s *scene) { s.outer.header["alg"] = "RS256"; s.outer.key = certKey("as") }, 2000001, 3, nil},
		{"A6 actor in an actor", func(s *scene) { s.actor.claims["actortoken"] = newScene().actor.String() }, 2000001, 4, nil},
		{"A6 three levels", func(s *scene) { s.actorText = newScene().text() }, 2000001, 4, nil},
		{"A7 actort and actortoken", func(s *scene) { s.outer.claims["actort"], s.outer.claims["actortoken"] = "a.b.c", s.actor.String() }, 2000001, 3,
			func(s *scene) { s.outer.claims["actort"] = s.actor.String() }},
		{"A7 actortoken is an object", func(s *scene) { s.outer.claims["actortoken"] = map[string]any{} }, 2000001, 3, nil},
		{"A8 outer iss is another application", outer("iss", "00000003-0000-0ff1-ce00-000000000000@"+tenant), 2000001, 14, nil},
		{"A8 outer iss by letter case", outer("iss", strings.ToUpper(exchange)+"@"+tenant), 2000001, 14, nil},
		{"A8 no outer iss", func(s *scene) { delete(s.outer.claims, "iss") }, 2000001, 14, nil},
		{"A8 outer aud of another host", outer("aud", aud("mail2.contoso.com", tenant)), 2000001, 14, nil},
		{"A9 not for delegation", claim("trustedfordelegation", "false"), 2000001, 14, claim("trustedfordelegation", true)},
		{"A9 delegation absent", func(s *scene) { delete(s.actor.claims, "trustedfordelegation") }, 2000001, 14, func(s *scene) { s.bare = true; delete(s.actor.claims, "trustedfordelegation") }},
		{"A9 delegation True with a space", claim("trustedfordelegation", "True "), 2000001, 14, nil},
		{"A9 delegation 1", claim("trustedfordelegation", 1), 2000001, 14, nil},
		{"A10 tenant swap in the outer token", func(s *scene) {
			s.outer.claims["iss"], s.outer.claims["aud"] = exchange+"@"+tenantB, aud(onprem, tenantB)
		}, 2000004, 12, nil},
		{"A10 tenant swap in the outer audience only", outer("aud", aud(onprem, tenantB)), 2000004, 12, nil},
		{"A11 tenant swap in the actor token", func(s *scene) {
			s.org.AuthConfig.Realm = tenantB
			bothClaims(s, "aud", aud(onprem, tenantB))
		}, 2000004, 12, nil},
		{"A11 audience realm is an accepted domain", func(s *scene) { bothClaims(s, "aud", aud(onprem, "contoso.com")) }, 2000004, 12, nil},
		{"A11 nameid of another tenant", claim("nameid", exchange+"@"+tenantB), 2000004, 12, nil},
		{"A12 tenant without AuthServer", claim("iss", acsPID+"@"+tenantB), 2000009, 5, nil},
		{"A12 realm by letter case", claim("iss", acsPID+"@"+strings.ToUpper(tenant)), 2000009, 5, nil},
		{"A12 any realm", claim("iss", acsPID+"@*"), 2000009, 5, nil},
		{"A12 no realm", claim("iss", acsPID), 2000009, 5, nil},
		{"A12 two realms", claim("iss", acsPID+"@"+tenant+"@"+tenant), 2000009, 5, nil},
		{"A12 the issuer of another cloud", claim("iss", "00000001-0000-0000-c000-000000000000@"+tenant), 2000009, 5, nil},
		{"A12 iss is a list", claim("iss", []string{acsPID + "@" + tenant}), 2000009, 5, nil},
		{"A13 AuthServer disabled", func(s *scene) { s.org.AuthServers[0].Enabled = false }, 2000009, 5, nil},
		{"A13 AuthServer deleted", func(s *scene) { s.org.AuthServers = nil }, 2000009, 5, nil},
		{"A13 AuthServer of Entra", func(s *scene) { s.org.AuthServers[0].Type = directory.AuthServerAzureAD }, 2000009, 5, nil},
		{"A13 key removed", func(s *scene) { s.org.AuthServers[0].CertificateStrings = []string{certKey("stranger").base64()} }, 2000000, 6, nil},
		{"A13 no keys", func(s *scene) { s.org.AuthServers[0].CertificateStrings = nil }, 2000000, 6, nil},
		{"A14 signed by a partner", func(s *scene) { s.actor.header["x5t"], s.actor.key = certKey("partner").x5t(), certKey("partner") }, 2000000, 6, nil},
		{"A15 signed by a stranger under the x5t of the issuer", func(s *scene) { s.actor.key = certKey("stranger") }, 2000000, 7, nil},
		{"A15 claims changed after signing", func(s *scene) {
			text := s.actor.String()
			s.actor.claims["nameid"] = "00000003-0000-0ff1-ce00-000000000000@" + tenant
			parts, changed := strings.Split(text, "."), strings.Split(s.actor.String(), ".")
			s.actorText = parts[0] + "." + changed[1] + "." + parts[2]
		}, 2000000, 7, nil},
		{"A16 key in the header", func(s *scene) {
			s.actor.key = certKey("stranger")
			s.actor.header["x5t"] = certKey("stranger").x5t()
			s.actor.header["x5c"] = []string{certKey("stranger").base64()}
			s.actor.header["jwk"] = map[string]any{"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(certKey("stranger").key.N.Bytes())}
			s.actor.header["jku"], s.actor.header["x5u"] = "https://evil.test/jwks", "https://evil.test/cert"
			s.actor.header["kid"] = "../../../dev/null"
		}, 2000000, 6, func(s *scene) {
			s.actor.header["jku"], s.actor.header["kid"] = "https://evil.test/jwks", "../../../dev/null"
		}},
		{"A16 crit", header("crit", []string{"exp"}), 2000001, 4, nil},
		{"A17 no x5t", func(s *scene) { delete(s.actor.header, "x5t") }, 2000000, 6, nil},
		{"A17 x5t of 32 bytes", header("x5t", "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg"), 2000000, 6, header("x5t", certKey("as").x5t()+"=")},
		{"A17 x5t is a number", header("x5t", 1), 2000000, 6, nil},
		{"A21 names its own metadata", func(s *scene) {
			s.actor.claims["iss"] = "00000002-0000-0ff1-ce00-000000000000@evil.test"
			s.actor.claims["appctx"] = `{"amurl":"https://evil.test/autodiscover/metadata/json/1"}`
			s.actor.header["x5t"], s.actor.key = certKey("stranger").x5t(), certKey("stranger")
		}, 2000009, 5, nil},
		{"A22 pid of SharePoint", func(s *scene) { bothClaims(s, "aud", "00000003-0000-0ff1-ce00-000000000000/"+onprem+"@"+tenant) }, 2000003, 9, nil},
		{"A22 pid by letter case", func(s *scene) { bothClaims(s, "aud", strings.ToUpper(exchange)+"/"+onprem+"@"+tenant) }, 2000003, 9, nil},
		{"A22 aud is a URL", func(s *scene) { bothClaims(s, "aud", "https://"+onprem+"/") }, 2000003, 9, nil},
		{"A22 aud is a list", func(s *scene) { bothClaims(s, "aud", []string{aud(onprem, tenant)}) }, 2000003, 9, nil},
		{"A22 aud has two realms", func(s *scene) { bothClaims(s, "aud", aud(onprem, tenant)+"@"+tenant) }, 2000003, 9, nil},
		{"A22 aud without realm", func(s *scene) { bothClaims(s, "aud", exchange+"/"+onprem) }, 2000003, 9, nil},
		{"A22 aud without host", func(s *scene) { bothClaims(s, "aud", exchange+"/@"+tenant) }, 2000003, 9, nil},
		{"A22 no aud", func(s *scene) { delete(s.actor.claims, "aud"); delete(s.outer.claims, "aud") }, 2000003, 9, nil},
		{"A23 a sibling's host", replaceHost("mail2.contoso.com"), 2000003, 10, replaceHost("MAIL.Contoso.COM")},
		{"A23 and the Host header forged", func(s *scene) { replaceHost("mail2.contoso.com")(s); s.host = "mail2.contoso.com" }, 2000003, 10, nil},
		{"A24 suffix", replaceHost(onprem + ".evil.test"), 2000003, 10, nil},
		{"A24 prefix", replaceHost("evil" + onprem), 2000003, 10, nil},
		{"A24 trailing dot", replaceHost(onprem + "."), 2000003, 10, nil},
		{"A24 other port", replaceHost(onprem + ":8443"), 2000003, 10, replaceHost(onprem + ":443")},
		{"A24 look-alike", replaceHost("m\u0430il.contoso.com"), 2000003, 9, nil},
		{"A25 token for Autodiscover", replaceHost("autodiscover.contoso.com"), 2000003, 10, nil},
		{"A26 realm below a wildcard domain", func(s *scene) { s.direct(); bothClaims(s, "aud", aud(onprem, "x.lab.contoso.com")) }, 2000004, 11, (*scene).direct},
		{"A26 the wildcard itself", func(s *scene) { s.direct(); bothClaims(s, "aud", aud(onprem, "lab.contoso.com")) }, 2000004, 11, (*scene).direct},
		{"A26 a stranger's domain", func(s *scene) { s.direct(); bothClaims(s, "aud", aud(onprem, "litware.com")) }, 2000004, 11, (*scene).direct},
		{"A27 outer expired, skew over", at(8*time.Hour + 5*time.Minute + time.Second), 2000002, 8, at(8*time.Hour + 4*time.Minute + 59*time.Second)},
		{"A27 not yet valid, skew over", func(s *scene) { s.actor.claims["nbf"] = start.Unix() + 301 }, 2000002, 8, func(s *scene) { s.actor.claims["nbf"] = start.Unix() + 299 }},
		{"A27 exp before nbf", func(s *scene) { s.actor.claims["exp"] = start.Unix() - 301 }, 2000002, 8, nil},
		{"A27 exp equals nbf", func(s *scene) { s.actor.claims["exp"] = start.Unix() - 300 }, 2000002, 8, nil},
		{"A27 no exp", func(s *scene) { delete(s.actor.claims, "exp") }, 2000002, 8, nil},
		{"A27 no nbf", func(s *scene) { delete(s.actor.claims, "nbf") }, 2000002, 8, nil},
		{"A27 negative", claim("nbf", -1), 2000002, 8, nil},
		{"A27 1e300", raw("1768550400", "1e300"), 2000002, 8, raw("1768550400", `"1768550400"`)},
		{"A27 text with exponent", claim("exp", "1.5e9"), 2000002, 8, nil},
		{"A27 leading zeros", claim("exp", "01768550400"), 2000002, 8, nil},
		{"A27 overflow", raw("1768550400", "9223372036854775808"), 2000002, 8, nil},
		{"A28 signed for ten years", claim("exp", start.Unix()+10*365*86400), 2000002, 8, claim("exp", start.Unix()-300+25*3600)},
		{"A28 outer for a day", outer("exp", start.Unix()+86400), 2000002, 8, outer("exp", start.Unix()+12*3600)},
		{"A28 actor expired in a fresh outer", func(s *scene) { s.actor.claims["nbf"], s.actor.claims["exp"] = start.Unix()-7200, start.Unix()-301 }, 2000002, 8,
			func(s *scene) { s.actor.claims["nbf"], s.actor.claims["exp"] = start.Unix()-7200, start.Unix()-299 }},
		{"A29 iss twice", raw(`"iss":`, `"iss":"x","iss":`), 2000001, 4, nil},
		{"A29 ISS beside iss", raw(`"iss":`, `"ISS":"x","iss":`), 2000001, 4, nil},
		{"A29 text after the object", func(s *scene) { s.actor.raw = func(text string) string { return text + "{}" } }, 2000001, 4,
			func(s *scene) { s.actor.raw = func(text string) string { return text + " " } }},
		{"A29 BOM", func(s *scene) { s.actor.raw = func(text string) string { return "\xef\xbb\xbf" + text } }, 2000001, 4, nil},
		{"A29 invalid UTF-8", raw("true", "tru\xff"), 2000001, 4, nil},
		{"A29 depth bomb", func(s *scene) {
			s.outer.raw = func(text string) string {
				return `{"x":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + "," + text[1:]
			}
		}, 2000001, 2, nil},
		{"A29 outer iss twice", func(s *scene) {
			s.outer.raw = func(text string) string { return `{"iss":"x",` + text[1:] }
		}, 2000001, 2, nil},
		{"A30 padding", func(s *scene) { s.bearer = func(text string) string { return strings.Replace(text, ".", "=.", 1) } }, 2000001, 1, nil},
		{"A30 white space", func(s *scene) { s.bearer = func(text string) string { return text[:10] + " " + text[10:] } }, 2000001, 1, nil},
		{"A30 trailing bits in the actor", func(s *scene) {
			text := s.actor.String()
			s.actorText = text[:len(text)-1] + string(text[len(text)-1]+1)
		}, 2000001, 4, nil},
		{"A31 1 MB", func(s *scene) { s.bearer = func(string) string { return strings.Repeat("A", 1<<20) } }, 2000001, 1, nil},
		{"A31 one byte more than 16 KiB", func(s *scene) {
			s.bearer = func(text string) string { return text + strings.Repeat("A", 16<<10+1-len(text)) }
		}, 2000001, 1, nil},
		{"A33 unknown partner", func(s *scene) {
			s.actor.claims["nameid"] = "00000003-0000-0ff1-ce00-000000000000@" + tenant
			s.outer.claims["iss"] = s.actor.claims["nameid"]
		}, 2000006, 15, nil},
		{"A33 disabled partner", func(s *scene) { s.org.PartnerApplications[0].Enabled = false }, 2000006, 15, nil},
		{"A33 pinned to another realm", func(s *scene) { s.org.PartnerApplications[0].Realm = tenantB }, 2000006, 15, func(s *scene) { s.org.PartnerApplications[0].Realm = tenant }},
		{"A33 nameid is no principal", claim("nameid", exchange), 2000006, 13, nil},
		{"A33 no nameid", func(s *scene) { delete(s.actor.claims, "nameid") }, 2000006, 13, nil},
		{"A34 vouched for, partner wants direct trust", func(s *scene) { s.org.PartnerApplications[0].UseAuthServer = false }, 2000006, 15, nil},
		{"A34 self-issued, partner wants an AuthServer", func(s *scene) { s.direct(); s.org.PartnerApplications[1].UseAuthServer = true }, 2000009, 5, (*scene).direct},
		{"A34 direct partner disabled", func(s *scene) { s.direct(); s.org.PartnerApplications[1].Enabled = false }, 2000009, 5, (*scene).direct},
		{"A34 direct partner speaks for another", func(s *scene) {
			s.direct()
			s.actor.claims["nameid"] = exchange + "@litware.com"
			s.outer.claims["iss"] = s.actor.claims["nameid"]
		}, 2000006, 13, (*scene).direct},
		{"A34 direct partner signs as the AuthServer", func(s *scene) { s.actor.header["x5t"], s.actor.key = certKey("partner").x5t(), certKey("partner") }, 2000000, 6, nil},
		{"A35 claims of two users", outer("smtp", "bob@contoso.com"), 2000005, 16, outer("smtp", "unknown@contoso.com")},
		{"A35 claims of two users by SIP", outer("sip", "sip:bob@contoso.com"), 2000005, 16, outer("sip", "sip:alice@contoso.com")},
		{"A36 user of another organization", func(s *scene) {
			for _, c := range []string{"upn", "smtp", "sip"} {
				s.outer.claims[c] = "eve@litware.com"
			}
		}, 2000005, 16, nil},
		{"A36 disabled user", func(s *scene) {
			for _, c := range []string{"upn", "smtp", "sip"} {
				s.outer.claims[c] = "gone@contoso.com"
			}
		}, 2000005, 16, nil},
		{"A36 group", func(s *scene) {
			for _, c := range []string{"upn", "smtp", "sip"} {
				s.outer.claims[c] = "staff@contoso.com"
			}
		}, 2000005, 16, nil},
		{"A36 SID alone", func(s *scene) {
			for _, c := range []string{"upn", "smtp", "sip"} {
				delete(s.outer.claims, c)
			}
			s.outer.claims["nameid"], s.outer.claims["nii"] = "s-1-5-21-1-2-3-500", "urn:office:idp:activedirectory"
		}, 2000005, 16, func(s *scene) {
			for _, c := range []string{"upn", "smtp", "sip", "nii"} {
				delete(s.outer.claims, c)
			}
			s.outer.claims["nameid"] = "alice@contoso.com" // MS-XOAUTH: the UPN
		}},
		{"A37 a linked account that is not there", func(s *scene) { s.org.LinkedUsers = nil }, 2000008, 17, nil},
		{"A37 a linked account without UserApplication", func(s *scene) { s.org.LinkedUsers[0].Roles = []string{"ArchiveApplication"} }, 2000008, 17, nil},
		{"A37 no linked account, no permissions", func(s *scene) { s.org.PartnerApplications[0].LinkedAccount = "" }, 2000008, 17,
			func(s *scene) {
				s.org.PartnerApplications[0].LinkedAccount = ""
				s.org.PartnerApplications[0].ActAsPermissions = []string{"Mail.Read", "Calendars.Read"}
			}},
		{"A37 permissions for mail", func(s *scene) {
			s.org.PartnerApplications[0].LinkedAccount = ""
			s.org.PartnerApplications[0].ActAsPermissions = []string{"Mail.Read"}
		}, 2000008, 17, nil},
		{"A37 act-as permission for an app-only token", func(s *scene) {
			s.bare = true
			s.org.PartnerApplications[0].LinkedAccount = ""
			s.org.PartnerApplications[0].ActAsPermissions = []string{"Calendars.Read"}
		}, 2000008, 17, func(s *scene) {
			s.bare = true
			s.org.PartnerApplications[0].LinkedAccount = ""
			s.org.PartnerApplications[0].AppOnlyPermissions = []string{"Calendars.Read"}
		}},
		{"A39 Exchange identity token", func(s *scene) {
			s.bare = true
			s.actor.claims = map[string]any{"aud": "https://addin.contoso.com/", "iss": exchange + "@" + onprem, "nbf": start.Unix(), "exp": start.Unix() + 28800,
				"appctxsender": exchange + "@" + onprem, "isbrowserhostedapp": "true", "appctx": `{"msexchuid":"x","version":"ExIdTok.V1","amurl":"https://evil.test"}`}
			s.actor.header["x5t"], s.actor.key = certKey("partner").x5t(), certKey("partner")
		}, 2000009, 5, nil},
		{"A39 Entra user token", func(s *scene) {
			s.bare = true
			s.actor.claims["iss"], s.actor.claims["aud"] = "https://sts.chinacloudapi.cn/"+tenant+"/", "https://"+onprem+"/"
		}, 2000009, 5, func(s *scene) { s.bare = true }},
		{"A46 certificate of the issuer expired long ago", func(s *scene) { s.short(73 * time.Hour) }, 2000000, 7, func(s *scene) { s.short(71 * time.Hour) }},
		{"A48 disabled partner and unknown user", func(s *scene) {
			s.org.PartnerApplications[0].Enabled = false
			s.outer.claims["upn"], s.outer.claims["smtp"] = "nobody@contoso.com", "nobody@contoso.com"
		}, 2000006, 15, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene()
			tt.attack(s)
			c, err := s.validate(t)
			te, ok := errors.AsType[*trust.TokenError](err)
			if !ok {
				t.Fatalf("caller %+v, error %v: want a TokenError", c, err)
			}
			if te.ID != tt.id || te.Step != tt.step {
				t.Errorf("got %d at step %d (%v), want %d at step %d", te.ID, te.Step, te, tt.id, tt.step)
			}
			if strings.ContainsAny(te.Diagnostics(), "\r\n") || te.Category == "" {
				t.Errorf("diagnostics %q", te.Diagnostics())
			}
			if s.bearer == nil && len(s.text()) > 100 && strings.Contains(te.Error(), s.text()[60:]) {
				t.Error("the token is part of the error")
			}
			twin := newScene()
			if tt.twin != nil {
				tt.twin(twin)
			}
			if _, err := twin.validate(t); err != nil {
				t.Errorf("the twin is refused: %v", err)
			}
		})
	}
}

// short makes the issuer sign with a certificate that expires after 48 hours,
// and puts the clock later.
func (s *scene) short(later time.Duration) {
	s.now = start.Add(later)
	s.org.AuthServers[0].CertificateStrings = []string{certKey("short").base64()}
	s.actor.header["x5t"], s.actor.key = certKey("short").x5t(), certKey("short")
	s.actor.claims["nbf"], s.actor.claims["exp"] = s.now.Unix()-300, s.now.Unix()+3600
	s.outer.claims["nbf"], s.outer.claims["exp"] = s.now.Unix(), s.now.Unix()+3600
}

func TestReasons(t *testing.T) {
	for _, tt := range []struct {
		attack func(*scene)
		want   string
	}{
		{func(s *scene) { s.actor.claims["iss"] = acsPID + "@" + tenantB },
			`2000009;reason="The issuer of the token is unknown. Issuer was '` + acsPID + "@" + tenantB + `'.";error_category="invalid_issuer"`},
		{func(s *scene) { s.actor.key = certKey("stranger") }, `2000000;reason="The token has an invalid signature.";error_category="invalid_signature"`},
		{func(s *scene) { s.outer.claims["smtp"] = "bob@contoso.com" },
			`2000005;reason="The user specified by the user-context in the token is ambiguous.";error_category="invalid_user"`},
		{func(s *scene) { s.people = people{} },
			`2000005;reason="The user specified by the user-context in the token does not exist.";error_category="invalid_user"`},
		{func(s *scene) { s.actor.claims["aud"] = exchange + "/other.test@" + tenant },
			`2000003;reason="The hostname component of the audience claim value 'https://other.test' is invalid.";error_category="invalid_resource"`},
		{func(s *scene) { s.actor.claims["iss"] = "evil\"\r\nSet-Cookie: x=" + strings.Repeat("y", 4000) },
			`2000009;reason="The issuer of the token is unknown. Issuer was 'evil'??Set-Cookie: x=` + strings.Repeat("y", 179) + `'.";error_category="invalid_issuer"`},
	} {
		s := newScene()
		tt.attack(s)
		_, err := s.validate(t)
		te, ok := errors.AsType[*trust.TokenError](err)
		if !ok {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, te.Diagnostics()); d != "" {
			t.Error(d)
		}
	}
}

// The expected results of the vectors (oauth-s2s reference, section 10).
func TestVectors(t *testing.T) {
	v := vectors(t)
	newVectorScene := func() *scene {
		s := newScene()
		s.org.AuthServers[0].CertificateStrings = []string{v["as-cert"]}
		s.org.AcceptedDomains = append(s.org.AcceptedDomains, directory.AcceptedDomain{DomainName: "fabrikam.com"})
		s.host = cloud
		s.orgs = hosts{cloud: {s.org}, "outlook.office365.com": {s.org}, "mail.fabrikam.com": {s.org}}
		s.people.add(s.org.ID, "alice", nil, "alice@contoso.com")
		return s
	}
	direct := func(s *scene) {
		s.org.PartnerApplications[1] = directory.PartnerApplication{Enabled: true, ApplicationIdentifier: exchange, Realm: "contoso.com",
			CertificateStrings: []string{v["org-cert"]}, LinkedAccount: "Fabrikam"}
	}
	for _, tt := range []struct {
		name, vector string
		change       func(*scene)
		id           int // 0: accepted
		appOnly      bool
	}{
		{"V3", "V3", nil, 0, false},
		{"V3 too late", "V3", func(s *scene) { s.now = start.Add((28800 + 301) * time.Second) }, 2000002, false},
		{"V3 on another host", "V3", func(s *scene) { s.host = "outlook.office365.com" }, 2000003, false},
		{"V3 with the issuer of another cloud", "V3", func(s *scene) { s.org.AuthServers[0].IssuerIdentifier = "00000001-0000-0000-c000-000000000000" }, 2000009, false},
		{"V2 by itself", "V2", nil, 0, true},
		{"V1 as bearer", "V1", nil, 2000009, false},
		{"V1 as bearer of a direct partner", "V1", func(s *scene) {
			direct(s)
			s.org.PartnerApplications[1].Realm = tenant
		}, 2000003, false},
		{"V4 by itself", "V4", func(s *scene) { direct(s); s.host = "mail.fabrikam.com" }, 0, true},
		{"V4 without trust", "V4", func(s *scene) { s.host = "mail.fabrikam.com" }, 2000009, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newVectorScene()
			if tt.change != nil {
				tt.change(s)
			}
			c, err := s.validator(t).Validate(t.Context(), v[tt.vector], s.host)
			if tt.id == 0 {
				if err != nil {
					t.Fatal(err)
				}
				if c.AppOnly != tt.appOnly || c.AppOnly == (c.User != nil) {
					t.Errorf("caller %+v", c)
				}
				return
			}
			if te, ok := errors.AsType[*trust.TokenError](err); !ok || te.ID != tt.id {
				t.Errorf("got %v, want %d", err, tt.id)
			}
		})
	}
}

func TestUnknownKeyIsAskedForOnlyAtTheIssuer(t *testing.T) {
	s := newScene()
	s.actor.header["x5t"] = certKey("stranger").x5t()
	if _, err := s.validate(t); err == nil {
		t.Fatal("accepted")
	}
	if d := cmp.Diff([]string{"MicrosoftAzureACS"}, s.unknown); d != "" {
		t.Error(d)
	}
	s = newScene()
	s.actor.claims["iss"] = exchange + "@evil.test"
	if _, err := s.validate(t); err == nil || len(s.unknown) > 0 {
		t.Errorf("error %v, asked %v", err, s.unknown)
	}
}

// cloudScene has two hosted organizations of the same issuer at one host.
func cloudScene() (*scene, *directory.Organization, *directory.Organization) {
	s := newScene()
	a, b := hosted("aaaaaaaa-0000-4000-8000-000000000000", tenant, "contoso.com"), hosted("bbbbbbbb-0000-4000-8000-000000000000", tenantB, "litware.com")
	s.host, s.orgs = cloud, hosts{cloud: {a, b}}
	s.people.add(a.ID, "alice", nil, "alice@contoso.com")
	s.people.add(b.ID, "alice-b", nil, "alice@contoso.com")
	s.outer.claims["smtp"] = "alice@contoso.com"
	for _, c := range []map[string]any{s.actor.claims, s.outer.claims} {
		c["aud"] = exchange + "/" + cloud + "@" + tenant
	}
	return s, a, b
}

func TestHostedOrganizationFollowsFromTheTenant(t *testing.T) {
	s, a, b := cloudScene()
	c, err := s.validate(t)
	if err != nil || c.Org != a || c.User.ID != "alice" {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, m := range []map[string]any{s.actor.claims, s.outer.claims} {
		for name, v := range m {
			if text, ok := v.(string); ok && name != "actortoken" {
				m[name] = strings.Replace(text, tenant, tenantB, 1)
			}
		}
	}
	delete(s.outer.claims, "actortoken")
	if c, err = s.validate(t); err != nil || c.Org != b || c.User.ID != "alice-b" {
		t.Errorf("%+v, %v", c, err)
	}
}

// An organization cannot take tokens of a tenant that it is not.
func TestHostedOrganizationHasNoOtherTenant(t *testing.T) {
	s, a, b := cloudScene()
	b.AuthServers[0].Realm = tenant // on purpose, by its administrator
	if c, err := s.validate(t); err != nil || c.Org != a {
		t.Fatalf("%+v, %v", c, err)
	}
	s.orgs = hosts{cloud: {b}}
	if _, err := s.validate(t); err == nil || err.(*trust.TokenError).ID != trust.InvalidIssuer {
		t.Errorf("without the tenant itself: %v", err)
	}
}

func TestKnownTokenEndsWithAnyChange(t *testing.T) {
	s := newScene()
	v, text := s.validator(t), s.text()
	check := func(what string, ok bool) {
		t.Helper()
		if _, err := v.Validate(t.Context(), text, s.host); (err == nil) != ok {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("new", true)
	s.people = people{} // not looked at while the token is known
	check("known", true)

	disabled := s.org.Clone()
	disabled.Version++
	disabled.PartnerApplications[0].Enabled = false
	s.orgs[onprem] = []*directory.Organization{disabled}
	check("partner disabled", false)
	s.orgs[onprem] = []*directory.Organization{s.org}
	check("enabled again", true)
	s.orgs["mail2.contoso.com"] = s.orgs[onprem]
	if _, err := v.Validate(t.Context(), text, "mail2.contoso.com"); err == nil {
		t.Error("known at another host")
	}
	s.orgs[onprem] = []*directory.Organization{}
	check("organization gone", false)
}

func TestKnownTokenIsCheckedAgainAfterSeconds(t *testing.T) {
	s := newScene()
	people := s.people
	v, err := trust.NewValidator(trust.ValidatorConfig{Organizations: s.orgs, Recipients: people, Now: func() time.Time { return s.now }})
	if err != nil {
		t.Fatal(err)
	}
	text := s.text()
	if _, err := v.Validate(t.Context(), text, s.host); err != nil {
		t.Fatal(err)
	}
	clear(people)
	s.now = start.Add(5*time.Second - 1)
	if _, err := v.Validate(t.Context(), text, s.host); err != nil {
		t.Errorf("within the time: %v", err)
	}
	s.now = start.Add(5 * time.Second)
	if _, err := v.Validate(t.Context(), text, s.host); err == nil {
		t.Error("a user who is gone is still known")
	}
}

func TestKnownTokenEndsAtItsExpiry(t *testing.T) {
	s := newScene()
	v, text := s.validator(t), s.text()
	s.now = start.Add(8*time.Hour + 5*time.Minute - time.Second)
	if _, err := v.Validate(t.Context(), text, s.host); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(time.Second)
	if _, err := v.Validate(t.Context(), text, s.host); err == nil {
		t.Error("expired, but known")
	}
}

// A store that does not answer is no refusal.
func TestStoreErrorIsNoTokenError(t *testing.T) {
	s := newScene()
	v, err := trust.NewValidator(trust.ValidatorConfig{Organizations: s.orgs, Recipients: broken{}, Now: fixed(start)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Validate(t.Context(), s.text(), s.host)
	if _, ok := errors.AsType[*trust.TokenError](err); ok || !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
}

// No text makes the validator fall over or let somebody in who has no signature
// of a trust anchor.
func FuzzValidate(f *testing.F) {
	s := newScene()
	f.Add(s.text())
	s.bare = true
	f.Add(s.text())
	for name, v := range vectors(f) {
		if name[0] == 'V' {
			f.Add(v)
		}
	}
	v := s.validator(f)
	trusted := s.actor.String()
	f.Fuzz(func(t *testing.T, text string) {
		c, err := v.Validate(context.Background(), text, onprem)
		if err == nil {
			inner, ok := strings.CutSuffix(text, ".")
			if _, payload, _ := strings.Cut(inner, "."); ok {
				b, _ := base64.RawURLEncoding.DecodeString(payload)
				text = string(b)
			}
			if !strings.Contains(text, trusted) && c.Org != nil {
				t.Fatalf("accepted %q", text)
			}
			return
		}
		te, ok := errors.AsType[*trust.TokenError](err)
		if !ok || te.Step < 1 || te.Step > 18 || strings.ContainsAny(te.Diagnostics(), "\r\n") {
			t.Fatalf("%v", err)
		}
	})
}
