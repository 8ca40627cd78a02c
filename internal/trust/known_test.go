package trust_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// A signature that was checked before saves nothing but its own check: whatever
// else has changed since is seen, in a new outer token and in the known one.
func TestKnownSignatureHidesNoChange(t *testing.T) {
	refused := func(t *testing.T, err error, id int) {
		t.Helper()
		if te, ok := errors.AsType[*trust.TokenError](err); !ok || te.ID != id {
			t.Errorf("got %v, want %d", err, id)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*scene)
		id     int
	}{
		{"the key is removed", func(s *scene) { s.org.AuthServers[0].CertificateStrings = []string{certKey("stranger").base64()} }, 2000000},
		{"the key is another anchor's now", func(s *scene) {
			s.org.AuthServers[0].CertificateStrings = []string{certKey("stranger").base64()}
			s.org.PartnerApplications[1].CertificateStrings = []string{certKey("as").base64()}
		}, 2000000},
		{"the authorization server is disabled", func(s *scene) { s.org.AuthServers[0].Enabled = false }, 2000009},
		{"the partner is disabled", func(s *scene) { s.org.PartnerApplications[0].Enabled = false }, 2000006},
		{"the tenant is another", func(s *scene) { s.org.AuthServers[0].Realm = tenantB }, 2000009},
		{"the user is disabled", func(s *scene) {
			s.now = s.now.Add(5 * time.Second) // of the user it is seen at the end of KnownFor
			s.people.add(s.org.ID, "alice", func(r *directory.Recipient) { r.Enabled = false }, "alice@contoso.com", "alice.jones@contoso.com")
		}, 2000005},
		{"the token has expired", func(s *scene) { s.now = start.Add(25 * time.Hour) }, 2000002},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene()
			v, known := s.validator(t), s.text()
			for range 2 {
				if _, err := v.Validate(t.Context(), known, s.host); err != nil {
					t.Fatal(err)
				}
			}
			old := s.org
			fresh := old.Clone()
			fresh.Version++
			s.org, s.orgs[onprem] = fresh, []*directory.Organization{fresh}
			tt.change(s)
			_, err := v.Validate(t.Context(), known, s.host)
			refused(t, err, tt.id)
			s.outer.claims["sip"] = "alice@contoso.com "
			_, err = v.Validate(t.Context(), s.text(), s.host)
			refused(t, err, tt.id)
		})
	}
}

// No token is taken for one that was seen before.
func TestKnownTokenIsNotSubstituted(t *testing.T) {
	s := newScene()
	s.bare = true
	v, good := s.validator(t), s.text()
	if _, err := v.Validate(t.Context(), good, s.host); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	other := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(claims), `"trustedfordelegation":"true"`, `"trustedfordelegation":"TRUE"`, 1)))
	for name, text := range map[string]string{
		"other claims, known signature": parts[0] + "." + other + "." + parts[2],
		"known claims, other signature": parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 256)),
	} {
		_, err := v.Validate(t.Context(), text, s.host)
		if te, ok := errors.AsType[*trust.TokenError](err); !ok || te.ID != 2000000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is known for one host is not known for another.
	s.orgs["mail2.contoso.com"] = s.orgs[onprem]
	_, err = v.Validate(t.Context(), good, "mail2.contoso.com")
	if te, ok := errors.AsType[*trust.TokenError](err); !ok || te.ID != 2000003 {
		t.Errorf("another host: %v", err)
	}
}

// A known token is checked without an allocation: what it costs is its fingerprint.
func TestKnownTokenAllocatesNothing(t *testing.T) {
	s := newScene()
	v, text := s.validator(t), s.text()
	n := testing.AllocsPerRun(100, func() {
		if _, err := v.Validate(t.Context(), text, onprem); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}
