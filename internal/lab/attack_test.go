package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/smtpaddr"
)

// A want is what an attack must be answered.
type want struct {
	status  int
	id      int    // of x-ms-diagnostics; 0: there is none
	fault   string // that the body names
	noOAuth bool   // a 401 without a Bearer challenge
}

// accepted marks the positive twins.
var accepted = want{status: http.StatusOK}

// refused is a refused token (oauth-s2s reference 2.3).
func refused(id int) want { return want{status: http.StatusUnauthorized, id: id} }

// categories of the ids, as the reference has them.
var categories = map[int]string{
	2000000: "invalid_signature", 2000001: "invalid_token", 2000002: "token_expired", 2000003: "invalid_resource", 2000004: "invalid_tenant",
	2000005: "invalid_user", 2000006: "invalid_client", 2000008: "invalid_grant", 2000009: "invalid_issuer",
}

// An attack is one line of the reference's list (8.4), or one of our own: ways
// to change a request that is in order, and what comes of each. The request as
// it is is sent before and after, and must be accepted.
type attack struct {
	name  string
	start func(*scene) *bearer     // nil: a question of the cloud to on premises
	with  func(*testing.T, *scene) // changes the world for the time of the attack
	tries []try
}

type try struct {
	name   string
	change func(*scene, *bearer)
	want   want
}

// TestAttacks sends every attack over HTTP to one running lab: tokens and token
// requests, on a world that stands still and on one that changes. In the end
// nothing of what was sent may stand in a log or in the audit, and nobody may
// have fetched anything from where a token said.
func TestAttacks(t *testing.T) {
	s := newScene(t, Edition2014)
	s.bound = s.measure(t)
	var names []string
	run := func(name string, fn func(*testing.T)) {
		names = append(names, name)
		t.Run(name, fn)
	}
	slow := s.slowDocument(t)
	for _, a := range slices.Concat(tokenAttacks(), worldAttacks(), directAttacks()) {
		run(a.name, func(t *testing.T) { s.run(t, a) })
	}
	for _, a := range grantAttacks() {
		run(a.name, func(t *testing.T) { s.runGrant(t, a) })
	}
	for _, a := range []struct {
		name string
		run  func(*testing.T, *scene)
	}{
		{"A18 A19 A20 metadata of a stranger", metadataAttacks},
		{"A43 registering names that are not one's own", registrationAttacks},
		{"A45 uploading weak keys", uploadAttacks},
		{"A46 tokens of a key before, in and after its time", rollover},
		{"A48 refusals tell nothing of users", enumeration},
		{"A49 Test-OAuthConnectivity shows no secret", connectivityOutput},
		{"A50 a man in the middle", manInTheMiddle},
		{"a resource that asks for the tokens of others", greedyResource},
		{"A31 A32 over HTTP/2", overHTTP2},
		{"tokens that are handed out again", handedOut},
		{"an authorization server that hands out other tokens", substitution},
		{"metadata that changes under the hand", changingMetadata},
		{"a partner's document that changes under the hand", changingPartner},
	} {
		run(a.name, func(t *testing.T) { a.run(t, s) })
	}
	t.Run("A20 a slow document", slow)
	for n := range 50 {
		if !regexp.MustCompile(fmt.Sprintf(`\bA%d\b`, n+1)).MatchString(strings.Join(names, "\n")) {
			t.Errorf("attack A%d of the reference is not tried", n+1)
		}
	}
	t.Run("nothing is fetched from where a token says", func(t *testing.T) {
		if n := s.caught.Load(); n > 0 {
			t.Errorf("%d connections to the address that tokens name", n)
		}
		if strings.Contains(s.logs.String(), trapPath) {
			t.Errorf("a request for %s came", trapPath)
		}
	})
	t.Run("A49 no log and no audit record holds a secret", func(t *testing.T) {
		text := s.logs.String()
		s.leaks(t, "the log", text)
		s.leaks(t, "the audit", s.auditText(t))
		token := s.bearerFor(mailHost).actor.String()
		s.secretToken(token)
		for what, line := range map[string]string{"a token": token, "a cut signature": token[len(token)-40:], "a password": s.state.Passwords["kim@"+domain]} {
			found := finder{TB: t}
			if s.leaks(&found, what, "x "+line+" x"); !found.found {
				t.Errorf("%s in a log would not be found", what)
			}
		}
		if !strings.Contains(text, "token refused") || len(s.pieces) < 1000 {
			t.Errorf("a log of %d bytes and %d pieces of tokens prove nothing", len(text), len(s.pieces))
		}
	})
}

// A finder remembers that a test would have failed.
type finder struct {
	testing.TB
	found bool
}

func (f *finder) Errorf(string, ...any) { f.found = true }

// measure finds how long a request that is in order takes, and allows attacks a
// multiple of it: the machine may be busy with other tests.
func (s *scene) measure(t *testing.T) time.Duration {
	t.Helper()
	var all []time.Duration
	for range 9 {
		a := s.send(t, s.bearerFor(mailHost))
		s.expect(t, "a request that is in order", a, accepted)
		all = append(all, a.took)
	}
	slices.Sort(all)
	return max(20*all[len(all)/2], 300*time.Millisecond)
}

func (s *scene) run(t *testing.T, a attack) {
	start := func() *bearer {
		if a.start != nil {
			return a.start(s)
		}
		return s.bearerFor(mailHost)
	}
	twin := func(t *testing.T) {
		t.Helper()
		b := start()
		s.expect(t, "the twin that is in order", s.send(t, b), s.wanted(b, accepted))
	}
	twin(t)
	t.Run("attack", func(t *testing.T) {
		s.t = t
		if a.with != nil {
			a.with(t, s)
		}
		for _, v := range a.tries {
			b := start()
			v.change(s, b)
			got := s.send(t, b)
			s.expect(t, v.name, got, s.wanted(b, v.want))
			for n := 0; got.took > s.bound; n++ {
				if n == 3 {
					t.Errorf("%s: answered after %v, bound %v", v.name, got.took, s.bound)
					break
				}
				got = s.send(t, b)
			}
		}
	})
	twin(t)
}

// wanted is w, or that the cloud is closed, which it is to whom it lets in otherwise.
func (s *scene) wanted(b *bearer, w want) want {
	if s.closed && b.host == s.Lab.cloud.EWSHost && (w == accepted || w.fault != "") {
		return want{status: http.StatusForbidden}
	}
	return w
}

// expect checks an answer of a resource.
func (s *scene) expect(t testing.TB, name string, got answer, w want) {
	t.Helper()
	diagnostics := got.header.Get(acs.DiagnosticsHeader)
	if got.status != w.status {
		t.Errorf("%s: status %d %s, want %d %d\n%.300s", name, got.status, diagnostics, w.status, w.id, got.body)
		return
	}
	if w.status == http.StatusOK && w.fault == "" && !regexp.MustCompile(`<(\w+:)?ResponseCode>NoError<|<ErrorCode>NoError<`).Match(got.body) {
		t.Errorf("%s: accepted, but answered %.500s", name, got.body)
	}
	if w.fault != "" && !strings.Contains(string(got.body), w.fault) {
		t.Errorf("%s: answered %.500s, want the fault %s", name, got.body, w.fault)
	}
	challenge := strings.Join(got.header.Values("WWW-Authenticate"), "\n")
	if w.status == http.StatusUnauthorized {
		if strings.Contains(challenge, "Bearer client_id=") == w.noOAuth || len(got.body) != 0 {
			t.Errorf("%s: challenge %q and a body of %d bytes, want a Bearer challenge: %v, and no body", name, challenge, len(got.body), !w.noOAuth)
		}
		if (w.id != 0) != strings.Contains(challenge, `error="invalid_token"`) {
			t.Errorf("%s: challenge %q with diagnostics %d", name, challenge, w.id)
		}
	}
	if w.id == 0 {
		if diagnostics != "" {
			t.Errorf("%s: diagnostics %q, want none", name, diagnostics)
		}
		return
	}
	d, err := acs.ParseDiagnostics(diagnostics)
	if err != nil || d.ID != w.id || d.Category != categories[w.id] || d.Reason == "" {
		t.Errorf("%s: diagnostics %q, want %d %s", name, diagnostics, w.id, categories[w.id])
	}
}

// trapPath is a place at a host of the world where tokens say that keys are.
const trapPath = "/attacker/keys"

