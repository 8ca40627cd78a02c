package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/trust"
)

func TestBareToken(t *testing.T) {
	for in, want := range map[string]string{
		"a.b.c\r\n": "a.b.c", " \"a.b.c\" ": "a.b.c", "Bearer a.b.c": "a.b.c", "authorization: bearer  a.b.c": "a.b.c",
		"Authorization:Bearer a.b.c": "a.b.c", "": "", "bearer": "bearer",
	} {
		if got := bareToken(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]bool{"eyJ0.eyJ1.": true, "Bearer eyJ0.e30.x": true, "eyes.txt": false, "token.jwt.txt": false, "-": false} {
		if looksLikeToken(in) != want {
			t.Errorf("%q: want %v", in, want)
		}
	}
}

func TestExplanationOfAnAcceptedToken(t *testing.T) {
	x := &trust.Explanation{
		Host: "mail.contoso.com", At: time.Date(2026, 1, 15, 16, 0, 0, 0, time.FixedZone("", 8*3600)), Accepted: true, Organization: "Contoso", User: "alice@contoso.com", Kind: "of an application alone",
		Tokens: []trust.TokenText{{Name: "token", Header: []trust.Member{{Name: "alg", Value: `"RS256"`}},
			Claims: []trust.Member{{Name: "nbf", Value: "1768463700", Note: "2026-01-15T07:55:00Z"}, {Name: strings.Repeat("n", 40), Value: "1"}}, SignatureBytes: 256}},
		Steps: []trust.Step{{Number: 1, Name: "first", State: trust.StepPassed, Detail: "found"}, {Number: 18, Name: "last", State: trust.StepNotApplicable}},
	}
	want := `Sent to mail.contoso.com, looked at as of 2026-01-15T08:00:00Z
Kind: of an application alone

token
  header
    alg  "RS256"
  claims
    nbf                       1768463700  (2026-01-15T07:55:00Z)
    ` + strings.Repeat("n", 40) + `  1
  signature of 256 bytes, not shown

  1  passed          first: found
 18  does not apply  last

Accepted by Contoso for alice@contoso.com.
`
	if d := cmp.Diff(want, explanationText(x)); d != "" {
		t.Error(d)
	}
}
