package trust_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/jose"
	"busybridge/internal/trust"
)

// A badAuthority issues good tokens until fault is set.
type badAuthority struct {
	endpoint
	fault func(ctx context.Context, url string, req acs.TokenRequest) (*acs.TokenResponse, error)
}

func (b *badAuthority) RequestToken(ctx context.Context, url string, req acs.TokenRequest) (*acs.TokenResponse, error) {
	if b.fault == nil {
		return b.endpoint.RequestToken(ctx, url, req)
	}
	b.mu.Lock()
	b.calls++
	b.mu.Unlock()
	return b.fault(ctx, url, req)
}

// forged is an answer with a token for what was asked, after change.
func forged(now func() time.Time, change func(*token)) func(context.Context, string, acs.TokenRequest) (*acs.TokenResponse, error) {
	return func(_ context.Context, _ string, req acs.TokenRequest) (*acs.TokenResponse, error) {
		k := newScene().actor
		k.claims["aud"], k.claims["nbf"], k.claims["exp"] = req.Resource, now().Unix(), now().Add(24*time.Hour).Unix()
		change(&k)
		return &acs.TokenResponse{TokenType: "Bearer", AccessToken: k.String(), ExpiresIn: 24 * time.Hour}, nil
	}
}

// Dropped, delayed, lying: whatever an authorization server does, requests go on
// with the token that it issued before, at once, for as long as that is valid.
func TestBadAuthorityCostsNothingWhileATokenIsValid(t *testing.T) {
	type fault = func(ctx context.Context, url string, req acs.TokenRequest) (*acs.TokenResponse, error)
	refuse := func(err error) fault {
		return func(context.Context, string, acs.TokenRequest) (*acs.TokenResponse, error) { return nil, err }
	}
	tests := map[string]func(now func() time.Time) fault{
		"dropped": func(func() time.Time) fault { return refuse(errors.New("connection refused")) },
		"delayed for ever": func(func() time.Time) fault {
			return func(ctx context.Context, _ string, _ acs.TokenRequest) (*acs.TokenResponse, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		},
		"delayed, then an error": func(func() time.Time) fault {
			return func(context.Context, string, acs.TokenRequest) (*acs.TokenResponse, error) {
				time.Sleep(9 * time.Second)
				return nil, errors.New("unexpected answer: status 503")
			}
		},
		"refuses": func(func() time.Time) fault {
			return refuse(&acs.Error{Code: "invalid_client", Description: "AADSTS70002: no"})
		},
		"answers nothing": func(func() time.Time) fault {
			return func(context.Context, string, acs.TokenRequest) (*acs.TokenResponse, error) {
				return &acs.TokenResponse{}, nil
			}
		},
		"lies about the audience": func(now func() time.Time) fault {
			return forged(now, func(k *token) { k.claims["aud"] = exchange + "/evil.test@" + tenant })
		},
		"lies about the expiry": func(now func() time.Time) fault {
			return forged(now, func(k *token) { k.claims["exp"] = now().Unix() })
		},
		"lies about who we are": func(now func() time.Time) fault {
			return forged(now, func(k *token) { k.claims["nameid"] = "x@" + tenant })
		},
		"signs with another key": func(now func() time.Time) fault { return forged(now, func(k *token) { k.key = certKey("stranger") }) },
		"does not sign": func(now func() time.Time) fault {
			return forged(now, func(k *token) { k.header["alg"], k.key = "none", nil })
		},
		"signs with the public key": func(now func() time.Time) fault {
			return forged(now, func(k *token) { k.header["alg"], k.key = "HS256", certKey("as").cert.DER })
		},
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shift := time.Until(start)
				now := func() time.Time { return time.Now().Add(shift) }
				a, _ := newAuthority(t, realms{testRealm()}, now, nil)
				e := &badAuthority{endpoint: endpoint{authority: a, realm: tenant}}
				tokens := newTokens(t, e, now)
				org := onpremises()
				get := func() (string, error) {
					began := time.Now()
					s, err := tokens.Bearer(t.Context(), org, cloudChallenge(), cloud, nil)
					if took := time.Since(began); err == nil && took > 0 {
						t.Errorf("an answer waited %v", took)
					}
					return s, err
				}
				good, err := get()
				if err != nil {
					t.Fatal(err)
				}
				_, expires := timesOf(t, good)
				time.Sleep(expires.Add(-5 * time.Minute).Sub(now()))
				e.fault = make(now)
				asked := e.count()
				for now().Before(expires) {
					if got, err := get(); err != nil || got != good {
						t.Fatalf("%v before the expiry: %.20s, %v", expires.Sub(now()), got, err)
					}
					time.Sleep(time.Second)
				}
				synctest.Wait()
				if n := e.count() - asked; n < 2 || n > 11 {
					t.Errorf("%d attempts to renew in five minutes", n)
				}
				tokens.Wait()
				e.fault = nil
				if got, err := get(); err != nil || got == good {
					t.Errorf("a good authority again: %v", err)
				}
			})
		})
	}
}

