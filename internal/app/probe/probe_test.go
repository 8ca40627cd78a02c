package probe_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"busybridge/internal/app/probe"
	"busybridge/internal/dial/safehttp"
)

// look probes a server that answers with h, under a name of its certificate, or another.
func look(t *testing.T, name string, h http.HandlerFunc) *probe.Report {
	t.Helper()
	s := httptest.NewTLSServer(h)
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	hc, err := safehttp.New(safehttp.Config{Roots: roots, ConnectTo: map[string]string{name + ":443": u.Host}})
	if err != nil {
		t.Fatal(err)
	}
	defer hc.CloseIdleConnections()
	r, err := probe.Run(context.WithoutCancel(t.Context()), probe.Config{HTTP: hc, Now: func() time.Time { return time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC) }}, name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRunSaysWhatStandsThere(t *testing.T) {
	const bearer = `Bearer client_id="00000002-0000-0ff1-ce00-000000000000", trusted_issuers="00000001-0002-0000-c000-000000000000@*"`
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Add(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	for _, tt := range []struct {
		what, name string
		h          http.HandlerFunc
		usable     bool
		want       string
	}{
		{"an Exchange that takes tokens", "example.com", status(401, "WWW-Authenticate", bearer, "WWW-Authenticate", `Basic realm=""`, "X-FEServer", "MAIL"), true,
			"Exchange Web Services: takes Basic, too."},
		{"an Exchange that takes none", "example.com", status(401, "WWW-Authenticate", "Negotiate", "WWW-Authenticate", "NTLM", "X-FEServer", "MAIL"), false,
			"Exchange Web Services: takes no tokens, only Negotiate, NTLM"},
		{"a gateway", "example.com", status(401, "WWW-Authenticate", `Basic realm="gateway"`), false, "a firewall or proxy may pre-authenticate"},
		{"a page to sign in", "example.com", status(302, "Location", "https://sts.example.com/adfs/ls?token=eyJhIjoxfQ.e.e"), false, "sends to https://sts.example.com/adfs/ls."},
		{"nothing", "example.com", status(404), false, "there is none at this name (status 404)"},
		{"another name", "example.org", status(401, "WWW-Authenticate", bearer), false, "The certificate is not for example.org but for example.com"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			r := look(t, tt.name, tt.h)
			var b strings.Builder
			if err := r.Text(&b); err != nil {
				t.Fatal(err)
			}
			if r.Usable != tt.usable || !strings.Contains(b.String(), tt.want) || strings.Contains(b.String(), "eyJ") {
				t.Errorf("usable is %t, want %t; want %q in\n%s", r.Usable, tt.usable, tt.want, b.String())
			}
		})
	}
}

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"Mail.Contoso.com": "mail.contoso.com", "mail.contoso.com:8443": "mail.contoso.com:8443", "https://mail.contoso.com/ews/exchange.asmx": "mail.contoso.com",
		"http://mail.contoso.com": "", "a b": "", "https://user:pw@mail.contoso.com": "",
	} {
		if got, err := probe.Host(in); got != want || (err == nil) != (want != "") {
			t.Errorf("Host(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}
