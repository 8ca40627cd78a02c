package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"busybridge/internal/app"
	"busybridge/internal/app/config"
)

// openID is an OpenID provider with one key.
func openID(t *testing.T, key *ecdsa.PrivateKey) *httptest.Server {
	const issuer = "https://example.com/staff" // the name in httptest's certificate
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var doc any
		switch r.URL.Path {
		case "/staff/.well-known/openid-configuration":
			doc = map[string]string{"issuer": issuer, "jwks_uri": "https://example.com/keys"}
		case "/keys":
			doc = gojose.JSONWebKeySet{Keys: []gojose.JSONWebKey{{Key: key.Public(), KeyID: "1", Use: "sig"}}}
		default:
			t.Errorf("the provider is asked for %s", r.URL.Path)
		}
		if err := json.NewEncoder(w).Encode(doc); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// userToken is a token of the provider for the address.
func userToken(t *testing.T, key *ecdsa.PrivateKey, address string) string {
	claims, err := json.Marshal(map[string]any{"iss": "https://example.com/staff", "aud": []string{"busybridge"}, "sub": "1", "exp": time.Now().Add(time.Hour).Unix(), "upn": address})
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"ES256","kid":"1"}`)) + "." + enc.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + enc.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func selfSigned(t *testing.T, key *ecdsa.PrivateKey, serial int64) tls.Certificate {
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestEveryWayToSignIn asks a node that runs from a configuration file as each
// kind of caller.
func TestEveryWayToSignIn(t *testing.T) {
	dir := t.TempDir()
	roots := writeCertificate(t, dir, 1)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	provider := openID(t, key)
	mine, stranger := selfSigned(t, key, 1), selfSigned(t, key, 2)
	seal := make([]byte, 32)
	rand.Read(seal)
	for name, text := range map[string]string{
		"seal.key":     base64.StdEncoding.EncodeToString(seal),
		"provider.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: provider.Certificate().Raw})),
		"busybridge.yaml": `
node: {host_names: [` + host + `]}
listen: 127.0.0.1:0
ops_listen: "off"
drain: {wait: 0s}
tls: {certificate_file: cert.pem, key_file: key.pem, client_certificates: true}
seal_key_file: seal.key
trusted_ca_files: [provider.pem]
connect_to: {"example.com:443": "` + provider.Listener.Addr().String() + `"}
openid:
  issuers: {fabrikam.com: "https://example.com/staff"}
  audiences: {fabrikam.com: busybridge}
  address_claims: {fabrikam.com: upn}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "busybridge.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	const kim = "kim@fabrikam.com"
	if _, err := app.Setup(t.Context(), cfg, log, app.SetupParams{Organization: "Fabrikam", Domain: "fabrikam.com", Administrator: kim, Password: "a long password"}); err != nil {
		t.Fatal(err)
	}
	script := signInMeans(t, cfg, log, kim, mine)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	listen, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- app.Serve(ctx, cfg, slog.New(announced{slog.NewTextHandler(t.Output(), nil), listen}), nil, app.Reload{})
	}()
	var addr string
	select {
	case addr = <-listen:
	case err := <-ended:
		t.Fatal(err)
	}
	ask := func(authorization string, cert ...tls.Certificate) int {
		tr := &http.Transport{
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: cert},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			},
		}
		defer tr.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+host+"/ews/exchange.asmx", strings.NewReader("<x/>"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "text/xml")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		resp, err := (&http.Client{Transport: tr}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	password := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	for _, tt := range []struct {
		name          string
		authorization string
		cert          []tls.Certificate
		in            bool
	}{
		{"nobody", "", nil, false},
		{"password", password(kim, "a long password"), nil, true},
		{"wrong password", password(kim, "another password"), nil, false},
		{"app password", password(kim, script), nil, true},
		{"another's app password", password("kai@fabrikam.com", script), nil, false},
		{"token of a user", "Bearer " + userToken(t, key, kim), nil, true},
		{"token of a user who is not here", "Bearer " + userToken(t, key, "nobody@fabrikam.com"), nil, false},
		{"token of a user elsewhere", "Bearer " + userToken(t, key, "kim@contoso.com"), nil, false},
		{"token with another signature", "Bearer " + userToken(t, key, kim)[:200] + userToken(t, key, "x"+kim)[200:], nil, false},
		{"certificate", "", []tls.Certificate{mine}, true},
		{"certificate of a stranger, with the same key", "", []tls.Certificate{stranger}, false},
		{"certificate and a wrong password", password(kim, "another password"), []tls.Certificate{mine}, false},
	} {
		// What is inside is no question, which is known only after the caller is.
		if got := ask(tt.authorization, tt.cert...); (got != http.StatusUnauthorized) != tt.in || got == http.StatusServiceUnavailable {
			t.Errorf("%s: status %d, want in: %v", tt.name, got, tt.in)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the node ended with %v", err)
	}
}

// signInMeans gives the account a certificate and an app password, which it returns.
func signInMeans(t *testing.T, cfg *config.Config, log *slog.Logger, user string, cert tls.Certificate) string {
	t.Helper()
	set, err := app.SettingsOf(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	d, err := app.Open(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	org, err := d.Store.OrganizationByDomain(t.Context(), "fabrikam.com")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.Certificate[0])
	_, err = d.Admin.AddClientCertificate(t.Context(), operator, org.ID, user, hex.EncodeToString(sum[:]))
	var password string
	if err == nil {
		_, password, err = d.Admin.NewAppPassword(t.Context(), operator, org.ID, user, "script")
	}
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", user, err))
	}
	return password
}