// trapURLs are where tokens say that keys are: addresses that could be reached.
func (s *scene) trapURLs() []string {
	return []string{"http://" + s.trap.Addr().String() + "/keys", "https://" + s.trap.Addr().String() + "/keys",
		"https://" + evilHost + trapPath, "https://" + s.Lab.cloud.ACSHost + trapPath}
}

// one is a try by one change to the actor token.
func actor(name string, w want, change func(*scene, *forged)) try {
	return try{name, func(s *scene, b *bearer) { change(s, b.actor) }, w}
}

// outer is a try by one change to the outer token.
func outer(name string, w want, change func(*scene, *forged)) try {
	return try{name, func(s *scene, b *bearer) { change(s, b.outer) }, w}
}

// whole is a try by one change to the text of the whole token.
func whole(name string, w want, change func(string) string) try {
	return try{name, func(_ *scene, b *bearer) { b.text = change }, w}
}

func tokenAttacks() []attack {
	return []attack{
		{name: "A1 outer token without actor token", tries: []try{
			{"none", func(_ *scene, b *bearer) { b.inner = "" }, refused(2000001)},
			{"under another name", func(_ *scene, b *bearer) { b.inner = "actor" }, refused(2000001)},
			{"null", func(_ *scene, b *bearer) { b.inner = ""; b.outer.claims.set("actortoken", nil) }, refused(2000001)},
			{"empty", func(_ *scene, b *bearer) { b.inner = ""; b.outer.claims.set("actortoken", "") }, refused(2000001)},
			{"an object", func(s *scene, b *bearer) {
				b.inner = ""
				b.outer.claims.set("actortoken", map[string]string{"iss": "x"})
			}, refused(2000001)},
			{"actort is the other name", func(_ *scene, b *bearer) { b.inner = "actort" }, accepted},
		}},
		{name: "A2 actor token that is not signed", tries: slices.Concat(
			unsigned("none"), unsigned("None"), unsigned("NONE"), unsigned("nOnE"), unsigned(""), unsigned("RS256"))},
		{name: "A3 HS256 with what is public", tries: []try{
			hmacWith("the certificate", func(s *scene) []byte { return s.authority.der }),
			hmacWith("its PEM form", func(s *scene) []byte {
				return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.authority.der})
			}),
			hmacWith("its base64 form", func(s *scene) []byte { return []byte(s.authority.base64()) }),
			hmacWith("the modulus", func(s *scene) []byte { return s.authority.key.N.Bytes() }),
			hmacWith("its x5t", func(s *scene) []byte { return []byte(s.authority.x5t()) }),
			hmacWith("nothing", func(*scene) []byte { return nil }),
			actor("RS256 with an HMAC", refused(2000000), func(s *scene, f *forged) { f.sign = hs(s.authority.der) }),
		}},
		{name: "A4 another algorithm", tries: []try{
			otherAlgorithm("RS384", func(s *scene, in string) []byte { return rs(s.authority, crypto.SHA384)(in) }),
			otherAlgorithm("RS512", func(s *scene, in string) []byte { return rs(s.authority, crypto.SHA512)(in) }),
			otherAlgorithm("PS256", pss),
			otherAlgorithm("ES256", es256),
			otherAlgorithm("EdDSA", es256),
			otherAlgorithm("rs256", func(s *scene, in string) []byte { return rs(s.authority, crypto.SHA256)(in) }),
			actor("RS256 with a signature of RS512", refused(2000000), func(s *scene, f *forged) {
				f.sign = func(in string) string { return b64(string(rs(s.authority, crypto.SHA512)(in))) }
			}),
			actor("no alg", refused(2000001), func(_ *scene, f *forged) { f.header.del("alg") }),
			actor("alg is a list", refused(2000001), func(_ *scene, f *forged) { f.header.set("alg", []string{"RS256"}) }),
		}},
		{name: "A5 outer token with a signature", tries: []try{
			outer("of the actor's key", refused(2000001), func(s *scene, f *forged) { f.key = s.authority }),
			outer("rubbish", refused(2000001), func(_ *scene, f *forged) { f.sign = func(string) string { return "AAAA" } }),
			outer("RS256 with an actor token in it", refused(2000001), func(s *scene, f *forged) {
				f.key = s.authority
				f.header = jsonObject{{"typ", "JWT"}, {"alg", "RS256"}, {"x5t", s.authority.x5t()}}
			}),
			outer("said to be RS256, without one", refused(2000001), func(_ *scene, f *forged) { f.header.set("alg", "RS256") }),
			outer("said to be None", refused(2000001), func(_ *scene, f *forged) { f.header.set("alg", "None") }),
		}},
		{name: "A6 actor token in an actor token", tries: []try{
			actor("signed", refused(2000001), func(s *scene, f *forged) { f.claims.add("actortoken", s.actorFor(mailHost).String()) }),
			actor("by the other name", refused(2000001), func(s *scene, f *forged) { f.claims.add("actort", s.actorFor(mailHost).String()) }),
			actor("three levels", refused(2000001), func(s *scene, f *forged) {
				inner := s.actorFor(mailHost)
				inner.claims.add("actortoken", s.actorFor(mailHost).String())
				f.claims.add("actortoken", inner.String())
			}),
			{"an outer token as actor token", func(s *scene, b *bearer) {
				b.inner = ""
				b.outer.claims.add("actortoken", s.bearerFor(mailHost).token())
			}, refused(2000001)},
		}},
		{name: "A7 actort and actortoken together", tries: []try{
			{"different", func(s *scene, b *bearer) { b.outer.claims.add("actort", s.actorFor(mailHost).String()) }, refused(2000001)},
			{"equal", func(_ *scene, b *bearer) { b.outer.claims.add("actort", b.actor.String()) }, refused(2000001)},
		}},
		{name: "A8 outer issuer is not whom the actor token names", tries: []try{
			outer("another application", refused(2000001), func(s *scene, f *forged) { f.claims.set("iss", sharepoint+"@"+s.tenant) }),
			outer("another letter case", refused(2000001), func(s *scene, f *forged) {
				f.claims.set("iss", strings.ToUpper(directory.ExchangeAppID)+"@"+s.tenant)
			}),
			outer("absent", refused(2000001), func(_ *scene, f *forged) { f.claims.del("iss") }),
			outer("with a space", refused(2000001), func(s *scene, f *forged) { f.claims.set("iss", directory.ExchangeAppID+"@"+s.tenant+" ") }),
			outer("another audience", refused(2000001), func(s *scene, f *forged) {
				f.claims.set("aud", directory.ExchangeAppID+"/"+mail2Host+"@"+s.tenant)
			}),
		}},
		{name: "A9 actor token that may not speak for users", tries: []try{
			delegation("false", "false", refused(2000001)), delegation("True with a space", "True ", refused(2000001)),
			delegation("a number", 1, refused(2000001)), delegation("TRUE", "TRUE", refused(2000001)), delegation("a list", []bool{true}, refused(2000001)),
			delegation("escaped", json.RawMessage(`"tru\u0065"`), refused(2000001)),
			actor("absent", refused(2000001), func(_ *scene, f *forged) { f.claims.del("trustedfordelegation") }),
			{"said in the outer token", func(_ *scene, b *bearer) {
				b.actor.claims.set("trustedfordelegation", "false")
				b.outer.claims.set("trustedfordelegation", "true")
			}, refused(2000001)},
			delegation("boolean", true, accepted),
		}},
		{name: "A10 tenant swap in the outer token", start: atCloud, tries: tenantSwap},
		{name: "A10 tenant swap in the outer token, on premises", tries: tenantSwap},
		{name: "A11 tenant swap in the actor token, properly signed", start: atCloud, tries: actorSwap},
		{name: "A11 tenant swap in the actor token, on premises", tries: actorSwap},
		{name: "A12 tenant without AuthServer", tries: []try{
			{"all of another tenant", func(s *scene, b *bearer) { b.toTenant(s, s.other, mailHost) }, refused(2000009)},
			{"a tenant that nobody has", func(s *scene, b *bearer) { b.toTenant(s, "4d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a", mailHost) }, refused(2000009)},
			{"any realm", func(s *scene, b *bearer) { b.toTenant(s, "*", mailHost) }, refused(2000009)},
			actor("another authorization server", refused(2000009), func(s *scene, f *forged) {
				f.claims.set("iss", "00000001-0000-0000-c000-000000000000@"+s.tenant)
			}),
			actor("two realms", refused(2000009), func(s *scene, f *forged) { f.claims.set("iss", s.acs+"@"+s.tenant+"@"+s.other) }),
			actor("no realm", refused(2000009), func(s *scene, f *forged) { f.claims.set("iss", s.acs) }),
			actor("empty realm", refused(2000009), func(s *scene, f *forged) { f.claims.set("iss", s.acs+"@") }),
			actor("no issuer", refused(2000009), func(_ *scene, f *forged) { f.claims.del("iss") }),
			actor("a list of issuers", refused(2000009), func(s *scene, f *forged) { f.claims.set("iss", []string{s.acs + "@" + s.tenant}) }),
			actor("the realm in upper case", refused(2000009), func(s *scene, f *forged) { f.claims.set("iss", s.acs+"@"+strings.ToUpper(s.tenant)) }),
		}},
		{name: "A12 tenant that is not hosted", start: atCloud, tries: []try{
			{"nobody's", func(s *scene, b *bearer) { b.toTenant(s, "4d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a", s.Lab.cloud.EWSHost) }, refused(2000009)},
			{"any realm", func(s *scene, b *bearer) { b.toTenant(s, "*", s.Lab.cloud.EWSHost) }, refused(2000009)},
			{"another tenant's user under its own realm", func(s *scene, b *bearer) {
				b.toTenant(s, s.other, s.Lab.cloud.EWSHost) // fabrikam does not know alice
			}, refused(2000005)},
		}},
		{name: "A14 A15 a signature of somebody else", tries: []try{
			signedBy("the partner, with its x5t", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.partner, s.partner }),
			signedBy("the partner, with the authority's x5t", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.partner, s.authority }),
			signedBy("ourselves, with our x5t", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.org, s.org }),
			signedBy("the cloud's organization, a credential at the authority", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.cloudOrg, s.cloudOrg }),
			signedBy("nobody, with the authority's x5t", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.nobody, s.authority }),
			signedBy("the authority, with the partner's x5t", refused(2000000), func(s *scene) (*signingKey, *signingKey) { return s.authority, s.partner }),
			actor("empty signature", refused(2000000), func(_ *scene, f *forged) { f.key = nil }),
			actor("short signature", refused(2000000), func(_ *scene, f *forged) { f.sign = func(string) string { return "AAAA" } }),
			actor("a signature of zeros", refused(2000000), func(_ *scene, f *forged) { f.sign = func(string) string { return b64(string(make([]byte, 256))) } }),
			actor("the signature with a byte before it", refused(2000000), func(s *scene, f *forged) {
				f.sign = func(in string) string { return b64("\x00" + string(rs(s.authority, crypto.SHA256)(in))) }
			}),
			actor("the signature plus the modulus", refused(2000000), func(s *scene, f *forged) {
				f.sign = func(in string) string {
					return b64(string(plusModulus(s.authority, rs(s.authority, crypto.SHA256)(in))))
				}
			}),
			actor("a claim changed after signing", refused(2000000), func(s *scene, f *forged) {
				genuine := f.String()
				signature := genuine[strings.LastIndexByte(genuine, '.')+1:]
				f.claims.set("oid", "00000000-0000-4000-8000-000000000000")
				f.sign = func(string) string { return signature }
			}),
		}},
		{name: "A16 the header says where the key is", tries: keyLocations()},
		{name: "A17 x5t", tries: []try{
			x5t("absent", refused(2000000), func(*signingKey) any { return nil }),
			x5t("of 32 bytes", refused(2000000), func(k *signingKey) any {
				sum := sha256.Sum256(k.der)
				return base64.RawURLEncoding.EncodeToString(sum[:])
			}),
			x5t("of 19 bytes", refused(2000000), func(k *signingKey) any { return k.x5t()[:26] }),
			x5t("hex", refused(2000000), func(k *signingKey) any { return directory.Thumbprint(k.der) }),
			x5t("a number", refused(2000000), func(*signingKey) any { return 1 }),
			x5t("a list", refused(2000000), func(k *signingKey) any { return []string{k.x5t()} }),
			actor("only as x5t#S256", refused(2000000), func(s *scene, f *forged) {
				sum := sha256.Sum256(s.authority.der)
				f.header.del("x5t")
				f.header.add("x5t#S256", base64.RawURLEncoding.EncodeToString(sum[:]))
			}),
			actor("only as kid", refused(2000000), func(_ *scene, f *forged) { f.header.del("x5t") }),
			x5t("padded", accepted, func(k *signingKey) any { return k.x5t() + "=" }),
			x5t("standard alphabet", accepted, func(k *signingKey) any { return strings.NewReplacer("-", "+", "_", "/").Replace(k.x5t()) }),
		}},
		{name: "A21 A39 an identity token that names its own metadata", tries: identityTokens()},
		{name: "A22 audience", tries: []try{
			audience("SharePoint", refused(2000003), func(s *scene) any { return sharepoint + "/" + mailHost + "@" + s.tenant }),
			audience("upper-case pid", refused(2000003), func(s *scene) any { return strings.ToUpper(directory.ExchangeAppID) + "/" + mailHost + "@" + s.tenant }),
			audience("a URL", refused(2000003), func(*scene) any { return "https://" + mailHost + "/ews/exchange.asmx" }),
			audience("a list", refused(2000003), func(s *scene) any {
				return []string{directory.ExchangeAppID + "/" + mailHost + "@" + s.tenant}
			}),
			audience("two @", refused(2000003), func(s *scene) any { return directory.ExchangeAppID + "/" + mailHost + "@" + s.tenant + "@" + s.tenant }),
			audience("two hosts", refused(2000003), func(s *scene) any { return directory.ExchangeAppID + "/" + mailHost + "/" + mailHost + "@" + s.tenant }),
			audience("no realm", refused(2000003), func(*scene) any { return directory.ExchangeAppID + "/" + mailHost }),
			audience("empty realm", refused(2000003), func(*scene) any { return directory.ExchangeAppID + "/" + mailHost + "@" }),
			audience("empty host", refused(2000003), func(s *scene) any { return directory.ExchangeAppID + "/@" + s.tenant }),
			audience("no host", refused(2000003), func(s *scene) any { return directory.ExchangeAppID + "@" + s.tenant }),
			audience("null", refused(2000003), func(*scene) any { return nil }),
			audience("a control character", refused(2000003), func(s *scene) any {
				return directory.ExchangeAppID + "/" + mailHost + "\r\nSet-Cookie: a=b@" + s.tenant
			}),
			{"absent", func(_ *scene, b *bearer) { b.actor.claims.del("aud"); b.outer.claims.del("aud") }, refused(2000003)},
		}},
		{name: "A23 audience of another server of the organization", tries: []try{
			audienceHost("its sibling", refused(2000003), mail2Host),
			audienceHost("its Autodiscover name", refused(2000003), discoverHost),
			{"with the Host header forged to match", func(s *scene, b *bearer) {
				b.aud(directory.ExchangeAppID + "/" + mail2Host + "@" + s.tenant)
				b.named = mail2Host
			}, refused(2000003)},
			{"with X-Forwarded-Host forged to match", func(s *scene, b *bearer) {
				b.aud(directory.ExchangeAppID + "/" + mail2Host + "@" + s.tenant)
				b.header.Set("X-Forwarded-Host", mail2Host)
				b.header.Set("Forwarded", "host="+mail2Host)
				b.header.Set("X-Original-Host", mail2Host)
			}, refused(2000003)},
			{"at the sibling itself", func(s *scene, b *bearer) {
				b.aud(directory.ExchangeAppID + "/" + mail2Host + "@" + s.tenant)
				b.host = mail2Host
			}, accepted},
			{"a Host header of nobody", func(s *scene, b *bearer) {
				b.aud(directory.ExchangeAppID + "/mail.example.com@" + s.tenant)
				b.named = "mail.example.com"
			}, want{status: http.StatusMisdirectedRequest}},
		}},
		{name: "A24 audience with a host that looks like ours", tries: []try{
			audienceHost("our name as a prefix", refused(2000003), mailHost+".evil.test"),
			audienceHost("our name as a suffix", refused(2000003), "evil"+mailHost),
			audienceHost("a label before it", refused(2000003), "a."+mailHost),
			audienceHost("trailing dot", refused(2000003), mailHost+"."),
			audienceHost("another port", refused(2000003), mailHost+":444"),
			audienceHost("no port after a colon", refused(2000003), mailHost+":"),
			audienceHost("the default port with a zero before it", refused(2000003), mailHost+":0443"),
			audienceHost("Cyrillic letters", refused(2000003), "mаil.contoso.com"),
			audienceHost("Cyrillic letters as an A-label", refused(2000003), "xn--mil-4cd.contoso.com"),
			audienceHost("wide letters", refused(2000003), "ｍail.contoso.com"),
			audienceHost("a Kelvin sign", refused(2000003), "mail.Kontoso.com"),
			audienceHost("a wildcard", refused(2000003), "*."+domain),
			audienceHost("user information", refused(2000003), "x:y"+mailHost),
			audienceHost("the address", refused(2000003), "127.0.0.15"),
			audienceHost("another letter case", accepted, "MAIL.Contoso.COM"),
			audienceHost("the default port", accepted, mailHost+":443"),
		}},
		{name: "A25 Autodiscover token at EWS of another host", start: func(s *scene) *bearer {
			b := s.bearerFor(discoverHost)
			b.path, b.body = "/autodiscover/autodiscover.svc", userSettings("alice@"+domain, "https://"+discoverHost+"/autodiscover/autodiscover.svc")
			return b
		}, tries: []try{
			{"EWS", func(s *scene, b *bearer) {
				b.host, b.path, b.body = mailHost, "/ews/exchange.asmx", s.question("alice@"+domain)
			}, refused(2000003)},
			{"EWS of the cloud", func(s *scene, b *bearer) {
				b.host, b.path, b.body = s.Lab.cloud.EWSHost, "/ews/exchange.asmx", s.question("kim@"+domain)
			}, refused(2000003)},
		}},
		{name: "A26 realm of the audience", tries: []try{
			audience("below a wildcard domain", refused(2000004), func(*scene) any { return directory.ExchangeAppID + "/" + mailHost + "@x.lab." + domain }),
			audience("the wildcard itself", refused(2000004), func(*scene) any { return directory.ExchangeAppID + "/" + mailHost + "@*.lab." + domain }),
			audience("another tenant's domain", refused(2000004), func(*scene) any { return directory.ExchangeAppID + "/" + mailHost + "@" + otherDomain }),
			audience("our domain in place of the tenant", refused(2000004), func(*scene) any { return directory.ExchangeAppID + "/" + mailHost + "@" + domain }),
			audience("any realm", refused(2000004), func(*scene) any { return directory.ExchangeAppID + "/" + mailHost + "@*" }),
			audience("upper case", refused(2000004), func(s *scene) any { return directory.ExchangeAppID + "/" + mailHost + "@" + strings.ToUpper(s.tenant) }),
		}},
		{name: "A27 A28 times", tries: slices.Concat(clockEdges(), []try{
			times("exp before nbf", refused(2000002), time.Hour, time.Minute),
			times("exp at nbf", refused(2000002), 0, 0),
			times("valid for ten years", refused(2000002), -time.Minute, 10*365*24*time.Hour),
			times("valid for 25 hours", accepted, -time.Hour, 24*time.Hour),
			times("valid for 25 hours and a second", refused(2000002), -time.Hour, 24*time.Hour+time.Second),
			outerTimes("outer token valid for 13 hours", refused(2000002), 0, 13*time.Hour),
			outerTimes("outer token valid for 12 hours", accepted, 0, 12*time.Hour),
			{"actor token has expired, outer is valid", func(s *scene, b *bearer) { b.actor.valid(s, -24*time.Hour, -6*time.Minute) }, refused(2000002)},
			{"outer token has expired, actor is valid", func(s *scene, b *bearer) { b.outer.valid(s, -8*time.Hour, -6*time.Minute) }, refused(2000002)},
			{"outer token outlives its actor token", func(s *scene, b *bearer) { b.actor.valid(s, -23*time.Hour, time.Minute) }, accepted},
			rawTime("absent", refused(2000002), ""),
			rawTime("null", refused(2000002), "null"),
			rawTime("negative", refused(2000002), "-1"),
			rawTime("1e300", refused(2000002), "1e300"),
			rawTime("a text with an exponent", refused(2000002), `"1.5e9"`),
			rawTime("a fraction", refused(2000002), "4102444800.5"),
			rawTime("more than an int64", refused(2000002), "18446744073709551617"),
			rawTime("the largest int64", refused(2000002), "9223372036854775807"),
			rawTime("a boolean", refused(2000002), "true"),
			rawTime("a list", refused(2000002), "[4102444800]"),
			rawTime("a text with spaces", refused(2000002), `" 4102444800"`),
			rawTime("a text with leading zeros", refused(2000002), `"004102444800"`),
			rawTime("a number with leading zeros", refused(2000001), "004102444800"),
			rawTime("an Arabic digit", refused(2000002), `"٤102444800"`),
		})},
		{name: "A29 JSON that readers disagree about", tries: slices.Concat(jsonTricks("actor", actor), jsonTricks("outer", outer))},
		{name: "A30 base64 that readers disagree about", tries: []try{
			whole("padding", refused(2000001), func(t string) string { return strings.Replace(t, ".", "=.", 1) }),
			whole("a space within", refused(2000001), func(t string) string { return t[:20] + " " + t[20:] }),
			whole("a tab within", refused(2000001), func(t string) string { return t[:20] + "\t" + t[20:] }),
			whole("a comma within", want{status: http.StatusBadRequest}, func(t string) string { return t[:20] + "," + t[20:] }),
			whole("a null byte as text", refused(2000001), func(t string) string { return t[:20] + "%00" + t[20:] }),
			whole("standard alphabet", refused(2000001), func(t string) string {
				_, payload, _ := strings.Cut(t, ".")
				raw, _ := base64.RawURLEncoding.DecodeString(strings.TrimSuffix(payload, "."))
				return b64(`{"typ":"JWT","alg":"none","??>":"~~~???"}`)[:4] + "+/" + base64.RawStdEncoding.EncodeToString(raw)[6:] + "."
			}),
			whole("trailing bits", refused(2000001), trailingBits),
			whole("a fourth segment", refused(2000001), func(t string) string { return t + "." }),
			whole("two segments", refused(2000001), func(t string) string { return strings.TrimSuffix(t, ".") }),
			whole("one segment", refused(2000001), func(t string) string { return strings.ReplaceAll(t, ".", "") }),
			whole("only dots", refused(2000001), func(string) string { return ".." }),
			whole("five segments, as an encrypted token has", refused(2000001), func(t string) string { return t + "AAAA.AAAA" }),
			actor("padding within the actor token", refused(2000001), func(_ *scene, f *forged) { f.text = func(t string) string { return t + "==" } }),
			actor("a line end within the actor token", refused(2000001), func(_ *scene, f *forged) {
				f.text = func(t string) string { return t[:20] + "\n" + t[20:] }
			}),
			actor("a line end after the actor token", refused(2000001), func(_ *scene, f *forged) { f.text = func(t string) string { return t + "\n" } }),
			actor("trailing bits in the signature", refused(2000001), func(_ *scene, f *forged) { f.text = trailingBits }),
		}},
		{name: "A31 tokens of great size, and in other places", tries: []try{
			outer("of 20 KB", refused(2000001), func(_ *scene, f *forged) { f.claims.add("x", strings.Repeat("x", 15<<10)) }),
			whole("of 100 KB", refused(2000001), func(string) string { return strings.Repeat("A", 100<<10) }),
			whole("of 100 KB of dots", refused(2000001), func(string) string { return strings.Repeat(".", 100<<10) }),
			whole("of 1 MB", want{status: http.StatusRequestHeaderFieldsTooLarge}, func(string) string { return strings.Repeat("A", 1<<20) }),
			outer("a thousand members", refused(2000001), func(_ *scene, f *forged) {
				for i := range 1000 {
					f.claims.add(fmt.Sprint(i), 0)
				}
			}),
			{"in the URL", func(_ *scene, b *bearer) { b.noBearer, b.query = true, "access_token="+b.token() }, want{status: http.StatusUnauthorized}},
			{"in a form", func(_ *scene, b *bearer) {
				b.noBearer, b.kind, b.body = true, "application/x-www-form-urlencoded", []byte(url.Values{"access_token": {b.token()}}.Encode())
			}, want{status: http.StatusUnauthorized}},
			{"in a cookie", func(_ *scene, b *bearer) { b.noBearer = true; b.header.Set("Cookie", "access_token="+b.token()) }, want{status: http.StatusUnauthorized}},
			{"in X-Authorization", func(_ *scene, b *bearer) { b.noBearer = true; b.header.Set("X-Authorization", "Bearer "+b.token()) }, want{status: http.StatusUnauthorized}},
		}},
		{name: "A32 Authorization headers", tries: []try{
			{"two of them", func(_ *scene, b *bearer) { b.auth = []string{"Bearer " + b.token(), "Bearer " + b.token()} }, want{status: http.StatusBadRequest}},
			{"one empty, one with the token", func(_ *scene, b *bearer) { b.auth = []string{"", "Bearer " + b.token()} }, want{status: http.StatusBadRequest}},
			{"Bearer twice", func(_ *scene, b *bearer) { b.auth = []string{"Bearer Bearer " + b.token()} }, want{status: http.StatusBadRequest}},
			{"two in one line", func(_ *scene, b *bearer) { b.auth = []string{"Bearer " + b.token() + ", Bearer " + b.token()} }, want{status: http.StatusBadRequest}},
			{"Basic and Bearer in one line", func(_ *scene, b *bearer) { b.auth = []string{"Basic YTpi, Bearer " + b.token()} }, want{status: http.StatusUnauthorized}},
			{"the token without a scheme", func(_ *scene, b *bearer) { b.auth = []string{b.token()} }, want{status: http.StatusUnauthorized}},
			{"another scheme", func(_ *scene, b *bearer) { b.auth = []string{"MAC " + b.token()} }, want{status: http.StatusUnauthorized}},
			{"Bearer alone asks for the challenge", func(_ *scene, b *bearer) { b.auth = []string{"Bearer"} }, want{status: http.StatusUnauthorized}},
			{"lower case", func(_ *scene, b *bearer) { b.scheme = "bearer" }, accepted},
			{"two spaces", func(_ *scene, b *bearer) { b.scheme = "BEARER " }, accepted},
		}},
		{name: "A35 claims that point at different users", tries: []try{
			outer("upn and smtp", refused(2000005), func(_ *scene, f *forged) { f.claims.set("upn", "lee@"+domain) }),
			outer("sip", refused(2000005), func(_ *scene, f *forged) { f.claims.set("sip", "lee@"+domain) }),
			outer("nameid as UPN", refused(2000005), func(_ *scene, f *forged) { f.claims.del("nii"); f.claims.set("nameid", "lee@"+domain) }),
			outer("a mailbox of ours and a mail user", refused(2000005), func(_ *scene, f *forged) { f.claims.set("smtp", "alice@"+domain) }),
			outer("an enabled and a disabled one", refused(2000005), func(_ *scene, f *forged) { f.claims.set("upn", "gone@"+domain) }),
			mailbox("the mailbox of another one", refused(2000005), func(s *scene) string { return s.mailboxID("lee") + "@" + domain }),
			mailbox("the mailbox of another one, by the tenant", refused(2000005), func(s *scene) string { return s.mailboxID("lee") + "@" + s.tenant }),
			mailbox("the mailbox of another one, in upper case", refused(2000005), func(s *scene) string { return strings.ToUpper(s.mailboxID("lee")) + "@" + domain }),
			mailbox("one's own mailbox", accepted, func(s *scene) string { return s.mailboxID("kim") + "@" + domain }),
			mailbox("a mailbox of nobody", accepted, func(*scene) string { return "a1b2c3d4-0009-4000-8000-00000000e0a1@" + domain }),
			mailbox("a mailbox of another organization", accepted, func(s *scene) string { return s.mailboxID("lee") + "@" + otherDomain }),
			mailbox("a mailbox of a domain with *", accepted, func(s *scene) string { return s.mailboxID("lee") + "@*.lab." + domain }),
			outer("two addresses of one user", accepted, func(_ *scene, f *forged) { f.claims.set("smtp", "KIM@Contoso.com") }),
			outer("one that resolves, one that does not", accepted, func(_ *scene, f *forged) { f.claims.set("upn", "kim@contoso.local") }),
		}},
		{name: "A36 users that are not ours", tries: []try{
			user("of another organization", "uma@"+otherDomain), user("disabled", "gone@"+domain), user("unknown", "nobody@"+domain),
			user("two addresses", "kim@"+domain+",alice@"+domain), user("with a name", "Kim <kim@"+domain+">"), user("empty", ""),
			user("below our domain", "kim@x."+domain), user("a look-alike", "kim@сontoso.com"), user("with a null", "kim@"+domain+"\x00"),
			outer("the mailbox of another organization alone", refused(2000005), func(s *scene, f *forged) {
				f.person("x", "urn:federation:MicrosoftOnline")
				f.claims.add("msexchuid", s.mailboxID("lee")+"@"+otherDomain)
			}),
			outer("the mailbox alone", accepted, func(s *scene, f *forged) {
				f.person("x", "urn:federation:MicrosoftOnline")
				f.claims.add("msexchuid", s.mailboxID("kim")+"@"+domain)
			}),
			outer("the mailbox of one who is disabled", refused(2000005), func(s *scene, f *forged) {
				f.person("x", "urn:federation:MicrosoftOnline")
				f.claims.add("msexchuid", s.mailboxID("gone")+"@"+domain)
			}),
			outer("a SID", refused(2000005), func(_ *scene, f *forged) { f.person("S-1-5-21-1-2-3-500", "urn:office:idp:activedirectory") }),
			outer("the netId alone", refused(2000005), func(_ *scene, f *forged) { f.person("10032000A1B2C3D4", "urn:federation:MicrosoftOnline") }),
			outer("nobody at all", refused(2000005), func(_ *scene, f *forged) {
				for _, name := range []string{"nameid", "nii", "upn", "smtp", "sip"} {
					f.claims.del(name)
				}
			}),
			outer("lists", refused(2000005), func(_ *scene, f *forged) {
				for _, name := range []string{"upn", "smtp", "sip"} {
					f.claims.set(name, []string{"kim@" + domain})
				}
			}),
		}},
		{name: "A36 users that are not of the hosted organization", start: atCloud, tries: []try{
			user("of another tenant", "uma@"+otherDomain), user("of another tenant by the cloud's name", "uma@"+otherInitial),
		}},
		{name: "A38 a token that speaks for nobody, or for others", tries: []try{
			{"app-only asks for a folder", func(_ *scene, b *bearer) { b.appOnly(); b.body = getFolder("") }, want{status: http.StatusOK, fault: "ErrorMissingEmailAddress"}},
			{"app-only impersonates without the role", func(_ *scene, b *bearer) { b.appOnly(); b.body = getFolder("alice@" + domain) }, want{status: http.StatusInternalServerError, fault: "ErrorImpersonateUserDenied"}},
			{"act-as impersonates without the role", func(_ *scene, b *bearer) { b.body = getFolder("alice@" + domain) }, want{status: http.StatusInternalServerError, fault: "ErrorImpersonateUserDenied"}},
			{"app-only asks for free/busy", func(_ *scene, b *bearer) { b.appOnly() }, accepted},
		}},
		{name: "A41 other tokens as bearer", tries: []try{
			{"the assertion for the authority", func(s *scene, b *bearer) { b.outer, b.actor = nil, s.assertionOf(s.org, s.tenant) }, refused(2000009)},
			{"an assertion as actor token", func(s *scene, b *bearer) { b.actor = s.assertionOf(s.org, s.tenant) }, refused(2000009)},
			{"the cloud's assertion", func(s *scene, b *bearer) { b.outer, b.actor = nil, s.assertionOf(s.cloudOrg, s.tenant) }, refused(2000009)},
		}},
		{name: "tokens that were accepted, changed or elsewhere", tries: replays()},
		{name: "tokens at other doors", tries: []try{
			{"import of a calendar", func(_ *scene, b *bearer) {
				b.path, b.query, b.kind = "/api/v1/mailboxes/alice@"+domain+"/import", "name=x.ics", "text/calendar"
			}, want{status: http.StatusForbidden}},
			{"import, unsigned", func(_ *scene, b *bearer) {
				b.path, b.query, b.kind = "/api/v1/mailboxes/alice@"+domain+"/import", "name=x.ics", "text/calendar"
				b.inner = ""
			}, refused(2000001)},
			{"Autodiscover, unsigned", func(_ *scene, b *bearer) { b.path, b.inner = "/autodiscover/autodiscover.svc", "" }, refused(2000001)},
			{"Autodiscover, another host", func(s *scene, b *bearer) {
				b.path = "/autodiscover/autodiscover.svc"
				b.aud(directory.ExchangeAppID + "/" + discoverHost + "@" + s.tenant)
			}, refused(2000003)},
			{"plain XML, another signature", func(s *scene, b *bearer) { b.path, b.actor.key = "/autodiscover/autodiscover.xml", s.nobody }, refused(2000000)},
			{"another letter case of the path", func(_ *scene, b *bearer) { b.path, b.inner = "/EWS/EXCHANGE.ASMX", "" }, refused(2000001)},
			{"EWS at the authorization server", func(s *scene, b *bearer) { b.host = s.Lab.cloud.ACSHost }, want{status: http.StatusNotFound}},
		}},
	}
}

