package acs_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/spec/acs"
)

func TestPrincipalName(t *testing.T) {
	for s, want := range map[string]acs.PrincipalName{
		"00000001-0002-0000-c000-000000000000@*":   {PID: "00000001-0002-0000-c000-000000000000", Realm: "*"},
		"00000002-0000-0ff1-ce00-000000000000@a.b": {PID: "00000002-0000-0ff1-ce00-000000000000", Realm: "a.b"},
		"": {}, "@": {}, "a@": {}, "@a": {}, "a@b@c": {}, "a b@c": {}, "a/b@c": {}, "a@b,c": {}, "a@\u00fc": {}, "a\"@b": {},
	} {
		got, err := acs.ParsePrincipalName(s)
		if got != want || (err == nil) != (want != acs.PrincipalName{}) || err != nil && !errors.Is(err, acs.ErrInvalid) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
		if err == nil && got.String() != s {
			t.Errorf("%q is written %q", s, got)
		}
	}
}

func TestAudience(t *testing.T) {
	for s, want := range map[string]acs.Audience{
		"p/mail.contoso.com@r": {PID: "p", Host: "mail.contoso.com", Realm: "r"},
		"p/h:8443@r":           {PID: "p", Host: "h:8443", Realm: "r"},
		"p/@r":                 {}, "/h@r": {}, "p/h@": {}, "p/h": {}, "p@r": {}, "p/h@r@s": {}, "p/h/x@r": {}, "https://mail.contoso.com/": {}, "": {},
	} {
		got, err := acs.ParseAudience(s)
		if got != want || (err == nil) != (want != acs.Audience{}) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
		if err == nil && got.String() != s {
			t.Errorf("%q is written %q", s, got)
		}
	}
}

func TestSameHost(t *testing.T) {
	const host = "mail.contoso.com"
	for other, want := range map[string]bool{
		host: true, "MAIL.Contoso.COM": true, host + ":443": true,
		host + ".": false, host + ":8443": false, host + ".evil.test": false, "evil" + host: false, "": false,
		"m\u0430il.contoso.com": false, "mai\u0131.contoso.com": false,
	} {
		if got := acs.SameHost(host, other); got != want {
			t.Errorf("%q: %v", other, got)
		}
	}
	if acs.SameHost("", "") {
		t.Error("no host is no host")
	}
}

