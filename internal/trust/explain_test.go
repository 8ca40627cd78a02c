package trust_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/spec/jose"
	"busybridge/internal/trust"
)

// decodedActor is the actor token in a payload segment, or "".
func decodedActor(segment string) string {
	b, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return ""
	}
	var claims struct{ ActorToken, ActorT string }
	if json.Unmarshal(b, &claims) != nil {
		return ""
	}
	return claims.ActorToken + claims.ActorT
}

func explain(t testing.TB, s *scene) (*trust.Explanation, string) {
	t.Helper()
	text := s.text()
	x, err := s.validator(t).Explain(t.Context(), text, s.host)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	noToken(t, string(b), text)
	return x, text
}

// Each way to be refused is explained by the step that refuses it, and with
// what helps.
func TestExplainNamesTheStepAndWhatToDo(t *testing.T) {
	claim := func(name string, v any) func(*scene) { return func(s *scene) { s.actor.claims[name] = v } }
	outer := func(name string, v any) func(*scene) { return func(s *scene) { s.outer.claims[name] = v } }
	header := func(name string, v any) func(*scene) { return func(s *scene) { s.actor.header[name] = v } }
	for _, tt := range []struct {
		name   string
		change func(*scene)
		step   int // 0: accepted
		advice string
	}{
		{"as it should be", func(*scene) {}, 0, ""},
		{"no compact token", func(s *scene) { s.bearer = func(t string) string { return t[:40] } }, 1, "behind \"Bearer \""},
		{"a member twice", func(s *scene) { s.actor.raw = func(c string) string { return `{"iss":"x",` + c[1:] } }, 4, "exactly one signed actor token"},
		{"a member twice outside", func(s *scene) { s.outer.raw = func(c string) string { return `{"iss":"x",` + c[1:] } }, 2, "one JSON object each"},
		{"algorithm", func(s *scene) { s.bare = true; s.actor.header["alg"] = "HS256" }, 3, "one of those that this organization takes"},
		{"issuer is no name", claim("iss", "somebody"), 5, "APPLICATION@REALM"},
		{"issuer of another tenant", func(s *scene) { s.actor.claims["iss"] = acsPID + "@" + tenantB }, 5, `AuthServer "MicrosoftAzureACS" of contoso has this issuer and the realm "` + tenant},
		{"issuer is disabled", func(s *scene) { s.org.AuthServers[0].Enabled = false }, 5, "Set-AuthServer 'MicrosoftAzureACS' -Enabled $true"},
		{"issuer is a partner of an authorization server", func(s *scene) { s.direct(); s.org.PartnerApplications[1].UseAuthServer = true }, 5, "is signed by the partner itself"},
		{"issuer is a disabled partner", func(s *scene) { s.direct(); s.org.PartnerApplications[1].Enabled = false }, 5, "Set-PartnerApplication 'Fabrikam' -Enabled $true"},
		{"issuer unknown", claim("iss", "stranger@elsewhere.com"), 5, "New-AuthServer -Name ACS -AuthMetadataUrl"},
		{"an assertion", func(s *scene) {
			s.bare = true
			s.actor.claims["iss"] = exchange + "@" + tenant
			s.actor.claims["aud"] = acsPID + "/" + acsHost + "@" + tenant
		}, 5, "This is an assertion"},
		{"key", header("x5t", certKey("stranger").x5t()), 6, "Set-AuthServer 'MicrosoftAzureACS' -RefreshAuthMetadata reads them again. Its keys here: " + certKey("as").x5t()},
		{"key of a partner", func(s *scene) { s.direct(); s.actor.header["x5t"] = certKey("as").x5t() }, 6, "Set-PartnerApplication 'Fabrikam' -RefreshAuthMetadata"},
		{"key of a partner waits", func(s *scene) {
			s.direct()
			s.actor.header["x5t"], s.actor.key = certKey("stranger").x5t(), certKey("stranger")
			s.org.PartnerApplications[1].PendingCertificateStrings = []string{certKey("stranger").base64()}
		}, 6, "Set-PartnerApplication 'Fabrikam' -ApproveFingerprint '" + directory.Fingerprint([]string{certKey("stranger").base64()})},
		{"signature", func(s *scene) { s.actor.key = certKey("stranger") }, 7, "another key signed it"},
		{"expired", func(s *scene) { s.now = start.Add(48 * time.Hour) }, 8, "--at 2026-01-15T08:00:00Z"},
		{"times are no times", claim("exp", "soon"), 8, "whole seconds since 1970"},
		{"audience", claim("aud", "https://mail.contoso.com/"), 9, "APPLICATION/HOST@REALM, with " + exchange},
		{"host", func(s *scene) { s.orgs["old.contoso.com"], s.host = s.orgs[onprem], "old.contoso.com" }, 10, "for another host than old.contoso.com"},
		{"realm", claim("aud", exchange+"/"+onprem+"@x.lab.contoso.com"), 11, "one with * does not count"},
		{"tenants mixed", outer("iss", exchange+"@"+tenantB), 12, "take it as an attack"},
		{"caller has no name", func(s *scene) { s.direct(); s.actor.claims["nameid"] = "x" }, 13, "nameid must be"},
		{"disagreement", claim("trustedfordelegation", "false"), 14, "TrustedForDelegation"},
		{"application unknown", func(s *scene) { s.org.PartnerApplications = nil }, 15, "New-PartnerApplication -Name NAME -ApplicationIdentifier " + exchange},
		{"application disabled", func(s *scene) { s.org.PartnerApplications[0].Enabled = false }, 15, "Set-PartnerApplication 'Exchange Online' -Enabled $true"},
		{"application of another realm", func(s *scene) { s.org.PartnerApplications[0].Realm = tenantB }, 15, `is for the realm "` + tenantB},
		{"user unknown", func(s *scene) {
			for _, name := range []string{"upn", "smtp", "sip"} {
				s.outer.claims[name] = "nobody@contoso.com"
			}
		}, 16, "upn nobody@contoso.com"},
		{"user ambiguous", outer("smtp", "bob@contoso.com"), 16, "different entries"},
		{"permissions", func(s *scene) { s.org.PartnerApplications[0].LinkedAccount = "" }, 17, "Set-PartnerApplication 'Exchange Online' -LinkedAccount"},
		{"Entra, as it should be", (*scene).entra, 0, ""},
		{"Entra, other tenant", func(s *scene) { s.entra(); s.actor.claims["tid"] = tenantB }, 5, `AuthServer "EvoSTS" of contoso.com has this issuer`},
		{"Entra, audience", func(s *scene) { s.entra(); s.actor.claims["aud"] = exchange }, 9, "scope https://" + cloud + "/.default"},
		{"Entra, public client", func(s *scene) { s.entra(); s.actor.claims["appidacr"] = "0" }, 13, "A public client gets no access"},
		{"Entra, application disabled", func(s *scene) {
			s.entra()
			s.org.PartnerApplications = append(s.org.PartnerApplications, directory.PartnerApplication{Common: directory.Common{Name: "Hybrid"}, ApplicationIdentifier: hybridApp, UseAuthServer: true})
		}, 15, "Set-PartnerApplication 'Hybrid' -Enabled $true"},
		{"Entra, no role", func(s *scene) { s.entra(); s.actor.claims["roles"] = []string{} }, 17, "full_access_as_app"},
		{"host not served", func(s *scene) { s.host = "nowhere.test" }, 10, "No organization is served at nowhere.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene()
			tt.change(s)
			x, text := explain(t, s)
			if len(x.Steps) != 18 {
				t.Fatalf("%d steps", len(x.Steps))
			}
			for i, st := range x.Steps {
				var want []string
				switch n := i + 1; {
				case tt.step == n:
					want = []string{trust.StepFailed}
				case s.orgs[s.host] == nil:
					want = []string{trust.StepNotReached}
				case tt.step == 0 || n < tt.step:
					want = []string{trust.StepPassed, trust.StepNotApplicable}
				default:
					want = []string{trust.StepNotReached}
				}
				if st.Number != i+1 || st.Name == "" || !slices.Contains(want, st.State) {
					t.Errorf("step %d: %+v, want %v", i+1, st, want)
				}
			}
			_, err := s.validator(t).Validate(t.Context(), text, s.host)
			if x.Accepted != (err == nil) || x.Accepted != (x.Refusal == nil) || x.Accepted != (tt.step == 0) {
				t.Fatalf("explained %+v, validated %v", x.Refusal, err)
			}
			if err == nil {
				return
			}
			refused, ok := errors.AsType[*trust.TokenError](err)
			if !ok {
				t.Fatal(err)
			}
			want := &trust.RefusalText{Step: refused.Step, ID: refused.ID, Category: refused.Category, Reason: refused.Reason, Claim: refused.Claim}
			if refused.Err != nil {
				want.Cause = refused.Err.Error()
			}
			if d := cmp.Diff(want, x.Refusal); d != "" {
				t.Error(d)
			}
			if all := strings.Join(x.Advice, "\n"); !strings.Contains(all, tt.advice) || all == "" {
				t.Errorf("advice:\n%s\nwant %q", all, tt.advice)
			}
		})
	}
}