// overHTTP2 sends what depends on how headers travel the other way, too.
func overHTTP2(t *testing.T, s *scene) {
	one := s.http
	s.http = s.client(true)
	defer func() {
		s.http.CloseIdleConnections()
		s.http = one
	}()
	s.expect(t, "in order", s.send(t, s.bearerFor(mailHost)), accepted)
	b := s.bearerFor(mailHost)
	b.auth = []string{"Bearer " + b.token(), "Bearer " + b.token()}
	s.expect(t, "two headers", s.send(t, b), want{status: http.StatusBadRequest})
	b = s.bearerFor(mailHost)
	b.text = func(string) string { return strings.Repeat("A", 100<<10) }
	s.expect(t, "100 KB", s.send(t, b), refused(2000001))
	b = s.bearerFor(mailHost)
	b.named = mail2Host // :authority
	b.aud(directory.ExchangeAppID + "/" + mail2Host + "@" + s.tenant)
	s.expect(t, "another host on the same connection", s.send(t, b), refused(2000003))
	b = s.bearerFor(mailHost)
	b.text = func(string) string { return strings.Repeat("A", 1<<20) }
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+mailHost+b.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.token())
	if resp, err := s.http.Do(r); err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("1 MB is answered %d", resp.StatusCode)
		}
	}
	s.expect(t, "afterwards", s.send(t, s.bearerFor(mailHost)), accepted)
}

