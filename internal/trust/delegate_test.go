package trust_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
	"busybridge/internal/trust"
)

// documentWithES256 is the document of org as its partners read it.
func documentWithES256(t *testing.T, tokens *trust.Tokens, org *directory.Organization) *acs.Document {
	t.Helper()
	doc, err := trust.OrganizationDocument(org, "mail.fabrikam.com", start)
	if err != nil {
		t.Fatal(err)
	}
	if doc.Delegates, err = tokens.Delegates(org); err != nil {
		t.Fatal(err)
	}
	data, err := doc.MarshalOrganization()
	if err != nil {
		t.Fatal(err)
	}
	if doc, err = acs.ParseDocument(data); err != nil {
		t.Fatal(err)
	}
	return doc
}

// heard is a challenge as it comes over the wire.
func heard(t *testing.T, ch acs.Challenge) acs.Challenge {
	t.Helper()
	all, err := acs.ParseChallenges(http.Header{"Www-Authenticate": {ch.String()}})
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	return all[0]
}

// pinned is a scene in which contoso.com has pinned fabrikam.com's document, and
// the token that fabrikam.com then sends.
func pinned(t *testing.T) (s *scene, actor string) {
	s = newScene()
	tokens := newTokens(t, &endpoint{}, fixed(start))
	p, err := trust.PartnerFrom(documentWithES256(t, tokens, fabrikam()), directory.PartnerApplication{
		Common: directory.Common{Name: "Fabrikam"}, Enabled: true, LinkedAccount: "contoso.com/Users/Fabrikam"})
	if err != nil {
		t.Fatal(err)
	}
	s.org.PartnerApplications[1] = p
	actor, err = tokens.Bearer(t.Context(), fabrikam(), heard(t, trust.ChallengeFor([]*directory.Organization{s.org})), onprem, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, actor
}

// Two organizations that announce it use ES256; the key follows from the
// certificate alone.
func TestES256IsNegotiatedUnderDirectTrust(t *testing.T) {
	s, actor := pinned(t)
	if got := len(s.org.PartnerApplications[1].DelegateStrings); got != 1 {
		t.Fatalf("%d delegates are pinned", got)
	}
	der, err := base64.StdEncoding.DecodeString(s.org.PartnerApplications[1].DelegateStrings[0])
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := gojose.ParseSignedCompact(actor, []gojose.SignatureAlgorithm{gojose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Verify(cert.PublicKey); err != nil {
		t.Errorf("go-jose: %v", err)
	}
	c, err := s.validator(t).Validate(t.Context(), actor, onprem)
	if err != nil || !c.AppOnly || c.Realm != "fabrikam.com" {
		t.Errorf("%+v, %v", c, err)
	}
	// Another node makes the same.
	again := documentWithES256(t, newTokens(t, &endpoint{}, fixed(start)), fabrikam())
	if d := cmp.Diff(der, again.Delegates[0].Certificate); d != "" {
		t.Error("another node has another delegate")
	}
	// It is no secret of the RSA key's kind, and no pinned key.
	if len(again.Keys) != 1 || s.org.PartnerApplications[1].CertificateStrings[0] != certKey("partner").base64() {
		t.Error("the delegate is among the pinned keys")
	}
	// Who does not announce it gets RS256.
	ch := trust.ChallengeFor([]*directory.Organization{onpremises()})
	if len(ch.ES256Keys) != 0 {
		t.Errorf("announced: %q", ch.ES256Keys)
	}
	plain, err := newTokens(t, &endpoint{}, fixed(start)).Bearer(t.Context(), fabrikam(), heard(t, ch), onprem, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token, err := jose.ParseUnverified(plain); err != nil || token.Algorithm() != jose.RS256 {
		t.Errorf("%v, %v", token.Algorithm(), err)
	}
	if _, err := s.validator(t).Validate(t.Context(), plain, onprem); err != nil {
		t.Errorf("RS256 stays good: %v", err)
	}
}

func TestES256IsRefused(t *testing.T) {
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// vouched is a certificate for the stranger's key, signed by key, with the given name of its issuer.
	vouched := func(by *testKey, key any) []byte {
		parent, err := x509.ParseCertificate(by.cert.DER)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"},
			NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour)}, parent, &stranger.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	signed := func(s *scene, x5t string) string {
		s.direct()
		var w jose.Writer
		for _, name := range []string{"aud", "iss", "nameid", "trustedfordelegation"} {
			w.Text(name, s.actor.claims[name].(string))
		}
		w.Number("nbf", start.Unix()).Number("exp", start.Unix()+3600)
		text, err := jose.Sign(stranger, jose.Header{Algorithm: jose.ES256, X5T: x5t}, &w)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, tt := range []struct {
		name   string
		change func(s *scene, actor string) string
		id     int
	}{
		{"the twin that is let in: vouched for by the pinned certificate", func(s *scene, _ string) string {
			der := vouched(certKey("partner"), certKey("partner").key)
			s.org.PartnerApplications[1].DelegateStrings = []string{base64.StdEncoding.EncodeToString(der)}
			return signed(s, trust.X5T(der))
		}, 0},
		{"vouched for by somebody else", func(s *scene, _ string) string {
			der := vouched(certKey("stranger"), certKey("stranger").key)
			s.org.PartnerApplications[1].DelegateStrings = []string{base64.StdEncoding.EncodeToString(der)}
			return signed(s, trust.X5T(der))
		}, 2000000},
		{"in the pinned certificate's name, by another key", func(s *scene, _ string) string {
			parent := *certKey("partner")
			cert, err := x509.ParseCertificate(parent.cert.DER)
			if err != nil {
				t.Fatal(err)
			}
			cert.PublicKey = &certKey("stranger").key.PublicKey
			der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour)},
				cert, &stranger.PublicKey, certKey("stranger").key)
			if err != nil {
				t.Fatal(err)
			}
			s.org.PartnerApplications[1].DelegateStrings = []string{base64.StdEncoding.EncodeToString(der)}
			return signed(s, trust.X5T(der))
		}, 2000000},
		{"pinned as a certificate, which a delegate is not", func(s *scene, _ string) string {
			der := vouched(certKey("partner"), certKey("partner").key)
			s.org.PartnerApplications[1].CertificateStrings = append(s.org.PartnerApplications[1].CertificateStrings, base64.StdEncoding.EncodeToString(der))
			s.org.PartnerApplications[1].DelegateStrings = nil
			return signed(s, trust.X5T(der))
		}, 2000000},
		{"the key of the delegate, the x5t of the pinned certificate", func(s *scene, _ string) string { return signed(s, certKey("partner").x5t()) }, 2000000},
		{"the x5t of the delegate, another key", func(s *scene, actor string) string {
			token, err := jose.ParseUnverified(actor)
			if err != nil {
				t.Fatal(err)
			}
			x5t, _ := token.Header.Text("x5t")
			return signed(s, x5t)
		}, 2000000},
		{"the pinned certificate was replaced", func(s *scene, actor string) string {
			s.org.PartnerApplications[1].CertificateStrings = []string{certKey("stranger").base64()}
			return actor
		}, 2000000},
		{"the pinned certificate has expired", func(s *scene, actor string) string {
			s.now = start.Add(6 * 365 * 24 * time.Hour)
			return actor
		}, 2000000},
		{"the partner is disabled", func(s *scene, actor string) string {
			s.org.PartnerApplications[1].Enabled = false
			return actor
		}, 2000009},
		{"of an authorization server", func(s *scene, _ string) string {
			var w jose.Writer
			w.Text("aud", s.actor.claims["aud"].(string)).Text("iss", s.actor.claims["iss"].(string))
			text, err := jose.Sign(stranger, jose.Header{Algorithm: jose.ES256, X5T: certKey("as").x5t()}, &w)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}, 2000001},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, actor := pinned(t)
			text := tt.change(s, actor)
			_, err := s.validator(t).Validate(t.Context(), text, onprem)
			if tt.id == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if te, ok := err.(*trust.TokenError); !ok || te.ID != tt.id {
				t.Errorf("got %v, want %d", err, tt.id)
			}
		})
	}
}

