package trust_test

import (
	"log/slog"
	"runtime"
	"testing"
	"time"

	"busybridge/internal/trust"
)

// What these mean beside their floors: go run ./bench/tokens.

func BenchmarkIssue(b *testing.B) {
	k := newAsk()
	k.req.Assertion = k.assertion.String()
	a, log := newAuthority(b, realms{k.realm}, fixed(start), func(c *trust.AuthorityConfig) {
		c.Log, c.ReuseFor = slog.New(slog.DiscardHandler), -1
		c.MaxSigning = runtime.GOMAXPROCS(0)
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Issue(b.Context(), tenant, k.req); err != nil {
			b.Fatal(err)
		}
		log.events = log.events[:0]
	}
}

func BenchmarkIssueAgain(b *testing.B) {
	k := newAsk()
	k.req.Assertion = k.assertion.String()
	a, log := newAuthority(b, realms{k.realm}, fixed(start), func(c *trust.AuthorityConfig) {
		c.Log, c.ReuseFor = slog.New(slog.DiscardHandler), time.Minute
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Issue(b.Context(), tenant, k.req); err != nil {
			b.Fatal(err)
		}
		log.events = log.events[:0]
	}
}

func BenchmarkValidateNew(b *testing.B) {
	s := newScene()
	text := s.text()
	v, err := trust.NewValidator(trust.ValidatorConfig{Organizations: s.orgs, Recipients: s.people, Now: fixed(start), KnownFor: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Validate(b.Context(), text, onprem); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidateKnown(b *testing.B) {
	s := newScene()
	v, text := s.validator(b), s.text()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Validate(b.Context(), text, onprem); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBearerCached(b *testing.B) {
	a, _ := newAuthority(b, realms{testRealm()}, fixed(start), nil)
	tokens, org, ch := newTokens(b, &endpoint{authority: a, realm: tenant}, fixed(start)), onpremises(), cloudChallenge()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tokens.Bearer(b.Context(), org, ch, cloud, alice); err != nil {
			b.Fatal(err)
		}
	}
}

// A caller makes a new outer token for each request, around one actor token.
func BenchmarkValidateNewOuter(b *testing.B) {
	s := newScene()
	v := s.validator(b)
	texts := make([]string, 512)
	for i := range texts {
		s.outer.claims["exp"] = start.Unix() + 3600 + int64(i)
		texts[i] = s.text()
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		s.now = s.now.Add(time.Millisecond) // and none is known for long
		if i++; i%5000 == 0 {
			s.now = start
		}
		if _, err := v.Validate(b.Context(), texts[i%len(texts)], onprem); err != nil {
			b.Fatal(err)
		}
	}
}
