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
	const own, third = "9f1e2d3c-4b5a-4697-8a7b-6c5d4e3f2a1b", "aaaaaaaa-4b5a-4697-8a7b-6c5d4e3f2a1b"
	yes, no := new(true), new(false)
	server := func(policy string) *directory.Server { return &directory.Server{EWSApplications: policy} }
	anyone, dedicated, closed := server(directory.EWSAnyApplication), server(directory.EWSDedicatedApplications), server(directory.EWSNoApplication)
	type refused struct{ user, shared, own, third bool }
	for _, tt := range []struct {
		name    string
		enabled *bool
		list    []string
		at      *directory.Server
		want    refused
	}{
		{"nothing is said", nil, nil, anyone, refused{}},
		{"no server", nil, nil, nil, refused{}},
		{"a list without EwsEnabled has no effect", nil, []string{own}, anyone, refused{}},
		{"enabled", yes, nil, anyone, refused{}},
		{"enabled with a list", yes, []string{own}, anyone, refused{shared: true, third: true}},
		{"enabled with a list, no server", yes, []string{own, directory.ExchangeAppID}, nil, refused{third: true}},
		{"disabled", no, []string{own}, anyone, refused{true, true, true, true}},
		{"disabled, no server", no, nil, nil, refused{true, true, true, true}},
		{"dedicated", nil, nil, dedicated, refused{shared: true}},
		{"dedicated with a list", yes, []string{own, directory.ExchangeAppID}, dedicated, refused{shared: true, third: true}},
		{"closed", nil, nil, closed, refused{shared: true, own: true, third: true}},
		{"closed, a list without EwsEnabled", nil, []string{own}, closed, refused{shared: true, own: true, third: true}},
		{"closed, enabled without a list", yes, nil, closed, refused{shared: true, own: true, third: true}},
		{"closed, enabled with a list", yes, []string{own, directory.ExchangeAppID}, closed, refused{shared: true, third: true}},
	} {
		o := &directory.Organization{AvailabilityConfig: directory.AvailabilityConfig{EWS: directory.EWSAccess{Enabled: tt.enabled, AllowedAppIDs: tt.list}}}
		got := refused{o.RefusesEWS(tt.at, ""), o.RefusesEWS(tt.at, directory.ExchangeAppID), o.RefusesEWS(tt.at, own), o.RefusesEWS(tt.at, third)}
		if got != tt.want {
			t.Errorf("%s: refused %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