// handedOut asks for tokens one after another: each is for what was asked, also
// when the authority hands out one that it has made before, and none outlives
// the credential that it was got with.
func handedOut(t *testing.T, s *scene) {
	s.t = t
	ask := func(g *grantForm) map[string]any {
		t.Helper()
		a := s.requestToken(t, g)
		s.expectGrant(t, g.form.Get("resource"), a, denied{})
		var issued struct {
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal(a.body, &issued); err != nil {
			t.Fatal(err)
		}
		_, payload, _ := strings.Cut(issued.Token, ".")
		payload, _, _ = strings.Cut(payload, ".")
		raw, err := base64.RawURLEncoding.DecodeString(payload)
		if err != nil {
			t.Fatal(err)
		}
		claims := map[string]any{}
		if err := json.Unmarshal(raw, &claims); err != nil {
			t.Fatal(err)
		}
		return claims
	}
	for range 2 {
		for _, host := range []string{s.Lab.cloud.EWSHost, mailHost, "MAIL.contoso.com", discoverHost} {
			g := s.grant()
			g.form.Set("resource", directory.ExchangeAppID+"/"+host+"@"+s.tenant)
			if c := ask(g); c["aud"] != g.form.Get("resource") || c["nameid"] != directory.ExchangeAppID+"@"+s.tenant {
				t.Errorf("asked for %s, got a token of %v for %v", g.form.Get("resource"), c["nameid"], c["aud"])
			}
		}
		g := s.grant()
		g.realm, g.assertion = s.other, s.assertionOf(s.otherOrg, s.other)
		g.form.Set("resource", directory.ExchangeAppID+"/"+s.Lab.cloud.EWSHost+"@"+s.other)
		if c := ask(g); c["nameid"] != directory.ExchangeAppID+"@"+s.other || c["iss"] != s.acs+"@"+s.other {
			t.Errorf("the other tenant got a token of %v by %v", c["nameid"], c["iss"])
		}
	}
	s.changeRealm(t, func(r *directory.Realm) { exchangePrincipal(r).TrustedForDelegation = false })
	if c := ask(s.grant()); c["trustedfordelegation"] != "false" {
		t.Errorf("a token from before the principal was changed: %v", c)
	}
}

func atCloud(s *scene) *bearer { return s.bearerFor(s.Lab.cloud.EWSHost) }

// toTenant makes both tokens those of another realm.
func (b *bearer) toTenant(s *scene, realm, host string) {
	b.aud(directory.ExchangeAppID + "/" + host + "@" + realm)
	b.actor.claims.set("iss", s.acs+"@"+realm)
	b.actor.claims.set("identityprovider", s.acs+"@"+realm)
	b.actor.claims.set("nameid", directory.ExchangeAppID+"@"+realm)
	b.outer.claims.set("iss", directory.ExchangeAppID+"@"+realm)
}

// tenantSwap is CVE-2025-55241: the outer token names another tenant than its
// actor token.
var tenantSwap = []try{
	outer("issuer and audience", refused(2000004), func(s *scene, f *forged) {
		f.claims.set("iss", directory.ExchangeAppID+"@"+s.other)
		f.claims.set("aud", strings.Replace(f.claims.text("aud"), s.tenant, s.other, 1))
	}),
	outer("issuer", refused(2000004), func(s *scene, f *forged) { f.claims.set("iss", directory.ExchangeAppID+"@"+s.other) }),
	outer("audience", refused(2000004), func(s *scene, f *forged) {
		f.claims.set("aud", strings.Replace(f.claims.text("aud"), s.tenant, s.other, 1))
	}),
}

var actorSwap = []try{
	{"audience", func(s *scene, b *bearer) { b.aud(strings.Replace(b.actor.claims.text("aud"), s.tenant, s.other, 1)) }, refused(2000004)},
	{"caller", func(s *scene, b *bearer) {
		b.actor.claims.set("nameid", directory.ExchangeAppID+"@"+s.other)
		b.outer.claims.set("iss", directory.ExchangeAppID+"@"+s.other)
	}, refused(2000004)},
	{"audience by its domain", func(s *scene, b *bearer) {
		b.aud(strings.Replace(b.actor.claims.text("aud"), s.tenant, otherDomain, 1))
	}, refused(2000004)},
	{"app-only, audience", func(s *scene, b *bearer) {
		b.aud(strings.Replace(b.actor.claims.text("aud"), s.tenant, s.other, 1))
		b.appOnly()
	}, refused(2000004)},
	{"app-only, caller", func(s *scene, b *bearer) {
		b.actor.claims.set("nameid", directory.ExchangeAppID+"@"+s.other)
		b.appOnly()
	}, refused(2000004)},
}

// text is the string value of a member.
func (o jsonObject) text(name string) string {
	for _, m := range o {
		if m.name == name {
			s, _ := m.value.(string)
			return s
		}
	}
	return ""
}

// unsigned are actor tokens without a signature that verifies.
func unsigned(alg string) []try {
	w := refused(2000001)
	if alg == "RS256" {
		w = refused(2000000)
	}
	strip := func(f *forged) {
		f.header.set("alg", alg)
		f.key = nil
	}
	return []try{
		actor("actor token says "+alg, w, func(_ *scene, f *forged) { strip(f) }),
		{"app-only token says " + alg, func(_ *scene, b *bearer) { b.appOnly(); strip(b.actor) }, w},
		actor("actor token says "+alg+" and has the signature", map[bool]want{true: accepted, false: w}[alg == "RS256"],
			func(_ *scene, f *forged) { f.header.set("alg", alg) }),
	}
}

func hmacWith(name string, secret func(*scene) []byte) try {
	return actor(name, refused(2000001), func(s *scene, f *forged) {
		f.header.set("alg", "HS256")
		f.sign = hs(secret(s))
	})
}

func otherAlgorithm(alg string, sign func(*scene, string) []byte) try {
	return actor(alg, refused(2000001), func(s *scene, f *forged) {
		f.header.set("alg", alg)
		f.sign = func(in string) string { return b64(string(sign(s, in))) }
	})
}

func pss(s *scene, in string) []byte {
	sum := sha256.Sum256([]byte(in))
	sig, err := rsa.SignPSS(rand.Reader, s.authority.key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		panic(err)
	}
	return sig
}

func es256(_ *scene, in string) []byte {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return ecdsaSignature(k, in)
}

func ecdsaSignature(k *ecdsa.PrivateKey, in string) []byte {
	sum := sha256.Sum256([]byte(in))
	r, v, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		panic(err)
	}
	return append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)
}