func timesOf(t *testing.T, text string) (nbf, exp time.Time) {
	t.Helper()
	k, err := jose.ParseUnverified(text)
	if err != nil {
		t.Fatal(err)
	}
	if nbf, exp, err = k.Times(); err != nil {
		t.Fatal(err)
	}
	return nbf, exp
}

// A renewal that succeeds late is used as soon as it is there.
func TestRenewalTakesOverWhenItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shift := time.Until(start)
		now := func() time.Time { return time.Now().Add(shift) }
		a, _ := newAuthority(t, realms{testRealm()}, now, nil)
		delay := time.Duration(0)
		e := &endpoint{authority: a, realm: tenant, before: func(context.Context) error { time.Sleep(delay); return nil }}
		tokens := newTokens(t, e, now)
		get := func() string {
			s, err := tokens.Bearer(t.Context(), onpremises(), cloudChallenge(), cloud, nil)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first := get()
		time.Sleep(24*time.Hour - 4*time.Minute)
		delay = 3 * time.Second
		if get() != first {
			t.Error("the first token is not used while the second is on its way")
		}
		time.Sleep(4 * time.Second)
		second := get()
		if second == first || e.count() != 2 {
			t.Errorf("after the renewal: same token %v, %d requests", second == first, e.count())
		}
		time.Sleep(23 * time.Hour)
		if get() != second || e.count() != 2 {
			t.Error("the second token is not kept")
		}
	})
}

// A document that moves the token endpoint loses no token.
func TestMovedEndpointLosesNoToken(t *testing.T) {
	a, _ := newAuthority(t, realms{testRealm()}, fixed(start), nil)
	e := &badAuthority{endpoint: endpoint{authority: a, realm: tenant}}
	tokens := newTokens(t, e, fixed(start))
	get := func(org *directory.Organization) error {
		_, err := tokens.Bearer(t.Context(), org, cloudChallenge(), cloud, alice)
		return err
	}
	if err := get(onpremises()); err != nil {
		t.Fatal(err)
	}
	e.fault = func(context.Context, string, acs.TokenRequest) (*acs.TokenResponse, error) {
		return nil, errors.New("nobody is here")
	}
	moved := onpremises()
	moved.Version++
	moved.AuthServers[0].TokenIssuingEndpoint = "https://elsewhere.example/tokens"
	if err := get(moved); err != nil {
		t.Error(err)
	}
	other := onpremises()
	other.AuthServers[0].Realm = "2c19f25a-0000-4000-8000-000000000009"
	if err := get(other); err == nil {
		t.Error("a token of one realm is used for another")
	}
}

// A diagnosis that asks for everything anew takes no token from others.
func TestFreshDiagnosisTakesNoToken(t *testing.T) {
	s := newResource(t)
	c, tr, e := newTransport(t, s)
	if got, err := post(t, c, s.URL+"/"); err != nil || got != http.StatusOK {
		t.Fatal(got, err)
	}
	e.before = func(context.Context) error { return errors.New("the server is away") }
	fresh := *tr
	fresh.Fresh = true
	if _, err := post(t, &http.Client{Transport: &fresh}, s.URL+"/"); err == nil || !strings.Contains(err.Error(), "away") {
		t.Errorf("diagnosis: %v", err)
	}
	if got, err := post(t, c, s.URL+"/"); err != nil || got != http.StatusOK {
		t.Errorf("after the diagnosis: %d, %v", got, err)
	}
}

var _ trust.TokenEndpoint = (*badAuthority)(nil)
