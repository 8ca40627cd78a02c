package trust_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/trust"
)

// told is a validator of the scene, and what it tells of refused tokens.
func (s *scene) told(t testing.TB, change func(*trust.ValidatorConfig)) (*trust.Validator, *[]trust.Refusal) {
	t.Helper()
	list := new([]trust.Refusal)
	cfg := trust.ValidatorConfig{Organizations: s.orgs, Recipients: s.people, Now: func() time.Time { return s.now },
		Refused: func(_ context.Context, r *trust.Refusal) { *list = append(*list, *r) }}
	if change != nil {
		change(&cfg)
	}
	v, err := trust.NewValidator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v, list
}

func TestEveryRefusedTokenIsToldOnce(t *testing.T) {
	type told struct {
		Step                                         int
		Claim, Org, KeyID, Issuer, Caller, Algorithm string
		Verified                                     bool
	}
	as, name := acsPID+"@"+tenant, exchange+"@"+tenant
	known := told{Org: "contoso", KeyID: certKey("as").x5t(), Issuer: as, Caller: name, Algorithm: "RS256"}
	with := func(step int, claim string, verified bool, change func(*told)) told {
		w := known
		w.Step, w.Claim, w.Verified = step, claim, verified
		if change != nil {
			change(&w)
		}
		return w
	}
	for _, tt := range []struct {
		name   string
		change func(*scene)
		want   told
	}{
		{"not readable", func(s *scene) { s.bearer = func(string) string { return "x.y.z" } }, told{Step: 1, Org: "contoso"}},
		{"issuer unknown", func(s *scene) { s.actor.claims["iss"] = "stranger@" + tenant },
			with(5, "iss", false, func(w *told) { w.Issuer = "stranger@" + tenant })},
		{"issuer unknown where many are served", func(s *scene) {
			s.orgs[onprem] = append(s.orgs[onprem], hosted("2", tenantB, "litware.com"))
			s.actor.claims["iss"] = "stranger@" + tenant
		}, with(5, "iss", false, func(w *told) { w.Issuer, w.Org = "stranger@"+tenant, "" })},
		{"key unknown", func(s *scene) { s.actor.header["x5t"] = certKey("stranger").x5t() },
			with(6, "x5t", false, func(w *told) { w.KeyID = certKey("stranger").x5t() })},
		{"signature of another key", func(s *scene) { s.actor.key = certKey("stranger") }, with(7, "", false, nil)},
		{"expired", func(s *scene) { s.now = start.Add(48 * time.Hour) }, with(8, "exp", true, nil)},
		{"host", func(s *scene) { s.orgs["other.contoso.com"], s.host = s.orgs[onprem], "other.contoso.com" }, with(10, "aud", true, nil)},
		{"host not served", func(s *scene) { s.host = "nowhere.test" }, told{Step: 10, Claim: "aud"}},
		{"partner disabled", func(s *scene) { s.org.PartnerApplications[0].Enabled = false }, with(15, "nameid", true, nil)},
		{"user unknown", func(s *scene) {
			for _, name := range []string{"upn", "smtp", "sip"} {
				s.outer.claims[name] = "nobody@contoso.com"
			}
		}, with(16, "", true, nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene()
			tt.change(s)
			v, list := s.told(t, nil)
			text := s.text()
			if _, err := v.Validate(t.Context(), text, s.host); err == nil {
				t.Fatal("accepted")
			}
			if len(*list) != 1 {
				t.Fatalf("told %d times", len(*list))
			}
			r := (*list)[0]
			got := told{r.Err.Step, r.Err.Claim, "", r.KeyID, r.Issuer, r.Caller, r.Algorithm, r.Verified}
			if r.Org != nil {
				got.Org = r.Org.Name
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if r.Host != s.host || !r.At.Equal(s.now) {
				t.Errorf("at %v, host %q", r.At, r.Host)
			}
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			noToken(t, string(b), text)
		})
	}
}

// What was not refused, or could not be checked, is no refusal; a claim that
// repeats a token is not told.
func TestRefusalsAreOnlyRefusals(t *testing.T) {
	s := newScene()
	v, list := s.told(t, nil)
	if _, err := v.Validate(t.Context(), s.text(), s.host); err != nil {
		t.Fatal(err)
	}
	v, list2 := s.told(t, func(cfg *trust.ValidatorConfig) { cfg.Recipients = broken{} })
	if _, err := v.Validate(t.Context(), s.text(), s.host); err == nil {
		t.Fatal("a broken store accepts")
	}
	if len(*list)+len(*list2) != 0 {
		t.Errorf("%v %v", *list, *list2)
	}
	s = newScene()
	s.actor.claims["iss"] = s.actor.String() + "\n" + strings.Repeat("x", 5000)
	v, list = s.told(t, nil)
	if _, err := v.Validate(t.Context(), s.text(), s.host); err == nil || len(*list) != 1 {
		t.Fatal(err, *list)
	}
	if got := (*list)[0].Issuer; len(got) > 400 || strings.Contains(got, "\n") || strings.Contains(got, "eyJ") {
		t.Errorf("issuer %q", got)
	}
}

// noToken fails when text has a part of a token: any of its segments, or of
// those of the actor token in it.
func noToken(t testing.TB, text, token string) {
	t.Helper()
	const part = 24
	tokens := []string{token}
	for _, d := range strings.Split(token, ".") {
		if c := decodedActor(d); c != "" {
			tokens = append(tokens, c)
		}
	}
	for _, k := range tokens {
		for _, segment := range strings.Split(k, ".") {
			for i := 0; i+part <= len(segment); i += part {
				if strings.Contains(text, segment[i:i+part]) {
					t.Fatalf("a part of the token is in %.200s", text)
				}
			}
		}
	}
	// Headers and claims of tokens begin so; three letters alone stand in a certificate by chance.
	if i := slices.IndexFunc([]string{"eyJ0eXAi", "eyJhbGci", "eyJhdWQi", "eyJpc3Mi"}, func(b string) bool { return strings.Contains(text, b) }); i >= 0 {
		t.Errorf("what looks like a token is in %.400s", text)
	}
}