// plusModulus is another number that is the same modulo N, one byte longer.
func plusModulus(k *signingKey, sig []byte) []byte {
	n := k.key.N.Bytes()
	sum, carry := make([]byte, len(n)), 0
	for i := len(n) - 1; i >= 0; i-- {
		carry += int(n[i]) + int(sig[i])
		sum[i] = byte(carry)
		carry >>= 8
	}
	return append([]byte{byte(carry)}, sum...)[1-carry:]
}

func delegation(name string, v any, w want) try {
	return actor(name, w, func(_ *scene, f *forged) { f.claims.set("trustedfordelegation", v) })
}

func signedBy(name string, w want, keys func(*scene) (signs, named *signingKey)) try {
	return actor(name, w, func(s *scene, f *forged) {
		signs, named := keys(s)
		f.key = signs
		f.header.set("x5t", named.x5t())
		f.header.set("kid", named.x5t())
	})
}

// keyLocations are headers that tell a careless reader which key to take, with a
// signature of just that key. Those of a genuine token are ignored.
func keyLocations() (out []try) {
	type location struct {
		name  string
		value func(s *scene, at string) any
	}
	jwk := func(s *scene) any {
		return map[string]any{"kty": "RSA", "alg": "RS256", "use": "sig", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(s.nobody.key.N.Bytes())}
	}
	for _, l := range []location{
		{"jwk", func(s *scene, _ string) any { return jwk(s) }},
		{"x5c", func(s *scene, _ string) any { return []string{s.nobody.base64()} }},
		{"jku", func(_ *scene, at string) any { return at }},
		{"x5u", func(_ *scene, at string) any { return at }},
		{"kid", func(_ *scene, at string) any { return at }},
		{"x5t", func(_ *scene, at string) any { return at }},
	} {
		for i := range 4 {
			if i > 0 && (l.name == "jwk" || l.name == "x5c") {
				continue
			}
			forge := func(s *scene, f *forged, named *signingKey) {
				f.key = s.nobody
				f.header.set("x5t", named.x5t())
				f.header.set(l.name, l.value(s, s.trapURLs()[i]))
			}
			out = append(out,
				actor(l.name, refused(2000000), func(s *scene, f *forged) { forge(s, f, s.nobody) }),
				actor(l.name+" with the x5t of the authority", refused(2000000), func(s *scene, f *forged) { forge(s, f, s.authority) }))
			if l.name != "x5t" {
				out = append(out, actor(l.name+" in a genuine token", accepted, func(s *scene, f *forged) { f.header.set(l.name, l.value(s, s.trapURLs()[i])) }))
			}
		}
	}
	for _, path := range []string{"../../../../etc/passwd", "/dev/null", `C:\OAuthConfig\OAuthCert.cer`, "' OR 1=1 --", "$(id)"} {
		out = append(out, actor("kid "+path, refused(2000000), func(s *scene, f *forged) {
			f.key = s.nobody
			f.header.set("x5t", s.nobody.x5t())
			f.header.set("kid", path)
		}))
	}
	return append(out,
		actor("crit", refused(2000001), func(_ *scene, f *forged) { f.header.add("crit", []string{"exp"}) }),
		actor("crit of b64", refused(2000001), func(_ *scene, f *forged) { f.header.add("crit", []string{"b64"}); f.header.add("b64", false) }),
		actor("another typ", refused(2000001), func(_ *scene, f *forged) { f.header.set("typ", "JWE") }),
		actor("zip", accepted, func(_ *scene, f *forged) { f.header.add("zip", "DEF") }),
		actor("no typ", accepted, func(_ *scene, f *forged) { f.header.del("typ") }),
	)
}

