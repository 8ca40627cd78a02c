package directory_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"busybridge/internal/directory"
)

func TestFingerprint(t *testing.T) {
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	serial := int64(0)
	cert := func(k *ecdsa.PrivateKey) string {
		serial++
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0)}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(der)
	}
	k1, k2 := key(), key()
	a, b := cert(k1), cert(k2)
	f := directory.Fingerprint([]string{a, b})
	if !regexp.MustCompile(`^\d{5}( \d{5}){5}$`).MatchString(f) {
		t.Fatalf("fingerprint %q, want six groups of five digits", f)
	}
	for name, certs := range map[string][]string{"other order": {b, a}, "one twice": {a, b, a}, "new certificates for the keys": {cert(k1), cert(k2)}} {
		if got := directory.Fingerprint(certs); got != f {
			t.Errorf("%s: %q, want %q", name, got, f)
		}
	}
	for name, certs := range map[string][]string{"one of them": {a}, "the other": {b}, "another key": {a, b, cert(key())}, "none": nil,
		"no base64": {a, "?"}, "no certificate": {a, "AAAA"}} {
		if got := directory.Fingerprint(certs); got == f {
			t.Errorf("%s: the same fingerprint", name)
		}
	}
	for typed, want := range map[string]bool{f: true, strings.ReplaceAll(f, " ", ""): true, strings.ReplaceAll(f, " ", "-"): true, " " + f + "\t": true,
		f[:len(f)-1]: false, "": false, f + "0": false} {
		if directory.SameFingerprint(typed, f) != want {
			t.Errorf("typed %q: %v", typed, !want)
		}
	}
	if directory.SameFingerprint("", "") {
		t.Error("no fingerprint is the same as none")
	}
}

func TestApplicationServer(t *testing.T) {
	o := &directory.Organization{AuthServers: []directory.AuthServer{
		{Common: directory.Common{Name: "ACS"}, Enabled: true, Type: directory.AuthServerACS, ApplicationIdentifier: "a", DomainName: []string{"contoso.com"}},
		{Common: directory.Common{Name: "none"}, Enabled: true, Type: directory.AuthServerAzureAD, DomainName: []string{"contoso.com"}},
		{Common: directory.Common{Name: "disabled"}, Type: directory.AuthServerAzureAD, ApplicationIdentifier: "a", DomainName: []string{"contoso.com"}},
		{Common: directory.Common{Name: "EvoSTS"}, Enabled: true, Type: directory.AuthServerAzureAD, ApplicationIdentifier: "a", DomainName: []string{"contoso.com"}},
	}}
	if s := o.ApplicationServer("contoso.com"); s == nil || s.Name != "EvoSTS" {
		t.Errorf("server of contoso.com: %+v", s)
	}
	for _, d := range []string{"fabrikam.com", "mail.contoso.com", ""} {
		if s := o.ApplicationServer(d); s != nil {
			t.Errorf("server of %q: %s", d, s.Name)
		}
	}
}

func TestRefusesEWS(t *testing.T) {
	for _, tt := range []struct {
		applications string
		shared, own  bool
	}{{directory.EWSAnyApplication, false, false}, {directory.EWSDedicatedApplications, true, false}, {directory.EWSNoApplication, true, true}} {
		s := &directory.Server{EWSApplications: tt.applications}
		if got := s.RefusesEWS(directory.ExchangeAppID); got != tt.shared {
			t.Errorf("%q refuses the shared principal: %v", tt.applications, got)
		}
		if got := s.RefusesEWS("9f1e2d3c-4b5a-4697-8a7b-6c5d4e3f2a1b"); got != tt.own {
			t.Errorf("%q refuses another application: %v", tt.applications, got)
		}
	}
	if (*directory.Server)(nil).RefusesEWS("x") {
		t.Error("no server refuses")
	}
}
