package admin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

func TestAppPasswords(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	for _, name := range []string{"alice@contoso.com", "bob@contoso.com"} {
		ok[accountResult](w)(w.NewAccount(ctx, system, org, admin.AccountParams{UserName: name, Password: "correct horse"}))
	}
	const alice = "alice@contoso.com"
	self := admin.Actor{Name: alice, Org: org}
	res, password, err := w.NewAppPassword(ctx, self, org, "Alice@contoso.com", "phone")
	if err != nil || !res.Changed {
		t.Fatal(err)
	}
	kept := ok[*directory.Account](w)(w.store.Account(ctx, alice))
	if p := trust.FindAppPassword(kept, password); p == nil || p.Name != "phone" || !p.LastUsed.IsZero() || p.WhenCreated.IsZero() {
		t.Errorf("kept: %+v", kept.AppPasswords)
	}
	e := w.events(string(org))[0]
	if e.Operation != "New-AppPassword" || e.Actor != alice || !strings.Contains(e.After, "phone") || strings.Contains(e.Before+e.After, "sha256") || strings.Contains(e.After, password) {
		t.Errorf("audit: %+v", e)
	}
	if _, again, err := w.NewAppPassword(ctx, self, org, alice, "Phone"); !errors.Is(err, directory.ErrExists) || again != "" {
		t.Errorf("the same name: %v", err)
	}
	// It is for programs: the shell does not take it.
	if _, err := w.SignIn(ctx, alice, password); !errors.Is(err, admin.ErrSignIn) {
		t.Errorf("sign in to the shell: %v", err)
	}
	if r := ok[accountResult](w)(w.SetPassword(ctx, self, org, alice, "battery staple")); len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "1 app passwords") {
		t.Errorf("warnings %q", r.Warnings)
	}

	events := len(w.events(string(org)))
	id := kept.AppPasswords[0].ID
	for _, used := range []string{id, "gone", id} {
		w.AppPasswordUsed(ctx, kept, used)
	}
	seen := ok[*directory.Account](w)(w.SignInMeans(ctx, self, "Get-AppPassword", org, alice))
	if p := seen.AppPasswords[0]; !p.LastUsed.Equal(w.Now().Truncate(time.Hour)) || p.Hash != "" || seen.PasswordHash != "" {
		t.Errorf("seen: %+v", seen)
	}
	if n := len(w.events(string(org))); n != events {
		t.Errorf("uses are in the audit trail: %d events more", n-events)
	}
	ok[accountResult](w)(w.RemoveAppPassword(ctx, self, org, alice, "PHONE"))
	if _, err := w.RemoveAppPassword(ctx, self, org, alice, "phone"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	w.AppPasswordUsed(ctx, kept, id) // a request that was under way
	if a := ok[*directory.Account](w)(w.store.Account(ctx, alice)); len(a.AppPasswords) != 0 {
		t.Errorf("revoked: %+v", a.AppPasswords)
	}
}

func TestClientCertificates(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	org := w.contoso().ID
	for _, name := range []string{"alice@contoso.com", "bob@contoso.com"} {
		ok[accountResult](w)(w.NewAccount(ctx, system, org, admin.AccountParams{UserName: name, Password: "correct horse"}))
	}
	const alice, bob = "alice@contoso.com", "bob@contoso.com"
	print := strings.Repeat("0a", 32)
	for _, s := range []string{print, strings.ToUpper(print), "sha256 Fingerprint=" + strings.TrimSuffix(strings.Repeat("0A:", 32), ":")} {
		ok[accountResult](w)(w.AddClientCertificate(ctx, system, org, alice, s))
	}
	a := ok[*directory.Account](w)(w.SignInMeans(ctx, system, "Get-ClientCertificate", org, alice))
	if d := cmp.Diff([]string{print}, a.Certificates); d != "" {
		t.Error(d)
	}
	for _, s := range []string{"", "x", print[:62], strings.Repeat("zz", 32)} {
		if _, err := w.AddClientCertificate(ctx, system, org, bob, s); err == nil {
			t.Errorf("%q is taken for a fingerprint", s)
		}
	}
	if _, err := w.AddClientCertificate(ctx, system, org, bob, print); !errors.Is(err, directory.ErrExists) {
		t.Errorf("a certificate of two accounts: %v", err)
	}
	self := admin.Actor{Name: alice, Org: org}
	if _, err := w.AddClientCertificate(ctx, self, org, alice, strings.Repeat("0b", 32)); !errors.Is(err, admin.ErrForbidden) {
		t.Errorf("somebody without a role: %v", err)
	}
	ok[accountResult](w)(w.RemoveClientCertificate(ctx, self, org, alice, print))
	ok[accountResult](w)(w.AddClientCertificate(ctx, system, org, bob, print))
}