func x5t(name string, w want, value func(*signingKey) any) try {
	return actor(name, w, func(s *scene, f *forged) {
		f.header.del("x5t")
		if v := value(s.authority); v != nil {
			f.header.add("x5t", v)
		}
	})
}

// identityTokens are those that Exchange makes for add-ins: signed with its own
// certificate, and naming the document with the key. Part of the MOVEit chain of
// 2023 (reference 8.1).
func identityTokens() (out []try) {
	for i := range 4 {
		for _, iss := range []string{directory.ExchangeAppID + "@" + domain, directory.ExchangeAppID + "@" + partnerRealm + ".evil.test", "https://sts.windows.net/4d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a/", "https://" + evilHost} {
			out = append(out, try{"amurl, issuer " + iss, func(s *scene, b *bearer) {
				at, now := s.trapURLs()[i], s.now()
				b.outer = nil
				b.actor = &forged{key: s.org, header: jsonObject{{"typ", "JWT"}, {"alg", "RS256"}, {"x5t", s.org.x5t()}}, claims: jsonObject{
					{"aud", "https://addin.contoso.com/app"}, {"iss", iss}, {"nbf", fmt.Sprint(now.Unix())}, {"exp", fmt.Sprint(now.Add(8 * time.Hour).Unix())},
					{"appctxsender", directory.ExchangeAppID + "@" + domain}, {"isbrowserhostedapp", "true"},
					{"appctx", fmt.Sprintf(`{"msexchuid":"1","version":"ExIdTok.V1","amurl":%q}`, at)},
				}}
			}, refused(2000009)})
		}
	}
	return append(out,
		actor("amurl in a genuine token", accepted, func(s *scene, f *forged) { f.claims.add("amurl", s.trapURLs()[2]) }),
		try{"the audience is a URL, the issuer the authority", func(_ *scene, b *bearer) { b.appOnly(); b.actor.claims.set("aud", "https://"+mailHost+"/") }, refused(2000003)},
	)
}

