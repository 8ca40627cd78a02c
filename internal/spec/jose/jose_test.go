package jose_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/jose"
)

// vectors are those of the oauth-s2s reference, section 10.
func vectors(t testing.TB) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			m[name] = value
		}
	}
	return m
}

func publicKey(t testing.TB, cert string) *rsa.PublicKey {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(cert)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c.PublicKey.(*rsa.PublicKey)
}

var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func TestVectors(t *testing.T) {
	v := vectors(t)
	for _, tt := range []struct {
		name, cert, x5t string
		payload         string
	}{
		{"V1", "org-cert", "ABXvwUWlLTv0cpOEoJWYdcSDnhA",
			`{"aud":"00000001-0002-0000-c000-000000000000/accounts.accesscontrol.chinacloudapi.cn@4d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a","iss":"00000002-0000-0ff1-ce00-000000000000@4d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a","nbf":"1768464000","exp":"1768464300"}`},
		{"V2", "as-cert", "QhPBdD0Uon-YJkcJL72mXGUm_lo", ""},
		{"V4", "org-cert", "ABXvwUWlLTv0cpOEoJWYdcSDnhA", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, err := jose.ParseUnverified(v[tt.name])
			if err != nil {
				t.Fatal(err)
			}
			if err := token.VerifyRS256(publicKey(t, v[tt.cert])); err != nil {
				t.Error(err)
			}
			other := "as-cert"
			if tt.cert == other {
				other = "org-cert"
			}
			if err := token.VerifyRS256(publicKey(t, v[other])); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("with the other key: %v", err)
			}
			sum, ok := token.X5T()
			if got := base64.RawURLEncoding.EncodeToString(sum[:]); !ok || got != tt.x5t {
				t.Errorf("x5t %s, want %s", got, tt.x5t)
			}
			if _, _, err := token.Times(); err != nil {
				t.Error(err)
			}
			if tt.payload != "" {
				segment := strings.Split(v[tt.name], ".")[1]
				if got, _ := base64.RawURLEncoding.DecodeString(segment); string(got) != tt.payload {
					t.Error(cmp.Diff(tt.payload, string(got)))
				}
			}
		})
	}
	outer, err := jose.ParseUnverified(v["V3"])
	if err != nil {
		t.Fatal(err)
	}
	if inner, _ := outer.Claims.Text("actortoken"); inner != v["V2"] || outer.Algorithm() != jose.None {
		t.Error("V3 does not hold V2")
	}
}

func TestSignedTokenIsReadByGoJose(t *testing.T) {
	var w jose.Writer
	w.Text("aud", "a/b@c").Text("name", "Zoë \"<Q>\" \\ \x01").Number("exp", 1768464000)
	token, err := jose.SignRS256(testKey(), "ABXvwUWlLTv0cpOEoJWYdcSDnhA", "kid", &w)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := parsed.Verify(&testKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"aud": "a/b@c", "name": "Zoë \"<Q>\" \\ \x01", "exp": 1768464000.0}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	header, _, _ := strings.Cut(token, ".")
	if b, _ := base64.RawURLEncoding.DecodeString(header); string(b) != `{"typ":"JWT","alg":"RS256","x5t":"ABXvwUWlLTv0cpOEoJWYdcSDnhA","kid":"kid"}` {
		t.Errorf("header %s", b)
	}
	ours, err := jose.ParseUnverified(token)
	if err != nil || ours.VerifyRS256(&testKey().PublicKey) != nil {
		t.Errorf("we do not read our own: %v", err)
	}
	if name, _ := ours.Claims.Text("name"); name != "Zoë \"<Q>\" \\ \x01" {
		t.Errorf("name %q", name)
	}
}