// A document can name only keys that one of its own certificates vouches for.
func TestDelegatesOfOthersAreNotPinned(t *testing.T) {
	tokens := newTokens(t, &endpoint{}, fixed(start))
	doc := documentWithES256(t, tokens, fabrikam())
	doc.Keys = []acs.Key{{Certificate: certKey("stranger").cert.DER}}
	p, err := trust.PartnerFrom(doc, directory.PartnerApplication{})
	if err != nil || len(p.DelegateStrings) != 0 {
		t.Errorf("%q, %v", p.DelegateStrings, err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var w jose.Writer
	if _, err := jose.Sign(ec, jose.Header{Algorithm: jose.ES256}, w.Text("a", "b")); err == nil {
		t.Error("P-384 signs ES256")
	}
}

// The actor token that an organization issues itself is V4 of the vectors.
func TestSelfIssuedIsVectorV4(t *testing.T) {
	ch := acs.Challenge{ClientID: exchange, Realm: "fabrikam.com", TrustedIssuers: []acs.PrincipalName{{PID: exchange, Realm: "contoso.com"}}}
	org := onpremises()
	org.AuthServers = nil
	text, err := newTokens(t, &endpoint{}, fixed(start)).Bearer(t.Context(), org, ch, "mail.fabrikam.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, want := strings.Split(text, "."), strings.Split(vectors(t)["V4"], ".")
	if got[1] != want[1] {
		a, _ := base64.RawURLEncoding.DecodeString(want[1])
		b, _ := base64.RawURLEncoding.DecodeString(got[1])
		t.Error(cmp.Diff(string(a), string(b)))
	}
	header, _ := base64.RawURLEncoding.DecodeString(want[0])
	if b, _ := base64.RawURLEncoding.DecodeString(got[0]); string(b) != strings.Replace(string(header), "ABXvwUWlLTv0cpOEoJWYdcSDnhA", certKey("org").x5t(), 1) {
		t.Errorf("header %s", b)
	}
}