func audience(name string, w want, v func(*scene) any) try {
	return try{name, func(s *scene, b *bearer) { b.aud(v(s)) }, w}
}

func audienceHost(name string, w want, h string) try {
	return audience(name+" "+h, w, func(s *scene) any { return directory.ExchangeAppID + "/" + h + "@" + s.tenant })
}

// valid sets nbf and exp, relative to now.
func (f *forged) valid(s *scene, from, until time.Duration) {
	f.claims.set("nbf", s.now().Add(from).Unix())
	f.claims.set("exp", s.now().Add(until).Unix())
}

func times(name string, w want, from, until time.Duration) try {
	return actor(name, w, func(s *scene, f *forged) { f.valid(s, from, until) })
}

func outerTimes(name string, w want, from, until time.Duration) try {
	return outer(name, w, func(s *scene, f *forged) { f.valid(s, from, until) })
}

// clockEdges are tokens at the end of what clocks may differ by. The clock of
// the world stands still, so that a second decides.
func clockEdges() (out []try) {
	const skew = 5 * time.Minute
	for _, e := range []struct {
		name string
		w    want
		at   time.Duration
	}{{"4:59", accepted, skew - time.Second}, {"5:00", accepted, skew}, {"5:01", refused(2000002), skew + time.Second}} {
		out = append(out,
			times("begins in "+e.name, e.w, e.at, time.Hour),
			outerTimes("outer begins in "+e.name, e.w, e.at, time.Hour))
	}
	for _, e := range []struct {
		name string
		w    want
		at   time.Duration
	}{{"4:59", accepted, skew - time.Second}, {"5:00", refused(2000002), skew}, {"5:01", refused(2000002), skew + time.Second}} {
		out = append(out,
			times("ended "+e.name+" ago", e.w, -time.Hour, -e.at),
			outerTimes("outer ended "+e.name+" ago", e.w, -time.Hour, -e.at))
	}
	return out
}

func rawTime(name string, w want, raw string) try {
	return actor("exp "+name, w, func(_ *scene, f *forged) {
		if raw == "" {
			f.claims.del("exp")
			return
		}
		f.claims.set("exp", json.RawMessage(raw))
		if !json.Valid([]byte(raw)) { // encoding/json would refuse to write it
			f.claims.set("exp", "@@")
			f.claimsText = func(t string) string { return strings.Replace(t, `"@@"`, raw, 1) }
		}
	})
}

