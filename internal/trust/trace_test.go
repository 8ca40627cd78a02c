package trust_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/trust"
)

// lines traces requests; each is one line of the log.
func lines(into *[]string) *trust.Trace {
	return &trust.Trace{RequestID: "af0b9e1c-304d-4cbe-8e59-57cc92c12dc3", Line: func(s string) { *into = append(*into, s) }}
}

// The log of a successful run, in the order and words of the cmdlet reference, 10.1.
func TestTraceOfARequest(t *testing.T) {
	s := newResource(t)
	c, tr, e := newTransport(t, s)
	var got []string
	for range 2 { // nothing that is kept shortens the second
		got = nil
		tr.Trace, tr.Fresh = lines(&got), true
		if status, err := post(t, c, s.URL+"/ews/exchange.asmx"); err != nil || status != 200 {
			t.Fatal(status, err)
		}
	}
	if seen := s.take(); e.count() != 2 || strings.Join(seen, " ") != "empty token empty token" {
		t.Errorf("%d token requests, %v", e.count(), seen)
	}
	host := strings.TrimPrefix(s.URL, "https://")
	aud := exchange + "/" + host + "@" + tenant
	want := []string{
		"Information:[OAuthCredentials:Authenticate] entering",
		`Information:[OAuthCredentials:Authenticate] challenge from '` + s.URL + `/ews/exchange.asmx' received: Bearer client_id="` + exchange + `", trusted_issuers="` + acsPID +
			`@*", token_types="app_asserted_user_v1 service_asserted_app_v1",Basic realm=""`,
		"Information:[OAuthCredentials:GetToken] client-id: '" + exchange + "', realm: '', trusted_issuer: '" + acsPID + "@*'",
		"Information:[OAuthCredentials:GetToken] Start building a token using organizationId ''",
		"Information:[OAuthTokenBuilder:GetAppToken] start building the apptoken",
		"Information:[OAuthTokenBuilder:GetAppToken] checking enabled auth servers",
		"Information:[OAuthTokenBuilder:GetAppToken] trusted_issuer includes the auth server 'MicrosoftAzureACS': " + acsPID + "@" + tenant + ",",
		"Information:[OAuthTokenBuilder:GetAppToken] updating the tenant id with the auth server realm; current tenant id value is '', new value is '" + tenant + "'",
		"Information:[OAuthTokenBuilder:GetAppToken] trying to get the apptoken from the auth server 'MicrosoftAzureACS' for resource '" + aud + "', tenantId '" + tenant + "', userDomain 'contoso.com'",
		"Information:[TokenBuildRequest:GetActorTokenFromAuthServer] Sending token request to 'https://" + acsHost + "/" + tenant + "/tokens/OAuth/2' for the resource '" + aud + "' with token: <redacted>",
		`Information:[OAuthCredentials:Authenticate] send request to '` + s.URL + `/ews/exchange.asmx' with the bearer token: '{"typ":"JWT","alg":"none"}."iss": "` + exchange + `@` + tenant + `" "aud": "` + aud +
			`" "nbf": "1768464000" "exp": "1768492800" ; actor: {"typ":"JWT","alg":"RS256","x5t":"` + certKey("as").x5t() + `","kid":"` + certKey("as").x5t() + `"}."iss": "` + acsPID + `@` + tenant +
			`" "aud": "` + aud + `" "nbf": "1768463700" "exp": "1768550400" '`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !tr.Trace.Sent || !tr.Trace.Delegation || tr.Trace.Challenge == nil || tr.Trace.Issuer != acsPID+"@"+tenant {
		t.Errorf("%+v", tr.Trace)
	}

	// Without Fresh what is kept is used, and the log is shorter.
	got = nil
	tr.Trace, tr.Fresh = lines(&got), false
	if status, err := post(t, c, s.URL); err != nil || status != 200 || e.count() != 2 {
		t.Errorf("%d, %v, %d token requests", status, err, e.count())
	}
	for _, l := range got {
		if strings.Contains(l, "challenge from") || strings.Contains(l, "Sending token request") {
			t.Errorf("with cached token: %s", l)
		}
	}
}

// A49: no signature and no assertion, whatever happens.
func TestTraceHoldsNoSecret(t *testing.T) {
	s := newResource(t)
	c, tr, _ := newTransport(t, s)
	for _, as := range []*trust.User{alice, nil} {
		var got []string
		tr.As, tr.Trace, tr.Fresh = as, lines(&got), true
		if status, err := post(t, c, s.URL); err != nil || status != 200 {
			t.Fatal(status, err)
		}
		text := strings.Join(got, "\n")
		if strings.Contains(text, "eyJ0eXAi") || strings.Contains(text, base64.RawURLEncoding.EncodeToString([]byte(`"nameid"`))) {
			t.Errorf("a token is in the log: %s", text)
		}
		if (as == nil) == strings.Contains(text, "; actor: ") {
			t.Errorf("as %v: %s", as, got[len(got)-1])
		}
	}
}

func TestTraceOfFailures(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*resource, *trust.Transport, *endpoint)
		want   []string // ends of lines, the last ones of the log
	}{
		{"no common issuer", func(s *resource, _ *trust.Transport, _ *endpoint) {
			s.challenge = `Bearer client_id="` + exchange + `", trusted_issuers="00000001-0000-0000-c000-000000000000@*"`
		}, []string{
			"trusted_issuer does NOT include the auth server 'MicrosoftAzureACS': " + acsPID + "@" + tenant + ",",
			"Error:[OAuthTokenBuilder:GetAppToken] unable to continue building token; no locally configured issuer was in the trusted_issuer list, realm from challenge was also empty. trust_issuers was 00000001-0000-0000-c000-000000000000@*",
			"Error:The trusted issuers contained the following entries '00000001-0000-0000-c000-000000000000@*'. None of them are configured locally.",
		}},
		{"no certificate", func(_ *resource, tr *trust.Transport, _ *endpoint) {
			tr.Org.AuthConfig.CurrentCertificateThumbprint = ""
		}, []string{"Error:Missing signing certificate."}},
		{"no token", func(_ *resource, tr *trust.Transport, e *endpoint) { e.realm = tenantB },
			[]string{"with token: <redacted>", "Error:Unable to get the token from Auth Server. Error code: 'invalid_request'. Description: 'AADSTS90002: Tenant '" + tenantB + "' not found."}},
		{"no bearer challenge", func(s *resource, _ *trust.Transport, _ *endpoint) { s.challenge = "Negotiate" },
			[]string{"Information:[OAuthCredentials:Authenticate] entering"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newResource(t)
			c, tr, e := newTransport(t, s)
			var got []string
			tr.Trace, tr.Fresh = lines(&got), true
			tt.change(s, tr, e)
			status, err := post(t, c, s.URL)
			if _, ok := errors.AsType[*trust.RequestError](err); !ok && status != 401 {
				t.Errorf("%d, %v", status, err)
			}
			for i, want := range tt.want {
				if at := len(got) - len(tt.want) + i; at < 0 || !strings.Contains(got[at], want) {
					t.Errorf("log:\n%s\nwant line %d from the end with %s", strings.Join(got, "\n"), len(tt.want)-i, want)
				}
			}
			if tr.Trace.Sent {
				t.Error("a token was sent")
			}
		})
	}
}

// What the other side says stays within one line.
func TestTraceLinesStayLines(t *testing.T) {
	s := newResource(t)
	c, tr, _ := newTransport(t, s)
	s.challenge = `Bearer client_id="` + exchange + `", realm="` + strings.Repeat("é", 3000) + `", trusted_issuers="` + acsPID + `@*"`
	var got []string
	tr.Trace, tr.Fresh = lines(&got), true
	if _, err := post(t, c, s.URL); err != nil {
		t.Log(err)
	}
	for _, l := range got {
		if strings.ContainsAny(l, "\r\n\x00") || len(l) > 10_000 {
			t.Errorf("%d bytes: %.100q", len(l), l)
		}
	}
}