func TestTokenOfGoJoseIsRead(t *testing.T) {
	signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.RS256, Key: testKey()},
		(&gojose.SignerOptions{}).WithType("JWT").WithHeader("x5t", "ABXvwUWlLTv0cpOEoJWYdcSDnhA"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(`{"iss":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.ParseUnverified(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(token.CheckHeader(), token.VerifyRS256(&testKey().PublicKey)); err != nil {
		t.Error(err)
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestCompactFormIsStrict(t *testing.T) {
	header, payload := b64(`{"alg":"RS256"}`), b64(`{"a":1}`)
	for _, tt := range []struct {
		name, token string
		want        error // nil: read
	}{
		{"plain", header + "." + payload + ".AAAA", nil},
		{"empty signature", header + "." + payload + ".", nil},
		{"two segments", header + "." + payload, jose.ErrCompact},
		{"four segments", header + "." + payload + ".AAAA.AAAA", jose.ErrCompact},
		{"no header", "." + payload + ".AAAA", jose.ErrCompact},
		{"no payload", header + "..AAAA", jose.ErrCompact},
		{"padding", header + "=." + payload + ".AAAA", jose.ErrCompact},
		{"padding of the signature", header + "." + payload + ".AA==", jose.ErrCompact},
		{"white space", header + ". " + payload + ".AAAA", jose.ErrCompact},
		{"line end inside", header[:4] + "\n" + header[4:] + "." + payload + ".AAAA", jose.ErrCompact},
		{"standard alphabet", header + "." + payload + ".AA+/", jose.ErrCompact},
		{"trailing bits", header + "." + payload + ".AB", jose.ErrCompact},
		{"no trailing bits", header + "." + payload + ".AA", nil},
		{"one byte too long", header + "." + strings.Repeat("A", jose.MaxToken-len(header)-1) + ".", jose.ErrCompact},
		{"header is no object", b64(`"x"`) + "." + payload + ".AAAA", jose.ErrObject},
		{"payload is no JSON", header + "." + b64(`{`) + ".AAAA", jose.ErrObject},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := jose.ParseUnverified(tt.token); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestHeaderIsChecked(t *testing.T) {
	for header, ok := range map[string]bool{
		`{"typ":"JWT","alg":"RS256"}`:                         true,
		`{"alg":"RS256"}`:                                     true,
		`{"alg":"RS256","jku":"https://evil.test/","jwk":{}}`: true, // never looked at
		`{"typ":"at+jwt","alg":"RS256"}`:                      false,
		`{"typ":1,"alg":"RS256"}`:                             false,
		`{"alg":"RS256","crit":["exp"]}`:                      false,
		`{"alg":"RS256","crit":null}`:                         false,
	} {
		token, err := jose.ParseUnverified(b64(header) + "." + b64(`{}`) + ".")
		if err != nil {
			t.Fatal(err)
		}
		if err := token.CheckHeader(); (err == nil) != ok {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestObjectIsStrict(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		ok         bool
	}{
		{"all kinds", `{"a":"x","b":-1.5e+3,"c":[1,{"d":null},[]],"e":true,"f":false,"g":{}}`, true},
		{"white space", " \t\r\n{ \"a\" : 1 , \"b\" : [ ] } \n", true},
		{"empty", `{}`, true},
		{"pair of surrogates", `{"a":"\ud83d\ude00"}`, true},
		{"same name in different objects", `{"a":{"x":1},"b":{"x":1}}`, true},
		{"twice", `{"iss":"a","iss":"b"}`, false},
		{"twice, escaped", `{"iss":"a","\u0069ss":"b"}`, false},
		{"twice by letter case", `{"iss":"a","ISS":"b"}`, false},
		{"twice by a letter that folds", `{"kid":"a","\u212aid":"b"}`, false},
		{"twice inside", `{"a":{"x":1,"x":2}}`, false},
		{"twice in a list", `{"a":[{"x":1,"x":2}]}`, false},
		{"text after", `{} {}`, false},
		{"comma after", `{},`, false},
		{"BOM", "\xef\xbb\xbf{}", false},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", false},
		{"lone surrogate", `{"a":"\ud83d"}`, false},
		{"surrogates the wrong way", `{"a":"\ude00\ud83d"}`, false},
		{"control character", "{\"a\":\"\x01\"}", false},
		{"unknown escape", `{"a":"\x"}`, false},
		{"short escape", `{"a":"\u12"}`, false},
		{"no end", `{"a":"`, false},
		{"escape at the end", `{"a":"\`, false},
		{"leading zero", `{"a":01}`, false},
		{"plus", `{"a":+1}`, false},
		{"no digits after the point", `{"a":1.}`, false},
		{"no digits in the exponent", `{"a":1e}`, false},
		{"NaN", `{"a":NaN}`, false},
		{"comment", `{/**/}`, false},
		{"last comma", `{"a":1,}`, false},
		{"last comma in a list", `{"a":[1,]}`, false},
		{"single quotes", `{'a':1}`, false},
		{"list", `[]`, false},
		{"nothing", ``, false},
		{"too deep", `{"a":` + strings.Repeat("[", 100000), false},
		{"too many members", `{` + manyMembers(100) + `}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := jose.ParseObject([]byte(tt.text))
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, jose.ErrObject) {
				t.Errorf("got %v, want ok = %v", err, tt.ok)
			}
		})
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + strings.Repeat("a", i+1) + `":0`)
	}
	return b.String()
}

