package authorityserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// No form makes an endpoint fall over, and none gets a token without the
// assertion that was signed.
func FuzzTokenEndpoints(f *testing.F) {
	h, assertion := newServer(f)
	f.Add("/contoso.com/tokens/OAuth/2", form(assertion), "application/x-www-form-urlencoded")
	f.Add("/contoso.com/tokens/OAuth/2", form(strings.ToUpper(assertion)), "application/x-www-form-urlencoded; charset=utf-8")
	f.Add("/"+tenant+"/oauth2/token", "grant_type=client_credentials&client_id=x&resource=https%3A%2F%2Fmail.contoso.com&client_assertion="+assertion, "application/x-www-form-urlencoded")
	f.Add("/common/oauth2/v2.0/token", "grant_type=client_credentials&scope=https%3A%2F%2Fmail.contoso.com%2F.default&client_secret=x", "application/x-www-form-urlencoded")
	f.Add("//tokens/OAuth/2", "grant_type", "multipart/form-data; boundary=x")
	f.Fuzz(func(t *testing.T, path, body, kind string) {
		for _, name := range []string{host, "login.partner.microsoftonline.cn"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+name+"/", strings.NewReader(body))
			r.URL = &url.URL{Path: path}
			r.Header.Set("Content-Type", kind)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			switch {
			case w.Code >= 500:
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			case w.Code == http.StatusOK && !strings.Contains(body, "assertion"):
				t.Fatalf("%s: a token for %q", path, body)
			}
			if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%s: %q is no JSON", path, w.Body)
			}
		}
	})
}