// jsonTricks are what lenient readers take, each in its own way.
func jsonTricks(which string, of func(string, want, func(*scene, *forged)) try) (out []try) {
	add := func(name string, w want, change func(*scene, *forged)) {
		out = append(out, of(which+": "+name, w, change))
	}
	text := func(name string, w want, change func(string) string) {
		add("claims: "+name, w, func(_ *scene, f *forged) { f.claimsText = change })
		add("header: "+name, w, func(_ *scene, f *forged) { f.headerText = change })
	}
	bad := refused(2000001)
	for _, name := range []string{"iss", "aud", "exp", "nbf"} {
		add(name+" twice, equal", bad, func(_ *scene, f *forged) {
			f.claims.add(name, f.claims[slices.IndexFunc(f.claims, func(m member) bool { return m.name == name })].value)
		})
		add(name+" twice, different", bad, func(_ *scene, f *forged) { f.claims.add(name, "other") })
		add(strings.ToUpper(name)+" beside "+name, bad, func(_ *scene, f *forged) { f.claims.add(strings.ToUpper(name), "other") })
		add(name+" twice, once escaped", bad, func(_ *scene, f *forged) {
			f.claimsText = func(t string) string {
				return strings.TrimSuffix(t, "}") + fmt.Sprintf(`,"\u%04x%s":"other"}`, name[0], name[1:])
			}
		})
	}
	add("alg twice", bad, func(_ *scene, f *forged) { f.header.add("alg", "RS256") })
	add("ALG beside alg", bad, func(_ *scene, f *forged) { f.header.add("ALG", "none") })
	add("a name twice within", bad, func(_ *scene, f *forged) { f.claims.add("x", json.RawMessage(`{"a":1,"b":{"c":1,"c":2}}`)) })
	add("a depth of 9", bad, func(_ *scene, f *forged) {
		f.claims.add("x", json.RawMessage(strings.Repeat("[", 9)+strings.Repeat("]", 9)))
	})
	add("a depth of 3000", bad, func(_ *scene, f *forged) {
		f.claims.add("x", json.RawMessage(strings.Repeat("[", 3000)+strings.Repeat("]", 3000)))
	})
	add("objects, 1000 deep", bad, func(_ *scene, f *forged) {
		f.claims.add("x", json.RawMessage(strings.Repeat(`{"a":`, 1000)+"1"+strings.Repeat("}", 1000)))
	})
	text("text after the object", bad, func(t string) string { return t + "x" })
	text("another object after it", bad, func(t string) string { return t + "{}" })
	text("a byte order mark", bad, func(t string) string { return "\xef\xbb\xbf" + t })
	text("UTF-16", bad, func(t string) string { return "\xff\xfe" + strings.Join(strings.Split(t, ""), "\x00") })
	text("invalid UTF-8", bad, func(t string) string { return strings.TrimSuffix(t, "}") + ",\"x\":\"\xff\"}" })
	text("an overlong form", bad, func(t string) string { return strings.TrimSuffix(t, "}") + ",\"x\":\"\xc0\xaf\"}" })
	text("a lone surrogate", bad, func(t string) string { return strings.TrimSuffix(t, "}") + `,"x":"\ud800"}` })
	text("a comma at the end", bad, func(t string) string { return strings.TrimSuffix(t, "}") + ",}" })
	text("a comment", bad, func(t string) string { return "{/**/" + t[1:] })
	text("a null byte", bad, func(t string) string { return t + "\x00" })
	text("a control character", bad, func(t string) string { return strings.TrimSuffix(t, "}") + ",\"x\":\"\n\"}" })
	text("single quotes", bad, func(t string) string { return strings.TrimSuffix(t, "}") + `,'x':1}` })
	text("NaN", bad, func(t string) string { return strings.TrimSuffix(t, "}") + `,"x":NaN}` })
	text("a list", bad, func(t string) string { return "[" + t + "]" })
	text("a string", bad, func(t string) string { return `"` + strings.ReplaceAll(t, `"`, `\"`) + `"` })
	text("null", bad, func(string) string { return "null" })
	text("nothing", bad, func(string) string { return " " })
	text("cut off", bad, func(t string) string { return t[:len(t)-1] })
	add("a depth of 7", accepted, func(_ *scene, f *forged) {
		f.claims.add("x", json.RawMessage(strings.Repeat("[", 7)+strings.Repeat("]", 7)))
	})
	text("spaces", accepted, func(t string) string { return " \r\n\t" + t + " " })
	return out
}

// trailingBits changes the bits of the last character of the last segment that
// belong to no byte.
func trailingBits(t string) string {
	end := len(t)
	for t[end-1] == '.' {
		end--
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	segment := t[strings.LastIndexByte(t[:end], '.')+1 : end]
	if len(segment)%4 == 0 { // no bits are left over: of an actor token that is padded with a space in its claims
		return t[:end] + "A" + t[end:]
	}
	return t[:end-1] + string(alphabet[strings.IndexByte(alphabet, t[end-1])|1]) + t[end:]
}

// person leaves name identifier and issuer as the only claims about the user.
func (f *forged) person(id, issuer string) {
	f.claims.set("nameid", id)
	f.claims.set("nii", issuer)
	for _, name := range []string{"upn", "smtp", "sip"} {
		f.claims.del(name)
	}
}

func user(name, address string) try {
	return outer(name, refused(2000005), func(_ *scene, f *forged) {
		for _, claim := range []string{"upn", "smtp", "sip"} {
			f.claims.set(claim, address)
		}
	})
}

// getFolder asks for one's own calendar, or for that of an impersonated user.
func getFolder(impersonate string) []byte {
	header := ""
	if impersonate != "" {
		header = "<t:ExchangeImpersonation><t:ConnectingSID><t:PrimarySmtpAddress>" + impersonate + "</t:PrimarySmtpAddress></t:ConnectingSID></t:ExchangeImpersonation>"
	}
	return []byte(`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"><s:Header><t:RequestServerVersion Version="Exchange2013_SP1"/>` +
		header + `</s:Header><s:Body><m:GetFolder><m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape><m:FolderIds><t:DistinguishedFolderId Id="calendar"/></m:FolderIds></m:GetFolder></s:Body></s:Envelope>`)
}

// userSettings is an Autodiscover request.
func userSettings(address, to string) []byte {
	return []byte(`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:a="http://www.w3.org/2005/08/addressing" xmlns:d="http://schemas.microsoft.com/exchange/2010/Autodiscover"><s:Header><d:RequestedServerVersion>Exchange2013_SP1</d:RequestedServerVersion><a:Action>http://schemas.microsoft.com/exchange/2010/Autodiscover/Autodiscover/GetUserSettings</a:Action><a:To>` + to +
		`</a:To></s:Header><s:Body><d:GetUserSettingsRequestMessage><d:Request><d:Users><d:User><d:Mailbox>` + address +
		`</d:Mailbox></d:User></d:Users><d:RequestedSettings><d:Setting>ExternalEwsUrl</d:Setting></d:RequestedSettings></d:Request></d:GetUserSettingsRequestMessage></s:Body></s:Envelope>`)
}

// replays change a token that the server has just accepted and remembers.
func replays() []try {
	known := func(name string, w want, change func(*scene, *bearer, string) string) try {
		return try{name, func(s *scene, b *bearer) {
			text := b.token()
			b.text = func(string) string { return text }
			s.mustAccept(b)
			text = change(s, b, text)
		}, w}
	}
	return []try{
		known("once more", accepted, func(_ *scene, _ *bearer, t string) string { return t }),
		known("at another host", refused(2000003), func(_ *scene, b *bearer, t string) string { b.host = mail2Host; return t }),
		known("at another organization", refused(2000003), func(s *scene, b *bearer, t string) string { b.host = s.Lab.cloud.EWSHost; return t }),
		known("with another signature on its actor token", refused(2000000), func(_ *scene, _ *bearer, t string) string {
			claims, _ := base64.RawURLEncoding.DecodeString(strings.Split(t, ".")[1])
			signature := regexp.MustCompile(`\.[^."]{300,}"`).FindString(string(claims))
			return b64(`{"typ":"JWT","alg":"none"}`) + "." + b64(strings.Replace(string(claims), signature, "."+strings.Repeat("A", len(signature)-2)+`"`, 1)) + "."
		}),
		known("with a character more", refused(2000001), func(_ *scene, _ *bearer, t string) string { return t + "A" }),
		known("in another letter case", refused(2000001), func(_ *scene, _ *bearer, t string) string { return strings.ToLower(t) }),
	}
}

// mailbox is a try with msexchuid.
func mailbox(name string, w want, v func(*scene) string) try {
	return outer(name, w, func(s *scene, f *forged) { f.claims.add("msexchuid", v(s)) })
}

// mailboxID is the GUID of the entry of that name on premises.
func (s *scene) mailboxID(name string) string {
	s.t.Helper()
	r, err := s.deployments[onprem].Store.Recipient(s.t.Context(), s.premises, smtpaddr.Must(name+"@"+domain))
	if err != nil {
		s.t.Fatal(err)
	}
	return r.ID
}

// mustAccept sends b, which is in order.
func (s *scene) mustAccept(b *bearer) {
	s.t.Helper()
	s.expect(s.t, "the token before", s.send(s.t, b), s.wanted(b, accepted))
}
