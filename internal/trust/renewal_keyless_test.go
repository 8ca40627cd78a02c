package trust_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"busybridge/internal/directory"
)

type challenging struct{ header string }

func (c challenging) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}
	if r.Header.Get("Authorization") == "Bearer" {
		resp.StatusCode = http.StatusUnauthorized
		resp.Header.Set("WWW-Authenticate", c.header)
	}
	return resp, nil
}

// An authorization server whose keys nobody told us, that of a calendar source, can
// prove nothing: its tokens are renewed all the same. One whose keys are known has
// to prove its own: TestBadAuthorityCostsNothingWhileATokenIsValid.
func TestTokensOfAServerWithoutKnownKeysAreRenewed(t *testing.T) {
	now := start
	var log bytes.Buffer
	tr, e := hybridAt(t, func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil)), func(org *directory.Organization) { org.AuthServers[1].CertificateStrings = nil })
	tr.Base = challenging{`Bearer client_id="00000003-0000-0000-c000-000000000000", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"`}
	ask := func() {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+cloud+"/v1.0/users/a/calendar/getSchedule", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(r)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		resp.Body.Close()
		tr.Tokens.Wait()
	}
	ask()
	now = start.Add(24*time.Hour - 4*time.Minute)
	ask()
	if len(e.asked) != 2 || log.Len() > 0 {
		t.Errorf("%d requests for tokens:\n%s", len(e.asked), &log)
	}
}
