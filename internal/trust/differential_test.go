package trust_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"busybridge/internal/trust"
)

// A judge decides by another library whether an app-only token of the
// authorization server is one for this host now.
type judge struct {
	key any // the authorization server's
	now time.Time
	aud string
}

func (j judge) accepts(token string) error {
	t, err := jwt.ParseSigned(token, []gojose.SignatureAlgorithm{gojose.RS256})
	if err != nil {
		return err
	}
	var c struct {
		Issuer    string       `json:"iss"`
		Audience  jwt.Audience `json:"aud"`
		NameID    string       `json:"nameid"`
		NotBefore *seconds     `json:"nbf"`
		Expiry    *seconds     `json:"exp"`
	}
	if err := t.Claims(j.key, &c); err != nil {
		return err
	}
	if c.Expiry == nil || c.NotBefore == nil {
		return errors.New("no exp or no nbf")
	}
	if c.NameID != exchange+"@"+tenant {
		return errors.New("another nameid")
	}
	return jwt.Claims{Issuer: c.Issuer, Audience: c.Audience, NotBefore: &c.NotBefore.NumericDate, Expiry: &c.Expiry.NumericDate}.ValidateWithLeeway(jwt.Expected{Issuer: acsPID + "@" + tenant, AnyAudience: jwt.Audience{j.aud}, Time: j.now}, 5*time.Minute)
}

// seconds are those of go-jose, also written as a string, as Exchange does
// (oauth-s2s 3.1): the one thing that go-jose does not read and we do.
type seconds struct{ jwt.NumericDate }

func (s *seconds) UnmarshalJSON(b []byte) error {
	if text, err := strconv.Unquote(string(b)); err == nil && strings.Trim(text, "0123456789") == "" {
		b = []byte(text)
	}
	return s.NumericDate.UnmarshalJSON(b)
}

// Whatever our validation accepts, go-jose accepts too, on 10,000 mutated tokens.
// That we refuse more is meant: the differences that occur are counted by reason.
func TestAgainstGoJose(t *testing.T) {
	const tokens, signedAnew = 10000, 800 // a signature costs a millisecond
	r := rand.New(rand.NewPCG(1, 20260115))
	s := newScene()
	s.bare = true
	v := s.validator(t)
	j := judge{key: &certKey("as").key.PublicKey, now: s.now, aud: s.actor.claims["aud"].(string)}
	good := s.text()
	if err := j.accepts(good); err != nil {
		t.Fatalf("go-jose refuses the token that everything starts from: %v", err)
	}
	if _, err := v.Validate(t.Context(), good, s.host); err != nil {
		t.Fatal(err)
	}
	both, neither := 0, 0
	stricter := make(map[int]int) // by error id
	for i := range tokens {
		var text, how string
		if i < signedAnew {
			text, how = signedMutant(r, s.actor)
		} else {
			text, how = mutant(r, good)
		}
		_, ours := v.Validate(t.Context(), text, s.host)
		theirs := j.accepts(text)
		switch {
		case ours == nil && theirs != nil:
			t.Errorf("%d, %s: we accept what go-jose refuses: %v\n%s", i, how, theirs, text)
		case ours == nil:
			both++
		case theirs != nil:
			neither++
		default:
			te, ok := errors.AsType[*trust.TokenError](ours)
			if !ok {
				t.Fatalf("%d, %s: %v", i, how, ours)
			}
			stricter[te.ID]++
		}
	}
	t.Logf("both accept %d, both refuse %d, we alone refuse %v", both, neither, stricter)
	// The test says nothing if the mutants are all of one kind.
	if both < 50 || neither < 1000 || len(stricter) == 0 {
		t.Errorf("both accept %d, both refuse %d, we alone refuse %v: the mutants test too little", both, neither, stricter)
	}
}

// A jwk in the header is never looked at, here or there; that go-jose refuses a
// broken one is left out.

// signedMutant changes header or claims and signs what comes of it.
func signedMutant(r *rand.Rand, from token) (text, how string) {
	k := token{header: clone(from.header), claims: clone(from.claims), key: from.key}
	part, name := k.claims, pick(r, "aud", "iss", "nbf", "exp", "nameid", "identityprovider", "trustedfordelegation")
	if r.IntN(3) == 0 {
		part, name = k.header, pick(r, "typ", "alg", "x5t", "kid", "crit", "jku", "x5u")
	}
	now := start.Unix()
	values := []any{nil, true, "", "x", []any{part[name]}, map[string]any{"a": part[name]}, 0, -1, 1e300, now, fmt.Sprint(now),
		now - 301, now - 299, now + 299, now + 301, now + 86400, "RS256", "rs256", "none", "HS256", "PS256", "JWT", "jwt"}
	switch n := r.IntN(6); n {
	case 0:
		delete(part, name)
		how = "without " + name
	case 1:
		other := strings.ToUpper(name)
		part[other], how = part[name], "with "+other
	case 2:
		part["extra"+fmt.Sprint(r.IntN(1000))] = values[r.IntN(len(values))]
		how = "with a member more"
	case 3:
		v, _ := json.Marshal(part[name])
		k.raw = func(claims string) string {
			return strings.TrimSuffix(claims, "}") + `,"` + name + `":` + string(v) + "}"
		}
		how = name + " a second time"
	case 4:
		k.raw = func(claims string) string {
			return pick(r, " ", "\n", "\t", "\ufeff", "x", "") + claims + pick(r, " ", "\n", "x", "")
		}
		how = "with text around the claims"
	default:
		part[name] = values[r.IntN(len(values))]
		how = fmt.Sprintf("%s: %v", name, part[name])
	}
	return k.String(), how
}

// mutant changes the text of a token.
func mutant(r *rand.Rand, text string) (_, how string) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n"
	b := []byte(text)
	at := r.IntN(len(b))
	parts := strings.Split(text, ".")
	n := r.IntN(3)
	switch r.IntN(9) {
	case 0:
		b[at] = alphabet[r.IntN(len(alphabet))]
		return string(b), fmt.Sprintf("another byte at %d", at)
	case 1:
		b[at] ^= 1 << r.IntN(8)
		return string(b), fmt.Sprintf("another bit at %d", at)
	case 2:
		return text[:at], fmt.Sprintf("cut at %d", at)
	case 3:
		return text[:at] + string(alphabet[r.IntN(len(alphabet))]) + text[at:], fmt.Sprintf("a byte more at %d", at)
	case 4: // the last character of a segment has bits that mean nothing
		last := len(parts[n]) - 1
		parts[n] = parts[n][:last] + string(alphabet[r.IntN(64)])
		return strings.Join(parts, "."), fmt.Sprintf("another end of segment %d", n)
	case 5:
		parts[n] += pick(r, "=", "==", "A", "\n", ".")
		return strings.Join(parts, "."), fmt.Sprintf("segment %d is longer", n)
	case 6:
		m := r.IntN(3)
		parts[n], parts[m] = parts[m], parts[n]
		return strings.Join(parts, "."), fmt.Sprintf("segments %d and %d change places", n, m)
	case 7: // claims of somebody else under the signature
		data, err := base64.RawURLEncoding.DecodeString(parts[n])
		if err != nil {
			return text, "unchanged"
		}
		parts[n] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(data), pick(r, "a", "0", `"`, "1", ":"), pick(r, "b", "1", `'`, "2", " :"), 1)))
		return strings.Join(parts, "."), fmt.Sprintf("another text in segment %d", n)
	}
	return text, "unchanged"
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

func clone(m map[string]any) map[string]any {
	c := make(map[string]any, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}