// An accepted token is explained whole.
func TestExplainShowsWhatWasFound(t *testing.T) {
	s := newScene()
	x, _ := explain(t, s)
	details := map[int]string{3: "RS256", 5: `AuthServer "MicrosoftAzureACS" of contoso`, 6: certKey("as").x5t(), 8: "until 2026-01-15T16:00:00Z",
		10: onprem, 13: exchange + "@" + tenant, 15: `PartnerApplication "Exchange Online"`, 16: "alice@contoso.com"}
	for _, st := range x.Steps {
		if st.Detail != details[st.Number] {
			t.Errorf("step %d: %q, want %q", st.Number, st.Detail, details[st.Number])
		}
	}
	if x.Steps[17].State != trust.StepNotApplicable || x.Kind != "for a user, through an authorization server" || x.Organization != "contoso" {
		t.Errorf("%+v", x)
	}
	if len(x.Tokens) != 2 || x.Tokens[0].Name != "outer token" || x.Tokens[0].SignatureBytes != 0 || x.Tokens[1].SignatureBytes != 256 {
		t.Fatalf("tokens %+v", x.Tokens)
	}
	member := func(list []trust.Member, name string) trust.Member {
		i := slices.IndexFunc(list, func(m trust.Member) bool { return m.Name == name })
		if i < 0 {
			t.Fatalf("no %s", name)
		}
		return list[i]
	}
	for _, tt := range []struct {
		list []trust.Member
		want trust.Member
	}{
		{x.Tokens[1].Header, trust.Member{Name: "x5t", Value: `"` + certKey("as").x5t() + `"`, Note: "thumbprint " + certKey("as").cert.Thumbprint}},
		{x.Tokens[1].Claims, trust.Member{Name: "nbf", Value: "1768463700", Note: "2026-01-15T07:55:00Z"}},
		{x.Tokens[0].Claims, trust.Member{Name: "nbf", Value: `"1768464000"`, Note: "2026-01-15T08:00:00Z"}},
		{x.Tokens[0].Claims, trust.Member{Name: "actortoken", Value: "…", Note: "the actor token"}},
	} {
		if d := cmp.Diff(tt.want, member(tt.list, tt.want.Name)); d != "" {
			t.Error(d)
		}
	}
	s.bare = true
	x, _ = explain(t, s)
	if x.Kind != "of an application alone, through an authorization server" || x.Steps[13].State != trust.StepNotApplicable || x.Steps[17].State != trust.StepPassed {
		t.Errorf("%+v", x)
	}
	s = newScene()
	s.entra()
	x, _ = explain(t, s)
	if x.Kind != "of an application alone, by Entra ID" || x.Steps[9].Detail != cloud || x.Steps[12].Detail != hybridApp+"@"+tenant {
		t.Errorf("%+v", x)
	}
	s.actor.claims["scp"], s.actor.claims["upn"], s.actor.claims["idtyp"] = "EWS.AccessAsUser.All", "alice@contoso.com", "user"
	s.people.add(s.org.ID, "alice", func(r *directory.Recipient) { r.Type = directory.UserMailbox }, "alice@contoso.com")
	x, _ = explain(t, s)
	if x.Kind != "of an application for a user, by Entra ID" || x.User != "alice@contoso.com" || x.Steps[14].State != trust.StepNotApplicable || x.Steps[15].State != trust.StepPassed {
		t.Errorf("%+v", x)
	}
	s = newScene()
	s.direct()
	x, _ = explain(t, s)
	if x.Kind != "for a user, by a directly trusted partner" || x.Steps[11].State != trust.StepNotApplicable {
		t.Errorf("%+v", x)
	}
}

