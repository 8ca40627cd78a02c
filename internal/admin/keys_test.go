package admin_test

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// contosoWith is an organization that has the first two certificates and signs
// with the first.
func (w *world) contosoWith() directory.OrgID {
	w.t.Helper()
	id := w.contoso().ID
	if _, err := w.store.UpdateOrganization(w.t.Context(), id, func(o *directory.Organization) error {
		o.Certificates = []directory.Certificate{certificates()[0], certificates()[1]}
		o.AuthConfig.CurrentCertificateThumbprint = certificates()[0].Thumbprint
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func TestRollOver(t *testing.T) {
	w := newWorld(t)
	ctx, id := t.Context(), w.contosoWith()
	first, second := certificates()[0].Thumbprint, certificates()[1].Thumbprint
	stage := func(at time.Time) {
		t.Helper()
		ok[admin.Result[directory.AuthConfig]](w)(w.SetAuthConfig(ctx, system, id, admin.AuthConfigChange{NewCertificateThumbprint: second, NewCertificateEffectiveDate: at}))
	}
	stage(now.Add(time.Second))
	before := len(w.events(string(id)))
	if res := ok[admin.Result[directory.AuthConfig]](w)(w.RollOver(ctx, system, id)); res.Changed || res.Object.CurrentCertificateThumbprint != first {
		t.Errorf("before its date: %+v", res)
	}
	if n := len(w.events(string(id))); n != before {
		t.Errorf("what was not done is in the audit trail: %d events more", n-before)
	}
	stage(now)
	res := ok[admin.Result[directory.AuthConfig]](w)(w.RollOver(ctx, system, id))
	if !res.Changed || res.Object.CurrentCertificateThumbprint != second || res.Object.PreviousCertificateThumbprint != first || res.Object.NextCertificateThumbprint != "" {
		t.Errorf("at its date: %+v", res)
	}
	if e := w.events(string(id))[0]; e.Operation != "Set-AuthConfig" || !strings.Contains(e.Before, `"CurrentCertificateThumbprint":"`+first) || !strings.Contains(e.After, `"CurrentCertificateThumbprint":"`+second) {
		t.Errorf("the audit trail has %+v", e)
	}
}

// A certificate whose key does not sign for it is never made current, whoever asks.
func TestBrokenCertificateIsNotMadeCurrent(t *testing.T) {
	w := newWorld(t)
	ctx, id := t.Context(), w.contosoWith()
	public := certificates()[2]
	public.Key = nil
	if _, err := w.store.UpdateOrganization(ctx, id, func(o *directory.Organization) error {
		o.Certificates = append(o.Certificates, public)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SetAuthConfig(ctx, system, id, admin.AuthConfigChange{CertificateThumbprint: public.Thumbprint}); err == nil || !strings.Contains(err.Error(), "no private key") {
		t.Errorf("a certificate without a key: %v", err)
	}
	if got := w.organization(id).AuthConfig.CurrentCertificateThumbprint; got != certificates()[0].Thumbprint {
		t.Errorf("current is %s", got)
	}
}

func TestAuthorityCertificates(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	if _, err := w.RollOverAuthority(ctx, system); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("without a configuration: %v", err)
	}
	w.authority()
	w.next = 1 // certificates[0] is the authority's
	if res := ok[admin.Result[*directory.AuthorityConfig]](w)(w.RollOverAuthority(ctx, system)); res.Changed {
		t.Errorf("nothing is due, but %d certificates are published", len(res.Object.Certificates))
	}
	if _, err := w.PublishAuthorityCertificate(ctx, system); !errors.Is(err, trust.ErrNoNext) {
		t.Errorf("published without a next one: %v", err)
	}
	if _, err := w.StageAuthorityCertificate(ctx, system, now.Add(-time.Second)); err == nil {
		t.Error("staged for the past")
	}
	w.next = 1
	at := now.Add(48 * time.Hour)
	ok[admin.Result[*directory.AuthorityConfig]](w)(w.StageAuthorityCertificate(ctx, system, at))
	ok[admin.Result[*directory.AuthorityConfig]](w)(w.PublishAuthorityCertificate(ctx, system))
	a := ok[*directory.AuthorityConfig](w)(w.store.AuthorityConfig(ctx))
	if len(a.Certificates) != 2 || a.Certificates[0].Thumbprint != certificates()[1].Thumbprint || a.Certificates[1].RetiredAt == nil || len(a.Certificates[1].Key) == 0 {
		t.Errorf("after a roll-over by hand: %v", a.Certificates)
	}
	const event = `[{"Thumbprint":"SECOND"},{"Thumbprint":"FIRST","RetiredAt":"2014-05-06T07:08:09Z"}]`
	e := w.events("")[0]
	got := strings.NewReplacer(certificates()[0].Thumbprint, "FIRST", certificates()[1].Thumbprint, "SECOND").Replace(e.After)
	if d := cmp.Diff(event, got); d != "" || e.Operation != "Set-AuthorityConfig" {
		t.Errorf("%s: %s", e.Operation, d)
	}
}

func TestImportAndExportCertificate(t *testing.T) {
	w := newWorld(t)
	ctx, id := t.Context(), w.contoso().ID
	c := certificates()[1]
	file := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: c.Key})...)
	res := ok[admin.Result[directory.Certificate]](w)(w.ImportExchangeCertificate(ctx, system, id, admin.ImportParams{Data: file, Services: []string{"smtp"}, Exportable: true}))
	want := directory.Certificate{Thumbprint: c.Thumbprint, FriendlyName: "Microsoft Exchange Server Auth Certificate", DER: c.DER, Key: c.Key, Services: []string{"SMTP"}, Exportable: true}
	if d := cmp.Diff(want, res.Object); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(&want, w.organization(id).Certificate(c.Thumbprint)); d != "" {
		t.Errorf("kept: %s", d)
	}
	if _, err := w.ImportExchangeCertificate(ctx, system, id, admin.ImportParams{Data: file}); !errors.Is(err, directory.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	if _, err := w.ImportExchangeCertificate(ctx, system, id, admin.ImportParams{Data: []byte("x")}); !errors.Is(err, trust.ErrKeyFile) {
		t.Errorf("no certificate: %v", err)
	}
	if der := ok[[]byte](w)(w.ExportExchangeCertificate(ctx, system, id, c.Thumbprint, "")); string(der) != string(c.DER) {
		t.Error("the public part is another certificate")
	}
	sealed := ok[[]byte](w)(w.ExportExchangeCertificate(ctx, system, id, strings.ToLower(c.Thumbprint), "pass word"))
	again, err := trust.ReadKeyFile(sealed, "pass word")
	if err != nil || string(again.Key) != string(c.Key) {
		t.Errorf("what was exported is not what was imported: %v", err)
	}
	if _, err := w.ExportExchangeCertificate(ctx, system, id, certificates()[0].Thumbprint, "pass word"); err == nil || !strings.Contains(err.Error(), "never leaves the store") {
		t.Errorf("a key that was made here: %v", err)
	}
	if _, err := w.ExportExchangeCertificate(ctx, system, id, "ABCD", ""); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a certificate that is not there: %v", err)
	}
	for _, e := range w.events(string(id)) {
		for _, text := range []string{e.Before, e.After, e.Outcome} {
			if strings.Contains(text, "pass word") || strings.Contains(text, base64.StdEncoding.EncodeToString(c.Key)[:40]) {
				t.Errorf("the audit trail has a secret: %s", e.Operation)
			}
		}
	}
	if e := w.events(string(id)); !strings.Contains(e[2].After, "exported") || e[2].Operation != "Export-ExchangeCertificate" {
		t.Errorf("the export of a key is not in the audit trail: %+v", e[2])
	}
}

func TestAuthCertificatePublication(t *testing.T) {
	w := newWorld(t)
	ctx, id := t.Context(), w.contosoWith()
	if _, err := w.TestAuthCertificatePublication(ctx, system, id); err == nil {
		t.Error("nobody can be asked, and there was no error")
	}
	w.Published = func(ctx context.Context, _ *directory.Organization, thumbprint string) []trust.Publication {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("asked without a limit of time")
		}
		p := trust.Publication{AuthServer: "ACS", Application: directory.ExchangeAppID, Asked: true, Known: thumbprint == certificates()[0].Thumbprint}
		return []trust.Publication{p}
	}
	res := ok[admin.Result[directory.AuthConfig]](w)(w.SetAuthConfig(ctx, system, id, admin.AuthConfigChange{
		NewCertificateThumbprint: certificates()[1].Thumbprint, NewCertificateEffectiveDate: now.Add(72 * time.Hour),
	}))
	if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], `"ACS" does not know the next certificate`) {
		t.Errorf("staged with the warnings %q", res.Warnings)
	}
	list := ok[[]admin.CertificatePublication](w)(w.TestAuthCertificatePublication(ctx, system, id))
	if len(list) != 2 || !list[0].Known || list[0].Command != "" || list[1].Known || list[1].Use != trust.KeyNext {
		t.Fatalf("got %+v", list)
	}
	want := "New-MsolServicePrincipalCredential -AppPrincipalId " + directory.ExchangeAppID + " -Type Asymmetric -Usage Verify -Value " +
		base64.StdEncoding.EncodeToString(certificates()[1].DER) + ` -EndDate "2014-11-06T07:08:09Z"`
	if d := cmp.Diff(want, list[1].Command); d != "" {
		t.Error(d)
	}
	// What is known is no news.
	res = ok[admin.Result[directory.AuthConfig]](w)(w.SetAuthConfig(ctx, system, id, admin.AuthConfigChange{Realm: new("contoso.com")}))
	if len(res.Warnings) != 0 {
		t.Errorf("another change warns: %q", res.Warnings)
	}
}
