package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"busybridge/internal/app"
	"busybridge/internal/app/client"
	"busybridge/internal/app/config"
	"busybridge/internal/freebusy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const host = "mail.fabrikam.com"

// writeCertificate writes host's certificate and key and returns the pool that trusts it.
func writeCertificate(t *testing.T, dir string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}

// announced passes the address of the line "serving" on.
type announced struct {
	slog.Handler
	listen chan<- string
}

func (a announced) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "serving" {
		r.Attrs(func(at slog.Attr) bool {
			if at.Key == "listen" {
				a.listen <- at.Value.String()
			}
			return true
		})
	}
	return a.Handler.Handle(ctx, r)
}

// TestServe runs a node from a configuration file, from an empty store on.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	key := make([]byte, 32)
	rand.Read(key)
	for name, text := range map[string]string{
		"seal.key": base64.StdEncoding.EncodeToString(key),
		"busybridge.yaml": `
node: {host_names: [` + host + `]}
listen: 127.0.0.1:0
ops_listen: "off"
drain: {wait: 0s}
tls: {certificate_file: cert.pem, key_file: key.pem}
seal_key_file: seal.key
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
	quiet := slog.New(slog.NewTextHandler(t.Output(), nil))
	p := app.SetupParams{Organization: "Fabrikam", Domain: "fabrikam.com", Administrator: "admin@fabrikam.com", Password: "a long password"}
	for _, want := range [][]string{
		{"organization Fabrikam with domain fabrikam.com", "server MAIL at https://" + host + "/ews/exchange.asmx", "administrator admin@fabrikam.com"},
		nil, // what is there stays
	} {
		got, err := app.Setup(t.Context(), cfg, quiet, p)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("setup (-want +got):\n%s", diff)
		}
	}
	if _, err := app.Setup(t.Context(), cfg, quiet, app.SetupParams{Realm: "fabrikam.example"}); err == nil || !strings.Contains(err.Error(), "node.roles") {
		t.Errorf("a realm on a node without the role: %v", err)
	}

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
	for password, want := range map[string]string{
		"a long password":  "ErrorMailRecipientNotFound",
		"another password": host + " did not accept the password of admin@fabrikam.com",
	} {
		c, err := client.New(client.Options{
			Server: "https://" + host, User: p.Administrator, Password: password,
			CAFile: filepath.Join(dir, "cert.pem"), ConnectTo: map[string]string{host + ":443": addr},
		})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().Truncate(time.Hour)
		answers, err := c.Availability(t.Context(), []string{"nobody@fabrikam.com"}, freebusy.Window{Start: now, End: now.Add(time.Hour)}, freebusy.ViewMergedOnly)
		got := fmt.Sprint(err)
		if err == nil && answers[0].Error != nil {
			got = answers[0].Error.Code
		}
		if got != want {
			t.Errorf("with the password %q: %s, want %s", password, got, want)
		}
		c.Close()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the node ended with %v", err)
	}
}

// TestServeAllDrains cancels while a request is being answered: it gets its answer.
func TestServeAllDrains(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	arrived, ended := make(chan struct{}), make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-ctx.Done()
		if r.Context().Err() != nil {
			t.Error("the request was cancelled with the node")
		}
		io.WriteString(w, "answered")
	})
	go func() {
		ended <- app.ServeAll(ctx, slog.New(slog.DiscardHandler), app.Listener{Listener: ln, Handler: handler})
	}()
	go func() {
		<-arrived
		cancel()
	}()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Get("http://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "answered" {
		t.Errorf("got %q, %v", b, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if conn, err := tls.Dial("tcp", ln.Addr().String(), nil); err == nil {
		conn.Close()
		t.Error("the listener is still open")
	}
}