// To explain changes nothing: no metadata is fetched, no refusal told, and what
// was explained is not taken for checked.
func TestExplainLeavesNoTrace(t *testing.T) {
	for _, change := range []func(*scene){func(*scene) {}, (*scene).direct} {
		s := newScene()
		change(s)
		s.org.PartnerApplications[1].AuthMetadataURL = "https://mail.fabrikam.com/autodiscover/metadata/json/1"
		s.actor.header["x5t"] = certKey("stranger").x5t()
		asked := 0
		v, list := s.told(t, func(cfg *trust.ValidatorConfig) {
			cfg.UnknownKey = func(directory.OrgID, string) { asked++ }
			cfg.UnknownPartnerKey = cfg.UnknownKey
		})
		text := s.text()
		if x, err := v.Explain(t.Context(), text, s.host); err != nil || x.Refusal == nil || x.Refusal.Step != 6 {
			t.Fatal(x, err)
		}
		if asked != 0 || len(*list) != 0 {
			t.Errorf("asked for keys %d times, told %d refusals", asked, len(*list))
		}
		if _, err := v.Validate(t.Context(), text, s.host); err == nil || asked != 1 || len(*list) != 1 {
			t.Errorf("in earnest: %v, asked %d times, told %d refusals", err, asked, len(*list))
		}
	}
	s := newScene()
	text := s.text()
	v, _ := s.told(t, nil)
	if x, err := v.Explain(t.Context(), text, s.host); err != nil || !x.Accepted {
		t.Fatal(x, err)
	}
	s.people[s.org.ID] = nil
	if _, err := v.Validate(t.Context(), text, s.host); err == nil {
		t.Error("an explained token is remembered as accepted")
	}
	v, _ = s.told(t, func(cfg *trust.ValidatorConfig) { cfg.Recipients = broken{} })
	if _, err := v.Explain(t.Context(), text, s.host); !errors.Is(err, errBroken) {
		t.Errorf("broken store: %v", err)
	}
}

