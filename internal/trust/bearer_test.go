package trust_test

import (
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// A user's questions that follow each other carry the same outer token.
func TestBearerIsKeptForAMoment(t *testing.T) {
	now := start
	clock := func() time.Time { return now }
	a, _ := newAuthority(t, realms{testRealm()}, clock, nil)
	tokens, org, ch := newTokens(t, &endpoint{authority: a, realm: tenant}, clock), onpremises(), cloudChallenge()
	bearer := func(org *directory.Organization, as *trust.User) string {
		t.Helper()
		now = now.Add(time.Second) // another second makes another token
		text, err := tokens.Bearer(t.Context(), org, ch, cloud, as)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	bearer(org, alice) // asks for the actor token
	first := bearer(org, alice)
	if bearer(org, alice) != first {
		t.Error("the next question carries another token")
	}
	other := *alice
	other.SMTP = "bob@contoso.com"
	if bearer(org, &other) == first {
		t.Error("another user's question carries the same token")
	}
	if bearer(onpremises(), alice) == first {
		t.Error("the organization has changed: the same token")
	}
	first = bearer(org, alice)
	ch.Realm = tenant
	if bearer(org, alice) == first {
		t.Error("the challenge has changed: the same token")
	}
	first = bearer(org, alice)
	tokens.Forget(org, ch, cloud, alice)
	if bearer(org, alice) == first {
		t.Error("the resource has refused it: the same token")
	}
	first = bearer(org, alice)
	now = now.Add(time.Minute)
	if bearer(org, alice) == first {
		t.Error("the same token after a minute")
	}
}
