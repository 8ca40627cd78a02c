package app

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"busybridge/internal/dial/safehttp"
	"busybridge/internal/dial/winauth"
)

// TestForestAuth: the password goes out by Basic only where nothing better is
// offered, and a question is whole each time it is sent.
func TestForestAuth(t *testing.T) {
	for _, tt := range []struct {
		name     string
		offers   []string
		want     []string // scheme of each request, and how much of the question it had
		accepted bool
	}{
		{"Basic only", []string{`Basic realm="x"`}, []string{" 8", "Basic 8"}, true},
		{"NTLM beside Basic", []string{"NTLM", `Basic realm="x"`}, []string{" 8", "NTLM 0"}, false}, // it then breaks off
		{"Negotiate", []string{"Negotiate"}, []string{" 8", "Negotiate 0"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var got []string
			srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
				mu.Lock()
				got = append(got, scheme+" "+string(rune('0'+len(body))))
				mu.Unlock()
				if user, password, _ := r.BasicAuth(); scheme == "Basic" && user == `fabrikam\svc` && password == "hunter2" {
					return
				}
				for _, o := range tt.offers {
					w.Header().Add("WWW-Authenticate", o)
				}
				w.WriteHeader(http.StatusUnauthorized)
			}))
			defer srv.Close()
			roots := x509.NewCertPool()
			roots.AddCert(srv.Certificate())
			dial := safehttp.Config{Roots: roots, ConnectTo: map[string]string{strings.TrimPrefix(srv.URL, "https://"): srv.Listener.Addr().String()}}
			rules, err := safehttp.Transport(dial)
			if err != nil {
				t.Fatal(err)
			}
			defer rules.CloseIdleConnections()
			client := safehttp.Client(forestAuth{safehttp.BasicAuth{Base: rules, User: `fabrikam\svc`, Password: "hunter2"}, rules}, dial)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, bytes.NewReader([]byte("question")))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			if tt.accepted != (err == nil && resp.StatusCode == http.StatusOK) || !tt.accepted && !errors.Is(err, winauth.ErrChallenge) {
				t.Errorf("got %v, %v", resp, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(got, tt.want) {
				t.Errorf("requests %q, want %q", got, tt.want)
			}
		})
	}
}