func TestAudienceHost(t *testing.T) {
	s := newScene()
	bare := newScene()
	bare.bare = true
	entra := newScene()
	entra.bare = true
	entra.actor.claims["aud"] = "https://Mail.contoso.com/"
	for name, tt := range map[string]struct{ token, want string }{
		"outer": {s.text(), onprem}, "actor": {bare.text(), onprem}, "url": {entra.text(), "Mail.contoso.com"}, "none": {"x", ""},
	} {
		if got := trust.AudienceHost(tt.token); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// Whatever the text is, it is explained, within bounds and without its signature.
func FuzzExplain(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v)
	}
	for _, change := range []func(*scene){func(*scene) {}, (*scene).direct, func(s *scene) { s.bare = true },
		func(s *scene) { s.actor.header["jwk"] = map[string]any{"k": s.actor.String()} }} {
		s := newScene()
		change(s)
		f.Add(s.text())
	}
	s := newScene()
	v := s.validator(f)
	f.Fuzz(func(t *testing.T, text string) {
		x, err := v.Explain(t.Context(), text, onprem)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 12*jose.MaxToken {
			t.Errorf("%d bytes of explanation for %d of token", len(b), len(text))
		}
		if len(x.Steps) != 18 || x.Accepted != (x.Refusal == nil) {
			t.Errorf("%+v", x)
		}
		if tok, err := jose.ParseUnverified(text); err == nil && len(tok.Signature) >= 32 {
			if _, signature, _ := strings.Cut(text[strings.Index(text, ".")+1:], "."); strings.Contains(string(b), signature) {
				t.Error("the signature is shown")
			}
		}
	})
}

// The token of a user is explained as it is judged, and one of a partner is not
// taken for it.
func TestExplainTokenOfAUser(t *testing.T) {
	p := newProvider(t)
	rs := map[string]any{"alg": "RS256", "kid": "r1"}
	for _, tt := range []struct {
		name           string
		header, claims map[string]any
		step           int
		advice         string
	}{
		{"as it should be", rs, nil, 0, ""},
		{"audience", rs, map[string]any{"aud": "calendar"}, 9, "openid in the configuration"},
		{"key", map[string]any{"alg": "RS256", "kid": "r2"}, nil, 6, "jwks_uri"},
		{"expired", rs, map[string]any{"exp": p.at.Add(-time.Hour).Unix()}, 8, "fresh token"},
		{"address", rs, map[string]any{"email": "eve@litware.com"}, 16, "address_claims"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := p.sign(tt.header, p.claims(tt.claims), p.rs256(p.rsa))
			x, err := p.tokens().Explain(t.Context(), token, onprem, userOrganizations())
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			noToken(t, string(b), token)
			switch {
			case tt.step == 0:
				if !x.Accepted || x.User != "alice@contoso.com" || x.Organization != "Contoso" || x.Refusal != nil || len(x.Tokens) != 1 {
					t.Errorf("%+v", x)
				}
			case x.Accepted || x.Refusal == nil || x.Refusal.Step != tt.step || !strings.Contains(strings.Join(x.Advice, "\n"), tt.advice):
				t.Errorf("%+v, refusal %+v", x, x.Refusal)
			}
		})
	}
	if _, err := p.tokens().Explain(t.Context(), newScene().text(), onprem, userOrganizations()); !errors.Is(err, trust.ErrNotUserToken) {
		t.Errorf("a partner's token: %v", err)
	}
	p.err = errBroken
	if _, err := p.tokens().Explain(t.Context(), p.sign(rs, p.claims(nil), p.rs256(p.rsa)), onprem, userOrganizations()); !errors.Is(err, errBroken) {
		t.Errorf("a provider that does not answer: %v", err)
	}
}
