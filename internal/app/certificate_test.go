package app

import (
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// TestCertificateFileIsReadAgain replaces the files of a certificate, with
// noise first: what cannot be read changes nothing.
func TestCertificateFileIsReadAgain(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	write := func(age time.Duration) (thumbprint string) {
		t.Helper()
		c, err := trust.NewSigningCertificate("CN=mail.contoso.com", now, now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		writePEM(t, certFile, "CERTIFICATE", c.DER, now.Add(-age))
		writePEM(t, keyFile, "PRIVATE KEY", c.Key, now.Add(-age))
		return c.Thumbprint
	}
	first := write(time.Hour)
	clock := now
	f, err := newCertificateFile(certFile, keyFile, slog.New(slog.NewTextHandler(t.Output(), nil)), func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	check := func(when, want string) {
		t.Helper()
		c, err := f.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := directory.Thumbprint(c.Certificate[0]); got != want {
			t.Errorf("%s: certificate %s, want %s", when, got, want)
		}
	}
	check("at first", first)
	if err := os.WriteFile(certFile, []byte("noise"), 0o600); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(recheck)
	check("after noise", first)
	second := write(0)
	check("before the next look", first)
	clock = clock.Add(recheck)
	check("after it", second)
}

func writePEM(t *testing.T, name, kind string, der []byte, modified time.Time) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, modified, modified); err != nil {
		t.Fatal(err)
	}
}
