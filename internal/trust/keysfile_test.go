package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

func asPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, []byte("\n")) }

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// weakKey is a certificate of a key of 1024 bits, as PEM with the key.
var weakKey = sync.OnceValue(func() []byte {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "weak"}, NotAfter: start.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return join(asPEM("CERTIFICATE", der), asPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)))
})

func TestReadKeyFile(t *testing.T) {
	org, other := certKey("org"), certKey("partner")
	cert, key := asPEM("CERTIFICATE", org.cert.DER), asPEM("PRIVATE KEY", org.cert.Key)
	sealed, err := trust.WriteKeyFile(&org.cert, "pass word")
	if err != nil {
		t.Fatal(err)
	}
	_, sealedKey := pem.Decode(sealed)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, password string
		data           []byte
		thumbprint     string // "": refused
		key            bool
		reason         string // part of the error
	}{
		{"a DER certificate has no key", "", org.cert.DER, org.cert.Thumbprint, false, ""},
		{"a PEM certificate has no key", "", cert, org.cert.Thumbprint, false, ""},
		{"PKCS#8", "", join(cert, key), org.cert.Thumbprint, true, ""},
		{"the key first", "", join(key, cert), org.cert.Thumbprint, true, ""},
		{"PKCS#1", "", join(cert, asPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(org.key))), org.cert.Thumbprint, true, ""},
		{"text around the parts", "", join([]byte("Bag Attributes\n"), cert, []byte("more"), key), org.cert.Thumbprint, true, ""},
		{"the certificate of the key is taken from a chain", "", join(asPEM("CERTIFICATE", other.cert.DER), cert, key), org.cert.Thumbprint, true, ""},
		{"encrypted PKCS#8", "pass word", sealed, org.cert.Thumbprint, true, ""},
		{"encrypted PKCS#8 of OpenSSL", "contoso", readTestdata(t, "sealed.pem"), "4696259274626E75C65E2C697295A2E27EBEB733", true, ""},
		{"PKCS#12 with AES", "contoso", readTestdata(t, "aes.pfx"), "4696259274626E75C65E2C697295A2E27EBEB733", true, ""},
		{"PKCS#12 of Windows", "contoso", readTestdata(t, "windows.pfx"), "4696259274626E75C65E2C697295A2E27EBEB733", true, ""},

		{"nothing", "", nil, "", false, "neither PEM"},
		{"other bytes", "", []byte("hello"), "", false, "neither PEM"},
		{"bytes after PKCS#12", "contoso", append(readTestdata(t, "windows.pfx"), 0), "", false, "neither PEM"},
		{"PKCS#12 with another password", "Contoso", readTestdata(t, "windows.pfx"), "", false, "password is wrong"},
		{"PKCS#12 with AES and another password", "Contoso", readTestdata(t, "aes.pfx"), "", false, "password is wrong"},
		{"PKCS#12 with endless rounds", "contoso", endless(t, readTestdata(t, "windows.pfx")), "", false, "more than 2000000 times"},
		{"PKCS#12 with AES and endless rounds", "contoso", endless(t, readTestdata(t, "aes.pfx")), "", false, "more than 2000000 times"},
		{"encrypted PKCS#8 without password", "", sealed, "", false, "give the password"},
		{"encrypted PKCS#8 with another password", "password", sealed, "", false, "password is wrong"},
		{"a key without certificate", "", key, "", false, "no certificate"},
		{"an encrypted key without certificate", "pass word", sealedKey, "", false, "no certificate"},
		{"the key of another certificate", "", join(asPEM("CERTIFICATE", other.cert.DER), key), "", false, "belongs to its private key"},
		{"a key of another kind", "", join(cert, asPEM("EC PRIVATE KEY", ecDER)), "", false, "belongs to its private key"},
		{"two certificates without key", "", join(cert, asPEM("CERTIFICATE", other.cert.DER)), "", false, "several certificates"},
		{"two keys", "", join(cert, key, key), "", false, "several private keys"},
		{"the encryption of old OpenSSL", "x", join(cert, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("x")})), "", false, "openssl pkcs8"},
		{"a key that is none", "", join(cert, asPEM("PRIVATE KEY", []byte("secret"))), "", false, "cannot be parsed"},
		{"a certificate that is none", "", asPEM("CERTIFICATE", []byte("x")), "", false, "cannot be parsed"},
		{"too many parts", "", bytes.Repeat(cert, 17), "", false, "more than 16"},
		{"too long", "", make([]byte, 1<<20), "", false, "limit"},
		{"RSA of 1024 bits", "", weakKey(), "", false, "1024 bits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := trust.ReadKeyFile(c.data, c.password)
			if c.thumbprint == "" {
				if !errors.Is(err, trust.ErrKeyFile) || !strings.Contains(err.Error(), c.reason) {
					t.Fatalf("got %v, want an error that says %q", err, c.reason)
				}
				if strings.Contains(err.Error(), "secret") || got.Key != nil {
					t.Errorf("the error or its certificate has the key: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Thumbprint != c.thumbprint || (len(got.Key) > 0) != c.key {
				t.Errorf("got %s, key %v; want %s, key %v", got.Thumbprint, len(got.Key) > 0, c.thumbprint, c.key)
			}
			if c.key {
				if err := trust.TestSignature(&got); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestWriteKeyFile(t *testing.T) {
	org := certKey("org").cert
	sealed, err := trust.WriteKeyFile(&org, "pass word")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, org.Key[40:60]) || bytes.Contains(sealed, []byte("BEGIN PRIVATE KEY")) {
		t.Error("the key is in the file as it is")
	}
	if again, err := trust.WriteKeyFile(&org, "pass word"); err != nil || bytes.Equal(sealed, again) {
		t.Errorf("written twice it is the same file (%v)", err)
	}
	if _, err := trust.WriteKeyFile(&org, ""); err == nil {
		t.Error("a key was written without a password")
	}
	public := org
	public.Key = nil
	if _, err := trust.WriteKeyFile(&public, "x"); err == nil {
		t.Error("a certificate without key was written with one")
	}
	t.Run("OpenSSL reads it", func(t *testing.T) {
		openssl, err := exec.LookPath("openssl")
		if err != nil {
			t.Skip("openssl is not installed")
		}
		cmd := exec.Command(openssl, "pkcs8", "-inform", "PEM", "-passin", "pass:pass word", "-outform", "DER")
		_, key := pem.Decode(sealed)
		cmd.Stdin = bytes.NewReader(key)
		der, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			private, err = x509.ParsePKCS1PrivateKey(der)
		}
		if err != nil || !certKey("org").key.Equal(private) {
			t.Errorf("OpenSSL reads another key: %v", err)
		}
	})
	t.Run("OpenSSL's is read", func(t *testing.T) {
		openssl, err := exec.LookPath("openssl")
		if err != nil {
			t.Skip("openssl is not installed")
		}
		for _, options := range [][]string{{"-v2", "aes-256-cbc"}, {"-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"}, {"-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA1"}} {
			cmd := exec.Command(openssl, append([]string{"pkcs8", "-topk8", "-passout", "pass:x"}, options...)...)
			cmd.Stdin = bytes.NewReader(asPEM("PRIVATE KEY", org.Key))
			sealed, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			got, err := trust.ReadKeyFile(join(asPEM("CERTIFICATE", org.DER), sealed), "x")
			if err != nil || got.Thumbprint != org.Thumbprint {
				t.Errorf("%v: %v", options, err)
			}
		}
	})
}

func FuzzReadKeyFile(f *testing.F) {
	c, err := trust.ReadKeyFile(readTestdata(f, "windows.pfx"), "contoso")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.DER)
	f.Add(join(asPEM("CERTIFICATE", c.DER), asPEM("PRIVATE KEY", c.Key)))
	f.Add(readTestdata(f, "aes.pfx"))
	f.Add(readTestdata(f, "sealed.pem"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Without a password, for the rounds of PBKDF2 would be all that is measured.
		c, err := trust.ReadKeyFile(data, "")
		if (err == nil) != (c.DER != nil) {
			t.Errorf("error %v with a certificate of %d bytes", err, len(c.DER))
		}
		if err == nil && c.Thumbprint != directory.Thumbprint(c.DER) {
			t.Error("the thumbprint is another certificate's")
		}
	})
}

// endless makes every number of rounds of a PKCS#12 file, 2000 or 2048, a large one
// of as many bytes.
func endless(t *testing.T, pfx []byte) []byte {
	t.Helper()
	out := slices.Clone(pfx)
	for _, rounds := range [][]byte{{2, 2, 0x07, 0xd0}, {2, 2, 0x08, 0x00}} {
		for at := bytes.Index(out, rounds); at >= 0; at = bytes.Index(out, rounds) {
			// Four bytes are needed for a large number: they come from the salt before it.
			salt := out[:at]
			n := bytes.LastIndex(salt, []byte{4, byte(8)})
			if n != at-10 {
				t.Fatalf("no salt of 8 bytes before the rounds at %d", at)
			}
			copy(out[n:], []byte{4, 6, 1, 2, 3, 4, 5, 6, 2, 4, 0x7f, 0xff, 0xff, 0xff})
		}
	}
	if bytes.Equal(out, pfx) {
		t.Fatal("no rounds were found")
	}
	return out
}
