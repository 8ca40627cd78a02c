package authorityclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/dial/authorityclient"
	"busybridge/internal/spec/acs"
	"busybridge/internal/spec/fedmeta"
	"busybridge/internal/spec/oidc"
)

func serve(t *testing.T, h http.HandlerFunc) (*httptest.Server, *authorityclient.Client) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	c, err := authorityclient.New(authorityclient.Config{HTTP: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func TestRequestToken(t *testing.T) {
	req := acs.TokenRequest{GrantType: acs.GrantJWTBearer, Assertion: "a.b.c", Resource: "p/h@t", CorrelationID: "af0b9e1c-304d-4cbe-8e59-57cc92c12dc3"}
	s, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || string(body) != req.Encode() || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" ||
			r.Header.Get("client-request-id") != req.CorrelationID {
			t.Errorf("%s %v %s", r.Method, r.Header, body)
		}
		fmt.Fprint(w, `{"token_type":"Bearer","expires_in":"3600","not_before":"1768463700","expires_on":"1768467600","resource":"p/h@t","access_token":"x.y.z"}`)
	})
	got, err := c.RequestToken(t.Context(), s.URL+"/t/tokens/OAuth/2", req)
	if err != nil {
		t.Fatal(err)
	}
	want := &acs.TokenResponse{TokenType: "Bearer", ExpiresIn: time.Hour, NotBefore: time.Unix(1768463700, 0).UTC(),
		ExpiresOn: time.Unix(1768467600, 0).UTC(), Resource: "p/h@t", AccessToken: "x.y.z"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRequestApplicationToken(t *testing.T) {
	req := oidc.TokenRequest{GrantType: "client_credentials", ClientID: "app", Resource: "https://h", ClientAssertionType: oidc.AssertionTypeJWT, ClientAssertion: "a.b.c", CorrelationID: "af0b9e1c-304d-4cbe-8e59-57cc92c12dc3"}
	answers := map[string]string{
		"version 1": `{"token_type":"Bearer","expires_in":"3599","ext_expires_in":"3599","expires_on":"1768467600","not_before":"1768463700","resource":"https://h","access_token":"x.y.z"}`,
		"version 2": `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"x.y.z"}`,
	}
	for name, answer := range answers {
		s, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.Method != http.MethodPost || string(body) != req.Encode() || r.Header.Get("client-request-id") != req.CorrelationID {
				t.Errorf("%s: %s %v", name, r.Method, r.Header)
			}
			fmt.Fprint(w, answer)
		})
		got, err := c.RequestApplicationToken(t.Context(), s.URL+"/t/oauth2/token", req)
		if err != nil || got.AccessToken != "x.y.z" || got.ExpiresIn != 3599*time.Second {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestRefusalIsAnOAuthError(t *testing.T) {
	s, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"invalid_client","error_description":"AADSTS70002: x. AADSTS50012: y.","error_codes":[70002,50012]}`)
	})
	_, err := c.RequestToken(t.Context(), s.URL, acs.TokenRequest{})
	e, ok := errors.AsType[*acs.Error](err)
	if !ok || e.Status != 401 || e.Code != "invalid_client" || !e.Has(50012) {
		t.Errorf("%v", err)
	}
}

func TestBadAnswers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		h     http.HandlerFunc
		token error // of RequestToken
		doc   error // of FetchMetadata
	}{
		{"error page", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(502)
			fmt.Fprint(w, "<html>")
		}, authorityclient.ErrStatus, authorityclient.ErrStatus},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, authorityclient.ErrStatus, authorityclient.ErrStatus},
		{"HTML with 200", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, acs.ErrInvalid, acs.ErrDocument},
		{"10 MB", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 10<<20)) }, authorityclient.ErrTooLarge, authorityclient.ErrTooLarge},
		{"redirect to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.test/", http.StatusTemporaryRedirect)
		}, authorityclient.ErrRedirect, authorityclient.ErrRedirect},
		{"redirect to http", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Host+"/", http.StatusFound)
		}, authorityclient.ErrRedirect, authorityclient.ErrRedirect},
		{"endless redirects", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) }, authorityclient.ErrRedirect, authorityclient.ErrRedirect},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, c := serve(t, tt.h)
			if _, err := c.RequestToken(t.Context(), s.URL, acs.TokenRequest{Assertion: "secret"}); !errors.Is(err, tt.token) || strings.Contains(err.Error(), "secret") {
				t.Errorf("token: %v, want %v", err, tt.token)
			}
			if _, err := c.FetchMetadata(t.Context(), s.URL); !errors.Is(err, tt.doc) {
				t.Errorf("metadata: %v, want %v", err, tt.doc)
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	s, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/contoso.com/metadata/json/1" { // to the canonical name, on the same host
			http.Redirect(w, r, "/t/metadata/json/1", http.StatusMovedPermanently)
			return
		}
		fmt.Fprint(w, `{"issuer":"p@t","realm":"t","endpoints":[{"location":"https://h/","protocol":"OAuth2","usage":"issuance"}]}`)
	})
	d, err := c.FetchMetadata(t.Context(), s.URL+"/contoso.com/metadata/json/1")
	if err != nil || d.Realm != "t" || d.TokenEndpoint() != "https://h/" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestOnlyHTTPSWithAVerifiedCertificate(t *testing.T) {
	s, c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	for _, address := range []string{"http://127.0.0.1/", "ftp://x/", "", "https://", "https://u:p@127.0.0.1/", strings.Replace(s.URL, "https", "http", 1)} {
		if _, err := c.FetchMetadata(t.Context(), address); !errors.Is(err, authorityclient.ErrInsecure) {
			t.Errorf("%q: %v", address, err)
		}
	}
	plain, err := authorityclient.New(authorityclient.Config{HTTP: new(http.Client)})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.ErrorLog = nil
	if _, err := plain.FetchMetadata(t.Context(), s.URL); err == nil {
		t.Error("an unknown certificate was accepted")
	}
}

func TestSlowAnswerEndsWithTheContext(t *testing.T) {
	release := make(chan struct{})
	s, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "{")
		w.(http.Flusher).Flush()
		<-release
	})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.FetchMetadata(ctx, s.URL); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestSlowDocumentEndsByItself(t *testing.T) {
	release := make(chan struct{})
	s, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "{")
		w.(http.Flusher).Flush()
		<-release
	})
	defer close(release)
	c, err := authorityclient.New(authorityclient.Config{HTTP: s.Client(), MetadataTimeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.FetchMetadata(t.Context(), s.URL); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestFederationMetadata(t *testing.T) {
	want := &fedmeta.Document{EntityID: "https://sts.contoso.com/t/", Endpoint: "https://login.contoso.com/t/wsfed"}
	answer := want.Append(nil)
	s, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if a := r.Header.Get("Accept"); !strings.HasPrefix(a, "application/xml") {
			t.Errorf("Accept %q", a)
		}
		switch r.URL.Path {
		case "/contoso.com":
			http.Redirect(w, r, "/t", http.StatusFound)
		case "/away":
			http.Redirect(w, r, "https://sts.contoso.com/", http.StatusFound)
		case "/large":
			w.Write(append(answer, strings.Repeat(" ", fedmeta.MaxDocument)...))
		case "/json":
			fmt.Fprint(w, `{"issuer":"p@t"}`)
		case "/gone":
			w.WriteHeader(http.StatusBadRequest)
			w.Write(answer)
		default:
			w.Write(answer)
		}
	})
	got, err := c.FetchFederationMetadata(t.Context(), s.URL+"/contoso.com")
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v, %v", d, err)
	}
	for path, want := range map[string]error{
		"/away": authorityclient.ErrRedirect, "/large": authorityclient.ErrTooLarge, "/json": fedmeta.ErrDocument, "/gone": authorityclient.ErrStatus,
	} {
		if d, err := c.FetchFederationMetadata(t.Context(), s.URL+path); !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v", path, d, err)
		}
	}
	if _, err := c.FetchFederationMetadata(t.Context(), "http"+strings.TrimPrefix(s.URL, "https")); !errors.Is(err, authorityclient.ErrInsecure) {
		t.Error(err)
	}
}
