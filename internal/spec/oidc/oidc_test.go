package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/spec/oidc"
)

// The form of oauth-s2s 3.4, and back.
const (
	formV1 = "grant_type=client_credentials&client_id=dd02c40f-1325-46c2-a118-4659db8a55d5&resource=https%3A%2F%2Fpartner.outlook.cn" +
		"&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=e30.e30.c2ln"
	formV2 = "grant_type=client_credentials&client_id=dd02c40f-1325-46c2-a118-4659db8a55d5&scope=https%3A%2F%2Foutlook.office365.com%2F.default" +
		"&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=e30.e30.c2ln"
)

func TestTokenRequest(t *testing.T) {
	base := oidc.TokenRequest{GrantType: oidc.GrantClientCredentials, ClientID: "dd02c40f-1325-46c2-a118-4659db8a55d5",
		ClientAssertionType: oidc.AssertionTypeJWT, ClientAssertion: "e30.e30.c2ln"}
	v1, v2 := base, base
	v1.Resource, v2.Scope = "https://partner.outlook.cn", "https://outlook.office365.com"+oidc.DefaultScope
	withSecret := v1
	withSecret.HasSecret = true
	for _, tt := range []struct {
		name, form string
		want       oidc.TokenRequest
		text       string // of the form again; "": the same
	}{
		{"v1", formV1, v1, ""},
		{"v2", formV2, v2, ""},
		{"nothing", "", oidc.TokenRequest{}, ""},
		{"what is unknown is ignored", formV1 + "&prompt=none", v1, formV1},
		{"a secret is not kept", formV1 + "&client_secret=hunter2", withSecret, formV1},
	} {
		form, err := url.ParseQuery(tt.form)
		if err != nil {
			t.Fatal(err)
		}
		got, err := oidc.ParseTokenRequest(form)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
		want := tt.text
		if want == "" {
			want = tt.form
		}
		if d := cmp.Diff(want, got.Encode()); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
	for name, form := range map[string]url.Values{
		"twice":        {"client_id": {"a", "b"}},
		"secret twice": {"client_secret": {"a", "b"}},
		"too long":     {"client_assertion": {strings.Repeat("a", 16<<10+1)}},
	} {
		if got, err := oidc.ParseTokenRequest(form); !errors.Is(err, oidc.ErrInvalid) || strings.Contains(err.Error(), "aaa") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// What is written reads as the same request.
func FuzzTokenRequest(f *testing.F) {
	for _, s := range []string{formV1, formV2, "", "client_secret=x", "client_id=%00&client_id=", "scope=a+b&resource=%ff", "grant_type=" + strings.Repeat("a", 20<<10)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		req, err := oidc.ParseTokenRequest(form)
		if err != nil {
			return
		}
		again, err := url.ParseQuery(req.Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := oidc.ParseTokenRequest(again)
		req.HasSecret = false
		if d := cmp.Diff(req, got); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	})
}

func TestKeySetRefuses(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	ec, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{"no certificate": []byte("x"), "nothing": nil, "another kind of key": ec} {
		if b, err := json.Marshal(oidc.KeySet{Keys: []oidc.Key{{Certificate: der}}}); err == nil {
			t.Errorf("%s: %s", name, b)
		}
	}
	if b, err := json.Marshal(oidc.KeySet{}); err != nil || string(b) != `{"keys":[]}` {
		t.Errorf("%s, %v", b, err)
	}
}