func TestNamesAreExact(t *testing.T) {
	o, err := jose.ParseObject([]byte(`{"ISS":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := o.Text("iss"); ok {
		t.Error("ISS was read as iss")
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]int64{ // -1: refused
		`1768464000`: 1768464000, `"1768464000"`: 1768464000, `0`: 0, `253402300799`: 253402300799,
		`253402300800`: -1, `-1`: -1, `"-1"`: -1, `1e300`: -1, `"1.5e9"`: -1, `1.5`: -1, `"01768464000"`: -1,
		`9223372036854775808`: -1, `"99999999999999999999"`: -1, `""`: -1, `"+1"`: -1, `" 1"`: -1, `null`: -1, `true`: -1, `[1]`: -1,
		`"\u0031"`: -1,
	} {
		o, err := jose.ParseObject([]byte(`{"exp":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		at, err := o.Time("exp")
		switch {
		case want < 0 && err == nil:
			t.Errorf("%s was read as %v", text, at)
		case want >= 0 && (err != nil || at.Unix() != want):
			t.Errorf("%s: %v, %v", text, at, err)
		}
	}
	if _, err := (jose.Object{}).Time("exp"); err == nil {
		t.Error("an absent time was read")
	}
}

func TestX5T(t *testing.T) {
	want, _ := jose.ParseX5T("_-8AAAAAAAAAAAAAAAAAAAAAAAA")
	for s, ok := range map[string]bool{
		"_-8AAAAAAAAAAAAAAAAAAAAAAAA": true, "_-8AAAAAAAAAAAAAAAAAAAAAAAA=": true, "/+8AAAAAAAAAAAAAAAAAAAAAAAA=": true,
		"": false, "_-8AAAAAAAAAAAAAAAAAAAAAAAB": false, "AAAA": false, "_-8AAAAAAAAAAAAAAAAAAAAAAA": false,
		"n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg": false, "!-8AAAAAAAAAAAAAAAAAAAAAAAA": false,
	} {
		got, gotOK := jose.ParseX5T(s)
		if gotOK != ok || ok && got != want {
			t.Errorf("%q: %x, %v", s, got, gotOK)
		}
	}
}

func TestShortKeysNeitherSignNorVerify(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip(err)
	}
	if _, err := jose.SignRS256(key, "x", "", new(jose.Writer)); err == nil {
		t.Error("signed with 1024 bits")
	}
	token, err := jose.ParseUnverified(vectors(t)["V1"])
	if err != nil {
		t.Fatal(err)
	}
	if err := token.VerifyRS256(&key.PublicKey); !errors.Is(err, jose.ErrSignature) {
		t.Errorf("verified with 1024 bits: %v", err)
	}
}

// What our strict reader takes, encoding/json takes with the same meaning.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{"a":"x","b":-1.5e+3,"c":[1,{"d":null},[]],"e":true}`, `{"iss":"a","ISS":"b"}`, `{"a":"\ud83d\ude00"}`, `{"a":01}`, `{"exp":"1768464000"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := jose.ParseObject(data)
		if err != nil {
			return
		}
		var m map[string]any
		d := json.NewDecoder(bytes.NewReader(data))
		if err := d.Decode(&m); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", data, err)
		}
		for name, v := range m {
			got, ok := o.Get(name)
			if !ok {
				t.Fatalf("%q: member %q is missing", data, name)
			}
			if s, isText := v.(string); isText {
				if text, ok := got.Text(); !ok || text != s {
					t.Fatalf("%q: member %q is %q, want %q", data, name, text, s)
				}
			} else if _, ok := got.Text(); ok {
				t.Fatalf("%q: member %q is a string", data, name)
			}
			if at, err := got.Time(); err == nil && (at.Year() < 1970 || at.Year() > 9999) {
				t.Fatalf("%q: time %v", data, at)
			}
		}
	})
}

// A token that is read has no other spelling: its segments, encoded again, are
// the token (no malleability).
func FuzzParseUnverified(f *testing.F) {
	for name, v := range vectors(f) {
		if strings.HasPrefix(name, "V") {
			f.Add(v)
		}
	}
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, s string) {
		token, err := jose.ParseUnverified(s)
		if err != nil {
			return
		}
		parts := strings.Split(s, ".")
		if len(parts) != 3 || base64.RawURLEncoding.EncodeToString(token.Signature) != parts[2] {
			t.Fatalf("signature of %q has another spelling", s)
		}
		for _, p := range parts[:2] {
			b, err := base64.RawURLEncoding.DecodeString(p)
			if err != nil || base64.RawURLEncoding.EncodeToString(b) != p {
				t.Fatalf("segment %q has another spelling", p)
			}
		}
		if token.Algorithm() == jose.RS256 {
			if err := token.VerifyRS256(&testKey().PublicKey); err == nil {
				t.Fatal("a signature of nobody verifies")
			}
		}
		token.X5T()
		if nbf, exp, err := token.Times(); err == nil && !nbf.Before(exp) {
			t.Fatalf("times %v, %v", nbf, exp)
		}
	})
}

func BenchmarkSignRS256(b *testing.B) {
	key := testKey()
	b.ReportAllocs()
	for b.Loop() {
		var w jose.Writer
		w.Text("aud", "00000002-0000-0ff1-ce00-000000000000/mail.contoso.com@4d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a").Number("exp", time.Now().Unix())
		if _, err := jose.SignRS256(key, "ABXvwUWlLTv0cpOEoJWYdcSDnhA", "", &w); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseUnverified(b *testing.B) {
	v := vectors(b)["V3"]
	b.ReportAllocs()
	b.SetBytes(int64(len(v)))
	for b.Loop() {
		if _, err := jose.ParseUnverified(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	v := vectors(b)
	token, err := jose.ParseUnverified(v["V2"])
	if err != nil {
		b.Fatal(err)
	}
	key := publicKey(b, v["as-cert"])
	b.ReportAllocs()
	for b.Loop() {
		if err := token.VerifyRS256(key); err != nil {
			b.Fatal(err)
		}
	}
}