// The challenges are those of the oauth-s2s reference, 2.1.
func TestParseChallenges(t *testing.T) {
	const pid = "00000002-0000-0ff1-ce00-000000000000"
	name := func(p, r string) acs.PrincipalName { return acs.PrincipalName{PID: p, Realm: r} }
	types := []string{"app_asserted_user_v1", "service_asserted_app_v1"}
	for _, tt := range []struct {
		name  string
		lines []string
		want  []acs.Challenge
		bad   bool
	}{
		{"MS-XOAUTH 4.6", []string{`Bearer client_id="` + pid + `", trusted_issuers="00000001-0001-0000-c000-000000000000@*"`, `Basic Realm=""`},
			[]acs.Challenge{{ClientID: pid, Issuers: "00000001-0001-0000-c000-000000000000@*", TrustedIssuers: []acs.PrincipalName{name("00000001-0001-0000-c000-000000000000", "*")}}}, false},
		{"21Vianet merged with Basic", []string{`Bearer client_id="` + pid + `", trusted_issuers="a@*,b@c", token_types="app_asserted_user_v1 service_asserted_app_v1", authorization_uri="https://login.chinacloudapi.cn/common/oauth2/authorize",Basic Realm=""`},
			[]acs.Challenge{{ClientID: pid, Issuers: "a@*,b@c", TrustedIssuers: []acs.PrincipalName{name("a", "*"), name("b", "c")}, TokenTypes: types,
				AuthorizationURI: "https://login.chinacloudapi.cn/common/oauth2/authorize"}}, false},
		{"after an error, with Negotiate and NTLM", []string{`Bearer client_id="x", error="invalid_token",Negotiate,NTLM,Basic realm="..."`},
			[]acs.Challenge{{ClientID: "x", Error: "invalid_token"}}, false},
		{"before others", []string{`Negotiate YII=, NTLM, bearer Client_ID=x,REALM = "y"`}, []acs.Challenge{{ClientID: "x", Realm: "y"}}, false},
		{"SharePoint", []string{`Bearer realm="r",client_id="c",trusted_issuers="i@r"`},
			[]acs.Challenge{{ClientID: "c", Realm: "r", Issuers: "i@r", TrustedIssuers: []acs.PrincipalName{name("i", "r")}}}, false},
		{"scheme alone", []string{`Bearer`}, []acs.Challenge{{}}, false},
		{"commas in quotes", []string{`Bearer realm="a, Basic realm=\"b\"", client_id="c"`}, []acs.Challenge{{ClientID: "c", Realm: `a, Basic realm="b"`}}, false},
		{"unreadable issuers are kept as text", []string{`Bearer trusted_issuers="a@b, rubbish,c@d@e"`},
			[]acs.Challenge{{Issuers: "a@b, rubbish,c@d@e", TrustedIssuers: []acs.PrincipalName{name("a", "b")}}}, false},
		{"two bearer challenges", []string{`Bearer client_id="a", Bearer client_id="b"`}, []acs.Challenge{{ClientID: "a"}, {ClientID: "b"}}, false},
		{"a bad line spoils no other", []string{`Bearer client_id="a`, `Bearer client_id="b"`}, []acs.Challenge{{ClientID: "b"}}, true},
		{"no end of quote", []string{`Bearer a="`}, nil, true},
		{"parameter twice", []string{`Bearer a="1", A="2"`}, nil, true},
		{"no scheme", []string{`="x"`}, nil, true},
		{"two words", []string{`Bearer a b`}, nil, true},
		{"rubbish after a value", []string{`Bearer a="b" c`}, nil, true},
		{"control character", []string{"Bearer a=\"\x01\""}, nil, true},
		{"too long", []string{`Bearer a="` + strings.Repeat("x", 20<<10) + `"`}, nil, true},
		{"too many schemes", []string{strings.Repeat("A,", 40)}, nil, true},
		{"nothing", nil, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := acs.ParseChallenges(http.Header{"Www-Authenticate": tt.lines})
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if (err != nil) != tt.bad || err != nil && !errors.Is(err, acs.ErrInvalid) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestChallengeIsWrittenAsExchangeDoes(t *testing.T) {
	c := acs.Challenge{ClientID: "c", TrustedIssuers: []acs.PrincipalName{{PID: "a", Realm: "*"}, {PID: "b", Realm: "contoso.com"}},
		AuthorizationURI: "https://login.windows.net/common/oauth2/authorize", Error: "invalid_token"}
	want := `Bearer client_id="c", trusted_issuers="a@*,b@contoso.com", authorization_uri="https://login.windows.net/common/oauth2/authorize", error="invalid_token"`
	if d := cmp.Diff(want, c.String()); d != "" {
		t.Error(d)
	}
}

func TestDiagnostics(t *testing.T) {
	for s, want := range map[string]acs.Diagnostics{
		`2000005;reason="The user specified by the user-context in the token does not exist.";error_category="invalid_user"`: {ID: 2000005, Reason: "The user specified by the user-context in the token does not exist.", Category: "invalid_user"},
		`2000000; reason="The token has an invalid signature.";error_type="invalid_signature".`:                              {ID: 2000000, Reason: "The token has an invalid signature.", Category: "invalid_signature"},
		`4000000`: {ID: 4000000},
	} {
		got, err := acs.ParseDiagnostics(s)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "x", "-1", `1;reason="`} {
		if got, err := acs.ParseDiagnostics(s); err == nil {
			t.Errorf("%q was read as %+v", s, got)
		}
	}
	hostile := acs.Diagnostics{ID: 1, Reason: "a\"b\r\nSet-Cookie: x\x00\u00fc" + strings.Repeat("x", 1000), Category: "c"}
	if s := hostile.String(); strings.ContainsAny(s, "\r\n\x00") || len(s) > 600 || !strings.HasPrefix(s, `1;reason="a'b??Set-Cookie`) {
		t.Errorf("%q", s)
	}
}

func TestTokenRequest(t *testing.T) {
	r := acs.TokenRequest{GrantType: acs.GrantJWTBearer, Assertion: "a.b.c", Resource: "p/outlook.office365.com@t"}
	want := "grant_type=http%3A%2F%2Foauth.net%2Fgrant_type%2Fjwt%2F1.0%2Fbearer&assertion=a.b.c&resource=p%2Foutlook.office365.com%40t"
	if d := cmp.Diff(want, r.Encode()); d != "" {
		t.Error(d)
	}
	form, err := url.ParseQuery(r.Encode() + "&realm=t&unknown=1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := acs.ParseTokenRequest(form)
	r.Realm = "t"
	if d := cmp.Diff(r, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if got, err := acs.ParseTokenRequest(url.Values{"scope": {"s"}}); err != nil || got.Resource != "s" {
		t.Errorf("scope alone: %+v, %v", got, err)
	}
	if got, err := acs.ParseTokenRequest(url.Values{"scope": {"s"}, "resource": {"r"}}); err != nil || got.Resource != "r" {
		t.Errorf("scope and resource: %+v, %v", got, err)
	}
	if _, err := acs.ParseTokenRequest(url.Values{"assertion": {"a", "b"}}); !errors.Is(err, acs.ErrInvalid) {
		t.Errorf("twice: %v", err)
	}
	if _, err := acs.ParseTokenRequest(url.Values{"assertion": {strings.Repeat("a", 17<<10)}}); !errors.Is(err, acs.ErrInvalid) {
		t.Errorf("too long: %v", err)
	}
}

func TestTokenResponse(t *testing.T) {
	r := acs.TokenResponse{TokenType: "Bearer", ExpiresIn: 86399 * time.Second, NotBefore: time.Unix(1699307907, 0).UTC(),
		ExpiresOn: time.Unix(1699394607, 0).UTC(), Resource: "p/h@t", AccessToken: "a.b.c"}
	b, err := json.Marshal(r)
	want := `{"token_type":"Bearer","expires_in":"86399","not_before":"1699307907","expires_on":"1699394607","resource":"p/h@t","access_token":"a.b.c"}`
	if d := cmp.Diff(want, string(b)); d != "" || err != nil {
		t.Error(d, err)
	}
	for _, text := range []string{want, strings.NewReplacer(`"86399"`, "86399", `"1699307907"`, "1699307907", `"1699394607"`, "1699394607").Replace(want)} {
		got, err := acs.ParseTokenResponse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&r, got); d != "" {
			t.Error(d)
		}
	}
	for _, text := range []string{
		`{}`, `[]`, `{"token_type":"Bearer","expires_in":"60"}`, `{"token_type":"pop","expires_in":"60","access_token":"x"}`,
		`{"token_type":"Bearer","access_token":"x"}`, `{"token_type":"Bearer","expires_in":"1e9","access_token":"x"}`,
		`{"token_type":"Bearer","expires_in":-1,"access_token":"x"}`, `{"token_type":"Bearer","expires_in":"99999999999999999999","access_token":"x"}`,
	} {
		if got, err := acs.ParseTokenResponse([]byte(text)); !errors.Is(err, acs.ErrInvalid) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	if _, err := acs.ParseTokenResponse([]byte(`{"access_token":{"secret":"hush"}}`)); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
}

func TestError(t *testing.T) {
	e := acs.Error{Status: 401, Code: "invalid_client", Description: "AADSTS70002: Error validating credentials. AADSTS50012: Client assertion contains an invalid signature.", Codes: []int{70002, 50012}}
	f := e.Finish("11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222", "acs.test", time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))
	b, err := json.Marshal(f)
	want := `{"error":"invalid_client","error_description":"AADSTS70002: Error validating credentials. AADSTS50012: Client assertion contains an invalid signature.\r\nTrace ID: 11111111-1111-1111-1111-111111111111\r\nCorrelation ID: 22222222-2222-2222-2222-222222222222\r\nTimestamp: 2026-01-15 08:00:00Z","error_codes":[70002,50012],"timestamp":"2026-01-15 08:00:00Z","trace_id":"11111111-1111-1111-1111-111111111111","correlation_id":"22222222-2222-2222-2222-222222222222","error_uri":"https://acs.test/error?code=70002"}`
	if d := cmp.Diff(want, string(b)); d != "" || err != nil {
		t.Error(d, err)
	}
	got, err := acs.ParseError(401, b)
	if d := cmp.Diff(f, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if !got.Has(50012) || got.Has(500011) || !(&acs.Error{Description: "AADSTS500011: x"}).Has(500011) {
		t.Error("Has")
	}
	if s := got.Error(); strings.ContainsAny(s, "\r\n") || !strings.Contains(s, "401 invalid_client") {
		t.Errorf("%q", s)
	}
	for _, s := range []string{"", "<html>", "{}", `{"error":1}`} {
		if _, err := acs.ParseError(400, []byte(s)); !errors.Is(err, acs.ErrInvalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// certificates are two of one key.
var certificates = sync.OnceValue(func() (out [2][]byte) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	for i := range out {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "accounts.test"},
			NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
		if out[i], err = x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key); err != nil {
			panic(err)
		}
	}
	return out
})

func document() *acs.Document {
	c := certificates()
	return &acs.Document{ID: "_70b34511-d105-4e2b-9675-39f53305bb01", Version: "1.0", Name: "sts", Realm: "t", ServiceName: "s", Issuer: "p@t",
		AllowedAudiences: []string{"p/h@contoso.com", "p/h@t"}, Keys: []acs.Key{{Certificate: c[0]}, {Certificate: c[1]}},
		Endpoints: []acs.Endpoint{
			{Location: "https://h/t/tokens/delegation/1", Protocol: "DelegationIssuance1.0", Usage: "issuance"},
			{Location: "https://h/t/metadata/json/1", Protocol: "OAuth2", Usage: "metadata"},
			{Location: "https://h/t/tokens/OAuth/2", Protocol: "OAuth2", Usage: "issuance"}}}
}

func TestDocumentShapes(t *testing.T) {
	want := document()
	authority, err := want.MarshalAuthority()
	if err != nil {
		t.Fatal(err)
	}
	organization, err := want.MarshalOrganization()
	if err != nil {
		t.Fatal(err)
	}
	key, value := want.Keys[0].X5T(), base64.StdEncoding.EncodeToString(want.Keys[0].Certificate)
	if s := `{"keys":[{"usage":"signing","keyValue":{"type":"x509Certificate","value":"` + value + `","keyInfo":{"x5t":"` + key + `"}}}`; !strings.HasPrefix(string(authority), s) {
		t.Errorf("authority: %.200s", authority)
	}
	if !strings.HasSuffix(string(authority), `"version":"1.0","realm":"t","name":"sts","allowedAudiences":["p/h@contoso.com","p/h@t"],"issuer":"p@t"}`) {
		t.Errorf("authority: %s", authority[len(authority)-200:])
	}
	if s := `"keys":[{"usage":"signing","keyinfo":{"x5t":"` + key + `"},"keyvalue":{"type":"x509Certificate","value":"` + value + `"}}`; !strings.Contains(string(organization), s) {
		t.Errorf("organization: %s", organization)
	}
	for name, data := range map[string][]byte{"authority": authority, "organization": organization,
		"letter case": []byte(strings.NewReplacer("keyinfo", "KeyInfo", "keyvalue", "KEYVALUE", "signing", "Signing").Replace(string(organization)))} {
		got, err := acs.ParseDocument(data)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(acs.Document{}, "ID", "ServiceName")); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if got.TokenEndpoint() != "https://h/t/tokens/OAuth/2" {
			t.Errorf("%s: token endpoint %s", name, got.TokenEndpoint())
		}
	}
	empty, err := (&acs.Document{Issuer: "p@t"}).MarshalAuthority()
	if err != nil || !strings.Contains(string(empty), `"keys":[],"endpoints":[]`) {
		t.Errorf("%s, %v", empty, err)
	}
}

func TestDocumentKeys(t *testing.T) {
	c := certificates()
	sum := sha1.Sum(c[0])
	x5t, value := base64.RawURLEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(c[0])
	key := func(usage, typ, value, x5t string) string {
		return fmt.Sprintf(`{"usage":%q,"keyinfo":{"x5t":%q},"keyvalue":{"type":%q,"value":%q}}`, usage, x5t, typ, value)
	}
	for _, tt := range []struct {
		name          string
		keys          []string
		good, refused int
		err           bool
	}{
		{"plain", []string{key("signing", "x509Certificate", value, x5t)}, 1, 0, false},
		{"padded x5t", []string{key("signing", "x509Certificate", value, x5t+"=")}, 1, 0, false},
		{"x5t in the standard alphabet", []string{key("signing", "x509Certificate", value, base64.StdEncoding.EncodeToString(sum[:]))}, 1, 0, false},
		{"no x5t", []string{key("signing", "x509Certificate", value, "")}, 1, 0, false},
		{"twice the same", []string{key("signing", "x509Certificate", value, x5t), key("signing", "x509Certificate", value, "")}, 1, 0, false},
		{"wrong x5t", []string{key("signing", "x509Certificate", value, "AAAAAAAAAAAAAAAAAAAAAAAAAAA")}, 0, 1, false},
		{"one x5t, two certificates", []string{key("signing", "x509Certificate", value, x5t), key("signing", "x509Certificate", base64.StdEncoding.EncodeToString(c[1]), x5t)}, 0, 0, true},
		{"no certificate", []string{key("signing", "x509Certificate", "AAAA", "")}, 0, 1, false},
		{"PEM", []string{key("signing", "x509Certificate", "-----BEGIN CERTIFICATE-----", "")}, 0, 1, false},
		{"other usage", []string{key("encryption", "x509Certificate", value, x5t)}, 0, 0, false},
		{"other type", []string{key("signing", "rsa", value, x5t)}, 0, 0, false},
		{"too many", strings.Split(strings.Repeat(key("x", "x", "", "")+"\x00", 33), "\x00")[:33], 0, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := acs.ParseDocument([]byte(`{"issuer":"p@t","keys":[` + strings.Join(tt.keys, ",") + `]}`))
			if tt.err {
				if !errors.Is(err, acs.ErrDocument) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Keys) != tt.good || len(d.Refused) != tt.refused {
				t.Errorf("%d keys, refused %v", len(d.Keys), d.Refused)
			}
		})
	}
	for _, s := range []string{"", "{}", `{"issuer":"p"}`, `{"issuer":"p@t"`, strings.Repeat(" ", acs.MaxDocument+1)} {
		if _, err := acs.ParseDocument([]byte(s)); !errors.Is(err, acs.ErrDocument) {
			t.Errorf("%.20q: %v", s, err)
		}
	}
}

// A document that is read is the same after it was written and read again, and
// no key in it has another thumbprint than its own.
func FuzzParseDocument(f *testing.F) {
	a, _ := document().MarshalAuthority()
	o, _ := document().MarshalOrganization()
	f.Add(a)
	f.Add(o)
	f.Add([]byte(`{"issuer":"p@*","keys":[{"usage":"signing","keyvalue":{"type":"x509Certificate","value":"AAAA","keyInfo":{"x5t":"="}}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := acs.ParseDocument(data)
		if err != nil {
			return
		}
		b, err := d.MarshalOrganization()
		if err != nil {
			t.Fatal(err)
		}
		again, err := acs.ParseDocument(b)
		if err != nil {
			t.Fatalf("what we wrote is refused: %v", err)
		}
		d.Refused = nil
		if diff := cmp.Diff(d, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A challenge that is read is the same after it was written and read again.
func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer client_id="x", trusted_issuers="a@*,b@c", token_types="t u", error="invalid_token",Negotiate,NTLM,Basic realm="..."`)
	f.Add(`Negotiate YII=, bearer Client_ID=x,REALM = "y\"z"`)
	f.Fuzz(func(t *testing.T, line string) {
		all, _ := acs.ParseChallenges(http.Header{"Www-Authenticate": {line}})
		for _, c := range all {
			c.Issuers = "" // as text it may hold what is no principal name
			again, err := acs.ParseChallenges(http.Header{"Www-Authenticate": {c.String()}})
			if err != nil || len(again) != 1 {
				t.Fatalf("%q: %v, %v", c, again, err)
			}
			again[0].Issuers = ""
			if d := cmp.Diff(c, again[0]); d != "" {
				t.Fatal(d)
			}
		}
	})
}

// What a token endpoint says is read within its limits, and an answer that is
// read can be written.
func FuzzParseTokenResponse(f *testing.F) {
	f.Add([]byte(`{"token_type":"Bearer","expires_in":"86399","not_before":1699307907,"expires_on":"1699394607","resource":"p/h@t","access_token":"a.b.c"}`))
	f.Add([]byte(`{"error":"invalid_client","error_description":"AADSTS70002: x","error_codes":[70002]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := acs.ParseError(400, data); err == nil {
			e.Has(1)
			_ = e.Error()
		}
		r, err := acs.ParseTokenResponse(data)
		if err != nil {
			return
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := acs.ParseTokenResponse(b)
		if err != nil {
			t.Fatalf("what we wrote is refused: %s: %v", b, err)
		}
		if d := cmp.Diff(r, again); d != "" {
			t.Fatal(d)
		}
	})
}
